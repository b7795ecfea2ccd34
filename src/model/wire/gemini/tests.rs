use std::time::Duration;

use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::*;
use crate::model::fault::Kind;
use crate::model::wire::testing::*;
use crate::model::{Block, Item, StopReason, StreamEvent, ToolResult, Turn};
use crate::protocol::Usage;

const OWN: &str = "gemini/gemini-4-argon";

fn wire() -> Gemini {
    Gemini { model: Model { id: "gemini-4-argon".to_owned(), ..Model::default() } }
}

fn transcript(chunks: &[&str]) -> String {
    chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
}

/// A chunk with these parts.
fn parts(parts: &str) -> String {
    format!(r#"{{"candidates":[{{"index":0,"content":{{"role":"model","parts":[{parts}]}}}}],"responseId":"r1"}}"#)
}

fn finish(reason: &str) -> String {
    format!(r#"{{"candidates":[{{"index":0,"finishReason":"{reason}"}}]}}"#)
}

/// The turn of chunks with these parts.
fn turn_of(chunks: &[&str], reason: &str) -> Result<Turn, Fault> {
    let chunks: Vec<String> = chunks.iter().map(|text| parts(text)).chain([finish(reason)]).collect();
    turn(&wire(), &transcript(&chunks.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn whole(body: &str) -> Result<Turn, Fault> {
    let mut events = Default::default();
    wire().decoder().whole(body, &mut events)?;
    Ok(assembled(&events.into_iter().map(Ok).collect()).finish().unwrap())
}

/// The raw form of each block, where there is one.
fn raws(turn: &Turn) -> Vec<Option<&str>> {
    turn.blocks.iter().map(|block| block.raw().map(|raw| raw.get())).collect()
}

/// What is sent when a turn is replayed to whoever said it: the parts of each content of the model, as they are.
fn replayed(turn: &Turn) -> String {
    let said = Item::Assistant { model: OWN.into(), origin: OWN.into(), blocks: turn.blocks.clone(), partial: false };
    let done = |block: &Block| match block {
        Block::Call { id, name, .. } => Some(ToolResult {
            undone: false,
            call_id: id.clone(),
            name: name.clone(),
            ok: true,
            content: "done".to_owned(),
        }),
        _ => None,
    };
    let answer = Item::Results { results: turn.blocks.iter().filter_map(done).collect() };
    let sent = String::from_utf8(sent(&wire(), OWN, &request(vec![user("Go."), said, answer]))).unwrap();
    let start = sent.find(r#""role":"model""#).unwrap();
    let end = sent.find(r#","tools""#).unwrap();
    sent[start..end].to_owned()
}

const LAST: &str = r#"{"candidates":[{"index":0,"content":{"role":"model","parts":[{"functionCall":{"name":"read","args":{"path":"a.rs"}},"thoughtSignature":"CiQB"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":50,"candidatesTokenCount":12,"thoughtsTokenCount":30,"totalTokenCount":92}}"#;

fn reading() -> String {
    transcript(&[
        r#"{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"Reading 🦀."}]}}],"modelVersion":"gemini-4-argon","responseId":"r1"}"#,
        LAST,
    ])
}

#[test]
fn text_and_a_call() {
    let turn = turn(&wire(), &reading()).unwrap();
    assert_eq!(listed(&turn), ["text Reading 🦀.", r#"call (made up) read {"path":"a.rs"}"#]);
    let own = r#"{"functionCall":{"name":"read","args":{"path":"a.rs"}},"thoughtSignature":"CiQB"}"#;
    assert_eq!(raws(&turn), [None, Some(own)]);
    assert_eq!(turn.stop, StopReason::ToolUse);
    assert_eq!(turn.usage, Usage { input: Some(50), output: Some(42), ..Usage::default() });
}

#[test]
fn a_connection_that_breaks_anywhere_before_the_finish_runs_no_call() {
    let more = r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"E"}]}}],"usageMetadata":{"promptTokenCount":50}}"#;
    let transcript = reading() + &transcript(&[more]);
    cut_everywhere(&wire(), &transcript, reading().len());
}

#[test]
fn an_answer_in_one_piece_or_in_a_list_is_the_same_turn() {
    let streamed = turn(&wire(), &reading()).unwrap();
    let body = r#"{
      "candidates": [{"content": {"role": "model", "parts": [
        {"text": "Reading 🦀."},
        {"functionCall": {"name": "read", "args": {
            "path": "a.rs"
        }}, "thoughtSignature": "CiQB"}
      ]}, "finishReason": "STOP"}],
      "usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 12, "thoughtsTokenCount": 30}
    }"#;
    let list = format!("[{}]", reading().replace("data: ", "").trim().replace("\n\n", ",\n"));
    for body in [body, &list] {
        let whole = whole(body).unwrap();
        assert_eq!(
            (listed(&whole), whole.usage, whole.stop),
            (listed(&streamed), streamed.usage, streamed.stop.clone())
        );
    }
    let error = r#"[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]"#;
    assert_eq!(whole(error).unwrap_err().kind, Kind::Unavailable);
    assert_eq!(whole("{}").unwrap_err().message, "the answer is empty");
}

#[test]
fn several_calls_in_one_chunk_and_in_several_with_ids_and_without() {
    let turn = turn_of(
        &[
            r#"{"functionCall":{"name":"read","args":{"path":"say \"a\\b\" x"}},"thoughtSignature":"S"},{"functionCall":{"name":"list"}}"#,
            r#"{"functionCall":{"id":"fc-3","name":"list","args":{}}},{"functionCall":{"name":"list","args":null}}"#,
            r#"{"functionCall":{"name":"read","args":{ "n": 12345678901234567890123 , "deep" : [ { } ] }}}"#,
        ],
        "STOP",
    )
    .unwrap();
    assert_eq!(
        listed(&turn),
        [
            r#"call (made up) read {"path":"say \"a\\b\" x"}"#,
            "call (made up) list {}",
            "call fc-3 list {}",
            "call (made up) list {}",
            r#"call (made up) read {"n":12345678901234567890123,"deep":[{}]}"#,
        ]
    );
    assert_eq!(turn_of(&[r#"{"functionCall":{"args":{}}}"#], "STOP").unwrap_err().kind, Kind::Broken);
}

#[test]
fn a_signature_on_a_call_goes_back_on_that_call_and_nowhere_else() {
    let turn = turn_of(
        &[
            r#"{"text":"Both."},{"functionCall":{"name":"read","args":{"path":"a"}}, "thoughtSignature":"S\/1=="}"#,
            r#"{"functionCall":{"id":"fc-2","name":"read","args":{}}},{"functionCall":{"name":"list","args":{}}}"#,
        ],
        "STOP",
    )
    .unwrap();
    insta::assert_snapshot!(replayed(&turn), @r##"
    "role":"model","parts":[{"text":"Both."},{"functionCall":{"name":"read","args":{"path":"a"}}, "thoughtSignature":"S\/1=="},{"functionCall":{"id":"fc-2","name":"read","args":{}}},{"functionCall":{"name":"list","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"read","response":{"output":"done"}}},{"functionResponse":{"id":"fc-2","name":"read","response":{"output":"done"}}},{"functionResponse":{"name":"list","response":{"output":"done"}}}]}]
    "##);
}

#[test]
fn a_signature_on_a_text_goes_back_with_that_text_which_is_shown_once() {
    // On the only part of a text.
    let alone = turn_of(&[r#"{"thoughtSignature":"S","text":"Done."}"#], "STOP").unwrap();
    assert_eq!(listed(&alone), ["text Done."]);
    insta::assert_snapshot!(replayed(&alone), @r##"
    "role":"model","parts":[{"thoughtSignature":"S","text":"Done."}]}]
    "##);

    // On the last part of several: one text is shown, and the parts go back.
    let last =
        turn_of(&[r#"{"text":"It is "}"#, r#"{"text":"do"}"#, r#"{"text":"ne.","thoughtSignature":"S"}"#], "STOP");
    let last = last.unwrap();
    assert_eq!(listed(&last), ["text It is done."]);
    insta::assert_snapshot!(replayed(&last), @r##"
    "role":"model","parts":[{"text":"It is do"},{"text":"ne.","thoughtSignature":"S"}]}]
    "##);

    // On an empty part after it.
    let empty =
        turn_of(&[r#"{"text":"It is "}"#, r#"{"text":"done."}"#, r#"{"text":"","thoughtSignature":"S"}"#], "STOP");
    let empty = empty.unwrap();
    let shown = empty.blocks.iter().filter(|block| matches!(block, Block::Text { .. })).count();
    assert_eq!((shown, listed(&empty)[0].as_str()), (1, "text It is done."));
    insta::assert_snapshot!(replayed(&empty), @r##"
    "role":"model","parts":[{"text":"It is done."},{"text":"","thoughtSignature":"S"}]}]
    "##);

    // On an empty part between two texts, which stay where they were.
    let between = [r#"{"text":"One."}"#, r#"{"text":"","thoughtSignature":"S"}"#, r#"{"text":" Two."}"#];
    let between = turn_of(&between, "STOP").unwrap();
    insta::assert_snapshot!(replayed(&between), @r##"
    "role":"model","parts":[{"text":"One."},{"text":"","thoughtSignature":"S"},{"text":" Two."}]}]
    "##);

    // In the midst: the text goes on in a block of its own.
    let midst = turn_of(&[r#"{"text":"One.","thoughtSignature":"S"}"#, r#"{"text":" Two."}"#], "STOP").unwrap();
    assert_eq!(listed(&midst), ["text One.", "text  Two."]);
    insta::assert_snapshot!(replayed(&midst), @r##"
    "role":"model","parts":[{"text":"One.","thoughtSignature":"S"},{"text":" Two."}]}]
    "##);
}

#[test]
fn thoughts_are_told_apart_and_go_back_only_with_a_signature() {
    let turn = turn_of(
        &[
            r#"{"text":"Hm","thought":true}"#,
            r#"{"text":"m.","thought":true}"#,
            r#"{"text":"Yes."}"#,
            r#"{"text":"So","thought":true},{"text":" so.","thought":true,"thoughtSignature":"S"}"#,
            r#"{"text":"","thought":true},{"executableCode":{"code":"1"}},{"inlineData":{"data":"AA=="}, "thoughtSignature":"T"}"#,
        ],
        "STOP",
    )
    .unwrap();
    assert_eq!(
        listed(&turn),
        [
            "reasoning Hmm. raw=none",
            "text Yes.",
            r#"reasoning So so. raw=[{"text":"So","thought":true},{"text":" so.","thought":true,"thoughtSignature":"S"}]"#,
            r#"reasoning  raw={"inlineData":{"data":"AA=="}, "thoughtSignature":"T"}"#,
        ]
    );
    insta::assert_snapshot!(replayed(&turn), @r##"
    "role":"model","parts":[{"text":"Yes."},{"text":"So","thought":true},{"text":" so.","thought":true,"thoughtSignature":"S"},{"inlineData":{"data":"AA=="}, "thoughtSignature":"T"}]}]
    "##);
}

#[test]
fn stop_reasons() {
    let of = |reason: &str| turn_of(&[r#"{"text":"a"}"#], reason).unwrap().stop;
    assert_eq!(of("STOP"), StopReason::End);
    assert_eq!(of("MAX_TOKENS"), StopReason::MaxTokens);
    for reason in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "OTHER", "NEW_ONE"] {
        assert_eq!(of(reason), StopReason::Refusal(format!("the provider stopped the answer ({reason})")));
    }
    for reason in ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"] {
        let fault = turn_of(&[r#"{"text":"a"}"#], reason).unwrap_err();
        assert!(fault.kind == Kind::Broken && fault.retryable() && fault.message.contains(reason), "{fault:?}");
    }
    assert!(turn_of(&[r#"{"text":"a"}"#], "MISSING_THOUGHT_SIGNATURE").unwrap_err().about_reasoning());
    let explained = r#"{"candidates":[{"finishReason":"SAFETY","finishMessage":"Not that."}]}"#;
    let stop = turn(&wire(), &transcript(&[explained])).unwrap().stop;
    assert_eq!(stop, StopReason::Refusal("the provider stopped the answer (SAFETY): Not that.".to_owned()));
    for unfinished in [&[][..], &["FINISH_REASON_UNSPECIFIED"]] {
        let chunks: Vec<_> = unfinished.iter().map(|reason| finish(reason)).chain([parts(r#"{"text":"a"}"#)]).collect();
        let transcript = transcript(&chunks.iter().map(String::as_str).collect::<Vec<_>>());
        let fault = turn(&wire(), &transcript).unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (Kind::Broken, "the stream ended without a finishReason"));
    }
}

#[test]
fn an_answer_cut_at_the_output_limit_keeps_its_text_and_no_call() {
    let turn = turn_of(&[r#"{"functionCall":{"name":"list","args":{}}},{"text":"And th"}"#], "MAX_TOKENS").unwrap();
    assert_eq!(listed(&turn), ["text And th"]);
    assert_eq!((turn.stop, turn.cut_calls), (StopReason::MaxTokens, vec!["list".to_owned()]));
}

#[test]
fn a_blocked_prompt_is_refused_with_the_reason() {
    let of = |feedback: &str| {
        turn(
            &wire(),
            &transcript(&[&format!(r#"{{"promptFeedback":{feedback},"usageMetadata":{{"promptTokenCount":9}}}}"#)]),
        )
        .unwrap_err()
    };
    let fault = of(r#"{"blockReason":"PROHIBITED_CONTENT"}"#);
    assert_eq!((fault.kind, fault.message.as_str()), (Kind::Refused, "the prompt was blocked (PROHIBITED_CONTENT)"));
    let fault = of(r#"{"blockReason":"SAFETY","blockReasonMessage":"It is not safe."}"#);
    assert_eq!(fault.message, "the prompt was blocked (SAFETY): It is not safe.");
    assert_eq!(of(r#"{"safetyRatings":[]}"#).kind, Kind::Broken);
}

#[test]
fn figures_are_cumulative_and_null_where_they_are_missing() {
    let of = |chunks: &[&str]| {
        let chunks: Vec<_> = chunks.iter().map(|usage| format!(r#"{{"usageMetadata":{usage}}}"#)).collect();
        let chunks: Vec<_> = chunks.iter().map(String::as_str).collect();
        turn(&wire(), &(transcript(&[&finish("STOP")]) + &transcript(&chunks))).unwrap().usage
    };
    assert_eq!(of(&["null", "{}", r#"{"promptTokenCount":0,"thoughtsTokenCount":null}"#]), Usage::default());
    assert_eq!(of(&[r#"{"promptTokenCount":9}"#]), Usage { input: Some(9), ..Usage::default() });
    assert_eq!(of(&[r#"{"thoughtsTokenCount":3}"#]), Usage { output: Some(3), ..Usage::default() });
    let cached = of(&[
        r#"{"promptTokenCount":50,"cachedContentTokenCount":40,"thoughtsTokenCount":5}"#,
        r#"{"promptTokenCount":50,"candidatesTokenCount":2}"#,
        r#"{"promptTokenCount":50,"candidatesTokenCount":7,"thoughtsTokenCount":6,"totalTokenCount":63}"#,
    ]);
    assert_eq!(cached, Usage { input: Some(10), output: Some(13), cache_read: Some(40), cache_write: None });
}

#[test]
fn text_is_told_piece_by_piece_and_figures_only_when_they_change() {
    let chunk = |text: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}}}}],"usageMetadata":{{"promptTokenCount":5}}}}"#
        )
    };
    let told = events(&wire(), &transcript(&[&chunk("a"), &chunk("b"), &finish("STOP")]), 10_000);
    let kinds: Vec<_> = told
        .iter()
        .flatten()
        .map(|event| match event {
            StreamEvent::Text { text, .. } => text.as_str(),
            StreamEvent::Usage(_) => "usage",
            StreamEvent::BlockStopped { .. } => "stopped",
            StreamEvent::Finished(_) => "finished",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["usage", "a", "b", "stopped", "finished"]);
}

/// An error as Google writes it.
fn error(code: u16, status: &str, message: &str, details: Value) -> String {
    json!({"error": {"code": code, "status": status, "message": message, "details": details}}).to_string()
}

fn detail(kind: &str, mut more: Value) -> Value {
    more["@type"] = format!("type.googleapis.com/google.rpc.{kind}").into();
    more
}

#[test]
fn errors_by_status_and_details() {
    let none = || json!([]);
    let quota = |id: &str| {
        let violation = json!({"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": id});
        json!([
            detail("QuotaFailure", json!({"violations": [violation]})),
            detail("RetryInfo", json!({"retryDelay": "34.5s"}))
        ])
    };
    let exceeded = "You exceeded your current quota, please check your plan and billing details.";
    let bad_key = json!([detail("ErrorInfo", json!({"reason": "API_KEY_INVALID", "domain": "googleapis.com"}))]);
    let overflow = "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).";
    let cases = [
        (400, error(400, "INVALID_ARGUMENT", "Invalid JSON payload", none()), Kind::Rejected, None),
        (400, error(400, "INVALID_ARGUMENT", "Please pass a valid API key.", bad_key), Kind::Authentication, None),
        (400, error(400, "INVALID_ARGUMENT", "API key expired. Renew it.", none()), Kind::Authentication, None),
        (400, error(400, "INVALID_ARGUMENT", overflow, none()), Kind::Overflow(Some(1_048_576)), None),
        (401, error(401, "UNAUTHENTICATED", "No credentials", none()), Kind::Authentication, None),
        (403, error(403, "PERMISSION_DENIED", "Not yours", none()), Kind::Authentication, None),
        (
            403,
            error(403, "PERMISSION_DENIED", "No", json!([detail("ErrorInfo", json!({"reason": "BILLING_DISABLED"}))])),
            Kind::Quota,
            None,
        ),
        (404, error(404, "NOT_FOUND", "models/x is not found", none()), Kind::Rejected, None),
        (
            429,
            error(429, "RESOURCE_EXHAUSTED", exceeded, quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")),
            Kind::RateLimited,
            Some(34_500),
        ),
        (
            429,
            error(429, "RESOURCE_EXHAUSTED", exceeded, quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")),
            Kind::Quota,
            Some(34_500),
        ),
        (429, error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.", none()), Kind::RateLimited, None),
        (
            429,
            error(
                429,
                "RESOURCE_EXHAUSTED",
                &format!("{exceeded}\n* metric: x, limit: 20\nPlease retry in 7.25s."),
                none(),
            ),
            Kind::RateLimited,
            Some(7250),
        ),
        (429, error(429, "RESOURCE_EXHAUSTED", "Quota exceeded, limit: 0, model: x", none()), Kind::Quota, None),
        (429, error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", none()), Kind::Quota, None),
        (499, error(499, "CANCELLED", "The operation was cancelled.", none()), Kind::Unavailable, None),
        (500, error(500, "INTERNAL", "An internal error has occurred.", none()), Kind::Unavailable, None),
        (
            503,
            error(503, "UNAVAILABLE", "Overloaded", json!([detail("RetryInfo", json!({"retryDelay": "900ms"}))])),
            Kind::Unavailable,
            Some(900),
        ),
        (504, error(504, "DEADLINE_EXCEEDED", "Late", none()), Kind::Unavailable, None),
        (502, "<html>Bad gateway</html>".to_owned(), Kind::Unavailable, None),
    ];
    for (status, body, kind, delay) in cases {
        let delay = delay.map(Duration::from_millis);
        for body in [body.clone(), format!("[{body}]")] {
            let fault = wire().fault(status, &HeaderMap::new(), &body);
            assert_eq!((fault.kind, fault.retry_after), (kind, delay), "{status} {body}");
        }
        if body.starts_with('{') {
            for chunk in [body.clone(), format!("[{body}]")] {
                let fault = turn(&wire(), &transcript(&[&parts(r#"{"text":"a"}"#), &chunk])).unwrap_err();
                assert_eq!((fault.kind, fault.retry_after), (kind, delay), "in the stream: {body}");
            }
        }
    }
    let headers = HeaderMap::from_iter([(HeaderName::from_static("retry-after"), HeaderValue::from_static("3"))]);
    let body = error(429, "RESOURCE_EXHAUSTED", "slow", quota("PerMinute"));
    assert_eq!(wire().fault(429, &headers, &body).retry_after, Some(Duration::from_secs(3)));
    assert_eq!(turn(&wire(), "data: {\n\n").unwrap_err().kind, Kind::Garbled);
}

#[test]
fn a_missing_signature_is_about_reasoning() {
    let message = "Function call is missing a thought_signature in functionCall parts.";
    assert!(
        wire().fault(400, &HeaderMap::new(), &error(400, "INVALID_ARGUMENT", message, json!([]))).about_reasoning()
    );
}

/// A body with each content on a line of its own.
fn contents(mut body: Value) -> String {
    let contents = body["contents"].take();
    let contents: Vec<String> = contents.as_array().into_iter().flatten().map(Value::to_string).collect();
    format!("{}\n{body}", contents.join("\n"))
}

#[test]
fn a_difficult_history() {
    let body = body(&wire(), OWN, difficult(OWN));
    insta::assert_snapshot!(contents(body), @r##"
    {"parts":[{"text":"Mend it."}],"role":"user"}
    {"parts":[{"signature":"s1","thinking":"First","type":"thinking"},{"data":"opaque","type":"redacted_thinking"},{"text":"Reading."},{"functionCall":{"args":{"big":1.2345678901234568e+22,"path":"a.rs"},"name":"read"},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"args":{},"name":"read"}}],"role":"model"}
    {"parts":[{"functionResponse":{"name":"read","response":{"output":"fn a() {}"}}},{"functionResponse":{"name":"read","response":{"error":"the arguments do not parse"}}},{"text":"And hurry."},{"text":"Well?"}],"role":"user"}
    {"parts":[{"text":"Done."},{"signature":"s3","thinking":"After","type":"thinking"},{"text":"Really."}],"role":"model"}
    {"parts":[{"text":"Thanks."}],"role":"user"}
    {"contents":null,"systemInstruction":{"parts":[{"text":"You edit code."}]},"tools":[{"functionDeclarations":[{"description":"Does list.","name":"list","parametersJsonSchema":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},{"description":"Does read.","name":"read","parametersJsonSchema":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}}]}]}
    "##);
    let raw = String::from_utf8(sent(&wire(), OWN, &request(difficult(OWN)))).unwrap();
    for exact in [
        r#"{"type":"thinking", "thinking":"First","signature":"s1"}"#,
        r#""args":{ "path": "a.rs", "big": 12345678901234567890123 }"#,
    ] {
        assert!(raw.contains(exact), "{exact} is not byte for byte in {raw}");
    }
}

#[test]
fn a_foreign_history_has_the_word_that_stands_for_a_signature_once_a_turn() {
    let signed = Block::Call {
        id: "fc-1".to_owned(),
        name: "read".to_owned(),
        arguments: "{}".to_owned(),
        raw: Some(raw(r#"{"functionCall":{"id":"fc-1","name":"read","args":{}},"thoughtSignature":"S"}"#)),
    };
    let foreign = |blocks| said("anthropic/x", blocks);
    let items = vec![
        user("Go."),
        foreign(vec![text("I"), call("toolu_1", "read", "{}"), call("other", "read", "{}")]),
        results(&[("toolu_1", true, "done"), ("other", false, "no")]),
        foreign(vec![signed]),
        results(&[("fc-1", true, "done")]),
    ];
    let body = body(&wire(), OWN, items);
    insta::assert_snapshot!(contents(body), @r##"
    {"parts":[{"text":"Go."}],"role":"user"}
    {"parts":[{"text":"I"},{"functionCall":{"args":{},"name":"read"},"thoughtSignature":"skip_thought_signature_validator"},{"functionCall":{"args":{},"name":"read"}}],"role":"model"}
    {"parts":[{"functionResponse":{"name":"read","response":{"output":"done"}}},{"functionResponse":{"name":"read","response":{"error":"no"}}}],"role":"user"}
    {"parts":[{"functionCall":{"args":{},"name":"read"},"thoughtSignature":"skip_thought_signature_validator"}],"role":"model"}
    {"parts":[{"functionResponse":{"name":"read","response":{"output":"done"}}}],"role":"user"}
    {"contents":null,"systemInstruction":{"parts":[{"text":"You edit code."}]},"tools":[{"functionDeclarations":[{"description":"Does list.","name":"list","parametersJsonSchema":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},{"description":"Does read.","name":"read","parametersJsonSchema":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}}]}]}
    "##);
}

#[test]
fn an_own_call_that_came_unsigned_and_with_an_id_keeps_the_id() {
    let unsigned = Block::Call {
        id: "call_0198".to_owned(),
        name: "read".to_owned(),
        arguments: "{}".to_owned(),
        raw: Some(raw(r#"{"functionCall":{"id":"fc-1", "name":"read","args":{}}}"#)),
    };
    let items = vec![user("Go."), said(OWN, vec![unsigned]), results(&[("call_0198", true, "done")])];
    let sent = String::from_utf8(sent(&wire(), OWN, &request(items))).unwrap();
    let parts = [
        r#"{"functionCall":{"id":"fc-1", "name":"read","args":{}},"thoughtSignature":"skip_thought_signature_validator"}"#,
        r#"{"functionResponse":{"id":"fc-1","name":"read","response":{"output":"done"}}}"#,
    ];
    assert!(parts.iter().all(|part| sent.contains(part)), "{sent}");
}

#[test]
fn what_the_settings_say_is_sent() {
    let of = |wire: &Gemini, request: &Request| {
        serde_json::from_slice::<Value>(&wire.body(request, true).unwrap()).unwrap()["generationConfig"].take()
    };
    let mut request = request(vec![user("hi")]);
    assert_eq!(of(&wire(), &request), Value::Null);
    let set = Gemini { model: Model { max_output: Some(100), temperature: Some(0.5), ..wire().model } };
    assert_eq!(of(&set, &request), json!({"maxOutputTokens": 100, "temperature": 0.5}));
    request.max_output = Some(7);
    assert_eq!(of(&wire(), &request), json!({"maxOutputTokens": 7}));
    request.tools = [].into();
    request.system = " ".into();
    let bare: Value = serde_json::from_slice(&Gemini::body(&wire(), &request, false).unwrap()).unwrap();
    assert_eq!(
        bare,
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 7}})
    );
}

#[test]
fn the_address_and_the_key() {
    let of = |id: &str, streaming: bool| {
        Gemini { model: Model { id: id.to_owned(), ..Model::default() } }.path(streaming).into_owned()
    };
    assert_eq!(of("gemini-4-argon", true), "/v1beta/models/gemini-4-argon:streamGenerateContent?alt=sse");
    assert_eq!(of("models/gemini-4-argon", false), "/v1beta/models/gemini-4-argon:generateContent");
    assert_eq!(of("tunedModels/my 1", false), "/v1beta/tunedModels/my%201:generateContent");
    assert_eq!(of("../a?b:c", false), "/v1beta/models/..%2Fa%3Fb%3Ac:generateContent");

    let url = reqwest::Url::parse("https://localhost/").unwrap();
    let sent = Sent { url: &url, body: b"", now: std::time::SystemTime::UNIX_EPOCH };
    let headers = wire().headers(&Credential::Key("AIza-canary".into()), &sent).unwrap();
    assert_eq!(headers["x-goog-api-key"], "AIza-canary");
    assert!(!format!("{headers:?}").contains("canary"));
    assert!(wire().headers(&Credential::None, &sent).unwrap().is_empty());
}

#[test]
fn thoughts_that_led_to_nothing_are_no_answer_and_one_of_nothing_at_all_is_an_end() {
    let thought = r#"{"text":"Hm.","thought":true}"#;
    for parts in [&[thought][..], &[thought, r#"{"text":"","thoughtSignature":"S"}"#]] {
        let fault = turn_of(parts, "STOP").unwrap_err();
        assert_eq!((fault.kind, fault.message.as_str()), (Kind::Broken, "the answer holds thoughts and nothing else"));
    }
    assert_eq!(turn_of(&[], "STOP").unwrap().stop, StopReason::End);
    assert_eq!(turn_of(&[thought], "MAX_TOKENS").unwrap().stop, StopReason::MaxTokens);
    assert_eq!(turn_of(&[thought, r#"{"functionCall":{"name":"list"}}"#], "STOP").unwrap().stop, StopReason::ToolUse);
}
