//! Room for the next request: a finished summary is taken in, old results become previews, and before a request would be too
//! long the beginning of the history is summarised.

use std::time::Duration;

use super::Agent;
use super::turn::Stop;
use crate::context::{Budget, Job, Made, Nothing, Previews, Reason, Refusal, Summary};
use crate::protocol::{ContextUse, Event, Usage};
use crate::settings::CompactionMode;

/// What has come of a summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Nothing,
    Made,
    Failed,
}

/// Why a compaction does not begin.
#[derive(Debug, thiserror::Error)]
enum NotBegun {
    #[error(transparent)]
    Nothing(#[from] Nothing),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Agent {
    /// Sees to it that the next request fits. Waits for nothing while there is room.
    ///
    /// # Errors
    /// When it cannot be made to fit, with the figures.
    pub(super) async fn make_room(&mut self) -> Result<(), Stop> {
        self.take_summary().await?;
        let Some(budget) = self.budget() else { return Ok(()) };
        if !self.setup.compaction.enabled {
            return Ok(());
        }
        self.preview_where_worth_it(&budget);
        self.shrink(Reason::Hard, budget.hard, &budget).await?;
        self.begin_softly(&budget);
        Ok(())
    }

    /// Makes room after the provider said that the request was too long.
    ///
    /// # Errors
    /// When there is nothing more that could go, with the figures.
    pub(super) async fn overflowed(&mut self, error: &str) -> Result<(), Stop> {
        let used = self.context().used;
        let limit = self.setup.context_limit();
        if !self.setup.compaction.enabled {
            return Err(Stop::Failed(format!(
                "{error} (about {} tokens in use{}). Automatic compaction is off: run cowrite.compact and ask again.",
                used,
                limit.map(|limit| format!(" of {limit}")).unwrap_or_default()
            )));
        }
        // Where nobody names a limit, it lies below what was just refused.
        let limit = limit.unwrap_or(used).min(used.max(1));
        self.journal.exceeded(limit);
        self.window.exceeded(limit);
        let budget = self.budget_of(limit);
        let before = self.context().used;
        self.shrink(Reason::Overflow, budget.soft, &budget).await?;
        if self.context().used >= before {
            return Err(Stop::Failed(full(error, self.context(), limit)));
        }
        Ok(())
    }

    /// Begins to summarise in the background once the run has its answer, unless previews are enough.
    pub(super) fn look_back(&mut self) {
        if let Some(budget) = self.budget().filter(|_| self.setup.compaction.enabled) {
            if self.context().used >= budget.soft {
                self.preview_where_worth_it(&budget);
            }
            self.begin_softly(&budget);
        }
    }

    fn preview_where_worth_it(&mut self, budget: &Budget) {
        if let Some(previews) = self.window.worth_previewing(budget) {
            self.preview(previews, budget);
        }
    }

    fn begin_softly(&mut self, budget: &Budget) {
        if self.context().used >= budget.soft
            && !self.compactor.is_busy()
            && let Err(why) = self.begin(Reason::Soft, budget)
        {
            tracing::debug!(%why, "no compaction in the background");
        }
    }

    /// What may stand in the context; `None` while nobody knows what the model can take in.
    pub(super) fn budget(&self) -> Option<Budget> {
        self.setup.context_limit().map(|limit| self.budget_of(limit))
    }

    fn budget_of(&self, limit: u64) -> Budget {
        Budget::beside(limit, &self.setup.compaction, self.window.fixed()).measured_by(&self.window)
    }

    /// Brings what is used under the mark: by a summary, then by shorter previews, then without the oldest turns. What costs more
    /// than time is done only as far as the request would not fit otherwise.
    async fn shrink(&mut self, reason: Reason, mark: u64, budget: &Budget) -> Result<(), Stop> {
        // A provider that has just refused is not asked again above the hard mark.
        let bearable = if reason == Reason::Overflow { budget.hard } else { budget.bearable() };
        if self.context().used < mark {
            return Ok(());
        }
        let mut taken = Taken::Nothing;
        if self.compactor.is_busy() {
            taken = self.wait_for_summary().await?;
        }
        if self.context().used < mark {
            return Ok(());
        }
        // Where the last ones failed and there is room, another is not waited for at each request.
        let pointless = taken == Taken::Failed || self.compactor.is_broken();
        if !pointless || self.context().used > bearable {
            taken = self.summarise(reason, budget).await?;
        }
        if self.context().used < mark || (taken != Taken::Made && self.context().used <= bearable) {
            return Ok(());
        }
        self.shorten(bearable, budget);
        if self.context().used < mark {
            return Ok(());
        }
        self.drop_oldest(reason, CompactionMode::KeepRecent, budget).await?;
        if self.context().used > bearable {
            self.drop_oldest(reason, CompactionMode::SafeFrontier, budget).await?;
        }
        let context = self.context();
        if context.used > budget.limit {
            let what = "The conversation is longer than the model can take in";
            return Err(Stop::Failed(full(what, context, budget.limit)));
        }
        Ok(())
    }

    /// Begins a summary and waits for it; for another one first, when that was begun a moment before.
    async fn summarise(&mut self, reason: Reason, budget: &Budget) -> Result<Taken, Stop> {
        match self.begin(reason, budget) {
            Ok(()) | Err(NotBegun::Refused(Refusal::Running)) => self.wait_for_summary().await,
            Err(why) => {
                tracing::debug!(%why, "no compaction before the request");
                Ok(Taken::Nothing)
            }
        }
    }

    /// Makes previews as short as can be. Results that the model has not seen yet stay as they are while the request fits.
    fn shorten(&mut self, bearable: u64, budget: &Budget) {
        self.preview(self.window.shortest(), budget);
        if self.context().used > bearable {
            let all = self.window.items().len();
            self.preview(Previews { before: all, short_before: all }, budget);
        }
    }

    /// The oldest turns go without the model's summary: what the program knows of them stays, and a notice.
    async fn drop_oldest(&mut self, reason: Reason, mode: CompactionMode, budget: &Budget) -> Result<(), Stop> {
        // However little it gains.
        let any = Budget { min_gain: 1, ..*budget };
        let cut = match self.window.plan(&any, mode) {
            Ok(cut) => cut,
            Err(why) => {
                tracing::debug!(%why, "no turn can go");
                return Ok(());
            }
        };
        let items = self.window.items();
        let summary = Summary::without_model(items, &cut, self.window.summary().map(AsRef::as_ref), budget);
        let made = Made {
            reason,
            run: Some(self.run),
            summary: summary.into(),
            origin: items[..cut.covers].into(),
            cut,
            budget: *budget,
            model: String::new(),
            sent: 0,
            usage: Usage::default(),
        };
        self.tell_started(reason);
        if let Some(window) = self.journal.compacted(Ok(made)).await.map_err(Stop::Failed)? {
            self.window = window;
        }
        Ok(())
    }

    /// Waits for the summary that is under way, and takes it in. The person may stop the run meanwhile: what is under way goes on.
    async fn wait_for_summary(&mut self) -> Result<Taken, Stop> {
        if !self.summarising {
            // It was begun elsewhere, so nothing of this run shows yet what it waits for.
            self.tell_started(Reason::Hard);
        }
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            () = self.compactor.settled() => {}
        }
        self.take_summary().await
    }

