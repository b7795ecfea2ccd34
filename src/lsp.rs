//! The language server: tower-lsp's service behind a transport of our own. Model wires and the database are unknown here.
//!
//! Nothing in a handler waits: document changes and snapshots happen under a std mutex, and everything long is a spawned
//! task. See `docs/architecture.md`.

mod actions;
mod answer;
mod apply;
mod asking;
mod capabilities;
mod client;
mod command;
mod documents;
mod execute;
mod faults;
mod lifecycle;
mod port;
mod progress;
mod pump;
mod review;
mod server;
mod state;
mod transport;
mod uri;

pub use lifecycle::serve;
