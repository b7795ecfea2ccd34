//! The session's actor: one task that owns the history and the live run, records and then tells.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::journal::{Notes, RunJournal};
use super::mailbox::{Entry, Mailbox};
use super::outlet::{Outlet, Told};
use super::runs::Shared;
use super::{Prepare, Start};
use crate::agent::{Agent, Ended};
use crate::context::Accounting;
use crate::model::{Block, Item, ToolResult};
use crate::protocol::{ContextUse, Event, RunId, RunStatus, SessionId};
use crate::store::{Record, Store};

/// What the actor owns.
pub(super) struct Actor {
    session: SessionId,
    runs: Shared,
    mailbox: Arc<Mailbox>,
    store: Arc<dyn Store>,
    outlet: Arc<dyn Outlet>,
    history: Vec<Arc<Item>>,
    accounting: Accounting,
    notes: Notes,
    queue: VecDeque<Waiting>,
    live: Option<Live>,
    stopping: bool,
}

struct Waiting {
    run: RunId,
    start: Start,
    cancel: CancellationToken,
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
    pub(super) fn new(
        session: SessionId,
        runs: Shared,
        mailbox: Arc<Mailbox>,
        store: Arc<dyn Store>,
        outlet: Arc<dyn Outlet>,
    ) -> Self {
        Self {
            session,
            runs,
            mailbox,
            store,
            outlet,
            history: Vec::new(),
            accounting: Accounting::default(),
            notes: Notes::default(),
            queue: VecDeque::new(),
            live: None,
            stopping: false,
        }
    }

