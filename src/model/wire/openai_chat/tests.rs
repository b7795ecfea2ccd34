use super::*;
use crate::model::StopReason;
use crate::model::fault::Kind;
use crate::model::wire::testing::*;
use crate::protocol::Usage;

fn wire() -> OpenaiChat {
    OpenaiChat { model: "gpt-4.1".to_owned(), own_host: true, max_output: None, temperature: None }
}

fn transcript(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

/// A chunk with a delta.
fn delta(delta: &str) -> String {
    format!(r#"{{"id":"c1","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}],"usage":null}}"#)
}

fn finish(reason: &str) -> String {
    format!(r#"{{"id":"c1","choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#)
}

/// The turn of these deltas.
fn turn_of(deltas: &[&str], reason: &str) -> Result<crate::model::Turn, Fault> {
    let chunks: Vec<String> =
        deltas.iter().map(|text| delta(text)).chain([finish(reason), "[DONE]".to_owned()]).collect();
    turn(&wire(), &transcript(&chunks.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn calls(deltas: &[&str]) -> Vec<String> {
    listed(&turn_of(deltas, "tool_calls").unwrap())
}

const FINISH: &str = r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4.1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}],"usage":null}"#;

fn reading() -> String {
    transcript(&[
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4.1","choices":[{"index":0,"delta":{"role":"assistant","content":"Reading 🦀."},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4.1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"read","arguments":""}}]},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4.1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"path\":\"a.rs\"}"}}]},"finish_reason":null}],"usage":null}"#,
        FINISH,
        r#"{"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-4.1","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":17,"total_tokens":67,"prompt_tokens_details":{"cached_tokens":10}}}"#,
        "[DONE]",
    ])
}

