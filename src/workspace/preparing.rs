//! From what was asked for to what a run works with: the model, the place, the prompt, the tools.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::foreign;
use super::trust::InForce;
use super::{Ask, Target, commands, rules};
use crate::agent::{Scope, Setup, system_prompt};
use crate::command::{Command, Lines, TemplateContext, lazy, render};
use crate::context::recall::Recall;
use crate::crash;
use crate::disk;
use crate::edit::unified;
use crate::editor::{Editor, Place};
use crate::hooks::Hooks;
use crate::mcp::{RESOURCES, Servers};
use crate::model::wire::{self, Connected};
use crate::model::without_keys;
use crate::model::{Item, ModelError, Provider};
use crate::permission::{Access, Gate, Remembered, Roots, Rules};
use crate::process;
use crate::protocol::{Mode, SessionId, now_ms, utc};
use crate::session::{Known, Outlet, Ready};
use crate::settings::{EditFormat, Settings};
use crate::store;
use crate::text::Snapshot;
use crate::tool::{Reads, Registry};

/// Where the connected provider stands, once there is one. Held while it is connected, so that that is done once; document
/// changes never come here.
/// One for each pair of models that a workspace's settings name: who answers and who summarises.
pub(super) type Slot = Mutex<HashMap<Models, Connected>>;

type Models = (Option<String>, Option<String>);

/// The provider, connected once. A failure is not kept: the key may be there next time.
pub(super) async fn connected(
    slot: &Slot,
    settings: &Arc<Settings>,
    state: Option<&Path>,
) -> Result<Connected, ModelError> {
    let mut slot = slot.lock().await;
    // Where requests go and with which key is never a workspace's own affair.
    let models = (settings.model.clone(), settings.compaction.model.clone());
    if let Some(connected) = slot.get(&models) {
        return Ok(connected.clone());
    }
    let connected = wire::connect(settings.clone(), state).await?;
    slot.insert(models, connected.clone());
    Ok(connected)
}

/// Tokens that an answer may take of what the model can hold; 0 while nobody says.
pub(super) fn max_output(settings: &Settings, provider: &dyn Provider) -> u64 {
    let model = settings.models.get(provider.name());
    model.and_then(|model| model.max_output).or_else(|| provider.max_output()).unwrap_or(0)
}

/// The folders, and the buffers that are inside though no folder holds them: those without a file, and where there is
/// no folder at all every open one.
pub(super) fn with_buffers(roots: &RwLock<Roots>, editor: &dyn Editor) -> Roots {
    let roots = roots.read().unwrap_or_else(PoisonError::into_inner).clone();
    let everything = roots.folders().is_empty();
    let inside = |place: &Place| everything || place.path().is_none();
    let buffers = editor.open().into_iter().map(|(place, _)| place).filter(inside).collect();
    roots.with_buffers(buffers)
}

/// The hooks of a folder, as the settings in force there name them. What is wrong with them the person is told.
pub(super) fn hooks(force: &InForce, folder: &str, outlet: Arc<dyn Outlet>) -> Hooks {
    let say = move |fault: String| outlet.say(without_keys(fault).unwrap_or_else(|| "A hook failed.".into()));
    let start = (force.start.clone(), commands::harmless(&force.settings));
    Hooks::new(force.settings.hooks.clone(), folder.to_owned(), start, Some(Arc::new(say)))
}

/// What it takes to set a run up, once it leaves the queue.
pub(super) struct Preparing {
    pub(super) ask: Ask,
    pub(super) mode: Mode,
    /// What is in force in its folder.
    pub(super) force: InForce,
    /// What the person allowed for the session.
    pub(super) allowed: Arc<Remembered>,
    /// The session's folder; empty for none.
    pub(super) folder: Arc<str>,
    pub(super) editor: Arc<dyn Editor>,
    pub(super) roots: Arc<RwLock<Roots>>,
    pub(super) reads: Arc<Reads>,
    pub(super) provider: Arc<Slot>,
    /// The session that it runs in.
    pub(super) session: SessionId,
    /// Searches what that session has recorded.
    pub(super) recall: Arc<dyn Recall>,
    /// The state folder, where what is known of models lies.
    pub(super) state: Option<PathBuf>,
    /// The folder's servers.
    pub(super) servers: Arc<Servers>,
    /// Who tells the person what is wrong.
    pub(super) outlet: Arc<dyn Outlet>,
    /// What is waited for before the process ends.
    pub(super) tasks: TaskTracker,
}

