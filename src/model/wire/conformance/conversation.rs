//! Whole conversations: what one request was answered goes into the next, and the double accepts each of them.

use std::sync::Arc;

use futures::StreamExt;

use super::*;
use crate::model::double::{Double, Reply};
use crate::model::wire::testing::{assembled, block_on, call, difficult, request, results, said as item, text, user};
use crate::model::{Assembler, Item, StreamEvent, ToolResult, ToolSpec};

async fn ask(provider: &dyn Provider, items: &[Item]) -> Turn {
    let mut assembler = Assembler::default();
    let mut stream = provider.stream(request(items.to_vec())).await.unwrap();
    while let Some(event) = stream.next().await {
        let event = event.unwrap_or_else(|error| panic!("{error}"));
        assert!(!matches!(event, StreamEvent::Retrying { .. }), "{event:?}");
        assembler.push(&event);
    }
    assembler.finish().unwrap()
}

/// What the runner adds to a history after a turn.
fn add(items: &mut Vec<Item>, turn: &Turn, origin: &str) {
    let blocks = turn.blocks.clone();
    items.push(Item::Assistant { model: "double/m".to_owned(), origin: origin.to_owned(), blocks, partial: false });
    let result = |block: &Block| match block {
        Block::Call { id, name, .. } => Some(ToolResult {
            undone: false,
            call_id: id.clone(),
            name: name.clone(),
            ok: name != "list",
            content: format!("of {name}"),
        }),
        _ => None,
    };
    let results: Vec<_> = turn.blocks.iter().filter_map(result).collect();
    items.push(if results.is_empty() { user("Go on.") } else { Item::Results { results } });
}

