//! What the person decides on: the list of what waits, and what becomes of a decision.

use std::collections::{HashSet, VecDeque};

use tokio::sync::watch;

use super::preparing::with_buffers;
use super::undo::PlacesStuck;
use super::{FileUndone, SessionError, UndoOutcome, Workspace, undo};
use crate::editor::Place;
use crate::protocol::{Event, Range, RunId, SessionId};
use crate::session::{Decision, Decisions, ReviewFile, Select, Session, StandingHere, taken_back};
use crate::store::{Decided, Verdict};

/// What a hunk that was applied is rejected with.
const TAKEN_BACK: &str = "taken back by the person";

impl Workspace {
    /// What waits for the person in every open session, with ranges of the present texts. Never waits.
    #[must_use]
    pub fn reviews(&self) -> Vec<ReviewFile> {
        let mut seen = HashSet::new();
        let mut files = Vec::new();
        // A fork goes on with what waits in the session that it comes from, and it is decided there.
        for session in self.sessions.deciding() {
            for mut file in session.reviews(self.editor.as_ref()) {
                file.hunks.retain(|hunk| seen.insert((file.run, hunk.id.clone())));
                if !file.hunks.is_empty() {
                    files.push(file);
                }
            }
        }
        files
    }

    /// What the newest run has changed in a document and nobody has decided on, at the ranges that are `wanted`. Never waits.
    #[must_use]
    pub fn standing(&self, place: impl FnOnce() -> Place, wanted: impl Fn(Range) -> bool) -> Option<StandingHere> {
        self.sessions.shared().standing().here(self.editor.as_ref(), place, wanted)
    }

    /// Told whenever that list has changed, but for ranges that moved with what was typed.
    #[must_use]
    pub fn reviews_moved(&self) -> watch::Receiver<u64> {
        self.sessions.reviews_moved()
    }

    /// Does what the person says to hunks, and gives the ids of those that are decided then. What could not be done beside that is
    /// told as a message.
    ///
    /// # Errors
    /// A sentence that says what to do: nothing is there to decide on, or it cannot be.
    pub async fn decide(&self, decision: Decision, select: Select) -> Result<Vec<String>, SessionError> {
        // What waits is known once the session is open.
        let active = self.session(None).await?;
        let editor = self.editor.as_ref();
        let run = select.run.or_else(|| {
            let newest =
                self.sessions.deciding().into_iter().filter_map(|session| session.newest_reviewed(editor, &select));
            newest.max()
        });
        let nothing = || {
            let why = "nothing is proposed that this could be about; runs of mode \"ask\" propose, and with runId what another run has \
                       changed can be taken back";
            SessionError::Other(why.into())
        };
        let run = match run {
            Some(run) => Some(run),
            // Whoever names a place or a file means what was changed there last. Without either, all of a run would be meant, and
            // that is said by name.
            None if select.hunk.is_some() || select.uri.is_some() => self.sessions.newest_finished(&active).await?,
            None => None,
        };
        let run = run.ok_or_else(nothing)?;
        let select = Select { run: Some(run), ..select };
        let opened = self.sessions.of_run(run).is_none();
        let owner = self.owner(run).await?;
        let of_run = self.waiting_for(&select).await;
        let decisions = match (of_run.split_first(), decision) {
            (Some((session, others)), Decision::Accept) => {
                let roots = with_buffers(&self.roots, editor);
                let may = |place: &_| undo::still_there(&roots, place);
                session.accept(&self.editor, &select, &may, others).await
            }
            (Some((session, others)), Decision::Reject) => session.reject(editor, &select, others).await?,
            (None, decision) => {
                let session = self.hears(active, owner.clone(), run).await?;
                let _turn = session.turn_to_decide().await;
                self.decide_applied(decision, &session, run, &select).await?
            }
        };
        self.let_go_opened(&of_run).await;
        if opened && of_run.is_empty() {
            self.sessions.let_go_unless_active(&owner).await;
        }
        let Decisions { hunks, problems } = decisions;
        if hunks.is_empty() {
            let problem = if problems.is_empty() {
                format!("nothing of that is left to decide on in run {run}")
            } else {
                problems.join("; ")
            };
            return Err(SessionError::Other(problem));
        }
        problems.into_iter().for_each(|problem| self.sessions.say(problem));
        Ok(hunks)
    }

