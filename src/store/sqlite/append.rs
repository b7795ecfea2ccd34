//! One batch into the tables: first everything that may refuse it, then everything that is written.

use std::path::Path;

use sqlx::SqliteConnection;

use super::chain::chain;
use super::fail::damaged;
use super::prepare::{Ready, Row};
use super::row::{Read, int};
use crate::protocol::SessionId;
use crate::store::{Begins, Head, Parent, RunMoved, StoreError};

/// The inner result is the batch's alone; the outer one ends the transaction.
type Outcome<T> = Result<Result<T, StoreError>, sqlx::Error>;

pub(super) async fn append(
    connection: &mut SqliteConnection,
    ready: &Ready,
    me: &str,
    file: Option<&Path>,
) -> Outcome<Head> {
    if let Err(refused) = texts_are_there(connection, ready, file).await? {
        return Ok(Err(refused));
    }
    let moved = match &ready.begins {
        Some(begins) => begin(connection, ready, begins, me).await?,
        None => go_on(connection, ready, me).await?,
    };
    if let Err(refused) = moved {
        return Ok(Err(refused));
    }
    write_texts(connection, ready).await?;
    write_records(connection, ready).await?;
    for run in &ready.runs {
        write_run(connection, ready, run, me).await?;
    }
    Ok(Ok(ready.head))
}

/// A record must not name a text that nobody has.
async fn texts_are_there(connection: &mut SqliteConnection, ready: &Ready, file: Option<&Path>) -> Outcome<()> {
    for (number, hash) in &ready.uses {
        if ready.texts.iter().any(|text| text.hash == *hash) {
            continue;
        }
        if !has_blob(connection, hash.bytes()).await? {
            let tried = format!("record what happened in session {}", ready.session);
            let what = format!("record {number} names the text {hash}, which was never kept");
            return Ok(Err(damaged(&tried, file, &what)));
        }
    }
    Ok(Ok(()))
}

pub(super) async fn has_blob(connection: &mut SqliteConnection, hash: &[u8]) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar::<_, i64>("SELECT 1 FROM blobs WHERE hash = $1").bind(hash);
    Ok(found.fetch_optional(connection).await?.is_some())
}

async fn begin(connection: &mut SqliteConnection, ready: &Ready, begins: &Begins, me: &str) -> Outcome<()> {
    if let Some(parent) = begins.parent
        && let Err(refused) = fork_point(connection, parent, ready.after).await?
    {
        return Ok(Err(refused));
    }
    let id = ready.session.to_string();
    let begun = sqlx::query(
        "INSERT INTO sessions (id, folder, title, created_at_ms, updated_at_ms, runs, parent, parent_record, \
         head_record, head_hash, writer, deleted) VALUES ($1, $2, $3, $4, $4, 0, $5, $6, $7, $8, $9, 0) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&id)
    .bind(&begins.folder)
    .bind(&begins.title)
    .bind(int(ready.at_ms))
    .bind(begins.parent.map(|parent| parent.session.to_string()))
    .bind(int(begins.parent.map_or(0, |parent| parent.record)))
    .bind(int(ready.head.record))
    .bind(ready.head.hash.bytes().as_slice())
    .bind(me)
    .execute(&mut *connection)
    .await?;
    if begun.rows_affected() == 0 {
        return Ok(Err(StoreError::Moved(ready.session)));
    }
    set_active(connection, &begins.folder, &id).await?;
    Ok(Ok(()))
}

/// Whether a session can fork there: the record is one of the parent's own or shared ones, and has that link.
async fn fork_point(connection: &mut SqliteConnection, parent: Parent, after: Head) -> Outcome<()> {
    let chain = chain(connection, parent.session).await?;
    if chain.is_empty() {
        return Ok(Err(StoreError::NoSession(parent.session)));
    }
    if parent.record == after.record
        && let Some(segment) = chain.iter().find(|segment| segment.holds(parent.record))
    {
        let row = sqlx::query("SELECT hash FROM records WHERE session = $1 AND number = $2")
            .bind(&segment.session)
            .bind(int(parent.record))
            .fetch_optional(connection)
            .await?;
        if row.map(|row| row.hash(0)).transpose()? == Some(after.hash) {
            return Ok(Ok(()));
        }
    }
    Ok(Err(StoreError::NoRecord { session: parent.session, record: parent.record }))
}

async fn go_on(connection: &mut SqliteConnection, ready: &Ready, me: &str) -> Outcome<()> {
    let moved = sqlx::query(
        "UPDATE sessions SET head_record = $1, head_hash = $2, updated_at_ms = $3, writer = $4 \
         WHERE id = $5 AND head_record = $6 AND head_hash = $7 AND deleted = 0",
    )
    .bind(int(ready.head.record))
    .bind(ready.head.hash.bytes().as_slice())
    .bind(int(ready.at_ms))
    .bind(me)
    .bind(ready.session.to_string())
    .bind(int(ready.after.record))
    .bind(ready.after.hash.bytes().as_slice())
    .execute(&mut *connection)
    .await?;
    if moved.rows_affected() == 1 {
        return Ok(Ok(()));
    }
    let there = exists(connection, ready.session).await?;
    Ok(Err(if there { StoreError::Moved(ready.session) } else { StoreError::NoSession(ready.session) }))
}

pub(super) async fn exists(connection: &mut SqliteConnection, session: SessionId) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar::<_, i64>("SELECT 1 FROM sessions WHERE id = $1 AND deleted = 0");
    Ok(found.bind(session.to_string()).fetch_optional(connection).await?.is_some())
}

