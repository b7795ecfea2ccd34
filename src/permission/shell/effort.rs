//! How much work a parser may be made to do: what it cannot read at once it tries again, and in some places once more for each level.

use brush_parser::Token;

/// The most steps that the scripts of one judgement are worth.
const STEPS: u64 = 1 << 18;

/// What a token costs, where a character of a word costs one.
const TOKEN: u64 = 8;

/// What is left for a judgement.
#[derive(Debug)]
pub(in crate::permission) struct Effort {
    left: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self { left: STEPS }
    }
}

impl Effort {
    /// Takes the steps that it may need to make commands of tokens; whether there were as many.
    pub(super) fn tokens(&mut self, tokens: &[Token]) -> bool {
        let is = |token: &Token, operator: &str| matches!(token, Token::Operator(text, _) if text == operator);
        let cases = tokens.iter().filter(|token| matches!(token, Token::Word(text, _) if text == "case")).count();
        // Two in a row may begin a sum, in which each that follows is tried as a bracket and as anything.
        let sums = tokens.windows(2).any(|pair| pair.iter().all(|token| is(token, "(")));
        let brackets = if sums { tokens.iter().filter(|token| is(token, "(")).count() } else { 0 };
        // A word that could be the assignment to a part of an array is read for that.
        let subscripts: u64 = tokens
            .iter()
            .map(|token| match token {
                Token::Word(text, _) if subscript(text) => steps(text.len(), units(text, true)),
                _ => 0,
            })
            .fold(0, u64::saturating_add);
        let once = subscripts.saturating_add(steps(tokens.len(), 0).saturating_mul(TOKEN));
        self.take(once.saturating_mul(steps(1, cases + brackets)))
    }

    /// Takes the steps that it may need to take a word apart; whether there were as many.
    pub(super) fn word(&mut self, raw: &str) -> bool {
        self.take(steps(raw.len(), units(raw, false)))
    }

    fn take(&mut self, steps: u64) -> bool {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

/// A length, doubled so many times.
fn steps(length: usize, doublings: usize) -> u64 {
    match u32::try_from(doublings) {
        Ok(doublings) if doublings < 32 => u64::try_from(length).unwrap_or(u64::MAX).saturating_mul(1 << doublings),
        _ => u64::MAX,
    }
}

/// How often the work for a word may double.
fn units(raw: &str, subscript: bool) -> usize {
    let mut units = 0;
    let mut expands = subscript;
    for (at, found) in raw.match_indices(['(', '[', '{']) {
        let before = raw[..at].chars().next_back();
        let own = match (found, before) {
            // `${name}` is read once.
            ("{", Some('$')) if plain(&raw[at + 1..]) => 0,
            ("{", Some('$')) => 3,
            ("[", Some('$')) => 2,
            ("(", Some('$')) => 2,
            ("(", _) => 1,
            // The subscript is read again for each thing that may be done with an array.
            ("[", Some(c)) if c.is_ascii_alphanumeric() || c == '_' => 5,
            _ => 0,
        };
        expands |= before == Some('$') && own > 0;
        units += own;
    }
    // Without an expansion there is nothing in it that nests.
    if expands { units } else { 0 }
}

/// Whether a name and `}` follow.
fn plain(rest: &str) -> bool {
    let name = rest.split('}').next().unwrap_or_default();
    name.len() < rest.len()
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_?#*@!-".contains(c))
}

/// Whether a word begins as `name[` does.
fn subscript(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    rest.len() < word.len() && rest.starts_with('[')
}
