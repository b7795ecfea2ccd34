use super::*;
use crate::model::Item;
use crate::protocol::{ContextSource, ContextUse, Envelope, Event, Mode, RunId, RunSnapshot, RunStatus, Usage, now_ms};
use crate::settings::Price;
use crate::store::{Batch, Begins, Head, Parent, Prepared, Record, Rules, RunMoved, Totals};

const FOLDER: &str = "/home/p/app";

/// A store with sessions in it, and the arguments that a person types.
struct World {
    store: Sqlite,
    folder: Folder,
    settings: Settings,
}

impl World {
    async fn new() -> Self {
        let store = Sqlite::in_memory().await.expect("a database in memory");
        Self { store, folder: Folder::named(FOLDER), settings: Settings::default() }
    }

    /// A session with a finished run for each prompt. Gives the runs.
    async fn session(&self, title: &str, prompts: &[&str]) -> (SessionId, Vec<RunId>) {
        let (id, mut head, mut runs) = (SessionId::new(), Head::default(), Vec::new());
        for prompt in prompts {
            let run = RunId::new();
            let begins = Begins { folder: FOLDER.into(), title: title.into(), parent: None };
            let begins = (head == Head::default()).then_some(begins);
            head = self.run(id, run, head, begins, prompt, RunStatus::Completed).await;
            runs.push(run);
        }
        self.store.set_active(id).await.expect("kept");
        (id, runs)
    }

    async fn run(
        &self,
        session: SessionId,
        run: RunId,
        after: Head,
        begins: Option<Begins>,
        prompt: &str,
        status: RunStatus,
    ) -> Head {
        let told = |sequence, event| {
            let (run_id, timestamp_ms) = (Some(run), now_ms());
            Record::Event(Envelope { run_id, session_id: session, sequence, first: None, timestamp_ms, event })
        };
        let usage = Usage { input: Some(100), output: Some(20), cache_read: Some(300), cache_write: None };
        let context = ContextUse { used: 420, limit: Some(1000), source: ContextSource::Measured };
        let prepared = Prepared {
            run,
            system: None,
            model: "scripted/demo".into(),
            context_limit: Some(1000),
            max_output: None,
            max_turns: 100,
            tool_output_bytes: 65536,
            mode: Mode::Edit,
            tools: Vec::new(),
            rules: vec![Rules { path: "AGENTS.md".into(), hash: crate::store::Hash::of(b"abc") }],
            fixed_tokens: 0,
        };
        let mut records = vec![
            told(1, Event::RunStarted { prompt: prompt.into(), command: None }),
            Record::Prepared(Box::new(prepared)),
            told(2, Event::cost(usage, context, 1)),
        ];
        if status.is_final() {
            records.push(told(3, Event::RunFinished { status, result_text: Some("Done.".into()), error: None }));
        }
        let snapshot = RunSnapshot {
            id: run,
            session_id: session,
            status,
            prompt: prompt.into(),
            created_at_ms: now_ms(),
            updated_at_ms: now_ms(),
            result_text: None,
            error: None,
            event_count: records.len() as u64 - 1,
            usage,
            edits: Vec::new(),
            verification: None,
        };
        let runs = vec![RunMoved { snapshot, reserved: 3 }];
        let batch = Batch { session, begins, after, records, contents: Vec::new(), runs };
        self.store.append(batch).await.expect("kept")
    }

    async fn said(&self, line: &str) -> Result<Said, String> {
        arguments(line).answer(&self.store, &self.folder, &self.settings).await
    }

    async fn text(&self, line: &str) -> String {
        self.said(line).await.expect(line).text
    }

    async fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(line).await).expect("JSON")
    }

    async fn fails(&self, line: &str) -> String {
        self.said(line).await.expect_err(line)
    }
}

fn arguments(line: &str) -> Sessions {
    use clap::Parser as _;
    let cli = crate::cli::Cli::try_parse_from(["cowrite", "sessions"].into_iter().chain(line.split(' ')));
    let crate::cli::Command::Sessions(sessions) = cli.expect(line).command() else { panic!("{line}") };
    sessions
}

#[tokio::test]
async fn list_shows_the_sessions_of_the_folder_newest_first() {
    let world = World::new().await;
    assert_eq!(world.text("list").await, "No sessions are stored for /home/p/app.\n");
    let (old, _) = world.session("Fix the\n\u{1b}[2Jparser", &["a", "b"]).await;
    let (new, _) = world.session("Explain", &["c"]).await;
    let text = world.text("list").await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].starts_with(&format!("*  {}", &new.to_string()[..13])) && lines[1].ends_with("Explain"), "{text}");
    assert!(lines[2].ends_with("Fix the [2Jparser"), "{text}");
    let columns: Vec<Option<usize>> = vec![lines[0].find("TITLE"), lines[1].find("Explain"), lines[2].find("Fix")];
    assert!(columns.iter().all(|column| *column == columns[0]), "{text}");

    let json = world.json("list --json").await;
    assert_eq!(json[0]["sessionId"], new.to_string());
    assert_eq!((json[0]["active"].clone(), json[1]["active"].clone()), (true.into(), false.into()));
    assert_eq!(json[1]["sessionId"], old.to_string());
    assert_eq!((json[1]["runs"].clone(), json[1].get("parent")), (2.into(), None));
    assert!(json[1]["createdAtMs"].is_u64() && json[1]["updatedAtMs"].is_u64(), "{json}");
}

