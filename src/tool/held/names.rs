//! Protected names in a workspace: what there is before a command, and what there is after it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::at::At;
use crate::permission::{Roots, is_protected, named_by};

/// Files that hold keys, wherever they lie in a workspace.
const KEYS: &[&str] = &[".envrc", ".npmrc"];
/// A workspace with more entries is not looked through, so that nothing runs in it.
const MOST: usize = 3_000_000;
/// A name that nothing has.
const ANY: &str = "c0ffee 5d1e 4a7b any name at all";
/// A longer file is another one whenever it is not the same file.
const LONGEST: u64 = 1 << 20;

/// What stands in a workspace.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) protected: BTreeMap<PathBuf, Mark>,
    pub(super) hidden: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub(super) unseen: Vec<(PathBuf, String)>,
    pub(super) folders: Folders,
    /// Folders that a `.git` file names.
    pub(super) git: Vec<PathBuf>,
}

/// Which folder stands where. There may be very many of them, so paths are kept as numbers that nobody can foresee.
#[derive(Debug, Default)]
pub(super) struct Folders {
    numbers: RandomState,
    at: HashMap<u64, Id>,
}

impl Folders {
    fn add(&mut self, folder: &Path, id: Id) {
        self.at.insert(self.numbers.hash_one(folder), id);
    }

    /// Whether a path leads through the place of one of these folders where another one stands now.
    pub(super) fn are_replaced_above(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|above| {
            let before = self.at.get(&self.numbers.hash_one(above));
            before.is_some_and(|before| above.symlink_metadata().is_ok_and(|now| identity(&now) != *before))
        })
    }
}

/// A file or a folder, whatever it is called.
pub(super) type Id = (u64, u64);

/// What tells whether a name still stands for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) file: Id,
    /// The folder that what is protected counts for: that of `AGENTS.md`, and of the `.cargo` that a `config.toml` is in.
    pub(super) holder: Option<Id>,
    /// What it says, when it is a link: nothing else keeps those from being replaced.
    pub(super) link: Option<PathBuf>,
    /// Where it leads; nowhere when what it leads to is not there.
    pub(super) leads: Option<Id>,
    /// What is in it, when it is a file that nobody else holds by another name.
    pub(super) content: Option<[u8; 32]>,
}

impl Mark {
    /// What is `used` is protected for itself, whatever it is called.
    fn of(path: &Path, used: bool) -> io::Result<Self> {
        let found = path.symlink_metadata()?;
        let link = found.is_symlink().then(|| path.read_link()).transpose()?;
        let leads = path.metadata().ok();
        let own = path.file_name().is_some_and(|name| is_protected(Path::new(name)) || is_half(Path::new(name)));
        let holder =
            path.ancestors().nth(if own || used { 1 } else { 2 }).and_then(|above| above.symlink_metadata().ok());
        let content = leads.as_ref().filter(|leads| leads.is_file() && leads.len() <= LONGEST && is_single(leads));
        let content = content.and_then(|_| fs::read(path).ok()).map(|bytes| Sha256::digest(bytes).into());
        Ok(Self {
            file: identity(&found),
            holder: holder.as_ref().map(identity),
            link,
            leads: leads.as_ref().map(identity),
            content,
        })
    }
}

#[cfg(unix)]
fn identity(found: &fs::Metadata) -> Id {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn identity(found: &fs::Metadata) -> Id {
    (0, found.len())
}

#[cfg(unix)]
fn is_single(found: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(found) == 1
}

#[cfg(not(unix))]
fn is_single(_found: &fs::Metadata) -> bool {
    false
}

/// Whether something in a folder of that name is protected. A link of that name is, for nobody looks for what is behind it.
fn is_half(name: &Path) -> bool {
    ["config", "workflows"].iter().any(|inner| is_protected(&name.join(inner)))
}

/// What is to be done with a folder that cannot be looked into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shut {
    /// Nothing: it is the person's.
    Leave,
    /// It was open before the command, so it is opened again.
    Open,
}

impl Names {
    /// Those of a workspace before a command. Links are not followed.
    ///
    /// # Errors
    /// It is too large, or some of it cannot be looked at.
    pub(super) fn found(roots: &Roots) -> Result<Self, String> {
        let mut names = Self::look(roots, Shut::Leave, MOST).ok_or_else(|| {
            format!("the workspace has more than {MOST} files, too many to keep its protected names from a command")
        })?;
        names.git = names.protected.keys().flat_map(|path| named_by(path)).collect();
        for path in roots.clone().with_git(names.git.clone()).git() {
            names.add(path.clone(), true);
        }
        names.hidden.extend(roots.denied_outside().map_err(|why| format!("{why}; name a folder in it"))?);
        match names.unseen.first() {
            None => Ok(names),
            Some((path, why)) => Err(format!(
                "{} cannot be looked at ({why}), and what is protected in there would not be kept from a command: tell the person to make \
                 it readable for them (chmod u+rwx) or to move it out of the workspace",
                path.display()
            )),
        }
    }

