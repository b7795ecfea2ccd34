//! From stream events to a turn.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Block, Item, StopReason, StreamEvent};
use crate::protocol::Usage;

/// A whole turn: only a stream that reached its terminal event gives one.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Who said it: see [`Item::Assistant`].
    pub origin: String,
    /// The blocks, in order. Empty ones are left out.
    pub blocks: Vec<Block>,
    /// Why it ended.
    pub stop: StopReason,
    /// What it cost.
    pub usage: Usage,
    /// Names of the calls of a turn that was cut off: none of them is among the blocks, and none is run.
    pub cut_calls: Vec<String>,
}

/// Collects the events of one turn.
#[derive(Debug, Default)]
pub struct Assembler {
    origin: Option<Arc<str>>,
    parts: BTreeMap<usize, Part>,
    usage: Usage,
    stop: Option<StopReason>,
    /// Ids that a call may not have again.
    taken: HashSet<String>,
}

#[derive(Debug)]
struct Part {
    kind: Kind,
    raw: Option<Arc<RawValue>>,
    closed: bool,
}

#[derive(Debug)]
enum Kind {
    Text(String),
    Reasoning(String),
    Call { id: Option<String>, name: String, arguments: String },
}

impl Assembler {
    /// One whose calls get ids that no call of the history has: some servers number the calls of each answer from 0.
    #[must_use]
    pub fn after(items: &[Arc<Item>]) -> Self {
        let blocks = items.iter().filter_map(|item| match &**item {
            Item::Assistant { blocks, .. } => Some(blocks),
            _ => None,
        });
        let ids = blocks.flatten().filter_map(|block| match block {
            Block::Call { id, .. } => Some(id.clone()),
            _ => None,
        });
        Self { taken: ids.collect(), ..Self::default() }
    }

