//! Servers over HTTP that hang, flood and lie.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Mutex as StdMutex, PoisonError};

use tokio::net::TcpStream;

use super::*;

/// What has come to a server, and gone from it.
#[derive(Default)]
struct Seen {
    heads: StdMutex<Vec<String>>,
    sent: AtomicU64,
    /// Answers that are still under way.
    busy: AtomicUsize,
    hellos: AtomicUsize,
    elsewhere: AtomicBool,
}

impl Seen {
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request: its head and its body.
async fn request(stream: &mut TcpStream) -> Option<(String, Value)> {
    let (mut read, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            if body.len() >= length.map_or(0, |length| length.trim().parse().expect("a length")) {
                return Some((head, serde_json::from_str(body).unwrap_or_default()));
            }
        }
        match stream.read(&mut piece).await {
            Ok(count) if count > 0 => read.extend_from_slice(&piece[..count]),
            _ => return None,
        }
    }
}

fn whole(status: &str, kind: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n{body}").into_bytes()
}

fn result(asked: &Value, result: Value) -> Vec<u8> {
    whole(
        "200 OK",
        "application/json",
        "",
        &json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }).to_string(),
    )
}

fn said(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// What is sent: once, and then again and again, or nothing more until the client goes.
enum Sends {
    All(Vec<u8>),
    Hangs(Vec<u8>),
    Repeats(Vec<u8>, Vec<u8>),
}

const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const OPEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
/// Far more than anybody may answer with.
const HUGE: usize = 200 * 1024 * 1024;

/// What anything is answered with by a server that behaves so from its hello on; `None` where it is one that behaves.
fn odd(how: &str, asked: &Value, other: &str) -> Option<Sends> {
    let head = |length: usize, kind: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n").into_bytes()
    };
    Some(match how {
        "mute" => Sends::Hangs(Vec::new()),
        "no body" => Sends::Hangs(head(100, "application/json")),
        "no event" => Sends::Hangs(EVENTS.to_vec()),
        "comments" => Sends::Repeats(EVENTS.to_vec(), b": nothing\n\n".repeat(4096)),
        "junk" => Sends::Repeats(EVENTS.to_vec(), b"data: }{\n\n".repeat(4096)),
        "notes" => {
            let note = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "z" } });
            Sends::Repeats(EVENTS.to_vec(), format!("data: {note}\n\n").repeat(400).into_bytes())
        }
        "endless" => {
            let begin =
                format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[{{"type":"text","text":""#, asked["id"]);
            Sends::Repeats([OPEN, begin.as_bytes()].concat(), vec![b'x'; 65536])
        }
        "huge" => Sends::Repeats(head(HUGE, "application/json"), vec![b' '; 65536]),
        "huge event" => Sends::Repeats([EVENTS, b"data: "].concat(), vec![b'x'; 65536]),
        "no json" => Sends::All(whole("200 OK", "application/json", "", "}{ <html>")),
        "a page" => Sends::All(whole("200 OK", "text/html", "", "<h1>Welcome</h1>")),
        "locked" => Sends::All(whole("401 Unauthorized", "text/plain", "www-authenticate: Bearer\r\n", "no")),
        "broken" => Sends::All(whole("500 Oops", "text/plain", "", "no")),
        "elsewhere" => Sends::All(whole("307 Temporary Redirect", "text/plain", &format!("location: {other}\r\n"), "")),
        _ => return None,
    })
}

