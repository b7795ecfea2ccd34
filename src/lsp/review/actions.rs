//! Code actions where something waits: for the place, the file and the run. Complete when listed.

use serde_json::json;
use tower_lsp::ls_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, Command as LspCommand, Diagnostic,
};

use super::words::{self, Now};
use super::{command, decide, markers, name, now, size, waiting_in};
use crate::lsp::actions::wanted;
use crate::lsp::port::EditorPort;
use crate::protocol::Range;
use crate::session::{Decision, ReviewFile, ReviewHunk, StandingHere};
use crate::workspace::Workspace;

const BOTH: [(Decision, &str); 2] = [(Decision::Accept, "accept"), (Decision::Reject, "reject")];
const STANDING: [(Decision, &str); 2] = [(Decision::Accept, "Keep"), (Decision::Reject, "Take back")];

/// The actions for a range of a document.
pub(in crate::lsp) fn actions(
    workspace: &Workspace,
    port: &EditorPort,
    params: &CodeActionParams,
) -> Vec<CodeActionOrCommand> {
    let uri = params.text_document.uri.as_str();
    let here = waiting_in(workspace, port, uri);
    let all = if here.is_empty() { Vec::new() } else { workspace.reviews() };
    let standing = workspace.standing(|| port.place(uri), |hunk| meets(hunk, params.range));
    let proposed = here.iter().flat_map(|file| of_file(file, &all, &now(port, file), params));
    let actions = proposed.chain(standing.iter().flat_map(of_standing));
    let wanted =
        |action: &CodeAction| action.kind.as_ref().is_none_or(|kind| wanted(params.context.only.as_deref(), kind));
    actions.filter(wanted).map(CodeActionOrCommand::CodeAction).collect()
}

fn of_file(file: &ReviewFile, all: &[ReviewFile], now: &Now, params: &CodeActionParams) -> Vec<CodeAction> {
    let at: Vec<&ReviewHunk> = file.hunks.iter().filter(|hunk| meets(hunk.range, params.range)).collect();
    let mut actions = Vec::new();
    for hunk in &at {
        let marks = |diagnostic: &&Diagnostic| markers::marks(diagnostic, file, hunk, now);
        let marker: Vec<Diagnostic> = params.context.diagnostics.iter().filter(marks).cloned().collect();
        for (decision, word) in BOTH {
            let title = format!("Cowrite: {word} this change: {}", words::change(file, hunk, now));
            let command = decide(title, decision, file, Some(hunk));
            let diagnostics = (!marker.is_empty()).then(|| marker.clone());
            actions.push(CodeAction { diagnostics, ..action(CodeActionKind::QUICKFIX, command) });
        }
    }
    // Away from the places they are no fix of anything there.
    let kind = if at.is_empty() { CodeActionKind::SOURCE } else { CodeActionKind::QUICKFIX };
    let of_run: Vec<ReviewFile> = all.iter().filter(|other| other.run == file.run).cloned().collect();
    let ((in_run, files), in_file) = (size(&of_run), file.hunks.len());
    for (decision, word) in BOTH {
        // With the cursor on the only one there is nothing more.
        if in_file > at.len() || in_file > 1 {
            let title = match in_file {
                1 => format!("Cowrite: {word} the change of this file"),
                _ => format!("Cowrite: {word} all {in_file} changes of this file"),
            };
            actions.push(action(kind.clone(), decide(title, decision, file, None)));
        }
    }
    for (decision, word) in BOTH {
        if files > 1 {
            let title = format!("Cowrite: {word} all {in_run} changes in {files} files");
            actions.push(action(kind.clone(), command(title, name(decision), json!({ "runId": file.run }))));
        }
    }
    let title = "Cowrite: show the changes as a diff".to_owned();
    actions.push(action(kind, command(title, "cowrite.diff", json!({ "runId": file.run }))));
    actions
}

/// What a run has changed at the place is kept or taken back: there, in the file, and everywhere.
fn of_standing(standing: &StandingHere) -> Vec<CodeAction> {
    let StandingHere { file, in_file, in_run, files } = standing;
    let mut commands = Vec::new();
    let several = file.hunks.len() > 1;
    for hunk in &file.hunks {
        // Two of one line are told apart.
        let which = if several { format!(": {}", words::change(file, hunk, &None)) } else { String::new() };
        let of_hunk =
            |(decision, word)| decide(format!("{word} this change (Cowrite){which}"), decision, file, Some(hunk));
        commands.extend(STANDING.map(of_hunk));
    }
    if !commands.is_empty() && *in_file > 1 {
        let all = |word| format!("{word} all {in_file} changes of this file (Cowrite)");
        commands.extend(STANDING.map(|(decision, word)| decide(all(word), decision, file, None)));
    }
    if !commands.is_empty() && *files > 1 {
        let all = |word| format!("{word} all {in_run} changes in {files} files (Cowrite)");
        let of_run = json!({ "runId": file.run });
        commands.extend(STANDING.map(|(decision, word)| command(all(word), name(decision), of_run.clone())));
    }
    commands.into_iter().map(|command| action(CodeActionKind::QUICKFIX, command)).collect()
}

fn action(kind: CodeActionKind, command: LspCommand) -> CodeAction {
    CodeAction { title: command.title.clone(), kind: Some(kind), command: Some(command), ..CodeAction::default() }
}

/// Whether a selection is on a line of a hunk. An end at the beginning of a line is not on it.
fn meets(hunk: Range, selected: tower_lsp::ls_types::Range) -> bool {
    let last = |start: u32, line: u32, character: u32| if character == 0 && line > start { line - 1 } else { line };
    let hunk_last = last(hunk.start.line, hunk.end.line, hunk.end.character);
    let selected_last = last(selected.start.line, selected.end.line, selected.end.character);
    hunk.start.line <= selected_last && selected.start.line <= hunk_last
}

#[cfg(test)]
mod tests {
    use tower_lsp::ls_types;

    use super::*;
    use crate::protocol::Position;

    fn check(hunk: [u32; 4], selected: [u32; 4], expected: bool) {
        let ours = |line, character| Position { line, character };
        let theirs = |line, character| ls_types::Position { line, character };
        let hunk = Range { start: ours(hunk[0], hunk[1]), end: ours(hunk[2], hunk[3]) };
        let [l1, c1, l2, c2] = selected;
        let selected = ls_types::Range { start: theirs(l1, c1), end: theirs(l2, c2) };
        assert_eq!(meets(hunk, selected), expected, "{hunk:?} {selected:?}");
    }

    #[test]
    fn a_cursor_meets_what_is_on_its_line() {
        check([2, 3, 2, 8], [2, 0, 2, 0], true);
        check([2, 3, 2, 8], [1, 9, 1, 9], false);
        check([2, 0, 2, 0], [2, 5, 2, 5], true);
        // Whole lines, one selected by its line break.
        check([2, 0, 4, 0], [3, 1, 3, 1], true);
        check([2, 0, 4, 0], [4, 0, 4, 0], false);
        check([4, 0, 4, 1], [2, 0, 4, 0], false);
        check([4, 0, 4, 1], [2, 0, 5, 0], true);
    }
}
