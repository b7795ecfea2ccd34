//! `cowrite doctor`: whether everything is in order, one line a check, with the cure.
//!
//! Each group of checks is a file of its own under `doctor/`, with a function `checks`. To add one, write it and name it in
//! `Doctor::checks`.

mod model;
mod sandbox;
mod settings;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::asked::Asked;
use super::said::{Said, pretty, say};
use super::sessions::Folder;
use super::table::table;
use crate::process;
use crate::settings::{Places, load};
use crate::tool::plain;

/// The arguments of `cowrite doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Doctor {
    /// The workspace folder (the working directory, when left out)
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,

    /// JSON for programs instead of lines for people
    #[arg(long)]
    json: bool,
}

/// Looks at everything. The status is 0 when all is well, 1 otherwise.
pub async fn run(doctor: Doctor) -> ExitCode {
    let checks = doctor.checks(&Places::from_env()).await;
    say("doctor", checks.and_then(|checks| report(&checks, doctor.json)))
}

/// What was found in one thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// What was looked at.
    check: &'static str,
    outcome: Outcome,
    /// What was found and, where it is not well, what to do.
    text: String,
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// Well.
    Ok,
    /// Well enough; worth a word.
    Note,
    /// Something is to be mended.
    Fault,
}

impl Check {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Ok, text: text.into() }
    }

    fn note(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Note, text: text.into() }
    }

    fn fault(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, outcome: Outcome::Fault, text: text.into() }
    }
}

impl Doctor {
    async fn checks(&self, places: &Places) -> Result<Vec<Check>, String> {
        let folder = Folder::of(self.workspace.as_deref())?;
        let loaded = load(places, None);
        let mut checks = settings::checks(places, &loaded.faults);
        checks.extend(model::checks(&Asked::all(loaded.settings, places.state.as_deref()).await));
        checks.push(store::check(places, &folder).await);
        // It starts a process of its own once and waits for it, which takes milliseconds.
        checks.push(sandbox::check(process::sandbox()));
        Ok(checks)
    }
}

fn report(checks: &[Check], json: bool) -> Result<Said, String> {
    #[derive(Serialize)]
    struct View<'a> {
        well: bool,
        checks: &'a [Check],
    }
    let faults = checks.iter().filter(|check| check.outcome == Outcome::Fault).count();
    let good = faults == 0;
    if json {
        return Ok(Said { text: pretty(&View { well: good, checks })?, good });
    }
    let row = |check: &Check| {
        let outcome = match check.outcome {
            Outcome::Ok => "ok",
            Outcome::Note => "note",
            Outcome::Fault => "FAULT",
        };
        vec![outcome.to_owned(), check.check.to_owned(), plain(&check.text)]
    };
    let end = match faults {
        0 => "All is well.\n".to_owned(),
        1 => "One thing is to be mended.\n".to_owned(),
        several => format!("{several} things are to be mended.\n"),
    };
    Ok(Said { text: table(checks.iter().map(row).collect()) + "\n" + &end, good })
}

#[cfg(test)]
mod tests;
