//! Which models there are: every provider that can be reached is asked. Only when a person wants to know.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use serde::Serialize;

use super::plan::{Plan, Reach};
use super::{Model, Sent, Wire};
use crate::model::Offered;
use crate::model::catalog::{self, Catalog, offered};
use crate::model::fault::{Fault, Kind};
use crate::model::http::Answer;
use crate::model::key::Environment;
use crate::model::redact::{INSTEAD, redacted};
use crate::settings::{ProviderKind, Settings, split_model};

/// How long a provider has for its list.
const PATIENCE: Duration = Duration::from_secs(15);

/// One provider and its models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Surveyed {
    /// The provider's table in the settings.
    pub table: String,
    /// What kind of provider it is, as the settings spell it.
    pub kind: Option<&'static str>,
    /// Where its requests go; empty where that is not known.
    pub address: String,
    /// Where its key comes from; never the key.
    pub key: Option<String>,
    /// Whether providers of this kind list their models.
    pub lists: bool,
    /// When it listed these models, in milliseconds since 1970; `None` where it was not asked.
    pub at_ms: Option<u64>,
    /// What it offers, or has offered when it was last asked.
    pub models: Vec<Offered>,
    /// What is wrong with it, and what to do.
    pub problem: Option<String>,
    /// What the problem is with.
    pub problem_with: Option<Part>,
}

/// A part of a provider that can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What the settings say of it.
    Settings,
    /// Its key is missing or refused.
    Key,
    /// It does not answer, or not as it should.
    Endpoint,
}

impl Surveyed {
    fn has(self, problem: Problem) -> Self {
        Self { problem: Some(problem.text), problem_with: Some(problem.with), ..self }
    }
}

struct Problem {
    with: Part,
    text: String,
}

impl Problem {
    fn new(with: Part, text: impl ToString) -> Self {
        Self { with, text: text.to_string() }
    }
}

/// Asks every provider that the settings describe, those whose key is in the environment and the servers on this machine for
/// their models. What they say is kept in the state folder, for limits and for the next time that they cannot be asked.
pub async fn survey(settings: &Settings, state: Option<&Path>) -> Vec<Surveyed> {
    survey_in(settings, &Environment::process(), state).await
}

pub(super) async fn survey_in(settings: &Settings, environment: &Environment, state: Option<&Path>) -> Vec<Surveyed> {
    let catalog = {
        let state = state.map(Path::to_owned);
        let loading = tokio::task::spawn_blocking(move || Catalog::load(state.as_deref()));
        Arc::new(loading.await.unwrap_or_else(|_| Catalog::load(None)))
    };
    let mut tables: Vec<&str> = settings.providers.keys().map(String::as_str).collect();
    // One that is left out because of a fault says so.
    let faulty = settings.unusable.providers.keys().map(String::as_str);
    for table in faulty.chain(ProviderKind::UNWRITTEN.iter().map(|(table, ..)| *table)) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    let asked = join_all(tables.into_iter().map(|table| one(settings, environment, &catalog, table))).await;
    asked.into_iter().flatten().collect()
}

