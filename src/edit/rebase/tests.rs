use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::edit::deltas_between;
use crate::edit::land::spans::composed;
use crate::text::{Snapshot, cases::campaign, replace};

/// The text after a patch from `base` to `wanted` was moved over typing: each entry replaces a byte range.
fn check(base: &str, wanted: &str, typing: &[(Range<usize>, &str)]) -> String {
    let base = Snapshot::detached(base, "text");
    let patch = Patch::between(&base, wanted);
    let mut now = base.rope().clone();
    let mut deltas = Vec::new();
    for (range, new) in typing {
        deltas.push(Delta { start: range.start, old_len: range.len(), new_len: new.len() });
        replace(&mut now, range.clone(), new);
    }
    match patch.rebase(base.rope(), &deltas, &now) {
        Ok(moved) => moved.apply(&now).to_string(),
        Err(clash) => clash.to_string(),
    }
}

#[test]
fn typing_on_other_lines_moves_the_edit() {
    assert_eq!(check("a\nb\nc\n", "a\nB\nc\n", &[(0..0, "0\n"), (6..7, "see")]), "0\na\nB\nsee\n");
    assert_eq!(check("a\nb\nc\n", "a\nB\nc\n", &[(0..2, "")]), "B\nc\n");
}

#[test]
fn typing_on_the_same_line_is_a_clash_that_names_it() {
    assert_eq!(
        check("a\none two\nc\n", "a\n1 two\nc\n", &[(0..0, "0\n"), (10..10, "!")]),
        "line 3 was changed meanwhile"
    );
    assert_eq!(check("a\nb\nc\n", "a\nB\nC\n", &[(0..5, "x\ny\nz")]), "lines 1 to 3 were changed meanwhile");
    assert_eq!(check("a\nb", "a\nB", &[(3..3, "!")]), "line 2 was changed meanwhile");
}

#[test]
fn whole_lines_directly_above_and_below_are_no_clash() {
    assert_eq!(check("a\nb\nc\n", "a\nB\nc\n", &[(2..2, "above\n")]), "a\nabove\nB\nc\n");
    assert_eq!(check("a\nb\nc\n", "a\nB\nc\n", &[(4..4, "below\n")]), "a\nB\nbelow\nc\n");
    // Typed letter by letter it is the same.
    assert_eq!(check("a\nb\nc\n", "a\nB\nc\n", &[(2..2, "x"), (3..3, "\n")]), "a\nx\nB\nc\n");
    assert_eq!(check("a\nb\nc\n", "a\nB\nc\n", &[(2..2, "x")]), "line 2 was changed meanwhile");
}

#[test]
fn typing_on_the_line_after_deleted_lines_is_no_clash() {
    assert_eq!(check("a\nb\nc\n", "a\nc\n", &[(4..4, "x")]), "a\nxc\n");
    assert_eq!(check("a\nb\nc\n", "a\nc\n", &[(1..1, "x")]), "ax\nc\n");
    assert_eq!(check("a\nb\nc\n", "a\nc\n", &[(1..2, "")]), "line 1 was changed meanwhile");
}

#[test]
fn added_lines_need_a_place_that_is_clear() {
    assert_eq!(check("a\nc\n", "a\nb\nc\n", &[(1..1, "!"), (3..4, "C")]), "a!\nb\nC\n");
    assert_eq!(check("a\nc\n", "a\nb\nc\n", &[(2..2, "x\n")]), "line 2 was changed meanwhile");
    assert_eq!(check("a\nc\n", "a\nb\nc\n", &[(1..2, "")]), "line 1 was changed meanwhile");
}

#[test]
fn hunks_whose_lines_between_went_become_one() {
    assert_eq!(check("a\nb\nc\n", "b\n", &[(2..4, "")]), "");
}

#[test]
fn a_break_cut_in_two_is_a_clash() {
    assert_eq!(check("a\rb\r", "a\rB\r", &[(4..4, "\n")]), "line 2 was changed meanwhile");
}

#[test]
fn a_break_that_would_melt_into_a_new_one_is_a_clash() {
    // The blank line would begin with the LF of a CRLF.
    assert_eq!(check("a\nb\n", "a\n\nb\n", &[(1..2, "\r")]), "line 2 was changed meanwhile");
}

