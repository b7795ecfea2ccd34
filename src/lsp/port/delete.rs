//! Taking files away.

use std::path::Path;
use std::time::Duration;

use ropey::Rope;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tower_lsp::ls_types::{
    DeleteFile, DeleteFileOptions, DocumentChangeOperation, DocumentChanges, OptionalVersionedTextDocumentIdentifier,
    ResourceOp, TextDocumentEdit, Uri, WorkspaceEdit,
};

use super::EditorPort;
use crate::crash;
use crate::disk::{self, WriteError};
use crate::edit::{Hunk, Patch};
use crate::editor::{Applied, Editor, Fate, Outcome, Place, ReadError};
use crate::lsp::documents::Report;
use crate::protocol::{HunkView, Position, Range};
use crate::text::{Charset, Snapshot};

/// How long the editor may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a file that the editor says it has taken away may still be there.
const GONE: Duration = Duration::from_secs(2);
/// How long the editor may take to tell that it has closed the document of a file that is gone.
const CLOSED: Duration = Duration::from_millis(200);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

impl EditorPort {
    /// Takes away a file that is not open.
    pub(super) async fn delete_on_disk(&self, place: Place, base: Snapshot) -> Outcome {
        let (at, expected) = (place.clone(), base.clone());
        match tokio::task::spawn_blocking(move || disk::remove(&at, &expected)).await {
            Ok(Ok((mode, note))) => match self.gone(&place, &base, Some(mode)) {
                Outcome::Applied(applied) => Outcome::Applied(Applied { note, ..applied }),
                other => other,
            },
            Ok(Err(error @ WriteError::Changed { .. })) => {
                let reason = error.to_string();
                let WriteError::Changed { now, .. } = error else { return Outcome::Refused { reason } };
                Outcome::Conflict { reason, now }
            }
            Ok(Err(error)) => Outcome::Refused { reason: error.to_string() },
            Err(error) => Outcome::Refused { reason: format!("{place} could not be deleted: {}", crash::why(&error)) },
        }
    }

    /// Takes away an open document: through the editor where that can delete files, else, where that will do, its text, for a buffer
    /// is never changed behind the editor's back.
    pub(super) async fn delete_open(
        &self,
        place: &Place,
        uri: &Uri,
        base: Snapshot,
        or_empty: bool,
        label: String,
        cancel: &CancellationToken,
    ) -> Outcome {
        let Some((now, mut reports)) = self.documents.watch(uri.as_str()) else {
            return Outcome::Refused { reason: format!("{place} was closed in the editor meanwhile") };
        };
        if now.rope() != base.rope() {
            return Outcome::Conflict { reason: format!("{place} was changed in the editor meanwhile"), now };
        }
        let caps = self.client.caps();
        // One that was never saved is all buffer.
        let is_file = place.path().is_some_and(Path::exists);
        let able = caps.apply_edit && caps.document_changes && caps.delete_files;
        if !or_empty && !is_file {
            let reason = format!("{place} was never saved, so there is no file to delete; the person can close it");
            return Outcome::Refused { reason };
        }
        if !or_empty && !able {
            let reason = format!(
                "{place} is open, and this editor cannot delete an open file for a language server; the person can close it, or delete it"
            );
            return Outcome::Refused { reason };
        }
        if !(is_file && able) {
            drop(reports);
            let all = Hunk { range: 0..now.rope().len_bytes(), new: String::new() };
            return self.applier.apply(uri, &now, &Patch::joined([all]), &label, cancel).await;
        }
        // What it takes to put the file back as it was; an editor's snapshot does not say it.
        let at = place.clone();
        let file = match tokio::task::spawn_blocking(move || disk::kept(&at)).await {
            Ok(Ok(file)) => Some(file),
            Ok(Err(ReadError::Missing(_))) => None,
            Ok(Err(error)) => {
                let reason =
                    format!("{error}; deleted, it could not be put back, so it stays; the person can delete it");
                return Outcome::Refused { reason };
            }
            Err(error) => {
                return Outcome::Refused { reason: format!("{place} could not be read: {}", crash::why(&error)) };
            }
        };
        match timeout(ANSWER, self.client.apply_edit(label, deletion(uri, &now))).await {
            Ok(Ok(reply)) if reply.applied => {}
            Ok(Ok(reply)) => {
                let why = reply.failure_reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                return Outcome::Refused { reason: format!("the editor did not delete {place}{why}") };
            }
            Ok(Err(error)) => return Outcome::Refused { reason: error.to_string() },
            Err(_) => {
                let reason = format!("the editor did not answer for {place} within {} s", ANSWER.as_secs());
                return Outcome::NotConfirmed { reason, late: None };
            }
        }
        let deadline = Instant::now() + GONE;
        loop {
            let at = place.clone();
            let there = tokio::task::spawn_blocking(move || disk::read(&at)).await;
            if matches!(there, Ok(Err(ReadError::Missing(_)))) {
                let typed = last_typed(&mut reports).await;
                let note = typed.as_ref().map(|_| {
                    format!("Text was typed in {place} as it was deleted. It is not lost: undoing the deletion brings it back.")
                });
                let text = typed.as_ref().unwrap_or(now.rope());
                let (kept, mode) = match file {
                    Some((mode, file)) => (held(&file, text), Some(mode)),
                    None => (now.with_rope(text.clone()), None),
                };
                return match self.gone(place, &kept, mode) {
                    Outcome::Applied(applied) => Outcome::Applied(Applied { note, ..applied }),
                    other => other,
                };
            }
            if Instant::now() > deadline {
                let reason = format!("the editor says that {place} is deleted, but the file is still there");
                return Outcome::NotConfirmed { reason, late: None };
            }
            sleep(LOOK).await;
        }
    }

