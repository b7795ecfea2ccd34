use proptest::prelude::*;

use super::*;
use crate::context::summary::Summary;
use crate::model::ToolResult;

fn budget(recent: u64) -> Budget {
    Budget {
        limit: 100_000,
        soft: 60_000,
        hard: 85_000,
        recent,
        results: 25_000,
        preview: 2_048,
        min_gain: 100,
        summary: 1_000,
        per_mille: 1_000,
    }
}

/// What a summary of today says before anything goes on behind it.
const KNOWN: Before = Before { knows: true, goes_on: false };

/// Entries in a word each: `p` person, `n` note by the program, `s` something that stands, `a` prose, `x` prose that was
/// stopped, `c` a call, `r` its result, `N` the note
/// of a summary; with their tokens behind, 10 where none are given.
fn history(text: &str) -> (Vec<Arc<Item>>, Vec<u64>) {
    let mut calls = 0;
    text.split_whitespace()
        .map(|word| {
            let (kind, tokens) = word.split_at(1);
            let item = match kind {
                "p" => Item::asked("do", None),
                "n" => Item::told("by the way"),
                "s" => Item::standing("tools", "these"),
                "x" => Item::Assistant {
                    model: "a/b".into(),
                    origin: String::new(),
                    blocks: vec![Block::Text { text: "do".into(), raw: None }],
                    partial: true,
                },
                "a" => assistant(vec![Block::Text { text: "done".into(), raw: None }]),
                "c" => {
                    calls += 1;
                    let call =
                        Block::Call { id: calls.to_string(), name: "read".into(), arguments: "{}".into(), raw: None };
                    assistant(vec![call])
                }
                "r" => {
                    let result = ToolResult {
                        undone: false,
                        call_id: calls.to_string(),
                        name: "read".into(),
                        ok: true,
                        content: "it".into(),
                    };
                    Item::Results { results: vec![result] }
                }
                "N" => Summary::default().note(&budget(0)),
                _ => panic!("{kind}"),
            };
            (Arc::new(item), tokens.parse().unwrap_or(10))
        })
        .unzip()
}

fn assistant(blocks: Vec<Block>) -> Item {
    Item::Assistant { model: "a/b".into(), origin: String::new(), blocks, partial: false }
}

fn planned(text: &str, budget: &Budget, mode: CompactionMode) -> Result<Cut, Nothing> {
    let (items, tokens) = history(text);
    let summary = text.starts_with('N').then_some(KNOWN);
    History { items: &items, tokens: &tokens, summary, under_way: 0, fixed: 1_000 }.cut(budget, mode)
}

/// The history with a bar where it is cut, and a colon before the turn that the cut goes through.
fn check(text: &str, budget: &Budget, mode: CompactionMode) -> String {
    match planned(text, budget, mode) {
        Ok(cut) => {
            let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            words.insert(cut.covers, "|".into());
            if let Some(split) = cut.split {
                words.insert(split, ":".into());
            }
            format!("{} ({}/{})", words.join(" "), cut.turns_compacted, cut.turns_kept)
        }
        Err(nothing) => nothing.to_string(),
    }
}

fn recent(text: &str, tokens: u64) -> String {
    check(text, &budget(tokens), CompactionMode::KeepRecent)
}

fn frontier_of(text: &str) -> String {
    check(text, &budget(0), CompactionMode::SafeFrontier)
}

#[test]
fn c11_a_cut_never_parts_a_call_from_its_result() {
    assert_eq!(recent("p c500 r500 c300 r300 a", 700), ": p c500 r500 | c300 r300 a (1/1)");
    // The newest entries that fit begin with a result; its call is too much, so it goes with its result.
    assert_eq!(recent("p c500 r500 c500 r300 a", 700), ": p c500 r500 c500 r300 | a (1/1)");
}

