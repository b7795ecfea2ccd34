//! The model: which one, its key, its endpoint, its limits.

use super::Check;
use crate::cli::asked::Asked;
use crate::model::wire::{Part, Surveyed};
use crate::model::{Limit, Says};
use crate::protocol::utc;
use crate::settings::split_model;

/// All four, or why there is no model.
pub(super) fn checks(asked: &Asked) -> Vec<Check> {
    let choice = match &asked.chosen {
        Ok(choice) => choice,
        Err(problem) => return vec![Check::fault("model", problem)],
    };
    let mut checks = vec![Check::ok("model", format!("{}: {}", choice.name, choice.why))];
    if let Some(provider) = asked.provider() {
        checks.push(key(provider));
        checks.extend(endpoint(provider, &choice.name));
    }
    checks.push(limits(asked, &choice.name));
    checks
}

fn key(provider: &Surveyed) -> Check {
    match (&provider.problem, provider.problem_with) {
        (Some(problem), Some(Part::Key)) => Check::fault("key", problem),
        _ => Check::ok("key", provider.key.as_deref().unwrap_or("none is needed")),
    }
}

fn endpoint(provider: &Surveyed, model: &str) -> Vec<Check> {
    const NAME: &str = "endpoint";
    let Surveyed { address, models, .. } = provider;
    match (&provider.problem, provider.problem_with) {
        (Some(_), Some(Part::Key)) => vec![Check::note(NAME, format!("{address}: look again when the key is right"))],
        (Some(problem), _) => {
            let older = provider.at_ms.map(|at| format!("; its models are those of {} UTC", utc(at)));
            vec![Check::fault(NAME, format!("{address}: {problem}{}", older.unwrap_or_default()))]
        }
        (None, _) if provider.kind == Some("script") => vec![Check::ok(NAME, address)],
        (None, _) if !provider.lists => {
            let kind = provider.kind.unwrap_or("its kind");
            vec![Check::note(NAME, format!("{address} was not asked: {kind} lists no models"))]
        }
        (None, _) => {
            let answers = Check::ok(NAME, format!("{address} answers; models: {}", models.len()));
            let id = split_model(model).map_or(model, |(_, id)| id);
            let unlisted = (!models.iter().any(|offered| offered.id == id)).then(|| {
                let text = format!("{id} is not in the provider's list; `cowrite models` shows what is");
                Check::note(NAME, text)
            });
            std::iter::once(answers).chain(unlisted).collect()
        }
    }
}

fn limits(asked: &Asked, model: &str) -> Check {
    const NAME: &str = "limits";
    let said = |limit: Limit| format!("{} tokens ({})", limit.tokens, words(limit.from));
    let output = asked.limits.max_output.map_or_else(|| "as the provider has it".to_owned(), said);
    match asked.limits.context {
        Some(context) => Check::ok(NAME, format!("context {}, one answer {output}", said(context))),
        None if asked.provider().is_some_and(|one| one.kind == Some("script")) => Check::ok(NAME, "a script has none"),
        None => {
            let set = format!("set context in [models.{model:?}]");
            Check::note(NAME, format!("the context is not known, one answer {output}; {set}"))
        }
    }
}

fn words(says: Says) -> &'static str {
    match says {
        Says::Settings => "from the settings",
        Says::Provider => "from the provider's list",
        Says::Overflow => "learned from a request that was too large",
        Says::Asked => "what Cowrite asks for",
        Says::Table => "generally known",
        Says::Script => "from the script",
    }
}
