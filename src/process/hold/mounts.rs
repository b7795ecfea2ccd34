//! What there is to see: everything read only but the folders to write in, what is hidden covered, and no process but its own.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};

use crate::process::order::Held;

/// An empty folder, and an empty file, in the folder that is made for a program.
pub(super) const VOID: &str = "void";
pub(super) const EMPTY: &str = "empty";

/// Where the kernel tells of the mounts of a process.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Shared memory, of which a program gets its own, and other people's terminals.
const SHARED: &str = "/dev/shm";
const TERMINALS: &str = "/dev/pts";

/// Arranges the mounts of this process, in a namespace of their own; where it may write.
pub(super) fn arrange(held: &Held, temp: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |what: String| move |error: Errno| format!("{what} in the sandbox: {error}");
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| format!("this system gives no mounts of its own to a program: {error}"))?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(failed("the mounts could not be cut off".into()))?;
    let mut writable = existing(&held.writable, &[])?;
    writable.push(temp.to_owned());
    for (place, options) in [(SHARED, c"mode=1777,size=256m"), (TERMINALS, c"mode=755,size=4k")] {
        // A workspace may lie there.
        if Path::new(place).is_dir() && !writable.iter().any(|path| path.starts_with(place)) {
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            rustix::mount::mount("tmpfs", place, "tmpfs", flags, options)
                .map_err(failed(format!("{place} could not be covered")))?;
            if place == SHARED {
                writable.push(place.into());
            }
        }
    }
    let protected = existing(&held.protected, &writable)?;
    // What lies in a covered folder is covered.
    let mut hidden = existing(&held.hidden, &writable)?;
    // A device holds nothing of the workspace's: with `.envrc -> /dev/null` every program would lose its `/dev/null`.
    hidden.retain(|path| !is_device(path));
    hidden.dedup_by(|path, above| path.starts_with(above));
    if let Some((covered, by)) =
        writable.iter().find_map(|path| Some((path, hidden.iter().find(|hidden| path.starts_with(hidden))?)))
    {
        let (covered, by) = (covered.display(), by.display());
        return Err(format!("{covered} lies in {by}, which commands do not see; no command can run there"));
    }
    for path in &writable {
        rustix::mount::mount_bind_recursive(path, path)
            .map_err(failed(format!("{} could not be opened for writing", path.display())))?;
    }
    for path in &protected {
        rustix::mount::mount_bind_recursive(path, path)
            .map_err(failed(format!("{} could not be protected", path.display())))?;
    }
    for path in &hidden {
        let cover = Path::new(&held.own).join(if path.is_dir() { VOID } else { EMPTY });
        rustix::mount::mount_bind(&cover, path).map_err(failed(format!("{} could not be hidden", path.display())))?;
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, c"")
        .map_err(failed("the processes of others could not be hidden (/proc)".into()))?;
    read_only(&writable, &protected, &hidden)?;
    Ok(writable)
}

fn is_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_char_device())
}

/// Makes every mount read only that lies in no writable folder, or there in something closed.
fn read_only(writable: &[PathBuf], protected: &[PathBuf], hidden: &[PathBuf]) -> Result<(), String> {
    let mounts = fs::read(MOUNTS).map_err(|error| format!("the mounts could not be read from {MOUNTS}: {error}"))?;
    // There may be very many of each: they are looked up by what is above a mount, and never gone through.
    let set = |paths: &'_ [PathBuf]| paths.iter().map(PathBuf::clone).collect::<HashSet<_>>();
    let (writable, protected, hidden) = (set(writable), set(protected), set(hidden));
    for mount in mounts.split(|byte| *byte == b'\n') {
        let Some((place, flags)) = parsed(mount) else { continue };
        let depth = |paths: &HashSet<PathBuf>| {
            place.ancestors().find(|above| paths.contains(*above)).map(|above| above.components().count())
        };
        let (open, shut) = (depth(&writable), depth(&protected).max(depth(&hidden)));
        let covered = place.ancestors().skip(1).any(|above| hidden.contains(above));
        if place.starts_with("/proc") || covered || open.is_some() && open > shut {
            continue;
        }
        let flags = flags | MountFlags::BIND | MountFlags::RDONLY;
        match rustix::mount::mount_remount(&place, flags, c"") {
            Ok(()) => {}
            // Elsewhere the rules for files hold as well; and some mounts cannot be reached, for others lie over them.
            Err(_) if shut.is_none() && place != Path::new("/") => {}
            Err(error) => {
                return Err(format!("{} could not be made read only in the sandbox: {error}", place.display()));
            }
        }
    }
    Ok(())
}

/// Where a mount of the list lies, and the flags that have to stay as they are.
fn parsed(line: &[u8]) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(|byte| *byte == b' ').skip(4);
    let place = unescaped(fields.next()?);
    let flags = fields.next()?.split(|byte| *byte == b',').filter_map(|option| match option {
        b"nosuid" => Some(MountFlags::NOSUID),
        b"nodev" => Some(MountFlags::NODEV),
        b"noexec" => Some(MountFlags::NOEXEC),
        b"noatime" => Some(MountFlags::NOATIME),
        b"nodiratime" => Some(MountFlags::NODIRATIME),
        b"relatime" => Some(MountFlags::RELATIME),
        _ => None,
    });
    Some((place, flags.fold(MountFlags::empty(), MountFlags::union)))
}

/// Spaces and line breaks stand in the list as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let code = (*byte == b'\\').then(|| after.get(..3)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

/// Where paths lead that exist. A mount on a link would be one on what it leads to. What cannot be looked at is as good as nothing
/// where a program cannot write, and so make it a way in; anywhere else it would be left open.
fn existing(paths: &[std::ffi::OsString], writable: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut real: Vec<PathBuf> = Vec::new();
    for path in paths {
        match fs::canonicalize(path) {
            Ok(path) => real.push(path),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(_) if !writable.is_empty() && !writable.iter().any(|folder| Path::new(path).starts_with(folder)) => {}
            Err(error) => {
                let path = Path::new(path).display();
                return Err(format!("{path} cannot be looked at ({error}), so that it cannot be kept from a command"));
            }
        }
    }
    real.sort();
    real.dedup();
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a3_08_what_cannot_be_looked_at_is_held_or_nothing_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let ws = folder.path().canonicalize().expect("real");
        std::os::unix::fs::symlink(".envrc", ws.join(".envrc")).expect("a link");
        let paths = |name: &str| [ws.join(name).into_os_string()];
        let writable = [ws.clone()];
        assert_eq!(existing(&paths("none"), &writable), Ok(Vec::new()));
        let why = existing(&paths(".envrc"), &writable).expect_err("it leads in a circle");
        assert!(why.contains(".envrc cannot be looked at"), "{why}");
        assert_eq!(existing(&paths(".envrc"), &[ws.join("other")]), Ok(Vec::new()));
    }

    #[test]
    fn the_list_of_mounts_is_read() {
        let line = br"36 35 98:0 /mnt1 /mnt/a\040b\134c rw,nosuid,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let (place, flags) = parsed(line).expect("a mount");
        assert_eq!(place, Path::new(r"/mnt/a b\c"));
        assert_eq!(flags, MountFlags::NOSUID | MountFlags::NOATIME);
        assert_eq!(parsed(b""), None);
    }
}
