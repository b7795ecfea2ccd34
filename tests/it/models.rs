//! `cowrite models` and `cowrite doctor` as processes, against a server on this machine.

use std::path::Path;
use std::process::Command;

use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Json, Router};
use serde_json::{Value, json};

const CANARY: &str = "sk-canary-2718281828459045";

/// A server that lists models for whoever sends the right key, and repeats a wrong one.
async fn listing() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let answer = async |uri: Uri, headers: HeaderMap| {
        let key = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if key != format!("Bearer {CANARY}") {
            let message = format!("Incorrect API key provided: {}", key.trim_start_matches("Bearer "));
            return (StatusCode::UNAUTHORIZED, Json(json!({"error": {"message": message, "code": "invalid_api_key"}})));
        }
        if uri.path() != "/v1/models" {
            return (StatusCode::NOT_FOUND, Json(json!({"error": {"message": "nothing here"}})));
        }
        let models = json!([{"id": "big", "max_model_len": 40960}, {"id": "odd\u{9b}31m\u{1b}[2J"}]);
        (StatusCode::OK, Json(json!({"object": "list", "data": models})))
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.expect("it serves") });
    base
}

/// How a command ended, and what it said. Neither holds the key, whatever the log is set to.
struct Ended {
    status: Option<i32>,
    out: String,
    err: String,
}

fn run(home: &Path, settings: &str, key: &str, line: &str) -> Ended {
    std::fs::write(home.join("config.toml"), settings).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_cowrite"))
        .args(line.split(' '))
        // Nothing that this machine may know of providers.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("COWRITE_CONFIG", home.join("config.toml"))
        .env("COWRITE_STATE_DIR", home.join("state"))
        .env("COWRITE_LOG", "trace")
        .env("KEY", key)
        .current_dir(home)
        .output()
        .expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    for said in [&out, &err] {
        assert!(!said.contains("canary"), "{line}: {said}");
    }
    assert!(out.chars().all(|c| !c.is_control() || c == '\n'), "{line}: {out:?}");
    Ended { status: output.status.code(), out, err }
}

