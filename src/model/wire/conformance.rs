//! What every wire must pass: the same conversations, the same cuts and the same faults, with what a person sees of them.

mod chunks;
mod conversation;
mod disconnects;
mod faults;
mod generate;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{HeaderValue, Method, Uri};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use secrecy::SecretString;

use super::anthropic::Anthropic;
use super::azure::Azure;
use super::bedrock::Bedrock;
use super::choose::build;
use super::cohere::Cohere;
use super::gemini::Gemini;
use super::openai_chat::OpenaiChat;
use super::openai_responses::OpenaiResponses;
use super::testing::Told;
use super::{Framing, Model, Sent, Wire};
use crate::model::catalog::Catalog;
use crate::model::double::{
    AWS_ID, AWS_REGION, AWS_SECRET, Answer, Asked, CANARY, Dialect, Part, Stop, Style, dialect,
};
use crate::model::fault::Fault;
use crate::model::http::Http;
use crate::model::key::{Credential, Environment};
use crate::model::remote::decoded;
use crate::model::replay::{Fitted, Replayable};
use crate::model::{Block, Provider, Request, StopReason, Turn, eventstream, sse};
use crate::protocol::Usage;

/// A wire, and how one comes to it.
struct Door {
    /// The double's name for it.
    name: &'static str,
    /// The settings of its table, but for the address.
    settings: &'static str,
    /// What of the path is part of its base address.
    below: &'static str,
    wire: fn(Model) -> Box<dyn Wire>,
}

/// After how many seconds of silence an answer is given up. The clock is the real one, and the machine may be busy.
const SILENCE: u64 = 3;

const WIRES: &[Door] = &[
    Door {
        name: "anthropic",
        settings: "kind = \"anthropic\"\napi_key_env = \"KEY\"",
        below: "",
        wire: |model| Box::new(Anthropic { model }),
    },
    Door {
        name: "openai-chat",
        settings: "kind = \"openai-chat\"\napi_key_env = \"KEY\"",
        below: "/v1",
        wire: |model| Box::new(OpenaiChat { model, own_host: false }),
    },
    Door {
        name: "openai",
        settings: "kind = \"openai\"\napi_key_env = \"KEY\"",
        below: "/v1",
        wire: |model| Box::new(OpenaiResponses::new(model)),
    },
    Door {
        name: "azure",
        settings: "kind = \"azure\"\napi_key_env = \"KEY\"",
        below: "",
        wire: |model| Box::new(Azure::v1(model)),
    },
    Door {
        name: "azure-dated",
        settings: "kind = \"azure\"\napi_version = \"2024-10-21\"\napi_key_env = \"KEY\"",
        below: "",
        wire: |model| Box::new(Azure::dated(model, "2024-10-21".to_owned())),
    },
    Door {
        name: "gemini",
        settings: "kind = \"gemini\"\napi_key_env = \"KEY\"",
        below: "",
        wire: |model| Box::new(Gemini { model }),
    },
    Door {
        name: "cohere",
        settings: "kind = \"cohere\"\napi_key_env = \"KEY\"",
        below: "",
        wire: |model| Box::new(Cohere { model }),
    },
    Door {
        name: "bedrock",
        settings: "kind = \"bedrock\"",
        below: "",
        wire: |model| Box::new(Bedrock { model, region: AWS_REGION.to_owned() }),
    },
];

/// A provider that asks the double at this address, by what the double calls the wire; `known` is what the settings say of its
/// model.
pub(in crate::model) fn provider(name: &str, base: &str, known: &str) -> Arc<dyn Provider> {
    let door = WIRES.iter().find(|door| door.name == name).unwrap();
    // One whose family takes the marks of the cache.
    let model = if name == "bedrock" { "eu.anthropic.claude-m-1-v1:0" } else { door.model() };
    door.provider_in(base, model, "", &format!("[models.\"double/{model}\"]\n{known}\n"))
}

impl Door {
    fn wire(&self) -> Box<dyn Wire> {
        (self.wire)(Model { id: self.model().to_owned(), max_output: None, temperature: None })
    }

