//! Giving files another name.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tower_lsp::ls_types::{
    DocumentChangeOperation, DocumentChanges, OptionalVersionedTextDocumentIdentifier, RenameFile, RenameFileOptions,
    ResourceOp, TextDocumentEdit, Uri, WorkspaceEdit,
};

use super::EditorPort;
use crate::crash;
use crate::disk::{self, WriteError};
use crate::edit::Patch;
use crate::editor::{Applied, Editor, Fate, Outcome, Place};
use crate::lsp::uri;
use crate::text::Snapshot;

/// How long the editor may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long the file and its buffer may take to be where the editor says that they are.
const MOVED: Duration = Duration::from_secs(2);
/// How often they are looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// What is seen of a rename.
enum Seen {
    /// The file has the new name, and so has its buffer, if there is one.
    Done,
    /// Nothing has happened.
    Nothing,
    /// Something in between, in words.
    Half(String),
}

impl EditorPort {
    /// Gives a file another name: through the editor where it is open, for its buffer must go with it, or where the editor saves
    /// what it does; else on disk.
    pub(super) async fn rename(
        &self,
        place: Place,
        open: Option<Uri>,
        base: Snapshot,
        to: Place,
        label: String,
    ) -> Outcome {
        let refused = |reason: String| Outcome::Refused { reason };
        let Some((old, new)) = place.path().and_then(uri::from_path).zip(to.path().and_then(uri::from_path)) else {
            return refused(format!("{place} cannot be renamed to {to}: both must be files"));
        };
        if self.open_uri(&to).is_some() || to.path().is_some_and(|path| path.symlink_metadata().is_ok()) {
            return refused(format!("{to} exists already"));
        }
        let caps = self.client.caps();
        let able = caps.apply_edit && caps.document_changes && caps.rename_files;
        let Some(open) = open else {
            return if able && caps.save {
                let now = match self.read(&place).await {
                    Ok(now) => now,
                    Err(error) => return refused(error.to_string()),
                };
                if now.rope() != base.rope() {
                    return Outcome::Conflict { reason: format!("{place} was changed on disk meanwhile"), now };
                }
                self.rename_in_editor(&place, &old, None, &to, new, label).await
            } else {
                self.rename_on_disk(place, base, to).await
            };
        };
        let Some(now) = self.documents.snapshot(open.as_str()) else {
            return refused(format!("{place} was closed in the editor meanwhile"));
        };
        if now.rope() != base.rope() {
            return Outcome::Conflict { reason: format!("{place} was changed in the editor meanwhile"), now };
        }
        if !place.path().is_some_and(Path::exists) {
            return refused(format!("{place} was never saved, so there is no file to rename; the person can save it"));
        }
        if !(able && caps.buffers_follow) {
            return refused(format!(
                "{place} is open, and this editor cannot rename an open file for a language server; the person can close it, or rename it"
            ));
        }
        self.rename_in_editor(&place, &open, Some(now), &to, new, label).await
    }

    async fn rename_on_disk(&self, place: Place, base: Snapshot, to: Place) -> Outcome {
        let (from, target, expected) = (place.clone(), to.clone(), base.clone());
        match tokio::task::spawn_blocking(move || disk::rename(&from, &target, &expected)).await {
            Ok(Ok(note)) => match self.moved(&place, &to, base) {
                Outcome::Applied(applied) => Outcome::Applied(Applied { note, ..applied }),
                other => other,
            },
            Ok(Err(error @ WriteError::Renamed { .. })) => {
                Outcome::NotConfirmed { reason: error.to_string(), late: None }
            }
            Ok(Err(error @ WriteError::Changed { .. })) => {
                let reason = error.to_string();
                let WriteError::Changed { now, .. } = error else { return Outcome::Refused { reason } };
                Outcome::Conflict { reason, now }
            }
            Ok(Err(error)) => Outcome::Refused { reason: error.to_string() },
            Err(error) => Outcome::Refused { reason: format!("{place} could not be renamed: {}", crash::why(&error)) },
        }
    }

