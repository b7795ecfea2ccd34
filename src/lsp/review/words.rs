//! Proposals in a few words.

use ropey::Rope;

use super::size;
use crate::session::{Operation, ReviewFile, ReviewHunk};
use crate::text::Encoding;

/// Characters that are shown of each side of a change.
const SHOWN: usize = 40;

/// The text that a document holds now, where it is open.
pub(super) type Now = Option<(Rope, Encoding)>;

/// What a hunk would do: `` `old` -> `new` ``, one line. Words are shown whole where the text is at hand.
pub(super) fn change(file: &ReviewFile, hunk: &ReviewHunk, now: &Now) -> String {
    let (before, after) = now.as_ref().map_or_else(Default::default, |(rope, encoding)| around(rope, *encoding, hunk));
    let whole = |text: &str| format!("{before}{text}{after}");
    let (old, new) = (&whole(&hunk.old_text)[..], &whole(&hunk.new_text)[..]);
    match (&file.operation, old.is_empty(), new.is_empty()) {
        // A change of the name has no texts.
        (Operation::Rename { to }, true, true) => format!("rename to {}", clean(&to.to_string())),
        (Operation::Create, ..) => format!("make this file ({})", lines(new)),
        (Operation::Delete, ..) => "delete this file".into(),
        (_, true, _) => format!("add {}", short(new)),
        (_, _, true) => format!("remove {}", short(old)),
        _ => format!("{} -> {}", short(old), short(new)),
    }
}

/// What a person should hear when a run leaves something behind to decide on; `how` says how they do that.
pub(in crate::lsp) fn waits(files: &[ReviewFile], how: &str) -> Option<String> {
    let (hunks, documents) = size(files);
    let (those, verb) = if hunks == 1 { ("it", "waits") } else { ("them", "wait") };
    let count = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    (hunks > 0).then(|| {
        let (hunks, documents) = (count(hunks, "change"), count(documents, "file"));
        format!("{hunks} in {documents} {verb} for you: accept or reject {those} with {how}")
    })
}

/// The rest of the words that a hunk begins and ends within.
fn around(rope: &Rope, encoding: Encoding, hunk: &ReviewHunk) -> (String, String) {
    let range = encoding.range(rope, hunk.range);
    // Another text than the one that the hunk belongs to says nothing about it.
    if range.end > rope.len_bytes() || rope.byte_slice(range.clone()) != hunk.old_text.as_str() {
        return Default::default();
    }
    let in_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let first = |text: &str| text.chars().next().is_some_and(|c| in_word(&c));
    let last = |text: &str| text.chars().next_back().is_some_and(|c| in_word(&c));
    let (mut before, mut after) = (String::new(), String::new());
    if first(&hunk.old_text) || first(&hunk.new_text) {
        let back = rope.chars_at(rope.byte_to_char(range.start)).reversed();
        before = back.take_while(in_word).take(SHOWN).collect::<Vec<_>>().into_iter().rev().collect();
    }
    if last(&hunk.old_text) || last(&hunk.new_text) {
        after = rope.chars_at(rope.byte_to_char(range.end)).take_while(in_word).take(SHOWN).collect();
    }
    (before, after)
}

/// The first line that says something, in backquotes, and how many more there are.
fn short(text: &str) -> String {
    let Some(first) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return "white space".into() };
    let first = clean(first);
    let cut = match first.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &first[..end]),
        None => format!("`{first}`"),
    };
    if text.trim_end().lines().count() > 1 { format!("{cut} ({})", lines(text)) } else { cut }
}

fn lines(text: &str) -> String {
    match text.lines().count() {
        1 => "1 line".into(),
        count => format!("{count} lines"),
    }
}

/// Without what would make a line look like another one: control characters, invisible ones, and those that turn its direction.
fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => '\u{fffd}',
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::editor::Place;
    use crate::protocol::{Range, RunId, SessionId};
    use crate::session::ReviewState;

    fn file(operation: Operation, hunks: &[(&str, &str)]) -> ReviewFile {
        let hunk = |(old, new): &(&str, &str)| ReviewHunk {
            id: "p1".into(),
            state: ReviewState::Proposed,
            range: Range::default(),
            old_text: (*old).into(),
            new_text: (*new).into(),
        };
        ReviewFile {
            run: RunId::new(),
            session: SessionId::new(),
            place: place("a.rs"),
            uri: "file:///w/a.rs".into(),
            operation,
            hunks: hunks.iter().map(hunk).collect(),
        }
    }

    fn place(shown: &str) -> Place {
        Place::File { path: PathBuf::from("/w").join(shown), shown: shown.into() }
    }

    fn check(operation: Operation, old: &str, new: &str, expected: &str) {
        let file = file(operation, &[(old, new)]);
        assert_eq!(change(&file, &file.hunks[0], &None), expected);
    }

    fn check_in(text: &str, part: &str, new: &str, expected: &str) {
        let (rope, encoding) = (Rope::from_str(text), Encoding::Utf16);
        let start = text.find(part).expect("a part of the text");
        let mut file = file(Operation::Edit, &[(part, new)]);
        let place = |offset| encoding.position(&rope, offset);
        file.hunks[0].range = Range { start: place(start), end: place(start + part.len()) };
        assert_eq!(change(&file, &file.hunks[0], &Some((rope, encoding))), expected);
    }

    #[test]
    fn words_are_shown_whole() {
        check_in("fn fünf() {}", "ünf", "ive", "`fünf` -> `five`");
        check_in("a_five_b + c", "five", "x", "`a_five_b` -> `a_x_b`");
        check_in("a (five) b", "(five)", "[5]", "`(five)` -> `[5]`");
        check_in("a five b", "five ", "", "remove `five`");
        check_in("fn three", "three", "", "remove `three`");
    }

    #[test]
    fn a_change_is_one_short_line() {
        check(Operation::Edit, "one", "eins", "`one` -> `eins`");
        check(Operation::Edit, "", "fn a() {}\n", "add `fn a() {}`");
        check(Operation::Edit, "a\n\n  b\n", "", "remove `a` (3 lines)");
        check(Operation::Edit, "\n\n", "x", "white space -> `x`");
        check(Operation::Edit, &"ä".repeat(50), "x", &format!("`{}…` -> `x`", "ä".repeat(40)));
        check(Operation::Create, "", "one\ntwo\n", "make this file (2 lines)");
        check(Operation::Delete, "one\n", "", "delete this file");
        check(Operation::Rename { to: place("b.rs") }, "", "", "rename to b.rs");
        check(Operation::Rename { to: place("b.rs") }, "one", "two", "`one` -> `two`");
    }

    #[test]
    fn nothing_in_a_text_can_make_it_look_like_another() {
        check(Operation::Edit, "a\u{202e}b", "x\u{1b}[31m\ty", "`a\u{fffd}b` -> `x [31m y`");
        check(Operation::Edit, "a\u{200b}", "\u{e0041}", "`a\u{fffd}` -> `\u{fffd}`");
    }

    #[test]
    fn what_waits_is_counted_in_a_sentence() {
        let one = file(Operation::Edit, &[("a", "b")]);
        let two = file(Operation::Edit, &[("a", "b"), ("c", "d")]);
        assert_eq!(
            waits(std::slice::from_ref(&one), "a key").as_deref(),
            Some("1 change in 1 file waits for you: accept or reject it with a key")
        );
        assert_eq!(
            waits(&[one, two], "a key").as_deref(),
            Some("3 changes in 2 files wait for you: accept or reject them with a key")
        );
        assert_eq!(waits(&[], "a key"), None);
    }
}
