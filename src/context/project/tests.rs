use super::*;
use crate::settings::CompactionSettings;
use proptest::prelude::*;

fn results(contents: &[&str]) -> Item {
    let result = |content: &&str| ToolResult {
        undone: false,
        call_id: "c".into(),
        name: "read".into(),
        ok: true,
        content: (*content).to_owned(),
    };
    Item::Results { results: contents.iter().map(result).collect() }
}

fn shown(item: &Item, limit: u64, short: bool) -> Option<Vec<String>> {
    match &*preview(item, &Sizes::of(item), limit, short)? {
        Item::Results { results } => Some(results.iter().map(|result| result.content.clone()).collect()),
        other => panic!("{other:?}"),
    }
}

fn lines(count: usize) -> String {
    (1..=count).map(|number| format!("line {number} of a long file\n")).collect()
}

#[test]
fn c22_a_preview_tells_the_tool_its_end_the_beginning_and_how_to_read_the_rest() {
    let long = lines(900);
    let shown = shown(&results(&["short", &long]), 2048, true).unwrap();
    assert_eq!(shown[0], "short");
    insta::assert_snapshot!(shown[1], @r"
    [The beginning of an earlier result of read, ok, 900 lines in all]
    line 1 of a long file
    line 2 of a long file
    line 3 of a long file
    line 4 of a long file
    line 5 of a long file
    line 6 of a long file
    [21361 more characters were left out. Make the call again if it only looks, or use recall, to read them.]
    ");
}

#[test]
fn c22_a_preview_has_24_lines_or_1600_characters() {
    let by_lines = shown(&results(&[&lines(900)]), 2048, false).unwrap().remove(0);
    assert!(by_lines.contains("line 24 of") && !by_lines.contains("line 25 of"), "{by_lines}");
    let wide = "some words without a line's end ".repeat(1_000);
    let by_characters = shown(&results(&[&wide]), 2048, false).unwrap().remove(0);
    assert!((1_600..1_900).contains(&by_characters.chars().count()), "{by_characters}");
}

#[test]
fn c22_small_results_and_words_stay_whole() {
    assert!(shown(&results(&[&lines(100)]), 2048, false).is_none());
    let long = Item::told(lines(2_000));
    assert!(preview(&long, &Sizes::of(&long), 2048, false).is_none());
}

fn budget(limit: u64) -> Budget {
    Budget::new(limit, &CompactionSettings::default())
}

/// The next batch, where everything before `recent` may go and so much of the soft mark is used.
fn batch_of(items: &[Item], now: Previews, budget: &Budget, used: u64) -> Option<Previews> {
    let items: Vec<Arc<Item>> = items.iter().cloned().map(Arc::new).collect();
    let sizes: Vec<Sizes> = items.iter().map(|item| Sizes::of(item)).collect();
    let tokens: Vec<u64> = sizes.iter().map(|sizes| sizes.total).collect();
    let held = Held { items: &items, sizes: &sizes, tokens: &tokens, used, recent: budget.recent };
    batch(held, now, budget)
}

#[test]
fn c22_previews_come_in_batches_that_are_worth_the_cache() {
    let (large, recent) = (results(&[&lines(500)]), results(&[&lines(1_800)]));
    let size = Sizes::of(&large).total;
    assert!((3_500..4_500).contains(&size), "{size}");
    let budget = budget(200_000);
    let full = budget.soft;
    let now = Previews::default();
    let of = |count: usize| [vec![large.clone(); count], vec![recent.clone()]].concat();
    assert_eq!(batch_of(&of(1), now, &budget, full), None, "one result saves too little, however full it is");
    assert_eq!(batch_of(&of(3), now, &budget, full), None, "and the next few results would call for the next batch");
    let worth = batch_of(&of(6), now, &budget, full);
    assert_eq!(worth, Some(Previews { before: 6, short_before: 0 }), "all that may be taken");
    assert_eq!(batch_of(&of(6), worth.unwrap(), &budget, full), None, "what is shown as a preview saves nothing more");
    assert_eq!(batch_of(&of(6), now, &budget, full / 2), None, "while there is room the cache is worth more");
    let many = batch_of(&of(60), now, &budget, full / 2);
    assert_eq!(many, Some(Previews { before: 60, short_before: 0 }), "unless there is that much to save");
    let newest = [recent.clone(), large.clone(), large];
    assert_eq!(batch_of(&newest, now, &budget, full), None, "the newest 12,000 tokens stay");
}

#[test]
fn c22_a_small_model_gets_its_previews_too() {
    let (items, budget) = ([results(&[&lines(300)]), results(&[&lines(300)]), results(&[&lines(300)])], budget(8_000));
    let previews = Some(Previews { before: 2, short_before: 0 });
    assert_eq!(batch_of(&items, Previews::default(), &budget, budget.soft), previews);
}

#[test]
fn c22_previews_that_were_kept_before_there_were_two_marks_are_read() {
    let read = |text: &str| serde_json::from_str::<Previews>(text).unwrap();
    assert_eq!(read(r#"{"before":7}"#), Previews { before: 7, short_before: 0 });
    assert_eq!(read(r#"{"before":7,"short":false}"#), Previews { before: 7, short_before: 0 });
    assert_eq!(read(r#"{"before":7,"short":true}"#), Previews { before: 7, short_before: 7 });
    let now = Previews { before: 7, short_before: 3 };
    assert_eq!(read(&serde_json::to_string(&now).unwrap()), now);
}

proptest! {
    #[test]
    fn c22_a_preview_is_shorter_stable_and_its_own_preview(
        pieces in prop::collection::vec(("[ -~]{0,80}|[一-龥]{0,60}|\\PC{0,40}", "\n|\n\n|\r\n| "), 0..120),
        limit in 1_u64..3_000,
        short: bool,
    ) {
        let content: String = pieces.iter().map(|(text, end)| format!("{text}{end}")).collect();
        let item = results(&[&content, "beside it"]);
        if let Some(shown_once) = shown(&item, limit, short) {
            prop_assert!(shown_once[0].len() < content.len());
            prop_assert!(content.starts_with(shown_once[0].lines().nth(1).unwrap()), "{}", shown_once[0]);
            prop_assert_eq!(&shown_once[1], "beside it");
            prop_assert_eq!(Some(shown_once.clone()), shown(&item, limit, short));
            let texts: Vec<&str> = shown_once.iter().map(String::as_str).collect();
            prop_assert_eq!(shown(&results(&texts), limit, short), None);
        }
    }
}

#[test]
fn c22_a_preview_fits_its_limit_in_every_script() {
    for piece in ["word ", "你好世界", "привет мир ", "🎉🚀", "{\"a\":1},\n"] {
        for limit in [1, 300, 800, 2_048] {
            let preview = shown(&results(&[&piece.repeat(5_000)]), limit, false).unwrap().remove(0);
            assert!(tokens::of_text(&preview) <= limit.max(LEAST), "{piece} {limit}: {preview}");
        }
    }
}
