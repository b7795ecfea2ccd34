//! How what a run changed in a document is taken back. Pure: from records and a text to a plan.
//!
//! The changes are taken back newest first, each moved over everything that came after it, so that what the person typed
//! is never touched. Where the two meet on a line it is a conflict, and then the whole document stays as it is.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use ropey::Rope;

use crate::edit::{Clash, Hunk, Patch, deltas_between};
use crate::store::{Back, Base, Changed, Hash};

/// How many places a reason names.
const SHOWN: usize = 5;

/// What a run did in one document, text by text.
#[derive(Clone, Debug)]
pub struct Trail {
    shown: String,
    steps: Vec<Step>,
}

/// One change of the run.
#[derive(Clone, Debug)]
struct Step {
    created: bool,
    gone: bool,
    /// What the person did between the change before and this one.
    since: Patch,
    before: Rope,
    after: Rope,
    /// Its places in the text before, each with its name and whether it is to be taken back.
    pieces: Vec<Piece>,
}

/// One place of a change.
#[derive(Clone, Debug)]
struct Piece {
    id: String,
    hunk: Hunk,
    wanted: bool,
}

/// What to do in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// A patch of the text now; it gives the text before the run.
    Restored(Patch),
    /// A patch of the text now; it keeps what the person did. Empty when nothing of the run is left.
    Merged(Patch),
    /// The run made the file, and it holds what the run left: it goes.
    Delete,
    /// The run took the file away: it comes back.
    Restore {
        /// With this text.
        text: Rope,
        /// Whether something that the person typed during the run is in it.
        merged: bool,
    },
    /// It is as it was before the run already.
    Nothing,
    /// It stays as it is.
    Conflict {
        /// Why, with the numbers of the lines as they are now.
        reason: String,
    },
}

impl Trail {
    /// The texts of a document, from the records of a run's changes in it, oldest first.
    ///
    /// # Errors
    /// When a text is missing or the records do not fit it, in a sentence for the person.
    pub fn replay(changed: &[&Changed], mut content: impl FnMut(Hash) -> Option<Vec<u8>>) -> Result<Self, String> {
        let mut steps: Vec<Step> = Vec::new();
        let mut shown = String::new();
        for changed in changed {
            shown.clone_from(changed.moved.as_ref().map_or(&changed.shown, |moved| &moved.shown));
            let unfit = || format!("what was recorded of the changes of {} does not fit together", changed.shown);
            let left = steps.last().map(|step| step.after.clone());
            let (since, before) = match (&changed.base, left) {
                (Base::Whole(hash), left) => {
                    let text = content(*hash).and_then(|bytes| String::from_utf8(bytes).ok());
                    let gone = || format!("the text of {} before the change is not kept any more", changed.shown);
                    let before = Rope::from_str(&text.ok_or_else(gone)?);
                    (left.map(|left| Patch::exact(&left, &before)).unwrap_or_default(), before)
                }
                (Base::Since(pieces), Some(left)) => {
                    let since = patch(pieces, &left).ok_or_else(unfit)?;
                    let before = since.apply(&left);
                    (since, before)
                }
                (Base::Since(_), None) => return Err(unfit()),
            };
            let change = patch(&changed.change, &before).ok_or_else(unfit)?;
            let after = change.apply(&before);
            let pieces = changed.change.iter().map(Piece::of).collect();
            steps.push(Step { created: changed.created, gone: changed.gone.is_some(), since, before, after, pieces });
        }
        Ok(Self { shown, steps })
    }

    /// The text before and after each change.
    pub fn texts(&self) -> impl Iterator<Item = (&Rope, &Rope)> {
        self.steps.iter().map(|step| (&step.before, &step.after))
    }

