//! What changed between two revisions of a document.

use std::collections::VecDeque;

/// The most that a document's log takes, in bytes; the oldest deltas go first.
const MOST_BYTES: usize = 1024 * 1024;
const MOST: usize = MOST_BYTES / size_of::<Delta>();

/// One replacement: `old_len` bytes at `start` became `new_len` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Where, in bytes of the text before.
    pub start: usize,
    /// Bytes that went.
    pub old_len: usize,
    /// Bytes that came.
    pub new_len: usize,
}

impl Delta {
    /// Where the replaced part ended, in the text before.
    #[must_use]
    pub fn old_end(&self) -> usize {
        self.start + self.old_len
    }

    /// Where the new part ends, in the text after.
    #[must_use]
    pub fn new_end(&self) -> usize {
        self.start + self.new_len
    }

    /// A byte behind the replaced part, in the text after.
    pub(crate) fn moved(&self, offset: usize) -> usize {
        offset - self.old_len + self.new_len
    }
}

/// The newest deltas of a document, as many as fit into a bound.
#[derive(Clone, Debug, Default)]
pub struct DeltaLog {
    deltas: VecDeque<Delta>,
    /// The revision before the oldest delta here.
    base: u64,
}

impl DeltaLog {
    /// Adds what led to the next revision.
    pub fn push(&mut self, delta: Delta) {
        if self.deltas.len() == MOST {
            self.deltas.pop_front();
            self.base += 1;
        }
        self.deltas.push_back(delta);
    }

    /// The deltas since a revision, oldest first; `None` when it is no longer covered or never was.
    #[must_use]
    pub fn since(&self, revision: u64) -> Option<Vec<Delta>> {
        let skipped = usize::try_from(revision.checked_sub(self.base)?).ok()?;
        (skipped <= self.deltas.len()).then(|| self.deltas.range(skipped..).copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delta(start: usize) -> Delta {
        Delta { start, old_len: 0, new_len: 1 }
    }

    #[test]
    fn the_deltas_since_a_revision_come_in_order() {
        let mut log = DeltaLog::default();
        for start in 0..3 {
            log.push(delta(start));
        }
        assert_eq!(log.since(1), Some(vec![delta(1), delta(2)]));
        assert_eq!(log.since(3), Some(vec![]));
        assert_eq!(log.since(4), None);
    }

    #[test]
    fn the_log_is_bounded_and_says_what_it_no_longer_knows() {
        let mut log = DeltaLog::default();
        for start in 0..MOST + 5 {
            log.push(delta(start));
        }
        assert_eq!(log.since(4), None);
        assert_eq!(log.since(5).map(|deltas| deltas.len()), Some(MOST));
        assert!(log.deltas.len() * size_of::<Delta>() <= MOST_BYTES);
    }
}
