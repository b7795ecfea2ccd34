//! Getting an edit into an open buffer, and knowing whether it is there.
//!
//! Sent, rebased, sent again: what counts is the buffer that the editor reports, never its reply. See
//! `docs/architecture.md`, "An edit lands".

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ropey::Rope;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower_lsp::ls_types::{
    self as lsp, DocumentChanges, OneOf, OptionalVersionedTextDocumentIdentifier, Position, TextDocumentEdit, TextEdit,
    Uri, WorkspaceEdit,
};

use super::capabilities::Caps;
use super::client::{Client, Unanswered};
use super::documents::{Documents, Report};
use crate::edit::{Hunk, Landing, Patch, Seen, landed, landed_among_typing, steps_between};
use crate::editor::{Applied, Fate, LATE, Outcome};
use crate::protocol::{self, HunkView};
use crate::text::{Delta, Encoding, Snapshot};

/// How often an edit is sent before the person's typing wins.
const TRIES: u32 = 3;
/// How often a misplaced edit is mended while the person types, before it is left and told.
const MENDS: u32 = 10;
/// How long the buffer may take to show an edit after the editor said that it was applied.
const AFTER_REPLY: Duration = Duration::from_secs(2);
/// How long it may take when the editor says nothing.
const WITHOUT_REPLY: Duration = Duration::from_secs(10);
/// How long a change that made the editor refuse may take to be reported.
const AFTER_REFUSAL: Duration = Duration::from_millis(500);
/// How long it may take when the editor reports only once the person pauses.
const UNTIL_PAUSE: Duration = Duration::from_secs(10);

/// Applies edits to open buffers, one request at a time for each.
pub(super) struct Applier {
    client: Client,
    documents: Arc<Documents>,
    /// One lock a document; held across awaits, by edits alone, and never for longer than an edit's time limits.
    turns: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>,
    unanswered: Unanswereds,
}

/// Until when an answer is waited for, of each document with an edit that the editor has not answered in time. A std mutex: held
/// for a map operation, never across an await.
type Unanswereds = Arc<Mutex<HashMap<String, Instant>>>;

/// The task that waits for the answer to an edit.
type Request = JoinHandle<Result<Result<lsp::ApplyWorkspaceEditResponse, Unanswered>, Elapsed>>;

/// An edit on its way.
struct Sent {
    /// The buffer that it was made against.
    base: Snapshot,
    patch: Patch,
    reports: Reports,
    /// How many of the reported changes were looked at.
    looked: usize,
}

/// The changes reported since an edit was sent.
struct Reports {
    incoming: mpsc::UnboundedReceiver<Report>,
    /// The text before all of them.
    base: Rope,
    seen: Vec<(Delta, Rope)>,
    /// Whether one of them may tell of several places: then it is taken apart.
    merged: bool,
    /// How many changes there were after each report.
    ends: Vec<usize>,
}

/// What became of one request.
enum Verdict {
    Landed {
        seen: Seen,
        ranges: Vec<Option<Range<usize>>>,
        rebased: bool,
    },
    Misplaced,
    /// Dropped by the editor, because the buffer had moved on.
    Stale,
    /// The same, and nothing of what moved it on is reported yet.
    Outdated(String),
    Refused(String),
    Silent(String),
    Closed,
}

impl Applier {
    pub(super) fn new(client: Client, documents: Arc<Documents>) -> Self {
        Self { client, documents, turns: Arc::default(), unanswered: Arc::default() }
    }

    /// Applies `patch`, made against `base`, to the buffer as it is now.
    pub(super) async fn apply(
        &self,
        uri: &Uri,
        base: &Snapshot,
        patch: &Patch,
        label: &str,
        cancel: &CancellationToken,
    ) -> Outcome {
        if !self.client.caps().apply_edit {
            return Outcome::Refused { reason: "the editor does not take edits from a language server".into() };
        }
        let turn = self.turn(uri.as_str());
        // Bounded: whoever holds it ends within the time limits of an edit.
        let _turn = tokio::select! {
            biased;
            () = cancel.cancelled() => return stopped(),
            turn = turn.lock() => turn,
        };
        self.apply_in_turn(uri, base, patch, label, cancel).await
    }

