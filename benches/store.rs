//! Figures of the session store: `cargo bench --bench store`.
//!
//! What is resumed, and listed, is read in a fresh process each time (this program again), from a file that the system
//! has in its cache.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that prints figures, and stops at the first surprise"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use cowrite::model::{Block, Item, ToolResult};
use cowrite::protocol::{Envelope, Event, RunId, RunSnapshot, RunStatus, SessionId, Usage, now_ms};
use cowrite::store::{Batch, Begins, Checkpoint, Head, Record, RunMoved, Sqlite, Store};

const RECORDS: u64 = 1_000_000;
const CHECKPOINT_EVERY: u64 = 2_000;
const RUN_EVERY: u64 = 5_000;
const SESSIONS: usize = 10_000;
const APPENDS: usize = 1_000;
const ENTRIES: usize = 5_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "resume-again", folder, session] => {
            return runtime.block_on(resume(Path::new(folder), session.parse().unwrap()));
        }
        [_, "list-again", folder] => return runtime.block_on(list(Path::new(folder))),
        _ => {}
    }
    println!("{:<66} {:>12} {:>12}", "figure", "median", "wanted");
    runtime.block_on(async {
        // The name of one part measures that alone: `cargo bench --bench store -- append`.
        let wanted = |part: &str| arguments.iter().skip(1).all(|word| word.starts_with('-') || word == part);
        if wanted("resume") {
            resumed().await;
        }
        if wanted("list") {
            listed().await;
        }
        if wanted("search") {
            searched().await;
        }
        if wanted("append") {
            // As the server's own tasks do: on the runtime's threads, not beside them.
            tokio::spawn(appended()).await.unwrap();
        }
    });
}

