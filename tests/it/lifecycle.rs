//! From `initialize` to the exit status, bad frames and early ends included.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cowrite::framing::{FrameReader, frame};
use cowrite::settings::Places;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, PATIENCE, Personality, Setup};
use crate::script;

/// A server and the bare ends of its pipes.
struct Bare {
    pipe: DuplexStream,
    frames: FrameReader,
    server: JoinHandle<ExitCode>,
    _state: tempfile::TempDir,
}

impl Bare {
    fn start() -> Self {
        let (pipe, theirs) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(theirs);
        let state = crate::client::state_folder();
        let places = Places { state: Some(state.path().to_path_buf()), ..Places::default() };
        let server = tokio::spawn(cowrite::lsp::serve(input, output, places, CancellationToken::new()));
        Self { pipe, frames: FrameReader::default(), server, _state: state }
    }

    async fn bytes(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).await.expect("the server reads");
    }

    async fn message(&mut self, message: Value) {
        self.bytes(&frame(message.to_string().as_bytes())).await;
    }

    async fn next(&mut self) -> Value {
        let mut buffer = [0; 4096];
        loop {
            if let Some(body) = self.frames.next() {
                return serde_json::from_slice(&body.expect("well framed")).expect("JSON");
            }
            let read = timeout(PATIENCE, self.pipe.read(&mut buffer)).await.expect("an answer").expect("open");
            assert!(read > 0, "the server closed its output");
            self.frames.push(&buffer[..read]);
        }
    }

    async fn initialize(&mut self) {
        self.message(json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "capabilities": {} } }))
            .await;
        assert_eq!(self.next().await["result"]["serverInfo"]["name"], "cowrite");
    }

    async fn ended(self) -> ExitCode {
        timeout(PATIENCE, self.server).await.expect("it ends").expect("without a panic")
    }
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_before_initialize_and_after_shutdown_are_refused_and_exit_gives_the_status() {
    let mut bare = Bare::start();
    bare.message(json!({ "jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {} })).await;
    assert_eq!(code(&bare.next().await), -32002);
    bare.initialize().await;
    bare.message(json!({ "jsonrpc": "2.0", "id": 2, "method": "shutdown" })).await;
    assert_eq!(bare.next().await["result"], Value::Null);
    bare.message(json!({ "jsonrpc": "2.0", "id": 3, "method": "workspace/executeCommand", "params": { "command": "cowrite.status" } })).await;
    assert_eq!(code(&bare.next().await), -32600);
    bare.message(json!({ "jsonrpc": "2.0", "method": "exit" })).await;
    assert_eq!(bare.ended().await, ExitCode::SUCCESS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_without_shutdown_is_a_failure_and_so_is_the_end_of_input() {
    let mut bare = Bare::start();
    bare.initialize().await;
    bare.message(json!({ "jsonrpc": "2.0", "method": "exit" })).await;
    assert_eq!(bare.ended().await, ExitCode::FAILURE);

    // A shutdown that was refused is none.
    let mut bare = Bare::start();
    bare.message(json!({ "jsonrpc": "2.0", "id": 1, "method": "shutdown" })).await;
    assert_eq!(code(&bare.next().await), -32002);
    bare.message(json!({ "jsonrpc": "2.0", "method": "exit" })).await;
    assert_eq!(bare.ended().await, ExitCode::FAILURE);

    let mut bare = Bare::start();
    bare.initialize().await;
    let Bare { pipe, server, .. } = bare;
    drop(pipe);
    let began = Instant::now();
    assert_eq!(timeout(PATIENCE, server).await.expect("it ends").expect("no panic"), ExitCode::FAILURE);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_frames_and_bad_json_are_answered_and_survived() {
    let mut bare = Bare::start();
    bare.initialize().await;
    let status = json!({ "jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand", "params": { "command": "cowrite.status" } });
    let cases: &[(&[u8], i64)] = &[
        (b"Content-Length: 9\r\n\r\n{\"broken\"", -32700),
        (b"Content-Length: 2\r\n\r\n\xff\xfe", -32700),
        (b"Content-Length: zero\r\n\r\n{}", -32700),
        (b"Content-Type: text/plain\r\n\r\n", -32700),
        (b"Content-Length: 17\r\n\r\n{\"jsonrpc\":\"2.0\"}", -32600),
        (b"Content-Length: 10\r\n\r\n[1, 2, 3] ", -32600),
        (b"Content-Length: 12\r\n\r\n{\"method\":5}", -32600),
    ];
    for (bytes, expected) in cases {
        bare.bytes(bytes).await;
        let answer = bare.next().await;
        assert_eq!(code(&answer), *expected, "{}: {answer}", String::from_utf8_lossy(bytes));
        bare.message(status.clone()).await;
        let mut answer = bare.next().await;
        // Some damage is answered twice: for the header and for what stood behind it.
        while answer["id"] != 7 {
            assert!(code(&answer) != 0, "{answer}");
            answer = bare.next().await;
        }
        assert!(answer["result"]["sessionId"].is_string(), "after {}: {answer}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_methods_get_method_not_found_and_unknown_notifications_nothing() {
    let mut bare = Bare::start();
    bare.initialize().await;
    bare.message(json!({ "jsonrpc": "2.0", "method": "$/setTrace", "params": { "value": "off" } })).await;
    bare.message(json!({ "jsonrpc": "2.0", "method": "cowrite/nothing", "params": {} })).await;
    bare.message(json!({ "jsonrpc": "2.0", "id": 5, "method": "cowrite/nothing", "params": {} })).await;
    let answer = bare.next().await;
    assert_eq!((answer["id"].as_i64(), code(&answer)), (Some(5), -32601));
    bare.message(json!({ "jsonrpc": "2.0", "id": 6, "method": "$/nothing", "params": {} })).await;
    let answer = bare.next().await;
    assert_eq!((answer["id"].as_i64(), code(&answer)), (Some(6), -32601), "also for names that begin with $/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_a_shutdown_cancels_what_runs_and_ends_every_progress() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = [("go on", vec![script::endless()])];
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &rules)).await;
    let run = client.run("cowrite.ask", json!({ "prompt": "go on and on" })).await;
    client.streamed(&run).await;
    let began = Instant::now();
    client.request("shutdown", Value::Null).await.expect("shutdown works");
    assert_eq!(client.finished(&run).await["status"], "cancelled");
    client
        .until("the end of the progress", |notifications, _| {
            notifications.iter().find(|message| message["params"]["value"]["kind"] == "end").map(|_| ())
        })
        .await;
    client.notify("exit", Value::Null);
    assert_eq!(client.ended().await, ExitCode::SUCCESS);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_setting_is_told_once_and_shown_on_its_line_and_the_rest_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "mode = \"edit\"\n[limits]\nmax_tuns = 3\n").expect("written");
    let setup = Setup {
        personality: Personality::VsCode,
        folder: folder.path(),
        more_folders: Vec::new(),
        settings: json!({}),
        state: None,
        process: false,
        write_limit: None,
        surroundings: None,
        refused: None,
        experimental: json!({}),
    };
    let places = Places { config: Some(config.clone()), ..Places::default() };
    let client = Client::start_with(setup, places, |_| {}).await;
    let shown = client
        .until("diagnostics", |notifications, _| {
            notifications.iter().find(|message| message["method"] == "textDocument/publishDiagnostics").cloned()
        })
        .await;
    assert_eq!(shown["params"]["uri"], format!("file://{}", config.display()));
    assert_eq!(shown["params"]["diagnostics"][0]["range"]["start"]["line"], 2);
    assert!(shown.to_string().contains("max_turns"), "{shown}");
    let messages = client.notifications("window/showMessage");
    assert_eq!(messages.len(), 1);
    assert!(messages[0].to_string().contains("config.toml:3:1: limits.max_tuns"), "{}", messages[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_initialize_offers_is_what_the_contract_says() {
    for personality in Personality::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let client = Client::start(Setup {
            personality,
            folder: folder.path(),
            more_folders: Vec::new(),
            settings: json!({}),
            state: None,
            process: false,
            write_limit: None,
            surroundings: None,
            refused: None,
            experimental: json!({}),
        })
        .await;
        let offered = client.offered();
        let capabilities = &offered["capabilities"];
        let expected = if personality == Personality::VsCode { "utf-16" } else { "utf-8" };
        assert_eq!(capabilities["positionEncoding"], expected, "{personality:?}");
        assert_eq!(capabilities["textDocumentSync"]["change"], 2);
        assert_eq!(capabilities["textDocumentSync"]["openClose"], true);
        assert!(capabilities["textDocumentSync"].get("save").is_some());
        assert_eq!(
            capabilities["codeActionProvider"]["codeActionKinds"],
            json!(["quickfix", "refactor.rewrite", "source"])
        );
        assert_eq!(capabilities["workspace"]["workspaceFolders"]["supported"], true);
        assert!(capabilities.get("codeLensProvider").is_some());
        let commands = capabilities["executeCommandProvider"]["commands"].to_string();
        for command in
            ["run", "ask", "edit", "fix", "explain", "test", "document", "review", "cancel", "status", "events"]
        {
            assert!(commands.contains(&format!("\"cowrite.{command}\"")), "{command} is missing in {commands}");
        }
        assert_eq!(client.stop().await, ExitCode::SUCCESS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_comes_later_takes_the_place_of_the_working_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let turns = vec![script::calls(&[("read", json!({ "path": "Cargo.toml" }))]), script::says("done")];
    let setup = Setup::scripted(Personality::VsCode, folder.path(), &[("look", turns)]);
    let client = Client::start_changed(setup, |params| {
        params["rootUri"] = Value::Null;
        params["workspaceFolders"] = Value::Null;
    })
    .await;
    let read = async || {
        let run = client.run("cowrite.ask", json!({ "prompt": "look" })).await;
        client.finished(&run).await;
        client.events(&run).into_iter().find(|event| event["type"] == "toolFinished").expect("a read")["ok"].clone()
    };
    assert_eq!(read().await, true, "without a folder the working directory is the workspace");
    let event = json!({ "added": [{ "uri": crate::client::uri(folder.path()), "name": "w" }], "removed": [] });
    client.notify("workspace/didChangeWorkspaceFolders", json!({ "event": event }));
    assert_eq!(read().await, false, "with one it is not");
}
