//! What the person decides on proposals.

use std::sync::{Arc, PoisonError};

use tokio::sync::oneshot;
use url::Url;

use super::accepting::Accepting;
use super::landed::landed;
use super::making::Busy;
use super::pending::{Gone, Kind, Pending, same};
use super::{Decisions, Reviewed, Reviews, Select, kept, words};
use crate::editor::{Applied, Editor, Place, ReadError, What};
use crate::protocol::{Event, HunkView, RunId};
use crate::session::journal::file_step;
use crate::store::{Back, Decided, Record, Verdict};

/// What a rejected hunk is told with.
const REFUSED: &str = "refused by the person";

/// Whether a document may be touched, or why not: what was proposed may lie elsewhere by now.
pub type May<'a> = dyn Fn(&Place) -> Result<(), String> + Send + Sync + 'a;

/// Says whether something that was handed over is kept.
type Answer = oneshot::Receiver<Result<(), String>>;

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

    /// Makes what the person takes: in each document one change, where that `may` be touched still. The same waits in `others`, and is
    /// decided there with it.
    pub(in crate::session) async fn accept(
        self: &Arc<Self>,
        editor: &Arc<dyn Editor>,
        select: &Select,
        may: &May<'_>,
        others: &[Arc<Self>],
    ) -> Decisions {
        let _turn = self.deciding.lock().await;
        let accepting = Accepting { reviews: self, editor, may, others };
        let mut decisions = Decisions::default();
        for (run, place, ids) in self.meant(editor.as_ref(), select) {
            if let Err(problem) = accepting.accept_in(run, &place, ids, &mut decisions.hunks).await {
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

    /// The rename of a document, when it is among what is taken.
    pub(super) fn rename_among(&self, run: RunId, place: &Place, ids: &[String]) -> Option<(String, Place)> {
        let waiting = self.lock();
        match &waiting.iter().find(|pending| is(pending, run, place))?.kind {
            Kind::Rename { id, to } if ids.contains(id) => Some((id.clone(), to.clone())),
            _ => None,
        }
    }

    /// What is to be done with the present text, and for which of the hunks there still is a place.
    pub(super) async fn what(
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
        self.tidy(&mut waiting);
        drop(waiting);
        self.has_moved();
        if ids.is_empty() {
            return Err(reason.map_or_else(nothing, |reason| format!("{place} was not changed: {reason}")));
        }
        Ok((what, ids))
    }

    /// Records and tells what the document holds now, and moves what waits on over it.
    pub(super) fn made(
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
        // The person may have refused by then what comes so late.
        let waits = at.is_some_and(|at| waiting[at].ids().iter().any(|id| ids.contains(id)));
        let note = match at.map(|at| &waiting[at]) {
            _ if !waits => words::landed_late(&place.to_string()),
            Some(Pending { kind: Kind::Rename { id, to }, .. }) if ids.contains(id) => {
                words::renamed(&place.to_string(), &to.to_string())
            }
            Some(pending) => words::taken(pending, &hunks),
            None => format!("The person took what you had proposed in {place}."),
        };
        let (mut records, mut contents) = (vec![Record::Changed(Box::new(changed))], contents);
        if !waits {
            // What was accepted is decided; this is not, and stands in the text.
            self.standing().landed((run, self.session), place, applied, &hunks);
        } else {
            records.push(Record::Decided(decided(run, &applied.uri, place, ids, Verdict::Accepted)));
        }
        let mut gone = Vec::new();
        if let Some(at) = at {
            let pending = &mut waiting[at];
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
            self.let_go(&waiting[at], gone, editor);
        }
        self.tidy(&mut waiting);
        answer
    }

    /// Why some hunks cannot be made by themselves: an edit with others beside them may still come.
    pub(super) fn parted(&self, run: RunId, ids: &[String]) -> Option<String> {
        let waiting = self.lock();
        let mut of_run = waiting.iter().filter(|pending| pending.run == run);
        of_run.find_map(|pending| pending.making.parted(&pending.place, ids, |_| true))
    }

    /// Where nothing can be decided just now.
    pub(super) fn busy(&self) -> Vec<Busy> {
        let waiting = self.lock();
        let busy = |pending: &Pending| {
            let why = pending.making.refusal(&pending.place)?;
            Some(Busy { run: pending.run, ids: pending.ids(), why })
        };
        waiting.iter().filter_map(busy).collect()
    }

    /// Some of what waits here was decided on in a fork, which has told it. Whether it is kept here too, the answers say.
    pub(super) fn decided_elsewhere(
        &self,
        editor: &dyn Editor,
        run: RunId,
        ids: &[String],
        verdict: Verdict,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut waiting = self.lock();
        for pending in waiting.iter_mut().filter(|pending| pending.run == run) {
            let here: Vec<String> = pending.ids().into_iter().filter(|id| ids.contains(id)).collect();
            if here.is_empty() {
                continue;
            }
            let to = match &pending.kind {
                Kind::Rename { id, to } if verdict == Verdict::Accepted && here.contains(id) => Some(to.clone()),
                _ => None,
            };
            let note = match verdict {
                Verdict::Accepted => format!("The person took what you had proposed in {}.", pending.place),
                _ => words::refused(pending, &pending.told(editor.encoding(), |id| here.iter().any(|here| here == id))),
            };
            pending.forget(&here);
            let decided = decided(run, &pending.uri, &pending.place, &here, verdict);
            if let Some(to) = to {
                pending.move_to(&to, editor.uri(&to));
            }
            let (moved, contents) = pending.records_of_move();
            let records = [Record::Decided(decided)].into_iter().chain(moved).collect();
            answers.push(self.post(Reviewed { run, records, contents, events: Vec::new(), note: Some(note) }));
        }
        self.tidy(&mut waiting);
        answers
    }

    /// Drops what the person refuses. The same waits in `others`, and is dropped there with it.
    ///
    /// # Errors
    /// When it could not be recorded.
    pub(in crate::session) async fn reject(
        &self,
        editor: &dyn Editor,
        select: &Select,
        others: &[Arc<Self>],
    ) -> Result<Decisions, String> {
        let _turn = self.deciding.lock().await;
        let (mut decisions, mut answers, mut refused) = (Decisions::default(), Vec::new(), Vec::new());
        let elsewhere: Vec<Busy> = others.iter().flat_map(|other| other.busy()).collect();
        {
            let mut waiting = self.lock();
            for pending in waiting.iter_mut() {
                let ids = select.picks(pending, editor);
                if ids.is_empty() {
                    continue;
                }
                let there =
                    || elsewhere.iter().find(|busy| busy.is_with(pending.run, &ids)).map(|busy| busy.why.clone());
                let all = pending.ids();
                let parted = || pending.making.parted(&pending.place, &ids, |id| all.iter().any(|waits| waits == id));
                if let Some(why) = pending.making.refusal(&pending.place).or_else(there).or_else(parted) {
                    decisions.problems.push(why);
                    continue;
                }
                if let Some(now) = editor.buffer(&pending.place) {
                    let gone = pending.follow(now.rope());
                    self.let_go(pending, gone, editor);
                }
                let hunks = pending.told(editor.encoding(), |id| ids.iter().any(|wanted| wanted == id));
                if !hunks.is_empty() {
                    refused.push((pending.run, hunks.iter().map(|hunk| hunk.id.clone()).collect::<Vec<_>>()));
                    answers.push(self.refuse(pending, hunks));
                }
                // What typing had made impossible is gone all the same.
                decisions.hunks.extend(ids);
            }
            self.tidy(&mut waiting);
        }
        let in_others: Vec<Answer> = refused
            .into_iter()
            .flat_map(|(run, ids)| decided_in_all(others, editor, run, &ids, Verdict::Refused))
            .collect();
        self.has_moved();
        for answer in answers {
            kept(answer).await?;
        }
        kept_in_all(in_others).await;
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

/// What was decided is decided wherever it waits: kept there too, and told once.
pub(super) fn decided_in_all(
    others: &[Arc<Reviews>],
    editor: &dyn Editor,
    run: RunId,
    ids: &[String],
    verdict: Verdict,
) -> Vec<Answer> {
    others.iter().flat_map(|other| other.decided_elsewhere(editor, run, ids, verdict)).collect()
}

pub(super) async fn kept_in_all(answers: Vec<Answer>) {
    for answer in answers {
        if let Err(error) = kept(answer).await {
            tracing::error!(
                error,
                "what was decided in a fork could not be recorded in the session that it comes from"
            );
        }
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

fn decided(run: RunId, uri: &str, place: &Place, ids: &[String], verdict: Verdict) -> Decided {
    Decided { run, uri: uri.to_owned(), shown: place.to_string(), hunks: ids.to_vec(), verdict }
}

fn is(pending: &Pending, run: RunId, place: &Place) -> bool {
    pending.run == run && same(&pending.place, place)
}
