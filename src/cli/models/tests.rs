use super::*;
use crate::model::wire::{Choice, Limits, Part};
use crate::model::{Limit, Offered, Says};

fn offered(id: &str, context: Option<u64>, max_output: Option<u64>) -> Offered {
    Offered { id: id.to_owned(), context, max_output }
}

fn provider(table: &str, models: Vec<Offered>) -> Surveyed {
    Surveyed {
        table: table.to_owned(),
        kind: Some("openai-chat"),
        address: format!("https://{table}.example/v1"),
        key: Some("the environment variable KEY".to_owned()),
        lists: true,
        at_ms: Some(1_795_245_064_000),
        models,
        ..Surveyed::default()
    }
}

fn broken(one: Surveyed, problem: &str) -> Surveyed {
    Surveyed { problem: Some(problem.to_owned()), problem_with: Some(Part::Endpoint), ..one }
}

fn asked(chosen: Result<&str, &str>, surveyed: Vec<Surveyed>) -> Asked {
    let choice = |name: &str| Choice { name: name.to_owned(), why: "the setting model names it".to_owned() };
    Asked { chosen: chosen.map(choice).map_err(str::to_owned), limits: Limits::default(), surveyed }
}

#[test]
fn the_table_has_a_star_and_the_rest_stands_below_it() {
    let listed = vec![offered("qwen/qwen3", Some(40_960), Some(8192)), offered("evil\u{1b}[2J\u{202e}", None, None)];
    let old = broken(provider("old", vec![offered("m", Some(1000), None)]), "no connection to old; check the network");
    let silent = Surveyed { lists: false, at_ms: None, ..provider("silent", Vec::new()) };
    let faulty = Surveyed { address: String::new(), at_ms: None, ..provider("faulty", Vec::new()) };
    let faulty = broken(faulty, "The provider faulty cannot be used: it needs kind.");
    let empty = provider("empty", Vec::new());
    let all = vec![provider("a", listed), old, silent, faulty, empty];
    insta::assert_snapshot!(told(&asked(Ok("a/qwen/qwen3"), all)), @r#"
       MODEL         CONTEXT  MAX OUTPUT
    *  a/qwen/qwen3  40960    8192
       a/evil[2J     -        -
       old/m         1000     -

    a/qwen/qwen3 is in use: the setting model names it.

    old (https://old.example/v1): no connection to old; check the network. Its models are those of an older list, of 2026-11-21 07:11:04 UTC.
    silent (https://silent.example/v1) lists no models; name one with model = "silent/NAME".
    faulty: The provider faulty cannot be used: it needs kind.
    empty (https://empty.example/v1) has no models; load or pull one there.
    "#);
}

#[test]
fn a_model_in_use_that_nobody_lists_stands_on_top_with_what_is_known_of_it() {
    let limit = |tokens| Some(Limit { tokens, from: Says::Table });
    let unlisted = Asked {
        limits: Limits { context: limit(200_000), max_output: limit(16_384) },
        ..asked(Ok("a/alias"), vec![provider("a", vec![offered("dated", None, None)])])
    };
    insta::assert_snapshot!(told(&unlisted), @"
       MODEL    CONTEXT  MAX OUTPUT
    *  a/alias  200000   16384
       a/dated  -        -

    a/alias is in use: the setting model names it.
    ");
}

#[test]
fn without_any_model_the_cure_is_told() {
    let nothing = asked(Err("No model is set up: set ANTHROPIC_API_KEY"), Vec::new());
    assert_eq!(told(&nothing), "No model is in use. No model is set up: set ANTHROPIC_API_KEY.\n");
    assert!(!any_usable(&nothing));
}

#[test]
fn it_is_well_when_anything_can_be_used() {
    let one = || provider("a", vec![offered("m", None, None)]);
    assert!(any_usable(&asked(Err("none"), vec![broken(one(), "down"), one()])));
    assert!(any_usable(&asked(Ok("scripted/demo"), Vec::new())));
    assert!(!any_usable(&asked(Ok("a/m"), vec![broken(one(), "down")])), "the list is an older one");
    assert!(!any_usable(&asked(Err("none"), vec![provider("a", Vec::new())])), "a server without models");
    let silent = Surveyed { lists: false, ..provider("silent", Vec::new()) };
    assert!(any_usable(&asked(Err("none"), vec![silent])), "one can be named");
}

#[test]
fn programs_get_the_names_as_they_are_and_null_for_what_is_not_there() {
    let one = broken(provider("a", vec![offered("m\u{1b}", Some(5), None)]), "down");
    let json = pretty(&View::of(&asked(Err("none"), vec![one]))).unwrap();
    insta::assert_snapshot!(json, @r#"
    {
      "model": null,
      "why": null,
      "modelProblem": "none",
      "providers": [
        {
          "table": "a",
          "kind": "openai-chat",
          "address": "https://a.example/v1",
          "key": "the environment variable KEY",
          "lists": true,
          "atMs": 1795245064000,
          "models": [
            {
              "id": "m\u001b",
              "context": 5
            }
          ],
          "problem": "down",
          "problemWith": "endpoint"
        }
      ]
    }
    "#);
}