#[tokio::test]
async fn s10_show_says_model_items_context_tokens_requests_rules_and_runs() {
    let world = World::new().await;
    let (id, runs) = world.session("Fix", &["Mend it.", "And this."]).await;
    let text = world.text("show").await;
    for line in [
        format!("Session    {id}"),
        "Title      Fix".into(),
        "Model      scripted/demo".into(),
        "Items      0".into(),
        "Context    420 of 1000 tokens, 42%, measured".into(),
        "Tokens     800 in (cache: 600 read, not known written), 40 out, 2 requests".into(),
        "Rules      AGENTS.md (ba7816bf8f01)".into(),
    ] {
        assert!(text.contains(&line), "{line}\nis not in\n{text}");
    }
    assert!(text.contains(&format!("{}  completed", runs[0])) && text.contains("Mend it."), "{text}");
    let json = world.json(&format!("show {} --json", &id.to_string()[..30])).await;
    assert_eq!(json["session"]["sessionId"], id.to_string());
    assert_eq!(json["usage"]["cacheRead"], 600);
    assert_eq!(json["requests"], 2);
    assert_eq!(json["runs"][1]["id"], runs[1].to_string());
    assert_eq!(json["rules"][0]["path"], "AGENTS.md");
}

#[tokio::test]
async fn p7_show_says_what_a_session_cost_where_that_is_known() {
    let mut world = World::new().await;
    let (id, _) = world.session("Fix", &["a", "b"]).await;
    assert!(!world.text("show").await.contains("Cost"));
    assert_eq!(world.json("show --json").await["cost"], serde_json::Value::Null);

    let price = Price { input: Some(1000.0), output: Some(10_000.0), cache_read: Some(100.0), cache_write: None };
    let model = crate::settings::ModelSettings { price: Some(price), ..Default::default() };
    world.settings.models.insert("scripted/demo".into(), model);
    let text = world.text("show").await;
    assert!(text.contains("Cost       0.6600, at the prices of the settings\n"), "{text}");
    let cost = world.json("show --json").await["cost"].as_f64().expect("a number");
    assert!((cost - 0.66).abs() < 1e-9, "{cost}");

    // Sums of before requests were counted by model.
    let head = world.store.session(id).await.expect("read").expect("there").head;
    let usage = Usage { input: Some(5000), output: Some(50), ..Usage::default() };
    let by_model = [("scripted/demo".to_owned(), Usage { input: Some(400), ..usage })].into();
    let totals = Record::Totals(Totals { usage, requests: 9, by_model });
    let records = vec![totals];
    let batch = Batch { session: id, begins: None, after: head, records, contents: Vec::new(), runs: Vec::new() };
    world.store.append(batch).await.expect("kept");
    assert_eq!(world.json("show --json").await["cost"], serde_json::Value::Null);
}

#[tokio::test]
async fn c19_show_finds_what_was_said_in_a_session() {
    let world = World::new().await;
    let (id, _) = world.session("Fix", &["a"]).await;
    let head = world.store.session(id).await.expect("read").expect("there").head;
    let item = |item| Record::Item { run: None, item: std::sync::Arc::new(item) };
    let records = vec![
        item(Item::asked("Fix the parser.", None)),
        item(Item::told("first line\n  the \u{1b}[2JPARSER is here\nlast line")),
    ];
    let batch = Batch { session: id, begins: None, after: head, records, contents: Vec::new(), runs: Vec::new() };
    world.store.append(batch).await.expect("kept");
    let text = world.text("show --search pars").await;
    let day = &utc(now_ms())[..10];
    let lines: Vec<String> = text.lines().map(|line| line.replace(day, "DAY")).collect();
    assert!(lines[0].starts_with("record 6  DAY ") && lines[0].ends_with(" UTC  program"), "{text}");
    assert_eq!(lines[1..4], ["  first line", "    the [2JPARSER is here", "  last line"], "{text}");
    assert!(lines[5].starts_with("record 5") && lines[5].ends_with("person"), "{text}");
    assert_eq!(lines[6..], ["  Fix the parser."], "{text}");

    let json = world.json(&format!("show {id} --search fix --json")).await;
    assert_eq!(json["sessionId"], id.to_string());
    assert_eq!((&json["query"], json["found"].as_array().map(Vec::len)), (&json!("fix"), Some(1)));
    assert_eq!((&json["found"][0]["record"], &json["found"][0]["who"]), (&json!(5), &json!("person")));
    assert_eq!(json["found"][0]["excerpt"], "Fix the parser.");
    assert!(json["found"][0]["atMs"].is_u64() && json["found"][0]["title"] == "", "{json}");

    let nothing = world.text("show --search moon").await;
    assert!(nothing.starts_with(&format!("Nothing in session {id} holds all of: moon\n")), "{nothing}");
    assert_eq!(world.json("show --search moon --json").await["found"], json!([]));
    let error = world.fails("show --search \"\"").await;
    assert!(error.starts_with("the query is empty"), "{error}");
}

