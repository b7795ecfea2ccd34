//! The sessions of a workspace: which are open here, and which one each folder goes on with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Life;
use super::keeping::Keeping;
use crate::protocol::{Envelope, RunId, SessionId};
use crate::session::export::SessionView;
use crate::session::{EventPage, Outlet, Parts, Session, Shared, Told, fork, waits};
use crate::settings::{Limits, Places};
use crate::store::{Owner, Store, StoreError, StoredRun};

/// Sessions by what is known of them.
pub(super) struct Sessions {
    keeping: Keeping,
    outlet: Arc<dyn Outlet>,
    limits: Limits,
    life: Life,
    /// Counts how often the list of open questions has changed.
    approvals_moved: watch::Sender<u64>,
    /// What the sessions have in common of what waits for the person.
    shared: Shared,
    /// Held while it is found out which session a command means, so that two commands find the same one.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    open: Vec<Session>,
    /// The one that each folder goes on with.
    active: HashMap<String, Session>,
}

/// What cannot be done with a session, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Nobody knows it.
    #[error("there is no session {0}; cowrite.sessions lists them, and without sessionId the active one is used")]
    NoSession(SessionId),
    /// Nobody knows the run.
    #[error("there is no run {0}; cowrite.status lists the runs")]
    NoRun(RunId),
    /// A sentence that says what to do.
    #[error("{0}")]
    Other(String),
}

/// Whether the person should hear of the session that a folder goes on with: a run did not come to its end, or something waits.
async fn was_cut_off(store: &dyn Store, folder: &str) -> Result<bool, StoreError> {
    let Some(session) = store.active(folder).await? else { return Ok(false) };
    let runs = store.runs(session, crate::session::QUEUE + 1).await?;
    if runs.iter().any(|run| !run.snapshot.status.is_final()) {
        return Ok(true);
    }
    let (_, records) = store.resume(session).await?;
    Ok(waits(&records))
}

