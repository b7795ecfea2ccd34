//! What each tier takes for equal, and what it leaves alone.

use super::{all, check, one};
use crate::edit::{Replacement, Tier, found};
use crate::text::Snapshot;

/// The text after, and by which tier.
fn by(base: &str, old: &str, new: &str) -> (String, Option<Tier>) {
    let base = Snapshot::detached(base, "text");
    match found(&base, &[one(old, new)]) {
        Ok(found) => {
            (found.patch.apply(base.rope()).to_string(), Some(found.lax.first().map_or(Tier::Exact, |(_, tier)| *tier)))
        }
        Err(error) => (error.to_string(), None),
    }
}

fn is(text: &str, tier: Tier) -> (String, Option<Tier>) {
    (text.to_owned(), Some(tier))
}

#[test]
fn white_space_at_line_ends_does_not_count_and_stays_where_lines_stay() {
    use Tier::Trailing;
    assert_eq!(by("a  \nb\t\nc\n", "a\nb\nc\n", "a\nB\nc\n"), is("a  \nB\nc\n", Trailing));
    assert_eq!(by("a\nb\nc\n", "a  \nb\n", "a  \nx\n"), is("a\nx\nc\n", Trailing));
    assert_eq!(by("    \nlast one  \nc\n", "\nlast one\nc", "\nlast two\nc"), is("    \nlast two  \nc\n", Trailing));
    assert_eq!(
        by("let x = 1; \nlet y = 2;\n", "x = 1;\nlet y", "z = 1;\nlet y"),
        is("let z = 1; \nlet y = 2;\n", Trailing)
    );
    assert_eq!(by("foo bar\nfoo\n", "foo  ", "baz"), is("foo bar\nbaz\n", Trailing), "only at a line's end");
    assert_eq!(by("a\nb", "a\nb\n", "a\nc\n"), is("a\nc", Trailing), "the file ends as it did");
    assert_eq!(by("a\nb", "b\n", ""), is("a\n", Trailing));
    assert_eq!(by("  \n\t\nx", "\n\n", "y").1, None, "white space alone is no text");
}

#[test]
fn a_block_may_be_indented_otherwise_as_a_whole() {
    use Tier::Indent;
    let base = "fn a() {\n    if b {\n        c();\n    }\n}\n";
    let deeper =
        is("fn a() {\n    if b {\n        d();\n        if e {\n            f();\n        }\n    }\n}\n", Indent);
    assert_eq!(by(base, "if b {\n    c();\n}\n", "if b {\n    d();\n    if e {\n        f();\n    }\n}\n"), deeper);
    assert_eq!(
        by(
            base,
            "            if b {\n                c();\n            }",
            "            if b {\n                d();\n                if e {\n                    f();\n                }\n            }"
        ),
        deeper
    );
    let tabs = is("fn a() {\n\tif b {\n\t\tc();\n\n\t\td();\n\t}\n}\n", Indent);
    assert_eq!(
        by(
            "fn a() {\n\tif b {\n\t\tc();\n\t}\n}\n",
            "    if b {\n        c();\n    }\n",
            "    if b {\n        c();\n\n        d();\n    }\n"
        ),
        tabs
    );
    assert_eq!(
        by("a:\n  b:\n    c\n", "a:\n    b:\n        c\n", "a:\n    b:\n        d\n            e\n"),
        is("a:\n  b:\n    d\n      e\n", Indent)
    );
}

