//! The wires: how each provider is asked and how it answers.

mod anthropic;
mod choose;
mod openai_chat;
mod script;

use std::collections::VecDeque;

use reqwest::header::HeaderMap;
use secrecy::SecretString;
use serde_json::value::RawValue;

pub use choose::{Choice, choose, connect};

use super::fault::{Fault, Kind};
use super::sse::Frame;
use super::{Request, StreamEvent};

/// What a wire knows: a pure translation in both directions.
pub(crate) trait Wire: Send + Sync {
    /// Where requests go, below the base address.
    fn path(&self) -> &str;

    /// The headers, the key among them.
    ///
    /// # Errors
    /// A key that no header can carry.
    fn headers(&self, key: Option<&SecretString>) -> Result<HeaderMap, Fault>;

    /// The body of a request.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    fn body(&self, request: &Request) -> serde_json::Result<Vec<u8>>;

    /// What makes events of the answer to one request.
    fn decoder(&self) -> Box<dyn Decoder>;
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

fn garbled(error: &serde_json::Error) -> Fault {
    Fault::new(Kind::Garbled, format!("an event is not what the wire says: {error}"))
}

#[cfg(test)]
mod testing;

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
