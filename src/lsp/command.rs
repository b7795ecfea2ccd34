//! Commands, made an enum at the door.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_lsp::jsonrpc::{Error, ErrorCode};
use tower_lsp::ls_types::{Diagnostic, ExecuteCommandParams, Uri};

use crate::command::{Catalog, Command, Given};
use crate::protocol::{Mode, Range, RunId, SessionId};
use crate::session::export::Format;
use crate::session::{Answer, Decision};

/// What a client may ask for beside the commands of the catalog.
const FIXED: [&str; 22] = [
    "run",
    "cancel",
    "status",
    "events",
    "undo",
    "accept",
    "reject",
    "diff",
    "approve",
    "deny",
    "trust",
    "compact",
    "prompts",
    "sessions",
    "session.new",
    "session.resume",
    "session.rename",
    "session.clear",
    "session.delete",
    "session.fork",
    "session.export",
    "session.unkept",
];

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A run.
    Run {
        /// Which command of the catalog; none for a bare prompt.
        command: Option<Arc<Command>>,
        /// The rest.
        args: RunArgs,
    },
    /// The end of a run, or of all.
    Cancel {
        /// Which; none for all. `Err` holds a word that can be no run's id.
        run: Option<Result<RunId, String>>,
    },
    /// How things stand.
    Status {
        /// Where.
        session: Option<Result<SessionId, String>>,
    },
    /// What happened.
    Events {
        /// In which run, or in which session outside of runs.
        of: Series,
        /// The sequence number to continue after.
        after: u64,
    },
    /// What a run changed is to be taken back.
    Undo {
        /// Which; none for the newest finished one.
        run: Option<Result<RunId, String>>,
    },
    /// The person decides on hunks.
    Decide {
        /// What they say.
        decision: Decision,
        /// Of which run; none for the newest one that has proposals.
        run: Option<Result<RunId, String>>,
        /// In which document; none for all.
        uri: Option<String>,
        /// Which one; none for all that are not decided yet.
        hunk: Option<String>,
    },
    /// The person answers a question.
    Answer {
        /// Which; none for the oldest.
        approval: Option<String>,
        /// What they say.
        answer: Answer,
    },
    /// The person trusts the workspace as it is.
    Trust,
    /// What waits for the person is to be shown as a diff.
    Diff {
        /// Of which run; none for the newest one that has proposals.
        run: Option<Result<RunId, String>>,
    },
    /// The history of a session is to be compacted.
    Compact {
        /// Which; none for the active one.
        session: Option<Result<SessionId, String>>,
        /// What the summary shall be about.
        focus: Option<String>,
    },
    /// The prompts of the folder's servers, which are commands.
    Prompts {
        /// The document whose folder is meant.
        uri: Option<Uri>,
        /// Whether servers are started for it.
        start: bool,
    },
    /// The list of sessions.
    Sessions,
    /// Something with a session.
    Session {
        /// Which; none for the active one.
        session: Option<Result<SessionId, String>>,
        /// What.
        act: Act,
    },
}

/// What is done with a session.
#[derive(Debug)]
pub(super) enum Act {
    /// Another one begins.
    New { title: Option<String> },
    /// It is the active one from here on.
    Resume,
    /// It gets a title.
    Rename { title: String },
    /// Its history is emptied.
    Clear,
    /// It goes.
    Delete,
    /// Another one goes on from it.
    Fork { after: Option<Result<RunId, String>> },
    /// All of it as a text.
    Export { format: Format },
    /// Sessions are not kept from here on.
    GoOnUnkept,
}

/// Whose events are asked for.
#[derive(Debug)]
pub(super) enum Series {
    Run(Result<RunId, String>),
    Session(Result<SessionId, String>),
}

