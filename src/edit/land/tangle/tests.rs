use super::*;
use crate::edit::{Landing, Patch, steps_between, untangled};
use crate::text::{ContentChange, Delta, Document, Snapshot, cases::campaign};

const ENCODING: Encoding = Encoding::Utf8;

/// How an editor takes positions that its text does not have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    /// At the end of the line.
    Held,
    /// At the line break, which is replaced.
    Selected,
}

fn between(base: &str, wanted: &str) -> Patch {
    Patch::between(&Snapshot::detached(base, "text"), wanted)
}

/// The text after an edit whose positions are taken for positions in another text.
fn blindly(patch: &Patch, base: &str, text: &str, habit: Habit) -> Rope {
    let mut after = Rope::from_str(text);
    for (range, new) in blind_ranges(patch, base, text, habit) {
        replace(&mut after, range, &new);
    }
    after
}

/// What such an edit replaces, from the end.
fn blind_ranges(patch: &Patch, base: &str, text: &str, habit: Habit) -> Vec<(Range<usize>, String)> {
    let (base, text) = (Rope::from_str(base), Rope::from_str(text));
    let mut end = text.len_bytes();
    let range = |hunk: &Hunk| {
        let position = |offset| ENCODING.position(&base, offset);
        let range = protocol::Range { start: position(hunk.range.start), end: position(hunk.range.end) };
        let range = match habit {
            Habit::Held => ENCODING.range(&text, range),
            Habit::Selected => selected(&text, range, ENCODING),
        };
        // The text is too short for two parts.
        let range = range.start.min(end)..range.end.min(end);
        end = range.start;
        (range, hunk.new.clone())
    };
    patch.hunks().iter().rev().map(range).collect()
}

/// What one report of the whole text says.
fn told(patch: &Patch, base: &str, after: &str) -> Landing {
    let mut document = Document::open("text", 1, base);
    let mut reported: Vec<(Delta, Rope)> = Vec::new();
    let change = ContentChange { range: None, text: after.into() };
    document.change(2, &[change], ENCODING, |delta, now| reported.push((delta, now.rope().clone())));
    let told = 0..reported.len();
    untangled(patch, &Rope::from_str(base), &reported, told, ENCODING)
}

/// The text once everything is right.
fn settled(patch: &Patch, base: &str, after: &str) -> String {
    settle(patch, after, told(patch, base, after))
}

fn settle(patch: &Patch, after: &str, landing: Landing) -> String {
    match landing {
        Landing::Right { ranges, .. } => {
            for (range, hunk) in ranges.into_iter().zip(patch.hunks()) {
                assert_eq!(range.map(|range| &after[range]), Some(hunk.new.as_str()));
            }
            format!("right: {after}")
        }
        Landing::Wrong { mend, made } => {
            let mended = mend.apply(&Rope::from_str(after)).to_string();
            for (range, hunk) in made.into_iter().flatten().zip(patch.hunks()) {
                assert_eq!(mended[range], hunk.new);
            }
            format!("mended: {mended}")
        }
        Landing::Absent => "absent".into(),
    }
}

const BASE: &str = "fn one() {}\nfn two() {}\nfn three() {}\n";

#[test]
fn an_edit_beside_typing_is_seen_in_one_report() {
    let patch = between(BASE, "fn one() {}\nfn zwei() {}\nfn three() {}\n");
    let after = "fn one() {}\nfn zwei() {}\nfn three() { typed }\n";
    assert_eq!(settled(&patch, BASE, after), format!("right: {after}"));
    let after = "fn one() {}\nfn zwei_typed() {}\nfn three() {}\n";
    assert_eq!(settled(&patch, BASE, after), format!("right: {after}"));
    let after = "// typed after\nfn one() {}\nfn zwei() {}\nfn three() {}\n";
    assert_eq!(settled(&patch, BASE, after), format!("right: {after}"));
}

