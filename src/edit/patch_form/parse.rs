//! Reading the form.

use super::{Chunk, FileChange, Line};
use crate::edit::diff::with_lf;

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ADD: &str = "*** Add File:";
const UPDATE: &str = "*** Update File:";
const DELETE: &str = "*** Delete File:";
const MOVE: &str = "*** Move to:";
const END_OF_FILE: &str = "*** End of File";

/// Why a text is no patch: the line of it, from 1, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the patch: {why}")]
pub struct FormError {
    /// Which line of the text that was given.
    pub line: usize,
    /// What is wrong with it, and what was expected.
    pub why: String,
}

/// Reads a patch.
///
/// # Errors
/// The first line that does not fit the form.
pub fn parse(patch: &str) -> Result<Vec<FileChange>, FormError> {
    let patch = with_lf(patch);
    let mut lines = body(&patch)?;
    let mut changes = Vec::new();
    while let Some((at, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let Some(header) = Header::of(line) else {
            let why =
                format!("expected \"{ADD} PATH\", \"{UPDATE} PATH\", \"{DELETE} PATH\" or \"{END}\", not {line:?}");
            return Err(FormError { line: at, why });
        };
        let path = path(at, header.rest)?;
        changes.push(match header.kind {
            Kind::Add => FileChange::Add { path, content: content(&mut lines)? },
            Kind::Update => update(at, path, &mut lines)?,
            Kind::Delete => FileChange::Delete { path },
        });
    }
    if changes.is_empty() {
        let why = format!("no file between \"{BEGIN}\" and \"{END}\"");
        return Err(FormError { line: 1, why });
    }
    Ok(changes)
}

/// The lines between the first and the last, with their numbers.
struct Lines<'a> {
    lines: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<(usize, &'a str)> {
        let line = self.peek()?;
        self.next += 1;
        Some(line)
    }

    fn peek(&self) -> Option<(usize, &'a str)> {
        self.lines.get(self.next).copied()
    }
}

/// What stands between "Begin" and "End". Blank lines, a shell's here-document and a Markdown fence may be around it,
/// because models write them there.
fn body(patch: &str) -> Result<Lines<'_>, FormError> {
    let all: Vec<(usize, &str)> = (1..).zip(patch.split('\n')).collect();
    let mut lines = trimmed(&all);
    while let [(_, first), inner @ .., (_, last)] = lines
        && wraps(first.trim(), last.trim())
    {
        lines = trimmed(inner);
    }
    let (Some((at, first)), Some((end_at, last))) = (lines.first(), lines.last()) else {
        return Err(FormError { line: 1, why: format!("it is empty; expected \"{BEGIN}\"") });
    };
    if first.trim() != BEGIN {
        return Err(FormError { line: *at, why: format!("expected \"{BEGIN}\", not {first:?}") });
    }
    if last.trim() == END && lines.len() > 1 {
        return Ok(Lines { lines: lines[1..lines.len() - 1].to_vec(), next: 0 });
    }
    let why = if lines.iter().any(|(_, line)| line.trim() == END) {
        format!("nothing may stand behind \"{END}\"; one patch can change many files")
    } else {
        format!("\"{END}\" is missing, so the patch may be cut off")
    };
    Err(FormError { line: *end_at, why })
}

fn trimmed<'a, 'b>(mut lines: &'b [(usize, &'a str)]) -> &'b [(usize, &'a str)] {
    while let [(_, first), rest @ ..] = lines
        && first.trim().is_empty()
    {
        lines = rest;
    }
    while let [rest @ .., (_, last)] = lines
        && last.trim().is_empty()
    {
        lines = rest;
    }
    lines
}

/// Whether two lines open and close a here-document or a fence.
fn wraps(first: &str, last: &str) -> bool {
    if first.starts_with("```") && last == "```" {
        return true;
    }
    let Some((_, word)) = first.split_once("<<") else { return false };
    let word = word.trim_start_matches('-').trim().trim_matches(['\'', '"']);
    !word.is_empty() && last == word
}

enum Kind {
    Add,
    Update,
    Delete,
}

struct Header<'a> {
    kind: Kind,
    rest: &'a str,
}

impl<'a> Header<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let after = |marker: &str, kind| line.strip_prefix(marker).map(|rest| Self { kind, rest });
        after(ADD, Kind::Add).or_else(|| after(UPDATE, Kind::Update)).or_else(|| after(DELETE, Kind::Delete))
    }
}

fn path(at: usize, rest: &str) -> Result<String, FormError> {
    match rest.trim() {
        "" => Err(FormError { line: at, why: "the path is missing".into() }),
        path => Ok(path.to_owned()),
    }
}

/// A line that ends what a file's section holds.
fn ends_section(line: &str) -> bool {
    line.starts_with("*** ") && line.trim() != END_OF_FILE
}

