//! What the newest run has changed and the person has not decided on, where it stands in the present texts: so that an editor can
//! offer to keep it or take it back there. In memory alone; after a restart, what a run has changed is decided by command.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pending::same;
use super::{Operation, ReviewFile, ReviewHunk, ReviewState};
use crate::edit::{Proposal, Proposed};
use crate::editor::{Applied, Editor, Fate, Place};
use crate::protocol::{HunkView, Range, RunId, SessionId};

/// The changes of the newest run that has made any.
#[derive(Default)]
pub struct Standing {
    // A std mutex: held for a look or a comparison of texts, never across an await.
    newest: Mutex<Newest>,
}

#[derive(Default)]
struct Newest {
    run: Option<(RunId, SessionId)>,
    documents: Vec<Document>,
}

struct Document {
    place: Place,
    /// As the records of the changes spell it.
    uri: String,
    /// What would take the changes back. It follows the typing as a proposal does, and what was typed on is no longer offered.
    back: Proposal,
}

/// What stands in a part of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingHere {
    /// The document, with those of its hunks that were asked for.
    pub file: ReviewFile,
    /// How many stand in all of it.
    pub in_file: usize,
    /// How many the run has left to decide on, in all files.
    pub in_run: usize,
    /// In how many files.
    pub files: usize,
}

impl Standing {
    /// What stands in a document at the ranges that are `wanted`, in the negotiated encoding. Looks at this document alone, and asks
    /// which `place` it is only when something stands anywhere.
    pub fn here(
        &self,
        editor: &dyn Editor,
        place: impl FnOnce() -> Place,
        wanted: impl Fn(Range) -> bool,
    ) -> Option<StandingHere> {
        if self.lock().documents.is_empty() {
            return None;
        }
        let place = place();
        let mut newest = self.lock();
        let (run, session) = newest.run?;
        let at = newest.find(&place)?;
        let back = &mut newest.documents[at].back;
        if let Some(now) = editor.buffer(&place) {
            drop(back.follow(now.rope()));
        }
        let (base, encoding) = (back.base(), editor.encoding());
        let view = |Proposed { id, hunk }: &Proposed| {
            let [start, end] = [hunk.range.start, hunk.range.end].map(|offset| encoding.position(base, offset));
            let range = Range { start, end };
            wanted(range).then(|| ReviewHunk {
                id: id.clone(),
                state: ReviewState::Applied,
                range,
                old_text: hunk.new.clone(),
                new_text: base.byte_slice(hunk.range.clone()).to_string(),
            })
        };
        let hunks = back.hunks().iter().filter_map(view).collect();
        let in_file = back.hunks().len();
        if in_file == 0 {
            newest.documents.remove(at);
            return None;
        }
        let uri = editor.uri(&place);
        Some(StandingHere {
            file: ReviewFile { run, session, place, uri, operation: Operation::Edit, hunks },
            in_file,
            in_run: newest.documents.iter().map(|document| document.back.hunks().len()).sum(),
            files: newest.documents.len(),
        })
    }

    /// A run has changed a document; `hunks` are those of `applied`, with their ids.
    pub(in crate::session) fn landed(
        &self,
        (run, session): (RunId, SessionId),
        place: &Place,
        applied: &Applied,
        hunks: &[HunkView],
    ) {
        let mut newest = self.lock();
        match newest.run {
            // One of an older run that came late.
            Some((known, _)) if known > run => return,
            Some((known, _)) if known == run => {}
            _ => *newest = Newest { run: Some((run, session)), documents: Vec::new() },
        }
        let (after, back) = &applied.back;
        let known = newest.find(place).map(|at| newest.documents.remove(at).back);
        let earlier = known.map_or_else(Vec::new, |mut known| {
            // What it changes anew is this change from now on.
            drop(known.made(|_| false, &back.apply(after.rope()), &back.inverse(after.rope())));
            known.hunks().to_vec()
        });
        let (place, uri) = match &applied.fate {
            Fate::Stays => (place.clone(), applied.uri.clone()),
            Fate::Moved { to, uri } => (to.clone(), uri.clone()),
            // There is nowhere to show it.
            Fate::Deleted { .. } => return,
        };
        let new = hunks.iter().zip(back.hunks());
        let new: Vec<Proposed> = new.map(|(view, hunk)| Proposed { id: view.id.clone(), hunk: hunk.clone() }).collect();
        let apart = |one: &Proposed| {
            let (start, end) = (one.hunk.range.start, one.hunk.range.end);
            new.iter().all(|new| end <= new.hunk.range.start || new.hunk.range.end <= start)
        };
        let mut all: Vec<Proposed> = earlier.into_iter().filter(apart).chain(new.iter().cloned()).collect();
        all.sort_by_key(|one| (one.hunk.range.start, one.hunk.range.end));
        if let Some(back) = Proposal::restored(after.rope().clone(), all).filter(|back| !back.hunks().is_empty()) {
            newest.documents.push(Document { place, uri, back });
        }
    }

