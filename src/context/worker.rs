//! Summarising beside everything else: one at a time, bounded in time, and harmless when it fails.

mod quota;
mod task;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Budget, Cut, Summary};
use crate::model::{Item, Provider};
use crate::protocol::Usage;
use quota::Quota;
use task::Spent;

/// Why a compaction is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The soft mark was passed: in the background.
    Soft,
    /// The hard mark was passed: the request waits for it.
    Hard,
    /// The provider said that the request was too long.
    Overflow,
    /// The person asked for it.
    Command,
}

impl Reason {
    /// As events and records say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Overflow => "overflow",
            Self::Command => "command",
        }
    }
}

/// A summary to be made.
pub struct Job {
    /// Why.
    pub reason: Reason,
    /// The run that started it; none between runs.
    pub run: Option<crate::protocol::RunId>,
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// The history as it is stored, from its beginning; at least up to the cut.
    pub items: Arc<[Arc<Item>]>,
    /// Where it is cut.
    pub cut: Cut,
    /// The summary before.
    pub before: Option<Arc<Summary>>,
    /// The rules files that the model has been given, for the program's part.
    pub rules: Vec<String>,
    /// What it shall be about, in the person's words.
    pub focus: Option<String>,
    /// How full the context is.
    pub used: u64,
    /// What may stand in it.
    pub budget: Budget,
    /// The pause between starts in the background.
    pub cooldown: Duration,
    /// So many are begun in the background before one has helped.
    pub max_attempts: u32,
    /// How long it may take.
    pub timeout: Duration,
    /// Who is asked before the model is.
    pub ask_first: Option<Arc<dyn BeforeSummary>>,
}

/// Who is asked before a summary is made.
#[async_trait]
pub trait BeforeSummary: Send + Sync {
    /// The summary, when somebody brings one: then no model is asked.
    ///
    /// # Errors
    /// Why there shall be none.
    async fn ask(&self, reason: Reason, used: u64, focus: Option<&str>) -> Result<Option<String>, String>;
}

/// A summary that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Why.
    pub reason: Reason,
    /// The run that started it.
    pub run: Option<crate::protocol::RunId>,
    /// The summary.
    pub summary: Arc<Summary>,
    /// The entries that it was made of, `cut.covers` of them.
    pub origin: Arc<[Arc<Item>]>,
    /// Where the history is cut.
    pub cut: Cut,
    /// What may stand in the context, for the note.
    pub budget: Budget,
    /// Who was asked.
    pub model: String,
    /// Entries that were sent.
    pub sent: u64,
    /// What that cost.
    pub usage: Usage,
}

/// A summary that was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Failed {
    /// Why it was tried.
    pub reason: Reason,
    /// The run that started it.
    pub run: Option<crate::protocol::RunId>,
    /// What went wrong.
    pub failure: Failure,
    /// What it cost nevertheless.
    pub usage: Usage,
    /// Who was asked.
    pub model: String,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The model could not be asked, or its answer would not do.
    #[error("the summary could not be made: {0}")]
    Failed(String),
    /// It took too long.
    #[error("the summary was not there after {0} s")]
    TimedOut(u64),
    /// It was stopped.
    #[error("the summary was stopped")]
    Aborted,
    /// It failed by a fault of the program.
    #[error("the summary failed inside Cowrite; the log has the place")]
    Panicked,
}

/// What became of a job.
pub type Outcome = Result<Made, Failed>;

/// Why a job is not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One is under way.
    #[error("a compaction is under way")]
    Running,
    /// The last one began a short while ago.
    #[error("the last compaction began a short while ago; the next one can in {seconds} s")]
    Cooling {
        /// So long.
        seconds: u64,
    },
    /// There were too many without one that helped.
    #[error("{0} compactions were tried without one that helped; cowrite.compact tries another")]
    Exhausted(u32),
    /// Several failed one after another.
    #[error("compaction has failed {failures} times one after another; it is tried again in {seconds} s")]
    Broken {
        /// So often.
        failures: u32,
        /// So long.
        seconds: u64,
    },
    /// The session ends.
    #[error("the session is being closed")]
    Closed,
}

/// The one summariser of a session.
#[derive(Default)]
pub struct Compactor {
    shared: Arc<Shared>,
    /// The task ends with the compactor. Locked before the state, and by whoever begins or stops a task alone.
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// What the compactor and its task both know.
#[derive(Default)]
struct Shared {
    /// A std mutex: held for a few assignments, and never across an await.
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Default)]
struct State {
    quota: Quota,
    /// The job that is under way.
    underway: Option<Underway>,
    /// What became of the last one, until somebody takes it.
    outcome: Option<Outcome>,
    /// Jobs that began, each with its own number.
    begun: u64,
    /// Jobs that ended, in whatever way: who waits for one sees this move.
    ended: u64,
    closed: bool,
}

/// What is said of a job when it fails.
#[derive(Clone)]
struct Underway {
    number: u64,
    reason: Reason,
    run: Option<crate::protocol::RunId>,
    model: String,
    spent: Arc<Spent>,
}

