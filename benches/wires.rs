//! What a wire costs: processor time (of the user and of the system) per 1,000 streamed deltas, against the same bytes
//! drained by reqwest alone: `cargo bench --bench wires`.
//!
//! The server is this program again, in a process of its own, on the loopback interface. It writes each event by itself, as
//! a provider does; what the same costs when all of it comes at once, with hardly a system call, is printed beside.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    reason = "a program that prints figures, and stops at the first surprise"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cowrite::model::{Item, Provider, Purpose, Request, StreamEvent};
use futures::StreamExt;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

const DELTAS: usize = 1_000;
const ROUNDS: usize = 61;

/// A wire: its row, the table of its settings, what of the path is in the base address, and its stream.
struct Wire {
    name: &'static str,
    settings: &'static str,
    below: &'static str,
    path: &'static str,
    content_type: &'static str,
    events: fn() -> Vec<Vec<u8>>,
}

const SSE: &str = "text/event-stream";
/// Below this path everything comes at once.
const AT_ONCE: &str = "/at-once";

const WIRES: &[Wire] = &[
    Wire {
        name: "Anthropic Messages",
        settings: "kind = \"anthropic\"",
        below: "",
        path: "/v1/messages",
        content_type: SSE,
        events: anthropic,
    },
    Wire {
        name: "OpenAI Chat Completions",
        settings: "kind = \"openai-chat\"",
        below: "/v1",
        path: "/v1/chat/completions",
        content_type: SSE,
        events: chat,
    },
    Wire {
        name: "OpenAI Responses",
        settings: "kind = \"openai\"",
        below: "/v1",
        path: "/v1/responses",
        content_type: SSE,
        events: responses,
    },
    Wire {
        name: "Azure OpenAI, v1",
        settings: "kind = \"azure\"",
        below: "",
        path: "/openai/v1/responses",
        content_type: SSE,
        events: responses,
    },
    Wire {
        name: "Azure OpenAI, dated",
        settings: "kind = \"azure\"\napi_version = \"2024-10-21\"",
        below: "",
        path: "/openai/deployments/m/chat/completions?api-version=2024-10-21",
        content_type: SSE,
        events: chat,
    },
    Wire {
        name: "Gemini",
        settings: "kind = \"gemini\"",
        below: "",
        path: "/v1beta/models/m:streamGenerateContent?alt=sse",
        content_type: SSE,
        events: gemini,
    },
    Wire {
        name: "Cohere",
        settings: "kind = \"cohere\"",
        below: "",
        path: "/v2/chat",
        content_type: SSE,
        events: cohere,
    },
    Wire {
        name: "Bedrock Converse",
        settings: "kind = \"bedrock\"\nregion = \"eu-north-1\"",
        below: "",
        path: "/model/m/converse-stream",
        content_type: "application/vnd.amazon.eventstream",
        events: bedrock,
    },
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let this = std::env::current_exe().unwrap();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "serve"] => return serve(),
        [_, "measure", base] => return measure(base),
        _ => {}
    }
    let mut server = Command::new(&this).arg("serve").stdout(Stdio::piped()).spawn().unwrap();
    let mut base = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut base).unwrap();
    // Keys come from the environment alone, and these open nothing.
    let keys = [
        ("KEY", "none"),
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
        ("AWS_REGION", "eu-north-1"),
    ];
    let status = Command::new(&this).args(["measure", base.trim()]).envs(keys).status();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(status.unwrap().success());
}

fn measure(base: &str) {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let titles = ["wire, ms", "reqwest, ms", "ratio", "wanted", "at once, ms", "reqwest, ms"];
    println!("{:<28} {}", "per 1,000 streamed deltas", titles.map(|title| format!("{title:>12}")).concat());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for wire in WIRES {
        let ways = [base.to_owned(), format!("{base}{AT_ONCE}")];
        let measured = ways.map(|base| {
            runtime.block_on(async { Ok::<_, String>(both(wire, &base, &*provider(wire, &base).await?).await) })
        });
        match measured {
            [Ok((decoded, drained)), Ok((at_once, all_drained))] => {
                let ratio = decoded / drained;
                println!(
                    "{:<28} {decoded:>12.3}{drained:>12.3}{ratio:>12.2}{:>12}{at_once:>12.3}{all_drained:>12.3}",
                    wire.name, "<= 3"
                );
            }
            [Err(error), _] | [_, Err(error)] => {
                println!("{:<28} not connected: {}", wire.name, error.lines().last().unwrap_or_default());
            }
        }
    }
}

