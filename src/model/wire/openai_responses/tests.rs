use std::collections::{HashSet, VecDeque};

use super::*;
use crate::model::wire::testing::*;
use crate::model::{Block, Item, StopReason, StreamEvent, Turn};
use crate::protocol::Usage;

fn wire() -> OpenaiResponses {
    OpenaiResponses::new(Model { id: "gpt-6-sol".to_owned(), ..Model::default() })
}

/// A transcript of data lines, each under the name of its type.
fn transcript(events: &[&str]) -> String {
    let event = |data: &&str| {
        let kind = serde_json::from_str::<serde_json::Value>(data).unwrap()["type"].as_str().unwrap().to_owned();
        format!("event: {kind}\ndata: {data}\n\n")
    };
    events.iter().map(event).collect()
}

fn turn_of(events: &[&str]) -> Result<Turn, Fault> {
    turn(&wire(), &transcript(events))
}

fn whole(body: &str) -> Result<Turn, Fault> {
    let mut events = VecDeque::new();
    wire().decoder().whole(body, &mut events)?;
    Ok(assembled(&events.into_iter().map(Ok).collect()).finish().unwrap())
}

/// The raw blocks of a turn.
fn raws(turn: &Turn) -> Vec<String> {
    turn.blocks.iter().map(|block| block.raw().map_or("none".to_owned(), |raw| raw.get().to_owned())).collect()
}

const CREATED: &str =
    r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","output":[]}}"#;
const REASONING: &str = r#"{"type":"reasoning", "id":"rs_1","summary":[{"type":"summary_text","text":"Hm."},{"type":"summary_text","text":"So."}],"encrypted_content":"gAAA\u0042"}"#;
const MESSAGE: &str = r#"{"type":"message","id":"msg_1","role":"assistant","status":"completed","phase":"commentary","content":[{"type":"output_text","text":"Reading 🦀.","annotations":[]}]}"#;
const CALL: &str = r#"{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read","arguments":"{\"path\":\"a.rs\"}","status":"completed"}"#;
const OTHER_CALL: &str = r#"{"type":"function_call","id":"fc_2","call_id":"call_2","name":"list","arguments":"{\"path\":\"b\"}","status":"completed"}"#;
const USAGE: &str = r#"{"input_tokens":50,"input_tokens_details":{"cached_tokens":30,"cache_write_tokens":5},"output_tokens":17,"output_tokens_details":{"reasoning_tokens":9},"total_tokens":67}"#;

fn done(index: usize, item: &str) -> String {
    format!(r#"{{"type":"response.output_item.done","output_index":{index},"item":{item}}}"#)
}

fn completed(output: &[&str]) -> String {
    let output = output.join(",");
    format!(
        r#"{{"type":"response.completed","sequence_number":99,"response":{{"id":"resp_1","status":"completed","output":[{output}],"usage":{USAGE}}}}}"#
    )
}

fn reading() -> String {
    let (reasoning, message, call, other) = (done(0, REASONING), done(1, MESSAGE), done(2, CALL), done(3, OTHER_CALL));
    transcript(&[
        CREATED,
        r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA-early"}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","sequence_number":2,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"H"}"#,
        r#"{"type":"response.reasoning_summary_text.delta","sequence_number":3,"item_id":"rs_1","output_index":0,"summary_index":0,"delta":"m."}"#,
        r#"{"type":"response.reasoning_summary_text.done","sequence_number":4,"item_id":"rs_1","output_index":0,"summary_index":0,"text":"Hm."}"#,
        r#"{"type":"response.reasoning_summary_text.delta","sequence_number":5,"item_id":"rs_1","output_index":0,"summary_index":1,"delta":"So."}"#,
        &reasoning,
        r#"{"type":"response.output_item.added","sequence_number":7,"output_index":1,"item":{"type":"message","id":"msg_1","role":"assistant","status":"in_progress","content":[]}}"#,
        r#"{"type":"response.content_part.added","sequence_number":8,"item_id":"msg_1","output_index":1,"content_index":0,"part":{"type":"output_text","text":""}}"#,
        r#"{"type":"response.output_text.delta","sequence_number":9,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"Reading ","logprobs":[]}"#,
        r#"{"type":"response.an_event_of_tomorrow","sequence_number":10,"output_index":1,"delta":{"x":1},"item":[],"text":3}"#,
        r#"{"type":"response.output_text.delta","sequence_number":11,"item_id":"msg_1","output_index":1,"content_index":0,"delta":"🦀.","logprobs":[]}"#,
        r#"{"type":"response.output_text.done","sequence_number":12,"item_id":"msg_1","output_index":1,"content_index":0,"text":"Reading 🦀."}"#,
        &message,
        r#"{"type":"response.output_item.added","sequence_number":14,"output_index":2,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read","arguments":"","status":"in_progress"}}"#,
        r#"{"type":"response.output_item.added","sequence_number":15,"output_index":3,"item":{"type":"function_call","id":"fc_2","call_id":"call_2","name":"list","arguments":"","status":"in_progress"}}"#,
        r#"{"type":"response.function_call_arguments.delta","sequence_number":16,"item_id":"fc_2","output_index":3,"delta":"{\"path\":"}"#,
        r#"{"type":"response.function_call_arguments.delta","sequence_number":17,"item_id":"fc_1","output_index":2,"delta":"{\"path\":\"a.rs\"}"}"#,
        r#"{"type":"response.function_call_arguments.delta","sequence_number":18,"item_id":"fc_2","output_index":3,"delta":"\"b\"}"}"#,
        r#"{"type":"response.function_call_arguments.done","sequence_number":19,"item_id":"fc_1","output_index":2,"arguments":"{\"path\":\"a.rs\"}"}"#,
        &call,
        &other,
        &completed(&[REASONING, MESSAGE, CALL, OTHER_CALL]),
    ])
}

