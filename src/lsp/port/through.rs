//! Changing files that are not open through an editor that saves them.
//!
//! The editor opens the document, and mostly reports that; from then on what it reports is the truth, as for every open document. Some
//! open it without a report: then only the saved file shows the change.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tower_lsp::ls_types::{Uri, WorkspaceEdit};

use super::EditorPort;
use crate::disk;
use crate::edit::{Patch, Seen};
use crate::editor::{Applied, Outcome, Place};
use crate::lsp::client::Unanswered;
use crate::text::Snapshot;

/// How long the editor may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a change may take to show, in a buffer or on disk, once the editor has answered.
const SHOWN: Duration = Duration::from_secs(2);
/// How long it may take when the editor said that it has not made it.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// A change, and what comes of it.
pub(super) struct Wanted {
    pub(super) base: Snapshot,
    pub(super) patch: Patch,
    pub(super) after: Snapshot,
}

/// What an editor made of a change.
pub(super) enum Stands {
    /// It stands in this text.
    Here {
        /// The buffer when there is one, else the file.
        now: Snapshot,
        /// What is not as it should be all the same.
        note: Option<String>,
    },
    /// It does not, or nobody knows.
    Not(Box<Outcome>),
}

impl Wanted {
    pub(super) fn new(base: Snapshot, patch: Patch) -> Self {
        let after = base.with_rope(patch.apply(base.rope()));
        Self { base, patch, after }
    }

    /// Whether a text holds the change, whatever was typed or tidied elsewhere in it since.
    fn is_in(&self, text: &Snapshot) -> bool {
        if text.rope() == self.after.rope() {
            return true;
        }
        // Text that is only taken out leaves nothing to look for.
        if text.rope() == self.base.rope() || self.patch.hunks().iter().any(|hunk| hunk.new.is_empty()) {
            return false;
        }
        let seen = Seen { text: self.after.rope().clone(), back: self.patch.inverse(self.base.rope()) };
        seen.ranges(text.rope()).iter().all(Option::is_some)
    }
}

impl EditorPort {
    /// Sends an edit of a file that is not open, has it saved, and looks where it stands.
    pub(super) async fn through_editor(
        &self,
        place: &Place,
        uri: &Uri,
        edit: WorkspaceEdit,
        label: String,
        wanted: &Wanted,
    ) -> Stands {
        match timeout(ANSWER, self.client.apply_edit(label, edit)).await {
            Ok(Ok(reply)) if reply.applied => {}
            Ok(Ok(reply)) => {
                let why = reply.failure_reason.filter(|why| !why.is_empty());
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                if !self.shows(place, wanted).await {
                    let reason = format!("the editor did not apply the change of {place}{why}");
                    return Stands::Not(Box::new(Outcome::Refused { reason }));
                }
            }
            // It may have come after the edit.
            Ok(Err(error)) => {
                if !self.shows(place, wanted).await {
                    let reason = error.to_string();
                    return Stands::Not(Box::new(match error {
                        Unanswered::Unknown => Outcome::Refused { reason },
                        _ => Outcome::NotConfirmed { reason, late: None },
                    }));
                }
            }
            Err(_) => {
                let reason = format!("the editor did not answer for {place} within {} s", ANSWER.as_secs());
                return Stands::Not(Box::new(Outcome::NotConfirmed { reason, late: None }));
            }
        }
        let saved = self.client.save(uri.clone()).await;
        if let (Ok(true), Some(path)) = (&saved, place.path()) {
            self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_path_buf());
        }
        let deadline = Instant::now() + SHOWN;
        loop {
            let late = Instant::now() > deadline;
            let file = self.file(place).await;
            let buffer = self.buffer_of(place);
            if let Some(file) =
                file.filter(|file| file.rope() == wanted.after.rope() || saved == Ok(true) && wanted.is_in(file))
            {
                let tidied = (file.rope() != wanted.after.rope()).then(|| {
                    format!("The editor has changed more of {place} as it saved it; read it before you go on.")
                });
                return Stands::Here { now: buffer.unwrap_or(file), note: tidied };
            }
            // Saved, it will be on disk in a moment.
            if (late || saved != Ok(true))
                && let Some(now) = buffer.filter(|buffer| wanted.is_in(buffer))
            {
                return Stands::Here {
                    now,
                    note: Some(format!("{} The file on disk is as before.", unsaved(place, &saved))),
                };
            }
            if late {
                let reason = unseen(place, &saved);
                return Stands::Not(Box::new(Outcome::NotConfirmed { reason, late: None }));
            }
            sleep(LOOK).await;
        }
    }

    /// Whether an open document is one that the editor has opened and saved for a run, and that nobody has changed since: then it
    /// stays saved.
    pub(super) async fn is_kept_saved(&self, place: &Place) -> bool {
        let opened = |path: &Path| self.opened.lock().unwrap_or_else(PoisonError::into_inner).contains(path);
        if !self.client.caps().save || !place.path().is_some_and(opened) {
            return false;
        }
        let file = self.file(place).await;
        file.zip(self.buffer_of(place)).is_some_and(|(file, buffer)| file.rope() == buffer.rope())
    }

    /// Has a document saved that was before its change.
    pub(super) async fn saved_again(&self, place: &Place, uri: Uri, outcome: Outcome) -> Outcome {
        let Outcome::Applied(applied) = outcome else { return outcome };
        let saved = self.client.save(uri).await;
        let deadline = Instant::now() + SHOWN;
        while saved == Ok(true) {
            let file = self.file(place).await;
            if file.is_some_and(|file| self.buffer_of(place).is_none_or(|buffer| buffer.rope() == file.rope())) {
                return Outcome::Applied(applied);
            }
            if Instant::now() > deadline {
                break;
            }
            sleep(LOOK).await;
        }
        let note = format!("{} The file on disk is as before.", unsaved(place, &saved));
        Outcome::Applied(Applied { note: Some(note), ..applied })
    }

    /// Whether a change shows in a moment, though the editor denies it.
    async fn shows(&self, place: &Place, wanted: &Wanted) -> bool {
        let deadline = Instant::now() + AFTER_REFUSAL;
        loop {
            if self.buffer_of(place).is_some_and(|buffer| wanted.is_in(&buffer)) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            sleep(LOOK).await;
        }
    }

    fn buffer_of(&self, place: &Place) -> Option<Snapshot> {
        self.open_uri(place).and_then(|uri| self.documents.snapshot(&uri))
    }

    async fn file(&self, place: &Place) -> Option<Snapshot> {
        let at = place.clone();
        tokio::task::spawn_blocking(move || disk::read(&at)).await.ok()?.ok()
    }
}

fn unsaved(place: &Place, saved: &Result<bool, Unanswered>) -> String {
    match saved {
        Ok(true) => format!("The editor says that {place} is saved, but the file does not hold the change."),
        Ok(false) => format!("The editor has the change of {place} in a buffer and did not save it."),
        Err(error) => format!("The editor has the change of {place} in a buffer that could not be saved: {error}."),
    }
}

fn unseen(place: &Place, saved: &Result<bool, Unanswered>) -> String {
    match saved {
        Ok(true) => format!("the editor says that {place} is saved, but the file does not hold the change"),
        Ok(false) => format!("the editor said yes, but shows no change of {place}, and did not save it"),
        Err(error) => format!("the editor said yes, but shows no change of {place}, which could not be saved: {error}"),
    }
}