fn answer(how: &str, head: &str, asked: &Value, other: &str, seen: &Seen) -> Sends {
    let (at, how) = how.split_once(": ").unwrap_or(("call", how));
    match asked["method"].as_str() {
        None if head.starts_with("get") && at == "stream" => odd(how, asked, other).expect("a way"),
        None if head.starts_with("get") => Sends::All(whole("405 Method Not Allowed", "text/plain", "", "")),
        None => Sends::All(whole("200 OK", "text/plain", "", "")),
        Some("initialize") => {
            if at == "hello" {
                return odd(how, asked, other).expect("a way");
            }
            let number = seen.hellos.fetch_add(1, Ordering::Relaxed) + 1;
            let hello = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": {
                "protocolVersion": asked["params"]["protocolVersion"], "capabilities": { "tools": {} },
                "serverInfo": { "name": "nasty", "version": "1" } } });
            let session = format!("mcp-session-id: s{number}\r\n");
            Sends::All(whole("200 OK", "application/json", &session, &hello.to_string()))
        }
        Some("tools/list") => {
            let tool = |name: String| json!({ "name": name, "inputSchema": { "type": "object" } });
            Sends::All(match (at, how) {
                ("list", "crowd") => {
                    let all: Vec<Value> = (0..100_000).map(|n| tool(format!("t{n}"))).collect();
                    result(asked, json!({ "tools": all }))
                }
                ("list", "pages") => {
                    let page = asked["params"]["cursor"].as_str().unwrap_or("0").parse::<u32>().expect("a number");
                    result(asked, json!({ "tools": [tool(format!("t{page}"))], "nextCursor": (page + 1).to_string() }))
                }
                ("list", "loop") => result(asked, json!({ "tools": [tool("go".into())], "nextCursor": "again" })),
                ("list", how) => return odd(how, asked, other).expect("a way"),
                _ => result(asked, json!({ "tools": [tool("go".into())] })),
            })
        }
        Some("tools/call") => match how {
            "other id" => {
                let lie = json!({ "jsonrpc": "2.0", "id": 777_777, "result": said("not yours") });
                Sends::All(whole("200 OK", "application/json", "", &lie.to_string()))
            }
            "expired" if head.contains("mcp-session-id: s1") => {
                Sends::All(whole("404 Not Found", "text/plain", "", ""))
            }
            "ever expired" => Sends::All(whole("404 Not Found", "text/plain", "", "")),
            how => odd(how, asked, other).unwrap_or_else(|| Sends::All(result(asked, said("well")))),
        },
        Some(_) => Sends::All(whole("202 Accepted", "text/plain", "", "")),
    }
}

async fn converse(mut stream: TcpStream, how: &str, other: &str, seen: &Seen) {
    while let Some((head, asked)) = request(&mut stream).await {
        let answer = answer(how, &head, &asked, other, seen);
        seen.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
        seen.busy.fetch_add(1, Ordering::Relaxed);
        let (first, again) = match answer {
            Sends::All(first) => (first, None),
            Sends::Hangs(first) => (first, Some(Vec::new())),
            Sends::Repeats(first, again) => (first, Some(again)),
        };
        let mut well = stream.write_all(&first).await.is_ok();
        seen.sent.fetch_add(first.len() as u64, Ordering::Relaxed);
        if let Some(again) = again {
            while well && !again.is_empty() {
                well = stream.write_all(&again).await.is_ok();
                seen.sent.fetch_add(again.len() as u64, Ordering::Relaxed);
            }
            // Until the client goes.
            while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
            well = false;
        }
        seen.busy.fetch_sub(1, Ordering::Relaxed);
        if !well {
            return;
        }
    }
}

/// A server that behaves so, and what it sees.
async fn nasty(how: &'static str, limits: Limits) -> (Server, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = |listener: &TcpListener| format!("http://{}/mcp", listener.local_addr().expect("an address"));
    let (own, other) = (url(&listener), url(&elsewhere));
    let visited = seen.clone();
    tokio::spawn(async move {
        let _ = elsewhere.accept().await;
        visited.elsewhere.store(true, Ordering::Relaxed);
    });
    let noted = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, other) = (noted.clone(), other.clone());
            tokio::spawn(async move { converse(stream, how, &other, &seen).await });
        }
    });
    // A variable that is there in every test.
    let settings = McpSettings { url: Some(own), token_env: Some("CARGO_PKG_NAME".into()), ..McpSettings::default() };
    let mut server = Server::new("nasty".into(), settings, None, Vec::new());
    server.limits = limits;
    (server, seen)
}

const HELLO: Limits =
    Limits { start: Duration::from_secs(2), prompt: Duration::from_secs(1), call: Duration::from_secs(1) };
const CALLS: Limits =
    Limits { start: Duration::from_secs(10), prompt: Duration::from_secs(2), call: Duration::from_secs(3) };

