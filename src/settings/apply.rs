//! The schema, table by table: which keys there are and what each accepts.

use crate::protocol::Mode;

use super::compaction::{COMPACTION, PRICE};
use super::fault::{LayerName, Severity};
use super::node::{Entry, Node};
use super::provider::provider;
use super::read::{Field, Reader};
use super::schema::{CommandKind, CommandSettings, Limits, ModelSettings, Needs, Settings};
use super::trusted::{HOOKS, VERIFY, mcp, permissions};
use super::{template, value};

const MODES: [&str; 4] = ["plan", "ask", "edit", "auto"];
/// The tools, by the names that settings and prompts depend on.
const TOOLS: [&str; 15] = [
    "read",
    "list",
    "find",
    "search",
    "edit",
    "patch",
    "write",
    "move",
    "delete",
    "run",
    "fetch",
    "diagnostics",
    "plan",
    "ask",
    "recall",
];
/// Words after `cowrite.` that are the server's own.
pub(super) const RESERVED: [&str; 17] = [
    "run",
    "cancel",
    "status",
    "events",
    "event",
    "sessions",
    "session",
    "compact",
    "accept",
    "reject",
    "undo",
    "approve",
    "deny",
    "trust",
    "untrust",
    "save",
    "diagnostics",
];

/// Takes a whole layer into the settings.
pub(super) fn layer(settings: &mut Settings, root: &Node, reader: &mut Reader<'_>) {
    reader.table(settings, root, SETTINGS);
}

/// Where requests and keys go, and where the log goes, a workspace never says.
pub(super) fn is_refused(entry: &Entry, reader: &mut Reader<'_>) -> bool {
    let refused = reader.source.layer == LayerName::Workspace;
    if refused {
        reader.fault(entry.at.clone(), "is never read from a workspace's file; set it in your own".into());
    }
    refused
}

const SETTINGS: &[Field<Settings>] = &[
    Field {
        key: "model",
        read: |settings, entry, reader| {
            if reader.put(&mut settings.model, entry, |node| value::some_text(node).map(Some)) {
                settings.unusable.model = None;
            } else {
                // Somebody wanted another model than the one before; until it is known which, none is chosen.
                settings.model = None;
                settings.unusable.model = reader.faults.last().map(ToString::to_string);
            }
        },
    },
    Field { key: "mode", read: mode },
    Field {
        key: "log_file",
        read: |settings, entry, reader| {
            if is_refused(entry, reader) {
                return;
            }
            let folder = reader.source.folder();
            reader.put(&mut settings.log_file, entry, |node| value::path(node, folder).map(Some));
        },
    },
    Field {
        key: "providers",
        read: |settings, entry, reader| {
            if !is_refused(entry, reader) {
                reader.named(entry, |entry, reader| provider(settings, entry, reader));
            }
        },
    },
    Field {
        key: "models",
        read: |settings, entry, reader| {
            reader.named(entry, |entry, reader| model(settings, entry, reader));
        },
    },
    Field { key: "limits", read: |settings, entry, reader| reader.table(&mut settings.limits, &entry.node, LIMITS) },
    Field {
        key: "commands",
        read: |settings, entry, reader| {
            reader.named(entry, |entry, reader| command(settings, entry, reader));
        },
    },
    Field {
        key: "compaction",
        read: |settings, entry, reader| reader.table(&mut settings.compaction, &entry.node, COMPACTION),
    },
    Field { key: "permissions", read: permissions },
    Field { key: "verify", read: |settings, entry, reader| reader.table(&mut settings.verify, &entry.node, VERIFY) },
    Field { key: "hooks", read: |settings, entry, reader| reader.table(&mut settings.hooks, &entry.node, HOOKS) },
    Field {
        key: "mcp",
        read: |settings, entry, reader| {
            reader.named(entry, |entry, reader| mcp(settings, entry, reader));
        },
    },
];

/// The key at the top of the settings that a fault's key is, or was most likely meant to be.
pub(super) fn meant(key: &str) -> &str {
    let known: Vec<_> = SETTINGS.iter().map(|field| field.key).collect();
    if known.contains(&key) || key.contains('.') {
        return key;
    }
    super::read::nearest(key, &known).unwrap_or(key)
}

