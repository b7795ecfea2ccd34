//! Three texts into one: a change, and what was typed on the very lines that it changes.

use std::ops::Range;

use ropey::Rope;

use super::land::spans::{Span, composed};
use super::lines::{Change, changes};
use super::rebase::{Clash, melts, moved};
use super::undo::{groups, is_made};
use super::{Hunk, Patch, deltas_between};
use crate::text::Delta;

impl Patch {
    /// The same change against the text `now`, which came out of `base`. `steps` are the changes that led there, where they are
    /// known: they say exactly what was typed where, and only what they touched is compared, for what was typed and taken
    /// away again, or a whole text that was reported for one word. First as [`Patch::rebase`] does it, then as [`Patch::merge`] does.
    ///
    /// # Errors
    /// The lines where the two meet.
    pub fn onto(&self, base: &Rope, steps: Option<&[Delta]>, now: &Rope) -> Result<Self, Clash> {
        if base.is_instance(now) {
            return Ok(self.clone());
        }
        let told = match steps {
            Some(steps) => vec![steps.to_vec(), refined(&composed(steps), base, now)],
            None => vec![deltas_between(base, now)],
        };
        let rebased = told.iter().find_map(|deltas| self.rebase(base, deltas, now).ok());
        let merged = || told.iter().map(|deltas| self.merge(base, deltas, now)).reduce(Result::or);
        match rebased {
            Some(rebased) => Ok(rebased),
            None => merged().unwrap_or_else(|| Ok(self.clone())),
        }
    }

    /// Like [`Patch::rebase`], for lines that were changed by other hands too. Hunks whose lines read in `now` as they would make
    /// them are left out. A hunk on a line where something else was typed is made when the two stand apart: no word is
    /// touched by both, and something that is not white space stands unchanged between them.
    ///
    /// # Errors
    /// The lines where the two meet.
    pub fn merge(&self, base: &Rope, deltas: &[Delta], now: &Rope) -> Result<Self, Clash> {
        let clash = match self.rebase(base, deltas, now) {
            Ok(moved) => return Ok(moved),
            Err(clash) => clash,
        };
        let spans = composed(deltas);
        let mut merged = Vec::new();
        let mut is_merged = false;
        for group in groups(base, self.hunks()) {
            match moved(group, base, deltas, now) {
                Ok(hunks) => merged.extend(hunks),
                Err(_) if is_made(group, base, &spans, now) => is_merged = true,
                Err(clash) => {
                    merged.extend(apart(group, base, &spans, now).ok_or(clash)?);
                    is_merged = true;
                }
            }
        }
        let in_order = merged.is_sorted_by(|a: &Hunk, b| a.range.end <= b.range.start);
        if is_merged && in_order { Ok(Self::joined(merged)) } else { Err(clash) }
    }
}

/// The smallest changes that do in each span what was done there.
pub(super) fn refined(spans: &[Span], base: &Rope, now: &Rope) -> Vec<Delta> {
    let hunks = spans.iter().flat_map(|span| {
        let text = |rope: &Rope, part: &Range<usize>| rope.byte_slice(part.clone()).to_string();
        let (old, new) = (text(base, &span.old), text(now, &span.new));
        let hunk = |change: Change| Hunk {
            range: span.old.start + change.old.start..span.old.start + change.old.end,
            new: new[change.new].to_owned(),
        };
        changes(&old, &new).into_iter().map(hunk).collect::<Vec<_>>()
    });
    Patch::joined(hunks).deltas()
}

/// The hunks against the text after the deltas, on lines that nobody touched or apart from what was typed there: as many as
/// before, in order.
pub(super) fn moved_beside(hunks: &[Hunk], base: &Rope, deltas: &[Delta], now: &Rope) -> Option<Vec<Hunk>> {
    if let Ok(moved) = moved(hunks, base, deltas, now) {
        return Some(moved);
    }
    let spans = composed(deltas);
    let mut all = Vec::with_capacity(hunks.len());
    for group in groups(base, hunks) {
        let there = moved(group, base, deltas, now).ok();
        all.extend(there.or_else(|| apart(group, base, &spans, now))?);
    }
    all.is_sorted_by(|a, b| a.range.end <= b.range.start).then_some(all)
}

/// The hunks in the text after the spans, when each of them stands apart from everything typed.
fn apart(hunks: &[Hunk], base: &Rope, spans: &[Span], now: &Rope) -> Option<Vec<Hunk>> {
    let hunk = |hunk: &Hunk| {
        let before = spans.partition_point(|span| span.old.end <= hunk.range.start);
        let (last, next) = (before.checked_sub(1).map(|index| &spans[index]), spans.get(before));
        let range = words(base, hunk.range.start, hunk.range.end);
        let parted = |start: usize, end: usize| {
            start < end
                && base.get_byte_slice(start..end).is_some_and(|gap| gap.chars().any(|char| !char.is_whitespace()))
        };
        let clear = last.is_none_or(|span| parted(words(base, span.old.start, span.old.end).1, range.0))
            && next.is_none_or(|span| parted(range.1, words(base, span.old.start, span.old.end).0));
        let (old_end, new_end) = last.map_or((0, 0), |span| (span.old.end, span.new.end));
        let start = hunk.range.start - old_end + new_end;
        let there = Hunk { range: start..start + hunk.range.len(), new: hunk.new.clone() };
        (clear && !melts(now, &there)).then_some(there)
    };
    hunks.iter().map(hunk).collect()
}

/// A part and the words that it begins and ends in.
fn words(text: &Rope, start: usize, end: usize) -> (usize, usize) {
    let is_word = |char: &char| char.is_alphanumeric() || *char == '_';
    let mut before = text.chars_at(text.byte_to_char(start));
    let left: usize = std::iter::from_fn(|| before.prev()).take_while(is_word).map(char::len_utf8).sum();
    let right: usize = text.chars_at(text.byte_to_char(end)).take_while(is_word).map(char::len_utf8).sum();
    (start - left, end + right)
}

#[cfg(test)]
mod tests;
