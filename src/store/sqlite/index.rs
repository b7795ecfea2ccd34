//! The index beside the sessions: which entry of which session holds which trigrams. `index.sql` says what is in it, and
//! why in a file of its own.
//!
//! Whoever writes to it takes its lock first and looks at the sessions then. So whoever deletes a session first deletes it and
//! looks at the index then, and nothing of it comes back: not from another process that is filling the index, either.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Connection as _, SqliteConnection};

use super::connection::{Lane, Place};
use super::fail::Cause;
use super::files;
use super::row::{Read as _, int};
use super::tidy;
use crate::store::{Hash, StoreError};

/// Its name beside the sessions.
pub(super) const NAME: &str = "search.db";

/// Candidates that are named at a time.
pub(super) const CANDIDATES: usize = 64;

/// The index, opened when it is first needed.
#[derive(Debug)]
pub(super) struct Index {
    lane: Lane,
    file: Option<PathBuf>,
    /// Whether it was looked through since this process knows it.
    looked_through: AtomicBool,
}

/// How far a session is in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    slot: u64,
    /// All up to this record is in it.
    pub(super) upto: u64,
    /// That record's link.
    pub(super) link: Hash,
}

/// What stands in the way of the index.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The index itself.
    Index(sqlx::Error),
    /// The sessions that it is made from.
    Sessions(StoreError),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Index(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Sessions(error)
    }
}

impl Index {
    /// The one that belongs to a database.
    pub(super) fn beside(place: &Place) -> Self {
        let file = place.path().map(|path| path.with_file_name(NAME));
        Self {
            lane: Lane::writing(Arc::new(place.index(file.as_deref())), None),
            file,
            looked_through: AtomicBool::new(false),
        }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether anything was ever searched for.
    pub(super) fn is_there(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.exists())
    }

    /// How far a session is in it.
    pub(super) async fn known(&self, session: &str) -> Result<Option<Known>, Trouble> {
        self.use_it(async |connection| known(connection, session).await).await
    }

