//! What a Chat Completions server answers.

use std::collections::VecDeque;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::model::fault::{self, Fault, Kind};
use crate::model::sse::Frame;
use crate::model::wire::{Decoder, garbled};
use crate::model::{StopReason, StreamEvent};
use crate::protocol::Usage;

/// The answer to one request.
#[derive(Default)]
pub(super) struct Completion {
    /// The number of the next block.
    next: usize,
    prose: Option<Prose>,
    calls: Vec<Call>,
    refusal: String,
    finish: Option<String>,
    told: bool,
}

/// The prose that is being written: a change of its kind closes it.
#[derive(Clone, Copy, PartialEq)]
struct Prose {
    block: usize,
    reasoning: bool,
}

/// A call, which stays open to the end: its pieces may be interleaved with those of others.
struct Call {
    /// What the server calls it.
    key: Option<u64>,
    id: Option<String>,
    name: String,
    arguments: String,
    /// Its block, once its name is known.
    block: Option<usize>,
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Figures>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "message")]
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Value>,
    reasoning_content: Option<String>,
    reasoning: Option<Value>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Piece>>,
}

#[derive(Deserialize)]
struct Piece {
    index: Option<u64>,
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Figures {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Cached>,
}

#[derive(Deserialize)]
struct Cached {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

type Events = VecDeque<StreamEvent>;

impl Decoder for Completion {
    fn frame(&mut self, frame: &Frame, events: &mut Events) -> Result<(), Fault> {
        let data = frame.data.trim();
        match data {
            "" => Ok(()),
            "[DONE]" => self.end(events),
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
            let empty = self.next == 0 && self.calls.is_empty();
            let what = if empty { "the answer is empty" } else { "the stream ended without a finish_reason" };
            return Err(Fault::new(Kind::Broken, what));
        };
        let stop = self.stop(&reason);
        self.close_prose(events);
        self.close_calls(stop == StopReason::MaxTokens, events)?;
        if stop == StopReason::ToolUse && self.calls.is_empty() {
            return Err(Fault::new(Kind::Broken, "a tool call was announced, but none came"));
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

impl Completion {
    fn chunk(&mut self, data: &str, events: &mut Events) -> Result<(), Fault> {
        let chunk: Chunk = serde_json::from_str(data).map_err(|error| garbled(&error))?;
        if chunk.error.is_some_and(|error| !error.is_null()) {
            let said = serde_json::from_str(data).map_err(|error| garbled(&error))?;
            return Err(fault::from_body(None, &said));
        }
        // One answer was asked for: others would be a server's own idea.
        if let Some(choice) = chunk.choices.into_iter().flatten().next() {
            if let Some(delta) = choice.delta {
                self.delta(delta, events);
            }
            if choice.finish_reason.as_deref() == Some("error") {
                return Err(Fault::new(Kind::Unavailable, "the model behind it failed"));
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish = Some(reason);
            }
        }
        if let Some(figures) = chunk.usage {
            events.push_back(StreamEvent::Usage(figures.usage()));
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta, events: &mut Events) {
        let reasoning = delta.reasoning_content.or_else(|| delta.reasoning.as_ref().map(text));
        self.write(true, reasoning, events);
        self.write(false, delta.content.as_ref().map(text), events);
        self.refusal.push_str(&delta.refusal.unwrap_or_default());
        for piece in delta.tool_calls.into_iter().flatten() {
            self.piece(piece, events);
        }
    }

    fn write(&mut self, reasoning: bool, text: Option<String>, events: &mut Events) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        if self.prose.is_some_and(|prose| prose.reasoning != reasoning) {
            self.close_prose(events);
        }
        let prose = self.prose.unwrap_or_else(|| {
            self.next += 1;
            Prose { block: self.next - 1, reasoning }
        });
        self.prose = Some(prose);
        let index = prose.block;
        events.push_back(match reasoning {
            true => StreamEvent::Reasoning { index, text },
            false => StreamEvent::Text { index, text },
        });
    }

    fn piece(&mut self, piece: Piece, events: &mut Events) {
        let Function { name, arguments } = piece.function.unwrap_or(Function { name: None, arguments: None });
        let (id, name) = (piece.id.filter(|id| !id.is_empty()), name.filter(|name| !name.is_empty()));
        let at = self.place(piece.index, id.as_deref(), name.is_some()).unwrap_or_else(|| {
            self.calls.push(Call {
                key: piece.index,
                id: None,
                name: String::new(),
                arguments: String::new(),
                block: None,
            });
            self.calls.len() - 1
        });
        let call = &mut self.calls[at];
        call.id = call.id.take().or(id);
        if let (None, Some(name)) = (call.block, name) {
            call.name = name;
            call.block = Some(self.next);
            self.next += 1;
            let (index, id, name) = (self.next - 1, call.id.clone(), call.name.clone());
            events.push_back(StreamEvent::CallStarted { index, id, name });
            if !call.arguments.is_empty() {
                events.push_back(StreamEvent::CallArguments { index, json: call.arguments.clone() });
            }
        }
        let json = match arguments {
            None | Some(Value::Null) => return,
            Some(Value::String(text)) => text,
            // Some servers give the object itself instead of its text.
            Some(object) => object.to_string(),
        };
        call.arguments.push_str(&json);
        if let Some(index) = call.block.filter(|_| !json.is_empty()) {
            events.push_back(StreamEvent::CallArguments { index, json });
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
        if let Some(prose) = self.prose.take() {
            events.push_back(StreamEvent::BlockStopped { index: prose.block });
        }
    }

    /// Closes the calls. The wire has no end mark for one, so at the output limit the last counts as whole only when
    /// its arguments are.
    fn close_calls(&mut self, cut: bool, events: &mut Events) -> Result<(), Fault> {
        let last = self.calls.len().checked_sub(1);
        for (at, call) in self.calls.iter().enumerate() {
            let open = cut && Some(at) == last && serde_json::from_str::<IgnoredAny>(&call.arguments).is_err();
            match call.block {
                Some(index) if !open => events.push_back(StreamEvent::BlockStopped { index }),
                None if !cut => return Err(Fault::new(Kind::Broken, "a tool call came without a name")),
                _ => {}
            }
        }
        Ok(())
    }

    fn stop(&self, reason: &str) -> StopReason {
        match reason {
            _ if !self.refusal.is_empty() => StopReason::Refusal(fault::plain(&self.refusal)),
            "length" => StopReason::MaxTokens,
            "content_filter" => StopReason::Refusal("the provider's content filter stopped the answer".to_owned()),
            "tool_calls" | "function_call" => StopReason::ToolUse,
            // Compatible servers say "stop" with calls too.
            _ if !self.calls.is_empty() => StopReason::ToolUse,
            _ => StopReason::End,
        }
    }
}

impl Figures {
    /// The prompt's figure includes what came from the cache. A prompt of nothing was not counted.
    fn usage(self) -> Usage {
        let (cache_read, cache_write) =
            self.prompt_tokens_details.map_or((None, None), |cached| (cached.cached_tokens, cached.cache_write_tokens));
        let cached = cache_read.unwrap_or(0) + cache_write.unwrap_or(0);
        let input = self.prompt_tokens.filter(|prompt| *prompt > 0).map(|prompt| prompt.saturating_sub(cached));
        Usage { input, output: self.completion_tokens, cache_read, cache_write }
    }
}

/// The text of a content that is one, or a list of parts that hold some.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect(),
        _ => String::new(),
    }
}
