use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

mod corpus;

fn rules(allow: &[&str], deny: &[&str]) -> Rules {
    let owned = |rules: &[&str]| rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>();
    Rules::new(&owned(allow), &owned(deny))
}

impl Rules {
    fn ruled(&self, script: &str) -> Ruling {
        self.script(script).0
    }

    fn may_deny(&self, script: &str) -> bool {
        self.script(script).1
    }
}

fn denied(rule: &str) -> Ruling {
    Ruling::Denied(rule.to_owned())
}

/// Paths relative to the workspace `/ws`; absolute ones are outside.
fn path(rules: &Rules, path: &str, access: Access) -> Ruling {
    let real = PathBuf::from("/ws").join(path);
    let names: Vec<&Path> = if path.starts_with('/') { Vec::new() } else { vec![Path::new(path)] };
    rules.path(&names, Some(&real), access)
}

#[test]
fn rules_are_read_or_said_to_be_wrong() {
    for good in [
        "read(**/.env)",
        "edit(src/**)",
        "run(cargo test *)",
        "run(*)",
        "fetch(docs.rs)",
        "fetch(*.rust-lang.org)",
        "fetch(*)",
        "fetch(127.0.0.1)",
        "fetch([::1])",
        "docs__search",
        "docs__*",
        "docs__search(*)",
        "write(x)",
        "search(a b)",
        " edit( src ) ",
        "read(/etc/**)",
        "read(a(b).txt)",
        "list(x)",
        "delete(x)",
        "move(x)",
        "patch(x)",
        "find(x)",
        "diagnostics(x)",
        "read(./src/)",
    ] {
        assert_eq!(Rules::check(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "run",
        "read",
        "run()",
        "run( )",
        "edit(src",
        "edit)",
        "raed(x)",
        "ask(x)",
        "recall(*)",
        "fetch(https://x.y)",
        "fetch(a/b)",
        "fetch(x:80)",
        "fetch(*.1.2.3.4)",
        "docs__search(x)",
        "__x",
        "x__",
        "read(a[)",
        "edit({a)",
        "read(../x)",
        "read(a/../../b)",
        "run(a; b)",
        "run(echo $x)",
        "run(a | b)",
        "read(a\u{0}b)",
        "Read(x)",
        "*(x)",
        "read (x) y",
    ] {
        let said = Rules::check(bad).expect_err(bad);
        assert!(said.starts_with("expected"), "{bad}: {said}");
    }
}

#[test]
fn a_deny_rule_that_cannot_be_read_denies_its_kind_and_an_allow_rule_allows_nothing() {
    let edit = rules(&["edit(**)"], &["edit(src"]);
    assert_eq!(path(&edit, "a", Access::Write), denied("edit(src (which cannot be read)"));
    assert_eq!(path(&edit, "a", Access::Read), Ruling::Allowed);
    assert_eq!(rules(&[], &["run(a | b)"]).ruled("ls"), denied("run(a | b) (which cannot be read)"));
    let all = rules(&["run(*)", "fetch(*)", "a__b"], &["raed(x)"]);
    let said = denied("raed(x) (which cannot be read)");
    assert_eq!(path(&all, "a", Access::Read), said);
    assert_eq!(all.ruled("ls"), said);
    assert_eq!(all.host("x.y"), said);
    assert_eq!(all.foreign("a__b", "a__b"), said);
    let none = rules(&["run(a | b)", "edit({", "fetch(x:1)", "a__b(c)", "everything"], &[]);
    assert_eq!(none.ruled("a"), Ruling::Silent);
    assert_eq!(path(&none, "a", Access::Write), Ruling::Silent);
    assert_eq!(none.host("x"), Ruling::Silent);
    assert_eq!(none.foreign("a__b", "a__b"), Ruling::Silent);
}

#[test]
fn places_are_held_against_globs() {
    let deny =
        rules(&[], &["read(**/.env)", "edit(gen/**)", "write(Docs/caf\u{e9}.md)", "read(secrets)", "read(/etc/**)"]);
    for hidden in [
        ".env",
        "a/b/.env",
        ".ENV",
        "a/.Env",
        ".env/x",
        ".env.",
        ".e\u{200c}nv",
        ".env ",
        "secrets",
        "secrets/a/b",
        "SECRETS/x",
        "/etc/passwd",
        "/ETC/x",
    ] {
        assert!(matches!(path(&deny, hidden, Access::Read), Ruling::Denied(_)), "{hidden}");
        assert!(matches!(path(&deny, hidden, Access::Write), Ruling::Denied(_)), "{hidden}");
    }
    for kept in ["gen/a.rs", "GEN/x/y", "docs/caf\u{e9}.md", "docs/cafe\u{301}.md", "DOCS/CAFE\u{301}.MD"] {
        assert!(matches!(path(&deny, kept, Access::Write), Ruling::Denied(_)), "{kept}");
        assert_eq!(path(&deny, kept, Access::Read), Ruling::Silent, "{kept}");
    }
    for free in [".envrc", "env", "a.env", "generated/x", "x/gen/y", "secret", "docs/secrets", "etc/passwd"] {
        assert_eq!(path(&deny, free, Access::Write), Ruling::Silent, "{free}");
    }
    let allow = rules(&["edit(src/*.rs)", "read(docs/**)"], &[]);
    assert_eq!(path(&allow, "src/a.rs", Access::Write), Ruling::Allowed);
    assert_eq!(path(&allow, "src/a.rs", Access::Read), Ruling::Allowed);
    assert_eq!(path(&allow, "docs/a", Access::Read), Ruling::Allowed);
    for not in ["src/a/b.rs", "SRC/a.rs", "docs/a", "src"] {
        assert_eq!(path(&allow, not, Access::Write), Ruling::Silent, "{not}");
    }
}

#[test]
fn hosts_are_compared_whole() {
    let some = rules(
        &["fetch(*.example.com)", "fetch(docs.rs)", "fetch(b\u{fc}cher.de)"],
        &["fetch(bad.example.com)", "fetch(10.0.0.1)"],
    );
    for allowed in ["a.example.com", "A.B.Example.COM", "a.example.com.", "docs.rs", "DOCS.RS", "xn--bcher-kva.de"] {
        assert_eq!(some.host(allowed), Ruling::Allowed, "{allowed}");
    }
    for silent in [
        "example.com",
        "evil-example.com",
        "example.com.evil.net",
        "docs.rs.evil",
        "xdocs.rs",
        ".example.com",
        "10.0.0.2",
    ] {
        assert_ne!(some.host(silent), Ruling::Allowed, "{silent}");
    }
    for bad in ["bad.example.com", "BAD.example.com.", "10.0.0.1", "0xa.0.0.1", "167772161", "a b", "", "x/y"] {
        assert!(matches!(some.host(bad), Ruling::Denied(_)), "{bad}");
    }
    assert_eq!(rules(&[], &[]).host("a b"), Ruling::Silent);
}

#[test]
fn tools_of_servers_are_bound_by_name() {
    let some = rules(&["docs__*", "git__log(*)"], &["docs__delete*"]);
    assert_eq!(some.foreign("docs__search", "docs__search"), Ruling::Allowed);
    assert_eq!(some.foreign("git__log", "git__log"), Ruling::Allowed);
    assert_eq!(some.foreign("git__push", "git__push"), Ruling::Silent);
    assert_eq!(some.foreign("Docs__search", "Docs__search"), Ruling::Silent);
    assert_eq!(some.foreign("docs__delete_all", "docs__delete_all"), denied("docs__delete*"));
    assert_eq!(some.foreign("DOCS__DELETE", "DOCS__DELETE"), denied("docs__delete*"));
    // What the model knows by another name than the server is denied by either, and allowed by the model's alone.
    assert_eq!(some.foreign("docs__search_1a2b3c4d", "docs__delete.all"), denied("docs__delete*"));
    assert_eq!(some.foreign("git__push", "git__log"), Ruling::Silent);
}

#[test]
fn a3_15_a3_16_every_part_of_a_script_is_held_against_deny_rules() {
    let some = rules(&["run(*)"], &["run(git push *)", "run(rm *)"]);
    let (denied, allowed) = (|ruling: &Ruling| matches!(ruling, Ruling::Denied(_)), Ruling::Allowed);
    let passed: Vec<_> = corpus::DENIED.iter().filter(|script| !denied(&some.ruled(script))).collect();
    assert!(passed.is_empty(), "these must be denied: {passed:#?}");
    let passed: Vec<_> = corpus::HIDDEN.iter().filter(|script| some.script(script) != (Ruling::Silent, true)).collect();
    assert!(passed.is_empty(), "these may hide a denied command: {passed:#?}");
    let caught: Vec<_> = corpus::FREE.iter().filter(|script| some.script(script) != (allowed.clone(), false)).collect();
    assert!(caught.is_empty(), "these have nothing that is denied: {caught:#?}");
    for script in ["GIT_PAGER=cat git log", "A=b ls -la", "RUST_LOG=push cargo test", "export A=b; git log"] {
        assert!(!some.may_deny(script), "{script:?}");
    }
    assert!(!rules(&["run(*)"], &[]).may_deny("$x $(y"), "nothing is denied that could hide");
}

#[test]
fn a3_15_what_is_over_a_limit_is_denied_where_something_is() {
    let some = rules(&["run(*)"], &["run(git push *)"]);
    let long = format!("echo {}", "x".repeat(20_000));
    let many = "true; ".repeat(300) + "git push";
    let deep = "$(".repeat(40) + "git push" + &")".repeat(40);
    for script in [&long, &many, &deep] {
        assert!(matches!(some.ruled(script), Ruling::Denied(_)));
        assert_eq!(rules(&["run(*)"], &[]).ruled(script), Ruling::Silent);
    }
}

#[test]
fn a3_14_no_string_passes_as_harmless() {
    let some = rules(&["run(ls *)", "run(git status)", "run(cargo test *)", "run(cat *)", "run(./tools/*)"], &[]);
    let strings = corpus::evasions();
    assert!(strings.len() >= 250, "{}", strings.len());
    let passed: Vec<&String> = strings.iter().filter(|script| some.ruled(script) == Ruling::Allowed).collect();
    assert!(passed.is_empty(), "{} pass as harmless: {passed:#?}", passed.len());
    assert!(corpus::HONEST.len() >= 60, "{}", corpus::HONEST.len());
    for script in corpus::HONEST {
        assert_eq!(some.ruled(script), Ruling::Allowed, "{script:?} is what the rules are for");
    }
}

const PATTERNS: &[&str] = &[
    "run(ls *)",
    "run(git *)",
    "run(git push *)",
    "run(*)",
    "run(cat x)",
    "run(rm*)",
    "read(**)",
    "read(src/**)",
    "read(**/*.rs)",
    "edit(src/**)",
    "edit(a*)",
    "edit(**/b)",
    "fetch(*)",
    "fetch(*.example.com)",
    "fetch(a.example.com)",
    "a__*",
    "a__b",
    "run(",
    "nonsense",
];

const SCRIPTS: &[&str] = &[
    "ls",
    "ls -l",
    "git status",
    "git push",
    "git -C x push",
    "sh -c 'git push'",
    "ls; git push",
    "$x y",
    "cat x",
    "cat $y",
    "rm -rf a",
    "rmdir",
    "ls | rm x",
    "echo $(git push)",
    "ls > x",
    "git 'pu'sh",
    "(ls)",
    "A=1 ls",
    "ls &",
];

fn some_rules() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(PATTERNS).prop_map(str::to_owned), 0..5)
}

