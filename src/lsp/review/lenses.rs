//! Code lenses: accept and reject above each place that waits.

use serde_json::json;
use tower_lsp::ls_types::{CodeLens, Command as LspCommand, Position, Range};

use super::words::{self, Now};
use super::{command, decide, now, waiting_in};
use crate::lsp::port::EditorPort;
use crate::session::{Decision, ReviewFile};
use crate::workspace::Workspace;

/// The lenses of a document, complete.
pub(in crate::lsp) fn lenses(workspace: &Workspace, port: &EditorPort, uri: &str) -> Vec<CodeLens> {
    waiting_in(workspace, port, uri).iter().flat_map(|file| of_file(file, &now(port, file))).collect()
}

fn of_file(file: &ReviewFile, now: &Now) -> Vec<CodeLens> {
    let mut lenses = Vec::new();
    for (index, hunk) in file.hunks.iter().enumerate() {
        // Where an editor shows pictures for `$(name)`, code is not to become one.
        let accept = format!("Accept: {}", words::change(file, hunk, now)).replace("$(", "$ (");
        let mut commands = vec![
            decide(accept, Decision::Accept, file, Some(hunk)),
            decide("Reject".into(), Decision::Reject, file, Some(hunk)),
        ];
        if index == 0 {
            commands.extend(of_all(file));
        }
        let start = hunk.range.start;
        lenses.extend((start.character..).zip(commands).map(|(character, command)| at(start.line, character, command)));
    }
    lenses
}

/// What stands above the first place, for all of them.
fn of_all(file: &ReviewFile) -> Vec<LspCommand> {
    let diff = command("Show as diff".into(), "cowrite.diff", json!({ "runId": file.run }));
    match file.hunks.len() {
        0 | 1 => vec![diff],
        count => vec![
            decide(format!("Accept all {count}"), Decision::Accept, file, None),
            decide("Reject all".into(), Decision::Reject, file, None),
            diff,
        ],
    }
}

/// A lens stands above the line of its range, which must not span lines. Each has a place of its own there, for editors that sort
/// them by it; one beyond the line's end is taken for the end.
fn at(line: u32, character: u32, command: LspCommand) -> CodeLens {
    let start = Position { line, character };
    CodeLens { range: Range { start, end: start }, command: Some(command), data: None }
}
