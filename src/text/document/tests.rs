use proptest::prelude::*;

use super::*;
use crate::protocol::Position;
use crate::text::cases::campaign;

fn at(line: u32, character: u32) -> Position {
    Position { line, character }
}

fn part(start: Position, end: Position, text: &str) -> ContentChange {
    ContentChange { range: Some(Range { start, end }), text: text.into() }
}

fn whole(text: &str) -> ContentChange {
    ContentChange { range: None, text: text.into() }
}

/// The text after one notification, and its deltas.
fn check(before: &str, changes: &[ContentChange], after: &str) -> Vec<Delta> {
    let mut document = Document::open("text", 1, before);
    let mut deltas = Vec::new();
    document.change(2, changes, Encoding::Utf16, |delta, _| deltas.push(delta));
    assert_eq!(document.snapshot().rope().to_string(), after);
    assert_eq!(document.snapshot().version(), 2);
    assert_eq!(document.snapshot().revision(), deltas.len() as u64);
    assert_eq!(document.deltas_since(0).as_ref(), Some(&deltas));
    deltas
}

#[test]
fn changes_of_one_notification_build_on_each_other() {
    let changes = [part(at(0, 0), at(0, 0), "one\n"), part(at(1, 0), at(1, 1), "T")];
    let deltas = check("two", &changes, "one\nTwo");
    assert_eq!(deltas, [Delta { start: 0, old_len: 0, new_len: 4 }, Delta { start: 4, old_len: 1, new_len: 1 }]);
}

#[test]
fn a_range_that_ends_before_it_begins_is_an_insertion_at_its_start() {
    check("one two", &[part(at(0, 4), at(0, 1), "x")], "one xtwo");
}

#[test]
fn a_whole_text_is_taken_as_the_part_that_differs() {
    let deltas = check("one\r\ntwo\r\nthree", &[whole("one\r\n2\r\nthree")], "one\r\n2\r\nthree");
    assert_eq!(deltas, [Delta { start: 5, old_len: 3, new_len: 1 }]);
    assert_eq!(check("same", &[whole("same")], "same"), []);
    assert_eq!(check("😀", &[whole("😁")], "😁"), [Delta { start: 0, old_len: 4, new_len: 4 }]);
}

#[test]
fn a_range_that_is_put_back_is_not_a_change() {
    let deltas = check("one two", &[part(at(0, 0), at(0, 7), "one Two")], "one Two");
    assert_eq!(deltas, [Delta { start: 4, old_len: 1, new_len: 1 }]);
    assert_eq!(check("one", &[part(at(0, 0), at(0, 3), "one")], "one"), []);
}

#[test]
fn breaks_can_be_cut_and_made_in_the_middle() {
    check("a\r\nb", &[part(at(1, 0), at(1, 0), "\n")], "a\r\n\nb");
    check("a\rb\nc", &[part(at(1, 0), at(1, 1), ""), part(at(0, 1), at(0, 1), "!")], "a!\r\nc");
}

#[test]
fn each_snapshot_is_the_text_after_its_delta() {
    let mut document = Document::open("text", 1, "");
    let mut texts = Vec::new();
    let changes = [whole("a"), whole("ab"), whole("ab"), whole("")];
    document.change(7, &changes, Encoding::Utf8, |_, now| {
        texts.push((now.rope().to_string(), now.revision(), now.version()));
    });
    assert_eq!(texts, [("a".into(), 1, 7), ("ab".into(), 2, 7), (String::new(), 3, 7)]);
}

#[test]
fn an_opened_text_keeps_its_byte_order_mark_because_the_client_counts_it() {
    let document = Document::open("text", 1, "\u{feff}a");
    assert!(!document.snapshot().bom());
    assert_eq!(document.snapshot().rope().to_string(), "\u{feff}a");
}

/// The same on a list of characters, as simply as it can be said.
struct Oracle(Vec<char>);

impl Oracle {
    fn change(&mut self, change: &ContentChange, encoding: Encoding) {
        let text = change.text.chars();
        match change.range {
            None => self.0 = text.collect(),
            Some(range) => {
                let start = self.index(range.start, encoding);
                let end = self.index(range.end, encoding).max(start);
                self.0.splice(start..end, text);
            }
        }
    }

