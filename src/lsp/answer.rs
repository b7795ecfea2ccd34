//! Bringing an answer to a person whose editor takes no events: a Markdown document, else a message. Saying to everybody what
//! waits for them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tower_lsp::ls_types::{MessageType, Uri};

use super::client::Client;
use super::uri;
use crate::protocol::RunId;
use crate::session::export::defuse;

/// Answers that stay on disk.
const KEPT: usize = 50;
/// Characters of an answer that a message shows.
const MESSAGE: usize = 400;

/// How a run ended, as its person should hear.
pub(super) struct Ended {
    pub(super) run: RunId,
    pub(super) title: Arc<str>,
    /// Whether it changed anything: the person sees that already.
    pub(super) edited: bool,
    /// Whether documents changed meanwhile: the person is at work, and their keys must not go anywhere else.
    pub(super) typed: bool,
    pub(super) text: Option<String>,
    pub(super) error: Option<String>,
    /// What the run leaves for the person to decide on, as a sentence.
    pub(super) waits: Option<String>,
    /// The task that ends its progress. The answer comes after it: an editor with one line for both shows the later one.
    pub(super) progress: Option<JoinHandle<()>>,
}

/// The folder that answers and diffs are written to.
pub(super) struct Answers {
    folder: Option<PathBuf>,
}

impl Answers {
    /// Below the state folder; without one, answers come as messages.
    pub(super) fn new(state: Option<&Path>) -> Arc<Self> {
        Arc::new(Self { folder: state.map(|state| state.join("answers")) })
    }

    /// Shows how a run ended. Goes on as a task of its own: the pump does not wait for the client.
    pub(super) fn show(self: &Arc<Self>, client: &Client, tasks: &TaskTracker, ended: Ended) {
        let (answers, client) = (self.clone(), client.clone());
        let Ended { run, title, edited, typed, text, error, waits, progress } = ended;
        // Ends with the time limits of its requests.
        tasks.spawn(async move {
            if let Some(progress) = progress {
                // Nothing is lost when it failed; it is bounded by the time limit of its one request.
                let _ = progress.await;
            }
            if let Some(error) = error {
                // One message, so that neither takes the place of the other.
                let error = waits.map_or_else(|| error.clone(), |waits| format!("{error}\n{waits}"));
                return client.message(MessageType::ERROR, &format!("Cowrite: {error}")).await;
            }
            if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
                let document = if edited { None } else { answers.document(&client, run, &title, &text).await };
                let said = match &document {
                    Some(document) if opened(&client, document, typed).await => None,
                    Some(document) => {
                        let path = uri::to_path(document).unwrap_or_default();
                        Some(format!("{} (all of it is in {})", shortened(&text), path.display()))
                    }
                    None => Some(shortened(&text)),
                };
                if let Some(said) = said {
                    client.message(MessageType::INFO, &format!("Cowrite: {said}")).await;
                }
            }
            // Last, for where only the last message can be seen.
            if let Some(waits) = waits {
                client.message(MessageType::INFO, &format!("Cowrite: {waits}")).await;
            }
        });
    }

    /// Writes a run's diff. Each text has a file of its own: an editor may not look again at one that it has open.
    pub(super) async fn write_diff(self: &Arc<Self>, run: RunId, diff: &str) -> Option<Uri> {
        let mut hasher = DefaultHasher::new();
        diff.hash(&mut hasher);
        self.written(format!("{run}-{:08x}.diff", hasher.finish() & 0xffff_ffff), diff.to_owned()).await
    }

    /// An answer as a document, for a client that opens documents.
    async fn document(self: &Arc<Self>, client: &Client, run: RunId, title: &str, text: &str) -> Option<Uri> {
        if !client.caps().show_document {
            return None;
        }
        // A viewer would fetch the images of it, and with their addresses give away what a page has talked the model into.
        self.written(format!("{run}.md"), defuse(format!("# {title}\n\n{}\n", text.trim_end()))).await
    }

    /// Where a document now is, when it could be written.
    async fn written(self: &Arc<Self>, name: String, document: String) -> Option<Uri> {
        let answers = self.clone();
        match tokio::task::spawn_blocking(move || answers.write(&name, &document)).await {
            Ok(Ok(path)) => uri::from_path(&path),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the answer document cannot be written");
                None
            }
            Err(_) => None,
        }
    }

    fn write(&self, name: &str, document: &str) -> std::io::Result<PathBuf> {
        let folder = self.folder.as_ref().ok_or_else(|| std::io::Error::other("there is no state folder"))?;
        crate::settings::make_private(folder)?;
        prune(folder);
        let mut file = tempfile::Builder::new().prefix(".answer").tempfile_in(folder)?;
        file.write_all(document.as_bytes())?;
        let path = folder.join(name);
        file.persist(&path).map_err(|error| error.error)?;
        Ok(path)
    }
}

/// Whether an answer stands before the person. Not in the way of one who types: the keys would go into it.
async fn opened(client: &Client, document: &Uri, typed: bool) -> bool {
    if typed && !client.caps().opens_aside {
        return false;
    }
    client.show_document(document.clone(), !typed).await.unwrap_or(false)
}

/// Takes the oldest answers away; ids sort by time. What cannot be removed now is tried again next time.
fn prune(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "md" || end == "diff"))
        .collect();
    files.sort();
    let excess = (files.len() + 1).saturating_sub(KEPT);
    for file in files.into_iter().take(excess) {
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::debug!(%error, file = %file.display(), "an old answer cannot be removed");
        }
    }
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
