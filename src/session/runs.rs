//! The runs of a session: snapshots and events, which change together under one mutex.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::{Busy, QUEUE};
use crate::protocol::{
    ContextSource, ContextUse, EditCount, Envelope, Event, RunId, RunSnapshot, RunStatus, SessionId, Usage, now_ms,
};
use crate::settings::Limits;

/// The runs that a session remembers. The actor is the only writer but for [`Runs::create`].
pub(super) struct Runs {
    session: SessionId,
    max_runs: usize,
    max_events: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    runs: VecDeque<Run>,
    /// Events of the session itself.
    own: Log,
    context: Option<ContextUse>,
    usage: Usage,
}

struct Run {
    snapshot: RunSnapshot,
    log: Log,
    cancel: CancellationToken,
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

/// A series of events. Deltas of one block stand as one event under the number of the last.
#[derive(Default)]
struct Log {
    events: VecDeque<Envelope>,
    /// The number of the newest event.
    count: u64,
    /// The number of the newest event that was trimmed.
    trimmed: u64,
}

impl Log {
    fn append(&mut self, run_id: Option<RunId>, session_id: SessionId, event: Event) -> Envelope {
        self.count += 1;
        let told = Envelope {
            run_id,
            session_id,
            sequence: self.count,
            first: None,
            timestamp_ms: now_ms(),
            event: event.clone(),
        };
        let merged = match self.events.back_mut() {
            Some(last) if event.is_delta() => match last.event.merge(event) {
                Ok(()) => {
                    last.first.get_or_insert(last.sequence);
                    last.sequence = self.count;
                    true
                }
                Err(_) => false,
            },
            _ => false,
        };
        if !merged {
            self.events.push_back(told.clone());
        }
        told
    }

    fn trim(&mut self, keep: usize) {
        while self.events.len() > keep {
            if let Some(gone) = self.events.pop_front() {
                self.trimmed = gone.sequence;
            }
        }
    }

    fn page(&self, after: u64) -> EventPage {
        EventPage {
            events: self.events.iter().filter(|event| event.sequence > after).cloned().collect(),
            next: self.count.max(after),
            retention_gap: after < self.trimmed,
        }
    }
}

impl Runs {
    pub(super) fn new(session: SessionId, limits: &Limits) -> Self {
        Self { session, max_runs: limits.max_runs, max_events: limits.max_events_per_run, inner: Mutex::default() }
    }

