//! What a search found.

use std::io;

use grep_searcher::{Searcher, Sink, SinkFinish, SinkMatch};
use tokio_util::sync::CancellationToken;

use crate::editor::Place;
use crate::tool::lines::{counted, shortened};

/// The most bytes of a line that are shown.
const LINE: usize = 400;

/// The most lines of one file that are shown.
const LINES: usize = 100;

/// The matching lines of one file.
pub(super) struct Lines<'a> {
    shown: String,
    count: usize,
    /// Whether a line holds bytes that are no UTF-8.
    garbled: bool,
    cancel: &'a CancellationToken,
}

impl<'a> Lines<'a> {
    pub(super) fn new(cancel: &'a CancellationToken) -> Self {
        Self { shown: String::new(), count: 0, garbled: false, cancel }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_garbled(&self) -> bool {
        self.garbled
    }

    pub(super) fn bytes(&self) -> usize {
        self.shown.len()
    }
}

impl Sink for Lines<'_> {
    type Error = io::Error;

    fn matched(&mut self, _searcher: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.count += 1;
        if self.count <= LINES {
            let line = String::from_utf8_lossy(found.bytes());
            self.garbled |= matches!(line, std::borrow::Cow::Owned(_));
            let line = shortened(line.trim_end_matches(['\r', '\n']), LINE);
            self.shown.push_str(&format!("{}\t{line}\n", found.line_number().unwrap_or_default()));
        }
        Ok(!self.cancel.is_cancelled())
    }

    fn finish(&mut self, _searcher: &Searcher, end: &SinkFinish) -> io::Result<()> {
        if end.binary_byte_offset().is_some() {
            self.shown.clear();
            self.count = 0;
        }
        Ok(())
    }
}

/// The matching lines of all files.
#[derive(Default)]
pub(super) struct Hits {
    files: Vec<(Place, String, usize)>,
}

impl Hits {
    pub(super) fn add(&mut self, place: Place, lines: Lines<'_>) {
        if lines.count > 0 {
            self.files.push((place, lines.shown, lines.count));
        }
    }

    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    pub(super) fn count(&self) -> usize {
        self.files.iter().map(|(.., count)| count).sum()
    }

    /// As the model reads them: sorted by path, as many as fit into `room`, and what is missing.
    pub(super) fn show(mut self, pattern: &str, room: usize, part: bool) -> String {
        if self.files.is_empty() {
            let so_far = if part { " in the part that could be searched in time; name a path or a glob" } else { "" };
            return format!("No line matches {pattern:?}{so_far}.\n");
        }
        let (total, files) = (self.count(), self.files());
        self.files.sort_by(|(a, ..), (b, ..)| (a.path(), a).cmp(&(b.path(), b)));
        let mut text = String::new();
        let (mut shown, mut complete) = (0, true);
        for (place, lines, count) in self.files {
            let head = format!("{place}\n");
            if text.len() + head.len() >= room {
                complete = false;
                break;
            }
            text.push_str(&head);
            let before = shown;
            for line in lines.split_inclusive('\n') {
                if text.len() + line.len() > room {
                    break;
                }
                text.push_str(line);
                shown += 1;
            }
            if shown - before < count {
                complete = false;
                text.push_str(&format!("[{} more here]\n", counted(count - (shown - before), "match")));
            }
            text.push('\n');
        }
        let at_least = if part { "at least " } else { "" };
        let sum = format!("{at_least}{} in {}", counted(total, "match"), counted(files, "file"));
        if complete && !part {
            text.push_str(&format!("[{sum}]\n"));
        } else {
            text.push_str(&format!("[{shown} of {sum}; a narrower pattern, path or glob shows the others]\n"));
        }
        text
    }
}
