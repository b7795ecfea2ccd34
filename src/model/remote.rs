//! A provider behind HTTP: the wire says what is sent and what comes, this does the sending.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};

use super::catalog::{self, Catalog};
use super::eventstream;
use super::fault::{self, Fault, Kind};
use super::http::{Answer, Http};
use super::key::{Credential, Key};
use super::redact;
use super::replay::{self, Fingerprint, Fitted, Replayable};
use super::retry::{self, Attempt, Replay};
use super::sse::{self, Frame};
use super::wire::{Decoder, Framing, Sent, Wire};
use super::{ModelError, Provider, Request, StopReason, StreamEvent, TurnStream};

/// The most of one answer: a model that repeats itself without end must not fill the memory.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// How long the rest (figures, the end mark) may take once the turn is whole.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A model behind a wire.
pub(crate) struct Remote {
    name: Arc<str>,
    /// Tokens in all, as the settings have it.
    declared: Option<u64>,
    /// Where the catalog has it.
    place: Arc<str>,
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    wire: Box<dyn Wire>,
    /// What the last request proved itself with.
    used: Mutex<Option<Arc<Credential>>>,
    /// Opaque blocks that the provider rejected: they are not replayed again.
    rejected: Mutex<HashSet<Fingerprint>>,
}

/// Where a provider is, and how it is asked.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The kind of provider, as the settings spell it.
    pub(crate) kind: &'static str,
    /// What the provider calls the model.
    pub(crate) model: String,
    /// The address.
    pub(crate) http: Http,
    /// Where the key comes from.
    pub(crate) key: Key,
    /// Whether answers are asked for in pieces.
    pub(crate) streaming: bool,
    /// The most that an answer may hold, where the settings or the wire set it.
    pub(crate) max_output: Option<u64>,
    /// What else is known of it.
    pub(crate) catalog: Arc<Catalog>,
}

impl Remote {
    /// A model behind `wire` at `endpoint`.
    pub(crate) fn new(name: String, declared: Option<u64>, wire: Box<dyn Wire>, endpoint: Endpoint) -> Self {
        let place = catalog::place(endpoint.kind, &endpoint.http.address()).into();
        Self {
            name: name.into(),
            declared,
            place,
            inner: Arc::new(Inner { endpoint, wire, used: Mutex::default(), rejected: Mutex::default() }),
        }
    }
}

#[async_trait]
impl Provider for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn context(&self) -> Option<u64> {
        let Endpoint { catalog, model, .. } = &self.inner.endpoint;
        catalog.context(&self.place, model, self.declared)
    }

    fn max_output(&self) -> Option<u64> {
        let Endpoint { catalog, model, max_output, .. } = &self.inner.endpoint;
        max_output.or_else(|| catalog.max_output(&self.place, model))
    }

    fn redacted(&self, text: String) -> String {
        match &*self.inner.used.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(credential) => redact::redacted(text, credential, redact::WITHHELD),
            None => text,
        }
    }

    async fn stream(&self, request: Request) -> Result<TurnStream, ModelError> {
        let (name, cure) = (Arc::clone(&self.name), self.inner.endpoint.key.cure());
        let (inner, request) = (Arc::clone(&self.inner), Arc::new(request));
        let (asked, place, most) = (Arc::clone(&self.inner), Arc::clone(&self.place), self.max_output());
        let events = retry::retrying(move |replay| {
            let (inner, request) = (Arc::clone(&inner), Arc::clone(&request));
            async move { inner.attempt(&request, replay).await }
        });
        let told = move |fault: Fault| {
            if let Kind::Overflow(Some(limit)) = fault.kind {
                let (inner, place) = (Arc::clone(&asked), Arc::clone(&place));
                // Some say what they take in, others what that and the answer may come to.
                let said = fault.message.to_lowercase();
                let input_alone = said.contains("input token");
                let limit = limit + most.filter(|_| input_alone).unwrap_or(0);
                // The file may take a moment, and nobody waits for it.
                let learn = move || inner.endpoint.catalog.learn(&place, &inner.endpoint.model, limit);
                drop(tokio::task::spawn_blocking(learn));
            }
            fault.into_error(&name, &cure)
        };
        Ok(events.map(move |event| event.map_err(&told)).boxed())
    }
}