const READ: [&str; 4] = [
    r#"reasoning Hm.

So. raw={"type":"reasoning", "id":"rs_1","summary":[{"type":"summary_text","text":"Hm."},{"type":"summary_text","text":"So."}],"encrypted_content":"gAAA\u0042"}"#,
    "text Reading 🦀.",
    r#"call call_1 read {"path":"a.rs"}"#,
    r#"call call_2 list {"path":"b"}"#,
];

#[test]
fn reasoning_text_and_two_calls() {
    let turn = turn(&wire(), &reading()).unwrap();
    assert_eq!(listed(&turn), READ);
    assert_eq!(raws(&turn), [REASONING, MESSAGE, CALL, OTHER_CALL], "byte for byte, with the phase");
    assert_eq!(turn.stop, StopReason::ToolUse);
    let usage = Usage { input: Some(15), output: Some(17), cache_read: Some(30), cache_write: Some(5) };
    assert_eq!(turn.usage, usage);
}

#[test]
fn the_transcript_of_the_documentation() {
    let item = r#"{"type":"message","id":"msg_1","role":"assistant","status":"completed","phase":"commentary","content":[{"type":"output_text","text":"Reading.","annotations":[]}]}"#;
    let read = turn_of(&[
        CREATED,
        r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","status":"in_progress","content":[]}}"#,
        r#"{"type":"response.output_text.delta","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Reading.","logprobs":[]}"#,
        &format!(r#"{{"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":{item}}}"#),
        r#"{"type":"response.output_item.added","sequence_number":4,"output_index":1,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read","arguments":"","status":"in_progress"}}"#,
        r#"{"type":"response.function_call_arguments.delta","sequence_number":5,"item_id":"fc_1","output_index":1,"delta":"{\"path\":\"a.rs\"}"}"#,
        &format!(r#"{{"type":"response.output_item.done","sequence_number":6,"output_index":1,"item":{CALL}}}"#),
        r#"{"type":"response.completed","sequence_number":7,"response":{"id":"resp_1","status":"completed","output":[],"usage":{"input_tokens":50,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":17,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":67}}}"#,
    ])
    .unwrap();
    assert_eq!(listed(&read), ["text Reading.", r#"call call_1 read {"path":"a.rs"}"#]);
    assert_eq!(raws(&read), [item, CALL]);
    assert_eq!((read.stop, read.usage.input, read.usage.cache_read), (StopReason::ToolUse, Some(50), Some(0)));
}

#[test]
fn a_connection_that_breaks_anywhere_runs_no_call() {
    let transcript = reading();
    cut_everywhere(&wire(), &transcript, transcript.len());
}

#[test]
fn an_answer_in_one_piece_is_the_same_turn_by_the_same_kinds_of_events() {
    let body = format!(
        r#"{{"id":"resp_1","object":"response","status":"completed","error":null,"incomplete_details":null,"output":[{REASONING},{MESSAGE},{CALL},{OTHER_CALL}],"usage":{USAGE}}}"#
    );
    let (whole, streamed) = (whole(&body).unwrap(), turn(&wire(), &reading()).unwrap());
    assert_eq!((listed(&whole), raws(&whole)), (listed(&streamed), raws(&streamed)));
    assert_eq!((whole.usage, whole.stop), (streamed.usage, streamed.stop));

    let mut events = VecDeque::new();
    wire().decoder().whole(&body, &mut events).unwrap();
    let kinds =
        |events: &mut dyn Iterator<Item = &StreamEvent>| -> HashSet<_> { events.map(std::mem::discriminant).collect() };
    let told = self::events(&wire(), &reading(), 10_000);
    assert!(matches!(events.back(), Some(StreamEvent::Finished(_))));
    assert_eq!(kinds(&mut events.iter()), kinds(&mut told.iter().flatten()));
}

#[test]
fn text_is_told_piece_by_piece() {
    let told = events(&wire(), &reading(), 10_000);
    let pieces = |kind: fn(&StreamEvent) -> bool| told.iter().flatten().filter(|event| kind(event)).count();
    assert_eq!(pieces(|event| matches!(event, StreamEvent::Reasoning { .. })), 3);
    assert_eq!(pieces(|event| matches!(event, StreamEvent::Text { .. })), 2);
    assert_eq!(pieces(|event| matches!(event, StreamEvent::CallArguments { .. })), 3);
    assert_eq!(pieces(|event| matches!(event, StreamEvent::BlockStopped { .. })), 4);
}

#[test]
fn what_never_came_in_pieces_is_taken_from_the_items_or_from_the_end() {
    let items = [REASONING, MESSAGE, CALL, OTHER_CALL];
    let dones: Vec<String> = items.iter().enumerate().map(|(at, item)| done(at, item)).collect();
    let mut only_done: Vec<&str> = dones.iter().map(String::as_str).collect();
    let end = completed(&[]);
    only_done.push(&end);
    assert_eq!(listed(&turn_of(&only_done).unwrap()), READ);

    let only_end = turn_of(&[CREATED, &completed(&items)]).unwrap();
    assert_eq!(
        (listed(&only_end).as_slice(), only_end.stop.clone()),
        (READ.map(str::to_owned).as_slice(), StopReason::ToolUse)
    );

    // The reasoning is missing from the stream, the message came in part, one call came whole.
    let mixed = turn_of(&[
        r#"{"type":"response.output_text.delta","item_id":"msg_1","output_index":1,"delta":"Read"}"#,
        &done(2, CALL),
        &completed(&items),
    ])
    .unwrap();
    assert_eq!((listed(&mixed).as_slice(), raws(&mixed)), (READ.map(str::to_owned).as_slice(), raws(&only_end)));
}

#[test]
fn items_that_the_stream_left_out_come_at_the_end_in_their_place() {
    let later = REASONING.replace("rs_1", "rs_2");
    let read = turn_of(&[
        &done(1, MESSAGE),
        &done(2, &later),
        &done(3, CALL),
        &completed(&[REASONING, MESSAGE, &later, CALL]),
    ])
    .unwrap();
    assert_eq!(raws(&read), [REASONING, MESSAGE, &later, CALL]);
}

#[test]
fn items_that_nobody_asked_for_are_no_blocks() {
    let item = r#"{"type":"web_search_call","id":7,"name":{"x":1},"status":["odd"],"arguments":{}}"#;
    let added = format!(r#"{{"type":"response.output_item.added","output_index":0,"item":{item}}}"#);
    let read = turn_of(&[&added, &done(0, item), &done(1, MESSAGE), &completed(&[item, MESSAGE])]).unwrap();
    assert_eq!(raws(&read), [MESSAGE]);
}

#[test]
fn events_that_come_twice_count_once() {
    let once = reading();
    let twice: String = once.split_inclusive("\n\n").flat_map(|event| [event, event]).collect();
    assert_eq!(listed(&turn(&wire(), &twice).unwrap()), READ);
    // A connection that is made anew sends the last events again.
    let events: Vec<&str> = once.split_inclusive("\n\n").collect();
    let again = [&events[..13], &events[8..]].concat().concat();
    assert_eq!(listed(&turn(&wire(), &again).unwrap()), READ);
}

#[test]
fn numbers_that_do_not_rise_say_nothing() {
    let delta = r#"{"type":"response.output_text.delta","sequence_number":0,"delta":"a"}"#;
    let started = r#"{"type":"response.in_progress","sequence_number":0}"#;
    let said = turn_of(&[CREATED, started, delta, delta, &completed(&[])]).unwrap();
    assert_eq!(listed(&said), ["text aa"]);
}

#[test]
fn items_without_numbers_are_told_apart_by_their_names() {
    // As llama.cpp writes them: calls are named by `call_id` alone, everything is closed at the end.
    let reasoning = r#"{"id":"rs_9","summary":[],"type":"reasoning","content":[{"text":"Hm.","type":"reasoning_text"}],"encrypted_content":"","status":"completed"}"#;
    let message = r#"{"type":"message","status":"completed","id":"msg_9","content":[{"type":"output_text","annotations":[],"logprobs":[],"text":"Both."}],"role":"assistant"}"#;
    let call = |id: &str, path: &str| {
        format!(
            r#"{{"type":"function_call","status":"completed","arguments":"{{\"path\":\"{path}\"}}","call_id":"fc_{id}","name":"read"}}"#
        )
    };
    let (one, other) = (call("1", "x"), call("2", "y"));
    let item = |item: &str| format!(r#"{{"type":"response.output_item.done","item":{item}}}"#);
    let read = turn_of(&[
        r#"{"type":"response.output_item.added","item":{"id":"rs_9","summary":[],"type":"reasoning","content":[],"encrypted_content":"","status":"in_progress"}}"#,
        r#"{"type":"response.reasoning_text.delta","delta":"H","item_id":"rs_9"}"#,
        r#"{"type":"response.reasoning_text.delta","delta":"m.","item_id":"rs_9"}"#,
        r#"{"type":"response.output_item.added","item":{"content":[],"id":"msg_9","role":"assistant","status":"in_progress","type":"message"}}"#,
        r#"{"type":"response.output_text.delta","item_id":"msg_9","delta":"Both."}"#,
        r#"{"type":"response.output_item.added","item":{"arguments":"","call_id":"fc_1","name":"read","type":"function_call","status":"in_progress"}}"#,
        r#"{"type":"response.function_call_arguments.delta","delta":"{\"path\":","item_id":"fc_1"}"#,
        r#"{"type":"response.function_call_arguments.delta","delta":"\"x\"}","item_id":"fc_1"}"#,
        r#"{"type":"response.output_item.added","item":{"arguments":"","call_id":"fc_2","name":"read","type":"function_call","status":"in_progress"}}"#,
        r#"{"type":"response.function_call_arguments.delta","delta":"{\"path\":\"y\"}","item_id":"fc_2"}"#,
        &item(reasoning),
        &item(message),
        &item(&one),
        &item(&other),
        &completed(&[reasoning, message, &one, &other]),
    ])
    .unwrap();
    let calls = [r#"call fc_1 read {"path":"x"}"#, r#"call fc_2 read {"path":"y"}"#];
    assert_eq!(listed(&read)[1..], ["text Both.", calls[0], calls[1]]);
    assert_eq!(raws(&read), [reasoning, message, &one, &other]);
}

#[test]
fn items_that_are_named_anew_in_each_event_are_one_each() {
    let read = turn_of(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"A","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"item_id":"B","delta":"a"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"item_id":"C","delta":"b"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","id":"D","content":[{"type":"output_text","text":"ab"}]}}"#,
        &completed(&[r#"{"type":"message","id":"E","content":[{"type":"output_text","text":"ab"}]}"#]),
    ])
    .unwrap();
    assert_eq!(listed(&read), ["text ab"]);
}

#[test]
fn items_that_are_all_numbered_zero_are_told_apart() {
    let call = |id: &str, name: &str| {
        format!(
            r#"{{"type":"function_call","id":"{id}","call_id":"c{id}","name":"{name}","arguments":"{{}}","status":"completed"}}"#
        )
    };
    let (one, other) = (call("1", "read"), call("2", "list"));
    let read = turn_of(&[
        &format!(r#"{{"type":"response.output_item.added","output_index":0,"item":{one}}}"#),
        &format!(r#"{{"type":"response.output_item.added","output_index":0,"item":{other}}}"#),
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"item_id":"1","delta":"{}"}"#,
        &done(0, &one),
        &done(0, &other),
        &completed(&[]),
    ])
    .unwrap();
    assert_eq!(listed(&read), ["call c1 read {}", "call c2 list {}"]);
}

#[test]
fn calls_in_every_shape_that_servers_send() {
    let call = |fields: &str| done(0, &format!(r#"{{"type":"function_call","name":"read",{fields}}}"#));
    let read = |fields: &str| listed(&turn_of(&[&call(fields), &completed(&[])]).unwrap());
    assert_eq!(
        read(r#""call_id":"a","arguments":{"n": 12345678901234567890}"#),
        [r#"call a read {"n": 12345678901234567890}"#]
    );
    assert_eq!(read(r#""call_id":"a","arguments":"""#), ["call a read {}"]);
    assert_eq!(read(r#""call_id":"a""#), ["call a read {}"]);
    assert_eq!(read(r#""id":"fc","arguments":"{}""#), ["call fc read {}"]);
    assert_eq!(read(r#""arguments":null"#), ["call (made up) read {}"]);
    // A whole call with bad arguments is an answer for the model.
    assert_eq!(read(r#""call_id":"a","arguments":"{\"pa""#), [r#"call a read {"pa"#]);

    let late_name = turn_of(&[
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{\"a\":"}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"1}"}"#,
        &call(r#""call_id":"a","arguments":"{\"a\":1}""#),
        &completed(&[]),
    ]);
    assert_eq!(listed(&late_name.unwrap()), [r#"call a read {"a":1}"#]);

    let nameless = done(0, r#"{"type":"function_call","call_id":"a","arguments":"{}"}"#);
    assert_eq!(turn_of(&[&nameless, &completed(&[])]).unwrap_err().message, "a tool call came without a name");
}

#[test]
fn a_call_is_not_run_with_other_arguments_than_its_end_says() {
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read"}}"#;
    let piece = |json: &str| {
        let json = serde_json::to_string(json).unwrap();
        format!(r#"{{"type":"response.function_call_arguments.delta","output_index":0,"delta":{json}}}"#)
    };
    let of = |json: &str| turn_of(&[added, &piece(json), &done(0, CALL), &completed(&[])]);
    assert_eq!(of(r#"{"path":"b.rs"}"#).unwrap_err().kind, Kind::Broken);
    assert_eq!(of(r#"{"path":{"path":"#).unwrap_err().kind, Kind::Broken);
    assert_eq!(listed(&of(r#"{ "path": "a.rs" }"#).unwrap()), [r#"call call_1 read { "path": "a.rs" }"#]);
    assert_eq!(listed(&of(r#"{"pa"#).unwrap()), [r#"call call_1 read {"path":"a.rs"}"#]);
}

#[test]
fn a_response_that_is_completed_in_the_midst_of_a_call_is_broken() {
    let added = r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read"}}"#;
    let piece = r#"{"type":"response.function_call_arguments.delta","output_index":0,"delta":"{}"}"#;
    assert_eq!(turn_of(&[added, piece, &completed(&[])]).unwrap_err().kind, Kind::Broken);
    let whole = r#"{"type":"response.function_call_arguments.done","output_index":0,"arguments":"{}"}"#;
    assert_eq!(listed(&turn_of(&[added, piece, whole, &completed(&[])]).unwrap()), ["call call_1 read {}"]);
}

fn incomplete(reason: &str, output: &str) -> String {
    format!(
        r#"{{"type":"response.incomplete","response":{{"status":"incomplete","incomplete_details":{{"reason":"{reason}"}},"output":[{output}],"usage":{USAGE}}}}}"#
    )
}

#[test]
fn the_calls_of_an_answer_that_was_cut_off_are_dropped() {
    let cut = r#"{"type":"function_call","id":"fc_2","call_id":"call_2","name":"write","arguments":"{}","status":"incomplete"}"#;
    let piece = r#"{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","id":"fc_2","call_id":"call_2","name":"write"}}"#;
    let never_done = [done(0, CALL), piece.to_owned(), incomplete("max_output_tokens", "")];
    let said_so = [done(0, CALL), done(1, cut), incomplete("max_output_tokens", "")];
    let at_the_end = [incomplete("max_output_tokens", &format!("{CALL},{cut}"))];
    let in_progress =
        [incomplete("max_output_tokens", &format!("{CALL},{}", cut.replace("incomplete", "in_progress")))];
    for events in [&never_done[..], &said_so, &at_the_end, &in_progress] {
        let turn = turn_of(&events.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert!(listed(&turn).is_empty(), "{events:?}");
        assert_eq!((turn.cut_calls.join(" "), turn.stop), ("read write".to_owned(), StopReason::MaxTokens));
    }
    let body = format!(
        r#"{{"status":"incomplete","incomplete_details":{{"reason":"max_output_tokens"}},"output":[{CALL},{cut}]}}"#
    );
    assert_eq!(whole(&body).unwrap().cut_calls, ["read", "write"]);
}

#[test]
fn a_text_that_is_cut_off_stands_without_the_providers_own_form() {
    let cut = MESSAGE.replace("completed", "incomplete");
    let turn = turn_of(&[&done(0, &cut), &incomplete("max_output_tokens", &cut)]).unwrap();
    assert_eq!((listed(&turn), raws(&turn)), (vec!["text Reading 🦀.".to_owned()], vec!["none".to_owned()]));
}

#[test]
fn refusals_and_filters() {
    let refused = turn_of(&[
        r#"{"type":"response.refusal.delta","output_index":0,"item_id":"m","delta":"I can"}"#,
        r#"{"type":"response.refusal.delta","output_index":0,"item_id":"m","delta":"not."}"#,
        &done(0, r#"{"type":"message","id":"m","content":[{"type":"refusal","refusal":"I cannot."}]}"#),
        &completed(&[]),
    ]);
    let refused = refused.unwrap();
    assert_eq!((refused.stop, refused.blocks.len()), (StopReason::Refusal("I cannot.".to_owned()), 0));
    let item = r#"{"type":"message","id":"m","content":[{"type":"refusal","refusal":"I cannot."}]}"#;
    assert_eq!(turn_of(&[&completed(&[item])]).unwrap().stop, StopReason::Refusal("I cannot.".to_owned()));
    let ended = r#"{"type":"response.refusal.done","output_index":0,"item_id":"m","refusal":"No."}"#;
    assert_eq!(turn_of(&[ended, &completed(&[])]).unwrap().stop, StopReason::Refusal("No.".to_owned()));

    let filtered = turn_of(&[&incomplete("content_filter", MESSAGE)]).unwrap();
    let reason = "the provider's content filter stopped the answer";
    assert_eq!(filtered.stop, StopReason::Refusal(reason.to_owned()));
    assert_eq!(listed(&filtered), ["text Reading 🦀."]);
}

#[test]
fn reasoning_that_cannot_be_sent_back_is_kept_as_text_alone() {
    let of = |fields: &str| {
        let item = format!(r#"{{"type":"reasoning","id":"rs_1","summary":[],{fields}}}"#);
        turn_of(&[&done(0, &item), &done(1, MESSAGE), &completed(&[])]).unwrap()
    };
    assert_eq!(raws(&of(r#""encrypted_content":null"#)), [MESSAGE], "an id alone leads nowhere");
    let shown = of(r#""content":[{"type":"reasoning_text","text":"Hm."}]"#);
    assert!(listed(&shown)[0].starts_with(r#"reasoning Hm. raw={"type":"reasoning""#), "{:?}", listed(&shown));
    assert_eq!(raws(&of(r#""encrypted_content":"gA""#)).len(), 2);
}

#[test]
fn errors_in_the_stream_are_what_they_would_have_been_before_it() {
    let error = |event: &str| turn(&wire(), &format!("data: {event}\n\n")).unwrap_err();
    let failed = |code: &str, message: &str| {
        error(&format!(
            r#"{{"type":"response.failed","response":{{"status":"failed","error":{{"code":"{code}","message":"{message}"}}}}}}"#
        ))
        .kind
    };
    assert_eq!(failed("server_error", "x"), Kind::Unavailable);
    assert_eq!(failed("rate_limit_exceeded", "x"), Kind::RateLimited);
    assert_eq!(failed("context_length_exceeded", "Your input exceeds the context window"), Kind::Overflow(None));
    assert_eq!(failed("invalid_prompt", "flagged"), Kind::Refused);
    assert_eq!(failed("content_filter", "filtered"), Kind::Refused);
    assert_eq!(failed("insufficient_quota", "pay"), Kind::Quota);
    for overflow in [
        r#"{"type":"error","code":"context_length_exceeded","message":"Your input exceeds the context window of this model.","param":"input","sequence_number":2}"#,
        r#"{"type":"error","sequence_number":2,"error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"Your input exceeds the context window of this model.","param":"input"}}"#,
        r#"{"type":"error","sequence_number":2,"error":{"code":"context_length_exceeded","message":""}}"#,
        r#"{"error":{"code":"context_length_exceeded","message":"x"}}"#,
        r#"{"type":"error","code":null,"message":"Your input exceeds the context window of this model."}"#,
    ] {
        assert_eq!(error(overflow).kind, Kind::Overflow(None), "{overflow}");
    }
    let limited = error(
        r#"{"type":"error","error":{"code":"rate_limit_exceeded","message":"Rate limit reached. Please try again in 1.5s."}}"#,
    );
    assert_eq!(limited.retry_after, Some(std::time::Duration::from_millis(1500)));
    assert_eq!(error(r#"{"type":"response.cancelled","response":{"status":"cancelled"}}"#).kind, Kind::Broken);
    assert_eq!(error("{").kind, Kind::Garbled);
    let named = turn(&wire(), "event: error\ndata: out of memory\n\n").unwrap_err();
    assert_eq!((named.kind, named.message.as_str()), (Kind::Unavailable, "out of memory"));
}

#[test]
fn the_end_mark_of_another_wire_is_no_end() {
    let said = format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", done(0, MESSAGE), completed(&[]));
    assert_eq!(listed(&turn(&wire(), &said).unwrap()), ["text Reading 🦀."]);
    let unfinished = format!("data: {}\n\ndata: [DONE]\n\n", done(0, MESSAGE));
    let error = turn(&wire(), &unfinished).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::Broken, "the stream ended before response.completed"));
    assert_eq!(turn(&wire(), "").unwrap_err().message, "the answer is empty");
}

#[test]
fn an_error_instead_of_a_response() {
    let error = |body: &str| whole(body).unwrap_err().kind;
    assert_eq!(error(r#"{"error":{"code":429,"message":"slow"},"status":429}"#), Kind::RateLimited);
    assert_eq!(
        error(r#"{"status":"failed","output":[],"error":{"code":"server_error","message":"x"}}"#),
        Kind::Unavailable
    );
    assert_eq!(error(r#"{"status":"in_progress","output":[]}"#), Kind::Broken);
    assert_eq!(error("{"), Kind::Garbled);
}

#[test]
fn figures_that_are_missing_null_or_zero_are_not_known() {
    let of = |usage: &str| {
        let end = format!(r#"{{"type":"response.completed","response":{{"usage":{usage}}}}}"#);
        turn_of(&[&done(0, MESSAGE), &end]).unwrap().usage
    };
    assert_eq!(of("null"), Usage::default());
    assert_eq!(of("{}"), Usage::default());
    assert_eq!(of(r#"{"input_tokens":0,"output_tokens":null,"input_tokens_details":null}"#), Usage::default());
    assert_eq!(of(r#"{"input_tokens":7,"input_tokens_details":{"cached_tokens":2}}"#).input, Some(5));
    assert_eq!(of(r#"{"input_tokens":7,"output_tokens":1}"#).sent(), Some(7));
    let end = r#"{"type":"response.completed"}"#;
    assert_eq!(turn_of(&[&done(0, MESSAGE), end]).unwrap().usage, Usage::default());
}

#[test]
fn statuses_are_told_apart() {
    let error = |status, code: &str, message: &str| {
        let body = format!(
            r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":"input","code":"{code}"}}}}"#
        );
        wire().fault(status, &HeaderMap::new(), &body)
    };
    let overflow = "Your input exceeds the context window of this model. Please adjust your input and try again.";
    assert_eq!(error(400, "context_length_exceeded", overflow).kind, Kind::Overflow(None));
    let limit = "Input tokens exceed the configured limit of 272000 tokens.";
    assert_eq!(error(400, "", limit).kind, Kind::Overflow(Some(272_000)));
    assert_eq!(error(429, "rate_limit_exceeded", "Please try again in 20ms.").kind, Kind::RateLimited);
    assert_eq!(error(429, "insufficient_quota", "x").kind, Kind::Quota);
    assert_eq!(error(401, "invalid_api_key", "x").kind, Kind::Authentication);
    assert_eq!(error(400, "invalid_prompt", "flagged").kind, Kind::Refused);
    for (status, message) in [
        (400, "The encrypted content for item rs_1 could not be verified."),
        (400, "Item 'rs_1' of type 'reasoning' was provided without its required following item."),
        (404, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
    ] {
        assert!(error(status, "", message).about_reasoning(), "{message}");
    }
    assert!(!error(404, "model_not_found", "The model `x` does not exist").about_reasoning());
}

#[test]
fn a_model_that_does_not_reason_is_asked_again_without_encrypted_reasoning() {
    let wire = wire();
    let included = || {
        let body: serde_json::Value =
            serde_json::from_slice(&wire.body(&request(vec![user("hi")]), true).unwrap()).unwrap();
        body.get("include").is_some()
    };
    let refuse = || {
        let body = r#"{"error":{"message":"Encrypted content is not supported with this model.","type":"invalid_request_error","param":"include","code":null}}"#;
        wire.fault(400, &HeaderMap::new(), body)
    };
    assert!(included());
    insta::assert_snapshot!(refuse().reason(), @"the provider rejects its earlier reasoning, which is left out now (and none is asked for any more: Encrypted content is not supported with this model.)");
    assert!(!included());
    assert_eq!(refuse().kind, Kind::Reasoning, "a request that was under way meanwhile is made again as well");
}

#[test]
fn openais_own_host_gets_what_others_do_not_know() {
    let body = |wire: OpenaiResponses, streaming| -> serde_json::Value {
        serde_json::from_slice(&wire.body(&request(vec![user("hi")]), streaming).unwrap()).unwrap()
    };
    let named = |id: &str| OpenaiResponses::new(Model { id: id.to_owned(), ..Model::default() });
    let padded = serde_json::json!({"include_obfuscation": false});
    assert_eq!(body(wire().at_openai(), true)["stream_options"], padded);
    assert!(body(wire().at_openai(), false).get("stream_options").is_none());
    assert!(body(wire(), true).get("stream_options").is_none());
    let reasoning = |wire: OpenaiResponses| body(wire, true).get("include").is_some();
    for plain in
        ["gpt-4.1", "gpt-4.1-mini-2025-04-14", "gpt-4o", "ft:gpt-4o-mini:me", "chatgpt-4o-latest", "gpt-3.5-turbo"]
    {
        assert!(!reasoning(named(plain).at_openai()), "{plain} does not reason");
        assert!(reasoning(named(plain)), "elsewhere {plain} may be anything");
    }
    for reasons in ["gpt-6-sol", "o3", "gpt-5.4-mini", "codex-mini-latest", "gpt-40"] {
        assert!(reasoning(named(reasons).at_openai()), "{reasons}");
    }
}

/// The input items of a body, each on a line of its own, and the rest.
fn lines(mut body: serde_json::Value) -> String {
    let input = body["input"].take();
    let input: Vec<String> = input.as_array().into_iter().flatten().map(ToString::to_string).collect();
    format!("{}\n{body}", input.join("\n"))
}

#[test]
fn a_difficult_history() {
    let body = body(&wire(), "openai/gpt-6-sol", difficult("openai/gpt-6-sol"));
    insta::assert_snapshot!(lines(body), @r##"
    {"content":[{"text":"Mend it.","type":"input_text"}],"role":"user","type":"message"}
    {"signature":"s1","thinking":"First","type":"thinking"}
    {"data":"opaque","type":"redacted_thinking"}
    {"content":[{"text":"Reading.","type":"output_text"}],"role":"assistant","type":"message"}
    {"arguments":"{ \"path\": \"a.rs\", \"big\": 12345678901234567890123 }","call_id":"toolu_1","name":"read","type":"function_call"}
    {"arguments":"{}","call_id":"functions.read:0","name":"read","type":"function_call"}
    {"call_id":"toolu_1","output":"fn a() {}","type":"function_call_output"}
    {"call_id":"functions.read:0","output":"the arguments do not parse","type":"function_call_output"}
    {"content":[{"text":"And hurry.","type":"input_text"},{"text":"Well?","type":"input_text"}],"role":"user","type":"message"}
    {"content":[{"text":"Done.","type":"output_text"}],"role":"assistant","type":"message"}
    {"content":[{"text":"Really.","type":"output_text"}],"role":"assistant","type":"message"}
    {"content":[{"text":"Thanks.","type":"input_text"}],"role":"user","type":"message"}
    {"include":["reasoning.encrypted_content"],"input":null,"instructions":"You edit code.","model":"gpt-6-sol","parallel_tool_calls":true,"store":false,"stream":true,"tools":[{"description":"Does list.","name":"list","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"},"strict":false,"type":"function"},{"description":"Does read.","name":"read","parameters":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"},"strict":false,"type":"function"}],"truncation":"disabled"}
    "##);
}

fn own(blocks: &[&str]) -> Vec<Block> {
    let block = |text: &&str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let of = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let raw = Some(raw(text));
        match value["type"].as_str().unwrap() {
            "message" => Block::Text { text: "said".to_owned(), raw },
            "reasoning" => Block::Reasoning { text: "thought".to_owned(), raw },
            _ => Block::Call { id: of("call_id"), name: of("name"), arguments: of("arguments"), raw },
        }
    };
    blocks.iter().map(block).collect()
}

/// The items of the input, byte for byte.
fn sent_input(items: Vec<Item>) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Sent {
        input: Vec<Box<serde_json::value::RawValue>>,
    }
    let sent: Sent = serde_json::from_slice(&sent(&wire(), "us", &request(items))).unwrap();
    sent.input.iter().map(|item| item.get().to_owned()).collect()
}

#[test]
fn own_items_go_back_byte_for_byte() {
    let given = [REASONING, MESSAGE, CALL, OTHER_CALL];
    let history = vec![
        user("Mend it."),
        said("us", own(&given)),
        results(&[("call_1", true, "fn a() {}"), ("call_2", false, "no such folder")]),
    ];
    let input = sent_input(history);
    assert_eq!(input[1..5], given);
    assert_eq!(input[5], r#"{"type":"function_call_output","call_id":"call_1","output":"fn a() {}"}"#);

    let foreign = sent_input(vec![user("Mend it."), said("them", own(&given))]);
    assert_eq!(
        foreign[1..],
        [
            r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"said"}]}"#,
            r#"{"type":"function_call","call_id":"call_1","name":"read","arguments":"{\"path\":\"a.rs\"}"}"#,
            r#"{"type":"function_call","call_id":"call_2","name":"list","arguments":"{\"path\":\"b\"}"}"#,
        ]
    );
}

#[test]
fn reasoning_that_led_to_nothing_is_left_out() {
    let history = |blocks: Vec<Block>| sent_input(vec![user("a"), said("us", blocks)]).len() - 1;
    assert_eq!(history(own(&[REASONING])), 0);
    assert_eq!(history(own(&[MESSAGE, REASONING])), 1);
    assert_eq!(history(own(&[REASONING, MESSAGE, REASONING, CALL])), 4);
    let broken_off = [own(&[REASONING]), vec![text("Read")]].concat();
    assert_eq!(history(broken_off), 2);
    let blank = [own(&[REASONING]), vec![text(" ")]].concat();
    assert_eq!(history(blank), 0);
}

#[test]
fn a_call_that_cannot_go_back_as_it_came_is_written_anew() {
    let of = |block: &str, id: &str| {
        let mut blocks = own(&[block]);
        if let Block::Call { id: own, .. } = &mut blocks[0] {
            *own = id.to_owned();
        }
        sent_input(vec![user("a"), said("us", blocks)]).remove(1)
    };
    assert_eq!(of(CALL, "call_1"), CALL);
    let written = |id: &str, arguments: &str| {
        let arguments = serde_json::to_string(arguments).unwrap();
        format!(r#"{{"type":"function_call","call_id":"{id}","name":"read","arguments":{arguments}}}"#)
    };
    let with = |arguments: &str| {
        format!(r#"{{"type":"function_call","id":"fc","call_id":"c","name":"read","arguments":{arguments}}}"#)
    };
    assert_eq!(of(&with(r#""{\"path\":\"a""#), "c"), written("c", "{}"));
    assert_eq!(of(&with(r#""""#), "c"), written("c", "{}"));
    assert_eq!(of(&with(r#"{"path":"a"}"#), "c"), written("c", "{}"));
    assert_eq!(of(CALL, "another"), written("another", r#"{"path":"a.rs"}"#), "its result names another id");
    let long = "x".repeat(70);
    assert!(of(CALL, &long).contains(r#""call_id":"call_"#));
}

#[test]
fn what_the_settings_say_is_sent() {
    let set = OpenaiResponses::new(Model { max_output: Some(100), temperature: Some(0.5), ..wire().model });
    let mut request = request(vec![user("hi")]);
    request.cache_key = Some("session-7".into());
    request.tools = [].into();
    let of = |request: &Request, streaming| String::from_utf8(set.body(request, streaming).unwrap()).unwrap();
    insta::assert_snapshot!(of(&request, false), @r#"{"model":"gpt-6-sol","instructions":"You edit code.","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"max_output_tokens":100,"temperature":0.5,"store":false,"include":["reasoning.encrypted_content"],"truncation":"disabled","prompt_cache_key":"session-7","stream":false}"#);
    request.max_output = Some(17);
    request.system = " ".into();
    assert!(of(&request, true).contains(r#""max_output_tokens":17,"#));
    assert!(!of(&request, true).contains("instructions"));
}

#[test]
fn an_answer_that_fills_its_limit_was_cut_off_whatever_the_server_calls_it() {
    let cut = r#"{"type":"function_call","id":"fc_1","call_id":"call_1","name":"read","arguments":"{\"path\":","status":"completed"}"#;
    let of = |limit: u64| {
        let wire = OpenaiResponses::new(Model { max_output: Some(limit), ..wire().model });
        let body =
            format!(r#"{{"status":"completed","output":[{cut}],"usage":{{"input_tokens":9,"output_tokens":18}}}}"#);
        let mut events = std::collections::VecDeque::new();
        wire.decoder().whole(&body, &mut events).unwrap();
        assembled(&events.into_iter().map(Ok).collect()).finish().unwrap()
    };
    let turn = of(18);
    assert_eq!((listed(&turn), turn.stop, turn.cut_calls), (vec![], StopReason::MaxTokens, vec!["read".to_owned()]));
    let turn = of(19);
    assert_eq!(
        (listed(&turn).len(), turn.stop),
        (1, StopReason::ToolUse),
        "below the limit it is a call with bad arguments"
    );
}
