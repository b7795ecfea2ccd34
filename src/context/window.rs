//! The history as the model is shown it.

use std::collections::HashSet;
use std::sync::Arc;

use super::tokens::{self, Sizes};
use super::{Accounting, Budget, Cut, Previews, Summary, project};
use crate::model::{Item, Said};
use crate::protocol::{ContextUse, Usage};

/// A history with its figures: kept entries, what stands for those that were compacted, and what of it is shown as previews.
/// Both the session and its live run have one and fold the same things into it. What it costs follows what is new.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The entries, as they are stored; the first is the summary's note once something was compacted.
    items: Vec<Arc<Item>>,
    /// Tokens of each as it is stored, by estimate.
    sizes: Vec<Sizes>,
    /// What is sent in the place of each.
    shown: Vec<Arc<Item>>,
    /// Tokens of each as it is shown, by estimate.
    tokens: Vec<u64>,
    /// Of each and all before it.
    sums: Vec<u64>,
    /// What the first entry says.
    summary: Option<Arc<Summary>>,
    previews: Previews,
    /// The most that a result may hold to be shown whole before the previews' reach, in tokens.
    preview_limit: u64,
    accounting: Accounting,
}

/// The history is another one than a summary was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

impl Window {
    /// A window as it was kept.
    #[must_use]
    pub fn restored(
        items: Vec<Arc<Item>>,
        summary: Option<Arc<Summary>>,
        previews: Previews,
        preview_limit: u64,
        accounting: Accounting,
    ) -> Self {
        let mut window = Self { summary, previews, preview_limit, ..Self::default() };
        items.into_iter().for_each(|item| window.place(item));
        window.accounting = accounting.restored(window.held());
        window
    }

    /// What every request begins with (system prompt, tool schemas), in tokens by estimate. Replaces what was said before.
    pub fn fix(&mut self, tokens: u64) {
        self.accounting.fix(tokens);
    }

    /// An entry that the next request will hold.
    pub fn push(&mut self, item: Arc<Item>) {
        let at = self.items.len();
        self.place(item);
        self.accounting.add_sized(&self.items[at], self.tokens[at]);
    }

    /// The provider's figures for the newest request, its answer (already pushed) included.
    pub fn measure(&mut self, usage: &Usage) {
        self.accounting.measure(usage);
    }

    /// The provider refused this history as longer than `limit` tokens, so it is.
    pub fn exceeded(&mut self, limit: u64) {
        self.accounting.exceeded(limit);
    }

    /// How full the context is, out of `limit` tokens.
    #[must_use]
    pub fn used(&self, limit: Option<u64>) -> ContextUse {
        self.accounting.used(limit)
    }

    /// The entries, as they are stored.
    #[must_use]
    pub fn items(&self) -> &[Arc<Item>] {
        &self.items
    }

    /// What a request sends.
    #[must_use]
    pub fn shown(&self) -> &[Arc<Item>] {
        &self.shown
    }

    /// Tokens of each entry as it is shown, in the measure of [`Window::used`].
    #[must_use]
    pub fn tokens(&self, range: std::ops::Range<usize>) -> u64 {
        let end = range.end.min(self.sums.len());
        let up_to = |end: usize| end.checked_sub(1).map_or(0, |last| self.sums[last]);
        self.accounting.calibrated(up_to(end) - up_to(range.start.min(end)))
    }

    /// What every request begins with, in the same measure.
    #[must_use]
    pub fn fixed(&self) -> u64 {
        self.accounting.fixed()
    }

    /// What stands for the entries that were compacted.
    #[must_use]
    pub fn summary(&self) -> Option<&Arc<Summary>> {
        self.summary.as_ref()
    }

    /// How far previews reach, and from which size on.
    #[must_use]
    pub fn previews(&self) -> (Previews, u64) {
        (self.previews, self.preview_limit)
    }

