use std::collections::{HashMap, HashSet};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Pen, changed, open, said, says, text_hash};
use crate::protocol::{RunId, RunStatus, SessionId};
use crate::store::sqlite::tidy;
use crate::store::{Base, Batch, Keep, Record, Sqlite, Store, StoreError, Tidied};

/// The files of the state folder that hold a text.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        if memchr::memmem::find(&bytes, text.as_bytes()).is_some() {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test]
async fn s11_a_deleted_session_is_gone_from_the_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let mut other = Pen::begin(&store, "other", vec![said("stays")]).await;
    let run = RunId::new();
    let mut pen = Pen::begin(&store, "secret title", vec![said("secret in a record")]).await;
    // Not compressible, so that it could be found in a blob.
    let noise: String = (0..20_000).map(|_| fastrand::alphanumeric()).collect();
    let large = format!("{noise} secret in a large record");
    let text = format!("{} secret in a text", noise.chars().rev().collect::<String>());
    let mut batch = pen.batch(vec![said(&large), changed(run, Base::Whole(text_hash(&text)))]);
    batch.contents.push(text.clone().into_bytes());
    let mut moved = pen.run(run, RunStatus::Completed, 1);
    moved.snapshot.prompt = "secret prompt".to_owned();
    batch.runs.push(moved);
    pen.put(&store, batch).await;
    store.rename(pen.session, &format!("secret title, longer {}", "x".repeat(3000))).await.unwrap();
    other.write(&store, vec![said("stays too")]).await;
    // With everything in the index, too.
    for session in [pen.session, other.session] {
        store.search(session, "secret", 9).await.unwrap();
    }
    assert!(!files_with(folder.path(), "secret").is_empty(), "it was there");

    store.delete(pen.session).await.unwrap();
    assert_eq!(files_with(folder.path(), "secret"), [""; 0]);
    assert!(files_with(folder.path(), &noise[100..140]).is_empty());
    assert_eq!(store.session(pen.session).await, Ok(None));
    assert!(store.run(run).await.unwrap().is_none());
    assert!(store.content(text_hash(&text)).await.is_err());
    assert_eq!(store.active("/w").await, Ok(None));
    assert_eq!(store.delete(pen.session).await, Err(StoreError::NoSession(pen.session)));
    assert_eq!(store.append(pen.batch(vec![said("x")])).await, Err(StoreError::NoSession(pen.session)));
    assert_eq!(says(&store.resume(other.session).await.unwrap().1), ["1 stays", "2 stays too"]);
}

#[tokio::test]
async fn s11_what_a_fork_shares_stays_until_the_last_fork_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let parent = Pen::begin(&store, "p", vec![said("shared one"), said("shared two"), said("not shared")]).await;
    let fork = parent.fork(&store, 2, vec![said("of the fork")]).await;
    let second = fork.fork(&store, 1, vec![said("second")]).await;
    store.delete(parent.session).await.unwrap();
    assert!(files_with(folder.path(), "not shared").is_empty(), "what no fork needs goes at once");
    assert_eq!(store.session(parent.session).await, Ok(None));
    assert_eq!(store.sessions(None).await.unwrap().len(), 2);
    assert_eq!(store.resume(parent.session).await.unwrap_err(), StoreError::NoSession(parent.session));
    assert_eq!(says(&store.resume(fork.session).await.unwrap().1), ["1 shared one", "2 shared two", "3 of the fork"]);

    store.delete(fork.session).await.unwrap();
    assert!(files_with(folder.path(), "of the fork").is_empty());
    assert_eq!(says(&store.resume(second.session).await.unwrap().1), ["1 shared one", "2 second"]);
    store.delete(second.session).await.unwrap();
    assert!(files_with(folder.path(), "shared").is_empty());
    assert_eq!(store.tidy().await.unwrap().sessions, 0, "nothing was left to do");
}

#[tokio::test]
async fn a_text_that_another_session_names_stays() {
    let store = Sqlite::in_memory().await.unwrap();
    let text = "shared text\n".repeat(100);
    let mut pens = Vec::new();
    for title in ["one", "two"] {
        let mut pen = Pen::begin(&store, title, vec![]).await;
        let record = changed(RunId::new(), Base::Whole(text_hash(&text)));
        pen.put(&store, Batch { contents: vec![text.clone().into_bytes()], ..pen.batch(vec![record]) }).await;
        pens.push(pen);
    }
    store.delete(pens[0].session).await.unwrap();
    assert_eq!(store.content(text_hash(&text)).await.unwrap(), text.as_bytes());
    store.delete(pens[1].session).await.unwrap();
    assert!(store.content(text_hash(&text)).await.is_err());
}

