//! The sample project, its settings and the scripted conversation, built into the program.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Failure;

/// The file that is open in the story.
pub(super) const OPEN_FILE: &str = "src/lib.rs";

/// The manifest has another name in the repository: a package inside a package would be left out when this one is packed.
const FILES: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../../../demo/sample/Cargo.toml.txt")),
    ("README.md", include_str!("../../../demo/sample/README.md")),
    ("src/unit.rs", include_str!("../../../demo/sample/src/unit.rs")),
    (OPEN_FILE, include_str!("../../../demo/sample/src/lib.rs")),
];

const CONVERSATION: &str = include_str!("../../../demo/conversation.json");

const SETTINGS: &str = r#"model = "scripted/demo"

[providers.scripted]
kind = "script"
path = "conversation.json"
"#;

/// A sample project in a temporary folder, which is gone when this is dropped.
pub(super) struct Sample {
    /// The project.
    pub(super) root: PathBuf,
    /// The settings file of the server.
    pub(super) config: PathBuf,
    /// The state folder of the server.
    pub(super) state: PathBuf,
    /// What the server logs.
    pub(super) log: PathBuf,
    _folder: TempDir,
}

/// The text of the open file as it lies on the disk.
pub(super) fn open_text() -> &'static str {
    FILES.iter().find(|(name, _)| *name == OPEN_FILE).map_or("", |(_, text)| text)
}

impl Sample {
    pub(super) fn unpack() -> Result<Self, Failure> {
        let failed = |error| Failure::because("could not make the sample project in the temporary folder", error);
        let folder = tempfile::Builder::new().prefix("cowrite-demo-").tempdir().map_err(failed)?;
        // Where the temporary folder is a link, everyone should still call the files by one name.
        let base = folder.path().canonicalize().map_err(failed)?;
        let sample = Self {
            root: base.join("howlong"),
            config: base.join("config.toml"),
            state: base.join("state"),
            log: base.join("server.log"),
            _folder: folder,
        };
        for (name, text) in FILES {
            write(&sample.root.join(name), text).map_err(failed)?;
        }
        write(&sample.config, SETTINGS).map_err(failed)?;
        write(&base.join("conversation.json"), CONVERSATION).map_err(failed)?;
        Ok(sample)
    }

    /// Writes the open file, as the editor's own save does.
    pub(super) fn save(&self, text: &str) -> Result<(), Failure> {
        write(&self.root.join(OPEN_FILE), text).map_err(|error| Failure::because("could not save the buffer", error))
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text)
}
