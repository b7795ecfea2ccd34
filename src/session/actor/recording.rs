//! Recording what is staged, and telling it: the actor's way into the store.

use std::sync::Arc;

use super::{Actor, Waiting};
use crate::protocol::{Event, RunId, RunStatus, SessionId};
use crate::session::fork;
use crate::session::outlet::Told;
use crate::session::runs::envelope;
use crate::session::stage::Stage;
use crate::store::{Head, StoreError};

impl Actor {
    /// Stages an event: it is told when it is recorded.
    pub(super) fn tell(&mut self, run: RunId, event: Event) {
        // An event that its run's state does not allow came too late.
        let _ = self.runs.stage(&mut self.stage, run, event);
    }

    /// Stages an event of the live run; of the session itself between runs.
    pub(super) fn tell_here(&mut self, event: Event) {
        match self.live.as_ref().map(|live| live.run) {
            Some(run) => self.tell(run, event),
            None => {
                self.stage.told += 1;
                let told = envelope(None, self.session, self.stage.told, event);
                self.stage.tell(told);
            }
        }
    }

    /// Tells a piece of a stream at once; it is recorded with its block.
    pub(super) async fn tell_delta(&mut self, run: RunId, event: Event) {
        if self.runs.is_short_of_numbers(run) {
            self.runs.stage_standing(&mut self.stage, run);
        }
        self.commit().await;
        if self.broken.is_none()
            && let Some(told) = self.runs.delta(run, event)
        {
            let title = self.title(Some(run));
            self.outlet.tell(Told { envelope: told, title });
        }
    }

    /// Records what is staged, then tells it.
    pub(super) async fn commit(&mut self) {
        self.commit_titled(&"".into()).await;
    }

    /// The same, with the title of a run that is not live yet.
    pub(super) async fn commit_titled(&mut self, title: &Arc<str>) {
        if self.stage.is_empty() {
            return;
        }
        let mut stage = std::mem::replace(&mut self.stage, Stage::new(&self.state));
        let kept = match self.broken.clone() {
            Some(why) => Err(why),
            None => self.keep(&mut stage).await,
        };
        match kept {
            Ok(head) => {
                self.begins = None;
                self.head = head;
                let first = head.record + 1 - stage.records.len() as u64;
                for (record, number) in stage.records.iter().zip(first..) {
                    self.state.apply(record, number);
                }
                self.runs.publish(&stage, head);
                self.runs.set_figures(self.state.figures());
                stage.answer(&self.state, &Ok(()));
                for told in stage.tells() {
                    let live = self.title(told.run_id);
                    let title = if live.is_empty() { title.clone() } else { live };
                    self.outlet.tell(Told { envelope: told.clone(), title });
                }
            }
            Err(why) => {
                let edited = stage.edited();
                let why = if edited.is_empty() {
                    why
                } else {
                    format!("{why}. Changed and not recorded: {}", edited.join(", "))
                };
                self.break_off(&why);
                // Its end is told all the same: the person waits for it.
                for run in self.runs.unfinished().into_iter().filter(|run| stage.ends(*run)) {
                    self.tell_unrecorded(run, why.clone());
                }
                stage.answer(&self.state, &Err(why));
            }
        }
        self.stage = Stage::new(&self.state);
    }

    /// Into the store; into a fork when another process has gone on with the session.
    async fn keep(&mut self, stage: &mut Stage) -> Result<Head, String> {
        let batch = stage.batch(self.session, self.begins.clone(), self.head, self.runs.moved(stage));
        match self.store.append(batch).await {
            Ok(head) => Ok(head),
            // Another process that opens the session at this moment has told it already.
            Err(StoreError::Moved(_)) if self.without_fork => {
                self.runs.forget_unfinished();
                *stage = Stage::new(&self.state);
                Ok(self.head)
            }
            Err(StoreError::Moved(_)) if self.begins.is_none() => self.fork(stage).await,
            Err(error) => Err(error.to_string()),
        }
    }

    async fn fork(&mut self, stage: &mut Stage) -> Result<Head, String> {
        let unreadable = |error: StoreError| error.to_string();
        let parent = self.session;
        let row = self.store.session(parent).await.map_err(unreadable)?.ok_or_else(|| {
            format!("session {parent} was deleted while it was in use here; begin another (cowrite.session.new)")
        })?;
        let session = SessionId::new();
        let begins = fork::begins(&row, self.head.record);
        for waiting in &self.queue {
            self.runs.stage_standing(stage, waiting.run);
        }
        if let Some(live) = &self.live {
            self.runs.stage_standing(stage, live.run);
        }
        stage.fork(session, parent);
        let batch = stage.batch(session, Some(begins), self.head, self.runs.moved(stage));
        let head = self.store.append(batch).await.map_err(unreadable)?;
        self.session = session;
        self.state = self.state.forked();
        self.runs.fork(session);
        Ok(head)
    }

    /// Nothing is written to the session from here on: what could not be kept once must not be followed by what was.
    fn break_off(&mut self, why: &str) {
        if self.broken.is_some() {
            return;
        }
        tracing::error!(session = %self.session, why, "the session cannot be written");
        self.broken = Some(why.to_owned());
        self.runs.break_off(why);
        if let Some(live) = &self.live {
            live.cancel.cancel();
        }
        for Waiting { run, .. } in std::mem::take(&mut self.queue) {
            self.tell_unrecorded(run, why.to_owned());
        }
    }

    pub(super) fn tell_unrecorded(&self, run: RunId, error: String) {
        let finished = Event::RunFinished { status: RunStatus::Failed, result_text: None, error: Some(error) };
        if let Some(envelope) = self.runs.finish_unrecorded(run, finished) {
            let title = self.title(Some(run));
            self.outlet.tell(Told { envelope, title });
        }
    }

    fn title(&self, run: Option<RunId>) -> Arc<str> {
        let live = self.live.as_ref().filter(|live| Some(live.run) == run);
        live.map_or_else(|| "".into(), |live| live.title.clone())
    }
}
