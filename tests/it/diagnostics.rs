//! What language servers report reaches the model, in editors that say it.

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup, uri};
use crate::script::{calls, edit, says};

struct Scene {
    folder: tempfile::TempDir,
    client: Client,
}

impl Scene {
    async fn new(able: bool, turns: Vec<Value>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.rs"), "fn a() {}\n").expect("written");
        let mut setup = Setup::scripted(Personality::VsCode, folder.path(), &[("", turns)]);
        setup.experimental = json!({ "events": true, "diagnostics": able });
        let client = Client::start(setup).await;
        Self { folder, client }
    }

    /// Answers what is reported of `a.rs`: as long as its text goes without `words`, only the old error.
    fn reports_when(&self, words: &'static str) -> String {
        let path = self.folder.path().join("a.rs");
        let document = self.client.open(&path, "fn a() {}\n");
        self.client.set_habit(move |client, method, id, _| {
            if method != "cowrite/diagnostics" {
                return false;
            }
            let mut all =
                vec![report(0, 1, "old"), json!({ "range": range(0), "source": "cowrite", "message": "own" })];
            if client.text(&uri(&path)).contains(words) {
                all.push(report(0, 1, "brand new"));
                all.push(report(0, 4, "a hint"));
            }
            client.reply(id.clone(), json!({ "items": [{ "uri": uri(&path), "diagnostics": all }] }));
            true
        });
        document
    }

    async fn ask(&self) -> (Value, String) {
        let run = self.client.run("cowrite.run", json!({ "prompt": "Go." })).await;
        assert_eq!(self.client.finished(&run).await["status"], "completed");
        let done = self.client.events(&run).into_iter().rfind(|event| event["type"] == "toolFinished");
        let all = self.client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
        (done.expect("a call"), all.to_string())
    }
}

fn range(line: u32) -> Value {
    json!({ "start": { "line": line, "character": 0 }, "end": { "line": line, "character": 1 } })
}

fn report(line: u32, severity: u32, message: &str) -> Value {
    json!({ "range": range(line), "severity": severity, "source": "rustc", "code": 7, "message": message })
}

#[tokio::test]
async fn the_model_can_ask_what_is_reported() {
    for arguments in [json!({ "path": "a.rs" }), json!({})] {
        let scene = Scene::new(true, vec![calls(&[("diagnostics", arguments)]), says("Done.")]).await;
        scene.reports_when("fn a");
        let (done, all) = scene.ask().await;
        assert_eq!(done["summary"], "3 reported, 2 of them errors", "{done}");
        assert!(all.contains("a.rs:1:1: error: old (rustc 7)") && all.contains("hint: a hint") && !all.contains("own"));
    }
    let scene = Scene::new(false, vec![calls(&[("diagnostics", json!({}))]), says("Done.")]).await;
    let (done, _) = scene.ask().await;
    assert!(
        done["ok"] == false && done["summary"].as_str().is_some_and(|said| said.contains("does not tell")),
        "{done}"
    );
    assert!(scene.client.requests("cowrite/diagnostics").is_empty());
}

#[tokio::test]
async fn what_an_edit_breaks_comes_with_its_result() {
    let turns = vec![
        calls(&[("read", json!({ "path": "a.rs" }))]),
        calls(&[edit("a.rs", &[("fn a", "fn broken")])]),
        says("Done."),
    ];
    let scene = Scene::new(true, turns.clone()).await;
    scene.reports_when("broken");
    let (done, all) = scene.ask().await;
    assert_eq!(done["ok"], true);
    assert!(all.contains("New problems reported by the editor:"), "{all}");
    assert!(
        all.contains("error: brand new (rustc 7)") && !all.contains("error: old") && !all.contains("a hint"),
        "{all}"
    );

    let scene = Scene::new(true, turns.clone()).await;
    scene.reports_when("never there");
    assert!(!scene.ask().await.1.contains("New problems"));

    // An editor that does not answer costs some seconds and nothing else.
    let scene = Scene::new(true, turns).await;
    scene.client.open(&scene.folder.path().join("a.rs"), "fn a() {}\n");
    scene.client.be_deaf_to("cowrite/diagnostics");
    assert_eq!(scene.ask().await.0["ok"], true);
}
