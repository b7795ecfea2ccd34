//! A model that takes in so many tokens: it counts what it is sent, refuses what is too long, remembers prefixes as a
//! provider's cache does, and says what it counted, or something else.
//!
//! It counts in its own way, so that an estimate has something to be held against.

mod tests;

use std::collections::HashSet;
use std::sync::Mutex;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::neutral::Figures;
use super::{Dialect, Part, Reply, Said};
use crate::protocol::Usage;

/// What every message costs beside what is in it.
const MESSAGE_TOKENS: u64 = 3;
/// Where marks are used, a prefix is looked for no more than so many blocks before one.
const LOOK_BACK: usize = 20;

/// What is told of the figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Report {
    /// What was counted.
    #[default]
    True,
    /// Nothing.
    Missing,
    Null,
    /// Zeros.
    Zero,
    /// One token, whatever it was.
    One,
    Tenfold,
    Half,
}

/// The model.
pub(crate) struct Limited {
    limit: u64,
    bytes_per_token: f64,
    report: Report,
    answer: Box<Answers>,
    memory: Mutex<Memory>,
}

type Answers = dyn Fn(&Seen<'_>) -> Reply + Send + Sync;

#[derive(Default)]
struct Memory {
    cached: HashSet<Prefix>,
    counted: Vec<Counted>,
    overflows: Vec<u64>,
}

/// Everything up to a place, by its bytes.
type Prefix = [u8; 32];

/// What the model counted, whatever it told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) usage: Usage,
    /// Tools on offer: a summary is asked for without any.
    pub(crate) tools: usize,
    pub(crate) messages: usize,
}

/// A request, whatever the wire.
pub(crate) struct Seen<'a> {
    /// How many were accepted before it.
    pub(crate) number: usize,
    pub(crate) tokens: u64,
    /// The names of the tools on offer: a summary is asked for without any.
    pub(crate) tools: Vec<String>,
    pub(crate) system: String,
    /// In the wire's own pieces: some make one message of what others make two of.
    pub(crate) messages: Vec<Message>,
    pub(crate) body: &'a Value,
}

/// A message, with all the words that are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) who: Who,
    pub(crate) text: String,
}

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    User,
    Model,
    /// Tools, and whoever speaks in the same message.
    Results,
}

impl Seen<'_> {
    /// What the last message says.
    pub(crate) fn last(&self) -> &str {
        self.messages.last().map_or("", |message| &message.text)
    }

    /// Whether these words are anywhere in the messages.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.messages.iter().any(|message| message.text.contains(words))
    }
}

/// The share of what was sent that came from the cache.
pub(crate) fn cached_share(counted: &[Counted]) -> f64 {
    let sum = |figure: fn(&Usage) -> Option<u64>| -> u64 { counted.iter().filter_map(|one| figure(&one.usage)).sum() };
    sum(|usage| usage.cache_read) as f64 / sum(Usage::sent).max(1) as f64
}

