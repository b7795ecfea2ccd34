//! Sessions: one actor each, which owns the history, the log and the one live run. LSP is unknown here.
//!
//! A [`Session`] is the handle: starting, cancelling and looking never wait, for they touch only `runs::Runs` under a
//! mutex. Everything that takes time happens in the actor's task.

mod actor;
mod approvals;
mod changes;
pub mod export;
pub mod fork;
mod journal;
#[cfg(test)]
mod long;
mod mailbox;
mod outlet;
mod recall;
mod review;
mod runs;
mod stage;
mod state;
mod undo;

pub use approvals::{Answer, Approval};
pub use outlet::{Outlet, Told};
pub use recall::SessionRecall;
pub use review::{
    Decision, Decisions, May, Operation, ReviewFile, ReviewHunk, ReviewState, Select, Shared, Standing, StandingHere,
    taken_back,
};
pub use runs::EventPage;
pub use state::Figures;
pub use undo::{Plan, Trail};

#[cfg(test)]
pub(crate) use changes::Changes;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::actor::{Actor, Opening};
use self::approvals::Approvals;
use self::journal::kept;
use self::mailbox::{Entry, Mailbox};
use self::review::{Reviewed, Reviews};
use self::runs::Runs;
use self::state::State;
use crate::agent::Setup;
use crate::editor::Editor;
use crate::hooks::Hooks;
use crate::model::{Item, Provider};
use crate::permission::Remembered;
use crate::protocol::{Envelope, Event, RunId, RunSnapshot, SessionId};
use crate::settings::{CompactionSettings, Limits};
use crate::store::{
    Begins, Decided, Head, Keep, Owner, Proposed, Record, Rules, Store, StoreError, Stored, StoredRun, Undone,
};
use crate::tool::Reads;

/// Runs that may wait behind the live one.
pub const QUEUE: usize = 8;

/// Makes what a run works with. Called in the run's own task, when it leaves the queue.
pub type Prepare = Box<dyn FnOnce(Known) -> BoxFuture<'static, Result<Ready, String>> + Send + Sync>;

/// What a session knows when one of its runs is set up.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The system prompt that its runs begin with, once there is one.
    pub system: Option<Arc<str>>,
    /// The rules files that the model has been given so far, as they were.
    pub rules: Vec<Rules>,
    /// The names of the tools that the system prompt tells of.
    pub tools: Vec<String>,
}

/// A run that is set up.
pub struct Ready {
    /// What it works with. Its system prompt is the session's own where that has one.
    pub setup: Setup,
    /// What the model must hear before the prompt: rules files that are new or have changed, tools that are not on offer this
    /// time.
    pub notes: Vec<Item>,
    /// The rules files that the model has been given when it has heard that.
    pub rules: Vec<Rules>,
}

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

/// A compaction that the person asks for.
pub struct Compact {
    /// Who summarises.
    pub summariser: Arc<dyn Provider>,
    /// What the summary shall be about.
    pub focus: Option<String>,
    /// What the model can take in, when known.
    pub limit: Option<u64>,
    /// How.
    pub settings: CompactionSettings,
    /// Who may stop it, or bring the summary.
    pub hooks: Arc<Hooks>,
}

/// Why a run is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The queue is full.
    #[error(
        "the session is busy: one run is live and {QUEUE} wait; cancel one (cowrite.cancel) or try again when one has finished"
    )]
    Busy,
    /// Something could not be recorded.
    #[error("nothing more is written to this session: {0}")]
    Unwritable(String),
}

/// What sessions work with, whichever they are.
#[derive(Clone)]
pub struct Parts {
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// Who is told.
    pub outlet: Arc<dyn Outlet>,
    /// Caps.
    pub limits: Limits,
    /// Ends their actors.
    pub shutdown: CancellationToken,
    /// Holds their actors.
    pub tasks: TaskTracker,
    /// Counts how often the list of open questions has changed.
    pub approvals_moved: watch::Sender<u64>,
    /// What they have in common of what waits for the person.
    pub shared: Shared,
}

