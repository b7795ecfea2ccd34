//! A secret as texts spell it: as it is, or with characters escaped as in JSON, in a dump of JSON, or in an address.

use std::ops::Range;

/// The most backslashes before one character: each dump of a dump doubles them, and nobody goes on for ever.
const BACKSLASHES: usize = 16;

/// The text with `instead` in the place of the secret, however it is spelled.
pub(super) fn replaced(text: String, secret: &str, instead: &str) -> String {
    let mut text = text;
    if let Some(first) = escaped(&text, secret) {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text.as_str());
        let mut found = Some(first);
        while let Some(Range { start, end }) = found {
            out.push_str(&rest[..start]);
            out.push_str(instead);
            rest = &rest[end..];
            found = escaped(rest, secret);
        }
        out.push_str(rest);
        text = out;
    }
    if text.contains(secret) { text.replace(secret, instead) } else { text }
}

/// Whether it is in there, however it is spelled.
pub(super) fn holds(text: &str, secret: &str) -> bool {
    text.contains(secret) || escaped(text, secret).is_some()
}

/// How many bytes at the end of a text may be the beginning of a secret.
pub(super) fn overlap(text: &str, secret: &str) -> usize {
    let most = text.len().min(secret.len().saturating_sub(1));
    let plain = (1..=most).rev().find(|length| text.as_bytes().ends_with(&secret.as_bytes()[..*length]));
    let escaped = starts(text, secret).find(|at| follow(&text.as_bytes()[*at..], secret) == Follows::ToTheEnd);
    plain.unwrap_or(0).max(escaped.map_or(0, |at| text.len() - at))
}

/// Where it is spelled, perhaps with escapes; nothing for a text without any, which is most.
fn escaped(text: &str, secret: &str) -> Option<Range<usize>> {
    starts(text, secret).find_map(|at| match follow(&text.as_bytes()[at..], secret) {
        Follows::Whole(length) => Some(at..at + length),
        Follows::ToTheEnd | Follows::Not => None,
    })
}

/// Where a secret with escapes may begin. All of these are boundaries of characters.
fn starts(text: &str, secret: &str) -> impl Iterator<Item = usize> {
    let first = secret.bytes().find(|byte| *byte != b'\\');
    let first = first.filter(|_| memchr::memchr2(b'\\', b'%', text.as_bytes()).is_some());
    first.into_iter().flat_map(|first| memchr::memchr3_iter(b'\\', b'%', first, text.as_bytes()))
}

/// How far a text goes along with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follows {
    /// All the way, in so many bytes.
    Whole(usize),
    /// Until it ends itself.
    ToTheEnd,
    Not,
}

/// Backslashes are no part of the comparison: their number is a matter of how often the text was escaped.
fn follow(text: &[u8], secret: &str) -> Follows {
    let mut at = 0;
    for wanted in secret.bytes().filter(|byte| *byte != b'\\') {
        let skipped = backslashes(&text[at..]);
        at += skipped;
        match read(&text[at..], skipped > 0, wanted) {
            Follows::Whole(length) => at += length,
            other => return other,
        }
    }
    Follows::Whole(at)
}

fn backslashes(text: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..BACKSLASHES {
        at += match &text[at..] {
            [b'\\', b'u', b'0', b'0', b'5', b'c' | b'C', ..] => 6,
            [b'\\', ..] => 1,
            [b'%', b'5', b'c' | b'C', ..] => 3,
            _ => break,
        };
    }
    at
}

/// Whether the next character of a text is this one.
fn read(text: &[u8], after_backslash: bool, wanted: u8) -> Follows {
    let hex = |digits: &[u8]| std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let escape = match text.first() {
        None => return Follows::ToTheEnd,
        Some(b'%') => Some(2),
        Some(b'u') if after_backslash => Some(4),
        Some(_) => None,
    };
    if let Some(digits) = escape {
        let code = &text[1..text.len().min(1 + digits)];
        if code.len() == digits && hex(code) == Some(u32::from(wanted)) {
            return Follows::Whole(1 + digits);
        }
        if text[0] != wanted && code.len() < digits && code.iter().all(u8::is_ascii_hexdigit) {
            return Follows::ToTheEnd;
        }
    }
    if text[0] == wanted { Follows::Whole(1) } else { Follows::Not }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "sk-31\"41\\59/26+53=58%2F97";

    /// The ways in which programs write it.
    fn spellings(key: &str) -> Vec<String> {
        let json = serde_json::to_string(key).unwrap();
        let json = json[1..json.len() - 1].to_owned();
        let wide: String = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        let percent = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
        let dump = |text: &str| {
            let dump = format!("{text:?}");
            dump[1..dump.len() - 1].to_owned()
        };
        vec![
            key.to_owned(),
            dump(&json),
            dump(&dump(&json)),
            json.replace('/', "\\/"),
            json.replace('+', "\\u002B"),
            wide,
            percent.replace("%2F", "%2f").replace("%5C", "%5c"),
            percent,
            json,
        ]
    }

    #[test]
    fn p9_a_key_is_found_however_it_is_escaped() {
        for spelled in spellings(KEY) {
            let text = format!("{{\"k\": \"a {spelled}\", \"é\": 100%}} {spelled}");
            assert_eq!(replaced(text.clone(), KEY, "*"), "{\"k\": \"a *\", \"é\": 100%} *", "{spelled}");
            assert!(holds(&text, KEY), "{spelled}");
            for cut in 1..spelled.len() {
                let begun = format!("é\\n{}", &spelled[..cut]);
                assert!(overlap(&begun, KEY) >= cut, "{begun}: {}", overlap(&begun, KEY));
            }
        }
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in ["", "100% of \\u0073ome", "%73k-31", "C:\\sk-31\\n", "é\\é%é", "\\u", "%"] {
            assert_eq!(replaced(text.to_owned(), KEY, "*"), text);
        }
        assert_eq!((overlap("nothing", KEY), overlap("100% or", KEY), overlap("\\n\\", KEY)), (0, 0, 1));
        assert_eq!(replaced("\\\\\\\\ %5C".to_owned(), "\\\\\\\\\\\\\\\\", "*"), "\\\\\\\\ %5C");
    }

    proptest! {
        #[test]
        fn nothing_that_is_no_key_is_cut_apart(text in "[sk3u%\\\\0-9é\"]{0,40}", key in "[a-z%\\\\é]{8,12}") {
            let _ = overlap(&text, &key);
            prop_assert_eq!(replaced(text.clone(), &key, "*") == text, !holds(&text, &key));
            let mixed = format!("{text}{key}");
            prop_assert!(holds(&mixed, &key) && !holds(&replaced(mixed, &key, "*"), &key));
        }
    }
}
