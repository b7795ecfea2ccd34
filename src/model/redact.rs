//! Keeps keys out of what a model says: it may have read one somewhere, and what it says is told and recorded.

mod known;
mod spelled;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};
use secrecy::ExposeSecret;

use super::StreamEvent;
use super::fault::Fault;
use super::key::Credential;
use super::retry::Attempt;
pub(crate) use known::remember;
pub use known::{keep_from_telling, without_keys};
use spelled::{holds, overlap};

/// What stands in the place of a key in what a model says and reads. It occurs in nobody's files, so that a call which would write
/// it into one can be told.
pub const WITHHELD: &str = "[key withheld by Cowrite]";
/// What stands in the place of a key in a provider's words about a failure.
pub(crate) const INSTEAD: &str = "[key]";
/// Shorter ones are no secrets but words that a server on this machine is content with, and may stand in any sentence.
const SHORTEST: usize = 8;

/// What is secret in a credential.
fn secrets(credential: &Credential) -> impl Iterator<Item = &str> {
    credential.secrets().map(ExposeSecret::expose_secret).filter(|secret| secret.len() >= SHORTEST)
}

/// A text without anything secret in it.
pub(crate) fn redacted(text: String, credential: &Credential, instead: &str) -> String {
    masked(text, secrets(credential), instead)
}

/// Whether there is anything secret in a text.
pub(crate) fn holds_any(text: &str, credential: &Credential) -> bool {
    secrets(credential).any(|secret| holds(text, secret))
}

/// A text without these secrets. The longest goes first: a shorter one may be a part of it.
fn masked<'a>(text: String, secrets: impl Iterator<Item = &'a str>, instead: &str) -> String {
    let mut secrets: Vec<&str> = secrets.collect();
    secrets.sort_unstable_by_key(|secret| Reverse(secret.len()));
    secrets.into_iter().fold(text, |text, secret| spelled::replaced(text, secret, instead))
}

/// The events of an attempt without anything secret in them. What may be the beginning of a key is held back until it is known
/// to be none.
pub(crate) fn redacting(events: Attempt, credential: Arc<Credential>) -> Attempt {
    if secrets(&credential).next().is_none() {
        return events;
    }
    let state = Redacting { events, credential, held: BTreeMap::new(), ready: VecDeque::new() };
    stream::unfold(state, |mut state| async move { state.next().await.map(|event| (event, state)) }).boxed()
}

struct Redacting<S> {
    events: S,
    credential: Arc<Credential>,
    /// By block: what its next piece begins with.
    held: BTreeMap<usize, (Told, String)>,
    ready: VecDeque<StreamEvent>,
}

/// What a piece is a piece of.
#[derive(Clone, Copy)]
enum Told {
    Text,
    Reasoning,
    Arguments,
}

impl Told {
    fn event(self, index: usize, piece: String) -> StreamEvent {
        match self {
            Self::Text => StreamEvent::Text { index, text: piece },
            Self::Reasoning => StreamEvent::Reasoning { index, text: piece },
            Self::Arguments => StreamEvent::CallArguments { index, json: piece },
        }
    }
}

