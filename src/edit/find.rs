//! Finding the text that an edit means.
//!
//! Matching goes by tiers, strictest first; the first tier that finds a text anywhere decides, and there it must be
//! unique. To add a tier: write its function in a file of `find/`, and add it to [`TIERS`].

mod exact;
mod near;

use std::ops::Range;

use super::Patch;
use super::diff::{edits, with_lf};
use super::lf::{LfEdit, LfText};
use crate::text::Snapshot;

/// One replacement, as a model asks for it; texts have LF line endings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// What stands there. Must be found exactly once, or, with `all`, at least once.
    pub old: String,
    /// What shall stand there.
    pub new: String,
    /// Every occurrence.
    pub all: bool,
}

/// Why an edit has no place. Written for the model: it names the replacement, shows where and what is near.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// `old` is nowhere; `near` shows the most similar place with line numbers, when there is one.
    #[error("edit {index}: the old text is not in the file{near}")]
    Missing {
        /// Which replacement, from 1.
        index: usize,
        /// "; the nearest place …", or nothing.
        near: String,
    },
    /// `old` is there more than once.
    #[error(
        "edit {index}: the old text is there {count} times, at lines {lines}; add lines around it until it is unique, or set \"all\""
    )]
    Ambiguous {
        /// Which replacement, from 1.
        index: usize,
        /// How often.
        count: usize,
        /// The first lines of the first places, from 1.
        lines: String,
    },
    /// `old` is empty.
    #[error("edit {index}: \"old\" is empty; give the text to replace, or use write for a new file")]
    Empty {
        /// Which replacement, from 1.
        index: usize,
    },
    /// `old` and `new` are the same.
    #[error("edit {index}: \"old\" and \"new\" are the same, so nothing would change")]
    Same {
        /// Which replacement, from 1.
        index: usize,
    },
    /// Two replacements meet.
    #[error("edits {first} and {second} overlap; make them one")]
    Overlap {
        /// The earlier one, from 1.
        first: usize,
        /// The later one, from 1.
        second: usize,
    },
}

/// How many places an ambiguous text names.
const NAMED: usize = 8;

/// From the strictest to the laxest.
const TIERS: &[fn(&str, &Wanted<'_>) -> Vec<Match>] = &[exact::matches];

/// A replacement with LF line endings.
struct Wanted<'a> {
    old: &'a str,
    new: &'a str,
    all: bool,
}

/// A place of the text with LF line endings, and what shall stand there: a lax tier may fit it to the place.
struct Match {
    range: Range<usize>,
    new: String,
}

/// Finds every replacement in the same base and gives the smallest patch that does them all, or nothing.
///
/// # Errors
/// The first replacement that has no place of its own.
pub fn find(base: &Snapshot, replacements: &[Replacement]) -> Result<Patch, FindError> {
    let lf = LfText::of(base.rope());
    let mut places: Vec<(usize, Match)> = Vec::new();
    for (index, replacement) in (1..).zip(replacements) {
        let (old, new) = (with_lf(&replacement.old), with_lf(&replacement.new));
        let found = locate(&lf, index, &Wanted { old: &old, new: &new, all: replacement.all })?;
        places.extend(found.into_iter().map(|place| (index, place)));
    }
    places.sort_by_key(|(_, place)| place.range.start);
    if let Some(pair) = places.windows(2).find(|pair| pair[1].1.range.start < pair[0].1.range.end) {
        let (a, b) = (pair[0].0, pair[1].0);
        return Err(FindError::Overlap { first: a.min(b), second: a.max(b) });
    }
    let edits: Vec<LfEdit> =
        places.into_iter().flat_map(|(_, place)| edits(lf.text(), place.range, &place.new)).collect();
    Ok(lf.patch(base, edits))
}

fn locate(lf: &LfText, index: usize, wanted: &Wanted<'_>) -> Result<Vec<Match>, FindError> {
    if wanted.old.is_empty() {
        return Err(FindError::Empty { index });
    }
    if wanted.old == wanted.new {
        return Err(FindError::Same { index });
    }
    let found = TIERS.iter().map(|tier| tier(lf.text(), wanted)).find(|found| !found.is_empty()).unwrap_or_default();
    match found.len() {
        0 => Err(FindError::Missing { index, near: near::describe(lf.text(), wanted.old) }),
        1 => Ok(found),
        _ if wanted.all => Ok(found),
        count => Err(FindError::Ambiguous { index, count, lines: first_lines(lf, &found) }),
    }
}

fn first_lines(lf: &LfText, found: &[Match]) -> String {
    let mut lines: Vec<String> = found.iter().take(NAMED).map(|place| lf.line(place.range.start).to_string()).collect();
    lines.dedup();
    if found.len() > NAMED {
        lines.push("…".into());
    }
    lines.join(", ")
}

#[cfg(test)]
mod tests;
