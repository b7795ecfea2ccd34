//! The path authority: from the words of a model to a [`Place`], or a refusal.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::{protected, uri};
use crate::editor::Place;

/// As many links as Linux follows in one path.
const LINKS: usize = 40;

/// What files with rules for the model are called.
pub const RULES: &str = "AGENTS.md";

/// What is wanted of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look at it.
    Read,
    /// Change it.
    Write,
}

/// Why a path is not let through. Written for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Not in any workspace folder.
    #[error("{0} is outside the workspace, where nothing is read or changed; go on without it")]
    Outside(String),
    /// A protected name.
    #[error("{0} is protected: nothing there is read or changed; go on without it, or tell the person what to change")]
    Protected(String),
    /// Not a path.
    #[error("{given:?} is not a path that can be used: {reason}")]
    Malformed {
        /// As given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where a path leads once every link on the way is followed, whether a file is there or not; the path itself when it
/// leads nowhere.
#[must_use]
pub fn real_path(path: &Path) -> PathBuf {
    follow(path).map_or_else(|_| path.to_path_buf(), |way| way.end)
}

/// The workspace folders, real paths.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    folders: Vec<PathBuf>,
    /// Open buffers, by the real path of their file or by URI, that are inside though no folder holds them.
    buffers: Vec<Place>,
    /// Real paths that are protected with all below them, whatever they are called.
    own: Vec<PathBuf>,
}

impl Roots {
    /// These folders, made real. A folder that does not exist is left out.
    #[must_use]
    pub fn new(folders: &[PathBuf]) -> Self {
        let mut real: Vec<PathBuf> = Vec::new();
        for folder in folders.iter().filter_map(|folder| folder.canonicalize().ok()) {
            if folder.is_dir() && !real.contains(&folder) {
                real.push(folder);
            }
        }
        Self { folders: real, ..Self::default() }
    }

    /// The same, with open buffers that are inside though no folder holds them (where there is no folder at all).
    #[must_use]
    pub fn with_buffers(self, buffers: Vec<Place>) -> Self {
        Self { buffers, ..self }
    }

    /// The same, with places that are protected whatever they are called: the program's own settings and state.
    #[must_use]
    pub fn with_own(self, own: &[PathBuf]) -> Self {
        let own = own.iter().filter_map(|path| follow(path).ok()).map(|way| way.end).collect();
        Self { own, ..self }
    }