#[test]
fn text_and_a_call() {
    let turn = turn(&wire(), &reading()).unwrap();
    assert_eq!(listed(&turn), ["text Reading 🦀.", r#"call call_1 read {"path":"a.rs"}"#]);
    assert_eq!(turn.stop, StopReason::ToolUse);
    let usage = Usage { input: Some(40), output: Some(17), cache_read: Some(10), cache_write: None };
    assert_eq!(turn.usage, usage);
}

#[test]
fn a_connection_that_breaks_anywhere_before_the_finish_runs_no_call() {
    let transcript = reading();
    // With the blank line after it the finish is an event.
    let finish = transcript.find(FINISH).unwrap() + FINISH.len() + 2;
    cut_everywhere(&wire(), &transcript, finish);
}

#[test]
fn the_end_mark_may_be_missing_spaced_or_doubled() {
    let base = [delta(r#"{"content":"a"}"#), finish("stop")].map(|chunk| format!("data: {chunk}\n\n")).concat();
    for end in ["", "data: [DONE]\n\n", "data:  [DONE] \n\ndata: [DONE]\n\n", ": bye\n\n"] {
        let turn = turn(&wire(), &format!("{base}{end}")).unwrap();
        assert_eq!((listed(&turn), turn.stop), (vec!["text a".to_owned()], StopReason::End), "{end:?}");
    }
    let unfinished = format!("data: {}\n\ndata: [DONE]\n\n", delta(r#"{"content":"a"}"#));
    assert_eq!(turn(&wire(), &unfinished).unwrap_err().kind, Kind::Broken);
    assert_eq!(turn(&wire(), "").unwrap_err().message, "the answer is empty");
}

#[test]
fn calls_in_every_shape_that_servers_send() {
    let interleaved = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"read","arguments":""}},{"index":1,"id":"b","function":{"name":"list","arguments":""}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"arguments":"{\"path\":"}},{"index":0,"function":{"arguments":"{\"path\":\"x\"}"}}]}"#,
        r#"{"tool_calls":[{"index":1,"function":{"arguments":"\"y\"}"}}]}"#,
    ]);
    assert_eq!(interleaved, [r#"call a read {"path":"x"}"#, r#"call b list {"path":"y"}"#]);

    let whole_without_index = calls(&[
        r#"{"tool_calls":[{"id":"a","function":{"name":"read","arguments":"{\"path\":\"x\"}"}}]}"#,
        r#"{"tool_calls":[{"id":"b","function":{"name":"read","arguments":"{\"path\":\"y\"}"}}]}"#,
    ]);
    assert_eq!(whole_without_index, [r#"call a read {"path":"x"}"#, r#"call b read {"path":"y"}"#]);

    let nothing_but_names = calls(&[
        r#"{"tool_calls":[{"function":{"name":"read","arguments":{"path":"x"}}},{"function":{"name":"list","arguments":null}}]}"#,
    ]);
    assert_eq!(nothing_but_names, [r#"call (made up) read {"path":"x"}"#, "call (made up) list {}"]);

    let all_numbered_zero = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"read","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"list","arguments":"{}"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"find","arguments":"{}"}}]}"#,
    ]);
    assert_eq!(all_numbered_zero, ["call a read {}", "call b list {}", "call (made up) find {}"]);

    let name_and_id_in_every_piece = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"read","arguments":"{\"pa"}}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"read","arguments":"th\":\"x\"}"}}]}"#,
    ]);
    assert_eq!(name_and_id_in_every_piece, [r#"call a read {"path":"x"}"#]);

    let name_late = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{\"path\":"}}]}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"read","arguments":"\"x\"}"}}]}"#,
    ]);
    assert_eq!(name_late, [r#"call a read {"path":"x"}"#]);
}

#[test]
fn a_call_with_the_word_stop_is_run_and_an_announced_one_that_never_came_is_not_an_end() {
    let one = r#"{"tool_calls":[{"id":"call_9","function":{"name":"read","arguments":"{\"path\":\"a.rs\"}"}}]}"#;
    assert_eq!(turn_of(&[r#"{"content":"Reading."}"#, one], "stop").unwrap().stop, StopReason::ToolUse);
    assert_eq!(turn_of(&[r#"{"content":"I"}"#], "tool_calls").unwrap_err().kind, Kind::Broken);
    let nameless = r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]}"#;
    assert_eq!(turn_of(&[nameless], "tool_calls").unwrap_err().message, "a tool call came without a name");
}

#[test]
fn reasoning_comes_under_either_name_and_closes_when_the_text_begins() {
    for name in ["reasoning_content", "reasoning"] {
        let turn = turn_of(
            &[&format!(r#"{{"{name}":"Hm"}}"#), &format!(r#"{{"{name}":"m."}}"#), r#"{"content":"Yes."}"#],
            "stop",
        );
        assert_eq!(listed(&turn.unwrap()), ["reasoning Hmm. raw=none", "text Yes."]);
    }
}

#[test]
fn only_the_last_call_is_cut_at_the_output_limit() {
    let first = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"read","arguments":"{}"}}]}"#;
    let second = r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"write","arguments":"{\"path\":\"x"}}]}"#;
    let turn = turn_of(&[first, second], "length").unwrap();
    assert_eq!(listed(&turn), ["call a read {}"]);
    assert_eq!((turn.cut_calls, turn.stop), (vec!["write".to_owned()], StopReason::MaxTokens));
}

