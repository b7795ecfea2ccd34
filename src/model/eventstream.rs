//! From the bytes of an answer to frames, where AWS frames it: `application/vnd.amazon.eventstream`.
//!
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>. A message is its length, the length of its headers, a checksum of
//! these two, the headers, the payload and a checksum of all. The decoding is `aws-smithy-eventstream`'s, which looks at a
//! message only once it is whole: what the lengths say is checked here before, so that a damaged one is not waited for.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{self, Stream, StreamExt};
use serde_json::json;

use super::fault::{self, Fault, Kind};
use super::sse::{EVENT_BYTES, Frame};

/// What stands before the name in [`Frame::event`] where a message is an exception and not an event.
pub(crate) const EXCEPTION: &str = "exception:";

/// The lengths and their checksum.
const PRELUDE_BYTES: usize = 12;

/// Cuts an answer into frames: the name is the `:event-type`, or [`EXCEPTION`] with the `:exception-type`. An unfinished
/// last message is left out, as with server-sent events: only a wire's own terminal event ends a turn.
///
/// What was damaged on the way breaks the stream, for it can be asked for again; what is well made and makes no sense is
/// garbled.
pub(crate) fn frames<S>(bytes: S) -> impl Stream<Item = Result<Frame, Fault>> + Send
where
    S: Stream<Item = Result<Bytes, Fault>> + Send,
{
    let state = Some((Box::pin(bytes), Cutter::default()));
    stream::unfold(state, |state| async move {
        let (mut bytes, mut cutter) = state?;
        loop {
            match cutter.next() {
                Ok(Some(frame)) => return Some((Ok(frame), Some((bytes, cutter)))),
                Err(fault) => return Some((Err(fault), None)),
                Ok(None) => {}
            }
            match bytes.next().await? {
                Ok(piece) => cutter.waiting.extend_from_slice(&piece),
                Err(fault) => return Some((Err(fault), None)),
            }
        }
    })
}

#[derive(Default)]
struct Cutter {
    waiting: BytesMut,
    decoder: MessageFrameDecoder,
}

impl Cutter {
    /// The next frame, once all of it is there.
    fn next(&mut self) -> Result<Option<Frame>, Fault> {
        let Some((prelude, _)) = self.waiting.split_first_chunk::<PRELUDE_BYTES>() else { return Ok(None) };
        let (expected, prelude) = (crc32fast::hash(&prelude[..8]), *prelude);
        let mut prelude = &prelude[..];
        let (length, _headers, checksum) = (prelude.get_u32(), prelude.get_u32(), prelude.get_u32());
        if checksum != expected {
            return Err(damaged("its lengths do not fit their checksum"));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > EVENT_BYTES {
            return Err(Fault::new(Kind::Garbled, "one event of the stream is larger than 10 MiB"));
        }
        if self.waiting.len() < length {
            return Ok(None);
        }
        match self.decoder.decode_frame(&mut self.waiting) {
            Ok(DecodedFrame::Complete(message)) => frame(&message).map(Some),
            Ok(DecodedFrame::Incomplete) => Err(damaged("it is shorter than it says")),
            Err(error) => Err(damaged(&fault::with_causes(&error))),
        }
    }
}

fn damaged(how: &str) -> Fault {
    Fault::new(Kind::Broken, format!("a message of the stream came damaged ({how})"))
}

fn frame(message: &aws_smithy_types::event_stream::Message) -> Result<Frame, Fault> {
    let header = |name: &str| {
        let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
        header.value().as_string().ok().map(|value| value.as_str())
    };
    let unnamed = || Fault::new(Kind::Garbled, "a message of the stream says neither event nor exception");
    let (event, data) = match header(":message-type").ok_or_else(unnamed)? {
        "event" => (header(":event-type").ok_or_else(unnamed)?.to_owned(), None),
        "exception" => (format!("{EXCEPTION}{}", header(":exception-type").ok_or_else(unnamed)?), None),
        // An error has no payload: its words are a header.
        "error" => {
            let words = json!({"message": header(":error-message").unwrap_or_default()}).to_string();
            (format!("{EXCEPTION}{}", header(":error-code").unwrap_or_default()), Some(words))
        }
        _ => return Err(unnamed()),
    };
    let data = match data {
        Some(data) => data,
        None => std::str::from_utf8(message.payload())
            .map_err(|error| Fault::new(Kind::Garbled, format!("an event of the stream is not UTF-8: {error}")))?
            .to_owned(),
    };
    Ok(Frame { event: Some(event), data })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::sse::tests::pieces;

    /// CRC-32 as IEEE 802.3 has it, bit by bit: the slow way, and nobody else's code.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
    }