/// What a ruling lets happen: less is more careful.
fn rank(ruling: &Ruling) -> u8 {
    match ruling {
        Ruling::Denied(_) => 0,
        Ruling::Silent => 1,
        Ruling::Allowed => 2,
    }
}

fn all_rulings(rules: &Rules, paths: &[String], script: &str) -> Vec<u8> {
    let mut ranks: Vec<u8> = paths
        .iter()
        .flat_map(|at| [Access::Read, Access::Write].map(|access| rank(&path(rules, at, access))))
        .collect();
    ranks.extend([script].iter().chain(SCRIPTS).map(|script| rank(&rules.ruled(script))));
    ranks.extend(["a.example.com", "example.com", "docs.rs"].map(|host| rank(&rules.host(host))));
    ranks.extend(["a__b", "a__c", "b__a"].map(|name| rank(&rules.foreign(name, name))));
    ranks
}

proptest! {
    #![proptest_config(crate::text::cases::campaign(2_000))]

    #[test]
    fn campaign_a_deny_rule_never_allows_more_and_an_allow_rule_never_less(
        allow in some_rules(), deny in some_rules(), more in prop::sample::select(PATTERNS),
        paths in prop::collection::vec("(src|a|b|\\.env)(/(b|x\\.rs|C)){0,2}", 3), script in "[a-z $(){};|&'\"`<>=*-]{0,30}",
    ) {
        let before = all_rulings(&Rules::new(&allow, &deny), &paths, &script);
        let mut stricter = deny.clone();
        stricter.push(more.to_owned());
        let after = all_rulings(&Rules::new(&allow, &stricter), &paths, &script);
        prop_assert!(before.iter().zip(&after).all(|(before, after)| after <= before));
        let mut freer = allow.clone();
        freer.push(more.to_owned());
        let after = all_rulings(&Rules::new(&freer, &deny), &paths, &script);
        prop_assert!(before.iter().zip(&after).all(|(before, after)| after >= before && (*before > 0) == (*after > 0)), "deny wins");
    }

    #[test]
    fn campaign_what_is_denied_is_denied_in_any_company(
        before in "[a-z ]{0,12}", joint in prop::sample::select(&["; ", " && ", " || ", " | ", "\n", " & "][..]),
        quote in prop::sample::select(&["git push x", "'git' push", "\"git\" \"push\"", "g\\it pu'sh'", "git -q push", "/usr/bin/git push", "GIT push"][..]),
        frame in prop::sample::select(&["@", "(@)", "{ @; }", "echo $(@)", "if @; then x; fi", "A=1 @", "f() { @; }", "env @", "sudo -u root @", "@ >x 2>&1"][..]),
    ) {
        let script = format!("x{before}{joint}{}", frame.replace('@', quote));
        let rules = rules(&["run(*)"], &["run(git push *)"]);
        prop_assert!(matches!(rules.ruled(&script), Ruling::Denied(_)), "{:?}: {:?}", script, rules.ruled(&script));
    }

    #[test]
    fn campaign_any_text_is_judged_without_a_fault(script in "\\PC{0,80}", wild in "[-a-z$(){}\\[\\];|&'\"`<>=*~#!\\\\\n \t]{0,80}") {
        let some = rules(&["run(ls *)"], &["run(git push *)"]);
        for script in [&script, &wild] {
            if some.ruled(script) == Ruling::Allowed {
                let plain = |c: char| !"$`;&|<>(){}".contains(c) || script.contains(['\'', '"', '\\']);
                prop_assert!(script.trim_start().starts_with("ls") && (script.chars().all(plain) || script.contains("ls")), "{:?}", script);
            }
        }
    }
}

