//! A strict stand-in for the providers: an HTTP server on this machine that refuses what the real ones refuse, and
//! misbehaves as it is told.

use std::collections::{HashSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use futures::stream;
use serde_json::{Value, json};

/// The key that must be sent, and that must never be seen anywhere else.
pub(crate) const CANARY: &str = "sk-canary-0123456789";

/// What the next valid request is answered.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Piece>,
}

/// A step of an answer's body.
#[derive(Clone)]
pub(crate) enum Piece {
    Bytes(String),
    Wait(Duration),
    /// The connection is cut.
    Reset,
    /// Nothing more, and no end.
    Hang,
}

impl Reply {
    pub(crate) fn stream(body: &str) -> Self {
        Self::pieces(vec![Piece::Bytes(body.to_owned())])
    }

    pub(crate) fn pieces(pieces: Vec<Piece>) -> Self {
        Self { status: 200, headers: vec![("content-type", "text/event-stream".to_owned())], pieces }
    }

    pub(crate) fn of(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, pieces: vec![Piece::Bytes(body.to_owned())] }
    }

    pub(crate) fn error(status: u16, body: Value) -> Self {
        Self::of(status, "application/json", &body.to_string())
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The server. It ends when dropped.
pub(crate) struct Double {
    pub(crate) base: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    bodies: Mutex<Vec<Value>>,
    /// Bodies that are being sent right now.
    sending: AtomicUsize,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Double {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let shared = Arc::new(Shared { replies: Mutex::new(replies.into_iter().collect()), ..Shared::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base, shared, task }
    }

    /// The requests so far.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.shared.bodies.lock().unwrap().clone()
    }

    /// Whether an answer is still being sent.
    pub(crate) fn sending(&self) -> bool {
        self.shared.sending.load(Ordering::SeqCst) > 0
    }
}

async fn answer(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let checked = serde_json::from_slice(&body).map_err(|error| (400, error.to_string())).and_then(|body: Value| {
        match uri.path() {
            "/v1/messages" => anthropic(&headers, &body)?,
            "/v1/chat/completions" => openai_chat(&headers, &body)?,
            other => return Err((404, format!("no such path {other}"))),
        }
        Ok(body)
    });
    let reply = match checked {
        Err((status, message)) => Reply::error(status, json!({"error": {"type": "double", "message": message}})),
        Ok(body) => {
            shared.bodies.lock().unwrap().push(body);
            let next = shared.replies.lock().unwrap().pop_front();
            next.unwrap_or_else(|| Reply::error(418, json!({"error": {"message": "one request too many"}})))
        }
    };
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(body_of(reply.pieces, shared)).unwrap()
}

/// Counts down when the body is over, or the client gone.
struct Sending(Arc<Shared>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::SeqCst);
    }
}

fn body_of(pieces: Vec<Piece>, shared: Arc<Shared>) -> Body {
    shared.sending.fetch_add(1, Ordering::SeqCst);
    let state = (VecDeque::from(pieces), Sending(shared));
    Body::from_stream(stream::unfold(state, |(mut pieces, sending)| async move {
        loop {
            match pieces.pop_front()? {
                Piece::Bytes(bytes) => return Some((Ok::<_, io::Error>(bytes), (pieces, sending))),
                Piece::Wait(time) => tokio::time::sleep(time).await,
                Piece::Hang => match std::future::pending::<Infallible>().await {},
                Piece::Reset => {
                    // What was sent before shall arrive before the connection is cut.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    return Some((Err(io::Error::other("cut")), (VecDeque::new(), sending)));
                }
            }
        }
    }))
}

type Checked = Result<(), (u16, String)>;

fn wrong(text: impl Into<String>) -> Checked {
    Err((400, text.into()))
}

/// Only these fields, and these of them for certain.
fn fields(value: &Value, required: &[&str], optional: &[&str]) -> Checked {
    let Some(object) = value.as_object() else { return wrong(format!("not an object: {value}")) };
    if let Some(field) =
        object.keys().find(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str()))
    {
        return wrong(format!("unknown field {field} in {value}"));
    }
    match required.iter().find(|field| !object.contains_key(**field)) {
        Some(field) => wrong(format!("no {field} in {value}")),
        None => Ok(()),
    }
}

fn header(headers: &HeaderMap, name: &str, expected: &str, status: u16) -> Checked {
    match headers.get(name).and_then(|value| value.to_str().ok()) {
        Some(value) if value == expected => Ok(()),
        // Some providers repeat the key that they refuse.
        value => Err((status, format!("wrong {name}: {value:?}"))),
    }
}

