//! Streamable HTTP: how the library's transport asks, with every byte that comes counted.

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, Stream, StreamExt};
use rmcp::model::{ClientJsonRpcMessage, JsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream_rmcp::{Sse, SseStream};

use super::clean::short;
use super::guard::{Bucket, MESSAGE, Watch};
use crate::web::{HeaderMap, HeaderName, HeaderValue, Method, Reply, Service};

const EVENTS: &str = "text/event-stream";
const JSON: &str = "application/json";
const SESSION: &str = "mcp-session-id";

/// A server at an address.
#[derive(Clone)]
pub(super) struct Http {
    service: Service,
    /// One for all that comes of the connection, in whatever answer. A std mutex: held for a subtraction.
    bucket: Arc<Mutex<Bucket>>,
    watch: Arc<Watch>,
}

/// Why there is no answer, as the end of a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(String);

type Fails = StreamableHttpError<Refusal>;

/// What stands in an error of the library that comes from here.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<Fails>() {
            Some(StreamableHttpError::Client(Refusal(why))) => return Some(why.clone()),
            Some(StreamableHttpError::SessionExpired) => return Some("it has ended the session, and once more".into()),
            _ => cause = error.source(),
        }
    }
    None
}

impl Http {
    pub(super) fn new(service: Service, watch: Arc<Watch>) -> Self {
        Self { service, bucket: Arc::default(), watch }
    }

    async fn ask(
        &self,
        method: Method,
        accept: &'static str,
        body: Option<Vec<u8>>,
        (session, token, more): (Option<&str>, Option<String>, HashMap<HeaderName, HeaderValue>),
    ) -> Result<Reply, Fails> {
        if let Some(why) = self.watch.why() {
            return Err(refused(why));
        }
        let mut headers: HeaderMap = more.into_iter().collect();
        headers.insert("accept", HeaderValue::from_static(accept));
        let fit =
            |text: &str| HeaderValue::from_str(text).map_err(|_| refused("what it calls the session fits no header"));
        if let Some(session) = session {
            headers.insert(SESSION, fit(session)?);
        }
        if let Some(token) = token {
            let unfit = |_| refused("its token holds what no header can");
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(unfit)?;
            value.set_sensitive(true);
            headers.insert("authorization", value);
        }
        let ends = method == Method::DELETE;
        let reply = tokio::select! {
            biased;
            // The session is given back even then, and the library waits for that only so long.
            () = self.watch.over.cancelled(), if !ends => return Err(refused("nobody waits for it any longer")),
            reply = self.service.ask(method, headers, body) => reply.map_err(refused)?,
        };
        match reply.status {
            300..=399 => {
                let to = reply.elsewhere(&self.service).unwrap_or_default();
                Err(refused(format!("it sends to {}, where nobody goes: the token is for its own address", short(&to))))
            }
            401 | 403 => Err(refused(format!(
                "it does not let Cowrite in (status {}): check the variable that token_env names",
                reply.status
            ))),
            _ => Ok(reply),
        }
    }

    fn counted(&self, body: BoxStream<'static, Result<Bytes, String>>) -> Counted {
        let until = self.watch.over.clone().cancelled_owned().boxed();
        Counted { body, bucket: self.bucket.clone(), watch: self.watch.clone(), until, event: 0, line: 0, over: false }
    }

    /// All of a body that is no stream of events.
    async fn whole(&self, reply: Reply) -> Result<Vec<u8>, Fails> {
        let mut body = Vec::new();
        let mut pieces = self.counted(reply.body);
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|Refusal(why)| refused(why))?);
            if body.len() > MESSAGE {
                return Err(refused("it answered with more than 8 MiB"));
            }
        }
        Ok(body)
    }

    fn events(&self, reply: Reply) -> BoxStream<'static, Result<Sse, SseError>> {
        SseStream::from_bytes_stream(self.counted(reply.body)).boxed()
    }
}

fn refused(why: impl Into<String>) -> Fails {
    StreamableHttpError::Client(Refusal(why.into()))
}

impl StreamableHttpClient for Http {
    type Error = Refusal;

