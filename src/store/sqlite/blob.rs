//! Large texts: compressed, and found by their hash.

use std::io::Read;

use crate::store::Hash;

/// How hard zstd tries. Its own default: texts of a megabyte take a few milliseconds.
const LEVEL: i32 = 3;

/// A text as it lies in the database.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pub(super) content: Vec<u8>,
    /// Of `content`.
    pub(super) hash: Hash,
}

pub(super) fn pack(text: &[u8]) -> std::io::Result<Packed> {
    let content = zstd::bulk::compress(text, LEVEL)?;
    let hash = Hash::of(&content);
    Ok(Packed { content, hash })
}

/// The text again. What it holds is held against the hash, so a damaged one is never taken for whole; `size` bounds the
/// work, not the trust.
pub(super) fn unpack(content: &[u8], size: u64, hash: Hash) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let read = zstd::stream::read::Decoder::new(content)
        .and_then(|decoder| decoder.take(size.saturating_add(1)).read_to_end(&mut text));
    match read {
        Err(error) => Err(format!("its text does not unpack ({error})")),
        Ok(_) if text.len() as u64 != size => Err(format!("its text is not {size} bytes long")),
        Ok(_) if Hash::of(&text) != hash => Err("its text is not the one that was kept".to_owned()),
        Ok(_) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_whole_or_not_at_all() {
        let text = "fn main() {}\n".repeat(1000).into_bytes();
        let packed = pack(&text).unwrap();
        assert!(packed.content.len() < text.len() / 10);
        let size = text.len() as u64;
        assert_eq!(unpack(&packed.content, size, Hash::of(&text)), Ok(text.clone()));
        assert!(unpack(&packed.content, size - 1, Hash::of(&text)).is_err());
        assert!(unpack(&packed.content, size + 1, Hash::of(&text)).is_err());
        assert!(unpack(&packed.content, u64::MAX, Hash::of(&text)).is_err());
        assert!(unpack(&packed.content, size, Hash::of(b"another")).is_err());
        assert!(unpack(&packed.content[..packed.content.len() / 2], size, Hash::of(&text)).is_err());
    }
}
