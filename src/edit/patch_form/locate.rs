//! Finding the chunks of a section in the file's text.

use std::iter;

use super::Chunk;
use crate::edit::find::{FindError, Found, Nth, Piece, Placed, Text, Tier, Wanted, ambiguous, patch, place};
use crate::edit::lf::LfText;
use crate::text::Snapshot;

/// Finds every chunk in the same base, each behind the one before and behind the lines that its `@@` name, and gives the
/// smallest patch that does them all, or nothing. A chunk must be unique there, or, where its `@@` names one line, in what
/// stands indented below it.
///
/// # Errors
/// The first chunk that has no place of its own.
pub fn locate(base: &Snapshot, chunks: &[Chunk]) -> Result<Found, FindError> {
    let lf = LfText::of(base.rope());
    let text = Text::new(lf.text());
    let mut places = Vec::new();
    let mut from = 0;
    for (nth, chunk) in (1..).map(Nth::Chunk).zip(chunks) {
        let placed = one(&text, nth, chunk, from)?;
        from = placed.pieces.iter().map(|piece| piece.range.end).max().unwrap_or(from);
        // The next search begins with a line; where this place ends inside one, that is the next.
        if from > 0 && !text.text()[..from].ends_with('\n') {
            from = text.start(text.line_at(from) + 1);
        }
        places.push((nth, placed));
    }
    patch(base, &lf, places)
}

fn one(text: &Text<'_>, nth: Nth, chunk: &Chunk, from: usize) -> Result<Placed, FindError> {
    let mut region = Region { from, within: None, named: Vec::new() };
    for anchor in &chunk.anchors {
        region = below(text, nth, anchor, &region)?;
    }
    let (old, new) = (chunk.old_text(), chunk.new_text());
    if old.is_empty() {
        return Ok(inserted(text, unbound(text, nth, chunk, &region)?, new));
    }
    let wanted = Wanted {
        line: chunk.line,
        whole: true,
        from: region.from,
        within: region.within,
        at_end: chunk.at_end,
        ..Wanted::of(&old, &new)
    };
    place(text, nth, &wanted).map_err(|error| above(text, error, &wanted))
}

/// Where lines go that come without any that are there: below the one line that `@@` names, else to the end of the file. The numbers
/// of a header are a hint, which chooses among places that fit; by themselves they are no place, for models count badly.
fn unbound(text: &Text<'_>, nth: Nth, chunk: &Chunk, region: &Region) -> Result<usize, FindError> {
    let end = text.text().len();
    if chunk.at_end {
        return Ok(end);
    }
    if chunk.line.is_some() && end > 0 {
        return Err(FindError::Numbered { nth });
    }
    if let ([_, _, ..], Some(anchor)) = (region.named.as_slice(), chunk.anchors.last()) {
        return Err(ambiguous(text, nth, &format!("the line {anchor:?} of @@"), &region.named));
    }
    Ok(if chunk.anchors.is_empty() { end } else { region.from })
}

/// Where a chunk is looked for.
struct Region {
    /// A line's start.
    from: usize,
    /// The end of what stands indented below the line that `@@` names, where one line alone does.
    within: Option<usize>,
    /// The starts of all lines that the last `@@` may name.
    named: Vec<usize>,
}

/// What is behind the first line that an anchor names: one that reads so, else one that begins so, else one that holds it.
fn below(text: &Text<'_>, nth: Nth, anchor: &str, region: &Region) -> Result<Region, FindError> {
    let first = text.line_at(region.from);
    let readings: [fn(&str, &str) -> bool; 3] =
        [|line, anchor| line == anchor, |line, anchor| line.starts_with(anchor), |line, anchor| line.contains(anchor)];
    for reads in readings {
        let mut lines = (first..text.lines()).filter(|&line| reads(text.line(line).trim(), anchor));
        if let Some(line) = lines.next() {
            // Inside the block of the anchor before it may well be the only one.
            let end = region.within.filter(|&end| text.start(line) < end).unwrap_or(text.text().len());
            let named: Vec<usize> =
                iter::once(line).chain(lines).map(|line| text.start(line)).take_while(|&start| start < end).collect();
            let within = (named.len() < 2).then(|| block_end(text, line));
            return Ok(Region { from: text.start(line + 1), within, named });
        }
    }
    let behind = if first == 0 { String::new() } else { format!(" from line {} on", first + 1) };
    Err(FindError::Anchor { nth, anchor: anchor.to_owned(), behind })
}

/// Where the block ends that a line opens: before the next line that is indented no more than it, closing brackets aside.
fn block_end(text: &Text<'_>, opening: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(text.line(opening));
    let ends = |line: &&str| {
        let bare = line.trim_start();
        !bare.is_empty() && indent(line) <= outer && !bare.starts_with(['}', ')', ']', '{'])
    };
    let next = (opening + 1..text.lines()).find(|&line| ends(&text.line(line)));
    next.map_or(text.text().len(), |line| text.start(line))
}

/// Lines that come without any that are there.
fn inserted(text: &Text<'_>, at: usize, mut new: String) -> Placed {
    // Behind a last line without a break stands a break first, and the file still ends without one.
    if at == text.text().len() && at > 0 && !text.text().ends_with('\n') {
        new.pop();
        new.insert(0, '\n');
    }
    Placed { tier: Tier::Exact, pieces: vec![Piece { range: at..at, new }] }
}

/// Says so where a text that was not found is there, but elsewhere.
fn above(text: &Text<'_>, error: FindError, wanted: &Wanted<'_>) -> FindError {
    let FindError::Missing { nth, .. } = error else { return error };
    let everywhere = Wanted { from: 0, at_end: false, within: None, ..*wanted };
    let Some(start) = place(text, nth, &everywhere).ok().and_then(|placed| Some(placed.pieces.first()?.range.start))
    else {
        return error;
    };
    let why = if start >= wanted.from {
        "not at the end of the file; leave out \"*** End of File\""
    } else {
        "above the chunk or the @@ line before it; write the chunks from top to bottom"
    };
    FindError::Misplaced { nth, line: 1 + text.line_at(start), why }
}

#[cfg(test)]
mod tests;
