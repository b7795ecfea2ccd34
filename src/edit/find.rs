//! Finding the text that an edit means.
//!
//! Matching goes by tiers, strictest first ([`Tier`]); the first tier that finds a text anywhere decides, and there it
//! must be unique. What is merely similar is shown, never edited. `docs/edits.md` says what each tier takes for equal.
//!
//! To add a tier: give [`Tier`] a variant, and [`look`] the search and the fitting of the new text.

mod elide;
mod error;
mod escape;
mod exact;
mod fit;
mod fold;
mod indent;
mod near;
mod seek;
mod text;
mod tier;

use std::ops::Range;

pub use error::{FindError, Nth};
pub(super) use text::Text;
pub use tier::Tier;

use self::seek::Way;
use super::Patch;
use super::diff::{edits, with_lf};
use super::lf::{LfEdit, LfText};
use crate::text::Snapshot;

/// One replacement, as a model asks for it; texts have LF line endings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// What stands there. Must be found exactly once, or, with `all`, at least once.
    pub old: String,
    /// What shall stand there.
    pub new: String,
    /// Every occurrence.
    pub all: bool,
    /// Near which line, from 1, it stands: chooses among equal places.
    pub line: Option<usize>,
}

/// A patch, and what of it was matched otherwise than exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The smallest patch that does all that was asked.
    pub patch: Patch,
    /// The parts that were not found exactly, and how they were.
    pub lax: Vec<(Nth, Tier)>,
}

impl Found {
    /// What the model is told about how its texts were matched: a sentence, or nothing when all was exact.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let parts: Vec<String> = self.lax.iter().map(|(nth, tier)| format!("{nth} matched {tier}")).collect();
        (!parts.is_empty()).then(|| format!("{}.", parts.join(", ")))
    }
}

/// Finds every replacement in the same base and gives the smallest patch that does them all, or nothing.
///
/// # Errors
/// The first replacement that has no place of its own.
pub fn find(base: &Snapshot, replacements: &[Replacement]) -> Result<Patch, FindError> {
    found(base, replacements).map(|found| found.patch)
}

/// The same, with how each was matched.
///
/// # Errors
/// The same.
pub fn found(base: &Snapshot, replacements: &[Replacement]) -> Result<Found, FindError> {
    let lf = LfText::of(base.rope());
    let text = Text::new(lf.text());
    let mut places = Vec::new();
    for (nth, replacement) in (1..).map(Nth::Edit).zip(replacements) {
        let (old, new) = (with_lf(&replacement.old), with_lf(&replacement.new));
        let wanted = Wanted { all: replacement.all, line: replacement.line, ..Wanted::of(&old, &new) };
        places.push((nth, place(&text, nth, &wanted)?));
    }
    patch(base, &lf, places)
}

/// What is looked for, with LF line endings.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) old: &'a str,
    pub(super) new: &'a str,
    pub(super) all: bool,
    /// Near which line, from 1.
    pub(super) line: Option<usize>,
    /// Whether only whole lines count.
    pub(super) whole: bool,
    /// Where the search begins; a line's start.
    pub(super) from: usize,
    /// Of several places those that end before this count, if there are any.
    pub(super) within: Option<usize>,
    /// Whether only the end of the text counts.
    pub(super) at_end: bool,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(old: &'a str, new: &'a str) -> Self {
        Self { old, new, all: false, line: None, whole: false, from: 0, within: None, at_end: false }
    }
}

/// Where a text was found, and what shall stand there.
pub(super) struct Placed {
    pub(super) tier: Tier,
    pub(super) pieces: Vec<Piece>,
}

/// A part of the text with LF line endings, and what shall stand there.
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) new: String,
}