fn mode(settings: &mut Settings, entry: &Entry, reader: &mut Reader<'_>) {
    // Somebody wanted another mode than the default; until it is known which, nothing is changed unasked.
    if !reader.put(&mut settings.mode, entry, |node| value::word(node, &MODES)) {
        settings.mode = Mode::Plan;
        consequence(reader, 1, "until it is mended the mode is `plan`, which changes nothing");
    }
}

const LIMITS: &[Field<Limits>] = &[
    Field {
        key: "max_turns",
        read: |limits, entry, reader| {
            reader.put(&mut limits.max_turns, entry, value::at_least_one);
        },
    },
    Field {
        key: "max_runs",
        read: |limits, entry, reader| {
            reader.put(&mut limits.max_runs, entry, value::at_least_one);
        },
    },
    Field {
        key: "max_events_per_run",
        read: |limits, entry, reader| {
            reader.put(&mut limits.max_events_per_run, entry, value::at_least_one);
        },
    },
    Field {
        key: "tool_output_bytes",
        read: |limits, entry, reader| {
            reader.put(&mut limits.tool_output_bytes, entry, value::at_least_one);
        },
    },
    Field {
        key: "idle_seconds",
        read: |limits, entry, reader| {
            reader.put(&mut limits.idle_seconds, entry, value::at_least_one);
        },
    },
];

fn field_later<T>(_: &mut T, entry: &Entry, reader: &mut Reader<'_>) {
    reader.not_supported(entry, "not supported by this version");
}

fn model(settings: &mut Settings, entry: &Entry, reader: &mut Reader<'_>) {
    if super::split_model(&entry.key).is_none() {
        let message = "expected a name of the form \"PROVIDER/MODEL\", in quotes".to_owned();
        reader.fault(entry.at.clone(), message);
        return;
    }
    reader.table(settings.models.entry(entry.key.clone()).or_default(), &entry.node, MODEL);
}

const MODEL: &[Field<ModelSettings>] = &[
    Field {
        key: "context",
        read: |model, entry, reader| {
            reader.put(&mut model.context, entry, |node| value::at_least_one(node).map(Some));
        },
    },
    Field {
        key: "max_output",
        read: |model, entry, reader| {
            reader.put(&mut model.max_output, entry, |node| value::at_least_one(node).map(Some));
        },
    },
    Field {
        key: "temperature",
        read: |model, entry, reader| {
            reader.put(&mut model.temperature, entry, |node| value::between(node, 0.0, 2.0).map(Some));
        },
    },
    Field {
        key: "price",
        read: |model, entry, reader| reader.table(model.price.get_or_insert_default(), &entry.node, PRICE),
    },
    Field {
        key: "edit_format",
        read: |model, entry, reader| {
            reader.put(&mut model.edit_format, entry, |node| value::word(node, &["str_replace", "patch"]).map(Some));
        },
    },
];

/// A command with anything wrong in it is not offered: without its `tools` or `mode` it could do more than was meant.
fn command(settings: &mut Settings, entry: &Entry, reader: &mut Reader<'_>) {
    let before = reader.faults.len();
    let mut command = CommandSettings {
        title: in_words(&entry.key),
        prompt: String::new(),
        kind: CommandKind::default(),
        needs: Needs::default(),
        mode: None,
        tools: None,
    };
    if let Err(message) = command_name(&entry.key) {
        reader.fault(entry.at.clone(), message);
    }
    reader.table(&mut command, &entry.node, COMMAND);
    let has_prompt =
        matches!(&entry.node.value, super::node::Value::Table(own) if own.iter().any(|own| own.key == "prompt"));
    if reader.faults.len() == before && !has_prompt {
        reader.fault(entry.at.clone(), "`prompt` is missing: expected the template of the prompt".to_owned());
    }
    let count = reader.faults.len() - before;
    if count == 0 {
        settings.commands.insert(entry.key.clone(), command);
    } else {
        settings.commands.remove(&entry.key);
        consequence(reader, count, &not_used("command", &entry.key));
    }
}