impl Limited {
    /// One whose answers come from this.
    pub(crate) fn new(limit: u64, answer: impl Fn(&Seen<'_>) -> Reply + Send + Sync + 'static) -> Self {
        let (report, memory) = (Report::True, Mutex::default());
        Self { limit, bytes_per_token: 4.0, report, answer: Box::new(answer), memory }
    }

    pub(crate) fn reporting(self, report: Report) -> Self {
        Self { report, ..self }
    }

    /// One that makes a token of so many bytes of ASCII; four else.
    pub(crate) fn dense(self, bytes_per_token: f64) -> Self {
        Self { bytes_per_token, ..self }
    }

    pub(super) fn counted(&self) -> Vec<Counted> {
        self.memory.lock().unwrap().counted.clone()
    }

    pub(super) fn overflows(&self) -> Vec<u64> {
        self.memory.lock().unwrap().overflows.clone()
    }

    pub(super) fn reply(&self, dialect: &dyn Dialect, body: &Value) -> Reply {
        let units = self.units(body);
        let tokens: u64 = units.iter().map(|unit| unit.tokens).sum();
        let (seen, input) = {
            let mut memory = self.memory.lock().unwrap();
            if tokens > self.limit {
                memory.overflows.push(tokens);
                return dialect.overflow(tokens, self.limit);
            }
            let seen = Seen {
                number: memory.counted.len(),
                tokens,
                tools: tools(body).iter().filter_map(|tool| tool_name(tool)).collect(),
                system: words(system(body)),
                messages: spoken(body).iter().copied().map(message).collect(),
                body,
            };
            let input = memory.input(&units, dialect.marks());
            memory.counted.push(Counted { usage: input, tools: seen.tools.len(), messages: seen.messages.len() });
            (seen, input)
        };
        let mut reply = (self.answer)(&seen);
        if let Said::Answer(answer, style) = &mut reply.said {
            let output = answer.parts.iter().map(|part| self.part(part)).sum();
            let usage = Usage { output: Some(output), ..input };
            self.memory.lock().unwrap().counted[seen.number].usage = usage;
            style.usage = match self.report {
                Report::Missing => Figures::Missing,
                Report::Null => Figures::Null,
                _ => Figures::There,
            };
            answer.usage = self.told(usage);
            *answer = dialect.shape(answer.clone());
        }
        reply
    }

    fn told(&self, usage: Usage) -> Usage {
        let each = |change: fn(u64) -> u64| {
            let [input, output, cache_read, cache_write] =
                [usage.input, usage.output, usage.cache_read, usage.cache_write].map(|figure| figure.map(change));
            Usage { input, output, cache_read, cache_write }
        };
        match self.report {
            Report::True | Report::Missing | Report::Null => usage,
            Report::Zero => each(|_| 0),
            Report::One => Usage { input: Some(1), output: Some(1), ..each(|_| 0) },
            Report::Tenfold => each(|figure| figure * 10),
            Report::Half => each(|figure| figure / 2),
        }
    }

    fn tokens(&self, text: &str) -> u64 {
        let ascii = text.bytes().filter(u8::is_ascii).count();
        (ascii as f64 / self.bytes_per_token).ceil() as u64 + text.chars().filter(|c| !c.is_ascii()).count() as u64
    }

    fn part(&self, part: &Part) -> u64 {
        match part {
            Part::Text(pieces) | Part::Reasoning { text: pieces, .. } => self.tokens(&pieces.concat()),
            Part::Call { name, arguments, .. } => self.tokens(name) + self.tokens(&arguments.concat()),
        }
    }

    /// The whole request in the order in which prefixes are made of it: tools, system prompt, messages.
    fn units(&self, body: &Value) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut push = |role: &str, part: &Value, tokens: u64, block: bool| {
            if part.get("cachePoint").is_some() {
                if let Some(last) = units.last_mut() {
                    let last: &mut Unit = last;
                    last.marked = true;
                }
                return;
            }
            let mut part = part.clone();
            let mark = part.as_object_mut().and_then(|part| part.remove("cache_control"));
            units.push(Unit { bytes: format!("{role} {part}"), tokens, block, marked: mark.is_some() });
        };
        for tool in tools(body) {
            push("tool", tool, self.tokens(&tool.to_string()), true);
        }
        for part in each(system(body), "parts") {
            push("system", part, self.tokens(&words(part)), true);
        }
        for message in spoken(body) {
            let role = message["role"].as_str().unwrap_or_default();
            let Some((field, parts)) =
                ["content", "parts"].iter().find_map(|field| Some((field, message[field].as_array()?)))
            else {
                push(role, message, MESSAGE_TOKENS + self.tokens(&words(message)), true);
                continue;
            };
            let mut rest = message.clone();
            rest.as_object_mut().unwrap().remove(*field);
            push(role, &rest, MESSAGE_TOKENS + self.tokens(&words(&rest)), false);
            for part in parts {
                push(role, part, self.tokens(&words(part)), true);
            }
        }
        if let (Some(last), Some(_)) = (units.last_mut(), body.get("cache_control")) {
            last.marked = true;
        }
        units
    }
}

/// A piece of a request that is in a prefix or not.
struct Unit {
    bytes: String,
    tokens: u64,
    /// Whether a look for the cache counts it.
    block: bool,
    marked: bool,
}

