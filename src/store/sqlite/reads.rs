//! What can be asked of the database, beside the writer.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::blob::unpack;
use super::bundle::{Pieces, ROWS, Words, wrong};
use super::chain::{Segment, chain};
use super::fail::{damaged, failed};
use super::owners::{Owners, Process};
use super::prepare::{HERE, PRUNED};
use super::row::{Read, id, int};
use crate::model::Item;
use crate::protocol::{Envelope, RunId, SessionId};
use crate::store::{Hash, Head, Parent, Record, SessionRow, Standing, StoreError, Stored, StoredRun};

/// Reads with one connection, for one question; the question stands in every error.
pub(super) struct Reader<'a> {
    pub(super) connection: &'a mut SqliteConnection,
    pub(super) me: &'a Process,
    pub(super) file: Option<&'a Path>,
    /// `read session S`, `list the sessions`.
    pub(super) tried: &'a str,
}

/// Sessions that are listed at a time.
const LIST: i64 = 1000;

const SESSION: &str = "SELECT id, folder, title, created_at_ms, updated_at_ms, runs, parent, parent_record, \
    head_record, head_hash, writer FROM sessions WHERE deleted = 0 AND id = $1";

/// A bundle of sessions, each column strung together for itself: joining the columns of a row first costs more than all
/// the rest.
macro_rules! sessions {
    ($folders:literal, $and:literal) => {
        concat!(
            "SELECT string_agg(id, ' '), \
             string_agg(CASE WHEN parent IS NULL THEN '-' ELSE concat(parent, ':', parent_record) END, ' '), \
             string_agg(CAST(created_at_ms AS TEXT), ' '), string_agg(CAST(updated_at_ms AS TEXT), ' '), \
             string_agg(CAST(runs AS TEXT), ' '), string_agg(CAST(octet_length(title) AS TEXT), ' '), \
             string_agg(title, '')",
            $folders,
            " FROM (SELECT id, parent, parent_record, created_at_ms, updated_at_ms, runs, title, folder FROM sessions \
             WHERE deleted = 0 AND id > $1 ",
            $and,
            " ORDER BY id LIMIT $2) s"
        )
    };
}

const SESSIONS: &str = sessions!(", string_agg(CAST(octet_length(folder) AS TEXT), ' '), string_agg(folder, '')", "");
const OF_FOLDER: &str = sessions!("", "AND folder = $3");

/// A bundle of records: words, then link, hash of the body and body of each. `$2` and `$3` bound the numbers, `$4` is
/// nothing at all, and the rest is the question's own.
macro_rules! records {
    ($place:literal, $and:literal) => {
        concat!(
            "SELECT string_agg(concat_ws(' ', place, number, at_ms, stored, size, octet_length(body)), ' '), \
             string_agg(hash || body_hash || body, $4) FROM (SELECT ",
            $place,
            " AS place, r.number, r.at_ms, r.stored, r.hash, r.body_hash, COALESCE(b.content, r.body) AS body, \
             COALESCE(b.size, 0) AS size FROM records r LEFT JOIN blobs b ON r.stored = 1 AND b.hash = r.body_hash \
             WHERE r.session = $1 AND r.number > $2 AND r.number <= $3 ",
            $and,
            " LIMIT $6) r"
        )
    };
}

const ALL: &str = records!("r.number", "AND r.number > $5 ORDER BY r.number");
const CHANGES: &str = records!(
    "r.number",
    "AND r.kind IN ('changed', 'undone', 'decided') AND r.run = $7 AND r.number > $5 ORDER BY r.number"
);
const EVENTS: &str = records!(
    "r.sequence",
    "AND r.kind = 'event' AND r.stored <> 2 AND r.run = $7 AND r.sequence > $5 ORDER BY r.sequence"
);
const TOLD: &str = records!("r.sequence", "AND r.kind = 'told' AND r.sequence > $5 ORDER BY r.sequence");

const ITEMS_AFTER: &str = records!("r.number", "AND r.kind = 'item' AND r.number > $5 ORDER BY r.number");
const ITEMS_BEFORE: &str = records!("r.number", "AND r.kind = 'item' AND r.number < $5 ORDER BY r.number DESC");
const ITEMS_PICKED: &str = records!(
    "r.number",
    "AND r.kind = 'item' AND r.number > $5 AND r.number IN \
     ($7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) ORDER BY r.number DESC"
);

