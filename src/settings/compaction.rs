//! When and how the context is compacted, and what a model's tokens cost, as settings say it.

use super::apply::consequence;
use super::fault::Fault;
use super::read::{Field, Origin};
use super::schema::{CompactionSettings, Price};
use super::value;
use super::{Loaded, whole};

pub(super) const COMPACTION: &[Field<CompactionSettings>] = &[
    Field {
        key: "enabled",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.enabled, entry, value::flag);
        },
    },
    Field {
        key: "soft",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.soft, entry, value::share);
        },
    },
    Field {
        key: "hard",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.hard, entry, value::share);
        },
    },
    Field {
        key: "mode",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.mode, entry, |node| value::word(node, &["keep_recent", "safe_frontier"]));
        },
    },
    Field {
        key: "keep_recent_tokens",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.keep_recent_tokens, entry, value::at_least_one);
        },
    },
    Field {
        key: "min_gain_tokens",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.min_gain_tokens, entry, value::at_least_one);
        },
    },
    Field {
        key: "tool_result_preview_tokens",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.tool_result_preview_tokens, entry, value::at_least_one);
        },
    },
    Field {
        key: "model",
        read: |compaction, entry, reader| {
            if !reader.put(&mut compaction.model, entry, |node| value::some_text(node).map(Some)) {
                compaction.model = None;
                consequence(reader, 1, OWN_MODEL);
            }
        },
    },
    Field {
        key: "cooldown_seconds",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.cooldown_seconds, entry, value::whole);
        },
    },
    Field {
        key: "timeout_seconds",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.timeout_seconds, entry, value::at_least_one);
        },
    },
    Field {
        key: "max_attempts",
        read: |compaction, entry, reader| {
            reader.put(&mut compaction.max_attempts, entry, value::at_least_one);
        },
    },
];

const OWN_MODEL: &str = "the session's own model summarises until this is mended";

pub(super) const PRICE: &[Field<Price>] = &[
    Field {
        key: "input",
        read: |price, entry, reader| {
            reader.put(&mut price.input, entry, |node| value::amount(node).map(Some));
        },
    },
    Field {
        key: "output",
        read: |price, entry, reader| {
            reader.put(&mut price.output, entry, |node| value::amount(node).map(Some));
        },
    },
    Field {
        key: "cache_read",
        read: |price, entry, reader| {
            reader.put(&mut price.cache_read, entry, |node| value::amount(node).map(Some));
        },
    },
    Field {
        key: "cache_write",
        read: |price, entry, reader| {
            reader.put(&mut price.cache_write, entry, |node| value::amount(node).map(Some));
        },
    },
];

/// What only all layers together show.
pub(super) fn check(loaded: &mut Loaded) {
    let CompactionSettings { soft, hard, .. } = loaded.settings.compaction;
    if soft >= hard {
        let fault = crossed(loaded, soft, hard);
        loaded.faults.push(fault);
        let usual = CompactionSettings::default();
        (loaded.settings.compaction.soft, loaded.settings.compaction.hard) = (usual.soft, usual.hard);
    }
    let model = loaded.settings.compaction.model.as_deref();
    if let Some(message) = model.and_then(|model| whole::check_model(model, loaded)) {
        loaded.settings.compaction.model = None;
        let fault = whole::fault_at(loaded, "compaction.model".to_owned(), format!("{message} ({OWN_MODEL})"));
        loaded.faults.push(fault);
    }
}

/// The one that was said last is the one to mend; of two on one page, the first mark.
fn crossed(loaded: &Loaded, soft: f64, hard: f64) -> Fault {
    let layer = |key: &str| loaded.origins.get(key).map(|Origin { source, .. }| source.layer);
    let (key, message) = if layer("compaction.hard") > layer("compaction.soft") {
        ("compaction.hard", format!("expected more than the {soft} of `soft`, found {hard}"))
    } else {
        ("compaction.soft", format!("expected less than the {hard} of `hard`, found {soft}"))
    };
    let usual = CompactionSettings::default();
    let until = format!("until this is mended `soft` is {} and `hard` is {}", usual.soft, usual.hard);
    whole::fault_at(loaded, key.to_owned(), format!("{message} ({until})"))
}
