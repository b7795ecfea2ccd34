//! The settings as `docs/protocol.md` lists them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unusable::Unusable;
use crate::protocol::{Mode, Usage};

/// All settings, merged from their layers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `TABLE/MODEL`, split at the first slash. Absent: the first provider whose key or local server is found. A wrong
    /// one is reported and kept, so that a run says so and never goes to a provider that nobody chose.
    pub model: Option<String>,
    /// How much a run may do unasked.
    pub mode: Mode,
    /// A file that the log goes to, beside standard error.
    pub log_file: Option<PathBuf>,
    /// Model providers, by a name of the person's own.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// What is known of models, by `TABLE/MODEL`.
    pub models: BTreeMap<String, ModelSettings>,
    /// Caps.
    pub limits: Limits,
    /// When and how the context is compacted.
    pub compaction: CompactionSettings,
    /// What may be done unasked, and what never.
    pub permissions: Permissions,
    /// What a run's edits are checked with.
    pub verify: Verify,
    /// Programs that hear of what a run does, and may stop it.
    pub hooks: Hooks,
    /// Servers of the Model Context Protocol, by a name of the person's own.
    pub mcp: BTreeMap<String, McpSettings>,
    /// Commands of the person's own; one with a built-in's name replaces it.
    pub commands: BTreeMap<String, CommandSettings>,
    /// What was left out because of a fault and must not be replaced by a guess. Not a setting.
    #[serde(skip)]
    pub unusable: Unusable,
}

impl Settings {
    /// What requests come to at the prices of the models that were asked. `None` when a price or a figure is not known, or when
    /// there is more in `all` of them than is known by model: they were not always counted so.
    #[must_use]
    pub fn cost(&self, by_model: &BTreeMap<String, Usage>, all: &Usage) -> Option<f64> {
        let mut known = Usage::default();
        by_model.values().for_each(|usage| known.add(usage));
        if by_model.is_empty() || known != *all {
            return None;
        }
        let cost = |(model, usage): (&String, &Usage)| self.models.get(model)?.price?.of(usage);
        by_model.iter().map(cost).sum()
    }
}

/// Which wire a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Openai,
    /// OpenAI Chat Completions and what is compatible with it.
    OpenaiChat,
    /// Azure OpenAI: Responses, and Chat Completions where an `api_version` is given.
    Azure,
    /// Google Gemini.
    Gemini,
    /// Cohere, version 2 of its chat.
    Cohere,
    /// Amazon Bedrock, over Converse.
    Bedrock,
    /// Ollama, over its OpenAI-compatible door.
    Ollama,
    /// A conversation from a file.
    Script,
}

impl ProviderKind {
    /// The tables that a model may name though nobody wrote them, the kind of each, and whether its requests then stay on
    /// this machine.
    pub const UNWRITTEN: [(&str, Self, bool); 13] = [
        ("anthropic", Self::Anthropic, false),
        ("openai", Self::Openai, false),
        ("openai-chat", Self::OpenaiChat, false),
        ("azure", Self::Azure, false),
        ("gemini", Self::Gemini, false),
        ("cohere", Self::Cohere, false),
        ("bedrock", Self::Bedrock, false),
        ("ollama", Self::Ollama, true),
        ("llamacpp", Self::OpenaiChat, true),
        ("lmstudio", Self::OpenaiChat, true),
        ("vllm", Self::OpenaiChat, true),
        ("script", Self::Script, true),
        ("scripted", Self::Script, true),
    ];

    /// The kind of a table that nobody wrote; `None` when such a table must be written.
    #[must_use]
    pub fn unwritten(table: &str) -> Option<Self> {
        Self::UNWRITTEN.iter().find(|(name, ..)| *name == table).map(|(_, kind, _)| *kind)
    }

    /// Whether requests stay on this machine when no table says where they go.
    #[must_use]
    pub fn unwritten_stays(table: &str) -> bool {
        Self::UNWRITTEN.iter().any(|(name, _, stays)| *name == table && *stays)
    }

    /// As the settings spell it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Azure => "azure",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Bedrock => "bedrock",
            Self::OpenaiChat => "openai-chat",
            Self::Ollama => "ollama",
            Self::Script => "script",
        }
    }
}

