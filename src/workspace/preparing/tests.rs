use super::*;
use crate::context::recall::NoRecall;
use crate::model::Said;
use crate::settings::{Layer, LayerName, merge};
use crate::store::Hash;
use crate::workspace::testing::World;

struct Silent;

#[async_trait::async_trait]
impl Outlet for Silent {
    fn tell(&self, _: crate::session::Told) {}
    fn say(&self, _: String) {}
    fn has_room(&self) -> bool {
        true
    }
    async fn room(&self) {}
}

/// Sets a run up as the session does: a bare prompt, in this mode.
async fn set_up(world: &Arc<World>, mode: Mode, known: Known) -> Result<Ready, String> {
    set_up_with(world, mode, known, ("", std::env::temp_dir())).await
}

/// The same with more settings, and the folder where hooks and servers are started.
async fn set_up_with(
    world: &Arc<World>,
    mode: Mode,
    known: Known,
    (more, start): (&str, PathBuf),
) -> Result<Ready, String> {
    let text = format!("model = \"scripted/demo\"\n[providers.scripted]\nkind = \"script\"\n{more}");
    let settings = merge(&[Layer::toml(LayerName::User, Path::new("config.toml"), &text)]).settings;
    let preparing = Preparing {
        tasks: TaskTracker::new(),
        force: InForce { settings: Arc::new(settings), trusted: true, start },
        allowed: Arc::default(),
        folder: "".into(),
        state: None,
        session: SessionId::new(),
        recall: Arc::new(NoRecall),
        ask: Ask { command: None, prompt: Some("Go on.".into()), target: None, session: None, mode: None },
        mode,
        editor: world.clone(),
        roots: Arc::new(RwLock::new(world.roots.clone())),
        reads: Arc::default(),
        provider: Arc::default(),
        servers: Arc::default(),
        outlet: Arc::new(Silent),
    };
    preparing.setup(known).await
}

/// The same, where nothing is in the way.
async fn ready(world: &Arc<World>, mode: Mode, known: Known) -> Ready {
    set_up(world, mode, known).await.unwrap_or_else(|error| panic!("it must be set up: {error}"))
}

/// What notes say.
fn said(notes: &[Item]) -> String {
    let text = |item: &Item| match item {
        Item::User { text, .. } => text.clone(),
        other => format!("{other:?}"),
    };
    notes.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// What the session knows after a run that was set up so.
fn known(ready: &Ready) -> Known {
    Known {
        system: Some(ready.setup.system.clone()),
        rules: ready.rules.clone(),
        tools: ready.setup.tools.specs().iter().map(|spec| spec.name.clone()).collect(),
    }
}

#[tokio::test]
async fn s2_the_first_run_renders_the_prompt_with_the_rules_and_says_what_it_gave() {
    let world = Arc::new(World::new(&[("AGENTS.md", "Use tabs.\n")]));
    let ready = ready(&world, Mode::Edit, Known::default()).await;
    let system = &ready.setup.system;
    assert!(system.contains("Use tabs."), "{system}");
    assert!(system.contains(&format!("Today is {}", &utc(now_ms())[..10])), "{system}");
    assert!(system.contains("Workspace: ws."), "{system}");
    assert!(
        system.contains(
            "Tools: ask, delete, diagnostics, edit, fetch, find, list, move, plan, read, recall, run, search, write."
        ),
        "{system}"
    );
    assert!(ready.notes.is_empty());
    assert_eq!(ready.rules, [store::Rules { path: "AGENTS.md".into(), hash: Hash::of(b"Use tabs.\n") }]);
}

#[tokio::test]
async fn s3_a_later_run_uses_the_prompt_as_it_is_and_hears_of_other_tools() {
    let world = Arc::new(World::new(&[("AGENTS.md", "Use tabs.\n")]));
    let first = ready(&world, Mode::Edit, Known::default()).await;
    let known = Known { system: Some("The words of then.".into()), ..known(&first) };

    let same = ready(&world, Mode::Edit, known.clone()).await;
    assert_eq!(&*same.setup.system, "The words of then.");
    assert!(same.notes.is_empty(), "nothing differs");

    let plan = ready(&world, Mode::Plan, known.clone()).await;
    assert_eq!(&*plan.setup.system, "The words of then.");
    insta::assert_snapshot!(said(&plan.notes), @"In this run these tools are on offer: ask, diagnostics, fetch, find, list, plan, read, recall, search. Files cannot be changed in it: explain what should change instead.");

    let standing = |item: &Item| matches!(item, Item::User { said: Said::Standing { about }, .. } if about == "the tools on offer");
    assert!(plan.notes.iter().all(standing), "it survives compactions: {:?}", plan.notes);

    let asked_first = Known { tools: vec!["read".into()], ..known };
    let edit = ready(&world, Mode::Edit, asked_first).await;
    insta::assert_snapshot!(said(&edit.notes), @"In this run these tools are on offer: ask, delete, diagnostics, edit, fetch, find, list, move, plan, read, recall, run, search, write. Files may be changed in it.");
}

#[tokio::test]
async fn s12_a_later_run_is_given_what_has_changed_as_a_note() {
    let world = Arc::new(World::new(&[("AGENTS.md", "Use tabs.\n")]));
    let first = ready(&world, Mode::Edit, Known::default()).await;
    world.write("AGENTS.md", "Use spaces.\n");
    let later = ready(&world, Mode::Edit, known(&first)).await;
    assert_eq!(later.setup.system, first.setup.system);
    let [Item::User { text, said: Said::Standing { about } }] = later.notes.as_slice() else {
        panic!("{:?}", later.notes)
    };
    assert_eq!(about, "rules AGENTS.md", "it survives compactions");
    assert!(text.contains("has changed") && text.contains("Use spaces."), "{text}");
    assert_eq!(later.rules[0].hash, Hash::of(b"Use spaces.\n"));
}

#[tokio::test]
async fn s12_rules_that_cannot_be_read_fail_each_run() {
    let world = Arc::new(World::new(&[]));
    world.write("AGENTS.md", b"caf\xe9");
    for known in [Known::default(), Known { system: Some("x".into()), ..Known::default() }] {
        let error = set_up(&world, Mode::Edit, known).await.err().expect("it must not start");
        assert!(error.contains("AGENTS.md is not UTF-8 text"), "{error}");
    }
}

#[tokio::test]
async fn a3_08_what_hooks_and_servers_are_started_from_is_guarded_in_a_run() {
    let world = Arc::new(World::new(&[("check.sh", "x"), ("serve.py", "x"), ("free.rs", "x")]));
    let more = "[hooks]\nafter_tool = [[\"./check.sh\"]]\n[mcp.own]\ncommand = [\"python3\", \"serve.py\"]\n";
    let start = world.roots.folders()[0].clone();
    let ready = set_up_with(&world, Mode::Edit, Known::default(), (more, start)).await;
    let ready = ready.unwrap_or_else(|error| panic!("it must be set up: {error}"));
    let guarded = |path: &str| ready.setup.roots.look(path).expect("a path").is_guarded(Access::Write);
    assert_eq!(["check.sh", "serve.py", "free.rs"].map(guarded), [true, true, false]);
}
