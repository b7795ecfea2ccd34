//! Azure OpenAI, <https://learn.microsoft.com/azure/ai-foundry/openai/reference>: OpenAI's wires behind other doors. The
//! model is a deployment, by the name that its owner gave it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretString};

use super::openai_chat::{Dialect, OpenaiChat};
use super::openai_responses::OpenaiResponses;
use super::{Decoder, Model, Sent, Wire, segment};
use crate::model::Request;
use crate::model::fault::Fault;
use crate::model::key::{self, Credential};

/// One deployment behind this wire.
#[derive(Debug)]
pub(crate) struct Azure {
    door: Door,
}

#[derive(Debug)]
enum Door {
    /// The one without a version: Responses.
    V1(OpenaiResponses),
    /// The one with a version in its address: Chat Completions.
    Dated { chat: OpenaiChat, path: String },
}

impl Azure {
    /// A deployment behind the door that has no version.
    pub(crate) fn v1(model: Model) -> Self {
        Self { door: Door::V1(OpenaiResponses::new(model)) }
    }

    /// A deployment behind a version of the older door.
    pub(crate) fn dated(model: Model, api_version: String) -> Self {
        let path = format!(
            "/openai/deployments/{}/chat/completions?api-version={}",
            segment(&model.id),
            segment(&api_version)
        );
        Self { door: Door::Dated { chat: OpenaiChat { model, own_host: false }, path } }
    }

    fn deployment(&self) -> &str {
        match &self.door {
            Door::V1(responses) => &responses.model.id,
            Door::Dated { chat, .. } => &chat.model.id,
        }
    }

    fn inner(&self) -> &dyn Wire {
        match &self.door {
            Door::V1(responses) => responses,
            Door::Dated { chat, .. } => chat,
        }
    }
}

impl Wire for Azure {
    fn path(&self, _streaming: bool) -> Cow<'_, str> {
        match &self.door {
            Door::V1(_) => "/openai/v1/responses".into(),
            Door::Dated { path, .. } => path.into(),
        }
    }

    fn headers(&self, credential: &Credential, _sent: &Sent<'_>) -> Result<HeaderMap, Fault> {
        let mut headers = HeaderMap::new();
        if credential.key().is_some_and(token) {
            return key::bearer(credential);
        }
        if let Some(key) = credential.key() {
            headers.insert(HeaderName::from_static("api-key"), key::header("", key)?);
        }
        Ok(headers)
    }

    fn body(&self, request: &Request, streaming: bool) -> serde_json::Result<Vec<u8>> {
        match &self.door {
            Door::V1(responses) => responses.body(request, streaming),
            Door::Dated { chat, .. } => chat.written(Dialect::Azure, request, streaming),
        }
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        self.inner().decoder()
    }

    fn decoder_of(&self, request: &Request) -> Box<dyn Decoder> {
        self.inner().decoder_of(request)
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &str) -> Fault {
        let mut fault = self.inner().fault(status, headers, body);
        if status == 404 && body.contains("DeploymentNotFound") {
            fault.message = format!("there is no deployment {}: {}", self.deployment(), fault.message);
        }
        fault
    }
}

/// Whether a key is a token of Entra, as `az account get-access-token` prints it, and not a key of the resource: a JSON web
/// token has three parts, the first of them an object in base64.
fn token(key: &SecretString) -> bool {
    let key = key.expose_secret();
    key.starts_with("eyJ") && key.split('.').count() == 3
}
