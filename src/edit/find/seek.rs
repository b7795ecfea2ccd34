//! Finding a block of lines that reads as another. Linear in the text, whatever repeats in it.

use std::ops::Range;

use memchr::memmem;

use super::text::Text;
use super::{Wanted, fold};

/// What lines may differ in. Trailing white space always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Punctuation and spaces count as their folded forms.
    pub(super) fold: bool,
    /// Leading white space does not count here; whether it fits is for [`super::indent`] to say. Whole lines only.
    pub(super) shift: bool,
}

impl Way {
    pub(super) fn is_space(self, c: char) -> bool {
        matches!(c, ' ' | '\t' | '\u{b}' | '\u{c}')
            || self.fold && !c.is_ascii() && (fold::of(c).0 == ' ' || fold::of(c).1 == 0)
    }

    pub(super) fn trim_end(self, line: &str) -> &str {
        line.trim_end_matches(|c| self.is_space(c))
    }

    pub(super) fn trim_start(self, line: &str) -> &str {
        line.trim_start_matches(|c| self.is_space(c))
    }

    /// What of a line counts.
    pub(super) fn key(self, line: &str) -> &str {
        let line = self.trim_end(line);
        if self.shift { self.trim_start(line) } else { line }
    }

    /// Whether two lines of which only the counting parts are left read the same.
    pub(super) fn same(self, a: &str, b: &str) -> bool {
        if self.fold { fold::same(a, b) } else { a == b }
    }

    fn prefix(self, line: &str, wanted: &str) -> Option<usize> {
        if self.fold { fold::prefix(line, wanted) } else { line.starts_with(wanted).then_some(wanted.len()) }
    }

    fn suffix(self, line: &str, wanted: &str) -> Option<usize> {
        if self.fold { fold::suffix(line, wanted) } else { line.ends_with(wanted).then(|| line.len() - wanted.len()) }
    }

    /// Where a line's end begins that reads as the first of the wanted lines.
    fn ends(self, line: &str, first: &str) -> Option<usize> {
        match self.trim_end(first) {
            // White space alone stands on a line of its own; nothing at all stands at the end of every line.
            "" if !first.is_empty() => self.trim_end(line).is_empty().then_some(0),
            first => self.suffix(self.trim_end(line), first),
        }
    }

    /// Where a line's beginning ends that reads as the last of the wanted lines.
    fn begins(self, line: &str, last: &str) -> Option<usize> {
        self.prefix(line, last).or_else(|| {
            let (line, wanted) = (self.trim_end(line), self.trim_end(last));
            (wanted.len() < last.len() && self.same(line, wanted)).then_some(line.len())
        })
    }
}

/// Every place of a text that reads as the wanted text, overlapping ones too.
pub(super) fn blocks(text: &Text<'_>, wanted: &Wanted<'_>, way: Way) -> Vec<Range<usize>> {
    let mut lines: Vec<&str> = wanted.old.split('\n').collect();
    let closed = lines.len() > 1 && lines.last().is_some_and(|line| line.is_empty());
    if closed {
        lines.pop();
    }
    let keys: Vec<&str> = lines.iter().map(|line| way.key(line)).collect();
    if keys.iter().all(|key| key.is_empty()) {
        return Vec::new();
    }
    let whole_first = wanted.whole || way.shift;
    let whole_last = closed || whole_first;
    let from = text.line_at(wanted.from);
    if let ([only], false) = (lines.as_slice(), whole_first) {
        return within_lines(text, from, only, closed, way);
    }

    let count = lines.len();
    let skipped = usize::from(!whole_first);
    let middle = &keys[skipped..count - usize::from(!whole_last)];
    let mut found = Vec::new();
    let end_of = |line: usize| if closed { text.start(line + 1) } else { text.end(line) };
    runs(text, from + skipped, middle, way, |line| {
        let first = line - skipped;
        let last = first + count - 1;
        // Behind the text's last break there is no line that could end.
        if last >= text.lines() || closed && last + 1 == text.lines() && text.line(last).is_empty() {
            return;
        }
        let start = if whole_first { Some(0) } else { way.ends(text.line(first), lines[0]) };
        let end = if whole_last {
            Some(end_of(last))
        } else {
            way.begins(text.line(last), lines[count - 1]).map(|end| text.start(last) + end)
        };
        if let (Some(start), Some(end)) = (start, end) {
            found.push(text.start(first) + start..end);
        }
    });
    found
}

/// A text of one line, with its break or without: a part of any line.
fn within_lines(text: &Text<'_>, from: usize, wanted: &str, closed: bool, way: Way) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let bare = way.trim_end(wanted);
    let at_end = closed || bare.len() < wanted.len();
    let plain = fold::folded(bare);
    let finder = memmem::Finder::new(&plain);
    for at in from..text.lines() {
        let (start, line) = (text.start(at), text.line(at));
        if at_end {
            let end = if closed { text.start(at + 1) } else { text.end(at) };
            found.extend(way.suffix(way.trim_end(line), bare).map(|there| start + there..end));
        } else if way.fold {
            if line.is_ascii() {
                found.extend(finder.find_iter(line.as_bytes()).map(|there| start + there..start + there + plain.len()));
            } else {
                found.extend(fold::inside(line, bare).into_iter().map(|there| start + there.start..start + there.end));
            }
        }
    }
    found
}

/// Hears of every line, from `from`, at which the pattern begins (Knuth, Morris and Pratt's search, with lines for letters).
fn runs(text: &Text<'_>, from: usize, pattern: &[&str], way: Way, mut hit: impl FnMut(usize)) {
    if pattern.is_empty() {
        (from..text.lines()).for_each(hit);
        return;
    }
    // For each beginning of the pattern: how long a shorter beginning it ends with.
    let mut borders = vec![0; pattern.len()];
    let mut matched = 0;
    for at in 1..pattern.len() {
        while matched > 0 && !way.same(pattern[at], pattern[matched]) {
            matched = borders[matched - 1];
        }
        matched += usize::from(way.same(pattern[at], pattern[matched]));
        borders[at] = matched;
    }
    matched = 0;
    for at in from..text.lines() {
        let line = way.key(text.line(at));
        while matched > 0 && !way.same(line, pattern[matched]) {
            matched = borders[matched - 1];
        }
        matched += usize::from(way.same(line, pattern[matched]));
        if matched == pattern.len() {
            hit(at + 1 - matched);
            matched = borders[matched - 1];
        }
    }
}
