//! The HTTP client: made when the first request is, so that an idle server does not pay for it.

use std::error::Error;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};

use super::fault::{self, Fault, Kind};

const CONNECT: Duration = Duration::from_secs(10);
/// How long the body of an error may take: whoever waits for another try has the status already.
const REFUSAL: Duration = Duration::from_secs(10);
/// The most of an answer that is not a stream.
const BODY_BYTES: usize = 10 * 1024 * 1024;

/// One provider's endpoint.
#[derive(Debug)]
pub(crate) struct Http {
    base: Url,
    idle: Duration,
    client: OnceLock<Client>,
}

/// An answer that is not an error.
pub(crate) enum Answer {
    /// A stream of events; every piece came within the idle limit of the one before.
    Stream(stream::BoxStream<'static, Result<Bytes, Fault>>),
    /// One JSON document, though a stream may have been asked for.
    Whole(String),
    /// An error, in the provider's words.
    Refused {
        /// The status.
        status: u16,
        /// The headers.
        headers: HeaderMap,
        /// The body.
        body: String,
    },
}

impl Http {
    /// An endpoint below `base`.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub(crate) fn new(base: &str, insecure: bool, idle: Duration) -> Result<Self, String> {
        // The address is not repeated in errors: it may hold a password.
        let base = Url::parse(base).map_err(|error| format!("base_url is not an address ({error})"))?;
        match base.scheme() {
            "https" => {}
            "http" if insecure || loopback(&base) => {}
            "http" => {
                return Err(format!(
                    "base_url would send the key and the code to {} unencrypted; use https, or set insecure = true",
                    host(&base)
                ));
            }
            other => return Err(format!("base_url begins with {other}:, not with https: or http:")),
        }
        if base.host_str().is_none() {
            return Err("base_url names no host".to_owned());
        }
        Ok(Self { base, idle, client: OnceLock::new() })
    }

    /// Whether requests stay on this machine.
    pub(crate) fn loopback(&self) -> bool {
        loopback(&self.base)
    }

    /// The address, without what may be secret in it.
    pub(crate) fn address(&self) -> String {
        format!("{}://{}{}", self.base.scheme(), host(&self.base), self.base.path().trim_end_matches('/'))
    }

