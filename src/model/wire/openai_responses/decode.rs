//! What a Responses server answers.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::Items;
use super::written::{Kind, Place, Source};
use crate::model::fault::{self, Fault, Kind as FaultKind};
use crate::model::sse::Frame;
use crate::model::wire::openai::{filtered, reported, text, usage};
use crate::model::wire::{Decoder, Words, garbled};
use crate::model::{StopReason, StreamEvent};

pub(super) type Events = VecDeque<StreamEvent>;

/// The answer to one request.
#[derive(Default)]
pub(super) struct Response {
    items: Items,
    seen: Seen,
    /// The most tokens that it was allowed.
    limit: Option<u64>,
}

/// An event. Whatever may have another shape in events that nobody knows yet is read when it is needed.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Words<'a>>,
    sequence_number: Option<i64>,
    output_index: Option<i64>,
    summary_index: Option<i64>,
    content_index: Option<i64>,
    #[serde(borrow)]
    item_id: Option<Words<'a>>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A response, as the last event or a whole body has it.
#[derive(Default, Deserialize)]
struct Ended<'a> {
    status: Option<String>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
    usage: Option<Figures>,
    incomplete_details: Option<Incomplete>,
    content_filters: Option<serde_json::Value>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Figures {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<Cached>,
}

#[derive(Default, Deserialize)]
struct Cached {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

impl Decoder for Response {
    fn frame(&mut self, frame: &Frame, events: &mut Events) -> Result<(), Fault> {
        let data = frame.data.trim();
        match data {
            "" => return Ok(()),
            // This wire has no such mark, but servers that speak others too may send it.
            "[DONE]" => return self.end(events),
            _ if frame.event.as_deref() == Some("error") => return Err(reported(data)),
            _ => {}
        }
        let event: Event<'_> = serde_json::from_str(data).map_err(|error| garbled(&error))?;
        match event.kind.as_deref() {
            Some("error") => Err(reported(data)),
            None if event.error.is_some() => Err(reported(data)),
            Some(kind) => match kind.strip_prefix("response.") {
                Some(status @ ("completed" | "incomplete" | "failed" | "cancelled" | "done")) => {
                    let ended = event.response.map(|response| serde_json::from_str(response.get())).transpose();
                    self.ended(ended.map_err(|error| garbled(&error))?.unwrap_or_default(), status, data, events)
                }
                Some(_) if self.seen.again(event.sequence_number, data) => Ok(()),
                Some(kind) => self.event(kind, &event, events),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn end(&mut self, _events: &mut Events) -> Result<(), Fault> {
        let what =
            if self.items.is_empty() { "the answer is empty" } else { "the stream ended before response.completed" };
        Err(Fault::new(FaultKind::Broken, what))
    }

    fn whole(&mut self, body: &str, events: &mut Events) -> Result<(), Fault> {
        match serde_json::from_str::<Ended<'_>>(body) {
            Ok(ended) if ended.output.is_some() => self.ended(ended, "done", body, events),
            Err(error) if error.is_syntax() || error.is_eof() => Err(garbled(&error)),
            _ => Err(reported(body)),
        }
    }
}

impl Response {
    /// An answer that may hold so many tokens.
    pub(super) fn up_to(limit: Option<u64>) -> Self {
        Self { limit, ..Self::default() }
    }

    fn event(&mut self, kind: &str, event: &Event<'_>, events: &mut Events) -> Result<(), Fault> {
        let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let output_index = number(event.output_index);
        let place = Place { output_index, id: event.item_id.as_deref().filter(|id| !id.is_empty()), call_id: None };
        fn said(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
            raw.filter(|raw| raw.get() != "null").map(text)
        }
        let delta = || said(event.delta).unwrap_or_default();
        let reasoning = |source| match source {
            Source::Summary => (source, number(event.summary_index).unwrap_or(0)),
            Source::Content => (source, number(event.content_index).unwrap_or(0)),
        };
        match kind {
            "output_item.added" => {
                event.item.map_or(Ok(()), |item| self.items.added(item, output_index, events))?;
            }
            "output_item.done" => {
                event.item.map_or(Ok(()), |item| self.items.done(item, output_index, events))?;
            }
            "output_text.delta" => self.items.piece(Kind::Message, place, &delta(), events),
            "refusal.delta" => self.items.refused(place, &delta()),
            "refusal.done" => self.items.refusal_done(place, &said(event.refusal).unwrap_or_default()),
            "reasoning_summary_text.delta" => {
                self.items.reasoning(place, reasoning(Source::Summary), &delta(), events);
            }
            "reasoning_text.delta" => self.items.reasoning(place, reasoning(Source::Content), &delta(), events),
            "function_call_arguments.delta" => self.items.piece(Kind::Call, place, &delta(), events),
            "output_text.done" => {
                self.items.text_done(Kind::Message, place, &said(event.text).unwrap_or_default(), events);
            }
            "function_call_arguments.done" => {
                self.items.arguments_done(place, &said(event.arguments).unwrap_or_default(), events)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The terminal event. What it is called and what its response says of itself should be the same; a response that
    /// says that it is incomplete is believed.
    fn ended(&mut self, ended: Ended<'_>, name: &str, said: &str, events: &mut Events) -> Result<(), Fault> {
        let status = match (ended.status.as_deref(), name) {
            (Some(status @ ("incomplete" | "failed" | "cancelled")), _) => status,
            (Some("completed") | None, "done") => "completed",
            (Some(status), "done") => status,
            _ => name,
        };
        let stop = match status {
            // llama.cpp calls an answer completed that it cut off.
            "completed" => {
                let output = ended.usage.as_ref().and_then(|figures| figures.output_tokens);
                let full = self.limit.zip(output).is_some_and(|(limit, output)| output >= limit);
                full.then_some(StopReason::MaxTokens)
            }
            "incomplete" => Some(match ended.incomplete_details.and_then(|details| details.reason).as_deref() {
                Some("content_filter") => StopReason::Refusal(filtered(ended.content_filters.as_ref())),
                _ => StopReason::MaxTokens,
            }),
            "failed" => return Err(ended.error.map_or_else(|| reported(said), |error| reported(error.get()))),
            other => return Err(Fault::new(FaultKind::Broken, format!("the response is {other}"))),
        };
        self.items.output(&ended.output.unwrap_or_default(), stop.is_some(), events)?;
        self.items.close(stop.is_some(), events)?;
        let refusal = self.items.refusal();
        let stop = match stop {
            _ if !refusal.is_empty() => StopReason::Refusal(fault::plain(&refusal)),
            Some(stop) => stop,
            None if self.items.call() => StopReason::ToolUse,
            None => StopReason::End,
        };
        events.extend(ended.usage.map(|figures| {
            let cached = figures.input_tokens_details.unwrap_or_default();
            let Cached { cached_tokens, cache_write_tokens } = cached;
            StreamEvent::Usage(usage(figures.input_tokens, figures.output_tokens, cached_tokens, cache_write_tokens))
        }));
        events.push_back(StreamEvent::Finished(stop));
        Ok(())
    }
}

/// Which events came already: a proxy that connects anew may send some again. The numbers rise by the wire's word; where
/// they do not, they say nothing.
#[derive(Default)]
struct Seen {
    events: Vec<(i64, u32)>,
    numberless: bool,
}

impl Seen {
    fn again(&mut self, number: Option<i64>, data: &str) -> bool {
        let Some(number) = number.filter(|_| !self.numberless) else { return false };
        // It is made of every event and looked at only where a number does not rise, so it should cost next to nothing.
        let event = (number, crc32fast::hash(data.as_bytes()));
        if self.events.last().is_none_or(|last| last.0 < number) {
            self.events.push(event);
            return false;
        }
        let again = self.events.binary_search(&event).is_ok();
        self.numberless = !again;
        again
    }
}