impl<S> Redacting<S>
where
    S: Stream<Item = Result<StreamEvent, Fault>> + Unpin,
{
    async fn next(&mut self) -> Option<Result<StreamEvent, Fault>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            match self.events.next().await? {
                Ok(StreamEvent::Text { index, text }) => self.piece(index, Told::Text, text),
                Ok(StreamEvent::Reasoning { index, text }) => self.piece(index, Told::Reasoning, text),
                Ok(StreamEvent::CallArguments { index, json }) => self.piece(index, Told::Arguments, json),
                Ok(StreamEvent::Raw { index, raw }) => {
                    // A block that holds a key is not replayed as it came.
                    if !holds_any(raw.get(), &self.credential) {
                        return Some(Ok(StreamEvent::Raw { index, raw }));
                    }
                }
                Ok(event @ StreamEvent::BlockStopped { index }) => {
                    self.release(Some(index));
                    self.ready.push_back(event);
                }
                Ok(event @ StreamEvent::Finished(_)) => {
                    self.release(None);
                    self.ready.push_back(event);
                }
                other => return Some(other),
            }
        }
    }

    fn piece(&mut self, index: usize, told: Told, piece: String) {
        let piece = match self.held.remove(&index) {
            Some((_, held)) => held + &piece,
            None => piece,
        };
        let mut piece = redacted(piece, &self.credential, WITHHELD);
        let keep = secrets(&self.credential).map(|secret| overlap(&piece, secret)).max().unwrap_or(0);
        if keep > 0 {
            self.held.insert(index, (told, piece.split_off(piece.len() - keep)));
        }
        if !piece.is_empty() {
            self.ready.push_back(told.event(index, piece));
        }
    }

    /// What was held back and is no key after all.
    fn release(&mut self, block: Option<usize>) {
        let over: Vec<usize> =
            self.held.keys().copied().filter(|index| block.is_none_or(|block| block == *index)).collect();
        for index in over {
            if let Some((told, piece)) = self.held.remove(&index) {
                self.ready.push_back(told.event(index, piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StopReason;
    use crate::model::wire::testing::{block_on, raw};

    const KEY: &str = "sk-canary-0123456789";

    fn told(events: Vec<StreamEvent>) -> Vec<String> {
        let events = stream::iter(events.into_iter().map(Ok)).boxed();
        let credential = Arc::new(Credential::Key(KEY.into()));
        let events: Vec<_> = block_on(redacting(events, credential).collect());
        let line = |event: Result<StreamEvent, Fault>| match event.unwrap() {
            StreamEvent::Text { index, text } => format!("{index} {text}"),
            StreamEvent::CallArguments { index, json } => format!("{index} {json}"),
            StreamEvent::BlockStopped { index } => format!("{index} stopped"),
            other => format!("{other:?}"),
        };
        events.into_iter().map(line).collect()
    }

    fn text(text: &str) -> StreamEvent {
        StreamEvent::Text { index: 0, text: text.to_owned() }
    }

    #[test]
    fn p9_a_key_in_an_answer_is_shown_nowhere_however_it_is_cut() {
        let said = format!("It is {KEY}, or sk-canary, or sk.");
        for first in 0..said.len() {
            for second in first..said.len() {
                let pieces = [&said[..first], &said[first..second], &said[second..]];
                let mut events: Vec<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).map(text).collect();
                events.extend([StreamEvent::BlockStopped { index: 0 }, StreamEvent::Finished(StopReason::End)]);
                let lines = told(events);
                let pieces: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("0 ")).collect();
                assert_eq!(
                    pieces.concat(),
                    format!("It is {WITHHELD}, or sk-canary, or sk.stopped"),
                    "{first} {second}"
                );
            }
        }
    }

    #[test]
    fn blocks_are_told_apart_and_nothing_is_kept_from_the_end() {
        let json = |piece: &str| StreamEvent::CallArguments { index: 1, json: piece.to_owned() };
        let lines = told(vec![
            text("sk-can"),
            json("{\"k\":\"sk-canary-"),
            json("0123456789\"}"),
            StreamEvent::BlockStopped { index: 1 },
            StreamEvent::Finished(StopReason::End),
        ]);
        assert_eq!(lines, ["1 {\"k\":\"", &format!("1 {WITHHELD}\"}}"), "1 stopped", "0 sk-can", "Finished(End)"]);
        let opaque = |text: &str| StreamEvent::Raw { index: 0, raw: raw(text) };
        assert_eq!(told(vec![opaque(&format!("{{\"t\":\"{KEY}\"}}"))]), [""; 0]);
        assert_eq!(told(vec![opaque("{}")]).len(), 1);
    }

    #[test]
    fn a_word_that_a_local_server_takes_for_a_key_is_no_secret() {
        let key = Credential::Key("ollama".into());
        assert_eq!(redacted("ollama runs".to_owned(), &key, INSTEAD), "ollama runs");
        assert_eq!(redacted(format!("a {KEY} b"), &Credential::Key(KEY.into()), INSTEAD), "a [key] b");
    }
}