pub(super) async fn set_active(
    connection: &mut SqliteConnection,
    folder: &str,
    session: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO active (folder, session) VALUES ($1, $2) \
         ON CONFLICT (folder) DO UPDATE SET session = excluded.session",
    )
    .bind(folder)
    .bind(session)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_texts(connection: &mut SqliteConnection, ready: &Ready) -> Result<(), sqlx::Error> {
    for text in &ready.texts {
        let hash = text.hash.bytes().as_slice();
        let again;
        let packed = match &text.packed {
            Some(packed) => packed,
            // It looked as if it were there, and a deletion may have taken it since.
            None if has_blob(connection, hash).await? => continue,
            None => {
                again = super::blob::pack(&text.text)?;
                &again
            }
        };
        sqlx::query(
            "INSERT INTO blobs (hash, size, packed_hash, content) VALUES ($1, $2, $3, $4) ON CONFLICT (hash) DO NOTHING",
        )
        .bind(hash)
        .bind(int(text.text.len() as u64))
        .bind(packed.hash.bytes().as_slice())
        .bind(packed.content.as_slice())
        .execute(&mut *connection)
        .await?;
    }
    let session = ready.session.to_string();
    for (number, hash) in &ready.uses {
        sqlx::query("INSERT INTO uses (session, number, hash) VALUES ($1, $2, $3)")
            .bind(&session)
            .bind(int(*number))
            .bind(hash.bytes().as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn write_records(connection: &mut SqliteConnection, ready: &Ready) -> Result<(), sqlx::Error> {
    let session = ready.session.to_string();
    for Row { number, kind, run, sequence, stored, body_hash, hash, body } in &ready.rows {
        sqlx::query(
            "INSERT INTO records (session, number, at_ms, kind, run, sequence, stored, body_hash, hash, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&session)
        .bind(int(*number))
        .bind(int(ready.at_ms))
        .bind(*kind)
        .bind(run)
        .bind(int(*sequence))
        .bind(*stored)
        .bind(body_hash.bytes().as_slice())
        .bind(hash.bytes().as_slice())
        .bind(body.as_slice())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn write_run(
    connection: &mut SqliteConnection,
    ready: &Ready,
    moved: &RunMoved,
    me: &str,
) -> Result<(), sqlx::Error> {
    let session = ready.session.to_string();
    let run = moved.snapshot.id.to_string();
    let snapshot = serde_json::to_string(&moved.snapshot).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let known = sqlx::query(
        "UPDATE runs SET snapshot = $1, finished = $2, events = $3, reserved = $4, last_record = $5, owner = $6 \
         WHERE session = $7 AND run = $8",
    )
    .bind(&snapshot)
    .bind(i64::from(moved.snapshot.status.is_final()))
    .bind(int(moved.snapshot.event_count))
    .bind(int(moved.reserved))
    .bind(int(ready.head.record))
    .bind(me)
    .bind(&session)
    .bind(&run)
    .execute(&mut *connection)
    .await?;
    if known.rows_affected() == 1 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO runs (session, run, snapshot, finished, events, reserved, first_record, last_record, owner) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&session)
    .bind(&run)
    .bind(&snapshot)
    .bind(i64::from(moved.snapshot.status.is_final()))
    .bind(int(moved.snapshot.event_count))
    .bind(int(moved.reserved))
    .bind(int(ready.after.record + 1))
    .bind(int(ready.head.record))
    .bind(me)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE sessions SET runs = runs + 1 WHERE id = $1").bind(&session).execute(connection).await?;
    Ok(())
}
