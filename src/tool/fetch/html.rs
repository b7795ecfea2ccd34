//! HTML as text, in bounded time: what would take a parser too long is only stripped of its tags.

use std::collections::HashMap;

/// Columns that a page is laid out in.
const COLUMNS: usize = 100;
/// The most of a page that is laid out.
const MOST: usize = 2 * 1024 * 1024;
/// How deep elements may stand in each other; parsers take time by the depth for each.
const DEEPEST: usize = 500;
/// How many attributes a tag may have; parsers hold each against all before it.
const ATTRIBUTES: usize = 4000;

/// Elements that end by themselves, and so do not stand in each other.
const FLAT: &[&str] = &[
    "area", "base", "body", "br", "col", "colgroup", "dd", "dt", "embed", "head", "hr", "html", "img", "input", "li",
    "link", "meta", "optgroup", "option", "p", "param", "rp", "rt", "source", "tbody", "td", "tfoot", "th", "thead",
    "tr", "track", "wbr",
];

/// The text of a page.
pub(super) fn text(html: &str) -> String {
    let end = (0..=html.len().min(MOST)).rev().find(|end| html.is_char_boundary(*end)).unwrap_or_default();
    let html = &html[..end];
    let (plain, tame) = stripped(html);
    if !tame {
        return plain;
    }
    let config = html2text::config::plain().allow_width_overflow().link_footnotes(true);
    config.string_from_read(html.as_bytes(), COLUMNS).unwrap_or(plain)
}

/// A page without its tags, and whether a parser would take it in soon.
fn stripped(html: &str) -> (String, bool) {
    let mut text = String::new();
    let (mut open, mut depth, mut tame) = (HashMap::<String, usize>::new(), 0_usize, true);
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let end = rest.find('>').map_or(rest.len(), |end| end + 1);
        let tag = &rest[1..end];
        let (closes, named) = tag.strip_prefix('/').map_or((false, tag), |named| (true, named));
        if !named.starts_with(|c: char| c.is_ascii_alphabetic()) {
            // `a < b` is text, and so is what follows it.
            text.push('<');
            rest = &rest[1..];
            continue;
        }
        let parted = |c: char| c.is_ascii_whitespace() || c == '/' || c == '>';
        let name = named.split(parted).next().unwrap_or_default().to_ascii_lowercase();
        tame &= tag.bytes().filter(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'')).count()
            < ATTRIBUTES;
        rest = &rest[end..];
        if closes {
            if let Some(count) = open.get_mut(&name).filter(|count| **count > 0) {
                *count -= 1;
                depth -= 1;
            }
        } else if matches!(name.as_str(), "script" | "style") {
            rest = end_of(rest, &name);
        } else if !FLAT.contains(&name.as_str()) {
            *open.entry(name).or_default() += 1;
            depth += 1;
            tame &= depth <= DEEPEST;
        }
        text.push(' ');
    }
    text.push_str(rest);
    (text, tame)
}

/// What follows the end of an element whose content is no markup.
fn end_of<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</") {
        let end = &rest[from + at + 2..];
        if end.get(..name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name)) {
            return end.find('>').map_or("", |close| &end[close + 1..]);
        }
        from += at + 2;
    }
    ""
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_page_is_laid_out() {
        let shown =
            text("<h1>A</h1><ul><li>b<li>c</ul><p>1 < 2 <!-- <b> --><script>if (a<b) {}</script><a href=x>d</a>");
        assert!(shown.contains("# A") && shown.contains("* b") && shown.contains("1 < 2"), "{shown}");
        assert!(!shown.contains("if (a"), "{shown}");
    }

    #[test]
    fn a3_25_what_would_take_long_is_only_stripped() {
        let began = Instant::now();
        let deep = format!("{}deep{}", "<div>".repeat(200_000), "</div>".repeat(200_000));
        let hidden = "<div></x>".repeat(200_000) + "deep";
        let unclosed = "<b>".repeat(500_000) + "deep";
        for page in [deep, hidden, unclosed] {
            assert_eq!(text(&page).trim(), "deep");
        }
        assert_eq!(text(&format!("<p{}>deep", " a".repeat(400_000))).trim(), "deep");
        let scripts = "<script>".repeat(100_000);
        text(&scripts);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
}