    fn index(&self, position: Position, encoding: Encoding) -> usize {
        let mut index = 0;
        for _ in 0..position.line {
            match self.0[index..].iter().position(|&c| c == '\n' || c == '\r') {
                None => return self.0.len(),
                Some(there) => {
                    index += there + 1;
                    if self.0[index - 1] == '\r' && self.0.get(index) == Some(&'\n') {
                        index += 1;
                    }
                }
            }
        }
        let mut units = 0;
        while let Some(&c) = self.0.get(index) {
            units += match encoding {
                Encoding::Utf8 => c.len_utf8(),
                Encoding::Utf16 => c.len_utf16(),
                Encoding::Utf32 => 1,
            };
            if c == '\n' || c == '\r' || units > position.character as usize {
                break;
            }
            index += 1;
        }
        index
    }
}

fn text() -> impl Strategy<Value = String> {
    let piece =
        prop::sample::select(vec!["a", "b", "é", "√", "😀", "e\u{301}", "\u{2028}", "\n", "\r", "\r\n", "ab c"]);
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn position() -> impl Strategy<Value = Position> {
    let line = prop_oneof![20 => 0..8_u32, 5 => 0..600_u32, 1 => Just(u32::MAX)];
    let character = prop_oneof![20 => 0..10_u32, 1 => Just(u32::MAX)];
    (line, character).prop_map(|(line, character)| Position { line, character })
}

fn change() -> impl Strategy<Value = ContentChange> {
    let near = (position(), 0..3_u32, 0..4_u32, text()).prop_map(|(start, lines, characters, text)| {
        let end = at(start.line.saturating_add(lines), start.character.saturating_add(characters));
        part(start, end, &text)
    });
    prop_oneof![
        10 => near,
        4 => (position(), position(), text()).prop_map(|(start, end, text)| part(start, end, &text)),
        1 => prop::collection::vec(text(), 0..8).prop_map(|texts| whole(&texts.concat())),
    ]
}

proptest! {
    #![proptest_config(campaign(10_000))]

    #[test]
    fn campaign_changes(
        before in prop::collection::vec(text(), 0..20),
        changes in prop::collection::vec(change(), 50),
        // Now and then a text that spans several nodes of the rope.
        times in prop_oneof![9 => Just(1), 1 => Just(60_usize)],
        cuts in prop::collection::vec(1..5_usize, 50),
        encoding in prop::sample::select(vec![Encoding::Utf8, Encoding::Utf16, Encoding::Utf32]),
    ) {
        let before = before.concat().repeat(times);
        let mut document = Document::open("text", 0, &before);
        let mut oracle = Oracle(before.chars().collect());
        let mut bytes = before.clone().into_bytes();
        let mut rest = &changes[..];
        for (version, cut) in cuts.into_iter().enumerate() {
            let (message, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            document.change(version as i32, message, encoding, |delta, now| {
                let now = now.rope().to_string();
                bytes.splice(delta.start..delta.old_end(), now.as_bytes()[delta.start..delta.new_end()].iter().copied());
                assert_eq!(String::from_utf8_lossy(&bytes), now, "the delta is what differs");
            });
            for change in message {
                oracle.change(change, encoding);
            }
            let now = document.snapshot().rope();
            prop_assert_eq!(now.to_string(), oracle.0.iter().collect::<String>());
            prop_assert_eq!(now, &Rope::from_str(&now.to_string()));
            let wanted = at(version as u32 % 7, version as u32 % 9);
            let offset = encoding.offset(now, wanted);
            let expected: usize = oracle.0[..oracle.index(wanted, encoding)].iter().map(|c| c.len_utf8()).sum();
            prop_assert_eq!(offset, expected);
            prop_assert_eq!(encoding.offset(now, encoding.position(now, offset)), offset, "positions come back");
        }
        let deltas = document.deltas_since(0).expect("few changes are all kept");
        prop_assert_eq!(deltas.len() as u64, document.snapshot().revision());
    }
}
