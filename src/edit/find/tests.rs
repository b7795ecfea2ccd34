use super::*;

mod random;
mod tiers;

fn one(old: &str, new: &str) -> Replacement {
    Replacement { old: old.into(), new: new.into(), ..Replacement::default() }
}

fn all(old: &str, new: &str) -> Replacement {
    Replacement { old: old.into(), new: new.into(), all: true, ..Replacement::default() }
}

/// The text after, or the sentence that the model reads.
fn check(base: &str, replacements: &[Replacement]) -> String {
    let base = Snapshot::detached(base, "text");
    match find(&base, replacements) {
        Ok(patch) => patch.apply(base.rope()).to_string(),
        Err(error) => error.to_string(),
    }
}

/// What each hunk takes and gives.
fn hunks(base: &str, replacements: &[Replacement]) -> Vec<(String, String)> {
    let snapshot = Snapshot::detached(base, "text");
    let patch = find(&snapshot, replacements).expect("a place");
    patch.hunks().iter().map(|hunk| (base[hunk.range.clone()].to_owned(), hunk.new.clone())).collect()
}

#[test]
fn a_unique_text_is_replaced() {
    assert_eq!(check("one two three", &[one("two", "2")]), "one 2 three");
}

#[test]
fn one_word_of_many_lines_is_one_small_hunk() {
    let old: String = (1..=20).map(|n| format!("let line_{n} = {n};\r\n")).collect();
    let new = old.replace("line_7", "seven").replace("\r\n", "\n");
    let base = format!("head\r\n{old}tail\r\n");
    assert_eq!(hunks(&base, &[one(&old, &new)]), [("line_7".into(), "seven".into())]);
}

#[test]
fn a_line_added_or_taken_out_behind_another_leaves_that_one_alone() {
    assert_eq!(hunks("a\nc\n", &[one("a", "a\nb")]), [(String::new(), "b\n".into())]);
    assert_eq!(check("a\r\nc\r\n", &[one("a", "a\nb")]), "a\r\nb\r\nc\r\n");
    assert_eq!(hunks("a\nb\nc\n", &[one("a\nb", "a")]), [("b\n".into(), String::new())]);
}

#[test]
fn line_endings_are_those_of_the_document() {
    assert_eq!(check("a\r\nb\r\nc\r\n", &[one("a\nb\n", "a\nx\ny\nb\n")]), "a\r\nx\r\ny\r\nb\r\nc\r\n");
    assert_eq!(check("a\nb\n", &[one("a\r\nb", "a\r\nc")]), "a\nc\n");
    assert_eq!(check("a\r\nb\nc\r\n", &[one("a\nb\nc", "A\nb\nC")]), "A\r\nb\nC\r\n");
}

#[test]
fn several_are_found_in_the_same_text() {
    assert_eq!(check("a b", &[one("a", "b"), one("b", "a")]), "b a");
    assert_eq!(check("ab", &[one("a", "x"), one("b", "y")]), "xy");
    assert_eq!(check("a b a", &[all("a", "aa"), one("b", "c")]), "aa c aa");
}

#[test]
fn every_occurrence_goes_from_left_to_right() {
    assert_eq!(check("aaaaa", &[all("aa", "b")]), "bba");
}

#[test]
fn a_text_in_several_places_is_answered_with_the_lines() {
    insta::assert_snapshot!(
        check("x = 1\ny\nx = 1\n", &[one("x = 1", "x = 2")]),
        @r#"edit 1: the old text is there 2 times, at lines 1, 3; add lines around it until it is unique, say with "line" which one, or set "all""#
    );
    insta::assert_snapshot!(
        check(&"x\n".repeat(20), &[one("x", "y")]),
        @r#"edit 1: the old text is there 20 times, at lines 1, 2, 3, 4, 5, 6, 7, 8, …; add lines around it until it is unique, say with "line" which one, or set "all""#
    );
    insta::assert_snapshot!(
        check("aaa", &[one("aa", "b")]),
        @r#"edit 1: the old text is there 2 times, at lines 1; add lines around it until it is unique, say with "line" which one, or set "all""#
    );
}

#[test]
fn a_missing_text_is_answered_with_the_nearest_place() {
    let base = "use a;\n\nfn main() {\n    let x = 1;\n    let y = x + 1;\n    print(y);\n}\n";
    insta::assert_snapshot!(
        check(base, &[one("fn main() {\n    let x = 1;\n    let y = x + 2;\n    print(y);\n", "")]),
        @r"
    edit 1: the old text is not in the file; the nearest place, lines 3 to 6, differs:
        4 |     let x = 1;
        5 |     let y = x + 1;
      old |     let y = x + 2;
        6 |     print(y);
    "
    );
    insta::assert_snapshot!(
        check(base, &[one("use a;", "use b;"), one("let y = x - 1;", "")]),
        @r"
    edit 2: the old text is not in the file; the nearest place, line 5, differs:
        5 |     let y = x + 1;
      old | let y = x - 1;
    "
    );
    insta::assert_snapshot!(
        check(base, &[one("\tlet x = 1;\n  let y = x + 1;\n", "")]),
        @r"
    edit 1: the old text is not in the file; the nearest place, lines 4 to 5, differs only in indentation:
        4 |     let x = 1;
        5 |     let y = x + 1;
      old | →let x = 1;
      old |   let y = x + 1;
    "
    );
}

#[test]
fn a_text_like_nothing_in_the_file_has_no_nearest_place() {
    insta::assert_snapshot!(check("fn main() {\n}\n", &[one("quux", "")]), @"edit 1: the old text is not in the file");
    insta::assert_snapshot!(check("", &[one("quux", "")]), @"edit 1: the old text is not in the file");
}

#[test]
fn much_that_differs_is_cut() {
    let base: String = (0..40).map(|n| format!("line number {n} {}\n", "-".repeat(n * 50))).collect();
    let old: String = (0..40).map(|n| format!("line numbre {n} {}\n", "-".repeat(n * 50))).collect();
    let answer = check(&base, &[one(&old, "")]);
    assert!(answer.lines().count() <= 10, "{answer}");
    assert!(answer.lines().all(|line| line.chars().count() < 180), "{answer}");
}

#[test]
fn empty_same_and_overlapping_texts_are_refused() {
    insta::assert_snapshot!(
        check("a", &[one("", "b")]),
        @r#"edit 1: "old" is empty; give the text to replace, or use write for a new file"#
    );
    insta::assert_snapshot!(
        check("a\n", &[one("a\r\n", "a\n")]),
        @"edit 1: the old text and the new one are the same, so nothing would change"
    );
    insta::assert_snapshot!(
        check("one two three", &[one("two three", ""), one("one two", "")]),
        @"edit 1 and edit 2 overlap; make them one"
    );
}
