//! How full the context is, and where the figure comes from.

use serde::{Deserialize, Serialize};

use super::tokens;
use crate::model::Item;
use crate::protocol::{ContextSource, ContextUse, Usage};

/// Ratios are counted in thousandths.
const ONE: u64 = 1000;
/// Tokenizers differ, and the estimate is for the average of them. A provider that counts less than this share of it, or more
/// than that, counts something else: nothing, what is not cached, bytes, all requests so far.
const LEAST: u64 = 500;
const MOST: u64 = 2500;
/// What short requests may be off by, for providers add words of their own to each.
const SLACK: u64 = 512;
/// So many tokens, by estimate, must have come before a figure is asked whether it grows.
const GROWN: u64 = 512;
/// Of what has come since, a figure that grows must show a quarter; reasoning that the provider leaves out may be the rest.
const SHOWN: u64 = 4;
/// So many figures in a row that cannot be, and none is believed until as many were good.
const DOUBTS: u8 = 3;

/// So many new tokens, by estimate, are enough to learn from.
const LEARNED: u64 = 128;
/// What was learned before weighs as much as so many new tokens, for what a session holds may change its kind.
const MEMORY: u64 = 1_000;

/// Counts what a session's requests hold. Its cost follows what is new, not what is there.
///
/// Everything is estimated as it comes (`tokens.rs`). What the provider counted for the newest request then takes the place of
/// that request's estimate, if it can be: a figure that is missing, zero, far from the estimate, or that does not grow with
/// the history is not believed, so that no provider can turn compaction off by counting badly. What believed figures say of the
/// provider's tokens, by estimated ones, is what everything else is multiplied by: apart for what requests begin with, which
/// is English and JSON in every session, and for the entries, which may be Chinese.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Accounting {
    /// What every request begins with, by estimate.
    fixed: u64,
    /// The entries as they are shown, by estimate.
    held: u64,
    /// Of those, the answer to the newest request, which is not part of what was sent.
    answer: u64,
    /// What the provider counted for the newest request and its answer.
    measured: Option<u64>,
    /// What came after it, by estimate.
    since: u64,
    /// What was learned of the provider's way to count.
    learned: Option<Learned>,
    /// Where a figure was last seen to grow.
    anchor: Option<Anchor>,
    /// Figures that could not be, less those that could.
    doubts: u8,
}

/// Measured by estimated tokens, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Learned {
    /// For what requests begin with.
    fixed: u64,
    /// For the entries.
    held: u64,
    /// The newest figure that was learned from, and the entries that it was about, by estimate. Gone with a compaction.
    from: Option<Anchor>,
}

/// A figure, and the estimate of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Anchor {
    sent: u64,
    estimate: u64,
}

impl Accounting {
    /// A text that every request begins with (system prompt, tool schemas).
    pub fn add_text(&mut self, text: &str) {
        self.add_tokens(tokens::of_text(text));
    }

    /// Tokens that every request begins with, as they were estimated before.
    pub fn add_tokens(&mut self, tokens: u64) {
        self.fix(self.fixed + tokens);
    }

    /// An item that the next request will hold.
    pub fn add(&mut self, item: &Item) {
        self.add_sized(item, tokens::of_item(item));
    }

    /// An item whose tokens are known by estimate.
    pub(super) fn add_sized(&mut self, item: &Item, tokens: u64) {
        self.held += tokens;
        self.since += tokens;
        self.answer = if matches!(item, Item::Assistant { .. }) { self.answer + tokens } else { 0 };
    }

    /// What every request begins with, by estimate. Replaces what was said before.
    pub(super) fn fix(&mut self, tokens: u64) {
        let before = std::mem::replace(&mut self.fixed, tokens);
        let ratio = self.learned.map(|learned| learned.fixed);
        // Figures of before this was told apart hold it already.
        if let Some(measured) = self.measured.as_mut().filter(|_| before > 0 && before != tokens) {
            self.since += tokens.saturating_sub(before);
            *measured = measured.saturating_sub(scaled(before.saturating_sub(tokens), ratio));
            self.anchor = None;
        }
    }

    /// The provider's own figures for a request, its answer (added before) included. Figures that are missing or cannot be
    /// change nothing: the estimate then counts.
    pub fn measure(&mut self, usage: &Usage) {
        let answer = std::mem::take(&mut self.answer);
        let Some(sent) = usage.sent().filter(|sent| *sent > 0) else { return };
        let held = self.held.saturating_sub(answer);
        if self.judge(sent, self.fixed + held) {
            self.learn(sent, held);
            // Hidden reasoning is part of the output, and not of what is sent again.
            let expected = self.calibrated(answer);
            let said = usage.output.filter(|output| *output > 0);
            let said = said.map_or(expected, |said| said.clamp(expected / 2, expected * MOST / ONE + SLACK));
            (self.measured, self.since) = (Some(sent + said), 0);
        }
    }

