//! What an edit of 200 lines in 10 MB costs, found, made small and sent, and what moving it over typing costs:
//! `cargo bench --bench edits`.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that prints figures, and stops at the first surprise"
)]

#[path = "driver/server.rs"]
mod server;

use std::fmt::Write as _;
use std::time::Instant;

use cowrite::edit::{Hunk, Patch};
use cowrite::protocol::{Position, Range};
use cowrite::text::{ContentChange, Document, Encoding};
use serde_json::{Value, json};

use server::Server;

const BYTES: usize = 10_000_000;
const EDITS: usize = 21;
const LINES: usize = 200;
const TYPED: u32 = 1000;

fn main() {
    println!("{:<66} {:>10} {:>10}", "figure", "median", "wanted");
    row("an edit of 200 lines in a 10 MB buffer, found, diffed, sent, ms", median(sent()), "<= 20");
    row("the same moved over 1,000 typed characters, ms", median(moved()), "<= 1");
}

fn row(name: &str, median: f64, wanted: &str) {
    println!("{name:<66} {median:>10.3} {wanted:>10}");
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Source-like lines, each of them different.
fn text() -> String {
    let mut out = String::with_capacity(BYTES + 64);
    for number in 0.. {
        writeln!(out, "    let value_{number} = compute(\"ä😀\", {number});").unwrap();
        if out.len() >= BYTES {
            break;
        }
    }
    out
}

/// A whole server, told by its client: from the word that the call has begun to the request that asks for the edit.
fn sent() -> Vec<f64> {
    let mut server = Server::start();
    let folder = server.home.path().join("workspace");
    std::fs::create_dir(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    std::fs::write(folder.join("big.rs"), "").unwrap();
    let text = text();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let call =
        |name: &str, arguments: Value| json!({ "deltas": [{ "call": { "name": name, "arguments": arguments } }] });
    let mut turns = vec![call("read", json!({ "path": "big.rs", "start_line": 1, "end_line": 20 }))];
    for edit in 0..EDITS {
        let first = (edit + 1) * lines.len() / (EDITS + 2);
        let old = lines[first..first + LINES].concat();
        let new = old.replace("value", "thing");
        turns.push(call("edit", json!({ "path": "big.rs", "edits": [{ "old": old, "new": new }] })));
    }
    turns.push(json!({ "deltas": [{ "text": "done" }] }));
    let script = server.home.path().join("script.json");
    std::fs::write(&script, json!({ "rules": [{ "when": { "prompt_contains": "go" }, "turns": turns }] }).to_string())
        .unwrap();

    let folder = format!("file://{}", folder.display());
    let uri = format!("{folder}/big.rs");
    server.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "workspaceFolders": [{ "uri": folder, "name": "workspace" }],
        "initializationOptions": { "model": "scripted/x", "providers": { "scripted": { "kind": "script", "path": script } } },
        "capabilities": {
            "general": { "positionEncodings": ["utf-16"] },
            "workspace": { "applyEdit": true, "workspaceEdit": { "documentChanges": true } },
            "experimental": { "cowrite": { "events": true } }
        } } }));
    while server.next()["id"] != 0 {}
    server.send(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
    server.send(&json!({ "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": { "textDocument": {
        "uri": uri, "languageId": "rust", "version": 1, "text": text } } }));
    server.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "workspace/executeCommand", "params": {
        "command": "cowrite.run", "arguments": [{ "prompt": "go" }] } }));
    let mut took = Vec::new();
    let mut began = Instant::now();
    let mut version = 1;
    loop {
        let message = server.next();
        let event = &message["params"]["event"];
        if message["method"] == "workspace/applyEdit" {
            took.push(began.elapsed().as_secs_f64() * 1e3);
            version += 1;
            let mut edits = message["params"]["edit"]["documentChanges"][0]["edits"].as_array().unwrap().clone();
            // From the end, so that the places before stay where they are.
            edits.reverse();
            let changes: Vec<Value> =
                edits.iter().map(|edit| json!({ "range": edit["range"], "text": edit["newText"] })).collect();
            server.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": { "applied": true } }));
            server.send(&json!({ "jsonrpc": "2.0", "method": "textDocument/didChange", "params": {
                "textDocument": { "uri": uri, "version": version }, "contentChanges": changes } }));
        } else if event["type"] == "toolStarted" {
            began = Instant::now();
        } else if event["type"] == "runFinished" {
            assert_eq!(event["status"], "completed", "{event}");
            break;
        } else if !message["id"].is_null() && !message["method"].is_null() {
            server.send(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": null }));
        }
    }
    assert_eq!(took.len(), EDITS, "every edit was sent once");
    took
}

/// An edit of 200 lines over 1,000 characters typed one by one on another line of the same buffer.
fn moved() -> Vec<f64> {
    let mut document = Document::open("rust", 0, &text());
    let base = document.snapshot().clone();
    let first = base.rope().len_lines() / 2;
    let starts = (first..first + LINES).map(|line| base.rope().line_to_byte(line) + 8);
    let patch = Patch::new(starts.map(|start| Hunk { range: start..start + 5, new: "thing".into() }).collect());
    for character in 0..TYPED {
        let place = Position { line: 7, character };
        let typed = ContentChange { range: Some(Range { start: place, end: place }), text: "x".into() };
        document.change(1, &[typed], Encoding::Utf16, |_, _| {});
    }
    let one = || {
        let began = Instant::now();
        let steps = document.steps_since(&base);
        let moved = patch.onto(base.rope(), steps.as_deref(), document.snapshot().rope()).unwrap();
        let took = began.elapsed().as_secs_f64() * 1e3;
        assert_eq!(moved.hunks().len(), LINES);
        took
    };
    (0..101).map(|_| one()).collect()
}
