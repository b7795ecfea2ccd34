//! The one task of a process that writes. Batches that wait are committed together: one flush for all of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::append::append;
use super::connection::Lane;
use super::fail::failed;
use super::lone;
use super::owners::{Process, forget, register};
use super::prepare::Ready;
use crate::protocol::{RunId, SessionId};
use crate::store::{Head, StoreError};

/// Batches that may wait before callers do.
const QUEUE: usize = 64;

/// How often a process with unfinished runs shows that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What the writer is asked for.
enum Job {
    Append { ready: Box<Ready>, answer: oneshot::Sender<Result<Head, StoreError>> },
    Close { done: oneshot::Sender<()> },
}

/// The way to the writer.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the task on the runtime at hand.
    pub(super) fn start(lane: Lane, me: Arc<Process>) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let task = Task { lane, me, registered: false, live: HashSet::new() };
        tokio::spawn(task.run(waiting));
        Self { jobs }
    }

    pub(super) async fn append(&self, ready: Ready) -> Result<Head, StoreError> {
        let session = ready.session;
        let (answer, answered) = oneshot::channel();
        let closed =
            || StoreError::Failed(format!("could not record what happened in session {session}: the store is closed"));
        self.jobs.send(Job::Append { ready: Box::new(ready), answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.jobs.send(Job::Close { done }).await.is_ok() {
            // An error means that somebody else has closed it.
            let _ = closed.await;
        }
    }
}

type Waiting = (Box<Ready>, oneshot::Sender<Result<Head, StoreError>>);

struct Task {
    lane: Lane,
    me: Arc<Process>,
    /// Whether the others can know of this process.
    registered: bool,
    /// Runs of this process that are not finished.
    live: HashSet<(SessionId, RunId)>,
}

impl Task {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A database in memory is nobody else's, so nobody watches for a heartbeat.
        let watched = self.lane.place().path().is_some();
        let mut done = None;
        while done.is_none() {
            let first = tokio::select! {
                job = jobs.recv() => job,
                _ = heartbeat.tick(), if watched && !self.live.is_empty() => {
                    self.beat().await;
                    continue;
                }
            };
            let mut waiting = Vec::new();
            let mut next = first;
            loop {
                match next {
                    Some(Job::Append { ready, answer }) => waiting.push((ready, answer)),
                    Some(Job::Close { done: tell }) => {
                        done = Some(Some(tell));
                        break;
                    }
                    None => {
                        done = Some(None);
                        break;
                    }
                }
                next = match jobs.try_recv() {
                    Ok(job) if waiting.len() < QUEUE => Some(job),
                    Ok(job) => {
                        self.commit(std::mem::take(&mut waiting)).await;
                        Some(job)
                    }
                    Err(_) => break,
                };
            }
            self.commit(waiting).await;
        }
        jobs.close();
        self.leave().await;
        if let Some(tell) = done.flatten() {
            let _ = tell.send(());
        }
    }

    /// All of them in one transaction. A batch that may not go in is left out of it; a failure is everybody's.
    async fn commit(&mut self, waiting: Vec<Waiting>) {
        if waiting.is_empty() {
            return;
        }
        match self.transact(&waiting).await {
            Ok(outcomes) => {
                self.registered = true;
                for ((ready, answer), outcome) in waiting.into_iter().zip(outcomes) {
                    if outcome.is_ok() {
                        self.note(&ready);
                    }
                    // Nobody may wait for the answer any more.
                    let _ = answer.send(outcome);
                }
            }
            Err(error) => {
                for (ready, answer) in waiting {
                    let tried = format!("record what happened in session {}", ready.session);
                    let _ = answer.send(Err(failed(&tried, self.lane.place().path(), &error)));
                }
                self.lane.renew().await;
            }
        }
    }

    async fn transact(&self, waiting: &[Waiting]) -> Result<Vec<Result<Head, StoreError>>, sqlx::Error> {
        let mut connection = self.lane.take().await?;
        if let [(ready, _)] = waiting
            && self.registered
            && lone::is_plain(ready, |run| self.live.contains(&(ready.session, run.snapshot.id)))
        {
            return Ok(vec![lone::append(&mut connection, ready, &self.me.id).await?]);
        }
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let outcomes = self.write(&mut transaction, waiting).await?;
        transaction.commit().await?;
        Ok(outcomes)
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        waiting: &[Waiting],
    ) -> Result<Vec<Result<Head, StoreError>>, sqlx::Error> {
        if !self.registered {
            register(connection, &self.me).await?;
        }
        let mut outcomes = Vec::with_capacity(waiting.len());
        for (ready, _) in waiting {
            outcomes.push(append(connection, ready, &self.me.id, self.lane.place().path()).await?);
        }
        Ok(outcomes)
    }

    fn note(&mut self, ready: &Ready) {
        for run in &ready.runs {
            let key = (ready.session, run.snapshot.id);
            if run.snapshot.status.is_final() {
                self.live.remove(&key);
            } else {
                self.live.insert(key);
            }
        }
    }

    async fn beat(&self) {
        let beaten = match self.lane.take().await {
            Ok(mut connection) => register(&mut connection, &self.me).await,
            Err(error) => Err(error),
        };
        if let Err(error) = beaten {
            tracing::warn!(%error, "could not show the other processes that this one is there");
            self.lane.renew().await;
        }
    }

    /// What this process has not finished belongs to nobody from here on.
    async fn leave(&self) {
        if self.registered
            && let Ok(mut connection) = self.lane.take().await
            && let Err(error) = forget(&mut connection, &self.me.id).await
        {
            tracing::warn!(%error, "could not take this process out of the store");
        }
        self.lane.close().await;
    }
}
