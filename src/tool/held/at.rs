//! A name in a folder that is held open. Nothing here follows a link, so that whoever turns one meanwhile gets an error.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::disk;

/// Neither read nor written: only looked at.
#[cfg(target_os = "linux")]
const LOOK: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);
const NO_LINK: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// The name, and its folder.
#[derive(Clone, Debug)]
pub(super) struct At {
    folder: Arc<OwnedFd>,
    name: OsString,
}

impl At {
    /// What a real path names.
    ///
    /// # Errors
    /// A component above the last is a link, or is not there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let (folder, name) = disk::folder_of(path)?;
        Ok(Self { folder: Arc::new(folder), name })
    }

    fn kind(&self) -> io::Result<FileType> {
        let found = rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(found.st_mode))
    }

    /// Whether anything is there.
    pub(super) fn is_there(&self) -> bool {
        self.kind().is_ok()
    }

    /// What the link says that is there.
    pub(super) fn link(&self) -> io::Result<OsString> {
        let says = rustix::fs::readlinkat(&self.folder, &self.name, Vec::new())?;
        Ok(OsStr::from_bytes(says.as_bytes()).to_owned())
    }

    /// Makes a link.
    pub(super) fn make_link(&self, says: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(says, &self.folder, &self.name)?)
    }

    /// Takes away what is there and is no folder.
    pub(super) fn unlink(&self) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }

    /// Gives the owner all rights over it, when it is no link; its mode before.
    ///
    /// # Errors
    /// It is somebody else's.
    pub(super) fn opened(&self) -> io::Result<Permissions> {
        let entry = rustix::fs::openat(&self.folder, &self.name, LOOK | NO_LINK, Mode::empty())?;
        opened(&entry)
    }

    /// The same for the folder that it is in.
    pub(super) fn folder_opened(&self) -> io::Result<Permissions> {
        opened(&self.folder)
    }

    /// Gives that its mode back.
    pub(super) fn close_folder(&self, before: Permissions) -> io::Result<()> {
        set_mode(&self.folder, before)
    }

    /// The same for all that is in it.
    pub(super) fn all_opened(&self) -> io::Result<()> {
        if self.kind()? == FileType::Symlink {
            return Ok(());
        }
        self.opened()?;
        if self.kind()? == FileType::Directory {
            self.inside()?.iter().try_for_each(Self::all_opened)?;
        }
        Ok(())
    }

    /// What is in it, when it is a folder.
    fn inside(&self) -> io::Result<Vec<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | NO_LINK;
        let folder = Arc::new(rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty())?);
        let mut inside = Vec::new();
        for entry in Dir::read_from(folder.as_fd())? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                inside.push(Self { folder: folder.clone(), name });
            }
        }
        Ok(inside)
    }

    /// Gives it a name that nothing has, in the same file system.
    pub(super) fn rename(&self, to: &Self) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.folder, &self.name, &to.folder, &to.name, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.is_there() => {
                Ok(rustix::fs::renameat(&self.folder, &self.name, &to.folder, &to.name)?)
            }
            done => Ok(done?),
        }
    }

    /// Moves it, to another file system too. Links stay what they are.
    pub(super) fn moved(&self, to: &Self) -> io::Result<()> {
        match self.rename(to) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                self.copied(to)?;
                self.removed()
            }
            done => done,
        }
    }

    fn copied(&self, to: &Self) -> io::Result<()> {
        match self.kind()? {
            FileType::Symlink => to.make_link(&self.link()?),
            FileType::Directory => {
                rustix::fs::mkdirat(&to.folder, &to.name, Mode::RWXU)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | NO_LINK;
                let folder = Arc::new(rustix::fs::openat(&to.folder, &to.name, flags, Mode::empty())?);
                let below = |name: &OsString| Self { folder: folder.clone(), name: name.clone() };
                self.inside()?.iter().try_for_each(|entry| entry.copied(&below(&entry.name)))
            }
            FileType::RegularFile => {
                let from = OFlags::RDONLY | OFlags::NONBLOCK | NO_LINK;
                let mut from: File = rustix::fs::openat(&self.folder, &self.name, from, Mode::empty())?.into();
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | NO_LINK;
                let mut into: File = rustix::fs::openat(&to.folder, &to.name, flags, Mode::RUSR | Mode::WUSR)?.into();
                io::copy(&mut from, &mut into)?;
                into.set_permissions(from.metadata()?.permissions())
            }
            // Pipes and sockets of programs that are gone.
            _ => Ok(()),
        }
    }

    fn removed(&self) -> io::Result<()> {
        if self.kind()? != FileType::Directory {
            return self.unlink();
        }
        self.inside()?.iter().try_for_each(Self::removed)?;
        Ok(rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::REMOVEDIR)?)
    }
}

fn opened(entry: &OwnedFd) -> io::Result<Permissions> {
    let found = rustix::fs::fstat(entry)?;
    let before = Permissions::from_mode((found.st_mode & 0o7777) as _);
    let kind = FileType::from_raw_mode(found.st_mode);
    let more = if kind == FileType::Directory { 0o700 } else { 0o400 };
    if kind != FileType::Symlink && before.mode() & more != more {
        set_mode(entry, Permissions::from_mode(before.mode() | more))?;
    }
    Ok(before)
}

#[cfg(target_os = "linux")]
fn set_mode(entry: &OwnedFd, mode: Permissions) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // What is open for a look only is not changed by its number.
    std::fs::set_permissions(format!("/proc/self/fd/{}", entry.as_raw_fd()), mode)
}

#[cfg(not(target_os = "linux"))]
fn set_mode(entry: &OwnedFd, mode: Permissions) -> io::Result<()> {
    let mode = mode.mode() & 0o7777;
    Ok(rustix::fs::fchmod(entry, Mode::from_raw_mode(mode as _))?)
}
