//! Hooks: programs of the person's own that hear of what a run does and may stop it.
//!
//! Each gets a JSON object on its standard input and has ten seconds. Status 0 lets it go on, and what it printed is for the model:
//! text, or a JSON object with `text`. Status 2 stops it, and what it printed on its standard error is the reason. Everything else
//! is a fault: it is told to the person, and before something it does not pass for a yes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{self, End, Job};
use crate::settings;

/// How long a hook may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The most that a hook's words take.
const WORDS: usize = 16 * 1024;
/// The status that stops it.
const STOPS: i32 = 2;

/// Who is told what is wrong with a hook, in a sentence.
pub type Say = Arc<dyn Fn(String) + Send + Sync>;

/// The hooks of a workspace.
#[derive(Clone, Default)]
pub struct Hooks {
    programs: settings::Hooks,
    workspace: String,
    /// Where they are started.
    folder: PathBuf,
    /// All of their environment.
    env: Vec<(OsString, OsString)>,
    say: Option<Say>,
    /// What the person has been told. A std mutex: held for a look-up, never across an await.
    told: Arc<Mutex<HashSet<String>>>,
}

/// A moment that hooks hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before a prompt enters the conversation.
    PromptSubmit,
    /// Before each request to the model.
    BeforeRequest,
    /// Before each call of a tool.
    BeforeTool,
    /// After each call of a tool.
    AfterTool,
    /// After each answer of the model, its calls done.
    TurnEnd,
    /// When a run was stopped by the person.
    Cancelled,
    /// Before the beginning of the conversation is summarised.
    BeforeCompaction,
}

impl Moment {
    /// As settings and hooks call it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PromptSubmit => "prompt_submit",
            Self::BeforeRequest => "before_request",
            Self::BeforeTool => "before_tool",
            Self::AfterTool => "after_tool",
            Self::TurnEnd => "turn_end",
            Self::Cancelled => "cancelled",
            Self::BeforeCompaction => "before_compaction",
        }
    }

    /// Whether something waits for the hooks' yes.
    fn waits(self) -> bool {
        matches!(self, Self::PromptSubmit | Self::BeforeRequest | Self::BeforeTool | Self::BeforeCompaction)
    }
}

/// What the hooks of a moment say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Why it must not go on: the first that says so wins, and one that fails or hangs does not pass for a yes.
    pub blocked: Option<String>,
    /// What the model shall hear, or the summary that takes a compaction's place.
    pub text: Option<String>,
    /// What went wrong with hooks. The person has been told.
    pub faults: Vec<String>,
}

impl Hooks {
    /// Those of the settings, for a workspace, started in a folder with an environment. What is wrong with them is told to the person once.
    #[must_use]
    pub fn new(
        programs: settings::Hooks,
        workspace: String,
        (folder, env): (PathBuf, Vec<(OsString, OsString)>),
        say: Option<Say>,
    ) -> Self {
        Self { programs, workspace, folder, env, say, told: Arc::default() }
    }

    /// Whether nobody hears of a moment.
    #[must_use]
    pub fn is_silent(&self, moment: Moment) -> bool {
        self.of(moment).is_empty()
    }

    /// Tells the hooks of a moment, in order. What they get is `what` with the moment and the workspace. Who drops this ends the hook
    /// that is under way.
    pub async fn tell(&self, moment: Moment, mut what: Value) -> Said {
        let mut said = Said::default();
        if self.is_silent(moment) {
            return said;
        }
        if let Some(fields) = what.as_object_mut() {
            fields.insert("moment".into(), moment.word().into());
            fields.insert("workspace".into(), self.workspace.clone().into());
        }
        let mut texts = Vec::new();
        for program in self.of(moment) {
            let fault = match self.run(program, &what).await {
                Ok(Ok(text)) => {
                    texts.extend(text);
                    continue;
                }
                Ok(Err(reason)) => {
                    said.blocked = Some(reason);
                    break;
                }
                Err(fault) => format!("The {} hook {} {fault}.", moment.word(), name(program)),
            };
            if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(fault.clone())
                && let Some(say) = &self.say
            {
                say(fault.clone());
            }
            // Without its words: it may have printed anything.
            tracing::warn!(moment = moment.word(), program = name(program), "a hook failed");
            said.faults.push(fault.clone());
            if moment.waits() {
                said.blocked = Some(format!("{fault} A hook that fails does not pass for a yes."));
                break;
            }
        }
        said.text = Some(texts.join("\n")).filter(|text| !text.is_empty());
        said
    }

