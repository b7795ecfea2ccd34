//! Taking a misplaced change back, and making it where it belongs.

use std::ops::Range;

use ropey::Rope;

use crate::edit::lines::{Change, trimmed};
use crate::edit::rebase::{Lines, line_end, line_start};
use crate::edit::{Hunk, Patch, new_ranges};
use crate::text::Delta;

/// A change that came out in the wrong place.
pub(super) struct Misplaced<'a> {
    /// The text that the editor applied it to.
    pub(super) before: &'a Rope,
    /// What it did there.
    pub(super) hunks: &'a [Hunk],
    /// The text that came out.
    pub(super) after: &'a Rope,
    /// What was typed since.
    pub(super) since: &'a [Delta],
    /// The text now.
    pub(super) newest: &'a Rope,
    /// What it should have done to `before`; `None` when it has no place there any more.
    pub(super) right: Option<&'a [Hunk]>,
}

/// The patch of the newest text that makes good, and the one that takes the edit out of the text after it. All of it is
/// made where it belongs, or nothing is (`None`) when something was typed since on lines that it changes; then it is only
/// taken back. What was typed since stays in any case.
pub(super) fn mend(misplaced: &Misplaced<'_>) -> (Patch, Option<Patch>) {
    let found = misplaced.right.and_then(|right| areas(misplaced, right));
    let makes = found.is_some();
    let areas = found.unwrap_or_default();
    let mut hunks: Vec<(usize, Hunk)> =
        areas.iter().map(|area| (area.start, area.mend(misplaced))).filter(|(_, hunk)| is_change(hunk)).collect();
    for (hunk, range) in misplaced.hunks.iter().zip(new_ranges(misplaced.hunks)) {
        if !areas.iter().any(|area| area.touches(hunk)) {
            let start = hunk.range.start;
            hunks.extend(taken_back(misplaced, hunk, range).into_iter().map(|hunk| (start, hunk)));
        }
    }
    // In the order of the text before: what moved since has kept that order, even where two came to touch.
    hunks.sort_by_key(|(start, _)| *start);
    let patch = Patch::joined(hunks.into_iter().map(|(_, hunk)| hunk));
    let made = makes.then(|| Patch::joined(areas.iter().flat_map(|area| area.made(misplaced, &patch))));
    (patch, made)
}

/// Lines of the text before that the right edit changes, and with them every part that the misplaced one changed there.
struct Area<'a> {
    start: usize,
    end: usize,
    /// The right hunks on these lines.
    right: &'a [Hunk],
    /// Between two lines only, with nothing misplaced there.
    place: bool,
    /// The same lines in the newest text.
    now: Range<usize>,
}

/// The areas of the right edit, in order; `None` when something was typed on one since.
fn areas<'a>(misplaced: &Misplaced<'_>, right: &'a [Hunk]) -> Option<Vec<Area<'a>>> {
    let mut areas: Vec<Area<'a>> = Vec::new();
    for (index, hunk) in right.iter().enumerate() {
        let mut area = area(misplaced, hunk);
        area.right = &right[index..=index];
        // A grown area may reach back over several. Those that only touch are one too: a misplaced hunk may stand right
        // between them.
        while let Some(last) = areas.pop_if(|last| last.end >= area.start) {
            area.start = area.start.min(last.start);
            area.end = area.end.max(last.end);
            area.place &= last.place;
            area.right = &right[index + 1 - area.right.len() - last.right.len()..=index];
        }
        areas.push(area);
    }
    areas.into_iter().map(|area| misplaced.now(area)).collect()
}

fn area<'a>(misplaced: &Misplaced<'_>, hunk: &Hunk) -> Area<'a> {
    let text = misplaced.before;
    let lines = Lines::of(text, hunk);
    let mut area = Area { start: lines.start, end: lines.end, right: &[], place: lines.place, now: 0..0 };
    loop {
        let before = (area.start, area.end);
        for hunk in misplaced.hunks.iter().filter(|hunk| hunk.range.start <= before.1 && before.0 <= hunk.range.end) {
            area.start = area.start.min(line_start(text, hunk.range.start));
            area.end = area.end.max(line_end(text, hunk.range.end));
            area.place = false;
        }
        if before == (area.start, area.end) {
            return area;
        }
    }
}

impl Area<'_> {
    fn touches(&self, hunk: &Hunk) -> bool {
        hunk.range.start <= self.end && self.start <= hunk.range.end
    }

    /// What makes the lines in the newest text read what the right edit makes of the text before.
    fn mend(&self, misplaced: &Misplaced<'_>) -> Hunk {
        let mut wanted = String::new();
        let mut at = self.start;
        for Hunk { range, new } in self.right {
            wanted.extend(misplaced.before.byte_slice(at..range.start).chunks());
            wanted.push_str(new);
            at = range.end;
        }
        wanted.extend(misplaced.before.byte_slice(at..self.end).chunks());
        smallest(misplaced.newest, self.now.clone(), &wanted)
    }
}

