//! Programs of the person's own hear of what a run does, and may stop it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup, Surroundings};
use crate::running::{mark, marked, none_left};
use crate::script::{calls, endless, says};

struct Scene {
    folder: tempfile::TempDir,
    client: Client,
}

impl Scene {
    /// A client with hooks: shell lines, by moment. `$LOG` in them is a file that nobody else writes.
    async fn new(hooks: &[(&str, &[&str])], turns: Vec<Value>) -> Self {
        Self::surrounded(hooks, turns, None).await
    }

    async fn surrounded(hooks: &[(&str, &[&str])], turns: Vec<Value>, surroundings: Option<Surroundings>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("real");
        let log = real.join("log");
        let program = |line: &&str| json!(["sh", "-c", line.replace("$LOG", &log.display().to_string())]);
        let hooks: serde_json::Map<String, Value> = hooks
            .iter()
            .map(|(moment, lines)| ((*moment).to_owned(), lines.iter().map(program).collect::<Vec<_>>().into()))
            .collect();
        let work = real.join("work");
        std::fs::create_dir(&work).expect("a folder");
        std::fs::write(work.join("a.txt"), "one\n").expect("written");
        let mut setup = Setup::scripted(Personality::VsCode, &work, &[("", turns)]);
        setup.settings["hooks"] = hooks.into();
        setup.process = true;
        setup.surroundings = surroundings;
        let client = Client::start(setup).await;
        Self { folder, client }
    }

    async fn ask(&self) -> (Value, Vec<Value>) {
        let run = self.client.run("cowrite.run", json!({ "prompt": "Go on." })).await;
        let ended = self.client.finished(&run).await;
        (ended, self.client.events(&run))
    }

