//! The files: whose they are, who may read them, one opener at a time, and a damaged one out of the way.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::OpenError;
use crate::protocol::now_ms;

/// What SQLite keeps beside a database.
const SIDES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Held while the database is opened, so that nobody changes its tables meanwhile.
const LOCK: &str = "sessions.lock";

/// What to do about a file that is in the way.
const ANOTHER_FOLDER: &str = "or name another folder with COWRITE_STATE_DIR";

/// The file `name` of the folder with this ending.
pub(super) fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Sees to it that the folder and the files in it are this person's alone, and that the database is there, if only as an
/// empty file: SQLite itself would make it readable for others.
pub(super) fn prepare(folder: &Path, file: &Path) -> Result<(), OpenError> {
    let about = fs::metadata(folder).map_err(|error| no(folder, &error))?;
    if !about.is_dir() {
        return Err(OpenError(format!("{} is no folder; move it away, {ANOTHER_FOLDER}", folder.display())));
    }
    own(folder, &about, 0o700)?;
    prepare_file(file)
}

/// The same for a database and what lies beside it.
pub(super) fn prepare_file(file: &Path) -> Result<(), OpenError> {
    for path in ["", SIDES[0], SIDES[1], SIDES[2]].map(|ending| with_ending(file, ending)) {
        match fs::metadata(&path) {
            Ok(about) if !about.is_file() => {
                return Err(OpenError(format!("{} is no file; move it away, {ANOTHER_FOLDER}", path.display())));
            }
            Ok(about) => own(&path, &about, 0o600)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(no(&path, &error)),
        }
    }
    // Opening for writing says early, and in the system's words, what SQLite would only hint at.
    private().open(file).map_err(|error| no(file, &error))?;
    Ok(())
}

/// Removes a database with what lies beside it.
pub(super) fn remove(file: &Path) -> io::Result<()> {
    for ending in SIDES.into_iter().chain([""]) {
        match fs::remove_file(with_ending(file, ending)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    options
}

/// Refuses what is somebody else's, and closes to others what is ours.
fn own(path: &Path, about: &fs::Metadata, mode: u32) -> Result<(), OpenError> {
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(OpenError(format!(
            "{} belongs to another user, so no session is kept there; make it yours (chown), {ANOTHER_FOLDER}",
            path.display()
        )));
    }
    if about.mode() & 0o777 & !mode != 0 {
        fs::set_permissions(path, Permissions::from_mode(about.mode() & mode)).map_err(|error| no(path, &error))?;
    }
    Ok(())
}

fn no(path: &Path, error: &io::Error) -> OpenError {
    let why = match error.kind() {
        ErrorKind::NotFound => "it is not there; make it".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "its file system can only be read; make it writable".to_owned(),
        ErrorKind::PermissionDenied => "you may not write there; change its permissions".to_owned(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full; free some room".to_owned(),
        _ => format!("{error}; see to that"),
    };
    OpenError(format!("could not open the stored sessions at {}: {why}, {ANOTHER_FOLDER}", path.display()))
}

/// Waits until nobody else is opening the database. The lock ends with the value, also when the process is killed.
pub(super) async fn lock(folder: &Path, patience: Duration) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let file = private().open(&path).map_err(|error| no(&path, &error))?;
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError(format!(
                    "another program holds {} locked and does not let go; end it, {ANOTHER_FOLDER}",
                    path.display()
                )));
            }
            // Some network file systems know no locks; SQLite's own transactions still keep the tables whole.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(no(&path, &error)),
        }
    }
}

/// Moves a damaged database out of the way, with what lies beside it, and says where it is now. Nothing is overwritten.
pub(super) fn set_aside(file: &Path) -> Result<PathBuf, OpenError> {
    let time = utc(now_ms() / 1000);
    let mut aside = with_ending(file, &format!(".damaged-{time}"));
    let mut count = 1;
    while aside.symlink_metadata().is_ok() {
        count += 1;
        aside = with_ending(file, &format!(".damaged-{time}-{count}"));
    }
    // The log first: a database that lost its log would look whole and lack its newest records.
    for ending in SIDES.into_iter().chain([""]) {
        match fs::rename(with_ending(file, ending), with_ending(&aside, ending)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(OpenError(format!(
                    "the stored sessions at {} are damaged, and moving the file aside failed: {error}; move it away \
                     yourself, {ANOTHER_FOLDER}",
                    file.display()
                )));
            }
            _ => {}
        }
    }
    Ok(aside)
}

/// `20261121T070542Z`, from seconds since 1970: the days of a year are counted from March, so that a leap day comes last.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year_of_era + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_named_as_people_write_them() {
        assert_eq!(utc(0), "19700101T000000Z");
        assert_eq!(utc(951_782_400), "20000229T000000Z");
        assert_eq!(utc(1_795_244_742), "20261121T070542Z");
        assert_eq!(utc(4_107_542_399), "21000228T235959Z");
    }
}
