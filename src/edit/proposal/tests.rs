use proptest::prelude::*;

use super::*;
use crate::text::cases::campaign;

/// Ids `h1`, `h2`, ….
fn ids() -> impl FnMut() -> String {
    let mut count = 0;
    move || {
        count += 1;
        format!("h{count}")
    }
}

fn told(proposal: &Proposal) -> Vec<String> {
    let base = proposal.base();
    let tell = |Proposed { id, hunk }: &Proposed| {
        format!("{id}: {:?} -> {:?}", base.byte_slice(hunk.range.clone()).to_string(), hunk.new)
    };
    proposal.hunks().iter().map(tell).collect()
}

/// A proposal that leads from one text to the next, change by change.
fn proposed(texts: &[&str], ids: &mut impl FnMut() -> String) -> (Proposal, Vec<Composed>) {
    let mut proposal = Proposal::new(Rope::from_str(texts[0]));
    let mut composed = Vec::new();
    for text in &texts[1..] {
        let text = Rope::from_str(text);
        composed.push(proposal.compose(&Patch::exact(&proposal.overlay(), &text), &mut *ids));
        assert_eq!(proposal.overlay(), text);
    }
    (proposal, composed)
}

#[test]
fn changes_on_one_line_and_on_the_next_are_one_place_for_a_person() {
    let mut proposal = Proposal::new(Rope::from_str("one more\ntwo\nthree\nfour\n"));
    let hunk = |range, new: &str| Hunk { range, new: new.into() };
    // Two on the first line, one on the next, one behind a line that stays.
    let patch = Patch::new(vec![hunk(0..3, "1"), hunk(8..8, "!"), hunk(9..12, "2"), hunk(19..23, "4")]);
    let composed = proposal.compose(&patch, ids());
    assert_eq!(told(&proposal), [r#"h1: "one more\ntwo" -> "1 more!\n2""#, r#"h2: "four" -> "4""#]);
    assert_eq!(composed, Composed { new: vec!["h1".into(), "h2".into()], replaced: vec![] });
}

#[test]
fn a_later_change_that_meets_a_place_makes_one_of_both_with_another_name() {
    let texts = ["a\nb\nc\nd\ne\n", "A\nb\nc\nd\nE\n", "A2\nb\nc\nd\nE\n", "A2\nb\nC\nd\nE\n"];
    let (proposal, composed) = proposed(&texts, &mut ids());
    assert_eq!(composed[1], Composed { new: vec!["h3".into()], replaced: vec!["h1".into()] });
    assert_eq!(composed[2], Composed { new: vec!["h4".into()], replaced: vec![] }, "there is a line between");
    assert_eq!(told(&proposal), [r#"h3: "a" -> "A2""#, r#"h4: "c" -> "C""#, r#"h2: "e" -> "E""#]);
}

#[test]
fn a_change_taken_back_by_the_run_itself_is_gone() {
    let (proposal, composed) = proposed(&["a\nb\nc\n", "A\nb\nc\n", "a\nb\nc\n"], &mut ids());
    assert!(proposal.hunks().is_empty());
    assert_eq!(composed[1], Composed { new: vec![], replaced: vec!["h1".into()] });
}

#[test]
fn typing_beside_a_place_moves_it_and_typing_on_it_ends_it() {
    let (mut proposal, _) = proposed(&["a\nb\nc\nd\n", "A\nb\nC\nd\n"], &mut ids());
    assert!(proposal.follow(&Rope::from_str("typed\na\nb\nc\nd\n")).is_empty());
    assert_eq!(proposal.overlay().to_string(), "typed\nA\nb\nC\nd\n");
    let void = proposal.follow(&Rope::from_str("typed\na\nb\nc!\nd\n"));
    assert_eq!(void.len(), 1);
    assert_eq!(void[0].proposed.id, "h2");
    assert_eq!(void[0].clash.as_ref().expect("lines").to_string(), "line 4 was changed meanwhile");
    assert_eq!(proposal.overlay().to_string(), "typed\nA\nb\nc!\nd\n");
}

#[test]
fn a_place_that_the_person_made_so_by_hand_is_done() {
    let (mut proposal, _) = proposed(&["a\nb\nc\nd\n", "A\nb\nC\nd\n"], &mut ids());
    let void = proposal.follow(&Rope::from_str("a\nb\nC\nd\n"));
    assert_eq!((void.len(), &void[0].clash), (1, &None));
    assert_eq!(told(&proposal), [r#"h1: "a" -> "A""#]);
}

#[test]
fn what_is_accepted_is_in_the_text_and_the_rest_waits_on() {
    let (mut proposal, _) = proposed(&["a\nb\nc\nd\ne\n", "A\nA\nb\nC\nd\nE\n"], &mut ids());
    let change = proposal.pick(|id| id == "h1");
    let before = proposal.base().clone();
    assert!(proposal.made(|id| id == "h1", &before, &change).is_empty());
    assert_eq!(proposal.base().to_string(), "A\nA\nb\nc\nd\ne\n");
    proposal.remove(|id| id == "h2");
    assert_eq!(proposal.overlay().to_string(), "A\nA\nb\nc\nd\nE\n");
}

#[test]
fn hunks_that_do_not_fit_the_text_are_not_restored() {
    let waiting = |range| vec![Proposed { id: "h1".into(), hunk: Hunk { range, new: "x".into() } }];
    let base = || Rope::from_str("aä");
    assert!(Proposal::restored(base(), waiting(0..1)).is_some());
    assert!(Proposal::restored(base(), waiting(0..2)).is_none());
    assert!(Proposal::restored(base(), waiting(0..9)).is_none());
    assert!(Proposal::restored(base(), [waiting(0..1), waiting(0..1)].concat()).is_none());
}

#[derive(Clone, Debug)]
enum Act {
    /// The run changes its text: a place, and what stands there then.
    Propose(usize, usize, String),
    /// The person types behind so many lines.
    Type(usize),
    Accept(usize),
    Reject(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..40_usize, 0..4_usize, "[ab\n]{0,4}").prop_map(|(at, len, new)| Act::Propose(at, len, new)),
        2 => (0..20_usize).prop_map(Act::Type),
        2 => (0..4_usize).prop_map(Act::Accept),
        1 => (0..4_usize).prop_map(Act::Reject),
    ]
}

proptest! {
    #![proptest_config(campaign(40_000))]

    #[test]
    fn nothing_typed_is_lost_and_the_rest_is_as_was_decided(
        base in "([ab]{0,3}\n){1,8}", acts in prop::collection::vec(act(), 1..16),
    ) {
        let mut proposal = Proposal::new(Rope::from_str(&base));
        let mut ids = ids();
        let mut typed = 0;
        for act in acts {
            let count = proposal.hunks().len();
            match act {
                Act::Propose(at, len, new) => {
                    let overlay = proposal.overlay();
                    // What the person typed is no more the run's to delete than anything else in this test.
                    let text = overlay.to_string();
                    let start = at.min(text.len());
                    let end = (start + len).min(text.len());
                    if !text.is_char_boundary(start) || !text.is_char_boundary(end) || text[start..end].contains('ß') {
                        continue;
                    }
                    let patch = Patch::joined([Hunk { range: start..end, new }]);
                    let composed = proposal.compose(&patch, &mut ids);
                    prop_assert_eq!(proposal.overlay(), patch.apply(&overlay));
                    prop_assert!(composed.replaced.iter().all(|id| proposal.hunks().iter().all(|hunk| hunk.id != *id)));
                    prop_assert!(composed.new.iter().all(|id| proposal.hunks().iter().any(|hunk| hunk.id == *id)));
                }
                Act::Type(line) => {
                    let before = proposal.clone();
                    let mut text = proposal.base().clone();
                    let at = text.line_to_byte(line.min(text.len_lines() - 1));
                    crate::text::replace(&mut text, at..at, "ß");
                    typed += 1;
                    let void = proposal.follow(&text);
                    prop_assert_eq!(before.hunks().len(), proposal.hunks().len() + void.len());
                    prop_assert_eq!(proposal.base(), &text);
                    // Whole, it moves as an edit does.
                    let edit = before.pick(|_| true);
                    if let Ok(moved) = edit.rebase(before.base(), &deltas_between(before.base(), &text), &text) {
                        prop_assert!(void.is_empty());
                        prop_assert_eq!(proposal.overlay(), moved.apply(&text));
                    }
                }
                Act::Accept(which) if count > 0 => {
                    let id = proposal.hunks()[which % count].id.clone();
                    let (wanted, before) = (proposal.overlay(), proposal.base().clone());
                    let change = proposal.pick(|hunk| hunk == id);
                    let void = proposal.made(|hunk| hunk == id, &before, &change);
                    prop_assert_eq!(proposal.base(), &change.apply(&before));
                    prop_assert!(void.is_empty(), "what waits beside it is not in its way: {:?}", void);
                    prop_assert_eq!(proposal.overlay(), wanted, "whatever the order, all of them make the text of the run");
                }
                Act::Reject(which) if count > 0 => {
                    let id = proposal.hunks()[which % count].id.clone();
                    let before = proposal.base().clone();
                    prop_assert_eq!(proposal.remove(|hunk| hunk == id).len(), 1);
                    prop_assert_eq!(proposal.base(), &before);
                }
                _ => {}
            }
            prop_assert_eq!(proposal.base().to_string().matches('ß').count(), typed);
            prop_assert!(proposal.overlay().to_string().matches('ß').count() == typed);
        }
        let person = proposal.base().clone();
        proposal.remove(|_| true);
        prop_assert_eq!(proposal.overlay(), person);
    }
}
