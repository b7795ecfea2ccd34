//! What was typed and an edit that was made in the midst of it, told as one change.
//!
//! Some editors report when the person pauses, and then everything at once. What comes is one text before and one after, and
//! the question is where the edit is in between. It is taken out again wherever it may be, and the place is believed that leaves
//! the least to have been typed.

use std::ops::Range;

use ropey::Rope;

use crate::edit::diff::distance;
use crate::edit::{Hunk, deltas_between};
use crate::protocol::{self, Position};
use crate::text::{Encoding, common_ends, replace};

/// Larger changes are not looked into: the look takes time that the person's typing waits for.
const MOST_BYTES: usize = 128 * 1024;
/// So many lines may have come or gone before the edit, and so many after.
const MOST_LINES: i64 = 8;
/// So far before its place an edit is looked for on its line, which may have become too short for it.
const MOST_BACK: usize = 200;
/// The same for an edit in many parts, which takes longer to look for.
const MOST_LINES_OF_MANY: i64 = 1;
/// So many parts are many, and an edit in more than `MOST_HUNKS` is not looked for.
const MANY_HUNKS: usize = 8;
const MOST_HUNKS: usize = 40;

/// An edit against `base`, and a report that may tell it together with what was typed.
pub(super) struct Tangle<'a> {
    pub(super) base: &'a Rope,
    pub(super) hunks: &'a [Hunk],
    /// The text before everything that the report tells.
    pub(super) before: &'a Rope,
    /// The text after.
    pub(super) after: &'a Rope,
    pub(super) encoding: Encoding,
}

/// A report taken apart.
pub(super) struct Apart {
    /// What would stand there without the edit.
    pub(super) typed: Rope,
    /// What the edit did to that.
    pub(super) hunks: Vec<Hunk>,
    /// How much was typed then.
    pub(super) cost: usize,
    /// How many lines it was moved down by what was typed after it.
    shift: i64,
}

/// How much a part of an edit changes by itself.
pub(super) fn own_cost(old: &str, new: &str) -> usize {
    distance(&Rope::from_str(old), &Rope::from_str(new))
}