    /// The sessions in which something that is selected waits: first the one that is asked, then those which hear of it. What lies
    /// between a fork and the session of the run is opened for that.
    async fn waiting_for(&self, select: &Select) -> Vec<Session> {
        let waits = |session: &Session| session.newest_reviewed(self.editor.as_ref(), select).is_some();
        let mut deciding = self.sessions.deciding();
        deciding.retain(waits);
        let ancestors = deciding.first().map(Session::ancestors).unwrap_or_default();
        let mut of_run: Vec<Session> = Vec::new();
        for session in deciding {
            // Who is asked finds out by itself.
            if of_run.is_empty() || !self.is_elsewhere(session.id()).await {
                of_run.push(session);
            }
        }
        for ancestor in ancestors {
            if of_run.iter().any(|known| known.id() == ancestor) || self.is_elsewhere(ancestor).await {
                continue;
            }
            match self.sessions.get(ancestor).await {
                Ok(session) if waits(&session) => of_run.push(session),
                // What that comes from may have it all the same: it was emptied, say.
                Ok(session) => self.sessions.let_go_unless_active(&session).await,
                // Deleted, or not to be read: then nobody decides there.
                Err(error) => tracing::debug!(%ancestor, %error, "a session that a fork comes from was not opened"),
            }
        }
        of_run
    }

    /// Does away with those that were opened to hear of a decision. Who was asked may hear yet of what comes late.
    async fn let_go_opened(&self, of_run: &[Session]) {
        for session in of_run.iter().skip(1) {
            self.sessions.let_go_unless_active(session).await;
        }
    }

    /// Whether another process is at work in a session, or has gone on with it: what would be recorded there would part the two.
    async fn is_elsewhere(&self, session: SessionId) -> bool {
        self.sessions.is_elsewhere(session).await.unwrap_or_else(|error| {
            tracing::debug!(%session, %error, "it could not be found out who is at work in a session");
            true
        })
    }

    /// The session of a run, opened where it is not: then it is known what waits there.
    async fn owner(&self, run: RunId) -> Result<Session, SessionError> {
        if let Some(session) = self.sessions.of_run(run) {
            return Ok(session);
        }
        let stored = self.sessions.store().await?.run(run).await.map_err(super::sessions::other)?;
        let stored = stored.ok_or(SessionError::NoRun(run))?;
        self.sessions.get(stored.snapshot.session_id).await
    }

    /// What a run has applied: kept, or taken back place by place.
    async fn decide_applied(
        &self,
        decision: Decision,
        session: &Session,
        run: RunId,
        select: &Select,
    ) -> Result<Decisions, SessionError> {
        let store = self.sessions.store().await?;
        let (editor, taking) = (self.editor.as_ref(), decision == Decision::Reject);
        let selected = undo::select(store.as_ref(), session.id(), run, select, editor, taking).await?;
        let mut decisions = Decisions::default();
        if selected.places.is_empty() {
            let unknown = || format!("run {run} has nothing like that to decide on; cowrite.events lists its edits");
            decisions.problems.push(selected.why.unwrap_or_else(unknown));
        }
        let roots = with_buffers(&self.roots, editor);
        let mut left = VecDeque::from(selected.places);
        while let Some(places) = left.pop_front() {
            let (ids, shown) = (places.ids.clone(), places.shown.clone());
            let decided =
                |verdict| Decided { run, uri: places.uri.clone(), shown: shown.clone(), hunks: ids.clone(), verdict };
            if decision == Decision::Accept {
                session.decided(decided(Verdict::Kept), None, None).await?;
                decisions.hunks.extend(ids);
                continue;
            }
            match places.take_back(editor, &roots, store.as_ref()).await {
                Ok((hunks, note)) => {
                    // What is taken back in the editor alone, say.
                    decisions.problems.extend(note.map(|note| format!("{shown} was taken back: {note}")));
                    let note = taken_back(&shown, &hunks);
                    let event = Event::EditRejected { uri: places.uri.clone(), hunks, reason: TAKEN_BACK.into() };
                    session.decided(decided(Verdict::TakenBack), Some(event), Some(note)).await?;
                    decisions.hunks.extend(ids);
                }
                // The others are taken back all the same.
                Err(PlacesStuck::Typed(_)) if ids.len() > 1 => {
                    let apart: Vec<_> = places.one_by_one().collect();
                    apart.into_iter().rev().for_each(|one| left.push_front(one));
                }
                Err(PlacesStuck::Typed(problem) | PlacesStuck::All(problem)) => decisions.problems.push(problem),
            }
        }
        Ok(decisions)
    }

    /// Drops everything that waits of a run; a line for each document.
    pub(super) async fn refuse_all(&self, run: RunId) -> Result<Vec<FileUndone>, SessionError> {
        let select = Select { run: Some(run), ..Select::default() };
        let mut files: Vec<FileUndone> = Vec::new();
        let sessions = self.waiting_for(&select).await;
        for (at, session) in sessions.iter().enumerate() {
            for file in session.reviews(self.editor.as_ref()).into_iter().filter(|file| file.run == run) {
                let (uri, shown) = (file.uri, file.place.to_string());
                if files.iter().all(|known| known.uri != uri) {
                    let outcome = UndoOutcome::Restored;
                    files.push(FileUndone { uri, shown, outcome, reason: None, was: None });
                }
            }
            session.reject(self.editor.as_ref(), &select, &sessions[at + 1..]).await?;
        }
        self.let_go_opened(&sessions).await;
        Ok(files)
    }
}
