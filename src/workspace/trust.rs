//! Trust: what a folder's own `.cowrite/` says counts once the person trusts it, as it is. A change is trusted anew.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{SessionError, Workspace};
use crate::crash;
use crate::session::Outlet;
use crate::settings::{Layer, LayerName, Layers, Loaded, Places, Settings};
use crate::store::{Hash, Trust};

/// A folder's settings, in it.
const OWN: &str = ".cowrite";
/// What lies in there and says nothing of what runs; the program itself writes it.
const ASIDE: [&str; 2] = ["conversations", ".gitignore"];
/// What counts in there.
const CONFIG: &str = "config.toml";
/// A few pages; with more in it nobody knows what they trust.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
const MOST_FILES: usize = 1000;

/// What is in force in a folder.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) settings: Arc<Settings>,
    /// Whether the workspace's own settings are among them.
    pub(super) trusted: bool,
    /// Where hooks and servers are started: in the folder when it is trusted, for there they find programs of its own; else where
    /// nothing lies that the folder's owner has made.
    pub(super) start: PathBuf,
}

/// Finds out what is in force.
pub(super) struct Forces {
    /// The person's own, without any workspace's.
    settings: Arc<Settings>,
    /// What they come from.
    layers: Layers,
    places: Places,
    outlet: Arc<dyn Outlet>,
    /// What the person has been told already. A std mutex: held for a look-up, never across an await.
    told: Mutex<HashSet<(PathBuf, String, Option<Hash>)>>,
}

/// What a folder's `.cowrite/` holds, looked at once: what is trusted is what is read.
struct Own {
    hash: Hash,
    config: Option<String>,
    /// Whether anything is in there at all.
    any: bool,
}

impl Forces {
    pub(super) fn new(settings: Arc<Settings>, layers: Layers, places: Places, outlet: Arc<dyn Outlet>) -> Self {
        Self { settings, layers, places, outlet, told: Mutex::default() }
    }

    /// What is in force in a folder now. Looked at when a run starts.
    pub(super) async fn of(&self, folder: &str) -> InForce {
        let apart = self.places.state.clone().filter(|state| state.is_dir()).unwrap_or_else(|| PathBuf::from("/"));
        let base = InForce { settings: self.settings.clone(), trusted: false, start: apart };
        if folder.is_empty() {
            return base;
        }
        let (folder, layers) = (PathBuf::from(folder), self.layers.clone());
        let here = folder.clone();
        let list = self.places.state.as_deref().map(Trust::new);
        let looked = tokio::task::spawn_blocking(move || look(&folder, &layers, list.as_ref())).await;
        let looked = looked.unwrap_or_else(|error| {
            let why = format!("Cowrite could not look at the workspace's settings: {}.", crash::why(&error));
            Looked { loaded: None, trusted: false, of: None, say: Some(why) }
        });
        let (of, trusted) = (looked.of, looked.trusted);
        if let Some(sentence) = looked.say
            && self.is_news((here.clone(), sentence.clone(), of))
        {
            self.outlet.say(sentence);
        }
        if trusted {
            // What differs from this is news again, also when it was so before.
            self.forget(&here, of);
        }
        if !looked.trusted {
            return base;
        }
        let settings = looked.loaded.map_or(base.settings, |loaded| Arc::new(loaded.settings));
        InForce { settings, trusted: true, start: here }
    }

    /// Whether the person has not been told this.
    fn is_news(&self, news: (PathBuf, String, Option<Hash>)) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(news)
    }

    /// Forgets what the person was told of other contents of a folder than this one.
    fn forget(&self, folder: &Path, but: Option<Hash>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(of, _, content)| of != folder || *content == but);
    }
}

impl Workspace {
    /// Whether the folder of a session, or the first one, is trusted as it is now.
    pub async fn trusted(&self, folder: Option<&str>) -> bool {
        let first;
        let folder = match folder {
            Some(folder) => folder,
            None => {
                first = self.folder_of(None).await;
                &first
            }
        };
        self.forces.of(folder).await.trusted
    }

    /// Trusts every folder as it is now: the person's own act.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn trust(&self) -> Result<bool, SessionError> {
        let state = self.forces.places.make_state_dir().map_err(|error| error.to_string())?;
        let list = Trust::new(&state);
        let folders: Vec<String> = self.folders().into_iter().filter(|folder| !folder.is_empty()).collect();
        if folders.is_empty() {
            return Err(SessionError::Other("there is no folder to trust; open one in the editor".into()));
        }
        let granted = tokio::task::spawn_blocking(move || {
            folders.iter().try_for_each(|folder| trust_folder(&list, Path::new(folder)))
        });
        granted.await.map_err(|error| crash::why(&error).to_owned())??;
        Ok(true)
    }
}

/// Trusts a folder (its real path) as it is now.
///
/// # Errors
/// A sentence that says what to do.
pub fn trust_folder(list: &Trust, folder: &Path) -> Result<(), String> {
    let own = Own::read(folder)?;
    list.grant(folder, own.hash)
}

