//! Both wires over real HTTP, against the strict double; and, where `COWRITE_LLAMA_URL` names one, a real server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::json;

use super::choose::connect_in;
use super::testing::*;
use crate::model::double::{CANARY, Double, Piece, Reply};
use crate::model::key::Environment;
use crate::model::{Assembler, Block, Item, ModelError, Provider, StopReason, StreamEvent, ToolSpec, Turn};

const MESSAGES: &str = "anthropic";
const CHAT: &str = "openai-chat";
const WIRES: [&str; 2] = [MESSAGES, CHAT];

fn provider(kind: &str, base: &str) -> Arc<dyn Provider> {
    let base = if kind == CHAT { format!("{base}/v1") } else { base.to_owned() };
    let settings = format!(
        "model = \"double/m\"\n[limits]\nidle_seconds = 1\n[providers.double]\nkind = \"{kind}\"\nbase_url = \"{base}\"\napi_key_env = \"KEY\""
    );
    connect_in(&toml::from_str(&settings).unwrap(), &Environment::of(&[("KEY", CANARY)])).unwrap()
}

/// An answer of one text, and of a call where `call` is set.
fn answer(kind: &str, call: bool) -> String {
    let events: Vec<String> = match kind {
        MESSAGES => {
            let mut events = vec![
                json!({"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Reading."}}),
                json!({"type": "content_block_stop", "index": 0}),
            ];
            if call {
                let start = json!({"type": "tool_use", "id": "call_1", "name": "read", "input": {}});
                let delta = json!({"type": "input_json_delta", "partial_json": "{\"path\":\"a.rs\"}"});
                events.push(json!({"type": "content_block_start", "index": 1, "content_block": start}));
                events.push(json!({"type": "content_block_delta", "index": 1, "delta": delta}));
                events.push(json!({"type": "content_block_stop", "index": 1}));
            }
            let stop = if call { "tool_use" } else { "end_turn" };
            events
                .push(json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}}));
            events.push(json!({"type": "message_stop"}));
            events.iter().map(ToString::to_string).collect()
        }
        _ => {
            let chunk = |delta, finish: Option<&str>| {
                json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).to_string()
            };
            let mut chunks = vec![chunk(json!({"content": "Reading."}), None)];
            if call {
                let function = json!({"name": "read", "arguments": "{\"path\":\"a.rs\"}"});
                chunks.push(chunk(json!({"tool_calls": [{"index": 0, "id": "call_1", "function": function}]}), None));
            }
            chunks.push(chunk(json!({}), Some(if call { "tool_calls" } else { "stop" })));
            chunks.push(json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}).to_string());
            chunks.push("[DONE]".to_owned());
            chunks
        }
    };
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// The turn, and what was told of retries on the way.
async fn run(provider: &dyn Provider, items: Vec<Item>) -> Result<(Turn, Vec<String>), ModelError> {
    let (mut assembler, mut retries) = (Assembler::default(), Vec::new());
    let mut stream = provider.stream(request(items)).await?;
    while let Some(event) = stream.next().await {
        let event = event?;
        if let StreamEvent::Retrying { attempt, reason, discarded, .. } = &event {
            retries.push(format!("{attempt} {discarded} {reason}"));
        }
        assembler.push(&event);
    }
    Ok((assembler.finish().unwrap(), retries))
}

async fn failure(kind: &str, replies: Vec<Reply>) -> ModelError {
    let double = Double::start(replies).await;
    let error = run(&*provider(kind, &double.base), vec![user("hi")]).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
    error
}

