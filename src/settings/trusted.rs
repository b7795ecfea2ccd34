//! What lets something run or go ahead: permissions, verify commands, hooks, servers.

use super::apply::{consequence, is_refused, not_used};
use super::fault::{Fault, LayerName};
use super::node::{Entry, Node, Value};
use super::read::{Field, Reader, dotted, expected, nearest};
use super::schema::{Hooks, McpSettings, Permissions, Settings, Verify};
use super::whole::fault_at;
use super::{Loaded, value};
use crate::permission::Rules;

pub(super) const PERMISSIONS: &[Field<Permissions>] = &[
    Field {
        key: "allow",
        read: |permissions, entry, reader| {
            // One that cannot be read allows nothing.
            permissions.allow = rules(entry, reader);
        },
    },
    Field {
        key: "deny",
        read: |permissions, entry, reader| {
            let before = reader.faults.len();
            let read = rules(entry, reader);
            permissions.deny.extend(read);
            let count = reader.faults.len() - before;
            if count > 0 {
                // Kept as it stands: the gate denies everything of its kind.
                permissions.deny.extend(unread(entry));
                consequence(reader, count, "everything of its kind is denied until this is mended");
            }
        },
    },
    Field {
        key: "network",
        read: |permissions, entry, reader| {
            if !reader.put(&mut permissions.network, entry, value::flag) {
                permissions.network = false;
            }
        },
    },
    Field {
        key: "env",
        read: |permissions, entry, reader| {
            let from = reader.source.layer;
            reader.put(&mut permissions.env, entry, |node| variables(node, from));
        },
    },
];

pub(super) const VERIFY: &[Field<Verify>] = &[Field {
    key: "commands",
    read: |verify, entry, reader| {
        reader.put(&mut verify.commands, entry, |node| {
            let commands = value::texts(node)?;
            if commands.iter().any(|command| command.trim().is_empty()) {
                return Err("expected command lines, found an empty one".into());
            }
            Ok(commands)
        });
    },
}];

pub(super) const HOOKS: &[Field<Hooks>] = &[
    Field { key: "prompt_submit", read: |hooks, entry, reader| programs(&mut hooks.prompt_submit, entry, reader) },
    Field { key: "before_request", read: |hooks, entry, reader| programs(&mut hooks.before_request, entry, reader) },
    Field { key: "before_tool", read: |hooks, entry, reader| programs(&mut hooks.before_tool, entry, reader) },
    Field { key: "after_tool", read: |hooks, entry, reader| programs(&mut hooks.after_tool, entry, reader) },
    Field { key: "turn_end", read: |hooks, entry, reader| programs(&mut hooks.turn_end, entry, reader) },
    Field { key: "cancelled", read: |hooks, entry, reader| programs(&mut hooks.cancelled, entry, reader) },
    Field {
        key: "before_compaction",
        read: |hooks, entry, reader| programs(&mut hooks.before_compaction, entry, reader),
    },
];

pub(super) const MCP: &[Field<McpSettings>] = &[
    Field {
        key: "command",
        read: |server, entry, reader| {
            reader.put(&mut server.command, entry, |node| program(node).map(Some));
        },
    },
    Field {
        key: "url",
        read: |server, entry, reader| {
            reader.put(&mut server.url, entry, |node| value::endpoint(node).map(Some));
        },
    },
    Field {
        key: "env",
        read: |server, entry, reader| {
            let from = reader.source.layer;
            reader.put(&mut server.env, entry, |node| variables(node, from));
        },
    },
    Field {
        key: "token_env",
        read: |server, entry, reader| {
            // It would go wherever `url` of the same file says.
            if !is_refused(entry, reader) {
                reader.put(&mut server.token_env, entry, |node| value::variable(node).map(Some));
            }
        },
    },
];

/// Rules that were not found may be deny rules: until they are, everything is denied.
pub(super) fn deny_all(settings: &mut Settings, fault: &mut Fault) {
    // As a rule it is none, so it denies whatever it could be about.
    settings.permissions.deny.push(String::new());
    fault.message = format!("{} (it may hold deny rules, so everything is denied until this is mended)", fault.message);
}

/// The table of permissions. What is misspelled or misshapen in it may have been deny rules.
pub(super) fn permissions(settings: &mut Settings, entry: &Entry, reader: &mut Reader<'_>) {
    let before = reader.faults.len();
    reader.table(&mut settings.permissions, &entry.node, PERMISSIONS);
    let (table, deny) = (dotted(&["permissions"]), dotted(&["permissions", "deny"]));
    let lost = |fault: &&mut Fault| {
        let own = fault.key.strip_prefix("permissions.").unwrap_or_default();
        fault.key == table || fault.key != deny && nearest(own, &["allow", "deny", "network", "env"]) == Some("deny")
    };
    let lost = reader.faults[before..].iter_mut().filter(lost);
    lost.for_each(|fault| deny_all(settings, fault));
}

