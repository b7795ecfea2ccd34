//! What the model and the person are told of a change.

use std::time::Duration;

use similar::{DiffOp, TextDiff};

use super::lines_of;
use crate::edit::Patch;
use crate::editor::{Applied, Place};
use crate::protocol::{HunkView, Range};
use crate::text::{Encoding, Snapshot};
use crate::tool::Answer;
use crate::tool::lines::{Numbered, counted};

/// The most bytes of changed lines in the answer to an edit: the model wrote them itself.
const ECHO: usize = 4000;

/// How long two texts are compared before a coarser answer will do.
const PATIENCE: Duration = Duration::from_millis(500);

/// Lines around a difference.
const AROUND: usize = 2;

/// How many lines a patch takes and gives.
#[derive(Clone, Copy)]
pub(super) struct Count {
    added: usize,
    removed: usize,
}

impl Count {
    pub(super) fn of(patch: &Patch, base: &Snapshot) -> Self {
        let lines =
            |text: &str| if text.is_empty() { 0 } else { text.trim_end_matches('\n').matches('\n').count() + 1 };
        let old = |range: &std::ops::Range<usize>| base.rope().byte_slice(range.clone()).to_string();
        Self {
            added: patch.hunks().iter().map(|hunk| lines(&hunk.new)).sum(),
            removed: patch.hunks().iter().map(|hunk| lines(&old(&hunk.range))).sum(),
        }
    }
}

/// The changed places of a patch that did not land, where they were meant.
pub(super) fn hunks(patch: &Patch, base: &Snapshot, encoding: Encoding) -> Vec<HunkView> {
    let rope = base.rope();
    let view = |hunk: &crate::edit::Hunk| {
        let [start, end] = [hunk.range.start, hunk.range.end].map(|offset| encoding.position(rope, offset));
        let old_text = rope.byte_slice(hunk.range.clone()).to_string();
        HunkView { id: String::new(), range: Range { start, end }, old_text, new_text: hunk.new.clone() }
    };
    patch.hunks().iter().map(view).collect()
}

/// What the model hears of a change that the person has yet to decide on.
pub(super) const WAITS: &str =
    "The person has not decided yet: go on as if it were made; you are told what they take and what they refuse.";

/// The answer to an edit that was put to the person.
pub(super) fn proposed(place: &Place, proposed: &Applied, count: Count) -> Answer {
    let places = counted(proposed.hunks.len(), "place");
    let content = format!("Proposed to change {place} at {places}. {WAITS}");
    Answer {
        undone: false,
        ok: true,
        content,
        summary: format!("proposed, {places}, +{} -{}", count.added, count.removed),
    }
}

/// The answer to an edit that landed: the changed lines under their present numbers.
pub(super) fn applied(place: &Place, applied: &Applied, count: Count) -> Answer {
    let places = counted(applied.hunks.len(), "place");
    let mut content = format!("Changed {place} at {places}.");
    if applied.rebased {
        content
            .push_str(" The text had been changed elsewhere meanwhile, which was kept; line numbers may have moved.");
    }
    content.push_str(" These lines now read:\n");
    let text = applied.now.lf();
    let head = content.len();
    for hunk in &applied.hunks {
        let room = (head + ECHO).saturating_sub(content.len());
        match lines_of(hunk.range) {
            _ if room < 200 => {
                content.push_str("[more places, not shown]\n");
                break;
            }
            None => content.push_str(&format!("[text taken out at line {}]\n", hunk.range.start.line + 1)),
            Some(lines) => {
                let end = *lines.end();
                let shown = Numbered::of(&text, lines, room);
                content.push_str(&shown.text);
                if shown.last < end {
                    content.push_str(&format!("[and on to line {end}]\n"));
                }
            }
        }
    }
    Answer { undone: false, ok: true, content, summary: format!("{places}, +{} -{}", count.added, count.removed) }
}

/// The lines of `now` that differ from `seen`, with some around them; `None` when they take more than `room` bytes.
pub(super) fn difference(seen: &Snapshot, now: &Snapshot, room: usize) -> Option<String> {
    let (old, new) = (seen.lf(), now.lf());
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(old.as_str(), new.as_str());
    let mut text = String::new();
    for group in diff.grouped_ops(AROUND) {
        let (first, last) = (group.first()?.new_range().start, group.last()?.new_range().end);
        if !text.is_empty() {
            text.push_str("...\n");
        }
        let shown = Numbered::of(&new, first + 1..=last, room.saturating_sub(text.len()));
        if shown.cut || shown.last < last {
            return None;
        }
        text.push_str(&shown.text);
        // What is gone cannot be seen among the lines that are there.
        for op in group.iter().filter(|op| matches!(op, DiffOp::Delete { .. })) {
            let removed = counted(op.old_range().len(), "line");
            text.push_str(&format!("[{removed} gone before line {}]\n", op.new_range().start + 1));
        }
    }
    (text.len() <= room).then_some(text)
}