    /// Takes in an event. `Retrying` voids everything so far.
    pub fn push(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Answering { origin } => self.origin = Some(Arc::clone(origin)),
            StreamEvent::Text { index, text } => {
                if let Kind::Text(all) = self.kind(*index, || Kind::Text(String::new())) {
                    all.push_str(text);
                }
            }
            StreamEvent::Reasoning { index, text } => {
                if let Kind::Reasoning(all) = self.kind(*index, || Kind::Reasoning(String::new())) {
                    all.push_str(text);
                }
            }
            StreamEvent::CallStarted { index, id, name } => {
                let call = Kind::Call { id: id.clone(), name: name.clone(), arguments: String::new() };
                self.kind(*index, || call);
            }
            StreamEvent::CallArguments { index, json } => {
                if let Some(Part { kind: Kind::Call { arguments, .. }, .. }) = self.parts.get_mut(index) {
                    arguments.push_str(json);
                }
            }
            StreamEvent::Raw { index, raw } => {
                // A block that shows nothing (encrypted reasoning) has no event but this one.
                self.kind(*index, || Kind::Reasoning(String::new()));
                if let Some(part) = self.parts.get_mut(index) {
                    part.raw = Some(Arc::clone(raw));
                }
            }
            StreamEvent::BlockStopped { index } => {
                if let Some(part) = self.parts.get_mut(index) {
                    part.closed = true;
                }
            }
            StreamEvent::Usage(usage) => merge(&mut self.usage, usage),
            StreamEvent::Finished(stop) => self.stop = Some(stop.clone()),
            StreamEvent::Retrying { .. } => {
                *self = Self { taken: std::mem::take(&mut self.taken), ..Self::default() };
            }
        }
    }

    /// Who answers: see [`Item::Assistant`].
    #[must_use]
    pub fn origin(&self) -> String {
        self.origin.as_deref().unwrap_or_default().to_owned()
    }

    /// What the provider has said of the cost so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// What a whole turn lacks; `None` when it lacks nothing.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let Some(stop) = &self.stop else { return Some("the stream ended before the turn did".to_owned()) };
        if !cut_short(stop)
            && let Some(open) = self.parts.values().find(|part| !part.closed)
        {
            return Some(format!("{} was never closed", open.kind.describe()));
        }
        let calls = self.parts.values().any(|part| matches!(part.kind, Kind::Call { .. }));
        (*stop == StopReason::ToolUse && !calls).then(|| "a tool call was announced, but none came".to_owned())
    }

    /// The turn, once `Finished` was pushed.
    ///
    /// # Errors
    /// What is missing: no terminal event, or a block that was never closed.
    pub fn finish(self) -> Result<Turn, String> {
        if let Some(missing) = self.missing() {
            return Err(missing);
        }
        let origin = self.origin();
        let stop = self.stop.unwrap_or(StopReason::End);
        let cut_short = cut_short(&stop);
        let (mut blocks, mut cut_calls, mut ids) = (Vec::new(), Vec::new(), self.taken);
        for part in self.parts.into_values() {
            match part.kind {
                // Whether the last one is whole cannot be told: some providers close what they cut off, and an answer in one
                // piece is valid JSON however much of it is missing.
                Kind::Call { name, .. } if cut_short => cut_calls.push(name),
                kind => blocks.extend(kind.into_block(part.raw, &mut ids)),
            }
        }
        let calls = blocks.iter().any(|block| matches!(block, Block::Call { .. }));
        let stop = match stop {
            // Compatible servers say "stop" and mean their calls to be run.
            StopReason::End if calls => StopReason::ToolUse,
            stop => stop,
        };
        Ok(Turn { origin, blocks, stop, usage: self.usage, cut_calls })
    }

    /// What can be kept of a turn that was cancelled or broke: whole text and reasoning with its raw block, partial
    /// text, no calls.
    #[must_use]
    pub fn partial(self) -> Vec<Block> {
        let mut ids = HashSet::new();
        self.parts
            .into_values()
            .filter(|part| match part.kind {
                Kind::Text(_) => true,
                // Reasoning without its signature would be refused in every later request.
                Kind::Reasoning(_) => part.closed,
                Kind::Call { .. } => false,
            })
            .filter_map(|part| part.kind.into_block(part.raw, &mut ids))
            .collect()
    }

    fn kind(&mut self, index: usize, new: impl FnOnce() -> Kind) -> &mut Kind {
        &mut self.parts.entry(index).or_insert_with(|| Part { kind: new(), raw: None, closed: false }).kind
    }
}

impl Kind {
    fn describe(&self) -> String {
        match self {
            Self::Text(_) => "a text".to_owned(),
            Self::Reasoning(_) => "a reasoning block".to_owned(),
            Self::Call { name, .. } => format!("the call of {name}"),
        }
    }

    fn into_block(self, raw: Option<Arc<RawValue>>, ids: &mut HashSet<String>) -> Option<Block> {
        match self {
            Self::Text(text) => (raw.is_some() || !text.is_empty()).then_some(Block::Text { text, raw }),
            Self::Reasoning(text) => (raw.is_some() || !text.is_empty()).then_some(Block::Reasoning { text, raw }),
            Self::Call { id, name, arguments } => {
                let id = id.filter(|id| !id.is_empty() && !ids.contains(id));
                let id = id.unwrap_or_else(|| format!("call_{}", uuid::Uuid::now_v7().simple()));
                ids.insert(id.clone());
                let arguments = if arguments.trim().is_empty() { "{}".to_owned() } else { arguments };
                Some(Block::Call { id, name, arguments, raw })
            }
        }
    }
}

/// Whether a turn may end with open blocks.
fn cut_short(stop: &StopReason) -> bool {
    matches!(stop, StopReason::MaxTokens | StopReason::Refusal(_))
}

