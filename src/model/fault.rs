//! What went wrong with one attempt, before it is known whether another one is made.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::ModelError;

/// The most of a provider's own words that a person is shown.
const MESSAGE_CHARS: usize = 500;

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What kind.
    pub(crate) kind: Kind,
    /// What the provider said, or what happened.
    pub(crate) message: String,
    /// The HTTP status, where there was one.
    pub(crate) status: Option<u16>,
    /// How long the provider asks to wait.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the provider says itself that trying again makes sense.
    pub(crate) should_retry: Option<bool>,
}

/// The kinds, each an own answer to "what now?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The key could not be read.
    NotConfigured,
    /// The key is refused.
    Authentication,
    /// The account has nothing left.
    Quota,
    /// Too many requests for now.
    RateLimited,
    /// More than the model takes in; the limit where it was named.
    Overflow(Option<u64>),
    /// The request is wrong.
    Rejected,
    /// The provider has trouble.
    Unavailable,
    /// No connection.
    Connection,
    /// Nothing came for so many seconds.
    Idle(u64),
    /// The stream ended before the turn did.
    Broken,
    /// The answer is not what the wire says.
    Garbled,
    /// A filter stopped the request.
    Refused,
}

impl Fault {
    /// A fault without a status.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: None, retry_after: None, should_retry: None }
    }

    /// Whether another attempt can help. A silent provider is not asked again: a local server that reads a long prompt
    /// would begin anew each time.
    pub(crate) fn retryable(&self) -> bool {
        match self.kind {
            Kind::RateLimited | Kind::Unavailable | Kind::Connection => self.should_retry != Some(false),
            Kind::Broken => true,
            _ => false,
        }
    }

    /// What a person reads while the next attempt is waited for.
    pub(crate) fn reason(&self) -> String {
        let what = match self.kind {
            Kind::RateLimited => "rate limited",
            Kind::Unavailable => "the provider has trouble",
            Kind::Connection => "no connection",
            _ => "the answer broke off",
        };
        format!("{what} ({})", self.message)
    }

    /// The fault with the key taken out of the provider's words.
    #[must_use]
    pub(crate) fn without(mut self, key: Option<&SecretString>) -> Self {
        if let Some(key) = key.map(ExposeSecret::expose_secret).filter(|key| !key.is_empty()) {
            self.message = self.message.replace(key, "[key]");
        }
        self
    }

    /// What leaves the model folder. `cure` says where the key comes from.
    pub(crate) fn into_error(self, provider: &str, cure: &str) -> ModelError {
        let Self { kind, message, status, retry_after, .. } = self;
        let provider = provider.to_owned();
        match kind {
            Kind::NotConfigured => ModelError::NotConfigured(message),
            Kind::Authentication => {
                let cure = cure.to_owned();
                ModelError::Authentication { provider, status: status.unwrap_or(401), message, cure }
            }
            Kind::Quota => ModelError::Quota { provider, message },
            Kind::RateLimited => ModelError::RateLimited { provider, message, retry_after },
            Kind::Overflow(limit) => ModelError::Overflow { provider, message, limit },
            Kind::Rejected => ModelError::Rejected { provider, status: status.unwrap_or(400), message },
            Kind::Unavailable => {
                let message = match status {
                    Some(status) => format!("HTTP {status}: {message}"),
                    None => message,
                };
                ModelError::Unavailable { provider, message, retry_after }
            }
            Kind::Connection => ModelError::Connection { provider, message },
            Kind::Idle(seconds) => ModelError::Idle { provider, seconds },
            Kind::Broken | Kind::Garbled => ModelError::Broken { provider, message },
            Kind::Refused => ModelError::Refused { provider, reason: message },
        }
    }
}

/// The fault that an HTTP status with a body stands for.
pub(crate) fn from_response(status: u16, headers: &HeaderMap, body: &str) -> Fault {
    let mut fault = match serde_json::from_str::<Value>(body) {
        Ok(body) => from_body(Some(status), &body),
        Err(_) => classify(Some(status), "", &plain(body), None),
    };
    fault.status = Some(status);
    fault.retry_after = retry_after(headers, SystemTime::now()).or(fault.retry_after);
    fault.should_retry = headers.get("x-should-retry").and_then(|value| match value.as_bytes() {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    });
    fault
}

/// The fault that an error object stands for, in a body or in the midst of a stream. It may be wrapped in `error` or
/// not, in an array or not, its code a word or a number.
pub(crate) fn from_body(status: Option<u16>, body: &Value) -> Fault {
    let body = body.as_array().and_then(|list| list.first()).unwrap_or(body);
    let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
    let word = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| error.get(name).and_then(Value::as_u64);
    let message = match (error, word("message"), body.get("message").and_then(Value::as_str)) {
        (Value::String(text), ..) => plain(text),
        (_, "", Some(text)) => plain(text),
        (_, "", None) => plain(&error.to_string()),
        (_, text, _) => plain(text),
    };
    let codes = format!("{} {} {}", word("code"), word("type"), word("status"));
    let status = status.or_else(|| number("code").and_then(|code| u16::try_from(code).ok()));
    classify(status, &codes, &message, number("n_ctx"))
}