fn anthropic(headers: &HeaderMap, body: &Value) -> Checked {
    header(headers, "x-api-key", CANARY, 401)?;
    header(headers, "anthropic-version", "2023-06-01", 400)?;
    header(headers, "content-type", "application/json", 400)?;
    fields(body, &["model", "max_tokens", "messages", "stream"], &["system", "tools", "temperature"])?;
    for tool in body["tools"].as_array().into_iter().flatten() {
        fields(tool, &["name", "description", "input_schema"], &["cache_control"])?;
    }
    if body.to_string().matches("\"cache_control\"").count() > 4 {
        return wrong("more than four cache marks");
    }
    let (mut open, mut used, mut role) = (Vec::new(), HashSet::new(), "assistant");
    for message in body["messages"].as_array().into_iter().flatten() {
        fields(message, &["role", "content"], &[])?;
        let next = message["role"].as_str().unwrap_or_default();
        if next == role || !["user", "assistant"].contains(&next) {
            return wrong(format!("the role {next} after {role}"));
        }
        role = next;
        let parts: Vec<&Value> = message["content"].as_array().into_iter().flatten().collect();
        let results: Vec<&str> = parts.iter().map_while(|part| part["tool_use_id"].as_str()).collect();
        if results != open {
            return wrong(format!("tool_use {open:?} is followed by the results {results:?}"));
        }
        open.clear();
        let Some(last) = parts.last() else { return wrong("an empty message") };
        if last["type"].as_str().is_some_and(|kind| kind.ends_with("thinking")) {
            return wrong("a message ends with thinking");
        }
        for part in &parts[results.len()..] {
            match (part["type"].as_str().unwrap_or_default(), role) {
                ("text", _) => {
                    fields(part, &["type", "text"], &["cache_control"])?;
                    if part["text"].as_str().is_none_or(|text| text.trim().is_empty()) {
                        return wrong("a blank text");
                    }
                }
                ("thinking", "assistant") => {
                    fields(part, &["type", "thinking", "signature"], &[])?;
                    if part["signature"] != "s1" {
                        return wrong("a signature that was not given");
                    }
                }
                ("redacted_thinking", "assistant") => fields(part, &["type", "data"], &[])?,
                ("tool_use", "assistant") => {
                    fields(part, &["type", "id", "name", "input"], &["cache_control"])?;
                    let id = part["id"].as_str().unwrap_or_default();
                    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    if id.is_empty() || !id.chars().all(fits) || !used.insert(id) || !part["input"].is_object() {
                        return wrong(format!("a wrong call: {part}"));
                    }
                    open.push(id);
                }
                (other, role) => return wrong(format!("a block {other} of the {role}")),
            }
        }
        for part in &parts[..results.len()] {
            fields(part, &["type", "tool_use_id", "content"], &["is_error", "cache_control"])?;
        }
    }
    if role == "user" && open.is_empty() { Ok(()) } else { wrong("nothing to answer") }
}

fn openai_chat(headers: &HeaderMap, body: &Value) -> Checked {
    header(headers, "authorization", &format!("Bearer {CANARY}"), 401)?;
    header(headers, "content-type", "application/json", 400)?;
    let optional = ["tools", "max_tokens", "temperature"];
    fields(body, &["model", "messages", "stream", "stream_options"], &optional)?;
    for tool in body["tools"].as_array().into_iter().flatten() {
        fields(tool, &["type", "function"], &[])?;
        fields(&tool["function"], &["name", "description", "parameters"], &[])?;
    }
    let (mut open, mut role) = (VecDeque::new(), "system");
    for message in body["messages"].as_array().into_iter().flatten() {
        let next = message["role"].as_str().unwrap_or_default();
        if next != "tool" && !open.is_empty() {
            return wrong(format!("the calls {open:?} have no results"));
        }
        match next {
            "system" if role == "system" => fields(message, &["role", "content"], &[])?,
            "user" if role != "user" => fields(message, &["role", "content"], &[])?,
            "assistant" if role != "assistant" => {
                fields(message, &["role", "content"], &["tool_calls"])?;
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    fields(call, &["id", "type", "function"], &[])?;
                    fields(&call["function"], &["name", "arguments"], &[])?;
                    let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
                    if !serde_json::from_str(arguments).is_ok_and(|value: Value| value.is_object()) {
                        return Err((500, format!("arguments that do not parse: {arguments}")));
                    }
                    open.push_back(call["id"].clone());
                }
                if message["content"].is_null() && open.is_empty() {
                    return wrong("an empty message");
                }
            }
            "tool" => {
                fields(message, &["role", "content", "tool_call_id"], &[])?;
                if open.pop_front().as_ref() != Some(&message["tool_call_id"]) {
                    return wrong(format!("a result without its call: {message}"));
                }
            }
            other => return wrong(format!("the role {other} after {role}")),
        }
        role = next;
    }
    if ["user", "tool"].contains(&role) && open.is_empty() { Ok(()) } else { wrong("nothing to answer") }
}