/// One provider; nothing for one that nobody has set up.
async fn one(settings: &Settings, environment: &Environment, catalog: &Arc<Catalog>, table: &str) -> Option<Surveyed> {
    let written = settings.providers.contains_key(table)
        || settings.unusable.providers.contains_key(table)
        || settings.model.as_deref().and_then(split_model).is_some_and(|(named, _)| named == table);
    let blank = Surveyed { table: table.to_owned(), ..Surveyed::default() };
    let plan = match Plan::of(settings, environment, table) {
        Ok(plan) => plan,
        Err(error) => return written.then(|| blank.has(Problem::new(Part::Settings, error))),
    };
    let blank = Surveyed { kind: Some(plan.kind.word()), ..blank };
    if plan.kind == ProviderKind::Script {
        let models = vec![Offered { id: "demo".to_owned(), ..Offered::default() }];
        return written.then(|| Surveyed { address: "a script on this machine".to_owned(), models, ..blank });
    }
    // OpenAI is there once, though both of its wires can be named.
    if !written && plan.kind == ProviderKind::OpenaiChat && !ProviderKind::unwritten_stays(table) {
        return None;
    }
    let reach = match plan.reach(settings, environment) {
        Ok(reach) => reach,
        Err(error) => return written.then(|| blank.has(Problem::new(Part::Settings, error))),
    };
    let local = reach.http.loopback();
    if !written && !local && !reach.key.at_hand() {
        return None;
    }
    let address = reach.http.address();
    let place = catalog::place(plan.kind.word(), &address);
    let wire = plan.wire(&reach, Model::default());
    let known = settings.models.iter().filter_map(|(name, model)| {
        let id = name.strip_prefix(table)?.strip_prefix('/')?.to_owned();
        Some(Offered { id, context: model.context, max_output: model.max_output })
    });
    let path = wire.models_path();
    let key = Some(reach.key.origin());
    let mut surveyed = Surveyed { address, key, lists: path.is_some(), models: known.collect(), ..blank };
    surveyed.models.extend(
        plan.settings
            .deployment
            .as_ref()
            .filter(|_| plan.kind == ProviderKind::Azure)
            .map(|name| Offered { id: name.clone(), ..Offered::default() }),
    );
    let asked = async {
        match path {
            Some(path) => ask(&*wire, &reach, path).await,
            // The key can be looked at nevertheless.
            None => reach.key.read().await.map(|_| None).map_err(|fault| Problem::new(Part::Key, fault.message)),
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
        let text = format!("no answer within {} s; check the network", PATIENCE.as_secs());
        Err(Problem::new(Part::Endpoint, text))
    });
    let listed = match asked {
        Ok(None) => {
            surveyed.lists = false;
            None
        }
        Ok(Some(models)) => {
            let catalog = Arc::clone(catalog);
            tokio::task::spawn_blocking(move || catalog.list(&place, models)).await.ok()
        }
        // Nobody runs a server here, and nobody said that somebody does.
        Err(_) if !written && local => return None,
        Err(problem) => {
            surveyed = surveyed.has(problem);
            catalog.listed(&place)
        }
    };
    if let Some(listed) = listed {
        surveyed.at_ms = Some(listed.at_ms);
        let own: Vec<String> = surveyed.models.iter().map(|model| model.id.clone()).collect();
        surveyed.models.extend(listed.models.into_iter().filter(|model| !own.contains(&model.id)));
    }
    Some(surveyed)
}

/// The provider's list; `None` where it has none.
async fn ask(wire: &dyn Wire, reach: &Reach, path: &str) -> Result<Option<Vec<Offered>>, Problem> {
    let no_key = |fault: Fault| Problem::new(Part::Key, fault.message);
    let credential = reach.key.read().await.map_err(no_key)?;
    let url = reach.http.url(path);
    let headers = wire.headers(&credential, &Sent { url: &url, body: b"", now: SystemTime::now() }).map_err(no_key)?;
    let told = |fault: Fault| {
        let with = if fault.kind == Kind::Authentication { Part::Key } else { Part::Endpoint };
        Problem::new(with, fault.without(&credential).into_error(reach.http.host_name(), &reach.key.cure()))
    };
    let no_list = || {
        let text = format!("{} sent no list of models; check base_url", reach.http.host_name());
        Problem::new(Part::Endpoint, text)
    };
    match reach.http.get(url, headers).await.map_err(told)? {
        // What it lists is shown and kept.
        Answer::Whole(body) => offered(&redacted(body, &credential, INSTEAD)).map(Some).map_err(|_| no_list()),
        // Many gateways have no such list, and answer requests all the same.
        Answer::Refused { status: 404 | 405, .. } => Ok(None),
        Answer::Refused { status, headers, body } => Err(told(wire.fault(status, &headers, &body))),
        Answer::Stream(_) => Err(no_list()),
    }
}

#[cfg(test)]
mod tests;
