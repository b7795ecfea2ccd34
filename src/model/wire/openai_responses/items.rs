//! The items of an answer, told block by block.

use serde_json::Value;
use serde_json::value::RawValue;

use super::decode::Events;
use super::written::{BETWEEN, Kind, Place, Source, Written};
use crate::model::StreamEvent;
use crate::model::fault::{Fault, Kind as FaultKind};
use crate::model::wire::openai::text;

/// The items so far.
#[derive(Default)]
pub(super) struct Items(Vec<Item>);

struct Item {
    kind: Kind,
    /// The number of its block.
    block: usize,
    output_index: Option<u64>,
    id: Option<String>,
    call_id: Option<String>,
    /// The text or the arguments that came so far.
    told: String,
    refusal: String,
    /// Which part of the reasoning was told last.
    part: Option<(Source, u64)>,
    /// Whether the call was begun: its name must be known for that.
    begun: bool,
    /// Whether the arguments are said to be whole.
    whole: bool,
    closed: bool,
}

impl Items {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of them is a call.
    pub(super) fn call(&self) -> bool {
        self.0.iter().any(|item| item.kind == Kind::Call)
    }

    /// What the model said instead of an answer.
    pub(super) fn refusal(&self) -> String {
        self.0.iter().map(|item| item.refusal.as_str()).collect()
    }

    /// An item begins.
    pub(super) fn added(
        &mut self,
        raw: &RawValue,
        output_index: Option<u64>,
        events: &mut Events,
    ) -> Result<(), Fault> {
        if let Some((kind, written)) = Written::read(raw)? {
            self.at(kind, written.place(output_index), true).begin(&written, events);
        }
        Ok(())
    }

    /// A piece of text or of arguments.
    pub(super) fn piece(&mut self, kind: Kind, place: Place<'_>, piece: &str, events: &mut Events) {
        self.at(kind, place, false).tell(piece, events);
    }

    /// A piece of reasoning. Only one kind is told, and its parts are set apart.
    pub(super) fn reasoning(&mut self, place: Place<'_>, part: (Source, u64), piece: &str, events: &mut Events) {
        let item = self.at(Kind::Reasoning, place, false);
        match item.part.replace(part) {
            Some(before) if before.0 != part.0 => item.part = Some(before),
            Some(before) if before.1 != part.1 && !item.told.is_empty() => {
                item.tell(&format!("{BETWEEN}{piece}"), events);
            }
            _ => item.tell(piece, events),
        }
    }

    /// A piece of a refusal.
    pub(super) fn refused(&mut self, place: Place<'_>, piece: &str) {
        self.at(Kind::Message, place, false).refusal.push_str(piece);
    }

    /// A refusal that is whole, of which nothing may have come yet.
    pub(super) fn refusal_done(&mut self, place: Place<'_>, refusal: &str) {
        let item = self.at(Kind::Message, place, false);
        if item.refusal.is_empty() {
            item.refusal = refusal.to_owned();
        }
    }

    /// A text that is whole, of which nothing may have come yet.
    pub(super) fn text_done(&mut self, kind: Kind, place: Place<'_>, text: &str, events: &mut Events) {
        let item = self.at(kind, place, false);
        if item.told.is_empty() {
            item.tell(text, events);
        }
    }

    /// Arguments that are whole.
    pub(super) fn arguments_done(
        &mut self,
        place: Place<'_>,
        arguments: &str,
        events: &mut Events,
    ) -> Result<(), Fault> {
        let item = self.at(Kind::Call, place, false);
        item.whole = true;
        item.arguments(arguments, events)
    }

    /// An item that is whole. A second time says nothing new.
    pub(super) fn done(&mut self, raw: &RawValue, output_index: Option<u64>, events: &mut Events) -> Result<(), Fault> {
        let Some((kind, written)) = Written::read(raw)? else { return Ok(()) };
        let unfinished = written.status.as_deref() == Some("incomplete");
        self.at(kind, written.place(output_index), false).done(&written, raw, unfinished, events)
    }

