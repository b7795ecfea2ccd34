use super::*;
use crate::model::fault::Kind;
use crate::model::wire::testing::*;
use crate::model::{StopReason, StreamEvent};
use crate::protocol::Usage;

fn wire() -> Anthropic {
    Anthropic { model: Model { id: "claude".to_owned(), ..Model::default() } }
}

/// A transcript of data lines, each under the name of its type.
fn transcript(events: &[&str]) -> String {
    let event = |data: &&str| {
        let kind = serde_json::from_str::<serde_json::Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
        format!("event: {kind}\ndata: {data}\n\n")
    };
    events.iter().map(event).collect()
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5-5","content":[],"stop_reason":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":0,"cache_read_input_tokens":4096,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn reading() -> String {
    transcript(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Reading 🦀."}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"read","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"path\":"}}"#,
        r#"{"type":"a_type_of_tomorrow","index":1}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"\"a.rs\"}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":41}}"#,
        STOP,
    ])
}

#[test]
fn text_and_a_call() {
    let turn = turn(&wire(), &reading()).unwrap();
    assert_eq!(listed(&turn), ["text Reading 🦀.", r#"call toolu_1 read {"path":"a.rs"}"#]);
    assert_eq!(turn.stop, StopReason::ToolUse);
    let usage = Usage { input: Some(12), output: Some(41), cache_read: Some(4096), cache_write: Some(0) };
    assert_eq!(turn.usage, usage);
}

#[test]
fn a_connection_that_breaks_anywhere_runs_no_call() {
    let transcript = reading();
    cut_everywhere(&wire(), &transcript, transcript.len());
}

#[test]
fn reasoning_is_kept_with_its_signature_and_opaque_blocks_byte_for_byte() {
    let turn = turn(
        &wire(),
        &transcript(&[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let me \"see\""}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQB"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"Ab==", "more": 1}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"thinking","thinking":"unsigned"}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"x","name":"web","input":{}}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4}}"#,
            STOP,
        ]),
    )
    .unwrap();
    assert_eq!(
        listed(&turn),
        [
            r#"reasoning Let me "see" raw={"signature":"EqQB","thinking":"Let me \"see\"","type":"thinking"}"#,
            r#"reasoning  raw={"type":"redacted_thinking","data":"Ab==", "more": 1}"#,
            "reasoning unsigned raw=none",
        ]
    );
}

#[test]
fn a_call_without_pieces_has_an_empty_object_and_one_with_its_input_at_the_start_has_that() {
    let turn = turn(
        &wire(),
        &transcript(&[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"list","input":{}}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"b","name":"read","input":{"path":"x"}}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            STOP,
        ]),
    )
    .unwrap();
    assert_eq!(listed(&turn), ["call a list {}", r#"call b read {"path":"x"}"#]);
}

#[test]
fn a_call_left_open_at_the_output_limit_is_cut_and_anywhere_else_a_broken_turn() {
    let of = |reason: &str| {
        let delta = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#);
        transcript(&[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"write","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"path\":\"a\"}"}}"#,
            &delta,
            STOP,
        ])
    };
    let cut = turn(&wire(), &of("max_tokens")).unwrap();
    assert_eq!((listed(&cut).len(), cut.cut_calls, cut.stop), (0, vec!["write".to_owned()], StopReason::MaxTokens));
    assert_eq!(turn(&wire(), &of("tool_use")).unwrap_err().kind, Kind::Broken);
}

