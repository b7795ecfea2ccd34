use super::*;
use crate::model::StopReason;
use crate::model::fault::Kind;
use crate::model::wire::testing::*;
use crate::protocol::Usage;

fn wire() -> OpenaiChat {
    OpenaiChat { model: Model { id: "gpt-4.1".to_owned(), ..Model::default() }, own_host: true }
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
}

#[test]
fn an_answer_of_nothing_may_be_an_overflow_and_the_person_is_told() {
    let nothing = delta(r#"{"role":"assistant","content":""}"#);
    let usage = |output: u64| {
        format!(
            r#"{{"choices":[],"usage":{{"prompt_tokens":36000,"completion_tokens":{output},"total_tokens":36000}}}}"#
        )
    };
    let of = |chunks: &[&str]| turn(&wire(), &transcript(chunks));
    for (empty, kind) in [
        (of(&[]), Kind::Broken),
        (of(&["[DONE]"]), Kind::Overflow(None)),
        (of(&[&nothing, "[DONE]"]), Kind::Overflow(None)),
        // It would say the same again.
        (of(&[&nothing, &finish("stop"), "[DONE]"]), Kind::Garbled),
        (of(&[&nothing, &finish("stop"), &usage(0), "[DONE]"]), Kind::Garbled),
    ] {
        let fault = empty.unwrap_err();
        assert_eq!(fault.kind, kind, "{fault:?}");
        insta::allow_duplicates! { insta::assert_snapshot!(fault.message, @"the answer is empty; a local server answers so when the conversation is longer than the context that the model was loaded with"); }
    }
    assert_eq!(of(&[&nothing]).unwrap_err().kind, Kind::Broken, "it ended, and did not say so");
    assert_eq!(of(&[&nothing, &finish("stop"), &usage(1)]).unwrap().stop, StopReason::End, "it chose to say nothing");
    assert_eq!(of(&[&finish("model_context_window_exceeded")]).unwrap_err().kind, Kind::Overflow(None));
    let filled = turn_of(&[r#"{"content":"a"}"#], "model_context_window_exceeded").unwrap();
    assert_eq!(filled.stop, StopReason::MaxTokens);
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

    let object = calls(&[
        r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"read","arguments":{"z": 1, "n": 12345678901234567890}}}]}"#,
    ]);
    assert_eq!(object, [r#"call a read {"z": 1, "n": 12345678901234567890}"#]);

    let the_old_form = turn_of(
        &[
            r#"{"function_call":{"name":"read","arguments":""}}"#,
            r#"{"function_call":{"arguments":"{\"path\":"}}"#,
            r#"{"function_call":{"arguments":"\"x\"}"}}"#,
        ],
        "function_call",
    )
    .unwrap();
    assert_eq!(listed(&the_old_form), [r#"call (made up) read {"path":"x"}"#]);
    assert_eq!(the_old_form.stop, StopReason::ToolUse);
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
        let reasoning = format!(r#"reasoning Hmm. raw={{"{name}":"Hmm."}}"#);
        assert_eq!(listed(&turn.unwrap()), [reasoning.as_str(), "text Yes."]);
    }
    let turn = turn_of(&[r#"{"reasoning_content":"","reasoning":"Hm."}"#, r#"{"content":"Yes."}"#], "stop").unwrap();
    assert_eq!(listed(&turn), [r#"reasoning Hm. raw={"reasoning":"Hm."}"#, "text Yes."]);
    let parts =
        turn_of(&[r#"{"content":[{"type":"text","text":"Yes"},{"type":"image"},"x"]}"#, r#"{"content":{}}"#], "stop");
    assert_eq!(listed(&parts.unwrap()), ["text Yes"]);
}

#[test]
fn no_call_of_an_answer_that_was_cut_off_is_kept() {
    let first = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"read","arguments":"{}"}}]}"#;
    let second = r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"write","arguments":"{\"path\":\"x"}}]}"#;
    let turn = turn_of(&[first, second], "length").unwrap();
    assert!(listed(&turn).is_empty());
    assert_eq!((turn.cut_calls.join(" "), turn.stop), ("read write".to_owned(), StopReason::MaxTokens));
}

#[test]
fn refusals_and_filters() {
    let said = turn_of(&[r#"{"refusal":"I can"}"#, r#"{"refusal":"not."}"#], "stop").unwrap();
    assert_eq!(said.stop, StopReason::Refusal("I cannot.".to_owned()));
    let reason = "the provider's content filter stopped the answer";
    let filtered = turn_of(&[r#"{"content":"a"}"#], "content_filter").unwrap();
    assert_eq!((listed(&filtered), filtered.stop), (vec!["text a".to_owned()], StopReason::Refusal(reason.to_owned())));
    let cut = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"write","arguments":"{\"pa"}}]}"#;
    assert_eq!(turn_of(&[cut], "content_filter").unwrap().cut_calls, ["write"]);
    let blocked = r#"{"error":{"message":"The prompt was filtered","code":"content_filter","param":"prompt"}}"#;
    assert_eq!(wire().fault(400, &HeaderMap::new(), blocked).kind, Kind::Refused);
}

#[test]
fn errors_under_a_good_status() {
    let error = |chunk: &str| turn(&wire(), &transcript(&[chunk])).unwrap_err().kind;
    assert_eq!(error(r#"{"error":{"message":"slow","code":429}}"#), Kind::RateLimited);
    assert_eq!(error(r#"{"error":{"message":"x","type":"server_error","code":null}}"#), Kind::Unavailable);
    assert_eq!(error(r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#), Kind::Overflow(None));
    assert_eq!(error(&finish("error")), Kind::Unavailable);
    assert_eq!(
        error(
            r#"{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}"#
        ),
        Kind::Overflow(Some(8))
    );
    assert_eq!(
        error(r#"{"choices":[{"delta":{},"finish_reason":"error","error":{"code":429,"message":"slow"}}]}"#),
        Kind::RateLimited
    );
    let named = |data: &str| turn(&wire(), &format!("event: error\ndata: {data}\n\n")).unwrap_err();
    let studio = "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens";
    assert_eq!(named(&format!(r#"{{"message":"{studio}"}}"#)).kind, Kind::Overflow(Some(4096)));
    assert_eq!(named(studio).kind, Kind::Overflow(Some(4096)));
    assert_eq!(error("{"), Kind::Garbled);
}

#[test]
fn figures_that_are_missing_or_zero_are_not_known() {
    let of = |usage: &str| {
        let chunk = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        let said = delta(r#"{"content":"a"}"#);
        turn(&wire(), &transcript(&[&said, &finish("stop"), &chunk, "[DONE]"])).unwrap().usage
    };
    assert_eq!(of("null"), Usage::default());
    assert_eq!(of(r#"{"prompt_tokens":0,"completion_tokens":null}"#), Usage::default());
    assert_eq!(of(r#"{"prompt_tokens":5}"#).sent(), Some(5));
    let cached = Usage { input: Some(2), cache_read: Some(3), ..Usage::default() };
    assert_eq!(of(r#"{"prompt_tokens":5,"prompt_cache_hit_tokens":3}"#), cached);
    assert_eq!(of(r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":3}}"#), cached);
    let beside = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop","usage":{"completion_tokens":4}}]}"#;
    assert_eq!(turn(&wire(), &transcript(&[beside])).unwrap().usage.output, Some(4));
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
    let body = body(&wire(), "openai/gpt-4.1", difficult("openai/gpt-4.1"));
    insta::assert_snapshot!(lines(body), @r##"
    {"content":"You edit code.","role":"system"}
    {"content":"Mend it.","role":"user"}
    {"content":"Reading.","role":"assistant","tool_calls":[{"function":{"arguments":"{ \"path\": \"a.rs\", \"big\": 12345678901234567890123 }","name":"read"},"id":"toolu_1","type":"function"},{"function":{"arguments":"{}","name":"read"},"id":"functions.read:0","type":"function"}]}
    {"content":"fn a() {}","role":"tool","tool_call_id":"toolu_1"}
    {"content":"the arguments do not parse","role":"tool","tool_call_id":"functions.read:0"}
    {"content":"And hurry.\n\nWell?","role":"user"}
    {"content":"Done.\n\nReally.","role":"assistant"}
    {"content":"Thanks.","role":"user"}
    {"messages":null,"model":"gpt-4.1","store":false,"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true},"tools":[{"function":{"description":"Does list.","name":"list","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"},{"function":{"description":"Does read.","name":"read","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"type":"function"}]}
    "##);
}

#[test]
fn compatible_servers_get_the_old_spelling_and_nothing_of_openais_own() {
    let of = |own_host| {
        let wire =
            OpenaiChat { own_host, model: Model { max_output: Some(9), temperature: Some(0.0), ..wire().model } };
        let mut request = request(vec![user("hi")]);
        request.cache_key = Some("session-7".into());
        let mut body: serde_json::Value = serde_json::from_slice(&wire.body(&request, true).unwrap()).unwrap();
        let body = body.as_object_mut().unwrap();
        body.retain(|name, _| !matches!(name.as_str(), "messages" | "tools"));
        serde_json::to_string(&body).unwrap()
    };
    insta::assert_snapshot!(of(true), @r#"{"max_completion_tokens":9,"model":"gpt-4.1","prompt_cache_key":"session-7","store":false,"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true},"temperature":0.0}"#);
    insta::assert_snapshot!(of(false), @r#"{"max_tokens":9,"model":"gpt-4.1","stream":true,"stream_options":{"include_usage":true},"temperature":0.0}"#);
}

#[test]
fn long_ids_fit_openai_and_stay_together() {
    let long = "x".repeat(64);
    let history = vec![user("a"), said("them", vec![call(&long, "read", "{}")]), results(&[(&long, true, "b")])];
    let body = body(&wire(), "us", history);
    let id = body["messages"][2]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() <= 40, "{id}");
    assert_eq!(body["messages"][3]["tool_call_id"], id);
}

#[test]
fn p5_an_error_behind_the_finish_reason_does_not_undo_the_turn() {
    let transcript = transcript(&[
        &delta(r#"{"content":"Done."}"#),
        &finish("stop"),
        r#"{"error":{"message":"overloaded","code":503}}"#,
    ]);
    let turn = turn(&wire(), &transcript).unwrap();
    assert_eq!((listed(&turn), turn.stop), (vec!["text Done.".to_owned()], StopReason::End));
}

fn compatible() -> OpenaiChat {
    OpenaiChat { own_host: false, ..wire() }
}

/// A model whose makers want its reasoning back.
fn deepseek() -> OpenaiChat {
    OpenaiChat { model: Model { id: "deepseek-reasoner".to_owned(), ..Model::default() }, own_host: false }
}

/// The messages of the model as they are sent, after an answer of these deltas.
fn replayed(wire: &OpenaiChat, deltas: &[&str], others: Vec<crate::model::Item>) -> Vec<String> {
    let blocks = turn_of(deltas, "tool_calls").unwrap().blocks;
    let items = [others, vec![user("a"), said("us", blocks), results(&[("c", true, "x")])]].concat();
    let body = String::from_utf8(sent(wire, "us", &request(items))).unwrap();
    let parts = body.split(r#"{"role":""#).filter(|part| part.starts_with("assistant"));
    parts.map(|part| part.trim_end_matches(',').to_owned()).collect()
}

const CALLED: &str = r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"list","arguments":"{}"}}]}"#;

#[test]
fn reasoning_goes_back_to_a_compatible_server_in_the_field_in_which_it_came() {
    let thought = [r#"{"reasoning_content":"Let me "}"#, r#"{"reasoning_content":"\"see\"."}"#, CALLED];
    insta::assert_snapshot!(replayed(&deepseek(), &thought, vec![]).concat(), @r#"assistant","content":null,"reasoning_content":"Let me \"see\".","tool_calls":[{"id":"c","type":"function","function":{"name":"list","arguments":"{}"}}]}"#);
    let ollama = [r#"{"reasoning":"Hm."}"#, CALLED];
    insta::assert_snapshot!(replayed(&deepseek(), &ollama, vec![]).concat(), @r#"assistant","content":null,"reasoning":"Hm.","tool_calls":[{"id":"c","type":"function","function":{"name":"list","arguments":"{}"}}]}"#);
    for other in [wire(), compatible()] {
        assert!(
            !replayed(&other, &thought, vec![]).concat().contains("reasoning"),
            "who does not want it does not get it"
        );
    }
    let none = replayed(&compatible(), &[CALLED], vec![]).concat();
    assert!(!none.contains("reasoning"), "who gave nothing gets nothing: {none}");
}

#[test]
fn a_server_that_wants_its_reasoning_back_finds_the_field_in_every_message() {
    // DeepSeek refuses the whole history for one message without it, whoever said that.
    let others = vec![user("a"), said("them", vec![text("Yes.")])];
    let sent = replayed(&deepseek(), &[r#"{"reasoning_content":"Hm."}"#, CALLED], others);
    assert!(sent[0].contains(r#""content":"Yes.","reasoning_content":"""#), "{sent:?}");
    assert!(sent[1].contains(r#""reasoning_content":"Hm.""#), "{sent:?}");
}

#[test]
fn the_details_of_openrouter_go_back_merged_and_in_order() {
    let claude = [
        r#"{"reasoning":"Let me ","reasoning_details":[{"type":"reasoning.text","text":"Let me ","format":"anthropic-claude-v1","index":0}]}"#,
        r#"{"reasoning":"see.","reasoning_details":[{"type":"reasoning.text","text":"see.","format":"anthropic-claude-v1","index":0}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","signature":"EqQ/B==","format":"anthropic-claude-v1","index":0}]}"#,
        r#"{"reasoning":"And","reasoning_details":[{"type":"reasoning.text","text":"And","format":"anthropic-claude-v1","index":0}]}"#,
        r#"{"content":"Reading."}"#,
        CALLED,
    ];
    insta::assert_snapshot!(replayed(&compatible(), &claude, vec![]).concat(), @r#"assistant","content":"Reading.","reasoning_details":[{"format":"anthropic-claude-v1","index":0,"signature":"EqQ/B==","text":"Let me see.","type":"reasoning.text"},{"type":"reasoning.text","text":"And","format":"anthropic-claude-v1","index":0}],"tool_calls":[{"id":"c","type":"function","function":{"name":"list","arguments":"{}"}}]}"#);
    let gemini = [
        r#"{"reasoning":"Hm.","reasoning_details":[{"type":"reasoning.text","text":"Hm.","format":"google-gemini-v1","index":0}]}"#,
        r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"list","arguments":"{}"}}],"reasoning_details":[{"type":"reasoning.encrypted", "data":"CiQB\/", "id":"c","format":"google-gemini-v1","index":0}]}"#,
    ];
    insta::assert_snapshot!(replayed(&compatible(), &gemini, vec![]).concat(), @r#"assistant","content":null,"reasoning_details":[{"type":"reasoning.text","text":"Hm.","format":"google-gemini-v1","index":0},{"type":"reasoning.encrypted", "data":"CiQB\/", "id":"c","format":"google-gemini-v1","index":0}],"tool_calls":[{"id":"c","type":"function","function":{"name":"list","arguments":"{}"}}]}"#);
    // Summaries are merged alike; another number or another id is another one.
    let openai = [
        r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"One ","index":0},{"type":"reasoning.summary","summary":"Two","index":1}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"one.","index":0},{"type":"reasoning.encrypted","data":"x","id":"rs_1"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"a"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"b"}]}"#,
        CALLED,
    ];
    insta::assert_snapshot!(replayed(&compatible(), &openai, vec![]).concat(), @r#"assistant","content":null,"reasoning_details":[{"index":0,"summary":"One one.","type":"reasoning.summary"},{"type":"reasoning.summary","summary":"Two","index":1},{"type":"reasoning.encrypted","data":"x","id":"rs_1"},{"text":"ab","type":"reasoning.text"}],"tool_calls":[{"id":"c","type":"function","function":{"name":"list","arguments":"{}"}}]}"#);
    assert_eq!(
        listed(&turn_of(&openai, "tool_calls").unwrap())[0],
        "reasoning One Twoone.ab raw=none",
        "and it is shown"
    );
    assert!(!replayed(&wire(), &claude, vec![]).concat().contains("reasoning_details"));
}

#[test]
fn what_came_beside_a_call_goes_back_beside_it() {
    let google = r#"{"tool_calls":[{"index":0,"id":"c","extra_content":{"google": {"thought_signature":"CiQB\/"}},"function":{"name":"list","arguments":"{}"}}]}"#;
    insta::assert_snapshot!(replayed(&compatible(), &[google], vec![]).concat(), @r#"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"list","arguments":"{}"},"extra_content":{"google": {"thought_signature":"CiQB\/"}}}]}"#);
    assert!(!replayed(&wire(), &[google], vec![]).concat().contains("extra_content"));
}

#[test]
fn after_results_a_model_may_have_nothing_to_say() {
    let of = |last: crate::model::Item, chunks: &[&str]| {
        let asked = request(vec![user("a"), said("us", vec![call("c", "list", "{}")]), last]);
        let pieces = vec![Ok(bytes::Bytes::from(transcript(chunks)))];
        let told = told(compatible().decoder_of(&asked), pieces);
        told.last().unwrap().clone().map_err(|fault| fault.kind)
    };
    let answered = || results(&[("c", true, "x")]);
    let counted = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":0}}"#;
    let end = crate::model::StreamEvent::Finished(StopReason::End);
    assert_eq!(format!("{:?}", of(answered(), &[&finish("stop"), counted])), format!("{:?}", Ok::<_, Kind>(end)));
    assert_eq!(of(answered(), &[&finish("stop")]).unwrap_err(), Kind::Garbled, "nothing was counted");
    assert_eq!(of(user("b"), &[&finish("stop"), counted]).unwrap_err(), Kind::Garbled, "the person waits for a word");
}
