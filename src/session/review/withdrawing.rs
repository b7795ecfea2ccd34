//! What a run proposed last is taken back: its part of a set of changes that cannot all be proposed.

use std::sync::PoisonError;

use ropey::Rope;
use tokio::sync::oneshot;

use super::pending::{Kind, Pending, same};
use super::reviewing::{Reviewing, UNKNOWN, is_to};
use crate::edit::{Composed, Patch};
use crate::editor::{Applied, Place, ReadError, What};
use crate::protocol::RunId;
use crate::text::Snapshot;

/// Of so many proposals at most it is known how to take them back.
const STEPS: usize = 256;

/// Something that was proposed, and what waited in the document before it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Where, as the run calls it.
    place: Place,
    /// Where what it leaves is to be found: elsewhere when it is a rename.
    to: Place,
    was: Option<Pending>,
    /// What it was answered with.
    told: Vec<String>,
    /// Where it left what waits, and all that did.
    left: Option<(Place, Vec<String>)>,
}

impl Step {
    pub(super) fn begin(waiting: &[Pending], run: RunId, place: &Place, what: &What) -> Self {
        let to = match what {
            What::Rename { to, .. } => to.clone(),
            _ => place.clone(),
        };
        let was = find(waiting, run, place).map(|at| waiting[at].clone());
        Self { place: place.clone(), to, was, told: Vec::new(), left: None }
    }

    pub(super) fn end(mut self, waiting: &[Pending], run: RunId, proposed: &Applied) -> Self {
        self.told = ids(proposed);
        let at = find(waiting, run, &self.to).or_else(|| find(waiting, run, &self.place));
        self.left = at.map(|at| (waiting[at].place.clone(), waiting[at].ids()));
        self
    }

    /// Where it is now: an accepted rename has moved it.
    fn find(&self, waiting: &[Pending], run: RunId) -> Option<usize> {
        let holds = |pending: &Pending| {
            let left = self.left.as_ref().map_or(&[][..], |(_, ids)| ids);
            pending.run == run && pending.ids().iter().any(|id| left.contains(id))
        };
        waiting.iter().position(holds).or_else(|| find(waiting, run, &self.to))
    }
}

impl Reviewing {
    pub(super) fn remember(&self, step: Step) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push_back(step);
        if steps.len() > STEPS {
            steps.pop_front();
        }
    }

    /// The step that was answered so, and the place whose text it is put back over.
    pub(super) fn newest(&self, place: &Place, proposed: &Applied) -> Option<(Step, Place)> {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let told = ids(proposed);
        let at = steps.iter().rposition(|step| same(&step.place, place) && step.told == told)?;
        let step = steps.remove(at)?;
        let waiting = self.reviews.lock();
        let now = step.find(&waiting, self.run).map(|at| &waiting[at].place);
        let stays = |was: &Pending| step.left.as_ref().is_some_and(|(left, _)| same(left, &was.place));
        let home = match (&step.was, now) {
            (Some(was), Some(now)) if stays(was) => now.clone(),
            (Some(was), _) => was.place.clone(),
            (None, now) => now.unwrap_or(place).clone(),
        };
        Some((step, home))
    }

    /// Puts back what waited before a step, without what was decided since. Nothing when some of the step was, or when something
    /// was built upon it; else gives whether that is kept. `real` is what the editor has at `home`.
    pub(super) fn put_back(
        &self,
        step: Step,
        home: &Place,
        real: &Result<Snapshot, ReadError>,
    ) -> Option<oneshot::Receiver<Result<(), String>>> {
        let mut waiting = self.reviews.lock();
        let now = step.find(&waiting, self.run);
        let here = now.map(|at| waiting[at].ids()).unwrap_or_default();
        let before = step.was.as_ref().map(Pending::ids).unwrap_or_default();
        let left = step.left.as_ref().map(|(_, ids)| ids.clone()).unwrap_or_default();
        let own: Vec<String> = left.iter().filter(|id| !before.contains(id)).cloned().collect();
        let other = |(at, pending): (usize, &Pending)| {
            now != Some(at) && pending.run == self.run && (same(&pending.place, home) || is_to(pending, home))
        };
        if !own.iter().all(|id| here.contains(id))
            || !here.iter().all(|id| left.contains(id))
            || now.is_some_and(|at| waiting[at].making.any())
            || waiting.iter().enumerate().any(other)
        {
            return None;
        }
        let empty = || Pending::new(self.run, home, self.real.uri(home), Kind::Edit, Rope::new());
        let mut gone = Vec::new();
        let mut back = step.was.unwrap_or_else(empty);
        if !before.is_empty() {
            let decided: Vec<String> =
                before.iter().filter(|id| left.contains(id) && !here.contains(id)).cloned().collect();
            back.forget(&decided);
            if !back.is_empty() {
                gone = match real {
                    Ok(real) => back.follow(real.rope()),
                    Err(ReadError::Missing(_)) => back.missing(),
                    Err(_) => return None,
                };
            }
        }
        let (uri, is_moved) = (self.real.uri(home), now.is_some_and(|at| !same(&waiting[at].place, home)));
        if let Some(at) = now.filter(|_| is_moved || !same(&back.place, home)) {
            (back.place, back.uri) = (waiting[at].place.clone(), waiting[at].uri.clone());
            if is_moved {
                back.move_to(home, uri);
            }
        }
        let new = back.ids().into_iter().filter(|id| !here.contains(id)).collect();
        let at = now.unwrap_or(waiting.len());
        if at == waiting.len() {
            waiting.push(back);
        } else {
            waiting[at] = back;
        }
        self.reviews.let_go(&waiting[at], gone, self.real.as_ref());
        let composed = Composed { new, replaced: own };
        Some(self.put(&mut waiting, at, &composed, Snapshot::detached("", UNKNOWN), Patch::default(), false).1)
    }
}

fn ids(proposed: &Applied) -> Vec<String> {
    proposed.hunks.iter().map(|hunk| hunk.id.clone()).collect()
}

/// The run's entry for a document.
fn find(waiting: &[Pending], run: RunId, place: &Place) -> Option<usize> {
    waiting.iter().position(|pending| pending.run == run && (same(&pending.place, place) || is_to(pending, place)))
}
