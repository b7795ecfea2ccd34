//! Which model is meant.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::Model;
use super::local;
use super::plan::{Plan, unusable};
use super::script::Scripted;
use crate::model::catalog::Catalog;
use crate::model::key::{Environment, Key};
use crate::model::remote::Remote;
use crate::model::script::Script;
use crate::model::{ModelError, Provider};
use crate::settings::{ProviderKind, Settings};

/// Which model was chosen, for the status and the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// `TABLE/MODEL`.
    pub name: String,
    /// Why it: "the setting model names it", "`ANTHROPIC_API_KEY` is set".
    pub why: String,
}

impl Choice {
    /// The provider's table.
    fn table(&self) -> &str {
        self.name.split_once('/').map_or(&*self.name, |(table, _)| table)
    }
}

/// A model that can be asked.
#[derive(Clone)]
pub struct Connected {
    /// Who answers.
    pub provider: Arc<dyn Provider>,
    /// Who summarises long conversations: the model that the settings name for it, else the same.
    pub summariser: Arc<dyn Provider>,
    /// Which one it is, and why.
    pub choice: Choice,
}

/// The model that the settings name, or the first one that can be found: a provider whose key is there, else a server on this
/// machine. Only servers on this machine are asked anything. `state` is the folder in which
/// what was learned of models is kept. The provider keeps its connections: whoever has one should keep it as long as the settings
/// stay.
///
/// # Errors
/// A sentence that says how to get a model.
pub async fn connect(settings: Arc<Settings>, state: Option<&Path>) -> Result<Connected, ModelError> {
    connect_with(settings, Environment::process(), state.map(Path::to_owned), &local::PORTS).await
}

