//! Which model is meant.

use std::sync::Arc;
use std::time::Duration;

use super::anthropic::Anthropic;
use super::openai_chat::OpenaiChat;
use super::script::Scripted;
use crate::model::http::Http;
use crate::model::key::{Environment, Key};
use crate::model::remote::Remote;
use crate::model::script::Script;
use crate::model::{ModelError, Provider};
use crate::settings::{ProviderKind, ProviderSettings, Settings};

const OPENAI_HOST: &str = "api.openai.com";

/// The model that the settings name, or the first one that can be found. Nothing is connected yet. The provider keeps
/// its connections: whoever has one should keep it as long as the settings stay.
///
/// # Errors
/// A sentence that says how to get a model.
pub fn connect(settings: &Settings) -> Result<Arc<dyn Provider>, ModelError> {
    connect_in(settings, &Environment::process())
}

/// Which model was chosen, for the status and the doctor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// `TABLE/MODEL`.
    pub name: String,
    /// Why it: "the setting model", "ANTHROPIC_API_KEY is set".
    pub why: String,
}

/// The choice that [`connect`] makes, without making a provider.
///
/// # Errors
/// The same.
pub fn choose(settings: &Settings) -> Result<Choice, ModelError> {
    choose_in(settings, &Environment::process())
}

pub(super) fn connect_in(settings: &Settings, environment: &Environment) -> Result<Arc<dyn Provider>, ModelError> {
    let name = choose_in(settings, environment)?.name;
    let (table, model) = split(&name)?;
    let (plan, known) =
        (Plan::of(settings, environment, table)?, settings.models.get(&name).cloned().unwrap_or_default());
    let (kind, http, key) = match plan.endpoint(settings, environment)? {
        Endpoint::Script => {
            let script = Script::load(plan.settings.path.as_deref())?;
            return Ok(Arc::new(Scripted::new(name, known.context, script)));
        }
        Endpoint::Remote(http, key) => (plan.kind, http, key),
    };
    let (model, max_output, temperature) = (model.to_owned(), known.max_output, known.temperature);
    let wire: Box<dyn super::Wire> = match kind {
        ProviderKind::Anthropic => Box::new(Anthropic { name: name.clone(), model, max_output, temperature }),
        ProviderKind::OpenaiChat | ProviderKind::Ollama | ProviderKind::Script => {
            let own_host = http.host_name() == OPENAI_HOST;
            Box::new(OpenaiChat { model, own_host, max_output, temperature })
        }
    };
    Ok(Arc::new(Remote::new(name, known.context, wire, http, key)))
}

fn choose_in(settings: &Settings, environment: &Environment) -> Result<Choice, ModelError> {
    if let Some(name) = &settings.model {
        let (table, _) = split(name)?;
        Plan::of(settings, environment, table)?;
        return Ok(Choice { name: name.clone(), why: "the setting model names it".to_owned() });
    }
    let unusable = &settings.unusable;
    if unusable.model.is_some() {
        return Err(unchosen(&unusable.faults().unwrap_or_default(), &[]));
    }
    // A script answers always, so it comes after everything that may be meant in earnest.
    let scripted =
        |table: &&str| Plan::of(settings, environment, table).is_ok_and(|plan| plan.kind == ProviderKind::Script);
    let configured = || settings.providers.keys().map(String::as_str);
    // Where a fault hides what was meant, somebody's code must not go to a public host instead.
    let faults = unusable.faults();
    let built_in: &[_] = if faults.is_some() { &[] } else { &["anthropic", "openai"] };
    let built_in = built_in.iter().copied().filter(|table| !settings.providers.contains_key(*table));
    let tables = configured().filter(|table| !scripted(table)).chain(built_in).chain(configured().filter(scripted));
    let mut unfit = Vec::new();
    for table in tables {
        match Plan::of(settings, environment, table).and_then(|plan| plan.choice(settings, environment)) {
            Ok(choice) => return Ok(choice),
            Err(error) if settings.providers.contains_key(table) => unfit.push(format!(" {error}")),
            Err(_) => {}
        }
    }
    if let Some(faults) = faults {
        return Err(unchosen(&faults, &unfit));
    }
    Err(ModelError::NotConfigured(format!(
        "No model is set up: set ANTHROPIC_API_KEY or OPENAI_API_KEY in the environment that the editor starts from, or \
         name a local server in config.toml ([providers.local] with kind = \"openai-chat\" and base_url = \
         \"http://127.0.0.1:8080/v1\", then model = \"local/NAME\"). To look around without a model, set model = \
         \"scripted/demo\".{}",
        unfit.concat()
    )))
}

