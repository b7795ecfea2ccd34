mod over_http;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use reqwest::Url;
use secrecy::SecretString;

use super::*;
use crate::model::eventstream::frames;
use crate::model::eventstream::tests::{event, exception};
use crate::model::fault::Kind;
use crate::model::remote::decoded;
use crate::model::wire::testing::*;
use crate::model::{Block, Item, StopReason, StreamEvent, Turn};
use crate::protocol::Usage;

const CLAUDE: &str = "us.anthropic.claude-sonnet-5-5-20261101-v1:0";

fn wire() -> Bedrock {
    of_model(CLAUDE)
}

fn of_model(id: &str) -> Bedrock {
    Bedrock { model: Model { id: id.to_owned(), ..Model::default() }, region: "us-east-1".to_owned() }
}

/// A stream of events, each `name payload` on a line.
fn transcript(lines: &[&str]) -> Vec<u8> {
    let one = |line: &&str| {
        let (name, payload) = line.split_once(' ').unwrap();
        if name.ends_with("Exception") { exception(name, payload) } else { event(name, payload) }
    };
    lines.iter().flat_map(one).collect()
}

fn told(pieces: Vec<Result<Bytes, Fault>>) -> Told {
    block_on(decoded(frames(stream::iter(pieces)).boxed(), wire().decoder()).collect())
}

fn in_pieces(bytes: &[u8], size: usize) -> Told {
    told(bytes.chunks(size.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect())
}

/// The turn of a transcript, the same at every size of its pieces.
fn turn(lines: &[&str]) -> Result<Turn, Fault> {
    let bytes = transcript(lines);
    let whole = in_pieces(&bytes, bytes.len());
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(format!("{whole:?}"), format!("{:?}", in_pieces(&bytes, size)), "in pieces of {size}");
    }
    match whole.last() {
        Some(Err(fault)) => Err(fault.clone()),
        _ => Ok(assembled(&whole).finish().unwrap()),
    }
}

fn whole(body: &str) -> Result<Turn, Fault> {
    let mut events = std::collections::VecDeque::new();
    wire().decoder().whole(body, &mut events)?;
    Ok(assembled(&events.into_iter().map(Ok).collect()).finish().unwrap())
}

const START: &str = r#"messageStart {"role":"assistant","p":"abc"}"#;
const END: &str = r#"messageStop {"stopReason":"end_turn"}"#;

const READING: &[&str] = &[
    START,
    r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"Reading "},"p":"abcd"}"#,
    r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"🦀."}}"#,
    r#"contentBlockStop {"contentBlockIndex":0}"#,
    r#"contentBlockStart {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t1","name":"read"}}}"#,
    r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":""}}}"#,
    r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"path\":"}}}"#,
    r#"anEventOfTomorrow {"contentBlockIndex":1}"#,
    r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"\"a.rs\"}"}}}"#,
    r#"contentBlockStop {"contentBlockIndex":1}"#,
    r#"messageStop {"stopReason":"tool_use"}"#,
    r#"metadata {"usage":{"inputTokens":50,"outputTokens":17,"totalTokens":4163,"cacheReadInputTokens":4096,"cacheWriteInputTokens":0},"metrics":{"latencyMs":900}}"#,
];

const USAGE: Usage = Usage { input: Some(50), output: Some(17), cache_read: Some(4096), cache_write: Some(0) };

#[test]
fn text_and_a_call() {
    let turn = turn(READING).unwrap();
    assert_eq!(listed(&turn), ["text Reading 🦀.", r#"call t1 read {"path":"a.rs"}"#]);
    assert_eq!((turn.stop, turn.usage), (StopReason::ToolUse, USAGE));
}

#[test]
fn an_answer_in_one_piece_is_the_same_turn_and_the_same_kinds_of_events() {
    let body = r#"{"metrics":{"latencyMs":900},"output":{"message":{"role":"assistant","content":[{"text":"Reading 🦀."},
        {"toolUse":{"toolUseId":"t1","name":"read","input":{"path":"a.rs"}}}]}},"stopReason":"tool_use",
        "usage":{"inputTokens":50,"outputTokens":17,"totalTokens":4163,"cacheReadInputTokens":4096,"cacheWriteInputTokens":0}}"#;
    let (one, other) = (whole(body).unwrap(), turn(READING).unwrap());
    assert_eq!((listed(&one), one.usage, one.stop), (listed(&other), other.usage, other.stop));

    let error = whole(r#"{"message":"Internal trouble"}"#).unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::Unavailable, "Internal trouble"));
}