#[test]
fn stop_reasons() {
    let of = |delta: &str| {
        let delta = format!(r#"{{"type":"message_delta","delta":{delta}}}"#);
        turn(&wire(), &transcript(&[START, &delta, STOP])).unwrap().stop
    };
    assert_eq!(of(r#"{"stop_reason":"end_turn"}"#), StopReason::End);
    assert_eq!(of(r#"{"stop_reason":"stop_sequence"}"#), StopReason::End);
    assert_eq!(of(r#"{"stop_reason":"pause_turn"}"#), StopReason::Pause);
    assert_eq!(of(r#"{"stop_reason":"model_context_window_exceeded"}"#), StopReason::MaxTokens);
    assert_eq!(
        of(
            r#"{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"Not that."}}"#
        ),
        StopReason::Refusal("Not that.".to_owned())
    );
    assert_eq!(of(r#"{"stop_reason":"refusal"}"#), StopReason::Refusal("the model declined to go on".to_owned()));
    let unknown = StopReason::Refusal("it stopped for a reason that is not known here (of_tomorrow)".to_owned());
    assert_eq!(of(r#"{"stop_reason":"of_tomorrow"}"#), unknown);
    let none = turn(&wire(), &transcript(&[START, STOP])).unwrap_err();
    assert_eq!((none.kind, none.message.as_str()), (Kind::Broken, "the message stopped without a reason"));
}

#[test]
fn an_error_in_the_stream_is_what_it_would_have_been_before_it() {
    let error = |body: &str| turn(&wire(), &transcript(&[START, body])).unwrap_err().kind;
    let of = |kind: &str| error(&format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#));
    assert_eq!(of("overloaded_error"), Kind::Unavailable);
    assert_eq!(of("rate_limit_error"), Kind::RateLimited);
    assert_eq!(of("authentication_error"), Kind::Authentication);
    assert_eq!(of("invalid_request_error"), Kind::Rejected);
    assert_eq!(turn(&wire(), "data: {not json\n\n").unwrap_err().kind, Kind::Garbled);
}

#[test]
fn figures_that_are_missing_null_or_all_zero_are_not_known() {
    let of = |usage: &str| {
        let start = format!(r#"{{"type":"message_start","message":{{"content":[],"usage":{usage}}}}}"#);
        let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
        turn(&wire(), &transcript(&[&start, delta, STOP])).unwrap().usage
    };
    assert_eq!(of("null"), Usage::default());
    assert_eq!(of("{}"), Usage::default());
    assert_eq!(of(r#"{"input_tokens":null,"output_tokens":3}"#), Usage { output: Some(3), ..Usage::default() });
    assert_eq!(of(r#"{"input_tokens":0,"output_tokens":0}"#).sent(), None);
    assert_eq!(of(r#"{"input_tokens":0,"cache_read_input_tokens":9}"#).sent(), Some(9));
}

#[test]
fn an_answer_in_one_piece_is_the_same_turn() {
    let mut events = std::collections::VecDeque::new();
    let body = r#"{"id":"m","type":"message","role":"assistant","content":[{"type":"text","text":"Reading 🦀."},
        {"type":"tool_use","id":"toolu_1","name":"read","input":{"path":"a.rs"}}],"stop_reason":"tool_use",
        "usage":{"input_tokens":12,"cache_read_input_tokens":4096,"cache_creation_input_tokens":0,"output_tokens":41}}"#;
    wire().decoder().whole(body, &mut events).unwrap();
    let whole = assembled(&events.into_iter().map(Ok).collect()).finish().unwrap();
    let streamed = turn(&wire(), &reading()).unwrap();
    assert_eq!((listed(&whole), whole.usage, whole.stop), (listed(&streamed), streamed.usage, streamed.stop));

    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(wire().decoder().whole(error, &mut Default::default()).unwrap_err().kind, Kind::Unavailable);
}

#[test]
fn text_is_told_piece_by_piece() {
    let told = events(&wire(), &reading(), 10_000);
    let texts: Vec<_> =
        told.iter().flatten().filter(|event| matches!(event, StreamEvent::CallArguments { .. })).collect();
    assert_eq!(texts.len(), 2);
}

#[test]
fn a_difficult_history() {
    let body = body(&wire(), "anthropic/claude", difficult("anthropic/claude"));
    insta::assert_snapshot!(lines(body), @r##"
    {"content":[{"text":"Mend it.","type":"text"}],"role":"user"}
    {"content":[{"signature":"s1","thinking":"First","type":"thinking"},{"data":"opaque","type":"redacted_thinking"},{"text":"Reading.","type":"text"},{"id":"toolu_1","input":{"big":1.2345678901234568e+22,"path":"a.rs"},"name":"read","type":"tool_use"},{"id":"functions_read_0_c216cab2de2e56d5","input":{},"name":"read","type":"tool_use"}],"role":"assistant"}
    {"content":[{"content":"fn a() {}","tool_use_id":"toolu_1","type":"tool_result"},{"content":"the arguments do not parse","is_error":true,"tool_use_id":"functions_read_0_c216cab2de2e56d5","type":"tool_result"},{"text":"And hurry.","type":"text"},{"cache_control":{"type":"ephemeral"},"text":"Well?","type":"text"}],"role":"user"}
    {"content":[{"text":"Done.","type":"text"},{"text":"Really.","type":"text"}],"role":"assistant"}
    {"content":[{"cache_control":{"type":"ephemeral"},"text":"Thanks.","type":"text"}],"role":"user"}
    {"max_tokens":16384,"messages":null,"model":"claude","stream":true,"system":[{"cache_control":{"type":"ephemeral"},"text":"You edit code.","type":"text"}],"tools":[{"description":"Does list.","input_schema":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"},"name":"list"},{"cache_control":{"type":"ephemeral"},"description":"Does read.","input_schema":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"},"name":"read"}]}
    "##);
    let raw = String::from_utf8(sent(&wire(), "anthropic/claude", &request(difficult("anthropic/claude")))).unwrap();
    for exact in [
        r#"{"type":"thinking", "thinking":"First","signature":"s1"}"#,
        r#"{"data":"opaque","type":"redacted_thinking"}"#,
        r#""input":{ "path": "a.rs", "big": 12345678901234567890123 }"#,
    ] {
        assert!(raw.contains(exact), "{exact} is not byte for byte in {raw}");
    }
}

#[test]
fn another_models_reasoning_is_not_sent() {
    let body = body(&wire(), "anthropic/claude", difficult("anthropic/another"));
    assert!(!body.to_string().contains("thinking"), "{body}");
}

#[test]
fn what_the_settings_say_is_sent() {
    let set = Anthropic { model: Model { max_output: Some(100), temperature: Some(0.5), ..wire().model } };
    let of =
        |request: &Request| serde_json::from_slice::<serde_json::Value>(&set.body(request, true).unwrap()).unwrap();
    let mut request = request(vec![user("hi")]);
    assert_eq!((&of(&request)["max_tokens"], &of(&request)["temperature"]), (&100.into(), &0.5.into()));
    request.max_output = Some(7);
    assert_eq!(of(&request)["max_tokens"], 7);
}

#[test]
fn the_marks_of_the_cache_are_on_the_last_two_messages_of_the_user() {
    let mut history = vec![user("a")];
    for at in ["1", "2", "3"] {
        history.extend([said("us", vec![call(at, "read", "{}")]), results(&[(at, true, "b")])]);
    }
    let body = body(&wire(), "us", history);
    let marked = |message: &serde_json::Value| message.to_string().contains("cache_control");
    let marked: Vec<bool> = body["messages"].as_array().unwrap().iter().map(marked).collect();
    // Between them is a whole step: a search for what is cached goes back no more than twenty blocks from a mark.
    assert_eq!(marked, [false, false, false, false, true, false, true]);
}

#[test]
fn ids_of_other_providers_fit_and_stay_apart() {
    let ids = ["a.b", "a_b", "a:b", "call-1"];
    let calls = ids.iter().map(|id| call(id, "read", "{}")).collect();
    let answers: Vec<_> = ids.iter().map(|id| (*id, true, "x")).collect();
    let body = body(&wire(), "us", vec![user("a"), said("them", calls), results(&answers)]);
    let sent = |message: usize, name: &str| -> Vec<String> {
        let parts = body["messages"][message]["content"].as_array().unwrap();
        parts.iter().map(|part| part[name].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(sent(1, "id"), sent(2, "tool_use_id"));
    assert_eq!(sent(1, "id").iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    assert_eq!((sent(1, "id")[1].as_str(), sent(1, "id")[3].as_str()), ("a_b", "call-1"), "what fits stays");
    let fits = |id: &String| id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    assert!(sent(1, "id").iter().all(fits), "{:?}", sent(1, "id"));
}

#[test]
fn an_error_is_known_by_the_name_of_its_event_whatever_it_holds() {
    let error =
        |data: &str| turn(&wire(), &format!("{}event: error\ndata: {data}\n\n", transcript(&[START]))).unwrap_err();
    let overloaded = error(r#"{"error":{"type":"overloaded_error","message":"Overloaded"}}"#);
    assert_eq!((overloaded.kind, overloaded.message.as_str()), (Kind::Unavailable, "Overloaded"));
    assert_eq!(error(r#""Rate limit reached""#).kind, Kind::RateLimited);
    assert_eq!(error("upstream is gone").message, "upstream is gone");
    let nameless =
        turn(&wire(), "data: {\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}\n\n").unwrap_err();
    assert_eq!(nameless.kind, Kind::RateLimited);
}

#[test]
fn what_nobody_knows_may_have_any_shape() {
    let transcript = transcript(&[
        START,
        r#"{"type":"of_tomorrow","index":"x","message":[1],"content_block":3,"delta":"d","usage":"none","error":null}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"of_tomorrow","text":{},"name":[],"id":1}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"of_tomorrow","text":{},"partial_json":1}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"So."}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{},"text":["x"]}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
        STOP,
    ]);
    assert_eq!(listed(&turn(&wire(), &transcript).unwrap()), ["text So."]);
    let known = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":{}}}"#;
    assert_eq!(turn(&wire(), &super::tests::transcript(&[START, known])).unwrap_err().kind, Kind::Garbled);
}
