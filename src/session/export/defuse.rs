//! Takes the fuse out of Markdown that others wrote: no raw HTML, and no image that a viewer would fetch.

use std::collections::BTreeMap;

use pulldown_cmark::{Event, Options, Parser, Tag};

/// One reading reveals what another hid, so it is read again until nothing is left; two or three times in practice.
const READINGS: usize = 32;

/// The same document, in which HTML is text and images are links. Code is left as it is: what is code is decided by a parser,
/// once as plain CommonMark and once with every extension, because a table or a formula may end where code seems to go on.
#[must_use]
pub fn defuse(mut document: String) -> String {
    for _ in 0..READINGS {
        let fuses = fuses(&document);
        if fuses.is_empty() {
            return document;
        }
        for (at, harmless) in fuses.into_iter().rev() {
            document.replace_range(at..=at, harmless);
        }
    }
    // Nothing gets through, whatever it costs in looks.
    document.replace('<', "&lt;").replace("![", "\\![")
}

/// The places of `<` and `!` that begin HTML and images, with what is to stand there.
fn fuses(document: &str) -> BTreeMap<usize, &'static str> {
    let mut fuses = BTreeMap::new();
    for options in [Options::empty(), Options::all()] {
        for (event, range) in Parser::new_ext(document, options).into_offset_iter() {
            match event {
                Event::Html(_) | Event::InlineHtml(_) => {
                    let inside = document[range.clone()].match_indices('<');
                    fuses.extend(inside.map(|(at, _)| (range.start + at, "&lt;")));
                }
                Event::Start(Tag::Image { .. }) if document[range.clone()].starts_with('!') => {
                    fuses.insert(range.start, "\\!");
                }
                _ => {}
            }
        }
    }
    fuses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(document: &str, expected: &str) {
        assert_eq!(defuse(document.to_owned()), expected);
    }

    #[test]
    fn html_becomes_text_and_images_become_links() {
        check("a <img src=x onerror=y> b", "a &lt;img src=x onerror=y> b");
        check("![cat](http://evil/c.png)", "\\![cat](http://evil/c.png)");
        check("!![cat][r]\n\n[r]: http://evil/c.png\n", "!\\![cat][r]\n\n[r]: http://evil/c.png\n");
        check("> <div>\n> ![x](http://evil)\n> </div>\n", "> &lt;div>\n> \\![x](http://evil)\n> &lt;/div>\n");
        check("<!-- hidden\n\nto the end", "&lt;!-- hidden\n\nto the end");
    }

    #[test]
    fn code_stays_as_it_is() {
        for code in ["`Vec<T>` and `<br>`", "```html\n<img src=x>\n![a](b)\n```\n", "    <pre>\n", "1 < 2 and a<b"] {
            check(code, code);
        }
    }

    #[test]
    fn code_that_a_table_cuts_short_hides_nothing() {
        let table = "| a | b |\n| - | - |\n| `x | <img src=x> ` |\n";
        assert!(!defuse(table.to_owned()).contains("<img"), "{}", defuse(table.to_owned()));
    }

    proptest! {
        #[test]
        fn nothing_that_is_left_is_html_or_an_image(document in "([<>!`\\[\\]()|~\\n /a$\\\\-]|<a>|<!--|-->|</a>|```|!\\[a\\]\\(b\\)|\\[a\\]: b\n|<pre>|\\|-\\|\n|> ){0,24}") {
            let harmless = defuse(document);
            prop_assert_eq!(fuses(&harmless), BTreeMap::new(), "{}", harmless);
        }
    }
}
