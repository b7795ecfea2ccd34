//! Long runs in small models, through a real session, a real store and the double of a provider: in tests only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Outlet, Parts, Ready, Session, Start, Told};
use crate::agent::Setup;
use crate::context::recall::NoRecall;
use crate::model::Provider;
use crate::model::double::{Answer, Double, Limited, Part, Reply, Report, Seen, cached_share};
use crate::permission::Gate;
use crate::protocol::{Event, Mode, RunStatus};
use crate::settings::{CompactionSettings, Limits};
use crate::store::Sqlite;
use crate::tool::testing::World;
use crate::tool::{Reads, Registry};

/// Somebody who asks for long runs.
struct Person {
    world: World,
    session: Session,
    heard: Arc<Heard>,
    parts: Parts,
    compaction: CompactionSettings,
}

#[derive(Default)]
struct Heard {
    events: Mutex<Vec<Event>>,
    finished: Notify,
}

#[async_trait]
impl Outlet for Heard {
    fn tell(&self, told: Told) {
        let ends = matches!(told.envelope.event, Event::RunFinished { .. });
        self.events.lock().unwrap().push(told.envelope.event);
        if ends {
            self.finished.notify_one();
        }
    }

    fn say(&self, _sentence: String) {}

    fn has_room(&self) -> bool {
        true
    }

    async fn room(&self) {}
}

impl Person {
    async fn new(files: usize, words: usize) -> Self {
        let world = World::new(&[]);
        for n in 0..files {
            world.write(&format!("part{n}.txt"), format!("Part {n} goes on and on in plain words.\n").repeat(words));
        }
        let heard = Arc::new(Heard::default());
        let parts = Parts {
            store: Arc::new(Sqlite::in_memory().await.unwrap()),
            outlet: heard.clone(),
            limits: Limits { max_turns: 100_000, ..Limits::default() },
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            approvals_moved: tokio::sync::watch::Sender::default(),
            shared: super::review::Shared::default(),
        };
        let session = Session::new(&parts, "/w", "long");
        let compaction =
            CompactionSettings { cooldown_seconds: 0, max_attempts: 10_000, ..CompactionSettings::default() };
        Self { world, session, heard, parts, compaction }
    }

    /// Asks, and waits for the end.
    async fn ask(&self, prompt: &str, provider: Arc<dyn Provider>, max_output: u64) -> (RunStatus, String) {
        let context = &self.world.context;
        let setup = Setup {
            gate: Gate::default(),
            commands: Arc::default(),
            verify: Vec::new(),
            hooks: Arc::default(),
            summariser: provider.clone(),
            provider,
            tools: Registry::all(),
            system: "You are a coding agent inside a person's editor. Look before you act.".into(),
            prompt: prompt.to_owned(),
            typed: None,
            editor: context.editor.clone(),
            roots: context.roots.clone(),
            reads: Arc::new(Reads::default()),
            limits: self.parts.limits.clone(),
            mode: Mode::Edit,
            max_output,
            compaction: self.compaction.clone(),
            rules: Vec::new(),
            conversation: "long".into(),
            recall: Arc::new(NoRecall),
            tasks: TaskTracker::new(),
        };
        let ready = Ready { setup, notes: Vec::new(), rules: Vec::new() };
        let prepare = Box::new(move |_| async move { Ok(ready) }.boxed());
        let start = Start { prompt: prompt.to_owned(), command: None, title: prompt.to_owned(), prepare };
        self.session.start(start).await.unwrap();
        self.heard.finished.notified().await;
        let events = self.heard.events.lock().unwrap();
        let ended = events.iter().rev().find_map(|event| match event {
            Event::RunFinished { status, result_text, error } => Some((*status, error.clone().or(result_text.clone()))),
            _ => None,
        });
        ended.map(|(status, said)| (status, said.unwrap_or_default())).unwrap()
    }

    /// Tokens before and after each compaction that was made, and why the others were not.
    fn compactions(&self) -> (Vec<(u64, u64)>, Vec<String>) {
        let events = self.heard.events.lock().unwrap();
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        for event in events.iter() {
            match event {
                Event::CompactionFinished { error: Some(error), .. } => failed.push(error.clone()),
                Event::CompactionFinished { before, after, .. } => made.push((*before, *after)),
                _ => {}
            }
        }
        (made, failed)
    }
}

