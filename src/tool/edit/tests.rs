use serde_json::{Value, json};

use crate::editor::Outcome;
use crate::text::Snapshot;
use crate::tool::testing::World;

const TEN: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n";

fn edit(old: &str, new: &str) -> Value {
    json!({"path": "a.txt", "edits": [{"old": old, "new": new}]})
}

async fn read(world: &World) {
    world.ok("read", json!({"path": "a.txt"})).await;
}

#[tokio::test]
async fn a_file_on_disk_is_changed_and_keeps_its_line_ends() {
    let world = World::new(&[("a.txt", "\u{feff}one\r\ntwo\r\nthree")]);
    read(&world).await;
    let arguments = json!({"path": "a.txt", "edits": [
        {"old": "one\ntwo\n", "new": "1\n1a\ntwo\n"}, {"old": "three", "new": "3"},
    ]});
    let answer = world.call("edit", arguments).await;
    assert!(answer.ok, "{}", answer.content);
    assert_eq!(world.disk("a.txt"), "\u{feff}1\r\n1a\r\ntwo\r\n3");
    assert!(
        answer.content.starts_with("Changed a.txt at 2 places. These lines now read:\n1\t1\n2\t1a\n"),
        "{}",
        answer.content
    );
    assert!(answer.content.ends_with("4\t3\n"), "{}", answer.content);
    assert_eq!(world.heard(), ["applied 2 in a.txt"]);
}

#[tokio::test]
async fn an_open_buffer_is_changed_and_its_file_is_not() {
    let world = World::new(&[("a.txt", "on disk\n")]);
    world.open("a.txt", "unsaved words\n");
    read(&world).await;
    world.ok("edit", edit("unsaved", "changed")).await;
    assert_eq!(world.buffer("a.txt"), "changed words\n");
    assert_eq!(world.disk("a.txt"), "on disk\n");
}

#[tokio::test]
async fn t3_a_file_that_was_not_read_is_not_changed() {
    let world = World::new(&[("a.txt", TEN)]);
    let said = world.fails("edit", edit("two", "2")).await;
    assert_eq!(said, "a.txt has not been read in this session; read it, then edit what it says");
    world.ok("search", json!({"pattern": "two"})).await;
    world.fails("edit", edit("two", "2")).await;
    assert_eq!(world.disk("a.txt"), TEN);
    world.context.reads.note(&world.place("a.txt"), &Snapshot::detached(TEN, ""));
    world.ok("edit", edit("two", "2")).await;
    assert_eq!(world.disk("a.txt"), TEN.replace("two", "2"), "what the program put into a request counts as read");
}

#[tokio::test]
async fn what_cannot_be_found_changes_nothing_and_says_why() {
    let world = World::new(&[("a.txt", "x = 1;\ny = 2;\nx = 1;\n")]);
    read(&world).await;
    let said = world.fails("edit", edit("x = 1;", "x = 3;")).await;
    assert!(said.starts_with("a.txt was not changed: edit 1: the old text is there 2 times, at lines 1"), "{said}");
    let said = world.fails("edit", edit("z = 1;", "z = 3;")).await;
    assert!(said.starts_with("a.txt was not changed: edit 1: the old text is not in the file"), "{said}");
    let half = json!({"path": "a.txt", "edits": [{"old": "y = 2;", "new": "y = 3;"}, {"old": "nowhere", "new": ""}]});
    assert!(world.fails("edit", half).await.contains("edit 2"), "all or nothing");
    assert!(world.fails("edit", json!({"path": "a.txt", "edits": []})).await.contains("is empty"));
    assert!(
        world
            .fails("edit", json!({"path": "b.txt", "edits": [{"old": "a", "new": "b"}]}))
            .await
            .contains("write makes")
    );
    assert_eq!(world.disk("a.txt"), "x = 1;\ny = 2;\nx = 1;\n");
    assert!(world.heard().is_empty());
    world.ok("edit", json!({"path": "a.txt", "edits": [{"old": "x = 1;", "new": "x = 3;", "all": true}]})).await;
    assert_eq!(world.disk("a.txt"), "x = 3;\ny = 2;\nx = 3;\n");
}

