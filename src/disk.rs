//! The disk half of the editor port: reading files that are not open, and writing them whole or not at all.
//!
//! Blocking: callers are on a thread for it. A place's path is real, so no component of it may be a link; each folder on
//! the way is opened without following one, and everything else happens relative to the opened folder. Whoever swaps a
//! folder for a link between the path authority's look and the write gets an error, not a write somewhere else.

mod folder;

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ropey::Rope;

use crate::editor::{Place, ReadError};
use crate::text::{Charset, Snapshot};
use folder::Folder;
pub use folder::folder_of;

/// The most bytes that a tool reads.
pub const LIMIT: u64 = 10 * 1024 * 1024;

/// Why a file was not written. It stands as it stood before.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is there already.
    #[error("{0} exists already")]
    Exists(String),
    /// It does not hold what the change was made against.
    #[error("{place} was changed on disk meanwhile")]
    Changed {
        /// Which.
        place: String,
        /// What it holds now.
        now: Snapshot,
    },
    /// It cannot be read, so nothing is known of what a write would destroy.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// It has another name now, and could not be given its own again. The one that does not stand as it stood before.
    #[error("{place} is {to} now: {reason}")]
    Renamed {
        /// Which.
        place: String,
        /// Its name now.
        to: String,
        /// Why it was to get its own name again, and why it has not.
        reason: String,
    },
    /// It could be written but should not, or the system says no.
    #[error("could not write {place}: {reason}")]
    Refused {
        /// Which.
        place: String,
        /// Why, and what would help.
        reason: String,
    },
}

/// The text of a file.
///
/// # Errors
/// When it is missing, no regular file, over [`LIMIT`], or no text that could be written back as it is. A pipe or a device never blocks.
pub fn read(place: &Place) -> Result<Snapshot, ReadError> {
    let (parent, name) = Folder::of(place).map_err(|error| read_error(place, &error))?;
    Ok(open(place, &parent, &name)?.snapshot)
}

/// A file to look through without holding it whole, by its real path, and its length; `None` when it is no regular file of up to
/// [`LIMIT`] bytes.
///
/// # Errors
/// When it cannot be opened, or a link stands in its place or on the way: a walk that saw a folder there may be wrong by now.
pub fn peek(path: &Path) -> std::io::Result<Option<(File, u64)>> {
    let file = folder::open(path)?;
    let found = file.metadata()?;
    Ok((found.is_file() && found.len() <= LIMIT).then_some((file, found.len())))
}

/// Makes a new file and the folders above it. Other programs see all of it or nothing. Gives what there is to know of it besides.
///
/// # Errors
/// When something is there already, also when it came this very moment, or the system says no.
pub fn create(place: &Place, text: &str) -> Result<Option<String>, WriteError> {
    make(place, text.as_bytes(), None)
}

/// Puts back a file that was taken away: `held` with its byte order mark, its encoding and, when they are known, its permissions. Gives
/// what there is to know of it besides.
///
/// # Errors
/// As [`create`].
pub fn restore(place: &Place, held: &Snapshot, mode: Option<u32>) -> Result<Option<String>, WriteError> {
    make(place, &bytes(place, held, held.rope())?, mode)
}

fn make(place: &Place, bytes: &[u8], mode: Option<u32>) -> Result<Option<String>, WriteError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => WriteError::Exists(place.to_string()),
        _ => refused(place, &error),
    };
    let (parent, name) = Folder::make(place).map_err(|error| refused(place, &error))?;
    if parent.has(&name) {
        return Err(WriteError::Exists(place.to_string()));
    }
    let mut draft = parent.draft(0o666).map_err(failed)?;
    draft.file.write_all(bytes).map_err(failed)?;
    if let Some(mode) = mode {
        draft.set_mode(mode).map_err(failed)?;
    }
    draft.file.sync_all().map_err(failed)?;
    let lasting = draft.publish_new(&name).map_err(failed)?;
    Ok(lasting
        .err()
        .map(|error| unsure(&format!("{place} is made, but after a power cut it may be gone again"), &error)))
}

/// Whether [`replace`] would put `new` in the place of `expected` as things are.
///
/// # Errors
/// As [`replace`].
pub fn may_replace(place: &Place, expected: &Snapshot, new: &Rope) -> Result<(), WriteError> {
    let (parent, name) = Folder::of(place).map_err(|error| read_error(place, &error))?;
    writable(place, &parent, &name, expected)?;
    bytes(place, expected, new).map(drop)
}

/// Whether [`remove`] would take the file away as things are.
///
/// # Errors
/// As [`remove`].
pub fn may_remove(place: &Place, expected: &Snapshot) -> Result<(), WriteError> {
    let (parent, name) = Folder::of(place).map_err(|error| read_error(place, &error))?;
    removable(place, &parent, &name, expected).map(drop)
}

