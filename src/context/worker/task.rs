//! One job, from the request to the summary.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{FutureExt as _, StreamExt as _};

use super::{Failure, Job, Made, Outcome, Shared, Summary, Underway};
use crate::model::{Assembler, Block, Item, Provider, Request, StopReason, StreamEvent, Turn};
use crate::protocol::Usage;

/// Tokens below which a summariser takes in too little for its task and a few entries of the transcript, by estimate.
const LEAST_ROOM: u64 = 1_200;

/// The least that an answer may hold, in tokens.
const LEAST_ANSWER: u64 = 1_024;

/// What a model that thinks before it writes may think at most, in tokens.
const THINKING: u64 = 16_384;

/// What a job has cost so far. Whoever stops it still has the figures.
#[derive(Default)]
pub(super) struct Spent(Mutex<Usage>);

impl Spent {
    pub(super) fn so_far(&self) -> Usage {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, usage: Usage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = usage;
    }
}

/// Ends the job in whatever way its task ends.
struct Ending {
    shared: Arc<Shared>,
    underway: Underway,
    outcome: Option<Outcome>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // Without an outcome the task was dropped: the runtime goes down, or the job was stopped.
        let outcome = match self.outcome.take() {
            Some(outcome) => outcome,
            None => Err(self.underway.failed(Failure::Aborted)),
        };
        self.shared.end(self.underway.number, outcome);
    }
}

/// Does a job, and leaves its outcome where it is taken. A panic goes no further, and neither does a provider that hangs.
pub(super) async fn run(job: Job, underway: Underway, shared: Arc<Shared>) {
    let mut ending = Ending { shared, underway, outcome: None };
    let Underway { model, spent, .. } = ending.underway.clone();
    let timeout = job.timeout;
    let work = tokio::time::timeout(timeout, made(job, model, Arc::clone(&spent)));
    let failure = match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(Ok(mut made))) => {
            made.usage = spent.so_far();
            ending.outcome = Some(Ok(made));
            return;
        }
        Ok(Ok(Err(why))) => Failure::Failed(why),
        Ok(Err(_)) => Failure::TimedOut(timeout.as_secs()),
        // What it said is in the log already, without any key that may be in it.
        Err(_) => {
            tracing::error!(model = ending.underway.model, "a summariser panicked");
            Failure::Panicked
        }
    };
    ending.outcome = Some(Err(ending.underway.failed(failure)));
}

async fn made(job: Job, model: String, spent: Arc<Spent>) -> Result<Made, String> {
    let origin = job.items.get(..job.cut.covers).ok_or("the history is shorter than what was to be summarised")?;
    let origin = Arc::from(origin);
    let (items, cut, before, budget) = (&job.items, &job.cut, job.before.as_deref(), &job.budget);
    let brought = match &job.ask_first {
        Some(first) => first.ask(job.reason, job.used, job.focus.as_deref()).await?,
        None => None,
    };
    if let Some(text) = brought {
        let turn = Turn {
            origin: String::new(),
            blocks: vec![Block::Text { text, raw: None }],
            stop: StopReason::End,
            usage: Usage::default(),
            cut_calls: Vec::new(),
        };
        let mut summary = Summary::accept(&turn, items, cut, before, budget)?;
        for rules in &job.rules {
            summary.facts.ruled(rules);
        }
        let Job { reason, run, cut, budget, .. } = job;
        let summary = Arc::new(summary);
        let (model, sent, usage) = (String::new(), 0, Usage::default());
        return Ok(Made { reason, run, summary, origin, cut, budget, model, sent, usage });
    }
    let room = room(&job);
    if budget.estimated(room).min(room) < LEAST_ROOM {
        return Err(format!(
            "{model} takes in about {room} tokens beside its answer, too little to summarise anything; set compaction.model to one that \
             takes in more"
        ));
    }
    let request = Summary::request(items, cut, before, job.focus.as_deref(), room, budget);
    let request = Request { max_output: Some(answer(&job)), ..request };
    let sent = request.items.len() as u64;
    let mut turn = ask(&*job.provider, request, &spent).await.map_err(|why| job.provider.redacted(why))?;
    for block in &mut turn.blocks {
        if let Block::Text { text, .. } = block {
            *text = job.provider.redacted(std::mem::take(text));
        }
    }
    let mut summary = Summary::accept(&turn, items, cut, before, budget)?;
    for rules in &job.rules {
        summary.facts.ruled(rules);
    }
    let Job { reason, run, cut, budget, .. } = job;
    Ok(Made { reason, run, summary: Arc::new(summary), origin, cut, budget, model, sent, usage: Usage::default() })
}

/// What the summariser can take in. Whatever is known of its answers, there is room for the one that it is asked for, and half of it
/// all is left for what is asked.
fn room(job: &Job) -> u64 {
    let answer = job.provider.max_output().unwrap_or(0).max(answer(job));
    job.provider.context().map_or(job.budget.limit, |all| all - answer.min(all / 2))
}

/// The most that its answer may hold. A model that thinks before it writes would use up what a summary takes and be cut off before
/// its first word; which ones do that nobody says but their own entries in a history, so where there is plenty of room every one
/// may think. The summary itself is bounded by what it is asked for and by what is kept of it.
fn answer(job: &Job) -> u64 {
    let written = job.budget.told().max(LEAST_ANSWER);
    let reasons = job.items.iter().any(|item| match &**item {
        Item::Assistant { model, blocks, .. } => {
            *model == *job.provider.name() && blocks.iter().any(|block| matches!(block, Block::Reasoning { .. }))
        }
        Item::User { .. } | Item::Results { .. } => false,
    });
    let all = job.provider.context().unwrap_or(job.budget.limit);
    let thought = THINKING.min(all / if reasons { 4 } else { 16 });
    let most = job.provider.max_output().unwrap_or(u64::MAX);
    (written + thought).min(all / 2).min(most).max(1)
}

async fn ask(provider: &dyn Provider, request: Request, spent: &Spent) -> Result<Turn, String> {
    let (mut assembler, mut discarded) = (Assembler::default(), Usage::default());
    let mut stream = provider.stream(request).await.map_err(|error| error.to_string())?;
    while let Some(event) = stream.next().await {
        let event = event.map_err(|error| error.to_string())?;
        if matches!(event, StreamEvent::Retrying { .. }) {
            // What was paid for an attempt stays paid.
            discarded.add(&assembler.usage());
        }
        assembler.push(&event);
        let mut usage = discarded;
        usage.add(&assembler.usage());
        spent.set(usage);
        if matches!(event, StreamEvent::Finished(_)) {
            break;
        }
    }
    assembler.finish().map_err(|missing| format!("{} broke off its answer ({missing})", provider.name()))
}