    /// Puts back a file that was taken away. On disk, whatever the editor can: only there it is as it was.
    pub(super) async fn restore(&self, place: Place, base: Snapshot, mode: Option<u32>) -> Outcome {
        let (at, held) = (place.clone(), base.clone());
        match tokio::task::spawn_blocking(move || disk::restore(&at, &held, mode)).await {
            Ok(Ok(note)) => {
                let made = self.whole_file(&place, &base.rope().to_string());
                // It was there before the run, so nobody may take it for one that the run has made.
                let back = (base.clone(), made.back.1);
                Outcome::Applied(Applied { now: base, back, created: false, note, ..made })
            }
            Ok(Err(error)) => Outcome::Refused { reason: error.to_string() },
            Err(error) => Outcome::Refused { reason: format!("{place} could not be put back: {}", crash::why(&error)) },
        }
    }

    /// What is told of a file that is gone.
    fn gone(&self, place: &Place, base: &Snapshot, mode: Option<u32>) -> Outcome {
        let old_text = base.rope().to_string();
        let back = Patch::new(vec![Hunk { range: 0..0, new: old_text.clone() }]);
        let start = Position::default();
        let hunk =
            HunkView { id: String::new(), range: Range { start, end: start }, old_text, new_text: String::new() };
        let now = base.with_rope(Rope::new());
        Outcome::Applied(Applied {
            uri: self.uri(place),
            hunks: vec![hunk],
            rebased: false,
            created: false,
            fate: Fate::Deleted { mode },
            note: None,
            back: (now.clone(), back),
            now,
        })
    }
}

/// The text that a document had in the end, when it was changed since it is watched. An editor tells of changes before it closes the
/// document, and of its closing somewhat after the file is gone.
async fn last_typed(reports: &mut UnboundedReceiver<Report>) -> Option<Rope> {
    let deadline = Instant::now() + CLOSED;
    let mut last = None;
    while let Ok(Some(report)) = timeout_at(deadline, reports.recv()).await {
        // Some editors empty a buffer that they close, which nobody typed.
        let texts = report.changes.into_iter().map(|(_, text)| text).filter(|text| text.len_bytes() > 0);
        last = texts.last().or(last);
    }
    last
}

/// What a file is put back as: the text of its buffer, with the file's mark, and in its encoding where that has all of the text.
fn held(file: &Snapshot, text: &Rope) -> Snapshot {
    let mut text = text.clone();
    // Some clients send the mark as text.
    if file.bom() && text.get_char(0) == Some('\u{feff}') {
        text.remove(0..1);
    }
    let held = file.with_rope(text);
    if held.charset().encode(held.rope(), held.bom()).is_ok() { held } else { held.kept_in(Charset::default()) }
}

/// The request to delete a file. The edit before it changes nothing, but it names the version: an editor that looks at
/// versions then refuses all of it when something was typed meanwhile.
fn deletion(uri: &Uri, now: &Snapshot) -> WorkspaceEdit {
    let text_document = OptionalVersionedTextDocumentIdentifier { uri: uri.clone(), version: Some(now.version()) };
    let guard = TextDocumentEdit { text_document, edits: Vec::new() };
    let delete = ResourceOp::Delete(DeleteFile {
        uri: uri.clone(),
        options: Some(DeleteFileOptions { recursive: Some(false), ignore_if_not_exists: Some(true) }),
        annotation_id: None,
    });
    WorkspaceEdit {
        document_changes: Some(DocumentChanges::Operations(vec![
            DocumentChangeOperation::Edit(guard),
            DocumentChangeOperation::Op(delete),
        ])),
        ..WorkspaceEdit::default()
    }
}
