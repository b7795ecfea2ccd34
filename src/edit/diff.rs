//! The smallest change from one text to another.

use std::borrow::Cow;
use std::ops::Range;

use ropey::Rope;
use similar::TextDiff;

use super::lf::{LfEdit, LfText};
use super::lines::{self, Change, changes};
use super::{Hunk, Patch};
use crate::text::{Delta, Snapshot, common_ends, replace, to_lf};

impl Patch {
    /// The smallest change that makes the text of `base` read `new_lf` (LF line endings). Lines that read the same keep
    /// their own line endings; new lines get the one that most lines of the base have.
    #[must_use]
    pub fn between(base: &Snapshot, new_lf: &str) -> Self {
        let old = LfText::of(base.rope());
        let new = with_lf(new_lf);
        old.patch(base, edits(old.text(), 0..old.text().len(), &new))
    }
}

/// What makes a part of a text read `new`.
pub(super) fn edits(text: &str, part: Range<usize>, new: &str) -> Vec<LfEdit> {
    let start = part.start;
    let edit = |change: Change| LfEdit {
        range: start + change.old.start..start + change.old.end,
        new: new[change.new].to_owned(),
    };
    changes(&text[part], new).into_iter().map(edit).collect()
}

/// A text with LF line endings; most have them already.
pub(super) fn with_lf(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { to_lf(std::iter::once(text), text.len()).into() } else { text.into() }
}

/// The changes that lead from one text to another, each in terms of the text after the one before it. Costs little
/// where the two share most of their text.
#[must_use]
pub fn deltas_between(old: &Rope, new: &Rope) -> Vec<Delta> {
    Patch::exact(old, new).deltas()
}

impl Patch {
    /// The smallest change from one text to another, byte for byte. Costs little where the two share most of their text.
    #[must_use]
    pub fn exact(old: &Rope, new: &Rope) -> Self {
        if old.is_instance(new) {
            return Self::default();
        }
        let (start, old, new) = differing_lines(old, new);
        let hunk = |change: Change| Hunk {
            range: start + change.old.start..start + change.old.end,
            new: new[change.new].to_owned(),
        };
        Self::joined(changes(&old, &new).into_iter().map(hunk))
    }

    /// The same change as one delta after another, each in terms of the text after the one before it.
    #[must_use]
    pub fn deltas(&self) -> Vec<Delta> {
        let delta = |(hunk, new): (&Hunk, Range<usize>)| Delta {
            start: new.start,
            old_len: hunk.range.len(),
            new_len: new.len(),
        };
        self.hunks().iter().zip(self.new_ranges()).map(delta).collect()
    }
}

/// The same as [`deltas_between`], each with the text after it.
#[must_use]
pub fn steps_between(old: &Rope, new: &Rope) -> Vec<(Delta, Rope)> {
    let mut text = old.clone();
    let step = |delta: Delta| {
        // The deltas go forwards, so what a delta brings stands where it stands in the end.
        let come = new.byte_slice(delta.start..delta.new_end()).to_string();
        replace(&mut text, delta.start..delta.old_end(), &come);
        (delta, text.clone())
    };
    deltas_between(old, new).into_iter().map(step).collect()
}

/// How many bytes have to go and to come, at least, to make one text of the other.
pub(super) fn distance(old: &Rope, new: &Rope) -> usize {
    let (_, old, new) = differing_lines(old, new);
    lines::distance(&old, &new)
}

/// Where two texts begin to differ, and the parts that do: whole lines, so that a comparison by lines sees what belongs
/// together.
pub(super) fn differing_lines(old: &Rope, new: &Rope) -> (usize, String, String) {
    let (prefix, suffix) = common_ends(old.slice(..), new.slice(..));
    let start = old.line_to_byte(old.byte_to_line(prefix));
    let last = old.byte_to_line(old.len_bytes() - suffix);
    let behind =
        old.len_bytes() - if last + 1 < old.len_lines() { old.line_to_byte(last + 1) } else { old.len_bytes() };
    let part = |rope: &Rope| rope.byte_slice(start..rope.len_bytes() - behind).to_string();
    (start, part(old), part(new))
}

