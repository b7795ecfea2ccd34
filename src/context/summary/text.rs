//! Frames that nothing in them can close, and texts that say how much was left out of them.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::CharIndices;

use crate::context::tokens;

/// What every tag of ours begins with.
const NAME: &str = "cowrite";

/// What stays of a text that is shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Its beginning.
    Head,
    /// Its beginning and its end.
    Both,
}

/// A text in a frame of ours.
pub(super) fn framed(tag: &str, text: &str) -> String {
    format!("<{NAME}-{tag}>\n{}\n</{NAME}-{tag}>\n", escape(text))
}

/// A text in which nothing looks like a tag of ours, in whatever letters and however it is spaced.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    let mut escaped = String::new();
    let mut done = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        // Its full-width form reads the same.
        if matches!(char, '<' | '\u{ff1c}') && is_ours(chars.clone()) {
            escaped.push_str(&text[done..at]);
            escaped.push_str("&lt;");
            done = at + char.len_utf8();
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    escaped.push_str(&text[done..]);
    Cow::Owned(escaped)
}

/// Whether what follows a bracket reads as our name.
fn is_ours(chars: Peekable<CharIndices<'_>>) -> bool {
    let mut letters = chars
        .map(|(_, char)| char)
        .filter(|char| !is_nothing(*char))
        .skip_while(|char| matches!(char, '/' | '\\' | '!' | '?'));
    NAME.chars().all(|wanted| letters.next().is_some_and(|char| char.to_ascii_lowercase() == wanted))
}

/// What a reader may pass over.
fn is_nothing(char: char) -> bool {
    char.is_whitespace()
        || char.is_control()
        || matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text of which every line says that it is quoted, so that none is taken for a heading, and no fence in it reaches beyond it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 64);
    // A reader may take any of these for the end of a line.
    for line in text.replace("\r\n", "\n").split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
        quoted.push_str(if line.is_empty() { ">" } else { "> " });
        quoted.push_str(line);
        quoted.push('\n');
    }
    quoted
}

/// The same, in at most so many tokens; nothing where not even a marker fits.
pub(super) fn fit_quoted(text: &str, most: u64) -> String {
    let mut room = most;
    while room > 0 {
        let fitted = fit(text, room);
        if fitted.is_empty() {
            break;
        }
        let fitted = quoted(&fitted);
        let weight = tokens::of_text(&fitted);
        if weight <= most {
            return fitted;
        }
        room = room.saturating_sub((weight - most).max(room / 20 + 1));
    }
    String::new()
}

/// At most `most` characters of a text, and a marker that counts the others.
pub(super) fn shorten(text: &str, most: usize, ends: Ends) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let tail = if ends == Ends::Both { most / 3 } else { 0 };
    let head = at_char(text, most - tail);
    let tail = at_char(text, count - tail);
    let marker = format!("[… {} of {count} characters left out …]", text[head..tail].chars().count());
    let mut shortened = String::with_capacity(text.len() - (tail - head) + marker.len() + 2);
    for part in [&text[..head], &marker, &text[tail..]].into_iter().filter(|part| !part.is_empty()) {
        if !shortened.is_empty() && !shortened.ends_with('\n') {
            shortened.push('\n');
        }
        shortened.push_str(part);
    }
    shortened
}

/// A text in at most so many tokens. What it loses, it loses in its middle, in whole lines where that is enough;
/// nothing is left of it where not even the marker fits.
pub(super) fn fit(text: &str, most: u64) -> String {
    if tokens::of_text(text) <= most {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    let weights: Vec<u64> = lines.iter().map(|line| tokens::of_text(line) + 1).collect();
    let marker = |left_out: usize| format!("[… {left_out} lines left out: `recall` finds what they were about …]");
    let room = most.saturating_sub(tokens::of_text(&marker(lines.len())) + 2);
    // The beginning has the goal and the end has what comes next; the middle is what was done.
    let (mut head, mut tail, mut used) = (0, 0, 0);
    while head + tail < lines.len() {
        let from_head = head <= tail;
        let weight = weights[if from_head { head } else { lines.len() - 1 - tail }];
        if used + weight > room {
            break;
        }
        used += weight;
        *(if from_head { &mut head } else { &mut tail }) += 1;
    }
    if used * 2 >= room && head > 0 {
        let left_out = marker(lines.len() - head - tail);
        let parts =
            lines[..head].iter().copied().chain([left_out.as_str()]).chain(lines[lines.len() - tail..].iter().copied());
        let fitted = parts.collect::<Vec<_>>().join("\n");
        if tokens::of_text(&fitted) <= most {
            return fitted;
        }
    }
    // Lines too long to go as wholes.
    fit_characters(text, most, Ends::Both)
}

/// The same by characters.
pub(super) fn fit_characters(text: &str, most: u64, ends: Ends) -> String {
    let whole = tokens::of_text(text);
    if whole <= most {
        return text.to_owned();
    }
    let count = text.chars().count() as u64;
    let mut characters = count.saturating_mul(most) / whole.max(1);
    while characters > 0 {
        let fitted = shorten(text, usize::try_from(characters).unwrap_or(usize::MAX), ends);
        let tokens = tokens::of_text(&fitted);
        if tokens <= most {
            return fitted;
        }
        // The marker weighs too, and texts are not the same all through.
        characters = (characters * most / tokens).min(characters - 1) * 9 / 10;
    }
    String::new()
}

/// The byte at which a character begins.
fn at_char(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests;
