//! The wires: how each provider is asked and how it answers.

mod anthropic;
mod azure;
mod bedrock;
mod choose;
mod cohere;
mod gemini;
mod limits;
mod local;
mod openai;
mod openai_chat;
mod openai_responses;
mod plan;
mod script;
mod survey;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub use choose::{Choice, Connected, connect};
pub use limits::{Limits, limits};
pub use survey::{Part, Surveyed, survey};

use super::fault::{self, Fault, Kind};
use super::key::Credential;
use super::sse::Frame;
use super::{Request, StopReason, StreamEvent};

/// What every wire knows of its model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// What the endpoint calls it.
    pub(crate) id: String,
    /// The most that an answer may hold, where the settings say so.
    pub(crate) max_output: Option<u64>,
    /// Sent only when set.
    pub(crate) temperature: Option<f64>,
}

/// What a wire knows: a pure translation in both directions. The history that it is given holds only raw blocks that may
/// be replayed, and only names that [`Wire::names`] allows; `remote.rs` sees to both.
pub(crate) trait Wire: Send + Sync {
    /// Where requests go, below the base address: the path, and the query where there is one.
    fn path(&self, streaming: bool) -> Cow<'_, str>;

    /// The headers that prove who asks, and those that the wire wants beside.
    ///
    /// # Errors
    /// A key that no header can carry.
    fn headers(&self, credential: &Credential, sent: &Sent<'_>) -> Result<HeaderMap, Fault>;

    /// The body of a request.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    fn body(&self, request: &Request, streaming: bool) -> serde_json::Result<Vec<u8>>;

    /// What makes events of the answer to one request.
    fn decoder(&self) -> Box<dyn Decoder>;

    /// What makes events of the answer to this request, where it matters what was asked.
    fn decoder_of(&self, _request: &Request) -> Box<dyn Decoder> {
        self.decoder()
    }

    /// How a stream is cut into frames.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// What the wire allows in the name of a tool.
    fn names(&self) -> Names {
        Names { longest: 64, beside: "_-", letter_first: false }
    }

    /// Where the provider lists its models, below the base address, where it does.
    fn models_path(&self) -> Option<&'static str> {
        None
    }

    /// What an answer that is an error means.
    fn fault(&self, status: u16, headers: &HeaderMap, body: &str) -> Fault {
        fault::from_response(status, headers, body)
    }
}

/// What is sent, for those who sign it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    /// Where to.
    pub(crate) url: &'a Url,
    /// The body.
    pub(crate) body: &'a [u8],
    /// When.
    pub(crate) now: SystemTime,
}

/// How an answer that streams is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-sent events.
    Sse,
    /// AWS's binary messages, each with its checksums.
    EventStream,
}

/// Which names a wire allows for tools, letters and digits of ASCII aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// The most characters.
    pub(crate) longest: usize,
    /// Other characters.
    pub(crate) beside: &'static str,
    /// Whether a letter or an underscore must come first.
    pub(crate) letter_first: bool,
}

/// Makes events of one answer.
pub(crate) trait Decoder: Send {
    /// Takes in a frame.
    ///
    /// # Errors
    /// An error that the provider reports, or a frame that is not what the wire says.
    fn frame(&mut self, frame: &Frame, events: &mut VecDeque<StreamEvent>) -> Result<(), Fault>;

    /// Whether the turn is whole already, and only figures or an end mark may follow.
    fn whole_already(&self) -> bool {
        false
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// What is missing.
    fn end(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), Fault>;

    /// Takes in an answer that came in one piece.
    ///
    /// # Errors
    /// As with [`Decoder::frame`].
    fn whole(&mut self, body: &str, events: &mut VecDeque<StreamEvent>) -> Result<(), Fault>;
}

/// A call's arguments as every wire takes them in the history: a JSON object. What the model wrote wrongly is an empty
/// one then (its result says what was wrong), for providers refuse the whole history otherwise.
fn object(arguments: &str) -> Box<RawValue> {
    let text = arguments.trim();
    let text = if text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok() { text } else { "{}" };
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A call's id of these characters beside letters and digits, and no longer: those of other providers may hold more. One that
/// was changed holds a digest of the whole, so two never become one; a call and its result get the same.
fn call_id<'a>(id: &'a str, beside: &str, longest: usize) -> Cow<'a, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || beside.contains(c);
    if id.len() <= longest && id.chars().all(fits) {
        return id.into();
    }
    let digest: String = Sha256::digest(id).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let plain = id.chars().map(|c| if fits(c) { c } else { '_' }).take(longest - digest.len() - 1);
    format!("{}_{digest}", plain.collect::<String>()).into()
}

/// A text as one part of a path: a model's name may hold slashes, colons and blanks.
fn segment(text: &str) -> impl fmt::Display {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ESCAPED)
}

/// What it means that an answer stopped for a reason that nobody here knows. It may be one for which its calls must not be
/// run, so none is.
fn unknown_stop(reason: &str) -> StopReason {
    StopReason::Refusal(format!("it stopped for a reason that is not known here ({})", fault::plain(reason)))
}

/// A string that is borrowed where nothing in it is escaped, which `Option<Cow<str>>` never is.
#[derive(Debug, Deserialize)]
struct Words<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Words<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

fn garbled(error: &serde_json::Error) -> Fault {
    Fault::new(Kind::Garbled, format!("an event is not what the wire says: {error}"))
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
pub(super) mod conformance;

#[cfg(test)]
mod over_http;

#[cfg(test)]
mod tests {
    #[test]
    fn arguments_in_the_history_are_always_an_object() {
        let cases = [
            (r#" {"a": 1} "#, r#"{"a": 1}"#),
            (r#"{"a": 1"#, "{}"),
            ("", "{}"),
            ("[1]", "{}"),
            ("null", "{}"),
            (r#"{"a": 1} x"#, "{}"),
        ];
        for (arguments, expected) in cases {
            assert_eq!(super::object(arguments).get(), expected, "{arguments}");
        }
    }
}
