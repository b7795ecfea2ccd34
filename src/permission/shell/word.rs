//! What a word of a script comes to, as far as that can be said before it runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use brush_parser::word::{ParameterExpr, WordPiece, WordPieceWithSource, parse, parse_heredoc};
use brush_parser::{ParserOptions, WordParseError};

/// A word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::permission) enum Word {
    /// Exactly this.
    Literal(String),
    /// The names of files that match, or the pattern itself: one word or more.
    Names,
    /// Nobody knows: nothing, one word or many.
    Unknown,
}

impl Word {
    /// The text, when it is known.
    pub(in crate::permission) fn literal(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Names | Self::Unknown => None,
        }
    }
}

/// A word as it was read.
pub(super) struct Read {
    pub(super) word: Word,
    /// The scripts that run to make it.
    pub(super) scripts: Vec<String>,
    /// Whether all that runs to make it is among them.
    pub(super) whole: bool,
}

/// Reads a word, its quotes included.
pub(super) fn read(raw: &str) -> Read {
    of(raw, || parse(raw, &ParserOptions::default()))
}

/// Reads a text in which only `$` and backquotes mean something.
pub(super) fn read_text(raw: &str) -> Read {
    of(raw, || parse_heredoc(raw, &ParserOptions::default()))
}

fn of(raw: &str, parse: impl FnOnce() -> Result<Vec<WordPieceWithSource>, WordParseError>) -> Read {
    let mut reading = Reading { text: String::new(), known: true, names: false, scripts: Vec::new(), whole: true };
    match catch_unwind(AssertUnwindSafe(parse)) {
        Ok(Ok(pieces)) => reading.pieces(raw, &pieces, false),
        _ => reading.lost(),
    }
    let word = match (reading.known, reading.names) {
        (false, _) => Word::Unknown,
        (true, true) => Word::Names,
        (true, false) => Word::Literal(reading.text),
    };
    Read { word, scripts: reading.scripts, whole: reading.whole }
}

struct Reading {
    text: String,
    known: bool,
    names: bool,
    scripts: Vec<String>,
    whole: bool,
}

impl Reading {
    /// Something may run that is not seen.
    fn lost(&mut self) {
        self.known = false;
        self.whole = false;
    }

    fn pieces(&mut self, raw: &str, pieces: &[WordPieceWithSource], quoted: bool) {
        for piece in pieces {
            let source = raw.get(piece.start_index..piece.end_index);
            match &piece.piece {
                WordPiece::Text(text) => self.plain(text, quoted),
                WordPiece::SingleQuotedText(text) => self.text.push_str(text),
                WordPiece::EscapeSequence(text) => match text.strip_prefix('\\') {
                    Some("\n") => {}
                    Some(rest) => self.text.push_str(rest),
                    None => self.lost(),
                },
                WordPiece::DoubleQuotedSequence(pieces) => self.pieces(raw, pieces, true),
                WordPiece::CommandSubstitution(script) => {
                    self.known = false;
                    self.scripts.push(script.clone());
                }
                WordPiece::BackquotedCommandSubstitution(script) => {
                    self.known = false;
                    // What a backslash means in there depends on how deep it stands.
                    self.whole &= !source.unwrap_or("\\").contains('\\');
                    self.scripts.push(script.clone());
                }
                WordPiece::ParameterExpansion(parameter) => {
                    self.known = false;
                    let plain = matches!(parameter, ParameterExpr::Parameter { indirect: false, .. });
                    // A default may hold a script, a subscript or a transformation may run one.
                    let odd = |source: &str| source.chars().skip(2).any(|c| "$`@[!<>\\\"'".contains(c));
                    self.whole &= plain && !source.is_none_or(odd) || source.is_some_and(|source| source.len() == 2);
                }
                // Other shells know `~` only; the name of a home does not hide a command's own.
                WordPiece::TildeExpansion(_) => self.known = false,
                // Sums may hold scripts, also in the values of their variables; the others are no words of POSIX.
                WordPiece::ArithmeticExpression(_)
                | WordPiece::AnsiCQuotedText(_)
                | WordPiece::GettextDoubleQuotedSequence(_) => self.lost(),
            }
        }
    }

    fn plain(&mut self, text: &str, quoted: bool) {
        // What the parser gave up on, another one may take for an expansion.
        if text.contains(['$', '`']) {
            self.lost();
        }
        if quoted {
            self.text.push_str(&text.replace("\\\n", ""));
            return;
        }
        if text.contains(['(', ')', '<', '>', '|', '&', ';', '\'', '"', '\\']) {
            self.lost();
        }
        let tilde = |at: usize| self.text.is_empty() && at == 0 || text[..at].ends_with([':', '=']);
        if text.match_indices('~').any(|(at, _)| tilde(at)) {
            self.known = false;
        }
        // bash makes several words of `a{b,c}`; other shells do not.
        if text.contains('{') && (text.contains(',') || text.contains("..")) {
            self.known = false;
        }
        self.names |= text.contains(['*', '?', '[']);
        self.text.push_str(text);
    }
}
