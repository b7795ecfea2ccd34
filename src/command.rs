//! Commands: templates of prompts with what they need and how much they may do.
//!
//! The built-in ones are templates like a person's own, and a setting of the same name replaces one. To add a built-in
//! command, add its text to `command/builtin/` and its line to `command/builtin.rs`.

mod arguments;
mod builtin;
mod context;
mod render;

pub use arguments::{ArgumentsMissing, Filled, Parameter, fill};
pub use context::{Lazy, Lines, Problem, Severity, TemplateContext, lazy};
pub use render::{TemplateError, render};

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::protocol::Mode;
use crate::settings::{CommandKind, Needs, Settings, template};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name, without `cowrite.` before it.
    pub name: String,
    /// What a menu shows.
    pub title: String,
    /// Where an editor lists it.
    pub kind: CommandKind,
    /// What it needs.
    pub needs: Needs,
    /// Whether it makes no sense without a typed prompt.
    pub needs_prompt: bool,
    /// How much it may do unasked; the settings' own mode when absent.
    pub mode: Option<Mode>,
    /// Only these tools; all of them when absent.
    pub tools: Option<Vec<String>>,
    /// Whether it is one of the server's own templates.
    pub built_in: bool,
    /// Whether it is a prompt of another server: its text is asked for when it runs.
    pub foreign: bool,
    /// The text of its template.
    source: String,
    /// The variables that the template looks up; of the built-in ones found out once that is asked, not when the program starts.
    uses: OnceLock<Vec<String>>,
}

/// What is at hand where a command is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// A typed prompt.
    pub prompt: bool,
    /// A file.
    pub file: bool,
    /// A selection that is not empty.
    pub selection: bool,
    /// Diagnostics.
    pub diagnostics: bool,
}

/// What a command lacks: the argument's field, and what was expected in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is missing: expected {expected}")]
pub struct Missing {
    /// The field of the argument.
    pub field: &'static str,
    /// What belongs there.
    pub expected: String,
}

impl Command {
    /// What a run without a command is: the typed prompt with the place that it is about.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            name: "run".into(),
            title: "Run".into(),
            kind: CommandKind::Source,
            needs: Needs::Nothing,
            needs_prompt: true,
            mode: None,
            tools: None,
            built_in: true,
            foreign: false,
            source: "{{ prompt }}".into(),
            uses: vec!["prompt".into()].into(),
        }
    }

    /// A prompt of another server, where the name can be one: `server__prompt`. What it takes is known once the server is asked.
    #[must_use]
    pub fn foreign(name: &str) -> Option<Self> {
        // No command of the program or the person has such a name.
        let (server, own) = name.split_once("__")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if server.is_empty() || own.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            return None;
        }
        let plain = Self::plain();
        Some(Self {
            name: name.to_owned(),
            title: name.to_owned(),
            needs_prompt: false,
            built_in: false,
            foreign: true,
            ..plain
        })
    }

    /// The first thing that the command needs and that is not there.
    #[must_use]
    pub fn missing(&self, given: &Given) -> Option<Missing> {
        let what = &self.name;
        let missing = |field, expected| Some(Missing { field, expected });
        if self.needs_prompt && !given.prompt {
            return missing("prompt", format!("text that says what `{what}` is to do"));
        }
        match self.needs {
            Needs::Nothing => None,
            _ if !given.file => missing("uri", format!("the file that `{what}` is about")),
            Needs::Selection if !given.selection => missing("range", format!("a selection that `{what}` is about")),
            Needs::Diagnostics if !given.diagnostics => {
                missing("range", format!("a place with diagnostics, which `{what}` needs"))
            }
            Needs::File | Needs::Selection | Needs::Diagnostics => None,
        }
    }

    /// Whether a menu should offer it: nothing is missing, and what mends diagnostics finds some.
    #[must_use]
    pub fn fits(&self, given: &Given) -> bool {
        self.missing(given).is_none() && (self.kind != CommandKind::Quickfix || given.diagnostics)
    }

    /// Whether its template puts the whole buffer into the prompt.
    #[must_use]
    pub fn shows_content(&self) -> bool {
        self.uses("content")
    }

    fn uses(&self, variable: &str) -> bool {
        let uses = self.uses.get_or_init(|| template::check(&self.source).unwrap_or_default());
        uses.iter().any(|used| used == variable)
    }
}

