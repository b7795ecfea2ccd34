//! A strict stand-in for the providers: an HTTP server on this machine that speaks every wire, refuses what the real
//! ones refuse, and misbehaves as it is told.
//!
//! It was written from the providers' documentation and not from the wires, so that both would have to be wrong in the
//! same way for a mistake to pass.

mod anthropic;
mod azure;
mod bedrock;
mod cohere;
mod gemini;
mod limited;
mod neutral;
mod openai_chat;
mod openai_responses;
mod rules;

mod tests;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use futures::stream;
use serde_json::{Value, json};

use super::Provider;
use super::wire::conformance;

pub(crate) use bedrock::frame::strange_frame;
pub(crate) use limited::{Counted, Limited};
// For tests of other rooms.
#[allow(unused_imports)]
pub(crate) use limited::{Message, Report, Seen, Who, cached_share};
pub(crate) use neutral::{Answer, Event, Figures, Part, Stop, Style, Transcript, Trouble};

/// The key that must be sent, and that must never be seen anywhere else.
pub(crate) const CANARY: &str = "sk-canary-0123456789";
/// Who signs, where the wire wants signatures.
pub(crate) const AWS_ID: &str = "AKIACANARYEXAMPLE01";
/// What is signed with: it must never be seen, not even by the double.
pub(crate) const AWS_SECRET: &str = "canary+aws/secret+0123456789abcdefghij";
/// Where the signed requests go.
pub(crate) const AWS_REGION: &str = "eu-north-1";

/// Everything that a provider's documentation says of its wire.
pub(crate) trait Dialect: Send + Sync {
    /// What the wire is called in the settings and in failures.
    fn name(&self) -> &'static str;

    /// Whether requests to this path are its own.
    fn owns(&self, path: &str) -> bool;

    /// Refuses what the provider refuses.
    fn check(&self, asked: &Asked<'_>) -> Checked;

    /// Whether an accepted request wants its answer in pieces.
    fn streaming(&self, asked: &Asked<'_>) -> bool {
        asked.body["stream"] == true
    }

    /// The type of an answer in pieces.
    fn content_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    /// What of an answer the wire can say, and in which order.
    fn shape(&self, answer: Answer) -> Answer {
        answer
    }

    /// The ways of saying it that occur on this wire.
    fn styles(&self) -> Vec<Style>;

    /// An answer in pieces.
    fn stream(&self, answer: &Answer, style: Style) -> Transcript;

    /// The same answer as one document.
    fn whole(&self, answer: &Answer, style: Style) -> Value;

    /// The limit that its error names when a prompt is too long.
    fn limit(&self) -> Option<u64> {
        None
    }

    /// Whether only what stands before a mark is kept in the cache, and looked for there.
    fn marks(&self) -> bool {
        false
    }

    /// The provider's own answer when something is wrong.
    fn error(&self, trouble: Trouble) -> Reply;

    /// The same for a prompt of so many tokens where there is room for `limit`; the figures are in it where the wire names them.
    fn overflow(&self, tokens: u64, limit: u64) -> Reply {
        let usual = self.limit().map(|usual| usual.to_string());
        self.error(Trouble::Overflow).with_figures(|figure| match &usual {
            Some(usual) if usual == figure => limit.to_string(),
            _ => tokens.to_string(),
        })
    }

    /// The same in the midst of a stream, where the wire has a place for it.
    fn reported(&self, trouble: Trouble) -> Option<Event>;

    /// An event that no documentation of today names.
    fn unknown(&self) -> Event;

    /// How the double's own refusals look.
    fn refused(&self, status: u16, message: &str) -> Reply {
        Reply::error(status, json!({"error": {"type": "invalid_request_error", "message": message}}))
    }
}

/// Every dialect.
pub(crate) const DIALECTS: [&dyn Dialect; 8] = [
    &anthropic::Messages,
    &openai_chat::Chat,
    &openai_responses::Responses,
    &azure::V1,
    &azure::Dated,
    &gemini::Gemini,
    &cohere::Cohere,
    &bedrock::Bedrock,
];

/// The dialect of that name.
pub(crate) fn dialect(name: &str) -> &'static dyn Dialect {
    DIALECTS.into_iter().find(|dialect| dialect.name() == name).unwrap()
}

