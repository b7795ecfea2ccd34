//! A set of changes in several files: all of it, or nothing.
//!
//! Everything is looked at before anything is sent. Then one change is made after the other, for no editor makes several whole
//! or not at all; when one fails, those before it are taken back, each moved over what was typed since. What cannot be taken back is
//! named, with the reason.

use std::collections::{HashMap, HashSet};

use tokio_util::sync::CancellationToken;

use super::{Landed, Landing, report};
use crate::disk;
use crate::edit::Patch;
use crate::editor::{Applied, Change, Fate, Outcome, Place, ReadError, What};
use crate::text::Snapshot;
use crate::tool::walk::blocking;
use crate::tool::{Answer, Context, Failure, line};

/// One change of a set.
pub(in crate::tool) enum Step {
    /// Changes an existing text.
    Edit { place: Place, base: Snapshot, patch: Patch },
    /// Makes a new file.
    Create { place: Place, text: String },
    /// Takes a file away that holds `base`.
    Delete { place: Place, base: Snapshot },
    /// Gives a file another name; `base` is what it holds unless the set edits it before.
    Rename { place: Place, base: Snapshot, to: Place },
}

/// Changes that belong together.
pub(in crate::tool) struct Set<'a> {
    pub(in crate::tool) context: &'a Context,
    pub(in crate::tool) title: String,
}

/// A change of the set that is made.
struct Made {
    place: Place,
    landed: Landed,
    /// Whether it was open in the editor before.
    open: bool,
    /// What the model had seen of the file before.
    seen: Option<(Snapshot, bool)>,
}

impl Step {
    fn place(&self) -> &Place {
        match self {
            Self::Edit { place, .. }
            | Self::Create { place, .. }
            | Self::Delete { place, .. }
            | Self::Rename { place, .. } => place,
        }
    }
}

