//! A place in its surroundings.

use std::ops::Range;

/// The most characters of an excerpt.
const ROOM: usize = 240;

/// Of these, as many before the place where its line is too long to be shown whole.
const BEFORE: usize = 80;

/// About [`ROOM`] characters around a place: its line whole, with as many whole lines around it as there is room for; of a longer
/// line the part around the place.
pub(super) fn excerpt(text: &str, place: Range<usize>) -> String {
    let start = text[..place.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[place.end..].find('\n').map_or(text.len(), |at| place.end + at);
    let shown = if count(&text[start..end]) > ROOM { part(text, start..end, place) } else { lines(text, start..end) };
    shown.trim_matches(['\n', '\r']).trim_end().to_owned()
}

/// Whole lines, these and the nearest around them.
fn lines(text: &str, mut lines: Range<usize>) -> String {
    let mut room = ROOM - count(&text[lines.clone()]);
    loop {
        let after = text.get(lines.end + 1..).map(|rest| rest.find('\n').unwrap_or(rest.len()) + 1);
        if let Some(more) = after
            && let Some(left) = room.checked_sub(count(&text[lines.end..lines.end + more]))
        {
            (room, lines.end) = (left, lines.end + more);
            continue;
        }
        let before = lines.start.checked_sub(1).map(|end| text[..end].rfind('\n').map_or(0, |at| at + 1));
        if let Some(start) = before
            && let Some(left) = room.checked_sub(count(&text[start..lines.start]))
        {
            (room, lines.start) = (left, start);
            continue;
        }
        return text[lines].to_owned();
    }
}

/// The part of a long line around a place in it.
fn part(text: &str, line: Range<usize>, place: Range<usize>) -> String {
    let back = |from: usize, most: usize| {
        text[line.start..from].char_indices().rev().take(most).last().map_or(from, |(at, _)| line.start + at)
    };
    let mut start = back(place.start, BEFORE);
    let end = text[start..line.end].char_indices().nth(ROOM).map_or(line.end, |(at, _)| start + at);
    if end == line.end {
        // What is not needed behind the place is used before it.
        start = back(end, ROOM).min(start);
    }
    let (before, behind) = (if start > line.start { "…" } else { "" }, if end < line.end { "…" } else { "" });
    format!("{before}{}{behind}", &text[start..end])
}

fn count(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn around(text: &str, word: &str) -> String {
        let at = text.find(word).expect("it is there");
        excerpt(text, at..at + word.len())
    }

    #[test]
    fn a_short_text_is_shown_whole() {
        assert_eq!(around("one\ntwo\r\nthree\n", "two"), "one\ntwo\r\nthree");
        assert_eq!(around("needle", "needle"), "needle");
        assert_eq!(around("a\n\nneedle b\nc", "needle b\nc"), "a\n\nneedle b\nc", "also over a line break");
    }

    #[test]
    fn of_many_lines_the_nearest_are_shown_whole() {
        let text: String = (0..100).map(|n| format!("line number {n:03} of many of them\n")).collect();
        let shown = around(&text, "050");
        assert!(shown.starts_with("line number 050"), "what follows tells more: {shown}");
        assert!(shown.ends_with("of them") && shown.lines().count() == 7, "{shown}");
        let last = around(&text, "099");
        assert!(last.ends_with("099 of many of them") && last.starts_with("line number 093"), "{last}");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("first\n{} needle {}\nlast", "前".repeat(400), "後".repeat(400));
        let shown = around(&text, "needle");
        assert_eq!(shown.chars().count(), ROOM + 2);
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.contains("前 needle 後"), "{shown}");
        let text = format!("{} needle", "x".repeat(400));
        let shown = around(&text, "needle");
        assert!(shown.starts_with('…') && shown.ends_with("x needle") && shown.chars().count() == ROOM + 1, "{shown}");
    }

    proptest! {
        #[test]
        fn it_holds_the_place_and_is_never_long(before in "(\\PC|\n){0,400}", word in "[a-zé界]{1,9}", after in "(\\PC|\n){0,400}") {
            let text = format!("{before}{word}{after}");
            let shown = excerpt(&text, before.len()..before.len() + word.len());
            prop_assert!(shown.contains(&word));
            prop_assert!(count(&shown) <= ROOM + 2, "{}", count(&shown));
        }
    }
}