#[test]
fn c11_what_the_model_has_not_answered_stays() {
    assert_eq!(frontier_of("p500 a p500"), "p500 a | p500 (1/1)");
    assert_eq!(frontier_of("p500 c r p500 c"), ": p500 c r | p500 c (1/1)");
    assert_eq!(frontier_of("p500 c r c r"), ": p500 c r | c r (1/1)");
    assert_eq!(frontier_of("p500 c r c r n"), ": p500 c r | c r n (1/1)");
    assert_eq!(frontier_of("p500 c r n c r"), ": p500 c r | n c r (1/1)");
    assert_eq!(frontier_of("p500 c r c r a"), "p500 c r c r a | (1/0)");
    assert_eq!(frontier_of("p500"), "what there is belongs to the request under way");
    assert_eq!(frontier_of("p500 c r"), "what there is belongs to the request under way");
    // Only the newest of what was never answered is asked for.
    assert_eq!(frontier_of("p500 n p500 p n"), "p500 n p500 | p n (2/1)");
}

#[test]
fn c12_a_budget_of_tokens_stays_and_not_a_number_of_turns() {
    assert_eq!(recent("p300 a p300 a p300 a p300 a", 700), "p300 a p300 a | p300 a p300 a (2/2)");
    assert_eq!(recent("p500 a p500 a p10 a p10 a", 700), "p500 a | p500 a p10 a p10 a (1/3)");
}

#[test]
fn c12_only_a_turn_that_is_longer_than_everything_is_split() {
    // The turn that the budget ends in fits by itself, so it goes as a whole.
    assert_eq!(recent("p c200 r200 c100 r100 a p100 a", 700), "p c200 r200 c100 r100 a | p100 a (1/1)");
    assert_eq!(
        recent("p c200 r200 c200 r200 c100 r100 a p100 a", 700),
        ": p c200 r200 c200 r200 | c100 r100 a p100 a (1/2)"
    );
    // What is left of a turn that was split is split again, and its calls are one turn.
    assert_eq!(recent("N c500 r500 c500 r500 c r", 700), "N : c500 r500 c500 r500 | c r (1/1)");
}

#[test]
fn c12_after_it_a_small_models_context_lies_below_the_soft_mark() {
    let small = Budget {
        limit: 8_000,
        soft: 4_800,
        hard: 6_800,
        recent: 3_200,
        results: 2_000,
        preview: 800,
        min_gain: 100,
        summary: 1_200,
        per_mille: 1_000,
    };
    let text = "p100 a900 p100 a900 p100 a900 p100 a900 p100 a900";
    // 1,000 at the beginning and 1,200 for the note leave 2,600, and not the 3,200 that may be recent.
    assert_eq!(
        check(text, &small, CompactionMode::KeepRecent),
        "p100 a900 p100 a900 p100 a900 | p100 a900 p100 a900 (3/2)"
    );
    let text = "s600 p100 a900 p100 a900 p100 a900 p100 a900 p100 a900";
    assert_eq!(
        check(text, &small, CompactionMode::KeepRecent),
        "s600 p100 a900 p100 a900 p100 a900 p100 a900 | p100 a900 (4/1)"
    );
    // Where it is not possible at all, as little as can be is kept.
    assert_eq!(check("p100 a900 p100 a4000 p", &small, CompactionMode::KeepRecent), "p100 a900 p100 a4000 | p (2/1)");
}

#[test]
fn c12_the_request_under_way_stays_in_the_note_and_that_counts() {
    let small = Budget { soft: 6_000, summary: 1_200, ..budget(3_000) };
    let cut = |text: &str, under_way| {
        let (items, tokens) = history(text);
        let goes_on = under_way > 0;
        let summary = text.starts_with('N').then_some(Before { goes_on, ..KNOWN });
        let history = History { items: &items, tokens: &tokens, summary, under_way, fixed: 1_000 };
        history.cut(&small, CompactionMode::KeepRecent)
    };
    let covers = |text: &str, under_way| cut(text, under_way).map(|cut| cut.covers);
    // 1,000 and 1,200 leave 3,800 for three rounds of 1,000; with 900 of a request in the note there is room for two.
    assert_eq!(covers("p10 c r990 c r990 c r990 c r990", 0), Ok(3));
    assert_eq!(covers("p900 c r990 c r990 c r990 c r990", 0), Ok(5));
    assert_eq!(covers("N c r990 c r990 c r990 c r990", 0), Ok(3));
    assert_eq!(covers("N c r990 c r990 c r990 c r990", 900), Ok(5));
    // What was said into the turn since is there beside it.
    assert_eq!(covers("p450 c r990 p450 c r990 c r990 c r990", 0), Ok(6));
    assert_eq!(covers("N p450 c r990 c r990 c r990 c r990", 450), Ok(6));
    // More than half of what may be recent it never is.
    assert_eq!(covers("p9000 c r990 c r990 c r990 c r990", 0), Ok(5));
    // With a newer one behind it is dropped.
    assert_eq!(covers("N c r990 c r990 c r990 c r970 a p", 900), Ok(3));
    // What stays gains nothing.
    assert_eq!(cut("p1000 c r70 c r2900", 0), Err(Nothing::TooLittle { gain: 39, least: 100 }));
}

