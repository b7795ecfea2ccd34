//! One changed place of a file, as a patch writes it.

/// One changed place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Lines above it that say where it is, from the outside inwards: what stands behind `@@`.
    pub anchors: Vec<String>,
    /// The line, from 1, that a header in the style of unified diffs names. A hint: it chooses among equal places.
    pub line: Option<usize>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Whether its old text is the end of the file.
    pub at_end: bool,
}

/// A line of a chunk, without its break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Is there and stays.
    Keep(String),
    /// Is there and goes.
    Remove(String),
    /// Comes.
    Add(String),
}

impl Chunk {
    /// What stands there: whole lines, each with its break.
    #[must_use]
    pub fn old_text(&self) -> String {
        text(self.lines.iter().filter_map(|line| match line {
            Line::Keep(text) | Line::Remove(text) => Some(text),
            Line::Add(_) => None,
        }))
    }

    /// What shall stand there.
    #[must_use]
    pub fn new_text(&self) -> String {
        text(self.lines.iter().filter_map(|line| match line {
            Line::Keep(text) | Line::Add(text) => Some(text),
            Line::Remove(_) => None,
        }))
    }
}

fn text<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}
