//! How one thread of a walk looks through texts and files.

use std::io::{self, Read as _};
use std::path::Path;

use grep_matcher::LineTerminator;
use grep_regex::RegexMatcher;
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use tokio_util::sync::CancellationToken;

use super::hits::Lines;
use crate::disk;
use crate::editor::Place;
use crate::text::{Charset, Snapshot};

/// Files of up to so many bytes are read whole, in one call of the system: as many as the searcher looks through for a NUL.
const WHOLE: usize = 64 * 1024;

/// A searcher and its buffers, which are not worth making anew for every file.
pub(super) struct Reader {
    /// A copy of its own: threads that share one wait for each other.
    matcher: RegexMatcher,
    searcher: Searcher,
    buffer: Vec<u8>,
    /// What the last file left there, where that is all of it.
    whole: Option<usize>,
}

impl Reader {
    pub(super) fn new(matcher: &RegexMatcher) -> Self {
        let mut builder = SearcherBuilder::new();
        builder.line_number(true).line_terminator(LineTerminator::crlf()).binary_detection(BinaryDetection::quit(0));
        Self { matcher: matcher.clone(), searcher: builder.build(), buffer: vec![0; WHOLE], whole: None }
    }

    pub(super) fn text(&mut self, text: &Snapshot, lines: &mut Lines<'_>) {
        // Cannot fail: the text is in memory, and `Lines` never does.
        let _ = self.searcher.search_slice(&self.matcher, text.lf().as_bytes(), lines);
    }

    pub(super) fn file(&mut self, path: &Path, lines: &mut Lines<'_>) -> io::Result<()> {
        self.whole = None;
        let Some((mut file, length)) = disk::peek(path)? else { return Ok(()) };
        let whole = usize::try_from(length).ok().and_then(|length| self.buffer.get_mut(..length));
        // Files under /proc say 0.
        let Some(whole) = whole.filter(|whole| !whole.is_empty()) else {
            return self.searcher.search_file(&self.matcher, &file, lines);
        };
        let mut filled = 0;
        while filled < whole.len() {
            match file.read(&mut whole[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.whole = Some(filled);
        self.searcher.search_slice(&self.matcher, &whole[..filled], lines)
    }

    /// Whether the last file is known to be UTF-8, which reads as it was searched.
    pub(super) fn has_read_utf8(&self) -> bool {
        self.whole.is_some_and(|length| std::str::from_utf8(&self.buffer[..length]).is_ok())
    }

    /// Searches a file in an older encoding as the text that it is read as.
    pub(super) fn decoded<'a>(&mut self, place: &Place, lines: &mut Lines<'a>, cancel: &'a CancellationToken) {
        let text = disk::read(place).ok().filter(|text| text.charset() != Charset::default());
        if let Some(text) = text {
            *lines = Lines::new(cancel);
            self.text(&text, lines);
        }
    }
}
