//! The editor port: how the agent's trait meets a real editor.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower_lsp::ls_types::{
    CreateFile, CreateFileOptions, DocumentChangeOperation, DocumentChanges, OneOf,
    OptionalVersionedTextDocumentIdentifier, ResourceOp, TextDocumentEdit, Uri, WorkspaceEdit,
};

use super::apply::{Applier, text_edits};
use super::client::Client;
use super::documents::Documents;
use super::uri;
use crate::disk::{self, WriteError};
use crate::edit::{Clash, Hunk, Patch, deltas_between};
use crate::editor::{Applied, Change, Editor, Outcome, Place, ReadError, What};
use crate::permission::Roots;
use crate::protocol::{HunkView, Position, Range};
use crate::text::{Encoding, Snapshot};

/// How long a file that the editor was asked to open and save may take to stand on disk.
const ON_DISK: Duration = Duration::from_secs(2);
/// How often the disk is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// How often a file that changes at the same time is written anew.
const TRIES: u32 = 3;

/// The editor at the other end.
pub(super) struct EditorPort {
    client: Client,
    documents: Arc<Documents>,
    applier: Applier,
    roots: Arc<RwLock<Roots>>,
    /// Real paths of open documents, by URI: looked up once, and not in the document lane.
    real: Mutex<HashMap<String, PathBuf>>,
}

impl EditorPort {
    pub(super) fn new(client: Client, documents: Arc<Documents>, roots: Arc<RwLock<Roots>>) -> Self {
        let applier = Applier::new(client.clone(), documents.clone());
        Self { client, documents, applier, roots, real: Mutex::default() }
    }

    /// Forgets where a closed document's file lies.
    pub(super) fn closed(&self, uri: &str) {
        self.real().remove(uri);
    }

    /// The place of a document, whether a run may touch it or not.
    pub(super) fn place(&self, uri: &str) -> Place {
        let path = uri.parse::<Uri>().ok().and_then(|uri| uri::to_path(&uri));
        let Some(path) = path else { return Place::Buffer { uri: uri.to_owned() } };
        let path = self.real_path(uri, path);
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        roots.found(&path).unwrap_or_else(|| {
            let shown = path.display().to_string();
            Place::File { path, shown }
        })
    }

    fn real_path(&self, uri: &str, path: PathBuf) -> PathBuf {
        if let Some(real) = self.real().get(uri) {
            return real.clone();
        }
        let real = crate::permission::real_path(&path);
        // A file that does not exist yet may become a link before it is looked at again.
        if path.exists() {
            self.real().insert(uri.to_owned(), real.clone());
        }
        real
    }

    /// The URI of the open document at a place.
    fn open_uri(&self, place: &Place) -> Option<String> {
        match place {
            Place::Buffer { uri } => self.documents.snapshot(uri).map(|_| uri.clone()),
            Place::File { path, .. } => {
                // Mostly the client's spelling is the plain one.
                if let Some(plain) =
                    uri::from_path(path).filter(|plain| self.documents.snapshot(plain.as_str()).is_some())
                    && self.place(plain.as_str()).path() == Some(path)
                {
                    return Some(plain.to_string());
                }
                let mut open = self.documents.all().into_iter();
                open.find(|(uri, _)| self.place(uri).path() == Some(path)).map(|(uri, _)| uri)
            }
        }
    }

    async fn create(&self, place: Place, text: String, label: String) -> Outcome {
        let Some(path) = place.path().map(Path::to_path_buf) else {
            return Outcome::Refused { reason: format!("{place} is not a file") };
        };
        let caps = self.client.caps();
        if caps.save && caps.apply_edit && caps.document_changes && caps.create_files {
            return self.create_in_editor(&place, &path, &text, label).await;
        }
        let (target, content) = (place.clone(), text.clone());
        match tokio::task::spawn_blocking(move || disk::create(&target, &content)).await {
            Ok(Ok(())) => self.whole_file(&place, &text),
            Ok(Err(error)) => Outcome::Refused { reason: error.to_string() },
            Err(error) => Outcome::Refused { reason: format!("{place} could not be written: {error}") },
        }
    }

    /// Makes a file through the editor, so that it can be undone there, and has it saved.
    async fn create_in_editor(&self, place: &Place, path: &Path, text: &str, label: String) -> Outcome {
        if path.exists() {
            return Outcome::Refused { reason: format!("{place} exists already; read it and edit it") };
        }
        let Some(uri) = uri::from_path(path) else {
            return Outcome::Refused { reason: format!("{place} has no URI") };
        };
        let empty = Snapshot::detached("", "");
        let patch = Patch::new(vec![Hunk { range: 0..0, new: text.to_owned() }]);
        let create = ResourceOp::Create(CreateFile {
            uri: uri.clone(),
            options: Some(CreateFileOptions { overwrite: Some(false), ignore_if_exists: Some(false) }),
            annotation_id: None,
        });
        let edit = self.edit_unopened(&uri, text_edits(&empty, &patch, self.encoding()));
        let edit = WorkspaceEdit {
            document_changes: Some(DocumentChanges::Operations(vec![
                DocumentChangeOperation::Op(create),
                DocumentChangeOperation::Edit(edit),
            ])),
            ..WorkspaceEdit::default()
        };
        self.through_editor(place, &uri, edit, label, text).await.unwrap_or_else(|| self.whole_file(place, text))
    }

