//! Faults of the settings, as diagnostics on the file that they stand in.

use std::path::Path;

use tower_lsp::ls_types::{Diagnostic, DiagnosticSeverity, Position, PublishDiagnosticsParams, Range};

use super::uri;
use crate::settings::{At, Fault, Severity};

/// The diagnostics of each file that has faults.
pub(super) fn by_file(faults: &[Fault]) -> Vec<PublishDiagnosticsParams> {
    let mut files: Vec<(&Path, Vec<Diagnostic>)> = Vec::new();
    for fault in faults {
        let Some(file) = fault.source.file.as_deref() else { continue };
        let diagnostic = diagnostic(fault);
        match files.iter_mut().find(|(known, _)| *known == file) {
            Some((_, diagnostics)) => diagnostics.push(diagnostic),
            None => files.push((file, vec![diagnostic])),
        }
    }
    let params = |(file, diagnostics)| Some(PublishDiagnosticsParams::new(uri::from_path(file)?, diagnostics, None));
    files.into_iter().filter_map(params).collect()
}

fn diagnostic(fault: &Fault) -> Diagnostic {
    let place = |line: usize, column: usize| Position {
        line: u32::try_from(line.saturating_sub(1)).unwrap_or(u32::MAX),
        character: u32::try_from(column.saturating_sub(1)).unwrap_or(u32::MAX),
    };
    let range = fault.at.as_ref().map_or_else(Range::default, |At { line, column, .. }| Range {
        start: place(*line, *column),
        // To the end of the line: editors cut a range that is too long.
        end: Position { character: u32::MAX >> 1, ..place(*line, *column) },
    });
    let key = if fault.key.is_empty() { String::new() } else { format!("{}: ", fault.key) };
    Diagnostic {
        range,
        severity: Some(match fault.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::NotSupported => DiagnosticSeverity::WARNING,
        }),
        source: Some("cowrite".into()),
        message: format!("{key}{}", fault.message),
        ..Diagnostic::default()
    }
}