    /// What hooks wrote down.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn told(&self) -> String {
        let shown = self.client.notifications("window/showMessage");
        shown
            .iter()
            .filter_map(|shown| shown["params"]["message"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The conversation as it is recorded.
    async fn conversation(&self) -> String {
        let shown =
            self.client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
        shown.to_string()
    }
}

fn writes() -> Vec<Value> {
    vec![calls(&[("write", json!({ "path": "new.txt", "content": "new\n" }))]), says("Done.")]
}

fn tool(events: &[Value]) -> &Value {
    events.iter().find(|event| event["type"] == "toolFinished").expect("a call")
}

#[tokio::test]
async fn t5_every_moment_is_told_in_order_and_words_reach_the_model() {
    let hooks: [(&str, &[&str]); 5] = [
        ("prompt_submit", &["cat >> $LOG; echo words of prompt_submit"]),
        ("before_request", &["cat >> $LOG"]),
        ("before_tool", &["cat >> $LOG; echo words of before_tool"]),
        ("after_tool", &["cat >> $LOG; echo '{\"text\": \"words of after_tool\"}'"]),
        ("turn_end", &["cat >> $LOG"]),
    ];
    let scene = Scene::new(&hooks, writes()).await;
    let (ended, _) = scene.ask().await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let heard: Vec<Value> = scene.log().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let moments: Vec<&str> = heard.iter().filter_map(|heard| heard["moment"].as_str()).collect();
    let expected = "prompt_submit before_request before_tool after_tool turn_end before_request turn_end";
    assert_eq!(moments.join(" "), expected);
    assert!(heard.iter().all(|heard| heard["runId"] == heard[0]["runId"] || heard["runId"].is_string()));
    assert!(heard.iter().all(|heard| heard["sessionId"].is_string() && heard["workspace"].is_string()));
    assert_eq!(heard[0]["prompt"], "Go on.");
    assert_eq!((&heard[2]["tool"], &heard[2]["arguments"]["path"]), (&json!("write"), &json!("new.txt")));
    assert!(heard[3]["ok"] == true && heard[3]["result"].is_string());
    let conversation = scene.conversation().await;
    for moment in ["prompt_submit", "before_tool", "after_tool"] {
        assert!(conversation.contains(&format!("says:) words of {moment}")), "{moment} is not in {conversation}");
    }

    let hooks: [(&str, &[&str]); 2] =
        [("before_request", &["echo words of before_request"]), ("turn_end", &["echo words of turn_end"])];
    let scene = Scene::new(&hooks, vec![says("Done.")]).await;
    scene.ask().await;
    // What is said at the end is heard at the next beginning.
    assert!(!scene.conversation().await.contains("words of turn_end"));
    assert_eq!(scene.ask().await.0["status"], "completed");
    let conversation = scene.conversation().await;
    assert!(
        conversation.contains("says:) words of before_request") && conversation.contains("says:) words of turn_end")
    );
}

#[tokio::test]
async fn t5_the_first_that_says_no_wins() {
    let hooks =
        [("prompt_submit", ["echo first >> $LOG", "echo why not >&2; exit 2", "echo third >> $LOG"].as_slice())];
    let scene = Scene::new(&hooks, writes()).await;
    let (ended, events) = scene.ask().await;
    assert_eq!(ended["status"], "failed");
    assert_eq!(ended["error"], "A hook did not let the prompt through: why not");
    assert_eq!(scene.log(), "first\n");
    assert!(!events.iter().any(|event| event["type"] == "turnStarted"));
    assert!(!scene.folder.path().join("work/new.txt").exists());
}

#[tokio::test]
async fn t5_a_blocked_call_is_an_answer_and_a_blocked_request_ends_the_run() {
    let scene =
        Scene::new(&[("before_tool", &["grep -q '\"tool\":\"write\"' && echo hands off >&2 && exit 2"])], writes())
            .await;
    let (ended, events) = scene.ask().await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(tool(&events)["ok"] == false && tool(&events)["summary"] == "a hook said no: hands off", "{events:?}");
    assert!(!scene.folder.path().join("work/new.txt").exists());

    let scene = Scene::new(&[("before_request", &["echo too dear >&2; exit 2"])], writes()).await;
    let (ended, _) = scene.ask().await;
    assert_eq!(ended["error"], "A hook did not let the request to the model through: too dear");
}

#[tokio::test]
async fn t5_a_hook_that_fails_is_no_yes_before_and_is_reported_after() {
    let scene = Scene::new(&[("before_tool", &["echo broken >&2; exit 1"])], writes()).await;
    let (_, events) = scene.ask().await;
    assert_eq!(tool(&events)["ok"], false);
    assert!(!scene.folder.path().join("work/new.txt").exists());
    assert!(scene.told().contains("The before_tool hook sh ended with status 1 (broken)."), "{}", scene.told());

    let scene = Scene::new(&[("after_tool", &["kill -9 $$"]), ("turn_end", &["exit 7"])], writes()).await;
    let (ended, events) = scene.ask().await;
    assert!(ended["status"] == "completed" && tool(&events)["ok"] == true);
    let told = scene.told();
    assert!(told.contains("The after_tool hook sh was ended by signal 9."), "{told}");
    assert_eq!(told.matches("The turn_end hook sh ended with status 7.").count(), 1, "{told}");
}

#[tokio::test]
async fn t5_a_hook_that_hangs_has_ten_seconds_and_is_gone_after_them() {
    let hang = "sleep 1000 & echo $! > $LOG; wait";
    let scene = Scene::new(&[("before_tool", &[hang])], writes()).await;
    let began = Instant::now();
    let (_, events) = scene.ask().await;
    assert!(began.elapsed() > Duration::from_secs(9) && began.elapsed() < Duration::from_secs(14));
    assert_eq!(tool(&events)["ok"], false);
    assert!(scene.told().contains("did not end within 10 s"), "{}", scene.told());
    let child = scene.log();
    let status = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(status.is_empty() || status.contains(") Z "), "{status}");
}

/// What a program of the same name in the folder would be taken for, it is not before the folder is trusted.
#[tokio::test]
async fn t5_a_hook_starts_where_the_folders_owner_has_made_nothing_until_the_folder_is_trusted() {
    let scene = Scene::new(&[("prompt_submit", &["pwd > $LOG"])], vec![says("Done.")]).await;
    let (work, state) = (scene.folder.path().join("work"), scene.client.state_folder());
    let real = |folder: &std::path::Path| format!("{}\n", folder.canonicalize().expect("real").display());
    scene.ask().await;
    assert_eq!(scene.log(), real(&state));
    scene.client.execute("cowrite.trust", json!({})).await.expect("granted");
    scene.ask().await;
    assert_eq!(scene.log(), real(&work));
}

#[tokio::test]
async fn a3_18_no_key_is_in_a_hooks_environment() {
    let variables = [
        ("PATH", std::env::var("PATH").expect("a path")),
        ("HOME", "/nowhere".to_owned()),
        ("OPENAI_API_KEY", "canary-one-of-many".to_owned()),
        ("GITHUB_TOKEN", "canary-two-of-many".to_owned()),
        ("LC_NAME", "canary-one-of-many".to_owned()),
        ("MY_OWN", "canary-three-of-many".to_owned()),
        ("SSH_AUTH_SOCK", "/run/canary".to_owned()),
    ];
    let log = tempfile::tempfile().expect("a file");
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    let around = Surroundings { variables, standard_error: log };
    // Its supervisor's too: a program may look at what is above it.
    let line = "(env; tr '\\0' '\\n' < /proc/$PPID/environ; echo over) > $LOG";
    let scene = Scene::surrounded(&[("prompt_submit", &[line])], vec![says("Done.")], Some(around)).await;
    assert_eq!(scene.ask().await.0["status"], "completed");
    let log = scene.log();
    assert!(log.contains("PATH=") && log.contains("HOME=/nowhere") && log.ends_with("over\n"), "{log}");
    assert!(!log.contains("canary"), "{log}");
}

#[tokio::test]
async fn a3_19_a_server_that_is_killed_leaves_no_hook_behind() {
    let mark = mark();
    let hang = format!("setsid sleep 640.{mark} & sleep 641.{mark} & echo begun > $LOG; sleep 642.{mark}");
    let scene = Scene::new(&[("before_request", &[&hang])], writes()).await;
    scene.client.run("cowrite.run", json!({ "prompt": "Go on." })).await;
    let began = Instant::now();
    while marked(&mark).len() < 3 || scene.log().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(9), "the test sees what it looks for");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.client.kill().await;
    none_left(&mark, "killed").await;
}

#[tokio::test]
async fn t5_a_cancel_is_told_and_waits_for_no_hook() {
    let scene =
        Scene::new(&[("cancelled", &["cat >> $LOG"]), ("turn_end", &["echo never >> $LOG"])], vec![endless()]).await;
    let run = scene.client.run("cowrite.run", json!({ "prompt": "Go on." })).await;
    scene.client.streamed(&run).await;
    scene.client.execute("cowrite.cancel", json!({})).await.expect("cancelled");
    assert_eq!(scene.client.finished(&run).await["status"], "cancelled");
    let began = Instant::now();
    while !scene.log().contains("\"moment\":\"cancelled\"") {
        assert!(began.elapsed() < Duration::from_secs(5), "nobody told the hook");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!scene.log().contains("never"));

    let scene = Scene::new(&[("before_request", &["sleep 1000"])], writes()).await;
    let run = scene.client.run("cowrite.run", json!({ "prompt": "Go on." })).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    scene.client.execute("cowrite.cancel", json!({})).await.expect("cancelled");
    let began = Instant::now();
    assert_eq!(scene.client.finished(&run).await["status"], "cancelled");
    assert!(began.elapsed() < Duration::from_secs(2));
}
