//! The cases. Chat and Gemini have no mark at the end of a call; Gemini and Bedrock's whole answers have objects for
//! arguments: what a wire cannot have is left out for it.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Case, Say};
use crate::model::double::{Answer, Event, Figures, Part, Piece, Reply, Stop, Style, Trouble, strange_frame};

const fn case(
    name: &'static str,
    replies: fn(&Say) -> Option<Vec<Reply>>,
    expected: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, after: false, replies, expected }
}

const ALL: &str = "1x turn: all (ToolUse)";
const AGAIN: &str = "2x [the answer broke off (*)] turn: all (ToolUse)";
const AGAIN_DISCARDED: &str = "2x [discarded: the answer broke off (*)] turn: all (ToolUse)";

pub(super) const CASES: &[Case] = &[
    // What the provider refuses.
    case(
        "wrong key",
        |say| Some(vec![say.error(Trouble::Authentication)]),
        &[
            (
                "anthropic",
                "1x authentication: double/m refuses the key (HTTP 401: invalid x-api-key: [key]); check the \
                 environment variable KEY of the editor's process, kept \"\"",
            ),
            (
                "bedrock",
                "1x authentication: double/* refuses the key (HTTP 40*); check the AWS credentials*, kept \"\"",
            ),
            ("*", "1x authentication: double/m* refuses the key (HTTP 40*environment variable KEY*, kept \"\""),
        ],
    ),
    case(
        "nothing left in the account",
        |say| Some(vec![say.error(Trouble::Quota)]),
        &[("bedrock", "1x authentication: *payment instrument*, kept \"\""), ("*", "1x quota: *, kept \"\"")],
    ),
    case("too long", |say| Some(vec![say.error(Trouble::Overflow)]), &[("*", "1x overflow ({limit}): *, kept \"\"")]),
    case("unknown model", |say| Some(vec![say.error(Trouble::NotFound)]), &[("*", "1x rejected (404): *, kept \"\"")]),
    case("wrong request", |say| Some(vec![say.error(Trouble::BadRequest)]), &[("*", "1x rejected (4*): *, kept \"\"")]),
    case(
        "prompt stopped by a filter",
        |say| Some(vec![say.error(Trouble::Filter)]),
        &[
            ("anthropic bedrock", "1x turn: *(Refusal(*))"),
            ("cohere", "1x rejected (400): *, kept \"\""),
            ("*", "1x refused: *, kept \"\""),
        ],
    ),
    Case {
        name: "rejected reasoning is left out",
        after: true,
        replies: |say| super::super::seals(say.door).then(|| vec![say.error(Trouble::Reasoning), say.good()]),
        expected: &[(
            "*",
            "2x [the provider rejects its earlier reasoning, which is left out now (*)] turn: all (ToolUse)",
        )],
    },
    Case {
        name: "rejected reasoning is left out once",
        after: true,
        replies: |say| super::super::seals(say.door).then(|| vec![say.error(Trouble::Reasoning); 3]),
        expected: &[(
            "*",
            "2x [the provider rejects its earlier reasoning, which is left out now (*)] rejected (400): *",
        )],
    },
    case(
        "a page instead of an error",
        |_| Some(vec![Reply::of(404, "text/html", "<html>Sign in</html>")]),
        &[("*", "1x rejected (404): *a web page instead of an answer; check base_url*")],
    ),
    case("an error with no body", |_| Some(vec![Reply::of(418, "text/plain", "")]), &[("*", "1x rejected (418): *")]),
    case(
        "a redirect",
        |_| Some(vec![Reply::of(307, "text/plain", "").header("location", "https://elsewhere.example/x")]),
        &[("*", "1x rejected (307): *it points to elsewhere.example, and redirects are not followed*")],
    ),
    // What passes.
    case(
        "rate limited for a moment",
        |say| Some(vec![say.error(Trouble::RateLimit(0)), say.error(Trouble::RateLimit(0)), say.good()]),
        &[("*", "3x [rate limited (*)] [rate limited (*)] turn: all (ToolUse)")],
    ),
    case(
        "rate limited for an hour",
        |say| Some(vec![say.error(Trouble::RateLimit(3600))]),
        &[("*", "1x rate limited (Some(3600s)): *")],
    ),
    case(
        "the delay in every spelling",
        |say| {
            let limited = |name: &'static str, value: &str| {
                Reply::error(429, json!({"error": {"message": "slow down"}, "message": "slow down"}))
                    .header(name, value)
            };
            let past = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(9));
            Some(vec![
                limited("retry-after", "0"),
                limited("retry-after-ms", "1.5"),
                limited("retry-after", "0.01"),
                limited("retry-after", &past),
                say.good(),
            ])
        },
        &[("*", "5x [*] [*] [*] [rate limited (slow down)] turn: all (ToolUse)")],
    ),
    case(
        "a date in an hour",
        |_| {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
            Some(vec![Reply::error(503, json!({"message": "later"})).header("retry-after", &date)])
        },
        &[("*", "1x unavailable: *later*")],
    ),
    case(
        "overloaded for a moment",
        |say| Some(vec![say.passing(Trouble::Overloaded), say.good()]),
        &[("*", "2x [the provider has trouble (*)] turn: all (ToolUse)")],
    ),
    case(
        "a fault of the server for a moment",
        |say| Some(vec![say.passing(Trouble::Server), say.good()]),
        &[("*", "2x [the provider has trouble (*)] turn: all (ToolUse)")],
    ),
    case(
        "the gateway's page for a moment",
        |say| {
            let page = Reply::of(502, "text/html", "<html><h1>Bad gateway</h1></html>").header("retry-after", "0");
            Some(vec![page, say.good()])
        },
        &[("*", "2x [the provider has trouble (a web page instead of an answer; check base_url)] turn: all (ToolUse)")],
    ),
    case(
        "timed out at the server",
        |say| Some(vec![Reply::of(408, "text/plain", "").header("retry-after", "0"), say.good()]),
        &[("*", "2x [the provider has trouble (*)] turn: all (ToolUse)")],
    ),
    case(
        "overloaded for good",
        |say| Some(vec![say.passing(Trouble::Overloaded); 7]),
        &[("*", "6x [*] [*] [*] [*] [the provider has trouble (*)] unavailable: *")],
    ),
    case(
        "overloaded, and not to be asked again",
        |say| Some(vec![say.error(Trouble::Overloaded).header("x-should-retry", "false")]),
        &[("*", "1x unavailable: *")],
    ),
    case(
        "a refusal that wants to be tried again",
        |say| Some(vec![say.error(Trouble::BadRequest).header("x-should-retry", "true")]),
        &[("*", "1x rejected (4*): *")],
    ),
    // What is no stream.
    case(
        "a page under a good status",
        |_| Some(vec![Reply::of(200, "text/html", "<html>Sign in</html>")]),
        &[("*", "1x broken: *a web page instead of an answer; check base_url*")],
    ),
    case(
        "one document, though a stream was asked for",
        |say| Some(vec![Reply::error(200, say.dialect.whole(&say.answer(), Style::default()))]),
        &[("*", ALL)],
    ),
    case(
        "an error under a good status",
        |say| {
            let (_, _, body) = say.error(Trouble::Overflow).parts();
            Some(vec![Reply::of(200, "application/json", &String::from_utf8(body).unwrap())])
        },
        &[("*", "1x overflow ({limit}): *")],
    ),
    case(
        "a compressed body",
        |say| Some(vec![say.bytes(*b"\x1f\x8bx").header("content-encoding", "gzip")]),
        &[("*", "1x broken: *compressed*")],
    ),
    case(
        "a document over the limit",
        |_| {
            let piece = Piece::Bytes(vec![b' '; 1 << 20]);
            Some(vec![Reply::typed("application/json", vec![piece; 11])])
        },
        &[("*", "1x broken: *larger than 10 MiB*")],
    ),
    case(
        "an event over the limit",
        |say| {
            if !say.sse() {
                let long = Event { name: "messageStart".to_owned(), data: " ".repeat(11 << 20) };
                return Some(vec![say.bytes(strange_frame(&long))]);
            }
            let start = b"data: ".to_vec();
            let pieces = [vec![Piece::Bytes(start)], vec![Piece::Bytes(vec![b'x'; 1 << 20]); 11]].concat();
            Some(vec![say.pieces(pieces)])
        },
        &[("*", "1x broken: *larger than 10 MiB*")],
    ),
    case("nothing under a good status", |say| Some(vec![say.bytes(""), say.good()]), &[("*", AGAIN)]),
    // Where a stream ends.
    case("cut before anything", |say| Some(vec![say.pieces(vec![Piece::Reset]), say.good()]), &[("*", AGAIN)]),
    case(
        "cut in the text",
        |say| {
            let transcript = say.stream();
            let start = transcript.first(say.after_text(&transcript));
            Some(vec![say.pieces(vec![Piece::Bytes(start), Piece::Reset]), say.good()])
        },
        &[("*", AGAIN_DISCARDED)],
    ),
    case(
        "cut in a call",
        |say| {
            let transcript = say.stream();
            let start = transcript.first(say.in_call(&transcript));
            Some(vec![say.pieces(vec![Piece::Bytes(start), Piece::Reset]), say.good()])
        },
        &[("*", AGAIN_DISCARDED)],
    ),
    case(
        "no end",
        |say| {
            let transcript = say.stream();
            Some(vec![say.bytes(transcript.first(transcript.terminal)), say.good()])
        },
        &[("*", AGAIN_DISCARDED)],
    ),
    case(
        "cut after the end",
        |say| {
            let transcript = say.stream();
            let all = transcript.first(transcript.terminal + 1);
            Some(vec![say.pieces(vec![Piece::Bytes(all), Piece::Reset])])
        },
        &[("*", ALL)],
    ),
    case(
        "no close after the end",
        |say| {
            let transcript = say.stream();
            let all = transcript.first(transcript.terminal + 1);
            Some(vec![say.pieces(vec![Piece::Bytes(all), Piece::Hang])])
        },
        &[("*", ALL)],
    ),
    case(
        "two ends",
        |say| {
            let transcript = say.stream();
            let end = transcript.events[transcript.terminal].clone();
            Some(vec![say.said(&transcript.clone().with(transcript.terminal + 1, end))])
        },
        &[("*", ALL)],
    ),
    // What is in a stream.
    case(
        "an unknown event",
        |say| {
            let transcript = say.stream();
            let (unknown, last) = (say.dialect.unknown(), transcript.terminal);
            Some(vec![say.said(&transcript.with(last, unknown.clone()).with(1, unknown))])
        },
        &[("*", ALL)],
    ),
    case(
        "unknown fields",
        |say| Some(vec![say.said(&say.dialect.stream(&say.answer(), Style { new_fields: true, ..Style::default() }))]),
        &[("*", ALL)],
    ),
    case(
        "an event that is not JSON",
        |say| {
            let transcript = say.stream();
            let (at, garbage) = (say.after_text(&transcript), say.garbage(&transcript));
            Some(vec![say.said(&transcript.with(at, garbage))])
        },
        &[("*", "1x broken: *not what the wire says*, kept \"Reading.\"")],
    ),
    case(
        "an error in the midst of a text",
        |say| {
            let transcript = say.stream();
            let at = say.after_text(&transcript);
            let mut bytes = transcript.first(at);
            bytes.extend((transcript.encode)(&say.dialect.reported(Trouble::Overloaded)?));
            Some(vec![say.bytes(bytes), say.good()])
        },
        &[("*", "2x [discarded: *] turn: all (ToolUse)")],
    ),
    case(
        "an error instead of a text",
        |say| {
            let error = say.dialect.reported(Trouble::Server)?;
            Some(vec![say.bytes((say.stream().encode)(&error)), say.good()])
        },
        &[("*", "2x [the provider has trouble (*)] turn: all (ToolUse)")],
    ),
    case(
        "too long, told in the stream",
        |say| {
            let error = say.dialect.reported(Trouble::Overflow)?;
            Some(vec![say.bytes((say.stream().encode)(&error))])
        },
        &[("*", "1x overflow (None): *")],
    ),
    case(
        "a call that is never closed",
        |say| {
            if say.is("openai-chat azure-dated gemini") {
                return None;
            }
            let mut transcript = say.stream();
            let last = transcript.events[transcript.terminal].with(|data| {
                if let Some(output) = data.pointer_mut("/response/output") {
                    *output = json!([]);
                }
            });
            transcript.events[transcript.terminal] = last;
            let end = ["content_block_stop", "contentBlockStop", "tool-call-end", "response.output_item.done"];
            let close = transcript.events.iter().rposition(|event| end.contains(&&*event.name)).unwrap();
            transcript.events.remove(close);
            transcript.events.retain(|event| event.name != "response.function_call_arguments.done");
            Some(vec![say.said(&transcript), say.good()])
        },
        &[("*", AGAIN_DISCARDED)],
    ),
    case(
        "a call that was announced and never came",
        |say| {
            if say.is("gemini openai azure") {
                return None;
            }
            let mut answer = say.answer();
            answer.parts.truncate(1);
            Some(vec![say.said(&say.dialect.stream(&answer, Style::default())), say.good()])
        },
        &[("*", "*")],
    ),
    case(
        "a call that the provider could not read",
        |say| {
            let (field, reason) = match say.door.name {
                "gemini" => ("/candidates/0/finishReason", "MALFORMED_FUNCTION_CALL"),
                "bedrock" => ("/stopReason", "malformed_tool_use"),
                _ => return None,
            };
            let answer = Answer::of(vec![Part::text("Reading.")]);
            let mut transcript = say.dialect.stream(&answer, Style::default());
            transcript.events[transcript.terminal] =
                transcript.events[transcript.terminal].with(|data| *data.pointer_mut(field).unwrap() = json!(reason));
            Some(vec![say.said(&transcript), say.good()])
        },
        &[("*", AGAIN_DISCARDED)],
    ),
    case(
        "arguments that do not parse",
        |say| {
            if say.is("gemini") {
                return None;
            }
            let answer = Answer::of(vec![Part::text("Reading."), Part::call("toolu_1", "read", "{\"path\": ")]);
            Some(vec![say.said(&say.dialect.stream(&answer, Style::default()))])
        },
        &[("*", "1x turn: text Reading. + call toolu_1 read {\"path\":  (ToolUse)")],
    ),
    case(
        "a call without arguments",
        |say| {
            let call = Part::Call { id: "toolu_1".to_owned(), name: "list".to_owned(), arguments: Vec::new() };
            Some(vec![say.said(&say.dialect.stream(&Answer::of(vec![call]), Style::default()))])
        },
        &[("*", "1x turn: call toolu_1 list {} (ToolUse)")],
    ),
    case(
        "cut off at the limit in a call",
        |say| {
            let answer = Answer::of(vec![Part::text("Reading."), Part::call("toolu_1", "read", "{\"path\": \"a")]);
            Some(vec![say.said(&say.dialect.stream(&answer.stopped(Stop::Limit), Style::default()))])
        },
        &[("gemini", "1x turn: text Reading. (MaxTokens)"), ("*", "1x turn: text Reading. (MaxTokens, read cut off)")],
    ),
    case(
        "cut off at the limit in a text",
        |say| {
            let answer = Answer::of(vec![Part::text("Readi")]).stopped(Stop::Limit);
            Some(vec![say.said(&say.dialect.stream(&answer, Style::default()))])
        },
        &[("*", "1x turn: text Readi (MaxTokens)")],
    ),
    case(
        "a refusal in the midst",
        |say| {
            let answer = Answer::of(vec![Part::text("Readi")]).stopped(Stop::Refusal);
            (!say.is("cohere")).then(|| vec![say.said(&say.dialect.stream(&answer, Style::default()))])
        },
        &[("*", "1x turn: text Readi (Refusal(\"*\"))")],
    ),
    case(
        "a refusal without a word",
        |say| {
            let answer = Answer::of(Vec::new()).stopped(Stop::Refusal);
            (!say.is("cohere")).then(|| vec![say.said(&say.dialect.stream(&answer, Style::default()))])
        },
        &[("gemini", "1x *efus*"), ("*", "1x turn:  (Refusal(\"*\"))")],
    ),
    case(
        "a filter in the midst",
        |say| {
            let (pointer, reason) = match say.door.name {
                "openai" | "azure" => ("/response/incomplete_details/reason", "content_filter"),
                "bedrock" => ("/stopReason", "content_filtered"),
                "gemini" => ("/candidates/0/finishReason", "PROHIBITED_CONTENT"),
                _ => return None,
            };
            let answer = Answer::of(vec![Part::text("Readi")]).stopped(Stop::Limit);
            let mut transcript = say.dialect.stream(&answer, Style::default());
            transcript.events[transcript.terminal] =
                transcript.events[transcript.terminal].with(|data| *data.pointer_mut(pointer).unwrap() = json!(reason));
            Some(vec![say.said(&transcript)])
        },
        &[("*", "1x turn: text Readi (Refusal(\"*\"))")],
    ),
    case(
        "a refusal in its own field",
        |say| {
            if !say.is("openai-chat azure-dated") {
                return None;
            }
            let answer = Answer::of(vec![Part::Text(vec!["I cannot ".to_owned(), "help.".to_owned()])]);
            let mut transcript = say.dialect.stream(&answer, Style::default());
            for event in &mut transcript.events {
                *event = event.with(|data| {
                    if let Some(delta) = data.pointer_mut("/choices/0/delta").filter(|delta| delta["content"] != "") {
                        *delta = json!({"refusal": delta["content"]});
                    }
                });
            }
            Some(vec![say.said(&transcript)])
        },
        &[("*", "1x turn:  (Refusal(\"I cannot help.\"))")],
    ),
    case(
        "an error inside an error event",
        |say| {
            let (flat, inner) = (say.dialect.reported(Trouble::Overflow)?, "error");
            let nested = flat.with(|data| {
                *data = json!({"type": inner, "error": {"type": "invalid_request_error", "code": data["code"], "message": data["message"]}});
            });
            say.is("openai azure").then(|| vec![say.bytes((say.stream().encode)(&nested))])
        },
        &[("*", "1x overflow (None): *")],
    ),
    case(
        "a pause",
        |say| {
            let answer = Answer::of(vec![Part::text("Readi")]).stopped(Stop::Pause);
            say.is("anthropic").then(|| vec![say.said(&say.dialect.stream(&answer, Style::default()))])
        },
        &[("*", "1x turn: text Readi (Pause)")],
    ),
    case(
        "no figures",
        |say| {
            let style = Style { usage: Figures::Missing, ..Style::default() };
            Some(vec![say.said(&say.dialect.stream(&say.answer(), style))])
        },
        &[("*", ALL)],
    ),
    case(
        "figures of nothing",
        |say| {
            let style = Style { usage: Figures::Null, ..Style::default() };
            Some(vec![say.said(&say.dialect.stream(&say.answer(), style))])
        },
        &[("*", ALL)],
    ),
    // How the bytes come.
    case(
        "slow bytes",
        |say| {
            let bytes = say.stream().bytes();
            let slow = |piece: &[u8]| [Piece::Bytes(piece.to_vec()), Piece::Wait(Duration::from_millis(150))];
            Some(vec![say.pieces(bytes.chunks(bytes.len() / 24).flat_map(slow).collect())])
        },
        &[("*", ALL)],
    ),
    case(
        "silence in the text",
        |say| {
            let transcript = say.stream();
            let start = transcript.first(say.after_text(&transcript));
            Some(vec![say.pieces(vec![Piece::Bytes(start), Piece::Hang])])
        },
        &[("*", "1x idle: *, kept \"Reading.\"")],
    ),
    case("silence before anything", |say| Some(vec![say.pieces(vec![Piece::Hang])]), &[("*", "1x idle: *, kept \"\"")]),
    case(
        "no answer at all",
        |say| Some(vec![say.good().late(Duration::from_secs(9))]),
        &[("*", "1x idle: *, kept \"\"")],
    ),
    case(
        "pings for longer than the silence that is allowed",
        |say| {
            if !say.sse() {
                return None;
            }
            let ping = [Piece::Wait(Duration::from_millis(900)), Piece::text(": ping\n\n")];
            let pings = std::iter::repeat_n(ping, 4).flatten();
            Some(vec![say.pieces(pings.chain([Piece::Bytes(say.stream().bytes())]).collect())])
        },
        &[("*", ALL)],
    ),
    case("lines that end with CR", |say| lines(say, "\r"), &[("*", ALL)]),
    case("lines that end with CRLF", |say| lines(say, "\r\n"), &[("*", ALL)]),
    case(
        "a byte order mark",
        |say| {
            let bytes = [b"\xef\xbb\xbf".to_vec(), say.stream().bytes()].concat();
            say.sse().then(|| vec![say.bytes(bytes)])
        },
        &[("*", ALL)],
    ),
    case(
        "comments and fields of no use",
        |say| {
            let text = String::from_utf8_lossy(&say.stream().bytes()).into_owned();
            let text = text.replace("data:", ": hm\nid: a\0b\nretry: 10\nother: x\ndata:");
            say.sse().then(|| vec![say.bytes(format!(": hello\n\n:\n\nevent: ping\n\n{text}"))])
        },
        &[("*", ALL)],
    ),
    case(
        "no space after data",
        |say| {
            let text = String::from_utf8_lossy(&say.stream().bytes()).into_owned();
            say.sse().then(|| vec![say.bytes(text.replace("data: ", "data:"))])
        },
        &[("*", ALL)],
    ),
    case(
        "an end mark that nobody needs",
        |say| {
            let transcript = say.stream();
            let at = transcript.events.len();
            let done = Event { name: String::new(), data: " [DONE] ".to_owned() };
            say.sse().then(|| vec![say.said(&transcript.clone().with(at, done.clone()).with(at, done))])
        },
        &[("*", ALL)],
    ),
    case(
        "what is not UTF-8",
        |say| {
            let transcript = say.stream();
            let at = say.after_text(&transcript);
            let bytes = [transcript.first(at), b"data: \xff\xfe\n\n".to_vec()].concat();
            say.sse().then(|| vec![say.bytes(bytes)])
        },
        &[("*", "1x broken: *, kept \"Reading.\"")],
    ),
    // Frames with checksums.
    case("a wrong checksum of a message", |say| flipped(say, |frame| frame - 1), &[("*", AGAIN_DISCARDED)]),
    case("a wrong checksum of a prelude", |say| flipped(say, |_| 8), &[("*", AGAIN_DISCARDED)]),
    case("a byte of a payload that was changed", |say| flipped(say, |frame| frame / 2), &[("*", AGAIN_DISCARDED)]),
    case(
        "headers of every type",
        |say| {
            let bytes = say.stream().events.iter().flat_map(strange_frame).collect::<Vec<u8>>();
            (!say.sse()).then(|| vec![say.bytes(bytes)])
        },
        &[("*", ALL)],
    ),
    case(
        "a message that is an error",
        |say| {
            let error = strange_frame(&Event { name: "?InternalFailure".to_owned(), data: String::new() });
            (!say.sse()).then(|| vec![say.bytes(error), say.good()])
        },
        &[("*", "2x [the provider has trouble (*)] turn: all (ToolUse)")],
    ),
    case(
        "an exception of tomorrow",
        |say| {
            let event =
                Event { name: "!sparkleException".to_owned(), data: json!({"message": "no sparkle"}).to_string() };
            (!say.sse()).then(|| vec![say.bytes((say.stream().encode)(&event)), say.good()])
        },
        &[("*", "*no sparkle*")],
    ),
];

/// The stream with other ends of lines.
fn lines(say: &Say, end: &str) -> Option<Vec<Reply>> {
    let text = String::from_utf8_lossy(&say.stream().bytes()).into_owned();
    say.sse().then(|| vec![say.bytes(text.replace('\n', end))])
}

/// A stream whose message after the text has one byte changed.
fn flipped(say: &Say, at: fn(usize) -> usize) -> Option<Vec<Reply>> {
    if say.sse() {
        return None;
    }
    let transcript = say.stream();
    let after = say.after_text(&transcript);
    let mut frame = (transcript.encode)(&transcript.events[after]);
    let place = at(frame.len());
    frame[place] ^= 1;
    Some(vec![say.bytes([transcript.first(after), frame].concat()), say.good()])
}
