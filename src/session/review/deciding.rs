//! What the person decides on proposals.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::landed::landed;
use super::pending::{Gone, Kind, Pending, same};
use super::{Decisions, Reviewed, Reviews, Select, kept, words};
use crate::editor::{Applied, Change, Editor, Outcome, Place, ReadError, What};
use crate::protocol::{Event, HunkView, RunId};
use crate::session::journal::file_step;
use crate::store::{Back, Decided, Record, Verdict};

/// What a rejected hunk is told with.
const REFUSED: &str = "refused by the person";

/// Whether a document may be touched, or why not: what was proposed may lie elsewhere by now.
pub type May<'a> = dyn Fn(&Place) -> Result<(), String> + Send + Sync + 'a;

impl Select {
    /// Whether a document is among those that are meant, as it is spelled in one of these ways.
    #[must_use]
    pub fn means(&self, place: Option<&std::path::Path>, spelled: &[&str]) -> bool {
        let Some(uri) = &self.uri else { return true };
        let path = || Url::parse(uri).ok().and_then(|uri| uri.to_file_path().ok());
        spelled.contains(&uri.as_str()) || place.is_some_and(|place| path().as_deref() == Some(place))
    }

    /// Whether a hunk is.
    #[must_use]
    pub fn means_hunk(&self, id: &str) -> bool {
        self.hunk.as_deref().is_none_or(|hunk| hunk == id)
    }

    fn picks(&self, pending: &Pending, editor: &dyn Editor) -> Vec<String> {
        let here = self.run.is_none_or(|run| run == pending.run)
            && self.means(pending.place.path(), &[&pending.uri, &editor.uri(&pending.place)]);
        if !here {
            return Vec::new();
        }
        pending.ids().into_iter().filter(|id| self.means_hunk(id)).collect()
    }
}

impl Reviews {
    /// The newest run that has something of this kind waiting.
    pub(in crate::session) fn newest(&self, editor: &dyn Editor, select: &Select) -> Option<RunId> {
        let waiting = self.lock();
        waiting.iter().filter(|pending| !select.picks(pending, editor).is_empty()).map(|pending| pending.run).max()
    }

    /// Makes what the person takes: in each document one change, where that `may` be touched still.
    pub(in crate::session) async fn accept(
        self: &Arc<Self>,
        editor: &Arc<dyn Editor>,
        select: &Select,
        may: &May<'_>,
    ) -> Decisions {
        let _turn = self.deciding.lock().await;
        let mut decisions = Decisions::default();
        for (run, place, ids) in self.meant(editor.as_ref(), select) {
            if let Err(problem) = self.accept_in(editor, run, &place, ids, may, &mut decisions.hunks).await {
                decisions.problems.push(problem);
            }
        }
        self.has_moved();
        decisions
    }

    fn meant(&self, editor: &dyn Editor, select: &Select) -> Vec<(RunId, Place, Vec<String>)> {
        let waiting = self.lock();
        let meant = waiting.iter().map(|pending| (pending.run, pending.place.clone(), select.picks(pending, editor)));
        meant.filter(|(_, _, ids)| !ids.is_empty()).collect()
    }

    /// What is made goes to `done` at once: it stays when something behind it fails.
    async fn accept_in(
        self: &Arc<Self>,
        editor: &Arc<dyn Editor>,
        run: RunId,
        place: &Place,
        ids: Vec<String>,
        may: &May<'_>,
        done: &mut Vec<String>,
    ) -> Result<(), String> {
        may(place)?;
        if self.lock().iter().any(|pending| is(pending, run, place) && pending.making) {
            return Err(being_made(place));
        }
        let rename = self.rename_among(run, place, &ids);
        let edits: Vec<String> =
            ids.into_iter().filter(|id| rename.as_ref().is_none_or(|(name, _)| name != id)).collect();
        if !edits.is_empty() {
            let (what, ids) = self.what(editor.as_ref(), run, place, edits).await?;
            done.extend(self.make(editor, run, place, what, ids).await?);
        }
        if let Some((id, to)) = rename {
            may(&to)?;
            let base = editor.read(place).await.map_err(|error| error.to_string())?;
            done.extend(self.make(editor, run, place, What::Rename { base, to }, vec![id]).await?);
        }
        Ok(())
    }