pub(super) async fn connect_with(
    settings: Arc<Settings>,
    environment: Environment,
    state: Option<PathBuf>,
    ports: &[(&'static str, u16)],
) -> Result<Connected, ModelError> {
    // Settings, profiles, a script and the catalog are files, and reading them may take a moment.
    let deciding = {
        let (settings, environment) = (settings.clone(), environment.clone());
        move || decide(&settings, &environment)
    };
    let (choice, key) = match apart(deciding).await? {
        Ok(decided) => decided,
        Err(Unchosen::Nothing(error)) => (local::find(ports).await.ok_or(error)?, None),
        Err(Unchosen::Faulty(error)) => return Err(error),
    };
    if let Some(key) = key
        && let Some(missing) = key.missing().await
    {
        return Err(unusable(choice.table(), &[missing]));
    }
    let name = choice.name.clone();
    let building = move || {
        let catalog = Arc::new(Catalog::load(state.as_deref()));
        let provider = build(&settings, &environment, &name, catalog.clone())?;
        let other = settings.compaction.model.as_ref().filter(|other| **other != name);
        let summariser = other.and_then(|other| match build(&settings, &environment, other, catalog) {
            Ok(summariser) => Some(summariser),
            Err(error) => {
                tracing::warn!(%error, "compaction.model cannot be used; the session's own model summarises");
                None
            }
        });
        Ok((provider.clone(), summariser.unwrap_or(provider)))
    };
    let (provider, summariser) = apart(building).await??;
    Ok(Connected { provider, summariser, choice })
}

/// Does something on a thread that may wait for the disk.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ModelError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ModelError::NotConfigured("The model was not set up: Cowrite failed inside; try again.".into()))
}

/// The choice, and where its key comes from.
fn decide(settings: &Settings, environment: &Environment) -> Result<(Choice, Option<Key>), Unchosen> {
    let choice = choose_in(settings, environment)?;
    let plan = Plan::of(settings, environment, choice.table())?;
    let key = match plan.kind {
        ProviderKind::Script => None,
        _ => Some(plan.reach(settings, environment)?.key),
    };
    Ok((choice, key))
}

/// The provider of a model by its name.
pub(super) fn build(
    settings: &Settings,
    environment: &Environment,
    name: &str,
    catalog: Arc<Catalog>,
) -> Result<Arc<dyn Provider>, ModelError> {
    let (table, model) = split(name)?;
    let (plan, known) =
        (Plan::of(settings, environment, table)?, settings.models.get(name).cloned().unwrap_or_default());
    if plan.kind == ProviderKind::Script {
        let script = Script::load(plan.settings.path.as_deref())?;
        return Ok(Arc::new(Scripted::new(name.to_owned(), known.context, script)));
    }
    let reach = plan.reach(settings, environment)?;
    let model =
        Model { id: plan.sent_as(model).to_owned(), max_output: known.max_output, temperature: known.temperature };
    let wire = plan.wire(&reach, model.clone());
    Ok(Arc::new(Remote::new(name.to_owned(), known.context, wire, plan.endpoint(reach, &model, catalog))))
}

/// Why no model is chosen.
pub(super) enum Unchosen {
    /// Nothing says which one is meant.
    Nothing(ModelError),
    /// What says it cannot be used.
    Faulty(ModelError),
}

impl From<ModelError> for Unchosen {
    fn from(error: ModelError) -> Self {
        Self::Faulty(error)
    }
}

pub(super) fn choose_in(settings: &Settings, environment: &Environment) -> Result<Choice, Unchosen> {
    if let Some(name) = &settings.model {
        let (table, _) = split(name)?;
        Plan::of(settings, environment, table)?;
        return Ok(Choice { name: name.clone(), why: "the setting model names it".to_owned() });
    }
    let unusable = &settings.unusable;
    if unusable.model.is_some() {
        return Err(unchosen(&unusable.faults().unwrap_or_default(), &[]).into());
    }
    // A script answers always, so it comes after everything that may be meant in earnest.
    let scripted =
        |table: &&str| Plan::of(settings, environment, table).is_ok_and(|plan| plan.kind == ProviderKind::Script);
    let configured = || settings.providers.keys().map(String::as_str);
    // Where a fault hides what was meant, somebody's code must not go to a public host instead.
    let faults = unusable.faults();
    let built_in: &[_] = if faults.is_some() { &[] } else { &["anthropic", "openai", "gemini", "cohere"] };
    let built_in = built_in.iter().copied().filter(|table| !settings.providers.contains_key(*table));
    let tables = configured().filter(|table| !scripted(table)).chain(built_in).chain(configured().filter(scripted));
    let mut unfit = Vec::new();
    for table in tables {
        match Plan::of(settings, environment, table).and_then(|plan| plan.choice(settings, environment)) {
            // Whoever described another provider shall see why that one is not asked.
            Ok(choice) => return Ok(Choice { why: format!("{}{}", choice.why, passed_over(&unfit)), ..choice }),
            Err(error) if settings.providers.contains_key(table) => unfit.push(format!(" {error}")),
            Err(_) => {}
        }
    }
    if let Some(faults) = faults {
        return Err(unchosen(&faults, &unfit).into());
    }
    let nothing = ModelError::NotConfigured(format!(
        "No model is set up: set ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or COHERE_API_KEY in the environment \
         that the editor starts from, or start a local server (Ollama, llama.cpp, LM Studio or vLLM, on its usual port), \
         or describe a provider in config.toml ([providers.local] with kind = \"openai-chat\" and base_url = \
         \"http://127.0.0.1:8080/v1\", then model = \"local/NAME\"). To look around without a model, set model = \
         \"scripted/demo\".{}",
        unfit.concat()
    ));
    // Whoever described a provider means that one, and hears what it lacks.
    Err(if unfit.is_empty() { Unchosen::Nothing(nothing) } else { Unchosen::Faulty(nothing) })
}

/// `TABLE/MODEL`, split at the first slash: a model's own name may hold more of them.
pub(super) fn split(name: &str) -> Result<(&str, &str), ModelError> {
    match name.split_once('/') {
        Some((table, model)) if !table.is_empty() && !model.is_empty() => Ok((table, model)),
        _ => Err(ModelError::NotConfigured(format!(
            "The setting model is {name:?}, and should be TABLE/MODEL, for instance anthropic/claude-sonnet-5-5."
        ))),
    }
}

/// What is said of providers that were described, and cannot be used as things are.
fn passed_over(unfit: &[String]) -> String {
    if unfit.is_empty() { String::new() } else { format!("; passed over:{}", unfit.concat()) }
}

fn unchosen(faults: &str, unfit: &[String]) -> ModelError {
    ModelError::NotConfigured(format!(
        "No model is chosen because of a fault in the settings that may hide which one is meant ({faults}); mend it.{}",
        unfit.concat()
    ))
}

#[cfg(test)]
mod tests;
