//! The scripted model's conversations, as `docs/scripted-model.md` describes them.

use std::path::Path;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ModelError, StopReason};
use crate::protocol::Usage;

/// What plays when no file is named: one answer for every prompt.
const BUILT_IN: &str = include_str!("script/built-in.json");

/// A conversation file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// For editors: where this schema is.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Tokens that the model claims to take in and give out in all.
    pub context: Option<u64>,
    /// What turns are counted by.
    pub count: Count,
    /// What a request for a summary of the conversation is answered. Absent: a plain summary of its own. It is not counted.
    pub summary: Option<Turn>,
    /// Conversations, the first that fits the prompt plays.
    pub rules: Vec<Rule>,
    /// A conversation for every prompt that no rule fits: a last rule without `when`.
    pub turns: Vec<Turn>,
    /// Whether `turns` begin again after the last.
    #[serde(rename = "loop")]
    pub repeat: bool,
}

/// What decides which turn of a conversation plays next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// The model's answers in the history after the prompt: each prompt begins anew, and no cancel or retry gets it out
    /// of step.
    #[default]
    Prompt,
    /// The model's answers in the whole history: one conversation over several prompts.
    Conversation,
    /// The requests made so far, whatever they hold: also a failed one moves on.
    Requests,
}

/// A conversation for some prompts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Which prompts; absent: every one.
    pub when: Option<When>,
    /// What the model says, request by request.
    pub turns: Vec<Turn>,
    /// Whether they begin again after the last.
    #[serde(rename = "loop")]
    pub repeat: bool,
}

/// Which prompts a rule is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// What the newest message of the person contains.
    pub prompt_contains: String,
}

/// What the model says to one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// What the request must hold.
    pub expect: Option<Expect>,
    /// What is streamed, in order.
    pub deltas: Vec<Delta>,
    /// Texts and arguments come in pieces of so many characters; absent: each in one piece.
    pub chunk: Option<usize>,
    /// Milliseconds before each piece.
    pub chunk_delay_ms: u64,
    /// The figures to report; absent or null: none are known.
    pub usage: Option<Figures>,
    /// Why the turn ends; absent: `tool_use` after a call, else `end`.
    pub stop: Option<Stop>,
    /// The reason of a refusal.
    pub reason: Option<String>,
    /// The turn fails with this after its deltas, and does not end.
    pub error: Option<Failure>,
}

/// What a request must hold, or the run fails with the difference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Each of these texts, in the newest message of the person or the results after it.
    pub contains: Vec<String>,
    /// None of these texts there.
    pub lacks: Vec<String>,
    /// Each of these texts in the system prompt.
    pub system_contains: Vec<String>,
    /// Each of these tools is on offer.
    pub tools: Vec<String>,
    /// None of these tools is on offer.
    pub no_tools: Vec<String>,
    /// The kind of the newest item.
    pub last: Option<Last>,
    /// Whether the newest results are all good (true), or one of them is not (false).
    pub results_ok: Option<bool>,
}

/// The newest item of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Last {
    /// A message of the person.
    User,
    /// Results of tool calls.
    Results,
}

/// A piece of what is streamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Delta {
    /// Prose. `{{prompt}}`, `{{results}}`, `{{tools}}` and `{{items}}` stand for what the request holds.
    Text(String),
    /// Reasoning.
    Reasoning(String),
    /// A tool call.
    Call(Call),
    /// Nothing, for so many milliseconds.
    DelayMs(u64),
    /// What came so far is void, as when a provider failed and is asked again.
    Retrying(Retrying),
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// An object, or a string that is sent as it is, even when it is not JSON.
    #[serde(default)]
    pub arguments: Value,
    /// The call's id; made up when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// Whether it stays unfinished, as when the output limit cuts it off.
    #[serde(default)]
    pub cut: bool,
}

/// A retry to be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retrying {
    /// From 1.
    pub attempt: u32,
    /// Milliseconds until the next attempt, and the wait itself.
    #[serde(default)]
    pub delay_ms: u64,
    /// What a person reads.
    pub reason: String,
}

/// Figures of a request; what is absent is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Figures {
    /// Input tokens that did not come from a cache.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Input tokens from the cache.
    pub cache_read: Option<u64>,
    /// Input tokens put into the cache.
    pub cache_write: Option<u64>,
}

