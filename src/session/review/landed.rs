//! What of a document has landed, under the names that it was proposed by.

use super::pending::{Kind, Pending};
use crate::edit::{Hunk, Patch, Proposed};
use crate::editor::Applied;
use crate::protocol::{HunkView, Range};
use crate::store::Back;
use crate::text::Encoding;

/// The places of an edit that has landed, as they are told and as they are recorded. The editor may have made more pieces of what
/// was proposed: each is named by the proposal that it lies in. Or fewer: such a one is told in the parts that were proposed, so
/// that each of them can be taken back.
pub(super) fn landed(
    pending: Option<&Pending>,
    ids: &[String],
    applied: &Applied,
    encoding: Encoding,
) -> Vec<(HunkView, Back)> {
    let (after, back) = &applied.back;
    let before = back.apply(after.rope());
    let change = back.inverse(after.rope());
    let proposed = match pending {
        Some(pending) if matches!(pending.kind, Kind::Edit | Kind::Rename { .. }) => {
            let mut proposal = pending.proposal.clone();
            drop(proposal.follow(&before));
            proposal.remove(|id| !ids.iter().any(|made| made == id));
            proposal.hunks().to_vec()
        }
        _ => Vec::new(),
    };
    let mut all = Vec::new();
    for (at, (piece, view)) in change.hunks().iter().zip(&applied.hunks).enumerate() {
        let meets = |proposed: &&Proposed| {
            proposed.hunk.range.start <= piece.range.end && piece.range.start <= proposed.hunk.range.end
        };
        let of: Vec<&Proposed> = proposed.iter().filter(meets).collect();
        let parts = || Patch::joined(of.iter().map(|part| part.hunk.clone()));
        let is_whole = || {
            let only = Patch::joined([piece.clone()]);
            parts().apply(&before) == only.apply(&before)
        };
        if of.len() < 2 || !is_whole() {
            let by_order = || ids.get(at).or(ids.last()).cloned().unwrap_or_default();
            let id = of.first().map_or_else(by_order, |proposed| proposed.id.clone());
            all.push((HunkView { id: id.clone(), ..view.clone() }, recorded(id, piece)));
            continue;
        }
        // Where the piece begins is known in both texts; from there on the parts before count.
        let mut start = back.hunks().get(at).map_or(0, |hunk| hunk.range.start);
        let mut end = piece.range.start;
        for Proposed { id, hunk } in of {
            start += hunk.range.start.saturating_sub(end);
            end = hunk.range.end;
            let position = |offset: usize| encoding.position(after.rope(), offset);
            let range = Range { start: position(start), end: position(start + hunk.new.len()) };
            start += hunk.new.len();
            let (id, old_text) = (id.clone(), before.byte_slice(hunk.range.clone()).to_string());
            all.push((HunkView { id: id.clone(), range, old_text, new_text: hunk.new.clone() }, recorded(id, hunk)));
        }
    }
    all
}

fn recorded(hunk: String, piece: &Hunk) -> Back {
    Back { hunk, start: piece.range.start, end: piece.range.end, new: piece.new.clone() }
}
