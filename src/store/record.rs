//! What a record says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Hash;
use crate::context::{Accounting, Previews, Summary};
pub use crate::model::Item;
use crate::protocol::{ContextUse, Envelope, Event, Mode, RunId, Usage};

/// One thing that happened in a session. Appended, never changed.
///
/// The variants are told apart from the outside (`{"item": {…}}`), because a provider's own block is kept byte for byte
/// and a tag inside would make the reader take it apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Record {
    /// What a run really started from.
    Prepared(Box<Prepared>),
    /// An entry of the history.
    Item {
        /// The run that made it; none for what the person did between runs.
        run: Option<RunId>,
        /// The entry.
        item: Arc<Item>,
    },
    /// An event, as it is told. The deltas of one block stand as one.
    Event(Envelope),
    /// A run changed a document: enough to take it back.
    Changed(Box<Changed>),
    /// The person took back what a run had changed in some documents.
    Undone(Undone),
    /// What a run proposes in a document, from here on.
    Proposed(Box<Proposed>),
    /// What became of hunks of a run.
    Decided(Decided),
    /// What all requests came to so far, before some of the events that tell of them are dropped.
    Totals(Totals),
    /// The provider refused the history as longer than so many tokens.
    Exceeded {
        /// So many.
        limit: u64,
    },
    /// From here on large results before this entry are shown as previews.
    Previewed(Previewed),
    /// The history goes on from here: everything that a restore needs of what stands before.
    Checkpoint(Box<Checkpoint>),
}

impl Record {
    /// Its kind, as it stands beside it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Prepared(_) => "prepared",
            Self::Item { .. } => "item",
            Self::Event(Envelope { run_id: None, .. }) => "told",
            Self::Event(_) => "event",
            Self::Changed(_) => "changed",
            Self::Undone(_) => "undone",
            Self::Proposed(_) => "proposed",
            Self::Decided(_) => "decided",
            Self::Totals(_) => "totals",
            Self::Exceeded { .. } => "exceeded",
            Self::Previewed(_) => "previewed",
            Self::Checkpoint(_) => "checkpoint",
        }
    }

    /// The run that it belongs to.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Prepared(prepared) => Some(prepared.run),
            Self::Item { run, .. } => *run,
            Self::Event(envelope) => envelope.run_id,
            Self::Changed(changed) => Some(changed.run),
            Self::Undone(undone) => Some(undone.run),
            Self::Proposed(proposed) => Some(proposed.run),
            Self::Decided(decided) => Some(decided.run),
            Self::Totals(_) | Self::Exceeded { .. } | Self::Previewed(_) | Self::Checkpoint(_) => None,
        }
    }

    /// The event of a run that it keeps, when it keeps one.
    #[must_use]
    pub fn event(&self) -> Option<&Event> {
        match self {
            Self::Event(envelope) => Some(&envelope.event),
            _ => None,
        }
    }

    /// The texts that it names.
    pub fn contents(&self) -> impl Iterator<Item = Hash> + '_ {
        let (one, more) = match self {
            Self::Changed(changed) => match &changed.base {
                Base::Whole(hash) => (Some(*hash), [].as_slice()),
                Base::Since(_) => (None, [].as_slice()),
            },
            Self::Proposed(proposed) => (Some(proposed.base), [].as_slice()),
            Self::Checkpoint(checkpoint) => (None, checkpoint.proposed.as_slice()),
            _ => (None, [].as_slice()),
        };
        one.into_iter().chain(more.iter().map(|proposed| proposed.base))
    }
}

/// What a run really started from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prepared {
    /// Which run.
    pub run: RunId,
    /// The system prompt, rendered: with the session's first run, and when the session gets another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Arc<str>>,
    /// `TABLE/MODEL`.
    pub model: String,
    /// Tokens that the model can take in, when known.
    pub context_limit: Option<u64>,
    /// The most that an answer may hold, in tokens, when set.
    pub max_output: Option<u64>,
    /// Turns that the run may take.
    pub max_turns: u32,
    /// The most that one tool result may hold, in bytes.
    pub tool_output_bytes: usize,
    /// How much it may do unasked.
    pub mode: Mode,
    /// The names of the tools on offer, sorted.
    pub tools: Vec<String>,
    /// The rules files that the model has been given so far.
    pub rules: Vec<Rules>,
    /// What system prompt and tool schemas come to, in tokens, by estimate.
    pub fixed_tokens: u64,
}

/// A rules file that the model was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// As the model knows it: relative to the workspace.
    pub path: String,
    /// Of what it held.
    pub hash: Hash,
}

/// A change that a run has made in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The run.
    pub run: RunId,
    /// The document, as the client spells it.
    pub uri: String,
    /// The real path of its file; none for a buffer that has no file.
    pub path: Option<std::path::PathBuf>,
    /// As the person knows it.
    pub shown: String,
    /// Whether the run made the file.
    pub created: bool,
    /// Set when the run took the file away: what it takes to put it back, besides its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    /// Set when the run gave the file another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<Moved>,
    /// The text before the change.
    pub base: Base,
    /// What was changed in it: ranges of the text before, in order, with what stands there now.
    pub change: Vec<Back>,
}

