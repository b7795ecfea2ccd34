//! Long sessions with planted facts, after ten compactions each: what the program keeps is in the context, the rest is found.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::{Pen, open, said};
use crate::context::planted::{Planted, score, sessions, text_of};
use crate::context::{Budget, Summary};
use crate::model::{Block, Item, ToolResult};
use crate::store::{Record, Store};

#[test]
fn campaign_c19_planted_facts_are_in_the_context_or_found() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut facts, mut shown, mut recalled) = (0, 0, 0);
    for seed in 0..sessions() {
        let folder = tempfile::tempdir().unwrap();
        let store = runtime.block_on(open(&folder));
        let pen = Cell::new(runtime.block_on(Pen::begin(&store, "long", vec![said("It begins.")])));
        // Kept as a run keeps them, though in larger batches.
        let waiting = RefCell::new(Vec::new());
        let keep = || {
            let records = waiting.take();
            if !records.is_empty() {
                let mut next = pen.get();
                runtime.block_on(next.write(&store, records));
                pen.set(next);
            }
        };
        let mut planted = Planted::new(seed);
        let score = score(
            &mut planted,
            32_000,
            10,
            |item| waiting.borrow_mut().push(Record::Item { run: None, item: item.clone() }),
            |fact| {
                keep();
                let found = runtime.block_on(store.search(pen.get().session, &fact.words, 20)).unwrap();
                found.iter().any(|found| found.excerpt.contains(&fact.words) || found.title.contains(&fact.words))
            },
        );
        assert!(score.compactions >= 10, "session {seed}: {score:?}");
        assert_eq!((score.lost, score.forgotten), (vec![], vec![]), "session {seed}");
        facts += score.facts;
        shown += score.shown;
        recalled += score.recalled;
        runtime.block_on(store.close());
    }
    println!("{} sessions: {facts} facts, {shown} in the context, {recalled} found by recall", sessions());
    assert!(recalled > facts / 4, "it is a test of recall: {recalled} of {facts}");
}

/// More files than a note can name: it says how many it leaves out, and those are found.
#[tokio::test]
async fn c17_c19_a_file_that_no_note_has_room_for_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let paths: Vec<String> = (0..900).map(|n| format!("src/module{}/part{n:03}x.rs", n % 30)).collect();
    let mut items = Vec::new();
    for (id, path) in paths.iter().enumerate() {
        let (id, name, arguments) =
            (id.to_string(), "write".to_owned(), format!(r#"{{"path":"{path}","content":""}}"#));
        let call = Block::Call { id: id.clone(), name: name.clone(), arguments, raw: None };
        let result = ToolResult { call_id: id, name, ok: true, content: "Written.".into(), undone: false };
        let (model, origin, blocks) = ("a/b".into(), String::new(), vec![call]);
        items.push(Arc::new(Item::Assistant { model, origin, blocks, partial: false }));
        items.push(Arc::new(Item::Results { results: vec![result] }));
    }
    let records = items.iter().map(|item| Record::Item { run: None, item: item.clone() }).collect();
    let pen = Pen::begin(&store, "long", records).await;
    let mut summary = Summary { told: "Goal: write them all".into(), compactions: 1, turns: 1, ..Summary::default() };
    summary.facts.extend(&items);
    let budget = Budget {
        limit: 32_000,
        soft: 19_200,
        hard: 27_200,
        recent: 12_000,
        results: 8_000,
        preview: 2_048,
        min_gain: 1_024,
        summary: 3_840,
        per_mille: 1_000,
    };
    let note = text_of(&summary.note(&budget));
    let gone: Vec<&String> = paths.iter().filter(|path| !note.contains(path.as_str())).collect();
    assert!((100..800).contains(&gone.len()), "{} are left out", gone.len());
    assert!(note.contains(&format!("(and {} more: recall)", gone.len())), "{note}");
    for path in gone.iter().step_by(gone.len() / 20) {
        let found = store.search(pen.session, path, 5).await.unwrap();
        assert!(found.iter().any(|found| found.title.contains(path.as_str())), "{path}: {found:?}");
    }
    store.close().await;
}
