use super::*;
use crate::model::{Block, ToolResult};

fn used(accounting: &Accounting) -> (u64, ContextSource) {
    let used = accounting.used(None);
    (used.used, used.source)
}

/// A text of about so many tokens.
fn text(tokens: u64) -> String {
    let text = "word ".repeat(usize::try_from(tokens).unwrap()).trim_end().to_owned();
    assert_eq!(tokens::of_text(&text), tokens);
    text
}

fn asked(tokens: u64) -> Item {
    Item::told(text(tokens))
}

fn answered(tokens: u64) -> Item {
    let blocks = vec![Block::Text { text: text(tokens), raw: None }];
    Item::Assistant { model: "a/b".into(), origin: String::new(), blocks, partial: false }
}

fn usage(sent: u64, output: u64) -> Usage {
    Usage { input: Some(sent), output: Some(output), ..Usage::default() }
}

/// Requests of a session in which every entry holds 400 tokens in truth, as a provider counts them that reports `figure` of
/// each: what the context is said to hold, beside what it holds.
fn session(requests: u64, figure: impl Fn(u64, u64) -> Usage) -> Vec<(u64, u64)> {
    let mut accounting = Accounting::default();
    accounting.fix(2_000);
    let mut held = 2_000;
    (0..requests)
        .map(|number| {
            accounting.add(&asked(395));
            held += 400;
            let said = (accounting.used(None).used, held);
            accounting.add(&answered(395));
            accounting.measure(&figure(number, held));
            held += 400;
            said
        })
        .collect()
}

#[test]
fn a_measured_request_replaces_the_estimate_and_later_items_extend_it() {
    let mut accounting = Accounting::default();
    accounting.add(&asked(995));
    assert_eq!(used(&accounting), (1_000, ContextSource::Estimated));
    accounting.measure(&Usage { input: Some(700), cache_read: Some(500), output: Some(10), cache_write: None });
    assert_eq!(used(&accounting), (1_210, ContextSource::Measured));
    accounting.add(&asked(95));
    assert_eq!(used(&accounting), (1_330, ContextSource::Extended), "what comes after is calibrated");
}

#[test]
fn c2_the_answer_is_no_part_of_what_was_sent() {
    let mut accounting = Accounting::default();
    accounting.add(&asked(995));
    accounting.add(&answered(1_995));
    accounting.measure(&usage(1_500, 3_000));
    assert_eq!(used(&accounting), (4_500, ContextSource::Measured));
    assert_eq!(accounting.calibrated(100), 150);
    // A provider that does not count its answer: the estimate of the answer then counts.
    let mut accounting = Accounting::default();
    accounting.add(&asked(995));
    accounting.add(&answered(1_995));
    accounting.measure(&Usage { input: Some(1_500), ..Usage::default() });
    assert_eq!(used(&accounting), (4_500, ContextSource::Measured));
}

#[test]
fn c2_hidden_reasoning_is_output_and_not_context() {
    let mut accounting = Accounting::default();
    accounting.add(&asked(995));
    accounting.add(&answered(95));
    accounting.measure(&usage(1_000, 30_000));
    assert!(used(&accounting).0 < 2_000, "{accounting:?}");
}

#[test]
fn c2_calibration_is_kept_when_what_was_measured_is_void() {
    let mut accounting = Accounting::default();
    accounting.fix(1_000);
    accounting.add(&asked(995));
    accounting.measure(&usage(3_000, 0));
    accounting.void(500);
    assert_eq!(used(&accounting), (2_250, ContextSource::Estimated));
    assert_eq!(accounting.fixed(), 1_500);
    assert_eq!(accounting.estimated(150), 100);
}

#[test]
fn c2_entries_of_another_script_do_not_change_what_requests_begin_with() {
    let mut accounting = Accounting::default();
    accounting.fix(2_000);
    accounting.add(&asked(15));
    accounting.measure(&usage(2_020, 0));
    for number in 1..=20 {
        accounting.add(&asked(495));
        accounting.measure(&usage(2_020 + number * 1_000, 0));
    }
    accounting.void(1_000);
    let (used, source) = used(&accounting);
    assert!((3_900..=4_000).contains(&used) && source == ContextSource::Estimated, "{used}");
    assert_eq!(accounting.fixed(), 2_000);
}