/// What comes of a call, within which time, and how much the server could send for it.
async fn check(how: &'static str, limits: Limits, expected: &str) {
    let (server, seen) = nasty(how, limits).await;
    let began = Instant::now();
    let go = Described::read(&json!({ "name": "go", "inputSchema": { "type": "object" } })).expect("a tool");
    let got = match server.call(&go, Map::new(), &CancellationToken::new()).await {
        Ok(result) => result.to_string(),
        Err(why) => why,
    };
    assert!(got.contains(expected), "{how}: {got}");
    assert!(began.elapsed() < limits.call + Duration::from_secs(10), "{how} took {:?}", began.elapsed());
    let sent = seen.sent.load(Ordering::Relaxed);
    assert!(sent < 96 * 1024 * 1024, "{how}: {sent} bytes were taken");
    assert!(!seen.elsewhere.load(Ordering::Relaxed), "{how}: somebody went elsewhere");
    assert!(seen.heads().iter().all(|head| head.contains("authorization: bearer cowrite")), "{:?}", seen.heads());
    // Whoever hangs or floods is hung up on.
    if !how.starts_with("stream") {
        let began = Instant::now();
        while seen.busy.load(Ordering::Relaxed) > 0 {
            assert!(began.elapsed() < Duration::from_secs(8), "{how}: the connection is still open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_a_hello_over_http_that_is_none_costs_a_message() {
    let hello = [
        ("hello: mute", "it did not say hello within 2 s"),
        ("hello: no body", "it did not say hello within 2 s"),
        ("hello: no event", "it did not say hello within 2 s"),
        ("hello: comments", "could not be started: it sent far more than it was asked for."),
        ("hello: junk", "could not be started: "),
        ("hello: endless", "could not be started: it sent a message of more than 8 MiB."),
        ("hello: huge event", "could not be started: it sent a message of more than 8 MiB."),
        ("hello: no json", "it answered with something that is no message of the protocol"),
        ("hello: a page", "it answered with text/html, which is no JSON"),
        ("hello: locked", "it does not let Cowrite in (status 401): check the variable that token_env names"),
        ("hello: broken", "it answered with the status 500"),
        ("hello: elsewhere", "it sends to 127.0.0.1, where nobody goes: the token is for its own address"),
    ];
    for (how, expected) in hello {
        check(how, HELLO, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_a_list_over_http_that_never_ends_costs_a_message() {
    check("list: no body", HELLO, "it did not list its tools within 2 s").await;
    check("list: endless", CALLS, "ended while it was asked for its tools: it sent a message of more than 8 MiB.")
        .await;
    check("list: no json", CALLS, "something that is no message of the protocol").await;
    for (how, most) in [("list: crowd", "more than 64 tools"), ("list: pages", "more than 16 tools")] {
        let (server, _) = nasty(how, CALLS).await;
        let offer = server.tools().await.expect("the beginning of the list");
        assert!(offer.faults[0].contains(most), "{how}: {:?}", offer.faults);
        server.end().await;
    }
    let (server, seen) = nasty("list: loop", CALLS).await;
    assert_eq!(server.tools().await.expect("a list").tools.len(), 1);
    assert!(seen.heads().len() < 8, "it is not asked for the same again and again: {:?}", seen.heads());
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_a_call_over_http_that_hangs_floods_or_lies_costs_a_message() {
    let calls = [
        ("well", r#""text":"well""#),
        ("mute", "did not answer within 3 s. It was told to stop; whether it did something is not known."),
        ("no body", "did not answer within 3 s"),
        ("no event", "did not answer within 3 s"),
        ("other id", "did not answer within 3 s"),
        ("comments", "ended during the call (it sent far more than it was asked for)"),
        ("junk", "ended during the call (it sent far more than it was asked for)"),
        ("notes", "ended during the call (it sent far more than it was asked for)"),
        ("endless", "ended during the call (it sent a message of more than 8 MiB)"),
        ("huge", "ended during the call (it sent a message of more than 8 MiB)"),
        ("huge event", "ended during the call (it sent a message of more than 8 MiB)"),
        ("no json", "ended during the call (it answered with something that is no message of the protocol)"),
        ("a page", "(it answered with text/html, which is no JSON)"),
        ("locked", "(it does not let Cowrite in (status 401)"),
        ("broken", "(it answered with the status 500)"),
        ("elsewhere", "(it sends to 127.0.0.1, where nobody goes"),
        ("expired", r#""text":"well""#),
        ("ever expired", "(it has ended the session, and once more)"),
        ("stream: comments", "it sent far more than it was asked for"),
    ];
    for (how, expected) in calls {
        check(how, CALLS, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_a_stream_that_floods_while_nobody_asks_is_hung_up_on() {
    let (server, seen) = nasty("stream: comments", CALLS).await;
    // It may come to that before the list is there.
    let _ = server.tools().await;
    let began = Instant::now();
    while seen.sent.load(Ordering::Relaxed) == 0 || seen.busy.load(Ordering::Relaxed) > 0 {
        assert!(began.elapsed() < Duration::from_secs(15), "the stream is still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let why = server.tools().await.expect_err("it rests");
    assert!(why.contains("does not work (it sent far more than it was asked for)"), "{why}");
}