/// The argument of every command that starts a run.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RunArgs {
    pub(super) prompt: Option<String>,
    pub(super) command: Option<String>,
    pub(super) uri: Option<Uri>,
    pub(super) range: Option<Range>,
    pub(super) session_id: Option<String>,
    pub(super) mode: Option<Mode>,
    /// The diagnostics that it is about; code actions fill them in.
    pub(super) diagnostics: Vec<Diagnostic>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct CancelArgs {
    run_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct DecideArgs {
    run_id: Option<String>,
    uri: Option<Uri>,
    hunk: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct ApproveArgs {
    approval_id: Option<String>,
    remember: Option<Remember>,
    answer: Option<String>,
}

/// For how long a yes holds.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Remember {
    Once,
    Session,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct DenyArgs {
    approval_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct StatusArgs {
    session_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct CompactArgs {
    session_id: Option<String>,
    focus: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct PromptsArgs {
    uri: Option<Uri>,
    start: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NoArgs {}

/// The argument of all commands that do something with a session.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct SessionArgs {
    session_id: Option<String>,
    title: Option<String>,
    after_run_id: Option<String>,
    format: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct EventsArgs {
    run_id: Option<String>,
    session_id: Option<String>,
    after: Option<u64>,
}

/// The names that `initialize` lists.
pub(super) fn names(catalog: &Catalog) -> Vec<String> {
    let fixed = FIXED.iter().map(|name| (*name).to_owned());
    let mut names: Vec<String> = fixed.chain(catalog.iter().map(|command| command.name.clone())).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| format!("cowrite.{name}")).collect()
}

/// Reads a command and its argument.
///
/// # Errors
/// -32602, naming the field and what was expected.
pub(super) fn parse(params: ExecuteCommandParams, catalog: &Catalog) -> Result<Asked, Error> {
    let ExecuteCommandParams { command: full, mut arguments, .. } = params;
    if arguments.len() > 1 {
        return Err(wrong(format!("{full}: expected one argument, a JSON object; got {}", arguments.len())));
    }
    let argument =
        arguments.pop().filter(|argument| !argument.is_null()).unwrap_or_else(|| Value::Object(Default::default()));
    let Some(name) = full.strip_prefix("cowrite.") else {
        return Err(unknown(&full, catalog));
    };
    match name {
        "run" => run(&full, None, argument, catalog),
        "cancel" => {
            let args: CancelArgs = args(&full, argument)?;
            Ok(Asked::Cancel { run: args.run_id.map(id) })
        }
        "status" => {
            let args: StatusArgs = args(&full, argument)?;
            Ok(Asked::Status { session: args.session_id.map(id) })
        }
        "events" => {
            let EventsArgs { run_id, session_id, after } = args(&full, argument)?;
            let of = match (run_id, session_id) {
                (Some(run), None) => Series::Run(id(run)),
                (None, Some(session)) => Series::Session(id(session)),
                _ => return Err(wrong(format!("{full}: expected either runId or sessionId"))),
            };
            Ok(Asked::Events { of, after: after.unwrap_or(0) })
        }
        "undo" => {
            let args: CancelArgs = args(&full, argument)?;
            Ok(Asked::Undo { run: args.run_id.map(id) })
        }
        "diff" => {
            let args: CancelArgs = args(&full, argument)?;
            Ok(Asked::Diff { run: args.run_id.map(id) })
        }
        "accept" => decide(&full, Decision::Accept, argument),
        "reject" => decide(&full, Decision::Reject, argument),
        "approve" => {
            let ApproveArgs { approval_id, remember, answer } = args(&full, argument)?;
            if answer.as_ref().is_some_and(|answer| answer.trim().is_empty()) {
                return Err(wrong("answer: expected a text that is not empty".into()));
            }
            let answer = Answer::Approve { session: remember == Some(Remember::Session), words: answer };
            Ok(Asked::Answer { approval: approval_id, answer })
        }
        "deny" => {
            let DenyArgs { approval_id } = args(&full, argument)?;
            Ok(Asked::Answer { approval: approval_id, answer: Answer::Deny })
        }
        "compact" => {
            let CompactArgs { session_id, focus } = args(&full, argument)?;
            Ok(Asked::Compact { session: session_id.map(id), focus })
        }
        "prompts" => {
            let PromptsArgs { uri, start } = args(&full, argument)?;
            Ok(Asked::Prompts { uri, start })
        }
        "trust" => args::<NoArgs>(&full, argument).map(|_| Asked::Trust),
        "sessions" => args::<NoArgs>(&full, argument).map(|_| Asked::Sessions),
        name if name.starts_with("session.") => session(&full, name, argument, catalog),
        name => match command(name, catalog) {
            Some(command) => run(&full, Some(command), argument, catalog),
            None => Err(unknown(&full, catalog)),
        },
    }
}

/// A command of the catalog, or what may be a prompt of a server.
fn command(name: &str, catalog: &Catalog) -> Option<Arc<Command>> {
    catalog.get(name).cloned().or_else(|| Command::foreign(name).map(Arc::new))
}

fn decide(full: &str, decision: Decision, argument: Value) -> Result<Asked, Error> {
    let DecideArgs { run_id, uri, hunk } = args(full, argument)?;
    Ok(Asked::Decide { decision, run: run_id.map(id), uri: uri.map(|uri| uri.to_string()), hunk })
}

fn unknown(full: &str, catalog: &Catalog) -> Error {
    wrong(format!("command: {full:?} is not a command of this server; expected one of {}", names(catalog).join(", ")))
}

/// A command about a session. All take the same fields, but each only those that mean something to it.
fn session(full: &str, name: &str, argument: Value, catalog: &Catalog) -> Result<Asked, Error> {
    let SessionArgs { session_id, title, after_run_id, format } = args(full, argument)?;
    let given = [
        ("sessionId", session_id.is_some()),
        ("title", title.is_some()),
        ("afterRunId", after_run_id.is_some()),
        ("format", format.is_some()),
    ];
    let format = format.map(|word| word.parse()).transpose().map_err(|why: String| wrong(format!("format: {why}")))?;
    let (takes, act): (&[&str], Act) = match name {
        // What the contract gives all of them is no mistake in any of them.
        "session.new" => (&["sessionId", "title"], Act::New { title }),
        "session.resume" => (&["sessionId", "title"], Act::Resume),
        "session.rename" => {
            let Some(title) = title.filter(|title| !title.trim().is_empty()) else {
                return Err(wrong("title: expected a text that is not empty".into()));
            };
            (&["sessionId", "title"], Act::Rename { title })
        }
        "session.clear" => (&["sessionId", "title"], Act::Clear),
        "session.delete" => (&["sessionId", "title"], Act::Delete),
        "session.fork" => (&["sessionId", "afterRunId"], Act::Fork { after: after_run_id.map(id) }),
        "session.export" => (&["sessionId", "format"], Act::Export { format: format.unwrap_or_default() }),
        "session.unkept" => (&[], Act::GoOnUnkept),
        _ => return Err(unknown(full, catalog)),
    };
    if let Some((field, _)) = given.iter().find(|(field, given)| *given && !takes.contains(field)) {
        return Err(wrong(format!("{field}: {full} does not take it; expected {}", takes.join(", "))));
    }
    Ok(Asked::Session { session: session_id.map(id), act })
}

fn run(full: &str, named: Option<Arc<Command>>, argument: Value, catalog: &Catalog) -> Result<Asked, Error> {
    let args: RunArgs = args(full, argument)?;
    let command = match (named, &args.command) {
        (Some(_), Some(_)) => {
            return Err(wrong(format!(
                "command: {full} is a command already; expected no other (cowrite.run takes one)"
            )));
        }
        (Some(named), None) => Some(named),
        (None, None) => None,
        (None, Some(name)) => {
            let known = || catalog.iter().map(|command| command.name.as_str()).collect::<Vec<_>>().join(", ");
            let told = || {
                wrong(format!(
                    "command: {name:?} is not known; expected one of {}, or a prompt of a server (SERVER__PROMPT)",
                    known()
                ))
            };
            Some(command(name, catalog).ok_or_else(told)?)
        }
    };
    if args.prompt.as_ref().is_some_and(|prompt| prompt.trim().is_empty()) {
        return Err(wrong("prompt: expected a text that is not empty".into()));
    }
    if args.range.is_some() && args.uri.is_none() {
        return Err(wrong("range: expected a uri beside it, the document that it is in".into()));
    }
    let given = Given {
        prompt: args.prompt.is_some(),
        file: args.uri.is_some(),
        selection: args.range.is_some_and(|range| range.start != range.end),
        diagnostics: !args.diagnostics.is_empty(),
    };
    let missing = command.as_ref().map_or_else(|| Command::plain().missing(&given), |command| command.missing(&given));
    if let Some(missing) = missing {
        return Err(wrong(format!("{}: {missing}", missing.field)));
    }
    Ok(Asked::Run { command, args })
}

fn args<T: DeserializeOwned>(full: &str, argument: Value) -> Result<T, Error> {
    if !argument.is_object() {
        return Err(wrong(format!("{full}: expected a JSON object as its argument")));
    }
    serde_path_to_error::deserialize(argument).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { full } else { &path };
        match expected(&path) {
            Some(expected) => wrong(format!("{field}: expected {expected}; {}", error.inner())),
            None => wrong(format!("{field}: {}", error.inner())),
        }
    })
}

/// What belongs into a field whose own type does not say it in words.
fn expected(path: &str) -> Option<&'static str> {
    match path.split(['.', '[']).next()? {
        "uri" => Some("a URI such as file:///home/me/a.rs"),
        "range" => Some("{start: {line, character}, end: {line, character}}, counted from 0"),
        "diagnostics" => Some("a list of LSP diagnostics"),
        _ => None,
    }
}

/// A word that can be no id is one that nobody knows.
fn id<T: std::str::FromStr>(text: String) -> Result<T, String> {
    text.parse().map_err(|_| text)
}

/// -32602.
pub(super) fn wrong(message: String) -> Error {
    Error { code: ErrorCode::InvalidParams, message: message.into(), data: None }
}

/// -32803: well-formed, but it cannot be.
pub(super) fn impossible(message: impl Into<String>) -> Error {
    Error { code: ErrorCode::ServerError(-32803), message: message.into().into(), data: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use serde_json::json;

    fn check(command: &str, argument: Value, expected: &str) {
        let arguments = if argument.is_null() { Vec::new() } else { vec![argument] };
        let params = ExecuteCommandParams { command: command.into(), arguments, ..ExecuteCommandParams::default() };
        let got = match parse(params, &Catalog::new(&Settings::default())) {
            Ok(asked) => format!("{asked:?}").split([' ', '{']).next().unwrap_or_default().to_owned(),
            Err(error) => format!("{} {}", error.code.code(), error.message),
        };
        assert!(got.starts_with(expected), "{command} gave {got:?}, expected {expected:?}");
    }

    #[test]
    fn what_is_well_formed_gets_through() {
        check("cowrite.ask", json!({"prompt": "why?"}), "Run");
        check("cowrite.run", json!({"command": "explain", "uri": "file:///a.rs"}), "Run");
        check(
            "cowrite.explain",
            json!({"uri": "file:///a.rs", "range": {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}}),
            "Run",
        );
        check("cowrite.run", json!({"command": "docs__summary"}), "Run");
        check("cowrite.docs__summary", Value::Null, "Run");
        check("cowrite.prompts", json!({"start": true}), "Prompts");
        check("cowrite.cancel", Value::Null, "Cancel");
        check("cowrite.cancel", json!({"runId": "no id at all"}), "Cancel");
        check("cowrite.status", json!({}), "Status");
        check("cowrite.accept", json!({"runId": "x", "uri": "file:///a.rs", "hunk": "h1"}), "Decide");
        check("cowrite.reject", Value::Null, "Decide");
        check("cowrite.events", json!({"runId": "x", "after": 3}), "Events");
        check("cowrite.approve", Value::Null, "Answer");
        check("cowrite.approve", json!({"approvalId": "x", "remember": "session"}), "Answer");
        check("cowrite.deny", json!({"approvalId": "x"}), "Answer");
    }

    #[test]
    fn what_is_not_is_refused_by_field_and_with_what_was_expected() {
        check("cowrite.nothing", json!({}), "-32602 command: \"cowrite.nothing\" is not a command");
        check("other.ask", json!({}), "-32602 command: \"other.ask\" is not a command");
        check("cowrite.ask", json!({}), "-32602 prompt: `prompt` is missing: expected");
        check("cowrite.ask", json!({"prompt": " \n"}), "-32602 prompt: expected a text that is not empty");
        check("cowrite.ask", json!({"prompt": 3}), "-32602 prompt: invalid type: integer `3`, expected a string");
        check(
            "cowrite.ask",
            json!({"prompt": "p", "mode": "yolo"}),
            "-32602 mode: unknown variant `yolo`, expected one of `plan`, `ask`, `edit`, `auto`",
        );
        check(
            "cowrite.ask",
            json!({"prompt": "p", "promt": 1}),
            "-32602 promt: unknown field `promt`, expected one of",
        );
        check("cowrite.ask", json!("p"), "-32602 cowrite.ask: expected a JSON object");
        check("cowrite.edit", json!({"prompt": "p"}), "-32602 uri: ");
        check(
            "cowrite.ask",
            json!({"prompt": "p", "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}}),
            "-32602 range: expected a uri",
        );
        check(
            "cowrite.ask",
            json!({"prompt": "p", "uri": "file:///a", "range": {"start": {"line": -1, "character": 0}, "end": {"line": 0, "character": 0}}}),
            "-32602 range.start.line: expected {start: {line, character}",
        );
        check(
            "cowrite.run",
            json!({"command": "nope", "prompt": "p"}),
            "-32602 command: \"nope\" is not known; expected one of",
        );
        check("cowrite.run", json!({"command": "docs__"}), "-32602 command: \"docs__\" is not known");
        check("cowrite.prompts", json!({"start": 1}), "-32602 start: invalid type");
        check("cowrite.run", json!({}), "-32602 prompt: ");
        check("cowrite.explain", json!({"command": "fix", "uri": "file:///a"}), "-32602 command: ");
        check("cowrite.accept", json!({"hunk": 3}), "-32602 hunk: invalid type: integer `3`");
        check("cowrite.reject", json!({"hunks": []}), "-32602 hunks: unknown field `hunks`");
        check(
            "cowrite.approve",
            json!({"remember": "ever"}),
            "-32602 remember: unknown variant `ever`, expected `once` or",
        );
        check("cowrite.approve", json!({"answer": " "}), "-32602 answer: expected a text that is not empty");
        check("cowrite.events", json!({}), "-32602 cowrite.events: expected either runId or sessionId");
    }
}