const COMMAND: &[Field<CommandSettings>] = &[
    Field {
        key: "title",
        read: |command, entry, reader| {
            reader.put(&mut command.title, entry, value::some_text);
        },
    },
    Field {
        key: "prompt",
        read: |command, entry, reader| {
            reader.put(&mut command.prompt, entry, |node| {
                let source = value::some_text(node)?;
                template::check(&source).map(|_| source)
            });
        },
    },
    Field {
        key: "kind",
        read: |command, entry, reader| {
            let words = ["quickfix", "refactor.rewrite", "source"];
            reader.put(&mut command.kind, entry, |node| value::word(node, &words));
        },
    },
    Field {
        key: "needs",
        read: |command, entry, reader| {
            let words = ["nothing", "file", "selection", "diagnostics"];
            reader.put(&mut command.needs, entry, |node| value::word(node, &words));
        },
    },
    Field {
        key: "mode",
        read: |command, entry, reader| {
            reader.put(&mut command.mode, entry, |node| value::word(node, &MODES).map(Some));
        },
    },
    Field {
        key: "tools",
        read: |command, entry, reader| {
            reader.put(&mut command.tools, entry, |node| tools(node).map(Some));
        },
    },
    Field { key: "model", read: field_later },
];

fn tools(node: &Node) -> Result<Vec<String>, String> {
    let names = value::texts(node)?;
    match names.iter().find(|name| !TOOLS.contains(&name.as_str()) && !name.contains("__")) {
        None => Ok(names),
        Some(name) => Err(match super::read::nearest(name, &TOOLS) {
            Some(near) => format!("there is no tool {name:?}; did you mean {near:?}?"),
            None => format!("there is no tool {name:?}; there are {}", TOOLS.join(", ")),
        }),
    }
}

fn command_name(name: &str) -> Result<(), String> {
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        Err("expected a command name of a-z, 0-9 and `-`".into())
    } else if RESERVED.contains(&name) {
        Err(format!("`cowrite.{name}` is a command of the server: expected another name"))
    } else {
        Ok(())
    }
}

fn in_words(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// What is said of a provider or command that was left out because of a fault in it.
pub(super) fn not_used(what: &str, name: &str) -> String {
    format!("the {what} {name:?} is not used until this is mended")
}

/// Adds to the last faults what follows from them.
pub(super) fn consequence(reader: &mut Reader<'_>, count: usize, sentence: &str) {
    for fault in reader.faults.iter_mut().rev().take(count) {
        let until = if fault.severity == Severity::NotSupported {
            sentence.replace(" until this is mended", "")
        } else {
            sentence.to_owned()
        };
        fault.message = format!("{} ({until})", fault.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::provider::PROVIDER;

    /// The properties of a definition in the JSON Schema.
    fn properties(of: &str) -> Vec<String> {
        let schema = crate::settings::schema();
        let object = if of.is_empty() { &schema } else { &schema["$defs"][of] };
        object["properties"].as_object().unwrap().keys().cloned().collect()
    }

    fn check<T>(of: &str, fields: &[Field<T>], besides: &[&str]) {
        let mut keys: Vec<_> = fields.iter().map(|field| field.key).filter(|key| !besides.contains(key)).collect();
        keys.sort_unstable();
        assert_eq!(keys, properties(of), "the reader and the schema of {of:?} know different keys");
    }

    #[test]
    fn the_reader_and_the_schema_know_the_same_keys() {
        check("", SETTINGS, &[]);
        check("Limits", LIMITS, &[]);
        check("CompactionSettings", COMPACTION, &[]);
        check("Price", PRICE, &[]);
        check("ModelSettings", MODEL, &[]);
        check("CommandSettings", COMMAND, &["model"]);
        check("ProviderSettings", PROVIDER, &["api_key"]);
        check("Permissions", super::super::trusted::PERMISSIONS, &[]);
        check("Verify", VERIFY, &[]);
        check("Hooks", HOOKS, &[]);
        check("McpSettings", crate::settings::trusted::MCP, &[]);
    }
}
