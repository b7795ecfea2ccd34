//! What is about to be recorded, and who is told when it is.

use crate::protocol::{Envelope, Event, RunId, RunSnapshot, SessionId};
use crate::store::{Batch, Begins, Head, Record, RunMoved};

use super::runs::envelope;
use super::state::State;

/// Records on their way into the store, with what becomes visible when they are there.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) records: Vec<Record>,
    /// Texts that the records name.
    pub(super) contents: Vec<Vec<u8>>,
    /// Runs as they will stand.
    pub(super) moved: Vec<Moved>,
    /// Which of the records are events to tell.
    tells: Vec<usize>,
    /// Events of the session's own so far, those in here included.
    pub(super) told: u64,
    acks: Vec<Ack>,
}

/// A run as it will stand.
#[derive(Clone)]
pub(super) struct Moved {
    pub(super) snapshot: RunSnapshot,
    /// Event numbers up to this one are recorded when the stage is kept.
    pub(super) recorded: u64,
}

/// Who waits to hear that it is kept; with what the session knows then.
type Ack = Box<dyn FnOnce(&State, Result<(), String>) + Send>;

impl Stage {
    pub(super) fn new(state: &State) -> Self {
        Self { told: state.told(), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.moved.is_empty() && self.acks.is_empty()
    }

    /// Calls back when everything staged so far is kept, or is not.
    pub(super) fn ack(&mut self, ack: impl FnOnce(&State, Result<(), String>) + Send + 'static) {
        self.acks.push(Box::new(ack));
    }

    pub(super) fn answer(&mut self, state: &State, result: &Result<(), String>) {
        for ack in self.acks.drain(..) {
            ack(state, result.clone());
        }
    }

    /// An event, to be told when it is kept.
    pub(super) fn tell(&mut self, told: Envelope) {
        self.tells.push(self.records.len());
        self.records.push(Record::Event(told));
    }

    /// What is to be told, in order.
    pub(super) fn tells(&self) -> impl Iterator<Item = &Envelope> {
        self.tells.iter().filter_map(|at| match self.records.get(*at) {
            Some(Record::Event(told)) => Some(told),
            _ => None,
        })
    }

    pub(super) fn batch(&self, session: SessionId, begins: Option<Begins>, after: Head, runs: Vec<RunMoved>) -> Batch {
        Batch { session, begins, after, records: self.records.clone(), contents: self.contents.clone(), runs }
    }

    /// The same for a fork, of which it is the beginning: its own series begins with saying so.
    pub(super) fn fork(&mut self, session: SessionId, parent: SessionId) {
        let mut own = 1;
        let mut forked = |envelope: &mut Envelope| {
            envelope.session_id = session;
            if envelope.run_id.is_none() {
                own += 1;
                envelope.sequence = own;
            }
        };
        let mut told = 1;
        for record in &mut self.records {
            match record {
                Record::Event(envelope) => {
                    forked(envelope);
                    told += u64::from(envelope.run_id.is_none());
                }
                // It counts what stands before it.
                Record::Checkpoint(checkpoint) => checkpoint.told = told,
                _ => {}
            }
        }
        for moved in &mut self.moved {
            moved.snapshot.session_id = session;
        }
        let said = envelope(None, session, 1, Event::SessionForked { parent });
        self.records.insert(0, Record::Event(said));
        self.tells.iter_mut().for_each(|at| *at += 1);
        self.tells.insert(0, 0);
        self.told = own;
    }

    /// The documents whose edits are told of in here.
    pub(super) fn edited(&self) -> Vec<String> {
        let edited = self.tells().filter_map(|told| match &told.event {
            Event::EditApplied { uri, .. } => Some(uri.clone()),
            _ => None,
        });
        edited.collect()
    }

    /// Whether a run is about to end in here.
    pub(super) fn ends(&self, run: RunId) -> bool {
        self.moved.iter().any(|moved| moved.snapshot.id == run && moved.snapshot.status.is_final())
    }
}