impl Memory {
    /// What of a request came from the cache, and what goes there.
    fn input(&mut self, units: &[Unit], marks: bool) -> Usage {
        let (mut prefixes, mut all): (Vec<(Prefix, u64)>, u64) = (Vec::new(), 0);
        let mut prefix = Prefix::default();
        for unit in units {
            prefix = Sha256::new().chain_update(prefix).chain_update(&unit.bytes).finalize().into();
            all += unit.tokens;
            prefixes.push((prefix, all));
        }
        let marked: Vec<usize> = (0..units.len()).filter(|at| units[*at].marked).collect();
        let known = |at: &usize| self.cached.contains(&prefixes[*at].0);
        let read = if marks {
            let before = |mark: &usize| {
                let mut blocks = 0;
                (0..=*mark).rev().take_while(move |at| {
                    blocks += usize::from(units[*at].block);
                    blocks <= LOOK_BACK + 1
                })
            };
            marked.iter().flat_map(before).filter(known).max()
        } else {
            (0..units.len()).rev().find(known)
        };
        let read = read.map_or(0, |at| prefixes[at].1);
        let kept = if marks { marked } else { (0..units.len()).collect() };
        let until = kept.last().map_or(0, |at| prefixes[*at].1);
        self.cached.extend(kept.iter().map(|at| prefixes[*at].0));
        let written = if marks { until.saturating_sub(read) } else { 0 };
        Usage { input: Some(all - read - written), output: None, cache_read: Some(read), cache_write: Some(written) }
    }
}

/// The elements of a list that is there itself or in this field; anything else is one.
fn each<'a>(value: &'a Value, field: &str) -> Vec<&'a Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().collect(),
        Value::Object(object) if object.get(field).is_some_and(Value::is_array) => each(&object[field], field),
        one => vec![one],
    }
}

fn first<'a>(body: &'a Value, names: &[&str]) -> &'a Value {
    names.iter().map(|name| &body[name]).find(|value| !value.is_null()).unwrap_or(&Value::Null)
}

/// The tools, one by one.
fn tools(body: &Value) -> Vec<&Value> {
    let groups = each(first(body, &["tools", "toolConfig"]), "tools");
    groups.into_iter().flat_map(|group| each(group, "functionDeclarations")).collect()
}

fn tool_name(tool: &Value) -> Option<String> {
    let places = [tool, &tool["function"], &tool["toolSpec"]];
    places.iter().find_map(|place| place["name"].as_str()).map(str::to_owned)
}

/// Where it stands by itself.
fn system(body: &Value) -> &Value {
    first(body, &["system", "instructions", "systemInstruction"])
}

/// The messages, one by one, a system prompt among them where the wire has it there.
fn spoken(body: &Value) -> Vec<&Value> {
    each(first(body, &["messages", "input", "contents"]), "messages")
}

fn message(message: &Value) -> Message {
    let has =
        |part: &Value| ["tool_use_id", "functionResponse", "toolResult"].iter().any(|name| part.get(name).is_some());
    let parts = each(first(message, &["content", "parts"]), "parts");
    let who = match (message["role"].as_str(), message["type"].as_str()) {
        (Some("tool"), _) | (_, Some("function_call_output")) => Who::Results,
        (Some("assistant" | "model"), _) | (_, Some("function_call" | "reasoning")) => Who::Model,
        _ if parts.into_iter().any(has) => Who::Results,
        _ => Who::User,
    };
    Message { who, text: words(message) }
}

/// Everything that is there to be read, and nothing of how it is wrapped.
fn words(value: &Value) -> String {
    const WRAPPING: &[&str] = &[
        "cache_control",
        "call_id",
        "data",
        "encrypted_content",
        "id",
        "is_error",
        "phase",
        "redactedContent",
        "role",
        "signature",
        "status",
        "thoughtSignature",
        "toolUseId",
        "tool_call_id",
        "tool_use_id",
        "type",
    ];
    fn collect(value: &Value, words: &mut Vec<String>) {
        match value {
            Value::String(text) => words.push(text.clone()),
            Value::Array(list) => list.iter().for_each(|value| collect(value, words)),
            Value::Object(object) => {
                for (name, value) in object {
                    match name.as_str() {
                        name if WRAPPING.contains(&name) => {}
                        // What a tool is called with is read as it is written.
                        "args" | "input" if value.is_object() => words.push(value.to_string()),
                        _ => collect(value, words),
                    }
                }
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect(value, &mut all);
    all.join("\n")
}
