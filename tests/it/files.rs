//! Files that are made, changed, moved and taken away through an editor: opened ones, unopened ones, and several at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup, uri};
use crate::script::{calls, edit, says};

/// How an editor opens a file that an edit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opens {
    /// Opens it as it was, reports the change, then answers: Helix.
    AnswersLast,
    /// Opens it as it was, answers, then reports the change: VS Code, and Neovim, which waits a moment.
    AnswersFirst,
    /// Answers, and opens it with the change in it a moment later.
    ReportsLate,
    /// Loads it and says nothing: Neovim, where the server is not started for that kind of file.
    Silently,
}

const OPENS: [Opens; 4] = [Opens::AnswersLast, Opens::AnswersFirst, Opens::ReportsLate, Opens::Silently];

/// What comes of `cowrite/save`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saves {
    Yes,
    /// It saves, and tidies a line that the edit left alone, which it does not report.
    Tidies,
    /// It tidies that line and the one of the edit, reports that, and saves.
    Formats,
    No,
    Fails,
    Lies,
}

/// What happens after an answer.
type Later = Box<dyn FnOnce(&Client) + Send>;

/// An editor that opens what edits name, and makes, renames and deletes files.
#[derive(Clone)]
struct Editor {
    opens: Opens,
    saves: Saves,
    /// Requests that are refused, by how many come before.
    refuses: Vec<usize>,
    /// Whether the answer to a refused request is an error.
    with_error: bool,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    edits: usize,
    /// Buffers that nobody hears of.
    hidden: HashMap<String, String>,
}

impl Editor {
    fn new(opens: Opens, saves: Saves) -> Self {
        Self { opens, saves, refuses: Vec::new(), with_error: false, seen: Arc::default() }
    }

    fn take_over(&self, client: &Client) {
        let editor = self.clone();
        client.set_habit(move |client, method, id, params| match method {
            "workspace/applyEdit" => {
                editor.edit(client, id, &params["edit"]);
                true
            }
            "cowrite/save" => {
                editor.save(client, id, &params["uris"]);
                true
            }
            _ => false,
        });
    }

    fn edit(&self, client: &Client, id: &Value, edit: &Value) {
        let mut seen = self.seen.lock().expect("sound");
        seen.edits += 1;
        if self.refuses.contains(&(seen.edits - 1)) {
            if self.with_error {
                return client.fail(id, "it would not");
            }
            // Helix stops where it fails, and what came before stays.
            self.make_first(&edit["documentChanges"][0]);
            return client.reply(id.clone(), json!({ "applied": false, "failureReason": "it would not" }));
        }
        let operations = edit["documentChanges"].as_array().expect("document changes").clone();
        // All of an edit is refused when a version in it is not the one now.
        for operation in &operations {
            let document = &operation["textDocument"];
            let stale = document["version"]
                .as_i64()
                .is_some_and(|version| version != client.version(document["uri"].as_str().expect("a URI")));
            if stale {
                return client.reply(id.clone(), json!({ "applied": false }));
            }
        }
        let mut later: Vec<Later> = Vec::new();
        for operation in operations {
            match operation["kind"].as_str() {
                Some("create") => self.make_first(&operation),
                Some("rename") => self.rename(client, &operation),
                Some("delete") => {
                    std::fs::remove_file(path(&operation["uri"])).expect("deleted");
                    client.close(operation["uri"].as_str().expect("a URI"));
                }
                _ => {
                    let edits = operation["edits"].as_array().expect("edits").clone();
                    if !edits.is_empty() {
                        let uri = operation["textDocument"]["uri"].as_str().expect("a URI").to_owned();
                        later.extend(self.change(client, &mut seen, uri, &edits));
                    }
                }
            }
        }
        client.reply(id.clone(), json!({ "applied": true }));
        later.into_iter().for_each(|later| later(client));
    }

    /// Makes the file of an operation, if it makes one.
    fn make_first(&self, operation: &Value) {
        if operation["kind"] == "create" {
            let path = path(&operation["uri"]);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::File::create_new(path).expect("a new file");
        }
    }

