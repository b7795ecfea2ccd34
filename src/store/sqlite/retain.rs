//! Retention: old events lose their bodies and keep their place in the chain; old runs are forgotten.

use sqlx::SqliteConnection;

use super::row::{Read, int};
use crate::protocol::SessionId;
use crate::store::{Hash, Keep};

pub(super) async fn retain(
    connection: &mut SqliteConnection,
    session: SessionId,
    keep: Keep,
) -> Result<(), sqlx::Error> {
    let id = session.to_string();
    let most = int(keep.events_per_run as u64);
    let finished = "SELECT run FROM runs WHERE session = $1 AND finished = 1 ORDER BY run DESC LIMIT $2 OFFSET $3";
    let old =
        sqlx::query(finished).bind(&id).bind(i64::MAX).bind(int(keep.runs as u64)).fetch_all(&mut *connection).await?;
    for row in old {
        let run = row.text(0)?;
        prune(connection, &id, &run, i64::MAX).await?;
        sqlx::query("DELETE FROM runs WHERE session = $1 AND run = $2")
            .bind(&id)
            .bind(&run)
            .execute(&mut *connection)
            .await?;
    }
    // Stored events are merged, so there are never more of them than were told.
    let long = "SELECT run FROM runs WHERE session = $1 AND finished = 1 AND events > $2";
    for row in sqlx::query(long).bind(&id).bind(most).fetch_all(&mut *connection).await? {
        let run = row.text(0)?;
        let first_kept = sqlx::query(
            "SELECT sequence FROM records WHERE session = $1 AND run = $2 AND kind = 'event' AND stored <> 2 \
             ORDER BY sequence DESC LIMIT 1 OFFSET $3",
        )
        .bind(&id)
        .bind(&run)
        .bind(most)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(newest_dropped) = first_kept {
            prune(connection, &id, &run, int(newest_dropped.number(0)?)).await?;
        }
    }
    Ok(())
}

/// Drops the bodies of a run's events up to a number.
async fn prune(connection: &mut SqliteConnection, id: &str, run: &str, up_to: i64) -> Result<(), sqlx::Error> {
    let freed = sqlx::query(
        "DELETE FROM uses WHERE session = $1 AND number IN (SELECT number FROM records WHERE session = $1 \
         AND run = $2 AND kind = 'event' AND stored <> 2 AND sequence <= $3) RETURNING hash",
    )
    .bind(id)
    .bind(run)
    .bind(up_to)
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE records SET stored = 2, sequence = 0, body = $4 WHERE session = $1 AND run = $2 AND kind = 'event' \
         AND stored <> 2 AND sequence <= $3",
    )
    .bind(id)
    .bind(run)
    .bind(up_to)
    .bind([].as_slice())
    .execute(&mut *connection)
    .await?;
    for row in freed {
        let hash: Hash = row.hash(0)?;
        sqlx::query("DELETE FROM blobs WHERE hash = $1 AND NOT EXISTS (SELECT 1 FROM uses WHERE hash = $1)")
            .bind(hash.bytes().as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