/// The commands there are.
#[derive(Clone, Debug)]
pub struct Catalog {
    commands: BTreeMap<String, Arc<Command>>,
}

impl Catalog {
    /// The built-in commands, and those of the settings in front of them.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let own = settings.commands.iter().filter_map(|(name, command)| {
            // The settings were checked when they were read; a template that does not parse is not offered.
            let uses = template::check(&command.prompt).ok()?;
            Some(Command {
                name: name.clone(),
                title: command.title.clone(),
                kind: command.kind,
                needs: command.needs,
                needs_prompt: false,
                mode: command.mode,
                tools: command.tools.clone(),
                built_in: false,
                foreign: false,
                source: command.prompt.clone(),
                uses: uses.into(),
            })
        });
        let commands = builtin::all().chain(own).map(|command| (command.name.clone(), Arc::new(command))).collect();
        Self { commands }
    }

    /// A command by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Command>> {
        self.commands.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Command>> {
        self.commands.values()
    }

    /// Those that a menu should offer here, by name.
    pub fn fitting(&self, given: Given) -> impl Iterator<Item = &Arc<Command>> {
        self.iter().filter(move |command| command.fits(&given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Layer, LayerName, merge};

    fn catalog(toml: &str) -> Catalog {
        let loaded = merge(&[Layer::toml(LayerName::User, std::path::Path::new("c.toml"), toml)]);
        assert_eq!(loaded.faults, []);
        Catalog::new(&loaded.settings)
    }

    #[test]
    fn the_built_in_commands_are_those_of_the_protocol() {
        let catalog = catalog("");
        let names: Vec<_> = catalog.iter().map(|command| command.name.as_str()).collect();
        assert_eq!(names, ["ask", "document", "edit", "explain", "fix", "review", "test"]);
        for command in catalog.iter() {
            let needs = if ["ask", "review"].contains(&command.name.as_str()) { Needs::Nothing } else { Needs::File };
            assert_eq!(command.needs, needs, "{}", command.name);
        }
    }

    #[test]
    fn a_setting_of_the_same_name_replaces_a_built_in_command() {
        let catalog = catalog("[commands.fix]\nprompt = \"Mend it\"\n[commands.tidy-up]\nprompt = \"Tidy\"");
        let fix = catalog.get("fix").unwrap();
        assert_eq!((fix.title.as_str(), fix.built_in), ("Fix", false));
        assert_eq!(catalog.get("tidy-up").unwrap().title, "Tidy up");
        assert_eq!(catalog.iter().count(), 8);
    }

    #[test]
    fn a_menu_offers_what_makes_sense_at_the_place() {
        let catalog = catalog("[commands.tidy]\nprompt = \"Tidy {{ selection }}\"\nneeds = \"selection\"");
        let offered = |given| catalog.fitting(given).map(|command| command.name.as_str()).collect::<Vec<_>>();
        let file = Given { file: true, ..Given::default() };
        assert_eq!(offered(Given::default()), ["review"]);
        assert_eq!(offered(file), ["document", "explain", "review", "test"]);
        assert_eq!(offered(Given { selection: true, ..file }), ["document", "explain", "review", "test", "tidy"]);
        assert_eq!(offered(Given { diagnostics: true, ..file }), ["document", "explain", "fix", "review", "test"]);
    }

    #[test]
    fn what_is_missing_is_told_by_its_field() {
        let catalog = catalog("[commands.mend]\nprompt = \"Mend\"\nneeds = \"diagnostics\"");
        let told = |name: &str, given| catalog.get(name).unwrap().missing(&given).map(|missing| missing.to_string());
        let file = Given { file: true, ..Given::default() };
        assert_eq!(
            told("edit", file).as_deref(),
            Some("`prompt` is missing: expected text that says what `edit` is to do")
        );
        assert_eq!(
            told("fix", Given::default()).as_deref(),
            Some("`uri` is missing: expected the file that `fix` is about")
        );
        assert_eq!(
            told("mend", file).as_deref(),
            Some("`range` is missing: expected a place with diagnostics, which `mend` needs")
        );
        assert_eq!(told("fix", file), None);
        assert_eq!(told("review", Given::default()), None);
    }
}