/// Entries that are read at a time where each of them is looked at: a results entry may be large.
const LOOKED_AT: usize = 64;

/// An entry of a session's history in its place.
pub(super) struct Entry {
    /// Whose record it is: the session's, or that of one that it forks from.
    pub(super) session: String,
    pub(super) number: u64,
    pub(super) at_ms: u64,
    /// `None` when it is not as it was kept.
    pub(super) item: Option<Arc<Item>>,
}

/// A bundle of runs: words, snapshots.
macro_rules! runs {
    ($which:literal) => {
        concat!(
            "SELECT string_agg(concat_ws(' ', reserved, first_record, last_record, owner, octet_length(snapshot)), ' '), \
             string_agg(snapshot, '') FROM (SELECT reserved, first_record, last_record, owner, snapshot FROM runs WHERE ",
            $which,
            ") r"
        )
    };
}

const RUNS: &str = runs!("session = $1 ORDER BY run DESC LIMIT $2");
const RUN: &str = runs!("run = $1 ORDER BY session DESC LIMIT 1");

impl Reader<'_> {
    pub(super) async fn session(&mut self, session: SessionId) -> Result<Option<Standing>, StoreError> {
        let row = sqlx::query(SESSION).bind(session.to_string()).fetch_optional(&mut *self.connection).await;
        let row = row.and_then(|row| row.map(|row| session_row(&row, self.me)).transpose());
        row.map_err(|error| self.failed(&error))
    }

    pub(super) async fn sessions(&mut self, folder: Option<&str>) -> Result<Vec<SessionRow>, StoreError> {
        let mut rows = Vec::new();
        loop {
            let after = rows.last().map(|row: &SessionRow| row.id.to_string()).unwrap_or_default();
            let query = sqlx::query(if folder.is_some() { OF_FOLDER } else { SESSIONS }).bind(after).bind(LIST);
            let query = if let Some(folder) = folder { query.bind(folder) } else { query };
            let before = rows.len();
            let row = query.fetch_one(&mut *self.connection).await;
            row.and_then(|row| session_rows(&row, folder, &mut rows)).map_err(|error| self.failed(&error))?;
            if rows.len() - before < usize::try_from(LIST).unwrap_or(usize::MAX) {
                break;
            }
        }
        rows.sort_unstable_by_key(|row| std::cmp::Reverse((row.updated_at_ms, row.id)));
        Ok(rows)
    }

    pub(super) async fn active(&mut self, folder: &str) -> Result<Option<SessionId>, StoreError> {
        let row = sqlx::query(
            "SELECT a.session FROM active a JOIN sessions s ON s.id = a.session WHERE a.folder = $1 AND s.deleted = 0",
        )
        .bind(folder)
        .fetch_optional(&mut *self.connection)
        .await;
        let session = row.and_then(|row| row.map(|row| id(&row.text(0)?)).transpose());
        session.map_err(|error| self.failed(&error))
    }

    pub(super) async fn resume(&mut self, session: SessionId) -> Result<(Standing, Vec<Stored>), StoreError> {
        let row = self.session(session).await?.ok_or(StoreError::NoSession(session))?;
        let chain = self.chain(session).await?;
        let mut from = 1;
        for segment in &chain {
            if let Some(checkpoint) = self.newest_checkpoint(segment).await? {
                from = checkpoint;
                break;
            }
        }
        let records = self.records_of(&chain, from..=row.head.record).await?;
        Ok((row, records))
    }

    async fn newest_checkpoint(&mut self, segment: &Segment) -> Result<Option<u64>, StoreError> {
        let number = sqlx::query(
            "SELECT number FROM records WHERE session = $1 AND number > $2 AND number <= $3 AND kind = 'checkpoint' \
             ORDER BY number DESC LIMIT 1",
        )
        .bind(&segment.session)
        .bind(int(segment.low))
        .bind(int(segment.high))
        .fetch_optional(&mut *self.connection)
        .await;
        let number = number.and_then(|row| row.map(|row| row.number(0)).transpose());
        number.map_err(|error| self.failed(&error))
    }

    pub(super) async fn records(
        &mut self,
        session: SessionId,
        numbers: RangeInclusive<u64>,
    ) -> Result<Vec<Stored>, StoreError> {
        let chain = self.chain(session).await?;
        self.records_of(&chain, numbers).await
    }

    async fn records_of(&mut self, chain: &[Segment], numbers: RangeInclusive<u64>) -> Result<Vec<Stored>, StoreError> {
        let mut records = Vec::new();
        for segment in chain.iter().rev() {
            let low = segment.low.max(numbers.start().saturating_sub(1));
            let high = segment.high.min(*numbers.end());
            if low < high {
                let segment = Segment { session: segment.session.clone(), low, high };
                self.stored(ALL, &segment, None, low, &mut records).await?;
            }
        }
        Ok(records)
    }

    pub(super) async fn events(
        &mut self,
        session: SessionId,
        run: Option<RunId>,
        after: u64,
    ) -> Result<Vec<Envelope>, StoreError> {
        let mut records = Vec::new();
        let chain = self.chain(session).await?;
        match run {
            // A series of the session's own: each fork begins another.
            None => self.stored(TOLD, &chain[0], None, after, &mut records).await?,
            Some(_) => {
                for segment in chain.iter().rev() {
                    self.stored(EVENTS, segment, run, after, &mut records).await?;
                }
            }
        }
        let envelope = |stored: Stored| match stored.record {
            Some(Record::Event(envelope)) => Some(envelope),
            _ => None,
        };
        Ok(records.into_iter().filter_map(envelope).collect())
    }

    pub(super) async fn changes(&mut self, session: SessionId, run: RunId) -> Result<Vec<Stored>, StoreError> {
        let mut changes = Vec::new();
        for segment in self.chain(session).await?.iter().rev() {
            self.stored(CHANGES, segment, Some(run), 0, &mut changes).await?;
        }
        Ok(changes)
    }

    pub(super) async fn runs(&mut self, session: SessionId, most: usize) -> Result<Vec<StoredRun>, StoreError> {
        // Ids sort by the time they were made.
        let row = sqlx::query(RUNS).bind(session.to_string()).bind(int(most as u64));
        let row = row.fetch_one(&mut *self.connection).await;
        let mut runs = self.stored_runs(row).await?;
        runs.reverse();
        Ok(runs)
    }

    pub(super) async fn run(&mut self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        let row = sqlx::query(RUN).bind(run.to_string()).fetch_one(&mut *self.connection).await;
        Ok(self.stored_runs(row).await?.pop())
    }

    async fn stored_runs(&mut self, row: Result<SqliteRow, sqlx::Error>) -> Result<Vec<StoredRun>, StoreError> {
        let row = row.map_err(|error| self.failed(&error))?;
        let owners = Owners::read(self.connection, self.me).await.map_err(|error| self.failed(&error))?;
        stored_runs(&row, &owners).map_err(|error| self.failed(&error))
    }

    pub(super) async fn content(&mut self, hash: Hash) -> Result<Vec<u8>, StoreError> {
        let row = sqlx::query("SELECT size, content FROM blobs WHERE hash = $1")
            .bind(hash.bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(|error| self.failed(&error))?;
        let row = row.ok_or_else(|| self.damaged("it is not there"))?;
        let size = row.number(0).map_err(|error| self.failed(&error))?;
        let content = row.bytes(1).map_err(|error| self.failed(&error))?;
        unpack(content, size, hash).map_err(|what| self.damaged(&what))
    }

    /// The most entries that [`Reader::picked`] reads.
    pub(super) const PICKED: usize = 16;

    /// These entries of a stretch of records, newest first.
    pub(super) async fn picked(&mut self, segment: &Segment, numbers: &[u64]) -> Result<Vec<Entry>, StoreError> {
        self.entries(ITEMS_PICKED, segment, 0, Self::PICKED, Some(numbers)).await
    }

    /// The next entries behind a record, oldest first.
    pub(super) async fn entries_after(
        &mut self,
        segment: &Segment,
        after: u64,
        most: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.entries(ITEMS_AFTER, segment, after, most, None).await
    }

    /// The next entries before a record, newest first.
    pub(super) async fn entries_before(&mut self, segment: &Segment, before: u64) -> Result<Vec<Entry>, StoreError> {
        self.entries(ITEMS_BEFORE, segment, before, LOOKED_AT, None).await
    }

    /// The newest entry before a record.
    pub(super) async fn entry_before(&mut self, segment: &Segment, before: u64) -> Result<Option<Entry>, StoreError> {
        Ok(self.entries(ITEMS_BEFORE, segment, before, 1, None).await?.pop())
    }

    /// The link of a record that a session has of its own.
    pub(super) async fn link_of(&mut self, session: &str, record: u64) -> Result<Option<Hash>, StoreError> {
        let row = sqlx::query("SELECT hash FROM records WHERE session = $1 AND number = $2")
            .bind(session)
            .bind(int(record))
            .fetch_optional(&mut *self.connection)
            .await;
        row.and_then(|row| row.map(|row| row.hash(0)).transpose()).map_err(|error| self.failed(&error))
    }

    /// Entries of a stretch of records. One that is not as it was kept hides no other: it comes without what it said.
    async fn entries(
        &mut self,
        question: &'static str,
        segment: &Segment,
        place: u64,
        most: usize,
        picked: Option<&[u64]>,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut query = sqlx::query(question)
            .bind(&segment.session)
            .bind(int(segment.low))
            .bind(int(segment.high))
            .bind([].as_slice())
            .bind(int(place))
            .bind(int(most as u64));
        if let Some(picked) = picked {
            // Records count from 1, so nothing is found for a 0.
            for nth in 0..Self::PICKED {
                query = query.bind(int(picked.get(nth).copied().unwrap_or_default()));
            }
        }
        let row = query.fetch_one(&mut *self.connection).await.map_err(|error| self.failed(&error))?;
        let mut entries = Vec::new();
        if row.is_null(0).map_err(|error| self.failed(&error))? {
            return Ok(entries);
        }
        let text = row.text(0).map_err(|error| self.failed(&error))?;
        let bytes = row.any_bytes(1).map_err(|error| self.failed(&error))?;
        let (mut words, mut pieces) = (Words::new(&text), Pieces::new(bytes));
        while let Some(place) = words.next() {
            let number =
                place.parse().map_err(|_| self.damaged(&format!("a record has the impossible place {place:?}")))?;
            let (at_ms, item) = match self.one(&segment.session, &mut words, &mut pieces) {
                Ok(Stored { at_ms, record: Some(Record::Item { item, .. }), .. }) => (at_ms, Some(item)),
                Ok(stored) => (stored.at_ms, None),
                Err(error) => {
                    tracing::warn!(%error, "a record is passed over");
                    (0, None)
                }
            };
            entries.push(Entry { session: segment.session.clone(), number, at_ms, item });
        }
        Ok(entries)
    }

    /// The chain of a session that must be there.
    pub(super) async fn chain(&mut self, session: SessionId) -> Result<Vec<Segment>, StoreError> {
        let chain = chain(self.connection, session).await.map_err(|error| self.failed(&error))?;
        if chain.is_empty() { Err(StoreError::NoSession(session)) } else { Ok(chain) }
    }

    /// The records of a segment that a question finds behind a place, in order.
    async fn stored(
        &mut self,
        question: &'static str,
        segment: &Segment,
        run: Option<RunId>,
        mut after: u64,
        records: &mut Vec<Stored>,
    ) -> Result<(), StoreError> {
        loop {
            let query = sqlx::query(question)
                .bind(&segment.session)
                .bind(int(segment.low))
                .bind(int(segment.high))
                .bind([].as_slice())
                .bind(int(after))
                .bind(ROWS);
            let query = if let Some(run) = run { query.bind(run.to_string()) } else { query };
            let row = query.fetch_one(&mut *self.connection).await.map_err(|error| self.failed(&error))?;
            if row.is_null(0).map_err(|error| self.failed(&error))? {
                return Ok(());
            }
            let text = row.text(0).map_err(|error| self.failed(&error))?;
            let bytes = row.any_bytes(1).map_err(|error| self.failed(&error))?;
            let (mut words, mut pieces) = (Words::new(&text), Pieces::new(bytes));
            let mut count = 0;
            while let Some(place) = words.next() {
                after =
                    place.parse().map_err(|_| self.damaged(&format!("a record has the impossible place {place:?}")))?;
                records.push(self.one(&segment.session, &mut words, &mut pieces)?);
                count += 1;
            }
            if count < ROWS {
                return Ok(());
            }
        }
    }

    fn one(&self, session: &str, words: &mut Words<'_>, pieces: &mut Pieces<'_>) -> Result<Stored, StoreError> {
        let number = words.read().map_err(|error| self.failed(&error))?;
        let here =
            |what: &str| self.damaged(&format!("record {number} of session {session} is not as it was kept: {what}"));
        let column = |error: sqlx::Error| here(&error.to_string());
        let (at_ms, stored) = (words.read().map_err(column)?, words.read::<i64>().map_err(column)?);
        let (size, length) = (words.read().map_err(column)?, words.read().map_err(column)?);
        let hash = pieces.hash().map_err(column)?;
        let body_hash = pieces.hash().map_err(column)?;
        let body = pieces.take(length).map_err(column)?;
        let body = match stored {
            PRUNED => return Ok(Stored { number, at_ms, hash, record: None }),
            HERE if Hash::of(body) == body_hash => Cow::Borrowed(body),
            HERE => return Err(here("its hash is another")),
            _ if body.is_empty() => return Err(here("its text is not there")),
            _ => Cow::Owned(unpack(body, size, body_hash).map_err(|what| here(&what))?),
        };
        let record = serde_json::from_slice(&body).map_err(|error| here(&error.to_string()))?;
        Ok(Stored { number, at_ms, hash, record: Some(record) })
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        failed(self.tried, self.file, error)
    }

    fn damaged(&self, what: &str) -> StoreError {
        damaged(self.tried, self.file, what)
    }
}

