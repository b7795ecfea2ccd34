//! An opened folder, and what is done relative to it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};

use rustix::fs::{Access, AtFlags, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use crate::editor::Place;

const READING: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Only ever passed through, so that folders which may be entered but not listed are no obstacle.
#[cfg(target_os = "linux")]
const WAY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const WAY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a file for reading by its real path, no component of which may be a link; waits for nobody at the other end of a pipe.
pub(super) fn open(path: &Path) -> Result<File> {
    if !is_real(path) {
        return Err(unusable());
    }
    if let Some(opened) = at_once(path, READING) {
        return Ok(opened?.into());
    }
    let names = names(path)?;
    let (file, folders) = names.split_last().ok_or_else(unusable)?;
    Folder { fd: step_by_step(folders, false)? }.open(file)
}

/// The folder of what a real path names, no component of which may be a link, and the name in it.
///
/// # Errors
/// It cannot be reached so.
pub fn folder_of(path: &Path) -> Result<(OwnedFd, OsString)> {
    let (folder, name) = Folder::reach_path(path, false)?;
    Ok((folder.fd, name))
}

/// The components of a real path below the root.
fn names(path: &Path) -> Result<Vec<&OsStr>> {
    if !is_real(path) {
        return Err(unusable());
    }
    let name = |component| if let Component::Normal(name) = component { Some(name) } else { None };
    Ok(path.components().filter_map(name).collect())
}

/// Whether a path says by itself where it leads: from the root, and never up.
fn is_real(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|component| matches!(component, Component::RootDir | Component::Normal(_)))
}

fn unusable() -> Error {
    Error::new(ErrorKind::InvalidInput, "it is not a real path of a file")
}

/// Opens what a real path leads to, in one call in which the system follows no link; `None` where the system has no such call.
#[cfg(target_os = "linux")]
fn at_once(path: &Path, flags: OFlags) -> Option<rustix::io::Result<OwnedFd>> {
    use rustix::fs::{CWD, ResolveFlags};
    const NO_LINKS: ResolveFlags = ResolveFlags::NO_SYMLINKS.union(ResolveFlags::NO_MAGICLINKS);
    #[cfg(test)]
    if LONG_WAY.get() {
        return None;
    }
    match rustix::fs::openat2(CWD, path, flags, Mode::empty(), NO_LINKS) {
        // Older systems, sandboxes that do not know the call, and a rename at a bad moment: the long way says what is.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::TOOBIG | Errno::AGAIN) => None,
        opened => Some(opened),
    }
}

#[cfg(not(target_os = "linux"))]
fn at_once(_: &Path, _: OFlags) -> Option<rustix::io::Result<OwnedFd>> {
    None
}

/// Opens the folder that names lead to from the root, one after another, each without following a link; makes what is missing, if wanted.
fn step_by_step(names: &[&OsStr], make: bool) -> Result<OwnedFd> {
    let mut fd = rustix::fs::open("/", WAY, Mode::empty())?;
    for name in names {
        fd = match rustix::fs::openat(&fd, *name, WAY, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match rustix::fs::mkdirat(&fd, *name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                rustix::fs::openat(&fd, *name, WAY, Mode::empty())?
            }
            opened => opened?,
        };
    }
    Ok(fd)
}

/// Whether what has taken place is sure to outlive a power cut.
pub(super) type Lasting = Result<()>;

/// A folder that was reached without following a link.
pub(super) struct Folder {
    fd: OwnedFd,
}

impl Folder {
    /// The folder of a file, and the file's name in it.
    pub(super) fn of(place: &Place) -> Result<(Self, OsString)> {
        Self::reach(place, false)
    }

    /// The same, making what is missing.
    pub(super) fn make(place: &Place) -> Result<(Self, OsString)> {
        Self::reach(place, true)
    }

    fn reach(place: &Place, make: bool) -> Result<(Self, OsString)> {
        Self::reach_path(place.path().ok_or_else(unusable)?, make)
    }

