//! Which session is meant.

use std::fmt;
use std::path::Path;

use crate::protocol::{RunId, SessionId};
use crate::store::{SessionRow, Store};

/// As many runs as a session remembers at most, and then some.
const RUNS: usize = 10_000;

/// The workspace folder whose sessions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Folder(String);

impl Folder {
    /// The folder that was named, else the working directory; its real path. The file system's root and the home folder
    /// are no workspace unless they are named, as for the server.
    pub(in crate::cli) fn of(named: Option<&Path>) -> Result<Self, String> {
        let given = named.unwrap_or(Path::new("."));
        let real = given.canonicalize().map_err(|error| {
            format!("the folder {} cannot be looked at: {error}; name one with --workspace", given.display())
        })?;
        let home = dirs::home_dir().and_then(|home| home.canonicalize().ok());
        if named.is_none() && (real == Path::new("/") || Some(&real) == home.as_ref()) {
            return Ok(Self(String::new()));
        }
        Ok(Self(real.display().to_string()))
    }

    /// A folder that need not be there.
    #[cfg(test)]
    pub(super) fn named(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// As sessions name it.
    pub(in crate::cli) fn key(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "no folder (name one with --workspace DIR)" } else { &self.0 })
    }
}

/// The session that is meant: by an unambiguous beginning of its id in the folder, by its whole id anywhere, or the one that the
/// folder goes on with.
pub(super) async fn find(store: &dyn Store, folder: &Folder, given: Option<&str>) -> Result<SessionRow, String> {
    let rows = store.sessions(Some(folder.key())).await.map_err(|error| error.to_string())?;
    let Some(given) = given.map(|given| given.trim().to_lowercase()) else {
        let active = store.active(folder.key()).await.map_err(|error| error.to_string())?;
        let newest = rows.first().map(|row| row.id);
        let meant = rows.into_iter().find(|row| Some(row.id) == active.or(newest));
        return meant.ok_or_else(|| format!("no sessions are stored for {folder}"));
    };
    let unknown = || format!("there is no session {given:?} in {folder}; `cowrite sessions list` shows what there is");
    if given.is_empty() {
        return Err(unknown());
    }
    let mut meant = rows.into_iter().filter(|row| row.id.to_string().starts_with(&given));
    if let Some(first) = meant.next() {
        return match meant.count() {
            0 => Ok(first),
            more => Err(format!("{given:?} is the beginning of {} sessions; write more of the id", more + 1)),
        };
    }
    let Ok(id) = given.parse::<SessionId>() else { return Err(unknown()) };
    let standing = store.session(id).await.map_err(|error| error.to_string())?;
    standing.map(|standing| standing.row).ok_or_else(unknown)
}

/// The run that is meant: by its whole id, or by an unambiguous beginning among the session's own.
pub(super) async fn run_of(store: &dyn Store, session: SessionId, given: &str) -> Result<RunId, String> {
    let given = given.trim().to_lowercase();
    if let Ok(run) = given.parse() {
        return Ok(run);
    }
    let runs = store.runs(session, RUNS).await.map_err(|error| error.to_string())?;
    let mut meant = runs.iter().map(|run| run.snapshot.id).filter(|run| run.to_string().starts_with(&given));
    match (meant.next().filter(|_| !given.is_empty()), meant.count()) {
        (Some(run), 0) => Ok(run),
        (Some(_), more) => Err(format!("{given:?} is the beginning of {} runs; write more of the id", more + 1)),
        (None, _) => {
            Err(format!("session {session} has no run {given:?}; `cowrite sessions show {session}` shows its runs"))
        }
    }
}
