use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use sqlx::SqliteConnection;

use super::{Pen, checkpoint, open, said};
use crate::context::recall::Found;
use crate::model::{Block, Item, ToolResult};
use crate::protocol::SessionId;
use crate::store::sqlite::connection::Place;
use crate::store::{Record, Sqlite, Store, StoreError};

fn item(item: Item) -> Record {
    Record::Item { run: None, item: Arc::new(item) }
}

fn calls(id: &str, name: &str, arguments: &str) -> Record {
    let block = Block::Call { id: id.into(), name: name.into(), arguments: arguments.into(), raw: None };
    item(Item::Assistant { model: "a/b".into(), origin: String::new(), blocks: vec![block], partial: false })
}

fn answers(id: &str, name: &str, content: &str) -> Record {
    let (call_id, name, content) = (id.into(), name.into(), content.into());
    item(Item::Results { results: vec![ToolResult { undone: false, call_id, name, ok: true, content }] })
}

/// The numbers of the records that are found.
async fn found(store: &Sqlite, session: SessionId, query: &str) -> Vec<u64> {
    let found = store.search(session, query, 100).await.unwrap();
    found.iter().map(|found| found.record).collect()
}

fn line(found: &Found) -> String {
    format!("{} {} [{}] {}", found.record, found.who, found.title, found.excerpt.replace('\n', "/"))
}

