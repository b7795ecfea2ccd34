//! What a Chat Completions server answers.

use std::collections::VecDeque;

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::chunk::{Chunk, Delta, Function, Piece, text};
use super::reasoning::{Beside, Details, Kept};
use crate::model::fault::{self, Fault, Kind as FaultKind};
use crate::model::sse::Frame;
use crate::model::wire::openai::{self, filtered, reported};
use crate::model::wire::{Decoder, garbled};
use crate::model::{StopReason, StreamEvent};

/// What an answer of nothing means. Some servers give one, under a good status, to a prompt that is too long.
const EMPTY: &str = "the answer is empty; a local server answers so when the conversation is longer than the context \
                     that the model was loaded with";

/// The answer to one request.
#[derive(Default)]
pub(super) struct Completion {
    /// The number of the next block.
    next: usize,
    prose: Option<Prose>,
    calls: Vec<Call>,
    refusal: String,
    finish: Option<String>,
    /// Which filters stopped it.
    filters: Option<Value>,
    /// The tokens of it, where they were counted.
    output: Option<u64>,
    /// What OpenRouter says of the reasoning.
    details: Details,
    /// Whether it answers results: then there may be nothing left to say.
    after_results: bool,
    /// Whether any chunk came.
    begun: bool,
    told: bool,
}

/// The prose that is being written: a change of its kind closes it.
struct Prose {
    block: usize,
    kind: Kind,
    /// What was written of reasoning, which goes back to where it came from.
    text: String,
}

/// What prose is, and under which name it came.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    ReasoningContent,
    Reasoning,
    /// The text of OpenRouter's details, which are kept for themselves.
    Details,
}

/// A call, which stays open to the end: its pieces may be interleaved with those of others.
struct Call {
    /// What the server calls it.
    key: Option<u64>,
    id: Option<String>,
    name: String,
    arguments: String,
    /// What stands beside it.
    extra: Option<Box<RawValue>>,
    /// Its block, once its name is known.
    block: Option<usize>,
}

type Events = VecDeque<StreamEvent>;

impl Decoder for Completion {
    fn frame(&mut self, frame: &Frame, events: &mut Events) -> Result<(), Fault> {
        let data = frame.data.trim();
        match data {
            "" => Ok(()),
            "[DONE]" => {
                // The server means to have answered, as far as anything here is wrong.
                if self.finish.is_none() && self.empty() && !self.told {
                    return Err(Fault::new(FaultKind::Overflow(None), EMPTY));
                }
                self.end(events)
            }
            _ if frame.event.as_deref() == Some("error") => Err(reported(data)),
            _ => self.chunk(data, events),
        }
    }

    fn whole_already(&self) -> bool {
        self.finish.is_some()
    }

    fn end(&mut self, events: &mut Events) -> Result<(), Fault> {
        if std::mem::replace(&mut self.told, true) {
            return Ok(());
        }
        let Some(reason) = self.finish.take() else {
            return Err(match self.begun {
                // LM Studio has nothing else to say of a conversation that is too long; elsewhere a proxy lost the answer.
                false => Fault::new(FaultKind::Broken, EMPTY),
                true => Fault::new(FaultKind::Broken, "the stream ended without a finish_reason"),
            });
        };
        let stop = self.stop(&reason);
        if self.empty() && reason == FULL {
            return Err(Fault::new(FaultKind::Overflow(None), "the conversation fills the model's context"));
        }
        let counted = if self.after_results { self.output.is_some() } else { self.output.unwrap_or(0) > 0 };
        if self.empty() && stop == StopReason::End && !counted {
            // It would be the same again.
            return Err(Fault::new(FaultKind::Garbled, EMPTY));
        }
        self.close_prose(events);
        let cut = matches!(stop, StopReason::MaxTokens | StopReason::Refusal(_));
        self.close_calls(cut, events)?;
        if stop == StopReason::ToolUse && self.calls.is_empty() {
            return Err(Fault::new(FaultKind::Broken, "a tool call was announced, but none came"));
        }
        // They are of the whole answer: of one that was cut off they may lack their seal, and name calls that are gone.
        if !cut && !self.details.is_empty() {
            let raw = std::mem::take(&mut self.details).kept().map_err(|error| garbled(&error))?;
            self.next += 1;
            events.push_back(StreamEvent::Raw { index: self.next - 1, raw: raw.into() });
            events.push_back(StreamEvent::BlockStopped { index: self.next - 1 });
        }
        events.push_back(StreamEvent::Finished(stop));
        Ok(())
    }

