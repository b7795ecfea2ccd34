//! A provider behind HTTP: the wire says what is sent and what comes, this does the sending.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};

use super::fault::{Fault, Kind};
use super::http::{Answer, Http};
use super::key::Key;
use super::retry::{self, Attempt};
use super::sse::{self, Frame};
use super::wire::{Decoder, Wire};
use super::{ModelError, Provider, Request, StreamEvent, TurnStream};

/// How long the rest (figures, the end mark) may take once the turn is whole.
const AFTERMATH: Duration = Duration::from_secs(5);

/// A model behind a wire.
pub(crate) struct Remote {
    name: Arc<str>,
    context: Option<u64>,
    inner: Arc<Inner>,
}

struct Inner {
    wire: Box<dyn Wire>,
    http: Http,
    key: Key,
}

impl Remote {
    /// A model behind `wire` at `http`.
    pub(crate) fn new(name: String, context: Option<u64>, wire: Box<dyn Wire>, http: Http, key: Key) -> Self {
        Self { name: name.into(), context, inner: Arc::new(Inner { wire, http, key }) }
    }
}

#[async_trait]
impl Provider for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn context(&self) -> Option<u64> {
        self.context
    }

    async fn stream(&self, request: Request) -> Result<TurnStream, ModelError> {
        let (name, cure) = (Arc::clone(&self.name), self.inner.key.cure());
        let body = self.inner.wire.body(&request).map_err(|error| {
            let fault = Fault::new(Kind::Garbled, format!("the request cannot be written as JSON: {error}"));
            fault.into_error(&name, &cure)
        })?;
        let (inner, body) = (Arc::clone(&self.inner), Bytes::from(body));
        let events = retry::retrying(move || {
            let (inner, body) = (Arc::clone(&inner), body.clone());
            async move { inner.attempt(body).await }
        });
        Ok(events.map(move |event| event.map_err(|fault| fault.into_error(&name, &cure))).boxed())
    }
}

impl Inner {
    async fn attempt(&self, body: Bytes) -> Result<Attempt, Fault> {
        let key = self.key.read()?;
        let answer = self.http.post(self.wire.path(), self.wire.headers(key.as_ref())?, body).await;
        let decoder = self.wire.decoder();
        let events = match answer.map_err(|fault| fault.without(key.as_ref()))? {
            Answer::Stream(bytes) => decoded(sse::frames(bytes).boxed(), decoder).boxed(),
            Answer::Whole(body) => stream::iter(whole(&body, decoder)).boxed(),
        };
        Ok(events.map(move |event| event.map_err(|fault| fault.without(key.as_ref()))).boxed())
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
    let state = Decoding { frames, decoder, events: VecDeque::new(), over: None };
    stream::unfold(state, |mut state| async move { state.next().await.map(|event| (event, state)) })
}

struct Decoding<S> {
    frames: S,
    decoder: Box<dyn Decoder>,
    events: VecDeque<StreamEvent>,
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
            let frame = if self.decoder.whole_already() {
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
            let result = match frame {
                Some(frame) => self.decoder.frame(&frame, &mut self.events),
                None => {
                    self.over = Some(Ok(()));
                    self.decoder.end(&mut self.events)
                }
            };
            if let Err(fault) = result {
                self.over = Some(Err(fault));
            }
        }
    }
}
