//! Runs of mode `ask` propose, and the person decides; what other runs have applied can be decided on too.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, edit, says};

pub(crate) const BEFORE: &str = "fn one() {}\nfn two() {}\nfn three() {}\nfn four() {}\nfn five() {}\n";

/// A workspace with an open buffer.
pub(crate) struct Scene {
    _folder: tempfile::TempDir,
    pub(crate) workspace: PathBuf,
    state: PathBuf,
    rules: Vec<(&'static str, Vec<Value>)>,
}

impl Scene {
    pub(crate) fn new(rules: Vec<(&'static str, Vec<Value>)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("real");
        let (workspace, state) = (real.join("work"), real.join("state"));
        std::fs::create_dir(&workspace).expect("a folder");
        std::fs::write(workspace.join("a.rs"), BEFORE).expect("written");
        Self { _folder: folder, workspace, state, rules }
    }

    fn setup(&self, personality: Personality) -> Setup<'_> {
        let setup = Setup::scripted(personality, &self.workspace, &self.rules);
        Setup { state: Some(self.state.clone()), ..setup }
    }

    pub(crate) async fn server(&self, personality: Personality) -> (Client, String) {
        let client = Client::start(self.setup(personality)).await;
        let uri = client.open(&self.workspace.join("a.rs"), BEFORE);
        (client, uri)
    }

    /// A server that can be killed, with the buffer as it is.
    pub(crate) async fn process(&self, text: &str) -> (Client, String) {
        let client = Client::start(Setup { process: true, ..self.setup(Personality::VsCode) }).await;
        let uri = client.open(&self.workspace.join("a.rs"), text);
        (client, uri)
    }

    pub(crate) fn disk(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.workspace.join(path)).ok()
    }
}

/// Reads the file and edits it in one call.
pub(crate) fn editing(edits: &[(&str, &str)]) -> Vec<Value> {
    vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&[edit("a.rs", edits)]), says("done")]
}

pub(crate) async fn run(client: &Client, prompt: &str, mode: &str) -> String {
    let run = client.run("cowrite.run", json!({ "prompt": prompt, "mode": mode })).await;
    let finished = client.finished(&run).await;
    assert_eq!(finished["status"], "completed", "{finished}");
    run
}

pub(crate) async fn accept(client: &Client, which: Value) -> Value {
    client.execute("cowrite.accept", which).await.expect("accepted")["hunks"].clone()
}

pub(crate) async fn reject(client: &Client, which: Value) -> Value {
    client.execute("cowrite.reject", which).await.expect("rejected")["hunks"].clone()
}

/// The sentence that a command is refused with.
pub(crate) async fn refused(client: &Client, command: &str, which: Value) -> String {
    let error = client.execute(command, which).await.expect_err("it cannot be");
    assert_eq!(error["code"], -32803, "{error}");
    error["message"].as_str().expect("a sentence").to_owned()
}

pub(crate) fn of_type(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).cloned().collect()
}

/// Events of a kind that belong to no run, once there are so many.
pub(crate) async fn told_later(client: &Client, kind: &str, count: usize) -> Vec<Value> {
    let look = |notifications: &[Value], _: &[Value]| {
        let told = notifications.iter().map(|message| &message["params"]);
        let later = told.filter(|told| told.get("runId").is_none() && told["event"]["type"] == kind);
        let later: Vec<Value> = later.map(|told| told["event"].clone()).collect();
        (later.len() >= count).then_some(later)
    };
    let told = client.until(&format!("{count} {kind} without a run"), look).await;
    assert_eq!(told.len(), count, "{told:#?}");
    told
}

/// What is recorded of the session.
pub(crate) async fn records(client: &Client) -> Vec<Value> {
    let answer = client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
    let export: Value = serde_json::from_str(answer["text"].as_str().expect("a text")).expect("JSON");
    export["records"].as_array().expect("records").iter().map(|record| record["record"].clone()).collect()
}

