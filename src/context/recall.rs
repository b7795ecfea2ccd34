//! What was compacted is still found: a search over everything that a session has recorded.
//!
//! What an entry says and whether a query finds it is decided here, on its text. An index only has to name the entries
//! that are worth a look, so it may know less than the whole truth (the trigrams alone), and never decides.

mod entry;
mod excerpt;
mod query;

pub use entry::{Hit, find, title_of, words_of};
pub use query::Query;

use async_trait::async_trait;
use serde::Serialize;

/// The tool that searches. Its own calls and results say nothing that does not stand elsewhere, so they are never found:
/// each search would find itself first.
pub const TOOL: &str = "recall";

/// Searches what a session has recorded, compacted or not.
#[async_trait]
pub trait Recall: Send + Sync {
    /// The entries that hold all words of the query (parts of words, in any language), newest first; at most `most`.
    ///
    /// # Errors
    /// A sentence that says what failed and the next step.
    async fn search(&self, query: &str, most: usize) -> Result<Vec<Found>, String>;
}

/// A place that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The record's number.
    pub record: u64,
    /// When it was kept.
    pub at_ms: u64,
    /// Who said it: `person`, `program`, `assistant`, `call`, `result`.
    pub who: String,
    /// What it is, in a line: a tool's name with its most telling argument; empty for prose.
    pub title: String,
    /// The place in its surroundings.
    pub excerpt: String,
}

/// Nothing is recorded, so nothing is found.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRecall;

#[async_trait]
impl Recall for NoRecall {
    async fn search(&self, _query: &str, _most: usize) -> Result<Vec<Found>, String> {
        Ok(Vec::new())
    }
}
