//! What the server holds: the client, the documents, the port, and, from `initialize` on, the workspace.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower_lsp::jsonrpc::{Error, Result};
use tower_lsp::ls_types::notification::PublishDiagnostics;
use tower_lsp::ls_types::{
    InitializeParams, InitializeResult, MessageType, ServerInfo, WorkspaceFolder, WorkspaceFoldersChangeEvent,
};

use super::answer::Answers;
use super::asking;
use super::capabilities::{Caps, offered};
use super::client::Client;
use super::command::names;
use super::documents::Documents;
use super::faults;
use super::port::EditorPort;
use super::pump::Pump;
use super::review::Following;
use super::uri;
use crate::log;
use crate::permission::Roots;
use crate::protocol::RunId;
use crate::settings::{self, Fault, Places};
use crate::workspace::{Life, Workspace};

/// How often the parent is looked for.
const PARENT: Duration = Duration::from_secs(2);

/// What exists before `initialize`, and what it brings.
pub(super) struct State {
    client: Client,
    pub(super) documents: Arc<Documents>,
    roots: Arc<RwLock<Roots>>,
    pub(super) port: Arc<EditorPort>,
    workspace: Arc<OnceLock<Workspace>>,
    pump: Arc<Pump>,
    answers: Arc<Answers>,
    places: Places,
    life: Life,
    /// Set when the conversation must end without `exit`: the parent is gone.
    over: CancellationToken,
    faults: OnceLock<Vec<Fault>>,
    /// The client's own folders, as it spells them.
    folders: Mutex<Vec<PathBuf>>,
}

impl State {
    pub(super) fn new(
        client: tower_lsp::Client,
        workspace: Arc<OnceLock<Workspace>>,
        pump: Arc<Pump>,
        places: Places,
        life: Life,
        over: CancellationToken,
    ) -> Self {
        let client = Client::new(client);
        let documents = Arc::<Documents>::default();
        let roots = Arc::<RwLock<Roots>>::default();
        Self {
            port: Arc::new(EditorPort::new(client.clone(), documents.clone(), roots.clone())),
            client,
            documents,
            roots,
            workspace,
            pump,
            answers: Answers::new(places.state.as_deref()),
            places,
            life,
            over,
            faults: OnceLock::new(),
            folders: Mutex::default(),
        }
    }

    /// The workspace: there from `initialize` on, before which the service lets nothing through.
    pub(super) fn workspace(&self) -> Result<&Workspace> {
        self.workspace.get().ok_or_else(Error::internal_error)
    }

    /// Takes in what the client is and wants.
    pub(super) fn initialize(&self, params: &InitializeParams) -> InitializeResult {
        let caps = Caps::of(params);
        let encoding = caps.encoding;
        self.client.set_caps(caps);
        self.documents.set_encoding(encoding);
        let given = folders(params);
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&given);
        self.set_folders(&or_working_directory(given));
        self.watch_parent(params.process_id);

