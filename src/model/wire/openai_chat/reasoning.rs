//! What a compatible server wants back of its reasoning, each in the field in which it came: `reasoning_content`
//! (<https://api-docs.deepseek.com/guides/thinking_mode>), `reasoning`, or OpenRouter's `reasoning_details`
//! (<https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks>); and what stood beside a call,
//! `extra_content` (<https://ai.google.dev/gemini-api/docs/thought-signatures>).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// Reasoning as it is kept, and as its fields stand in a message.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Kept<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub(super) reasoning_details: Vec<&'a RawValue>,
}

/// What stood beside a call, as it is kept.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Beside<'a> {
    #[serde(borrow)]
    pub(super) extra_content: Option<&'a RawValue>,
}

impl<'a> Kept<'a> {
    /// Reads a block of this wire's; one of another kind holds nothing.
    pub(super) fn read(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    /// Takes in what came after it in the same message.
    pub(super) fn extend(&mut self, more: Self) {
        let join = |before: &mut Option<Cow<'a, str>>, more: Option<Cow<'a, str>>| match (before.as_mut(), more) {
            (Some(before), Some(more)) => before.to_mut().push_str(&more),
            (None, Some(more)) => *before = Some(more),
            (_, None) => {}
        };
        join(&mut self.reasoning_content, more.reasoning_content);
        join(&mut self.reasoning, more.reasoning);
        self.reasoning_details.extend(more.reasoning_details);
    }

    /// The details hold the text as well, and one of the two is asked for.
    pub(super) fn settle(&mut self) {
        if !self.reasoning_details.is_empty() {
            (self.reasoning_content, self.reasoning) = (None, None);
        }
    }
}

/// OpenRouter's details of the reasoning. Those of a stream come in pieces, of which a text or a summary is put together;
/// what came in one piece stays byte for byte.
#[derive(Default)]
pub(super) struct Details(Vec<Detail>);

struct Detail {
    fields: Map<String, Value>,
    /// Its own form, where it came whole.
    own: Option<Box<RawValue>>,
}

impl Details {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in a piece; the text that it shows.
    pub(super) fn take(&mut self, piece: &RawValue) -> String {
        let Ok(fields) = serde_json::from_str::<Map<String, Value>>(piece.get()) else { return String::new() };
        let Some(written) = written(&fields) else {
            self.0.push(Detail { fields, own: Some(piece.to_owned()) });
            return String::new();
        };
        let shown = text(&fields, written).to_owned();
        // Where there is a number it says what belongs together, elsewhere the order does.
        let before = match fields.get("index").filter(|index| !index.is_null()) {
            Some(_) => self
                .0
                .iter_mut()
                .rfind(|before| same(&before.fields, &fields, "type") && same(&before.fields, &fields, "index")),
            None => self.0.last_mut().filter(|before| same(&before.fields, &fields, "type")),
        };
        // What comes after a signature belongs to another one, whatever its number.
        let goes_on = |before: &&mut Detail| {
            same(&before.fields, &fields, "id") && (shown.is_empty() || text(&before.fields, "signature").is_empty())
        };
        match before.filter(goes_on) {
            Some(before) => {
                before.own = None;
                merge(&mut before.fields, fields, written);
            }
            None => self.0.push(Detail { fields, own: Some(piece.to_owned()) }),
        }
        shown
    }

    /// The block that is kept of them.
    pub(super) fn kept(self) -> serde_json::Result<Box<RawValue>> {
        let details = self.0.into_iter().map(|Detail { own, fields }| own.map_or_else(|| to_raw_value(&fields), Ok));
        let details = details.collect::<serde_json::Result<Vec<_>>>()?;
        to_raw_value(&Kept { reasoning_details: details.iter().map(|detail| &**detail).collect(), ..Kept::default() })
    }
}

/// The field of a detail that comes in pieces, where it has one.
fn written(detail: &Map<String, Value>) -> Option<&'static str> {
    match detail.get("type")?.as_str()? {
        "reasoning.text" => Some("text"),
        "reasoning.summary" => Some("summary"),
        _ => None,
    }
}

fn text<'d>(detail: &'d Map<String, Value>, name: &str) -> &'d str {
    detail.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a field does not tell them apart.
fn same(one: &Map<String, Value>, other: &Map<String, Value>, name: &str) -> bool {
    let of = |detail: &Map<String, Value>| detail.get(name).filter(|value| !value.is_null()).cloned();
    match (of(one), of(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

fn merge(into: &mut Map<String, Value>, more: Map<String, Value>, written: &str) {
    for (name, value) in more {
        match (into.get_mut(&name), value) {
            (_, Value::Null) => {}
            (Some(Value::String(before)), Value::String(more)) if name == written => before.push_str(&more),
            (Some(before), value) if before.is_null() || before.as_str() == Some("") => *before = value,
            (Some(_), _) => {}
            (None, value) => {
                into.insert(name, value);
            }
        }
    }
}
