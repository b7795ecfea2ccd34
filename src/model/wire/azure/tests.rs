use super::*;
use crate::model::fault::Kind;
use crate::model::http::Http;
use crate::model::wire::testing::*;
use crate::model::{StopReason, Turn};

fn model() -> Model {
    Model { id: "my gpt/4.1".to_owned(), max_output: Some(19), ..Model::default() }
}

fn dated() -> Azure {
    Azure::dated(model(), "2024-10-21".to_owned())
}

fn transcript(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

const PROMPT: &str = r#"{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"violence":{"filtered":false,"severity":"safe"}}}]}"#;
const TEXT: &str = r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"Reading."},"finish_reason":null,"content_filter_results":{"violence":{"filtered":false,"severity":"safe"}}}],"usage":null}"#;

fn answered(chunks: &[&str]) -> Turn {
    turn(&dated(), &transcript(&[&[PROMPT], chunks, &["[DONE]"]].concat())).unwrap()
}

#[test]
fn each_door_has_its_address() {
    let address = |wire: &Azure| {
        let http = Http::new("https://mine.openai.azure.com/", false, std::time::Duration::ZERO).unwrap();
        http.url(&wire.path(true)).to_string()
    };
    assert_eq!(address(&Azure::v1(model())), "https://mine.openai.azure.com/openai/v1/responses");
    assert_eq!(
        address(&dated()),
        "https://mine.openai.azure.com/openai/deployments/my%20gpt%2F4.1/chat/completions?api-version=2024-10-21"
    );
}

#[test]
fn the_key_has_a_header_of_its_own() {
    let url = "https://mine.openai.azure.com".parse().unwrap();
    let sent = Sent { url: &url, body: b"", now: std::time::SystemTime::UNIX_EPOCH };
    for wire in [Azure::v1(model()), dated()] {
        let headers = wire.headers(&Credential::Key("canary".into()), &sent).unwrap();
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["api-key"], "canary");
        assert!(!format!("{headers:?}").contains("canary"));
        assert!(wire.headers(&Credential::None, &sent).unwrap().is_empty());
    }
}

#[test]
fn the_dated_door_gets_no_field_that_came_after_it() {
    let mut request = request(vec![user("hi")]);
    request.cache_key = Some("session-7".into());
    request.tools = [].into();
    let body = String::from_utf8(dated().body(&request, true).unwrap()).unwrap();
    insta::assert_snapshot!(body, @r#"{"model":"my gpt/4.1","messages":[{"role":"system","content":"You edit code."},{"role":"user","content":"hi"}],"max_completion_tokens":19,"stream":true,"stream_options":{"include_usage":true}}"#);
    let body = String::from_utf8(Azure::v1(model()).body(&request, true).unwrap()).unwrap();
    insta::assert_snapshot!(body, @r#"{"model":"my gpt/4.1","instructions":"You edit code.","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"max_output_tokens":19,"store":false,"include":["reasoning.encrypted_content"],"truncation":"disabled","prompt_cache_key":"session-7","stream":true}"#);
}

#[test]
fn the_results_of_the_filters_are_no_answer() {
    let call = r#"{"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"read","arguments":"{}"}}]},"finish_reason":null}]}"#;
    let finish =
        r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls","content_filter_results":{}}]}"#;
    let usage = r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1}}"#;
    let turn = answered(&[TEXT, call, finish, usage]);
    assert_eq!(listed(&turn), ["text Reading.", "call call_1 read {}"]);
    assert_eq!((turn.stop, turn.usage.input), (StopReason::ToolUse, Some(5)));
}

#[test]
fn the_responses_door_answers_as_openai_does() {
    let item = r#"{"type":"message","id":"m","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Reading."}]}"#;
    let end = format!(r#"{{"type":"response.completed","response":{{"status":"completed","output":[{item}]}}}}"#);
    assert_eq!(listed(&turn(&Azure::v1(model()), &transcript(&[&end])).unwrap()), ["text Reading."]);
}

#[test]
fn a_filter_that_stops_the_answer_is_named() {
    let finish = r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"content_filter","content_filter_results":{"hate":{"filtered":false,"severity":"safe"},"violence":{"filtered":true,"severity":"medium"}}}]}"#;
    let turn = answered(&[TEXT, finish]);
    let reason = "the provider's content filter stopped the answer (violence)";
    assert_eq!((listed(&turn), turn.stop), (vec!["text Reading.".to_owned()], StopReason::Refusal(reason.to_owned())));
}

#[test]
fn a_prompt_that_is_blocked_is_refused_with_the_filters_reason() {
    let chat = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":false,"severity":"safe"},"jailbreak":{"filtered":true,"detected":true},"violence":{"filtered":true,"severity":"high"}}}}}"#;
    let responses = r#"{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":"invalid_request_error","param":"prompt","code":"content_filter","content_filters":[{"blocked":true,"source_type":"prompt","content_filter_results":{"jailbreak":{"detected":true,"filtered":true},"hate":{"filtered":false},"violence":{"filtered":true}}}]}}"#;
    for (wire, body) in [(dated(), chat), (Azure::v1(model()), responses)] {
        let fault = wire.fault(400, &HeaderMap::new(), body);
        assert_eq!(fault.kind, Kind::Refused);
        insta::allow_duplicates! { insta::assert_snapshot!(fault.message, @"The response was filtered due to the prompt triggering Azure OpenAI's content management policy. (jailbreak, violence)"); }
    }
}

#[test]
fn errors_are_told_in_azures_words() {
    let fault = |status, body: &str| dated().fault(status, &HeaderMap::new(), body);
    let missing =
        r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#;
    insta::assert_snapshot!(fault(404, missing).message, @"there is no deployment my gpt/4.1: The API deployment for this resource does not exist.");
    assert_eq!(fault(404, missing).kind, Kind::Rejected);
    let limited = r#"{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after 26 seconds."}}"#;
    let limited = fault(429, limited);
    assert_eq!((limited.kind, limited.retry_after), (Kind::RateLimited, Some(std::time::Duration::from_secs(26))));
    let denied =
        r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key or wrong API endpoint."}}"#;
    assert_eq!(fault(401, denied).kind, Kind::Authentication);
    let overflow = r#"{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
    assert_eq!(fault(400, overflow).kind, Kind::Overflow(Some(128_000)));
}

#[test]
fn a_token_of_entra_is_a_bearer() {
    let url = "https://mine.openai.azure.com".parse().unwrap();
    let sent = Sent { url: &url, body: b"", now: std::time::SystemTime::UNIX_EPOCH };
    let headers = |key: &str| dated().headers(&Credential::Key(key.into()), &sent).unwrap();
    let token = headers("eyJ0eXAiOiJKV1Qi.eyJhdWQiOiJodHRw.c2lnbmF0dXJl");
    assert_eq!(
        (token.len(), token["authorization"].to_str().unwrap()),
        (1, "Bearer eyJ0eXAiOiJKV1Qi.eyJhdWQiOiJodHRw.c2lnbmF0dXJl")
    );
    assert!(!format!("{token:?}").contains("eyJ"));
    for key in ["eyJ0", "eyJ.a", "eyJ.a.b.c", "0123.eyJ.a"] {
        assert_eq!(headers(key)["api-key"], key, "a key of the resource");
    }
}
