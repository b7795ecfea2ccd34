//! The log: standard error, and a file where one is named. Standard output belongs to the protocol.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What `COWRITE_LOG` says when nobody has set it.
const DEFAULT: &str = "warn";

/// Libraries that log what others say word by word, keys and all: no filter lets them do more than warn.
const TALKATIVE: [&str; 1] = ["rmcp"];

static FILE: OnceLock<Mutex<File>> = OnceLock::new();

/// Begins to log. Called once, by the binary.
pub fn init() {
    let (filter, fault) = match std::env::var("COWRITE_LOG") {
        Err(_) => (EnvFilter::new(DEFAULT), None),
        Ok(words) => match EnvFilter::try_new(&words) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(DEFAULT), Some(error)),
        },
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Both { terminal: io::stderr().is_terminal() })
        .finish()
        .with(filter_fn(|said| {
            let talks = TALKATIVE.iter().any(|of| said.target().starts_with(of));
            !talks || *said.level() <= Level::WARN
        }));
    if log.try_init().is_err() {
        return;
    }
    if let Some(error) = fault {
        tracing::warn!("COWRITE_LOG is no filter ({error}); {DEFAULT} is used");
    }
}

/// Sends the log to a file too, which this user alone can read. The first file that is named counts.
///
/// # Errors
/// When it cannot be opened.
pub fn also_to(path: &Path) -> io::Result<()> {
    if FILE.get().is_some() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Two at once: one of them wins, and both are the same setting.
    let _ = FILE.set(Mutex::new(options.open(path)?));
    Ok(())
}

/// Writes a line past the filter, also where nothing else is logged.
pub(crate) fn anyway(line: &str) {
    // Nobody is left to be told when that fails.
    let mut both = Line { to_file: FILE.get(), terminal: io::stderr().is_terminal() };
    let _ = both.write_all(format!("{line}\n").as_bytes());
}

/// Writes to standard error and to the file.
struct Both {
    terminal: bool,
}

impl<'a> MakeWriter<'a> for Both {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { to_file: FILE.get(), terminal: self.terminal }
    }
}

/// One line of the log.
struct Line {
    to_file: Option<&'static Mutex<File>>,
    terminal: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(file) = self.to_file {
            // A std mutex: held for one write. A full disk must not take the log on standard error with it.
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line);
        }
        match io::stderr().write_all(line) {
            // An editor that has closed the pipe is no reason to stop.
            Err(_) if !self.terminal => {}
            other => other?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
