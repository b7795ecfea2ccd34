//! What a session sees of its summariser, whatever the summariser does.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};

use super::*;
use crate::model::{Block, ModelError, Request, StopReason, StreamEvent, TurnStream};

/// What a provider does, one after the other.
#[derive(Clone)]
enum Step {
    Event(StreamEvent),
    Wait(u64),
    Error(&'static str),
    Panic,
    Hang,
}

struct Played {
    steps: Vec<Step>,
    /// Before there is a stream.
    early: Option<Step>,
    context: Option<u64>,
    max_output: Option<u64>,
    asked: AtomicUsize,
    /// Counts the streams that are still there.
    open: Arc<()>,
    seen: Mutex<Vec<Request>>,
}

#[async_trait]
impl Provider for Played {
    fn name(&self) -> &str {
        "played/m"
    }

    fn context(&self) -> Option<u64> {
        self.context
    }

    fn max_output(&self) -> Option<u64> {
        self.max_output
    }

    fn redacted(&self, text: String) -> String {
        assert!(text != "PANIC");
        text.replace("sk-secret", "…")
    }

    async fn stream(&self, request: Request) -> Result<TurnStream, ModelError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(request);
        let open = Arc::clone(&self.open);
        match &self.early {
            None => {}
            Some(Step::Panic) => panic!("before the stream"),
            Some(Step::Hang) => std::future::pending().await,
            Some(Step::Wait(seconds)) => tokio::time::sleep(Duration::from_secs(*seconds)).await,
            Some(Step::Error(why)) => return Err(ModelError::NotConfigured((*why).to_owned())),
            Some(Step::Event(_)) => unreachable!("events come from a stream"),
        }
        let steps = stream::iter(self.steps.clone()).filter_map(move |step| {
            let open = Arc::clone(&open);
            async move {
                let _open = open;
                match step {
                    Step::Event(event) => Some(Ok(event)),
                    Step::Error(why) => Some(Err(ModelError::Script(why.to_owned()))),
                    Step::Panic => panic!("in the midst of the stream"),
                    Step::Hang => std::future::pending().await,
                    Step::Wait(seconds) => {
                        tokio::time::sleep(Duration::from_secs(seconds)).await;
                        None
                    }
                }
            }
        });
        Ok(steps.boxed())
    }
}

fn played(steps: Vec<Step>) -> Played {
    Played {
        steps,
        early: None,
        context: Some(50_000),
        max_output: Some(8_000),
        asked: AtomicUsize::new(0),
        open: Arc::default(),
        seen: Mutex::default(),
    }
}

fn provider(steps: Vec<Step>) -> Arc<Played> {
    Arc::new(played(steps))
}

