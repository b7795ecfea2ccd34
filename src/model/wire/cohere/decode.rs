//! What Cohere answers.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value, json};

use crate::model::fault::{self, Fault, Kind};
use crate::model::sse::Frame;
use crate::model::wire::{Decoder, garbled, unknown_stop};
use crate::model::{StopReason, StreamEvent};
use crate::protocol::Usage;

/// The answer to one request.
#[derive(Default)]
pub(super) struct Chat {
    /// The number of the next block.
    next: usize,
    open: Vec<Open>,
    called: bool,
}

/// A block that was begun and not closed. Contents and calls are numbered apart from each other.
struct Open {
    kind: Block,
    /// What the wire calls it.
    key: Option<u64>,
    index: usize,
}

enum Block {
    Text,
    Thinking(String),
    /// The plan before the calls. It has no number and no end of its own.
    Plan,
    Call,
}

#[derive(Deserialize)]
struct Event {
    r#type: Option<String>,
    index: Option<u64>,
    delta: Option<Delta>,
}

#[derive(Default, Deserialize)]
struct Delta {
    message: Option<Message>,
    finish_reason: Option<String>,
    error: Option<String>,
    usage: Option<Figures>,
}

/// A message, or a piece of one: there, what is a list in the whole is one object.
#[derive(Default, Deserialize)]
struct Message {
    content: Option<Several<Content>>,
    tool_plan: Option<String>,
    tool_calls: Option<Several<Call>>,
}

enum Several<T> {
    Many(Vec<T>),
    One(T),
}

/// Derived as an untagged one it would be read into a tree first, for each piece of an answer.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany(PhantomData))
    }
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
    type Value = Several<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Several::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Several::Many)
    }
}

#[derive(Deserialize)]
struct Content {
    r#type: Option<String>,
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Whole {
    message: Message,
    finish_reason: String,
    error: Option<String>,
    usage: Option<Figures>,
}

#[derive(Deserialize)]
struct Figures {
    tokens: Option<Tokens>,
    cached_tokens: Option<Number>,
}

#[derive(Deserialize)]
struct Tokens {
    input_tokens: Option<Number>,
    output_tokens: Option<Number>,
}

type Events = VecDeque<StreamEvent>;

impl Decoder for Chat {
    fn frame(&mut self, frame: &Frame, events: &mut Events) -> Result<(), Fault> {
        let data = frame.data.trim();
        if matches!(data, "" | "[DONE]") {
            return Ok(());
        }
        let event: Event = serde_json::from_str(data).map_err(|error| garbled(&error))?;
        let Some(kind) = event.r#type.as_deref().or(frame.event.as_deref()) else { return Err(reported(data)) };
        let key = event.index;
        let Delta { message, finish_reason, error, usage } = event.delta.unwrap_or_default();
        let Message { content, tool_plan, tool_calls } = message.unwrap_or_default();
        match kind {
            "content-start" | "content-delta" => {
                for content in content.into_iter().flatten() {
                    self.content(kind == "content-start", key, content, events);
                }
            }
            "content-end" => self.close(|open| !open.is_call() && open.answers_to(key), events),
            "tool-plan-delta" => self.plan(tool_plan, events),
            "tool-call-start" => {
                for call in tool_calls.into_iter().flatten() {
                    self.start(key, call, events)?;
                }
            }
            "tool-call-delta" => {
                for call in tool_calls.into_iter().flatten() {
                    self.arguments(key, call.function.and_then(|function| function.arguments), events);
                }
            }
            "tool-call-end" => self.close(|open| open.is_call() && open.answers_to(key), events),
            "message-end" => self.finish(&finish_reason.unwrap_or_default(), error, usage, events)?,
            "error" => return Err(reported(data)),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _events: &mut Events) -> Result<(), Fault> {
        Err(Fault::new(Kind::Broken, "the stream ended before message-end"))
    }

    fn whole(&mut self, body: &str, events: &mut Events) -> Result<(), Fault> {
        let Ok(Whole { message, finish_reason, error, usage }) = serde_json::from_str(body) else {
            return Err(reported(body));
        };
        for content in message.content.into_iter().flatten() {
            self.content(true, None, content, events);
            self.close(|open| !open.is_call(), events);
        }
        self.plan(message.tool_plan, events);
        for call in message.tool_calls.into_iter().flatten() {
            self.start(None, call, events)?;
            self.close(Open::is_call, events);
        }
        self.finish(&finish_reason, error, usage, events)
    }
}

impl Chat {
    fn begin(&mut self, kind: Block, key: Option<u64>, events: &mut Events) -> usize {
        self.close(|open| matches!(open.kind, Block::Plan), events);
        self.next += 1;
        self.open.push(Open { kind, key, index: self.next - 1 });
        self.next - 1
    }

    fn content(&mut self, start: bool, key: Option<u64>, content: Content, events: &mut Events) {
        let thinking = content.thinking.is_some() || content.r#type.as_deref() == Some("thinking");
        let same = |open: &Open| open.answers_to(key) && open.thinks() == Some(thinking);
        let at = self.open.iter().rposition(same).filter(|_| !start).unwrap_or_else(|| {
            let kind = if thinking { Block::Thinking(String::new()) } else { Block::Text };
            self.begin(kind, key, events);
            self.open.len() - 1
        });
        let Some(text) = content.thinking.or(content.text).filter(|text| !text.is_empty()) else { return };
        let Open { kind, index, .. } = &mut self.open[at];
        let index = *index;
        events.push_back(match kind {
            Block::Thinking(all) => {
                all.push_str(&text);
                StreamEvent::Reasoning { index, text }
            }
            _ => StreamEvent::Text { index, text },
        });
    }

