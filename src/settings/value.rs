//! Single values: what is accepted, and what is said of the rest.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use url::{Host, Url};

use super::node::{Node, Value};
use super::read::{expected, nearest};

/// Text.
pub(super) fn text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(expected("text in quotes", other)),
    }
}

/// Text with something in it.
pub(super) fn some_text(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    if text.trim().is_empty() { Err("expected text, found an empty one".into()) } else { Ok(text) }
}

/// `true` or `false`.
pub(super) fn flag(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Flag(flag) => Ok(*flag),
        other => Err(expected("true or false", other)),
    }
}

/// A cap or a size: zero is never meant.
pub(super) fn at_least_one<T: TryFrom<i128>>(node: &Node) -> Result<T, String> {
    match &node.value {
        Value::Whole(found) if *found < 1 => Err(format!("expected a whole number of at least 1, found {found}")),
        // TOML has no larger numbers than these, and what fits the setting's own type may be less.
        Value::Whole(found) if *found <= i64::MAX.into() => T::try_from(*found).map_err(|_| too_large()),
        Value::Whole(_) => Err(too_large()),
        other => Err(expected("a whole number of at least 1", other)),
    }
}

fn too_large() -> String {
    "expected a whole number of at least 1, found one that is too large".into()
}

/// A whole number where none is an answer too.
pub(super) fn whole<T: TryFrom<i128>>(node: &Node) -> Result<T, String> {
    match &node.value {
        Value::Whole(0) => T::try_from(0).map_err(|_| too_large()),
        Value::Whole(found) if *found < 0 => Err(format!("expected a whole number of at least 0, found {found}")),
        Value::Whole(_) => at_least_one(node),
        other => Err(expected("a whole number of at least 0", other)),
    }
}

/// A part of something: more than nothing of it, and at most all.
pub(super) fn share(node: &Node) -> Result<f64, String> {
    const WHAT: &str = "a number above 0 and up to 1";
    match number(node) {
        Some(found) if found > 0.0 && found <= 1.0 => Ok(found),
        Some(found) => Err(format!("expected {WHAT}, found {found}")),
        None => Err(expected(WHAT, &node.value)),
    }
}

/// What something costs.
pub(super) fn amount(node: &Node) -> Result<f64, String> {
    const WHAT: &str = "a number of at least 0";
    match number(node) {
        Some(found) if found >= 0.0 && found.is_finite() => Ok(found),
        Some(found) => Err(format!("expected {WHAT}, found {found}")),
        None => Err(expected(WHAT, &node.value)),
    }
}

fn number(node: &Node) -> Option<f64> {
    match &node.value {
        // Only ranges matter here, and inside them nothing is lost.
        Value::Whole(found) => Some(*found as f64),
        Value::Number(found) => Some(*found),
        _ => None,
    }
}

/// A number between two others.
pub(super) fn between(node: &Node, low: f64, high: f64) -> Result<f64, String> {
    let what = format!("a number from {low} to {high}");
    let Some(found) = number(node) else { return Err(expected(&what, &node.value)) };
    if (low..=high).contains(&found) { Ok(found) } else { Err(format!("expected {what}, found {found}")) }
}

/// One of a few words.
pub(super) fn word<T: DeserializeOwned>(node: &Node, words: &[&str]) -> Result<T, String> {
    let what = format!("one of {}", words.join(", "));
    let Value::Text(found) = &node.value else { return Err(expected(&what, &node.value)) };
    serde_json::from_value(serde_json::Value::from(found.as_str())).map_err(|_| match nearest(found, words) {
        Some(near) => format!("expected {what}, found {found:?}; did you mean {near:?}?"),
        None => format!("expected {what}, found {found:?}"),
    })
}

/// A list of text.
pub(super) fn texts(node: &Node) -> Result<Vec<String>, String> {
    let Value::List(items) = &node.value else { return Err(expected("a list of text", &node.value)) };
    items
        .iter()
        .map(|item| match &item.value {
            Value::Text(text) => Ok(text.clone()),
            other => Err(format!("expected a list of text, found {} in it", other.kind())),
        })
        .collect()
}

/// A path: `~/` is the home folder, a relative one starts from the settings file.
pub(super) fn path(node: &Node, folder: Option<&Path>) -> Result<PathBuf, String> {
    let text = some_text(node)?;
    if let Some(rest) = text.strip_prefix("~/") {
        let home = dirs::home_dir().ok_or("expected a path, found `~/` on a system that has no home folder")?;
        return Ok(home.join(rest));
    }
    // Joining an absolute path gives that path.
    Ok(folder.map_or_else(|| PathBuf::from(&text), |folder| folder.join(&text)))
}

/// The name of an environment variable. A key pasted here is refused without being repeated.
pub(super) fn variable(node: &Node) -> Result<String, String> {
    let name = text(node)?;
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if fits {
        Ok(name)
    } else {
        Err("expected the name of an environment variable, such as ANTHROPIC_API_KEY; the key itself does not belong here".into())
    }
}

/// A program with its arguments. It is started as it stands, without a shell.
pub(super) fn program(node: &Node) -> Result<Vec<String>, String> {
    match &node.value {
        Value::List(_) => {
            let words = texts(node)?;
            match words.first() {
                Some(program) if !program.trim().is_empty() => Ok(words),
                _ => Err("expected a program and its arguments, found no program".into()),
            }
        }
        other => Err(expected("a program and its arguments, such as [\"pass\", \"show\", \"anthropic\"]", other)),
    }
}

/// A name that becomes a part of a host's: anything else in it would send the key elsewhere.
pub(super) fn host_label(node: &Node) -> Result<String, String> {
    let name = text(node)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !name.is_empty() && name.len() <= 63 && name.chars().all(fits) {
        Ok(name)
    } else {
        Err("expected a name of letters, digits and `-`".into())
    }
}

/// An endpoint. What is refused is not repeated, because it may hold a password.
pub(super) fn endpoint(node: &Node) -> Result<String, String> {
    const WHAT: &str = "expected a URL such as \"https://api.example.com/v1\"";
    let text = text(node)?;
    let url = Url::parse(text.trim()).map_err(|error| format!("{WHAT}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{WHAT}, found the scheme {:?}", url.scheme()));
    }
    if url.host().is_none() {
        return Err(format!("{WHAT}, found one without a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected a URL without a name or password in it: keys come from environment variables".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("expected a URL without `?` and `#`: request paths are added to its end".into());
    }
    Ok(text.trim().to_owned())
}

/// Whether requests to this endpoint would leave this machine unencrypted.
pub(super) fn leaves_in_plain(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !loopback
}
