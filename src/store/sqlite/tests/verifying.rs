use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sqlx::{Connection as _, Row as _, SqliteConnection};
use tempfile::TempDir;

use super::{Pen, changed, checkpoint, open, rounds, said, text_hash};
use crate::protocol::{RunId, SessionId};
use crate::store::sqlite::connection::Place;
use crate::store::sqlite::verify::verify;
use crate::store::{Base, Batch, Fault, Hash, Keep, Report, Sqlite, Store};

/// A closed store with something of everything, and its sessions.
async fn something_of_everything() -> (TempDir, Vec<Pen>) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let (run, text) = (RunId::new(), "fn main() {}\n".repeat(50));
    let mut first =
        Pen::begin(&store, "first", vec![said("what the person typed"), said(&"a long one ".repeat(700))]).await;
    first.whole_run(&store, 6).await;
    first.whole_run(&store, 3).await;
    store.retain(first.session, Keep { runs: 1, events_per_run: 2 }).await.unwrap();
    let record = changed(run, Base::Whole(text_hash(&text)));
    first.put(&store, Batch { contents: vec![text.into_bytes()], ..first.batch(vec![record]) }).await;
    first.write(&store, vec![first.event(None, 1, "told"), checkpoint("cleared"), said("more")]).await;
    let fork = first.fork(&store, 2, vec![said("of the fork")]).await;
    let gone = first.fork(&store, 9, vec![said("shared with the next"), said("not shared")]).await;
    let last = gone.fork(&store, 10, vec![said("of the last")]).await;
    store.delete(gone.session).await.unwrap();
    assert_eq!(store.verify().await.unwrap().faults, []);
    store.close().await;
    (folder, vec![first, fork, gone, last])
}

async fn look(file: &Path) -> Report {
    let mut connection = Place::file(file).connect(true).await.unwrap();
    let report = verify(&mut connection).await;
    connection.close().await.unwrap();
    // Not even the list of sessions could be read: that is a fault too.
    report.unwrap_or_else(|error| Report {
        faults: vec![Fault { session: None, record: None, what: error.to_string() }],
        ..Report::default()
    })
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("sessions.db")
}

async fn change(folder: &TempDir, sql: String) {
    let mut connection = Place::file(&file(folder)).connect(false).await.unwrap();
    sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut connection).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn s5_a_whole_store_is_said_to_be_whole() {
    let (folder, _) = something_of_everything().await;
    let report = look(&file(&folder)).await;
    assert_eq!(report.faults, []);
    assert_eq!((report.sessions, report.pruned), (4, 7));
    assert_eq!(report.records, 2 + 6 + 3 + 1 + 3 + 1 + 1 + 1);
    let empty = Sqlite::in_memory().await.unwrap();
    assert_eq!(empty.verify().await.unwrap(), Report::default());
}

/// The faults after a change, one a line; `S0` is the first session.
async fn faults(sql: impl Fn(&[String]) -> String) -> String {
    let (folder, pens) = something_of_everything().await;
    let ids: Vec<String> = pens.iter().map(|pen| pen.session.to_string()).collect();
    change(&folder, sql(&ids)).await;
    let name =
        |id: SessionId| pens.iter().position(|pen| pen.session == id).map_or("?".to_owned(), |n| format!("S{n}"));
    let line = |fault: &Fault| {
        let session = fault.session.map_or("-".to_owned(), name);
        let record = fault.record.map_or("-".to_owned(), |record| record.to_string());
        let nameless = fault.what.split(' ').map(|word| match word.len() {
            64 => "HASH",
            37 => "RUN:",
            _ => word,
        });
        format!("{session} {record}: {}", nameless.collect::<Vec<_>>().join(" "))
    };
    let mut lines: Vec<String> = look(&file(&folder)).await.faults.iter().map(line).collect();
    lines.sort();
    lines.join("\n")
}

