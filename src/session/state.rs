//! What a session knows, folded from its records: the same function while it lives and when it is restored.

use std::sync::Arc;

use super::Known;
use crate::context::Accounting;
use crate::model::{Block, Item, ToolResult};
use crate::protocol::{ContextUse, Event, Usage};
use crate::store::{Checkpoint, Prepared, Record, Rules, Totals};

/// Records after which the end of a run makes a checkpoint: reading so many takes a few milliseconds.
const CHECKPOINT_EVERY: usize = 2_000;

/// Everything that the next run goes on from.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    system: Option<Arc<str>>,
    rules: Vec<Rules>,
    tools: Vec<String>,
    history: Vec<Arc<Item>>,
    accounting: Accounting,
    usage: Usage,
    requests: u64,
    context: Option<ContextUse>,
    model: Option<String>,
    /// Events of the session's own that were told so far.
    told: u64,
    /// The calls of the newest message that have no result yet.
    open: Vec<OpenCall>,
    /// Records since the newest checkpoint.
    since: usize,
}

/// A call between its message and its result.
#[derive(Clone, Debug)]
struct OpenCall {
    id: String,
    name: String,
    /// What a person reads; set when the call has begun.
    begun: Option<String>,
    /// What came of it, in a line, and whether it did what was asked.
    ended: Option<(bool, String)>,
}

/// What a run that was cut off leaves behind.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The results that its open calls get.
    pub(super) results: Item,
    /// The calls of which nobody knows what they did, as a person reads them.
    pub(super) unknown: Vec<String>,
}

impl State {
    /// Takes in a record.
    pub(super) fn apply(&mut self, record: &Record) {
        self.since += 1;
        match record {
            Record::Prepared(prepared) => self.prepare(prepared),
            Record::Item { item, .. } => self.push(item.clone()),
            Record::Event(envelope) => {
                if envelope.run_id.is_none() {
                    self.told = envelope.sequence;
                }
                self.hear(&envelope.event);
            }
            Record::Changed(_) | Record::Undone(_) => {}
            Record::Totals(totals) => (self.usage, self.requests) = (totals.usage, totals.requests),
            Record::Checkpoint(checkpoint) => *self = Self::of(checkpoint),
        }
    }

    fn of(checkpoint: &Checkpoint) -> Self {
        let mut state = Self {
            system: checkpoint.system.clone(),
            rules: checkpoint.rules.clone(),
            tools: checkpoint.tools.clone(),
            usage: checkpoint.usage,
            requests: checkpoint.requests,
            context: checkpoint.context,
            told: checkpoint.told,
            ..Self::default()
        };
        for item in &checkpoint.items {
            state.push(item.clone());
        }
        state.accounting = checkpoint.accounting;
        state
    }

    /// What spares a restore everything before it, once there is much of it.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        (self.since >= CHECKPOINT_EVERY).then(|| Checkpoint {
            reason: "kept".into(),
            system: self.system.clone(),
            tools: self.tools.clone(),
            rules: self.rules.clone(),
            items: self.history.clone(),
            usage: self.usage,
            requests: self.requests,
            context: self.context,
            accounting: self.accounting,
            told: self.told,
        })
    }

    fn prepare(&mut self, prepared: &Prepared) {
        if let Some(system) = &prepared.system {
            self.system = Some(system.clone());
            self.tools.clone_from(&prepared.tools);
            self.accounting.add_tokens(prepared.fixed_tokens);
        }
        self.rules.clone_from(&prepared.rules);
        self.model = Some(prepared.model.clone());
    }

    fn push(&mut self, item: Arc<Item>) {
        self.open = match item.as_ref() {
            Item::Assistant { blocks, .. } => blocks.iter().filter_map(OpenCall::of).collect(),
            Item::User { .. } | Item::Results { .. } => Vec::new(),
        };
        self.accounting.add(&item);
        self.history.push(item);
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Usage { usage, context } => {
                self.usage.add(usage);
                self.requests += 1;
                self.accounting.measure(usage);
                self.context = Some(*context);
            }
            Event::ToolStarted { call_id, title, .. } => {
                if let Some(call) = self.call(call_id) {
                    call.begun = Some(title.clone());
                }
            }
            Event::ToolFinished { call_id, ok, summary, .. } => {
                if let Some(call) = self.call(call_id) {
                    call.ended = Some((*ok, summary.clone()));
                }
            }
            _ => {}
        }
    }

    fn call(&mut self, id: &str) -> Option<&mut OpenCall> {
        self.open.iter_mut().find(|call| call.id == id)
    }

    /// What closes the calls that have no result: none of them is ever made again by the program. `None` when there are none.
    pub(super) fn cut(&self) -> Option<Cut> {
        if self.open.is_empty() {
            return None;
        }
        let unknown = self.open.iter().filter(|call| call.ended.is_none()).filter_map(|call| call.begun.clone());
        let results = self.open.iter().map(OpenCall::interrupted).collect();
        Some(Cut { unknown: unknown.collect(), results: Item::Results { results } })
    }

    /// What a run that is set up should know.
    pub(super) fn known(&self) -> Known {
        Known { system: self.system.clone(), rules: self.rules.clone(), tools: self.tools.clone() }
    }

    pub(super) fn history(&self) -> Vec<Arc<Item>> {
        self.history.clone()
    }

    pub(super) fn accounting(&self) -> Accounting {
        self.accounting
    }

    /// What is kept before events are dropped.
    pub(super) fn totals(&self) -> Totals {
        Totals { usage: self.usage, requests: self.requests }
    }

    /// The figures that clients are shown.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            usage: self.usage,
            context: self.context,
            requests: self.requests,
            items: self.history.len(),
            model: self.model.clone(),
            rules: self.rules.iter().map(|rules| rules.path.clone()).collect(),
        }
    }

    /// Events of the session's own that were told so far.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// The same, for a session that begins where this one stands: its own series begins anew.
    pub(super) fn forked(&self) -> Self {
        Self { told: 0, ..self.clone() }
    }
}