    /// Some of it is kept, or taken back.
    pub(in crate::session) fn decided(&self, run: RunId, ids: &[String]) {
        let mut newest = self.lock();
        if newest.run.is_none_or(|(known, _)| known != run) {
            return;
        }
        for document in &mut newest.documents {
            document.back.remove(|id| ids.iter().any(|decided| decided == id));
        }
        newest.documents.retain(|document| !document.back.hunks().is_empty());
    }

    /// All of it in some documents is taken back.
    pub(in crate::session) fn undone(&self, run: RunId, uris: &[String]) {
        let mut newest = self.lock();
        if newest.run.is_some_and(|(known, _)| known == run) {
            newest.documents.retain(|document| !uris.contains(&document.uri));
        }
    }

    /// Nothing is known any more of what a run did.
    pub fn forget(&self, gone: impl Fn(RunId) -> bool) {
        let mut newest = self.lock();
        if newest.run.is_some_and(|(run, _)| gone(run)) {
            *newest = Newest::default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newest {
    fn find(&self, place: &Place) -> Option<usize> {
        self.documents.iter().position(|document| same(&document.place, place))
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::edit::Patch;
    use crate::editor::{Change, Outcome, What};
    use crate::tool::testing::World;

    const TEXT: &str = "one\ntwo\nthree\nfour\nfive\n";

    /// A run that changes what is open, and what stands of it.
    struct Desk {
        world: World,
        standing: Standing,
        session: SessionId,
    }

    impl Desk {
        fn new() -> Self {
            let world = World::new(&[]);
            world.open("a.rs", TEXT);
            Self { world, standing: Standing::default(), session: SessionId::new() }
        }

        async fn edits(&self, run: RunId, text: &str, ids: &[&str]) {
            let place = self.world.place("a.rs");
            let base = self.world.editor.buffer(&place).expect("open");
            let patch = Patch::between(&base, text);
            let (label, cancel) = (String::new(), CancellationToken::new());
            let change = Change { place: place.clone(), label, what: What::Edit { base, patch }, cancel };
            let Outcome::Applied(applied) = self.world.editor.apply(change).await else { panic!("not applied") };
            let named = applied.hunks.iter().zip(ids).map(|(hunk, id)| HunkView { id: (*id).into(), ..hunk.clone() });
            let hunks: Vec<HunkView> = named.collect();
            assert_eq!(hunks.len(), ids.len());
            self.standing.landed((run, self.session), &place, &applied, &hunks);
        }

        fn stands(&self) -> String {
            let here = self.standing.here(self.world.editor.as_ref(), || self.world.place("a.rs"), |_| true);
            let hunks = here.map(|here| here.file.hunks).unwrap_or_default();
            let line = |hunk: &ReviewHunk| {
                format!("{} at {}: {} -> {}", hunk.id, hunk.range.start.line + 1, hunk.old_text, hunk.new_text)
            };
            hunks.iter().map(line).collect::<Vec<_>>().join(", ")
        }
    }

    #[tokio::test]
    async fn it_follows_the_typing_and_ends_where_it_meets_it() {
        let (desk, run) = (Desk::new(), RunId::new());
        desk.edits(run, "1\ntwo\n3\nfour\n5\n", &["h1", "h2", "h3"]).await;
        assert_eq!(desk.stands(), "h1 at 1: one -> 1, h2 at 3: three -> 3, h3 at 5: five -> 5");
        desk.world.types("a.rs", "typed\n1\ntwo\n3, mine\nfour\nfive\n");
        assert_eq!(desk.stands(), "h1 at 2: one -> 1", "one was typed on, one taken back by hand");
        desk.standing.decided(RunId::new(), &["h1".into()]);
        assert_eq!(desk.stands(), "h1 at 2: one -> 1", "that was another run's");
        desk.standing.decided(run, &["h1".into()]);
        assert_eq!(desk.stands(), "");
    }

    #[tokio::test]
    async fn later_edits_of_the_run_join_and_another_run_takes_the_place() {
        let (desk, run) = (Desk::new(), RunId::new());
        desk.edits(run, "1\ntwo\nthree\nfour\n5\n", &["h1", "h2"]).await;
        desk.world.types("a.rs", "typed\n1\ntwo\nthree\nfour\n5\n");
        desk.edits(run, "typed\n1\ntwo\n3\nfour\n5!\n", &["h3", "h4"]).await;
        assert_eq!(desk.stands(), "h1 at 2: one -> 1, h3 at 4: three -> 3, h4 at 6:  -> !");
        let next = RunId::new();
        desk.edits(next, "typed\n1\n2\n3\nfour\n5!\n", &["h1"]).await;
        assert_eq!(desk.stands(), "h1 at 3: two -> 2");
        desk.edits(run, "typed\n1\n2\n3\n4\n5!\n", &["h5"]).await;
        assert_eq!(desk.stands(), "h1 at 3: two -> 2", "what comes late of an older one is not offered");
        desk.standing.undone(next, &[desk.world.editor.uri(&desk.world.place("a.rs"))]);
        assert_eq!(desk.stands(), "");
    }
}
