//! Changing files that are not open.

use tokio_util::sync::CancellationToken;
use tower_lsp::ls_types::{
    DocumentChanges, OneOf, OptionalVersionedTextDocumentIdentifier, TextDocumentEdit, TextEdit, Uri, WorkspaceEdit,
};

use super::EditorPort;
use super::through::{Stands, Wanted};
use crate::crash;
use crate::disk::{self, WriteError};
use crate::edit::{Clash, Patch, Seen};
use crate::editor::{Applied, Editor, Fate, Outcome, Place};
use crate::lsp::apply::text_edits;
use crate::lsp::uri;
use crate::text::{Charset, Snapshot};

/// How often a file that changes at the same time is written anew.
const TRIES: u32 = 3;

impl EditorPort {
    /// Changes a file that is not open: through the editor where that saves it too, else on disk.
    pub(super) async fn edit_unopened(
        &self,
        place: Place,
        base: Snapshot,
        patch: Patch,
        label: String,
        cancel: &CancellationToken,
    ) -> Outcome {
        let caps = self.client.caps();
        let Some(uri) = place.path().and_then(uri::from_path) else {
            return Outcome::Refused { reason: format!("{place} is no longer open") };
        };
        if !(caps.save && caps.apply_edit && caps.document_changes) {
            return self.edit_on_disk(place, base, patch, &label, cancel).await;
        }
        let now = match self.read(&place).await {
            Ok(now) => now,
            Err(error) => return Outcome::Refused { reason: error.to_string() },
        };
        if !is_kept_by_editors(&now) {
            return self.edit_on_disk(place, base, patch, &label, cancel).await;
        }
        let rebased = now.rope() != base.rope();
        let patch = match moved(&base, &patch, &now) {
            Ok(patch) => patch,
            Err(clash) => return Outcome::Conflict { reason: clash.to_string(), now },
        };
        let edit = self.text_edit(&uri, text_edits(&now, &patch, self.encoding()));
        let edit =
            WorkspaceEdit { document_changes: Some(DocumentChanges::Edits(vec![edit])), ..WorkspaceEdit::default() };
        let wanted = Wanted::new(now, patch);
        let outcome = match self.through_editor(&place, &uri, edit, label.clone(), &wanted).await {
            Stands::Here { now, seen, note } => {
                let applied = self.landed(&place, seen, now, rebased);
                return Outcome::Applied(Applied { note, ..applied });
            }
            Stands::Not(outcome) => *outcome,
        };
        match self.open_uri(&place).and_then(|uri| uri.parse::<Uri>().ok()) {
            // Opened this very moment: then it is changed as an open document is.
            Some(uri) if matches!(outcome, Outcome::Refused { .. }) => {
                self.applier.apply(&uri, &wanted.base, &wanted.patch, &label, cancel).await
            }
            _ => outcome,
        }
    }

    pub(super) fn text_edit(&self, uri: &Uri, edits: Vec<TextEdit>) -> TextDocumentEdit {
        TextDocumentEdit {
            text_document: OptionalVersionedTextDocumentIdentifier { uri: uri.clone(), version: None },
            edits: edits.into_iter().map(OneOf::Left).collect(),
        }
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
                Err(error) => {
                    return Outcome::Refused { reason: format!("could not read {place}: {}", crash::why(&error)) };
                }
            };
            let moved = match moved(&base, &patch, &now) {
                Ok(moved) => moved,
                Err(clash) => return Outcome::Conflict { reason: clash.to_string(), now },
            };
            let wanted = Wanted::new(now, moved);
            let (at, expected, new) = (place.clone(), wanted.base.clone(), wanted.after.rope().clone());
            let written = tokio::task::spawn_blocking(move || disk::replace(&at, &expected, &new)).await;
            match written {
                Ok(Ok(note)) => {
                    let (rebased, now) = (wanted.base.rope() != base.rope(), wanted.after.clone());
                    let applied = self.landed(&place, wanted.seen(), now, rebased);
                    return Outcome::Applied(Applied { note, ..applied });
                }
                // Another program wrote this very moment: look again.
                Ok(Err(WriteError::Changed { .. })) => {}
                Ok(Err(error)) => return Outcome::Refused { reason: error.to_string() },
                Err(error) => {
                    return Outcome::Refused { reason: format!("could not write {place}: {}", crash::why(&error)) };
                }
            }
        }
        Outcome::Refused { reason: format!("{place} kept changing on disk while it was written {TRIES} times") }
    }

    /// What is told of a change that stands in a file, or in a buffer that the editor has opened for it.
    fn landed(&self, place: &Place, seen: Seen, now: Snapshot, rebased: bool) -> Applied {
        Applied {
            uri: self.uri(place),
            hunks: self.views(&seen, &now),
            rebased,
            back: (now.with_rope(seen.text), seen.back),
            now,
            created: false,
            fate: Fate::Stays,
            note: None,
        }
    }
}

/// Whether an editor that opens and saves the text would keep it as it is. Some take other bytes than UTF-8 for what they are not, make
/// mixed line ends even, or end the last line.
fn is_kept_by_editors(text: &Snapshot) -> bool {
    if text.charset() != Charset::default() {
        return false;
    }
    let rope = text.rope();
    let (mut after_cr, mut lf, mut crlf) = (false, false, false);
    for byte in rope.bytes() {
        match (byte, after_cr) {
            (b'\n', true) => crlf = true,
            (b'\n', false) => lf = true,
            (_, true) => return false,
            _ => {}
        }
        after_cr = byte == b'\r';
    }
    let ended = rope.len_bytes() == 0 || rope.get_byte(rope.len_bytes() - 1) == Some(b'\n');
    ended && !after_cr && !(lf && crlf)
}

/// A patch against `base`, moved to the text as it is now.
fn moved(base: &Snapshot, patch: &Patch, now: &Snapshot) -> Result<Patch, Clash> {
    patch.onto(base.rope(), None, now.rope())
}
