//! Whether some deltas come to the same as some hunks, at a cost that does not grow with the text around them.

use std::ops::Range;

use ropey::{Rope, RopeSlice};

use crate::edit::Hunk;
use crate::text::Delta;

/// A part that some deltas together replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::edit) struct Span {
    /// In the text before all of them.
    pub(in crate::edit) old: Range<usize>,
    /// In the text after all of them.
    pub(in crate::edit) new: Range<usize>,
}

/// Whether the text after the deltas is what the hunks make of the text before. Both leave alone what is outside of their
/// own parts, so only those are compared, together with what lies between two of them while one side is ahead.
pub(super) fn same_result(before: &Rope, hunks: &[Hunk], deltas: &[Delta], after: &Rope) -> bool {
    let spans = composed(deltas);
    let (mut hunk, mut span) = (0, 0);
    // How much longer the text has become so far: by the hunks, by the deltas.
    let (mut wanted, mut reported) = (0_isize, 0_isize);
    loop {
        let next = |hunk: usize, span: usize| {
            let hunk = hunks.get(hunk).map(|hunk: &Hunk| hunk.range.start);
            let span = spans.get(span).map(|span: &Span| span.old.start);
            hunk.into_iter().chain(span).min()
        };
        let Some(start) = next(hunk, span) else { return wanted == reported };
        let first = hunk;
        let at = start.checked_add_signed(reported);
        let mut end = start;
        while let Some(next) = next(hunk, span).filter(|next| *next <= end || wanted != reported) {
            end = end.max(next);
            if let Some(Hunk { range, new }) = hunks.get(hunk).filter(|hunk| hunk.range.start == next) {
                end = end.max(range.end);
                wanted += difference(range.len(), new.len());
                hunk += 1;
            } else {
                end = end.max(spans[span].old.end);
                reported += difference(spans[span].old.len(), spans[span].new.len());
                span += 1;
            }
        }
        let expected = Expected { before, part: start..end, hunks: &hunks[first..hunk] };
        if wanted != reported || !at.is_some_and(|at| expected.stands_at(after, at)) {
            return false;
        }
    }
}

fn difference(old: usize, new: usize) -> isize {
    new.cast_signed() - old.cast_signed()
}

/// What hunks make of a part of a text.
struct Expected<'a> {
    before: &'a Rope,
    part: Range<usize>,
    hunks: &'a [Hunk],
}

impl Expected<'_> {
    fn stands_at(&self, text: &Rope, at: usize) -> bool {
        let mut cursor = Cursor { text, at };
        let mut kept = self.part.start;
        for Hunk { range, new } in self.hunks {
            let same = self.before.get_byte_slice(kept..range.start).is_some_and(|slice| cursor.takes(slice))
                && cursor.takes(RopeSlice::from(new.as_str()));
            if !same {
                return false;
            }
            kept = range.end;
        }
        self.before.get_byte_slice(kept..self.part.end).is_some_and(|slice| cursor.takes(slice))
    }
}

struct Cursor<'a> {
    text: &'a Rope,
    at: usize,
}

impl Cursor<'_> {
    fn takes(&mut self, slice: RopeSlice<'_>) -> bool {
        let end = self.at + slice.len_bytes();
        let same = self.text.get_byte_slice(self.at..end).is_some_and(|there| there == slice);
        self.at = end;
        same
    }
}

/// Deltas one after another as parts of the first text, in order and apart.
pub(in crate::edit) fn composed(deltas: &[Delta]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for delta in deltas {
        // The spans that the delta touches become one with it.
        let low = spans.partition_point(|span| span.new.end < delta.start);
        let high = spans.partition_point(|span| span.new.start <= delta.old_end());
        let shift = |count: usize| match count.checked_sub(1).map(|index| &spans[index]) {
            Some(span) => (span.old.end, span.new.end),
            None => (0, 0),
        };
        let mut merged = {
            // Outside of the spans both texts read the same, so distances to the nearest span are the same too.
            let old = |offset: usize, count: usize| {
                let (old_end, new_end) = shift(count);
                offset - new_end + old_end
            };
            let (first, last) = (spans[low..high].first(), spans[low..high].last());
            let start = first.map(|span| &span.new.start).filter(|start| **start <= delta.start);
            let end = last.map(|span| &span.new.end).filter(|end| **end >= delta.old_end());
            Span {
                old: match start {
                    Some(_) => spans[low].old.start,
                    None => old(delta.start, low),
                }..match end {
                    Some(_) => spans[high - 1].old.end,
                    None => old(delta.old_end(), high),
                },
                new: start.copied().unwrap_or(delta.start)..end.copied().unwrap_or(delta.old_end()),
            }
        };
        merged.new.end = delta.moved(merged.new.end);
        for span in &mut spans[high..] {
            span.new = delta.moved(span.new.start)..delta.moved(span.new.end);
        }
        spans.splice(low..high, [merged]);
    }
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::edit::Patch;
    use crate::text::cases::campaign;
    use crate::text::replace;

    fn delta(start: usize, old_len: usize, new_len: usize) -> Delta {
        Delta { start, old_len, new_len }
    }

    #[test]
    fn deltas_that_touch_become_one_part() {
        let spans = composed(&[delta(5, 0, 2), delta(0, 2, 0), delta(4, 3, 0)]);
        assert_eq!(spans, [Span { old: 0..2, new: 0..0 }, Span { old: 5..7, new: 3..4 }]);
    }

    proptest! {
        #![proptest_config(campaign(20_000))]

        #[test]
        fn the_same_result_is_seen_whatever_the_wording(
            base in "[ab]{0,12}",
            typed in prop::collection::vec((0..12_usize, 0..4_usize, "[ab]{0,3}"), 0..4),
            cuts in prop::collection::vec((0..5_usize, 0..3_usize, "[ab]{0,3}"), 0..4),
        ) {
            let before = Rope::from_str(&base);
            let mut hunks = Vec::new();
            let mut at = 0;
            for (skip, len, new) in cuts {
                let start = (at + skip).min(base.len());
                let end = (start + len).min(base.len());
                hunks.push(Hunk { range: start..end, new });
                at = end;
            }
            let mut after = before.clone();
            let mut deltas = Vec::new();
            for (start, len, new) in typed {
                let start = start.min(after.len_bytes());
                let len = len.min(after.len_bytes() - start);
                replace(&mut after, start..start + len, &new);
                deltas.push(delta(start, len, new.len()));
            }
            let wanted = Patch::joined(hunks.clone()).apply(&before);
            prop_assert_eq!(same_result(&before, &hunks, &deltas, &after), wanted == after);
            // And made by deltas from the end, or as one.
            let backwards: Vec<Delta> =
                hunks.iter().rev().map(|hunk| delta(hunk.range.start, hunk.range.len(), hunk.new.len())).collect();
            prop_assert!(same_result(&before, &hunks, &backwards, &wanted));
            let whole = [delta(0, base.len(), wanted.len_bytes())];
            prop_assert!(same_result(&before, &hunks, &whole, &wanted));
        }
    }
}