/// Adds the sessions of a bundle: those of one folder, or each with its own.
fn session_rows(row: &SqliteRow, folder: Option<&str>, rows: &mut Vec<SessionRow>) -> Result<(), sqlx::Error> {
    if row.is_null(0)? {
        return Ok(());
    }
    let words = |column| Words::of(row, column);
    let (mut ids, mut parents, mut created, mut updated, mut runs) =
        (words(0)?, words(1)?, words(2)?, words(3)?, words(4)?);
    let (mut lengths, mut titles) = (words(5)?, Pieces::of(row, 6)?);
    let mut folders = match folder {
        Some(_) => None,
        None => Some((words(7)?, Pieces::of(row, 8)?)),
    };
    while let Some(session) = ids.next() {
        let parent = match parents.word()?.split_once(':') {
            None => None,
            Some((parent, record)) => {
                let record = record.parse().map_err(|_| wrong("the record that a session forks from is none"))?;
                Some(Parent { session: id(parent)?, record })
            }
        };
        let folder = match &mut folders {
            Some((lengths, folders)) => folders.text(lengths.read()?)?,
            None => folder.unwrap_or_default(),
        };
        rows.push(SessionRow {
            id: id(session)?,
            folder: folder.to_owned(),
            title: titles.text(lengths.read()?)?.to_owned(),
            created_at_ms: created.read()?,
            updated_at_ms: updated.read()?,
            runs: runs.read()?,
            parent,
        });
    }
    // A value that is missing in one column would give each session the next one's.
    let left = [parents, created, updated, runs, lengths].iter_mut().any(|words| words.next().is_some());
    if left { Err(wrong("a column holds more than the others")) } else { Ok(()) }
}

