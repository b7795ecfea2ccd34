//! Anthropic Messages: <https://docs.anthropic.com/en/api/messages>.

mod body;
mod decode;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Decoder, Model, Sent, Wire};
use crate::model::Request;
use crate::model::fault::Fault;
use crate::model::key::{self, Credential};

/// The wire needs a limit. This much holds a rewritten file of some size, and is below what each model allows.
pub(super) const MAX_OUTPUT: u64 = 16_384;

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct Anthropic {
    /// The model.
    pub(crate) model: Model,
}

impl Wire for Anthropic {
    fn path(&self, _streaming: bool) -> Cow<'_, str> {
        "/v1/messages".into()
    }

    fn headers(&self, credential: &Credential, _sent: &Sent<'_>) -> Result<HeaderMap, Fault> {
        let version = (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));
        let mut headers = HeaderMap::from_iter([version]);
        if let Some(key) = credential.key() {
            headers.insert("x-api-key", key::header("", key)?);
        }
        Ok(headers)
    }

    fn body(&self, request: &Request, streaming: bool) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&body::Body::new(&self.model, request, streaming))
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/v1/models?limit=1000")
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Messages>::default()
    }
}
