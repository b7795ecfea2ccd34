//! The rules of the house, held by tests: who may know whom, and what is in the documents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may know. A room knows only rooms that stand above it in this list, so no arrow
/// points up.
const ROOMS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("framing", &[]),
    ("log", &[]),
    ("text", &["protocol"]),
    ("edit", &["protocol", "text"]),
    ("editor", &["protocol", "text", "edit"]),
    ("permission", &["protocol", "editor"]),
    ("process", &[]),
    ("disk", &["text", "edit", "editor"]),
    ("web", &[]),
    ("settings", &["protocol", "permission"]),
    ("hooks", &["process", "settings"]),
    ("model", &["protocol", "settings"]),
    ("crash", &["log", "model"]),
    ("context", &["protocol", "settings", "model"]),
    (
        "tool",
        &["protocol", "text", "edit", "editor", "permission", "disk", "settings", "model", "context", "process", "web"],
    ),
    ("mcp", &["protocol", "permission", "settings", "model", "tool", "process", "web"]),
    ("store", &["crash", "protocol", "model", "context"]),
    (
        "agent",
        &[
            "crash",
            "protocol",
            "text",
            "editor",
            "permission",
            "process",
            "settings",
            "hooks",
            "model",
            "tool",
            "context",
        ],
    ),
    ("command", &["protocol", "settings"]),
    (
        "session",
        &[
            "protocol",
            "permission",
            "hooks",
            "editor",
            "edit",
            "text",
            "settings",
            "model",
            "tool",
            "context",
            "store",
            "agent",
        ],
    ),
    (
        "workspace",
        &[
            "crash",
            "protocol",
            "text",
            "edit",
            "editor",
            "permission",
            "process",
            "disk",
            "settings",
            "hooks",
            "mcp",
            "model",
            "tool",
            "context",
            "store",
            "agent",
            "command",
            "session",
        ],
    ),
    (
        "lsp",
        &[
            "crash",
            "protocol",
            "framing",
            "log",
            "text",
            "edit",
            "editor",
            "permission",
            "disk",
            "settings",
            "store",
            "command",
            "session",
            "workspace",
        ],
    ),
    (
        "cli",
        &[
            "protocol",
            "framing",
            "text",
            "edit",
            "process",
            "settings",
            "model",
            "tool",
            "context",
            "store",
            "session",
            "workspace",
        ],
    ),
];

/// Words that stand only where their room is. Tests beside the code are no part of the house.
const KEPT_IN: &[(&str, &str)] = &[
    ("tower_lsp", "lsp"),
    ("reqwest", "model"),
    ("reqwest", "web"),
    ("rmcp", "mcp"),
    // It is kept from logging what servers say.
    ("rmcp", "log"),
    ("sqlx", "store"),
    ("process::Command", "cli"),
    ("process::Command", "process"),
    // Programs that print keys.
    ("process::Command", "model/key"),
    ("std::fs::write", "cli"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file with the room that it belongs to and its text without tests.
fn sources() -> Vec<(String, PathBuf, String)> {
    let src = root().join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_test(&path) {
                let inside = path.strip_prefix(&src).expect("below src");
                let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = std::fs::read_to_string(&path).expect("text");
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
                found.push((room, path, code));
            }
        }
    }
    found
}

/// Files that a parent takes in under `#[cfg(test)]` alone.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    ["tests", "testing", "double", "cases"].iter().any(|test| name == *test || name.ends_with(&format!("_{test}")))
}

#[test]
fn no_arrow_points_up() {
    let mut above = BTreeSet::new();
    for (room, knows) in ROOMS {
        for known in *knows {
            assert!(above.contains(known), "the list itself: {room} knows {known}, which does not stand above it");
        }
        above.insert(*room);
    }
    for (room, path, code) in sources() {
        if room == "main" || room == "lib" {
            continue;
        }
        let (_, knows) = ROOMS.iter().find(|(name, _)| *name == room).unwrap_or_else(|| {
            panic!("{} is a room that nobody knows of; give it a place in this list", path.display())
        });
        for rest in code.split("crate::").skip(1) {
            let other: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let grouped = rest.starts_with('{');
            assert!(!grouped, "{}: write one `use crate::room::…` a line, so that arrows can be read", path.display());
            assert!(
                other == room || knows.contains(&other.as_str()),
                "{} knows crate::{other}; the rooms that {room} may know are {knows:?}",
                path.display()
            );
        }
    }
}

#[test]
fn what_belongs_to_one_room_stays_in_it() {
    let src = root().join("src");
    for (_, path, code) in sources() {
        let inside = path.strip_prefix(&src).expect("below src").with_extension("");
        for (word, _) in KEPT_IN {
            let homes: Vec<_> = KEPT_IN.iter().filter(|(other, _)| other == word).map(|(_, home)| *home).collect();
            let uses = code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(
                !uses || homes.iter().any(|home| inside.starts_with(home)),
                "{}: {word} belongs under {homes:?}",
                path.display()
            );
        }
    }
}

#[test]
fn every_event_and_command_is_in_the_protocol_page() {
    let page = std::fs::read_to_string(root().join("docs/protocol.md")).expect("docs/protocol.md");
    let protocol = std::fs::read_to_string(root().join("src/protocol.rs")).expect("src/protocol.rs");
    let events =
        protocol.split("pub enum Event {").nth(1).and_then(|rest| rest.split("\n}\n").next()).expect("the events");
    let mut names = Vec::new();
    for line in events.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ")) {
        let name: String = line.trim().chars().take_while(|c| c.is_alphanumeric()).collect();
        if name.starts_with(char::is_uppercase) {
            names.push(name);
        }
    }
    assert!(names.len() > 20, "the events were not found: {names:?}");
    for name in names {
        let mut word = name.clone();
        word[..1].make_ascii_lowercase();
        assert!(page.contains(&format!("`{word}")), "the event {word} is not in docs/protocol.md");
    }
    for command in [
        "run", "ask", "edit", "fix", "explain", "test", "document", "review", "cancel", "status", "events", "accept",
        "reject", "diff",
    ] {
        assert!(
            page.contains(&format!("`cowrite.{command}`")) || page.contains(&format!("`.{command}`")),
            "the command cowrite.{command} is not in docs/protocol.md"
        );
    }
}

#[test]
fn every_setting_is_in_the_protocol_page() {
    let page = std::fs::read_to_string(root().join("docs/protocol.md")).expect("docs/protocol.md");
    let schema = cowrite::settings::schema();
    let mut missing = BTreeSet::new();
    collect(&schema, &mut |name| {
        if !page.contains(name) {
            missing.insert(name.to_owned());
        }
    });
    assert!(missing.is_empty(), "settings that are not in docs/protocol.md: {missing:?}");
}

fn collect(schema: &serde_json::Value, seen: &mut impl FnMut(&str)) {
    match schema {
        serde_json::Value::Object(fields) => {
            if let Some(properties) = fields.get("properties").and_then(serde_json::Value::as_object) {
                properties.keys().for_each(|name| seen(name));
            }
            fields.values().for_each(|field| collect(field, seen));
        }
        serde_json::Value::Array(entries) => entries.iter().for_each(|entry| collect(entry, seen)),
        _ => {}
    }
}
