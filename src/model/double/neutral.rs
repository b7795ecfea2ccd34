//! What a provider answers, before any wire has its say.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::protocol::Usage;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) parts: Vec<Part>,
    pub(crate) stop: Stop,
    pub(crate) usage: Usage,
}

/// A part of an answer; its pieces are what a stream brings one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Part {
    /// Reasoning; all of it is encrypted where `opaque` is set.
    Reasoning {
        text: Vec<String>,
        opaque: bool,
    },
    Text(Vec<String>),
    Call {
        id: String,
        name: String,
        arguments: Vec<String>,
    },
}

/// Why it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    Calls,
    /// The output limit: the last part is not closed, where the wire closes parts.
    Limit,
    /// A filter, or the model itself.
    Refusal,
    Pause,
}

/// How an answer is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// The pieces of parallel calls take turns.
    pub(crate) interleaved: bool,
    /// Calls come in one piece.
    pub(crate) whole_calls: bool,
    pub(crate) no_ids: bool,
    pub(crate) no_index: bool,
    /// Arguments are an object and no text.
    pub(crate) object_arguments: bool,
    /// Pings between the events.
    pub(crate) pings: bool,
    /// Fields that no documentation names, in every event.
    pub(crate) new_fields: bool,
    /// Spaces where JSON allows them.
    pub(crate) spaced: bool,
    pub(crate) usage: Figures,
    /// Something that this wire alone has two ways for.
    pub(crate) other: bool,
}

impl Style {
    /// A document in this style.
    pub(crate) fn written(self, mut document: Value) -> String {
        if self.new_fields {
            new_fields(&mut document);
        }
        if self.spaced { spaced(&document) } else { document.to_string() }
    }
}

/// How the figures are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Figures {
    #[default]
    There,
    Missing,
    Null,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Overflow,
    /// With the seconds to wait.
    RateLimit(u64),
    Quota,
    Authentication,
    NotFound,
    BadRequest,
    Overloaded,
    Server,
    /// A filter stopped the prompt.
    Filter,
    /// A reasoning block that is sent back is not what was given.
    Reasoning,
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its name, where the wire has one.
    pub(crate) name: String,
    /// What it holds; a name and a number are the same to all.
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn new(name: &str, data: &Value) -> Self {
        Self { name: name.to_owned(), data: data.to_string() }
    }

    /// The event with its JSON changed.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Value)) -> Self {
        let Ok(mut data) = serde_json::from_str(&self.data) else { return self.clone() };
        change(&mut data);
        Self { name: self.name.clone(), data: data.to_string() }
    }
}

/// A stream, event by event.
#[derive(Clone)]
pub(crate) struct Transcript {
    pub(crate) events: Vec<Event>,
    /// The event with which the turn is whole.
    pub(crate) terminal: usize,
    pub(crate) encode: fn(&Event) -> Vec<u8>,
}

impl Transcript {
    /// One whose last event ends the turn.
    pub(crate) fn new(encode: fn(&Event) -> Vec<u8>, events: Vec<Event>, style: Style) -> Self {
        let terminal = events.len() - 1;
        Self::ending_at(terminal, encode, events, style)
    }

    pub(crate) fn ending_at(
        terminal: usize,
        encode: fn(&Event) -> Vec<u8>,
        mut events: Vec<Event>,
        style: Style,
    ) -> Self {
        for event in &mut events {
            if let Ok(data) = serde_json::from_str(&event.data) {
                event.data = style.written(data);
            }
        }
        Self { events, terminal, encode }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.events.iter().flat_map(|event| (self.encode)(event)).collect()
    }

    /// How many bytes it takes until the turn is whole.
    pub(crate) fn whole_at(&self) -> usize {
        self.events[..=self.terminal].iter().map(|event| (self.encode)(event).len()).sum()
    }

    /// The first events alone.
    pub(crate) fn first(&self, events: usize) -> Vec<u8> {
        self.events[..events].iter().flat_map(|event| (self.encode)(event)).collect()
    }

    /// With another event before the one at `at`.
    pub(crate) fn with(mut self, at: usize, event: Event) -> Self {
        self.events.insert(at, event);
        self.terminal += usize::from(at <= self.terminal);
        self
    }
}

/// Server-sent events, named and not.
pub(crate) fn sse(event: &Event) -> Vec<u8> {
    let name = if event.name.is_empty() { String::new() } else { format!("event: {}\n", event.name) };
    format!("{name}data: {}\n\n", event.data).into_bytes()
}

fn new_fields(value: &mut Value) {
    match value {
        Value::Object(object) => {
            // What a tool is called with is its own.
            object.iter_mut().filter(|(name, _)| *name != "args" && *name != "input").for_each(|(_, v)| new_fields(v));
            object.insert("x_of_tomorrow".to_owned(), serde_json::json!({"a": [1, null]}));
        }
        Value::Array(list) => list.iter_mut().for_each(new_fields),
        _ => {}
    }
}

/// JSON as Python's encoder writes it.
fn spaced(value: &Value) -> String {
    struct Spaces;
    impl serde_json::ser::Formatter for Spaces {
        fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
    }
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaces)).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What stands for a signature or for encrypted contents: whoever changes what it was given for is found out.
pub(crate) fn seal(contents: &str) -> String {
    let digest = Sha256::new().chain_update("the provider's own\n").chain_update(contents).finalize();
    // Letters and digits in fours: base64 as well.
    format!("Seal{}", digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Pieces in turns: the first of each, the second of each, and so on.
pub(crate) fn in_turns<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(lists.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}

impl Part {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(vec![text.to_owned()])
    }

    pub(crate) fn reasoning(text: &str) -> Self {
        Self::Reasoning { text: vec![text.to_owned()], opaque: false }
    }

    pub(crate) fn call(id: &str, name: &str, arguments: &str) -> Self {
        Self::Call { id: id.to_owned(), name: name.to_owned(), arguments: vec![arguments.to_owned()] }
    }
}

impl Answer {
    pub(crate) fn of(parts: Vec<Part>) -> Self {
        let calls = parts.iter().any(|part| matches!(part, Part::Call { .. }));
        let usage = Usage { input: Some(9), output: Some(5), cache_read: Some(0), cache_write: Some(0) };
        Self { parts, stop: if calls { Stop::Calls } else { Stop::End }, usage }
    }

    pub(crate) fn stopped(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// Reasoning, text and calls in this order, each kind of prose once: all that some wires can say.
    pub(crate) fn in_three(mut self) -> Self {
        let (mut reasoning, mut text, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for part in self.parts {
            match part {
                Part::Reasoning { opaque: true, .. } => {}
                Part::Reasoning { text, .. } => reasoning.extend(text),
                Part::Text(pieces) => text.extend(pieces),
                call => calls.push(call),
            }
        }
        self.parts = Vec::new();
        if !reasoning.is_empty() {
            self.parts.push(Part::Reasoning { text: reasoning, opaque: false });
        }
        if !text.is_empty() {
            self.parts.push(Part::Text(text));
        }
        self.parts.extend(calls);
        self
    }

    /// Neighbours of one kind as one, and nothing opaque.
    pub(crate) fn merged(mut self) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        for part in self.parts {
            match (parts.last_mut(), part) {
                (_, Part::Reasoning { opaque: true, .. }) => {}
                (Some(Part::Text(before)), Part::Text(more)) => before.extend(more),
                (Some(Part::Reasoning { text, .. }), Part::Reasoning { text: more, .. }) => text.extend(more),
                (_, part) => parts.push(part),
            }
        }
        self.parts = parts;
        self
    }
}
