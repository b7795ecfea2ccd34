//! What a session knows, folded from its records: the same function while it lives and when it is restored.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Known;
use crate::context::{Made, Stale, Window};
use crate::model::{Block, Item, ToolResult};
use crate::protocol::{ContextUse, Event, Usage};
use crate::store::{Checkpoint, Compacted, Decided, Operation, Prepared, Previewed, Proposed, Record, Rules, Totals};

/// Records after which the end of a run makes a checkpoint: reading so many takes a few milliseconds.
const CHECKPOINT_EVERY: usize = 2_000;

/// Everything that the next run goes on from.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    system: Option<Arc<str>>,
    rules: Vec<Rules>,
    tools: Vec<String>,
    /// The history, as the model is shown it.
    window: Window,
    /// The records that hold its entries; 0 for a summary's note.
    numbers: Vec<u64>,
    usage: Usage,
    requests: u64,
    /// What of the usage was whose.
    by_model: BTreeMap<String, Usage>,
    context: Option<ContextUse>,
    model: Option<String>,
    /// Events of the session's own that were told so far.
    told: u64,
    /// The calls of the newest message that have no result yet.
    open: Vec<OpenCall>,
    /// Records since the newest checkpoint.
    since: usize,
    /// What waits for the person.
    proposed: Vec<Proposed>,
    /// Questions that nobody has answered yet.
    asked: Vec<String>,
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
    /// Takes in a record by its number.
    pub(super) fn apply(&mut self, record: &Record, number: u64) {
        self.since += 1;
        match record {
            Record::Prepared(prepared) => self.prepare(prepared),
            Record::Item { item, .. } => self.push(item.clone(), number),
            Record::Event(envelope) => {
                if envelope.run_id.is_none() {
                    self.told = envelope.sequence;
                }
                self.hear(&envelope.event);
            }
            Record::Changed(_) | Record::Undone(_) => {}
            Record::Proposed(proposed) => self.propose(proposed),
            Record::Decided(decided) => self.decide(decided),
            Record::Totals(totals) => {
                (self.usage, self.requests) = (totals.usage, totals.requests);
                self.by_model.clone_from(&totals.by_model);
            }
            Record::Exceeded { limit } => self.window.exceeded(*limit),
            Record::Previewed(Previewed { previews, limit }) => self.window.preview(*previews, *limit),
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
            by_model: checkpoint.by_model.clone(),
            model: checkpoint.model.clone(),
            context: checkpoint.context,
            told: checkpoint.told,
            numbers: checkpoint.numbers.clone(),
            proposed: checkpoint.proposed.clone(),
            window: Window::restored(
                checkpoint.items.clone(),
                checkpoint.summary.clone(),
                checkpoint.previewed.previews,
                checkpoint.previewed.limit,
                checkpoint.accounting,
            ),
            ..Self::default()
        };
        // One that was kept before numbers were says nothing of them.
        state.numbers.resize(checkpoint.items.len(), 0);
        state.open = checkpoint.items.last().map(|item| OpenCall::of_item(item)).unwrap_or_default();
        state
    }

    /// What spares a restore everything before it, once there is much of it.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        (self.since >= CHECKPOINT_EVERY).then(|| self.as_it_stands("kept"))
    }

    fn as_it_stands(&self, reason: &str) -> Checkpoint {
        let (previews, limit) = self.window.previews();
        Checkpoint {
            reason: reason.into(),
            system: self.system.clone(),
            tools: self.tools.clone(),
            rules: self.rules.clone(),
            items: self.window.items().to_vec(),
            numbers: self.numbers.clone(),
            summary: self.window.summary().cloned(),
            previewed: Previewed { previews, limit },
            compacted: None,
            usage: self.usage,
            requests: self.requests,
            by_model: self.by_model.clone(),
            model: self.model.clone(),
            context: self.context,
            accounting: self.window.accounting(),
            told: self.told,
            proposed: self.proposed.clone(),
        }
    }

    /// What is kept when a summary takes the place of the history's beginning, and the history from then on.
    pub(super) fn compacted(&self, made: &Made, note: Arc<Item>, told: u64) -> Result<(Checkpoint, Window), Stale> {
        let mut next = self.clone();
        let limit = Some(made.budget.limit);
        let before = self.window.used(limit).used;
        next.window.compact(made.summary.clone(), note, &made.origin)?;
        // Entries that stay keep the records that they are in, also those that stand and moved behind the note.
        let places: HashMap<*const Item, u64> =
            self.window.items().iter().map(Arc::as_ptr).zip(self.numbers.iter().copied()).collect();
        next.numbers =
            next.window.items().iter().map(|item| places.get(&Arc::as_ptr(item)).copied().unwrap_or(0)).collect();
        let context = next.window.used(limit);
        next.context = Some(context);
        next.told = told;
        let through = self.numbers[..made.origin.len().min(self.numbers.len())].iter().copied().max().unwrap_or(0);
        let compacted = Compacted { why: made.reason.word().into(), through, before, after: context.used };
        Ok((Checkpoint { compacted: Some(compacted), ..next.as_it_stands("compacted") }, next.window))
    }

    fn propose(&mut self, proposed: &Proposed) {
        self.proposed
            .retain(|known| (known.run, &known.uri, &known.path) != (proposed.run, &proposed.uri, &proposed.path));
        if !proposed.is_empty() {
            self.proposed.push(proposed.clone());
        }
    }

    fn decide(&mut self, decided: &Decided) {
        for proposed in self.proposed.iter_mut().filter(|proposed| proposed.run == decided.run) {
            proposed.hunks.retain(|hunk| !decided.hunks.contains(&hunk.hunk));
            if matches!(&proposed.operation, Operation::Rename { hunk, .. } if decided.hunks.contains(hunk)) {
                proposed.operation = Operation::Edit;
            }
        }
        self.proposed.retain(|proposed| !proposed.is_empty());
    }

    /// What waits for the person.
    pub(super) fn proposed(&self) -> &[Proposed] {
        &self.proposed
    }

    fn prepare(&mut self, prepared: &Prepared) {
        if let Some(system) = &prepared.system {
            self.system = Some(system.clone());
            self.tools.clone_from(&prepared.tools);
        }
        // The tools on offer may be others for each run.
        self.window.fix(prepared.fixed_tokens);
        self.context = Some(self.window.used(prepared.context_limit));
        self.rules.clone_from(&prepared.rules);
        self.model = Some(prepared.model.clone());
    }

    fn push(&mut self, item: Arc<Item>, number: u64) {
        self.open = OpenCall::of_item(&item);
        self.window.push(item);
        self.numbers.push(number);
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Usage { usage, context, aside, .. } => {
                self.usage.add(usage);
                self.requests += 1;
                if let Some(model) = aside.as_ref().map(|aside| &aside.model).or(self.model.as_ref()) {
                    self.by_model.entry(model.clone()).or_default().add(usage);
                }
                // What a summary cost says nothing of the history.
                if aside.is_none() {
                    self.window.measure(usage);
                    self.context = Some(*context);
                }
            }
            Event::ApprovalRequested { approval_id, .. } => self.asked.push(approval_id.clone()),
            // What a run asked ends with it.
            Event::RunFinished { .. } => self.asked.clear(),
            Event::ApprovalResolved { approval_id, .. } => self.asked.retain(|asked| asked != approval_id),
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

    /// Questions that nobody has answered. No run goes on with the answer to another's, so there is one at most that asked them.
    pub(super) fn asked(&self) -> &[String] {
        &self.asked
    }

    /// What a run that is set up should know.
    pub(super) fn known(&self) -> Known {
        Known { system: self.system.clone(), rules: self.rules.clone(), tools: self.tools.clone() }
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// How full the context was said to be.
    pub(super) fn context(&self) -> Option<ContextUse> {
        self.context
    }

    /// The rules files that the model has been given.
    pub(super) fn rules(&self) -> Vec<String> {
        self.rules.iter().map(|rules| rules.path.clone()).collect()
    }

    /// What is kept before events are dropped.
    pub(super) fn totals(&self) -> Totals {
        Totals { usage: self.usage, requests: self.requests, by_model: self.by_model.clone() }
    }

    /// The figures that clients are shown.
    pub(super) fn figures(&self) -> Figures {
        Figures {
            usage: self.usage,
            context: self.context,
            requests: self.requests,
            items: self.window.items().len(),
            compactions: self.window.summary().map_or(0, |summary| summary.compactions),
            by_model: self.by_model.clone(),
            model: self.model.clone(),
            rules: self.rules(),
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
    /// How often its beginning was compacted.
    pub compactions: u32,
    /// What of the usage was whose, by `TABLE/MODEL`.
    pub by_model: BTreeMap<String, Usage>,
    /// The model of the newest run.
    pub model: Option<String>,
    /// The rules files that the model has been given.
    pub rules: Vec<String>,
}

impl OpenCall {
    fn of_item(item: &Item) -> Vec<Self> {
        match item {
            Item::Assistant { blocks, .. } => blocks.iter().filter_map(Self::of).collect(),
            Item::User { .. } | Item::Results { .. } => Vec::new(),
        }
    }

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
        ToolResult { undone: true, call_id: self.id.clone(), name: self.name.clone(), ok: false, content }
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
            state.apply(&record, 1);
        }
        let cut = state.cut().expect("three are open");
        assert_eq!(cut.unknown, ["Edit b"]);
        let Item::Results { results } = &cut.results else { panic!("{cut:?}") };
        let said: Vec<&str> = results.iter().map(|result| result.content.as_str()).collect();
        assert!(said[0].contains("did what was asked (1 line)"), "{said:?}");
        assert!(said[1].contains("not known"), "{said:?}");
        assert!(said[2].contains("Nothing was done"), "{said:?}");
        assert!(results.iter().all(|result| result.undone), "none came to an end that is known");
        state.apply(&item(cut.results), 1);
        assert!(state.cut().is_none());
    }

    #[test]
    fn s11_a_checkpoint_without_anything_empties_history_and_counters() {
        let mut state = State::default();
        let context = ContextUse { used: 9, limit: None, source: ContextSource::Measured };
        let usage = Usage { input: Some(9), ..Usage::default() };
        for record in [item(Item::told("hello")), event(Event::cost(usage, context, 1))] {
            state.apply(&record, 1);
        }
        assert_eq!((state.window().items().len(), state.figures().requests), (1, 1));
        state.apply(&Record::Checkpoint(Box::new(Checkpoint { told: 3, ..Checkpoint::default() })), 1);
        let figures = state.figures();
        assert_eq!((state.window().items().len(), figures.requests, figures.usage), (0, 0, Usage::default()));
        assert_eq!(state.told(), 3, "the session's own events are counted on");
    }

    #[test]
    fn s4_a_checkpoint_restores_what_the_next_run_goes_on_from() {
        let mut state = State::default();
        let context = ContextUse { used: 90, limit: None, source: ContextSource::Measured };
        let usage = Usage { input: Some(90), ..Usage::default() };
        state.apply(&item(Item::told("x".repeat(4000))), 1);
        state.apply(&event(Event::cost(usage, context, 1)), 1);
        assert!(state.checkpoint().is_none(), "not for a few records");
        for _ in 0..CHECKPOINT_EVERY {
            state.apply(&event(Event::TurnStarted { turn: 1 }), 1);
        }
        let checkpoint = state.checkpoint().expect("there is much before it");
        let mut restored = State::default();
        restored.apply(&Record::Checkpoint(Box::new(checkpoint)), 1);
        assert_eq!(
            restored.window().accounting(),
            state.window().accounting(),
            "what was measured is not estimated again"
        );
        assert_eq!((restored.window().items().len(), restored.totals()), (1, state.totals()));
        assert!(restored.checkpoint().is_none());
    }
}
