//! Documents as the editor sees them: text, version, line endings, positions, and what changed since.
//!
//! Values only: files, LSP types and async are unknown here. Places inside a text are byte offsets, changes are
//! [`Delta`]s, and a [`Snapshot`] costs nothing to take because the rope behind it is shared.

#[cfg(test)]
pub(crate) mod cases;
mod charset;
mod delta;
mod document;
mod ending;
mod position;
mod rope;
mod snapshot;

pub use charset::{Charset, CharsetError};
pub use delta::{Delta, DeltaLog};
pub use document::{ContentChange, Document};
pub use ending::LineEnding;
pub use position::Encoding;
pub use snapshot::Snapshot;

pub(crate) use ending::{to_lf, to_lf_noting};
pub(crate) use rope::{ceil_char, common_ends, common_prefix_of, common_suffix_of, floor_char, is_line_start, replace};