    /// Changes a document, opening it first; gives what happens after the answer.
    fn change(&self, client: &Client, seen: &mut Seen, uri: String, edits: &[Value]) -> Option<Later> {
        let path = path(&json!(uri));
        if !client.is_open(&uri) {
            let text = std::fs::read_to_string(&path).expect("a file");
            match self.opens {
                Opens::AnswersFirst | Opens::AnswersLast => drop(client.open(&path, &text)),
                Opens::ReportsLate | Opens::Silently => {
                    let after = client.edited(&text, edits);
                    seen.hidden.insert(uri.clone(), after.clone());
                    let late = self.opens == Opens::ReportsLate;
                    return late.then(|| -> Later {
                        Box::new(move |client| {
                            let client = client.clone();
                            tokio::spawn(async move {
                                tokio::time::sleep(Duration::from_millis(60)).await;
                                client.open(&path, &after);
                            });
                        })
                    });
                }
            }
        }
        let changes = client.apply(&uri, edits);
        if self.opens == Opens::AnswersLast {
            client.report_all(&uri, changes);
            return None;
        }
        Some(Box::new(move |client| client.report_all(&uri, changes)))
    }

    /// The file goes, and an open buffer goes with it; all the editors leave a file alone that bears the new name.
    fn rename(&self, client: &Client, operation: &Value) {
        let (old, new) = (operation["oldUri"].as_str().expect("a URI"), path(&operation["newUri"]));
        if new.exists() {
            return;
        }
        std::fs::rename(path(&operation["oldUri"]), &new).expect("renamed");
        if client.is_open(old) {
            let text = client.text(old);
            client.close(old);
            client.open(&new, &text);
        }
    }

    fn save(&self, client: &Client, id: &Value, uris: &Value) {
        let seen = self.seen.lock().expect("sound");
        match self.saves {
            Saves::No => return client.reply(id.clone(), json!({ "saved": [] })),
            Saves::Fails => return client.fail(id, "no space left on device"),
            Saves::Lies => return client.reply(id.clone(), json!({ "saved": uris })),
            Saves::Yes | Saves::Tidies | Saves::Formats => {}
        }
        for uri in uris.as_array().expect("URIs") {
            let name = uri.as_str().expect("a URI");
            let text = if client.is_open(name) { client.text(name) } else { seen.hidden[name].clone() };
            let text = if self.saves == Saves::Tidies { text.replace("three  ", "three") } else { text };
            let text = if self.saves == Saves::Formats {
                let tidied = text.replace("three  ", "three").replace("zwei", "    zwei ;");
                if client.is_open(name) {
                    client.type_into(name, |_| (0..text.len(), tidied.clone()));
                }
                tidied
            } else {
                text
            };
            std::fs::write(path(uri), text).expect("written");
        }
        client.reply(id.clone(), json!({ "saved": uris }));
    }
}

fn path(uri: &Value) -> PathBuf {
    PathBuf::from(uri.as_str().expect("a URI").strip_prefix("file://").expect("a file"))
}

struct Scene {
    client: Client,
    top: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A workspace with these files, a model that makes these turns, and a client that saves.
    async fn new(personality: Personality, files: &[(&str, &str)], turns: Vec<Value>) -> Self {
        Self::with(personality, files, turns, json!({ "events": true, "save": true })).await
    }

    async fn with(personality: Personality, files: &[(&str, &str)], turns: Vec<Value>, experimental: Value) -> Self {
        Self::ruled(personality, files, &[("go", turns)], experimental).await
    }

    async fn ruled(
        personality: Personality,
        files: &[(&str, &str)],
        rules: &[(&str, Vec<Value>)],
        experimental: Value,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().canonicalize().expect("real");
        for (path, text) in files {
            std::fs::write(top.join(path), text).expect("written");
        }
        let mut setup = Setup::scripted(personality, &top, rules);
        setup.experimental = experimental;
        setup.settings["models"] = json!({ "scripted/test": { "edit_format": "patch" } });
        let client = Client::start(setup).await;
        Self { client, top, _folder: folder }
    }

    /// Runs to the end; the events, and what the last changing call came to.
    async fn run(&self) -> (Vec<Value>, Value) {
        let run = self.client.run("cowrite.run", json!({ "prompt": "go" })).await;
        let finished = self.client.finished(&run).await;
        assert_eq!(finished["status"], "completed", "{finished}");
        let events = self.client.events(&run);
        let last = events.iter().rev().find(|event| event["type"] == "toolFinished").expect("a call").clone();
        (events, last)
    }

    fn disk(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.top.join(path)).ok()
    }

    fn uri(&self, path: &str) -> String {
        uri(&self.top.join(path))
    }

    /// What the model was told, from the session's own record.
    async fn told(&self) -> String {
        let exported = self.client.execute("cowrite.session.export", json!({ "format": "json" })).await;
        exported.expect("an export")["text"].as_str().expect("text").to_owned()
    }
}