/// Everything that the model was told in the session, as one text.
pub(crate) async fn heard(client: &Client) -> String {
    let items = records(client).await.into_iter().filter(|record| record["item"]["item"].is_object());
    items.map(|record| record["item"]["item"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_proposed_is_taken_and_refused_by_place_by_file_and_by_run() {
    for personality in Personality::ALL {
        let turns = vec![
            calls(&[("read", json!({ "path": "a.rs" }))]),
            calls(&[
                edit("a.rs", &[("one", "eins"), ("three", "drei"), ("five", "fünf")]),
                ("write", json!({ "path": "b.rs", "content": "fn b() {}\n" })),
            ]),
            says("done"),
        ];
        let scene = Scene::new(vec![("go", turns)]);
        let (client, uri) = scene.server(personality).await;
        let run = run(&client, "go", "ask").await;
        assert_eq!(
            (client.text(&uri), scene.disk("b.rs")),
            (BEFORE.into(), None),
            "{personality:?}: nothing is changed"
        );
        assert!(client.requests("workspace/applyEdit").is_empty(), "{personality:?}");
        let proposed = of_type(&client.events(&run), "editProposed");
        assert_eq!(proposed.len(), 2, "{personality:?}: {proposed:#?}");
        assert_eq!(proposed[0]["hunks"][1]["range"]["start"], json!({ "line": 2, "character": 3 }));
        assert_eq!(proposed[0]["hunks"][1]["newText"], "drei");
        assert_eq!(
            (&proposed[1]["operation"], &proposed[1]["hunks"][0]["newText"]),
            (&json!("create"), &json!("fn b() {}\n"))
        );
        let id = |event: usize, hunk: usize| proposed[event]["hunks"][hunk]["id"].clone();

        assert_eq!(accept(&client, json!({ "runId": run, "hunk": id(0, 1) })).await, json!([id(0, 1)]));
        assert_eq!(client.text(&uri), BEFORE.replace("three", "drei"), "{personality:?}");
        assert_eq!(client.requests("workspace/applyEdit").len(), 1, "{personality:?}: one step to undo");
        assert_eq!(reject(&client, json!({ "uri": uri, "hunk": id(0, 0) })).await, json!([id(0, 0)]));
        assert_eq!(accept(&client, json!({ "uri": uri })).await, json!([id(0, 2)]));
        assert_eq!(client.text(&uri), BEFORE.replace("three", "drei").replace("five", "fünf"), "{personality:?}");
        assert_eq!(scene.disk("b.rs"), None, "{personality:?}: of that nobody has decided");
        assert_eq!(accept(&client, json!({ "runId": run })).await, json!([id(1, 0)]));
        assert_eq!(scene.disk("b.rs").as_deref(), Some("fn b() {}\n"), "{personality:?}");

        let rejected = told_later(&client, "editRejected", 1).await;
        assert_eq!(rejected[0]["reason"], "refused by the person", "{personality:?}");
        // What comes after the run's end has no runId.
        told_later(&client, "editApplied", 3).await;
        let status = client.execute("cowrite.status", json!({})).await.expect("a status");
        assert_eq!(status["runs"][0]["edits"][0]["hunks"], 2, "{personality:?}: {status}");
        let heard = heard(&client).await;
        assert!(heard.contains("The person took your proposed change of a.rs at line 3"), "{heard}");
        assert!(heard.contains("The person refused your proposed change of a.rs at line 1"), "{heard}");

        assert!(refused(&client, "cowrite.accept", json!({})).await.contains("nothing is proposed"));
        let twice = refused(&client, "cowrite.accept", json!({ "runId": run, "hunk": id(0, 1) })).await;
        assert!(twice.contains("was accepted already"), "{twice}");
        client.execute("cowrite.undo", json!({ "runId": run })).await.expect("undone");
        assert_eq!((client.text(&uri), scene.disk("b.rs")), (BEFORE.into(), None), "{personality:?}");
        let undone = refused(&client, "cowrite.reject", json!({ "runId": run, "hunk": id(0, 1) })).await;
        assert!(undone.contains("was taken back already"), "{undone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_follow_the_typing_and_end_where_it_meets_them() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]))]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    let run = run(&client, "go", "ask").await;
    client.type_into(&uri, |_| (0..0, "// typed above\n".into()));
    client.type_into(&uri, |text| {
        let at = text.find("three").expect("there");
        (at..at, "my_".into())
    });
    let hunk = |hunk: usize| of_type(&client.events(&run), "editProposed")[0]["hunks"][hunk]["id"].clone();
    let said = refused(&client, "cowrite.accept", json!({ "runId": run, "hunk": hunk(1) })).await;
    assert!(said.contains("line 4 was changed meanwhile"), "{said}");
    let rejected = told_later(&client, "editRejected", 1).await;
    assert!(rejected[0]["reason"].as_str().expect("a reason").contains("line 4"), "{rejected:#?}");
    assert_eq!(accept(&client, json!({ "runId": run })).await, json!([hunk(0), hunk(2)]));
    let now =
        format!("// typed above\n{BEFORE}").replace("one", "eins").replace("three", "my_three").replace("five", "fünf");
    assert_eq!(client.text(&uri), now);
    assert!(heard(&client).await.contains("was dropped"), "the model hears of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_outlive_a_crash_and_what_is_taken_then_can_be_undone() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]))]);
    let (client, uri) = scene.process(BEFORE).await;
    let run = run(&client, "go", "ask").await;
    let first = of_type(&client.events(&run), "editProposed")[0]["hunks"][0]["id"].clone();
    assert_eq!(accept(&client, json!({ "hunk": first })).await, json!([first]));
    let text = format!("// typed\n{}", client.text(&uri));
    client.kill().await;

    let (client, uri) = scene.process(&text).await;
    let third = json!("p3");
    assert_eq!(reject(&client, json!({ "hunk": third })).await, json!([third]), "of the newest run that has any");
    assert_eq!(accept(&client, json!({ "runId": run })).await, json!(["p2"]));
    assert_eq!(client.text(&uri), format!("// typed\n{BEFORE}").replace("one", "eins").replace("three", "drei"));
    let text = client.text(&uri);
    client.kill().await;

    let (client, uri) = scene.process(&text).await;
    assert!(refused(&client, "cowrite.accept", json!({})).await.contains("nothing is proposed"), "all is decided");
    assert_eq!(
        reject(&client, json!({ "runId": run, "hunk": "p1" })).await,
        json!(["p1"]),
        "what was taken can be taken back"
    );
    assert_eq!(client.text(&uri), format!("// typed\n{BEFORE}").replace("three", "drei"));
    client.execute("cowrite.undo", json!({})).await.expect("undone");
    assert_eq!(client.text(&uri), format!("// typed\n{BEFORE}"));
    assert_eq!(client.stop().await, std::process::ExitCode::SUCCESS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_sees_its_own_proposals_and_what_it_changes_again_is_one_place() {
    let turns = vec![
        calls(&[("read", json!({ "path": "a.rs" }))]),
        calls(&[edit("a.rs", &[("one", "eins"), ("four", "vier")])]),
        calls(&[("read", json!({ "path": "a.rs" }))]),
        calls(&[
            edit("a.rs", &[("eins() {}", "eins() { 1 }")]),
            ("write", json!({ "path": "b.rs", "content": "fn b() {}\n" })),
            edit("b.rs", &[("fn b()", "fn bee()")]),
        ]),
        says("done"),
    ];
    let scene = Scene::new(vec![("go", turns)]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    let run = run(&client, "go", "ask").await;
    let events = client.events(&run);
    let proposed = of_type(&events, "editProposed");
    assert_eq!(proposed[1]["replaces"], json!([proposed[0]["hunks"][0]["id"]]), "{proposed:#?}");
    assert_eq!(proposed[1]["hunks"][0]["newText"], "eins() { 1 ");
    assert_eq!(
        (&proposed[3]["operation"], &proposed[3]["replaces"]),
        (&json!("create"), &json!([proposed[2]["hunks"][0]["id"]]))
    );
    let gone = refused(&client, "cowrite.accept", json!({ "runId": run, "hunk": "p1" })).await;
    assert!(gone.contains("nothing like that"), "{gone}");
    accept(&client, json!({ "runId": run })).await;
    assert_eq!(client.text(&uri), BEFORE.replace("one() {}", "eins() { 1 }").replace("four", "vier"));
    assert_eq!(scene.disk("b.rs").as_deref(), Some("fn bee() {}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_refusal_the_model_knows_and_cannot_write_over_what_it_did_not_see() {
    let again = vec![calls(&[edit("a.rs", &[("drei() {}", "dreizehn() {}")])]), says("so it is")];
    for mode in ["edit", "ask"] {
        let first = editing(&[("one", "eins"), ("three", "drei")]);
        let scene = Scene::new(vec![("go", first), ("again", again.clone())]);
        let (client, uri) = scene.server(Personality::VsCode).await;
        let first = run(&client, "go", "ask").await;
        reject(&client, json!({ "runId": first })).await;
        let second = run(&client, "again", mode).await;
        let ended = of_type(&client.events(&second), "toolFinished");
        assert_eq!(ended[0]["ok"], false, "{mode}: {ended:#?}");
        assert_eq!(client.text(&uri), BEFORE, "{mode}");
        let heard = heard(&client).await;
        assert!(heard.contains("The person refused your proposed change of a.rs at line 1, line 3"), "{heard}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_run_goes_on_its_proposals_can_be_decided_and_it_hears_of_it_in_its_next_turn() {
    let wait = json!({ "deltas": [{ "text": "thinking" }, { "delay_ms": 1500 },
        { "call": { "name": "edit", "arguments": { "path": "a.rs", "edits": [{ "old": "five", "new": "fünf" }] } } }] });
    let turns = vec![
        calls(&[("read", json!({ "path": "a.rs" }))]),
        calls(&[edit("a.rs", &[("one", "eins"), ("three", "drei")])]),
        wait,
        says("done"),
    ];
    let scene = Scene::new(vec![("go", turns)]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    let run = client.run("cowrite.run", json!({ "prompt": "go", "mode": "ask" })).await;
    client.streamed(&run).await;
    assert_eq!(accept(&client, json!({ "runId": run, "hunk": "p1" })).await, json!(["p1"]));
    assert_eq!(reject(&client, json!({ "runId": run, "hunk": "p2" })).await, json!(["p2"]));
    assert_eq!(client.finished(&run).await["status"], "completed");
    let events = client.events(&run);
    assert_eq!((of_type(&events, "editApplied").len(), of_type(&events, "editRejected").len()), (1, 1), "{events:#?}");
    assert_eq!(accept(&client, json!({ "runId": run })).await, json!(["p3"]));
    assert_eq!(client.text(&uri), BEFORE.replace("one", "eins").replace("five", "fünf"));
    let in_run = records(&client).await.into_iter().filter(|record| record["item"]["run"] == json!(run));
    let in_run: String = in_run.map(|record| record.to_string()).collect();
    assert!(in_run.contains("The person took your proposed change of a.rs at line 1"), "{in_run}");
    assert!(in_run.contains("The person refused your proposed change of a.rs at line 3"), "{in_run}");
    let files = client.execute("cowrite.undo", json!({ "runId": run })).await.expect("undone");
    assert_eq!(files["files"][0]["outcome"], "restored");
    assert_eq!(client.text(&uri), BEFORE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_accept_the_same_place_make_it_once() {
    for round in 0..5 {
        let scene = Scene::new(vec![("go", editing(&[("one", "eins")]))]);
        let (client, uri) = scene.server(Personality::VsCode).await;
        // A file that is read from the disk: both would look at it before either has changed it.
        client.close(&uri);
        let run = run(&client, "go", "ask").await;
        let which = || json!({ "runId": run, "hunk": "p1" });
        let both = tokio::join!(client.execute("cowrite.accept", which()), client.execute("cowrite.accept", which()));
        let refused: Vec<String> =
            [both.0, both.1].into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
        assert_eq!(refused.len(), 1, "{round}: {refused:?}");
        assert!(
            refused[0].contains("nothing of that is left to decide on"),
            "{round}: the other one comes behind it: {refused:?}"
        );
        assert_eq!(scene.disk("a.rs"), Some(BEFORE.replace("one", "eins")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_editor_does_not_show_still_waits() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins")]))]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    let run = run(&client, "go", "ask").await;
    client.lie_about_edits();
    let said = refused(&client, "cowrite.accept", json!({ "runId": run })).await;
    assert!(said.contains("not confirmed"), "{said}");
    assert_eq!(client.text(&uri), BEFORE);
    assert!(said.ends_with("it waits on, and can be decided again in 2 s"), "{said}");
    // It may still come, and is not decided again at once.
    for command in ["cowrite.accept", "cowrite.reject"] {
        let said = refused(&client, command, json!({ "runId": run })).await;
        assert!(said.contains("a.rs is being changed at this moment"), "{said}");
        assert!(said.ends_with("try it again in 2 s"), "{said}");
    }
    client.tell_the_truth_about_edits();
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    assert_eq!(accept(&client, json!({ "runId": run })).await, json!(["p1"]));
    assert_eq!(client.text(&uri), BEFORE.replace("one", "eins"));
    told_later(&client, "editApplied", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn undo_of_a_run_refuses_what_still_waits() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei")]))]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    let run = run(&client, "go", "ask").await;
    accept(&client, json!({ "runId": run, "hunk": "p1" })).await;
    let answer = client.execute("cowrite.undo", json!({})).await.expect("undone");
    assert_eq!(answer["files"], json!([{ "uri": uri, "outcome": "restored" }]));
    assert_eq!(client.text(&uri), BEFORE);
    assert!(refused(&client, "cowrite.accept", json!({ "runId": run })).await.contains("was taken back already"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_applied_can_be_kept_and_taken_back_place_by_place() {
    for personality in Personality::ALL {
        let scene = Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]))]);
        let (client, uri) = scene.server(personality).await;
        let run = run(&client, "go", "edit").await;
        client.type_into(&uri, |_| (0..0, "// typed\n".into()));
        let which = |hunk: &str| json!({ "runId": run, "uri": uri, "hunk": hunk });
        assert_eq!(accept(&client, which("h1")).await, json!(["h1"]));
        // Where nothing is proposed, a place that is named is one of the newest run's.
        assert!(refused(&client, "cowrite.reject", json!({})).await.contains("nothing is proposed"));
        assert_eq!(reject(&client, json!({ "uri": uri, "hunk": "h2" })).await, json!(["h2"]));
        let typed = format!("// typed\n{BEFORE}");
        assert_eq!(client.text(&uri), typed.replace("one", "eins").replace("five", "fünf"), "{personality:?}");
        assert!(refused(&client, "cowrite.reject", which("h2")).await.contains("taken back already"));
        assert_eq!(reject(&client, json!({ "runId": run })).await, json!(["h3"]), "what was accepted stays");
        assert_eq!(client.text(&uri), typed.replace("one", "eins"), "{personality:?}");
        assert_eq!(reject(&client, which("h1")).await, json!(["h1"]), "unless it is named");
        assert_eq!(client.text(&uri), typed, "{personality:?}");
        told_later(&client, "editRejected", 3).await;
        assert!(heard(&client).await.contains("took back a part of what you had changed in a.rs"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_was_typed_on_stays_and_undo_of_the_rest_goes_on_after_a_restart() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]))]);
    let (client, uri) = scene.process(BEFORE).await;
    let run = run(&client, "go", "edit").await;
    client.type_into(&uri, |text| {
        let at = text.find("drei").expect("there");
        (at..at, "my_".into())
    });
    let said = refused(&client, "cowrite.reject", json!({ "runId": run, "hunk": "h2" })).await;
    assert!(said.contains("line 3 was changed"), "{said}");
    let text = client.text(&uri);
    client.kill().await;
    let (client, uri) = scene.process(&text).await;
    assert_eq!(reject(&client, json!({ "runId": run, "hunk": "h1" })).await, json!(["h1"]));
    // The person writes on in the line that was taken back, and gives up what stood in the way.
    client.type_into(&uri, |text| {
        let at = text.find("my_").expect("there");
        (at..at + 3, String::new())
    });
    client.type_into(&uri, |text| {
        let at = text.find("one").expect("back");
        (at..at, "number_".into())
    });
    let answer = client.execute("cowrite.undo", json!({ "runId": run })).await.expect("undone");
    assert_eq!(answer["files"][0]["outcome"], "merged", "{answer}");
    assert_eq!(client.text(&uri), BEFORE.replace("one", "number_one"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleared_session_waits_for_nothing_and_a_deleted_one_neither() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins")]))]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    for command in ["cowrite.session.clear", "cowrite.session.delete"] {
        run(&client, "go", "ask").await;
        client.execute(command, json!({})).await.expect("done");
        assert!(refused(&client, "cowrite.accept", json!({})).await.contains("nothing is proposed"), "{command}");
    }
    // One that another takes the place of does.
    run(&client, "go", "ask").await;
    client.execute("cowrite.session.new", json!({})).await.expect("a new one");
    accept(&client, json!({})).await;
    assert_eq!(client.text(&uri), BEFORE.replace("one", "eins"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_a_session_and_its_fork_is_decided_once() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]))]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    let run = run(&client, "go", "ask").await;
    client.execute("cowrite.session.fork", json!({})).await.expect("a fork");
    assert_eq!(accept(&client, json!({ "hunk": "p1" })).await, json!(["p1"]));
    assert_eq!(reject(&client, json!({ "hunk": "p2" })).await, json!(["p2"]));
    assert!(
        refused(&client, "cowrite.reject", json!({ "runId": run, "hunk": "p2" })).await.contains("nothing like that")
    );
    assert_eq!(accept(&client, json!({})).await, json!(["p3"]));
    assert!(refused(&client, "cowrite.accept", json!({})).await.contains("nothing is proposed"));
    assert_eq!(client.text(&uri), BEFORE.replace("one", "eins").replace("five", "fünf"));
    assert_eq!(client.requests("workspace/applyEdit").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_hears_that_what_was_proposed_before_still_waits() {
    let scene = Scene::new(vec![("go", editing(&[("one", "eins")])), ("hello", vec![says("hi")])]);
    let (client, _) = scene.server(Personality::VsCode).await;
    run(&client, "go", "ask").await;
    run(&client, "hello", "edit").await;
    let said = "What you proposed earlier in a.rs still waits for the person to decide and is not in the text yet.";
    assert!(heard(&client).await.contains(said));
    let text = client.execute("cowrite.session.export", json!({})).await.expect("an export")["text"].to_string();
    assert!(text.contains("Proposed a.rs"), "{text}");
    accept(&client, json!({})).await;
    let text = client.execute("cowrite.session.export", json!({})).await.expect("an export")["text"].to_string();
    assert!(text.contains("The person took p1 in a.rs"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_whose_folder_became_a_link_or_is_no_longer_open_is_not_made() {
    let turns = vec![
        calls(&[("write", json!({ "path": "sub/b.rs", "content": "b\n" })), ("read", json!({ "path": "a.rs" }))]),
        calls(&[edit("a.rs", &[("one", "eins")])]),
        says("done"),
    ];
    let scene = Scene::new(vec![("go", turns)]);
    let (client, uri) = scene.server(Personality::VsCode).await;
    let run = run(&client, "go", "ask").await;
    let outside = scene.state.parent().expect("a folder").join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    std::os::unix::fs::symlink(&outside, scene.workspace.join("sub")).expect("a link");
    let said = refused(&client, "cowrite.accept", json!({ "runId": run, "hunk": "p1" })).await;
    assert!(said.contains("sub/b.rs"), "{said}");
    assert!(!outside.join("b.rs").exists());
    let folder = |path: &PathBuf| json!([{ "uri": crate::client::uri(path), "name": "w" }]);
    let event = json!({ "added": folder(&outside), "removed": folder(&scene.workspace) });
    client.notify("workspace/didChangeWorkspaceFolders", json!({ "event": event }));
    let said = refused(&client, "cowrite.accept", json!({ "runId": run, "hunk": "p2" })).await;
    assert!(said.contains("is not in the folders that are open now"), "{said}");
    assert_eq!(client.text(&uri), BEFORE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_run_made_goes_with_the_place_that_made_it() {
    let write = |path: &str, content: &str| ("write", json!({ "path": path, "content": content }));
    let turns = vec![
        calls(&[write("b.rs", "one\ntwo\n"), write("c.rs", "c\n"), write("d.rs", "d\n")]),
        calls(&[edit("b.rs", &[("two", "zwei")])]),
        says("done"),
    ];
    let scene = Scene::new(vec![("go", turns)]);
    let (client, _) = scene.server(Personality::VsCode).await;
    let run = run(&client, "go", "edit").await;
    let which = |hunk: &str| json!({ "runId": run, "hunk": hunk });
    reject(&client, which("h2")).await;
    assert_eq!(scene.disk("c.rs"), None);
    std::fs::write(scene.workspace.join("d.rs"), "d\nmine\n").expect("written");
    assert!(
        refused(&client, "cowrite.reject", which("h3"))
            .await
            .contains("line 2 was changed since the run had made d.rs")
    );
    reject(&client, which("h4")).await;
    assert_eq!(scene.disk("b.rs").as_deref(), Some("one\ntwo\n"));
    client.execute("cowrite.undo", json!({ "runId": run })).await.expect("undone");
    assert_eq!(scene.disk("b.rs"), None, "all that was left of it was the run's");
    assert_eq!(scene.disk("d.rs").as_deref(), Some("d\nmine\n"));
}

/// Lines that cannot be packed much.
fn large(bytes: usize) -> String {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::with_capacity(bytes + 80);
    for line in 0.. {
        if text.len() >= bytes {
            break;
        }
        text += &format!("line{line}");
        for _ in 0..4 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text += &format!(" {seed:016x}");
        }
        text.push('\n');
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_text_is_kept_once_however_often_something_is_proposed_in_it() {
    let text = large(2_000_000);
    let turns = vec![
        calls(&[("read", json!({ "path": "a.rs", "start_line": 1, "end_line": 9 }))]),
        calls(&[edit("a.rs", &[("line1 ", "LINE1 ")])]),
        calls(&[edit("a.rs", &[("line5 ", "LINE5 ")])]),
        calls(&[edit("a.rs", &[("line8 ", "LINE8 ")])]),
        says("done"),
    ];
    let scene = Scene::new(vec![("go", turns)]);
    std::fs::write(scene.workspace.join("a.rs"), &text).expect("written");
    let client = Client::start(scene.setup(Personality::VsCode)).await;
    let run = run(&client, "go", "ask").await;
    assert_eq!(
        of_type(&client.events(&run), "editProposed").len(),
        3,
        "each is recorded with the text that it stands in"
    );
    client.stop().await;
    let (mut kept, mut folders) = (0, vec![scene.state.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            match entry.metadata().expect("there") {
                data if data.is_dir() => folders.push(entry.path()),
                data => kept += data.len() as usize,
            }
        }
    }
    assert!(kept < text.len(), "{kept} bytes for a text of {}, which is packed", text.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_on_does_not_keep_the_rest_of_the_file_from_being_taken_back() {
    for personality in Personality::ALL {
        let scene = Scene::new(vec![("go", editing(&[("one", "eins"), ("three", "drei"), ("five", "fünf")]))]);
        let (client, uri) = scene.server(personality).await;
        let run = run(&client, "go", "edit").await;
        client.type_into(&uri, |text| {
            let at = text.find("drei").expect("there");
            (at..at, "my_".into())
        });
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
        let taken = reject(&client, json!({ "runId": run, "uri": uri })).await;
        let mut taken: Vec<&str> = taken.as_array().expect("ids").iter().filter_map(Value::as_str).collect();
        taken.sort_unstable();
        assert_eq!(taken, ["h1", "h3"], "{personality:?}");
        assert_eq!(client.text(&uri), BEFORE.replace("three", "my_drei"), "{personality:?}");
        let said = refused(&client, "cowrite.reject", json!({ "runId": run, "uri": uri })).await;
        assert!(said.contains("line 3 was changed after the run"), "{personality:?}: {said}");
    }
}
