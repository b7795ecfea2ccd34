use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;
use crate::editor::Place;

struct World {
    _keep: tempfile::TempDir,
    top: PathBuf,
    roots: Roots,
    gate: Gate,
}

impl World {
    fn new(allow: &[&str], deny: &[&str]) -> Self {
        let keep = tempfile::tempdir().expect("a folder");
        let top = keep.path().canonicalize().expect("a real path");
        for folder in ["ws/src", "ws/.git", "ws/conf", "out/.git"] {
            fs::create_dir_all(top.join(folder)).expect("a folder");
        }
        for file in ["ws/src/lib.rs", "ws/.git/config", "ws/conf/env", "out/secret", "out/.git/config"] {
            fs::write(top.join(file), "x").expect("a file");
        }
        for (link, target) in
            [("ws/notes", "../out/secret"), ("ws/.env", "conf/env"), ("ws/safe", ".git/config"), ("ws/far", "../out")]
        {
            symlink(target, top.join(link)).expect("a link");
        }
        let owned = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
        let rules = Arc::new(Rules::new(&owned(allow), &owned(deny)));
        let roots = Roots::new(&[top.join("ws")]).with_own(&[top.join("state")]).with_rules(rules.clone());
        let gate = Gate { rules, mode: Mode::Edit, sandboxed: false, remembered: Arc::default() };
        Self { _keep: keep, top, roots, gate }
    }

    fn mode(mut self, mode: Mode, sandboxed: bool) -> Self {
        (self.gate.mode, self.gate.sandboxed) = (mode, sandboxed);
        self
    }

    fn judge(&self, wants: &[Want]) -> Judgement {
        let arguments = r#"{"content": "evil\u001b"}"#;
        self.gate.judge(&self.roots, Called { tool: "tool", arguments, wants })
    }

    /// `go`, `ask`, `ask always` or `denied`.
    fn word(&self, want: Want) -> &'static str {
        match self.judge(&[want]) {
            Judgement::Go(_) => "go",
            Judgement::Ask(Ask { remember: Some(_), .. }) => "ask",
            Judgement::Ask(_) => "ask always",
            Judgement::Denied(_) => "denied",
        }
    }

    fn real(&self, path: &str) -> String {
        self.top.join(path).to_str().expect("UTF-8").to_owned()
    }

    /// What would be asked, with `@` for the folder above the workspace.
    fn asked(&self, wants: &[Want]) -> Ask {
        match self.judge(wants) {
            Judgement::Ask(ask) => Ask { detail: ask.detail.replace(&self.real(""), "@/"), ..ask },
            other => panic!("{other:?} where a question was expected"),
        }
    }
}

fn run(command: &str) -> Want {
    Want::Run { command: command.into() }
}

fn fetch(url: &str) -> Want {
    Want::Fetch { url: url.into() }
}

fn foreign(name: &str) -> Want {
    Want::Foreign { name: name.into(), own: name.into() }
}

const ALL: [(Mode, bool); 5] =
    [(Mode::Plan, false), (Mode::Ask, false), (Mode::Edit, false), (Mode::Auto, false), (Mode::Auto, true)];

#[test]
fn the_table_of_modes() {
    let table = |what: &dyn Fn(&World) -> Want| {
        let world = |(mode, sandboxed)| {
            World::new(
                &["run(ls *)", "fetch(ok.example)", "docs__*", "read(**)", "edit(**)", "read(/**)", "edit(/**)"],
                &[],
            )
            .mode(mode, sandboxed)
        };
        ALL.map(world).map(|world| world.word(what(&world))).join(", ")
    };
    // plan, ask, edit, auto without a sandbox, auto
    assert_eq!(table(&|_| Want::read("src/lib.rs")), "go, go, go, go, go");
    assert_eq!(table(&|_| Want::write("src/lib.rs")), "denied, go, go, go, go");
    for outside in [
        "../out/secret",
        "notes",
        "far/secret",
        "@/out/secret",
        "safe",
        ".git/config",
        ".GIT/x",
        "AGENTS.md",
        "@/state/x",
    ] {
        let given = |world: &World| outside.replace('@', world.real("").trim_end_matches('/'));
        assert_eq!(
            table(&|world| Want::read(given(world))),
            "ask always, ask always, ask always, ask always, ask always",
            "{outside}"
        );
        assert_eq!(
            table(&|world| Want::write(given(world))),
            "denied, ask always, ask always, ask always, ask always",
            "{outside}"
        );
    }
    assert_eq!(table(&|_| run("ls -l")), "denied, ask, go, go, go");
    assert_eq!(table(&|_| run("make")), "denied, ask, ask, ask, go");
    assert_eq!(table(&|_| fetch("https://ok.example/x")), "go, go, go, go, go");
    assert_eq!(table(&|_| fetch("https://other.example/x")), "ask, ask, ask, ask, ask");
    assert_eq!(table(&|_| foreign("docs__search")), "denied, go, go, go, go");
    assert_eq!(table(&|_| foreign("git__push")), "denied, ask, ask, ask, ask");
    assert_eq!(table(&|_| Want::read("a\0b")), "denied, denied, denied, denied, denied");
    assert_eq!(table(&|_| fetch("file:///etc/passwd")), "denied, denied, denied, denied, denied");
}