#[test]
fn a_conversation_is_the_same_in_pieces_and_in_whole_answers() {
    every_async(async |door| {
        let dialect = door.dialect();
        let first = dialect.shape(Answer::of(vec![
            Part::reasoning("Two files are meant."),
            Part::text("Reading both."),
            Part::call("toolu_1", "read", r#"{"path":"a.rs"}"#),
            Part::call("toolu_2", "list", r#"{"path":"src"}"#),
        ]));
        let last = dialect.shape(Answer::of(vec![Part::reasoning("That is it."), Part::text("Done.")]));
        let mut transcripts = Vec::new();
        for streaming in [true, false] {
            let replies = [first.clone(), last.clone(), last.clone()].map(Reply::answer);
            let double = Double::start(replies).await;
            let provider = if streaming { door.provider(&double.base) } else { door.unconnected(&double.base, false) };
            let mut items = vec![user("Mend it.")];
            let mut turns = Vec::new();
            for _ in 0..3 {
                let turn = ask(&*provider, &items).await;
                add(&mut items, &turn, &turn.origin);
                turns.push(turn);
            }
            assert_eq!(double.refusals(), [""; 0]);
            let bodies = double.bodies();
            assert_eq!(bodies.len(), 3);
            assert_eq!(bodies[1].to_string().contains("Seal"), seals(door), "its own blocks go back: {}", bodies[1]);
            for (turn, answer) in turns.iter().zip([&first, &last, &last]) {
                assert_eq!(said(turn), expected(answer, Style::default()), "streaming={streaming}");
                assert_eq!((&turn.stop, turn.usage), (&meant(answer.stop), answer.usage), "streaming={streaming}");
            }
            let opaque: Vec<Vec<String>> =
                turns.iter().map(|turn| raws(turn).into_iter().map(value).collect()).collect();
            transcripts.push(opaque);
        }
        assert_eq!(transcripts[0], transcripts[1]);
    });
}

/// Sessions of several answers at random, with every kind of end in their midst.
#[test]
fn what_came_of_any_answer_is_accepted_in_the_next_request() {
    every(|door| {
        let dialect = door.dialect();
        for seed in 0..count(500) as u64 {
            let mut items = vec![user("Begin.")];
            for at in 0..4 {
                let answer = dialect.shape(generate::answer(seed * 4 + at));
                let bytes = dialect.stream(&answer, Style::default()).bytes();
                let turn = assembled(&block_on(door.told(vec![Ok(bytes.into())]))).finish().unwrap();
                add(&mut items, &turn, "double");
                for (origin, streaming) in [(Some("double"), true), (Some("double"), false), (None, true)] {
                    door.checked(&request(items.clone()), origin, streaming)
                        .unwrap_or_else(|refusal| panic!("session {seed}.{at} as {origin:?}: {refusal}"));
                }
            }
        }
    });
}

/// What was kept of an answer that broke off, or that somebody cancelled, goes into the next request.
#[test]
fn an_interrupted_session_goes_on() {
    every(|door| {
        let (dialect, mut rng) = (door.dialect(), fastrand::Rng::with_seed(7));
        for seed in 0..count(500) as u64 {
            let answer = dialect.shape(generate::answer(seed));
            let transcript = dialect.stream(&answer, Style::default());
            for _ in 0..20 {
                let first = transcript.first(rng.usize(0..=transcript.terminal));
                let told = block_on(door.told(vec![Ok(first.into())]));
                let blocks = assembled(&told).partial();
                let (model, origin) = ("double/m".to_owned(), "double".to_owned());
                let mut items = vec![user("Begin.")];
                if !blocks.is_empty() {
                    items.push(Item::Assistant { model, origin, blocks, partial: true });
                }
                items.push(user("Go on."));
                for origin in [Some("double"), None] {
                    door.checked(&request(items.clone()), origin, true)
                        .unwrap_or_else(|refusal| panic!("session {seed} as {origin:?}: {refusal}"));
                }
            }
        }
    });
}

#[test]
fn a_history_is_accepted_whatever_is_in_it() {
    every(|door| {
        let block = |id: &str, arguments: &str| call(id, "read", arguments);
        let long = "toolu_".to_owned() + &"x".repeat(80);
        let cases: Vec<(&str, Vec<Item>)> = vec![
            ("difficult", difficult("other/model")),
            (
                "foreign ids",
                vec![
                    user("a"),
                    item(
                        "x",
                        vec![block("functions.read:0", "{}"), block(&long, "{}"), block("functions.read:1", "{}")],
                    ),
                    results(&[("functions.read:0", true, "x"), (&long, false, ""), ("functions.read:1", true, " ")]),
                ],
            ),
            (
                "arguments that do not parse",
                vec![
                    user("a"),
                    item("x", vec![block("1", "{\"path\": \"a"), block("2", "[1]"), block("3", "")]),
                    results(&[("1", false, "x"), ("2", false, "x"), ("3", true, "x")]),
                ],
            ),
            ("nothing but a call", vec![user("a"), item("x", vec![block("1", "{}")]), results(&[("1", true, "x")])]),
            (
                "blank texts",
                vec![user("a"), item("x", vec![text(" \n")]), user("b"), item("x", vec![text("")]), user("c")],
            ),
            (
                "two of a role",
                vec![user("a"), user("b"), item("x", vec![text("c")]), item("x", vec![text("d")]), user("e")],
            ),
            (
                "a person after results",
                vec![user("a"), item("x", vec![block("1", "{}")]), results(&[("1", true, "x")]), user("Wait.")],
            ),
            ("an empty result", vec![user("a"), item("x", vec![block("1", "{}")]), results(&[("1", true, "")])]),
            (
                "the same ids in two turns",
                vec![
                    user("a"),
                    item("x", vec![text("b"), block("1", "{}")]),
                    results(&[("1", true, "x")]),
                    item("x", vec![text("c")]),
                    user("d"),
                ],
            ),
        ];
        for (name, items) in cases {
            for streaming in [true, false] {
                door.checked(&request(items.clone()), Some("double"), streaming)
                    .unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
            }
        }
        let mut bare = request(vec![user("Hi.")]);
        bare.system = "".into();
        bare.tools = Arc::from([]);
        door.checked(&bare, None, true).unwrap_or_else(|refusal| panic!("no prompt and no tools: {refusal}"));
        // A summary of a conversation is asked for without tools.
        let mut toolless =
            request(vec![user("a"), item("x", vec![block("1", "{}")]), results(&[("1", true, "x")]), user("Sum up.")]);
        toolless.tools = Arc::from([]);
        door.checked(&toolless, None, true).unwrap_or_else(|refusal| panic!("calls without tools: {refusal}"));
    });
}

#[test]
fn tools_of_any_name_are_offered_and_called() {
    every(|door| {
        let names = [
            "read",
            "docs__sök/π",
            "1st",
            "a.b:c-d",
            "mcp__server__a_tool_whose_name_is_so_long_that_nobody_takes_it_whole_",
        ];
        let mut asked = request(vec![user("Hi.")]);
        let spec = asked.tools[0].clone();
        asked.tools = names.iter().map(|name| ToolSpec { name: (*name).to_owned(), ..spec.clone() }).collect();
        door.checked(&asked, None, true).unwrap();
        let called: Vec<Block> = names.iter().map(|name| call(&format!("id_{}", name.len()), name, "{}")).collect();
        let answered = called.iter().map(|block| match block {
            Block::Call { id, name, .. } => {
                ToolResult { undone: false, call_id: id.clone(), name: name.clone(), ok: true, content: "x".to_owned() }
            }
            _ => unreachable!(),
        });
        let answered = Item::Results { results: answered.collect() };
        asked.items = [user("Hi."), item("x", called), answered].map(Arc::new).into();
        door.checked(&asked, None, true).unwrap();
    });
}

#[test]
fn a_limit_and_a_name_for_the_cache_are_accepted() {
    every(|door| {
        for limit in [1, 100, 32_000] {
            let mut limited = request(vec![user("Hi.")]);
            limited.max_output = Some(limit);
            limited.cache_key = Some("session".into());
            door.checked(&limited, None, true).unwrap_or_else(|refusal| panic!("a limit of {limit}: {refusal}"));
        }
    });
}
