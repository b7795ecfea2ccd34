//! An item of an answer as the server writes it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::fault::Fault;
use crate::model::wire::garbled;

/// What stands between two parts of a reasoning.
pub(super) const BETWEEN: &str = "\n\n";

/// What an item becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    Call,
}

/// Where a piece belongs, in as many ways as the server says it: some number nothing, some name nothing, some name
/// the same item anew in each event.
#[derive(Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) output_index: Option<u64>,
    pub(super) id: Option<&'a str>,
    pub(super) call_id: Option<&'a str>,
}

/// The kinds of reasoning text, of which one is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Summary,
    Content,
}

/// An item as the server writes it.
#[derive(Deserialize)]
pub(super) struct Written<'a> {
    id: Option<String>,
    call_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    content: Option<Value>,
    summary: Option<Value>,
    encrypted_content: Option<Value>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
}

impl<'a> Written<'a> {
    /// Reads an item, and what it is; `None` for what nobody asked for, whatever its shape.
    pub(super) fn read(raw: &'a RawValue) -> Result<Option<(Kind, Self)>, Fault> {
        let kind: Kind = match serde_json::from_str(raw.get()).map(|Typed { r#type }| r#type) {
            Ok(Some(word)) if word == "message" => Kind::Message,
            Ok(Some(word)) if word == "reasoning" => Kind::Reasoning,
            Ok(Some(word)) if word == "function_call" => Kind::Call,
            _ => return Ok(None),
        };
        let written = serde_json::from_str(raw.get()).map_err(|error| garbled(&error))?;
        Ok(Some((kind, written)))
    }

    /// Where it belongs.
    pub(super) fn place(&self, output_index: Option<u64>) -> Place<'_> {
        let filled = |name: &&str| !name.is_empty();
        let (id, call_id) = (self.id.as_deref().filter(filled), self.call_id.as_deref().filter(filled));
        Place { output_index, id, call_id }
    }

    /// The text and the refusal of a message.
    pub(super) fn prose(&self) -> (String, String) {
        let all = |name: &str| texts(self.content.as_ref(), name).concat();
        match &self.content {
            Some(Value::String(text)) => (text.clone(), String::new()),
            _ => (all("text"), all("refusal")),
        }
    }

    /// The text of a reasoning: of the kind that was told, where one was.
    pub(super) fn reasoning(&self, told: Option<Source>) -> String {
        let of = |value: &Option<Value>| texts(value.as_ref(), "text").join(BETWEEN);
        match told {
            Some(Source::Summary) => of(&self.summary),
            Some(Source::Content) => of(&self.content),
            None => Some(of(&self.summary)).filter(|text| !text.is_empty()).unwrap_or_else(|| of(&self.content)),
        }
    }

    /// Whether a reasoning can be sent back. The server keeps nothing, so its id alone would lead nowhere.
    pub(super) fn replayable(&self) -> bool {
        let encrypted = self.encrypted_content.as_ref().and_then(Value::as_str);
        let content = self.content.as_ref().and_then(Value::as_array);
        encrypted.is_some_and(|text| !text.is_empty()) || content.is_some_and(|parts| !parts.is_empty())
    }
}

/// What the parts of a content say under this name.
fn texts<'v>(parts: Option<&'v Value>, name: &str) -> Vec<&'v str> {
    let parts = parts.and_then(Value::as_array).into_iter().flatten();
    parts.filter_map(|part| part.get(name).and_then(Value::as_str)).collect()
}
