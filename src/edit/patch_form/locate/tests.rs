use crate::edit::patch_form::{FileChange, locate, parse};
use crate::text::Snapshot;

/// The text after the chunks of an update, or what the model reads.
fn check(base: &str, chunks: &str) -> String {
    let patch = format!("*** Begin Patch\n*** Update File: a\n{chunks}\n*** End Patch\n");
    let changes = parse(&patch).expect("a patch");
    let [FileChange::Update { chunks, .. }] = changes.as_slice() else { panic!("one update: {changes:?}") };
    let base = Snapshot::detached(base, "text");
    match locate(&base, chunks) {
        Ok(found) => found.patch.apply(base.rope()).to_string(),
        Err(error) => error.to_string(),
    }
}

const TWO: &str = "class A:\n    def f(self):\n        return 1\n\nclass B:\n    def f(self):\n        return 1\n";

#[test]
fn chunks_change_whole_lines() {
    assert_eq!(check("a\nb\nc\n", "@@\n a\n-b\n+x\n+y\n c"), "a\nx\ny\nc\n");
    assert_eq!(check("a\r\nb\r\nc\r\n", "@@\n a\n-b\n+x\n c"), "a\r\nx\r\nc\r\n");
    assert_eq!(check("ab\nb\n", "@@\n-b\n+x"), "ab\nx\n", "a part of a line is none");
    assert_eq!(check("a\nb\nc\n", "@@\n-b"), "a\nc\n");
}

#[test]
fn the_end_of_the_file_is_the_end_of_a_line_too() {
    assert_eq!(check("a\nb", "@@\n a\n-b\n+x"), "a\nx");
    assert_eq!(check("b\nb", "@@\n-b\n+x\n*** End of File"), "b\nx");
    assert_eq!(check("a\nb", "@@\n-b"), "a\n");
    insta::assert_snapshot!(
        check("a\nb\n", "@@\n-a\n+x\n*** End of File"),
        @r#"chunk 1: the old text stands at line 1, not at the end of the file; leave out "*** End of File""#
    );
}

#[test]
fn chunks_are_found_one_behind_the_other() {
    assert_eq!(check("x\na\nx\nb\nx\n", "@@\n-a\n+A\n@@\n-b\n+B\n@@\n-x\n+X"), "x\nA\nx\nB\nX\n");
    insta::assert_snapshot!(
        check("a\nb\n", "@@\n-b\n+B\n@@\n-a\n+A"),
        @"chunk 2: the old text stands at line 1, above the chunk or the @@ line before it; write the chunks from top to bottom"
    );
    insta::assert_snapshot!(
        check("x\na\nx\nb\nx\n", "@@\n-a\n+A\n@@\n-x\n+X"),
        @"chunk 2: the old text is there 2 times, at lines 3, 5; add lines around it, or name the function around it with @@"
    );
}

#[test]
fn an_anchor_says_in_which_block() {
    let changed = "class A:\n    def f(self):\n        return 2\n\nclass B:\n    def f(self):\n        return 1\n";
    assert_eq!(check(TWO, "@@ class A:\n     def f(self):\n-        return 1\n+        return 2"), changed);
    assert_eq!(check(TWO, "@@ class A\n@@     def f(self):\n-        return 1\n+        return 2"), changed);
    let last = "class A:\n    def f(self):\n        return 1\n\nclass B:\n    def f(self):\n        return 2\n";
    assert_eq!(check(TWO, "@@ class B:\n-        return 1\n+        return 2"), last);
    insta::assert_snapshot!(
        check(TWO, "@@ def f(self):\n-        return 1\n+        return 2"),
        @"chunk 1: the old text is there 2 times, at lines 3, 7; add lines around it, or name the function around it with @@"
    );
    insta::assert_snapshot!(check(TWO, "@@ class C:\n-        return 1\n+        return 2"), @r#"chunk 1: no line reads "class C:""#);
    let braces = "fn a()\n{\n    one();\n}\n\nfn b()\n{\n    one();\n}\n";
    assert_eq!(check(braces, "@@ fn a()\n-    one();\n+    two();"), braces.replacen("one", "two", 1));
}

#[test]
fn a_numbered_header_chooses_among_equal_places() {
    assert_eq!(
        check(TWO, "@@ -7,1 +7,1 @@\n-        return 1\n+        return 2"),
        TWO.replace("B:\n    def f(self):\n        return 1", "B:\n    def f(self):\n        return 2")
    );
}

#[test]
fn lines_without_old_ones_go_below_the_anchor_or_to_the_end() {
    assert_eq!(check("a\nb\n", "@@ a\n+x"), "a\nx\nb\n");
    assert_eq!(check("a\nb\n", "@@\n+x"), "a\nb\nx\n");
    assert_eq!(check("a\nb", "@@\n+x"), "a\nb\nx");
    assert_eq!(check("a\nb", "@@ b\n+x"), "a\nb\nx");
    assert_eq!(check("", "@@\n+x"), "x\n");
}

#[test]
fn lines_without_old_ones_never_go_below_one_of_several_lines() {
    insta::assert_snapshot!(
        check(TWO, "@@ def f(self):\n+        pass"),
        @r#"chunk 1: the line "def f(self):" of @@ is there 2 times, at lines 2, 6; add lines around it, or name the function around it with @@"#
    );
    let second = TWO.replace("class B:\n    def f(self):\n", "class B:\n    def f(self):\n        pass\n");
    assert_eq!(check(TWO, "@@ class B:\n@@ def f(self):\n+        pass"), second);
    let first = TWO.replacen("    def f(self):\n", "    def f(self):\n        pass\n", 1);
    assert_eq!(check(TWO, "@@ class A:\n@@ def f(self):\n+        pass"), first, "one alone is in the class");
}

#[test]
fn a_line_number_alone_says_nothing_of_where_lines_go() {
    for header in ["@@ -2,0 +3,1 @@", "@@ -12,3 +12,4 @@", "@@ -0,0 +1,1 @@", "@@ -1,0 +2 @@ a"] {
        assert_eq!(
            check("a\nb\nc\n", &format!("{header}\n+x")),
            "chunk 1: it has no line that is there, and the number of a line does not say for sure where its lines go; write some lines \
             that stay above and below them, each behind a space",
            "{header}"
        );
    }
    // Where there is only one place, or the end is named, the number has nothing to say.
    assert_eq!(check("", "@@ -0,0 +1 @@\n+x"), "x\n");
    assert_eq!(check("a\nb\n", "@@ -2,0 +3 @@\n+x\n*** End of File"), "a\nb\nx\n");
    // Lines that are there say it.
    assert_eq!(check("a\nb\na\nb\n", "@@ -3,2 +3,3 @@\n a\n+x\n b"), "a\nb\na\nx\nb\n");
}

#[test]
fn chunks_are_found_by_the_same_tiers() {
    assert_eq!(
        check("fn a() {\n\tone();  \n\ttwo();\n}\n", "@@\n fn a() {\n     one();\n-    two();\n+    three();\n }"),
        "fn a() {\n\tone();  \n\tthree();\n}\n"
    );
    assert_eq!(check("say “hi”\nb\n", "@@\n say \"hi\"\n-b\n+c"), "say “hi”\nc\n");
    insta::assert_snapshot!(check("one two three\n", "@@\n-one two four\n+x"), @r"
    chunk 1: the old text is not in the file; the nearest place, line 1, differs:
        1 | one two three
      old | one two four
    ");
}