/// `TABLE/MODEL`, split at the first slash: a model's own name may hold more of them.
fn split(name: &str) -> Result<(&str, &str), ModelError> {
    match name.split_once('/') {
        Some((table, model)) if !table.is_empty() && !model.is_empty() => Ok((table, model)),
        _ => Err(ModelError::NotConfigured(format!(
            "The setting model is {name:?}, and should be TABLE/MODEL, for instance anthropic/claude-sonnet-5-5."
        ))),
    }
}

/// A provider as the settings and the built-in defaults describe it.
struct Plan<'a> {
    table: &'a str,
    kind: ProviderKind,
    settings: ProviderSettings,
    /// Whether the person wrote the table.
    written: bool,
}

enum Endpoint {
    Script,
    Remote(Http, Key),
}

impl<'a> Plan<'a> {
    fn of(settings: &Settings, environment: &Environment, table: &'a str) -> Result<Self, ModelError> {
        let Some(written) = settings.providers.get(table) else {
            if let Some(fault) = settings.unusable.providers.get(table) {
                return Err(ModelError::NotConfigured(format!(
                    "The provider {table} is not used because of a fault in the settings ({fault}); mend it."
                )));
            }
            let kind = ProviderKind::unwritten(table);
            if let Some(fault) = &settings.unusable.unread
                && !kind.is_some_and(ProviderKind::is_local)
            {
                return Err(ModelError::NotConfigured(format!(
                    "The provider {table} is not used because what the settings may say of it could not be read \
                     ({fault}); mend it."
                )));
            }
            let Some(kind) = kind else {
                return Err(ModelError::NotConfigured(format!(
                    "The settings have no provider {table}; write a table [providers.{table}] with its kind."
                )));
            };
            return Ok(Self { table, kind, settings: ProviderSettings::default(), written: false });
        };
        let Some(kind) = written.kind.or_else(|| ProviderKind::unwritten(table)) else {
            let mut missing = vec!["it needs kind (anthropic, openai-chat, ollama or script)".to_owned()];
            let base = written.base_url.as_deref().map(|base| Http::new(base, written.insecure, Duration::ZERO));
            missing.extend(base.and_then(Result::err));
            let key = written.api_key_env.as_deref().filter(|variable| environment.secret(variable).is_none());
            missing.extend(key.map(empty));
            return Err(unusable(table, &missing));
        };
        Ok(Self { table, kind, settings: written.clone(), written: true })
    }

    /// This provider with its usual model, when it can be used.
    fn choice(&self, settings: &Settings, environment: &Environment) -> Result<Choice, ModelError> {
        let Self { table, .. } = self;
        let endpoint = self.endpoint(settings, environment)?;
        let model = self.default_model(settings).ok_or_else(|| {
            let text = format!("Of the provider {table} no model is known: name one with model = \"{table}/NAME\".");
            ModelError::NotConfigured(text)
        })?;
        let variable = match endpoint {
            Endpoint::Script => None,
            Endpoint::Remote(..) => self.key_variable().filter(|variable| environment.secret(variable).is_some()),
        };
        let why = variable
            .map_or_else(|| format!("providers.{table} is in the settings"), |variable| format!("{variable} is set"));
        Ok(Choice { name: format!("{table}/{model}"), why })
    }

