//! The neutral history that every wire translates.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One entry of a session's history.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Item {
    /// What the person, or the program on the user's side, said.
    User {
        /// The text.
        text: String,
    },
    /// What the model said, block by block, in order.
    Assistant {
        /// `TABLE/MODEL` that said it; raw blocks go back to the same one only.
        model: String,
        /// The blocks.
        blocks: Vec<Block>,
        /// Whether the turn was cut short, by a cancel or a broken stream.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        partial: bool,
    },
    /// The results of all calls of the assistant item before, in the order of the calls.
    Results {
        /// One for each call.
        results: Vec<ToolResult>,
    },
}

/// A part of what the model said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Block {
    /// Prose.
    Text {
        /// The text.
        text: String,
    },
    /// Reasoning that may be shown.
    Reasoning {
        /// The text; empty where the provider hides it.
        text: String,
        /// The provider's own block, byte for byte, to be replayed (signatures, encrypted contents).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<Arc<RawValue>>,
    },
    /// A tool call.
    Call {
        /// Unique in the session.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments: JSON as the model wrote it. It may not parse: that is an answer for the model.
        arguments: String,
        /// The provider's own block, where something beside these three must be replayed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<Arc<RawValue>>,
    },
}

/// What a tool call came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolResult {
    /// The call.
    pub call_id: String,
    /// The tool's name (some wires want it beside the id).
    pub name: String,
    /// Whether it did what was asked.
    pub ok: bool,
    /// What the model reads.
    pub content: String,
}