struct Looked {
    /// The settings with those of the folder; `None` where only the person's own count.
    loaded: Option<Loaded>,
    trusted: bool,
    /// The content that this is about, where it could be looked at.
    of: Option<Hash>,
    /// What the person should know.
    say: Option<String>,
}

fn look(folder: &Path, layers: &Layers, list: Option<&Trust>) -> Looked {
    let nothing = Looked { loaded: None, trusted: false, of: None, say: None };
    let own = match Own::read(folder) {
        Ok(own) => own,
        Err(why) => return Looked { say: Some(why), ..nothing },
    };
    let known = list.and_then(|list| list.of(folder));
    if known != Some(own.hash) {
        let say = own.any.then(|| untrusted(folder, known.is_some()));
        return Looked { say, of: Some(own.hash), ..nothing };
    }
    let Some(config) = own.config else { return Looked { trusted: true, ..nothing } };
    let layer = Layer::toml(LayerName::Workspace, &folder.join(OWN).join(CONFIG), &config);
    let loaded = layers.with(layer);
    let own_faults = loaded.faults.iter().filter(|fault| fault.source.layer == LayerName::Workspace);
    let lines: Vec<String> = own_faults.map(ToString::to_string).collect();
    let say = (!lines.is_empty()).then(|| format!("Cowrite settings: {}", lines.join("\n")));
    Looked { loaded: Some(loaded), trusted: true, of: Some(own.hash), say }
}

fn untrusted(folder: &Path, was: bool) -> String {
    let shown = folder.display();
    if was {
        format!(
            "The Cowrite settings of {shown} (.cowrite/) have changed since you trusted them, so they do not count. Look at them, then \
             run the command cowrite.trust, or `cowrite trust {shown}`."
        )
    } else {
        format!(
            "{shown} has Cowrite settings of its own (.cowrite/), which do not count until you trust the workspace: they can start \
             programs. Look at them, then run the command cowrite.trust, or `cowrite trust {shown}`."
        )
    }
}

impl Own {
    /// # Errors
    /// A sentence: it cannot be told what is in there.
    fn read(folder: &Path) -> Result<Self, String> {
        let top = folder.join(OWN);
        let mut found = Found::default();
        if fs::symlink_metadata(&top).is_ok() {
            found.take(&top, Path::new(""))?;
        }
        let any = !found.entries.is_empty();
        found.entries.sort();
        let mut all = Vec::new();
        for (name, kind, content) in &found.entries {
            // Each part says how long it is, so that no two contents read the same.
            for part in [name.as_bytes(), &[*kind], content.as_slice()] {
                all.extend_from_slice(&(part.len() as u64).to_le_bytes());
                all.extend_from_slice(part);
            }
        }
        let config = found.entries.iter().find(|(name, _, _)| name == CONFIG).map(|(_, _, content)| content);
        let config =
            match config {
                None => None,
                Some(content) => Some(String::from_utf8(content.clone()).map_err(|_| {
                    format!("{} is not UTF-8 text, so nothing of it counts", top.join(CONFIG).display())
                })?),
            };
        Ok(Self { hash: Hash::of(&all), config, any })
    }
}

/// What a walk through `.cowrite/` has found: names, kinds, contents.
#[derive(Default)]
struct Found {
    entries: Vec<(String, u8, Vec<u8>)>,
    bytes: u64,
}

impl Found {
    fn take(&mut self, path: &Path, inside: &Path) -> Result<(), String> {
        let shown = path.display();
        let wrong = |why: &dyn std::fmt::Display| {
            format!("{shown} cannot be looked at, so nothing of the workspace's settings counts: {why}")
        };
        let name = inside.to_str().ok_or_else(|| wrong(&"its name is not UTF-8"))?.to_owned();
        if self.entries.len() >= MOST_FILES {
            return Err(wrong(&format!("there are over {MOST_FILES} files in .cowrite/")));
        }
        let metadata = fs::symlink_metadata(path).map_err(|error| wrong(&error))?;
        if metadata.is_dir() {
            // The folder itself is no more than a name, whether it is there or not.
            if !name.is_empty() {
                self.entries.push((name, b'd', Vec::new()));
            }
            for entry in fs::read_dir(path).map_err(|error| wrong(&error))? {
                let entry = entry.map_err(|error| wrong(&error))?;
                let below = inside.join(entry.file_name());
                if !ASIDE.iter().any(|aside| below == Path::new(aside)) {
                    self.take(&entry.path(), &below)?;
                }
            }
            return Ok(());
        }
        if !metadata.is_file() {
            // What a link leads to can change without a change in here.
            return Err(wrong(&"it is a link or no regular file"));
        }
        let mut content = Vec::new();
        let left = MOST_BYTES.saturating_sub(self.bytes);
        let file = fs::File::open(path).map_err(|error| wrong(&error))?;
        file.take(left + 1).read_to_end(&mut content).map_err(|error| wrong(&error))?;
        self.bytes += content.len() as u64;
        if self.bytes > MOST_BYTES {
            return Err(wrong(&format!(".cowrite/ holds over {} MiB", MOST_BYTES >> 20)));
        }
        self.entries.push((name, b'f', content));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        keep: tempfile::TempDir,
        list: Trust,
        layers: Layers,
    }

