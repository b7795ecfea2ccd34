use serde_json::json;

use crate::editor::Place;
use crate::permission::Roots;
use crate::tool::testing::World;

fn world() -> World {
    let world = World::new(&[
        (".gitignore", "target/\n.env\n"),
        ("target/x.rs", "needle in target\n"),
        (".env", "needle = secret\n"),
        ("src/lib.rs", "fn needle() {}\n\nlet x = needle();\n"),
        ("src/win.rs", "one\r\nneedle\r\n"),
        ("README.md", "A Needle, and needle.\n"),
        (".git/x", "needle\n"),
        ("AGENTS.md", "needle\n"),
        ("bin", "needle\n\0\n"),
    ]);
    std::fs::write(world.top.join("secret"), "needle\n").expect("written");
    world.link("out", "../secret");
    world
}

#[tokio::test]
async fn matches_come_with_numbers_grouped_by_file() {
    let world = world();
    let found = async |arguments| world.ok("search", arguments).await;
    assert_eq!(
        found(json!({"pattern": "needle"})).await,
        "README.md\n1\tA Needle, and needle.\n\nsrc/lib.rs\n1\tfn needle() {}\n3\tlet x = needle();\n\nsrc/win.rs\n2\tneedle\n\n\
         [4 matches in 3 files]\n"
    );
    assert_eq!(
        found(json!({"pattern": "^needle$"})).await,
        "src/win.rs\n2\tneedle\n\n[1 match in 1 file]\n",
        "an end of line is one in CRLF files too"
    );
    assert_eq!(
        found(json!({"pattern": "(?i)a needle", "glob": "*.md"})).await,
        "README.md\n1\tA Needle, and needle.\n\n[1 match in 1 file]\n"
    );
    assert_eq!(
        found(json!({"pattern": "needle", "path": "src", "glob": "l*.rs"})).await,
        "src/lib.rs\n1\tfn needle() {}\n3\tlet x = needle();\n\n[2 matches in 1 file]\n"
    );
    assert_eq!(
        found(json!({"pattern": "one", "path": "src/win.rs"})).await,
        "src/win.rs\n1\tone\n\n[1 match in 1 file]\n"
    );
    assert_eq!(found(json!({"pattern": "no such text"})).await, "No line matches \"no such text\".\n");
    for denied in [json!({"pattern": "needle", "path": "out"}), json!({"pattern": "needle", "path": ".git"})] {
        assert!(!world.call("search", denied).await.ok);
    }
    assert!(world.fails("search", json!({"pattern": "x", "path": "nowhere"})).await.contains("does not exist"));
}

#[tokio::test]
async fn open_buffers_are_searched_in_place_of_their_files() {
    let world = world();
    world.open("src/lib.rs", "changed\r\nneedle in the buffer\r\n");
    world.open("README.md", "gone from here\n");
    world.open("src/new.rs", "a needle that is not saved\n");
    world.open(".env", "needle = secret\n");
    assert_eq!(
        world.ok("search", json!({"pattern": "needle"})).await,
        "src/lib.rs\n2\tneedle in the buffer\n\nsrc/new.rs\n1\ta needle that is not saved\n\nsrc/win.rs\n2\tneedle\n\n\
         [3 matches in 3 files]\n"
    );
    let only = world.ok("search", json!({"pattern": "needle", "path": "src/new.rs"})).await;
    assert_eq!(only, "src/new.rs\n1\ta needle that is not saved\n\n[1 match in 1 file]\n");
}

#[tokio::test]
async fn without_a_folder_the_open_buffers_are_searched() {
    let mut world = world();
    let buffer = Place::Buffer { uri: "untitled:Untitled-1".into() };
    world.context.roots = Roots::new(&[]).with_buffers(vec![buffer.clone()]);
    world.open_place(buffer, "a needle\n");
    world.open_place(Place::Buffer { uri: "untitled:elsewhere".into() }, "a needle\n");
    assert_eq!(
        world.ok("search", json!({"pattern": "needle"})).await,
        "untitled:Untitled-1\n1\ta needle\n\n[1 match in 1 file]\n"
    );
}

#[tokio::test]
async fn a_pattern_that_cannot_be_searched_for_is_explained() {
    let world = world();
    let said = world.fails("search", json!({"pattern": "needle(x"})).await;
    assert!(said.contains("unclosed group") && said.ends_with("escape it: needle\\(x"), "{said}");
    for pattern in ["(?=x)", "(a)\\1", "a\nb", "a{1000}{1000}{1000}"] {
        let said = world.fails("search", json!({ "pattern": pattern })).await;
        assert!(said.contains("cannot be searched for"), "{said}");
    }
}

