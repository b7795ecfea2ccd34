//! The strictest tier: the text itself.

use memchr::memmem;

use super::{Match, Wanted};

/// Every place, overlapping ones too, because each of them could be meant; with `all` one after another.
pub(super) fn matches(text: &str, wanted: &Wanted<'_>) -> Vec<Match> {
    let finder = memmem::Finder::new(wanted.old);
    let first = wanted.old.chars().next().map_or(1, char::len_utf8);
    let step = if wanted.all { wanted.old.len() } else { first };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(there) = finder.find(&text.as_bytes()[at..]) {
        let start = at + there;
        // Only `all` needs the new text of more than one place.
        let new = if wanted.all || found.is_empty() { wanted.new.to_owned() } else { String::new() };
        found.push(Match { range: start..start + wanted.old.len(), new });
        at = start + step;
    }
    found
}
