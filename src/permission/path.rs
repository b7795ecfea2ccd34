//! The path authority: from the words of a model to a [`Place`], or a refusal.

mod hiding;
mod started;
mod way;

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::{Rules, Ruling, protected, uri};
use crate::editor::Place;
pub use started::named_by;
use way::follow;

/// What files with rules for the model are called.
pub const RULES: &str = "AGENTS.md";

/// What is wanted of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look at it.
    Read,
    /// Change it.
    Write,
    /// Have something run that may do more than it says.
    Run,
}

/// What a yes of the person lets through beside what is free anyway, for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Real paths, with all below them, that may be touched though they are protected or outside.
    pub paths: Vec<(PathBuf, Access)>,
    /// Hosts that may be asked.
    pub hosts: Vec<String>,
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
    /// A deny rule holds for it.
    #[error("{given} is denied by the rule {rule}: it is not to be looked at or changed; go on without it")]
    Rule {
        /// As given.
        given: String,
        /// The rule.
        rule: String,
    },
    /// Not a path.
    #[error("{given:?} is not a path that can be used: {reason}")]
    Malformed {
        /// As given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What there is to say of a path before it is let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The place that it means; outside the workspace it is shown by its real path.
    pub place: Place,
    /// Whether it is outside the workspace.
    pub outside: bool,
    /// Whether it is protected.
    pub protected: bool,
    /// Whether a program that the settings start outside the sandbox is made of it: nothing that hinders looking.
    pub started: bool,
    /// What it was called on the way there, where links led on.
    called: Vec<PathBuf>,
}

impl Look {
    /// What a grant names it by: its real path, or its URI where there is no file.
    #[must_use]
    pub fn real(&self) -> PathBuf {
        match &self.place {
            Place::File { path, .. } => path.clone(),
            Place::Buffer { uri } => PathBuf::from(uri),
        }
    }

    /// Whether it is touched only when the person says so each time.
    #[must_use]
    pub fn is_guarded(&self, access: Access) -> bool {
        self.outside || self.protected || self.started && access != Access::Read
    }

