//! One run: a prompt in, history and an outcome out. LSP and the database are unknown here.

mod calls;
mod hooking;
mod passing;
mod problems;
mod prompt;
mod room;
mod turn;
mod verifying;
mod writing;

pub use hooking::before_summary;
pub use prompt::{Scope, system_prompt};

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::context::recall::Recall;
use crate::context::{Compactor, Outcome, Previews, Window};
use crate::editor::{Applied, Editor, Place};
use crate::hooks::Hooks;
use crate::model::{Item, Provider};
use crate::permission::{Gate, Question, Reply, Roots};
use crate::protocol::{ContextUse, Event, HunkView, Mode, PlanStep, RunId, RunStatus};
use crate::settings::{CompactionSettings, Limits};
use crate::tool::{self, Commands, Reads, Registry, Told};

/// What a run works with, made when it leaves the queue.
pub struct Setup {
    /// The model.
    pub provider: Arc<dyn Provider>,
    /// The tools on offer.
    pub tools: Registry,
    /// The system prompt, rendered.
    pub system: Arc<str>,
    /// What the model is asked: the rendered command, or what the person typed.
    pub prompt: String,
    /// The person's own words, where the prompt is more than those.
    pub typed: Option<String>,
    /// The editor.
    pub editor: Arc<dyn Editor>,
    /// The workspace.
    pub roots: Roots,
    /// What the model has seen of which document.
    pub reads: Arc<Reads>,
    /// Caps.
    pub limits: Limits,
    /// How much it may do unasked.
    pub mode: Mode,
    /// Tokens that an answer may take of what the model can hold.
    pub max_output: u64,
    /// When and how the context is compacted.
    pub compaction: CompactionSettings,
    /// Who summarises.
    pub summariser: Arc<dyn Provider>,
    /// The rules files that the model has been given, by path.
    pub rules: Vec<String>,
    /// Names the conversation to the provider's prompt cache.
    pub conversation: Arc<str>,
    /// Searches what the session has recorded.
    pub recall: Arc<dyn Recall>,
    /// Decides what goes ahead, what is asked for and what is denied.
    pub gate: Gate,
    /// What commands are held to.
    pub commands: Arc<Commands>,
    /// What the run's edits are checked with, in order.
    pub verify: Vec<String>,
    /// Who hears of what the run does, and may stop it.
    pub hooks: Arc<Hooks>,
    /// What is waited for before the process ends: calls that their run has left behind.
    pub tasks: TaskTracker,
}

impl Setup {
    /// Tokens that the model can take in, when known. An overflow may have taught another figure since the last look.
    #[must_use]
    pub fn context_limit(&self) -> Option<u64> {
        context_limit(self.provider.as_ref(), self.max_output)
    }
}

/// Tokens that a model can take in, when known: what its answer may take is not among them.
#[must_use]
pub fn context_limit(provider: &dyn Provider, max_output: u64) -> Option<u64> {
    // Whatever is known of the answer, half of it all is left for what is asked.
    provider.context().map(|all| all - max_output.min(all / 2))
}

/// Who keeps what a run does, before anyone is told. Implemented by the session.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Keeps an entry of the history.
    ///
    /// # Errors
    /// A sentence for the person: the run must stop.
    async fn item(&self, item: Arc<Item>) -> Result<(), String>;

    /// Keeps and tells that a call begins: from here on nobody knows what it did, until its end is told.
    ///
    /// # Errors
    /// A sentence for the person: the call must not be made.
    async fn intent(&self, started: Event) -> Result<(), String>;

    /// Keeps what an edit changed, with what takes it back, and tells it. `hunks` are those of the edit, numbered.
    ///
    /// # Errors
    /// A sentence for the person: the run must stop.
    async fn landed(&self, place: &Place, applied: &Applied, hunks: Vec<HunkView>, late: bool) -> Result<(), String>;

    /// Keeps what has come of a summary, and tells it; with the history as it is shown from then on, when it is another one. Does
    /// not wait until that is kept.
    ///
    /// # Errors
    /// A sentence for the person: the run must stop.
    async fn compacted(&self, outcome: Outcome) -> Result<Option<Window>, String>;

    /// Keeps that the provider refused the history as longer than `limit` tokens. Never waits.
    fn exceeded(&self, limit: u64);

    /// Keeps that previews of results over `limit` tokens reach further. Never waits.
    fn previewed(&self, previews: Previews, limit: u64);

    /// Asks the person, and waits for the answer, at most as long as a question stands. What was asked and what came of it is
    /// told; the question is withdrawn when this is dropped.
    async fn ask(&self, _question: Question) -> Reply {
        Reply::Denied
    }

    /// Tells what happens. Never waits.
    fn event(&self, event: Event);

    /// Ends a block: the deltas before and behind it are not of one piece.
    fn block_ended(&self);

    /// Something that the model must hear before its next turn, in this run or a later one.
    fn note(&self, note: String);

    /// A sentence for the person that outlasts the run. Never waits.
    fn say(&self, _sentence: String) {}

    /// What has been noted since the last call.
    fn take_notes(&self) -> Vec<String>;
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// A final state.
    pub status: RunStatus,
    /// The model's last words.
    pub result_text: Option<String>,
    /// A sentence for the person, with the next step.
    pub error: Option<String>,
}

