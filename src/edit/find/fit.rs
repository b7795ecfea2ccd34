//! Making the new text fit a place that was not found exactly: what the model leaves as it was stays as the file has it, and
//! what it adds is bent the way that the match was.

use std::collections::BTreeSet;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::fold::{self, Family};
use super::indent::Shift;
use super::seek::Way;
use crate::text::{common_prefix_of, common_suffix_of};

/// The text for a place that reads as `old` in this way, or nothing when the difference in indentation is not uniform.
pub(super) fn fitted(there: &str, old: &str, new: &str, way: Way) -> Option<String> {
    if new.is_empty() {
        return Some(String::new());
    }
    // What stands behind the last break is no line, and not to be taken for a blank one.
    let ended = new.ends_with('\n');
    // A file whose last line has no break keeps none.
    let unended = old.ends_with('\n') && !there.ends_with('\n');
    let there = if old.ends_with('\n') { there.strip_suffix('\n').unwrap_or(there) } else { there };
    let [old, new] = [old, new].map(|text| text.strip_suffix('\n').unwrap_or(text));
    let [there, old, new] = [there, old, new].map(|text| text.split('\n').collect::<Vec<_>>());
    let mut fitted = Bent::of(&there, &old, &new, way)?.join(&there, &old, &new);
    if ended && !unended {
        fitted.push('\n');
    }
    Some(fitted)
}

/// Whether a place differs from the old text only in one uniform way.
pub(super) fn fits(there: &str, old: &str, way: Way) -> bool {
    if !way.shift {
        return true;
    }
    let (there, old): (Vec<&str>, Vec<&str>) = (there.split('\n').collect(), old.split('\n').collect());
    Bent::of(&there, &old, &[], way).is_some()
}

/// How a match bends what the model wrote.
struct Bent {
    way: Way,
    shift: Option<Shift>,
    /// What the model writes where the file has what it folds to.
    plain: BTreeSet<Family>,
    /// Whether the model writes white space at line ends where the file has none.
    bare: bool,
}

impl Bent {
    fn of(there: &[&str], old: &[&str], new: &[&str], way: Way) -> Option<Self> {
        let shift = if way.shift { Some(shift(there, old, new, way)?) } else { None };
        let plain = if way.fold { plain(there, old) } else { BTreeSet::new() };
        let trails = |line: &str| way.trim_end(line).len() < line.len() && !way.trim_end(line).is_empty();
        let mut pairs = there.iter().zip(old).filter(|(_, old)| trails(old)).peekable();
        let bare = pairs.peek().is_some() && pairs.all(|(there, _)| !trails(there));
        Some(Self { way, shift, plain, bare })
    }