    /// Changes a file that is not open, through the editor, and has it saved.
    async fn edit_in_editor(&self, place: &Place, uri: &Uri, base: &Snapshot, patch: &Patch, label: String) -> Outcome {
        let edit = self.edit_unopened(uri, text_edits(base, patch, self.encoding()));
        let edit =
            WorkspaceEdit { document_changes: Some(DocumentChanges::Edits(vec![edit])), ..WorkspaceEdit::default() };
        let after = base.with_rope(patch.apply(base.rope()));
        let expected = after.rope().to_string();
        match self.through_editor(place, uri, edit, label, &expected).await {
            Some(outcome) => outcome,
            None => self.landed_on_disk(place, base, patch, after, false),
        }
    }

    fn edit_unopened(&self, uri: &Uri, edits: Vec<tower_lsp::ls_types::TextEdit>) -> TextDocumentEdit {
        TextDocumentEdit {
            text_document: OptionalVersionedTextDocumentIdentifier { uri: uri.clone(), version: None },
            edits: edits.into_iter().map(OneOf::Left).collect(),
        }
    }

    /// Sends an edit of a file that is not open, has it saved and looks at the disk; `None` when it stands there.
    async fn through_editor(
        &self,
        place: &Place,
        uri: &Uri,
        edit: WorkspaceEdit,
        label: String,
        expected: &str,
    ) -> Option<Outcome> {
        let refused = |reason: String| Some(Outcome::Refused { reason });
        match tokio::time::timeout(Duration::from_secs(10), self.client.apply_edit(label, edit)).await {
            Ok(Ok(reply)) if reply.applied => {}
            Ok(Ok(reply)) => {
                return refused(format!(
                    "the editor did not apply the change of {place}{}",
                    reply.failure_reason.map(|reason| format!(": {reason}")).unwrap_or_default()
                ));
            }
            Ok(Err(error)) => return refused(error.to_string()),
            Err(_) => {
                let reason = format!("the editor did not answer for {place} within 10 s");
                return Some(Outcome::NotConfirmed { reason, late: None });
            }
        }
        let saved = self.client.save(uri.clone()).await;
        let deadline = Instant::now() + ON_DISK;
        loop {
            let at = place.clone();
            let now = tokio::task::spawn_blocking(move || disk::read(&at)).await;
            if matches!(now, Ok(Ok(snapshot)) if snapshot.rope() == expected) {
                return None;
            }
            if Instant::now() > deadline {
                break;
            }
            sleep(LOOK).await;
        }
        let reason = match saved {
            Ok(true) => format!("the editor says that {place} is saved, but the file does not hold the change"),
            Ok(false) => format!("the editor has the change of {place} in a buffer but did not save it"),
            Err(error) => format!("{place} was changed in a buffer but could not be saved: {error}"),
        };
        Some(Outcome::NotConfirmed { reason, late: None })
    }

    async fn edit_on_disk(
        &self,
        place: Place,
        base: Snapshot,
        patch: Patch,
        label: &str,
        cancel: &CancellationToken,
    ) -> Outcome {
        for _ in 0..TRIES {
            // The person may have opened it this very moment: then it is the editor's.
            if let Some(uri) = self.open_uri(&place).and_then(|uri| uri.parse::<Uri>().ok()) {
                return self.applier.apply(&uri, &base, &patch, label, cancel).await;
            }
            let at = place.clone();
            let now = match tokio::task::spawn_blocking(move || disk::read(&at)).await {
                Ok(Ok(now)) => now,
                Ok(Err(error)) => return Outcome::Refused { reason: error.to_string() },
                Err(error) => return Outcome::Refused { reason: format!("could not read {place}: {error}") },
            };
            let moved = match moved(&base, &patch, &now) {
                Ok(moved) => moved,
                Err(clash) => return Outcome::Conflict { reason: clash.to_string(), now },
            };
            let after = now.with_rope(moved.apply(now.rope()));
            let (at, expected, new) = (place.clone(), now.clone(), after.rope().clone());
            let written = tokio::task::spawn_blocking(move || disk::replace(&at, &expected, &new)).await;
            match written {
                Ok(Ok(())) => {
                    let rebased = now.rope() != base.rope();
                    return self.landed_on_disk(&place, &now, &moved, after, rebased);
                }
                // Another program wrote this very moment: look again.
                Ok(Err(WriteError::Changed { .. })) => {}
                Ok(Err(error)) => return Outcome::Refused { reason: error.to_string() },
                Err(error) => return Outcome::Refused { reason: format!("could not write {place}: {error}") },
            }
        }
        Outcome::Refused { reason: format!("{place} kept changing on disk while it was written {TRIES} times") }
    }

