//! Azure OpenAI, as <https://learn.microsoft.com/azure/ai-foundry/openai/reference> has it: what OpenAI says, at other
//! paths, with another key and with the findings of filters.

use serde_json::{Value, json};

use super::openai_responses::Responses;
use super::rules::{absent, bearer, fields, filled, header, path, posted, wrong};
use super::{
    Answer, Asked, CANARY, Checked, Dialect, Event, Reply, Style, Transcript, Trouble, openai_chat, openai_responses,
};

/// The path without a date in it, which speaks Responses; it knows Chat as well.
pub(super) struct V1;

/// The path of a deployment, at the interface of a date.
pub(super) struct Dated;

const DEPLOYMENTS: &str = "/openai/deployments/";

impl Dialect for V1 {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/openai/v1/")
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        proven(asked)?;
        posted(asked)?;
        if asked.uri.path() == "/openai/v1/chat/completions" {
            path(asked, "/openai/v1/chat/completions", None)?;
            fields(asked.body, &["model", "messages"], openai_chat::OPTIONAL)?;
            filled(&asked.body["model"], "model")?;
            return openai_chat::check(asked.body);
        }
        path(asked, "/openai/v1/responses", None)?;
        openai_responses::check(asked.body)
    }

    fn styles(&self) -> Vec<Style> {
        openai_responses::styles()
    }

    fn stream(&self, answer: &Answer, style: Style) -> Transcript {
        let filters = |response: &mut Value| {
            response["content_filters"] =
                json!([{"blocked": false, "source_type": "completion", "content_filter_results": harmless()}])
        };
        openai_responses::stream(answer, style, &filters)
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        Responses.whole(answer, style)
    }

    fn error(&self, trouble: Trouble) -> Reply {
        match trouble {
            Trouble::Overflow => openai_responses::error(trouble),
            other => error(other),
        }
    }

    fn reported(&self, trouble: Trouble) -> Option<Event> {
        openai_responses::reported(trouble)
    }

    fn unknown(&self) -> Event {
        openai_responses::unknown()
    }
}

impl Dialect for Dated {
    fn name(&self) -> &'static str {
        "azure-dated"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with(DEPLOYMENTS)
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        proven(asked)?;
        posted(asked)?;
        let deployment =
            asked.uri.path().strip_prefix(DEPLOYMENTS).and_then(|rest| rest.strip_suffix("/chat/completions"));
        if deployment.is_none_or(|name| name.is_empty() || name.contains('/')) {
            return Err((404, "Resource not found".to_owned()));
        }
        let version = asked.uri.query().and_then(|query| query.strip_prefix("api-version=")).unwrap_or_default();
        let date = version.strip_suffix("-preview").unwrap_or(version);
        let dated = date.len() == 10
            && date
                .bytes()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
        if !dated {
            return Err((404, format!("Resource not found: the api-version {version:?}")));
        }
        let mut optional = openai_chat::OPTIONAL.to_vec();
        optional.push("model");
        fields(asked.body, &["messages"], &optional)?;
        openai_chat::check(asked.body)
    }

    fn shape(&self, answer: Answer) -> Answer {
        openai_chat::Chat.shape(answer)
    }

    fn styles(&self) -> Vec<Style> {
        openai_chat::Chat.styles()
    }

    fn stream(&self, answer: &Answer, style: Style) -> Transcript {
        let mut stream = openai_chat::stream(answer, style, &|choice| choice["content_filter_results"] = harmless());
        let prompt = json!([{"prompt_index": 0, "content_filter_results": harmless()}]);
        let first =
            json!({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": prompt});
        stream.events.insert(0, Event::new("", &first));
        stream.terminal += 1;
        stream
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        let mut whole = openai_chat::whole(answer, style);
        whole["choices"][0]["content_filter_results"] = harmless();
        whole["prompt_filter_results"] = json!([{"prompt_index": 0, "content_filter_results": harmless()}]);
        whole
    }

    fn limit(&self) -> Option<u64> {
        openai_chat::Chat.limit()
    }

    fn error(&self, trouble: Trouble) -> Reply {
        error(trouble)
    }

    fn reported(&self, trouble: Trouble) -> Option<Event> {
        openai_chat::reported(trouble)
    }

    fn unknown(&self) -> Event {
        openai_chat::unknown()
    }
}

/// A key of its own, or a token, and not both.
fn proven(asked: &Asked<'_>) -> Checked {
    absent(asked, &["x-api-key", "x-goog-api-key"])?;
    match (asked.headers.contains_key("api-key"), asked.headers.contains_key("authorization")) {
        (true, false) => header(asked, "api-key", CANARY, 401),
        (false, true) => bearer(asked),
        (true, true) => wrong("both a key and a token"),
        (false, false) => Err((401, "Access denied due to missing subscription key.".to_owned())),
    }
}

fn harmless() -> Value {
    json!({"hate": {"filtered": false, "severity": "safe"}, "violence": {"filtered": false, "severity": "safe"}})
}

fn error(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Authentication => Reply::error(
            401,
            json!({"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription."}}),
        ),
        Trouble::NotFound => Reply::error(
            404,
            json!({"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}),
        ),
        Trouble::RateLimit(seconds) => Reply::error(
            429,
            json!({"error": {"code": "429", "message": format!("Requests to the ChatCompletions_Create Operation have exceeded call rate limit of your current pricing tier. Please retry after {seconds} seconds.")}}),
        )
        .header("retry-after", &seconds.to_string()),
        Trouble::Filter => {
            let found = json!({"hate": {"filtered": true, "severity": "high"}});
            Reply::error(
                400,
                json!({"error": {
                    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.",
                    "type": null, "param": "prompt", "code": "content_filter", "status": 400,
                    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": found}
                }}),
            )
        }
        other => openai_chat::error(other),
    }
}
