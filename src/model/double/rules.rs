//! What the checks of all providers are made of.

use serde_json::Value;

use super::{Asked, CANARY, Checked};

pub(super) fn wrong(text: impl Into<String>) -> Checked {
    Err((400, text.into()))
}

/// Only these fields, and these of them for certain.
pub(super) fn fields(value: &Value, required: &[&str], optional: &[&str]) -> Checked {
    let Some(object) = value.as_object() else { return wrong(format!("not an object: {value}")) };
    if let Some(field) =
        object.keys().find(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str()))
    {
        return wrong(format!("unknown field {field} in {value}"));
    }
    match required.iter().find(|field| !object.contains_key(**field)) {
        Some(field) => wrong(format!("no {field} in {value}")),
        None => Ok(()),
    }
}

pub(super) fn header(asked: &Asked<'_>, name: &str, expected: &str, status: u16) -> Checked {
    let values: Vec<_> = asked.headers.get_all(name).iter().collect();
    match values[..] {
        [value] if value == expected => Ok(()),
        // Some providers repeat the key that they refuse.
        _ => Err((status, format!("wrong {name}: {:?}", values.iter().map(|v| v.to_str()).collect::<Vec<_>>()))),
    }
}

pub(super) fn absent(asked: &Asked<'_>, names: &[&str]) -> Checked {
    match names.iter().find(|name| asked.headers.contains_key(**name)) {
        Some(name) => wrong(format!("the header {name} has no business here")),
        None => Ok(()),
    }
}

/// A JSON document was posted, with a bearer token where one is wanted.
pub(super) fn posted(asked: &Asked<'_>) -> Checked {
    if asked.method != "POST" {
        return Err((405, format!("{} is not allowed", asked.method)));
    }
    header(asked, "content-type", "application/json", 415)
}

pub(super) fn bearer(asked: &Asked<'_>) -> Checked {
    header(asked, "authorization", &format!("Bearer {CANARY}"), 401)
}

pub(super) fn path(asked: &Asked<'_>, path: &str, query: Option<&str>) -> Checked {
    match (asked.uri.path(), asked.uri.query()) {
        (p, q) if p == path && q == query => Ok(()),
        _ => Err((404, format!("no such path {}", asked.uri))),
    }
}

pub(super) fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, (u16, String)> {
    match value.as_array() {
        Some(list) if !list.is_empty() => Ok(list),
        _ => Err((400, format!("{what} is no list, or an empty one: {value}"))),
    }
}

/// A list that may be left out, but not be empty.
pub(super) fn optional_list<'a>(value: &'a Value, what: &str) -> Result<&'a [Value], (u16, String)> {
    if value.is_null() { Ok(&[]) } else { list(value, what).map(Vec::as_slice) }
}

pub(super) fn string<'a>(value: &'a Value, what: &str) -> Result<&'a str, (u16, String)> {
    value.as_str().ok_or_else(|| (400, format!("{what} is no string: {value}")))
}

pub(super) fn filled<'a>(value: &'a Value, what: &str) -> Result<&'a str, (u16, String)> {
    match string(value, what)? {
        text if text.trim().is_empty() => Err((400, format!("{what} is blank"))),
        text => Ok(text),
    }
}

pub(super) fn number(value: &Value, what: &str, least: f64, most: f64) -> Checked {
    match value.as_f64() {
        None if value.is_null() => Ok(()),
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ => wrong(format!("{what} is {value}, and should be from {least} to {most}")),
    }
}

pub(super) fn whole_number(value: &Value, what: &str, least: u64) -> Checked {
    match value.as_u64() {
        None if value.is_null() => Ok(()),
        Some(number) if (least..1_000_000_000).contains(&number) => Ok(()),
        _ => wrong(format!("{what} is {value}, and should be at least {least}")),
    }
}

pub(super) fn boolean(value: &Value, what: &str) -> Checked {
    if value.is_null() || value.is_boolean() { Ok(()) } else { wrong(format!("{what} is neither true nor false")) }
}

/// A name of letters, digits and these, no longer than that.
pub(super) fn name(value: &Value, what: &str, beside: &str, longest: usize) -> Checked {
    let text = string(value, what)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || beside.contains(c);
    if text.is_empty() || text.len() > longest || !text.chars().all(fits) {
        return wrong(format!("{what} is {text:?}, which does not follow the pattern"));
    }
    Ok(())
}

/// The schema of a tool's arguments: one of an object, of known types throughout.
pub(super) fn schema(value: &Value) -> Checked {
    if value["type"] != "object" {
        return wrong(format!("a schema must be of the type object: {value}"));
    }
    known_types(value)
}

fn known_types(value: &Value) -> Checked {
    const TYPES: &[&str] = &["object", "array", "string", "integer", "number", "boolean", "null"];
    match value {
        Value::Array(list) => list.iter().try_for_each(known_types),
        Value::Object(object) => {
            if let Some(kind) = object.get("type").and_then(Value::as_str)
                && !TYPES.contains(&kind)
            {
                return wrong(format!("the type {kind} in a schema"));
            }
            if let Some(required) = object.get("required").and_then(Value::as_array) {
                let properties = object.get("properties").and_then(Value::as_object);
                let known =
                    |name: &Value| properties.is_some_and(|all| name.as_str().is_some_and(|n| all.contains_key(n)));
                if !required.iter().all(known) {
                    return wrong(format!("a schema requires what it does not have: {value}"));
                }
            }
            // What a property is called may be anything, type too.
            let inner = object
                .iter()
                .filter(|(name, _)| !["properties", "$defs", "enum", "const", "default"].contains(&name.as_str()));
            inner.map(|(_, value)| value).try_for_each(known_types)?;
            let named = ["properties", "$defs"].iter().filter_map(|name| object.get(*name)?.as_object());
            named.flat_map(|all| all.values()).try_for_each(known_types)
        }
        _ => Ok(()),
    }
}

/// Every tool is offered once.
pub(super) fn once<'a>(names: impl IntoIterator<Item = &'a Value>) -> Checked {
    let mut seen = std::collections::HashSet::new();
    match names.into_iter().find(|name| !seen.insert(name.to_string())) {
        Some(name) => wrong(format!("{name} is there twice")),
        None => Ok(()),
    }
}