impl Tangle<'_> {
    /// Whether it is worth a look.
    pub(super) fn is_small(&self) -> bool {
        let (prefix, suffix) = common_ends(self.before.slice(..), self.after.slice(..));
        let longer = self.before.len_bytes().max(self.after.len_bytes());
        self.hunks.len() <= MOST_HUNKS && longer - prefix - suffix <= MOST_BYTES
    }

    /// The edit taken out where the editor took its positions for positions in another text, if less than `below` is left
    /// to have been typed then, and less by all that the edit does.
    pub(super) fn apart(&self, below: usize) -> Option<Apart> {
        // An edit that would have changed nothing there is no edit that was seen.
        let below = below.min(distance(self.before, self.after));
        let ranges: Vec<protocol::Range> = self.hunks.iter().map(|hunk| self.range(hunk)).collect();
        let tries = self.lines().flat_map(|shift| {
            let starts = self.starts(&ranges, shift);
            let ranges = &ranges;
            starts.into_iter().filter_map(move |starts| self.taken_out(ranges, shift, &starts))
        });
        tries.filter(|apart| apart.cost < below).min_by_key(|apart| (apart.cost, apart.shift.abs()))
    }

    /// How many lines may have come before the edit, or after it: none, all that came in the end, or one more to either side
    /// for those that came and went.
    fn lines(&self) -> std::ops::RangeInclusive<i64> {
        let lines = |rope: &Rope| i64::try_from(rope.len_lines()).unwrap_or(i64::MAX);
        let made: i64 = self.hunks.iter().map(|hunk| breaks(&hunk.new) - breaks_in(self.base, &hunk.range)).sum();
        let typed = lines(self.after) - lines(self.before) - made;
        let most = if self.hunks.len() > MANY_HUNKS { MOST_LINES_OF_MANY } else { MOST_LINES };
        (typed.min(0) - 1).max(-most)..=(typed.max(0) + 1).min(most)
    }

    fn range(&self, hunk: &Hunk) -> protocol::Range {
        let position = |offset| self.encoding.position(self.base, offset);
        protocol::Range { start: position(hunk.range.start), end: position(hunk.range.end) }
    }

    /// Where the new texts may begin, when the edit has since been moved down by `shift` lines: all possible places of an
    /// edit in one part, the first possible ones of one in several.
    fn starts(&self, ranges: &[protocol::Range], shift: i64) -> Vec<Vec<usize>> {
        let mut starts: Vec<usize> = Vec::with_capacity(ranges.len());
        for (index, (range, hunk)) in ranges.iter().zip(self.hunks).enumerate() {
            let place = match index.checked_sub(1) {
                None => moved(range.start, shift),
                Some(last) => {
                    let end = self.encoding.position(self.after, starts[last] + self.hunks[last].new.len());
                    Some(behind(end, ranges[last].end, range.start))
                }
            };
            let mut places = place.into_iter().flat_map(|place| self.places(place, &hunk.new));
            if ranges.len() == 1 {
                return places.map(|place| vec![place]).collect();
            }
            let least = index.checked_sub(1).map_or(0, |last| starts[last] + self.hunks[last].new.len());
            match places.find(|place| *place >= least) {
                Some(place) => starts.push(place),
                None => return Vec::new(),
            }
        }
        vec![starts]
    }

    /// Where a new text stands that was meant for a place: there, or before it on the same line.
    fn places(&self, place: Position, new: &str) -> Vec<usize> {
        let line = place.line as usize;
        if line >= self.after.len_lines() {
            return Vec::new();
        }
        let at = self.encoding.offset(self.after, place);
        let line_start = self.after.line_to_byte(line);
        let line = self.after.byte_slice(line_start..at);
        let back = line.chars_at(line.len_chars()).reversed().scan(at, |at, char| {
            *at -= char.len_utf8();
            Some(*at)
        });
        let stands = |at: &usize| self.after.get_byte_slice(*at..at + new.len()).is_some_and(|text| text == new);
        // Before its place it can only be where the line was too short: at its end, or in place of the break.
        let at_end = |at: &usize| new.is_empty() || !new.contains('\n') && stands(at);
        std::iter::once(at).filter(stands).chain(back.take(MOST_BACK).filter(at_end)).collect()
    }

    /// The text with the old parts back in place, each as it fits best.
    fn taken_out(&self, ranges: &[protocol::Range], shift: i64, starts: &[usize]) -> Option<Apart> {
        let mut typed = self.after.clone();
        let mut left = distance(self.before, self.after);
        let mut old = Vec::with_capacity(starts.len());
        for ((range, hunk), &start) in ranges.iter().zip(self.hunks).zip(starts).rev() {
            let whole = start..start + hunk.new.len();
            let parts = self.old_parts(range, &whole);
            let fits = parts.into_iter().map(|part| {
                let mut text = typed.clone();
                replace(&mut text, whole.clone(), &part);
                (distance(self.before, &text), part, text)
            });
            // Where the editor would put several parts is known only when all of them are out.
            let fits = fits.filter(|(less, part, text)| {
                less + own_cost(part, &hunk.new) <= left
                    && (starts.len() > 1
                        || self.is_put_there(text, std::slice::from_ref(&(start..start + part.len())), ranges, shift))
            });
            let (less, part, text) = fits.min_by_key(|(cost, ..)| *cost)?;
            (typed, left) = (text, less);
            old.push(part.len());
        }
        old.reverse();
        let (mut gone, mut come) = (0, 0);
        let mut hunks = Vec::with_capacity(starts.len());
        for ((hunk, start), old) in self.hunks.iter().zip(starts).zip(old) {
            let start = start + come - gone;
            hunks.push(Hunk { range: start..start + old, new: hunk.new.clone() });
            come += old;
            gone += hunk.new.len();
        }
        let places: Vec<Range<usize>> = hunks.iter().map(|hunk| hunk.range.clone()).collect();
        let sound = self.is_put_there(&typed, &places, ranges, shift) && self.is_moved(&typed, &places, shift);
        sound.then_some(Apart { typed, hunks, cost: left, shift })
    }

    /// Whether as many lines came or went before the edit as it was moved by.
    fn is_moved(&self, typed: &Rope, places: &[Range<usize>], shift: i64) -> bool {
        let start = places.first().map_or(0, |place| place.start);
        let (mut come, mut gone, mut moved) = (0, 0, 0);
        for delta in deltas_between(self.before, typed).iter().take_while(|delta| delta.start < start) {
            let old = delta.start.saturating_add_signed(-moved);
            let lines =
                breaks_in(typed, &(delta.start..delta.new_end())) - breaks_in(self.before, &(old..old + delta.old_len));
            come += lines.max(0);
            gone += lines.min(0);
            moved += delta.new_len.cast_signed() - delta.old_len.cast_signed();
        }
        (gone..=come).contains(&shift)
    }

    /// What may have stood in the place of a new text.
    fn old_parts(&self, range: &protocol::Range, new: &Range<usize>) -> Vec<String> {
        let mut parts = vec![String::new()];
        if range.start == range.end {
            return parts;
        }
        // The line was too short for it to replace more than the break.
        parts.extend(["\n", "\r\n"].map(String::from));
        for shift in self.lines().map(|lines| -lines) {
            let (Some(start), Some(end)) = (moved(range.start, shift), moved(range.end, shift)) else { continue };
            if start.line as usize >= self.before.len_lines() {
                continue;
            }
            let part = self.encoding.range(self.before, protocol::Range { start, end });
            // Something typed before it on its line has moved it: then what is behind it tells where it was.
            let counted_from_behind = (start.line == end.line)
                .then(|| self.counted_from_behind(start.line, end.character - start.character, new));
            for part in std::iter::once(part).chain(counted_from_behind.flatten()) {
                let with_break = part.start..part.end + break_at(self.before, part.end);
                for part in [part, with_break] {
                    parts.extend(self.before.get_byte_slice(part).map(String::from));
                }
            }
        }
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    /// A part of a line of the text before that has behind it what is behind the new text on its line.
    fn counted_from_behind(&self, line: u32, units: u32, new: &Range<usize>) -> Option<Range<usize>> {
        let far = |line| Position { line, character: u32::MAX };
        let new_line = u32::try_from(self.after.try_byte_to_line(new.end).ok()?).ok()?;
        let behind = self.after.get_byte_slice(new.end..self.encoding.offset(self.after, far(new_line)))?;
        let line_end = self.encoding.offset(self.before, far(line));
        let end = line_end.checked_sub(behind.len_bytes())?;
        if self.before.get_byte_slice(end..line_end)? != behind {
            return None;
        }
        let position = self.encoding.position(self.before, end);
        let start = Position { line, character: position.character.checked_sub(units)? };
        (position.line == line).then(|| self.encoding.offset(self.before, start)..end)
    }

    /// Whether an editor puts the edit exactly here, given a text that is shifted by some lines against the one it saw.
    fn is_put_there(&self, text: &Rope, places: &[Range<usize>], ranges: &[protocol::Range], shift: i64) -> bool {
        let all = |put: &dyn Fn(protocol::Range) -> Range<usize>| {
            ranges.iter().zip(places).all(|(range, place)| {
                let (start, end) = (moved(range.start, shift), moved(range.end, shift));
                start.zip(end).is_some_and(|(start, end)| put(protocol::Range { start, end }) == *place)
            })
        };
        all(&|range| self.encoding.range(text, range)) || all(&|range| selected(text, range, self.encoding))
    }
}

