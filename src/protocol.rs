//! The words everyone uses: ids, run states, events and snapshots, as `docs/protocol.md` spells them.
//!
//! Nothing else of the crate is known here. Field names and shapes are what clients are built against.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: UUIDv7, so ids sort by the time they were made.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a fresh id is not a default value")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// One run: a prompt, the turns that answered it, and how it ended.
    RunId
}
id! {
    /// One session: the history that runs share.
    SessionId
}

/// Milliseconds since 1970, UTC.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A moment as a person reads it anywhere in the world: `2026-11-21 07:11:04`, UTC. The first ten characters are the date.
#[must_use]
pub fn utc(at_ms: u64) -> String {
    // The end of the year 9999, the last that is written in four digits.
    const LAST: u64 = 253_402_300_799_000;
    let at = UNIX_EPOCH + Duration::from_millis(at_ms.min(LAST));
    // `Sun, 06 Nov 1994 08:49:37 GMT`
    let text = httpdate::fmt_http_date(at);
    let mut words = text.split(' ').skip(1);
    let mut next = || words.next().unwrap_or_default();
    let (day, month, year, time) = (next(), next(), next(), next());
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month).map_or(0, |index| index + 1);
    format!("{year}-{month:02}-{day} {time}")
}

/// A place in a document. `line` counts from 0; `character` counts code units of the encoding that the client and the
/// server agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The line, from 0.
    pub line: u32,
    /// Code units from the line's beginning.
    pub character: u32,
}

/// From `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    /// Where it begins.
    pub start: Position,
    /// Where it ends; the character there is not part of it.
    pub end: Position,
}

/// How much a run may do unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Reads only.
    Plan,
    /// Every edit is a proposal.
    Ask,
    /// Edits inside the workspace go ahead.
    #[default]
    Edit,
    /// Commands in the sandbox go ahead too.
    Auto,
}

impl Mode {
    /// The words that name the modes, for error texts.
    pub const WORDS: &str = "plan, ask, edit, auto";
}

/// Where a run stands. The last five are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// Waits for its turn in the session's queue.
    Created,
    /// Works through a step list that is not finished.
    Planning,
    /// Talks with the model or runs tools.
    Executing,
    /// Runs the verify commands.
    Verifying,
    /// Answered.
    Completed,
    /// Could not go on; the error says why.
    Failed,
    /// Stopped by a person.
    Cancelled,
    /// Reached `max_turns`; can be continued.
    LimitReached,
    /// Its process died while it ran.
    Interrupted,
}

impl RunStatus {
    /// Nothing moves a run out of a final state.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled | Self::LimitReached | Self::Interrupted)
    }

    /// The one transition function: what `self` becomes when `next` is asked for, or `None` when that may not be.
    #[must_use]
    pub fn to(self, next: Self) -> Option<Self> {
        use RunStatus::{Created, Executing, Planning, Verifying};
        let allowed = match (self, next) {
            (from, _) if from.is_final() => false,
            (_, to) if to.is_final() => true,
            (Created, Executing) => true,
            (Executing, Planning | Verifying) => true,
            (Planning, Executing | Verifying) => true,
            (Verifying, Executing) => true,
            _ => false,
        };
        allowed.then_some(next)
    }
}

/// What one request cost, or several together. `None` is "not known", never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Input tokens that did not come from a cache.
    pub input: Option<u64>,
    /// Output tokens, reasoning included.
    pub output: Option<u64>,
    /// Input tokens read from the provider's cache.
    pub cache_read: Option<u64>,
    /// Input tokens written to the provider's cache.
    pub cache_write: Option<u64>,
}

impl Usage {
    /// Everything the model was sent, in tokens; `None` while the provider has not said.
    #[must_use]
    pub fn sent(&self) -> Option<u64> {
        self.input.map(|input| input + self.cache_read.unwrap_or(0) + self.cache_write.unwrap_or(0))
    }

