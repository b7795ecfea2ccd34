use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::*;
use crate::model::wire::testing::*;
use crate::model::{Block, Item, StopReason, StreamEvent, Turn};
use crate::protocol::Usage;

const OWN: &str = "cohere/command-a";

fn wire() -> Cohere {
    Cohere { model: Model { id: "command-a".to_owned(), ..Model::default() } }
}

fn transcript(events: &[&str]) -> String {
    events.iter().map(|data| format!("data: {data}\n\n")).collect()
}

/// The same with the name of each event before its data and not in it, as the wire's other form has it.
fn named(events: &[&str]) -> String {
    let event = |data: &&str| {
        let mut data: Value = serde_json::from_str(data).unwrap();
        let kind = data.as_object_mut().unwrap().remove("type").unwrap();
        format!("event: {}\ndata: {data}\n\n", kind.as_str().unwrap())
    };
    events.iter().map(event).collect()
}

fn end(reason: &str) -> String {
    format!(r#"{{"type":"message-end","delta":{{"finish_reason":"{reason}"}}}}"#)
}

/// The turn of these events and an end.
fn turn_of(events: &[&str], reason: &str) -> Result<Turn, Fault> {
    let end = end(reason);
    let events: Vec<&str> = events.iter().copied().chain([end.as_str()]).collect();
    turn(&wire(), &transcript(&events))
}

fn whole(body: &str) -> Result<Turn, Fault> {
    let mut events = Default::default();
    wire().decoder().whole(body, &mut events)?;
    Ok(assembled(&events.into_iter().map(Ok).collect()).finish().unwrap())
}

const READING: &[&str] = &[
    r#"{"type":"message-start","id":"m1","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
    r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"Reading"}}}"#,
    r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":" 🦀."}}}"#,
    r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"read_1","type":"function","function":{"name":"read","arguments":""}}}}}"#,
    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"path\":"}}}}}"#,
    r#"{"type":"an-event-of-tomorrow","index":0,"delta":{"what":1}}"#,
    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"\"a.rs\"}"}}}}}"#,
    r#"{"type":"tool-call-end","index":0}"#,
    r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"billed_units":{"input_tokens":20,"output_tokens":17},"tokens":{"input_tokens":50.0,"output_tokens":17},"cached_tokens":10}}}"#,
];

#[test]
fn a_plan_and_a_call() {
    for transcript in [transcript(READING), named(READING)] {
        let turn = turn(&wire(), &transcript).unwrap();
        assert_eq!(listed(&turn), ["text Reading 🦀.", r#"call read_1 read {"path":"a.rs"}"#]);
        assert_eq!(turn.stop, StopReason::ToolUse);
        let usage = Usage { input: Some(40), output: Some(17), cache_read: Some(10), cache_write: None };
        assert_eq!(turn.usage, usage);
    }
}

#[test]
fn a_connection_that_breaks_anywhere_runs_no_call() {
    let whole = transcript(READING);
    cut_everywhere(&wire(), &whole, whole.len());
    let marked = format!("{whole}data: [DONE]\n\n");
    cut_everywhere(&wire(), &marked, whole.len());
    let unfinished = transcript(&READING[..READING.len() - 1]) + "data: [DONE]\n\n";
    assert_eq!(turn(&wire(), &unfinished).unwrap_err().message, "the stream ended before message-end");
}

#[test]
fn an_answer_in_one_piece_is_the_same_turn() {
    let streamed = turn(&wire(), &transcript(READING)).unwrap();
    let whole_turn = whole(
        r#"{"id":"m1","finish_reason":"TOOL_CALL","message":{"role":"assistant","tool_plan":"Reading 🦀.","tool_calls":[
        {"id":"read_1","type":"function","function":{"name":"read","arguments":"{\"path\":\"a.rs\"}"}}]},
        "usage":{"tokens":{"input_tokens":50,"output_tokens":17},"cached_tokens":10}}"#,
    )
    .unwrap();
    let of = |turn: &Turn| (listed(turn), turn.usage, turn.stop.clone());
    assert_eq!(of(&whole_turn), of(&streamed));

    let streamed = turn_of(THINKING, "COMPLETE").unwrap();
    let whole_turn = whole(
        r#"{"id":"m1","finish_reason":"COMPLETE","message":{"role":"assistant","content":[
        {"type":"thinking","thinking":"Let me \"see\"."},{"type":"text","text":"Done."}]}}"#,
    )
    .unwrap();
    assert_eq!(of(&whole_turn), of(&streamed));

    assert_eq!(whole(r#"{"message":"too many requests"}"#).unwrap_err().kind, Kind::RateLimited);
    let failed = whole(r#"{"finish_reason":"ERROR","message":{"role":"assistant"}}"#).unwrap_err();
    assert_eq!(failed.kind, Kind::Unavailable);
}

const THINKING: &[&str] = &[
    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"Let me "}}}}"#,
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"\"see\"."}}}}"#,
    r#"{"type":"content-end","index":0}"#,
    r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":"Do"}}}}"#,
    r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":2,"text":"Do","sources":[]}}}}"#,
    r#"{"type":"citation-end","index":0}"#,
    r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"ne."}}}}"#,
    r#"{"type":"content-end","index":1}"#,
];

