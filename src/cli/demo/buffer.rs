//! A buffer as an editor keeps it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::protocol::Range;
use crate::text::{ContentChange, Document, Encoding};

/// An open file.
pub(super) struct Buffer {
    uri: String,
    version: i32,
    document: Document,
    encoding: Encoding,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TextEdit {
    range: Range,
    new_text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DocumentEdit {
    text_document: VersionedUri,
    edits: Vec<TextEdit>,
}

#[derive(Deserialize)]
struct VersionedUri {
    uri: String,
    version: Option<i32>,
}

impl Buffer {
    pub(super) fn new(uri: String, text: &str, encoding: Encoding) -> Self {
        Self { uri, version: 1, document: Document::open("rust", 1, text), encoding }
    }

    pub(super) fn text(&self) -> String {
        self.document.snapshot().rope().to_string()
    }

    /// Does a workspace edit, as far as it concerns this buffer and was made for what it holds now. Gives the `didChange` that
    /// tells of it, or why it was not done.
    pub(super) fn apply(&mut self, edit: &Value) -> Result<Value, String> {
        let Some(changes) = edit.get("documentChanges") else {
            return Err("this editor takes documentChanges".into());
        };
        let files: Vec<DocumentEdit> = serde_json::from_value(changes.clone()).map_err(|error| error.to_string())?;
        let [file] = files.as_slice() else { return Err("this editor has one file open".into()) };
        if file.text_document.uri != self.uri {
            return Err(format!("{} is not open", file.text_document.uri));
        }
        if file.text_document.version.is_some_and(|version| version != self.version) {
            return Err("the buffer has changed since".into());
        }
        // Each range is meant in the text before all of them, so the last one goes first.
        let mut edits: Vec<_> = file.edits.iter().collect();
        edits.sort_by_key(|edit| edit.range.start);
        let change = |edit: &TextEdit| ContentChange { range: Some(edit.range), text: edit.new_text.clone() };
        Ok(self.change(&edits.into_iter().rev().map(change).collect::<Vec<_>>()))
    }

    /// Types whole lines above the first line that holds `before`. Gives the `didChange` that tells of it.
    pub(super) fn type_above(&mut self, before: &str, lines: &str) -> Option<Value> {
        let start = self.start_of_line(before)?;
        Some(self.change(&[ContentChange { range: Some(Range { start, end: start }), text: lines.to_owned() }]))
    }

    /// From the beginning of the line that holds `first` to the end of `last` behind it.
    pub(super) fn range(&self, first: &str, last: &str) -> Option<Range> {
        let text = self.text();
        let from = text.find(first)?;
        let to = from + text.get(from..)?.find(last)? + last.len();
        let end = self.encoding.position(self.document.snapshot().rope(), to);
        Some(Range { start: self.start_of_line(first)?, end })
    }

    fn start_of_line(&self, text: &str) -> Option<crate::protocol::Position> {
        let found = self.text().find(text)?;
        let line = self.encoding.position(self.document.snapshot().rope(), found).line;
        Some(crate::protocol::Position { line, character: 0 })
    }

    fn change(&mut self, changes: &[ContentChange]) -> Value {
        self.version += 1;
        self.document.change(self.version, changes, self.encoding, |_, _| {});
        let changes: Vec<_> =
            changes.iter().map(|change| json!({"range": change.range, "text": change.text})).collect();
        json!({"textDocument": {"uri": self.uri, "version": self.version}, "contentChanges": changes})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(version: Value, edits: Value) -> Value {
        json!({"documentChanges": [{"textDocument": {"uri": "file:///a", "version": version}, "edits": edits}]})
    }

    fn at(line: u32, from: u32, to: u32, text: &str) -> Value {
        json!({
            "range": {"start": {"line": line, "character": from}, "end": {"line": line, "character": to}},
            "newText": text,
        })
    }

    #[test]
    fn the_ranges_of_one_edit_are_meant_in_the_text_before_all_of_them() {
        let mut buffer = Buffer::new("file:///a".into(), "one ü\ntwo\n", Encoding::Utf8);
        let told = buffer.apply(&edit(json!(1), json!([at(0, 0, 3, "first\n1"), at(1, 0, 3, "2")]))).unwrap();
        assert_eq!(buffer.text(), "first\n1 ü\n2\n");
        assert_eq!(told["textDocument"]["version"], 2);
        assert_eq!(told["contentChanges"][0]["text"], "2");
    }

    #[test]
    fn an_edit_for_another_version_or_file_is_refused_and_changes_nothing() {
        let mut buffer = Buffer::new("file:///a".into(), "one\n", Encoding::Utf8);
        buffer.type_above("one", "zero\n").unwrap();
        assert!(buffer.apply(&edit(json!(1), json!([at(0, 0, 3, "x")]))).is_err());
        let other = json!({"documentChanges": [{"textDocument": {"uri": "file:///b", "version": null}, "edits": []}]});
        assert!(buffer.apply(&other).is_err());
        assert_eq!(buffer.text(), "zero\none\n");
        assert!(buffer.apply(&edit(Value::Null, json!([at(1, 0, 3, "x")]))).is_ok());
        assert_eq!(buffer.text(), "zero\nx\n");
    }
}