/// One provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSettings {
    /// Which wire; the table's name where that is a kind. Always there in settings that were loaded.
    pub kind: Option<ProviderKind>,
    /// Where requests go, without the wire's own path.
    pub base_url: Option<String>,
    /// The environment variable that holds the key.
    pub api_key_env: Option<String>,
    /// A program, with its arguments, that prints the key.
    pub api_key_command: Option<Vec<String>>,
    /// Whether answers are asked for in pieces; `false` for servers that lose tool calls then. Absent: yes.
    pub stream: Option<bool>,
    /// The Azure resource: the first part of its host's name.
    pub resource: Option<String>,
    /// The Azure deployment, sent as the model.
    pub deployment: Option<String>,
    /// The date of Azure's older interface, Chat Completions. Absent: its present one, Responses.
    pub api_version: Option<String>,
    /// The AWS region.
    pub region: Option<String>,
    /// The profile in the AWS configuration. Absent: `AWS_PROFILE`, then `default`.
    pub profile: Option<String>,
    /// Whether plain http may leave this machine.
    pub insecure: bool,
    /// The conversation file (kind `script`). Absent: the built-in one.
    pub path: Option<PathBuf>,
}

/// What is known of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// Tokens in all.
    #[schemars(range(min = 1))]
    pub context: Option<u64>,
    /// The most that one answer may hold, in tokens.
    #[schemars(range(min = 1))]
    pub max_output: Option<u64>,
    /// Sent only when set.
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// What its tokens cost.
    pub price: Option<Price>,
    /// In what form it writes changes. Absent: the one that its family is trained on.
    pub edit_format: Option<EditFormat>,
}

/// In what form a model writes changes of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EditFormat {
    /// Old text and new text: the tool `edit`.
    #[default]
    StrReplace,
    /// A patch over several files: the tool `patch`.
    Patch,
}

impl EditFormat {
    /// What the family of a model is trained on, by its name: the patch form for GPT, the o series and codex, replacements for
    /// all others.
    #[must_use]
    pub fn of_family(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        // Behind the table, a vendor's name (as routers write it), and Bedrock's vendor.
        let name = model.rsplit('/').next().unwrap_or_default();
        let name = name.strip_prefix("openai.").unwrap_or(name);
        let o_series = || {
            let mut letters = name.bytes();
            letters.next() == Some(b'o')
                && letters.next().is_some_and(|digit| digit.is_ascii_digit())
                && letters.next().is_none_or(|next| next == b'-')
        };
        let patches = name.starts_with("gpt-") || name.starts_with("chatgpt-") || name.contains("codex") || o_series();
        if patches { Self::Patch } else { Self::StrReplace }
    }
}

/// What a million tokens cost, in the person's own currency. What is absent is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Input that did not come from a cache.
    #[schemars(range(min = 0.0))]
    pub input: Option<f64>,
    /// Output, reasoning included.
    #[schemars(range(min = 0.0))]
    pub output: Option<f64>,
    /// Input read from the provider's cache.
    #[schemars(range(min = 0.0))]
    pub cache_read: Option<f64>,
    /// Input written to the provider's cache.
    #[schemars(range(min = 0.0))]
    pub cache_write: Option<f64>,
}

impl Price {
    /// What this cost; `None` when a figure or a price that it takes is not known. A provider that says nothing of a cache
    /// has none.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> Option<f64> {
        let parts = [
            (usage.input?, self.input),
            (usage.output?, self.output),
            (usage.cache_read.unwrap_or(0), self.cache_read),
            (usage.cache_write.unwrap_or(0), self.cache_write),
        ];
        let needed = parts.into_iter().filter(|(tokens, _)| *tokens > 0);
        // No run has so many tokens that one would be lost here.
        needed.map(|(tokens, price)| Some(tokens as f64 * price? / 1e6)).sum()
    }
}

/// What may be done unasked, and what never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// What is not asked for: `tool(pattern)`. A later layer's list takes the place of an earlier one's.
    pub allow: Vec<String>,
    /// What is never done, whoever allows it. The lists of all layers count.
    pub deny: Vec<String>,
    /// Whether commands in the sandbox reach the network.
    pub network: bool,
    /// Variables that commands get beyond the short list of harmless ones.
    pub env: Vec<String>,
}

/// What a run's edits are checked with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Verify {
    /// Command lines for `sh -c` in the workspace root, one after another.
    pub commands: Vec<String>,
}

