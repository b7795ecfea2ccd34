//! Positions: lines and code units of the agreed encoding, to byte offsets and back.

use ropey::{Rope, RopeSlice};

use crate::protocol::{Position, Range};

/// In what the `character` of a position is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 code units: what LSP means when nobody says otherwise.
    #[default]
    Utf16,
    /// Unicode scalar values.
    Utf32,
}

impl Encoding {
    /// The byte offset of a position. A line past the end means the end of the text, a character past the end of its
    /// line the end of that line (before its line break), and one inside a code point that code point's beginning.
    #[must_use]
    pub fn offset(self, rope: &Rope, position: Position) -> usize {
        let line = position.line as usize;
        let Some(slice) = rope.get_line(line) else { return rope.len_bytes() };
        rope.line_to_byte(line) + self.offset_in_line(slice, position.character as usize)
    }

    /// The position of a byte offset (clamped to the text, and down to a code point's beginning). Between the two
    /// characters of a CRLF there is no position; its line's end is the nearest one.
    #[must_use]
    pub fn position(self, rope: &Rope, offset: usize) -> Position {
        let char = rope.byte_to_char(offset.min(rope.len_bytes()));
        let line = rope.char_to_line(char);
        let first = rope.line_to_char(line);
        let char = char.min(first + content_chars(rope.line(line)));
        let units = match self {
            Self::Utf8 => rope.char_to_byte(char) - rope.line_to_byte(line),
            Self::Utf16 => rope.char_to_utf16_cu(char) - rope.char_to_utf16_cu(first),
            Self::Utf32 => char - first,
        };
        Position { line: clamp(line), character: clamp(units) }
    }

    /// The bytes of a range; one that ends before it begins is empty.
    #[must_use]
    pub fn range(self, rope: &Rope, range: Range) -> std::ops::Range<usize> {
        let start = self.offset(rope, range.start);
        let end = if range.end == range.start { start } else { self.offset(rope, range.end).max(start) };
        start..end
    }

    fn offset_in_line(self, line: RopeSlice<'_>, units: usize) -> usize {
        let last = content_chars(line);
        let char = match self {
            Self::Utf8 => line.byte_to_char(units.min(line.len_bytes())),
            Self::Utf16 => line.utf16_cu_to_char(units.min(line.len_utf16_cu())),
            Self::Utf32 => units,
        };
        line.char_to_byte(char.min(last))
    }
}

/// How many characters a line has before its break.
fn content_chars(line: RopeSlice<'_>) -> usize {
    let bytes = line.len_bytes();
    let end = |back: usize| bytes.checked_sub(back).and_then(|at| line.get_byte(at));
    let breaks = match (end(2), end(1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (_, Some(b'\r' | b'\n')) => 1,
        _ => 0,
    };
    line.len_chars() - breaks
}

fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    fn offset(text: &str, encoding: Encoding, position: Position) -> usize {
        encoding.offset(&Rope::from_str(text), position)
    }

    #[test]
    fn characters_are_counted_in_the_agreed_unit() {
        let text = "a😀ä|";
        for (encoding, units) in [(Encoding::Utf8, 7), (Encoding::Utf16, 4), (Encoding::Utf32, 3)] {
            assert_eq!(offset(text, encoding, at(0, units)), 7, "{encoding:?}");
            assert_eq!(encoding.position(&Rope::from_str(text), 7), at(0, units), "{encoding:?}");
        }
    }

    #[test]
    fn inside_a_character_means_its_beginning() {
        assert_eq!(offset("a😀b", Encoding::Utf16, at(0, 2)), 1);
        assert_eq!(offset("a😀b", Encoding::Utf8, at(0, 3)), 1);
        assert_eq!(Encoding::Utf32.position(&Rope::from_str("a😀b"), 3), at(0, 1));
    }

    #[test]
    fn past_the_line_means_before_its_break() {
        for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
            for (line, expected) in [(0, 2), (1, 6), (2, 9), (3, 12), (4, 12), (u32::MAX, 12)] {
                assert_eq!(offset("ab\r\ncd\nef\rgh", encoding, at(line, u32::MAX)), expected, "{encoding:?} {line}");
            }
            assert_eq!(offset("ab\r\ncd", encoding, at(0, 3)), 2);
        }
    }

    #[test]
    fn only_lf_cr_and_crlf_end_lines() {
        let text = "a\u{b}b\u{c}c\u{85}d\u{2028}e\u{2029}f\ng";
        assert_eq!(offset(text, Encoding::Utf16, at(1, 0)), text.len() - 1);
        assert_eq!(offset(text, Encoding::Utf16, at(2, 0)), text.len());
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_empty() {
        let rope = Rope::from_str("one\ntwo");
        let range = Range { start: at(1, 1), end: at(0, 1) };
        assert_eq!(Encoding::Utf16.range(&rope, range), 5..5);
    }

    #[test]
    fn an_offset_past_the_text_or_inside_a_break_is_clamped() {
        let rope = Rope::from_str("ab\r\nc");
        assert_eq!(Encoding::Utf16.position(&rope, 99), at(1, 1));
        assert_eq!(Encoding::Utf16.position(&rope, 3), at(0, 2));
    }
}
