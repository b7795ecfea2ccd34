//! A chunk of an answer as a Chat Completions server writes it, or the whole of one.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::wire::{Words, openai};
use crate::protocol::Usage;

#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    pub(super) usage: Option<Figures>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow, alias = "message")]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Words<'a>>,
    #[serde(borrow)]
    pub(super) content_filter_results: Option<&'a RawValue>,
    pub(super) usage: Option<Figures>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<Words<'a>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<Piece<'a>>>,
    /// The form before there were several calls.
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Piece<'a> {
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) id: Option<Words<'a>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Words<'a>>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Figures {
    prompt_tokens: Option<u64>,
    pub(super) completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Cached>,
    prompt_cache_hit_tokens: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Cached {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

impl Figures {
    /// The figures as they are counted here.
    pub(super) fn usage(self) -> Usage {
        let (read, write) =
            self.prompt_tokens_details.map_or((None, None), |cached| (cached.cached_tokens, cached.cache_write_tokens));
        openai::usage(self.prompt_tokens, self.completion_tokens, read.or(self.prompt_cache_hit_tokens), write)
    }
}

/// The text of a content that is one, or a list of parts that hold some.
pub(super) fn text(content: &RawValue) -> String {
    let json = content.get();
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).unwrap_or_default(),
        Some(b'[') => {
            let parts: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
            parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    }
}