/// Figures are cumulative: what the later one names replaces the earlier.
fn merge(into: &mut Usage, later: &Usage) {
    into.input = later.input.or(into.input);
    into.output = later.output.or(into.output);
    into.cache_read = later.cache_read.or(into.cache_read);
    into.cache_write = later.cache_write.or(into.cache_write);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(index: usize, id: Option<&str>, name: &str) -> StreamEvent {
        StreamEvent::CallStarted { index, id: id.map(str::to_owned), name: name.to_owned() }
    }

    fn json(index: usize, json: &str) -> StreamEvent {
        StreamEvent::CallArguments { index, json: json.to_owned() }
    }

    fn text(index: usize, text: &str) -> StreamEvent {
        StreamEvent::Text { index, text: text.to_owned() }
    }

    fn stopped(index: usize) -> StreamEvent {
        StreamEvent::BlockStopped { index }
    }

    fn assembled(events: &[StreamEvent]) -> Assembler {
        let mut assembler = Assembler::default();
        for event in events {
            assembler.push(event);
        }
        assembler
    }

    fn calls(turn: &Turn) -> Vec<(&str, &str, &str)> {
        let calls = turn.blocks.iter().filter_map(|block| match block {
            Block::Call { id, name, arguments, .. } => Some((id.as_str(), name.as_str(), arguments.as_str())),
            _ => None,
        });
        calls.collect()
    }

    #[test]
    fn interleaved_calls_stand_in_the_order_of_their_numbers() {
        let turn = assembled(&[
            text(0, "Reading "),
            call(1, Some("a"), "read"),
            call(2, Some("b"), "list"),
            json(2, "{\"path\":"),
            json(1, "{\"path\":\"x\"}"),
            json(2, "\"y\"}"),
            text(0, "both."),
            stopped(2),
            stopped(0),
            stopped(1),
            StreamEvent::Finished(StopReason::ToolUse),
        ])
        .finish()
        .unwrap();
        assert!(matches!(&turn.blocks[0], Block::Text { text, .. } if text == "Reading both."));
        assert_eq!(calls(&turn), [("a", "read", r#"{"path":"x"}"#), ("b", "list", r#"{"path":"y"}"#)]);
    }

    #[test]
    fn missing_empty_and_repeated_ids_are_made_up() {
        let turn = assembled(&[
            call(0, None, "list"),
            call(1, Some(""), "list"),
            call(2, Some("same"), "list"),
            call(3, Some("same"), "list"),
            stopped(0),
            stopped(1),
            stopped(2),
            stopped(3),
            StreamEvent::Finished(StopReason::End),
        ])
        .finish()
        .unwrap();
        let ids: HashSet<_> = calls(&turn).iter().map(|call| call.0.to_owned()).collect();
        assert_eq!(ids.len(), 4, "{ids:?}");
        assert!(!ids.contains(""));
        assert!(calls(&turn).iter().all(|call| call.2 == "{}"), "empty arguments are an empty object");
        assert_eq!(turn.stop, StopReason::ToolUse, "a stop with calls waits for their results");
    }

    #[test]
    fn an_id_that_the_history_has_is_not_used_again() {
        let block = Block::Call { id: "call_0".into(), name: "list".into(), arguments: "{}".into(), raw: None };
        let item = Item::Assistant { model: String::new(), origin: String::new(), blocks: vec![block], partial: false };
        let mut assembler = Assembler::after(&[Arc::new(item)]);
        let retry =
            StreamEvent::Retrying { attempt: 1, delay: Duration::ZERO, reason: String::new(), discarded: false };
        let events = [retry, call(0, Some("call_0"), "read"), call(1, Some("call_1"), "read"), stopped(0), stopped(1)];
        events.iter().for_each(|event| assembler.push(event));
        assembler.push(&StreamEvent::Finished(StopReason::ToolUse));
        let turn = assembler.finish().unwrap();
        assert_ne!(calls(&turn)[0].0, "call_0");
        assert_eq!(calls(&turn)[1].0, "call_1");
    }

    #[test]
    fn a_call_cut_off_at_the_output_limit_is_named_and_not_run() {
        let start = [
            text(0, "Now I wri"),
            call(1, Some("a"), "read"),
            json(1, "{}"),
            stopped(1),
            call(2, Some("b"), "write"),
            json(2, "{\"path\":\"a.rs\",\"content\":\"fn m"),
        ];
        for closed in [false, true] {
            let mut events = start.to_vec();
            events.extend(closed.then(|| stopped(2)));
            events.push(StreamEvent::Finished(StopReason::MaxTokens));
            let turn = assembled(&events).finish().unwrap();
            assert_eq!(turn.cut_calls, ["read", "write"]);
            assert_eq!(calls(&turn), []);
            assert!(matches!(&turn.blocks[0], Block::Text { text, .. } if text == "Now I wri"));
            assert_eq!(turn.stop, StopReason::MaxTokens);
        }
    }

    #[test]
    fn a_closed_call_with_bad_arguments_is_whole() {
        let events =
            [call(0, Some("a"), "read"), json(0, "{path"), stopped(0), StreamEvent::Finished(StopReason::ToolUse)];
        assert_eq!(calls(&assembled(&events).finish().unwrap()), [("a", "read", "{path")]);
    }

    #[test]
    fn a_turn_needs_its_end_and_its_blocks_closed() {
        let open = [call(0, Some("a"), "read"), json(0, "{}")];
        assert_eq!(assembled(&open).finish().unwrap_err(), "the stream ended before the turn did");
        let unclosed = [open[0].clone(), StreamEvent::Finished(StopReason::ToolUse)];
        assert_eq!(assembled(&unclosed).finish().unwrap_err(), "the call of read was never closed");
        let none = [StreamEvent::Finished(StopReason::ToolUse)];
        assert_eq!(assembled(&none).finish().unwrap_err(), "a tool call was announced, but none came");
    }

    #[test]
    fn a_retry_voids_what_came_before() {
        let turn = assembled(&[
            text(0, "void"),
            StreamEvent::Usage(Usage { output: Some(9), ..Usage::default() }),
            StreamEvent::Retrying { attempt: 1, delay: Duration::ZERO, reason: String::new(), discarded: true },
            text(0, "kept"),
            stopped(0),
            StreamEvent::Finished(StopReason::End),
        ])
        .finish()
        .unwrap();
        assert!(matches!(&turn.blocks[..], [Block::Text { text, .. }] if text == "kept"));
        assert_eq!(turn.usage, Usage::default());
    }

    #[test]
    fn figures_are_replaced_by_later_ones_and_never_by_nothing() {
        let assembler = assembled(&[
            StreamEvent::Usage(Usage { input: Some(12), cache_read: Some(4096), output: Some(1), cache_write: None }),
            StreamEvent::Usage(Usage { output: Some(41), ..Usage::default() }),
        ]);
        let expected = Usage { input: Some(12), cache_read: Some(4096), output: Some(41), cache_write: None };
        assert_eq!(assembler.usage(), expected);
    }

    #[test]
    fn of_a_broken_turn_only_text_and_signed_reasoning_is_kept() {
        let raw: Arc<RawValue> = RawValue::from_string("{\"type\":\"thinking\"}".to_owned()).unwrap().into();
        let blocks = assembled(&[
            StreamEvent::Reasoning { index: 0, text: "whole".to_owned() },
            StreamEvent::Raw { index: 0, raw },
            stopped(0),
            StreamEvent::Reasoning { index: 1, text: "cut".to_owned() },
            text(2, "partial te"),
            call(3, Some("a"), "read"),
            stopped(3),
        ])
        .partial();
        assert!(
            matches!(&blocks[..], [Block::Reasoning { text, raw: Some(_) }, Block::Text { text: partial, .. }]
                if text == "whole" && partial == "partial te"),
            "{blocks:?}"
        );
    }
}
