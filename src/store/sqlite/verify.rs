//! The walk over everything: is each thing as it was written?

mod blobs;
mod records;
mod runs;

use std::collections::HashSet;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::row::{Read, id};
use crate::protocol::SessionId;
use crate::store::{Fault, Hash, Head, Report};

/// As many faults of one sort are told; a file in ruins has no end of them.
const MOST: usize = 1000;

/// Walks everything that one connection sees, in one transaction: others may go on writing.
pub(super) async fn verify(connection: &mut SqliteConnection) -> Result<Report, sqlx::Error> {
    let mut walk = Walk { connection, report: Report::default(), told: HashSet::new() };
    walk.pages().await;
    for session in walk.sessions().await? {
        walk.chain(&session).await;
        walk.runs(&session).await;
    }
    walk.blobs().await;
    walk.orphans().await;
    Ok(walk.report)
}

/// A walk, and what it has found so far.
struct Walk<'a> {
    connection: &'a mut SqliteConnection,
    report: Report,
    /// Records that have been named already: one fault for each is enough.
    told: HashSet<(String, u64)>,
}

/// A session, as far as the walk needs it.
struct Session {
    id: String,
    parent: Option<String>,
    parent_record: u64,
    head: Head,
}

impl Session {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.text(0)?,
            parent: if row.is_null(1)? { None } else { Some(row.text(1)?) },
            parent_record: row.number(2)?,
            head: Head { record: row.number(3)?, hash: row.hash(4)? },
        })
    }
}

impl Walk<'_> {
    fn fault(&mut self, session: Option<&str>, record: Option<u64>, what: impl Into<String>) {
        if let (Some(session), Some(record)) = (session, record)
            && !self.told.insert((session.to_owned(), record))
        {
            return;
        }
        let session = session.and_then(|session| session.parse().ok());
        self.report.faults.push(Fault { session, record, what: what.into() });
    }

    /// SQLite's own look at its pages and indexes.
    async fn pages(&mut self) {
        match sqlx::query("PRAGMA integrity_check(1000)").fetch_all(&mut *self.connection).await {
            Ok(rows) => {
                for what in rows.iter().filter_map(|row| row.text(0).ok()).filter(|what| what != "ok") {
                    self.page(&what).await;
                }
            }
            Err(error) => self.fault(None, None, format!("the database cannot be looked through: {error}")),
        }
    }

    /// Names the record of a row that SQLite complains about, where that can be said.
    async fn page(&mut self, what: &str) {
        let row = what.strip_prefix("row ").and_then(|rest| rest.split_once(' '));
        if let Some((row, rest)) = row
            && rest.contains("records")
            && let Ok(row) = row.parse::<i64>()
        {
            let place = sqlx::query("SELECT session, number FROM records WHERE rowid = $1")
                .bind(row)
                .fetch_optional(&mut *self.connection)
                .await;
            if let Ok(Some(place)) = place
                && let (Ok(session), Ok(number)) = (place.text(0), place.number(1))
                && id::<SessionId>(&session).is_ok()
            {
                return self.fault(Some(&session), Some(number), format!("the database: {what}"));
            }
        }
        self.fault(None, None, format!("the database: {what}"));
    }

    async fn sessions(&mut self) -> Result<Vec<Session>, sqlx::Error> {
        let rows = sqlx::query("SELECT id, parent, parent_record, head_record, head_hash FROM sessions ORDER BY id")
            .fetch_all(&mut *self.connection)
            .await?;
        let mut sessions = Vec::with_capacity(rows.len());
        for row in rows {
            self.report.sessions += 1;
            match Session::read(&row) {
                Ok(session) => {
                    if id::<SessionId>(&session.id).is_err() {
                        self.fault(None, None, format!("a session has the impossible id {:?}", session.id));
                    }
                    sessions.push(session);
                }
                Err(error) => {
                    let session = row.text(0).ok();
                    self.fault(session.as_deref(), None, format!("its entry cannot be read: {error}"));
                }
            }
        }
        Ok(sessions)
    }

    /// What belongs to nobody.
    async fn orphans(&mut self) {
        let questions = [
            (
                "it belongs to no session",
                "SELECT session, number FROM records r WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = r.session \
                 AND r.number > s.parent_record AND r.number <= s.head_record) LIMIT $1",
            ),
            (
                "a text is kept for it, and it is not there",
                "SELECT session, number FROM uses u WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.session = u.session \
                 AND r.number = u.number) LIMIT $1",
            ),
            (
                "it names a text that is not there",
                "SELECT session, number FROM uses u WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.hash = u.hash) LIMIT $1",
            ),
            (
                "a run of it is kept, and the session is not there",
                "SELECT session, first_record FROM runs r WHERE NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = r.session \
                 AND s.deleted = 0) LIMIT $1",
            ),
        ];
        for (what, question) in questions {
            match sqlx::query(question).bind(MOST as i64).fetch_all(&mut *self.connection).await {
                Ok(rows) => {
                    for row in rows {
                        let (session, number) = (row.text(0).ok(), row.number(1).ok());
                        self.fault(session.as_deref(), number, what);
                    }
                }
                Err(error) => self.fault(None, None, format!("what belongs to nobody cannot be looked for: {error}")),
            }
        }
    }
}

/// What a link is worth that could not be followed: the one that was kept, and the one that it should have been.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    kept: Option<Hash>,
    reckoned: Option<Hash>,
}
