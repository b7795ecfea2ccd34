//! Cleaning up: what nothing needs goes, and the room is given back.

use std::path::Path;

use sqlx::SqliteConnection;

use super::delete::{drop_unused, shrink};
use super::owners::{Owners, Process, forget};
use super::row::Read;
use crate::store::Tidied;

/// The rows; the room they took is given back by [`rewrite`].
pub(super) async fn tidy(connection: &mut SqliteConnection, me: &Process) -> Result<Tidied, sqlx::Error> {
    let owners = Owners::read(connection, me).await?;
    for id in owners.gone() {
        forget(connection, id).await?;
    }
    let mut tidied = Tidied::default();
    let unneeded = "SELECT id FROM sessions d WHERE deleted = 1 \
        AND NOT EXISTS (SELECT 1 FROM sessions f WHERE f.parent = d.id)";
    for row in sqlx::query(unneeded).fetch_all(&mut *connection).await? {
        tidied.sessions += shrink(connection, row.text(0)?).await?;
    }
    tidied.contents = drop_unused(connection).await?;
    Ok(tidied)
}

/// Writes the whole file anew, as small as what it holds. Only this takes out for certain what was deleted: a page whose
/// rows were moved to another keeps their bytes where nothing stands any more.
pub(super) async fn rewrite(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("VACUUM").execute(connection).await?;
    Ok(())
}

/// Whether there are pages in the file that hold nothing.
pub(super) async fn has_room(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query("PRAGMA freelist_count").fetch_one(connection).await?.number(0)? > 0)
}

/// Writes the log beside the database into it and empties the log: what was deleted then stands in neither. Says whether
/// it could; somebody who keeps reading keeps the log.
pub(super) async fn empty_log(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(connection).await?;
    Ok(row.number(0)? == 0)
}

/// The size of the database file, 0 where there is none.
pub(super) fn size(file: Option<&Path>) -> u64 {
    file.and_then(|file| std::fs::metadata(file).ok()).map_or(0, |file| file.len())
}
