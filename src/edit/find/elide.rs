//! Texts that leave out their middle: a line such as `// ...` stands for what is there.

/// A text around its left-out parts.
pub(super) struct Parts<'a> {
    /// The pieces between, each whole lines.
    pub(super) pieces: Vec<&'a str>,
    /// The lines that stand for what is left out, trimmed.
    pub(super) marks: Vec<&'a str>,
}

/// Cuts a text at the lines that stand for others.
pub(super) fn parts(text: &str) -> Parts<'_> {
    let (mut pieces, mut marks) = (Vec::new(), Vec::new());
    let (mut start, mut at) = (0, 0);
    let mut before = "";
    for line in text.split_inclusive('\n') {
        if stands_for_others(line, before) {
            pieces.push(&text[start..at]);
            marks.push(line.trim());
            start = at + line.len();
        }
        at += line.len();
        if !line.trim().is_empty() {
            before = line;
        }
    }
    pieces.push(&text[start..]);
    Parts { pieces, marks }
}

/// The first line of the new text, from 1, that stands for others and has no counterpart in the old one.
pub(super) fn omission<'a>(old: &str, new: &'a str) -> Option<(usize, &'a str)> {
    if !new.contains("...") && !new.contains('…') {
        return None;
    }
    let mut there: Vec<&str> = old.lines().map(str::trim).collect();
    let mut before = "";
    for (number, line) in (1..).zip(new.lines()) {
        let text = line.trim();
        if stands_for_others(line, before) {
            let Some(at) = there.iter().position(|line| *line == text) else { return Some((number, text)) };
            there.swap_remove(at);
        }
        if !text.is_empty() {
            before = line;
        }
    }
    None
}

const OPENINGS: [&str; 11] = ["<!--", "{/*", "/*", "///", "//", "##", "#", "--", ";;", ";", "%"];
const CLOSINGS: [&str; 3] = ["-->", "*/}", "*/"];
/// Words that say that something stays, where dots do not stand alone.
const WORDS: [&str; 13] = [
    "existing",
    "rest",
    "remaining",
    "unchanged",
    "same",
    "previous",
    "other",
    "omitted",
    "snip",
    "code",
    "continues",
    "keep",
    "more",
];

/// Whether a line is a placeholder: dots alone, or a comment of dots and, maybe, words that say what is left out.
fn stands_for_others(line: &str, before: &str) -> bool {
    let text = line.trim();
    if !text.contains("...") && !text.contains('…') {
        return false;
    }
    let opened = OPENINGS.iter().find_map(|opening| text.strip_prefix(opening));
    let inner = opened.unwrap_or(text).trim();
    let inner = CLOSINGS.iter().find_map(|closing| inner.strip_suffix(closing)).unwrap_or(inner).trim();
    let first = inner.strip_prefix("...").or_else(|| inner.strip_prefix('…'));
    let last = inner.strip_suffix("...").or_else(|| inner.strip_suffix('…'));
    let dots = |text: &str| text.chars().all(|c| matches!(c, '.' | '…'));
    if dots(inner) {
        // The body of a Python function may be `...`.
        return opened.is_some() || !before.trim_end().ends_with(':');
    }
    let says_so = || {
        let lower = inner.to_lowercase();
        lower.split(|c: char| !c.is_alphanumeric()).any(|word| WORDS.contains(&word))
    };
    match opened {
        Some(_) => (first.is_some() || last.is_some()) && says_so(),
        None => first.is_some() && last.is_some() && says_so(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_code() {
        for line in [
            "...",
            "  …",
            "// ...",
            "    // ... existing code ...",
            "# ... rest of the function",
            "<!-- ... -->",
            "/* ... unchanged ... */",
            "{/* ... other props ... */}",
            "-- … same as before",
            "// rest of the code ...",
            "... existing code ...",
        ] {
            assert!(stands_for_others(line, ""), "{line}");
        }
        for line in ["f(...args)", "...props,", "// wait...", "for x in a...b {", "\"...\"", "# Loading ...", ".."] {
            assert!(!stands_for_others(line, ""), "{line}");
        }
        assert!(!stands_for_others("    ...", "def f(self):\n"));
    }

    #[test]
    fn a_text_is_cut_where_lines_stand_for_others() {
        let parts = parts("a\n  // ...\nb\nc\n...\nd");
        assert_eq!(parts.pieces, ["a\n", "b\nc\n", "d"]);
        assert_eq!(parts.marks, ["// ...", "..."]);
    }

    #[test]
    fn only_what_the_old_text_has_may_be_left_out() {
        assert_eq!(omission("a\n// ...\nb", "a\n// ...\nc"), None);
        assert_eq!(omission("a\nb", "a\n// ...\nb"), Some((2, "// ...")));
        assert_eq!(omission("a\n// ...\nb", "// ...\nx\n// ...\n"), Some((3, "// ...")));
    }
}
