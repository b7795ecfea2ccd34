//! Values as the database keeps them, and back.

use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

use crate::store::Hash;

/// Databases know no unsigned numbers. What is beyond theirs never occurs; it would become their highest.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Reads the columns of a row, and takes nothing for what it is not: SQLite keeps any kind of value in any column, and a
/// damaged row must not read like a whole one.
pub(super) trait Read {
    fn number(&self, column: usize) -> Result<u64, sqlx::Error>;
    fn text(&self, column: usize) -> Result<String, sqlx::Error>;
    fn bytes(&self, column: usize) -> Result<&[u8], sqlx::Error>;
    /// Bytes that the database has strung together; SQLite then calls them text.
    fn any_bytes(&self, column: usize) -> Result<&[u8], sqlx::Error>;
    fn hash(&self, column: usize) -> Result<Hash, sqlx::Error>;
    fn is_null(&self, column: usize) -> Result<bool, sqlx::Error>;
}

impl Read for SqliteRow {
    fn number(&self, column: usize) -> Result<u64, sqlx::Error> {
        expect(self, column, "INTEGER")?;
        let number: i64 = self.try_get(column)?;
        u64::try_from(number).map_err(|_| wrong(column, format!("{number} is below zero")))
    }

    fn text(&self, column: usize) -> Result<String, sqlx::Error> {
        expect(self, column, "TEXT")?;
        self.try_get(column)
    }

    fn bytes(&self, column: usize) -> Result<&[u8], sqlx::Error> {
        expect(self, column, "BLOB")?;
        self.try_get(column)
    }

    fn any_bytes(&self, column: usize) -> Result<&[u8], sqlx::Error> {
        self.try_get(column)
    }

    fn hash(&self, column: usize) -> Result<Hash, sqlx::Error> {
        Hash::from_bytes(self.bytes(column)?).ok_or_else(|| wrong(column, "it is no hash".to_owned()))
    }

    fn is_null(&self, column: usize) -> Result<bool, sqlx::Error> {
        Ok(self.try_get_raw(column)?.is_null())
    }
}

fn expect(row: &SqliteRow, column: usize, kind: &str) -> Result<(), sqlx::Error> {
    let value = row.try_get_raw(column)?;
    let found = value.type_info();
    if value.is_null() || found.name() != kind {
        let found = if value.is_null() { "NULL" } else { found.name() };
        return Err(wrong(column, format!("there is {found} where {kind} was kept")));
    }
    Ok(())
}

fn wrong(column: usize, what: String) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: BoxDynError::from(what) }
}

/// An id that was read as text.
pub(super) fn id<T: std::str::FromStr<Err = uuid::Error>>(text: &str) -> Result<T, sqlx::Error> {
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
