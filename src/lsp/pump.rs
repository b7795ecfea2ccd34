//! The pump: the one task that writes what sessions tell to the client.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tower_lsp::ls_types::MessageType;

use super::answer::{Answers, Ended};
use super::client::{Client, CowriteEvent};
use super::documents::Documents;
use super::progress::{Progress, compacted};
use super::review;
use crate::protocol::{Envelope, Event, RunId, RunStatus, SessionId};
use crate::session::{Outlet, ReviewFile, Told};
use crate::workspace::Workspace;

/// Events that may wait for the client before deltas begin to merge.
const ROOM: usize = 16;

/// What waits to be written.
#[derive(Default)]
pub(super) struct Pump {
    waiting: Mutex<Waiting>,
    filled: Notify,
    taken: Notify,
    /// The tasks that show progress and answers.
    showing: TaskTracker,
}

/// One thing for the client.
enum Waits {
    Event(Told),
    /// A sentence for the person.
    Sentence(String),
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Waits>,
    /// Whether one that was taken is still being written.
    writing: bool,
}

#[async_trait]
impl Outlet for Pump {
    fn tell(&self, told: Told) {
        self.lock().queue.push_back(Waits::Event(told));
        self.filled.notify_one();
    }

    fn say(&self, sentence: String) {
        self.lock().queue.push_back(Waits::Sentence(sentence));
        self.filled.notify_one();
    }

    fn has_room(&self) -> bool {
        self.lock().queue.len() < ROOM
    }

    async fn room(&self) {
        self.until(|waiting| waiting.queue.len() < ROOM).await;
    }
}

impl Pump {
    /// Writes until the process ends. Nothing else waits for it.
    pub(super) async fn run(
        self: Arc<Self>,
        client: Client,
        answers: Arc<Answers>,
        documents: Arc<Documents>,
        workspace: Arc<OnceLock<Workspace>>,
    ) {
        let mut shown = Shown::default();
        loop {
            let next = {
                let mut waiting = self.lock();
                let next = waiting.queue.pop_front();
                waiting.writing = next.is_some();
                next
            };
            self.taken.notify_waiters();
            match next {
                Some(Waits::Event(told)) => {
                    let waits = workspace.get().and_then(|workspace| left_behind(workspace, &client, &told));
                    let changes = documents.changes();
                    write(&client, &answers, &self.showing, &mut shown, told, waits, changes).await;
                }
                Some(Waits::Sentence(text)) => client.message(MessageType::WARNING, &format!("Cowrite: {text}")).await,
                None => self.filled.notified().await,
            }
        }
    }

    /// Returns when everything is written that was told, and what was shown has ended.
    pub(super) async fn finished(&self) {
        self.until(|waiting| waiting.queue.is_empty() && !waiting.writing).await;
        self.showing.close();
        self.showing.wait().await;
    }

    async fn until(&self, state: impl Fn(&Waiting) -> bool) {
        loop {
            let taken = self.taken.notified();
            tokio::pin!(taken);
            // Registered before the look, so that no taking in between is missed.
            taken.as_mut().enable();
            if state(&self.lock()) {
                return;
            }
            taken.await;
        }
    }

