use super::*;

const PATCH: &str = "*** Begin Patch
*** Add File: new.txt
+one

+two
*** Update File: src/a.rs
*** Move to: src/b.rs
@@ impl A {
@@     fn f() {
 keep

-old
+new
*** End of File
@@ -3,4 +3,5 @@ fn g() {
-x
\\ No newline at end of file

*** Delete File: gone.txt
*** End Patch";

fn check(patch: &str) -> String {
    match parse(patch) {
        Ok(changes) => format!("{changes:#?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_patch_is_read_whole() {
    let keep = |text: &str| Line::Keep(text.into());
    let expected = vec![
        FileChange::Add { path: "new.txt".into(), content: "one\n\ntwo\n".into() },
        FileChange::Update {
            path: "src/a.rs".into(),
            to: Some("src/b.rs".into()),
            chunks: vec![
                Chunk {
                    anchors: vec!["impl A {".into(), "fn f() {".into()],
                    line: None,
                    lines: vec![keep("keep"), keep(""), Line::Remove("old".into()), Line::Add("new".into())],
                    at_end: true,
                },
                Chunk {
                    anchors: vec!["fn g() {".into()],
                    line: Some(3),
                    lines: vec![Line::Remove("x".into())],
                    at_end: false,
                },
            ],
        },
        FileChange::Delete { path: "gone.txt".into() },
    ];
    assert_eq!(parse(PATCH), Ok(expected.clone()));
    for wrapped in [
        PATCH.replace('\n', "\r\n"),
        format!("\n{PATCH}\n\n"),
        format!("<<'EOF'\n{PATCH}\nEOF\n"),
        format!("apply_patch <<\"PATCH\"\n{PATCH}\nPATCH"),
        format!("```diff\n{PATCH}\n```"),
    ] {
        assert_eq!(parse(&wrapped), Ok(expected.clone()), "{wrapped}");
    }
}

#[test]
fn the_first_chunk_needs_no_header_and_a_move_no_chunk() {
    let expected = vec![FileChange::Update {
        path: "a".into(),
        to: None,
        chunks: vec![Chunk { lines: vec![Line::Remove("a".into()), Line::Add("b".into())], ..Chunk::default() }],
    }];
    assert_eq!(parse("*** Begin Patch\n*** Update File: a\n-a\n+b\n*** End Patch"), Ok(expected));
    let moved = vec![FileChange::Update { path: "a".into(), to: Some("b".into()), chunks: vec![] }];
    assert_eq!(parse("*** Begin Patch\n*** Update File: a\n*** Move to: b\n*** End Patch"), Ok(moved));
}

#[test]
fn a_text_that_is_no_patch_is_refused_with_its_line() {
    insta::assert_snapshot!(check(""), @r#"line 1 of the patch: it is empty; expected "*** Begin Patch""#);
    insta::assert_snapshot!(check("--- a\n+++ b\n"), @r#"line 1 of the patch: expected "*** Begin Patch", not "--- a""#);
    insta::assert_snapshot!(
        check(PATCH.trim_end_matches("*** End Patch")),
        @r#"line 19 of the patch: "*** End Patch" is missing, so the patch may be cut off"#
    );
    insta::assert_snapshot!(
        check(&format!("{PATCH}\nmore")),
        @r#"line 21 of the patch: nothing may stand behind "*** End Patch"; one patch can change many files"#
    );
    insta::assert_snapshot!(check("*** Begin Patch\n*** End Patch"), @r#"line 1 of the patch: no file between "*** Begin Patch" and "*** End Patch""#);
    insta::assert_snapshot!(
        check("*** Begin Patch\n*** Rename File: a\n*** End Patch"),
        @r#"line 2 of the patch: expected "*** Add File: PATH", "*** Update File: PATH", "*** Delete File: PATH" or "*** End Patch", not "*** Rename File: a""#
    );
    insta::assert_snapshot!(check("*** Begin Patch\n*** Delete File:\n*** End Patch"), @"line 2 of the patch: the path is missing");
    insta::assert_snapshot!(
        check("*** Begin Patch\n*** Add File: a\n+x\ny\n*** End Patch"),
        @r#"line 4 of the patch: each line of a new file begins with '+', not "y""#
    );
    insta::assert_snapshot!(
        check("*** Begin Patch\n*** Update File: a\n@@\n-x\ny\n*** End Patch"),
        @r#"line 5 of the patch: each line of an update begins with ' ', '-' or '+', or is "@@", not "y""#
    );
    insta::assert_snapshot!(
        check("*** Begin Patch\n*** Update File: a\n@@ f\n x\n*** End Patch"),
        @"line 3 of the patch: this chunk changes nothing: it has no line that begins with '-' or '+'"
    );
    insta::assert_snapshot!(
        check("*** Begin Patch\n*** Update File: a\n*** End Patch"),
        @"line 2 of the patch: nothing changes in a: no lines follow"
    );
}
