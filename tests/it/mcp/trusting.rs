//! Servers and trust: what a folder names is started once the person trusts it, and from where a server is started.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::nasty;
use crate::client::{Client, Personality, Setup};
use crate::script::{calls, says};

/// A client in a folder, with the person's own servers.
async fn client(work: &Path, state: &Path, servers: Value) -> Client {
    let turns = vec![calls(&[("docs__go", json!({}))]), says("Done.")];
    let mut setup = Setup::scripted(Personality::VsCode, work, &[("", turns)]);
    setup.settings["mcp"] = servers;
    setup.settings["permissions"] = json!({ "allow": ["*__*"] });
    setup.state = Some(state.to_owned());
    Client::start(setup).await
}

async fn runs(client: &Client) -> Vec<Value> {
    let run = client.run("cowrite.run", json!({ "prompt": "Go." })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    let done = client.events(&run).into_iter();
    done.filter(|event| event["type"] == "toolFinished").collect()
}

/// The lines that a server leaves when it is started: the folder that it is started in.
fn starts(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn leaving(file: &Path) -> Value {
    let mut server = nasty("offers");
    server["command"].as_array_mut().expect("words").push(json!(file));
    server
}

#[tokio::test]
async fn a3_09_a_server_of_a_folder_that_is_not_trusted_is_never_started() {
    let (top, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (work, started) = (top.path().canonicalize().expect("real"), state.path().join("started"));
    let words = leaving(&started)["command"].to_string();
    std::fs::create_dir(work.join(".cowrite")).expect("a folder");
    std::fs::write(work.join(".cowrite/config.toml"), format!("[mcp.docs]\ncommand = {words}\n")).expect("written");
    let client = client(&work, state.path(), json!({})).await;
    let done = runs(&client).await;
    assert!(
        done[0]["ok"] == false && done[0]["summary"].as_str().expect("words").contains("There is no tool docs__go")
    );
    let listed = client.execute("cowrite.prompts", json!({ "start": true })).await.expect("a list");
    assert_eq!(listed, json!({ "prompts": [], "problems": [] }));
    let refused = client.execute("cowrite.run", json!({ "command": "docs__topic", "prompt": "x" })).await;
    assert!(refused.expect_err("unknown")["message"].as_str().expect("words").contains("there is none"));
    assert_eq!(starts(&started), Vec::<String>::new());

    client.execute("cowrite.trust", json!({})).await.expect("trusted");
    assert!(runs(&client).await[0]["ok"] == true);
    assert_eq!(starts(&started), [work.display().to_string()], "in the folder, whose programs are trusted too");

    // What was trusted is something else now: it runs no longer, and nothing of the new is started.
    let changed = format!("[mcp.docs]\ncommand = {words}\nenv = [\"LANG\"]\n");
    std::fs::write(work.join(".cowrite/config.toml"), changed).expect("written");
    assert!(runs(&client).await[0]["ok"] == false);
    assert_eq!(starts(&started).len(), 1);
}

#[tokio::test]
async fn a3_09_the_persons_own_server_is_started_apart_from_a_folder_that_is_not_trusted() {
    let (top, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (work, started) = (top.path().canonicalize().expect("real"), state.path().join("started"));
    let evil = work.join("docs-mcp");
    std::fs::write(&evil, format!("#!/bin/sh\ntouch {}/evil\n", work.display())).expect("written");
    std::fs::set_permissions(&evil, std::fs::Permissions::from_mode(0o755)).expect("made a program");
    let servers = json!({ "docs": leaving(&started), "near": { "command": ["./docs-mcp"] }, "bare": { "command": ["docs-mcp"] } });
    let client = client(&work, state.path(), servers).await;
    assert!(runs(&client).await[0]["ok"] == true);
    let apart = state.path().canonicalize().expect("real");
    assert_eq!(starts(&started), [apart.display().to_string()]);
    assert!(!work.join("evil").exists(), "a program of the folder was started");
    let told = format!("{:?}", client.notifications("window/showMessage"));
    assert!(told.contains("The server near could not be started"), "{told}");
    assert!(told.contains("The server bare could not be started"), "{told}");
}
