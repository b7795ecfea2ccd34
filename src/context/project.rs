//! Previews in the place of old large tool results. What is stored stays as it is.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Budget;
use super::tokens::{self, Sizes};
use crate::model::{Item, ToolResult};

/// A batch that saves less is not worth the provider's cache of everything behind it; of a small model's limit it is a tenth.
const WORTH: u64 = 4_096;
/// A batch saves so many times what is sent anew behind it; unless the context is [nearly full](nearly_full), where a summary would
/// cost more than that.
const TIMES: u64 = 6;
/// A preview is never asked to be smaller than this, for what it says of itself takes that much.
const LEAST: u64 = 128;

/// How far previews reach. Results behind that are shown whole. It moves in batches, for each move costs the provider's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct Previews {
    /// Entries of the window before this one show previews of large results.
    pub before: usize,
    /// Before this one they are as short as can be: the last thing that is tried before turns go. Results of a quarter of the
    /// usual size are then large. What comes later is not short, and what was made short stays, for the cache's sake.
    pub short_before: usize,
}

/// The same as it was ever kept: first there was one word for all of it.
#[derive(Deserialize)]
struct Kept {
    before: usize,
    #[serde(default)]
    short_before: usize,
    #[serde(default)]
    short: bool,
}

impl From<Kept> for Previews {
    fn from(kept: Kept) -> Self {
        let short_before = if kept.short { kept.before } else { kept.short_before };
        Self { before: kept.before, short_before }
    }
}

/// What of a result a preview keeps.
#[derive(Clone, Copy)]
struct Cap {
    lines: usize,
    characters: usize,
    /// Results over so many tokens have one, and it has no more.
    tokens: u64,
}

impl Cap {
    /// `limit` is compared with the estimate as it is, without the session's calibration: a preview must be the same
    /// whenever it is made.
    fn new(limit: u64, short: bool) -> Self {
        if short {
            Self { lines: 6, characters: 400, tokens: (limit / 4).max(LEAST) }
        } else {
            Self { lines: 24, characters: 1600, tokens: limit.max(LEAST) }
        }
    }
}

/// An entry as it is shown when previews reach beyond it; `None` when that is no different.
pub(super) fn preview(item: &Item, sizes: &Sizes, limit: u64, short: bool) -> Option<Arc<Item>> {
    let cap = Cap::new(limit, short);
    let Item::Results { results } = item else { return None };
    let shortened = results.iter().zip(&*sizes.results);
    let shortened: Vec<Option<String>> =
        shortened.map(|(result, size)| (*size > cap.tokens).then(|| shorten(result, cap)).flatten()).collect();
    if shortened.iter().all(Option::is_none) {
        return None;
    }
    let shown = results.iter().zip(shortened).map(|(result, content)| match content {
        Some(content) => ToolResult { content, ..result.clone() },
        None => result.clone(),
    });
    Some(Arc::new(Item::Results { results: shown.collect() }))
}

/// The preview of a result: its tool and how it ended, its beginning, and what is missing. `None` when that is no shorter.
fn shorten(result: &ToolResult, cap: Cap) -> Option<String> {
    let content = &result.content;
    let mut characters = cap.characters;
    loop {
        let head = beginning(content, cap.lines, characters);
        let ended = if result.ok { "ok" } else { "failed" };
        let (lines, left) = (content.lines().count(), content[head.len()..].chars().count());
        let text = format!(
            "[The beginning of an earlier result of {name}, {ended}, {lines} lines in all]\n{head}\n[{left} more characters were \
             left out. Make the call again if it only looks, or use recall, to read them.]",
            name = result.name,
            head = head.trim_end(),
        );
        // Scripts that make a token of each character would fill more than their share.
        if tokens::of_text(&text) > cap.tokens && characters > 0 {
            characters /= 2;
        } else {
            return (text.len() < content.len()).then_some(text);
        }
    }
}

/// The first lines of a text, and not more than so many characters of them.
fn beginning(text: &str, lines: usize, characters: usize) -> &str {
    let by_lines = text.match_indices('\n').nth(lines.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    let by_characters = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    &text[..by_lines.min(by_characters)]
}

/// The context as it is, in the measure of the budget and by estimate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub items: &'a [Arc<Item>],
    pub sizes: &'a [Sizes],
    /// Of each entry as it is shown now, by estimate.
    pub tokens: &'a [u64],
    /// Of everything, in the budget's measure.
    pub used: u64,
    /// Of those entries that stay whole, by estimate.
    pub recent: u64,
}

/// The next batch of previews, when it saves enough to be worth the provider's cache. It takes all that may be taken: what is
/// left for the next one costs the cache once more.
pub(super) fn batch(held: Held<'_>, now: Previews, budget: &Budget) -> Option<Previews> {
    let Held { items, sizes, tokens, .. } = held;
    let mut protected = 0;
    let kept = tokens.iter().rev().take_while(|tokens| {
        let stays = protected < held.recent;
        protected += **tokens;
        stays
    });
    let before = items.len() - kept.count();
    let cap = Cap::new(budget.preview, false);
    let from = now.before.max(now.short_before).min(before);
    let large = |size: &u64| *size > cap.tokens;
    // At most all of them: making a preview costs more than looking at sizes, and mostly nothing is worth it.
    let candidates: Vec<usize> = (from..before).filter(|at| sizes[*at].results.iter().any(large)).collect();
    let rest: u64 = tokens[*candidates.first()?..].iter().sum();
    let most = candidates.iter().flat_map(|at| sizes[*at].results.iter().filter(|size| large(size))).sum();
    let worth = |saved: u64, rest: u64| {
        let pays = saved >= rest.saturating_sub(saved).saturating_mul(TIMES);
        // Where little could go, the next result would call for the next batch.
        let helps = nearly_full(held.used, budget) && saved >= budget.soft / 8;
        saved >= WORTH.min(budget.limit / 10).max(1) && (pays || helps)
    };
    if !worth(most, rest) {
        return None;
    }
    let (mut saved, mut first) = (0, None);
    for at in candidates {
        if let Some(shown) = preview(&items[at], &sizes[at], budget.preview, false) {
            saved += tokens[at].saturating_sub(tokens::of_item(&shown));
            first = first.or(Some(at));
        }
    }
    let rest = tokens[first?..].iter().sum();
    worth(saved, rest).then_some(Previews { before, ..now })
}

/// Whether a summary will soon be called for. Not much sooner: the fuller the context, the more of it comes from the cache.
fn nearly_full(used: u64, budget: &Budget) -> bool {
    used >= budget.soft / 10 * 9
}

#[cfg(test)]
mod tests;