    /// The rename of a document, when it is among what is taken.
    fn rename_among(&self, run: RunId, place: &Place, ids: &[String]) -> Option<(String, Place)> {
        let waiting = self.lock();
        match &waiting.iter().find(|pending| is(pending, run, place))?.kind {
            Kind::Rename { id, to } if ids.contains(id) => Some((id.clone(), to.clone())),
            _ => None,
        }
    }

    /// What is to be done with the present text, and for which of the hunks there still is a place.
    async fn what(
        &self,
        editor: &dyn Editor,
        run: RunId,
        place: &Place,
        mut ids: Vec<String>,
    ) -> Result<(What, Vec<String>), String> {
        let real = editor.read(place).await;
        let mut waiting = self.lock();
        let nothing = || format!("nothing is proposed in {place} any more");
        let at = waiting.iter().position(|pending| is(pending, run, place)).ok_or_else(nothing)?;
        let pending = &mut waiting[at];
        let gone = match &real {
            Ok(now) => pending.follow(now.rope()),
            Err(ReadError::Missing(_)) => pending.missing(),
            Err(error) => return Err(error.to_string()),
        };
        ids.retain(|id| pending.ids().contains(id));
        let reason = gone.first().map(|gone| gone.reason.clone());
        self.let_go(pending, gone, editor);
        let what = match (&pending.kind, real) {
            (Kind::Create, _) => What::Create { text: pending.proposal.overlay().to_string() },
            (Kind::Delete, Ok(base)) => What::Delete { base, or_empty: false },
            (Kind::Edit | Kind::Rename { .. }, Ok(base)) => {
                What::Edit { base, patch: pending.proposal.pick(|id| ids.iter().any(|wanted| wanted == id)) }
            }
            (_, Err(error)) => return Err(error.to_string()),
        };
        if pending.is_empty() {
            waiting.remove(at);
        }
        drop(waiting);
        self.has_moved();
        if ids.is_empty() {
            return Err(reason.map_or_else(nothing, |reason| format!("{place} was not changed: {reason}")));
        }
        Ok((what, ids))
    }

    /// Has the editor make it, as one step to undo.
    async fn make(
        self: &Arc<Self>,
        editor: &Arc<dyn Editor>,
        run: RunId,
        place: &Place,
        what: What,
        ids: Vec<String>,
    ) -> Result<Vec<String>, String> {
        let count = if ids.len() == 1 { "1 change".to_owned() } else { format!("{} changes", ids.len()) };
        let label = format!("Accept: {count} in {place}");
        let change = Change { place: place.clone(), label, what, cancel: CancellationToken::new() };
        let making = Making::begin(self, run, Some(place));
        match editor.apply(change).await {
            Outcome::Applied(applied) => {
                kept(self.made(editor.as_ref(), run, place, &ids, &applied, false)).await?;
                Ok(ids)
            }
            Outcome::Conflict { reason, .. } => {
                Err(format!("{place} was not changed: {reason}; what has a place still waits"))
            }
            Outcome::Refused { reason } => Err(format!("{place} was not changed: {reason}")),
            Outcome::NotConfirmed { reason, late } => {
                if let Some(late) = late {
                    let (reviews, editor, place) = (self.clone(), editor.clone(), place.clone());
                    // Ends when the editor port gives up watching, which is bounded in time.
                    tokio::spawn(async move {
                        // Till then nothing else is made of it: it would be made twice.
                        let _making = making;
                        let Ok(applied) = late.await else { return };
                        let answer = reviews.made(editor.as_ref(), run, &place, &ids, &applied, true);
                        if let Err(error) = kept(answer).await {
                            tracing::error!(%run, %place, error, "an edit landed and could not be recorded");
                        }
                        reviews.has_moved();
                    });
                }
                Err(format!(
                    "it is not confirmed that {place} was changed ({reason}); it waits until the change is seen"
                ))
            }
            Outcome::Proposed(_) => Err(format!("{place} was not changed: the change was only proposed")),
        }
    }

