//! Estimates held against what a real server counted. The conversations and the counts are in `fixtures/conversations.json`;
//! where the conversations change, or the wire does, they are counted anew by [`count_anew`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::{Window, of_fixed};
use crate::model::{Item, Request, StreamEvent, ToolSpec};
use crate::protocol::Usage;

#[derive(Serialize, Deserialize)]
struct Recorded {
    /// Who counted.
    counted: String,
    system: Arc<str>,
    tools: Vec<Tool>,
    conversations: Vec<Conversation>,
}

#[derive(Serialize, Deserialize)]
struct Tool {
    name: String,
    description: String,
    schema: Value,
}

#[derive(Serialize, Deserialize)]
struct Conversation {
    name: String,
    /// By the number of entries that were sent, the tokens of that request.
    counts: BTreeMap<usize, u64>,
    items: Vec<Arc<Item>>,
}

fn place() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/context/fixtures/conversations.json"))
}

impl Recorded {
    fn read() -> Self {
        serde_json::from_str(&std::fs::read_to_string(place()).unwrap()).unwrap()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        let spec = |tool: &Tool| ToolSpec {
            name: tool.name.clone(),
            description: tool.description.clone(),
            schema: Arc::new(tool.schema.clone()),
        };
        self.tools.iter().map(spec).collect()
    }

    fn window(&self) -> Window {
        let mut window = Window::default();
        window.fix(of_fixed(&self.system, &self.specs()));
        window
    }
}

/// By how much an estimate is off, in thousandths of the count.
fn off(estimate: u64, count: u64) -> i64 {
    (i64::try_from(estimate).unwrap() - i64::try_from(count).unwrap()) * 1_000 / i64::try_from(count).unwrap()
}

/// Walks a conversation request by request, and gives what each is estimated at beside its count.
fn walked(recorded: &Recorded, conversation: &Conversation, measures: bool) -> Vec<(u64, u64)> {
    let mut window = recorded.window();
    let mut found = Vec::new();
    let mut unmeasured = None;
    for (at, item) in conversation.items.iter().enumerate() {
        if let Some(count) = conversation.counts.get(&at) {
            found.push((window.used(None).used, *count));
            unmeasured = Some(*count);
        }
        window.push(item.clone());
        // The server has counted the request, and not the answer, which is none of its own.
        if let Some(sent) = unmeasured.take().filter(|_| measures) {
            window.measure(&Usage { input: Some(sent), ..Usage::default() });
        }
    }
    found
}

#[test]
fn c2_estimates_lie_within_10_percent_of_what_a_server_counts() {
    let recorded = Recorded::read();
    let mut worst = 0;
    let (mut all, mut all_counted) = (0, 0);
    for conversation in &recorded.conversations {
        let first = walked(&recorded, conversation, false);
        let (estimate, count) = *first.last().unwrap();
        all += estimate;
        all_counted += count;
        let walk: Vec<i64> =
            walked(&recorded, conversation, true).into_iter().map(|(estimate, count)| off(estimate, count)).collect();
        worst = worst.max(walk.iter().map(|off| off.abs()).max().unwrap());
        let blind = off(estimate, count);
        println!("{:20} {count:5} tokens, unmeasured {blind:4}, request by request {walk:?}", conversation.name);
        assert!(blind.abs() <= 200, "{}, when nothing is measured: {blind}", conversation.name);
    }
    println!("{}: all unmeasured {}, worst request {worst}", recorded.counted, off(all, all_counted));
    assert!(worst <= 100, "of a request before it is measured");
    assert!(off(all, all_counted).abs() <= 100, "of all conversations together, when nothing is measured");
}

/// Sends the beginnings of each conversation over the wire for compatible servers to a llama-server, and writes down what it
/// counts. With llama-server started as `tests/editors/llama/run` does it:
///
/// `COWRITE_LLAMA=http://127.0.0.1:PORT/v1 cargo test --lib count_anew -- --ignored --nocapture`
#[tokio::test]
#[ignore = "needs a llama-server, and a quarter of an hour of it"]
async fn count_anew() {
    let base = std::env::var("COWRITE_LLAMA").expect("COWRITE_LLAMA is the server's base address");
    let settings = format!(
        "model = 'local/smollm2'\n[providers.local]\nkind = 'openai-chat'\nbase_url = '{base}'\n[models.'local/smollm2']\ncontext = 8192"
    );
    let connected = crate::model::wire::connect(Arc::new(toml::from_str(&settings).unwrap()), None).await.unwrap();
    let mut recorded = Recorded::read();
    let (system, tools): (_, Arc<[ToolSpec]>) = (recorded.system.clone(), recorded.specs().into());
    for conversation in &mut recorded.conversations {
        conversation.counts.clear();
        for (at, item) in conversation.items.iter().enumerate() {
            if !matches!(**item, Item::Assistant { .. }) {
                continue;
            }
            let items = conversation.items[..at].into();
            let request = Request {
                system: system.clone(),
                tools: tools.clone(),
                items,
                max_output: Some(1),
                cache_key: None,
                purpose: crate::model::Purpose::Turn,
            };
            let mut stream = connected.provider.stream(request).await.unwrap();
            let mut usage = Usage::default();
            while let Some(event) = stream.next().await {
                if let StreamEvent::Usage(told) = event.unwrap() {
                    usage = told;
                }
            }
            println!("{} {at}: {usage:?}", conversation.name);
            conversation.counts.insert(at, usage.sent().unwrap());
        }
    }
    let mut written = serde_json::to_string_pretty(&recorded).unwrap();
    written.push('\n');
    std::fs::write(place(), written).unwrap();
}
