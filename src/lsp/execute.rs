//! Doing what a command asks for. A run is queued, the rest is a look into a session or the store: nobody waits here for a run, a
//! model or, but for an undo, the client.

use serde_json::{Value, json};
use tower_lsp::jsonrpc::Result;
use tower_lsp::ls_types::{Diagnostic, DiagnosticSeverity, ExecuteCommandParams, NumberOrString, Uri};

use super::command::{Act, Asked, RunArgs, Series, impossible, parse, wrong};
use super::state::State;
use super::{review, uri};
use crate::command::{Problem, Severity};
use crate::permission::Kind;
use crate::protocol::{ContextSource, ContextUse, RunId, SessionId};
use crate::session::{Approval, ReviewFile, Select};
use crate::workspace::{Argument, Ask, Listed, SessionError, Target, Workspace};

/// The answer to `workspace/executeCommand`.
pub(super) async fn execute(state: &State, params: ExecuteCommandParams) -> Result<Value> {
    let answer = answer(state, params).await;
    if let Err(error) = &answer {
        state.command_failed(&error.message);
    }
    answer
}

async fn answer(state: &State, params: ExecuteCommandParams) -> Result<Value> {
    let workspace = state.workspace()?;
    match parse(params, workspace.catalog())? {
        Asked::Run { command, args } => start(state, workspace, command, args).await,
        Asked::Cancel { run } => cancel(workspace, run).await,
        Asked::Status { session } => status(workspace, session).await,
        Asked::Events { of, after } => events(workspace, of, after).await,
        Asked::Undo { run } => undo(workspace, run).await,
        Asked::Decide { decision, run, uri, hunk } => {
            let run = run.transpose().map_err(|id| no_run(&id))?;
            let hunks = workspace.decide(decision, Select { run, uri, hunk }).await.map_err(told)?;
            Ok(json!({ "hunks": hunks }))
        }
        Asked::Answer { approval, answer } => {
            let id = workspace.answer(approval, &answer).map_err(told)?;
            Ok(json!({ "approvalId": id }))
        }
        Asked::Trust => Ok(json!({ "trusted": workspace.trust().await.map_err(told)? })),
        Asked::Diff { run } => diff(state, workspace, run).await,
        Asked::Compact { session, focus } => compact(workspace, session, focus).await,
        Asked::Prompts { uri, start } => {
            let prompts = workspace.prompts(uri.as_ref().map(given).as_deref(), start).await;
            Ok(
                json!({ "prompts": prompts.listed.iter().map(prompt).collect::<Vec<_>>(), "problems": prompts.problems }),
            )
        }
        Asked::Sessions => {
            let (active, sessions) = workspace.sessions().await.map_err(told)?;
            Ok(json!({ "active": active, "sessions": sessions }))
        }
        Asked::Session { session, act } => session_act(workspace, optional_session(session)?, act).await,
    }
}

async fn session_act(workspace: &Workspace, session: Option<SessionId>, act: Act) -> Result<Value> {
    let id = match act {
        Act::New { title } => workspace.new_session(title.as_deref()).await.map(|session| session.id()),
        Act::Resume => workspace.resume(session).await.map(|session| session.id()),
        Act::Rename { title } => workspace.rename(session, &title).await,
        Act::Clear => workspace.clear(session).await,
        Act::Delete => workspace.delete(session).await,
        Act::Fork { after } => {
            let after = after.transpose().map_err(|id| no_run(&id))?;
            workspace.fork(session, after).await.map(|session| session.id())
        }
        Act::Export { format } => {
            let text = workspace.export(session, format).await.map_err(told)?;
            return Ok(json!({ "text": text }));
        }
        Act::GoOnUnkept => workspace.go_on_unkept().await,
    };
    Ok(json!({ "sessionId": id.map_err(told)? }))
}

async fn start(
    state: &State,
    workspace: &Workspace,
    command: Option<std::sync::Arc<crate::command::Command>>,
    args: RunArgs,
) -> Result<Value> {
    let target = args.uri.map(|uri| {
        state.documents.touch(uri.as_str());
        Target {
            given: given(&uri),
            // What the buffer holds now, while the client still waits for the answer.
            snapshot: state.documents.snapshot(uri.as_str()),
            range: args.range,
            diagnostics: args.diagnostics.into_iter().map(problem).collect(),
        }
    });
    if let Some(command) = command.as_ref().filter(|command| command.foreign) {
        let given = target.as_ref().map(|target| target.given.as_str());
        workspace.may_have(&command.name, given).await.map_err(|why| wrong(format!("command: {why}")))?;
    }
    let session = optional_session(args.session_id.map(|id| id.parse().map_err(|_| id)))?;
    let ask = Ask { command, prompt: args.prompt, target, session, mode: args.mode };
    let (run, session) = workspace.start(ask).await.map_err(|error| impossible(error.to_string()))?;
    Ok(json!({ "runId": run, "sessionId": session }))
}

/// How the rest of the program names a document: by its path, where it has one.
fn given(uri: &Uri) -> String {
    uri::to_path(uri).map_or_else(|| uri.to_string(), |path| path.display().to_string())
}

