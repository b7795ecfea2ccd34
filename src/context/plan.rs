//! Where a history may be cut: pure functions from a window and a budget.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::summary::is_note;
use super::{Budget, Summary, Window, tokens};
use crate::model::{Block, Item, Said};
use crate::settings::CompactionMode;

/// The part of a span that its summary is expected to take.
const SUMMARY_SHARE: u64 = 5;

/// What the request under way takes in a note beside its text.
const REQUEST_FRAME: u64 = 32;

/// What is summarised, and what stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// So many entries from the beginning on are summarised, the note of the summary before included.
    pub covers: usize,
    /// Of those, the first of the turn that the cut goes through, when it goes through one: its beginning is summarised
    /// on its own.
    pub split: Option<usize>,
    /// Turns that are summarised, one whose beginning is included.
    pub turns_compacted: u64,
    /// Turns that stay as they are, one whose end stays included.
    pub turns_kept: u64,
    /// Tokens of what is summarised.
    pub tokens: u64,
}

/// Why nothing is to be summarised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// There is no history.
    #[error("there is nothing to compact yet")]
    Empty,
    /// The newest entry is a compaction.
    #[error("nothing was said since the last compaction")]
    JustCompacted,
    /// It would gain too little.
    #[error("compacting would gain about {gain} tokens, and less than {least} is not worth it")]
    TooLittle {
        /// So much.
        gain: u64,
        /// The least that is worth it.
        least: u64,
    },
    /// Everything that could be cut off is needed by what stays.
    #[error("what there is belongs to the request under way")]
    NoSafePlace,
    /// The note of the last compaction is not where it should be.
    #[error("the beginning of the last compaction is not there any more; begin another session or clear this one")]
    NoBoundary,
}

/// Finds the cut.
///
/// # Errors
/// Why there is none.
pub fn plan(window: &Window, budget: &Budget, mode: CompactionMode) -> Result<Cut, Nothing> {
    let weights: Vec<u64> = (0..window.items().len()).map(|index| window.tokens(index..index + 1)).collect();
    let summary = window.summary().map(|summary| Before::of(summary));
    let under_way = window.summary().map_or(0, |summary| {
        let asked = summary.under_way.iter().chain(&summary.added);
        asked.map(|asked| window.accounting().calibrated(tokens::of_text(asked) + REQUEST_FRAME)).sum()
    });
    History { items: window.items(), tokens: &weights, summary, under_way, fixed: window.fixed() }.cut(budget, mode)
}

/// What a summary says of where the entries behind its note belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// Whether the person is among those whose words are in it.
    knows: bool,
    /// Whether the turn that it ends in goes on behind it.
    goes_on: bool,
}

impl Before {
    pub(super) fn of(summary: &Summary) -> Self {
        Self { knows: summary.facts.knows_the_person(), goes_on: summary.under_way.is_some() }
    }
}

/// Where the turns begin that begin in `items[first..]`. A turn begins with what the person asks for, together with
/// what the program said directly before. What the person says while the model has not answered yet, between its calls or when it
/// was stopped, belongs to the turn that it has not finished. Sessions of old did not say who is behind a text: as long as the
/// summary `before` does not say that this is none of them, whatever begins an exchange before the person's first entry begins
/// a turn.
pub(super) fn beginnings(items: &[Arc<Item>], first: usize, before: Before) -> Vec<usize> {
    let old = if before.knows { 0 } else { items.iter().position(|item| is_person(item)).unwrap_or(items.len()) };
    let mut beginnings = Vec::new();
    let mut index = first;
    while index < items.len() {
        if !is_user(&items[index]) {
            index += 1;
            continue;
        }
        let end = run_of_user(items, index);
        if if index == first { before.goes_on } else { is_unfinished(&items[index - 1]) } {
            index = end;
            continue;
        }
        let before = beginnings.len();
        let mut start = index;
        for (place, _) in items[index..end].iter().enumerate().filter(|(_, item)| is_person(item)) {
            beginnings.push(start);
            start = index + place + 1;
        }
        let exchange = index == first || matches!(&*items[index - 1], Item::Assistant { .. });
        if beginnings.len() == before && index < old && exchange && items[index..end].iter().any(|item| is_told(item)) {
            beginnings.push(index);
        }
        index = end;
    }
    beginnings
}

/// A history with what each of its entries weighs.
#[derive(Clone, Copy)]
struct History<'a> {
    items: &'a [Arc<Item>],
    /// Tokens of each.
    tokens: &'a [u64],
    /// What the first entry says of what comes behind it, where it stands for others.
    summary: Option<Before>,
    /// Tokens of the request under way that the first entry holds.
    under_way: u64,
    /// Tokens of what every request begins with.
    fixed: u64,
}

