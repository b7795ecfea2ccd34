//! What a template is rendered with.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::Given;

/// A text that is made only when a template asks for it, and once.
pub type Lazy = LazyLock<Option<Arc<str>>, Box<dyn FnOnce() -> Option<Arc<str>> + Send>>;

/// A text that is made when a template asks for it; `None` when there is none then.
pub fn lazy(make: impl FnOnce() -> Option<String> + Send + 'static) -> Lazy {
    LazyLock::new(Box::new(move || make().map(Arc::from)))
}

/// Lines of a file, from 1, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does not work.
    Error,
    /// It may not work.
    Warning,
    /// Worth knowing.
    Information,
    /// Could be better.
    Hint,
}

/// A diagnostic, as a template shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line where it begins, from 1.
    pub line: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What it says.
    pub message: String,
    /// Who says it.
    pub source: Option<String>,
    /// Its code.
    pub code: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Information => "information",
            Severity::Hint => "hint",
        };
        // A message of several lines stays one entry of a list.
        write!(f, "line {}: {severity}: {}", self.line, self.message.trim().replace('\n', "\n  "))?;
        match (&self.source, &self.code) {
            (Some(source), Some(code)) => write!(f, " [{source} {code}]"),
            (Some(one), None) | (None, Some(one)) => write!(f, " [{one}]"),
            (None, None) => Ok(()),
        }
    }
}

/// What is known where a command is asked for. What is not there is `None` or empty.
#[derive(Debug, Default)]
pub struct TemplateContext {
    /// The file, as the model names it: relative to the workspace.
    pub file: Option<String>,
    /// The file's language id.
    pub language: Option<String>,
    /// The whole buffer.
    pub content: Option<Lazy>,
    /// The selected text; `None` when nothing is selected.
    pub selection: Option<Arc<str>>,
    /// The lines of the selection, or the line of the cursor.
    pub lines: Option<Lines>,
    /// What the person typed.
    pub prompt: Option<String>,
    /// The diagnostics there.
    pub diagnostics: Vec<Problem>,
    /// The open files, most recently used first, as the model names them.
    pub open_files: Vec<String>,
    /// The difference between the working tree and the last commit.
    pub git_diff: Option<Lazy>,
    /// The difference between the open buffers and the disk, as unified diffs.
    pub unsaved_diff: Option<Lazy>,
    /// The workspace's first folder.
    pub workspace: Option<String>,
}

impl TemplateContext {
    /// What is at hand.
    #[must_use]
    pub fn given(&self) -> Given {
        Given {
            prompt: self.prompt.is_some(),
            file: self.file.is_some(),
            selection: self.selection.is_some(),
            diagnostics: !self.diagnostics.is_empty(),
        }
    }
}
