//! What becomes of a change as an editor tidies the text that it saves.

use std::collections::HashMap;
use std::ops::{Range, RangeInclusive};

use ropey::Rope;
use similar::{Algorithm, capture_diff_slices};

use super::Seen;
use crate::edit::diff::differing_lines;
use crate::edit::{Hunk, Patch};
use crate::text::{common_prefix_of, common_suffix_of};

/// Some hunks of the change, and what was tidied on their lines.
struct Part<'a> {
    range: Range<usize>,
    hunks: Vec<&'a Hunk>,
    tidied: Vec<&'a Hunk>,
}

impl Seen {
    /// The same change in a later text; `None` when some of it was typed over since.
    #[must_use]
    pub fn within(&self, later: &Rope) -> Option<Self> {
        let hunks = self.back.hunks().iter().zip(self.ranges(later));
        let hunks: Option<Vec<Hunk>> =
            hunks.map(|(hunk, range)| range.map(|range| Hunk { range, new: hunk.new.clone() })).collect();
        Some(Self { text: later.clone(), back: Patch::joined(hunks?) })
    }

    /// The change as a text has it that came out of its own as it was saved. What was done on its lines becomes a part of it, and is
    /// taken back with it: the lines are broken otherwise, say. Not so where a letter came that was not there before, for that
    /// may be the person's; and whatever was done elsewhere is not in the change, nor in its text.
    #[must_use]
    pub fn tidied(&self, saved: &Rope) -> Self {
        let tidying = line_by_line(&self.text, saved);
        let mut text = Vec::new();
        let mut back = Vec::new();
        // How much longer the text has become so far.
        let (mut come, mut gone) = (0, 0);
        for part in self.parts(tidying.hunks()) {
            if self.brings_letters(&part.tidied) {
                let moved = |hunk: &&Hunk| Hunk {
                    range: hunk.range.start + come - gone..hunk.range.end + come - gone,
                    new: hunk.new.clone(),
                };
                back.extend(part.hunks.iter().map(moved));
                continue;
            }
            let start = part.range.start + come - gone;
            come += part.tidied.iter().map(|hunk| hunk.new.len()).sum::<usize>();
            gone += part.tidied.iter().map(|hunk| hunk.range.len()).sum::<usize>();
            back.push(Hunk { range: start..part.range.end + come - gone, new: self.before(&part) });
            text.extend(part.tidied.into_iter().cloned());
        }
        Self { text: Patch::joined(text).apply(&self.text), back: Patch::joined(back) }
    }

    /// The hunks of the change, each with what was done on its lines or at its ends; those that come to touch are one part.
    fn parts<'a>(&'a self, tidying: &'a [Hunk]) -> Vec<Part<'a>> {
        let mut parts: Vec<Part<'_>> = Vec::new();
        for hunk in self.back.hunks() {
            let lines = self.lines(&hunk.range);
            let near = tidying.iter().filter(|tidied| {
                let those = self.lines(&tidied.range);
                those.start() <= lines.end() && lines.start() <= those.end()
                    || tidied.range.start <= hunk.range.end && hunk.range.start <= tidied.range.end
            });
            let range = near.fold(hunk.range.clone(), |range, tidied| {
                range.start.min(tidied.range.start)..range.end.max(tidied.range.end)
            });
            match parts.last_mut() {
                Some(last) if range.start <= last.range.end => {
                    last.range = last.range.start.min(range.start)..last.range.end.max(range.end);
                    last.hunks.push(hunk);
                }
                _ => parts.push(Part { range, hunks: vec![hunk], tidied: Vec::new() }),
            }
        }
        for part in &mut parts {
            let within = |tidied: &&Hunk| part.range.start <= tidied.range.start && tidied.range.end <= part.range.end;
            part.tidied = tidying.iter().filter(within).collect();
        }
        parts
    }

    fn lines(&self, range: &Range<usize>) -> RangeInclusive<usize> {
        // A break at the end belongs to the line that it ends.
        let last = if range.is_empty() { range.end } else { range.end - 1 };
        self.text.byte_to_line(range.start)..=self.text.byte_to_line(last)
    }

