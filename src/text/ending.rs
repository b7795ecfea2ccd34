//! Line endings.

use ropey::Rope;

/// How much of a text is looked at to tell its line ending: enough to be right, little enough to cost nothing.
const LOOKED_AT: usize = 64 * 1024;

/// How lines end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnding {
    /// `\n`
    #[default]
    Lf,
    /// `\r\n`
    Crlf,
    /// `\r`
    Cr,
}

impl LineEnding {
    /// Its characters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Crlf => "\r\n",
            Self::Cr => "\r",
        }
    }

    /// The line ending that most of the first lines of a text have; LF when there is none or when it is a draw.
    pub(super) fn majority(rope: &Rope) -> Self {
        let (mut lf, mut crlf, mut cr) = (0_usize, 0_usize, 0_usize);
        let mut seen = 0;
        let mut after_cr = false;
        'text: for chunk in rope.chunks() {
            for byte in chunk.bytes() {
                match byte {
                    b'\n' if after_cr => {
                        cr -= 1;
                        crlf += 1;
                    }
                    b'\n' => lf += 1,
                    b'\r' => cr += 1,
                    _ if seen >= LOOKED_AT => break 'text,
                    _ => {}
                }
                after_cr = byte == b'\r';
                seen += 1;
            }
        }
        if lf >= crlf && lf >= cr {
            Self::Lf
        } else if crlf >= cr {
            Self::Crlf
        } else {
            Self::Cr
        }
    }
}

/// The chunks of a text as one string in which every line ends with LF.
pub(crate) fn to_lf<'a>(chunks: impl Iterator<Item = &'a str>, capacity: usize) -> String {
    to_lf_noting(chunks, capacity, |_| {})
}

/// The same; `noted` hears where in the result each LF stands that was a CRLF.
pub(crate) fn to_lf_noting<'a>(
    chunks: impl Iterator<Item = &'a str>,
    capacity: usize,
    mut noted: impl FnMut(usize),
) -> String {
    let mut out = String::with_capacity(capacity);
    let mut after_cr = false;
    for mut chunk in chunks.filter(|chunk| !chunk.is_empty()) {
        loop {
            if after_cr && let Some(rest) = chunk.strip_prefix('\n') {
                noted(out.len() - 1);
                chunk = rest;
            }
            // Whether a break at the end goes on shows in the next chunk only.
            after_cr = false;
            let Some(at) = memchr::memchr(b'\r', chunk.as_bytes()) else { break };
            out.push_str(&chunk[..at]);
            out.push('\n');
            chunk = &chunk[at + 1..];
            after_cr = true;
            if chunk.is_empty() {
                break;
            }
        }
        out.push_str(chunk);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn majority(text: &str) -> LineEnding {
        LineEnding::majority(&Rope::from_str(text))
    }

    #[test]
    fn most_lines_decide() {
        assert_eq!(majority(""), LineEnding::Lf);
        assert_eq!(majority("one line"), LineEnding::Lf);
        assert_eq!(majority("a\r\nb\r\nc\n"), LineEnding::Crlf);
        assert_eq!(majority("a\rb\rc\r\n"), LineEnding::Cr);
        assert_eq!(majority("a\r\nb\n"), LineEnding::Lf);
    }

    #[test]
    fn a_long_text_is_judged_by_its_beginning() {
        let text = "line\r\n".repeat(LOOKED_AT / 6 + 10) + &"line\n".repeat(LOOKED_AT);
        assert_eq!(majority(&text), LineEnding::Crlf);
    }

    #[test]
    fn breaks_split_between_chunks_are_one_break() {
        assert_eq!(to_lf(["a\r", "\nb\r", "", "c\r\n", "\n\r"].into_iter(), 0), "a\nb\nc\n\n\n");
    }
}