#[test]
fn a_joined_line_is_changed_at_both_ends() {
    assert_eq!(check("a\nb\n", "ab\n", &[(3..3, "x")]), "lines 1 to 2 were changed meanwhile");
}

#[test]
fn the_empty_last_line_is_a_line() {
    assert_eq!(check("a\n", "a\nb", &[(2..2, "x")]), "line 2 was changed meanwhile");
    assert_eq!(check("", "b", &[(0..0, "x")]), "line 1 was changed meanwhile");
}

/// A text in which each character of the base can be told from a typed one that reads the same.
#[derive(Clone)]
struct Tagged(Vec<Tag>);

#[derive(Clone, PartialEq)]
enum Tag {
    /// A character and, for one of the base, its number there.
    Char(char, Option<usize>),
    /// Where a hunk adds whole lines; of no width.
    Place(usize),
}

impl Tagged {
    fn chars(&self) -> impl Iterator<Item = (usize, char, Option<usize>)> {
        self.0.iter().enumerate().filter_map(|(at, tag)| match tag {
            Tag::Char(c, number) => Some((at, *c, *number)),
            Tag::Place(_) => None,
        })
    }

    fn text(&self) -> String {
        self.chars().map(|(_, c, _)| c).collect()
    }

    /// Whether a place is still between two lines, and not at a break that what comes there could be taken for a part of.
    fn clear(&self, number: usize) -> bool {
        let at = self.0.iter().position(|tag| *tag == Tag::Place(number)).expect("places stay");
        let before = Self(self.0[..at].to_vec()).text();
        before.is_empty() || before.ends_with('\n')
    }

    /// Puts a place above what was typed right before it.
    fn lift(&mut self, number: usize) {
        let at = self.0.iter().position(|tag| *tag == Tag::Place(number)).expect("places stay");
        let typed = self.0[..at].iter().rev().take_while(|tag| matches!(tag, Tag::Char(_, None))).count();
        self.0[at - typed..=at].rotate_right(1);
    }

    /// For each character which line it is on. A break belongs to the line that it ends.
    fn lines(&self) -> Vec<usize> {
        let text: Vec<char> = self.text().chars().collect();
        let mut line = 0;
        let mut lines = Vec::new();
        for (at, c) in text.iter().enumerate() {
            lines.push(line);
            if *c == '\n' || *c == '\r' && text.get(at + 1) != Some(&'\n') {
                line += 1;
            }
        }
        lines
    }

    /// Replaces characters; gives the numbers of the base's characters on lines that were touched, and of places.
    fn type_in(&mut self, range: Range<usize>, new: &str) -> (Vec<usize>, Vec<usize>) {
        let (range_start, range_end) = (range.start, range.end);
        let lines = self.lines();
        let count = lines.len();
        let text: Vec<char> = self.text().chars().collect();
        let starts_line =
            |at: usize| at == 0 || text[at - 1] == '\n' || text[at - 1] == '\r' && text.get(at) != Some(&'\n');
        let line = |at: usize| {
            lines.get(at).copied().unwrap_or_else(|| lines.last().map_or(0, |l| l + usize::from(starts_line(count))))
        };
        let whole =
            starts_line(range_start) && starts_line(range_end) && (new.is_empty() || new.ends_with(['\n', '\r']));
        // Whole lines change only themselves; anything else the lines at both its ends too.
        let touched = |at: usize| {
            if whole { range.contains(&at) } else { (line(range_start)..=line(range_end)).contains(&line(at)) }
        };
        let mut dirty: Vec<usize> =
            self.chars().enumerate().filter(|(at, _)| touched(*at)).filter_map(|(_, (_, _, number))| number).collect();
        if (new.ends_with('\r') || range_start > 0 && text[range_start - 1] == '\r')
            || (new.starts_with('\n') || text.get(range_end) == Some(&'\n'))
        {
            // May join or part a CRLF next to it: the oracle does not say.
            let near = range_start.saturating_sub(1)..=range_end;
            let near: Vec<usize> = near.map(line).collect();
            dirty.extend(self.chars().enumerate().filter(|(at, _)| near.contains(&line(*at))).filter_map(|(_, t)| t.2));
        }

        // Where the characters stand among the tags. A place at the end of a replaced part stays behind it, one at its
        // start before it; inside, and exactly where something is inserted, it is lost.
        let index = |n: usize| self.chars().nth(n).map_or(self.0.len(), |(at, ..)| at);
        let mut lost = Vec::new();
        let from = if range.is_empty() {
            let at = index(range_start);
            let mut from = at;
            while from > 0 && matches!(self.0[from - 1], Tag::Place(_)) {
                from -= 1;
            }
            lost.extend(self.0[from..at].iter().filter_map(place));
            from
        } else {
            index(range_start)
        };
        let to = if range.is_empty() { from } else { index(range_end - 1) + 1 };
        lost.extend(self.0[from..to].iter().filter_map(place));
        let kept: Vec<Tag> = self.0[from..to].iter().filter(|tag| place(tag).is_some()).cloned().collect();
        self.0.splice(from..to, new.chars().map(|c| Tag::Char(c, None)).chain(kept));
        (dirty, lost)
    }
}

