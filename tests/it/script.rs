//! Conversations for the scripted model.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A turn that ends with words.
pub(crate) fn says(text: &str) -> Value {
    json!({ "deltas": [{ "text": text }] })
}

/// A turn that calls tools.
pub(crate) fn calls(calls: &[(&str, Value)]) -> Value {
    let deltas: Vec<Value> =
        calls.iter().map(|(name, arguments)| json!({ "call": { "name": name, "arguments": arguments } })).collect();
    json!({ "deltas": deltas })
}

/// Replacements of an `edit` call.
pub(crate) fn edit(path: &str, edits: &[(&str, &str)]) -> (&'static str, Value) {
    let edits: Vec<Value> = edits.iter().map(|(old, new)| json!({ "old": old, "new": new })).collect();
    ("edit", json!({ "path": path, "edits": edits }))
}

/// A turn that goes on until it is cancelled.
pub(crate) fn endless() -> Value {
    let deltas: Vec<Value> =
        (0..10_000).flat_map(|n| [json!({ "text": format!("word{n} ") }), json!({ "delay_ms": 1 })]).collect();
    json!({ "deltas": deltas })
}

/// Writes a conversation where every prompt that contains the words gets these turns.
pub(crate) fn write(folder: &Path, rules: &[(&str, Vec<Value>)]) -> PathBuf {
    let rules: Vec<Value> =
        rules.iter().map(|(words, turns)| json!({ "when": { "prompt_contains": words }, "turns": turns })).collect();
    let path = folder.join("conversation.json");
    std::fs::write(&path, json!({ "rules": rules }).to_string()).expect("the script is written");
    path
}

/// Settings that use it.
pub(crate) fn settings(script: &Path) -> Value {
    json!({ "model": "scripted/test", "providers": { "scripted": { "kind": "script", "path": script } } })
}
