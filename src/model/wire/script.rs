//! The scripted model: it plays a conversation, and checks each request as strictly as a real provider would.

mod check;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::model::script::{Call, Count, Delta, Failure, FailureKind, Rule, Script, Turn};
use crate::model::{Item, ModelError, Provider, Purpose, Request, StreamEvent, TurnStream};

/// A model that plays a script.
pub(crate) struct Scripted {
    name: String,
    context: Option<u64>,
    script: Script,
    requests: AtomicUsize,
}

impl Scripted {
    /// A model that plays `script` under `name`.
    pub(crate) fn new(name: String, context: Option<u64>, mut script: Script) -> Self {
        let turns = std::mem::take(&mut script.turns);
        if !turns.is_empty() {
            script.rules.push(Rule { when: None, turns, repeat: script.repeat });
        }
        Self { name, context: context.or(script.context), script, requests: AtomicUsize::new(0) }
    }

    /// The turn that answers the request.
    fn turn(&self, request: &Request) -> Result<&Turn, ModelError> {
        let request_number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (at, rule) = self.rule(&request.items)?;
        let answers = |items: &[std::sync::Arc<Item>]| {
            items.iter().filter(|item| matches!(***item, Item::Assistant { .. })).count()
        };
        let position = match self.script.count {
            Count::Prompt => answers(&request.items[at..]),
            Count::Conversation => answers(&request.items),
            Count::Requests => request_number,
        };
        let length = rule.turns.len();
        let turn = rule.turns.get(if rule.repeat && length > 0 { position % length } else { position });
        turn.ok_or_else(|| {
            ModelError::Script(format!(
                "the script has {length} turns for this prompt, and the request asks for turn {}: {}; add a turn, or set loop",
                position + 1,
                check::excerpt(prompt(&request.items).map_or("", |(_, text)| text))
            ))
        })
    }

    /// The rule for the newest prompt and the prompt's place. Where every rule has a condition, a message that none
    /// knows (a note of the program's own) is passed over, and the one before it decides.
    fn rule(&self, items: &[std::sync::Arc<Item>]) -> Result<(usize, &Rule), ModelError> {
        let rules = &self.script.rules;
        let (mut end, mut newest) = (items.len(), None);
        while let Some((at, text)) = prompt(&items[..end]) {
            let fits = |rule: &&Rule| rule.when.as_ref().is_none_or(|when| text.contains(&when.prompt_contains));
            if let Some(rule) = rules.iter().find(fits) {
                return Ok((at, rule));
            }
            newest = newest.or(Some(text));
            end = at;
        }
        let conditions: Vec<_> = rules
            .iter()
            .filter_map(|rule| rule.when.as_ref())
            .map(|when| format!("{:?}", when.prompt_contains))
            .collect();
        Err(ModelError::Script(format!(
            "the script has no rule for this prompt: {}; its rules want one of {}",
            check::excerpt(newest.unwrap_or("(none)")),
            conditions.join(", ")
        )))
    }
}

/// What a summary says when the script says nothing of one.
fn plain_summary() -> Turn {
    let text = "Goal: what the person asked for. Done: the steps so far. Next: go on with the newest request.";
    Turn { deltas: vec![Delta::Text(text.to_owned())], ..Turn::default() }
}

/// The newest message of the person and its place.
fn prompt(items: &[std::sync::Arc<Item>]) -> Option<(usize, &str)> {
    items.iter().enumerate().rev().find_map(|(at, item)| match &**item {
        Item::User { text, .. } => Some((at, text.as_str())),
        _ => None,
    })
}

#[async_trait]
impl Provider for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn context(&self) -> Option<u64> {
        self.context
    }

    async fn stream(&self, request: Request) -> Result<TurnStream, ModelError> {
        check::history(&request.items)?;
        let summary;
        let turn = match request.purpose {
            Purpose::Turn => self.turn(&request)?,
            Purpose::Summary => {
                summary = self.script.summary.clone().unwrap_or_else(plain_summary);
                &summary
            }
        };
        if let Some(expect) = &turn.expect {
            check::expected(expect, &request)?;
        }
        let steps = Steps::of(turn, &request, &self.name);
        Ok(stream::unfold(steps.0, |mut steps| async move {
            loop {
                match steps.pop_front()? {
                    Step::Wait(time) => tokio::time::sleep(time).await,
                    Step::Say(event) => return Some((event, steps)),
                }
            }
        })
        .boxed())
    }
}

enum Step {
    Wait(Duration),
    Say(Result<StreamEvent, ModelError>),
}

/// What a turn comes to, step by step.
#[derive(Default)]
struct Steps(VecDeque<Step>);