    fn plan(&mut self, text: Option<String>, events: &mut Events) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        let open = self.open.iter().find(|open| matches!(open.kind, Block::Plan));
        let index = match open {
            Some(open) => open.index,
            None => self.begin(Block::Plan, None, events),
        };
        events.push_back(StreamEvent::Text { index, text });
    }

    fn start(&mut self, key: Option<u64>, call: Call, events: &mut Events) -> Result<(), Fault> {
        let Function { name, arguments } = call.function.unwrap_or(Function { name: None, arguments: None });
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(Fault::new(Kind::Broken, "a tool call came without a name"));
        };
        let index = self.begin(Block::Call, key, events);
        self.called = true;
        events.push_back(StreamEvent::CallStarted { index, id: call.id, name });
        self.arguments(key, arguments, events);
        Ok(())
    }

    fn arguments(&mut self, key: Option<u64>, arguments: Option<Value>, events: &mut Events) {
        let json = match arguments {
            None | Some(Value::Null) => return,
            Some(Value::String(json)) => json,
            Some(object) => object.to_string(),
        };
        let open = self.open.iter().rfind(|open| open.is_call() && open.answers_to(key));
        if let Some(Open { index, .. }) = open.filter(|_| !json.is_empty()) {
            events.push_back(StreamEvent::CallArguments { index: *index, json });
        }
    }

    /// Closes the last open block of those meant, where there is one.
    fn close(&mut self, meant: impl Fn(&Open) -> bool, events: &mut Events) {
        if let Some(at) = self.open.iter().rposition(meant) {
            self.open.remove(at).close(events);
        }
    }

    fn finish(
        &mut self,
        reason: &str,
        error: Option<String>,
        usage: Option<Figures>,
        events: &mut Events,
    ) -> Result<(), Fault> {
        if let Some(usage) = usage.map(Figures::usage).filter(|usage| *usage != Usage::default()) {
            events.push_back(StreamEvent::Usage(usage));
        }
        let stop = match reason {
            "" => return Err(Fault::new(Kind::Broken, "the message ended without a reason")),
            "MAX_TOKENS" => StopReason::MaxTokens,
            "TOOL_CALL" if !self.called => {
                return Err(Fault::new(Kind::Broken, "a tool call was announced, but none came"));
            }
            "ERROR" | "TIMEOUT" => return Err(failed(reason, error)),
            "COMPLETE" | "STOP_SEQUENCE" | "TOOL_CALL" if self.called => StopReason::ToolUse,
            "COMPLETE" | "STOP_SEQUENCE" => StopReason::End,
            _ => unknown_stop(reason),
        };
        for open in std::mem::take(&mut self.open) {
            match open.kind {
                // At the output limit the call that was being written is left open; anywhere else something was lost.
                Block::Call if matches!(stop, StopReason::MaxTokens | StopReason::Refusal(_)) => {}
                Block::Call => {
                    return Err(Fault::new(Kind::Broken, "the message ended in the midst of a tool call"));
                }
                _ => open.close(events),
            }
        }
        events.push_back(StreamEvent::Finished(stop));
        Ok(())
    }
}

impl Open {
    fn is_call(&self) -> bool {
        matches!(self.kind, Block::Call)
    }

    /// Whether it holds thoughts, where it is a content.
    fn thinks(&self) -> Option<bool> {
        match self.kind {
            Block::Text => Some(false),
            Block::Thinking(_) => Some(true),
            Block::Plan | Block::Call => None,
        }
    }

    /// Whether this is what the wire calls so. What it does not number is the last one.
    fn answers_to(&self, key: Option<u64>) -> bool {
        !matches!(self.kind, Block::Plan) && (key.is_none() || self.key.is_none() || self.key == key)
    }

    fn close(self, events: &mut Events) {
        let index = self.index;
        if let Block::Thinking(text) = self.kind
            && !text.is_empty()
            && let Ok(raw) = serde_json::value::to_raw_value(&json!({"type": "thinking", "thinking": text}))
        {
            events.push_back(StreamEvent::Raw { index, raw: raw.into() });
        }
        events.push_back(StreamEvent::BlockStopped { index });
    }
}

impl<T> IntoIterator for Several<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        match self {
            Self::Many(all) => all,
            Self::One(one) => vec![one],
        }
        .into_iter()
    }
}

impl Figures {
    /// The input's figure includes what came from the cache. An input of nothing was not counted.
    fn usage(self) -> Usage {
        let (input, output) =
            self.tokens.map_or((None, None), |tokens| (count(tokens.input_tokens), count(tokens.output_tokens)));
        let cache_read = count(self.cached_tokens);
        let input = input.filter(|input| *input > 0).map(|input| input.saturating_sub(cache_read.unwrap_or(0)));
        Usage { input, output, cache_read, cache_write: None }
    }
}

/// A figure. The wire calls them floating-point numbers and sends whole ones.
fn count(number: Option<Number>) -> Option<u64> {
    let number = number?;
    let whole = || number.as_f64().filter(|n| (0.0..1e15).contains(n)).map(|n| n.round() as u64);
    number.as_u64().or_else(whole)
}

/// The fault that ended an answer which had begun well: the request can be made again, unless the words say why not.
fn failed(reason: &str, error: Option<String>) -> Fault {
    match error.filter(|error| !error.trim().is_empty()) {
        Some(error) => fault::from_body(None, &json!({"message": error})),
        None if reason == "TIMEOUT" => Fault::new(Kind::Unavailable, "the answer took too long"),
        None => Fault::new(Kind::Unavailable, "the model failed in the midst of its answer"),
    }
}

/// The error that comes in place of an event, or of an answer.
fn reported(body: &str) -> Fault {
    match serde_json::from_str(body) {
        Ok(body) => fault::from_body(None, &body),
        Err(error) => garbled(&error),
    }
}
