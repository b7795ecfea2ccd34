use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Pen, changed, checkpoint, open, said, says, text_hash};
use crate::model::{Block, Item};
use crate::protocol::{RunId, RunStatus, SessionId};
use crate::store::{Base, Batch, Begins, Head, Owner, Parent, Record, Sqlite, Store, StoreError, Undone};

#[tokio::test]
async fn what_was_kept_is_there_in_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let mut pen = Pen::begin(&store, "first", vec![said("one"), said("two")]).await;
    pen.write(&store, vec![said("three")]).await;
    assert!(store.session(pen.session).await.unwrap().unwrap().ours);
    store.close().await;

    let store = open(&folder).await;
    let (row, records) = store.resume(pen.session).await.unwrap();
    assert_eq!(says(&records), ["1 one", "2 two", "3 three"]);
    assert_eq!((row.title.as_str(), row.folder.as_str(), row.head, row.ours), ("first", "/w", pen.head, false));
    assert_eq!(store.active("/w").await.unwrap(), Some(pen.session));
    assert_eq!(store.active("/elsewhere").await.unwrap(), None);
    assert!(store.durable());
    assert_eq!(store.file(), Some(folder.path().join("sessions.db")));
}

#[tokio::test]
async fn without_a_file_everything_works_and_nothing_lasts() {
    let store = Sqlite::in_memory().await.unwrap();
    let pen = Pen::begin(&store, "first", vec![said("one")]).await;
    assert_eq!(says(&store.records(pen.session, 1..=9).await.unwrap()), ["1 one"]);
    assert!(!store.durable());
    assert_eq!(store.file(), None);
    store.close().await;
    assert!(matches!(store.append(pen.batch(vec![said("two")])).await, Err(StoreError::Failed(_))));
}

#[tokio::test]
async fn s6_a_session_that_was_moved_on_takes_nothing_more_from_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(&folder).await, open(&folder).await);
    let mut pen = Pen::begin(&one, "shared", vec![said("one")]).await;
    let behind = pen;
    pen.write(&other, vec![said("from the other")]).await;
    assert!(!one.session(pen.session).await.unwrap().unwrap().ours);

    let moved = one.append(behind.batch(vec![said("late")])).await;
    assert_eq!(moved, Err(StoreError::Moved(pen.session)));
    let same_number = Head { record: pen.head.record, hash: text_hash("another") };
    let batch = Batch { after: same_number, ..behind.batch(vec![said("late")]) };
    assert_eq!(one.append(batch).await, Err(StoreError::Moved(pen.session)), "the number alone is not enough");
    assert_eq!(says(&one.records(pen.session, 0..=u64::MAX).await.unwrap()), ["1 one", "2 from the other"]);

    let fork = behind.fork(&one, behind.head.record, vec![said("late")]).await;
    assert_eq!(says(&one.resume(fork.session).await.unwrap().1), ["1 one", "2 late"]);
    let row = one.session(fork.session).await.unwrap().unwrap();
    assert_eq!(row.parent, Some(Parent { session: pen.session, record: 1 }));
}

#[tokio::test]
async fn batches_that_wait_go_in_together_and_one_that_may_not_is_refused_alone() {
    let store = Sqlite::in_memory().await.unwrap();
    let mut pens = Vec::new();
    for n in 0..20 {
        pens.push(Pen::begin(&store, &n.to_string(), vec![said("one")]).await);
    }
    let stale = Batch { after: Head::default(), ..pens[7].batch(vec![said("stale")]) };
    let mut all: Vec<_> = pens.iter().map(|pen| store.append(pen.batch(vec![said("two")]))).collect();
    all.insert(3, store.append(stale));
    let outcomes = futures::future::join_all(all).await;
    assert_eq!(outcomes[3], Err(StoreError::Moved(pens[7].session)));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 20);
    for pen in pens {
        assert_eq!(says(&store.resume(pen.session).await.unwrap().1), ["1 one", "2 two"]);
    }
}

