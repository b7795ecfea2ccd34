//! What a command should not have made: taken out of the workspace, kept, and put back where the person wants it.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::at::At;
use super::names::{Mark, Names, is_gone};
use crate::permission::{Roots, real_path};
use crate::settings::make_private;

/// The folder for it, in that of the state.
const PLACE: &str = "taken-out";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// The folder where it is now. Nothing in there is ever removed but by the person.
    pub(super) kept: PathBuf,
    pub(super) taken: Vec<Taken>,
    /// What could not be taken out or looked at, and why.
    pub(super) left: Vec<(PathBuf, String)>,
}

/// Something that was taken out.
#[derive(Debug)]
pub(super) struct Taken {
    /// Where it was.
    pub(super) from: PathBuf,
    /// Where it is now.
    pub(super) at: PathBuf,
    /// What the link says that stood there before, and stands there again.
    link: Option<PathBuf>,
}

impl Names {
    /// Takes out what was not there before, and puts links back that were replaced. What cannot be taken out stops nothing.
    pub(super) fn swept(self, roots: &Roots) -> Swept {
        let roots = &roots.clone().with_git(self.git.clone());
        let now = Self::left(roots);
        let mut swept = Swept { left: now.unseen.clone(), ..Swept::default() };
        // What only moved with the folder that it counts for is what the person had there, unless it counts for another one's place.
        let known: HashSet<_> = self.protected.values().map(moving).collect();
        let is_moved =
            |path: &Path, mark: &Mark| known.contains(&moving(mark)) && !self.folders.are_replaced_above(path);
        let is_inside = |path: &Path| roots.folders().iter().any(|root| path.starts_with(root) && path != root);
        let mut out: Vec<PathBuf> = Vec::new();
        for (path, mark) in &now.protected {
            let before = self.protected.get(path);
            if before.is_some_and(|before| is_same(before, mark)) || is_moved(path, mark) {
                continue;
            }
            if mark.link.is_some() && before.is_some_and(|before| before.link == mark.link) {
                // What it leads to is another one.
                let target = real_path(path);
                out.extend(Some(target).filter(|target| is_inside(target) && target.symlink_metadata().is_ok()));
            } else {
                out.push(path.clone());
            }
        }
        out.sort();
        out.dedup();
        if !out.is_empty() {
            match place(roots) {
                Ok(kept) => swept.kept = kept,
                Err(error) => {
                    let why = format!("there is no place for it: {error}");
                    swept.left.extend(out.drain(..).map(|path| (path, why.clone())));
                }
            }
        }
        for (number, from) in out.into_iter().enumerate() {
            let at = swept.kept.join(number.to_string());
            match taken_out(&from, &at) {
                Ok(()) => swept.taken.push(Taken { link: None, from, at }),
                // With something that was taken out before.
                Err(error) if is_gone(&error) && from.symlink_metadata().is_err() => {}
                Err(error) => swept.left.push((from, error.to_string())),
            }
        }
        for (path, mark) in &self.protected {
            let Some(link) = &mark.link else { continue };
            let moved = || now.protected.values().any(|now| moving(now) == moving(mark));
            let is_free = path.symlink_metadata().is_err_and(|error| is_gone(&error));
            if !is_free || moved() || !path.parent().is_some_and(Path::is_dir) {
                continue;
            }
            match At::of(path).and_then(|at| at.make_link(link.as_os_str())) {
                Ok(()) => {
                    let instead = swept.taken.iter_mut().find(|taken| taken.from == *path);
                    instead.into_iter().for_each(|taken| taken.link = Some(link.clone()));
                }
                Err(error) => swept.left.push((path.clone(), format!("the link could not be made again: {error}"))),
            }
        }
        swept
    }
}

/// Whether a name stands for what it stood for. A file that was saved anew with the same in it does.
fn is_same(before: &Mark, now: &Mark) -> bool {
    let same = before.link == now.link && before.leads == now.leads && (now.link.is_some() || before.file == now.file);
    same || before.link == now.link && now.content.is_some() && before.content == now.content
}

/// What stays the same when the folder is moved that something counts for.
fn moving(mark: &Mark) -> (super::names::Id, Option<super::names::Id>, Option<&Path>, Option<super::names::Id>) {
    (mark.file, mark.holder, mark.link.as_deref(), mark.leads)
}

/// A new folder that is this user's alone: in that of the state, or else among the temporary ones.
fn place(roots: &Roots) -> io::Result<PathBuf> {
    let in_state = || -> io::Result<PathBuf> {
        let place = roots.state().ok_or(io::ErrorKind::NotFound)?.join(PLACE);
        make_private(&place)?;
        Ok(tempfile::Builder::new().prefix("from-").tempdir_in(place)?.keep())
    };
    let kept = in_state()
        .or_else(|_| io::Result::Ok(tempfile::Builder::new().prefix("cowrite-taken-out-").tempdir()?.keep()))?;
    make_private(&kept)?;
    Ok(kept)
}

impl Taken {
    /// Puts it where it was.
    ///
    /// # Errors
    /// Why it could not be.
    pub(super) fn put_back(self) -> Result<(), String> {
        let wrong = |error: io::Error| format!("{}: {error}", self.from.display());
        // Whoever has turned a folder on the way into a link since then gets nothing put where that leads.
        let (at, to) = (At::of(&self.at).map_err(wrong)?, At::of(&self.from).map_err(wrong)?);
        if let Some(link) = &self.link
            && to.link().is_ok_and(|says| says == *link.as_os_str())
        {
            to.unlink().map_err(wrong)?;
        }
        if to.is_there() {
            return Err(format!("something else is at {}", self.from.display()));
        }
        at.moved(&to).map_err(wrong)
    }
}

/// Moves something out, past modes that are in the way.
fn taken_out(from: &Path, to: &Path) -> io::Result<()> {
    use io::ErrorKind::{CrossesDevices, PermissionDenied};
    let (from, to) = (At::of(from)?, At::of(to)?);
    match from.rename(&to) {
        // What is copied has to be removed as well: that must not stop half way.
        Err(error) if matches!(error.kind(), PermissionDenied | CrossesDevices) => {
            let before = from.folder_opened();
            let done = from.all_opened().and_then(|()| from.moved(&to));
            if let Ok(before) = before {
                from.close_folder(before)?;
            }
            done
        }
        done => done,
    }
}