#[tokio::test]
async fn an_edit_moves_over_what_was_typed_elsewhere_and_so_does_the_next() {
    let world = World::new(&[]);
    world.open("a.txt", TEN);
    read(&world).await;
    world.types("a.txt", &format!("typed\n{TEN}"));
    let said = world.ok("edit", edit("three", "3")).await;
    assert!(said.contains("which was kept") && said.ends_with("4\t3\n"), "{said}");
    world.types_before_the_change("a.txt", &format!("typed\nmore\n{}", TEN.replace("three", "3")));
    world.ok("edit", edit("two\n3\nfour", "2\n3\n4")).await;
    world.ok("edit", edit("ten", "10")).await;
    assert_eq!(world.buffer("a.txt"), "typed\nmore\none\n2\n3\n4\nfive\nsix\nseven\neight\nnine\n10\n");
    assert_eq!(world.heard().len(), 3);
}

#[tokio::test]
async fn t3_what_was_changed_since_is_shown_and_then_counts_as_read() {
    let world = World::new(&[]);
    world.open("a.txt", TEN);
    read(&world).await;
    world.types("a.txt", &TEN.replace("five", "5 by hand").replace("one\n", ""));
    let said = world.fails("edit", edit("four\nfive", "4\n5")).await;
    assert!(said.starts_with("a.txt was not changed: it was changed since you read it"), "{said}");
    assert!(said.contains("4\t5 by hand\n") && said.contains("[1 line gone before line 1]"), "{said}");
    assert!(world.heard()[0].starts_with("rejected 1 in a.txt: "));
    assert!(world.buffer("a.txt").contains("5 by hand"), "what was typed stands");
    world.ok("edit", edit("four\n5 by hand", "4\n5")).await;
    assert_eq!(world.buffer("a.txt"), "two\nthree\n4\n5\nsix\nseven\neight\nnine\nten\n");
}

#[tokio::test]
async fn t3_a_change_too_large_to_show_has_to_be_read() {
    let mut world = World::new(&[]);
    world.context.limits.tool_output_bytes = 4000;
    world.open("a.txt", TEN);
    read(&world).await;
    let pasted: String = (0..500).map(|line| format!("pasted {line}\n")).collect();
    world.types("a.txt", &TEN.replace("five\n", &format!("5\n{pasted}")));
    let said = world.fails("edit", edit("four\nfive\n", "")).await;
    assert!(said.ends_with("Read it again first."), "{said}");
    let seen = world.context.reads.last(&world.place("a.txt")).expect("a reading");
    assert_eq!(seen.lf(), TEN, "what was not shown is not seen");
}

#[tokio::test]
async fn t3_typed_lines_that_the_model_never_saw_are_not_its_to_change() {
    let world = World::new(&[]);
    world.open("a.txt", TEN);
    read(&world).await;
    world.types("a.txt", &TEN.replace("eight", "8 by hand"));
    world.ok("edit", edit("two", "2")).await;
    let said = world.fails("edit", edit("seven\neight\nnine", "7\n8\n9")).await;
    assert!(said.contains("8\t8 by hand\n"), "{said}");
    let whole = TEN.replace("two", "2").replace("ten", "10");
    world.types("a.txt", &TEN.replace("two", "2").replace("eight", "8 again"));
    world.fails("write", json!({"path": "a.txt", "content": whole})).await;
    assert!(world.buffer("a.txt").contains("8 again"));
}

#[tokio::test]
async fn text_that_only_the_present_file_has_is_found_there() {
    let world = World::new(&[("a.txt", TEN)]);
    read(&world).await;
    world.write("a.txt", TEN.replace("four", "vier"));
    world.ok("edit", edit("three\nvier", "3\n4")).await;
    world.ok("edit", edit("nine", "9")).await;
    assert_eq!(world.disk("a.txt"), "one\ntwo\n3\n4\nfive\nsix\nseven\neight\n9\nten\n");
    let said = world.fails("edit", edit("neither here", "nor there")).await;
    assert!(said.ends_with("The file was changed since you read it; read it again"), "{said}");
}

