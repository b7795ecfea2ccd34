use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::{Pen, open, said, says};
use crate::store::sqlite::{OpenError, open::open as open_with};
use crate::store::{Sqlite, Store};

const SHORT: Duration = Duration::from_millis(200);

/// A folder with a closed store of one session.
async fn kept() -> (TempDir, Pen) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let pen = Pen::begin(&store, "kept", vec![said("one")]).await;
    store.close().await;
    (folder, pen)
}

/// The files of a folder, without the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| name != "sessions.lock")
        .collect()
}

async fn raw(folder: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(folder.join("sessions.db")).create_if_missing(true).connect().await.unwrap()
}

async fn change(folder: &Path, sql: &'static str) {
    let mut connection = raw(folder).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn refused(folder: &Path) -> String {
    let OpenError(sentence) = open_with(folder, SHORT, true).await.map(|_| ()).unwrap_err();
    assert!(sentence.contains(&folder.display().to_string()), "it names the path: {sentence}");
    assert!(sentence.contains("COWRITE_STATE_DIR"), "it names a next step: {sentence}");
    sentence
}

#[tokio::test]
async fn a3_27_files_are_the_persons_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let store = open(&folder).await;
    let mut pen = Pen::begin(&store, "", vec![said("one")]).await;
    store.sessions(None).await.unwrap();
    let modes = || -> Vec<(String, u32)> {
        let mut modes: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().mode() & 0o777))
            .collect();
        modes.sort();
        modes
    };
    let private = ["sessions.db", "sessions.db-shm", "sessions.db-wal", "sessions.lock"].map(|n| (n.to_owned(), 0o600));
    assert_eq!(modes(), private);
    assert_eq!(fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o700);
    for (name, _) in &private {
        fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o666)).unwrap();
    }
    let second = open(&folder).await;
    pen.write(&second, vec![said("two")]).await;
    assert_eq!(modes()[..3], private[..3], "wider ones are tightened");
}

#[tokio::test]
async fn a_newer_schema_is_left_untouched() {
    let (folder, _) = kept().await;
    change(
        folder.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (999, 'later', 1, x'00', 0); DROP TABLE active; PRAGMA journal_mode = DELETE;",
    )
    .await;
    let before = files(folder.path());
    let sentence = refused(folder.path()).await;
    assert!(sentence.contains("written by a newer Cowrite"), "{sentence}");
    assert!(sentence.contains("update it"), "{sentence}");
    assert_eq!(files(folder.path()), before);
}

/// A damaged file is kept as it is under another name, and writing goes on in a fresh one.
async fn moved_aside(folder: &Path) -> String {
    let before = files(folder);
    let (store, notice) = Sqlite::open(folder).await.unwrap();
    let notice = notice.expect("a sentence for the person");
    let after = files(folder);
    let aside =
        after.keys().find(|name| name.contains(".damaged-") && !before.contains_key(*name)).expect("moved aside");
    assert!(notice.contains(&folder.join("sessions.db").display().to_string()), "{notice}");
    assert!(notice.contains(&folder.join(aside).display().to_string()), "{notice}");
    assert_eq!(after[aside], before["sessions.db"], "as it was");
    assert!(store.sessions(None).await.unwrap().is_empty());
    let pen = Pen::begin(&store, "new", vec![said("goes on")]).await;
    store.close().await;
    let (store, again) = Sqlite::open(folder).await.unwrap();
    assert_eq!(again, None, "told once");
    assert_eq!(says(&store.resume(pen.session).await.unwrap().1), ["1 goes on"]);
    store.close().await;
    notice
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_and_never_overwritten() {
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes[..16].copy_from_slice(b"not a database!!"),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes[100..4096].fill(0xff),
        |bytes| *bytes = b"Dear diary".to_vec(),
        |bytes| {
            let at = memchr::memmem::find(bytes, b"body_hash BYTEA").unwrap();
            bytes[at..at + 4].copy_from_slice(b"soul");
        },
    ];
    let (folder, _) = kept().await;
    for damage in damages {
        let file = folder.path().join("sessions.db");
        let mut bytes = fs::read(&file).unwrap();
        damage(&mut bytes);
        fs::write(&file, bytes).unwrap();
        moved_aside(folder.path()).await;
    }
    let is_one = |name: &String| name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm");
    let aside = files(folder.path()).into_keys().filter(is_one).count();
    assert_eq!(aside, damages.len(), "each has its own name");
    change(folder.path(), "DROP TABLE runs").await;
    moved_aside(folder.path()).await;
}

#[tokio::test]
async fn the_side_files_of_a_damaged_file_go_with_it() {
    let (folder, _) = kept().await;
    let file = folder.path().join("sessions.db");
    fs::write(&file, "no database, but long enough to look at".repeat(100)).unwrap();
    fs::write(folder.path().join("sessions.db-wal"), "a log").unwrap();
    moved_aside(folder.path()).await;
    let files = files(folder.path());
    assert!(files.iter().any(|(name, bytes)| name.ends_with("-wal") && bytes == b"a log"), "{:?}", files.keys());
}

