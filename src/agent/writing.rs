//! What a call writes, told while the model is still writing the call.
//!
//! The arguments of a call come as pieces of JSON that may end anywhere. Only the texts that will stand in a file are of interest,
//! and the path that says which; a call is run from its whole arguments, never from what is read here.

use std::collections::HashMap;

/// The calls of one answer, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Writings {
    /// By block: which call of the answer it is, and what has come of it, where it puts something into a file.
    calls: HashMap<usize, (u32, Option<Writing>)>,
}

impl Writings {
    /// A call begins in a block.
    pub(super) fn begin(&mut self, block: usize, writes: bool) {
        let number = self.calls.len() as u32 + 1;
        self.calls.insert(block, (number, writes.then(Writing::default)));
    }

    /// Takes in what has come of a call; gives the pieces of texts in it with the call's number, from 1.
    pub(super) fn push(&mut self, block: usize, json: &str) -> Vec<(u32, Piece)> {
        let Some((number, Some(writing))) = self.calls.get_mut(&block) else { return Vec::new() };
        writing.push(json).into_iter().map(|piece| (*number, piece)).collect()
    }
}

/// A piece of a text that a call will put into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The file, once the model has named it.
    pub(super) path: Option<String>,
    /// Which of the call's texts, from 1.
    pub(super) number: u32,
    /// The piece, decoded.
    pub(super) text: String,
}

/// Arguments that hold text for a file.
const TEXTS: [&str; 3] = ["new", "content", "patch"];
/// The most of a key or a path that is kept.
const LONGEST: usize = 4096;

/// The arguments of one call, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Writing {
    /// Whether each open container is an object.
    open: Vec<bool>,
    /// The last key, complete once its colon has come.
    key: String,
    path: Option<String>,
    number: u32,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Outside,
    /// A value comes next.
    Value,
    Inside {
        what: What,
        escape: Escape,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Key,
    Path,
    Text,
    Other,
}

/// Where an escape stands.
#[derive(Debug, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    /// The digits of `\u` so far, and the half that came before it.
    Unicode {
        digits: String,
        high: Option<u16>,
    },
    /// A first half, which waits for its second.
    Half(u16),
    HalfBegun(u16),
}

impl Writing {
    /// Takes in what has come; gives the pieces of texts in it, in order.
    pub(super) fn push(&mut self, json: &str) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for char in json.chars() {
            if let Some(text) = self.next(char) {
                match pieces.last_mut() {
                    Some(last) if last.number == self.number => last.text.push_str(&text),
                    _ => pieces.push(Piece { path: self.path.clone(), number: self.number, text }),
                }
            }
        }
        pieces
    }

    /// What of a text a character completes.
    fn next(&mut self, char: char) -> Option<String> {
        let State::Inside { what, escape } = &mut self.state else {
            self.outside(char);
            return None;
        };
        let what = *what;
        let (decoded, ends) = escape.next(char);
        if ends {
            self.state = State::Outside;
        }
        match what {
            What::Key if self.key.len() < LONGEST => self.key.push_str(&decoded),
            What::Path => {
                let path = self.path.get_or_insert_default();
                if path.len() < LONGEST {
                    path.push_str(&decoded);
                }
            }
            What::Text if !decoded.is_empty() => return Some(decoded),
            _ => {}
        }
        None
    }

    fn outside(&mut self, char: char) {
        let in_object = self.open.last().copied().unwrap_or(false);
        let value = matches!(self.state, State::Value) || !in_object;
        match char {
            '{' | '[' => {
                self.open.push(char == '{');
                self.state = State::Outside;
            }
            '}' | ']' => {
                self.open.pop();
                self.state = State::Outside;
            }
            ':' => self.state = State::Value,
            ',' => self.state = State::Outside,
            '"' => {
                let what = if !value {
                    self.key.clear();
                    What::Key
                } else if TEXTS.contains(&self.key.as_str()) {
                    self.number += 1;
                    What::Text
                } else if self.key == "path" && self.path.is_none() {
                    What::Path
                } else {
                    What::Other
                };
                self.state = State::Inside { what, escape: Escape::None };
            }
            _ => {}
        }
    }
}

impl Escape {
    /// What a character of a string literal stands for, as far as that is known, and whether the literal ends with it.
    fn next(&mut self, char: char) -> (String, bool) {
        const LOST: char = char::REPLACEMENT_CHARACTER;
        let mut out = String::new();
        let mut ends = false;
        *self = match std::mem::take(self) {
            Self::None | Self::Half(_) if char == '"' => {
                ends = true;
                Self::None
            }
            Self::None if char == '\\' => Self::Begun,
            Self::Half(high) if char == '\\' => Self::HalfBegun(high),
            before @ (Self::None | Self::Half(_)) => {
                if matches!(before, Self::Half(_)) {
                    out.push(LOST);
                }
                out.push(char);
                Self::None
            }
            Self::Begun if char == 'u' => Self::Unicode { digits: String::new(), high: None },
            Self::HalfBegun(high) if char == 'u' => Self::Unicode { digits: String::new(), high: Some(high) },
            before @ (Self::Begun | Self::HalfBegun(_)) => {
                if matches!(before, Self::HalfBegun(_)) {
                    out.push(LOST);
                }
                out.push(match char {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    other => other,
                });
                Self::None
            }
            Self::Unicode { mut digits, high } => {
                digits.push(char);
                if digits.len() < 4 {
                    Self::Unicode { digits, high }
                } else {
                    let unit = u16::from_str_radix(&digits, 16).unwrap_or(0xfffd);
                    let first = matches!(unit, 0xd800..=0xdbff);
                    let units: Vec<u16> = high.into_iter().chain((!first).then_some(unit)).collect();
                    out.extend(char::decode_utf16(units).map(|char| char.unwrap_or(LOST)));
                    if first { Self::Half(unit) } else { Self::None }
                }
            }
        };
        (out, ends)
    }
}

#[cfg(test)]
mod tests;
