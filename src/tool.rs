//! Tools: what a model can call. One file each; providers and LSP are unknown here.
//!
//! To add one: write its file (and its `mod` line here), and add it to the list in [`Registry::all`].

mod ask;
mod delete;
mod diagnostics;
mod edit;
mod fetch;
mod find;
mod glob;
mod held;
mod landing;
mod lines;
mod list;
mod r#move;
mod output;
mod patch;
mod plan;
mod read;
mod reads;
mod recall;
mod registry;
mod run;
mod schema;
mod search;
#[cfg(test)]
pub(crate) mod testing;
mod walk;
mod write;

pub use diagnostics::new_problems;
pub use held::{Held, hold};
pub use output::{cap, line, plain};
pub use reads::Reads;
pub use registry::{Door, Registry};

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::context::recall::Recall;
use crate::editor::{Applied, Editor};
use crate::permission::{Access, Denied, Question, Reply, Roots, Want};
use crate::protocol::{HunkView, Mode, PlanStep};
use crate::settings::Limits;

/// What a tool is given to work with.
#[derive(Clone)]
pub struct Context {
    /// The call that it works for.
    pub call: String,
    /// The editor.
    pub editor: Arc<dyn Editor>,
    /// The workspace.
    pub roots: Roots,
    /// What the model has seen of which document.
    pub reads: Arc<Reads>,
    /// Caps.
    pub limits: Limits,
    /// How much the run may do unasked.
    pub mode: Mode,
    /// Set when the person stops the run.
    pub cancel: CancellationToken,
    /// Where edits and output are told.
    pub told: Arc<dyn Told>,
    /// Searches what the session has recorded.
    pub recall: Arc<dyn Recall>,
    /// What commands are held to.
    pub commands: Arc<Commands>,
}

/// What commands are held to that a run starts.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    /// Whether they reach the network.
    pub network: bool,
    /// The variables that they get.
    pub env: Vec<(OsString, OsString)>,
    /// What they must not see.
    pub hidden: Vec<PathBuf>,
}

/// Who hears of what a tool does while it does it.
#[async_trait]
pub trait Told: Send + Sync {
    /// An edit has landed; gives its hunks their ids. Returns when that is kept.
    async fn applied(&self, place: &crate::editor::Place, applied: &Applied, late: bool);
    /// An edit has not landed.
    async fn rejected(&self, uri: String, hunks: Vec<HunkView>, reason: String);
    /// An edit was not confirmed in time and may still land.
    fn maybe_late(&self, place: crate::editor::Place, late: tokio::sync::oneshot::Receiver<Applied>);
    /// A piece of what a call prints. Never waits.
    fn output(&self, _call: &str, _text: String) {}
    /// The step list is new or has moved on. Never waits.
    fn planned(&self, _steps: Vec<PlanStep>) {}
    /// Asks the person, and waits for the answer; the question is withdrawn when this is dropped.
    async fn ask(&self, _question: Question) -> Reply {
        Reply::Denied
    }
    /// A sentence for the person, whether the run goes on or not. Never waits.
    fn say(&self, _sentence: String) {}
    /// Something that the model must hear before its next turn, in whichever run that is. Never waits.
    fn note(&self, _note: String) {}
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it did what was asked.
    pub ok: bool,
    /// What the model reads.
    pub content: String,
    /// What the person reads, in a line.
    pub summary: String,
    /// Whether it never came to an end of its own, because it was refused, denied or stopped; a command that ran and failed did.
    pub undone: bool,
}

/// A tool that did not do what was asked: an answer that the model can act on. A command that ran to its end and failed is no such
/// failure, but an [`Answer`] that says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self(denied.to_string())
    }
}

/// A tool, as its file writes it.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// Its arguments. Doc comments on the fields become the schema's descriptions.
    type Input: DeserializeOwned + JsonSchema + Send;

    /// Its name.
    const NAME: &'static str;
    /// What it does and when to use it, for the model.
    const DESCRIPTION: &'static str;
    /// Whether it changes anything. Reads run side by side, changes one after another.
    const ACCESS: Access;

    /// What a person reads while it works: "Read src/lib.rs".
    fn title(&self, input: &Self::Input) -> String;

    /// What it would touch, so that it can be let through, asked for or denied before it begins.
    fn wants(&self, input: &Self::Input) -> Vec<Want>;

    /// Does it. Called with arguments that fit the schema.
    ///
    /// # Errors
    /// An answer for the model.
    async fn call(&self, input: Self::Input, context: &Context) -> Result<Answer, Failure>;
}
