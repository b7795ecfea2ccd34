//! Servers of the Model Context Protocol: the reference one, and those that hang, flood, lie and die. What they do costs a clear
//! message and nothing else.

mod offers;
mod trusting;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cowrite::process;
use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, says};

fn nasty(how: &str) -> Value {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/mcp/nasty.py");
    json!({ "command": ["python3", script, how] })
}

struct Scene {
    folder: tempfile::TempDir,
    client: Client,
}

impl Scene {
    /// A client whose model calls these tools, one a turn, whatever it is asked; they need not be asked for.
    async fn new(servers: Value, turns: Vec<Value>) -> Self {
        Self::with(servers, turns, json!({ "allow": ["*__*"] })).await
    }

    async fn with(servers: Value, turns: Vec<Value>, permissions: Value) -> Self {
        process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
        let folder = tempfile::tempdir().expect("a folder");
        let mut setup = Setup::scripted(Personality::VsCode, folder.path(), &[("", turns)]);
        setup.settings["mcp"] = servers;
        setup.settings["permissions"] = permissions;
        // A process that can be killed.
        setup.process = true;
        let client = Client::start(setup).await;
        Self { folder, client }
    }

    /// Asks, and gives whether each call went well and what is said of it.
    async fn ask(&self) -> Vec<(bool, String)> {
        let run = self.client.run("cowrite.run", json!({ "prompt": "Go." })).await;
        let ended = self.client.finished(&run).await;
        assert_eq!(ended["status"], "completed", "{ended}");
        let events = self.client.events(&run);
        let done = events.iter().filter(|event| event["type"] == "toolFinished");
        done.map(|event| (event["ok"] == true, event["summary"].as_str().unwrap_or_default().to_owned())).collect()
    }

