//! Cancelling at any moment.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup, rounds};
use crate::script::{calls, edit};

/// 1,000 in a campaign.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaign_cancels_r7_at_random_moments_are_acknowledged_and_leave_a_valid_history() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("real");
    std::fs::write(real.join("a.rs"), "").expect("written");
    // Streams, reads side by side, edits, streams on: a cancel may come anywhere. The scripted model refuses a request
    // whose history has calls without results or results without calls.
    let chatter = |words: usize| {
        let mut deltas: Vec<Value> = Vec::new();
        for n in 0..words {
            deltas.push(json!({ "text": format!("word{n} ") }));
            deltas.push(json!({ "delay_ms": 1 }));
        }
        deltas
    };
    let mut reading = chatter(3);
    for _ in 0..3 {
        reading.push(json!({ "call": { "name": "read", "arguments": { "path": "a.rs" } } }));
    }
    let mut editing = chatter(3);
    let (name, arguments) = edit("a.rs", &[("start\n", "start\nagent\n")]);
    editing.push(json!({ "call": { "name": name, "arguments": arguments } }));
    let (name, arguments) = edit("a.rs", &[("start\nagent\n", "start\n")]);
    editing.push(json!({ "call": { "name": name, "arguments": arguments } }));
    let turns = vec![
        json!({ "deltas": reading }),
        json!({ "deltas": editing }),
        calls(&[("search", json!({ "pattern": "start" }))]),
        json!({ "deltas": chatter(30) }),
    ];
    let client = Client::start(Setup::scripted(Personality::Helix, &real, &[("work", turns)])).await;
    let uri = client.open(&real.join("a.rs"), "start\nend\n");
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut slowest = Duration::ZERO;
    let mut cancelled = 0;
    for round in 0..rounds(1000) {
        let run = client.run("cowrite.run", json!({ "prompt": "work", "uri": uri })).await;
        tokio::time::sleep(Duration::from_micros(random(60_000))).await;
        let asked = Instant::now();
        let answer = client.execute("cowrite.cancel", json!({ "runId": run })).await.expect("an answer");
        let acknowledged = asked.elapsed();
        let finished = client.finished(&run).await;
        let ended = asked.elapsed();
        slowest = slowest.max(ended);
        assert!(acknowledged < Duration::from_millis(200), "round {round}: {acknowledged:?}");
        if answer["cancelled"] == json!([run]) {
            cancelled += 1;
            assert!(ended < Duration::from_millis(400), "round {round}: {ended:?}");
            assert!(
                finished["status"] == "cancelled" || finished["status"] == "completed",
                "round {round}: {finished}"
            );
        } else {
            assert_eq!(finished["status"], "completed", "round {round}: {finished}");
        }
        // The text is always whole: with the agent's line or without it.
        client.type_into(&uri, |text| {
            assert!(["start\nend\n", "start\nagent\nend\n"].contains(&text), "round {round}: {text:?}");
            (0..text.len(), "start\nend\n".into())
        });
        if round % 50 == 0 {
            client.forget_events();
        }
    }
    assert!(cancelled > 0, "no run was still going when it was cancelled");
    println!("{cancelled} runs cancelled; the slowest ended after {slowest:?}");
    progress_is_closed(&client).await;
    // What all those left behind is a history that a strict model still takes.
    let run = client.run("cowrite.run", json!({ "prompt": "work", "uri": uri })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
}

/// Every progress that began has ended, exactly once.
async fn progress_is_closed(client: &Client) {
    client
        .until("the end of every progress", |notifications, _| {
            let mut open = HashSet::new();
            for message in notifications.iter().filter(|message| message["method"] == "$/progress") {
                let token = message["params"]["token"].to_string();
                match message["params"]["value"]["kind"].as_str() {
                    Some("begin") => assert!(open.insert(token), "begun twice"),
                    Some("end") => assert!(open.remove(&token), "ended twice, or never begun"),
                    _ => assert!(open.contains(&token), "a report outside of its progress"),
                }
            }
            open.is_empty().then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_run_can_be_cancelled_and_the_live_one_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = [("go on", vec![crate::script::endless()]), ("short", vec![crate::script::says("done")])];
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &rules)).await;
    let live = client.run("cowrite.ask", json!({ "prompt": "go on" })).await;
    let waiting = client.run("cowrite.ask", json!({ "prompt": "short" })).await;
    client.streamed(&live).await;
    let answer = client.execute("cowrite.cancel", json!({ "runId": waiting })).await.expect("an answer");
    assert_eq!(answer["cancelled"], json!([waiting]));
    let finished = client.finished(&waiting).await;
    assert_eq!(finished["status"], "cancelled");
    assert_eq!(client.events(&waiting).len(), 1, "it never started");
    let again = client.execute("cowrite.cancel", json!({ "runId": waiting })).await.expect("no error");
    assert_eq!(again["cancelled"], json!([]));
    let status = client.execute("cowrite.status", json!({})).await.expect("a status");
    assert_eq!(status["runs"][0]["status"], "executing");
    client.execute("cowrite.cancel", json!({})).await.expect("an answer");
    assert_eq!(client.finished(&live).await["status"], "cancelled");
}