/// A model that reads file after file, writes down now and then how far it is, and is done after so many requests.
fn worker(limit: u64, requests: usize, files: usize) -> Limited {
    let step = AtomicUsize::new(0);
    Limited::new(limit, move |seen: &Seen<'_>| {
        if seen.tools.is_empty() {
            let text = "Goal: read all parts.\nConstraints: keep to Zebra::stripe.\nDecisions: none\nDone: some parts\nIn \
                        progress: the next part\nBlocked: none\nNext: go on with the parts";
            return Reply::answer(Answer::of(vec![Part::text(text)]));
        }
        assert!(seen.says("Zebra::stripe"), "what the person said is in every request");
        let step = step.fetch_add(1, Ordering::SeqCst) + 1;
        if step >= requests {
            return Reply::answer(Answer::of(vec![Part::text("All parts are read.")]));
        }
        let (name, arguments) = if step.is_multiple_of(25) {
            ("write", format!("{{\"path\":\"done{step}.txt\",\"content\":\"Read up to {step}.\\n\"}}"))
        } else {
            ("read", format!("{{\"path\":\"part{}.txt\"}}", step % files))
        };
        Reply::answer(Answer::of(vec![
            Part::text("On to the next one."),
            Part::call(&format!("call_{step}"), name, &arguments),
        ]))
    })
}

fn whole() -> bool {
    std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full")
}

/// 500 requests in a model of 8,000 tokens, whatever its provider says of them: never too long, always accepted, and done in the
/// end. A shorter run for all but the honest one, unless the campaign is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn campaign_c3_c5_long_runs_never_overflow_whatever_the_provider_counts() {
    for report in
        [Report::True, Report::Missing, Report::Null, Report::Zero, Report::One, Report::Tenfold, Report::Half]
    {
        let requests = if whole() || report == Report::True { 500 } else { 100 };
        let wires: &[&str] = if whole() { &["anthropic", "openai", "gemini"] } else { &["anthropic"] };
        for wire in wires {
            let (files, person) = (12, Person::new(12, 30).await);
            let double = Double::of(worker(8_000, requests, files).reporting(report)).await;
            let provider = double.provider(wire, "context = 8000");
            let (status, said) = person.ask("Read all parts, and keep to Zebra::stripe.", provider, 0).await;
            assert_eq!((status, said.as_str()), (RunStatus::Completed, "All parts are read."), "{wire} {report:?}");
            let (made, failed) = person.compactions();
            assert_eq!((double.overflows(), double.refusals()), (vec![], vec![]), "{wire} {report:?}");
            assert_eq!(failed, [""; 0], "{wire} {report:?}");
            assert!(made.len() >= requests / 25, "{wire} {report:?}: {} compactions", made.len());
            assert!(made.iter().all(|(before, after)| after < before), "{wire} {report:?}: {made:?}");
            for step in (25..requests).step_by(25) {
                assert_eq!(person.world.disk(&format!("done{step}.txt")), format!("Read up to {step}.\n"));
            }
            let most = double.counted().iter().filter_map(|one| one.usage.sent()).max();
            println!(
                "{wire} {report:?}: {requests} requests, {} compactions, at most {most:?} of 8000 tokens",
                made.len()
            );
            person.parts.shutdown.cancel();
        }
    }
}

/// Over 100 requests at least nine tenths of the input come from the provider's cache, but for the request behind each compaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_most_of_the_input_comes_from_the_cache_between_compactions() {
    for wire in ["anthropic", "openai", "bedrock"] {
        let long = cached(wire, 60_000, 100, 60).await;
        assert!(!long.compactions.is_empty() && long.share >= 0.9, "{wire}: {long:?}");
        assert!(long.shrunk <= long.compactions.len(), "{wire}: previews cost the cache too often: {long:?}");
    }
}

/// The same where each result is large enough to become a preview as soon as it is no recent one. Fewer requests, unless the
/// campaign is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_c22_large_results_do_not_cost_the_cache_one_by_one() {
    let requests = if whole() { 100 } else { 50 };
    let long = cached("anthropic", 200_000, requests, 520).await;
    assert!(long.share >= 0.9, "{long:?}");
    let batches = long.shrunk.saturating_sub(long.compactions.len());
    assert!((1..=requests / 10).contains(&batches), "{batches} batches of previews: {long:?}");
}

