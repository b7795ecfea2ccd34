//! What Bedrock answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use aws_smithy_types::base64;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::errors;
use crate::model::eventstream::EXCEPTION;
use crate::model::fault::{Fault, Kind};
use crate::model::sse::Frame;
use crate::model::wire::{Decoder, garbled, unknown_stop};
use crate::model::{StopReason, StreamEvent};
use crate::protocol::Usage;

/// The answer to one request.
#[derive(Default)]
pub(super) struct Converse {
    blocks: BTreeMap<usize, Open>,
    /// Set once the turn is whole; only the figures may follow.
    stop: Option<StopReason>,
}

/// A block that was begun and not closed. Only calls are begun by an event of their own.
enum Open {
    Text,
    Reasoning {
        text: String,
        signature: String,
        /// Reasoning that only the provider reads, in pieces of base64.
        redacted: Vec<String>,
    },
    Call,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    content_block_index: usize,
    #[serde(default)]
    start: Started,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Started {
    tool_use: Option<Tool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool {
    tool_use_id: Option<String>,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    content_block_index: usize,
    #[serde(borrow)]
    delta: Piece<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Piece<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_use: Option<Input<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Thought<'a>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    input: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thought<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    redacted_content: Option<Cow<'a, str>>,
}

impl Thought<'_> {
    fn is_empty(&self) -> bool {
        [&self.text, &self.signature, &self.redacted_content]
            .iter()
            .all(|part| part.as_deref().is_none_or(str::is_empty))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    content_block_index: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop {
    stop_reason: String,
}

#[derive(Deserialize)]
struct Metadata {
    usage: Option<Figures>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    #[serde(borrow)]
    output: Output<'a>,
    stop_reason: String,
    usage: Option<Figures>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    text: Option<String>,
    #[serde(borrow)]
    tool_use: Option<Call<'a>>,
    reasoning_content: Option<Reasoned>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    tool_use_id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// Reasoning as it is answered in one piece, and as it is sent back.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reasoned {
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_text: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_content: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Shown {
    #[serde(default)]
    text: String,
    #[serde(default)]
    signature: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    reasoning_content: Reasoned,
}

type Events = VecDeque<StreamEvent>;

impl Decoder for Converse {
    fn frame(&mut self, frame: &Frame, events: &mut Events) -> Result<(), Fault> {
        let event = frame.event.as_deref().unwrap_or_default();
        if let Some(name) = event.strip_prefix(EXCEPTION) {
            // What comes after a whole turn takes nothing from it.
            return if self.stop.is_some() { self.end(events) } else { Err(errors::of_exception(name, &frame.data)) };
        }
        match event {
            "contentBlockStart" => {
                let Start { content_block_index: index, start } = read(frame)?;
                self.start(index, start.tool_use, events);
            }
            "contentBlockDelta" => {
                let Delta { content_block_index, delta } = read(frame)?;
                self.delta(content_block_index, delta, events)?;
            }
            "contentBlockStop" => self.close(read::<Stop>(frame)?.content_block_index, events)?,
            "messageStop" => self.stop(&read::<MessageStop>(frame)?.stop_reason)?,
            "metadata" => {
                figures(read::<Metadata>(frame)?.usage, events);
                if self.stop.is_some() {
                    self.end(events)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn whole_already(&self) -> bool {
        self.stop.is_some()
    }

    fn end(&mut self, events: &mut Events) -> Result<(), Fault> {
        let Some(stop) = self.stop.take() else {
            return Err(Fault::new(Kind::Broken, "the stream ended before messageStop"));
        };
        events.push_back(StreamEvent::Finished(stop));
        Ok(())
    }

    fn whole(&mut self, body: &str, events: &mut Events) -> Result<(), Fault> {
        let Ok(answer) = serde_json::from_str::<Whole<'_>>(body) else { return Err(errors::of_exception("", body)) };
        for (index, raw) in answer.output.message.content.into_iter().enumerate() {
            self.block(index, raw, events)?;
        }
        figures(answer.usage, events);
        self.stop(&answer.stop_reason)?;
        self.end(events)
    }
}

impl Converse {
    fn start(&mut self, index: usize, call: Option<Tool>, events: &mut Events) {
        let open = match call {
            Some(Tool { tool_use_id: id, name }) => {
                events.push_back(StreamEvent::CallStarted { index, id, name });
                Open::Call
            }
            // Some gateways begin texts too: what it is, its first piece says.
            None => return,
        };
        self.blocks.insert(index, open);
    }

    fn delta(&mut self, index: usize, piece: Piece<'_>, events: &mut Events) -> Result<(), Fault> {
        let Piece { text, tool_use, reasoning_content } = piece;
        let text = text.filter(|text| !text.is_empty());
        let thought = reasoning_content.filter(|thought| !thought.is_empty());
        // What says nothing does not decide what a block is, and neither does what nobody asked for.
        let said = match (&text, &thought, &tool_use) {
            (Some(_), ..) => "a text",
            (_, Some(_), _) => "reasoning",
            (.., Some(_)) => "arguments",
            _ => return Ok(()),
        };
        let open = self.blocks.entry(index).or_insert_with(|| match &thought {
            Some(_) => Open::Reasoning { text: String::new(), signature: String::new(), redacted: Vec::new() },
            None => Open::Text,
        });
        match (open, text, thought, tool_use) {
            (Open::Text, Some(text), ..) => {
                events.push_back(StreamEvent::Text { index, text: text.into_owned() });
            }
            (Open::Call, None, None, Some(Input { input })) => {
                if let Some(json) = input.filter(|input| !input.is_empty()).map(Cow::into_owned) {
                    events.push_back(StreamEvent::CallArguments { index, json });
                }
            }
            (Open::Reasoning { text, signature, redacted }, None, Some(thought), _) => {
                if let Some(piece) = thought.text.filter(|piece| !piece.is_empty()) {
                    text.push_str(&piece);
                    events.push_back(StreamEvent::Reasoning { index, text: piece.into_owned() });
                }
                signature.push_str(&thought.signature.unwrap_or_default());
                redacted.extend(thought.redacted_content.map(Cow::into_owned));
            }
            _ => return Err(Fault::new(Kind::Garbled, format!("{said} came in a block of another kind"))),
        }
        Ok(())
    }

    fn close(&mut self, index: usize, events: &mut Events) -> Result<(), Fault> {
        match self.blocks.remove(&index) {
            // A block without a piece, or a second stop of the same one, says nothing.
            None => return Ok(()),
            Some(Open::Text | Open::Call) => {}
            Some(Open::Reasoning { text, signature, redacted }) => {
                if let Some(reasoning_content) = reasoned(text, signature, &redacted) {
                    let raw = to_raw_value(&Replayed { reasoning_content }).map_err(|error| garbled(&error))?;
                    events.push_back(StreamEvent::Raw { index, raw: raw.into() });
                }
            }
        }
        events.push_back(StreamEvent::BlockStopped { index });
        Ok(())
    }

    /// A block that came in one piece.
    fn block(&mut self, index: usize, raw: &RawValue, events: &mut Events) -> Result<(), Fault> {
        let block: Block<'_> = serde_json::from_str(raw.get()).map_err(|error| garbled(&error))?;
        match block {
            Block { text: Some(text), .. } if !text.is_empty() => events.push_back(StreamEvent::Text { index, text }),
            Block { tool_use: Some(Call { tool_use_id: id, name, input }), .. } => {
                events.push_back(StreamEvent::CallStarted { index, id, name });
                let json = input.map(RawValue::get).filter(|input| *input != "null").unwrap_or_default().to_owned();
                events.push_back(StreamEvent::CallArguments { index, json });
            }
            Block { reasoning_content: Some(Reasoned { reasoning_text, redacted_content }), .. } => {
                let signed = reasoning_text.as_ref().is_some_and(|shown| !shown.signature.is_empty());
                if let Some(Shown { text, .. }) = reasoning_text.filter(|shown| !shown.text.is_empty()) {
                    events.push_back(StreamEvent::Reasoning { index, text });
                }
                if signed || redacted_content.is_some() {
                    events.push_back(StreamEvent::Raw { index, raw: raw.to_owned().into() });
                }
            }
            _ => return Ok(()),
        }
        events.push_back(StreamEvent::BlockStopped { index });
        Ok(())
    }

    fn stop(&mut self, reason: &str) -> Result<(), Fault> {
        let stop = stop(reason)?;
        // At the output limit the last block is left open; anywhere else something was lost.
        let cut = matches!(stop, StopReason::MaxTokens | StopReason::Refusal(_));
        if !cut && !self.blocks.is_empty() {
            return Err(Fault::new(Kind::Broken, "the message stopped in the midst of a block"));
        }
        self.stop = Some(stop);
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(frame: &'a Frame) -> Result<T, Fault> {
    serde_json::from_str(&frame.data).map_err(|error| garbled(&error))
}

/// What is sent back of a piece of reasoning. Without its signature it would be refused.
fn reasoned(text: String, signature: String, redacted: &[String]) -> Option<Reasoned> {
    let redacted_content = match redacted {
        [] if signature.is_empty() => return None,
        [] => return Some(Reasoned { reasoning_text: Some(Shown { text, signature }), ..Reasoned::default() }),
        [whole] => whole.clone(),
        // Each piece is encoded for itself.
        pieces => {
            let bytes: Result<Vec<_>, _> = pieces.iter().map(base64::decode).collect();
            base64::encode(bytes.ok()?.concat())
        }
    };
    Some(Reasoned { redacted_content: Some(redacted_content), ..Reasoned::default() })
}

fn figures(figures: Option<Figures>, events: &mut Events) {
    let Some(figures) = figures else { return };
    let mut usage = Usage {
        input: figures.input_tokens,
        output: figures.output_tokens,
        cache_read: figures.cache_read_input_tokens,
        cache_write: figures.cache_write_input_tokens,
    };
    if usage.sent() == Some(0) {
        // No request is empty: a server that says so has not counted.
        usage.input = None;
    }
    if usage != Usage::default() {
        events.push_back(StreamEvent::Usage(usage));
    }
}

fn stop(reason: &str) -> Result<StopReason, Fault> {
    let refusal = |why: &str| StopReason::Refusal(why.to_owned());
    Ok(match reason {
        "tool_use" => StopReason::ToolUse,
        "max_tokens" | "model_context_window_exceeded" => StopReason::MaxTokens,
        "pause_turn" => StopReason::Pause,
        "guardrail_intervened" => refusal("a guardrail of the account stopped the answer"),
        "content_filtered" => refusal("a content filter stopped the answer"),
        "refusal" => refusal("the model declined to go on"),
        "malformed_model_output" | "malformed_tool_use" => {
            // It says nothing of the request: the next answer may be well formed.
            let what = format!("the model's answer could not be read by the provider ({reason})");
            return Err(Fault::new(Kind::Broken, what));
        }
        "end_turn" | "stop_sequence" => StopReason::End,
        _ => unknown_stop(reason),
    })
}
