//! Handing a change to the editor, and saying what became of it.

mod report;

use super::edit::lf;
use super::{Answer, Context, Failure, lines};
use crate::edit::Patch;
use crate::editor::{Applied, Change, Outcome, Place, What};
use crate::protocol::{HunkView, Position, Range};
use crate::text::Snapshot;

/// A change on its way into a document.
pub(super) struct Landing<'a> {
    pub(super) context: &'a Context,
    pub(super) place: Place,
    pub(super) title: String,
}

impl Landing<'_> {
    /// Changes an existing text.
    pub(super) async fn edit(self, base: Snapshot, patch: Patch) -> Result<Answer, Failure> {
        let context = self.context;
        let from_seen = context.reads.last(&self.place).is_none_or(|seen| seen.rope() == base.rope());
        let after = base.with_rope(patch.apply(base.rope()));
        let hunks = report::hunks(&patch, &base, context.editor.encoding());
        let count = report::Count::of(&patch, &base);
        let change = self.change(What::Edit { base, patch });
        match context.editor.apply(change).await {
            Outcome::Applied(applied) => {
                if from_seen {
                    self.seen_after(&applied, &after);
                }
                context.told.applied(&self.place, &applied, false).await;
                Ok(report::applied(&self.place, &applied, count))
            }
            Outcome::Conflict { reason, now } => Err(self.conflict(hunks, &reason, &now).await),
            Outcome::Refused { reason } => Err(self.refused(hunks, reason).await),
            Outcome::NotConfirmed { reason, late } => Err(self.not_confirmed(&reason, late)),
        }
    }

    /// Makes a new file.
    pub(super) async fn create(self, text: String) -> Result<Answer, Failure> {
        let context = self.context;
        let text = lf(text);
        let hunk =
            HunkView { id: String::new(), range: Range::default(), old_text: String::new(), new_text: text.clone() };
        let change = self.change(What::Create { text: text.clone() });
        match context.editor.apply(change).await {
            Outcome::Applied(applied) => {
                let made = Snapshot::detached(&text, applied.now.language());
                context.reads.note(&self.place, &made);
                self.seen_after(&applied, &made);
                context.told.applied(&self.place, &applied, false).await;
                let count = lines::counted(lines::count(&text), "line");
                Ok(Answer {
                    undone: false,
                    ok: true,
                    content: format!("Made {} ({count}).", self.place),
                    summary: count,
                })
            }
            Outcome::Conflict { reason, now } => Err(self.conflict(vec![hunk], &reason, &now).await),
            Outcome::Refused { reason } => Err(self.refused(vec![hunk], reason).await),
            Outcome::NotConfirmed { reason, late } => Err(self.not_confirmed(&reason, late)),
        }
    }

    fn change(&self, what: What) -> Change {
        Change { place: self.place.clone(), label: super::line(&self.title), what, cancel: self.context.cancel.clone() }
    }

    /// What the model takes for the text from now on: what it knew with its own change in it. Where that is what the editor
    /// reports, the editor's snapshot stands for it. Where a person typed meanwhile it does not: the model has not seen their
    /// lines, so a change of its that meets them must come back as a conflict that shows them, and a `write` must not take them
    /// away. The next edit is found in this text, and the editor's side moves it over the difference.
    ///
    /// An edit that was found only in the present text says nothing about the lines around it, so it changes nothing here; the
    /// next one falls back to the present text in the same way.
    fn seen_after(&self, applied: &Applied, after: &Snapshot) {
        let same = applied.now.rope() == after.rope();
        self.context.reads.follow(&self.place, if same { &applied.now } else { after });
    }

    /// The model is shown what it has not seen. Only when that is all of it, it counts as seen.
    async fn conflict(&self, hunks: Vec<HunkView>, reason: &str, now: &Snapshot) -> Failure {
        let (context, place) = (self.context, &self.place);
        context.told.rejected(context.editor.uri(place), hunks, reason.to_owned()).await;
        let room = context.limits.tool_output_bytes / 4;
        let shown = context.reads.last(place).and_then(|seen| report::difference(&seen, now, room));
        Failure(match shown {
            Some(changed) => {
                context.reads.follow(place, now);
                format!(
                    "{place} was not changed: it was changed since you read it, and your change meets that ({reason}). What is new \
                     there, with the line numbers of now:\n{changed}Make the change again on this text if it is still wanted."
                )
            }
            None => format!(
                "{place} was not changed: it was changed since you read it, and your change meets that ({reason}). Read it again first."
            ),
        })
    }

    async fn refused(&self, hunks: Vec<HunkView>, reason: String) -> Failure {
        let (context, place) = (self.context, &self.place);
        let said = format!("{place} was not changed: {reason}");
        context.told.rejected(context.editor.uri(place), hunks, reason).await;
        Failure(said)
    }

    /// Whatever the model believes of the text may be wrong now, so it has to read again.
    fn not_confirmed(&self, reason: &str, late: Option<tokio::sync::oneshot::Receiver<Applied>>) -> Failure {
        let (context, place) = (self.context, &self.place);
        context.reads.forget(place);
        if let Some(late) = late {
            context.told.maybe_late(place.clone(), late);
        }
        Failure(format!(
            "It is not confirmed that {place} was changed ({reason}); the change may still come. Read the file before you go on, and do \
             not make the change twice."
        ))
    }
}

/// The lines, from 1, that a range stands on; `None` for an empty one.
fn lines_of(range: Range) -> Option<std::ops::RangeInclusive<usize>> {
    let Range { start, end } = range;
    if start == end {
        return None;
    }
    let Position { line, character } = end;
    let last = if character == 0 && line > start.line { line } else { line + 1 };
    Some(start.line as usize + 1..=last as usize)
}