/// A run whose answer takes it above the soft mark: what previews save is enough, so nobody is asked for a summary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c6_c22_after_a_run_previews_come_before_a_summary() {
    let person = Person::new(2, 700).await;
    let step = AtomicUsize::new(0);
    let double = Double::of(Limited::new(40_000, move |seen: &Seen<'_>| {
        assert!(!seen.tools.is_empty(), "nobody is asked for a summary");
        let part = match step.fetch_add(1, Ordering::SeqCst) {
            0 => Part::call("call_0", "read", r#"{"path":"part0.txt"}"#),
            1 => Part::call("call_1", "read", r#"{"path":"part1.txt"}"#),
            2 => Part::text(&"This is what both of them say, word for word. ".repeat(750)),
            _ => Part::text("Short."),
        };
        Reply::answer(Answer::of(vec![part]))
    }))
    .await;
    let provider = double.provider("anthropic", "context = 40000");
    let (status, _) = person.ask("Read both parts.", provider.clone(), 0).await;
    assert_eq!(status, RunStatus::Completed);
    let used = |events: &[Event]| -> Vec<u64> {
        let used = |event: &Event| match event {
            Event::Usage { context, .. } => Some(context.used),
            _ => None,
        };
        events.iter().filter_map(used).collect()
    };
    let before = *used(&person.heard.events.lock().unwrap()).last().unwrap();
    assert!(before >= 24_000, "it ended above the soft mark: {before}");
    let (status, _) = person.ask("And?", provider, 0).await;
    assert_eq!(status, RunStatus::Completed);
    let events = person.heard.events.lock().unwrap();
    let after = *used(&events).last().unwrap();
    assert!(after + 4_096 <= before, "{after} after {before}");
    let started = events.iter().filter(|event| matches!(event, Event::CompactionStarted { .. })).count();
    assert_eq!(started, 0);
    assert!(double.overflows().is_empty());
    person.parts.shutdown.cancel();
}

/// What a long run was like.
#[derive(Debug)]
struct Long {
    /// Tokens before and after each compaction.
    compactions: Vec<(u64, u64)>,
    /// Requests that were no longer than the one before: something changed in what was sent already.
    shrunk: usize,
    /// What of the others' input came from the cache.
    share: f64,
}

async fn cached(wire: &str, limit: u64, requests: usize, words: usize) -> Long {
    let person = Person::new(12, words).await;
    let double = Double::of(worker(limit, requests, 12)).await;
    let provider = double.provider(wire, &format!("context = {limit}"));
    let (status, said) = person.ask("Read all parts, and keep to Zebra::stripe.", provider, 0).await;
    assert_eq!((status, said.as_str()), (RunStatus::Completed, "All parts are read."), "{wire}");
    let (compactions, _) = person.compactions();
    let counted = double.counted();
    // What was sent shrinks behind a compaction and a batch of previews; a summary has no tools.
    let turns: Vec<_> = counted.iter().filter(|one| one.tools > 0).copied().collect();
    let sent = |at: usize| turns[at].usage.sent().unwrap();
    let between: Vec<_> = (1..turns.len()).filter(|at| sent(*at) > sent(*at - 1)).map(|at| turns[at]).collect();
    let long = Long { shrunk: turns.len() - 1 - between.len(), share: cached_share(&between), compactions };
    println!("{wire}: {requests} requests of at most {:?} tokens, {long:?}", (0..turns.len()).map(sent).max());
    person.parts.shutdown.cancel();
    long
}

/// The provider takes less than the settings say: that is learned from its first refusal, and no other request is too long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c4_c21_a_limit_that_an_overflow_names_is_kept_to_from_then_on() {
    let person = Person::new(12, 30).await;
    let double = Double::of(worker(6_000, 60, 12)).await;
    let provider = double.provider("openai-chat", "context = 16000");
    let (status, said) = person.ask("Read all parts, and keep to Zebra::stripe.", provider, 0).await;
    assert_eq!((status, said.as_str()), (RunStatus::Completed, "All parts are read."));
    assert_eq!((double.overflows().len(), double.refusals()), (1, vec![]), "{:?}", double.overflows());
    let events = person.heard.events.lock().unwrap();
    let reasons: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::CompactionStarted { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert!(reasons.contains(&"overflow"), "{reasons:?}");
    let limits: Vec<Option<u64>> = events
        .iter()
        .filter_map(|event| match event {
            Event::Usage { context, .. } => Some(context.limit),
            _ => None,
        })
        .collect();
    assert_eq!((limits.first(), limits.last()), (Some(&Some(16_000)), Some(&Some(6_000))));
}

