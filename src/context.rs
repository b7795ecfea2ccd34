//! What the model can take: how full its context is, and where the figure comes from.
//!
//! Wires and LSP are unknown here.

use serde::{Deserialize, Serialize};

use crate::model::{Block, Item};
use crate::protocol::{ContextSource, ContextUse, Usage};

/// Bytes of prose or code that make a token, when nobody has measured.
const BYTES_PER_TOKEN: u64 = 4;

/// Counts what a session's requests hold. Its cost follows what is new, not what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// What the provider counted for the last request and its answer.
    measured: Option<u64>,
    /// An estimate of what came after it.
    since: u64,
}

impl Accounting {
    /// A text that every request begins with (system prompt, tool schemas).
    pub fn add_text(&mut self, text: &str) {
        self.since += estimate(text);
    }

    /// Tokens that every request begins with, as they were estimated before.
    pub fn add_tokens(&mut self, tokens: u64) {
        self.since += tokens;
    }

    /// An item that the next request will hold.
    pub fn add(&mut self, item: &Item) {
        self.since += match item {
            Item::User { text } => estimate(text),
            Item::Assistant { blocks, .. } => blocks.iter().map(estimate_block).sum(),
            Item::Results { results } => results.iter().map(|result| estimate(&result.content)).sum(),
        };
    }

    /// The provider's own figures for a request, its answer included. Figures that are missing or zero change nothing:
    /// the estimate then counts.
    pub fn measure(&mut self, usage: &Usage) {
        if let Some(sent) = usage.sent().filter(|sent| *sent > 0) {
            self.measured = Some(sent + usage.output.unwrap_or(0));
            self.since = 0;
        }
    }

    /// How full the context is, out of `limit` tokens.
    #[must_use]
    pub fn used(&self, limit: Option<u64>) -> ContextUse {
        let source = match self.measured {
            None => ContextSource::Estimated,
            Some(_) if self.since == 0 => ContextSource::Measured,
            Some(_) => ContextSource::Extended,
        };
        ContextUse { used: self.measured.unwrap_or(0) + self.since, limit, source }
    }
}

fn estimate_block(block: &Block) -> u64 {
    match block {
        Block::Text { text, .. } => estimate(text),
        Block::Reasoning { text, raw } => raw.as_ref().map_or_else(|| estimate(text), |raw| estimate(raw.get())),
        Block::Call { name, arguments, .. } => estimate(name) + estimate(arguments),
    }
}

/// Tokens of a text: four bytes of ASCII make one; a character beyond it makes about one of its own, as CJK does.
fn estimate(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let beyond = text.bytes().filter(|byte| *byte >= 0xC0).count() as u64;
    ascii.div_ceil(BYTES_PER_TOKEN) + beyond
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(accounting: &Accounting) -> (u64, ContextSource) {
        let used = accounting.used(None);
        (used.used, used.source)
    }

    #[test]
    fn a_measured_request_replaces_the_estimate_and_later_items_extend_it() {
        let mut accounting = Accounting::default();
        accounting.add(&Item::User { text: "x".repeat(400) });
        assert_eq!(used(&accounting), (100, ContextSource::Estimated));
        accounting.measure(&Usage { input: Some(70), cache_read: Some(50), output: Some(10), cache_write: None });
        assert_eq!(used(&accounting), (130, ContextSource::Measured));
        accounting.add(&Item::User { text: "x".repeat(40) });
        assert_eq!(used(&accounting), (140, ContextSource::Extended));
    }

    #[test]
    fn c3_a_provider_without_figures_leaves_the_estimate() {
        let mut accounting = Accounting::default();
        accounting.add(&Item::User { text: "x".repeat(400) });
        accounting.measure(&Usage::default());
        accounting.measure(&Usage { input: Some(0), ..Usage::default() });
        assert_eq!(used(&accounting), (100, ContextSource::Estimated));
    }

    #[test]
    fn characters_beyond_ascii_count_by_themselves() {
        assert_eq!(estimate("日本語"), 3);
        assert_eq!(estimate("abcd"), 1);
    }
}
