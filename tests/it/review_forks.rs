//! What waits in a session and its forks is decided once, where the person is at work.

use serde_json::{Value, json};

use crate::client::{Client, Personality};
use crate::review::{BEFORE, Scene, accept, editing, records, refused, reject, run};
use crate::script::{endless, says};

fn three_places() -> Scene {
    Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]))])
}

/// The sessions that have told such an event, each as often as it did, once there are so many.
async fn told_by(client: &Client, kind: &str, count: usize) -> Vec<String> {
    let look = |notifications: &[Value], _: &[Value]| {
        let told = notifications.iter().map(|message| &message["params"]).filter(|told| told["event"]["type"] == kind);
        let by: Vec<String> = told.map(|told| told["sessionId"].as_str().expect("an id").to_owned()).collect();
        (by.len() >= count).then_some(by)
    };
    client.until(&format!("{count} {kind}"), look).await
}

async fn fork(client: &Client) -> String {
    let fork = client.execute("cowrite.session.fork", json!({})).await.expect("a fork");
    fork["sessionId"].as_str().expect("an id").to_owned()
}

/// What is recorded of decisions in a session: ids and verdicts. Those that a fork shares with its parent count for both.
async fn decided_in(client: &Client, session: &str) -> Vec<String> {
    let argument = json!({ "sessionId": session, "format": "json" });
    let answer = client.execute("cowrite.session.export", argument).await.expect("an export");
    let export: Value = serde_json::from_str(answer["text"].as_str().expect("a text")).expect("JSON");
    let records = export["records"].as_array().expect("records").iter();
    let decided = records.map(|record| &record["record"]["decided"]).filter(|decided| decided.is_object());
    let line = |decided: &Value| {
        let ids: Vec<&str> = decided["hunks"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
        format!("{} {}", ids.join(" "), decided["verdict"].as_str().expect("a verdict"))
    };
    let mut lines: Vec<String> = decided.map(line).collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_what_waits_is_decided_in_the_fork_that_the_person_works_in() {
    let scene = three_places();
    let (client, _) = scene.process(BEFORE).await;
    let run = run(&client, "go", "ask").await;
    let parent = client.execute("cowrite.status", json!({})).await.expect("a status")["sessionId"].clone();
    let parent = parent.as_str().expect("an id").to_owned();
    let middle = fork(&client).await;
    let newest = fork(&client).await;
    client.kill().await;

    let (client, uri) = scene.process(BEFORE).await;
    assert_eq!(accept(&client, json!({ "hunk": "p1" })).await, json!(["p1"]));
    assert_eq!(reject(&client, json!({ "hunk": "p2" })).await, json!(["p2"]));
    assert_eq!(accept(&client, json!({ "runId": run })).await, json!(["p3"]));
    assert_eq!(told_by(&client, "editApplied", 2).await, [newest.clone(), newest.clone()]);
    assert_eq!(told_by(&client, "editRejected", 1).await, std::slice::from_ref(&newest));
    for session in [&parent, &middle, &newest] {
        assert_eq!(decided_in(&client, session).await, ["p1 accepted", "p2 refused", "p3 accepted"], "{session}");
    }
    assert_eq!(client.text(&uri), BEFORE.replace("one", "eins").replace("five", "fünf"));
    // It is the fork's own change, so the fork takes it back.
    let undone = client.execute("cowrite.undo", json!({})).await.expect("undone");
    assert_eq!(undone["files"][0]["outcome"], "restored");
    assert_eq!(client.text(&uri), BEFORE);
    client.kill().await;

    let (client, _) = scene.process(BEFORE).await;
    for session in [&parent, &middle, &newest] {
        client.execute("cowrite.session.resume", json!({ "sessionId": session })).await.expect("resumed");
        assert!(refused(&client, "cowrite.accept", json!({})).await.contains("nothing is proposed"), "{session}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_person_hears_of_a_decision_once_and_each_session_keeps_it() {
    for personality in [Personality::VsCode, Personality::Neovim12, Personality::Helix] {
        let scene = three_places();
        let (client, uri) = scene.server(personality).await;
        run(&client, "go", "ask").await;
        let status = client.execute("cowrite.status", json!({})).await.expect("a status");
        let parent = status["sessionId"].as_str().expect("an id").to_owned();
        let fork = fork(&client).await;
        reject(&client, json!({ "hunk": "p2" })).await;
        // What has no place any more is told once too.
        client.type_into(&uri, |text| {
            let at = text.find("five").expect("there");
            (at..at, "my_".into())
        });
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
        // Who shows markers has looked already.
        refused(&client, "cowrite.accept", json!({ "hunk": "p3" })).await;
        client.execute("cowrite.status", json!({})).await.expect("a status");
        // Whatever else there was to tell has come with what was asked for later.
        accept(&client, json!({ "hunk": "p1" })).await;
        for session in [&parent, &fork] {
            let decided = decided_in(&client, session).await;
            assert_eq!(decided, ["p1 accepted", "p2 refused", "p3 void"], "{personality:?}");
        }
        assert_eq!(told_by(&client, "editRejected", 2).await, [fork.clone(), fork.clone()], "{personality:?}");
        assert_eq!(told_by(&client, "editApplied", 1).await, std::slice::from_ref(&fork), "{personality:?}");
        let heard: String = records(&client).await.iter().map(Value::to_string).collect();
        assert_eq!(heard.matches("The person refused your proposed change").count(), 1, "{personality:?}");
    }
}

/// An ancestor in which nothing waits any more hides nothing of what it comes from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_decided_in_a_fork_is_decided_above_one_that_was_cleared_too() {
    let scene = three_places();
    let (client, _) = scene.process(BEFORE).await;
    run(&client, "go", "ask").await;
    let status = client.execute("cowrite.status", json!({})).await.expect("a status");
    let parent = status["sessionId"].as_str().expect("an id").to_owned();
    let upper = fork(&client).await;
    let middle = fork(&client).await;
    let newest = fork(&client).await;
    client.execute("cowrite.session.clear", json!({ "sessionId": middle })).await.expect("cleared");
    client.kill().await;

    let (client, _) = scene.process(BEFORE).await;
    assert_eq!(accept(&client, json!({ "hunk": "p1" })).await, json!(["p1"]));
    for session in [&parent, &upper, &newest] {
        assert_eq!(decided_in(&client, session).await, ["p1 accepted"], "{session}");
    }
}

/// Two who write in one session part, so a decision is not written where another process is at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_leaves_a_session_alone_that_another_process_has() {
    let edits = editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]);
    let scene = Scene::new(vec![("go", edits), ("wait", vec![endless()]), ("hello", vec![says("hi")])]);
    let (there, _) = scene.process(BEFORE).await;
    run(&there, "go", "ask").await;
    let live = there.execute("cowrite.run", json!({ "prompt": "wait" })).await.expect("it starts");
    let session = live["sessionId"].clone();
    there.streamed(live["runId"].as_str().expect("an id")).await;

    let (here, _) = scene.process(BEFORE).await;
    here.execute("cowrite.status", json!({})).await.expect("a status");
    fork(&here).await;
    let forks = || {
        here.notifications("cowrite/event")
            .iter()
            .filter(|told| told["params"]["event"]["type"] == "sessionForked")
            .count()
    };
    let before = forks();
    assert_eq!(accept(&here, json!({ "hunk": "p1" })).await, json!(["p1"]));
    assert_eq!(reject(&here, json!({ "hunk": "p2" })).await, json!(["p2"]));
    here.execute("cowrite.status", json!({})).await.expect("a status");
    assert_eq!(forks(), before, "nothing parts from the other's session");

    there.execute("cowrite.cancel", json!({})).await.expect("cancelled");
    let finished = there.finished(live["runId"].as_str().expect("an id")).await;
    assert_eq!(finished["status"], "cancelled", "{finished}");
    let next = there.execute("cowrite.run", json!({ "prompt": "hello" })).await.expect("it starts");
    assert_eq!(next["sessionId"], session, "it goes on where it was");
    assert!(decided_in(&there, session.as_str().expect("an id")).await.is_empty(), "it waits there still");
}
