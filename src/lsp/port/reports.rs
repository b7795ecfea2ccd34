//! What the language servers of the editor report, as the agent knows it.

use tower_lsp::ls_types::{Diagnostic, DiagnosticSeverity, NumberOrString};

use super::EditorPort;
use crate::editor::{Diagnosis, Place, Severity};
use crate::lsp::client::Reported;
use crate::protocol::{Position, Range};

/// The most of one document.
const MOST: usize = 1000;

impl EditorPort {
    /// What is reported of a document; Cowrite's own marks are not among it.
    pub(super) fn reported(&self, one: Reported) -> (Place, Vec<Diagnosis>) {
        let own = |diagnostic: &Diagnostic| diagnostic.source.as_deref() == Some("cowrite");
        let found = one.diagnostics.into_iter().filter(|diagnostic| !own(diagnostic)).take(MOST);
        (self.place(one.uri.as_str()), found.map(diagnosis).collect())
    }
}

fn diagnosis(diagnostic: Diagnostic) -> Diagnosis {
    let at = |position: tower_lsp::ls_types::Position| Position { line: position.line, character: position.character };
    Diagnosis {
        range: Range { start: at(diagnostic.range.start), end: at(diagnostic.range.end) },
        severity: match diagnostic.severity {
            Some(DiagnosticSeverity::WARNING) => Severity::Warning,
            Some(DiagnosticSeverity::INFORMATION) => Severity::Information,
            Some(DiagnosticSeverity::HINT) => Severity::Hint,
            _ => Severity::Error,
        },
        source: diagnostic.source,
        code: diagnostic.code.map(|code| match code {
            NumberOrString::Number(code) => code.to_string(),
            NumberOrString::String(code) => code,
        }),
        message: diagnostic.message,
    }
}
