//! What the model has seen of each document.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::editor::Place;
use crate::text::Snapshot;

/// The last seen text of each document, for one session. What the program put into a request counts as seen.
#[derive(Debug, Default)]
pub struct Reads {
    seen: Mutex<HashMap<Place, Seen>>,
}

#[derive(Debug)]
struct Seen {
    snapshot: Snapshot,
    /// Whether all of it was shown: enough to change a part, and to replace everything.
    whole: bool,
}

impl Reads {
    /// The model has been shown this.
    pub fn note(&self, place: &Place, snapshot: &Snapshot) {
        self.lock().insert(place.clone(), Seen { snapshot: snapshot.clone(), whole: true });
    }

    /// The model has been shown a part of this: enough to change what it quotes, not to replace the whole.
    pub fn note_part(&self, place: &Place, snapshot: &Snapshot) {
        let mut seen = self.lock();
        let whole = seen.get(place).is_some_and(|seen| seen.whole && seen.snapshot.rope() == snapshot.rope());
        seen.insert(place.clone(), Seen { snapshot: snapshot.clone(), whole });
    }

    /// What the model takes for the present text, as much of it as before: after an edit of its own.
    pub fn follow(&self, place: &Place, snapshot: &Snapshot) {
        if let Some(seen) = self.lock().get_mut(place) {
            seen.snapshot = snapshot.clone();
        }
    }

    /// What the model was shown of a file counts for the file under its new name.
    pub fn moved(&self, from: &Place, to: &Place) {
        let mut all = self.lock();
        if let Some(seen) = all.remove(from) {
            all.insert(to.clone(), seen);
        }
    }

    /// What the model was shown so far, for [`Reads::put_back`].
    #[must_use]
    pub fn kept(&self, place: &Place) -> Option<(Snapshot, bool)> {
        self.lock().get(place).map(|seen| (seen.snapshot.clone(), seen.whole))
    }

    /// Back to what the model had been shown before a change that is taken back.
    pub fn put_back(&self, place: &Place, kept: Option<(Snapshot, bool)>) {
        match kept {
            Some((snapshot, whole)) => drop(self.lock().insert(place.clone(), Seen { snapshot, whole })),
            None => self.forget(place),
        }
    }

    /// What the model was shown is worth nothing any more.
    pub fn forget(&self, place: &Place) {
        self.lock().remove(place);
    }

    /// Nothing of what the model was shown counts any more.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// What it was last shown.
    #[must_use]
    pub fn last(&self, place: &Place) -> Option<Snapshot> {
        self.lock().get(place).map(|seen| seen.snapshot.clone())
    }

    /// What it was last shown, when that was all of it.
    #[must_use]
    pub fn last_whole(&self, place: &Place) -> Option<Snapshot> {
        self.lock().get(place).filter(|seen| seen.whole).map(|seen| seen.snapshot.clone())
    }

    // A std mutex: held for a map operation, never across an await.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Seen>> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t3_a_part_is_not_the_whole() {
        let reads = Reads::default();
        let place = Place::Buffer { uri: "untitled:1".into() };
        let (one, two) = (Snapshot::detached("one", ""), Snapshot::detached("two", ""));
        assert!(reads.last(&place).is_none());
        reads.note_part(&place, &one);
        assert!(reads.last(&place).is_some() && reads.last_whole(&place).is_none());
        reads.note(&place, &one);
        reads.note_part(&place, &one);
        assert!(reads.last_whole(&place).is_some(), "a part of what was seen whole takes nothing away");
        reads.note_part(&place, &two);
        assert!(reads.last_whole(&place).is_none(), "a part of another text does");
        reads.forget(&place);
        assert!(reads.last(&place).is_none());
    }
}