fn of_type(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).cloned().collect()
}

fn read(path: &str) -> Value {
    calls(&[("read", json!({ "path": path }))])
}

/// A patch of these sections.
fn patch(sections: &str) -> Value {
    calls(&[("patch", json!({ "patch": format!("*** Begin Patch\n{sections}*** End Patch\n") }))])
}

const BEFORE: &str = "one\ntwo\nthree  \n";
const EDITED: &str = "*** Update File: a.rs\n@@\n one\n-two\n+zwei\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_not_open_is_changed_through_an_editor_that_saves_it() {
    for (opens, saves) in OPENS.into_iter().flat_map(|opens| [(opens, Saves::Yes), (opens, Saves::Tidies)]) {
        let turns = vec![read("a.rs"), patch(EDITED), says("done")];
        let scene = Scene::new(Personality::VsCode, &[("a.rs", BEFORE)], turns).await;
        Editor::new(opens, saves).take_over(&scene.client);
        let (events, finished) = scene.run().await;
        assert_eq!(finished["ok"], true, "{opens:?}: {events:#?}");
        let applied = of_type(&events, "editApplied");
        assert_eq!(applied.len(), 1, "{opens:?}");
        assert_eq!(applied[0]["hunks"][0]["newText"], "zwei", "{opens:?}");
        let tidied = if saves == Saves::Tidies { "three" } else { "three  " };
        assert_eq!(scene.disk("a.rs").expect("there"), format!("one\nzwei\n{tidied}\n"), "{opens:?} {saves:?}");
        assert_eq!(scene.client.requests("workspace/applyEdit").len(), 1, "{opens:?}: made once");
        assert_eq!(
            scene.told().await.contains("the editor changed it on save: line 3"),
            saves == Saves::Tidies,
            "{opens:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_editor_formats_on_save_is_no_obstacle_to_the_edit_nor_to_its_undo() {
    for opens in [Opens::AnswersFirst, Opens::AnswersLast, Opens::ReportsLate] {
        let turns = vec![read("a.rs"), patch(EDITED), says("done")];
        let scene = Scene::new(Personality::VsCode, &[("a.rs", BEFORE)], turns).await;
        Editor::new(opens, Saves::Formats).take_over(&scene.client);
        let (events, finished) = scene.run().await;
        assert_eq!(finished["ok"], true, "{opens:?}: {events:#?}");
        let applied = of_type(&events, "editApplied");
        assert_eq!(applied[0]["hunks"][0]["newText"], "    zwei ;", "{opens:?}");
        let told = scene.told().await;
        assert!(told.contains("a.rs is saved; the editor changed it on save: lines 2 to 3."), "{opens:?}: {told}");
        assert!(told.contains("    zwei ;"), "{opens:?}: {told}");
        let undone = scene.client.execute("cowrite.undo", json!({})).await.expect("an answer");
        assert_eq!(undone["files"][0]["outcome"], "merged", "{opens:?}: {undone}");
        // What was formatted elsewhere is not the run's.
        assert_eq!(scene.client.text(&scene.uri("a.rs")), "one\ntwo\nthree\n", "{opens:?}");
        assert_eq!(scene.disk("a.rs").as_deref(), Some("one\ntwo\nthree\n"), "{opens:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_the_editor_has_opened_and_not_saved_is_applied_and_its_failed_save_is_told() {
    for (opens, saves) in
        OPENS.into_iter().flat_map(|opens| [Saves::No, Saves::Fails, Saves::Lies].map(|saves| (opens, saves)))
    {
        let turns = vec![read("a.rs"), patch(EDITED), says("done")];
        let scene = Scene::new(Personality::VsCode, &[("a.rs", BEFORE)], turns).await;
        Editor::new(opens, saves).take_over(&scene.client);
        let (events, finished) = scene.run().await;
        assert_eq!(scene.disk("a.rs").expect("there"), BEFORE);
        let told = scene.told().await;
        if opens == Opens::Silently {
            // It may be in a buffer that nobody reported: that is no proof.
            assert_eq!(finished["ok"], false, "{saves:?}: {events:#?}");
            assert_eq!(of_type(&events, "editApplied").len(), 0);
            assert!(finished["summary"].as_str().expect("words").contains("not confirmed"), "{finished}");
            continue;
        }
        assert_eq!(finished["ok"], true, "{opens:?} {saves:?}: {events:#?}");
        assert_eq!(of_type(&events, "editApplied").len(), 1, "{opens:?} {saves:?}");
        assert_eq!(scene.client.text(&scene.uri("a.rs")), "one\nzwei\nthree  \n");
        let why = match saves {
            Saves::No => "did not save it",
            Saves::Fails => "no space left on device",
            _ => "says that a.rs is saved, but the file does not hold the change",
        };
        assert!(told.contains(why), "{opens:?} {saves:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_editor_opens_for_an_edit_is_an_open_document_from_then_on() {
    for opens in [Opens::AnswersFirst, Opens::AnswersLast, Opens::ReportsLate] {
        let again = "*** Update File: a.rs\n@@\n zwei\n-three  \n+drei\n";
        let turns = vec![read("a.rs"), patch(EDITED), patch(again), says("done")];
        let scene = Scene::new(Personality::VsCode, &[("a.rs", BEFORE)], turns).await;
        Editor::new(opens, Saves::No).take_over(&scene.client);
        let (events, _) = scene.run().await;
        assert_eq!(of_type(&events, "editApplied").len(), 2, "{opens:?}: {events:#?}");
        assert_eq!(scene.client.text(&scene.uri("a.rs")), "one\nzwei\ndrei\n");
        assert_eq!(scene.disk("a.rs").expect("there"), BEFORE, "never behind the editor's back");
        let edits = scene.client.requests("workspace/applyEdit");
        let versions: Vec<_> = edits
            .iter()
            .map(|edit| edit["params"]["edit"]["documentChanges"][0]["textDocument"]["version"].clone())
            .collect();
        assert!(versions[0].is_null() && versions[1].is_i64(), "{versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_opened_and_saved_for_a_run_stays_saved_until_the_person_types_in_it() {
    for typed in [false, true] {
        let again = "*** Update File: a.rs\n@@\n zwei\n-three  \n+drei\n";
        let first = vec![read("a.rs"), patch(EDITED), says("done")];
        let rules = [("go", first), ("more", vec![patch(again), says("done")])];
        let experimental = json!({ "events": true, "save": true });
        let scene = Scene::ruled(Personality::VsCode, &[("a.rs", BEFORE)], &rules, experimental).await;
        Editor::new(Opens::AnswersFirst, Saves::Yes).take_over(&scene.client);
        scene.run().await;
        if typed {
            scene.client.type_into(&scene.uri("a.rs"), |_| (0..0, "typed\n".into()));
        }
        let run = scene.client.run("cowrite.run", json!({ "prompt": "more" })).await;
        scene.client.finished(&run).await;
        assert_eq!(of_type(&scene.client.events(&run), "editApplied").len(), 1);
        let disk = if typed { "one\nzwei\nthree  \n" } else { "one\nzwei\ndrei\n" };
        assert_eq!(scene.disk("a.rs").as_deref(), Some(disk), "typed: {typed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_editor_would_not_keep_as_it_is_never_goes_through_it() {
    for before in ["one\r\ntwo\nthree  \n", "one\ntwo\nthree  "] {
        let turns = vec![read("a.rs"), patch(EDITED), says("done")];
        let scene = Scene::new(Personality::VsCode, &[("a.rs", before)], turns).await;
        Editor::new(Opens::AnswersFirst, Saves::Yes).take_over(&scene.client);
        let (_, finished) = scene.run().await;
        assert_eq!(finished["ok"], true, "{before:?}: {finished}");
        assert_eq!(scene.disk("a.rs").expect("there"), before.replace("two", "zwei"));
        assert_eq!(scene.client.requests("workspace/applyEdit").len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_is_made_through_an_editor_that_saves_it_and_a_refused_one_leaves_nothing() {
    for opens in OPENS {
        let turns = vec![patch("*** Add File: new/b.rs\n+// new\n"), says("done")];
        let scene = Scene::new(Personality::VsCode, &[], turns.clone()).await;
        Editor::new(opens, Saves::Yes).take_over(&scene.client);
        let (events, finished) = scene.run().await;
        assert_eq!(finished["ok"], true, "{opens:?}: {events:#?}");
        assert_eq!(scene.disk("new/b.rs").as_deref(), Some("// new\n"), "{opens:?}");
        assert_eq!(of_type(&events, "editApplied").len(), 1);
        for with_error in [false, true] {
            let scene = Scene::new(Personality::VsCode, &[], turns.clone()).await;
            Editor { refuses: vec![0], with_error, ..Editor::new(opens, Saves::Yes) }.take_over(&scene.client);
            let (events, finished) = scene.run().await;
            assert_eq!(
                (finished["ok"].clone(), of_type(&events, "editApplied").len()),
                (json!(false), 0),
                "{finished}"
            );
            assert_eq!(scene.disk("new/b.rs"), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_file_moves_and_goes_in_every_editor_that_can_and_undo_brings_it_back() {
    for personality in Personality::ALL {
        let sections = "*** Update File: a.rs\n*** Move to: src/b.rs\n@@\n one\n-two\n+zwei\n*** Delete File: c.rs\n";
        let turns = vec![read("a.rs"), read("c.rs"), patch(sections), says("done")];
        let files = [("a.rs", "on disk\n"), ("c.rs", "gone\n")];
        let scene = Scene::with(personality, &files, turns, json!({ "events": true })).await;
        Editor::new(Opens::AnswersLast, Saves::No).take_over(&scene.client);
        scene.client.open(&scene.top.join("a.rs"), BEFORE);
        let (events, finished) = scene.run().await;
        let able = !matches!(personality, Personality::Eglot | Personality::KakLsp);
        assert_eq!(finished["ok"], able, "{personality:?}: {events:#?}");
        let (here, there) = (scene.uri("a.rs"), scene.uri("src/b.rs"));
        if !able {
            // All that was done before is taken back.
            assert_eq!(scene.client.text(&here), BEFORE, "{personality:?}");
            assert_eq!(scene.disk("c.rs").as_deref(), Some("gone\n"));
            let told = scene.told().await;
            assert!(told.contains("this editor cannot rename an open file"), "{personality:?}: {told}");
            assert_eq!(of_type(&events, "editApplied").len(), 2, "the edit, and that it was taken back");
            continue;
        }
        assert_eq!(scene.client.text(&there), "one\nzwei\nthree  \n", "{personality:?}");
        assert!(!scene.client.is_open(&here), "{personality:?}");
        assert_eq!((scene.disk("a.rs"), scene.disk("c.rs")), (None, None), "{personality:?}");
        let files: Vec<Value> =
            of_type(&events, "editApplied").iter().map(|event| json!([event["operation"], event["to"]])).collect();
        assert_eq!(files, [json!([null, null]), json!(["rename", there]), json!(["delete", null])], "{personality:?}");

        let undone = scene.client.execute("cowrite.undo", json!({})).await.expect("an answer");
        let outcomes: Vec<_> = undone["files"].as_array().expect("files").iter().map(|file| &file["outcome"]).collect();
        assert_eq!(outcomes, ["restored", "restored"], "{personality:?}: {undone}");
        assert_eq!(undone["files"][0]["uri"], json!(here));
        assert_eq!(scene.client.text(&here), BEFORE, "{personality:?}");
        assert!(!scene.client.is_open(&there), "{personality:?}");
        assert_eq!(scene.disk("a.rs").as_deref(), Some("on disk\n"), "{personality:?}");
        assert_eq!(scene.disk("c.rs").as_deref(), Some("gone\n"), "{personality:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t2_a_set_that_the_editor_refuses_at_any_place_leaves_nothing_half_done() {
    let sections = [
        "*** Update File: open.rs\n@@\n one\n-two\n+zwei\n",
        "*** Update File: shut.rs\n@@\n one\n-two\n+zwei\n",
        "*** Add File: new.rs\n+new\n",
        "*** Update File: moved.rs\n*** Move to: src/moved.rs\n",
        "*** Delete File: gone.rs\n",
    ];
    for (at, with_error) in (0..sections.len()).flat_map(|at| [(at, false), (at, true)]) {
        let files = ["open.rs", "shut.rs", "moved.rs", "gone.rs"];
        let mut turns: Vec<Value> = files.map(read).into();
        turns.extend([patch(&sections.concat()), says("done")]);
        let scene = Scene::new(Personality::VsCode, &files.map(|file| (file, BEFORE)), turns).await;
        for file in ["open.rs", "moved.rs", "gone.rs"] {
            scene.client.open(&scene.top.join(file), BEFORE);
        }
        Editor { refuses: vec![at], with_error, ..Editor::new(Opens::AnswersFirst, Saves::Yes) }
            .take_over(&scene.client);
        let (events, finished) = scene.run().await;
        assert_eq!(finished["ok"], false, "{at}: {events:#?}");
        for file in files {
            assert_eq!(scene.disk(file).as_deref(), Some(BEFORE), "{at} {with_error}: {file}");
        }
        assert_eq!((scene.disk("new.rs"), scene.disk("src/moved.rs")), (None, None), "{at} {with_error}");
        assert_eq!(scene.client.text(&scene.uri("open.rs")), BEFORE, "{at} {with_error}");
        assert_eq!(scene.client.text(&scene.uri("moved.rs")), BEFORE, "{at} {with_error}");
        let told = scene.told().await;
        assert!(!told.contains("NOT taken back"), "{at} {with_error}: {told}");
        let names = ["open.rs", "shut.rs", "new.rs", "moved.rs", "gone.rs"];
        if at > 0 {
            let expected = format!("these are as they were: {}", names[..at].join(", "));
            assert!(told.contains(&expected), "{at} {with_error}: {told}");
        }
        // Made and taken back, both told.
        assert_eq!(of_type(&events, "editApplied").len(), 2 * at, "{at} {with_error}: {events:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_is_stopped_in_the_middle_is_taken_back() {
    let sections = "*** Update File: a.rs\n@@\n one\n-two\n+zwei\n*** Update File: b.rs\n@@\n one\n-two\n+zwei\n";
    let turns = vec![read("a.rs"), read("b.rs"), patch(sections), says("done")];
    let files = [("a.rs", BEFORE), ("b.rs", BEFORE)];
    let scene = Scene::with(Personality::VsCode, &files, turns, json!({ "events": true })).await;
    let [a, b] = ["a.rs", "b.rs"].map(|file| scene.client.open(&scene.top.join(file), BEFORE));
    // The second edit is answered only after the person has stopped the run.
    let held: Arc<Mutex<Option<Value>>> = Arc::default();
    let (hold, editor) = (held.clone(), Editor::new(Opens::AnswersLast, Saves::No));
    scene.client.set_habit(move |client, method, id, params| {
        let second = params["edit"].to_string().contains("b.rs");
        match method {
            "workspace/applyEdit" if second => *hold.lock().expect("sound") = Some(id.clone()),
            "workspace/applyEdit" => editor.edit(client, id, &params["edit"]),
            _ => return false,
        }
        true
    });
    let run = scene.client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let edits =
        |requests: &[Value]| requests.iter().filter(|request| request["method"] == "workspace/applyEdit").count();
    scene.client.until("the second edit", |_, requests| (edits(requests) == 2).then_some(())).await;
    scene.client.execute("cowrite.cancel", json!({ "runId": run })).await.expect("an answer");
    assert_eq!(scene.client.finished(&run).await["status"], "cancelled");
    let id = held.lock().expect("sound").take().expect("a request");
    scene.client.reply(id, json!({ "applied": false }));
    scene.client.until("the first one taken back", |_, requests| (edits(requests) == 3).then_some(())).await;
    scene
        .client
        .until("that it is told", |notifications, _| {
            let applied = notifications.iter().filter(|message| message["params"]["event"]["type"] == "editApplied");
            (applied.count() == 2).then_some(())
        })
        .await;
    assert_eq!((scene.client.text(&a), scene.client.text(&b)), (BEFORE.to_owned(), BEFORE.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_offered_the_form_of_edits_that_is_set_for_it() {
    for (form, works) in [("patch", "patch"), ("str_replace", "edit")] {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().canonicalize().expect("real");
        std::fs::write(top.join("a.rs"), BEFORE).expect("written");
        let turns =
            vec![read("a.rs"), patch(EDITED), read("a.rs"), calls(&[edit("a.rs", &[("one", "eins")])]), says("done")];
        let mut setup = Setup::scripted(Personality::VsCode, Path::new(&top), &[("go", turns)]);
        setup.settings["models"] = json!({ "scripted/test": { "edit_format": form } });
        let client = Client::start(setup).await;
        let run = client.run("cowrite.run", json!({ "prompt": "go" })).await;
        assert_eq!(client.finished(&run).await["status"], "completed");
        let events = client.events(&run);
        for tool in ["patch", "edit"] {
            let started = events.iter().find(|event| event["type"] == "toolStarted" && event["name"] == tool);
            let id = &started.expect("a call")["callId"];
            let ended = events.iter().find(|event| event["type"] == "toolFinished" && event["callId"] == *id);
            let ended = ended.expect("its end");
            assert_eq!(ended["ok"], tool == works, "{form}: {ended}");
            assert_eq!(
                ended["summary"].as_str().expect("words").contains("There is no tool"),
                tool != works,
                "{ended}"
            );
        }
    }
}