#[test]
fn a_connection_that_breaks_anywhere_runs_no_call() {
    let bytes = transcript(READING);
    let terminal = transcript(&READING[..READING.len() - 1]).len();
    for end in 0..bytes.len() {
        for reset in [false, true] {
            let mut pieces = vec![Ok(Bytes::copy_from_slice(&bytes[..end]))];
            pieces.extend(reset.then(|| Err(Fault::new(Kind::Connection, "reset"))));
            let told = told(pieces);
            let is_whole = told.iter().flatten().any(|event| matches!(event, StreamEvent::Finished(_)));
            assert_eq!(is_whole, end >= terminal, "cut after {end} of {}", bytes.len());
            if is_whole {
                assert_eq!(listed(&assembled(&told).finish().unwrap()).len(), 2);
                continue;
            }
            assert!(told.last().is_some_and(Result::is_err), "cut after {end}: the person is told");
            let kept = assembled(&told).partial();
            assert!(!kept.iter().any(|block| matches!(block, Block::Call { .. })), "cut after {end}: {kept:?}");
        }
    }
}

#[test]
fn a_damaged_message_breaks_the_turn_and_after_the_turn_takes_nothing_from_it() {
    let mut bytes = transcript(READING);
    bytes[60] ^= 4;
    let fault = in_pieces(&bytes, 64).pop().unwrap().unwrap_err();
    assert_eq!((fault.kind, fault.retryable()), (Kind::Broken, true));

    let mut bytes = transcript(READING);
    *bytes.last_mut().unwrap() ^= 1;
    let turn = assembled(&in_pieces(&bytes, 64)).finish().unwrap();
    assert_eq!((turn.stop, turn.usage), (StopReason::ToolUse, Usage::default()));

    let late = [READING, &[r#"internalServerException {"message":"late"}"#]].concat();
    assert!(super::tests::turn(&late).is_ok());
    let before_figures = [&READING[..READING.len() - 1], &[r#"internalServerException {"message":"late"}"#]].concat();
    assert_eq!(super::tests::turn(&before_figures).unwrap().stop, StopReason::ToolUse);
}

#[test]
fn parallel_calls_interleaved_empty_and_without_ids() {
    let turn = turn(&[
        START,
        r#"contentBlockStart {"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"read"}}}"#,
        r#"contentBlockStart {"contentBlockIndex":1,"start":{"toolUse":{"name":"list"}}}"#,
        r#"contentBlockStart {"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"c","name":"read"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"path\":"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"path\":\"x\"}"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"\"y\"}"}}}"#,
        r#"contentBlockStop {"contentBlockIndex":1}"#,
        r#"contentBlockStop {"contentBlockIndex":2}"#,
        r#"contentBlockStop {"contentBlockIndex":0}"#,
        r#"messageStop {"stopReason":"tool_use"}"#,
    ])
    .unwrap();
    let expected =
        [r#"call a read {"path":"x"}"#, "call (made up) list {}", r#"call c read {"path":"y"}"#].map(str::to_owned);
    assert_eq!(listed(&turn), expected);
}

#[test]
fn arguments_of_a_call_that_never_began_are_garbled() {
    let fault =
        turn(&[START, r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}"#]).unwrap_err();
    assert_eq!(fault.kind, Kind::Garbled);
    assert_eq!(turn(&[START, "contentBlockStop {not json"]).unwrap_err().kind, Kind::Garbled);
}

const REASONING: &[&str] = &[
    START,
    r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Let me "}}}"#,
    r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"\"see\""}}}"#,
    r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"EqQ/B=="}}}"#,
    r#"contentBlockStop {"contentBlockIndex":0}"#,
    r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"YWI="}}}"#,
    r#"contentBlockStop {"contentBlockIndex":1}"#,
    r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"reasoningContent":{"redactedContent":"YWI="}}}"#,
    r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"reasoningContent":{"redactedContent":"Y2Q="}}}"#,
    r#"contentBlockStop {"contentBlockIndex":2}"#,
    r#"contentBlockDelta {"contentBlockIndex":3,"delta":{"reasoningContent":{"text":"unsigned"}}}"#,
    r#"contentBlockStop {"contentBlockIndex":3}"#,
    r#"contentBlockDelta {"contentBlockIndex":4,"delta":{"reasoningContent":{"text":"","signature":"hidden"}}}"#,
    r#"contentBlockStop {"contentBlockIndex":4}"#,
    r#"contentBlockDelta {"contentBlockIndex":5,"delta":{"citation":{"title":"x"}}}"#,
    r#"contentBlockStop {"contentBlockIndex":5}"#,
    r#"contentBlockDelta {"contentBlockIndex":6,"delta":{"text":"So."}}"#,
    r#"contentBlockStop {"contentBlockIndex":6}"#,
    END,
];

