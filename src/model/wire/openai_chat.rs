//! OpenAI Chat Completions, <https://platform.openai.com/docs/api-reference/chat>, and what is compatible with it:
//! Ollama, llama.cpp, vLLM, LM Studio, OpenRouter.

mod body;
mod chunk;
mod decode;
mod reasoning;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use reqwest::header::HeaderMap;

use super::{Decoder, Model, Sent, Wire};
use crate::model::fault::Fault;
use crate::model::key::{self, Credential};
use crate::model::{Item, Request};

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct OpenaiChat {
    /// The model.
    pub(crate) model: Model,
    /// Whether this is OpenAI's own host, which spells some fields anew; compatible servers know the old ones.
    pub(crate) own_host: bool,
}

/// Which of the wire's fields a server knows: some refuse a request for one that they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// All of them.
    Openai,
    /// The new spelling, and nothing that came later.
    Azure,
    /// The old spelling.
    Compatible,
}

impl OpenaiChat {
    /// The body of a request in this dialect.
    pub(super) fn written(&self, dialect: Dialect, request: &Request, streaming: bool) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&body::Body::new(&self.model, dialect, request, streaming))
    }
}

impl Wire for OpenaiChat {
    fn path(&self, _streaming: bool) -> Cow<'_, str> {
        "/chat/completions".into()
    }

    fn headers(&self, credential: &Credential, _sent: &Sent<'_>) -> Result<HeaderMap, Fault> {
        key::bearer(credential)
    }

    fn body(&self, request: &Request, streaming: bool) -> serde_json::Result<Vec<u8>> {
        let dialect = if self.own_host { Dialect::Openai } else { Dialect::Compatible };
        self.written(dialect, request, streaming)
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/models")
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Completion>::default()
    }

    fn decoder_of(&self, request: &Request) -> Box<dyn Decoder> {
        let after_results = matches!(request.items.last().map(|item| &**item), Some(Item::Results { .. }));
        Box::new(decode::Completion::of(after_results))
    }
}
