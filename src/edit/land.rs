//! Whether an edit has landed: found in what the editor reported, not in what it promised.

mod mend;
mod spans;
mod tangle;

use std::ops::Range;

use ropey::Rope;
use tangle::{Tangle, own_cost};

use super::diff::distance;
use super::rebase::moved;
use super::{Hunk, Patch, deltas_between, new_ranges};
use crate::protocol;
use crate::text::{Delta, Encoding, replace};

/// What the reported changes say about a patch that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Not (yet) among the reported changes.
    Absent,
    /// Done: `ranges` are the places of the new texts in the newest reported text (`None` for one that was typed
    /// over since), `rebased` says that something else was typed before it.
    Right {
        /// Byte ranges in the newest text, one for each hunk.
        ranges: Vec<Option<Range<usize>>>,
        /// Whether the text had moved on before the edit came.
        rebased: bool,
    },
    /// The editor put the bytes where they were meant for an older text. `mend` turns the newest text into what it should
    /// be: the misplaced change taken back and the edit made where it belongs (or, when it has no place any more, only taken back).
    Wrong {
        /// Against the newest reported text.
        mend: Patch,
        /// Where the new texts stand once it is mended; `None` when it is only taken back.
        made: Option<Vec<Range<usize>>>,
    },
}

/// Looks for `patch`, sent against `base`, among the changes reported since: each delta with the text after it. The
/// editor applies an edit in one go, so some run of consecutive deltas must be exactly it, moved over the deltas before.
/// How the editor words that run is its own affair, so what counts is the text that comes out. `encoding` is what the
/// positions of the edit were sent in. The first `looked` changes were looked at before, when nothing was found: only what ends
/// after them is looked for.
#[must_use]
pub fn landed(patch: &Patch, base: &Rope, reported: &[(Delta, Rope)], looked: usize, encoding: Encoding) -> Landing {
    let story = Story::new(base, reported, looked);
    story.right(patch).or_else(|| story.wrong(patch, encoding)).unwrap_or(Landing::Absent)
}

/// Looks for a patch in one report, told by the changes `told` of all that were reported. It is for editors that report only now
/// and then, and tell what was typed and the edit as one change, where [`landed`] sees neither.
#[must_use]
pub fn untangled(
    patch: &Patch,
    base: &Rope,
    reported: &[(Delta, Rope)],
    told: Range<usize>,
    encoding: Encoding,
) -> Landing {
    Story::new(base, reported, 0).tangled(patch, told, encoding).unwrap_or(Landing::Absent)
}

/// Where ranges of one text stand in a later one, `None` for each that was typed over since.
#[must_use]
pub fn later(ranges: &[Range<usize>], text: &Rope, now: &Rope) -> Vec<Option<Range<usize>>> {
    let deltas = deltas_between(text, now);
    ranges.iter().map(|range| follow(range.clone(), &deltas)).collect()
}

/// What was reported, told by numbers: text 0 is the base, delta `i` leads from text `i` to text `i + 1`.
struct Story<'a> {
    base: &'a Rope,
    reported: &'a [(Delta, Rope)],
    deltas: Vec<Delta>,
    /// Up to here nothing ends that is looked for.
    looked: usize,
}

impl<'a> Story<'a> {
    fn new(base: &'a Rope, reported: &'a [(Delta, Rope)], looked: usize) -> Self {
        Self { base, reported, deltas: reported.iter().map(|(delta, _)| *delta).collect(), looked }
    }

