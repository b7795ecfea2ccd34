use super::*;
use crate::protocol::{ContextSource, ContextUse, PlanStep};
use crate::session::state::State;
use crate::store::Owner;

fn runs(max_runs: usize) -> Runs {
    Runs::new(SessionId::new(), Head::default(), true, &Limits { max_runs, ..Limits::default() }, Vec::new())
}

fn text(text: &str) -> Event {
    Event::TextDelta { text: text.into() }
}

fn started() -> Event {
    Event::RunStarted { prompt: "p".into(), command: None }
}

fn finished(status: RunStatus) -> Event {
    Event::RunFinished { status, result_text: None, error: None }
}

/// Does what the actor does, with a store that always works: gives what is recorded, by first and last number.
fn record(runs: &Runs, run: RunId, events: Vec<Event>) -> Vec<(Option<u64>, u64)> {
    let mut recorded = Vec::new();
    for event in events {
        if event.is_delta() {
            runs.delta(run, event);
            continue;
        }
        let mut stage = Stage::new(&State::default());
        runs.stage(&mut stage, run, event);
        runs.publish(&stage, Head::default());
        recorded.extend(stage.records.iter().map(|record| match record {
            Record::Event(told) => (told.first, told.sequence),
            other => panic!("{other:?}"),
        }));
    }
    recorded
}

#[test]
fn r3_sequences_begin_at_one_and_the_deltas_of_a_block_are_recorded_as_one_event() {
    let runs = runs(10);
    let (run, _) = runs.create("p").expect("room");
    let events = vec![
        started(),
        text("a"),
        text("b"),
        Event::TurnStarted { turn: 2 },
        text("c"),
        finished(RunStatus::Completed),
    ];
    assert_eq!(record(&runs, run, events), [(None, 1), (Some(2), 3), (None, 4), (None, 5), (None, 6)]);
    assert_eq!(runs.snapshot(run).expect("known").event_count, 6);
    let (events, count) = runs.events(run, 0).expect("known");
    assert_eq!((events, count), (None, 6), "what is all in the store takes no memory");
}

#[test]
fn r3_the_deltas_of_two_blocks_are_two_events_and_reading_sees_them_before_they_are_recorded() {
    let runs = runs(10);
    let (run, _) = runs.create("p").expect("room");
    record(&runs, run, vec![started(), text("a"), text("b")]);
    runs.seal(run);
    record(&runs, run, vec![text("c")]);
    let (events, count) = runs.events(run, 0).expect("known");
    let events = events.expect("live");
    let seen: Vec<(Option<u64>, u64)> = events.iter().map(|event| (event.first, event.sequence)).collect();
    assert_eq!((seen, count), (vec![(None, 1), (Some(2), 3), (None, 4)], 4));
    assert_eq!(events[1].event, text("ab"));
    assert_eq!(record(&runs, run, vec![Event::TurnStarted { turn: 1 }]), [(Some(2), 3), (None, 4), (None, 5)]);
}

#[test]
fn nothing_staged_is_seen_before_it_is_kept() {
    let runs = runs(10);
    let (run, _) = runs.create("p").expect("room");
    let mut stage = Stage::new(&State::default());
    runs.stage(&mut stage, run, started());
    runs.stage(&mut stage, run, Event::TurnStarted { turn: 1 });
    assert_eq!(runs.snapshot(run).expect("known").status, RunStatus::Created);
    assert_eq!(runs.events(run, 0).expect("known").1, 0);
    runs.publish(&stage, Head::default());
    assert_eq!(runs.snapshot(run).expect("known").status, RunStatus::Executing);
    assert_eq!(runs.events(run, 0).expect("known").1, 2);
}