fn early(step: Step) -> Arc<Played> {
    Arc::new(Played { early: Some(step), ..played(said("A summary.")) })
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

fn text(text: &str) -> Step {
    Step::Event(StreamEvent::Text { index: 0, text: text.to_owned() })
}

fn counted(input: u64, output: u64) -> Step {
    Step::Event(StreamEvent::Usage(usage(input, output)))
}

fn finished(stop: StopReason) -> Vec<Step> {
    vec![Step::Event(StreamEvent::BlockStopped { index: 0 }), Step::Event(StreamEvent::Finished(stop))]
}

/// A good answer, in two pieces.
fn said(words: &str) -> Vec<Step> {
    let (first, last) = words.split_at(words.len() / 2);
    [vec![text(first), text(last), counted(70, 9)], finished(StopReason::End)].concat()
}

fn budget() -> Budget {
    Budget {
        limit: 32_000,
        soft: 19_200,
        hard: 27_200,
        recent: 12_000,
        results: 8_000,
        preview: 2_048,
        min_gain: 1_024,
        summary: 3_000,
        per_mille: 1_000,
    }
}

fn job(reason: Reason, provider: &Arc<Played>) -> Job {
    Job {
        reason,
        run: None,
        provider: Arc::clone(provider) as Arc<dyn Provider>,
        items: (0..6)
            .map(|n| Arc::new(Item::asked(format!("entry {n} ").repeat(300), Some("Go.".to_owned()))))
            .collect(),
        cut: Cut { covers: 4, split: None, turns_compacted: 4, turns_kept: 2, tokens: 2_400 },
        before: None,
        rules: vec!["AGENTS.md".to_owned()],
        focus: None,
        used: 20_000,
        budget: budget(),
        cooldown: Duration::from_secs(60),
        max_attempts: 100,
        ask_first: None,
        timeout: Duration::from_secs(120),
    }
}

fn compactor() -> Compactor {
    Compactor::default()
}

async fn outcome(compactor: &Compactor) -> Outcome {
    compactor.finished().await;
    compactor.take().expect("an outcome after finished()")
}

/// What comes of a command with this provider.
async fn commanded(provider: &Arc<Played>) -> Outcome {
    let compactor = compactor();
    compactor.start(job(Reason::Command, provider)).unwrap();
    outcome(&compactor).await
}

fn failure(outcome: Outcome) -> Failure {
    outcome.expect_err("a failure").failure
}

async fn wait(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_summary_is_made_beside_everything_else() {
    let provider = provider(said("Half of it. And the key sk-secret."));
    let compactor = compactor();
    assert!(!compactor.is_busy());
    compactor.start(job(Reason::Soft, &provider)).unwrap();
    assert!(compactor.is_busy() && compactor.take().is_none());
    let made = outcome(&compactor).await.unwrap();
    assert!(!compactor.is_busy() && compactor.take().is_none(), "the outcome is there once");
    assert_eq!((made.reason, made.model.as_str(), made.sent), (Reason::Soft, "played/m", 1));
    assert_eq!(made.summary.told, "Half of it. And the key ….");
    assert_eq!(made.summary.facts.rules, ["AGENTS.md"]);
    assert_eq!((made.summary.turns, made.summary.compactions), (4, 1));
    assert_eq!((made.usage, made.cut, made.budget), (usage(70, 9), job(Reason::Soft, &provider).cut, budget()));
    assert_eq!(format!("{:?}", &*made.origin), format!("{:?}", &job(Reason::Soft, &provider).items[..4]));
}

#[tokio::test(start_paused = true)]
async fn the_summariser_is_given_what_it_can_take_in() {
    // Tokens in all, of one answer, and what is left for the question.
    for (context, max_output, room) in [
        (Some(50_000), Some(8_000), 42_000),
        (Some(50_000), None, 43_875),
        (Some(16_000), Some(12_000), 8_000),
        (None, Some(8_000), 32_000),
    ] {
        let provider = Arc::new(Played { context, max_output, ..played(said("A summary.")) });
        let entry = |n| Arc::new(Item::told(format!("entry {n} ").repeat(150)));
        let items: Arc<[Arc<Item>]> = (0..300).map(entry).collect();
        let cut = Cut { covers: 298, tokens: 90_000, ..job(Reason::Soft, &provider).cut };
        let job = || Job { items: Arc::clone(&items), cut, ..job(Reason::Soft, &provider) };
        let compactor = compactor();
        compactor.start(job()).unwrap();
        outcome(&compactor).await.unwrap();
        let seen = format!("{:?}", provider.seen.lock().unwrap()[0].items);
        let asked = |room| format!("{:?}", Summary::request(&items, &cut, None, None, room, &budget()).items);
        let told = format!("{context:?} {max_output:?}: {} of {}", seen.len(), asked(room).len());
        assert!(seen == asked(room) && seen.len() > asked(room - 6_000).len(), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn c16_a_summariser_that_thinks_before_it_writes_has_room_for_that() {
    // Tokens in all, of one answer, whether it has thought in this history, and what its answer may hold.
    for (context, max_output, thinks, most) in [
        (Some(200_000), None, true, 19_384),
        (Some(200_000), None, false, 15_500),
        (Some(200_000), Some(64_000), true, 19_384),
        (Some(200_000), Some(2_000), true, 2_000),
        (Some(16_000), None, true, 7_000),
        (Some(8_000), None, true, 4_000),
        (Some(8_000), None, false, 3_500),
    ] {
        let provider = Arc::new(Played { context, max_output, ..played(said("A summary.")) });
        let blocks = vec![Block::Reasoning { text: "Let me see.".into(), raw: None }];
        let model = if thinks { "played/m" } else { "another/m" };
        let thought = Item::Assistant { model: model.into(), origin: String::new(), blocks, partial: false };
        let job = job(Reason::Command, &provider);
        let items = [&job.items[..3], &[Arc::new(thought)], &job.items[3..]].concat().into();
        let compactor = compactor();
        compactor.start(Job { items, ..job }).unwrap();
        outcome(&compactor).await.unwrap();
        let seen = &provider.seen.lock().unwrap()[0];
        assert_eq!(seen.max_output, Some(most), "{context:?} {max_output:?} {thinks}");
        let sent: u64 = seen.items.iter().map(|item| crate::context::tokens::of_item(item)).sum();
        assert!(sent + most <= context.unwrap(), "{sent} and {most} of {context:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn c16_a_summariser_that_takes_in_too_little_is_not_asked() {
    let provider = Arc::new(Played { context: Some(2_000), max_output: None, ..played(said("A summary.")) });
    let failed = commanded(&provider).await.unwrap_err();
    assert!(failed.to_string().contains("played/m takes in about 1000 tokens"), "{failed}");
    assert!(failed.to_string().contains("compaction.model"), "{failed}");
    assert_eq!((provider.asked.load(Ordering::SeqCst), failed.usage), (0, Usage::default()));
}

#[tokio::test(start_paused = true)]
async fn c8_one_at_a_time_until_its_outcome_is_taken() {
    let provider = provider(said("A summary."));
    let compactor = compactor();
    compactor.start(job(Reason::Soft, &provider)).unwrap();
    for reason in [Reason::Soft, Reason::Hard, Reason::Overflow, Reason::Command] {
        assert_eq!(compactor.start(job(reason, &provider)), Err(Refusal::Running));
    }
    compactor.finished().await;
    assert_eq!(compactor.start(job(Reason::Hard, &provider)), Err(Refusal::Running), "nobody would see the first one");
    compactor.take().unwrap().unwrap();
    compactor.start(job(Reason::Hard, &provider)).unwrap();
    outcome(&compactor).await.unwrap();
    assert_eq!(provider.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn c8_the_background_pauses_between_starts_and_nobody_else_does() {
    let provider = provider([vec![Step::Wait(10)], said("A summary.")].concat());
    let compactor = compactor();
    compactor.start(job(Reason::Command, &provider)).unwrap();
    outcome(&compactor).await.unwrap();
    let refusal = compactor.start(job(Reason::Soft, &provider)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::Cooling { seconds: 50 },
        "the pause is between starts, whoever asked for the last one"
    );
    assert_eq!(refusal.to_string(), "the last compaction began a short while ago; the next one can in 50 s",);
    for reason in [Reason::Hard, Reason::Overflow, Reason::Command] {
        compactor.start(job(reason, &provider)).unwrap();
        outcome(&compactor).await.unwrap();
    }
    wait(49).await;
    assert_eq!(compactor.start(job(Reason::Soft, &provider)), Err(Refusal::Cooling { seconds: 1 }));
    wait(1).await;
    compactor.start(job(Reason::Soft, &provider)).unwrap();
    outcome(&compactor).await.unwrap();
    let hurried = Job { cooldown: Duration::ZERO, ..job(Reason::Soft, &provider) };
    compactor.start(hurried).expect("a cooldown of zero is none");
}

#[tokio::test(start_paused = true)]
async fn c8_the_pause_grows_with_failures_and_shrinks_with_a_success() {
    let (bad, good) = (provider(vec![Step::Error("no")]), provider(said("A summary.")));
    let compactor = compactor();
    // A third one would open the breaker.
    for pause in [120, 240] {
        compactor.start(job(Reason::Soft, &bad)).unwrap();
        outcome(&compactor).await.unwrap_err();
        assert_eq!(compactor.start(job(Reason::Soft, &bad)), Err(Refusal::Cooling { seconds: pause }));
        wait(pause).await;
    }
    compactor.start(job(Reason::Soft, &good)).unwrap();
    outcome(&compactor).await.unwrap();
    assert_eq!(compactor.start(job(Reason::Soft, &good)), Err(Refusal::Cooling { seconds: 60 }));
    // Whoever sets a long pause gets it, and no longer one after failures.
    let long = || Job { cooldown: Duration::from_secs(400), ..job(Reason::Soft, &bad) };
    wait(400).await;
    compactor.start(long()).unwrap();
    outcome(&compactor).await.unwrap_err();
    assert_eq!(compactor.start(long()), Err(Refusal::Cooling { seconds: 400 }));
}

#[tokio::test(start_paused = true)]
async fn c8_a_hundred_attempts_until_one_has_helped() {
    let provider = provider(said("A summary."));
    let compactor = compactor();
    let soft = || Job { cooldown: Duration::ZERO, ..job(Reason::Soft, &provider) };
    for _ in 0..100 {
        compactor.start(soft()).unwrap();
        outcome(&compactor).await.unwrap();
    }
    let refusal = compactor.start(soft()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "100 compactions were tried without one that helped; cowrite.compact tries another"
    );
    compactor.start(job(Reason::Command, &provider)).expect("the person may");
    outcome(&compactor).await.unwrap();
    assert_eq!(compactor.start(soft()), Err(Refusal::Exhausted(101)));
    compactor.applied();
    compactor.start(soft()).unwrap();
    outcome(&compactor).await.unwrap();
    let few = || Job { max_attempts: 1, ..soft() };
    assert_eq!(compactor.start(few()), Err(Refusal::Exhausted(1)));
}

#[tokio::test(start_paused = true)]
async fn c8_the_time_limit_is_inside_the_task() {
    let slow = provider([vec![counted(70, 1), text("slow"), Step::Wait(121)], said("A summary.")].concat());
    for provider in [slow, provider(vec![counted(70, 1), Step::Hang])] {
        let compactor = compactor();
        let began = Instant::now();
        compactor.start(job(Reason::Soft, &provider)).unwrap();
        // Nobody waits for it or looks at it.
        tokio::time::sleep(Duration::from_secs(119)).await;
        assert!(compactor.shared.state().underway.is_some());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(compactor.shared.state().underway.is_none() && Arc::strong_count(&provider.open) == 1);
        let failed = outcome(&compactor).await.unwrap_err();
        assert_eq!((&failed.failure, failed.usage), (&Failure::TimedOut(120), usage(70, 1)));
        assert_eq!(failed.to_string(), "the summary was not there after 120 s");
        assert_eq!(began.elapsed(), Duration::from_secs(121));
    }
    assert_eq!(failure(commanded(&early(Step::Hang)).await), Failure::TimedOut(120));
    assert!(commanded(&early(Step::Wait(119))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn c9_an_outcome_is_kept_however_late_it_is_taken() {
    let provider = provider(said("A summary."));
    let compactor = compactor();
    compactor.start(job(Reason::Soft, &provider)).unwrap();
    compactor.finished().await;
    tokio::time::sleep(Duration::from_secs(86_400)).await;
    assert!(compactor.is_busy());
    compactor.finished().await;
    assert_eq!(compactor.take().unwrap().unwrap().summary.told, "A summary.");
}

#[tokio::test(start_paused = true)]
async fn c9_every_waiter_is_woken_also_those_who_come_too_late_to_take_it() {
    let compactor = Arc::new(compactor());
    let waiting = |compactor: &Arc<Compactor>| {
        let compactor = Arc::clone(compactor);
        tokio::spawn(async move {
            compactor.finished().await;
            compactor.take().is_some()
        })
    };
    let before: Vec<_> = (0..5).map(|_| waiting(&compactor)).collect();
    tokio::task::yield_now().await;
    compactor.start(job(Reason::Soft, &provider([vec![Step::Wait(5)], said("A summary.")].concat()))).unwrap();
    let after: Vec<_> = (0..5).map(|_| waiting(&compactor)).collect();
    let mut took = 0;
    for waiter in before.into_iter().chain(after) {
        took += usize::from(waiter.await.unwrap());
    }
    assert_eq!(took, 1);
    compactor.settled().await;
    let idle = tokio::time::timeout(Duration::from_secs(3600), compactor.finished());
    assert!(idle.await.is_err(), "nothing is under way, so there is nothing to take");
}

#[tokio::test(start_paused = true)]
async fn c9_what_is_stopped_is_forgotten_and_its_waiters_go_on() {
    let slow = provider([vec![counted(70, 1), Step::Wait(5)], said("A summary.")].concat());
    let compactor = Arc::new(compactor());
    assert_eq!(compactor.abort(), None);
    compactor.start(job(Reason::Hard, &slow)).unwrap();
    let waiter = tokio::spawn({
        let compactor = Arc::clone(&compactor);
        async move { compactor.finished().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopped = compactor.abort().unwrap();
    assert_eq!((stopped.failure, stopped.usage, stopped.reason), (Failure::Aborted, usage(70, 1), Reason::Hard));
    tokio::time::timeout(Duration::from_secs(1), waiter).await.expect("the waiter goes on").unwrap();
    assert!(!compactor.is_busy());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(compactor.take().is_none() && Arc::strong_count(&slow.open) == 1, "the request is over too");

    // The same for an outcome that waits, and the next job's is its own.
    compactor.start(job(Reason::Soft, &slow)).unwrap();
    compactor.finished().await;
    assert_eq!(compactor.abort().unwrap().usage, usage(70, 9));
    compactor.start(job(Reason::Command, &provider(said("Another one.")))).unwrap();
    assert_eq!(outcome(&compactor).await.unwrap().summary.told, "Another one.");
}

#[tokio::test(start_paused = true)]
async fn c10_failing_is_told_and_harms_nothing() {
    let cut_off = [vec![text("half of a sen"), counted(70, 9)], finished(StopReason::MaxTokens)].concat();
    let broken = vec![text("half of a sen"), counted(70, 9)];
    let refusing = vec![counted(70, 9), Step::Error("the key sk-secret is refused")];
    let silent = [vec![counted(70, 9)], finished(StopReason::End)].concat();
    for (steps, why) in [
        (cut_off, "the model's answer was cut off at its output limit"),
        (broken, "played/m broke off its answer (the stream ended before the turn did)"),
        (refusing, "the key … is refused"),
        (silent, "the model's answer was empty"),
    ] {
        let failed = commanded(&provider(steps)).await.unwrap_err();
        assert_eq!(failed.to_string(), format!("the summary could not be made: {why}"));
        assert_eq!((failed.usage, failed.model.as_str()), (usage(70, 9), "played/m"), "{why}");
    }
    let failed = commanded(&early(Step::Error("no key"))).await.unwrap_err();
    assert_eq!(failed.to_string(), "the summary could not be made: no key");
    assert_eq!(failed.usage, Usage::default());
    let short = Job { items: Arc::from([]), ..job(Reason::Command, &provider(said("A summary."))) };
    let compactor = compactor();
    compactor.start(short).unwrap();
    assert!(matches!(failure(outcome(&compactor).await), Failure::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn c10_a_panic_is_contained_wherever_it_happens() {
    let in_the_stream = provider(vec![counted(70, 9), Step::Panic]);
    for (provider, spent) in [(early(Step::Panic), Usage::default()), (in_the_stream, usage(70, 9))] {
        let compactor = compactor();
        compactor.start(job(Reason::Soft, &provider)).unwrap();
        let failed = outcome(&compactor).await.unwrap_err();
        assert_eq!((failed.failure, failed.usage), (Failure::Panicked, spent));
        compactor.start(job(Reason::Command, &self::provider(said("A summary.")))).unwrap();
        outcome(&compactor).await.unwrap();
    }
    // Not even that is safe.
    assert_eq!(failure(commanded(&provider(said("PANIC"))).await), Failure::Panicked);
}

#[tokio::test(start_paused = true)]
async fn c10_the_task_ends_with_its_owner() {
    let hanging = provider(vec![text("a"), Step::Hang]);
    let compactor = compactor();
    compactor.start(job(Reason::Soft, &hanging)).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(Arc::strong_count(&hanging.open) > 1);
    drop(compactor);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&hanging.open), 1);
    assert_eq!(Arc::strong_count(&hanging), 1);
}

#[test]
fn c10_a_runtime_that_goes_down_is_an_abort() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let compactor = compactor();
    let hanging = provider(vec![counted(70, 9), Step::Hang]);
    let first = runtime();
    first.block_on(async {
        compactor.start(job(Reason::Soft, &hanging)).unwrap();
        tokio::task::yield_now().await;
    });
    drop(first);
    let failed = compactor.take().unwrap().unwrap_err();
    assert_eq!((&failed.failure, failed.usage), (&Failure::Aborted, usage(70, 9)));
    assert_eq!(failed.to_string(), "the summary was stopped");
    assert_eq!(compactor.start(job(Reason::Command, &hanging)), Err(Refusal::Closed), "there is nobody to do it");
}

#[tokio::test(start_paused = true)]
async fn c10_three_failures_in_a_row_open_a_breaker_for_a_while() {
    let bad = provider(vec![Step::Error("no")]);
    let compactor = compactor();
    for _ in 0..3 {
        compactor.start(job(Reason::Hard, &bad)).unwrap();
        outcome(&compactor).await.unwrap_err();
    }
    wait(100).await;
    let refusal = compactor.start(job(Reason::Soft, &bad)).unwrap_err();
    assert_eq!(refusal.to_string(), "compaction has failed 3 times one after another; it is tried again in 200 s");
    for reason in [Reason::Hard, Reason::Overflow, Reason::Command] {
        compactor
            .start(job(reason, &provider([vec![Step::Wait(1)], said("")].concat())))
            .expect("who needs it may try");
        compactor.abort().unwrap();
    }
    // The pause after those is as long as the rest.
    wait(200).await;
    assert_eq!(compactor.start(job(Reason::Soft, &bad)), Err(Refusal::Cooling { seconds: 100 }));
    wait(100).await;
    compactor.start(job(Reason::Soft, &bad)).unwrap();
    outcome(&compactor).await.unwrap_err();
    assert_eq!(compactor.start(job(Reason::Soft, &bad)), Err(Refusal::Broken { failures: 4, seconds: 300 }));
    compactor.start(job(Reason::Command, &provider(said("A summary.")))).unwrap();
    outcome(&compactor).await.unwrap();
    assert_eq!(
        compactor.start(job(Reason::Soft, &bad)),
        Err(Refusal::Cooling { seconds: 60 }),
        "one success closes it"
    );
}

#[tokio::test(start_paused = true)]
async fn c10_stopping_is_no_failure() {
    let slow = provider(vec![Step::Wait(1), Step::Hang]);
    let compactor = compactor();
    for _ in 0..10 {
        compactor.start(Job { cooldown: Duration::ZERO, ..job(Reason::Soft, &slow) }).unwrap();
        assert_eq!(compactor.abort().unwrap().failure, Failure::Aborted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_closed_begins_nothing_more() {
    let slow = provider(vec![Step::Hang]);
    let compactor = compactor();
    compactor.start(job(Reason::Soft, &slow)).unwrap();
    assert_eq!(compactor.close().unwrap().failure, Failure::Aborted);
    assert_eq!(compactor.start(job(Reason::Command, &slow)), Err(Refusal::Closed));
    assert_eq!(compactor.close(), None);
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_cost_that_was_made_again_is_counted() {
    let retrying = StreamEvent::Retrying {
        attempt: 1,
        delay: Duration::from_secs(1),
        reason: "the answer broke off".to_owned(),
        discarded: true,
    };
    let steps = [vec![text("void"), counted(70, 3), Step::Event(retrying), Step::Wait(1)], said("A summary.")].concat();
    let made = commanded(&provider(steps)).await.unwrap();
    assert_eq!((made.summary.told.as_str(), made.usage), ("A summary.", usage(140, 12)));
}

/// Starts, stops, waits and takes in any order, with summarisers of every kind: at most one is under way, no outcome is
/// lost or seen twice, and the compactor is as good as new afterwards.
#[tokio::test(start_paused = true)]
async fn c10_whatever_is_done_in_whatever_order_nothing_is_harmed() {
    let full = std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full");
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..if full { 500 } else { 25 } {
        let compactor = compactor();
        let (mut started, mut ended, mut providers) = (0, 0, Vec::new());
        for _ in 0..rng.usize(1..40) {
            match rng.u8(0..6) {
                0 | 1 => {
                    let kind = match rng.u8(0..5) {
                        0 => said("A summary."),
                        1 => vec![text("a"), Step::Hang],
                        2 => vec![Step::Panic],
                        3 => vec![Step::Error("no")],
                        _ => [vec![Step::Wait(rng.u64(0..200))], said("Late.")].concat(),
                    };
                    let provider = provider(kind);
                    let busy = compactor.is_busy();
                    let began = compactor.start(job(Reason::Hard, &provider));
                    assert_eq!(began, if busy { Err(Refusal::Running) } else { Ok(()) });
                    started += usize::from(began.is_ok());
                    providers.push(provider);
                }
                2 => ended += usize::from(compactor.abort().is_some()),
                3 => ended += usize::from(compactor.take().is_some()),
                4 => tokio::time::sleep(Duration::from_millis(rng.u64(0..100_000))).await,
                _ => tokio::task::yield_now().await,
            }
        }
        ended += usize::from(compactor.abort().is_some());
        assert_eq!(started, ended, "each job ends once");
        compactor.start(job(Reason::Command, &provider(said("A summary.")))).unwrap();
        outcome(&compactor).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        for provider in &providers {
            assert_eq!(Arc::strong_count(&provider.open), 1, "no request goes on that nobody waits for");
        }
    }
}

/// Answers in a hook's place.
struct First(Result<Option<String>, String>);

#[async_trait::async_trait]
impl BeforeSummary for First {
    async fn ask(&self, reason: Reason, _: u64, _: Option<&str>) -> Result<Option<String>, String> {
        assert_eq!(reason, Reason::Command);
        self.0.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn c24_who_is_asked_first_may_stop_a_summary_or_bring_it() {
    for (answer, expected) in [
        (Ok(None), Ok("A summary.")),
        (Ok(Some("Brought by a hook.".to_owned())), Ok("Brought by a hook.")),
        (
            Err("a hook stopped it: not now".to_owned()),
            Err("the summary could not be made: a hook stopped it: not now"),
        ),
    ] {
        let (asks, provider) = (matches!(answer, Ok(None)), provider(said("A summary.")));
        let compactor = compactor();
        let job = Job { ask_first: Some(Arc::new(First(answer))), ..job(Reason::Command, &provider) };
        compactor.start(job).unwrap();
        match (outcome(&compactor).await, expected) {
            (Ok(made), Ok(told)) => {
                assert_eq!((made.summary.told.as_str(), made.sent), (told, u64::from(asks)));
                assert_eq!(made.summary.facts.rules, ["AGENTS.md"]);
            }
            (Err(failed), Err(why)) => assert_eq!(failed.failure.to_string(), why),
            (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
        }
    }
}
