//! The session's actor: one task that owns the history and the live run, records and then tells.

mod compacting;
mod recording;

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::approvals::Approvals;
use super::journal::{Notes, RunJournal, kept};
use super::mailbox::{Entry, Kept, Mailbox, Reader};
use super::outlet::Outlet;
use super::review::{Reviewed, Reviewing, Reviews};
use super::runs::Runs;
use super::stage::Stage;
use super::state::State;
use super::{Prepare, Ready, Session, Start};
use crate::agent::{Agent, Ended, Setup};
use crate::context::{Compactor, of_fixed};
use crate::model::Item;
use crate::protocol::{Envelope, Event, Mode, RunId, RunStatus, SessionId};
use crate::store::{Begins, Checkpoint, Head, Keep, Prepared, Record, Store, StoredRun};

/// What the actor owns.
pub(super) struct Actor {
    session: SessionId,
    /// What the session is, until its first records are kept.
    begins: Option<Begins>,
    head: Head,
    state: State,
    /// What waits to be recorded together.
    stage: Stage,
    /// Why nothing can be written any more.
    broken: Option<String>,
    /// Set while a head that has moved is no reason to fork.
    without_fork: bool,
    keep: Keep,
    runs: Arc<Runs>,
    mailbox: Arc<Mailbox>,
    store: Arc<dyn Store>,
    outlet: Arc<dyn Outlet>,
    notes: Notes,
    reviews: Arc<Reviews>,
    approvals: Arc<Approvals>,
    compactor: Arc<Compactor>,
    queue: VecDeque<Waiting>,
    live: Option<Live>,
    stopping: bool,
}

/// Where the actor goes on from.
pub(super) struct Opening {
    pub(super) session: SessionId,
    pub(super) begins: Option<Begins>,
    pub(super) head: Head,
    pub(super) state: State,
    /// Runs whose process is gone.
    pub(super) cut: Vec<StoredRun>,
    /// What was told of the ends of some of them, and could not be recorded then.
    pub(super) ended: Vec<Envelope>,
    pub(super) keep: Keep,
}

/// Runs that nobody works at any more, though their end is not recorded.
pub(super) struct Cut {
    runs: Vec<StoredRun>,
    ended: Vec<Envelope>,
}

struct Waiting {
    run: RunId,
    start: Start,
    cancel: CancellationToken,
    /// Who waits to hear that it is kept.
    kept: Option<Kept>,
}

