//! The port to an editor: read a document, change it. The agent does not know more of editors than this.
//!
//! Who implements it: `lsp/` for a real editor, `tool/`'s tests for folders on disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::edit::Patch;
use crate::protocol::{HunkView, Range};
use crate::text::{Encoding, Snapshot};

/// A document that a run may touch. Made by the path authority, so that holding one means that it was let through.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// A file, existing or not.
    File {
        /// Its real, absolute path.
        path: PathBuf,
        /// How the person and the model name it: relative to the workspace, with `/`.
        shown: String,
    },
    /// An open buffer that has no file.
    Buffer {
        /// As the editor spells it.
        uri: String,
    },
}

impl Place {
    /// The file's path, when there is a file.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Buffer { .. } => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File { shown, .. } => shown,
            Self::Buffer { uri } => uri,
        })
    }
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing is there.
    #[error("{0} does not exist")]
    Missing(String),
    /// A folder, a device, a pipe.
    #[error("{0} is not a regular file")]
    NotAFile(String),
    /// Over the size that a tool reads.
    #[error("{place} has {bytes} bytes; files of up to {limit} are read")]
    TooLarge {
        /// Which.
        place: String,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        limit: u64,
    },
    /// No text, or text that could not be written back as it is.
    #[error("{place} is not a text file that can be read: {reason}")]
    NotText {
        /// Which.
        place: String,
        /// What is wrong with its bytes.
        reason: String,
    },
    /// The system says no.
    #[error("could not read {place}: {reason}")]
    Io {
        /// Which.
        place: String,
        /// What the system said.
        reason: String,
    },
}

/// A change that a run wants in one document.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// What the person is told it is for.
    pub label: String,
    /// What to do.
    pub what: What,
    /// Set when the person stops the run: nothing is sent after that.
    pub cancel: CancellationToken,
}

/// What a change does.
#[derive(Clone, Debug)]
pub enum What {
    /// Changes an existing text.
    Edit {
        /// The text that the patch was made against.
        base: Snapshot,
        /// The change.
        patch: Patch,
    },
    /// Makes a new file (LF line endings); refused when something is there.
    Create {
        /// All of it.
        text: String,
    },
    /// Takes a file away; a conflict when it holds anything but `base`.
    Delete {
        /// What it must hold.
        base: Snapshot,
        /// Whether an open buffer loses its text instead where there is no file, or the editor cannot take it away.
        or_empty: bool,
    },
    /// Gives a file another name; a conflict when it holds anything but `base`, refused when something bears that name.
    Rename {
        /// What it must hold.
        base: Snapshot,
        /// Its new place.
        to: Place,
    },
    /// Puts back a file that was taken away, with its byte order mark and encoding; refused when something is there.
    Restore {
        /// What it held.
        base: Snapshot,
        /// Its permissions, when they are known.
        mode: Option<u32>,
    },
}

/// How long an edit that was not confirmed is still looked for.
pub const LATE: Duration = Duration::from_secs(60);

/// What became of a change. Everything but `Applied` left the document as the person has it.
#[derive(Debug)]
pub enum Outcome {
    /// The document holds the new text: seen, not promised.
    Applied(Applied),
    /// Put to the person, who decides: nothing is changed yet. `now` is the text as it would read, `hunks` have their ids.
    Proposed(Applied),
    /// What was typed meanwhile stands where the edit belongs.
    Conflict {
        /// Which lines, in words for the model.
        reason: String,
        /// The text as it is now.
        now: Snapshot,
    },
    /// The editor or the system would not.
    Refused {
        /// Why, in words for the model.
        reason: String,
    },
    /// The editor has not shown it within the time limit. It may still come.
    NotConfirmed {
        /// What was waited for.
        reason: String,
        /// Answers when it does come; dropped when it cannot any more.
        late: Option<oneshot::Receiver<Applied>>,
    },
}

/// A change that has landed.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The document, as the client spells it.
    pub uri: String,
    /// The changed places, ids still empty: the run gives them.
    pub hunks: Vec<HunkView>,
    /// Whether it was moved over what the person typed since its base.
    pub rebased: bool,
    /// The text as it is now.
    pub now: Snapshot,
    /// Whether the file was made by it.
    pub created: bool,
    /// What became of the file besides.
    pub fate: Fate,
    /// What else there is to know of it, in a sentence: that it is not saved, say.
    pub note: Option<String>,
    /// What takes it back, and the text that this was made against: the one in which the edit was seen. One hunk for each of
    /// `hunks`, in the same order.
    pub back: (Snapshot, Patch),
}

/// What a change did to a file besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: it is where it was.
    #[default]
    Stays,
    /// It is gone.
    Deleted {
        /// The permissions that it had, when they are known.
        mode: Option<u32>,
    },
    /// It has another name.
    Moved {
        /// Where it is now.
        to: Place,
        /// As the client spells that.
        uri: String,
    },
}

/// Something that a language server reports of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Where, in the text as it is.
    pub range: Range,
    /// How bad it is.
    pub severity: Severity,
    /// Who says so.
    pub source: Option<String>,
    /// Its short name.
    pub code: Option<String>,
    /// In words.
    pub message: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It does not work.
    Error,
    /// It may not work as meant.
    Warning,
    /// Something to know.
    Information,
    /// Something that could be nicer.
    Hint,
}

/// An editor, as far as the agent knows.
#[async_trait]
pub trait Editor: Send + Sync {
    /// The open documents, most recently used first, with what they hold now.
    fn open(&self) -> Vec<(Place, Snapshot)>;

    /// The open document at a place, when there is one. Never waits.
    fn buffer(&self, place: &Place) -> Option<Snapshot>;

    /// A document: the buffer when it is open, else the file.
    ///
    /// # Errors
    /// When it is not open and cannot be read.
    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError>;

    /// Changes a document and tells what really became of it. Ends within bounded time.
    async fn apply(&self, change: Change) -> Outcome;

    /// Takes back a change that was only proposed and that nobody has decided on; whether it is gone.
    async fn withdraw(&self, _place: &Place, _proposed: &Applied) -> bool {
        false
    }

    /// Makes what the person has approved already, where this one only proposes changes.
    fn for_approved(&self) -> Option<Arc<dyn Editor>> {
        None
    }

    /// Has the editor save open documents that hold something else than their files; those that it saved. What is not among
    /// them is still on disk as it was.
    async fn save(&self, _places: &[Place]) -> Vec<Place> {
        Vec::new()
    }

    /// What all language servers of the editor report of these documents, or of all when there is none; `None` where the editor
    /// cannot say.
    async fn diagnostics(&self, _places: &[Place]) -> Option<Vec<(Place, Vec<Diagnosis>)>> {
        None
    }

    /// The name of a document that the client knows it by.
    fn uri(&self, place: &Place) -> String;

    /// In what the client counts characters.
    fn encoding(&self) -> Encoding;
}
