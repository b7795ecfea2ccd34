//! A document and the way it took.

use std::ops;
use std::sync::atomic::{AtomicU64, Ordering};

use ropey::{Rope, RopeSlice};

use super::{Charset, Delta, DeltaLog, Encoding, Snapshot, common_ends, replace};
use crate::protocol::Range;

/// One entry of a change notification: a part, or with no range the whole text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentChange {
    /// The replaced part; `None` replaces everything.
    pub range: Option<Range>,
    /// What stands there now.
    pub text: String,
}

/// An open document: the present text and the way it took.
#[derive(Clone, Debug)]
pub struct Document {
    snapshot: Snapshot,
    log: DeltaLog,
}

impl Document {
    /// A document as the client opened it. A byte order mark stays in the text, because the client counts it too.
    #[must_use]
    pub fn open(language: &str, version: i32, text: &str) -> Self {
        // Tells the documents of this process apart, also two that are opened under one name one after the other.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let document = Some(NEXT.fetch_add(1, Ordering::Relaxed));
        let (rope, language) = (Rope::from_str(text), language.into());
        let snapshot =
            Snapshot { rope, revision: 0, document, version, language, bom: false, charset: Charset::default() };
        Self { snapshot, log: DeltaLog::default() }
    }

    /// The present text.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Applies one change notification, entry by entry in order, and tells each replaced part to `seen` together
    /// with the snapshot after it. Text that an entry puts back where it was is no change: its delta is the part that
    /// differs, and an entry that changes nothing gives no delta. So an editor that reports a whole line, or the whole
    /// text, for one typed character is understood all the same.
    pub fn change(
        &mut self,
        version: i32,
        changes: &[ContentChange],
        encoding: Encoding,
        mut seen: impl FnMut(Delta, &Snapshot),
    ) {
        self.snapshot.version = version;
        for change in changes {
            let rope = &self.snapshot.rope;
            let range = change.range.map_or(0..rope.len_bytes(), |range| encoding.range(rope, range));
            if let Some(delta) = self.put(range, &change.text) {
                seen(delta, &self.snapshot);
            }
        }
    }

    /// The changes since a revision, oldest first; `None` when they are no longer kept.
    #[must_use]
    pub fn deltas_since(&self, revision: u64) -> Option<Vec<Delta>> {
        self.log.since(revision)
    }

    /// The changes since this document read as in a snapshot, oldest first; `None` for the text of another one, and when they are
    /// no longer kept.
    #[must_use]
    pub fn steps_since(&self, snapshot: &Snapshot) -> Option<Vec<Delta>> {
        (snapshot.document == self.snapshot.document).then(|| self.deltas_since(snapshot.revision)).flatten()
    }

    fn put(&mut self, range: ops::Range<usize>, text: &str) -> Option<Delta> {
        let rope = &mut self.snapshot.rope;
        let (prefix, suffix) = if range.is_empty() || text.is_empty() {
            (0, 0)
        } else {
            common_ends(rope.byte_slice(range.clone()), RopeSlice::from(text))
        };
        let range = range.start + prefix..range.end - suffix;
        let text = &text[prefix..text.len() - suffix];
        if range.is_empty() && text.is_empty() {
            return None;
        }
        let delta = Delta { start: range.start, old_len: range.len(), new_len: text.len() };
        replace(rope, range, text);
        self.snapshot.revision += 1;
        self.log.push(delta);
        Some(delta)
    }
}

#[cfg(test)]
mod tests;
