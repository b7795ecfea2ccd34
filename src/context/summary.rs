//! What stands for the part of a history that was compacted: the model's part and the program's.

mod ask;
mod facts;
mod note;
#[cfg(test)]
pub(crate) mod planted;
mod text;
mod transcript;

pub use facts::Facts;
pub(super) use note::is_note;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Budget, Cut};
use crate::model::{Item, Request, Turn};

/// A summary, cumulative: everything before the cut is in it once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// What the model wrote; empty when it could not be asked and the oldest turns had to go.
    pub told: String,
    /// What the program knows.
    pub facts: Facts,
    /// How many compactions it comes from.
    pub compactions: u32,
    /// Turns that it stands for.
    pub turns: u64,
    /// Turns among them that went without the model's summary.
    #[serde(default)]
    pub dropped: u64,
    /// What the person asked for in the turn that goes on behind it, whole. Unlike [`Facts::words`] this is what the model was told, which
    /// is more than what was typed when that was a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<String>,
    /// What the person said since in that turn, whole, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
}

impl Summary {
    /// The entry that the model is shown: it says what it is, and that `recall` finds the rest. Never longer than
    /// `budget.summary` allows, and half of `budget.recent` for the request under way.
    #[must_use]
    pub fn note(&self, budget: &Budget) -> Item {
        note::of(self, budget)
    }

    /// What the summariser is asked: to put `items[..cut.covers]` behind the summary before. `room`: tokens that it can take in.
    #[must_use]
    pub fn request(
        items: &[Arc<Item>],
        cut: &Cut,
        before: Option<&Self>,
        focus: Option<&str>,
        room: u64,
        budget: &Budget,
    ) -> Request {
        ask::request(items, cut, before, focus, room, budget)
    }

    /// The summary from the summariser's answer.
    ///
    /// # Errors
    /// Why the answer is no summary: empty, cut off, not shorter than what it replaces, a tool call or a refusal.
    pub fn accept(
        turn: &Turn,
        items: &[Arc<Item>],
        cut: &Cut,
        before: Option<&Self>,
        budget: &Budget,
    ) -> Result<Self, String> {
        ask::accept(turn, items, cut, before, budget)
    }

    /// The summary without a model: the program's part alone, and a notice.
    #[must_use]
    pub fn without_model(items: &[Arc<Item>], cut: &Cut, before: Option<&Self>, budget: &Budget) -> Self {
        ask::without_model(items, cut, before, budget)
    }
}
