//! What ropey does not offer: byte ranges replaced, and how much two texts share at their ends.

use std::iter;
use std::ops::Range;

use ropey::{Rope, RopeSlice};

/// Puts `new` in the place of a byte range. Ends inside a code point are moved to its beginning, ends past the text to
/// its end.
pub(crate) fn replace(rope: &mut Rope, range: Range<usize>, new: &str) {
    let len = rope.len_bytes();
    let start = rope.byte_to_char(range.start.min(len));
    let end = rope.byte_to_char(range.end.min(len)).max(start);
    if start < end {
        rope.remove(start..end);
    }
    if !new.is_empty() {
        rope.insert(start, new);
    }
}

/// Whether a line begins at this byte: at the start of the text and after every line break, but not inside a CRLF.
pub(crate) fn is_line_start(rope: &Rope, offset: usize) -> bool {
    if offset == 0 {
        return true;
    }
    match rope.get_byte(offset - 1) {
        Some(b'\n') => true,
        Some(b'\r') => rope.get_byte(offset) != Some(b'\n'),
        _ => false,
    }
}

/// How many bytes two texts share at the beginning, and of the rest at the end; whole code points both.
pub(crate) fn common_ends(a: RopeSlice<'_>, b: RopeSlice<'_>) -> (usize, usize) {
    let prefix = common_prefix(a, b);
    let suffix = common_suffix(a.byte_slice(prefix..), b.byte_slice(prefix..));
    (prefix, suffix)
}

/// How many bytes two strings share at the beginning, whole code points.
pub(crate) fn common_prefix_of(a: &str, b: &str) -> usize {
    floor_char(a, same_bytes(a.as_bytes(), b.as_bytes()))
}

/// How many bytes two strings share at the end, whole code points.
pub(crate) fn common_suffix_of(a: &str, b: &str) -> usize {
    a.len() - ceil_char(a, a.len() - same_bytes_at_end(a.as_bytes(), b.as_bytes()))
}

// `str` has these two from Rust 1.91 on.

/// The beginning of the code point that a byte is in.
pub(crate) fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The end of the code point that a byte is in; the byte itself where one begins.
pub(crate) fn ceil_char(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

fn common_prefix(a: RopeSlice<'_>, b: RopeSlice<'_>) -> usize {
    let (mut left, mut right) = (a.chunks(), b.chunks());
    let (mut x, mut y) = ("", "");
    let mut shared = 0;
    loop {
        if x.is_empty() {
            x = left.next().unwrap_or_default();
        }
        if y.is_empty() {
            y = right.next().unwrap_or_default();
        }
        let most = x.len().min(y.len());
        if most == 0 {
            return shared;
        }
        let same = common_prefix_of(x, y);
        shared += same;
        if same < most {
            return shared;
        }
        // All the bytes are the same, so what is a boundary in the shorter chunk is one in the longer.
        (x, y) = (&x[most..], &y[most..]);
    }
}

fn common_suffix(a: RopeSlice<'_>, b: RopeSlice<'_>) -> usize {
    let (mut left, mut right) = (backwards(a), backwards(b));
    let (mut x, mut y) = ("", "");
    let mut shared = 0;
    loop {
        if x.is_empty() {
            x = left.next().unwrap_or_default();
        }
        if y.is_empty() {
            y = right.next().unwrap_or_default();
        }
        let most = x.len().min(y.len());
        if most == 0 {
            return shared;
        }
        let same = common_suffix_of(x, y);
        shared += same;
        if same < most {
            return shared;
        }
        (x, y) = (&x[..x.len() - most], &y[..y.len() - most]);
    }
}

fn backwards<'a>(slice: RopeSlice<'a>) -> impl Iterator<Item = &'a str> {
    let (mut chunks, ..) = slice.chunks_at_byte(slice.len_bytes());
    iter::from_fn(move || chunks.prev())
}

/// Blocks are compared as wholes first, which is several times faster than byte by byte.
const BLOCK: usize = 64;

fn same_bytes(a: &[u8], b: &[u8]) -> usize {
    let blocks = iter::zip(a.chunks_exact(BLOCK), b.chunks_exact(BLOCK)).take_while(|(x, y)| x == y).count() * BLOCK;
    blocks + iter::zip(&a[blocks..], &b[blocks..]).take_while(|(x, y)| x == y).count()
}

fn same_bytes_at_end(a: &[u8], b: &[u8]) -> usize {
    let blocks = iter::zip(a.rchunks_exact(BLOCK), b.rchunks_exact(BLOCK)).take_while(|(x, y)| x == y).count() * BLOCK;
    let (a, b) = (&a[..a.len() - blocks], &b[..b.len() - blocks]);
    blocks + iter::zip(a.iter().rev(), b.iter().rev()).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cases::campaign;

    fn ends(a: &str, b: &str) -> (usize, usize) {
        common_ends(Rope::from_str(a).slice(..), Rope::from_str(b).slice(..))
    }

    #[test]
    fn shared_ends_are_whole_characters() {
        assert_eq!(ends("", ""), (0, 0));
        assert_eq!(ends("same", "same"), (4, 0));
        assert_eq!(ends("aa", "aaa"), (2, 0));
        // Both begin with F0 9F 98.
        assert_eq!(ends("x😀y", "x😁y"), (1, 1));
        // U+0161 and U+2021 both end with A1.
        assert_eq!(ends("\u{161}", "\u{2021}"), (0, 0));
    }

    #[test]
    fn long_texts_are_compared_across_chunks() {
        let long = "0123456789 äöü 😀\r\n".repeat(2_000);
        let a = format!("{long}x{long}");
        let b = format!("{long}yy{long}");
        assert_eq!(ends(&a, &b), (long.len(), long.len()));
    }

    proptest! {
        #![proptest_config(campaign(20_000))]

        #[test]
        fn shared_ends_equal_a_comparison_by_characters(a in "[aä😀]{0,6}", b in "[aä😀]{0,6}") {
            let prefix: usize =
                a.chars().zip(b.chars()).take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
            let suffix: usize = a[prefix..].chars().rev().zip(b[prefix..].chars().rev())
                .take_while(|(x, y)| x == y).map(|(x, _)| x.len_utf8()).sum();
            prop_assert_eq!(ends(&a, &b), (prefix, suffix));
        }

        #[test]
        fn a_replaced_range_equals_that_of_a_string(
            text in "[a\r\n😀]{0,12}", new in "[b\r\n]{0,3}", at in 0..40_usize, len in 0..9_usize,
        ) {
            let start = floor_char(&text, at);
            let end = floor_char(&text, at + len);
            let mut rope = Rope::from_str(&text);
            replace(&mut rope, at..at + len, &new);
            prop_assert_eq!(rope.to_string(), format!("{}{new}{}", &text[..start], &text[end..]));
        }
    }
}
