//! Changing files that are not open through an editor that saves them.
//!
//! The editor opens the document, and mostly reports that; from then on what it reports is the truth, as for every open document. Some
//! open it without a report: then only the saved file shows the change.

use std::path::Path;
use std::time::Duration;

use ropey::Rope;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tower_lsp::ls_types::{Uri, WorkspaceEdit};

use super::EditorPort;
use crate::disk;
use crate::edit::{Hunk, Patch, Seen};
use crate::editor::{Applied, Editor, Outcome, Place};
use crate::lsp::client::Unanswered;
use crate::lsp::documents::Report;
use crate::protocol::{HunkView, Range};
use crate::text::Snapshot;

/// How long the editor may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a change may take to show, in a buffer or on disk, once the editor has answered.
const SHOWN: Duration = Duration::from_secs(2);
/// How long the editor may take to report a change that it is about to be asked to save, in a document that it has reported.
const BEFORE_SAVE: Duration = Duration::from_millis(500);
/// How long it may take to report the document at all. Some never do.
const OPENED: Duration = Duration::from_millis(200);
/// How long it may take when the editor said that it has not made it.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// How many places a note names.
const LINES: usize = 8;

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
        /// What takes it back, and the text that this was made against.
        seen: Seen,
        /// What is not as it should be all the same.
        note: Option<String>,
    },
    /// It does not, or nobody knows.
    Not(Box<Outcome>),
}

/// What an editor reports while it saves.
#[derive(Default)]
struct Since {
    /// The text after each report so far.
    texts: Vec<Rope>,
    incoming: Option<mpsc::UnboundedReceiver<Report>>,
}

impl Since {
    /// Whether more came until the text read as it was saved than an editor that tidies it does, which is one report.
    fn has_typing(&mut self, saved: &Snapshot) -> bool {
        let incoming = self.incoming.iter_mut().flat_map(|incoming| std::iter::from_fn(|| incoming.try_recv().ok()));
        self.texts.extend(incoming.filter_map(|report| report.changes.into_iter().last().map(|(_, text)| text)));
        let until = self.texts.iter().position(|text| text == saved.rope());
        until.map_or(self.texts.len(), |at| at + 1) > 1
    }
}

impl Wanted {
    pub(super) fn new(base: Snapshot, patch: Patch) -> Self {
        let after = base.with_rope(patch.apply(base.rope()));
        Self { base, patch, after }
    }

    /// The change in the text that it makes.
    pub(super) fn seen(&self) -> Seen {
        Seen { text: self.after.rope().clone(), back: self.patch.inverse(self.base.rope()) }
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
        self.seen().within(text.rope()).is_some()
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
        let stood = self.stood(place, wanted).await;
        let since = self.since(place, stood.as_ref());
        let saved = self.client.save(uri.clone()).await;
        if let (Ok(true), Some(path)) = (&saved, place.path()) {
            self.opened().insert(path.to_path_buf());
        }
        self.settled(place, wanted, (stood, since), &saved, Some(&wanted.base)).await
    }

    /// What is reported from now on, of a document in which a change stood.
    fn since(&self, place: &Place, stood: Option<&Snapshot>) -> Since {
        let watched = self.open_uri(place).and_then(|uri| self.documents.watch(&uri)).zip(stood);
        watched.map_or_else(Since::default, |((now, incoming), stood)| Since {
            texts: if now.rope() == stood.rope() { Vec::new() } else { vec![now.rope().clone()] },
            incoming: Some(incoming),
        })
    }

    /// The reported buffer in which a change stands before it is saved; none when none is reported. Saved, it may read otherwise.
    async fn stood(&self, place: &Place, wanted: &Wanted) -> Option<Snapshot> {
        let begun = Instant::now();
        loop {
            let buffer = self.buffer_of(place);
            let patience = if buffer.is_some() { BEFORE_SAVE } else { OPENED };
            let stood = buffer.filter(|buffer| wanted.is_in(buffer));
            if stood.is_some() || begun.elapsed() > patience {
                return stood;
            }
            sleep(LOOK).await;
        }
    }

