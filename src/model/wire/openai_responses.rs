//! OpenAI Responses, <https://platform.openai.com/docs/api-reference/responses>, and what is compatible with it.

mod body;
mod decode;
mod items;
mod written;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::HeaderMap;

use super::{Decoder, Model, Sent, Wire};
use crate::model::Request;
use crate::model::fault::{self, Fault, Kind};
use crate::model::key::{self, Credential};

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct OpenaiResponses {
    /// The model.
    pub(crate) model: Model,
    /// Whether this is OpenAI's own host, which knows fields that compatible servers do not.
    own_host: bool,
    /// Set once the model refused to be asked for encrypted reasoning: those that do not reason do. Elsewhere than at
    /// OpenAI their names do not tell (a deployment has any), so it is learned from the first answer.
    plain: AtomicBool,
}

impl OpenaiResponses {
    /// One for this model.
    pub(crate) fn new(model: Model) -> Self {
        Self { model, own_host: false, plain: AtomicBool::new(false) }
    }

    /// The same at OpenAI's own host, where names tell.
    pub(crate) fn at_openai(self) -> Self {
        let id = self.model.id.strip_prefix("ft:").unwrap_or(&self.model.id);
        let plain = ["gpt-4.", "gpt-4o", "gpt-4-", "gpt-3.5", "chatgpt-4o"].iter().any(|name| id.starts_with(name));
        Self { own_host: true, plain: AtomicBool::new(plain || id == "gpt-4"), ..self }
    }
}

impl Wire for OpenaiResponses {
    fn path(&self, _streaming: bool) -> Cow<'_, str> {
        "/responses".into()
    }

    fn headers(&self, credential: &Credential, _sent: &Sent<'_>) -> Result<HeaderMap, Fault> {
        key::bearer(credential)
    }

    fn body(&self, request: &Request, streaming: bool) -> serde_json::Result<Vec<u8>> {
        let asked = body::Asked { encrypted: !self.plain.load(Ordering::Relaxed), streaming, own_host: self.own_host };
        serde_json::to_vec(&body::Body::new(&self.model, request, asked))
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/models")
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::new(decode::Response::up_to(self.model.max_output))
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &str) -> Fault {
        let fault = fault::from_response(status, headers, body);
        let asked_for =
            fault.kind == Kind::Rejected && fault.message.to_lowercase().contains("encrypted content is not supported");
        if !asked_for {
            return fault;
        }
        // The request is made once more at once, without asking for it, and so is every one that is under way meanwhile.
        self.plain.store(true, Ordering::Relaxed);
        let message = format!("and none is asked for any more: {}", fault.message);
        Fault { kind: Kind::Reasoning, message, ..fault }
    }
}