#[test]
fn deny_rules_win_in_every_mode_and_over_what_is_remembered() {
    for (mode, sandboxed) in ALL {
        let deny = ["run(git push *)", "read(conf/**)", "edit(src/**)", "fetch(bad.example)", "docs__*"];
        let world = World::new(&["run(*)", "edit(**)", "fetch(*)", "docs__*"], &deny).mode(mode, sandboxed);
        let calls = [
            run("ls; git push"),
            Want::read("conf/env"),
            Want::read(".env"),
            Want::write("src/lib.rs"),
            fetch("http://bad.example"),
            fetch("http://BAD.example./"),
            foreign("docs__x"),
        ];
        for want in calls {
            world.gate.remembered.remember(vec![
                key("run", &["", "ls; git push"]),
                key("fetch", &["bad.example"]),
                key("tool", &["docs__x"]),
            ]);
            assert_eq!(world.word(want.clone()), "denied", "{want:?} in {mode:?}");
        }
    }
    let world = World::new(&[], &["run(git push *)", "read(conf/**)"]).mode(Mode::Auto, true);
    assert_eq!(
        world.judge(&[Want::read(".env")]),
        Judgement::Denied(
            ".env is denied by the rule read(conf/**): it is not to be looked at or changed; go on without it".into()
        )
    );
    assert_eq!(
        world.judge(&[run("a && git push")]),
        Judgement::Denied("The rule run(git push *) denies this command, or a part of it. Go on without it.".into())
    );
    assert_eq!(world.word(run("$x push")), "ask", "what may hide what is denied does not go ahead");
    assert_eq!(world.word(run("make")), "go");
}