impl Area<'_> {
    /// What takes its hunks out of the mended text.
    fn made(&self, misplaced: &Misplaced<'_>, patch: &Patch) -> Vec<Hunk> {
        // What stands before the area in the newest text moves it; no hunk reaches over its beginning.
        let before = patch
            .hunks()
            .iter()
            .take_while(|hunk| hunk.range.end <= self.now.start && hunk.range.start < self.now.start);
        let mut at = before.fold(self.now.start, |at, hunk| at - hunk.range.len() + hunk.new.len());
        let mut old = self.start;
        let mut made = Vec::with_capacity(self.right.len());
        for Hunk { range, new } in self.right {
            at += range.start - old;
            let old_text = misplaced.before.byte_slice(range.clone()).to_string();
            made.push(Hunk { range: at..at + new.len(), new: old_text });
            at += new.len();
            old = range.end;
        }
        made
    }
}

impl Misplaced<'_> {
    /// Finds an area in the newest text, if it is there as it came out.
    fn now<'a>(&self, area: Area<'a>) -> Option<Area<'a>> {
        let ranges = new_ranges(self.hunks);
        let shifted = |offset: usize, counts: &dyn Fn(&Hunk) -> bool| {
            let behind = self.hunks.iter().zip(&ranges).rev().find(|(hunk, _)| counts(hunk));
            behind.map_or(offset, |(hunk, new)| offset - hunk.range.end + new.end)
        };
        // What touches the area is inside of it, so nothing stands on its edges.
        let start = shifted(area.start, &|hunk| hunk.range.end < area.start);
        let end = shifted(area.end, &|hunk| hunk.range.start <= area.end);
        let old = Lines::from(self.after, start, end);
        let place = area.place || start == end;
        let old = Lines { place, closed: old.closed || place, ..old };
        let mut lines = old.clone();
        self.since.iter().for_each(|delta| lines.follow(*delta));
        lines.hold(self.newest, &old, self.after).then_some(Area { now: lines.start..lines.end, ..area })
    }
}

/// Puts back what a misplaced hunk replaced, and takes out what is left of what it brought.
fn taken_back(misplaced: &Misplaced<'_>, hunk: &Hunk, came: Range<usize>) -> Vec<Hunk> {
    let mut old = Some(misplaced.before.byte_slice(hunk.range.clone()).to_string());
    let left = left_of(came, misplaced.since).into_iter();
    let parts = left.map(|part| smallest(misplaced.newest, part, &old.take().unwrap_or_default()));
    parts.filter(is_change).collect()
}

/// What some deltas leave of a part of a text, in order; where all of it went, the place where it was.
pub(super) fn left_of(part: Range<usize>, deltas: &[Delta]) -> Vec<Range<usize>> {
    let mut at = part.start;
    let mut left = vec![part];
    for delta in deltas {
        at = follow(at, *delta);
        left = left.into_iter().flat_map(|part| without(part, *delta)).filter(|part| !part.is_empty()).collect();
    }
    if left.is_empty() {
        left.push(at..at);
    }
    left
}

/// Where a place is after a delta; typed exactly there counts as before it.
fn follow(at: usize, delta: Delta) -> usize {
    if delta.old_end() <= at { delta.moved(at) } else { at.min(delta.start) }
}

/// What a delta leaves of a part: nothing of what it replaced, and not what it brought.
fn without(part: Range<usize>, delta: Delta) -> [Range<usize>; 2] {
    if delta.old_end() <= part.start {
        [delta.moved(part.start)..delta.moved(part.end), 0..0]
    } else if delta.start >= part.end {
        [part, 0..0]
    } else {
        let behind = if part.end > delta.old_end() { delta.new_end()..delta.moved(part.end) } else { 0..0 };
        [part.start.min(delta.start)..delta.start, behind]
    }
}

fn smallest(text: &Rope, range: Range<usize>, new: &str) -> Hunk {
    let old = text.byte_slice(range.clone()).to_string();
    let change = trimmed(&old, new, &Change { old: 0..old.len(), new: 0..new.len() });
    Hunk { range: range.start + change.old.start..range.start + change.old.end, new: new[change.new].to_owned() }
}

fn is_change(hunk: &Hunk) -> bool {
    !hunk.range.is_empty() || !hunk.new.is_empty()
}
