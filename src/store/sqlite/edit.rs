//! Small changes of a session, beside its records.

use sqlx::SqliteConnection;

use super::append;
use super::row::Read;
use crate::protocol::SessionId;
use crate::store::StoreError;

pub(super) async fn set_active(
    connection: &mut SqliteConnection,
    session: SessionId,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let id = session.to_string();
    let row = sqlx::query("SELECT folder FROM sessions WHERE id = $1 AND deleted = 0")
        .bind(&id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(Err(StoreError::NoSession(session))) };
    append::set_active(connection, &row.text(0)?, &id).await?;
    Ok(Ok(()))
}

pub(super) async fn rename(
    connection: &mut SqliteConnection,
    session: SessionId,
    title: &str,
) -> Result<Result<(), StoreError>, sqlx::Error> {
    let renamed = sqlx::query("UPDATE sessions SET title = $1 WHERE id = $2 AND deleted = 0")
        .bind(title)
        .bind(session.to_string())
        .execute(connection)
        .await?;
    Ok(if renamed.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NoSession(session)) })
}
