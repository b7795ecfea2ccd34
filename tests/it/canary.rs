//! A key that shall be seen nowhere: not in what is told, not in what is kept, not in what is logged.

mod children;
mod speech;
mod started;
mod token;
mod wires;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};

const CANARY: &str = "sk-canary-3141592653589793";

/// A provider that says the key in its answer, has a file read that holds it, and then refuses it and repeats it.
async fn provider() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(AtomicUsize::new(0));
    let answer = async move |headers: HeaderMap, body: String| {
        let sent = headers.get("x-api-key").and_then(|key| key.to_str().ok());
        assert_eq!(sent, Some(CANARY), "the key itself goes where it belongs");
        if requests.fetch_add(1, Ordering::SeqCst) > 0 {
            assert!(!body.contains("canary"), "{body}");
            let error = json!({"type": "error", "error": {"type": "authentication_error", "message": format!("{CANARY} is wrong")}});
            return (StatusCode::UNAUTHORIZED, [(header::CONTENT_TYPE, "application/json")], error.to_string())
                .into_response();
        }
        let start =
            |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
        let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let stop = |index: u32| json!({"type": "content_block_stop", "index": index});
        let (half, rest) = CANARY.split_at(12);
        let events = [
            json!({"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}}),
            start(0, json!({"type": "text", "text": ""})),
            delta(0, json!({"type": "text_delta", "text": format!("It is {half}")})),
            delta(0, json!({"type": "text_delta", "text": format!("{rest}.")})),
            stop(0),
            start(1, json!({"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}})),
            delta(1, json!({"type": "input_json_delta", "partial_json": "{\"path\": \"notes.txt\"}"})),
            stop(1),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}),
            json!({"type": "message_stop"}),
        ];
        let stream: String = events
            .iter()
            .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type")))
            .collect();
        (StatusCode::OK, [(header::CONTENT_TYPE, "text/event-stream")], stream).into_response()
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.expect("it serves") });
    base
}

/// Everything in a folder and below it, byte for byte.
fn everything(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.display().to_string(), std::fs::read(&path).expect("read")));
            }
        }
    }
    files
}

/// Neither the beginning of a key nor its end, however the rest of it is spelled.
fn holds_no_key(name: &str, text: &str) {
    let small = text.to_lowercase();
    for mark in ["canary-31", "3846264"] {
        if let Some(at) = small.find(mark) {
            let around: String =
                String::from_utf8_lossy(&small.as_bytes()[at.saturating_sub(200)..]).chars().take(400).collect();
            panic!("{name} holds the key: …{around}…");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_26_p9_a_key_is_in_no_event_no_record_no_log_and_no_message() {
    let (folder, state, secret) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
        tempfile::NamedTempFile::new().expect("a file"),
    );
    std::fs::write(secret.path(), format!("{CANARY}\n")).expect("written");
    std::fs::write(folder.path().join("notes.txt"), format!("KEY={CANARY}\n")).expect("written");
    let mut setup = Setup::scripted(Personality::VsCode, folder.path(), &[]);
    setup.process = true;
    setup.state = Some(state.path().to_owned());
    setup.settings = json!({
        "model": "anthropic/m",
        "log_file": state.path().join("cowrite.log"),
        "providers": {"anthropic": {"base_url": provider().await, "api_key_command": ["cat", secret.path()]}},
    });
    let client = Client::start(setup).await;
    let run = client.run("cowrite.ask", json!({ "prompt": "What is the key?" })).await;
    let finished = client.finished(&run).await;
    assert_eq!(finished["status"], "failed", "{finished}");
    assert!(finished["error"].as_str().expect("a sentence").contains("[key] is wrong"), "{finished}");
    let told: String = client.events(&run).iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(told, "It is [key withheld by Cowrite].");

    let exported = client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
    let exported = exported["text"].as_str().expect("text").to_owned();
    assert!(exported.contains("KEY=[key withheld by Cowrite]"), "what the tool read is kept without it: {exported}");
    let mut seen = vec![("the export".to_owned(), exported.into_bytes())];
    for method in ["cowrite/event", "window/showMessage", "window/logMessage", "$/progress"] {
        seen.push((method.to_owned(), format!("{:?}", client.notifications(method)).into_bytes()));
    }
    let _ = client.stop().await;
    seen.extend(everything(state.path()));
    assert!(seen.iter().any(|(name, _)| name.ends_with("sessions.db")), "there is something to look through");
    for (name, bytes) in seen {
        let found = bytes.windows(9).any(|bytes| bytes == b"sk-canary");
        assert!(!found, "{name} holds the key");
    }
}
