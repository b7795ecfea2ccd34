use proptest::prelude::*;

use super::*;
use crate::edit::new_ranges;
use crate::protocol::Range as Lines;
use crate::text::{ContentChange, Document, Snapshot, cases::campaign, common_ends};

/// How an editor tells that it made an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Each part as it was sent, from the end.
    Descending,
    /// Each part as it was sent, from the beginning.
    Ascending,
    /// Each part compared with the text again, which moves it up among equal characters.
    Slid,
    /// The whole text.
    Whole,
    /// One range from the first to the last part.
    OneRange,
}

const STYLES: [Style; 5] = [Style::Descending, Style::Ascending, Style::Slid, Style::Whole, Style::OneRange];

/// A buffer and everything that its editor reported.
struct Buffer {
    document: Document,
    reported: Vec<(Delta, Rope)>,
}

impl Buffer {
    fn new(text: &str) -> Self {
        Self { document: Document::open("text", 1, text), reported: Vec::new() }
    }

    fn rope(&self) -> Rope {
        self.document.snapshot().rope().clone()
    }

    fn text(&self) -> String {
        self.rope().to_string()
    }

    fn put(&mut self, range: Option<Range<usize>>, text: &str) {
        let rope = self.rope();
        let at = |offset| Encoding::Utf16.position(&rope, offset);
        let range = range.map(|range| Lines { start: at(range.start), end: at(range.end) });
        let change = ContentChange { range, text: text.into() };
        let reported = &mut self.reported;
        self.document.change(2, &[change], Encoding::Utf16, |delta, now| reported.push((delta, now.rope().clone())));
    }

    fn apply(&mut self, hunks: &[Hunk], style: Style) {
        let before = self.rope();
        let after = Patch::joined(hunks.to_vec()).apply(&before);
        match style {
            Style::Descending => hunks.iter().rev().for_each(|hunk| self.put(Some(hunk.range.clone()), &hunk.new)),
            Style::Ascending => {
                for (hunk, new) in hunks.iter().zip(new_ranges(hunks)) {
                    self.put(Some(new.start..new.start + hunk.range.len()), &hunk.new);
                }
            }
            Style::Slid => {
                for hunk in hunks.iter().rev() {
                    let (range, new) = slid(&self.text(), hunk);
                    self.put(Some(range), &new);
                }
            }
            Style::Whole => self.put(None, &after.to_string()),
            Style::OneRange => {
                let (mut prefix, mut suffix) = common_ends(before.slice(..), after.slice(..));
                let text = before.to_string();
                prefix -= usize::from(in_break(&text, prefix));
                suffix -= usize::from(in_break(&text, text.len() - suffix));
                let new = after.byte_slice(prefix..after.len_bytes() - suffix).to_string();
                self.put(Some(prefix..before.len_bytes() - suffix), &new);
            }
        }
        assert_eq!(self.rope(), after);
    }
}

/// The same insertion or deletion as far up as it can be said; positions cannot say "inside a CRLF".
fn slid(text: &str, hunk: &Hunk) -> (Range<usize>, String) {
    let (mut range, mut new) = (hunk.range.clone(), hunk.new.clone());
    let mut sayable = (range.clone(), new.clone());
    while let Some(before) = text[..range.start].chars().next_back() {
        let width = before.len_utf8();
        if range.is_empty() && new.ends_with(before) {
            new.truncate(new.len() - width);
            new.insert(0, before);
        } else if !(new.is_empty() && text[range.clone()].ends_with(before)) {
            break;
        }
        range = range.start - width..range.end - width;
        if !in_break(text, range.start) && !in_break(text, range.end) {
            sayable = (range.clone(), new.clone());
        }
    }
    sayable
}

fn in_break(text: &str, at: usize) -> bool {
    text[..at].ends_with('\r') && text[at..].starts_with('\n')
}

fn between(base: &str, wanted: &str) -> Patch {
    Patch::between(&Snapshot::detached(base, "text"), wanted)
}

fn landing(patch: &Patch, base: &str, buffer: &Buffer) -> Landing {
    let base = Rope::from_str(base);
    let whole = landed(patch, &base, &buffer.reported, 0, Encoding::Utf16);
    // Looking at each change as it comes misses nothing.
    let look = |come: usize| landed(patch, &base, &buffer.reported[..come], come - 1, Encoding::Utf16);
    let found = (1..=buffer.reported.len()).any(|come| look(come) != Landing::Absent);
    assert_eq!(found, whole != Landing::Absent, "step by step and at once");
    whole
}

const BASE: &str = "one\ntwo\ntwo\nthree\n";
const WANTED: &str = "ONE\ntwo\ntwo\ntwo\nthree\nfour\n";