#[tokio::test]
async fn a_session_is_meant_by_the_beginning_of_its_id_when_that_is_unambiguous() {
    let world = World::new().await;
    let (one, _) = world.session("One", &["a"]).await;
    world.session("Two", &["b"]).await;
    assert!(world.text(&format!("export {}", one.to_string().to_uppercase())).await.starts_with("# One\n"));
    assert!(world.fails("export 0").await.contains("is the beginning of 2 sessions"));
    assert!(world.fails("export zz").await.contains("there is no session \"zz\""));
    let unknown = SessionId::new();
    assert!(world.fails(&format!("show {unknown}")).await.contains("there is no session"));
    assert!(world.text("export").await.starts_with("# Two\n"), "the active one by default");
    // A whole id is known from anywhere.
    let elsewhere = Folder::named("/elsewhere");
    let said = arguments(&format!("export {one}"))
        .answer(&world.store, &elsewhere, &Settings::default())
        .await
        .expect("found");
    assert!(said.text.starts_with("# One\n"), "{}", said.text);
    let said = arguments(&format!("export {}", &one.to_string()[..35]))
        .answer(&world.store, &elsewhere, &Settings::default())
        .await;
    assert!(said.is_err(), "a beginning is not");
}

#[tokio::test]
async fn export_as_json_has_every_record() {
    let world = World::new().await;
    let (id, _) = world.session("One", &["a"]).await;
    for line in [format!("export {id} --format json"), format!("export {id} --json")] {
        let json = world.json(&line).await;
        assert_eq!(json["session"]["sessionId"], id.to_string());
        assert_eq!(json["records"].as_array().map(Vec::len), Some(4), "{line}");
    }
}

#[tokio::test]
async fn s7_a_fork_goes_on_after_the_run_that_was_named_and_says_where_it_comes_from() {
    let world = World::new().await;
    let (id, runs) = world.session("Fix", &["a", "b"]).await;
    let forked: SessionId =
        world.text(&format!("fork {id} --after-run {}", runs[0])).await.trim().parse().expect("an id");
    let row = world.store.session(forked).await.expect("read").expect("it is there");
    assert_eq!(row.title, "Fork of Fix");
    assert_eq!(row.parent, Some(Parent { session: id, record: 4 }));
    assert_eq!(row.head.record, 5);
    let text = world.text(&format!("export {forked}")).await;
    assert!(text.contains("> a") && !text.contains("> b"), "{text}");
    assert!(text.contains(&format!("Here the session was forked from {id}")), "{text}");

    // From the end when no run is named; and a fork of the fork, after a run that it shares.
    let whole = world.json(&format!("fork {id} --json")).await;
    let whole: SessionId = whole["sessionId"].as_str().expect("an id").parse().expect("an id");
    assert_eq!(
        world.store.session(whole).await.expect("read").expect("there").parent.map(|parent| parent.record),
        Some(8)
    );
    let again: SessionId =
        world.text(&format!("fork {whole} --after-run {}", runs[0])).await.trim().parse().expect("an id");
    let row = world.store.session(again).await.expect("read").expect("there");
    assert_eq!((row.title.as_str(), row.parent.map(|parent| parent.record)), ("Fork of Fix", Some(4)));
    assert!(world.text(&format!("export {again}")).await.contains("> a"));
}

#[tokio::test]
async fn s7_a_fork_after_what_is_not_there_or_not_finished_is_an_error_and_no_fork_at_the_end() {
    let world = World::new().await;
    let (id, _) = world.session("Fix", &["a"]).await;
    let (_, others) = world.session("Other", &["c"]).await;
    let head = world.store.session(id).await.expect("read").expect("there").head;
    let live = RunId::new();
    world.run(id, live, head, None, "b", RunStatus::Executing).await;
    for (run, told) in [(RunId::new(), "has no run"), (others[0], "has no run"), (live, "has not finished")] {
        let error = world.fails(&format!("fork {id} --after-run {run}")).await;
        assert!(error.contains(told) && error.contains(&run.to_string()), "{error}");
    }
    assert!(world.fails(&format!("fork {id} --after-run zz")).await.contains("has no run \"zz\""));
    assert_eq!(world.json("list --json").await.as_array().map(Vec::len), Some(2), "nothing was forked");
    // Without a run: from what is finished, not from the middle of the one at work.
    let forked: SessionId = world.text(&format!("fork {id}")).await.trim().parse().expect("an id");
    let parent = world.store.session(forked).await.expect("read").expect("there").parent;
    assert_eq!(parent, Some(Parent { session: id, record: head.record }));
}