#[test]
fn after_a_crash_numbers_that_may_have_been_told_stand_as_one_empty_delta() {
    let before = runs(10);
    let (run, _) = before.create("p").expect("room");
    record(&before, run, vec![started(), text("lost")]);
    let mut snapshot = before.snapshot(run).expect("known");
    snapshot.event_count = 1;
    let stored = StoredRun { snapshot, reserved: 1 + RESERVE, first: 1, last: 1, owner: Owner::Gone };
    let after = Runs::new(SessionId::new(), Head::default(), true, &Limits::default(), vec![stored.clone()]);
    let mut stage = Stage::new(&State::default());
    after.stage_lost(&mut stage, &stored);
    after.stage(&mut stage, run, finished(RunStatus::Interrupted));
    let numbers: Vec<(Option<u64>, u64)> = stage
        .records
        .iter()
        .map(|record| match record {
            Record::Event(told) => (told.first, told.sequence),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [(Some(2), 1 + RESERVE), (None, 2 + RESERVE)]);
}

#[test]
fn a_run_asks_for_numbers_before_it_tells_more_deltas_than_were_kept_for_it() {
    let runs = runs(10);
    let (run, _) = runs.create("p").expect("room");
    record(&runs, run, vec![started()]);
    for _ in 0..RESERVE {
        assert!(!runs.is_short_of_numbers(run));
        runs.delta(run, text("x"));
    }
    assert!(runs.is_short_of_numbers(run));
    let mut stage = Stage::new(&State::default());
    runs.stage_standing(&mut stage, run);
    let moved = &runs.moved(&stage)[0];
    assert_eq!((moved.snapshot.event_count, moved.reserved), (1, 1 + 2 * RESERVE), "none of them is recorded yet");
    runs.publish(&stage, Head::default());
    assert!(!runs.is_short_of_numbers(run));
    assert_eq!(record(&runs, run, vec![Event::TurnStarted { turn: 1 }]), [(Some(2), 1 + RESERVE), (None, 2 + RESERVE)]);
}

#[test]
fn r4_the_oldest_finished_runs_go_first() {
    let runs = runs(2);
    let ids: Vec<RunId> = (0..3).map(|_| runs.create("p").expect("room").0).collect();
    for id in &ids[1..] {
        record(&runs, *id, vec![finished(RunStatus::Cancelled)]);
    }
    let left: Vec<RunId> = runs.snapshots().iter().map(|run| run.id).collect();
    assert_eq!(left, [ids[0], ids[2]], "the first one waits and must stay");
}

#[test]
fn r1_nothing_moves_a_run_out_of_a_final_state() {
    let runs = runs(10);
    let (run, _) = runs.create("p").expect("room");
    record(&runs, run, vec![finished(RunStatus::Cancelled)]);
    assert!(record(&runs, run, vec![finished(RunStatus::Completed), text("late")]).is_empty());
    assert_eq!(runs.snapshot(run).expect("known").status, RunStatus::Cancelled);
    let mut stage = Stage::new(&State::default());
    let landed =
        Event::EditApplied { uri: "file:///a".into(), hunks: Vec::new(), rebased: false, late: false, file: None };
    runs.stage(&mut stage, run, landed).expect("an edit that landed is always told");
    let told = stage.tells().next().expect("told");
    assert_eq!((told.run_id, told.sequence), (None, 1));
    assert!(matches!(told.event, Event::EditApplied { late: true, .. }), "{told:?}");
    runs.publish(&stage, Head::default());
    assert_eq!(runs.snapshot(run).expect("known").edits.len(), 1, "the snapshot tells of it too");
}

#[test]
fn r2_planning_ends_when_its_step_list_is_done_and_verifying_begins_with_its_commands() {
    let runs = runs(10);
    let (run, _) = runs.create("p").expect("room");
    let step = |done| PlanStep { title: "step".into(), done };
    let status = || runs.snapshot(run).expect("known").status;
    record(&runs, run, vec![started(), Event::Planning { steps: vec![step(true), step(false)] }]);
    assert_eq!(status(), RunStatus::Planning);
    record(&runs, run, vec![Event::Planning { steps: vec![step(true), step(true)] }]);
    assert_eq!(status(), RunStatus::Executing);
    record(&runs, run, vec![Event::Verifying { command: "cargo check".into() }]);
    assert_eq!(status(), RunStatus::Verifying);
    record(&runs, run, vec![Event::TurnStarted { turn: 2 }]);
    assert_eq!(status(), RunStatus::Executing, "the model mends what the commands found");
}

#[test]
fn r3_event_and_snapshot_change_together() {
    let runs = runs(10);
    let (run, _) = runs.create("p").expect("room");
    let context = ContextUse { used: 1, limit: None, source: ContextSource::Measured };
    let usage = Event::cost(Usage { input: Some(3), ..Usage::default() }, context, 1);
    record(&runs, run, vec![started(), usage.clone(), usage]);
    let snapshot = runs.snapshot(run).expect("known");
    assert_eq!((snapshot.event_count, snapshot.usage.input), (3, Some(6)));
}

#[test]
fn r5_a_reader_behind_what_was_trimmed_is_told_of_the_gap() {
    let event =
        |first: Option<u64>, sequence| Envelope { first, ..envelope(None, SessionId::new(), sequence, text("x")) };
    let page = |events: Vec<Envelope>, after, count| {
        let page = EventPage::of(events, after, count);
        (page.next, page.retention_gap)
    };
    assert_eq!(page(vec![event(None, 1), event(None, 2)], 0, 2), (2, false));
    assert_eq!(page(vec![event(Some(3), 5)], 0, 5), (5, true));
    assert_eq!(page(vec![event(Some(3), 5)], 2, 5), (5, false));
    assert_eq!(page(vec![event(Some(3), 5)], 4, 5), (5, false), "in the middle of a block");
    assert_eq!(page(vec![], 5, 5), (5, false));
    assert_eq!(page(vec![], 4, 5), (5, true));
}

#[test]
fn r6_cancel_acts_on_the_named_run_and_a_second_one_is_no_error() {
    let runs = runs(10);
    let (one, token_of_one) = runs.create("1").expect("room");
    let (_, token_of_two) = runs.create("2").expect("room");
    assert!(runs.cancel(one));
    assert!(token_of_one.is_cancelled() && !token_of_two.is_cancelled());
    record(&runs, one, vec![finished(RunStatus::Cancelled)]);
    assert!(!runs.cancel(one));
    assert!(!runs.cancel(RunId::new()));
}

#[test]
fn r12_one_run_is_live_and_eight_wait() {
    let runs = runs(100);
    for _ in 0..9 {
        runs.create("p").expect("room");
    }
    assert_eq!(runs.create("one too many").expect_err("full"), StartError::Busy);
}
