//! Code actions: the commands that make sense for a selection or for diagnostics, complete when listed.

use serde_json::json;
use tower_lsp::ls_types::{
    CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, Command as LspCommand, Diagnostic,
};

use super::review;
use crate::command::{Catalog, Command, Given};
use crate::settings::{CommandKind, Needs};

/// The actions for a range of a document.
pub(super) fn actions(catalog: &Catalog, params: &CodeActionParams) -> Vec<CodeActionOrCommand> {
    // What waits for the person is no fault that a run could mend.
    let faults: Vec<Diagnostic> =
        params.context.diagnostics.iter().filter(|diagnostic| !review::is_marker(diagnostic)).cloned().collect();
    let diagnostics = &faults[..];
    let selected = params.range.start != params.range.end;
    let given = Given { prompt: false, file: true, selection: selected, diagnostics: !diagnostics.is_empty() };
    catalog
        .fitting(given)
        // What concerns a place makes sense where one is selected or something is wrong.
        .filter(|command| match command.kind {
            CommandKind::Source => command.needs != Needs::Nothing,
            CommandKind::Quickfix => true,
            CommandKind::Rewrite => selected && command.needs != Needs::Nothing,
        })
        .filter(|command| wanted(params.context.only.as_deref(), &kind(command)))
        .map(|command| action(command, params, diagnostics))
        .collect()
}

/// Whether a kind is one of those that the client wants, or below one.
pub(super) fn wanted(only: Option<&[CodeActionKind]>, kind: &CodeActionKind) -> bool {
    let below = |wanted: &CodeActionKind| {
        let (wanted, kind) = (wanted.as_str(), kind.as_str());
        wanted.is_empty() || kind == wanted || kind.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
    };
    only.is_none_or(|only| only.iter().any(below))
}

fn kind(command: &Command) -> CodeActionKind {
    match command.kind {
        CommandKind::Quickfix => CodeActionKind::QUICKFIX,
        CommandKind::Rewrite => CodeActionKind::REFACTOR_REWRITE,
        CommandKind::Source => CodeActionKind::SOURCE,
    }
}

fn action(command: &Command, params: &CodeActionParams, diagnostics: &[Diagnostic]) -> CodeActionOrCommand {
    let mends = command.kind == CommandKind::Quickfix;
    let mut argument = json!({ "command": command.name, "uri": params.text_document.uri });
    // For a whole file the place of the cursor says nothing.
    if command.kind != CommandKind::Source {
        argument["range"] = json!(params.range);
    }
    if !diagnostics.is_empty() {
        argument["diagnostics"] = json!(diagnostics);
    }
    let title = format!("Cowrite: {}", command.title);
    CodeActionOrCommand::CodeAction(CodeAction {
        title: title.clone(),
        kind: Some(kind(command)),
        diagnostics: mends.then(|| diagnostics.to_vec()),
        command: Some(LspCommand { title, command: "cowrite.run".into(), arguments: Some(vec![argument]) }),
        ..CodeAction::default()
    })
}
