//! The database: SQLite through sqlx. `docs/store.md` says what stands in it.

mod append;
mod blob;
mod bundle;
mod chain;
mod connection;
mod delete;
mod edit;
mod fail;
mod files;
mod index;
mod lone;
mod open;
mod owners;
mod prepare;
mod reads;
mod recall;
mod retain;
mod row;
mod tidy;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};

use self::append::has_blob;
use self::connection::{Lane, Place};
use self::fail::failed;
use self::index::Index;
use self::open::Opened;
use self::owners::Process;
use self::prepare::{Ready, prepare};
use self::reads::Reader;
use self::writer::Writer;
use super::{Batch, Hash, Head, Keep, Report, SessionRow, Standing, Store, StoreError, Stored, StoredRun, Tidied};
use crate::context::recall::{Found, Query};
use crate::crash;
use crate::protocol::{Envelope, RunId, SessionId};

/// The largest file that is written anew whenever something is deleted.
const REWRITTEN: u64 = 32 * 1024 * 1024;

/// Packing less than this takes no time worth a thread of its own.
const LARGE: usize = 64 * 1024;

/// Sessions in one database file.
#[derive(Debug)]
pub struct Sqlite {
    place: Arc<Place>,
    me: Arc<Process>,
    writer: Writer,
    /// The writer's connection, for what is not appended.
    write: Lane,
    /// Another one, so that reading waits for nobody. In memory there is only one.
    read: Lane,
    /// What searches begin with.
    index: Index,
}

/// Why there is no database. Each sentence names the file and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

impl Sqlite {
    /// The database `sessions.db` of a state folder that is there and private. With it comes a sentence for the person
    /// when a damaged file was moved aside.
    ///
    /// # Errors
    /// When it cannot be opened, belongs to somebody else, or was written by a newer version.
    pub async fn open(folder: &Path) -> Result<(Self, Option<String>), OpenError> {
        let mut opened = open::open(folder, connection::PATIENCE, true).await?;
        let notice = opened.notice.take();
        Ok((Self::over(opened), notice))
    }

