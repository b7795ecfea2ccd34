//! What a server says about itself, made fit to be shown to a model and to a person.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::resources::RESOURCES;
use crate::model::without_keys;
use crate::tool::{cap, line};

/// The longest name of a tool that every provider takes.
const NAME: usize = 64;
/// How deep a schema may go.
const DEEPEST: usize = 32;

/// `server__tool` in the characters that every provider takes. What has to be changed for that gets an end of its own, so that two
/// do not become one; so does what rules call the reading of resources.
pub(super) fn name(server: &str, tool: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let whole = format!("{server}__{tool}");
    let cleaned: String = whole.chars().map(plain).collect();
    if cleaned == whole && cleaned.len() <= NAME && tool != RESOURCES {
        return cleaned;
    }
    let end: String = Sha256::digest(whole.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let head: String = cleaned.chars().take(NAME - end.len() - 1).collect();
    format!("{head}_{end}")
}

/// Text without what acts on a terminal or deceives a reader, and without any key or token, which a server may say again; its lines stay.
pub(super) fn plain(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    keyless(text.chars().filter(|&c| c == '\n' || c == '\t' || !odd(c)).collect())
}

fn keyless(text: String) -> String {
    without_keys(text).unwrap_or_else(|| "[it may hold a key, so it is not shown]".to_owned())
}

/// The same, cut to so many bytes.
pub(super) fn text(text: &str, most: usize) -> String {
    cap(plain(text), most)
}

/// One line for a person.
pub(super) fn short(text: &str) -> String {
    line(&keyless(text.to_owned()))
}

/// A schema with its texts made plain; `None` when it goes too deep.
pub(super) fn schema(value: &Value) -> Option<Value> {
    fn at(value: &Value, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        Some(match value {
            Value::String(text) => Value::String(plain(text)),
            Value::Array(items) => Value::Array(items.iter().map(|item| at(item, depth + 1)).collect::<Option<_>>()?),
            Value::Object(fields) => {
                let each = fields.iter().map(|(key, value)| Some((plain(key), at(value, depth + 1)?)));
                Value::Object(each.collect::<Option<_>>()?)
            }
            other => other.clone(),
        })
    }
    at(value, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_every_provider_and_stay_apart() {
        assert_eq!(name("docs", "search"), "docs__search");
        let odd = name("docs", "a.b c");
        assert!(odd.starts_with("docs__a_b_c_") && odd != name("docs", "a_b.c"), "{odd}");
        assert!(name("docs", "resources").starts_with("docs__resources_"));
        let long = name("docs", &"x".repeat(100));
        assert_eq!(long.len(), 64);
        assert_ne!(long, name("docs", &"x".repeat(101)));
    }

    #[test]
    fn a3_23_what_servers_say_cannot_act_on_a_terminal() {
        assert_eq!(text("a\u{1b}[2J\u{202e}b\n\tc\r", 100), "a[2Jb\n\tc");
        assert_eq!(short("a\nb"), "a b");
        let schema = schema(&serde_json::json!({"a\u{7}": ["\u{200b}x"]})).unwrap();
        assert_eq!(schema.to_string(), r#"{"a":["x"]}"#);
    }
}