    fn dialect(&self) -> &'static dyn Dialect {
        dialect(self.name)
    }

    /// A model's name with everything in it that a path has to escape.
    fn model(&self) -> &'static str {
        if self.name == "bedrock" { "eu.anthropic.m-1-v1:0" } else { "m" }
    }

    /// The provider as the settings make it.
    fn provider(&self, base: &str) -> Arc<dyn Provider> {
        self.provider_of(base, "")
    }

    /// The same, asking for answers in pieces or for whole ones.
    fn unconnected(&self, base: &str, streaming: bool) -> Arc<dyn Provider> {
        self.provider_of(base, &format!("stream = {streaming}\n"))
    }

    fn provider_of(&self, base: &str, more: &str) -> Arc<dyn Provider> {
        self.provider_in(base, self.model(), more, "")
    }

    fn provider_in(&self, base: &str, model: &str, more: &str, tables: &str) -> Arc<dyn Provider> {
        let (below, settings) = (self.below, self.settings);
        let settings = format!(
            "model = \"double/{model}\"\n[limits]\nidle_seconds = {SILENCE}\n{tables}[providers.double]\n{settings}\n{more}base_url = \
             \"{base}{below}\""
        );
        let catalog = Arc::new(Catalog::load(None));
        build(&toml::from_str(&settings).unwrap(), &environment(), &format!("double/{model}"), catalog).unwrap()
    }

    /// Asks the double, without a server, what it thinks of a request.
    fn checked(&self, request: &Request, origin: Option<&str>, streaming: bool) -> Result<(), String> {
        let wire = self.wire();
        let rejected = HashSet::new();
        let replay = origin.map(|origin| Replayable { origin, rejected: &rejected });
        let fitted = Fitted::new(request, replay, wire.names());
        let bytes = wire.body(&fitted.request, streaming).unwrap();
        let http = Http::new(&format!("http://127.0.0.1:1{}", self.below), false, Duration::ZERO).unwrap();
        let url = http.url(&wire.path(streaming));
        let uri: Uri = url[url::Position::BeforePath..].parse().unwrap();
        let body = serde_json::from_slice(&bytes).unwrap();
        for credential in self.credentials() {
            let sent = Sent { url: &url, body: &bytes, now: SystemTime::now() };
            let mut headers = wire.headers(&credential, &sent).unwrap();
            headers.insert("content-type", HeaderValue::from_static("application/json"));
            headers.insert("host", HeaderValue::from_static("127.0.0.1:1"));
            let asked = Asked { method: &Method::POST, uri: &uri, headers: &headers, bytes: &bytes, body: &body };
            assert_eq!(self.dialect().streaming(&asked), streaming);
            let checked = self.dialect().check(&asked);
            checked.map_err(|(status, message)| format!("{status} {message} in {body}"))?;
        }
        Ok(())
    }

    /// What a request may prove itself with.
    fn credentials(&self) -> Vec<Credential> {
        let key = Credential::Key(SecretString::from(CANARY));
        let aws = |session_token: Option<&str>| Credential::Aws {
            access_key_id: SecretString::from(AWS_ID),
            secret: SecretString::from(AWS_SECRET),
            session_token: session_token.map(SecretString::from),
        };
        if self.name == "bedrock" { vec![key, aws(None), aws(Some("token+/="))] } else { vec![key] }
    }

    /// The events of an answer that arrives in these pieces.
    async fn told(&self, pieces: Vec<Result<Bytes, Fault>>) -> Told {
        let wire = self.wire();
        let (pieces, decoder) = (stream::iter(pieces), wire.decoder());
        match wire.framing() {
            Framing::Sse => decoded(sse::frames(pieces).boxed(), decoder).collect().await,
            Framing::EventStream => decoded(eventstream::frames(pieces).boxed(), decoder).collect().await,
        }
    }

    /// The events of an answer that comes in one document.
    fn told_whole(&self, body: &str) -> Told {
        let mut events = std::collections::VecDeque::new();
        let result = self.wire().decoder().whole(body, &mut events);
        events.into_iter().map(Ok).chain(result.err().map(Err)).collect()
    }
}

