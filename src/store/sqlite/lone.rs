//! The batch that a session writes all day, some records behind its head, in one word to the database: each word goes to
//! its thread and back, and four of them would take longer than the disk.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::append::exists;
use super::prepare::{Ready, Row};
use super::row::int;
use crate::store::{Head, StoreError};

/// Longer batches are rare, and gain little.
const RECORDS: usize = 8;

/// The values of the head, of a run, and of each record: what the texts below count with.
const HEAD: usize = 7;
const RUN: usize = 6;
const RECORD: usize = 8;

/// Whether a batch is of that kind. `live` says which runs are in the table.
pub(super) fn is_plain(ready: &Ready, live: impl Fn(&crate::store::RunMoved) -> bool) -> bool {
    ready.begins.is_none()
        && ready.texts.is_empty()
        && ready.uses.is_empty()
        && ready.rows.len() <= RECORDS
        && ready.runs.len() <= 1
        && ready.runs.iter().all(live)
}

/// Writes it. An error leaves nothing of it behind.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    ready: &Ready,
    me: &str,
) -> Result<Result<Head, StoreError>, sqlx::Error> {
    let moved = match write(connection, ready, me).await {
        Ok(moved) => moved,
        Err(error) => {
            // It fails where nothing was begun.
            let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
            return Err(error);
        }
    };
    if moved {
        return Ok(Ok(ready.head));
    }
    let there = exists(connection, ready.session).await?;
    Ok(Err(if there { StoreError::Moved(ready.session) } else { StoreError::NoSession(ready.session) }))
}

/// Whether the head was where the batch goes on. Only then is anything else written.
async fn write(connection: &mut SqliteConnection, ready: &Ready, me: &str) -> Result<bool, sqlx::Error> {
    let mut query = sqlx::query(AssertSqlSafe(sql(ready.rows.len(), ready.runs.len())))
        .bind(ready.session.to_string())
        .bind(int(ready.head.record))
        .bind(ready.head.hash.bytes().as_slice())
        .bind(int(ready.at_ms))
        .bind(me)
        .bind(int(ready.after.record))
        .bind(ready.after.hash.bytes().as_slice());
    for moved in &ready.runs {
        let snapshot = serde_json::to_string(&moved.snapshot).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        query = query
            .bind(snapshot)
            .bind(i64::from(moved.snapshot.status.is_final()))
            .bind(int(moved.snapshot.event_count))
            .bind(int(moved.reserved))
            .bind(moved.snapshot.id.to_string())
            .bind(int(ready.head.record));
    }
    for Row { number, kind, run, sequence, stored, body_hash, hash, body } in &ready.rows {
        query = query
            .bind(int(*number))
            .bind(*kind)
            .bind(run)
            .bind(int(*sequence))
            .bind(*stored)
            .bind(body_hash.bytes().as_slice())
            .bind(hash.bytes().as_slice())
            .bind(body.as_slice());
    }
    Ok(!query.fetch_all(connection).await?.is_empty())
}

/// The text for so many records and runs. There are few different ones, so each is prepared once.
fn sql(records: usize, runs: usize) -> String {
    let mut sql = String::from(
        "BEGIN IMMEDIATE; UPDATE sessions SET head_record = $2, head_hash = $3, updated_at_ms = $4, writer = $5 \
         WHERE id = $1 AND head_record = $6 AND head_hash = $7 AND deleted = 0 RETURNING 1;",
    );
    const MOVED: &str = "FROM sessions WHERE id = $1 AND head_record = $2 AND head_hash = $3";
    let mut last = HEAD;
    for _ in 0..runs {
        let [snapshot, finished, events, reserved, run, record] = numbered::<RUN>(&mut last);
        let _ = write!(
            sql,
            " UPDATE runs SET snapshot = ${snapshot}, finished = ${finished}, events = ${events}, \
             reserved = ${reserved}, last_record = ${record}, owner = $5 \
             WHERE session = $1 AND run = ${run} AND EXISTS (SELECT 1 {MOVED});"
        );
    }
    for _ in 0..records {
        let [number, kind, run, sequence, stored, body_hash, hash, body] = numbered::<RECORD>(&mut last);
        let _ = write!(
            sql,
            " INSERT INTO records (session, number, at_ms, kind, run, sequence, stored, body_hash, hash, body) \
             SELECT $1, ${number}, $4, ${kind}, ${run}, ${sequence}, ${stored}, ${body_hash}, ${hash}, ${body} {MOVED};"
        );
    }
    sql.push_str(" COMMIT;");
    sql
}

/// The next numbers of values.
fn numbered<const N: usize>(last: &mut usize) -> [usize; N] {
    let first = *last + 1;
    *last += N;
    std::array::from_fn(|index| first + index)
}