    fn whole(&mut self, body: &str, events: &mut Events) -> Result<(), Fault> {
        self.chunk(body, events)?;
        if self.finish.is_none() && self.next == 0 {
            let said = serde_json::from_str(body).map_err(|error| garbled(&error))?;
            return Err(fault::from_body(None, &said));
        }
        self.end(events)
    }
}

/// What some servers say instead of `length` when it is the context that has no room left.
const FULL: &str = "model_context_window_exceeded";

impl Completion {
    /// An answer to a request that ends with results, or to one that does not.
    pub(super) fn of(after_results: bool) -> Self {
        Self { after_results, ..Self::default() }
    }

    /// Whether nothing of the answer came.
    fn empty(&self) -> bool {
        self.next == 0 && self.calls.is_empty() && self.refusal.is_empty()
    }

    fn chunk(&mut self, data: &str, events: &mut Events) -> Result<(), Fault> {
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|error| garbled(&error))?;
        if chunk.error.is_some() {
            return Err(reported(data));
        }
        self.begun = true;
        let mut figures = chunk.usage;
        // One answer was asked for: others would be a server's own idea.
        if let Some(choice) = chunk.choices.into_iter().flatten().next() {
            if let Some(error) = choice.error {
                return Err(reported(error.get()));
            }
            if let Some(delta) = choice.delta {
                self.delta(delta, events)?;
            }
            if let Some(filters) = choice.content_filter_results {
                self.filters = serde_json::from_str(filters.get()).ok();
            }
            figures = figures.or(choice.usage);
            match choice.finish_reason.as_deref() {
                Some("error") => return Err(Fault::new(FaultKind::Unavailable, "the model behind it failed")),
                None | Some("") => {}
                Some(reason) => self.finish = Some(reason.to_owned()),
            }
        }
        if let Some(figures) = figures {
            self.output = figures.completion_tokens.or(self.output);
            events.push_back(StreamEvent::Usage(figures.usage()));
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta<'_>, events: &mut Events) -> Result<(), Fault> {
        let mut detailed = String::new();
        if let Some(details) = delta.reasoning_details.filter(|details| details.get().starts_with('[')) {
            let pieces: Vec<&RawValue> = serde_json::from_str(details.get()).map_err(|error| garbled(&error))?;
            detailed.extend(pieces.into_iter().map(|piece| self.details.take(piece)));
        }
        let said = |raw: Option<&RawValue>| raw.map(text).filter(|text| !text.is_empty());
        let reasoning = said(delta.reasoning_content).map(|text| (Kind::ReasoningContent, text));
        let reasoning = reasoning.or_else(|| Some((Kind::Reasoning, said(delta.reasoning)?)));
        let detailed = || (!detailed.is_empty()).then_some((Kind::Details, detailed));
        if let Some((kind, text)) = reasoning.or_else(detailed) {
            self.write(kind, text, events);
        }
        if let Some(text) = said(delta.content) {
            self.write(Kind::Text, text, events);
        }
        if let Some(refusal) = delta.refusal {
            self.refusal.push_str(&refusal);
        }
        let of_old = |function| Piece { index: None, id: None, function: Some(function), extra_content: None };
        for piece in delta.tool_calls.into_iter().flatten().chain(delta.function_call.map(of_old)) {
            self.piece(piece, events);
        }
        Ok(())
    }

    fn write(&mut self, kind: Kind, text: String, events: &mut Events) {
        if self.prose.as_ref().is_some_and(|prose| prose.kind != kind) {
            self.close_prose(events);
        }
        let next = &mut self.next;
        let prose = self.prose.get_or_insert_with(|| {
            *next += 1;
            Prose { block: *next - 1, kind, text: String::new() }
        });
        let index = prose.block;
        events.push_back(match kind {
            Kind::Text => StreamEvent::Text { index, text },
            Kind::ReasoningContent | Kind::Reasoning | Kind::Details => {
                if self.details.is_empty() {
                    prose.text.push_str(&text);
                }
                StreamEvent::Reasoning { index, text }
            }
        });
    }