#[tokio::test]
async fn s5_each_kind_of_change_is_found_and_named() {
    let at = |set: &str, id: &str, number: u64| {
        format!("UPDATE records SET {set} WHERE session = '{id}' AND number = {number}")
    };
    insta::assert_snapshot!(faults(|ids| at("at_ms = at_ms + 1", &ids[0], 1)).await, @"S0 1: it does not follow the record before it: its link is another");
    insta::assert_snapshot!(faults(|ids| at("hash = zeroblob(32)", &ids[0], 3)).await, @"S0 3: it does not follow the record before it: its link is another");
    insta::assert_snapshot!(faults(|ids| at("body = CAST(replace(CAST(body AS TEXT), 'typed', 'tiped') AS BLOB)", &ids[0], 1)).await, @"S0 1: its body is not the one that was kept");
    insta::assert_snapshot!(faults(|ids| at("stored = 2", &ids[0], 1)).await, @"S0 1: its body stands in two places");
    insta::assert_snapshot!(faults(|ids| at("sequence = 5", &ids[0], 9)).await, @"S0 9: it is neither kept nor dropped");
    insta::assert_snapshot!(faults(|ids| format!("DELETE FROM records WHERE session = '{}' AND number IN (4, 5)", ids[0])).await, @"S0 4: it is missing, and so is every other up to record 5");
    insta::assert_snapshot!(faults(|ids| format!("DELETE FROM records WHERE session = '{}' AND number >= 14", ids[0])).await, @"S0 14: it is missing, and so is every other up to record 15");
    insta::assert_snapshot!(faults(|ids| format!("UPDATE sessions SET head_record = 14 WHERE id = '{}'", ids[0])).await, @r#"
    S0 14: it is not the one that the session notes as its newest
    S0 15: it belongs to no session
    "#);
    insta::assert_snapshot!(faults(|ids| format!("UPDATE sessions SET head_hash = zeroblob(32) WHERE id = '{}'", ids[1])).await, @"S1 3: it is not the one that the session notes as its newest");
    insta::assert_snapshot!(faults(|ids| format!("UPDATE sessions SET parent_record = 1 WHERE id = '{}'", ids[1])).await, @"S1 2: it is missing");
    insta::assert_snapshot!(faults(|ids| format!("DELETE FROM sessions WHERE id = '{}'", ids[2])).await, @r#"
    S2 10: it belongs to no session
    S3 -: the record that it forks from cannot be read: no rows returned by a query that expected to return at least one row
    "#);
    insta::assert_snapshot!(faults(|_| "UPDATE blobs SET content = zeroblob(20)".to_owned()).await, @r#"
    S0 12: the text HASH that it names is damaged
    S0 2: its text does not unpack (Unknown frame descriptor)
    "#);
    insta::assert_snapshot!(faults(|_| "UPDATE blobs SET packed_hash = zeroblob(32)".to_owned()).await, @r#"
    S0 12: the text HASH that it names is damaged
    S0 2: the text HASH that it names is damaged
    "#);
    insta::assert_snapshot!(faults(|_| "DELETE FROM blobs".to_owned()).await, @r#"
    S0 12: the text HASH that it names is not there
    S0 2: its text is not there
    "#);
    insta::assert_snapshot!(faults(|_| "DELETE FROM uses".to_owned()).await, @r#"
    S0 12: the texts that are kept for it are not those that it names
    S0 2: the texts that are kept for it are not those that it names
    "#);
    insta::assert_snapshot!(faults(|_| "UPDATE runs SET snapshot = replace(snapshot, 'completed', 'failed')".to_owned()).await, @"S0 -: run RUN: it is told to have ended otherwise, with event 3");
    insta::assert_snapshot!(faults(|_| "UPDATE runs SET snapshot = '{'".to_owned()).await, @"S0 -: run RUN: it cannot be understood: EOF while parsing an object at line 1 column 1");
    insta::assert_snapshot!(faults(|_| "UPDATE runs SET events = 9".to_owned()).await, @"S0 -: run RUN: what stands beside it is not what it says");
    insta::assert_snapshot!(faults(|_| "UPDATE runs SET last_record = 99".to_owned()).await, @"S0 -: run RUN: it reaches from record 9 to 99, and the session does not");
}

/// Flips a byte, looks, and puts it back.
async fn flipped(file: &Path, whole: &[u8], at: usize, mask: u8) -> Report {
    use std::os::unix::fs::FileExt as _;
    let handle = fs::OpenOptions::new().write(true).open(file).unwrap();
    handle.write_all_at(&[whole[at] ^ mask], at as u64).unwrap();
    let report = look(file).await;
    handle.write_all_at(&[whole[at]], at as u64).unwrap();
    report
}

/// Where a cell stands in the file, in the table and in indexes.
fn places(whole: &[u8], cell: &[u8]) -> Vec<Range<usize>> {
    memchr::memmem::find_iter(whole, cell).map(|at| at..at + cell.len()).collect()
}

#[tokio::test]
async fn campaign_s5_every_byte_of_every_body_and_hash_counts() {
    let (folder, _) = something_of_everything().await;
    let file = file(&folder);
    let whole = fs::read(&file).unwrap();
    let mut connection = Place::file(&file).connect(true).await.unwrap();
    let rows = sqlx::query(
        "SELECT r.session, r.number, r.hash, r.body_hash, r.body, b.content FROM records r \
         LEFT JOIN blobs b ON r.stored = 1 AND b.hash = r.body_hash",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let mut bytes = Vec::new();
    for row in rows {
        let session: SessionId = row.get::<String, _>(0).parse().unwrap();
        let number = u64::try_from(row.get::<i64, _>(1)).unwrap();
        for column in 2..6 {
            let cell: Option<&[u8]> = row.get(column);
            let Some(cell) = cell.filter(|cell| !cell.is_empty()) else { continue };
            let found = places(&whole, cell);
            // A long one goes on elsewhere; the walk over whole pages has it.
            assert!(!found.is_empty() || cell.len() > 1000, "column {column} of record {number} is in the file");
            bytes.extend(found.into_iter().flatten().map(|at| (session, number, at)));
        }
    }
    assert!(bytes.len() > 2000, "{}", bytes.len());
    fastrand::shuffle(&mut bytes);
    let count = rounds(u32::try_from(bytes.len()).unwrap()) as usize;
    for (session, number, at) in bytes.into_iter().take(count) {
        let report = flipped(&file, &whole, at, fastrand::u8(1..)).await;
        let named = |fault: &Fault| {
            let place = fault.session == Some(session) && fault.record.is_some_and(|found| found == number);
            place || fault.what.starts_with("the database: ")
        };
        assert!(report.faults.iter().any(named), "byte {at} of record {number} of {session}: {:?}", report.faults);
    }
    assert_eq!(look(&file).await.faults, [], "put back");
}

/// A number of SQLite's, and how long it is.
fn varint(bytes: &[u8]) -> (usize, usize) {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(8) {
        number = number << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return (number, at + 1);
        }
    }
    (number << 8 | usize::from(bytes[8]), 9)
}

/// The cells of a leaf page of a table, as <https://www.sqlite.org/fileformat.html#b_tree_pages> has them.
fn cells(page: &[u8]) -> Vec<Range<usize>> {
    assert_eq!(page[0], 13, "a leaf of a table");
    let count = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let usable = page.len();
    let cell = |n: usize| {
        let start = usize::from(u16::from_be_bytes([page[8 + 2 * n], page[9 + 2 * n]]));
        let (payload, first) = varint(&page[start..]);
        let (_, second) = varint(&page[start + first..]);
        let (most, least) = (usable - 35, (usable - 12) * 32 / 255 - 23);
        let fit = least + (payload - least.min(payload)) % (usable - 4);
        let here = if payload <= most { payload } else { 4 + if fit <= most { fit } else { least } };
        start..start + first + second + here
    };
    (0..count).map(cell).collect()
}

async fn pages_of(connection: &mut SqliteConnection, table: &'static str) -> Vec<usize> {
    let rows = sqlx::query("SELECT pageno FROM dbstat WHERE name = $1 AND pagetype = 'leaf'").bind(table);
    let rows = rows.fetch_all(connection).await.unwrap();
    rows.iter().map(|row| usize::try_from(row.get::<i64, _>(0)).unwrap()).collect()
}

#[tokio::test]
async fn campaign_s5_no_wrong_byte_in_a_page_of_records_is_overlooked_and_none_is_too_much() {
    let (folder, _) = something_of_everything().await;
    let file = file(&folder);
    let whole = fs::read(&file).unwrap();
    let mut connection = Place::file(&file).connect(true).await.unwrap();
    let pages = pages_of(&mut connection, "records").await;
    connection.close().await.unwrap();
    let mut bytes = Vec::new();
    for page in pages {
        let start = (page - 1) * 4096;
        let cells = cells(&whole[start..start + 4096]);
        assert!(!cells.is_empty());
        bytes.extend((0..4096).map(|at| (start + at, cells.iter().any(|cell| cell.contains(&at)))));
    }
    assert!(bytes.iter().filter(|(_, in_a_record)| *in_a_record).count() > 3000);
    fastrand::shuffle(&mut bytes);
    let count = rounds(u32::try_from(bytes.len()).unwrap()) as usize;
    for (at, in_a_record) in bytes.into_iter().take(count) {
        for mask in [1 << fastrand::u8(..8), 0xff] {
            let report = flipped(&file, &whole, at, mask).await;
            assert!(!in_a_record || !report.faults.is_empty(), "byte {at} (page {}) ^ {mask:#x}", at / 4096 + 1);
        }
    }
    assert_eq!(look(&file).await.faults, [], "put back");
}

#[tokio::test]
async fn a3_28_a_damaged_record_is_not_read_as_a_whole_one() {
    let (folder, pens) = something_of_everything().await;
    let id = pens[0].session.to_string();
    let sql = format!(
        "UPDATE records SET body = CAST(replace(CAST(body AS TEXT), 'typed', 'tiped') AS BLOB) WHERE session = '{id}'"
    );
    change(&folder, sql + " AND number = 1; UPDATE blobs SET content = substr(content, 1, 20)").await;
    let store = open(&folder).await;
    let error = store.records(pens[0].session, 1..=1).await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("record 1 of session {id}")) && error.contains("cowrite sessions verify"),
        "{error}"
    );
    assert!(store.records(pens[0].session, 2..=2).await.is_err(), "its text is cut");
    assert_eq!(store.records(pens[0].session, 9..=10).await.unwrap().len(), 2, "the others can be read");
    let text = Hash::of("fn main() {}\n".repeat(50).as_bytes());
    assert!(store.content(text).await.is_err());
}
