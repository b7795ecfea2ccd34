//! A history as text for the summariser, in a bounded room.

use std::borrow::Cow;
use std::sync::Arc;

use super::text::{Ends, escape, fit_characters, shorten};
use crate::context::tokens;
use crate::model::{Block, Item, Said, ToolResult};

/// What is shown of a result, at most: lines, and characters.
const RESULT: (usize, usize) = (24, 1_600);

/// The most characters of a call's arguments.
const ARGUMENTS: usize = 1_600;

/// The most characters of anything else.
const PROSE: usize = 32 * 1_024;

/// Tokens below which a part of an entry says nothing: its tag and the marker are half of them.
const LEAST: u64 = 40;

/// About what a marker weighs that counts entries.
const MARKER: u64 = 10;

/// An entry, or a part of one, as it can be shown.
pub(super) struct Piece<'a> {
    /// Which entry it is of.
    pub(super) item: usize,
    /// Its tag, with which it begins; one of ours.
    tag: String,
    /// What was said.
    text: Cow<'a, str>,
    /// Characters of that which are shown at most, whatever the room.
    most: usize,
    ends: Ends,
    /// How much of the room it gets, beside others of its age.
    weight: u64,
    /// What it takes when the room is no matter.
    tokens: u64,
}

/// What a history says. Reasoning and the providers' own blocks are nobody's words; what stands stays, so it is named
/// and not repeated.
pub(super) fn pieces(items: &[Arc<Item>]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (index, item) in items.iter().enumerate() {
        match &**item {
            Item::User { text, said: Said::Person { typed } } => {
                let (tag, weight) = ("person", 4);
                // A template's text says what the words are about; both count.
                let text = match typed.as_deref().map(str::trim) {
                    Some(typed) if !typed.is_empty() && !text.contains(typed) => Cow::Owned(format!("{typed}\n{text}")),
                    _ => Cow::Borrowed(text.as_str()),
                };
                pieces.push(Piece::new(index, tag.into(), text, PROSE, Ends::Both, weight));
            }
            Item::User { text, said: Said::Program } => {
                pieces.push(Piece::new(index, "program".into(), text.into(), ARGUMENTS, Ends::Head, 2));
            }
            Item::User { said: Said::Standing { about }, .. } => {
                let text = format!("(given, and still at hand: {about})");
                pieces.push(Piece::new(index, "program".into(), text.into(), ARGUMENTS, Ends::Head, 1));
            }
            Item::Assistant { blocks, .. } => pieces.extend(blocks.iter().filter_map(|block| match block {
                Block::Text { text, .. } if text.trim().is_empty() => None,
                Block::Text { text, .. } => {
                    Some(Piece::new(index, "assistant".into(), text.into(), PROSE, Ends::Both, 3))
                }
                Block::Reasoning { .. } => None,
                Block::Call { name, arguments, .. } => {
                    let tag = format!("call {}", word(name));
                    Some(Piece::new(index, tag, arguments.into(), ARGUMENTS, Ends::Head, 2))
                }
            })),
            Item::Results { results } => pieces.extend(results.iter().map(|result| of_result(index, result))),
        }
    }
    pieces
}

fn of_result(index: usize, result: &ToolResult) -> Piece<'_> {
    let tag = format!("result {} {}", word(&result.name), if result.ok { "ok" } else { "failed" });
    let (lines, characters) = RESULT;
    let shown: usize = result.content.split_inclusive('\n').take(lines).map(str::len).sum();
    let most = result.content[..shown].trim_end().chars().count().min(characters);
    // What a failure came to stands at its end.
    let ends = if result.ok { Ends::Head } else { Ends::Both };
    let most = if result.ok { most } else { characters };
    Piece::new(index, tag, Cow::Borrowed(result.content.trim_end()), most, ends, 2)
}