    async fn apply_in_turn(
        &self,
        uri: &Uri,
        base: &Snapshot,
        patch: &Patch,
        label: &str,
        cancel: &CancellationToken,
    ) -> Outcome {
        let (mut base, mut patch) = (base.clone(), patch.clone());
        let mut rebased = false;
        if let Some(left) = self.unanswered_for(uri) {
            return Outcome::Refused { reason: still_unanswered(left) };
        }
        for _ in 0..TRIES {
            // Nothing new is sent once the person has stopped the run; what is on its way is still followed.
            if cancel.is_cancelled() {
                return stopped();
            }
            let Some((now, steps, incoming)) = self.documents.watch_since(uri.as_str(), Some(&base)) else {
                return closed();
            };
            let moved = match patch.onto(base.rope(), steps.as_deref(), now.rope()) {
                Ok(moved) => moved,
                Err(clash) => return Outcome::Conflict { reason: clash.to_string(), now },
            };
            rebased |= !now.rope().is_instance(base.rope()) && now.rope() != base.rope();
            if moved.is_empty() {
                let back = (now.clone(), Patch::new(Vec::new()));
                return Outcome::Applied(Applied {
                    uri: uri.to_string(),
                    hunks: Vec::new(),
                    rebased,
                    now,
                    created: false,
                    fate: Fate::Stays,
                    note: None,
                    back,
                });
            }
            let mut sent = Sent::new(now, moved, incoming, self.client.caps());
            match self.send(uri, &mut sent, label).await {
                Verdict::Landed { seen, ranges, rebased: typed } => {
                    return Outcome::Applied(self.applied(uri, seen, &ranges, &sent.newest(), rebased || typed));
                }
                Verdict::Misplaced => return self.mend(uri, sent, MENDS).await,
                Verdict::Stale => (base, patch) = (sent.base, sent.patch),
                Verdict::Outdated(reason) => {
                    // It was not applied, so there is nothing to follow once the person has stopped the run.
                    let report = tokio::select! {
                        biased;
                        () = cancel.cancelled() => return stopped(),
                        report = timeout(UNTIL_PAUSE, sent.reports.next()) => report,
                    };
                    match report {
                        Ok(true) => (base, patch) = (sent.base, sent.patch),
                        Ok(false) => return closed(),
                        Err(_) => return Outcome::Refused { reason },
                    }
                }
                Verdict::Refused(reason) => return Outcome::Refused { reason },
                Verdict::Silent(reason) => {
                    let late = self.watch_late(uri.clone(), sent, rebased);
                    return Outcome::NotConfirmed { reason, late: Some(late) };
                }
                Verdict::Closed => return closed_meanwhile(),
            }
        }
        match self.documents.snapshot(uri.as_str()) {
            Some(now) => Outcome::Conflict {
                reason: format!("the buffer kept changing while the edit was sent {TRIES} times"),
                now,
            },
            None => closed(),
        }
    }

    /// The editor put the edit where it was meant for an older text: takes it back and makes it where it belongs, in one
    /// edit. What the person typed on the same lines makes it a conflict, and then it is only taken back. The mending can
    /// come to the wrong place in its turn, and is mended itself then; `left` bounds how often all of that is tried.
    async fn mend(&self, uri: &Uri, mut sent: Sent, left: u32) -> Outcome {
        tracing::warn!(uri = uri.as_str(), "the editor applied an edit to a newer text; mending it");
        let caps = self.client.caps();
        for left in (0..left).rev() {
            let Some((now, incoming)) = self.documents.watch(uri.as_str()) else { return closed() };
            // Everything up to the text that the mending starts from.
            while sent.newest().rope() != now.rope() && sent.reports.take_one() {}
            let Landing::Wrong { mend, made } = sent.landing(0, caps) else {
                // The person has taken it back, or typed over it.
                break;
            };
            let mended = mend.apply(now.rope());
            let mut mending = Sent::new(now, mend, incoming, caps);
            let (text, newest) = match self.send(uri, &mut mending, "Cowrite: put an edit where it belongs").await {
                Verdict::Landed { seen, .. } => (seen.text, mending.newest()),
                Verdict::Misplaced => match Box::pin(self.mend(uri, mending, left)).await {
                    Outcome::Applied(Applied { back: (seen, _), now, .. }) => (seen.rope().clone(), now),
                    // It was taken back: all is as before.
                    Outcome::Conflict { .. } => continue,
                    outcome => return outcome,
                },
                Verdict::Closed => return closed_meanwhile(),
                // Dropped, so it can be made again.
                Verdict::Stale | Verdict::Refused(_) => continue,
                Verdict::Outdated(_) => {
                    // Bounded, and `left` counts it.
                    let _ = timeout(UNTIL_PAUSE, mending.reports.next()).await;
                    continue;
                }
                // It may still come, and must not come twice.
                Verdict::Silent(_) => break,
            };
            return match made {
                Some(made) => {
                    let seen = Seen::nearly(&mended, &made, text);
                    let ranges = seen.ranges(newest.rope());
                    Outcome::Applied(self.applied(uri, seen, &ranges, &newest, true))
                }
                None => Outcome::Conflict {
                    reason: "the place of the edit was changed meanwhile, so it was taken back".into(),
                    now: self.documents.snapshot(uri.as_str()).unwrap_or(newest),
                },
            };
        }
        Outcome::NotConfirmed {
            reason: "the editor applied the edit to a text that had changed, and it could not be put right while the person was typing; read the file before you go on".into(),
            late: None,
        }
    }