#[tokio::test]
async fn c19_what_was_recorded_is_found_in_any_language_and_by_parts_of_names() {
    let folder = tempfile::tempdir().unwrap();
    for store in [open(&folder).await, Sqlite::in_memory().await.unwrap()] {
        let pen = Pen::begin(
            &store,
            "",
            vec![
                item(Item::asked("Benenne parse_header um, siehe Ticket OPS-4711.", None)),
                said("上下文压缩之后仍然可以找到界面测试的结果"),
                checkpoint("compacted"),
                calls("c1", "read", r#"{"path":"src/net/HttpHeaderParser.rs"}"#),
                answers("c1", "read", "1\tfn parse_header() {}\n2\t// 3f9c2d1e-77aa"),
                item(Item::told("it is 5\" wide, and \"quoted words\" stand in it * OR NOT (x)")),
            ],
        )
        .await;
        let found = async |query| found(&store, pen.session, query).await;
        assert_eq!(found("parse_header").await, [5, 1], "newest first");
        assert_eq!(found("HEADERPARS").await, [4], "a part of a name, in any case");
        assert_eq!(found("压缩之后").await, [2]);
        assert_eq!(found("界面").await, [2], "two characters have no trigram");
        assert_eq!(found("界面 仍然可以").await, [2]);
        assert_eq!(found("ops-4711").await, [1]);
        assert_eq!(found("9c2d1e-77").await, [5]);
        assert_eq!(found("benenne 4711 ticket").await, [1], "all words, in any order");
        assert_eq!(found("benenne 4712").await, [0; 0]);
        assert_eq!(found("\"quoted words\"").await, [6]);
        assert_eq!(found("\"words quoted\"").await, [0; 0]);
        assert_eq!(found("words quoted 5\"").await, [6]);
        assert_eq!(found("").await, [0; 0]);
        let nobody = SessionId::new();
        assert_eq!(store.search(nobody, "x", 9).await, Err(StoreError::NoSession(nobody)));
        let all = store.search(pen.session, "header", 100).await.unwrap();
        insta::allow_duplicates! {
            insta::assert_snapshot!(all.iter().map(line).collect::<Vec<_>>().join("\n"), @r"
            5 result [read src/net/HttpHeaderParser.rs] 1	fn parse_header() {}/2	// 3f9c2d1e-77aa
            4 call [read src/net/HttpHeaderParser.rs] read/path: src/net/HttpHeaderParser.rs
            1 person [] Benenne parse_header um, siehe Ticket OPS-4711.
            ");
        }
        assert!(all.iter().all(|found| found.at_ms > 0));
        assert_eq!(store.search(pen.session, "header", 2).await.unwrap(), all[..2]);
        store.close().await;
    }
}

#[tokio::test]
async fn c19_operators_in_a_query_are_words() {
    let store = Sqlite::in_memory().await.unwrap();
    let odd = [
        "NOT (alpha OR beta)",
        "alpha* NEAR(beta, 3)",
        "words:alpha ^beta",
        "'; DROP TABLE entries; --",
        "{a b} - c \\ \0 %_?",
    ];
    let pen = Pen::begin(&store, "", odd.iter().map(|text| said(text)).collect()).await;
    for (index, text) in odd.iter().enumerate() {
        assert_eq!(found(&store, pen.session, text).await, [index as u64 + 1], "{text}");
        assert_eq!(found(&store, pen.session, &format!("\"{text}\"")).await, [index as u64 + 1], "{text}");
    }
    for text in ["alpha AND beta", "alph*", "col:alpha", "alpha OR gamma", "\"\"\"", "\"alpha", "NEAR(alpha beta)"] {
        assert_eq!(found(&store, pen.session, text).await, [0; 0], "{text}");
    }
}

#[tokio::test]
async fn c19_a_fork_finds_what_it_shares_and_not_what_came_after() {
    let store = Sqlite::in_memory().await.unwrap();
    let mut parent = Pen::begin(&store, "", vec![said("needle one"), said("needle two"), said("needle three")]).await;
    let fork = parent.fork(&store, 2, vec![said("needle of the fork")]).await;
    let second = fork.fork(&store, 1, vec![said("needle of the second")]).await;
    for _ in 0..2 {
        assert_eq!(found(&store, fork.session, "needle").await, [3, 2, 1]);
        assert_eq!(found(&store, second.session, "needle").await, [2, 1]);
        assert_eq!(found(&store, parent.session, "needle").await, [3, 2, 1]);
        assert_eq!(found(&store, parent.session, "fork").await, [0; 0]);
        assert_eq!(found(&store, fork.session, "needle three").await, [0; 0]);
    }
    parent.write(&store, vec![said("needle four")]).await;
    assert_eq!(found(&store, parent.session, "needle").await, [4, 3, 2, 1]);
    assert_eq!(found(&store, fork.session, "four").await, [0; 0]);
    store.delete(parent.session).await.unwrap();
    assert_eq!(found(&store, fork.session, "needle").await, [3, 2, 1], "what it shares stays");
    assert_eq!(found(&store, second.session, "needle").await, [2, 1]);
    assert!(store.search(parent.session, "needle", 9).await.is_err());
}

#[tokio::test]
async fn c19_a_call_before_the_fork_gives_its_result_a_title() {
    let store = Sqlite::in_memory().await.unwrap();
    let parent = Pen::begin(&store, "", vec![calls("c1", "read", r#"{"path":"a.rs"}"#)]).await;
    let fork = parent.fork(&store, 1, vec![answers("c1", "read", "a needle")]).await;
    let found = store.search(fork.session, "needle", 9).await.unwrap();
    assert_eq!(found[0].title, "read a.rs");
}

/// The trigrams that the index holds.
async fn trigrams(file: &std::path::Path) -> Vec<String> {
    let mut connection = Place::file(file).connect(true).await.unwrap();
    terms(&mut connection).await
}

async fn terms(connection: &mut SqliteConnection) -> Vec<String> {
    sqlx::raw_sql("CREATE VIRTUAL TABLE temp.terms USING fts5vocab ('main', 'entries', 'row')")
        .execute(&mut *connection)
        .await
        .unwrap();
    // The one of nobody's is there always.
    sqlx::query_scalar("SELECT term FROM temp.terms WHERE term <> '###'").fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn s11_a_deleted_session_is_gone_from_the_index_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let file = folder.path().join("search.db");
    let kept = Pen::begin(&store, "", vec![said("what stays")]).await;
    let gone = Pen::begin(&store, "", vec![said("Жщъыь is a secret"), said("another secret")]).await;
    let parent = Pen::begin(&store, "", vec![said("shared"), said("Эюёяч behind the fork")]).await;
    let fork = parent.fork(&store, 1, vec![said("of the fork")]).await;
    assert!(!file.exists(), "nobody has searched yet");
    for (pen, count) in [(&kept, 0), (&gone, 2), (&parent, 0), (&fork, 0)] {
        assert_eq!(found(&store, pen.session, "secret").await.len(), count);
    }
    let held = trigrams(&file).await;
    assert!(["жщъ", "эюё", "sta"].iter().all(|three| held.contains(&(*three).to_owned())), "{held:?}");

    store.delete(gone.session).await.unwrap();
    store.delete(parent.session).await.unwrap();
    let held = trigrams(&file).await;
    assert!(!["жщъ", "эюё", "sec"].iter().any(|three| held.contains(&(*three).to_owned())), "{held:?}");
    let bytes = fs::read(&file).unwrap();
    for three in ["жщъ", "эюё"] {
        // The first letter may stand with the trigram before it.
        assert!(memchr::memmem::find(&bytes, &three.as_bytes()[2..]).is_none(), "{three} still stands in the file");
    }
    assert_eq!(found(&store, kept.session, "what stays").await, [1]);
    assert_eq!(found(&store, fork.session, "shared").await, [1]);
    assert_eq!(found(&store, fork.session, "behind").await, [0; 0]);
    assert_eq!(store.verify().await.unwrap().faults, []);
}

#[tokio::test]
async fn s11_a_session_that_another_process_deleted_leaves_the_index_with_the_next_deletion_or_gc() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let gone = Pen::begin(&store, "", vec![said("a secret")]).await;
    found(&store, gone.session, "secret").await;
    // As a kill between the two files leaves it.
    let mut connection = Place::file(&folder.path().join("sessions.db")).connect(false).await.unwrap();
    sqlx::raw_sql("DELETE FROM records; DELETE FROM sessions; DELETE FROM active")
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(!trigrams(&folder.path().join("search.db")).await.is_empty());
    store.tidy().await.unwrap();
    assert_eq!(trigrams(&folder.path().join("search.db")).await, [""; 0]);
}

#[tokio::test]
async fn c19_a_damaged_index_is_made_again_and_breaks_nothing() {
    let damages: [fn(&std::path::Path); 4] = [
        |file| fs::write(file, "no database, but long enough to be looked at".repeat(200)).unwrap(),
        |file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[100..].fill(0x5a);
            fs::write(file, bytes).unwrap();
        },
        |file| fs::remove_file(file).unwrap(),
        |file| fs::File::options().write(true).open(file).unwrap().set_len(4096).unwrap(),
    ];
    for (index, damage) in damages.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("search.db");
        let store = open(&folder).await;
        let mut pen = Pen::begin(&store, "", vec![said("needle"), said("hay")]).await;
        assert_eq!(found(&store, pen.session, "needle").await, [1]);
        store.close().await;
        damage(&file);
        let store = open(&folder).await;
        assert_eq!(store.verify().await.unwrap().faults, [], "the sessions are whole");
        assert_eq!(found(&store, pen.session, "needle").await, [1], "damage {index}");
        pen.write(&store, vec![said("another needle")]).await;
        assert_eq!(found(&store, pen.session, "needle").await, [3, 1], "damage {index}");
        assert!(trigrams(&file).await.contains(&"nee".to_owned()), "it was made again");
        store.close().await;
        damage(&file);
        let store = open(&folder).await;
        store.delete(pen.session).await.unwrap();
        assert!(!file.exists() || trigrams(&file).await.is_empty(), "damage {index}");
        store.close().await;
    }
}

/// Tables that are there and not as they should be: what SQLite itself would call damaged, or would not notice.
#[tokio::test]
async fn c19_an_index_that_lost_its_tables_is_made_again() {
    for sql in [
        "DROP TABLE indexed; CREATE TABLE indexed (x)",
        "DROP TABLE entries; CREATE TABLE entries (words)",
        "UPDATE entries_data SET block = zeroblob(length(block))",
        "UPDATE entries_data SET block = randomblob(length(block))",
        "UPDATE entries_data SET block = zeroblob(length(block)) WHERE id > 10",
        "DELETE FROM entries_data",
        "DROP TABLE entries_config",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let pen = Pen::begin(&store, "", vec![said("needle")]).await;
        assert_eq!(found(&store, pen.session, "needle").await, [1]);
        store.close().await;
        let mut connection = Place::file(&folder.path().join("search.db")).connect(false).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        drop(connection);
        let store = open(&folder).await;
        assert_eq!(found(&store, pen.session, "needle").await, [1], "{sql}");
        store.close().await;
    }
}

#[tokio::test]
async fn c19_where_no_index_can_be_kept_the_entries_are_read() {
    let folder = tempfile::tempdir().unwrap();
    // No file can be made where a folder stands.
    fs::create_dir(folder.path().join("search.db")).unwrap();
    let store = open(&folder).await;
    let many: Vec<Record> =
        (1..=200).map(|n| said(&format!("entry {n}, {}", if n % 50 == 0 { "needle" } else { "hay" }))).collect();
    let parent = Pen::begin(&store, "", many).await;
    let pen = parent.fork(&store, 150, vec![said("a needle of its own")]).await;
    assert_eq!(found(&store, pen.session, "needle").await, [151, 150, 100, 50]);
    assert_eq!(store.search(pen.session, "needle", 2).await.unwrap().len(), 2);
    store.delete(parent.session).await.unwrap_err();
    assert_eq!(store.session(parent.session).await.unwrap(), None, "it is deleted all the same");
}

#[tokio::test]
async fn c19_another_session_under_the_same_id_is_read_anew() {
    // A backup that was put back, and gone on with; searched at once, or when it is as long again.
    for at_once in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sessions.db");
        let store = open(&folder).await;
        let pen = Pen::begin(&store, "", vec![said("first")]).await;
        store.close().await;
        let backup = fs::read(&file).unwrap();
        let store = open(&folder).await;
        let mut lost = pen;
        lost.write(&store, vec![said("a lost needle"), said("hay")]).await;
        assert_eq!(found(&store, pen.session, "needle").await, [2]);
        store.close().await;
        fs::write(&file, backup).unwrap();
        let store = open(&folder).await;
        if at_once {
            assert_eq!(found(&store, pen.session, "needle").await, [0; 0]);
        }
        let mut again = pen;
        again.write(&store, vec![said("hay"), said("a new needle"), said("hay")]).await;
        assert_eq!(found(&store, pen.session, "needle").await, [3], "{at_once}");
    }
}

#[tokio::test]
async fn c19_a_damaged_record_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let pen = Pen::begin(&store, "", vec![said("needle one"), said("needle two"), said("needle three")]).await;
    let mut connection = Place::file(&folder.path().join("sessions.db")).connect(false).await.unwrap();
    sqlx::raw_sql("UPDATE records SET body = x'7b' WHERE number = 2").execute(&mut connection).await.unwrap();
    assert_eq!(found(&store, pen.session, "needle").await, [3, 1]);
    assert_eq!(found(&store, pen.session, "ne").await, [3, 1]);
}

