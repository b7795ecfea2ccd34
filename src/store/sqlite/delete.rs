//! Deleting, and what may go only when the last fork is gone.

use sqlx::SqliteConnection;

use super::append::exists;
use super::chain::link;
use super::row::{Read, int};
use crate::protocol::SessionId;
use crate::store::StoreError;

/// Takes a session out. Where forks share its records, it becomes a tombstone: nobody sees it, and what no fork needs
/// goes at once.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    session: SessionId,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    if !exists(connection, session).await? {
        return Ok(Err(StoreError::NoSession(session)));
    }
    let id = session.to_string();
    for statement in ["DELETE FROM active WHERE session = $1", "DELETE FROM runs WHERE session = $1"] {
        sqlx::query(statement).bind(&id).execute(&mut *connection).await?;
    }
    sqlx::query("UPDATE sessions SET deleted = 1, folder = '', title = '', writer = '', runs = 0 WHERE id = $1")
        .bind(&id)
        .execute(&mut *connection)
        .await?;
    shrink(connection, id).await?;
    drop_unused(connection).await?;
    Ok(Ok(()))
}

/// Cuts a tombstone down to what its forks need, and takes it out when there are none; then its parent's turn may come.
/// Says how many tombstones went.
pub(super) async fn shrink(connection: &mut SqliteConnection, mut id: String) -> Result<u64, sqlx::Error> {
    let mut gone = 0;
    loop {
        let row = sqlx::query("SELECT max(parent_record) FROM sessions WHERE parent = $1")
            .bind(&id)
            .fetch_one(&mut *connection)
            .await?;
        if !row.is_null(0)? {
            cut(connection, &id, row.number(0)?).await?;
            return Ok(gone);
        }
        cut_records(connection, &id, 0).await?;
        let parent = sqlx::query(
            "SELECT p.id FROM sessions s JOIN sessions p ON p.id = s.parent WHERE s.id = $1 AND p.deleted = 1",
        )
        .bind(&id)
        .fetch_optional(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM sessions WHERE id = $1").bind(&id).execute(&mut *connection).await?;
        gone += 1;
        match parent {
            Some(parent) => id = parent.text(0)?,
            None => return Ok(gone),
        }
    }
}

/// Ends a tombstone behind the last record that a fork needs.
async fn cut(connection: &mut SqliteConnection, id: &str, needed: u64) -> Result<(), sqlx::Error> {
    cut_records(connection, id, needed).await?;
    let row =
        sqlx::query("SELECT parent_record FROM sessions WHERE id = $1").bind(id).fetch_one(&mut *connection).await?;
    // A fork may go on from a record before the first of its own.
    let head = needed.max(row.number(0)?);
    let hash = link(connection, id, head).await?;
    sqlx::query("UPDATE sessions SET head_record = $1, head_hash = $2 WHERE id = $3")
        .bind(int(head))
        .bind(hash.bytes().as_slice())
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

async fn cut_records(connection: &mut SqliteConnection, id: &str, behind: u64) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM uses WHERE session = $1 AND number > $2",
        "DELETE FROM records WHERE session = $1 AND number > $2",
    ] {
        sqlx::query(statement).bind(id).bind(int(behind)).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Takes out the texts that no record needs; says how many.
pub(super) async fn drop_unused(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let dropped = sqlx::query("DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM uses WHERE uses.hash = blobs.hash)");
    Ok(dropped.execute(connection).await?.rows_affected())
}
