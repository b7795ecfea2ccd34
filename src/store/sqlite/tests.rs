//! What the store keeps, loses and notices, on real files.

mod basics;
mod opening;
mod planted;
mod removal;
mod searching;
mod verifying;

use tempfile::TempDir;

use super::Sqlite;
use crate::protocol::{Envelope, Event, RunId, RunSnapshot, RunStatus, SessionId, Usage, now_ms};
use crate::store::{Back, Base, Batch, Begins, Changed, Checkpoint, Hash, Head, Parent, Record, RunMoved, Store};
use std::sync::Arc;

/// A session that is being written, with where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) session: SessionId,
    pub(super) head: Head,
}

impl Pen {
    /// Begins a session with records.
    pub(super) async fn begin(store: &Sqlite, title: &str, records: Vec<Record>) -> Self {
        Self::begin_in(store, "/w", title, None, Head::default(), records).await
    }

    pub(super) async fn begin_in(
        store: &Sqlite,
        folder: &str,
        title: &str,
        parent: Option<Parent>,
        after: Head,
        records: Vec<Record>,
    ) -> Self {
        let session = SessionId::new();
        let begins = Some(Begins { folder: folder.to_owned(), title: title.to_owned(), parent });
        let batch = Batch { session, begins, after, records, contents: vec![], runs: vec![] };
        Self { session, head: store.append(batch).await.unwrap() }
    }

    /// Goes on from a record of this one.
    pub(super) async fn fork(&self, store: &Sqlite, record: u64, records: Vec<Record>) -> Self {
        let hash = store.records(self.session, record..=record).await.unwrap()[0].hash;
        let parent = Some(Parent { session: self.session, record });
        Self::begin_in(store, "/w", "fork", parent, Head { record, hash }, records).await
    }

    pub(super) fn batch(&self, records: Vec<Record>) -> Batch {
        Batch { session: self.session, begins: None, after: self.head, records, contents: vec![], runs: vec![] }
    }

    pub(super) async fn write(&mut self, store: &Sqlite, records: Vec<Record>) {
        self.put(store, self.batch(records)).await;
    }

    pub(super) async fn put(&mut self, store: &Sqlite, batch: Batch) {
        self.head = store.append(batch).await.unwrap();
    }

    pub(super) fn event(&self, run: Option<RunId>, sequence: u64, text: &str) -> Record {
        Record::Event(Envelope {
            run_id: run,
            session_id: self.session,
            sequence,
            first: None,
            timestamp_ms: now_ms(),
            event: Event::TextDelta { text: text.to_owned() },
        })
    }

    pub(super) fn finished(&self, run: RunId, sequence: u64) -> Record {
        let event = Event::RunFinished { status: RunStatus::Completed, result_text: None, error: None };
        Record::Event(Envelope {
            run_id: Some(run),
            session_id: self.session,
            sequence,
            first: None,
            timestamp_ms: now_ms(),
            event,
        })
    }

    pub(super) fn run(&self, run: RunId, status: RunStatus, events: u64) -> RunMoved {
        let snapshot = RunSnapshot {
            id: run,
            session_id: self.session,
            status,
            prompt: "do it".to_owned(),
            created_at_ms: now_ms(),
            updated_at_ms: now_ms(),
            result_text: None,
            error: None,
            event_count: events,
            usage: Usage::default(),
            edits: vec![],
            verification: None,
        };
        RunMoved { snapshot, reserved: events + 100 }
    }

    /// A whole run with that many events, the last of which ends it.
    pub(super) async fn whole_run(&mut self, store: &Sqlite, events: u64) -> RunId {
        let run = RunId::new();
        let mut records: Vec<Record> =
            (1..events).map(|n| self.event(Some(run), n, &format!("event {n} of {run}"))).collect();
        records.push(self.finished(run, events));
        let mut batch = self.batch(records);
        batch.runs.push(self.run(run, RunStatus::Completed, events));
        self.put(store, batch).await;
        run
    }
}

pub(super) fn said(text: &str) -> Record {
    Record::Item { run: None, item: Arc::new(crate::model::Item::told(text)) }
}

pub(super) fn checkpoint(reason: &str) -> Record {
    Record::Checkpoint(Box::new(Checkpoint { reason: reason.to_owned(), ..Checkpoint::default() }))
}

pub(super) fn changed(run: RunId, base: Base) -> Record {
    let back = Back { hunk: "h1".to_owned(), start: 0, end: 1, new: "x".to_owned() };
    Record::Changed(Box::new(Changed {
        run,
        uri: "file:///w/a".to_owned(),
        path: None,
        shown: "a".to_owned(),
        created: false,
        gone: None,
        moved: None,
        base,
        change: vec![back],
    }))
}

/// What records say, one a line.
pub(super) fn says(records: &[crate::store::Stored]) -> Vec<String> {
    records
        .iter()
        .map(|stored| match &stored.record {
            None => format!("{} pruned", stored.number),
            Some(Record::Item { item, .. }) => match &**item {
                crate::model::Item::User { text, .. } => format!("{} {text}", stored.number),
                other => format!("{} {other:?}", stored.number),
            },
            Some(Record::Checkpoint(checkpoint)) => format!("{} checkpoint {}", stored.number, checkpoint.reason),
            Some(record) => format!("{} {}", stored.number, record.kind()),
        })
        .collect()
}

pub(super) async fn open(folder: &TempDir) -> Sqlite {
    let (store, notice) = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(notice, None);
    store
}

pub(super) fn text_hash(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

/// A twentieth of a campaign's figure, or with `COWRITE_CAMPAIGN=full` all of it.
pub(super) fn rounds(whole: u32) -> u32 {
    let full = std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full");
    if full { whole } else { (whole / 20).max(1) }
}