    /// Works until the shutdown, and then until the live run has ended.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            while let Some(entry) = self.mailbox.pop(self.outlet.has_room()) {
                self.handle(entry).await;
            }
            if self.stopping && self.live.is_none() {
                return;
            }
            tokio::select! {
                () = self.mailbox.filled() => {}
                () = self.outlet.room(), if !self.outlet.has_room() => {}
                () = shutdown.cancelled(), if !self.stopping => {
                    self.stopping = true;
                    self.cancel_all();
                    self.finish_cancelled_waiting().await;
                }
            }
        }
    }

    async fn handle(&mut self, entry: Entry) {
        match entry {
            Entry::Start { run, start, cancel } => {
                if self.stopping {
                    cancel.cancel();
                }
                self.queue.push_back(Waiting { run, start, cancel });
                self.advance().await;
            }
            Entry::Look => {
                self.finish_cancelled_waiting().await;
                self.advance().await;
            }
            Entry::Item { run, item, kept } => {
                let recorded = self.record(Record::Item { run, item: item.clone() }).await;
                if recorded.is_ok() {
                    self.history.push(item);
                }
                // The run may be gone: then nobody waits for the answer.
                let _ = kept.send(recorded);
            }
            Entry::Intent { run, call_id, title, kept } => {
                let _ = kept.send(self.record(Record::Intent { run, call_id, title }).await);
            }
            Entry::Event { run, event } => self.tell(run, event).await,
            Entry::Ended { run, ended, figures } => self.end(run, ended, figures).await,
        }
    }

    async fn end(&mut self, run: RunId, ended: Ended, figures: Option<(Accounting, ContextUse)>) {
        if let Some((accounting, context)) = figures {
            self.accounting = accounting;
            self.runs.set_context(context);
        }
        self.answer_open_calls(run).await;
        if let Err(error) = self.record(Record::RunFinished { run, status: ended.status }).await {
            tracing::error!(%run, error);
        }
        let Ended { status, result_text, error } = ended;
        self.tell(run, Event::RunFinished { status, result_text, error }).await;
        self.live = None;
        self.advance().await;
    }

    /// A run that ended between a call and its result (a panic, a failed record) leaves calls open; the next request
    /// would be refused with them.
    async fn answer_open_calls(&mut self, run: RunId) {
        let Some(Item::Assistant { blocks, .. }) = self.history.last().map(Arc::as_ref) else { return };
        let results: Vec<ToolResult> = blocks
            .iter()
            .filter_map(|block| match block {
                Block::Call { id, name, .. } => Some(ToolResult {
                    call_id: id.clone(),
                    name: name.clone(),
                    ok: false,
                    content: "Interrupted: whether anything was done is not known. Look before you try again.".into(),
                }),
                Block::Text { .. } | Block::Reasoning { .. } => None,
            })
            .collect();
        if results.is_empty() {
            return;
        }
        let item = Arc::new(Item::Results { results });
        if let Err(error) = self.record(Record::Item { run, item: item.clone() }).await {
            tracing::error!(%run, error);
        }
        self.history.push(item);
    }

    /// Starts the next waiting run when none is live.
    async fn advance(&mut self) {
        self.finish_cancelled_waiting().await;
        if self.live.is_some() {
            return;
        }
        let Some(Waiting { run, start, cancel }) = self.queue.pop_front() else { return };
        let Start { prompt, command, title, prepare } = start;
        let title: Arc<str> = title.into();
        if let Err(error) = self.record(Record::RunStarted { run, prompt: prompt.clone() }).await {
            self.tell(run, Event::RunFinished { status: RunStatus::Failed, result_text: None, error: Some(error) })
                .await;
            return;
        }
        self.live = Some(Live {
            run,
            title,
            cancel: cancel.clone(),
            _task: AbortOnDrop(tokio::spawn(self.live_run(run, prepare, cancel))),
        });
        self.tell(run, Event::RunStarted { prompt, command }).await;
    }

    /// The task of a run: whatever happens in it, a panic too, the actor hears of its end.
    fn live_run(
        &self,
        run: RunId,
        prepare: Prepare,
        cancel: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let mailbox = self.mailbox.clone();
        let journal = Arc::new(RunJournal { run, mailbox: mailbox.clone(), notes: self.notes.clone() });
        let (history, accounting) = (self.history.clone(), self.accounting);
        let work = async move {
            let setup = tokio::select! {
                biased;
                () = cancel.cancelled() => return (Ended::cancelled(None), None),
                setup = prepare() => match setup {
                    Ok(setup) => setup,
                    Err(error) => return (Ended::failed(error), None),
                },
            };
            let mut agent = Agent::new(run, setup, history, accounting, journal, cancel);
            let ended = agent.run().await;
            (ended, Some((agent.accounting(), agent.context())))
        };
        async move {
            let (ended, figures) = std::panic::AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
                let error =
                    "The run failed inside Cowrite; the log has the place. Start it again, and please report it.";
                (Ended::failed(error), None)
            });
            mailbox.push(Entry::Ended { run, ended, figures });
        }
    }

    async fn finish_cancelled_waiting(&mut self) {
        let (gone, stay) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| waiting.cancel.is_cancelled());
        self.queue = stay;
        let gone: VecDeque<Waiting> = gone;
        for waiting in gone {
            let finished = Event::RunFinished { status: RunStatus::Cancelled, result_text: None, error: None };
            self.tell(waiting.run, finished).await;
        }
    }

    fn cancel_all(&self) {
        for waiting in &self.queue {
            waiting.cancel.cancel();
        }
        if let Some(live) = &self.live {
            live.cancel.cancel();
        }
    }

    /// Records an event, then tells it. Deltas are told first: they are stored with their block.
    async fn tell(&self, run: RunId, event: Event) {
        let is_delta = event.is_delta();
        let Some(envelope) = self.runs.append(run, event) else { return };
        if !is_delta && let Err(error) = self.record(Record::Event(envelope.clone())).await {
            tracing::error!(%run, error);
        }
        let title =
            self.live.as_ref().filter(|live| live.run == run).map_or_else(|| "".into(), |live| live.title.clone());
        self.outlet.tell(Told { envelope, title });
    }

    async fn record(&self, record: Record) -> Result<(), String> {
        self.store.append(self.session, record).await.map_err(|error| error.to_string())
    }
}