#[tokio::test]
async fn r4_the_oldest_events_and_runs_go_and_an_unfinished_run_never() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let mut pen = Pen::begin(&store, "", vec![said("item")]).await;
    let live = RunId::new();
    let records = (1..=8).map(|n| pen.event(Some(live), n, "live")).collect();
    let mut batch = pen.batch(records);
    batch.runs.push(pen.run(live, RunStatus::Executing, 8));
    pen.put(&store, batch).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(pen.whole_run(&store, 8).await);
    }
    store.retain(pen.session, Keep { runs: 2, events_per_run: 5 }).await.unwrap();

    let sequences = async |run| {
        let events = store.events(pen.session, Some(run), 0).await.unwrap();
        events.into_iter().map(|event| event.sequence).collect::<Vec<_>>()
    };
    assert_eq!(sequences(live).await, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(sequences(runs[0]).await, [0; 0]);
    assert_eq!(sequences(runs[1]).await, [0; 0]);
    assert_eq!(sequences(runs[2]).await, [4, 5, 6, 7, 8]);
    assert_eq!(sequences(runs[3]).await, [4, 5, 6, 7, 8]);
    let kept: Vec<RunId> = store.runs(pen.session, 100).await.unwrap().iter().map(|run| run.snapshot.id).collect();
    assert_eq!(kept, [live, runs[2], runs[3]]);
    let row = store.session(pen.session).await.unwrap().unwrap();
    assert_eq!((row.runs, row.head), (5, pen.head), "the count and the chain go on");
    let all = store.records(pen.session, 1..=u64::MAX).await.unwrap();
    assert_eq!(all.len(), 1 + 5 * 8);
    assert_eq!(all.iter().filter(|stored| stored.record.is_none()).count(), 8 + 8 + 3 + 3);
    store.retain(pen.session, Keep { runs: 2, events_per_run: 5 }).await.unwrap();
    assert_eq!(sequences(runs[3]).await, [4, 5, 6, 7, 8], "doing it again changes nothing");
    store.plain("look", async |connection| tidy::empty_log(connection).await).await.unwrap();
    assert!(files_with(folder.path(), &format!("event 1 of {}", runs[0])).is_empty());
}

#[tokio::test]
async fn r4_a_large_event_takes_its_text_along() {
    let store = Sqlite::in_memory().await.unwrap();
    let mut pen = Pen::begin(&store, "", vec![]).await;
    let run = RunId::new();
    let large = pen.event(Some(run), 1, &"long ".repeat(2000));
    let hash = text_hash(&serde_json::to_string(&large).unwrap());
    let mut batch = pen.batch(vec![large, pen.event(Some(run), 2, "x"), pen.finished(run, 3)]);
    batch.runs.push(pen.run(run, RunStatus::Completed, 3));
    pen.put(&store, batch).await;
    assert!(store.content(hash).await.is_ok());
    store.retain(pen.session, Keep { runs: 1, events_per_run: 2 }).await.unwrap();
    assert!(store.content(hash).await.is_err());
    assert_eq!(store.events(pen.session, Some(run), 0).await.unwrap().len(), 2);
}

#[tokio::test]
async fn tidying_gives_the_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let noise = |n: usize| (0..n).map(|_| fastrand::alphanumeric()).collect::<String>();
    let mut pen = Pen::begin(&store, "", vec![]).await;
    pen.write(&store, (0..300).map(|_| said(&noise(2000))).collect()).await;
    let loose = noise(50_000);
    pen.put(&store, Batch { contents: vec![loose.clone().into_bytes()], ..pen.batch(vec![]) }).await;
    let kept = Pen::begin(&store, "", vec![said("kept")]).await;
    store.wipe("look").await.unwrap();
    let before = std::fs::metadata(folder.path().join("sessions.db")).unwrap().len();
    let first = store.tidy().await.unwrap();
    let between = std::fs::metadata(folder.path().join("sessions.db")).unwrap().len();
    assert_eq!((first.contents, first.sessions), (1, 0), "the text that no record names");
    assert_eq!(first.bytes, before - between);
    assert!(first.bytes > 30_000, "{before} -> {between}");
    store.delete(pen.session).await.unwrap();
    let after = std::fs::metadata(folder.path().join("sessions.db")).unwrap().len();
    assert!(between > 600_000 && after < 150_000, "{between} -> {after}");
    assert_eq!(store.tidy().await.unwrap(), Tidied::default());
    assert_eq!(says(&store.resume(kept.session).await.unwrap().1), ["1 kept"]);
}