struct Live {
    run: RunId,
    title: Arc<str>,
    cancel: CancellationToken,
    // Ends with the actor: dropping the handle aborts the task.
    _task: AbortOnDrop,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor {
    pub(super) fn new(opening: Opening, handle: &Session, outlet: Arc<dyn Outlet>) -> (Self, Cut) {
        let Opening { session, begins, head, state, cut, ended, keep } = opening;
        let Session { runs, mailbox, reviews, approvals, store, .. } = handle.clone();
        runs.set_figures(state.figures());
        let actor = Self {
            session,
            begins,
            head,
            stage: Stage::new(&state),
            state,
            broken: None,
            without_fork: false,
            keep,
            runs,
            mailbox,
            store,
            outlet,
            notes: Notes::default(),
            reviews,
            approvals,
            compactor: Arc::default(),
            queue: VecDeque::new(),
            live: None,
            stopping: false,
        };
        (actor, Cut { runs: cut, ended })
    }

    /// Works until the shutdown, and then until the live run has ended.
    pub(super) async fn run(mut self, cut: Cut, shutdown: CancellationToken) {
        let _reader = Reader(self.mailbox.clone());
        self.interrupt(cut).await;
        let mut closed = false;
        let compactor = self.compactor.clone();
        loop {
            for entry in self.mailbox.drain(self.outlet.has_room()) {
                closed |= matches!(entry, Entry::Close);
                self.handle(entry).await;
            }
            self.commit().await;
            if (self.stopping || closed) && self.live.is_none() {
                self.end_compacting().await;
                return;
            }
            tokio::select! {
                () = self.mailbox.filled() => {}
                () = self.outlet.room(), if !self.outlet.has_room() => {}
                // A run that is live takes it before its next request.
                () = compactor.finished(), if self.live.is_none() && self.broken.is_none() => {
                    if let Some(outcome) = compactor.take() {
                        self.compacted(outcome, None).await;
                    }
                }
                () = shutdown.cancelled(), if !self.stopping => {
                    self.stopping = true;
                    // What is there already is kept at the end.
                    if self.compactor.is_busy() && !self.compactor.has_outcome()
                        && let Some(failed) = self.compactor.close()
                    {
                        self.tell_failed(failed);
                    }
                    self.cancel_all();
                    self.finish_cancelled_waiting().await;
                }
            }
        }
    }

    async fn handle(&mut self, entry: Entry) {
        match entry {
            Entry::Start { run, start, cancel, kept } => {
                if self.stopping {
                    cancel.cancel();
                }
                if let Some(begins) = self.begins.as_mut().filter(|begins| begins.title.is_empty()) {
                    begins.title.clone_from(&start.title);
                }
                if self.live.is_some() {
                    self.runs.stage_standing(&mut self.stage, run);
                    self.stage.ack(move |_, result| answer(kept, result));
                    self.queue.push_back(Waiting { run, start, cancel, kept: None });
                } else {
                    self.queue.push_back(Waiting { run, start, cancel, kept: Some(kept) });
                }
                self.advance().await;
            }
            Entry::Look => self.advance().await,
            Entry::Prepared { prepared, notes, kept } => {
                let run = prepared.run;
                self.stage.records.push(Record::Prepared(prepared));
                // Together with what it says that the model has been given.
                let notes = notes.into_iter().map(Arc::new);
                self.stage.records.extend(notes.map(|item| Record::Item { run: Some(run), item }));
                self.stage.ack(move |state, result| {
                    answer(kept, result.map(|()| state.window().clone()));
                });
            }
            Entry::Item { run, item, kept } => {
                self.stage.records.push(Record::Item { run: Some(run), item });
                self.stage.ack(move |_, result| answer(kept, result));
            }
            Entry::Intent { run, started, kept } => {
                self.tell(run, started);
                self.stage.ack(move |_, result| answer(kept, result));
            }
            Entry::Landed { run, changed, contents, event, kept } => {
                self.stage.records.push(Record::Changed(changed));
                self.stage.contents.extend(contents);
                self.tell(run, event);
                self.stage.ack(move |_, result| answer(kept, result));
            }
            Entry::Compacted { outcome, kept } => self.compacted(*outcome, Some(kept)).await,
            Entry::Exceeded { limit } => self.stage.records.push(Record::Exceeded { limit }),
            Entry::Previewed { previewed } => self.stage.records.push(Record::Previewed(previewed)),
            Entry::Compact { compact, kept } => self.compact(*compact, kept).await,
            Entry::Event { run, event } if event.is_delta() => self.tell_delta(run, event).await,
            Entry::Event { run, event } => self.tell(run, event),
            Entry::BlockEnded { run } => self.runs.seal(run),
            Entry::Ended { run, ended } => self.end(run, ended).await,
            Entry::Undone { undone, note, kept } => {
                self.stage.records.push(Record::Undone(undone));
                self.note(note);
                self.stage.ack(move |_, result| answer(kept, result));
            }
            Entry::Reviewed { reviewed, kept } => {
                let Reviewed { run, records, contents, events, note } = *reviewed;
                self.stage.records.extend(records);
                self.stage.contents.extend(contents);
                for event in events {
                    self.runs.stage_decided(&mut self.stage, run, event);
                }
                if let Some(note) = note {
                    self.note(note);
                }
                self.stage.ack(move |_, result| answer(kept, result));
            }
            Entry::Title { title } => {
                if let Some(begins) = &mut self.begins {
                    begins.title = title;
                }
            }
            Entry::Clear { kept } => self.clear(kept),
            Entry::Close => {}
        }
    }

    /// Something that the model must hear. Between a call and its result nothing may stand, so a live run hears it with its next turn.
    fn note(&mut self, note: String) {
        if self.live.is_some() {
            self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(note);
        } else {
            let item = Arc::new(Item::told(note));
            self.stage.records.push(Record::Item { run: None, item });
        }
    }

    fn clear(&mut self, kept: Kept) {
        if self.live.is_some() || !self.queue.is_empty() {
            let why =
                "the session has a run under way; cancel it first (cowrite.cancel), or wait until it has finished";
            return answer(kept, Err(why.into()));
        }
        if self.begins.is_some() {
            return answer(kept, Ok(()));
        }
        let checkpoint = Checkpoint { reason: "cleared".into(), told: self.stage.told, ..Checkpoint::default() };
        self.stage.records.push(Record::Checkpoint(Box::new(checkpoint)));
        self.stop_compacting();
        self.reviews.clear();
        self.notes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        self.stage.ack(move |_, result| answer(kept, result));
    }

    /// Ends runs whose process died while they were under way. What their calls did is told as unknown; nothing is done again.
    async fn interrupt(&mut self, Cut { runs, ended }: Cut) {
        for run in runs {
            let under_way = run.snapshot.status != RunStatus::Created;
            if let Some(ended) = ended.iter().find(|ended| ended.run_id == Some(run.snapshot.id)) {
                self.runs.stage_ended(&mut self.stage, &run, ended);
                continue;
            }
            self.runs.stage_lost(&mut self.stage, &run);
            let mut error = if under_way {
                "Cowrite was ended while this run was under way; ask to go on to continue.".to_owned()
            } else {
                "Cowrite was ended before this run began; ask again.".to_owned()
            };
            if let Some(cut) = self.state.cut().filter(|_| under_way) {
                if !cut.unknown.is_empty() {
                    error +=
                        &format!(" Whether this was done is not known, so look first: {}.", cut.unknown.join(", "));
                }
                let item = Arc::new(cut.results);
                self.stage.records.push(Record::Item { run: Some(run.snapshot.id), item });
            }
            if under_way {
                // Who restarts has answered nothing with a yes.
                for approval_id in self.state.asked().to_vec() {
                    self.tell(run.snapshot.id, Event::ApprovalResolved { approval_id, decision: "denied".into() });
                }
            }
            let finished = Event::RunFinished { status: RunStatus::Interrupted, result_text: None, error: Some(error) };
            self.tell(run.snapshot.id, finished);
        }
        // A fork may begin in the midst of a run whose process died: the next request would be refused with its open calls.
        let staged = self.stage.records.iter().any(|record| matches!(record, Record::Item { .. }));
        if let Some(cut) = self.state.cut().filter(|_| !staged) {
            self.stage.records.push(Record::Item { run: None, item: Arc::new(cut.results) });
        }
        self.without_fork = true;
        self.commit().await;
        self.without_fork = false;
    }

    async fn end(&mut self, run: RunId, ended: Ended) {
        self.commit().await;
        // A run that ended between a call and its result (a panic, a failed record) leaves calls open; the next request
        // would be refused with them.
        if let Some(cut) = self.state.cut() {
            self.stage.records.push(Record::Item { run: Some(run), item: Arc::new(cut.results) });
        }
        let Ended { status, result_text, error } = match &self.broken {
            Some(why) => Ended { result_text: ended.result_text, ..Ended::failed(why.clone()) },
            None => ended,
        };
        self.tell(run, Event::RunFinished { status, result_text, error });
        self.commit().await;
        if let Some(checkpoint) = self.state.checkpoint() {
            self.stage.records.push(Record::Checkpoint(Box::new(checkpoint)));
            self.commit().await;
        }
        self.live = None;
        self.retain(run).await;
        self.advance().await;
    }

    /// Drops what is more than shall be kept, once a run has ended.
    async fn retain(&mut self, run: RunId) {
        if self.broken.is_some() || !self.runs.is_full(self.keep.events_per_run, run) {
            return;
        }
        // The totals are folded from events that may be gone then.
        self.stage.records.push(Record::Totals(self.state.totals()));
        self.commit().await;
        if self.broken.is_none()
            && let Err(error) = self.store.retain(self.session, self.keep).await
        {
            // Nothing is lost by keeping more than was asked for; the next run's end tries again.
            tracing::warn!(session = %self.session, %error, "old events could not be dropped");
        }
    }

    /// Starts the next waiting run when none is live.
    async fn advance(&mut self) {
        self.finish_cancelled_waiting().await;
        while self.live.is_none() {
            let Some(Waiting { run, start, cancel, kept }) = self.queue.pop_front() else { return };
            let Start { prompt, command, title, prepare } = start;
            self.tell(run, Event::RunStarted { prompt, command });
            if let Some(kept) = kept {
                self.stage.ack(move |_, result| answer(kept, result));
            }
            let title: Arc<str> = title.into();
            self.commit_titled(&title).await;
            if let Some(why) = self.broken.clone() {
                self.tell_unrecorded(run, why);
                continue;
            }
            let task = tokio::spawn(self.live_run(run, prepare, cancel.clone()));
            self.live = Some(Live { run, title, cancel, _task: AbortOnDrop(task) });
        }
    }

    /// The task of a run: whatever happens in it, a panic too, the actor hears of its end.
    fn live_run(
        &self,
        run: RunId,
        prepare: Prepare,
        cancel: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let mailbox = self.mailbox.clone();
        let journal = Arc::new(RunJournal::new(
            (run, self.session),
            mailbox.clone(),
            self.notes.clone(),
            self.reviews.standing().clone(),
            self.approvals.clone(),
            self.outlet.clone(),
        ));
        let known = self.state.known();
        let recording = mailbox.clone();
        let compactor = self.compactor.clone();
        let reviews = self.reviews.clone();
        let work = async move {
            let first = known.system.is_none();
            let ready = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ended::cancelled(None),
                ready = prepare(known) => match ready {
                    Ok(ready) => ready,
                    Err(error) => return Ended::failed(error),
                },
            };
            let ready = reviewed(run, ready, reviews);
            let (prepared, notes) = (Box::new(prepared(run, &ready, first)), ready.notes);
            let going_on = kept(&recording, |kept| Entry::Prepared { prepared, notes, kept }).await;
            let window = match going_on {
                Ok(window) => window,
                Err(error) => return Ended::failed(error),
            };
            Agent::new(run, ready.setup, window, compactor, journal, cancel).run().await
        };
        async move {
            let ended = std::panic::AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
                let error =
                    "The run failed inside Cowrite; the log has the place. Start it again, and please report it.";
                Ended::failed(error)
            });
            mailbox.push(Entry::Ended { run, ended });
        }
    }

    async fn finish_cancelled_waiting(&mut self) {
        let (gone, stay): (VecDeque<Waiting>, _) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| waiting.cancel.is_cancelled());
        self.queue = stay;
        for waiting in gone {
            self.tell(waiting.run, Event::RunFinished { status: RunStatus::Cancelled, result_text: None, error: None });
            if let Some(kept) = waiting.kept {
                self.stage.ack(move |_, result| answer(kept, result));
            }
        }
        self.commit().await;
    }

    fn cancel_all(&self) {
        for waiting in &self.queue {
            waiting.cancel.cancel();
        }
        if let Some(live) = &self.live {
            live.cancel.cancel();
        }
    }
}

