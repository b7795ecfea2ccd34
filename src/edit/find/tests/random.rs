//! What holds for any text.

use proptest::prelude::*;

use super::super::seek::{Way, blocks};
use super::super::{Nth, Text, Wanted, fold, place};
use super::{all, one};
use crate::edit::{FindError, Tier, find, found};
use crate::text::Snapshot;
use crate::text::cases::campaign;

/// A text of few different lines, so that much of it is there more than once, and more is almost.
const LINES: &str = "((\t|  |    )?([ab]|a b|“a”|\"a\"|a…|\\}|\\\\\"a)?( |\t|  )?\n){0,9}(a|  b)?";
const OLD: &str =
    "(\t|  |    )?([ab]|“a”|\"a\"|a\\.\\.\\.|\\})( |\t)?(\n(\t|  |    )?([ab]|“a”|\"a\"|a…|\\})?( )?){0,3}\n?";

const WAYS: [Way; 4] = [
    Way { fold: false, shift: false },
    Way { fold: false, shift: true },
    Way { fold: true, shift: false },
    Way { fold: true, shift: true },
];

/// Lines with what does not count taken off.
fn bare(text: &str, way: Way) -> Vec<String> {
    let text = if way.fold { fold::folded(text) } else { text.to_owned() };
    let line = |line: &str| if way.shift { line.trim() } else { line.trim_end() }.to_owned();
    text.split('\n').map(line).collect()
}

/// Where whole lines read as the wanted ones, by looking at each line.
fn one_by_one(text: &str, old: &str, way: Way) -> Vec<usize> {
    let lines = bare(text, way);
    let wanted = bare(old.strip_suffix('\n').unwrap_or(old), way);
    if wanted.iter().all(String::is_empty) || lines.len() < wanted.len() {
        return Vec::new();
    }
    // A break wants a line to end.
    let last = lines.len() - usize::from(old.ends_with('\n') && (text.is_empty() || text.ends_with('\n')));
    (0..=lines.len() - wanted.len())
        .filter(|&at| lines[at..at + wanted.len()] == wanted && at + wanted.len() <= last)
        .collect()
}

proptest! {
    #![proptest_config(campaign(40_000))]

    #[test]
    fn campaign_find_whole_lines_are_found_like_one_by_one(text in LINES, old in OLD) {
        let lines = Text::new(&text);
        for way in WAYS {
            let wanted = Wanted { whole: true, ..Wanted::of(&old, "") };
            let found: Vec<usize> = blocks(&lines, &wanted, way).iter().map(|place| lines.line_at(place.start)).collect();
            prop_assert_eq!(found, one_by_one(&text, &old, way), "{:?}", way);
        }
    }

    #[test]
    fn campaign_find_no_place_reads_otherwise(text in LINES, old in OLD, new in OLD) {
        let lines = Text::new(&text);
        let Ok(placed) = place(&lines, Nth::Edit(1), &Wanted::of(&old, &new)) else { return Ok(()) };
        prop_assert_eq!(placed.pieces.len(), 1);
        let there = &text[placed.pieces[0].range.clone()];
        let way = match placed.tier {
            Tier::Exact => {
                prop_assert_eq!(there, &old);
                prop_assert_eq!(text.matches(old.as_str()).count(), 1);
                return Ok(());
            }
            Tier::Trailing => WAYS[0],
            Tier::Indent => WAYS[1],
            Tier::Typography => WAYS[3],
            Tier::Escaped | Tier::Elided => return Ok(()),
        };
        prop_assert!(!text.contains(&old), "a stricter tier comes first");
        // The file's end may stand for a break.
        let old = if there.ends_with('\n') { &old } else { old.strip_suffix('\n').unwrap_or(&old) };
        prop_assert_eq!(bare(there, way), bare(old, way));
        prop_assert!(one_by_one(&text, old, way).len() <= 1 || placed.tier == Tier::Indent || placed.tier == Tier::Typography);
    }

    #[test]
    fn campaign_find_lines_that_stay_keep_their_bytes(
        lines in proptest::collection::vec("(\t|  )?[a-d“”]{1,3}( |\t)?", 1..8),
        at in any::<prop::sample::Index>(), tail in "( |\t)?",
    ) {
        // The block once, with one of its lines another; the model writes it without the file's trailing white space.
        let at = at.index(lines.len());
        let bare: Vec<String> = lines.iter().map(|line| line.trim_end().to_owned() + &tail).collect();
        let block = |lines: &[String]| lines.join("\n") + "\n";
        let mut asked = bare.clone();
        asked[at] = "zz".into();
        let text = format!("HEAD\n{}tail\n", block(&lines));
        let mut expected = lines.clone();
        expected[at] = "zz".into();
        let base = Snapshot::detached(&text, "text");
        match find(&base, &[one(&block(&bare), &block(&asked))]) {
            Ok(patch) => prop_assert_eq!(patch.apply(base.rope()).to_string(), format!("HEAD\n{}tail\n", block(&expected))),
            Err(error) => prop_assert!(matches!(error, FindError::Ambiguous { .. }), "{}", error),
        }
    }

    #[test]
    fn campaign_find_all_takes_every_place(text in LINES, old in OLD) {
        let base = Snapshot::detached(&text, "text");
        let Ok(found) = found(&base, &[all(&old, "zz\n")]) else { return Ok(()) };
        let after = found.patch.apply(base.rope()).to_string();
        let exact = text.contains(&old);
        if exact {
            prop_assert_eq!(after, text.replace(&old, "zz\n"));
        } else if found.lax.first().is_some_and(|(_, tier)| *tier <= Tier::Typography) {
            prop_assert!(after.contains("zz"));
        }
    }

    #[test]
    fn campaign_find_two_replacements_meet_or_both_stand(
        words in proptest::collection::vec("[a-z]{2}", 6), a in 0..5_usize, b in 0..5_usize, lens in (1..3_usize, 1..3_usize),
    ) {
        let words: Vec<String> = words.iter().enumerate().map(|(at, word)| format!("{word}{at}")).collect();
        let text = words.join(" ");
        let part = |at: usize, len: usize| (at, (at + len).min(words.len()));
        let (a, b) = (part(a, lens.0), part(b, lens.1));
        let (old_a, old_b) = (words[a.0..a.1].join(" "), words[b.0..b.1].join(" "));
        let base = Snapshot::detached(&text, "text");
        let meet = a.0 < b.1 && b.0 < a.1;
        match find(&base, &[one(&old_a, "AA"), one(&old_b, "BB")]) {
            Ok(patch) => {
                prop_assert!(!meet);
                prop_assert_eq!(patch.apply(base.rope()).to_string(), text.replace(&old_a, "AA").replace(&old_b, "BB"));
            }
            Err(error) => prop_assert!(meet && matches!(error, FindError::Overlap { .. }), "{}", error),
        }
    }
}