    /// Something in one transaction. Others who would write wait meanwhile.
    pub(super) async fn change<T>(
        &self,
        change: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.use_it(async |connection| {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let changed = change(&mut transaction).await?;
            transaction.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Records of a session that hold these trigrams: of those above `low` and below `before` the newest, newest first.
    pub(super) async fn candidates(
        &self,
        known: Known,
        low: u64,
        before: u64,
        trigrams: &str,
    ) -> Result<Vec<u64>, Trouble> {
        self.use_it(async |connection| {
            let rows = sqlx::query(
                "SELECT rowid FROM entries WHERE entries MATCH $1 AND rowid > $2 AND rowid < $3 \
                 ORDER BY rowid DESC LIMIT $4",
            )
            .bind(trigrams)
            .bind(known.entry(low))
            .bind(known.entry(before))
            .bind(int(CANDIDATES as u64))
            .fetch_all(connection)
            .await?;
            rows.iter().map(|row| Ok(row.number(0)? & u64::from(u32::MAX))).collect()
        })
        .await
    }

    /// Gives the room of what was deleted back, so that it stands nowhere in the file.
    pub(super) async fn rewrite(&self) -> Result<(), Trouble> {
        self.use_it(async |connection| {
            if tidy::has_room(connection).await? {
                tidy::rewrite(connection).await?;
            }
            Ok(())
        })
        .await
    }

    /// Throws away an index that cannot be used any more, and lets go of a connection that has failed.
    pub(super) async fn mend(&self, error: &sqlx::Error) {
        let cause = Cause::of(error);
        tracing::warn!(file = ?self.file, %error, ?cause, "the search index cannot be used");
        self.lane.close().await;
        // A file that is locked, full or not to be written is no better when it is new.
        if matches!(cause, Cause::Damaged | Cause::Other) {
            self.throw_away().await;
        }
    }

    /// Begins a new one with the next search.
    pub(super) async fn throw_away(&self) {
        self.lane.close().await;
        if let Some(file) = &self.file
            && let Err(error) = files::remove(file)
        {
            tracing::warn!(file = %file.display(), %error, "the search index could not be thrown away");
        }
    }

    /// Whether it holds what was written. Some damage makes no error, and then the index names nothing: so that nothing was
    /// found is only believed after a look, and once in a process after a long one.
    pub(super) async fn is_sound(&self) -> bool {
        let looked = self.use_it(async |connection| {
            let nobodys = sqlx::query("SELECT rowid FROM entries WHERE entries MATCH '\"###\"' AND rowid = 0");
            if nobodys.fetch_optional(&mut *connection).await?.is_none() {
                return Ok("it has lost what it held".to_owned());
            }
            if self.looked_through.load(Ordering::Relaxed) {
                return Ok("ok".to_owned());
            }
            Ok(sqlx::query("PRAGMA integrity_check(1)").fetch_one(connection).await?.text(0)?)
        });
        let sound = match looked.await {
            Ok(said) if said == "ok" => true,
            said => {
                tracing::warn!(file = ?self.file, ?said, "the search index is damaged");
                false
            }
        };
        self.looked_through.store(true, Ordering::Relaxed);
        sound
    }

    pub(super) async fn close(&self) {
        self.lane.close().await;
    }

    async fn use_it<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if let Some(file) = &self.file {
            files::prepare_file(file).map_err(|error| sqlx::Error::Io(std::io::Error::other(error.to_string())))?;
        }
        let mut connection = self.lane.take().await?;
        work(&mut connection).await
    }
}

impl Known {
    /// The number of a record's entry.
    fn entry(self, record: u64) -> i64 {
        int((self.slot << 32) + record.min(u64::from(u32::MAX)))
    }
}

/// How far a session is.
pub(super) async fn known(connection: &mut SqliteConnection, session: &str) -> Result<Option<Known>, Trouble> {
    let row = sqlx::query("SELECT slot, upto, link FROM indexed WHERE session = $1")
        .bind(session)
        .fetch_optional(connection)
        .await?;
    Ok(match row {
        Some(row) => Some(Known { slot: row.number(0)?, upto: row.number(1)?, link: row.hash(2)? }),
        None => None,
    })
}

/// Every session that is in it.
pub(super) async fn all(connection: &mut SqliteConnection) -> Result<Vec<(String, Known)>, Trouble> {
    let rows = sqlx::query("SELECT session, slot, upto, link FROM indexed").fetch_all(connection).await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?, Known { slot: row.number(1)?, upto: row.number(2)?, link: row.hash(3)? })))
        .collect()
}

/// Adds the entries of a session up to a record; `words` are those of each entry, by its record.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    session: &str,
    before: Option<Known>,
    words: &[(u64, String)],
    upto: u64,
    link: Hash,
) -> Result<Known, Trouble> {
    let slot = match before {
        Some(known) => known.slot,
        None => {
            let next = sqlx::query("SELECT COALESCE(max(slot), 0) + 1 FROM indexed");
            next.fetch_one(&mut *connection).await?.number(0)?
        }
    };
    let known = Known { slot, upto, link };
    for (record, words) in words {
        sqlx::query("INSERT INTO entries (rowid, words) VALUES ($1, $2)")
            .bind(known.entry(*record))
            .bind(words)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(
        "INSERT INTO indexed (session, slot, upto, link) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (session) DO UPDATE SET upto = excluded.upto, link = excluded.link",
    )
    .bind(session)
    .bind(int(slot))
    .bind(int(upto))
    .bind(link.bytes().as_slice())
    .execute(connection)
    .await?;
    Ok(known)
}

/// Takes a session out. What its entries held is gone only after [`purge`].
pub(super) async fn remove(connection: &mut SqliteConnection, session: &str, known: Known) -> Result<(), Trouble> {
    sqlx::query("DELETE FROM entries WHERE rowid >= $1 AND rowid <= $2")
        .bind(known.entry(0))
        .bind(known.entry(u64::MAX))
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM indexed WHERE session = $1").bind(session).execute(connection).await?;
    Ok(())
}

/// Deleting an entry only notes that it is gone; its trigrams stay until the index is merged into one piece.
pub(super) async fn purge(connection: &mut SqliteConnection) -> Result<(), Trouble> {
    sqlx::query("INSERT INTO entries (entries) VALUES ('optimize')").execute(connection).await?;
    Ok(())
}
