//! Changing files that are not open.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower_lsp::ls_types::{
    DocumentChanges, OneOf, OptionalVersionedTextDocumentIdentifier, TextDocumentEdit, TextEdit, Uri, WorkspaceEdit,
};

use super::EditorPort;
use crate::crash;
use crate::disk::{self, WriteError};
use crate::edit::{Clash, Patch, deltas_between};
use crate::editor::{Applied, Editor, Outcome, Place};
use crate::lsp::apply::text_edits;
use crate::lsp::uri;
use crate::protocol::{HunkView, Range};
use crate::text::Snapshot;

/// How long a file that the editor was asked to open and save may take to stand on disk.
const ON_DISK: Duration = Duration::from_secs(2);
/// How often the disk is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

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
            Some(_) => self.edit_on_disk(place, base, patch, &label, cancel).await,
            None => Outcome::Refused { reason: format!("{place} is no longer open") },
        }
    }

    /// Changes a file that is not open, through the editor, and has it saved.
    async fn edit_in_editor(&self, place: &Place, uri: &Uri, base: &Snapshot, patch: &Patch, label: String) -> Outcome {
        let edit = self.text_edit(uri, text_edits(base, patch, self.encoding()));
        let edit =
            WorkspaceEdit { document_changes: Some(DocumentChanges::Edits(vec![edit])), ..WorkspaceEdit::default() };
        let after = base.with_rope(patch.apply(base.rope()));
        let expected = after.rope().to_string();
        match self.through_editor(place, uri, edit, label, &expected).await {
            Some(outcome) => outcome,
            None => self.landed_on_disk(place, base, patch, after, false),
        }
    }

    pub(super) fn text_edit(&self, uri: &Uri, edits: Vec<TextEdit>) -> TextDocumentEdit {
        TextDocumentEdit {
            text_document: OptionalVersionedTextDocumentIdentifier { uri: uri.clone(), version: None },
            edits: edits.into_iter().map(OneOf::Left).collect(),
        }
    }

    /// Sends an edit of a file that is not open, has it saved and looks at the disk; `None` when it stands there.
    pub(super) async fn through_editor(
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
                Err(error) => {
                    return Outcome::Refused { reason: format!("could not read {place}: {}", crash::why(&error)) };
                }
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
                Err(error) => {
                    return Outcome::Refused { reason: format!("could not write {place}: {}", crash::why(&error)) };
                }
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
        let back = (after.clone(), patch.inverse(base.rope()));
        Outcome::Applied(Applied { uri: self.uri(place), hunks, rebased, now: after, created: false, back })
    }
}

/// A patch against `base`, moved to the text as it is now.
fn moved(base: &Snapshot, patch: &Patch, now: &Snapshot) -> Result<Patch, Clash> {
    patch.rebase(base.rope(), &deltas_between(base.rope(), now.rope()), now.rope())
}