const REASONED: &[&str] = &[
    r#"reasoning Let me "see" raw={"reasoningContent":{"reasoningText":{"text":"Let me \"see\"","signature":"EqQ/B=="}}}"#,
    r#"reasoning  raw={"reasoningContent":{"redactedContent":"YWI="}}"#,
    r#"reasoning  raw={"reasoningContent":{"redactedContent":"YWJjZA=="}}"#,
    "reasoning unsigned raw=none",
    r#"reasoning  raw={"reasoningContent":{"reasoningText":{"text":"","signature":"hidden"}}}"#,
    "text So.",
];

#[test]
fn reasoning_is_kept_in_the_shape_that_is_sent_back() {
    assert_eq!(listed(&turn(REASONING).unwrap()), REASONED);
    let body = r#"{"output":{"message":{"role":"assistant","content":[
        {"reasoningContent":{"reasoningText":{"text":"Let me \"see\"","signature":"EqQ/B=="}}},
        {"reasoningContent":{"redactedContent":"YWI="}},
        {"reasoningContent":{"redactedContent":"YWJjZA=="}},
        {"reasoningContent":{"reasoningText":{"text":"unsigned"}}},
        {"reasoningContent":{"reasoningText":{"text":"","signature":"hidden"}}},
        {"citationsContent":{"content":[]}},
        {"text":"So."}]}},"stopReason":"end_turn"}"#;
    assert_eq!(listed(&whole(body).unwrap()), REASONED);
}

#[test]
fn what_came_goes_back_byte_for_byte() {
    let Turn { blocks, .. } = turn(REASONING).unwrap();
    let sent = sent(&wire(), "us", &request(vec![user("a"), said("us", blocks), user("b")]));
    let sent = String::from_utf8(sent).unwrap();
    for line in REASONED.iter().filter_map(|line| line.split_once("raw=")).filter(|(_, raw)| *raw != "none") {
        assert!(sent.contains(line.1), "{} is not in {sent}", line.1);
    }
    assert!(!sent.contains("unsigned"), "{sent}");
}

