use std::path::Path;

use super::*;
use crate::model::wire::{Choice, Limits, Part, Surveyed};
use crate::model::{Limit, Offered, Says};
use crate::settings::{Layer, LayerName, merge};

fn said(checks: &[Check]) -> String {
    report(checks, false).unwrap().text
}

fn provider() -> Surveyed {
    Surveyed {
        table: "local".to_owned(),
        kind: Some("openai-chat"),
        address: "http://127.0.0.1:8080/v1".to_owned(),
        key: Some("none is sent".to_owned()),
        lists: true,
        at_ms: Some(1_795_245_064_000),
        models: vec![Offered { id: "qwen".to_owned(), ..Offered::default() }],
        ..Surveyed::default()
    }
}

fn asked(name: &str, provider: Surveyed) -> Asked {
    let limit = |tokens, from| Some(Limit { tokens, from });
    Asked {
        chosen: Ok(Choice { name: name.to_owned(), why: "the setting model names it".to_owned() }),
        limits: Limits { context: limit(40_960, Says::Provider), max_output: limit(4096, Says::Settings) },
        surveyed: vec![provider],
    }
}

fn wrong(with: Part, problem: &str) -> Surveyed {
    Surveyed { problem: Some(problem.to_owned()), problem_with: Some(with), ..provider() }
}

#[test]
fn a_model_that_can_be_used_is_four_lines() {
    insta::assert_snapshot!(said(&model::checks(&asked("local/qwen", provider()))), @"
    ok  model     local/qwen: the setting model names it
    ok  key       none is sent
    ok  endpoint  http://127.0.0.1:8080/v1 answers; models: 1
    ok  limits    context 40960 tokens (from the provider's list), one answer 4096 tokens (from the settings)

    All is well.
    ");
}

#[test]
fn what_is_not_known_is_worth_a_word_and_no_fault() {
    let unlisted = Asked { limits: Limits::default(), ..asked("local/other\u{1b}[2J", provider()) };
    insta::assert_snapshot!(said(&model::checks(&unlisted)), @r#"
    ok    model     local/other[2J: the setting model names it
    ok    key       none is sent
    ok    endpoint  http://127.0.0.1:8080/v1 answers; models: 1
    note  endpoint  other[2J is not in the provider's list; `cowrite models` shows what is
    note  limits    the context is not known, one answer as the provider has it; set context in [models."local/other\u{1b}[2J"]

    All is well.
    "#);
    let silent = Surveyed {
        kind: Some("azure"),
        lists: false,
        at_ms: None,
        key: Some("the environment variable KEY".to_owned()),
        ..provider()
    };
    insta::assert_snapshot!(said(&model::checks(&asked("local/qwen", silent))), @"
    ok    model     local/qwen: the setting model names it
    ok    key       the environment variable KEY
    note  endpoint  http://127.0.0.1:8080/v1 was not asked: azure lists no models
    ok    limits    context 40960 tokens (from the provider's list), one answer 4096 tokens (from the settings)

    All is well.
    ");
}

#[test]
fn a_fault_stands_where_it_belongs() {
    let refused = wrong(Part::Key, "127.0.0.1 refuses the key (HTTP 401: no); check the environment variable KEY");
    let down = wrong(Part::Endpoint, "no connection to 127.0.0.1 (refused); check the network and base_url");
    let mut checks = model::checks(&asked("local/qwen", refused));
    checks.extend(model::checks(&asked("local/qwen", down)));
    insta::assert_snapshot!(said(&checks), @"
    ok     model     local/qwen: the setting model names it
    FAULT  key       127.0.0.1 refuses the key (HTTP 401: no); check the environment variable KEY
    note   endpoint  http://127.0.0.1:8080/v1: look again when the key is right
    ok     limits    context 40960 tokens (from the provider's list), one answer 4096 tokens (from the settings)
    ok     model     local/qwen: the setting model names it
    ok     key       none is sent
    FAULT  endpoint  http://127.0.0.1:8080/v1: no connection to 127.0.0.1 (refused); check the network and base_url; its models are those of 2026-11-21 07:11:04 UTC
    ok     limits    context 40960 tokens (from the provider's list), one answer 4096 tokens (from the settings)

    2 things are to be mended.
    ");
    let nothing =
        Asked { chosen: Err("No model is set up.".to_owned()), limits: Limits::default(), surveyed: Vec::new() };
    assert_eq!(model::checks(&nothing), [Check::fault("model", "No model is set up.")]);
}

#[test]
fn settings_are_told_by_file_and_line() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    let places = Places { config: Some(file.clone()), ..Places::default() };
    let of = |text: &str| {
        let faults = merge(&[Layer::toml(LayerName::User, &file, text)]).faults;
        said(&settings::checks(&places, &faults)).replace(&home.path().display().to_string(), "HOME")
    };
    assert_eq!(of(""), "ok  settings  HOME/config.toml is not there, and need not be\n\nAll is well.\n");
    std::fs::write(&file, "").unwrap();
    assert_eq!(of(""), "ok  settings  HOME/config.toml\n\nAll is well.\n");
    insta::assert_snapshot!(of("[limits]\nmax_turns = 0\n[commands.a]\nprompt = \"p\"\nmodel = \"m\"\n"), @"
    FAULT  settings  HOME/config.toml:2:13: limits.max_turns: expected a whole number of at least 1, found 0
    note   settings  HOME/config.toml:5:1: commands.a.model: not supported by this version (the command \"a\" is not used)

    One thing is to be mended.
    ");
}

#[tokio::test]
async fn the_store_is_opened_or_its_cure_is_told() {
    let home = tempfile::tempdir().unwrap();
    let folder = Folder::of(Some(home.path())).unwrap();
    let at = |state: &Path| Places { state: Some(state.to_owned()), ..Places::default() };
    let found = store::check(&at(&home.path().join("state")), &folder).await;
    assert_eq!(found.outcome, Outcome::Ok);
    assert!(found.text.contains("state/sessions.db; sessions of ") && found.text.ends_with(": 0"), "{found:?}");
    let file = home.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let found = store::check(&at(&file), &folder).await;
    assert_eq!(found.outcome, Outcome::Fault);
    assert!(found.text.contains("COWRITE_STATE_DIR"), "{found:?}");
}

#[test]
fn a_missing_sandbox_is_worth_a_word_and_no_fault() {
    let checks = [sandbox::check(Ok(())), sandbox::check(Err("the kernel has no Landlock".to_owned()))];
    insta::assert_snapshot!(said(&checks), @"
    ok    sandbox  commands of a run are held in it
    note  sandbox  there is none, so each command of a run is asked for: the kernel has no Landlock

    All is well.
    ");
}

#[test]
fn programs_get_each_check_and_the_whole() {
    let checks = [Check::ok("model", "a/m"), Check::fault("store", "full\u{9b}")];
    let Said { text, good } = report(&checks, true).unwrap();
    assert!(!good);
    insta::assert_snapshot!(text, @r#"
    {
      "well": false,
      "checks": [
        {
          "check": "model",
          "outcome": "ok",
          "text": "a/m"
        },
        {
          "check": "store",
          "outcome": "fault",
          "text": "full\u009b"
        }
      ]
    }
    "#);
}