/// The text of a new file. A blank line between two others that lacks its `+` counts as one.
fn content(lines: &mut Lines<'_>) -> Result<String, FormError> {
    let mut content = String::new();
    let mut blank = 0;
    while let Some((at, line)) = lines.peek() {
        if let Some(text) = line.strip_prefix('+') {
            (0..std::mem::take(&mut blank)).for_each(|_| content.push('\n'));
            content.push_str(text);
            content.push('\n');
        } else if line.trim().is_empty() {
            blank += 1;
        } else if ends_section(line) {
            break;
        } else if line.trim() != END_OF_FILE {
            return Err(FormError { line: at, why: format!("each line of a new file begins with '+', not {line:?}") });
        }
        lines.next();
    }
    Ok(content)
}

fn update(at: usize, path_of: String, lines: &mut Lines<'_>) -> Result<FileChange, FormError> {
    let mut to = None;
    if let Some((at, line)) = lines.peek()
        && let Some(rest) = line.trim().strip_prefix(MOVE)
    {
        to = Some(path(at, rest)?);
        lines.next();
    }
    let chunks = chunks(lines)?;
    if chunks.is_empty() && to.is_none() {
        return Err(FormError { line: at, why: format!("nothing changes in {path_of}: no lines follow") });
    }
    Ok(FileChange::Update { path: path_of, to, chunks })
}

fn chunks(lines: &mut Lines<'_>) -> Result<Vec<Chunk>, FormError> {
    let mut chunks = Vec::new();
    let mut chunk = Open::default();
    while let Some((at, line)) = lines.peek() {
        if ends_section(line) {
            break;
        }
        lines.next();
        if line.trim() == END_OF_FILE {
            chunk.chunk.at_end = true;
            chunk.close_into(&mut chunks)?;
        } else if let Some(anchor) = line.strip_prefix("@@") {
            if !chunk.chunk.lines.is_empty() {
                chunk.close_into(&mut chunks)?;
            }
            chunk.anchor(at, anchor);
        } else {
            chunk.line(at, line)?;
        }
    }
    if chunk.begun.is_some() || !chunk.chunk.lines.is_empty() {
        chunk.close_into(&mut chunks)?;
    }
    Ok(chunks)
}

/// A chunk that is being read.
#[derive(Default)]
struct Open {
    chunk: Chunk,
    /// Where its first `@@` stands.
    begun: Option<usize>,
    /// Lines without any mark: blank lines of the file if others follow, else the space between two chunks.
    blank: usize,
}

impl Open {
    fn anchor(&mut self, at: usize, anchor: &str) {
        self.begun.get_or_insert(at);
        self.blank = 0;
        let (line, anchor) = numbered(anchor.trim());
        self.chunk.line = line.or(self.chunk.line);
        if !anchor.is_empty() {
            self.chunk.anchors.push(anchor.to_owned());
        }
    }

    fn line(&mut self, at: usize, line: &str) -> Result<(), FormError> {
        let text = || line[1..].to_owned();
        let line = match line.as_bytes().first() {
            None => {
                self.blank += 1;
                return Ok(());
            }
            Some(b' ') => Line::Keep(text()),
            Some(b'-') => Line::Remove(text()),
            Some(b'+') => Line::Add(text()),
            // "No newline at end of file", which unified diffs say.
            Some(b'\\') => return Ok(()),
            _ if line.trim().is_empty() => Line::Keep(String::new()),
            _ => {
                let why = format!("each line of an update begins with ' ', '-' or '+', or is \"@@\", not {line:?}");
                return Err(FormError { line: at, why });
            }
        };
        self.begun.get_or_insert(at);
        let blank = std::mem::take(&mut self.blank);
        if !self.chunk.lines.is_empty() {
            self.chunk.lines.extend((0..blank).map(|_| Line::Keep(String::new())));
        }
        self.chunk.lines.push(line);
        Ok(())
    }

    fn close_into(&mut self, chunks: &mut Vec<Chunk>) -> Result<(), FormError> {
        let Self { chunk, begun, .. } = std::mem::take(self);
        if chunk.lines.iter().all(|line| matches!(line, Line::Keep(_))) {
            let why = "this chunk changes nothing: it has no line that begins with '-' or '+'".into();
            return Err(FormError { line: begun.unwrap_or(1), why });
        }
        chunks.push(chunk);
        Ok(())
    }
}

/// Takes the numbers off a header in the style of unified diffs, `-3,4 +3,5 @@ fn main() {`, and gives the old line.
fn numbered(anchor: &str) -> (Option<usize>, &str) {
    let Some((numbers, rest)) = anchor.split_once("@@") else { return (None, anchor) };
    let line = numbers.trim().strip_prefix('-').and_then(|old| {
        let digits = old.bytes().take_while(u8::is_ascii_digit).count();
        old[..digits].parse().ok()
    });
    match line {
        Some(line) => (Some(line), rest.trim()),
        // `@@ fn main() { @@`
        None if rest.is_empty() => (None, numbers.trim()),
        None => (None, anchor),
    }
}

#[cfg(test)]
mod tests;