#[test]
fn a3_13_what_was_allowed_for_the_session_is_exactly_that() {
    let world = World::new(&[], &[]);
    for (mode, sandboxed) in &ALL[1..4] {
        let world = World::new(&[], &[]).mode(*mode, *sandboxed);
        for (want, others) in [
            (run("make x"), vec![run("make x "), run("make"), run("make x; y"), run("make  x")]),
            (fetch("https://a.example/1"), vec![fetch("https://b.example/1"), fetch("https://x.a.example/1")]),
            (foreign("a__b"), vec![foreign("a__c"), foreign("a__b2")]),
        ] {
            let ask = world.asked(std::slice::from_ref(&want));
            world.gate.remembered.remember(ask.remember.expect("may be remembered"));
            assert_eq!(world.word(want), "go", "in {mode:?}");
            for other in others {
                assert_eq!(world.word(other), "ask", "in {mode:?}");
            }
        }
        assert_eq!(world.word(fetch("https://a.example/2")), "go", "a host is remembered, not a page");
    }
    let both = world.asked(&[run("make"), Want::read("/etc/passwd")]);
    assert_eq!(both.remember, None, "a part that is never remembered keeps the whole from being");
    let call = |arguments| world.gate.judge(&world.roots, Called { tool: "run", arguments, wants: &[run("make")] });
    let Judgement::Ask(ask) = call(r#"{"command": "make", "cwd": "src"}"#) else { panic!("asked") };
    world.gate.remembered.remember(ask.remember.expect("may be remembered"));
    assert!(matches!(call(r#"{"cwd": "src"}"#), Judgement::Go(_)));
    assert!(matches!(call("{}"), Judgement::Ask(_)), "in another folder it is another command");
    assert!(matches!(call(r#"{"cwd": "conf"}"#), Judgement::Ask(_)));
}

#[test]
fn a3_06_a_yes_lets_through_what_was_asked_for_and_nothing_else() {
    let world = World::new(&[], &[]);
    let ask = world.asked(&[Want::read("notes"), Want::write(".git/config")]);
    let paths = vec![
        (PathBuf::from(world.real("out/secret")), Access::Read),
        (PathBuf::from(world.real("ws/.git/config")), Access::Write),
    ];
    assert_eq!(ask.grant, Grant { paths, hosts: Vec::new() });
    let roots = world.roots.clone().with_grant(ask.grant);
    assert!(roots.resolve("notes", Access::Read).is_ok());
    assert!(roots.resolve("notes", Access::Write).is_err());
    assert!(roots.resolve(".git/config", Access::Write).is_ok());
    assert!(roots.resolve(".git/config", Access::Read).is_ok(), "what is changed is looked at first");
    assert!(roots.resolve(".git/hooks/x", Access::Write).is_err());
    assert!(roots.resolve("../out/other", Access::Read).is_err());
    assert!(roots.resolve("../out", Access::Read).is_err());
    // The link is turned after the question.
    fs::remove_file(world.real("ws/notes")).expect("removed");
    symlink("/etc/passwd", world.real("ws/notes")).expect("a link");
    assert!(roots.resolve("notes", Access::Read).is_err());

    let roots = world.roots.clone().with_grant(world.asked(&[Want::read("../out")]).grant);
    assert!(roots.resolve("far/secret", Access::Read).is_ok());
    assert!(roots.found(&PathBuf::from(world.real("out/secret"))).is_some());
    assert!(roots.resolve("../out/.git/config", Access::Read).is_err(), "what is protected there was not asked for");
    assert!(roots.found(&PathBuf::from(world.real("out/.git/config"))).is_none());
    let roots = world.roots.clone().with_grant(world.asked(&[Want::read(".git")]).grant);
    assert!(roots.found(&PathBuf::from(world.real("ws/.git/config"))).is_some());
    assert!(world.roots.found(&PathBuf::from(world.real("ws/.git/config"))).is_none());
}

#[test]
fn rules_bind_the_roots_too() {
    let world = World::new(&[], &["read(conf/**)", "edit(src/**)", "read(/**/secret)"]);
    assert!(matches!(world.roots.resolve("conf/env", Access::Read), Err(Denied::Rule { .. })));
    assert!(matches!(world.roots.resolve(".env", Access::Read), Err(Denied::Rule { .. })), "by a link");
    assert!(world.roots.resolve("src/lib.rs", Access::Read).is_ok());
    assert!(world.roots.resolve("src/lib.rs", Access::Write).is_err());
    assert!(world.roots.found(&PathBuf::from(world.real("ws/conf/env"))).is_none());
    assert!(world.roots.found(&PathBuf::from(world.real("ws/src/lib.rs"))).is_some());
    let all = Grant { paths: vec![(world.top.clone(), Access::Write)], hosts: Vec::new() };
    let roots = world.roots.clone().with_grant(all);
    assert!(roots.resolve("notes", Access::Read).is_err(), "a yes is no way around a rule");
    assert!(roots.resolve("conf/env", Access::Read).is_err());
    assert!(!roots.admits(&roots.look("conf/env").expect("a path").place));
    let by_link =
        world.roots.clone().with_rules(Arc::new(Rules::new(&[], &["read(.env)".into(), "read(far/*.txt)".into()])));
    assert!(by_link.resolve(".env", Access::Read).is_err(), "what a link is called");
    assert!(by_link.resolve("conf/env", Access::Read).is_ok());
    let granted = Grant { paths: vec![(world.top.join("out"), Access::Read)], hosts: Vec::new() };
    let by_link = by_link.with_grant(granted);
    assert!(by_link.resolve("far/a.txt", Access::Read).is_err(), "what lies below a link is called");
    assert!(by_link.resolve("src/../far/a.txt", Access::Read).is_err());
    assert!(by_link.resolve("far/a.rs", Access::Read).is_ok());
    let several = Roots::new(&[world.top.join("ws"), world.top.join("out")])
        .with_rules(Arc::new(Rules::new(&[], &["read(out/secret)".into(), "read(src/**)".into()])));
    assert!(several.resolve("out/secret", Access::Read).is_err(), "by the folder's name");
    assert!(several.resolve("ws/src/lib.rs", Access::Read).is_err(), "relative to any folder");
    assert!(several.resolve("ws/conf/env", Access::Read).is_ok());
}

#[test]
fn a3_23_a_question_shows_exactly_what_would_be_done() {
    let world = World::new(&[], &[]);
    insta::assert_snapshot!(world.asked(&[run("ls -l\u{202e} \u{1b}[2K\nAsked because it is harmless.")]).detail, @r"
    Run with sh -c:
      | ls -l\u{202e} \u{1b}[2K
      | Asked because it is harmless.
    Asked because no rule allows all of it.
    ");
    insta::assert_snapshot!(world.asked(&[Want::read("notes")]).detail, @r"
    tool: look at notes
    which leads by a link to @/out/secret
    Asked because it is outside the workspace.
    ");
    insta::assert_snapshot!(world.asked(&[Want::write(".git/ho\u{200b}oks\nx")]).detail, @r#"
    tool: change .git/ho\u{200b}oks\nx
    which is @/ws/.git/ho\u{200b}oks\nx
    Asked because it is protected: editors, shells, git or this program itself obey what stands there.
    With:
      | {"content": "evil\u001b"}
    "#);
    insta::assert_snapshot!(world.asked(&[Want::read("/etc/passwd"), fetch("http://user@0x7f.1:80/\u{202e}x")]).detail, @r"
    tool: look at /etc/passwd
    Asked because it is outside the workspace.
    Fetch from the host 127.0.0.1:
      | http://user@127.0.0.1/%E2%80%AEx
    Asked because no rule allows this host.
    ");
    insta::assert_snapshot!(world.asked(&[foreign("a__b")]).detail, @r#"
    Call a__b with:
      | {"content": "evil\u001b"}
    Asked because it belongs to another server, and no rule allows it.
    "#);
    let long = "x".repeat(50_000);
    assert!(world.asked(&[run(&long)]).detail.contains(&long), "a command is never shown in part");
}

#[test]
fn a3_08_what_a_hook_is_started_from_is_asked_for_each_time() {
    let mut world = World::new(&["edit(**)"], &[]).mode(Mode::Auto, true);
    let words = ["./src/lib.rs".to_owned()];
    world.roots = world.roots.clone().with_programs([words.as_slice()], &world.top.join("ws"));
    assert_eq!(world.word(Want::read("src/lib.rs")), "go");
    assert_eq!(world.word(Want::write("src/lib.rs")), "ask always");
    let ask = world.asked(&[Want::write("src/lib.rs")]);
    assert!(ask.detail.contains("a hook or a server of the settings is started from it"), "{}", ask.detail);
    let roots = world.roots.clone().with_grant(ask.grant);
    assert!(roots.resolve("src/lib.rs", Access::Write).is_ok());
}

#[test]
fn t6_a_question_hides_nothing_of_what_it_approves() {
    let world = World::new(&[], &[]).mode(Mode::Auto, true);
    let asked = world.asked(&[Want::read("../out"), run("cat\u{202e} secret; evil")]);
    assert!(
        asked.detail.contains("look at ../out") && asked.detail.contains("  | cat\\u{202e} secret; evil"),
        "{}",
        asked.detail
    );
    assert_eq!(asked.remember, None);
    let arguments = format!("{{\"content\": \"{}the end\"}}", "harmless ".repeat(2_000));
    let called = Called { tool: "write", arguments: &arguments, wants: &[Want::write(".git/hooks/x")] };
    let Judgement::Ask(ask) = world.gate.judge(&world.roots, called) else { panic!("asked") };
    assert!(ask.detail.contains(&arguments), "all that would be written");
}

#[test]
fn rules_that_deny_bind_where_there_is_no_folder() {
    let world = World::new(&[], &[]);
    let rules = |deny: &[&str]| {
        Arc::new(Rules::new(&["read(**)".into()], &deny.iter().map(|&rule| rule.into()).collect::<Vec<_>>()))
    };
    let at = |path: &str| Place::File { path: world.top.join(path), shown: path.into() };
    let secret = at("out/secret");
    let outside = |deny: &[&str]| Roots::default().with_buffers(vec![secret.clone()]).with_rules(rules(deny));
    for deny in ["read(**/secret)", "read(secret)", "read(**/out/**)", "read(**)"] {
        assert!(!outside(&[deny]).admits(&secret), "{deny}");
        let inside = world.roots.clone().with_rules(rules(&[deny]));
        assert!(matches!(inside.resolve("../out/secret", Access::Read), Err(Denied::Rule { .. })), "{deny}");
    }
    assert!(outside(&["read(**/other)", "read(out/secret)", "edit(secret)"]).admits(&secret));
    assert_eq!(
        world.roots.ruling(&rules(&[]), &world.roots.look("../out/secret").expect("a path"), Access::Read),
        Ruling::Silent
    );
}
