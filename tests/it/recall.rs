//! Looking back: what a session has recorded is found by its runs, whatever became of the history.

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, says};

/// Runs a prompt to its end and gives what the model said last.
async fn ask(client: &Client, argument: Value) -> String {
    let answer = client.execute("cowrite.run", argument).await.expect("it starts");
    let finished = client.finished(answer["runId"].as_str().expect("an id")).await;
    assert_eq!(finished["status"], "completed", "{finished}");
    finished["resultText"].as_str().expect("an answer").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_a_run_finds_what_was_said_before_it_also_when_the_history_was_cleared() {
    let folder = tempfile::tempdir().expect("a folder");
    let looks_back = |query: &str| vec![calls(&[("recall", json!({ "query": query }))]), says("{{results}}")];
    let rules = [
        ("remember", vec![says("The ticket is OPS-4711; 压缩之后也要记得。")]),
        ("which ticket", looks_back("the ticket ops-")),
        ("in another language", looks_back("压缩之后")),
        ("what else", looks_back("nobody said that")),
    ];
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &rules)).await;
    ask(&client, json!({ "prompt": "remember" })).await;
    let found = ask(&client, json!({ "prompt": "which ticket", "mode": "plan" })).await;
    assert!(found.starts_with("1 place, newest first.") && found.contains("> The ticket is OPS-4711"), "{found}");
    assert!(found.contains(", you\n"), "who said it: {found}");
    client.execute("cowrite.session.clear", json!({})).await.expect("cleared");
    let found = ask(&client, json!({ "prompt": "in another language" })).await;
    assert!(found.contains(", you\n> The ticket is OPS-4711"), "{found}");
    assert!(!found.contains("recall"), "what was looked for before, and found, is not found again: {found}");
    let nothing = ask(&client, json!({ "prompt": "what else" })).await;
    assert!(nothing.starts_with("Nothing in this session holds all of"), "{nothing}");
    // Another session is another history.
    client.execute("cowrite.session.new", json!({})).await.expect("a new one");
    let nothing = ask(&client, json!({ "prompt": "which ticket" })).await;
    assert!(nothing.starts_with("Nothing in this session holds all of"), "{nothing}");
    client.stop().await;
}
