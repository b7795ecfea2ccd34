//! Figures of the whole process, taken from outside as an editor would see them:
//! `cargo bench --bench process`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that prints figures, and stops at the first surprise"
)]

#[path = "driver/server.rs"]
mod server;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cowrite::framing::frame;
use serde_json::{Value, json};

use server::Server;

const STARTS: usize = 41;
const CHANGES: usize = 10_000;
const DELTAS: usize = 1_000;

fn main() {
    println!("{:<58} {:>12} {:>12}", "figure", "median", "wanted");
    let starts = many(STARTS, || start_to_initialize().as_secs_f64() * 1e3);
    row("start to the answer of initialize, ms", starts, "<= 10");
    let memory = many(5, idle_memory_mib);
    row("idle memory after initialize (resident), MiB", memory, "<= 12");
    let changes = many(5, || ten_thousand_changes().as_secs_f64());
    row("10,000 changes of a character in 1.7 MB, whole process, s", changes, "<= 0.3");
    let added = added_to_a_delta();
    row("added to a text delta between wire and client, ms", added, "<= 1");
}

fn row(name: &str, median: f64, wanted: &str) {
    println!("{name:<58} {median:>12.3} {wanted:>12}");
}

fn many(rounds: usize, mut one: impl FnMut() -> f64) -> f64 {
    one();
    median((0..rounds).map(|_| one()).collect())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn begin(server: &mut Server, options: &Value) {
    server.send(&initialize(options));
    while server.next()["id"] != 0 {}
    server.send(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
}

fn initialize(options: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "initializationOptions": options,
        "capabilities": { "general": { "positionEncodings": ["utf-16"] }, "experimental": { "cowrite": { "events": true } } }
    } })
}

fn start_to_initialize() -> Duration {
    let began = Instant::now();
    let mut server = Server::start();
    begin(&mut server, &json!({}));
    began.elapsed()
}

fn idle_memory_mib() -> f64 {
    let mut server = Server::start();
    begin(&mut server, &json!({}));
    std::thread::sleep(Duration::from_millis(500));
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// Everything that an editor would send is piped into one process; the clock runs from its start to its end.
fn ten_thousand_changes() -> Duration {
    let line = "let value = compute(input, options); // forty-odd characters\n";
    let text = line.repeat(1_700_000 / line.len());
    let lines = text.lines().count();
    let mut conversation = Vec::new();
    let mut push = |message: Value| conversation.extend(frame(message.to_string().as_bytes()));
    push(initialize(&json!({})));
    push(json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
    push(json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": {
        "uri": "file:///big.rs", "languageId": "rust", "version": 1, "text": text } } }));
    for n in 0..CHANGES {
        let place = json!({ "line": (n * 7919) % lines, "character": n % 40 });
        push(json!({ "jsonrpc": "2.0", "method": "textDocument/didChange", "params": {
            "textDocument": { "uri": "file:///big.rs", "version": n + 2 },
            "contentChanges": [{ "range": { "start": place, "end": place }, "text": "x" }] } }));
    }
    push(json!({ "jsonrpc": "2.0", "id": 1, "method": "shutdown" }));
    push(json!({ "jsonrpc": "2.0", "method": "exit" }));
    let began = Instant::now();
    let mut server = Server::start();
    server.input.write_all(&conversation).unwrap();
    assert!(server.child.wait().unwrap().success(), "an orderly end");
    began.elapsed()
}

/// A provider on this machine streams numbered deltas; each is timed from the write on its wire to its event at the client.
fn added_to_a_delta() -> f64 {
    let sent: Arc<Mutex<HashMap<usize, Instant>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = std::thread::spawn({
        let sent = sent.clone();
        move || stream_deltas(&mut listener.accept().unwrap().0, &sent)
    });
    let mut server = Server::start();
    begin(
        &mut server,
        &json!({ "model": "local/m", "providers": { "local": {
        "kind": "openai-chat", "base_url": format!("http://127.0.0.1:{port}/v1") } } }),
    );
    server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {
        "command": "cowrite.ask", "arguments": [{ "prompt": "talk" }] } }));
    let mut added = Vec::new();
    loop {
        let message = server.next();
        let event = &message["params"]["event"];
        match event["type"].as_str() {
            Some("textDelta") => {
                let now = Instant::now();
                let sent = sent.lock().unwrap();
                for number in event["text"].as_str().unwrap().split_whitespace() {
                    let number: usize = number.parse().unwrap();
                    added.push(now.duration_since(sent[&number]).as_secs_f64() * 1e3);
                }
            }
            Some("runFinished") => {
                assert_eq!(event["status"], "completed", "{event}");
                break;
            }
            _ => {}
        }
    }
    provider.join().unwrap();
    assert_eq!(added.len(), DELTAS, "every delta came");
    median(added)
}

fn stream_deltas(connection: &mut TcpStream, sent: &Mutex<HashMap<usize, Instant>>) {
    connection.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").unwrap();
    let chunk = |delta: Value, finish: Value| {
        format!(
            "data: {}\n\n",
            json!({ "id": "c", "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
        )
    };
    for number in 0..DELTAS {
        let event = chunk(json!({ "content": format!("{number} ") }), Value::Null);
        sent.lock().unwrap().insert(number, Instant::now());
        connection.write_all(event.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    connection.write_all(chunk(json!({}), json!("stop")).as_bytes()).unwrap();
    connection.write_all(b"data: [DONE]\n\n").unwrap();
}