async fn provider(wire: &Wire, base: &str) -> Result<Arc<dyn Provider>, String> {
    // Where a key is needed, it is the one of the environment.
    let key = if wire.settings.contains("bedrock") { "" } else { "\napi_key_env = \"KEY\"" };
    let (table, below) = (wire.settings, wire.below);
    let settings = format!("model = \"bench/m\"\n[providers.bench]\n{table}{key}\nbase_url = \"{base}{below}\"");
    let settings = toml::from_str(&settings).map_err(|error| error.to_string())?;
    let connected = cowrite::model::wire::connect(Arc::new(settings), None).await;
    connected.map(|connected| connected.provider).map_err(|error| error.to_string())
}

/// The medians of milliseconds of the processor: decoded by the wire, and only drained. They take turns.
async fn both(wire: &Wire, base: &str, provider: &dyn Provider) -> (f64, f64) {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let (mut decoded, mut drained) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS + 3 {
        let began = processor();
        decode(provider).await;
        let between = processor();
        drain(&client, &format!("{base}{}", wire.path)).await;
        let ended = processor();
        // The first rounds connect, and warm the caches.
        if round >= 3 {
            decoded.push((between - began).as_secs_f64() * 1e3);
            drained.push((ended - between).as_secs_f64() * 1e3);
        }
    }
    (median(decoded), median(drained))
}

fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

async fn decode(provider: &dyn Provider) {
    let items: Arc<[Arc<Item>]> = [Arc::new(Item::told("Hi.".to_owned()))].into();
    let request = Request {
        system: "".into(),
        tools: [].into(),
        items,
        max_output: None,
        cache_key: None,
        purpose: Purpose::Turn,
    };
    let mut stream = provider.stream(request).await.unwrap();
    let (mut deltas, mut finished) = (0, false);
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            StreamEvent::Text { .. } => deltas += 1,
            StreamEvent::Finished(_) => finished = true,
            _ => {}
        }
    }
    assert!(finished && deltas == DELTAS, "{deltas} deltas");
}

async fn drain(client: &reqwest::Client, url: &str) {
    let response = client.post(url).header("content-type", "application/json").body("{}").send().await.unwrap();
    let mut pieces = response.bytes_stream();
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        bytes += piece.unwrap().len();
    }
    assert!(bytes > DELTAS * 40);
}

/// Serves each wire's stream below its path, until this process is ended.
fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    for connection in listener.incoming() {
        std::thread::spawn(move || {
            let connection = connection.unwrap();
            connection.set_nodelay(true).unwrap();
            let mut reader = BufReader::new(connection.try_clone().unwrap());
            while let Some(path) = request(&mut reader) {
                answer(&connection, &path);
            }
        });
    }
}

/// Reads a request and tells its path.
fn request(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            _ if line.trim_end().is_empty() => break,
            _ => {}
        }
        path = path.or_else(|| line.split(' ').nth(1).map(str::to_owned));
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    path
}

