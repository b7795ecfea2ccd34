//! The editor of a run that asks for everything: it shows what the run proposes as if it were made, and turns its changes into
//! more of that.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ropey::Rope;
use tokio::sync::oneshot;

use super::pending::{Kind, Pending, same};
use super::withdrawing::Step;
use super::{Reviewed, Reviews, kept};
use crate::edit::{Composed, Patch};
use crate::editor::{Applied, Change, Diagnosis, Editor, Fate, Outcome, Place, ReadError, What};
use crate::protocol::{Event, RunId};
use crate::text::{Encoding, Snapshot};

/// The language of a file that is not there yet: nobody has said.
pub(super) const UNKNOWN: &str = "";

/// What stands between a run and the editor.
pub(in crate::session) struct Reviewing {
    pub(super) run: RunId,
    pub(super) real: Arc<dyn Editor>,
    pub(super) reviews: Arc<Reviews>,
    /// Hunks proposed so far.
    count: AtomicU32,
    /// What can be withdrawn, the newest last. A std mutex: held for a look, never across an await.
    pub(super) steps: Mutex<VecDeque<Step>>,
}

/// What a change comes to, and whether that is kept.
type Put = Result<Offered, Box<Outcome>>;
/// A document: its present text, what the run sees of it, and what the editor has.
type Seen = (Rope, Result<Snapshot, ReadError>, Result<Snapshot, ReadError>);
type Offered = (Applied, oneshot::Receiver<Result<(), String>>);

impl Reviewing {
    pub(in crate::session) fn new(run: RunId, real: Arc<dyn Editor>, reviews: Arc<Reviews>) -> Self {
        Self { run, real, reviews, count: AtomicU32::new(0), steps: Mutex::default() }
    }

