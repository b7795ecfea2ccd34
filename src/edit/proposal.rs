//! Changes that wait for a decision. Each hunk has an id and is accepted or dropped by itself; all of them stand in the text as
//! the person has it, and follow what is typed there.

use std::ops::Range;

use ropey::Rope;

use super::land::spans::composed;
use super::merge::moved_beside;
use super::rebase::{Clash, Lines, moved};
use super::undo::is_made;
use super::{Hunk, Patch, deltas_between};
use crate::text::Delta;

/// The hunks that wait in one text, in order, none overlapping another.
#[derive(Clone, Debug)]
pub struct Proposal {
    base: Rope,
    hunks: Vec<Proposed>,
}

/// One place that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// What it is called.
    pub id: String,
    /// What it does in the text.
    pub hunk: Hunk,
}

/// What a later change has made of the hunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composed {
    /// The ids of hunks that are new.
    pub new: Vec<String>,
    /// The ids of those that they stand for now; of some nothing may be left.
    pub replaced: Vec<String>,
}

/// A hunk that can wait no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// What it was, in the text that it last stood in.
    pub proposed: Proposed,
    /// That text.
    pub base: Rope,
    /// Which lines were typed on; `None` when the text reads there as the hunk would make it.
    pub clash: Option<Clash>,
}

impl Proposal {
    /// Nothing proposed in a text yet.
    #[must_use]
    pub fn new(base: Rope) -> Self {
        Self { base, hunks: Vec::new() }
    }

    /// Hunks as they were kept; `None` when they do not fit the text.
    #[must_use]
    pub fn restored(base: Rope, hunks: Vec<Proposed>) -> Option<Self> {
        let mut end = 0;
        for Proposed { hunk, .. } in &hunks {
            let Range { start, end: behind } = hunk.range.clone();
            // `None` inside of a character and behind the end.
            base.get_byte_slice(start..behind).filter(|_| end <= start)?;
            end = behind;
        }
        Some(Self { base, hunks })
    }

    /// The text that the hunks stand in.
    #[must_use]
    pub fn base(&self) -> &Rope {
        &self.base
    }

    /// The hunks, in order.
    #[must_use]
    pub fn hunks(&self) -> &[Proposed] {
        &self.hunks
    }

    /// The text with all of them.
    #[must_use]
    pub fn overlay(&self) -> Rope {
        self.pick(|_| true).apply(&self.base)
    }

    /// The change that makes some of them.
    #[must_use]
    pub fn pick(&self, wanted: impl Fn(&str) -> bool) -> Patch {
        Patch::joined(self.hunks.iter().filter(|proposed| wanted(&proposed.id)).map(|proposed| proposed.hunk.clone()))
    }

    /// Some of them wait no longer.
    pub fn remove(&mut self, gone: impl Fn(&str) -> bool) -> Vec<Proposed> {
        let (gone, stay) = std::mem::take(&mut self.hunks).into_iter().partition(|proposed| gone(&proposed.id));
        self.hunks = stay;
        gone
    }

    /// Takes in a change of the text with all hunks in it. Where it meets a hunk, or lies on the same line or the next one, they
    /// become one under a new id; so do changes of its own that lie so.
    pub fn compose(&mut self, patch: &Patch, mut id: impl FnMut() -> String) -> Composed {
        let mut composed = Composed::default();
        let mut parts = Vec::new();
        for part in self.met(patch) {
            // What undoes a hunk leaves nothing.
            if part.is_new && self.base.byte_slice(part.hunk.range.clone()) == part.hunk.new.as_str() {
                composed.replaced.extend(part.ids);
            } else {
                parts.push(part);
            }
        }
        self.hunks.clear();
        for part in self.neighbours(parts) {
            let name = match (part.is_new, part.ids.first()) {
                (false, Some(id)) => id.clone(),
                _ => {
                    let name = id();
                    composed.new.push(name.clone());
                    composed.replaced.extend(part.ids);
                    name
                }
            };
            self.hunks.push(Proposed { id: name, hunk: part.hunk });
        }
        composed
    }