    fn reach_path(path: &Path, make: bool) -> Result<(Self, OsString)> {
        let path = Some(path).filter(|path| is_real(path)).ok_or_else(unusable)?;
        let (folder, file) = path.parent().zip(path.file_name()).ok_or_else(unusable)?;
        let fd = match at_once(folder, WAY) {
            Some(Ok(fd)) => fd,
            Some(Err(error)) if !(make && error == Errno::NOENT) => return Err(error.into()),
            _ => step_by_step(&names(folder)?, make)?,
        };
        Ok((Self { fd }, file.to_owned()))
    }

    /// Opens a file for reading; waits for nobody at the other end of a pipe.
    pub(super) fn open(&self, name: &OsStr) -> Result<File> {
        Ok(rustix::fs::openat(&self.fd, name, READING, Mode::empty())?.into())
    }

    /// Whether anything of that name is there, a link to nowhere included.
    pub(super) fn has(&self, name: &OsStr) -> bool {
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Whether the system would let this process write the file.
    pub(super) fn may_write(&self, name: &OsStr) -> bool {
        rustix::fs::accessat(&self.fd, name, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    }

    /// A new file under a name that nobody knows, gone again unless it is published.
    pub(super) fn draft(&self, mode: u16) -> Result<Draft<'_>> {
        let name = hidden_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, &name, flags, Mode::from_raw_mode(mode.into()))?.into();
        Ok(Draft { folder: self, name, file, published: false })
    }

    /// Gives a file a name that nobody knows, until it is removed; else it gets its own name back.
    pub(super) fn aside<'a>(&'a self, name: &'a OsStr) -> Result<Aside<'a>> {
        let hidden = hidden_name();
        rustix::fs::renameat(&self.fd, name, &self.fd, &hidden)?;
        Ok(Aside { folder: self, name, hidden, removed: false })
    }

    /// Moves a file to a name that nothing has, in this folder or another one. An error means that nothing has moved.
    pub(super) fn rename_new(&self, name: &OsStr, to: &Self, new: &OsStr) -> Result<Lasting> {
        if !rename_new(&self.fd, name, &to.fd, new)?
            && let Err(error) = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
        {
            // The other name of the same file: nothing is lost with it.
            rustix::fs::unlinkat(&to.fd, new, AtFlags::empty())?;
            return Err(error.into());
        }
        Ok(to.lasting().and(self.lasting()))
    }

    /// Makes what has taken place in this folder outlive a power cut. It has taken place whether that works or not.
    fn lasting(&self) -> Lasting {
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        #[cfg(test)]
        if FAILING.get() {
            return Err(Errno::IO.into());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, ".", flags, Mode::empty()).and_then(rustix::fs::fsync) {
            // Some file systems know no such thing, and a folder may be writable but not listable.
            Err(Errno::INVAL | Errno::ACCESS | Errno::NOTSUP) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Whether no folder can be made to outlive a power cut, which a test cannot bring about otherwise.
    pub(super) static FAILING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// Whether folders are opened one by one, as on systems that have no other way.
    pub(super) static LONG_WAY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn hidden_name() -> String {
    format!(".cowrite-{}.tmp", uuid::Uuid::now_v7())
}

/// Gives a file a name that nothing has; whether the old name is gone with it.
fn rename_new(fd: &OwnedFd, old: &OsStr, to: &OwnedFd, new: &OsStr) -> Result<bool> {
    match rustix::fs::renameat_with(fd, old, to, new, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        // Not every file system can; a hard link refuses an existing name as well, and leaves the old one.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rustix::fs::linkat(fd, old, to, new, AtFlags::empty())?;
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// A file without its own name, on the way out.
pub(super) struct Aside<'a> {
    folder: &'a Folder,
    name: &'a OsStr,
    hidden: String,
    removed: bool,
}

impl Aside<'_> {
    /// What it is called meanwhile.
    pub(super) fn name(&self) -> &OsStr {
        OsStr::new(&self.hidden)
    }

    /// Takes it away.
    pub(super) fn remove(mut self) -> Result<Lasting> {
        rustix::fs::unlinkat(&self.folder.fd, &self.hidden, AtFlags::empty())?;
        self.removed = true;
        Ok(self.folder.lasting())
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        // Where the name has been taken meanwhile the file stays under the other one: nothing is lost.
        if let Ok(false) = rename_new(&self.folder.fd, OsStr::new(&self.hidden), &self.folder.fd, self.name) {
            let _ = rustix::fs::unlinkat(&self.folder.fd, &self.hidden, AtFlags::empty());
        }
    }
}

/// A file that has no name of its own yet.
pub(super) struct Draft<'a> {
    folder: &'a Folder,
    name: String,
    pub(super) file: File,
    published: bool,
}

impl Draft<'_> {
    /// Takes owner and mode from the file that it will replace.
    pub(super) fn keep(&self, of: &Metadata) -> Result<()> {
        let own = self.file.metadata()?;
        if (own.uid(), own.gid()) != (of.uid(), of.gid()) {
            let (uid, gid) = (Uid::from_raw(of.uid()), Gid::from_raw(of.gid()));
            rustix::fs::fchown(&self.file, Some(uid), Some(gid))?;
        }
        // After the owner, whose change takes set-id bits away.
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode((of.mode() & 0o7777) as _))?;
        Ok(())
    }