/// A request that would be too long is built again behind the summary that it waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c7_the_request_that_called_for_a_summary_is_built_behind_it() {
    let mut person = Person::new(12, 30).await;
    // Nothing happens in the background.
    (person.compaction.soft, person.compaction.hard) = (0.69, 0.7);
    let double = Double::of(worker(8_000, 60, 12)).await;
    let (status, _) = person
        .ask("Read all parts, and keep to Zebra::stripe.", double.provider("anthropic", "context = 8000"), 0)
        .await;
    assert_eq!(status, RunStatus::Completed);
    let counted = double.counted();
    let summaries: Vec<usize> = (1..counted.len() - 1).filter(|at| counted[*at].tools == 0).collect();
    assert!(!summaries.is_empty());
    let sent = |at: usize| counted[at].usage.sent().unwrap();
    for at in summaries.into_iter().filter(|at| counted[at + 1].tools > 0 && counted[at - 1].tools > 0) {
        // What it was built from came to more than the mark.
        assert!(sent(at + 1) < 5_600, "request {at}: {} behind {}", sent(at + 1), sent(at - 1));
    }
}

/// A model that cannot summarise: the run goes on while there is room, then the oldest turns go with a notice, and nothing is too
/// long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c20_without_summaries_the_oldest_turns_go_and_the_person_hears_of_it() {
    let person = Person::new(12, 30).await;
    let step = AtomicUsize::new(0);
    let double = Double::of(Limited::new(8_000, move |seen: &Seen<'_>| {
        if seen.tools.is_empty() {
            return Reply::answer(Answer::of(vec![Part::text(" ")]));
        }
        assert!(seen.says("Zebra::stripe"), "what the person said is in every request");
        let step = step.fetch_add(1, Ordering::SeqCst) + 1;
        if step == 80 {
            return Reply::answer(Answer::of(vec![Part::text("All parts are read.")]));
        }
        let call = Part::call(&format!("call_{step}"), "read", &format!("{{\"path\":\"part{}.txt\"}}", step % 12));
        Reply::answer(Answer::of(vec![Part::text("On to the next one."), call]))
    }))
    .await;
    let provider = double.provider("anthropic", "context = 8000");
    let (status, said) = person.ask("Read all parts, and keep to Zebra::stripe.", provider, 0).await;
    assert_eq!((status, said.as_str()), (RunStatus::Completed, "All parts are read."));
    assert_eq!((double.overflows(), double.refusals()), (vec![], vec![]));
    let (made, failed) = person.compactions();
    assert!(!failed.is_empty() && !made.is_empty(), "{made:?} {failed:?}");
    assert!(made.iter().all(|(before, after)| after < before), "each made progress: {made:?}");
    let asked = double.counted().iter().filter(|one| one.tools == 0).count();
    assert!(asked < 40, "a summariser that fails is not asked before every request: {asked}");
    let events = person.heard.events.lock().unwrap();
    let noticed = events.iter().filter(|event| matches!(event, Event::CompactionFinished { notice: Some(_), .. }));
    assert_eq!(noticed.count(), made.len());
    let started = events.iter().filter(|event| matches!(event, Event::CompactionStarted { .. })).count();
    assert!(started >= made.len() + failed.len(), "each end has a beginning: {started}");
}

/// What cannot be made to fit is said with its figures, and nothing is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c20_a_prompt_that_never_fits_stops_with_the_figures() {
    let person = Person::new(1, 1).await;
    let double = Double::of(worker(8_000, 2, 1)).await;
    let prompt = format!("Keep to Zebra::stripe. {}", "word ".repeat(12_000));
    let (status, said) = person.ask(&prompt, double.provider("anthropic", "context = 8000"), 0).await;
    assert_eq!(status, RunStatus::Failed);
    assert!(said.contains("8000 fit") && said.contains("cowrite.session.new"), "{said}");
    assert_eq!((double.counted().len(), double.overflows()), (0, vec![]));
}
