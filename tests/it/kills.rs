//! The server is killed at random moments: what was told stays true, and nothing is done twice.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup, rounds};
use crate::durable::verified;
use crate::script::{calls, edit, says};

/// How long a run takes, so that the kills fall everywhere in it.
const RUN: Duration = Duration::from_millis(120);
/// Servers that are killed in one state folder before another is taken.
const IN_ONE_FOLDER: usize = 25;

/// 2,000 kills in a campaign; a run that was cut off goes on in the next server each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaign_kills_lose_nothing_that_was_told() {
    let all = rounds(2000);
    let (mut interrupted, mut done) = (0, 0);
    while done < all {
        let folder = crate::client::state_folder();
        let here = IN_ONE_FOLDER.min(all - done);
        let real = folder.path().canonicalize().expect("real");
        for round in 0..here {
            interrupted += usize::from(one_kill(&real, round).await);
        }
        verified(&real.join("state"));
        done += here;
    }
    println!("{all} kills, {interrupted} runs cut off, all of them went on");
    assert!(interrupted * 4 >= all, "the kills fall into the runs: {interrupted} of {all}");
}

fn turns() -> Vec<Value> {
    let slow = |text: &str| json!({ "chunk": 3, "chunk_delay_ms": 2, "deltas": [{ "text": text }] });
    let mut look = calls(&[("read", json!({ "path": "a.rs" }))]);
    look["deltas"].as_array_mut().expect("deltas").insert(0, json!({ "text": "I look at the file." }));
    look["chunk"] = json!(4);
    look["chunk_delay_ms"] = json!(2);
    vec![
        look,
        calls(&[edit("a.rs", &[("one", "1")]), edit("a.rs", &[("two", "2")])]),
        calls(&[("read", json!({ "path": "a.rs", "start_line": 1, "end_line": 2 })), edit("a.rs", &[("three", "3")])]),
        slow("All three lines are numbers now, as was asked."),
    ]
}

/// Whether the kill fell into the run.
async fn one_kill(folder: &Path, round: usize) -> bool {
    let workspace = folder.join(format!("work{round}"));
    std::fs::create_dir(&workspace).expect("a folder");
    let file = workspace.join("a.rs");
    let before = "one\ntwo\nthree\n";
    std::fs::write(&file, before).expect("written");
    let rules = [("count", turns()), ("go on", vec![says("It goes on.")])];
    let setup = || Setup {
        state: Some(folder.join("state")),
        process: true,
        ..Setup::scripted(Personality::VsCode, &workspace, &rules)
    };

    let one = Client::start(setup()).await;
    let uri = one.open(&file, before);
    let (_, answer) =
        one.send("workspace/executeCommand", json!({ "command": "cowrite.run", "arguments": [{ "prompt": "count" }] }));
    tokio::time::sleep(RUN.mul_f64(fastrand::f64())).await;
    one.kill().await;
    let answered = tokio::time::timeout(Duration::from_millis(1), answer).await.ok().and_then(Result::ok);
    let run = answered.and_then(Result::ok).and_then(|answer| answer["runId"].as_str().map(str::to_owned));
    let told: Vec<Value> = one.notifications("cowrite/event").iter().map(|told| told["params"].clone()).collect();
    let text = one.text(&uri);

    let two = Client::start(setup()).await;
    two.open(&file, &text);
    let mut cut_off = false;
    let run = run.or_else(|| told.first().and_then(|told| told["runId"].as_str().map(str::to_owned)));
    if let Some(run) = &run {
        cut_off = same_as_told(&two, run, &told, &text).await;
    }
    let next = two.run("cowrite.run", json!({ "prompt": "go on" })).await;
    let finished = two.finished(&next).await;
    assert_eq!(finished["status"], "completed", "the next request passes the checker: {finished}");
    assert!(two.requests("workspace/applyEdit").is_empty(), "nothing is done again");
    if run.is_some() {
        let status = two.execute("cowrite.status", json!({})).await.expect("a status");
        assert_eq!(status["runs"].as_array().map(Vec::len), Some(2), "in the same session: {status}");
    }
    two.stop().await;
    cut_off
}

/// Holds what was told before the kill against what is there after it. Says whether the run was cut off.
async fn same_as_told(two: &Client, run: &str, told: &[Value], text: &str) -> bool {
    // The active session is looked at when a server starts; asking for it waits for that.
    let status = two.execute("cowrite.status", json!({})).await.expect("a status");
    let snapshot = status["runs"].as_array().expect("runs").iter().find(|known| known["id"] == run).cloned();
    let snapshot = snapshot.unwrap_or_else(|| panic!("the run that was answered is gone; told of it: {told:#?}"));
    let finished = two.finished(run);
    let ended_before = told.iter().find(|told| told["event"]["type"] == "runFinished");
    let ended = match ended_before {
        Some(told) => told["event"].clone(),
        None => match snapshot["status"].as_str() {
            Some("completed") => json!({ "status": "completed" }),
            _ => finished.await,
        },
    };
    let page = two.execute("cowrite.events", json!({ "runId": run })).await.expect("events");
    let kept = page["events"].as_array().expect("a list");
    let mut next = 1;
    for event in kept {
        let first = event["first"].as_u64().unwrap_or_else(|| event["sequence"].as_u64().expect("a number"));
        assert_eq!(first, next, "a gap or a repeat: {kept:#?}");
        next = event["sequence"].as_u64().expect("a number") + 1;
    }
    for told in told.iter().filter(|told| told["runId"] == run) {
        let sequence = told["sequence"].as_u64().expect("a number");
        let stands = |event: &&Value| {
            let last = event["sequence"].as_u64().expect("a number");
            event["first"].as_u64().unwrap_or(last) <= sequence && sequence <= last
        };
        let found = kept.iter().find(stands).unwrap_or_else(|| panic!("{told} is gone: {kept:#?}"));
        let kind = &told["event"]["type"];
        if kind == "textDelta" || kind == "editDelta" {
            // Numbers that the crash left without their deltas stand as one empty text.
            let lost = found["event"] == json!({ "type": "textDelta", "text": "" });
            assert!(found["event"]["type"] == *kind || lost, "{told} is another event now: {found}");
        } else {
            assert_eq!(found, told, "what was told was changed");
        }
    }
    // An edit that was called applied is in the buffer.
    for told in kept.iter().filter(|kept| kept["event"]["type"] == "editApplied") {
        let new = told["event"]["hunks"][0]["newText"].as_str().expect("a text");
        assert!(text.contains(new.trim()), "{new:?} was told to be in the buffer: {text:?}");
    }
    ended["status"] == "interrupted"
}
