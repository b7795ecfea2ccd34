//! Cowrite: a language server that is a coding agent.
//!
//! `docs/architecture.md` is the map of this crate; `docs/protocol.md` is what other programs may rely on.

pub mod agent;
pub mod cli;
pub mod command;
pub mod context;
pub mod crash;
pub mod disk;
pub mod edit;
pub mod editor;
pub mod framing;
pub mod hooks;
pub mod log;
pub mod lsp;
pub mod mcp;
pub mod model;
pub mod permission;
pub mod process;
pub mod protocol;
pub mod session;
pub mod settings;
pub mod store;
pub mod text;
pub mod tool;
pub mod web;
pub mod workspace;