    /// Records and tells what the document holds now, and moves what waits on over it.
    fn made(
        &self,
        editor: &dyn Editor,
        run: RunId,
        place: &Place,
        ids: &[String],
        applied: &Applied,
        late: bool,
    ) -> oneshot::Receiver<Result<(), String>> {
        let mut waiting = self.lock();
        let at = waiting.iter().position(|pending| is(pending, run, place));
        let landed = landed(at.map(|at| &waiting[at]), ids, applied, editor.encoding());
        let (hunks, pieces): (Vec<HunkView>, Vec<Back>) = landed.into_iter().unzip();
        let (mut changed, contents) = {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.entry(run).or_default().record(run, place, applied, &hunks)
        };
        changed.change = pieces;
        let decided = decided(run, &applied.uri, place, ids, Verdict::Accepted);
        let note = match at.map(|at| &waiting[at]) {
            Some(Pending { kind: Kind::Rename { id, to }, .. }) if ids.contains(id) => {
                words::renamed(&place.to_string(), &to.to_string())
            }
            Some(pending) => words::taken(pending, &hunks),
            None => format!("The person took what you had proposed in {place}."),
        };
        let (mut records, mut contents) =
            (vec![Record::Changed(Box::new(changed)), Record::Decided(decided)], contents);
        let mut gone = Vec::new();
        if let Some(at) = at {
            let pending = &mut waiting[at];
            pending.making = false;
            gone = settle(pending, editor, ids, applied);
            // Recorded together: what waits on is nowhere else to be found after a restart.
            let (moved, texts) = pending.records_of_move();
            records.extend(moved);
            contents.extend(texts);
        }
        let (uri, rebased, file) = (applied.uri.clone(), applied.rebased, file_step(applied));
        let event = Event::EditApplied { uri, hunks, rebased, late, file };
        let answer = self.post(Reviewed { run, records, contents, events: vec![event], note: Some(note) });
        if let Some(at) = at {
            let pending = &waiting[at];
            self.let_go(pending, gone, editor);
            if pending.is_empty() {
                waiting.remove(at);
            }
        }
        answer
    }

    /// Until this is dropped, what waits of a run is being made in a fork.
    pub(in crate::session) fn being_accepted_elsewhere(self: &Arc<Self>, run: RunId) -> impl Drop + use<> {
        Making::begin(self, run, None)
    }

    /// Some of what waits here was made in a fork.
    pub(in crate::session) fn accepted_elsewhere(&self, editor: &dyn Editor, run: RunId, ids: &[String]) {
        let mut waiting = self.lock();
        for pending in waiting.iter_mut().filter(|pending| pending.run == run) {
            let here: Vec<String> = pending.ids().into_iter().filter(|id| ids.contains(id)).collect();
            if here.is_empty() {
                continue;
            }
            let to = match &pending.kind {
                Kind::Rename { id, to } if here.contains(id) => Some(to.clone()),
                _ => None,
            };
            pending.forget(&here);
            let decided = decided(run, &pending.uri, &pending.place, &here, Verdict::Accepted);
            let note = Some(format!("The person took what you had proposed in {}.", pending.place));
            if let Some(to) = to {
                pending.move_to(&to, editor.uri(&to));
            }
            let (moved, contents) = pending.records_of_move();
            let records = [Record::Decided(decided)].into_iter().chain(moved).collect();
            // Told by the fork; whether it is kept here too, the next look at the text finds out.
            drop(self.post(Reviewed { run, records, contents, events: Vec::new(), note }));
        }
        waiting.retain(|pending| !pending.is_empty());
    }

