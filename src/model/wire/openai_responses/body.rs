//! What a Responses server is sent.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::wire::openai::{as_text, call_id};
use crate::model::wire::{Model, object};
use crate::model::{Block, Item, Request};

/// The longest id of a call.
const ID_CHARS: usize = 64;

/// The least that the wire takes as a limit.
const LEAST_OUTPUT: u64 = 16;

/// A request's body. The server keeps nothing of it: the whole history goes with each request.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    input: Vec<Input<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    store: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    /// A history that is too long shall be told, not cut.
    truncation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

/// What of the answer is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Reasoning in the form in which it can be sent back.
    pub(super) encrypted: bool,
    pub(super) streaming: bool,
    /// Whether OpenAI itself is asked.
    pub(super) own_host: bool,
}

#[derive(Serialize)]
struct StreamOptions {
    /// Padding that hides from an onlooker how long each piece is. It is more than the text itself, and may be left out where
    /// the network is trusted.
    include_obfuscation: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    /// Left out it would mean yes, and then every argument would be required.
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Raw(&'a RawValue),
    Written(Written<'a>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Written<'a> {
    Message {
        role: &'static str,
        content: Vec<Part<'a>>,
    },
    FunctionCall {
        call_id: Cow<'a, str>,
        name: &'a str,
        #[serde(serialize_with = "as_text")]
        arguments: Box<RawValue>,
    },
    FunctionCallOutput {
        call_id: Cow<'a, str>,
        output: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    InputText { text: &'a str },
    OutputText { text: &'a str },
}

impl<'a> Body<'a> {
    pub(super) fn new(model: &'a Model, request: &'a Request, asked: Asked) -> Self {
        let Asked { encrypted, streaming, own_host } = asked;
        let tools = request.tools.iter().map(|tool| Tool {
            r#type: "function",
            name: &tool.name,
            description: &tool.description,
            parameters: &tool.schema,
            strict: false,
        });
        Self {
            model: &model.id,
            instructions: Some(&*request.system).filter(|system| !system.trim().is_empty()),
            input: input(request),
            tools: tools.collect(),
            parallel_tool_calls: (!request.tools.is_empty()).then_some(true),
            // Less than this is refused.
            max_output_tokens: request.max_output.or(model.max_output).map(|most| most.max(LEAST_OUTPUT)),
            temperature: model.temperature,
            store: false,
            include: if encrypted { &["reasoning.encrypted_content"] } else { &[] },
            truncation: "disabled",
            prompt_cache_key: request.cache_key.as_deref(),
            stream: streaming,
            stream_options: (streaming && own_host).then_some(StreamOptions { include_obfuscation: false }),
        }
    }
}

fn input(request: &Request) -> Vec<Input<'_>> {
    let mut input = Vec::with_capacity(request.items.len());
    for item in request.items.iter() {
        match &**item {
            Item::User { text, .. } if text.trim().is_empty() => {}
            // The templates of many local models refuse two messages of the person in a row.
            Item::User { text, .. } => match input.last_mut() {
                Some(Input::Written(Written::Message { role: "user", content })) => {
                    content.push(Part::InputText { text });
                }
                _ => input.push(message("user", Part::InputText { text })),
            },
            Item::Assistant { blocks, .. } => said(blocks, &mut input),
            Item::Results { results } => input.extend(results.iter().map(|result| {
                let call_id = call_id(&result.call_id, ID_CHARS);
                Input::Written(Written::FunctionCallOutput { call_id, output: &result.content })
            })),
        }
    }
    input
}

/// What the model said: its own items where they were kept. Reasoning goes back as its own item only.
fn said<'a>(blocks: &'a [Block], input: &mut Vec<Input<'a>>) {
    // Reasoning must be followed by what it led to: where that is nothing, it is left out.
    let mut kept = input.len();
    for block in blocks {
        match block {
            Block::Reasoning { raw: Some(raw), .. } => {
                input.push(Input::Raw(raw));
                continue;
            }
            Block::Reasoning { .. } => continue,
            Block::Text { raw: Some(raw), .. } => input.push(Input::Raw(raw)),
            Block::Text { text, .. } if text.trim().is_empty() => continue,
            Block::Text { text, .. } => input.push(message("assistant", Part::OutputText { text })),
            Block::Call { id, name, raw: Some(raw), .. } if replayable(raw, id, name) => input.push(Input::Raw(raw)),
            Block::Call { id, name, arguments, .. } => {
                let (call_id, arguments) = (call_id(id, ID_CHARS), object(arguments));
                input.push(Input::Written(Written::FunctionCall { call_id, name, arguments }));
            }
        }
        kept = input.len();
    }
    input.truncate(kept);
}

fn message<'a>(role: &'static str, part: Part<'a>) -> Input<'a> {
    Input::Written(Written::Message { role, content: vec![part] })
}

/// Whether a raw call can be sent as it is: under the id that its result names, with arguments that are an object (one
/// that does not parse makes some servers fail over the whole history).
fn replayable(raw: &RawValue, id: &str, name: &str) -> bool {
    #[derive(Deserialize)]
    struct Own<'a> {
        #[serde(borrow)]
        call_id: Cow<'a, str>,
        #[serde(borrow)]
        name: Cow<'a, str>,
        #[serde(borrow)]
        arguments: Cow<'a, str>,
    }
    serde_json::from_str::<Own<'_>>(raw.get()).is_ok_and(|own| {
        let arguments = own.arguments.trim();
        own.call_id == id
            && own.name == name
            && arguments.starts_with('{')
            && serde_json::from_str::<&RawValue>(arguments).is_ok()
    })
}
