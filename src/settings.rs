//! Settings: layers, schema, and messages for a wrong file.
//!
//! A layer is read into one tree whatever its spelling (`node`), and taken into the settings entry by entry
//! (`read`, `apply`): what is wrong is a [`Fault`] and left out, the rest counts. To add a setting, add its field
//! to `settings/schema.rs` and to the list of its table in `settings/apply.rs`; a test fails when only one was done.
//!
//! Settings hold no keys, only the names of the variables that do.

mod apply;
mod compaction;
mod fault;
mod node;
mod places;
mod provider;
mod read;
mod schema;
mod trusted;
mod unusable;
mod value;
mod whole;

pub mod template;

pub use fault::{At, Fault, LayerName, Severity, Source};
pub use places::{Places, StateDirError, make_private};
pub use read::Origin;
pub use schema::{
    CommandKind, CommandSettings, CompactionMode, CompactionSettings, EditFormat, Hooks, Limits, McpSettings,
    ModelSettings, Needs, Permissions, Price, ProviderKind, ProviderSettings, Settings, Verify,
};
pub use unusable::Unusable;

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
    /// Whether there may be deny rules in what could not be read.
    may_deny: bool,
}

impl Layer {
    /// A layer from the text of a TOML file.
    #[must_use]
    pub fn toml(layer: LayerName, file: &Path, text: &str) -> Self {
        let source = Source { layer, file: Some(file.to_owned()) };
        let content =
            node::from_toml(text).map_err(|error| Fault { at: error.at, ..whole_fault(&source, error.message) });
        Self { source, content, may_deny: text.contains("deny") }
    }

    /// A layer from an editor's JSON: the settings object, bare or as `{cowrite: {…}}`.
    #[must_use]
    pub fn json(layer: LayerName, json: &serde_json::Value) -> Self {
        let inner = match json.as_object() {
            Some(object) if object.len() == 1 => object.get("cowrite").unwrap_or(json),
            _ => json,
        };
        Self { source: Source { layer, file: None }, content: Ok(node::from_json(inner)), may_deny: false }
    }

    /// A layer from a file on disk; `None` when it is not there and need not be.
    #[must_use]
    pub fn file(layer: LayerName, file: &Path, needed: bool) -> Option<Self> {
        let (problem, may_deny) = match read_text(file) {
            Ok(text) => return Some(Self::toml(layer, file, &text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => return None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                ("there is no such file; COWRITE_CONFIG names it: expected a settings file".to_owned(), false)
            }
            Err(error) => (format!("could not read the settings file: {error}"), true),
        };
        let source = Source { layer, file: Some(file.to_owned()) };
        Some(Self { content: Err(whole_fault(&source, problem)), source, may_deny })
    }
}

/// The layers that are the person's own, each read once.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    user: Option<Layer>,
    editor: Option<Layer>,
}

impl Layers {
    /// Reads what there is.
    #[must_use]
    pub fn read(places: &Places, init_options: Option<&serde_json::Value>) -> Self {
        let user = places.config.as_deref().and_then(|file| Layer::file(LayerName::User, file, places.config_is_named));
        let editor = init_options
            .filter(|options| !options.is_null())
            .map(|options| Layer::json(LayerName::InitializationOptions, options));
        Self { user, editor }
    }

    /// All of them together. Never fails: what is wrong is in the faults, and the rest counts.
    #[must_use]
    pub fn load(&self) -> Loaded {
        self.merged(None)
    }

    /// The same with the file of a trusted workspace between them.
    #[must_use]
    pub fn with(&self, workspace: Layer) -> Loaded {
        self.merged(Some(workspace))
    }

    fn merged(&self, workspace: Option<Layer>) -> Loaded {
        merge(&self.user.iter().cloned().chain(workspace).chain(self.editor.clone()).collect::<Vec<_>>())
    }
}

/// Reads the person's own layers. Never fails: what is wrong is in the faults, and the rest counts.
#[must_use]
pub fn load(places: &Places, init_options: Option<&serde_json::Value>) -> Loaded {
    Layers::read(places, init_options).load()
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
            Err(fault) => {
                let mut fault = fault.clone();
                if layer.may_deny {
                    trusted::deny_all(&mut loaded.settings, &mut fault);
                }
                loaded.faults.push(fault);
            }
        }
    }
    whole::check(&mut loaded);
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
    schemars::schema_for!(Settings).to_value()
}

fn whole_fault(source: &Source, message: String) -> Fault {
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
