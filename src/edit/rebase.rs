//! Moving a patch over what happened to its base.

use ropey::Rope;

use super::{Hunk, Patch};
use crate::text::{Delta, is_line_start};

/// A patch that cannot be moved: what was typed touches a line that it changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} changed meanwhile", lines(*first, *last))]
pub struct Clash {
    /// First line in the text as it is now, from 1.
    pub first: usize,
    /// Last line in the text as it is now, from 1.
    pub last: usize,
}

fn lines(first: usize, last: usize) -> String {
    if first == last { format!("line {first} was") } else { format!("lines {first} to {last} were") }
}

impl Patch {
    /// The same change against the text after `deltas`: `base` and `now` are the texts before and after them. Every
    /// hunk must stand on lines that no delta touched, and its old text must still be there. Whole lines that came or went
    /// directly above or below touch nothing; for a hunk that only adds whole lines, something typed exactly where they
    /// go does. Hunks that touch one another afterwards, because the lines between them went, become one.
    ///
    /// # Errors
    /// The lines where the two meet.
    pub fn rebase(&self, base: &Rope, deltas: &[Delta], now: &Rope) -> Result<Self, Clash> {
        moved(&self.hunks, base, deltas, now).map(Self::joined)
    }
}

/// The hunks against the text after the deltas: as many as before, in order, maybe touching.
pub(super) fn moved(hunks: &[Hunk], base: &Rope, deltas: &[Delta], now: &Rope) -> Result<Vec<Hunk>, Clash> {
    let mut end = 0;
    let mut out = Vec::with_capacity(hunks.len());
    for hunk in hunks {
        let old = Lines::of(base, hunk);
        let mut lines = old.clone();
        deltas.iter().for_each(|delta| lines.follow(*delta));
        let start = lines.start + (hunk.range.start - old.start);
        let there = Hunk { range: start..start + hunk.range.len(), new: hunk.new.clone() };
        let melts_only_now = || melts(now, &there) && !melts(base, hunk);
        if !lines.hold(now, &old, base) || there.range.start < end || melts_only_now() {
            return Err(lines.clash(now));
        }
        end = there.range.end;
        out.push(there);
    }
    Ok(out)
}

/// The lines that a hunk changes, followed over deltas.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Nothing but a place between two lines, for whole lines to go to.
    pub(super) place: bool,
    /// Whether the last of them ends with a break: what comes behind it is on another line then.
    pub(super) closed: bool,
    /// Whether something was typed on them.
    pub(super) met: bool,
}

impl Lines {
    pub(super) fn of(base: &Rope, hunk: &Hunk) -> Self {
        let range = &hunk.range;
        let at_start = is_line_start(base, range.start);
        let whole_lines = hunk.new.ends_with(['\n', '\r']);
        if range.is_empty() && at_start && whole_lines {
            return Self { start: range.start, end: range.end, place: true, closed: true, met: false };
        }
        // The line behind the range is changed too, unless it still begins where the new text ends.
        let next_stays = whole_lines || hunk.new.is_empty() && at_start;
        let end = if !range.is_empty() && next_stays && is_line_start(base, range.end) {
            range.end
        } else {
            line_end(base, range.end)
        };
        Self::from(base, line_start(base, range.start), end)
    }

    /// Whole lines of a text.
    pub(super) fn from(base: &Rope, start: usize, end: usize) -> Self {
        let closed = end > start && matches!(base.get_byte(end - 1), Some(b'\n' | b'\r'));
        Self { start, end, place: false, closed, met: false }
    }

    pub(super) fn follow(&mut self, delta: Delta) {
        let Delta { start, old_len, new_len } = delta;
        let old_end = delta.old_end();
        let inserts_at = |place| start == place && old_len == 0;
        if old_len == 0 && new_len == 0 {
            return;
        }
        let empty = self.start == self.end;
        if old_end <= self.start && !(empty && inserts_at(self.start)) {
            // Before. Typed at the very start it may also be on the first line: `hold` sees to that.
            self.start = delta.moved(self.start);
            self.end = delta.moved(self.end);
        } else if start > self.end || start == self.end && self.closed && !inserts_at_place(self, delta) {
            // Behind.
        } else {
            self.met = true;
            self.start = self.start.min(start);
            self.end = if old_end >= self.end { delta.new_end() } else { delta.moved(self.end) };
        }
    }

    /// Whether the lines are in `now` what they were in `base`, and are lines still.
    pub(super) fn hold(&self, now: &Rope, old: &Lines, base: &Rope) -> bool {
        !self.met
            && is_line_start(now, self.start)
            && (if self.closed { is_line_start(now, self.end) } else { self.end == now.len_bytes() })
            && match (now.get_byte_slice(self.start..self.end), base.get_byte_slice(old.start..old.end)) {
                (Some(now), Some(old)) => now == old,
                _ => false,
            }
    }

    fn clash(&self, now: &Rope) -> Clash {
        let line = |offset: usize| now.byte_to_line(offset.min(now.len_bytes())) + 1;
        let first = line(self.start);
        // A break at the end belongs to the last line, not to the next one.
        let last = line(if self.end > self.start { self.end - 1 } else { self.end });
        Clash { first, last: last.max(first) }
    }
}

fn inserts_at_place(lines: &Lines, delta: Delta) -> bool {
    lines.place && delta.old_len == 0 && delta.start == lines.start
}

/// Whether a CR and an LF of different breaks would come to stand side by side.
pub(super) fn melts(now: &Rope, hunk: &Hunk) -> bool {
    let before = hunk.range.start.checked_sub(1).and_then(|at| now.get_byte(at));
    let behind = now.get_byte(hunk.range.end);
    let first = hunk.new.bytes().next().or(behind);
    let last = hunk.new.bytes().next_back().or(before);
    (before, first) == (Some(b'\r'), Some(b'\n')) && !inside_crlf(now, hunk.range.start)
        || !hunk.new.is_empty() && (last, behind) == (Some(b'\r'), Some(b'\n')) && !inside_crlf(now, hunk.range.end)
}

fn inside_crlf(rope: &Rope, offset: usize) -> bool {
    offset > 0 && rope.get_byte(offset - 1) == Some(b'\r') && rope.get_byte(offset) == Some(b'\n')
}

/// The beginning of the line that holds a byte.
pub(super) fn line_start(rope: &Rope, offset: usize) -> usize {
    rope.line_to_byte(rope.byte_to_line(offset))
}

/// The end of the line that holds a byte, behind its break.
pub(super) fn line_end(rope: &Rope, offset: usize) -> usize {
    let next = rope.byte_to_line(offset) + 1;
    if next < rope.len_lines() { rope.line_to_byte(next) } else { rope.len_bytes() }
}

#[cfg(test)]
mod tests;
