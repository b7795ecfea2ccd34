//! The open documents. The document lane: everything here happens under a std mutex, at once, without an await.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ropey::Rope;
use tokio::sync::{Notify, mpsc};

use crate::text::{ContentChange, Delta, Document, Encoding, Snapshot};

/// One change notification, as those who watch a document hear of it.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// Each replaced part with the text after it.
    pub(super) changes: Vec<(Delta, Rope)>,
}

/// The open documents, by URI as the client spells it.
#[derive(Default)]
pub(super) struct Documents {
    inner: Mutex<Inner>,
    /// Told when any document has been opened, changed or closed.
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    encoding: Encoding,
    open: HashMap<String, Open>,
    /// Grows with every use, to tell which document was used last.
    clock: u64,
    /// Change notifications so far.
    changes: u64,
    /// When the last one came.
    changed_at: Option<Instant>,
}

struct Open {
    document: Document,
    used: u64,
    watchers: Vec<mpsc::UnboundedSender<Report>>,
}

impl Documents {
    /// In what the client counts characters; said once, before the first document.
    pub(super) fn set_encoding(&self, encoding: Encoding) {
        self.lock().encoding = encoding;
    }

    pub(super) fn open(&self, uri: &str, language: &str, version: i32, text: &str) {
        let mut inner = self.lock();
        let used = inner.tick();
        let document = Document::open(language, version, text);
        inner.open.insert(uri.to_owned(), Open { document, used, watchers: Vec::new() });
        self.changed.notify_one();
    }

    /// Applies a change notification; `false` for a document that is not open.
    pub(super) fn change(&self, uri: &str, version: i32, changes: &[ContentChange]) -> bool {
        let mut inner = self.lock();
        let (encoding, used) = (inner.encoding, inner.tick());
        inner.changes += 1;
        inner.changed_at = Some(Instant::now());
        let Some(open) = inner.open.get_mut(uri) else { return false };
        self.changed.notify_one();
        open.used = used;
        open.watchers.retain(|watcher| !watcher.is_closed());
        if open.watchers.is_empty() {
            open.document.change(version, changes, encoding, |_, _| {});
            return true;
        }
        let mut seen = Vec::with_capacity(changes.len());
        open.document.change(version, changes, encoding, |delta, after| seen.push((delta, after.rope().clone())));
        for watcher in &open.watchers {
            // A watcher that has gone is dropped at the next change.
            let _ = watcher.send(Report { changes: seen.clone() });
        }
        true
    }

    /// How much is left of a pause since the last change of any document; nothing once it is over.
    pub(super) fn left_of(&self, pause: Duration) -> Option<Duration> {
        let changed = self.lock().changed_at?;
        pause.checked_sub(changed.elapsed()).filter(|left| !left.is_zero())
    }

    /// How often any document was changed so far.
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Closes a document; those who watch it hear of it by the end of their channel.
    pub(super) fn close(&self, uri: &str) {
        self.lock().open.remove(uri);
        self.changed.notify_one();
    }

    /// Returns when any document has been opened, changed or closed since the last call. For one who waits.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The versions of all open documents.
    pub(super) fn versions(&self) -> HashMap<String, i32> {
        let inner = self.lock();
        inner.open.iter().map(|(uri, open)| (uri.clone(), open.document.snapshot().version())).collect()
    }

    /// What a document holds now.
    pub(super) fn snapshot(&self, uri: &str) -> Option<Snapshot> {
        self.lock().open.get(uri).map(|open| open.document.snapshot().clone())
    }

    /// What a document holds now, and every change from here on.
    pub(super) fn watch(&self, uri: &str) -> Option<(Snapshot, mpsc::UnboundedReceiver<Report>)> {
        self.watch_since(uri, None).map(|(now, _, incoming)| (now, incoming))
    }

    /// The same, with the changes that led there from `base`, where that is an earlier moment of it and they are still kept.
    pub(super) fn watch_since(
        &self,
        uri: &str,
        base: Option<&Snapshot>,
    ) -> Option<(Snapshot, Option<Vec<Delta>>, mpsc::UnboundedReceiver<Report>)> {
        let mut inner = self.lock();
        let open = inner.open.get_mut(uri)?;
        // Bounded by time: whoever watches an edit stops within its time limit.
        let (tx, rx) = mpsc::unbounded_channel();
        open.watchers.push(tx);
        let steps = base.and_then(|base| open.document.steps_since(base));
        Some((open.document.snapshot().clone(), steps, rx))
    }

    /// Notes that the person is at work in a document.
    pub(super) fn touch(&self, uri: &str) {
        let mut inner = self.lock();
        let used = inner.tick();
        if let Some(open) = inner.open.get_mut(uri) {
            open.used = used;
        }
    }

    /// All open documents, most recently used first.
    pub(super) fn all(&self) -> Vec<(String, Snapshot)> {
        let inner = self.lock();
        let mut all: Vec<_> = inner.open.iter().collect();
        all.sort_by_key(|(_, open)| std::cmp::Reverse(open.used));
        all.into_iter().map(|(uri, open)| (uri.clone(), open.document.snapshot().clone())).collect()
    }

    // A std mutex: every section is short and none awaits, so changes are applied in wire order.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}
