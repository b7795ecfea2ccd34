//! An edit counts only when the buffer shows it, whatever the editor says.

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup};
use crate::script::{calls, edit, says};

const BEFORE: &str = "fn one() {}\nfn two() {}\nfn three() {}\n";

/// Reads a file, edits it as told, and says what came of it.
fn editing(edits: &[(&str, &str)]) -> Vec<Value> {
    vec![calls(&[("read", json!({ "path": "a.rs" }))]), calls(&[edit("a.rs", edits)]), says("done")]
}

struct Scene {
    client: Client,
    uri: String,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// An open buffer with text that is not on disk, and a model that edits it.
    async fn open(personality: Personality, turns: Vec<Value>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("real");
        std::fs::write(real.join("a.rs"), "what is on disk\n").expect("written");
        let client = Client::start(Setup::scripted(personality, &real, &[("go", turns)])).await;
        let uri = client.open(&real.join("a.rs"), BEFORE);
        Self { client, uri, _folder: folder }
    }

    /// Runs to the end and gives the events.
    async fn run(&self) -> Vec<Value> {
        let run = self.client.run("cowrite.run", json!({ "prompt": "go" })).await;
        let finished = self.client.finished(&run).await;
        assert_eq!(finished["status"], "completed", "{finished}");
        self.client.events(&run)
    }

    fn text(&self) -> String {
        self.client.text(&self.uri)
    }
}

fn of_type(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).cloned().collect()
}