impl Steps {
    fn of(turn: &Turn, request: &Request, name: &str) -> Self {
        let mut steps = Self::default();
        // Two deltas of the same kind that follow each other are one block.
        let (mut index, mut open) = (0, None);
        for delta in &turn.deltas {
            let kind = match delta {
                Delta::Text(_) => Some(false),
                Delta::Reasoning(_) => Some(true),
                Delta::DelayMs(milliseconds) => {
                    steps.wait(*milliseconds);
                    continue;
                }
                Delta::Call(_) | Delta::Retrying(_) => None,
            };
            if open.is_some() && open != kind {
                steps.say(StreamEvent::BlockStopped { index });
                index += 1;
            }
            open = kind;
            match delta {
                Delta::Text(text) => {
                    steps.pieces(turn, &filled(text, request), |text| StreamEvent::Text { index, text })
                }
                Delta::Reasoning(text) => steps.pieces(turn, text, |text| StreamEvent::Reasoning { index, text }),
                Delta::Call(call) => {
                    steps.call(turn, index, call);
                    index += 1;
                }
                Delta::Retrying(retry) => {
                    let delay = Duration::from_millis(retry.delay_ms);
                    let (attempt, reason) = (retry.attempt, retry.reason.clone());
                    steps.say(StreamEvent::Retrying { attempt, delay, reason, discarded: index > 0 });
                    steps.wait(retry.delay_ms);
                    index = 0;
                }
                Delta::DelayMs(_) => {}
            }
        }
        if let Some(usage) = turn.usage {
            steps.say(StreamEvent::Usage(usage.into()));
        }
        if let Some(failure) = &turn.error {
            steps.0.push_back(Step::Say(Err(failure.error(name))));
            return steps;
        }
        if open.is_some() {
            steps.say(StreamEvent::BlockStopped { index });
        }
        steps.say(StreamEvent::Finished(turn.stop()));
        steps
    }

    fn say(&mut self, event: StreamEvent) {
        self.0.push_back(Step::Say(Ok(event)));
    }

    fn wait(&mut self, milliseconds: u64) {
        if milliseconds > 0 {
            self.0.push_back(Step::Wait(Duration::from_millis(milliseconds)));
        }
    }

    fn pieces(&mut self, turn: &Turn, text: &str, event: impl Fn(String) -> StreamEvent) {
        let size = turn.chunk.filter(|size| *size > 0).unwrap_or(usize::MAX);
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.char_indices().nth(size).map_or(rest.len(), |(end, _)| end);
            let (piece, after) = rest.split_at(end);
            self.wait(turn.chunk_delay_ms);
            self.say(event(piece.to_owned()));
            rest = after;
        }
    }

    fn call(&mut self, turn: &Turn, index: usize, call: &Call) {
        self.say(StreamEvent::CallStarted { index, id: call.id.clone(), name: call.name.clone() });
        let arguments = match &call.arguments {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            object => object.to_string(),
        };
        self.pieces(turn, &arguments, |json| StreamEvent::CallArguments { index, json });
        if !call.cut {
            self.say(StreamEvent::BlockStopped { index });
        }
    }
}

/// A text with what the request holds put in.
fn filled(text: &str, request: &Request) -> String {
    if !text.contains("{{") {
        return text.to_owned();
    }
    let tools: Vec<_> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    let tools = if tools.is_empty() { "none".to_owned() } else { tools.join(", ") };
    let results = match request.items.last().map(|item| &**item) {
        Some(Item::Results { results }) => results.iter().map(|result| result.content.as_str()).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    // What is put in is not looked at again, so the prompt comes last.
    text.replace("{{tools}}", &tools)
        .replace("{{items}}", &request.items.len().to_string())
        .replace("{{results}}", &results.join("\n"))
        .replace("{{prompt}}", prompt(&request.items).map_or("", |(_, text)| text))
}

impl Failure {
    fn error(&self, provider: &str) -> ModelError {
        let (provider, message) = (provider.to_owned(), self.message.clone());
        let retry_after = self.retry_after_ms.map(Duration::from_millis);
        match self.kind {
            FailureKind::NotConfigured => ModelError::NotConfigured(message),
            FailureKind::Authentication => ModelError::Authentication {
                provider,
                status: self.status.unwrap_or(401),
                message,
                cure: "the script".to_owned(),
            },
            FailureKind::Quota => ModelError::Quota { provider, message },
            FailureKind::RateLimited => ModelError::RateLimited { provider, message, retry_after },
            FailureKind::Overflow => ModelError::Overflow { provider, message, limit: self.limit },
            FailureKind::Refused => ModelError::Refused { provider, reason: message },
            FailureKind::Rejected => ModelError::Rejected { provider, status: self.status.unwrap_or(400), message },
            FailureKind::Unavailable => ModelError::Unavailable { provider, message, retry_after },
            FailureKind::Connection => ModelError::Connection { provider, message },
            FailureKind::Idle => ModelError::Idle { provider, seconds: retry_after.map_or(300, |time| time.as_secs()) },
            FailureKind::Broken => ModelError::Broken { provider, message },
        }
    }
}

#[cfg(test)]
mod tests;