    // A std mutex: held for a queue operation, never across an await.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the person sees at the moment.
#[derive(Default)]
struct Shown {
    runs: HashMap<RunId, Run>,
    /// Sessions that are being compacted.
    compacting: HashMap<SessionId, Compacting>,
    /// Compactions that had a progress of their own so far.
    compactions: u64,
}

/// What a compaction looks like to the person so far.
#[derive(Default)]
struct Compacting {
    /// Whether it is the person's own wish. One that began by itself sends no message.
    wanted: bool,
    /// While no run shows it.
    progress: Option<Progress>,
}

/// What a run looks like to the person so far.
struct Run {
    progress: Option<Progress>,
    edited: bool,
    /// How often documents had been changed when it began.
    changes: u64,
    session: SessionId,
}

/// What a run that has just ended leaves for the person to decide on, as a sentence.
fn left_behind(workspace: &Workspace, client: &Client, told: &Told) -> Option<String> {
    let ended = matches!(told.envelope.event, Event::RunFinished { .. });
    let run = told.envelope.run_id.filter(|_| ended)?;
    let files: Vec<ReviewFile> = workspace.reviews().into_iter().filter(|file| file.run == run).collect();
    review::waits(&files, client.caps().decides_with)
}

/// `waits` says what a run that ends here leaves behind, `changes` how often documents were changed so far.
async fn write(
    client: &Client,
    answers: &Arc<Answers>,
    showing: &TaskTracker,
    shown: &mut Shown,
    told: Told,
    waits: Option<String>,
    changes: u64,
) {
    let Told { envelope, title } = told;
    let (mut edited, mut typed, mut progress) = (false, false, None);
    if let Event::SessionForked { parent } = &envelope.event {
        let text = format!(
            "Cowrite: another process has gone on with session {parent}; here it goes on as a fork, {}.",
            envelope.session_id
        );
        client.message(MessageType::INFO, &text).await;
    }
    if let Some(text) = compaction(client, showing, shown, &envelope) {
        client.message(MessageType::INFO, &format!("Cowrite: {text}")).await;
    }
    if let Some(run) = envelope.run_id {
        if matches!(envelope.event, Event::RunStarted { .. }) {
            let progress = Progress::begin(client, showing, run, &title);
            shown.runs.insert(run, Run { progress, edited: false, changes, session: envelope.session_id });
        }
        if let Some(shown) = shown.runs.get_mut(&run) {
            shown.edited |= matches!(envelope.event, Event::EditApplied { .. } | Event::EditProposed { .. });
            edited = shown.edited;
            typed = shown.changes != changes;
            if let Some(progress) = &mut shown.progress {
                progress.show(&envelope.event);
                if let Some(waits) = &waits {
                    progress.add(waits);
                }
            }
        }
        if matches!(envelope.event, Event::RunFinished { .. }) {
            progress = shown.runs.remove(&run).and_then(|shown| shown.progress).map(Progress::end);
        }
    }
    if client.caps().events {
        let run = envelope.run_id;
        client.notify::<CowriteEvent>(envelope).await;
        if let (Some(run), Some(waits)) = (run, waits) {
            let ended = Ended { run, title, edited, typed, text: None, error: None, waits: Some(waits), progress };
            answers.show(client, showing, ended);
        }
    } else if let (Some(run), Event::RunFinished { status, result_text, error }) = (envelope.run_id, envelope.event) {
        // Whoever stopped a run does not want what it had said so far in front of them.
        let result_text = result_text.filter(|_| status != RunStatus::Cancelled);
        answers.show(client, showing, Ended { run, title, edited, typed, text: result_text, error, waits, progress });
    }
}

/// Shows a compaction as long as no run does. Gives what became of one that the person asked for, in whichever run it was taken in.
fn compaction(client: &Client, showing: &TaskTracker, shown: &mut Shown, told: &Envelope) -> Option<String> {
    let session = told.session_id;
    let live = shown.runs.values().any(|run| run.session == session);
    match &told.event {
        Event::CompactionStarted { reason, .. } => {
            let compacting = shown.compacting.entry(session).or_default();
            compacting.wanted |= reason == "command";
            if live || compacting.progress.is_some() {
                return None;
            }
        }
        // It goes on without the run that showed it.
        Event::RunFinished { .. } if shown.compacting.contains_key(&session) => {
            let others = shown.runs.iter().filter(|(run, _)| Some(**run) != told.run_id);
            if others.map(|(_, run)| run.session).any(|other| other == session) {
                return None;
            }
        }
        Event::CompactionFinished { before, after, error, .. } => {
            let Compacting { wanted, progress } = shown.compacting.remove(&session)?;
            if let Some(mut progress) = progress {
                progress.show(&told.event);
            }
            return wanted.then(|| compacted(*before, *after, error.as_deref()));
        }
        _ => return None,
    }
    shown.compactions += 1;
    if let Some(compacting) = shown.compacting.get_mut(&session)
        && compacting.progress.is_none()
    {
        compacting.progress = Progress::begin_compaction(client, showing, session, shown.compactions);
    }
    None
}