impl Inner {
    async fn attempt(self: Arc<Self>, request: &Request, replay: Replay) -> Result<Attempt, Fault> {
        let credential = self.endpoint.key.read().await?;
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&credential));
        let Endpoint { kind, model, http, streaming, .. } = &self.endpoint;
        let origin = replay::origin(kind, http.host_name(), &credential, model);
        let fitted = {
            let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
            let replayed = Replayable { origin: &origin, rejected: &rejected };
            Fitted::new(request, (replay == Replay::Everything).then_some(replayed), self.wire.names())
        };
        let events = self.events(&fitted, *streaming, &credential).await;
        let inner = Arc::clone(&self);
        let (replayed, secrets) = (fitted.replayed.clone(), Arc::clone(&credential));
        let faulty = move |fault: Fault| {
            let fault = fault.without(&secrets);
            if fault.kind == Kind::Authentication {
                // What was kept may have been replaced since.
                inner.endpoint.key.forget();
            }
            if replayed.is_empty() || !fault.about_reasoning() {
                return fault;
            }
            inner.rejected.lock().unwrap_or_else(PoisonError::into_inner).extend(&replayed);
            Fault { kind: Kind::Reasoning, ..fault }
        };
        let events =
            redact::redacting(events.map_err(&faulty)?, Arc::clone(&credential)).map(move |event| match event {
                Ok(StreamEvent::CallStarted { index, id, name }) => {
                    // A key belongs in neither, and both are told and recorded. For an id that is dropped, another is made.
                    let id = id.filter(|id| !redact::holds_any(id, &credential));
                    let name = redact::redacted(fitted.own_name(name), &credential, redact::WITHHELD);
                    Ok(StreamEvent::CallStarted { index, id, name })
                }
                Ok(StreamEvent::Finished(StopReason::Refusal(reason))) => {
                    let reason = fault::short(&redact::redacted(reason, &credential, redact::INSTEAD));
                    Ok(StreamEvent::Finished(StopReason::Refusal(reason)))
                }
                event => event.map_err(&faulty),
            });
        let first = StreamEvent::Answering { origin: origin.into() };
        Ok(stream::iter([Ok(first)]).chain(events).boxed())
    }

    async fn events(&self, fitted: &Fitted, streaming: bool, credential: &Credential) -> Result<Attempt, Fault> {
        let body = self
            .wire
            .body(&fitted.request, streaming)
            .map_err(|error| Fault::new(Kind::Garbled, format!("the request cannot be written as JSON: {error}")))?;
        let http = &self.endpoint.http;
        let url = http.url(&self.wire.path(streaming));
        let headers = self.wire.headers(credential, &Sent { url: &url, body: &body, now: SystemTime::now() })?;
        let decoder = self.wire.decoder_of(&fitted.request);
        let asked = format!("{}{}", http.address(), self.wire.path(streaming));
        match http.post(url, headers, Bytes::from(body), streaming).await? {
            Answer::Stream(bytes) => match self.wire.framing() {
                Framing::Sse => Ok(decoded(sse::frames(bytes).boxed(), decoder).boxed()),
                Framing::EventStream => Ok(decoded(eventstream::frames(bytes).boxed(), decoder).boxed()),
            },
            Answer::Whole(body) => Ok(stream::iter(whole(&body, decoder)).boxed()),
            Answer::Refused { status, headers, body } => {
                let mut fault = self.wire.fault(status, &headers, &body);
                if status == 404 && fault.kind == Kind::Rejected {
                    let cure = "check base_url, and the model's name: `cowrite models` lists them";
                    fault.message = format!("{} (asked: {asked}; {cure})", fault.message);
                }
                Err(fault)
            }
        }
    }
}

/// The events of an answer that came in one piece.
fn whole(body: &str, mut decoder: Box<dyn Decoder>) -> Vec<Result<StreamEvent, Fault>> {
    let mut events = VecDeque::new();
    let result = decoder.whole(body, &mut events);
    events.into_iter().map(Ok).chain(result.err().map(Err)).collect()
}

/// The events of a stream of frames. It ends with the first fault, and with the turn.
pub(crate) fn decoded<S>(frames: S, decoder: Box<dyn Decoder>) -> impl Stream<Item = Result<StreamEvent, Fault>> + Send
where
    S: Stream<Item = Result<Frame, Fault>> + Send + Unpin,
{
    let state = Decoding { frames, decoder, events: VecDeque::new(), bytes: 0, over: None };
    stream::unfold(state, |mut state| async move { state.next().await.map(|event| (event, state)) })
}

struct Decoding<S> {
    frames: S,
    decoder: Box<dyn Decoder>,
    events: VecDeque<StreamEvent>,
    /// Bytes that came so far.
    bytes: usize,
    /// Set when nothing more is read: how it ended.
    over: Option<Result<(), Fault>>,
}

impl<S> Decoding<S>
where
    S: Stream<Item = Result<Frame, Fault>> + Send + Unpin,
{
    async fn next(&mut self) -> Option<Result<StreamEvent, Fault>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                if matches!(event, StreamEvent::Finished(_)) {
                    self.events.clear();
                    self.over = Some(Ok(()));
                }
                return Some(Ok(event));
            }
            if let Some(over) = &mut self.over {
                return std::mem::replace(over, Ok(())).err().map(Err);
            }
            let whole = self.decoder.whole_already();
            let frame = if whole {
                // The turn stands: what is missing now is no reason to lose it.
                tokio::time::timeout(AFTERMATH, self.frames.next()).await.unwrap_or(None).and_then(Result::ok)
            } else {
                match self.frames.next().await {
                    Some(Err(fault)) => {
                        self.over = Some(Err(fault));
                        continue;
                    }
                    frame => frame.and_then(Result::ok),
                }
            };
            let behind = whole && frame.is_some();
            let result = match frame {
                Some(frame) => {
                    self.bytes += frame.data.len();
                    match self.bytes <= ANSWER_BYTES {
                        true => self.decoder.frame(&frame, &mut self.events),
                        false => Err(Fault::new(Kind::Garbled, "the answer is larger than 64 MiB")),
                    }
                }
                None => {
                    self.over = Some(Ok(()));
                    self.decoder.end(&mut self.events)
                }
            };
            self.over = match result {
                Ok(()) => self.over.take(),
                // What stands is not lost to what came after it.
                Err(fault) if behind => {
                    let ended = self.decoder.end(&mut self.events);
                    let stands = self.events.iter().any(|event| matches!(event, StreamEvent::Finished(_)));
                    Some(ended.and(if stands { Ok(()) } else { Err(fault) }))
                }
                Err(fault) => Some(Err(fault)),
            };
        }
    }
}