    async fn rename_in_editor(
        &self,
        place: &Place,
        old: &Uri,
        open: Option<Snapshot>,
        to: &Place,
        new: Uri,
        label: String,
    ) -> Outcome {
        // Not every editor makes them.
        let target = to.clone();
        match tokio::task::spawn_blocking(move || disk::make_folders(&target)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Outcome::Refused { reason: error.to_string() },
            Err(error) => return Outcome::Refused { reason: crash::why(&error).to_owned() },
        }
        // The editor closes the old document, which takes its mark away.
        let is_opened = place.path().is_some_and(|path| self.opened().contains(path));
        let request = self.client.apply_edit(label, renaming(old, open.as_ref(), new));
        let mut silent = false;
        let refusal = match timeout(ANSWER, request).await {
            Ok(Ok(reply)) if reply.applied => None,
            Ok(Ok(reply)) => {
                let why = reply.failure_reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                Some(format!("the editor did not rename {place}{why}"))
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => {
                silent = true;
                Some(format!("the editor did not answer for {place} within {} s", ANSWER.as_secs()))
            }
        };
        let deadline = Instant::now() + MOVED;
        loop {
            let seen = self.seen(place, to, open.is_some());
            match (seen, &refusal) {
                (Seen::Done, _) => {
                    if is_opened && let Some((old, new)) = place.path().zip(to.path()) {
                        let mut opened = self.opened();
                        opened.remove(old);
                        opened.insert(new.to_path_buf());
                    }
                    let Ok(now) = self.read(to).await else {
                        let reason = format!("{place} was renamed to {to}, which cannot be read");
                        return Outcome::NotConfirmed { reason, late: None };
                    };
                    return self.moved(place, to, now);
                }
                // It may still come.
                (Seen::Nothing, Some(reason)) if silent => {
                    return Outcome::NotConfirmed { reason: reason.clone(), late: None };
                }
                (Seen::Nothing, Some(reason)) => return Outcome::Refused { reason: reason.clone() },
                (Seen::Nothing, None) if Instant::now() > deadline => {
                    let reason = format!("the editor says that {place} is renamed, but nothing shows it");
                    return Outcome::NotConfirmed { reason, late: None };
                }
                (Seen::Half(reason), _) if Instant::now() > deadline => {
                    return Outcome::NotConfirmed { reason, late: None };
                }
                _ => sleep(LOOK).await,
            }
        }
    }

    /// What has come of a rename so far. The buffer counts as moved when the editor has closed the old one and opened the new.
    fn seen(&self, place: &Place, to: &Place, was_open: bool) -> Seen {
        let there = |place: &Place| place.path().is_some_and(|path| path.symlink_metadata().is_ok());
        let buffer = |place: &Place| self.open_uri(place).is_some();
        match (there(place), there(to), was_open, buffer(place), buffer(to)) {
            (false, true, true, false, true) | (false, true, false, ..) => Seen::Done,
            (true, false, true, true, false) | (true, false, false, ..) => Seen::Nothing,
            (true, true, ..) => Seen::Half(format!("both {place} and {to} are there now")),
            (false, false, ..) => Seen::Half(format!("neither {place} nor {to} is there now")),
            (.., true, _) => Seen::Half(format!("the file is {to} now, but the editor still shows it as {place}")),
            (..) => Seen::Half(format!("the file is {to} now, but its buffer is closed")),
        }
    }

    /// What is told of a file that has another name.
    fn moved(&self, place: &Place, to: &Place, now: Snapshot) -> Outcome {
        let uri = place.path().and_then(uri::from_path).map_or_else(|| self.uri(place), |uri| uri.to_string());
        Outcome::Applied(Applied {
            uri,
            hunks: Vec::new(),
            rebased: false,
            created: false,
            fate: Fate::Moved { to: to.clone(), uri: self.uri(to) },
            note: None,
            back: (now.clone(), Patch::default()),
            now,
        })
    }
}

/// The request to rename a file. The edit before it changes nothing, but it names the version: an editor that looks at versions
/// then refuses all of it when something was typed meanwhile. Without `overwrite`, and with `ignoreIfExists`, every editor
/// leaves a file alone that has come to bear the new name this very moment: Helix replaces it without the one, VS Code fails with
/// the other set to anything.
fn renaming(old: &Uri, open: Option<&Snapshot>, new: Uri) -> WorkspaceEdit {
    let guard = open.map(|now| {
        let text_document = OptionalVersionedTextDocumentIdentifier { uri: old.clone(), version: Some(now.version()) };
        DocumentChangeOperation::Edit(TextDocumentEdit { text_document, edits: Vec::new() })
    });
    let rename = ResourceOp::Rename(RenameFile {
        old_uri: old.clone(),
        new_uri: new,
        options: Some(RenameFileOptions { overwrite: None, ignore_if_exists: Some(true) }),
        annotation_id: None,
    });
    let operations = guard.into_iter().chain([DocumentChangeOperation::Op(rename)]).collect();
    WorkspaceEdit { document_changes: Some(DocumentChanges::Operations(operations)), ..WorkspaceEdit::default() }
}
