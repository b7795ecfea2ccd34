//! Where `COWRITE_LLAMA_URL` names one, a real server.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;

use super::choose::build;
use super::testing::*;
use crate::model::catalog::Catalog;
use crate::model::key::Environment;
use crate::model::{Assembler, Block, Item, StopReason, StreamEvent, ToolSpec};

const MESSAGES: &str = "anthropic";
const CHAT: &str = "openai-chat";
const RESPONSES: &str = "openai";

/// A real llama-server at `COWRITE_LLAMA_URL`; nothing runs without it.
#[tokio::test]
async fn llama_server_answers_over_its_three_wires() {
    let Ok(base) = std::env::var("COWRITE_LLAMA_URL") else {
        println!("COWRITE_LLAMA_URL is not set: no real server to ask");
        return;
    };
    for kind in [MESSAGES, CHAT, RESPONSES] {
        let provider = {
            let base = if kind != MESSAGES { format!("{base}/v1") } else { base.clone() };
            let settings = format!(
                "model = \"llama/smollm2\"\n[providers.llama]\nkind = \"{kind}\"\nbase_url = \"{base}\"\n[models.\"llama/smollm2\"]\nmax_output = 48"
            );
            build(
                &toml::from_str(&settings).unwrap(),
                &Environment::of(&[]),
                "llama/smollm2",
                Arc::new(Catalog::load(None)),
            )
            .unwrap()
        };
        let ask = async |items: Vec<Item>| {
            let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
            let tool = ToolSpec {
                name: "read_file".to_owned(),
                description: "Shows a file.".to_owned(),
                schema: Arc::new(schema),
            };
            let request = crate::model::Request { tools: vec![tool].into(), ..request(items) };
            let (mut assembler, mut told) = (Assembler::default(), Vec::new());
            let mut stream = provider.stream(request).await.unwrap();
            while let Some(event) = stream.next().await {
                let event = event.unwrap();
                assembler.push(&event);
                told.push(event);
            }
            assert!(!told.iter().any(|event| matches!(event, StreamEvent::Retrying { .. })), "{told:?}");
            let turn = assembler.finish().unwrap();
            println!("{kind}: {:?} {:?} {:?} of {} events", listed(&turn), turn.stop, turn.usage, told.len());
            turn
        };
        let first = ask(vec![user("Show me the file main.rs using the tool.")]).await;
        assert!(first.usage.sent().is_some_and(|sent| sent > 20) && first.usage.output.is_some());
        let called = first.blocks.iter().any(|block| matches!(block, Block::Call { .. }));
        assert!(called && first.stop == StopReason::ToolUse, "{first:?}");

        // It answers HTTP 500 for a call in the history whose arguments were cut off.
        let cut = vec![
            user("Show me the file main.rs using the tool."),
            said("llama/smollm2", vec![text("I read it."), call("c1", "read_file", "{\"path\": \"main.r")]),
            results(&[("c1", true, "fn main() {}")]),
            user("What does it say?"),
        ];
        let second = ask(cut).await;
        assert!(second.usage.output.is_some_and(|output| output > 0));
    }
}
