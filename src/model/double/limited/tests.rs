//! The model counts, refuses, remembers and lies as it says.

use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;

use super::super::{Answer, DIALECTS, Double, dialect};
use super::*;
use crate::model::{Assembler, Item, ModelError, Provider, Purpose, Request, ToolSpec, Turn};

fn request(items: &[Arc<Item>]) -> Request {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    let tool = ToolSpec { name: "read".into(), description: "Shows a file.".into(), schema: Arc::new(schema) };
    let system = "You edit code. ".repeat(40).into();
    Request {
        system,
        tools: [tool].into(),
        items: items.into(),
        max_output: None,
        cache_key: None,
        purpose: Purpose::Turn,
    }
}

async fn ask(provider: &dyn Provider, items: &[Arc<Item>]) -> Result<Turn, ModelError> {
    let mut assembler = Assembler::after(items);
    let mut stream = provider.stream(request(items)).await?;
    while let Some(event) = stream.next().await {
        assembler.push(&event?);
    }
    Ok(assembler.finish().unwrap())
}

/// Adds a turn and the results of its calls, each of so many bytes.
fn add(items: &mut Vec<Arc<Item>>, turn: Turn, bytes: usize) {
    let results = turn.blocks.iter().filter_map(|block| match block {
        crate::model::Block::Call { id, name, .. } => Some(crate::model::ToolResult {
            undone: false,
            call_id: id.clone(),
            name: name.clone(),
            ok: true,
            content: "x".repeat(bytes),
        }),
        _ => None,
    });
    let results = Item::Results { results: results.collect() };
    let model = "double/m".to_owned();
    items.push(Arc::new(Item::Assistant { model, origin: turn.origin, blocks: turn.blocks, partial: false }));
    items.push(Arc::new(results));
}

/// A model that reads a file each time, and says how often it was asked.
fn reader(limit: u64) -> Limited {
    Limited::new(limit, |seen| {
        assert_eq!((seen.tools.as_slice(), seen.says("Mend it.")), (&["read".to_owned()][..], true));
        assert!(seen.system.is_empty() || seen.system.starts_with("You edit code."), "it may be among the messages");
        assert!(seen.tokens > 100 && seen.body.is_object() && seen.last().len() > 3);
        let (number, last) = (seen.number, seen.messages.last().unwrap());
        assert_eq!(last.who, if number == 0 { Who::User } else { Who::Results });
        let call = Part::call(&format!("call_{number}"), "read", &format!("{{\"path\":\"{number}.rs\"}}"));
        Reply::answer(Answer::of(vec![Part::text(&format!("Request {number}.")), call]))
    })
}

/// A loop of requests, as a run makes them: the second and the third come from the cache for the most part, and one is too
/// long.
#[tokio::test]
async fn three_requests_are_counted_cached_and_the_fourth_is_too_long() {
    for name in ["anthropic", "openai-chat"] {
        let double = Double::of(reader(1_000)).await;
        let provider = double.provider(name, "context = 1500\nmax_output = 500");
        let mut items = vec![Arc::new(Item::told("Mend it."))];
        for number in 0..3 {
            let turn = ask(&*provider, &items).await.unwrap();
            let counted = double.counted()[number];
            assert_eq!(turn.usage, counted.usage, "{name}: it tells what it counted");
            add(&mut items, turn, if number < 2 { 200 } else { 4_000 });
        }
        let counted = double.counted();
        let sent: Vec<u64> = counted.iter().filter_map(|one| one.usage.sent()).collect();
        // A turn and its results, by bytes: texts, the call, the results, and each message.
        assert!(sent.windows(2).all(|two| (50..80).contains(&(two[1] - two[0]))), "{name}: {sent:?}");
        assert_eq!(counted[0].usage.cache_read, Some(0));
        assert!(counted.iter().all(|one| one.tools == 1) && counted[2].messages >= 5);
        for two in counted.windows(2) {
            let kept = two[0].usage.sent();
            assert_eq!(two[1].usage.cache_read, kept, "{name}: the whole request before is a prefix of this one");
        }
        assert!(cached_share(&counted) > 0.5 && cached_share(&counted[1..]) > 0.75, "{name}");

        let Err(ModelError::Overflow { limit, .. }) = ask(&*provider, &items).await else { panic!("{name}") };
        assert_eq!((limit, double.overflows().len(), double.counted().len()), (Some(1_000), 1, 3), "{name}");
        assert_eq!(double.refusals(), [""; 0]);

        // Another beginning is another prefix.
        let mut other = items[..3].to_vec();
        other[0] = Arc::new(Item::told("Mend it. Now."));
        ask(&*provider, &other).await.unwrap();
        let read = double.counted()[3].usage.cache_read.unwrap();
        assert!(read > 100 && read < 200, "{name}: tools and system prompt are the same ({read})");
    }
}

