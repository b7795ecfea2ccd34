//! What stands between a server and the protocol's library: only answers to what was asked pass, and few other messages.

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use rmcp::RoleClient;
use rmcp::model::{JsonRpcMessage, RequestId, ServerNotification};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// The longest message.
pub(super) const MESSAGE: usize = 8 * 1024 * 1024;
/// Messages that may come at once without having been asked for.
const BURST: f64 = 2000.0;
/// And in each second after that.
const PER_SECOND: f64 = 100.0;
/// So many bytes count as a message more.
const BYTES: f64 = 32.0 * 1024.0;

/// What is noticed of a connection.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Its tools are others than they were.
    pub(super) changed: AtomicBool,
    why: Mutex<Option<&'static str>>,
    /// Set when there is a reason.
    pub(super) cut: CancellationToken,
    /// Set when nobody waits for anything of it any more.
    pub(super) over: CancellationToken,
}

impl Watch {
    /// Why it was broken off from this side.
    pub(super) fn why(&self) -> Option<&'static str> {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn broken(&self, why: &'static str) {
        tracing::warn!(why, "a connection to a server was broken off");
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.cut.cancel();
    }
}

/// How much may come: it fills up again with time.
#[derive(Debug)]
pub(super) struct Bucket {
    left: f64,
    at: Instant,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { left: BURST, at: Instant::now() }
    }
}

impl Bucket {
    /// Takes out so many messages of so many bytes together, and whether that is still in order.
    pub(super) fn take_all(&mut self, messages: usize, bytes: usize) -> bool {
        self.take(messages as f64 + bytes as f64 / BYTES)
    }

    fn take(&mut self, cost: f64) -> bool {
        let now = Instant::now();
        self.left = (self.left + (now - self.at).as_secs_f64() * PER_SECOND).min(BURST) - cost;
        self.at = now;
        self.left >= 0.0
    }
}

/// A transport of which only what was asked for comes through.
pub(super) struct Guard<T> {
    inner: T,
    asked: HashSet<RequestId>,
    bucket: Bucket,
    watch: Arc<Watch>,
}

impl<T> Guard<T> {
    pub(super) fn new(inner: T, watch: Arc<Watch>) -> Self {
        Self { inner, asked: HashSet::new(), bucket: Bucket::default(), watch }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Guard<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &item {
            self.asked.insert(request.id.clone());
        }
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let message = self.inner.receive().await?;
            let pass = match &message {
                JsonRpcMessage::Response(response) => self.asked.remove(&response.id),
                JsonRpcMessage::Error(error) => error.id.as_ref().is_some_and(|id| self.asked.remove(id)),
                JsonRpcMessage::Notification(notification) => {
                    if let ServerNotification::ToolListChangedNotification(_) = notification.notification {
                        self.watch.changed.store(true, Ordering::Relaxed);
                    }
                    false
                }
                JsonRpcMessage::Request(_) => true,
            };
            let asked = pass && !matches!(message, JsonRpcMessage::Request(_));
            if !asked && !self.bucket.take(1.0) {
                self.watch.broken("it sent far more than it was asked for");
                return None;
            }
            if pass {
                return Some(message);
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.inner.close()
    }
}

/// What a program prints, up to the first line that is too long, and not faster than anybody can take it.
pub(super) struct Capped<R> {
    inner: R,
    line: usize,
    bucket: Bucket,
    watch: Arc<Watch>,
}

impl<R> Capped<R> {
    pub(super) fn new(inner: R, watch: Arc<Watch>) -> Self {
        Self { inner, line: 0, bucket: Bucket::default(), watch }
    }

    fn check(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        let mut lines = 0_usize;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line += part.len();
            if self.line > MESSAGE {
                return Err("it printed a line of more than 8 MiB");
            }
            if part.ends_with(b"\n") {
                self.line = 0;
                lines += 1;
            }
        }
        if self.bucket.take_all(lines, piece.len()) { Ok(()) } else { Err("it printed far more than it was asked for") }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Capped<R> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.why().is_some() {
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        match Pin::new(&mut this.inner).poll_read(context, into) {
            Poll::Ready(Ok(())) => {}
            other => return other,
        }
        if let Err(why) = this.check(&into.filled()[before..]) {
            this.watch.broken(why);
            into.set_filled(before);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn read(text: Vec<u8>) -> (usize, Option<&'static str>) {
        let watch = Arc::new(Watch::default());
        let mut capped = Capped::new(text.as_slice(), watch.clone());
        let mut all = Vec::new();
        capped.read_to_end(&mut all).await.unwrap();
        (all.len(), watch.why())
    }

    #[tokio::test]
    async fn t6_a_line_without_an_end_and_a_flood_of_lines_are_cut() {
        let long = vec![b'x'; MESSAGE];
        assert_eq!(read(long.clone()).await, (MESSAGE, None));
        let (read_of_it, why) = read([long, vec![b'x'; MESSAGE]].concat()).await;
        assert!(read_of_it <= MESSAGE && why.is_some_and(|why| why.contains("8 MiB")));
        assert_eq!(read(b"{}\n".repeat(1500)).await, (4500, None));
        let (read_of_it, why) = read(b"{}\n".repeat(1_000_000)).await;
        assert!(read_of_it < 3_000_000 && why.is_some_and(|why| why.contains("far more")));
    }
}
