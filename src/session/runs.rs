//! The runs of a session: snapshots and events, which change together under one mutex.

mod snapshot;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::stage::{Moved, Stage};
use super::state::Figures;
use super::{QUEUE, StartError};
use crate::protocol::{Envelope, Event, RunId, RunSnapshot, RunStatus, SessionId, Usage, now_ms};
use crate::settings::Limits;
use crate::store::{Head, Owner, Record, RunMoved, StoredRun};

/// How many event numbers a run may give to deltas before it asks for more. They are kept ahead, because deltas are told before
/// their block is recorded: after a crash nothing else may get a number that somebody was told.
const RESERVE: u64 = 64;

/// The runs that a session remembers. The actor is the only writer but for [`Runs::create`].
pub(super) struct Runs {
    max_runs: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    session: SessionId,
    /// What it is a fork of, its parent first.
    ancestors: Vec<SessionId>,
    /// The newest record that was kept.
    head: Head,
    /// Whether anything of the session was.
    written: bool,
    runs: VecDeque<Run>,
    figures: Figures,
    /// Why nothing can be written any more.
    broken: Option<String>,
    /// Another process wrote to the session while it was opened here.
    stale: bool,
}

struct Run {
    snapshot: RunSnapshot,
    cancel: CancellationToken,
    /// Its events, while they are not all in the store.
    log: Option<Log>,
    /// Event numbers up to this one may be told.
    reserved: u64,
    /// Another process's: nothing is done with it here.
    foreign: bool,
}

/// What `cowrite.events` answers.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Envelope>,
    /// The sequence number to continue after.
    pub next: u64,
    /// Whether some of what was asked for has been trimmed.
    pub retention_gap: bool,
}

impl EventPage {
    /// What there is of a series behind a number, of `count` events in all.
    #[must_use]
    pub fn of(events: Vec<Envelope>, after: u64, count: u64) -> Self {
        let first = events.first().map(|event| event.first.unwrap_or(event.sequence));
        let retention_gap = match first {
            Some(first) => first > after + 1,
            None => count > after,
        };
        Self { events, next: count.max(after), retention_gap }
    }
}

/// A series of events. Deltas of one block stand as one event under the number of the last.
#[derive(Default)]
struct Log {
    events: VecDeque<Envelope>,
    /// The number of the newest event.
    count: u64,
    /// The number of the newest event that is recorded.
    kept: u64,
    /// Whether the newest delta's block has ended.
    sealed: bool,
}

impl Log {
    /// Numbers a delta and takes it in.
    fn delta(&mut self, run: RunId, session: SessionId, event: Event) -> Envelope {
        self.count += 1;
        let told = envelope(Some(run), session, self.count, event);
        let sealed = std::mem::take(&mut self.sealed);
        let unkept = |last: &Envelope, kept: u64| last.sequence > kept;
        if let Some(last) = self.events.back_mut().filter(|last| !sealed && unkept(last, self.kept))
            && last.event.merge(told.event.clone()).is_ok()
        {
            last.first.get_or_insert(last.sequence);
            last.sequence = self.count;
        } else {
            self.events.push_back(told.clone());
        }
        told
    }

    fn after(&self, after: u64) -> Vec<Envelope> {
        self.events.iter().filter(|event| event.sequence > after).cloned().collect()
    }
}

pub(super) fn envelope(run_id: Option<RunId>, session_id: SessionId, sequence: u64, event: Event) -> Envelope {
    Envelope { run_id, session_id, sequence, first: None, timestamp_ms: now_ms(), event }
}

impl Runs {
    /// The runs of a session that has them in the store already.
    pub(super) fn new(session: SessionId, head: Head, written: bool, limits: &Limits, stored: Vec<StoredRun>) -> Self {
        let runs = stored.into_iter().map(Run::stored).collect();
        let inner = Inner {
            session,
            ancestors: Vec::new(),
            head,
            written,
            runs,
            figures: Figures::default(),
            broken: None,
            stale: false,
        };
        Self { max_runs: limits.max_runs, inner: Mutex::new(inner) }
    }

    pub(super) fn session(&self) -> SessionId {
        self.lock().session
    }

    pub(super) fn ancestors(&self) -> Vec<SessionId> {
        self.lock().ancestors.clone()
    }

    pub(super) fn descend_from(&self, ancestors: Vec<SessionId>) {
        self.lock().ancestors = ancestors;
    }

    pub(super) fn head(&self) -> Head {
        self.lock().head
    }