    fn join(&self, there: &[&str], old: &[&str], new: &[&str]) -> String {
        // Whether the change is one of white space or typography alone; then what differs in that is meant.
        let subtle = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| self.alike(a, b));
        let keys = |lines: &[&str]| -> Vec<String> {
            let key = |line: &&str| if subtle { (*line).to_owned() } else { self.key(line) };
            lines.iter().map(key).collect()
        };
        let mut lines: Vec<String> = Vec::with_capacity(new.len());
        for op in capture_diff_slices(Algorithm::Myers, &keys(old), &keys(new)) {
            let (from, to) = (op.old_range(), op.new_range());
            match op {
                DiffOp::Equal { .. } => lines.extend(there[from].iter().map(|line| (*line).to_owned())),
                _ if from.len() == to.len() => {
                    let pairs = from.zip(to);
                    lines.extend(pairs.map(|(from, to)| self.changed(there[from], old[from], new[to])));
                }
                _ => lines.extend(new[to].iter().map(|line| self.line(line))),
            }
        }
        lines.join("\n")
    }

    /// What of a line counts when the old text and the new one are compared.
    fn key(&self, line: &str) -> String {
        let line = self.way.trim_end(line);
        if self.way.fold { fold::folded(line) } else { line.to_owned() }
    }

    fn alike(&self, a: &str, b: &str) -> bool {
        self.key(a) == self.key(b)
    }

    /// A line that stands for another: where they begin and end alike, the file's own text stays.
    fn changed(&self, there: &str, old: &str, new: &str) -> String {
        let (old_parts, new_parts, there_parts) = (self.parts(old), self.parts(new), self.parts(there));
        let (a, b) = (old_parts.body, new_parts.body);
        let prefix = common_prefix_of(a, b);
        let suffix = common_suffix_of(&a[prefix..], &b[prefix..]);
        if 2 * (prefix + suffix) < a.len().max(b.len()) {
            return self.line(new);
        }
        let there_body = there_parts.body;
        let (Some(start), Some(end)) =
            (self.prefix(there_body, &a[..prefix]), self.suffix(there_body, &a[a.len() - suffix..]))
        else {
            return self.line(new);
        };
        if start > end {
            return self.line(new);
        }
        let indent = if old_parts.indent == new_parts.indent {
            there_parts.indent.to_owned()
        } else {
            self.indent(new_parts.indent)
        };
        let middle = self.characters(&b[prefix..b.len() - suffix]);
        let own_trailing = &there[self.way.trim_end(there).len()..];
        let trailing = if old_parts.trailing == new_parts.trailing { own_trailing } else { new_parts.trailing };
        format!("{indent}{}{middle}{}{trailing}", &there_body[..start], &there_body[end..])
    }

    fn prefix(&self, text: &str, wanted: &str) -> Option<usize> {
        if self.way.fold { fold::prefix(text, wanted) } else { Some(wanted.len()) }
    }

    fn suffix(&self, text: &str, wanted: &str) -> Option<usize> {
        if self.way.fold { fold::suffix(text, wanted) } else { text.len().checked_sub(wanted.len()) }
    }

    /// A line that comes.
    fn line(&self, line: &str) -> String {
        let parts = self.parts(line);
        if parts.body.is_empty() {
            return if self.bare { String::new() } else { line.to_owned() };
        }
        format!("{}{}{}", self.indent(parts.indent), self.characters(parts.body), parts.trailing)
    }

    fn parts<'a>(&self, line: &'a str) -> Parts<'a> {
        let bare = self.way.trim_end(line);
        let body = if self.way.shift { self.way.trim_start(bare) } else { bare };
        let trailing = if self.bare { "" } else { &line[bare.len()..] };
        Parts { indent: &bare[..bare.len() - body.len()], body, trailing }
    }

    fn indent(&self, indent: &str) -> String {
        match &self.shift {
            Some(shift) => shift.apply(&self.characters(&space(indent, self.way))),
            None => self.characters(indent),
        }
    }

    fn characters(&self, text: &str) -> String {
        if self.plain.is_empty() || text.is_ascii() {
            return text.to_owned();
        }
        text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
            let (plain, times) =
                if fold::family(c).is_some_and(|family| self.plain.contains(&family)) { fold::of(c) } else { (c, 1) };
            out.extend(std::iter::repeat_n(plain, times));
            out
        })
    }
}

struct Parts<'a> {
    indent: &'a str,
    body: &'a str,
    trailing: &'a str,
}

/// Indentation with plain spaces.
fn space(indent: &str, way: Way) -> String {
    if way.fold { fold::folded(indent) } else { indent.to_owned() }
}

fn shift(there: &[&str], old: &[&str], new: &[&str], way: Way) -> Option<Shift> {
    let indent = |line: &str| -> Option<String> {
        let body = way.trim_start(line);
        (!body.is_empty()).then(|| space(&line[..line.len() - body.len()], way))
    };
    let pairs: BTreeSet<(String, String)> =
        there.iter().zip(old).filter_map(|(there, old)| Some((indent(there)?, indent(old)?))).collect();
    let new: BTreeSet<String> = new.iter().filter_map(|line| indent(line)).collect();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(there, old)| (there.as_str(), old.as_str())).collect();
    Shift::between(&pairs, &new.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What the model writes otherwise than the file, always. The other way round nothing is known: a quote of the keyboard may be
/// an opening or a closing one.
fn plain(there: &[&str], old: &[&str]) -> BTreeSet<Family> {
    let (mut plain, mut kept) = (BTreeSet::new(), BTreeSet::new());
    let way = Way { fold: true, shift: true };
    for (there, old) in there.iter().zip(old) {
        let indents = |line: &&str| fold::folded(&line[..line.len() - way.trim_start(line).len()]);
        // Where the indentation is another, only what stands behind it can be compared.
        let same = indents(there) == indents(old);
        let part = |line| if same { way.trim_end(line) } else { way.key(line) };
        for (here, written) in fold::pairs(part(there), part(old)) {
            let Some(family) = fold::family(written) else { continue };
            if here == written {
                kept.insert(family)
            } else {
                plain.insert(family)
            };
        }
    }
    plain.into_iter().filter(|family| !kept.contains(family)).collect()
}
