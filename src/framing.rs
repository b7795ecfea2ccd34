//! The frames of the base protocol: headers, an empty line, a body of as many bytes as `Content-Length` says.
//!
//! This reader survives what a peer should not send: after anything wrong it tells so once and goes on at the next
//! `Content-Length`. The crates that read this framing (`lsp-server`, the codec inside `tower-lsp`, `lsp-codec`) either end at the
//! first bad header, wait on a blocking stream or are private, and `httparse` wants a whole header block and refuses what is
//! tolerated here; so it is done by hand, in one pass over the bytes.

use bytes::{Bytes, BytesMut};

/// The longest body that is taken, in bytes. A longer one is a wrong header, not a message.
pub const LARGEST_BODY: usize = 256 * 1024 * 1024;

/// The longest block of headers. Without an end to it, no frame will come of what was sent.
const LARGEST_HEADERS: usize = 8 * 1024;

const LENGTH: &[u8] = b"content-length";

/// A body with its header.
#[must_use]
pub fn frame(body: &[u8]) -> Vec<u8> {
    let header = format!("Content-Length: {}\r\n\r\n", body.len());
    let mut framed = Vec::with_capacity(header.len() + body.len());
    framed.extend_from_slice(header.as_bytes());
    framed.extend_from_slice(body);
    framed
}

/// Why something that was sent is no frame. The reader has gone on behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A line that is no header.
    #[error("expected a header such as `Content-Length: 42`, found something else")]
    NotAHeader,
    /// Headers without the one that matters.
    #[error("a message came without the header `Content-Length`")]
    NoLength,
    /// A length that is no number, or two that differ.
    #[error("expected a number of bytes in `Content-Length`, found {0:?}")]
    BadLength(String),
    /// A length beyond any message.
    #[error("a message of {0} bytes was announced; up to {LARGEST_BODY} are taken")]
    TooLarge(String),
    /// Headers without an end.
    #[error("the headers of a message have no end within {LARGEST_HEADERS} bytes")]
    EndlessHeaders,
}

/// Takes bytes as they come and gives bodies as they are whole. Each byte is copied once, in [`push`](Self::push).
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In a block of headers that begins where the buffer begins.
    Headers {
        /// Where the present line begins.
        line: usize,
        /// How far the present line was looked through for its end.
        searched: usize,
        /// What `Content-Length` has said.
        length: Option<usize>,
    },
    /// In a body of this many bytes.
    Body(usize),
    /// In garbage: looking for the next `Content-Length`.
    Lost,
}

impl Default for State {
    fn default() -> Self {
        Self::Headers { line: 0, searched: 0, length: None }
    }
}

impl FrameReader {
    /// Takes what has come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next body, or what was wrong instead of it; `None` when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "`None` is \"not yet\" here, not the end of an iteration")]
    pub fn next(&mut self) -> Option<Result<Bytes, FrameError>> {
        loop {
            match self.state {
                State::Headers { .. } => {
                    if let Err(error) = self.read_line()? {
                        // Whatever began here is no frame. A frame may begin one byte later.
                        let _ = self.buffer.split_to(1.min(self.buffer.len()));
                        self.state = State::Lost;
                        return Some(Err(error));
                    }
                }
                State::Body(length) if self.buffer.len() >= length => {
                    self.state = State::default();
                    return Some(Ok(self.buffer.split_to(length).freeze()));
                }
                State::Body(_) => return None,
                State::Lost => self.find_header()?,
            }
        }
    }

    /// Whether bytes are waiting for the rest of their frame: at the end of input, a message that was cut off.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        matches!(self.state, State::Body(_)) || !self.buffer.is_empty()
    }

    /// Reads one line of headers; `None` when it has not come whole.
    fn read_line(&mut self) -> Option<Result<(), FrameError>> {
        let State::Headers { line, searched, length } = &mut self.state else { return Some(Ok(())) };
        let Some(found) = self.buffer[*searched..].iter().position(|byte| *byte == b'\n') else {
            *searched = self.buffer.len();
            return (self.buffer.len() > LARGEST_HEADERS).then_some(Err(FrameError::EndlessHeaders));
        };
        let end = *searched + found;
        if end > LARGEST_HEADERS {
            return Some(Err(FrameError::EndlessHeaders));
        }
        let text = self.buffer[*line..end].strip_suffix(b"\r").unwrap_or(&self.buffer[*line..end]);
        if !text.is_empty() {
            match parse_header(text, length) {
                Ok(()) => (*line, *searched) = (end + 1, end + 1),
                Err(error) => return Some(Err(error)),
            }
            return Some(Ok(()));
        }
        // An empty line ends the headers; before any header it is only a line end too many after the last body.
        self.state = match (*length, *line) {
            (Some(length), _) => State::Body(length),
            (None, 0) => State::default(),
            (None, _) => return Some(Err(FrameError::NoLength)),
        };
        let _ = self.buffer.split_to(end + 1);
        Some(Ok(()))
    }

    /// Drops everything before the next `Content-Length`; `None` when there is none yet.
    fn find_header(&mut self) -> Option<()> {
        let found = self.buffer.windows(LENGTH.len()).position(|window| window.eq_ignore_ascii_case(LENGTH));
        // The end may be the beginning of the word.
        let keep_from = found.unwrap_or_else(|| self.buffer.len().saturating_sub(LENGTH.len() - 1));
        let _ = self.buffer.split_to(keep_from);
        found?;
        self.state = State::default();
        Some(())
    }
}

