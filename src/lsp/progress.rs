//! `$/progress`: what a person sees of a run, or of a compaction between runs, without any plugin. What began, ends.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;
use tower_lsp::ls_types::notification::Progress as ProgressNotification;
use tower_lsp::ls_types::{
    NumberOrString, ProgressParams, ProgressParamsValue, WorkDoneProgress, WorkDoneProgressBegin, WorkDoneProgressEnd,
    WorkDoneProgressReport,
};

use super::client::Client;
use crate::protocol::{Event, FileStep, RunId, RunStatus, SessionId};

/// At most ten reports in any second.
const SPACING: Duration = Duration::from_millis(110);
/// What is said of a compaction that is under way.
const COMPACTING: &str = "compacting the conversation";
/// Characters of a streamed answer that a report shows.
const TAIL: usize = 60;

/// The progress of one run, or of one compaction between runs. Its task reports what stands here last; dropping it ends the progress.
pub(super) struct Progress {
    message: watch::Sender<String>,
    /// The last words of the model, to show what it is writing.
    writing: String,
    /// How the person answers a question, where nothing opens that they could choose from.
    answers: Option<&'static str>,
    task: JoinHandle<()>,
}

/// The token of a run's progress.
pub(super) fn token(run: RunId) -> NumberOrString {
    NumberOrString::String(format!("cowrite/{run}"))
}

/// The token of a compaction's progress; `number` makes it another one than the session's last.
fn token_of_compaction(session: SessionId, number: u64) -> NumberOrString {
    NumberOrString::String(format!("cowrite/compaction/{session}/{number}"))
}

/// The run that a progress token belongs to.
pub(super) fn run_of(token: &NumberOrString) -> Option<RunId> {
    match token {
        NumberOrString::String(text) => text.strip_prefix("cowrite/")?.parse().ok(),
        NumberOrString::Number(_) => None,
    }
}

impl Progress {
    /// Begins a run's progress, where the client shows any.
    pub(super) fn begin(client: &Client, tasks: &TaskTracker, run: RunId, title: &str) -> Option<Self> {
        Self::of(client, tasks, Begun { token: token(run), title: one_line(title), cancellable: true })
    }

    /// Begins the progress of a compaction that no run shows.
    pub(super) fn begin_compaction(
        client: &Client,
        tasks: &TaskTracker,
        session: SessionId,
        number: u64,
    ) -> Option<Self> {
        // The session can do without it, and no command stops it alone.
        let token = token_of_compaction(session, number);
        Self::of(client, tasks, Begun { token, title: COMPACTING.into(), cancellable: false })
    }

    fn of(client: &Client, tasks: &TaskTracker, begun: Begun) -> Option<Self> {
        if !client.caps().progress {
            return None;
        }
        let (message, messages) = watch::channel(String::new());
        let caps = client.caps();
        let answers = if caps.asks { None } else { caps.answers_with.split(',').next() };
        // Ends when this struct is dropped, and within the time limit of its one request.
        let task = tasks.spawn(report(client.clone(), begun, messages));
        Some(Self { message, writing: String::new(), answers, task })
    }

    /// Ends it; the task is done when the client has been told.
    pub(super) fn end(self) -> JoinHandle<()> {
        self.task
    }

    /// Adds something to what was shown last.
    pub(super) fn add(&mut self, more: &str) {
        self.message.send_modify(|message| *message = format!("{message}; {}", one_line(more)));
    }

    /// Shows an event. Never waits: only the newest message is kept.
    pub(super) fn show(&mut self, event: &Event) {
        if let Event::TextDelta { text } | Event::ReasoningDelta { text } | Event::EditDelta { text, .. } = event {
            self.writing.push_str(text);
            let excess = self.writing.chars().count().saturating_sub(TAIL);
            self.writing = self.writing.chars().skip(excess).collect();
        } else {
            self.writing.clear();
        }
        let message = match (event, self.answers) {
            // The line at the bottom is one line in some editors, and this is what stands in it from now on.
            (Event::ApprovalRequested { title, .. }, Some(with)) => {
                Some(format!("waits for you ({with}): {}", one_line(title)))
            }
            _ => said(event, &self.writing),
        };
        if let Some(message) = message {
            self.message.send_replace(message);
        }
    }
}

/// What a progress begins with.
struct Begun {
    token: NumberOrString,
    title: String,
    cancellable: bool,
}

