//! Prompts of servers, as commands.

use serde_json::{Map, Value};

use super::Workspace;
use crate::command::{Command, Parameter, TemplateContext, fill};
use crate::crash;
use crate::mcp::{Listed, Servers, is_of};
use crate::model::without_keys;
use crate::permission::{Rules, Ruling};

/// The prompts of a folder's servers.
pub struct Prompts {
    /// Each by the command that runs it.
    pub listed: Vec<Listed>,
    /// What is wrong with some servers, a sentence each.
    pub problems: Vec<String>,
}

impl Workspace {
    /// The prompts of the servers that are in force where a document lies; only with `start` a server is started for it, else those that
    /// do not run are known by what they said before.
    pub async fn prompts(&self, given: Option<&str>, start: bool) -> Prompts {
        let folder = self.folder_of(given).await;
        let force = self.forces.of(&folder).await;
        let (listed, problems) = self.serving.of(&folder, &force).prompts(start).await;
        Prompts { listed, problems }
    }

    /// Whether a command may be a prompt of a server that is in force where a document lies; it is not started for that.
    ///
    /// # Errors
    /// What was expected.
    pub async fn may_have(&self, command: &str, given: Option<&str>) -> Result<(), String> {
        let force = self.forces.of(&self.folder_of(given).await).await;
        if force.settings.mcp.keys().any(|server| is_of(server, command)) {
            return Ok(());
        }
        let servers: Vec<&str> = force.settings.mcp.keys().map(String::as_str).collect();
        let servers = if servers.is_empty() { "there is none".to_owned() } else { servers.join(", ") };
        Err(format!(
            "{command:?} is no prompt of a server that is in force here; expected SERVER__PROMPT of one of these: {servers}"
        ))
    }
}

/// What the model is asked by such a command.
pub(super) struct Asked {
    pub(super) text: String,
    /// Whether the selection is in it.
    pub(super) shows_selection: bool,
}

/// Asks the server for the prompt, with what is known of the place, and puts behind it what the person gave besides.
///
/// # Errors
/// A sentence for the person.
pub(super) async fn prompt(
    servers: &Servers,
    command: &Command,
    context: TemplateContext,
    rules: &Rules,
    most: usize,
) -> Result<Asked, String> {
    let name = command.name.clone();
    if let Ruling::Denied(rule) = rules.foreign(&name, &name) {
        return Err(format!("The rule {rule} denies the prompt {name}."));
    }
    let prompt = servers.prompt(&name).await?;
    let arguments = prompt.arguments().iter();
    let wanted: Vec<Parameter> =
        arguments.map(|one| Parameter { name: one.name.clone(), required: one.required }).collect();
    // On a thread for it: an argument may want the open buffers against the disk.
    let filled = tokio::task::spawn_blocking(move || fill(&name, &wanted, context))
        .await
        .map_err(|error| format!("The arguments could not be filled in: {}.", crash::why(&error)))?
        .map_err(|error| error.to_string())?;
    let mut values = Map::new();
    for (name, value) in filled.values {
        let value = without_keys(value).ok_or("The arguments could not be looked through for keys. Try again.")?;
        values.insert(name, Value::String(value));
    }
    let text = prompt.text(values, most).await?;
    Ok(Asked { text: text + &filled.rest, shows_selection: filled.shows_selection })
}