#[test]
fn a_call_left_open_at_the_output_limit_is_cut_and_anywhere_else_a_broken_turn() {
    let of = |reason: &str, closed: bool| {
        let stop = format!(r#"messageStop {{"stopReason":"{reason}"}}"#);
        let mut lines = vec![
            START,
            r#"contentBlockStart {"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"write"}}}"#,
            r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"toolUse":{"input":"{\"path\":\"a"}}}"#,
        ];
        lines.extend(closed.then_some(r#"contentBlockStop {"contentBlockIndex":0}"#));
        lines.push(&stop);
        turn(&lines)
    };
    for closed in [false, true] {
        let cut = of("max_tokens", closed).unwrap();
        assert_eq!((listed(&cut).len(), cut.cut_calls, cut.stop), (0, vec!["write".to_owned()], StopReason::MaxTokens));
    }
    assert_eq!(of("tool_use", false).unwrap_err().kind, Kind::Broken);
}

#[test]
fn stop_reasons() {
    let of = |reason: &str| {
        let stop = format!(r#"messageStop {{"stopReason":"{reason}","additionalModelResponseFields":{{"x":1}}}}"#);
        let streamed = turn(&[START, &stop]).map(|turn| turn.stop);
        let body = format!(r#"{{"output":{{"message":{{"content":[]}}}},"stopReason":"{reason}"}}"#);
        assert_eq!(streamed, whole(&body).map(|turn| turn.stop), "{reason}");
        streamed
    };
    assert_eq!(of("end_turn"), Ok(StopReason::End));
    assert_eq!(of("stop_sequence"), Ok(StopReason::End));
    assert_eq!(of("max_tokens"), Ok(StopReason::MaxTokens));
    assert_eq!(of("model_context_window_exceeded"), Ok(StopReason::MaxTokens));
    assert_eq!(
        of("guardrail_intervened"),
        Ok(StopReason::Refusal("a guardrail of the account stopped the answer".to_owned()))
    );
    assert_eq!(of("content_filtered"), Ok(StopReason::Refusal("a content filter stopped the answer".to_owned())));
    let unknown = StopReason::Refusal("it stopped for a reason that is not known here (of_tomorrow)".to_owned());
    assert_eq!(of("of_tomorrow"), Ok(unknown));
    for malformed in ["malformed_model_output", "malformed_tool_use"] {
        let fault = of(malformed).unwrap_err();
        assert_eq!(fault.kind, Kind::Broken);
        assert!(fault.message.ends_with(&format!("({malformed})")), "{}", fault.message);
    }
    let none = turn(&[START]).unwrap_err();
    assert_eq!((none.kind, none.message.as_str()), (Kind::Broken, "the stream ended before messageStop"));
}

#[test]
fn figures_that_are_missing_null_or_all_zero_are_not_known() {
    let of = |usage: &str| turn(&[START, END, &format!("metadata {{{usage}}}")]).unwrap().usage;
    assert_eq!(of(""), Usage::default());
    assert_eq!(of(r#""usage":null"#), Usage::default());
    assert_eq!(of(r#""usage":{}"#), Usage::default());
    assert_eq!(of(r#""usage":{"inputTokens":null,"outputTokens":3}"#), Usage { output: Some(3), ..Usage::default() });
    assert_eq!(of(r#""usage":{"inputTokens":0,"outputTokens":0}"#).sent(), None);
    assert_eq!(of(r#""usage":{"inputTokens":0,"cacheReadInputTokens":9}"#).sent(), Some(9));
    assert_eq!(turn(&[START, END]).unwrap().usage, Usage::default(), "and none may come at all");
}

#[test]
fn exceptions_in_the_stream_are_what_they_would_have_been_before_it() {
    let of = |name: &str, body: &str| turn(&[START, &format!("{name}Exception {body}")]).unwrap_err();
    let said = |name: &str, message: &str| of(name, &format!(r#"{{"message":"{message}"}}"#)).kind;
    assert_eq!(said("throttling", "Too many requests, please wait before trying again."), Kind::RateLimited);
    assert_eq!(said("throttling", "Too many tokens, please wait before trying again."), Kind::RateLimited);
    assert_eq!(said("throttling", "Too many tokens per day, please wait before trying again."), Kind::Quota);
    assert_eq!(said("validation", "The format is invalid"), Kind::Rejected);
    assert_eq!(said("validation", "Input is too long for requested model."), Kind::Overflow(None));
    assert_eq!(
        said(
            "validation",
            "The model returned the following errors: prompt is too long: 213462 tokens > 200000 maximum"
        ),
        Kind::Overflow(Some(200_000))
    );
    assert_eq!(said("internalServer", "oops"), Kind::Unavailable);
    assert_eq!(said("serviceUnavailable", "oops"), Kind::Unavailable);
    assert_eq!(said("accessDenied", "no"), Kind::Authentication);
    assert_eq!(said("ofTomorrow", "what"), Kind::Unavailable);
    let stream = |status: &str| of("modelStreamError", &format!(r#"{{"message":"m","originalMessage":"o"{status}}}"#));
    assert_eq!((stream("").kind, stream("").message.as_str()), (Kind::Unavailable, "o"));
    assert_eq!(stream(r#","originalStatusCode":500"#).kind, Kind::Unavailable);
    assert_eq!(stream(r#","originalStatusCode":400"#).kind, Kind::Rejected);
    assert_eq!(stream(r#","originalStatusCode":429"#).kind, Kind::RateLimited);
    assert_eq!(of("throttling", "no json").message, "throttling", "the name is better than nothing");
    let reasoning = of("validation", r#"{"message":"messages.1.content.0: Invalid `signature` in `thinking` block"}"#);
    assert!(reasoning.about_reasoning());
}

#[test]
fn answers_that_are_errors() {
    let of = |status: u16, name: &'static str, body: &str| {
        let mut headers = HeaderMap::new();
        if !name.is_empty() {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(name));
        }
        headers.insert("retry-after", HeaderValue::from_static("7"));
        wire().fault(status, &headers, body)
    };
    let said = |message: &str| format!(r#"{{"message":"{message}"}}"#);
    let long = "Input is too long for requested model.";
    let url = "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/";
    let expired = "The security token included in the request is expired";
    let cases = [
        (400, url, said(long), Kind::Overflow(None)),
        (400, "ValidationException", said("Malformed input request: #/x: extraneous key"), Kind::Rejected),
        (400, "ExpiredTokenException", said(expired), Kind::Authentication),
        (400, "", r#"{"__type":"com.amazon.coral.service#ExpiredTokenException"}"#.into(), Kind::Authentication),
        (403, "ExpiredTokenException", said(expired), Kind::Authentication),
        (403, "AccessDeniedException", r#"{"Message":"User is not authorized"}"#.into(), Kind::Authentication),
        (403, "InvalidSignatureException", said("Signature expired: 1 is now earlier than 2"), Kind::Authentication),
        (404, "ResourceNotFoundException", said("Could not resolve the model"), Kind::Rejected),
        (408, "ModelTimeoutException", said("late"), Kind::Unavailable),
        (424, "ModelErrorException", said("The model had an error"), Kind::Unavailable),
        (424, "ModelErrorException", r#"{"message":"m","originalStatusCode":400}"#.into(), Kind::Rejected),
        (429, "ThrottlingException", said("Too many tokens, please wait"), Kind::RateLimited),
        (429, "ThrottlingException", said("Too many tokens per day"), Kind::Quota),
        (429, "ModelNotReadyException", said("not ready"), Kind::Unavailable),
        (400, "ServiceQuotaExceededException", said("over your quota"), Kind::RateLimited),
        (500, "InternalServerException", said("oops"), Kind::Unavailable),
        (503, "ServiceUnavailableException", said("oops"), Kind::Unavailable),
        (503, "", "<html>".into(), Kind::Unavailable),
        (413, "", said("Request is too large"), Kind::Rejected),
    ];
    for (status, name, body, expected) in cases {
        let fault = of(status, name, &body);
        assert_eq!((fault.kind, fault.status), (expected, Some(status)), "{status} {name} {body}");
        assert_eq!(fault.retry_after, Some(Duration::from_secs(7)));
    }
    let capital = of(403, "AccessDeniedException", r#"{"Message":"User is not authorized"}"#);
    assert_eq!(capital.message, "User is not authorized");
}

fn headers(wire: &Bedrock, credential: &Credential) -> HeaderMap {
    let url = Url::parse(&format!("https://bedrock-runtime.us-east-1.amazonaws.com{}", wire.path(true))).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_794_787_200);
    wire.headers(credential, &Sent { url: &url, body: b"{}", now }).unwrap()
}

#[test]
fn requests_are_signed_for_the_region() {
    let key = |token: Option<&str>| Credential::Aws {
        access_key_id: "AKIDEXAMPLE".into(),
        secret: "canary".into(),
        session_token: token.map(SecretString::from),
    };
    let headers_ = headers(&wire(), &key(Some("session")));
    let text = |name: &str| headers_[name].to_str().unwrap().to_owned();
    assert_eq!((text("x-amz-date"), text("x-amz-security-token")), ("20261116T000000Z".into(), "session".into()));
    let signature = text("authorization");
    let begins = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261116/us-east-1/bedrock/aws4_request, \
                  SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=";
    assert!(signature.starts_with(begins), "{signature}");
    assert_eq!(text("accept"), "application/vnd.amazon.eventstream, application/json");
    let printed = format!("{headers_:?} {:?}", key(Some("canary")));
    assert!(!printed.contains("canary") && !printed.contains("AKIDEXAMPLE"), "{printed}");

    let unsessioned = headers(&wire(), &key(None));
    assert!(!unsessioned.contains_key("x-amz-security-token"));
    let secrets = key(Some("t")).secrets().count();
    assert_eq!((secrets, key(None).account(), key(None).key().is_none()), (3, None, true));
}

#[test]
fn a_token_is_sent_as_it_is() {
    let sent = headers(&wire(), &Credential::Key("token".into()));
    assert_eq!(sent["authorization"], "Bearer token");
    assert!(!sent.contains_key("x-amz-date"));
    assert!(!headers(&wire(), &Credential::None).contains_key("authorization"));
}

#[test]
fn a_model_is_a_part_of_the_path() {
    assert_eq!(wire().path(true), "/model/us.anthropic.claude-sonnet-5-5-20261101-v1%3A0/converse-stream");
    let arn = of_model("arn:aws:bedrock:us-east-1:1:inference-profile/x y");
    assert_eq!(arn.path(false), "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx%20y/converse");
}

#[test]
fn a_region_becomes_a_part_of_the_host() {
    assert_eq!(base_url("us-east-1").unwrap(), "https://bedrock-runtime.us-east-1.amazonaws.com");
    assert_eq!(base_url("cn-north-1").unwrap(), "https://bedrock-runtime.cn-north-1.amazonaws.com.cn");
    for region in ["", "evil.example/", "a@b", "US", "us-east-1.evil"] {
        assert!(base_url(region).is_err(), "{region}");
    }
}

#[test]
fn a_difficult_history() {
    let body = body(&wire(), "us", difficult("us"));
    insta::assert_snapshot!(lines(body), @r##"
    {"content":[{"text":"Mend it."}],"role":"user"}
    {"content":[{"signature":"s1","thinking":"First","type":"thinking"},{"data":"opaque","type":"redacted_thinking"},{"text":"Reading."},{"toolUse":{"input":{"big":1.2345678901234568e+22,"path":"a.rs"},"name":"read","toolUseId":"toolu_1"}},{"toolUse":{"input":{},"name":"read","toolUseId":"functions_read_0_c216cab2de2e56d5"}}],"role":"assistant"}
    {"content":[{"toolResult":{"content":[{"text":"fn a() {}"}],"toolUseId":"toolu_1"}},{"toolResult":{"content":[{"text":"the arguments do not parse"}],"status":"error","toolUseId":"functions_read_0_c216cab2de2e56d5"}},{"text":"And hurry."},{"text":"Well?"},{"cachePoint":{"type":"default"}}],"role":"user"}
    {"content":[{"text":"Done."},{"text":"Really."}],"role":"assistant"}
    {"content":[{"text":"Thanks."},{"cachePoint":{"type":"default"}}],"role":"user"}
    {"messages":null,"system":[{"text":"You edit code."},{"cachePoint":{"type":"default"}}],"toolConfig":{"tools":[{"toolSpec":{"description":"Does list.","inputSchema":{"json":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"name":"list"}},{"toolSpec":{"description":"Does read.","inputSchema":{"json":{"properties":{"path":{"type":"string"}},"required":["path"],"type":"object"}},"name":"read"}},{"cachePoint":{"type":"default"}}]}}
    "##);
    let raw = String::from_utf8(sent(&wire(), "us", &request(difficult("us")))).unwrap();
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
    let body = body(&wire(), "us", difficult("them"));
    assert!(!body.to_string().contains("thinking"), "{body}");
}

#[test]
fn marks_are_put_where_a_family_takes_them() {
    let history = || {
        vec![
            user("a"),
            said("us", vec![call("1", "read", "{}")]),
            results(&[("1", true, "x")]),
            said("us", vec![text("b")]),
            user("c"),
        ]
    };
    let of = |model: &str, items: Vec<Item>| {
        let body = body(&of_model(model), "us", items);
        let count = |value: &serde_json::Value| value.to_string().matches("cachePoint").count();
        [count(&body["system"]), count(&body["toolConfig"]), count(&body["messages"])]
    };
    assert_eq!(of(CLAUDE, history()), [1, 1, 2]);
    assert_eq!(of("anthropic.claude-3-5-haiku-20241022-v1:0", history()), [1, 1, 2]);
    assert_eq!(of("anthropic.claude-3-haiku-20240307-v1:0", history()), [0, 0, 0]);
    assert_eq!(of("us.amazon.nova-pro-v1:0", history()), [1, 0, 1]);
    assert_eq!(of("us.amazon.nova-pro-v1:0", history().into_iter().take(3).collect()), [1, 0, 1]);
    assert_eq!(of("meta.llama4-maverick-17b-instruct-v1:0", history()), [0, 0, 0]);
    assert_eq!(of("arn:aws:bedrock:us-east-1:1:application-inference-profile/x", history()), [0, 0, 0]);
}

#[test]
fn a_history_with_calls_declares_their_tools_even_when_none_are_offered() {
    let wire = of_model("meta.llama4");
    let of = |items: Vec<Item>| {
        let request = Request { tools: [].into(), ..request(items) };
        serde_json::from_slice::<serde_json::Value>(&sent(&wire, "us", &request)).unwrap()
    };
    let called = of(vec![
        user("a"),
        said("us", vec![call("1", "read", "{}"), call("2", "list", "{}"), call("3", "read", "{}")]),
        results(&[("1", true, "x"), ("2", true, " "), ("3", false, "y")]),
    ]);
    let spec =
        |name: &str| serde_json::json!({"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}});
    assert_eq!(called["toolConfig"], serde_json::json!({"tools": [spec("list"), spec("read")]}));
    let blank = &called["messages"][2]["content"][1]["toolResult"];
    assert_eq!(*blank, serde_json::json!({"toolUseId": "2", "content": [{"text": "(no output)"}]}));
    assert_eq!(called["messages"][2]["content"][2]["toolResult"]["status"], "error");
    let plain = of(vec![user("a")]);
    assert!(plain.get("toolConfig").is_none() && plain.get("inferenceConfig").is_none(), "{plain}");
}

#[test]
fn ids_that_are_too_long_stay_different() {
    let (one, other) = ("x".repeat(70) + "1", "x".repeat(70) + "2");
    let body = body(
        &wire(),
        "us",
        vec![
            user("a"),
            said("us", vec![call(&one, "read", "{}"), call(&other, "read", "{}")]),
            results(&[(&one, true, "x"), (&other, true, "y")]),
        ],
    );
    let called = |n: usize| body["messages"][1]["content"][n]["toolUse"]["toolUseId"].as_str().unwrap().to_owned();
    let answered = |n: usize| body["messages"][2]["content"][n]["toolResult"]["toolUseId"].as_str().unwrap().to_owned();
    assert_eq!((called(0), called(1)), (answered(0), answered(1)));
    assert_ne!(called(0), called(1));
    assert_eq!(called(0).len(), 64);
}

#[test]
fn what_the_settings_say_is_sent() {
    let set = Bedrock { model: Model { max_output: Some(100), temperature: Some(0.5), ..wire().model }, ..wire() };
    let of =
        |request: &Request| serde_json::from_slice::<serde_json::Value>(&set.body(request, true).unwrap()).unwrap();
    let mut request = request(vec![user("hi")]);
    assert_eq!(of(&request)["inferenceConfig"], serde_json::json!({"maxTokens": 100, "temperature": 0.5}));
    request.max_output = Some(7);
    assert_eq!(of(&request)["inferenceConfig"]["maxTokens"], 7);
}

#[test]
fn the_first_piece_that_says_something_decides_what_a_block_is() {
    for nothing in [
        r#"{}"#,
        r#"{"text":""}"#,
        r#"{"reasoningContent":{}}"#,
        r#"{"reasoningContent":{"text":"","signature":""}}"#,
        r#"{"citation":{"title":"x"}}"#,
    ] {
        let nothing = format!(r#"contentBlockDelta {{"contentBlockIndex":0,"delta":{nothing}}}"#);
        let said = |delta: &str| {
            let delta = format!(r#"contentBlockDelta {{"contentBlockIndex":0,"delta":{delta}}}"#);
            let stop = r#"contentBlockStop {"contentBlockIndex":0}"#;
            listed(&turn(&[START, &nothing, &delta, &nothing, stop, END]).unwrap())
        };
        assert_eq!(said(r#"{"text":"So."}"#), ["text So."], "{nothing}");
        assert_eq!(said(r#"{"reasoningContent":{"text":"Hm."}}"#), ["reasoning Hm. raw=none"], "{nothing}");
        assert!(said("{}").is_empty());
    }
}

#[test]
fn a_piece_of_another_kind_than_its_block_is_garbled_and_not_lost() {
    const TEXT: &str = r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"So."}}"#;
    const THOUGHT: &str = r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm."}}}"#;
    const CALL: &str =
        r#"contentBlockStart {"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"read"}}}"#;
    for (block, piece) in [(THOUGHT, TEXT), (CALL, TEXT), (TEXT, THOUGHT), (CALL, THOUGHT)] {
        let fault = turn(&[START, block, piece]).unwrap_err();
        assert_eq!(fault.kind, Kind::Garbled, "{piece} after {block}");
    }
}

#[test]
fn ids_of_other_providers_fit_and_stay_apart() {
    let long = "x".repeat(65);
    let ids = ["toolu_1", "functions.read:0", "a/b", "a_b", "a|b", &long, &format!("{long}y")];
    let calls = ids.iter().map(|id| call(id, "read", "{}")).collect();
    let answers: Vec<_> = ids.iter().map(|id| (*id, true, "x")).collect();
    let body = body(&wire(), "us", vec![user("a"), said("them", calls), results(&answers)]);
    let sent = |message: usize, name: &str| -> Vec<String> {
        let parts = body["messages"][message]["content"].as_array().unwrap();
        parts.iter().filter_map(|part| Some(part[name]["toolUseId"].as_str()?.to_owned())).collect()
    };
    assert_eq!(sent(1, "toolUse"), sent(2, "toolResult"));
    assert_eq!(sent(1, "toolUse").iter().collect::<std::collections::HashSet<_>>().len(), ids.len());
    assert_eq!(sent(1, "toolUse")[0], "toolu_1", "what fits stays");
    let fits = |id: &String| id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    assert!(sent(1, "toolUse").iter().all(fits), "{:?}", sent(1, "toolUse"));
}