/// A session, as others hold it. Cloning shares it.
#[derive(Clone)]
pub struct Session {
    folder: Arc<str>,
    store: Arc<dyn Store>,
    runs: Arc<Runs>,
    mailbox: Arc<Mailbox>,
    reads: Arc<Reads>,
    reviews: Arc<Reviews>,
    approvals: Arc<Approvals>,
    /// What the person allowed for the rest of it. Never written: whoever restarts is asked again.
    allowed: Arc<Remembered>,
}

impl Session {
    /// A new session of a folder (its real path; empty for none). Nothing is written before its first run.
    #[must_use]
    pub fn new(parts: &Parts, folder: &str, title: &str) -> Self {
        let begins = Begins { folder: folder.to_owned(), title: title.to_owned(), parent: None };
        let opening = Opening {
            session: SessionId::new(),
            begins: Some(begins),
            head: Head::default(),
            state: State::default(),
            cut: Vec::new(),
            ended: Vec::new(),
            keep: parts.keep(),
        };
        Self::open(parts, folder, opening, Vec::new(), Vec::new())
    }

    /// A session as the store has it. Where a run of another living process is under way, as it stood before that run: going
    /// on from there makes a fork. `ended` are ends of runs that were told and could not be recorded: [`Session::unrecorded_ends`].
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub async fn restore(parts: &Parts, session: SessionId, ended: Vec<Envelope>) -> Result<Self, StoreError> {
        let (row, mut records) = parts.store.resume(session).await?;
        let runs = parts.store.runs(session, parts.limits.max_runs).await?;
        let unfinished = |run: &&StoredRun| !run.snapshot.status.is_final();
        let elsewhere =
            runs.iter().filter(unfinished).filter(|run| run.owner == Owner::Other).map(|run| run.first).min();
        let mut head = row.head;
        if let Some(first) = elsewhere {
            if records.first().is_none_or(|record| record.number >= first) {
                records = parts.store.records(session, 1..=first.saturating_sub(1)).await?;
            }
            records.retain(|record| record.number < first);
            head = records.last().map_or(Head::default(), |last| Head { record: last.number, hash: last.hash });
        }
        // What this process does not know of, nobody works at any more.
        let cut: Vec<StoredRun> = match elsewhere {
            None => runs.iter().filter(unfinished).cloned().collect(),
            Some(_) => Vec::new(),
        };
        let state = folded(&records);
        let waiting = waiting(parts.store.as_ref(), state.proposed()).await;
        let mut ancestors = Vec::new();
        let mut parent = row.parent;
        while let Some(known) = parent.filter(|parent| !ancestors.contains(&parent.session)) {
            ancestors.push(known.session);
            parent = parts.store.session(known.session).await?.and_then(|row| row.parent);
        }
        let opening = Opening { session, begins: None, head, state, cut, ended, keep: parts.keep() };
        let session = Self::open(parts, &row.folder, opening, runs, waiting);
        session.runs.descend_from(ancestors);
        Ok(session)
    }

    fn open(
        parts: &Parts,
        folder: &str,
        opening: Opening,
        stored: Vec<StoredRun>,
        waiting: Vec<review::Pending>,
    ) -> Self {
        let mailbox: Arc<Mailbox> = Arc::default();
        let session = Self {
            folder: folder.into(),
            store: parts.store.clone(),
            runs: Arc::new(Runs::new(opening.session, opening.head, opening.begins.is_none(), &parts.limits, stored)),
            approvals: Arc::new(Approvals::new(mailbox.clone(), parts.approvals_moved.clone())),
            allowed: Arc::default(),
            reviews: Arc::new(Reviews::new(opening.session, mailbox.clone(), parts.shared.clone(), waiting)),
            mailbox,
            reads: Arc::default(),
        };
        let (actor, cut) = Actor::new(opening, &session, parts.outlet.clone());
        parts.tasks.spawn(actor.run(cut, parts.shutdown.clone()));
        session
    }

