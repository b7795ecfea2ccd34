//! Connections: how each is set up, and lanes, which keep one for many callers.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::migrate::{Migrate as _, MigrateError, Migration, MigrationType};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqlSafeStr, SqliteConnection};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

/// How long a connection waits for another process.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Each step from nothing to the tables of today. A step that was published is never changed.
const STEPS: &[(i64, &str, &str)] = &[(1, "sessions", include_str!("migrations/0001_sessions.sql"))];

/// What connections are set to.
const READING: &str = include_str!("reading.sql");
const WRITING: &str = include_str!("writing.sql");
const INDEX: &str = include_str!("index.sql");

/// Where sqlx notes which steps were taken.
const LEDGER: &str = "_sqlx_migrations";

/// Where the database is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    file: Option<PathBuf>,
    options: SqliteConnectOptions,
    /// What a connection that writes is set to besides.
    writing: &'static str,
}

impl Place {
    pub(super) fn file(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE).disable_statement_logging();
        Self { file: Some(path.to_owned()), options, writing: WRITING }
    }

    pub(super) fn memory() -> Self {
        let options = SqliteConnectOptions::new().filename(":memory:").in_memory(true).disable_statement_logging();
        Self { file: None, options, writing: WRITING }
    }

    /// Where the index of this database is: in the file, or in memory as the database is.
    pub(super) fn index(&self, file: Option<&Path>) -> Self {
        let options = match file {
            Some(file) => self.options.clone().filename(file),
            None => self.options.clone(),
        };
        Self { file: file.map(Path::to_owned), options, writing: INDEX }
    }

    /// How long its connections wait for another process.
    pub(super) fn patience(self, patience: Duration) -> Self {
        Self { options: self.options.busy_timeout(patience), ..self }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// A connection that writes, or with `reading` one that cannot.
    // Boxed, because the compiler cannot see otherwise that sqlx's future may change threads.
    pub(super) fn connect(&self, reading: bool) -> BoxFuture<'_, Result<SqliteConnection, sqlx::Error>> {
        Box::pin(async move {
            let mut connection = self.options.clone().read_only(reading).connect().await?;
            sqlx::raw_sql(READING).execute(&mut connection).await?;
            if !reading {
                sqlx::raw_sql(self.writing).execute(&mut connection).await?;
            }
            Ok(connection)
        })
    }
}

/// The version of the tables, 0 before the first step.
pub(super) async fn version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let known = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'");
    if known.fetch_one(&mut *connection).await? == 0 {
        return Ok(0);
    }
    let newest = sqlx::query_scalar::<_, Option<i64>>("SELECT max(version) FROM _sqlx_migrations");
    Ok(newest.fetch_one(connection).await?.unwrap_or(0))
}

/// The version that this program makes and reads.
pub(super) fn newest_version() -> i64 {
    STEPS.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

/// Takes the tables to today's version, each step whole or not at all. Two processes must not do so at once.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let done = version(connection).await?;
    connection.ensure_migrations_table(LEDGER).await.map_err(plain)?;
    for (version, name, sql) in STEPS.iter().filter(|(version, ..)| *version > done) {
        let step = Migration::new(*version, Cow::Borrowed(name), MigrationType::Simple, (*sql).into_sql_str(), false);
        connection.apply(LEDGER, &step).await.map_err(plain)?;
    }
    Ok(())
}

/// What stopped a step, without its wrapping.
fn plain(error: MigrateError) -> sqlx::Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        other => other.into(),
    }
}

/// Whether there are tables that no step of ours made.
pub(super) async fn is_foreign(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let others =
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_master WHERE name NOT LIKE '%sqlx_migrations%'");
    Ok(others.fetch_one(connection).await? > 0)
}

/// What today's tables hold, asked of each without reading any.
const SHAPE: &str = include_str!("shape.sql");

/// An error when the tables are not what today's version makes.
pub(super) async fn check_shape(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(SHAPE).execute(connection).await?;
    Ok(())
}

/// One connection that callers use in turn. It is made when it is first needed, and anew after a failure.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    place: Arc<Place>,
    reading: bool,
    connection: Arc<Mutex<Option<SqliteConnection>>>,
}

impl Lane {
    /// A lane that writes.
    pub(super) fn writing(place: Arc<Place>, connection: Option<SqliteConnection>) -> Self {
        Self { place, reading: false, connection: Arc::new(Mutex::new(connection)) }
    }

    /// A lane that cannot.
    pub(super) fn reading(place: Arc<Place>, connection: Option<SqliteConnection>) -> Self {
        Self { place, reading: true, connection: Arc::new(Mutex::new(connection)) }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The connection, for as long as the caller holds on to it.
    pub(super) async fn take(&self) -> Result<MappedMutexGuard<'_, SqliteConnection>, sqlx::Error> {
        let mut guard = self.connection.lock().await;
        if guard.is_none() {
            *guard = Some(self.place.connect(self.reading).await?);
        }
        MutexGuard::try_map(guard, Option::as_mut).map_err(|_| sqlx::Error::WorkerCrashed)
    }

    /// The connection, when nobody uses it and it is there.
    pub(super) fn try_take(&self) -> Option<MappedMutexGuard<'_, SqliteConnection>> {
        let guard = self.connection.try_lock().ok()?;
        MutexGuard::try_map(guard, Option::as_mut).ok()
    }

    /// Lets go of a connection that has failed. One in memory is all there is, so it stays.
    pub(super) async fn renew(&self) {
        if self.place.file.is_some() {
            self.connection.lock().await.take();
        }
    }

    /// Closes the connection in order, so that the last one out leaves a database without side files.
    pub(super) async fn close(&self) {
        if self.place.file.is_none() {
            return;
        }
        if let Some(connection) = self.connection.lock().await.take()
            && let Err(error) = sqlx::Connection::close(connection).await
        {
            tracing::warn!(%error, "the database was not closed in order");
        }
    }
}
