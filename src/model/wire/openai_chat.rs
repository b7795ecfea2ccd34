//! OpenAI Chat Completions, <https://platform.openai.com/docs/api-reference/chat>, and what is compatible with it:
//! Ollama, llama.cpp, vLLM, LM Studio, OpenRouter.

mod body;
mod decode;

#[cfg(test)]
mod tests;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use secrecy::SecretString;

use super::{Decoder, Wire};
use crate::model::fault::Fault;
use crate::model::{Request, key};

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct OpenaiChat {
    /// What the endpoint calls the model.
    pub(crate) model: String,
    /// Whether this is OpenAI's own host, which spells some fields anew; compatible servers know the old ones.
    pub(crate) own_host: bool,
    /// The most that an answer may hold, where the settings say so.
    pub(crate) max_output: Option<u64>,
    /// Sent only when set.
    pub(crate) temperature: Option<f64>,
}

impl Wire for OpenaiChat {
    fn path(&self) -> &str {
        "/chat/completions"
    }

    fn headers(&self, key: Option<&SecretString>) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            headers.insert(AUTHORIZATION, key::header("Bearer ", key)?);
        }
        Ok(headers)
    }

    fn body(&self, request: &Request) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&body::Body::new(self, request))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Completion>::default()
    }
}
