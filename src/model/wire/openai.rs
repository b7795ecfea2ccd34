//! What the wires of OpenAI share.

use std::borrow::Cow;

use serde::Serializer;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Words;
use crate::model::fault::{self, Fault};
use crate::protocol::Usage;

/// What is said where no filter is named.
const FILTERED: &str = "the provider's content filter stopped the answer";

/// A call's id, no longer than the wire takes: other providers' may be. A call and its result get the same one.
pub(super) fn call_id(id: &str, longest: usize) -> Cow<'_, str> {
    if id.chars().count() <= longest {
        return id.into();
    }
    let digest: String = Sha256::digest(id).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("call_{digest}").into()
}

/// JSON inside a string, as both wires want arguments.
pub(super) fn as_text<S: Serializer>(raw: &RawValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(raw.get())
}

/// The text of a piece of JSON: of a string what it says, of anything else (some servers give an object where its text
/// belongs) its own.
pub(super) fn text(raw: &RawValue) -> Cow<'_, str> {
    serde_json::from_str(raw.get()).map_or_else(|_| raw.get().into(), |Words(text)| text)
}

/// Figures, of which the prompt's includes what the cache was read or written for. A prompt of nothing was not counted.
pub(super) fn usage(prompt: Option<u64>, output: Option<u64>, read: Option<u64>, write: Option<u64>) -> Usage {
    let cached = read.unwrap_or(0).saturating_add(write.unwrap_or(0));
    let input = prompt.filter(|prompt| *prompt > 0).map(|prompt| prompt.saturating_sub(cached));
    Usage { input, output, cache_read: read, cache_write: write }
}

/// Why a filter stopped the answer: Azure says which.
pub(super) fn filtered(results: Option<&Value>) -> String {
    match results.map(fault::filters).unwrap_or_default().as_slice() {
        [] => FILTERED.to_owned(),
        names => format!("{FILTERED} ({})", names.join(", ")),
    }
}

/// An error that came under a good status.
pub(super) fn reported(said: &str) -> Fault {
    match serde_json::from_str(said) {
        Ok(body) => fault::from_body(None, &body),
        Err(_) => fault::from_body(None, &Value::String(said.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_too_long_are_replaced_by_ones_that_fit_and_stay_apart() {
        assert_eq!(call_id("functions.read:0", 40), "functions.read:0");
        let (one, other) = (format!("{}1", "x".repeat(64)), format!("{}2", "x".repeat(64)));
        assert_eq!(call_id(&one, 40).len(), 37);
        assert_eq!(call_id(&one, 40), call_id(&one, 64));
        assert_ne!(call_id(&one, 40), call_id(&other, 40));
    }
}
