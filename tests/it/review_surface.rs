//! What an editor shows of proposals: lenses where it has them, markers where it has none, code actions, a diff.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, edit, says};

const BEFORE: &str = "fn one() {}\nfn two() {}\nfn three() {}\nfn four() {}\nfn five() {}\n";

/// Those that show no lenses.
fn has_lenses(personality: Personality) -> bool {
    !matches!(personality, Personality::Helix | Personality::HelixOld | Personality::Eglot)
}

/// Those that ask for lenses anew when they are told to.
fn refreshes(personality: Personality) -> bool {
    matches!(personality, Personality::VsCode | Personality::Neovim12 | Personality::KakLsp)
}

fn opens_documents(personality: Personality) -> bool {
    !matches!(personality, Personality::HelixOld | Personality::KakLsp)
}

struct Scene {
    _folder: tempfile::TempDir,
    workspace: PathBuf,
    client: Client,
    uri: String,
}

impl Scene {
    /// An open buffer, and a run of mode `ask` that proposes three places in it and a new file.
    async fn new(personality: Personality) -> Self {
        Self::with(personality, true).await
    }

    async fn with(personality: Personality, another_file: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let workspace = folder.path().canonicalize().expect("real");
        std::fs::write(workspace.join("a.rs"), BEFORE).expect("written");
        let mut edits = vec![edit("a.rs", &[("one", "eins"), ("three", "drei"), ("five", "fünf")])];
        if another_file {
            edits.push(("write", json!({ "path": "b.rs", "content": "fn b() {}\n" })));
        }
        let turns =
            vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&edits), says("Three numbers in German.")];
        let client = Client::start(Setup::scripted(personality, &workspace, &[("go", turns)])).await;
        let uri = client.open(&workspace.join("a.rs"), BEFORE);
        Self { _folder: folder, workspace, client, uri }
    }

    async fn propose(&self) -> String {
        let run = self.client.run("cowrite.run", json!({ "prompt": "go", "mode": "ask" })).await;
        assert_eq!(self.client.finished(&run).await["status"], "completed");
        run
    }

    /// Lines and titles.
    async fn lenses(&self) -> Vec<(u64, String)> {
        let lenses = self.raw_lenses().await;
        let shown = |lens: &Value| {
            assert_eq!(lens["range"]["start"]["line"], lens["range"]["end"]["line"], "on one line: {lens}");
            let title = lens["command"]["title"].as_str().expect("complete when listed").to_owned();
            (lens["range"]["start"]["line"].as_u64().expect("a line"), title)
        };
        lenses.iter().map(shown).collect()
    }

    async fn raw_lenses(&self) -> Vec<Value> {
        let params = json!({ "textDocument": { "uri": self.uri } });
        let lenses = self.client.request("textDocument/codeLens", params).await.expect("lenses");
        lenses.as_array().expect("a list").clone()
    }

    /// The code actions of a line that are about what waits.
    async fn actions(&self, line: u64, context: Value) -> Vec<Value> {
        let place = json!({ "line": line, "character": 1 });
        let params = json!({ "textDocument": { "uri": self.uri }, "range": { "start": place, "end": place }, "context": context });
        let actions = self.client.request("textDocument/codeAction", params).await.expect("actions");
        let about = |action: &&Value| {
            let command = action["command"]["command"].as_str().expect("complete when listed");
            matches!(command, "cowrite.accept" | "cowrite.reject" | "cowrite.diff")
        };
        actions.as_array().expect("a list").iter().filter(about).cloned().collect()
    }

    /// Does what a lens or an action says.
    async fn choose(&self, chosen: &Value) -> Value {
        let params = json!({ "command": chosen["command"]["command"], "arguments": chosen["command"]["arguments"] });
        self.client
            .request("workspace/executeCommand", params)
            .await
            .unwrap_or_else(|error| panic!("{chosen}: {error}"))
    }

    /// Waits until the last markers of the buffer are these.
    async fn marked(&self, expected: &[(u64, &str)]) -> Value {
        let look = |notifications: &[Value], _: &[Value]| {
            let of_buffer = |message: &&Value| {
                message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == self.uri.as_str()
            };
            let last = notifications.iter().rfind(of_buffer)?["params"].clone();
            let markers = last["diagnostics"].as_array().expect("a list").clone();
            let shown: Vec<(u64, &str)> = markers
                .iter()
                .map(|marker| {
                    let line = marker["range"]["start"]["line"].as_u64().expect("a line");
                    (line, marker["message"].as_str().expect("words"))
                })
                .collect();
            (shown == expected).then_some(last)
        };
        self.client.until(&format!("the markers {expected:?}"), look).await
    }

    fn type_above(&self) {
        self.client.type_into(&self.uri, |_| (0..0, "// typed\n".into()));
    }

    fn text(&self) -> String {
        self.client.text(&self.uri)
    }
}

