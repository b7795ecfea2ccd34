//! Keeping results within their caps, and fit to be shown.

/// What a line between head and tail may take.
const MARKER: usize = 80;

/// The most characters of a line for a person.
const LINE: usize = 160;

/// `text`, cut to `limit` bytes when it is longer: its head and its tail, whole characters, and a line between that counts what was left out.
#[must_use]
pub fn cap(text: String, limit: usize) -> String {
    if text.len() <= limit {
        return text;
    }
    let Some(room) = limit.checked_sub(MARKER).filter(|room| *room > 0) else {
        return text[..floor(&text, limit)].to_owned();
    };
    let head = floor(&text, room / 2);
    let tail = ceil(&text, text.len() - (room - head));
    let left_out = &text[head..tail];
    let lines = left_out.bytes().filter(|byte| *byte == b'\n').count();
    format!("{}\n[... {} bytes, {lines} line breaks left out ...]\n{}", &text[..head], left_out.len(), &text[tail..])
}

/// `text` as one line that may be shown to a person: what moves a cursor, speaks to a terminal, turns the reading direction
/// or is invisible is taken out, and a long one is cut.
#[must_use]
pub fn line(text: &str) -> String {
    let mut shown = shown(text);
    let mut line: String = shown.by_ref().take(LINE).collect();
    if shown.next().is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

/// The same, however long it is.
#[must_use]
pub fn plain(text: &str) -> String {
    shown(text).collect::<String>().trim().to_owned()
}

/// `text` as it may be shown to a person, lines as they are.
#[must_use]
pub(super) fn screened(text: &str) -> String {
    text.chars().filter(|&c| matches!(c, '\n' | '\t') || !c.is_control() && !is_deceptive(c)).collect()
}

fn shown(text: &str) -> impl Iterator<Item = char> {
    let shown = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    shown.filter(|&c| !c.is_control() && !is_deceptive(c))
}

/// Bidirectional overrides and marks, and characters without a width.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The last character boundary at or before `at`.
pub(super) fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

fn ceil(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn t1_a_capped_result_has_head_tail_and_the_truth_about_the_rest(
            text in "(\\PC|\n|€|🦀){0,600}", limit in 0usize..900,
        ) {
            let capped = cap(text.clone(), limit);
            prop_assert!(capped.len() <= limit);
            if text.len() <= limit {
                prop_assert_eq!(capped, text);
            } else if let Some((head, rest)) = capped.split_once("\n[... ") {
                let (count, rest) = rest.split_once(" bytes, ").expect("a count");
                let (lines, tail) = rest.split_once(" line breaks left out ...]\n").expect("a count");
                let left_out: usize = count.parse().expect("a number");
                prop_assert!(text.starts_with(head) && text.ends_with(tail));
                prop_assert_eq!(head.len() + left_out + tail.len(), text.len());
                let between = &text[head.len()..head.len() + left_out];
                prop_assert_eq!(lines.parse::<usize>().expect("a number"), between.matches('\n').count());
            } else {
                prop_assert!(text.starts_with(&capped));
            }
        }
    }

    #[test]
    fn what_a_person_is_shown_cannot_act_on_a_terminal() {
        assert_eq!(line("a\u{1b}[31mb\u{9b}2Jc\u{7}\r\nd\u{202e}e\u{2066}f\tg"), "a[31mb2Jc  def g");
        assert_eq!(line(&"é".repeat(LINE + 1)), format!("{}…", "é".repeat(LINE)));
    }
}