        let layers = settings::Layers::read(&self.places, params.initialization_options.as_ref());
        let loaded = layers.load();
        if let Some(path) = &loaded.settings.log_file
            && let Err(error) = log::also_to(path)
        {
            tracing::error!("the log file {} cannot be opened: {error}; name another in log_file", path.display());
        }
        // Said once the client may be spoken to.
        let _ = self.faults.set(loaded.faults);
        // Ends with the process: it owns nothing that must be put in order.
        tokio::spawn(self.pump.clone().run(
            self.client.clone(),
            self.answers.clone(),
            self.documents.clone(),
            self.workspace.clone(),
        ));
        let workspace = Workspace::new(
            layers,
            loaded.settings,
            self.port.clone(),
            self.places.clone(),
            self.pump.clone(),
            self.roots.clone(),
            self.life.clone(),
        );
        let commands = names(workspace.catalog());
        // A second `initialize` never gets here: the service refuses it.
        let _ = self.workspace.set(workspace);
        InitializeResult {
            capabilities: offered(encoding, commands),
            server_info: Some(ServerInfo { name: "cowrite".into(), version: Some(env!("CARGO_PKG_VERSION").into()) }),
            ..InitializeResult::default()
        }
    }

    /// Says what is wrong with the settings: once in a message, and on the lines of the file.
    pub(super) fn initialized(&self) {
        let workspace = self.workspace.clone();
        // Ends with a look into the database.
        self.life.tasks.spawn(async move {
            if let Some(workspace) = workspace.get() {
                workspace.look_back().await;
            }
        });
        let (client, documents) = (self.client.clone(), self.documents.clone());
        // Ends with the process: it owns nothing that must be put in order.
        let (port, workspace) = (self.port.clone(), self.workspace.clone());
        tokio::spawn(asking::follow(client.clone(), documents.clone(), workspace.clone()));
        tokio::spawn(Following { client, documents, port, workspace }.run());
        let Some(faults) = self.faults.get().filter(|faults| !faults.is_empty()) else { return };
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let (client, text) = (self.client.clone(), format!("Cowrite settings: {}", lines.join("\n")));
        let files = faults::by_file(faults);
        // Ends when the client has taken it.
        tokio::spawn(async move {
            client.message(MessageType::WARNING, &text).await;
            for file in files {
                client.notify::<PublishDiagnostics>(file).await;
            }
        });
    }

    /// Puts a diff before the person where their editor opens documents. Answers with where it is, and with all of it where it
    /// cannot be opened.
    pub(super) async fn show_diff(&self, run: RunId, text: String) -> Value {
        let uri = self.answers.write_diff(run, &text).await;
        if !self.client.caps().show_document {
            return json!({ "uri": uri, "text": text });
        }
        let Some(uri) = uri else {
            return json!({ "text": text });
        };
        let (client, shown) = (self.client.clone(), uri.clone());
        // Ends within the time limit of its request. Nobody waits inside a command for the client.
        tokio::spawn(async move {
            if let Err(error) = client.show_document(shown, true).await {
                tracing::debug!(%error, "the diff was not shown");
            }
        });
        json!({ "uri": uri })
    }

    /// Tells the person why a command did nothing, where the editor would not.
    pub(super) fn command_failed(&self, why: &str) {
        if !self.client.caps().hides_command_errors {
            return;
        }
        let (client, text) = (self.client.clone(), format!("Cowrite: {why}"));
        // Ends when the client has taken it.
        tokio::spawn(async move { client.message(MessageType::ERROR, &text).await });
    }

    /// Cancels what runs; `exit` or the end of input does the rest.
    pub(super) fn shutdown(&self) {
        self.life.shutdown.cancel();
    }

    /// Takes in folders that came and went.
    pub(super) fn change_folders(&self, event: WorkspaceFoldersChangeEvent) {
        let paths = |folders: Vec<WorkspaceFolder>| -> Vec<PathBuf> {
            folders.iter().filter_map(|folder| uri::to_path(&folder.uri)).collect()
        };
        let gone = paths(event.removed);
        let folders = {
            // A std mutex: held for a change of the list.
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            folders.retain(|folder| !gone.contains(folder));
            folders.extend(paths(event.added));
            folders.clone()
        };
        self.set_folders(&or_working_directory(folders));
    }

    /// The folders from now on.
    fn set_folders(&self, folders: &[PathBuf]) {
        let own: Vec<PathBuf> = [&self.places.config, &self.places.state].into_iter().flatten().cloned().collect();
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = Roots::new(folders).with_own(&own);
    }

    /// Ends the conversation when the process that started the server is gone and has left the input open.
    fn watch_parent(&self, process_id: Option<u32>) {
        let parent = process_id.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        // An id of another process namespace names nobody here, and proves nothing.
        let Some(parent) = parent.filter(|parent| alive(*parent)) else { return };
        let over = self.over.clone();
        // Ends with the process.
        tokio::spawn(async move {
            while alive(parent) {
                tokio::time::sleep(PARENT).await;
            }
            tracing::warn!("the editor's process is gone");
            over.cancel();
        });
    }
}

fn alive(process: Pid) -> bool {
    // Somebody else's process is alive too.
    !matches!(test_kill_process(process), Err(rustix::io::Errno::SRCH))
}

/// The client's folders.
fn folders(params: &InitializeParams) -> Vec<PathBuf> {
    #[expect(deprecated, reason = "clients still send it, and some send nothing else")]
    let root = params.root_uri.as_ref();
    match &params.workspace_folders {
        Some(folders) if !folders.is_empty() => folders.iter().filter_map(|folder| uri::to_path(&folder.uri)).collect(),
        _ => root.and_then(uri::to_path).into_iter().collect(),
    }
}

/// Without any folder, the process's working directory, unless that is everything or the home folder.
fn or_working_directory(folders: Vec<PathBuf>) -> Vec<PathBuf> {
    if !folders.is_empty() {
        return folders;
    }
    let too_wide = |path: &Path| path.parent().is_none() || dirs::home_dir().is_some_and(|home| home == path);
    std::env::current_dir().ok().filter(|path| !too_wide(path)).into_iter().collect()
}
