//! What is looked for.

/// As many trigrams are asked of an index at most: more of them cost more and hardly leave anything out.
const TRIGRAMS: usize = 32;

/// A query, taken apart: words that must all occur, each anywhere, also within others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
}

impl Query {
    /// White space parts the words; what stands in quotation marks is one. Nothing else has a meaning of its own.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            // A mark that nothing closes is a part of what is looked for.
            let quoted = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
            let (word, behind) = match quoted {
                Some((phrase, behind)) => (phrase.trim(), behind),
                None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
            };
            let word = fold(word);
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
            rest = behind.trim_start();
        }
        Self { words }
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words, folded.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// What every entry that can be found holds: runs of three characters out of the words. None where all words are shorter.
    #[must_use]
    pub fn trigrams(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for word in &self.words {
            let letters: Vec<char> = word.chars().collect();
            for three in letters.windows(3) {
                let three: String = three.iter().collect();
                if !all.contains(&three) {
                    all.push(three);
                }
            }
        }
        // Spread over all of the words, so that the last ones count too.
        let step = all.len().div_ceil(TRIGRAMS).max(1);
        all.into_iter().step_by(step).collect()
    }
}

/// A text as it is compared: upper and lower case are one, and so is white space of every kind. Each character becomes exactly
/// one, so that a place in the one text can be found in the other.
#[must_use]
pub(super) fn fold(text: &str) -> String {
    text.chars().map(fold_one).collect()
}

fn fold_one(c: char) -> char {
    if c.is_ascii() {
        // A zero would end the text in a database.
        return if c.is_ascii_whitespace() || c == '\0' { ' ' } else { c.to_ascii_lowercase() };
    }
    if c.is_whitespace() {
        return ' ';
    }
    if c == 'ς' {
        return 'σ';
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_parted_by_white_space_and_phrases_by_quotation_marks() {
        let words = |text: &str| Query::new(text).words().join("|");
        assert_eq!(words("  Fix the\tParser "), "fix|the|parser");
        assert_eq!(words("\"Fix  the\" parser"), "fix  the|parser");
        assert_eq!(words("a\"b c\" d"), "a\"b|c\"|d", "a mark inside a word is a mark");
        assert_eq!(words("\"never closed"), "\"never|closed");
        assert_eq!(words("\"\" \"  \" x x"), "x");
        assert_eq!(words("NOT a* OR (b) NEAR:"), "not|a*|or|(b)|near:");
        assert!(Query::new(" \n\"\"").is_empty());
    }

    #[test]
    fn trigrams_are_few_and_of_every_word() {
        assert_eq!(Query::new("Hallo hal ab 界面测试").trigrams(), ["hal", "all", "llo", "界面测", "面测试"]);
        assert!(Query::new("ab 界面").trigrams().is_empty());
        let long: String = (0..500).map(|n| format!("word{n} ")).collect();
        let trigrams = Query::new(&long).trigrams();
        assert!(trigrams.len() <= TRIGRAMS && trigrams.len() > TRIGRAMS / 2, "{}", trigrams.len());
    }

    proptest! {
        #[test]
        fn a_folded_text_has_as_many_characters(text in "\\PC*") {
            let folded = fold(&text);
            prop_assert_eq!(folded.chars().count(), text.chars().count());
            prop_assert_eq!(fold(&folded), folded);
        }
    }
}