    /// Its id; another one from the moment on at which it had to go on as a fork.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.runs.session()
    }

    /// The folder that it belongs to; empty for none.
    #[must_use]
    pub fn folder(&self) -> &Arc<str> {
        &self.folder
    }

    /// The sessions that it is a fork of, its parent first.
    #[must_use]
    pub fn ancestors(&self) -> Vec<SessionId> {
        self.runs.ancestors()
    }

    /// Whether anything of it was written.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.runs.is_written()
    }

    /// The newest record that this process knows of.
    #[must_use]
    pub fn head(&self) -> Head {
        self.runs.head()
    }

    /// The ends of runs that were told and could not be recorded.
    #[must_use]
    pub fn unrecorded_ends(&self) -> Vec<Envelope> {
        self.runs.unrecorded_ends()
    }

    /// Whether another process wrote to it while it was opened here: then it must be opened anew.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.runs.is_stale()
    }

    /// Why nothing can be written any more, when that is so.
    #[must_use]
    pub fn broken(&self) -> Option<String> {
        self.runs.broken()
    }

    /// What the model has seen in this session.
    #[must_use]
    pub fn reads(&self) -> &Arc<Reads> {
        &self.reads
    }

    /// Searches what it has recorded.
    #[must_use]
    pub fn recall(&self) -> SessionRecall {
        SessionRecall { store: self.store.clone(), runs: self.runs.clone() }
    }

    /// Queues a run, and answers when it is kept that it was asked for.
    ///
    /// # Errors
    /// When the queue is full, or the session cannot be written.
    pub async fn start(&self, start: Start) -> Result<RunId, StartError> {
        let (run, cancel) = self.runs.create(&start.prompt)?;
        kept(&self.mailbox, |kept| Entry::Start { run, start, cancel, kept }).await.map_err(StartError::Unwritable)?;
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

    /// Looks how the runs of other processes stand now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        if self.runs.any_foreign() {
            self.runs.refresh(self.store.runs(self.id(), usize::MAX >> 1).await?);
        }
        Ok(())
    }

    /// Its runs, oldest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<RunSnapshot> {
        self.runs.snapshots()
    }

    /// What all of it comes to.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.runs.figures()
    }

    /// A run's events after a sequence number, or with no run the session's own.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn events(&self, run: Option<RunId>, after: u64) -> Result<EventPage, StoreError> {
        if let Some(run) = run
            && let Some((Some(events), count)) = self.runs.events(run, after)
        {
            return Ok(EventPage::of(events, after, count));
        }
        let events = self.store.events(self.id(), run, after).await?;
        let newest = events.last().map_or(after, |event| event.sequence);
        let count = run.and_then(|run| self.runs.events(run, after)).map_or(newest, |(_, count)| count.max(newest));
        Ok(EventPage::of(events, after, count))
    }

    /// Records that what a run had changed was taken back; the model hears it in the words of `note`.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub async fn undone(&self, undone: Undone, note: String) -> Result<(), String> {
        let (run, uris) = (undone.run, undone.uris.clone());
        kept(&self.mailbox, |kept| Entry::Undone { undone, note, kept }).await?;
        self.reviews.standing().undone(run, &uris);
        Ok(())
    }

    /// What the person allowed for the rest of the session.
    #[must_use]
    pub fn allowed(&self) -> &Arc<Remembered> {
        &self.allowed
    }

    /// The questions that its runs wait for, oldest first. Never waits.
    #[must_use]
    pub fn approvals(&self) -> Vec<Approval> {
        self.approvals.list()
    }

    /// Answers one of them; `None` when it is not open here.
    #[must_use]
    pub fn answer(&self, id: &str, answer: &Answer) -> Option<Result<(), String>> {
        self.approvals.answer(id, answer)
    }

    /// Whether nothing waits for the person.
    #[must_use]
    pub fn has_no_reviews(&self) -> bool {
        self.reviews.is_empty()
    }

    /// What waits for the person, where it belongs in the present texts. Never waits.
    #[must_use]
    pub fn reviews(&self, editor: &dyn Editor) -> Vec<ReviewFile> {
        self.reviews.list(editor, self.id())
    }

    /// The newest run of which something that is selected waits. Never waits.
    #[must_use]
    pub fn newest_reviewed(&self, editor: &dyn Editor, select: &Select) -> Option<RunId> {
        self.reviews.newest(editor, select)
    }

    /// Waits for the turn to decide: one decision after another, so that nothing is done twice. [`Session::accept`] and
    /// [`Session::reject`] take it themselves.
    pub async fn turn_to_decide(&self) -> impl Sized + Send {
        self.reviews.turn().await
    }

    /// Makes what the person takes of what waits, in each document as one change, where that `may` be touched still. Where the same
    /// waits in `others`, it waits there no longer either, and is not told again.
    pub async fn accept(&self, editor: &Arc<dyn Editor>, select: &Select, may: &May<'_>, others: &[Self]) -> Decisions {
        self.reviews.accept(editor, select, may, &Self::reviews_of(others)).await
    }

    /// Drops what the person refuses of what waits, here and in `others`.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub async fn reject(&self, editor: &dyn Editor, select: &Select, others: &[Self]) -> Result<Decisions, String> {
        self.reviews.reject(editor, select, &Self::reviews_of(others)).await
    }

    fn reviews_of(sessions: &[Self]) -> Vec<Arc<Reviews>> {
        sessions.iter().map(|session| session.reviews.clone()).collect()
    }

    /// Records what became of hunks that were applied, and tells it; the model hears `note`.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub async fn decided(&self, decided: Decided, event: Option<Event>, note: Option<String>) -> Result<(), String> {
        let (run, ids) = (decided.run, decided.hunks.clone());
        let reviewed = Reviewed {
            run,
            records: vec![Record::Decided(decided)],
            contents: Vec::new(),
            events: event.into_iter().collect(),
            note,
        };
        kept(&self.mailbox, |kept| Entry::Reviewed { reviewed: Box::new(reviewed), kept }).await?;
        self.reviews.standing().decided(run, &ids);
        Ok(())
    }

    /// Begins to summarise the history; `Some` says why not. What comes of it is told as an event.
    ///
    /// # Errors
    /// When nothing more is recorded.
    pub async fn compact(&self, compact: Compact) -> Result<Option<String>, String> {
        kept(&self.mailbox, |kept| Entry::Compact { compact: Box::new(compact), kept }).await
    }

    /// Empties the history and its counters. What was recorded stays where it is.
    ///
    /// # Errors
    /// While a run is under way, and when it could not be recorded.
    pub async fn clear(&self) -> Result<(), String> {
        kept(&self.mailbox, |kept| Entry::Clear { kept }).await?;
        self.reads.clear();
        Ok(())
    }

    /// Gives a session that nothing is written of yet its title.
    pub fn entitle(&self, title: String) {
        self.mailbox.push(Entry::Title { title });
    }

    /// Ends its actor, once nothing is live.
    pub fn close(&self) {
        self.mailbox.push(Entry::Close);
    }
}

