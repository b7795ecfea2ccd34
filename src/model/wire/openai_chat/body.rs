//! What a Chat Completions server is sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::OpenaiChat;
use crate::model::wire::object;
use crate::model::{Block, Item, Request};

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
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System {
        content: &'a str,
    },
    User {
        content: Cow<'a, str>,
    },
    Assistant {
        content: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
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
    /// JSON in a string. Always an object: llama.cpp answers HTTP 500 when it does not parse.
    #[serde(serialize_with = "as_text")]
    arguments: Box<RawValue>,
}

fn as_text<S: serde::Serializer>(raw: &RawValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(raw.get())
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
    pub(super) fn new(wire: &'a OpenaiChat, request: &'a Request) -> Self {
        let tools = request.tools.iter().map(|tool| Tool {
            r#type: "function",
            function: Function { name: &tool.name, description: &tool.description, parameters: &tool.schema },
        });
        let limit = request.max_output.or(wire.max_output);
        Self {
            model: &wire.model,
            messages: messages(request),
            tools: tools.collect(),
            max_completion_tokens: limit.filter(|_| wire.own_host),
            max_tokens: limit.filter(|_| !wire.own_host),
            temperature: wire.temperature,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            store: wire.own_host.then_some(false),
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
            Item::User { text } if text.trim().is_empty() => {}
            // The templates of many local models refuse two messages of the person in a row.
            Item::User { text } => match messages.last_mut() {
                Some(Message::User { content }) => *content = format!("{content}\n\n{text}").into(),
                _ => messages.push(Message::User { content: text.into() }),
            },
            Item::Assistant { blocks, .. } => match (said(blocks), messages.last_mut()) {
                (None, _) => {}
                // Only an item without calls can be followed by another one.
                (
                    Some((Some(more), tool_calls)),
                    Some(Message::Assistant { content: Some(content), tool_calls: calls }),
                ) => {
                    *content = format!("{content}\n\n{more}").into();
                    *calls = tool_calls;
                }
                (Some((content, tool_calls)), _) => messages.push(Message::Assistant { content, tool_calls }),
            },
            Item::Results { results } => messages.extend(
                results.iter().map(|result| Message::Tool { tool_call_id: &result.call_id, content: &result.content }),
            ),
        }
    }
    messages
}

/// What the model said, without its reasoning: the wire has no place for it.
fn said(blocks: &[Block]) -> Option<(Option<Cow<'_, str>>, Vec<Call<'_>>)> {
    let (mut content, mut calls) = (None::<Cow<'_, str>>, Vec::new());
    for block in blocks {
        match block {
            Block::Text { text } if text.trim().is_empty() => {}
            Block::Text { text } => {
                content = Some(match content {
                    Some(before) => format!("{before}\n\n{text}").into(),
                    None => text.into(),
                });
            }
            Block::Reasoning { .. } => {}
            Block::Call { id, name, arguments, .. } => {
                let function = CalledFunction { name, arguments: object(arguments) };
                calls.push(Call { id, r#type: "function", function });
            }
        }
    }
    (content.is_some() || !calls.is_empty()).then_some((content, calls))
}
