//! One server: started when it is first needed, started again when it has ended, but not for ever.

mod offers;
mod pages;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest, ListToolsRequest};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::pages::{NoList, pages};
use super::clean::short;
use super::connection::{Connection, Fault};
use super::prompt;
use super::tool::Described;
use crate::settings::McpSettings;

/// The most tools of a server.
const TOOLS: usize = 64;
/// The most entries of its list that are looked at.
const ENTRIES: usize = 4 * TOOLS;
/// How long a server that has ended rests before it is started again; after the last it is not.
const RESTS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
/// A server that has worked for so long may end as if it never had.
const PROVEN: Duration = Duration::from_secs(600);

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// To say hello, and for a list.
    start: Duration,
    /// For a prompt: the run waits for it.
    prompt: Duration,
    /// For a call.
    call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { start: seconds(10), prompt: seconds(30), call: seconds(120) }
    }
}

/// One server of the settings.
pub(super) struct Server {
    name: String,
    settings: McpSettings,
    folder: Option<PathBuf>,
    /// Values that its program does not get.
    secrets: Vec<String>,
    limits: Limits,
    state: Mutex<State>,
    /// What it said of its prompts when it was last asked. A std mutex: held for a copy, never across an await.
    prompts: std::sync::Mutex<Vec<prompt::Described>>,
    ended: CancellationToken,
}

/// What a server brings to a run.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) tools: Vec<Described>,
    /// What is wrong with some of them.
    pub(super) faults: Vec<String>,
    /// Whether it has something to read.
    pub(super) resources: bool,
}

#[derive(Default)]
struct State {
    open: Option<(Arc<Connection>, Instant)>,
    tools: Vec<Described>,
    /// What is wrong with its list.
    faults: Vec<String>,
    listed: bool,
    /// How often it ended or did not start, why the last time, and when that was.
    ends: Option<(usize, String, Instant)>,
}

