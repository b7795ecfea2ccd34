//! Bytes to messages and back, around tower-lsp's service.
//!
//! tower-lsp's own `Server` ends at the first malformed frame and stops reading while four handlers wait. Here a bad
//! frame is answered and the next one read; each message is given to the service in wire order and polled once at once,
//! which is all that a document change needs, and what is not done then goes on as a task of its own.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::Service;
use tower_lsp::jsonrpc::{Error, ErrorCode, Id, Request, Response};
use tower_lsp::{ClientSocket, ExitedError, LanguageServer, LspService};

use crate::framing::{FrameReader, frame};

/// Answers that may wait for a client that does not read. When they are full, handlers that are done wait; document
/// changes have no answer and go on.
const ANSWERS: usize = 256;

/// Why the conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// `exit`; whether `shutdown` came before it.
    Exit { after_shutdown: bool },
    /// The input ended, or cannot be read any more.
    Input,
}

/// The half of the conversation that writes, which goes on until it is told to finish.
pub(super) struct Writer {
    task: JoinHandle<()>,
    finish: CancellationToken,
}

impl Writer {
    /// Writes what waits and ends; gives up on a client that no longer reads.
    pub(super) async fn finish(mut self, limit: Duration) {
        self.finish.cancel();
        if tokio::time::timeout(limit, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Serves until `exit`, the end of input or `over`. The service is not told of `exit`: from then on it would let nothing
/// through, and what runs has its end to tell first. An output that cannot be written sets `over`.
pub(super) async fn serve<S: LanguageServer>(
    mut input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    mut service: LspService<S>,
    socket: ClientSocket,
    over: &CancellationToken,
) -> (End, Writer) {
    let (mut requests, mut replies) = socket.split();
    let (answers, mut answered) = mpsc::channel::<Response>(ANSWERS);
    let finish = CancellationToken::new();
    let (finished, closed) = (finish.clone(), over.clone());
    let task = tokio::spawn(async move {
        let next = async move || {
            // Answers first: they are few, and a client that waits for one may read nothing else.
            tokio::select! {
                biased;
                Some(response) = answered.recv() => serde_json::to_vec(&response).ok(),
                Some(request) = requests.next() => serde_json::to_vec(&request).ok(),
                () = finished.cancelled() => None,
            }
        };
        write(output, next).await;
        // Nobody reads any more, or nothing is to be written any more.
        closed.cancel();
    });
    let writer = Writer { task, finish };

    let mut frames = FrameReader::default();
    let mut buffer = vec![0; 64 * 1024];
    let (mut initialized, mut shut_down) = (false, false);
    loop {
        while let Some(next) = frames.next() {
            let message = match next {
                Ok(body) => parse(&body),
                Err(error) => {
                    tracing::warn!(%error, "a frame cannot be read");
                    Err(Box::new(Response::from_error(Id::Null, invalid(ErrorCode::ParseError, error.to_string()))))
                }
            };
            match message {
                Ok(Message::Request(request)) => {
                    if request.method() == "exit" {
                        return (End::Exit { after_shutdown: shut_down }, writer);
                    }
                    // A shutdown before `initialize` is refused, and is none.
                    initialized |= request.method() == "initialize" && request.id().is_some();
                    shut_down |= initialized && request.method() == "shutdown" && request.id().is_some();
                    dispatch(&mut service, request, &answers).await;
                }
                // The sink only hands the reply to whoever waits for it.
                Ok(Message::Reply(reply)) => {
                    let _ = replies.send(reply).await;
                }
                Err(response) => answer(&answers, *response),
            }
        }
        let read = tokio::select! {
            biased;
            () = over.cancelled() => return (End::Input, writer),
            read = input.read(&mut buffer) => read,
        };
        match read {
            Ok(0) => return (End::Input, writer),
            Ok(length) => frames.push(&buffer[..length]),
            Err(error) => {
                tracing::warn!(%error, "the input cannot be read");
                return (End::Input, writer);
            }
        }
    }
}

/// Gives a message to the service and polls its handler once, in wire order.
async fn dispatch<S: LanguageServer>(service: &mut LspService<S>, request: Request, answers: &mpsc::Sender<Response>) {
    // A request of a name that begins with `$/` and that nobody knows gets no answer from the service; LSP wants one.
    let unknown = request.id().cloned().map(|id| Response::from_error(id, Error::method_not_found()));
    let mut handler: BoxFuture<'static, Result<Option<Response>, ExitedError>> = service.call(request);
    match (&mut handler).now_or_never() {
        Some(done) => {
            if let Some(response) = done.ok().flatten().or(unknown) {
                answer(answers, response);
            }
        }
        None => {
            let answers = answers.clone();
            // Ends with its handler, which never waits for a run, a model or, without a time limit, the client.
            tokio::spawn(async move {
                if let Some(response) = handler.await.ok().flatten().or(unknown) {
                    answer(&answers, response);
                }
            });
        }
    }
}

/// Queues an answer. One that does not fit waits in a task of its own, so that reading goes on.
fn answer(answers: &mpsc::Sender<Response>, response: Response) {
    if let Err(mpsc::error::TrySendError::Full(response)) = answers.try_send(response) {
        let answers = answers.clone();
        tokio::spawn(async move { answers.send(response).await });
    }
}

/// Writes what `next` gives until there is nothing more or nobody reads.
async fn write(mut output: impl AsyncWrite + Unpin, mut next: impl AsyncFnMut() -> Option<Vec<u8>>) {
    while let Some(body) = next().await {
        let written = async {
            output.write_all(&frame(&body)).await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, "the output cannot be written");
            return;
        }
    }
}

enum Message {
    Request(Request),
    Reply(Response),
}

/// A message as it stands in a frame: one shape for all three kinds, so that it is parsed once.
#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    method: Option<String>,
    #[serde(default, deserialize_with = "some")]
    id: Option<Id>,
    #[serde(default, deserialize_with = "some")]
    params: Option<Value>,
    #[serde(default, deserialize_with = "some")]
    result: Option<Value>,
    #[serde(default)]
    error: Option<Error>,
}

/// Tells `null` from absent.
fn some<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

fn parse(body: &[u8]) -> Result<Message, Box<Response>> {
    let incoming: Incoming = serde_json::from_slice(body).map_err(|error| {
        let id = serde_json::from_slice::<Value>(body).ok().and_then(|value| id_of(&value)).unwrap_or(Id::Null);
        let code = if error.is_data() { ErrorCode::InvalidRequest } else { ErrorCode::ParseError };
        Box::new(Response::from_error(id, invalid(code, error.to_string())))
    })?;
    match incoming {
        Incoming { method: Some(method), id, params, .. } => {
            let mut request = Request::build(method);
            if let Some(params) = params {
                request = request.params(params);
            }
            if let Some(id) = id {
                request = request.id(id);
            }
            Ok(Message::Request(request.finish()))
        }
        Incoming { id: Some(id), error: Some(error), .. } => Ok(Message::Reply(Response::from_error(id, error))),
        Incoming { id: Some(id), result: Some(result), .. } => Ok(Message::Reply(Response::from_ok(id, result))),
        Incoming { id, .. } => Err(Box::new(Response::from_error(
            id.unwrap_or(Id::Null),
            invalid(
                ErrorCode::InvalidRequest,
                "neither a request nor a reply: \"method\", \"result\" or \"error\" is missing".into(),
            ),
        ))),
    }
}

fn id_of(value: &Value) -> Option<Id> {
    serde_json::from_value(value.get("id")?.clone()).ok()
}

fn invalid(code: ErrorCode, message: String) -> Error {
    Error { code, message: message.into(), data: None }
}