/// The run may be gone: then nobody waits for the answer.
fn answer<T>(kept: Kept<T>, result: Result<T, String>) {
    let _ = kept.send(result);
}

/// A run hears of what still waits, and one that asks for everything has an editor that turns changes into proposals.
fn reviewed(run: RunId, mut ready: Ready, reviews: Arc<Reviews>) -> Ready {
    ready.notes.extend(reviews.undecided(run).map(Item::told));
    if ready.setup.mode == Mode::Ask {
        ready.setup.editor = Arc::new(Reviewing::new(run, ready.setup.editor, reviews));
    }
    ready
}

/// What a run really starts from, as it is recorded.
fn prepared(run: RunId, ready: &Ready, first: bool) -> Prepared {
    let Setup { provider, tools, system, limits, mode, .. } = &ready.setup;
    let specs = tools.specs();
    let fixed_tokens = of_fixed(system, &specs);
    let mut names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
    names.sort();
    Prepared {
        run,
        system: first.then(|| system.clone()),
        model: provider.name().to_owned(),
        context_limit: ready.setup.context_limit(),
        max_output: None,
        max_turns: limits.max_turns,
        tool_output_bytes: limits.tool_output_bytes,
        mode: *mode,
        tools: names,
        rules: ready.rules.clone(),
        fixed_tokens,
    }
}