#[test]
fn c12_what_the_person_says_into_a_turn_belongs_to_it() {
    assert_eq!(recent("p c500 r500 p c300 r300 a", 700), ": p c500 r500 | p c300 r300 a (1/1)");
    assert_eq!(recent("p c500 r500 p c300 r100 c10 r10 a", 200), ": p c500 r500 p c300 r100 | c10 r10 a (1/1)");
    // Also when it was stopped in its words, or begins behind the note.
    assert_eq!(recent("p900 x p300 a", 700), ": p900 x | p300 a (1/1)");
    assert_eq!(recent("p900 x p500 x p500 x p300 a", 700), ": p900 x p500 x p500 x | p300 a (1/1)");
    let (items, tokens) = history("N p c500 r500 c r a p a");
    let turns = |goes_on| beginnings(&items, 1, Before { goes_on, ..KNOWN });
    assert_eq!((turns(false), turns(true)), (vec![1, 7], vec![7]));
    let summary = Some(Before { goes_on: true, ..KNOWN });
    let history = History { items: &items, tokens: &tokens, summary, under_way: 100, fixed: 1_000 };
    let cut = history.cut(&budget(60), CompactionMode::KeepRecent).unwrap();
    assert_eq!((cut.covers, cut.split), (4, Some(1)));
    // An answer ends it.
    assert_eq!(recent("p300 c300 r a p300 a", 700), "p300 c300 r a | p300 a (1/1)");
}

#[test]
fn c13_a_mode_keeps_what_is_recent_or_only_what_must_stay() {
    let text = "p300 a p300 a p300 a p300 c r c r";
    assert_eq!(recent(text, 700), "p300 a p300 a | p300 a p300 c r c r (2/2)");
    let frontier = check(text, &budget(700), CompactionMode::SafeFrontier);
    assert_eq!(frontier, "p300 a p300 a p300 a : p300 c r | c r (4/1)");
}

#[test]
fn c14_what_gains_too_little_is_not_done() {
    assert_eq!(recent("", 700), "there is nothing to compact yet");
    assert_eq!(recent("s s", 700), "there is nothing to compact yet");
    assert_eq!(recent("N", 700), "nothing was said since the last compaction");
    assert_eq!(recent("N s", 700), "nothing was said since the last compaction");
    assert_eq!(recent("p300 a p300 a", 700), "compacting would gain about 0 tokens, and less than 100 is not worth it");
    // A span of 120 gains 96, one of 125 gains 100.
    assert_eq!(recent("p110 a p700", 700), "compacting would gain about 96 tokens, and less than 100 is not worth it");
    assert_eq!(recent("p115 a p700", 700), "p115 a | p700 (1/1)");
    // The note goes and comes again, and what stands does not go.
    assert_eq!(
        recent("N900 s900 p110 a p700", 700),
        "compacting would gain about 96 tokens, and less than 100 is not worth it"
    );
    assert_eq!(recent("N900 s900 p115 a p700", 700), "N900 s900 p115 a | p700 (1/1)");
    // Of what stands only the newest does.
    assert_eq!(recent("N s900 p110 a s900 p700", 700), "N s900 p110 a | s900 p700 (1/1)");
}

