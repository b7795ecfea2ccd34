//! What Anthropic answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::fault::{self, Fault, Kind};
use crate::model::sse::Frame;
use crate::model::wire::{Decoder, Words, garbled, openai, unknown_stop};
use crate::model::{StopReason, StreamEvent};
use crate::protocol::Usage;

/// The answer to one request.
#[derive(Default)]
pub(super) struct Messages {
    blocks: BTreeMap<usize, Open>,
    usage: Usage,
    stop: Option<StopReason>,
}

/// A block that was begun and not closed.
enum Open {
    Text,
    Thinking {
        text: String,
        signature: String,
    },
    /// A block that is only replayed.
    Opaque,
    /// A call. Some servers give its input at the start and nothing after it.
    Call {
        input: Option<String>,
    },
    /// A kind of block that nobody asked for.
    Unknown,
}

/// An event. What it holds may have another shape in events that nobody knows yet, so it is read when it is needed.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Words<'a>>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Begun {
    usage: Option<Figures>,
}

#[derive(Deserialize)]
struct Ended {
    stop_reason: Option<String>,
    stop_details: Option<Value>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Words<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
    stop_reason: Option<String>,
    stop_details: Option<Value>,
    usage: Option<Figures>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    text: Option<String>,
    thinking: Option<String>,
    #[serde(borrow)]
    signature: Option<Words<'a>>,
    partial_json: Option<String>,
}

