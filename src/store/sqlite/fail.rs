//! Failures as sentences: what was tried, on which file, what stood in the way, and the next step.

use std::path::Path;

use sqlx::error::DatabaseError;

use crate::store::StoreError;

/// What stood in the way, as far as the next step depends on it. The numbers are SQLite's result codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// No room.
    Full,
    /// The system could not read or write.
    Disk,
    /// Somebody holds the file.
    Locked,
    /// Reading only.
    ReadOnly,
    /// The file cannot be opened.
    Closed,
    /// Not a database, or a broken one.
    Damaged,
    /// Anything else.
    Other,
}

impl Cause {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code).and_then(|code| code.parse::<i32>().ok());
        match code.map(|code| code & 0xff) {
            Some(13) => Self::Full,
            Some(10) => Self::Disk,
            Some(5 | 6) => Self::Locked,
            Some(8) => Self::ReadOnly,
            Some(14) => Self::Closed,
            Some(11 | 26) => Self::Damaged,
            _ => Self::Other,
        }
    }

    pub(super) fn words(self, error: &sqlx::Error) -> String {
        let text = match error {
            sqlx::Error::Database(error) => error.message().to_owned(),
            other => other.to_string(),
        };
        match self {
            Self::Full => "the disk is full".to_owned(),
            Self::Disk => format!("the system could not read or write it ({text})"),
            Self::Locked => "another program holds it locked".to_owned(),
            Self::ReadOnly => "it can only be read".to_owned(),
            Self::Closed => "it cannot be opened".to_owned(),
            Self::Damaged => format!("the file is damaged ({text})"),
            Self::Other => text,
        }
    }

    fn next_step(self) -> &'static str {
        match self {
            Self::Full => "free some room and open the session again (cowrite.session.resume)",
            Self::Disk => "check the disk and its limits, and open the session again (cowrite.session.resume)",
            Self::Locked => "end that program and open the session again (cowrite.session.resume)",
            Self::ReadOnly | Self::Closed => {
                "check its owner and permissions, or name another folder with COWRITE_STATE_DIR"
            }
            Self::Damaged => "`cowrite sessions verify` names what is broken; the rest can be exported",
            Self::Other => "try again; COWRITE_LOG=debug says more",
        }
    }
}

/// The sentence: `could not {tried} in PATH: …; …`.
pub(super) fn sentence(tried: &str, file: Option<&Path>, error: &sqlx::Error) -> String {
    let cause = Cause::of(error);
    format!("could not {tried} in {}: {}; {}", shown(file), cause.words(error), cause.next_step())
}

pub(super) fn failed(tried: &str, file: Option<&Path>, error: &sqlx::Error) -> StoreError {
    StoreError::Failed(sentence(tried, file, error))
}

/// The file, in a sentence.
pub(super) fn shown(file: Option<&Path>) -> String {
    file.map_or_else(|| "memory".to_owned(), |path| path.display().to_string())
}

/// Something that was read and is not as it was written.
pub(super) fn damaged(tried: &str, file: Option<&Path>, what: &str) -> StoreError {
    StoreError::Failed(format!("could not {tried} in {}: {what}; {}", shown(file), Cause::Damaged.next_step()))
}
