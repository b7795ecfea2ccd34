//! Edits as values: finding the place that is meant, the smallest change that does it, and moving a change over what
//! was typed since. Pure: files, LSP types and async are unknown here.

mod diff;
mod find;
mod land;
mod lf;
mod lines;
mod merge;
pub mod patch_form;
mod proposal;
mod rebase;
mod undo;

pub use diff::{deltas_between, steps_between, unified};
pub use find::{FindError, Found, Nth, Replacement, Tier, find, found};
pub use land::{Landing, Seen, landed, landed_among_typing};
pub use proposal::{Composed, Proposal, Proposed, Void};
pub use rebase::Clash;

use std::ops::Range;

use ropey::Rope;

use crate::text::replace;

/// One changed place: a part of the base and what stands there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Bytes of the base.
    pub range: Range<usize>,
    /// The new text, with the document's own line endings.
    pub new: String,
}

/// A change against one text: hunks in order, none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    hunks: Vec<Hunk>,
}

impl Patch {
    /// A patch of these hunks.
    ///
    /// Panics in debug builds when they overlap, touch or are out of order: callers make them so.
    #[must_use]
    pub fn new(hunks: Vec<Hunk>) -> Self {
        debug_assert!(hunks.is_sorted_by(|a, b| a.range.end < b.range.start), "hunks apart and in order: {hunks:?}");
        Self { hunks }
    }

    /// A patch of hunks that are in order but may touch: those become one.
    pub(crate) fn joined(hunks: impl IntoIterator<Item = Hunk>) -> Self {
        let mut apart: Vec<Hunk> = Vec::new();
        for hunk in hunks {
            match apart.last_mut() {
                Some(last) if hunk.range.start <= last.range.end => {
                    debug_assert!(hunk.range.start == last.range.end, "{last:?} and {hunk:?} overlap");
                    last.range.end = last.range.end.max(hunk.range.end);
                    last.new.push_str(&hunk.new);
                }
                _ => apart.push(hunk),
            }
        }
        apart.retain(|hunk| !hunk.range.is_empty() || !hunk.new.is_empty());
        Self { hunks: apart }
    }

    /// The hunks, in order.
    #[must_use]
    pub fn hunks(&self) -> &[Hunk] {
        &self.hunks
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hunks.is_empty()
    }

    /// The text after.
    #[must_use]
    pub fn apply(&self, base: &Rope) -> Rope {
        let mut rope = base.clone();
        // From the end, so that the places before stay where they are.
        for hunk in self.hunks.iter().rev() {
            replace(&mut rope, hunk.range.clone(), &hunk.new);
        }
        rope
    }

    /// The same change without touching the line break that the text ends with, if one is there before and after.
    #[must_use]
    pub fn before_last_break(&self, base: &Rope) -> Self {
        let end = base.len_bytes();
        let Some(last) = self.hunks.last().filter(|last| last.range.end == end && last.new.ends_with('\n')) else {
            return self.clone();
        };
        let kept = match (
            end.checked_sub(2).and_then(|at| base.get_byte(at)),
            end.checked_sub(1).and_then(|at| base.get_byte(at)),
        ) {
            (Some(b'\r'), Some(b'\n')) => "\r\n",
            (_, Some(b'\n')) => "\n",
            _ => return self.clone(),
        };
        let Some(new) = last.new.strip_suffix(kept) else { return self.clone() };
        let Range { start, end } = last.range;
        let hunk = if start < end {
            Hunk { range: start..end - kept.len(), new: new.to_owned() }
        } else {
            Hunk { range: start - kept.len()..end - kept.len(), new: format!("{kept}{new}") }
        };
        Self::joined(self.hunks[..self.hunks.len() - 1].iter().cloned().chain([hunk]))
    }

    /// Where each hunk's new text stands in the text after.
    #[must_use]
    pub fn new_ranges(&self) -> Vec<Range<usize>> {
        new_ranges(&self.hunks)
    }

    /// What takes this patch back, against the text after.
    #[must_use]
    pub fn inverse(&self, base: &Rope) -> Self {
        let old = self.hunks.iter().map(|hunk| base.byte_slice(hunk.range.clone()).to_string());
        let hunks = self.new_ranges().into_iter().zip(old).map(|(range, new)| Hunk { range, new });
        Self { hunks: hunks.collect() }
    }
}

fn new_ranges(hunks: &[Hunk]) -> Vec<Range<usize>> {
    let (mut gone, mut come) = (0, 0);
    let mut ranges = Vec::with_capacity(hunks.len());
    for Hunk { range, new } in hunks {
        let start = range.start - gone + come;
        ranges.push(start..start + new.len());
        gone += range.len();
        come += new.len();
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunk(range: Range<usize>, new: &str) -> Hunk {
        Hunk { range, new: new.into() }
    }

    #[test]
    fn a_patch_can_be_applied_and_taken_back() {
        let base = Rope::from_str("one two three");
        let patch = Patch::new(vec![hunk(0..3, "1"), hunk(4..4, "+"), hunk(7..13, "")]);
        let after = patch.apply(&base);
        assert_eq!(after.to_string(), "1 +two");
        assert_eq!(patch.new_ranges(), [0..1, 2..3, 6..6]);
        assert_eq!(patch.inverse(&base).apply(&after), base);
    }

    #[test]
    fn the_last_line_break_can_stay_out_of_a_patch() {
        let check = |base: &str, patch: Patch, expected: Vec<Hunk>| {
            let base = Rope::from_str(base);
            let kept = patch.before_last_break(&base);
            assert_eq!(kept.apply(&base), patch.apply(&base));
            assert_eq!(kept.hunks(), expected);
        };
        check("a\nb\n", Patch::new(vec![hunk(4..4, "c\n")]), vec![hunk(3..3, "\nc")]);
        check("a\nb\n", Patch::new(vec![hunk(2..4, "x\ny\n")]), vec![hunk(2..3, "x\ny")]);
        check("a\r\nb\r\n", Patch::new(vec![hunk(6..6, "c\r\n")]), vec![hunk(4..4, "\r\nc")]);
        check("a\nb\n", Patch::new(vec![hunk(2..3, "x"), hunk(4..4, "c\n")]), vec![hunk(2..3, "x\nc")]);
        // Nothing to keep, or nothing kept.
        for (base, patch) in [
            ("a\nb", hunk(3..3, "\n")),
            ("a\nb\n", hunk(2..4, "")),
            ("a\nb\n", hunk(0..1, "x\n")),
            ("", hunk(0..0, "x\n")),
        ] {
            check(base, Patch::new(vec![patch.clone()]), vec![patch]);
        }
    }

    #[test]
    fn touching_hunks_become_one_and_empty_ones_go() {
        let joined = Patch::joined([hunk(0..0, ""), hunk(2..4, "a"), hunk(4..4, "b"), hunk(6..7, "")]);
        assert_eq!(joined, Patch::new(vec![hunk(2..4, "ab"), hunk(6..7, "")]));
    }
}