impl Set<'_> {
    /// Makes all of the changes, in their order, or none of them.
    ///
    /// # Errors
    /// What failed, and for each other file what was taken back and what was not.
    pub(in crate::tool) async fn land(&self, steps: Vec<Step>) -> Result<Answer, Failure> {
        // A single change leaves nothing half done, and the editor's side looks at everything.
        if steps.len() > 1 {
            self.check(&steps).await?;
        }
        let mut made: Vec<Made> = Vec::new();
        let mut texts: HashMap<Place, Snapshot> = HashMap::new();
        let mut steps = steps.into_iter();
        while let Some(step) = steps.next() {
            let place = step.place().clone();
            let (seen, open) = (self.context.reads.kept(&place), self.context.editor.buffer(&place).is_some());
            match self.make(step, &texts).await {
                Ok(landed) => {
                    if !landed.proposed {
                        texts.insert(place.clone(), landed.applied.now.clone());
                    }
                    made.push(Made { place, landed, open, seen });
                }
                Err(failure) => {
                    let rest: Vec<Place> = steps.map(|step| step.place().clone()).collect();
                    return Err(self.failed(failure, made, &rest).await);
                }
            }
        }
        Ok(together(made))
    }

    /// What can be known beforehand: nothing is sent when any of the changes cannot be made as things are.
    async fn check(&self, steps: &[Step]) -> Result<(), Failure> {
        let context = self.context;
        let not = |place: &Place, why: &str| Failure(format!("Nothing was done: {place} {why}"));
        let mut touched: HashSet<&Place> = HashSet::new();
        for (at, step) in steps.iter().enumerate() {
            let place = step.place();
            let after_its_edit = matches!(step, Step::Rename { .. })
                && at.checked_sub(1).is_some_and(
                    |before| matches!(&steps[before], Step::Edit { place: edited, .. } if edited == place),
                );
            let to = if let Step::Rename { to, .. } = step { Some(to) } else { None };
            let again = if after_its_edit { None } else { Some(place) };
            for place in again.into_iter().chain(to) {
                if !touched.insert(place) {
                    return Err(not(place, "is named twice; put all that happens to a file into one part"));
                }
            }
            let (new, old) = match step {
                Step::Create { place, .. } => (Some(place), None),
                Step::Rename { place, to, .. } => (Some(to), Some(place)),
                Step::Edit { place, .. } | Step::Delete { place, .. } => (None, Some(place)),
            };
            if let Some(new) = new {
                match context.editor.read(new).await {
                    Err(ReadError::Missing(_)) => {}
                    Ok(_) => return Err(not(new, "exists already")),
                    Err(error) => return Err(Failure(format!("Nothing was done: {error}"))),
                }
            }
            if let Some(old) = old {
                let now =
                    context.editor.read(old).await.map_err(|error| Failure(format!("Nothing was done: {error}")))?;
                self.check_old(step, now).await?;
            }
        }
        Ok(())
    }

    /// Whether a change can be made in what a document holds now.
    async fn check_old(&self, step: &Step, now: Snapshot) -> Result<(), Failure> {
        let place = step.place().clone();
        let open = self.context.editor.buffer(&place).is_some();
        let patch = match step {
            Step::Edit { base, patch, .. } => match patch.onto(base.rope(), None, now.rope()) {
                Ok(moved) => Some(moved),
                Err(clash) => {
                    let hunks = report::hunks(patch, base, self.context.editor.encoding());
                    let landing = self.landing(&place);
                    return Err(landing.conflict(hunks, &clash.to_string(), &now).await);
                }
            },
            Step::Delete { base, .. } if base.rope() != now.rope() => {
                return Err(Failure(format!("Nothing was done: {place} was changed since you read it; read it again")));
            }
            _ => None,
        };
        let delete = matches!(step, Step::Delete { .. });
        if open || !(delete || patch.is_some()) {
            return Ok(());
        }
        let checked = blocking(move || {
            let checked = match &patch {
                Some(patch) => disk::may_replace(&place, &now, &patch.apply(now.rope())),
                None => disk::may_remove(&place, &now),
            };
            checked.map_err(|error| Failure(format!("Nothing was done: {error}")))
        });
        checked.await
    }

    async fn make(&self, step: Step, texts: &HashMap<Place, Snapshot>) -> Result<Landed, Failure> {
        let landing = self.landing(step.place());
        match step {
            Step::Edit { base, patch, .. } => landing.land_edit(base, patch).await,
            Step::Create { text, .. } => landing.land_create(text).await,
            Step::Delete { base, .. } => landing.land_delete(base).await,
            Step::Rename { place, base, to } => {
                landing.land_rename(texts.get(&place).cloned().unwrap_or(base), &to).await
            }
        }
    }

    fn landing(&self, place: &Place) -> Landing<'_> {
        Landing { context: self.context, place: place.clone(), title: self.title.clone() }
    }

    /// Takes back what was made, newest first, and says what became of each file.
    async fn failed(&self, failure: Failure, made: Vec<Made>, rest: &[Place]) -> Failure {
        let mut said = failure.0;
        if !said.ends_with('.') {
            said.push('.');
        }
        if made.is_empty() && rest.is_empty() {
            return Failure(said);
        }
        let (mut back, mut left) = (Vec::new(), Vec::new());
        for made in made.into_iter().rev() {
            match self.take_back(&made).await {
                Ok(()) if made.open && matches!(made.landed.applied.fate, Fate::Deleted { .. }) => {
                    back.push(format!("{} (saved, and closed in the editor)", made.place));
                }
                Ok(()) => back.push(made.place.to_string()),
                Err(why) => left.push(format!("{} ({why})", made.place)),
            }
        }
        back.reverse();
        left.reverse();
        // A file may have been edited and renamed.
        back.dedup();
        if !back.is_empty() {
            said.push_str(&format!(
                " What had been done before was taken back, so these are as they were: {}.",
                back.join(", ")
            ));
        }
        if !left.is_empty() {
            said.push_str(&format!(
                " NOT taken back, and still as this call made it: {}. Read before you go on.",
                left.join("; ")
            ));
        }
        if !rest.is_empty() {
            let mut rest: Vec<String> = rest.iter().map(Place::to_string).collect();
            rest.dedup();
            said.push_str(&format!(" Not begun: {}.", rest.join(", ")));
        }
        Failure(said)
    }

    async fn take_back(&self, made: &Made) -> Result<(), String> {
        let context = self.context;
        let Landed { applied, proposed, .. } = &made.landed;
        if *proposed {
            return if context.editor.withdraw(&made.place, applied).await {
                context.reads.put_back(&made.place, made.seen.clone());
                Ok(())
            } else {
                Err("the proposal still waits for the person".into())
            };
        }
        let (place, what) = match &applied.fate {
            Fate::Moved { to, .. } => {
                let base = context.editor.read(to).await.map_err(|error| error.to_string())?;
                (to.clone(), What::Rename { base, to: made.place.clone() })
            }
            Fate::Deleted { mode } => (made.place.clone(), What::Restore { base: before(applied), mode: *mode }),
            Fate::Stays if applied.created => {
                (made.place.clone(), What::Delete { base: applied.now.clone(), or_empty: true })
            }
            Fate::Stays => {
                let (base, patch) = applied.back.clone();
                (made.place.clone(), What::Edit { base, patch })
            }
        };
        // Not the run's own token: what a stopped run has made half is taken back all the same.
        let cancel = CancellationToken::new();
        let label = line(&format!("Taken back: {}", self.title));
        let change = Change { place: place.clone(), label, what, cancel };
        let reason = match context.editor.apply(change).await {
            Outcome::Applied(back) => {
                context.told.applied(&place, &back, false).await;
                if place != made.place {
                    context.reads.forget(&place);
                }
                context.reads.put_back(&made.place, made.seen.clone());
                let emptied = applied.created && !matches!(back.fate, Fate::Deleted { .. });
                let emptied = emptied.then(|| "its text was taken out, and the empty file is still there".to_owned());
                // Taken back in the editor alone it is not as it was.
                let note = back.note.map(|note| note.trim_end_matches('.').to_owned());
                let left: Vec<String> = emptied.into_iter().chain(note).collect();
                return if left.is_empty() { Ok(()) } else { Err(left.join("; ")) };
            }
            Outcome::Conflict { reason, .. } | Outcome::Refused { reason } => reason,
            Outcome::NotConfirmed { reason, late } => {
                if let Some(late) = late {
                    context.told.maybe_late(place.clone(), late);
                }
                format!("not confirmed: {reason}")
            }
            Outcome::Proposed(_) => "taking it back was only proposed".into(),
        };
        // Whatever the model believes of it may be wrong now.
        context.reads.forget(&place);
        Err(match &applied.fate {
            Fate::Moved { to, .. } => format!("it is {to} now: {reason}"),
            _ => reason,
        })
    }
}

/// What a document held before a change.
fn before(applied: &Applied) -> Snapshot {
    let (after, back) = &applied.back;
    after.with_rope(back.apply(after.rope()))
}

fn together(made: Vec<Made>) -> Answer {
    let mut answers = made.into_iter().map(|made| made.landed.answer);
    let Some(first) = answers.next() else {
        return Answer {
            undone: false,
            ok: true,
            content: "Nothing was to be done.".into(),
            summary: "nothing".into(),
        };
    };
    answers.fold(first, |all, next| Answer {
        undone: false,
        ok: true,
        content: format!("{}\n{}", all.content.trim_end(), next.content),
        summary: format!("{}; {}", all.summary, next.summary),
    })
}

#[cfg(test)]
mod tests;
