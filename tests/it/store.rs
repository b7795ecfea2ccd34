//! The store on bad days, with real failures: write limits, a full disk, one that can only be read, kills, and many
//! processes at once. What a child process is told to do, it does in [`child`]; its acknowledged records are the lines
//! that begin with `A`.

#![allow(clippy::print_stdout, reason = "a child process tells its parent what it did")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cowrite::model::Item;
use cowrite::protocol::SessionId;
use cowrite::store::{Batch, Begins, Head, Parent, Record, Sqlite, Store, StoreError, Stored};

use crate::client::rounds;

const TASK: &str = "COWRITE_STORE_CHILD";
const FOLDER: &str = "COWRITE_STORE_FOLDER";

/// This test binary again, with a task.
fn arguments() -> [String; 4] {
    let me = std::env::current_exe().expect("this program").display().to_string();
    [me, "--exact".to_owned(), "store::child".to_owned(), "--nocapture".to_owned()]
}

/// Below a shell that first sets limits; `"$@"` in the script is the task.
fn below(shell: &str, script: &str, task: &str, folder: &Path) -> Command {
    let mut words = shell.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).args(["-c", script, "sh"]).args(arguments());
    command.env(TASK, task).env(FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn task(task: &str, folder: &Path) -> Command {
    below("sh", r#"exec "$@""#, task, folder)
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// The texts that were acknowledged, by session.
fn acknowledged(lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        if let Some((session, text)) = line.strip_prefix("A ").and_then(|line| line.split_once(' ')) {
            found.entry(session.to_owned()).or_default().push(text.to_owned());
        }
    }
    found
}

fn said(text: &str) -> Record {
    Record::Item { run: None, item: Arc::new(Item::told(text)) }
}

/// The first word of what each record says.
fn texts(records: &[Stored]) -> Vec<String> {
    let text = |stored: &Stored| match &stored.record {
        Some(Record::Item { item, .. }) => match &**item {
            Item::User { text, .. } => text.split(' ').next().unwrap_or_default().to_owned(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    records.iter().map(text).collect()
}

fn begin(session: SessionId, parent: Option<Parent>, after: Head, text: &str) -> Batch {
    let begins = Some(Begins { folder: "/w".to_owned(), title: "t".to_owned(), parent });
    Batch { session, begins, after, records: vec![said(text)], contents: vec![], runs: vec![] }
}

fn go_on(session: SessionId, after: Head, text: &str) -> Batch {
    Batch { session, begins: None, after, records: vec![said(text)], contents: vec![], runs: vec![] }
}

/// Not compressible.
fn noise(bytes: usize) -> String {
    (0..bytes).map(|_| fastrand::alphanumeric()).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Everything that was acknowledged is there, in order, and nothing else; and the store is whole.
fn exactly(folder: &Path, acknowledged: &BTreeMap<String, Vec<String>>, context: &str) {
    runtime().block_on(async {
        let (store, notice) = Sqlite::open(folder).await.unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(notice, None, "{context}");
        let mut found = BTreeMap::new();
        for row in store.sessions(None).await.expect("a list") {
            let (_, records) = store.resume(row.id).await.expect("it resumes");
            found.insert(row.id.to_string(), texts(&records));
        }
        assert_eq!(&found, acknowledged, "{context}");
        assert_eq!(store.verify().await.expect("looked through").faults, [], "{context}");
        store.close().await;
    });
}

/// What a child process does. Without a task it is no test of anything.
#[test]
fn child() {
    let (Ok(task), Ok(folder)) = (std::env::var(TASK), std::env::var(FOLDER)) else { return };
    let folder = PathBuf::from(folder);
    let mut words = task.split(' ');
    match words.next().expect("a task") {
        "write" => runtime().block_on(write(&folder, words.next().expect("a count").parse().expect("a number"))),
        "fill" => runtime().block_on(fill(&folder)),
        "open" => match runtime().block_on(Sqlite::open(&folder)) {
            Ok(_) => println!("\nopened"),
            Err(error) => println!("\nE {error}"),
        },
        "together" => {
            let (me, seconds, shared) = (words.next(), words.next(), words.next());
            let seconds = seconds.expect("seconds").parse().expect("a number");
            let shared = shared.expect("a session").parse().expect("an id");
            runtime().block_on(together(&folder, me.expect("a number"), Duration::from_secs_f64(seconds), shared));
        }
        other => panic!("an unknown task: {other}"),
    }
}

/// Writes records of several sizes until one fails; then looks at what is there.
async fn write(folder: &Path, count: usize) {
    println!();
    let store = match Sqlite::open(folder).await {
        Ok((store, _)) => store,
        Err(error) => return println!("E {error}"),
    };
    let (session, mut head, mut kept) = (SessionId::new(), Head::default(), Vec::new());
    for n in 0..count {
        let text = format!("{n} {}", noise([20, 3000, 200, 20_000][n % 4]));
        let batch = if n == 0 { begin(session, None, head, &text) } else { go_on(session, head, &text) };
        match store.append(batch).await {
            Ok(next) => {
                println!("A {session} {n}");
                kept.push(n.to_string());
                head = next;
            }
            Err(error) => {
                println!("E {error}");
                let there = store.records(session, 1..=u64::MAX).await;
                match there {
                    Ok(records) => assert_eq!(texts(&records), kept, "nothing of what failed can be seen"),
                    Err(StoreError::NoSession(_)) => assert!(kept.is_empty()),
                    // The log's index cannot grow either, so nothing can be read now.
                    Err(error) => println!("R {error}"),
                }
                return;
            }
        }
    }
    store.close().await;
    println!("whole");
}

#[test]
fn campaign_whatever_write_fails_what_was_acknowledged_is_there_and_nothing_else() {
    // In blocks of 512 bytes: from no byte at all to all that the records need.
    let most = 700;
    let tries = rounds(most);
    let (mut failed, mut whole) = (0, 0);
    for n in 0..tries {
        let blocks = n * most / tries + fastrand::usize(..(most / tries));
        let folder = tempfile::tempdir().expect("a folder");
        let script = format!(r#"trap '' XFSZ; ulimit -f {blocks}; exec "$@""#);
        let output = below("sh", &script, "write 24", folder.path()).output().expect("it runs");
        let lines = lines(&output);
        let context = format!("{blocks} blocks: {lines:?} {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{context}");
        let errors: Vec<&String> = lines.iter().filter(|line| line.starts_with("E ")).collect();
        match errors[..] {
            [] => whole += 1,
            [sentence] => {
                failed += 1;
                assert!(sentence.contains(&folder.path().display().to_string()), "it names the file: {context}");
                assert!(
                    sentence.contains("cowrite.session.resume") || sentence.contains("COWRITE_STATE_DIR"),
                    "it names the next step: {context}"
                );
            }
            _ => panic!("{context}"),
        }
        exactly(folder.path(), &acknowledged(&lines), &context);
    }
    assert!(failed > tries / 2, "{failed} of {tries} failed, {whole} did not");
}

/// Fills the disk, makes room again, and goes on.
async fn fill(folder: &Path) {
    // Half of the smallest disk: to fold the log into the file takes as much room again as the log has.
    std::fs::write(folder.join("ballast"), vec![1; 460_000]).expect("room for the ballast");
    let (store, _) = Sqlite::open(folder).await.expect("it opens");
    let (session, mut head, mut kept) = (SessionId::new(), Head::default(), 0);
    let error = loop {
        let text = format!("{kept} {}", noise(3000 + 4000 * (kept % 5)));
        let batch = if kept == 0 { begin(session, None, head, &text) } else { go_on(session, head, &text) };
        match store.append(batch).await {
            Ok(next) => (head, kept) = (next, kept + 1),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("the disk is full") && error.contains("cowrite.session.resume"), "{error}");
    assert!(error.contains("sessions.db") && error.contains(&session.to_string()), "{error}");
    std::fs::remove_file(folder.join("ballast")).expect("removed");
    // The same store goes on, and so does a fresh one.
    head = store.append(go_on(session, head, "goes-on")).await.expect("there is room");
    let (fresh, notice) = Sqlite::open(folder).await.expect("it opens again");
    assert_eq!(notice, None);
    fresh.append(go_on(session, head, "and-on")).await.expect("there is room");
    let mut expected: Vec<String> = (0..kept).map(|n| n.to_string()).collect();
    expected.extend(["goes-on".to_owned(), "and-on".to_owned()]);
    assert_eq!(texts(&fresh.resume(session).await.expect("it resumes").1), expected);
    assert_eq!(fresh.verify().await.expect("looked through").faults, []);
    println!("\nkept {kept}");
}

/// Whether a file system of one's own can be mounted here.
fn can_mount() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let mounted = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(folder.path())
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        println!("skipped: no file system can be mounted here");
    }
    mounted
}

#[test]
fn a_full_disk_is_told_and_survived() {
    if !can_mount() {
        return;
    }
    for size in ["900k", "1000k", "1500k"] {
        let folder = tempfile::tempdir().expect("a folder");
        let script = format!(r#"mount -t tmpfs -o size={size} tmpfs "${FOLDER}" && exec "$@""#);
        let output = below("unshare -rm sh", &script, "fill", folder.path()).output().expect("it runs");
        let context = format!("{:?} {}", lines(&output), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && lines(&output).iter().any(|line| line.starts_with("kept ")), "{context}");
    }
}

#[test]
fn a_folder_that_can_only_be_read_is_told() {
    if !can_mount() {
        return;
    }
    for before in ["true", r#"COWRITE_STORE_CHILD="write 3" "$@""#] {
        let folder = tempfile::tempdir().expect("a folder");
        let script = format!(
            r#"mount -t tmpfs tmpfs "${FOLDER}" && chmod 700 "${FOLDER}" && {before} && mount -o remount,ro "${FOLDER}" && exec "$@""#
        );
        let output = below("unshare -rm sh", &script, "open", folder.path()).output().expect("it runs");
        let lines = lines(&output);
        let told = lines.iter().any(|line| {
            line.starts_with("E ")
                && line.contains("its file system can only be read")
                && line.contains("COWRITE_STATE_DIR")
                && line.contains(&folder.path().display().to_string())
        });
        assert!(told, "{lines:?} {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn campaign_a_killed_process_leaves_what_was_acknowledged() {
    for _ in 0..rounds(400) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = task("write 1000000", folder.path()).spawn().expect("it runs");
        let mut output = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut lines = Vec::new();
        // At any moment of the first records or of those after them, opening included.
        let wait = if fastrand::bool() { 0 } else { fastrand::usize(1..60) };
        while lines.len() < wait {
            lines.push(output.next().expect("a line").expect("text"));
        }
        std::thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
        child.kill().expect("killed");
        lines.extend(output.map_while(Result::ok));
        child.wait().expect("gone");
        let mut told = acknowledged(&lines);
        // The last one may be there though nobody was told any more.
        let kept = runtime().block_on(async {
            let (store, notice) = Sqlite::open(folder.path()).await.expect("it opens");
            assert_eq!(notice, None);
            let mut kept = BTreeMap::new();
            for row in store.sessions(None).await.expect("a list") {
                kept.insert(row.id.to_string(), texts(&store.resume(row.id).await.expect("it resumes").1));
            }
            kept
        });
        for (session, texts) in &kept {
            let told = told.entry(session.clone()).or_default();
            assert!(texts.len() - told.len() <= 1, "{} were kept, {} were told", texts.len(), told.len());
            told.extend(texts[told.len()..].to_vec());
        }
        exactly(folder.path(), &told, "killed");
    }
}

/// Writes to a session of its own and to one that all share, until the time is over.
async fn together(folder: &Path, me: &str, time: Duration, shared: SessionId) {
    println!();
    let (store, notice) = Sqlite::open(folder).await.expect("it opens");
    assert_eq!(notice, None);
    let (own, mut own_head) = (SessionId::new(), Head::default());
    let (mut common, mut common_head) = (shared, store.session(shared).await.expect("read").expect("there").head);
    let began = Instant::now();
    let mut n = 0_u64;
    while began.elapsed() < time {
        n += 1;
        let text = format!("{me}.{n} {}", noise(fastrand::usize(..3000)));
        let batch = if n == 1 { begin(own, None, own_head, &text) } else { go_on(own, own_head, &text) };
        own_head = store.append(batch).await.expect("its own session takes it");
        println!("A {own} {me}.{n}");
        loop {
            match store.append(go_on(common, common_head, &text)).await {
                Ok(head) => {
                    common_head = head;
                    break println!("A {common} {me}.{n}");
                }
                Err(StoreError::Moved(_)) if n.is_multiple_of(7) => {
                    let parent = Some(Parent { session: common, record: common_head.record });
                    let fork = SessionId::new();
                    common_head = store.append(begin(fork, parent, common_head, &text)).await.expect("it forks");
                    common = fork;
                    break println!("A {common} {me}.{n}");
                }
                Err(StoreError::Moved(_)) => {
                    common = shared;
                    common_head = store.session(shared).await.expect("read").expect("there").head;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    store.close().await;
    println!("done {n}");
}

#[test]
fn campaign_appending_from_eight_processes_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = SessionId::new();
    runtime().block_on(async {
        let (store, _) = Sqlite::open(folder.path()).await.expect("it opens");
        store.append(begin(shared, None, Head::default(), "first")).await.expect("kept");
        store.close().await;
    });
    let seconds = rounds(60_000) as f64 / 1000.0;
    let start = |n: usize| task(&format!("together {n} {seconds} {shared}"), folder.path()).spawn().expect("it runs");
    let children: Vec<Child> = (0..8).map(start).collect();
    let outputs = std::thread::scope(|scope| {
        let waits: Vec<_> =
            children.into_iter().map(|child| scope.spawn(|| child.wait_with_output().expect("it ends"))).collect();
        waits.into_iter().map(|wait| wait.join().expect("joined")).collect::<Vec<_>>()
    });
    let mut told = Vec::new();
    for output in outputs {
        let lines = lines(&output);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(lines.iter().any(|line| line.starts_with("done ")));
        told.extend(lines);
    }
    let told = acknowledged(&told);
    let count: usize = told.values().map(Vec::len).sum();
    println!("{count} records in {} sessions", told.len());
    runtime().block_on(async {
        let (store, _) = Sqlite::open(folder.path()).await.expect("it opens");
        assert_eq!(store.sessions(None).await.expect("a list").len(), told.len());
        for (session, mut told) in told {
            let session: SessionId = session.parse().expect("an id");
            let row = store.session(session).await.expect("read").expect("there");
            let first = row.parent.map_or(1, |parent| parent.record + 1);
            let mut kept = texts(&store.records(session, first..=u64::MAX).await.expect("read"));
            if session == shared {
                // Eight wrote to it, so only each one's own order is known.
                assert_eq!(kept.remove(0), "first");
                kept.sort();
                told.sort();
            }
            assert_eq!(kept, told, "session {session}");
        }
        assert_eq!(store.verify().await.expect("looked through").faults, []);
    });
}
