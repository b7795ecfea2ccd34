//! What the newest run has changed and the person has not decided on, where it stands in the present texts: so that an editor can
//! offer to keep it or take it back there. In memory alone; after a restart, what a run has changed is decided by command.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ropey::Rope;

use super::pending::same;
use super::{Operation, ReviewFile, ReviewHunk, ReviewState};
use crate::edit::{Patch, Proposal, Proposed};
use crate::editor::{Applied, Editor, Fate, Place};
use crate::protocol::{HunkView, Range, RunId, SessionId};
use crate::text::Snapshot;

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
    /// Files that were taken away, with what stood in them: there is nowhere to show it until one is put back as it was.
    gone: Vec<Document>,
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
    /// What stands in a document at the ranges that are `wanted`, in the negotiated encoding. Asks which `place` it is, and looks
    /// what was typed in others, only when something stands anywhere.
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
        newest.find(&place)?;
        newest.documents.retain_mut(|document| {
            if let Some(now) = editor.buffer(&document.place) {
                drop(document.back.follow(now.rope()));
            }
            !document.back.hunks().is_empty()
        });
        let back = &newest.documents[newest.find(&place)?].back;
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
            _ => *newest = Newest { run: Some((run, session)), ..Newest::default() },
        }
        let (after, back) = &applied.back;
        let before = back.apply(after.rope());
        let mut known = newest.find(place).map(|at| newest.documents.remove(at).back);
        let taken_away = newest.gone.iter().position(|gone| same(&gone.place, place));
        let taken_away = taken_away.map(|at| newest.gone.remove(at));
        if matches!(applied.fate, Fate::Deleted { .. }) {
            let mut back = known.take().unwrap_or_else(|| Proposal::new(before.clone()));
            drop(back.follow(&before));
            newest.gone.push(Document { place: place.clone(), uri: applied.uri.clone(), back });
            return;
        }
        // A deletion was taken back.
        if let Some(gone) = taken_away.filter(|gone| gone.back.base() == after.rope()) {
            newest.documents.extend((!gone.back.hunks().is_empty()).then_some(gone));
            return;
        }
        let (earlier, reverts) =
            known.map_or_else(Default::default, |known| still_standing(known, &before, after, back));
        let (place, uri) = match &applied.fate {
            Fate::Stays => (place.clone(), applied.uri.clone()),
            Fate::Moved { to, uri } => (to.clone(), uri.clone()),
            Fate::Deleted { .. } => return,
        };
        let new = hunks.iter().zip(back.hunks()).enumerate().filter(|(at, _)| !reverts.contains(at));
        let new: Vec<Proposed> =
            new.map(|(_, (view, hunk))| Proposed { id: view.id.clone(), hunk: hunk.clone() }).collect();
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
        let Newest { documents, gone, .. } = &mut *newest;
        for document in documents.iter_mut().chain(gone) {
            document.back.remove(|id| ids.iter().any(|decided| decided == id));
        }
        newest.documents.retain(|document| !document.back.hunks().is_empty());
    }

    /// All of it in some documents is taken back.
    pub(in crate::session) fn undone(&self, run: RunId, uris: &[String]) {
        let mut newest = self.lock();
        if newest.run.is_some_and(|(known, _)| known == run) {
            newest.documents.retain(|document| !uris.contains(&document.uri));
            newest.gone.retain(|gone| !uris.contains(&gone.uri));
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

/// What stands on once `back` takes a change back from the text `after` to the one `before`, and which of the hunks of the change do
/// nothing but take back what stood: a set that failed is rolled back so. Neither they nor what they take back are the run's then.
fn still_standing(mut known: Proposal, before: &Rope, after: &Snapshot, back: &Patch) -> (Vec<Proposed>, Vec<usize>) {
    drop(known.follow(before));
    let change = back.inverse(after.rope());
    let (stood, made) = (known.hunks(), change.hunks());
    let mut places: Vec<(std::ops::Range<usize>, bool, usize)> = Vec::new();
    places.extend(stood.iter().enumerate().map(|(at, one)| (one.hunk.range.clone(), false, at)));
    places.extend(made.iter().enumerate().map(|(at, hunk)| (hunk.range.clone(), true, at)));
    places.sort_by_key(|(range, ..)| (range.start, range.end));
    let (mut taken, mut reverts): (Vec<usize>, Vec<usize>) = Default::default();
    let mut rest = places.as_slice();
    while let Some((first, _, _)) = rest.first() {
        let mut end = first.end;
        let touching = rest.iter().take_while(|(range, ..)| {
            let touches = range.start <= end;
            end = end.max(range.end);
            touches
        });
        let (group, behind) = rest.split_at(touching.count());
        rest = behind;
        let of = |is_new: bool| group.iter().filter(move |(_, new, _)| *new == is_new).map(|(_, _, at)| *at);
        let there = Patch::joined(of(false).map(|at| stood[at].hunk.clone()));
        let here = Patch::joined(of(true).map(|at| made[at].clone()));
        if !there.is_empty() && !here.is_empty() && there.apply(before) == here.apply(before) {
            taken.extend(of(false));
            reverts.extend(of(true));
        }
    }
    let left = stood.iter().enumerate().filter(|(at, _)| !taken.contains(at)).map(|(_, one)| one.clone()).collect();
    let Some(mut left) = Proposal::restored(before.clone(), left) else { return (Vec::new(), reverts) };
    // What it changes anew is this change from now on.
    drop(left.made(|_| false, before, &change));
    (left.hunks().to_vec(), reverts)
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
            let base = self.world.editor.buffer(&self.world.place("a.rs")).expect("open");
            let patch = Patch::between(&base, text);
            self.does("a.rs", run, What::Edit { base, patch }, ids).await;
        }

        async fn does(&self, path: &str, run: RunId, what: What, ids: &[&str]) {
            let place = self.world.place(path);
            let (label, cancel) = (String::new(), CancellationToken::new());
            let change = Change { place: place.clone(), label, what, cancel };
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
    async fn what_only_takes_back_what_stood_leaves_nothing_of_both() {
        let (desk, run) = (Desk::new(), RunId::new());
        desk.edits(run, "1\ntwo\n3\nfour\n5\n", &["h1", "h2", "h3"]).await;
        desk.world.types("a.rs", "typed\n1\ntwo\n3\nfour\n5\n");
        desk.edits(run, "typed\none\ntwo\n3\nfour\nfive!\n", &["h4", "h5"]).await;
        assert_eq!(desk.stands(), "h2 at 4: three -> 3, h5 at 6: 5 -> five!");
        desk.edits(run, "typed\none\ntwo\nthree\nfour\n5\n", &["h6", "h7"]).await;
        assert_eq!(desk.stands(), "");
    }

    #[tokio::test]
    async fn titles_count_what_stands_at_this_moment() {
        let (desk, run) = (Desk::new(), RunId::new());
        desk.edits(run, "1\ntwo\nthree\nfour\nfive\n", &["h1"]).await;
        for (path, ids) in [("b.rs", &["h2"][..]), ("c.rs", &[])] {
            desk.world.write(path, "b\n");
            let base = desk.world.editor.read(&desk.world.place(path)).await.expect("there");
            let what = match path {
                "b.rs" => What::Edit { patch: Patch::between(&base, "B\n"), base },
                _ => What::Delete { base, or_empty: false },
            };
            desk.does(path, run, what, ids).await;
        }
        let counts = || {
            let here = desk.standing.here(desk.world.editor.as_ref(), || desk.world.place("a.rs"), |_| true);
            here.map(|here| (here.in_file, here.in_run, here.files)).expect("it stands")
        };
        assert_eq!(counts(), (1, 2, 2), "a file that is gone comes back with all of the run alone");
        let base = Snapshot::detached("b\n", "");
        desk.does("c.rs", run, What::Restore { base, mode: None }, &[]).await;
        assert_eq!(counts(), (1, 2, 2), "the run has put it back itself");
        desk.world.open("b.rs", "B, mine\n");
        assert_eq!(counts(), (1, 1, 1), "typed on");
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
