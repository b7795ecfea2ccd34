//! The server's own commands.

use std::sync::OnceLock;

use super::Command;
use crate::protocol::Mode;
use crate::settings::{CommandKind, Needs};

struct BuiltIn {
    name: &'static str,
    title: &'static str,
    kind: CommandKind,
    needs: Needs,
    needs_prompt: bool,
    mode: Option<Mode>,
    source: &'static str,
}

const ALL: [BuiltIn; 7] = [
    BuiltIn {
        name: "ask",
        title: "Ask",
        kind: CommandKind::Source,
        needs: Needs::Nothing,
        needs_prompt: true,
        mode: Some(Mode::Plan),
        source: include_str!("builtin/ask.md.j2"),
    },
    BuiltIn {
        name: "edit",
        title: "Edit",
        kind: CommandKind::Rewrite,
        needs: Needs::File,
        needs_prompt: true,
        mode: None,
        source: include_str!("builtin/edit.md.j2"),
    },
    BuiltIn {
        name: "fix",
        title: "Fix",
        kind: CommandKind::Quickfix,
        needs: Needs::File,
        needs_prompt: false,
        mode: None,
        source: include_str!("builtin/fix.md.j2"),
    },
    BuiltIn {
        name: "explain",
        title: "Explain",
        kind: CommandKind::Rewrite,
        needs: Needs::File,
        needs_prompt: false,
        mode: Some(Mode::Plan),
        source: include_str!("builtin/explain.md.j2"),
    },
    BuiltIn {
        name: "test",
        title: "Write tests",
        kind: CommandKind::Rewrite,
        needs: Needs::File,
        needs_prompt: false,
        mode: None,
        source: include_str!("builtin/test.md.j2"),
    },
    BuiltIn {
        name: "document",
        title: "Document",
        kind: CommandKind::Rewrite,
        needs: Needs::File,
        needs_prompt: false,
        mode: None,
        source: include_str!("builtin/document.md.j2"),
    },
    BuiltIn {
        name: "review",
        title: "Review",
        kind: CommandKind::Source,
        needs: Needs::Nothing,
        needs_prompt: false,
        mode: Some(Mode::Plan),
        source: include_str!("builtin/review.md.j2"),
    },
];

/// The built-in commands. A test says that their templates parse.
pub(super) fn all() -> impl Iterator<Item = Command> {
    ALL.iter().map(|command| Command {
        name: command.name.to_owned(),
        title: command.title.to_owned(),
        kind: command.kind,
        needs: command.needs,
        needs_prompt: command.needs_prompt,
        mode: command.mode,
        tools: None,
        built_in: true,
        foreign: false,
        source: command.source.to_owned(),
        uses: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::template;

    #[test]
    fn every_built_in_template_parses_and_knows_its_variables() {
        for command in &ALL {
            assert_eq!(template::check(command.source).err(), None, "{}", command.name);
        }
    }
}