impl Preparing {
    pub(super) async fn setup(self, known: Known) -> Result<Ready, String> {
        let connected = connected(&self.provider, &self.force.settings, self.state.as_deref())
            .await
            .map_err(|error| error.to_string())?;
        let provider = connected.provider;
        let permissions = &self.force.settings.permissions;
        let ruling = Arc::new(Rules::new(&permissions.allow, &permissions.deny));
        let roots = with_buffers(&self.roots, self.editor.as_ref()).with_rules(ruling.clone());
        let roots = roots.with_git_folders().with_programs(commands::started(&self.force.settings), &self.force.start);
        let gate = Gate {
            rules: ruling,
            mode: self.mode,
            sandboxed: sandbox().await.is_ok(),
            remembered: self.allowed.clone(),
        };
        let hooks = hooks(&self.force, &self.folder, self.outlet.clone());
        let target = match &self.ask.target {
            None => None,
            Some(target) => Some(self.target(target, &roots).await?),
        };
        let prompt = self.prompt(target.as_ref(), &roots, &gate.rules).await?;
        let tools = self.tools(provider.name()).await;
        let place = target.as_ref().map(|(place, _)| place);
        let (system, notes, rules) = self.opening(known, &tools, &roots, place).await?;
        let max_output = max_output(&self.force.settings, provider.as_ref());
        let commands = Arc::new(commands::commands(&self.force.settings));
        let setup = Setup {
            max_output,
            typed: self.typed(&prompt),
            compaction: self.force.settings.compaction.clone(),
            summariser: connected.summariser,
            rules: rules.iter().map(|rules| rules.path.clone()).collect(),
            system,
            provider,
            tools,
            prompt,
            editor: self.editor,
            roots,
            reads: self.reads,
            limits: self.force.settings.limits.clone(),
            mode: self.mode,
            conversation: self.session.to_string().into(),
            recall: self.recall,
            gate,
            commands,
            verify: self.force.settings.verify.commands.clone(),
            hooks: Arc::new(hooks),
            tasks: self.tasks,
        };
        Ok(Ready { setup, notes, rules })
    }

    /// The system prompt, what the model must hear before the run's own prompt, and the rules files that it has been given by
    /// then. The prompt is rendered once in a session; afterwards it stands as it is, and what differs is told in notes.
    async fn opening(
        &self,
        known: Known,
        tools: &Registry,
        roots: &Roots,
        target: Option<&Place>,
    ) -> Result<(Arc<str>, Vec<Item>, Vec<store::Rules>), String> {
        let editor = self.editor.as_ref();
        let mut names: Vec<String> = tools.specs().iter().map(|spec| spec.name.clone()).collect();
        names.sort();
        let may_edit = names.iter().any(|name| tools.access(name) == Access::Write);
        let Some(system) = known.system else {
            let told = rules::first(editor, roots, target).await?;
            let scope = Scope {
                date: utc(now_ms()).chars().take_while(|c| *c != ' ').collect(),
                folders: roots.folders().iter().map(|folder| folder_name(folder)).collect(),
                tools: names,
                may_edit,
                trusted: self.force.trusted,
                rules: told.texts.into_iter().map(|(_, text)| text).collect(),
            };
            return Ok((system_prompt(&scope)?.into(), Vec::new(), told.rules));
        };
        let told = rules::since(&known.rules, editor, roots, target).await?;
        let standing = |(path, text): (String, String)| Item::standing(format!("rules {path}"), text);
        let mut notes: Vec<Item> = told.texts.into_iter().map(standing).collect();
        if names != known.tools {
            // The system prompt stands below it and names others.
            notes.push(Item::standing("the tools on offer", tools_note(&names, may_edit)));
        }
        Ok((system, notes, told.rules))
    }

    async fn target(&self, target: &Target, roots: &Roots) -> Result<(Place, Snapshot), String> {
        let place = roots.resolve(&target.given, Access::Read).map_err(|denied| {
            format!("{denied}. Open its folder in the editor, or ask about a file of the workspace.")
        })?;
        let snapshot = match &target.snapshot {
            Some(snapshot) => snapshot.clone(),
            None => self.editor.read(&place).await.map_err(|error| error.to_string())?,
        };
        Ok((place, snapshot))
    }

    /// What the model is asked. Rendered on a thread for it: a template may want the open buffers against the disk.
    async fn prompt(&self, target: Option<&(Place, Snapshot)>, roots: &Roots, rules: &Rules) -> Result<String, String> {
        let context = self.context(target, roots);
        let command = self.ask.command.clone().unwrap_or_else(|| Arc::new(Command::plain()));
        if command.foreign {
            let most = self.force.settings.limits.tool_output_bytes;
            let asked = foreign::prompt(&self.servers, &command, context, rules, most).await?;
            if let Some((place, snapshot)) = target.filter(|_| asked.shows_selection) {
                self.reads.note_part(place, snapshot);
            }
            return Ok(asked.text);
        }
        // What the program puts into a request counts as read.
        if let Some((place, snapshot)) = target {
            if command.shows_content() {
                self.reads.note(place, snapshot);
            } else if context.selection.is_some() {
                self.reads.note_part(place, snapshot);
            }
        }
        tokio::task::spawn_blocking(move || render(&command, context))
            .await
            .map_err(|error| format!("The prompt could not be rendered: {}.", crash::why(&error)))?
            .map_err(|error| error.to_string())
    }

