//! Taking a change back after other hands have been at the text.

use std::ops::Range;

use ropey::Rope;

use super::land::spans::Span;
use super::rebase::Lines;
use super::{Hunk, Patch};

impl Patch {
    /// The part of the text before that a part of the text after comes from. What is inside of a hunk's new text comes
    /// from all that the hunk replaced.
    #[must_use]
    pub fn origin(&self, part: Range<usize>) -> Range<usize> {
        let behind = |at: usize, new: &Range<usize>, old: &Range<usize>| at - new.end + old.end;
        let (mut start, mut end) = (part.start, part.end);
        for (new, Hunk { range: old, .. }) in self.new_ranges().iter().zip(self.hunks()) {
            if new.start <= part.start {
                start = if part.start < new.end { old.start } else { behind(part.start, new, old) };
            }
            if new.start < part.end {
                end = if part.end < new.end { old.end } else { behind(part.end, new, old) };
            }
        }
        start..end.max(start)
    }
}

/// Hunks that share a line belong together: its text says only what became of all of them.
pub(super) fn groups<'a>(base: &Rope, hunks: &'a [Hunk]) -> Vec<&'a [Hunk]> {
    let mut groups = Vec::new();
    let (mut first, mut end) = (0, 0);
    for (index, hunk) in hunks.iter().enumerate() {
        let lines = Lines::of(base, hunk);
        if index > first && lines.start >= end {
            groups.push(&hunks[first..index]);
            first = index;
        }
        end = lines.end;
    }
    if first < hunks.len() {
        groups.push(&hunks[first..]);
    }
    groups
}

/// Whether the lines of some hunks read in `now` as the hunks would make them.
pub(super) fn is_made(hunks: &[Hunk], base: &Rope, spans: &[Span], now: &Rope) -> bool {
    let lines = |hunk: Option<&Hunk>| hunk.map(|hunk| Lines::of(base, hunk));
    let (Some(first), Some(last)) = (lines(hunks.first()), lines(hunks.last())) else { return true };
    let part = first.start..last.end;
    // What was typed exactly at an edge of the lines may be a part of it or not.
    [false, true].into_iter().any(|with_edges| {
        let (old, new) = grown(part.clone(), spans, with_edges);
        let mut wanted = String::new();
        let mut at = old.start;
        for Hunk { range, new } in hunks {
            wanted.extend(base.byte_slice(at..range.start).chunks());
            wanted.push_str(new);
            at = range.end;
        }
        wanted.extend(base.byte_slice(at..old.end).chunks());
        now.get_byte_slice(new).is_some_and(|there| there == wanted.as_str())
    })
}

/// A part of the base with every span that meets it, and the same in the text after the spans.
fn grown(part: Range<usize>, spans: &[Span], with_edges: bool) -> (Range<usize>, Range<usize>) {
    let mut part = part;
    // Up to where both texts are told, in the base and after: before the part, and inside of it.
    let mut before = (0, 0);
    let mut inside = None;
    for Span { old, new } in spans {
        let meets = if with_edges {
            old.start <= part.end && part.start <= old.end
        } else {
            old.start < part.end && part.start < old.end
        };
        if meets {
            part = part.start.min(old.start)..part.end.max(old.end);
            inside = Some((old.end, new.end));
        } else if old.end <= part.start {
            before = (old.end, new.end);
        }
    }
    let moved = |at: usize, (old, new): (usize, usize)| at - old + new;
    let now = moved(part.start, before)..moved(part.end, inside.unwrap_or(before));
    (part, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::deltas_between;

    /// What is left to do of a patch from `after` to `before`, once `after` reads `now`.
    fn check(before: &str, after: &str, now: &str) -> String {
        let [before, after, now] = [before, after, now].map(Rope::from_str);
        let back = Patch::exact(&after, &before);
        match back.merge(&after, &deltas_between(&after, &now), &now) {
            Ok(rest) => rest.apply(&now).to_string(),
            Err(clash) => clash.to_string(),
        }
    }

    #[test]
    fn what_was_taken_back_by_hand_is_left_out() {
        assert_eq!(check("a\nb\nc\nd\n", "A\nb\nC\nd\n", "A\nb\nc\nd\n"), "a\nb\nc\nd\n");
        assert_eq!(check("a\nb\nc\nd\n", "A\nb\nC\nd\n", "a\nb\nc\nd\n"), "a\nb\nc\nd\n");
        // Lines that were taken out are back, and lines that were put in are gone.
        assert_eq!(check("a\nb\nc\nd\ne\n", "a\nc\nd\nE\n", "a\nb\nc\nd\nE\n"), "a\nb\nc\nd\ne\n");
        assert_eq!(check("a\nc\nd\ne\n", "a\nb\nc\nd\nE\n", "a\nc\nd\nE\n"), "a\nc\nd\ne\n");
        // Two places on one line.
        assert_eq!(check("a b c d\nx\ny\n", "A b C d\nx\nY\n", "a b c d\nx\nY\n"), "a b c d\nx\ny\n");
        // A word at the beginning of a line.
        assert_eq!(check("one two\nx\ny\n", "two\nx\nY\n", "one two\nx\nY\n"), "one two\nx\ny\n");
    }

    #[test]
    fn what_was_typed_beside_it_stays() {
        let now = "0\nx\na\nb\nC\nd\n5\n";
        assert_eq!(check("x\na\nb\nc\nd\n", "x\nA\nb\nC\nd\n", now), "0\nx\na\nb\nc\nd\n5\n");
    }

    #[test]
    fn lines_that_read_otherwise_are_a_clash() {
        assert_eq!(check("a\nb\nc\nd\n", "A\nb\nC\nd\n", "a\nb\nC!\nd\n"), "line 3 was changed meanwhile");
        assert_eq!(check("one two\nx\n", "One Two\nx\n", "one Two\nx\n"), "line 1 was changed meanwhile");
    }

    #[test]
    fn a_part_is_followed_to_where_it_comes_from() {
        let hunk = |range, new: &str| Hunk { range, new: new.into() };
        let patch = Patch::new(vec![hunk(2..4, ""), hunk(6..8, "1234")]);
        // 01|45|1234|8…
        assert_eq!(patch.origin(0..2), 0..2);
        assert_eq!(patch.origin(2..4), 4..6);
        assert_eq!(patch.origin(5..6), 6..8);
        assert_eq!(patch.origin(3..9), 5..9);
        assert_eq!(patch.origin(8..9), 8..9);
    }
}
