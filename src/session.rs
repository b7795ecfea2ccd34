//! Sessions: one actor each, which owns the history, the log and the one live run. LSP is unknown here.
//!
//! A [`Session`] is the handle: starting, cancelling and looking never wait, for they touch only `runs::Runs` under a
//! mutex. Everything that takes time happens in the actor's task.

mod actor;
mod journal;
mod mailbox;
mod outlet;
mod runs;

pub use outlet::{Outlet, Told};
pub use runs::EventPage;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::mailbox::{Entry, Mailbox};
use self::runs::Runs;
use crate::agent::Setup;
use crate::protocol::{ContextUse, RunId, RunSnapshot, SessionId, Usage};
use crate::settings::Limits;
use crate::store::Store;
use crate::tool::Reads;

/// Runs that may wait behind the live one.
pub const QUEUE: usize = 8;

/// Makes what a run works with. Called in the run's own task, when it leaves the queue.
pub type Prepare = Box<dyn FnOnce() -> BoxFuture<'static, Result<Setup, String>> + Send + Sync>;

/// A run that is asked for.
pub struct Start {
    /// What the person typed; the command's title when nothing was.
    pub prompt: String,
    /// The command's name, when one was used.
    pub command: Option<String>,
    /// What clients are shown as its title.
    pub title: String,
    /// Makes the rest.
    pub prepare: Prepare,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the session is busy: one run is live and {QUEUE} wait; cancel one (cowrite.cancel) or try again when one has finished"
)]
pub struct Busy;

/// A session, as others hold it. Cloning shares it.
#[derive(Clone)]
pub struct Session {
    id: SessionId,
    runs: Arc<Runs>,
    mailbox: Arc<Mailbox>,
    reads: Arc<Reads>,
}

impl Session {
    /// A new session. Nothing is written before its first run. `tasks` holds its actor, which ends with `shutdown`.
    #[must_use]
    pub fn open(
        store: Arc<dyn Store>,
        outlet: Arc<dyn Outlet>,
        limits: &Limits,
        shutdown: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let id = SessionId::new();
        let session = Self {
            id,
            runs: Arc::new(Runs::new(id, limits)),
            mailbox: Arc::new(Mailbox::default()),
            reads: Arc::default(),
        };
        let actor = actor::Actor::new(id, session.runs.clone(), session.mailbox.clone(), store, outlet);
        tasks.spawn(actor.run(shutdown.clone()));
        session
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What the model has seen in this session.
    #[must_use]
    pub fn reads(&self) -> &Arc<Reads> {
        &self.reads
    }

    /// Queues a run and answers at once.
    ///
    /// # Errors
    /// When the queue is full.
    pub fn start(&self, start: Start) -> Result<RunId, Busy> {
        let (run, cancel) = self.runs.create(&start.prompt)?;
        self.mailbox.push(Entry::Start { run, start, cancel });
        Ok(run)
    }

    /// Cancels exactly this run when it is live or waits; `false` when it is neither.
    #[must_use]
    pub fn cancel(&self, run: RunId) -> bool {
        let cancelled = self.runs.cancel(run);
        if cancelled {
            self.mailbox.push(Entry::Look);
        }
        cancelled
    }

    /// The runs that are live or wait, oldest first.
    #[must_use]
    pub fn unfinished(&self) -> Vec<RunId> {
        self.runs.unfinished()
    }

    /// Whether the run is one of this session's.
    #[must_use]
    pub fn knows(&self, run: RunId) -> bool {
        self.runs.snapshot(run).is_some()
    }

    /// Its runs, oldest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<RunSnapshot> {
        self.runs.snapshots()
    }

    /// A run's events after a sequence number, or with no run the session's own.
    #[must_use]
    pub fn events(&self, run: Option<RunId>, after: u64) -> EventPage {
        self.runs.events(run, after)
    }

    /// How full the context is and what all requests cost together.
    #[must_use]
    pub fn totals(&self) -> (ContextUse, Usage) {
        self.runs.totals()
    }
}