#[tokio::test]
async fn s7_forking_at_an_unknown_record_is_an_error() {
    let store = Sqlite::in_memory().await.unwrap();
    let pen = Pen::begin(&store, "first", vec![said("one"), said("two")]).await;
    let at = |session: SessionId, record, after: Head| {
        let parent = Some(Parent { session, record });
        let begins = Some(Begins { folder: "/w".to_owned(), title: String::new(), parent });
        let session = SessionId::new();
        store.append(Batch { session, begins, after, records: vec![said("x")], contents: vec![], runs: vec![] })
    };
    let unknown = StoreError::NoRecord { session: pen.session, record: 3 };
    assert_eq!(at(pen.session, 3, Head { record: 3, ..pen.head }).await, Err(unknown));
    let other_hash = Head { record: 2, hash: text_hash("another") };
    assert_eq!(at(pen.session, 2, other_hash).await, Err(StoreError::NoRecord { session: pen.session, record: 2 }));
    assert_eq!(
        at(pen.session, 0, Head::default()).await,
        Err(StoreError::NoRecord { session: pen.session, record: 0 })
    );
    let nobody = SessionId::new();
    assert_eq!(at(nobody, 2, pen.head).await, Err(StoreError::NoSession(nobody)));
    assert_eq!(store.sessions(None).await.unwrap().len(), 1);
    assert!(at(pen.session, 2, pen.head).await.is_ok());
}

#[tokio::test]
async fn s1_a_fork_shares_what_stands_before_it_and_so_do_its_forks() {
    let store = Sqlite::in_memory().await.unwrap();
    let mut first = Pen::begin(&store, "first", vec![said("a1"), said("a2"), said("a3")]).await;
    let second = first.fork(&store, 2, vec![said("b3"), said("b4")]).await;
    let third = second.fork(&store, 4, vec![said("c5")]).await;
    // At a record that the second session shares itself.
    let fourth = second.fork(&store, 1, vec![said("d2")]).await;
    first.write(&store, vec![said("a4")]).await;

    let all = async |pen: Pen| says(&store.records(pen.session, 1..=100).await.unwrap());
    assert_eq!(all(first).await, ["1 a1", "2 a2", "3 a3", "4 a4"]);
    assert_eq!(all(second).await, ["1 a1", "2 a2", "3 b3", "4 b4"]);
    assert_eq!(all(third).await, ["1 a1", "2 a2", "3 b3", "4 b4", "5 c5"]);
    assert_eq!(all(fourth).await, ["1 a1", "2 d2"]);
    assert_eq!(says(&store.records(third.session, 2..=3).await.unwrap()), ["2 a2", "3 b3"]);
}

#[tokio::test]
async fn c23_s4_resuming_reads_the_newest_checkpoint_and_what_follows() {
    let store = Sqlite::in_memory().await.unwrap();
    let mut pen = Pen::begin(&store, "first", vec![said("1"), checkpoint("compacted"), said("3")]).await;
    let before = pen.fork(&store, 1, vec![said("fork")]).await;
    let behind = pen.fork(&store, 3, vec![said("fork")]).await;
    pen.write(&store, vec![checkpoint("cleared"), said("5")]).await;

    let resumed = async |pen: Pen| says(&store.resume(pen.session).await.unwrap().1);
    assert_eq!(resumed(pen).await, ["4 checkpoint cleared", "5 5"]);
    assert_eq!(resumed(before).await, ["1 1", "2 fork"], "a checkpoint behind the fork point is not its own");
    assert_eq!(resumed(behind).await, ["2 checkpoint compacted", "3 3", "4 fork"], "one before it is");
    let nobody = SessionId::new();
    assert_eq!(store.resume(nobody).await.unwrap_err(), StoreError::NoSession(nobody));
}

#[tokio::test]
async fn s1_sessions_are_listed_renamed_and_made_active() {
    let store = Sqlite::in_memory().await.unwrap();
    let first = Pen::begin(&store, "first", vec![said("x")]).await;
    let elsewhere = Pen::begin_in(&store, "/v", "elsewhere", None, Head::default(), vec![]).await;
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    let second = Pen::begin(&store, "second", vec![said("x")]).await;
    let titles = async |folder: Option<&str>| {
        store.sessions(folder).await.unwrap().into_iter().map(|row| row.title).collect::<Vec<_>>()
    };
    assert_eq!(titles(Some("/w")).await, ["second", "first"]);
    assert_eq!(store.active("/w").await.unwrap(), Some(second.session), "a new session is the active one");
    store.set_active(first.session).await.unwrap();
    assert_eq!(store.active("/w").await.unwrap(), Some(first.session));
    assert_eq!(store.active("/v").await.unwrap(), Some(elsewhere.session));
    store.rename(first.session, "another").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    let mut first = first;
    first.write(&store, vec![said("y")]).await;
    assert_eq!(titles(None).await, ["another", "second", "elsewhere"]);
    let nobody = SessionId::new();
    assert_eq!(store.rename(nobody, "x").await, Err(StoreError::NoSession(nobody)));
    assert_eq!(store.set_active(nobody).await, Err(StoreError::NoSession(nobody)));
    assert_eq!(store.session(nobody).await, Ok(None));
    let nowhere = Pen { session: nobody, head: Head::default() };
    assert_eq!(store.append(nowhere.batch(vec![said("x")])).await, Err(StoreError::NoSession(nobody)));
}

