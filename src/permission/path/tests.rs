use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// `ws` is the workspace; `ws-evil` and `out` are not.
fn world() -> (tempfile::TempDir, PathBuf) {
    let keep = tempfile::tempdir().expect("a folder");
    let top = keep.path().canonicalize().expect("a real path");
    for folder in ["ws/src/deep", "ws/.git/hooks", "ws/conf/vscode", "ws/gh/workflows", "ws-evil", "out/dir", "ws/~"] {
        fs::create_dir_all(top.join(folder)).expect("a folder");
    }
    for file in [
        "ws/src/lib.rs",
        "ws/a b.rs",
        "ws/é.rs",
        "ws/.git/config",
        "ws-evil/x.rs",
        "out/secret",
        "ws/100%.txt",
        "ws/%2e%2e",
    ] {
        fs::write(top.join(file), "x").expect("a file");
    }
    let links = [
        ("ws/out", "../out"),
        ("ws/out-file", "../out/secret"),
        ("ws/out-missing", "../out/new"),
        ("ws/up", ".."),
        ("ws/abs", "/etc"),
        ("ws/in", "src"),
        ("ws/in-file", "src/lib.rs"),
        ("ws/loop", "loop"),
        ("ws/ping", "pong"),
        ("ws/pong", "ping"),
        ("ws/harmless", ".git"),
        ("ws/harmless-file", ".git/config"),
        ("ws/.vscode", "conf/vscode"),
        ("ws/chain", "chain2"),
        ("ws/chain2", "out/dir"),
        ("ws/src/back", "../../ws/src"),
        ("ws/src/.idea", "deep"),
        ("ws/new-env", ".envrc"),
        ("ws/.github", "gh"),
        ("out/home", "../ws/src"),
        ("ws/evil-sibling", "../ws-evil"),
        ("ws/dangling-in", "src/new.rs"),
    ];
    for (link, target) in links {
        symlink(target, top.join(link)).expect("a link");
    }
    (keep, top)
}

#[derive(Debug, PartialEq)]
enum Said {
    Place(String),
    Outside,
    Protected,
    Malformed,
}

fn say(roots: &Roots, given: &str, access: Access) -> Said {
    match roots.resolve(given, access) {
        Ok(place) => Said::Place(place.to_string()),
        Err(Denied::Outside(_)) => Said::Outside,
        Err(Denied::Protected(_)) => Said::Protected,
        Err(Denied::Malformed { .. }) => Said::Malformed,
        Err(Denied::Rule { .. }) => unreachable!("there are no rules here"),
    }
}

/// Each line: what is asked for (`@` is the real path above the workspace), and what comes of it.
fn check(table: &[(&str, Said)]) {
    let (_keep, top) = world();
    let roots = Roots::new(&[top.join("ws")]);
    for (given, said) in table {
        let given = given.replace('@', top.to_str().expect("UTF-8"));
        for access in [Access::Read, Access::Write] {
            assert_eq!(say(&roots, &given, access), *said, "{given:?} for {access:?}");
        }
    }
}

fn at(shown: &str) -> Said {
    Said::Place(shown.to_owned())
}

#[test]
fn what_is_inside_is_found_however_it_is_spelled() {
    check(&[
        ("src/lib.rs", at("src/lib.rs")),
        ("./src//lib.rs", at("src/lib.rs")),
        ("src/./deep/../lib.rs", at("src/lib.rs")),
        ("src/lib.rs/", at("src/lib.rs")),
        (".", at(".")),
        ("src/..", at(".")),
        ("new/folder/file.rs", at("new/folder/file.rs")),
        ("missing/../src/lib.rs", at("src/lib.rs")),
        ("@/ws/src/lib.rs", at("src/lib.rs")),
        ("@/ws", at(".")),
        ("../ws/src/lib.rs", at("src/lib.rs")),
        ("@/out/../ws/src/lib.rs", at("src/lib.rs")),
        ("@/out/home/lib.rs", at("src/lib.rs")),
        ("in/lib.rs", at("src/lib.rs")),
        ("in/../src/lib.rs", at("src/lib.rs")),
        ("in-file", at("src/lib.rs")),
        ("src/back/back/lib.rs", at("src/lib.rs")),
        ("dangling-in", at("src/new.rs")),
        ("file://@/ws/src/lib.rs", at("src/lib.rs")),
        ("FILE://localhost@/ws/src/lib.rs", at("src/lib.rs")),
        ("file:@/ws/a%20b.rs", at("a b.rs")),
        ("file://@/ws/%C3%A9.rs", at("é.rs")),
        ("file://@/ws/src/%2e%2e/src/lib.rs", at("src/lib.rs")),
        ("100%.txt", at("100%.txt")),
        ("%2e%2e", at("%2e%2e")),
        ("%2e%2e/out/secret", at("%2e%2e/out/secret")),
        ("~/.ssh/id_rsa", at("~/.ssh/id_rsa")),
        ("$HOME/x", at("$HOME/x")),
        ("a\\..\\..\\x", at("a\\..\\..\\x")),
        ("...", at("...")),
    ]);
}