/// A request as it came.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) bytes: &'a [u8],
    pub(crate) body: &'a Value,
}

/// Accepted, or the status and the words of the refusal.
pub(crate) type Checked = Result<(), (u16, String)>;

/// What the next valid request is answered.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// How long it takes until anything of it is sent.
    late: Duration,
    said: Said,
}

#[derive(Clone)]
enum Said {
    Pieces(Vec<Piece>),
    /// In the dialect of the request, in pieces or not, as it was asked.
    Answer(Answer, Style),
}

/// A step of an answer's body.
#[derive(Clone)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    Wait(Duration),
    /// The connection is cut.
    Reset,
    /// Nothing more, and no end.
    Hang,
}

impl Piece {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Bytes(text.into().into_bytes())
    }
}

impl Reply {
    /// An answer as whoever asks wants it.
    pub(crate) fn answer(answer: Answer) -> Self {
        Self { status: 200, headers: Vec::new(), late: Duration::ZERO, said: Said::Answer(answer, Style::default()) }
    }

    /// A stream of server-sent events.
    pub(crate) fn stream(body: &str) -> Self {
        Self::pieces(vec![Piece::text(body)])
    }

    pub(crate) fn pieces(pieces: Vec<Piece>) -> Self {
        Self::typed("text/event-stream", pieces)
    }

    pub(crate) fn typed(content_type: &str, pieces: Vec<Piece>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status: 200, headers, late: Duration::ZERO, said: Said::Pieces(pieces) }
    }

    pub(crate) fn of(status: u16, content_type: &str, body: &str) -> Self {
        Self { status, ..Self::typed(content_type, vec![Piece::text(body)]) }
    }

    pub(crate) fn error(status: u16, body: Value) -> Self {
        Self::of(status, "application/json", &body.to_string())
    }

    /// The reply with this header, and no other of its name.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn late(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    /// With other figures in the place of those of five digits and more.
    fn with_figures(mut self, mut other: impl FnMut(&str) -> String) -> Self {
        let Said::Pieces(pieces) = &mut self.said else { return self };
        for bytes in
            pieces.iter_mut().filter_map(|piece| if let Piece::Bytes(bytes) = piece { Some(bytes) } else { None })
        {
            let text = String::from_utf8(std::mem::take(bytes)).unwrap();
            let mut written = String::new();
            for run in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
                let digits = run.trim_end_matches(|c: char| !c.is_ascii_digit());
                let figure = if digits.len() >= 5 { other(digits) } else { digits.to_owned() };
                written += &(figure + &run[digits.len()..]);
            }
            *bytes = written.into_bytes();
        }
        self
    }

    /// The status, the headers and the body, for what is tested without a server.
    pub(crate) fn parts(&self) -> (u16, HeaderMap, Vec<u8>) {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(*name, value.parse().unwrap());
        }
        let Said::Pieces(pieces) = &self.said else { panic!("only an answer that is asked for has a dialect") };
        let bytes = pieces.iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.clone(),
            _ => Vec::new(),
        });
        (self.status, headers, bytes.collect())
    }
}

/// The server. It ends when dropped.
pub(crate) struct Double {
    pub(crate) base: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    replies: Mutex<VecDeque<Reply>>,
    /// Who answers in the place of the replies.
    limited: Option<Limited>,
    bodies: Mutex<Vec<Value>>,
    refusals: Mutex<Vec<String>>,
    /// Bodies that are being sent right now.
    sending: AtomicUsize,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Double {
    /// One that gives these replies, one after the other.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(Shared { replies: Mutex::new(replies.into_iter().collect()), ..Shared::default() }).await
    }

    /// One that answers as this model does.
    pub(crate) async fn of(limited: Limited) -> Self {
        Self::with(Shared { limited: Some(limited), ..Shared::default() }).await
    }