fn stored_runs(row: &SqliteRow, owners: &Owners<'_>) -> Result<Vec<StoredRun>, sqlx::Error> {
    let mut runs = Vec::new();
    if row.is_null(0)? {
        return Ok(runs);
    }
    let (text, snapshots) = (row.text(0)?, row.text(1)?);
    let (mut words, mut snapshots) = (Words::new(&text), Pieces::new(snapshots.as_bytes()));
    while let Some(reserved) = words.next() {
        let reserved = reserved.parse().map_err(|_| wrong("a run cannot be read"))?;
        let (first, last, owner) = (words.read()?, words.read()?, owners.of(words.word()?));
        let snapshot = serde_json::from_slice(snapshots.take(words.read()?)?);
        let snapshot = snapshot.map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        runs.push(StoredRun { snapshot, reserved, first, last, owner });
    }
    Ok(runs)
}

fn session_row(row: &SqliteRow, me: &Process) -> Result<Standing, sqlx::Error> {
    let parent = match row.is_null(6)? {
        true => None,
        false => Some(Parent { session: id(&row.text(6)?)?, record: row.number(7)? }),
    };
    let listed = SessionRow {
        id: id(&row.text(0)?)?,
        folder: row.text(1)?,
        title: row.text(2)?,
        created_at_ms: row.number(3)?,
        updated_at_ms: row.number(4)?,
        runs: row.number(5)?,
        parent,
    };
    let head = Head { record: row.number(8)?, hash: row.hash(9)? };
    Ok(Standing { row: listed, head, ours: row.text(10)? == me.id })
}
