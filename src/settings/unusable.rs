//! What the settings would have said of providers and of the model, had it been right.
//!
//! What is wrong is left out, and a built-in provider must not take its place: its requests leave this machine.

use std::collections::BTreeMap;

use super::apply;
use super::read::nearest;
use super::schema::ProviderKind;
use super::{LayerName, Loaded};

/// What was left out because of a fault, with the fault in words. Empty for settings without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unusable {
    /// Tables of `providers`, by name. None of them is in `Settings::providers`.
    pub providers: BTreeMap<String, String>,
    /// The wish for a model, when no other layer has a sound one.
    pub model: Option<String>,
    /// A whole file, a whole layer, or all of `providers`: it may have held any table.
    pub unread: Option<String>,
}

impl Unusable {
    /// The faults, in one line; `None` when there is none.
    #[must_use]
    pub fn faults(&self) -> Option<String> {
        let mut faults: Vec<&str> = Vec::new();
        for fault in self.model.iter().chain(&self.unread).chain(self.providers.values()) {
            // A mistyped name stands for two tables.
            if !faults.contains(&fault.as_str()) {
                faults.push(fault);
            }
        }
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    pub(super) fn add_provider(&mut self, name: &str, fault: &str) {
        add(self.providers.entry(name.to_owned()).or_default(), fault);
    }
}

fn add(faults: &mut String, fault: &str) {
    if !faults.is_empty() {
        faults.push_str("; ");
    }
    faults.push_str(fault);
}

/// Finds what only shows in the faults of all layers: what could not be read at all, and names that were mistyped.
pub(super) fn find(loaded: &mut Loaded) {
    let unusable = &mut loaded.settings.unusable;
    // What a workspace may not say takes nothing away.
    for fault in loaded.faults.iter().filter(|fault| fault.source.layer != LayerName::Workspace) {
        match apply::meant(&fault.key) {
            "" | "providers" => add(unusable.unread.get_or_insert_default(), &fault.to_string()),
            "model" if loaded.settings.model.is_none() && fault.key != "model" => {
                add(unusable.model.get_or_insert_default(), &fault.to_string());
            }
            _ => {}
        }
    }
    // A table with another name by mistake is missed where its provider is there without a table.
    for (table, _, stays) in ProviderKind::UNWRITTEN {
        let missed =
            !stays && !loaded.settings.providers.contains_key(table) && !unusable.providers.contains_key(table);
        let mistyped = unusable.providers.iter().find(|(name, _)| nearest(name, &[table]).is_some());
        if let Some((_, fault)) = mistyped.filter(|_| missed) {
            let fault = fault.clone();
            unusable.add_provider(table, &fault);
        }
    }
}