    /// Unlike those of edits that are applied or rejected at once, which the run numbers itself.
    fn id(&self) -> String {
        format!("p{}", self.count.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Where what is shown at a place comes from: from elsewhere after a rename.
    fn source(&self, place: &Place) -> Place {
        let waiting = self.reviews.lock();
        let renamed = waiting.iter().find(|pending| pending.run == self.run && is_to(pending, place));
        renamed.map_or_else(|| place.clone(), |pending| pending.place.clone())
    }

    /// What the run sees of a document. `real` is what the editor has at its source. Whoever changes what waits there `settles` it
    /// over that, though something may come late.
    fn over(
        &self,
        waiting: &mut Vec<Pending>,
        place: &Place,
        real: Result<Snapshot, ReadError>,
        settles: bool,
    ) -> Result<Snapshot, ReadError> {
        let mine =
            |pending: &Pending| pending.run == self.run && (same(&pending.place, place) || is_to(pending, place));
        let Some(at) = waiting.iter().position(mine) else { return real };
        // While some of it is being made, what goes of it is settled by that.
        let mut seen = (!settles && waiting[at].making.any()).then(|| waiting[at].clone());
        let pending = seen.as_mut().unwrap_or(&mut waiting[at]);
        let gone = match &real {
            Ok(now) => pending.follow(now.rope()),
            Err(ReadError::Missing(_)) => pending.missing(),
            Err(_) => return real,
        };
        let (renamed_away, renamed_here) = match &pending.kind {
            Kind::Rename { .. } => (same(&pending.place, place), is_to(pending, place)),
            _ => (false, false),
        };
        let missing = || Err(ReadError::Missing(place.to_string()));
        let shown = match (&pending.kind, real) {
            (Kind::Create, Err(_)) if !pending.is_empty() => {
                Ok(Snapshot::detached(&pending.proposal.overlay().to_string(), UNKNOWN))
            }
            (Kind::Delete, Ok(_)) if !pending.is_empty() => missing(),
            (_, Ok(_)) if renamed_away && !renamed_here => missing(),
            (_, Ok(now)) => Ok(now.with_rope(match pending.is_empty() {
                true => now.rope().clone(),
                false => pending.proposal.overlay(),
            })),
            (_, Err(error)) => Err(error),
        };
        if seen.is_some() {
            return shown;
        }
        let pending = &waiting[at];
        let moved = self.reviews.let_go(pending, gone, self.real.as_ref());
        self.reviews.tidy(waiting);
        if moved {
            self.reviews.has_moved();
        }
        shown
    }

    /// Whether a document can have this name; or why not. The name that it has in the editor is its own again.
    async fn may_become(&self, place: &Place, to: &Place) -> Result<(), String> {
        let is_back = !same(place, to) && same(&self.source(place), to);
        match self.real.read(to).await {
            Err(ReadError::Missing(_)) => {}
            Ok(_) if is_back => {}
            Ok(_) => return Err(format!("{to} exists already")),
            Err(error) => return Err(error.to_string()),
        }
        let waiting = self.reviews.lock();
        let takes = |pending: &Pending| {
            pending.run == self.run
                && !(same(&pending.place, place) || is_to(pending, place))
                && (same(&pending.place, to) || is_to(pending, to))
        };
        match waiting.iter().any(takes) {
            true => {
                Err(format!("what is proposed already needs the name {to}; decide on that first, or take another name"))
            }
            false => Ok(()),
        }
    }

    fn propose(&self, change: Change, real: Result<Snapshot, ReadError>) -> Put {
        let mut waiting = self.reviews.lock();
        let Change { place, what, .. } = change;
        let present = real.as_ref().map_or_else(|_| Rope::new(), |real| real.rope().clone());
        let mine =
            |pending: &&Pending| pending.run == self.run && (same(&pending.place, &place) || is_to(pending, &place));
        if let Some(why) = waiting.iter().find(mine).and_then(|pending| pending.making.refusal(&place)) {
            return Err(refused(why));
        }
        let shown = self.over(&mut waiting, &place, real.clone(), true);
        let step = Step::begin(&waiting, self.run, &place, &what);
        let put = self.propose_what(&mut waiting, &place, what, (present, shown, real));
        if let Ok((proposed, _)) = &put {
            self.remember(step.end(&waiting, self.run, proposed));
        }
        put
    }

    fn propose_what(&self, waiting: &mut Vec<Pending>, place: &Place, what: What, seen: Seen) -> Put {
        let (present, shown, real) = seen;
        match what {
            What::Edit { base, patch } => {
                let now = shown.map_err(|error| refused(error.to_string()))?;
                self.edit(waiting, place, present, now, &base, &patch)
            }
            What::Create { text } => match shown {
                Err(ReadError::Missing(_)) => self.create(waiting, place, real.ok(), text),
                Err(error) => Err(refused(error.to_string())),
                Ok(_) => Err(refused(format!("{place} exists already"))),
            },
            What::Delete { base, .. } => {
                let now = unchanged(place, shown, &base)?;
                self.delete(waiting, place, present, &now)
            }
            What::Restore { base, .. } => match shown {
                Err(ReadError::Missing(_)) => self.create(waiting, place, real.ok(), base.rope().to_string()),
                Err(error) => Err(refused(error.to_string())),
                Ok(_) => Err(refused(format!("{place} exists already"))),
            },
            What::Rename { base, to } => {
                let now = unchanged(place, shown, &base)?;
                self.rename(waiting, place, present, now, to)
            }
        }
    }

    fn edit(
        &self,
        waiting: &mut Vec<Pending>,
        place: &Place,
        present: Rope,
        now: Snapshot,
        base: &Snapshot,
        patch: &Patch,
    ) -> Put {
        let rebased = base.rope() != now.rope();
        let patch = match patch.onto(base.rope(), None, now.rope()) {
            Ok(patch) => patch,
            Err(clash) => return Err(Box::new(Outcome::Conflict { reason: clash.to_string(), now })),
        };
        let at = self.entry(waiting, place, Kind::Edit, present);
        let after = now.with_rope(patch.apply(now.rope()));
        let pending = &mut waiting[at];
        let composed = if pending.kind == Kind::Create {
            self.whole(pending, after.rope().to_string())
        } else {
            pending.proposal.compose(&patch, || self.id())
        };
        Ok(self.put(waiting, at, &composed, after, patch.inverse(now.rope()), rebased))
    }

    fn create(&self, waiting: &mut Vec<Pending>, place: &Place, real: Option<Snapshot>, text: String) -> Put {
        let made = Snapshot::detached(&text, UNKNOWN);
        let back = Patch::exact(made.rope(), &Rope::new());
        let mine = |pending: &Pending| pending.run == self.run && same(&pending.place, place);
        let Some(at) = waiting.iter().position(mine) else {
            let at = self.entry(waiting, place, Kind::Create, Rope::new());
            let composed = self.whole(&mut waiting[at], text);
            return Ok(self.put(waiting, at, &composed, made, back, false));
        };
        match (&waiting[at].kind, real) {
            // What was to be taken away reads otherwise instead.
            (Kind::Delete, Some(real)) => {
                let pending = &mut waiting[at];
                let replaced = pending.ids();
                pending.kind = Kind::Edit;
                pending.proposal.remove(|_| true);
                let composed = pending.proposal.compose(&Patch::between(&real, &text), || self.id());
                let after = real.with_rope(pending.proposal.overlay());
                Ok(self.put(waiting, at, &Composed { replaced, ..composed }, after, back, false))
            }
            _ => Err(refused(format!("{place} has another name by then, and nothing can take its place before that"))),
        }
    }

    fn delete(&self, waiting: &mut Vec<Pending>, place: &Place, present: Rope, now: &Snapshot) -> Put {
        let at = self.entry(waiting, place, Kind::Delete, present.clone());
        let pending = &mut waiting[at];
        let mut composed = Composed { new: Vec::new(), replaced: pending.ids() };
        if pending.kind == Kind::Create {
            pending.proposal.remove(|_| true);
        } else {
            let id = self.id();
            composed.new.push(id.clone());
            pending.kind = Kind::Delete;
            pending.whole(id, present, String::new());
        }
        let back = Patch::exact(&Rope::new(), now.rope());
        Ok(self.put(waiting, at, &composed, now.with_rope(Rope::new()), back, false))
    }

    fn rename(&self, waiting: &mut Vec<Pending>, place: &Place, present: Rope, now: Snapshot, to: Place) -> Put {
        let at = self.entry(waiting, place, Kind::Edit, present);
        let id = self.id();
        let pending = &mut waiting[at];
        let mut composed = Composed { new: vec![id.clone()], replaced: Vec::new() };
        match &pending.kind {
            Kind::Create => {
                composed.replaced = pending.ids();
                pending.move_to(&to, self.real.uri(&to));
                pending.whole(id, Rope::new(), now.rope().to_string());
            }
            // Back to where it is.
            Kind::Rename { id: before, .. } if same(&pending.place, &to) => {
                composed = Composed { new: Vec::new(), replaced: vec![before.clone()] };
                pending.kind = Kind::Edit;
            }
            kind => {
                if let Kind::Rename { id: before, .. } = kind {
                    composed.replaced.push(before.clone());
                }
                pending.kind = Kind::Rename { id, to };
            }
        }
        Ok(self.put(waiting, at, &composed, now, Patch::default(), false))
    }

    /// The run's entry for a document; a new one where there is none.
    fn entry(&self, waiting: &mut Vec<Pending>, place: &Place, kind: Kind, base: Rope) -> usize {
        let mine =
            |pending: &Pending| pending.run == self.run && (same(&pending.place, place) || is_to(pending, place));
        waiting.iter().position(mine).unwrap_or_else(|| {
            waiting.push(Pending::new(self.run, place, self.real.uri(place), kind, base));
            waiting.len() - 1
        })
    }

    /// A file to be made, with another text than before.
    fn whole(&self, pending: &mut Pending, text: String) -> Composed {
        let (id, replaced) = (self.id(), pending.ids());
        pending.whole(id.clone(), Rope::new(), text);
        Composed { new: vec![id], replaced }
    }

    /// Hands what is proposed from now on to be recorded and told.
    pub(super) fn put(
        &self,
        waiting: &mut Vec<Pending>,
        at: usize,
        composed: &Composed,
        now: Snapshot,
        back: Patch,
        rebased: bool,
    ) -> Offered {
        let pending = &mut waiting[at];
        let hunks = pending.told(self.real.encoding(), |id| composed.new.iter().any(|new| new == id));
        let (operation, to) = match &pending.kind {
            Kind::Edit => (None, None),
            Kind::Create => (Some("create"), None),
            Kind::Delete => (Some("delete"), None),
            Kind::Rename { id, to } if composed.new.contains(id) => (Some("rename"), Some(self.real.uri(to))),
            Kind::Rename { .. } => (None, None),
        };
        let event = Event::EditProposed {
            uri: pending.uri.clone(),
            hunks: hunks.clone(),
            replaces: composed.replaced.clone(),
            operation: operation.map(str::to_owned),
            to,
        };
        let (records, contents) = pending.records();
        let pending_kind = pending.kind.clone();
        let created = pending_kind == Kind::Create;
        let uri = pending.uri.clone();
        let nothing_new = composed.new.is_empty() && composed.replaced.is_empty();
        let answer = self.reviews.post(Reviewed {
            run: self.run,
            records,
            contents,
            events: if nothing_new { Vec::new() } else { vec![event] },
            note: None,
        });
        self.reviews.tidy(waiting);
        let fate = match &pending_kind {
            Kind::Delete => Fate::Deleted { mode: None },
            Kind::Rename { to, .. } => Fate::Moved { to: to.clone(), uri: self.real.uri(to) },
            Kind::Edit | Kind::Create => Fate::Stays,
        };
        (Applied { uri, hunks, rebased, back: (now.clone(), back), now, created, fate, note: None }, answer)
    }
}

fn refused(reason: String) -> Box<Outcome> {
    Box::new(Outcome::Refused { reason })
}

/// The text that is shown, when it is the one that was meant.
fn unchanged(place: &Place, shown: Result<Snapshot, ReadError>, base: &Snapshot) -> Result<Snapshot, Box<Outcome>> {
    match shown {
        Ok(now) if now.rope() == base.rope() => Ok(now),
        Ok(now) => {
            let reason = format!("{place} was changed meanwhile");
            Err(Box::new(Outcome::Conflict { reason, now }))
        }
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Whether a document shall have its name from a rename.
pub(super) fn is_to(pending: &Pending, place: &Place) -> bool {
    matches!(&pending.kind, Kind::Rename { to, .. } if same(to, place))
}

/// The name that a document shall have, where that is another one.
fn renamed(pending: &Pending) -> Option<&Place> {
    match &pending.kind {
        Kind::Rename { to, .. } => Some(to),
        Kind::Edit | Kind::Create | Kind::Delete => None,
    }
}

#[async_trait]
impl Editor for Reviewing {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        let open = self.real.open();
        let mut waiting = self.reviews.lock();
        // What is proposed in a file that is not open is nowhere else to be seen.
        let closed: Vec<(Place, Snapshot)> = waiting
            .iter()
            .filter(|pending| pending.run == self.run && pending.kind != Kind::Delete)
            .filter(|pending| open.iter().all(|(place, _)| !same(place, &pending.place)))
            .map(|pending| {
                let place = renamed(pending).unwrap_or(&pending.place).clone();
                (place, Snapshot::detached(&pending.proposal.overlay().to_string(), UNKNOWN))
            })
            .collect();
        let shown = open.into_iter().filter_map(|(place, now)| {
            let mut mine = waiting.iter().filter(|pending| pending.run == self.run && same(&pending.place, &place));
            let place = mine.find_map(renamed).cloned().unwrap_or(place);
            let shown = self.over(&mut waiting, &place, Ok(now), false).ok()?;
            Some((place, shown))
        });
        shown.collect::<Vec<_>>().into_iter().chain(closed).collect()
    }

    fn buffer(&self, place: &Place) -> Option<Snapshot> {
        let now = self.real.buffer(&self.source(place))?;
        self.over(&mut self.reviews.lock(), place, Ok(now), false).ok()
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        let real = self.real.read(&self.source(place)).await;
        self.over(&mut self.reviews.lock(), place, real, false)
    }

    async fn apply(&self, change: Change) -> Outcome {
        let stopped =
            || Outcome::Refused { reason: "the person stopped the run before the change was proposed".into() };
        // Not while the person's decision on what is there already is being carried out.
        let _turn = tokio::select! {
            turn = self.reviews.turn() => turn,
            () = change.cancel.cancelled() => return stopped(),
        };
        let real = self.real.read(&self.source(&change.place)).await;
        if change.cancel.is_cancelled() {
            return stopped();
        }
        if let What::Rename { to, .. } = &change.what
            && let Err(reason) = self.may_become(&change.place, to).await
        {
            return Outcome::Refused { reason };
        }
        let (proposed, answer) = match self.propose(change, real) {
            Ok(proposed) => proposed,
            Err(outcome) => return *outcome,
        };
        match kept(answer).await {
            Ok(()) => {
                self.reviews.has_moved();
                Outcome::Proposed(proposed)
            }
            Err(reason) => Outcome::Refused { reason },
        }
    }

    async fn withdraw(&self, place: &Place, proposed: &Applied) -> bool {
        // Not while the person's decision on it is being carried out.
        let _turn = self.reviews.turn().await;
        let Some((step, home)) = self.newest(place, proposed) else { return false };
        let real = self.real.read(&home).await;
        let Some(answer) = self.put_back(step, &home, &real) else { return false };
        let is_kept = kept(answer).await.is_ok();
        self.reviews.has_moved();
        is_kept
    }

    fn for_approved(&self) -> Option<Arc<dyn Editor>> {
        Some(self.real.clone())
    }

    async fn diagnostics(&self, places: &[Place]) -> Option<Vec<(Place, Vec<Diagnosis>)>> {
        self.real.diagnostics(places).await
    }

    async fn save(&self, places: &[Place]) -> Vec<Place> {
        // What is only proposed is in no buffer.
        self.real.save(places).await
    }

    fn uri(&self, place: &Place) -> String {
        self.real.uri(place)
    }

    fn encoding(&self) -> Encoding {
        self.real.encoding()
    }
}
