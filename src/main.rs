//! The binary: everything is in the library.

use std::path::PathBuf;
use std::process::ExitCode;

use cowrite::cli::{Cli, Command, demo, doctor, models, sessions, trust};
use cowrite::settings::{self, Places};
use cowrite::{crash, log, lsp, process};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    // Before anything else: it must have one thread, and nothing open.
    if std::env::args_os().nth(1).is_some_and(|word| word == process::SUPERVISE) {
        return process::supervise();
    }
    let cli = Cli::from_args();
    log::init();
    crash::install();
    // Two threads: one that reads the client however busy the other is.
    let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(
                "Cowrite could not start its threads: {error}; free some memory or raise the limit of processes"
            );
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match cli.command() {
            Command::Lsp => serve(cli.log_file).await,
            Command::Demo => demo::run().await,
            Command::Sessions(arguments) => sessions::run(arguments).await,
            Command::Trust(workspace) => trust::trust(&workspace),
            Command::Untrust(workspace) => trust::untrust(&workspace),
            Command::Models(arguments) => models::run(arguments).await,
            Command::Doctor(arguments) => doctor::run(arguments).await,
        }
    });
    // A read of standard input cannot be called back; it must not hold the process.
    runtime.shutdown_background();
    code
}

async fn serve(log_file: Option<PathBuf>) -> ExitCode {
    let places = Places::from_env();
    let log_file = log_file.or_else(|| settings::load(&places, None).settings.log_file);
    if let Some(path) = log_file
        && let Err(error) = log::also_to(&path)
    {
        tracing::error!("the log file {} cannot be opened: {error}; name another with --log-file", path.display());
    }
    let over = CancellationToken::new();
    tokio::spawn(terminated(over.clone()));
    lsp::serve(tokio::io::stdin(), tokio::io::stdout(), places, over).await
}

/// Ends the conversation in order when the process is asked to end.
async fn terminated(over: CancellationToken) {
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = kinds.map(signal) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = hangup.recv() => {}
    }
    over.cancel();
}