/// A prompt of a server, as a command.
fn prompt(prompt: &Listed) -> Value {
    let argument = |argument: &Argument| json!({ "name": argument.name, "description": argument.description, "required": argument.required });
    json!({
        "command": prompt.command,
        "server": prompt.server,
        "title": prompt.title,
        "description": prompt.description,
        "arguments": prompt.arguments.iter().map(argument).collect::<Vec<_>>(),
    })
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

async fn cancel(workspace: &Workspace, run: Option<std::result::Result<RunId, String>>) -> Result<Value> {
    let cancelled = match run {
        None => workspace.cancel_all(),
        Some(id) => {
            let run = id.map_err(|id| no_run(&id))?;
            match workspace.session_of(run) {
                Some(session) => Vec::from_iter(session.cancel(run).then_some(run)),
                // One of an earlier time has ended.
                None if workspace.knows(run).await.map_err(told)? => Vec::new(),
                None => return Err(no_run(&run.to_string())),
            }
        }
    };
    Ok(json!({ "cancelled": cancelled }))
}

async fn status(workspace: &Workspace, session: Option<std::result::Result<SessionId, String>>) -> Result<Value> {
    let session = workspace.session(optional_session(session)?).await.map_err(told)?;
    session.refresh().await.map_err(|error| impossible(error.to_string()))?;
    let figures = session.figures();
    let (model, why, problem) = match workspace.model().await {
        Ok(choice) => (Some(choice.name), Some(choice.why), None),
        Err(problem) => (None, None, Some(problem)),
    };
    let nothing = ContextUse { used: 0, limit: None, source: ContextSource::Estimated };
    Ok(json!({
        "sessionId": session.id(),
        "model": model,
        "modelWhy": why,
        "modelProblem": problem,
        "trusted": workspace.trusted(Some(session.folder())).await,
        "sandboxProblem": workspace.sandbox_problem().await,
        "context": context(figures.context.unwrap_or(nothing)),
        "compactions": figures.compactions,
        // Of everything that was sent, what the provider read from its cache.
        "cachedShare": figures.usage.cached_share(),
        "cost": workspace.cost(&figures),
        "runs": session.snapshots(),
        "approvals": workspace.approvals().iter().map(approval).collect::<Vec<_>>(),
        "proposals": workspace.reviews().iter().map(proposals).collect::<Vec<_>>(),
        "usage": figures.usage,
        "requests": figures.requests,
        "items": figures.items,
        "rules": figures.rules,
        "unwritable": session.broken(),
    }))
}

/// A question that a run waits for.
fn approval(approval: &Approval) -> Value {
    let Approval { id, run, question } = approval;
    let mut shown = json!({ "approvalId": id, "runId": run, "title": question.title, "detail": question.detail });
    if let Kind::Answer { options } = &question.kind {
        shown["options"] = json!(options);
    }
    shown
}

/// What waits for the person in one document.
fn proposals(file: &ReviewFile) -> Value {
    let hunks: Vec<&str> = file.hunks.iter().map(|hunk| hunk.id.as_str()).collect();
    json!({ "runId": file.run, "sessionId": file.session, "uri": file.uri, "hunks": hunks })
}

/// How full the context is, with the share.
fn context(context: ContextUse) -> Value {
    let share = context.limit.filter(|limit| *limit > 0).map(|limit| context.used as f64 / limit as f64);
    json!({ "used": context.used, "limit": context.limit, "source": context.source, "share": share })
}

/// Everything that waits of a run, as a document.
async fn diff(state: &State, workspace: &Workspace, run: Option<std::result::Result<RunId, String>>) -> Result<Value> {
    let run = run.transpose().map_err(|id| no_run(&id))?;
    // What waits is known once the session is open.
    workspace.session(None).await.map_err(told)?;
    let all = workspace.reviews();
    let run = run.or_else(|| all.iter().map(|file| file.run).max());
    let files: Vec<ReviewFile> = all.into_iter().filter(|file| Some(file.run) == run).collect();
    let Some(run) = run.filter(|_| !files.is_empty()) else {
        return Err(impossible("nothing is proposed that could be shown; runs of mode \"ask\" propose"));
    };
    let text = review::diff(&files, state.port.as_ref()).await;
    Ok(state.show_diff(run, text).await)
}

async fn compact(
    workspace: &Workspace,
    session: Option<std::result::Result<SessionId, String>>,
    focus: Option<String>,
) -> Result<Value> {
    let (session, refused) = workspace.compact(optional_session(session)?, focus).await.map_err(told)?;
    Ok(match refused {
        None => json!({ "sessionId": session, "started": true }),
        Some(reason) => json!({ "sessionId": session, "started": false, "reason": reason }),
    })
}

async fn events(workspace: &Workspace, of: Series, after: u64) -> Result<Value> {
    let page = match of {
        Series::Run(id) => {
            let run = id.map_err(|id| no_run(&id))?;
            workspace.events_of(run, after).await.map_err(told)?
        }
        Series::Session(id) => {
            let session = workspace.session(optional_session(Some(id))?).await.map_err(told)?;
            session.events(None, after).await.map_err(|error| impossible(error.to_string()))?
        }
    };
    serde_json::to_value(page).map_err(|error| impossible(format!("the events cannot be shown: {error}")))
}

async fn undo(workspace: &Workspace, run: Option<std::result::Result<RunId, String>>) -> Result<Value> {
    let run = run.transpose().map_err(|id| no_run(&id))?;
    let files = workspace.undo(run).await.map_err(told)?;
    Ok(json!({ "files": files }))
}

fn optional_session(id: Option<std::result::Result<SessionId, String>>) -> Result<Option<SessionId>> {
    id.transpose().map_err(|id| no_session(&id))
}

fn told(error: SessionError) -> tower_lsp::jsonrpc::Error {
    impossible(error.to_string())
}

fn no_run(id: &str) -> tower_lsp::jsonrpc::Error {
    impossible(format!("there is no run {id}; cowrite.status lists the runs"))
}

fn no_session(id: &str) -> tower_lsp::jsonrpc::Error {
    impossible(format!(
        "there is no session {id}; cowrite.sessions lists them, and without sessionId the active one is used"
    ))
}
