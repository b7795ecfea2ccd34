//! Records: what a session keeps, behind one trait. Agents and LSP are unknown here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::Item;
use crate::protocol::{Envelope, RunId, RunStatus, SessionId};

/// One thing that happened in a session. Appended, never changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Record {
    /// A run left the queue.
    RunStarted {
        /// Which.
        run: RunId,
        /// What the person typed.
        prompt: String,
    },
    /// An entry of the history.
    Item {
        /// The run that made it.
        run: RunId,
        /// The entry.
        item: Arc<Item>,
    },
    /// A tool is about to change something. Without a result after it, nobody knows whether it did.
    Intent {
        /// The run.
        run: RunId,
        /// The tool call.
        call_id: String,
        /// What a person reads.
        title: String,
    },
    /// An event, as it is about to be told.
    Event(Envelope),
    /// A run reached a final state.
    RunFinished {
        /// Which.
        run: RunId,
        /// How.
        status: RunStatus,
    },
}

/// A record that could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not record {what} of session {session}: {reason}")]
pub struct StoreError {
    /// The kind of record.
    pub what: &'static str,
    /// Of which session.
    pub session: SessionId,
    /// What the system said.
    pub reason: String,
}

/// Where records are kept.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends a record. When it returns, the record is as safe as this store makes it.
    ///
    /// # Errors
    /// When it could not be kept: nothing that depends on it may then be told or done.
    async fn append(&self, session: SessionId, record: Record) -> Result<(), StoreError>;

    /// All records of a session, oldest first; none for a session that nobody has written.
    ///
    /// # Errors
    /// When they cannot be read.
    async fn load(&self, session: SessionId) -> Result<Vec<Record>, StoreError>;
}

/// Keeps records as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    sessions: Mutex<HashMap<SessionId, Vec<Record>>>,
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, session: SessionId, record: Record) -> Result<(), StoreError> {
        // A std mutex: held for a push, never across an await.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).entry(session).or_default().push(record);
        Ok(())
    }

    async fn load(&self, session: SessionId) -> Result<Vec<Record>, StoreError> {
        Ok(self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&session).cloned().unwrap_or_default())
    }
}
