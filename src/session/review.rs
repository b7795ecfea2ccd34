//! Proposals of a session: what its runs would change and the person has yet to decide on.

mod accepting;
mod deciding;
mod landed;
mod making;
mod pending;
mod reviewing;
mod standing;
#[cfg(test)]
mod tests;
mod withdrawing;
mod words;

pub use deciding::May;
pub(super) use pending::Pending;
pub(super) use reviewing::Reviewing;
pub use standing::{Standing, StandingHere};
pub use words::taken_back;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use self::pending::Gone;
use super::changes::Changes;
use super::mailbox::{Entry, Kept, Mailbox};
use crate::editor::{Editor, Place};
use crate::protocol::{Event, Range, RunId, SessionId};
use crate::store::{Decided, Record, Verdict};

/// What waits for the person in one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewFile {
    /// The run that proposes it.
    pub run: RunId,
    /// Its session.
    pub session: SessionId,
    /// The document.
    pub place: Place,
    /// As the client spells it.
    pub uri: String,
    /// What is done with it.
    pub operation: Operation,
    /// The changed places, in order; of a file that is made or taken away one, which holds the whole text.
    pub hunks: Vec<ReviewHunk>,
}

/// What a proposal does with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Changes its text.
    Edit,
    /// Makes it.
    Create,
    /// Takes it away.
    Delete,
    /// Gives it another name; hunks beside the first are changes of its text.
    Rename {
        /// Its new place.
        to: Place,
    },
}

/// One place that the person decides on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewHunk {
    /// Unique in the run.
    pub id: String,
    /// How it stands.
    pub state: ReviewState,
    /// Where it belongs in the present text, in the negotiated encoding: what `old_text` takes, or `new_text` when it is applied.
    pub range: Range,
    /// What stands there without it.
    pub old_text: String,
    /// What stands there with it.
    pub new_text: String,
}

/// How a hunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewState {
    /// It waits for the person.
    Proposed,
    /// The document holds it.
    Applied,
}

/// What the person says to hunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They are made, or stay.
    Accept,
    /// They are dropped, or taken back.
    Reject,
}

/// Which hunks are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Of which run; the newest one that has proposals without it.
    pub run: Option<RunId>,
    /// In which document, as a client spells it; in all without it.
    pub uri: Option<String>,
    /// Which one; all that are not decided yet without it.
    pub hunk: Option<String>,
}

/// What came of a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// The hunks that are decided.
    pub hunks: Vec<String>,
    /// Why others are not, a sentence each.
    pub problems: Vec<String>,
}

/// What is recorded and told together of proposals and decisions.
pub(super) struct Reviewed {
    /// Whose hunks.
    pub(super) run: RunId,
    pub(super) records: Vec<Record>,
    /// Texts that the records name.
    pub(super) contents: Vec<Vec<u8>>,
    pub(super) events: Vec<Event>,
    /// What the model must hear.
    pub(super) note: Option<String>,
}

/// What the sessions of a workspace have in common.
#[derive(Clone, Default)]
pub struct Shared {
    /// Counts how often the list of what waits has changed.
    moved: watch::Sender<u64>,
    /// The newest hunks of which was told that they have no place any more: a fork and what it comes from both find it out. A std
    /// mutex, held for a look.
    void: Arc<Mutex<VecDeque<(RunId, String)>>>,
    standing: Arc<Standing>,
}

/// So many are remembered; both find it out with the same look.
const VOID: usize = 1024;

impl Shared {
    /// Told whenever the list of what waits for the person has changed.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// The list has changed.
    pub fn has_moved(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    /// What the newest run has changed.
    #[must_use]
    pub fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    fn is_first(&self, run: RunId, id: &str) -> bool {
        let mut void = self.void.lock().unwrap_or_else(PoisonError::into_inner);
        if void.iter().any(|(known, hunk)| *known == run && hunk == id) {
            return false;
        }
        void.push_back((run, id.to_owned()));
        if void.len() > VOID {
            void.pop_front();
        }
        true
    }
}

/// What waits in a session. It outlives the runs that made it.
pub(super) struct Reviews {
    session: SessionId,
    // A std mutex: held for a look or a comparison of texts, never across an await.
    waiting: Mutex<Vec<Pending>>,
    /// What was taken of each run where some of it waits on. A std mutex, for the same.
    changes: Mutex<HashMap<RunId, Changes>>,
    mailbox: Arc<Mailbox>,
    shared: Shared,
    /// One decision after another, so that nothing is made twice.
    deciding: Arc<tokio::sync::Mutex<()>>,
}

impl Reviews {
    pub(super) fn new(session: SessionId, mailbox: Arc<Mailbox>, shared: Shared, waiting: Vec<Pending>) -> Self {
        let (waiting, changes) = (Mutex::new(waiting), Mutex::default());
        let reviews = Self { session, waiting, changes, mailbox, shared, deciding: Arc::default() };
        if !reviews.is_empty() {
            reviews.has_moved();
        }
        reviews
    }