/// One patch of all that was found.
pub(super) fn patch(base: &Snapshot, lf: &LfText, placed: Vec<(Nth, Placed)>) -> Result<Found, FindError> {
    let lax = placed.iter().filter(|(_, placed)| placed.tier > Tier::Exact).map(|(nth, placed)| (*nth, placed.tier));
    let lax = lax.collect();
    let mut pieces: Vec<(Nth, Piece)> =
        placed.into_iter().flat_map(|(nth, placed)| placed.pieces.into_iter().map(move |piece| (nth, piece))).collect();
    pieces.sort_by_key(|(_, piece)| piece.range.start);
    if let Some(pair) = pieces.windows(2).find(|pair| pair[1].1.range.start < pair[0].1.range.end) {
        let (a, b) = (pair[0].0, pair[1].0);
        return Err(FindError::Overlap { first: a.min(b), second: a.max(b) });
    }
    let edits: Vec<LfEdit> =
        pieces.into_iter().flat_map(|(_, piece)| edits(lf.text(), piece.range, &piece.new)).collect();
    Ok(Found { patch: lf.patch(base, edits), lax })
}

/// Where a text stands: in the strictest tier that finds it.
pub(super) fn place(text: &Text<'_>, nth: Nth, wanted: &Wanted<'_>) -> Result<Placed, FindError> {
    if wanted.old.is_empty() {
        return Err(FindError::Empty { nth });
    }
    if wanted.old == wanted.new {
        return Err(FindError::Same { nth });
    }
    if let Some(placed) = look(text, nth, "the old text", wanted)? {
        return Ok(placed);
    }
    let readings = escape::unescaped(wanted.old, wanted.new);
    for (old, new) in &readings {
        let plain = Wanted { old, new, ..*wanted };
        if let Some(placed) = look(text, nth, "the old text with its escapes taken off", &plain)? {
            if readings.iter().any(|(same, other)| same == old && other != new) {
                return Err(FindError::Escapes { nth, escapes: escape::only_new(wanted.old, wanted.new) });
            }
            return Ok(Placed { tier: Tier::Escaped, ..placed });
        }
    }
    match around(text, nth, wanted)? {
        Some(placed) => Ok(placed),
        None => Err(FindError::Missing { nth, near: near::describe(text.text(), wanted.old) }),
    }
}

/// The ways to look for a text as it is written, strictest first.
const WAYS: [(Tier, Option<Way>); 5] = [
    (Tier::Exact, None),
    (Tier::Trailing, Some(Way { fold: false, shift: false })),
    (Tier::Indent, Some(Way { fold: false, shift: true })),
    (Tier::Typography, Some(Way { fold: true, shift: false })),
    (Tier::Typography, Some(Way { fold: true, shift: true })),
];

/// Goes through the tiers for a text as it is written; nothing when it is nowhere. `what` names it in errors.
fn look(text: &Text<'_>, nth: Nth, what: &str, wanted: &Wanted<'_>) -> Result<Option<Placed>, FindError> {
    for (tier, way) in WAYS {
        let mut places = match way {
            None => exact::places(text, wanted),
            Some(way) if way.fold && wanted.old.is_ascii() && text.is_ascii() => continue,
            Some(way) => {
                let mut places = seek::blocks(text, wanted, way);
                places.retain(|place| fit::fits(&text.text()[place.clone()], wanted.old, way));
                places
            }
        };
        places.retain(|place| !wanted.at_end || text.text()[place.end..].trim().is_empty());
        if places.is_empty() {
            continue;
        }
        let places = chosen(text, nth, &format!("{what}{}", tier.suffix()), wanted, places)?;
        if let Some((line, text)) = elide::omission(wanted.old, wanted.new) {
            return Err(FindError::Omission { nth, line, text: text.to_owned() });
        }
        let piece = |range: Range<usize>| {
            let there = &text.text()[range.clone()];
            let new = if there == wanted.old {
                Some(wanted.new.to_owned())
            } else {
                fit::fitted(there, wanted.old, wanted.new, way.unwrap_or_default())
            };
            new.map(|new| Piece { range, new })
        };
        return Ok(Some(Placed { tier, pieces: places.into_iter().filter_map(piece).collect() }));
    }
    Ok(None)
}