    /// Of everything that was sent, the share that the provider read from its cache; `None` while it says nothing of one.
    #[must_use]
    pub fn cached_share(&self) -> Option<f64> {
        let (read, sent) = (self.cache_read?, self.sent()?);
        (sent > 0).then(|| read as f64 / sent as f64)
    }

    /// Adds what another request cost; an unknown stays unknown only while both are.
    pub fn add(&mut self, other: &Self) {
        fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
            match (a, b) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
            }
        }
        self.input = sum(self.input, other.input);
        self.output = sum(self.output, other.output);
        self.cache_read = sum(self.cache_read, other.cache_read);
        self.cache_write = sum(self.cache_write, other.cache_write);
    }
}

/// How full the model's context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextUse {
    /// Tokens in use.
    pub used: u64,
    /// Tokens the model can take in; `None` while nobody has said.
    pub limit: Option<u64>,
    /// Where `used` comes from.
    pub source: ContextSource,
}

/// Where a token figure comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContextSource {
    /// The provider counted it.
    Measured,
    /// The provider counted most of it; what came after is estimated.
    Extended,
    /// All of it is estimated.
    #[default]
    Estimated,
}

/// What became of a file besides its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "camelCase")]
pub enum FileStep {
    /// It is gone.
    Delete,
    /// It has another name.
    Rename {
        /// Its URI now.
        to: String,
    },
}

/// One changed place of an edit. Ids are unique in the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HunkView {
    /// The id that `cowrite.accept` and `cowrite.reject` take.
    pub id: String,
    /// Where `new_text` stands now.
    pub range: Range,
    /// What stood there before.
    pub old_text: String,
    /// What stands there now.
    pub new_text: String,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What is to be done.
    pub title: String,
    /// Whether it is done.
    pub done: bool,
}