#[tokio::test]
async fn a_providers_block_comes_back_byte_for_byte() {
    let store = Sqlite::in_memory().await.unwrap();
    let raw = r#"{ "type":"thinking",  "n": 1.0e+2, "signature":"ab\u0063\/==", "dup":1,"dup":2 }"#;
    let long = format!(r#"{{"encrypted" : "{}"}}"#, "x\\u00e9".repeat(5000));
    for raw in [raw.to_owned(), long] {
        let block =
            Block::Reasoning { text: String::new(), raw: Some(RawValue::from_string(raw.clone()).unwrap().into()) };
        let item =
            Item::Assistant { model: "a/b".to_owned(), origin: String::new(), blocks: vec![block], partial: false };
        let record = Record::Item { run: Some(RunId::new()), item: Arc::new(item) };
        let pen = Pen::begin(&store, "", vec![record.clone()]).await;
        let stored = store.records(pen.session, 1..=1).await.unwrap().remove(0);
        let back = stored.record.unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), serde_json::to_string(&record).unwrap());
        let Record::Item { item, .. } = back else { panic!("an item") };
        let Item::Assistant { blocks, .. } = &*item else { panic!("an assistant item") };
        let Block::Reasoning { raw: Some(kept), .. } = &blocks[0] else { panic!("with its raw block") };
        assert_eq!(kept.get(), raw);
    }
}

#[tokio::test]
async fn r3_r5_events_come_by_cursor_in_their_series() {
    let store = Sqlite::in_memory().await.unwrap();
    let mut pen = Pen::begin(&store, "", vec![]).await;
    let run = pen.whole_run(&store, 5).await;
    let other = pen.whole_run(&store, 3).await;
    pen.write(&store, vec![pen.event(None, 1, "told"), pen.event(None, 2, "told more")]).await;
    let fork = pen.fork(&store, 5, vec![said("fork")]).await;

    let sequences = async |pen: Pen, run: Option<RunId>, after| {
        let events = store.events(pen.session, run, after).await.unwrap();
        events.into_iter().map(|event| event.sequence).collect::<Vec<_>>()
    };
    assert_eq!(sequences(pen, Some(run), 0).await, [1, 2, 3, 4, 5]);
    assert_eq!(sequences(pen, Some(run), 3).await, [4, 5]);
    assert_eq!(sequences(pen, Some(other), 0).await, [1, 2, 3]);
    assert_eq!(sequences(pen, None, 0).await, [1, 2]);
    assert_eq!(sequences(pen, None, 1).await, [2]);
    assert_eq!(sequences(fork, Some(run), 0).await, [1, 2, 3, 4, 5], "a fork shares them");
    assert_eq!(sequences(fork, Some(other), 0).await, [0; 0], "but not those behind it");
}

#[tokio::test]
async fn runs_are_kept_as_they_stand_with_whose_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(&folder).await, open(&folder).await);
    let mut pen = Pen::begin(&one, "", vec![said("x")]).await;
    let run = RunId::new();
    for (status, events) in [(RunStatus::Created, 0), (RunStatus::Executing, 1)] {
        let mut batch = pen.batch(vec![pen.event(Some(run), events, "event")]);
        batch.runs.push(pen.run(run, status, events));
        pen.put(&one, batch).await;
    }
    let done = pen.whole_run(&one, 2).await;

    let stored = one.run(run).await.unwrap().unwrap();
    assert_eq!((stored.first, stored.last, stored.reserved), (2, 3, 101));
    assert_eq!((stored.snapshot.status, stored.owner), (RunStatus::Executing, Owner::Ours));
    assert_eq!(other.run(run).await.unwrap().unwrap().owner, Owner::Other);
    let ids =
        async |most| other.runs(pen.session, most).await.unwrap().iter().map(|run| run.snapshot.id).collect::<Vec<_>>();
    assert_eq!(ids(10).await, [run, done]);
    assert_eq!(ids(1).await, [done]);
    assert_eq!(other.session(pen.session).await.unwrap().unwrap().runs, 2);
    one.close().await;
    assert_eq!(other.run(run).await.unwrap().unwrap().owner, Owner::Gone, "its process has left");
    assert!(other.run(RunId::new()).await.unwrap().is_none());
}