    async fn post_message(
        &self,
        _: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Fails> {
        let asks = matches!(message, JsonRpcMessage::Request(_));
        let body = serde_json::to_vec(&message)?;
        let with = (session.as_deref(), token, headers);
        let reply = self.ask(Method::POST, "application/json, text/event-stream", Some(body), with).await?;
        let status = reply.status;
        match status {
            202 | 204 => return Ok(StreamableHttpPostResponse::Accepted),
            404 if session.is_some() => return Err(StreamableHttpError::SessionExpired),
            _ => {}
        }
        let given = reply.headers.get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let well = (200..300).contains(&status);
        if well && reply.kind.starts_with(EVENTS) {
            return Ok(StreamableHttpPostResponse::Sse(self.events(reply), given));
        }
        let is_json = reply.kind.starts_with(JSON);
        if !asks && well {
            // What stands in it is of no interest.
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if well && !is_json {
            let kind = if reply.kind.is_empty() { "nothing that it names" } else { &reply.kind };
            return Err(refused(format!("it answered with {}, which is no JSON", short(kind))));
        }
        if !is_json {
            return Err(refused(format!("it answered with the status {status}")));
        }
        let body = self.whole(reply).await?;
        match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
            Ok(message) if well || matches!(message, JsonRpcMessage::Error(_)) => {
                Ok(StreamableHttpPostResponse::Json(message, given))
            }
            Ok(_) => Err(refused(format!("it answered with the status {status}"))),
            Err(_) if !well => Err(refused(format!("it answered with the status {status}"))),
            Err(_) => Err(refused("it answered with something that is no message of the protocol")),
        }
    }

    async fn delete_session(
        &self,
        _: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Fails> {
        self.ask(Method::DELETE, "*/*", None, (Some(&session), token, headers)).await.map(drop)
    }

    async fn get_stream(
        &self,
        _: Arc<str>,
        session: Option<Arc<str>>,
        last: Option<String>,
        token: Option<String>,
        mut headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Fails> {
        if let Some(last) = last.and_then(|last| HeaderValue::from_str(&last).ok()) {
            headers.insert(HeaderName::from_static("last-event-id"), last);
        }
        // Whatever is wrong with this stream, it is not asked for again: nothing that was asked for comes on it.
        let none = || StreamableHttpError::ServerDoesNotSupportSse;
        let reply =
            self.ask(Method::GET, EVENTS, None, (session.as_deref(), token, headers)).await.map_err(|_| none())?;
        if !(200..300).contains(&reply.status) || !reply.kind.starts_with(EVENTS) {
            return Err(none());
        }
        Ok(self.events(reply))
    }
}

/// A body whose bytes are counted: not faster than anybody can take it, and no event that is too long.
struct Counted {
    body: BoxStream<'static, Result<Bytes, String>>,
    bucket: Arc<Mutex<Bucket>>,
    watch: Arc<Watch>,
    /// Ready when nobody waits for it any longer.
    until: BoxFuture<'static, ()>,
    /// Bytes since the last empty line, which ends an event, and of the line.
    event: usize,
    line: usize,
    over: bool,
}

impl Counted {
    fn check(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        let mut events = 0;
        for byte in piece {
            self.event += 1;
            match byte {
                b'\n' if self.line == 0 => {
                    self.event = 0;
                    events += 1;
                }
                b'\n' => self.line = 0,
                b'\r' => {}
                _ => self.line += 1,
            }
            if self.event > MESSAGE {
                return Err("it sent a message of more than 8 MiB");
            }
        }
        let well = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take_all(events, piece.len());
        if well { Ok(()) } else { Err("it sent far more than it was asked for") }
    }
}

impl Stream for Counted {
    type Item = Result<Bytes, Refusal>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.over || this.watch.why().is_some() || this.until.poll_unpin(context).is_ready() {
            this.over = true;
            return Poll::Ready(None);
        }
        let next = std::task::ready!(this.body.poll_next_unpin(context));
        let Some(Ok(piece)) = next else {
            this.over = true;
            return Poll::Ready(next.map(|piece| piece.map_err(Refusal)));
        };
        if let Err(why) = this.check(&piece) {
            this.over = true;
            this.watch.broken(why);
            return Poll::Ready(Some(Err(Refusal(why.to_owned()))));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}
