//! What waits for the person, as an editor shows it: lenses, code actions, markers where there are no lenses, and a diff.

mod actions;
mod diff;
mod following;
mod lenses;
mod markers;
mod words;

pub(super) use actions::actions;
pub(super) use diff::diff;
pub(super) use following::Following;
pub(super) use lenses::lenses;
pub(super) use markers::is_marker;
pub(super) use words::waits;

use serde_json::{Value, json};
use tower_lsp::ls_types::{Command as LspCommand, Position, Range};

use super::port::EditorPort;
use crate::editor::Editor;
use crate::protocol;
use crate::session::{Decision, ReviewFile, ReviewHunk};
use crate::workspace::Workspace;

/// What waits in one document, however the client spells it.
fn waiting_in(workspace: &Workspace, port: &EditorPort, uri: &str) -> Vec<ReviewFile> {
    let files = workspace.reviews();
    if files.is_empty() {
        return files;
    }
    let place = port.place(uri);
    let here = |file: &ReviewFile| file.uri == uri || (place.path().is_some() && file.place.path() == place.path());
    files.into_iter().filter(here).collect()
}

/// What a document holds now, where it is open.
fn now(port: &EditorPort, file: &ReviewFile) -> words::Now {
    port.buffer(&file.place).map(|snapshot| (snapshot.rope().clone(), port.encoding()))
}

/// How many hunks that are, in how many documents.
fn size(files: &[ReviewFile]) -> (usize, usize) {
    (files.iter().map(|file| file.hunks.len()).sum(), files.len())
}

/// The command that decides on a hunk, or on all of a document.
fn decide(title: String, decision: Decision, file: &ReviewFile, hunk: Option<&ReviewHunk>) -> LspCommand {
    let mut which = json!({ "runId": file.run, "uri": file.uri });
    if let Some(hunk) = hunk {
        which["hunk"] = json!(hunk.id);
    }
    command(title, name(decision), which)
}

fn command(title: String, command: &str, argument: Value) -> LspCommand {
    LspCommand { title, command: command.into(), arguments: Some(vec![argument]) }
}

fn name(decision: Decision) -> &'static str {
    match decision {
        Decision::Accept => "cowrite.accept",
        Decision::Reject => "cowrite.reject",
    }
}

/// A range, in the words of the client.
fn range(range: protocol::Range) -> Range {
    let place = |position: protocol::Position| Position { line: position.line, character: position.character };
    Range { start: place(range.start), end: place(range.end) }
}
