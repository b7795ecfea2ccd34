use serde_json::json;

use super::*;

/// A turn of calls, each with its arguments, whether it went well, and what it said.
fn calls(calls: &[(&str, Value, bool, &str)]) -> Vec<Arc<Item>> {
    let texts = calls.iter().map(|(name, arguments, ok, said)| (*name, arguments.to_string(), *ok, *said));
    written(&texts.collect::<Vec<_>>())
}

fn written(calls: &[(&str, String, bool, &str)]) -> Vec<Arc<Item>> {
    let blocks = calls.iter().enumerate().map(|(id, (name, arguments, ..))| Block::Call {
        id: id.to_string(),
        name: (*name).into(),
        arguments: arguments.clone(),
        raw: None,
    });
    let results = calls.iter().enumerate().map(|(id, (name, _, ok, said))| ToolResult {
        undone: false,
        call_id: id.to_string(),
        name: (*name).into(),
        ok: *ok,
        content: (*said).into(),
    });
    let assistant =
        Item::Assistant { model: "a/b".into(), origin: String::new(), blocks: blocks.collect(), partial: false };
    vec![Arc::new(assistant), Arc::new(Item::Results { results: results.collect() })]
}

fn facts(spans: &[Vec<Arc<Item>>]) -> Facts {
    let mut facts = Facts::default();
    spans.iter().for_each(|span| facts.extend(span));
    facts
}

#[test]
fn c17_files_come_from_calls_that_succeeded_each_once_the_newest_last() {
    let patch = "*** Begin Patch\n*** Update File: ./src/a.rs\n@@\n-*** Update File: no.rs\n *** Update File: context.rs\n*** Move to: src/b.rs\n*** Add File: new.md\n\
                 +text\n*** Delete File: gone.md\n*** End Patch";
    let found = facts(&[
        calls(&[
            ("read", json!({"path": "./a.rs"}), true, "1"),
            ("read", json!({"path": "b.rs", "start_line": 3}), true, "1"),
            ("read", json!({"path": "missing.rs"}), false, "no such file"),
            ("edit", json!({"path": "a.rs", "edits": []}), true, "changed"),
            ("edit", json!({"path": "refused.rs", "edits": []}), false, "the person said no"),
        ]),
        calls(&[
            ("read", json!({"path": "src//.//a.rs/"}), true, "1"),
            ("read", json!({"path": "a.rs"}), true, "1"),
            ("write", json!({"path": "w.rs", "content": ""}), true, ""),
            ("move", json!({"from": "old.rs", "to": "./moved.rs"}), true, ""),
            ("delete", json!({"path": "/abs/d.rs"}), true, ""),
            ("patch", json!({ "patch": patch }), true, ""),
            ("edit", json!({"path": "a.rs"}), true, ""),
            ("search", json!({"path": "src"}), true, ""),
        ]),
    ]);
    assert_eq!(found.read, ["b.rs", "src/a.rs", "a.rs"]);
    let changed = ["w.rs", "old.rs", "moved.rs", "/abs/d.rs", "src/a.rs", "src/b.rs", "new.md", "gone.md", "a.rs"];
    assert_eq!(found.changed, changed);
}

#[test]
fn c17_a_call_that_cannot_be_read_did_nothing() {
    let given = |arguments: &str| written(&[("write", arguments.into(), true, "")]);
    for arguments in ["{\"path\": \"a.rs\"", "", "[]", "{\"path\": 3}", "{\"path\": \"./\"}", "null"] {
        assert_eq!(facts(&[given(arguments)]), Facts::default(), "{arguments}");
    }
}

#[test]
fn c17_a_command_fails_until_it_succeeds() {
    let lines: Vec<String> = (1..=30).map(|line| format!("line {line}")).collect();
    let run = |command: &str, ok, said: &str| calls(&[("run", json!({ "command": command }), ok, said)]);
    let found = facts(&[
        run("cargo test", false, "first"),
        run("cargo build", false, "no"),
        run("make", true, "yes"),
        run("cargo test", false, &lines.join("\n\n")),
        run("cargo build", true, "yes"),
        calls(&[("run", json!({"command": "cargo build", "cwd": "./sub/"}), false, &"x".repeat(3000))]),
    ]);
    let [test, build] = found.failing.as_slice() else { panic!("{found:?}") };
    assert_eq!((test.command.as_str(), test.tail.as_str()), ("cargo test", &*lines[20..].join("\n")));
    assert_eq!((build.command.as_str(), build.tail.len()), ("cargo build (in sub)", TAIL));
}

#[test]
fn c17_a_command_that_was_denied_or_stopped_is_none_that_failed() {
    let run = |ok, said: &str, undone| {
        let mut items = calls(&[("run", json!({"command": "cargo test"}), ok, said)]);
        let Item::Results { results } = Arc::make_mut(&mut items[1]) else { panic!() };
        results[0].undone = undone;
        items
    };
    let stopped = run(false, "The person stopped the run during this call.", true);
    assert_eq!(facts(std::slice::from_ref(&stopped)).failing, []);
    // Nor does it say that one before did not fail.
    let found = facts(&[run(false, "2 tests failed", false), stopped]);
    assert_eq!(found.failing, [Failing { command: "cargo test".into(), tail: "2 tests failed".into() }]);
}

#[test]
fn c17_a_question_is_open_until_it_is_answered() {
    let ask = |question: &str, ok| calls(&[("ask", json!({ "question": question }), ok, "")]);
    let found =
        facts(&[ask("Which port?", false), ask("Delete it?", false), ask("Why?", true), ask("Which port?", true)]);
    assert_eq!(found.questions, ["Delete it?"]);
}

#[test]
fn c17_the_persons_words_are_theirs_and_rules_are_named() {
    let items: Vec<Arc<Item>> = [
        Item::asked("never touch b.rs", None),
        Item::told("b.rs was changed outside"),
        Item::asked("Fix this.\n\nthe file: ...", Some("only the first one ".into())),
        Item::asked("Explain this.", Some(String::new())),
        Item::standing("rules ./AGENTS.md", "be good"),
        Item::standing("tools", "read"),
        Item::standing("rules sub/AGENTS.md", "be good"),
    ]
    .into_iter()
    .map(Arc::new)
    .collect();
    let mut found = Facts { rules: vec!["sub/AGENTS.md".into()], ..Facts::default() };
    found.extend(&items);
    assert_eq!(found.words, ["never touch b.rs", "only the first one"]);
    assert_eq!(found.rules, ["AGENTS.md", "sub/AGENTS.md"]);
}

#[test]
fn what_no_note_could_hold_is_counted_and_let_go() {
    let items: Vec<Arc<Item>> =
        (0..20).map(|n| Arc::new(Item::asked(format!("{n} {}", "x".repeat(60_000)), None))).collect();
    let mut found = Facts::default();
    items.chunks(3).for_each(|span| found.extend(span));
    assert_eq!((found.words.len(), found.earlier_words), (4, 16));
    assert!(found.words[3].starts_with("19 "));
    let long = facts(&[vec![Arc::new(Item::asked("y".repeat(1_000_000), None))]]);
    assert_eq!(long.words.len(), 1);
    assert!(long.words[0].len() <= ENTRY + 100, "{}", long.words[0].len());
}