/// Why a turn ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The model is done.
    End,
    /// It waits for results.
    ToolUse,
    /// Cut off at the output limit.
    MaxTokens,
    /// Paused: the same history again goes on.
    Pause,
    /// Refused; `reason` says why.
    Refusal,
}

/// How a turn fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Which failure.
    pub kind: FailureKind,
    /// What the provider says of it.
    #[serde(default)]
    pub message: String,
    /// The HTTP status, where the kind has one.
    #[serde(default)]
    pub status: Option<u16>,
    /// How long the provider asks to wait, in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
    /// The limit that an overflow names, in tokens.
    #[serde(default)]
    pub limit: Option<u64>,
}

/// The failures that a provider can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the variant of ModelError of the same name")]
pub enum FailureKind {
    NotConfigured,
    Authentication,
    Quota,
    RateLimited,
    Overflow,
    Refused,
    Rejected,
    Unavailable,
    Connection,
    Idle,
    Broken,
}

impl Script {
    /// The conversation of a file, or the built-in one.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn load(path: Option<&Path>) -> Result<Self, ModelError> {
        let Some(path) = path else { return Self::parse(BUILT_IN, "the built-in script") };
        let text = std::fs::read_to_string(path).map_err(|error| {
            ModelError::Script(format!("the script {} cannot be read ({error}); mend its path", path.display()))
        })?;
        Self::parse(&text, &format!("the script {}", path.display()))
    }

    fn parse(text: &str, what: &str) -> Result<Self, ModelError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let script = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| format!("{what} does not fit the format, at {}: {}", error.path(), error.inner()));
        let script: Self = script.map_err(ModelError::Script)?;
        json.end().map_err(|error| ModelError::Script(format!("{what} goes on after its end: {error}")))?;
        match script.rules.is_empty() && script.turns.is_empty() {
            true => Err(ModelError::Script(format!("{what} has neither rules nor turns; give it one of them"))),
            false => Ok(script),
        }
    }

    /// The JSON Schema of the format.
    #[must_use]
    pub fn json_schema() -> Schema {
        schema_for!(Script)
    }
}

impl Turn {
    pub(crate) fn stop(&self) -> StopReason {
        let calls = self.deltas.iter().any(|delta| matches!(delta, Delta::Call(_)));
        match self.stop {
            None if calls => StopReason::ToolUse,
            None | Some(Stop::End) => StopReason::End,
            Some(Stop::ToolUse) => StopReason::ToolUse,
            Some(Stop::MaxTokens) => StopReason::MaxTokens,
            Some(Stop::Pause) => StopReason::Pause,
            Some(Stop::Refusal) => {
                StopReason::Refusal(self.reason.clone().unwrap_or_else(|| "the script says so".to_owned()))
            }
        }
    }
}

impl From<Figures> for Usage {
    fn from(figures: Figures) -> Self {
        let Figures { input, output, cache_read, cache_write } = figures;
        Self { input, output, cache_read, cache_write }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_script_and_the_page_hold() {
        assert!(Script::load(None).is_ok());
        let page = include_str!("../../docs/scripted-model.md");
        let examples: Vec<&str> = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!examples.is_empty());
        for example in examples {
            Script::parse(example, "the example").unwrap_or_else(|error| panic!("{error}\n{example}"));
        }
        let schema = serde_json::to_value(Script::json_schema()).unwrap();
        let definitions = schema["$defs"].as_object().unwrap();
        let fields = definitions.values().chain([&schema]).filter_map(|def| def["properties"].as_object());
        for name in fields.flat_map(|fields| fields.keys()) {
            assert!(page.contains(&format!("`{name}`")), "docs/scripted-model.md does not explain {name}");
        }
    }

    #[test]
    fn a_wrong_file_is_told_with_the_place() {
        let error = |text| Script::parse(text, "the script a.json").unwrap_err().to_string();
        insta::assert_snapshot!(
            error(r#"{"rules": [{"turns": [{"deltas": [{"texts": "a"}]}]}]}"#),
            @"the script a.json does not fit the format, at rules[0].turns[0].deltas[0]: unknown variant `texts`, expected one of `text`, `reasoning`, `call`, `delay_ms`, `retrying` at line 1 column 42"
        );
        insta::assert_snapshot!(error("{}"), @"the script a.json has neither rules nor turns; give it one of them");
        insta::assert_snapshot!(
            Script::load(Some(Path::new("/nowhere/a.json"))).unwrap_err(),
            @"the script /nowhere/a.json cannot be read (No such file or directory (os error 2)); mend its path"
        );
    }
}