    /// Whether letters or digits come that do not go.
    fn brings_letters(&self, tidied: &[&Hunk]) -> bool {
        let mut left: HashMap<char, usize> = HashMap::new();
        let is_letter = |char: &char| char.is_alphanumeric() || *char == '_';
        for hunk in tidied {
            for char in self.text.byte_slice(hunk.range.clone()).chars().filter(is_letter) {
                *left.entry(char).or_default() += 1;
            }
        }
        let mut came = tidied.iter().flat_map(|hunk| hunk.new.chars()).filter(is_letter);
        came.any(|char| left.get_mut(&char).and_then(|left| left.checked_sub(1).map(|rest| *left = rest)).is_none())
    }

    /// What stood in a part before the change.
    fn before(&self, part: &Part<'_>) -> String {
        let mut before = String::new();
        let mut at = part.range.start;
        for hunk in &part.hunks {
            before.extend(self.text.byte_slice(at..hunk.range.start).chunks());
            before.push_str(&hunk.new);
            at = hunk.range.end;
        }
        before.extend(self.text.byte_slice(at..part.range.end).chunks());
        before
    }
}

/// What leads from one text to another, as it was done to each line where the lines are as many as before.
fn line_by_line(old: &Rope, new: &Rope) -> Patch {
    let (mut start, old, new) = differing_lines(old, new);
    let [old, new] = [&old, &new].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let mut hunks = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        let (from, to) = (&old[op.old_range()], &new[op.new_range()]);
        if from.len() == to.len() {
            for (line, tidied) in from.iter().zip(to) {
                let same = common_prefix_of(line, tidied);
                let behind = common_suffix_of(&line[same..], &tidied[same..]);
                let part = start + same..start + line.len() - behind;
                hunks.push(Hunk { range: part, new: tidied[same..tidied.len() - behind].to_owned() });
                start += line.len();
            }
        } else {
            let end = start + from.iter().map(|line| line.len()).sum::<usize>();
            hunks.push(Hunk { range: start..end, new: to.concat() });
            start = end;
        }
    }
    Patch::joined(hunks.into_iter().filter(|hunk| !(hunk.range.is_empty() && hunk.new.is_empty())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cases::campaign;

    /// The text in which a change stands once a text was saved, and the one without it.
    fn check(before: &str, after: &str, saved: &str) -> (String, String) {
        let (before, after) = (Rope::from_str(before), Rope::from_str(after));
        let back = Patch::exact(&after, &before);
        let tidied = Seen { text: after, back }.tidied(&Rope::from_str(saved));
        (tidied.text.to_string(), tidied.back.apply(&tidied.text).to_string())
    }

    #[test]
    fn what_is_tidied_on_the_lines_of_a_change_goes_with_it() {
        let before = "a\nb\nc\n";
        let same = |after: &str, saved: &str| assert_eq!(check(before, after, saved), (saved.into(), before.into()));
        same("a\nf(1,2)\nc\n", "a\nf(1, 2)\nc\n");
        same("a\nf(1,2)\nc\n", "a\nf(\n    1,\n    2,\n)\nc\n");
        same("a\nlet  b;\nlet  d;\nc\n", "a\nlet b;\nlet d;\n\nc\n");
        same("a\nimport z\nimport y\nb\nc\n", "a\nimport y\nimport z\nb\nc\n");
        same("a\nb  \nc\n", "a\nb\nc\n");
    }

    #[test]
    fn what_is_tidied_elsewhere_and_letters_that_come_are_not_of_the_change() {
        let (before, after) = ("a  \nb\nc\n", "a  \nf(1,2)\nc\n");
        assert_eq!(check(before, after, "a\nf(1, 2)\nc\n"), ("a  \nf(1, 2)\nc\n".into(), before.into()));
        assert_eq!(check(before, after, "a  \nf(1,2) typed\nc\n"), (after.into(), before.into()));
        assert_eq!(check(before, after, after), (after.into(), before.into()));
        assert_eq!(check("b\nc  \n", "d\nc  \n", "  d ;\nc\n"), ("  d ;\nc  \n".into(), "b\nc  \n".into()));
    }

    proptest! {
        #![proptest_config(campaign(20_000))]

        #[test]
        fn a_change_is_taken_back_whole_whatever_was_tidied(
            before in "([ab ,]{0,4}\n){0,6}", after in "([ab ,]{0,4}\n){0,6}", saved in "([ab ,]{0,5}\n){0,7}",
        ) {
            // Without what was done elsewhere there is nothing left to tell the text from the one before the change.
            prop_assert_eq!(check(&before, &after, &saved).1, before);
        }
    }
}
