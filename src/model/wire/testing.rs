//! What the tests of every wire share: transcripts, cut anywhere, and the history that each must translate.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use serde_json::{Value, json, value::RawValue};

use super::{Decoder, Wire};
use crate::model::fault::Fault;
use crate::model::remote::decoded;
use crate::model::replay::{Fitted, Replayable};
use crate::model::sse::frames;
use crate::model::{Assembler, Block, Item, Request, StreamEvent, ToolResult, ToolSpec, Turn};

pub(super) type Told = Vec<Result<StreamEvent, Fault>>;

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// The events of a transcript that arrives in pieces of the given size.
pub(super) fn events(wire: &dyn Wire, transcript: &str, size: usize) -> Told {
    let pieces: Vec<_> =
        transcript.as_bytes().chunks(size.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    told(wire.decoder(), pieces)
}

pub(super) fn told(decoder: Box<dyn Decoder>, pieces: Vec<Result<Bytes, Fault>>) -> Told {
    block_on(decoded(frames(stream::iter(pieces)).boxed(), decoder).collect())
}

pub(super) fn assembled(told: &Told) -> Assembler {
    let mut assembler = Assembler::default();
    told.iter().flatten().for_each(|event| assembler.push(event));
    assembler
}

/// The turn of a transcript, the same at every size of its pieces.
pub(super) fn turn(wire: &dyn Wire, transcript: &str) -> Result<Turn, Fault> {
    let whole = events(wire, transcript, transcript.len());
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(format!("{whole:?}"), format!("{:?}", events(wire, transcript, size)), "in pieces of {size}");
    }
    for line_end in ["\r\n", "\r"] {
        let other = transcript.replace('\n', line_end);
        assert_eq!(format!("{whole:?}"), format!("{:?}", events(wire, &other, 1)), "with {line_end:?}");
    }
    match whole.last() {
        Some(Err(fault)) => Err(fault.clone()),
        _ => Ok(assembled(&whole).finish().unwrap()),
    }
}

/// Cuts a transcript after every byte. A turn comes only once its terminal event (from `terminal` on) was there, and
/// otherwise the stream ends with a fault; what came of the text is kept and no call is.
pub(super) fn cut_everywhere(wire: &dyn Wire, transcript: &str, terminal: usize) {
    for end in 0..transcript.len() {
        for reset in [false, true] {
            let mut pieces = vec![Ok(Bytes::copy_from_slice(&transcript.as_bytes()[..end]))];
            pieces.extend(reset.then(|| Err(Fault::new(crate::model::fault::Kind::Connection, "reset"))));
            let told = told(wire.decoder(), pieces);
            let whole = told.iter().flatten().any(|event| matches!(event, StreamEvent::Finished(_)));
            assert_eq!(whole, end >= terminal, "cut after {end} of {}", transcript.len());
            if whole {
                assert!(assembled(&told).finish().is_ok());
                continue;
            }
            assert!(told.last().is_some_and(Result::is_err), "cut after {end}: the person is told");
            assert!(assembled(&told).finish().is_err());
            let kept = assembled(&told).partial();
            assert!(!kept.iter().any(|block| matches!(block, Block::Call { .. })), "cut after {end}: {kept:?}");
        }
    }
}

/// The blocks as a person would list them.
pub(super) fn listed(turn: &Turn) -> Vec<String> {
    let line = |block: &Block| match block {
        Block::Text { text, .. } => format!("text {text}"),
        Block::Reasoning { text, raw } => {
            format!("reasoning {text} raw={}", raw.as_ref().map_or("none", |raw| raw.get()))
        }
        Block::Call { id, name, arguments, .. } if id.starts_with("call_0") => {
            format!("call (made up) {name} {arguments}")
        }
        Block::Call { id, name, arguments, .. } => format!("call {id} {name} {arguments}"),
    };
    turn.blocks.iter().map(line).collect()
}

pub(crate) fn raw(text: &str) -> Arc<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap().into()
}

pub(crate) fn request(items: Vec<Item>) -> Request {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    let tool = |name: &str| ToolSpec {
        name: name.to_owned(),
        description: format!("Does {name}."),
        schema: Arc::new(schema.clone()),
    };
    Request {
        system: "You edit code.".into(),
        tools: vec![tool("list"), tool("read")].into(),
        items: items.into_iter().map(Arc::new).collect(),
        max_output: None,
        cache_key: None,
        purpose: crate::model::Purpose::Turn,
    }
}

pub(crate) fn user(text: &str) -> Item {
    Item::told(text)
}

pub(crate) fn said(model: &str, blocks: Vec<Block>) -> Item {
    Item::Assistant { model: model.to_owned(), origin: model.to_owned(), blocks, partial: false }
}

pub(crate) fn text(text: &str) -> Block {
    Block::Text { text: text.to_owned(), raw: None }
}

pub(crate) fn call(id: &str, name: &str, arguments: &str) -> Block {
    Block::Call { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned(), raw: None }
}

pub(crate) fn results(results: &[(&str, bool, &str)]) -> Item {
    let result = |(id, ok, content): &(&str, bool, &str)| ToolResult {
        undone: false,
        call_id: (*id).to_owned(),
        name: "read".to_owned(),
        ok: *ok,
        content: (*content).to_owned(),
    };
    Item::Results { results: results.iter().map(result).collect() }
}

/// A history with everything in it that a wire has to take care of. The first answer is `own`'s.
pub(crate) fn difficult(own: &str) -> Vec<Item> {
    let thinking = |text: &str, raw_block: &str| Block::Reasoning { text: text.to_owned(), raw: Some(raw(raw_block)) };
    vec![
        user("Mend it."),
        said(
            own,
            vec![
                thinking("First", r#"{"type":"thinking", "thinking":"First","signature":"s1"}"#),
                thinking("", r#"{"data":"opaque","type":"redacted_thinking"}"#),
                text("Reading."),
                text("  "),
                call("toolu_1", "read", r#"{ "path": "a.rs", "big": 12345678901234567890123 }"#),
                call("functions.read:0", "read", r#"{"path": "b.r"#),
            ],
        ),
        results(&[("toolu_1", true, "fn a() {}"), ("functions.read:0", false, "the arguments do not parse")]),
        user("And hurry."),
        said("other/model", vec![thinking("Foreign", r#"{"type":"thinking","thinking":"x","signature":"s2"}"#)]),
        user("Well?"),
        said(own, vec![text("Done."), thinking("After", r#"{"type":"thinking","thinking":"After","signature":"s3"}"#)]),
        said(own, vec![text("Really.")]),
        user(""),
        user("Thanks."),
    ]
}

/// The body of a request with these items, to the provider called `own`.
pub(super) fn body(wire: &dyn Wire, own: &str, items: Vec<Item>) -> Value {
    serde_json::from_slice(&sent(wire, own, &request(items))).unwrap()
}

/// The bytes of it.
pub(super) fn sent(wire: &dyn Wire, own: &str, request: &Request) -> Vec<u8> {
    let fitted = Fitted::new(request, Some(Replayable { origin: own, rejected: &HashSet::new() }), wire.names());
    wire.body(&fitted.request, true).unwrap()
}

/// A body with each message on a line of its own.
pub(super) fn lines(mut body: Value) -> String {
    let messages = body["messages"].take();
    let messages: Vec<String> = messages.as_array().into_iter().flatten().map(Value::to_string).collect();
    format!("{}\n{body}", messages.join("\n"))
}
