//! What went wrong with one attempt, before it is known whether another one is made.

use std::error::Error;
use std::time::{Duration, SystemTime};

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::ModelError;
use super::key::Credential;
use super::redact::{INSTEAD, redacted};

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
    /// A reasoning block of an earlier turn is rejected: the request can be made once more without any.
    Reasoning,
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
            Kind::Reasoning => "the provider rejects its earlier reasoning, which is left out now",
            _ => "the answer broke off",
        };
        format!("{what} ({})", self.message)
    }

    /// The fault with everything secret taken out of the provider's words.
    #[must_use]
    pub(crate) fn without(mut self, credential: &Credential) -> Self {
        // Shortened only now: half a key at the end would not be found.
        self.message = short(&redacted(self.message, credential, INSTEAD));
        self
    }

    /// Whether the provider rejects what was replayed to it of its earlier reasoning.
    pub(crate) fn about_reasoning(&self) -> bool {
        const WORDS: &[&str] = &["signature", "thinking", "reasoning", "encrypted", "redacted"];
        let said = self.message.to_lowercase();
        let named = self.status == Some(400) && WORDS.iter().any(|word| said.contains(word));
        // OpenAI looks for a reasoning item that it cannot read among those that it stores, of which there are none.
        let lost = matches!(self.status, Some(400 | 404)) && said.contains("items are not persisted");
        self.kind == Kind::Rejected && (named || lost)
    }

    /// What leaves the model folder. `cure` says where the key comes from.
    pub(crate) fn into_error(self, provider: &str, cure: &str) -> ModelError {
        let Self { kind, message, status, retry_after, .. } = self;
        let message = short(&message);
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
            Kind::Rejected | Kind::Reasoning => {
                ModelError::Rejected { provider, status: status.unwrap_or(400), message }
            }
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
    let status =
        status.or_else(|| number("code").or_else(|| number("status")).and_then(|code| u16::try_from(code).ok()));
    let mut fault = classify(status, &codes, &message, number("n_ctx"));
    match fault.kind {
        Kind::Refused => match filters(error).as_slice() {
            [] => {}
            names => fault.message = format!("{} ({})", fault.message, names.join(", ")),
        },
        Kind::RateLimited => fault.retry_after = asked(&fault.message.to_lowercase()),
        _ => {}
    }
    fault
}

/// The filters of Azure that stopped something, anywhere in what it says of them.
pub(crate) fn filters(said: &Value) -> Vec<&str> {
    match said {
        Value::Object(fields) => {
            let hit = |value: &Value| value.get("filtered").and_then(Value::as_bool) == Some(true);
            let named = fields.iter().filter(|(_, value)| hit(value)).map(|(name, _)| name.as_str());
            named.chain(fields.values().flat_map(filters)).collect()
        }
        Value::Array(list) => list.iter().flat_map(filters).collect(),
        _ => Vec::new(),
    }
}

/// How long OpenAI and Azure ask to wait where they say so in words alone, as in the midst of a stream: "try again in
/// 1m2.5s", "retry after 26 seconds".
fn asked(said: &str) -> Option<Duration> {
    let mut rest = ["try again in ", "retry after "].iter().find_map(|before| said.split_once(before))?.1;
    let mut seconds = None::<f64>;
    loop {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let Ok(number) = rest[..digits].parse::<f64>() else { break };
        let after = rest[digits..].trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = match &after[..letters] {
            "ms" | "milliseconds" => 0.001,
            "s" | "second" | "seconds" => 1.0,
            "m" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => break,
        };
        seconds = Some(seconds.unwrap_or(0.0) + number * unit);
        rest = &after[letters..];
    }
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
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
    } else if coded(REFUSED_CODES) {
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
        // Google's: <https://cloud.google.com/apis/design/errors>.
        ("invalid_argument", 400),
        ("failed_precondition", 400),
        ("unauthenticated", 401),
        ("permission_denied", 403),
        ("not_found", 404),
        ("resource_exhausted", 429),
        ("internal", 500),
        ("unavailable", 503),
        ("deadline_exceeded", 504),
    ];
    STATUSES.iter().find(|(code, _)| coded(&[code])).map(|(_, status)| *status)
}

const QUOTA_CODES: &[&str] = &["insufficient_quota", "billing_error", "billing_hard_limit_reached"];
const QUOTA_TEXTS: &[&str] = &["exceeded your current quota", "credit balance is too low", "insufficient credits"];
const REFUSED_CODES: &[&str] = &["content_filter", "content_policy_violation", "invalid_prompt"];
const RATE_TEXTS: &[&str] = &["rate limit", "too many requests"];
const OVERFLOW_CODES: &[&str] = &["context_length_exceeded", "exceed_context_size_error", "request_too_large"];
const OVERFLOW_TEXTS: &[&str] = &[
    "prompt is too long",
    "maximum context length",
    "maximum model length",
    "context length",
    "context window",
    "context size",
    "exceed context limit",
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
        "tokens allowed ",
        "only supports up to ",
        "limit for this model is ",
        "exceeds the limit of ",
        "cannot exceed ",
        "configured limit of ",
        "available context size (",
        "context size of ",
        "context length of only ",
        "context length of ",
        "context length is only ",
        "maximum model length of ",
        "exceeds the limit of ",
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

/// An error's words, with those of what caused it.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// As much of a text as a person is shown.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", text[..end].trim_end_matches('…')),
        None => text.to_owned(),
    }
}