fn classify(status: Option<u16>, codes: &str, message: &str, context: Option<u64>) -> Fault {
    let (codes, said) = (codes.to_lowercase(), message.to_lowercase());
    let coded = |names: &[&str]| names.iter().any(|name| codes.split(' ').any(|code| code == *name));
    let says = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    let status = status.or_else(|| status_of(&coded));

    let kind = if status == Some(402) || coded(QUOTA_CODES) || says(QUOTA_TEXTS) {
        Kind::Quota
    } else if matches!(status, Some(401 | 403)) {
        Kind::Authentication
    } else if coded(OVERFLOW_CODES) {
        Kind::Overflow(context.or_else(|| limit_in(&said)))
    } else if status == Some(429) || coded(&["rate_limit_exceeded", "rate_limit_error"]) || says(RATE_TEXTS) {
        Kind::RateLimited
    } else if matches!(status, None | Some(200 | 400 | 413 | 422 | 500)) && says(OVERFLOW_TEXTS) {
        Kind::Overflow(context.or_else(|| limit_in(&said)))
    } else if coded(&["content_filter"]) {
        Kind::Refused
    } else {
        match status {
            Some(408 | 409 | 500..) | None | Some(200) => Kind::Unavailable,
            Some(_) => Kind::Rejected,
        }
    };
    Fault { kind, message: message.to_owned(), status, retry_after: None, should_retry: None }
}

/// The status that an error in the midst of a stream would have had.
fn status_of(coded: &impl Fn(&[&str]) -> bool) -> Option<u16> {
    const STATUSES: &[(&str, u16)] = &[
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("invalid_api_key", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("model_not_found", 404),
        ("request_too_large", 413),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("server_error", 500),
        ("timeout_error", 504),
        ("overloaded_error", 529),
    ];
    STATUSES.iter().find(|(code, _)| coded(&[code])).map(|(_, status)| *status)
}

const QUOTA_CODES: &[&str] = &["insufficient_quota", "billing_error", "billing_hard_limit_reached"];
const QUOTA_TEXTS: &[&str] = &["exceeded your current quota", "credit balance is too low", "insufficient credits"];
const RATE_TEXTS: &[&str] = &["rate limit", "too many requests"];
const OVERFLOW_CODES: &[&str] = &["context_length_exceeded", "exceed_context_size_error", "request_too_large"];
const OVERFLOW_TEXTS: &[&str] = &[
    "prompt is too long",
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "input tokens exceed",
    "input token count",
    "input is too long",
    "too many tokens",
    "maximum number of tokens allowed",
];

/// The limit that an overflow message names, in lower case.
fn limit_in(said: &str) -> Option<u64> {
    const BEFORE: &[&str] = &[
        "maximum context length is ",
        "tokens > ",
        "tokens allowed (",
        "configured limit of ",
        "available context size (",
        "context size of ",
        "context length of ",
        "context window of ",
    ];
    let rest = BEFORE.iter().find_map(|before| said.split_once(before))?.1;
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
    digits.parse().ok()
}

/// How long the headers ask to wait: milliseconds, seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && (0.0..1e9).contains(n));
    if let Some(ms) = text("retry-after-ms").and_then(number) {
        return Some(Duration::from_secs_f64(ms / 1000.0));
    }
    let after = text("retry-after")?;
    match number(after) {
        Some(seconds) => Some(Duration::from_secs_f64(seconds)),
        None => Some(httpdate::parse_http_date(after).ok()?.duration_since(now).unwrap_or_default()),
    }
}