#[test]
fn nothing_leads_out() {
    check(&[
        ("..", Said::Outside),
        ("../out/secret", Said::Outside),
        ("../ws-evil/x.rs", Said::Outside),
        ("@/ws-evil/x.rs", Said::Outside),
        ("@/ws-evil", Said::Outside),
        ("@/wss", Said::Outside),
        ("@", Said::Outside),
        ("/", Said::Outside),
        ("/etc/passwd", Said::Outside),
        ("/proc/self/environ", Said::Outside),
        ("/dev/stdin", Said::Outside),
        ("//etc//passwd", Said::Outside),
        ("src/../../out/secret", Said::Outside),
        ("src/deep/../../../out/secret", Said::Outside),
        ("missing/../../out/secret", Said::Outside),
        ("src/lib.rs/../../../out/secret", Said::Outside),
        ("@/ws/../out/secret", Said::Outside),
        ("../../../../../../../../../../etc/passwd", Said::Outside),
        ("out", Said::Outside),
        ("out/secret", Said::Outside),
        ("out/new/file", Said::Outside),
        ("out-file", Said::Outside),
        ("out-missing", Said::Outside),
        ("up/out/secret", Said::Outside),
        ("abs/passwd", Said::Outside),
        ("chain/x", Said::Outside),
        ("evil-sibling/x.rs", Said::Outside),
        ("in/../../out/secret", Said::Outside),
        ("up/ws/out/secret", Said::Outside),
        ("file:///etc/passwd", Said::Outside),
        ("file://@/ws/../out/secret", Said::Outside),
        ("file://@/ws/%2e%2e/out/secret", Said::Outside),
        ("file://@/ws/%2E%2e/%2e%2E/etc/passwd", Said::Outside),
        ("file://@/ws-evil/x.rs", Said::Outside),
        ("file://@/ws/out/secret", Said::Outside),
    ]);
}

#[test]
fn protected_places_are_denied_existing_or_not_and_through_links() {
    check(&[
        (".git/config", Said::Protected),
        (".git", Said::Protected),
        (".GIT/config", Said::Protected),
        ("src/.git/hooks/pre-commit", Said::Protected),
        ("src/../.git/config", Said::Protected),
        ("@/ws/.git/config", Said::Protected),
        ("file://@/ws/%2egit/config", Said::Protected),
        ("file://@/ws/.g%69t/config", Said::Protected),
        ("harmless/config", Said::Protected),
        ("harmless", Said::Protected),
        ("harmless-file", Said::Protected),
        ("new-env", Said::Protected),
        (".envrc", Said::Protected),
        ("src/.envrc", Said::Protected),
        (".vscode/settings.json", Said::Protected),
        ("conf/vscode/settings.json", Said::Protected),
        ("conf/vscode", Said::Protected),
        (".github/workflows/ci.yml", Said::Protected),
        ("gh/workflows/ci.yml", Said::Protected),
        (".cowrite/config.toml", Said::Protected),
        ("AGENTS.md", Said::Protected),
        ("src/agents.md", Said::Protected),
        ("x.code-workspace", Said::Protected),
        (".cargo/config.toml", Said::Protected),
        ("src/.cargo/config", Said::Protected),
        ("src/.idea/workspace.xml", Said::Protected),
        ("conf/other", at("conf/other")),
        (".github/dependabot.yml", at("gh/dependabot.yml")),
    ]);
}

