//! The neutral history that every wire translates.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One entry of a session's history.
///
/// Items and blocks are told apart from the outside (`{"user": {…}}`): with a tag inside, a provider's own block would be
/// taken apart by the reader and could not be kept byte for byte.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Item {
    /// What the person, or the program on the user's side, said.
    User {
        /// The text.
        text: String,
        /// Who is behind it.
        #[serde(default, skip_serializing_if = "Said::is_program")]
        said: Said,
    },
    /// What the model said, block by block, in order.
    Assistant {
        /// `TABLE/MODEL` that said it.
        model: String,
        /// The provider, account and model family behind that name: raw blocks go back to the same ones only.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        origin: String,
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

impl Item {
    /// What the program says on the user's side.
    pub fn told(text: impl Into<String>) -> Self {
        Self::User { text: text.into(), said: Said::Program }
    }

    /// What the person asks for. `typed` are the person's own words where the text is more than those.
    pub fn asked(text: impl Into<String>, typed: Option<String>) -> Self {
        Self::User { text: text.into(), said: Said::Person { typed } }
    }

    /// What the program says about something, and what holds until it says so anew: a rules file.
    pub fn standing(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self::User { text: text.into(), said: Said::Standing { about: about.into() } }
    }
}

/// Who is behind a text on the user's side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Said {
    /// The program.
    #[default]
    Program,
    /// The person.
    Person {
        /// Their own words, where the text is more than those: a command's template around them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        typed: Option<String>,
    },
    /// The program, about something that holds until it says so anew; the newest about each thing survives compactions.
    Standing {
        /// What it is about: `rules AGENTS.md`.
        about: String,
    },
}

impl Said {
    fn is_program(&self) -> bool {
        *self == Self::Program
    }
}

/// A part of what the model said.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Block {
    /// Prose.
    Text {
        /// The text.
        text: String,
        /// The provider's own block, where something beside the text must be replayed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<Arc<RawValue>>,
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

impl Block {
    /// The provider's own form of it, where that was kept.
    #[must_use]
    pub fn raw(&self) -> Option<&Arc<RawValue>> {
        match self {
            Self::Text { raw, .. } | Self::Reasoning { raw, .. } | Self::Call { raw, .. } => raw.as_ref(),
        }
    }
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
    /// Whether the call never came to an end of its own: it was refused, denied or stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_own_block_is_kept_byte_for_byte() {
        let own = "{ \"type\":\"thinking\",\n  \"signature\": \"a\\/b\", \"n\": 1.50 }";
        let raw: Arc<RawValue> = RawValue::from_string(own.to_owned()).expect("JSON").into();
        let item = Item::Assistant {
            model: "a/b".into(),
            origin: "c".into(),
            blocks: vec![Block::Reasoning { text: "hm".into(), raw: Some(raw) }],
            partial: false,
        };
        let kept = serde_json::to_string(&item).expect("it can be kept");
        let Item::Assistant { blocks, .. } = serde_json::from_str(&kept).expect("it can be read") else { panic!() };
        let [Block::Reasoning { raw: Some(raw), .. }] = blocks.as_slice() else { panic!("{blocks:?}") };
        assert_eq!(raw.get(), own);
    }
}