#[test]
fn an_edit_is_seen_however_the_editor_words_it() {
    for style in STYLES {
        let patch = between(BASE, WANTED);
        let mut buffer = Buffer::new(BASE);
        assert_eq!(landing(&patch, BASE, &buffer), Landing::Absent);
        buffer.apply(patch.hunks(), style);
        let ranges = patch.new_ranges().into_iter().map(Some).collect();
        let seen = Seen { text: buffer.rope(), back: patch.inverse(&Rope::from_str(BASE)) };
        assert_eq!(landing(&patch, BASE, &buffer), Landing::Right { seen, ranges, rebased: false }, "{style:?}");
    }
}

#[test]
fn an_edit_is_seen_between_what_is_typed() {
    for style in STYLES {
        let patch = between(BASE, "one\ntwo\ntwo\n3\n");
        let mut buffer = Buffer::new(BASE);
        buffer.put(Some(0..0), "zero\n");
        assert_eq!(landing(&patch, BASE, &buffer), Landing::Absent);
        let moved = patch.rebase(&Rope::from_str(BASE), &[buffer.reported[0].0], &buffer.rope()).expect("other lines");
        let typed = buffer.rope();
        buffer.apply(moved.hunks(), style);
        let seen = Seen { text: buffer.rope(), back: moved.inverse(&typed) };
        buffer.put(Some(4..4), "!");
        assert_eq!(buffer.text(), "zero!\none\ntwo\ntwo\n3\n");
        let found = landing(&patch, BASE, &buffer);
        assert_eq!(found, Landing::Right { seen, ranges: vec![Some(18..19)], rebased: true }, "{style:?}");
    }
}

#[test]
fn a_part_that_was_typed_over_has_no_place() {
    let patch = between("a\nb\nc\n", "a\nBBB\nc\nd\n");
    let mut buffer = Buffer::new("a\nb\nc\n");
    buffer.apply(patch.hunks(), Style::Descending);
    buffer.put(Some(3..4), "");
    let Landing::Right { ranges, rebased: false, .. } = landing(&patch, "a\nb\nc\n", &buffer) else {
        panic!("the edit is there");
    };
    assert_eq!(ranges, [None, Some(7..9)]);
}

#[test]
fn parts_whose_lines_between_went_are_one_on_the_way_back() {
    let patch = between("a\nb\nc\nd\n", "b\nd\n");
    let mut buffer = Buffer::new("a\nb\nc\nd\n");
    buffer.put(Some(2..4), "");
    buffer.apply(
        &[Hunk { range: 0..2, new: String::new() }, Hunk { range: 2..4, new: String::new() }],
        Style::Descending,
    );
    let Landing::Right { seen, ranges, .. } = landing(&patch, "a\nb\nc\nd\n", &buffer) else {
        panic!("the edit is there");
    };
    assert_eq!(seen.back.hunks(), [Hunk { range: 0..0, new: "a\nc\n".into() }]);
    assert_eq!(ranges, [Some(0..0)]);
}

#[test]
fn what_was_typed_into_a_change_stays_when_it_is_taken_back() {
    let (expected, text) = (Rope::from_str("a\nNEW\nNEU\nc\n"), Rope::from_str("0\na\nNEW!\nNEU\nc\n"));
    let back = Patch::new(vec![Hunk { range: 2..10, new: "old\n".into() }]);
    let seen = Seen::nearly(&expected, &back, text.clone());
    assert_eq!(seen.back.apply(&text).to_string(), "0\na\nold\n!c\n");
    assert_eq!(Seen::nearly(&expected, &back, expected.clone()).back, back);
}

#[test]
fn other_typing_is_not_taken_for_the_edit() {
    let patch = between("a\nb\nc\n", "a\nB\nc\n");
    let mut buffer = Buffer::new("a\nb\nc\n");
    buffer.put(Some(2..3), "C");
    buffer.put(Some(0..1), "A");
    assert_eq!(landing(&patch, "a\nb\nc\n", &buffer), Landing::Absent);
}

/// The text after mending, when an editor that does not look at versions applies the edit after `first` was typed, and
/// then `later` is.
fn mended(base: &str, wanted: &str, first: &[(Range<usize>, &str)], later: &[(Range<usize>, &str)]) -> String {
    let patch = between(base, wanted);
    let mut results = STYLES.map(|style| {
        let mut buffer = Buffer::new(base);
        first.iter().for_each(|(range, new)| buffer.put(Some(range.clone()), new));
        buffer.apply(&misplaced(&patch, base, &buffer).expect("in order"), style);
        later.iter().for_each(|(range, new)| buffer.put(Some(range.clone()), new));
        match landing(&patch, base, &buffer) {
            Landing::Wrong { mend, .. } => mend.apply(&buffer.rope()).to_string(),
            other => format!("{style:?}: {other:?}"),
        }
    });
    results.sort();
    assert_eq!(results.first(), results.last());
    results[0].clone()
}