impl From<String> for SessionError {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl Sessions {
    pub(super) fn new(places: Places, outlet: Arc<dyn Outlet>, limits: Limits, life: Life) -> Self {
        let keeping = Keeping::new(places);
        Self {
            keeping,
            outlet,
            limits,
            life,
            approvals_moved: watch::Sender::default(),
            shared: Shared::default(),
            turn: tokio::sync::Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// What is waited for before the process ends.
    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.life.tasks
    }

    /// Where sentences for the person go.
    pub(super) fn outlet(&self) -> &Arc<dyn Outlet> {
        &self.outlet
    }

    /// A sentence for the person.
    pub(super) fn say(&self, sentence: String) {
        self.outlet.say(sentence);
    }

    /// The store.
    pub(super) async fn store(&self) -> Result<Arc<dyn Store>, SessionError> {
        let (store, notice) = self.keeping.store().await?;
        if let Some(notice) = notice {
            self.outlet.say(notice);
        }
        Ok(store)
    }

    /// The session that a folder goes on with; a new one, that nothing is written of yet, where there is none.
    pub(super) async fn active(&self, folder: &str) -> Result<Session, SessionError> {
        let _turn = self.turn.lock().await;
        self.active_in_turn(folder).await
    }

    async fn active_in_turn(&self, folder: &str) -> Result<Session, SessionError> {
        let known = self.known().active.get(folder).cloned();
        if let Some(session) = known.filter(|session| !session.is_stale()) {
            return Ok(session);
        }
        let store = self.store().await?;
        let stored = store.active(folder).await.map_err(other)?;
        let session = match stored {
            Some(id) => match self.open(id).await {
                Ok(session) => session,
                Err(SessionError::NoSession(_)) => self.begin(&store, folder, ""),
                Err(problem) => return Err(problem),
            },
            None => self.begin(&store, folder, ""),
        };
        self.known().active.insert(folder.to_owned(), session.clone());
        Ok(session)
    }

    /// A session by its id.
    pub(super) async fn get(&self, id: SessionId) -> Result<Session, SessionError> {
        let _turn = self.turn.lock().await;
        self.open(id).await
    }

    /// The session to run in: the one that is asked for, else the folder's. When another process has gone on with it, a fork of it
    /// from where it stood here.
    pub(super) async fn to_run_in(&self, id: Option<SessionId>, folder: &str) -> Result<Session, SessionError> {
        let _turn = self.turn.lock().await;
        let session = match id {
            Some(id) => self.open(id).await?,
            None => self.active_in_turn(folder).await?,
        };
        if !session.is_written() || session.broken().is_some() {
            return Ok(session);
        }
        let store = self.store().await?;
        match store.session(session.id()).await.map_err(other)? {
            Some(row) if row.ours || row.head == session.head() => Ok(session),
            // The other's first run is not over: there is nothing to go on from yet.
            Some(_) if session.head().record == 0 => {
                let parent = session.id();
                self.outlet.say(format!(
                    "another process is at work in session {parent}, which has nothing finished yet; here a new session begins"
                ));
                let session_here = self.begin(&store, session.folder(), "");
                self.make_active(session_here.clone());
                Ok(session_here)
            }
            Some(row) => {
                let (id, said) = fork::at(store.as_ref(), &row, session.head()).await?;
                self.forked(&session, id, said).await
            }
            // Deleted by another process.
            None => {
                self.forget(&session);
                match id {
                    Some(id) => Err(SessionError::NoSession(id)),
                    None => self.active_in_turn(folder).await,
                }
            }
        }
    }

    /// Goes on with a fork in the place of a session, and says so.
    async fn forked(&self, session: &Session, fork: SessionId, said: Envelope) -> Result<Session, SessionError> {
        let was_active =
            self.known().active.get(session.folder().as_ref()).is_some_and(|active| active.id() == session.id());
        let forked = self.open(fork).await?;
        if was_active {
            self.known().active.insert(session.folder().to_string(), forked.clone());
        }
        // What waits in it waits in the fork.
        if session.unfinished().is_empty() {
            session.close();
            self.known().open.retain(|open| open.id() != session.id());
        }
        self.outlet.tell(Told { envelope: said, title: "".into() });
        Ok(forked)
    }

    /// A session that begins with its first run, active at once.
    pub(super) async fn new_session(&self, folder: &str, title: &str) -> Result<Session, SessionError> {
        let _turn = self.turn.lock().await;
        let store = self.store().await?;
        let session = self.begin(&store, folder, title);
        self.make_active(session.clone());
        Ok(session)
    }

    /// Makes a session the one that its folder goes on with. One that could not be written is read anew.
    pub(super) async fn resume(&self, id: SessionId) -> Result<Session, SessionError> {
        let _turn = self.turn.lock().await;
        let mut session = self.open(id).await?;
        let store = self.store().await?;
        let row = store.session(id).await.map_err(other)?;
        let moved = row.as_ref().is_some_and(|row| !row.ours && row.head != session.head());
        if session.broken().is_some() || moved && session.unfinished().is_empty() {
            let ended = session.unrecorded_ends();
            self.forget(&session);
            session.close();
            session = match row {
                Some(_) => self.restore(id, ended).await?,
                // Its very first records could not be kept.
                None => self.begin(&store, &session.folder().clone(), ""),
            };
        }
        if session.is_written() {
            store.set_active(session.id()).await.map_err(other)?;
        }
        self.make_active(session.clone());
        Ok(session)
    }

    /// A fork of a session, active at once.
    pub(super) async fn fork(&self, id: SessionId, after: Option<RunId>) -> Result<Session, SessionError> {
        let _turn = self.turn.lock().await;
        let store = self.store().await?;
        let fork = fork::fork(store.as_ref(), id, after).await?;
        let session = self.open(fork).await?;
        self.make_active(session.clone());
        Ok(session)
    }

    /// Deletes a session. Its folder goes on with a new one.
    pub(super) async fn delete(&self, id: SessionId) -> Result<(), SessionError> {
        let _turn = self.turn.lock().await;
        let session = self.open(id).await?;
        self.shared.standing().forget(|run| session.knows(run) && session.unfinished().is_empty());
        if !session.unfinished().is_empty() {
            let why =
                "the session has a run under way; cancel it first (cowrite.cancel), or wait until it has finished";
            return Err(SessionError::Other(why.into()));
        }
        if session.is_written() {
            let store = self.store().await?;
            let runs = store.runs(id, crate::session::QUEUE + 1).await.map_err(other)?;
            if runs.iter().any(|run| run.owner == Owner::Other && !run.snapshot.status.is_final()) {
                let why = "another process has a run under way in the session; cancel it there, or wait until it has finished";
                return Err(SessionError::Other(why.into()));
            }
            let deleted = store.delete(id).await;
            // Deleted it may be all the same, with traces left in the file.
            if deleted.is_err() && store.session(id).await.map_err(other)?.is_some() {
                return deleted.map_err(other);
            }
            session.close();
            self.forget(&session);
            return deleted.map_err(other);
        }
        session.close();
        self.forget(&session);
        Ok(())
    }

    /// The sessions of some folders, the one that was written last first.
    pub(super) async fn list(&self, folders: &[String]) -> Result<Vec<SessionView>, SessionError> {
        let store = self.store().await?;
        let mut rows = Vec::new();
        for folder in folders {
            rows.extend(store.sessions(Some(folder)).await.map_err(other)?);
        }
        rows.sort_by_key(|row| std::cmp::Reverse((row.updated_at_ms, row.id)));
        Ok(rows.iter().map(SessionView::from).collect())
    }

    /// The events of a run, whichever session it belongs to.
    pub(super) async fn events_of(&self, run: RunId, after: u64) -> Result<EventPage, SessionError> {
        if let Some(session) = self.of_run(run) {
            return session.events(Some(run), after).await.map_err(other);
        }
        let store = self.store().await?;
        let stored = store.run(run).await.map_err(other)?.ok_or(SessionError::NoRun(run))?;
        let events = store.events(stored.snapshot.session_id, Some(run), after).await.map_err(other)?;
        Ok(EventPage::of(events, after, stored.snapshot.event_count))
    }

    /// Whether there is such a run, open or kept.
    pub(super) async fn knows(&self, run: RunId) -> Result<bool, SessionError> {
        Ok(self.of_run(run).is_some() || self.store().await?.run(run).await.map_err(other)?.is_some())
    }

    /// The open session that a run belongs to. Never waits.
    pub(super) fn of_run(&self, run: RunId) -> Option<Session> {
        self.known().open.iter().find(|session| session.knows(run)).cloned()
    }

    /// The session of a run that has finished.
    pub(super) async fn of_finished(&self, run: RunId) -> Result<Session, SessionError> {
        let (session, status) = match self.of_run(run) {
            Some(session) => {
                session.refresh().await.map_err(other)?;
                let status = session.snapshots().into_iter().find(|known| known.id == run).map(|known| known.status);
                (session, status)
            }
            None => {
                let stored = self.store().await?.run(run).await.map_err(other)?.ok_or(SessionError::NoRun(run))?;
                (self.get(stored.snapshot.session_id).await?, Some(stored.snapshot.status))
            }
        };
        if status.is_some_and(|status| !status.is_final()) {
            let why =
                format!("run {run} is under way; cancel it first (cowrite.cancel), or wait until it has finished");
            return Err(SessionError::Other(why));
        }
        Ok(session)
    }

    /// The newest finished run of a session, or of what it forks from.
    pub(super) async fn newest_finished(&self, session: &Session) -> Result<Option<RunId>, SessionError> {
        let newest = session.snapshots().into_iter().rev().find(|run| run.status.is_final()).map(|run| run.id);
        if newest.is_some() || !session.is_written() {
            return Ok(newest);
        }
        let store = self.store().await?;
        let mut row = store.session(session.id()).await.map_err(other)?;
        while let Some(parent) = row.and_then(|row| row.parent) {
            let runs = store.runs(parent.session, self.limits.max_runs).await.map_err(other)?;
            let shared = |run: &&StoredRun| run.snapshot.status.is_final() && run.first <= parent.record;
            if let Some(run) = runs.iter().rev().find(shared) {
                return Ok(Some(run.snapshot.id));
            }
            row = store.session(parent.session).await.map_err(other)?;
        }
        Ok(None)
    }

    /// Every open session. Never waits.
    pub(super) fn all(&self) -> Vec<Session> {
        self.known().open.clone()
    }

    /// Every open session, in the order in which they are asked to decide: those that a folder goes on with, then a fork before what
    /// it comes from, and of others the one that was opened last. Never waits.
    pub(super) fn deciding(&self) -> Vec<Session> {
        let (mut sessions, active) = {
            let known = self.known();
            let active: Vec<SessionId> = known.active.values().map(Session::id).collect();
            (known.open.clone(), active)
        };
        sessions.reverse();
        sessions.sort_by_key(|session| std::cmp::Reverse((active.contains(&session.id()), session.ancestors().len())));
        sessions
    }

    /// Opens the active sessions in which a run was cut off or something waits, so that the person hears of it. Does nothing where there is no database.
    pub(super) async fn look_back(&self, folders: &[String]) {
        if self.keeping.file().is_none() {
            return;
        }
        let glance = match self.keeping.glance().await {
            Ok(glance) => glance,
            Err(problem) => return tracing::warn!(problem, "the last sessions could not be looked at"),
        };
        let mut cut_off = Vec::new();
        for folder in folders {
            match was_cut_off(glance.store.as_ref(), folder).await {
                Ok(true) => cut_off.push(folder),
                Ok(false) => {}
                Err(problem) => tracing::warn!(folder, %problem, "the last session could not be looked at"),
            }
        }
        glance.over().await;
        for folder in cut_off {
            if let Err(problem) = self.active(folder).await {
                tracing::warn!(folder, %problem, "the last session could not be opened");
            }
        }
    }

    /// Goes on in memory.
    pub(super) async fn go_on_unkept(&self) -> Result<(), SessionError> {
        Ok(self.keeping.go_on_unkept().await?)
    }

    /// Everything is kept; the store may go.
    pub(super) async fn close(&self) {
        if let Some(store) = self.keeping.opened().await {
            store.close().await;
        }
    }

    /// An open session, or one from the store.
    async fn open(&self, id: SessionId) -> Result<Session, SessionError> {
        let found = self.known().open.iter().find(|session| session.id() == id).cloned();
        match found {
            Some(stale) if stale.is_stale() && stale.unfinished().is_empty() => {
                self.forget(&stale);
                stale.close();
            }
            Some(session) => return Ok(session),
            None => {}
        }
        self.restore(id, Vec::new()).await
    }

    /// One from the store.
    async fn restore(&self, id: SessionId, ended: Vec<Envelope>) -> Result<Session, SessionError> {
        let store = self.store().await?;
        let session = Session::restore(&self.parts(&store), id, ended).await.map_err(|error| match error {
            StoreError::NoSession(id) => SessionError::NoSession(id),
            error => other(error),
        })?;
        self.known().open.push(session.clone());
        Ok(session)
    }

    fn begin(&self, store: &Arc<dyn Store>, folder: &str, title: &str) -> Session {
        let session = Session::new(&self.parts(store), folder, title);
        self.known().open.push(session.clone());
        session
    }

    fn make_active(&self, session: Session) {
        let before = self.known().active.insert(session.folder().to_string(), session.clone());
        if let Some(before) = before.filter(|before| before.id() != session.id()) {
            self.let_go(&before);
        }
    }

    /// Whether another process is at work in a session, or has gone on with it since it was opened here.
    pub(super) async fn is_elsewhere(&self, id: SessionId) -> Result<bool, SessionError> {
        let open = self.known().open.iter().find(|session| session.id() == id).cloned();
        if open.as_ref().is_some_and(|session| !session.is_written()) {
            return Ok(false);
        }
        let store = self.store().await?;
        let row = store.session(id).await.map_err(other)?;
        if open.zip(row).is_some_and(|(session, row)| !row.ours && row.head != session.head()) {
            return Ok(true);
        }
        let runs = store.runs(id, crate::session::QUEUE + 1).await.map_err(other)?;
        Ok(runs.iter().any(|run| run.owner == Owner::Other && !run.snapshot.status.is_final()))
    }

    /// Does away with a session that was opened for something that is done, where nothing is left to do in it.
    pub(super) async fn let_go_unless_active(&self, session: &Session) {
        let _turn = self.turn.lock().await;
        let active = self.known().active.values().any(|active| active.id() == session.id());
        if !active {
            self.let_go(session);
        }
    }

    /// One that nothing runs in and nothing waits in needs no memory.
    fn let_go(&self, session: &Session) {
        if session.unfinished().is_empty() && session.is_written() && session.has_no_reviews() {
            session.close();
            self.known().open.retain(|open| open.id() != session.id());
        }
    }

    fn forget(&self, session: &Session) {
        let mut known = self.known();
        known.open.retain(|open| open.id() != session.id());
        known.active.retain(|_, active| active.id() != session.id());
        drop(known);
        self.shared.has_moved();
    }

    /// What they have in common of what the person decides on.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Told whenever the list of what waits for the person has changed.
    pub(super) fn reviews_moved(&self) -> watch::Receiver<u64> {
        self.shared.moved()
    }

    /// Told whenever the list of open questions has changed.
    pub(super) fn approvals_moved(&self) -> watch::Receiver<u64> {
        self.approvals_moved.subscribe()
    }

    fn parts(&self, store: &Arc<dyn Store>) -> Parts {
        Parts {
            store: store.clone(),
            outlet: self.outlet.clone(),
            limits: self.limits.clone(),
            shutdown: self.life.shutdown.clone(),
            tasks: self.life.tasks.clone(),
            approvals_moved: self.approvals_moved.clone(),
            shared: self.shared.clone(),
        }
    }

    // A std mutex: held for a look-up or a change of the list, never across an await.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn other(error: StoreError) -> SessionError {
    SessionError::Other(error.to_string())
}
