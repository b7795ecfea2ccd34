//! `cowrite sessions` as a process: what it prints, where, and how it ends.

use std::path::Path;
use std::process::{Command, Output};

use cowrite::protocol::{Envelope, Event, SessionId};
use cowrite::store::{Batch, Begins, Head, Record, Sqlite, Store as _};

/// Runs `cowrite sessions` in a folder `ws` of `home`.
fn sessions(home: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cowrite"))
        .arg("sessions")
        .args(line.split(' '))
        .env("COWRITE_CONFIG", home.join("config.toml"))
        .env("COWRITE_STATE_DIR", home.join("state"))
        .env_remove("COWRITE_LOG")
        .current_dir(home.join("ws"))
        .output()
        .expect("it starts")
}

fn ends(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A home with a workspace `ws` and a session in it.
async fn home() -> (tempfile::TempDir, SessionId) {
    let home = tempfile::tempdir().expect("a folder");
    for folder in ["ws", "state"] {
        std::fs::create_dir(home.path().join(folder)).expect("a folder");
    }
    let id = SessionId::new();
    let real = home.path().join("ws").canonicalize().expect("a real path");
    let begins = Begins { folder: real.display().to_string(), title: "Fix the parser".into(), parent: None };
    let told = Envelope {
        run_id: None,
        session_id: id,
        sequence: 1,
        first: None,
        timestamp_ms: 0,
        event: Event::SessionForked { parent: id },
    };
    let batch = Batch {
        session: id,
        begins: Some(begins),
        after: Head::default(),
        records: vec![Record::Event(told)],
        contents: Vec::new(),
        runs: Vec::new(),
    };
    let (store, _) = Sqlite::open(&home.path().join("state")).await.expect("a database");
    store.append(batch).await.expect("kept");
    store.close().await;
    (home, id)
}

#[tokio::test]
async fn the_working_directory_is_the_workspace_unless_one_is_named() {
    let (home, id) = home().await;
    let (status, out, err) = ends(&sessions(home.path(), "list"));
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("Fix the parser"), "{out}");
    let (status, out, _) = ends(&sessions(home.path(), "list --json --workspace ../ws/../ws"));
    let listed: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((status, listed[0]["sessionId"].clone()), (Some(0), id.to_string().into()));
    let (status, out, _) = ends(&sessions(home.path(), "list --workspace .."));
    assert_eq!(status, Some(0));
    assert!(out.starts_with("No sessions are stored for"), "{out}");
    let (status, out, _) = ends(&sessions(home.path(), "export"));
    assert_eq!(status, Some(0));
    assert!(out.starts_with("# Fix the parser\n"), "{out}");
}

#[tokio::test]
async fn what_cannot_be_is_a_sentence_with_status_1_and_wrong_usage_is_2() {
    let (home, _) = home().await;
    let (status, out, err) = ends(&sessions(home.path(), "show zz"));
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(err.contains("there is no session \"zz\"") && err.contains("cowrite sessions list"), "{err}");
    let (status, _, err) = ends(&sessions(home.path(), "list --workspace ../nowhere"));
    assert_eq!(status, Some(1));
    assert!(err.contains("nowhere"), "{err}");
    let (status, out, _) = ends(&sessions(home.path(), "delete"));
    assert_eq!((status, out.as_str()), (Some(2), ""));
    // A state folder that cannot be made is named with the cure.
    std::fs::remove_dir_all(home.path().join("state")).expect("removed");
    std::fs::write(home.path().join("state"), "in the way").expect("written");
    let (status, _, err) = ends(&sessions(home.path(), "list"));
    assert_eq!(status, Some(1));
    assert!(err.contains("COWRITE_STATE_DIR"), "{err}");
}