fn misplaced(patch: &Patch, base: &str, buffer: &Buffer) -> Option<Vec<Hunk>> {
    let base = Rope::from_str(base);
    Story::new(&base, &buffer.reported, 0).misplaced(patch, buffer.reported.len(), Encoding::Utf16)
}

#[test]
fn a_misplaced_edit_is_taken_back_and_made_where_it_belongs() {
    assert_eq!(mended("a\nb\nc\nd\n", "a\nb\nC\nd\n", &[(0..0, "new\n")], &[]), "new\na\nb\nC\nd\n");
    assert_eq!(mended("a\nb\nc\nd\n", "A\nb\nc\nD\n", &[(2..2, "new\n")], &[]), "A\nnew\nb\nc\nD\n");
    assert_eq!(mended("a\nb\nc\nd\n", "a\nd\n", &[(0..0, "x\ny\nz\n")], &[]), "x\ny\nz\na\nd\n");
}

#[test]
fn what_was_typed_before_a_misplaced_edit_is_not_taken_for_a_part_of_it() {
    // The "q" was typed where the edit then came.
    let typed = [(0..0, "new\n"), (5..5, "q")];
    assert_eq!(mended("a\nbbb\nc\n", "a\nxyz\nc\n", &typed, &[]), "new\naq\nxyz\nc\n");
    assert_eq!(mended("a\n\n", "\n\n\na", &[(1..3, ""), (0..0, "x")], &[]), "xa");
}

#[test]
fn a_misplaced_edit_is_taken_back_from_its_first_step_on() {
    let base = "a\n😀a\r\n😀\n\na\n\n";
    assert_eq!(mended(base, "\n\na", &[(7..9, "")], &[]), "a\n😀a😀\n\na\n\n");
}

#[test]
fn misplaced_parts_on_neighbouring_lines_are_mended_together() {
    assert_eq!(mended("x\ny\na\n\n", "x\npy\na\n\np", &[(0..2, ""), (4..5, "")], &[]), "py\na\np");
}

#[test]
fn what_was_typed_after_a_misplaced_edit_stays() {
    // Into the misplaced text itself: "xyz" stood where "bbb" was meant.
    assert_eq!(mended("a\nbbb\nc\n", "a\nxyz\nc\n", &[(0..0, "new\n")], &[(5..5, "Z")]), "new\naZ\nxyz\nc\n");
    // Somewhere else.
    assert_eq!(mended("a\nb\nc\nd\n", "a\nb\nC\nd\n", &[(0..0, "n\n")], &[(9..9, "Z")]), "n\na\nb\nC\ndZ\n");
}

#[test]
fn a_misplaced_edit_without_a_place_is_only_taken_back() {
    assert_eq!(mended("a\nb\nc\nd\n", "a\nb\nC\nd\n", &[(0..0, "new\n"), (8..9, "see")], &[]), "new\na\nb\nsee\nd\n");
}

#[derive(Clone, Debug)]
struct Typed {
    at: usize,
    len: usize,
    text: String,
}

fn typed(text: &'static str, len: usize) -> impl Strategy<Value = Vec<Typed>> {
    let text = prop::string::string_regex(text).expect("a pattern");
    let one = (0..40_usize, 0..=len, text).prop_map(|(at, len, text)| Typed { at, len, text });
    prop::collection::vec(one, 0..4)
}

impl Buffer {
    fn type_in(&mut self, typed: &[Typed]) {
        for Typed { at, len, text } in typed {
            let rope = self.rope();
            let start = (*at).min(rope.len_chars());
            let end = (start + len).min(rope.len_chars());
            let bytes = rope.char_to_byte(start)..rope.char_to_byte(end);
            self.put(Some(bytes), text);
        }
    }
}

