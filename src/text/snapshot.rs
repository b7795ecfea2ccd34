//! A text at one moment.

use std::sync::Arc;

use ropey::Rope;

use super::{Charset, Encoding, LineEnding, to_lf};
use crate::protocol::Range;

/// A text at one moment. Cloning shares the text.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) rope: Rope,
    /// Grows by one with every single content change; what deltas are asked for by. Not the client's version.
    pub(super) revision: u64,
    /// The document that it is a moment of; none for a text that no document held.
    pub(super) document: Option<u64>,
    pub(super) version: i32,
    pub(super) language: Arc<str>,
    pub(super) bom: bool,
    pub(super) charset: Charset,
}

impl Snapshot {
    /// A snapshot of text that no editor holds, such as a file on disk. A leading byte order mark is taken off and
    /// remembered.
    #[must_use]
    pub fn detached(text: &str, language: &str) -> Self {
        let (text, bom) = match text.strip_prefix('\u{feff}') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        Self {
            rope: Rope::from_str(text),
            revision: 0,
            document: None,
            version: 0,
            language: language.into(),
            bom,
            charset: Charset::default(),
        }
    }

    /// The text itself.
    #[must_use]
    pub fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Grows by one with every single content change of its document.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The client's version number.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// The client's language id.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Whether a byte order mark was taken off.
    #[must_use]
    pub fn bom(&self) -> bool {
        self.bom
    }

    /// In what bytes its file keeps it; UTF-8 for what an editor holds, which has an encoding of its own.
    #[must_use]
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// The same text, kept in these bytes.
    #[must_use]
    pub fn kept_in(self, charset: Charset) -> Self {
        Self { charset, ..self }
    }

    /// The same text under another rope: what an edit makes of it, before an editor has said so.
    #[must_use]
    pub fn with_rope(&self, rope: Rope) -> Self {
        Self { rope, document: None, ..self.clone() }
    }

    /// The line ending that most lines have; LF for a text without any.
    #[must_use]
    pub fn line_ending(&self) -> LineEnding {
        LineEnding::majority(&self.rope)
    }

    /// The text with LF line endings: what the model sees.
    #[must_use]
    pub fn lf(&self) -> String {
        to_lf(self.rope.chunks(), self.rope.len_bytes())
    }

    /// The part of a range with LF line endings.
    #[must_use]
    pub fn lf_slice(&self, range: Range, encoding: Encoding) -> String {
        let range = encoding.range(&self.rope, range);
        let slice = self.rope.byte_slice(range);
        to_lf(slice.chunks(), slice.len_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Position;

    #[test]
    fn a_byte_order_mark_is_taken_off_and_remembered() {
        let snapshot = Snapshot::detached("\u{feff}one\r\ntwo", "text");
        assert!(snapshot.bom());
        assert_eq!(snapshot.rope().to_string(), "one\r\ntwo");
        assert!(!Snapshot::detached("one \u{feff}", "text").bom());
    }

    #[test]
    fn the_model_sees_lf() {
        let snapshot = Snapshot::detached("one\r\ntwo\rthree\nfour", "text");
        assert_eq!(snapshot.lf(), "one\ntwo\nthree\nfour");
        let range = Range { start: Position { line: 0, character: 2 }, end: Position { line: 2, character: 99 } };
        assert_eq!(snapshot.lf_slice(range, Encoding::Utf16), "e\ntwo\nthree");
    }

    #[test]
    fn long_texts_lose_no_break_between_chunks() {
        let text = "ab\r\n".repeat(5_000);
        assert_eq!(Snapshot::detached(&text, "text").lf(), "ab\n".repeat(5_000));
    }
}
