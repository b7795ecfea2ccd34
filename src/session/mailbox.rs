//! What waits for the session's actor, in order. Deltas that wait merge.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::review::Reviewed;
use super::{Compact, Start};
use crate::agent::Ended;
use crate::context::{Outcome, Window};
use crate::model::Item;
use crate::protocol::{Event, RunId};
use crate::store::{Changed, Prepared, Previewed, Undone};

/// Answers when something is kept, or could not be.
pub(super) type Kept<T = ()> = oneshot::Sender<Result<T, String>>;

/// One message to the actor.
pub(super) enum Entry {
    /// A run was asked for.
    Start { run: RunId, start: Start, cancel: CancellationToken, kept: Kept },
    /// Something about the queue may have changed.
    Look,
    /// What the live run starts from, and what the model must hear before the prompt, to be recorded; answers with the history
    /// that it goes on from.
    Prepared { prepared: Box<Prepared>, notes: Vec<Item>, kept: Kept<Window> },
    /// An entry of the history, to be recorded.
    Item { run: RunId, item: Arc<Item>, kept: Kept },
    /// A call is about to begin: to be recorded and told.
    Intent { run: RunId, started: Event, kept: Kept },
    /// An edit has landed: to be recorded, with what takes it back, and told.
    Landed { run: RunId, changed: Box<Changed>, contents: Vec<Vec<u8>>, event: Event, kept: Kept },
    /// Something has come of a summary: to be recorded and told. Answers with the history when it is another one from then on.
    Compacted { outcome: Box<Outcome>, kept: Kept<Option<Window>> },
    /// The provider refused the history as longer than so many tokens: to be recorded.
    Exceeded { limit: u64 },
    /// Previews reach further, to be recorded.
    Previewed { previewed: Previewed },
    /// The person wants the history compacted. Answers why not, when it does not begin.
    Compact { compact: Box<Compact>, kept: Kept<Option<String>> },
    /// Something to tell.
    Event { run: RunId, event: Event },
    /// The newest delta's block has ended.
    BlockEnded { run: RunId },
    /// The live run's task is at its end.
    Ended { run: RunId, ended: Ended },
    /// What a run had changed was taken back; the model hears it in these words.
    Undone { undone: Undone, note: String, kept: Kept },
    /// Proposals, and what became of them: to be recorded and told.
    Reviewed { reviewed: Box<Reviewed>, kept: Kept },
    /// The title that the session begins with.
    Title { title: String },
    /// The history is to begin anew.
    Clear { kept: Kept },
    /// The session is not needed here any more.
    Close,
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
    /// Nobody reads it any more.
    closed: AtomicBool,
}

/// Closes a mailbox when its reader is gone, in whatever way.
pub(super) struct Reader(pub(super) Arc<Mailbox>);

impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        self.0.closed.store(true, Ordering::SeqCst);
        // Whoever waits for an answer hears that there is none.
        queue.clear();
    }
}

impl Mailbox {
    pub(super) fn push(&self, entry: Entry) {
        let mut queue = self.lock();
        if self.closed.load(Ordering::SeqCst) {
            return;
        }
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

    /// What waits, in order. A delta at the very end is left there to merge while the listener does not keep up.
    pub(super) fn drain(&self, room: bool) -> VecDeque<Entry> {
        let mut queue = self.lock();
        let stays = !room && queue.back().is_some_and(Entry::is_delta);
        let rest = queue.len() - usize::from(stays);
        queue.drain(..rest).collect()
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
    use crate::session::journal::kept;

    fn delta(run: RunId, text: &str) -> Entry {
        Entry::Event { run, event: Event::TextDelta { text: text.into() } }
    }

    fn texts(mailbox: &Mailbox, room: bool) -> Vec<String> {
        let text = |entry| match entry {
            Entry::Event { event: Event::TextDelta { text }, .. } => text,
            Entry::Look => "look".into(),
            _ => "other".into(),
        };
        mailbox.drain(room).into_iter().map(text).collect()
    }

    #[test]
    fn deltas_that_wait_are_one_delta() {
        let (mailbox, run) = (Mailbox::default(), RunId::new());
        for part in ["a", "b", "c"] {
            mailbox.push(delta(run, part));
        }
        mailbox.push(delta(RunId::new(), "of another run"));
        assert_eq!(texts(&mailbox, true), ["abc", "of another run"]);
        assert_eq!(texts(&mailbox, true), [""; 0]);
    }

    #[test]
    fn deltas_of_two_blocks_stay_apart() {
        let (mailbox, run) = (Mailbox::default(), RunId::new());
        mailbox.push(delta(run, "a"));
        mailbox.push(Entry::BlockEnded { run });
        mailbox.push(delta(run, "b"));
        assert_eq!(texts(&mailbox, true), ["a", "other", "b"]);
    }

    #[test]
    fn without_room_the_last_delta_waits_but_never_what_comes_after_it() {
        let (mailbox, run) = (Mailbox::default(), RunId::new());
        mailbox.push(delta(run, "a"));
        assert_eq!(texts(&mailbox, false), [""; 0]);
        mailbox.push(Entry::Look);
        assert_eq!(texts(&mailbox, false), ["a", "look"]);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_reader_that_is_gone_is_answered() {
        let mailbox = Arc::<Mailbox>::default();
        let reader = Reader(mailbox.clone());
        let waiting = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { kept(&mailbox, |kept| Entry::Clear { kept }).await }
        });
        mailbox.filled().await;
        drop(reader);
        assert!(waiting.await.expect("no panic").is_err(), "what had come in already");
        let late = kept(&mailbox, |kept| Entry::Clear { kept });
        let late = tokio::time::timeout(std::time::Duration::from_secs(5), late).await;
        assert!(late.expect("an answer").is_err(), "what came too late");
    }
}