fn settings(base: &str) -> String {
    format!(
        "model = \"local/big\"\n[providers.local]\nkind = \"openai-chat\"\nbase_url = \"{base}\"\napi_key_env = \"KEY\"\n"
    )
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_and_the_one_in_use_is_told() {
    let (home, base) = (tempfile::tempdir().expect("a folder"), listing().await);
    let listed = run(home.path(), &settings(&base), CANARY, "models --json");
    let told = json_of(&listed);
    assert_eq!(listed.status, Some(0), "{}", listed.err);
    assert_eq!(told["model"], "local/big");
    assert_eq!((&told["why"], &told["modelProblem"]), (&json!("the setting model names it"), &Value::Null));
    let local = &told["providers"][0];
    assert_eq!((local["table"].as_str(), local["address"].as_str()), (Some("local"), Some(&*base)));
    assert_eq!(local["models"], json!([{"id": "big", "context": 40960}, {"id": "odd\u{9b}31m\u{1b}[2J"}]));
    assert_eq!((&local["problem"], &local["key"]), (&Value::Null, &json!("the environment variable KEY")));
    assert!(local["atMs"].is_u64(), "{told}");

    let listed = run(home.path(), &settings(&base), CANARY, "models --workspace .");
    assert_eq!(listed.status, Some(0));
    assert!(listed.out.contains("*  local/big        40960    -\n"), "{}", listed.out);
    assert!(listed.out.contains("local/odd31m[2J"), "{}", listed.out);

    // A key that is refused leaves the older list, and says so.
    let refused = run(home.path(), &settings(&base), "sk-canary-wrong", "models");
    assert!(refused.out.contains("*  local/big"), "{}", refused.out);
    assert!(refused.out.contains("Incorrect API key provided: [key]"), "{}", refused.out);
    assert!(refused.out.contains("Its models are those of an older list, of 2"), "{}", refused.out);
    let kept = std::fs::read_to_string(home.path().join("state/models.json")).expect("kept");
    assert!(kept.contains("big") && !kept.contains("canary"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_well_and_what_is_to_be_mended() {
    let (home, base) = (tempfile::tempdir().expect("a folder"), listing().await);
    let well = run(home.path(), &settings(&base), CANARY, "doctor");
    assert_eq!(well.status, Some(0), "{}", well.out);
    let file = home.path().join("config.toml");
    for line in [
        format!("ok  settings  {}", file.display()),
        "ok  model     local/big: the setting model names it".to_owned(),
        "ok  key       the environment variable KEY".to_owned(),
        format!("ok  endpoint  {base} answers; models: 2"),
        "ok  limits    context 40960 tokens (from the provider's list)".to_owned(),
        format!("ok  store     {}", home.path().join("state/sessions.db").display()),
        match cowrite::process::sandbox() {
            Ok(()) => "ok  sandbox   commands of a run are held in it".to_owned(),
            Err(why) => format!("note  sandbox   there is none, so each command of a run is asked for: {why}"),
        },
        "All is well.".to_owned(),
    ] {
        assert!(well.out.lines().any(|said| said.starts_with(&line)), "{line:?} is missing in\n{}", well.out);
    }

    // What each check found, and where it is a fault, a word of the cure.
    let found = |settings: &str, key: &str| {
        let ended = run(home.path(), settings, key, "doctor --json");
        let told = json_of(&ended);
        assert_eq!(ended.status, Some(if told["well"] == true { 0 } else { 1 }));
        let checks = told["checks"].as_array().expect("checks").clone();
        move |name: &str, outcome: &str, words: &str| {
            let fits = |check: &&Value| check["check"] == name && check["outcome"] == outcome;
            let fits = |check: &Value| fits(&check) && check["text"].as_str().is_some_and(|text| text.contains(words));
            assert!(checks.iter().any(fits), "{name} {outcome} {words:?} is missing in {checks:#?}");
        }
    };
    let refused = found(&settings(&base), "sk-canary-wrong");
    refused("key", "fault", "check the environment variable KEY");
    refused("endpoint", "note", "look again");
    let missing = found(&settings(&base), "");
    missing("model", "fault", "the environment variable KEY is not set; set it");
    let wrong = found(&format!("{}[limits]\nmax_turns = 0\n", settings(&base)), CANARY);
    wrong("settings", "fault", "config.toml:7:13: limits.max_turns: expected a whole number");
    wrong("model", "ok", "local/big");
    // The key itself where its variable's name belongs.
    let pasted = found(&settings(&base).replace("\"KEY\"", &format!("\"{CANARY}\"")), CANARY);
    pasted("model", "fault", "api_key_env");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let down = found(&settings(&format!("http://127.0.0.1:{port}/v1")), CANARY);
    down("key", "ok", "the environment variable KEY");
    down("endpoint", "fault", "check the network and base_url");
    let silent =
        "model = \"azure/d\"\n[providers.azure]\nresource = \"r\"\ndeployment = \"d\"\napi_key_env = \"KEY\"\n";
    let silent = found(silent, CANARY);
    silent("endpoint", "note", "https://r.openai.azure.com was not asked: azure lists no models");
    silent("limits", "note", "set context in [models.\"azure/d\"]");
    let damaged = home.path().join("state/sessions.db");
    std::fs::write(&damaged, "no database ".repeat(1000)).expect("written");
    found(&settings(&base), CANARY)("store", "fault", "sessions.db");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_use_is_status_1_and_wrong_usage_is_2() {
    let home = tempfile::tempdir().expect("a folder");
    // The model is named, so whatever runs on this machine is not in use; it may still be listed.
    let none = run(home.path(), "model = \"nowhere/x\"\n", "", "models --json");
    let told = json_of(&none);
    assert_eq!((&told["model"], &told["why"]), (&Value::Null, &Value::Null));
    assert!(told["modelProblem"].as_str().is_some_and(|problem| problem.contains("[providers.nowhere]")), "{told}");
    let usable = told["providers"].as_array().expect("a list").iter().any(|one| one["problem"].is_null());
    assert_eq!(none.status, Some(if usable { 0 } else { 1 }));
    assert!(none.err.contains("there is no provider \"nowhere\""), "a fault in the settings is told: {}", none.err);
    for command in ["models", "doctor"] {
        let lost = run(home.path(), "", "", &format!("{command} --workspace nowhere"));
        assert_eq!((lost.status, lost.out.as_str()), (Some(1), ""));
        assert!(lost.err.contains("nowhere"), "{}", lost.err);
        assert_eq!(run(home.path(), "", "", &format!("{command} more")).status, Some(2));
    }
}