/// A file that a run took away, besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gone {
    /// Its permissions, when they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Whether it began with a byte order mark.
    pub bom: bool,
    /// In what its text was kept, by name; UTF-8 without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charset: Option<String>,
}

/// Where a run moved a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// As the client spells it.
    pub uri: String,
    /// The real path.
    pub path: std::path::PathBuf,
    /// As the person knows it.
    pub shown: String,
}

/// The text that a change was made in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Base {
    /// All of it, by its hash among the contents.
    Whole(Hash),
    /// The text after the same run's change before in this document, with what the person did since.
    Since(Vec<Back>),
}

/// A piece of a text that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Back {
    /// The hunk's id in the run; empty for what the person did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hunk: String,
    /// Bytes of the text before: where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What stands there now.
    pub new: String,
}

/// The person took back what a run had changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The run.
    pub run: RunId,
    /// The documents, as the records of the run's changes spell them.
    pub uris: Vec<String>,
    /// Those that have the name again that they had before the run, and nothing else as it was; spelled as they were by then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
}

/// Everything that a run proposes in one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The run.
    pub run: RunId,
    /// The document, as the client spells it.
    pub uri: String,
    /// The real path of its file; none for a buffer that has no file.
    pub path: Option<std::path::PathBuf>,
    /// As the person knows it.
    pub shown: String,
    /// What is done with it.
    pub operation: Operation,
    /// The text that the hunks stand in, by its hash among the contents; of a file to be made the empty one.
    pub base: Hash,
    /// The places that wait for the person; none when nothing waits any more.
    pub hunks: Vec<Back>,
}

impl Proposed {
    /// Whether nothing waits any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hunks.is_empty() && !matches!(self.operation, Operation::Rename { .. })
    }
}

/// What a proposal does with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Changes its text.
    #[default]
    Edit,
    /// Makes it.
    Create,
    /// Takes it away.
    Delete,
    /// Gives it another name.
    Rename {
        /// The id that this goes by.
        hunk: String,
        /// The real path that it shall have.
        path: std::path::PathBuf,
        /// The same, as the person knows it.
        shown: String,
    },
}

/// What became of hunks of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The run.
    pub run: RunId,
    /// The document, as the client spells it.
    pub uri: String,
    /// As the person knows it.
    #[serde(default)]
    pub shown: String,
    /// Their ids.
    pub hunks: Vec<String>,
    /// What.
    pub verdict: Verdict,
}

/// What became of a hunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It was proposed, the person took it, and the document holds it.
    Accepted,
    /// It was applied, and the person says that it stays.
    Kept,
    /// It was proposed, and the person refused it.
    Refused,
    /// It was applied, and the person took it back.
    TakenBack,
    /// It was proposed, and what was typed since left no place for it.
    Void,
}

/// What the model is shown of large results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previewed {
    /// How far previews reach.
    pub previews: Previews,
    /// Results over so many tokens are previews before that.
    pub limit: u64,
}

/// What all requests of a session came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Their tokens.
    pub usage: Usage,
    /// How many there were.
    pub requests: u64,
    /// Their tokens by who was asked.
    #[serde(default)]
    pub by_model: BTreeMap<String, Usage>,
}

/// A compaction, as it is kept. The records that it is about stay where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Compacted {
    /// Why: `soft`, `hard`, `overflow`, `command`.
    pub why: String,
    /// The newest record whose entry the summary stands for; those before it and not before the boundary of the compaction before
    /// are the others.
    pub through: u64,
    /// Tokens before.
    pub before: u64,
    /// Tokens after.
    pub after: u64,
}

/// Everything that a restore needs of what stands before.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Checkpoint {
    /// Why it was made: `cleared`, `compacted`, or `kept`, which changes nothing and spares a restore the records before it.
    pub reason: String,
    /// The system prompt.
    pub system: Option<Arc<str>>,
    /// The tools that the system prompt tells of.
    pub tools: Vec<String>,
    /// The rules files that the model has been given.
    pub rules: Vec<Rules>,
    /// The history from here on.
    pub items: Vec<Arc<Item>>,
    /// What all requests cost together.
    pub usage: Usage,
    /// Requests so far.
    pub requests: u64,
    /// Their tokens by who was asked.
    pub by_model: BTreeMap<String, Usage>,
    /// The model of the newest run.
    pub model: Option<String>,
    /// What the first of the items says, when what stands before was compacted.
    pub summary: Option<Arc<Summary>>,
    /// The records that hold the items, in their order; 0 for the summary's note, which is in none.
    pub numbers: Vec<u64>,
    /// What of the items is shown as previews.
    pub previewed: Previewed,
    /// Set when this is a compaction.
    pub compacted: Option<Compacted>,
    /// How full the context is.
    pub context: Option<ContextUse>,
    /// What that is reckoned from.
    pub accounting: Accounting,
    /// Events of the session's own that were told so far.
    pub told: u64,
    /// What waits for the person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proposed: Vec<Proposed>,
}
