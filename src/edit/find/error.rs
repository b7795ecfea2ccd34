//! Why a text has no place.

use std::fmt;

/// Which part of a call an answer speaks of, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nth {
    /// A replacement of `edit`.
    Edit(usize),
    /// A chunk of a file's section of `patch`.
    Chunk(usize),
}

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit(number) => write!(f, "edit {number}"),
            Self::Chunk(number) => write!(f, "chunk {number}"),
        }
    }
}

impl Nth {
    /// What makes an ambiguous one unique.
    fn cure(self) -> &'static str {
        match self {
            Self::Edit(_) => "add lines around it until it is unique, say with \"line\" which one, or set \"all\"",
            Self::Chunk(_) => "add lines around it, or name the function around it with @@",
        }
    }
}

/// Why an edit has no place. Written for the model: it names the part, shows where and what is near.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// The old text is nowhere; `near` shows the most similar place with line numbers, when there is one.
    #[error("{nth}: the old text is not in the file{near}")]
    Missing {
        /// Which part.
        nth: Nth,
        /// "; the nearest place …", or nothing.
        near: String,
    },
    /// The old text is there, but not where a patch may have it.
    #[error("{nth}: the old text stands at line {line}, {why}")]
    Misplaced {
        /// Which part.
        nth: Nth,
        /// Its first line, from 1.
        line: usize,
        /// What is wrong with that, and the cure.
        why: &'static str,
    },
    /// The old text is there more than once.
    #[error("{nth}: {what} is there {count} times, at lines {lines}; {}", nth.cure())]
    Ambiguous {
        /// Which part.
        nth: Nth,
        /// "the old text", or which piece of it, and how it was matched.
        what: String,
        /// How often.
        count: usize,
        /// The first lines of the first places, from 1.
        lines: String,
    },
    /// The old text is empty.
    #[error("{nth}: \"old\" is empty; give the text to replace, or use write for a new file")]
    Empty {
        /// Which part.
        nth: Nth,
    },
    /// The old text and the new one are the same.
    #[error("{nth}: the old text and the new one are the same, so nothing would change")]
    Same {
        /// Which part.
        nth: Nth,
    },
    /// The new text leaves something out with a line such as `// ...`, and the old one does not.
    #[error("{nth}: line {line} of the new text, {text:?}, stands for text that is left out; write the text out")]
    Omission {
        /// Which part.
        nth: Nth,
        /// Which line of the new text, from 1.
        line: usize,
        /// What it reads.
        text: String,
    },
    /// The old text is there without its escapes, and the new one can be read in two ways.
    #[error(
        "{nth}: the old text is in the file only with its escapes taken off, and it is not clear whether {escapes} in the new text \
         loses its backslash too; write both texts as they stand in the file, not escaped"
    )]
    Escapes {
        /// Which part.
        nth: Nth,
        /// Which escapes of the new text the old one does not have.
        escapes: String,
    },
    /// What an old text with a left-out middle asks cannot be done.
    #[error("{nth}: {why}")]
    Elided {
        /// Which part.
        nth: Nth,
        /// The sentence.
        why: String,
    },
    /// A line that a chunk names with `@@` is not in the file, or not behind the chunk before.
    #[error("{nth}: no line reads {anchor:?}{behind}")]
    Anchor {
        /// Which part.
        nth: Nth,
        /// What `@@` names.
        anchor: String,
        /// Where it was looked for, or nothing.
        behind: String,
    },
    /// Lines come where the numbers of `@@` alone say where.
    #[error(
        "{nth}: it has no line that is there, and the number of a line does not say for sure where its lines go; write some lines that \
         stay above and below them, each behind a space"
    )]
    Numbered {
        /// Which part.
        nth: Nth,
    },
    /// Two parts meet.
    #[error("{first} and {second} overlap; make them one")]
    Overlap {
        /// The earlier one.
        first: Nth,
        /// The later one.
        second: Nth,
    },
}