#[test]
fn indentation_that_is_not_uniformly_other_is_no_match() {
    let base = "if a:\n    b()\n    c()\n";
    let (said, tier) = by(base, "if a:\n    b()\nc()\n", "if a:\n    d()\n");
    assert_eq!(tier, None);
    insta::assert_snapshot!(said, @r"
    edit 1: the old text is not in the file; the nearest place, lines 1 to 3, differs only in indentation:
        2 |     b()
        3 |     c()
      old | c()
    ");
    assert_eq!(by("  xa\n", "a\n  x", "").1, None);
    assert_eq!(by("    ab\n", "  b\n", "c\n").1, None, "whole lines only");
}

#[test]
fn typographic_punctuation_is_that_of_the_keyboard() {
    use Tier::Typography;
    assert_eq!(
        by("say(\"it's\") - x...\nb\n", "say(“it’s”) – x…\nb\n", "say(“it’s”) – x…\nc(“d”)\n"),
        is("say(\"it's\") - x...\nc(\"d\")\n", Typography),
        "and what is new is written as the file writes it"
    );
    assert_eq!(
        by("say(\"a\")\n", "say(“a”)\n", "say(“a”)\nsay(‘b’) – …\n"),
        is("say(\"a\")\nsay('b') – …\n", Typography)
    );
    assert_eq!(
        by("“One” — two\nthree\n", "\"One\" - two\nthree", "\"One\" - two\n\"four\""),
        is("“One” — two\n\"four\"\n", Typography)
    );
    assert_eq!(by("f(“a”, b);\n", "f(\"a\", b)", "f(\"a\", c)"), is("f(“a”, c);\n", Typography), "inside a line");
    assert_eq!(by("  a\u{a0}= 1\n  b\n", "a = 1\nb\n", "a = 2\nb\n"), is("  a\u{a0}= 2\n  b\n", Typography));
    assert_eq!(by("ｘ＝１\n", "x=1", "x=2"), is("ｘ＝2\n", Typography));
    assert_eq!(by("“a”\n", "\"a\"", "'a'"), is("'a'\n", Typography), "a change of the quotes alone is one");
    assert_eq!(by("é\n", "e", "x").1, None, "letters are what they are");
}

#[test]
fn a_text_escaped_once_too_often_is_read_without_its_escapes() {
    use Tier::Escaped;
    let base = "fn a() {\n\tsay(\"b\\n\");\n}\n";
    assert_eq!(
        by(base, r#"fn a() {\n\tsay(\"b\\n\");\n}\n"#, r#"fn a() {\n\tsay(\"c\\n\");\n}\n"#),
        is(&base.replace("\"b", "\"c"), Escaped)
    );
    assert_eq!(
        by(base, "fn a() {\n\tsay(\\\"b\\n\\\");", "fn a() {\n\tsay(\\\"d\\n\\\");"),
        is(&base.replace("\"b", "\"d"), Escaped)
    );
    assert_eq!(by("a \\\" b \" c", "\\\"", "x"), is("a x b \" c", Tier::Exact), "what is there as it is comes first");
}

#[test]
fn what_only_the_new_text_escapes_is_asked_for() {
    insta::assert_snapshot!(
        check("say(\"hi\")\n", &[one(r#"say(\"hi\")"#, r#"say(\"hi\n\")"#)]),
        @r"edit 1: the old text is in the file only with its escapes taken off, and it is not clear whether \n in the new text loses its backslash too; write both texts as they stand in the file, not escaped"
    );
    assert_eq!(check("say(\"hi\")\n", &[one(r#"say(\"hi\")"#, r#"say(\"ho\")"#)]), "say(\"ho\")\n");
    assert_eq!(
        check("a\nb\n", &[one(r"a\nb", r#"a\n\"c\""#)]),
        "a\n\"c\"\n",
        "a break is escaped with the whole alone"
    );
}

#[test]
fn a_left_out_middle_stays() {
    use Tier::Elided;
    let base = "fn a() {\n    one();\n    two();\n    three();\n    four();\n}\n\nfn b() {\n}\n";
    assert_eq!(
        by(
            base,
            "fn a() {\n    one();\n    // ...\n    four();\n}\n",
            "fn a(x: u8) {\n    one();\n    // ...\n    five();\n}\n"
        ),
        is(&base.replace("a()", "a(x: u8)").replace("four", "five"), Elided)
    );
    insta::assert_snapshot!(
        check(base, &[one("fn a() {\n...\n}\n", "fn c() {\n...\n}\n")]),
        @r#"edit 1: part 2 of the old text (it leaves lines out) is there 2 times, at lines 6, 9; add lines around it until it is unique, say with "line" which one, or set "all""#
    );
    insta::assert_snapshot!(
        check(base, &[one("    four();\n...\nfn a() {\n", "    four();\n...\nfn c() {\n")]),
        @"edit 1: the parts around what the old text leaves out stand in another order in the file"
    );
    insta::assert_snapshot!(
        check(base, &[one("fn a() {\n...\n    four();\n", "fn a() {\n    four();\n")]),
        @"edit 1: the old text leaves lines out, and the new one does not leave out the same in the same order; write both out, or edit only the lines that change"
    );
    insta::assert_snapshot!(
        check(base, &[one("...\n    four();\n", "...\n    five();\n")]),
        @r"
    edit 1: the old text is not in the file; the nearest place, lines 4 to 5, differs:
        4 |     three();
      old | ...
        5 |     four();
    "
    );
}

#[test]
fn text_left_out_of_the_new_text_alone_is_refused() {
    insta::assert_snapshot!(
        check("a\nb\nc\n", &[one("a\nb\nc\n", "a\n// ... rest of the code\n")]),
        @r#"edit 1: line 2 of the new text, "// ... rest of the code", stands for text that is left out; write the text out"#
    );
    assert_eq!(check("a\n// ...\nb\n", &[one("// ...\nb", "c\n// ...")]), "a\nc\n// ...\n");
}

#[test]
fn a_line_chooses_among_equal_places_of_one_tier() {
    let near = |line| Replacement { line: Some(line), ..one("x", "y") };
    let base = "x\na\nb\nc\nx\n  x\n";
    assert_eq!(check(base, &[near(2)]), "y\na\nb\nc\nx\n  x\n");
    assert_eq!(check(base, &[near(99)]), "x\na\nb\nc\nx\n  y\n");
    assert!(check(base, &[near(3)]).contains("at lines 1, 5;"), "as near as the other");
    let lax = "x y  \nz\nx y\nz\n";
    let near = Replacement { line: Some(1), ..one("x y\nz", "w") };
    assert_eq!(check(lax, &[near]), "x y  \nz\nw\n", "the exact one, though a lax one is nearer");
}

#[test]
fn a_lax_text_in_several_places_is_answered_with_the_lines() {
    insta::assert_snapshot!(
        check("  a()\n  b()\n    a()\n    b()\n", &[one("a()\nb()\n", "c()\n")]),
        @r#"edit 1: the old text, with other indentation, is there 2 times, at lines 1, 3; add lines around it until it is unique, say with "line" which one, or set "all""#
    );
}

#[test]
fn every_place_of_a_lax_tier_is_fitted_by_itself() {
    assert_eq!(check("  a()\n  b()\n    a()\n    b()\n", &[all("a()\nb()\n", "c()\n")]), "  c()\n    c()\n");
    assert_eq!(check("x “a” “a”\n“a”\n", &[all("\"a\"", "\"c\"")]), "x “c” “c”\n“c”\n");
}

#[test]
fn lines_that_go_leave_nothing_behind_wherever_white_space_stands() {
    let file = ["a {", "    b", "    }", "}", "", "impl {", "    fn {", "        c", "    }", "}"];
    let old = file.map(|line| format!("{line}\n")).concat();
    let new = "a {\n    b\n    }\n}\n";
    for mask in 0..1 << file.len() {
        let bent = |at: usize| if mask >> at & 1 == 1 { "  \n" } else { "\n" };
        let lines = file.iter().enumerate().map(|(at, line)| format!("{line}{}", bent(at)));
        let text = format!("head\n{}", lines.collect::<String>());
        let after = check(&text, &[one(&old, new)]);
        let bare: Vec<&str> = after.lines().map(str::trim_end).collect();
        assert_eq!(bare, ["head", "a {", "    b", "    }", "}"], "{mask:b}: {text:?} {after:?}");
    }
}