fn said(event: &Event, writing: &str) -> Option<String> {
    Some(match event {
        Event::TurnStarted { turn: 1 } => "asking the model".into(),
        Event::TurnStarted { turn } => format!("asking the model (turn {turn})"),
        Event::TextDelta { .. } => one_line(writing),
        Event::ReasoningDelta { .. } => format!("thinking: {}", one_line(writing)),
        Event::EditDelta { path: Some(path), .. } => format!("writing {}: {}", one_line(path), one_line(writing)),
        Event::EditDelta { path: None, .. } => format!("writing: {}", one_line(writing)),
        Event::ToolStarted { title, .. } => one_line(title),
        Event::ToolFinished { title, ok: false, .. } => format!("{}: did not work", one_line(title)),
        Event::EditApplied { uri, file: None, .. } => format!("edited {}", name(uri)),
        Event::EditApplied { uri, file: Some(FileStep::Delete), .. } => format!("deleted {}", name(uri)),
        Event::EditApplied { uri, file: Some(FileStep::Rename { to }), .. } => {
            format!("moved {} to {}", name(uri), name(to))
        }
        Event::EditProposed { uri, .. } => format!("proposes a change of {}", name(uri)),
        Event::EditRejected { uri, .. } => format!("could not edit {}", name(uri)),
        Event::ApprovalRequested { title, .. } => format!("waits for you: {}", one_line(title)),
        Event::Retrying { attempt, delay_ms, reason } => {
            format!("{}; trying again in {} s (attempt {attempt})", one_line(reason), delay_ms.div_ceil(1000))
        }
        Event::CompactionStarted { .. } => COMPACTING.into(),
        Event::CompactionFinished { notice: Some(notice), .. } => one_line(notice),
        Event::CompactionFinished { before, after, error, .. } => compacted(*before, *after, error.as_deref()),
        Event::Verifying { command } => format!("checking: {}", one_line(command)),
        Event::RunFinished { status, error, .. } => match (status, error) {
            (RunStatus::Completed, _) => "done".into(),
            (RunStatus::Cancelled, _) => "cancelled".into(),
            (RunStatus::LimitReached, _) => "stopped at the limit of turns; ask to go on".into(),
            (_, Some(error)) => format!("failed: {}", one_line(error)),
            (_, None) => "failed".into(),
        },
        _ => return None,
    })
}

/// What became of a compaction, for a person.
pub(super) fn compacted(before: u64, after: u64, error: Option<&str>) -> String {
    match error {
        None => format!("compacted the conversation from {before} to {after} tokens"),
        Some(error) => format!("the conversation was not compacted: {}", one_line(error)),
    }
}

/// One line without control characters.
fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

fn name(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or(uri)
}

/// Returns when the run's progress is dropped.
async fn closed(messages: &mut watch::Receiver<String>) {
    while messages.changed().await.is_ok() {}
}

async fn report(client: Client, begun: Begun, mut messages: watch::Receiver<String>) {
    let Begun { token, title, cancellable } = begun;
    if let Err(error) = client.create_progress(token.clone()).await {
        tracing::debug!(?token, %error, "no progress is shown");
        return;
    }
    let send = async |value: WorkDoneProgress| {
        let params = ProgressParams { token: token.clone(), value: ProgressParamsValue::WorkDone(value) };
        client.notify::<ProgressNotification>(params).await;
    };
    send(WorkDoneProgress::Begin(WorkDoneProgressBegin {
        title: format!("Cowrite: {title}"),
        cancellable: Some(cancellable),
        message: None,
        percentage: None,
    }))
    .await;
    let mut next = Instant::now();
    // The channel closes when the run's progress is dropped: that is the end, whatever came before it.
    while messages.changed().await.is_ok() {
        tokio::select! {
            () = sleep_until(next) => {}
            () = closed(&mut messages) => break,
        }
        let message = messages.borrow_and_update().clone();
        send(WorkDoneProgress::Report(WorkDoneProgressReport {
            cancellable: Some(cancellable),
            message: Some(message),
            percentage: None,
        }))
        .await;
        next = Instant::now() + SPACING;
    }
    let message = messages.borrow().clone();
    send(WorkDoneProgress::End(WorkDoneProgressEnd { message: Some(message).filter(|message| !message.is_empty()) }))
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_run() {
        let run = RunId::new();
        assert_eq!(run_of(&token(run)), Some(run));
        assert_eq!(run_of(&NumberOrString::Number(1)), None);
        assert_eq!(run_of(&token_of_compaction(SessionId::new(), 1)), None);
        assert_eq!(run_of(&NumberOrString::String("other/1".into())), None);
    }

    #[test]
    fn messages_are_one_line_that_a_person_can_read() {
        let event = Event::ToolStarted {
            call_id: "c".into(),
            name: "read".into(),
            title: "Read\na\u{1b}[31m.rs".into(),
            input: serde_json::Value::Null,
        };
        assert_eq!(said(&event, "").as_deref(), Some("Read a [31m.rs"));
        let retry = Event::Retrying { attempt: 2, delay_ms: 11_500, reason: "rate limited".into() };
        assert_eq!(said(&retry, "").as_deref(), Some("rate limited; trying again in 12 s (attempt 2)"));
    }
}
