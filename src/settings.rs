//! Settings: layers, schema, and messages for a wrong file.
//!
//! A layer is read into one tree whatever its spelling (`node`), and taken into the settings entry by entry
//! (`read`, `apply`): what is wrong is a [`Fault`] and left out, the rest counts. To add a setting, add its field
//! to `settings/schema.rs` and to the list of its table in `settings/apply.rs`; a test fails when only one was done.
//!
//! Settings hold no keys, only the names of the variables that do.

mod apply;
mod fault;
mod node;
mod places;
mod read;
mod schema;
mod value;

pub mod template;

pub use fault::{At, Fault, LayerName, Severity, Source};
pub use places::{Places, StateDirError, make_private};
pub use read::Origin;
pub use schema::{
    CommandKind, CommandSettings, Limits, ModelSettings, Needs, ProviderKind, ProviderSettings, Settings,
};

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use node::Node;
use read::Reader;

/// Settings and what was wrong with the files that they come from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// All layers together.
    pub settings: Settings,
    /// What was wrong, in the order of the layers and of the lines.
    pub faults: Vec<Fault>,
    /// Where each value that is not built in comes from, by dotted key.
    pub origins: BTreeMap<String, Origin>,
}

/// One layer, read but not yet merged.
#[derive(Clone, Debug)]
pub struct Layer {
    source: Source,
    /// The tree, or why there is none.
    content: Result<Node, Fault>,
}

impl Layer {
    /// A layer from the text of a TOML file.
    #[must_use]
    pub fn toml(layer: LayerName, file: &Path, text: &str) -> Self {
        let source = Source { layer, file: Some(file.to_owned()) };
        let content = node::from_toml(text).map_err(|error| Fault { at: error.at, ..whole(&source, error.message) });
        Self { source, content }
    }

    /// A layer from an editor's JSON: the settings object, bare or as `{cowrite: {…}}`.
    #[must_use]
    pub fn json(layer: LayerName, json: &serde_json::Value) -> Self {
        let inner = match json.as_object() {
            Some(object) if object.len() == 1 => object.get("cowrite").unwrap_or(json),
            _ => json,
        };
        Self { source: Source { layer, file: None }, content: Ok(node::from_json(inner)) }
    }

    /// A layer from a file on disk; `None` when it is not there and need not be.
    #[must_use]
    pub fn file(layer: LayerName, file: &Path, needed: bool) -> Option<Self> {
        let problem = match read_text(file) {
            Ok(text) => return Some(Self::toml(layer, file, &text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => return None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "there is no such file; COWRITE_CONFIG names it: expected a settings file".to_owned()
            }
            Err(error) => format!("could not read the settings file: {error}"),
        };
        let source = Source { layer, file: Some(file.to_owned()) };
        Some(Self { content: Err(whole(&source, problem)), source })
    }
}

/// Reads all layers there are. Never fails: what is wrong is in the faults, and the rest counts.
#[must_use]
pub fn load(places: &Places, init_options: Option<&serde_json::Value>) -> Loaded {
    let user = places.config.as_deref().and_then(|file| Layer::file(LayerName::User, file, places.config_is_named));
    let editor = init_options
        .filter(|options| !options.is_null())
        .map(|options| Layer::json(LayerName::InitializationOptions, options));
    merge(&user.into_iter().chain(editor).collect::<Vec<_>>())
}

/// Lays layers over the built-in settings, later ones on top.
#[must_use]
pub fn merge(layers: &[Layer]) -> Loaded {
    let mut loaded = Loaded::default();
    for layer in layers {
        match &layer.content {
            Ok(root) => {
                let mut reader = Reader::new(&layer.source, &mut loaded.faults, &mut loaded.origins);
                apply::layer(&mut loaded.settings, root, &mut reader);
            }
            Err(fault) => loaded.faults.push(fault.clone()),
        }
    }
    check_whole(&mut loaded);
    // A fault that only the whole shows still belongs between its neighbours.
    loaded.faults.sort_by_key(|fault| (fault.source.layer, fault.at.as_ref().map(|at| at.bytes.start)));
    loaded
}

/// `TABLE/MODEL` in its two parts, split at the first slash; `None` when one is missing.
#[must_use]
pub fn split_model(name: &str) -> Option<(&str, &str)> {
    name.split_once('/').filter(|(table, model)| !table.is_empty() && !model.is_empty())
}

/// The JSON Schema of the settings.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Settings).to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        for section in apply::LATER {
            let note = "Known, but not supported by this version: ignored, with a message.";
            properties.insert(section.to_owned(), serde_json::json!({"type": "object", "description": note}));
        }
    }
    schema
}

