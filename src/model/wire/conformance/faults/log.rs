//! What is logged meanwhile, at the finest level, by us and by the libraries.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use crate::model::double::{AWS_SECRET, CANARY};

/// The lines of `tracing`, of one thread.
#[derive(Clone, Default)]
pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(super) fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false).with_writer(self.clone()).finish()
    }

    pub(super) fn all(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The lines of `log` with a key in them: `reqwest` and `rustls` write there.
#[derive(Default)]
struct Shown(Mutex<Vec<String>>);

impl ::log::Log for Shown {
    fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &::log::Record<'_>) {
        let line = format!("{} {}", record.target(), record.args());
        if [CANARY, AWS_SECRET].iter().any(|secret| line.contains(secret)) {
            self.0.lock().unwrap().push(line);
        }
    }

    fn flush(&self) {}
}

static SHOWN: OnceLock<Shown> = OnceLock::new();

/// Begins to listen to `log`, for the whole process.
pub(super) fn listen() {
    if ::log::set_logger(SHOWN.get_or_init(Shown::default)).is_ok() {
        ::log::set_max_level(::log::LevelFilter::Trace);
    }
}

/// The lines that showed a key.
pub(super) fn shown() -> Vec<String> {
    SHOWN.get().map(|shown| shown.0.lock().unwrap().clone()).unwrap_or_default()
}
