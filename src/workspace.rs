//! A workspace: its folders, its settings, its sessions, and what a run in it works with. LSP is unknown here.

mod asking;
mod commands;
mod foreign;
mod keeping;
mod preparing;
mod reviewing;
mod rules;
mod servers;
mod sessions;
#[cfg(test)]
mod testing;
mod trust;
mod undo;

pub use crate::mcp::{Argument, Listed};
pub use foreign::Prompts;
pub use sessions::SessionError;
pub use trust::trust_folder;
pub use undo::{FileUndone, UndoOutcome};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::preparing::{Preparing, Slot, connected, hooks, max_output, with_buffers};
use self::servers::Serving;
use self::sessions::Sessions;
use self::trust::{Forces, InForce};
use crate::agent::context_limit;
use crate::command::{Catalog, Command, Problem};
use crate::editor::Editor;
use crate::hooks::Hooks;
use crate::model::wire::Choice;
use crate::permission::{Roots, real_path};
use crate::protocol::{Mode, Range, RunId, SessionId};
use crate::session::export::{Format, SessionView, export};
use crate::session::{Compact, EventPage, Figures, Outlet, Session, Start};
use crate::settings::{Layers, Places, Settings};
use crate::store::Undone;
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
    /// The person's own, without any workspace's.
    settings: Arc<Settings>,
    /// What is in force in which folder.
    forces: Arc<Forces>,
    catalog: Arc<Catalog>,
    editor: Arc<dyn Editor>,
    roots: Arc<RwLock<Roots>>,
    sessions: Sessions,
    /// How often everything was cancelled.
    cancels: AtomicU64,
    provider: Arc<Slot>,
    serving: Arc<Serving>,
    state: Option<PathBuf>,
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
    /// There is no session for it.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Its session does not take it.
    #[error(transparent)]
    Refused(#[from] crate::session::StartError),
}

impl Workspace {
    /// A workspace with these folders.
    #[must_use]
    pub fn new(
        layers: Layers,
        settings: Settings,
        editor: Arc<dyn Editor>,
        places: Places,
        outlet: Arc<dyn Outlet>,
        roots: Arc<RwLock<Roots>>,
        life: Life,
    ) -> Self {
        let catalog = Arc::new(Catalog::new(&settings));
        let state = places.state.clone();
        let sessions = Sessions::new(places.clone(), outlet.clone(), settings.limits.clone(), life);
        let settings = Arc::new(settings);
        let forces = Arc::new(Forces::new(settings.clone(), layers, places, outlet));
        Self {
            settings,
            forces,
            catalog,
            editor,
            roots,
            sessions,
            cancels: AtomicU64::new(0),
            provider: Arc::default(),
            serving: Arc::default(),
            state,
        }
    }

