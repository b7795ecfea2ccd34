//! Cowrite: a language server that is a coding agent.

pub mod edit;
pub mod framing;
pub mod protocol;
pub mod text;
