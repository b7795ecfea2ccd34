//! What a run may touch. For now: the path authority. Tools and LSP are unknown here.

mod path;
mod protected;
mod uri;

pub use path::{Access, Denied, RULES, Roots, real_path};