    /// Whether a figure is believed.
    fn judge(&mut self, sent: u64, estimate: u64) -> bool {
        let likely = sent + SLACK >= estimate * LEAST / ONE && sent <= estimate * MOST / ONE + SLACK;
        let (grown, shown) = self
            .anchor
            .map_or((0, 0), |anchor| (estimate.saturating_sub(anchor.estimate), sent.saturating_sub(anchor.sent)));
        let stuck = grown >= GROWN && shown < grown / SHOWN;
        let trusted = self.doubts < DOUBTS;
        if !likely || stuck {
            self.doubts = (self.doubts + 1).min(2 * DOUBTS);
            if self.doubts == DOUBTS {
                // What was learned of it is as doubtful.
                (self.learned, self.measured) = (None, None);
            }
            if stuck && !trusted {
                self.anchor = Some(Anchor { sent, estimate });
            }
            return false;
        }
        if self.anchor.is_none() || grown >= GROWN {
            self.anchor = Some(Anchor { sent, estimate });
        }
        if grown >= GROWN {
            self.doubts = if trusted { 0 } else { self.doubts - 1 };
        }
        trusted
    }

    /// Learns from a figure for a request that held so much, by estimate.
    fn learn(&mut self, sent: u64, held: u64) {
        let from = Some(Anchor { sent, estimate: held });
        let Some(learned) = &mut self.learned else {
            // One figure for both: nothing says yet which of them it comes from.
            let both = ratio(sent, self.fixed + held);
            self.learned = Some(Learned { fixed: both, held: both, from });
            return;
        };
        if let Some(before) = learned.from {
            let new = held.saturating_sub(before.estimate);
            if new < LEARNED && held >= before.estimate {
                return;
            }
            let shown = ratio(sent.saturating_sub(before.sent), new);
            if new > 0 {
                learned.held = (learned.held * MEMORY + shown * new) / (MEMORY + new);
            }
        } else if held >= self.fixed {
            // After a compaction what requests begin with is known, and the rest is the entries'.
            let rest = sent.saturating_sub(scaled(self.fixed, Some(learned.fixed)));
            learned.held = learned.held.midpoint(ratio(rest, held));
        }
        learned.from = from;
    }

    /// All of it is more than `limit` tokens, whoever counted less.
    pub(super) fn exceeded(&mut self, limit: u64) {
        if self.used(None).used > limit {
            return;
        }
        let all = (self.fixed() + self.calibrated(self.held)).max(1);
        // Both parts grow alike: nothing says which of them was counted wrongly.
        let more = |ratio: u64| ratio.saturating_mul(limit + 1).div_ceil(all) + 1;
        let Learned { fixed, held, .. } = self.learned.unwrap_or(Learned { fixed: ONE, held: ONE, from: None });
        self.learned = Some(Learned { fixed: more(fixed), held: more(held), from: None });
        (self.measured, self.since, self.anchor) = (None, 0, None);
    }

    /// The entries are others now, `held` tokens by estimate: nothing of what was measured is about them.
    pub(super) fn void(&mut self, held: u64) {
        self.held = held;
        (self.answer, self.measured, self.since, self.anchor) = (0, None, 0, None);
        if let Some(learned) = &mut self.learned {
            learned.from = None;
        }
    }

    /// Figures that were kept, beside their entries: `held` tokens by estimate.
    pub(super) fn restored(self, held: u64) -> Self {
        // An older version kept what requests begin with together with the rest.
        let old = self.measured.is_none() && self.held == 0;
        let fixed = if old { self.fixed.max(self.since.saturating_sub(held)) } else { self.fixed };
        Self { fixed, held, ..self }
    }

    /// An estimate of entries in the measure of [`Accounting::used`].
    pub(super) fn calibrated(&self, estimate: u64) -> u64 {
        scaled(estimate, self.learned.map(|learned| learned.held))
    }

    /// The estimate of entries that make `tokens` in the measure of [`Accounting::used`].
    pub(super) fn estimated(&self, tokens: u64) -> u64 {
        tokens.saturating_mul(ONE) / self.learned.map_or(ONE, |learned| learned.held).max(1)
    }

    /// What every request begins with, in the measure of [`Accounting::used`].
    pub(super) fn fixed(&self) -> u64 {
        scaled(self.fixed, self.learned.map(|learned| learned.fixed))
    }

    /// How full the context is, out of `limit` tokens.
    #[must_use]
    pub fn used(&self, limit: Option<u64>) -> ContextUse {
        let (used, source) = match self.measured {
            None => (self.fixed() + self.calibrated(self.held), ContextSource::Estimated),
            Some(measured) if self.since == 0 => (measured, ContextSource::Measured),
            Some(measured) => (measured + self.calibrated(self.since), ContextSource::Extended),
        };
        ContextUse { used, limit, source }
    }
}

/// Measured by estimated, as far as that can be.
fn ratio(measured: u64, estimated: u64) -> u64 {
    (measured * ONE).checked_div(estimated).unwrap_or(ONE).clamp(LEAST, MOST)
}

fn scaled(estimate: u64, ratio: Option<u64>) -> u64 {
    ratio.map_or(estimate, |ratio| estimate.saturating_mul(ratio) / ONE)
}

#[cfg(test)]
mod tests;
