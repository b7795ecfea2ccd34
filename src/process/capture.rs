//! What a program prints: told as it comes, and kept as a head and a tail.

use std::collections::VecDeque;

use encoding_rs::{Decoder, UTF_8};

/// What the line between head and tail may take.
const MARKER: usize = 80;

/// Takes in what is printed. Holds no more than it is told to, however much comes.
pub(super) struct Capture {
    decoder: Decoder,
    most: usize,
    printed: u64,
    head: String,
    /// What follows the head: everything while there is room, then the end of it.
    tail: VecDeque<u8>,
    /// Of what fell out of the tail: bytes, and line breaks.
    left_out: (u64, u64),
}

impl Capture {
    /// One that keeps so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            decoder: UTF_8.new_decoder_without_bom_handling(),
            most,
            printed: 0,
            head: String::new(),
            tail: VecDeque::new(),
            left_out: (0, 0),
        }
    }

    /// Takes in a piece and gives it as text: bytes that are none are replaced, a character that is not whole yet waits.
    pub(super) fn take(&mut self, bytes: &[u8]) -> String {
        self.printed += bytes.len() as u64;
        self.decoded(bytes, false)
    }

    /// What waits for nothing any more.
    pub(super) fn end(&mut self) -> String {
        self.decoded(&[], true)
    }

    /// What is kept, and how many bytes were printed.
    pub(super) fn kept(self) -> (String, u64) {
        let tail: Vec<u8> = self.tail.into();
        let (mut bytes, breaks) = self.left_out;
        if bytes == 0 {
            return (self.head + &String::from_utf8_lossy(&tail), self.printed);
        }
        // The tail may begin within a character.
        let whole = tail.iter().position(|byte| byte & 0xc0 != 0x80).unwrap_or(tail.len());
        bytes += whole as u64;
        let tail = String::from_utf8_lossy(&tail[whole..]);
        (format!("{}\n[... {bytes} bytes, {breaks} line breaks left out ...]\n{tail}", self.head), self.printed)
    }

    fn decoded(&mut self, bytes: &[u8], last: bool) -> String {
        let mut text = String::new();
        if let Some(room) = self.decoder.max_utf8_buffer_length(bytes.len()) {
            text.reserve(room);
        }
        let _ = self.decoder.decode_to_string(bytes, &mut text, last);
        self.keep(&text);
        text
    }

    fn keep(&mut self, text: &str) {
        let room = self.most.saturating_sub(MARKER);
        let head = (room / 2).saturating_sub(self.head.len());
        let mut rest = text;
        if self.tail.is_empty() && self.left_out.0 == 0 && head > 0 {
            let cut = text.floor_char_boundary(head.min(text.len()));
            self.head.push_str(&text[..cut]);
            rest = &text[cut..];
        }
        let bytes = rest.as_bytes();
        // A head that ends before a character leaves its room to the tail.
        let tail = room - self.head.len();
        // What would fall out again at once need not go in.
        let skipped = bytes.len().saturating_sub(tail);
        let over = (self.tail.len() + bytes.len() - skipped).saturating_sub(tail).min(self.tail.len());
        for byte in self.tail.drain(..over) {
            self.left_out.0 += 1;
            self.left_out.1 += u64::from(byte == b'\n');
        }
        self.left_out.0 += skipped as u64;
        self.left_out.1 += memchr::memchr_iter(b'\n', &bytes[..skipped]).count() as u64;
        self.tail.extend(&bytes[skipped..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn captured(pieces: &[&[u8]], most: usize) -> (String, String, u64) {
        let mut capture = Capture::new(most);
        let mut heard: String = pieces.iter().map(|piece| capture.take(piece)).collect();
        heard.push_str(&capture.end());
        let (kept, printed) = capture.kept();
        (heard, kept, printed)
    }

    #[test]
    fn characters_are_told_whole_and_other_bytes_replaced() {
        let (heard, kept, printed) = captured(&[b"a\xe2\x82", b"\xac b\xff", b"c\xe2"], 1000);
        assert_eq!(heard, "a€ b\u{fffd}c\u{fffd}");
        assert_eq!((kept, printed), (heard, 9));
    }

    proptest! {
        #[test]
        fn a3_24_what_is_kept_is_head_and_tail_and_the_truth_about_the_rest(
            text in "(\\PC|\n|€|🦀){0,600}", size in 1usize..50, most in 100usize..900,
        ) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let (heard, kept, printed) = captured(&pieces, most);
            prop_assert_eq!(&heard, &text);
            prop_assert_eq!(printed, text.len() as u64);
            prop_assert!(kept.len() <= most);
            if text.len() <= most - MARKER {
                prop_assert_eq!(kept.replace(['\n'], ""), text.replace(['\n'], ""));
            }
            if let Some((head, rest)) = kept.split_once("\n[... ") {
                let (count, rest) = rest.split_once(" bytes, ").expect("a count");
                let (breaks, tail) = rest.split_once(" line breaks left out ...]\n").expect("a count");
                let count: usize = count.parse().expect("a number");
                prop_assert!(text.starts_with(head) && text.ends_with(tail));
                prop_assert_eq!(head.len() + count + tail.len(), text.len());
                let between = &text[head.len()..head.len() + count];
                prop_assert_eq!(breaks.parse::<usize>().expect("a number"), between.matches('\n').count());
            } else {
                prop_assert_eq!(kept, text);
            }
        }
    }
}