    /// The same with only some of its places to be taken back, by their names.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        for piece in self.steps.iter_mut().flat_map(|step| &mut step.pieces) {
            piece.wanted = wanted(&piece.id);
        }
        self
    }

    /// The places that are to be taken back: name, text before, text after.
    pub fn wanted(&self) -> impl Iterator<Item = (&str, String, &str)> {
        let of = |step: &'_ Step, piece: &Piece| step.before.byte_slice(piece.hunk.range.clone()).to_string();
        self.steps.iter().flat_map(move |step| {
            let wanted = step.pieces.iter().filter(|piece| piece.wanted);
            wanted.map(move |piece| (piece.id.as_str(), of(step, piece), piece.hunk.new.as_str()))
        })
    }

    /// How to take back some places in the text as it is now; `None` when the file is gone. A file that the run made goes with the
    /// place that made it.
    #[must_use]
    pub fn plan_places(&self, now: Option<&Rope>) -> Plan {
        let Some(now) = now else {
            let cure = if self.steps.last().is_some_and(|step| step.gone) {
                "; the run has deleted it, and cowrite.undo with its runId brings it back"
            } else {
                ""
            };
            return conflict(format!(
                "{} is not there any more, so there is nothing to take back in it{cure}",
                self.shown
            ));
        };
        let of_wanted = |step: &Step| step.pieces.iter().any(|piece| piece.wanted);
        if let Some(made) = self.steps.iter().position(|step| step.created && of_wanted(step)) {
            // Behind an older step the file was the person's before the run took it away: then that is what comes back.
            let first = if self.steps[..made].iter().any(|step| !step.created) { 0 } else { made };
            let mut whole = self.clone();
            whole.steps.drain(..first);
            return whole.only(|_| true).plan(0, Some(now));
        }
        match taken_back(&self.steps, now) {
            Ok(text) if text == *now => Plan::Nothing,
            Ok(text) => Plan::Merged(Patch::exact(now, &text)),
            Err(lines) => conflict(format!(
                "{lines} changed after the run had changed something there, so that stays in {} as it is",
                self.shown
            )),
        }
    }

    /// How to take back all changes from number `from` on (from 0) in the text as it is now; `None` when the file is gone.
    #[must_use]
    pub fn plan(&self, from: usize, now: Option<&Rope>) -> Plan {
        let steps = self.steps.get(from..).unwrap_or_default();
        let (Some(first), Some(newest)) = (steps.first(), steps.last()) else { return Plan::Nothing };
        let Some(now) = now else {
            return if first.created {
                Plan::Nothing
            } else if newest.gone {
                match taken_back(steps, &newest.after) {
                    Ok(text) => Plan::Restore { merged: text != first.before, text },
                    // What the person typed meets what the run had changed before: the file comes back as it went.
                    Err(_) => Plan::Restore { text: newest.before.clone(), merged: true },
                }
            } else {
                conflict(format!(
                    "{} is not there any more, so there is nothing to take the changes out of",
                    self.shown
                ))
            };
        };
        if newest.gone {
            return if !first.created && *now == first.before {
                Plan::Nothing
            } else {
                conflict(format!("{} was made anew after the run had deleted it, so it stays", self.shown))
            };
        }
        if first.created {
            return self.unmake(steps, newest, now);
        }
        // Even a text that reads as before may lack what the person typed during the run and the run took away.
        match taken_back(steps, now) {
            Ok(text) if text == *now && text == first.before => Plan::Nothing,
            Ok(text) if text == first.before => Plan::Restored(Patch::exact(now, &text)),
            Ok(text) => Plan::Merged(Patch::exact(now, &text)),
            Err(_) if *now == first.before => Plan::Nothing,
            Err(lines) => conflict(format!(
                "{lines} changed after the run had changed something there, so nothing in {} was undone",
                self.shown
            )),
        }
    }

    /// A file that the run made goes when all of it is the run's.
    fn unmake(&self, steps: &[Step], newest: &Step, now: &Rope) -> Plan {
        let theirs = match taken_back(steps, now) {
            Ok(text) if text.len_bytes() == 0 && (*now == newest.after || steps.iter().any(Step::is_partial)) => {
                return Plan::Delete;
            }
            Ok(text) if text.len_bytes() > 0 => Lines::kept(now, &Patch::exact(now, &text)),
            Ok(_) => Lines::changed(&newest.after, now),
            Err(lines) if *now == newest.after => lines,
            Err(_) => Lines::changed(&newest.after, now),
        };
        conflict(format!("{theirs} changed since the run had made {}, so it was not deleted", self.shown))
    }
}

/// The text without the changes; or the lines of `now` where what the person did meets one of them.
fn taken_back(steps: &[Step], now: &Rope) -> Result<Rope, Lines> {
    let mut text = now.clone();
    let mut done: Vec<Patch> = Vec::new();
    for (index, step) in steps.iter().enumerate().rev() {
        match step.back_in(&text, steps.get(index + 1)) {
            Ok(back) => {
                text = back.apply(&text);
                done.push(back);
            }
            Err(Clash { first, last }) => {
                let line = |number: usize| text.line_to_byte(number.min(text.len_lines()));
                // The text has lost what later changes brought: back to where its lines stand now.
                let part = done.iter().rev().fold(line(first - 1)..line(last), |part, back| back.origin(part));
                return Err(Lines::of(now, [part]));
            }
        }
    }
    Ok(text)
}