    /// The commands.
    #[must_use]
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Starts a run and answers at once: it waits for nothing but a look at the session's head.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn start(&self, ask: Ask) -> Result<(RunId, SessionId), StartError> {
        let command_mode = ask.command.as_ref().and_then(|command| command.mode);
        let cancels = self.cancels.load(Ordering::SeqCst);
        let folder = self.folder_of(ask.target.as_ref().map(|target| target.given.as_str())).await;
        let session = self.sessions.to_run_in(ask.session, &folder).await?;
        let command_title = ask.command.as_ref().map(|command| command.title.clone());
        let prompt = ask.prompt.clone().or_else(|| command_title.clone()).unwrap_or_default();
        let title = match (&command_title, &ask.prompt) {
            (Some(title), Some(prompt)) => format!("{title}: {}", first_words(prompt)),
            (Some(title), None) => title.clone(),
            (None, _) => first_words(&prompt),
        };
        let command = ask.command.as_ref().map(|command| command.name.clone());
        let (forces, serving, outlet) = (self.forces.clone(), self.serving.clone(), self.sessions.outlet().clone());
        let (allowed, folder, reads) = (session.allowed().clone(), session.folder().clone(), session.reads().clone());
        let (editor, roots, provider, state) =
            (self.editor.clone(), self.roots.clone(), self.provider.clone(), self.state.clone());
        let tasks = self.sessions.tasks().clone();
        let (session_id, recall) = (session.id(), Arc::new(session.recall()));
        let prepare = move |known| {
            let setup = async move {
                // Looked at when the run starts, however long it has waited.
                let force = forces.of(&folder).await;
                Preparing {
                    mode: ask.mode.or(command_mode).unwrap_or(force.settings.mode),
                    servers: serving.of(&folder, &force),
                    ask,
                    force,
                    allowed,
                    folder,
                    editor,
                    roots,
                    reads,
                    provider,
                    session: session_id,
                    recall,
                    state,
                    outlet,
                    tasks,
                }
                .setup(known)
                .await
            };
            setup.boxed()
        };
        let prepare = Box::new(prepare);
        let run = session.start(Start { prompt, command, title, prepare }).await?;
        if self.cancels.load(Ordering::SeqCst) != cancels {
            // Everything was cancelled while this one was on its way.
            let _ = session.cancel(run);
        }
        Ok((run, session.id()))
    }

    /// The hooks of a folder, as the settings in force there name them.
    fn hooks(&self, force: &InForce, folder: &str) -> Hooks {
        hooks(force, folder, self.sessions.outlet().clone())
    }

    /// The folder that a document lies in, the deepest one; the first folder without one; empty where there is no folder.
    async fn folder_of(&self, given: Option<&str>) -> String {
        let folders = self.folders();
        let holding = match given.map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(path) => {
                let find = move |folders: &[String]| {
                    let real = real_path(&path);
                    let holding = folders.iter().filter(|folder| real.starts_with(Path::new(folder)));
                    holding.max_by_key(|folder| folder.len()).cloned()
                };
                let candidates = folders.clone();
                tokio::task::spawn_blocking(move || find(&candidates)).await.ok().flatten()
            }
            None => None,
        };
        holding.or_else(|| folders.first().cloned()).unwrap_or_default()
    }

    /// The folders, as sessions know them; one without a name where there is none.
    fn folders(&self) -> Vec<String> {
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        let folders: Vec<String> = roots.folders().iter().map(|folder| folder.display().to_string()).collect();
        if folders.is_empty() { vec![String::new()] } else { folders }
    }

    /// A session by its id; without one, the session that the first folder goes on with.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn session(&self, id: Option<SessionId>) -> Result<Session, SessionError> {
        match id {
            Some(id) => self.sessions.get(id).await,
            None => self.sessions.active(&self.folder_of(None).await).await,
        }
    }

    /// The sessions of the folders, and which one the first folder goes on with.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn sessions(&self) -> Result<(SessionId, Vec<SessionView>), SessionError> {
        let active = self.session(None).await?.id();
        Ok((active, self.sessions.list(&self.folders()).await?))
    }

    /// A session that begins with its first run, active at once.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn new_session(&self, title: Option<&str>) -> Result<Session, SessionError> {
        self.sessions.new_session(&self.folder_of(None).await, title.unwrap_or_default()).await
    }

    /// Goes on with a session from here on; with the active one, read anew when it could not be written, without an id.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn resume(&self, id: Option<SessionId>) -> Result<Session, SessionError> {
        let id = self.session(id).await?.id();
        self.sessions.resume(id).await
    }

    /// A fork, active at once.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn fork(&self, id: Option<SessionId>, after: Option<RunId>) -> Result<Session, SessionError> {
        let id = self.session(id).await?.id();
        self.sessions.fork(id, after).await
    }

    /// Gives a session another title.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn rename(&self, id: Option<SessionId>, title: &str) -> Result<SessionId, SessionError> {
        let session = self.session(id).await?;
        if !session.is_written() {
            session.entitle(title.to_owned());
        } else {
            self.sessions.store().await?.rename(session.id(), title).await.map_err(sessions::other)?;
        }
        Ok(session.id())
    }

    /// What all requests of a session come to at the prices of the settings; `None` when that is not known.
    #[must_use]
    pub fn cost(&self, figures: &Figures) -> Option<f64> {
        self.settings.cost(&figures.by_model, &figures.usage)
    }

    /// Begins to compact the history of a session; `Some` says why not.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn compact(
        &self,
        id: Option<SessionId>,
        focus: Option<String>,
    ) -> Result<(SessionId, Option<String>), SessionError> {
        let session = self.session(id).await?;
        let connected = match connected(&self.provider, &self.settings, self.state.as_deref()).await {
            Ok(connected) => connected,
            Err(error) => return Ok((session.id(), Some(error.to_string()))),
        };
        let max_output = max_output(&self.settings, connected.provider.as_ref());
        let compact = Compact {
            limit: context_limit(connected.provider.as_ref(), max_output),
            summariser: connected.summariser,
            focus: focus.filter(|focus| !focus.trim().is_empty()),
            settings: self.settings.compaction.clone(),
            hooks: Arc::new(self.hooks(&self.forces.of(session.folder()).await, session.folder())),
        };
        let refused = session.compact(compact).await?;
        Ok((session.id(), refused))
    }

    /// Empties the history of a session.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn clear(&self, id: Option<SessionId>) -> Result<SessionId, SessionError> {
        let session = self.session(id).await?;
        session.clear().await?;
        Ok(session.id())
    }

    /// Deletes a session.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn delete(&self, id: Option<SessionId>) -> Result<SessionId, SessionError> {
        let id = self.session(id).await?.id();
        self.sessions.delete(id).await?;
        Ok(id)
    }

    /// A session as a text.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn export(&self, id: Option<SessionId>, format: Format) -> Result<String, SessionError> {
        let session = self.session(id).await?;
        if !session.is_written() {
            return Err(SessionError::Other("there is nothing in this session yet; ask something first".into()));
        }
        let store = self.sessions.store().await?;
        export(store.as_ref(), session.id(), format).await.map_err(sessions::other)
    }

    /// Takes back what a run has changed; the newest finished run of the active session without one.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn undo(&self, run: Option<RunId>) -> Result<Vec<FileUndone>, SessionError> {
        let (session, run) = self.finished(run).await?;
        let mut files = self.refuse_all(run).await?;
        let store = self.sessions.store().await?;
        let roots = with_buffers(&self.roots, self.editor.as_ref());
        let _turn = session.turn_to_decide().await;
        let undoing = undo::undo(self.editor.as_ref(), &roots, store.as_ref(), session.id(), run).await?;
        if !(undoing.undone.is_empty() && undoing.named.is_empty()) {
            let note = undo::note(&undoing);
            session.undone(Undone { run, uris: undoing.undone, named: undoing.named }, note).await?;
        }
        files.retain(|refused| undoing.files.iter().all(|file| file.uri != refused.uri));
        files.extend(undoing.files);
        Ok(files)
    }

    /// A finished run, the newest one of the active session without a name, and the session that hears what becomes of it.
    async fn finished(&self, run: Option<RunId>) -> Result<(Session, RunId), SessionError> {
        let active = self.session(None).await?;
        let (owner, run) = match run {
            Some(run) => (self.sessions.of_finished(run).await?, run),
            None => {
                active.refresh().await.map_err(sessions::other)?;
                let none =
                    || SessionError::Other("no run of this session has finished yet; there is nothing to undo".into());
                (active.clone(), self.sessions.newest_finished(&active).await?.ok_or_else(none)?)
            }
        };
        Ok((self.hears(active, owner, run).await?, run))
    }

    /// The session that goes on hears of a decision, where the run is a part of what it goes on from.
    async fn hears(&self, active: Session, owner: Session, run: RunId) -> Result<Session, SessionError> {
        let store = self.sessions.store().await?;
        let changes = store.changes(active.id(), run);
        let hears = if owner.id() == active.id()
            || active.is_written() && !changes.await.map_err(sessions::other)?.is_empty()
        {
            active
        } else {
            owner
        };
        Ok(hears)
    }

    /// Goes on without keeping anything: the person has been told that nothing can be kept, and said so.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn go_on_unkept(&self) -> Result<SessionId, SessionError> {
        self.sessions.go_on_unkept().await?;
        Ok(self.session(None).await?.id())
    }

    /// The open session that a run belongs to. Never waits.
    #[must_use]
    pub fn session_of(&self, run: RunId) -> Option<Session> {
        self.sessions.of_run(run)
    }

    /// The events of a run.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn events_of(&self, run: RunId, after: u64) -> Result<EventPage, SessionError> {
        self.sessions.events_of(run, after).await
    }

    /// Whether there is such a run, open or kept.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn knows(&self, run: RunId) -> Result<bool, SessionError> {
        self.sessions.knows(run).await
    }

    /// Looks for runs that a crash has cut off, so that the person hears of them.
    pub async fn look_back(&self) {
        self.sessions.look_back(&self.folders()).await;
    }

    /// Ends what keeps the sessions, once all runs have ended.
    pub async fn close(&self) {
        futures::join!(self.serving.close(), self.sessions.close());
    }

    /// Cancels every live and waiting run.
    #[must_use]
    pub fn cancel_all(&self) -> Vec<RunId> {
        self.cancels.fetch_add(1, Ordering::SeqCst);
        let mut cancelled = Vec::new();
        for session in self.sessions.all() {
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

    /// Why commands are not held in a sandbox here, so that each is asked for; nothing where they are.
    pub async fn sandbox_problem(&self) -> Option<String> {
        preparing::sandbox().await.err()
    }

    /// The name of the model in use and why it is that one, or why there is none.
    ///
    /// # Errors
    /// A sentence that says how to get a model.
    pub async fn model(&self) -> Result<Choice, String> {
        let connected = connected(&self.provider, &self.settings, self.state.as_deref()).await;
        connected.map(|connected| connected.choice).map_err(|error| error.to_string())
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
