//! In what bytes a text is kept: UTF-8, UTF-16 by its mark, or what an older file is guessed to be in.
//!
//! A guess counts only when the text gives exactly the same bytes again, so a file that is read can be written as it was.

use std::fmt;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{EncoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use ropey::Rope;

const BOM: char = '\u{feff}';

/// In what bytes a text is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

/// Why bytes are no text, or a text has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CharsetError {
    /// They hold what no text holds.
    #[error("it holds bytes that no text holds")]
    Binary,
    /// They look like text, but the text would give other bytes.
    #[error("its bytes look like {0}, but it could not be written back in that as it is")]
    NotKept(Charset),
    /// The charset has no bytes for a character.
    #[error("{charset}, which the file is in, has no character {shown} (U+{code:04X})", shown = shown(*.character), code = u32::from(*.character))]
    Unmappable {
        /// What it is in.
        charset: Charset,
        /// What it cannot hold.
        character: char,
    },
    /// The new bytes would be taken for something else.
    #[error(
        "with this change the file could not be told from one in another encoding than {0}; it would read as other characters"
    )]
    Ambiguous(Charset),
}

impl Default for Charset {
    fn default() -> Self {
        Self(UTF_8)
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Charset {
    /// The text that bytes hold, a byte order mark at its beginning included, and what they are in.
    ///
    /// # Errors
    /// When they are no text, or cannot be made from it again.
    pub fn decode(bytes: Vec<u8>) -> Result<(String, Self), CharsetError> {
        let bytes = match String::from_utf8(bytes) {
            Ok(text) => return Ok((text, Self::default())),
            Err(error) => error.into_bytes(),
        };
        let charset = Self::guess(&bytes)?;
        let text = charset.0.decode_without_bom_handling_and_without_replacement(&bytes);
        let text = text.ok_or(CharsetError::NotKept(charset))?.into_owned();
        if text.strip_prefix(BOM).unwrap_or(&text).contains(is_no_text) {
            return Err(CharsetError::Binary);
        }
        match charset.bytes(text.chars()) {
            Ok(again) if again == bytes => Ok((text, charset)),
            _ => Err(CharsetError::NotKept(charset)),
        }
    }

    /// The bytes of a text, with a byte order mark when it has one.
    ///
    /// # Errors
    /// When a character has none, or they would read as another text.
    pub fn encode(self, text: &Rope, bom: bool) -> Result<Vec<u8>, CharsetError> {
        let bytes = self.bytes(bom.then_some(BOM).into_iter().chain(text.chars()))?;
        if self.0 == UTF_8 {
            return Ok(bytes);
        }
        match Self::decode(bytes.clone()) {
            Ok((again, _)) if *text == again.strip_prefix(BOM).filter(|_| bom).unwrap_or(&again) => Ok(bytes),
            _ => Err(CharsetError::Ambiguous(self)),
        }
    }

    /// The charset of this name, as [`Display`](fmt::Display) says it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Encoding::for_label_no_replacement(name.as_bytes()).map(Self)
    }

    fn guess(bytes: &[u8]) -> Result<Self, CharsetError> {
        match Encoding::for_bom(bytes) {
            // UTF-32 begins like UTF-16.
            Some((found, _)) if found == UTF_16LE && bytes.starts_with(&[0xff, 0xfe, 0, 0]) => {
                return Err(CharsetError::Binary);
            }
            Some((found, _)) if found == UTF_16LE || found == UTF_16BE => return Ok(Self(found)),
            // A mark of UTF-8 before what is none.
            Some(_) => return Err(CharsetError::Binary),
            None => {}
        }
        if bytes.contains(&0) {
            return Err(CharsetError::Binary);
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(bytes, true);
        Ok(Self(detector.guess(None, Utf8Detection::Deny)))
    }

    fn bytes(self, text: impl Iterator<Item = char>) -> Result<Vec<u8>, CharsetError> {
        if self.0 == UTF_8 {
            return Ok(text.collect::<String>().into_bytes());
        }
        if self.0 == UTF_16LE || self.0 == UTF_16BE {
            let little = self.0 == UTF_16LE;
            let mut units = [0; 2];
            let mut bytes = Vec::new();
            for c in text {
                for unit in c.encode_utf16(&mut units) {
                    bytes.extend(if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
                }
            }
            return Ok(bytes);
        }
        let text: String = text.collect();
        let mut encoder = self.0.new_encoder();
        let room = encoder.max_buffer_length_from_utf8_without_replacement(text.len());
        let mut bytes = Vec::with_capacity(room.unwrap_or(text.len() * 4));
        match encoder.encode_from_utf8_to_vec_without_replacement(&text, &mut bytes, true).0 {
            EncoderResult::InputEmpty => Ok(bytes),
            EncoderResult::Unmappable(character) => Err(CharsetError::Unmappable { charset: self, character }),
            // The room was reckoned by the encoder itself.
            EncoderResult::OutputFull => Err(CharsetError::NotKept(self)),
        }
    }
}

/// What stands in no text: control characters that are neither white space nor an escape, and what is no character.
fn is_no_text(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1b}' | '\u{85}' => false,
        '\u{fffd}' | '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    }
}

/// A character that can be shown in a sentence.
fn shown(c: char) -> String {
    if c.is_control() { String::new() } else { format!("\u{201c}{c}\u{201d}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::cases::campaign;

    fn read(bytes: &[u8]) -> String {
        match Charset::decode(bytes.to_vec()) {
            Ok((text, charset)) => format!("{charset}: {text:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_bytes_say_is_read_in_what_they_are_in() {
        assert_eq!(read("caf\u{e9} \u{1f980}".as_bytes()), "UTF-8: \"caf\u{e9} \u{1f980}\"");
        assert_eq!(read(b"\xff\xfeh\0i\0"), "UTF-16LE: \"\\u{feff}hi\"");
        assert_eq!(read(b"\xfe\xff\0h\0i\xd8\x3e\xdd\x80"), "UTF-16BE: \"\\u{feff}hi\u{1f980}\"");
        assert_eq!(read(b"d\xe9j\xe0 vu\r\n"), "windows-1252: \"d\u{e9}j\u{e0} vu\\r\\n\"");
        let japanese =
            "\u{3053}\u{308c}\u{306f}\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{6587}\u{66f8}\u{3067}\u{3059}\u{3002}\n";
        let (bytes, ..) = encoding_rs::SHIFT_JIS.encode(japanese);
        assert_eq!(read(&bytes), format!("Shift_JIS: {japanese:?}"));
        let russian = "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43c}\u{438}\u{440}. \u{42d}\u{442}\u{43e} \u{442}\u{435}\u{43a}\u{441}\u{442}.\n";
        let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(russian);
        assert_eq!(read(&bytes), format!("windows-1251: {russian:?}"));
    }

    #[test]
    fn what_is_no_text_stays_no_text() {
        let binary = "it holds bytes that no text holds";
        assert_eq!(read(b"\x7fELF\x02\x01\x01\0\0\xff"), binary);
        assert_eq!(read(b"\x89PNG\r\n\x1a\n\xde\xad\xbe\xef"), binary);
        assert_eq!(read(b"\xff\xfe\0\0h\0\0\0"), binary, "UTF-32");
        assert_eq!(read(b"\xff\xfe\x01\0\x02\0"), binary, "UTF-16 of control characters");
        assert_eq!(read(b"\xef\xbb\xbf\xff"), binary);
        // Its last character has two spellings, and this is not the one that would be written.
        let japanese =
            "\u{3053}\u{308c}\u{306f}\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{6587}\u{66f8}\u{3067}\u{3059}\u{3002}";
        let mut bytes = encoding_rs::SHIFT_JIS.encode(japanese).0.into_owned();
        bytes.extend(b"\x87\x90\n");
        assert_eq!(read(&bytes), "its bytes look like Shift_JIS, but it could not be written back in that as it is");
        assert!(read(b"\xff\xfeh\0i").contains("UTF-16LE"), "an odd byte is left over");
        assert!(read(b"\xff\xfe\x3e\xd8h\0").contains("UTF-16LE"), "half a pair");
    }

    #[test]
    fn a_character_that_does_not_fit_is_named() {
        let (_, latin) = Charset::decode(b"d\xe9j\xe0 vu\n".to_vec()).expect("text");
        let error = |text: &str| latin.encode(&Rope::from_str(text), false).expect_err("refused").to_string();
        assert_eq!(
            error("d\u{e9}j\u{e0} \u{2192}\n"),
            "windows-1252, which the file is in, has no character \u{201c}\u{2192}\u{201d} (U+2192)"
        );
        assert_eq!(
            latin.encode(&Rope::from_str("d\u{e9}j\u{e0}, d\u{e9}j\u{e0} vu\n"), false).expect("fits"),
            b"d\xe9j\xe0, d\xe9j\xe0 vu\n"
        );
    }

    proptest! {
        #![proptest_config(campaign(20_000))]

        #[test]
        fn what_is_read_is_written_as_it_was(bytes in prop::collection::vec(any::<u8>(), 0..60), mark in 0..3_usize) {
            let bytes = [[&[][..], &[0xff, 0xfe], &[0xfe, 0xff]][mark], &bytes].concat();
            if let Ok((text, charset)) = Charset::decode(bytes.clone()) {
                let bom = text.starts_with(BOM);
                let rope = Rope::from_str(text.strip_prefix(BOM).unwrap_or(&text));
                prop_assert_eq!(charset.encode(&rope, bom), Ok(bytes));
            }
        }

        #[test]
        fn a_text_in_utf_16_comes_back(text in "[a-zäß\u{3042}\u{1f980}\r\n]{0,40}") {
            for charset in [UTF_16LE, UTF_16BE].map(Charset) {
                let bytes = charset.encode(&Rope::from_str(&text), true).map_err(|error| TestCaseError::fail(error.to_string()))?;
                let (again, found) = Charset::decode(bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
                prop_assert_eq!(again.strip_prefix(BOM), Some(text.as_str()));
                prop_assert_eq!(found, charset);
            }
        }
    }
}
