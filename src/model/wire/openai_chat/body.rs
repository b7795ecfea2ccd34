//! What a Chat Completions server is sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Dialect;
use super::reasoning::{Beside, Kept};
use crate::model::wire::openai::{as_text, call_id};
use crate::model::wire::{Model, object};
use crate::model::{Block, Item, Request};

/// The longest id of a call.
const ID_CHARS: usize = 40;

/// A request's body.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
    /// Padding that hides from an onlooker how long each piece is. It is more than the text itself, and may be left out where
    /// the network is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    include_obfuscation: Option<bool>,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System { content: &'a str },
    User { content: Cow<'a, str> },
    Assistant(Said<'a>),
    Tool { tool_call_id: Cow<'a, str>, content: &'a str },
}

/// What the model said.
#[derive(Default, Serialize)]
struct Said<'a> {
    content: Option<Cow<'a, str>>,
    #[serde(flatten)]
    reasoning: Kept<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: CalledFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    /// JSON in a string. Always an object: llama.cpp answers HTTP 500 when it does not parse.
    #[serde(serialize_with = "as_text")]
    arguments: Box<RawValue>,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

impl<'a> Body<'a> {
    pub(super) fn new(model: &'a Model, dialect: Dialect, request: &'a Request, streaming: bool) -> Self {
        let tools = request.tools.iter().map(|tool| Tool {
            r#type: "function",
            function: Function { name: &tool.name, description: &tool.description, parameters: &tool.schema },
        });
        let limit = request.max_output.or(model.max_output);
        let (old, own) = (dialect == Dialect::Compatible, dialect == Dialect::Openai);
        Self {
            model: &model.id,
            messages: messages(request, old, old && wants_reasoning(&model.id)),
            tools: tools.collect(),
            max_completion_tokens: limit.filter(|_| !old),
            max_tokens: limit.filter(|_| old),
            temperature: model.temperature,
            stream: streaming,
            stream_options: streaming
                .then_some(StreamOptions { include_usage: true, include_obfuscation: own.then_some(false) }),
            store: own.then_some(false),
            prompt_cache_key: request.cache_key.as_deref().filter(|_| own),
        }
    }
}

/// `replays`: whether what the server said beside the wire's own fields goes back to it.
fn messages(request: &Request, replays: bool, thoughts: bool) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    if !request.system.trim().is_empty() {
        messages.push(Message::System { content: &request.system });
    }
    for item in request.items.iter() {
        match &**item {
            Item::User { text, .. } if text.trim().is_empty() => {}
            // The templates of many local models refuse two messages of the person in a row.
            Item::User { text, .. } => match messages.last_mut() {
                Some(Message::User { content }) => *content = format!("{content}\n\n{text}").into(),
                _ => messages.push(Message::User { content: text.into() }),
            },
            Item::Assistant { blocks, .. } => match (said(blocks, replays), messages.last_mut()) {
                (None, _) => {}
                // Only an item without calls can be followed by another one.
                (Some(more), Some(Message::Assistant(before))) => before.extend(more),
                (Some(said), _) => messages.push(Message::Assistant(said)),
            },
            Item::Results { results } => messages.extend(results.iter().map(|result| Message::Tool {
                tool_call_id: call_id(&result.call_id, ID_CHARS),
                content: &result.content,
            })),
        }
    }
    settle(&mut messages, thoughts);
    messages
}

/// Whether a model's makers want the text of its reasoning back, and refuse the history without it. Others have no use for it, and
/// some servers refuse a field that they do not know.
fn wants_reasoning(model: &str) -> bool {
    let model = model.to_lowercase();
    ["deepseek", "kimi"].iter().any(|maker| model.contains(maker))
}

/// A server that wants its reasoning back looks for the field in every message of the model's (DeepSeek refuses the history
/// for one without it), and what others said has none.
fn settle(messages: &mut [Message<'_>], thoughts: bool) {
    let mut said: Vec<&mut Kept<'_>> = Vec::new();
    for message in messages {
        if let Message::Assistant(Said { reasoning, .. }) = message {
            if !thoughts {
                (reasoning.reasoning_content, reasoning.reasoning) = (None, None);
            }
            reasoning.settle();
            said.push(reasoning);
        }
    }
    if said.iter().any(|reasoning| reasoning.reasoning_content.is_some()) {
        for reasoning in said {
            reasoning.reasoning_content.get_or_insert_default();
        }
    }
}

/// What the model said, where that is more than reasoning that led to nothing.
fn said(blocks: &[Block], replays: bool) -> Option<Said<'_>> {
    let mut said = Said::default();
    for block in blocks {
        match block {
            Block::Text { text, .. } if text.trim().is_empty() => {}
            Block::Text { text, .. } => said.write(text.into()),
            Block::Reasoning { raw, .. } => {
                if let Some(raw) = raw.as_deref().filter(|_| replays) {
                    said.reasoning.extend(Kept::read(raw));
                }
            }
            Block::Call { id, name, arguments, raw } => {
                let beside = raw.as_deref().filter(|_| replays).and_then(|raw| serde_json::from_str(raw.get()).ok());
                let function = CalledFunction { name, arguments: object(arguments) };
                said.tool_calls.push(Call {
                    id: call_id(id, ID_CHARS),
                    r#type: "function",
                    function,
                    extra_content: beside.and_then(|Beside { extra_content }| extra_content),
                });
            }
        }
    }
    (said.content.is_some() || !said.tool_calls.is_empty()).then_some(said)
}

impl<'a> Said<'a> {
    fn write(&mut self, text: Cow<'a, str>) {
        self.content = Some(match self.content.take() {
            Some(before) => format!("{before}\n\n{text}").into(),
            None => text,
        });
    }

    fn extend(&mut self, more: Self) {
        if let Some(text) = more.content {
            self.write(text);
        }
        self.reasoning.extend(more.reasoning);
        self.tool_calls.extend(more.tool_calls);
    }
}
