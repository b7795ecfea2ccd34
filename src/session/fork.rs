//! Forking a session: where a fork goes on from, and its first record.

use std::ops::RangeInclusive;

use crate::protocol::{Envelope, Event, RunId, RunStatus, SessionId, now_ms};
use crate::store::{Batch, Begins, Head, Owner, Parent, Record, SessionRow, Store, StoreError, Stored};

/// Records that are looked through at once.
const PAGE: u64 = 4096;

/// More runs than can be unfinished in a session.
const UNFINISHED: usize = 64;

/// What stands before the title of a fork.
const PREFIX: &str = "Fork of ";

/// Why a session cannot be forked there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The session cannot be read or kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session has had no such run, or nothing is known of it any more.
    #[error("session {session} has no run {run}; name one of its finished runs, or none to fork from its end")]
    NoRun {
        /// Which session.
        session: SessionId,
        /// Which run.
        run: RunId,
    },
    /// A fork goes on from what is finished.
    #[error("run {0} has not finished; fork when it has, or name a finished run")]
    NotFinished(RunId),
    /// There is nothing to go on from.
    #[error("session {0} holds nothing finished that a fork could go on from; fork when its first run has finished")]
    Nothing(SessionId),
}

/// The record that a fork goes on from: the end of a run, which the session may share with what it forks from itself; without
/// a run, the end of the session, or what stands before the run that is at work in it.
///
/// # Errors
/// When there is no such run, it has not finished, or the session cannot be read. Never another place than the one asked for.
pub async fn fork_point(store: &dyn Store, session: SessionId, after_run: Option<RunId>) -> Result<Head, ForkError> {
    let row = store.session(session).await?.ok_or(StoreError::NoSession(session))?;
    let record = match after_run {
        Some(run) => end_of(store, session, run, row.head.record).await?,
        None => before_live(store, session).await?.unwrap_or(row.head.record),
    };
    if record == 0 {
        return Err(ForkError::Nothing(session));
    }
    if record == row.head.record {
        return Ok(row.head);
    }
    let found = store.records(session, record..=record).await?;
    let place = found.iter().find(|stored| stored.number == record).ok_or(StoreError::NoRecord { session, record })?;
    Ok(Head { record, hash: place.hash })
}

/// Forks a session and gives the fork's id. The fork's first record says where it comes from.
///
/// # Errors
/// A sentence: see [`fork_point`].
pub async fn fork(store: &dyn Store, session: SessionId, after_run: Option<RunId>) -> Result<SessionId, String> {
    let after = fork_point(store, session, after_run).await.map_err(|error| error.to_string())?;
    let row = store.session(session).await.map_err(|error| error.to_string())?;
    let row = row.ok_or_else(|| StoreError::NoSession(session).to_string())?;
    at(store, &row, after).await.map(|(fork, _)| fork)
}

/// Forks a session at a record. Gives the fork's id and its first event, which says where it comes from.
///
/// # Errors
/// A sentence: the record is not there, or the fork cannot be kept.
pub async fn at(store: &dyn Store, parent: &SessionRow, after: Head) -> Result<(SessionId, Envelope), String> {
    let id = SessionId::new();
    let told = Envelope {
        run_id: None,
        session_id: id,
        sequence: 1,
        first: None,
        timestamp_ms: now_ms(),
        event: Event::SessionForked { parent: parent.id },
    };
    let batch = Batch {
        session: id,
        begins: Some(begins(parent, after.record)),
        after,
        records: vec![Record::Event(told.clone())],
        contents: Vec::new(),
        runs: Vec::new(),
    };
    store.append(batch).await.map_err(|error| error.to_string())?;
    Ok((id, told))
}

/// What a fork of a session is.
pub(super) fn begins(parent: &SessionRow, record: u64) -> Begins {
    Begins {
        folder: parent.folder.clone(),
        title: format!("{PREFIX}{}", parent.title.strip_prefix(PREFIX).unwrap_or(&parent.title)),
        parent: Some(Parent { session: parent.id, record }),
    }
}

/// The number of the record that ended a run.
async fn end_of(store: &dyn Store, session: SessionId, run: RunId, head: u64) -> Result<u64, ForkError> {
    let Some(kept) = store.run(run).await? else {
        // Forgotten, or of a parent that was deleted: its records may still be there.
        return look_through(store, session, run, 1..=head).await?.end.ok_or(ForkError::NoRun { session, run });
    };
    let found = look_through(store, session, run, kept.first.max(1)..=kept.last.min(head)).await?;
    match found.end {
        Some(end) => Ok(end),
        None if !found.any => Err(ForkError::NoRun { session, run }),
        // Its last event was dropped by retention.
        None if kept.snapshot.status.is_final() && kept.last <= head => Ok(kept.last),
        None => Err(ForkError::NotFinished(run)),
    }
}

#[derive(Default)]
struct Found {
    /// The record that ended the run.
    end: Option<u64>,
    /// Whether any record is the run's.
    any: bool,
}

async fn look_through(
    store: &dyn Store,
    session: SessionId,
    run: RunId,
    numbers: RangeInclusive<u64>,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let mut from = *numbers.start();
    while from <= *numbers.end() && found.end.is_none() {
        let to = numbers.end().min(&(from + PAGE - 1)).to_owned();
        for Stored { number, record, .. } in store.records(session, from..=to).await? {
            let Some(record) = record.filter(|record| record.run() == Some(run)) else { continue };
            found.any = true;
            if matches!(record.event(), Some(Event::RunFinished { .. })) {
                found.end = Some(number);
            }
        }
        from = to + 1;
    }
    Ok(found)
}

/// The record before the run that is at work in a session; `None` when none is. What a dead process left behind is no such run.
async fn before_live(store: &dyn Store, session: SessionId) -> Result<Option<u64>, StoreError> {
    let runs = store.runs(session, UNFINISHED).await?;
    let live = runs.iter().filter(|run| {
        let status = run.snapshot.status;
        !status.is_final() && status != RunStatus::Created && run.owner != Owner::Gone && run.first > 0
    });
    Ok(live.map(|run| run.first - 1).min())
}
