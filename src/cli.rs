//! The command line.

mod asked;
pub mod demo;
pub mod doctor;
pub mod models;
mod said;
pub mod sessions;
mod table;
pub mod trust;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A language server that is a coding agent: it reads the workspace as the editor sees it and edits the open buffers.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "cowrite", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// A file that the log goes to, beside standard error (COWRITE_LOG filters it)
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// What editors add to say how they talk; there is no other way here
    #[arg(long, global = true, hide = true)]
    stdio: bool,

    /// What some editors add; the process id in `initialize` says the same
    #[arg(long = "clientProcessId", global = true, hide = true, value_name = "ID")]
    client_process_id: Option<u32>,
}

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// The language server on standard input and output (the default)
    #[default]
    Lsp,
    /// The main job on a sample project: a real server, a scripted model, no key and no network
    Demo,
    /// The stored sessions of a workspace
    Sessions(sessions::Sessions),
    /// The models that the settings and the providers offer; the one in use has a star
    Models(models::Models),
    /// Lets a workspace's own settings count, as they are now
    Trust(trust::Workspace),
    /// Lets only your own settings count there
    Untrust(trust::Workspace),
    /// Checks the settings, the model and the store, one line a check, with the cure
    Doctor(doctor::Doctor),
}

impl Cli {
    /// The arguments of this process. Help and version are printed with status 0, wrong usage is told with status 2; both end the
    /// process.
    #[must_use]
    pub fn from_args() -> Self {
        Self::parse()
    }

    /// What is to be done.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Command, Option<PathBuf>), i32> {
        match Cli::try_parse_from(line.split(' ')) {
            Ok(cli) => Ok((cli.command(), cli.log_file)),
            Err(error) => Err(error.exit_code()),
        }
    }

    #[test]
    fn editors_start_the_server_in_all_their_ways() {
        for line in [
            "cowrite",
            "cowrite --stdio",
            "cowrite lsp",
            "cowrite lsp --stdio",
            "cowrite --stdio --clientProcessId=4711",
            "cowrite lsp --clientProcessId=4711 --stdio",
        ] {
            assert_eq!(parsed(line), Ok((Command::Lsp, None)), "{line}");
        }
    }

    #[test]
    fn the_log_file_may_stand_before_and_after_the_command() {
        for line in ["cowrite --log-file a.log demo", "cowrite demo --log-file=a.log"] {
            assert_eq!(parsed(line), Ok((Command::Demo, Some("a.log".into()))), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_status_2_and_help_is_not() {
        for line in ["cowrite --nonsense", "cowrite nonsense", "cowrite lsp more", "cowrite --log-file"] {
            assert_eq!(parsed(line), Err(2), "{line}");
        }
        for line in ["cowrite --help", "cowrite --version", "cowrite demo --help"] {
            assert_eq!(parsed(line), Err(0), "{line}");
        }
    }
}
