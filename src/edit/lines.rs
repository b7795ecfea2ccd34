//! Which parts of two strings differ: by lines first, then by characters inside the lines that changed.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::text::{ceil_char, common_prefix_of, common_suffix_of, floor_char};

/// Runs of changed lines that are longer, in bytes on both sides together, are not compared by characters.
const LONG_RUN: usize = 2 * 1024;

/// A part of the old text and what stands there in the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// The parts that differ, in order, something unchanged between each two. No CRLF and, as far as a look at the next
/// character tells, no grapheme is cut.
pub(super) fn changes(old: &str, new: &str) -> Vec<Change> {
    let mut out = Vec::new();
    runs(old, new).into_iter().for_each(|run| refine(old, new, run, &mut out));
    out
}

/// How many bytes have to go and to come, at least, to make one text of the other: what lines have in common counts, and
/// in runs of changed lines, if they are not long, every character.
pub(super) fn distance(old: &str, new: &str) -> usize {
    let of_run = |run: Change| {
        let rest = trimmed(old, new, &run);
        let (old, new) = (&old[rest.old], &new[rest.new]);
        if old.is_empty() || new.is_empty() || old.len() + new.len() > LONG_RUN {
            return old.len() + new.len();
        }
        let (old_chars, new_chars): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        let bytes = |chars: &[char]| chars.iter().map(|char| char.len_utf8()).sum::<usize>();
        let ops = capture_diff_slices(Algorithm::Myers, &old_chars, &new_chars);
        let differing = ops.into_iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
        differing.map(|op| bytes(&old_chars[op.old_range()]) + bytes(&new_chars[op.new_range()])).sum()
    };
    runs(old, new).into_iter().map(of_run).sum()
}

/// Runs of lines that differ.
fn runs(old: &str, new: &str) -> Vec<Change> {
    let (prefix, suffix) = cut_ends(old, new, 0..old.len(), 0..new.len());
    if prefix == old.len() && prefix == new.len() {
        return Vec::new();
    }
    // Only what lies between is compared by lines, so that a small change of a large text costs little.
    let before = line_start(old, prefix);
    let behind = old.len() - line_end(old, old.len() - suffix);
    let middle = Change { old: before..old.len() - behind, new: before..new.len() - behind };
    let old_lines: Vec<&str> = split(&old[middle.old.clone()]).collect();
    let new_lines: Vec<&str> = split(&new[middle.new.clone()]).collect();
    let ops = capture_diff_slices(Algorithm::Myers, &old_lines, &new_lines);

    let mut out = Vec::new();
    let (mut old_at, mut new_at) = (middle.old.start, middle.new.start);
    for op in ops {
        let (old_run, new_run) = (&old_lines[op.old_range()], &new_lines[op.new_range()]);
        let old_end = old_at + bytes(old_run);
        let new_end = new_at + bytes(new_run);
        if !matches!(op, DiffOp::Equal { .. }) {
            out.push(Change { old: old_at..old_end, new: new_at..new_end });
        }
        (old_at, new_at) = (old_end, new_end);
    }
    out
}

/// The lines of a text, each with its break (LF, CR or CRLF).
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (line, later) = rest.split_at(line_end_from(rest, 0));
        rest = later;
        (!line.is_empty()).then_some(line)
    })
}

/// The same change without the characters that both sides share at its ends.
pub(super) fn trimmed(old: &str, new: &str, change: &Change) -> Change {
    let (prefix, suffix) = cut_ends(old, new, change.old.clone(), change.new.clone());
    Change {
        old: change.old.start + prefix..change.old.end - suffix,
        new: change.new.start + prefix..change.new.end - suffix,
    }
}

/// Changed lines that stand for one another are compared each with its own, so that the breaks between them stay; other
/// runs are one part.
fn refine(old: &str, new: &str, run: Change, out: &mut Vec<Change>) {
    let pairs = pairs(old, new, &run);
    let alike = |pair: &Change| {
        let rest = trimmed(old, new, pair);
        let longer = pair.old.len().max(pair.new.len());
        2 * rest.old.len().max(rest.new.len()) <= longer
    };
    if pairs.len() > 1 && pairs.iter().all(alike) {
        let differing = pairs.iter().filter(|pair| old[pair.old.clone()] != new[pair.new.clone()]);
        differing.for_each(|pair| add(out, trimmed(old, new, pair)));
    } else {
        add(out, trimmed(old, new, &run));
    }
}

/// Lines of which only the breaks differ touch; such parts become one.
fn add(out: &mut Vec<Change>, change: Change) {
    match out.last_mut() {
        Some(last) if last.old.end == change.old.start => {
            last.old.end = change.old.end;
            last.new.end = change.new.end;
        }
        _ => out.push(change),
    }
}

/// Line by line what a run holds, or nothing when the two sides have different numbers of lines.
fn pairs(old: &str, new: &str, run: &Change) -> Vec<Change> {
    let old_lines: Vec<&str> = split(&old[run.old.clone()]).collect();
    let new_lines: Vec<&str> = split(&new[run.new.clone()]).collect();
    if old_lines.len() != new_lines.len() {
        return Vec::new();
    }
    let (mut old_at, mut new_at) = (run.old.start, run.new.start);
    let pair = |(a, b): (&str, &str)| {
        let pair = Change { old: old_at..old_at + a.len(), new: new_at..new_at + b.len() };
        (old_at, new_at) = (pair.old.end, pair.new.end);
        pair
    };
    old_lines.into_iter().zip(new_lines).map(pair).collect()
}

fn bytes(lines: &[&str]) -> usize {
    lines.iter().map(|line| line.len()).sum()
}

