//! Long sessions with facts planted in them, and what is left of those after compactions: in tests only.

use std::sync::Arc;

use serde_json::json;

use super::Summary;
use crate::context::{Budget, Nothing, Window, tokens};
use crate::model::{Block, Item, StopReason, ToolResult, Turn};
use crate::protocol::Usage;
use crate::settings::{CompactionMode, CompactionSettings};

/// What every request of such a session begins with.
const FIXED: u64 = 2_500;

/// What is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A file that was changed: the program keeps its name.
    Changed,
    /// A test that failed and was not mended: the program keeps the command.
    Failing,
    /// What the person demanded: the program keeps the newest of those.
    Constraint,
    /// What the model decided, in its prose.
    Decision,
    /// A name that a tool came up with.
    Id,
}

/// Something that must not be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    /// What it is.
    pub(crate) kind: Kind,
    /// Words that stand nowhere else in the session. They are what is looked for.
    pub(crate) words: String,
}

/// A session that goes on as long as it is asked to.
pub(crate) struct Planted {
    random: fastrand::Rng,
    number: u32,
    calls: u32,
    /// What was planted so far.
    pub(crate) facts: Vec<Fact>,
    /// Everything that was said so far.
    pub(crate) items: Vec<Arc<Item>>,
}

impl Planted {
    /// The session of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { random, number: 0, calls: 0, facts: Vec::new(), items: Vec::new() }
    }

    /// Another turn of it: one question, and up to a dozen rounds of calls.
    pub(crate) fn turn(&mut self) -> Vec<Arc<Item>> {
        let from = self.items.len();
        if self.random.u8(..4) == 0 {
            let text = format!("Rules: {}", self.filler(30));
            self.say(Item::standing("rules AGENTS.md", text));
        }
        let constraint = format!("never use {}", self.name("zorvex"));
        let ask = format!("Please see to this next, but {constraint}. {}", self.filler(20));
        self.plant(Kind::Constraint, constraint);
        let typed = self.random.bool().then(|| ask.clone());
        self.say(Item::asked(ask, typed));
        for _ in 0..self.random.usize(1..12) {
            self.round();
        }
        let decision = format!("we take {}", self.name("kelmar"));
        let text = format!("After all that {decision}, for it is simpler. {}", self.filler(60));
        self.plant(Kind::Decision, decision);
        self.say(assistant(vec![Block::Text { text, raw: None }]));
        self.items[from..].to_vec()
    }

    /// One answer of the model with its calls, and their results.
    fn round(&mut self) {
        let mut calls = Vec::new();
        for _ in 0..self.random.usize(1..4) {
            let call = match self.random.u8(..10) {
                0 => {
                    let path = format!("src/{}.rs", self.name("part"));
                    self.plant(Kind::Changed, path.clone());
                    (
                        "edit",
                        json!({"path": path, "edits": [{"old": self.filler(20), "new": self.filler(20)}]}),
                        true,
                        "Edited.".into(),
                    )
                }
                1 if self.random.bool() => {
                    let command = format!("cargo test {}", self.name("case"));
                    self.plant(Kind::Failing, command.clone());
                    (
                        "run",
                        json!({ "command": command }),
                        false,
                        format!("running 1 test\n{}\nassertion failed", self.filler(40)),
                    )
                }
                // One that fails, and is mended: nobody needs it.
                1 => ("run", json!({"command": "cargo build"}), self.random.bool(), self.filler(40)),
                2 => {
                    let id = self.name("REQ");
                    self.plant(Kind::Id, id.clone());
                    (
                        "search",
                        json!({"pattern": "REQ"}),
                        true,
                        format!("src/a.rs:3: {}\n{id} is open\n{}", self.filler(20), self.filler(30)),
                    )
                }
                _ => {
                    let path = format!("lib/{}.rs", self.name("read"));
                    let words = self.random.usize(20..500);
                    ("read", json!({ "path": path }), true, self.filler(words))
                }
            };
            calls.push(call);
        }
        let mut blocks = vec![Block::Text { text: self.filler(12), raw: None }];
        let mut results = Vec::new();
        for (name, arguments, ok, content) in calls {
            self.calls += 1;
            let id = format!("call_{}", self.calls);
            blocks.push(Block::Call { id: id.clone(), name: name.into(), arguments: arguments.to_string(), raw: None });
            results.push(ToolResult { undone: false, call_id: id, name: name.into(), ok, content });
        }
        self.say(assistant(blocks));
        self.say(Item::Results { results });
    }

    fn say(&mut self, item: Item) {
        self.items.push(Arc::new(item));
    }

    fn plant(&mut self, kind: Kind, words: String) {
        self.facts.push(Fact { kind, words });
    }

    /// A name that is nowhere else.
    fn name(&mut self, what: &str) -> String {
        self.number += 1;
        format!("{what}{:04}x{:05x}", self.number, self.random.u32(..0x10_0000))
    }

    fn filler(&mut self, words: usize) -> String {
        const WORDS: [&str; 16] = [
            "the", "parser", "reads", "a", "token", "and", "returns", "it", "when", "nothing", "is", "left,", "so",
            "that\n", "callers", "wait.",
        ];
        (0..words).map(|_| WORDS[self.random.usize(..WORDS.len())]).collect::<Vec<_>>().join(" ")
    }
}