#[tokio::test]
async fn every_dialect_is_counted_alike() {
    let mut all = Vec::new();
    for dialect in DIALECTS {
        let (name, double) = (dialect.name(), Double::of(reader(2_000)).await);
        let provider = double.provider(name, "");
        let mut items = vec![Arc::new(Item::told("Mend it. 日本語"))];
        for _ in 0..3 {
            let turn = ask(&*provider, &items).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            add(&mut items, turn, 300);
        }
        assert_eq!(double.refusals(), [""; 0]);
        let counted = double.counted();
        assert!(cached_share(&counted[1..]) > 0.7, "{name}: {counted:?}");
        all.push((name, counted.iter().filter_map(|one| one.usage.sent()).collect::<Vec<_>>()));
        let turn = ask(&*provider, &items).await.unwrap();
        add(&mut items, turn, 9_000);
        let overflow = ask(&*provider, &items).await.unwrap_err();
        let ModelError::Overflow { limit, .. } = overflow else { panic!("{name}: {overflow}") };
        assert_eq!(limit, dialect.limit().map(|_| 2_000), "{name}");
    }
    let (_, first) = all[0].clone();
    for (name, sent) in all {
        let near = |(a, b): (&u64, &u64)| a.abs_diff(*b) < 40;
        assert!(sent.iter().zip(&first).all(near), "{name}: {sent:?} is not near {first:?}");
    }
}

#[tokio::test]
async fn figures_are_told_as_it_was_said() {
    for (report, factor) in [
        (Report::True, Some(1.0)),
        (Report::Missing, None),
        (Report::Null, None),
        (Report::Zero, Some(0.0)),
        (Report::Tenfold, Some(10.0)),
        (Report::Half, Some(0.5)),
    ] {
        for name in ["anthropic", "openai", "gemini"] {
            let double = Double::of(reader(2_000).reporting(report)).await;
            let turn = ask(&*double.provider(name, ""), &[Arc::new(Item::told("Mend it."))]).await.unwrap();
            let truth = double.counted()[0].usage.sent().unwrap() as f64;
            let told = turn.usage.sent();
            // A request of nothing at all is none, and a wire may leave such a figure out.
            let said = told.or((report == Report::Zero).then_some(0));
            let near = |factor: f64| said.is_some_and(|said| (said as f64 - truth * factor).abs() <= 2.0);
            assert!(factor.map_or(said.is_none(), near), "{name} {report:?}: {told:?} of {truth}");
        }
    }
    let double = Double::of(reader(2_000).reporting(Report::One)).await;
    let turn = ask(&*double.provider("anthropic", ""), &[Arc::new(Item::told("Mend it."))]).await.unwrap();
    assert_eq!((turn.usage.sent(), turn.usage.output), (Some(1), Some(1)));
    let dense = Double::of(reader(2_000).dense(2.0)).await;
    ask(&*dense.provider("anthropic", ""), &[Arc::new(Item::told("Mend it."))]).await.unwrap();
    let [twice, once] = [&dense, &double].map(|double| double.counted()[0].usage.sent().unwrap() as f64);
    assert!((1.9..2.1).contains(&(twice / once)), "{twice} {once}");
}

/// With marks, only what stood before one is kept, and it is looked for no more than twenty blocks before another.
#[test]
fn a_cache_with_marks_looks_twenty_blocks_back() {
    let block = |text: String, mark: bool| {
        let mut block = json!({"type": "text", "text": text});
        if mark {
            block["cache_control"] = json!({"type": "ephemeral"});
        }
        block
    };
    let body = |blocks: usize, marks: &[usize]| {
        let parts: Vec<Value> = (0..blocks).map(|at| block(format!("block {at}"), marks.contains(&at))).collect();
        json!({"messages": [{"role": "user", "content": parts}]})
    };
    for (next, marks, found) in [
        (body(30, &[29]), true, true),
        (body(31, &[30]), true, false),
        (body(31, &[9, 30]), true, true),
        (body(31, &[]), true, false),
        (body(31, &[]), false, true),
    ] {
        let (limited, mut memory) = (reader(1), Memory::default());
        memory.input(&limited.units(&body(10, &[9])), marks);
        let read = memory.input(&limited.units(&next), marks).cache_read.unwrap();
        assert_eq!(read > 0, found, "{next}");
    }
    assert!(dialect("anthropic").marks() && dialect("bedrock").marks() && !dialect("openai").marks());
}