/// What the model was told of its edit, from the event that ends the call.
fn edit_finished(events: &[Value]) -> Value {
    let started =
        events.iter().find(|event| event["type"] == "toolStarted" && event["name"] == "edit").expect("an edit");
    let id = &started["callId"];
    events.iter().find(|event| event["type"] == "toolFinished" && event["callId"] == *id).expect("its end").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_changes_the_unsaved_buffer_in_one_request_and_leaves_the_disk_alone() {
    for personality in Personality::ALL {
        let scene = Scene::open(personality, editing(&[("two", "zwei"), ("three()", "drei()")])).await;
        let events = scene.run().await;
        assert_eq!(scene.text(), "fn one() {}\nfn zwei() {}\nfn drei() {}\n", "{personality:?}");
        assert_eq!(std::fs::read_to_string(scene._folder.path().join("a.rs")).expect("there"), "what is on disk\n");
        let requests = scene.client.requests("workspace/applyEdit");
        assert_eq!(requests.len(), 1, "{personality:?}: one edit call is one undo step");
        let versioned = &requests[0]["params"]["edit"]["documentChanges"][0]["textDocument"]["version"];
        assert!(versioned.is_i64(), "{personality:?}: {}", requests[0]);
        let applied = of_type(&events, "editApplied");
        assert_eq!(applied.len(), 1, "{personality:?}");
        assert_eq!(applied[0]["rebased"], false);
        assert_eq!(applied[0]["hunks"][0]["id"], "h1");
        assert_eq!(applied[0]["hunks"][1]["range"]["start"], json!({ "line": 2, "character": 3 }));
        assert!(edit_finished(&events)["ok"].as_bool().expect("a word"), "{events:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_that_makes_the_edit_stale_stays_and_the_edit_lands_beside_it() {
    // The others put an edit where its lines and columns are by then; what is known of that is tested below.
    for personality in Personality::all_that_tell() {
        let scene = Scene::open(personality, editing(&[("two", "zwei")])).await;
        let mut typed = false;
        scene.client.set_typist(move |client, uri| {
            if !std::mem::replace(&mut typed, true) {
                client.type_into(uri, |_| (0..0, "// typed\n".into()));
            }
        });
        let events = scene.run().await;
        assert_eq!(scene.text(), "// typed\nfn one() {}\nfn zwei() {}\nfn three() {}\n", "{personality:?}");
        let applied = of_type(&events, "editApplied");
        assert_eq!(applied.len(), 1, "{personality:?}: {events:#?}");
        assert_eq!(applied[0]["rebased"], true, "{personality:?}");
        assert_eq!(applied[0]["hunks"][0]["range"]["start"], json!({ "line": 2, "character": 3 }), "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_can_be_added_behind_the_last_one() {
    for personality in Personality::ALL {
        let scene = Scene::open(personality, editing(&[("three() {}\n", "three() {}\nfn four() {}\n")])).await;
        let events = scene.run().await;
        let after = "fn one() {}\nfn two() {}\nfn three() {}\nfn four() {}\n";
        assert_eq!(scene.text(), after, "{personality:?}");
        assert_eq!(of_type(&events, "editApplied").len(), 1, "{personality:?}: {events:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_in_the_same_line_is_a_conflict_that_names_it_and_nothing_is_lost() {
    for personality in Personality::all_that_tell() {
        let scene = Scene::open(personality, editing(&[("two", "zwei")])).await;
        let mut left = 2;
        scene.client.set_typist(move |client, uri| {
            if left == 0 {
                return;
            }
            left -= 1;
            client.type_into(uri, |text| {
                let at = text.find("() {}\nfn three").expect("the second line");
                (at..at, "_typed".into())
            });
        });
        let events = scene.run().await;
        assert!(scene.text().contains("fn two_typed"), "{personality:?}: {}", scene.text());
        assert!(!scene.text().contains("zwei"), "{personality:?}: {}", scene.text());
        assert_eq!(of_type(&events, "editApplied").len(), 0, "{personality:?}");
        let finished = edit_finished(&events);
        assert_eq!(finished["ok"], false, "{personality:?}: {finished}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_typed_behind_the_edited_part_of_the_line_stays_and_the_edit_is_made() {
    for personality in Personality::all_that_tell() {
        let scene = Scene::open(personality, editing(&[("two", "zwei")])).await;
        let mut typed = false;
        scene.client.set_typist(move |client, uri| {
            if !std::mem::replace(&mut typed, true) {
                client.type_into(uri, |text| {
                    let at = text.find("\nfn three").expect("the second line");
                    (at..at, " // mine".into())
                });
            }
        });
        let events = scene.run().await;
        assert_eq!(scene.text(), "fn one() {}\nfn zwei() {} // mine\nfn three() {}\n", "{personality:?}");
        let applied = of_type(&events, "editApplied");
        assert_eq!(applied.len(), 1, "{personality:?}: {events:#?}");
        assert_eq!(applied[0]["rebased"], true, "{personality:?}");
    }
}

/// The texts before and after do not say which of two equal lines was typed; what the editor reported does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_stays_on_its_line_when_an_equal_one_is_typed_above_it() {
    for personality in Personality::all_that_tell() {
        let scene = Scene::open(personality, editing(&[("fn two() {}\nfn three", "fn zwei() {}\nfn three")])).await;
        let mut typed = false;
        scene.client.set_typist(move |client, uri| {
            if !std::mem::replace(&mut typed, true) {
                client.type_into(uri, |text| {
                    let at = text.find("fn two").expect("the second line");
                    (at..at, "fn two() {}\n".into())
                });
            }
        });
        scene.run().await;
        let after = "fn one() {}\nfn two() {}\nfn zwei() {}\nfn three() {}\n";
        assert_eq!(scene.text(), after, "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_behind_the_place_of_a_blind_edit_on_its_line_stays_beside_it() {
    for personality in Personality::ALL.into_iter().filter(|personality| personality.applies_blindly()) {
        let scene = Scene::open(personality, editing(&[("two", "zwei")])).await;
        let mut typed = false;
        scene.client.set_typist(move |client, uri| {
            if !std::mem::replace(&mut typed, true) {
                client.type_into(uri, |text| {
                    let at = text.find("() {}\nfn three").expect("the second line");
                    (at..at, "_typed".into())
                });
            }
        });
        let events = scene.run().await;
        assert_eq!(scene.text(), "fn one() {}\nfn zwei_typed() {}\nfn three() {}\n", "{personality:?}");
        assert_eq!(of_type(&events, "editApplied").len(), 1, "{personality:?}: {events:#?}");
        assert_eq!(scene.client.requests("workspace/applyEdit").len(), 1, "{personality:?}: it was made once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_version_zero_let_through_at_the_wrong_place_is_put_right() {
    for personality in [Personality::Neovim11, Personality::Neovim12] {
        // The buffer is at version 0, which Neovim does not look at.
        let scene = Scene::open(personality, editing(&[("fn two() {}\n", "fn two() { 2 }\n")])).await;
        let mut typed = false;
        scene.client.set_typist(move |client, uri| {
            if !std::mem::replace(&mut typed, true) {
                client.type_into(uri, |_| (0..0, "// typed\n".into()));
            }
        });
        let events = scene.run().await;
        assert_eq!(scene.text(), "// typed\nfn one() {}\nfn two() { 2 }\nfn three() {}\n", "{personality:?}");
        assert_eq!(of_type(&events, "editApplied").len(), 1, "{personality:?}: {events:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_the_editor_swallows_is_told_as_not_confirmed() {
    let scene = Scene::open(Personality::Neovim11, editing(&[("two", "zwei")])).await;
    scene.client.lie_about_edits();
    let events = scene.run().await;
    assert_eq!(scene.text(), BEFORE);
    assert_eq!(of_type(&events, "editApplied").len(), 0);
    let finished = edit_finished(&events);
    assert_eq!(finished["ok"], false, "{finished}");
    assert!(finished["summary"].as_str().expect("words").contains("not confirmed"), "{finished}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_versioned_edits_gets_plain_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("real");
    std::fs::write(real.join("a.rs"), BEFORE).expect("written");
    let setup = Setup::scripted(Personality::VsCode, &real, &[("go", editing(&[("two", "zwei")]))]);
    let client = Client::start_changed(setup, |params| {
        params["capabilities"]["workspace"]["workspaceEdit"] = json!({});
    })
    .await;
    let uri = client.open(&real.join("a.rs"), BEFORE);
    let run = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    assert_eq!(client.text(&uri), "fn one() {}\nfn zwei() {}\nfn three() {}\n");
    assert!(client.requests("workspace/applyEdit")[0]["params"]["edit"]["changes"].is_object());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_not_open_are_written_to_disk_with_their_line_endings() {
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("real");
    std::fs::write(real.join("a.rs"), "\u{feff}fn one() {}\r\nfn two() {}").expect("written");
    let turns = vec![
        calls(&[("read", json!({ "path": "a.rs" }))]),
        calls(&[
            edit("a.rs", &[("two() {}", "two() {\n}")]),
            ("write", json!({ "path": "new/b.rs", "content": "// new\n" })),
        ]),
        says("done"),
    ];
    let client = Client::start(Setup::scripted(Personality::VsCode, &real, &[("go", turns)])).await;
    let run = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    let text = std::fs::read_to_string(real.join("a.rs")).expect("there");
    assert_eq!(text, "\u{feff}fn one() {}\r\nfn two() {\r\n}");
    assert_eq!(std::fs::read_to_string(real.join("new/b.rs")).expect("there"), "// new\n");
    assert_eq!(of_type(&client.events(&run), "editApplied").len(), 2);
    assert_eq!(client.requests("workspace/applyEdit").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_an_error_answered_and_the_buffer_shows_is_applied() {
    let scene = Scene::open(Personality::VsCode, editing(&[("two", "zwei")])).await;
    scene.client.fail_after_applying();
    let events = scene.run().await;
    assert_eq!(scene.text(), "fn one() {}\nfn zwei() {}\nfn three() {}\n");
    assert_eq!(of_type(&events, "editApplied").len(), 1, "{events:#?}");
    assert_eq!(edit_finished(&events)["ok"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_says_that_the_edit_was_stale_is_followed_by_the_edit_on_the_new_text() {
    // The person types at both ends, so that Eglot looks at the first change and counts it, and reports neither yet.
    let lines: String = (0..40).map(|n| format!("// line {n}\n")).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let real = folder.path().canonicalize().expect("real");
    std::fs::write(real.join("a.rs"), "").expect("written");
    let turns = editing(&[("// line 20\n", "// line zwanzig\n")]);
    let client = Client::start(Setup::scripted(Personality::Eglot, &real, &[("go", turns)])).await;
    let uri = client.open(&real.join("a.rs"), &lines);
    let mut typed = false;
    client.set_typist(move |client, uri| {
        if !std::mem::replace(&mut typed, true) {
            client.type_into(uri, |_| (0..0, "// typed\n".into()));
            client.type_into(uri, |text| (text.len()..text.len(), "// typed too\n".into()));
        }
    });
    let run = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    assert_eq!(client.finished(&run).await["status"], "completed");
    let events = client.events(&run);
    let edited = lines.replace("line 20", "line zwanzig");
    assert_eq!(client.text(&uri), format!("// typed\n{edited}// typed too\n"));
    assert_eq!(of_type(&events, "editApplied").len(), 1, "{events:#?}");
    let versions: Vec<_> = client
        .requests("workspace/applyEdit")
        .iter()
        .map(|request| request["params"]["edit"]["documentChanges"][0]["textDocument"]["version"].clone())
        .collect();
    assert_eq!(versions, [json!(0), json!(2)], "made against the version that the error spoke of");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_is_seen_late_in_an_editor_that_checks_no_version_is_not_sent_again() {
    let scene = Scene::open(Personality::KakLsp, editing(&[("fn two() {}\n", "fn two() {}\nfn new() {}\n")])).await;
    scene.client.lie_about_edits();
    let mut typed = false;
    scene.client.set_typist(move |client, uri| {
        if !std::mem::replace(&mut typed, true) {
            client.type_into(uri, |_| (0..0, "// typed\n".into()));
        }
    });
    let events = scene.run().await;
    assert_eq!(scene.client.requests("workspace/applyEdit").len(), 1, "sent again, it would come twice");
    assert_eq!(of_type(&events, "editApplied").len(), 0);
    assert!(edit_finished(&events)["summary"].as_str().expect("words").contains("not confirmed"), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_waits_for_its_turn_is_not_sent_after_the_cancel() {
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let [one, two] = [0, 1].map(|n: usize| folders[n].path().canonicalize().expect("real"));
    let file = one.join("a.rs").display().to_string();
    let turns = |old: &str, new: &str| {
        vec![calls(&[("read", json!({ "path": file }))]), calls(&[edit(&file, &[(old, new)])]), says("done")]
    };
    let rules = [("first", turns("one", "eins")), ("second", turns("two", "zwei"))];
    let mut setup = Setup::scripted(Personality::VsCode, &one, &rules);
    setup.more_folders = vec![two.clone()];
    let client = Client::start(setup).await;
    client.be_deaf_to("workspace/applyEdit");
    let uri = client.open(&one.join("a.rs"), BEFORE);
    let other = client.open(&two.join("b.rs"), "");
    let first = client.run("cowrite.run", json!({ "prompt": "first", "uri": uri })).await;
    let request = client
        .until("the first edit", |_, requests| {
            requests.iter().find(|request| request["method"] == "workspace/applyEdit").cloned()
        })
        .await;
    let second = client.run("cowrite.run", json!({ "prompt": "second", "uri": other })).await;
    client
        .until("the second edit's turn", |notifications, _| {
            let edits = notifications.iter().filter(|message| message["params"]["event"]["name"] == "edit");
            (edits.count() == 2).then_some(())
        })
        .await;
    client.execute("cowrite.cancel", json!({})).await.expect("an answer");
    client.finished(&first).await;
    client.finished(&second).await;
    // The first one's turn is over only now.
    client.reply(request["id"].clone(), json!({ "applied": false }));
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    assert_eq!(client.requests("workspace/applyEdit").len(), 1, "nothing is sent after the cancel");
    assert_eq!(client.text(&uri), BEFORE);
}
