//! Prompts of servers are commands, and what servers offer to read is a tool.

use serde_json::{Value, json};

use super::{Scene, nasty};
use crate::client::uri;
use crate::script::{calls, says};

/// The server with prompts and resources; each start leaves a line in the file `started`.
fn offers(scene: &tempfile::TempDir) -> Value {
    let mut server = nasty("offers");
    let started = scene.path().join("started");
    server["command"].as_array_mut().expect("words").push(json!(started));
    json!({ "docs": server })
}

fn starts(scene: &tempfile::TempDir) -> usize {
    std::fs::read_to_string(scene.path().join("started")).map_or(0, |text| text.lines().count())
}

impl Scene {
    /// What everything that the model was sent and said looks like.
    async fn exported(&self) -> String {
        let exported = self.client.execute("cowrite.session.export", json!({ "format": "json" })).await;
        exported.expect("an export")["text"].as_str().expect("text").to_owned()
    }

    async fn end_of(&self, arguments: Value) -> Value {
        let run = self.client.run("cowrite.run", arguments).await;
        self.client.finished(&run).await
    }
}

#[tokio::test]
async fn a_prompt_of_a_server_is_a_command() {
    let keep = tempfile::tempdir().expect("a folder");
    let scene = Scene::new(offers(&keep), vec![says("Done.")]).await;
    let none = scene.client.execute("cowrite.prompts", json!({})).await.expect("a list");
    assert_eq!((none, starts(&keep)), (json!({ "prompts": [], "problems": [] }), 0), "nobody starts it unasked");

    let ended = scene.end_of(json!({ "command": "docs__topic", "prompt": "wombats" })).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let exported = scene.exported().await.replace('\\', "");
    for expected in [
        "The person runs the prompt `topic` of the server docs.",
        r#"topic is asked for with {"topic": "wombats"}"#,
        "[assistant]n[resource x://notes]nthe notes",
        "[image, image/png, 4 bytes in base64: not shown]",
    ] {
        assert!(exported.contains(expected), "{expected} is not in\n{exported}");
    }
    assert!(!exported.contains('\u{202e}') && !exported.contains("u202e"), "{exported}");

    let listed = scene.client.execute("cowrite.prompts", json!({})).await.expect("a list");
    let names: Vec<&str> =
        listed["prompts"].as_array().expect("a list").iter().filter_map(|one| one["command"].as_str()).collect();
    assert_eq!(names[..3], ["docs__topic", "docs__place", "docs__two"]);
    assert!(names[6].starts_with("docs__resources_"), "{names:?}");
    let topic = json!({
        "command": "docs__topic", "server": "docs", "title": "About [1msomething", "description": "",
        "arguments": [
            { "name": "topic", "description": "The topic", "required": true },
            { "name": "style", "description": "The style", "required": false },
        ],
    });
    assert_eq!(listed["prompts"][0], topic);
    assert_eq!(starts(&keep), 1, "it stays for what comes later");
}

#[tokio::test]
async fn a_prompt_is_given_the_place_where_it_is_asked_for() {
    let keep = tempfile::tempdir().expect("a folder");
    let scene = Scene::new(offers(&keep), vec![says("Done.")]).await;
    let file = scene.folder.path().join("a.rs");
    let text = "fn a() {}\nfn b() {}\n";
    std::fs::write(&file, text).expect("written");
    scene.client.open(&file, text);
    let range = json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 1, "character": 9 } });
    let asked = json!({ "uri": uri(&file), "range": range, "prompt": "And be brief.", "mode": "plan" });
    let run = scene.client.run("cowrite.docs__place", asked).await;
    let ended = scene.client.finished(&run).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let exported = scene.exported().await.replace('\\', "");
    for expected in [r#""file": "a.rs""#, r#""selection": "fn b() {}""#, r#""language": "rust""#, "And be brief."] {
        assert!(exported.contains(expected), "{expected} is not in\n{exported}");
    }
}

#[tokio::test]
async fn a_prompt_that_cannot_be_had_fails_with_the_reason() {
    let keep = tempfile::tempdir().expect("a folder");
    let mut servers = offers(&keep);
    servers["gone"] = nasty("absent");
    let scene = Scene::new(servers, vec![says("Done.")]).await;
    let unknown = scene.client.execute("cowrite.run", json!({ "command": "other__topic" })).await.expect_err("unknown");
    assert_eq!(unknown["code"], -32602, "{unknown}");
    assert!(unknown["message"].as_str().expect("a sentence").contains("one of these: docs, gone"), "{unknown}");
    for (command, why) in [
        ("docs__two", "the prompt `docs__two` needs `one`, `another`"),
        ("docs__topic", "the prompt `docs__topic` needs `topic`"),
        ("docs__nope", "No server has a prompt docs__nope. It has docs__topic, docs__place"),
        ("docs__empty", "answered with something that is no prompt"),
        ("gone__topic", "The server gone could not be started: it ended with status 7"),
    ] {
        let ended = scene.end_of(json!({ "command": command })).await;
        assert!(ended["error"].as_str().is_some_and(|error| error.contains(why)), "{command}: {ended}");
    }
    // What is far too long is cut, and the run goes on.
    assert_eq!(scene.end_of(json!({ "command": "docs__big" })).await["status"], "completed");
    assert!(scene.exported().await.len() < 500_000);
    let listed = scene.client.execute("cowrite.prompts", json!({ "start": true })).await.expect("a list");
    assert_eq!(listed["prompts"].as_array().map(Vec::len), Some(7));
    assert!(listed["problems"][0].as_str().is_some_and(|why| why.contains("The server gone")), "{listed}");
    assert_eq!(starts(&keep), 1);
}

