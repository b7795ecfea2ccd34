use super::*;
use crate::model::wire::testing::*;
use crate::model::{Assembler, StopReason};

fn scripted(script: &str) -> Scripted {
    Scripted::new("scripted/demo".to_owned(), None, serde_json::from_str(script).unwrap())
}

async fn events(model: &Scripted, items: Vec<Item>) -> Result<Vec<StreamEvent>, ModelError> {
    let stream = model.stream(request(items)).await?;
    stream.collect::<Vec<_>>().await.into_iter().collect()
}

/// What the model says, as text.
async fn answer(model: &Scripted, items: Vec<Item>) -> String {
    match events(model, items).await {
        Err(error) => error.to_string(),
        Ok(events) => {
            let mut assembler = Assembler::default();
            events.iter().for_each(|event| assembler.push(event));
            listed(&assembler.finish().unwrap()).join(" | ")
        }
    }
}

const TWO: &str = r#"{"rules": [
    {"when": {"prompt_contains": "tidy"}, "turns": [
        {"deltas": [{"text": "Looking."}, {"call": {"id": "c1", "name": "read", "arguments": {"path": "a"}}}]},
        {"deltas": [{"text": "Tidied."}]}]},
    {"turns": [{"deltas": [{"text": "Else."}]}], "loop": true}]}"#;