fn titles(actions: &[Value]) -> Vec<&str> {
    actions.iter().map(|action| action["title"].as_str().expect("a title")).collect()
}

fn titled<'a>(all: &'a [Value], words: &str) -> &'a Value {
    let title = |one: &Value| one["command"]["title"].as_str().is_some_and(|title| title.contains(words));
    all.iter().find(|one| title(one)).unwrap_or_else(|| panic!("{words}: {all:#?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lenses_stand_where_something_waits_and_move_with_the_typing_and_go_when_it_is_decided() {
    for personality in Personality::ALL.into_iter().filter(|personality| has_lenses(*personality)) {
        let scene = Scene::new(personality).await;
        assert!(scene.lenses().await.is_empty(), "{personality:?}: nothing waits yet");
        scene.propose().await;
        let expected: Vec<(u64, String)> = [
            (0, "Accept: `one` -> `eins`"),
            (0, "Reject"),
            (0, "Accept all 3"),
            (0, "Reject all"),
            (0, "Show as diff"),
            (2, "Accept: `three` -> `drei`"),
            (2, "Reject"),
            (4, "Accept: `five` -> `fünf`"),
            (4, "Reject"),
        ]
        .map(|(line, title)| (line, title.to_owned()))
        .to_vec();
        assert_eq!(scene.lenses().await, expected, "{personality:?}");

        scene.type_above();
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
        let moved: Vec<(u64, String)> = expected.iter().map(|(line, title)| (line + 1, title.clone())).collect();
        assert_eq!(scene.lenses().await, moved, "{personality:?}");

        let lenses = scene.raw_lenses().await;
        assert_eq!(scene.choose(titled(&lenses, "`drei`")).await["hunks"], json!(["p2"]), "{personality:?}");
        let reject = lenses
            .iter()
            .find(|lens| lens["command"]["arguments"][0]["hunk"] == "p1" && lens["command"]["title"] == "Reject");
        scene.choose(reject.expect("a lens")).await;
        assert_eq!(scene.text(), format!("// typed\n{}", BEFORE.replace("three", "drei")), "{personality:?}");
        let left = scene.lenses().await;
        let of_last = [(5, "Accept: `five` -> `fünf`"), (5, "Reject"), (5, "Show as diff")];
        assert_eq!(left, of_last.map(|(line, title)| (line, title.to_owned())), "{personality:?}");
        scene.choose(titled(&scene.raw_lenses().await, "`fünf`")).await;
        assert!(scene.lenses().await.is_empty(), "{personality:?}: all is decided");
        assert!(
            scene.client.notifications("textDocument/publishDiagnostics").is_empty(),
            "{personality:?}: no markers"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_asks_for_lenses_anew_and_one_who_does_not_answer_holds_nothing_up() {
    for personality in Personality::ALL {
        let scene = Scene::new(personality).await;
        let refreshed = || scene.client.requests("workspace/codeLens/refresh").len();
        let until_more = async |than: usize| {
            let look = |_: &[Value], requests: &[Value]| {
                let asked = requests.iter().filter(|request| request["method"] == "workspace/codeLens/refresh").count();
                (asked > than).then_some(asked)
            };
            scene.client.until("a refresh", look).await
        };
        scene.propose().await;
        if !refreshes(personality) {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            assert_eq!(refreshed(), 0, "{personality:?} has not said that it can");
            continue;
        }
        let proposed = until_more(0).await;
        assert!(proposed <= 4, "{personality:?}: {proposed} for one burst");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        let before = refreshed();
        scene.client.execute("cowrite.reject", json!({ "hunk": "p1" })).await.expect("rejected");
        until_more(before).await;

        scene.client.be_deaf_to("workspace/codeLens/refresh");
        let began = std::time::Instant::now();
        scene.client.execute("cowrite.accept", json!({})).await.expect("accepted");
        assert!(scene.lenses().await.is_empty(), "{personality:?}");
        assert!(began.elapsed() < std::time::Duration::from_millis(1900), "{personality:?}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_lenses_markers_show_what_would_come_and_code_actions_decide() {
    for personality in Personality::ALL.into_iter().filter(|personality| !has_lenses(*personality)) {
        let scene = Scene::new(personality).await;
        scene.propose().await;
        let [one, three, five] =
            ["proposed: `one` -> `eins`", "proposed: `three` -> `drei`", "proposed: `five` -> `fünf`"];
        let published = scene.marked(&[(0, one), (2, three), (4, five)]).await;
        assert_eq!(published["version"], 0, "{personality:?}");
        let first = &published["diagnostics"][0];
        assert_eq!((&first["severity"], &first["source"]), (&json!(3), &json!("cowrite")), "{personality:?}");
        assert_eq!(
            first["range"],
            json!({ "start": { "line": 0, "character": 3 }, "end": { "line": 0, "character": 6 } })
        );
        // A file that is not there yet has one too.
        scene
            .client
            .until("the marker of b.rs", |notifications, _| {
                let new =
                    |message: &&Value| message["params"]["uri"].as_str().is_some_and(|uri| uri.ends_with("/b.rs"));
                notifications.iter().find(new).map(|message| message["params"]["diagnostics"][0]["message"].clone())
            })
            .await;

        scene.type_above();
        let published = scene.marked(&[(1, one), (3, three), (5, five)]).await;
        assert_eq!(published["version"], 1, "{personality:?}: for the text that they belong to");

        // What the editor has of a marker by then comes back with the question.
        let mut marker = published["diagnostics"][1].clone();
        if personality == Personality::HelixOld {
            marker.as_object_mut().expect("an object").remove("data");
        }
        let context = json!({ "diagnostics": [marker] });
        let actions = scene.actions(3, context.clone()).await;
        assert_eq!(
            titles(&actions),
            [
                "Cowrite: accept this change: `three` -> `drei`",
                "Cowrite: reject this change: `three` -> `drei`",
                "Cowrite: accept all 3 changes of this file",
                "Cowrite: reject all 3 changes of this file",
                "Cowrite: accept all 4 changes in 2 files",
                "Cowrite: reject all 4 changes in 2 files",
                "Cowrite: show the changes as a diff",
            ],
            "{personality:?}"
        );
        assert!(actions.iter().all(|action| action["kind"] == "quickfix"), "{personality:?}: {actions:#?}");
        assert_eq!(actions[0]["diagnostics"], context["diagnostics"], "{personality:?}");
        assert!(actions[2].get("diagnostics").is_none(), "{personality:?}");

        scene.choose(&actions[0]).await;
        assert_eq!(scene.text(), format!("// typed\n{}", BEFORE.replace("three", "drei")), "{personality:?}");
        scene.marked(&[(1, one), (5, five)]).await;
        scene.choose(titled(&scene.actions(1, json!({ "diagnostics": [] })).await, "reject this change")).await;
        scene.marked(&[(5, five)]).await;
        scene.choose(titled(&scene.actions(5, json!({ "diagnostics": [] })).await, "accept this change")).await;
        let published = scene.marked(&[]).await;
        assert!(published.get("version").is_none(), "{personality:?}: true of every version");
        let text = BEFORE.replace("three", "drei").replace("five", "fünf");
        assert_eq!(scene.text(), format!("// typed\n{text}"), "{personality:?}");
        for method in ["window/showMessageRequest", "workspace/codeLens/refresh"] {
            assert!(scene.client.requests(method).is_empty(), "{personality:?}: {method}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_actions_are_complete_and_keep_to_the_kinds_and_the_place() {
    for personality in Personality::ALL {
        let scene = Scene::new(personality).await;
        scene.propose().await;
        let away = scene.actions(1, json!({ "diagnostics": [] })).await;
        assert_eq!(
            titles(&away),
            [
                "Cowrite: accept all 3 changes of this file",
                "Cowrite: reject all 3 changes of this file",
                "Cowrite: accept all 4 changes in 2 files",
                "Cowrite: reject all 4 changes in 2 files",
                "Cowrite: show the changes as a diff",
            ],
            "{personality:?}: away from the places"
        );
        assert!(away.iter().all(|action| action["kind"] == "source"), "{personality:?}: no fix of that line");
        let only = |kind: &str| json!({ "diagnostics": [], "only": [kind] });
        assert_eq!(scene.actions(0, only("quickfix")).await.len(), 7, "{personality:?}");
        assert!(scene.actions(0, only("refactor")).await.is_empty(), "{personality:?}");

        scene
            .choose(titled(&scene.actions(0, json!({ "diagnostics": [] })).await, "reject all 3 changes of this file"))
            .await;
        assert_eq!(scene.text(), BEFORE, "{personality:?}");
        assert!(scene.actions(0, json!({ "diagnostics": [] })).await.is_empty(), "{personality:?}: decided");
        assert!(!scene.workspace.join("b.rs").exists(), "{personality:?}: of that nobody has decided");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_person_hears_that_something_waits_and_a_bare_command_decides() {
    for personality in Personality::ALL {
        let scene = Scene::new(personality).await;
        let run = scene.propose().await;
        let said = scene
            .client
            .until("a message", |notifications, _| {
                let said = |message: &&Value| message["method"] == "window/showMessage";
                notifications.iter().find(said).map(|message| message["params"].clone())
            })
            .await;
        let with = match personality {
            Personality::Helix | Personality::HelixOld => {
                "space a, or :lsp-workspace-command cowrite.accept or cowrite.reject"
            }
            Personality::Eglot => "code actions, or the commands cowrite.accept and cowrite.reject",
            _ => "the lenses above the lines, code actions, or the commands cowrite.accept and cowrite.reject",
        };
        let text = format!("Cowrite: 4 changes in 2 files wait for you: accept or reject them with {with}");
        assert_eq!(said, json!({ "type": 3, "message": text }), "{personality:?}");

        let status = scene.client.execute("cowrite.status", json!({})).await.expect("a status");
        let proposals = status["proposals"].as_array().expect("a list");
        assert_eq!(proposals.len(), 2, "{personality:?}: {proposals:#?}");
        assert_eq!(
            proposals[0],
            json!({ "runId": run, "sessionId": status["sessionId"], "uri": scene.uri, "hunks": ["p1", "p2", "p3"] })
        );

        // As an editor sends a command that nothing was written behind.
        let bare =
            async |command: &str| scene.client.request("workspace/executeCommand", json!({ "command": command })).await;
        assert_eq!(bare("cowrite.reject").await.expect("rejected")["hunks"].as_array().expect("ids").len(), 4);
        assert_eq!(scene.text(), BEFORE, "{personality:?}");
        scene.propose().await;
        assert_eq!(bare("cowrite.accept").await.expect("accepted")["hunks"].as_array().expect("ids").len(), 4);
        assert!(scene.text().starts_with("fn eins()"), "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_diff_shows_all_of_a_run_and_opens_where_documents_can_be_opened() {
    for personality in Personality::ALL {
        let scene = Scene::new(personality).await;
        let refused = scene.client.execute("cowrite.diff", json!({})).await.expect_err("nothing yet");
        assert_eq!(refused["code"], -32803, "{personality:?}: {refused}");
        let run = scene.propose().await;
        scene.type_above();
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
        let answer = scene.client.execute("cowrite.diff", json!({})).await.expect("a diff");
        let uri = answer["uri"].as_str().expect("where it is");
        let path = uri.strip_prefix("file://").expect("a file");
        let text = std::fs::read_to_string(path).expect("written");
        insta::allow_duplicates! {
            insta::assert_snapshot!(text, @r"
            --- a/a.rs
            +++ b/a.rs
            @@ -1,6 +1,6 @@
             // typed
            -fn one() {}
            +fn eins() {}
             fn two() {}
            -fn three() {}
            +fn drei() {}
             fn four() {}
            -fn five() {}
            +fn fünf() {}
            --- /dev/null
            +++ b/b.rs
            @@ -0,0 +1 @@
            +fn b() {}
            ");
        }
        assert!(path.ends_with(".diff"), "{path}");
        if opens_documents(personality) {
            assert!(answer.get("text").is_none(), "{personality:?}: {answer}");
            let shown = scene
                .client
                .until("the document", |_, requests| {
                    requests.iter().find(|request| request["method"] == "window/showDocument").cloned()
                })
                .await;
            assert_eq!(shown["params"]["uri"], uri, "{personality:?}");
        } else {
            assert_eq!(answer["text"], text, "{personality:?}");
        }
        // An editor that has it open would not look again.
        scene.client.execute("cowrite.reject", json!({ "runId": run, "hunk": "p1" })).await.expect("rejected");
        let next = scene.client.execute("cowrite.diff", json!({ "runId": run })).await.expect("a diff");
        assert_ne!(next["uri"], uri, "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_file_is_marked_and_shown_as_it_is_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = folder.path().canonicalize().expect("real");
    std::fs::write(workspace.join("a.rs"), BEFORE).expect("written");
    let turns =
        vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&[edit("a.rs", &[("two", "zwei")])]), says("done")];
    let client = Client::start(Setup::scripted(Personality::Helix, &workspace, &[("go", turns)])).await;
    let run = client.run("cowrite.run", json!({ "prompt": "go", "mode": "ask" })).await;
    client.finished(&run).await;
    let marker = client
        .until("a marker", |notifications, _| {
            let published = |message: &&Value| message["method"] == "textDocument/publishDiagnostics";
            notifications.iter().find(published).map(|message| message["params"].clone())
        })
        .await;
    assert!(marker.get("version").is_none(), "{marker}");
    assert_eq!(marker["diagnostics"][0]["range"]["start"]["line"], 1);
    let diff = client.execute("cowrite.diff", json!({})).await.expect("a diff");
    let path = diff["uri"].as_str().and_then(|uri| uri.strip_prefix("file://")).expect("a file").to_owned();
    assert!(std::fs::read_to_string(path).expect("written").contains("-fn two() {}\n+fn zwei() {}\n"));
    // The disk has moved on; the diff does not pretend.
    std::fs::write(workspace.join("a.rs"), "fn other() {}\n").expect("written");
    let diff = client.execute("cowrite.diff", json!({})).await.expect("a diff");
    let path = diff["uri"].as_str().and_then(|uri| uri.strip_prefix("file://")).expect("a file").to_owned();
    let text = std::fs::read_to_string(path).expect("written");
    assert!(text.starts_with("# a.rs was changed meanwhile"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_when_the_server_ended_is_shown_by_the_next_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = folder.path().canonicalize().expect("real");
    let state = tempfile::tempdir().expect("a folder");
    std::fs::write(workspace.join("a.rs"), BEFORE).expect("written");
    let turns =
        vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&[edit("a.rs", &[("two", "zwei")])]), says("done")];
    let rules = [("go", turns)];
    for personality in [Personality::VsCode, Personality::Helix] {
        let setup = || Setup {
            state: Some(state.path().join(format!("{personality:?}"))),
            ..Setup::scripted(personality, &workspace, &rules)
        };
        let client = Client::start(setup()).await;
        client.open(&workspace.join("a.rs"), BEFORE);
        let run = client.run("cowrite.run", json!({ "prompt": "go", "mode": "ask" })).await;
        client.finished(&run).await;
        client.stop().await;

        let client = Client::start(setup()).await;
        client.open(&workspace.join("a.rs"), BEFORE);
        let expected =
            if has_lenses(personality) { "workspace/codeLens/refresh" } else { "textDocument/publishDiagnostics" };
        client
            .until(expected, |notifications, requests| {
                notifications.iter().chain(requests).any(|message| message["method"] == expected).then_some(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_demand_a_command_of_the_catalog_proposes_too() {
    for personality in Personality::ALL {
        let scene = Scene::with(personality, false).await;
        let argument = json!({ "prompt": "go", "mode": "ask", "uri": scene.uri });
        let run = scene.client.run("cowrite.edit", argument).await;
        assert_eq!(scene.client.finished(&run).await["status"], "completed", "{personality:?}");
        assert_eq!(scene.text(), BEFORE, "{personality:?}");
        let actions = scene.actions(0, json!({ "diagnostics": [] })).await;
        scene.choose(titled(&actions, "accept all 3 changes of this file")).await;
        let text = BEFORE.replace("one", "eins").replace("three", "drei").replace("five", "fünf");
        assert_eq!(scene.text(), text, "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_events_hears_the_answer_first_and_what_waits_last() {
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = folder.path().canonicalize().expect("real");
    std::fs::write(workspace.join("a.rs"), BEFORE).expect("written");
    let turns = vec![
        calls(&[("read", json!({ "path": "a.rs" }))]),
        calls(&[edit("a.rs", &[("two", "zwei")])]),
        says("Two is zwei."),
    ];
    let rules = [("go", turns)];
    let setup = Setup { experimental: Value::Null, ..Setup::scripted(Personality::Helix, &workspace, &rules) };
    let client = Client::start(setup).await;
    client.open(&workspace.join("a.rs"), BEFORE);
    client.run("cowrite.run", json!({ "prompt": "go", "mode": "ask" })).await;
    let said = client
        .until("two messages", |notifications, _| {
            let said = |message: &&Value| message["method"] == "window/showMessage";
            let said: Vec<String> =
                notifications.iter().filter(said).map(|message| message["params"]["message"].to_string()).collect();
            (said.len() == 2).then_some(said)
        })
        .await;
    assert!(said[0].contains("Two is zwei."), "{said:?}");
    assert!(said[1].contains("1 change in 1 file waits for you"), "{said:?}");
    assert!(client.requests("window/showDocument").is_empty(), "the person stays where something waits");
    let ended = client.notifications("$/progress").into_iter().map(|message| message["params"]["value"].clone());
    let ended = ended.into_iter().find(|value| value["kind"] == "end").expect("the progress has ended");
    assert!(ended["message"].as_str().expect("words").contains("done; 1 change in 1 file waits"), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_the_lenses_while_a_place_is_being_made_takes_it_for_nothing_else() {
    let forked = [false, true];
    for (personality, forked) in Personality::ALL.into_iter().flat_map(|one| forked.map(|forked| (one, forked))) {
        let scene = Scene::new(personality).await;
        let run = scene.propose().await;
        if forked {
            scene.client.execute("cowrite.session.fork", json!({ "afterRunId": run })).await.expect("a fork");
        }
        // Somebody asks at every moment of it: while the edit is on its way, when it is reported, and when it is recorded.
        let over = std::sync::atomic::AtomicBool::new(false);
        let look = async {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                scene.raw_lenses().await;
            }
        };
        let decide = async {
            for hunk in ["p1", "p2", "p3"] {
                let answer = scene.client.execute("cowrite.accept", json!({ "hunk": hunk })).await;
                assert_eq!(answer.unwrap_or_else(|error| panic!("{error}"))["hunks"], json!([hunk]), "{personality:?}");
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        };
        tokio::join!(look, decide);
        let count = |notifications: &[Value], kind: &str| {
            notifications.iter().filter(|told| told["params"]["event"]["type"] == kind).count()
        };
        let all = |told: &[Value], _: &[Value]| (count(told, "editApplied") == 3).then(|| count(told, "editRejected"));
        assert_eq!(scene.client.until("three edits", all).await, 0, "{personality:?}, forked: {forked}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_run_has_changed_is_kept_and_taken_back_on_its_line() {
    for personality in Personality::ALL {
        let scene = Scene::new(personality).await;
        let none = json!({ "diagnostics": [] });
        let run = scene.client.run("cowrite.run", json!({ "prompt": "go", "mode": "edit" })).await;
        assert_eq!(scene.client.finished(&run).await["status"], "completed", "{personality:?}");
        scene.type_above();
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
        assert_eq!(
            titles(&scene.actions(3, none.clone()).await),
            [
                "Keep this change (Cowrite)",
                "Take back this change (Cowrite)",
                "Keep all 3 changes of this file (Cowrite)",
                "Take back all 3 changes of this file (Cowrite)",
                "Keep all 4 changes in 2 files (Cowrite)",
                "Take back all 4 changes in 2 files (Cowrite)",
            ],
            "{personality:?}"
        );
        assert!(scene.actions(2, none.clone()).await.is_empty(), "{personality:?}: nothing was changed there");
        let only = json!({ "diagnostics": [], "only": ["refactor"] });
        assert!(scene.actions(3, only).await.is_empty(), "{personality:?}");

        let taken = scene.choose(titled(&scene.actions(3, none.clone()).await, "Take back this change")).await;
        assert_eq!(taken["hunks"], json!(["h2"]), "{personality:?}");
        let kept = scene.choose(titled(&scene.actions(1, none.clone()).await, "Keep this change")).await;
        assert_eq!(kept["hunks"], json!(["h1"]), "{personality:?}");
        let text = format!("// typed\n{}", BEFORE.replace("one", "eins").replace("five", "fünf"));
        assert_eq!(scene.text(), text, "{personality:?}");
        assert!(scene.actions(1, none.clone()).await.is_empty(), "{personality:?}: it is kept");
        assert!(scene.actions(3, none.clone()).await.is_empty(), "{personality:?}: it is taken back");
        let last = scene.actions(5, none.clone()).await;
        assert_eq!(last.len(), 4, "{personality:?}: of the place and the run: {:?}", titles(&last));
        let all = scene.choose(titled(&last, "Take back all 2 changes in 2 files")).await;
        assert_eq!(all["hunks"], json!(["h3", "h4"]), "{personality:?}");
        assert_eq!(scene.text(), text.replace("fünf", "five"), "{personality:?}: what is kept stays");
        assert!(!scene.workspace.join("b.rs").exists(), "{personality:?}");
        for line in 0..6 {
            assert!(scene.actions(line, none.clone()).await.is_empty(), "{personality:?}: all is decided");
        }
    }
}