/// What only shows when all layers are together.
fn check_whole(loaded: &mut Loaded) {
    let mut left_out = Vec::new();
    for (name, provider) in &mut loaded.settings.providers {
        let key = |field: &str| read::dotted(&["providers", name.as_str(), field]);
        if provider.kind.is_none() {
            provider.kind = serde_json::from_value(name.as_str().into()).ok();
        }
        let problem = if provider.kind.is_none() {
            let message = if apply::LATER_KINDS.contains(&name.as_str()) {
                apply::kind_later(name)
            } else {
                "`kind` is missing: expected one of anthropic, openai-chat, ollama, script".to_owned()
            };
            Some((read::dotted(&["providers", name.as_str()]), message))
        } else if !provider.insecure && provider.base_url.as_deref().is_some_and(value::leaves_in_plain) {
            let message = "plain http goes to this machine only: expected https, or `insecure = true` beside it";
            Some((key("base_url"), message.to_owned()))
        } else {
            None
        };
        if let Some((key, message)) = problem {
            left_out.push((name.clone(), key, format!("{message} ({})", apply::not_used("provider", name))));
        }
    }
    for (name, key, message) in left_out {
        loaded.settings.providers.remove(&name);
        fault_at(loaded, key, message);
    }
    check_models(loaded);
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
            wrong.push((read::dotted(&["models", name.as_str(), "max_output"]), message));
        }
    }
    if let Some(message) = loaded.settings.model.as_deref().and_then(|model| check_model(model, loaded)) {
        wrong.push(("model".to_owned(), message));
    }
    for (key, message) in wrong {
        fault_at(loaded, key, message);
    }
}

fn check_model(model: &str, loaded: &Loaded) -> Option<String> {
    let Some((table, _)) = split_model(model) else {
        return Some(format!("expected PROVIDER/MODEL, such as \"anthropic/claude-sonnet-5-5\", found {model:?}"));
    };
    let is_kind = |kind: &str| serde_json::from_value::<ProviderKind>(kind.into()).is_ok();
    let prefix = read::dotted(&["providers", table]);
    if loaded.settings.providers.contains_key(table) || loaded.faults.iter().any(|fault| fault.key.starts_with(&prefix))
    {
        None
    } else if apply::LATER_KINDS.contains(&table) {
        Some(apply::kind_later(table))
    } else if is_kind(table) {
        None
    } else {
        Some(format!("there is no provider {table:?}: expected a table [{prefix}]"))
    }
}

fn fault_at(loaded: &mut Loaded, key: String, message: String) {
    let (source, at) = match loaded.origins.get(&key).cloned() {
        Some(Origin { source, at }) => (source, at),
        None => (Source { layer: LayerName::BuiltIn, file: None }, None),
    };
    loaded.faults.push(Fault { source, at, key, message, severity: Severity::Error });
}

fn whole(source: &Source, message: String) -> Fault {
    Fault { source: source.clone(), at: None, key: String::new(), message, severity: Severity::Error }
}

/// A settings file is a page or two; what is larger is another file, and is not read into memory.
const LARGEST_FILE: u64 = 1024 * 1024;

fn read_text(file: &Path) -> io::Result<String> {
    // Looked at before it is opened: opening a pipe waits for its other end.
    if !std::fs::metadata(file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))?;
    // Some editors on Windows begin a file with a mark that is no part of TOML.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests;