    /// Drops what the person refuses.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub(in crate::session) async fn reject(&self, editor: &dyn Editor, select: &Select) -> Result<Decisions, String> {
        let _turn = self.deciding.lock().await;
        let (mut decisions, mut answers) = (Decisions::default(), Vec::new());
        {
            let mut waiting = self.lock();
            for pending in waiting.iter_mut() {
                let ids = select.picks(pending, editor);
                if ids.is_empty() {
                    continue;
                }
                if pending.making {
                    decisions.problems.push(being_made(&pending.place));
                    continue;
                }
                if let Some(now) = editor.buffer(&pending.place) {
                    let gone = pending.follow(now.rope());
                    self.let_go(pending, gone, editor);
                }
                let hunks = pending.told(editor.encoding(), |id| ids.iter().any(|wanted| wanted == id));
                if !hunks.is_empty() {
                    answers.push(self.refuse(pending, hunks));
                }
                // What typing had made impossible is gone all the same.
                decisions.hunks.extend(ids);
            }
            waiting.retain(|pending| !pending.is_empty());
        }
        self.has_moved();
        for answer in answers {
            kept(answer).await?;
        }
        Ok(decisions)
    }

    fn refuse(&self, pending: &mut Pending, hunks: Vec<HunkView>) -> oneshot::Receiver<Result<(), String>> {
        let ids: Vec<String> = hunks.iter().map(|hunk| hunk.id.clone()).collect();
        let note = words::refused(pending, &hunks);
        let record = decided(pending.run, &pending.uri, &pending.place, &ids, Verdict::Refused);
        pending.forget(&ids);
        let event = Event::EditRejected { uri: pending.uri.clone(), hunks, reason: REFUSED.into() };
        self.post(Reviewed {
            run: pending.run,
            records: vec![Record::Decided(record)],
            contents: Vec::new(),
            events: vec![event],
            note: Some(note),
        })
    }
}

/// Marks a document, or all of a run's, as one in which something is being made, until it is dropped.
struct Making {
    reviews: Arc<Reviews>,
    run: RunId,
    place: Option<Place>,
}

impl Making {
    fn begin(reviews: &Arc<Reviews>, run: RunId, place: Option<&Place>) -> Self {
        let making = Self { reviews: reviews.clone(), run, place: place.cloned() };
        making.mark(true);
        making
    }

    fn mark(&self, making: bool) {
        let mut waiting = self.reviews.lock();
        let mine = |pending: &&mut Pending| {
            let here = |place: &Place| is(pending, self.run, place);
            self.place.as_ref().map_or(pending.run == self.run, here)
        };
        waiting.iter_mut().filter(mine).for_each(|pending| pending.making = making);
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        self.mark(false);
    }
}

/// What waits on, once some of it is made; gives what that leaves no place for.
fn settle(pending: &mut Pending, editor: &dyn Editor, ids: &[String], applied: &Applied) -> Vec<Gone> {
    match &pending.kind {
        Kind::Create | Kind::Delete => {
            pending.proposal.remove(|_| true);
            Vec::new()
        }
        Kind::Rename { id, to } if ids.contains(id) => {
            let to = to.clone();
            pending.kind = Kind::Edit;
            pending.move_to(&to, editor.uri(&to));
            Vec::new()
        }
        Kind::Edit | Kind::Rename { .. } => {
            let (after, back) = &applied.back;
            let before = back.apply(after.rope());
            let change = back.inverse(after.rope());
            let made = |id: &str| ids.iter().any(|made| made == id);
            pending.proposal.made(made, &before, &change).into_iter().map(Gone::of).collect()
        }
    }
}

/// Why nothing can be done with what waits in a document just now.
pub(super) fn being_made(place: &Place) -> String {
    format!(
        "{place} is being changed at this moment, and the editor has not shown the change yet; try it again when it has"
    )
}

fn decided(run: RunId, uri: &str, place: &Place, ids: &[String], verdict: Verdict) -> Decided {
    Decided { run, uri: uri.to_owned(), shown: place.to_string(), hunks: ids.to_vec(), verdict }
}

fn is(pending: &Pending, run: RunId, place: &Place) -> bool {
    pending.run == run && same(&pending.place, place)
}
