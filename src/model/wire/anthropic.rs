//! Anthropic Messages: <https://docs.anthropic.com/en/api/messages>.

mod body;
mod decode;

#[cfg(test)]
mod tests;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::{Decoder, Wire};
use crate::model::fault::Fault;
use crate::model::{Request, key};

/// The wire needs a limit. This much holds a rewritten file of some size, and is below what each model allows.
const MAX_OUTPUT: u64 = 16_384;

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct Anthropic {
    /// `TABLE/MODEL`: what it said itself is replayed with its signatures.
    pub(crate) name: String,
    /// What the endpoint calls the model.
    pub(crate) model: String,
    /// The most that an answer may hold, where the settings say so.
    pub(crate) max_output: Option<u64>,
    /// Sent only when set.
    pub(crate) temperature: Option<f64>,
}

impl Wire for Anthropic {
    fn path(&self) -> &str {
        "/v1/messages"
    }

    fn headers(&self, key: Option<&SecretString>) -> Result<HeaderMap, Fault> {
        let version = (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));
        let mut headers = HeaderMap::from_iter([version]);
        if let Some(key) = key {
            headers.insert("x-api-key", key::header("", key)?);
        }
        Ok(headers)
    }

    fn body(&self, request: &Request) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&body::Body::new(self, request))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Messages>::default()
    }
}