#[tokio::test]
async fn a_refused_edit_is_told_with_its_reason() {
    let world = World::new(&[("a.txt", TEN)]);
    read(&world).await;
    world.next(Outcome::Refused { reason: "the editor said no".into() });
    assert_eq!(world.fails("edit", edit("two", "2")).await, "a.txt was not changed: the editor said no");
    assert_eq!(world.heard(), ["rejected 1 in a.txt: the editor said no"]);
    world.ok("edit", edit("two", "2")).await;
}

#[tokio::test]
async fn an_unconfirmed_edit_may_come_late_and_asks_for_a_reading() {
    let world = World::new(&[("a.txt", TEN)]);
    read(&world).await;
    let (_keep, late) = tokio::sync::oneshot::channel();
    world.next(Outcome::NotConfirmed { reason: "no answer in 10 s".into(), late: Some(late) });
    let said = world.fails("edit", edit("two", "2")).await;
    assert!(said.starts_with("It is not confirmed that a.txt was changed (no answer in 10 s)"), "{said}");
    assert_eq!(world.heard(), ["maybe late in a.txt"]);
    assert!(world.fails("edit", edit("two", "2")).await.contains("has not been read"));
}

#[tokio::test]
async fn what_is_outside_or_protected_is_not_changed() {
    let world = World::new(&[("a.txt", TEN), (".envrc", "x"), (".git/config", "x")]);
    std::fs::write(world.top.join("secret"), "x").expect("written");
    world.link("out", "../secret");
    for path in ["../secret", "out", "/etc/passwd", ".envrc", ".git/config", ".vscode/settings.json", "AGENTS.md"] {
        for (tool, arguments) in [
            ("edit", json!({"path": path, "edits": [{"old": "x", "new": "y"}]})),
            ("write", json!({"path": path, "content": "y"})),
        ] {
            let said = world.fails(tool, arguments).await;
            assert!(said.contains("outside the workspace") || said.contains("is protected"), "{path}: {said}");
        }
    }
    assert_eq!(std::fs::read_to_string(world.top.join("secret")).expect("readable"), "x");
    assert_eq!(world.disk(".envrc"), "x");
}

#[tokio::test]
async fn a_link_inside_stays_a_link() {
    let world = World::new(&[("b.txt", TEN)]);
    world.link("a.txt", "b.txt");
    read(&world).await;
    world.ok("edit", edit("two", "2")).await;
    assert_eq!(world.disk("b.txt"), TEN.replace("two", "2"));
    assert!(world.top.join("ws/a.txt").is_symlink());
}

#[tokio::test]
async fn what_was_not_matched_exactly_is_said() {
    let world = World::new(&[("a.txt", "fn a() {\n\tone();\n\ttwo();\n}\n")]);
    read(&world).await;
    let said = world.ok("edit", edit("    one();\n    two();\n", "    one();\n    three();\n")).await;
    assert_eq!(
        said,
        "(edit 1 matched with other indentation.) Changed a.txt at 1 place. These lines now read:\n3\t\tthree();\n"
    );
    assert_eq!(world.disk("a.txt"), "fn a() {\n\tone();\n\tthree();\n}\n");
}

#[tokio::test]
async fn a_line_chooses_among_equal_places() {
    let world = World::new(&[("a.txt", "x = 1;\ny = 2;\nx = 1;\n")]);
    read(&world).await;
    let arguments = json!({"path": "a.txt", "edits": [{"old": "x = 1;", "new": "x = 3;", "line": 3}]});
    world.ok("edit", arguments).await;
    assert_eq!(world.disk("a.txt"), "x = 1;\ny = 2;\nx = 3;\n");
}

#[tokio::test]
async fn what_is_exactly_there_now_is_meant_rather_than_what_was_similar_when_read() {
    let world = World::new(&[("a.txt", "if a {\n  b();\n}\n")]);
    read(&world).await;
    world.write("a.txt", "if a {\n    b();\n}\n");
    let said = world.ok("edit", edit("    b();\n", "    c();\n")).await;
    assert!(!said.contains("matched"), "{said}");
    assert_eq!(world.disk("a.txt"), "if a {\n    c();\n}\n");
}
