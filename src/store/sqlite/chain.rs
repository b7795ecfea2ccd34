//! A session and what it forks from: which records of which session are its own.

use sqlx::SqliteConnection;

use super::row::{Read, int};
use crate::protocol::SessionId;
use crate::store::Hash;

/// Records of one session that a chain goes through: those behind `low` up to `high`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) session: String,
    pub(super) low: u64,
    pub(super) high: u64,
}

impl Segment {
    pub(super) fn holds(&self, record: u64) -> bool {
        self.low < record && record <= self.high
    }
}

/// The chain of a session, itself first, back to the first ancestor. Empty: there is no such session.
pub(super) async fn chain(connection: &mut SqliteConnection, session: SessionId) -> Result<Vec<Segment>, sqlx::Error> {
    // A fork at a record that its parent shares itself reaches past the parent, so the bound is the lower of the two.
    let rows = sqlx::query(
        "WITH RECURSIVE chain (session, parent, low, high, depth) AS ( \
            SELECT id, parent, parent_record, head_record, 0 FROM sessions WHERE id = $1 AND deleted = 0 \
            UNION ALL \
            SELECT s.id, s.parent, s.parent_record, CASE WHEN c.low < c.high THEN c.low ELSE c.high END, c.depth + 1 \
            FROM chain c JOIN sessions s ON s.id = c.parent WHERE c.depth < $2 \
         ) SELECT session, low, high FROM chain ORDER BY depth",
    )
    .bind(session.to_string())
    .bind(int(DEPTH))
    .fetch_all(connection)
    .await?;
    let mut chain = Vec::with_capacity(rows.len());
    for row in rows {
        chain.push(Segment { session: row.text(0)?, low: row.number(1)?, high: row.number(2)? });
    }
    Ok(chain)
}

/// Deeper than any person forks; a damaged file may lead in a circle.
const DEPTH: u64 = 100_000;

/// The link of a record in the chain of a session, deleted or not; that of no record where there is none.
pub(super) async fn link(connection: &mut SqliteConnection, session: &str, record: u64) -> Result<Hash, sqlx::Error> {
    let mut session = session.to_owned();
    for _ in 0..DEPTH {
        let row = sqlx::query("SELECT parent, parent_record FROM sessions WHERE id = $1")
            .bind(&session)
            .fetch_one(&mut *connection)
            .await?;
        if record > row.number(1)? {
            break;
        }
        if row.is_null(0)? {
            return Ok(Hash::default());
        }
        session = row.text(0)?;
    }
    let row = sqlx::query("SELECT hash FROM records WHERE session = $1 AND number = $2")
        .bind(&session)
        .bind(int(record))
        .fetch_one(connection)
        .await?;
    row.hash(0)
}