fn place(tag: &Tag) -> Option<usize> {
    match tag {
        Tag::Place(number) => Some(*number),
        Tag::Char(..) => None,
    }
}

fn lines_of(text: &'static str) -> impl Strategy<Value = String> {
    prop::string::string_regex(text).expect("a pattern")
}

fn typing() -> impl Strategy<Value = Vec<(usize, usize, String)>> {
    let text = prop_oneof![
        4 => lines_of("[xy]{1,2}"),
        2 => Just(String::new()),
        2 => lines_of("[xy]\n"),
        1 => Just("\n".to_owned()),
        1 => lines_of("[xyé😀\n\r]{0,4}"),
    ];
    let len = prop_oneof![4 => Just(0_usize), 2 => 1..3_usize, 1 => 0..8_usize];
    prop::collection::vec((0..40_usize, len, text), 0..5)
}

/// A random patch, random typing, and what an oracle that knows each character says of them.
struct Case {
    base: Rope,
    patch: Patch,
    deltas: Vec<Delta>,
    now: Rope,
    tagged: Tagged,
    /// Of each hunk: its characters, the characters of the lines that it stands on, whether it is a place for whole lines.
    stands: Vec<(Range<usize>, Vec<usize>, bool)>,
    /// Characters of the base on lines that were touched.
    dirty: Vec<usize>,
    /// Places where something was typed.
    lost: Vec<usize>,
    typed_at_end: bool,
}

type Cuts = Vec<(usize, usize, String)>;

impl Case {
    fn of(base: &str, cuts: Cuts, typing: Vec<(usize, usize, String)>, snap: &[bool]) -> Self {
        // A patch of hunks anywhere, every other one of whole lines.
        let rope = Rope::from_str(base);
        let chars = rope.len_chars();
        let snapped =
            |char: usize, to_line: bool| if to_line { rope.line_to_char(rope.char_to_line(char)) } else { char };
        let mut hunks: Vec<Hunk> = Vec::new();
        let mut at = 0;
        for (index, (skip, len, new)) in cuts.into_iter().enumerate() {
            let start = snapped((at + skip % 9).min(chars), snap[index]).max(at);
            let end = snapped((start + len).min(chars), snap[index + 4]).max(start);
            let range = rope.char_to_byte(start)..rope.char_to_byte(end);
            let apart = hunks.last().is_none_or(|last| last.range.end < range.start);
            let whole_breaks = !inside_crlf(&rope, range.start) && !inside_crlf(&rope, range.end);
            if apart && whole_breaks && (start < end || !new.is_empty()) {
                hunks.push(Hunk { range, new });
            }
            at = end;
        }
        let patch = Patch::new(hunks);

        let mut case = Self::untyped(rope, patch);
        for (start, len, new) in typing {
            case.type_in(start, len, &new);
        }
        assert_eq!(case.tagged.text(), case.now.to_string());
        case
    }

