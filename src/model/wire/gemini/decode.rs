//! What Gemini answers.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::errors;
use crate::model::fault::{self, Fault, Kind};
use crate::model::sse::Frame;
use crate::model::wire::{Decoder, Words, garbled};
use crate::model::{StopReason, StreamEvent};
use crate::protocol::Usage;

/// The answer to one request. Each chunk of it is a whole response that goes on where the one before ended; nothing but
/// the reason of its finish says that it is whole, and figures may follow even that.
#[derive(Default)]
pub(super) struct Answer {
    /// The number of the next block.
    next: usize,
    prose: Option<Prose>,
    /// Whether there were thoughts, text that is none, and calls.
    thought: bool,
    spoke: bool,
    called: bool,
    figures: Figures,
    usage: Usage,
    finish: Option<Finish>,
}

/// The prose that is being written: a change of its kind closes it, and so does a signature.
struct Prose {
    block: usize,
    thought: bool,
    text: String,
}

struct Finish {
    reason: String,
    message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Figures>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
    block_reason_message: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Words<'a>>,
    thought: Option<bool>,
    thought_signature: Option<IgnoredAny>,
    #[serde(borrow)]
    function_call: Option<FunctionCall<'a>>,
}

#[derive(Deserialize)]
struct FunctionCall<'a> {
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

type Events = VecDeque<StreamEvent>;

impl Decoder for Answer {
    fn frame(&mut self, frame: &Frame, events: &mut Events) -> Result<(), Fault> {
        self.chunks(&frame.data, events)
    }

    fn whole_already(&self) -> bool {
        self.finish.is_some()
    }

    fn end(&mut self, events: &mut Events) -> Result<(), Fault> {
        let Some(finish) = self.finish.take() else {
            let what = if self.next == 0 { "the answer is empty" } else { "the stream ended without a finishReason" };
            return Err(Fault::new(Kind::Broken, what));
        };
        if finish.reason == "STOP" && self.thought && !self.spoke && !self.called {
            return Err(Fault::new(Kind::Broken, "the answer holds thoughts and nothing else"));
        }
        self.close_prose(events);
        events.push_back(StreamEvent::Finished(finish.stop(self.called)));
        Ok(())
    }

    fn whole(&mut self, body: &str, events: &mut Events) -> Result<(), Fault> {
        self.chunks(body, events)?;
        self.end(events)
    }
}

impl Answer {
    /// Takes in a chunk, or a list of them: that is a stream's form where server-sent events were not asked for.
    fn chunks(&mut self, data: &str, events: &mut Events) -> Result<(), Fault> {
        match data.trim() {
            "" | "[DONE]" => Ok(()),
            list if list.starts_with('[') => {
                let chunks: Vec<&RawValue> = serde_json::from_str(list).map_err(|error| garbled(&error))?;
                chunks.into_iter().try_for_each(|chunk| self.chunk(chunk.get(), events))
            }
            chunk => self.chunk(chunk, events),
        }
    }

    fn chunk(&mut self, data: &str, events: &mut Events) -> Result<(), Fault> {
        let chunk: Chunk<'_> = serde_json::from_str(data).map_err(|error| garbled(&error))?;
        if chunk.error.is_some() {
            return Err(errors::in_stream(data));
        }
        if let Some(figures) = chunk.usage_metadata {
            self.count(figures, events);
        }
        // One answer was asked for: others would be a server's own idea.
        let candidate = chunk.candidates.into_iter().flatten().next();
        if let (None, Some(Feedback { block_reason: Some(reason), block_reason_message })) =
            (&candidate, chunk.prompt_feedback)
        {
            return Err(Fault::new(Kind::Refused, with("the prompt was blocked", &reason, block_reason_message)));
        }
        // What comes behind the end, as from a proxy that sends it twice, is no part of the answer.
        let Some(Candidate { content, finish_reason, finish_message }) = candidate.filter(|_| self.finish.is_none())
        else {
            return Ok(());
        };
        for part in content.and_then(|content| content.parts).into_iter().flatten() {
            self.part(part, events)?;
        }
        if let Some(reason) = finish_reason.filter(|reason| reason != "FINISH_REASON_UNSPECIFIED") {
            let finish = Finish { reason, message: finish_message };
            finish.fault().map_or(Ok(()), Err)?;
            self.finish = Some(finish);
        }
        Ok(())
    }

    fn part(&mut self, raw: &RawValue, events: &mut Events) -> Result<(), Fault> {
        let Part { text, thought, thought_signature, function_call } =
            serde_json::from_str(raw.get()).map_err(|error| garbled(&error))?;
        let signed = thought_signature.is_some();
        if let Some(call) = function_call {
            return self.call(call, signed, raw, events);
        }
        let Words(text) = text.unwrap_or(Words(Cow::Borrowed("")));
        if text.is_empty() {
            if signed {
                // The text before it stays its own block: this one shows nothing and is only replayed.
                let index = self.block(events);
                events.push_back(StreamEvent::Raw { index, raw: raw.to_owned().into() });
                events.push_back(StreamEvent::BlockStopped { index });
            }
            return Ok(());
        }
        let before = self.write(thought.unwrap_or_default(), text, events);
        if let Some(prose) = self.prose.as_ref().filter(|_| signed) {
            // A signature may come on the last part of a text, in the midst of a sentence. The block is shown as one
            // text, so it is kept as all of its parts: what came before, and the signed one byte for byte.
            let raw = if before == 0 {
                raw.to_owned()
            } else {
                let unsigned = match prose.thought {
                    true => json!({"text": &prose.text[..before], "thought": true}),
                    false => json!({"text": &prose.text[..before]}),
                };
                let unsigned = to_raw_value(&unsigned).map_err(|error| garbled(&error))?;
                to_raw_value(&[&*unsigned, raw]).map_err(|error| garbled(&error))?
            };
            events.push_back(StreamEvent::Raw { index: prose.block, raw: raw.into() });
            self.close_prose(events);
        }
        Ok(())
    }

