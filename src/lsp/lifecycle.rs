//! From the first byte to the exit status.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tower_lsp::LspService;

use super::pump::Pump;
use super::server::Server;
use super::state::State;
use super::transport::{self, End};
use crate::settings::Places;
use crate::workspace::{Life, Workspace};

/// How long runs may take to end at the end.
const ENDING: Duration = Duration::from_millis(1500);
/// How long what is still to be written may take.
const WRITING: Duration = Duration::from_millis(300);

/// Serves one client until it says `exit` or its input ends. The status is 0 after an orderly shutdown and 1 otherwise.
/// Runs are cancelled and ended before this returns, within two seconds. `over` ends the conversation from outside, as the end
/// of input would.
pub async fn serve(
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    places: Places,
    over: CancellationToken,
) -> ExitCode {
    let life = Life::default();
    let pump = Arc::<Pump>::default();
    let workspace = Arc::<OnceLock<Workspace>>::default();
    let (service, socket) = LspService::build(|client| {
        Server::new(State::new(client, workspace.clone(), pump.clone(), places, life.clone(), over.clone()))
    })
    .custom_method("window/workDoneProgress/cancel", Server::progress_cancelled)
    .finish();

    let (end, writer) = transport::serve(input, output, service, socket, &over).await;
    life.shutdown.cancel();
    let ended = async {
        life.tasks.close();
        life.tasks.wait().await;
        // Every run has said its last word; now the pump passes it on, and every progress ends.
        pump.finished().await;
        if let Some(workspace) = workspace.get() {
            workspace.close().await;
        }
    };
    if tokio::time::timeout(ENDING, ended).await.is_err() {
        tracing::warn!("some runs did not end in time");
    }
    // A client that no longer reads must not hold the process.
    writer.finish(WRITING).await;
    match end {
        End::Exit { after_shutdown: true } => ExitCode::SUCCESS,
        End::Exit { after_shutdown: false } | End::Input => ExitCode::FAILURE,
    }
}
