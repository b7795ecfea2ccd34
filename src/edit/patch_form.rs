//! The patch form: one text that adds, updates, moves and deletes files, as GPT models are trained to write it.
//!
//! [`parse()`] reads it and knows no files; [`locate()`] finds the chunks of one file's section in that file's text. The form
//! is the one of codex's `apply_patch`, whose grammar is open (`tool_apply_patch.lark` there):
//!
//! ```text
//! *** Begin Patch
//! *** Update File: src/a.rs
//! *** Move to: src/b.rs
//! @@ fn main() {
//!      let kept = 1;
//! -    let old = 2;
//! +    let new = 2;
//! *** Add File: c.txt
//! +its first line
//! *** Delete File: d.txt
//! *** End Patch
//! ```

mod chunk;
mod locate;
mod parse;

pub use chunk::{Chunk, Line};
pub use locate::locate;
pub use parse::{FormError, parse};

/// What a patch does with one file. Paths are as the model wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// A new file.
    Add {
        /// Where.
        path: String,
        /// Its text, with LF line endings, the last line ended too.
        content: String,
    },
    /// A change of a file that is there.
    Update {
        /// Which file.
        path: String,
        /// Where it goes, if it moves.
        to: Option<String>,
        /// What changes in it, from top to bottom. Empty only where the file moves.
        chunks: Vec<Chunk>,
    },
    /// The file goes.
    Delete {
        /// Which file.
        path: String,
    },
}