    /// The host's name alone.
    pub(crate) fn host_name(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Sends a JSON body and waits for the head of the answer.
    ///
    /// # Errors
    /// No connection, nothing within the idle limit, or an answer that cannot be read.
    pub(crate) async fn post(
        &self,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
        streaming: bool,
    ) -> Result<Answer, Fault> {
        let request = self
            .client()?
            .post(url)
            .header("accept", "text/event-stream, application/json")
            .headers(headers)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        self.answer(request, streaming).await
    }

    /// Asks for what is at an address.
    ///
    /// # Errors
    /// As with [`Http::post`].
    pub(crate) async fn get(&self, url: Url, headers: HeaderMap) -> Result<Answer, Fault> {
        self.answer(self.client()?.get(url).header("accept", "application/json").headers(headers), false).await
    }

    /// What was answered. What it is called does not always say what it is: a stream begins with no `{` and no `[`.
    async fn answer(&self, request: RequestBuilder, streaming: bool) -> Result<Answer, Fault> {
        let response = self.in_time(request.send()).await?.map_err(|error| self.lost(error))?;
        if !response.status().is_success() {
            return self.refused(response).await;
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !matches!(header(CONTENT_ENCODING), "" | "identity") {
            return Err(Fault::new(Kind::Garbled, "the answer is compressed, though that was not asked for"));
        }
        match header(CONTENT_TYPE).split(';').next().unwrap_or_default().trim() {
            "text/html" => Err(Fault::new(Kind::Garbled, fault::plain("<html>"))),
            "application/json" => {
                let body = self.text(response).await?;
                Ok(if streaming && !json(body.as_bytes()) {
                    Answer::Stream(stream::iter([Ok(Bytes::from(body))]).boxed())
                } else {
                    Answer::Whole(body)
                })
            }
            "text/event-stream" | "application/vnd.amazon.eventstream" => {
                Ok(Answer::Stream(self.bytes(response).boxed()))
            }
            _ => {
                let mut pieces = self.bytes(response).boxed();
                let first = pieces.next().await.unwrap_or_else(|| Ok(Bytes::new()))?;
                let is_json = json(&first);
                let all = stream::iter([Ok(first)]).chain(pieces).boxed();
                Ok(if is_json { Answer::Whole(self.collected(all).await?) } else { Answer::Stream(all) })
            }
        }
    }

    fn client(&self) -> Result<Client, Fault> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        // Whoever installed a provider before may keep it: there is no other reason for this to fail.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("cowrite/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // A redirect would carry the key to where nobody asked it to go.
            .redirect(redirect::Policy::none());
        if self.loopback() {
            builder = builder.no_proxy();
        }
        if self.base.scheme() == "http" {
            // The system's certificates take memory and are not needed here.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| self.lost(error))?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// The address of a path, with its query, below the base.
    pub(crate) fn url(&self, path: &str) -> Url {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(query);
        url
    }

    async fn refused(&self, response: Response) -> Result<Answer, Fault> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if response.status().is_redirection() {
            let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| self.base.join(to).ok());
            let to = to.as_ref().map_or_else(|| "elsewhere".to_owned(), host);
            let message =
                format!("it points to {to}, and redirects are not followed; put the final address in base_url");
            return Err(Fault { status: Some(status), ..Fault::new(Kind::Rejected, message) });
        }
        // A body that does not come leaves the status, which says enough.
        let mut body = Vec::new();
        let mut pieces = std::pin::pin!(self.bytes(response));
        let reading = async {
            while let Some(Ok(piece)) = pieces.next().await {
                body.extend_from_slice(&piece[..piece.len().min(BODY_BYTES - body.len())]);
            }
        };
        let _ = tokio::time::timeout(REFUSAL, reading).await;
        Ok(Answer::Refused { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    async fn text(&self, response: Response) -> Result<String, Fault> {
        self.collected(self.bytes(response)).await
    }

    async fn collected(&self, pieces: impl Stream<Item = Result<Bytes, Fault>>) -> Result<String, Fault> {
        let mut pieces = std::pin::pin!(pieces);
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().await {
            all.extend_from_slice(&piece?);
            if all.len() > BODY_BYTES {
                return Err(Fault::new(Kind::Garbled, "the answer is larger than 10 MiB"));
            }
        }
        Ok(String::from_utf8_lossy(&all).into_owned())
    }

    /// The pieces of a body; after a fault there are no more.
    fn bytes(&self, response: Response) -> impl Stream<Item = Result<Bytes, Fault>> + Send + use<> {
        let (limit, host) = (self.idle, host(&self.base));
        let pieces = Box::pin(response.bytes_stream());
        stream::unfold(Some(pieces), move |pieces| {
            let host = host.clone();
            async move {
                let mut pieces = pieces?;
                match tokio::time::timeout(limit, pieces.next()).await {
                    Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
                    Ok(Some(Err(error))) => Some((Err(Fault { kind: Kind::Broken, ..lost(&host, error) }), None)),
                    Ok(None) => None,
                    Err(_) => Some((Err(Fault::new(Kind::Idle(limit.as_secs()), "nothing came")), None)),
                }
            }
        })
    }

    async fn in_time<T>(&self, future: impl Future<Output = T>) -> Result<T, Fault> {
        let silent = |_| Fault::new(Kind::Idle(self.idle.as_secs()), "nothing came");
        tokio::time::timeout(self.idle, future).await.map_err(silent)
    }

    fn lost(&self, error: reqwest::Error) -> Fault {
        lost(&host(&self.base), error)
    }
}

/// Whether a body begins as JSON does.
fn json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The host and the port, which is what a person can check.
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or("no host");
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

fn loopback(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// A connection that could not be made or broke: the innermost cause says most.
fn lost(host: &str, error: reqwest::Error) -> Fault {
    let (connect, timeout, error) = (error.is_connect(), error.is_timeout(), error.without_url());
    if connect && timeout {
        return Fault::new(Kind::Connection, format!("{host}: no connection within {} s", CONNECT.as_secs()));
    }
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Fault::new(Kind::Connection, format!("{host}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(base: &str) -> Result<Http, String> {
        Http::new(base, false, Duration::from_secs(1))
    }

    #[test]
    fn a3_29_plain_http_stays_on_this_machine() {
        for base in
            ["http://127.0.0.1:8080/v1", "http://[::1]:1", "http://localhost", "http://127.9.9.9", "https://a.b"]
        {
            assert!(http(base).is_ok(), "{base}");
        }
        for base in ["http://127.0.0.1.evil.example/v1", "http://localhost.example", "http://10.0.0.1", "http://a.b"] {
            let error = http(base).unwrap_err();
            assert!(error.ends_with("unencrypted; use https, or set insecure = true"), "{error}");
        }
        assert!(Http::new("http://10.0.0.1", true, Duration::from_secs(1)).is_ok());
        assert_eq!(http("ftp://a").unwrap_err(), "base_url begins with ftp:, not with https: or http:");
        let secret = http("http://user:canary@[").unwrap_err();
        assert!(!secret.contains("canary"), "{secret}");
    }

    #[test]
    fn paths_are_put_below_the_base() {
        let url = |base| http(base).unwrap().url("/chat/completions").to_string();
        assert_eq!(url("https://a.b/v1"), "https://a.b/v1/chat/completions");
        assert_eq!(url("https://a.b/v1/"), "https://a.b/v1/chat/completions");
        assert_eq!(url("https://a.b"), "https://a.b/chat/completions");
        let query = http("https://a.b/v1").unwrap().url("/m%2Fx:stream?alt=sse").to_string();
        assert_eq!(query, "https://a.b/v1/m%2Fx:stream?alt=sse");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let http = http(&format!("http://{address}/v1")).unwrap();
        let Err(fault) = http.post(http.url("/x"), HeaderMap::new(), Bytes::new(), true).await else {
            panic!("nobody listens there")
        };
        assert_eq!(fault.kind, Kind::Connection);
        assert!(fault.message.starts_with(&format!("{address}: ")), "{}", fault.message);
        assert!(fault.message.to_lowercase().contains("refused"), "{}", fault.message);
    }

    #[tokio::test]
    async fn encryption_is_set_up_and_insisted_on() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut start = [0_u8; 3];
            tokio::io::AsyncReadExt::read_exact(&mut connection, &mut start).await.unwrap();
            start
        });
        let http = http(&format!("https://{address}/v1")).unwrap();
        let Err(fault) = http.post(http.url("/x"), HeaderMap::new(), Bytes::new(), true).await else {
            panic!("no TLS is spoken there")
        };
        assert_eq!(fault.kind, Kind::Connection, "{fault:?}");
        assert_eq!(server.await.unwrap()[..2], [0x16, 0x03], "a TLS handshake, and no request");
    }
}
