//! A connection to one server, over the pipes of a program or over HTTP.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{ClientCapabilities, ClientConfig, ClientRequest, Implementation, ServerPeerInfo};
use rmcp::service::{ClientInitializeError, PeerRequestOptions, RunningService, ServiceError};
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig};
use rmcp::{RoleClient, ServiceExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::clean::{short, text};
use super::guard::{Capped, Guard, MESSAGE, Watch};
use super::http::{Http, refusal};
use crate::model::{keep_from_telling, without_keys};
use crate::process::{self, Ending, Served};
use crate::settings::McpSettings;
use crate::web;

/// A server that has said hello.
pub(super) struct Connection {
    running: RunningService<RoleClient, ClientConfig>,
    pub(super) watch: Arc<Watch>,
    ending: Mutex<Option<Ending>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server says so itself.
    Said(String),
    /// It did not come in time.
    Slow,
    /// The connection has ended: why, if that is known.
    Gone(String),
    /// The person stopped the run.
    Cancelled,
}

impl Connection {
    /// Starts a server, or goes to it, and says hello. Whoever drops this ends it.
    ///
    /// # Errors
    /// What went wrong, as the end of a sentence.
    pub(super) async fn open(
        settings: &McpSettings,
        folder: Option<PathBuf>,
        secrets: &[String],
    ) -> Result<Self, String> {
        let watch = Arc::new(Watch::default());
        if let Some(program) = &settings.command {
            let Served { input, output, ending } = started(program, &settings.env, folder, secrets).await?;
            let pipes =
                AsyncRwTransport::new_client(Capped::new(output, watch.clone()), input).with_max_line_length(MESSAGE);
            match greet(Guard::new(pipes, watch.clone())).await {
                Ok(running) => Ok(Self { running, watch, ending: Mutex::new(Some(ending)) }),
                Err(why) => Err(match (watch.why(), ending.said().await) {
                    (Some(cut), _) => cut.to_owned(),
                    (None, Some(said)) => said,
                    (None, None) => why,
                }),
            }
        } else {
            let url = settings.url.as_deref().unwrap_or_default();
            let client = Http::new(web::service(url)?, watch.clone());
            let mut config = StreamableHttpClientTransportConfig::with_uri(url);
            config.max_sse_event_size = MESSAGE;
            if let Some(name) = &settings.token_env {
                let token = std::env::var(name).ok().filter(|token| !token.trim().is_empty());
                let token = token.ok_or_else(|| format!("the variable {name} of its token_env is not set"))?;
                // Should the server say it again, nobody is told.
                keep_from_telling(token.trim());
                config = config.auth_header(token.trim().to_owned());
            }
            let http = StreamableHttpClientTransport::with_client(client, config);
            // A hello that nobody waits for any longer is not waited for by the library either.
            let waiting = watch.over.clone().drop_guard();
            match greet(Guard::new(http, watch.clone())).await {
                Ok(running) => {
                    waiting.disarm();
                    Ok(Self { running, watch, ending: Mutex::new(None) })
                }
                Err(why) => Err(watch.why().map_or(why, str::to_owned)),
            }
        }
    }

    /// What it says that it can do.
    pub(super) fn info(&self) -> Option<Arc<ServerPeerInfo>> {
        self.running.peer().peer_info()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.running.is_closed() || self.running.peer().is_transport_closed() || self.watch.why().is_some()
    }

    /// Asks for something, and tells the server when the answer is not waited for any longer.
    pub(super) async fn ask(
        &self,
        request: ClientRequest,
        limit: Duration,
        cancel: &CancellationToken,
    ) -> Result<Value, Fault> {
        let asking = async {
            let options = PeerRequestOptions::no_options();
            let handle = self.running.peer().send_cancellable_request(request, options).await?;
            let (id, peer) = (handle.id.clone(), handle.peer.clone());
            Ok::<_, ServiceError>((id, peer, handle))
        };
        let (answer, id, peer) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(Fault::Cancelled),
            () = self.watch.cut.cancelled() => return Err(self.broken_off()),
            () = tokio::time::sleep(limit) => return Err(Fault::Slow),
            asked = asking => match asked {
                Ok((id, peer, handle)) => (handle.await_response(), id, peer),
                Err(error) => return Err(self.fault(&error).await),
            },
        };
        let why = tokio::select! {
            biased;
            answer = answer => return match answer {
                Ok(result) => serde_json::to_value(result).map_err(|error| Fault::Gone(error.to_string())),
                Err(error) => Err(self.fault(&error).await),
            },
            () = self.watch.cut.cancelled() => return Err(self.broken_off()),
            () = cancel.cancelled() => Fault::Cancelled,
            () = tokio::time::sleep(limit) => Fault::Slow,
        };
        let reason = match why {
            Fault::Cancelled => "the person stopped it",
            _ => "it took too long",
        };
        let told = rmcp::model::CancelledNotificationParam::new(Some(id), Some(reason.to_owned()));
        // It may not read any longer.
        let _ = tokio::time::timeout(Duration::from_secs(1), peer.notify_cancelled(told)).await;
        Err(why)
    }

    /// The connection was broken off from this side, whatever the library makes of that.
    fn broken_off(&self) -> Fault {
        self.running.cancellation_token().cancel();
        Fault::Gone(self.watch.why().unwrap_or("it was broken off").to_owned())
    }

    async fn fault(&self, error: &ServiceError) -> Fault {
        if let ServiceError::McpError(error) = error {
            return Fault::Said(text(&error.message, 4096));
        }
        if self.watch.why().is_some() {
            return self.broken_off();
        }
        if let ServiceError::TransportSend(error) = error
            && let Some(why) = refusal(error.error.as_ref())
        {
            return Fault::Gone(why);
        }
        if self.is_closed() {
            let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(said) = match ending {
                Some(ending) => ending.said().await,
                None => None,
            } {
                return Fault::Gone(said);
            }
        }
        Fault::Gone(short(&error.to_string()))
    }

    /// Ends it, and waits a short time until it has.
    pub(super) async fn end(&self) {
        self.running.cancellation_token().cancel();
        let ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ending) = ending {
            let _ = ending.said().await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.running.cancellation_token().cancel();
        self.watch.over.cancel();
    }
}

