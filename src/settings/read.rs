//! The walk that takes a tree entry by entry into the settings: what is wrong is reported and left out, the rest counts.

use std::collections::BTreeMap;

use super::fault::{At, Fault, Severity, Source};
use super::node::{Entry, Node, Value};

/// A key of a table and how its value is taken in.
pub(super) struct Field<T: 'static> {
    pub(super) key: &'static str,
    pub(super) read: fn(&mut T, &Entry, &mut Reader<'_>),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which layer and file.
    pub source: Source,
    /// Where in the file its value stands.
    pub at: Option<At>,
}

/// What one layer is read with: where it stands in the tree, what was wrong, and where each value came from.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    path: Vec<String>,
    pub(super) faults: &'a mut Vec<Fault>,
    pub(super) origins: &'a mut BTreeMap<String, Origin>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a Source,
        faults: &'a mut Vec<Fault>,
        origins: &'a mut BTreeMap<String, Origin>,
    ) -> Self {
        Self { source, path: Vec::new(), faults, origins }
    }

    /// Takes in a table by its list of fields. Anything that is not in the list is a fault.
    pub(super) fn table<T>(&mut self, into: &mut T, node: &Node, fields: &'static [Field<T>]) {
        for entry in self.entries(node) {
            match fields.iter().find(|field| field.key == entry.key) {
                Some(field) => self.within(entry, |reader| (field.read)(into, entry, reader)),
                None => {
                    let known: Vec<_> = fields.iter().map(|field| field.key).collect();
                    let message = unknown_key(&entry.key, &known);
                    self.within(entry, |reader| reader.fault(entry.at.clone(), message));
                }
            }
        }
    }

    /// Takes in a table whose keys are names of the person's own.
    pub(super) fn named(&mut self, entry: &Entry, mut each: impl FnMut(&Entry, &mut Self)) {
        for entry in self.entries(&entry.node) {
            self.within(entry, |reader| {
                reader.remember(entry.at.clone());
                each(entry, reader);
            });
        }
    }

    /// Sets a value when it is right, and remembers where it came from; reports it otherwise. Says which.
    pub(super) fn put<T>(
        &mut self,
        into: &mut T,
        entry: &Entry,
        value: impl FnOnce(&Node) -> Result<T, String>,
    ) -> bool {
        match value(&entry.node) {
            Ok(value) => {
                *into = value;
                self.remember(entry.node.at.clone());
                true
            }
            Err(message) => {
                self.fault(entry.node.at.clone(), message);
                false
            }
        }
    }

    /// Reports a fault at the present key.
    pub(super) fn fault(&mut self, at: Option<At>, message: String) {
        self.report(at, message, Severity::Error);
    }

    /// Reports something that is known, but not supported yet.
    pub(super) fn not_supported(&mut self, entry: &Entry, message: &str) {
        self.report(entry.at.clone(), message.to_owned(), Severity::NotSupported);
    }

    /// The present key, dotted, with what TOML would quote in quotes.
    pub(super) fn key(&self) -> String {
        dotted(&self.path)
    }

    fn remember(&mut self, at: Option<At>) {
        self.origins.insert(self.key(), Origin { source: self.source.clone(), at });
    }

    fn report(&mut self, at: Option<At>, message: String, severity: Severity) {
        let (source, key) = (self.source.clone(), self.key());
        self.faults.push(Fault { source, at, key, message, severity });
    }

    fn within(&mut self, entry: &Entry, read: impl FnOnce(&mut Self)) {
        // Editors send null for what a person has not set.
        if matches!(entry.node.value, Value::Null) {
            return;
        }
        self.path.push(entry.key.clone());
        read(self);
        self.path.pop();
    }

    fn entries<'n>(&mut self, node: &'n Node) -> &'n [Entry] {
        match &node.value {
            Value::Table(entries) => entries,
            // Lua encoders write an empty table as an empty list.
            Value::List(items) if items.is_empty() && node.at.is_none() => &[],
            other => {
                self.fault(node.at.clone(), expected("a table", other));
                &[]
            }
        }
    }
}

/// A key path as TOML spells it.
pub(super) fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    let bare = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let parts = path.iter().map(|part| {
        let part = part.as_ref();
        if bare(part) { part.to_owned() } else { format!("{part:?}") }
    });
    parts.collect::<Vec<_>>().join(".")
}

/// "expected …, found …", without the content: it may be a secret in the wrong place.
pub(super) fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {}", found.kind())
}

/// What is said of a key that nobody knows.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    match nearest(key, known) {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => format!("unknown key; known here: {}", known.join(", ")),
    }
}

/// The known word that was most likely meant, when one is near enough to be named.
pub(super) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let word = word.to_lowercase().replace('-', "_");
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.replace('-', "_")), *candidate))
        // Two slips in a word of five letters is another word.
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
