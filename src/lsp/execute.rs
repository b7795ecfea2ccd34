//! Doing what a command asks for. Nothing here waits: a run is queued, the rest is a look.

use serde_json::{Value, json};
use tower_lsp::jsonrpc::Result;
use tower_lsp::ls_types::{Diagnostic, DiagnosticSeverity, ExecuteCommandParams, NumberOrString};

use super::command::{Asked, RunArgs, Series, impossible, parse};
use super::state::State;
use super::uri;
use crate::command::{Problem, Severity};
use crate::session::Session;
use crate::workspace::{Ask, Target, Workspace};

/// The answer to `workspace/executeCommand`.
pub(super) fn execute(state: &State, params: ExecuteCommandParams) -> Result<Value> {
    let answer = answer(state, params);
    if let Err(error) = &answer {
        state.command_failed(&error.message);
    }
    answer
}

fn answer(state: &State, params: ExecuteCommandParams) -> Result<Value> {
    let workspace = state.workspace()?;
    match parse(params, workspace.catalog())? {
        Asked::Run { command, args } => start(state, workspace, command, args),
        Asked::Cancel { run } => cancel(workspace, run),
        Asked::Status { session } => status(workspace, session),
        Asked::Events { of, after } => events(workspace, of, after),
    }
}

fn start(
    state: &State,
    workspace: &Workspace,
    command: Option<std::sync::Arc<crate::command::Command>>,
    args: RunArgs,
) -> Result<Value> {
    let target = args.uri.map(|uri| {
        state.documents.touch(uri.as_str());
        Target {
            given: uri::to_path(&uri).map_or_else(|| uri.to_string(), |path| path.display().to_string()),
            // What the buffer holds now, while the client still waits for the answer.
            snapshot: state.documents.snapshot(uri.as_str()),
            range: args.range,
            diagnostics: args.diagnostics.into_iter().map(problem).collect(),
        }
    });
    let session = match args.session_id {
        None => None,
        Some(id) => Some(id.parse().map_err(|_| no_session(&id))?),
    };
    let ask = Ask { command, prompt: args.prompt, target, session, mode: args.mode };
    let (run, session) = workspace.start(ask).map_err(|error| impossible(error.to_string()))?;
    Ok(json!({ "runId": run, "sessionId": session }))
}

/// A diagnostic, as a template shows it.
fn problem(diagnostic: Diagnostic) -> Problem {
    Problem {
        line: diagnostic.range.start.line + 1,
        severity: match diagnostic.severity {
            Some(DiagnosticSeverity::WARNING) => Severity::Warning,
            Some(DiagnosticSeverity::INFORMATION) => Severity::Information,
            Some(DiagnosticSeverity::HINT) => Severity::Hint,
            _ => Severity::Error,
        },
        message: diagnostic.message,
        source: diagnostic.source,
        code: diagnostic.code.map(|code| match code {
            NumberOrString::Number(code) => code.to_string(),
            NumberOrString::String(code) => code,
        }),
    }
}

fn cancel(workspace: &Workspace, run: Option<std::result::Result<crate::protocol::RunId, String>>) -> Result<Value> {
    let cancelled = match run {
        None => workspace.cancel_all(),
        Some(id) => {
            let run = id.map_err(|id| no_run(&id))?;
            let session = workspace.session_of(run).ok_or_else(|| no_run(&run.to_string()))?;
            if session.cancel(run) { vec![run] } else { Vec::new() }
        }
    };
    Ok(json!({ "cancelled": cancelled }))
}

fn status(
    workspace: &Workspace,
    session: Option<std::result::Result<crate::protocol::SessionId, String>>,
) -> Result<Value> {
    let session = match session {
        None => workspace.active(None),
        Some(id) => {
            let id = id.map_err(|id| no_session(&id))?;
            workspace.session(id).ok_or_else(|| no_session(&id.to_string()))?
        }
    };
    let (context, usage) = session.totals();
    let (model, problem) = match workspace.model() {
        Ok(model) => (Some(model), None),
        Err(problem) => (None, Some(problem)),
    };
    Ok(json!({
        "sessionId": session.id(),
        "model": model,
        "modelProblem": problem,
        // Trust comes with what needs it; until then nothing of a workspace runs or permits anything.
        "trusted": false,
        "context": context,
        "runs": session.snapshots(),
        "approvals": [],
        "usage": usage,
        "rules": [],
    }))
}

fn events(workspace: &Workspace, of: Series, after: u64) -> Result<Value> {
    let page = |session: Session, run| session.events(run, after);
    let page = match of {
        Series::Run(id) => {
            let run = id.map_err(|id| no_run(&id))?;
            page(workspace.session_of(run).ok_or_else(|| no_run(&run.to_string()))?, Some(run))
        }
        Series::Session(id) => {
            let id = id.map_err(|id| no_session(&id))?;
            page(workspace.session(id).ok_or_else(|| no_session(&id.to_string()))?, None)
        }
    };
    serde_json::to_value(page).map_err(|error| impossible(format!("the events cannot be shown: {error}")))
}

fn no_run(id: &str) -> tower_lsp::jsonrpc::Error {
    impossible(format!("there is no run {id}; cowrite.status lists the runs"))
}

fn no_session(id: &str) -> tower_lsp::jsonrpc::Error {
    impossible(format!("there is no session {id}; leave sessionId out to use the active one"))
}
