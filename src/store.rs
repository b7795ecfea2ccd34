//! Records: what sessions keep, behind one trait. Agents and LSP are unknown here.
//!
//! A session is a chain of records, each linked to the one before by SHA-256. A fork goes on from a record of another
//! session: it shares what stands before it. What a record says is in [`Record`]; where it is kept is a [`Store`].

mod hash;
mod record;
mod sqlite;
mod trust;

pub use hash::{Hash, Head};
pub use record::{
    Back, Base, Changed, Checkpoint, Compacted, Decided, Gone, Item, Moved, Operation, Prepared, Previewed, Proposed,
    Record, Rules, Totals, Undone, Verdict,
};
pub use sqlite::{OpenError, Sqlite};
pub use trust::Trust;

use std::ops::{Deref, RangeInclusive};
use std::path::PathBuf;

use async_trait::async_trait;

use crate::context::recall::Found;
use crate::protocol::{Envelope, RunId, RunSnapshot, SessionId};

/// Records that go in together, or not at all.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whose.
    pub session: SessionId,
    /// Set with the first records of a session: what it is. Then `after` is where it goes on from: [`Head::default`],
    /// or the record of `parent` that it forks from.
    pub begins: Option<Begins>,
    /// The head that the records go behind.
    pub after: Head,
    /// The records, in order; the first gets the number behind `after`. May be empty: then only the rest is kept.
    pub records: Vec<Record>,
    /// Texts that the records name by [`Hash::of`]. Those that are there already cost nothing.
    pub contents: Vec<Vec<u8>>,
    /// Runs that moved with these records, as they stand now.
    pub runs: Vec<RunMoved>,
}

/// A run as it stands, to be kept beside the records that moved it.
#[derive(Clone, Debug)]
pub struct RunMoved {
    /// As it stands now.
    pub snapshot: RunSnapshot,
    /// Event numbers up to this one may have been told.
    pub reserved: u64,
}

/// What a new session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begins {
    /// The real path of its workspace folder; empty for what lies in none.
    pub folder: String,
    /// What a person reads in a list.
    pub title: String,
    /// Where it forks from.
    pub parent: Option<Parent>,
}

/// The record that a fork goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Parent {
    /// The session.
    pub session: SessionId,
    /// The number of its record.
    pub record: u64,
}

/// A session, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// The real path of its workspace folder; empty for what lies in none.
    pub folder: String,
    /// What a person reads.
    pub title: String,
    /// When it was begun.
    pub created_at_ms: u64,
    /// When it was last written.
    pub updated_at_ms: u64,
    /// How many runs it has had of its own.
    pub runs: u64,
    /// Where it forks from.
    pub parent: Option<Parent>,
}

/// A session by itself, as it stands: what lists show of it, and where its chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What lists show.
    pub row: SessionRow,
    /// Its newest record.
    pub head: Head,
    /// Whether this process was the last to write to it.
    pub ours: bool,
}

impl Deref for Standing {
    type Target = SessionRow;

    fn deref(&self) -> &SessionRow {
        &self.row
    }
}

/// A run, as it was last kept.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// As it stood.
    pub snapshot: RunSnapshot,
    /// Event numbers up to this one may have been told.
    pub reserved: u64,
    /// The number of its first record.
    pub first: u64,
    /// The number of the newest record that moved it.
    pub last: u64,
    /// The process that it belongs to.
    pub owner: Owner,
}

/// Whose a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This process's.
    Ours,
    /// Another living process's.
    Other,
    /// That process is gone.
    Gone,
}

/// A record in its place.
#[derive(Clone, Debug)]
pub struct Stored {
    /// From 1 in a session that is no fork; a fork goes on counting from its parent's record.
    pub number: u64,
    /// When it was kept.
    pub at_ms: u64,
    /// Its link.
    pub hash: Hash,
    /// What it says; `None` when retention has dropped it.
    pub record: Option<Record>,
}

/// How much of a session's events stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Finished runs whose events stay.
    pub runs: usize,
    /// Events of each of them.
    pub events_per_run: usize,
}

/// What a walk over everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Sessions looked at, those that only forks still need included.
    pub sessions: u64,
    /// Records looked at.
    pub records: u64,
    /// Records of which retention has left the hash and the link alone.
    pub pruned: u64,
    /// What is wrong. Empty: everything is whole.
    pub faults: Vec<Fault>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// In which session, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// In which record of it, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What tidying up has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tidied {
    /// Texts that nothing names any more.
    pub contents: u64,
    /// Deleted sessions that no fork needs any more.
    pub sessions: u64,
    /// Bytes that the file has become smaller by.
    pub bytes: u64,
}

