//! What Cohere is sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::wire::{Model, object};
use crate::model::{Block, Item, Request, ToolResult};

/// A request's body.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System { content: &'a str },
    User { content: Cow<'a, str> },
    Assistant(Said<'a>),
    Tool { tool_call_id: &'a str, content: String },
}

/// What the model said.
#[derive(Default, Serialize)]
struct Said<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    content: Vec<Part<'a>>,
    /// What it said before its calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_plan: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    /// Reasoning, in the wire's own form: a model with tools goes on from what it thought before its calls.
    Raw(&'a RawValue),
    Text {
        r#type: &'static str,
        text: &'a str,
    },
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    /// JSON in a string.
    arguments: String,
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
    pub(super) fn new(model: &'a Model, request: &'a Request, streaming: bool) -> Self {
        let tools = request.tools.iter().map(|tool| Tool {
            r#type: "function",
            function: Function { name: &tool.name, description: &tool.description, parameters: &tool.schema },
        });
        Self {
            model: &model.id,
            messages: messages(request),
            tools: tools.collect(),
            max_tokens: request.max_output.or(model.max_output),
            temperature: model.temperature,
            stream: streaming,
        }
    }
}

fn messages(request: &Request) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    if !request.system.trim().is_empty() {
        messages.push(Message::System { content: &request.system });
    }
    for item in request.items.iter() {
        match &**item {
            Item::User { text, .. } if text.trim().is_empty() => {}
            Item::User { text, .. } => match messages.last_mut() {
                Some(Message::User { content }) => *content = format!("{content}\n\n{text}").into(),
                _ => messages.push(Message::User { content: text.into() }),
            },
            Item::Assistant { blocks, .. } => match (said(blocks), messages.last_mut()) {
                (None, _) => {}
                // Only an item without calls can be followed by another one.
                (Some(more), Some(Message::Assistant(before))) => {
                    before.content.extend(more.content);
                    before.tool_plan = more.tool_plan;
                    before.tool_calls = more.tool_calls;
                }
                (Some(said), _) => messages.push(Message::Assistant(said)),
            },
            Item::Results { results } => messages.extend(results.iter().map(result)),
        }
    }
    messages
}

/// A tool's answer: the wire wants a JSON object as a string.
fn result(result: &ToolResult) -> Message<'_> {
    let content = match result.ok {
        true => json!({"output": result.content}),
        false => json!({"error": result.content}),
    };
    Message::Tool { tool_call_id: &result.call_id, content: content.to_string() }
}

/// What the model said, where that is more than reasoning that led to nothing.
fn said(blocks: &[Block]) -> Option<Said<'_>> {
    let (mut reasoning, mut texts, mut tool_calls) = (Vec::new(), Vec::new(), Vec::new());
    for block in blocks {
        match block {
            Block::Text { text, .. } if text.trim().is_empty() => {}
            Block::Text { text, .. } => texts.push(text.as_str()),
            Block::Reasoning { raw: Some(raw), .. } => reasoning.push(Part::Raw(raw)),
            Block::Reasoning { raw: None, .. } => {}
            Block::Call { id, name, arguments, .. } => {
                let arguments = object(arguments).get().to_owned();
                tool_calls.push(Call { id, r#type: "function", function: CalledFunction { name, arguments } });
            }
        }
    }
    let mut said = Said { content: reasoning, tool_plan: None, tool_calls };
    match texts.as_slice() {
        [] if said.tool_calls.is_empty() => return None,
        [] => {}
        texts if said.tool_calls.is_empty() => {
            said.content.extend(texts.iter().map(|text| Part::Text { r#type: "text", text }));
        }
        [text] => said.tool_plan = Some((*text).into()),
        texts => said.tool_plan = Some(texts.join("\n\n").into()),
    }
    Some(said)
}