/// How much two parts share at the beginning and, of the rest, at the end.
fn cut_ends(old: &str, new: &str, a: Range<usize>, b: Range<usize>) -> (usize, usize) {
    let mut prefix = common_prefix_of(&old[a.clone()], &new[b.clone()]);
    while prefix > 0 && !(can_cut(old, a.start + prefix) && can_cut(new, b.start + prefix)) {
        prefix = floor_char(&old[a.clone()], prefix - 1);
    }
    let (x, y) = (&old[a.start + prefix..a.end], &new[b.start + prefix..b.end]);
    let mut suffix = common_suffix_of(x, y);
    while suffix > 0 && !(can_cut(old, a.end - suffix) && can_cut(new, b.end - suffix)) {
        suffix = x.len() - ceil_char(x, x.len() - suffix + 1);
    }
    (prefix, suffix)
}

/// Whether the characters before and after a place are shown apart.
fn can_cut(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at(at);
    match (before.chars().next_back(), after.chars().next()) {
        (Some(previous), Some(next)) => !joined(previous, next),
        _ => true,
    }
}

/// The common cases of Unicode's grapheme rules. A cut that they miss looks odd in a diff and does no harm.
fn joined(previous: char, next: char) -> bool {
    const ZERO_WIDTH_JOINER: char = '\u{200d}';
    let regional = |c| matches!(c, '\u{1f1e6}'..='\u{1f1ff}');
    let extends = matches!(
        next,
        '\u{300}'..='\u{36f}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | ZERO_WIDTH_JOINER
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fe20}'..='\u{fe2f}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0100}'..='\u{e01ef}'
    );
    extends || previous == ZERO_WIDTH_JOINER || (previous, next) == ('\r', '\n') || regional(previous) && regional(next)
}

fn line_start(text: &str, at: usize) -> usize {
    memchr::memrchr2(b'\n', b'\r', &text.as_bytes()[..at]).map_or(0, |there| there + 1)
}

/// The end of the line that holds a place, behind its break; the place itself when a line begins there.
fn line_end(text: &str, at: usize) -> usize {
    if at == line_start(text, at) { at } else { line_end_from(text, at) }
}

fn line_end_from(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    match memchr::memchr2(b'\n', b'\r', &bytes[at..]) {
        None => text.len(),
        Some(there) if bytes[at + there..].starts_with(b"\r\n") => at + there + 2,
        Some(there) => at + there + 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cases::campaign;

    /// The old text with each change shown as `[old|new]`.
    fn shown(old: &str, new: &str) -> String {
        let mut out = String::new();
        let mut at = 0;
        for change in changes(old, new) {
            out += &format!("{}[{}|{}]", &old[at..change.old.start], &old[change.old.clone()], &new[change.new]);
            at = change.old.end;
        }
        out + &old[at..]
    }

    #[test]
    fn a_changed_word_is_all_that_changes() {
        assert_eq!(shown("let a = 1;\nlet b = 2;\n", "let a = 1;\nlet c = 2;\n"), "let a = 1;\nlet [b|c] = 2;\n");
        assert_eq!(shown("same", "same"), "same");
    }

    #[test]
    fn neighbouring_lines_keep_the_break_between_them() {
        assert_eq!(
            shown("x\nfoo(a, 1)\r\nfoo(b, 2)\ny\n", "x\nfoo(a, 3)\r\nfoo(b, 4)\ny\n"),
            "x\nfoo(a, [1|3])\r\nfoo(b, [2|4])\ny\n"
        );
    }

    #[test]
    fn unlike_lines_change_as_one_block() {
        assert_eq!(shown("a\nold one\nold two\nz", "a\nfn f() {\n}\nz"), "a\n[old one\nold two|fn f() {\n}]\nz");
    }

    #[test]
    fn added_lines_are_whole_lines() {
        assert_eq!(shown("a\nb\nc\n", "a\nb\nnew\nc\n"), "a\nb\n[|new\n]c\n");
        assert_eq!(
            shown("fn a() {}\n\nfn c() {}\n", "fn a() {}\n\nfn b() {}\n\nfn c() {}\n"),
            "fn a() {}\n\n[|fn b() {}\n\n]fn c() {}\n"
        );
        assert_eq!(shown("a\nb\n", "a\n"), "a\n[b\n|]");
    }

    #[test]
    fn breaks_and_graphemes_are_not_cut() {
        assert_eq!(shown("a\r\nb", "a\nb"), "a[\r\n|\n]b");
        assert_eq!(shown("e", "e\u{301}"), "[e|e\u{301}]");
        assert_eq!(shown("👍🏻.", "👍🏽."), "[👍🏻|👍🏽].");
        assert_eq!(shown("🇩🇪", "🇩🇰"), "[🇩🇪|🇩🇰]");
    }

    proptest! {
        #![proptest_config(campaign(20_000))]

        #[test]
        fn the_changes_make_the_new_text(old in "[ab\r\n😀\u{301}]{0,20}", new in "[ab\r\n😀\u{301}]{0,20}") {
            let mut out = String::new();
            let mut at = 0;
            for (index, change) in changes(&old, &new).into_iter().enumerate() {
                prop_assert!(index == 0 || at < change.old.start, "something stays between two changes");
                prop_assert!(old[change.old.clone()] != new[change.new.clone()]);
                out += &old[at..change.old.start];
                prop_assert_eq!(out.len(), change.new.start);
                out += &new[change.new];
                at = change.old.end;
            }
            prop_assert_eq!(out + &old[at..], new);
        }
    }
}