/// What happened, as the client is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// The run left the queue.
    RunStarted {
        /// What the person typed; the command's title when nothing was.
        prompt: String,
        /// The command's name, when one was used.
        #[serde(skip_serializing_if = "Option::is_none")]
        command: Option<String>,
    },
    /// The step list is new or has moved on.
    Planning {
        /// All steps.
        steps: Vec<PlanStep>,
    },
    /// A request to the model begins.
    TurnStarted {
        /// From 1 in each run.
        turn: u32,
    },
    /// The turn's deltas are void.
    TurnDiscarded {
        /// Which turn.
        turn: u32,
        /// Why.
        reason: String,
    },
    /// A piece of the model's answer.
    TextDelta {
        /// The piece.
        text: String,
    },
    /// A piece of the model's reasoning.
    ReasoningDelta {
        /// The piece.
        text: String,
    },
    /// A piece of what a call will put into a file, while the model is still writing the call.
    EditDelta {
        /// The file, as the model names it, once it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Which call of the turn, from 1.
        call: u32,
        /// Which text of that call, from 1.
        edit: u32,
        /// The piece.
        text: String,
    },
    /// A tool begins.
    ToolStarted {
        /// The call's id, unique in the session.
        call_id: String,
        /// The tool's name.
        name: String,
        /// What a person reads.
        title: String,
        /// The arguments, as the model gave them.
        input: serde_json::Value,
    },
    /// A piece of a tool's output.
    ToolOutput {
        /// Whose.
        call_id: String,
        /// The piece.
        text: String,
    },
    /// A tool ended.
    ToolFinished {
        /// Which call.
        call_id: String,
        /// Whether it did what was asked.
        ok: bool,
        /// What a person reads.
        title: String,
        /// What came of it, in a line.
        summary: String,
    },
    /// An edit waits for a person.
    EditProposed {
        /// The document.
        uri: String,
        /// Its changed places; where they belong in the text as it is.
        hunks: Vec<HunkView>,
        /// Hunks proposed before that these stand for now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaces: Vec<String>,
        /// `create`, `delete` or `rename`; absent for a change of its text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operation: Option<String>,
        /// The new name of a document that is renamed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// The buffer holds the edit.
    EditApplied {
        /// The document.
        uri: String,
        /// Its changed places.
        hunks: Vec<HunkView>,
        /// Whether it was moved over what the person typed since.
        rebased: bool,
        /// The editor confirmed it only after the time limit.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
        /// What became of the file, when it is not where it was.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        file: Option<FileStep>,
    },
    /// An edit did not reach the document.
    EditRejected {
        /// The document.
        uri: String,
        /// Its places.
        hunks: Vec<HunkView>,
        /// Why.
        reason: String,
    },
    /// A person is asked.
    ApprovalRequested {
        /// What `cowrite.approve` and `cowrite.deny` take.
        approval_id: String,
        /// The question in a line.
        title: String,
        /// What exactly would be done.
        detail: String,
    },
    /// A question is answered.
    ApprovalResolved {
        /// Which.
        approval_id: String,
        /// `approved`, `denied`, `expired` or `cancelled`.
        decision: String,
    },
    /// What the last request cost.
    Usage {
        /// The figures.
        #[serde(flatten)]
        usage: Usage,
        /// How full the context is after it.
        context: ContextUse,
        /// Entries of the history that were sent.
        #[serde(default, skip_serializing_if = "is_zero")]
        items: u64,
        /// Set when it was no turn.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        aside: Option<Box<Aside>>,
    },
    /// A request failed and is tried again.
    Retrying {
        /// From 1, at most 5.
        attempt: u32,
        /// How long until then.
        delay_ms: u64,
        /// What a person reads.
        reason: String,
    },
    /// A compaction began.
    CompactionStarted {
        /// Why.
        reason: String,
        /// Tokens in use.
        used: u64,
        /// Tokens the model takes in.
        limit: Option<u64>,
    },
    /// A compaction ended.
    CompactionFinished {
        /// Tokens before.
        before: u64,
        /// Tokens after.
        after: u64,
        /// Turns that the summary now stands for.
        turns_compacted: u64,
        /// Turns that stay as they are.
        turns_kept: u64,
        /// Why it did not happen.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What the person should know of it beside the figures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        notice: Option<String>,
    },
    /// A verify command began.
    Verifying {
        /// The command.
        command: String,
    },
    /// A verify command ended.
    Verified {
        /// The command.
        command: String,
        /// Whether it succeeded.
        ok: bool,
        /// What came of it.
        summary: String,
    },
    /// The session went on as a fork.
    SessionForked {
        /// Where it comes from.
        parent: SessionId,
    },
    /// The last event of a run.
    RunFinished {
        /// A final state.
        status: RunStatus,
        /// The answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        result_text: Option<String>,
        /// Why it ended otherwise.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
}

/// A request beside the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// What it was for: `summary`.
    pub purpose: String,
    /// Who was asked, as `TABLE/MODEL`.
    pub model: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Event {
    /// What a request of the run itself has cost.
    #[must_use]
    pub fn cost(usage: Usage, context: ContextUse, items: u64) -> Self {
        Self::Usage { usage, context, items, aside: None }
    }

    /// Takes `next` into `self` when both are pieces of the same stream; gives it back otherwise.
    ///
    /// # Errors
    /// `next` itself, when the two do not belong together.
    pub fn merge(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (Self::TextDelta { text }, Self::TextDelta { text: more })
            | (Self::ReasoningDelta { text }, Self::ReasoningDelta { text: more }) => text.push_str(&more),
            (Self::ToolOutput { call_id, text }, Self::ToolOutput { call_id: same, text: more })
                if *call_id == same =>
            {
                text.push_str(&more);
            }
            (
                Self::EditDelta { call, edit, text, .. },
                Self::EditDelta { call: same_call, edit: same_edit, text: more, .. },
            ) if (*call, *edit) == (same_call, same_edit) => text.push_str(&more),
            (_, next) => return Err(next),
        }
        Ok(())
    }

    /// Whether this is a piece of a stream, which may be merged with its neighbours while nobody was told of it.
    #[must_use]
    pub fn is_delta(&self) -> bool {
        use Event::{EditDelta, ReasoningDelta, TextDelta, ToolOutput};
        matches!(self, TextDelta { .. } | ReasoningDelta { .. } | EditDelta { .. } | ToolOutput { .. })
    }
}