    fn landed_on_disk(&self, place: &Place, base: &Snapshot, patch: &Patch, after: Snapshot, rebased: bool) -> Outcome {
        let encoding = self.encoding();
        let place_of = |offset| encoding.position(after.rope(), offset);
        let hunks = patch
            .hunks()
            .iter()
            .zip(patch.new_ranges())
            .map(|(hunk, range)| HunkView {
                id: String::new(),
                range: Range { start: place_of(range.start), end: place_of(range.end) },
                old_text: base.rope().byte_slice(hunk.range.clone()).to_string(),
                new_text: hunk.new.clone(),
            })
            .collect();
        Outcome::Applied(Applied { uri: self.uri(place), hunks, rebased, now: after })
    }

    fn whole_file(&self, place: &Place, text: &str) -> Outcome {
        let now = Snapshot::detached(text, "");
        let end = self.encoding().position(now.rope(), now.rope().len_bytes());
        let hunk = HunkView {
            id: String::new(),
            range: Range { start: Position::default(), end },
            old_text: String::new(),
            new_text: text.to_owned(),
        };
        Outcome::Applied(Applied { uri: self.uri(place), hunks: vec![hunk], rebased: false, now })
    }

    // A std mutex: held for a map operation, never across an await.
    fn real(&self) -> std::sync::MutexGuard<'_, HashMap<String, PathBuf>> {
        self.real.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Editor for EditorPort {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        self.documents.all().into_iter().map(|(uri, snapshot)| (self.place(&uri), snapshot)).collect()
    }

    fn buffer(&self, place: &Place) -> Option<Snapshot> {
        self.open_uri(place).and_then(|uri| self.documents.snapshot(&uri))
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        if let Some(snapshot) = self.buffer(place) {
            return Ok(snapshot);
        }
        let (at, shown) = (place.clone(), place.to_string());
        let read = tokio::task::spawn_blocking(move || disk::read(&at)).await;
        read.unwrap_or_else(|error| Err(ReadError::Io { place: shown, reason: error.to_string() }))
    }

    async fn apply(&self, change: Change) -> Outcome {
        let Change { place, label, what, cancel } = change;
        if cancel.is_cancelled() {
            return Outcome::Refused { reason: "the person stopped the run before the change was made".into() };
        }
        let open = self.open_uri(&place).and_then(|uri| uri.parse::<Uri>().ok());
        match (what, open) {
            (What::Edit { base, patch }, Some(uri)) => self.applier.apply(&uri, &base, &patch, &label, &cancel).await,
            (What::Edit { base, patch }, None) => {
                let caps = self.client.caps();
                match place.path().and_then(uri::from_path) {
                    Some(uri) if caps.save && caps.apply_edit && caps.document_changes => {
                        let now = match self.read(&place).await {
                            Ok(now) => now,
                            Err(error) => return Outcome::Refused { reason: error.to_string() },
                        };
                        match moved(&base, &patch, &now) {
                            Ok(patch) => self.edit_in_editor(&place, &uri, &now, &patch, label).await,
                            Err(clash) => Outcome::Conflict { reason: clash.to_string(), now },
                        }
                    }
                    Some(_) => self.edit_on_disk(place, base, patch, &label, &cancel).await,
                    None => Outcome::Refused { reason: format!("{place} is no longer open") },
                }
            }
            (What::Create { text }, None) => self.create(place, text, label).await,
            (What::Create { text }, Some(uri)) => {
                // A new buffer that was never saved: the editor has it open already.
                let base = self.documents.snapshot(uri.as_str()).unwrap_or_else(|| Snapshot::detached("", ""));
                if base.rope().len_bytes() > 0 {
                    let reason = format!("{place} is open in the editor and not empty; read it and edit it");
                    return Outcome::Refused { reason };
                }
                let patch = Patch::new(vec![Hunk { range: 0..0, new: text }]);
                self.applier.apply(&uri, &base, &patch, &label, &cancel).await
            }
        }
    }

    fn uri(&self, place: &Place) -> String {
        self.open_uri(place).unwrap_or_else(|| match place {
            Place::Buffer { uri } => uri.clone(),
            Place::File { path, .. } => uri::from_path(path).map_or_else(String::new, |uri| uri.to_string()),
        })
    }

    fn encoding(&self) -> Encoding {
        self.client.caps().encoding
    }
}

/// A patch against `base`, moved to the text as it is now.
fn moved(base: &Snapshot, patch: &Patch, now: &Snapshot) -> Result<Patch, Clash> {
    patch.rebase(base.rope(), &deltas_between(base.rope(), now.rope()), now.rope())
}