/// A provider's words, fit to be shown: no control characters, one line; a web page is only named.
pub(crate) fn plain(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "it says nothing more".to_owned();
    }
    if text.starts_with('<') {
        return "a web page instead of an answer; check base_url".to_owned();
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
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
                r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token count (1200293) exceeds the maximum number of tokens allowed (1048576)."}}"#.to_owned(),
                Some(1_048_576),
            ),
            (
                400,
                r#"{"error":{"message":"The input token count exceeds the maximum number of tokens allowed 1048576."}}"#
                    .to_owned(),
                Some(1_048_576),
            ),
            (
                400,
                r#"{"error":{"message":"Unable to submit request because the input token count is 1179659 but model only supports up to 1048576. Reduce it."}}"#.to_owned(),
                Some(1_048_576),
            ),
            (
                400,
                r#"{"message":"too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292."}"#
                    .to_owned(),
                Some(4081),
            ),
            (
                400,
                r#"{"message":"too many tokens: size limit exceeded by 11326 tokens. The limit for this model is 128000 tokens."}"#.to_owned(),
                Some(128_000),
            ),
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
        for (words, limit) in [
            ("the model is loaded with context length of only 4096 tokens, which is not enough", 4096),
            ("However, the model's context length is only 4096 tokens", 4096),
            ("The decoder prompt (length 50000) is longer than the maximum model length of 40960.", 40_960),
            ("Context window exceeded: 306234 tokens exceeds the limit of 272000 tokens", 272_000),
        ] {
            assert_eq!(kind(400, &openai("", words)), Kind::Overflow(Some(limit)), "{words}");
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
        let google = |status: &str| of(&format!(r#"{{"error":{{"status":"{status}","message":"m"}}}}"#));
        assert_eq!(google("RESOURCE_EXHAUSTED"), Kind::RateLimited);
        assert_eq!(google("PERMISSION_DENIED"), Kind::Authentication);
        assert_eq!(google("INVALID_ARGUMENT"), Kind::Rejected);
        assert_eq!(google("UNAVAILABLE"), Kind::Unavailable);
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
    fn delays_are_read_from_words_where_no_header_says_them() {
        let delay = |said: &str| asked(&said.to_lowercase()).map(|delay| delay.as_millis());
        assert_eq!(delay("Rate limit reached. Please try again in 898ms."), Some(898));
        assert_eq!(delay("Please try again in 11.054s. Visit https://x"), Some(11_054));
        assert_eq!(delay("Please try again in 6m0.5s."), Some(360_500));
        assert_eq!(delay("Please retry after 26 seconds."), Some(26_000));
        assert_eq!(delay("Please try again in a while"), None);
        assert_eq!(delay("Please try again in 5"), None);
        assert_eq!(delay("slow down"), None);
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "3".parse().unwrap());
        let limited = from_response(429, &headers, &openai("rate_limit_exceeded", "Please try again in 9s."));
        assert_eq!(limited.retry_after, Some(Duration::from_secs(3)), "a header says it better");
    }

    #[test]
    fn p9_a_key_where_the_words_are_cut_is_not_shown_by_half() {
        let key = Credential::Key("sk-canary-0123456789".into());
        for before in MESSAGE_CHARS - 25..MESSAGE_CHARS + 5 {
            let said = format!("{} sk-canary-0123456789 and more", "x".repeat(before));
            let body = serde_json::json!({"error": {"message": said}}).to_string();
            let fault = from_response(400, &HeaderMap::new(), &body).without(&key);
            assert!(!fault.into_error("a/b", "KEY").to_string().contains("sk-can"), "{before}");
        }
    }

    #[test]
    fn words_are_shown_without_controls_keys_or_pages() {
        assert_eq!(plain("a\u{1b}[31mb\r\n c"), "a [31mb c");
        assert_eq!(plain("<!doctype html><title>404</title>"), "a web page instead of an answer; check base_url");
        let long = short(&"é".repeat(600));
        assert_eq!((long.chars().count(), short(&long)), (MESSAGE_CHARS + 1, long));
        let key = Credential::Key("sk-canary-7".into());
        let fault = Fault::new(Kind::Authentication, "Incorrect API key provided: sk-canary-7").without(&key);
        assert_eq!(
            fault.into_error("openai/gpt", "OPENAI_API_KEY").to_string(),
            "openai/gpt refuses the key (HTTP 401: Incorrect API key provided: [key]); check OPENAI_API_KEY"
        );
    }
}