    fn untyped(rope: Rope, patch: Patch) -> Self {
        let chars = rope.len_chars();
        // What each hunk stands on, for the oracle.
        let mut tagged = Tagged(rope.chars().enumerate().map(|(at, c)| Tag::Char(c, Some(at))).collect());
        let lines = tagged.lines();
        let line = |at: usize| lines.get(at).copied().unwrap_or(rope.len_lines() - 1);
        let mut stands: Vec<(Range<usize>, Vec<usize>, bool)> = Vec::new();
        for hunk in patch.hunks() {
            let range = rope.byte_to_char(hunk.range.start)..rope.byte_to_char(hunk.range.end);
            let starts = |at: usize| at == rope.line_to_char(rope.char_to_line(at));
            let whole = starts(range.start) && starts(range.end) && (hunk.new.is_empty() || hunk.new.ends_with('\n'));
            let on = |at: &usize| {
                if whole { range.contains(at) } else { (line(range.start)..=line(range.end)).contains(&line(*at)) }
            };
            let on: Vec<usize> = (0..chars).filter(on).collect();
            stands.push((range.clone(), on, whole && range.is_empty()));
        }
        for (number, (range, ..)) in stands.iter().enumerate().rev() {
            tagged.0.insert(range.start, Tag::Place(number));
        }

        Self {
            now: rope.clone(),
            base: rope,
            patch,
            tagged,
            stands,
            deltas: Vec::new(),
            dirty: Vec::new(),
            lost: Vec::new(),
            typed_at_end: false,
        }
    }

    fn type_in(&mut self, start: usize, len: usize, new: &str) {
        let start = start.min(self.now.len_chars());
        let end = (start + len).min(self.now.len_chars());
        // What reads as before was not typed: a document tells only what differs.
        let old: Vec<char> = self.now.slice(start..end).chars().collect();
        let new: Vec<char> = new.chars().collect();
        let prefix = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let rest = (old[prefix..].iter().rev()).zip(new[prefix..].iter().rev());
        let suffix = rest.take_while(|(old, new)| old == new).count();
        let (start, end) = (start + prefix, end - suffix);
        let new = &new[prefix..new.len() - suffix].iter().collect::<String>();
        if start == end && new.is_empty() {
            return;
        }
        let bytes = self.now.char_to_byte(start)..self.now.char_to_byte(end);
        self.typed_at_end |= end == self.now.len_chars();
        self.deltas.push(Delta { start: bytes.start, old_len: bytes.len(), new_len: new.len() });
        replace(&mut self.now, bytes, new);
        let (more, gone) = self.tagged.type_in(start..end, new);
        self.dirty.extend(more);
        self.lost.extend(gone);
    }

    /// The same patch, where what was typed is told otherwise.
    fn told_as(&self, deltas: &[Delta]) -> Self {
        let mut told = Self::untyped(self.base.clone(), self.patch.clone());
        let now = self.now.to_string();
        for delta in deltas {
            // The deltas go forwards, so what a delta brings stands where it stands in the end.
            let chars = |bytes: usize| told.now.byte_to_char(bytes);
            let (start, end) = (chars(delta.start), chars(delta.old_end()));
            told.type_in(start, end - start, &now[delta.start..delta.new_end()]);
        }
        assert_eq!(told.now, self.now);
        told
    }

    /// Whether nothing was typed on a line of a hunk.
    fn is_clear(&self) -> bool {
        self.stands.iter().enumerate().all(|(number, (range, on, place))| {
            // Nor may anything have come between the lines of one hunk.
            let there: Vec<Option<usize>> = self.tagged.chars().map(|(_, _, n)| n).collect();
            let wanted: Vec<Option<usize>> = on.iter().copied().map(Some).collect();
            let together = wanted.is_empty() || there.windows(wanted.len()).any(|part| part == wanted);
            let untouched = together && !on.iter().any(|at| self.dirty.contains(at));
            let at_end = range.end == self.base.len_chars() && self.typed_at_end;
            if *place {
                !self.lost.contains(&number) && !at_end && self.tagged.clear(number)
            } else {
                untouched && !at_end && !on.is_empty()
            }
        })
    }

    /// The hunks' own characters replaced, wherever typing has taken them; everything else as it is.
    fn expected(&self) -> String {
        self.expected_of(&self.tagged, &[])
    }

    /// The same without the hunks that are left out.
    fn expected_of(&self, tagged: &Tagged, left: &[usize]) -> String {
        let made = |at: usize| {
            self.stands.iter().enumerate().any(|(n, (range, ..))| range.contains(&at) && !left.contains(&n))
        };
        let mut expected = String::new();
        for tag in &tagged.0 {
            match tag {
                Tag::Place(number) if left.contains(number) => {}
                Tag::Place(number) => expected += &self.patch.hunks()[*number].new,
                Tag::Char(_, Some(at)) if made(*at) => {}
                Tag::Char(c, _) => expected.push(*c),
            }
        }
        expected
    }

