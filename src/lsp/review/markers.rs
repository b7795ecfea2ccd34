//! Markers: diagnostics where something waits, for editors that show no lenses.

use std::collections::BTreeMap;

use serde_json::json;
use tower_lsp::ls_types::{Diagnostic, DiagnosticSeverity};

use super::words::{self, Now};
use super::{now, range};
use crate::lsp::port::EditorPort;
use crate::session::{ReviewFile, ReviewHunk};

const SOURCE: &str = "cowrite";
const BEGINS: &str = "proposed: ";

/// The markers of each document, by its URI.
pub(super) fn by_document(files: &[ReviewFile], port: &EditorPort) -> BTreeMap<String, Vec<Diagnostic>> {
    let mut documents: BTreeMap<String, Vec<Diagnostic>> = BTreeMap::new();
    for file in files {
        let now = now(port, file);
        let markers = file.hunks.iter().map(|hunk| marker(file, hunk, &now));
        documents.entry(file.uri.clone()).or_default().extend(markers);
    }
    documents
}

/// Whether a diagnostic that came back is the marker of a hunk. Some clients send no data back; their own ranges have moved
/// with what was typed.
pub(super) fn marks(diagnostic: &Diagnostic, file: &ReviewFile, hunk: &ReviewHunk, now: &Now) -> bool {
    let marker = marker(file, hunk, now);
    is_marker(diagnostic)
        && match &diagnostic.data {
            Some(data) => Some(data) == marker.data.as_ref(),
            None => diagnostic.message == marker.message,
        }
}

/// Whether a diagnostic is a marker: nothing that a model should mend.
pub(in crate::lsp) fn is_marker(diagnostic: &Diagnostic) -> bool {
    diagnostic.source.as_deref() == Some(SOURCE) && diagnostic.message.starts_with(BEGINS)
}

fn marker(file: &ReviewFile, hunk: &ReviewHunk, now: &Now) -> Diagnostic {
    Diagnostic {
        range: range(hunk.range),
        severity: Some(DiagnosticSeverity::INFORMATION),
        source: Some(SOURCE.into()),
        message: format!("{BEGINS}{}", words::change(file, hunk, now)),
        data: Some(json!({ "runId": file.run, "hunk": hunk.id })),
        ..Diagnostic::default()
    }
}
