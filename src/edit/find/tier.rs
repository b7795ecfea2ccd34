//! How strictly a text was matched.

use std::fmt;

/// How a text was matched, from the strictest to the laxest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// As it is.
    Exact,
    /// White space at line ends aside.
    Trailing,
    /// The whole block indented otherwise, in one uniform way.
    Indent,
    /// Unicode punctuation and spaces aside.
    Typography,
    /// With backslash escapes taken off.
    Escaped,
    /// Around lines that it leaves out.
    Elided,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exactly",
            Self::Trailing => "with other white space at line ends",
            Self::Indent => "with other indentation",
            Self::Typography => "with other quotes, dashes or spaces",
            Self::Escaped => "with its escapes taken off",
            Self::Elided => "around the lines that it leaves out",
        })
    }
}

impl Tier {
    /// What an error adds behind the text's name.
    pub(super) fn suffix(self) -> String {
        if self == Self::Exact { String::new() } else { format!(", {self},") }
    }
}