    async fn with(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base, shared, task }
    }

    /// The provider that asks this double over the wire of that dialect. `known` is what the settings say of the model:
    /// `context = 8000`.
    pub(crate) fn provider(&self, dialect: &str, known: &str) -> Arc<dyn Provider> {
        conformance::provider(dialect, &self.base, known)
    }

    /// What the model counted of each request that it accepted.
    pub(crate) fn counted(&self) -> Vec<Counted> {
        self.shared.limited.as_ref().map(Limited::counted).unwrap_or_default()
    }

    /// The tokens of each request that was too long for it.
    pub(crate) fn overflows(&self) -> Vec<u64> {
        self.shared.limited.as_ref().map(Limited::overflows).unwrap_or_default()
    }

    /// The valid requests so far, but not those that a model of so many tokens was asked: they are many.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.shared.bodies.lock().unwrap().clone()
    }

    /// Why requests were refused so far.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.shared.refusals.lock().unwrap().clone()
    }

    /// Whether an answer is still being sent.
    pub(crate) fn sending(&self) -> bool {
        self.shared.sending.load(Ordering::SeqCst) > 0
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    bytes: Bytes,
) -> Response {
    let dialect = DIALECTS.into_iter().find(|dialect| dialect.owns(uri.path()));
    let (mut streaming, body) = (true, serde_json::from_slice::<Value>(&bytes));
    let checked = match (dialect, &body) {
        (None, _) => Err((404, format!("no such path {uri}"))),
        (_, Err(error)) => Err((400, error.to_string())),
        (Some(dialect), Ok(body)) => {
            let asked = Asked { method: &method, uri: &uri, headers: &headers, bytes: &bytes, body };
            streaming = dialect.streaming(&asked);
            dialect.check(&asked)
        }
    };
    let dialect = dialect.unwrap_or(&anthropic::Messages);
    let mut reply = match checked {
        Err((status, message)) => {
            shared.refusals.lock().unwrap().push(format!("{status} {message}"));
            dialect.refused(status, &message)
        }
        Ok(()) if let Some(limited) = &shared.limited => limited.reply(dialect, &body.unwrap_or_default()),
        Ok(()) => {
            shared.bodies.lock().unwrap().push(body.unwrap_or_default());
            let next = shared.replies.lock().unwrap().pop_front();
            next.unwrap_or_else(|| dialect.refused(418, "one request too many"))
        }
    };
    if !reply.late.is_zero() {
        tokio::time::sleep(reply.late).await;
    }
    let pieces = match reply.said {
        Said::Pieces(pieces) => pieces,
        Said::Answer(answer, style) if streaming => {
            reply.headers.push(("content-type", dialect.content_type().to_owned()));
            vec![Piece::Bytes(dialect.stream(&answer, style).bytes())]
        }
        Said::Answer(answer, style) => {
            reply.headers.push(("content-type", "application/json".to_owned()));
            vec![Piece::text(style.written(dialect.whole(&answer, style)))]
        }
    };
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(body_of(pieces, shared)).unwrap()
}

/// Counts down when the body is over, or the client gone.
struct Sending(Arc<Shared>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::SeqCst);
    }
}

fn body_of(pieces: Vec<Piece>, shared: Arc<Shared>) -> Body {
    shared.sending.fetch_add(1, Ordering::SeqCst);
    let state = (VecDeque::from(pieces), Sending(shared));
    Body::from_stream(stream::unfold(state, |(mut pieces, sending)| async move {
        loop {
            match pieces.pop_front()? {
                Piece::Bytes(bytes) => return Some((Ok::<_, io::Error>(bytes), (pieces, sending))),
                Piece::Wait(time) => tokio::time::sleep(time).await,
                Piece::Hang => match std::future::pending::<Infallible>().await {},
                Piece::Reset => {
                    // What was sent before shall arrive before the connection is cut.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    return Some((Err(io::Error::other("cut")), (VecDeque::new(), sending)));
                }
            }
        }
    }))
}
