//! Cohere's chat, second version: <https://docs.cohere.com/reference/chat>.

mod body;
mod decode;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderMap;

use super::{Decoder, Model, Names, Sent, Wire};
use crate::model::Request;
use crate::model::fault::{self, Fault, Kind};
use crate::model::key::{self, Credential};

/// One model behind this wire.
#[derive(Debug)]
pub(crate) struct Cohere {
    /// The model.
    pub(crate) model: Model,
}

impl Wire for Cohere {
    fn path(&self, _streaming: bool) -> Cow<'_, str> {
        "/v2/chat".into()
    }

    fn headers(&self, credential: &Credential, _sent: &Sent<'_>) -> Result<HeaderMap, Fault> {
        key::bearer(credential)
    }

    fn body(&self, request: &Request, streaming: bool) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&body::Body::new(&self.model, request, streaming))
    }

    fn models_path(&self) -> Option<&'static str> {
        Some("/v1/models?endpoint=chat&page_size=1000")
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        Box::<decode::Chat>::default()
    }

    /// The rule that the first version states; the second states none.
    fn names(&self) -> Names {
        Names { longest: 64, beside: "_", letter_first: true }
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &str) -> Fault {
        let fault = fault::from_response(status, headers, body);
        let said = fault.message.to_lowercase();
        let kind = match (status, fault.kind) {
            // Trial keys have so many calls a minute, and so many a month.
            (429, _) if said.contains("/ month") || said.contains("per month") => Kind::Quota,
            // A word of the prompt is on a list of those denied.
            (498, _) => Kind::Refused,
            // Nobody here cancelled it.
            (499, _) => Kind::Unavailable,
            // The setting for the answer is too large, which nothing in the history mends.
            (_, Kind::Overflow(_)) if said.contains("max tokens must be") => Kind::Rejected,
            (_, kind) => kind,
        };
        let retry_after = fault.retry_after.or_else(|| until_reset(headers, SystemTime::now()));
        Fault { kind, retry_after, ..fault }
    }
}

/// How long it is until the limit starts anew: a header has that time, in seconds since 1970.
fn until_reset(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let reset: u64 = headers.get("x-ratelimit-reset")?.to_str().ok()?.trim().parse().ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(reset))?.duration_since(now).ok()
}
