//! What only shows when all layers are together.

use super::fault::{Fault, LayerName, Severity, Source};
use super::provider::KINDS;
use super::read::{Origin, dotted};
use super::schema::ProviderKind;
use super::{Loaded, apply, compaction, split_model, trusted, unusable, value};

pub(super) fn check(loaded: &mut Loaded) {
    // Before any provider is left out: its key is one all the same.
    trusted::keep_keys(loaded);
    check_providers(loaded);
    unusable::find(loaded);
    check_models(loaded);
    compaction::check(loaded);
}

fn check_providers(loaded: &mut Loaded) {
    let mut left_out = Vec::new();
    for (name, provider) in &mut loaded.settings.providers {
        if provider.kind.is_none() {
            provider.kind = ProviderKind::unwritten(name);
        }
        let problem = if provider.kind.is_none() {
            let message = format!("`kind` is missing: expected one of {}", KINDS.join(", "));
            Some((dotted(&["providers", name.as_str()]), message))
        } else if !provider.insecure && provider.base_url.as_deref().is_some_and(value::leaves_in_plain) {
            let message = "plain http goes to this machine only: expected https, or `insecure = true` beside it";
            Some((dotted(&["providers", name.as_str(), "base_url"]), message.to_owned()))
        } else {
            None
        };
        left_out.extend(problem.map(|(key, message)| (name.clone(), key, message)));
    }
    for (name, key, message) in left_out {
        loaded.settings.providers.remove(&name);
        let mut fault = fault_at(loaded, key, message);
        loaded.settings.unusable.add_provider(&name, &fault.to_string());
        fault.message = format!("{} ({})", fault.message, apply::not_used("provider", &name));
        loaded.faults.push(fault);
    }
}

fn check_models(loaded: &mut Loaded) {
    let mut wrong = Vec::new();
    for (name, model) in &mut loaded.settings.models {
        if let (Some(context), Some(output)) = (model.context, model.max_output)
            && output >= context
        {
            // Without it the wire's own default counts.
            model.max_output = None;
            let message = format!("expected less than the {context} tokens of `context`, found {output}");
            wrong.push((dotted(&["models", name.as_str(), "max_output"]), message));
        }
    }
    if let Some(message) = loaded.settings.model.as_deref().and_then(|model| check_model(model, loaded)) {
        wrong.push(("model".to_owned(), message));
    }
    for (key, message) in wrong {
        let fault = fault_at(loaded, key, message);
        loaded.faults.push(fault);
    }
}

/// What is wrong with a model that is named.
pub(super) fn check_model(model: &str, loaded: &Loaded) -> Option<String> {
    let settings = &loaded.settings;
    let Some((table, _)) = split_model(model) else {
        return Some(format!("expected PROVIDER/MODEL, such as \"anthropic/claude-sonnet-5-5\", found {model:?}"));
    };
    let told_already = settings.unusable.providers.contains_key(table) || settings.unusable.unread.is_some();
    if told_already || settings.providers.contains_key(table) || ProviderKind::unwritten(table).is_some() {
        None
    } else {
        let expected = dotted(&["providers", table]);
        Some(format!("there is no provider {table:?}: expected a table [{expected}]"))
    }
}

/// A fault of a value, where it stands.
pub(super) fn fault_at(loaded: &Loaded, key: String, message: String) -> Fault {
    let (source, at) = match loaded.origins.get(&key).cloned() {
        Some(Origin { source, at }) => (source, at),
        None => (Source { layer: LayerName::BuiltIn, file: None }, None),
    };
    Fault { source, at, key, message, severity: Severity::Error }
}