/// What all of a session comes to.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// What all requests cost together.
    pub usage: Usage,
    /// How full the context is; `None` before the first request.
    pub context: Option<ContextUse>,
    /// Requests to the model.
    pub requests: u64,
    /// Entries of the history.
    pub items: usize,
    /// The model of the newest run.
    pub model: Option<String>,
    /// The rules files that the model has been given.
    pub rules: Vec<String>,
}

impl OpenCall {
    fn of(block: &Block) -> Option<Self> {
        match block {
            Block::Call { id, name, .. } => Some(Self { id: id.clone(), name: name.clone(), begun: None, ended: None }),
            Block::Text { .. } | Block::Reasoning { .. } => None,
        }
    }

    fn interrupted(&self) -> ToolResult {
        let content = match (&self.begun, &self.ended) {
            (_, Some((ok, summary))) => {
                let how = if *ok { "did what was asked" } else { "failed" };
                format!("Interrupted after the call had ended: it {how} ({summary}). The rest of its result is lost.")
            }
            (Some(_), None) => {
                "Interrupted: whether anything was done is not known. Look before you try again.".to_owned()
            }
            (None, None) => "Interrupted before this call began. Nothing was done.".to_owned(),
        };
        ToolResult { call_id: self.id.clone(), name: self.name.clone(), ok: false, content }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ContextSource, Envelope, RunId, SessionId};

    fn item(item: Item) -> Record {
        Record::Item { run: Some(RunId::new()), item: Arc::new(item) }
    }

    fn event(event: Event) -> Record {
        Record::Event(Envelope {
            run_id: Some(RunId::new()),
            session_id: SessionId::new(),
            sequence: 1,
            first: None,
            timestamp_ms: 0,
            event,
        })
    }

    fn calls(ids: &[&str]) -> Record {
        let call = |id: &&str| Block::Call { id: (*id).into(), name: "edit".into(), arguments: "{}".into(), raw: None };
        item(Item::Assistant {
            model: "m".into(),
            origin: String::new(),
            blocks: ids.iter().map(call).collect(),
            partial: false,
        })
    }

    fn started(id: &str) -> Record {
        let (call_id, name) = (id.into(), "edit".into());
        event(Event::ToolStarted { call_id, name, title: format!("Edit {id}"), input: serde_json::Value::Null })
    }

    fn finished(id: &str) -> Record {
        event(Event::ToolFinished { call_id: id.into(), ok: true, title: "t".into(), summary: "1 line".into() })
    }

    #[test]
    fn r9_calls_that_were_cut_off_get_results_that_say_what_is_known() {
        let mut state = State::default();
        for record in [calls(&["a", "b", "c"]), started("a"), finished("a"), started("b")] {
            state.apply(&record);
        }
        let cut = state.cut().expect("three are open");
        assert_eq!(cut.unknown, ["Edit b"]);
        let Item::Results { results } = &cut.results else { panic!("{cut:?}") };
        let said: Vec<&str> = results.iter().map(|result| result.content.as_str()).collect();
        assert!(said[0].contains("did what was asked (1 line)"), "{said:?}");
        assert!(said[1].contains("not known"), "{said:?}");
        assert!(said[2].contains("Nothing was done"), "{said:?}");
        state.apply(&item(cut.results));
        assert!(state.cut().is_none());
    }

    #[test]
    fn s11_a_checkpoint_without_anything_empties_history_and_counters() {
        let mut state = State::default();
        let context = ContextUse { used: 9, limit: None, source: ContextSource::Measured };
        let usage = Usage { input: Some(9), ..Usage::default() };
        for record in [item(Item::User { text: "hello".into() }), event(Event::Usage { usage, context })] {
            state.apply(&record);
        }
        assert_eq!((state.history().len(), state.figures().requests), (1, 1));
        state.apply(&Record::Checkpoint(Box::new(Checkpoint { told: 3, ..Checkpoint::default() })));
        let figures = state.figures();
        assert_eq!((state.history().len(), figures.requests, figures.usage), (0, 0, Usage::default()));
        assert_eq!(state.told(), 3, "the session's own events are counted on");
    }

    #[test]
    fn s4_a_checkpoint_restores_what_the_next_run_goes_on_from() {
        let mut state = State::default();
        let context = ContextUse { used: 90, limit: None, source: ContextSource::Measured };
        let usage = Usage { input: Some(90), ..Usage::default() };
        state.apply(&item(Item::User { text: "x".repeat(4000) }));
        state.apply(&event(Event::Usage { usage, context }));
        assert!(state.checkpoint().is_none(), "not for a few records");
        for _ in 0..CHECKPOINT_EVERY {
            state.apply(&event(Event::TurnStarted { turn: 1 }));
        }
        let checkpoint = state.checkpoint().expect("there is much before it");
        let mut restored = State::default();
        restored.apply(&Record::Checkpoint(Box::new(checkpoint)));
        assert_eq!(restored.accounting(), state.accounting(), "what was measured is not estimated again");
        assert_eq!((restored.history().len(), restored.totals()), (1, state.totals()));
        assert!(restored.checkpoint().is_none());
    }
}
