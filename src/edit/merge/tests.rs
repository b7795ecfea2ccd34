use super::*;
use crate::text::Snapshot;

/// What comes out when the edit from `base` to `wanted` meets a buffer that reads `typed` now.
fn check(base: &str, wanted: &str, typed: &str) -> String {
    let base = Snapshot::detached(base, "text");
    let now = Rope::from_str(typed);
    match Patch::between(&base, wanted).onto(base.rope(), None, &now) {
        Ok(patch) => patch.apply(&now).to_string(),
        Err(clash) => clash.to_string(),
    }
}

#[test]
fn a_comment_typed_on_the_line_that_is_edited_stays() {
    assert_eq!(
        check("x\nlet a = one(1);\ny\n", "x\nlet a = two(1);\ny\n", "x\nlet a = one(1); // mine\ny\n"),
        "x\nlet a = two(1); // mine\ny\n"
    );
    assert_eq!(check("foo(a, b)\n", "foo(x, b)\n", "foo(a, y)\n"), "foo(x, y)\n");
}

#[test]
fn what_touches_the_same_word_or_the_word_beside_it_is_a_clash() {
    let clash = "line 1 was changed meanwhile";
    assert_eq!(check("foo(a)\n", "bar(a)\n", "foo2(a)\n"), clash);
    assert_eq!(check("value(a)\n", "Value(a)\n", "values(a)\n"), clash);
    assert_eq!(check("quick brown fox\n", "slow brown fox\n", "quick red fox\n"), clash);
    assert_eq!(check("foo(a)\n", "foo()\n", "foo(a, b)\n"), clash);
}

#[test]
fn the_same_change_by_hand_is_made_once() {
    assert_eq!(check("a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n"), "a\nB\nc\n");
    assert_eq!(check("a\nb\nc\nd\n", "a\nB\nc\nD\n", "0\na\nB\nc\nd\n"), "0\na\nB\nc\nD\n");
}

#[test]
fn one_clash_keeps_all_of_the_edit_out() {
    assert_eq!(check("a\nb\nc\nd\n", "A\nb\nC\nd\n", "a\nb\nc!\nd\n"), "line 3 was changed meanwhile");
}

/// The difference alone would say that the first of the two lines was typed.
#[test]
fn the_steps_tell_lines_apart_that_read_the_same() {
    let base = Snapshot::detached("x\nend\n", "text");
    let patch = Patch::between(&base, "X\nend\n");
    let now = Rope::from_str("x\nx\nend\n");
    let moved = |start| {
        let steps = [Delta { start, old_len: 0, new_len: 2 }];
        patch.onto(base.rope(), Some(&steps), &now).map(|patch| patch.apply(&now).to_string())
    };
    assert_eq!(moved(0).as_deref(), Ok("x\nX\nend\n"));
    assert_eq!(moved(2).as_deref(), Ok("X\nx\nend\n"));
}

#[test]
fn a_whole_text_that_was_reported_for_one_word_is_no_clash() {
    let base = Snapshot::detached("one\ntwo\nthree\nfour\n", "text");
    let now = Rope::from_str("1\ntwo\nthree\n4\n");
    let steps = [Delta { start: 0, old_len: 18, new_len: 13 }];
    let moved = Patch::between(&base, "one\n2\nthree\nfour\n").onto(base.rope(), Some(&steps), &now);
    assert_eq!(moved.map(|patch| patch.apply(&now).to_string()).as_deref(), Ok("1\n2\nthree\n4\n"));
}
