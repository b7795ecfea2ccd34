//! How many tokens a text makes, when nobody has measured: by what kind of text it is.
//!
//! The tokenizers of today's models are all of one make: they cut a text into words, numbers, signs and gaps, and look each
//! up in a vocabulary that was learned mostly from prose and code. So a text is walked once here, cut in the same way, and
//! each piece costs what its kind costs on average. A text of several kinds is thereby counted piece by piece. The costs lie
//! between those of a large vocabulary of many languages and a small English one, nearer to the small one: an estimate that is
//! too low is noticed only when a request is refused. What a real server counted for recorded conversations is held against this in `tokens/recorded_tests.rs`.

use crate::model::{Block, Item, ToolSpec};

/// A thousandth of a token is the unit that pieces are counted in.
const TOKEN: u64 = 1000;

/// What a message costs beside its text: the marks of its role, its beginning and its end.
const MESSAGE: u64 = 5;
/// What a call costs beside its name and arguments: its id, its frame, the words `name` and `arguments`.
const CALL: u64 = 20;
/// What a result costs beside its content: its id and its frame.
const RESULT: u64 = 12;
/// What a tool's description costs beside its name, text and schema.
const TOOL: u64 = 16;
/// What providers add of their own to a request that offers tools.
const TOOLS: u64 = 160;
/// Bytes of a sealed block that stand for a token of the reasoning inside: sealing makes four bytes of three, and a token of
/// prose has about four.
const SEALED_BYTES: u64 = 5;

/// Tokens of a text.
#[must_use]
pub fn of_text(text: &str) -> u64 {
    thousandths(text).div_ceil(TOKEN)
}

/// Tokens of an entry, as wires send it.
#[must_use]
pub fn of_item(item: &Item) -> u64 {
    Sizes::of(item).total
}

/// Tokens of what every request begins with: the system prompt and what the model is told of its tools.
#[must_use]
pub fn of_fixed(system: &str, tools: &[ToolSpec]) -> u64 {
    let tool =
        |tool: &ToolSpec| TOOL + of_text(&tool.name) + of_text(&tool.description) + of_text(&tool.schema.to_string());
    let tools = if tools.is_empty() { 0 } else { TOOLS + tools.iter().map(tool).sum::<u64>() };
    MESSAGE + of_text(system) + tools
}

/// Tokens of an entry, and of each result in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// All of it.
    pub(super) total: u64,
    /// The content of each result, in their order; empty where the entry has none.
    pub(super) results: Box<[u64]>,
}

impl Sizes {
    pub(super) fn of(item: &Item) -> Self {
        match item {
            Item::User { text, .. } => Self { total: MESSAGE + of_text(text), results: Box::default() },
            Item::Assistant { blocks, .. } => {
                Self { total: MESSAGE + blocks.iter().map(of_block).sum::<u64>(), results: Box::default() }
            }
            Item::Results { results } => {
                let results: Box<[u64]> = results.iter().map(|result| of_text(&result.content)).collect();
                Self { total: results.iter().map(|size| size + RESULT).sum(), results }
            }
        }
    }
}

fn of_block(block: &Block) -> u64 {
    match block {
        Block::Text { text, .. } => of_text(text),
        // Reasoning goes back only in the provider's own form; it is billed by its text, and not by its signature.
        Block::Reasoning { raw: None, .. } => 0,
        Block::Reasoning { text, raw: Some(raw) } if text.is_empty() => (raw.get().len() as u64).div_ceil(SEALED_BYTES),
        Block::Reasoning { text, .. } => of_text(text),
        Block::Call { name, arguments, .. } => CALL + of_text(name) + of_text(arguments),
    }
}

/// What a character is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lower,
    Upper,
    Digit,
    Sign,
    Space,
    Break,
    /// A character that costs so many thousandths by itself.
    Alone(u64),
}

fn kind(character: char) -> Kind {
    match character {
        'a'..='z' => Kind::Lower,
        'A'..='Z' => Kind::Upper,
        '0'..='9' => Kind::Digit,
        '\n' | '\r' => Kind::Break,
        ' ' | '\t' => Kind::Space,
        '\0'..='\u{7f}' => Kind::Sign,
        _ => Kind::Alone(beyond_ascii(character)),
    }
}