#[tokio::test]
async fn delete_takes_several_and_nothing_when_one_is_wrong() {
    let world = World::new().await;
    let (one, _) = world.session("One", &["a"]).await;
    let (two, _) = world.session("Two", &["b"]).await;
    world.fails(&format!("delete {one} zz")).await;
    assert_eq!(world.json("list --json").await.as_array().map(Vec::len), Some(2));
    assert_eq!(world.text(&format!("delete {one} {two}")).await, format!("deleted {one}\ndeleted {two}\n"));
    assert_eq!(world.json("list --json").await.as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn delete_refuses_a_session_that_another_process_works_in() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = async || Sqlite::open(dir.path()).await.expect("a database").0;
    // A second opening is another process to the store.
    let editor = World { store: open().await, folder: Folder::named(FOLDER), settings: Settings::default() };
    let (id, _) = editor.session("Fix", &["a"]).await;
    let head = editor.store.session(id).await.expect("read").expect("there").head;
    editor.run(id, RunId::new(), head, None, "b", RunStatus::Executing).await;
    let world = World { store: open().await, folder: Folder::named(FOLDER), settings: Settings::default() };
    let error = world.fails(&format!("delete {id}")).await;
    assert!(error.contains(&id.to_string()) && error.contains("Nothing was deleted"), "{error}");
    assert!(world.text("show").await.contains("executing"));
    // The process is gone, and with it what it was at.
    editor.store.close().await;
    assert!(world.text("show").await.contains("interrupted"));
    assert!(!in_use(&world.store, id).await.expect("read"));
    world.store.close().await;
}

#[tokio::test]
async fn verify_and_gc_say_what_they_found() {
    let world = World::new().await;
    world.session("One", &["a"]).await;
    world.text(&format!("fork {}", world.json("list --json").await[0]["sessionId"].as_str().expect("an id"))).await;
    let said = world.said("verify").await.expect("looked through");
    assert_eq!(said, Said { text: "2 sessions, 5 records, 0 of them pruned: whole\n".into(), good: true });
    assert_eq!(world.json("verify --json").await["faults"], json!([]));
    assert!(world.text("gc").await.starts_with("Removed 0 texts"));
    assert!(world.json("gc --json").await["bytes"].is_u64());
}

#[test]
fn faults_are_told_with_their_place_and_the_next_step() {
    let id: SessionId = "019a0000-0000-7000-8000-000000000001".parse().expect("an id");
    let fault = |session, record, what: &str| crate::store::Fault { session, record, what: what.into() };
    let report = Report {
        sessions: 2,
        records: 10,
        pruned: 1,
        faults: vec![fault(Some(id), Some(7), "its body is not what was written"), fault(None, None, "a stray page")],
    };
    insta::assert_snapshot!(found(&report, Some("/state/sessions.db".into())), @r#"
        2 sessions, 10 records, 1 of them pruned: 2 faults
          session 019a0000-0000-7000-8000-000000000001, record 7: its body is not what was written
          a stray page
        Restore /state/sessions.db from a backup, or delete the sessions named here (cowrite sessions delete).
        "#);
}

#[test]
fn wrong_usage_is_status_2() {
    use clap::Parser as _;
    for line in [
        "sessions",
        "sessions nonsense",
        "sessions fork",
        "sessions delete",
        "sessions export a --format yaml",
        "sessions list a",
        "sessions show a b",
        "sessions show --search",
        "sessions list --workspace",
    ] {
        let parsed = crate::cli::Cli::try_parse_from(["cowrite"].into_iter().chain(line.split(' ')));
        assert_eq!(parsed.expect_err(line).exit_code(), 2, "{line}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = Folder::of(Some(std::path::Path::new("/nowhere/at/all"))).expect_err("it is not there");
    assert!(error.contains("/nowhere/at/all") && error.contains("--workspace"), "{error}");
}

#[test]
fn short_ids_are_long_enough_to_tell_sessions_apart() {
    let ids = ["019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-9000-000000000001"];
    let ids = ids.map(|id| id.parse::<SessionId>().expect("an id"));
    assert_eq!(short_ids(ids.into_iter()), ["019a0000-0000-7000-8", "019a0000-0000-7000-9"]);
    assert_eq!(short_ids(ids.into_iter().take(1)), ["019a0000-0000"]);
}
