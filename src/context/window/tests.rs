use super::*;
use crate::model::{Block, ToolResult};
use crate::protocol::ContextSource;
use crate::settings::CompactionSettings;
use proptest::prelude::*;

/// What a step of a session's life does to its window.
#[derive(Clone, Debug)]
enum Step {
    Push(Piece),
    Measure(u64),
    Preview { share: usize, short: usize },
    Batch,
    Compact { share: usize },
    Fix(u64),
    Restore,
}

#[derive(Clone, Debug)]
enum Piece {
    Said(usize),
    Standing(u8),
    Answer(usize),
    Results(Vec<usize>),
}

fn text(words: usize) -> String {
    "some words\n".repeat(words / 2)
}

fn item(piece: &Piece) -> Arc<Item> {
    Arc::new(match piece {
        Piece::Said(words) => Item::told(text(*words)),
        Piece::Standing(about) => Item::standing(format!("rules {about}"), "A rule."),
        Piece::Answer(words) => Item::Assistant {
            model: "a/b".into(),
            origin: String::new(),
            blocks: vec![Block::Text { text: text(*words), raw: None }],
            partial: false,
        },
        Piece::Results(results) => Item::Results { results: results.iter().map(|words| result(*words)).collect() },
    })
}

fn result(words: usize) -> ToolResult {
    ToolResult { undone: false, call_id: "c".into(), name: "read".into(), ok: true, content: text(words) }
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        (0..400_usize).prop_map(Piece::Said),
        (0..4_u8).prop_map(Piece::Standing),
        (0..400_usize).prop_map(Piece::Answer),
        prop::collection::vec(0..3_000_usize, 1..3).prop_map(Piece::Results),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => piece().prop_map(Step::Push),
        2 => (500..2_000_u64).prop_map(Step::Measure),
        1 => (0..=100_usize, 0..=100_usize).prop_map(|(share, short)| Step::Preview { share, short }),
        2 => Just(Step::Batch),
        1 => (1..=100_usize).prop_map(|share| Step::Compact { share }),
        1 => (0..4_000_u64).prop_map(Step::Fix),
        1 => Just(Step::Restore),
    ]
}

fn note() -> Arc<Item> {
    Arc::new(Item::told("What was said before, in short."))
}