/// What a character beyond ASCII costs: by its script, in the middle between what vocabularies with and without that script make
/// of it, which is up to three times as much. A few measured requests then tell which it is.
fn beyond_ascii(character: char) -> u64 {
    match u32::from(character) {
        // A letter with a mark breaks its word in pieces, and says that the words around it are not English.
        0x80..0x250 | 0x1e00..0x1f00 => 2200,
        // Greek, Cyrillic, Armenian, Hebrew, Arabic and their neighbours.
        0x250..0x900 => 500,
        // The scripts of India and South-East Asia, Georgian, Ethiopic.
        0x900..0x1e00 => 900,
        // Dashes, quotation marks, signs and boxes.
        0x1f00..0x2e80 => 1000,
        // Punctuation of CJK, hiragana, katakana, full width forms.
        0x2e80..0x3100 | 0xff00..0xfff0 => 1200,
        // Hangul.
        0xac00..0xd7b0 => 1200,
        // Han.
        0x3100..0xa000 => 1100,
        // Emoji and rare characters, which are told byte by byte.
        0x1_0000.. => 2500,
        _ => 1500,
    }
}

/// Tokens of a text, in thousandths: one walk over it.
fn thousandths(text: &str) -> u64 {
    let mut sum = 0;
    let mut characters = text.chars().peekable();
    while let Some(first) = characters.next() {
        let kind_of_run = kind(first);
        let (mut length, mut same) = (1, 0);
        let (mut uppers, mut breaks) = (u64::from(kind_of_run == Kind::Upper), u64::from(kind_of_run == Kind::Break));
        let mut last = first;
        while let Some(next) = characters.peek() {
            let goes_on = match (kind_of_run, kind(*next)) {
                (Kind::Lower, Kind::Lower) | (Kind::Digit, Kind::Digit) | (Kind::Sign, Kind::Sign) => true,
                // A name such as `HttpServer` falls into its words, one such as `HTTP` stays whole.
                (Kind::Upper, Kind::Lower) => uppers == 1 || last.is_ascii_lowercase(),
                (Kind::Upper, Kind::Upper) => !last.is_ascii_lowercase(),
                // A gap with a line break in it is one piece, the indentation behind it included.
                (Kind::Space | Kind::Break, Kind::Space | Kind::Break) => true,
                _ => false,
            };
            if !goes_on {
                break;
            }
            uppers += u64::from(next.is_ascii_uppercase());
            breaks += u64::from(matches!(next, '\n' | '\r'));
            same += u64::from(*next == last);
            length += 1;
            last = *next;
            characters.next();
        }
        sum += match kind_of_run {
            Kind::Alone(cost) => cost,
            Kind::Digit => number(length),
            Kind::Sign => signs(length, same),
            Kind::Space | Kind::Break => gap(length, breaks, first, characters.peek().is_some()),
            Kind::Lower | Kind::Upper => word(length, uppers),
        };
    }
    sum
}

/// A word: short ones are in every vocabulary, long ones fall into pieces, and capitals into smaller ones.
fn word(length: u64, uppers: u64) -> u64 {
    if uppers > 1 {
        return 750 + (length - 2) * 420;
    }
    match length {
        0..=4 => TOKEN,
        5..=6 => 1150,
        7..=9 => 1650,
        10..=12 => 1750,
        // What is longer is hardly a word: base64, names without a gap.
        _ => 1750 + (length - 12) * 250,
    }
}

/// A number: its digits come one by one, or three at a time.
fn number(length: u64) -> u64 {
    350 + length * 750
}

/// Signs: pairs such as `()` and `",` are often one piece, and so are rulers of one sign.
fn signs(length: u64, same: u64) -> u64 {
    800 + (length - 1 - same) * 530 + same * 180
}

/// A gap: one space belongs to the word behind it, a line's end and its indentation are mostly two pieces.
fn gap(length: u64, breaks: u64, first: char, more: bool) -> u64 {
    let long = length.saturating_sub(16) * 20;
    match length - breaks {
        1 if length == 1 && first == ' ' && more => 0,
        0 => 900 + long,
        _ if breaks > 0 => 2100 + long,
        _ => 400 + long,
    }
}

#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod tests;