/// A unified diff with three lines of context, `a/NAME` and `b/NAME` above; empty when nothing differs.
#[must_use]
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff().context_radius(3).header(&format!("a/{name}"), &format!("b/{name}")).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cases::campaign;

    /// The text after the smallest change, and how many bytes each hunk takes and gives.
    fn check(base: &str, new_lf: &str, expected: &str) -> Vec<(usize, usize)> {
        let base = Snapshot::detached(base, "text");
        let patch = Patch::between(&base, new_lf);
        assert_eq!(patch.apply(base.rope()).to_string(), expected);
        patch.hunks().iter().map(|hunk| (hunk.range.len(), hunk.new.len())).collect()
    }

    #[test]
    fn untouched_lines_keep_their_endings_and_new_ones_get_the_usual() {
        let hunks = check("a\r\nb\nc\r\nd\r\n", "a\nb\nnew\nc\nD\n", "a\r\nb\nnew\r\nc\r\nD\r\n");
        assert_eq!(hunks, [(0, 5), (1, 1)]);
    }

    #[test]
    fn the_final_newline_is_as_the_new_text_says() {
        check("a\r\nb\r\n", "a\nb", "a\r\nb");
        check("a\r\nb", "a\nb\n", "a\r\nb\r\n");
        check("", "a\n", "a\n");
        check("a\n", "", "");
    }

    #[test]
    fn a_changed_line_keeps_its_own_ending() {
        assert_eq!(check("x 1\ny 2\r\nz\r\n", "x 3\ny 4\nz\n", "x 3\ny 4\r\nz\r\n"), [(1, 1), (1, 1)]);
    }

    #[test]
    fn breaks_of_mixed_texts_do_not_melt_into_one() {
        check("a\rb\nc\rd\re", "a\n\nc\nd\ne", "a\r\r\nc\rd\re");
    }

    #[test]
    fn a_line_added_after_another_leaves_that_one_alone() {
        let base = Snapshot::detached("one\ntwo\n", "text");
        let patch = Patch::between(&base, "one\nnew\ntwo\n");
        assert_eq!(patch.hunks(), [super::super::Hunk { range: 4..4, new: "new\n".into() }]);
    }

    #[test]
    fn the_deltas_between_two_texts_build_on_each_other() {
        let deltas = deltas_between(&Rope::from_str("a\nb\nc\nd\n"), &Rope::from_str("a\nbb\nc\nd\ne\n"));
        assert_eq!(deltas, [Delta { start: 3, old_len: 0, new_len: 1 }, Delta { start: 9, old_len: 0, new_len: 2 }]);
    }

    #[test]
    fn a_diff_reads_like_a_diff() {
        insta::assert_snapshot!(unified("src/a.rs", "one\ntwo\nthree", "one\n2\nthree"), @r"
        --- a/src/a.rs
        +++ b/src/a.rs
        @@ -1,3 +1,3 @@
         one
        -two
        +2
         three
        \ No newline at end of file
        ");
        assert_eq!(unified("a", "same", "same"), "");
    }

    proptest! {
        #![proptest_config(campaign(20_000))]

        #[test]
        fn the_text_after_reads_as_asked(base in "([abc]{0,2}(\r|\n|\r\n)){0,8}[ab]?", new in "([abc]{0,2}\n){0,8}[ab]?") {
            let base = Snapshot::detached(&base, "text");
            let after = base.with_rope(Patch::between(&base, &new).apply(base.rope()));
            prop_assert_eq!(after.lf(), new);
        }

        #[test]
        fn the_deltas_lead_from_one_text_to_the_other(
            old in "([abc]{0,2}(\r|\n|\r\n)){0,8}[ab]?", new in "([abc]{0,2}(\r|\n|\r\n)){0,8}[ab]?", long in 0..2_usize,
        ) {
            let frame = "😀 a line around it\r\n".repeat(long * 200);
            let (old, new) = (Rope::from_str(&format!("{frame}{old}{frame}")), Rope::from_str(&format!("{frame}{new}{frame}")));
            let steps = steps_between(&old, &new);
            prop_assert!(steps.is_sorted_by(|(a, _), (b, _)| a.new_end() < b.start));
            let mut text = old;
            for (delta, after) in steps {
                let come = after.byte_slice(delta.start..delta.new_end()).to_string();
                replace(&mut text, delta.start..delta.old_end(), &come);
                prop_assert_eq!(&text, &after);
            }
            prop_assert_eq!(text, new);
        }
    }
}