#[test]
fn c15_a_summary_whose_beginning_is_lost_is_not_summarised() {
    let gone = "the beginning of the last compaction is not there any more; begin another session or clear this one";
    assert_eq!(recent("p900 a N p900 a p", 700), gone);
    let (items, tokens) = history("N p900 a p900 a p");
    let cut = |summary| {
        History { items: &items, tokens: &tokens, summary, under_way: 0, fixed: 0 }
            .cut(&budget(700), CompactionMode::KeepRecent)
    };
    assert_eq!(cut(None), Err(Nothing::NoBoundary));
    assert!(cut(Some(KNOWN)).is_ok());
    let (items, tokens) = history("p900 a p900 a p");
    let cut = History { items: &items, tokens: &tokens, summary: Some(KNOWN), under_way: 0, fixed: 0 }
        .cut(&budget(700), CompactionMode::KeepRecent);
    assert_eq!(cut, Err(Nothing::NoBoundary));
    let none = History { items: &[], tokens: &[], summary: Some(KNOWN), under_way: 0, fixed: 0 }
        .cut(&budget(700), CompactionMode::KeepRecent);
    assert_eq!(none, Err(Nothing::NoBoundary));
}

#[test]
fn notes_stay_with_what_follows_and_begin_no_turn() {
    assert_eq!(recent("p900 a n s p300 a", 700), "p900 a | n s p300 a (1/1)");
    assert_eq!(recent("p900 c r n s c300 r a", 700), ": p900 c r | n s c300 r a (1/1)");
}

#[test]
fn in_a_session_of_old_whatever_begins_an_exchange_begins_a_turn() {
    assert_eq!(recent("n300 a n300 c r n c r a n300 a", 700), "n300 a | n300 c r n c r a n300 a (1/2)");
    assert_eq!(recent("n900 a p300 a n300 a", 700), "n900 a | p300 a n300 a (1/1)");
}

/// A turn in the words of [`history`]: what stands before the question, the question, and the rounds of calls; how it ends comes last.
fn turn() -> impl Strategy<Value = String> {
    let tokens = || prop_oneof![4 => 1u64..80, 1 => 80u64..2_500];
    let note = prop_oneof!["n", "s"].boxed();
    let before = prop::collection::vec((note.clone(), tokens()), 0..3);
    let round = (prop::option::weighted(0.2, (note, tokens())), tokens(), tokens());
    let ending = prop_oneof![6 => Just("a"), 1 => Just(""), 1 => Just("c")];
    (before, tokens(), prop::collection::vec(round, 0..8), ending, tokens()).prop_map(
        |(before, asked, rounds, ending, last)| {
            let mut words: Vec<String> = before.into_iter().map(|(note, tokens)| format!("{note}{tokens}")).collect();
            words.push(format!("p{asked}"));
            for (note, call, result) in rounds {
                words.extend(note.map(|(note, tokens)| format!("{note}{tokens}")));
                words.extend([format!("c{call}"), format!("r{result}")]);
            }
            match ending {
                "" => {}
                // Only what is under way may have a call without a result.
                ending => words.push(format!("{ending}{last}")),
            }
            words.join(" ")
        },
    )
}

fn histories() -> impl Strategy<Value = String> {
    prop::collection::vec(turn(), 1..7).prop_map(|mut turns| {
        let last = turns.len() - 1;
        for turn in &mut turns[..last] {
            if let Some((whole, call)) = turn.rsplit_once(' ')
                && call.starts_with('c')
            {
                *turn = whole.to_owned();
            }
        }
        turns.join(" ")
    })
}

fn modes() -> impl Strategy<Value = CompactionMode> {
    prop_oneof![Just(CompactionMode::KeepRecent), Just(CompactionMode::SafeFrontier)]
}

/// What a window makes of a cut: the note, what stands, and the rest.
fn compacted(items: &[Arc<Item>], tokens: &[u64], covers: usize, note: u64) -> (Vec<Arc<Item>>, Vec<u64>) {
    let mut entries = vec![(Arc::new(Summary::default().note(&budget(0))), note)];
    for (index, (item, tokens)) in items.iter().zip(tokens).enumerate() {
        let newest = items[index + 1..].iter().all(|item| !is_standing(item));
        if index >= covers || (is_standing(item) && newest) {
            entries.push((item.clone(), *tokens));
        }
    }
    entries.into_iter().unzip()
}