#[test]
fn what_is_no_path_is_said_to_be_none() {
    check(&[
        ("", Said::Malformed),
        ("src/\0lib.rs", Said::Malformed),
        ("file://evil.example@/ws/src/lib.rs", Said::Malformed),
        ("file://@/ws/src%2flib.rs", Said::Malformed),
        ("file://@/ws%2F..%2Fout%2Fsecret", Said::Malformed),
        ("file://@/ws/..%5cout", Said::Malformed),
        ("file://@/ws/x%00.rs", Said::Malformed),
        ("file://@/ws/%ff", Said::Malformed),
        ("file://@/ws/%2", Said::Malformed),
        ("file://@/ws/x?y", Said::Malformed),
        ("file://@/ws/x#y", Said::Malformed),
        ("file:src/lib.rs", Said::Malformed),
        ("file://../etc/passwd", Said::Malformed),
        ("https://example.com/src/lib.rs", Said::Malformed),
        ("vscode-remote://ssh/ws", Said::Malformed),
        ("loop", Said::Malformed),
        ("ping/x", Said::Malformed),
        (&"x".repeat(300), Said::Malformed),
    ]);
}

#[test]
fn several_folders_are_told_apart_by_name() {
    let (_keep, top) = world();
    fs::create_dir_all(top.join("out/ws")).expect("a folder");
    let both = Roots::new(&[top.join("ws"), top.join("out"), top.join("missing"), top.join("ws/../ws")]);
    assert_eq!(both.folders(), [top.join("ws"), top.join("out")]);
    let read = |roots: &Roots, given: &str| say(roots, given, Access::Read);
    assert_eq!(read(&both, "src/lib.rs"), at("ws/src/lib.rs"));
    assert_eq!(read(&both, "ws/src/lib.rs"), at("ws/src/lib.rs"));
    assert_eq!(read(&both, "./ws/src/lib.rs"), at("ws/src/lib.rs"));
    assert_eq!(read(&both, "out/secret"), at("out/secret"));
    assert_eq!(read(&both, "ws/out/secret"), at("out/secret"), "a link from one folder into the other is inside");
    assert_eq!(read(&both, "out"), at("out"));
    assert_eq!(read(&both, "out/../ws-evil/x.rs"), Said::Outside);

    let same = Roots::new(&[top.join("ws"), top.join("out/ws")]);
    let shown = top.join("out/ws/new").display().to_string();
    assert_eq!(read(&same, &shown), at(&shown), "folders of one name are told apart by absolute paths");
    let nested = Roots::new(&[top.join("ws"), top.join("ws/src")]);
    assert_eq!(read(&nested, "ws/src/lib.rs"), at("src/lib.rs"), "the deepest folder names the file");
}

#[test]
fn without_a_folder_only_the_open_buffers_are_inside() {
    let (_keep, top) = world();
    let file = Place::File { path: top.join("out/secret"), shown: "secret".into() };
    let hook = Place::File { path: top.join("ws/.git/config"), shown: "config".into() };
    let buffer = Place::Buffer { uri: "untitled:Untitled-1".into() };
    let later = Place::Buffer { uri: "untitled:/ws/.envrc".into() };
    let roots = Roots::new(&[]).with_buffers(vec![file.clone(), hook.clone(), buffer.clone(), later.clone()]);
    let read = |given: &str| roots.resolve(given, Access::Write);
    assert_eq!(read("secret"), Ok(file.clone()));
    assert_eq!(read(top.join("out/secret").to_str().expect("UTF-8")), Ok(file.clone()));
    assert_eq!(read(top.join("ws/out-file").to_str().expect("UTF-8")), Ok(file.clone()), "a link to an open file");
    assert_eq!(read("untitled:Untitled-1"), Ok(buffer.clone()));
    for (given, place) in [("config", hook), ("untitled:/ws/.envrc", later)] {
        assert_eq!(read(given), Err(Denied::Protected(given.into())));
        assert!(!roots.admits(&place));
    }
    assert_eq!(read("untitled:Untitled-2"), Err(Denied::Outside("untitled:Untitled-2".into())));
    assert!(matches!(read("src/lib.rs"), Err(Denied::Outside(_))));
    assert!(roots.admits(&file) && roots.admits(&buffer));
}

