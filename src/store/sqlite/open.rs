//! Opening, on good days and on bad ones.

use std::path::Path;
use std::time::Duration;

use sqlx::{Connection as _, SqliteConnection};
use tokio::time::Instant;

use super::OpenError;
use super::connection::{Place, check_shape, is_foreign, migrate, newest_version, version};
use super::fail::{Cause, sentence};
use super::{files, index};

/// The database's name in the state folder.
const NAME: &str = "sessions.db";

/// Between two tries at a file that somebody holds.
const PAUSE: Duration = Duration::from_millis(25);

/// What was opened: the connections as far as they are needed yet, and a sentence for the person.
pub(super) struct Opened {
    pub(super) place: Place,
    pub(super) write: Option<SqliteConnection>,
    pub(super) read: Option<SqliteConnection>,
    pub(super) notice: Option<String>,
}

/// Opens the database of a folder, or begins one. A damaged one is moved aside, or is an error.
pub(super) async fn open(folder: &Path, patience: Duration, set_damaged_aside: bool) -> Result<Opened, OpenError> {
    let file = folder.join(NAME);
    // Preparing tightens the folder, so it comes before anything is made in it.
    files::prepare(folder, &file)?;
    let _held_while_opening = files::lock(folder, patience).await?;
    let place = Place::file(&file).patience(patience);
    let deadline = Instant::now() + patience;
    let mut notice = None;
    loop {
        match try_open(&place).await {
            Ok((write, read)) => return Ok(Opened { place, write, read, notice }),
            Err(Trouble::Damaged(what)) if set_damaged_aside && notice.is_none() => {
                notice = Some(set_aside(&file, &what)?);
                // It names what is in the one that was moved.
                let _ = files::remove(&file.with_file_name(index::NAME));
                files::prepare(folder, &file)?;
            }
            // Switching on the log does not wait for others by itself.
            Err(Trouble::Failed(error)) if Cause::of(&error) == Cause::Locked && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(trouble) => return Err(trouble.into_sentence(&file)),
        }
    }
}

/// A database that ends with the process.
pub(super) async fn in_memory() -> Result<Opened, OpenError> {
    let place = Place::memory();
    let no = |error: sqlx::Error| OpenError(sentence("keep sessions", None, &error));
    let mut connection = place.connect(false).await.map_err(no)?;
    migrate(&mut connection).await.map_err(no)?;
    Ok(Opened { place, write: Some(connection), read: None, notice: None })
}

/// Why a file could not be opened.
enum Trouble {
    /// What it is, in words.
    Damaged(String),
    Newer,
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        match Cause::of(&error) {
            Cause::Damaged => Self::Damaged(words(&error)),
            _ => Self::Failed(error),
        }
    }
}

impl Trouble {
    fn into_sentence(self, file: &Path) -> OpenError {
        let path = file.display();
        OpenError(match self {
            Self::Newer => format!(
                "the stored sessions at {path} were written by a newer Cowrite; update it, or name another folder with \
                 COWRITE_STATE_DIR"
            ),
            Self::Damaged(what) => {
                format!(
                    "the stored sessions at {path} are damaged ({what}); check the disk and copy the file before anything else: \
                     the server moves it aside when it next starts"
                )
            }
            Self::Failed(error) => {
                let cause = Cause::of(&error);
                let cure = match cause {
                    Cause::Locked => "end it",
                    Cause::Full => "free some room",
                    Cause::Disk => "check the disk and its limits",
                    _ => "check its owner and permissions",
                };
                let why = cause.words(&error);
                format!(
                    "could not open the stored sessions at {path}: {why}; {cure}, or name another folder with COWRITE_STATE_DIR"
                )
            }
        })
    }
}

type Connections = (Option<SqliteConnection>, Option<SqliteConnection>);

async fn try_open(place: &Place) -> Result<Connections, Trouble> {
    // First through a connection that can only read: one that can write folds the log into the file when it is closed,
    // and what is damaged, or newer, is to stay as it is. Mostly there is nothing else to do.
    match place.connect(true).await.map_err(Trouble::from) {
        Ok(mut reader) => match look(&mut reader).await {
            Ok(version) if version == newest_version() => return Ok((None, Some(reader))),
            Err(trouble @ (Trouble::Damaged(_) | Trouble::Newer)) => {
                // Closed for certain before the file is moved.
                let _ = reader.close().await;
                return Err(trouble);
            }
            _ => {}
        },
        Err(trouble @ Trouble::Damaged(_)) => return Err(trouble),
        Err(_) => {}
    }
    // An older one, an empty one, or one that only a writer can read: what a kill left half done must be undone first.
    let mut writer = place.connect(false).await?;
    match bring_up(&mut writer).await {
        Ok(()) => Ok((Some(writer), None)),
        Err(trouble) => {
            let _ = writer.close().await;
            Err(trouble)
        }
    }
}

async fn bring_up(connection: &mut SqliteConnection) -> Result<(), Trouble> {
    if look(connection).await? < newest_version() {
        migrate(connection).await?;
    }
    Ok(())
}

/// The version of the tables, when they are what that version says. Changes nothing.
async fn look(connection: &mut SqliteConnection) -> Result<i64, Trouble> {
    let (version, newest) = (version(connection).await?, newest_version());
    if version > newest {
        return Err(Trouble::Newer);
    }
    if version == 0 && is_foreign(connection).await? {
        return Err(Trouble::Damaged("it is no store of sessions".to_owned()));
    }
    if version == newest
        && let Err(error) = check_shape(connection).await
    {
        return Err(match Trouble::from(error) {
            Trouble::Failed(error) if Cause::of(&error) == Cause::Other => Trouble::Damaged(words(&error)),
            other => other,
        });
    }
    Ok(version)
}

/// Moves a damaged file out of the way and says so.
fn set_aside(file: &Path, what: &str) -> Result<String, OpenError> {
    let aside = files::set_aside(file)?;
    tracing::warn!(file = %file.display(), aside = %aside.display(), what, "the stored sessions are damaged");
    Ok(format!(
        "The stored sessions at {} are damaged ({what}). The file was moved to {}, and a new one was begun; `sqlite3 {} \
         .recover` may bring back what is in the old one.",
        file.display(),
        aside.display(),
        aside.display()
    ))
}

fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