    /// Looks where a change stands that the editor was asked to save. `stood` is the reported buffer that held it before that, and
    /// `before` what the file held then.
    async fn settled(
        &self,
        place: &Place,
        wanted: &Wanted,
        (stood, mut since): (Option<Snapshot>, Since),
        saved: &Result<bool, Unanswered>,
        before: Option<&Snapshot>,
    ) -> Stands {
        let is_saved = *saved == Ok(true);
        let same = |one: &Snapshot, other: &Option<Snapshot>| other.as_ref().is_some_and(|it| it.rope() == one.rope());
        let text = stood.as_ref().unwrap_or(&wanted.after);
        let seen = wanted.seen().within(text.rope()).unwrap_or_else(|| wanted.seen());
        let deadline = Instant::now() + SHOWN;
        loop {
            let late = Instant::now() > deadline;
            let file = self.file(place).await;
            let buffer = self.buffer_of(place);
            // The editor may write something else than what stood in the buffer, and reports that too.
            let holds = |file: &&Snapshot| {
                file.rope() == wanted.after.rope()
                    || same(file, &stood)
                    || (is_saved || stood.is_some()) && wanted.is_in(file)
                    // Unless the person has undone it meanwhile.
                    || is_saved && stood.is_some() && same(file, &buffer) && file.rope() != wanted.base.rope()
            };
            if let Some(file) = file.as_ref().filter(holds) {
                let note = on_save(place, text, file);
                // What it does not report, it may not have in its buffer. And what the person typed meanwhile is not to be taken for
                // tidying: then what was done on the lines of the change stands in its way, and nothing of it is ever lost.
                let is_as_it_stood = buffer.is_some() && same(text, &buffer);
                let seen = if is_as_it_stood || since.has_typing(file) { seen } else { seen.tidied(file.rope()) };
                return Stands::Here { now: buffer.unwrap_or_else(|| file.clone()), seen, note };
            }
            // Saved, it will be on disk in a moment. Gone from the buffer, it was taken back.
            let stands =
                |buffer: &Snapshot| wanted.is_in(buffer) || stood.is_some() && buffer.rope() != wanted.base.rope();
            if (late || !is_saved)
                && let Some(now) = buffer.filter(stands)
            {
                let is_as_before = file.zip(before).is_some_and(|(file, before)| file.rope() == before.rope());
                let file = if is_as_before { "is as before" } else { "reads otherwise than the buffer" };
                let note = Some(format!("{} The file on disk {file}.", unsaved(place, saved)));
                return Stands::Here { now, seen, note };
            }
            if late {
                let reason = unseen(place, saved);
                return Stands::Not(Box::new(Outcome::NotConfirmed { reason, late: None }));
            }
            sleep(LOOK).await;
        }
    }

    /// Whether an open document is one that the editor has opened and saved for a run, and that nobody has changed since: then it
    /// stays saved.
    pub(super) async fn is_kept_saved(&self, place: &Place) -> bool {
        let opened = |path: &Path| self.opened().contains(path);
        if !self.client.caps().save || !place.path().is_some_and(opened) {
            return false;
        }
        let file = self.file(place).await;
        file.zip(self.buffer_of(place)).is_some_and(|(file, buffer)| file.rope() == buffer.rope())
    }

    /// Has a document saved that was before its change.
    pub(super) async fn saved_again(&self, place: &Place, uri: Uri, outcome: Outcome) -> Outcome {
        let Outcome::Applied(applied) = outcome else { return outcome };
        if applied.hunks.is_empty() {
            return Outcome::Applied(applied);
        }
        let stood = Some(applied.now.clone());
        let since = self.since(place, stood.as_ref());
        let before = self.file(place).await;
        let saved = self.client.save(uri).await;
        let (after, back) = &applied.back;
        let base = after.with_rope(back.apply(after.rope()));
        let wanted = Wanted::new(base, back.inverse(after.rope()));
        match self.settled(place, &wanted, (stood, since), &saved, before.as_ref()).await {
            Stands::Here { now, seen, note } => {
                let hunks = self.views(&seen, &now);
                let note = applied.note.into_iter().chain(note).reduce(|first, more| format!("{first} {more}"));
                let back = (after.with_rope(seen.text), seen.back);
                Outcome::Applied(Applied { hunks, now, note, back, ..applied })
            }
            // It was there before, so it has been made, whatever became of it.
            Stands::Not(_) => Outcome::Applied(Applied {
                note: Some(format!("{} Read it again.", unsaved(place, &saved))),
                ..applied
            }),
        }
    }

    /// What is told of the places of a change that stands in a text.
    pub(super) fn views(&self, seen: &Seen, now: &Snapshot) -> Vec<HunkView> {
        let encoding = self.encoding();
        let place_of = |offset| encoding.position(now.rope(), offset);
        let view = |(hunk, range): (&Hunk, Option<std::ops::Range<usize>>)| HunkView {
            id: String::new(),
            range: range
                .map_or_else(Range::default, |range| Range { start: place_of(range.start), end: place_of(range.end) }),
            old_text: hunk.new.clone(),
            new_text: seen.text.byte_slice(hunk.range.clone()).to_string(),
        };
        seen.back.hunks().iter().zip(seen.ranges(now.rope())).map(view).collect()
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

/// What the editor has changed in a text as it saved it, by the lines of the file.
fn on_save(place: &Place, text: &Snapshot, file: &Snapshot) -> Option<String> {
    let mut lines: Vec<(usize, usize)> = Vec::new();
    for range in Patch::exact(text.rope(), file.rope()).new_ranges() {
        let number = |at: usize| file.rope().byte_to_line(at) + 1;
        let (first, last) = (number(range.start), number(if range.is_empty() { range.end } else { range.end - 1 }));
        match lines.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => lines.push((first, last)),
        }
    }
    let more = if lines.len() > LINES { ", …" } else { "" };
    let shown = lines.iter().take(LINES);
    let shown: Vec<String> = shown
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first} to {last}") })
        .collect();
    let one = matches!(lines.as_slice(), [(first, last)] if first == last);
    let shown = match shown.as_slice() {
        [] => return None,
        [one] => one.clone(),
        [rest @ .., last] if more.is_empty() => format!("{} and {last}", rest.join(", ")),
        all => all.join(", ") + more,
    };
    Some(format!("{place} is saved; the editor changed it on save: {} {shown}.", if one { "line" } else { "lines" }))
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
        Ok(true) => {
            format!("the editor says that {place} is saved, but the file does not hold the change; read it again")
        }
        Ok(false) => format!("the editor said yes, but shows no change of {place}, and did not save it"),
        Err(error) => format!("the editor said yes, but shows no change of {place}, which could not be saved: {error}"),
    }
}
