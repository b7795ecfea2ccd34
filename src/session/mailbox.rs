//! What waits for the session's actor, in order. Deltas that wait merge.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::Start;
use crate::agent::Ended;
use crate::context::Accounting;
use crate::model::Item;
use crate::protocol::{ContextUse, Event, RunId};

/// One message to the actor.
pub(super) enum Entry {
    /// A run was asked for.
    Start { run: RunId, start: Start, cancel: CancellationToken },
    /// Something about the queue may have changed.
    Look,
    /// An entry of the history, to be recorded.
    Item { run: RunId, item: Arc<Item>, kept: oneshot::Sender<Result<(), String>> },
    /// A change is about to be made, to be recorded.
    Intent { run: RunId, call_id: String, title: String, kept: oneshot::Sender<Result<(), String>> },
    /// Something to tell.
    Event { run: RunId, event: Event },
    /// The live run's task is at its end.
    Ended { run: RunId, ended: Ended, figures: Option<(Accounting, ContextUse)> },
}

impl Entry {
    fn is_delta(&self) -> bool {
        matches!(self, Self::Event { event, .. } if event.is_delta())
    }
}

/// The queue. Its length is bounded by the runs that feed it: each waits for what it records, and deltas merge.
#[derive(Default)]
pub(super) struct Mailbox {
    queue: Mutex<VecDeque<Entry>>,
    filled: Notify,
}

impl Mailbox {
    pub(super) fn push(&self, entry: Entry) {
        let mut queue = self.lock();
        match (queue.back_mut(), entry) {
            (Some(Entry::Event { run, event }), Entry::Event { run: same, event: next }) if *run == same => {
                if let Err(next) = event.merge(next) {
                    queue.push_back(Entry::Event { run: same, event: next });
                }
            }
            (_, entry) => queue.push_back(entry),
        }
        drop(queue);
        self.filled.notify_one();
    }

    /// The next entry. A delta at the very end is left there to merge while the listener does not keep up.
    pub(super) fn pop(&self, room: bool) -> Option<Entry> {
        let mut queue = self.lock();
        let waits = !room && queue.len() == 1 && queue.front().is_some_and(Entry::is_delta);
        if waits { None } else { queue.pop_front() }
    }

    /// Returns when something was pushed since the last call.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    // A std mutex: held for a queue operation, never across an await.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(run: RunId, text: &str) -> Entry {
        Entry::Event { run, event: Event::TextDelta { text: text.into() } }
    }

    fn text(entry: Option<Entry>) -> String {
        match entry {
            Some(Entry::Event { event: Event::TextDelta { text }, .. }) => text,
            Some(Entry::Look) => "look".into(),
            Some(_) => "other".into(),
            None => "nothing".into(),
        }
    }

    #[test]
    fn deltas_that_wait_are_one_delta() {
        let (mailbox, run) = (Mailbox::default(), RunId::new());
        for part in ["a", "b", "c"] {
            mailbox.push(delta(run, part));
        }
        mailbox.push(delta(RunId::new(), "of another run"));
        assert_eq!(text(mailbox.pop(true)), "abc");
        assert_eq!(text(mailbox.pop(true)), "of another run");
        assert_eq!(text(mailbox.pop(true)), "nothing");
    }

    #[test]
    fn without_room_the_last_delta_waits_but_never_what_comes_after_it() {
        let (mailbox, run) = (Mailbox::default(), RunId::new());
        mailbox.push(delta(run, "a"));
        assert_eq!(text(mailbox.pop(false)), "nothing");
        mailbox.push(Entry::Look);
        assert_eq!(text(mailbox.pop(false)), "a");
        assert_eq!(text(mailbox.pop(false)), "look");
    }
}
