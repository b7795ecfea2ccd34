//! What is said when Cowrite itself fails: one message in the log, with no key in it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::panic::PanicHookInfo;

use tokio::task::JoinError;
use tracing::Level;

use crate::log;
use crate::model;

/// The most characters of what a panic says: it may show a whole file.
const SAID_CHARS: usize = 2000;

/// Has every panic told in the log, those too that a task is kept from taking others along with. Called once, by the binary.
pub fn install() {
    std::panic::set_hook(Box::new(report));
}

/// Why a task gave nothing, for a person or a model. What its panic said is in the log alone: nobody knows what is in it.
#[must_use]
pub fn why(error: &JoinError) -> &'static str {
    if error.is_panic() { "Cowrite met a fault of its own, and its log has the place" } else { "Cowrite is ending" }
}

/// Nothing in here may panic: the process would end at once.
fn report(panic: &PanicHookInfo<'_>) {
    let said = match panic.payload_as_str() {
        Some(text) => model::without_keys(text.to_owned()).map_or(Said::Withheld, Said::Text),
        None => Said::Nothing,
    };
    let place = panic.location().map_or_else(|| "a place that is not known".to_owned(), ToString::to_string);
    let mut message = message(&place, std::thread::current().name(), &said);
    // It holds names of functions and files only, and is there for whoever asks for it with RUST_BACKTRACE.
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        message.push_str(&format!("\n{trace}"));
    }
    // Also where the log is off, or busy with the very line in whose making the panic came.
    if tracing::enabled!(Level::ERROR) {
        tracing::error!("{message}");
    } else {
        log::anyway(&message);
    }
}

/// What a panic said.
#[derive(Debug)]
enum Said {
    /// Without keys.
    Text(String),
    /// It may hold keys.
    Withheld,
    /// It was no text.
    Nothing,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Withheld => {
                f.write_str(" What it said is left out, as keys could not be looked for in it just then.")
            }
            Self::Text(text) => {
                let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let shown: String = line.chars().filter(|c| !c.is_control()).take(SAID_CHARS).collect();
                let more = if line.chars().nth(SAID_CHARS).is_some() { "…" } else { "" };
                write!(f, " It says: {shown}{more}")
            }
        }
    }
}

fn message(place: &str, thread: Option<&str>, said: &Said) -> String {
    let thread = thread.unwrap_or("without a name");
    format!(
        "Cowrite met a fault of its own at {place} (thread {thread}).{said}\n\
         Please report it with this log. The text in the editor's buffers is untouched; \
         if Cowrite no longer answers, restart it in the editor."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_its_place_and_what_to_do() {
        let said = Said::Text("assertion failed\n  left: \u{1b}[31m1\n right: 2".to_owned());
        insta::assert_snapshot!(message("src/edit/land.rs:12:5", Some("tokio-rt-worker"), &said), @r"
        Cowrite met a fault of its own at src/edit/land.rs:12:5 (thread tokio-rt-worker). It says: assertion failed left: [31m1 right: 2
        Please report it with this log. The text in the editor's buffers is untouched; if Cowrite no longer answers, restart it in the editor.
        ");
        insta::assert_snapshot!(message("src/a.rs:1:1", None, &Said::Withheld), @r"
        Cowrite met a fault of its own at src/a.rs:1:1 (thread without a name). What it said is left out, as keys could not be looked for in it just then.
        Please report it with this log. The text in the editor's buffers is untouched; if Cowrite no longer answers, restart it in the editor.
        ");
        insta::assert_snapshot!(message("src/a.rs:1:1", Some("main"), &Said::Nothing), @r"
        Cowrite met a fault of its own at src/a.rs:1:1 (thread main).
        Please report it with this log. The text in the editor's buffers is untouched; if Cowrite no longer answers, restart it in the editor.
        ");
        let long = message("src/a.rs:1:1", None, &Said::Text("x".repeat(10_000_000)));
        assert!(long.len() < 3000 && long.contains("xxx…"));
    }

    #[tokio::test]
    async fn a_task_that_panicked_does_not_pass_its_words_on() {
        let error = tokio::spawn(async { std::panic::resume_unwind(Box::new("sk-canary")) }).await.unwrap_err();
        assert!(error.to_string().contains("sk-canary"), "which is why it is not shown: {error}");
        assert_eq!(why(&error), "Cowrite met a fault of its own, and its log has the place");
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        assert_eq!(why(&task.await.unwrap_err()), "Cowrite is ending");
    }
}
