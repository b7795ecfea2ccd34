//! Long sessions with planted facts, after ten compactions each: what the program keeps is in the context, the rest is found.

use std::cell::{Cell, RefCell};

use super::{Pen, open, said};
use crate::context::planted::{Planted, score, sessions};
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
