//! Programs that are started: under a supervisor, in a sandbox where there is one, with what they print capped. The one place
//! where processes begin.
//!
//! Between the server and a program stands a process of its own, the supervisor: this binary again, called with [`SUPERVISE`]. It
//! ends all that the program started when the program has ended, when it is told to, and when the server is gone.

mod apart;
mod capture;
mod environment;
#[cfg(target_os = "linux")]
mod hold;
mod order;
mod probe;
mod relay;
mod serve;
mod start;
mod supervisor;

pub use apart::{Heard, hear};
pub use environment::environment;
pub use probe::sandbox;
pub use serve::{Ending, Served, serve};
pub use start::{run, supervisor_at};
pub use supervisor::supervise;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the binary is called with to be a supervisor; nobody types it.
pub const SUPERVISE: &str = "supervise";

/// What is to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The program and its arguments: `["sh", "-c", line]` for a command line.
    pub program: Vec<OsString>,
    /// Where it starts.
    pub folder: PathBuf,
    /// All of its environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it can read from its standard input; closed after that.
    pub input: Vec<u8>,
    /// What it is held to; `None` lets it do what the person's own programs may.
    pub confine: Option<Confine>,
    /// How long it may take.
    pub limit: Duration,
}

/// What a sandbox lets a program do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confine {
    /// Folders that it may write in, with all below them. Everything else is read only, but for a folder for temporary files that
    /// is its own.
    pub writable: Vec<PathBuf>,
    /// Paths in there that it must leave as they are. One that does not exist cannot be kept from being made: who asks for this
    /// looks for it afterwards.
    pub protected: Vec<PathBuf>,
    /// Paths that it must not see: a file is empty for it, a folder too.
    pub hidden: Vec<PathBuf>,
    /// Whether it reaches the network.
    pub network: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// How it ended.
    pub end: End,
    /// What it printed, standard output and error as they came: the head and the tail, with what was left out between counted.
    pub output: String,
    /// Bytes that it printed.
    pub printed: u64,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Signal(i32),
    /// It took too long.
    TooLong,
    /// The person stopped it.
    Cancelled,
}