    /// Takes in what has come of a summary, when something has.
    async fn take_summary(&mut self) -> Result<Taken, Stop> {
        let Some(outcome) = self.compactor.take() else { return Ok(Taken::Nothing) };
        self.summarising = false;
        let taken = if outcome.is_ok() { Taken::Made } else { Taken::Failed };
        if let Some(window) = self.journal.compacted(outcome).await.map_err(Stop::Failed)? {
            self.window = window;
        }
        Ok(taken)
    }

    fn tell_started(&self, reason: Reason) {
        let context = self.context();
        let started =
            Event::CompactionStarted { reason: reason.word().into(), used: context.used, limit: context.limit };
        self.journal.event(started);
    }

    fn begin(&mut self, reason: Reason, budget: &Budget) -> Result<(), NotBegun> {
        let settings = &self.setup.compaction;
        let cut = self.window.plan(budget, settings.mode)?;
        let context = self.context();
        self.compactor.start(Job {
            reason,
            run: Some(self.run),
            provider: self.setup.summariser.clone(),
            items: self.window.items()[..cut.covers].into(),
            cut,
            before: self.window.summary().cloned(),
            rules: self.setup.rules.clone(),
            focus: None,
            used: context.used,
            budget: *budget,
            cooldown: Duration::from_secs(settings.cooldown_seconds),
            timeout: Duration::from_secs(settings.timeout_seconds),
            max_attempts: settings.max_attempts,
            ask_first: self.before_summary(),
        })?;
        self.summarising = true;
        self.tell_started(reason);
        Ok(())
    }

    fn preview(&mut self, previews: Previews, budget: &Budget) {
        if self.window.previews().0 != previews {
            self.journal.previewed(previews, budget.preview);
            self.window.preview(previews, budget.preview);
        }
    }
}

/// The sentence of a run that has no room left.
fn full(what: &str, context: ContextUse, limit: u64) -> String {
    format!(
        "{what}: about {} tokens are needed and {limit} fit, after everything that could go was summarised or left out. Begin \
         another session (cowrite.session.new), ask for less at once, or take a model with a larger context.",
        context.used
    )
}
