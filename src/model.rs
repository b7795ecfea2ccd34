//! Models: one neutral request, one neutral stream of events, and a file for each wire.
//!
//! Sessions, tools and editors are unknown here. The HTTP client lives under this folder and nowhere else.
//!
//! The way of a request: [`wire::connect`] makes a [`Provider`] from the settings; for a remote one that is
//! `remote.rs`, which sends what the wire's `body` made (`http.rs`), cuts the answer into frames (`sse.rs`), has the
//! wire's decoder turn them into events, and asks again where that can help (`retry.rs`). On the way out `replay.rs` drops
//! what is not this provider's own, on the way in `redact.rs` drops what is secret. What goes wrong on the way
//! is a `Fault` (`fault.rs`) until it leaves this folder as a [`ModelError`]. The [`Assembler`] makes a turn of events.
//!
//! To add a wire: write its file under `wire/`, with a `Wire` and a `Decoder`, and name it in `wire/plan.rs`.

mod assemble;
mod catalog;
mod error;
mod eventstream;
mod fault;
mod http;
mod item;
mod key;
mod provider;
mod redact;
mod remote;
mod replay;
mod retry;
mod sse;

pub mod script;
pub mod wire;

#[cfg(test)]
pub(crate) mod double;

pub use assemble::{Assembler, Turn};
pub use catalog::{Limit, Offered, Says};
pub use error::ModelError;
pub use item::{Block, Item, Said, ToolResult};
pub use provider::{Provider, Purpose, Request, StopReason, StreamEvent, ToolSpec, TurnStream};
pub use redact::{WITHHELD, keep_from_telling, without_keys};