/// Everything that is kept beside the entries is what a recount from scratch gives.
fn recount(window: &Window) {
    let (previews, limit) = window.previews();
    assert_eq!(window.items().len(), window.shown().len());
    let mut total = 0;
    for (at, item) in window.items().iter().enumerate() {
        let preview = project::preview(item, &Sizes::of(item), limit, at < previews.short_before)
            .filter(|_| at < previews.before.max(previews.short_before));
        let shown = preview.as_ref().unwrap_or(item);
        assert_eq!(format!("{shown:?}"), format!("{:?}", window.shown()[at]), "entry {at}");
        assert!(preview.is_some() || Arc::ptr_eq(item, &window.shown()[at]), "what is shown whole is not copied");
        let tokens = tokens::of_item(shown);
        total += tokens;
        assert_eq!(window.tokens(at..at + 1), window.accounting().calibrated(tokens), "entry {at}");
    }
    assert_eq!(window.tokens(0..window.items().len()), window.accounting().calibrated(total));
    let used = window.used(Some(1));
    if used.source == ContextSource::Estimated {
        assert!(used.used.abs_diff(window.fixed() + window.accounting().calibrated(total)) <= 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn c2_entries_previews_and_figures_stay_side_by_side(steps in prop::collection::vec(step(), 1..30)) {
        let budget = Budget::new(30_000, &CompactionSettings::default());
        let mut window = Window::default();
        for step in steps {
            let len = window.items().len();
            match step {
                Step::Push(piece) => window.push(item(&piece)),
                Step::Measure(share) => {
                    let sent = window.used(None).used * share / 1_000;
                    window.measure(&Usage { input: Some(sent), output: Some(10), ..Usage::default() });
                }
                Step::Preview { share, short } => {
                    let previews = Previews { before: len * share / 100, short_before: len * short / 100 };
                    window.preview(previews, budget.preview);
                }
                Step::Batch => {
                    if let Some(previews) = window.worth_previewing(&budget) {
                        let before = window.tokens(0..len);
                        window.preview(previews, budget.preview);
                        prop_assert!(window.tokens(0..len) < before);
                        prop_assert_eq!(window.worth_previewing(&budget), None);
                    }
                }
                Step::Compact { share } => {
                    let origin: Vec<_> = window.items()[..len * share / 100].to_vec();
                    let compacted = window.compact(Arc::default(), note(), &origin);
                    prop_assert_eq!(compacted, if origin.is_empty() { Err(Stale) } else { Ok(()) });
                }
                Step::Fix(tokens) => window.fix(tokens),
                Step::Restore => {
                    let used = window.used(None);
                    let (previews, limit) = window.previews();
                    let (items, summary) = (window.items().to_vec(), window.summary().cloned());
                    window = Window::restored(items, summary, previews, limit, window.accounting());
                    prop_assert_eq!(window.used(None), used);
                }
            }
            recount(&window);
        }
    }
}

#[test]
fn c22_the_stored_history_is_untouched() {
    let mut window = Window::default();
    let large = item(&Piece::Results(vec![20_000]));
    window.push(large.clone());
    window.preview(Previews { before: 1, short_before: 0 }, 2_048);
    assert!(Arc::ptr_eq(&window.items()[0], &large));
    assert!(!Arc::ptr_eq(&window.shown()[0], &large));
    assert!(window.tokens(0..1) < 1_000);
    window.preview(Previews::default(), 2_048);
    assert!(Arc::ptr_eq(&window.shown()[0], &large), "and is there again when the reach goes back");
}

#[test]
fn c2_previews_void_what_was_measured_and_keep_the_calibration() {
    let mut window = Window::default();
    window.fix(1_000);
    window.push(item(&Piece::Results(vec![20_000])));
    let estimate = window.used(None).used;
    window.measure(&Usage { input: Some(estimate * 3 / 2), ..Usage::default() });
    assert_eq!(window.used(None).source, ContextSource::Measured);
    window.preview(Previews { before: 1, short_before: 0 }, 2_048);
    let used = window.used(Some(9));
    assert_eq!((used.source, used.limit), (ContextSource::Estimated, Some(9)));
    assert_eq!(used.used, window.fixed() + window.tokens(0..1));
    assert_eq!(window.fixed(), 1_500);
}

#[test]
fn c9_a_summary_of_another_history_is_refused() {
    let mut window = Window::default();
    (0..4).for_each(|_| window.push(item(&Piece::Said(10))));
    let equal_but_other = vec![item(&Piece::Said(10))];
    assert_eq!(window.compact(Arc::default(), note(), &equal_but_other), Err(Stale));
    let mut longer = window.items().to_vec();
    longer.push(note());
    assert_eq!(window.compact(Arc::default(), note(), &longer), Err(Stale));
    assert_eq!(window.items().len(), 4);
    let origin = window.items()[..2].to_vec();
    window.push(item(&Piece::Said(10)));
    assert_eq!(window.compact(Arc::default(), note(), &origin), Ok(()), "what came after it is no matter");
    assert_eq!(window.items().len(), 4);
    assert!(window.summary().is_some());
    assert_eq!(window.compact(Arc::default(), note(), &origin), Err(Stale), "a summary is applied once");
}

#[test]
fn c17_the_newest_of_what_stands_survives_a_compaction() {
    let mut window = Window::default();
    let stands = |about: &str, text: &str| Arc::new(Item::standing(about, text));
    for entry in [
        stands("rules AGENTS.md", "old"),
        item(&Piece::Said(10)),
        stands("rules AGENTS.md", "new"),
        stands("tools", "old"),
        item(&Piece::Results(vec![5_000])),
        stands("tools", "new"),
        item(&Piece::Results(vec![5_000])),
    ] {
        window.push(entry);
    }
    window.preview(Previews { before: 6, short_before: 0 }, 2_048);
    let origin = window.items()[..5].to_vec();
    window.compact(Arc::default(), note(), &origin).unwrap();
    let texts: Vec<&str> = window
        .items()
        .iter()
        .map(|item| match &**item {
            Item::User { text, .. } => text.as_str(),
            _ => "results",
        })
        .collect();
    assert_eq!(texts, ["What was said before, in short.", "new", "new", "results"]);
    assert_eq!(window.previews().0.before, 3, "the last results are shown whole as before");
    recount(&window);
}

#[test]
fn c22_what_was_made_as_short_as_can_be_stays_and_what_comes_later_is_not() {
    let budget = Budget::new(30_000, &CompactionSettings::default());
    let mut window = Window::default();
    let results = || item(&Piece::Results(vec![4_000]));
    (0..3).for_each(|_| window.push(results()));
    let shortest = window.shortest();
    assert_eq!(shortest, Previews { before: 2, short_before: 2 }, "the model has not seen the newest");
    window.preview(shortest, budget.preview);
    let short = window.shown()[1].clone();
    assert!(window.tokens(2..3) > 10 * window.tokens(1..2));
    recount(&window);

    (0..6).for_each(|_| window.push(results()));
    let next = window.worth_previewing(&budget).expect("there is much to gain");
    assert!(next.before > 2 && next.short_before == 2, "{next:?}");
    window.preview(next, budget.preview);
    assert!(Arc::ptr_eq(&window.shown()[1], &short), "nothing that was sent changes");
    assert!(window.tokens(2..3) > window.tokens(1..2), "a later preview is an ordinary one");
    recount(&window);

    let origin = window.items()[..1].to_vec();
    window.compact(Arc::default(), note(), &origin).unwrap();
    assert_eq!(window.previews().0, next, "the note is in the place of one entry");
    recount(&window);
    let origin = window.items()[..3].to_vec();
    window.compact(Arc::default(), note(), &origin).unwrap();
    assert_eq!(
        window.previews().0,
        Previews { before: next.before - 2, short_before: 1 },
        "only the note is before that"
    );
    recount(&window);
}