/// An event with its place in its series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The run, or none for events of the session itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The session.
    pub session_id: SessionId,
    /// From 1 in each run, without a gap or a repeat.
    pub sequence: u64,
    /// The number of the first delta that stands in this stored event; absent when it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// When it happened.
    pub timestamp_ms: u64,
    /// What happened.
    pub event: Event,
}

/// How many places of a document a run has edited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditCount {
    /// The document.
    pub uri: String,
    /// Applied hunks.
    pub hunks: u32,
}

/// A run as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSnapshot {
    /// The run.
    pub id: RunId,
    /// Its session.
    pub session_id: SessionId,
    /// Where it stands.
    pub status: RunStatus,
    /// What the person typed.
    pub prompt: String,
    /// When it was asked for.
    pub created_at_ms: u64,
    /// When it last moved.
    pub updated_at_ms: u64,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_text: Option<String>,
    /// Why it ended otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// All events so far, trimmed ones included.
    pub event_count: u64,
    /// What its requests cost together.
    pub usage: Usage,
    /// The documents it edited.
    pub edits: Vec<EditCount>,
    /// What the verify commands said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [RunStatus; 9] = [
        RunStatus::Created,
        RunStatus::Planning,
        RunStatus::Executing,
        RunStatus::Verifying,
        RunStatus::Completed,
        RunStatus::Failed,
        RunStatus::Cancelled,
        RunStatus::LimitReached,
        RunStatus::Interrupted,
    ];

    #[test]
    fn a_moment_is_written_with_its_date_first() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(1_795_245_064_999), "2026-11-21 07:11:04");
        assert_eq!(utc(1_709_164_800_000), "2024-02-29 00:00:00");
        assert_eq!(utc(u64::MAX), "9999-12-31 23:59:59");
    }

    #[test]
    fn r1_final_states_are_final() {
        for from in ALL.into_iter().filter(|status| status.is_final()) {
            for to in ALL {
                assert_eq!(from.to(to), None, "{from:?} must not become {to:?}");
            }
        }
    }

    #[test]
    fn every_live_state_can_be_cancelled_and_can_fail() {
        for from in ALL.into_iter().filter(|status| !status.is_final()) {
            assert_eq!(from.to(RunStatus::Cancelled), Some(RunStatus::Cancelled));
            assert_eq!(from.to(RunStatus::Failed), Some(RunStatus::Failed));
            assert_eq!(from.to(RunStatus::Created), None);
        }
    }

    #[test]
    fn events_have_the_names_and_shapes_of_the_protocol() {
        let usage = Event::Usage {
            usage: Usage { input: Some(5), ..Usage::default() },
            context: ContextUse { used: 7, limit: None, source: ContextSource::Extended },
            items: 0,
            aside: None,
        };
        let event = Event::ToolFinished { call_id: "c".into(), ok: true, title: "t".into(), summary: "s".into() };
        assert_eq!(
            serde_json::to_string(&[usage, event]).expect("events are JSON"),
            concat!(
                r#"[{"type":"usage","input":5,"output":null,"cacheRead":null,"cacheWrite":null,"#,
                r#""context":{"used":7,"limit":null,"source":"extended"}},"#,
                r#"{"type":"toolFinished","callId":"c","ok":true,"title":"t","summary":"s"}]"#
            )
        );
    }

    #[test]
    fn only_deltas_of_one_stream_merge() {
        let mut text = Event::TextDelta { text: "a".into() };
        assert!(text.merge(Event::TextDelta { text: "b".into() }).is_ok());
        assert_eq!(text, Event::TextDelta { text: "ab".into() });
        assert!(text.merge(Event::ReasoningDelta { text: "c".into() }).is_err());
        let mut output = Event::ToolOutput { call_id: "1".into(), text: "a".into() };
        assert!(output.merge(Event::ToolOutput { call_id: "2".into(), text: "b".into() }).is_err());
    }
}
