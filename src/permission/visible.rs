//! Texts of others, shown so that they cannot pass for anything else.

/// `text` with everything that is not seen, moves a cursor, speaks to a terminal or turns the reading direction spelled out; nothing is
/// left out. Its lines stay lines, each behind a bar that no line of the program's own begins with.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 8);
    for line in text.split('\n') {
        shown.push_str("\n  | ");
        spell(&mut shown, line);
    }
    shown.remove(0);
    shown
}

/// The same in one line.
pub(crate) fn visible_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    spell(&mut shown, text);
    shown
}

fn spell(into: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() || is_unseen(c) {
            into.extend(c.escape_default());
        } else {
            into.push(c);
        }
    }
}

/// Bidirectional overrides and marks, what has no width, blanks that are not the common one, and what only changes its neighbour.
fn is_unseen(c: char) -> bool {
    c != ' ' && c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_23_what_is_asked_shows_every_character_and_none_acts() {
        let command = "ls\u{202e} fr- mr \u{1b}]0;t\u{7}\r\u{200b}\u{a0}\u{9b}31m\u{e0041}\n\tx\\";
        insta::assert_snapshot!(visible(command), @r"
          | ls\u{202e} fr- mr \u{1b}]0;t\u{7}\r\u{200b}\u{a0}\u{9b}31m\u{e0041}
          | \tx\
        ");
        assert_eq!(visible_line("a\nWhy: it is harmless"), "a\\nWhy: it is harmless");
    }

    #[test]
    fn a3_23_nothing_unseen_gets_through_and_nothing_seen_is_changed() {
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            let shown = visible_line(&c.to_string());
            if c.is_control() || "\u{202a}\u{202e}\u{2066}\u{2069}\u{200b}\u{200d}\u{2028}\u{feff}\u{e0020}".contains(c)
            {
                assert!(shown.len() > 1 && shown.is_ascii(), "{c:?}");
            } else if c.is_alphanumeric() && !shown.starts_with('\\') {
                assert_eq!(shown, c.to_string());
            }
            assert!(!shown.is_empty(), "{c:?} is dropped");
        }
    }
}
