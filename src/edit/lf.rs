//! A text as the model sees it, and the way back from places in it to the bytes of the document.

use std::ops::Range;

use ropey::Rope;

use super::{Hunk, Patch};
use crate::text::{LineEnding, Snapshot, to_lf_noting};

/// A text with LF line endings that remembers which of them are CRLF in the document.
pub(super) struct LfText {
    text: String,
    /// Where in `text` each LF stands that is a CRLF in the document.
    crlf: Vec<usize>,
}

/// A change of the text with LF line endings.
pub(super) struct LfEdit {
    pub(super) range: Range<usize>,
    pub(super) new: String,
}

impl LfText {
    pub(super) fn of(rope: &Rope) -> Self {
        let mut crlf = Vec::new();
        let text = to_lf_noting(rope.chunks(), rope.len_bytes(), |at| crlf.push(at));
        Self { text, crlf }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Edits that are in order and do not overlap, as a patch of the document: lines that are not touched keep their own endings,
    /// new lines get the one that most lines have.
    pub(super) fn patch(&self, base: &Snapshot, edits: impl IntoIterator<Item = LfEdit>) -> Patch {
        let ending = base.line_ending();
        let hunk = |edit| {
            let LfEdit { range, new } = self.whole_lines(edit);
            let new = if ending == LineEnding::Lf { new } else { new.replace('\n', ending.as_str()) };
            Hunk { range: self.raw(range.start)..self.raw(range.end), new }
        };
        // Joined before, because a seam has two sides, and after, because a hunk may have grown by a break.
        let hunks = Patch::joined(edits.into_iter().map(hunk)).hunks;
        Patch::joined(hunks.into_iter().map(|hunk| keep_breaks_apart(base.rope(), hunk)))
    }

    /// Where a byte of the LF text stands in the document. Before a CRLF it is before its CR.
    fn raw(&self, offset: usize) -> usize {
        offset + self.crlf.partition_point(|&at| at < offset)
    }

    /// Says "a line after this one" where an edit says "a break and a line at the end of this one". The text after is the
    /// same, but the line before is left alone, so that typing there does not stand against the edit.
    fn whole_lines(&self, edit: LfEdit) -> LfEdit {
        let LfEdit { range, mut new } = edit;
        let behind_is_break = self.text[range.end..].starts_with('\n');
        if behind_is_break && range.is_empty() && new.starts_with('\n') {
            new.remove(0);
            new.push('\n');
            LfEdit { range: range.end + 1..range.end + 1, new }
        } else if behind_is_break && new.is_empty() && self.text[range.clone()].starts_with('\n') {
            LfEdit { range: range.start + 1..range.end + 1, new }
        } else {
            LfEdit { range, new }
        }
    }
}

/// In a text with mixed endings a CR of one line and an LF of another may come to stand side by side and read as one break.
/// Where that would happen the hunk makes its own break a CRLF.
fn keep_breaks_apart(base: &Rope, mut hunk: Hunk) -> Hunk {
    let before = hunk.range.start.checked_sub(1).and_then(|at| base.get_byte(at));
    let behind = base.get_byte(hunk.range.end);
    if before == Some(b'\r') {
        if hunk.new.starts_with('\n') {
            hunk.new.insert(0, '\r');
        } else if hunk.new.is_empty() && behind == Some(b'\n') {
            return Hunk { range: hunk.range.start..hunk.range.end + 1, new: "\r\n".into() };
        }
    }
    if hunk.new.ends_with('\r') && behind == Some(b'\n') {
        hunk.new.push('\n');
    }
    hunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lead_back_to_the_document() {
        let lf = LfText::of(&Rope::from_str("a\r\nb\rc\nd\r\n"));
        assert_eq!(lf.text(), "a\nb\nc\nd\n");
        let raw: Vec<usize> = (0..=lf.text().len()).map(|at| lf.raw(at)).collect();
        assert_eq!(raw, [0, 1, 3, 4, 5, 6, 7, 8, 10]);
    }
}
