//! The strictest tier: the text itself.

use std::ops::Range;

use memchr::memmem;

use super::Wanted;
use super::text::Text;

/// Every place, overlapping ones too, because each of them could be meant.
pub(super) fn places(text: &Text<'_>, wanted: &Wanted<'_>) -> Vec<Range<usize>> {
    let finder = memmem::Finder::new(wanted.old);
    let step = wanted.old.chars().next().map_or(1, char::len_utf8);
    let bytes = text.text().as_bytes();
    let mut found = Vec::new();
    let mut at = wanted.from;
    while let Some(there) = finder.find(&bytes[at..]) {
        let start = at + there;
        let end = start + wanted.old.len();
        if !wanted.whole || is_line_start(bytes, start) && is_line_end(bytes, end, wanted.old) {
            found.push(start..end);
        }
        at = start + step;
    }
    // A line that ends with the file's end is a whole one too.
    if wanted.whole
        && let Some(last) = wanted.old.strip_suffix('\n').filter(|last| !last.is_empty())
        && text.text().ends_with(last)
        && let start = bytes.len() - last.len()
        && start >= wanted.from
        && is_line_start(bytes, start)
    {
        found.push(start..bytes.len());
    }
    found
}

fn is_line_start(text: &[u8], at: usize) -> bool {
    at == 0 || text[at - 1] == b'\n'
}

fn is_line_end(text: &[u8], at: usize, old: &str) -> bool {
    old.ends_with('\n') || text.get(at).is_none_or(|byte| *byte == b'\n')
}
