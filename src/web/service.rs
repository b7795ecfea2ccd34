//! A service at one address: its answers come in pieces, with what a caller needs of their heads.

use std::error::Error;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, Method};
use url::Url;

/// A service.
#[derive(Clone)]
pub struct Service {
    client: Client,
    url: Url,
}

/// The head of an answer, and its body as it comes.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// What it says that it is; empty when it does not.
    pub kind: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The pieces; a sentence where they break off.
    pub body: BoxStream<'static, Result<Bytes, String>>,
}

impl Service {
    pub(super) fn new(client: Client, url: Url) -> Self {
        Self { client, url }
    }

    /// Asks; `body` is JSON.
    ///
    /// # Errors
    /// Why there is no answer, as the end of a sentence.
    pub async fn ask(&self, method: Method, headers: HeaderMap, body: Option<Vec<u8>>) -> Result<Reply, String> {
        let mut request = self.client.request(method, self.url.clone()).headers(headers);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(told)?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        Ok(Reply { status, kind, headers, body: response.bytes_stream().map(|piece| piece.map_err(told)).boxed() })
    }
}

impl Reply {
    /// The host that it sends to, when it sends elsewhere. Nobody goes there.
    #[must_use]
    pub fn elsewhere(&self, from: &Service) -> Option<String> {
        if !(300..400).contains(&self.status) {
            return None;
        }
        let to = self.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.and_then(|to| from.url.join(to).ok()).and_then(|to| to.host_str().map(str::to_owned));
        Some(to.unwrap_or_else(|| "somewhere that it does not name".to_owned()))
    }
}

/// The cause behind all others, without the address: it may hold a secret.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "nothing came for too long".to_owned();
    }
    let mut cause: &dyn Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
