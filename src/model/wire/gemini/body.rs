//! What Gemini is sent.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::wire::{Model, object};
use crate::model::{Block, Item, Request, ToolResult};

/// Gemini 3 refuses a call of the history whose turn has no signature. This word, which its documentation names, stands
/// for one where there is none to give: the call is another provider's, or its signature was left out. Gemini's own
/// command line puts it on the first call of each of the model's turns since the last prompt, for Gemini 2 as well as 3
/// and for models that it does not know; here every turn has it, so that a prefix of the history never changes.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// A request's body. Raw parts go into it byte for byte. Nothing is said of thinking: models without it refuse even to
/// be asked for their thoughts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "GenerationConfig::is_empty")]
    generation_config: GenerationConfig,
}

#[derive(Serialize)]
struct Instruction<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Content<'a> {
    role: &'static str,
    parts: Vec<Part<'a>>,
    /// Whether a call is among the parts: only the first one needs a signature.
    #[serde(skip)]
    called: bool,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Part<'a> {
    Raw(&'a RawValue),
    Text {
        text: &'a str,
    },
    Call {
        function_call: FunctionCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'static str>,
    },
    Result {
        function_response: FunctionResponse<'a>,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum FunctionCall<'a> {
    Raw(&'a RawValue),
    Written { name: &'a str, args: Box<RawValue> },
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, str>>,
    name: &'a str,
    response: Outcome<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome<'a> {
    Output(&'a str),
    Error(&'a str),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Function<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters_json_schema: &'a Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

/// A call in Gemini's own form.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnCall<'a> {
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    thought_signature: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Id<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

impl<'a> Body<'a> {
    pub(super) fn new(model: &Model, request: &'a Request) -> Self {
        let functions: Vec<_> = request
            .tools
            .iter()
            .map(|tool| Function {
                name: &tool.name,
                description: &tool.description,
                parameters_json_schema: &tool.schema,
            })
            .collect();
        let tools = (!functions.is_empty()).then_some(Tools { function_declarations: functions });
        let max_output_tokens = request.max_output.or(model.max_output);
        Self {
            system_instruction: text(&request.system).map(|part| Instruction { parts: [part] }),
            contents: History::default().told(request),
            tools: tools.into_iter().collect(),
            generation_config: GenerationConfig { max_output_tokens, temperature: model.temperature },
        }
    }
}

impl GenerationConfig {
    fn is_empty(&self) -> bool {
        self.max_output_tokens.is_none() && self.temperature.is_none()
    }
}

/// The history on its way, with the roles alternating.
#[derive(Default)]
struct History<'a> {
    contents: Vec<Content<'a>>,
    /// Gemini's own ids of its calls, by ours. A result names one only where the call does.
    ids: HashMap<&'a str, Cow<'a, str>>,
}

impl<'a> History<'a> {
    fn told(mut self, request: &'a Request) -> Vec<Content<'a>> {
        for item in request.items.iter() {
            match &**item {
                Item::User { text: said, .. } => {
                    if let Some(part) = text(said) {
                        self.content("user").parts.push(part);
                    }
                }
                Item::Results { results } => results.iter().for_each(|result| self.result(result)),
                Item::Assistant { blocks, .. } => blocks.iter().for_each(|block| self.block(block)),
            }
        }
        self.contents
    }

    /// What the next part of this role belongs to.
    fn content(&mut self, role: &'static str) -> &mut Content<'a> {
        let at = match self.contents.last() {
            Some(last) if last.role == role => self.contents.len() - 1,
            _ => {
                self.contents.push(Content { role, parts: Vec::new(), called: false });
                self.contents.len() - 1
            }
        };
        &mut self.contents[at]
    }

    fn result(&mut self, result: &'a ToolResult) {
        let response = match result.ok {
            true => Outcome::Output(&result.content),
            false => Outcome::Error(&result.content),
        };
        let id = self.ids.get(result.call_id.as_str()).cloned();
        let function_response = FunctionResponse { id, name: &result.name, response };
        self.content("user").parts.push(Part::Result { function_response });
    }

    /// What the model said. Reasoning goes back in its own form only.
    fn block(&mut self, block: &'a Block) {
        match block {
            Block::Call { id, name, arguments, raw } => self.call(id, name, arguments, raw.as_deref()),
            Block::Text { raw: Some(raw), .. } | Block::Reasoning { raw: Some(raw), .. } => {
                // What was told as one block may have been several parts.
                match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
                    Ok(parts) => self.content("model").parts.extend(parts.into_iter().map(Part::Raw)),
                    Err(_) => self.content("model").parts.push(Part::Raw(raw)),
                }
            }
            Block::Text { text: said, raw: None } => {
                if let Some(part) = text(said) {
                    self.content("model").parts.push(part);
                }
            }
            Block::Reasoning { raw: None, .. } => {}
        }
    }

    fn call(&mut self, id: &'a str, name: &'a str, arguments: &str, raw: Option<&'a RawValue>) {
        let own = raw.and_then(|raw| Some((raw, serde_json::from_str::<OwnCall<'_>>(raw.get()).ok()?)));
        if let Some((_, OwnCall { function_call: Some(call), .. })) = &own
            && let Ok(Id { id: Some(own_id) }) = serde_json::from_str(call.get())
        {
            self.ids.insert(id, own_id);
        }
        let content = self.content("model");
        let first = !std::mem::replace(&mut content.called, true);
        let signature = first.then_some(UNSIGNED);
        content.parts.push(match own {
            Some((raw, OwnCall { thought_signature, .. })) if thought_signature.is_some() || !first => Part::Raw(raw),
            Some((_, OwnCall { function_call: Some(call), .. })) => {
                Part::Call { function_call: FunctionCall::Raw(call), thought_signature: signature }
            }
            _ => {
                let function_call = FunctionCall::Written { name, args: object(arguments) };
                Part::Call { function_call, thought_signature: signature }
            }
        });
    }
}

/// A text, unless it is blank.
fn text(text: &str) -> Option<Part<'_>> {
    (!text.trim().is_empty()).then_some(Part::Text { text })
}