    /// Whether a text is what the oracle expects. Where something was typed exactly at the place for whole lines, these may stand
    /// above it or below; and what reads as if it had been made by hand need not be made again.
    fn expects(&self, text: &str) -> bool {
        let hunks = self.stands.len();
        let now = self.now.to_string();
        let bits = |bits: usize| (0..hunks).filter(move |number| bits & (1 << number) != 0);
        let liftable = |lifted: usize| bits(lifted).all(|number| self.lost.contains(&number));
        let by_hand = |left: usize| bits(left).all(|number| now.contains(&self.patch.hunks()[number].new));
        (0..1_usize << hunks).filter(|lifted| liftable(*lifted)).any(|lifted| {
            let mut tagged = self.tagged.clone();
            bits(lifted).for_each(|number| tagged.lift(number));
            (0..1_usize << hunks)
                .filter(|left| by_hand(*left))
                .any(|left| self.expected_of(&tagged, &bits(left).collect::<Vec<_>>()) == text)
        })
    }

    fn is_replaced(&self, at: usize) -> bool {
        self.stands.iter().any(|(range, ..)| range.contains(&at))
    }
}

fn cuts(new: &'static str) -> impl Strategy<Value = Cuts> {
    prop::collection::vec((0..40_usize, prop_oneof![Just(0_usize), 0..6_usize], lines_of(new)), 1..4)
}

proptest! {
    #![proptest_config(campaign(100_000))]

    #[test]
    fn campaign_rebase(
        base in "([abé]{0,3}(\n|\n|\n|\r\n|\r)){0,8}[ab]{0,2}",
        cuts in cuts("([pq]{0,2}\n?){0,2}"),
        typing in typing(),
        snap in prop::collection::vec(any::<bool>(), 8),
    ) {
        let case = Case::of(&base, cuts, typing, &snap);
        match case.patch.rebase(&case.base, &case.deltas, &case.now) {
            Err(clash) => {
                prop_assert!(1 <= clash.first && clash.first <= clash.last && clash.last <= case.now.len_lines());
                prop_assert!(!case.is_clear(), "typing on other lines clashed: {clash}");
            }
            Ok(moved) => {
                prop_assert_eq!(moved.apply(&case.now).to_string(), case.expected());
                let gone: usize = case.stands.iter().map(|(range, ..)| range.len()).sum();
                let still = case.tagged.chars().filter(|(_, _, n)| n.is_some_and(|n| case.is_replaced(n))).count();
                prop_assert_eq!(gone, still, "what a hunk takes was there");
            }
        }
    }

    /// An edit and typing on the same lines: what comes out is what the oracle says, or lines are named; nothing typed goes.
    #[test]
    fn campaign_merge(
        base in "([abé_]{1,2}([ ,;(]{1,2}[abé]{1,2}){0,4}(\n|\n|\n|\r\n|\r)){0,4}[ab]{0,2}",
        cuts in cuts("([pq]{0,2}[ ,\n]?){0,2}"),
        typing in typing(),
        snap in prop::collection::vec(any::<bool>(), 8),
    ) {
        let case = Case::of(&base, cuts, typing, &snap);
        match case.patch.onto(&case.base, Some(&case.deltas), &case.now) {
            Err(clash) => {
                prop_assert!(1 <= clash.first && clash.first <= clash.last && clash.last <= case.now.len_lines());
                prop_assert!(!case.is_clear(), "typing on other lines clashed: {clash}");
            }
            Ok(moved) => {
                let text = moved.apply(&case.now).to_string();
                // Inside of what was typed over, what reads the same may count as having stayed.
                let refined = crate::edit::merge::refined(&composed(&case.deltas), &case.base, &case.now);
                let expected = case.expects(&text) || case.told_as(&refined).expects(&text);
                prop_assert!(expected, "{text:?}, not {:?}", case.expected());
            }
        }
        // Where the steps are not known, which of two equal characters was typed is not known either.
        if let Ok(moved) = case.patch.onto(&case.base, None, &case.now) {
            let told = case.told_as(&deltas_between(&case.base, &case.now));
            let text = moved.apply(&case.now).to_string();
            prop_assert!(told.expects(&text), "{text:?}, not {:?}", told.expected());
            let typed = |text: &str| text.chars().filter(|c| "xy😀".contains(*c)).collect::<String>();
            prop_assert_eq!(typed(&moved.apply(&case.now).to_string()), typed(&case.now.to_string()));
        }
    }
}
