//! A buffer as an editor holds it, written apart from the server's own: plain strings, plain loops.

use serde_json::{Value, json};

/// In what a client counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Utf16,
    Chars,
}

impl Unit {
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "utf-8" => Self::Bytes,
            "utf-32" => Self::Chars,
            "utf-16" => Self::Utf16,
            other => panic!("no such encoding: {other}"),
        }
    }

    fn len(self, c: char) -> usize {
        match self {
            Self::Bytes => c.len_utf8(),
            Self::Utf16 => c.len_utf16(),
            Self::Chars => 1,
        }
    }
}

/// A text with positions.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    pub(crate) text: String,
    pub(crate) version: i64,
    pub(crate) unit: Unit,
}

impl Buffer {
    pub(crate) fn offset(&self, position: &Value) -> usize {
        let line = position["line"].as_u64().expect("a line");
        let character = position["character"].as_u64().expect("a character");
        let mut start = 0;
        for _ in 0..line {
            match self.text[start..].find('\n') {
                Some(end) => start += end + 1,
                None => return self.text.len(),
            }
        }
        let mut units = 0;
        for (at, c) in self.text[start..].char_indices() {
            if units >= character as usize || c == '\n' || self.text[start + at..].starts_with("\r\n") {
                return start + at;
            }
            units += self.unit.len(c);
        }
        self.text.len()
    }

    pub(crate) fn position(&self, offset: usize) -> Value {
        let before = &self.text[..offset];
        let line = before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let character: usize = before[start..].chars().map(|c| self.unit.len(c)).sum();
        json!({ "line": line, "character": character })
    }

    pub(crate) fn range(&self, range: std::ops::Range<usize>) -> Value {
        json!({ "start": self.position(range.start), "end": self.position(range.end) })
    }

    /// Replaces a part and says so as an editor would.
    pub(crate) fn replace(&mut self, range: std::ops::Range<usize>, text: &str) -> Value {
        let change = json!({ "range": self.range(range.clone()), "text": text });
        self.text.replace_range(range, text);
        self.version += 1;
        change
    }

    /// Applies text edits, all against the text before, from the last to the first, as editors do.
    pub(crate) fn apply(&mut self, edits: &[Value]) -> Vec<Value> {
        let mut ranges: Vec<(usize, usize, &str)> = edits
            .iter()
            .map(|edit| {
                let (start, end) = (self.offset(&edit["range"]["start"]), self.offset(&edit["range"]["end"]));
                (start, end, edit["newText"].as_str().expect("newText"))
            })
            .collect();
        ranges.sort_by_key(|(start, ..)| std::cmp::Reverse(*start));
        for pair in ranges.windows(2) {
            assert!(pair[1].1 <= pair[0].0, "the server sent edits that overlap: {edits:?}");
        }
        let version = self.version;
        let changes = ranges.into_iter().map(|(start, end, text)| self.replace(start..end, text)).collect();
        self.version = version + 1;
        changes
    }
}
