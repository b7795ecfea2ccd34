//! Programs that a run starts see no key: servers, hooks, commands, verify commands; in the sandbox and outside of it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{everything, holds_no_key};
use crate::client::{Client, Personality, Setup, Surroundings};
use crate::script::{calls, says};

/// What a key may be called, and where else the same value may stand.
const VARIABLES: [(&str, &str); 12] = [
    ("ANTHROPIC_API_KEY", "sk-canary-31-a-3846264"),
    ("JAVA_HOME", "/opt/sk-canary-31-a-3846264"),
    ("OUR_GATEWAY", "sk-canary-31-b-3846264"),
    ("LC_GATEWAY", "sk-canary-31-b-3846264"),
    ("TICKETS", "sk-canary-31-c-3846264"),
    ("LC_TICKETS", "sk-canary-31-c-3846264"),
    ("LC_TOKEN", "sk-canary-31-d-3846264"),
    ("GITHUB_TOKEN", "sk-canary-31-e-3846264"),
    ("AWS_SECRET_ACCESS_KEY", "sk-canary-31-f-3846264"),
    ("DATABASE_URL", "postgres://me:sk-canary-31-g-3846264@db/x"),
    ("SSH_AUTH_SOCK", "/run/sk-canary-31-h-3846264"),
    ("LC_HARMLESS", "which everybody may see"),
];

/// A line that leaves what it sees of itself and of who has started it.
fn leaves(file: &Path) -> String {
    let file = file.display();
    format!("cat /proc/self/environ /proc/$$/environ /proc/$PPID/environ /proc/$$/cmdline > {file} 2>/dev/null; true")
}

/// The end of a run; what it asks meanwhile is allowed.
async fn finished(client: &Client, run: &str) -> Value {
    loop {
        let over = client.until("the end, or a question", |notifications, _| {
            let mut events = notifications.iter().map(|sent| &sent["params"]);
            let over = events.find(|sent| sent["runId"] == run && sent["event"]["type"] == "runFinished");
            over.map(|over| over["event"].clone())
        });
        match tokio::time::timeout(Duration::from_millis(200), over).await {
            Ok(over) => return over,
            Err(_) => drop(client.execute("cowrite.approve", json!({})).await),
        }
    }
}

async fn check(mode: &str) {
    let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let top = folder.path().canonicalize().expect("real");
    let (work, home, seen) = (top.join("work"), top.join("home"), top.join("seen"));
    for folder in [&work, &home, &seen] {
        std::fs::create_dir(folder).expect("a folder");
    }
    let nasty = format!("{}/tests/it/mcp/nasty.py", env!("CARGO_MANIFEST_DIR"));
    let turns = vec![
        calls(&[
            ("run", json!({ "command": leaves(&work.join("run")) })),
            ("write", json!({ "path": "new.txt", "content": "new\n" })),
            ("docs__go", json!({})),
        ]),
        says("Done."),
    ];
    let mut setup = Setup::scripted(Personality::VsCode, &work, &[("", turns)]);
    setup.settings["mode"] = json!(mode);
    setup.settings["providers"]["another"] =
        json!({ "kind": "openai-chat", "base_url": "http://127.0.0.1:9/v1", "api_key_env": "OUR_GATEWAY" });
    setup.settings["mcp"] = json!({
        "docs": { "command": ["sh", "-c", format!("{}; exec python3 {nasty} plain", leaves(&seen.join("server")))] },
        "tickets": { "url": "http://127.0.0.1:9/mcp", "token_env": "TICKETS" },
    });
    setup.settings["hooks"] = json!({ "before_tool": [["sh", "-c", leaves(&seen.join("hook"))]] });
    setup.settings["verify"] = json!({ "commands": [leaves(&work.join("verify"))] });
    setup.process = true;
    setup.state = Some(state.path().to_owned());
    let log = std::fs::File::create(top.join("log")).expect("a file");
    let path = std::env::var("PATH").expect("a path");
    let mut variables = vec![("PATH".to_owned(), path), ("HOME".to_owned(), home.display().to_string())];
    variables.push(("COWRITE_LOG".to_owned(), "trace".to_owned()));
    variables.extend(VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned())));
    setup.surroundings = Some(Surroundings { variables, standard_error: log });
    let client = Client::start(setup).await;
    let run = client.run("cowrite.run", json!({ "prompt": "Go." })).await;
    let ended = finished(&client, &run).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let _ = client.stop().await;
    for file in [work.join("run"), work.join("verify"), seen.join("server"), seen.join("hook")] {
        let text = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("LC_HARMLESS=which everybody may see"), "{mode}: {} saw {text}", file.display());
        holds_no_key(&format!("{mode}: {}", file.display()), &text);
    }
    for (name, bytes) in everything(state.path()) {
        holds_no_key(&name, &String::from_utf8_lossy(&bytes));
    }
    holds_no_key("the log", &std::fs::read_to_string(top.join("log")).expect("read"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_18_no_program_that_a_run_starts_sees_a_key() {
    // Held in the sandbox where there is one, and asked for.
    check("auto").await;
    check("edit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_18_a_command_outside_a_sandbox_sees_its_own_variables_only() {
    use cowrite::process::{self, Job};
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
    let folder = tempfile::tempdir().expect("a folder");
    let all = VARIABLES.map(|(name, value)| (name.into(), value.into()));
    let path = std::env::var("PATH").expect("a path");
    let secrets: Vec<String> = VARIABLES[..6].iter().map(|(_, value)| (*value).to_owned()).collect();
    let env = process::environment(all.into_iter().chain([("PATH".into(), path.into())]), &[], &secrets);
    let file = folder.path().join("seen");
    let job = Job {
        program: ["sh".into(), "-c".into(), leaves(&file).into()].into(),
        folder: folder.path().into(),
        env,
        input: Vec::new(),
        confine: None,
        limit: Duration::from_secs(30),
    };
    process::run(job, 4096, &Default::default(), |_| {}).await.expect("it starts");
    let text = String::from_utf8_lossy(&std::fs::read(&file).expect("left")).into_owned();
    assert!(text.contains("LC_HARMLESS="), "{text}");
    holds_no_key("a command outside a sandbox", &text);
}
