//! Sessions that go on: in the next server, beside another one, after a crash.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, edit, endless, says};

/// A workspace with a state folder that outlives servers.
struct Place {
    _folder: tempfile::TempDir,
    workspace: PathBuf,
    state: PathBuf,
    rules: Vec<(&'static str, Vec<Value>)>,
}

impl Place {
    fn new(rules: Vec<(&'static str, Vec<Value>)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("real");
        let (workspace, state) = (real.join("work"), real.join("state"));
        std::fs::create_dir(&workspace).expect("a folder");
        Self { _folder: folder, workspace, state, rules }
    }

    fn setup(&self) -> Setup<'_> {
        let setup = Setup::scripted(Personality::VsCode, &self.workspace, &self.rules);
        Setup { state: Some(self.state.clone()), ..setup }
    }

    async fn server(&self) -> Client {
        Client::start(self.setup()).await
    }

    async fn process(&self) -> Client {
        Client::start(Setup { process: true, ..self.setup() }).await
    }
}

/// Runs a prompt to its end and gives the session that it ran in.
async fn ask(client: &Client, prompt: &str) -> (String, String) {
    ask_in(client, prompt, Value::Null).await
}

async fn ask_in(client: &Client, prompt: &str, session: Value) -> (String, String) {
    let mut argument = json!({ "prompt": prompt });
    if !session.is_null() {
        argument["sessionId"] = session;
    }
    let answer = client.execute("cowrite.run", argument).await.expect("it starts");
    let (run, session) = (text(&answer["runId"]), text(&answer["sessionId"]));
    let finished = client.finished(&run).await;
    assert_eq!(finished["status"], "completed", "{finished}");
    (run, session)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

async fn sessions(client: &Client) -> (String, Vec<Value>) {
    let answer = client.execute("cowrite.sessions", json!({})).await.expect("a list");
    (text(&answer["active"]), answer["sessions"].as_array().expect("a list").clone())
}

async fn status(client: &Client) -> Value {
    client.execute("cowrite.status", json!({})).await.expect("a status")
}

/// Every event number from 1, without a gap or a repeat: those that stand for several included.
fn numbers(events: &[Value]) -> u64 {
    let mut next = 1;
    for event in events {
        let first = event["first"].as_u64().unwrap_or_else(|| event["sequence"].as_u64().expect("a number"));
        assert_eq!(first, next, "a gap or a repeat: {events:#?}");
        next = event["sequence"].as_u64().expect("a number") + 1;
    }
    next - 1
}

async fn events(client: &Client, run: &str) -> Vec<Value> {
    let page = client.execute("cowrite.events", json!({ "runId": run })).await.expect("events");
    assert_eq!(page["retentionGap"], false);
    page["events"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_sessions_can_be_begun_listed_resumed_renamed_forked_cleared_and_deleted() {
    let place = Place::new(vec![("hello", vec![says("hi")])]);
    let client = place.server().await;
    let (active, listed) = sessions(&client).await;
    assert!(listed.is_empty(), "s2: nothing is written before the first run");
    let (run, first) = ask(&client, "hello there").await;
    assert_eq!(first, active);
    let (_, listed) = sessions(&client).await;
    assert_eq!(
        (&listed[0]["sessionId"], &listed[0]["title"], &listed[0]["runs"]),
        (&json!(first), &json!("hello there"), &json!(1))
    );

    let answer = client.execute("cowrite.session.new", json!({ "title": "Second" })).await.expect("a new one");
    let second = text(&answer["sessionId"]);
    assert_eq!(sessions(&client).await.0, second, "active at once");
    assert_eq!(sessions(&client).await.1.len(), 1, "and kept in memory until its first run");
    assert_eq!(ask(&client, "hello again").await.1, second);

    client.execute("cowrite.session.rename", json!({ "sessionId": first, "title": "First" })).await.expect("renamed");
    client.execute("cowrite.session.resume", json!({ "sessionId": first })).await.expect("resumed");
    let (active, listed) = sessions(&client).await;
    let titles: Vec<&str> = listed.iter().map(|session| session["title"].as_str().expect("a title")).collect();
    assert_eq!((active, titles), (first.clone(), vec!["Second", "First"]));

    let answer = client.execute("cowrite.session.fork", json!({ "afterRunId": run })).await.expect("a fork");
    let fork = text(&answer["sessionId"]);
    assert_eq!(sessions(&client).await.1[0]["parent"]["sessionId"], json!(first));
    assert_eq!(status(&client).await["items"], 2, "the fork has the history of its parent");

    client.execute("cowrite.session.clear", json!({})).await.expect("cleared");
    let cleared = status(&client).await;
    assert_eq!(
        (&cleared["items"], &cleared["usage"]["input"], &cleared["requests"]),
        (&json!(0), &Value::Null, &json!(0))
    );

    client.execute("cowrite.session.delete", json!({ "sessionId": first })).await.expect("deleted");
    let (active, listed) = sessions(&client).await;
    let left: Vec<String> = listed.iter().map(|session| text(&session["sessionId"])).collect();
    assert_eq!((active, left), (fork.clone(), vec![fork, second]));
    let error = client.execute("cowrite.session.resume", json!({ "sessionId": first })).await.expect_err("it is gone");
    assert_eq!(error["code"], -32803);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_the_last_session_goes_on_in_the_next_server_with_all_that_was_said() {
    let place = Place::new(vec![
        ("remember", vec![says("I keep 4711 in mind.")]),
        ("what was it", vec![json!({ "deltas": [{ "text": "4711" }] })]),
    ]);
    let one = place.server().await;
    let (run, session) = ask(&one, "remember 4711").await;
    let told = one.notifications("cowrite/event");
    let before = status(&one).await;
    one.stop().await;

    let two = place.server().await;
    let after = status(&two).await;
    for field in ["sessionId", "context", "usage", "requests", "items", "runs"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let kept = events(&two, &run).await;
    assert_eq!(numbers(&kept), told.len() as u64);
    for event in told.iter().map(|told| &told["params"]).filter(|told| told["event"]["type"] != "textDelta") {
        assert!(kept.contains(event), "{event} was told and is not there any more");
    }
    assert_eq!(ask(&two, "what was it?").await.1, session);
    assert_eq!(status(&two).await["items"], 4, "the model was sent what was said before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s7_a_fork_after_something_unknown_is_an_error() {
    let place = Place::new(vec![("hello", vec![says("hi")]), ("wait", vec![endless()])]);
    let client = place.server().await;
    ask(&client, "hello").await;
    let unknown = json!({ "afterRunId": "018f0000-0000-7000-8000-000000000000" });
    let error = client.execute("cowrite.session.fork", unknown).await.expect_err("an unknown run");
    assert_eq!(error["code"], -32803, "{error}");
    let run = client.run("cowrite.run", json!({ "prompt": "wait" })).await;
    let error = client.execute("cowrite.session.fork", json!({ "afterRunId": run })).await.expect_err("a live run");
    assert_eq!(error["code"], -32803, "{error}");
    assert_eq!(sessions(&client).await.1.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_a_session_that_another_process_has_moved_goes_on_as_a_fork_and_says_so() {
    let place = Place::new(vec![
        ("first", vec![says("one")]),
        ("of the other", vec![says("two")]),
        ("second", vec![says("three")]),
    ]);
    let here = place.server().await;
    let (_, session) = ask(&here, "first").await;
    let there = place.server().await;
    assert_eq!(ask(&there, "of the other").await.1, session, "nobody else was at work: it goes on");
    let (run, fork) = ask(&here, "second").await;
    assert_ne!(fork, session);
    let listed = sessions(&here).await.1;
    let of = |id: &str| listed.iter().find(|row| row["sessionId"] == id).cloned().expect("listed");
    assert_eq!(of(&fork)["parent"]["sessionId"], json!(session));
    assert_eq!((&of(&session)["runs"], &of(&fork)["runs"]), (&json!(2), &json!(1)), "nothing is lost");
    let said = here.until("the fork is told", |notifications, _| {
        notifications.iter().find(|message| message["params"]["event"]["type"] == "sessionForked").cloned()
    });
    let said = said.await;
    assert_eq!((&said["params"]["event"]["parent"], &said["params"]["sessionId"]), (&json!(session), &json!(fork)));
    assert!(said["params"].get("runId").is_none(), "{said}");
    here.until("a message says so", |notifications, _| {
        let mut messages = notifications.iter().filter(|message| message["method"] == "window/showMessage");
        messages
            .any(|message| message["params"]["message"].as_str().is_some_and(|text| text.contains("fork")))
            .then_some(())
    })
    .await;
    numbers(&events(&here, &run).await);
    assert_eq!(status(&here).await["items"], 4, "the fork has what was said before it");
    // What was forked is the session that goes on.
    here.stop().await;
    assert_eq!(sessions(&place.server().await).await.0, fork);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s6_two_processes_at_once_both_finish_and_one_has_forked() {
    let slow = |text: &str| json!({ "chunk": 1, "chunk_delay_ms": 5, "deltas": [{ "text": text }] });
    let place = Place::new(vec![
        ("first", vec![says("one")]),
        ("on the left", vec![slow("a slow answer, given left")]),
        ("on the right", vec![slow("a slow answer, given right")]),
    ]);
    let here = place.process().await;
    let (_, session) = ask(&here, "first").await;
    let there = place.process().await;
    status(&there).await;
    let ((one, in_one), (two, in_two)) = tokio::join!(ask(&here, "on the left"), ask(&there, "on the right"));
    let forked = [&in_one, &in_two].into_iter().filter(|id| **id != session).count();
    assert_eq!(forked, 1, "{in_one} {in_two} {session}");
    for (client, run, answer) in [(&here, one, "given left"), (&there, two, "given right")] {
        let events = events(client, &run).await;
        numbers(&events);
        let last = &events.last().expect("events")["event"];
        assert!(text(&last["resultText"]).contains(answer), "{last}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r9_a_run_whose_process_died_is_interrupted_and_the_next_prompt_goes_on() {
    let place = Place::new(vec![
        ("work", vec![calls(&[("read", json!({ "path": "a.rs" }))]), endless()]),
        ("go on", vec![says("done")]),
    ]);
    std::fs::write(place.workspace.join("a.rs"), "fn a() {}\n").expect("written");
    let one = place.process().await;
    let answer = one.execute("cowrite.run", json!({ "prompt": "work" })).await.expect("it starts");
    let (run, session) = (text(&answer["runId"]), text(&answer["sessionId"]));
    one.streamed(&run).await;
    let told = one.notifications("cowrite/event");
    one.kill().await;

    let two = place.process().await;
    let finished = two.finished(&run).await;
    assert_eq!(finished["status"], "interrupted", "the person hears of it without asking");
    let snapshot = status(&two).await["runs"][0].clone();
    assert_eq!(snapshot["status"], "interrupted");
    let kept = events(&two, &run).await;
    assert_eq!(json!(numbers(&kept)), snapshot["eventCount"]);
    for event in told.iter().map(|told| &told["params"]) {
        let sequence = event["sequence"].as_u64().expect("a number");
        let stands = |kept: &&Value| {
            kept["first"].as_u64().unwrap_or(u64::MAX) <= sequence && sequence <= kept["sequence"].as_u64().unwrap_or(0)
                || kept["sequence"] == event["sequence"]
        };
        let kept = kept.iter().find(stands).expect("every number that was told stands");
        assert_eq!(kept["event"]["type"], event["event"]["type"], "and is not another event's");
    }
    assert_eq!(ask(&two, "go on").await.1, session);
    assert_eq!(
        status(&two).await["items"],
        5,
        "prompt, call, result, prompt, answer: it goes on from the last finished item"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r12_what_waited_when_the_process_died_is_told_as_interrupted() {
    let place = Place::new(vec![("wait", vec![endless()])]);
    let one = place.process().await;
    let live = one.run("cowrite.run", json!({ "prompt": "wait" })).await;
    let waiting = one.run("cowrite.run", json!({ "prompt": "wait here too" })).await;
    one.streamed(&live).await;
    one.kill().await;
    let two = place.process().await;
    for run in [&live, &waiting] {
        assert_eq!(two.finished(run).await["status"], "interrupted");
    }
    let runs = status(&two).await["runs"].clone();
    assert_eq!(runs[1]["prompt"], "wait here too", "what was typed is not lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_takes_a_runs_edits_back_also_in_the_next_server() {
    let place = Place::new(vec![(
        "change",
        vec![
            calls(&[("read", json!({ "path": "a.rs" }))]),
            calls(&[edit("a.rs", &[("two", "2")])]),
            calls(&[edit("a.rs", &[("four", "4")])]),
            calls(&[("write", json!({ "path": "new.rs", "content": "made\n" }))]),
            says("done"),
        ],
    )]);
    let (file, made) = (place.workspace.join("a.rs"), place.workspace.join("new.rs"));
    let before = "one\ntwo\nthree\nfour\nfive\n";
    std::fs::write(&file, before).expect("written");
    let one = place.server().await;
    let uri = one.open(&file, before);
    let (run, _) = ask(&one, "change").await;
    assert_eq!(one.text(&uri), "one\n2\nthree\n4\nfive\n");
    assert!(made.exists());
    one.stop().await;

    let two = place.server().await;
    let uri = two.open(&file, "one\n2\nthree, typed later\n4\nfive\n");
    let answer = two.execute("cowrite.undo", json!({ "runId": run })).await.expect("undone");
    let outcome = |path: &Path| {
        let uri = crate::client::uri(path);
        let files = answer["files"].as_array().expect("a list");
        files.iter().find(|file| file["uri"] == uri).map(|file| text(&file["outcome"]))
    };
    assert_eq!((outcome(&file), outcome(&made)), (Some("merged".into()), Some("restored".into())), "{answer}");
    assert_eq!(two.text(&uri), "one\ntwo\nthree, typed later\nfour\nfive\n");
    assert!(!made.exists(), "the run made it");
    let again = two.execute("cowrite.undo", json!({ "runId": run })).await.expect("undone already");
    assert_eq!(again, json!({ "files": [] }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_refuses_what_conflicts_and_names_the_lines() {
    let place = Place::new(vec![(
        "change",
        vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&[edit("a.rs", &[("two", "2")])]), says("done")],
    )]);
    let file = place.workspace.join("a.rs");
    let client = place.server().await;
    let uri = client.open(&file, "one\ntwo\nthree\n");
    ask(&client, "change").await;
    client.type_into(&uri, |text| {
        let at = text.find('2').expect("edited");
        (at..at + 1, "2 and more".into())
    });
    let answer = client.execute("cowrite.undo", json!({})).await.expect("an answer");
    assert_eq!(answer["files"][0]["outcome"], "conflict");
    assert!(text(&answer["files"][0]["reason"]).contains("line 2"), "{answer}");
    assert_eq!(client.text(&uri), "one\n2 and more\nthree\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r8_after_a_cancel_the_partial_answer_is_kept_and_the_next_request_is_valid() {
    let place = Place::new(vec![
        ("work", vec![calls(&[("read", json!({ "path": "a.rs" }))]), endless()]),
        ("go on", vec![says("done")]),
    ]);
    std::fs::write(place.workspace.join("a.rs"), "fn a() {}\n").expect("written");
    let one = place.server().await;
    let run = one.run("cowrite.run", json!({ "prompt": "work" })).await;
    one.streamed(&run).await;
    one.execute("cowrite.cancel", json!({ "runId": run })).await.expect("cancelled");
    assert_eq!(one.finished(&run).await["status"], "cancelled");
    one.stop().await;
    let two = place.server().await;
    assert_eq!(status(&two).await["items"], 4, "prompt, call, result, what was said of the answer");
    ask(&two, "go on").await;
    let export = two.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("a text");
    assert!(text(&export["text"]).contains("\"partial\": true"), "{export}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r13_a_shutdown_keeps_what_it_cancelled() {
    let place = Place::new(vec![("wait", vec![endless()])]);
    let one = place.process().await;
    let live = one.run("cowrite.run", json!({ "prompt": "wait" })).await;
    let waiting = one.run("cowrite.run", json!({ "prompt": "wait too" })).await;
    one.streamed(&live).await;
    one.stop().await;
    let two = place.process().await;
    let runs = status(&two).await["runs"].clone();
    for (index, run) in [live, waiting].iter().enumerate() {
        assert_eq!((&runs[index]["id"], &runs[index]["status"]), (&json!(run), &json!("cancelled")), "{runs}");
        numbers(&events(&two, run).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s9_ids_never_repeat_also_across_servers() {
    let read =
        || vec![calls(&[("read", json!({ "path": "a.rs" })), ("read", json!({ "path": "a.rs" }))]), says("done")];
    let place = Place::new(vec![("look", read())]);
    std::fs::write(place.workspace.join("a.rs"), "fn a() {}\n").expect("written");
    let mut calls = Vec::new();
    for _ in 0..3 {
        let client = place.server().await;
        let (run, _) = ask(&client, "look").await;
        let events = events(&client, &run).await;
        let started = events.iter().filter(|event| event["event"]["type"] == "toolStarted");
        calls.extend(started.map(|event| text(&event["event"]["callId"])));
        let turns = events.iter().filter(|event| event["event"]["type"] == "turnStarted");
        assert_eq!(turns.map(|event| event["event"]["turn"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)]);
        client.stop().await;
    }
    let all = calls.len();
    calls.sort();
    calls.dedup();
    assert_eq!((all, calls.len()), (6, 6), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s8_what_was_cleared_away_is_still_in_the_record_and_provenance_survives_forks() {
    let place = Place::new(vec![("hello", vec![says("hi")])]);
    let client = place.server().await;
    let (_, first) = ask(&client, "hello number one").await;
    client.execute("cowrite.session.clear", json!({})).await.expect("cleared");
    ask(&client, "hello number two").await;
    let fork = client.execute("cowrite.session.fork", json!({})).await.expect("a fork");
    let export = client.execute("cowrite.session.export", json!({})).await.expect("a text");
    let export = text(&export["text"]);
    assert!(export.contains("hello number one") && export.contains("hello number two"), "{export}");
    client.execute("cowrite.session.fork", json!({})).await.expect("a fork of the fork");
    let listed = sessions(&client).await.1;
    let parents: Vec<&Value> = listed.iter().map(|session| &session["parent"]["sessionId"]).collect();
    assert_eq!(parents, [&fork["sessionId"], &json!(first), &Value::Null]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r4_of_old_runs_and_events_only_so_many_are_kept_and_reading_says_so() {
    let place = Place::new(vec![("hello", vec![says("hi")])]);
    let mut setup = place.setup();
    setup.settings["limits"] = json!({ "max_runs": 2, "max_events_per_run": 3 });
    let client = Client::start(setup).await;
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(ask(&client, "hello").await.0);
    }
    let listed: Vec<String> =
        status(&client).await["runs"].as_array().expect("runs").iter().map(|run| text(&run["id"])).collect();
    assert_eq!(listed, runs[2..]);
    // The last run began when the one before had been tidied up after.
    let page = client.execute("cowrite.events", json!({ "runId": runs[2] })).await.expect("events");
    let kept = page["events"].as_array().expect("a list");
    assert_eq!((kept.len(), &page["retentionGap"]), (3, &json!(true)), "{page}");
    assert_eq!(kept.last().expect("one")["event"]["type"], "runFinished");
    assert_eq!(page["next"], kept[2]["sequence"], "the count goes on");
    let before = status(&client).await;
    assert_eq!(before["requests"], 4, "{before}");
    client.stop().await;
    let after = status(&place.server().await).await;
    assert_eq!(
        (&after["requests"], &after["usage"]),
        (&before["requests"], &before["usage"]),
        "totals are not trimmed"
    );
    verified(&place.state);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_in_a_fork_takes_back_the_run_that_it_goes_on_from_and_the_model_of_the_fork_hears_it() {
    let place = Place::new(vec![(
        "change",
        vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&[edit("a.rs", &[("two", "2")])]), says("done")],
    )]);
    let file = place.workspace.join("a.rs");
    let client = place.server().await;
    let uri = client.open(&file, "one\ntwo\n");
    ask(&client, "change").await;
    client.execute("cowrite.session.fork", json!({})).await.expect("a fork");
    let before = status(&client).await["items"].as_u64().expect("a number");
    let answer = client.execute("cowrite.undo", json!({})).await.expect("undone");
    assert_eq!(answer["files"][0]["outcome"], "restored", "{answer}");
    assert_eq!(client.text(&uri), "one\ntwo\n");
    assert_eq!(status(&client).await["items"], before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_can_be_kept_the_person_is_told_and_may_go_on_without() {
    let place = Place::new(vec![("hello", vec![says("hi")])]);
    std::fs::write(&place.state, "a file in the way").expect("written");
    let client = place.server().await;
    let error = client.execute("cowrite.run", json!({ "prompt": "hello" })).await.expect_err("nothing can be kept");
    let why = text(&error["message"]);
    assert_eq!(error["code"], -32803);
    assert!(why.contains(&place.state.display().to_string()) && why.contains("cowrite.session.unkept"), "{why}");
    client.execute("cowrite.session.unkept", json!({})).await.expect("in memory");
    let (run, _) = ask(&client, "hello").await;
    numbers(&events(&client, &run).await);
    assert_eq!(std::fs::read_to_string(&place.state).expect("there"), "a file in the way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_moved_aside_and_the_person_hears_where_to() {
    let place = Place::new(vec![("hello", vec![says("hi")])]);
    std::fs::create_dir(&place.state).expect("a folder");
    std::fs::write(place.state.join("sessions.db"), "no database at all, but maybe somebody's work").expect("written");
    let client = place.server().await;
    ask(&client, "hello").await;
    let said = client
        .until("a message", |notifications, _| {
            let mut messages = notifications.iter().filter(|message| message["method"] == "window/showMessage");
            messages.find_map(|message| {
                Some(text(&message["params"]["message"])).filter(|text| text.contains("sessions.db"))
            })
        })
        .await;
    let mut moved = std::fs::read_dir(&place.state).expect("a folder").flatten().map(|entry| entry.path());
    let moved = moved.find(|path| path.display().to_string().contains("damaged")).expect("moved aside");
    assert!(said.contains(&moved.display().to_string()), "{said}");
    assert!(std::fs::read_to_string(moved).expect("there").contains("somebody's work"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_fails_the_run_and_nothing_of_it_is_claimed_until_the_session_is_opened_again() {
    let long = "word ".repeat(40_000);
    let turn = json!({ "deltas": [{ "text": long }, { "call": { "name": "list", "arguments": {} } }] });
    let place = Place::new(vec![("hello", vec![says("hi")]), ("talk", vec![turn; 80]), ("go on", vec![says("done")])]);
    let mut setup = place.setup();
    (setup.process, setup.write_limit) = (true, Some(700_000));
    let client = Client::start(setup).await;
    let (_, session) = ask(&client, "hello").await;
    let run = client.run("cowrite.run", json!({ "prompt": "talk" })).await;
    let finished = client.finished(&run).await;
    assert_eq!(finished["status"], "failed", "{finished}");
    let why = text(&finished["error"]);
    assert!(why.contains("sessions.db") && why.contains("session.resume"), "{why}");
    let error = client.execute("cowrite.run", json!({ "prompt": "go on" })).await.expect_err("nothing more is written");
    assert_eq!(error["code"], -32803, "{error}");
    assert!(!status(&client).await["unwritable"].is_null());
    let told: Vec<Value> = client.notifications("cowrite/event").iter().map(|told| told["params"].clone()).collect();

    client.lift_limit();
    client.execute("cowrite.session.resume", json!({ "sessionId": session })).await.expect("opened again");
    assert_eq!(ask(&client, "go on").await.1, session);
    let kept = events(&client, &run).await;
    numbers(&kept);
    let told: Vec<&Value> = told.iter().filter(|told| told["runId"] == run).collect();
    for event in told.iter().filter(|told| told["event"]["type"] != "textDelta") {
        assert!(kept.contains(event), "{event} was told and is not there: {:#?}", kept.last());
    }
    verified(&place.state);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_a_long_session_is_restored_from_a_checkpoint_with_nothing_missing() {
    let looks: Vec<(&str, Value)> = (0..100).map(|_| ("read", json!({ "path": "a.rs" }))).collect();
    let mut turns: Vec<Value> = (0..10).map(|_| calls(&looks)).collect();
    turns.push(says("seen"));
    let place = Place::new(vec![("look", turns), ("go on", vec![says("done")])]);
    std::fs::write(place.workspace.join("a.rs"), "fn a() {}\n").expect("written");
    let one = place.server().await;
    ask(&one, "look").await;
    ask(&one, "go on").await;
    let before = status(&one).await;
    one.stop().await;
    let two = place.server().await;
    let after = status(&two).await;
    for field in ["context", "usage", "requests", "items", "runs"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    ask(&two, "go on").await;
    let export = two.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("a text");
    assert_eq!(text(&export["text"]).matches("\"reason\": \"kept\"").count(), 1, "one checkpoint was made");
    verified(&place.state);
}

/// The chain of everything that is kept is whole.
pub(crate) fn verified(state: &Path) {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_cowrite"))
        .args(["sessions", "verify"])
        .env("COWRITE_STATE_DIR", state)
        .output()
        .expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_the_first_run_of_a_session_elsewhere_a_new_session_begins() {
    let place = Place::new(vec![("wait", vec![endless()]), ("hello", vec![says("hi")])]);
    let there = place.process().await;
    let live = there.execute("cowrite.run", json!({ "prompt": "wait" })).await.expect("it starts");
    there.streamed(&text(&live["runId"])).await;
    let here = place.process().await;
    status(&here).await;
    let (_, session) = ask(&here, "hello").await;
    assert_ne!(json!(session), live["sessionId"]);
    assert_eq!(ask(&here, "hello again").await.1, session);
    there.execute("cowrite.cancel", json!({})).await.expect("cancelled");
    assert_eq!(there.finished(&text(&live["runId"])).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_another_process_is_shown_as_it_stands_and_neither_cancelled_nor_deleted_from_here() {
    let place = Place::new(vec![("wait", vec![endless()]), ("hello", vec![says("hi")])]);
    let there = place.process().await;
    let (_, session) = ask(&there, "hello").await;
    let live = there.run("cowrite.run", json!({ "prompt": "wait" })).await;
    there.streamed(&live).await;
    let here = place.process().await;
    assert_eq!(status(&here).await["runs"][1]["status"], "executing");
    for argument in [json!({}), json!({ "runId": live })] {
        let answer = here.execute("cowrite.cancel", argument).await.expect("an answer");
        assert_eq!(answer["cancelled"], json!([]));
    }
    let error = here.execute("cowrite.session.delete", json!({ "sessionId": session })).await.expect_err("in use");
    assert_eq!(error["code"], -32803);
    there.execute("cowrite.cancel", json!({})).await.expect("cancelled");
    there.finished(&live).await;
    assert_eq!(status(&here).await["runs"][1]["status"], "cancelled");
    numbers(&events(&here, &live).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resuming_takes_in_what_another_process_has_added() {
    let place = Place::new(vec![("hello", vec![says("hi")])]);
    let (one, two) = (place.server().await, place.server().await);
    let (_, session) = ask(&one, "hello").await;
    two.execute("cowrite.session.resume", json!({ "sessionId": session })).await.expect("resumed");
    ask(&one, "hello again").await;
    two.execute("cowrite.session.resume", json!({ "sessionId": session })).await.expect("resumed");
    assert_eq!(ask(&two, "hello for the third time").await.1, session, "no fork is needed");
    assert_eq!(status(&two).await["items"], 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_of_a_session_that_crashed_in_a_run_goes_on_too() {
    let slow = json!({ "deltas": [{ "call": { "name": "search", "arguments": { "pattern": "x" } } }] });
    let place = Place::new(vec![("work", vec![slow, endless()]), ("go on", vec![says("done")])]);
    for name in 0..200 {
        std::fs::write(place.workspace.join(format!("{name}.txt")), "x\n".repeat(2000)).expect("written");
    }
    let one = place.process().await;
    let live = one.execute("cowrite.run", json!({ "prompt": "work" })).await.expect("it starts");
    one.until("the tool begins", |notifications, _| {
        let mut events = notifications.iter().map(|message| &message["params"]["event"]["type"]);
        events.any(|kind| kind == "toolStarted").then_some(())
    })
    .await;
    one.kill().await;
    let forked = std::process::Command::new(env!("CARGO_BIN_EXE_cowrite"))
        .args(["sessions", "fork", &text(&live["sessionId"]), "--workspace"])
        .arg(&place.workspace)
        .env("COWRITE_STATE_DIR", &place.state)
        .output()
        .expect("it runs");
    assert!(forked.status.success(), "{}", String::from_utf8_lossy(&forked.stderr));
    let fork = String::from_utf8_lossy(&forked.stdout).trim().to_owned();
    let two = place.process().await;
    ask_in(&two, "go on", json!(fork)).await;
    ask_in(&two, "go on", live["sessionId"].clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r3_each_fork_has_a_series_of_events_of_its_own() {
    let place = Place::new(vec![("hello", vec![says("hi")])]);
    let client = place.server().await;
    ask(&client, "hello").await;
    for _ in 0..2 {
        let fork = client.execute("cowrite.session.fork", json!({})).await.expect("a fork");
        let page = client.execute("cowrite.events", json!({ "sessionId": fork["sessionId"] })).await.expect("events");
        let told = page["events"].as_array().expect("a list");
        assert_eq!((numbers(told), &page["next"]), (1, &json!(1)));
    }
}