    /// The whole output at the end: what of it has not come yet does now. With `cut`, only what is said to be whole is.
    pub(super) fn output(&mut self, output: &[&RawValue], cut: bool, events: &mut Events) -> Result<(), Fault> {
        let mut whole = Vec::with_capacity(output.len());
        for (at, raw) in output.iter().enumerate() {
            whole.extend(Written::read(raw)?.map(|(kind, written)| {
                let named = self.named(kind, written.place(None));
                (at, raw, kind, written, named)
            }));
        }
        // Where the names changed, the order tells which is which.
        let known: Vec<usize> = whole.iter().filter_map(|(.., named)| *named).collect();
        let mut nameless: Vec<Kind> = Vec::new();
        for (at, raw, kind, written, named) in whole {
            let nth = nameless.iter().filter(|other| **other == kind).count();
            nameless.extend(named.is_none().then_some(kind));
            let item = match named.or_else(|| self.nth(kind, nth, &known)) {
                Some(item) => &mut self.0[item],
                None => self.new_item(kind, written.place(u64::try_from(at).ok())),
            };
            let unfinished = match written.status.as_deref() {
                Some("incomplete") => true,
                Some("completed") | None => false,
                Some(_) => cut,
            };
            item.done(&written, raw, unfinished, events)?;
        }
        Ok(())
    }

    /// Closes what the end of a response makes whole. With `cut`, what is open stays so.
    pub(super) fn close(&mut self, cut: bool, events: &mut Events) -> Result<(), Fault> {
        for item in self.0.iter_mut().filter(|item| !item.closed) {
            match item.kind {
                Kind::Call if item.whole && item.begun => item.stop(events),
                _ if cut => {}
                Kind::Call => {
                    return Err(Fault::new(FaultKind::Broken, "the response was completed in the midst of a call"));
                }
                Kind::Message | Kind::Reasoning => item.stop(events),
            }
        }
        Ok(())
    }

    /// The item that a piece belongs to. With `fresh`, a piece under another name begins another item.
    fn at(&mut self, kind: Kind, place: Place<'_>, fresh: bool) -> &mut Item {
        match self.named(kind, place).or_else(|| self.numbered(kind, place, fresh)) {
            Some(at) => {
                let item = &mut self.0[at];
                item.output_index = item.output_index.or(place.output_index);
                item.id = item.id.take().or_else(|| place.id.map(str::to_owned));
                item.call_id = item.call_id.take().or_else(|| place.call_id.map(str::to_owned));
                item
            }
            None => self.new_item(kind, place),
        }
    }

    fn named(&self, kind: Kind, place: Place<'_>) -> Option<usize> {
        self.0.iter().rposition(|item| {
            let apart = matches!((item.output_index, place.output_index), (Some(one), Some(other)) if one != other);
            item.kind == kind && !apart && item.shares_name(place)
        })
    }

    fn numbered(&self, kind: Kind, place: Place<'_>, fresh: bool) -> Option<usize> {
        let nameless = place.id.is_none() && place.call_id.is_none();
        self.0.iter().rposition(|item| {
            let other_name = !nameless && item.has_name();
            item.kind == kind
                && match place.output_index {
                    // Some servers number every item 0.
                    Some(_) => item.output_index == place.output_index && !(other_name && (fresh || item.closed)),
                    None => !fresh && !item.closed && !other_name,
                }
        })
    }

    /// The nth item of a kind, those that are known aside.
    fn nth(&self, kind: Kind, nth: usize, known: &[usize]) -> Option<usize> {
        let fits = |at: &usize| self.0[*at].kind == kind && !known.contains(at);
        let mut of_kind: Vec<usize> = (0..self.0.len()).filter(fits).collect();
        of_kind.sort_by_key(|at| self.0[*at].block);
        of_kind.get(nth).copied()
    }

    fn new_item(&mut self, kind: Kind, place: Place<'_>) -> &mut Item {
        let taken = |block: usize| self.0.iter().any(|item| item.block == block);
        let asked = place.output_index.and_then(|index| usize::try_from(index).ok()).filter(|block| !taken(*block));
        let next = || self.0.iter().map(|item| item.block.saturating_add(1)).max().unwrap_or(0);
        let item = Item {
            kind,
            block: asked.unwrap_or_else(next),
            output_index: place.output_index,
            id: place.id.map(str::to_owned),
            call_id: place.call_id.map(str::to_owned),
            told: String::new(),
            refusal: String::new(),
            part: None,
            begun: false,
            whole: false,
            closed: false,
        };
        let at = self.0.len();
        self.0.push(item);
        &mut self.0[at]
    }
}