/// Why something could not be kept, read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process has written to the session.
    #[error("another process has gone on with session {0}")]
    Moved(SessionId),
    /// Nobody knows the session.
    #[error("there is no session {0}")]
    NoSession(SessionId),
    /// The session has no such record.
    #[error("session {session} has no record {record}")]
    NoRecord {
        /// Which.
        session: SessionId,
        /// Its record.
        record: u64,
    },
    /// The system or the database says no. The sentence names what failed, on which file, and the next step.
    #[error("{0}")]
    Failed(String),
}

/// Where sessions are kept. Cheap to share; every method may be called from any task.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps a batch. When it returns, the batch is as safe as this store makes it, and the head is the session's new one.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when `after` is not the session's head, and then nothing was kept; when it fails, nothing
    /// that depends on it may be told or done.
    async fn append(&self, batch: Batch) -> Result<Head, StoreError>;

    /// A session.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn session(&self, session: SessionId) -> Result<Option<Standing>, StoreError>;

    /// The sessions of a folder, or all, the one that was written last first.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn sessions(&self, folder: Option<&str>) -> Result<Vec<SessionRow>, StoreError>;

    /// The session that a folder goes on with.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn active(&self, folder: &str) -> Result<Option<SessionId>, StoreError>;

    /// Makes a session the one that its folder goes on with.
    ///
    /// # Errors
    /// When it is not there or cannot be kept.
    async fn set_active(&self, session: SessionId) -> Result<(), StoreError>;

    /// Gives a session another title.
    ///
    /// # Errors
    /// When it is not there or cannot be kept.
    async fn rename(&self, session: SessionId, title: &str) -> Result<(), StoreError>;

    /// Deletes a session, from the file too. What a fork shares stays until the last fork goes.
    ///
    /// # Errors
    /// When it is not there or cannot be deleted.
    async fn delete(&self, session: SessionId) -> Result<(), StoreError>;

    /// The newest [`Record::Checkpoint`] (of the session or of what it forks from) and everything behind it; everything
    /// when there is none.
    ///
    /// # Errors
    /// When the session is not there or cannot be read.
    async fn resume(&self, session: SessionId) -> Result<(Standing, Vec<Stored>), StoreError>;

    /// Records by number, those shared with what it forks from included; numbers that are not there are left out.
    ///
    /// # Errors
    /// When the session is not there or cannot be read.
    async fn records(&self, session: SessionId, numbers: RangeInclusive<u64>) -> Result<Vec<Stored>, StoreError>;

    /// The newest runs of a session, its own, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn runs(&self, session: SessionId, most: usize) -> Result<Vec<StoredRun>, StoreError>;

    /// A run, in whichever session; in the newest one that has it.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn run(&self, run: RunId) -> Result<Option<StoredRun>, StoreError>;

    /// The events of a run, or without one the session's own, behind a number, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn events(&self, session: SessionId, run: Option<RunId>, after: u64) -> Result<Vec<Envelope>, StoreError>;

    /// What a run changed, and what of it was decided on or undone since, oldest first: [`Record::Changed`],
    /// [`Record::Decided`] and [`Record::Undone`].
    ///
    /// # Errors
    /// When it cannot be read.
    async fn changes(&self, session: SessionId, run: RunId) -> Result<Vec<Stored>, StoreError>;

    /// A text, by its hash.
    ///
    /// # Errors
    /// When it is not there or not as it was written.
    async fn content(&self, hash: Hash) -> Result<Vec<u8>, StoreError>;

    /// The entries of the history that hold all words of a query, those shared with what the session forks from included,
    /// newest first and at most `most`: parts of words in any case and language, and in quotation marks a phrase. Nothing
    /// is found for a query without words. Where all words are shorter than three characters, only the newest 50,000 entries are
    /// looked at. What is damaged is passed over.
    ///
    /// # Errors
    /// When the session is not there or cannot be read.
    async fn search(&self, session: SessionId, query: &str, most: usize) -> Result<Vec<Found>, StoreError>;

    /// Drops the bodies of the oldest events, and forgets the oldest runs, beyond what is to stay; never of a run that is
    /// not finished.
    ///
    /// # Errors
    /// When it cannot be done.
    async fn retain(&self, session: SessionId, keep: Keep) -> Result<(), StoreError>;

    /// Walks every chain.
    ///
    /// # Errors
    /// When nothing can be read at all.
    async fn verify(&self) -> Result<Report, StoreError>;

    /// Removes what nothing needs and gives the room back.
    ///
    /// # Errors
    /// When it cannot be done.
    async fn tidy(&self) -> Result<Tidied, StoreError>;

    /// Ends this process's part: everything kept is on disk, and its runs belong to nobody.
    async fn close(&self);

    /// Whether what is kept outlives the process.
    fn durable(&self) -> bool;

    /// The file, for messages.
    fn file(&self) -> Option<PathBuf>;
}