    /// A run that waits, with the token that cancels it.
    pub(super) fn create(&self, prompt: &str) -> Result<(RunId, CancellationToken), Busy> {
        let mut inner = self.lock();
        let unfinished = inner.runs.iter().filter(|run| !run.snapshot.status.is_final()).count();
        if unfinished > QUEUE {
            return Err(Busy);
        }
        let (id, cancel, now) = (RunId::new(), CancellationToken::new(), now_ms());
        let snapshot = RunSnapshot {
            id,
            session_id: self.session,
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
        inner.runs.push_back(Run { snapshot, log: Log::default(), cancel: cancel.clone() });
        Ok((id, cancel))
    }

    /// Id and token are looked at together.
    pub(super) fn cancel(&self, run: RunId) -> bool {
        let inner = self.lock();
        let found = inner.runs.iter().find(|known| known.snapshot.id == run && !known.snapshot.status.is_final());
        if let Some(found) = found {
            found.cancel.cancel();
        }
        found.is_some()
    }

    pub(super) fn unfinished(&self) -> Vec<RunId> {
        let inner = self.lock();
        inner.runs.iter().filter(|run| !run.snapshot.status.is_final()).map(|run| run.snapshot.id).collect()
    }

    pub(super) fn snapshot(&self, run: RunId) -> Option<RunSnapshot> {
        self.lock().runs.iter().find(|known| known.snapshot.id == run).map(|known| known.snapshot.clone())
    }

    pub(super) fn snapshots(&self) -> Vec<RunSnapshot> {
        self.lock().runs.iter().map(|run| run.snapshot.clone()).collect()
    }

    pub(super) fn totals(&self) -> (ContextUse, Usage) {
        let inner = self.lock();
        let nothing = ContextUse { used: 0, limit: None, source: ContextSource::Estimated };
        (inner.context.unwrap_or(nothing), inner.usage)
    }

    pub(super) fn set_context(&self, context: ContextUse) {
        self.lock().context = Some(context);
    }

    pub(super) fn events(&self, run: Option<RunId>, after: u64) -> EventPage {
        let inner = self.lock();
        let log = match run {
            None => Some(&inner.own),
            Some(run) => inner.runs.iter().find(|known| known.snapshot.id == run).map(|known| &known.log),
        };
        log.map_or(EventPage { events: Vec::new(), next: after, retention_gap: false }, |log| log.page(after))
    }

    /// Numbers an event, moves the snapshot with it and keeps both. An event that comes after its run's last one
    /// belongs to the session. `None` when a transition is not allowed, and then nothing happened.
    pub(super) fn append(&self, run: RunId, event: Event) -> Option<Envelope> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if let Event::Usage { usage, context } = &event {
            inner.usage.add(usage);
            inner.context = Some(*context);
        }
        let found = inner.runs.iter_mut().find(|known| known.snapshot.id == run)?;
        if found.snapshot.status.is_final() {
            // Only what changes the world is worth telling when its run is over.
            let Event::EditApplied { uri, hunks, rebased, .. } = event else { return None };
            found.snapshot.count_edit(&uri, hunks.len());
            let late = Event::EditApplied { uri, hunks, rebased, late: true };
            let told = inner.own.append(None, self.session, late);
            inner.own.trim(self.max_events);
            return Some(told);
        }
        found.snapshot.follow(&event)?;
        let told = found.log.append(Some(run), self.session, event);
        found.snapshot.event_count = found.log.count;
        found.snapshot.updated_at_ms = told.timestamp_ms;
        if found.snapshot.status.is_final() {
            found.log.trim(self.max_events);
            self.retain(inner);
        }
        Some(told)
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

impl RunSnapshot {
    /// Moves with an event; `None` when the run's state does not allow it.
    fn follow(&mut self, event: &Event) -> Option<()> {
        match event {
            Event::RunStarted { .. } => self.status = self.status.to(RunStatus::Executing)?,
            Event::Planning { steps } => {
                let next = if steps.iter().all(|step| step.done) { RunStatus::Executing } else { RunStatus::Planning };
                if self.status != next {
                    self.status = self.status.to(next)?;
                }
            }
            Event::Verifying { .. } if self.status != RunStatus::Verifying => {
                self.status = self.status.to(RunStatus::Verifying)?;
            }
            Event::Verified { summary, .. } => self.verification = Some(summary.clone()),
            Event::TurnStarted { .. } if self.status == RunStatus::Verifying => {
                self.status = self.status.to(RunStatus::Executing)?;
            }
            Event::Usage { usage, .. } => self.usage.add(usage),
            Event::EditApplied { uri, hunks, .. } => self.count_edit(uri, hunks.len()),
            Event::RunFinished { status, result_text, error } => {
                self.status = self.status.to(*status)?;
                self.result_text.clone_from(result_text);
                self.error.clone_from(error);
            }
            _ => {}
        }
        Some(())
    }

    fn count_edit(&mut self, uri: &str, hunks: usize) {
        let hunks = u32::try_from(hunks).unwrap_or(u32::MAX);
        match self.edits.iter_mut().find(|edit| edit.uri == uri) {
            Some(edit) => edit.hunks += hunks,
            None => self.edits.push(EditCount { uri: uri.to_owned(), hunks }),
        }
    }
}

/// Runs are shared between the handle and the actor.
pub(super) type Shared = Arc<Runs>;

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(max_runs: usize, max_events: usize) -> Runs {
        Runs::new(SessionId::new(), &Limits { max_runs, max_events_per_run: max_events, ..Limits::default() })
    }

    fn text(text: &str) -> Event {
        Event::TextDelta { text: text.into() }
    }

    fn started() -> Event {
        Event::RunStarted { prompt: "p".into(), command: None }
    }

    fn finished(status: RunStatus) -> Event {
        Event::RunFinished { status, result_text: None, error: None }
    }

    fn sequences(page: &EventPage) -> Vec<(Option<u64>, u64)> {
        page.events.iter().map(|event| (event.first, event.sequence)).collect()
    }

    #[test]
    fn r3_sequences_begin_at_one_and_the_stored_deltas_of_a_block_are_one_event() {
        let runs = runs(10, 10);
        let (run, _) = runs.create("p").expect("room");
        let told: Vec<u64> = [
            started(),
            text("a"),
            text("b"),
            Event::TurnStarted { turn: 2 },
            text("c"),
            finished(RunStatus::Completed),
        ]
        .into_iter()
        .map(|event| runs.append(run, event).expect("allowed").sequence)
        .collect();
        assert_eq!(told, [1, 2, 3, 4, 5, 6]);
        let page = runs.events(Some(run), 0);
        assert_eq!(sequences(&page), [(None, 1), (Some(2), 3), (None, 4), (None, 5), (None, 6)]);
        assert_eq!((page.next, page.retention_gap), (6, false));
        assert_eq!(page.events[1].event, text("ab"));
        assert_eq!(runs.snapshot(run).expect("known").event_count, 6);
    }

    #[test]
    fn r4_r5_trimming_keeps_the_newest_events_and_says_that_some_are_gone() {
        let runs = runs(10, 2);
        let (run, _) = runs.create("p").expect("room");
        for event in [started(), Event::TurnStarted { turn: 1 }, text("a")] {
            runs.append(run, event);
        }
        assert_eq!(runs.events(Some(run), 0).events.len(), 3, "a live run is never trimmed");
        runs.append(run, finished(RunStatus::Completed));
        let page = runs.events(Some(run), 0);
        assert_eq!(sequences(&page), [(None, 3), (None, 4)]);
        assert!(page.retention_gap);
        assert!(!runs.events(Some(run), 2).retention_gap);
        assert_eq!(runs.snapshot(run).expect("known").event_count, 4);
    }

    #[test]
    fn r4_the_oldest_finished_runs_go_first() {
        let runs = runs(2, 10);
        let ids: Vec<RunId> = (0..3).map(|_| runs.create("p").expect("room").0).collect();
        for id in &ids[1..] {
            runs.append(*id, finished(RunStatus::Cancelled));
        }
        let left: Vec<RunId> = runs.snapshots().iter().map(|run| run.id).collect();
        assert_eq!(left, [ids[0], ids[2]], "the first one waits and must stay");
    }

    #[test]
    fn r1_nothing_moves_a_run_out_of_a_final_state() {
        let runs = runs(10, 10);
        let (run, _) = runs.create("p").expect("room");
        runs.append(run, finished(RunStatus::Cancelled));
        assert_eq!(runs.append(run, finished(RunStatus::Completed)), None);
        assert_eq!(runs.append(run, text("late")), None);
        assert_eq!(runs.snapshot(run).expect("known").status, RunStatus::Cancelled);
        let landed = Event::EditApplied { uri: "file:///a".into(), hunks: Vec::new(), rebased: false, late: false };
        let told = runs.append(run, landed).expect("an edit that landed is always told");
        assert_eq!((told.run_id, told.sequence), (None, 1));
        assert!(matches!(told.event, Event::EditApplied { late: true, .. }), "{told:?}");
        assert_eq!(runs.snapshot(run).expect("known").edits.len(), 1, "the snapshot tells of it too");
    }

    #[test]
    fn r6_cancel_acts_on_the_named_run_and_a_second_one_is_no_error() {
        let runs = runs(10, 10);
        let (one, token_of_one) = runs.create("1").expect("room");
        let (_, token_of_two) = runs.create("2").expect("room");
        assert!(runs.cancel(one));
        assert!(token_of_one.is_cancelled() && !token_of_two.is_cancelled());
        runs.append(one, finished(RunStatus::Cancelled));
        assert!(!runs.cancel(one));
        assert!(!runs.cancel(RunId::new()));
    }

    #[test]
    fn r12_one_run_is_live_and_eight_wait() {
        let runs = runs(100, 10);
        for _ in 0..9 {
            runs.create("p").expect("room");
        }
        assert_eq!(runs.create("one too many").expect_err("full"), Busy);
    }
}