/// Puts `new` in the place of `expected`, keeping byte order mark, encoding and mode. Gives what there is to know of it besides.
///
/// # Errors
/// When the file does not hold `expected`, is read-only, has other names (hard links), belongs to someone else, has no bytes for a
/// character in its encoding, or the system says no.
pub fn replace(place: &Place, expected: &Snapshot, new: &Rope) -> Result<Option<String>, WriteError> {
    let failed = |error: std::io::Error| refused(place, &error);
    let (parent, name) = Folder::of(place).map_err(|error| read_error(place, &error))?;
    let before = writable(place, &parent, &name, expected)?;
    let refuse = |reason: &str| Err(WriteError::Refused { place: place.to_string(), reason: reason.to_owned() });
    let new = bytes(place, expected, new)?;
    let mut draft = parent.draft(0o600).map_err(failed)?;
    draft.file.write_all(&new).map_err(failed)?;
    if draft.keep(&before).is_err() {
        return refuse("the file belongs to someone else, and its owner could not be kept");
    }
    draft.file.sync_all().map_err(failed)?;
    // The last look before the rename: what another program wrote while the draft was written is not lost.
    let now = open(place, &parent, &name)?;
    let after = now.file.metadata().map_err(failed)?;
    if (after.dev(), after.ino()) != (before.dev(), before.ino()) || !same(&now.snapshot, expected) {
        return Err(WriteError::Changed { place: place.to_string(), now: now.snapshot });
    }
    let lasting = draft.publish_over(&name).map_err(failed)?;
    let what = format!("{place} is written, but after a power cut it may read as before");
    Ok(lasting.err().map(|error| unsure(&what, &error)))
}

/// Takes a file away; the folder that it is in stays. Gives the permissions that it had, and what there is to know of it besides.
///
/// # Errors
/// When it does not hold `expected`, is read-only, or the system says no.
pub fn remove(place: &Place, expected: &Snapshot) -> Result<(u32, Option<String>), WriteError> {
    let failed = |error: std::io::Error| refused(place, &error);
    let (parent, name) = Folder::of(place).map_err(|error| read_error(place, &error))?;
    let before = removable(place, &parent, &name, expected)?;
    // The system can take away only whatever bears the name, so the file is given one that nobody knows and looked at again:
    // what another program put in its place this very moment is put back.
    let aside = parent.aside(&name).map_err(failed)?;
    let now = open(place, &parent, aside.name())?;
    let after = now.file.metadata().map_err(failed)?;
    if (after.dev(), after.ino()) != (before.dev(), before.ino()) || !same(&now.snapshot, expected) {
        return Err(WriteError::Changed { place: place.to_string(), now: now.snapshot });
    }
    let lasting = aside.remove().map_err(failed)?;
    let what = format!("{place} is deleted, but after a power cut it may be there again");
    Ok((before.mode(), lasting.err().map(|error| unsure(&what, &error))))
}

/// Gives a file another name, making the folders above it; everything else stays as it is. Gives what there is to know of it besides.
///
/// # Errors
/// When it does not hold `expected`, something bears the new name, that is on another file system, or the system says no.
pub fn rename(from: &Place, to: &Place, expected: &Snapshot) -> Result<Option<String>, WriteError> {
    let failed = |error: std::io::Error| refused(from, &error);
    let (old_parent, old) = Folder::of(from).map_err(|error| read_error(from, &error))?;
    let before = held(from, &old_parent, &old, expected)?;
    let (new_parent, new) = Folder::make(to).map_err(|error| refused(to, &error))?;
    let lasting = old_parent.rename_new(&old, &new_parent, &new).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => WriteError::Exists(to.to_string()),
        std::io::ErrorKind::CrossesDevices => {
            let reason = format!("{to} is on another file system");
            WriteError::Refused { place: from.to_string(), reason }
        }
        _ => failed(error),
    })?;
    // What another program put in its place this very moment gets its name back.
    let looked = open(to, &new_parent, &new).map_err(WriteError::from).and_then(|moved| {
        let after = moved.file.metadata().map_err(failed)?;
        if (after.dev(), after.ino()) != (before.dev(), before.ino()) || !same(&moved.snapshot, expected) {
            return Err(WriteError::Changed { place: from.to_string(), now: moved.snapshot });
        }
        Ok(())
    });
    if let Err(why) = looked {
        return Err(match new_parent.rename_new(&new, &old_parent, &old) {
            Ok(_) => why,
            Err(error) => {
                let reason = format!("{why}, and its own name could not be given back ({error})");
                WriteError::Renamed { place: from.to_string(), to: to.to_string(), reason }
            }
        });
    }
    let what = format!("{from} is {to} now, but after a power cut it may be {from} again");
    Ok(lasting.err().map(|error| unsure(&what, &error)))
}