    /// Tells a piece of prose; the length of what its block held before.
    fn write(&mut self, thought: bool, text: Cow<'_, str>, events: &mut Events) -> usize {
        *(if thought { &mut self.thought } else { &mut self.spoke }) = true;
        if self.prose.as_ref().is_none_or(|prose| prose.thought != thought) {
            let block = self.block(events);
            self.prose = Some(Prose { block, thought, text: String::new() });
        }
        let Some(Prose { block: index, text: all, .. }) = &mut self.prose else { return 0 };
        let (index, before) = (*index, all.len());
        all.push_str(&text);
        let text = text.into_owned();
        events.push_back(match thought {
            true => StreamEvent::Reasoning { index, text },
            false => StreamEvent::Text { index, text },
        });
        before
    }

    /// A call comes whole. Its own form is kept for what beside the three must be replayed: its signature, and the id,
    /// which the result has to name where Gemini gave one.
    fn call(&mut self, call: FunctionCall<'_>, signed: bool, raw: &RawValue, events: &mut Events) -> Result<(), Fault> {
        let FunctionCall { id, name, args } = call;
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(Fault::new(Kind::Broken, "a tool call came without a name"));
        };
        let index = self.block(events);
        self.called = true;
        let own = signed || id.is_some();
        events.push_back(StreamEvent::CallStarted { index, id, name });
        if let Some(args) = args.filter(|args| args.get() != "null") {
            events.push_back(StreamEvent::CallArguments { index, json: compact(args.get()) });
        }
        if own {
            events.push_back(StreamEvent::Raw { index, raw: raw.to_owned().into() });
        }
        events.push_back(StreamEvent::BlockStopped { index });
        Ok(())
    }

    /// The number of a new block, which ends the prose before it.
    fn block(&mut self, events: &mut Events) -> usize {
        self.close_prose(events);
        self.next += 1;
        self.next - 1
    }

    fn close_prose(&mut self, events: &mut Events) {
        if let Some(prose) = self.prose.take() {
            events.push_back(StreamEvent::BlockStopped { index: prose.block });
        }
    }

    /// Takes in figures, which are cumulative and come with every chunk, not always all of them.
    fn count(&mut self, figures: Figures, events: &mut Events) {
        let Figures { prompt_token_count, cached_content_token_count, .. } = figures;
        let known = &mut self.figures;
        known.prompt_token_count = prompt_token_count.or(known.prompt_token_count);
        known.cached_content_token_count = cached_content_token_count.or(known.cached_content_token_count);
        known.candidates_token_count = figures.candidates_token_count.or(known.candidates_token_count);
        known.thoughts_token_count = figures.thoughts_token_count.or(known.thoughts_token_count);
        let usage = known.usage();
        if std::mem::replace(&mut self.usage, usage) != usage {
            events.push_back(StreamEvent::Usage(usage));
        }
    }
}

impl Figures {
    /// The prompt's figure includes what came from the cache, the candidates' leaves the thoughts out. A prompt of
    /// nothing was not counted.
    fn usage(self) -> Usage {
        let cache_read = self.cached_content_token_count;
        let prompt = self.prompt_token_count.filter(|prompt| *prompt > 0);
        let input = prompt.map(|prompt| prompt.saturating_sub(cache_read.unwrap_or(0)));
        let output = match (self.candidates_token_count, self.thoughts_token_count) {
            (None, None) => None,
            (candidates, thoughts) => Some(candidates.unwrap_or(0) + thoughts.unwrap_or(0)),
        };
        Usage { input, output, cache_read, cache_write: None }
    }
}

impl Finish {
    /// What went wrong, where this is no end of a turn at all.
    fn fault(&self) -> Option<Fault> {
        let told = |what| with(what, &self.reason, self.message.clone());
        match self.reason.as_str() {
            "MALFORMED_FUNCTION_CALL" | "MALFORMED_RESPONSE" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => {
                Some(Fault::new(Kind::Broken, told("the model made a tool call that cannot be used")))
            }
            // It is the refusal of a request, only late, and is mended like one: by leaving all signatures out.
            "MISSING_THOUGHT_SIGNATURE" => {
                let message = told("a thought signature is missing");
                Some(Fault { status: Some(400), ..Fault::new(Kind::Rejected, message) })
            }
            _ => None,
        }
    }

    fn stop(self, called: bool) -> StopReason {
        match self.reason.as_str() {
            "STOP" if called => StopReason::ToolUse,
            "STOP" => StopReason::End,
            "MAX_TOKENS" => StopReason::MaxTokens,
            // SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, LANGUAGE, OTHER, and what is yet to come: none
            // of them is an end that the model chose.
            _ => StopReason::Refusal(with("the provider stopped the answer", &self.reason, self.message)),
        }
    }
}

/// What happened, the provider's word for it, and what it says beside.
fn with(what: &str, reason: &str, message: Option<String>) -> String {
    match message.filter(|message| !message.trim().is_empty()) {
        Some(message) => format!("{what} ({}): {}", fault::plain(reason), fault::plain(&message)),
        None => format!("{what} ({})", fault::plain(reason)),
    }
}

/// JSON without the blanks between its tokens. An answer in one piece is indented, one in many is not, and both shall
/// give the same arguments.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let blank = !quoted && matches!(c, ' ' | '\n' | '\r' | '\t');
            if *c == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && *c == '\\' && !escaped;
            !blank
        })
        .collect()
}