#[tokio::test]
async fn another_programs_database_is_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    change(folder.path(), "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')").await;
    let notice = moved_aside(folder.path()).await;
    assert!(notice.contains("it is no store of sessions"), "{notice}");
}

#[tokio::test]
async fn an_opening_that_was_cut_short_is_gone_on_with() {
    // What a kill between the steps leaves: an empty file, or only the list of steps.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sessions.db"), "").unwrap();
    open(&folder).await.close().await;
    let folder = tempfile::tempdir().unwrap();
    change(
        folder.path(),
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP \
         NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    )
    .await;
    let store = open(&folder).await;
    Pen::begin(&store, "", vec![said("one")]).await;
}

#[tokio::test]
async fn a_file_that_somebody_holds_is_waited_for_and_then_named() {
    let (folder, pen) = kept().await;
    let mut holder = raw(folder.path()).await;
    sqlx::raw_sql("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").execute(&mut holder).await.unwrap();
    let sentence = refused(folder.path()).await;
    assert!(sentence.contains("another program holds"), "{sentence}");
    let waits = tokio::spawn({
        let path = folder.path().to_owned();
        async move { Sqlite::open(&path).await.unwrap().0 }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    holder.close().await.unwrap();
    assert_eq!(says(&waits.await.unwrap().resume(pen.session).await.unwrap().1), ["1 one"]);

    let lock = fs::File::open(folder.path().join("sessions.lock")).unwrap();
    lock.lock().unwrap();
    let sentence = refused(folder.path()).await;
    assert!(sentence.contains("sessions.lock"), "{sentence}");
}

#[tokio::test]
async fn a3_27_what_belongs_to_somebody_else_is_left_alone() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give a file away");
        return;
    }
    let (folder, _) = kept().await;
    for name in ["sessions.db", "."] {
        let path = folder.path().join(name);
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        let sentence = refused(folder.path()).await;
        assert!(sentence.contains("belongs to another user"), "{sentence}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert!(refused(&missing).await.contains("it is not there"));
    fs::write(&missing, "").unwrap();
    assert!(refused(&missing).await.contains("is no folder"));
    fs::create_dir(folder.path().join("sessions.db")).unwrap();
    assert!(refused(folder.path()).await.contains("is no file"));
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may write everywhere");
        return;
    }
    let (folder, _) = kept().await;
    for (name, mode) in [("sessions.db", 0o400), (".", 0o500)] {
        fs::set_permissions(folder.path().join(name), Permissions::from_mode(mode)).unwrap();
        fs::remove_file(folder.path().join("sessions.lock")).ok();
        assert!(refused(folder.path()).await.contains("you may not write there"));
        fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o700)).unwrap();
    }
}

#[tokio::test]
async fn many_may_open_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let openings = (0..16).map(|_| open(&folder));
    let stores = futures::future::join_all(openings).await;
    let pens = stores.iter().map(|store| Pen::begin(store, "", vec![said("one")]));
    assert_eq!(futures::future::join_all(pens).await.len(), 16);
    assert_eq!(stores[0].sessions(None).await.unwrap().len(), 16);
}

/// Whatever byte of the first page is wrong: the file opens, or is moved aside whole, or the sentence says why not.
#[tokio::test]
async fn a3_28_any_wrong_byte_in_the_first_page_is_survived() {
    let (folder, _) = kept().await;
    let whole = fs::read(folder.path().join("sessions.db")).unwrap();
    let step = 4096 / super::rounds(4096) as usize;
    for at in (0..4096).step_by(step) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        fs::write(folder.path().join("sessions.db"), &bytes).unwrap();
        match open_with(folder.path(), SHORT, true).await {
            Ok(opened) if opened.notice.is_none() => {}
            Ok(_) => {
                let files = files(folder.path());
                assert!(files.iter().any(|(name, kept)| name.contains(".damaged-") && *kept == bytes), "byte {at}");
            }
            Err(OpenError(sentence)) => assert!(sentence.contains("sessions.db"), "byte {at}: {sentence}"),
        }
    }
}

/// The switch to the log is written through a journal of SQLite's older kind; a kill there leaves it behind.
#[tokio::test]
async fn a_beginning_that_was_killed_half_way_is_undone_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.db");
    change(
        folder.path(),
        "PRAGMA journal_mode = DELETE; CREATE TABLE half (x); DROP TABLE half; PRAGMA user_version = 1",
    )
    .await;
    let mut connection = raw(folder.path()).await;
    // Changes that do not fit in memory reach the file, with their journal beside it, before they are committed.
    sqlx::raw_sql(
        "PRAGMA cache_size = 1; BEGIN; CREATE TABLE big (x); \
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300) INSERT INTO big SELECT zeroblob(3000) FROM n",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let killed = tempfile::tempdir().unwrap();
    fs::copy(&file, killed.path().join("sessions.db")).unwrap();
    fs::copy(folder.path().join("sessions.db-journal"), killed.path().join("sessions.db-journal")).unwrap();
    assert!(fs::metadata(killed.path().join("sessions.db")).unwrap().len() > 100_000);
    let store = open(&killed).await;
    let pen = Pen::begin(&store, "", vec![said("one")]).await;
    assert_eq!(says(&store.resume(pen.session).await.unwrap().1), ["1 one"]);
}
