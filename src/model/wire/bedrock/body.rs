//! What Bedrock is sent.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::wire::{Model, call_id, object};
use crate::model::{Block, Item, Request, ToolResult};

/// A request's body. Raw blocks go into it byte for byte.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Part<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_config: Option<InferenceConfig>,
}

#[derive(Serialize)]
struct ToolConfig<'a> {
    tools: Vec<Tool<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Tool<'a> {
    ToolSpec {
        name: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        description: &'a str,
        input_schema: Schema<'a>,
    },
    CachePoint(CachePoint),
}

#[derive(Serialize)]
struct Schema<'a> {
    json: Cow<'a, Value>,
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
    Written(Content<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Content<'a> {
    Text(&'a str),
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: &'a str,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: [Said<'a>; 1],
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    CachePoint(CachePoint),
}

/// What a tool said.
#[derive(Serialize)]
struct Said<'a> {
    text: &'a str,
}

/// Marks the end of a prefix that the provider shall keep.
#[derive(Serialize)]
struct CachePoint {
    r#type: &'static str,
}

const CACHED: CachePoint = CachePoint { r#type: "default" };

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

impl<'a> Body<'a> {
    pub(super) fn new(model: &'a Model, request: &'a Request) -> Self {
        let marks = Marks::of(&model.id);
        let mut tools = tools(request);
        let mut system: Vec<Part<'a>> = Part::text(&request.system).into_iter().collect();
        let mut messages = messages(request);

        // Four marks are allowed: these two are the stable prefix, the user's last two messages the growing one.
        if marks.tools && !tools.is_empty() {
            tools.push(Tool::CachePoint(CACHED));
        }
        if marks.text && !system.is_empty() {
            system.push(Content::CachePoint(CACHED).into());
        }
        for message in messages.iter_mut().rev().filter(|message| message.role == "user").take(2) {
            let after_result = matches!(message.content.last(), Some(Part::Written(Content::ToolResult { .. })));
            let taken = if after_result { marks.results } else { marks.text };
            if taken {
                message.content.push(Content::CachePoint(CACHED).into());
            }
        }
        let (max_tokens, temperature) = (request.max_output.or(model.max_output), model.temperature);
        let set = max_tokens.is_some() || temperature.is_some();
        Self {
            system,
            tool_config: (!tools.is_empty()).then_some(ToolConfig { tools }),
            messages,
            inference_config: set.then_some(InferenceConfig { max_tokens, temperature }),
        }
    }
}

/// Where a family of models takes the marks of a cached prefix. One that it does not take is refused, and the request
/// with it.
#[derive(Clone, Copy, Default)]
struct Marks {
    text: bool,
    results: bool,
    tools: bool,
}

impl Marks {
    fn of(model: &str) -> Self {
        /// The models of Claude from before there were any.
        const OLD: &[&str] = &[
            "claude-instant",
            "claude-v2",
            "claude-3-haiku",
            "claude-3-sonnet",
            "claude-3-opus",
            "claude-3-5-sonnet-20240620",
        ];
        let model = model.to_lowercase();
        if model.contains("anthropic.claude") {
            let new = !OLD.iter().any(|old| model.contains(old));
            return Self { text: new, results: new, tools: new };
        }
        // Nova refuses them among the tools and right behind a result.
        Self { text: model.contains("amazon.nova"), ..Self::default() }
    }
}

/// The tools on offer. A history with calls is refused where none are declared: those that it names are, then.
fn tools(request: &Request) -> Vec<Tool<'_>> {
    let mut tools = Vec::with_capacity(request.tools.len() + 1);
    for tool in request.tools.iter() {
        let description = tool.description.trim();
        let input_schema = Schema { json: Cow::Borrowed(&tool.schema) };
        tools.push(Tool::ToolSpec { name: &tool.name, description, input_schema });
    }
    if tools.is_empty() {
        let called = request.items.iter().flat_map(|item| match &**item {
            Item::Assistant { blocks, .. } => blocks.as_slice(),
            _ => &[],
        });
        let names: BTreeSet<&str> = called.filter_map(name).collect();
        for name in names {
            let input_schema = Schema { json: Cow::Owned(json!({"type": "object"})) };
            tools.push(Tool::ToolSpec { name, description: "", input_schema });
        }
    }
    tools
}

fn name(block: &Block) -> Option<&str> {
    match block {
        Block::Call { name, .. } => Some(name),
        _ => None,
    }
}

/// The history with the roles alternating, as the wire demands. The results of calls come first in their message.
fn messages(request: &Request) -> Vec<Message<'_>> {
    let mut messages: Vec<Message<'_>> = Vec::new();
    for item in request.items.iter() {
        let (role, parts) = match &**item {
            Item::User { text, .. } => ("user", Part::text(text).into_iter().collect()),
            Item::Results { results } => ("user", results.iter().map(Part::from).collect()),
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
                parts.push(Content::ToolUse { tool_use_id: id(call), name, input: object(arguments) }.into());
            }
        }
        kept = parts.len();
    }
    parts.truncate(kept);
    parts
}

/// A call's id as the wire takes it.
fn id(id: &str) -> Cow<'_, str> {
    call_id(id, "_-", 64)
}

impl<'a> Part<'a> {
    /// A text; blank ones are refused by the provider.
    fn text(text: &'a str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| Content::Text(text).into())
    }
}

impl<'a> From<&'a ToolResult> for Part<'a> {
    fn from(result: &'a ToolResult) -> Self {
        // A blank text is refused here too, and a result has to stand.
        let text = if result.content.trim().is_empty() { "(no output)" } else { &result.content };
        let status = (!result.ok).then_some("error");
        Content::ToolResult { tool_use_id: id(&result.call_id), content: [Said { text }], status }.into()
    }
}

impl<'a> From<Content<'a>> for Part<'a> {
    fn from(content: Content<'a>) -> Self {
        Self::Written(content)
    }
}
