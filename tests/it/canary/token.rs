//! The token of a server goes to that server, and is told to nobody, not even when the server says it.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{everything, holds_no_key};
use crate::client::{Client, Personality, Setup, Surroundings};
use crate::script::{calls, says};

const TOKEN: &str = "tickets-canary-31-of-a-server-3846264";

/// A server that repeats in every place where it can what it was sent.
async fn echoes(headers: HeaderMap, asked: Option<Json<Value>>) -> Response {
    let sent = headers.get(header::AUTHORIZATION).and_then(|sent| sent.to_str().ok()).unwrap_or_default().to_owned();
    assert_eq!(sent, format!("Bearer {TOKEN}"), "the token itself goes where it belongs");
    let Some(Json(asked)) = asked else { return StatusCode::METHOD_NOT_ALLOWED.into_response() };
    let said = json!({ "type": "text", "text": format!("You are {sent}") });
    let result = match asked["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": asked["params"]["protocolVersion"], "capabilities": { "tools": {}, "prompts": {}, "resources": {} },
            "serverInfo": { "name": "echo", "version": "1" } }),
        "tools/list" => json!({ "tools": [{ "name": "go", "inputSchema": { "type": "object" } }] }),
        "tools/call" => json!({ "content": [said] }),
        "prompts/list" => json!({ "prompts": [{ "name": "me" }] }),
        "prompts/get" => json!({ "messages": [{ "role": "user", "content": said }] }),
        "resources/read" => {
            let error = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -32002, "message": format!("{sent} may not") } });
            return Json(error).into_response();
        }
        _ => return StatusCode::ACCEPTED.into_response(),
    };
    Json(json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result })).into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_26_the_token_of_a_server_is_told_to_nobody() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echoes)).await.expect("it serves") });
    let (folder, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let turns = vec![
        calls(&[("echo__go", json!({})), ("resources", json!({ "server": "echo", "uri": "x://y" }))]),
        says("Done."),
    ];
    let mut setup = Setup::scripted(Personality::VsCode, folder.path(), &[("", turns)]);
    setup.settings["mcp"] = json!({ "echo": { "url": url, "token_env": "TICKETS" } });
    setup.settings["permissions"] = json!({ "allow": ["echo__*"] });
    setup.process = true;
    setup.state = Some(state.path().to_owned());
    let log = state.path().join("log");
    let variables = [("PATH", std::env::var("PATH").expect("a path")), ("HOME", state.path().display().to_string())];
    let mut variables: Vec<_> = variables.map(|(name, value)| (name.to_owned(), value)).into();
    variables.push(("TICKETS".to_owned(), TOKEN.to_owned()));
    variables.push(("COWRITE_LOG".to_owned(), "trace".to_owned()));
    setup.surroundings = Some(Surroundings { variables, standard_error: std::fs::File::create(&log).expect("a file") });
    let client = Client::start(setup).await;
    for asked in [json!({ "prompt": "Go." }), json!({ "command": "echo__me" })] {
        let run = client.run("cowrite.run", asked).await;
        assert_eq!(client.finished(&run).await["status"], "completed");
    }
    let exported = client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
    let exported = exported.to_string();
    let kept = exported.matches("You are Bearer [key").count();
    assert!(kept >= 3, "what it said is kept without the token: {exported}");
    holds_no_key("the export", &exported);
    for method in ["cowrite/event", "window/showMessage", "window/logMessage", "$/progress"] {
        holds_no_key(method, &format!("{:?}", client.notifications(method)));
    }
    let _ = client.stop().await;
    for (name, bytes) in everything(state.path()) {
        holds_no_key(&name, &String::from_utf8_lossy(&bytes));
    }
}
