//! The tool `run` and the verify commands, through a real server.

use std::path::Path;
use std::time::{Duration, Instant};

use cowrite::process;
use serde_json::{Value, json};

use crate::client::{Client, Personality, Setup, Surroundings, state_folder};
use crate::running::{mark, marked, none_left, noted, watched};
use crate::script::{calls, edit, says};

/// A server in mode `auto`, where commands in the sandbox go ahead.
fn setup<'a>(folder: &'a Path, rules: &[(&str, Vec<Value>)]) -> Setup<'a> {
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
    let mut setup = Setup::scripted(Personality::VsCode, folder, rules);
    setup.settings["mode"] = json!("auto");
    setup
}

/// Whether commands go ahead unasked on this machine. Where they do not, that is said; what is asked for is tested elsewhere.
fn unasked(test: &str) -> bool {
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
    match process::sandbox() {
        Ok(()) => true,
        Err(why) => {
            eprintln!("{test}: no sandbox on this machine, because {why}");
            assert!(!crate::running::must_have_sandbox(), "{test}: there must be a sandbox where CI is set: {why}");
            false
        }
    }
}

fn run(command: &str) -> Value {
    calls(&[("run", json!({ "command": command }))])
}

/// What is not read is not edited.
fn read() -> Value {
    calls(&[("read", json!({ "path": "a.rs" }))])
}

/// The end of a run; what it asks meanwhile is denied.
async fn finished(client: &Client, run: &str) -> Value {
    let mut denied = 0;
    loop {
        let asked = client.until("the end, or a question", |notifications, _| {
            let events = || events(notifications, run);
            let asked = events().filter(|event| event["type"] == "approvalRequested").count();
            let over = events().find(|event| event["type"] == "runFinished").cloned();
            over.map(Ok).or((asked > denied).then_some(Err(asked)))
        });
        match asked.await {
            Ok(over) => return over,
            Err(asked) => {
                denied = asked;
                // One that is answered already is no matter.
                let _ = client.execute("cowrite.deny", json!({})).await;
            }
        }
    }
}

fn events<'a>(notifications: &'a [Value], run: &'a str) -> impl Iterator<Item = &'a Value> {
    let told = notifications.iter().filter(move |told| told["params"]["runId"] == run);
    told.map(|told| &told["params"]["event"])
}

/// Waits for the first words of a command.
async fn begun(client: &Client, run: &str) {
    let printed = |notifications: &[Value]| events(notifications, run).any(|event| event["type"] == "toolOutput");
    client.until("the command's first words", |notifications, _| printed(notifications).then_some(())).await;
}