#[test]
fn thinking_is_told_as_reasoning_and_goes_back_as_it_came() {
    let turn = turn_of(THINKING, "COMPLETE").unwrap();
    let own = r#"{"thinking":"Let me \"see\".","type":"thinking"}"#;
    assert_eq!(listed(&turn), [&format!(r#"reasoning Let me "see". raw={own}"#), "text Done."]);
    assert_eq!(turn.stop, StopReason::End);

    let said = Item::Assistant { model: OWN.into(), origin: OWN.into(), blocks: turn.blocks, partial: false };
    let body = body(&wire(), OWN, vec![user("Go."), said]);
    let expected = format!(r#"[{own},{{"text":"Done.","type":"text"}}]"#);
    assert_eq!(body["messages"][2]["content"].to_string(), expected);
}

#[test]
fn calls_in_every_shape() {
    let calls = |events: &[&str]| listed(&turn_of(events, "TOOL_CALL").unwrap());
    let interleaved = calls(&[
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","function":{"name":"read","arguments":""}}}}}"#,
        r#"{"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"id":"b","function":{"name":"list"}}}}}"#,
        r#"{"type":"tool-call-delta","index":1,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"path\":"}}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"path\":\"x\"}"}}}}}"#,
        r#"{"type":"tool-call-end","index":0}"#,
        r#"{"type":"tool-call-delta","index":1,"delta":{"message":{"tool_calls":{"function":{"arguments":"\"y\"}"}}}}}"#,
        r#"{"type":"tool-call-end","index":1}"#,
    ]);
    assert_eq!(interleaved, [r#"call a read {"path":"x"}"#, r#"call b list {"path":"y"}"#]);

    let without_ids_or_indexes_and_in_lists = calls(&[
        r#"{"type":"tool-call-start","delta":{"message":{"tool_calls":[{"function":{"name":"read","arguments":{"path":"x"}}}]}}}"#,
        r#"{"type":"tool-call-end"}"#,
        r#"{"type":"tool-call-start","delta":{"message":{"tool_calls":[{"function":{"name":"list","arguments":null}}]}}}"#,
        r#"{"type":"tool-call-end"}"#,
    ]);
    assert_eq!(without_ids_or_indexes_and_in_lists, [r#"call (made up) read {"path":"x"}"#, "call (made up) list {}"]);

    let start = r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","function":{"name":"list","arguments":"{"}}}}}"#;
    let rest =
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"}"}}}}}"#;
    let end = r#"{"type":"tool-call-end","index":0}"#;
    let content = r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"text","text":"Now"}}}}"#;
    let more = r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"."}}}}"#;
    let content_end = r#"{"type":"content-end","index":0}"#;
    let beside_a_content_of_the_same_number = calls(&[content, start, content_end, rest, end]);
    assert_eq!(beside_a_content_of_the_same_number, ["text Now", "call a list {}"]);
    let before_it = calls(&[start, content, rest, end, more, content_end]);
    assert_eq!(before_it, ["call a list {}", "text Now."]);

    let nameless = r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a"}}}}"#;
    assert_eq!(turn_of(&[nameless], "TOOL_CALL").unwrap_err().message, "a tool call came without a name");
}

