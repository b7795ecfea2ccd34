//! A provider as the settings and the built-in defaults describe it: where requests go, with which key, and what is
//! missing for that.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::anthropic::{self, Anthropic};
use super::azure::Azure;
use super::bedrock::{self, Bedrock};
use super::choose::Choice;
use super::cohere::Cohere;
use super::gemini::Gemini;
use super::local::PORTS;
use super::openai_chat::OpenaiChat;
use super::openai_responses::OpenaiResponses;
use super::{Model, Wire};
use crate::model::ModelError;
use crate::model::catalog::Catalog;
use crate::model::http::Http;
use crate::model::key::{Environment, Key, Source, aws};
use crate::model::remote::Endpoint;
use crate::settings::{ProviderKind, ProviderSettings, Settings};

const OPENAI_HOST: &str = "api.openai.com";

/// The hosts that a kind's usual key belongs to; a dot at the beginning stands for all below it.
const HOSTS: &[(ProviderKind, &[&str])] = &[
    (ProviderKind::Anthropic, &["api.anthropic.com"]),
    (ProviderKind::Openai, &[OPENAI_HOST]),
    (ProviderKind::OpenaiChat, &[OPENAI_HOST]),
    (ProviderKind::Azure, &[".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"]),
    (ProviderKind::Gemini, &[".googleapis.com"]),
    (ProviderKind::Cohere, &[".cohere.com", ".cohere.ai"]),
];

/// One provider.
pub(super) struct Plan<'a> {
    table: &'a str,
    pub(super) kind: ProviderKind,
    pub(super) settings: ProviderSettings,
    /// Whether the person wrote the table.
    written: bool,
}

/// Where requests go, and what proves who asks.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) http: Http,
    pub(super) key: Key,
    /// The AWS region, for Bedrock.
    pub(super) region: String,
}

impl<'a> Plan<'a> {
    pub(super) fn of(settings: &Settings, environment: &Environment, table: &'a str) -> Result<Self, ModelError> {
        let Some(written) = settings.providers.get(table) else {
            return Self::unwritten(settings, table);
        };
        let Some(kind) = written.kind.or_else(|| ProviderKind::unwritten(table)) else {
            let mut missing = vec![
                "it needs kind (anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama or script)"
                    .to_owned(),
            ];
            let base = written.base_url.as_deref().map(|base| Http::new(base, written.insecure, Duration::ZERO));
            missing.extend(base.and_then(Result::err));
            let key = written.api_key_env.as_deref().filter(|variable| environment.secret(variable).is_none());
            missing.extend(key.map(|variable| {
                format!("the environment variable {variable} is not set; set it where the editor starts from")
            }));
            return Err(unusable(table, &missing));
        };
        Ok(Self { table, kind, settings: written.clone(), written: true })
    }

    /// A provider that no table describes.
    fn unwritten(settings: &Settings, table: &'a str) -> Result<Self, ModelError> {
        if let Some(fault) = settings.unusable.providers.get(table) {
            return Err(ModelError::NotConfigured(format!(
                "The provider {table} is not used because of a fault in the settings ({fault}); mend it."
            )));
        }
        let kind = ProviderKind::unwritten(table);
        if let Some(fault) = &settings.unusable.unread
            && !ProviderKind::unwritten_stays(table)
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
        Ok(Self { table, kind, settings: ProviderSettings::default(), written: false })
    }

    /// This provider with its usual model, when it can be used as things are.
    pub(super) fn choice(&self, settings: &Settings, environment: &Environment) -> Result<Choice, ModelError> {
        let Self { table, .. } = self;
        let reach = match self.kind {
            ProviderKind::Script => None,
            _ => Some(self.reach(settings, environment)?),
        };
        if let Some(reach) = reach.as_ref().filter(|reach| !reach.key.at_hand()) {
            return Err(unusable(table, &[reach.key.needed()]));
        }
        let variable = reach.as_ref().and_then(|reach| reach.key.variable()).map(str::to_owned);
        let model = self.default_model(settings, reach.as_ref().map(|reach| &reach.http)).ok_or_else(|| {
            let text = format!("Of the provider {table} no model is known: name one with model = \"{table}/NAME\".");
            ModelError::NotConfigured(text)
        })?;
        let why = variable
            .map_or_else(|| format!("providers.{table} is in the settings"), |variable| format!("{variable} is set"));
        Ok(Choice { name: format!("{table}/{model}"), why })
    }

