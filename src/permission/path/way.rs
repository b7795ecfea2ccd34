//! Where a path leads once its links are followed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use crate::permission::protected;

/// As many links as Linux follows in one path.
const LINKS: usize = 40;

/// Where a path leads.
pub(super) struct Way {
    /// The real path; its last components need not exist.
    pub(super) end: PathBuf,
    /// Whether a link with a protected name was followed.
    pub(super) through_protected: bool,
    /// The path as it reads at each link on the way: what a rule may call it.
    pub(super) called: Vec<PathBuf>,
}

/// Follows an absolute path component by component, as the system does, but past what does not exist as well: a link
/// to a missing file outside must be seen before something is written through it.
pub(super) fn follow(path: &Path) -> Result<Way, String> {
    let mut ahead: VecDeque<OsString> = parts(path).collect();
    let mut way = Way { end: PathBuf::from("/"), through_protected: false, called: Vec::new() };
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
        if way.called.len() >= LINKS {
            return Err("it leads through too many links".to_owned());
        }
        way.through_protected |= protected::is_protected(&way.end);
        let rest: PathBuf = ahead.iter().take_while(|part| *part != "..").collect();
        way.called.push(if rest.as_os_str().is_empty() { way.end.clone() } else { way.end.join(rest) });
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
