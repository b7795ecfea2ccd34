//! Many rows as one. The driver hands rows over one by one, from its thread to ours, and waking up for each costs more
//! than reading it; so the database strings them together: numbers and words as text with spaces between, and what may
//! hold anything end to end, with lengths among the numbers.

use std::str::{FromStr, Split};

use sqlx::sqlite::SqliteRow;

use super::row::Read as _;
use crate::store::Hash;

/// Rows that are strung together at a time: enough to make waking up cheap, few enough to keep memory small.
pub(super) const ROWS: i64 = 256;

/// The words of a bundle, in order.
pub(super) struct Words<'a>(Split<'a, char>);

impl<'a> Words<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text.split(' '))
    }

    /// The words of a column.
    pub(super) fn of(row: &'a SqliteRow, column: usize) -> Result<Self, sqlx::Error> {
        let text = std::str::from_utf8(row.any_bytes(column)?).map_err(|_| wrong("a text is none"))?;
        Ok(Self::new(text))
    }

    /// The next word; none behind the last.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    pub(super) fn word(&mut self) -> Result<&'a str, sqlx::Error> {
        self.next().ok_or_else(|| wrong("a row ends too early"))
    }

    /// The next word, as what it stands for.
    pub(super) fn read<T: FromStr>(&mut self) -> Result<T, sqlx::Error> {
        let word = self.word()?;
        word.parse().map_err(|_| wrong(&format!("{word:?} stands where something else was kept")))
    }
}

/// What stands end to end.
pub(super) struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What a column holds.
    pub(super) fn of(row: &'a SqliteRow, column: usize) -> Result<Self, sqlx::Error> {
        row.any_bytes(column).map(Self)
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], sqlx::Error> {
        let (piece, rest) = self.0.split_at_checked(length).ok_or_else(|| wrong("a row is cut short"))?;
        self.0 = rest;
        Ok(piece)
    }

    pub(super) fn hash(&mut self) -> Result<Hash, sqlx::Error> {
        Hash::from_bytes(self.take(32)?).ok_or_else(|| wrong("a hash is none"))
    }

    pub(super) fn text(&mut self, length: usize) -> Result<&'a str, sqlx::Error> {
        std::str::from_utf8(self.take(length)?).map_err(|_| wrong("a text is none"))
    }
}

pub(super) fn wrong(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(what.to_owned().into())
}
