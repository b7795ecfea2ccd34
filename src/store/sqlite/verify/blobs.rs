//! The large texts, one at a time.

use sqlx::sqlite::SqliteRow;

use super::{MOST, Walk};
use crate::store::Hash;
use crate::store::sqlite::blob::unpack;
use crate::store::sqlite::row::Read;

impl Walk<'_> {
    pub(super) async fn blobs(&mut self) {
        let mut after: Vec<u8> = Vec::new();
        loop {
            let row =
                sqlx::query("SELECT hash, size, packed_hash, content FROM blobs WHERE hash > $1 ORDER BY hash LIMIT 1")
                    .bind(after.as_slice())
                    .fetch_optional(&mut *self.connection)
                    .await;
            match row {
                Ok(None) => return,
                Ok(Some(row)) => {
                    let Ok(hash) = row.bytes(0).map(<[u8]>::to_owned) else {
                        return self.fault(None, None, "the hash of a text cannot be read");
                    };
                    if let Err(what) = whole(&row) {
                        self.name_users(&hash, &what).await;
                    }
                    after = hash;
                }
                Err(error) => {
                    // The hash stands in the index too, so those behind the unreadable one can still be found.
                    let next = sqlx::query("SELECT hash FROM blobs WHERE hash > $1 ORDER BY hash LIMIT 1")
                        .bind(after.as_slice())
                        .fetch_optional(&mut *self.connection)
                        .await;
                    let Ok(Some(hash)) = next.map(|row| row.and_then(|row| row.bytes(0).map(<[u8]>::to_owned).ok()))
                    else {
                        return self.fault(None, None, format!("the texts cannot be read: {error}"));
                    };
                    self.name_users(&hash, &format!("cannot be read: {error}")).await;
                    after = hash;
                }
            }
        }
    }

    /// Every record that needs a damaged text is damaged.
    async fn name_users(&mut self, hash: &[u8], what: &str) {
        let name = Hash::from_bytes(hash).map_or_else(|| "without a name".to_owned(), |hash| hash.to_string());
        let rows = sqlx::query("SELECT session, number FROM uses WHERE hash = $1 LIMIT $2")
            .bind(hash)
            .bind(MOST as i64)
            .fetch_all(&mut *self.connection)
            .await
            .unwrap_or_default();
        if rows.is_empty() {
            self.fault(None, None, format!("the text {name} {what}"));
        }
        for row in rows {
            let (session, number) = (row.text(0).ok(), row.number(1).ok());
            self.fault(session.as_deref(), number, format!("the text {name} that it names {what}"));
        }
    }
}

fn whole(row: &SqliteRow) -> Result<(), String> {
    let read = || Ok::<_, sqlx::Error>((row.hash(0)?, row.number(1)?, row.hash(2)?, row.bytes(3)?));
    let (hash, size, packed_hash, content) = read().map_err(|error| format!("cannot be read: {error}"))?;
    if Hash::of(content) != packed_hash {
        return Err("is damaged".to_owned());
    }
    unpack(content, size, hash).map(drop).map_err(|what| format!("is damaged: {what}"))
}
