//! `cowrite sessions …`: the stored sessions of a workspace, in tables for people and JSON for programs.

mod find;
mod places;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

pub(super) use self::find::Folder;
use self::find::{find, run_of};
use self::places::Places;
use self::show::Shown;
use super::said::{Said, pretty, say};
use super::table::{self, short_ids, table};
use crate::protocol::{SessionId, utc};
use crate::session::export::{Format, SessionView, export};
use crate::session::fork::fork;
use crate::settings::{self, Settings};
use crate::store::{Owner, Report, SessionRow, Sqlite, Store, StoreError, Tidied};
use crate::tool::line;

/// Runs that are looked at to see whether a session is in use.
const NEWEST: usize = 64;

/// The arguments of `cowrite sessions`.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Sessions {
    #[command(subcommand)]
    what: What,

    /// The workspace folder (the working directory, when left out)
    #[arg(long, global = true, value_name = "DIR")]
    workspace: Option<PathBuf>,

    /// JSON for programs instead of tables for people
    #[arg(long, global = true)]
    json: bool,
}

/// What to do with them. SESSION is an id or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum What {
    /// The sessions of the workspace; the active one has a star
    List,
    /// A session's model, runs, figures and rules files
    Show {
        /// Which; the active one when left out
        session: Option<String>,
        /// Instead, the places in it that hold all of these words: newest first, 20 at most
        #[arg(long, value_name = "QUERY")]
        search: Option<String>,
    },
    /// A session as a text on standard output
    Export {
        /// Which; the active one when left out
        session: Option<String>,
        /// markdown to read, or json with every record
        #[arg(long)]
        format: Option<Format>,
    },
    /// A new session that goes on from another one; prints its id
    Fork {
        /// Which
        session: String,
        /// Go on from the end of this run instead of the newest
        #[arg(long, value_name = "RUN")]
        after_run: Option<String>,
    },
    /// Delete sessions, from the file too; what a fork shares stays until the fork goes
    Delete {
        /// Which
        #[arg(required = true, value_name = "SESSION")]
        sessions: Vec<String>,
    },
    /// Look through every record of every session; the status is 1 when something is not as it was written
    Verify,
    /// Remove what nothing needs any more and give the room back
    Gc,
}

/// Does what the arguments say. The status is 0 when it went well, 1 otherwise.
pub async fn run(sessions: Sessions) -> ExitCode {
    say("sessions", open_and_do(&sessions).await)
}

async fn open_and_do(sessions: &Sessions) -> Result<Said, String> {
    let folder = Folder::of(sessions.workspace.as_deref())?;
    let places = settings::Places::from_env();
    let dir = places.make_state_dir().map_err(|error| error.to_string())?;
    let store = Sqlite::open_as_it_is(&dir).await.map_err(|error| error.to_string())?;
    // What is wrong in the settings says nothing of the sessions: `cowrite doctor` tells of it.
    let settings = settings::load(&places, None).settings;
    let said = sessions.answer(&store, &folder, &settings).await;
    store.close().await;
    said
}

impl Sessions {
    async fn answer(&self, store: &dyn Store, folder: &Folder, settings: &Settings) -> Result<Said, String> {
        let said = match &self.what {
            What::List => self.list(store, folder).await?,
            What::Show { session, search: Some(query) } => {
                let id = find(store, folder, session.as_deref()).await?.id;
                let places = Places::of(store, id, query).await?;
                if self.json { pretty(&places)? } else { places.text() }
            }
            What::Show { session, search: None } => {
                let row = find(store, folder, session.as_deref()).await?;
                let shown = Shown::of(store, settings, row).await.map_err(sentence)?;
                if self.json { pretty(&shown)? } else { shown.table() }
            }
            What::Export { session, format } => {
                let format = format.unwrap_or(if self.json { Format::Json } else { Format::Markdown });
                let id = find(store, folder, session.as_deref()).await?.id;
                let text = export(store, id, format).await.map_err(sentence)?;
                if text.ends_with('\n') { text } else { text + "\n" }
            }
            What::Fork { session, after_run } => {
                let id = find(store, folder, Some(session)).await?.id;
                let after = match after_run {
                    Some(given) => Some(run_of(store, id, given).await?),
                    None => None,
                };
                let forked = fork(store, id, after).await?;
                if self.json { pretty(&json!({"sessionId": forked}))? } else { format!("{forked}\n") }
            }
            What::Delete { sessions } => self.delete(store, folder, sessions).await?,
            What::Verify => return self.verify(store).await,
            What::Gc => {
                let tidied = store.tidy().await.map_err(sentence)?;
                if self.json { pretty(&tidied)? } else { told(&tidied) }
            }
        };
        Ok(said.into())
    }