#[test]
fn a_call_left_open_at_the_output_limit_is_cut_and_anywhere_else_a_broken_turn() {
    let open = [
        r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I write"}}}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"a","function":{"name":"write","arguments":"{\"path\":\"a\"}"}}}}}"#,
    ];
    let cut = turn_of(&open, "MAX_TOKENS").unwrap();
    assert_eq!((listed(&cut), cut.cut_calls), (vec!["text I write".to_owned()], vec!["write".to_owned()]));
    assert_eq!(cut.stop, StopReason::MaxTokens);
    assert_eq!(turn_of(&open, "TOOL_CALL").unwrap_err().kind, Kind::Broken);
    assert_eq!(turn_of(&[], "TOOL_CALL").unwrap_err().message, "a tool call was announced, but none came");
}

#[test]
fn stop_reasons() {
    let of = |reason: &str| turn_of(&THINKING[4..], reason).map(|turn| turn.stop);
    assert_eq!(of("COMPLETE").unwrap(), StopReason::End);
    assert_eq!(of("STOP_SEQUENCE").unwrap(), StopReason::End);
    assert_eq!(of("MAX_TOKENS").unwrap(), StopReason::MaxTokens);
    assert_eq!(turn_of(&READING[..8], "COMPLETE").unwrap().stop, StopReason::ToolUse);
    assert_eq!(turn_of(&READING[..8], "TOOL_CALL").unwrap().stop, StopReason::ToolUse);
    let unknown = StopReason::Refusal("it stopped for a reason that is not known here (OF_TOMORROW)".to_owned());
    assert_eq!(turn_of(&READING[..8], "OF_TOMORROW").unwrap().stop, unknown, "and no call is run");
    for reason in ["ERROR", "TIMEOUT"] {
        let fault = of(reason).unwrap_err();
        assert!(fault.kind == Kind::Unavailable && fault.retryable(), "{fault:?}");
    }
    assert_eq!(of("").unwrap_err().kind, Kind::Broken);
    let error = |words: &str| {
        let end = format!(r#"{{"type":"message-end","delta":{{"finish_reason":"ERROR","error":"{words}"}}}}"#);
        turn(&wire(), &transcript(&[THINKING[4], &end])).unwrap_err()
    };
    let fault = error("the model is gone");
    assert_eq!((fault.message.as_str(), fault.retryable()), ("the model is gone", true));
    assert_eq!(error("too many tokens: the limit for this model is 100 tokens").kind, Kind::Overflow(Some(100)));
}

#[test]
fn figures_that_are_missing_null_or_zero_are_not_known() {
    let of = |usage: &str| {
        let end = format!(r#"{{"type":"message-end","delta":{{"finish_reason":"COMPLETE","usage":{usage}}}}}"#);
        turn(&wire(), &transcript(&[&end])).unwrap().usage
    };
    assert_eq!(of("null"), Usage::default());
    assert_eq!(of(r#"{"billed_units":{"input_tokens":9},"tokens":null,"cached_tokens":null}"#), Usage::default());
    assert_eq!(
        of(r#"{"tokens":{"input_tokens":0,"output_tokens":3.0}}"#),
        Usage { output: Some(3), ..Usage::default() }
    );
    assert_eq!(of(r#"{"tokens":{"input_tokens":5}}"#).sent(), Some(5));
}

#[test]
fn errors_in_place_of_an_event() {
    let of = |data: &str| turn(&wire(), &transcript(&[THINKING[4], data])).unwrap_err().kind;
    assert_eq!(of(r#"{"message":"internal server error"}"#), Kind::Unavailable);
    assert_eq!(of(r#"{"type":"error","message":"too many requests"}"#), Kind::RateLimited);
    assert_eq!(of("{"), Kind::Garbled);
}

#[test]
fn errors_by_status() {
    let trial = |unit: &str| format!("You are using a Trial key, which is limited to 40 API calls / {unit}.");
    let cases = [
        (400, "invalid request: list of documents must not be empty".to_owned(), Kind::Rejected),
        (
            400,
            "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.".to_owned(),
            Kind::Overflow(Some(4081)),
        ),
        (400, "too many tokens: size limit exceeded by 11326 tokens.".to_owned(), Kind::Overflow(None)),
        (
            400,
            "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192.".to_owned(),
            Kind::Rejected,
        ),
        (401, "invalid api token".to_owned(), Kind::Authentication),
        (402, "Please add or update your payment method".to_owned(), Kind::Quota),
        (403, "not allowed".to_owned(), Kind::Authentication),
        (404, "model 'x' not found".to_owned(), Kind::Rejected),
        (422, "schema is wrong".to_owned(), Kind::Rejected),
        (429, trial("minute"), Kind::RateLimited),
        (429, trial("month"), Kind::Quota),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute".to_owned(), Kind::RateLimited),
        (498, "blocked output".to_owned(), Kind::Refused),
        (499, "request cancelled".to_owned(), Kind::Unavailable),
        (500, "internal server error".to_owned(), Kind::Unavailable),
        (501, "not implemented".to_owned(), Kind::Unavailable),
        (503, "busy".to_owned(), Kind::Unavailable),
        (504, "late".to_owned(), Kind::Unavailable),
    ];
    for (status, message, kind) in cases {
        let body = serde_json::json!({"id": "e1", "message": message}).to_string();
        let fault = wire().fault(status, &HeaderMap::new(), &body);
        assert_eq!((fault.kind, fault.status, fault.message), (kind, Some(status), message));
    }
}

#[test]
fn delays_are_read_from_either_header() {
    let headers = |pairs: &[(&'static str, &str)]| {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        HeaderMap::from_iter(pairs.iter().map(pair))
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let reset = |value: &str| until_reset(&headers(&[("x-ratelimit-reset", value)]), now);
    assert_eq!(reset("1800000012"), Some(Duration::from_secs(12)));
    assert_eq!(reset("1799999999"), None);
    assert_eq!(reset("soon"), None);
    assert_eq!(reset("18446744073709551615"), None);

    let both = headers(&[("x-ratelimit-reset", "9999999999"), ("retry-after", "7")]);
    assert_eq!(wire().fault(429, &both, "{}").retry_after, Some(Duration::from_secs(7)));
    let far = wire().fault(429, &headers(&[("x-ratelimit-reset", "9999999999")]), "{}").retry_after;
    assert!(far.is_some_and(|delay| delay > Duration::from_secs(60)));
}

#[test]
fn a_difficult_history() {
    let body = body(&wire(), OWN, difficult(OWN));
    insta::assert_snapshot!(lines(body), @r##"
    {"content":"You edit code.","role":"system"}
    {"content":"Mend it.","role":"user"}
    {"content":[{"signature":"s1","thinking":"First","type":"thinking"},{"data":"opaque","type":"redacted_thinking"}],"role":"assistant","tool_calls":[{"function":{"arguments":"{ \"path\": \"a.rs\", \"big\": 12345678901234567890123 }","name":"read"},"id":"toolu_1","type":"function"},{"function":{"arguments":"{}","name":"read"},"id":"functions.read:0","type":"function"}],"tool_plan":"Reading."}
    {"content":"{\"output\":\"fn a() {}\"}","role":"tool","tool_call_id":"toolu_1"}
    {"content":"{\"error\":\"the arguments do not parse\"}","role":"tool","tool_call_id":"functions.read:0"}
    {"content":"And hurry.\n\nWell?","role":"user"}
    {"content":[{"signature":"s3","thinking":"After","type":"thinking"},{"text":"Done.","type":"text"},{"text":"Really.","type":"text"}],"role":"assistant"}
    {"content":"Thanks.","role":"user"}
    {"messages":null,"model":"command-a","stream":true,"tools":[{"function":{"description":"Does list.","name":"list","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"},{"function":{"description":"Does read.","name":"read","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"}]}
    "##);
}

#[test]
fn what_was_said_before_and_between_calls_is_their_plan() {
    let items = vec![
        user("Go."),
        said("other/model", vec![text("First."), call("a", "read", "{}"), text("Then."), call("b", "list", "{}")]),
        results(&[("a", true, "x"), ("b", true, "y")]),
        said(OWN, vec![call("c", "list", "{}")]),
        results(&[("c", true, "z")]),
    ];
    insta::assert_snapshot!(lines(body(&wire(), OWN, items)), @r##"
    {"content":"You edit code.","role":"system"}
    {"content":"Go.","role":"user"}
    {"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"read"},"id":"a","type":"function"},{"function":{"arguments":"{}","name":"list"},"id":"b","type":"function"}],"tool_plan":"First.\n\nThen."}
    {"content":"{\"output\":\"x\"}","role":"tool","tool_call_id":"a"}
    {"content":"{\"output\":\"y\"}","role":"tool","tool_call_id":"b"}
    {"role":"assistant","tool_calls":[{"function":{"arguments":"{}","name":"list"},"id":"c","type":"function"}]}
    {"content":"{\"output\":\"z\"}","role":"tool","tool_call_id":"c"}
    {"messages":null,"model":"command-a","stream":true,"tools":[{"function":{"description":"Does list.","name":"list","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"},{"function":{"description":"Does read.","name":"read","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"}]}
    "##);
}

#[test]
fn another_models_thinking_is_not_sent() {
    let thought =
        Block::Reasoning { text: "Hm.".to_owned(), raw: Some(raw(r#"{"type":"thinking","thinking":"Hm."}"#)) };
    let items = || vec![user("Go."), said("cohere/other", vec![thought.clone(), text("Yes.")]), user("And?")];
    assert!(!body(&wire(), OWN, items()).to_string().contains("thinking"));
    assert!(body(&wire(), "cohere/other", items()).to_string().contains("thinking"));
}

#[test]
fn what_the_settings_say_is_sent() {
    let set = Cohere { model: Model { max_output: Some(100), temperature: Some(0.5), ..wire().model } };
    let of = |request: &Request| serde_json::from_slice::<Value>(&set.body(request, false).unwrap()).unwrap();
    let mut request = request(vec![user("hi")]);
    assert_eq!((&of(&request)["max_tokens"], &of(&request)["temperature"]), (&100.into(), &0.5.into()));
    assert_eq!(of(&request)["stream"], false);
    request.max_output = Some(7);
    assert_eq!(of(&request)["max_tokens"], 7);
}

#[test]
fn the_plan_is_told_piece_by_piece_and_ends_where_the_calls_begin() {
    let told = events(&wire(), &transcript(READING), 10_000);
    let kinds: Vec<_> = told
        .iter()
        .flatten()
        .map(|event| match event {
            StreamEvent::Text { text, .. } => text.as_str(),
            StreamEvent::CallStarted { .. } => "call",
            StreamEvent::CallArguments { json, .. } => json.as_str(),
            StreamEvent::BlockStopped { .. } => "stopped",
            StreamEvent::Finished(_) => "finished",
            _ => "figures",
        })
        .collect();
    let arguments = [r#"{"path":"#, r#""a.rs"}"#];
    let expected = ["Reading", " 🦀.", "stopped", "call", arguments[0], arguments[1], "stopped", "figures", "finished"];
    assert_eq!(kinds, expected);
}

#[test]
fn the_key_is_a_bearer() {
    let url = reqwest::Url::parse("https://localhost/").unwrap();
    let sent = Sent { url: &url, body: b"", now: UNIX_EPOCH };
    let headers = wire().headers(&Credential::Key("canary".into()), &sent).unwrap();
    assert_eq!(headers["authorization"], "Bearer canary");
    assert_eq!(wire().path(true), "/v2/chat");
}