impl Server {
    pub(super) fn new(name: String, settings: McpSettings, folder: Option<PathBuf>, secrets: Vec<String>) -> Self {
        Self {
            name,
            settings,
            folder,
            secrets,
            limits: Limits::default(),
            state: Mutex::default(),
            prompts: std::sync::Mutex::default(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is this one, as it stands in the settings.
    pub(super) fn is(&self, settings: &McpSettings, folder: Option<&PathBuf>) -> bool {
        self.settings == *settings && self.folder.as_ref() == folder
    }

    /// What it brings to a run, started for it when it must be.
    ///
    /// # Errors
    /// A sentence for the person.
    pub(super) async fn tools(&self) -> Result<Offer, String> {
        let mut state = self.state.lock().await;
        let connection = self.with_tools(&mut state).await?;
        let resources = connection.info().is_some_and(|info| info.capabilities.resources.is_some());
        Ok(Offer { tools: state.tools.clone(), faults: state.faults.clone(), resources })
    }

    fn known_prompts(&self) -> MutexGuard<'_, Vec<prompt::Described>> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a tool as it was offered.
    ///
    /// # Errors
    /// A sentence for the model.
    pub(super) async fn call(
        &self,
        tool: &Described,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<Value, String> {
        let connection = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err("The person stopped the run before this call began.".into()),
            connection = self.with(tool) => connection?,
        };
        let call = CallToolRequestParams::new(tool.own.clone()).with_arguments(arguments);
        let asked =
            connection.ask(ClientRequest::CallToolRequest(CallToolRequest::new(call)), self.limits.call, cancel);
        let answer = tokio::select! {
            biased;
            () = self.ended.cancelled() => return Err(self.is_over()),
            answer = asked => answer,
        };
        answer.map_err(|fault| match fault {
            Fault::Said(why) => format!("The server {} refused the call: {why}", self.name),
            Fault::Slow => format!(
                "The server {} did not answer within {} s. It was told to stop; whether it did something is not known.",
                self.name,
                self.limits.call.as_secs()
            ),
            Fault::Gone(why) => format!(
                "The connection to the server {} ended during the call ({why}). Whether it did something is not known.",
                self.name
            ),
            Fault::Cancelled => {
                "The person stopped the run during this call. Whether it did something is not known.".to_owned()
            }
        })
    }

    /// A connection on which a tool is what it was when it was offered.
    async fn with(&self, tool: &Described) -> Result<Arc<Connection>, String> {
        let mut state = self.state.lock().await;
        let connection = self.with_tools(&mut state).await?;
        let now = state.tools.iter().find(|now| now.own == tool.own);
        match now {
            Some(now) if now == tool => Ok(connection),
            Some(_) => Err(format!(
                "Nothing was done: the server {} describes its tool {} otherwise than when it was offered. It is offered anew with the \
                 next prompt.",
                self.name,
                short(&tool.own)
            )),
            None => {
                Err(format!("Nothing was done: the server {} has no tool {} any more.", self.name, short(&tool.own)))
            }
        }
    }

    /// Ends it for good.
    pub(super) async fn end(&self) {
        self.ended.cancel();
        let open = self.state.lock().await.open.take();
        if let Some((connection, _)) = open {
            connection.end().await;
        }
    }

    fn is_over(&self) -> String {
        format!("The server {} was ended: its settings have changed, or Cowrite is about to end.", self.name)
    }

    async fn ready(&self, state: &mut State) -> Result<Arc<Connection>, String> {
        if self.ended.is_cancelled() {
            return Err(self.is_over());
        }
        if let Some((connection, since)) = &state.open {
            if !connection.is_closed() {
                return Ok(connection.clone());
            }
            let why = connection.watch.why().unwrap_or("it ended").to_owned();
            let before = if since.elapsed() < PROVEN { state.ends.as_ref().map_or(0, |(count, ..)| *count) } else { 0 };
            state.ends = Some((before + 1, why, Instant::now()));
            state.open = None;
            state.listed = false;
        }
        if let Some((count, why, at)) = &state.ends {
            let Some(rest) = RESTS.get(count - 1) else {
                return Err(format!(
                    "The server {} has ended or failed to start {count} times ({why}) and is not started again. Mend its settings, or restart \
                     the editor.",
                    self.name
                ));
            };
            let left = rest.saturating_sub(at.elapsed());
            if !left.is_zero() {
                return Err(format!(
                    "The server {} does not work ({why}); it is started again in {} s at the earliest.",
                    self.name,
                    left.as_secs() + 1
                ));
            }
        }
        let opening = Connection::open(&self.settings, self.folder.clone(), &self.secrets);
        let opened = tokio::select! {
            biased;
            () = self.ended.cancelled() => return Err(self.is_over()),
            opened = timeout(self.limits.start, opening) => opened,
        };
        let why = match opened {
            Ok(Ok(connection)) => {
                let connection = Arc::new(connection);
                state.open = Some((connection.clone(), Instant::now()));
                return Ok(connection);
            }
            Ok(Err(why)) => why,
            Err(_) => format!("it did not say hello within {} s", self.limits.start.as_secs()),
        };
        let count = state.ends.as_ref().map_or(1, |(count, ..)| count + 1);
        state.ends = Some((count, why.clone(), Instant::now()));
        Err(format!("The server {} could not be started: {why}.", self.name))
    }

    /// A connection on which its tools are known. A server that is too slow to list them is as good as one that does not start: not
    /// every run waits for it.
    async fn with_tools(&self, state: &mut State) -> Result<Arc<Connection>, String> {
        let connection = self.ready(state).await?;
        let Some(why) = self.list(state, &connection).await? else { return Ok(connection) };
        let proven = state.open.take().is_some_and(|(_, since)| since.elapsed() >= PROVEN);
        let before = state.ends.as_ref().filter(|_| !proven).map_or(0, |(count, ..)| *count);
        state.ends = Some((before + 1, why.clone(), Instant::now()));
        state.listed = false;
        // It may take its time with that too.
        tokio::spawn(async move { connection.end().await });
        Err(format!("The server {} was ended: {why}.", self.name))
    }

    /// Lists its tools, unless that was done and nothing has changed since; or says why that took too long.
    async fn list(&self, state: &mut State, connection: &Connection) -> Result<Option<String>, String> {
        let changed = connection.watch.changed.swap(false, Ordering::Relaxed);
        if state.listed && !changed {
            return Ok(None);
        }
        state.listed = false;
        let offers = connection.info().is_none_or(|info| info.capabilities.tools.is_some());
        let listed = if offers {
            let request = |params| ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params));
            match pages(connection, "tools", (ENTRIES, self.limits.start), &self.ended, request).await {
                Ok(listed) => listed,
                Err(NoList::Fault(Fault::Slow)) => {
                    return Ok(Some(format!("it did not list its tools within {} s", self.limits.start.as_secs())));
                }
                Err(NoList::Fault(Fault::Said(why))) => {
                    return Err(format!("The server {} does not list its tools: {why}", self.name));
                }
                Err(NoList::Fault(Fault::Gone(why))) => {
                    return Err(format!("The server {} ended while it was asked for its tools: {why}.", self.name));
                }
                Err(NoList::Fault(Fault::Cancelled)) => return Err(self.is_over()),
                Err(NoList::Other) => {
                    return Err(format!("The server {} answered with something that is no list of tools.", self.name));
                }
            }
        } else {
            pages::Pages { entries: Vec::new(), more: false }
        };
        let (mut tools, mut faults, mut names, mut over) = (Vec::new(), Vec::new(), HashSet::new(), listed.more);
        for entry in &listed.entries {
            match Described::read(entry) {
                Ok(_) if tools.len() == TOOLS => {
                    over = true;
                    break;
                }
                Ok(tool) if !names.insert(tool.own.clone()) => faults.push(format!(
                    "The server {} has two tools called {}; the first one counts.",
                    self.name,
                    short(&tool.own)
                )),
                Ok(tool) => tools.push(tool),
                Err(why) => faults.push(format!("The server {} {why}; it is left out.", self.name)),
            }
        }
        if over {
            let most = tools.len();
            faults.insert(0, format!("The server {} has more than {most} tools; the rest is left out.", self.name));
        }
        faults.truncate(5);
        (state.tools, state.faults, state.listed) = (tools, faults, true);
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