/// What rules allow, run by real shells in which every other command says its name: nothing but what was allowed is started.
#[test]
fn campaign_a3_14_what_is_allowed_starts_nothing_else_in_real_shells() {
    use std::process::{Command, Stdio};

    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let keep = tempfile::tempdir().expect("a folder");
    let bin = keep.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let work = keep.path().join("work");
    std::fs::create_dir(&work).expect("a folder");
    let shells: Vec<&str> =
        ["/bin/dash", "/bin/bash", "/bin/sh"].into_iter().filter(|shell| Path::new(shell).exists()).collect();
    // The commands say to a file beside them that they were started.
    for name in ["ls", "id", "rm", "cat"] {
        let text = format!("#!/bin/sh\necho {name} >> {}/said\n", keep.path().display());
        std::fs::write(bin.join(name), text).expect("written");
        std::fs::set_permissions(bin.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    }
    let some = rules(&["run(ls *)", "run(cat a)"], &[]);
    let piece = prop::sample::select(
        &[
            "ls",
            "id",
            "rm",
            "cat a",
            "cat",
            " ",
            " ",
            " ",
            "\n",
            ";",
            "|",
            "||",
            "&&",
            "&",
            "(",
            ")",
            "{ ",
            "; }",
            "'",
            "\"",
            "\\",
            "$",
            "`",
            "$(id)",
            "#",
            "!",
            "> /dev/null",
            "2>&1",
            "<",
            "<<E",
            "E",
            "=",
            "*",
            "?",
            "~",
            "a",
            "-l",
            "\t",
            "[",
            "]",
            ",",
            "..",
            "$'",
            "<(",
            "if ",
            "then ",
            "fi",
            "{a,id}",
            "\\\n",
            "&>",
            "|&",
            "time ",
            "[[ ",
            " ]]",
            "function ",
            "()",
            "case ",
            " in ",
            "esac",
            "do ",
            "done",
            "\u{a0}",
            "é",
            "%",
            "@",
            "^",
            ":",
            "+",
            ";;",
            "/",
        ][..],
    );
    let scripts = prop::collection::vec(piece, 1..9).prop_map(|pieces| pieces.concat());
    let mut runner = TestRunner::deterministic();
    let (mut tried, mut ran) = (0, 0);
    let cases = crate::text::cases::campaign(40_000).cases;
    while tried < cases {
        tried += 1;
        let tail = scripts.new_tree(&mut runner).expect("a script").current();
        let script = if tried % 2 == 0 { format!("ls {tail}") } else { tail };
        if some.ruled(&script) != Ruling::Allowed {
            continue;
        }
        for shell in &shells {
            ran += 1;
            let _ = std::fs::remove_file(keep.path().join("said"));
            let mut command = Command::new(shell);
            command.args(["-c", &script]).env_clear().env("PATH", &bin).current_dir(&work);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().expect("a shell");
            let said = std::fs::read_to_string(keep.path().join("said")).unwrap_or_default();
            assert!(said.lines().all(|name| name == "ls" || name == "cat"), "{shell} started {said:?} for {script:?}");
            assert_eq!(std::fs::read_dir(&work).expect("listable").count(), 0, "{shell} wrote a file for {script:?}");
        }
    }
    assert!(ran > tried / 20, "{ran} of {tried} were allowed, too few to say anything");
}