#[test]
fn refusals_and_filters() {
    let said = turn_of(&[r#"{"refusal":"I can"}"#, r#"{"refusal":"not."}"#], "stop").unwrap();
    assert_eq!(said.stop, StopReason::Refusal("I cannot.".to_owned()));
    assert!(matches!(turn_of(&[r#"{"content":"a"}"#], "content_filter").unwrap().stop, StopReason::Refusal(_)));
}

#[test]
fn errors_under_a_good_status() {
    let error = |chunk: &str| turn(&wire(), &transcript(&[chunk])).unwrap_err().kind;
    assert_eq!(error(r#"{"error":{"message":"slow","code":429}}"#), Kind::RateLimited);
    assert_eq!(error(r#"{"error":{"message":"x","type":"server_error","code":null}}"#), Kind::Unavailable);
    assert_eq!(error(r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#), Kind::Overflow(None));
    assert_eq!(error(&finish("error")), Kind::Unavailable);
    assert_eq!(error("{"), Kind::Garbled);
}

#[test]
fn figures_that_are_missing_or_zero_are_not_known() {
    let of = |usage: &str| {
        let chunk = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        turn(&wire(), &transcript(&[&finish("stop"), &chunk, "[DONE]"])).unwrap().usage
    };
    assert_eq!(of("null"), Usage::default());
    assert_eq!(of(r#"{"prompt_tokens":0,"completion_tokens":null}"#), Usage::default());
    assert_eq!(of(r#"{"prompt_tokens":5}"#).sent(), Some(5));
}

#[test]
fn an_answer_in_one_piece_is_the_same_turn() {
    let mut events = std::collections::VecDeque::new();
    let body = r#"{"id":"c1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Reading 🦀.",
        "tool_calls":[{"id":"call_1","type":"function","function":{"name":"read","arguments":"{\"path\":\"a.rs\"}"}}]},
        "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":50,"completion_tokens":17,"prompt_tokens_details":{"cached_tokens":10}}}"#;
    wire().decoder().whole(body, &mut events).unwrap();
    let whole = assembled(&events.into_iter().map(Ok).collect()).finish().unwrap();
    let streamed = turn(&wire(), &reading()).unwrap();
    assert_eq!((listed(&whole), whole.usage, whole.stop), (listed(&streamed), streamed.usage, streamed.stop));
    let error = wire().decoder().whole(r#"{"message":"too many requests"}"#, &mut Default::default()).unwrap_err();
    assert_eq!(error.kind, Kind::RateLimited);
}

#[test]
fn a_difficult_history() {
    let body = body(&wire(), difficult("openai/gpt-4.1"));
    insta::assert_snapshot!(lines(body), @r##"
    {"content":"You edit code.","role":"system"}
    {"content":"Mend it.","role":"user"}
    {"content":"Reading.","role":"assistant","tool_calls":[{"function":{"arguments":"{ \"path\": \"a.rs\", \"big\": 12345678901234567890123 }","name":"read"},"id":"toolu_1","type":"function"},{"function":{"arguments":"{}","name":"read"},"id":"functions.read:0","type":"function"}]}
    {"content":"fn a() {}","role":"tool","tool_call_id":"toolu_1"}
    {"content":"the arguments do not parse","role":"tool","tool_call_id":"functions.read:0"}
    {"content":"And hurry.\n\nWell?","role":"user"}
    {"content":"Done.\n\nReally.","role":"assistant"}
    {"content":"Thanks.","role":"user"}
    {"messages":null,"model":"gpt-4.1","store":false,"stream":true,"stream_options":{"include_usage":true},"tools":[{"function":{"description":"Does list.","name":"list","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"},{"function":{"description":"Does read.","name":"read","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"}]}
    "##);
}

#[test]
fn compatible_servers_get_the_old_spelling_and_nothing_of_openais_own() {
    let of = |own_host| {
        let wire = OpenaiChat { own_host, max_output: Some(9), temperature: Some(0.0), ..wire() };
        let mut body = body(&wire, vec![user("hi")]);
        let body = body.as_object_mut().unwrap();
        body.retain(|name, _| !matches!(name.as_str(), "messages" | "tools"));
        serde_json::to_string(&body).unwrap()
    };
    insta::assert_snapshot!(of(true), @r#"{"max_completion_tokens":9,"model":"gpt-4.1","store":false,"stream":true,"stream_options":{"include_usage":true},"temperature":0.0}"#);
    insta::assert_snapshot!(of(false), @r#"{"max_tokens":9,"model":"gpt-4.1","stream":true,"stream_options":{"include_usage":true},"temperature":0.0}"#);
}
