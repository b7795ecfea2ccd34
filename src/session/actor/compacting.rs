//! Compactions, recorded and told: what comes of a summary, and one that the person asks for.

use std::sync::Arc;
use std::time::Duration;

use super::{Actor, answer};
use crate::agent::before_summary;
use crate::context::{Budget, Failed, Job, Made, Outcome, Reason, Stale, Window};
use crate::model::Item;
use crate::protocol::{Aside, Event, Usage};
use crate::session::Compact;
use crate::session::mailbox::Kept;
use crate::store::Record;

/// What the budget is taken of while nobody knows what the model can take in: there is no mark to come under.
const UNKNOWN: u64 = 200_000;

impl Actor {
    /// Puts a summary in its place, or tells why it is not there.
    pub(super) async fn compacted(&mut self, outcome: Outcome, kept: Option<Kept<Option<Window>>>) {
        // One entry for both: later summaries are compared with it.
        let note = outcome.as_ref().ok().map(|made| Arc::new(made.summary.note(&made.budget)));
        // What was said of the window a moment ago is in it before it is handed over.
        let said = |record: &Record| match record {
            Record::Previewed(_) | Record::Exceeded { .. } | Record::Item { .. } => true,
            Record::Event(envelope) => matches!(envelope.event, Event::Usage { .. }),
            _ => false,
        };
        if self.stage.records.iter().any(said) {
            self.commit().await;
        }
        if let Some(kept) = kept {
            // A live run has recorded all of its history. It need not wait for this record: it stands before whatever comes of
            // the next request, and without it the session is whole too, only longer.
            let made = outcome.as_ref().ok().zip(note.clone());
            let changed = made.and_then(|(made, note)| self.state.compacted(made, note, 0).ok());
            answer(kept, Ok(changed.map(|(_, window)| window)));
        }
        match (outcome, note) {
            (Ok(made), Some(note)) => {
                self.count_summary(&made.model, made.usage, made.sent);
                // The checkpoint holds all that was recorded and spent so far.
                self.commit().await;
                self.put(&made, note);
            }
            (Err(failed), _) => self.tell_failed(failed),
            (Ok(_), None) => {}
        }
        self.commit().await;
    }

    /// Nothing more comes after this: what is there is kept, what is under way is stopped.
    pub(super) async fn end_compacting(&mut self) {
        if let Some(outcome) = self.compactor.take().filter(|_| self.broken.is_none()) {
            self.compacted(outcome, None).await;
        }
        if let Some(failed) = self.compactor.close() {
            self.tell_failed(failed);
        }
        self.commit().await;
    }

    /// Stops what is under way: the history that it is about is gone.
    pub(super) fn stop_compacting(&mut self) {
        if let Some(failed) = self.compactor.abort() {
            self.tell_failed(failed);
        }
    }

    pub(super) fn tell_failed(&mut self, failed: Failed) {
        let Failed { failure, usage, model, .. } = failed;
        self.count_summary(&model, usage, 0);
        self.tell_unchanged(failure.to_string());
    }

    /// Stages the history with the summary in it, unless that is of another history.
    fn put(&mut self, made: &Made, note: Arc<Item>) {
        match self.state.compacted(made, note, self.stage.told) {
            Ok((checkpoint, window)) => {
                let context = window.used(Some(made.budget.limit));
                let before = checkpoint.compacted.as_ref().map_or(0, |compacted| compacted.before);
                let asked = !made.model.is_empty();
                if asked && context.used < before {
                    self.compactor.applied();
                }
                let notice = (!asked).then(|| {
                    "no summary could be made, so the oldest turns were left out; what was said there is still found".to_owned()
                });
                tracing::info!(session = %self.session, before, after = context.used, "the context was compacted");
                self.stage.records.push(Record::Checkpoint(Box::new(checkpoint)));
                self.tell_here(Event::CompactionFinished {
                    before,
                    after: context.used,
                    turns_compacted: made.cut.turns_compacted,
                    turns_kept: made.cut.turns_kept,
                    error: None,
                    notice,
                });
            }
            Err(Stale) => {
                self.tell_unchanged("the history has changed since the summary was begun; it was dropped".to_owned());
            }
        }
    }

    fn tell_unchanged(&mut self, error: String) {
        let used = self.state.context().map_or(0, |context| context.used);
        self.tell_here(Event::CompactionFinished {
            before: used,
            after: used,
            turns_compacted: 0,
            turns_kept: 0,
            error: Some(error),
            notice: None,
        });
    }

    fn count_summary(&mut self, model: &str, usage: Usage, items: u64) {
        // Nobody was asked, or nothing was sent.
        if model.is_empty() || (usage == Usage::default() && items == 0) {
            return;
        }
        let Some(context) = self.state.context() else { return };
        let aside = Some(Box::new(Aside { purpose: "summary".to_owned(), model: model.to_owned() }));
        self.tell_here(Event::Usage { usage, context, items, aside });
    }

    /// Begins what the person asked for.
    pub(super) async fn compact(&mut self, compact: Compact, kept: Kept<Option<String>>) {
        self.commit().await;
        if let Some(why) = self.broken.clone() {
            return answer(kept, Err(why));
        }
        match self.begin(compact) {
            Ok(()) => self.stage.ack(move |_, result| answer(kept, result.map(|()| None))),
            // A refusal is no reason to write anything.
            Err(refused) => answer(kept, Ok(Some(refused))),
        }
    }

    fn begin(&mut self, compact: Compact) -> Result<(), String> {
        let Compact { summariser, focus, limit, settings, hooks } = compact;
        let run = self.live.as_ref().map(|live| live.run.to_string());
        let ask_first = before_summary(&hooks, run, &self.session.to_string(), &summariser);
        let window = self.state.window();
        let context = window.used(limit);
        let limit = limit.unwrap_or(UNKNOWN.max(context.used));
        let budget = Budget::beside(limit, &settings, window.fixed()).measured_by(window);
        let cut = window.plan(&budget, settings.mode).map_err(|why| why.to_string())?;
        let job = Job {
            reason: Reason::Command,
            run: self.live.as_ref().map(|live| live.run),
            provider: summariser,
            items: window.items()[..cut.covers].into(),
            cut,
            before: window.summary().cloned(),
            rules: self.state.rules(),
            focus,
            used: context.used,
            budget,
            cooldown: Duration::from_secs(settings.cooldown_seconds),
            timeout: Duration::from_secs(settings.timeout_seconds),
            max_attempts: settings.max_attempts,
            ask_first,
        };
        self.compactor.start(job).map_err(|why| why.to_string())?;
        let reason = Reason::Command.word().to_owned();
        self.tell_here(Event::CompactionStarted { reason, used: context.used, limit: context.limit });
        Ok(())
    }
}