/// Where a history can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Before this entry.
    at: usize,
    /// The first entry of the turn that it goes through.
    split: Option<usize>,
}

/// Sums over the entries before each place.
struct Sums {
    /// Of all.
    all: Vec<u64>,
    /// Of those that stay wherever the cut is: the newest that stands about each thing.
    standing: Vec<u64>,
}

impl Sums {
    fn tokens(&self, range: Range<usize>) -> u64 {
        self.all[range.end].saturating_sub(self.all[range.start])
    }
}

impl History<'_> {
    fn cut(&self, budget: &Budget, mode: CompactionMode) -> Result<Cut, Nothing> {
        let first = self.first()?;
        let mut turns = beginnings(self.items, first, self.summary.unwrap_or_default());
        // What is left of a turn whose beginning was summarised before.
        if turns.first() != Some(&first) && self.items[first..].iter().any(|item| !is_user(item)) {
            turns.insert(0, first);
        }
        let places = self.places(first, &turns);
        if places.iter().all(|place| place.at == first) {
            return Err(Nothing::NoSafePlace);
        }
        let sums = self.sums();
        let place = match mode {
            CompactionMode::SafeFrontier => places.last().copied(),
            CompactionMode::KeepRecent => self.recent(&places, &turns, &sums, budget),
        };
        let place = place.ok_or(Nothing::NoSafePlace)?;
        // A request that goes on is in the note again. One that is in the note before weighs on neither side, as that does.
        let again = self.kept(self.asked(place), place, &turns, budget);
        let span = sums.tokens(first..place.at).saturating_sub(sums.standing[place.at] + again);
        // The note before weighs on neither side: it goes, and what comes is as long and a fifth of the span longer.
        let gain = span - span / SUMMARY_SHARE;
        if place.at == first || gain < budget.min_gain {
            return Err(Nothing::TooLittle { gain, least: budget.min_gain });
        }
        let compacted = turns.iter().filter(|turn| **turn < place.at).count() as u64;
        let untouched = turns.len() as u64 - compacted;
        Ok(Cut {
            covers: place.at,
            split: place.split,
            turns_compacted: compacted,
            turns_kept: untouched + u64::from(place.split.is_some()),
            tokens: sums.tokens(0..place.at),
        })
    }

    /// The first entry that no summary stands for.
    fn first(&self) -> Result<usize, Nothing> {
        let first = usize::from(self.summary.is_some());
        if self.items.is_empty() && first == 0 {
            return Err(Nothing::Empty);
        }
        // A note that is there without its summary, or not where it should be, would be summarised as if it were talk.
        let notes = self.items.iter().filter(|item| is_note(item)).count();
        if notes != first || (first == 1 && !is_note(&self.items[0])) {
            return Err(Nothing::NoBoundary);
        }
        if self.items[first..].iter().all(|item| is_standing(item)) {
            return Err(if first == 1 { Nothing::JustCompacted } else { Nothing::Empty });
        }
        Ok(first)
    }

    /// Every place where it can be cut, from the beginning on.
    fn places(&self, first: usize, turns: &[usize]) -> Vec<Place> {
        let frontier = frontier(self.items, first);
        let mut turn = None;
        let mut places = Vec::new();
        for at in first..=frontier {
            if turns.binary_search(&at).is_ok() {
                turn = Some(at);
                places.push(Place { at, split: None });
            } else if at == self.items.len() {
                places.push(Place { at, split: None });
            } else if at > first && is_between(&self.items[at - 1], &self.items[at]) {
                places.push(Place { at, split: turn });
            }
        }
        places
    }

    /// The first place behind which everything fits. It goes through a turn only when that turn alone would not fit.
    fn recent(&self, places: &[Place], turns: &[usize], sums: &Sums, budget: &Budget) -> Option<Place> {
        let end = self.items.len();
        // Kept are so many tokens of a cut there, and with everything else they stay below the soft mark.
        let fits = |place: Place, kept: u64| {
            let note = budget.summary.saturating_add(self.under_way(place, turns, budget));
            let around = self.fixed.saturating_add(note).saturating_add(sums.standing[place.at]);
            kept <= budget.recent && around.saturating_add(kept) < budget.soft
        };
        let Some(index) = places.iter().position(|place| fits(*place, sums.tokens(place.at..end))) else {
            return places.last().copied();
        };
        let place = places[index];
        let Some(turn) = place.split else { return Some(place) };
        let next = turns.iter().copied().find(|next| *next > turn).unwrap_or(end);
        if !fits(Place { at: turn, split: None }, sums.tokens(turn..next)) {
            return Some(place);
        }
        places[index..].iter().find(|place| place.split.is_none()).copied().or(Some(place))
    }

    /// What a cut there leaves of the request under way in the note, beside the summary.
    fn under_way(&self, place: Place, turns: &[usize], budget: &Budget) -> u64 {
        let first = usize::from(self.summary.is_some());
        let before = if place.split == Some(first) { self.under_way } else { 0 };
        self.kept(before + self.asked(place), place, turns, budget)
    }

    /// What the person says in the part that a cut takes off the turn that it goes through.
    fn asked(&self, place: Place) -> u64 {
        let Some(split) = place.split else { return 0 };
        let said = (split..place.at).filter(|at| is_person(&self.items[*at]));
        said.map(|at| self.tokens[at] + REQUEST_FRAME).sum()
    }

    /// What it holds of one of so many tokens: nothing when a newer turn stays.
    fn kept(&self, tokens: u64, place: Place, turns: &[usize], budget: &Budget) -> u64 {
        let newest = place.split.is_some_and(|split| turns.last().is_none_or(|last| *last <= split));
        if newest { tokens.min(budget.request()) } else { 0 }
    }

    fn sums(&self) -> Sums {
        let mut newest = vec![false; self.items.len()];
        let mut seen = HashSet::new();
        for (index, item) in self.items.iter().enumerate().rev() {
            if let Item::User { said: Said::Standing { about }, .. } = &**item {
                newest[index] = seen.insert(about.as_str());
            }
        }
        let (mut all, mut standing) = (vec![0], vec![0]);
        for (tokens, newest) in self.tokens.iter().zip(newest) {
            all.push(all.last().copied().unwrap_or(0) + tokens);
            standing.push(standing.last().copied().unwrap_or(0) + if newest { *tokens } else { 0 });
        }
        Sums { all, standing }
    }
}