fn assistant(blocks: Vec<Block>) -> Item {
    Item::Assistant { model: "a/b".into(), origin: String::new(), blocks, partial: false }
}

/// What became of the facts.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Compactions that were made.
    pub(crate) compactions: u32,
    /// Facts that were compacted.
    pub(crate) facts: usize,
    /// Of those, the ones that stand in the context.
    pub(crate) shown: usize,
    /// The ones that were found elsewhere.
    pub(crate) recalled: usize,
    /// The ones that the program keeps, and that are not in the context.
    pub(crate) lost: Vec<Fact>,
    /// The others that were not found.
    pub(crate) forgotten: Vec<Fact>,
}

/// Lets a session go on in a model that takes in `limit` tokens, with a summariser that forgets everything, until it
/// was compacted `compactions` times, and counts what is left. `recall` says whether a fact is found in what the
/// session has recorded; `said` hears everything that the session says, in order.
pub(crate) fn score(
    planted: &mut Planted,
    limit: u64,
    compactions: u32,
    mut said: impl FnMut(&Arc<Item>),
    mut recall: impl FnMut(&Fact) -> bool,
) -> Score {
    let budget = Budget::beside(limit, &CompactionSettings::default(), FIXED);
    let mut window = Window::default();
    window.fix(FIXED);
    let mut score = Score::default();
    while score.compactions < compactions {
        for item in planted.turn() {
            // Before each request, as a run does it.
            let asks = matches!(*item, Item::Assistant { .. });
            if asks && window.used(None).used >= budget.soft && compact(&mut window, &budget) {
                score.compactions += 1;
            }
            assert!(window.used(None).used <= limit, "{} of {limit}", window.used(None).used);
            said(&item);
            window.push(item);
        }
    }
    let context: Vec<String> = window.shown().iter().map(|item| text_of(item)).collect();
    for fact in &planted.facts {
        score.facts += 1;
        if context.iter().any(|text| text.contains(&fact.words)) {
            score.shown += 1;
        } else if matches!(fact.kind, Kind::Changed | Kind::Failing) {
            score.lost.push(fact.clone());
        } else if recall(fact) {
            score.recalled += 1;
        } else {
            score.forgotten.push(fact.clone());
        }
    }
    score
}