    /// One request, and the wait for the buffer that shows it.
    async fn send(&self, uri: &Uri, sent: &mut Sent, label: &str) -> Verdict {
        let edit = self.workspace_edit(uri, &sent.base, &sent.patch);
        let caps = self.client.caps();
        let client = self.client.clone();
        let label = label.to_owned();
        // A task of its own: an edit that shows before its reply leaves the reply to it.
        let bound = WITHOUT_REPLY + LATE;
        let mut request: Request = tokio::spawn(async move { timeout(bound, client.apply_edit(label, edit)).await });
        let mut deadline = Instant::now() + WITHOUT_REPLY;
        let mut said_yes = false;
        loop {
            // Everything that has come is looked at in one go: a fast typist must not outrun the look, nor the deadline.
            let came = sent.reports.drain();
            if let Some(verdict) = sent.look(caps) {
                return verdict;
            }
            if came && said_yes && caps.says_yes_to_stale {
                return Verdict::Stale;
            }
            tokio::select! {
                biased;
                () = sleep_until(deadline) => {
                    if said_yes {
                        let patience = AFTER_REPLY.as_secs();
                        let why = format!("the editor said yes, but its buffer did not show the edit within {patience} s");
                        return Verdict::Silent(why);
                    }
                    self.goes_unanswered(uri, request);
                    return Verdict::Silent(unanswered());
                }
                reply = &mut request, if !said_yes => {
                    // What came before the reply says nothing about what the editor dropped.
                    sent.reports.drain();
                    match reply.unwrap_or(Ok(Err(Unanswered::Error("the request was lost".into())))) {
                        Ok(Ok(reply)) if reply.applied => {
                            said_yes = true;
                            deadline = Instant::now() + AFTER_REPLY;
                        }
                        Ok(Ok(reply)) => return self.refused(sent, reply.failure_reason, AFTER_REFUSAL).await,
                        Ok(Err(error)) => return self.failed(sent, error.to_string()).await,
                        Err(_) => return sent.look(caps).unwrap_or_else(|| Verdict::Silent(unanswered())),
                    }
                }
                open = sent.reports.next() => {
                    if !open {
                        return Verdict::Closed;
                    }
                    if let Some(verdict) = sent.look(caps) {
                        return verdict;
                    }
                    if said_yes && caps.says_yes_to_stale {
                        return Verdict::Stale;
                    }
                }
            }
        }
    }

    /// Until an edit is answered or no longer looked for, it may come: nothing else is sent to the document meanwhile, for the one
    /// could be taken for the other, or stand on top of it.
    fn goes_unanswered(&self, uri: &Uri, request: Request) {
        let (all, uri) = (self.unanswered.clone(), uri.to_string());
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(uri.clone(), Instant::now() + LATE);
        // Bounded: the request itself is.
        tokio::spawn(async move {
            if matches!(request.await, Ok(Ok(Ok(reply))) if reply.applied) {
                tokio::time::sleep(AFTER_REPLY).await;
            }
            all.lock().unwrap_or_else(PoisonError::into_inner).remove(&uri);
        });
    }