    /// The hunks, and those of a change of the text with all of them; what touches the change is one with it.
    fn met(&self, patch: &Patch) -> Vec<Part> {
        let overlay = self.overlay();
        let mut places = Vec::new();
        let (mut gone, mut come) = (0, 0);
        for proposed in &self.hunks {
            let start = proposed.hunk.range.start - gone + come;
            places.push(start..start + proposed.hunk.new.len());
            gone += proposed.hunk.range.len();
            come += proposed.hunk.new.len();
        }
        let mut parts = Vec::new();
        let mut changes = patch.hunks().iter().peekable();
        let mut waiting = self.hunks.iter().zip(places).peekable();
        // How far the text with the hunks is ahead of the text without.
        let (mut gone, mut come) = (0, 0);
        loop {
            let change_first = match (changes.peek(), waiting.peek()) {
                (None, None) => return parts,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(change), Some((_, place))) => change.range.start <= place.end,
            };
            let Some(change) = changes.peek().filter(|_| change_first) else {
                let Some((proposed, _)) = waiting.next() else { return parts };
                gone += proposed.hunk.range.len();
                come += proposed.hunk.new.len();
                let ids = vec![proposed.id.clone()];
                parts.push(Part { hunk: proposed.hunk.clone(), ids, is_new: false });
                continue;
            };
            // Everything that touches it, one after another, both in the text with the hunks.
            let start = waiting.peek().map_or(change.range.start, |(_, place)| place.start.min(change.range.start));
            let (gone_before, come_before) = (gone, come);
            let mut end = start;
            let mut ids = Vec::new();
            let mut new = String::new();
            let mut at = start;
            let mut begun = false;
            loop {
                if let Some(change) = changes.next_if(|change| change.range.start <= end || !begun) {
                    begun = true;
                    new.extend(overlay.byte_slice(at..change.range.start.max(at)).chunks());
                    new.push_str(&change.new);
                    at = change.range.end;
                    end = end.max(at);
                } else if let Some((proposed, place)) = waiting.next_if(|(_, place)| place.start <= end) {
                    gone += proposed.hunk.range.len();
                    come += proposed.hunk.new.len();
                    ids.push(proposed.id.clone());
                    end = end.max(place.end);
                } else {
                    break;
                }
            }
            new.extend(overlay.byte_slice(at..end).chunks());
            let range = start + gone_before - come_before..end + gone - come;
            parts.push(Part { hunk: Hunk { range, new }, ids, is_new: true });
        }
    }

    /// What is new, with whatever shares a line with it or is on the next one.
    fn neighbours(&self, parts: Vec<Part>) -> Vec<Part> {
        let mut groups: Vec<Part> = Vec::new();
        for part in parts {
            let lines = Lines::of(&self.base, &part.hunk);
            let joined = groups
                .last_mut()
                .filter(|last| (last.is_new || part.is_new) && lines.start <= Lines::of(&self.base, &last.hunk).end);
            match joined {
                Some(last) => {
                    let between = last.hunk.range.end..part.hunk.range.start;
                    last.hunk.new.extend(self.base.byte_slice(between).chunks());
                    last.hunk.new.push_str(&part.hunk.new);
                    last.hunk.range.end = part.hunk.range.end;
                    last.ids.extend(part.ids);
                    last.is_new = true;
                }
                None => groups.push(part),
            }
        }
        groups
    }

    /// Moves everything over what was typed since, and gives the hunks that it meets.
    pub fn follow(&mut self, now: &Rope) -> Vec<Void> {
        if self.base.is_instance(now) {
            return Vec::new();
        }
        self.follow_over(&deltas_between(&self.base, now), now)
    }

    /// The same, where it is known what was changed.
    pub fn follow_over(&mut self, deltas: &[Delta], now: &Rope) -> Vec<Void> {
        let base = std::mem::replace(&mut self.base, now.clone());
        let mut void = Vec::new();
        let mut spans = None;
        let mut end = 0;
        for proposed in std::mem::take(&mut self.hunks) {
            let hunk = std::slice::from_ref(&proposed.hunk);
            let mut by_hand = || is_made(hunk, &base, spans.get_or_insert_with(|| composed(deltas)), now);
            let there = match moved(hunk, &base, deltas, now) {
                Err(clash) if by_hand() => Err((clash, true)),
                Err(clash) => moved_beside(hunk, &base, deltas, now).ok_or((clash, false)),
                there => there.map_err(|clash| (clash, false)),
            };
            let clash = match there {
                Ok(there) => {
                    let fits = there.into_iter().next().filter(|there| there.range.start >= end);
                    if let Some(hunk) = fits {
                        end = hunk.range.end;
                        self.hunks.push(Proposed { id: proposed.id, hunk });
                        continue;
                    }
                    let line = now.byte_to_line(end) + 1;
                    Some(Clash { first: line, last: line })
                }
                Err((clash, by_hand)) => (!by_hand).then_some(clash),
            };
            void.push(Void { proposed, base: base.clone(), clash });
        }
        void
    }

    /// Some hunks were made: `change` did it, in the text `before`. Gives the others that what was typed until then meets.
    pub fn made(&mut self, made: impl Fn(&str) -> bool, before: &Rope, change: &Patch) -> Vec<Void> {
        self.remove(made);
        let mut void = self.follow(before);
        void.extend(self.follow_over(&change.deltas(), &change.apply(before)));
        void
    }
}

/// A place while a change is taken in.
struct Part {
    hunk: Hunk,
    /// What it was called, or what the parts of it were.
    ids: Vec<String>,
    /// Whether the change has to do with it.
    is_new: bool,
}

#[cfg(test)]
mod tests;