/// Programs with their arguments, for each moment in a run that they hear of. They are started in order, without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hooks {
    /// Before a prompt enters the conversation.
    pub prompt_submit: Vec<Vec<String>>,
    /// Before each request to the model.
    pub before_request: Vec<Vec<String>>,
    /// Before each call of a tool.
    pub before_tool: Vec<Vec<String>>,
    /// After each call of a tool.
    pub after_tool: Vec<Vec<String>>,
    /// After each answer of the model, its calls done.
    pub turn_end: Vec<Vec<String>>,
    /// When a run was stopped by the person.
    pub cancelled: Vec<Vec<String>>,
    /// Before the beginning of the conversation is summarised.
    pub before_compaction: Vec<Vec<String>>,
}

/// One server of the Model Context Protocol: a program, or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpSettings {
    /// The program with its arguments, which talks on its standard input and output.
    pub command: Option<Vec<String>>,
    /// The address of a server that is reached over streamable HTTP.
    pub url: Option<String>,
    /// Variables of Cowrite's own environment that the program gets.
    pub env: Vec<String>,
    /// The variable whose value is sent to `url` as a bearer token.
    pub token_env: Option<String>,
}

/// Caps. Zero is refused for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests to the model in one run.
    #[schemars(range(min = 1))]
    pub max_turns: u32,
    /// Runs that a session remembers.
    #[schemars(range(min = 1))]
    pub max_runs: usize,
    /// Events that a run remembers.
    #[schemars(range(min = 1))]
    pub max_events_per_run: usize,
    /// Bytes of one tool result; four times that for all results of one message.
    #[schemars(range(min = 1))]
    pub tool_output_bytes: usize,
    /// Seconds without a byte from the model.
    #[schemars(range(min = 1))]
    pub idle_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_turns: 100, max_runs: 200, max_events_per_run: 5000, tool_output_bytes: 65536, idle_seconds: 300 }
    }
}

/// When and how the context is compacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompactionSettings {
    /// Whether it happens by itself. Off: an overflow stops the run, and `cowrite.compact` is there for the person.
    pub enabled: bool,
    /// The share of what the model can take in from which on the beginning is summarised in the background.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub soft: f64,
    /// The share above which no request is sent before that has happened.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub hard: f64,
    /// What stays as it is.
    pub mode: CompactionMode,
    /// Tokens of recent entries that stay, in the mode `keep_recent`.
    #[schemars(range(min = 1))]
    pub keep_recent_tokens: u64,
    /// A compaction that gains less is not made.
    #[schemars(range(min = 1))]
    pub min_gain_tokens: u64,
    /// Older tool results over this become previews.
    #[schemars(range(min = 1))]
    pub tool_result_preview_tokens: u64,
    /// Who summarises, as `TABLE/MODEL`. Absent: the session's own model.
    pub model: Option<String>,
    /// Seconds between two starts in the background.
    pub cooldown_seconds: u64,
    /// Seconds that a summary may take.
    #[schemars(range(min = 1))]
    pub timeout_seconds: u64,
    /// So many are begun in the background before one has helped.
    #[schemars(range(min = 1))]
    pub max_attempts: u32,
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            soft: 0.60,
            hard: 0.85,
            mode: CompactionMode::KeepRecent,
            keep_recent_tokens: 12_000,
            min_gain_tokens: 1024,
            tool_result_preview_tokens: 2048,
            model: None,
            cooldown_seconds: 60,
            timeout_seconds: 120,
            max_attempts: 100,
        }
    }
}

/// What a compaction leaves as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompactionMode {
    /// The recent entries.
    #[default]
    KeepRecent,
    /// Only what cannot be cut off.
    SafeFrontier,
}

/// What a command needs to make sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Needs {
    /// Nothing.
    #[default]
    Nothing,
    /// A file.
    File,
    /// A selection in a file.
    Selection,
    /// Diagnostics in the range.
    Diagnostics,
}

/// Where an editor lists a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CommandKind {
    /// Mends what a diagnostic says.
    #[serde(rename = "quickfix")]
    Quickfix,
    /// Rewrites code.
    #[default]
    #[serde(rename = "refactor.rewrite")]
    Rewrite,
    /// Concerns the whole file.
    #[serde(rename = "source")]
    Source,
}

/// A command of the person's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// What a menu shows. Absent: the name in words.
    #[serde(default)]
    pub title: String,
    /// The template of the prompt.
    pub prompt: String,
    /// Where an editor lists it.
    #[serde(default)]
    pub kind: CommandKind,
    /// What it needs.
    #[serde(default)]
    pub needs: Needs,
    /// How much it may do unasked.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Only these tools.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
}
