//! The text that is searched, by lines.

use std::cell::OnceCell;

/// A text with LF line endings. Where its lines begin is looked up when first asked: an exact match never asks.
pub(in crate::edit) struct Text<'a> {
    text: &'a str,
    starts: OnceCell<Vec<usize>>,
    ascii: OnceCell<bool>,
}

impl<'a> Text<'a> {
    pub(in crate::edit) fn new(text: &'a str) -> Self {
        Self { text, starts: OnceCell::new(), ascii: OnceCell::new() }
    }

    pub(in crate::edit) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn is_ascii(&self) -> bool {
        *self.ascii.get_or_init(|| self.text.is_ascii())
    }

    fn starts(&self) -> &[usize] {
        self.starts.get_or_init(|| {
            let behind = memchr::memchr_iter(b'\n', self.text.as_bytes()).map(|at| at + 1);
            std::iter::once(0).chain(behind).collect()
        })
    }

    /// How many lines there are; behind a final break stands one more, which is empty.
    pub(in crate::edit) fn lines(&self) -> usize {
        self.starts().len()
    }

    /// Where a line begins, from 0; the end of the text for the one behind the last.
    pub(in crate::edit) fn start(&self, line: usize) -> usize {
        self.starts().get(line).copied().unwrap_or(self.text.len())
    }

    /// Where a line ends, before its break.
    pub(in crate::edit) fn end(&self, line: usize) -> usize {
        self.starts().get(line + 1).map_or(self.text.len(), |next| next - 1)
    }

    /// A line without its break.
    pub(in crate::edit) fn line(&self, line: usize) -> &'a str {
        &self.text[self.start(line)..self.end(line)]
    }

    /// The line, from 0, that a place stands on.
    pub(in crate::edit) fn line_at(&self, offset: usize) -> usize {
        self.starts().partition_point(|&start| start <= offset) - 1
    }
}
