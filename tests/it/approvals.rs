//! What a run must ask for, it asks for, in every editor: by a request where there is one, else by a message, code actions and
//! commands. One answer counts, for exactly what was shown.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, says};

const PROTECTED: &str = ".vscode/settings.json";

/// Those that are told by a message alone.
fn has_no_requests(personality: Personality) -> bool {
    matches!(personality, Personality::HelixOld | Personality::Eglot)
}

struct Scene {
    _folder: tempfile::TempDir,
    workspace: PathBuf,
    state: PathBuf,
    rules: Vec<(&'static str, Vec<Value>)>,
}

impl Scene {
    fn new(rules: Vec<(&'static str, Vec<Value>)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("real");
        let (workspace, state) = (real.join("work"), real.join("state"));
        std::fs::create_dir(&workspace).expect("a folder");
        std::fs::write(workspace.join("a.rs"), "fn a() {}\n").expect("written");
        Self { _folder: folder, workspace, state, rules }
    }

    fn setup(&self, personality: Personality) -> Setup<'_> {
        Setup { state: Some(self.state.clone()), ..Setup::scripted(personality, &self.workspace, &self.rules) }
    }

    async fn client(&self, personality: Personality) -> Client {
        Client::start(self.setup(personality)).await
    }

    fn written(&self) -> Option<String> {
        std::fs::read_to_string(self.workspace.join(PROTECTED)).ok()
    }
}

fn write(path: &str, content: &str) -> (&'static str, Value) {
    ("write", json!({ "path": path, "content": content }))
}

/// A run that would write a protected file.
fn writing() -> Vec<Value> {
    vec![calls(&[write(PROTECTED, "{}\n")]), says("That is all.")]
}

/// Answers requests with these choices, in their order; `None` sends one away. Gives the requests.
fn pressing(client: &Client, choices: Vec<Option<&'static str>>) -> Arc<Mutex<Vec<Value>>> {
    let shown = Arc::<Mutex<Vec<Value>>>::default();
    let seen = shown.clone();
    let mut choices = choices.into_iter();
    client.set_habit(move |client, method, id, params| {
        if method != "window/showMessageRequest" {
            return false;
        }
        seen.lock().expect("a lock").push(params.clone());
        let choice = choices.next().expect("no more questions than expected");
        client.reply(id.clone(), choice.map_or(Value::Null, |title| json!({ "title": title })));
        true
    });
    shown
}

async fn go(client: &Client, prompt: &str) -> String {
    client.run("cowrite.run", json!({ "prompt": prompt })).await
}

/// Waits until so many questions are open.
async fn open(client: &Client, count: usize) -> Vec<Value> {
    for _ in 0..400 {
        let status = client.execute("cowrite.status", json!({})).await.expect("a status");
        let approvals = status["approvals"].as_array().expect("a list").clone();
        if approvals.len() == count {
            return approvals;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{count} questions were never open");
}

/// The decisions that were told of a run's questions.
fn decisions(events: &[Value]) -> Vec<String> {
    let of =
        |event: &Value| (event["type"] == "approvalResolved").then(|| event["decision"].as_str().map(str::to_owned));
    events.iter().filter_map(|event| of(event).flatten()).collect()
}

async fn events(client: &Client, run: &str) -> Vec<Value> {
    let page = client.execute("cowrite.events", json!({ "runId": run })).await.expect("events");
    page["events"].as_array().expect("a list").iter().map(|envelope| envelope["event"].clone()).collect()
}

async fn actions(client: &Client, uri: &str) -> Vec<Value> {
    let place = json!({ "line": 0, "character": 0 });
    let params = json!({ "textDocument": { "uri": uri }, "range": { "start": place, "end": place }, "context": { "diagnostics": [] } });
    let actions = client.request("textDocument/codeAction", params).await.expect("actions");
    let answers = |action: &&Value| {
        let command = action["command"]["command"].as_str().expect("complete when listed");
        matches!(command, "cowrite.approve" | "cowrite.deny")
    };
    actions.as_array().expect("a list").iter().filter(answers).cloned().collect()
}

async fn choose(client: &Client, action: &Value) {
    let params = json!({ "command": action["command"]["command"], "arguments": action["command"]["arguments"] });
    client.request("workspace/executeCommand", params).await.unwrap_or_else(|error| panic!("{action}: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protected_file_is_asked_for_in_every_editor_and_written_once_it_is_allowed() {
    for personality in Personality::ALL {
        let scene = Scene::new(vec![("go", writing())]);
        let client = scene.client(personality).await;
        let uri = client.open(&scene.workspace.join("a.rs"), "fn a() {}\n");
        let shown = pressing(&client, vec![Some("Allow once")]);
        let run = go(&client, "go").await;
        if has_no_requests(personality) {
            let said = client
                .until("the message", |notifications, _| {
                    let text = |message: &Value| message["params"]["message"].as_str().map(str::to_owned);
                    let messages = notifications.iter().filter(|message| message["method"] == "window/showMessage");
                    messages.filter_map(text).find(|text| text.starts_with("Cowrite waits for you"))
                })
                .await;
            assert!(said.contains(PROTECTED) && said.contains("cowrite.approve or cowrite.deny"), "{said}");
            assert_eq!(scene.written(), None, "{personality:?}");
            // Eglot's message stays; in Helix the progress takes its line.
            if personality == Personality::HelixOld {
                let shows = |message: &Value| {
                    let shown = message["params"]["value"]["message"].as_str();
                    shown.is_some_and(|shown| shown.starts_with("waits for you (space a): "))
                };
                client.until("the progress", |all, _| all.iter().any(shows).then_some(())).await;
            }
            let actions = actions(&client, &uri).await;
            let titles: Vec<&str> = actions.iter().filter_map(|action| action["title"].as_str()).collect();
            // What is protected is never allowed for a session.
            assert_eq!(titles.len(), 2, "{titles:?}");
            assert!(
                titles[0].starts_with("Cowrite: allow once: ") && titles[1].starts_with("Cowrite: deny: "),
                "{titles:?}"
            );
            choose(&client, &actions[0]).await;
        }
        assert_eq!(client.finished(&run).await["status"], "completed", "{personality:?}");
        assert_eq!(scene.written().as_deref(), Some("{}\n"), "{personality:?}");
        assert_eq!(decisions(&events(&client, &run).await), ["approved"], "{personality:?}");
        let shown = shown.lock().expect("a lock").clone();
        assert_eq!(shown.len(), usize::from(!has_no_requests(personality)), "{personality:?}");
        for request in &shown {
            let titles: Vec<&Value> =
                request["actions"].as_array().expect("actions").iter().map(|item| &item["title"]).collect();
            assert_eq!(titles, ["Allow once", "Allow for this session", "Deny"]);
            assert!(request["message"].as_str().expect("words").contains(PROTECTED), "{request}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_to_a_protected_file_is_a_yes_to_the_edit_in_ask_mode_and_it_can_be_taken_back_in_any() {
    for mode in ["ask", "edit"] {
        let scene = Scene::new(vec![("go", writing())]);
        let outside = scene.state.parent().expect("a folder").join("outside.txt");
        std::fs::write(&outside, "old\n").expect("written");
        let turns = vec![
            calls(&[("read", json!({ "path": outside }))]),
            calls(&[write(outside.to_str().expect("UTF-8"), "new\n")]),
            says("That is all."),
        ];
        let scene = Scene { rules: vec![("go", writing()), ("leave", turns)], ..scene };
        let client = scene.client(Personality::VsCode).await;
        pressing(&client, vec![Some("Allow once"); 3]);
        let mut runs = Vec::new();
        for prompt in ["go", "leave"] {
            let run = client.run("cowrite.run", json!({ "prompt": prompt, "mode": mode })).await;
            assert_eq!(client.finished(&run).await["status"], "completed", "{mode}");
            runs.push(run);
        }
        assert_eq!(scene.written().as_deref(), Some("{}\n"), "{mode}");
        assert_eq!(std::fs::read_to_string(&outside).expect("there"), "new\n", "{mode}");
        let status = client.execute("cowrite.status", json!({})).await.expect("a status");
        assert_eq!(status["proposals"], json!([]), "{mode}");
        for run in runs {
            let undone = client.execute("cowrite.undo", json!({ "runId": run })).await.expect("an answer");
            assert_eq!(undone["files"][0]["outcome"], "restored", "{mode}: {undone}");
        }
        assert_eq!(scene.written(), None, "{mode}");
        assert_eq!(std::fs::read_to_string(&outside).expect("there"), "old\n", "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_and_a_question_sent_away_leave_the_file_alone_and_the_run_goes_on() {
    for choice in [Some("Deny"), None] {
        let scene = Scene::new(vec![("go", writing())]);
        let client = scene.client(Personality::VsCode).await;
        pressing(&client, vec![choice]);
        let run = go(&client, "go").await;
        let finished = client.finished(&run).await;
        assert_eq!((&finished["status"], &finished["resultText"]), (&json!("completed"), &json!("That is all.")));
        assert_eq!(scene.written(), None, "{choice:?}");
        assert_eq!(decisions(&events(&client, &run).await), ["denied"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_editor_that_does_not_know_the_request_is_told_by_a_message_and_answers_with_a_command() {
    let scene = Scene::new(vec![("go", writing())]);
    // Answers `window/showMessageRequest` with MethodNotFound, though it declared it.
    let client = scene.client(Personality::VsCode).await;
    let run = go(&client, "go").await;
    client
        .until("the message", |notifications, _| {
            notifications.iter().find(|message| {
                let said = message["params"]["message"].as_str().unwrap_or_default();
                message["method"] == "window/showMessage" && said.starts_with("Cowrite waits for you")
            })?;
            Some(())
        })
        .await;
    let approvals = open(&client, 1).await;
    assert_eq!(approvals[0]["runId"], run.as_str());
    assert!(approvals[0]["title"].as_str().is_some_and(|title| title.contains(PROTECTED)), "{approvals:?}");
    let answer = client.execute("cowrite.approve", json!({})).await.expect("the oldest");
    assert_eq!(answer["approvalId"], approvals[0]["approvalId"]);
    assert_eq!(client.finished(&run).await["status"], "completed");
    assert_eq!(scene.written().as_deref(), Some("{}\n"));
    let again =
        client.execute("cowrite.approve", json!({ "approvalId": answer["approvalId"] })).await.expect_err("used");
    assert_eq!(again["code"], -32803, "{again}");
    let nothing = client.execute("cowrite.deny", json!({})).await.expect_err("nothing is open");
    assert_eq!(nothing["code"], -32803, "{nothing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_questions_wait_in_a_queue_shown_one_at_a_time_and_are_answered_out_of_order() {
    let rules = ["q0", "q1", "q2", "q3", "q4"]
        .map(|name| (name, vec![calls(&[write(&format!(".vscode/{name}.json"), "{}\n")]), says("done")]));
    let scene = Scene::new(rules.to_vec());
    let client = scene.client(Personality::VsCode).await;
    // Shown, and nobody presses anything.
    client.be_deaf_to("window/showMessageRequest");
    let mut runs = Vec::new();
    for (number, (name, _)) in rules.iter().enumerate() {
        client.execute("cowrite.session.new", json!({})).await.expect("a session");
        runs.push(go(&client, name).await);
        open(&client, number + 1).await;
    }
    let approvals = open(&client, 5).await;
    let requests =
        |requests: &[Value]| requests.iter().filter(|request| request["method"] == "window/showMessageRequest").count();
    client.until("one question", |_, sent| (requests(sent) == 1).then_some(())).await;
    let of_run = |run: &str| {
        let approval = approvals.iter().find(|approval| approval["runId"] == run).expect("its question");
        approval["approvalId"].clone()
    };
    let shown = |requests: &[Value]| -> Vec<String> {
        let all = requests.iter().filter(|request| request["method"] == "window/showMessageRequest");
        all.map(|request| request["params"]["message"].as_str().expect("words").to_owned()).collect()
    };
    // The second is answered while the first is shown; then the first, so that the next one is shown: not the second.
    for (at, yes) in [(1, true), (0, false), (4, true), (3, false), (2, true)] {
        let command = if yes { "cowrite.approve" } else { "cowrite.deny" };
        client.execute(command, json!({ "approvalId": of_run(&runs[at]) })).await.expect("it is open");
        assert_eq!(client.finished(&runs[at]).await["status"], "completed");
        let file = scene.workspace.join(format!(".vscode/q{at}.json"));
        assert_eq!(file.exists(), yes, "q{at}");
        if at == 0 {
            client.until("the next question", |_, sent| (requests(sent) == 2).then_some(())).await;
        }
    }
    open(&client, 0).await;
    let shown = client.until("what was shown", |_, sent| Some(shown(sent))).await;
    assert_eq!(shown.len(), 2, "what is answered already is not shown: {shown:?}");
    assert!(shown[0].contains("q0.json") && shown[1].contains("q2.json"), "{shown:?}");
}

/// Ten minutes pass at once.
#[tokio::test]
async fn a_question_that_nobody_answers_is_a_no_and_the_model_is_told_so() {
    let mut last = says("Then not.");
    last["expect"] = json!({ "contains": ["did not answer within 10 minutes, which is a no; nothing was done"] });
    for personality in [Personality::VsCode, Personality::HelixOld] {
        let scene = Scene::new(vec![("go", vec![calls(&[write(PROTECTED, "{}\n")]), last.clone()])]);
        let client = scene.client(personality).await;
        client.be_deaf_to("window/showMessageRequest");
        let run = go(&client, "go").await;
        let asked = open(&client, 1).await[0]["approvalId"].clone();
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(9 * 60)).await;
        tokio::time::resume();
        assert_eq!(open(&client, 1).await[0]["approvalId"], asked, "it stands for ten minutes");
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(61)).await;
        tokio::time::resume();
        let finished = client.finished(&run).await;
        assert_eq!((&finished["status"], &finished["resultText"]), (&json!("completed"), &json!("Then not.")));
        assert_eq!(decisions(&events(&client, &run).await), ["expired"], "{personality:?}");
        assert_eq!(scene.written(), None);
        let late = client.execute("cowrite.approve", json!({ "approvalId": asked })).await.expect_err("too late");
        assert_eq!(late["code"], -32803, "{late}");
    }
}

/// A run that waits in the queue works with what the person trusts when it starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_11_trust_that_is_taken_away_while_a_run_waits_does_not_count_for_it() {
    for withdrawn in [false, true] {
        let free = vec![calls(&[write("free.txt", "free\n")]), says("done")];
        let scene = Scene::new(vec![("go", writing()), ("later", free)]);
        std::fs::create_dir(scene.workspace.join(".cowrite")).expect("a folder");
        std::fs::write(scene.workspace.join(".cowrite/config.toml"), "mode = \"plan\"\n").expect("written");
        let client = scene.client(Personality::VsCode).await;
        client.be_deaf_to("window/showMessageRequest");
        client.execute("cowrite.trust", json!({})).await.expect("granted");
        let first = client.run("cowrite.run", json!({ "prompt": "go", "mode": "edit" })).await;
        open(&client, 1).await;
        let later = go(&client, "later").await;
        let status = client.execute("cowrite.status", json!({})).await.expect("a status");
        let waits = status["runs"]
            .as_array()
            .expect("runs")
            .iter()
            .any(|run| run["id"] == *later && run["status"] == "created");
        assert!(waits, "{status}");
        if withdrawn {
            let mut untrust = std::process::Command::new(env!("CARGO_BIN_EXE_cowrite"));
            untrust.arg("untrust").arg(&scene.workspace).env("COWRITE_STATE_DIR", &scene.state);
            assert!(untrust.status().expect("it starts").success());
        }
        client.execute("cowrite.deny", json!({})).await.expect("it is open");
        client.finished(&first).await;
        assert_eq!(client.finished(&later).await["status"], "completed");
        assert_eq!(
            scene.workspace.join("free.txt").exists(),
            withdrawn,
            "in the mode of the folder nothing is written"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_question_opens_under_the_fingers_of_somebody_who_types() {
    for personality in [Personality::Helix, Personality::Neovim12] {
        let scene = Scene::new(vec![("go", writing())]);
        let client = scene.client(personality).await;
        let uri = client.open(&scene.workspace.join("a.rs"), "fn a() {}\n");
        let typed = Arc::<Mutex<Option<std::time::Instant>>>::default();
        let paused = Arc::<Mutex<Option<std::time::Duration>>>::default();
        client.set_habit({
            let (typed, paused) = (typed.clone(), paused.clone());
            move |client, method, id, _| {
                let asks = method == "window/showMessageRequest";
                if asks {
                    *paused.lock().expect("a lock") = typed.lock().expect("a lock").map(|typed| typed.elapsed());
                    client.reply(id.clone(), json!({ "title": "Allow once" }));
                }
                asks
            }
        });
        let key = async || {
            client.type_into(&uri, |_| (0..0, "x".into()));
            *typed.lock().expect("a lock") = Some(std::time::Instant::now());
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        };
        // Reported before the question comes: Neovim takes a moment for that.
        key().await;
        let run = go(&client, "go").await;
        for _ in 0..8 {
            key().await;
        }
        assert_eq!(client.finished(&run).await["status"], "completed", "{personality:?}");
        let paused = paused.lock().expect("a lock").expect("it was asked after something was typed");
        assert!(paused.as_millis() > 900, "{personality:?}: {paused:?}");
        assert_eq!(scene.written().as_deref(), Some("{}\n"), "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_press_on_a_question_that_is_over_does_nothing_and_says_so() {
    let scene = Scene::new(vec![("go", writing())]);
    let client = scene.client(Personality::VsCode).await;
    let box_ = Arc::<Mutex<Option<Value>>>::default();
    client.set_habit({
        let box_ = box_.clone();
        move |_, method, id, _| {
            let shown = method == "window/showMessageRequest";
            if shown {
                *box_.lock().expect("a lock") = Some(id.clone());
            }
            shown
        }
    });
    let run = go(&client, "go").await;
    let id = client.until("the box", |_, _| box_.lock().expect("a lock").clone()).await;
    open(&client, 1).await;
    client.execute("cowrite.deny", json!({})).await.expect("it is open");
    assert_eq!(client.finished(&run).await["status"], "completed");
    client.reply(id, json!({ "title": "Allow once" }));
    client
        .until("what came of it", |notifications, _| {
            let text = |message: &Value| message["params"]["message"].as_str().map(str::to_owned);
            notifications.iter().filter_map(text).find(|text| text.contains("that question is over"))
        })
        .await;
    assert_eq!(scene.written(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_30_a_restart_denies_what_was_asked() {
    let scene = Scene::new(vec![("go", writing())]);
    let client = Client::start(Setup { process: true, ..scene.setup(Personality::VsCode) }).await;
    client.be_deaf_to("window/showMessageRequest");
    let run = go(&client, "go").await;
    let approval = open(&client, 1).await[0]["approvalId"].clone();
    client.kill().await;
    let client = scene.client(Personality::VsCode).await;
    let refused =
        client.execute("cowrite.approve", json!({ "approvalId": approval })).await.expect_err("no question any more");
    assert_eq!(refused["code"], -32803);
    assert!(refused["message"].as_str().is_some_and(|why| why.contains("which denies it")), "{refused}");
    // What the other process left open is ended when its session is opened, which `open` does.
    open(&client, 0).await;
    assert_eq!(client.finished(&run).await["status"], "interrupted");
    assert_eq!(decisions(&events(&client, &run).await), ["denied"]);
    assert_eq!(scene.written(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t6_the_calls_of_a_message_are_one_question_that_shows_all_of_it() {
    let both = calls(&[write(PROTECTED, "{}\n"), write("free.txt", "free\n"), write(".envrc", "export A=1\n")]);
    let scene = Scene::new(vec![("go", vec![both, says("done")])]);
    let client = scene.client(Personality::VsCode).await;
    let shown = pressing(&client, vec![Some("Deny")]);
    let run = go(&client, "go").await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    let shown = shown.lock().expect("a lock").clone();
    let message = shown[0]["message"].as_str().expect("words");
    assert!(message.contains(PROTECTED) && message.contains(".envrc") && !message.contains("free.txt"), "{message}");
    assert_eq!(shown.len(), 1);
    assert_eq!(scene.written(), None);
    assert!(!scene.workspace.join(".envrc").exists());
    assert!(scene.workspace.join("free.txt").exists(), "what needs no permission is done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_30_a_yes_holds_for_the_text_that_the_person_saw() {
    let change = vec![
        calls(&[write(PROTECTED, "{ \"new\": 1 }\n")]),
        calls(&[("read", json!({ "path": PROTECTED }))]),
        says("done"),
    ];
    let scene = Scene::new(vec![("go", change)]);
    std::fs::create_dir(scene.workspace.join(".vscode")).expect("a folder");
    let client = scene.client(Personality::VsCode).await;
    let text = "{ \"old\": 1 }\n";
    std::fs::write(scene.workspace.join(PROTECTED), text).expect("written");
    let uri = client.open(&scene.workspace.join(PROTECTED), text);
    client.be_deaf_to("window/showMessageRequest");
    let run = go(&client, "go").await;
    open(&client, 1).await;
    client.type_into(&uri, |text| (text.len()..text.len(), "// typed\n".into()));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    client.execute("cowrite.approve", json!({})).await.expect("it is open");
    // The second call, which only looks, is asked for by itself.
    open(&client, 1).await;
    client.execute("cowrite.deny", json!({})).await.expect("it is open");
    assert_eq!(client.finished(&run).await["status"], "completed");
    assert_eq!(client.text(&uri), format!("{text}// typed\n"));
    let finished: Vec<Value> =
        events(&client, &run).await.into_iter().filter(|event| event["type"] == "toolFinished").collect();
    let summary = finished[0]["summary"].as_str().expect("a summary");
    assert!(summary.contains("has changed since the person was asked"), "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r7_a_run_that_waits_for_an_answer_is_stopped_at_once() {
    let scene = Scene::new(vec![("go", writing())]);
    let client = scene.client(Personality::VsCode).await;
    client.be_deaf_to("window/showMessageRequest");
    let run = go(&client, "go").await;
    open(&client, 1).await;
    let begun = std::time::Instant::now();
    client.execute("cowrite.cancel", json!({ "runId": run })).await.expect("an answer");
    assert_eq!(client.finished(&run).await["status"], "cancelled");
    assert!(begun.elapsed() < std::time::Duration::from_secs(1), "200 ms, guarded at five times");
    assert_eq!(decisions(&events(&client, &run).await), ["cancelled"]);
    open(&client, 0).await;
    assert_eq!(scene.written(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_asks_and_the_person_chooses_in_every_editor() {
    let asking =
        vec![calls(&[("ask", json!({ "question": "Which colour?", "options": ["red", "blue"] }))]), says("So be it.")];
    for personality in Personality::ALL {
        let scene = Scene::new(vec![("go", asking.clone())]);
        let client = scene.client(personality).await;
        let uri = client.open(&scene.workspace.join("a.rs"), "fn a() {}\n");
        pressing(&client, vec![Some("blue")]);
        let run = go(&client, "go").await;
        if has_no_requests(personality) {
            let approvals = open(&client, 1).await;
            assert_eq!(approvals[0]["options"], json!(["red", "blue"]));
            let actions = actions(&client, &uri).await;
            assert_eq!(actions[1]["title"], "Cowrite: answer blue", "{personality:?}");
            choose(&client, &actions[1]).await;
        }
        assert_eq!(client.finished(&run).await["status"], "completed");
        let events = events(&client, &run).await;
        let finished = events.iter().find(|event| event["type"] == "toolFinished").expect("it ended");
        assert_eq!((&finished["ok"], &finished["summary"]), (&json!(true), &json!("blue")), "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_is_shown_and_the_run_is_planning_until_its_steps_are_done() {
    let step = |done: [bool; 2]| {
        ("plan", json!({ "steps": [{ "title": "look", "done": done[0] }, { "title": "mend", "done": done[1] }] }))
    };
    let turns = vec![
        calls(&[step([true, false])]),
        calls(&[("ask", json!({ "question": "Shall I?" }))]),
        calls(&[step([true, true])]),
        says("done"),
    ];
    let scene = Scene::new(vec![("go", turns)]);
    let client = scene.client(Personality::VsCode).await;
    let run = go(&client, "go").await;
    open(&client, 1).await;
    let status = client.execute("cowrite.status", json!({})).await.expect("a status");
    assert_eq!(status["runs"][0]["status"], "planning", "{status}");
    client.execute("cowrite.approve", json!({ "answer": "yes" })).await.expect("it is open");
    assert_eq!(client.finished(&run).await["status"], "completed");
    let events = events(&client, &run).await;
    let plans: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "planning").map(|event| &event["steps"]).collect();
    assert_eq!(plans.len(), 2);
    assert_eq!(plans[0], &json!([{ "title": "look", "done": true }, { "title": "mend", "done": false }]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_09_a_workspaces_own_settings_count_once_the_person_trusts_them_and_are_told_of_once() {
    let scene = Scene::new(vec![("go", writing())]);
    std::fs::create_dir(scene.workspace.join(".cowrite")).expect("a folder");
    // Whoever trusts it gets a mode in which nothing is written.
    std::fs::write(scene.workspace.join(".cowrite/config.toml"), "mode = \"plan\"\n").expect("written");
    let client = scene.client(Personality::VsCode).await;
    let shown = pressing(&client, vec![Some("Allow once"), Some("Allow once")]);
    let said = |notifications: &[Value]| {
        let about = |message: &&Value| {
            message["params"]["message"].as_str().is_some_and(|text| text.contains("do not count until you trust"))
        };
        notifications.iter().filter(about).count()
    };
    for _ in 0..2 {
        let run = go(&client, "go").await;
        assert_eq!(client.finished(&run).await["status"], "completed");
        assert!(scene.written().is_some(), "the mode of the folder does not count");
        std::fs::remove_file(scene.workspace.join(PROTECTED)).expect("removed");
    }
    client.until("one message", |notifications, _| (said(notifications) == 1).then_some(())).await;
    assert_eq!(client.execute("cowrite.status", json!({})).await.expect("a status")["trusted"], false);
    assert_eq!(client.execute("cowrite.trust", json!({})).await.expect("granted"), json!({ "trusted": true }));
    assert_eq!(client.execute("cowrite.status", json!({})).await.expect("a status")["trusted"], true);
    let run = go(&client, "go").await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    assert_eq!(scene.written(), None, "in plan mode nothing is written, asked or not");
    assert_eq!(shown.lock().expect("a lock").len(), 2);
    // What was trusted has changed: it is asked about again.
    std::fs::write(scene.workspace.join(".cowrite/config.toml"), "mode = \"edit\"\n").expect("written");
    assert_eq!(client.execute("cowrite.status", json!({})).await.expect("a status")["trusted"], false);
    let changed = async |count: usize| {
        client
            .until("a message that says that it has changed", |notifications, _| {
                let about = |message: &&Value| {
                    let said = message["params"]["message"].as_str();
                    said.is_some_and(|text| text.contains("have changed since you trusted"))
                };
                (notifications.iter().filter(about).count() == count).then_some(())
            })
            .await;
    };
    changed(1).await;
    // Another change is told again, and so is what was told before once something else was trusted meanwhile.
    let writes = async |text: &str| {
        std::fs::write(scene.workspace.join(".cowrite/config.toml"), text).expect("written");
        client.execute("cowrite.status", json!({})).await.expect("a status")["trusted"].clone()
    };
    assert_eq!(writes("mode = \"auto\"\n").await, false);
    changed(2).await;
    assert_eq!(writes("mode = \"auto\"\n").await, false);
    client.execute("cowrite.trust", json!({})).await.expect("granted");
    assert_eq!(writes("mode = \"auto\"\n").await, true);
    assert_eq!(writes("mode = \"edit\"\n").await, false);
    changed(3).await;
}
