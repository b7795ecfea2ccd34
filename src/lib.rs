//! Cowrite: a language server that is a coding agent.

pub mod framing;
pub mod protocol;