#[tokio::test]
async fn c19_two_processes_fill_one_index() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [open(&folder).await, open(&folder).await];
    let records =
        || (0..300).map(|n| said(&format!("entry {n} {}", if n % 100 == 7 { "needle" } else { "" }))).collect();
    let pens = [Pen::begin(&stores[0], "", records()).await, Pen::begin(&stores[1], "", records()).await];
    let searches = (0..8).map(|n| found(&stores[n % 2], pens[n / 2 % 2].session, "needle"));
    for found in futures::future::join_all(searches).await {
        assert_eq!(found, [208, 108, 8]);
    }
}

#[tokio::test]
async fn c19_what_is_in_the_index_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("search.db");
    let store = open(&folder).await;
    let mut pen = Pen::begin(&store, "", (0..200).map(|n| said(&format!("entry {n}"))).collect()).await;
    assert_eq!(found(&store, pen.session, "entry 199").await, [200]);
    let upto = async || -> i64 {
        let mut connection = Place::file(&file).connect(false).await.unwrap();
        sqlx::query_scalar("SELECT upto FROM indexed").fetch_one(&mut connection).await.unwrap()
    };
    assert_eq!(upto().await, 200);
    // It goes on with the same file, and takes in what is new alone: the words of an old entry stay as they are there.
    let mut connection = Place::file(&file).connect(false).await.unwrap();
    sqlx::raw_sql("CREATE TABLE mark (x)").execute(&mut connection).await.unwrap();
    drop(connection);
    pen.write(&store, vec![said("a needle")]).await;
    assert_eq!(found(&store, pen.session, "needle").await, [201]);
    assert_eq!(upto().await, 201);
    let mut connection = Place::file(&file).connect(true).await.unwrap();
    let marks: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = 'mark'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(marks, 1, "it was thrown away and made anew");
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<String>),
    Search(String),
    Fork(u64),
    Reopen,
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abcAB ]{0,12}",
        1 => "[上下文压缩 ]{1,8}",
        1 => "(\\PC){0,20}",
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(texts(), 1..12).prop_map(Step::Write),
        4 => "[abc]{1,4}( [abc]{1,3})?".prop_map(Step::Search),
        1 => "[上下文压缩]{1,3}".prop_map(Step::Search),
        1 => (0..50u64).prop_map(Step::Fork),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 2..20)
}

