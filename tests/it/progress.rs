//! `$/progress`: what a person sees without a plugin.

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, says};

fn values(client: &Client) -> Vec<Value> {
    client.notifications("$/progress").into_iter().map(|message| message["params"]["value"].clone()).collect()
}

async fn ended(client: &Client) -> Vec<Value> {
    client
        .until("the end of the progress", |notifications, _| {
            notifications.iter().any(|message| message["params"]["value"]["kind"] == "end").then_some(())
        })
        .await;
    values(client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_begins_reports_and_ends_its_progress() {
    for personality in Personality::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.rs"), "fn a() {}\n").expect("written");
        let slow = json!({ "deltas": [{ "text": "Looking into it" }, { "delay_ms": 300 }, { "text": " now." }] });
        let turns = vec![calls(&[("read", json!({ "path": "a.rs" }))]), slow];
        let client = Client::start(Setup::scripted(personality, folder.path(), &[("why", turns)])).await;
        client.run("cowrite.ask", json!({ "prompt": "why is it so?" })).await;
        let values = ended(&client).await;
        assert_eq!(values[0]["kind"], "begin", "{personality:?}");
        assert_eq!(values[0]["cancellable"], true);
        assert!(values[0]["title"].as_str().expect("a title").contains("why is it so?"), "{}", values[0]);
        let reports: Vec<&str> = values.iter().filter_map(|value| value["message"].as_str()).collect();
        assert!(reports.iter().any(|report| report.contains("Looking into it")), "{personality:?}: {reports:?}");
        assert_eq!(values.iter().filter(|value| value["kind"] == "end").count(), 1);
        assert_eq!(values.last().expect("values")["message"], "done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_words_makes_at_most_ten_reports_a_second() {
    let folder = tempfile::tempdir().expect("a folder");
    let words: Vec<Value> =
        (0..300).flat_map(|n| [json!({ "text": format!("w{n} ") }), json!({ "delay_ms": 2 })]).collect();
    let rules = [("talk", vec![json!({ "deltas": words })])];
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &rules)).await;
    let began = std::time::Instant::now();
    client.run("cowrite.ask", json!({ "prompt": "talk" })).await;
    let values = ended(&client).await;
    let reports = values.iter().filter(|value| value["kind"] == "report").count() as u128;
    assert!(reports >= 2, "{reports}");
    assert!(reports <= began.elapsed().as_millis() / 100 + 1, "{reports} in {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_makes_no_token_gets_no_progress_and_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let client =
        Client::start(Setup::scripted(Personality::VsCode, folder.path(), &[("hi", vec![says("hello")])])).await;
    client.be_deaf_to("window/workDoneProgress/create");
    let run = client.run("cowrite.ask", json!({ "prompt": "hi" })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    assert_eq!(values(&client), Vec::<Value>::new());
}
