//! The trait that every wire implements, and the neutral words of its request and its stream.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde_json::value::RawValue;

use super::{Item, ModelError};
use crate::protocol::Usage;

/// A tool, as the model is told of it.
#[derive(Clone, Debug)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: Arc<serde_json::Value>,
}

/// One request: everything the model is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The system prompt.
    pub system: Arc<str>,
    /// The tools on offer.
    pub tools: Arc<[ToolSpec]>,
    /// The history, oldest first. Every call in it has exactly one result.
    pub items: Arc<[Arc<Item>]>,
    /// The most that the answer may hold, in tokens; the wire's own default when absent.
    pub max_output: Option<u64>,
    /// Names the conversation to the provider's prompt cache, where a wire has a place for that. It says nothing else.
    pub cache_key: Option<Arc<str>>,
    /// What it is for. No provider is told.
    pub purpose: Purpose,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// The next turn of the conversation.
    #[default]
    Turn,
    /// A summary of its beginning.
    Summary,
}

/// Why a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model is done.
    End,
    /// It waits for tool results.
    ToolUse,
    /// Cut off at the output limit.
    MaxTokens,
    /// The provider paused a long turn; sending the history again goes on.
    Pause,
    /// Refused, or stopped by a filter.
    Refusal(String),
}

/// What a stream says, whatever the wire. Blocks are numbered by `index`, in the order in which they shall stand.
#[derive(Clone, Debug)]
pub enum StreamEvent {
    /// A provider begins to answer: the first event of each attempt, where raw blocks may follow.
    Answering {
        /// What [`Item::Assistant`] keeps as `origin`.
        origin: Arc<str>,
    },
    /// A piece of prose.
    Text {
        /// Which block.
        index: usize,
        /// The piece.
        text: String,
    },
    /// A piece of reasoning.
    Reasoning {
        /// Which block.
        index: usize,
        /// The piece.
        text: String,
    },
    /// A tool call begins.
    CallStarted {
        /// Which block.
        index: usize,
        /// The provider's id; made up by the assembler when absent or empty.
        id: Option<String>,
        /// The tool's name.
        name: String,
    },
    /// A piece of a call's arguments.
    CallArguments {
        /// Which block.
        index: usize,
        /// The piece of JSON.
        json: String,
    },
    /// The provider's own form of a block, to be replayed byte for byte.
    Raw {
        /// Which block.
        index: usize,
        /// The block.
        raw: Arc<RawValue>,
    },
    /// A block is whole.
    BlockStopped {
        /// Which block.
        index: usize,
    },
    /// Figures, cumulative: a later one replaces what it names.
    Usage(Usage),
    /// The terminal event: the turn is whole.
    Finished(StopReason),
    /// What came of this turn is void; the request is made again after the delay (the stream goes on by itself).
    Retrying {
        /// From 1, at most 5.
        attempt: u32,
        /// Until then.
        delay: Duration,
        /// What a person reads.
        reason: String,
        /// Whether anything of the turn had been told.
        discarded: bool,
    },
}

/// The events of one turn. Dropping it ends the request. Ends after `Finished` or an error.
pub type TurnStream = BoxStream<'static, Result<StreamEvent, ModelError>>;

/// A model behind a wire.
#[async_trait]
pub trait Provider: Send + Sync {
    /// `TABLE/MODEL`, as the settings name it.
    fn name(&self) -> &str;

    /// The tokens that the model takes in and gives out in all, when known.
    fn context(&self) -> Option<u64>;

    /// The most tokens that one answer may hold, when known: so much less the model takes in.
    fn max_output(&self) -> Option<u64> {
        None
    }

    /// A text without the keys that were used here, for whatever is told and recorded.
    fn redacted(&self, text: String) -> String {
        text
    }

    /// Starts a turn. Failing early and failing in the stream are the same to the caller. Retries are the wire's own
    /// business (see `StreamEvent::Retrying`).
    ///
    /// # Errors
    /// What cannot be mended by trying again.
    async fn stream(&self, request: Request) -> Result<TurnStream, ModelError>;
}