fn row(name: &str, median: f64, wanted: &str) {
    println!("{name:<66} {median:>12.3} {wanted:>12}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Runs this program again, and reads the figures that it prints.
fn again(rounds: usize, arguments: &[&str]) -> Vec<Vec<f64>> {
    let one = || -> Vec<f64> {
        let output = Command::new(std::env::current_exe().unwrap()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(|figure| figure.parse().unwrap()).collect()
    };
    one();
    (0..rounds).map(|_| one()).collect()
}

fn column(figures: &[Vec<f64>], column: usize) -> f64 {
    median(figures.iter().map(|row| row[column]).collect())
}

/// The most memory that this process has had resident, in MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

async fn resumed() {
    let folder = tempfile::tempdir().unwrap();
    let session = SessionId::new();
    let began = Instant::now();
    million(folder.path(), session).await;
    row("1,000,000 records written, 5,000 a batch, s", began.elapsed().as_secs_f64(), "");
    let size = std::fs::metadata(folder.path().join("sessions.db")).unwrap().len();
    row("their file, MiB", size as f64 / 1_048_576.0, "");
    let figures = again(21, &["resume-again", folder.path().to_str().unwrap(), &session.to_string()]);
    row("1,000,000 records: open, resume and 200 runs, ms", column(&figures, 0), "<= 17.6");
    row("1,000,000 records: peak resident memory of that process, MiB", column(&figures, 1), "<= 40");
}

async fn resume(folder: &Path, session: SessionId) {
    let began = Instant::now();
    let (store, _) = Sqlite::open(folder).await.unwrap();
    let (row, records) = store.resume(session).await.unwrap();
    let runs = store.runs(session, 200).await.unwrap();
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert_eq!(row.head.record, RECORDS);
    assert_eq!(records.len() as u64, CHECKPOINT_EVERY, "the newest checkpoint, and all but one record behind it");
    assert_eq!(runs.len(), 200);
    println!("{took} {}", peak_mib());
}

/// A session of all those records, as a person would have it after years.
async fn million(folder: &Path, session: SessionId) {
    let (store, _) = Sqlite::open(folder).await.unwrap();
    let begins = Some(Begins { folder: "/home/p/project".to_owned(), title: "long".to_owned(), parent: None });
    let mut batch = Batch { session, begins, after: Head::default(), records: vec![], contents: vec![], runs: vec![] };
    let mut run = RunId::new();
    for number in 1..=RECORDS {
        let in_run = number % RUN_EVERY;
        batch.records.push(record(session, run, number));
        if in_run == 0 {
            batch.runs.push(finished(session, run));
            let next = Batch { begins: None, records: vec![], runs: vec![], ..batch.clone() };
            let head = store.append(batch).await.unwrap();
            batch = Batch { after: head, ..next };
            run = RunId::new();
        }
    }
    store.close().await;
}

/// About 300 bytes, as items and events are; a checkpoint of some more now and then.
fn record(session: SessionId, run: RunId, number: u64) -> Record {
    let text =
        format!("record {number}: the quick brown fox jumps over the lazy dog, again and again, {}", "x".repeat(60));
    if number % CHECKPOINT_EVERY == 1 {
        let items = (0..40).map(|_| Arc::new(Item::told(text.repeat(2)))).collect();
        return Record::Checkpoint(Box::new(Checkpoint {
            reason: "compacted".to_owned(),
            system: Some("You are a coding agent. ".repeat(100).into()),
            items,
            ..Checkpoint::default()
        }));
    }
    let item = |item| Record::Item { run: Some(run), item: Arc::new(item) };
    match number % 5 {
        0 => item(Item::Assistant {
            model: "anthropic/claude".to_owned(),
            origin: String::new(),
            blocks: vec![Block::Text { text: text.clone(), raw: None }],
            partial: false,
        }),
        1 => item(Item::Results {
            results: vec![ToolResult {
                undone: false,
                call_id: number.to_string(),
                name: "read".to_owned(),
                ok: true,
                content: text,
            }],
        }),
        _ => Record::Event(Envelope {
            run_id: Some(run),
            session_id: session,
            sequence: number % RUN_EVERY + 1,
            first: None,
            timestamp_ms: now_ms(),
            event: Event::TextDelta { text },
        }),
    }
}

fn finished(session: SessionId, run: RunId) -> RunMoved {
    let snapshot = RunSnapshot {
        id: run,
        session_id: session,
        status: RunStatus::Completed,
        prompt: "make it faster".to_owned(),
        created_at_ms: now_ms(),
        updated_at_ms: now_ms(),
        result_text: Some("It is faster now. ".repeat(20)),
        error: None,
        event_count: RUN_EVERY,
        usage: Usage::default(),
        edits: vec![],
        verification: None,
    };
    RunMoved { snapshot, reserved: RUN_EVERY }
}

async fn listed() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Sqlite::open(folder.path()).await.unwrap();
    let begin = |n: usize| {
        let begins = Some(Begins {
            folder: format!("/home/p/project-{}", n % 50),
            title: format!("What person number {n} typed at first, as far as it fits"),
            parent: None,
        });
        let session = SessionId::new();
        let records = vec![record(session, RunId::new(), 2)];
        store.append(Batch { session, begins, after: Head::default(), records, contents: vec![], runs: vec![] })
    };
    for n in (0..SESSIONS).step_by(50) {
        let all = futures::future::join_all((n..n + 50).map(begin)).await;
        assert!(all.iter().all(Result::is_ok));
    }
    store.close().await;
    let figures = again(21, &["list-again", folder.path().to_str().unwrap()]);
    row("10,000 sessions listed, ms", column(&figures, 0), "<= 20");
    row("10,000 sessions: open and list, ms", column(&figures, 1), "");
    row("10,000 sessions: peak resident memory of that process, MiB", column(&figures, 2), "");
}

async fn list(folder: &Path) {
    let began = Instant::now();
    let (store, _) = Sqlite::open(folder).await.unwrap();
    let opened = Instant::now();
    assert_eq!(store.sessions(None).await.unwrap().len(), SESSIONS);
    println!("{} {} {}", opened.elapsed().as_secs_f64() * 1e3, began.elapsed().as_secs_f64() * 1e3, peak_mib());
}

/// A session of 5,000 entries of about two kilobytes, searched: for what stands in few of them, in none, in all of them, and
/// for a word that is too short for the index.
async fn searched() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Sqlite::open(folder.path()).await.unwrap();
    let session = SessionId::new();
    let begins = Some(Begins { folder: "/w".to_owned(), title: "t".to_owned(), parent: None });
    let said = |n: usize| {
        let words: String = (0..220).map(|word| format!("w{:x} ", (n * 7919 + word * 104_729) % 65_521)).collect();
        let needle = if n % 1000 == 7 { "The needle: OPS-4711 \u{4e0a}\u{4e0b}\u{6587}." } else { "" };
        let text = format!("entry {n}\n{words}\n{needle}\n{words}\nin every entry");
        Record::Item { run: Some(RunId::new()), item: Arc::new(Item::told(text)) }
    };
    let records = (0..ENTRIES).map(said).collect();
    let batch = Batch { session, begins, after: Head::default(), records, contents: vec![], runs: vec![] };
    store.append(batch).await.unwrap();
    let began = Instant::now();
    assert_eq!(store.search(session, "needle", 20).await.unwrap().len(), ENTRIES / 1000);
    row("5,000 entries of 2 KB: the first search, which fills the index, ms", began.elapsed().as_secs_f64() * 1e3, "");
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len() as f64 / 1_048_576.0;
    row("5,000 entries of 2 KB: the index, MiB", size("search.db"), "");
    for (what, query, count) in [
        ("what stands in five", "needle ops-4711", ENTRIES / 1000),
        ("what stands in none", "nowhere at all", 0),
        ("what stands in all, the newest 20", "\"in every entry\"", 20),
        ("two characters, without the index", "\u{4e0a}\u{4e0b}", ENTRIES / 1000),
    ] {
        let mut figures = Vec::new();
        for _ in 0..21 {
            let began = Instant::now();
            assert_eq!(store.search(session, query, 20).await.unwrap().len(), count, "{query}");
            figures.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let wanted = if query.chars().count() > 2 { "< 20" } else { "" };
        row(&format!("5,000 entries searched for {what}, ms"), median(figures), wanted);
    }
}

/// A finished item, appended and acknowledged, against writing and flushing the bytes of it to a file, in turn, so that
/// both meet the same disk.
async fn appended() {
    let folder = tempfile::tempdir_in(std::env::var("COWRITE_BENCH_DIR").unwrap_or_else(|_| ".".to_owned())).unwrap();
    let (store, _) = Sqlite::open(folder.path()).await.unwrap();
    let mut bare = File::create(folder.path().join("bare")).unwrap();
    let session = SessionId::new();
    let begins = Some(Begins { folder: "/w".to_owned(), title: "t".to_owned(), parent: None });
    let batch = Batch { session, begins, after: Head::default(), records: vec![], contents: vec![], runs: vec![] };
    let mut head = store.append(batch).await.unwrap();
    let (mut appends, mut writes) = (Vec::new(), Vec::new());
    for n in 0..APPENDS {
        let text = format!("{n} {}", "a finished item of two kilobytes ".repeat(60));
        let item = Record::Item { run: Some(RunId::new()), item: Arc::new(Item::told(text)) };
        let bytes = serde_json::to_vec(&item).unwrap();
        let batch = Batch { session, begins: None, after: head, records: vec![item], contents: vec![], runs: vec![] };
        let began = Instant::now();
        head = store.append(batch).await.unwrap();
        appends.push(began.elapsed().as_secs_f64() * 1e6);
        let began = Instant::now();
        bare.write_all(&bytes).unwrap();
        bare.sync_data().unwrap();
        writes.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let ratio = median(appends.iter().zip(&writes).map(|(append, write)| append / write).collect());
    row("a finished item of 2 KB appended, us", median(appends), "");
    row("its bytes written and flushed, us", median(writes), "");
    row("the one over the other", ratio, "<= 2");
}