impl Underway {
    fn failed(&self, failure: Failure) -> Failed {
        let Self { reason, run, .. } = *self;
        Failed { reason, run, failure, usage: self.spent.so_far(), model: self.model.clone() }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the outcome of a job, unless that was stopped in the meantime.
    fn end(&self, number: u64, outcome: Outcome) {
        let mut state = self.state();
        if state.underway.as_ref().is_none_or(|underway| underway.number != number) {
            return;
        }
        match &outcome {
            Ok(_) => state.quota.made(),
            // Nobody's fault, so it says nothing about the next one.
            Err(Failed { failure: Failure::Aborted, .. }) => {}
            Err(_) => state.quota.failed(Instant::now()),
        }
        state.underway = None;
        state.outcome = Some(outcome);
        state.ended += 1;
        drop(state);
        self.ended.notify_waiters();
    }
}

impl Compactor {
    /// Begins a job in a task of its own. Background work (`Reason::Soft`) obeys the quota; everything else does not wait for it.
    ///
    /// # Errors
    /// Why it does not begin. An outcome that nobody has taken counts as one that is under way.
    pub fn start(&self, job: Job) -> Result<(), Refusal> {
        // Without a runtime there is no session either.
        let runtime = Handle::try_current().map_err(|_| Refusal::Closed)?;
        let mut task = self.task();
        let mut state = self.shared.state();
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.underway.is_some() || state.outcome.is_some() {
            return Err(Refusal::Running);
        }
        let now = Instant::now();
        if job.reason == Reason::Soft {
            state.quota.ask(now, job.cooldown, job.max_attempts)?;
        }
        state.quota.began(now);
        state.begun += 1;
        let model = job.provider.name().to_owned();
        let (number, spent) = (state.begun, Arc::new(Spent::default()));
        let underway = Underway { number, reason: job.reason, run: job.run, model, spent };
        state.underway = Some(underway.clone());
        drop(state);
        let work = task::run(job, underway, Arc::clone(&self.shared));
        *task = Some(AbortOnDropHandle::new(runtime.spawn(work)));
        Ok(())
    }

    /// Whether one is under way, or its outcome waits to be taken.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let state = self.shared.state();
        state.underway.is_some() || state.outcome.is_some()
    }

    /// Whether an outcome waits to be taken.
    #[must_use]
    pub fn has_outcome(&self) -> bool {
        self.shared.state().outcome.is_some()
    }

    /// Whether several failed one after another a short while ago: another one is likely to.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.shared.state().quota.is_broken(Instant::now())
    }

    /// Returns when an outcome waits to be taken, or the job that was waited for was stopped. Every waiter is woken, also one that
    /// comes too late to take it. While nothing is under way it waits for the next one.
    pub async fn finished(&self) {
        let before = self.shared.state().ended;
        self.until(|state| state.outcome.is_some() || state.ended != before).await;
    }

    /// Returns when nothing is under way: at once, or when [`Compactor::finished`] does. For whoever needs the context and leaves
    /// the outcome to somebody else.
    pub async fn settled(&self) {
        self.until(|state| state.underway.is_none()).await;
    }

    async fn until(&self, holds: impl Fn(&State) -> bool) {
        loop {
            let mut ended = std::pin::pin!(self.shared.ended.notified());
            // From here on nothing is missed, so the state is looked at only now.
            ended.as_mut().enable();
            if holds(&self.shared.state()) {
                return;
            }
            ended.await;
        }
    }

    /// The outcome, once.
    pub fn take(&self) -> Option<Outcome> {
        self.shared.state().outcome.take()
    }

    /// Stops the job that is under way, if there is one, and forgets its outcome: the history that it is about is gone. What
    /// was stopped is given back, for what it cost.
    pub fn abort(&self) -> Option<Failed> {
        let mut task = self.task();
        let mut state = self.shared.state();
        let stopped = state.underway.take();
        let forgotten = state.outcome.take();
        state.ended += u64::from(stopped.is_some() || forgotten.is_some());
        drop(state);
        // Dropped without the state's lock: a task that is aborted looks at the state.
        *task = None;
        drop(task);
        self.shared.ended.notify_waiters();
        match forgotten {
            Some(Ok(Made { reason, run, usage, model, .. })) => {
                Some(Failed { reason, run, failure: Failure::Aborted, usage, model })
            }
            Some(Err(failed)) => Some(failed),
            None => stopped.map(|stopped| stopped.failed(Failure::Aborted)),
        }
    }

    /// The last one has helped: the count of attempts begins anew.
    pub fn applied(&self) {
        self.shared.state().quota.applied();
    }

    /// Stops what is under way, and begins nothing more.
    pub fn close(&self) -> Option<Failed> {
        self.shared.state().closed = true;
        self.abort()
    }

    fn task(&self) -> MutexGuard<'_, Option<AbortOnDropHandle<()>>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
