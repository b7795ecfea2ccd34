//! What an editor that is opened afterwards finds: the session, its run and the run's events, told by a new server process.

use serde::Deserialize;
use serde_json::{Value, json};

use super::editor::Editor;
use super::{Failure, PROMPT};
use crate::protocol::{Envelope, Event, RunId, RunSnapshot, RunStatus, SessionId};

/// The answer to `cowrite.sessions`, as far as the demo looks at it.
#[derive(Deserialize)]
struct Sessions {
    active: SessionId,
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    session_id: SessionId,
    title: String,
    runs: u64,
}

/// The answer to `cowrite.status`, as far as the demo looks at it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    session_id: SessionId,
    runs: Vec<RunSnapshot>,
}

#[derive(Deserialize)]
struct Page {
    events: Vec<Envelope>,
    next: u64,
}

/// Asks the server for what the first editor did, and shows it. It is a failure when any of it is gone.
pub(super) async fn look_back(editor: &mut Editor<'_>, session: SessionId, run: RunId) -> Result<(), Failure> {
    let server = editor.initialize().await?;
    let sessions: Sessions = ask(editor, "cowrite.sessions", json!({})).await?;
    let status: Status = ask(editor, "cowrite.status", json!({})).await?;
    let title = found(&sessions, &status, session)?;
    let kept = count(&events(editor, run).await?)?;
    let snapshot = only_run(&status, run)?;

    let screen = editor.screen();
    screen.fact("server", &format!("{server}, started anew; the first one has ended"));
    screen.fact("session", title);
    let ended = format!("{:?}", snapshot.status).to_lowercase();
    screen.fact("run", &format!("{ended}: {}", snapshot.prompt));
    screen.fact("events", &format!("{kept} kept, from the first to the last"));
    Ok(())
}

async fn ask<T: for<'a> Deserialize<'a>>(
    editor: &mut Editor<'_>,
    command: &str,
    argument: Value,
) -> Result<T, Failure> {
    let answer = editor.execute(command, argument).await?;
    serde_json::from_value(answer)
        .map_err(|error| Failure::because(&format!("the answer to {command} cannot be read"), error))
}

/// The title of the session, where it is the only one and the one that goes on.
fn found<'a>(sessions: &'a Sessions, status: &Status, session: SessionId) -> Result<&'a str, Failure> {
    if sessions.active != session || status.session_id != session {
        let (active, status) = (sessions.active, status.session_id);
        return Err(Failure(format!(
            "the next editor does not go on with session {session}; {active} is active there, and cowrite.status tells of {status}"
        )));
    }
    match sessions.sessions.as_slice() {
        [only] if only.session_id == session && only.runs == 1 => Ok(&only.title),
        listed => {
            let listed: Vec<_> =
                listed.iter().map(|listed| format!("{} with {} runs", listed.session_id, listed.runs)).collect();
            Err(Failure(format!("session {session} with one run should be the only one; there are {listed:?}")))
        }
    }
}

/// The run, where it is the only one and as it was told when it ended.
fn only_run(status: &Status, run: RunId) -> Result<&RunSnapshot, Failure> {
    match status.runs.as_slice() {
        [only] if only.id == run && only.status == RunStatus::Completed && only.prompt == PROMPT => Ok(only),
        runs => Err(Failure(format!("run {run} is not what the next editor finds in the session, but {runs:?}"))),
    }
}

/// All stored events of the run.
async fn events(editor: &mut Editor<'_>, run: RunId) -> Result<Vec<Envelope>, Failure> {
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page: Page = ask(editor, "cowrite.events", json!({"runId": run, "after": after})).await?;
        if page.events.is_empty() {
            return Ok(events);
        }
        events.extend(page.events);
        after = page.next;
    }
}

/// How many events are kept, where none is missing between the first and the end of the run.
fn count(events: &[Envelope]) -> Result<u64, Failure> {
    let mut kept = 0;
    for event in events {
        let first = event.first.unwrap_or(event.sequence);
        if first != kept + 1 {
            return Err(Failure(format!("the next editor misses the events of the run from {} to {first}", kept + 1)));
        }
        kept = event.sequence;
    }
    match events.last().map(|last| &last.event) {
        Some(Event::RunFinished { .. }) => Ok(kept),
        last => {
            Err(Failure(format!("the end of the run is missing in what the next editor finds; the last is {last:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(first: Option<u64>, sequence: u64, event: Value) -> Envelope {
        let id = "00000000-0000-4000-8000-000000000001";
        let envelope = json!({"runId": id, "sessionId": id, "sequence": sequence, "timestampMs": 0, "event": event});
        Envelope { first, ..serde_json::from_value(envelope).unwrap() }
    }

    #[test]
    fn events_count_only_when_none_is_missing() {
        let started = event(None, 1, json!({"type": "runStarted", "prompt": "p"}));
        let words = event(Some(2), 9, json!({"type": "textDelta", "text": "words"}));
        let finished = event(None, 10, json!({"type": "runFinished", "status": "completed"}));
        assert_eq!(count(&[started.clone(), words.clone(), finished.clone()]).unwrap(), 10);
        for (events, said) in [
            (vec![started.clone(), finished.clone()], "from 2 to 10"),
            (vec![words.clone(), finished], "from 1 to 2"),
            (vec![started, words], "the end of the run is missing"),
            (vec![], "the end of the run is missing"),
        ] {
            let error = count(&events).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