    /// What the newest run of all sessions has changed.
    pub(super) fn standing(&self) -> &Arc<Standing> {
        self.shared.standing()
    }

    /// What a run must know of what earlier ones have proposed; nothing where all is decided.
    pub(super) fn undecided(&self, run: RunId) -> Option<String> {
        let waiting = self.lock();
        let mut files: Vec<String> =
            waiting.iter().filter(|pending| pending.run != run).map(|pending| pending.place.to_string()).collect();
        files.sort();
        files.dedup();
        (!files.is_empty()).then(|| words::undecided(&files))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Nothing waits any more: the history that it belongs to begins anew.
    pub(super) fn clear(&self) {
        let mut waiting = self.lock();
        waiting.clear();
        self.tidy(&mut waiting);
        drop(waiting);
        self.has_moved();
    }

    /// What waits, where it belongs in the present texts. Never waits.
    pub(super) fn list(&self, editor: &dyn Editor, session: SessionId) -> Vec<ReviewFile> {
        let mut waiting = self.lock();
        let mut moved = false;
        for pending in waiting.iter_mut().filter(|pending| !pending.making.any()) {
            if let Some(now) = editor.buffer(&pending.place) {
                let gone = pending.follow(now.rope());
                moved |= self.let_go(pending, gone, editor);
            }
        }
        self.tidy(&mut waiting);
        let view = |pending: &Pending| {
            let mut seen = pending.clone();
            if seen.making.any()
                && let Some(now) = editor.buffer(&seen.place)
            {
                // What goes of it then is settled when it is made, or not.
                drop(seen.follow(now.rope()));
            }
            (!seen.is_empty()).then(|| seen.view(editor, session))
        };
        let list = waiting.iter().filter_map(view).collect();
        drop(waiting);
        if moved {
            self.has_moved();
        }
        list
    }

    pub(super) async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.deciding.clone().lock_owned().await
    }

    /// Records and tells what waits no longer, where that is so.
    fn let_go(&self, pending: &Pending, gone: Vec<Gone>, editor: &dyn Editor) -> bool {
        if gone.is_empty() {
            return false;
        }
        let shown = pending.place.to_string();
        let decided = Decided {
            run: pending.run,
            uri: pending.uri.clone(),
            shown: shown.clone(),
            hunks: gone.iter().map(|gone| gone.hunk.id.clone()).collect(),
            verdict: Verdict::Void,
        };
        let note = words::void(&shown, &gone);
        let rejected = |gone: Gone| Event::EditRejected {
            uri: pending.uri.clone(),
            hunks: vec![gone.view(editor.encoding())],
            reason: gone.reason,
        };
        self.post(Reviewed {
            run: pending.run,
            records: vec![Record::Decided(decided)],
            contents: Vec::new(),
            events: gone
                .into_iter()
                .filter(|gone| self.shared.is_first(pending.run, &gone.hunk.id))
                .map(rejected)
                .collect(),
            note: Some(note),
        });
        true
    }

    /// Drops documents in which nothing waits any more, with what was kept to record the next change of their run there.
    fn tidy(&self, waiting: &mut Vec<Pending>) {
        waiting.retain(|pending| !pending.is_empty());
        let waits = |run: RunId, place: &Place| {
            let here = |pending: &Pending| pending::same(&pending.place, place) || reviewing::is_to(pending, place);
            waiting.iter().any(|pending| pending.run == run && here(pending))
        };
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.retain(|run, changes| {
            changes.retain(|place| waits(*run, place));
            !changes.is_empty()
        });
    }

    /// Hands something to be recorded and told to the session, in the order of the calls. Answers when it is kept. Never waits.
    fn post(&self, reviewed: Reviewed) -> oneshot::Receiver<Result<(), String>> {
        let (kept, answer): (Kept, _) = oneshot::channel();
        self.mailbox.push(Entry::Reviewed { reviewed: Box::new(reviewed), kept });
        answer
    }

    fn has_moved(&self) {
        self.shared.has_moved();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until something that was handed over is kept.
async fn kept(answer: oneshot::Receiver<Result<(), String>>) -> Result<(), String> {
    answer.await.unwrap_or_else(|_| Err("The session has ended; nothing more is recorded.".into()))
}