fn parse_header(line: &[u8], length: &mut Option<usize>) -> Result<(), FrameError> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(FrameError::NotAHeader)?;
    let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(byte)) {
        return Err(FrameError::NotAHeader);
    }
    if !name.eq_ignore_ascii_case(LENGTH) {
        return Ok(());
    }
    let shown = || String::from_utf8_lossy(&value[..value.len().min(40)]).into_owned();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(FrameError::BadLength(shown()));
    }
    // Only digits: what does not fit a number is a large one.
    let announced = std::str::from_utf8(value).ok().and_then(|digits| digits.parse::<usize>().ok());
    match (announced.filter(|bytes| *bytes <= LARGEST_BODY), *length) {
        (None, _) => Err(FrameError::TooLarge(shown())),
        (Some(announced), Some(before)) if announced != before => Err(FrameError::BadLength(shown())),
        (announced, _) => {
            *length = announced;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &[u8] = br#"{"method":"a"}"#;
    const B: &[u8] = r#"{"method":"ü","text":"Content-Length: 3\\r\\n"}"#.as_bytes();

    /// Everything that comes of some bytes: bodies as text, errors as what a person reads.
    fn read(pieces: &[&[u8]]) -> Vec<Result<String, FrameError>> {
        let mut reader = FrameReader::default();
        let mut told = Vec::new();
        for piece in pieces {
            reader.push(piece);
            while let Some(next) = reader.next() {
                told.push(next.map(|body| String::from_utf8_lossy(&body).into_owned()));
            }
        }
        told
    }

    fn body(bytes: &[u8]) -> Result<String, FrameError> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    #[test]
    fn two_frames_come_whole_however_they_are_cut() {
        let stream = [frame(A), frame(B), frame(b"")].concat();
        let expected = [body(A), body(B), body(b"")];
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                assert_eq!(read(&[&stream[..first], &stream[first..second], &stream[second..]]), expected);
            }
        }
        let bytes: Vec<_> = stream.chunks(1).collect();
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn headers_are_read_as_generously_as_peers_write_them() {
        for headers in [
            "content-length: 14\r\n\r\n",
            "CONTENT-LENGTH:14\r\n\r\n",
            "Content-Length : 14 \r\n\r\n",
            "Content-Length: 14\n\n",
            "Content-Length: 14\n\r\n",
            "Content-Length: 0014\r\n\r\n",
            "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 14\r\n\r\n",
            "Content-Length: 14\r\nX-Other: 1\r\nContent-Length: 14\r\n\r\n",
            "\r\n\nContent-Length: 14\r\n\r\n",
        ] {
            assert_eq!(read(&[headers.as_bytes(), A]), [body(A)], "{headers:?}");
        }
    }

    #[test]
    fn what_is_no_frame_is_told_once_and_the_next_is_read() {
        let bad = |length: &str| FrameError::BadLength(length.into());
        for (garbage, error) in [
            ("hello\r\n", FrameError::NotAHeader),
            ("{\"method\":\"raw\"}", FrameError::NotAHeader),
            ("{\"method\":\"raw\"}\n", FrameError::NotAHeader),
            (": 5\r\n\r\n", FrameError::NotAHeader),
            ("two words: 5\r\n", FrameError::NotAHeader),
            ("Content-Type: x\r\n\r\n{\"a\":1}", FrameError::NoLength),
            ("x", FrameError::NoLength),
            ("Content-Length: abc\r\n\r\n{}", bad("abc")),
            ("Content-Length: -5\r\n\r\n{}", bad("-5")),
            ("Content-Length: +5\r\n\r\n{}", bad("+5")),
            ("Content-Length: 5.0\r\n\r\n{}", bad("5.0")),
            ("Content-Length:\r\n\r\n{}", bad("")),
            ("Content-Length: 268435457\r\n\r\n{}", FrameError::TooLarge("268435457".into())),
            (
                "Content-Length: 99999999999999999999999\r\n\r\n{\"a\":1}",
                FrameError::TooLarge("99999999999999999999999".into()),
            ),
        ] {
            let told = read(&[garbage.as_bytes(), &frame(A), &frame(B)]);
            let (errors, bodies): (Vec<_>, Vec<_>) = told.into_iter().partition(Result::is_err);
            assert_eq!(bodies, [body(A), body(B)], "{garbage:?}");
            assert_eq!(errors, [Err(error)], "{garbage:?}");
        }
    }

    #[test]
    fn of_two_lengths_that_differ_the_first_is_given_up() {
        let told = read(&[b"Content-Length: 1\r\nContent-Length: 14\r\n\r\n", A]);
        assert_eq!(told, [Err(FrameError::BadLength("14".into())), body(A)]);
    }

    #[test]
    fn headers_without_an_end_do_not_fill_the_memory() {
        let mut reader = FrameReader::default();
        let mut errors = 0;
        for _ in 0..1000 {
            reader.push(&[b'x'; 1024]);
            while let Some(next) = reader.next() {
                assert_eq!(next, Err(FrameError::EndlessHeaders));
                errors += 1;
            }
            assert!(reader.buffer.len() <= LARGEST_HEADERS + 1024);
        }
        assert_eq!(errors, 1);
        reader.push(&frame(A));
        assert_eq!(reader.next(), Some(Ok(Bytes::from_static(A))));
    }

    #[test]
    fn a_message_that_was_cut_off_is_seen_at_the_end() {
        let mut reader = FrameReader::default();
        assert!(!reader.is_partial());
        reader.push(b"Content-Length: 5\r\n\r\n");
        assert_eq!(reader.next(), None);
        assert!(reader.is_partial());
        reader.push(b"12345");
        assert_eq!(reader.next(), Some(Ok(Bytes::from_static(b"12345"))));
        assert!(!reader.is_partial());
    }

    #[test]
    fn a_large_body_is_read_in_linear_time() {
        let large = vec![b' '; 32 << 20];
        let framed = frame(&large);
        let mut reader = FrameReader::default();
        let begun = std::time::Instant::now();
        for piece in framed.chunks(4096) {
            reader.push(piece);
            if let Some(body) = reader.next() {
                assert_eq!(body.map(|body| body.len()), Ok(large.len()));
            }
        }
        assert!(!reader.is_partial());
        // Quadratic work would take minutes.
        assert!(begun.elapsed().as_secs() < 10);
    }

    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40),
            "[ -~]{0,30}".prop_map(String::into_bytes),
            Just(b"Content-Length: ".to_vec()),
            Just(b"content-length: 7\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\r\n\r\n".to_vec()),
            Just(b"Content-Type: a\r\n\r\n".to_vec()),
            Just(b"Content-Length: 999999999999\r\n\r\n".to_vec()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if full() { 20_000 } else { 1_000 }))]

        #[test]
        fn whatever_came_before_a_line_break_the_next_well_formed_frames_are_read(
            garbage in proptest::collection::vec(piece(), 0..12),
            cut in any::<proptest::sample::Index>(),
        ) {
            let garbage = garbage.concat();
            // A promise that is kept late swallows what follows it; that is no garbage but a frame.
            if promises_a_body(&garbage) {
                return Ok(());
            }
            let stream = [garbage.as_slice(), b"\x00\n", &frame(A), &frame(B)].concat();
            let (head, tail) = stream.split_at(cut.index(stream.len()));
            let bodies: Vec<_> = read(&[head, tail]).into_iter().filter(Result::is_ok).collect();
            prop_assert!(bodies.ends_with(&[body(A), body(B)]), "{bodies:?}");
            prop_assert_eq!(read(&[head, tail]), read(&stream.chunks(1).collect::<Vec<_>>()));
        }
    }

    fn full() -> bool {
        std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|campaign| campaign == "full")
    }

    /// Whether the reader is in a body when the bytes end.
    fn promises_a_body(bytes: &[u8]) -> bool {
        let mut reader = FrameReader::default();
        reader.push(bytes);
        while reader.next().is_some() {}
        matches!(reader.state, State::Body(_))
    }
}
