//! Texts that were escaped once too often: `\n` for a line break, `\"` for a quote.

/// The readings of an old text and its new one without their escapes, the most likely first.
pub(super) fn unescaped(old: &str, new: &str) -> Vec<(String, String)> {
    let shown = kinds(old);
    if shown.is_empty() {
        return Vec::new();
    }
    // A string put into JSON twice has no bare break or quote left.
    let wholly = [old, new].iter().all(|text| is_inside_of_json_string(text));
    let mut readings: Vec<(String, String)> = Vec::new();
    let quotes: Vec<char> = shown.iter().copied().filter(|kind| matches!(kind, '"' | '\'')).collect();
    let all: &[char] = &['n', 't', 'r', '"', '\'', '\\', '/'];
    // Nobody escapes a break and leaves the rest alone, so then the whole is all that these can mean.
    let only_shown: &[char] = if wholly && shown.contains(&'n') { &[] } else { shown.as_slice() };
    for kinds in [if wholly { all } else { &[] }, quotes.as_slice(), only_shown] {
        let reading = (without(old, kinds), without(new, kinds));
        if reading.0 != old && !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    readings
}

/// The escapes that a new text has and its old one has not.
pub(super) fn only_new(old: &str, new: &str) -> String {
    let shown = kinds(old);
    let only: Vec<String> =
        kinds(new).into_iter().filter(|kind| !shown.contains(kind)).map(|kind| format!("\\{kind}")).collect();
    only.join(", ")
}

/// What stands behind the backslashes of a text.
fn kinds(text: &str) -> Vec<char> {
    let mut kinds = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\'
            && let Some(kind) = chars.next()
            && plain(kind).is_some()
            && !kinds.contains(&kind)
        {
            kinds.push(kind);
        }
    }
    kinds
}

fn plain(kind: char) -> Option<char> {
    Some(match kind {
        'n' => '\n',
        't' => '\t',
        // As the model sees texts.
        'r' => '\r',
        '"' | '\'' | '\\' | '/' => kind,
        _ => return None,
    })
}

fn is_inside_of_json_string(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().and_then(plain).is_none() => return false,
            '"' | '\n' | '\t' => return false,
            _ => {}
        }
    }
    true
}

fn without(text: &str, kinds: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let kind = chars.peek().copied().filter(|kind| c == '\\' && kinds.contains(kind));
        match kind.and_then(plain) {
            Some(plain) => {
                chars.next();
                out.push(plain);
            }
            // A backslash that stays takes what it escapes along.
            None if c == '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            None => out.push(c),
        }
    }
    if out.contains('\r') { out.replace("\r\n", "\n").replace('\r', "\n") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_escaped_as_a_whole_loses_every_escape() {
        let readings = unescaped(r#"say(\"a\\n\");\n\tend"#, r#"say(\"b\");\n"#);
        assert_eq!(readings[0], ("say(\"a\\n\");\n\tend".to_owned(), "say(\"b\");\n".to_owned()));
    }

    #[test]
    fn of_a_text_with_breaks_only_the_shown_escapes_go() {
        let readings = unescaped("say(\\\"a\\n\\\");\nend", "say(\\\"b\\n\\\");\nend");
        assert_eq!(readings[0], ("say(\"a\\n\");\nend".to_owned(), "say(\"b\\n\");\nend".to_owned()));
    }

    #[test]
    fn a_text_without_escapes_has_no_other_reading() {
        assert!(unescaped("a = 1", "say(\\\"b\\\")").is_empty());
        assert!(unescaped("\\d+\\.", "").is_empty());
    }
}
