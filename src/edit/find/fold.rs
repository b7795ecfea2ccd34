//! Punctuation and spaces that models write for one another, as one character each.
//!
//! A table of its own, because what is at hand folds too much or too little: compatibility normalisation (NFKC) leaves
//! quotes and dashes apart and changes letters, transliteration changes every letter. From the Unicode Character Database:
//! general category Zs; the dashes (Pd) of General Punctuation and MINUS SIGN; the quotation marks U+2018 to U+201F and the
//! primes; the dot leaders; the full-width forms of ASCII, which are U+FF01 to U+FF5E in ASCII's order; and what has no width.

/// A character's folded form: a character, and how often it stands.
pub(super) fn of(c: char) -> (char, usize) {
    if c.is_ascii() {
        return (c, 1);
    }
    match c {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => (' ', 1),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => ('-', 1),
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{2bc}' => ('\'', 1),
        '\u{201c}'..='\u{201f}' | '\u{2033}' => ('"', 1),
        '\u{2024}' => ('.', 1),
        '\u{2025}' => ('.', 2),
        '\u{2026}' => ('.', 3),
        '\u{ff01}'..='\u{ff5e}' => (char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c), 1),
        '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' => (c, 0),
        _ => (c, 1),
    }
}

/// Whether a character is folded into another or none.
pub(super) fn folds(c: char) -> bool {
    of(c) != (c, 1)
}

/// What a character that folds belongs to: who writes one of a family otherwise writes all of it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Spaces,
    Dashes,
    Quotes,
    Dots,
    Wide,
}

pub(super) fn family(c: char) -> Option<Family> {
    let wide = matches!(c, '\u{ff01}'..='\u{ff5e}');
    folds(c).then(|| match of(c).0 {
        _ if wide => Family::Wide,
        '-' => Family::Dashes,
        '\'' | '"' => Family::Quotes,
        '.' => Family::Dots,
        _ => Family::Spaces,
    })
}

fn units(text: &str) -> impl DoubleEndedIterator<Item = char> {
    text.chars().flat_map(|c| {
        let (folded, times) = of(c);
        std::iter::repeat_n(folded, times)
    })
}

pub(super) fn folded(text: &str) -> String {
    units(text).collect()
}

pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || !(a.is_ascii() && b.is_ascii()) && units(a).eq(units(b))
}

/// How many bytes at the start of a text read as `wanted`.
pub(super) fn prefix(text: &str, wanted: &str) -> Option<usize> {
    let chars = text.char_indices().map(|(at, c)| (at + c.len_utf8(), c));
    meet(chars, units(wanted)).map(|end| end.unwrap_or(0))
}

/// Where the end of a text begins to read as `wanted`.
pub(super) fn suffix(text: &str, wanted: &str) -> Option<usize> {
    meet(text.char_indices().rev(), units(wanted).rev()).map(|start| start.unwrap_or(text.len()))
}

/// Follows two texts until the wanted one is used up, and gives the last place in the other, if there is one. A character that
/// folds to several is not cut.
fn meet(chars: impl Iterator<Item = (usize, char)>, mut wanted: impl Iterator<Item = char>) -> Option<Option<usize>> {
    let mut last = None;
    let mut next = wanted.next();
    for (place, c) in chars {
        if next.is_none() {
            break;
        }
        let (folded, times) = of(c);
        for _ in 0..times {
            if next != Some(folded) {
                return None;
            }
            next = wanted.next();
        }
        last = Some(place);
    }
    next.is_none().then_some(last)
}

/// Every place inside a text that reads as `wanted`, overlapping ones too.
pub(super) fn inside(text: &str, wanted: &str) -> Vec<std::ops::Range<usize>> {
    let Some(first) = units(wanted).next() else { return Vec::new() };
    let starts = text.char_indices().filter(|&(_, c)| of(c).0 == first && of(c).1 > 0);
    starts.filter_map(|(at, _)| prefix(&text[at..], wanted).map(|len| at..at + len)).collect()
}

/// The characters of two texts that read the same, one beside the other. One that folds to several stands there several
/// times.
pub(super) fn pairs<'a>(a: &'a str, b: &'a str) -> impl Iterator<Item = (char, char)> + 'a {
    let sources = |text: &'a str| text.chars().flat_map(|c| std::iter::repeat_n(c, of(c).1));
    sources(a).zip(sources(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typographic_characters_read_as_those_on_a_keyboard() {
        assert_eq!(folded("“a”\u{a0}— it’s … ｆ（ｘ）\u{feff}é"), "\"a\" - it's ... f(x)é");
        assert!(same("‘x’", "'x'") && !same("‘x’", "\"x\"") && !same("é", "e"));
    }

    #[test]
    fn parts_of_a_line_are_found_and_no_character_is_cut() {
        assert_eq!(prefix("“a” b", "\"a\""), Some(7));
        assert_eq!(suffix("x “a”", "\"a\""), Some(2));
        assert_eq!(prefix("a… b", "a.."), None);
        assert_eq!(prefix("a… b", "a..."), Some(4));
        assert!(inside("f(“a”), f(\"a\")", "f('a')").is_empty());
        assert_eq!(inside("f(“a”), f(\"a\")", "f(\"a\")"), [0..10, 12..18]);
    }
}
