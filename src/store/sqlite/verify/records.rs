//! The chain of one session: numbers, links, bodies.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteRow;

use super::{Before, Session, Walk};
use crate::store::sqlite::blob::unpack;
use crate::store::sqlite::chain::link;
use crate::store::sqlite::prepare::{BLOB, HERE, PRUNED, sequence};
use crate::store::sqlite::row::{Read, int};
use crate::store::{Hash, Head, Record};

/// Records that are read at once; what is in memory at a time is a few of them.
const CHUNK: u64 = 200;

const COLUMNS: &str = "SELECT number, at_ms, kind, run, sequence, stored, body_hash, hash, body FROM records \
    WHERE session = $1 AND number > $2 AND number <= $3 ORDER BY number LIMIT 200";

/// A record's row, read with nothing taken for granted.
struct Row {
    number: u64,
    at_ms: u64,
    kind: String,
    run: String,
    sequence: u64,
    stored: i64,
    body_hash: Hash,
    hash: Hash,
    body: Vec<u8>,
}

impl Row {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            number: row.number(0)?,
            at_ms: row.number(1)?,
            kind: row.text(2)?,
            run: row.text(3)?,
            sequence: row.number(4)?,
            stored: int(row.number(5)?),
            body_hash: row.hash(6)?,
            hash: row.hash(7)?,
            body: row.bytes(8)?.to_owned(),
        })
    }
}

/// Texts that records are noted to need, by number.
type Uses = BTreeMap<u64, BTreeSet<Hash>>;