    /// Those of a workspace after a command, which may have made as much as it liked, and shut what it liked.
    pub(super) fn left(roots: &Roots) -> Self {
        Self::look(roots, Shut::Open, usize::MAX).unwrap_or_default()
    }

    fn look(roots: &Roots, shut: Shut, most: usize) -> Option<Self> {
        let mut names = Self::default();
        // Each with whether it is protected, as what is hidden may lie in there too, and whether it is hidden itself.
        let mut folders: Vec<(PathBuf, bool, bool)> = Vec::new();
        for root in roots.folders() {
            let guarded = is_protected(root);
            if guarded {
                names.add(root.clone(), false);
            }
            folders.push((root.clone(), guarded, false));
        }
        let mut count = 0;
        while let Some((folder, guarded, mut covered)) = folders.pop() {
            if guarded && shut == Shut::Open {
                continue;
            }
            let entries = match entries(&folder) {
                Err(error) if !is_gone(&error) && shut == Shut::Open => {
                    At::of(&folder).and_then(|at| at.opened()).and_then(|_| entries(&folder))
                }
                entries => entries,
            };
            let entries = match entries {
                Ok((id, entries)) => {
                    if shut == Shut::Leave {
                        names.folders.add(&folder, id);
                    }
                    entries
                }
                Err(error) => {
                    // A command can write in no protected folder, and open none.
                    if !guarded && !is_gone(&error) && !is_closed(&folder) {
                        names.unseen.push((folder, error.to_string()));
                    }
                    continue;
                }
            };
            // Where nothing may be read, and no other name could be, the folder is hidden and not each of its files.
            let free = |path: &Path| roots.folders().iter().all(|root| !root.starts_with(path));
            let all = |entries: &[(OsString, fs::FileType)]| {
                entries.iter().all(|(name, _)| roots.denies_reading(&folder.join(name)))
            };
            if !covered && roots.denies_reading(&folder.join(ANY)) && free(&folder) && all(&entries) {
                names.hidden.push(folder.clone());
                covered = true;
            }
            for (name, kind) in entries {
                count += 1;
                if count > most {
                    return None;
                }
                let path = folder.join(&name);
                let denied = KEYS.iter().any(|key| name == *key) || roots.denies_reading(&path);
                let covers = !covered && denied && (!kind.is_dir() || free(&path));
                if covers {
                    names.hidden.push(path.clone());
                }
                // What is above was looked at before; some names count only within another.
                let above = folder.file_name().map(Path::new).unwrap_or(Path::new(""));
                let used = roots.is_used(&path);
                let protected =
                    used || is_protected(&above.join(&name)) || kind.is_symlink() && is_half(Path::new(&name));
                if protected && !guarded {
                    names.add(path.clone(), used);
                }
                if kind.is_dir() {
                    folders.push((path, guarded || protected, covered || covers));
                }
            }
        }
        Some(names)
    }

    fn add(&mut self, path: PathBuf, used: bool) {
        match Mark::of(&path, used) {
            Ok(mark) => drop(self.protected.insert(path, mark)),
            Err(error) if is_gone(&error) => {}
            Err(error) => self.unseen.push((path, error.to_string())),
        }
    }
}

/// What is in a folder that can be read and gone through, and which one it is.
fn entries(folder: &Path) -> io::Result<(Id, Vec<(OsString, fs::FileType)>)> {
    let id = identity(&folder.join(".").symlink_metadata()?);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type() {
            Ok(kind) => found.push((entry.file_name(), kind)),
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((id, found))
}

pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a folder is somebody else's and lets this user neither write in it nor go through it: no command can make anything there.
#[cfg(unix)]
fn is_closed(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    use std::os::unix::fs::MetadataExt;
    let others = folder.symlink_metadata().is_ok_and(|found| found.uid() != rustix::process::geteuid().as_raw());
    others && access(folder, Access::WRITE_OK).is_err() && access(folder, Access::EXEC_OK).is_err()
}

#[cfg(not(unix))]
fn is_closed(_folder: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests;
