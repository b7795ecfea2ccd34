//! What a compaction in the background adds to a turn: `cargo bench --bench compaction`.
//!
//! A run of many requests in a session on disk, in which the soft mark is passed after some of them and the summariser takes
//! five seconds. Measured is the time from the end of an answer to the next request: tools, records and room are in it. The same
//! run with compaction off is what it is held against.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that prints figures, and stops at the first surprise"
)]

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cowrite::agent::Setup;
use cowrite::context::recall::NoRecall;
use cowrite::disk;
use cowrite::editor::{Change, Editor, Outcome, Place, ReadError};
use cowrite::model::{ModelError, Provider, Purpose, Request, StopReason, StreamEvent, TurnStream};
use cowrite::permission::Roots;
use cowrite::protocol::{Event, Mode};
use cowrite::session::{Outlet, Parts, Ready, Session, Start, Told};
use cowrite::settings::{CompactionSettings, Limits};
use cowrite::store::Sqlite;
use cowrite::text::{Encoding, Snapshot};
use cowrite::tool::{Reads, Registry};
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const CONTEXT: u64 = 200_000;
const REQUESTS: usize = 700;
/// Answers that fill the context up to just below the soft mark, one a run.
const LONG: usize = 3;
const SUMMARY: Duration = Duration::from_secs(5);
/// How long the model takes to answer.
const ANSWER: Duration = Duration::from_millis(10);

/// No summary yet; one under way; one made, and the next request takes it in; taken in.
const BEFORE: u8 = 0;
const DURING: u8 = 1;
const MADE: u8 = 2;
const AFTER: u8 = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    println!("{:<66} {:>12} {:>12}", "figure", "median", "wanted");
    let without = runtime.block_on(run(false));
    let with = runtime.block_on(run(true));
    let gaps = |gaps: &[(u8, f64)], phase: u8| -> Vec<f64> {
        gaps.iter().filter(|(other, _)| *other == phase).map(|(_, gap)| *gap).collect()
    };
    let bare = median(gaps(&without, BEFORE));
    row("from an answer to the next request, compaction off, ms", bare, "");
    for (name, phase) in [("before", BEFORE), ("during", DURING), ("taking in", MADE), ("after", AFTER)] {
        let gaps = gaps(&with, phase);
        let count = gaps.len();
        row(&format!("{name} a summary of 5 s, added to that, ms ({count} requests)"), median(gaps) - bare, "<= 1");
    }
}

