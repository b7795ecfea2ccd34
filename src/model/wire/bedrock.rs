//! Bedrock Converse: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.

mod body;
mod decode;
mod errors;
mod sign;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use aws_sigv4::http_request::SigningSettings;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};

use super::{Decoder, Framing, Model, Sent, Wire, segment};
use crate::model::Request;
use crate::model::fault::Fault;
use crate::model::key::{self, Credential};
use sign::{Scope, Signed, Signer};

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct Bedrock {
    /// The model: its id, the id of an inference profile, or the ARN of either.
    pub(crate) model: Model,
    /// The region that requests are signed for.
    pub(crate) region: String,
}

/// The address of a region, where none is set.
///
/// # Errors
/// A name that is no region's: it becomes part of the host that the request goes to.
pub(crate) fn base_url(region: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || !region.chars().all(plain) {
        return Err(format!("region is {region:?}, and should be like us-east-1"));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Ok(format!("https://bedrock-runtime.{region}.{domain}"))
}

impl Wire for Bedrock {
    fn path(&self, streaming: bool) -> Cow<'_, str> {
        let operation = if streaming { "converse-stream" } else { "converse" };
        format!("/model/{}/{operation}", segment(&self.model.id)).into()
    }

    fn headers(&self, credential: &Credential, sent: &Sent<'_>) -> Result<HeaderMap, Fault> {
        let mut headers = match credential {
            Credential::Aws { access_key_id, secret, session_token } => {
                let signer = Signer { access_key_id, secret, session_token: session_token.as_ref() };
                let signed = Signed { method: "POST", url: sent.url.as_str(), headers: &[], body: sent.body };
                let settings = SigningSettings::default();
                sign::sign(signer, signed, Scope { service: "bedrock", region: &self.region, now: sent.now, settings })?
            }
            Credential::Key(_) | Credential::None => key::bearer(credential)?,
        };
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.amazon.eventstream, application/json"));
        Ok(headers)
    }

    fn body(&self, request: &Request, _streaming: bool) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&body::Body::new(&self.model, request))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Converse>::default()
    }

    fn framing(&self) -> Framing {
        Framing::EventStream
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &str) -> Fault {
        errors::of_response(status, headers, body)
    }
}