    /// A message with headers whose values are text, written by hand from the format's page.
    pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in headers {
            head.push(u8::try_from(name.len()).unwrap());
            head.extend_from_slice(name.as_bytes());
            head.push(7);
            head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        raw_message(&head, payload)
    }

    fn raw_message(head: &[u8], payload: &[u8]) -> Vec<u8> {
        let total = u32::try_from(16 + head.len() + payload.len()).unwrap();
        let mut all = total.to_be_bytes().to_vec();
        all.extend_from_slice(&u32::try_from(head.len()).unwrap().to_be_bytes());
        all.extend_from_slice(&crc(&all).to_be_bytes());
        all.extend_from_slice(head);
        all.extend_from_slice(payload);
        all.extend_from_slice(&crc(&all).to_be_bytes());
        all
    }

    pub(crate) fn event(name: &str, payload: &str) -> Vec<u8> {
        let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
        message(&headers, payload.as_bytes())
    }

    pub(crate) fn exception(name: &str, payload: &str) -> Vec<u8> {
        let headers =
            [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
        message(&headers, payload.as_bytes())
    }

    fn read(bytes: &[u8], cuts: &[usize]) -> Vec<Result<Frame, Fault>> {
        let stream = frames(stream::iter(pieces(bytes, cuts)));
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(stream.collect())
    }

    fn some() -> Vec<u8> {
        [
            event("messageStart", r#"{"role":"assistant"}"#),
            event("contentBlockDelta", r#"{"delta":{"text":"Привет 🦀"}}"#),
            event("initial-response", ""),
            exception("throttlingException", r#"{"message":"slow"}"#),
        ]
        .concat()
    }

    fn frame_of(event: &str, data: &str) -> Result<Frame, Fault> {
        Ok(Frame { event: Some(event.to_owned()), data: data.to_owned() })
    }

    #[test]
    fn the_checksum_is_the_one_everybody_means() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn events_and_exceptions_are_told_apart() {
        assert_eq!(
            read(&some(), &[]),
            [
                frame_of("messageStart", r#"{"role":"assistant"}"#),
                frame_of("contentBlockDelta", r#"{"delta":{"text":"Привет 🦀"}}"#),
                frame_of("initial-response", ""),
                frame_of("exception:throttlingException", r#"{"message":"slow"}"#),
            ]
        );
        let error = message(
            &[(":message-type", "error"), (":error-code", "InternalError"), (":error-message", "An \"oops\"")],
            b"",
        );
        assert_eq!(read(&error, &[]), [frame_of("exception:InternalError", r#"{"message":"An \"oops\""}"#)]);
    }

    #[test]
    fn headers_of_every_type_are_read_over() {
        let mut head = Vec::new();
        for (kind, length) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
            head.extend_from_slice(&[1, b'a' + kind, kind]);
            head.extend(std::iter::repeat_n(1, length));
        }
        head.extend_from_slice(&[1, b'z', 6, 0, 3, 1, 2, 3]);
        for (name, value) in [(":message-type", "event"), (":event-type", "x")] {
            head.push(u8::try_from(name.len()).unwrap());
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(&[7, 0, u8::try_from(value.len()).unwrap()]);
            head.extend_from_slice(value.as_bytes());
        }
        assert_eq!(read(&raw_message(&head, b"{}"), &[]), [frame_of("x", "{}")]);
    }

    #[test]
    fn one_cut_anywhere_and_single_bytes_make_no_difference() {
        let (all, whole) = (some(), read(&some(), &[]));
        for cut in 0..all.len() {
            assert_eq!(read(&all, &[cut]), whole, "cut at {cut}");
        }
        assert_eq!(read(&all, &(0..all.len()).collect::<Vec<_>>()), whole, "byte by byte");
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(cuts in prop::collection::vec(any::<usize>(), 0..40)) {
            prop_assert_eq!(read(&some(), &cuts), read(&some(), &[]));
        }

        #[test]
        fn noise_is_no_frame_and_no_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&noise, &[]).iter().all(Result::is_err));
        }

        #[test]
        fn noise_in_the_headers_is_no_panic(head in prop::collection::vec(any::<u8>(), 0..60)) {
            let told = read(&raw_message(&head, b"payload"), &[]);
            prop_assert_eq!(told.len(), 1);
        }
    }

    #[test]
    fn every_bit_that_flips_is_an_error_at_once() {
        let good = event("contentBlockDelta", r#"{"delta":{"text":"rm -r build"}}"#);
        assert!(read(&good, &[])[0].is_ok());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let told = read(&[bad, event("messageStop", "{}")].concat(), &[]);
            assert_eq!(told.len(), 1, "bit {bit}: nothing is read after it");
            let fault = told[0].as_ref().unwrap_err();
            assert_eq!(fault.kind, Kind::Broken, "bit {bit}");
            assert!(fault.message.starts_with("a message of the stream came damaged ("), "{}", fault.message);
            assert!(fault.retryable());
        }
    }

    #[test]
    fn a_message_that_is_cut_off_is_left_out() {
        let (first, second) = (event("a", "{}"), event("b", "{}"));
        let all = [first.clone(), second].concat();
        for end in 0..all.len() {
            let told = read(&all[..end], &[]);
            assert_eq!(told.len(), usize::from(end >= first.len()), "cut after {end}");
            assert!(told.iter().all(Result::is_ok));
        }
    }

    #[test]
    fn a_broken_connection_stays_one() {
        let lost = Fault::new(Kind::Connection, "reset");
        let bytes = vec![Ok(Bytes::from(event("a", "{}"))), Err(lost.clone())];
        let stream = frames(stream::iter(bytes)).collect::<Vec<_>>();
        let told = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(stream);
        assert_eq!(told, [frame_of("a", "{}"), Err(lost)]);
    }

    #[test]
    fn what_is_well_made_and_makes_no_sense_is_garbled() {
        let mut huge = 50_000_000_u32.to_be_bytes().to_vec();
        huge.extend_from_slice(&0_u32.to_be_bytes());
        huge.extend_from_slice(&crc(&huge).to_be_bytes());
        let cases = [
            huge,
            message(&[], b"{}"),
            message(&[(":message-type", "event")], b"{}"),
            message(&[(":message-type", "riddle"), (":event-type", "a")], b"{}"),
            message(&[(":message-type", "event"), (":event-type", "a")], b"\xff"),
        ];
        for case in cases {
            let told = read(&case, &[]);
            assert_eq!(told.len(), 1);
            assert_eq!(told[0].as_ref().unwrap_err().kind, Kind::Garbled, "{told:?}");
        }
    }

    #[test]
    fn a_long_stream_of_small_messages_is_not_too_large() {
        let payload = "x".repeat(1024 * 1024);
        let one = event("a", &payload);
        let stream = frames(stream::iter((0..12).map(|_| Ok(Bytes::from(one.clone())))));
        let count = stream.filter(|frame| std::future::ready(frame.is_ok())).count();
        assert_eq!(tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(count), 12);
    }
}
