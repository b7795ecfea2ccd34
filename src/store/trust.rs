//! Which workspaces the person trusts: a file in the state folder, by real path, with the hash of what was trusted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Hash;
use crate::protocol::now_ms;

/// The file's name in the state folder.
const FILE: &str = "trust.json";
/// A list of folders; what is larger is none.
const LARGEST: u64 = 4 * 1024 * 1024;

/// The list of trusted workspaces. Read anew for each look: another process may have changed it.
#[derive(Clone, Debug)]
pub struct Trust {
    file: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    version: u32,
    folders: BTreeMap<String, Trusted>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trusted {
    /// Of the content of its `.cowrite/`.
    hash: Hash,
    /// When, in milliseconds since 1970, UTC.
    at: u64,
}

impl Trust {
    /// The list in a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { file: state.join(FILE) }
    }

    /// What was trusted in a folder (its real path); `None` when nothing was, and when the list cannot be read.
    #[must_use]
    pub fn of(&self, folder: &Path) -> Option<Hash> {
        match self.read() {
            Ok(list) => Some(list.folders.get(key(folder)?)?.hash),
            Err(error) => {
                tracing::error!("{error}");
                None
            }
        }
    }

    /// Trusts a folder as it is.
    ///
    /// # Errors
    /// A sentence: the list could not be read or written.
    pub fn grant(&self, folder: &Path, hash: Hash) -> Result<(), String> {
        let key = key(folder).ok_or_else(|| {
            format!("{} cannot be trusted: its path is not UTF-8; give the folder another name", folder.display())
        })?;
        self.change(|list| {
            list.folders.insert(key.to_owned(), Trusted { hash, at: now_ms() });
            true
        })?;
        Ok(())
    }

    /// Trusts a folder no more; whether it was trusted.
    ///
    /// # Errors
    /// A sentence: the list could not be read or written.
    pub fn withdraw(&self, folder: &Path) -> Result<bool, String> {
        let Some(key) = key(folder) else { return Ok(false) };
        self.change(|list| list.folders.remove(key).is_some())
    }

    fn change(&self, change: impl FnOnce(&mut List) -> bool) -> Result<bool, String> {
        let _turn = self
            .turn()
            .map_err(|error| format!("Could not lock {}: {error}; mend that, and do it again", self.file.display()))?;
        let mut list = self.read()?;
        list.version = 1;
        let changed = change(&mut list);
        if changed {
            self.write(&list).map_err(|error| {
                format!("Could not write {}: {error}; mend that, and trust the workspace again", self.file.display())
            })?;
        }
        Ok(changed)
    }

    /// Other processes read and write the list too; each waits for the one before, which takes no longer than a write.
    fn turn(&self) -> io::Result<Option<fs::File>> {
        let opened = fs::File::options().create(true).append(true).open(self.file.with_extension("lock"));
        let lock = match opened {
            Ok(lock) => lock,
            // Without the folder there is no list either.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        lock.lock()?;
        Ok(Some(lock))
    }

    fn read(&self) -> Result<List, String> {
        let wrong = |why: String| {
            format!(
                "The list of trusted workspaces {} cannot be read: {why}; move it away to begin anew",
                self.file.display()
            )
        };
        let metadata = match fs::symlink_metadata(&self.file) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(List::default()),
            Err(error) => return Err(wrong(error.to_string())),
        };
        if !metadata.is_file() || metadata.len() > LARGEST || !ours_alone(&metadata) {
            return Err(wrong("it is no file of this user's own that nobody else can write".into()));
        }
        let text = fs::read(&self.file).map_err(|error| wrong(error.to_string()))?;
        let list: List = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if list.version != 1 {
            return Err(wrong(format!("it is of version {}, and this program knows 1", list.version)));
        }
        Ok(list)
    }

    /// All of it or nothing: a reader never sees a half.
    fn write(&self, list: &List) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        // For this user alone, and under a name that nobody can guess.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(list)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.file)?;
        Ok(())
    }
}

/// A path that is no text cannot be told from another in the list.
fn key(folder: &Path) -> Option<&str> {
    folder.to_str()
}

#[cfg(unix)]
fn ours_alone(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn ours_alone(_: &fs::Metadata) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn hash(text: &str) -> Hash {
        Hash::of(text.as_bytes())
    }

    #[test]
    fn a_folder_is_trusted_as_it_was_until_that_is_withdrawn() {
        let state = tempfile::tempdir().unwrap();
        let trust = Trust::new(state.path());
        let (a, b) = (Path::new("/a"), Path::new("/a/b"));
        assert_eq!(trust.of(a), None);
        trust.grant(a, hash("1")).unwrap();
        assert_eq!((trust.of(a), trust.of(b)), (Some(hash("1")), None), "what lies in it is another workspace");
        trust.grant(a, hash("2")).unwrap();
        assert_eq!(trust.of(a), Some(hash("2")));
        let mode = fs::metadata(state.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!((trust.withdraw(a), trust.withdraw(a), trust.of(a)), (Ok(true), Ok(false), None));
    }

    #[test]
    fn a3_10_a_list_that_others_can_write_or_that_is_broken_trusts_nothing() {
        let state = tempfile::tempdir().unwrap();
        let trust = Trust::new(state.path());
        trust.grant(Path::new("/a"), hash("1")).unwrap();
        let file = state.path().join(FILE);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(trust.of(Path::new("/a")), None, "anybody could have written it");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(trust.of(Path::new("/a")), Some(hash("1")));
        let moved = state.path().join("elsewhere");
        fs::rename(&file, &moved).unwrap();
        symlink(&moved, &file).unwrap();
        assert_eq!(trust.of(Path::new("/a")), None, "a link may lead anywhere");
        fs::remove_file(&file).unwrap();
        fs::write(&file, "{\"version\": 1, \"folders\": {").unwrap();
        assert_eq!(trust.of(Path::new("/a")), None);
        let error = trust.grant(Path::new("/b"), hash("1")).unwrap_err();
        assert!(error.contains("move it away to begin anew"), "{error}");
    }
}