impl Item {
    fn has_name(&self) -> bool {
        self.id.is_some() || self.call_id.is_some()
    }

    /// Whether one of its names is given. Some servers name a call by its `call_id` in `item_id`.
    fn shares_name(&self, place: Place<'_>) -> bool {
        let own = [self.id.as_deref(), self.call_id.as_deref()];
        [place.id, place.call_id].iter().any(|name| name.is_some() && own.contains(name))
    }

    fn begin(&mut self, written: &Written<'_>, events: &mut Events) {
        let Some(name) = written.name.as_deref().filter(|name| !name.is_empty()) else { return };
        if self.kind != Kind::Call || self.begun || self.closed {
            return;
        }
        self.begun = true;
        let (index, id) = (self.block, self.call_id.clone().or_else(|| self.id.clone()));
        events.push_back(StreamEvent::CallStarted { index, id, name: name.to_owned() });
        if !self.told.is_empty() {
            events.push_back(StreamEvent::CallArguments { index, json: self.told.clone() });
        }
    }

    fn tell(&mut self, piece: &str, events: &mut Events) {
        if piece.is_empty() || self.closed {
            return;
        }
        self.told.push_str(piece);
        let (index, text) = (self.block, piece.to_owned());
        events.extend(match self.kind {
            Kind::Message => Some(StreamEvent::Text { index, text }),
            Kind::Reasoning => Some(StreamEvent::Reasoning { index, text }),
            Kind::Call => self.begun.then_some(StreamEvent::CallArguments { index, json: text }),
        });
    }

    /// Tells what is missing of a text.
    fn complete(&mut self, whole: &str, events: &mut Events) {
        if let Some(rest) = whole.strip_prefix(self.told.as_str()) {
            self.tell(rest, events);
        }
    }

    /// Tells what is missing of the arguments. What was told already must be a part of them: a call is not run with
    /// others than the model meant.
    fn arguments(&mut self, whole: &str, events: &mut Events) -> Result<(), Fault> {
        let value = |text: &str| serde_json::from_str::<Value>(text).ok();
        let same = || value(whole).is_some_and(|whole| value(&self.told) == Some(whole));
        if !(self.closed || whole.is_empty() || whole.starts_with(&self.told) || same()) {
            return Err(Fault::new(FaultKind::Broken, "the pieces of a call do not make the call that they should"));
        }
        self.complete(whole, events);
        Ok(())
    }

    fn done(
        &mut self,
        written: &Written<'_>,
        raw: &RawValue,
        unfinished: bool,
        events: &mut Events,
    ) -> Result<(), Fault> {
        if self.closed {
            return Ok(());
        }
        let mut replayed = !unfinished;
        match self.kind {
            Kind::Message => {
                let (text, refusal) = written.prose();
                self.complete(&text, events);
                if self.refusal.is_empty() {
                    self.refusal = refusal;
                }
            }
            Kind::Reasoning => {
                let text = written.reasoning(self.part.map(|(source, _)| source));
                self.complete(&text, events);
                replayed &= written.replayable();
            }
            Kind::Call => {
                self.begin(written, events);
                let arguments = written.arguments.map(text).unwrap_or_default();
                self.arguments(&arguments, events)?;
                // A call that was cut off is never closed, so that nobody runs it.
                if unfinished {
                    self.whole = false;
                    return Ok(());
                }
                if !self.begun {
                    return Err(Fault::new(FaultKind::Broken, "a tool call came without a name"));
                }
            }
        }
        // A message without a text is none: it is a refusal, or nothing.
        if replayed && (self.kind != Kind::Message || !self.told.is_empty()) {
            events.push_back(StreamEvent::Raw { index: self.block, raw: raw.to_owned().into() });
        }
        self.stop(events);
        Ok(())
    }

    fn stop(&mut self, events: &mut Events) {
        self.closed = true;
        events.push_back(StreamEvent::BlockStopped { index: self.block });
    }
}