    /// The figures, to be kept.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        self.accounting
    }

    /// The next batch of previews, when it is worth it.
    #[must_use]
    pub fn worth_previewing(&self, budget: &Budget) -> Option<Previews> {
        let held = project::Held {
            items: &self.items,
            sizes: &self.sizes,
            tokens: &self.tokens,
            used: self.used(None).used,
            recent: self.accounting.estimated(budget.recent),
        };
        project::batch(held, self.previews, budget)
    }

    /// Previews as short as can be, of all but the newest results: the model has not seen those yet.
    #[must_use]
    pub fn shortest(&self) -> Previews {
        let newest = self.items.iter().rposition(|item| matches!(**item, Item::Results { .. }));
        let seen = newest.unwrap_or(self.items.len());
        Previews { before: self.previews.before.max(seen), short_before: self.previews.short_before.max(seen) }
    }

    /// Moves the previews' reach: results over `limit` tokens before it are shown as previews.
    pub fn preview(&mut self, previews: Previews, limit: u64) {
        let now = self.previews;
        let marks = [(now.before, previews.before), (now.short_before, previews.short_before)];
        let reach = marks.iter().map(|(a, b)| *a.max(b)).max().unwrap_or(0).min(self.items.len());
        let moved = marks.iter().filter(|(a, b)| a != b).map(|(a, b)| *a.min(b)).min();
        // Another limit may change every preview.
        let from = if limit == self.preview_limit { moved.unwrap_or(reach).min(reach) } else { 0 };
        (self.previews, self.preview_limit) = (previews, limit);
        let mut changed = false;
        for at in from..reach {
            let (shown, tokens) = self.projected(at);
            changed |= tokens != self.tokens[at];
            (self.shown[at], self.tokens[at]) = (shown, tokens);
        }
        if changed {
            self.sum_up(from);
            self.accounting.void(self.held());
        }
    }

    /// Puts a summary, as its note, in the place of what it was made of. Entries that stand ([`crate::model::Said::Standing`], the newest
    /// about each thing unless a later one is kept) stay behind it, then comes everything from the cut on. `origin`: the
    /// entries that the summary was made of, `cut.covers` of them.
    ///
    /// # Errors
    /// When those are not this history's beginning.
    pub fn compact(&mut self, summary: Arc<Summary>, note: Arc<Item>, origin: &[Arc<Item>]) -> Result<(), Stale> {
        let covers = origin.len();
        let same =
            (1..=self.items.len()).contains(&covers) && origin.iter().zip(&self.items).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            return Err(Stale);
        }
        let mut begins = vec![note];
        begins.extend(standing(&self.items, covers));
        let shifted = |mark: usize| begins.len() + mark.saturating_sub(covers);
        let Previews { before, short_before } = self.previews;
        self.previews = Previews { before: shifted(before), short_before: shifted(short_before) };
        self.sizes.splice(..covers, begins.iter().map(|item| Sizes::of(item)));
        self.tokens.splice(..covers, self.sizes[..begins.len()].iter().map(|sizes| sizes.total));
        self.shown.splice(..covers, begins.iter().cloned());
        self.items.splice(..covers, begins);
        self.sum_up(0);
        self.summary = Some(summary);
        self.accounting.void(self.held());
        Ok(())
    }

    /// Where this history would be cut.
    ///
    /// # Errors
    /// Why nothing is to be done.
    pub fn plan(&self, budget: &Budget, mode: crate::settings::CompactionMode) -> Result<Cut, super::Nothing> {
        super::plan(self, budget, mode)
    }

    /// Puts an entry at the end, without counting it as new.
    fn place(&mut self, item: Arc<Item>) {
        let at = self.items.len();
        self.sizes.push(Sizes::of(&item));
        self.items.push(item);
        let (shown, tokens) = self.projected(at);
        self.sums.push(self.held() + tokens);
        self.shown.push(shown);
        self.tokens.push(tokens);
    }

    /// An entry as it is shown, and its tokens.
    fn projected(&self, at: usize) -> (Arc<Item>, u64) {
        let (item, sizes) = (&self.items[at], &self.sizes[at]);
        let Previews { before, short_before } = self.previews;
        let reached = at < before.max(short_before);
        match reached.then(|| project::preview(item, sizes, self.preview_limit, at < short_before)).flatten() {
            Some(shown) => {
                let tokens = tokens::of_item(&shown);
                (shown, tokens)
            }
            None => (item.clone(), sizes.total),
        }
    }

    /// Tokens of all entries as they are shown, by estimate.
    fn held(&self) -> u64 {
        self.sums.last().copied().unwrap_or(0)
    }

    fn sum_up(&mut self, from: usize) {
        self.sums.truncate(from);
        for tokens in &self.tokens[from..] {
            self.sums.push(self.sums.last().copied().unwrap_or(0) + tokens);
        }
    }
}

/// Of the first `covers` entries, those that still stand: the newest about each thing, unless a later one stays anyway.
fn standing(items: &[Arc<Item>], covers: usize) -> Vec<Arc<Item>> {
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate().rev() {
        if let Item::User { said: Said::Standing { about }, .. } = &**item
            && known.insert(about.as_str())
            && at < covers
        {
            found.push(item.clone());
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests;