#[test]
fn a_walk_gives_places_inside_that_are_not_protected() {
    let (_keep, top) = world();
    let roots = Roots::new(&[top.join("ws")]);
    let found = |path: &str| roots.found(&top.join(path)).map(|place| place.to_string());
    assert_eq!(found("ws/src/lib.rs").as_deref(), Some("src/lib.rs"));
    assert_eq!(found("ws").as_deref(), Some("."));
    assert_eq!(found("ws/.git"), None);
    assert_eq!(found("ws-evil/x.rs"), None);
    assert_eq!(found("ws/src/../../out/secret"), None);
}

#[test]
fn the_programs_own_settings_and_state_are_protected() {
    let (_keep, top) = world();
    let roots = Roots::new(&[top.join("ws")]).with_own(&[top.join("ws/in"), top.join("ws/state/new")]);
    assert_eq!(say(&roots, "src/lib.rs", Access::Write), Said::Protected);
    assert_eq!(say(&roots, "state/new/x", Access::Write), Said::Protected);
    assert_eq!(say(&roots, "state/newer", Access::Write), at("state/newer"));
}

#[test]
fn a_workspace_inside_a_protected_folder_may_not_be_changed() {
    let (_keep, top) = world();
    let roots = Roots::new(&[top.join("ws/.git/hooks")]);
    assert_eq!(say(&roots, "pre-commit", Access::Write), Said::Protected);
}

#[test]
fn a3_08_what_programs_are_made_of_is_read_by_all_and_changed_by_nobody_unasked() {
    let (_keep, top) = world();
    for file in ["ws/check.sh", "ws/src/x.py", "ws/src/deep/c.json", "ws/data"] {
        fs::write(top.join(file), "x").expect("a file");
    }
    symlink("src", top.join("ws/tools")).expect("a link");
    let programs = [
        vec!["./check.sh", "src", "plain"],
        vec!["python3", "tools/x.py", "--config=src/deep/c.json", "bin/new", "/usr/bin/env"],
        vec!["sh", "-c", "exec data >log"],
    ];
    let programs: Vec<Vec<String>> =
        programs.iter().map(|words| words.iter().map(|&word| word.into()).collect()).collect();
    let with =
        |from: &str| Roots::new(&[top.join("ws")]).with_programs(programs.iter().map(Vec::as_slice), &top.join(from));
    let roots = with("ws");
    for path in ["check.sh", "./src/../check.sh", "src/x.py", "tools/x.py", "src/deep/c.json", "bin/new", "data"] {
        assert_eq!(say(&roots, path, Access::Write), Said::Protected, "{path}");
        assert!(matches!(say(&roots, path, Access::Read), Said::Place(_)), "{path} is read");
        assert!(roots.found(&top.join("ws/check.sh")).is_some(), "a search sees it");
    }
    for path in ["src/lib.rs", "src/new.rs", "plain", "log", "sh", "python3"] {
        assert!(matches!(say(&roots, path, Access::Write), Said::Place(_)), "{path} is free");
    }
    assert!(roots.starts(&top.join("ws/tools")), "a link on the way is not turned either");
    assert_eq!(
        say(&with("out"), "check.sh", Access::Write),
        at("check.sh"),
        "what is started elsewhere is another file"
    );
}

#[test]
fn the_folder_that_a_git_file_names_is_protected_whatever_it_is_called() {
    let (_keep, top) = world();
    for folder in ["ws/.bare/worktrees/main", "ws/main", "ws/bad"] {
        fs::create_dir_all(top.join(folder)).expect("a folder");
    }
    fs::write(top.join("ws/main/.git"), format!("gitdir: {}\n", top.join("ws/.bare/worktrees/main").display()))
        .expect("a file");
    fs::write(top.join("ws/.bare/worktrees/main/commondir"), "../..\n").expect("a file");
    fs::write(top.join("ws/bad/.git"), "gitdir: ..\n").expect("a file");
    let roots = Roots::new(&[top.join("ws")]).with_git_folders();
    assert_eq!(say(&roots, ".bare/hooks/post-commit", Access::Write), Said::Protected);
    assert_eq!(say(&roots, ".bare/config", Access::Read), Said::Protected);
    assert_eq!(say(&roots, "main/x.rs", Access::Write), at("main/x.rs"));
    assert_eq!(say(&roots, "src/lib.rs", Access::Write), at("src/lib.rs"), "no such file takes the whole workspace");
}