fn row(name: &str, median: f64, wanted: &str) {
    println!("{name:<66} {median:>12.3} {wanted:>12}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A run of many requests, and the pause before each.
async fn run(enabled: bool) -> Vec<(u8, f64)> {
    let folder = tempfile::tempdir_in(".").unwrap();
    std::fs::write(folder.path().join("a.txt"), "a line\n").unwrap();
    let (store, _) = Sqlite::open(folder.path()).await.unwrap();
    let heard = Arc::new(Heard::default());
    let parts = Parts {
        store: Arc::new(store),
        outlet: heard.clone(),
        limits: Limits { max_turns: 10_000, ..Limits::default() },
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
        approvals_moved: tokio::sync::watch::Sender::default(),
        shared: Default::default(),
    };
    let session = Session::new(&parts, "/w", "bench");
    let model = Arc::new(Model::default());
    let compaction = CompactionSettings { enabled, cooldown_seconds: 3600, ..CompactionSettings::default() };
    let roots = Roots::new(&[folder.path().canonicalize().unwrap()]);
    for prompt in ["long", "long", "long", "many"] {
        let setup = Setup {
            tasks: TaskTracker::new(),
            gate: cowrite::permission::Gate::default(),
            commands: std::sync::Arc::default(),
            verify: Vec::new(),
            hooks: std::sync::Arc::default(),
            provider: model.clone(),
            tools: Registry::all(),
            system: "You are a coding agent.".into(),
            prompt: prompt.to_owned(),
            typed: None,
            editor: Arc::new(Files),
            roots: roots.clone(),
            reads: Arc::new(Reads::default()),
            limits: parts.limits.clone(),
            mode: Mode::Edit,
            max_output: 0,
            compaction: compaction.clone(),
            summariser: model.clone(),
            rules: Vec::new(),
            conversation: "bench".into(),
            recall: Arc::new(NoRecall),
        };
        let ready = Ready { setup, notes: Vec::new(), rules: Vec::new() };
        let prepare = Box::new(move |_| async move { Ok(ready) }.boxed());
        let start = Start { prompt: prompt.to_owned(), command: None, title: prompt.to_owned(), prepare };
        session.start(start).await.unwrap();
        heard.finished.notified().await;
    }
    parts.shutdown.cancel();
    model.state.lock().unwrap().gaps.clone()
}

/// A model that answers at once, but for summaries.
#[derive(Default)]
struct Model {
    state: Mutex<State>,
    phase: Arc<AtomicU8>,
}

#[derive(Default)]
struct State {
    requests: usize,
    answered: Option<Instant>,
    gaps: Vec<(u8, f64)>,
}

#[async_trait]
impl Provider for Model {
    fn name(&self) -> &str {
        "bench/model"
    }

    fn context(&self) -> Option<u64> {
        Some(CONTEXT)
    }

    async fn stream(&self, request: Request) -> Result<TurnStream, ModelError> {
        let began = Instant::now();
        if request.purpose == Purpose::Summary {
            self.phase.store(DURING, Ordering::SeqCst);
            tokio::time::sleep(SUMMARY).await;
            self.phase.store(MADE, Ordering::SeqCst);
            return Ok(says("Goal: many requests. Done: some of them. Next: the others.".to_owned(), None));
        }
        let number = {
            let mut state = self.state.lock().unwrap();
            if let Some(answered) = state.answered {
                let phase = self.phase.load(Ordering::SeqCst);
                state.gaps.push((phase, (began - answered).as_secs_f64() * 1e3));
                if phase == MADE {
                    self.phase.store(AFTER, Ordering::SeqCst);
                }
            }
            state.requests += 1;
            state.requests
        };
        if number <= LONG {
            return Ok(says("word ".repeat(39_000), None));
        }
        tokio::time::sleep(ANSWER).await;
        let call = (number < REQUESTS).then(|| format!("call{number}"));
        self.state.lock().unwrap().answered = Some(Instant::now());
        Ok(says("I look at it.".to_owned(), call))
    }
}

fn says(text: String, call: Option<String>) -> TurnStream {
    let mut events = vec![StreamEvent::Text { index: 0, text }, StreamEvent::BlockStopped { index: 0 }];
    let stop = if call.is_some() { StopReason::ToolUse } else { StopReason::End };
    if let Some(id) = call {
        events.push(StreamEvent::CallStarted { index: 1, id: Some(id), name: "read".to_owned() });
        events.push(StreamEvent::CallArguments { index: 1, json: "{\"path\":\"a.txt\"}".to_owned() });
        events.push(StreamEvent::BlockStopped { index: 1 });
    }
    events.push(StreamEvent::Finished(stop));
    stream::iter(events.into_iter().map(Ok)).boxed()
}

/// Files on disk, and no buffers.
struct Files;

#[async_trait]
impl Editor for Files {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        Vec::new()
    }

    fn buffer(&self, _place: &Place) -> Option<Snapshot> {
        None
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        disk::read(place)
    }

    async fn apply(&self, _change: Change) -> Outcome {
        Outcome::Refused { reason: "nothing is changed here".to_owned() }
    }

    fn uri(&self, place: &Place) -> String {
        place.to_string()
    }

    fn encoding(&self) -> Encoding {
        Encoding::Utf8
    }
}

/// Hears of the ends of runs.
#[derive(Default)]
struct Heard {
    finished: Notify,
}

#[async_trait]
impl Outlet for Heard {
    fn tell(&self, told: Told) {
        if let Event::RunFinished { error, .. } = &told.envelope.event {
            assert_eq!(*error, None);
            self.finished.notify_one();
        }
    }

    fn say(&self, _sentence: String) {}

    fn has_room(&self) -> bool {
        true
    }

    async fn room(&self) {}
}