async fn greet<T>(transport: Guard<T>) -> Result<RunningService<RoleClient, ClientConfig>, String>
where
    T: Transport<RoleClient> + 'static,
{
    let own = Implementation::new("cowrite", env!("CARGO_PKG_VERSION"));
    let info = ClientConfig::new(ClientCapabilities::default(), own);
    info.serve(transport).await.map_err(|error| match error {
        ClientInitializeError::ConnectionClosed(_) => "it ended before it said hello".to_owned(),
        ClientInitializeError::JsonRpcError(error) => format!("it said: {}", short(&error.message)),
        ClientInitializeError::TransportError { error, .. } => {
            refusal(error.error.as_ref()).unwrap_or_else(|| short(&root(&error)))
        }
        _ => "its hello is none of the Model Context Protocol".to_owned(),
    })
}

/// The cause behind all others, which says what happened.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    let mut last = cause.to_string();
    while let Some(next) = cause.source() {
        cause = next;
        last = cause.to_string();
    }
    last
}

async fn started(
    program: &[String],
    env: &[String],
    folder: Option<PathBuf>,
    secrets: &[String],
) -> Result<Served, String> {
    let words = program.iter().map(OsString::from).collect();
    // A key under whatever name, where it is not named on purpose.
    let held = |value: &String| without_keys(value.clone()).is_none_or(|without| without != *value);
    let read = std::env::vars_os().filter_map(|(_, value)| value.into_string().ok()).filter(held);
    let secrets: Vec<String> = secrets.iter().cloned().chain(read).collect();
    let env = process::environment(std::env::vars_os(), env, &secrets);
    process::serve(words, folder.unwrap_or_else(std::env::temp_dir), env).await
}