/// No cut lies behind this place: what comes then has not been answered, or is needed by what was not.
fn frontier(items: &[Arc<Item>], first: usize) -> usize {
    let tail = items[first..].iter().rposition(|item| !is_user(item)).map_or(first, |last| first + last + 1);
    let asked = items[tail..].iter().rposition(|item| is_person(item)).map(|newest| tail + newest);
    let mut frontier = match asked {
        Some(newest) => with_notes(items, tail, newest),
        // The model has not seen what its last calls came to.
        None if tail > first && is_results(&items[tail - 1]) => {
            with_notes(items, first, (tail - 1).saturating_sub(1).max(first))
        }
        None => tail,
    };
    if let Some(unanswered) = (first..items.len()).find(|index| is_unanswered(items, *index)) {
        frontier = frontier.min(with_notes(items, first, unanswered));
    }
    frontier
}

/// The place before what the program said directly before an entry: it stays with what follows.
fn with_notes(items: &[Arc<Item>], first: usize, mut at: usize) -> usize {
    while at > first && is_user(&items[at - 1]) && !is_person(&items[at - 1]) {
        at -= 1;
    }
    at
}

/// Whether a call of an entry has no result.
fn is_unanswered(items: &[Arc<Item>], index: usize) -> bool {
    let Item::Assistant { blocks, .. } = &*items[index] else { return false };
    let results = match items.get(index + 1).map(|item| &**item) {
        Some(Item::Results { results }) => results.as_slice(),
        _ => &[],
    };
    blocks.iter().any(|block| match block {
        Block::Call { id, .. } => results.iter().all(|result| result.call_id != *id),
        Block::Text { .. } | Block::Reasoning { .. } => false,
    })
}

/// The end of the entries of the user's side that begin at `index`.
fn run_of_user(items: &[Arc<Item>], index: usize) -> usize {
    items[index..].iter().position(|item| !is_user(item)).map_or(items.len(), |length| index + length)
}

fn is_user(item: &Item) -> bool {
    matches!(item, Item::User { .. })
}

/// Whether a turn may be split between two entries: behind a round of calls, or where the person took the word.
fn is_between(before: &Item, behind: &Item) -> bool {
    match before {
        Item::Results { .. } => !is_results(behind),
        Item::Assistant { .. } => is_user(behind),
        Item::User { .. } => false,
    }
}

/// Whether the model goes on behind an entry without being asked anew.
fn is_unfinished(item: &Item) -> bool {
    match item {
        Item::Assistant { blocks, partial, .. } => {
            *partial || blocks.iter().any(|block| matches!(block, Block::Call { .. }))
        }
        Item::Results { .. } => true,
        Item::User { .. } => false,
    }
}

fn is_person(item: &Item) -> bool {
    matches!(item, Item::User { said: Said::Person { .. }, .. })
}

fn is_told(item: &Item) -> bool {
    matches!(item, Item::User { said: Said::Program, .. })
}

fn is_standing(item: &Item) -> bool {
    matches!(item, Item::User { said: Said::Standing { .. }, .. })
}

fn is_results(item: &Item) -> bool {
    matches!(item, Item::Results { .. })
}

#[cfg(test)]
mod tests;