/// A twentieth of the campaign, or with `COWRITE_CAMPAIGN=full` all of it.
fn cases() -> ProptestConfig {
    let whole = std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full");
    ProptestConfig::with_cases(if whole { 10_000 } else { 500 })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn c11_c12_c14_whatever_was_said_a_cut_is_safe_and_worth_it(
        text in histories(), recent in 0u64..4_000, soft in 500u64..12_000, mode in modes(),
    ) {
        let budget = Budget { soft, ..budget(recent) };
        let (mut items, mut tokens) = history(&text);
        let newest = items.iter().rposition(|item| is_person(item)).map(|newest| items[newest].clone());
        let unanswered = newest.as_ref().is_some_and(|newest| {
            items.iter().rev().take_while(|item| !Arc::ptr_eq(item, newest)).all(|item| is_user(item))
        });
        let (mut summary, mut under_way) = (None, 0);
        for _ in 0..60 {
            let all: u64 = tokens.iter().sum();
            let history = History { items: &items, tokens: &tokens, summary, under_way, fixed: 300 };
            let cut = match history.cut(&budget, mode) {
                Ok(cut) => cut,
                Err(Nothing::TooLittle { gain, least }) => {
                    prop_assert!(gain < least && least == budget.min_gain);
                    return Ok(());
                }
                // Nothing could be cut off at all: a cut at the frontier would not help either.
                Err(nothing) => {
                    prop_assert!(matches!(nothing, Nothing::NoSafePlace | Nothing::JustCompacted | Nothing::Empty), "{nothing}");
                    prop_assert!(history.cut(&budget, CompactionMode::SafeFrontier).is_err());
                    return Ok(());
                }
            };
            let frontier = history.cut(&budget, CompactionMode::SafeFrontier);
            let (span, kept) = items.split_at(cut.covers);
            // It is safe.
            prop_assert!(kept.first().is_none_or(|item| !is_results(item)), "{text}: {cut:?}");
            prop_assert!((0..span.len()).all(|index| !is_unanswered(span, index)), "{text}: {cut:?}");
            if unanswered {
                prop_assert!(kept.iter().any(|item| newest.as_ref().is_some_and(|newest| Arc::ptr_eq(item, newest))));
            }
            // What it is said to be, it is.
            prop_assert_eq!(cut.tokens, tokens[..cut.covers].iter().sum::<u64>());
            if let Some(split) = cut.split {
                prop_assert!(split < cut.covers && cut.turns_kept > 0 && is_results(&items[cut.covers - 1]));
            }
            prop_assert!(cut.turns_compacted > 0, "{text}: {cut:?}");
            let grown = if summary.is_some() { tokens[0] } else { 0 };
            let (next, weights) = compacted(&items, &tokens, cut.covers, grown);
            let gain = (all + if summary.is_some() { 0 } else { grown }) - weights.iter().sum::<u64>();
            prop_assert!(gain - gain / 5 >= budget.min_gain, "{text}: {gain}");
            // It keeps no more than it may, unless there is no place behind.
            let goes_on = cut.split.filter(|_| cut.turns_kept == 1);
            let asked: u64 = goes_on.map_or(0, |split| {
                let said = (split..cut.covers).filter(|index| is_person(&items[*index]));
                said.map(|index| tokens[index] + REQUEST_FRAME).sum()
            });
            let again = asked.min(recent / 2);
            let first = usize::from(summary.is_some());
            let carried = asked + if goes_on == Some(first) { under_way } else { 0 };
            let carried = carried.min(recent / 2);
            let around = 300 + budget.summary + carried + weights[1..].iter().sum::<u64>();
            let fits = around < soft && tokens[cut.covers..].iter().sum::<u64>() <= recent;
            if mode == CompactionMode::KeepRecent && !fits {
                prop_assert_eq!(Ok(cut), frontier);
            } else if let Ok(frontier) = frontier {
                prop_assert!(cut.covers <= frontier.covers);
            }
            // And then again, until there is a reason not to.
            (items, tokens) = (next, weights);
            tokens[0] = grown + carried - under_way + (gain - again) / 5;
            under_way = carried;
            let after: u64 = tokens.iter().sum();
            prop_assert!(after + budget.min_gain <= all, "{text}: {after} of {all}");
            let goes_on = goes_on.is_some_and(|split| {
                asked > 0 || (split == first && summary.is_some_and(|before: Before| before.goes_on))
            });
            summary = Some(Before { goes_on, ..KNOWN });
        }
        prop_assert!(false, "it never ends: {text}");
    }
}