/// The permissions of a file, and what it holds.
///
/// # Errors
/// As [`read`].
pub fn kept(place: &Place) -> Result<(u32, Snapshot), ReadError> {
    let io = |error: std::io::Error| read_error(place, &error);
    let (parent, name) = Folder::of(place).map_err(io)?;
    let found = open(place, &parent, &name)?;
    Ok((found.file.metadata().map_err(io)?.mode(), found.snapshot))
}

/// Makes the folders above a file.
///
/// # Errors
/// When the system says no.
pub fn make_folders(place: &Place) -> Result<(), WriteError> {
    Folder::make(place).map(drop).map_err(|error| refused(place, &error))
}

/// What is known of the file, when it holds `expected`.
fn held(place: &Place, parent: &Folder, name: &OsStr, expected: &Snapshot) -> Result<Metadata, WriteError> {
    let found = open(place, parent, name)?;
    if !same(&found.snapshot, expected) {
        return Err(WriteError::Changed { place: place.to_string(), now: found.snapshot });
    }
    found.file.metadata().map_err(|error| refused(place, &error))
}

/// The same, when it may be taken away.
fn removable(place: &Place, parent: &Folder, name: &OsStr, expected: &Snapshot) -> Result<Metadata, WriteError> {
    let found = held(place, parent, name, expected)?;
    if found.mode() & 0o222 == 0 || !parent.may_write(name) {
        let reason = "the file is read-only; the person can change its permissions".to_owned();
        return Err(WriteError::Refused { place: place.to_string(), reason });
    }
    Ok(found)
}

/// The same, when it may be written.
fn writable(place: &Place, parent: &Folder, name: &OsStr, expected: &Snapshot) -> Result<Metadata, WriteError> {
    let found = held(place, parent, name, expected)?;
    if found.nlink() > 1 {
        let reason = "the file has other names (hard links), which a write would cut off or change unseen".to_owned();
        return Err(WriteError::Refused { place: place.to_string(), reason });
    }
    removable(place, parent, name, expected)
}

/// The bytes of a text that stands in for what a file held.
fn bytes(place: &Place, held: &Snapshot, new: &Rope) -> Result<Vec<u8>, WriteError> {
    let bytes = held.charset().encode(new, held.bom());
    bytes.map_err(|error| WriteError::Refused { place: place.to_string(), reason: error.to_string() })
}

struct Found {
    file: File,
    snapshot: Snapshot,
}

fn open(place: &Place, parent: &Folder, name: &OsStr) -> Result<Found, ReadError> {
    let io = |error: std::io::Error| read_error(place, &error);
    let file = parent.open(name).map_err(io)?;
    // Looked at after opening: what was a file a moment ago may be a pipe by now.
    let found = file.metadata().map_err(io)?;
    if !found.is_file() {
        return Err(ReadError::NotAFile(place.to_string()));
    }
    let too_large = |bytes| ReadError::TooLarge { place: place.to_string(), bytes, limit: LIMIT };
    if found.len() > LIMIT {
        return Err(too_large(found.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default() + 1);
    // Files under /proc say 0 and growing ones say less than they give.
    (&file).take(LIMIT + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > LIMIT {
        return Err(too_large(bytes.len() as u64));
    }
    let (text, charset) = Charset::decode(bytes)
        .map_err(|error| ReadError::NotText { place: place.to_string(), reason: error.to_string() })?;
    Ok(Found { file, snapshot: Snapshot::detached(&text, "").kept_in(charset) })
}

fn same(found: &Snapshot, expected: &Snapshot) -> bool {
    found.bom() == expected.bom() && found.charset() == expected.charset() && found.rope() == expected.rope()
}

fn read_error(place: &Place, error: &std::io::Error) -> ReadError {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    let place = place.to_string();
    match error.kind() {
        NotFound | NotADirectory => ReadError::Missing(place),
        IsADirectory => ReadError::NotAFile(place),
        _ if folder::is_link(error) => ReadError::Io { place, reason: "a link has taken its place".to_owned() },
        _ if folder::is_device(error) => ReadError::NotAFile(place),
        _ => ReadError::Io { place, reason: error.to_string() },
    }
}

/// What has taken place is no failure, though a power cut may take it back.
fn unsure(what: &str, error: &std::io::Error) -> String {
    tracing::warn!(what, %error, "the change of a file may not outlast a power cut");
    format!("{what} ({error}).")
}

fn refused(place: &Place, error: &std::io::Error) -> WriteError {
    WriteError::Refused { place: place.to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests;