    /// The address and the key, with everything that is missing named at once.
    pub(super) fn reach(&self, settings: &Settings, environment: &Environment) -> Result<Reach, ModelError> {
        let idle = Duration::from_secs(settings.limits.idle_seconds);
        let mut missing = Vec::new();
        let region = self.region(environment);
        let http = match self.base_url(environment, region.as_deref()) {
            Ok(base) => Http::new(&base, self.settings.insecure, idle).map_err(|wrong| missing.push(wrong)).ok(),
            Err(needed) => {
                missing.push(needed);
                None
            }
        };
        let others = settings.providers.values().filter_map(|provider| provider.api_key_env.clone());
        let key = Key::new(environment.clone(), self.source(environment, http.as_ref())).hiding(others);
        match http {
            Some(http) => Ok(Reach { http, key, region: region.unwrap_or_default() }),
            None => {
                missing.extend((!key.at_hand()).then(|| key.needed()));
                Err(unusable(self.table, &missing))
            }
        }
    }

    /// The wire of one of its models.
    pub(super) fn wire(&self, reach: &Reach, model: Model) -> Box<dyn Wire> {
        match self.kind {
            ProviderKind::Anthropic => Box::new(Anthropic { model }),
            ProviderKind::Openai if reach.http.host_name() == OPENAI_HOST => {
                Box::new(OpenaiResponses::new(model).at_openai())
            }
            ProviderKind::Openai => Box::new(OpenaiResponses::new(model)),
            ProviderKind::Azure => Box::new(match &self.settings.api_version {
                Some(version) => Azure::dated(model, version.clone()),
                None => Azure::v1(model),
            }),
            ProviderKind::Gemini => Box::new(Gemini { model }),
            ProviderKind::Cohere => Box::new(Cohere { model }),
            ProviderKind::Bedrock => Box::new(Bedrock { model, region: reach.region.clone() }),
            ProviderKind::OpenaiChat | ProviderKind::Ollama | ProviderKind::Script => {
                Box::new(OpenaiChat { model, own_host: reach.http.host_name() == OPENAI_HOST })
            }
        }
    }

    /// Where and how it is asked for one of its models.
    pub(super) fn endpoint(&self, reach: Reach, model: &Model, catalog: Arc<Catalog>) -> Endpoint {
        let sent = (self.kind == ProviderKind::Anthropic).then_some(anthropic::MAX_OUTPUT);
        Endpoint {
            kind: self.kind.word(),
            model: model.id.clone(),
            http: reach.http,
            key: reach.key,
            streaming: self.settings.stream.unwrap_or(true),
            max_output: model.max_output.or(sent),
            catalog,
        }
    }

    /// What the provider calls a model: a deployment, where Azure has its own name for it.
    pub(super) fn sent_as<'m>(&'m self, model: &'m str) -> &'m str {
        match (self.kind, self.settings.deployment.as_deref()) {
            (ProviderKind::Azure, Some(deployment)) => deployment,
            _ => model,
        }
    }

    fn base_url(&self, environment: &Environment, region: Option<&str>) -> Result<String, String> {
        let table = self.table;
        let written = self.settings.base_url.clone().or_else(|| match self.kind {
            ProviderKind::Bedrock => ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"]
                .into_iter()
                .find_map(|variable| environment.value(variable)),
            _ => None,
        });
        let base = match (written, self.kind) {
            (Some(base), _) => base,
            (None, ProviderKind::Anthropic) => "https://api.anthropic.com".to_owned(),
            (None, ProviderKind::Gemini) => "https://generativelanguage.googleapis.com".to_owned(),
            (None, ProviderKind::Cohere) => "https://api.cohere.com".to_owned(),
            (None, ProviderKind::Azure) => match &self.settings.resource {
                Some(resource) => format!("https://{resource}.openai.azure.com"),
                None => return Err(format!("it needs resource or base_url in [providers.{table}]")),
            },
            (None, ProviderKind::Bedrock) => match region {
                Some(region) => bedrock::base_url(region)?,
                None => return Err(format!("it needs a region: set providers.{table}.region or AWS_REGION")),
            },
            (None, kind) => match PORTS.iter().find(|(local, _)| *local == table) {
                Some((_, port)) => format!("http://127.0.0.1:{port}/v1"),
                None if kind == ProviderKind::Ollama => format!("http://127.0.0.1:{}/v1", PORTS[0].1),
                None => format!("https://{OPENAI_HOST}/v1"),
            },
        };
        let base = base.trim_end_matches('/');
        // The wire's own path begins with it, and people write it nevertheless.
        let doubled: &[&str] = match self.kind {
            ProviderKind::Anthropic => &["/v1"],
            ProviderKind::Gemini => &["/v1beta"],
            ProviderKind::Cohere => &["/v2"],
            ProviderKind::Azure => &["/openai/v1", "/openai"],
            _ => &[],
        };
        let base = doubled.iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
        // Ollama prints its address without the door that is meant here.
        let bare = self.kind == ProviderKind::Ollama && Url::parse(base).is_ok_and(|url| url.path() == "/");
        Ok(if bare { format!("{base}/v1") } else { base.to_owned() })
    }

