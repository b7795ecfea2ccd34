//! Handing a change to the editor, and saying what became of it.

mod report;
mod set;

pub(super) use set::{Set, Step};

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

/// A change that is made, or put to the person.
pub(super) struct Landed {
    /// What the model hears.
    pub(super) answer: Answer,
    /// What was made.
    pub(super) applied: Applied,
    /// Whether it waits for the person.
    pub(super) proposed: bool,
}

impl Landing<'_> {
    /// Changes an existing text.
    pub(super) async fn edit(self, base: Snapshot, patch: Patch) -> Result<Answer, Failure> {
        self.land_edit(base, patch).await.map(|landed| landed.answer)
    }

    /// Makes a new file.
    pub(super) async fn create(self, text: String) -> Result<Answer, Failure> {
        self.land_create(text).await.map(|landed| landed.answer)
    }

    /// Changes an existing text.
    pub(super) async fn land_edit(&self, base: Snapshot, patch: Patch) -> Result<Landed, Failure> {
        let context = self.context;
        let from_seen = context.reads.last(&self.place).is_none_or(|seen| seen.rope() == base.rope());
        let after = base.with_rope(patch.apply(base.rope()));
        let hunks = report::hunks(&patch, &base, context.editor.encoding());
        let count = report::Count::of(&patch, &base);
        let landed = self.land(What::Edit { base, patch }, hunks, |applied, proposed| {
            if proposed {
                report::proposed(&self.place, applied, count)
            } else {
                report::applied(&self.place, applied, count)
            }
        });
        let landed = landed.await?;
        if from_seen {
            self.seen_after(&landed.applied, &after);
        }
        Ok(landed)
    }

    /// Makes a new file.
    pub(super) async fn land_create(&self, text: String) -> Result<Landed, Failure> {
        let place = &self.place;
        let text = lf(text);
        let hunk =
            HunkView { id: String::new(), range: Range::default(), old_text: String::new(), new_text: text.clone() };
        let count = lines::counted(lines::count(&text), "line");
        let landed = self.land(What::Create { text: text.clone() }, vec![hunk], |_, proposed| {
            if proposed {
                let content = format!("Proposed to make {place} ({count}). {}", report::WAITS);
                Answer { undone: false, ok: true, content, summary: format!("proposed, {count}") }
            } else {
                Answer { undone: false, ok: true, content: format!("Made {place} ({count})."), summary: count.clone() }
            }
        });
        let landed = landed.await?;
        let made = Snapshot::detached(&text, landed.applied.now.language());
        self.context.reads.note(place, &made);
        self.seen_after(&landed.applied, &made);
        Ok(landed)
    }

    /// Takes a file away.
    pub(super) async fn land_delete(&self, base: Snapshot) -> Result<Landed, Failure> {
        let place = &self.place;
        let count = lines::counted(lines::count(&base.lf()), "line");
        let landed = self.land(What::Delete { base, or_empty: false }, Vec::new(), |_, proposed| {
            let content = if proposed {
                format!("Proposed to delete {place} ({count}). {}", report::WAITS)
            } else {
                format!("Deleted {place} ({count}).")
            };
            Answer {
                undone: false,
                ok: true,
                content,
                summary: if proposed { format!("proposed, {count}") } else { count.clone() },
            }
        });
        let landed = landed.await?;
        self.context.reads.forget(place);
        Ok(landed)
    }

    /// Gives a file another name.
    pub(super) async fn land_rename(&self, base: Snapshot, to: &Place) -> Result<Landed, Failure> {
        let place = &self.place;
        let landed = self.land(What::Rename { base, to: to.clone() }, Vec::new(), |_, proposed| {
            let content = if proposed {
                format!("Proposed to move {place} to {to}. {}", report::WAITS)
            } else {
                format!("Moved {place} to {to}.")
            };
            let summary = if proposed { format!("proposed, to {to}") } else { format!("now {to}") };
            Answer { undone: false, ok: true, content, summary }
        });
        let landed = landed.await?;
        if !landed.proposed {
            self.context.reads.moved(place, to);
        }
        Ok(landed)
    }

    /// Hands a change to the editor; `hunks` are told when it is not made.
    async fn land(
        &self,
        what: What,
        hunks: Vec<HunkView>,
        answer: impl FnOnce(&Applied, bool) -> Answer,
    ) -> Result<Landed, Failure> {
        match self.context.editor.apply(self.change(what)).await {
            Outcome::Applied(applied) => {
                self.context.told.applied(&self.place, &applied, false).await;
                let mut answer = answer(&applied, false);
                if let Some(note) = &applied.note {
                    answer.content = format!("{}\n{note}", answer.content.trim_end());
                }
                Ok(Landed { answer, applied, proposed: false })
            }
            Outcome::Proposed(applied) => Ok(Landed { answer: answer(&applied, true), applied, proposed: true }),
            Outcome::Conflict { reason, now } => Err(self.conflict(hunks, &reason, &now).await),
            Outcome::Refused { reason } => Err(self.refused(hunks, reason).await),
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
    pub(super) async fn conflict(&self, hunks: Vec<HunkView>, reason: &str, now: &Snapshot) -> Failure {
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