#[tokio::test]
async fn a_prompt_that_hangs_ends_with_a_cancel_and_a_deny_rule_holds() {
    let keep = tempfile::tempdir().expect("a folder");
    let scene = Scene::new(offers(&keep), vec![says("Done.")]).await;
    let run = scene.client.run("cowrite.run", json!({ "command": "docs__hangs" })).await;
    while starts(&keep) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    scene.client.execute("cowrite.cancel", json!({})).await.expect("cancelled");
    assert_eq!(scene.client.finished(&run).await["status"], "cancelled");

    let denied = Scene::with(offers(&keep), vec![says("Done.")], json!({ "deny": ["docs__top*"] })).await;
    let ended = denied.end_of(json!({ "command": "docs__topic", "prompt": "x" })).await;
    assert_eq!(ended["error"], "The rule docs__top* denies the prompt docs__topic.", "{ended}");
}

fn reads(uris: &[&str]) -> Vec<Value> {
    let each: Vec<(&str, Value)> =
        uris.iter().map(|uri| ("resources", json!({ "server": "docs", "uri": uri }))).collect();
    let list = calls(&[("resources", json!({ "server": "docs" })), ("resources", json!({ "server": "nobody" }))]);
    vec![list, calls(&each), says("Done.")]
}

#[tokio::test]
async fn what_a_server_offers_to_read_is_listed_and_read() {
    let keep = tempfile::tempdir().expect("a folder");
    let turns = reads(&["x://text", "x://binary", "x://big", "x://lie", "x://nothing"]);
    let scene = Scene::new(offers(&keep), turns).await;
    let done = scene.ask().await;
    let check = |at: usize, ok: bool, expected: &str| {
        assert!(done[at].0 == ok && done[at].1.contains(expected), "{expected} is not in {at}: {done:?}");
    };
    check(0, true, "x://text - a text x://binary - a picture With the parts in braces filled in: x://{name}");
    check(1, false, "resources takes {server, uri?}, with `server` one of docs. Nothing was done.");
    check(2, true, "[x://text] what stands there[2J");
    check(3, false, "x://binary is binary (image/png, about 6 bytes); only text can be read.");
    check(4, true, "[x://big] yyy");
    check(5, false, "The server docs answered with something that is no resource.");
    check(6, false, "The server docs does not give that resource: no such thing");
    assert!(scene.exported().await.len() < 500_000, "a long one is cut");
    // A server without any costs no tool.
    let plain = Scene::new(json!({ "docs": nasty("plain") }), reads(&[])).await;
    assert!(plain.ask().await[0].1.contains("There is no tool resources"));
}

#[tokio::test]
async fn reading_a_resource_is_asked_for_like_a_call_of_the_server() {
    let keep = tempfile::tempdir().expect("a folder");
    let turns = || vec![calls(&[("resources", json!({ "server": "docs", "uri": "x://text" }))]), says("Done.")];
    let denied = Scene::with(offers(&keep), turns(), json!({ "deny": ["docs__*"] })).await;
    let done = denied.ask().await;
    assert!(!done[0].0 && done[0].1.contains("The rule docs__* denies the tool docs__resources"), "{done:?}");

    let asked = Scene::with(offers(&keep), turns(), json!({})).await;
    let run = asked.client.run("cowrite.run", json!({ "prompt": "Go." })).await;
    let question = asked.client.until("the question", |notifications, _| {
        let mut events = notifications.iter().map(|sent| &sent["params"]["event"]);
        events.find(|event| event["type"] == "approvalRequested").cloned()
    });
    let question = question.await;
    assert!(question["detail"].as_str().is_some_and(|detail| detail.contains("docs__resources")), "{question}");
    asked.client.execute("cowrite.approve", json!({})).await.expect("approved");
    assert_eq!(asked.client.finished(&run).await["status"], "completed");
    let events = asked.client.events(&run);
    let done: Vec<_> = events.iter().filter(|event| event["type"] == "toolFinished").collect();
    assert!(done[0]["ok"] == true && done[0]["summary"].as_str().expect("words").contains("what stands"), "{done:?}");
}