    /// How long at most until a document can be changed again, where an edit before is not answered.
    fn unanswered_for(&self, uri: &Uri) -> Option<Duration> {
        let all = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(uri.as_str()).map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// The editor said no. Mostly the buffer has moved on and the change is still on its way.
    async fn refused(&self, sent: &mut Sent, reason: Option<String>, patience: Duration) -> Verdict {
        if sent.reports.seen.is_empty() && timeout(patience, sent.reports.next()).await.is_ok_and(|open| !open) {
            return Verdict::Closed;
        }
        if let Some(verdict) = sent.look(self.client.caps()) {
            return verdict;
        }
        if sent.reports.seen.is_empty() {
            let reason = reason.filter(|reason| !reason.is_empty());
            return Verdict::Refused(reason.unwrap_or_else(|| "the editor did not apply it and gave no reason".into()));
        }
        Verdict::Stale
    }

    /// The editor answered with an error. It may come after the edit was applied, so the edit is looked for, and never
    /// sent again, unless the error says that the edit was not even begun.
    async fn failed(&self, sent: &mut Sent, error: String) -> Verdict {
        let caps = self.client.caps();
        if caps.stale_error.is_some_and(|words| error.contains(words)) {
            return if sent.reports.seen.is_empty() { Verdict::Outdated(error) } else { Verdict::Stale };
        }
        let patience = if caps.merges_reports { AFTER_REPLY } else { AFTER_REFUSAL };
        match self.refused(sent, Some(error.clone()), patience).await {
            Verdict::Stale => Verdict::Silent(error),
            verdict => verdict,
        }
    }

    /// Goes on looking for an edit that was not confirmed in time.
    fn watch_late(&self, uri: Uri, mut sent: Sent, rebased: bool) -> oneshot::Receiver<Applied> {
        let (tx, rx) = oneshot::channel();
        let applier = Self {
            client: self.client.clone(),
            documents: self.documents.clone(),
            turns: self.turns.clone(),
            unanswered: self.unanswered.clone(),
        };
        tokio::spawn(async move {
            let deadline = Instant::now() + LATE;
            while let Ok(true) = tokio::time::timeout_at(deadline, sent.reports.next()).await {
                sent.reports.drain();
                match sent.look(applier.client.caps()) {
                    Some(Verdict::Landed { seen, ranges, rebased: typed }) => {
                        // The run may be gone: then the session is told by other means, or nobody is left to tell.
                        let _ = tx.send(applier.applied(&uri, seen, &ranges, &sent.newest(), rebased || typed));
                        return;
                    }
                    Some(Verdict::Misplaced) => {
                        // Bounded: whoever holds it ends within the time limits of an edit.
                        let turn = applier.turn(uri.as_str());
                        let _turn = turn.lock().await;
                        if let Outcome::Applied(applied) = applier.mend(&uri, sent, MENDS).await {
                            let _ = tx.send(applied);
                        }
                        return;
                    }
                    _ => {}
                }
            }
        });
        rx
    }

    /// What is told of an edit. The hunks are told by the way back, so that both are the same places; `ranges` are those in
    /// `newest`.
    fn applied(
        &self,
        uri: &Uri,
        seen: Seen,
        ranges: &[Option<Range<usize>>],
        newest: &Snapshot,
        rebased: bool,
    ) -> Applied {
        let now = self.documents.snapshot(uri.as_str()).unwrap_or_else(|| newest.clone());
        let view = |(hunk, range): (&Hunk, &Option<Range<usize>>)| HunkView {
            id: String::new(),
            range: range.as_ref().map_or_else(protocol::Range::default, |range| self.range(newest, range)),
            old_text: hunk.new.clone(),
            new_text: seen.text.byte_slice(hunk.range.clone()).to_string(),
        };
        let hunks = seen.back.hunks().iter().zip(ranges).map(view).collect();
        let back = (newest.with_rope(seen.text), seen.back);
        Applied { uri: uri.to_string(), hunks, rebased, now, created: false, fate: Fate::Stays, note: None, back }
    }

    fn range(&self, text: &Snapshot, range: &Range<usize>) -> protocol::Range {
        let place = |offset| self.client.caps().encoding.position(text.rope(), offset);
        protocol::Range { start: place(range.start), end: place(range.end) }
    }

    fn workspace_edit(&self, uri: &Uri, base: &Snapshot, patch: &Patch) -> WorkspaceEdit {
        let caps = self.client.caps();
        let edits = text_edits(base, patch, caps.encoding);
        if caps.document_changes {
            let text_document =
                OptionalVersionedTextDocumentIdentifier { uri: uri.clone(), version: Some(base.version()) };
            let edits = edits.into_iter().map(OneOf::Left).collect();
            WorkspaceEdit {
                document_changes: Some(DocumentChanges::Edits(vec![TextDocumentEdit { text_document, edits }])),
                ..WorkspaceEdit::default()
            }
        } else {
            WorkspaceEdit { changes: Some(HashMap::from([(uri.clone(), edits)])), ..WorkspaceEdit::default() }
        }
    }

    fn turn(&self, uri: &str) -> Arc<tokio::sync::Mutex<()>> {
        // A std mutex: held for a map operation, never across an await.
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(uri.to_owned()).or_default().clone()
    }
}

impl Reports {
    /// Takes in whatever has come; whether anything has.
    fn drain(&mut self) -> bool {
        let before = self.seen.len();
        while self.take_one() {}
        self.seen.len() > before
    }

