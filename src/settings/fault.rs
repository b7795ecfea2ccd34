//! What is wrong with a settings file, in words for the person who wrote it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Which layer a value comes from. Later ones win; the order here is that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerName {
    /// What the program is built with.
    BuiltIn,
    /// The user's own file.
    User,
    /// The workspace's own file, once it is trusted.
    Workspace,
    /// What the editor said at the start.
    InitializationOptions,
}

/// A layer together with the file that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which layer.
    pub layer: LayerName,
    /// Its file; `None` for layers that are none.
    pub file: Option<PathBuf>,
}

impl Source {
    /// The folder that relative paths in this layer start from.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.layer) {
            (Some(file), _) => file.display().fmt(f),
            (None, LayerName::BuiltIn) => f.write_str("built-in settings"),
            (None, LayerName::User) => f.write_str("user settings"),
            (None, LayerName::Workspace) => f.write_str("workspace settings"),
            (None, LayerName::InitializationOptions) => f.write_str("initializationOptions"),
        }
    }
}

/// A place in a settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The bytes of the file that are meant.
    pub bytes: Range<usize>,
}

/// How much a fault matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// What was written has no effect because it is wrong.
    Error,
    /// What was written is right, but this version does not support it.
    NotSupported,
}

/// One fault: what is wrong, where, and what was expected. The rest of its file counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which layer and file.
    pub source: Source,
    /// Where in the file; `None` for a layer without lines and for a file that cannot be read.
    pub at: Option<At>,
    /// The key, such as `limits.max_turns`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what was expected.
    pub message: String,
    /// How much it matters.
    pub severity: Severity,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if let Some(At { line, column, .. }) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Turns byte offsets into lines and columns.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub(super) fn at(&self, bytes: Range<usize>) -> At {
        let start = bytes.start.min(self.text.len());
        let line = self.starts.partition_point(|begin| *begin <= start);
        let begin = self.starts.get(line.wrapping_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(begin..start).map_or(0, |before| before.chars().count()) + 1;
        At { line, column, bytes }
    }
}
