//! Making new files.

use std::path::Path;

use tokio_util::sync::CancellationToken;
use tower_lsp::ls_types::{
    CreateFile, CreateFileOptions, DocumentChangeOperation, DocumentChanges, ResourceOp, Uri, WorkspaceEdit,
};

use super::EditorPort;
use super::through::{Stands, Wanted};
use crate::crash;
use crate::disk;
use crate::edit::{Hunk, Patch};
use crate::editor::{Applied, Editor, Fate, Outcome, Place};
use crate::lsp::apply::text_edits;
use crate::lsp::uri;
use crate::protocol::{HunkView, Position, Range};
use crate::text::Snapshot;

impl EditorPort {
    /// A new buffer that was never saved: the editor has it open already.
    pub(super) async fn fill_open(
        &self,
        place: &Place,
        uri: &Uri,
        text: String,
        label: &str,
        cancel: &CancellationToken,
    ) -> Outcome {
        let base = self.documents.snapshot(uri.as_str()).unwrap_or_else(|| Snapshot::detached("", ""));
        if base.rope().len_bytes() > 0 {
            let reason = format!("{place} is open in the editor and not empty; read it and edit it");
            return Outcome::Refused { reason };
        }
        let patch = Patch::new(vec![Hunk { range: 0..0, new: text }]);
        self.applier.apply(uri, &base, &patch, label, cancel).await
    }

    pub(super) async fn create(&self, place: Place, text: String, label: String) -> Outcome {
        let Some(path) = place.path().map(Path::to_path_buf) else {
            return Outcome::Refused { reason: format!("{place} is not a file") };
        };
        let caps = self.client.caps();
        // Some editors end the last line of what they save.
        let kept = text.is_empty() || text.ends_with('\n');
        if kept && caps.save && caps.apply_edit && caps.document_changes && caps.create_files {
            return self.create_in_editor(&place, &path, &text, label).await;
        }
        let (target, content) = (place.clone(), text.clone());
        match tokio::task::spawn_blocking(move || disk::create(&target, &content)).await {
            Ok(Ok(note)) => Outcome::Applied(Applied { note, ..self.whole_file(&place, &text) }),
            Ok(Err(error)) => Outcome::Refused { reason: error.to_string() },
            Err(error) => Outcome::Refused { reason: format!("{place} could not be written: {}", crash::why(&error)) },
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
        let patch = Patch::new(vec![Hunk { range: 0..0, new: text.to_owned() }]);
        let wanted = Wanted::new(Snapshot::detached("", ""), patch);
        let create = ResourceOp::Create(CreateFile {
            uri: uri.clone(),
            options: Some(CreateFileOptions { overwrite: Some(false), ignore_if_exists: Some(false) }),
            annotation_id: None,
        });
        let edit = self.text_edit(&uri, text_edits(&wanted.base, &wanted.patch, self.encoding()));
        let edit = WorkspaceEdit {
            document_changes: Some(DocumentChanges::Operations(vec![
                DocumentChangeOperation::Op(create),
                DocumentChangeOperation::Edit(edit),
            ])),
            ..WorkspaceEdit::default()
        };
        match self.through_editor(place, &uri, edit, label, &wanted).await {
            Stands::Here { now, seen, note } => {
                let made = Applied { note, ..self.whole_file(place, text) };
                // An empty file has no place that could be followed, but it is one that is made.
                if seen.back.is_empty() {
                    return Outcome::Applied(Applied { now, ..made });
                }
                let hunks = self.views(&seen, &now);
                let back = (now.with_rope(seen.text), seen.back);
                Outcome::Applied(Applied { hunks, now, back, ..made })
            }
            Stands::Not(outcome) => {
                // The file may have been made and the text refused.
                if matches!(*outcome, Outcome::Refused { .. }) && self.open_uri(place).is_none() {
                    let at = place.clone();
                    let left = move || disk::remove(&at, &Snapshot::detached("", ""));
                    let _ = tokio::task::spawn_blocking(left).await;
                }
                *outcome
            }
        }
    }

    /// What is told of a file that was made.
    pub(super) fn whole_file(&self, place: &Place, text: &str) -> Applied {
        let now = Snapshot::detached(text, "");
        let end = self.encoding().position(now.rope(), now.rope().len_bytes());
        let hunk = HunkView {
            id: String::new(),
            range: Range { start: Position::default(), end },
            old_text: String::new(),
            new_text: text.to_owned(),
        };
        let back = Patch::new(vec![Hunk { range: 0..now.rope().len_bytes(), new: String::new() }]);
        Applied {
            uri: self.uri(place),
            hunks: vec![hunk],
            rebased: false,
            created: true,
            fate: Fate::Stays,
            note: None,
            back: (now.clone(), back),
            now,
        }
    }
}