fn answer(mut connection: &TcpStream, path: &str) {
    let (path, at_once) = path.strip_prefix(AT_ONCE).map_or((path, false), |path| (path, true));
    let wire = WIRES.iter().find(|wire| wire.path == path).unwrap_or_else(|| panic!("no wire asks for {path}"));
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n", wire.content_type);
    connection.write_all(head.as_bytes()).unwrap();
    let events = (wire.events)();
    for event in if at_once { vec![events.concat()] } else { events } {
        let chunk = [format!("{:x}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat();
        connection.write_all(&chunk).unwrap();
    }
    connection.write_all(b"0\r\n\r\n").unwrap();
}

/// A stream of server-sent events: these first, one for each delta, these last.
fn sse(named: bool, first: &[Value], delta: impl Fn(&str) -> Value, last: &[Value]) -> Vec<Vec<u8>> {
    let deltas: Vec<Value> = (0..DELTAS).map(|n| delta(&format!(" word{n}"))).collect();
    let written = |event: &Value| {
        let name = event["type"].as_str().filter(|_| named).map_or_else(String::new, |name| format!("event: {name}\n"));
        format!("{name}data: {event}\n\n").into_bytes()
    };
    first.iter().chain(&deltas).chain(last).map(written).collect()
}

fn anthropic() -> Vec<Vec<u8>> {
    sse(
        true,
        &[
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 12, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ],
        |text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        &[
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1000}}),
            json!({"type": "message_stop"}),
        ],
    )
}

fn chat() -> Vec<Vec<u8>> {
    let chunk = |delta: Value, finish: Option<&str>| json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}], "usage": null});
    let mut events = sse(
        false,
        &[chunk(json!({"role": "assistant", "content": ""}), None)],
        |text| chunk(json!({"content": text}), None),
        &[
            chunk(json!({}), Some("stop")),
            json!({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 1000}}),
        ],
    );
    events.push(b"data: [DONE]\n\n".to_vec());
    events
}

fn responses() -> Vec<Vec<u8>> {
    let item = |text: &str, status: &str| json!({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [{"type": "output_text", "text": text, "annotations": []}]});
    let whole: String = (0..DELTAS).map(|n| format!(" word{n}")).collect();
    let done = item(&whole, "completed");
    let usage = json!({"input_tokens": 50, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1000, "total_tokens": 1050});
    let response =
        json!({"id": "resp_1", "object": "response", "status": "completed", "output": [done], "usage": usage});
    sse(
        true,
        &[
            json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
            json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}}),
        ],
        |text| json!({"type": "response.output_text.delta", "sequence_number": 2, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text, "logprobs": []}),
        &[
            json!({"type": "response.output_item.done", "sequence_number": 3, "output_index": 0, "item": done}),
            json!({"type": "response.completed", "sequence_number": 4, "response": response}),
        ],
    )
}

fn gemini() -> Vec<Vec<u8>> {
    let usage = json!({"promptTokenCount": 50, "candidatesTokenCount": 1000, "totalTokenCount": 1050});
    let chunk = |candidate: Value| json!({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r1"});
    sse(
        false,
        &[],
        |text| chunk(json!({"index": 0, "content": {"role": "model", "parts": [{"text": text}]}})),
        &[chunk(json!({"index": 0, "content": {"role": "model", "parts": []}, "finishReason": "STOP"}))],
    )
}

fn cohere() -> Vec<Vec<u8>> {
    let end = json!({"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 50, "output_tokens": 1000}}});
    sse(
        true,
        &[
            json!({"type": "message-start", "id": "m1", "delta": {"message": {"role": "assistant"}}}),
            json!({"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        ],
        |text| json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}}),
        &[json!({"type": "content-end", "index": 0}), json!({"type": "message-end", "delta": end})],
    )
}

fn bedrock() -> Vec<Vec<u8>> {
    let mut messages = vec![message("messageStart", &json!({"role": "assistant"}))];
    let delta = |n| json!({"contentBlockIndex": 0, "delta": {"text": format!(" word{n}")}, "p": "abcdefghijk"});
    messages.extend((0..DELTAS).map(|n| message("contentBlockDelta", &delta(n))));
    messages.push(message("contentBlockStop", &json!({"contentBlockIndex": 0})));
    messages.push(message("messageStop", &json!({"stopReason": "end_turn"})));
    messages.push(message("metadata", &json!({"usage": {"inputTokens": 50, "outputTokens": 1000}})));
    messages
}

/// A message of an event stream: lengths, headers and payload, each part with its checksum.
fn message(name: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend(name.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let payload = payload.to_string().into_bytes();
    let mut bytes = u32::try_from(headers.len() + payload.len() + 16).unwrap().to_be_bytes().to_vec();
    bytes.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes.extend(headers);
    bytes.extend(payload);
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}
