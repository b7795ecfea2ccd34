//! What the program knows of a history without asking a model.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text::{Ends, shorten};
use crate::model::{Block, Item, Said, ToolResult};

/// Lines of a failed command's output that are kept.
const TAIL_LINES: usize = 10;

/// The most characters of them.
const TAIL: usize = 1_000;

/// The most characters that are kept of one question, command or message of the person: more than any note could hold.
pub(super) const ENTRY: usize = 64 * 1024;

/// The most bytes of the person's messages that are kept; `recall` has them all.
pub(super) const WORDS: usize = 256 * 1024;

/// The most questions and failing commands that are kept, of each.
const OPEN: usize = 50;

/// Cumulative, over everything that was compacted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Files that were read, by successful calls, the one that was read last at the end.
    pub read: Vec<String>,
    /// Files that were changed, the same way.
    pub changed: Vec<String>,
    /// Commands that failed and did not succeed since, with their last lines.
    pub failing: Vec<Failing>,
    /// Questions to the person that have no answer.
    pub questions: Vec<String>,
    /// Rules files that were given.
    pub rules: Vec<String>,
    /// The person's own messages, newest last.
    pub words: Vec<String>,
    /// So many of the person's messages came before those.
    #[serde(skip_serializing_if = "is_zero")]
    pub earlier_words: u64,
}

/// A command that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// As it was run.
    pub command: String,
    /// The end of what it printed.
    pub tail: String,
}

impl Facts {
    /// Takes in entries that come behind everything that was taken in before.
    pub fn extend(&mut self, items: &[Arc<Item>]) {
        let mut calls = HashMap::new();
        for item in items {
            match &**item {
                Item::User { text, said } => self.heard(text, said),
                Item::Assistant { blocks, .. } => {
                    calls.clear();
                    calls.extend(blocks.iter().filter_map(|block| match block {
                        Block::Call { id, name, arguments, .. } => {
                            Some((id.as_str(), (name.as_str(), arguments.as_str())))
                        }
                        Block::Text { .. } | Block::Reasoning { .. } => None,
                    }));
                }
                Item::Results { results } => {
                    for result in results {
                        // What cannot be read was no call that did anything.
                        if let Some((name, arguments)) = calls.get(result.call_id.as_str())
                            && let Ok(arguments) = serde_json::from_str(arguments)
                        {
                            self.came_to(name, &arguments, result);
                        }
                    }
                }
            }
        }
        self.bound();
    }

    /// A command has run: by a call, or by the program itself to check what was done.
    pub fn ran(&mut self, command: &str, ok: bool, output: &str) {
        let command = shorten(command.trim(), ENTRY, Ends::Both);
        self.failing.retain(|failing| failing.command != command);
        if !ok {
            self.failing.push(Failing { command, tail: tail(output) });
        }
    }

    /// The model has been given a rules file.
    pub fn ruled(&mut self, path: &str) {
        note(&mut self.rules, path);
    }

    /// Whether the person is among those whose words were taken in.
    #[must_use]
    pub fn knows_the_person(&self) -> bool {
        !self.words.is_empty()
    }

    fn heard(&mut self, text: &str, said: &Said) {
        match said {
            Said::Program => {}
            Said::Person { typed } => {
                let words = typed.as_deref().unwrap_or(text).trim();
                if !words.is_empty() {
                    self.words.push(shorten(words, ENTRY, Ends::Both));
                }
            }
            Said::Standing { about } => {
                if let Some(path) = about.strip_prefix("rules ") {
                    self.ruled(path);
                }
            }
        }
    }

    /// Takes in what a call came to.
    fn came_to(&mut self, tool: &str, arguments: &Value, result: &ToolResult) {
        let given = |name: &str| arguments.get(name).and_then(Value::as_str);
        match tool {
            // What did not run to its end says nothing about what it would have come to.
            "run" if result.undone => {}
            "run" => {
                if let Some(command) = given("command") {
                    let place = given("cwd").map(path).filter(|place| !place.is_empty() && place != ".");
                    let command = place.map_or_else(|| command.to_owned(), |place| format!("{command} (in {place})"));
                    self.ran(&command, result.ok, &result.content);
                }
            }
            "ask" => {
                if let Some(question) = given("question") {
                    let question = shorten(question.trim(), ENTRY, Ends::Both);
                    self.questions.retain(|open| *open != question);
                    if !result.ok && !question.is_empty() {
                        self.questions.push(question);
                    }
                }
            }
            _ if !result.ok => {}
            "read" => given("path").into_iter().for_each(|path| note(&mut self.read, path)),
            "edit" | "write" | "delete" => given("path").into_iter().for_each(|path| note(&mut self.changed, path)),
            "move" => {
                for path in ["from", "to"].into_iter().filter_map(given) {
                    note(&mut self.changed, path);
                }
            }
            "patch" => {
                for path in given("patch").unwrap_or_default().lines().filter_map(patched) {
                    note(&mut self.changed, path);
                }
            }
            _ => {}
        }
    }

    /// Lets go of what no note could hold.
    fn bound(&mut self) {
        let mut bytes = 0;
        let kept = self.words.iter().rev().take_while(|words| {
            bytes += words.len();
            bytes <= WORDS
        });
        let gone = self.words.len() - kept.count();
        self.words.drain(..gone);
        self.earlier_words += gone as u64;
        self.failing.drain(..self.failing.len().saturating_sub(OPEN));
        self.questions.drain(..self.questions.len().saturating_sub(OPEN));
    }
}

/// Puts a path at the end of its list, where it stands once.
fn note(list: &mut Vec<String>, given: &str) {
    let path = path(given);
    if !path.is_empty() {
        list.retain(|known| *known != path);
        list.push(path);
    }
}

/// A path, however it was written.
fn path(given: &str) -> String {
    let given = given.trim();
    let root = if given.starts_with('/') { "/" } else { "" };
    let parts: Vec<&str> = given.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    match given.split_once("://") {
        // An address is no path: its slashes mean something.
        Some((scheme, _)) if !scheme.is_empty() && !scheme.contains('/') => given.to_owned(),
        _ => format!("{root}{}", parts.join("/")),
    }
}

/// The file that a line of a patch is about.
fn patched(line: &str) -> Option<&str> {
    let line = line.strip_prefix("***")?.trim_start();
    ["Update File:", "Add File:", "Delete File:", "Move to:", "Move File:"]
        .into_iter()
        .find_map(|word| line.strip_prefix(word))
}

/// The last lines of what a command printed.
fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    let skipped = last.chars().count().saturating_sub(TAIL);
    last.chars().skip(skipped).collect()
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests;
