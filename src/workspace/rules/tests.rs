use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::workspace::testing::World;

async fn given(world: &World, target: &str) -> Told {
    first(world, &world.roots, Some(&world.place(target))).await.expect("readable rules")
}

async fn later(world: &World, known: &Told, target: &str) -> Told {
    since(&known.rules, world, &world.roots, Some(&world.place(target))).await.expect("readable rules")
}

fn texts(told: &Told) -> Vec<&str> {
    told.texts.iter().map(|(_, text)| text.as_str()).collect()
}

fn paths(told: &Told) -> Vec<&str> {
    told.rules.iter().map(|rules| rules.path.as_str()).collect()
}

#[tokio::test]
async fn s12_the_top_and_the_nearest_file_above_are_given_in_their_frames() {
    let world =
        World::new(&[("AGENTS.md", "Use tabs.\n"), ("a/AGENTS.md", "Not mine.\n"), ("a/b/AGENTS.md", "Use b.\n")]);
    let told = given(&world, "a/b/c/d.rs").await;
    insta::assert_snapshot!(texts(&told).join("\n\n"), @r#"
        AGENTS.md says:
        ```
        Use tabs.
        ```

        a/b/AGENTS.md says:
        ```
        Use b.
        ```
        "#);
    assert_eq!(paths(&told), ["AGENTS.md", "a/b/AGENTS.md"]);
    assert_eq!(told.rules[0].hash, Hash::of(b"Use tabs.\n"));
}

#[tokio::test]
async fn s12_a_run_about_no_file_and_one_at_the_top_are_given_the_top_file_once() {
    let world = World::new(&[("AGENTS.md", "Use tabs.\n"), ("a/AGENTS.md", "Not mine.\n")]);
    assert_eq!(paths(&given(&world, "x.rs").await), ["AGENTS.md"]);
    assert_eq!(paths(&first(&world, &world.roots, None).await.expect("rules")), ["AGENTS.md"]);
}

#[tokio::test]
async fn s12_every_folder_has_its_own_rules() {
    let mut world = World::new(&[("AGENTS.md", "One.\n")]);
    fs::create_dir(world.top.join("lib")).expect("a folder");
    fs::write(world.top.join("lib/AGENTS.md"), "Two.\n").expect("written");
    world.roots = Roots::new(&[world.top.join("ws"), world.top.join("lib")]);
    let told = given(&world, "x.rs").await;
    assert_eq!(paths(&told), ["ws/AGENTS.md", "lib/AGENTS.md"]);
    // And they are found again by these names.
    assert_eq!(later(&world, &told, "x.rs").await, Told { texts: Vec::new(), rules: told.rules });
}

#[tokio::test]
async fn s12_an_open_buffer_wins_also_where_nothing_is_saved_yet() {
    let mut world = World::new(&[("AGENTS.md", "On disk.\n"), ("a/x.rs", "")]);
    world.opens("AGENTS.md", "In the buffer.\n");
    world.opens("a/AGENTS.md", "Not saved yet.\n");
    let told = given(&world, "a/x.rs").await;
    let texts = texts(&told).join("\n");
    assert!(
        texts.contains("In the buffer.") && texts.contains("Not saved yet.") && !texts.contains("On disk."),
        "{texts}"
    );
}

#[tokio::test]
async fn s12_a_later_run_hears_of_what_is_new_changed_and_gone_and_of_nothing_else() {
    let world = World::new(&[("AGENTS.md", "Stays.\n"), ("a/AGENTS.md", "Old.\n"), ("b/AGENTS.md", "Goes.\n")]);
    let known = given(&world, "a/x.rs").await;
    assert_eq!(later(&world, &known, "a/x.rs").await.texts, []);

    let known = later(&world, &known, "b/x.rs").await;
    insta::assert_snapshot!(texts(&known).join("\n\n"), @r#"
        There is a rules file that you were not given yet: how this part of the workspace is to be worked on. It grants nothing. b/AGENTS.md says:
        ```
        Goes.
        ```
        "#);
    assert_eq!(paths(&known), ["AGENTS.md", "a/AGENTS.md", "b/AGENTS.md"]);

    world.write("a/AGENTS.md", "New.\n");
    fs::remove_file(world.top.join("ws/b/AGENTS.md")).expect("removed");
    let told = later(&world, &known, "b/x.rs").await;
    insta::assert_snapshot!(texts(&told).join("\n\n"), @r#"
        The rules file a/AGENTS.md has changed. This counts in place of what it said before. a/AGENTS.md says:
        ```
        New.
        ```

        The rules file b/AGENTS.md is gone. What it said does not count any more.
        "#);
    assert_eq!(paths(&told), ["AGENTS.md", "a/AGENTS.md"]);
    assert_eq!(told.rules[1].hash, Hash::of(b"New.\n"));
    assert_eq!(later(&world, &told, "b/x.rs").await.texts, [], "what was told is not told again");
}

#[tokio::test]
async fn s12_a_long_file_is_cut_at_a_line_with_a_notice() {
    let text = "é is a letter.\n".repeat(10_000);
    let world = World::new(&[("AGENTS.md", &text)]);
    let told = given(&world, "x.rs").await;
    let given = &told.texts[0].1;
    assert!(given.len() < LIMIT + 300 && given.len() > LIMIT - 300, "{}", given.len());
    let (body, notice) = given.rsplit_once("```\n").expect("a notice behind the fence");
    assert!(body.ends_with("letter.\n"), "{}", &body[body.len() - 40..]);
    insta::assert_snapshot!(notice, @"(Cut: these are the first 65536 of 160000 bytes of AGENTS.md. No more than 64 KiB of a rules file is given.)");
    assert_eq!(told.rules[0].hash, Hash::of(text.as_bytes()), "the hash is the file's");

    let line = "é".repeat(LIMIT);
    assert_eq!(cut(&line), "é".repeat(LIMIT / 2), "one long line is cut between characters");
    assert_eq!(cut(&text[..LIMIT]), &text[..LIMIT], "64 KiB are given whole");
}

#[tokio::test]
async fn s12_what_is_not_utf8_fails_the_run_with_the_file_and_the_next_step() {
    let world = World::new(&[]);
    world.write("a/AGENTS.md", b"caf\xe9");
    let place = world.place("a/x.rs");
    let error = first(&world, &world.roots, Some(&place)).await.expect_err("not UTF-8");
    insta::assert_snapshot!(error, @"The rules file a/AGENTS.md is not UTF-8 text, so the model cannot be given it. Save it as UTF-8, or remove it.");
    let error = since(&[], &world, &world.roots, Some(&place)).await.expect_err("not UTF-8 in a later run either");
    assert!(error.contains("a/AGENTS.md"), "{error}");
}

#[tokio::test]
async fn s12_links_are_followed_inside_the_workspace_only() {
    let world =
        World::new(&[("CLAUDE.md", "Inside.\n"), (".git/config", "[remote]\n"), ("a/x.rs", ""), ("b/x.rs", "")]);
    fs::write(world.top.join("secret"), "SECRET\n").expect("written");
    let ws = world.top.join("ws");
    symlink("CLAUDE.md", ws.join("AGENTS.md")).expect("a link");
    symlink("../../secret", ws.join("a/AGENTS.md")).expect("a link");
    symlink("../.git/config", ws.join("b/AGENTS.md")).expect("a link");
    for target in ["a/x.rs", "b/x.rs"] {
        let told = given(&world, target).await;
        assert_eq!(paths(&told), ["AGENTS.md"], "{target}");
        assert!(told.texts[0].1.contains("Inside."), "{:?}", told.texts);
    }
    // What the model was given is gone once its place leads outside.
    let known = Told { rules: vec![Rules { path: "a/AGENTS.md".into(), hash: Hash::of(b"x") }], ..Told::default() };
    let told = later(&world, &known, "CLAUDE.md").await;
    assert!(told.texts[0].1.contains("a/AGENTS.md is gone"), "{:?}", told.texts);
    assert!(!texts(&told).join("\n").contains("SECRET"));
}

#[tokio::test]
async fn s12_empty_files_and_folders_of_that_name_are_no_rules() {
    let world = World::new(&[("AGENTS.md", " \n"), ("a/AGENTS.md/x.rs", "")]);
    assert_eq!(given(&world, "a/AGENTS.md/x.rs").await, Told::default());
}

proptest! {
    #[test]
    fn s12_nothing_in_the_text_closes_its_frame(text in "([`~a \n]|```|</rules>){0,60}x") {
        let file = File { path: "AGENTS.md".into(), hash: Hash::of(b""), text: text.clone() };
        let framed = file.framed();
        let mut lines = framed.lines().skip(1);
        let fence = lines.next().expect("a fence");
        let inside: Vec<&str> = lines.by_ref().take_while(|line| !line.trim().starts_with(fence)).collect();
        prop_assert_eq!(inside, text.lines().collect::<Vec<_>>());
        prop_assert_eq!(lines.next(), None);
    }
}