impl Parts {
    fn keep(&self) -> Keep {
        Keep { runs: self.limits.max_runs, events_per_run: self.limits.max_events_per_run }
    }
}

/// What waits, as it was recorded. What cannot be read is not lost: its text was not changed, and the run may be asked again.
async fn waiting(store: &dyn Store, proposed: &[Proposed]) -> Vec<review::Pending> {
    let mut waiting = Vec::new();
    for proposed in proposed {
        let text = store.content(proposed.base).await;
        let restored = text.map(|text| review::Pending::restored(proposed, &text));
        match restored {
            Ok(Some(pending)) => waiting.push(pending),
            Ok(None) => tracing::error!(run = %proposed.run, file = proposed.shown, "a proposal does not fit its text"),
            Err(error) => {
                tracing::error!(run = %proposed.run, file = proposed.shown, %error, "a proposal cannot be read")
            }
        }
    }
    waiting
}

/// Whether something waits for the person in a session with these records.
#[must_use]
pub fn waits(records: &[Stored]) -> bool {
    !folded(records).proposed().is_empty()
}

fn folded(records: &[Stored]) -> State {
    let mut state = State::default();
    records
        .iter()
        .filter_map(|stored| Some((stored.number, stored.record.as_ref()?)))
        .for_each(|(number, record)| state.apply(record, number));
    state
}
