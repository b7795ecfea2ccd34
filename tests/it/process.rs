//! The binary as a process: its streams, its end, its parent, its log.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cowrite::framing::{FrameReader, frame};
use serde_json::{Value, json};

use crate::script;

const BINARY: &str = env!("CARGO_BIN_EXE_cowrite");

/// A server process with settings of its own.
struct Process {
    child: Child,
    frames: FrameReader,
    home: tempfile::TempDir,
}

impl Process {
    fn start(arguments: &[&str], settings: &str) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("config.toml"), settings).expect("written");
        let child = Self::command(arguments, home.path()).spawn().expect("it starts");
        Self { child, frames: FrameReader::default(), home }
    }

    fn command(arguments: &[&str], home: &std::path::Path) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env("COWRITE_CONFIG", home.join("config.toml"))
            .env("COWRITE_STATE_DIR", home.join("state"))
            .env("COWRITE_LOG", "trace")
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    fn send(&mut self, message: &Value) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(&frame(message.to_string().as_bytes())).expect("it reads");
    }

    fn next(&mut self) -> Value {
        let output = self.child.stdout.as_mut().expect("piped");
        let mut buffer = [0; 4096];
        loop {
            if let Some(body) = self.frames.next() {
                return serde_json::from_slice(&body.expect("well framed")).expect("JSON");
            }
            let read = output.read(&mut buffer).expect("open");
            assert!(read > 0, "the server closed its output");
            self.frames.push(&buffer[..read]);
        }
    }

    fn initialize(&mut self, process_id: Option<u32>) {
        self.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "processId": process_id,
            "workspaceFolders": [{ "uri": format!("file://{}", self.home.path().display()), "name": "w" }],
            "capabilities": { "experimental": { "cowrite": { "events": true } } } } }));
        while self.next()["id"] != 0 {}
    }

    /// Starts a run that goes on until it is stopped, and waits for its first words.
    fn stream(&mut self) {
        self.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {
            "command": "cowrite.ask", "arguments": [{ "prompt": "go on" }] } }));
        while self.next()["params"]["event"]["type"] != "textDelta" {}
    }

    /// The exit status, within the time that the contract gives, whatever still has to be read.
    fn ended(mut self, limit: Duration) -> Option<i32> {
        let mut output = self.child.stdout.take().expect("piped");
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(began.elapsed() < limit, "still there after {limit:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only what was started here, by its own handle.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn streaming(arguments: &[&str], process_id: Option<u32>) -> Process {
    let home = tempfile::tempdir().expect("a folder");
    let script = script::write(home.path(), &[("go on", vec![script::endless()])]);
    let settings =
        format!("model = \"scripted/x\"\n[providers.scripted]\nkind = \"script\"\npath = {:?}\n", script.display());
    let mut process = Process::start(arguments, &settings);
    process.initialize(process_id);
    process.stream();
    drop(home);
    process
}

#[test]
fn the_end_of_input_ends_the_process_while_a_run_streams() {
    let mut process = streaming(&["lsp", "--stdio"], None);
    drop(process.child.stdin.take());
    assert_eq!(process.ended(Duration::from_secs(2)), Some(1));
}

#[test]
fn shutdown_and_exit_end_it_with_status_0_though_the_input_stays_open() {
    let mut process = streaming(&[], None);
    process.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "shutdown" }));
    process.send(&json!({ "jsonrpc": "2.0", "method": "exit" }));
    assert_eq!(process.ended(Duration::from_secs(2)), Some(0));
}