    fn region(&self, environment: &Environment) -> Option<String> {
        match self.kind {
            ProviderKind::Bedrock => {
                let written = self.settings.region.clone();
                written.or_else(|| aws::region(environment, self.settings.profile.as_deref()))
            }
            _ => None,
        }
    }

    /// Where the key comes from.
    fn source(&self, environment: &Environment, http: Option<&Http>) -> Source {
        let settings = &self.settings;
        let named = settings.api_key_env.clone();
        if let Some(command) = &settings.api_key_command
            && named.as_deref().is_none_or(|variable| environment.value(variable).is_none())
        {
            return Source::Command(command.clone());
        }
        if self.kind == ProviderKind::Bedrock && named.is_none() {
            return Source::Aws { profile: settings.profile.clone() };
        }
        let local = http.is_some_and(Http::loopback);
        // Servers on this machine mostly want no key; one that was named is meant to be sent.
        let required = !local || named.is_some();
        let table = self.table.to_owned();
        match named {
            Some(variable) => Source::Variables { names: vec![variable], required, table },
            None => match self.usual_variables(http) {
                // The keyring may have one for this table.
                names if names.is_empty() && !local => Source::Variables { names, required: false, table },
                names if names.is_empty() => Source::Nothing,
                names => Source::Variables { names, required, table },
            },
        }
    }

    /// The variables that hold its key where none is named. A key goes to the host that it belongs to, or to a server on this
    /// machine that speaks its wire and may pass it on; any other host gets one that was named for it.
    pub(super) fn usual_variables(&self, http: Option<&Http>) -> Vec<String> {
        let names: &[&str] = match self.kind {
            ProviderKind::Anthropic => &["ANTHROPIC_API_KEY"],
            ProviderKind::Openai | ProviderKind::OpenaiChat => &["OPENAI_API_KEY"],
            ProviderKind::Azure => &["AZURE_OPENAI_API_KEY"],
            ProviderKind::Gemini => &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
            ProviderKind::Cohere => &["COHERE_API_KEY", "CO_API_KEY"],
            ProviderKind::Bedrock | ProviderKind::Ollama | ProviderKind::Script => &[],
        };
        let fits = http.is_none_or(|http| match (self.kind, http.loopback()) {
            // Many servers speak it, and few of them are OpenAI's.
            (ProviderKind::OpenaiChat, true) => false,
            (_, true) => true,
            (_, false) => self.at_home(http),
        });
        names.iter().filter(|_| fits).map(|name| (*name).to_owned()).collect()
    }

    /// Whether requests go to a host of the provider itself.
    fn at_home(&self, http: &Http) -> bool {
        let name = http.host_name();
        let own = HOSTS.iter().filter(|(kind, _)| *kind == self.kind).flat_map(|(_, hosts)| hosts.iter());
        own.into_iter().any(|host| match host.strip_prefix('.') {
            Some(domain) => name == domain || name.ends_with(host),
            None => name == *host,
        })
    }

    /// The model when none is named: the first that the settings know something of, else the kind's usual one.
    fn default_model(&self, settings: &Settings, http: Option<&Http>) -> Option<String> {
        let known = settings.models.keys().find_map(|name| name.strip_prefix(self.table)?.strip_prefix('/'));
        match (known, self.kind) {
            (Some(known), _) => Some(known.to_owned()),
            (None, ProviderKind::Anthropic) => Some("claude-sonnet-5-5".to_owned()),
            (None, ProviderKind::Openai) => Some("gpt-6-sol".to_owned()),
            // Newer models refuse tools together with reasoning on this wire.
            (None, ProviderKind::OpenaiChat) if http.is_some_and(|http| self.at_home(http)) => {
                Some("gpt-4.1".to_owned())
            }
            (None, ProviderKind::Azure) => self.settings.deployment.clone(),
            (None, ProviderKind::Gemini) => Some("gemini-4-argon".to_owned()),
            (None, ProviderKind::Cohere) => Some("command-a-03-2025".to_owned()),
            (None, ProviderKind::Script) if self.written => Some("demo".to_owned()),
            _ => None,
        }
    }
}

pub(super) fn unusable(table: &str, missing: &[String]) -> ModelError {
    ModelError::NotConfigured(format!("The provider {table} cannot be used: {}.", missing.join("; also, ")))
}