    fn text(&self, index: usize) -> &'a Rope {
        index.checked_sub(1).map_or(self.base, |index| &self.reported[index].1)
    }

    fn newest(&self) -> usize {
        self.reported.len()
    }

    fn right(&self, patch: &Patch) -> Option<Landing> {
        (0..self.newest()).find_map(|before| {
            self.of_length(before, patch.hunks()).next()?;
            let hunks = self.moved_to(patch, before)?;
            let after = self.came_out(before, &hunks)?;
            let ranges = new_ranges(&hunks).into_iter().map(|range| follow(range, &self.deltas[after..])).collect();
            Some(Landing::Right { ranges, rebased: before > 0 })
        })
    }

    fn wrong(&self, patch: &Patch, encoding: Encoding) -> Option<Landing> {
        let runs = (1..self.newest()).filter_map(|before| {
            let hunks = self.misplaced(patch, before, encoding)?;
            let after = self.came_out(before, &hunks)?;
            Some(Run { before, after, hunks })
        });
        let run = runs.min_by_key(|run| run.oddness(self))?;
        let (mend, made) = mend::mend(&mend::Misplaced {
            before: self.text(run.before),
            hunks: &run.hunks,
            after: self.text(run.after),
            since: &self.deltas[run.after..],
            newest: self.text(self.newest()),
            right: self.moved_to(patch, run.before).as_deref(),
        });
        Some(Landing::Wrong { mend, made })
    }

    /// What a report says of the patch where it tells more than that: whether the edit is there is decided by how much is
    /// left to have been typed. In its place, if the rest can have been typed around it; else where the positions of the
    /// edit led in a text that only the editor has seen.
    fn tangled(&self, patch: &Patch, told: Range<usize>, encoding: Encoding) -> Option<Landing> {
        let (before, after) = (self.text(told.start), self.text(told.end));
        let tangle = Tangle { base: self.base, hunks: patch.hunks(), before, after, encoding };
        if !tangle.is_small() {
            return None;
        }
        let around = self.typed_around(patch, &told);
        let Some(apart) = tangle.apart(around.as_ref().map_or(usize::MAX, |(cost, _)| *cost)) else {
            return around.map(|(_, landing)| landing);
        };
        let typed = deltas_between(before, &apart.typed);
        let deltas: Vec<Delta> = self.deltas[..told.start].iter().chain(&typed).copied().collect();
        let right = moved(patch.hunks(), self.base, &deltas, &apart.typed).ok();
        let since = &self.deltas[told.end..];
        if right.as_ref() == Some(&apart.hunks) {
            let ranges = new_ranges(&apart.hunks).into_iter().map(|range| follow(range, since)).collect();
            return Some(Landing::Right { ranges, rebased: true });
        }
        let (mend, made) = mend::mend(&mend::Misplaced {
            before: &apart.typed,
            hunks: &apart.hunks,
            after,
            since,
            newest: self.text(self.newest()),
            right: right.as_deref(),
        });
        Some(Landing::Wrong { mend, made })
    }

    /// The edit in its place with everything else typed around it, and how much that is.
    fn typed_around(&self, patch: &Patch, told: &Range<usize>) -> Option<(usize, Landing)> {
        let (before, after) = (self.text(told.start), self.text(told.end));
        let hunks = self.moved_to(patch, told.start)?;
        let mut edited = before.clone();
        let mut left = distance(before, after);
        for Hunk { range, new } in hunks.iter().rev() {
            let old = before.byte_slice(range.clone()).to_string();
            replace(&mut edited, range.clone(), new);
            let less = distance(&edited, after);
            if less + own_cost(&old, new) > left {
                return None;
            }
            left = less;
        }
        let typed = deltas_between(&edited, after);
        let all: Vec<Delta> = typed.iter().chain(&self.deltas[told.end..]).copied().collect();
        let ranges = new_ranges(&hunks);
        if ranges.iter().any(|range| follow(range.clone(), &typed).is_none()) {
            return None;
        }
        let ranges = ranges.into_iter().map(|range| follow(range, &all)).collect();
        Some((left, Landing::Right { ranges, rebased: true }))
    }

    /// The patch where it belongs in a text.
    fn moved_to(&self, patch: &Patch, index: usize) -> Option<Vec<Hunk>> {
        moved(patch.hunks(), self.base, &self.deltas[..index], self.text(index)).ok()
    }

    /// The patch where an editor puts it that takes positions in the base for positions in a later text.
    fn misplaced(&self, patch: &Patch, index: usize, encoding: Encoding) -> Option<Vec<Hunk>> {
        let position = |offset| encoding.position(self.base, offset);
        let hunk = |hunk: &Hunk| {
            let range = protocol::Range { start: position(hunk.range.start), end: position(hunk.range.end) };
            Hunk { range: encoding.range(self.text(index), range), new: hunk.new.clone() }
        };
        let hunks: Vec<Hunk> = patch.hunks().iter().map(hunk).collect();
        hunks.is_sorted_by(|a, b| a.range.end <= b.range.start).then_some(hunks)
    }

    /// The first text after text `before` that is what these hunks make of it.
    fn came_out(&self, before: usize, hunks: &[Hunk]) -> Option<usize> {
        self.of_length(before, hunks)
            .find(|&after| spans::same_result(self.text(before), hunks, &self.deltas[before..after], self.text(after)))
    }

    /// The texts after text `before` that are as long as these hunks make it: nearly all others need no closer look.
    fn of_length(&self, before: usize, hunks: &[Hunk]) -> impl Iterator<Item = usize> {
        let gone: usize = hunks.iter().map(|hunk| hunk.range.len()).sum();
        let come: usize = hunks.iter().map(|hunk| hunk.new.len()).sum();
        let length = self.text(before).len_bytes() + come;
        (before.max(self.looked) + 1..=self.newest())
            .filter(move |&after| self.text(after).len_bytes() + gone == length)
    }
}

/// Reported changes that come to the same as some hunks.
struct Run {
    before: usize,
    after: usize,
    hunks: Vec<Hunk>,
}

impl Run {
    /// Less for what an editor would rather report. The beginning can be in doubt: what was typed just before may have been
    /// swallowed by the edit, and the first steps of an edit may change nothing when they are done again. One step
    /// for each hunk, or one for all, speaks for a beginning; a hunk with nothing to do against it; and else it is the newest.
    fn oddness(&self, story: &Story<'_>) -> impl Ord + use<> {
        let text = story.text(self.before);
        let idle = |hunk: &Hunk| text.get_byte_slice(hunk.range.clone()).is_some_and(|old| old == hunk.new.as_str());
        let busy: Vec<Hunk> = self.hunks.iter().filter(|hunk| !idle(hunk)).cloned().collect();
        let odd_steps = match self.after - self.before {
            _ if self.is_step_by_step(story, &busy) => 0,
            1 => 1,
            _ => 2,
        };
        (odd_steps, self.hunks.len() - busy.len(), std::cmp::Reverse(self.before))
    }

    /// Whether each change is one of the hunks, from the first to the last or the other way.
    fn is_step_by_step(&self, story: &Story<'_>, hunks: &[Hunk]) -> bool {
        let count = hunks.len();
        let came_out = |step: usize, hunks: &[Hunk]| {
            let now = self.before + step;
            spans::same_result(story.text(self.before), hunks, &story.deltas[self.before..now], story.text(now))
        };
        self.after - self.before == count
            && ((1..=count).all(|step| came_out(step, &hunks[count - step..]))
                || (1..=count).all(|step| came_out(step, &hunks[..step])))
    }
}

/// Where a part of a text is after some deltas, if none of them touched it.
fn follow(range: Range<usize>, deltas: &[Delta]) -> Option<Range<usize>> {
    deltas.iter().try_fold(range, |range, delta| {
        if delta.old_end() <= range.start {
            Some(delta.moved(range.start)..delta.moved(range.end))
        } else {
            (delta.start >= range.end).then_some(range)
        }
    })
}

#[cfg(test)]
mod tests;
