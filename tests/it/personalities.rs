//! Clients that are slow, silent or flooding: the document lane and the cancel go through all the same.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, edit, endless, says};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_with_every_request_to_the_client_unanswered_the_cancel_still_works() {
    for personality in Personality::ALL {
        let folders: Vec<_> = (0..6).map(|_| tempfile::tempdir().expect("a folder")).collect();
        let paths: Vec<_> = folders.iter().map(|folder| folder.path().canonicalize().expect("real")).collect();
        let mut rules = Vec::new();
        let prompts: Vec<String> = (0..6).map(|n| format!("edit number {n}")).collect();
        for (prompt, path) in prompts.iter().zip(&paths) {
            let file = path.join("a.rs").display().to_string();
            rules.push((
                prompt.as_str(),
                vec![
                    calls(&[("read", json!({ "path": file }))]),
                    calls(&[edit(&file, &[("old", "new")])]),
                    says("done"),
                ],
            ));
        }
        let mut setup = Setup::scripted(personality, &paths[0], &rules);
        setup.more_folders = paths[1..].to_vec();
        let client = Client::start(setup).await;
        client.be_deaf_to("workspace/applyEdit");
        client.be_deaf_to("window/workDoneProgress/create");
        let mut runs = Vec::new();
        for (prompt, path) in prompts.iter().zip(&paths) {
            let uri = client.open(&path.join("a.rs"), "old text\n");
            runs.push(client.run("cowrite.run", json!({ "prompt": prompt, "uri": uri })).await);
        }
        client
            .until("six unanswered edits", |_, requests| {
                (requests.iter().filter(|request| request["method"] == "workspace/applyEdit").count() == 6)
                    .then_some(())
            })
            .await;
        let began = Instant::now();
        let answer = client.execute("cowrite.cancel", json!({})).await.expect("an answer");
        assert!(began.elapsed() < Duration::from_millis(200), "{personality:?}: {:?}", began.elapsed());
        let mut expected = runs.clone();
        expected.sort();
        assert_eq!(answer["cancelled"], json!(expected), "{personality:?}");
        for run in &runs {
            assert_eq!(client.finished(run).await["status"], "cancelled", "{personality:?}");
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{personality:?}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_changes_queued_behind_a_hundred_unanswered_edits_are_all_taken_in() {
    const EDITS: usize = 100;
    let folders: Vec<_> = (0..=EDITS).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let paths: Vec<_> = folders.iter().map(|folder| folder.path().canonicalize().expect("real")).collect();
    let prompts: Vec<String> = (0..EDITS).map(|n| format!("edit number {n}.")).collect();
    let mut rules = Vec::new();
    for (prompt, path) in prompts.iter().zip(&paths) {
        let file = path.join("a.rs").display().to_string();
        rules.push((
            prompt.as_str(),
            vec![calls(&[("read", json!({ "path": file }))]), calls(&[edit(&file, &[("old", "new")])]), says("done")],
        ));
    }
    let last = paths[EDITS].join("a.rs");
    rules.push(("look", vec![calls(&[("read", json!({ "path": last }))]), says("done")]));
    let mut setup = Setup::scripted(Personality::VsCode, &paths[0], &rules);
    setup.more_folders = paths[1..].to_vec();
    let client = Client::start(setup).await;
    client.be_deaf_to("workspace/applyEdit");
    let (mut uris, mut runs) = (Vec::new(), Vec::new());
    for (prompt, path) in prompts.iter().zip(&paths) {
        let uri = client.open(&path.join("a.rs"), "old text\n");
        runs.push(client.run("cowrite.run", json!({ "prompt": prompt, "uri": uri })).await);
        uris.push(uri);
    }
    client
        .until("a hundred unanswered edits", |_, requests| {
            (requests.iter().filter(|request| request["method"] == "workspace/applyEdit").count() == EDITS)
                .then_some(())
        })
        .await;
    let watched = client.open(&last, "");
    for n in 0..300 {
        let uri = if n % 3 == 0 { &watched } else { &uris[n % EDITS] };
        client.type_into(uri, |text| (text.len()..text.len(), format!("line {n}\n")));
    }
    let began = Instant::now();
    let run = client.run("cowrite.run", json!({ "prompt": "look", "uri": watched })).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(client.finished(&run).await["status"], "completed");
    let answer = client.execute("cowrite.cancel", json!({})).await.expect("an answer");
    // On a slow machine the first of them have given up waiting for their answer by now.
    let cancelled = answer["cancelled"].as_array().expect("a list").clone();
    for run in runs.iter().filter(|run| !cancelled.contains(&json!(run))) {
        assert_eq!(client.finished(run).await["status"], "completed");
    }
    assert!(!cancelled.is_empty());
    let read = client.events(&run).into_iter().find(|event| event["type"] == "toolFinished").expect("a read");
    assert!(read["summary"].as_str().expect("words").contains("100"), "every typed line was read: {read}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_costs_merged_deltas_and_not_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let words: String = (0..20_000).map(|n| format!("w{n} ")).collect();
    let turn = json!({ "deltas": [{ "text": words }], "chunk": 3 });
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &[("talk", vec![turn])])).await;
    client.stop_reading(true);
    let argument = json!({ "command": "cowrite.ask", "arguments": [{ "prompt": "talk" }] });
    let (_, answer) = client.send("workspace/executeCommand", argument);
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.stop_reading(false);
    answer.await.expect("the reader lives").expect("it started");
    assert_eq!(client.any_finished().await["status"], "completed");
    let deltas: Vec<_> = client
        .notifications("cowrite/event")
        .into_iter()
        .filter(|message| message["params"]["event"]["type"] == "textDelta")
        .collect();
    let told: String = deltas.iter().map(|delta| delta["params"]["event"]["text"].as_str().expect("text")).collect();
    assert_eq!(told, words, "nothing is lost and nothing comes twice");
    assert!(deltas.len() < 20_000, "deltas were merged: {}", deltas.len());
    let sequences: Vec<u64> = client
        .notifications("cowrite/event")
        .iter()
        .map(|message| message["params"]["sequence"].as_u64().expect("a number"))
        .collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>(), "no gap and no repeat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_by_the_progress_button_cancels_that_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let client =
        Client::start(Setup::scripted(Personality::VsCode, folder.path(), &[("go on", vec![endless()])])).await;
    let run = client.run("cowrite.ask", json!({ "prompt": "go on" })).await;
    client.streamed(&run).await;
    client.notify("window/workDoneProgress/cancel", json!({ "token": format!("cowrite/{run}") }));
    assert_eq!(client.finished(&run).await["status"], "cancelled");
}