/// One compaction, from the plan to the note; whether there was one.
fn compact(window: &mut Window, budget: &Budget) -> bool {
    let cut = match window.plan(budget, CompactionMode::KeepRecent) {
        Ok(cut) => cut,
        Err(Nothing::TooLittle { .. }) => return false,
        Err(nothing) => panic!("{nothing}"),
    };
    let before = window.summary().cloned();
    let request = Summary::request(window.items(), &cut, before.as_deref(), None, budget.limit, budget);
    let weight = tokens::of_text(&request.system) + request.items.iter().map(|item| tokens::of_item(item)).sum::<u64>();
    assert!(weight <= budget.limit, "{weight} of {}", budget.limit);
    let summary = Summary::accept(&forgetful(), window.items(), &cut, before.as_deref(), budget).expect("a summary");
    let (note, origin) = (summary.note(budget), window.items()[..cut.covers].to_vec());
    let used = window.used(None).used;
    window.compact(Arc::new(summary), Arc::new(note), &origin).expect("the same history");
    assert!(window.used(None).used < used, "{} after {used}", window.used(None).used);
    // Below the soft mark, or nothing is left that could go.
    let any = Budget { min_gain: 1, ..*budget };
    let low = window.used(None).used < budget.soft || window.plan(&any, CompactionMode::SafeFrontier).is_err();
    assert!(low, "{} of {}", window.used(None).used, budget.soft);
    true
}

/// An answer that reads well and says nothing.
fn forgetful() -> Turn {
    let text = "Goal: to go on with the work.\nConstraints: none\nDecisions: none\nDone: what was asked for so far\n\
                In progress: the present request\nBlocked: none\nNext: to finish it";
    let blocks = vec![Block::Text { text: text.into(), raw: None }];
    Turn { origin: String::new(), blocks, stop: StopReason::End, usage: Usage::default(), cut_calls: Vec::new() }
}

/// Everything that an entry says.
pub(crate) fn text_of(item: &Item) -> String {
    match item {
        Item::User { text, .. } => text.clone(),
        Item::Assistant { blocks, .. } => {
            let texts = blocks.iter().map(|block| match block {
                Block::Text { text, .. } => text.clone(),
                Block::Reasoning { .. } => String::new(),
                Block::Call { name, arguments, .. } => format!("{name} {arguments}"),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        Item::Results { results } => {
            results.iter().map(|result| result.content.as_str()).collect::<Vec<_>>().join("\n")
        }
    }
}

/// How many sessions a test goes through: a tenth of the fifty, or with `COWRITE_CAMPAIGN=full` all of them.
pub(crate) fn sessions() -> u64 {
    if std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full") { 50 } else { 5 }
}

#[test]
fn c17_what_the_program_keeps_is_in_the_context_after_ten_compactions() {
    for seed in 0..sessions() {
        let mut planted = Planted::new(seed);
        let mut record = Vec::new();
        let mut score = score(&mut planted, 32_000, 10, |item| record.push(text_of(item)), |_| false);
        assert!(score.compactions >= 10, "session {seed}: {score:?}");
        assert_eq!(score.lost, [], "session {seed}");
        // Everything else is in what was recorded, under the words that are looked for.
        score.forgotten.retain(|fact| !record.iter().any(|text| text.contains(&fact.words)));
        assert_eq!(score.forgotten, [], "session {seed}");
        // It is a test of something: not everything was recent.
        let kinds = planted.facts.iter().map(|fact| fact.kind).collect::<std::collections::HashSet<_>>();
        assert!(kinds.len() == 5 && score.shown < score.facts, "session {seed}: {score:?}");
    }
}

#[test]
fn c12_c17_a_run_keeps_its_task_through_every_compaction() {
    let task = format!("TASK: fix what is pointed at. {}END", "Mind the style of the house. ".repeat(100));
    for limit in [12_000, 32_000] {
        let budget = Budget::beside(limit, &CompactionSettings::default(), FIXED);
        let mut window = Window::default();
        window.fix(FIXED);
        let mut planted = Planted::new(7);
        planted.turn();
        planted.say(Item::asked(task.clone(), Some("Fix".into())));
        let (mut compactions, mut next) = (0, 0);
        while compactions < 6 {
            planted.round();
            for item in &planted.items[next..] {
                let asks = matches!(**item, Item::Assistant { .. });
                if asks && window.used(None).used >= budget.soft && compact(&mut window, &budget) {
                    compactions += 1;
                    let used = window.used(None).used;
                    assert!(used < budget.soft, "{used} of {}", budget.soft);
                    let shown = window.shown().iter().any(|item| text_of(item).contains(&task));
                    assert!(shown, "after compaction {compactions} in {limit}");
                }
                window.push(item.clone());
            }
            next = planted.items.len();
        }
    }
}