    /// The address and the key, with everything that is missing named at once.
    fn endpoint(&self, settings: &Settings, environment: &Environment) -> Result<Endpoint, ModelError> {
        if self.kind == ProviderKind::Script {
            return Ok(Endpoint::Script);
        }
        let idle = Duration::from_secs(settings.limits.idle_seconds);
        let http = Http::new(&self.base_url(), self.settings.insecure, idle);
        let variable = self.key_variable();
        // Servers on this machine mostly want no key; one that was named is meant to be sent.
        let local = http.as_ref().is_ok_and(Http::loopback);
        let required = variable.is_some() && (!local || self.settings.api_key_env.is_some());
        let key = Key::new(environment.clone(), variable.clone(), required);
        let mut missing: Vec<String> = http.as_ref().err().cloned().into_iter().collect();
        if !key.present() {
            missing.push(empty(&variable.unwrap_or_default()));
        }
        match (http, missing.is_empty()) {
            (Ok(http), true) => Ok(Endpoint::Remote(http, key)),
            _ => Err(unusable(self.table, &missing)),
        }
    }

    fn base_url(&self) -> String {
        let own = self.settings.base_url.as_deref();
        let base = own.unwrap_or(match self.kind {
            ProviderKind::Anthropic => "https://api.anthropic.com",
            ProviderKind::Ollama => "http://127.0.0.1:11434/v1",
            ProviderKind::OpenaiChat | ProviderKind::Script => "https://api.openai.com/v1",
        });
        let base = base.trim_end_matches('/');
        match self.kind {
            // The wire's own path begins with it, and people write it nevertheless.
            ProviderKind::Anthropic => base.strip_suffix("/v1").unwrap_or(base).to_owned(),
            _ => base.to_owned(),
        }
    }

    /// OpenAI's key goes to OpenAI only: another host gets a key when one was named for it.
    fn key_variable(&self) -> Option<String> {
        self.settings.api_key_env.clone().or_else(|| match self.kind {
            ProviderKind::Anthropic => Some("ANTHROPIC_API_KEY".to_owned()),
            ProviderKind::OpenaiChat if self.openai() => Some("OPENAI_API_KEY".to_owned()),
            _ => None,
        })
    }

    fn openai(&self) -> bool {
        let http = Http::new(&self.base_url(), true, Duration::ZERO);
        self.kind == ProviderKind::OpenaiChat && http.is_ok_and(|http| http.host_name() == OPENAI_HOST)
    }

    /// The model when none is named: the first that the settings know something of, else the kind's usual one.
    fn default_model(&self, settings: &Settings) -> Option<String> {
        let known = settings.models.keys().find_map(|name| name.strip_prefix(self.table)?.strip_prefix('/'));
        match (known, self.kind) {
            (Some(known), _) => Some(known.to_owned()),
            (None, ProviderKind::Anthropic) => Some("claude-sonnet-5-5".to_owned()),
            // Newer models refuse tools together with reasoning on this wire.
            (None, ProviderKind::OpenaiChat) if self.openai() => Some("gpt-4.1".to_owned()),
            (None, ProviderKind::Script) if self.written => Some("demo".to_owned()),
            _ => None,
        }
    }
}

fn unchosen(faults: &str, unfit: &[String]) -> ModelError {
    ModelError::NotConfigured(format!(
        "No model is chosen because of a fault in the settings that may hide which one is meant ({faults}); mend it.{}",
        unfit.concat()
    ))
}

fn unusable(table: &str, missing: &[String]) -> ModelError {
    ModelError::NotConfigured(format!("The provider {table} cannot be used: {}.", missing.join("; also, ")))
}

fn empty(variable: &str) -> String {
    format!("the environment variable {variable} is empty; set it where the editor starts from")
}

#[cfg(test)]
mod tests;
