//! Providers, as settings describe them.

use super::apply::{consequence, not_used};
use super::node::Entry;
use super::read::{Field, Reader};
use super::schema::{ProviderKind, ProviderSettings, Settings};
use super::value;

/// The words for a provider's kind.
pub(super) const KINDS: [&str; 9] =
    ["anthropic", "openai", "openai-chat", "azure", "gemini", "cohere", "bedrock", "ollama", "script"];

/// A provider with anything wrong in it is not used at all: half of it could send code or a key to an endpoint that
/// nobody meant.
pub(super) fn provider(settings: &mut Settings, entry: &Entry, reader: &mut Reader<'_>) {
    let before = reader.faults.len();
    let mut provider = settings.providers.get(&entry.key).cloned().unwrap_or_default();
    if entry.key.contains('/') || entry.key.is_empty() {
        let message = "expected a name without `/`, because a model is named NAME/MODEL".to_owned();
        reader.fault(entry.at.clone(), message);
    }
    reader.table(&mut provider, &entry.node, PROVIDER);
    let faults: Vec<_> = reader.faults.iter().skip(before).map(ToString::to_string).collect();
    let count = faults.len();
    if count > 0 {
        settings.providers.remove(&entry.key);
        settings.unusable.add_provider(&entry.key, &faults.join("; "));
        consequence(reader, count, &not_used("provider", &entry.key));
    } else if !settings.unusable.providers.contains_key(&entry.key) {
        // A layer above does not mend the one below: it says little of where the faulty line wanted to go.
        settings.providers.insert(entry.key.clone(), provider);
    }
}

pub(super) const PROVIDER: &[Field<ProviderSettings>] = &[
    Field {
        key: "kind",
        read: |provider, entry, reader| {
            reader.put(&mut provider.kind, entry, |node| value::word::<ProviderKind>(node, &KINDS).map(Some));
        },
    },
    Field {
        key: "base_url",
        read: |provider, entry, reader| {
            reader.put(&mut provider.base_url, entry, |node| value::endpoint(node).map(Some));
        },
    },
    Field {
        key: "api_key_env",
        read: |provider, entry, reader| {
            reader.put(&mut provider.api_key_env, entry, |node| value::variable(node).map(Some));
        },
    },
    Field {
        key: "insecure",
        read: |provider, entry, reader| {
            reader.put(&mut provider.insecure, entry, value::flag);
        },
    },
    Field {
        key: "path",
        read: |provider, entry, reader| {
            let folder = reader.source.folder();
            reader.put(&mut provider.path, entry, |node| value::path(node, folder).map(Some));
        },
    },
    Field {
        key: "api_key_command",
        read: |provider, entry, reader| {
            reader.put(&mut provider.api_key_command, entry, |node| value::program(node).map(Some));
        },
    },
    Field {
        key: "api_key",
        read: |_, entry, reader| {
            let message = "settings hold no keys: put it into an environment variable and name that in `api_key_env`";
            reader.fault(entry.at.clone(), message.to_owned());
        },
    },
    Field {
        key: "stream",
        read: |provider, entry, reader| {
            reader.put(&mut provider.stream, entry, |node| value::flag(node).map(Some));
        },
    },
    Field {
        key: "resource",
        read: |provider, entry, reader| {
            reader.put(&mut provider.resource, entry, |node| value::host_label(node).map(Some));
        },
    },
    Field {
        key: "deployment",
        read: |provider, entry, reader| {
            reader.put(&mut provider.deployment, entry, |node| value::some_text(node).map(Some));
        },
    },
    Field {
        key: "api_version",
        read: |provider, entry, reader| {
            reader.put(&mut provider.api_version, entry, |node| value::some_text(node).map(Some));
        },
    },
    Field {
        key: "region",
        read: |provider, entry, reader| {
            reader.put(&mut provider.region, entry, |node| value::host_label(node).map(Some));
        },
    },
    Field {
        key: "profile",
        read: |provider, entry, reader| {
            reader.put(&mut provider.profile, entry, |node| value::some_text(node).map(Some));
        },
    },
];
