//! What is being made at this moment: nobody decides on it meanwhile, and what the text holds says nothing about it.

use std::sync::{Arc, OnceLock, Weak};

use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::Reviews;
use super::pending::Pending;
use crate::editor::{LATE, Place};
use crate::protocol::RunId;

/// How long an editor may take to show an edit after it has answered.
const AFTER_REPLY: Duration = Duration::from_secs(2);
/// How long it may take when it does not answer.
const WITHOUT_REPLY: Duration = Duration::from_secs(10);

/// Who makes something of a document. There can be several: one whose edit was not seen in time is still looked for while
/// another goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<Weak<Mark>>);

/// Marks what waits of some hunks, in a session and in those that wait for the same, until it is dropped.
pub(super) struct Making(Arc<Mark>);

/// A document in which nothing can be decided just now.
pub(super) struct Busy {
    pub(super) run: RunId,
    pub(super) ids: Vec<String>,
    pub(super) why: String,
}

impl Busy {
    /// Whether some of these hunks are there.
    pub(super) fn is_with(&self, run: RunId, ids: &[String]) -> bool {
        self.run == run && self.ids.iter().any(|id| ids.contains(id))
    }
}

#[derive(Debug)]
struct Mark {
    run: RunId,
    ids: Vec<String>,
    /// From when on the same may be decided again, once an edit was not confirmed.
    again: OnceLock<Instant>,
    /// The same has come into the text by another request: nobody needs to look for it any more.
    taken_over: CancellationToken,
}

impl Marks {
    /// Whether something may come of it still.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|mark| mark.strong_count() > 0)
    }

    /// Why nothing can be decided in a document just now, where that is so.
    pub(super) fn refusal(&self, place: &Place) -> Option<String> {
        let now = Instant::now();
        let ends = self.0.iter().filter_map(Weak::upgrade).map(|mark| mark.again.get().copied());
        let open: Vec<Option<Instant>> = ends.filter(|again| again.is_none_or(|again| again > now)).collect();
        let when = match open.iter().max()? {
            _ if open.contains(&None) => "when it has".to_owned(),
            again => seconds(again.map_or(Duration::ZERO, |again| again - now)),
        };
        Some(format!(
            "{place} is being changed at this moment, and the editor has not shown the change yet; try it again {when}"
        ))
    }

    /// Why some of a selection cannot be decided on by itself: it is on its way together with others that are not selected, and
    /// who records what comes late must find all of it as it was sent. Only what `counts` is asked for.
    pub(super) fn parted(&self, place: &Place, ids: &[String], counts: impl Fn(&str) -> bool) -> Option<String> {
        let parted = |mark: &Arc<Mark>| {
            mark.ids.iter().any(|id| ids.contains(id)) && !mark.ids.iter().all(|id| ids.contains(id) || !counts(id))
        };
        let mark = self.0.iter().filter_map(Weak::upgrade).find(parted)?;
        let again = *mark.again.get()?;
        // It may be looked for still, so long after an editor could have shown it.
        let left = (again + LATE).saturating_duration_since(Instant::now());
        Some(format!(
            "{place}: {} were sent to the editor as one change, which may still come; decide on all of these together, or try it again {}",
            mark.ids.join(", "),
            seconds(left)
        ))
    }

    /// Whoever still looks for an edit with nothing but these hunks stops: they are in the text.
    fn take_over(&self, ids: &[String], by: &Arc<Mark>) {
        for mark in self.0.iter().filter_map(Weak::upgrade) {
            if !Arc::ptr_eq(&mark, by) && mark.run == by.run && mark.ids.iter().all(|id| ids.contains(id)) {
                mark.taken_over.cancel();
            }
        }
    }

    /// Whether somebody else looks for an edit with some of these hunks.
    fn looks_for(&self, by: &Arc<Mark>) -> bool {
        let looks = |mark: Arc<Mark>| {
            !Arc::ptr_eq(&mark, by) && mark.run == by.run && mark.ids.iter().any(|id| by.ids.contains(id))
        };
        self.0.iter().filter_map(Weak::upgrade).any(looks)
    }

    fn add(&mut self, mark: &Arc<Mark>) {
        self.0.retain(|mark| mark.strong_count() > 0);
        self.0.push(Arc::downgrade(mark));
    }
}

impl Making {
    pub(super) fn begin<'a>(reviews: impl IntoIterator<Item = &'a Arc<Reviews>>, run: RunId, ids: &[String]) -> Self {
        let (again, taken_over) = (OnceLock::new(), CancellationToken::new());
        let mark = Arc::new(Mark { run, ids: ids.to_vec(), again, taken_over });
        for reviews in reviews {
            let mut waiting = reviews.lock();
            let holds = |pending: &&mut Pending| pending.run == run && pending.ids().iter().any(|id| ids.contains(id));
            for pending in waiting.iter_mut().filter(holds) {
                pending.making.add(&mark);
            }
        }
        Self(mark)
    }

    /// It has come into the text: whoever looks for the same by an earlier request has nothing to look for.
    pub(super) fn has_landed<'a>(&self, reviews: impl IntoIterator<Item = &'a Arc<Reviews>>) {
        for reviews in reviews {
            for pending in reviews.lock().iter() {
                pending.making.take_over(&self.0.ids, &self.0);
            }
        }
    }

    /// Whether an earlier request for some of it may still come, or is about to be told.
    pub(super) fn is_looked_for(&self, reviews: &Reviews) -> bool {
        reviews.lock().iter().any(|pending| pending.making.looks_for(&self.0))
    }

    /// It was not confirmed, after so long a time. Gives the time from which on the same can be decided again: as long again as
    /// an editor is given.
    pub(super) fn not_confirmed(&self, after: Duration) -> String {
        // Sooner than that, it has answered.
        let patience = if after < WITHOUT_REPLY { AFTER_REPLY } else { WITHOUT_REPLY };
        let _ = self.0.again.set(Instant::now() + patience);
        seconds(patience)
    }

    /// Set once the same has landed otherwise.
    pub(super) fn taken_over(&self) -> &CancellationToken {
        &self.0.taken_over
    }
}

/// "in 2 s"
fn seconds(left: Duration) -> String {
    format!("in {} s", left.as_millis().div_ceil(1_000).max(1))
}
