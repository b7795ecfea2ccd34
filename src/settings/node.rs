//! One tree for both spellings of settings: TOML with places, JSON without.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{At, Lines};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Option<At>,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Text(String),
    Whole(i128),
    Number(f64),
    Flag(bool),
    Date,
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) at: Option<At>,
    pub(super) node: Node,
}

impl Value {
    /// What a person would call it. Never its content: that may be a secret in the wrong place.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Text(_) => "text",
            Self::Whole(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A syntax error: one for the whole file.
pub(super) struct Syntax {
    pub(super) at: Option<At>,
    pub(super) message: String,
}

/// Reads TOML.
pub(super) fn from_toml(text: &str) -> Result<Node, Syntax> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| Syntax {
        at: error.span().map(|span| lines.at(span)),
        message: format!("this is not TOML: {}", error.message()),
    })?;
    let at = lines.at(table.span());
    Ok(Node { at: Some(at), value: toml_table(table.into_inner(), &lines) })
}

fn toml_table(table: DeTable<'_>, lines: &Lines<'_>) -> Value {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| Entry {
            at: Some(lines.at(key.span())),
            key: key.into_inner().into_owned(),
            node: toml_node(value, lines),
        })
        .collect();
    // The parser sorts by key; faults are told in the order in which a person reads the file.
    entries.sort_by_key(|entry| entry.at.as_ref().map(|at| at.bytes.start));
    Value::Table(entries)
}

fn toml_node(node: Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Node {
    let at = Some(lines.at(node.span()));
    let value = match node.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            // The parser lets through what fits no machine word; so far from any sensible figure, the sign is enough.
            let far = if number.as_str().starts_with('-') { i128::MIN } else { i128::MAX };
            Value::Whole(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(far))
        }
        DeValue::Float(number) => Value::Number(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| toml_node(item, lines)).collect()),
        DeValue::Table(table) => toml_table(table, lines),
    };
    Node { at, value }
}

/// Reads JSON, as editors send it.
pub(super) fn from_json(json: &Json) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Flag(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Value::Whole(whole.into()),
            (_, Some(whole), _) => Value::Whole(whole.into()),
            // Lua knows one kind of number, and some of its encoders write 100 as 100.0.
            (.., Some(number)) if number.fract() == 0.0 && number.abs() < 1e15 => Value::Whole(number as i128),
            (.., number) => Value::Number(number.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(map) => Value::Table(
            map.iter().map(|(key, value)| Entry { key: key.clone(), at: None, node: from_json(value) }).collect(),
        ),
    };
    Node { at: None, value }
}
