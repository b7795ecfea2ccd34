//! Hashes, and how a record is linked to the one before it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A SHA-256, written in hexadecimal.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is no SHA-256 in hexadecimal");
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The newest record of a session: where the next one goes. The default is the head of a session without records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 when there is none.
    pub record: u64,
    /// Its link.
    pub hash: Hash,
}

impl Head {
    /// The head behind this one, with a record of this time, kind, run and body. Everything that a record consists of goes
    /// into its link; the body by its hash, so that the link still holds when the body has been dropped.
    #[must_use]
    pub fn then(&self, at_ms: u64, kind: &str, run: &str, body: Hash) -> Self {
        let record = self.record + 1;
        let mut link = Sha256::new();
        link.update(self.hash.0);
        link.update(record.to_be_bytes());
        link.update(at_ms.to_be_bytes());
        // Lengths first, so that no two records hash the same bytes.
        for part in [kind, run] {
            link.update((part.len() as u64).to_be_bytes());
            link.update(part);
        }
        link.update(body.0);
        Self { record, hash: Hash(link.finalize().into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_in_hexadecimal_and_read_back() {
        let hash = Hash::of(b"abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert!("ba78".parse::<Hash>().is_err());
        assert!("é".repeat(32).parse::<Hash>().is_err());
    }

    #[test]
    fn s5_everything_that_a_record_consists_of_goes_into_its_link() {
        let start = Head::default();
        let one = start.then(1, "event", "run", Hash::of(b"x"));
        let others = [
            start.then(2, "event", "run", Hash::of(b"x")),
            start.then(1, "item", "run", Hash::of(b"x")),
            start.then(1, "eventr", "un", Hash::of(b"x")),
            start.then(1, "event", "run", Hash::of(b"y")),
            one.then(1, "event", "run", Hash::of(b"x")),
        ];
        assert_eq!(one.record, 1);
        assert!(others.iter().all(|other| other.hash != one.hash));
    }
}