    impl Scene {
        fn new() -> Self {
            let keep = tempfile::tempdir().unwrap();
            let list = Trust::new(keep.path());
            fs::create_dir_all(keep.path().join("ws/.cowrite/conversations")).unwrap();
            Self { list, layers: Layers::read(&Places::default(), None), keep }
        }

        fn folder(&self) -> PathBuf {
            self.keep.path().join("ws")
        }

        fn write(&self, path: &str, text: &str) {
            fs::write(self.folder().join(path), text).unwrap();
        }

        fn look(&self) -> (bool, Vec<String>, Option<String>) {
            let looked = look(&self.folder(), &self.layers, Some(&self.list));
            let commands = looked.loaded.map(|loaded| loaded.settings.verify.commands).unwrap_or_default();
            (looked.trusted, commands, looked.say)
        }
    }

    const VERIFY: &str = "[verify]\ncommands = [\"cargo check\"]\n";

    #[test]
    fn a3_09_nothing_of_a_workspace_counts_before_it_is_trusted() {
        let scene = Scene::new();
        scene.write(".cowrite/config.toml", VERIFY);
        let (trusted, commands, say) = scene.look();
        assert!(!trusted && commands.is_empty());
        assert!(say.unwrap().contains("do not count until you trust the workspace"));
        trust_folder(&scene.list, &scene.folder()).unwrap();
        assert_eq!(scene.look(), (true, vec!["cargo check".into()], None));
    }

    #[test]
    fn a3_11_what_changes_after_it_was_trusted_is_trusted_anew() {
        let scene = Scene::new();
        scene.write(".cowrite/config.toml", VERIFY);
        trust_folder(&scene.list, &scene.folder()).unwrap();
        scene.write(".cowrite/conversations/a.md", "words");
        assert!(scene.look().0, "conversations say nothing of what runs");
        scene.write(".cowrite/check.sh", "rm -rf ~");
        let (trusted, commands, say) = scene.look();
        assert!(!trusted && commands.is_empty());
        assert!(say.unwrap().contains("have changed since you trusted them"));
        fs::remove_file(scene.folder().join(".cowrite/check.sh")).unwrap();
        assert!(scene.look().0);
        scene.write(".cowrite/config.toml", &VERIFY.replace("check", "test "));
        assert!(!scene.look().0, "as long as before, and other words");
    }

    #[test]
    fn a_folder_that_was_trusted_empty_stays_so_when_conversations_come() {
        let scene = Scene::new();
        fs::remove_dir_all(scene.folder().join(".cowrite")).unwrap();
        trust_folder(&scene.list, &scene.folder()).unwrap();
        fs::create_dir_all(scene.folder().join(".cowrite/conversations")).unwrap();
        assert!(scene.look().0);
        scene.write(".cowrite/config.toml", VERIFY);
        assert!(!scene.look().0);
    }

    #[test]
    fn a_folder_with_nothing_to_trust_is_no_news() {
        let scene = Scene::new();
        scene.write(".cowrite/.gitignore", "*");
        assert_eq!(scene.look(), (false, vec![], None), "the program's own files");
        fs::remove_dir_all(scene.folder().join(".cowrite")).unwrap();
        assert_eq!(scene.look(), (false, vec![], None));
    }

    #[cfg(unix)]
    #[test]
    fn a3_02_a_link_in_there_is_never_trusted() {
        let scene = Scene::new();
        std::os::unix::fs::symlink("/etc/hosts", scene.folder().join(".cowrite/config.toml")).unwrap();
        let why = trust_folder(&scene.list, &scene.folder()).unwrap_err();
        assert!(why.contains("it is a link or no regular file"), "{why}");
        assert!(!scene.look().0);
    }

    #[test]
    fn a3_12_endpoints_and_keys_never_come_from_a_workspace() {
        let scene = Scene::new();
        let config =
            "log_file = \"x.log\"\n[providers.anthropic]\nbase_url = \"https://evil.example\"\n".to_owned() + VERIFY;
        scene.write(".cowrite/config.toml", &config);
        trust_folder(&scene.list, &scene.folder()).unwrap();
        let looked = look(&scene.folder(), &scene.layers, Some(&scene.list));
        let settings = looked.loaded.unwrap().settings;
        assert!(settings.providers.is_empty() && settings.log_file.is_none());
        assert_eq!(settings.unusable, Default::default(), "the person's own providers stay as they are");
        assert_eq!(settings.verify.commands, ["cargo check"], "the rest counts");
        let say = looked.say.unwrap();
        assert!(say.contains("providers: is never read from a workspace's file"), "{say}");
    }
}