    /// What the person has been told.
    fn told(&self) -> String {
        let shown = self.client.notifications("window/showMessage");
        shown
            .iter()
            .filter_map(|shown| shown["params"]["message"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn one(tool: &str, arguments: Value) -> Vec<Value> {
    vec![calls(&[(tool, arguments)]), says("Done.")]
}

async fn check(how: &str, ok: bool, expected: &str) {
    let scene = Scene::new(json!({ "nasty": nasty(how) }), one("nasty__go", json!({ "a": 1 }))).await;
    let began = Instant::now();
    let done = scene.ask().await;
    assert_eq!(done.len(), 1, "{how}: {done:?}, {}", scene.told());
    assert!(done[0].0 == ok && done[0].1.contains(expected), "{how}: {done:?}, {}", scene.told());
    assert!(began.elapsed() < Duration::from_secs(20), "{how} took {:?}", began.elapsed());
    drop(scene.folder);
}

#[tokio::test]
async fn a_tool_of_a_server_is_called_and_what_it_says_comes_back() {
    check("plain", true, "call 1 of plain").await;
    check("fails", false, "failed: It did not work.").await;
    check("refuses", false, "The server nasty refused the call: not[31m today").await;
    check("garbage", true, "after garbage").await;
}

#[tokio::test]
async fn t6_a_server_that_floods_or_lies_costs_a_message() {
    check("floods", false, "far more than it was asked for").await;
    check("asks", false, "far more than it was asked for").await;
    check("long", false, "a line of more than 8 MiB").await;
    check("lies", false, "something that is no result of a tool").await;
    check("dies", false, "ended during the call (it ended with status 3)").await;
    check("swaps", false, "describes its tool go otherwise").await;
}

#[tokio::test]
async fn t6_a_server_that_does_not_start_is_told_and_left_out() {
    let servers = json!({
        "gone": nasty("absent"),
        "unknown": { "command": ["/no/such/program"] },
        "good": nasty("plain"),
        "remote": { "url": "http://127.0.0.1:9/mcp" },
        "keyless": { "url": "https://127.0.0.1:9/mcp", "token_env": "COWRITE_NO_SUCH_VARIABLE" },
    });
    let scene = Scene::new(servers, one("good__go", json!({}))).await;
    assert_eq!(scene.ask().await, [(true, "call 1 of plain".to_owned())]);
    let told = scene.told();
    for expected in [
        "The server gone could not be started: it ended with status 7.",
        "The server unknown could not be started: /no/such/program could not be started",
        "The server remote could not be started:",
        "The server keyless could not be started: the variable COWRITE_NO_SUCH_VARIABLE of its token_env is not set.",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}

#[tokio::test]
async fn t6_a_server_that_hangs_is_waited_for_ten_seconds() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = mute.local_addr().expect("an address");
    let servers = json!({
        "silent": nasty("silent"), "unlisted": nasty("unlisted"), "good": nasty("plain"),
        "mute": { "url": format!("http://{address}/mcp") },
    });
    let scene = Scene::new(servers, one("good__go", json!({}))).await;
    let began = Instant::now();
    assert_eq!(scene.ask().await, [(true, "call 1 of plain".to_owned())]);
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
    let told = scene.told();
    assert!(told.contains("The server silent could not be started: it did not say hello within 10 s."), "{told}");
    assert!(told.contains("The server mute could not be started: it did not say hello within 10 s."), "{told}");
    assert!(told.contains("The server unlisted was ended: it did not list its tools within 10 s."), "{told}");
}

#[tokio::test]
async fn a_call_that_hangs_ends_with_a_cancel() {
    for how in ["hangs", "deaf"] {
        let scene = Scene::new(json!({ "nasty": nasty(how) }), one("nasty__go", json!({}))).await;
        let run = scene.client.run("cowrite.run", json!({ "prompt": "Go." })).await;
        let started = scene.client.until("the call", |notifications, _| {
            notifications.iter().any(|sent| sent["params"]["event"]["type"] == "toolStarted").then_some(())
        });
        started.await;
        scene.client.execute("cowrite.cancel", json!({})).await.expect("cancelled");
        let began = Instant::now();
        let ended = scene.client.finished(&run).await;
        assert_eq!(ended["status"], "cancelled");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn odd_tools_are_left_out_and_the_rest_is_offered_in_plain_text() {
    let servers = json!({
        "odd": nasty("odd"), "many": nasty("many"), "crowd": nasty("crowd"), "pages": nasty("pages"), "loop": nasty("loop"),
    });
    let turns = vec![
        calls(&[
            ("odd__good", json!({})),
            ("many__t63", json!({})),
            ("many__t64", json!({})),
            ("pages__t16", json!({})),
            ("loop__go", json!({})),
        ]),
        says("Done."),
    ];
    let scene = Scene::new(servers, turns).await;
    let done = scene.ask().await;
    assert!(done[0].0 && done[1].0 && !done[2].0 && done[3].0 && done[4].0, "{done:?}");
    let told = scene.told();
    for expected in [
        "The server odd has two tools called good; the first one counts.",
        "The server odd gives its tool no schema a schema that is not of an object; it is left out.",
        "The server odd names one of its tools with no text; it is left out.",
        "The server many has more than 64 tools; the rest is left out.",
        "The server crowd has more than 64 tools; the rest is left out.",
        "The server pages has more than 16 tools; the rest is left out.",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
    assert!(!told.contains('\u{1b}') && !scene.client.sent().contains("\u{202e}"));
}

#[tokio::test]
async fn a_server_that_died_is_started_again_after_a_rest() {
    let scene = Scene::new(json!({ "nasty": nasty("dies") }), one("nasty__go", json!({}))).await;
    assert!(scene.ask().await[0].1.contains("status 3"));
    let run = scene.client.run("cowrite.run", json!({ "prompt": "Go." })).await;
    let _ = scene.client.finished(&run).await;
    assert!(
        scene.told().contains("The server nasty does not work (it ended); it is started again in"),
        "{}",
        scene.told()
    );
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(scene.ask().await[0].1.contains("status 3"));
}

/// Whether a process is there and no mere entry that waits to be taken in.
fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn all_end(pids: &str) {
    let began = Instant::now();
    while pids.split_whitespace().any(lives) {
        assert!(began.elapsed() < Duration::from_secs(2), "some of {pids} live on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a3_19_a_server_and_what_it_started_end_with_cowrite() {
    for kill in [false, true] {
        let scene = Scene::new(json!({ "nasty": nasty("family") }), one("nasty__go", json!({}))).await;
        let done = scene.ask().await;
        let pids = done[0].1.clone();
        assert!(done[0].0 && pids.split_whitespace().count() == 2 && pids.split_whitespace().all(lives), "{done:?}");
        if kill {
            scene.client.kill().await;
        } else {
            scene.client.stop().await;
        }
        all_end(&pids).await;
    }
}

#[tokio::test]
async fn a3_18_a_server_gets_the_variables_that_are_named_and_no_other() {
    let mut server = nasty("env");
    server["env"] = json!(["CARGO_PKG_NAME"]);
    let scene = Scene::new(json!({ "nasty": server }), one("nasty__go", json!({}))).await;
    let run = scene.client.run("cowrite.run", json!({ "prompt": "Go." })).await;
    scene.client.finished(&run).await;
    let shown = scene.client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
    let shown = shown.to_string();
    assert!(shown.contains("CARGO_PKG_NAME") && shown.contains("PATH"), "{shown}");
    assert!(!shown.contains("CARGO_MANIFEST_DIR") && !shown.contains("CARGO_PKG_VERSION"), "{shown}");
}

/// The reference server, where `tests/install/mcp.sh` has put it. Without it there is nothing to check, unless it is asked for.
fn reference() -> Option<PathBuf> {
    let clients = std::env::var_os("COWRITE_CLIENTS").map(PathBuf::from);
    let clients = clients.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/clients"));
    let found = Some(clients.join("bin/mcp-everything")).filter(|program| program.exists());
    if found.is_none() {
        assert!(std::env::var_os("COWRITE_REFERENCE").is_none(), "no reference server: run tests/install/mcp.sh");
        eprintln!("no reference server here: tests/install/mcp.sh brings it");
    }
    found
}

async fn works_with(server: Value) {
    let turns = vec![
        calls(&[
            ("ref__echo", json!({ "message": "to and fro" })),
            ("ref__get-sum", json!({ "a": 2, "b": 40 })),
            ("ref__get-tiny-image", json!({})),
            ("ref__get-sum", json!({ "a": "x" })),
            ("ref__get-structured-content", json!({ "location": "Chicago" })),
        ]),
        says("Done."),
    ];
    let scene = Scene::new(json!({ "ref": server }), turns).await;
    let done = scene.ask().await;
    let said: Vec<&str> = done.iter().map(|(_, said)| said.as_str()).collect();
    assert_eq!(done.len(), 5, "{done:?}, {}", scene.told());
    assert!(done[0].0 && said[0].contains("Echo: to and fro"), "{done:?}, {}", scene.told());
    assert!(done[1].0 && said[1].contains("The sum of 2 and 40 is 42"), "{done:?}");
    assert!(done[2].0 && said[2].contains("[image, image/png"), "{done:?}");
    assert!(!done[3].0, "{done:?}");
    assert!(done[4].0 && said[4].contains("temperature"), "{done:?}");
    // It is not started anew for the next run.
    assert!(scene.ask().await[1].0);
    scene.client.stop().await;
}

/// Its prompts as commands, and what it has to read.
async fn offers_with(server: Value) {
    let resource = |uri: &str| ("resources", json!({ "server": "ref", "uri": uri }));
    let turns = vec![
        calls(&[
            ("resources", json!({ "server": "ref" })),
            resource("demo://resource/dynamic/text/7"),
            resource("demo://resource/dynamic/blob/7"),
            resource("demo://nowhere"),
        ]),
        says("Done."),
    ];
    let scene = Scene::new(json!({ "ref": server }), turns).await;
    let done = scene.ask().await;
    assert_eq!(done.len(), 4, "{done:?}, {}", scene.told());
    assert!(done[0].0 && done[0].1.contains("demo://resource/"), "{done:?}");
    assert!(done[1].0 && done[1].1.contains("Resource 7"), "{done:?}");
    assert!(!done[2].0 && done[2].1.contains("is binary"), "{done:?}");
    assert!(!done[3].0 && done[3].1.contains("does not give that resource"), "{done:?}");

    let listed = scene.client.execute("cowrite.prompts", json!({})).await.expect("a list");
    let named = |name: &str| listed["prompts"].as_array().expect("a list").iter().any(|one| one["command"] == name);
    assert!(named("ref__simple-prompt") && named("ref__args-prompt"), "{listed}");
    let run = scene.client.run("cowrite.run", json!({ "command": "ref__args-prompt", "prompt": "Lisbon" })).await;
    assert_eq!(scene.client.finished(&run).await["status"], "completed");
    let shown = scene.client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
    assert!(shown.to_string().contains("What's weather in Lisbon?"), "{shown}");
    let run = scene.client.run("cowrite.run", json!({ "command": "ref__args-prompt" })).await;
    let ended = scene.client.finished(&run).await;
    assert!(ended["error"].as_str().is_some_and(|why| why.contains("needs `city`")), "{ended}");
    scene.client.stop().await;
}

#[tokio::test]
async fn the_reference_server_works_over_its_pipes() {
    if let Some(program) = reference() {
        works_with(json!({ "command": [&program, "stdio"] })).await;
        offers_with(json!({ "command": [program, "stdio"] })).await;
    }
}

#[tokio::test]
async fn the_reference_server_works_over_http() {
    let Some(program) = reference() else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let mut server = tokio::process::Command::new(program);
    server.arg("streamableHttp").env("PORT", free.port().to_string()).kill_on_drop(true);
    let _server =
        server.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("started");
    let began = Instant::now();
    while tokio::net::TcpStream::connect(free).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the reference server does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    works_with(json!({ "url": format!("http://{free}/mcp") })).await;
    offers_with(json!({ "url": format!("http://{free}/mcp") })).await;
}
