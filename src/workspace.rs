//! A workspace: its folders, its settings, its sessions, and what a run in it works with. LSP is unknown here.

mod preparing;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::preparing::{Preparing, Slot, connected};
use crate::command::{Catalog, Command, Problem};
use crate::editor::Editor;
use crate::permission::Roots;
use crate::protocol::{Mode, Range, RunId, SessionId};
use crate::session::{Outlet, Session, Start};
use crate::settings::Settings;
use crate::store::Store;
use crate::text::Snapshot;

/// What holds everything that runs: cancelled at shutdown, waited for after it.
#[derive(Clone, Default)]
pub struct Life {
    /// Set when everything shall end.
    pub shutdown: CancellationToken,
    /// The sessions' actors.
    pub tasks: TaskTracker,
}

/// The folders that a client has open, with everything that belongs to them.
pub struct Workspace {
    settings: Arc<Settings>,
    catalog: Arc<Catalog>,
    editor: Arc<dyn Editor>,
    store: Arc<dyn Store>,
    outlet: Arc<dyn Outlet>,
    roots: Arc<RwLock<Roots>>,
    life: Life,
    /// The active session of each folder; under no path for what lies in none.
    sessions: Mutex<HashMap<Option<PathBuf>, Session>>,
    provider: Arc<Slot>,
}

/// A run, as a front end asks for it.
pub struct Ask {
    /// A command of the catalog; none for a bare prompt.
    pub command: Option<Arc<Command>>,
    /// What the person typed.
    pub prompt: Option<String>,
    /// The document that it is about.
    pub target: Option<Target>,
    /// Which session; none for the active one of the document's folder.
    pub session: Option<SessionId>,
    /// How much it may do unasked; none for the command's own or the settings'.
    pub mode: Option<Mode>,
}

/// The document that a run is about.
pub struct Target {
    /// As the client names it: a path that the authority has not looked at yet, or the URI of a buffer.
    pub given: String,
    /// What the buffer held when the command came; none for a file that is not open.
    pub snapshot: Option<Snapshot>,
    /// The selection.
    pub range: Option<Range>,
    /// The diagnostics that it is about.
    pub diagnostics: Vec<Problem>,
}

/// Why a run does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Nobody knows the session.
    #[error("there is no session {0}; leave sessionId out to use the active one")]
    NoSession(String),
    /// Too many wait.
    #[error(transparent)]
    Busy(#[from] crate::session::Busy),
    /// Edits as proposals are not there yet.
    #[error("mode \"ask\" is not supported by this version; use \"edit\", or \"plan\" for a run that changes nothing")]
    ModeAsk,
}

impl Workspace {
    /// A workspace with these folders.
    #[must_use]
    pub fn new(
        settings: Settings,
        editor: Arc<dyn Editor>,
        store: Arc<dyn Store>,
        outlet: Arc<dyn Outlet>,
        roots: Arc<RwLock<Roots>>,
        life: Life,
    ) -> Self {
        let catalog = Arc::new(Catalog::new(&settings));
        Self {
            settings: Arc::new(settings),
            catalog,
            editor,
            store,
            outlet,
            roots,
            life,
            sessions: Mutex::default(),
            provider: Arc::default(),
        }
    }

    /// The commands.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Starts a run and answers at once.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn start(&self, ask: Ask) -> Result<(RunId, SessionId), StartError> {
        let command_mode = ask.command.as_ref().and_then(|command| command.mode);
        let mode = ask.mode.or(command_mode).unwrap_or(self.settings.mode);
        if mode == Mode::Ask {
            return Err(StartError::ModeAsk);
        }
        let session = match ask.session {
            Some(id) => self.session(id).ok_or_else(|| StartError::NoSession(id.to_string()))?,
            None => self.active(ask.target.as_ref().map(|target| Path::new(target.given.as_str()))),
        };
        let command_title = ask.command.as_ref().map(|command| command.title.clone());
        let prompt = ask.prompt.clone().or_else(|| command_title.clone()).unwrap_or_default();
        let title = match (&command_title, &ask.prompt) {
            (Some(title), Some(prompt)) => format!("{title}: {}", first_words(prompt)),
            (Some(title), None) => title.clone(),
            (None, _) => first_words(&prompt),
        };
        let command = ask.command.as_ref().map(|command| command.name.clone());
        let preparing = Preparing {
            ask,
            mode,
            settings: self.settings.clone(),
            editor: self.editor.clone(),
            roots: self.roots.clone(),
            reads: session.reads().clone(),
            provider: self.provider.clone(),
        };
        let prepare = Box::new(move || preparing.setup().boxed());
        let run = session.start(Start { prompt, command, title, prepare })?;
        Ok((run, session.id()))
    }

    /// The active session of the folder that holds a path; of the first folder, or of none, without one.
    #[must_use]
    pub fn active(&self, path: Option<&Path>) -> Session {
        let folder = {
            let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
            let folders = roots.folders();
            let holding = path.and_then(|path| folders.iter().find(|folder| path.starts_with(folder)));
            holding.or(folders.first()).cloned()
        };
        let open = || {
            let Life { shutdown, tasks } = &self.life;
            Session::open(self.store.clone(), self.outlet.clone(), &self.settings.limits, shutdown, tasks)
        };
        self.lock().entry(folder).or_insert_with(open).clone()
    }

    /// A session by its id.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<Session> {
        self.lock().values().find(|session| session.id() == id).cloned()
    }

    /// The session that a run belongs to.
    #[must_use]
    pub fn session_of(&self, run: RunId) -> Option<Session> {
        self.lock().values().find(|session| session.knows(run)).cloned()
    }

    /// Cancels every live and waiting run.
    #[must_use]
    pub fn cancel_all(&self) -> Vec<RunId> {
        let sessions: Vec<Session> = self.lock().values().cloned().collect();
        let mut cancelled = Vec::new();
        for session in sessions {
            // Waiting runs first, so that none of them starts meanwhile.
            for run in session.unfinished().into_iter().rev() {
                if session.cancel(run) {
                    cancelled.push(run);
                }
            }
        }
        cancelled.sort();
        cancelled
    }

    /// The name of the model in use and why it is that one, or why there is none.
    ///
    /// # Errors
    /// A sentence that says how to get a model.
    pub fn model(&self) -> Result<String, String> {
        connected(&self.provider, &self.settings)
            .map(|provider| provider.name().to_owned())
            .map_err(|error| error.to_string())
    }

    // A std mutex: held for a look-up or for opening a session, which waits for nothing.
    fn lock(&self) -> MutexGuard<'_, HashMap<Option<PathBuf>, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first words of a prompt, for a title.
fn first_words(prompt: &str) -> String {
    const MOST: usize = 50;
    let line = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(first_words("  fix\n the   bug "), "fix the bug");
        assert_eq!(first_words(&"ä".repeat(60)), format!("{}…", "ä".repeat(50)));
    }
}