    /// What one says: words for the model, or why not; or what went wrong.
    async fn run(&self, program: &[String], what: &Value) -> Result<Result<Option<String>, String>, String> {
        let job = Job {
            program: program.iter().map(Into::into).collect(),
            folder: self.folder.clone(),
            env: self.env.clone(),
            input: format!("{what}\n").into_bytes(),
            confine: None,
            limit: LIMIT,
        };
        let heard = process::hear(job).await.map_err(|why| format!("did not start: {why}"))?;
        let errors = heard.errors.trim();
        let because = errors.lines().next().map(|line| format!(" ({})", cut(line, 200))).unwrap_or_default();
        match heard.end {
            End::Status(0) => Ok(Ok(words(&heard.output))),
            End::Status(STOPS) if errors.is_empty() => Ok(Err(format!("the hook {} gave no reason", name(program)))),
            End::Status(STOPS) => Ok(Err(cut(errors, WORDS))),
            End::Status(status) => Err(format!("ended with status {status}{because}")),
            End::Signal(signal) => Err(format!("was ended by signal {signal}{because}")),
            End::TooLong => Err(format!("did not end within {} s", LIMIT.as_secs())),
            End::Cancelled => Err("was stopped".into()),
        }
    }

    fn of(&self, moment: Moment) -> &[Vec<String>] {
        match moment {
            Moment::PromptSubmit => &self.programs.prompt_submit,
            Moment::BeforeRequest => &self.programs.before_request,
            Moment::BeforeTool => &self.programs.before_tool,
            Moment::AfterTool => &self.programs.after_tool,
            Moment::TurnEnd => &self.programs.turn_end,
            Moment::Cancelled => &self.programs.cancelled,
            Moment::BeforeCompaction => &self.programs.before_compaction,
        }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks").field("programs", &self.programs).field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// The program, without its arguments: those may be long.
fn name(program: &[String]) -> &str {
    program.first().map(String::as_str).unwrap_or_default()
}

/// What a hook printed for the model: the `text` of an object, or all of it.
fn words(printed: &str) -> Option<String> {
    let printed = printed.trim();
    let text = match serde_json::from_str::<Value>(printed) {
        Ok(Value::Object(fields)) => fields.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => printed.to_owned(),
    };
    Some(cut(text.trim(), WORDS)).filter(|text| !text.is_empty())
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    format!("{} (cut)", &text[..end])
}

/// What every moment of a run says beside its own.
#[must_use]
pub fn of_run(run: &str, session: &str, what: Value) -> Value {
    let mut all = json!({ "runId": run, "sessionId": session });
    if let (Some(all), Value::Object(what)) = (all.as_object_mut(), what) {
        all.extend(what);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t5_words_are_text_or_the_text_of_an_object() {
        assert_eq!(words("  plain\n").as_deref(), Some("plain"));
        assert_eq!(words(r#"{"text": "from JSON", "more": 1}"#).as_deref(), Some("from JSON"));
        assert_eq!(words(r#"{"other": 1}"#), None);
        assert_eq!(words("[1]").as_deref(), Some("[1]"));
        assert_eq!(words(" \n"), None);
        assert!(words(&"é".repeat(WORDS)).is_some_and(|text| text.len() < WORDS + 10));
    }
}