    pub(super) fn is_written(&self) -> bool {
        self.lock().written
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    pub(super) fn break_off(&self, why: &str) {
        self.lock().broken = Some(why.to_owned());
    }

    /// A run that waits, with the token that cancels it.
    pub(super) fn create(&self, prompt: &str) -> Result<(RunId, CancellationToken), StartError> {
        let mut inner = self.lock();
        if let Some(why) = &inner.broken {
            return Err(StartError::Unwritable(why.clone()));
        }
        let unfinished = inner.runs.iter().filter(|run| run.is_unfinished_here()).count();
        if unfinished > QUEUE {
            return Err(StartError::Busy);
        }
        let (id, cancel, now) = (RunId::new(), CancellationToken::new(), now_ms());
        let snapshot = RunSnapshot {
            id,
            session_id: inner.session,
            status: RunStatus::Created,
            prompt: prompt.to_owned(),
            created_at_ms: now,
            updated_at_ms: now,
            result_text: None,
            error: None,
            event_count: 0,
            usage: Usage::default(),
            edits: Vec::new(),
            verification: None,
        };
        inner.runs.push_back(Run {
            snapshot,
            cancel: cancel.clone(),
            log: Some(Log::default()),
            reserved: 0,
            foreign: false,
        });
        Ok((id, cancel))
    }

    /// Id and token are looked at together.
    pub(super) fn cancel(&self, run: RunId) -> bool {
        let inner = self.lock();
        let found = inner.runs.iter().find(|known| known.snapshot.id == run && known.is_unfinished_here());
        if let Some(found) = found {
            found.cancel.cancel();
        }
        found.is_some()
    }

    pub(super) fn unfinished(&self) -> Vec<RunId> {
        let inner = self.lock();
        inner.runs.iter().filter(|run| run.is_unfinished_here()).map(|run| run.snapshot.id).collect()
    }

    pub(super) fn snapshot(&self, run: RunId) -> Option<RunSnapshot> {
        self.lock().find(run).map(|known| known.snapshot.clone())
    }

    /// Whether some of the runs are another process's, and not finished when they were last looked at.
    pub(super) fn any_foreign(&self) -> bool {
        self.lock().runs.iter().any(|run| run.foreign && !run.snapshot.status.is_final())
    }

    /// Runs of other processes as they stand now.
    pub(super) fn refresh(&self, stored: Vec<StoredRun>) {
        let mut inner = self.lock();
        for run in stored {
            if let Some(known) = inner.find_mut(run.snapshot.id).filter(|known| known.foreign) {
                known.snapshot = run.snapshot;
            }
        }
    }

    pub(super) fn snapshots(&self) -> Vec<RunSnapshot> {
        self.lock().runs.iter().map(|run| run.snapshot.clone()).collect()
    }

    pub(super) fn figures(&self) -> Figures {
        self.lock().figures.clone()
    }

    pub(super) fn set_figures(&self, figures: Figures) {
        self.lock().figures = figures;
    }

    /// The events of a run behind a number, and how many it has had in all; the events are `None` when they are in the store.
    pub(super) fn events(&self, run: RunId, after: u64) -> Option<(Option<Vec<Envelope>>, u64)> {
        let inner = self.lock();
        let known = inner.find(run)?;
        Some((
            known.log.as_ref().map(|log| log.after(after)),
            known.log.as_ref().map_or(known.snapshot.event_count, |log| log.count),
        ))
    }

    /// Whether a run has told everything that may be told before more numbers are kept for it.
    pub(super) fn is_short_of_numbers(&self, run: RunId) -> bool {
        self.lock().find(run).is_some_and(|known| known.log.as_ref().is_some_and(|log| log.count >= known.reserved))
    }

    /// Numbers a delta, which may be told at once; `None` for a run that has ended. Nothing of the run may be staged.
    pub(super) fn delta(&self, run: RunId, event: Event) -> Option<Envelope> {
        let mut inner = self.lock();
        let session = inner.session;
        let known = inner.find_mut(run).filter(|known| !known.snapshot.status.is_final())?;
        let log = known.log.as_mut()?;
        let told = log.delta(run, session, event);
        known.snapshot.event_count = log.count;
        known.snapshot.updated_at_ms = told.timestamp_ms;
        Some(told)
    }

    /// The block of the newest delta has ended.
    pub(super) fn seal(&self, run: RunId) {
        if let Some(log) = self.lock().find_mut(run).and_then(|known| known.log.as_mut()) {
            log.sealed = true;
        }
    }

    /// Numbers an event and moves the run's snapshot with it, in the stage: nobody sees it before it is kept. The deltas before it
    /// are recorded with it. An event that comes after its run's last one belongs to the session. `None` when a transition is
    /// not allowed, and then nothing happened.
    pub(super) fn stage(&self, stage: &mut Stage, run: RunId, event: Event) -> Option<()> {
        let inner = self.lock();
        let known = inner.find(run)?;
        let moved = stage.moved.iter().position(|moved| moved.snapshot.id == run);
        let mut next = moved.map_or_else(|| known.standing(), |at| stage.moved[at].clone());
        if next.snapshot.status.is_final() {
            // Only what changes the world is worth telling when its run is over.
            let Event::EditApplied { uri, hunks, rebased, file, .. } = event else { return None };
            next.snapshot.count_edit(&uri, hunks.len());
            stage.told += 1;
            let late = Event::EditApplied { uri, hunks, rebased, late: true, file };
            stage.tell(envelope(None, inner.session, stage.told, late));
        } else {
            next.snapshot.follow(&event)?;
            if let Some(log) = &known.log {
                stage.records.extend(log.after(next.recorded).into_iter().map(Record::Event));
            }
            next.snapshot.event_count += 1;
            let told = envelope(Some(run), inner.session, next.snapshot.event_count, event);
            next.snapshot.updated_at_ms = told.timestamp_ms;
            next.recorded = told.sequence;
            stage.tell(told);
        }
        match moved {
            Some(at) => stage.moved[at] = next,
            None => stage.moved.push(next),
        }
        Some(())
    }

    /// The same for what the person decides, at any time: in the run's series while it is under way, and afterwards in the session's own.
    pub(super) fn stage_decided(&self, stage: &mut Stage, run: RunId, event: Event) {
        let (session, known) = {
            let inner = self.lock();
            (inner.session, inner.find(run).map(Run::standing))
        };
        let staged = stage.moved.iter().find(|moved| moved.snapshot.id == run).cloned();
        let next = staged.or(known);
        if next.as_ref().is_some_and(|next| !next.snapshot.status.is_final()) {
            self.stage(stage, run, event);
            return;
        }
        if let (Event::EditApplied { uri, hunks, .. }, Some(mut next)) = (&event, next) {
            next.snapshot.count_edit(uri, hunks.len());
            match stage.moved.iter_mut().find(|moved| moved.snapshot.id == run) {
                Some(moved) => *moved = next,
                None => stage.moved.push(next),
            }
        }
        stage.told += 1;
        stage.tell(envelope(None, session, stage.told, event));
    }

    /// Numbers that may have been told before a crash, and whose deltas were never recorded, stand as one empty delta.
    pub(super) fn stage_lost(&self, stage: &mut Stage, run: &StoredRun) {
        let mut snapshot = run.snapshot.clone();
        if run.reserved > snapshot.event_count {
            let (first, last) = (snapshot.event_count + 1, run.reserved);
            let mut lost =
                envelope(Some(snapshot.id), snapshot.session_id, last, Event::TextDelta { text: String::new() });
            lost.first = (first < last).then_some(first);
            snapshot.event_count = last;
            stage.records.push(Record::Event(lost));
        }
        let recorded = snapshot.event_count;
        stage.moved.push(Moved { snapshot, recorded });
    }

    /// The end of a run that was told and could not be recorded then: it is recorded as it was told.
    pub(super) fn stage_ended(&self, stage: &mut Stage, run: &StoredRun, ended: &Envelope) {
        self.stage_lost(stage, &StoredRun { reserved: ended.sequence.saturating_sub(1), ..run.clone() });
        if let Some(moved) = stage.moved.last_mut()
            && moved.snapshot.follow(&ended.event).is_some()
        {
            moved.snapshot.event_count = ended.sequence;
            moved.snapshot.updated_at_ms = ended.timestamp_ms;
            moved.recorded = ended.sequence;
            stage.records.push(Record::Event(ended.clone()));
        }
    }

    /// The ends of runs that were told and could not be recorded.
    pub(super) fn unrecorded_ends(&self) -> Vec<Envelope> {
        let inner = self.lock();
        let ended = inner.runs.iter().filter(|run| run.snapshot.status.is_final());
        ended.filter_map(|run| run.log.as_ref()?.events.back().cloned()).collect()
    }

    /// A run as it stands, to be kept without an event.
    pub(super) fn stage_standing(&self, stage: &mut Stage, run: RunId) {
        if stage.moved.iter().all(|moved| moved.snapshot.id != run)
            && let Some(known) = self.lock().find(run)
        {
            stage.moved.push(known.standing());
        }
    }

    /// What the store is told of the runs in a stage. It counts the events that are recorded; what was told beyond them is among
    /// the numbers that are reserved.
    pub(super) fn moved(&self, stage: &Stage) -> Vec<RunMoved> {
        let moved = |moved: &Moved| {
            let snapshot = RunSnapshot { event_count: moved.recorded, ..moved.snapshot.clone() };
            RunMoved { reserved: reserved(&moved.snapshot), snapshot }
        };
        stage.moved.iter().map(moved).collect()
    }

    /// Shows what was staged, now that it is kept.
    pub(super) fn publish(&self, stage: &Stage, head: Head) {
        let mut inner = self.lock();
        (inner.head, inner.written) = (head, true);
        for Moved { snapshot, recorded } in &stage.moved {
            let Some(known) = inner.find_mut(snapshot.id) else { continue };
            known.reserved = reserved(snapshot);
            known.snapshot = snapshot.clone();
            if snapshot.status.is_final() {
                // From here on it is read from the store.
                known.log = None;
            } else if let Some(log) = &mut known.log {
                let told = stage.tells().filter(|told| told.run_id == Some(snapshot.id));
                log.events.extend(told.cloned());
                log.count = snapshot.event_count;
                log.sealed &= *recorded == log.kept;
                log.kept = *recorded;
            }
        }
        self.retain(&mut inner);
    }

    /// Ends a run whose end could not be recorded. It is told all the same: the person waits for it.
    pub(super) fn finish_unrecorded(&self, run: RunId, event: Event) -> Option<Envelope> {
        let mut inner = self.lock();
        let session = inner.session;
        let known = inner.find_mut(run)?;
        known.snapshot.follow(&event)?;
        let log = known.log.get_or_insert_default();
        log.count = log.count.max(known.snapshot.event_count) + 1;
        let told = envelope(Some(run), session, log.count, event);
        log.events.push_back(told.clone());
        known.snapshot.event_count = log.count;
        known.snapshot.updated_at_ms = told.timestamp_ms;
        Some(told)
    }

    /// The session goes on as a fork: what has ended belongs to the one that it came from.
    pub(super) fn fork(&self, session: SessionId) {
        let mut inner = self.lock();
        let parent = std::mem::replace(&mut inner.session, session);
        inner.ancestors.insert(0, parent);
        inner.runs.retain(Run::is_unfinished_here);
        for run in &mut inner.runs {
            run.snapshot.session_id = session;
            for event in run.log.iter_mut().flat_map(|log| &mut log.events) {
                event.session_id = session;
            }
        }
    }

    /// Leaves runs that are not finished to the store.
    pub(super) fn forget_unfinished(&self) {
        let mut inner = self.lock();
        inner.stale = true;
        inner.runs.retain(|run| run.snapshot.status.is_final());
    }

    /// Whether another process wrote to the session while it was opened here.
    pub(super) fn is_stale(&self) -> bool {
        self.lock().stale
    }

    /// Whether the store keeps more than it shall.
    pub(super) fn is_full(&self, max_events: usize, run: RunId) -> bool {
        let inner = self.lock();
        let events = inner.find(run).map_or(0, |known| known.snapshot.event_count);
        inner.runs.len() >= self.max_runs || events > max_events as u64
    }

    /// The oldest runs go first, never one that is not finished.
    fn retain(&self, inner: &mut Inner) {
        while inner.runs.len() > self.max_runs {
            let Some(oldest) = inner.runs.iter().position(|run| run.snapshot.status.is_final()) else { break };
            inner.runs.remove(oldest);
        }
    }

    // A std mutex: held for a look or an append, never across an await.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reserved(snapshot: &RunSnapshot) -> u64 {
    let more = if snapshot.status.is_final() || snapshot.status == RunStatus::Created { 0 } else { RESERVE };
    snapshot.event_count + more
}

impl Inner {
    fn find(&self, run: RunId) -> Option<&Run> {
        self.runs.iter().find(|known| known.snapshot.id == run)
    }

    fn find_mut(&mut self, run: RunId) -> Option<&mut Run> {
        self.runs.iter_mut().find(|known| known.snapshot.id == run)
    }
}

impl Run {
    fn standing(&self) -> Moved {
        Moved {
            snapshot: self.snapshot.clone(),
            recorded: self.log.as_ref().map_or(self.snapshot.event_count, |log| log.kept),
        }
    }

    fn stored(stored: StoredRun) -> Self {
        Self {
            reserved: stored.reserved,
            foreign: stored.owner == Owner::Other,
            snapshot: stored.snapshot,
            cancel: CancellationToken::new(),
            log: None,
        }
    }

    fn is_unfinished_here(&self) -> bool {
        !self.foreign && !self.snapshot.status.is_final()
    }
}

#[cfg(test)]
mod tests;
