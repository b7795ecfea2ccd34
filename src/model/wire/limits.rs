//! How much a model takes in and gives out, and who says so. For people; a run asks its provider.

use std::path::Path;

use super::anthropic;
use super::choose::split;
use super::plan::Plan;
use crate::model::ModelError;
use crate::model::catalog::{self, Catalog, Limit, Says};
use crate::model::key::Environment;
use crate::model::script::Script;
use crate::settings::{ProviderKind, Settings};

/// A model's limits, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The tokens that it takes in and gives out in all.
    pub context: Option<Limit>,
    /// The most that one answer may hold, in tokens.
    pub max_output: Option<Limit>,
}

/// The limits of a model, by its name. `state` is the folder in which what was learned of models is kept; it is read, and
/// nobody is asked.
///
/// # Errors
/// What is wrong with the model's name or its provider.
pub fn limits(settings: &Settings, state: Option<&Path>, name: &str) -> Result<Limits, ModelError> {
    limits_in(settings, &Environment::process(), &Catalog::load(state), name)
}

pub(super) fn limits_in(
    settings: &Settings,
    environment: &Environment,
    catalog: &Catalog,
    name: &str,
) -> Result<Limits, ModelError> {
    let (table, model) = split(name)?;
    let plan = Plan::of(settings, environment, table)?;
    let declared = settings.models.get(name).cloned().unwrap_or_default();
    let says = |from| move |tokens| Limit { tokens, from };
    if plan.kind == ProviderKind::Script {
        let scripted = Script::load(plan.settings.path.as_deref())?.context.map(says(Says::Script));
        return Ok(Limits { context: declared.context.map(says(Says::Settings)).or(scripted), max_output: None });
    }
    let place = catalog::place(plan.kind.word(), &plan.reach(settings, environment)?.http.address());
    let model = plan.sent_as(model);
    let asked = (plan.kind == ProviderKind::Anthropic).then_some(anthropic::MAX_OUTPUT);
    let set = declared.max_output.map(says(Says::Settings)).or(asked.map(says(Says::Asked)));
    Ok(Limits {
        context: catalog.context_limit(&place, model, declared.context),
        max_output: set.or_else(|| catalog.output_limit(&place, model)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Offered;

    #[test]
    fn each_limit_says_where_it_comes_from() {
        let settings: Settings = toml::from_str(
            "[providers.local]\nkind = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
             [providers.s]\nkind = \"script\"\n\
             [models.\"local/set\"]\ncontext = 9000\nmax_output = 500\n[models.\"local/less\"]\ncontext = 9000",
        )
        .unwrap();
        let catalog = Catalog::load(None);
        let place = "openai-chat http://127.0.0.1:1/v1";
        let listed = |id: &str| Offered { id: id.to_owned(), context: Some(8000), max_output: Some(700) };
        catalog.list(place, vec![listed("less"), listed("listed")]);
        catalog.learn(place, "learned", 4000);
        let of = |name: &str| {
            let limits = limits_in(&settings, &Environment::of(&[]), &catalog, name).unwrap();
            [limits.context, limits.max_output].map(|limit| limit.map(|limit| (limit.tokens, limit.from)))
        };
        assert_eq!(of("local/set"), [Some((9000, Says::Settings)), Some((500, Says::Settings))]);
        assert_eq!(of("local/less"), [Some((8000, Says::Provider)), Some((700, Says::Provider))]);
        assert_eq!(of("local/listed"), [Some((8000, Says::Provider)), Some((700, Says::Provider))]);
        assert_eq!(of("local/learned"), [Some((4000, Says::Overflow)), None]);
        assert_eq!(of("local/claude-opus-5"), [Some((1_000_000, Says::Table)), Some((128_000, Says::Table))]);
        assert_eq!(of("anthropic/claude-opus-5"), [Some((1_000_000, Says::Table)), Some((16_384, Says::Asked))]);
        assert_eq!(of("local/unheard-of"), [None, None]);
        assert_eq!(of("s/demo")[1], None);
    }
}
