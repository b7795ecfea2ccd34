//! Long conversations: what a person sees of their compaction, and what of them stays.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup, rounds};
use crate::script::{calls, says};

/// A workspace with a script of its own.
struct Place {
    _folder: tempfile::TempDir,
    workspace: PathBuf,
    state: PathBuf,
    settings: Value,
}

impl Place {
    fn new(script: &Value, compaction: Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("real");
        let (workspace, state) = (real.join("work"), real.join("state"));
        std::fs::create_dir(&workspace).expect("a folder");
        let path = real.join("conversation.json");
        std::fs::write(&path, script.to_string()).expect("the script is written");
        let mut settings = crate::script::settings(&path);
        settings["compaction"] = compaction;
        settings["limits"] = json!({ "max_turns": 200 });
        Self { _folder: folder, workspace, state, settings }
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.workspace.join(name), text).expect("written");
    }

    fn setup<'a>(&self, process: bool, workspace: &'a Path) -> Setup<'a> {
        let setup = Setup::scripted(Personality::VsCode, workspace, &[]);
        Setup { state: Some(self.state.clone()), settings: self.settings.clone(), process, ..setup }
    }

    async fn server(&self) -> Client {
        Client::start(self.setup(false, &self.workspace)).await
    }
}

fn script(context: u64, turns: Vec<Value>) -> Value {
    json!({ "context": context, "count": "requests", "turns": turns, "loop": true })
}

async fn ask(client: &Client, prompt: &str) -> (String, Value) {
    let answer = client.execute("cowrite.run", json!({ "prompt": prompt })).await.expect("it starts");
    let run = answer["runId"].as_str().expect("an id").to_owned();
    let finished = client.finished(&run).await;
    (run, finished)
}

async fn compaction(client: &Client, kind: &str) -> Value {
    client
        .until(kind, |notifications, _| {
            notifications.iter().map(|message| &message["params"]["event"]).find(|event| event["type"] == kind).cloned()
        })
        .await
}

fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).cloned().collect()
}