#[tokio::test]
async fn a_conversation() {
    for kind in WIRES {
        let double = Double::start([Reply::stream(&answer(kind, true)), Reply::stream(&answer(kind, false))]).await;
        let provider = provider(kind, &double.base);
        let (first, _) = run(&*provider, vec![user("Mend it.")]).await.unwrap();
        assert_eq!(listed(&first), ["text Reading.", r#"call call_1 read {"path":"a.rs"}"#]);
        assert_eq!((first.usage.input, first.usage.output), (Some(9), Some(5)));
        let items = vec![user("Mend it."), said("double/m", first.blocks), results(&[("call_1", true, "fn a() {}")])];
        let (second, _) = run(&*provider, items).await.unwrap();
        assert_eq!((listed(&second), second.stop), (vec!["text Reading.".to_owned()], StopReason::End));
        assert_eq!(double.bodies().len(), 2);
    }
}

#[tokio::test]
async fn a_difficult_history_is_accepted() {
    for kind in WIRES {
        let double = Double::start([Reply::stream(&answer(kind, false))]).await;
        run(&*provider(kind, &double.base), difficult("double/m")).await.unwrap();
    }
}

#[tokio::test]
async fn text_is_told_while_the_rest_is_still_to_come() {
    for kind in WIRES {
        let whole = answer(kind, false);
        let middle =
            whole.find("Reading.").unwrap() + whole[whole.find("Reading.").unwrap()..].find("\n\n").unwrap() + 2;
        let pieces = vec![Piece::Bytes(whole[..middle].to_owned()), Piece::Hang];
        let double = Double::start([Reply::pieces(pieces)]).await;
        let mut stream = provider(kind, &double.base).stream(request(vec![user("hi")])).await.unwrap();
        loop {
            match stream.next().await.unwrap().unwrap() {
                StreamEvent::Text { text, .. } => break assert_eq!(text, "Reading."),
                StreamEvent::Usage(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(double.sending());
        // A cancel is nothing but this.
        drop(stream);
        let start = Instant::now();
        while double.sending() {
            assert!(start.elapsed() < Duration::from_millis(200), "the request goes on after it was dropped");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn a_reset_anywhere_is_told_and_asked_for_again() {
    for kind in WIRES {
        let whole = answer(kind, true);
        // Chat's turn stands with its finish_reason; what follows may be lost.
        let terminal = whole.find(r#""finish_reason":"tool_calls""#).unwrap_or(whole.len());
        for end in (0..terminal - 1).step_by(terminal / 6) {
            let broken = vec![Piece::Bytes(whole[..end].to_owned()), Piece::Reset];
            let double = Double::start([Reply::pieces(broken), Reply::stream(&whole)]).await;
            let (turn, retries) = run(&*provider(kind, &double.base), vec![user("hi")]).await.unwrap();
            assert_eq!(listed(&turn).len(), 2, "cut after {end}");
            let told = whole[..end].rfind("\n\n").is_some_and(|last| whole[..last].contains("Reading."));
            assert_eq!(retries.len(), 1, "{retries:?}");
            assert!(retries[0].starts_with(&format!("1 {told} the answer broke off")), "{retries:?}");
        }
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_a_long_one_told() {
    for kind in WIRES {
        let limited = |after: &str| {
            let body = json!({"error": {"type": "rate_limit_error", "message": "slow down"}});
            Reply::error(429, body).header("retry-after", after)
        };
        let double = Double::start([limited("0"), limited("0"), Reply::stream(&answer(kind, false))]).await;
        let (_, retries) = run(&*provider(kind, &double.base), vec![user("hi")]).await.unwrap();
        assert_eq!(retries, ["1 false rate limited (slow down)", "2 false rate limited (slow down)"]);
        let error = failure(kind, vec![limited("3600")]).await;
        assert!(matches!(error, ModelError::RateLimited { retry_after: Some(time), .. } if time.as_secs() == 3600));
    }
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let refused = |text: &str| json!({"error": {"message": text, "type": "x", "code": "y"}});
    for kind in WIRES {
        let error = failure(kind, vec![Reply::error(401, refused(&format!("wrong key {CANARY}!")))]).await;
        assert_eq!(
            error.to_string(),
            "double/m refuses the key (HTTP 401: wrong key [key]!); check the environment variable KEY of the editor's process"
        );
        let error = failure(kind, vec![Reply::error(404, refused("no such model"))]).await;
        assert_eq!(error.to_string(), "double/m rejects the request (HTTP 404: no such model)");
        let error = failure(kind, vec![Reply::of(200, "text/html", "<html>Sign in</html>")]).await;
        assert_eq!(
            error.to_string(),
            "double/m broke off its answer (a web page instead of an answer; check base_url); try again"
        );
        let error =
            failure(kind, vec![Reply::error(200, json!({"error": {"message": "the context length is exceeded"}}))])
                .await;
        assert!(matches!(error, ModelError::Overflow { .. }), "{error:?}");
        let error = failure(kind, vec![Reply::stream("x").header("content-encoding", "gzip")]).await;
        assert!(error.to_string().contains("compressed"), "{error}");
        let error = failure(kind, vec![Reply::error(400, refused("bad")).header("x-should-retry", "true")]).await;
        assert!(matches!(error, ModelError::Rejected { status: 400, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_carries_the_key_nowhere() {
    for kind in WIRES {
        let other = Double::start([Reply::stream(&answer(kind, false))]).await;
        let moved = Reply::of(307, "text/plain", "").header("location", &format!("{}/v1/messages", other.base));
        let error = failure(kind, vec![moved]).await.to_string();
        assert!(error.contains("redirects are not followed"), "{error}");
        assert!(other.bodies().is_empty());
    }
}

#[tokio::test]
async fn silence_is_given_up_and_any_byte_ends_it() {
    for kind in WIRES {
        let whole = answer(kind, false);
        let error = failure(kind, vec![Reply::pieces(vec![Piece::Bytes(whole[..30].to_owned()), Piece::Hang])]).await;
        assert!(matches!(error, ModelError::Idle { seconds: 1, .. }), "{error:?}");
        let mut pieces = Vec::new();
        for _ in 0..4 {
            pieces.extend([Piece::Wait(Duration::from_millis(400)), Piece::Bytes(": ping\n\n".to_owned())]);
        }
        pieces.push(Piece::Bytes(whole));
        let double = Double::start([Reply::pieces(pieces)]).await;
        run(&*provider(kind, &double.base), vec![user("hi")]).await.unwrap();
    }
}

#[tokio::test]
async fn a_chat_turn_stands_though_its_end_mark_never_comes() {
    let whole = answer(CHAT, true);
    let end = whole.find("data: {\"choices\":[],").unwrap();
    let pieces = vec![Piece::Bytes(whole[..end].to_owned()), Piece::Reset];
    let double = Double::start([Reply::pieces(pieces)]).await;
    let (turn, retries) = run(&*provider(CHAT, &double.base), vec![user("hi")]).await.unwrap();
    assert_eq!((listed(&turn).len(), retries.len(), turn.usage.input), (2, 0, None));
}

/// A real llama-server at `COWRITE_LLAMA_URL`; nothing runs without it.
#[tokio::test]
async fn llama_server_answers_over_both_wires() {
    let Ok(base) = std::env::var("COWRITE_LLAMA_URL") else {
        println!("COWRITE_LLAMA_URL is not set: no real server to ask");
        return;
    };
    for kind in WIRES {
        let provider = {
            let base = if kind == CHAT { format!("{base}/v1") } else { base.clone() };
            let settings = format!(
                "model = \"llama/smollm2\"\n[providers.llama]\nkind = \"{kind}\"\nbase_url = \"{base}\"\n[models.\"llama/smollm2\"]\nmax_output = 48"
            );
            connect_in(&toml::from_str(&settings).unwrap(), &Environment::of(&[])).unwrap()
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