    /// The person's own words, where the prompt says more than those.
    fn typed(&self, prompt: &str) -> Option<String> {
        let typed = self.ask.prompt.clone();
        let typed = typed.or_else(|| self.ask.command.as_ref().map(|command| command.title.clone()))?;
        (typed != prompt).then_some(typed)
    }

    /// What a template can say about where the command was asked for. What is costly is made when it is used.
    fn context(&self, target: Option<&(Place, Snapshot)>, roots: &Roots) -> TemplateContext {
        let open: Vec<(Place, Snapshot)> =
            self.editor.open().into_iter().filter(|(place, _)| roots.admits(place)).collect();
        let mut context = TemplateContext {
            prompt: self.ask.prompt.clone(),
            open_files: open.iter().map(|(place, _)| place.to_string()).collect(),
            workspace: roots.folders().first().map(|folder| folder.display().to_string()),
            unsaved_diff: Some(lazy(move || unsaved_diff(&open))),
            ..TemplateContext::default()
        };
        let Some(((place, snapshot), asked)) = target.zip(self.ask.target.as_ref()) else { return context };
        let content = snapshot.clone();
        context.file = Some(place.to_string());
        context.language = Some(snapshot.language().to_owned()).filter(|language| !language.is_empty());
        context.content = Some(lazy(move || Some(content.lf())));
        context.diagnostics.clone_from(&asked.diagnostics);
        if let Some(range) = asked.range {
            let selected = range.start != range.end;
            // A selection that ends at the beginning of a line does not reach into it.
            let last = if selected && range.end.character == 0 { range.end.line } else { range.end.line + 1 };
            context.lines = Some(Lines { first: range.start.line + 1, last: last.max(range.start.line + 1) });
            if selected {
                context.selection = Some(snapshot.lf_slice(range, self.editor.encoding()).into());
            }
        }
        context
    }

    /// What is on offer to a model: each gets the form of edits that it does best with. Servers are started here, when the run may
    /// use them.
    async fn tools(&self, model: &str) -> Registry {
        let set = self.force.settings.models.get(model).and_then(|model| model.edit_format);
        let named = self.ask.command.as_ref().and_then(|command| command.tools.as_ref());
        let foreign = named.is_none_or(|names| names.iter().any(|name| name.contains("__") || name == RESOURCES));
        let mut all = Registry::all();
        if foreign && self.mode != Mode::Plan {
            let (tools, wrong) = self.servers.tools().await;
            wrong.into_iter().for_each(|sentence| self.outlet.say(sentence));
            all = all.with(tools);
        }
        let all = match named {
            Some(names) => all.only(names),
            None => all,
        };
        let all = all.in_form(set.unwrap_or_else(|| EditFormat::of_family(model)));
        if self.mode == Mode::Plan { all.reading() } else { all }
    }
}

/// Why commands cannot be held here; found out once, by starting a program.
pub(super) async fn sandbox() -> Result<(), String> {
    let found = tokio::task::spawn_blocking(process::sandbox).await;
    found.unwrap_or_else(|error| Err(crash::why(&error).to_owned()))
}

/// What is in the buffers and not on disk; `None` when nothing is.
fn unsaved_diff(open: &[(Place, Snapshot)]) -> Option<String> {
    let mut all = String::new();
    for (place, buffer) in open {
        // A new file is wholly unsaved; one that cannot be read is not compared.
        let saved = match disk::read(place) {
            Ok(saved) => saved.lf(),
            Err(crate::editor::ReadError::Missing(_)) => String::new(),
            Err(_) => continue,
        };
        all.push_str(&unified(&place.to_string(), &saved, &buffer.lf()));
    }
    (!all.is_empty()).then_some(all)
}

/// What a run is told whose tools are not those of the system prompt.
fn tools_note(names: &[String], may_edit: bool) -> String {
    let offered = if names.is_empty() {
        "In this run no tools are on offer.".to_owned()
    } else {
        format!("In this run these tools are on offer: {}.", names.join(", "))
    };
    let files = if may_edit {
        "Files may be changed in it."
    } else {
        "Files cannot be changed in it: explain what should change instead."
    };
    format!("{offered} {files}")
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