impl Walk<'_> {
    pub(super) async fn chain(&mut self, session: &Session) {
        let mut before = self.start(session).await;
        let (mut last, mut last_hash) = (session.parent_record, before.kept);
        while last < session.head.record {
            // A head that was damaged may lie anywhere, so what is read ends where the records do.
            let high = last.saturating_add(CHUNK).min(session.head.record);
            let rows = self.rows(session, last, high).await;
            let uses = self.uses(session, last, high).await;
            if rows.is_empty() && !self.more(session, high).await {
                break;
            }
            for row in rows {
                if row.number != last + 1 {
                    self.missing(session, last + 1, row.number - 1);
                    before = Before::default();
                }
                self.report.records += 1;
                before = self.linked(session, &row, before);
                self.body(session, &row, uses.get(&row.number)).await;
                (last, last_hash) = (row.number, Some(row.hash));
            }
            if last < high {
                if !self.more(session, high).await {
                    break;
                }
                self.missing(session, last + 1, high);
                (last, last_hash, before) = (high, None, Before::default());
            }
        }
        if last < session.head.record {
            self.missing(session, last + 1, session.head.record);
        } else if last_hash.is_some_and(|hash| hash != session.head.hash) {
            self.fault(Some(&session.id), Some(last), "it is not the one that the session notes as its newest");
        }
    }

    /// The link that the first record of its own follows.
    async fn start(&mut self, session: &Session) -> Before {
        let hash = match &session.parent {
            None if session.parent_record == 0 => Ok(Hash::default()),
            None => Err("it has no parent, and does not begin at its first record".to_owned()),
            Some(parent) => {
                let hash = link(self.connection, parent, session.parent_record).await;
                hash.map_err(|error| format!("the record that it forks from cannot be read: {error}"))
            }
        };
        match hash {
            Ok(hash) => Before { kept: Some(hash), reckoned: None },
            Err(what) => {
                self.fault(Some(&session.id), None, what);
                Before::default()
            }
        }
    }

    fn missing(&mut self, session: &Session, first: u64, last: u64) {
        let what = if first == last {
            "it is missing".to_owned()
        } else {
            format!("it is missing, and so is every other up to record {last}")
        };
        self.fault(Some(&session.id), Some(first), what);
    }

    /// Whether there are records behind a number.
    async fn more(&mut self, session: &Session, behind: u64) -> bool {
        let next =
            sqlx::query("SELECT number FROM records WHERE session = $1 AND number > $2 AND number <= $3 LIMIT 1")
                .bind(&session.id)
                .bind(int(behind))
                .bind(int(session.head.record));
        match next.fetch_optional(&mut *self.connection).await {
            Ok(row) => row.is_some(),
            Err(error) => {
                self.fault(
                    Some(&session.id),
                    Some(behind + 1),
                    format!("it cannot be read, nor what follows: {error}"),
                );
                false
            }
        }
    }

    /// The records of a stretch. Where they cannot be read together, one by one, so that the broken one is named.
    async fn rows(&mut self, session: &Session, low: u64, high: u64) -> Vec<Row> {
        let query = sqlx::query(COLUMNS).bind(&session.id).bind(int(low)).bind(int(high));
        if let Ok(rows) = query.fetch_all(&mut *self.connection).await
            && let Ok(rows) = rows.iter().map(Row::read).collect::<Result<Vec<_>, _>>()
        {
            return rows;
        }
        let mut rows = Vec::new();
        for number in low + 1..=high {
            let query = sqlx::query(COLUMNS).bind(&session.id).bind(int(number - 1)).bind(int(number));
            let row = query.fetch_optional(&mut *self.connection).await;
            match row.and_then(|row| row.as_ref().map(Row::read).transpose()) {
                Ok(row) => rows.extend(row),
                Err(error) => self.fault(Some(&session.id), Some(number), format!("it cannot be read: {error}")),
            }
        }
        rows
    }

    async fn uses(&mut self, session: &Session, low: u64, high: u64) -> Uses {
        let rows = sqlx::query("SELECT number, hash FROM uses WHERE session = $1 AND number > $2 AND number <= $3")
            .bind(&session.id)
            .bind(int(low))
            .bind(int(high))
            .fetch_all(&mut *self.connection)
            .await;
        let read = |row: &SqliteRow| Ok::<_, sqlx::Error>((row.number(0)?, row.hash(1)?));
        let mut uses = Uses::new();
        match rows.and_then(|rows| rows.iter().map(read).collect::<Result<Vec<_>, _>>()) {
            Ok(pairs) => pairs.into_iter().for_each(|(number, hash)| _ = uses.entry(number).or_default().insert(hash)),
            Err(error) => {
                let what = format!("which texts the records behind {low} need cannot be read: {error}");
                self.fault(Some(&session.id), None, what);
            }
        }
        uses
    }

    /// Whether a record follows the one before. The next one shows which of the two was damaged.
    fn linked(&mut self, session: &Session, row: &Row, before: Before) -> Before {
        let after = |hash: Hash| {
            let head = Head { record: row.number - 1, hash };
            head.then(row.at_ms, &row.kind, &row.run, row.body_hash).hash
        };
        let candidates = [before.kept, before.reckoned];
        let nothing_to_go_by = candidates.iter().all(Option::is_none);
        if nothing_to_go_by || candidates.into_iter().flatten().any(|hash| after(hash) == row.hash) {
            return Before { kept: Some(row.hash), reckoned: None };
        }
        self.fault(Some(&session.id), Some(row.number), "it does not follow the record before it: its link is another");
        Before { kept: Some(row.hash), reckoned: before.reckoned.or(before.kept).map(after) }
    }

    /// Whether a record's body is the one that its link stands for.
    async fn body(&mut self, session: &Session, row: &Row, uses: Option<&BTreeSet<Hash>>) {
        if let Err(what) = self.check_body(row, uses).await {
            self.fault(Some(&session.id), Some(row.number), what);
        }
    }

    async fn check_body(&mut self, row: &Row, uses: Option<&BTreeSet<Hash>>) -> Result<(), String> {
        if row.stored != HERE && !row.body.is_empty() {
            return Err("its body stands in two places".to_owned());
        }
        let mut needs = BTreeSet::new();
        let from_blob;
        let body = match row.stored {
            HERE => &row.body,
            BLOB => {
                needs.insert(row.body_hash);
                from_blob = self.blob(row.body_hash).await?;
                &from_blob
            }
            PRUNED if row.kind == "event" && row.sequence == 0 && uses.is_none() => {
                self.report.pruned += 1;
                return Ok(());
            }
            _ => return Err("it is neither kept nor dropped".to_owned()),
        };
        if Hash::of(body) != row.body_hash {
            return Err("its body is not the one that was kept".to_owned());
        }
        let record: Record =
            serde_json::from_slice(body).map_err(|error| format!("it cannot be understood: {error}"))?;
        let run = record.run().map(|run| run.to_string()).unwrap_or_default();
        if (record.kind(), &run, sequence(&record)) != (row.kind.as_str(), &row.run, row.sequence) {
            return Err("what stands beside it is not what it says".to_owned());
        }
        for text in record.contents() {
            needs.insert(text);
            if !crate::store::sqlite::append::has_blob(self.connection, text.bytes()).await.unwrap_or(false) {
                return Err(format!("the text {text} that it names is not there"));
            }
        }
        if uses.cloned().unwrap_or_default() != needs {
            return Err("the texts that are kept for it are not those that it names".to_owned());
        }
        Ok(())
    }

    /// A body among the blobs.
    async fn blob(&mut self, hash: Hash) -> Result<Vec<u8>, String> {
        let row = sqlx::query("SELECT size, content FROM blobs WHERE hash = $1")
            .bind(hash.bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(|error| format!("its text cannot be read: {error}"))?;
        let row = row.ok_or_else(|| "its text is not there".to_owned())?;
        let read = || Ok::<_, sqlx::Error>((row.bytes(1)?, row.number(0)?));
        let (content, size) = read().map_err(|error| format!("its text cannot be read: {error}"))?;
        unpack(content, size, hash)
    }
}