impl Ended {
    pub(crate) fn failed(error: impl Into<String>) -> Self {
        Self { status: RunStatus::Failed, result_text: None, error: Some(error.into()) }
    }

    pub(crate) fn cancelled(result_text: Option<String>) -> Self {
        Self { status: RunStatus::Cancelled, result_text, error: None }
    }
}

/// A run under way.
pub struct Agent {
    run: RunId,
    setup: Setup,
    window: Window,
    /// Entries that the newest request held.
    sent: u64,
    /// Whether the summary that is under way is this run's.
    summarising: bool,
    compactor: Arc<Compactor>,
    journal: Arc<dyn Journal>,
    cancel: CancellationToken,
    tools: Arc<tool::Context>,
    /// Edits that have landed.
    edits: Arc<AtomicU32>,
}

impl Agent {
    /// A run that goes on from a history in which every call has its result. `compactor` is the session's one.
    #[must_use]
    pub fn new(
        run: RunId,
        setup: Setup,
        window: Window,
        compactor: Arc<Compactor>,
        journal: Arc<dyn Journal>,
        cancel: CancellationToken,
    ) -> Self {
        let edits = Arc::<AtomicU32>::default();
        let told = Arc::new(Teller { run, journal: journal.clone(), hunks: Arc::default(), edits: edits.clone() });
        let tools = Arc::new(tool::Context {
            editor: setup.editor.clone(),
            roots: setup.roots.clone(),
            reads: setup.reads.clone(),
            limits: setup.limits.clone(),
            mode: setup.mode,
            cancel: cancel.clone(),
            told,
            recall: setup.recall.clone(),
            call: String::new(),
            commands: setup.commands.clone(),
        });
        Self { run, setup, window, sent: 0, summarising: false, compactor, journal, cancel, tools, edits }
    }

    /// How full the context is.
    #[must_use]
    pub fn context(&self) -> ContextUse {
        self.window.used(self.setup.context_limit())
    }
}

/// Turns what tools tell into events, and gives hunks their ids.
#[derive(Clone)]
struct Teller {
    run: RunId,
    journal: Arc<dyn Journal>,
    hunks: Arc<AtomicU32>,
    edits: Arc<AtomicU32>,
}

impl Teller {
    fn number(&self, hunks: &[HunkView]) -> Vec<HunkView> {
        hunks
            .iter()
            .map(|hunk| HunkView { id: format!("h{}", self.hunks.fetch_add(1, Ordering::Relaxed) + 1), ..hunk.clone() })
            .collect()
    }

    async fn tell_applied(&self, place: &Place, applied: &Applied, late: bool) {
        self.edits.fetch_add(1, Ordering::Relaxed);
        let hunks = self.number(&applied.hunks);
        if let Err(error) = self.journal.landed(place, applied, hunks, late).await {
            // The session is stopped by whoever could not keep it; the run hears of it with its next step.
            tracing::error!(run = %self.run, %place, error, "an edit landed and could not be recorded");
        }
    }
}

#[async_trait]
impl Told for Teller {
    async fn applied(&self, place: &Place, applied: &Applied, late: bool) {
        self.tell_applied(place, applied, late).await;
    }

    async fn rejected(&self, uri: String, hunks: Vec<HunkView>, reason: String) {
        let hunks = self.number(&hunks);
        self.journal.event(Event::EditRejected { uri, hunks, reason });
    }

    fn output(&self, call: &str, text: String) {
        self.journal.event(Event::ToolOutput { call_id: call.to_owned(), text });
    }

    fn planned(&self, steps: Vec<PlanStep>) {
        self.journal.event(Event::Planning { steps });
    }

    async fn ask(&self, question: Question) -> Reply {
        self.journal.ask(question).await
    }

    fn say(&self, sentence: String) {
        self.journal.say(sentence);
    }

    fn note(&self, note: String) {
        self.journal.note(note);
    }

    fn maybe_late(&self, place: Place, late: oneshot::Receiver<Applied>) {
        let teller = self.clone();
        // Ends when the editor port gives up watching, which is bounded in time.
        tokio::spawn(async move {
            if let Ok(applied) = late.await {
                tracing::info!(run = %teller.run, %place, "an edit landed late");
                teller.tell_applied(&place, &applied, true).await;
                teller.journal.note(format!(
                    "The edit of {place} that was not confirmed in time has landed after all. Read the file before you change it again."
                ));
            }
        });
    }
}