#[test]
fn an_edit_that_came_to_another_line_is_put_right() {
    let patch = between(BASE, "fn one() {}\nfn zwei() {}\nfn three() {}\n");
    let right = "mended: // typed\nfn one() {}\nfn zwei() {}\nfn three() {}\n";
    assert_eq!(settled(&patch, BASE, "// typed\nfn zwei() {}\nfn two() {}\nfn three() {}\n"), right);
    // And another line typed above since.
    let right = "mended: // typed\n// too\nfn one() {}\nfn zwei() {}\nfn three() {}\n";
    assert_eq!(settled(&patch, BASE, "// typed\n// too\nfn zwei() {}\nfn two() {}\nfn three() {}\n"), right);
}

#[test]
fn what_one_report_tells_of_several_places_since_leaves_the_edit_alone() {
    let patch = between(BASE, "fn one() {}\nfn zwei() {}\nfn three() {}\n");
    let texts = [
        BASE,
        "// typed\nfn zwei() {}\nfn two() {}\nfn three() {}\n",
        "// typed too\nfn zwei() {}\nfn two() {}\nfn three() { 3 }\n",
    ];
    let [base, told, after] = texts.map(Rope::from_str);
    let mut reported = steps_between(&base, &told);
    let first = 0..reported.len();
    reported.extend(steps_between(&told, &after));
    let landing = untangled(&patch, &base, &reported, first, ENCODING);
    let right = "mended: // typed too\nfn one() {}\nfn zwei() {}\nfn three() { 3 }\n";
    assert_eq!(settle(&patch, texts[2], landing), right);
}

#[test]
fn a_line_that_was_too_short_for_the_edit_is_put_right() {
    let base = "a long line\nanother long one\nend\n";
    let patch = between(base, "a long line\nanother long two\nend\n");
    let right = "mended: x\na long line\nanother long two\nend\n";
    let typed = "x\na long line\nanother long one\nend\n";
    for habit in [Habit::Held, Habit::Selected] {
        let after = blindly(&patch, base, typed, habit).to_string();
        assert_ne!(after, typed);
        assert_eq!(settled(&patch, base, &after), right, "{habit:?}: {after}");
    }
}

#[test]
fn lines_deleted_elsewhere_come_back() {
    let base = "one\ntwo\nthree\nfour\nfive\n";
    let patch = between(base, "one\ntwo\nfive\n");
    let after = blindly(&patch, base, "zero\none\ntwo\nthree\nfour\nfive\n", Habit::Held).to_string();
    assert_eq!(after, "zero\none\nfour\nfive\n");
    assert_eq!(settled(&patch, base, &after), "mended: zero\none\ntwo\nfive\n");
}

#[test]
fn typing_alone_is_not_taken_for_the_edit() {
    for wanted in [
        "fn one() {}\nfn zwei() {}\nfn three() {}\n",
        "fn one() {}\nfn three() {}\n",
        "// new\nfn one() {}\nfn two() {}\nfn three() {}\n",
    ] {
        let patch = between(BASE, wanted);
        for after in [
            "// typed\nfn one() {}\nfn two() {}\nfn three() {}\n",
            "fn one() {}\nfn two() { 2 }\nfn three() {}\n",
            "fn one() {}\nfn two() {}\n",
            "",
        ] {
            assert_eq!(settled(&patch, BASE, after), "absent", "{wanted:?} {after:?}");
        }
    }
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % below
    }
}

/// A person types here and there, each piece once, and not on the lines of `but`.
fn typed(dice: &mut Dice, text: &mut String, count: usize, number: &mut usize, but: &[String]) {
    for _ in 0..count {
        let line = dice.below(12);
        let label = format!("line {line}:");
        if but.contains(&label) {
            continue;
        }
        let Some(start) = text.find(&label) else { continue };
        let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        *number += 1;
        match dice.below(4) {
            0 => text.insert_str(end, &format!("<{number}>\n")),
            1 => text.insert_str(start, &format!("<{number}>\n")),
            2 => text.insert_str(end, &format!("\n<{number}>é𝄞")),
            _ => text.insert_str(end, &format!("<{number}>")),
        }
    }
}