/// Every search on the way must say what the texts themselves say, and so must one at the end with an index made at once.
async fn play(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder).await;
    let mut texts = vec!["begins".to_owned()];
    let mut pen = Pen::begin(&store, "", vec![said("begins")]).await;
    let mut queries = Vec::new();
    for step in steps {
        match step {
            Step::Write(new) => {
                pen.write(&store, new.iter().map(|text| said(text)).collect()).await;
                texts.extend(new);
            }
            Step::Search(query) => {
                assert_eq!(found(&store, pen.session, &query).await, held(&texts, &query), "{query}");
                queries.push(query);
            }
            Step::Fork(record) => {
                let record = 1 + record % pen.head.record;
                texts.truncate(usize::try_from(record).unwrap());
                texts.push("a fork".to_owned());
                pen = pen.fork(&store, record, vec![said("a fork")]).await;
            }
            Step::Reopen => {
                store.close().await;
                store = open(&folder).await;
            }
        }
    }
    let mut in_steps = Vec::new();
    for query in &queries {
        in_steps.push(store.search(pen.session, query, 100).await.unwrap());
    }
    store.close().await;
    let _ = fs::remove_file(folder.path().join("search.db"));
    let store = open(&folder).await;
    for (query, in_steps) in queries.iter().zip(in_steps) {
        assert_eq!(store.search(pen.session, query, 100).await.unwrap(), in_steps, "{query}");
        let numbers: Vec<u64> = in_steps.iter().map(|found| found.record).collect();
        assert_eq!(numbers, held(&texts, query), "{query}");
    }
    store.close().await;
}

fn held(texts: &[String], query: &str) -> Vec<u64> {
    let holds = |text: &String| query.split(' ').all(|word| text.to_lowercase().contains(word));
    let mut numbers: Vec<u64> = (1..).zip(texts).filter(|(_, text)| holds(text)).map(|(number, _)| number).collect();
    numbers.reverse();
    numbers.truncate(100);
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(super::rounds(400)))]

    #[test]
    fn c19_a_session_indexed_in_steps_equals_one_indexed_at_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