#[tokio::test]
async fn the_turn_follows_the_conversation_and_not_the_past_of_the_provider() {
    let model = scripted(TWO);
    let first = || vec![user("please tidy this")];
    for _ in 0..2 {
        assert_eq!(answer(&model, first()).await, r#"text Looking. | call c1 read {"path":"a"}"#, "a retry is no step");
    }
    let mut second = first();
    second.extend([said("scripted/demo", vec![call("c1", "read", "{}")]), results(&[("c1", true, "text")])]);
    assert_eq!(answer(&model, second.clone()).await, "text Tidied.");

    second.push(user("and now?"));
    assert_eq!(answer(&model, second.clone()).await, "text Else.");
    second.extend([said("scripted/demo", vec![text("Else.")]), user("tidy again")]);
    assert!(answer(&model, second).await.starts_with("text Looking."), "a new prompt begins anew");
}

#[tokio::test]
async fn turns_can_be_counted_by_conversation_or_by_request() {
    let turns = r#""turns": [{"deltas": [{"text": "one"}]}, {"deltas": [{"text": "two"}]}]"#;
    let model = scripted(&format!(r#"{{"count": "requests", {turns}}}"#));
    let hi = || vec![user("hi")];
    assert_eq!(answer(&model, hi()).await, "text one");
    assert_eq!(answer(&model, hi()).await, "text two");
    assert_eq!(
        answer(&model, hi()).await,
        "the script has 2 turns for this prompt, and the request asks for turn 3: \"hi\"; add a turn, or set loop"
    );
    let model = scripted(&format!(r#"{{"count": "conversation", {turns}}}"#));
    assert_eq!(answer(&model, vec![user("hi"), said("m", vec![text("one")]), user("ho")]).await, "text two");
}

#[tokio::test]
async fn a_note_that_no_rule_knows_is_passed_over() {
    let model = scripted(
        r#"{"rules": [{"when": {"prompt_contains": "tidy"}, "turns": [{}, {"deltas": [{"text": "Second."}]}]}]}"#,
    );
    let items = vec![user("tidy"), said("m", vec![text("a")]), user("(a call was cut off)")];
    assert_eq!(answer(&model, items).await, "text Second.");
    assert_eq!(
        answer(&model, vec![user("mow")]).await,
        "the script has no rule for this prompt: \"mow\"; its rules want one of \"tidy\""
    );
}

#[tokio::test]
async fn a_request_that_does_not_fit_shows_the_difference() {
    let model = scripted(
        r#"{"turns": [{"expect": {"contains": ["fn main"], "lacks": ["secret"], "system_contains": ["Be nice"],
            "tools": ["edit", "read"], "no_tools": ["list"], "last": "results", "results_ok": true}}], "loop": true}"#,
    );
    let items =
        vec![user("tidy"), said("m", vec![call("c", "read", "{}")]), results(&[("c", false, "a secret")]), user("x")];
    insta::assert_snapshot!(answer(&model, items).await, @r#"
    the request is not what the script expects:
    - expected to contain "fn main", but the newest message is: "x"
    - expected the system prompt to contain "Be nice", but it is: "You edit code."
    - expected the tool edit, but on offer are ["list", "read"]
    - expected no tool list, but on offer are ["list", "read"]
    - expected the newest item to be of the kind results, but it is user
    - expected the results to be good, but they are: read ok=false "a secret"
    "#);
    let model = scripted(
        r#"{"turns": [{}, {"expect": {"contains": ["tidy", "fn main"], "tools": ["read"], "last": "results", "results_ok": true}, "deltas": [{"text": "ok"}]}]}"#,
    );
    let items = vec![user("tidy"), said("m", vec![call("c", "read", "{}")]), results(&[("c", true, "fn main() {}")])];
    assert_eq!(answer(&model, items).await, "text ok");
}

#[tokio::test]
async fn a_history_that_a_provider_would_refuse_is_refused() {
    let model = scripted(r#"{"turns": [{"deltas": [{"text": "ok"}]}], "loop": true}"#);
    let calling = |ids: &[&str]| said("m", ids.iter().map(|id| call(id, "read", "{}")).collect());
    let cases = [
        (vec![user("a"), calling(&["c"])], r#"the calls ["c"] have no results"#),
        (vec![user("a"), calling(&["c"]), user("b")], r#"the calls ["c"] have no results before item 2"#),
        (vec![user("a"), results(&[("c", true, "")])], r#"item 1 has results for ["c"], the calls before it are []"#),
        (
            vec![user("a"), calling(&["c", "d"]), results(&[("d", true, ""), ("c", true, "")])],
            r#"item 2 has results for ["d", "c"], the calls before it are ["c", "d"]"#,
        ),
        (
            vec![user("a"), calling(&["c"]), results(&[("c", true, "")]), calling(&["c"]), results(&[("c", true, "")])],
            r#"the call id "c" is used twice"#,
        ),
        (vec![], "it is empty"),
    ];
    for (items, expected) in cases {
        assert_eq!(answer(&model, items).await, format!("the history is not valid: {expected}"));
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_delays_figures_and_stops() {
    let model = scripted(
        r#"{"turns": [{"deltas": [{"reasoning": "Hm"}, {"text": "🦀ab"}, {"delay_ms": 1000}, {"text": "c"},
            {"call": {"name": "write", "arguments": "{\"pa", "cut": true}}],
            "chunk": 2, "chunk_delay_ms": 10, "usage": {"input": 5}, "stop": "max_tokens"}]}"#,
    );
    let start = tokio::time::Instant::now();
    let events = events(&model, vec![user("hi")]).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(1060));
    let mut assembler = Assembler::default();
    events.iter().for_each(|event| assembler.push(event));
    let turn = assembler.finish().unwrap();
    assert_eq!(listed(&turn), ["reasoning Hm raw=none", "text 🦀abc"]);
    assert_eq!((turn.cut_calls, turn.stop), (vec!["write".to_owned()], StopReason::MaxTokens));
    assert_eq!((turn.usage.input, turn.usage.output), (Some(5), None));
}

#[tokio::test(start_paused = true)]
async fn failures_and_retries() {
    let model = scripted(
        r#"{"count": "requests", "turns": [
            {"deltas": [{"text": "Half"}], "error": {"kind": "overflow", "message": "too long", "limit": 9}},
            {"deltas": [{"text": "void"}, {"retrying": {"attempt": 1, "reason": "slow"}}, {"text": "Whole"}]},
            {"stop": "refusal", "reason": "no"}]}"#,
    );
    let hi = || vec![user("hi")];
    let stream = model.stream(request(hi())).await.unwrap().collect::<Vec<_>>().await;
    assert!(matches!(&stream[..], [Ok(StreamEvent::Text { .. }), Err(ModelError::Overflow { limit: Some(9), .. })]));
    assert_eq!(answer(&model, hi()).await, "text Whole");
    let refused = events(&model, hi()).await.unwrap();
    assert!(matches!(&refused[..], [StreamEvent::Finished(StopReason::Refusal(reason))] if reason == "no"));
}

#[tokio::test]
async fn the_built_in_conversation_shows_the_prompt() {
    let model = Scripted::new("scripted/demo".to_owned(), None, Script::load(None).unwrap());
    for items in [vec![user("Tidy {{tools}}")], vec![user("x"), said("m", vec![text("y")]), user("Tidy {{tools}}")]] {
        let said = answer(&model, items).await;
        assert!(said.contains("Tools on offer: list, read."), "{said}");
        assert!(said.ends_with("Tidy {{tools}}\n"), "{said}");
    }
}
