//! What a run keeps and tells, on its way to the session's actor.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::mailbox::{Entry, Mailbox};
use crate::agent::Journal;
use crate::model::Item;
use crate::protocol::{Event, RunId};

/// Notes for the model's next turn, in whichever run that is.
pub(super) type Notes = Arc<Mutex<Vec<String>>>;

/// The journal of one run.
pub(super) struct RunJournal {
    pub(super) run: RunId,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) notes: Notes,
}

impl RunJournal {
    async fn kept(&self, entry: impl FnOnce(oneshot::Sender<Result<(), String>>) -> Entry) -> Result<(), String> {
        let (tx, rx) = oneshot::channel();
        self.mailbox.push(entry(tx));
        rx.await.unwrap_or_else(|_| Err("The session has ended; nothing more is recorded.".into()))
    }
}

#[async_trait]
impl Journal for RunJournal {
    async fn item(&self, item: Arc<Item>) -> Result<(), String> {
        self.kept(|kept| Entry::Item { run: self.run, item, kept }).await
    }

    async fn intent(&self, call_id: &str, title: &str) -> Result<(), String> {
        self.kept(|kept| Entry::Intent { run: self.run, call_id: call_id.into(), title: title.into(), kept }).await
    }

    fn event(&self, event: Event) {
        self.mailbox.push(Entry::Event { run: self.run, event });
    }

    fn note(&self, note: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