    /// Gives it these permissions.
    pub(super) fn set_mode(&self, mode: u32) -> Result<()> {
        Ok(rustix::fs::fchmod(&self.file, Mode::from_raw_mode((mode & 0o7777) as _))?)
    }

    /// Gives it the name of an existing file, which goes.
    pub(super) fn publish_over(mut self, name: &OsStr) -> Result<Lasting> {
        let fd = &self.folder.fd;
        rustix::fs::renameat(fd, &self.name, fd, name)?;
        self.published = true;
        Ok(self.folder.lasting())
    }

    /// Gives it a name that nothing has.
    pub(super) fn publish_new(mut self, name: &OsStr) -> Result<Lasting> {
        // Where the old name is left, Drop takes it away.
        self.published = rename_new(&self.folder.fd, OsStr::new(&self.name), &self.folder.fd, name)?;
        Ok(self.folder.lasting())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a failure here, and the name says where the file comes from.
            let _ = rustix::fs::unlinkat(&self.folder.fd, &self.name, AtFlags::empty());
        }
    }
}

/// Whether an open failed because a link stood there.
pub(super) fn is_link(error: &Error) -> bool {
    [Errno::LOOP, Errno::MLINK].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Whether an open failed because there is a socket or a device without a driver.
pub(super) fn is_device(error: &Error) -> bool {
    [Errno::NXIO, Errno::NODEV].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a3_02_both_ways_of_opening_a_folder_follow_no_link() {
        let keep = tempfile::tempdir().expect("a folder");
        let top = keep.path().canonicalize().expect("a real path");
        fs::create_dir_all(top.join("a/b/c")).expect("folders");
        fs::write(top.join("file"), "").expect("written");
        for (link, target) in
            [("a/link", "b"), ("up", "a/.."), ("a/b/root", "/"), ("dangling", "nowhere"), ("loop", "loop")]
        {
            symlink(target, top.join(link)).expect("a link");
        }
        let opens = |path: &str| {
            let path = top.join(path);
            let names = names(&path).expect("a real path");
            let long = step_by_step(&names, false).map(drop).map_err(|error| error.kind());
            if let Some(short) = at_once(&path, WAY) {
                assert_eq!(short.is_ok(), long.is_ok(), "{path:?}");
            }
            long.is_ok()
        };
        for good in ["a", "a/b", "a/b/c"] {
            assert!(opens(good), "{good}");
        }
        let proc = top.join("a/b/root/proc/self/cwd");
        for bad in [
            "a/link",
            "a/link/c",
            "up",
            "up/a",
            "a/b/root/etc",
            "dangling",
            "loop",
            "file",
            "missing",
            proc.to_str().expect("UTF-8"),
        ] {
            assert!(!opens(bad), "{bad}");
        }
        assert!(names(Path::new("/a/../b")).is_err() && names(Path::new("a")).is_err());
        #[cfg(target_os = "linux")]
        assert!(at_once(Path::new("/proc/self/cwd"), WAY).is_none_or(|opened| opened.is_err()));
        assert!(open(&top.join("a/link/c")).is_err() && open(&top.join("up/file")).is_err());
        assert!(open(&top.join("file")).is_ok());
    }
}