#[tokio::test]
async fn t1_many_and_long_matches_are_cut_and_counted() {
    let mut world = World::new(&[]);
    world.context.limits.tool_output_bytes = 4000;
    for number in 0..50 {
        world.write(&format!("{number:02}.txt"), format!("{}needle\n", "é".repeat(400)).repeat(150));
    }
    let answer = world.call("search", json!({"pattern": "needle"})).await;
    assert!(answer.content.len() <= 4000 && !answer.content.contains("bytes, "), "{}", answer.content);
    assert!(answer.content.contains("bytes more]"));
    assert!(
        answer.content.ends_with("of 7500 matches in 50 files; a narrower pattern, path or glob shows the others]\n")
    );
    assert_eq!(answer.summary, "7500 matches in 50 files");
    world.context.limits.tool_output_bytes = 1 << 20;
    let content = world.ok("search", json!({"pattern": "needle", "path": "00.txt"})).await;
    assert!(content.contains("\n[50 matches more here]\n"), "a file shows its first 100 matches");
}

#[tokio::test]
async fn a3_25_neither_patterns_nor_files_take_a_search_long() {
    let world = World::new(&[("a.txt", &format!("{}!\n", "a".repeat(200_000)))]);
    let began = std::time::Instant::now();
    for pattern in ["(a*)*b", "(a|aa)+$", "(a+)+[0-9]", "(.*)(.*)(.*)(.*)(.*)[0-9]"] {
        assert_eq!(world.call("search", json!({ "pattern": pattern })).await.summary, "0 matches in 0 files");
    }
    let globs = [format!("{}b", "*a".repeat(500)), format!("{}x", "**/".repeat(200))];
    for glob in globs {
        world.call("search", json!({ "pattern": "a", "glob": glob })).await;
        world.call("find", json!({ "pattern": glob })).await;
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    // More than is read of a file.
    let most = usize::try_from(crate::disk::LIMIT).expect("fits");
    world.write("large.txt", format!("needle\n{}", "x".repeat(most)));
    assert_eq!(world.call("search", json!({ "pattern": "needle" })).await.summary, "0 matches in 0 files");
}

#[tokio::test]
async fn a_cancelled_search_ends() {
    let world = world();
    world.context.cancel.cancel();
    assert_eq!(world.fails("search", json!({"pattern": "needle"})).await, "stopped by the person");
}

#[tokio::test]
async fn a_file_that_is_too_large_to_be_read_is_not_searched() {
    let world = World::new(&[("small", "needle\n")]);
    let limit = usize::try_from(crate::disk::LIMIT).expect("a length");
    world.write("large", "needle\n".repeat(limit / 7 + 1));
    let said = world.ok("search", json!({"pattern": "needle"})).await;
    assert_eq!(said, "small\n1\tneedle\n\n[1 match in 1 file]\n");
}

#[tokio::test]
async fn files_of_any_length_are_searched_to_their_end_and_left_out_where_they_hold_a_nul() {
    // Around what is read in one piece.
    const PIECE: usize = 64 * 1024;
    for length in [1, 4000, 40_000, PIECE - 10, PIECE - 9, PIECE - 8, PIECE - 7, PIECE, 3 * PIECE + 7] {
        let filler = "x\n".repeat(length / 2) + if length % 2 == 1 { "\n" } else { "" };
        let world = World::new(&[("at_end", &format!("{filler}a needle")), ("empty", "")]);
        world.write("with_nul", format!("a needle\n{filler}\0"));
        let line = filler.lines().count() + 1;
        assert_eq!(
            world.ok("search", json!({"pattern": "needle"})).await,
            format!("at_end\n{line}\ta needle\n\n[1 match in 1 file]\n"),
            "{length}"
        );
    }
}

#[tokio::test]
async fn an_open_buffer_wins_over_a_file_in_another_encoding() {
    let world = World::new(&[]);
    world.write("latin", b"d\xe9j\xe0 vu\n");
    world.open("latin", "jamais vu\n");
    assert_eq!(world.ok("search", json!({"pattern": "d\u{e9}j\u{e0}"})).await, "No line matches \"d\u{e9}j\u{e0}\".\n");
}

#[tokio::test]
async fn files_in_other_encodings_are_searched_as_they_are_read() {
    let world = World::new(&[("utf8", "d\u{e9}j\u{e0} vu\n")]);
    world.write("latin", b"rien\nd\xe9j\xe0 vu\n");
    world.write("wide", b"\xff\xfed\0\xe9\0j\0\xe0\0 \0v\0u\0\n\0");
    for pattern in ["vu", "d\u{e9}j\u{e0}"] {
        assert_eq!(
            world.ok("search", json!({"pattern": pattern})).await,
            "latin\n2\td\u{e9}j\u{e0} vu\n\nutf8\n1\td\u{e9}j\u{e0} vu\n\nwide\n1\td\u{e9}j\u{e0} vu\n\n[3 matches in 3 files]\n"
        );
    }
}
