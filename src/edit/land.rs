//! Whether an edit has landed: found in what the editor reported, not in what it promised.

mod mend;
pub(super) mod spans;
mod tidy;

use std::ops::Range;

use super::diff::distance;
use super::merge::moved_beside;
use super::{Hunk, Patch, deltas_between, new_ranges};
use crate::protocol;
use crate::text::{Delta, Encoding, common_ends, replace};
use ropey::Rope;

/// Larger changes are not looked into: the look takes time that the person's typing waits for.
const MOST_BYTES: usize = 128 * 1024;

/// A change that has come into a text, and the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The text in which it was seen: what was typed before it is in there, what was typed later is not.
    pub text: Rope,
    /// What takes exactly the change out of that text. Hunks that came to touch are one here.
    pub back: Patch,
}

/// What the reported changes say about a patch that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// Not (yet) among the reported changes.
    Absent,
    /// Done: `ranges` are the places of the new texts in the newest reported text (`None` for one that was typed
    /// over since), `rebased` says that something else was typed before it.
    Right {
        /// The text that came out, and the way back.
        seen: Seen,
        /// Byte ranges in the newest text, one for each hunk of the way back.
        ranges: Vec<Option<Range<usize>>>,
        /// Whether the text had moved on before the edit came.
        rebased: bool,
    },
    /// The editor put the bytes where they were meant for an older text. `mend` turns the newest text into what it should
    /// be: the misplaced change taken back and the edit made where it belongs (or, when it has no place any more, only taken back).
    Wrong {
        /// Against the newest reported text.
        mend: Patch,
        /// What takes the edit out of the mended text; `None` when it is only taken back.
        made: Option<Patch>,
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

/// Looks for a patch in one report, told by the changes `told` of all that were reported, in its place and with other things typed
/// around it. It is for editors that report only now and then, and tell what was typed and the edit as one change, where
/// [`landed`] sees neither. Where such an editor put an edit in a wrong place cannot be told from the report, so that is never
/// guessed at.
#[must_use]
pub fn landed_among_typing(patch: &Patch, base: &Rope, reported: &[(Delta, Rope)], told: &Range<usize>) -> Landing {
    Story::new(base, reported, 0).typed_around(patch, told).unwrap_or(Landing::Absent)
}

impl Seen {
    /// A change that `back` takes out of `expected`, seen in a text that is nearly it: what was typed into the change
    /// stays when it is taken back.
    #[must_use]
    pub fn nearly(expected: &Rope, back: &Patch, text: Rope) -> Self {
        let deltas = deltas_between(expected, &text);
        let parts = back.hunks().iter().flat_map(|Hunk { range, new }| {
            let mut old = Some(new.clone());
            let left = mend::left_of(range.clone(), &deltas).into_iter();
            left.map(move |range| Hunk { range, new: old.take().unwrap_or_default() })
        });
        let back = Patch::joined(parts);
        Self { text, back }
    }

    /// Where the change stands in a later text, `None` for each hunk that was typed over since.
    #[must_use]
    pub fn ranges(&self, now: &Rope) -> Vec<Option<Range<usize>>> {
        let deltas = deltas_between(&self.text, now);
        self.back.hunks().iter().map(|hunk| follow(hunk.range.clone(), &deltas)).collect()
    }
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
            let back = Patch::joined(hunks).inverse(self.text(before));
            let range = |hunk: &Hunk| follow(hunk.range.clone(), &self.deltas[after..]);
            let ranges = back.hunks().iter().map(range).collect();
            let seen = Seen { text: self.text(after).clone(), back };
            Some(Landing::Right { seen, ranges, rebased: before > 0 })
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

    /// The edit in its place with everything else typed around it: taking it out must leave less to have been typed, by all that the
    /// edit changes.
    fn typed_around(&self, patch: &Patch, told: &Range<usize>) -> Option<Landing> {
        let (before, after) = (self.text(told.start), self.text(told.end));
        let (prefix, suffix) = common_ends(before.slice(..), after.slice(..));
        if before.len_bytes().max(after.len_bytes()) - prefix - suffix > MOST_BYTES {
            return None;
        }
        let hunks = self.moved_to(patch, told.start)?;
        let mut edited = before.clone();
        let mut left = distance(before, after);
        for Hunk { range, new } in hunks.iter().rev() {
            let old = before.byte_slice(range.clone()).to_string();
            replace(&mut edited, range.clone(), new);
            let less = distance(&edited, after);
            if less + distance(&Rope::from_str(&old), &Rope::from_str(new)) > left {
                return None;
            }
            left = less;
        }
        let typed = deltas_between(&edited, after);
        let back = hunks.iter().zip(new_ranges(&hunks)).map(|(hunk, new)| {
            let old = before.byte_slice(hunk.range.clone()).to_string();
            follow(new, &typed).map(|range| Hunk { range, new: old })
        });
        let back: Vec<Hunk> = back.collect::<Option<_>>()?;
        Some(self.seen_in(told.end, Patch::joined(back)))
    }

    /// The edit is in text `after`, in the midst of what was typed, and `back` takes it out of there.
    fn seen_in(&self, after: usize, back: Patch) -> Landing {
        let ranges = back.hunks().iter().map(|hunk| follow(hunk.range.clone(), &self.deltas[after..])).collect();
        Landing::Right { seen: Seen { text: self.text(after).clone(), back }, ranges, rebased: true }
    }

    /// The patch where it belongs in a text.
    fn moved_to(&self, patch: &Patch, index: usize) -> Option<Vec<Hunk>> {
        moved_beside(patch.hunks(), self.base, &self.deltas[..index], self.text(index))
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
