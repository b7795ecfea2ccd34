//! From the bytes of an answer to frames.
//!
//! The decoding of server-sent events is `sse-stream`'s. It holds for byte order marks, CR, LF and CRLF split anywhere,
//! UTF-8 split anywhere and several data lines, but it has no limit of its own, so one is put in front of it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream::{Stream, StreamExt};
use sse_stream::SseByteStream;

use super::fault::{Fault, Kind};

/// The most bytes without a whole event.
pub(crate) const EVENT_BYTES: usize = 10 * 1024 * 1024;

/// One event of an answer, whatever the framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its name, where it has one.
    pub(crate) event: Option<String>,
    /// What it holds.
    pub(crate) data: String,
}

/// Cuts an answer into frames. Events without data (keep-alive pings) are left out, and so is an unfinished last one:
/// that is the standard's rule, and the reason why only a wire's own terminal event ends a turn.
pub(crate) fn frames<S>(bytes: S) -> impl Stream<Item = Result<Frame, Fault>> + Send
where
    S: Stream<Item = Result<Bytes, Fault>> + Send,
{
    let waiting = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&waiting);
    let bounded = bytes.map(move |chunk| {
        let chunk = chunk.map_err(Carried)?;
        if counter.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len() > EVENT_BYTES {
            return Err(Carried(Fault::new(Kind::Garbled, "one event of the stream is larger than 10 MiB")));
        }
        Ok(chunk)
    });
    SseByteStream::new(bounded).filter_map(move |event| {
        waiting.store(0, Ordering::Relaxed);
        let frame = match event {
            Ok(event) => event.data.map(|data| Ok(Frame { event: event.event, data })),
            Err(error) => Some(Err(fault(error))),
        };
        std::future::ready(frame)
    })
}

/// A fault on its way through the decoder.
#[derive(Debug)]
struct Carried(Fault);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for Carried {}

fn fault(error: sse_stream::Error) -> Fault {
    let text = error.to_string();
    match error {
        sse_stream::Error::Body(inner) => match inner.downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(other) => Fault::new(Kind::Connection, other.to_string()),
        },
        _ => Fault::new(Kind::Garbled, format!("the stream of events cannot be read: {text}")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use futures::stream;
    use proptest::prelude::*;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// The text in pieces that end at the given places.
    pub(crate) fn pieces(text: &[u8], cuts: &[usize]) -> Vec<Result<Bytes, Fault>> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| Ok(Bytes::copy_from_slice(&text[pair[0]..pair[1]]))).collect()
    }

    fn data(text: &str, cuts: &[usize]) -> Vec<String> {
        block_on(frames(stream::iter(pieces(text.as_bytes(), cuts))).map(|frame| frame.unwrap().data).collect())
    }

    #[test]
    fn the_cases_of_the_standard() {
        let cases: &[(&str, &[&str])] = &[
            ("data: a\n\ndata: b\n\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("\u{feff}: c\n\ndata: a\n\n", &["a"]),
            (": comment\n\n:\n\ndata:a\n\n", &["a"]),
            ("data:  a\n\n", &[" a"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("data\n\n", &[""]),
            ("event: ping\n\ndata: a\n\n", &["a"]),
            ("id: a\0b\nretry: 10\nother: x\ndata: a\n\n", &["a"]),
            ("data: a\u{2028}b\u{2029}\n\n", &["a\u{2028}b\u{2029}"]),
            ("data: Привет 🦀\n\n", &["Привет 🦀"]),
            ("data: a\n\ndata: unfinished\n", &["a"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            let every_byte: Vec<usize> = (0..text.len()).collect();
            assert_eq!(data(text, &[]), *expected, "{text:?}");
            assert_eq!(data(text, &every_byte), *expected, "{text:?} byte by byte");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(cuts in prop::collection::vec(any::<usize>(), 0..40)) {
            let text = "\u{feff}event: a\r\ndata: Приве\u{2028}т\r\n\r\n: c\rdata: b\rdata: 🦀\r\rdata:\n\nretry: 1\n\n";
            prop_assert_eq!(data(text, &cuts), data(text, &[]));
        }
    }

    #[test]
    fn names_come_with_the_data() {
        let frames = block_on(frames(stream::iter(pieces(b"event: error\ndata: x\n\n", &[]))).collect::<Vec<_>>());
        assert_eq!(frames, [Ok(Frame { event: Some("error".to_owned()), data: "x".to_owned() })]);
    }

    #[test]
    fn an_event_without_end_is_refused_and_a_long_stream_is_not() {
        let mebibyte = Bytes::from(vec![b'x'; 1024 * 1024]);
        let start = Bytes::from_static(b"data: ");
        let endless = std::iter::once(start.clone()).chain(std::iter::repeat_n(mebibyte.clone(), 12)).map(Ok);
        let all = block_on(frames(stream::iter(endless)).collect::<Vec<_>>());
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].as_ref().unwrap_err().kind, Kind::Garbled);

        let end = Bytes::from_static(b"\n\n");
        let long = (0..12).flat_map(|_| [start.clone(), mebibyte.clone(), end.clone()]).map(Ok);
        let count = block_on(frames(stream::iter(long)).filter(|frame| std::future::ready(frame.is_ok())).count());
        assert_eq!(count, 12);
    }

    #[test]
    fn what_is_not_utf8_is_garbled_and_a_broken_connection_stays_one() {
        let bad = block_on(frames(stream::iter(pieces(b"data: \xff\n\n", &[]))).collect::<Vec<_>>());
        assert_eq!(bad[0].as_ref().unwrap_err().kind, Kind::Garbled);
        let lost = Fault::new(Kind::Connection, "reset");
        let all = block_on(frames(stream::iter([Err(lost.clone())])).collect::<Vec<_>>());
        assert_eq!(all, [Err(lost)]);
    }
}