    /// The folders.
    #[must_use]
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The place that a path means: relative to the first folder, or beginning with a folder's name when there are
    /// several, absolute, or a `file:` URI; or the URI of one of the buffers. Looked at after resolving links, component
    /// by component.
    ///
    /// # Errors
    /// When it is malformed, outside, or protected. What is protected is neither read nor changed until a person can be
    /// asked, so the answer does not depend on the access yet.
    pub fn resolve(&self, given: &str, access: Access) -> Result<Place, Denied> {
        // Kept in the signature: asking will treat the two differently.
        let _ = access;
        let malformed = |reason: &str| Denied::Malformed { given: given.to_owned(), reason: reason.to_owned() };
        if let Some(buffer) = self.buffers.iter().find(|buffer| buffer.to_string() == given) {
            return if self.guards(buffer) { Err(Denied::Protected(given.to_owned())) } else { Ok(buffer.clone()) };
        }
        let path = match uri::file_path(given) {
            Some(path) => PathBuf::from(path.map_err(malformed)?),
            None if uri::is_foreign(given) => return Err(malformed("only file URIs and open buffers can be used")),
            None => PathBuf::from(given),
        };
        if path.as_os_str().is_empty() {
            return Err(malformed("it is empty"));
        }
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(malformed("it holds a NUL"));
        }
        let Some(absolute) = self.absolute(&path) else { return Err(Denied::Outside(given.to_owned())) };
        let way = follow(&absolute).map_err(|reason| malformed(&reason))?;
        let Some(place) = self.inside(&way.end) else { return Err(Denied::Outside(given.to_owned())) };
        if way.through_protected || self.guards(&place) || self.is_link_target(&way.end) {
            return Err(Denied::Protected(given.to_owned()));
        }
        Ok(place)
    }

    /// The place of a path that a walk below a folder found, without asking the file system again; `None` when it is
    /// not below a folder, or protected.
    #[must_use]
    pub fn found(&self, path: &Path) -> Option<Place> {
        let plain = |component| matches!(component, Component::RootDir | Component::Prefix(_) | Component::Normal(_));
        if !path.components().all(plain) {
            return None;
        }
        let place = self.below_folder(path)?;
        (!self.guards(&place)).then_some(place)
    }

    /// The place of the rules file at a path (`…/AGENTS.md`, relative as [`Roots::resolve`] takes it, or absolute), whether a
    /// file is there or not. The program reads it by itself, so its own protected name is no hindrance; `None` when it
    /// leads out of the folders, by a link too, or to something else that is protected.
    #[must_use]
    pub fn rules(&self, path: &Path) -> Option<Place> {
        let absolute = self.absolute(path)?;
        if absolute.file_name()? != RULES || absolute.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let Place::File { shown, .. } = self.below_folder(&absolute)? else { return None };
        let end = follow(&absolute).ok()?.end;
        let place = self.below_folder(&end)?;
        let guarded = match end.file_name() {
            Some(name) if name == RULES => {
                self.guards(&Place::File { path: end.parent()?.to_owned(), shown: String::new() })
            }
            _ => self.guards(&place),
        };
        // As the model knows it: where it was looked for, not where a link leads.
        (!guarded).then_some(Place::File { path: end, shown })
    }

    /// Whether a place that somebody else names, such as an open document's, is inside and not protected.
    #[must_use]
    pub fn admits(&self, place: &Place) -> bool {
        let inside = match place {
            Place::File { path, .. } => self.inside(path).is_some(),
            Place::Buffer { .. } => self.buffers.contains(place),
        };
        inside && !self.guards(place)
    }

    /// The path from the file system's root; `None` where there is no folder that it could be relative to.
    fn absolute(&self, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        let mut rest = path.components();
        if self.folders.len() > 1
            && let Some(Component::Normal(first)) = rest.by_ref().find(|component| *component != Component::CurDir)
            && let Some(folder) = self.folders.iter().find(|folder| self.name(folder) == first.to_str())
        {
            return Some(folder.join(rest.as_path()));
        }
        self.folders.first().map(|folder| folder.join(path))
    }

    /// The name that paths in a folder begin with: none where two folders share it, which are then told apart by their
    /// absolute paths.
    fn name<'a>(&self, folder: &'a Path) -> Option<&'a str> {
        let name = folder.file_name()?;
        let unique = self.folders.iter().filter(|other| other.file_name() == Some(name)).count() == 1;
        if unique { name.to_str() } else { None }
    }

    fn inside(&self, real: &Path) -> Option<Place> {
        let open = || self.buffers.iter().find(|buffer| buffer.path() == Some(real)).cloned();
        self.below_folder(real).or_else(open)
    }

    /// Compares whole components: `/ws-evil` is not below `/ws`.
    fn below_folder(&self, real: &Path) -> Option<Place> {
        let deepest = self.folders.iter().filter(|folder| real.starts_with(folder));
        let folder = deepest.max_by_key(|folder| folder.components().count())?;
        let rest = real.strip_prefix(folder).ok()?;
        let shown = match self.folders.len() {
            1 => rest.to_owned(),
            _ => self
                .name(folder)
                .map_or_else(|| real.to_owned(), |name| Path::new(name).join(rest).components().collect()),
        };
        let shown = slashes(&shown);
        Some(Place::File { path: real.to_owned(), shown: if shown.is_empty() { ".".to_owned() } else { shown } })
    }

    fn guards(&self, place: &Place) -> bool {
        match place {
            Place::File { path, .. } => {
                protected::is_protected(path) || self.own.iter().any(|own| path.starts_with(own))
            }
            // An unsaved buffer may carry the path that it will be saved to.
            Place::Buffer { uri } => match uri::decode(uri) {
                Ok(uri) => uri.split(':').any(|part| protected::is_protected(Path::new(part))),
                Err(_) => true,
            },
        }
    }

    /// Whether a protected name at the top of a folder leads here by a link: `.vscode -> conf/vscode` protects
    /// `conf/vscode` too.
    fn is_link_target(&self, real: &Path) -> bool {
        let names = self.folders.iter().flat_map(|folder| protected::well_known(folder));
        names.filter_map(|name| follow(&name).ok().filter(|way| way.end != name)).any(|way| real.starts_with(&way.end))
    }
}

/// Where a path leads.
struct Way {
    /// The real path; its last components need not exist.
    end: PathBuf,
    /// Whether a link with a protected name was followed.
    through_protected: bool,
}

/// Follows an absolute path component by component, as the system does, but past what does not exist as well: a link
/// to a missing file outside must be seen before something is written through it.
fn follow(path: &Path) -> Result<Way, String> {
    let mut ahead: VecDeque<OsString> = parts(path).collect();
    let mut way = Way { end: PathBuf::from("/"), through_protected: false };
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            way.end.pop();
            continue;
        }
        way.end.push(&part);
        match way.end.symlink_metadata() {
            Ok(found) if found.is_symlink() => {}
            Ok(_) => continue,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(format!("it cannot be looked at: {error}")),
        }
        links += 1;
        if links > LINKS {
            return Err("it leads through too many links".to_owned());
        }
        way.through_protected |= protected::is_protected(&way.end);
        let target = way.end.read_link().map_err(|error| format!("its link cannot be read: {error}"))?;
        way.end.pop();
        if target.is_absolute() {
            way.end = PathBuf::from("/");
        }
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            ahead.push_front(part);
        }
    }
    way.end = spelled(&way.end);
    Ok(way)
}

/// The components that lead somewhere.
fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// The path as the file system spells it (some fold case): the deepest ancestor that exists, made canonical, and the rest.
fn spelled(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

/// As the model and the person see a path.
fn slashes(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(std::path::MAIN_SEPARATOR, "/") }
}

#[cfg(test)]
mod tests;