#[tokio::test]
async fn changes_and_the_texts_that_they_name_come_back() {
    let store = Sqlite::in_memory().await.unwrap();
    let (run, text) = (RunId::new(), "a text\n".repeat(10_000));
    let mut pen = Pen::begin(&store, "", vec![said("x")]).await;
    let named = changed(run, Base::Whole(text_hash(&text)));
    let missing = store.append(pen.batch(vec![named.clone()])).await.unwrap_err();
    assert!(missing.to_string().contains(&text_hash(&text).to_string()), "{missing}");
    let batch = Batch { contents: vec![text.clone().into_bytes()], ..pen.batch(vec![named.clone()]) };
    pen.put(&store, batch).await;
    pen.write(&store, vec![changed(run, Base::Since(vec![])), said("y")]).await;
    let undone = Record::Undone(Undone { run, uris: vec!["file:///w/a".to_owned()], named: Vec::new() });
    pen.write(&store, vec![undone, changed(RunId::new(), Base::Whole(text_hash(&text)))]).await;

    let fork = pen.fork(&store, 3, vec![said("z")]).await;
    assert_eq!(says(&store.changes(pen.session, run).await.unwrap()), ["2 changed", "3 changed", "5 undone"]);
    assert_eq!(says(&store.changes(fork.session, run).await.unwrap()), ["2 changed", "3 changed"]);
    assert_eq!(store.content(text_hash(&text)).await.unwrap(), text.into_bytes());
    let unknown = store.content(text_hash("never kept")).await.unwrap_err().to_string();
    assert!(unknown.contains(&text_hash("never kept").to_string()), "{unknown}");
}

#[tokio::test]
async fn a_session_is_begun_once() {
    let store = Sqlite::in_memory().await.unwrap();
    let pen = Pen::begin(&store, "first", vec![said("one")]).await;
    let begins = Some(Begins { folder: "/w".to_owned(), title: "again".to_owned(), parent: None });
    let again = Batch { begins, after: Head::default(), ..pen.batch(vec![said("again")]) };
    assert_eq!(store.append(again).await, Err(StoreError::Moved(pen.session)));
    assert_eq!(says(&store.resume(pen.session).await.unwrap().1), ["1 one"]);
}

#[tokio::test]
async fn a_batch_that_fails_half_way_leaves_nothing_behind_and_the_next_one_goes_in() {
    let folder = tempfile::tempdir().unwrap();
    for store in [open(&folder).await, Sqlite::in_memory().await.unwrap()] {
        let mut pen = Pen::begin(&store, "first", vec![said("one")]).await;
        let run = RunId::new();
        let begun = Batch { runs: vec![pen.run(run, RunStatus::Executing, 1)], ..pen.batch(vec![]) };
        pen.put(&store, begun).await;
        // Somebody has put a record where the batch's second one goes.
        let taken = "INSERT INTO records (session, number, at_ms, kind, run, sequence, stored, body_hash, hash, body) \
                     VALUES ($1, $2, 0, 'item', '', 0, 0, x'', x'', x'')";
        let number = i64::try_from(pen.head.record + 2).unwrap();
        let put = sqlx::query(taken).bind(pen.session.to_string()).bind(number);
        put.execute(&mut *store.write.take().await.unwrap()).await.unwrap();
        let next =
            Batch { runs: vec![pen.run(run, RunStatus::Completed, 9)], ..pen.batch(vec![said("two"), said("three")]) };
        assert!(matches!(store.append(next.clone()).await, Err(StoreError::Failed(_))));
        let remove = sqlx::query("DELETE FROM records WHERE number = $1").bind(number);
        remove.execute(&mut *store.write.take().await.unwrap()).await.unwrap();

        assert_eq!(store.session(pen.session).await.unwrap().unwrap().head, pen.head);
        assert_eq!(store.runs(pen.session, 9).await.unwrap()[0].snapshot.status, RunStatus::Executing);
        pen.put(&store, next).await;
        assert_eq!(says(&store.resume(pen.session).await.unwrap().1), ["1 one", "2 two", "3 three"]);
        assert_eq!(store.runs(pen.session, 9).await.unwrap()[0].snapshot.status, RunStatus::Completed);
    }
}