/// Some hundred tokens of prose that says where it is from.
fn prose(about: &str, words: usize) -> String {
    (0..words).map(|n| format!("{about} says line {n} of its story. ")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_c19_c23_c24_a_person_compacts_a_conversation_and_it_goes_on_from_the_summary() {
    let turns = (0..6).map(|n| says(&prose(&format!("Answer {n}"), 300))).collect();
    let mut script = script(100_000, turns);
    script["summary"] = says("Goal: mend the parser. Decisions: keep the old names.");
    let place = Place::new(&script, json!({ "mode": "safe_frontier" }));
    let client = place.server().await;
    let nothing = client.execute("cowrite.compact", json!({})).await.expect("it answers");
    assert_eq!(nothing["started"], false, "{nothing}");
    assert!(nothing["reason"].as_str().is_some_and(|reason| reason.contains("nothing to compact")), "{nothing}");
    for prompt in ["Mend the parser, and never rename Zebra::stripe.", "Go on with it.", "And now the tests."] {
        ask(&client, prompt).await;
    }

    let answer = client.execute("cowrite.compact", json!({ "focus": "the parser" })).await.expect("it answers");
    assert_eq!(answer["started"], true, "{answer}");
    let started = compaction(&client, "compactionStarted").await;
    assert_eq!(started["reason"], "command");
    let finished = compaction(&client, "compactionFinished").await;
    let (before, after) =
        (finished["before"].as_u64().expect("a figure"), finished["after"].as_u64().expect("a figure"));
    assert!(finished["error"].is_null() && after < before / 2, "{finished}");
    assert_eq!(finished["turnsCompacted"], 3, "{finished}");
    let said = client.until("a message", |notifications, _| {
        let messages = notifications.iter().filter(|message| message["method"] == "window/showMessage");
        let mut texts = messages.filter_map(|message| message["params"]["message"].as_str());
        texts.find(|text| text.contains("compacted the conversation")).map(str::to_owned)
    });
    assert!(said.await.contains(&before.to_string()));
    let status = client.execute("cowrite.status", json!({})).await.expect("it answers");
    assert_eq!((&status["compactions"], &status["context"]["used"]), (&json!(1), &json!(after)), "{status}");
    // The summary's own request is counted under its own name.
    let page = client.execute("cowrite.events", json!({ "sessionId": status["sessionId"] })).await.expect("events");
    let own = page["events"].as_array().expect("a list").iter().map(|event| &event["event"]);
    let spent: Vec<&Value> = own.filter(|event| event["type"] == "usage").collect();
    assert!(spent.len() == 1 && spent[0]["purpose"] == "summary" && spent[0]["model"] == "scripted/test", "{page}");
    assert_eq!(status["requests"], 4, "{status}");
    let again = client.execute("cowrite.compact", json!({})).await.expect("it answers");
    assert_eq!(again["started"], false, "nothing was said since: {again}");

    // In the next server too, and the model is shown it.
    client.stop().await;
    let client = place.server().await;
    let restored = client.execute("cowrite.status", json!({})).await.expect("it answers");
    assert_eq!((&restored["requests"], &restored["context"]), (&json!(4), &status["context"]), "{restored}");
    let (run, _) = ask(&client, "What did I forbid?").await;
    let sent = of_kind(&client.events(&run), "usage");
    assert_eq!(sent[0]["items"], 2, "the note and the prompt: {sent:?}");
    let export = client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("it answers");
    let all = export["text"].as_str().expect("a text");
    for kept in ["never rename Zebra::stripe", "Answer 0 says line 299", "Decisions: keep the old names."] {
        assert!(all.contains(kept), "{kept} is gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c5_c6_a_long_run_in_a_small_model_compacts_in_its_midst_and_does_its_job() {
    let mut turns: Vec<Value> =
        (0..60).map(|n| calls(&[("read", json!({ "path": format!("f{}.txt", n % 6) }))])).collect();
    turns.push(says("Everything is read."));
    let place = Place::new(&script(8_000, turns), json!({ "cooldown_seconds": 0 }));
    for n in 0..6 {
        place.file(&format!("f{n}.txt"), &prose(&format!("File {n}"), 60));
    }
    let client = place.server().await;
    let (run, finished) = ask(&client, "Read all files, and keep to the word Zebra::stripe.").await;
    assert_eq!(
        (&finished["status"], &finished["resultText"]),
        (&json!("completed"), &json!("Everything is read.")),
        "{finished}"
    );
    let events = client.events(&run);
    let done = of_kind(&events, "compactionFinished");
    let helped: Vec<&Value> = done.iter().filter(|event| event["error"].is_null()).collect();
    assert!(helped.len() >= 2, "{done:#?}");
    for event in &helped {
        assert!(event["after"].as_u64() < event["before"].as_u64(), "{event}");
    }
    for usage in of_kind(&events, "usage") {
        assert!(usage["context"]["used"].as_u64().expect("a figure") <= 8_000, "{usage}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_cancel_while_a_request_waits_for_its_summary_is_heard_at_once() {
    let turns = (0..50).map(|n| calls(&[("read", json!({ "path": format!("f{}.txt", n % 6) }))])).collect();
    let mut script = script(8_000, turns);
    script["summary"] = json!({ "deltas": [{ "delay_ms": 60_000 }, { "text": "late" }] });
    let place = Place::new(&script, json!({}));
    for n in 0..6 {
        place.file(&format!("f{n}.txt"), &prose(&format!("File {n}"), 80));
    }
    let client = place.server().await;
    let answer = client.execute("cowrite.run", json!({ "prompt": "Read on." })).await.expect("it starts");
    let run = answer["runId"].as_str().expect("an id").to_owned();
    compaction(&client, "compactionStarted").await;
    // The run goes on until the hard mark, and waits there.
    let mut requests = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let now = of_kind(&client.events(&run), "usage").len();
        if now == requests && now > 0 {
            break;
        }
        requests = now;
    }
    let began = Instant::now();
    client.execute("cowrite.cancel", json!({ "runId": run })).await.expect("it answers");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(client.finished(&run).await["status"], "cancelled");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c21_an_overflow_compacts_and_the_request_is_made_once_more() {
    let overflow = json!({ "error": { "kind": "overflow", "message": "too long", "status": 400, "limit": 30_000 } });
    let turns = vec![says(&prose("First", 1500)), says(&prose("Second", 1500)), overflow, says("Here I am again.")];
    let place = Place::new(&script(200_000, turns.clone()), json!({}));
    let client = place.server().await;
    for prompt in ["One.", "Two."] {
        ask(&client, prompt).await;
    }
    let (run, finished) = ask(&client, "Three.").await;
    assert_eq!(
        (&finished["status"], &finished["resultText"]),
        (&json!("completed"), &json!("Here I am again.")),
        "{finished}"
    );
    let started = of_kind(&client.events(&run), "compactionStarted");
    assert_eq!(started[0]["reason"], "overflow", "{started:?}");

    let place = Place::new(&script(200_000, turns), json!({ "enabled": false }));
    let client = place.server().await;
    for prompt in ["One.", "Two."] {
        ask(&client, prompt).await;
    }
    let (run, finished) = ask(&client, "Three.").await;
    let error = finished["error"].as_str().unwrap_or_default();
    assert!(
        finished["status"] == "failed" && error.contains("cowrite.compact") && error.contains("200000"),
        "{finished}"
    );
    assert!(of_kind(&client.events(&run), "compactionStarted").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_a_summary_that_fails_is_told_and_the_run_goes_on() {
    let mut turns: Vec<Value> =
        (0..40).map(|n| calls(&[("read", json!({ "path": format!("f{}.txt", n % 6) }))])).collect();
    turns.push(says("Everything is read."));
    let mut script = script(8_000, turns);
    script["summary"] = json!({ "error": { "kind": "unavailable", "message": "overloaded", "status": 529 } });
    let place = Place::new(&script, json!({ "cooldown_seconds": 0 }));
    for n in 0..6 {
        place.file(&format!("f{n}.txt"), &prose(&format!("File {n}"), 60));
    }
    let client = place.server().await;
    let (run, finished) = ask(&client, "Read all files.").await;
    assert_eq!(finished["resultText"], "Everything is read.", "{finished}");
    let done = of_kind(&client.events(&run), "compactionFinished");
    assert!(
        done.iter().any(|event| event["error"].as_str().is_some_and(|error| error.contains("overloaded"))),
        "{done:?}"
    );
    // Without a model the oldest turns go, and what the program knows of them stays.
    assert!(done.iter().any(|event| event["error"].is_null()), "{done:?}");
    let export = client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("it answers");
    assert!(export["text"].as_str().is_some_and(|text| text.contains("f0.txt")));
    assert!(Path::new(&place.state).join("sessions.db").exists());
}

/// What a person sees of a progress: its beginning, its end, and whether it can be cancelled.
async fn progress(client: &Client, token: &str) -> (Value, Value) {
    let values = |notifications: &[Value]| -> Vec<Value> {
        let ours = notifications.iter().filter(|message| {
            message["method"] == "$/progress"
                && message["params"]["token"].as_str().is_some_and(|name| name.starts_with(token))
        });
        ours.map(|message| message["params"]["value"].clone()).collect()
    };
    let seen = client
        .until("the end of a progress", |notifications, _| {
            let values = values(notifications);
            values.iter().any(|value| value["kind"] == "end").then_some(values)
        })
        .await;
    (seen[0].clone(), seen[seen.len() - 1].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_a_compaction_between_runs_shows_its_progress_from_beginning_to_end() {
    let mut script = script(100_000, vec![says(&prose("An answer", 600))]);
    script["summary"] = json!({ "deltas": [{ "delay_ms": 200 }, { "text": "Goal: go on." }] });
    let place = Place::new(&script, json!({ "mode": "safe_frontier" }));
    let client = place.server().await;
    ask(&client, "One.").await;
    assert_eq!(client.execute("cowrite.compact", json!({})).await.expect("it answers")["started"], true);
    let finished = compaction(&client, "compactionFinished").await;
    let (begin, end) = progress(&client, "cowrite/compaction/").await;
    assert_eq!(
        (&begin["kind"], &begin["title"], &begin["cancellable"]),
        (&json!("begin"), &json!("Cowrite: compacting the conversation"), &json!(false)),
        "{begin}"
    );
    let told = format!("compacted the conversation from {} to {} tokens", finished["before"], finished["after"]);
    assert_eq!(end["message"], told, "{end}");
    client.stop().await;

    // One that fails says so.
    script["summary"] = json!({ "error": { "kind": "unavailable", "message": "overloaded", "status": 529 } });
    let place = Place::new(&script, json!({ "mode": "safe_frontier" }));
    let client = place.server().await;
    ask(&client, "One.").await;
    assert_eq!(client.execute("cowrite.compact", json!({})).await.expect("it answers")["started"], true);
    let (_, end) = progress(&client, "cowrite/compaction/").await;
    assert!(
        end["message"].as_str().is_some_and(|end| end.starts_with("the conversation was not compacted: ")),
        "{end}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_a_compaction_that_outlasts_its_run_shows_a_progress_of_its_own() {
    let mut script = script(8_000, vec![says(&prose("An answer", 200))]);
    script["summary"] = json!({ "deltas": [{ "delay_ms": 300 }, { "text": "Goal: go on." }] });
    let place = Place::new(&script, json!({ "cooldown_seconds": 0 }));
    let client = place.server().await;
    let mut last = String::new();
    for prompt in ["One.", "Two.", "Three."] {
        last = ask(&client, prompt).await.0;
        if !of_kind(&client.events(&last), "compactionStarted").is_empty() {
            break;
        }
    }
    assert_eq!(of_kind(&client.events(&last), "compactionStarted").len(), 1, "it began with the end of a run");
    assert!(of_kind(&client.events(&last), "compactionFinished").is_empty(), "and goes on without it");
    let (begin, end) = progress(&client, "cowrite/compaction/").await;
    assert_eq!(begin["title"], "Cowrite: compacting the conversation", "{begin}");
    assert!(end["message"].as_str().is_some_and(|end| end.starts_with("compacted the conversation from")), "{end}");
    let progresses = client.notifications("$/progress");
    let begun = progresses.iter().filter(|message| message["params"]["value"]["kind"] == "begin").count();
    let ended = progresses.iter().filter(|message| message["params"]["value"]["kind"] == "end").count();
    assert_eq!(begun, ended, "what began, ends: {progresses:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_a_fork_in_mid_run_finds_what_was_compacted_before_it_and_nothing_said_after() {
    let rule = |words: &str, turns: Vec<Value>| json!({ "when": { "prompt_contains": words }, "turns": turns });
    let looks_back = |query: &str| vec![calls(&[("recall", json!({ "query": query }))]), says("{{results}}")];
    let after = json!({ "deltas": [
        { "text": "The bird is PELICAN-77." }, { "call": { "name": "read", "arguments": { "path": "f.txt" } } }
    ]});
    let endless = json!({ "deltas": [{ "text": "And now" }, { "delay_ms": 60_000 }, { "text": "late" }] });
    let script = json!({
        "context": 100_000,
        "rules": [
            rule("remember", vec![says(&format!("The ticket is OPS-4711. {}", prose("An answer", 600)))]),
            rule("go on for long", vec![after, endless]),
            rule("which ticket", looks_back("OPS-4711")),
            rule("which bird", looks_back("PELICAN-77")),
        ],
        "summary": says("Goal: go on."),
    });
    let place = Place::new(&script, json!({ "mode": "safe_frontier" }));
    place.file("f.txt", "a file\n");
    let client = place.server().await;
    ask(&client, "remember").await;
    assert_eq!(client.execute("cowrite.compact", json!({})).await.expect("it answers")["started"], true);
    let compacted = compaction(&client, "compactionFinished").await;
    assert!(compacted["error"].is_null(), "{compacted}");
    let answer = client.execute("cowrite.run", json!({ "prompt": "go on for long" })).await.expect("it starts");
    let (run, parent) = (answer["runId"].as_str().expect("an id").to_owned(), answer["sessionId"].clone());
    client
        .until("the second turn", |notifications, _| {
            let mut events = notifications.iter().map(|message| &message["params"]["event"]);
            events.any(|event| event["type"] == "turnStarted" && event["turn"] == 2).then_some(())
        })
        .await;
    let fork = client.execute("cowrite.session.fork", json!({ "sessionId": parent })).await.expect("a fork");
    assert_ne!(fork["sessionId"], parent);
    let found = |prompt: &'static str, session: Value| {
        let client = client.clone();
        async move {
            let argument = json!({ "prompt": prompt, "sessionId": session });
            let answer = client.execute("cowrite.run", argument).await.expect("it starts");
            let finished = client.finished(answer["runId"].as_str().expect("an id")).await;
            assert_eq!(finished["status"], "completed", "{finished}");
            finished["resultText"].as_str().expect("an answer").to_owned()
        }
    };
    let ticket = found("which ticket", fork["sessionId"].clone()).await;
    assert!(ticket.contains("> The ticket is OPS-4711."), "what the parent compacted is found: {ticket}");
    let bird = found("which bird", fork["sessionId"].clone()).await;
    assert!(bird.starts_with("Nothing in this session holds all of"), "what was said after the fork is not: {bird}");
    client.execute("cowrite.cancel", json!({ "runId": run })).await.expect("it answers");
    client.finished(&run).await;
    let bird = found("which bird", parent).await;
    assert!(bird.contains("> The bird is PELICAN-77."), "the parent has it: {bird}");
}

/// What happens to a compaction at a random moment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Cancel,
    Clear,
    Fork,
    Kill,
    Shutdown,
}

const ACTS: [Act; 5] = [Act::Cancel, Act::Clear, Act::Fork, Act::Kill, Act::Shutdown];

/// 500 compactions in a campaign, each of which something comes into at a random moment: by a run at its hard mark, or by
/// command between runs. The session stays valid, and what the person typed stays typed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaign_compacting_survives_whatever_comes_at_any_moment() {
    let all = rounds(500).max(ACTS.len() * 2);
    let turns = vec![calls(&[("read", json!({ "path": "f.txt" }))]), says(&prose("An answer", 60))];
    let mut script = script(8_000, turns);
    script["count"] = json!("prompt");
    script["summary"] = json!({ "chunk": 6, "chunk_delay_ms": 3, "deltas": [{ "text": "Goal: read the file again and again. Next: go on." }] });
    let place = Place::new(&script, json!({ "cooldown_seconds": 0 }));
    place.file("f.txt", &prose("The file", 60));
    // A long session that every round begins with.
    let mut before = Place { settings: place.settings.clone(), ..Place::new(&script, json!({})) };
    before.settings["compaction"] = json!({ "enabled": false });
    before.file("f.txt", &prose("The file", 60));
    let client = Client::start(before.setup(false, &place.workspace)).await;
    for prompt in ["Keep Zebra::stripe.", "Read it.", "Read it again."] {
        assert_eq!(ask(&client, prompt).await.1["status"], "completed");
    }
    client.stop().await;
    let mut in_time = 0;
    for round in 0..all {
        in_time += usize::from(one_moment(&place, &before.state, ACTS[round % ACTS.len()], round).await);
    }
    println!("{all} compactions, {in_time} under way when something came");
    assert!(in_time * 5 >= all, "the moments fall into compactions: {in_time} of {all}");
}

/// Whether the compaction was under way.
async fn one_moment(place: &Place, before: &Path, act: Act, round: usize) -> bool {
    let state = place.state.with_file_name(format!("state{round}"));
    std::fs::create_dir(&state).expect("a folder");
    for entry in std::fs::read_dir(before).expect("a folder").flatten() {
        std::fs::copy(entry.path(), state.join(entry.file_name())).expect("copied");
    }
    let this = Place {
        _folder: crate::client::state_folder(),
        workspace: place.workspace.clone(),
        state,
        settings: place.settings.clone(),
    };
    let by_command = fastrand::bool();
    let client = Client::start(this.setup(act == Act::Kill, &place.workspace)).await;
    let file = place.workspace.join("typed.txt");
    let uri = client.open(&file, "What I typed.\n");
    client.type_into(&uri, |text| (text.len()..text.len(), "And more.\n".to_owned()));
    let asked = if by_command {
        ("cowrite.compact", json!({}))
    } else {
        ("cowrite.run", json!({ "prompt": "Read it once more." }))
    };
    let answer = client.execute(asked.0, asked.1).await.expect("it answers");
    tokio::time::sleep(Duration::from_millis(90).mul_f64(fastrand::f64())).await;
    let told = client.notifications("cowrite/event");
    let kinds: Vec<&str> = told.iter().filter_map(|told| told["params"]["event"]["type"].as_str()).collect();
    let under_way = kinds.contains(&"compactionStarted") && !kinds.contains(&"compactionFinished");
    let session = answer["sessionId"].clone();
    match act {
        Act::Cancel => drop(client.execute("cowrite.cancel", json!({})).await.expect("it answers")),
        // Refused while a run is live: that is an answer too.
        Act::Clear => drop(client.execute("cowrite.session.clear", json!({})).await),
        Act::Fork => {
            drop(client.execute("cowrite.session.fork", json!({ "sessionId": session })).await.expect("it answers"))
        }
        Act::Kill => client.kill().await,
        Act::Shutdown => drop(client.stop().await),
    }
    assert_eq!(client.text(&uri), "What I typed.\nAnd more.\n", "the buffer is the person's");
    let client = if matches!(act, Act::Kill | Act::Shutdown) {
        Client::start(this.setup(false, &place.workspace)).await
    } else {
        if let Some(run) = answer["runId"].as_str() {
            client.finished(run).await;
        }
        client
    };
    for prompt in ["Go on.", "And on."] {
        let (_, finished) = ask(&client, prompt).await;
        assert_eq!(finished["status"], "completed", "{act:?} {by_command} in round {round}: {finished}");
    }
    let export = client
        .execute("cowrite.session.export", json!({ "sessionId": session, "format": "json" }))
        .await
        .expect("it answers");
    assert!(
        export["text"].as_str().is_some_and(|text| text.contains("Keep Zebra::stripe.")),
        "{act:?}: what was said is kept"
    );
    client.stop().await;
    crate::durable::verified(&this.state);
    under_way
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_compaction_that_is_refused_writes_nothing() {
    let place = Place::new(&script(100_000, vec![says("Yes.")]), json!({}));
    let client = place.server().await;
    let answer = client.execute("cowrite.compact", json!({})).await.expect("it answers");
    assert_eq!(answer["started"], false, "{answer}");
    let list = client.execute("cowrite.sessions", json!({})).await.expect("a list");
    assert_eq!(list["sessions"], json!([]), "{list}");
    ask(&client, "Name me.").await;
    let list = client.execute("cowrite.sessions", json!({})).await.expect("a list");
    assert_eq!(list["sessions"][0]["title"], "Name me.", "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_a_clear_drops_the_summary_that_is_under_way_and_says_so() {
    let mut script = script(100_000, vec![says(&prose("An answer", 600))]);
    script["summary"] = json!({ "deltas": [{ "delay_ms": 60_000 }, { "text": "late" }] });
    let place = Place::new(&script, json!({ "mode": "safe_frontier" }));
    let client = place.server().await;
    ask(&client, "One.").await;
    assert_eq!(client.execute("cowrite.compact", json!({})).await.expect("it answers")["started"], true);
    let second = client.execute("cowrite.compact", json!({})).await.expect("it answers");
    assert!(second["reason"].as_str().is_some_and(|why| why.contains("under way")), "one at a time: {second}");
    client.execute("cowrite.session.clear", json!({})).await.expect("it is cleared");
    let finished = compaction(&client, "compactionFinished").await;
    assert!(finished["error"].as_str().is_some_and(|error| error.contains("stopped")), "{finished}");
    let (run, _) = ask(&client, "Two.").await;
    assert_eq!(of_kind(&client.events(&run), "usage")[0]["items"], 1, "nothing of before is sent");
}