/// Of several places the one that is meant, or with `all` every one.
fn chosen(
    text: &Text<'_>,
    nth: Nth,
    what: &str,
    wanted: &Wanted<'_>,
    mut places: Vec<Range<usize>>,
) -> Result<Vec<Range<usize>>, FindError> {
    if wanted.all {
        let mut end = 0;
        places.retain(|place| {
            let apart = place.start >= end;
            end = if apart { place.end } else { end };
            apart
        });
        return Ok(places);
    }
    if let Some(end) = wanted.within.filter(|_| places.len() > 1) {
        let inside: Vec<_> = places.iter().filter(|place| place.end <= end).cloned().collect();
        places = if inside.is_empty() { places } else { inside };
    }
    if let Some(line) = wanted.line.filter(|_| places.len() > 1) {
        let distance = |place: &Range<usize>| {
            let (first, last) = (1 + text.line_at(place.start), 1 + text.line_at(place.end.max(place.start + 1) - 1));
            first.saturating_sub(line).max(line.saturating_sub(last))
        };
        let least = places.iter().map(distance).min();
        places.retain(|place| Some(distance(place)) == least);
    }
    if places.len() == 1 {
        return Ok(places);
    }
    let starts: Vec<usize> = places.iter().map(|place| place.start).collect();
    Err(ambiguous(text, nth, what, &starts))
}

/// Says where the places begin of which none can be told from another.
pub(super) fn ambiguous(text: &Text<'_>, nth: Nth, what: &str, starts: &[usize]) -> FindError {
    FindError::Ambiguous { nth, what: what.to_owned(), count: starts.len(), lines: first_lines(text, starts) }
}

/// How many places an ambiguous text names.
const NAMED: usize = 8;

fn first_lines(text: &Text<'_>, starts: &[usize]) -> String {
    let mut lines: Vec<String> =
        starts.iter().take(NAMED).map(|&start| (1 + text.line_at(start)).to_string()).collect();
    lines.dedup();
    if starts.len() > NAMED {
        lines.push("…".into());
    }
    lines.join(", ")
}

/// The place of a text that leaves out its middle: each of its pieces must stand once in the file, in order, and what is left
/// out stays. Nothing when it leaves nothing out, or when a piece is nowhere.
fn around(text: &Text<'_>, nth: Nth, wanted: &Wanted<'_>) -> Result<Option<Placed>, FindError> {
    let old = elide::parts(wanted.old);
    if old.marks.is_empty() {
        return Ok(None);
    }
    let new = elide::parts(wanted.new);
    // Dots that the file has itself, or that nothing stands beside, are text like any other.
    let own = || old.marks.iter().all(|mark| (0..text.lines()).any(|line| text.line(line).trim() == *mark));
    if old.pieces.iter().any(|piece| piece.trim().is_empty()) || old.marks != new.marks && own() {
        return Ok(None);
    }
    let refuse = |why: &str| Err(FindError::Elided { nth, why: why.to_owned() });
    if old.marks != new.marks {
        return refuse(
            "the old text leaves lines out, and the new one does not leave out the same in the same order; write both out, or \
             edit only the lines that change",
        );
    }
    if wanted.all {
        return refuse("an old text that leaves lines out has one place; \"all\" needs it written out");
    }
    let mut pieces = Vec::new();
    let mut from = wanted.from;
    for (index, (old, new)) in old.pieces.iter().zip(&new.pieces).enumerate() {
        let anchor = Wanted { whole: true, line: None, within: None, at_end: false, ..*wanted };
        let anchor = Wanted { old, new, ..anchor };
        let what = format!("part {} of the old text (it leaves lines out)", index + 1);
        let Some(placed) = look(text, nth, &what, &anchor)? else { return Ok(None) };
        let Some(piece) = placed.pieces.into_iter().next() else { return Ok(None) };
        if piece.range.start < from {
            return refuse("the parts around what the old text leaves out stand in another order in the file");
        }
        from = piece.range.end;
        pieces.push(piece);
    }
    Ok(Some(Placed { tier: Tier::Elided, pieces }))
}

#[cfg(test)]
mod tests;