    /// The same, but a damaged file stays where it is and is an error: for looking at it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open_as_it_is(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self::over(open::open(folder, connection::PATIENCE, false).await?))
    }

    /// A database that ends with the process.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub async fn in_memory() -> Result<Self, OpenError> {
        Ok(Self::over(open::in_memory().await?))
    }

    fn over(opened: Opened) -> Self {
        let place = Arc::new(opened.place);
        let me = Arc::new(Process::this());
        let write = Lane::writing(place.clone(), opened.write);
        let read = if place.path().is_some() { Lane::reading(place.clone(), opened.read) } else { write.clone() };
        let writer = Writer::start(write.clone(), me.clone());
        let index = Index::beside(&place);
        Self { place, me, writer, write, read, index }
    }

    /// One question, in one transaction, so that the answers to its parts fit together.
    async fn ask<T>(
        &self,
        tried: String,
        question: impl AsyncFnOnce(&mut Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let file = self.place.path();
        let answer = async {
            let no = |error| failed(&tried, file, &error);
            let mut connection = self.read.take().await.map_err(no)?;
            let mut transaction = connection.begin().await.map_err(no)?;
            let mut reader = Reader { connection: &mut transaction, me: &self.me, file, tried: &tried };
            question(&mut reader).await
        };
        let answer = answer.await;
        if matches!(answer, Err(StoreError::Failed(_))) {
            self.read.renew().await;
        }
        answer
    }

    /// One change beside the appended batches, whole or not at all.
    async fn change<T>(
        &self,
        tried: String,
        change: impl AsyncFnOnce(&mut SqliteConnection) -> Result<Result<T, StoreError>, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let changed = async {
            let mut connection = self.write.take().await?;
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let outcome = change(&mut transaction).await?;
            if outcome.is_ok() {
                transaction.commit().await?;
            }
            Ok(outcome)
        };
        match changed.await {
            Ok(outcome) => outcome,
            Err(error) => {
                self.write.renew().await;
                Err(failed(&tried, self.place.path(), &error))
            }
        }
    }

    /// Something on the writer's connection that is no transaction.
    async fn plain<T>(
        &self,
        tried: &str,
        work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let done = async { work(&mut *self.write.take().await?).await };
        match done.await {
            Ok(done) => Ok(done),
            Err(error) => {
                self.write.renew().await;
                Err(failed(tried, self.place.path(), &error))
            }
        }
    }

    /// Sees to it that what was deleted stands in no file.
    async fn wipe(&self, tried: &str) -> Result<(), StoreError> {
        if !self.durable() {
            return Ok(());
        }
        // Writing a large file anew would hold up every other process for long; there what was deleted is overwritten in its
        // pages, and the next tidying up does the rest.
        let small = tidy::size(self.place.path()) <= REWRITTEN;
        let wiped = self.plain(tried, async |connection| {
            if small {
                tidy::rewrite(connection).await?;
            }
            tidy::empty_log(connection).await
        });
        let why = match wiped.await {
            Ok(true) => return Ok(()),
            Ok(false) => "another program reads the file".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(StoreError::Failed(format!(
            "could not finish to {tried} in {}: it is done, but traces of what was deleted may still stand in the file \
             ({why}); run `cowrite sessions gc` when that is over",
            fail::shown(self.place.path())
        )))
    }

    /// Packs the texts that are not there yet.
    async fn pack(&self, mut ready: Ready) -> Result<Ready, StoreError> {
        let tried = format!("record what happened in session {}", ready.session);
        let no = |error: sqlx::Error| failed(&tried, self.place.path(), &error);
        let mut large = false;
        if ready.texts.is_empty() {
            return Ok(ready);
        }
        let mut new = Vec::with_capacity(ready.texts.len());
        {
            // While somebody reads for long, packing a text that is there already costs less than waiting.
            let mut connection = self.read.try_take();
            for text in &ready.texts {
                new.push(match &mut connection {
                    Some(connection) => !has_blob(connection, text.hash.bytes()).await.map_err(no)?,
                    None => true,
                });
                large |= text.text.len() > LARGE;
            }
        }
        let pack = move || {
            for (text, _) in ready.texts.iter_mut().zip(new).filter(|(_, new)| *new) {
                text.pack()?;
            }
            Ok(ready)
        };
        let packed = if large {
            tokio::task::spawn_blocking(pack)
                .await
                .unwrap_or_else(|error| Err(std::io::Error::other(crash::why(&error))))
        } else {
            pack()
        };
        packed.map_err(|error| no(sqlx::Error::Io(error)))
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn append(&self, batch: Batch) -> Result<Head, StoreError> {
        let session = batch.session;
        let ready = prepare(batch).map_err(|error| {
            StoreError::Failed(format!("could not write down what happened in session {session}: {error}"))
        })?;
        let ready = self.pack(ready).await?;
        self.writer.append(ready).await
    }

    async fn session(&self, session: SessionId) -> Result<Option<Standing>, StoreError> {
        self.ask(format!("read session {session}"), async |reader| reader.session(session).await).await
    }

    async fn sessions(&self, folder: Option<&str>) -> Result<Vec<SessionRow>, StoreError> {
        self.ask("list the sessions".to_owned(), async |reader| reader.sessions(folder).await).await
    }

    async fn active(&self, folder: &str) -> Result<Option<SessionId>, StoreError> {
        self.ask(format!("find the session of {folder}"), async |reader| reader.active(folder).await).await
    }

    async fn set_active(&self, session: SessionId) -> Result<(), StoreError> {
        self.change(format!("go on with session {session}"), async |connection| {
            edit::set_active(connection, session).await
        })
        .await
    }

    async fn rename(&self, session: SessionId, title: &str) -> Result<(), StoreError> {
        self.change(format!("rename session {session}"), async |connection| {
            edit::rename(connection, session, title).await
        })
        .await
    }

    async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        let tried = format!("delete session {session}");
        self.change(tried.clone(), async |connection| delete::delete(connection, session).await).await?;
        let swept = self.sweep(&tried, false).await;
        self.wipe(&tried).await.and(swept)
    }

    async fn resume(&self, session: SessionId) -> Result<(Standing, Vec<Stored>), StoreError> {
        self.ask(format!("read session {session}"), async |reader| reader.resume(session).await).await
    }

    async fn records(&self, session: SessionId, numbers: RangeInclusive<u64>) -> Result<Vec<Stored>, StoreError> {
        self.ask(format!("read session {session}"), async |reader| reader.records(session, numbers).await).await
    }

    async fn runs(&self, session: SessionId, most: usize) -> Result<Vec<StoredRun>, StoreError> {
        self.ask(format!("read the runs of session {session}"), async |reader| reader.runs(session, most).await).await
    }

    async fn run(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.ask(format!("read run {run}"), async |reader| reader.run(run).await).await
    }

    async fn events(&self, session: SessionId, run: Option<RunId>, after: u64) -> Result<Vec<Envelope>, StoreError> {
        let tried = match run {
            Some(run) => format!("read the events of run {run}"),
            None => format!("read the events of session {session}"),
        };
        self.ask(tried, async |reader| reader.events(session, run, after).await).await
    }

    async fn changes(&self, session: SessionId, run: RunId) -> Result<Vec<Stored>, StoreError> {
        self.ask(format!("read what run {run} changed"), async |reader| reader.changes(session, run).await).await
    }

    async fn content(&self, hash: Hash) -> Result<Vec<u8>, StoreError> {
        self.ask(format!("read the text {hash}"), async |reader| reader.content(hash).await).await
    }

    async fn search(&self, session: SessionId, query: &str, most: usize) -> Result<Vec<Found>, StoreError> {
        self.find(session, &Query::new(query), most).await
    }

    async fn retain(&self, session: SessionId, keep: Keep) -> Result<(), StoreError> {
        self.change(format!("drop old events of session {session}"), async |connection| {
            retain::retain(connection, session, keep).await.map(Ok)
        })
        .await
    }

    async fn verify(&self) -> Result<Report, StoreError> {
        // A connection of its own: a walk takes long, and nobody is to wait for it.
        let lane = if self.durable() { Lane::reading(self.place.clone(), None) } else { self.write.clone() };
        let walk = async {
            let mut connection = lane.take().await?;
            let mut transaction = connection.begin().await?;
            verify::verify(&mut transaction).await
        };
        let report = walk.await.map_err(|error| failed("look through the stored sessions", self.place.path(), &error));
        lane.close().await;
        report
    }

    async fn tidy(&self) -> Result<Tidied, StoreError> {
        let tried = "tidy up".to_owned();
        let before = tidy::size(self.place.path());
        let mut tidied =
            self.change(tried.clone(), async |connection| tidy::tidy(connection, &self.me).await.map(Ok)).await?;
        let all_full = tidied == Tidied::default()
            && !self.plain(&tried, async |connection| tidy::has_room(connection).await).await?;
        if !all_full {
            self.wipe(&tried).await?;
        }
        self.sweep(&tried, true).await?;
        tidied.bytes = before.saturating_sub(tidy::size(self.place.path()));
        Ok(tidied)
    }

    async fn close(&self) {
        // The one that writes goes last: it folds the log into the file.
        self.read.close().await;
        self.index.close().await;
        self.writer.close().await;
    }

    fn durable(&self) -> bool {
        self.place.path().is_some()
    }

    fn file(&self) -> Option<PathBuf> {
        self.place.path().map(Path::to_owned)
    }
}