proptest! {
    #![proptest_config(campaign(40_000))]

    #[test]
    fn campaign_landed(
        base in "([ab😀]{0,3}(\n|\n|\r\n)){0,8}[ab]{0,2}",
        wanted in "([abp]{0,3}\n){0,8}[ab]{0,2}",
        edits in prop::collection::vec((0..9_usize, "[pq]{1,2}"), 1..4),
        rewrite in prop::bool::weighted(0.3),
        first in typed("[xy\n]{0,3}", 2),
        later in typed("[xy\n]{0,3}", 2),
        style in prop::sample::select(STYLES.to_vec()),
    ) {
        let wanted = if rewrite { wanted } else { touched(&base, &edits) };
        let patch = between(&base, &wanted);
        prop_assume!(!patch.is_empty());
        let mut buffer = Buffer::new(&base);
        buffer.type_in(&first);
        let deltas: Vec<Delta> = buffer.reported.iter().map(|(delta, _)| *delta).collect();
        let hunks = moved_beside(patch.hunks(), &Rope::from_str(&base), &deltas, &buffer.rope());
        prop_assume!(hunks.is_some());
        let typed = buffer.rope();
        buffer.apply(&hunks.expect("assumed"), style);
        let came_out = buffer.rope();
        buffer.type_in(&later);
        match landing(&patch, &base, &buffer) {
            Landing::Right { seen, ranges, .. } => {
                // Where what was typed before is taken back later, two stories come to the same; either will do.
                let without = seen.back.apply(&seen.text);
                let told = |text: &Rope| buffer.reported.iter().any(|(_, reported)| reported == text);
                prop_assert!(seen.text == came_out || told(&seen.text));
                prop_assert!(without == typed || without == base.as_str() || told(&without), "the way back: {without}");
                if later.is_empty() {
                    prop_assert_eq!(typed, without);
                }
                prop_assert_eq!(ranges.len(), seen.back.hunks().len());
                for (range, hunk) in ranges.into_iter().zip(seen.back.hunks()) {
                    if let Some(range) = range {
                        prop_assert_eq!(&buffer.text()[range], &seen.text.byte_slice(hunk.range.clone()).to_string());
                    }
                }
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn campaign_misplaced(
        base in "([ab😀]{0,3}(\n|\n|\r\n)){0,8}[ab]{0,2}",
        wanted in "([abp]{0,3}\n){0,8}[ab]{0,2}",
        edits in prop::collection::vec((0..9_usize, "[pq]{1,2}"), 1..4),
        rewrite in prop::bool::weighted(0.3),
        first in typed("[xy\n]{0,3}", 2),
        later in typed("Z{1,2}", 0),
        style in prop::sample::select(STYLES.to_vec()),
    ) {
        let wanted = if rewrite { wanted } else { touched(&base, &edits) };
        let patch = between(&base, &wanted);
        let mut buffer = Buffer::new(&base);
        buffer.type_in(&first);
        let before = buffer.rope();
        let deltas: Vec<Delta> = buffer.reported.iter().map(|(delta, _)| *delta).collect();
        let Some(hunks) = misplaced(&patch, &base, &buffer) else { return Ok(()) };
        let came_out = Patch::joined(hunks.clone()).apply(&before);
        prop_assume!(came_out != before && !patch.is_empty());
        // Where a part had nothing left to do, typing that did the same just before cannot be told from it.
        prop_assume!(!hunks.iter().any(|hunk| before.byte_slice(hunk.range.clone()) == hunk.new.as_str()));
        buffer.apply(&hunks, style);
        buffer.type_in(&later);
        let right = moved_beside(patch.hunks(), &Rope::from_str(&base), &deltas, &before);
        let right = right.map(|hunks| Patch::joined(hunks).apply(&before));
        match landing(&patch, &base, &buffer) {
            Landing::Right { .. } => {}
            Landing::Wrong { mend, made } => {
                let now = mend.apply(&buffer.rope()).to_string();
                if let Some(made) = made {
                    let without = made.apply(&Rope::from_str(&now)).to_string();
                    prop_assert_eq!(without.replace('Z', ""), before.to_string(), "the way back");
                }
                let zs = |text: &str| text.matches('Z').count();
                prop_assert_eq!(zs(&now), zs(&buffer.text()), "typed later and lost");
                let rest = now.replace('Z', "");
                let right = right.as_ref().map(Rope::to_string);
                if later.is_empty() {
                    prop_assert_eq!(rest, right.unwrap_or(before.to_string()));
                } else {
                    prop_assert!(before == rest.as_str() || right.as_ref().is_some_and(|right| *right == rest), "{rest:?}");
                }
            }
            Landing::Absent => prop_assert!(false, "not seen"),
        }
    }
}

/// The text with some lines changed, LF endings.
fn touched(base: &str, edits: &[(usize, String)]) -> String {
    let mut lines: Vec<String> = base.replace("\r\n", "\n").split('\n').map(str::to_owned).collect();
    for (line, text) in edits {
        let line = line % lines.len();
        lines[line].push_str(text);
    }
    lines.join("\n")
}
