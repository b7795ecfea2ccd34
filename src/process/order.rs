//! What the server and its supervisor say to each other: an order on the one's standard input, a report on its standard output.
//! The order is a line of JSON and the bytes that the program may read; after it the pipe says nothing more, and its end means
//! that everything has to end.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::{Confine, Job};

/// What is to run. Paths are what the system calls them: they need not be text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) program: Vec<OsString>,
    pub(super) folder: OsString,
    pub(super) env: Vec<(OsString, OsString)>,
    /// How many bytes of input follow.
    pub(super) input: usize,
    /// Where folders for temporary files are made.
    pub(super) temp: OsString,
    pub(super) held: Option<Held>,
    /// Whether what follows the order is all for the program, as it comes, until the pipe ends.
    #[serde(default)]
    pub(super) relay: bool,
    /// Whether its standard error comes with the report.
    #[serde(default)]
    pub(super) apart: bool,
}

/// What it is held to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) writable: Vec<OsString>,
    pub(super) protected: Vec<OsString>,
    pub(super) hidden: Vec<OsString>,
    pub(super) network: bool,
    /// The folder of its own; the supervisor makes it.
    pub(super) own: OsString,
}

/// What came of it, once nothing of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// It ended by itself.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
    /// It was ended.
    Stopped,
    /// It did not start: why.
    Fault(String),
}

impl Order {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            program: job.program.clone(),
            folder: job.folder.clone().into(),
            env: job.env.clone(),
            input: job.input.len(),
            temp: std::env::temp_dir().into(),
            held: job.confine.as_ref().map(Held::of),
            relay: false,
            apart: false,
        }
    }

    /// As it is sent.
    ///
    /// # Errors
    /// It cannot be written down.
    pub(super) fn bytes(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec(self).map_err(|error| format!("the order could not be written: {error}"))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(input);
        Ok(bytes)
    }

    /// Reads one, with the input of the program.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<(Self, Vec<u8>)> {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        let order: Self = serde_json::from_slice(&line)?;
        let mut input = vec![0; order.input];
        from.read_exact(&mut input)?;
        Ok((order, input))
    }
}

impl Held {
    fn of(confine: &Confine) -> Self {
        let paths = |paths: &[std::path::PathBuf]| paths.iter().map(|path| path.clone().into()).collect();
        Self {
            writable: paths(&confine.writable),
            protected: paths(&confine.protected),
            hidden: paths(&confine.hidden),
            network: confine.network,
            own: OsString::new(),
        }
    }
}

impl Report {
    /// Says it on standard output.
    pub(super) fn tell(&self) {
        let mut out = io::stdout().lock();
        // Nobody listens any more when this fails.
        let _ = serde_json::to_writer(&mut out, self);
        let _ = out.flush();
    }
}