/// What is selected from a first to a last character, as Kakoune does: each is held on its line, and the break is the last
/// one of a line, so behind the end of a line it is the break that is replaced.
fn selected(text: &Rope, range: protocol::Range, encoding: Encoding) -> Range<usize> {
    let held = |position: Position| encoding.offset(text, position);
    if range.start == range.end {
        let at = held(range.start);
        return at..at;
    }
    let end = held(range.end);
    let short = encoding.position(text, end).character < range.end.character;
    let start = held(range.start);
    start..if short { end + break_at(text, end) } else { end }.max(start)
}

/// How long the line break is that begins at a byte.
fn break_at(text: &Rope, at: usize) -> usize {
    match (text.get_byte(at), text.get_byte(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (Some(b'\r' | b'\n'), _) => 1,
        _ => 0,
    }
}

fn breaks(text: &str) -> i64 {
    i64::try_from(text.matches('\n').count()).unwrap_or(i64::MAX)
}

fn breaks_in(text: &Rope, range: &Range<usize>) -> i64 {
    let line = |at| i64::try_from(text.byte_to_line(at)).unwrap_or(i64::MAX);
    line(range.end) - line(range.start)
}

fn moved(position: Position, lines: i64) -> Option<Position> {
    let line = u32::try_from(i64::from(position.line) + lines).ok()?;
    Some(Position { line, ..position })
}

/// Where `later` is when `earlier`, before it in the same text, has come to be at `now`.
fn behind(now: Position, earlier: Position, later: Position) -> Position {
    let lines = later.line.saturating_sub(earlier.line);
    let character = if lines == 0 { now.character + (later.character - earlier.character) } else { later.character };
    Position { line: now.line + lines, character }
}

#[cfg(test)]
mod tests;