#[derive(Deserialize)]
struct Start<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    thinking: String,
    signature: Option<String>,
    id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Figures {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

type Events = VecDeque<StreamEvent>;

impl Decoder for Messages {
    fn frame(&mut self, frame: &Frame, events: &mut Events) -> Result<(), Fault> {
        if frame.event.as_deref() == Some("error") {
            return Err(openai::reported(&frame.data));
        }
        let event: Event<'_> = serde_json::from_str(&frame.data).map_err(|error| garbled(&error))?;
        let Some(kind) = event.kind.as_deref().or(frame.event.as_deref()) else {
            return match event.error {
                Some(_) => Err(reported(&frame.data)),
                None => Err(Fault::new(Kind::Garbled, "an event does not say what it is")),
            };
        };
        match kind {
            "message_start" => self.figures(read(event.message)?.and_then(|Begun { usage }| usage), events),
            "content_block_start" => {
                if let (Some(index), Some(block)) = (read(event.index)?, event.content_block) {
                    self.start(index, block, events)?;
                }
            }
            "content_block_delta" => {
                if let (Some(index), Some(delta)) = (read(event.index)?, event.delta) {
                    self.delta(index, delta, events)?;
                }
            }
            "content_block_stop" => {
                if let Some(index) = read(event.index)? {
                    self.close(index, events)?;
                }
            }
            "message_delta" => {
                self.figures(read(event.usage)?, events);
                if let Some(Ended { stop_reason: Some(reason), stop_details }) = read(event.delta)? {
                    self.stop = Some(stop(&reason, stop_details.as_ref()));
                }
            }
            "message_stop" => self.finish(events)?,
            "error" => return Err(reported(&frame.data)),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _events: &mut Events) -> Result<(), Fault> {
        Err(Fault::new(Kind::Broken, "the stream ended before message_stop"))
    }

    fn whole(&mut self, body: &str, events: &mut Events) -> Result<(), Fault> {
        let Ok(message) = serde_json::from_str::<Message<'_>>(body) else { return Err(reported(body)) };
        let Some(reason) = message.stop_reason else { return Err(reported(body)) };
        for (index, block) in message.content.into_iter().enumerate() {
            self.start(index, block, events)?;
            self.close(index, events)?;
        }
        self.figures(message.usage, events);
        self.stop = Some(stop(&reason, message.stop_details.as_ref()));
        self.finish(events)
    }
}

impl Messages {
    fn start(&mut self, index: usize, block: &RawValue, events: &mut Events) -> Result<(), Fault> {
        let Some(start) = known::<Start<'_>>(block, BLOCKS)? else {
            self.blocks.insert(index, Open::Unknown);
            return Ok(());
        };
        let open = match &*start.kind {
            "text" => {
                if !start.text.is_empty() {
                    events.push_back(StreamEvent::Text { index, text: start.text });
                }
                Open::Text
            }
            "thinking" => {
                let text = start.thinking;
                if !text.is_empty() {
                    events.push_back(StreamEvent::Reasoning { index, text: text.clone() });
                }
                Open::Thinking { text, signature: start.signature.unwrap_or_default() }
            }
            "redacted_thinking" => {
                events.push_back(StreamEvent::Raw { index, raw: block.to_owned().into() });
                Open::Opaque
            }
            "tool_use" => {
                events.push_back(StreamEvent::CallStarted { index, id: start.id, name: start.name });
                let input = start.input.map(RawValue::get).filter(|input| input.len() > 2 && *input != "null");
                Open::Call { input: input.map(str::to_owned) }
            }
            _ => Open::Unknown,
        };
        self.blocks.insert(index, open);
        Ok(())
    }

    fn delta(&mut self, index: usize, delta: &RawValue, events: &mut Events) -> Result<(), Fault> {
        let Some(open) = self.blocks.get_mut(&index) else { return Ok(()) };
        let Some(delta) = known::<Delta<'_>>(delta, DELTAS)? else { return Ok(()) };
        match (open, &*delta.kind) {
            (Open::Text, "text_delta") => {
                events.push_back(StreamEvent::Text { index, text: delta.text.unwrap_or_default() });
            }
            (Open::Thinking { text: all, .. }, "thinking_delta") => {
                let text = delta.thinking.unwrap_or_default();
                all.push_str(&text);
                events.push_back(StreamEvent::Reasoning { index, text });
            }
            (Open::Thinking { signature, .. }, "signature_delta") => {
                signature.push_str(delta.signature.as_deref().unwrap_or_default());
            }
            (Open::Call { input }, "input_json_delta") => {
                let json = delta.partial_json.unwrap_or_default();
                // The first piece is empty: only one with contents replaces what the start gave.
                if !json.is_empty() {
                    *input = None;
                    events.push_back(StreamEvent::CallArguments { index, json });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, index: usize, events: &mut Events) -> Result<(), Fault> {
        match self.blocks.remove(&index) {
            // A second stop of the same block says nothing new.
            None | Some(Open::Unknown) => return Ok(()),
            Some(Open::Text | Open::Opaque | Open::Call { input: None }) => {}
            // Without its signature it would be refused when it is sent back.
            Some(Open::Thinking { signature, .. }) if signature.is_empty() => {}
            Some(Open::Thinking { text, signature }) => {
                let block = json!({"type": "thinking", "thinking": text, "signature": signature});
                let raw = serde_json::value::to_raw_value(&block).map_err(|error| garbled(&error))?;
                events.push_back(StreamEvent::Raw { index, raw: raw.into() });
            }
            Some(Open::Call { input: Some(json) }) => events.push_back(StreamEvent::CallArguments { index, json }),
        }
        events.push_back(StreamEvent::BlockStopped { index });
        Ok(())
    }

    fn figures(&mut self, figures: Option<Figures>, events: &mut Events) {
        let Some(figures) = figures else { return };
        let usage = &mut self.usage;
        let before = *usage;
        usage.input = figures.input_tokens.or(usage.input);
        usage.output = figures.output_tokens.or(usage.output);
        usage.cache_read = figures.cache_read_input_tokens.or(usage.cache_read);
        usage.cache_write = figures.cache_creation_input_tokens.or(usage.cache_write);
        let mut known = *usage;
        if known.sent() == Some(0) {
            // No request is empty: a server that says so has not counted.
            known.input = None;
        }
        if *usage != before {
            events.push_back(StreamEvent::Usage(known));
        }
    }

    fn finish(&mut self, events: &mut Events) -> Result<(), Fault> {
        let Some(stop) = self.stop.take() else {
            return Err(Fault::new(Kind::Broken, "the message stopped without a reason"));
        };
        // At the output limit the last block is left open; anywhere else something was lost.
        let cut = matches!(stop, StopReason::MaxTokens | StopReason::Refusal(_));
        if !cut && self.blocks.values().any(|open| !matches!(open, Open::Unknown)) {
            return Err(Fault::new(Kind::Broken, "the message stopped in the midst of a block"));
        }
        events.push_back(StreamEvent::Finished(stop));
        Ok(())
    }
}

fn stop(reason: &str, details: Option<&Value>) -> StopReason {
    match reason {
        "tool_use" => StopReason::ToolUse,
        "max_tokens" | "model_context_window_exceeded" => StopReason::MaxTokens,
        "pause_turn" => StopReason::Pause,
        "refusal" => {
            let told = |name| details.and_then(|details| details.get(name)).and_then(Value::as_str);
            let why = told("explanation").or_else(|| told("message")).or_else(|| told("category"));
            StopReason::Refusal(why.map_or_else(|| "the model declined to go on".to_owned(), fault::plain))
        }
        "end_turn" | "stop_sequence" => StopReason::End,
        _ => unknown_stop(reason),
    }
}

/// The kinds of blocks and of their pieces that mean something here.
const BLOCKS: &[&str] = &["text", "thinking", "redacted_thinking", "tool_use"];
const DELTAS: &[&str] = &["text_delta", "thinking_delta", "signature_delta", "input_json_delta"];

fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<Option<T>, Fault> {
    raw.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|error| garbled(&error))
}

/// Reads what is of a kind that is known; `None` for another one that does not look like them.
fn known<'a, T: Deserialize<'a>>(raw: &'a RawValue, kinds: &[&str]) -> Result<Option<T>, Fault> {
    match serde_json::from_str(raw.get()) {
        Ok(read) => Ok(Some(read)),
        Err(error) => match serde_json::from_str::<Typed<'_>>(raw.get()) {
            Ok(Typed { kind: Some(kind) }) if !kinds.contains(&&*kind) => Ok(None),
            _ => Err(garbled(&error)),
        },
    }
}

/// The error that a provider reports in the midst of a stream, or in place of one.
fn reported(body: &str) -> Fault {
    match serde_json::from_str(body) {
        Ok(body) => fault::from_body(None, &body),
        Err(error) => garbled(&error),
    }
}
