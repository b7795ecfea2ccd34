//! Gemini's `generateContent`: <https://ai.google.dev/api/generate-content>.

mod body;
mod decode;
mod errors;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use reqwest::header::{HeaderMap, HeaderName};

use super::{Decoder, Model, Names, Sent, Wire, segment};
use crate::model::Request;
use crate::model::fault::Fault;
use crate::model::key::{self, Credential};

const KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct Gemini {
    /// The model.
    pub(crate) model: Model,
}

impl Wire for Gemini {
    fn path(&self, streaming: bool) -> Cow<'_, str> {
        let verb = if streaming { "streamGenerateContent?alt=sse" } else { "generateContent" };
        format!("/v1beta/{}:{verb}", resource(&self.model.id)).into()
    }

    fn headers(&self, credential: &Credential, _sent: &Sent<'_>) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        if let Some(key) = credential.key() {
            headers.insert(KEY, key::header("", key)?);
        }
        Ok(headers)
    }

    fn body(&self, request: &Request, _streaming: bool) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&body::Body::new(&self.model, request))
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/v1beta/models?pageSize=1000")
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Answer>::default()
    }

    /// The rule of `FunctionDeclaration.name`; newer models take 128 characters, all of them 64.
    fn names(&self) -> Names {
        Names { longest: 64, beside: "_.:-", letter_first: true }
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &str) -> Fault {
        errors::from_response(status, headers, body)
    }
}

/// A model as a path. Its name is one segment of it; the collection before the name may be left out.
fn resource(id: &str) -> String {
    const COLLECTIONS: [&str; 2] = ["models/", "tunedModels/"];
    let named = COLLECTIONS.iter().find_map(|collection| Some((*collection, id.strip_prefix(collection)?)));
    let (collection, name) = named.unwrap_or((COLLECTIONS[0], id));
    format!("{collection}{}", segment(name))
}