/// What may happen to some sessions, by the number of the session.
#[derive(Clone, Debug)]
enum Step {
    Write(usize, usize),
    Rename(usize, usize),
    Fork(usize, u64),
    Run(usize, u64),
    Retain(usize),
    Delete(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6usize, prop_oneof![20..400usize, 1000..6000usize]).prop_map(|(s, n)| Step::Write(s, n)),
        2 => (0..6usize, 1..600usize).prop_map(|(s, n)| Step::Rename(s, n)),
        1 => (0..6usize, 0..20u64).prop_map(|(s, n)| Step::Fork(s, n)),
        3 => (0..6usize, 1..9u64).prop_map(|(s, n)| Step::Run(s, n)),
        1 => (0..6usize).prop_map(Step::Retain),
        1 => (0..6usize).prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 10..120)
}

/// Everything that a session holds carries its mark, so that a forgotten piece of it shows.
async fn play(folder: &TempDir, steps: Vec<Step>) {
    let store = open(folder).await;
    let mut pens: Vec<(Pen, String)> = Vec::new();
    let mark = |n: usize| format!("mark-{}-{n}", SessionId::new());
    let mut gone: Vec<String> = Vec::new();
    let (mut forked, mut parents) = (HashSet::new(), HashMap::<SessionId, Vec<SessionId>>::new());
    for (n, step) in steps.into_iter().enumerate() {
        while pens.len() < 6 {
            let mark = mark(pens.len() + n);
            pens.push((Pen::begin(&store, &mark, vec![said(&mark)]).await, mark));
        }
        match step {
            Step::Write(s, size) => {
                let (pen, mark) = &mut pens[s];
                let text = format!("{mark} {}", "y".repeat(size));
                pen.write(&store, vec![said(&text)]).await;
            }
            Step::Rename(s, size) => {
                let (pen, mark) = &pens[s];
                store.rename(pen.session, &format!("{mark} {}", "t".repeat(size))).await.unwrap();
            }
            Step::Fork(s, record) => {
                let (pen, _) = pens[s];
                let mark = mark(n);
                let record = 1 + record % pen.head.record;
                let ancestors: Vec<_> = parents.get(&pen.session).cloned().unwrap_or_default();
                let ancestors = [ancestors, vec![pen.session]].concat();
                forked.extend(ancestors.iter().copied());
                let fork = pen.fork(&store, record, vec![said(&mark)]).await;
                parents.insert(fork.session, ancestors);
                pens.push((fork, mark));
            }
            Step::Run(s, events) => {
                let (pen, mark) = &mut pens[s];
                let run = RunId::new();
                let records: Vec<Record> = (1..=events).map(|n| pen.event(Some(run), n, mark)).collect();
                let mut batch = pen.batch(records);
                let mut moved = pen.run(run, RunStatus::Completed, events);
                moved.snapshot.result_text = Some(mark.repeat(1 + n % 50));
                batch.runs.push(moved);
                pen.put(&store, batch).await;
            }
            Step::Retain(s) => store.retain(pens[s].0.session, Keep { runs: 1, events_per_run: 2 }).await.unwrap(),
            Step::Delete(s) => {
                let (pen, mark) = pens.swap_remove(s);
                store.delete(pen.session).await.unwrap();
                if !forked.contains(&pen.session) {
                    assert_eq!(files_with(folder.path(), &mark), [""; 0], "{mark}, just deleted");
                }
                gone.push(mark);
            }
        }
    }
    // Forks are deleted too, so that nothing of a deleted session is needed any more.
    for (pen, mark) in pens {
        store.delete(pen.session).await.unwrap();
        gone.push(mark);
    }
    for mark in gone {
        assert_eq!(files_with(folder.path(), &mark), [""; 0], "{mark}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::rounds(200)))]

    #[test]
    fn s11_after_any_history_nothing_of_a_deleted_session_is_left(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(play(&folder, steps));
    }
}