fn environment() -> Environment {
    let aws = [("AWS_ACCESS_KEY_ID", AWS_ID), ("AWS_SECRET_ACCESS_KEY", AWS_SECRET), ("AWS_REGION", AWS_REGION)];
    Environment::of(&[[("KEY", CANARY)].as_slice(), &aws].concat())
}

/// A twentieth of a campaign's figure, or with `COWRITE_CAMPAIGN=full` all of it.
fn count(full: usize) -> usize {
    let whole = std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full");
    if whole { full } else { full.div_ceil(20) }
}

/// Runs a test for every wire side by side and names all of those that fail.
fn every(test: impl Fn(&Door) + Sync) {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let run = |door: &'static Door| {
            let test = &test;
            let thread = scope.spawn(move || catch_unwind(AssertUnwindSafe(|| test(door))));
            (door.name, thread)
        };
        let threads: Vec<_> = WIRES.iter().map(run).collect();
        let failed = |(name, thread): (&str, std::thread::ScopedJoinHandle<'_, std::thread::Result<()>>)| {
            let panic = thread.join().unwrap().err()?;
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("{name}: {}", text.unwrap_or_default()))
        };
        threads.into_iter().filter_map(failed).collect()
    });
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// The same with a runtime around it.
fn every_async<F: Future<Output = ()>>(test: impl Fn(&'static Door) -> F + Sync) {
    every(|door| {
        let door = WIRES.iter().find(|other| other.name == door.name).unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test(door));
    });
}

/// What must come out of an answer, a line for each block.
fn expected(answer: &Answer, style: Style) -> Vec<String> {
    let line = |part: &Part| match part {
        Part::Text(pieces) => Some(format!("text {}", pieces.concat())),
        Part::Reasoning { opaque: true, .. } => None,
        Part::Reasoning { text, .. } => Some(format!("reasoning {}", text.concat())),
        Part::Call { id, name, arguments } => {
            let id = if style.no_ids { "(made up)" } else { id };
            Some(format!("call {id} {name} {}", value(&arguments.concat())))
        }
    };
    answer.parts.iter().filter_map(line).collect()
}

/// The same of a turn. What shows nothing is left out.
fn said(turn: &Turn) -> Vec<String> {
    let line = |block: &Block| match block {
        Block::Text { text, .. } | Block::Reasoning { text, .. } if text.is_empty() => None,
        Block::Text { text, .. } => Some(format!("text {text}")),
        Block::Reasoning { text, .. } => Some(format!("reasoning {text}")),
        Block::Call { id, name, arguments, .. } => {
            let made_up = id.strip_prefix("call_").is_some_and(|rest| rest.len() == 32);
            let id = if made_up { "(made up)" } else { id };
            Some(format!("call {id} {name} {}", value(arguments)))
        }
    };
    turn.blocks.iter().filter_map(line).collect()
}

/// Arguments, however they are written.
fn value(arguments: &str) -> String {
    serde_json::from_str::<serde_json::Value>(arguments)
        .map_or_else(|_| arguments.to_owned(), |value| value.to_string())
}

/// The opaque blocks of a turn.
fn raws(turn: &Turn) -> Vec<&str> {
    turn.blocks.iter().filter_map(|block| block.raw().map(|raw| raw.get())).collect()
}

fn meant(stop: Stop) -> StopReason {
    match stop {
        Stop::End => StopReason::End,
        Stop::Calls => StopReason::ToolUse,
        Stop::Limit => StopReason::MaxTokens,
        Stop::Pause => StopReason::Pause,
        Stop::Refusal => StopReason::Refusal(String::new()),
    }
}

/// A stop without a provider's own words.
fn bare(stop: &StopReason) -> StopReason {
    match stop {
        StopReason::Refusal(_) => StopReason::Refusal(String::new()),
        other => other.clone(),
    }
}

const UNKNOWN: Usage = Usage { input: None, output: None, cache_read: None, cache_write: None };

/// Whether the wire has opaque blocks.
fn seals(door: &Door) -> bool {
    !["openai-chat", "azure-dated", "cohere"].contains(&door.name)
}