    /// Takes in one report, if one has come.
    fn take_one(&mut self) -> bool {
        let report = self.incoming.try_recv();
        report.map(|report| self.add(report)).is_ok()
    }

    /// Waits for the next one; `false` when the document was closed.
    async fn next(&mut self) -> bool {
        let report = self.incoming.recv().await;
        report.map(|report| self.add(report)).is_some()
    }

    fn add(&mut self, report: Report) {
        for (delta, after) in report.changes {
            if self.merged {
                let before = self.seen.last().map_or(&self.base, |(_, before)| before);
                self.seen.extend(steps_between(before, &after));
            } else {
                self.seen.push((delta, after));
            }
        }
        self.ends.push(self.seen.len());
    }

    /// The changes of each report that told any since so many changes.
    fn since(&self, looked: usize) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(self.ends.iter().copied())
            .map(|(start, end)| start..end)
            .filter(move |told| told.end > looked && !told.is_empty())
    }
}

impl Sent {
    fn new(base: Snapshot, patch: Patch, incoming: mpsc::UnboundedReceiver<Report>, caps: &Caps) -> Self {
        let patch = if caps.keeps_last_break { patch.before_last_break(base.rope()) } else { patch };
        let (text, merged) = (base.rope().clone(), caps.merges_reports);
        let reports = Reports { incoming, base: text, seen: Vec::new(), merged, ends: Vec::new() };
        Self { base, patch, reports, looked: 0 }
    }

    /// The buffer as last reported.
    fn newest(&self) -> Snapshot {
        match self.reports.seen.last() {
            Some((_, after)) => self.base.with_rope(after.clone()),
            None => self.base.clone(),
        }
    }

    /// Looks for the edit in what has been reported since the last look.
    fn look(&mut self, caps: &Caps) -> Option<Verdict> {
        let looked = std::mem::replace(&mut self.looked, self.reports.seen.len());
        if looked == self.looked {
            return None;
        }
        match self.landing(looked, caps) {
            Landing::Absent => None,
            Landing::Right { seen, ranges, rebased } => Some(Verdict::Landed { seen, ranges, rebased }),
            Landing::Wrong { .. } => Some(Verdict::Misplaced),
        }
    }

    /// What the reports say, the first `looked` changes of which said nothing.
    fn landing(&self, looked: usize, caps: &Caps) -> Landing {
        let (base, seen) = (self.base.rope(), &self.reports.seen);
        let landing = landed(&self.patch, base, seen, looked, caps.encoding);
        if landing != Landing::Absent || !caps.merges_reports {
            return landing;
        }
        let mut among = self.reports.since(looked).map(|told| landed_among_typing(&self.patch, base, seen, &told));
        among.find(|landing| *landing != Landing::Absent).unwrap_or(Landing::Absent)
    }
}

/// The edits of a patch, as LSP wants them: in order, against the text before.
pub(super) fn text_edits(base: &Snapshot, patch: &Patch, encoding: Encoding) -> Vec<TextEdit> {
    let place = |offset| {
        let protocol::Position { line, character } = encoding.position(base.rope(), offset);
        Position { line, character }
    };
    patch
        .hunks()
        .iter()
        .map(|hunk| TextEdit {
            range: lsp::Range { start: place(hunk.range.start), end: place(hunk.range.end) },
            new_text: hunk.new.clone(),
        })
        .collect()
}

fn unanswered() -> String {
    format!("the editor did not answer within {} s", WITHOUT_REPLY.as_secs())
}

fn still_unanswered(left: Duration) -> String {
    format!(
        "the editor has not answered an earlier edit of the document, which may still come; try it again once it has, or in {} s",
        left.as_millis().div_ceil(1_000).max(1)
    )
}

fn stopped() -> Outcome {
    Outcome::Refused { reason: "the person stopped the run before the edit was sent".into() }
}

/// Closed while the request was out: the editor may still have applied it, to the file.
fn closed_meanwhile() -> Outcome {
    let reason = "the document was closed in the editor while the edit was on its way".into();
    Outcome::NotConfirmed { reason, late: None }
}

fn closed() -> Outcome {
    Outcome::Refused { reason: "the document was closed in the editor meanwhile; read it again".into() }
}
