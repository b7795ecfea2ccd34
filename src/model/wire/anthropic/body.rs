//! What Anthropic is sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::MAX_OUTPUT;
use crate::model::wire::{Model, call_id, object};
use crate::model::{Block, Item, Request};

/// A request's body. Raw blocks go into it byte for byte.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Part<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Raw(&'a RawValue),
    Written {
        #[serde(flatten)]
        content: Content<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Text {
        text: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

/// Marks the end of a prefix that the provider shall keep.
#[derive(Clone, Copy, Serialize)]
struct CacheControl {
    r#type: &'static str,
}

const CACHED: Option<CacheControl> = Some(CacheControl { r#type: "ephemeral" });

impl<'a> Body<'a> {
    pub(super) fn new(model: &'a Model, request: &'a Request, streaming: bool) -> Self {
        let mut tools: Vec<Tool<'a>> = request
            .tools
            .iter()
            .map(|tool| Tool {
                name: &tool.name,
                description: &tool.description,
                input_schema: &tool.schema,
                cache_control: None,
            })
            .collect();
        let mut system: Vec<Part<'a>> = Part::text(&request.system).into_iter().collect();
        let mut messages = messages(request);

        // Four marks are allowed: these two are the stable prefix, the user's last two messages the growing one: what
        // is cached is looked for no more than twenty blocks before a mark.
        if let Some(tool) = tools.last_mut() {
            tool.cache_control = CACHED;
        }
        for part in &mut system {
            part.mark();
        }
        for message in messages.iter_mut().rev().filter(|message| message.role == "user").take(2) {
            message.content.iter_mut().rev().find_map(|part| part.mark());
        }
        Self {
            model: &model.id,
            max_tokens: request.max_output.or(model.max_output).unwrap_or(MAX_OUTPUT),
            system,
            tools,
            messages,
            temperature: model.temperature,
            stream: streaming,
        }
    }
}

/// The history with the roles alternating, as the wire demands. The results of calls come first in their message.
fn messages<'a>(request: &'a Request) -> Vec<Message<'a>> {
    let mut messages: Vec<Message<'a>> = Vec::new();
    for item in request.items.iter() {
        let (role, parts) = match &**item {
            Item::User { text, .. } => ("user", Part::text(text).into_iter().collect()),
            Item::Results { results } => {
                let result = |result: &'a crate::model::ToolResult| {
                    Part::from(Content::ToolResult {
                        tool_use_id: id(&result.call_id),
                        content: &result.content,
                        is_error: !result.ok,
                    })
                };
                ("user", results.iter().map(result).collect())
            }
            Item::Assistant { blocks, .. } => ("assistant", said(blocks)),
        };
        match messages.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(parts),
            _ => messages.push(Message { role, content: parts }),
        }
    }
    messages
}

/// What the model said. Reasoning goes back with its signature only.
fn said(blocks: &[Block]) -> Vec<Part<'_>> {
    let mut parts = Vec::with_capacity(blocks.len());
    // A message may not end with reasoning: what led to nothing is left out.
    let mut kept = 0;
    for block in blocks {
        match block {
            Block::Text { text, .. } => parts.extend(Part::text(text)),
            Block::Reasoning { raw: Some(raw), .. } => {
                parts.push(Part::Raw(raw));
                continue;
            }
            Block::Reasoning { .. } => continue,
            Block::Call { id: call, name, arguments, .. } => {
                parts.push(Content::ToolUse { id: id(call), name, input: object(arguments) }.into());
            }
        }
        kept = parts.len();
    }
    parts.truncate(kept);
    parts
}

/// A call's id as the wire takes it. It names no longest one; what is changed shall not become long.
fn id(id: &str) -> Cow<'_, str> {
    call_id(id, "_-", 128)
}

impl<'a> Part<'a> {
    /// A text; blank ones are refused by the provider.
    fn text(text: &'a str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| Content::Text { text }.into())
    }

    /// Marks the part, where it is of a kind that takes it.
    fn mark(&mut self) -> Option<()> {
        match self {
            Self::Raw(_) => None,
            Self::Written { cache_control, .. } => {
                *cache_control = CACHED;
                Some(())
            }
        }
    }
}

impl<'a> From<Content<'a>> for Part<'a> {
    fn from(content: Content<'a>) -> Self {
        Self::Written { content, cache_control: None }
    }
}
