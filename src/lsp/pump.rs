//! The pump: the one task that writes what sessions tell to the client.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tower_lsp::ls_types::MessageType;

use super::answer::{Answers, Ended};
use super::client::{Client, CowriteEvent};
use super::progress::Progress;
use crate::protocol::{Event, RunId, RunStatus, SessionId};
use crate::session::{Outlet, Told};

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
    pub(super) async fn run(self: Arc<Self>, client: Client, answers: Arc<Answers>) {
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
                Some(Waits::Event(told)) => write(&client, &answers, &self.showing, &mut shown, told).await,
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
    /// Sessions that the person wants compacted.
    compacting: HashSet<SessionId>,
}

/// What a run looks like to the person so far.
struct Run {
    progress: Option<Progress>,
    edited: bool,
}

async fn write(client: &Client, answers: &Arc<Answers>, showing: &TaskTracker, shown: &mut Shown, told: Told) {
    let Told { envelope, title } = told;
    let (mut edited, mut progress) = (false, None);
    if let Event::SessionForked { parent } = &envelope.event {
        let text = format!(
            "Cowrite: another process has gone on with session {parent}; here it goes on as a fork, {}.",
            envelope.session_id
        );
        client.message(MessageType::INFO, &text).await;
    }
    if let Some(text) = compaction(shown, envelope.session_id, &envelope.event) {
        client.message(MessageType::INFO, &format!("Cowrite: {text}")).await;
    }
    if let Some(run) = envelope.run_id {
        if matches!(envelope.event, Event::RunStarted { .. }) {
            let progress = Progress::begin(client, showing, run, title.to_string());
            shown.runs.insert(run, Run { progress, edited: false });
        }
        if let Some(shown) = shown.runs.get_mut(&run) {
            shown.edited |= matches!(envelope.event, Event::EditApplied { .. });
            edited = shown.edited;
            if let Some(progress) = &mut shown.progress {
                progress.show(&envelope.event);
            }
        }
        if matches!(envelope.event, Event::RunFinished { .. }) {
            progress = shown.runs.remove(&run).and_then(|shown| shown.progress).map(Progress::end);
        }
    }
    if client.caps().events {
        client.notify::<CowriteEvent>(envelope).await;
    } else if let (Some(run), Event::RunFinished { status, result_text, error }) = (envelope.run_id, envelope.event) {
        // Whoever stopped a run does not want what it had said so far in front of them.
        let result_text = result_text.filter(|_| status != RunStatus::Cancelled);
        answers.show(client, showing, Ended { run, title, edited, text: result_text, error, progress });
    }
}

/// What became of a compaction that the person asked for, in whichever run it was taken in. One that began by itself says nothing.
fn compaction(shown: &mut Shown, session: SessionId, event: &Event) -> Option<String> {
    match event {
        Event::CompactionStarted { reason, .. } if reason == "command" => {
            shown.compacting.insert(session);
            None
        }
        Event::CompactionFinished { before, after, error, .. } if shown.compacting.remove(&session) => {
            Some(match error {
                None => format!("compacted the conversation from {before} to {after} tokens"),
                Some(error) => format!("the conversation was not compacted: {error}"),
            })
        }
        _ => None,
    }
}
