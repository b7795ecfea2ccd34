//! The pump: the one task that writes what sessions tell to the client.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::answer::Answers;
use super::client::{Client, CowriteEvent};
use super::progress::Progress;
use crate::protocol::{Event, RunId};
use crate::session::{Outlet, Told};

/// Events that may wait for the client before deltas begin to merge.
const ROOM: usize = 16;

/// What waits to be written.
#[derive(Default)]
pub(super) struct Pump {
    waiting: Mutex<VecDeque<Told>>,
    filled: Notify,
    taken: Notify,
}

#[async_trait]
impl Outlet for Pump {
    fn tell(&self, told: Told) {
        self.lock().push_back(told);
        self.filled.notify_one();
    }

    fn has_room(&self) -> bool {
        self.lock().len() < ROOM
    }

    async fn room(&self) {
        loop {
            let taken = self.taken.notified();
            tokio::pin!(taken);
            // Registered before the look, so that no taking in between is missed.
            taken.as_mut().enable();
            if self.has_room() {
                return;
            }
            taken.await;
        }
    }
}

impl Pump {
    /// Writes until the process ends. Nothing else waits for it.
    pub(super) async fn run(self: Arc<Self>, client: Client, answers: Arc<Answers>) {
        let mut shown: HashMap<RunId, Shown> = HashMap::new();
        loop {
            let next = self.lock().pop_front();
            let Some(told) = next else {
                self.filled.notified().await;
                continue;
            };
            self.taken.notify_waiters();
            write(&client, &answers, &mut shown, told).await;
        }
    }

    // A std mutex: held for a queue operation, never across an await.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Told>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a run looks like to the person so far.
struct Shown {
    progress: Option<Progress>,
    edited: bool,
}

async fn write(client: &Client, answers: &Arc<Answers>, shown: &mut HashMap<RunId, Shown>, told: Told) {
    let Told { envelope, title } = told;
    let mut edited = false;
    if let Some(run) = envelope.run_id {
        if matches!(envelope.event, Event::RunStarted { .. }) {
            let progress = Progress::begin(client, run, title.to_string());
            shown.insert(run, Shown { progress, edited: false });
        }
        if let Some(shown) = shown.get_mut(&run) {
            shown.edited |= matches!(envelope.event, Event::EditApplied { .. });
            edited = shown.edited;
            if let Some(progress) = &mut shown.progress {
                progress.show(&envelope.event);
            }
        }
        if matches!(envelope.event, Event::RunFinished { .. }) {
            // Dropping it ends the progress.
            shown.remove(&run);
        }
    }
    if client.caps().events {
        client.notify::<CowriteEvent>(envelope).await;
    } else if let (Some(run), Event::RunFinished { result_text, error, .. }) = (envelope.run_id, envelope.event) {
        answers.show(client, run, &title, edited, result_text, error);
    }
}
