//! What a run's edits leave for taking them back: each as pieces of the text that it was made in.

use std::collections::HashMap;

use ropey::Rope;

use crate::edit::Patch;
use crate::editor::{Applied, Fate, Place};
use crate::protocol::{HunkView, RunId};
use crate::store::{Back, Base, Changed, Gone, Hash, Moved};
use crate::text::Charset;

/// The documents that a run has changed, each as the newest of its edits left it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    left: HashMap<Place, Rope>,
}

impl Changes {
    /// Forgets what is nowhere that is wanted. A later edit there keeps the whole text before it again.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&Place) -> bool) {
        self.left.retain(|place, _| wanted(place));
    }

    /// Whether nothing is known of any document.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The record of an edit that has landed, and the texts that it names. `hunks` are those of `applied`, with their ids.
    ///
    /// The first edit in a document keeps the whole text before it; a later one only what the person did in between.
    pub(crate) fn record(
        &mut self,
        run: RunId,
        place: &Place,
        applied: &Applied,
        hunks: &[HunkView],
    ) -> (Changed, Vec<Vec<u8>>) {
        let (after, back) = &applied.back;
        let before = back.apply(after.rope());
        let change = back.inverse(after.rope());
        let (base, contents) = match self.left.insert(place.clone(), after.rope().clone()) {
            Some(left) => (Base::Since(pieces(&Patch::exact(&left, &before), &[])), Vec::new()),
            None => {
                let text: Vec<u8> = before.bytes().collect();
                (Base::Whole(Hash::of(&text)), vec![text])
            }
        };
        let (mut gone, mut moved) = (None, None);
        match &applied.fate {
            Fate::Stays => {}
            Fate::Deleted { mode } => {
                let charset = Some(after.charset()).filter(|charset| *charset != Charset::default());
                gone =
                    Some(Gone { mode: *mode, bom: after.bom(), charset: charset.map(|charset| charset.to_string()) });
            }
            Fate::Moved { to, uri } => {
                self.left.remove(place);
                self.left.insert(to.clone(), after.rope().clone());
                let path = to.path().map(Into::into);
                moved = path.map(|path| Moved { uri: uri.clone(), path, shown: to.to_string() });
            }
        }
        let changed = Changed {
            run,
            uri: applied.uri.clone(),
            path: place.path().map(Into::into),
            shown: place.to_string(),
            created: applied.created,
            gone,
            moved,
            base,
            change: pieces(&change, hunks),
        };
        (changed, contents)
    }
}

fn pieces(patch: &Patch, hunks: &[HunkView]) -> Vec<Back> {
    let mut ids = hunks.iter().map(|hunk| hunk.id.clone());
    let piece = |hunk: &crate::edit::Hunk| Back {
        hunk: ids.next().unwrap_or_default(),
        start: hunk.range.start,
        end: hunk.range.end,
        new: hunk.new.clone(),
    };
    patch.hunks().iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::edit::Hunk;
    use crate::session::undo::Trail;
    use crate::text::{Snapshot, cases::campaign};

    fn place() -> Place {
        Place::File { path: "/ws/a.rs".into(), shown: "a.rs".into() }
    }

    /// An edit as an editor reports it.
    fn applied(before: &str, patch: &Patch) -> (Applied, Vec<HunkView>) {
        let before = Rope::from_str(before);
        let after = Snapshot::detached("", "").with_rope(patch.apply(&before));
        let back = patch.inverse(&before);
        let views = back.hunks().iter().enumerate().map(|(index, hunk)| HunkView {
            id: format!("h{}", index + 1),
            range: crate::protocol::Range::default(),
            old_text: hunk.new.clone(),
            new_text: String::new(),
        });
        let views: Vec<HunkView> = views.collect();
        let applied = Applied {
            uri: "file:///ws/a.rs".into(),
            hunks: views.clone(),
            rebased: false,
            now: after.clone(),
            created: false,
            fate: Fate::Stays,
            note: None,
            back: (after, back),
        };
        (applied, views)
    }

    fn hunk(range: std::ops::Range<usize>, new: &str) -> Hunk {
        Hunk { range, new: new.into() }
    }

    #[test]
    fn the_first_edit_keeps_the_whole_text_and_later_ones_what_was_typed_between() {
        let mut changes = Changes::default();
        let run = RunId::new();
        let (first, hunks) = applied("one\r\ntwo\r\n", &Patch::new(vec![hunk(0..3, "1"), hunk(5..8, "2")]));
        let (changed, contents) = changes.record(run, &place(), &first, &hunks);
        assert_eq!(contents, [b"one\r\ntwo\r\n"]);
        assert_eq!(changed.base, Base::Whole(Hash::of(b"one\r\ntwo\r\n")));
        let back = |hunk: &str, start, end, new: &str| Back { hunk: hunk.into(), start, end, new: new.into() };
        assert_eq!(changed.change, [back("h1", 0, 3, "1"), back("h2", 5, 8, "2")]);
        assert_eq!((changed.shown.as_str(), changed.uri.as_str()), ("a.rs", "file:///ws/a.rs"));

        let (second, hunks) = applied("1\r\n2\r\nthree\r\n", &Patch::new(vec![hunk(6..11, "3")]));
        let (changed, contents) = changes.record(run, &place(), &second, &hunks);
        assert!(contents.is_empty(), "the text is kept once");
        assert_eq!(changed.base, Base::Since(vec![back("", 6, 6, "three\r\n")]));
        assert_eq!(changed.change, [back("h1", 6, 11, "3")]);
    }

    proptest! {
        #![proptest_config(campaign(10_000))]

        #[test]
        fn the_records_lead_to_every_text_again(
            texts in prop::collection::vec("([ab😀]{0,3}(\n|\r\n)){0,6}[ab]?", 2..8),
        ) {
            // Every other step is the run's.
            let mut changes = Changes::default();
            let (mut records, mut contents) = (Vec::new(), HashMap::new());
            for pair in texts.chunks_exact(2) {
                let patch = Patch::exact(&Rope::from_str(&pair[0]), &Rope::from_str(&pair[1]));
                let (edit, hunks) = applied(&pair[0], &patch);
                let (changed, kept) = changes.record(RunId::new(), &place(), &edit, &hunks);
                prop_assert!(changed.change.iter().all(|piece| !piece.hunk.is_empty()));
                records.push(changed);
                contents.extend(kept.into_iter().map(|text| (Hash::of(&text), text)));
            }
            let refs: Vec<&Changed> = records.iter().collect();
            let trail = Trail::replay(&refs, |hash| contents.get(&hash).cloned()).map_err(TestCaseError::fail)?;
            let told: Vec<String> = trail.texts().flat_map(|(before, after)| [before.to_string(), after.to_string()]).collect();
            prop_assert_eq!(told, texts[..texts.len() / 2 * 2].to_vec());
        }
    }
}
