//! `cowrite models`: the models that the settings and the providers offer, and the one in use.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::asked::{Asked, sentence};
use super::said::{Said, complain, pretty, say};
use super::sessions::Folder;
use super::table::table;
use crate::model::wire::Surveyed;
use crate::protocol::utc;
use crate::settings::{self, Places};
use crate::tool::plain;

/// What stands for a figure that is not known.
const UNKNOWN: &str = "-";

/// The arguments of `cowrite models`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Models {
    /// The workspace folder (the working directory, when left out)
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,

    /// JSON for programs instead of a table for people
    #[arg(long)]
    json: bool,
}

/// Asks the providers and says what they offer. The status is 0 when any of it can be used, 1 otherwise.
pub async fn run(models: Models) -> ExitCode {
    say("models", models.answer(&Places::from_env()).await)
}

impl Models {
    async fn answer(&self, places: &Places) -> Result<Said, String> {
        Folder::of(self.workspace.as_deref())?;
        let loaded = settings::load(places, None);
        for fault in &loaded.faults {
            complain("models", &plain(&fault.to_string()));
        }
        let asked = Asked::all(loaded.settings, places.state.as_deref()).await;
        let text = if self.json { pretty(&View::of(&asked))? } else { told(&asked) };
        Ok(Said { text, good: any_usable(&asked) })
    }
}

/// The JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    /// The one in use.
    model: Option<&'a str>,
    why: Option<&'a str>,
    /// Why there is none.
    model_problem: Option<&'a str>,
    providers: &'a [Surveyed],
}

impl<'a> View<'a> {
    fn of(asked: &'a Asked) -> Self {
        let choice = asked.chosen.as_ref().ok();
        Self {
            model: choice.map(|choice| choice.name.as_str()),
            why: choice.map(|choice| choice.why.as_str()),
            model_problem: asked.chosen.as_ref().err().map(String::as_str),
            providers: &asked.surveyed,
        }
    }
}

/// For people.
fn told(asked: &Asked) -> String {
    let (mut text, rows) = (String::new(), rows(asked));
    if !rows.is_empty() {
        let head = ["", "MODEL", "CONTEXT", "MAX OUTPUT"].map(str::to_owned).to_vec();
        text.push_str(&table(std::iter::once(head).chain(rows).collect()));
        text.push('\n');
    }
    text.push_str(&match &asked.chosen {
        Ok(choice) => format!("{} is in use: {}\n", plain(&choice.name), sentence(&choice.why)),
        Err(problem) => format!("No model is in use. {}\n", sentence(problem)),
    });
    let remarks: Vec<String> = asked.surveyed.iter().filter_map(remark).collect();
    if !remarks.is_empty() {
        text.push('\n');
        text.extend(remarks);
    }
    text
}

fn rows(asked: &Asked) -> Vec<Vec<String>> {
    let used = asked.chosen.as_ref().ok().map(|choice| choice.name.as_str());
    let figure = |tokens: Option<u64>| tokens.map_or_else(|| UNKNOWN.to_owned(), |tokens| tokens.to_string());
    let row = |name: &str, context, max_output| {
        let star = if used == Some(name) { "*" } else { "" };
        vec![star.to_owned(), plain(name), figure(context), figure(max_output)]
    };
    let all = asked.surveyed.iter().flat_map(|one| one.models.iter().map(move |model| (one, model)));
    let named: Vec<_> = all.map(|(one, model)| (format!("{}/{}", one.table, model.id), model)).collect();
    // Providers answer to more names than they list.
    let unlisted = used.filter(|used| !named.iter().any(|(name, _)| name == used));
    let [context, max_output] = [asked.limits.context, asked.limits.max_output].map(|limit| limit.map(|l| l.tokens));
    let unlisted = unlisted.map(|name| row(name, context, max_output));
    unlisted.into_iter().chain(named.iter().map(|(name, model)| row(name, model.context, model.max_output))).collect()
}

/// What is to be said of a provider beside its models.
fn remark(one: &Surveyed) -> Option<String> {
    let Surveyed { table, address, .. } = one;
    let name = if address.is_empty() { table.clone() } else { format!("{table} ({})", plain(address)) };
    let older = || {
        let day = one.at_ms.filter(|_| !one.models.is_empty()).map(utc)?;
        Some(format!(" Its models are those of an older list, of {day} UTC."))
    };
    match &one.problem {
        Some(problem) => Some(format!("{name}: {}{}\n", sentence(problem), older().unwrap_or_default())),
        None if !one.models.is_empty() => None,
        None if one.lists => Some(format!("{name} has no models; load or pull one there.\n")),
        None => Some(format!("{name} lists no models; name one with model = \"{table}/NAME\".\n")),
    }
}

/// Whether a run could use any of it, as far as it can be seen.
fn any_usable(asked: &Asked) -> bool {
    let usable = |one: &Surveyed| one.problem.is_none() && (!one.lists || !one.models.is_empty());
    let chosen_elsewhere = asked.chosen.is_ok() && asked.provider().is_none();
    chosen_elsewhere || asked.surveyed.iter().any(usable)
}

#[cfg(test)]
mod tests;
