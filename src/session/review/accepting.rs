//! Making what the person takes: one change in each document, and a look for it where the editor has not shown it in time.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deciding::{May, decided_in_all, kept_in_all};
use super::making::Making;
use super::{Reviews, kept};
use crate::editor::{Applied, Change, Editor, Fate, Outcome, Place, What};
use crate::protocol::RunId;
use crate::store::Verdict;

/// What it takes to make what the person takes.
pub(super) struct Accepting<'a> {
    pub(super) reviews: &'a Arc<Reviews>,
    pub(super) editor: &'a Arc<dyn Editor>,
    pub(super) may: &'a May<'a>,
    /// Where the same waits.
    pub(super) others: &'a [Arc<Reviews>],
}

impl Accepting<'_> {
    /// What is made goes to `done` at once: it stays when something behind it fails.
    pub(super) async fn accept_in(
        &self,
        run: RunId,
        place: &Place,
        ids: Vec<String>,
        done: &mut Vec<String>,
    ) -> Result<(), String> {
        let Self { reviews, editor, may, .. } = self;
        may(place)?;
        // What a fork has been given to wait for may be on its way from where it comes from.
        let busy = [*reviews].into_iter().chain(self.others).flat_map(|reviews| reviews.busy());
        if let Some(busy) = busy.into_iter().find(|busy| busy.is_with(run, &ids)) {
            return Err(busy.why);
        }
        if let Some(why) = [*reviews].into_iter().chain(self.others).find_map(|reviews| reviews.parted(run, &ids)) {
            return Err(why);
        }
        let rename = reviews.rename_among(run, place, &ids);
        let edits: Vec<String> =
            ids.into_iter().filter(|id| rename.as_ref().is_none_or(|(name, _)| name != id)).collect();
        if !edits.is_empty() {
            let (what, ids) = reviews.what(editor.as_ref(), run, place, edits).await?;
            done.extend(self.make(run, place, what, ids).await?);
        }
        if let Some((id, to)) = rename {
            may(&to)?;
            let base = editor.read(place).await.map_err(|error| error.to_string())?;
            done.extend(self.make(run, place, What::Rename { base, to }, vec![id]).await?);
        }
        Ok(())
    }

    /// Has the editor make it, as one step to undo.
    async fn make(&self, run: RunId, place: &Place, what: What, ids: Vec<String>) -> Result<Vec<String>, String> {
        let Self { reviews, editor, others, .. } = *self;
        let count = if ids.len() == 1 { "1 change".to_owned() } else { format!("{} changes", ids.len()) };
        let label = format!("Accept: {count} in {place}");
        let change = Change { place: place.clone(), label, what, cancel: CancellationToken::new() };
        let making = Making::begin([reviews].into_iter().chain(others), run, &ids);
        let began = Instant::now();
        match editor.apply(change).await {
            // It was there already: whoever looks for the earlier request tells it, and knows how it is taken back.
            Outcome::Applied(Applied { hunks, fate: Fate::Stays, .. })
                if hunks.is_empty() && making.is_looked_for(reviews) =>
            {
                Err(format!(
                    "the change of {place} that was sent before has come this very moment, and is told by itself"
                ))
            }
            Outcome::Applied(applied) => {
                making.has_landed([reviews].into_iter().chain(others));
                let answer = reviews.made(editor.as_ref(), run, place, &ids, &applied, false);
                let in_others = decided_in_all(others, editor.as_ref(), run, &ids, Verdict::Accepted);
                kept(answer).await?;
                kept_in_all(in_others).await;
                Ok(ids)
            }
            Outcome::Conflict { reason, .. } => {
                Err(format!("{place} was not changed: {reason}; what has a place still waits"))
            }
            Outcome::Refused { reason } => Err(format!("{place} was not changed: {reason}")),
            Outcome::NotConfirmed { reason, late } => {
                let not_confirmed = format!("it is not confirmed that {place} was changed ({reason}); it waits on");
                let Some(late) = late else { return Err(not_confirmed) };
                let again = making.not_confirmed(began.elapsed());
                self.watch(late, making, run, place.clone(), ids);
                Err(format!("{not_confirmed}, and can be decided again {again}"))
            }
            Outcome::Proposed(_) => Err(format!("{place} was not changed: the change was only proposed")),
        }
    }

    /// Goes on looking for an edit that was not confirmed, until the same has come into the text by another request.
    fn watch(&self, late: oneshot::Receiver<Applied>, making: Making, run: RunId, place: Place, ids: Vec<String>) {
        let (reviews, editor, others) = (self.reviews.clone(), self.editor.clone(), self.others.to_vec());
        // Ends when the editor port gives up watching, which is bounded in time.
        tokio::spawn(async move {
            let applied = tokio::select! {
                biased;
                // What has come is told in any case.
                late = late => late,
                () = making.taken_over().cancelled() => return,
            };
            let Ok(applied) = applied else { return };
            making.has_landed([&reviews].into_iter().chain(&others));
            let answer = reviews.made(editor.as_ref(), run, &place, &ids, &applied, true);
            let in_others = decided_in_all(&others, editor.as_ref(), run, &ids, Verdict::Accepted);
            if let Err(error) = kept(answer).await {
                tracing::error!(%run, %place, error, "an edit landed and could not be recorded");
            }
            kept_in_all(in_others).await;
            drop(making);
            reviews.has_moved();
        });
    }
}