#[test]
fn c2_another_system_prompt_changes_the_figure_by_itself() {
    let mut accounting = Accounting::default();
    accounting.fix(1_000);
    accounting.add(&asked(995));
    accounting.fix(2_000);
    assert_eq!(used(&accounting).0, 3_000);
    accounting.measure(&usage(3_000, 0));
    accounting.fix(2_500);
    assert_eq!(used(&accounting), (3_500, ContextSource::Extended));
    accounting.fix(2_000);
    assert_eq!(used(&accounting).0, 3_000);
}

#[test]
fn c3_a_provider_without_figures_leaves_the_estimate() {
    let mut accounting = Accounting::default();
    accounting.add(&asked(995));
    accounting.measure(&Usage::default());
    accounting.measure(&usage(0, 0));
    assert_eq!(used(&accounting), (1_000, ContextSource::Estimated));
}

/// What a provider reports of a request with this number that holds so much.
type Figure = fn(u64, u64) -> Usage;

#[test]
fn c3_wrong_figures_never_hide_how_full_the_context_is() {
    let figures: [(&str, Figure); 9] = [
        ("right", |_, held| usage(held, 400)),
        ("none", |_, _| Usage::default()),
        ("zero", |_, _| usage(0, 0)),
        ("always one", |_, _| usage(1, 1)),
        ("always the same", |_, _| usage(3_000, 400)),
        ("ten times too much", |_, held| usage(held * 10, 4_000)),
        ("a tenth", |_, held| usage(held / 10, 40)),
        ("without what was cached", |_, _| usage(400, 400)),
        ("by the dice", |number, held| usage(held * (number * 7_919 % 97) / 20, 400)),
    ];
    for (name, figure) in figures {
        for (said, held) in session(60, figure) {
            assert!(said + 600 >= held * 9 / 10, "{name}: {said} is said of {held}");
            assert!(said <= held * 13 / 10 + 600 || name == "by the dice", "{name}: {said} is said of {held}");
        }
    }
}

#[test]
fn c3_what_a_liar_taught_is_forgotten() {
    let mut accounting = Accounting::default();
    accounting.fix(2_000);
    for _ in 0..10 {
        accounting.add(&asked(395));
        accounting.measure(&usage(1_600, 10));
    }
    assert_eq!(accounting.learned, None);
    assert_eq!(used(&accounting), (6_000, ContextSource::Estimated));
    // And a provider that comes to its senses is believed again.
    for number in 0..10 {
        accounting.add(&asked(595));
        accounting.measure(&usage(6_000 + (number + 1) * 600, 0));
    }
    assert_eq!(used(&accounting), (12_000, ContextSource::Measured));
}

#[test]
fn c3_reasoning_that_is_not_sent_again_is_no_lie() {
    let mut accounting = Accounting::default();
    accounting.fix(2_000);
    let mut held = 2_000;
    for _ in 0..20 {
        accounting.add(&Item::Results { results: vec![result(700)] });
        held += 712;
        accounting.measure(&usage(held, 0));
        assert_eq!(used(&accounting).1, ContextSource::Measured);
        // Once in a while the provider drops some of what it was sent.
        held -= 300;
    }
}

fn result(tokens: u64) -> ToolResult {
    ToolResult { undone: false, call_id: "c".into(), name: "read".into(), ok: true, content: text(tokens) }
}

#[test]
fn figures_of_an_older_version_are_read() {
    let accounting: Accounting = serde_json::from_str(r#"{"measured":5000,"since":70}"#).unwrap();
    assert_eq!(used(&accounting.restored(4_000)), (5_070, ContextSource::Extended));
    let accounting: Accounting = serde_json::from_str(r#"{"measured":null,"since":3000}"#).unwrap();
    assert_eq!(used(&accounting.restored(1_000)), (3_000, ContextSource::Estimated));
    let mut accounting = accounting.restored(1_000);
    accounting.fix(1_500);
    assert_eq!(used(&accounting).0, 2_500);
    let kept = serde_json::to_string(&accounting).unwrap();
    assert_eq!(serde_json::from_str::<Accounting>(&kept).unwrap(), accounting);
}

#[test]
fn c21_a_history_that_was_refused_is_longer_than_what_was_counted() {
    let mut accounting = Accounting::default();
    accounting.fix(500);
    accounting.add(&asked(995));
    accounting.measure(&usage(1_500, 0));
    accounting.exceeded(2_000);
    assert!(accounting.used(None).used > 2_000, "{:?}", accounting.used(None));
    let before = accounting;
    accounting.exceeded(1_000);
    assert_eq!(accounting, before, "what is known to be longer stays as it is");
    // What comes after is counted by the same measure.
    accounting.add(&asked(995));
    assert!(accounting.used(None).used > 3_000);
}