fn real(folder: &tempfile::TempDir) -> std::path::PathBuf {
    folder.path().canonicalize().expect("real")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_heard_while_it_runs_and_its_end_is_an_answer() {
    if !unasked("a_command_is_heard") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    std::fs::write(ws.join("a.rs"), "old\n").expect("written");
    let mut second = run("cat a.rs; exit 3");
    second["expect"] = json!({ "contains": ["The command succeeded.", "one\ntwo"], "results_ok": true });
    let mut third = run("cd .. && touch outside");
    third["expect"] = json!({ "contains": ["status 3", "a.rs is not saved in the editor", "old"] });
    let mut last = says("Done.");
    last["expect"] = json!({ "contains": ["It ran in a sandbox"] });
    let rules = [("go", vec![run("echo one; echo two >&2"), second, third, last])];
    let client = Client::start(setup(&ws, &rules)).await;
    client.open(&ws.join("a.rs"), "new\n");
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let over = finished(&client, &id).await;
    assert_eq!(over["status"], "completed", "{over}");
    let events = client.events(&id);
    let printed: String = events
        .iter()
        .filter(|event| event["type"] == "toolOutput")
        .filter_map(|event| event["text"].as_str())
        .collect();
    assert!(printed.starts_with("one\ntwo\nold\n"), "{printed}");
    let ends: Vec<(bool, &str)> = events
        .iter()
        .filter(|event| event["type"] == "toolFinished")
        .map(|event| (event["ok"] == true, event["summary"].as_str().expect("a summary")))
        .collect();
    assert_eq!(ends[..2], [(true, "succeeded"), (false, "status 3")]);
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_saved_is_saved_first_where_the_editor_can() {
    if !unasked("what_is_not_saved") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    for file in ["a.rs", "b.rs", "same.rs"] {
        std::fs::write(ws.join(file), "old\n").expect("written");
    }
    let mut last = says("Done.");
    last["expect"] = json!({ "contains": ["b.rs is not saved in the editor", "It printed:\nnew\nold\n"] });
    let mut setup = setup(&ws, &[("go", vec![run("cat a.rs b.rs"), last])]);
    setup.experimental = json!({ "events": true, "save": true });
    let client = Client::start(setup).await;
    let (a, b) = (client.open(&ws.join("a.rs"), "new\n"), client.open(&ws.join("b.rs"), "new\n"));
    client.open(&ws.join("same.rs"), "old\n");
    let file = ws.join("a.rs");
    client.set_habit(move |client, method, id, params| {
        if method != "cowrite/save" {
            return false;
        }
        // This editor does not manage to save the other one.
        let mut uris: Vec<&str> = params["uris"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        uris.sort_unstable();
        assert_eq!(uris, [&a, &b], "all that need it, at once");
        std::fs::write(&file, "new\n").expect("saved");
        client.reply(id.clone(), json!({ "saved": [a] }));
        true
    });
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let over = finished(&client, &id).await;
    assert_eq!(over["status"], "completed", "{over}");
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_08_protected_names_that_a_command_makes_are_taken_out_and_named() {
    if !unasked("a3_08") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    let line = "mkdir -p .vscode a/.cargo && echo x > .vscode/tasks.json && echo x > a/.cargo/config.toml && echo x > a/AGENTS.md \
                && ln -s /etc/passwd .envrc && echo x > b.rs";
    let mut last = says("Done.");
    last["expect"] = json!({ "contains": [".envrc, .vscode, a/.cargo/config.toml, a/AGENTS.md", "protected"] });
    let client = Client::start(setup(&ws, &[("go", vec![run(line), last])])).await;
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let over = finished(&client, &id).await;
    assert_eq!(over["status"], "completed", "{over}");
    for gone in [".vscode", "a/.cargo/config.toml", "a/AGENTS.md", ".envrc"] {
        assert!(ws.join(gone).symlink_metadata().is_err(), "{gone} is still there");
    }
    assert!(ws.join("b.rs").exists());
    client.stop().await;
}

/// What a command did before to keep protected names in: modes, links, and what links lead to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_08_neither_modes_nor_links_keep_protected_names_in() {
    if !unasked("a3_08_modes") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    std::fs::create_dir_all(ws.join("gh/workflows")).expect("a folder");
    std::fs::write(ws.join("gh/workflows/ci.yml"), "mine").expect("a file");
    std::os::unix::fs::symlink("gh", ws.join(".github")).expect("a link");
    std::os::unix::fs::symlink("local/env", ws.join(".envrc")).expect("a link");
    let line = "mkdir .vscode c sub local && echo x > .vscode/tasks.json && chmod 555 .vscode && echo x > c/config.toml && ln -s c .cargo \
                && echo x > sub/AGENTS.md && chmod 311 sub && echo x > local/env; echo evil > gh/workflows/ci.yml; \
                echo evil > gh/workflows/new.yml";
    let mut last = says("Done.");
    last["expect"] =
        json!({ "contains": [".cargo, .vscode, local/env, sub/AGENTS.md", "can be found in", "taken-out"] });
    let client = Client::start(setup(&ws, &[("go", vec![run(line), last])])).await;
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let over = finished(&client, &id).await;
    assert_eq!(over["status"], "completed", "{over}");
    for gone in [".vscode", ".cargo", "sub/AGENTS.md", "local/env", "gh/workflows/new.yml"] {
        assert!(ws.join(gone).symlink_metadata().is_err(), "{gone} is still there");
    }
    assert_eq!(std::fs::read_to_string(ws.join("gh/workflows/ci.yml")).expect("a file"), "mine");
    client.stop().await;
}

/// The look afterwards comes however the command ended: stopped, ended for its time, or with its supervisor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_08_what_was_made_is_taken_out_however_the_command_ended() {
    if !unasked("a3_08_however") {
        return;
    }
    for how in ["cancelled", "too long", "its supervisor was killed", "the client left"] {
        let folder = tempfile::tempdir().expect("a folder");
        let ws = real(&folder);
        // So many that looking through them takes longer than a stopped run waits for what it has left behind.
        for number in 0..if how == "the client left" { 8_000 } else { 0 } {
            std::fs::create_dir(ws.join(number.to_string())).expect("a folder");
        }
        let mark = mark();
        let watch = watched(&mark);
        let line = format!("mkdir .vscode && echo x > .vscode/tasks.json && echo begun && sleep 630.{mark}");
        let seconds = if how == "too long" { 1 } else { 60 };
        let mut last = says("Done.");
        last["expect"] = match how {
            "too long" => {
                json!({ "contains": ["took longer than 1 s", ".vscode, which is protected, appeared while a command ran", "taken out"] })
            }
            _ => {
                json!({ "contains": ["ended without a word", ".vscode, which is protected, appeared while a command ran", "taken out"] })
            }
        };
        let mut heard = says("Heard.");
        heard["expect"] =
            json!({ "contains": [".vscode, which is protected, appeared while a command ran", "nobody was asked"] });
        let rules = [
            ("go", vec![calls(&[("run", json!({ "command": line, "timeout_seconds": seconds }))]), last]),
            ("then", vec![heard]),
        ];
        let client = Client::start(Setup { process: true, ..setup(&ws, &rules) }).await;
        let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
        begun(&client, &id).await;
        assert!(ws.join(".vscode/tasks.json").exists());
        match how {
            "cancelled" => {
                client.execute("cowrite.cancel", json!({})).await.expect("cancelled");
                assert_eq!(client.finished(&id).await["status"], "cancelled");
                let told = client.until("where it is now", |notifications, _| {
                    let said = notifications.iter().filter(|told| told["method"] == "window/showMessage");
                    let said = said.filter_map(|told| told["params"]["message"].as_str());
                    said.filter(|said| said.contains("taken-out")).map(str::to_owned).next()
                });
                let told = told.await;
                assert!(told.contains(".vscode") && told.contains("nobody was asked"), "{told}");
                // The model hears of it with the next run, and its person is asked nothing.
                let id = client.run("cowrite.run", json!({ "prompt": "then" })).await;
                let over = finished(&client, &id).await;
                assert_eq!(over["status"], "completed", "{over}");
            }
            "the client left" => drop(client.stop().await),
            _ => {
                if how != "too long" {
                    while noted(&mark).is_empty() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    for pid in noted(&mark) {
                        let pid =
                            rustix::process::Pid::from_raw(i32::try_from(pid).expect("a number")).expect("a number");
                        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                    }
                }
                let over = finished(&client, &id).await;
                assert_eq!(over["status"], "completed", "{how}: {over}");
            }
        }
        drop(watch);
        let ended = Instant::now();
        while ws.join(".vscode").exists() {
            let patience = Duration::from_secs(if how == "cancelled" { 2 } else { 0 });
            assert!(ended.elapsed() < patience, "{how}: what was made is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        none_left(&mark, how).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sandbox_the_checks_are_asked_for_too() {
    let refused = unasked("without_a_sandbox").then_some("user");
    for (answer, checked) in [("cowrite.deny", false), ("cowrite.approve", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let ws = real(&folder);
        std::fs::write(ws.join("a.rs"), "one\n").expect("written");
        let turns = vec![read(), calls(&[edit("a.rs", &[("one", "two")])]), says("It is done.")];
        let mut setup = setup(&ws, &[("go", turns)]);
        setup.settings["verify"] = json!({ "commands": ["touch checked"] });
        let client = Client::start(Setup { process: true, refused, ..setup }).await;
        let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
        let asked = client
            .until("a question", |notifications, _| {
                events(notifications, &id).find(|event| event["type"] == "approvalRequested").cloned()
            })
            .await;
        assert_eq!(asked["title"], "Check the edits with the commands of the settings");
        assert!(asked["detail"].as_str().is_some_and(|detail| detail.contains("touch checked")), "{asked}");
        assert!(!ws.join("checked").exists());
        client.execute(answer, json!({})).await.expect("it is open");
        let over = client.finished(&id).await;
        let said = match checked {
            true => "It is done.\n\nChecked:\n- `touch checked`: passed",
            false => {
                "It is done.\n\nChecked:\n- `touch checked`: not run: nothing holds commands here, and the person did not allow it"
            }
        };
        assert_eq!(over["resultText"], said);
        assert_eq!(ws.join("checked").exists(), checked);
        client.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_edits_are_checked_and_what_fails_goes_back_to_the_model() {
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    std::fs::write(ws.join("a.rs"), "one\n").expect("written");
    let mut mend = calls(&[edit("a.rs", &[("broken", "whole")])]);
    mend["expect"] = json!({ "contains": ["`grep whole a.rs || (echo it is broken; exit 4)`: failed with status 4", "it is broken"] });
    let turns =
        vec![read(), calls(&[edit("a.rs", &[("one", "broken")])]), says("It is done."), mend, says("Now it is.")];
    let mut setup = setup(&ws, &[("go", turns), ("only talk", vec![says("Yes.")])]);
    setup.settings["verify"] =
        json!({ "commands": ["test -f a.rs", "grep whole a.rs || (echo it is broken; exit 4)"] });
    let client = Client::start(setup).await;
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let over = finished(&client, &id).await;
    assert_eq!(over["status"], "completed", "{over}");
    assert_eq!(
        over["resultText"],
        "Now it is.\n\nChecked:\n- `test -f a.rs`: passed\n- `grep whole a.rs || (echo it is broken; exit 4)`: passed"
    );
    let events = client.events(&id);
    let told: Vec<(bool, &str)> = events
        .iter()
        .filter(|event| event["type"] == "verified")
        .map(|event| (event["ok"] == true, event["summary"].as_str().expect("a summary")))
        .collect();
    assert_eq!(told, [(true, "passed"), (false, "failed with status 4"), (true, "passed"), (true, "passed")]);
    let status = client.execute("cowrite.status", json!({})).await.expect("a status");
    let snapshot = &status["runs"][0];
    assert_eq!(
        snapshot["verification"], "test -f a.rs: passed\ngrep whole a.rs || (echo it is broken; exit 4): passed",
        "{snapshot}"
    );
    // A run that edits nothing is not checked.
    let id = client.run("cowrite.run", json!({ "prompt": "only talk" })).await;
    assert_eq!(finished(&client, &id).await["resultText"], "Yes.");
    client.stop().await;
}

/// An editor that is busy, or a person at a question of its own, keeps no run that was stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_waits_for_the_editor_gives_way_to_a_cancel() {
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    for file in ["a.rs", "b.rs", "c.rs"] {
        std::fs::write(ws.join(file), "one\n").expect("written");
    }
    let turns = vec![read(), calls(&[edit("a.rs", &[("one", "two")])]), says("Done.")];
    let mut setup = setup(&ws, &[("go", turns)]);
    setup.settings["verify"] = json!({ "commands": ["touch checked"] });
    setup.experimental = json!({ "events": true, "save": true });
    let client = Client::start(setup).await;
    for (file, text) in [("a.rs", "one\n"), ("b.rs", "unsaved\n"), ("c.rs", "unsaved\n")] {
        client.open(&ws.join(file), text);
    }
    let (asked, mut waits) = tokio::sync::mpsc::unbounded_channel();
    client.set_habit(move |_, method, _, params| {
        if method != "cowrite/save" {
            return false;
        }
        let _ = asked.send(params["uris"].as_array().map_or(0, Vec::len));
        true
    });
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    if process::sandbox().is_err() {
        client
            .until("the question", |notifications, _| {
                events(notifications, &id).any(|event| event["type"] == "approvalRequested").then_some(())
            })
            .await;
        client.execute("cowrite.approve", json!({})).await.expect("allowed");
    }
    assert_eq!(waits.recv().await, Some(3), "all at once");
    let begun = Instant::now();
    client.execute("cowrite.cancel", json!({})).await.expect("cancelled");
    assert_eq!(client.finished(&id).await["status"], "cancelled");
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
    assert!(!ws.join("checked").exists());
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_edits_are_checked_also_when_the_last_answer_is_cut_off_or_a_limit_is_reached() {
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
    for cut in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let ws = real(&folder);
        std::fs::write(ws.join("a.rs"), "one\n").expect("written");
        let mut turns = vec![read(), calls(&[edit("a.rs", &[("one", "two")])])];
        if cut {
            turns.push(json!({ "deltas": [{ "text": "It is do" }], "stop": "max_tokens" }));
        }
        let mut setup = setup(&ws, &[("go", turns)]);
        setup.settings["verify"] = json!({ "commands": ["grep two a.rs"] });
        setup.settings["limits"] = json!({ "max_turns": if cut { 9 } else { 2 } });
        let client = Client::start(setup).await;
        let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
        let over = finished(&client, &id).await;
        assert_eq!(over["status"], if cut { "completed" } else { "limitReached" }, "{over}");
        let text = over["resultText"].as_str().expect("a text");
        assert!(text.ends_with("Checked:\n- `grep two a.rs`: passed"), "{over}");
        client.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_a_model_that_mends_nothing_hears_of_it_three_times() {
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    std::fs::write(ws.join("a.rs"), "0\n").expect("written");
    let tries = (0..4).flat_map(|n| {
        let (old, new) = (n.to_string(), (n + 1).to_string());
        [calls(&[edit("a.rs", &[(&old, &new)])]), says("Done.")]
    });
    let turns = std::iter::once(read()).chain(tries).collect();
    let mut setup = setup(&ws, &[("go", turns)]);
    setup.settings["verify"] = json!({ "commands": ["false"] });
    let client = Client::start(setup).await;
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let over = finished(&client, &id).await;
    assert_eq!(over["status"], "completed", "{over}");
    assert_eq!(over["resultText"], "Done.\n\nChecked:\n- `false`: failed with status 1");
    let times = client.events(&id).iter().filter(|event| event["type"] == "verified").count();
    assert_eq!(times, 4, "after the first edit, and after each time that the model heard of it");
    client.stop().await;
}

/// A server process with a command that is at work, and the pid of the server.
async fn at_work(
    ws: &Path,
    state: &Path,
    command: &str,
    variables: &[(&str, &str)],
    refused: Option<&'static str>,
) -> (Client, String, u32) {
    let log = std::fs::File::create(state.join("stderr")).expect("a file");
    let passed = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"];
    let own = passed.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let variables =
        own.chain(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).collect();
    let setup = Setup {
        process: true,
        state: Some(state.join("state")),
        surroundings: Some(Surroundings { variables, standard_error: log }),
        refused,
        ..setup(ws, &[("go", vec![run(command), says("Done.")])])
    };
    let client = Client::start(setup).await;
    let id = client.run("cowrite.run", json!({ "prompt": "go" })).await;
    let pid = client
        .until("the server's process", |_, _| {
            let state = state.join("state");
            std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
                let environ = std::fs::read(entry.path().join("environ")).ok()?;
                let line = std::fs::read(entry.path().join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).into_owned();
                let ours = String::from_utf8_lossy(&environ).contains(&*state.to_string_lossy());
                let pid = entry.file_name().to_str()?.parse().ok()?;
                (ours && line.contains("cowrite") && !line.contains("supervise")).then_some(pid)
            })
        })
        .await;
    (client, id, pid)
}

/// What the server's process has: a sandbox, no namespaces of processes, or no namespaces of users. Where there is no sandbox on this
/// machine, nothing needs to be refused.
fn tiers(test: &str) -> Vec<Option<&'static str>> {
    if unasked(test) { vec![None, Some("pid"), Some("user")] } else { vec![None] }
}

/// Waits for a question of a run, and says yes.
async fn allowed(client: &Client, run: &str) {
    let asked = |notifications: &[Value]| events(notifications, run).any(|event| event["type"] == "approvalRequested");
    client.until("a question", |notifications, _| asked(notifications).then_some(())).await;
    client.execute("cowrite.approve", json!({})).await.expect("it is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_19_a_server_that_is_killed_leaves_no_command_behind() {
    let tiers = tiers("a3_19_killed");
    let sandbox = process::sandbox().is_ok();
    for refused in tiers {
        let (folder, state) = (tempfile::tempdir().expect("a folder"), state_folder());
        let mark = mark();
        let line = format!(
            "echo begun; setsid sleep 600.{mark} & (setsid sh -c 'sleep 601.{mark} & sleep 602.{mark}' &); \
             (trap '' TERM HUP INT; sleep 604.{mark} &) ; sleep 603.{mark}"
        );
        let (client, id, _) = at_work(&real(&folder), &real(&state), &line, &[], refused).await;
        let held = sandbox && refused.is_none();
        let status = client.execute("cowrite.status", json!({})).await.expect("a status");
        assert_eq!(status["sandboxProblem"].is_null(), held, "{refused:?}: {status}");
        if !held {
            allowed(&client, &id).await;
        }
        begun(&client, &id).await;
        let watch = watched(&mark);
        let seen = Instant::now();
        while noted(&mark).is_empty() || marked(&mark).len() < 5 {
            assert!(seen.elapsed() < Duration::from_secs(10), "the test sees what it looks for: {:?}", marked(&mark));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        client.kill().await;
        drop(watch);
        none_left(&mark, &format!("killed, {refused:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_18_no_key_is_in_a_commands_environment() {
    if !unasked("a3_18") {
        return;
    }
    let (folder, state) = (tempfile::tempdir().expect("a folder"), state_folder());
    let variables = [
        ("OPENAI_API_KEY", "canary-one-of-many"),
        ("GITHUB_TOKEN", "canary-two-of-many"),
        ("LC_NAME", "canary-one-of-many"),
        ("MY_OWN", "canary-three-of-many"),
        ("SSH_AUTH_SOCK", "/run/canary"),
    ];
    let line = "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; echo over";
    let (client, id, _) = at_work(&real(&folder), &real(&state), line, &variables, None).await;
    let over = finished(&client, &id).await;
    assert_eq!(over["status"], "completed", "{over}");
    let events = json!(client.events(&id)).to_string();
    assert!(events.contains("PATH=") && events.contains("over"), "{events}");
    assert!(!events.contains("canary"), "{events}");
    client.stop().await;
}

/// The most memory that a process has had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a line");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a size")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_24_200_mb_of_output_take_no_memory() {
    if !unasked("a3_24") {
        return;
    }
    let (folder, state) = (tempfile::tempdir().expect("a folder"), state_folder());
    // A little first, so that what any command takes is there before it is looked at.
    let line = "head -c 1000000 /dev/zero | tr '\\0' x; sleep 2; yes 0123456789012345678901234567890123456789 | head -c 200000000";
    let (client, id, pid) = at_work(&real(&folder), &real(&state), line, &[], None).await;
    begun(&client, &id).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = peak(pid);
    let over = finished(&client, &id).await;
    let grown = peak(pid).saturating_sub(before);
    assert_eq!(over["status"], "completed", "{over}");
    println!("200 MB of output: {grown} KiB more at the peak, over {before}");
    assert!(grown < 16 * 1024, "{grown} KiB");
    let told: usize = client
        .events(&id)
        .iter()
        .filter(|event| event["type"] == "toolOutput")
        .map(|event| event["text"].as_str().map_or(0, str::len))
        .sum();
    assert!(told < 70_000, "{told} bytes were told");
    client.stop().await;
}