/// A server with anything wrong in it is not started.
pub(super) fn mcp(settings: &mut Settings, entry: &Entry, reader: &mut Reader<'_>) {
    let before = reader.faults.len();
    let mut server = McpSettings::default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if entry.key.is_empty() || !entry.key.chars().all(plain) || entry.key.contains("__") {
        let message = "expected a name of letters, digits, `-` and single `_`: its tools are called NAME__TOOL";
        reader.fault(entry.at.clone(), message.to_owned());
    }
    reader.table(&mut server, &entry.node, MCP);
    if reader.faults.len() == before && server.command.is_some() == server.url.is_some() {
        reader.fault(entry.at.clone(), "expected `command` or `url`, and not both".to_owned());
    }
    let count = reader.faults.len() - before;
    if count == 0 {
        settings.mcp.insert(entry.key.clone(), server);
    } else {
        settings.mcp.remove(&entry.key);
        consequence(reader, count, &not_used("server", &entry.key));
    }
}

/// The rules of a list that can be read; the rest is reported.
fn rules(entry: &Entry, reader: &mut Reader<'_>) -> Vec<String> {
    let Value::List(items) = &entry.node.value else {
        reader.fault(entry.node.at.clone(), expected("a list of rules", &entry.node.value));
        return Vec::new();
    };
    let mut rules = Vec::new();
    for item in items {
        match value::some_text(item).and_then(|rule| Rules::check(&rule).map(|()| rule)) {
            Ok(rule) => rules.push(rule),
            Err(message) => reader.fault(item.at.clone(), message),
        }
    }
    rules
}

/// The rules of a list that cannot be read, as they stand; one that is no text is of every kind.
fn unread(entry: &Entry) -> Vec<String> {
    let Value::List(items) = &entry.node.value else { return vec![String::new()] };
    let texts = items.iter().map(|item| value::text(item).unwrap_or_default());
    texts.filter(|rule| Rules::check(rule).is_err()).collect()
}

fn variables(node: &Node, from: LayerName) -> Result<Vec<String>, String> {
    let names = value::texts(node)?;
    let odd = |name: &String| name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if names.iter().any(odd) {
        return Err("expected names of variables, found one with other characters than letters, digits and `_`".into());
    }
    match names.iter().find(|name| from == LayerName::Workspace && is_secret(name)) {
        None => Ok(names),
        Some(name) => Err(keeps(name, "looks like a secret")),
    }
}

/// Whether a variable is most likely one that holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["KEY", "SECRET", "TOKEN", "PASS", "AUTH", "CRED"].iter().any(|part| name.contains(part))
        || name.split('_').any(|part| part == "PAT")
}

fn keeps(name: &str, why: &str) -> String {
    format!("{name} {why}, and keys are never handed on by a workspace's file; name it in your own")
}

/// Takes the keys of providers, whatever they are called, from what a workspace's file hands on; any layer may name them.
pub(super) fn keep_keys(loaded: &mut Loaded) {
    let settings = &loaded.settings;
    let keys: Vec<String> = settings.providers.values().filter_map(|own| own.api_key_env.clone()).collect();
    let of_workspace =
        |key: &str| loaded.origins.get(key).is_some_and(|origin| origin.source.layer == LayerName::Workspace);
    // Some systems tell no case in them.
    let found = |env: &[String]| env.iter().find(|name| keys.iter().any(|key| key.eq_ignore_ascii_case(name))).cloned();
    let mut wrong = Vec::new();
    if let Some(name) = found(&settings.permissions.env).filter(|_| of_workspace("permissions.env")) {
        wrong.push((None, "permissions.env".to_owned(), name));
    }
    for (server, own) in &settings.mcp {
        let key = dotted(&["mcp", server.as_str(), "env"]);
        if let Some(name) = found(&own.env).filter(|_| of_workspace(&key)) {
            wrong.push((Some(server.clone()), key, name));
        }
    }
    for (server, key, name) in wrong {
        let mut message = keeps(&name, "holds the key of a provider");
        match server {
            None => loaded.settings.permissions.env.retain(|own| !keys.iter().any(|key| key.eq_ignore_ascii_case(own))),
            Some(server) => {
                loaded.settings.mcp.remove(&server);
                message = format!("{message} ({})", not_used("server", &server));
            }
        }
        let fault = fault_at(loaded, key, message);
        loaded.faults.push(fault);
    }
}

fn programs(into: &mut Vec<Vec<String>>, entry: &Entry, reader: &mut Reader<'_>) {
    reader.put(into, entry, |node| match &node.value {
        Value::List(items) => items.iter().map(program).collect(),
        other => Err(expected("a list of programs, each a list of text", other)),
    });
}

fn program(node: &Node) -> Result<Vec<String>, String> {
    const WHAT: &str = "a program with its arguments, as a list of text";
    let words = match &node.value {
        Value::List(_) => value::texts(node)?,
        other => return Err(expected(WHAT, other)),
    };
    if words.first().is_none_or(|program| program.trim().is_empty()) {
        return Err(format!("expected {WHAT}, found none"));
    }
    Ok(words)
}
