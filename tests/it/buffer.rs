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
        let version = self.version;
        let changes = self.ranges(edits).into_iter().map(|(range, text)| self.replace(range, &text)).collect();
        self.version = version + 1;
        changes
    }

    /// What text edits replace, the last first.
    pub(crate) fn ranges(&self, edits: &[Value]) -> Vec<(std::ops::Range<usize>, String)> {
        let mut ranges: Vec<_> = edits
            .iter()
            .map(|edit| {
                let (start, end) = (self.offset(&edit["range"]["start"]), self.offset(&edit["range"]["end"]));
                (start..end, edit["newText"].as_str().expect("newText").to_owned())
            })
            .collect();
        ranges.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
        for pair in ranges.windows(2) {
            assert!(pair[1].0.end <= pair[0].0.start, "the server sent edits that overlap: {edits:?}");
        }
        ranges
    }

    /// What Kakoune selects for a range: from the first to the last character, each held within its line, of which the
    /// break is part. An empty range is the place before a character. Kakoune's buffers end with a line break, and what is
    /// beyond it is it.
    pub(crate) fn selected(&self, start: &Value, end: &Value) -> std::ops::Range<usize> {
        let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
        let on_char = |line: u64, column: Option<u64>| {
            let line = line as usize;
            if line >= lines.len() {
                return self.text.len() - 1;
            }
            let before: usize = lines[..line].iter().map(|line| line.len()).sum();
            let last = lines[line].len().saturating_sub(1);
            let mut at = before + column.map_or(last, |column| (column as usize).min(last));
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let place = |position: &Value| (position["line"].as_u64().expect("a line"), position["character"].as_u64());
        let ((line, column), (end_line, end_column)) = (place(start), place(end));
        let first = on_char(line, column);
        if start == end {
            return first..first;
        }
        let last = match end_column {
            Some(0) => on_char(end_line - 1, None),
            column => on_char(end_line, column.map(|column| column - 1)),
        };
        let last = last + self.text[last..].chars().next().map_or(0, char::len_utf8);
        first..last.max(first)
    }
}