    /// Whether links lead from the path to another one.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        !self.called.is_empty()
    }
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
    /// Files in the folders, sorted, that programs are made of which the settings start outside the sandbox.
    started: Arc<[PathBuf]>,
    /// Folders of git in the folders, by whatever name.
    git: Arc<[PathBuf]>,
    /// What the person lets through for the call that this is for.
    granted: Grant,
    /// The rules in force.
    rules: Arc<Rules>,
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

    /// The same for one call, with what the person lets through for it.
    #[must_use]
    pub fn with_grant(self, granted: Grant) -> Self {
        Self { granted, ..self }
    }

    /// The same, with rules.
    #[must_use]
    pub fn with_rules(self, rules: Arc<Rules>) -> Self {
        Self { rules, ..self }
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
    /// When it is malformed, denied by a rule, or outside or protected and not what the person let through for the call.
    pub fn resolve(&self, given: &str, access: Access) -> Result<Place, Denied> {
        let look = self.look(given)?;
        if let Ruling::Denied(rule) = self.ruling(&self.rules, &look, access) {
            return Err(Denied::Rule { given: given.to_owned(), rule });
        }
        if look.is_guarded(access) && !self.is_granted(&look.real(), access) {
            let given = given.to_owned();
            return Err(if look.outside { Denied::Outside(given) } else { Denied::Protected(given) });
        }
        Ok(look.place)
    }

    /// The same without a decision: whoever asks the person must know where a path leads and why it is asked.
    ///
    /// # Errors
    /// When it is malformed, or there is no folder that it could be relative to.
    pub fn look(&self, given: &str) -> Result<Look, Denied> {
        let malformed = |reason: &str| Denied::Malformed { given: given.to_owned(), reason: reason.to_owned() };
        if let Some(buffer) = self.buffers.iter().find(|buffer| buffer.to_string() == given) {
            let protected = self.guards(buffer);
            let started = buffer.path().is_some_and(|path| self.starts(path));
            return Ok(Look { place: buffer.clone(), outside: false, protected, started, called: Vec::new() });
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
        let inside = self.inside(&way.end);
        let outside = inside.is_none();
        let place = inside.unwrap_or_else(|| outer(&way.end));
        let protected = way.through_protected || self.guards(&place) || self.is_link_target(&way.end);
        let started = self.starts(&way.end) || way.called.iter().any(|called| self.starts(called));
        Ok(Look { place, outside, protected, started, called: way.called })
    }

    /// What rules say of a path, by all that it is called.
    #[must_use]
    pub fn ruling(&self, rules: &Rules, look: &Look, access: Access) -> Ruling {
        let real = look.real();
        let ruling = self.ruling_of(rules, &real, access);
        let mut called = look.called.iter().map(|called| self.ruling_of(rules, called, access));
        match called.find(|ruling| matches!(ruling, Ruling::Denied(_))) {
            Some(denied) if !matches!(ruling, Ruling::Denied(_)) => denied,
            _ => ruling,
        }
    }

    fn ruling_of(&self, rules: &Rules, path: &Path, access: Access) -> Ruling {
        let mut names: Vec<PathBuf> = Vec::new();
        for folder in &self.folders {
            let Ok(rest) = path.strip_prefix(folder) else { continue };
            names.push(rest.to_owned());
            if let Some(name) = self.name(folder).filter(|_| self.folders.len() > 1) {
                names.push(Path::new(name).join(rest));
            }
        }
        let names: Vec<&Path> = names.iter().map(PathBuf::as_path).collect();
        let ruling = rules.path(&names, Some(path), access);
        if !names.is_empty() || matches!(ruling, Ruling::Denied(_)) {
            return ruling;
        }
        // Where no folder holds it, a rule that denies holds for what it is called on its own.
        let rest: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        let alone: Vec<&Path> = std::iter::once(rest.as_path()).chain(path.file_name().map(Path::new)).collect();
        match rules.path(&alone, Some(path), access) {
            denied @ Ruling::Denied(_) => denied,
            _ => ruling,
        }
    }

    /// Whether the person let this through. What is protected below a folder that they let through is another matter.
    fn is_granted(&self, real: &Path, access: Access) -> bool {
        self.granted.paths.iter().any(|(granted, to)| {
            let enough = match access {
                Access::Read => matches!(to, Access::Read | Access::Write),
                Access::Write | Access::Run => *to == access,
            };
            let guards = |path| self.guards_path(path) || access != Access::Read && self.starts(path);
            let free = || self.guards_path(granted) || !guards(real);
            enough && real.starts_with(granted) && (real == granted || free())
        })
    }

    /// The place of a path that a walk below a folder found, without asking the file system again; `None` when it is
    /// not below a folder, protected or denied by a rule.
    #[must_use]
    pub fn found(&self, path: &Path) -> Option<Place> {
        self.shows(path).then(|| self.below_folder(path).unwrap_or_else(|| outer(path)))
    }

    /// Whether [`Roots::found`] gives a place. Makes none, as a walk asks this of every file.
    #[must_use]
    pub fn shows(&self, path: &Path) -> bool {
        let plain = |component| matches!(component, Component::RootDir | Component::Prefix(_) | Component::Normal(_));
        if !path.components().all(plain) {
            return false;
        }
        let free = || self.folders.iter().any(|folder| path.starts_with(folder)) && !self.guards_path(path);
        (self.is_granted(path, Access::Read) || free()) && !self.hides_path(path)
    }

    /// Whether a rule denies looking at it.
    fn hides(&self, place: &Place) -> bool {
        place.path().is_some_and(|path| self.hides_path(path))
    }

    fn hides_path(&self, path: &Path) -> bool {
        self.rules.hides() && matches!(self.ruling_of(&self.rules, path, Access::Read), Ruling::Denied(_))
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
        if self.hides(&place) || self.hides(&Place::File { path: absolute, shown: String::new() }) {
            return None;
        }
        // As the model knows it: where it was looked for, not where a link leads.
        (!guarded).then_some(Place::File { path: end, shown })
    }

    /// Whether a place that somebody else names, such as an open document's, is inside, and neither protected nor denied by a rule.
    #[must_use]
    pub fn admits(&self, place: &Place) -> bool {
        let inside = match place {
            Place::File { path, .. } => self.inside(path).is_some(),
            Place::Buffer { .. } => self.buffers.contains(place),
        };
        let granted = || place.path().is_some_and(|path| self.is_granted(path, Access::Read));
        (inside && !self.guards(place) || granted()) && !self.hides(place)
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
            Place::File { path, .. } => self.guards_path(path),
            // An unsaved buffer may carry the path that it will be saved to.
            Place::Buffer { uri } => match uri::decode(uri) {
                Ok(uri) => uri.split(':').any(|part| protected::is_protected(Path::new(part))),
                Err(_) => true,
            },
        }
    }

    fn guards_path(&self, path: &Path) -> bool {
        protected::is_protected(path) || self.own.iter().any(|own| path.starts_with(own)) || self.is_of_git(path)
    }

    /// Whether a protected name at the top of a folder leads here by a link: `.vscode -> conf/vscode` protects
    /// `conf/vscode` too.
    fn is_link_target(&self, real: &Path) -> bool {
        let names = self.folders.iter().flat_map(|folder| protected::well_known(folder));
        names.filter_map(|name| follow(&name).ok().filter(|way| way.end != name)).any(|way| real.starts_with(&way.end))
    }
}

/// A place outside all folders.
fn outer(real: &Path) -> Place {
    Place::File { path: real.to_owned(), shown: slashes(real) }
}

/// As the model and the person see a path.
fn slashes(path: &Path) -> String {
    let text = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(std::path::MAIN_SEPARATOR, "/") }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