#[test]
fn campaign_typing_alone_is_not_taken_for_a_small_edit() {
    let rounds = campaign(20_000).cases;
    for seed in 0..u64::from(rounds) {
        let mut dice = Dice(seed);
        for _ in 0..4 {
            dice.below(2);
        }
        let base: String = (0..12).map(|line| format!("line {line}:\nagent {line}: {};\n", dice.below(2))).collect();
        let line = dice.below(12);
        let [old, new] = [dice.below(2), 2].map(|number| format!("agent {line}: {number};"));
        let patch = between(&base, &base.replace(&old, &new.replace('2', "1")));
        if patch.is_empty() {
            continue;
        }
        let mut after = base.clone();
        let (count, mut number) = (1 + dice.below(3), dice.below(200));
        typed(&mut dice, &mut after, count, &mut number, &[]);
        assert_eq!(settled(&patch, &base, &after), "absent", "{seed}\n{patch:?}\n{base}\n{after}");
    }
}

fn pieces(text: &str) -> Vec<usize> {
    (1..20).filter(|number| text.contains(&format!("<{number}>"))).collect()
}

#[test]
fn campaign_tangled_reports_are_put_right_or_left_alone() {
    let rounds = campaign(20_000).cases;
    let (mut seen, mut absent) = (0, 0);
    for seed in 0..u64::from(rounds) {
        let mut dice = Dice(seed);
        for _ in 0..4 {
            dice.below(2);
        }
        let words = ["", " a", " some words", " quite a few more words", " 0;"];
        let lines: Vec<String> = (0..12).map(|n| format!("line {n}:{}\n", words[dice.below(words.len())])).collect();
        let base = lines.concat();
        let mut wanted = lines.clone();
        let mut changed = Vec::new();
        for _ in 0..=dice.below(3) {
            let line = dice.below(12);
            let label = format!("line {line}:");
            if changed.contains(&label) {
                continue;
            }
            match dice.below(4) {
                0 => wanted[line] = format!("{label} by the agent\n"),
                1 => wanted[line].push_str("a new line\n"),
                2 => wanted[line].clear(),
                _ => wanted[line].insert_str(label.len(), " more"),
            }
            changed.push(label);
        }
        let patch = between(&base, &wanted.concat());
        let habit = if dice.below(2) == 0 { Habit::Held } else { Habit::Selected };
        let mut number = 0;
        let mut without = base.clone();
        let count = dice.below(4);
        typed(&mut dice, &mut without, count, &mut number, &changed);
        let after = blindly(&patch, &base, &without, habit).to_string();
        if after == without || without == base {
            continue;
        }
        let deltas = deltas_between(&Rope::from_str(&base), &Rope::from_str(&without));
        let rope = Rope::from_str(&without);
        let right = patch.rebase(&Rope::from_str(&base), &deltas, &rope).map(|patch| patch.apply(&rope).to_string());
        // Nobody knows what was typed where the edit then came.
        let replaced = blind_ranges(&patch, &base, &without, habit);
        let typed_over = deltas
            .iter()
            .any(|delta| replaced.iter().any(|(range, _)| range.start < delta.new_end() && delta.start < range.end));
        seen += usize::from(!typed_over);
        match settled(&patch, &base, &after).split_once(": ") {
            Some(("right", text)) => assert_eq!(Ok(text), right.as_deref(), "{seed} {habit:?}\n{base}\n{after}"),
            Some((_, text)) if typed_over => {
                assert!(pieces(&after).iter().all(|piece| pieces(text).contains(piece)), "{seed}\n{after}\n{text}");
            }
            Some((_, text)) => assert!(
                right.as_deref() == Ok(text) || text == without,
                "{seed} {habit:?}\nbase\n{base}\ntyped\n{without}\nafter\n{after}\nmended\n{text}\nwanted\n{right:?}"
            ),
            None if typed_over => {}
            None => absent += 1,
        }
    }
    assert!(absent * 6 < seen, "{absent} of {seen} were not seen");
}