    fn piece(&mut self, piece: Piece<'_>, events: &mut Events) {
        let Function { name, arguments } = piece.function.unwrap_or(Function { name: None, arguments: None });
        let id = piece.id.as_deref().filter(|id| !id.is_empty());
        let name = name.as_deref().filter(|name| !name.is_empty());
        let at = self.place(piece.index, id, name.is_some()).unwrap_or_else(|| {
            self.calls.push(Call {
                key: piece.index,
                id: None,
                name: String::new(),
                arguments: String::new(),
                extra: None,
                block: None,
            });
            self.calls.len() - 1
        });
        let call = &mut self.calls[at];
        call.id = call.id.take().or_else(|| id.map(str::to_owned));
        call.extra = piece.extra_content.map(RawValue::to_owned).or(call.extra.take());
        if let (None, Some(name)) = (call.block, name) {
            name.clone_into(&mut call.name);
            call.block = Some(self.next);
            self.next += 1;
            let (index, id, name) = (self.next - 1, call.id.clone(), call.name.clone());
            events.push_back(StreamEvent::CallStarted { index, id, name });
            if !call.arguments.is_empty() {
                events.push_back(StreamEvent::CallArguments { index, json: call.arguments.clone() });
            }
        }
        let Some(arguments) = arguments else { return };
        let json = openai::text(arguments);
        call.arguments.push_str(&json);
        if let Some(index) = call.block.filter(|_| !json.is_empty()) {
            events.push_back(StreamEvent::CallArguments { index, json: json.into_owned() });
        }
    }

    /// Which call a piece belongs to; `None` for a new one. A new id begins a new call, whatever the index says: some
    /// servers number every whole call 0, or none at all.
    fn place(&self, index: Option<u64>, id: Option<&str>, named: bool) -> Option<usize> {
        let same = |call: &Call| match index {
            Some(_) => call.key == index,
            None => id.is_none() || call.id.as_deref() == id,
        };
        let at = self.calls.iter().rposition(same)?;
        let call = &self.calls[at];
        let other_id = matches!((id, call.id.as_deref()), (Some(new), Some(old)) if new != old);
        let repeated = id.is_none() && named && call.block.is_some();
        let begun_anew = repeated && (index.is_none() || serde_json::from_str::<IgnoredAny>(&call.arguments).is_ok());
        (!other_id && !begun_anew).then_some(at)
    }

    fn close_prose(&mut self, events: &mut Events) {
        let Some(Prose { block: index, kind, text }) = self.prose.take() else { return };
        let kept = match kind {
            Kind::ReasoningContent => Some(Kept { reasoning_content: Some(text.into()), ..Kept::default() }),
            Kind::Reasoning => Some(Kept { reasoning: Some(text.into()), ..Kept::default() }),
            Kind::Text | Kind::Details => None,
        };
        // Details say the same and more.
        if let Some(Ok(raw)) = kept.filter(|_| self.details.is_empty()).map(|kept| to_raw_value(&kept)) {
            events.push_back(StreamEvent::Raw { index, raw: raw.into() });
        }
        events.push_back(StreamEvent::BlockStopped { index });
    }

    /// Closes the calls. The wire has no end mark for one, so at the output limit the last counts as whole only when
    /// its arguments are.
    fn close_calls(&mut self, cut: bool, events: &mut Events) -> Result<(), Fault> {
        let last = self.calls.len().checked_sub(1);
        for (at, call) in self.calls.iter().enumerate() {
            let open = cut && Some(at) == last && serde_json::from_str::<IgnoredAny>(&call.arguments).is_err();
            match call.block {
                Some(index) if !open => {
                    let beside = call.extra.as_deref().map(|extra| Beside { extra_content: Some(extra) });
                    if let Some(Ok(raw)) = beside.map(|beside| to_raw_value(&beside)) {
                        events.push_back(StreamEvent::Raw { index, raw: raw.into() });
                    }
                    events.push_back(StreamEvent::BlockStopped { index });
                }
                None if !cut => return Err(Fault::new(FaultKind::Broken, "a tool call came without a name")),
                _ => {}
            }
        }
        Ok(())
    }

    fn stop(&self, reason: &str) -> StopReason {
        match reason {
            _ if !self.refusal.is_empty() => StopReason::Refusal(fault::plain(&self.refusal)),
            "length" | FULL => StopReason::MaxTokens,
            "content_filter" => StopReason::Refusal(filtered(self.filters.as_ref())),
            "tool_calls" | "function_call" => StopReason::ToolUse,
            // Compatible servers say "stop" with calls too.
            _ if !self.calls.is_empty() => StopReason::ToolUse,
            _ => StopReason::End,
        }
    }
}