#[test]
fn exit_without_shutdown_still_tells_how_the_run_and_its_progress_end() {
    let mut process = streaming(&[], None);
    process.send(&json!({ "jsonrpc": "2.0", "method": "exit" }));
    let mut told = Vec::new();
    while !told.iter().any(|kind| kind == "runFinished") {
        told.push(process.next()["params"]["event"]["type"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(process.ended(Duration::from_secs(2)), Some(1));
}

#[test]
fn an_output_that_nobody_reads_any_more_ends_the_process() {
    let mut process = streaming(&[], None);
    drop(process.child.stdout.take());
    let began = Instant::now();
    while process.child.try_wait().expect("a child").is_none() {
        assert!(began.elapsed() < Duration::from_secs(3), "still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_request_to_terminate_is_taken_in_order() {
    let process = streaming(&[], None);
    let id = i32::try_from(process.child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(process.ended(Duration::from_secs(2)), Some(1));
}

#[test]
fn a_parent_that_died_ends_it_though_the_input_stays_open() {
    let mut parent = Command::new("sleep").arg("60").spawn().expect("sleep");
    let process = streaming(&[], Some(parent.id()));
    parent.kill().expect("it is there");
    parent.wait().expect("a child");
    assert_eq!(process.ended(Duration::from_secs(6)), Some(1));
}

#[test]
fn a_client_that_reads_nothing_does_not_hold_the_process() {
    let home = tempfile::tempdir().expect("a folder");
    let words = "word ".repeat(400_000);
    let turn = json!({ "deltas": [{ "text": words }], "chunk": 50 });
    let script = script::write(home.path(), &[("talk", vec![turn])]);
    let settings =
        format!("model = \"scripted/x\"\n[providers.scripted]\nkind = \"script\"\npath = {:?}\n", script.display());
    let mut process = Process::start(&[], &settings);
    process.initialize(None);
    process.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {
        "command": "cowrite.ask", "arguments": [{ "prompt": "talk" }] } }));
    std::thread::sleep(Duration::from_millis(800));
    drop(process.child.stdin.take());
    let began = Instant::now();
    while process.child.try_wait().expect("a child").is_none() {
        assert!(began.elapsed() < Duration::from_millis(2500), "still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_log_file_is_for_this_user_alone_and_standard_output_holds_only_the_protocol() {
    let home = tempfile::tempdir().expect("a folder");
    let log = home.path().join("log/cowrite.log");
    let mut process = streaming(&["--log-file", log.to_str().expect("UTF-8")], None);
    process.send(&json!({ "jsonrpc": "2.0", "id": 2, "method": "shutdown" }));
    // Every frame up to here was JSON, or `next` would have failed.
    while process.next()["id"] != 2 {}
    assert!(std::fs::metadata(&log).expect("the log is there").len() > 0);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&log).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// Asks something and gives the last event of the run.
fn asked(process: &mut Process) -> Value {
    process.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {
        "command": "cowrite.ask", "arguments": [{ "prompt": "hello" }] } }));
    loop {
        let message = process.next();
        if message["params"]["event"]["type"] == "runFinished" {
            return message["params"]["event"].clone();
        }
    }
}

#[test]
fn with_nothing_configured_a_run_says_how_to_get_a_model() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join("config.toml"), "").expect("written");
    let mut command = Process::command(&[], home.path());
    for variable in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"] {
        command.env_remove(variable);
    }
    let child = command.spawn().expect("it starts");
    let mut process = Process { child, frames: FrameReader::default(), home };
    process.initialize(None);
    let finished = asked(&mut process);
    assert_eq!(finished["status"], "failed");
    let error = finished["error"].as_str().expect("a sentence");
    assert!(error.contains("ANTHROPIC_API_KEY") && error.contains("[providers."), "{error}");
}

#[test]
fn p9_a_key_is_in_no_log_and_no_message() {
    const CANARY: &str = "sk-canary-3141592653589793";
    let home = tempfile::tempdir().expect("a folder");
    let log = home.path().join("cowrite.log");
    // A port that nobody listens on: taken, and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    for kind in ["anthropic", "openai-chat"] {
        let settings = format!(
            "model = \"p/m\"\n[providers.p]\nkind = \"{kind}\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\napi_key_env = \"CANARY\"\n"
        );
        std::fs::write(home.path().join("config.toml"), settings).expect("written");
        let mut command = Process::command(&["--log-file", log.to_str().expect("UTF-8")], home.path());
        let child = command.env("CANARY", CANARY).spawn().expect("it starts");
        let mut process =
            Process { child, frames: FrameReader::default(), home: tempfile::tempdir().expect("a folder") };
        process.initialize(None);
        process.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {
            "command": "cowrite.ask", "arguments": [{ "prompt": "hello" }] } }));
        let mut told = String::new();
        while !told.contains("retrying") && !told.contains("runFinished") {
            told.push_str(&process.next().to_string());
        }
        assert!(!told.contains(CANARY), "{kind}: {told}");
        drop(process);
        let logged = std::fs::read_to_string(&log).expect("the log");
        assert!(logged.contains("127.0.0.1"), "{kind}: the log is that of this run: {logged}");
        assert!(!logged.contains(CANARY), "{kind}: the key is in the log");
    }
}

#[test]
fn the_demo_tells_the_whole_story_in_time() {
    let home = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let output = Process::command(&["demo"], home.path()).stdin(Stdio::null()).output().expect("it runs");
    let took = began.elapsed();
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{told}");
    for line in [
        "progress begins",
        "meanwhile you type",
        "the buffer holds the edit",
        "run completed",
        "progress ends",
        "+        total += ",
        "The next editor goes on with the same session",
        "run      completed: The test several_units_add_up fails.",
        "kept, from the first to the last",
    ] {
        assert!(told.contains(line), "{line:?} is missing in\n{told}");
    }
    let state = home.path().join("state");
    assert!(!state.exists(), "the demo leaves the person's state folder alone");
    // 5 s are wanted of a release build; a guard stands at five times.
    assert!(took < Duration::from_secs(25), "{took:?}");
}