impl<'a> Piece<'a> {
    fn new(item: usize, tag: String, text: Cow<'a, str>, most: usize, ends: Ends, weight: u64) -> Self {
        let text = match escape(&text) {
            Cow::Owned(escaped) => Cow::Owned(escaped),
            Cow::Borrowed(_) => text,
        };
        let mut piece = Self { item, tag, text, most, ends, weight, tokens: 0 };
        piece.tokens = tokens::of_text(&piece.as_it_is());
        piece
    }

    fn as_it_is(&self) -> String {
        self.shown(&shorten(&self.text, self.most, self.ends))
    }

    fn shown(&self, text: &str) -> String {
        format!("<cowrite-{}>\n{text}\n", self.tag)
    }
}

/// What is shown of each piece, so that all together fit into `most` tokens. When they do not as they are, each gets a
/// share that grows with its age's end: the oldest are shortened hardest. One whose share would say nothing is left
/// out, and counted; never the very first and the last, as long as there is room for both.
pub(super) fn within(pieces: &[Piece<'_>], most: u64) -> Vec<String> {
    if pieces.iter().map(|piece| piece.tokens).sum::<u64>() <= most {
        return pieces.iter().map(Piece::as_it_is).collect();
    }
    let mut room = most;
    loop {
        let shown = shares(pieces, room);
        let tokens: u64 = shown.iter().map(|text| tokens::of_text(text)).sum();
        // Shares are kept by estimate, and markers weigh too.
        let Some(over) = tokens.checked_sub(most).filter(|over| *over > 0) else { return shown };
        if room == 0 {
            return vec![String::new(); pieces.len()];
        }
        room = room.saturating_sub(over.max(room / 20 + 1));
    }
}

fn shares(pieces: &[Piece<'_>], room: u64) -> Vec<String> {
    let count = pieces.len() as u64;
    let last = pieces.len() - 1;
    // Where the transcript begins and where it ends is said whatever is between.
    let end = LEAST.min(room.saturating_sub(2 * MARKER) / 2);
    let share = |index: usize, unit: u64| {
        // From one part for the oldest to four for the newest, no two alike: those that are would be left out together.
        let age = 4 * count + 12 * (index as u64 + 1);
        let share = unit.saturating_mul(age * pieces[index].weight) / (64 * count);
        let share = if index == 0 || index == last { share.max(end) } else { share };
        (share >= LEAST || index == 0 || index == last).then_some(share.min(pieces[index].tokens))
    };
    let takes = |unit: u64| -> u64 {
        let (mut takes, mut left_out) = (0, false);
        for index in 0..pieces.len() {
            let share = share(index, unit);
            // Neighbours that are left out have one marker.
            takes += share.unwrap_or(if left_out { 0 } else { MARKER });
            left_out = share.is_none();
        }
        takes
    };
    let (mut low, mut high) = (0, 16 * room.max(LEAST) + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        *(if takes(middle) <= room { &mut low } else { &mut high }) = middle;
    }
    let mut shown = Vec::with_capacity(pieces.len());
    let mut left_out = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let text = match share(index, low) {
            None => String::new(),
            Some(share) if share >= piece.tokens => piece.as_it_is(),
            Some(share) => {
                let tag = tokens::of_text(&piece.shown(""));
                let text = fit_characters(&piece.text, share.saturating_sub(tag), piece.ends);
                if text.is_empty() { text } else { piece.shown(&text) }
            }
        };
        if text.is_empty() {
            left_out += 1;
            shown.push(text);
            continue;
        }
        shown.push(marker(std::mem::take(&mut left_out)) + &text);
    }
    if let Some(last) = shown.last_mut() {
        last.push_str(&marker(left_out));
    }
    shown
}

fn marker(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        1 => "[… 1 entry left out …]\n".into(),
        _ => format!("[… {left_out} entries left out …]\n"),
    }
}

/// A tool's name as a word of a tag; a model may call a tool by any.
fn word(name: &str) -> String {
    name.chars().filter(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.')).take(64).collect()
}

#[cfg(test)]
mod tests;