/// A provider's words, fit to be shown: no control characters, one line, not endless; a web page is only named.
pub(crate) fn plain(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "it says nothing more".to_owned();
    }
    if text.starts_with('<') {
        return "a web page instead of an answer; check base_url".to_owned();
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> Kind {
        from_response(status, &HeaderMap::new(), body).kind
    }

    fn anthropic(kind: &str, message: &str) -> String {
        serde_json::json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
            .to_string()
    }

    fn openai(code: &str, message: &str) -> String {
        serde_json::json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}})
            .to_string()
    }

    #[test]
    fn statuses_mean_what_the_providers_say() {
        let cases = [
            (400, anthropic("invalid_request_error", "messages: roles must alternate"), Kind::Rejected),
            (401, anthropic("authentication_error", "invalid x-api-key"), Kind::Authentication),
            (402, anthropic("billing_error", "no money"), Kind::Quota),
            (403, anthropic("permission_error", "not yours"), Kind::Authentication),
            (404, anthropic("not_found_error", "model: nope"), Kind::Rejected),
            (413, anthropic("request_too_large", "Request exceeds the maximum size"), Kind::Overflow(None)),
            (429, anthropic("rate_limit_error", "too many input tokens"), Kind::RateLimited),
            (500, anthropic("api_error", "Internal server error"), Kind::Unavailable),
            (504, anthropic("timeout_error", "late"), Kind::Unavailable),
            (529, anthropic("overloaded_error", "Overloaded"), Kind::Unavailable),
            (401, openai("invalid_api_key", "Incorrect API key provided"), Kind::Authentication),
            (404, openai("model_not_found", "The model `x` does not exist"), Kind::Rejected),
            (429, openai("rate_limit_exceeded", "Rate limit reached"), Kind::RateLimited),
            (429, openai("insufficient_quota", "You exceeded your current quota"), Kind::Quota),
            (400, anthropic("invalid_request_error", "Your credit balance is too low to access the API"), Kind::Quota),
            (422, r#"{"detail":"bad field"}"#.to_owned(), Kind::Rejected),
            (408, String::new(), Kind::Unavailable),
            (409, "conflict".to_owned(), Kind::Unavailable),
            (503, "<html><body>Bad gateway</body></html>".to_owned(), Kind::Unavailable),
            (418, "teapot".to_owned(), Kind::Rejected),
        ];
        for (status, body, expected) in cases {
            assert_eq!(kind(status, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_overflow_is_known_by_code_or_words_and_its_limit_is_learned() {
        let cases = [
            (
                400,
                anthropic("invalid_request_error", "prompt is too long: 213462 tokens > 200000 maximum"),
                Some(200_000),
            ),
            (
                400,
                openai(
                    "context_length_exceeded",
                    "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000.",
                ),
                Some(128_000),
            ),
            (
                400,
                openai("", "Input tokens exceed the configured limit of 272,000 tokens. Yours has 300,000."),
                Some(272_000),
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error","n_prompt_tokens":14429,"n_ctx":8192}}"#
                    .to_owned(),
                Some(8192),
            ),
            (500, r#"{"error":{"code":500,"message":"the request exceeds the available context size"}}"#.to_owned(), None),
            (
                400,
                r#"{"message":"This model's maximum context length is 40960 tokens and you sent more","code":400}"#
                    .to_owned(),
                Some(40_960),
            ),
        ];
        for (status, body, limit) in cases {
            assert_eq!(kind(status, &body), Kind::Overflow(limit), "{status} {body}");
        }
        let limited = openai("", "Rate limit reached: maximum context length tokens per minute");
        assert_eq!(kind(400, &limited), Kind::RateLimited, "a rate limit vetoes the words");
        assert_eq!(kind(429, &openai("", "context window tokens per minute")), Kind::RateLimited);
    }

    #[test]
    fn in_stream_errors_are_told_apart_without_a_status() {
        let of = |body: &str| from_body(None, &serde_json::from_str(body).unwrap()).kind;
        assert_eq!(of(&anthropic("overloaded_error", "Overloaded")), Kind::Unavailable);
        assert_eq!(of(&anthropic("invalid_request_error", "bad")), Kind::Rejected);
        assert_eq!(of(&anthropic("rate_limit_error", "slow")), Kind::RateLimited);
        assert_eq!(of(r#"{"error":{"code":502,"message":"upstream"}}"#), Kind::Unavailable);
        assert_eq!(of(r#"{"error":{"code":429,"message":"slow"}}"#), Kind::RateLimited);
        assert_eq!(of(r#"{"error":"the context length of 4096 tokens is too small"}"#), Kind::Overflow(Some(4096)));
    }

    #[test]
    fn delays_are_read_from_milliseconds_seconds_and_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let delay = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(delay("retry-after-ms", "250"), Some(Duration::from_millis(250)));
        assert_eq!(delay("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(delay("retry-after", "1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(delay("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT"), Some(Duration::from_secs(20)));
        assert_eq!(delay("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(delay("retry-after", "soon"), None);
        assert_eq!(delay("retry-after", "-3"), None);
    }

    #[test]
    fn words_are_shown_without_controls_keys_or_pages() {
        assert_eq!(plain("a\u{1b}[31mb\r\n c"), "a [31mb c");
        assert_eq!(plain("<!doctype html><title>404</title>"), "a web page instead of an answer; check base_url");
        assert_eq!(plain(&"é".repeat(600)).chars().count(), MESSAGE_CHARS + 1);
        let key = SecretString::from("sk-canary-7");
        let fault = Fault::new(Kind::Authentication, "Incorrect API key provided: sk-canary-7").without(Some(&key));
        assert_eq!(
            fault.into_error("openai/gpt", "OPENAI_API_KEY").to_string(),
            "openai/gpt refuses the key (HTTP 401: Incorrect API key provided: [key]); check OPENAI_API_KEY"
        );
    }
}
