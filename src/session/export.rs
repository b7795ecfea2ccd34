//! A session as a text that can be taken away: Markdown to read, JSON with everything.

mod defuse;
mod markdown;
mod run;

pub use defuse::defuse;
pub use markdown::markdown;

use serde::Serialize;

use crate::protocol::SessionId;
use crate::store::{Hash, Record, SessionRow, Store, StoreError, Stored};

/// What a session is exported as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people: prompts, answers, tools, edits.
    #[default]
    Markdown,
    /// For programs: every record.
    Json,
}

impl Format {
    /// The words that name the formats, for error texts.
    pub const WORDS: &str = "markdown, json";
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "markdown" => Ok(Self::Markdown),
            "json" => Ok(Self::Json),
            _ => Err(format!("{word:?} is no format; there are {}", Self::WORDS)),
        }
    }
}

/// A session with all its records, those shared with what it forks from included, as a text.
///
/// # Errors
/// When the session is not there or cannot be read.
pub async fn export(store: &dyn Store, session: SessionId, format: Format) -> Result<String, StoreError> {
    let row = store.session(session).await?.ok_or(StoreError::NoSession(session))?;
    let records = store.records(session, 1..=row.head.record).await?;
    match format {
        Format::Markdown => Ok(markdown(&row, &records)),
        Format::Json => json(&row, &records)
            .map_err(|error| StoreError::Failed(format!("Session {session} could not be written as JSON: {error}"))),
    }
}

/// A session as JSON: `{session, records: [{number, atMs, hash, record}]}`, where `record` is null when retention has dropped it. A provider's own
/// blocks stand as they came, byte for byte.
///
/// # Errors
/// When a record cannot be written as JSON.
pub fn json(row: &SessionRow, records: &[Stored]) -> serde_json::Result<String> {
    let records = records.iter().map(|stored| RecordView {
        number: stored.number,
        at_ms: stored.at_ms,
        hash: stored.hash,
        record: stored.record.as_ref(),
    });
    serde_json::to_string_pretty(&Whole { session: SessionView::from(row), records: records.collect() })
}

/// A session as programs are shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    session_id: SessionId,
    title: String,
    folder: String,
    created_at_ms: u64,
    updated_at_ms: u64,
    runs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<ParentView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ParentView {
    session_id: SessionId,
    record: u64,
}

impl From<&SessionRow> for SessionView {
    fn from(row: &SessionRow) -> Self {
        Self {
            session_id: row.id,
            title: row.title.clone(),
            folder: row.folder.clone(),
            created_at_ms: row.created_at_ms,
            updated_at_ms: row.updated_at_ms,
            runs: row.runs,
            parent: row.parent.map(|parent| ParentView { session_id: parent.session, record: parent.record }),
        }
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    session: SessionView,
    records: Vec<RecordView<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordView<'a> {
    number: u64,
    at_ms: u64,
    hash: Hash,
    record: Option<&'a Record>,
}

#[cfg(test)]
mod tests;