    async fn list(&self, store: &dyn Store, folder: &Folder) -> Result<String, String> {
        let rows = store.sessions(Some(folder.key())).await.map_err(sentence)?;
        let active = store.active(folder.key()).await.map_err(sentence)?;
        if self.json {
            let listed: Vec<Listed> = rows
                .iter()
                .map(|row| Listed { session: SessionView::from(row), active: Some(row.id) == active })
                .collect();
            return pretty(&listed);
        }
        if rows.is_empty() {
            return Ok(format!("No sessions are stored for {folder}.\n"));
        }
        Ok(list_table(&rows, active))
    }

    async fn delete(&self, store: &dyn Store, folder: &Folder, given: &[String]) -> Result<String, String> {
        // All of them are looked at before the first goes, so that a wrong word deletes nothing.
        let mut ids: Vec<SessionId> = Vec::new();
        for given in given {
            let id = find(store, folder, Some(given)).await?.id;
            if in_use(store, id).await.map_err(sentence)? {
                return Err(format!(
                    "session {id} is at work in another process; cancel its run or close that editor, then delete it. Nothing was deleted."
                ));
            }
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        for id in &ids {
            store.delete(*id).await.map_err(sentence)?;
        }
        if self.json {
            return pretty(&json!({"deleted": ids}));
        }
        Ok(ids.iter().map(|id| format!("deleted {id}\n")).collect())
    }

    async fn verify(&self, store: &dyn Store) -> Result<Said, String> {
        let report = store.verify().await.map_err(sentence)?;
        let text = if self.json { pretty(&report)? } else { found(&report, store.file()) };
        Ok(Said { text, good: report.faults.is_empty() })
    }
}

/// A session in the JSON of `list`.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    session: SessionView,
    active: bool,
}

fn list_table(rows: &[SessionRow], active: Option<SessionId>) -> String {
    let short = short_ids(rows.iter().map(|row| row.id));
    let head = ["", "SESSION", "RUNS", "WRITTEN (UTC)", "TITLE"].map(str::to_owned).to_vec();
    let lines = rows.iter().zip(short).map(|(row, id)| {
        let star = if Some(row.id) == active { "*" } else { "" };
        let written: String = utc(row.updated_at_ms).chars().take(16).collect();
        vec![star.to_owned(), id, row.runs.to_string(), written, table::words(&row.title)]
    });
    table(std::iter::once(head).chain(lines).collect())
}

/// Whether a run of another living process is not finished in it.
async fn in_use(store: &dyn Store, id: SessionId) -> Result<bool, StoreError> {
    let runs = store.runs(id, NEWEST).await?;
    Ok(runs.iter().any(|run| run.owner == Owner::Other && !run.snapshot.status.is_final()))
}

fn found(report: &Report, file: Option<PathBuf>) -> String {
    let Report { sessions, records, pruned, faults } = report;
    let mut text = format!("{sessions} sessions, {records} records, {pruned} of them pruned: ");
    if faults.is_empty() {
        return text + "whole\n";
    }
    text.push_str(&format!("{} faults\n", faults.len()));
    for fault in faults {
        let session = fault.session.map(|id| format!("session {id}, ")).unwrap_or_default();
        let record = fault.record.map(|record| format!("record {record}: ")).unwrap_or_default();
        text.push_str(&format!("  {session}{record}{}\n", line(&fault.what)));
    }
    let file = file.map_or_else(|| "the database".to_owned(), |file| file.display().to_string());
    text.push_str(&format!(
        "Restore {file} from a backup, or delete the sessions named here (cowrite sessions delete).\n"
    ));
    text
}

fn told(tidied: &Tidied) -> String {
    let Tidied { contents, sessions, bytes } = tidied;
    format!(
        "Removed {contents} texts that nothing names and {sessions} deleted sessions that no fork needs; the file is {bytes} bytes smaller.\n"
    )
}

fn sentence(error: StoreError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