impl Step {
    /// Whether some of it was taken back before.
    fn is_partial(&self) -> bool {
        self.pieces.iter().any(|piece| !piece.wanted)
    }

    /// What takes the wanted places out of the text after.
    fn back(&self) -> Patch {
        let (mut gone, mut come) = (0, 0);
        let mut back = Vec::new();
        for Piece { hunk: Hunk { range, new }, wanted, .. } in &self.pieces {
            let start = range.start - gone + come;
            gone += range.len();
            come += new.len();
            if *wanted {
                let old = self.before.byte_slice(range.clone()).to_string();
                back.push(Hunk { range: start..start + new.len(), new: old });
            }
        }
        Patch::joined(back)
    }

    /// What takes the change out of a text that came from it, by way of the next step.
    fn back_in(&self, text: &Rope, next: Option<&Step>) -> Result<Patch, Clash> {
        let back = self.back();
        let at_once = || back.merge(&self.after, &deltas_between(&self.after, text), text);
        let Some(next) = next.filter(|next| !next.since.is_empty()) else { return at_once() };
        // Step by step says more exactly what was typed where; at once does not mind what was typed and taken away again.
        let mut deltas = next.since.deltas();
        deltas.extend(deltas_between(&next.before, text));
        back.merge(&self.after, &deltas, text).or_else(|_| at_once())
    }
}

impl Piece {
    fn of(back: &Back) -> Self {
        let hunk = Hunk { range: back.start..back.end, new: back.new.clone() };
        Self { id: back.hunk.clone(), hunk, wanted: true }
    }
}

/// The patch of recorded pieces; `None` when they do not fit the text.
fn patch(pieces: &[Back], text: &Rope) -> Option<Patch> {
    let mut end = 0;
    for piece in pieces {
        // `None` inside of a character and behind the end.
        text.get_byte_slice(piece.start..piece.end).filter(|_| end <= piece.start)?;
        end = piece.end;
    }
    let hunk = |piece: &Back| Hunk { range: piece.start..piece.end, new: piece.new.clone() };
    Some(Patch::joined(pieces.iter().map(hunk)))
}

fn conflict(reason: String) -> Plan {
    Plan::Conflict { reason }
}

/// Numbers of lines, from 1.
struct Lines(Vec<RangeInclusive<usize>>);

impl Lines {
    /// The lines that parts of a text stand on.
    fn of(text: &Rope, parts: impl IntoIterator<Item = Range<usize>>) -> Self {
        let number = |at: usize| text.byte_to_line(at.min(text.len_bytes())) + 1;
        let mut lines: Vec<RangeInclusive<usize>> = Vec::new();
        for part in parts {
            let first = number(part.start);
            // A break at the end belongs to the last line, not to the next one.
            let last = number(if part.end > part.start { part.end - 1 } else { part.end }).max(first);
            match lines.last_mut() {
                Some(before) if first <= before.end() + 1 => *before = *before.start()..=last.max(*before.end()),
                _ => lines.push(first..=last),
            }
        }
        if lines.is_empty() {
            // Nothing of the text itself, so the place where it would be.
            lines.push(1..=1);
        }
        Self(lines)
    }

    /// The lines of a text that read otherwise than an older one.
    fn changed(old: &Rope, new: &Rope) -> Self {
        Self::of(new, Patch::exact(old, new).new_ranges())
    }

    /// The lines that a patch leaves something of.
    fn kept(text: &Rope, patch: &Patch) -> Self {
        let starts = std::iter::once(0).chain(patch.hunks().iter().map(|hunk| hunk.range.end));
        let ends = patch.hunks().iter().map(|hunk| hunk.range.start).chain([text.len_bytes()]);
        Self::of(text, starts.zip(ends).map(|(start, end)| start..end).filter(|part| !part.is_empty()))
    }
}

/// "line 3 was", "lines 3 to 5 and 9 were".
impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.len().min(SHOWN);
        let more = self.0.len() - shown;
        let one = self.0.len() == 1 && self.0[0].start() == self.0[0].end();
        f.write_str(if one { "line " } else { "lines " })?;
        for (index, lines) in self.0[..shown].iter().enumerate() {
            f.write_str(match index {
                0 => "",
                _ if index + 1 == shown && more == 0 => " and ",
                _ => ", ",
            })?;
            match lines.end() - lines.start() {
                0 => write!(f, "{}", lines.start())?,
                _ => write!(f, "{} to {}", lines.start(), lines.end())?,
            }
        }
        if more > 0 {
            write!(f, " and {more} more places")?;
        }
        f.write_str(if one { " was" } else { " were" })
    }
}

#[cfg(test)]
mod tests;
