//! What a run keeps and tells, on its way to the session's actor.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::approvals::Approvals;
use super::changes::Changes;
use super::mailbox::{Entry, Kept, Mailbox};
use super::outlet::Outlet;
use super::review::Standing;
use crate::agent::Journal;
use crate::context::{Outcome, Previews, Window};
use crate::editor::{Applied, Fate, Place};
use crate::model::Item;
use crate::permission::{Question, Reply};
use crate::protocol::{Event, FileStep, HunkView, RunId, SessionId};
use crate::store::Previewed;

/// Notes for the model's next turn, in whichever run that is.
pub(super) type Notes = Arc<Mutex<Vec<String>>>;

/// The journal of one run.
pub(super) struct RunJournal {
    run: RunId,
    mailbox: Arc<Mailbox>,
    notes: Notes,
    approvals: Arc<Approvals>,
    /// What the run changed so far. A std mutex: held for a comparison of texts, never across an await.
    changes: Mutex<Changes>,
    /// Where the person can decide on it.
    standing: Arc<Standing>,
    session: SessionId,
    outlet: Arc<dyn Outlet>,
}

impl RunJournal {
    pub(super) fn new(
        (run, session): (RunId, SessionId),
        mailbox: Arc<Mailbox>,
        notes: Notes,
        standing: Arc<Standing>,
        approvals: Arc<Approvals>,
        outlet: Arc<dyn Outlet>,
    ) -> Self {
        Self { run, mailbox, notes, approvals, changes: Mutex::default(), standing, session, outlet }
    }
}

/// Hands an entry to the actor and waits until it is kept.
pub(super) async fn kept<T>(mailbox: &Mailbox, entry: impl FnOnce(Kept<T>) -> Entry) -> Result<T, String> {
    let (tx, rx) = oneshot::channel();
    mailbox.push(entry(tx));
    rx.await.unwrap_or_else(|_| Err("The session has ended; nothing more is recorded.".into()))
}

/// What became of the file besides its text, as events tell it.
pub(super) fn file_step(applied: &Applied) -> Option<FileStep> {
    match &applied.fate {
        Fate::Stays => None,
        Fate::Deleted { .. } => Some(FileStep::Delete),
        Fate::Moved { uri, .. } => Some(FileStep::Rename { to: uri.clone() }),
    }
}

#[async_trait]
impl Journal for RunJournal {
    async fn item(&self, item: Arc<Item>) -> Result<(), String> {
        kept(&self.mailbox, |kept| Entry::Item { run: self.run, item, kept }).await
    }

    async fn intent(&self, started: Event) -> Result<(), String> {
        kept(&self.mailbox, |kept| Entry::Intent { run: self.run, started, kept }).await
    }

    async fn landed(&self, place: &Place, applied: &Applied, hunks: Vec<HunkView>, late: bool) -> Result<(), String> {
        let (changed, contents) = {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.record(self.run, place, applied, &hunks)
        };
        self.standing.landed((self.run, self.session), place, applied, &hunks);
        let file = file_step(applied);
        let event = Event::EditApplied { uri: applied.uri.clone(), hunks, rebased: applied.rebased, late, file };
        kept(&self.mailbox, |kept| Entry::Landed { run: self.run, changed: Box::new(changed), contents, event, kept })
            .await
    }

    async fn compacted(&self, outcome: Outcome) -> Result<Option<Window>, String> {
        kept(&self.mailbox, |kept| Entry::Compacted { outcome: Box::new(outcome), kept }).await
    }

    fn exceeded(&self, limit: u64) {
        self.mailbox.push(Entry::Exceeded { limit });
    }

    fn previewed(&self, previews: Previews, limit: u64) {
        self.mailbox.push(Entry::Previewed { previewed: Previewed { previews, limit } });
    }

    async fn ask(&self, question: Question) -> Reply {
        self.approvals.ask(self.run, question).await
    }

    fn event(&self, event: Event) {
        self.mailbox.push(Entry::Event { run: self.run, event });
    }

    fn block_ended(&self) {
        self.mailbox.push(Entry::BlockEnded { run: self.run });
    }

    fn note(&self, note: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    fn say(&self, sentence: String) {
        self.outlet.say(sentence);
    }

    fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
