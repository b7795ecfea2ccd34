//! Prompts and resources of a server. It is started for them when it must be; its tools need not be known for that.

use rmcp::model::{
    ClientRequest, GetPromptRequest, GetPromptRequestParams, ListPromptsRequest, ListResourceTemplatesRequest,
    ListResourcesRequest, ReadResourceRequest, ReadResourceRequestParams,
};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::super::clean::{name, short};
use super::super::connection::{Connection, Fault};
use super::super::prompt::{Described, Listed};
use super::Server;
use super::pages::{NoList, pages};

/// The most prompts of a server.
const PROMPTS: usize = 256;
/// The most resources of a server, and of their templates.
const RESOURCES: usize = 1000;

impl Server {
    /// Its prompts as they are now, started for it when it must be.
    ///
    /// # Errors
    /// A sentence for the person.
    pub(in crate::mcp) async fn prompts(&self) -> Result<Vec<Described>, String> {
        let connection = self.connected(None).await?;
        let offers = connection.info().is_none_or(|info| info.capabilities.prompts.is_some());
        let listed = match offers {
            true => self.list_prompts(&connection).await?,
            false => Vec::new(),
        };
        self.known_prompts().clone_from(&listed);
        Ok(listed)
    }

    /// The same where it runs already; else what it said when it last ran.
    pub(in crate::mcp) async fn prompts_unstarted(&self) -> Result<Vec<Described>, String> {
        if self.runs().await { self.prompts().await } else { Ok(self.known_prompts().clone()) }
    }

    /// A prompt as it is listed.
    pub(in crate::mcp) fn listed(&self, prompt: Described) -> Listed {
        Listed {
            server: self.name().to_owned(),
            command: name(self.name(), &prompt.own),
            title: prompt.title,
            description: prompt.description,
            arguments: prompt.arguments,
        }
    }

    async fn list_prompts(&self, connection: &Connection) -> Result<Vec<Described>, String> {
        let request = |params| ClientRequest::ListPromptsRequest(ListPromptsRequest::with_param(params));
        let listed = pages(connection, "prompts", (PROMPTS, self.limits.start), &self.ended, request).await;
        let listed = listed.map_err(|why| self.no_list("prompts", self.limits.start, why))?;
        let mut prompts = Vec::<Described>::new();
        for entry in &listed.entries {
            match Described::read(entry) {
                Ok(prompt) if prompts.iter().all(|known| known.own != prompt.own) => prompts.push(prompt),
                Ok(_) => {}
                Err(why) => tracing::debug!(server = self.name(), why, "a prompt is left out"),
            }
        }
        Ok(prompts)
    }

    /// The messages of a prompt.
    ///
    /// # Errors
    /// A sentence for the person.
    pub(in crate::mcp) async fn prompt(&self, own: &str, arguments: Map<String, Value>) -> Result<Value, String> {
        let connection = self.connected(None).await?;
        let params = GetPromptRequestParams::new(own).with_arguments(arguments);
        let request = ClientRequest::GetPromptRequest(GetPromptRequest::new(params));
        let limit = self.limits.prompt;
        let answer = connection.ask(request, limit, &self.ended).await;
        answer.map_err(|fault| self.why(&format!("does not give its prompt {}", short(own)), limit, fault))
    }

    /// What it offers to read, and templates of more.
    ///
    /// # Errors
    /// A sentence for the model.
    pub(in crate::mcp) async fn resources(
        &self,
        cancel: &CancellationToken,
    ) -> Result<(Vec<Value>, Vec<Value>), String> {
        let connection = self.connected(Some(cancel)).await?;
        let limit = self.limits.start;
        let most = (RESOURCES, limit);
        let request = |params| ClientRequest::ListResourcesRequest(ListResourcesRequest::with_param(params));
        let all = pages(&connection, "resources", most, cancel, request).await;
        let all = all.map_err(|why| self.no_list("resources", limit, why))?.entries;
        let request =
            |params| ClientRequest::ListResourceTemplatesRequest(ListResourceTemplatesRequest::with_param(params));
        let templates = match pages(&connection, "resourceTemplates", most, cancel, request).await {
            Ok(templates) => templates.entries,
            // Many know none.
            Err(NoList::Fault(Fault::Said(_))) => Vec::new(),
            Err(why) => return Err(self.no_list("resources", limit, why)),
        };
        Ok((all, templates))
    }

    /// One of them.
    ///
    /// # Errors
    /// A sentence for the model.
    pub(in crate::mcp) async fn resource(&self, uri: &str, cancel: &CancellationToken) -> Result<Value, String> {
        let connection = self.connected(Some(cancel)).await?;
        let request = ReadResourceRequest::new(ReadResourceRequestParams::new(uri));
        let limit = self.limits.call;
        let answer = connection.ask(ClientRequest::ReadResourceRequest(request), limit, cancel).await;
        answer.map_err(|fault| self.why("does not give that resource", limit, fault))
    }

    /// A connection, once it has said hello; given up when the run is stopped.
    async fn connected(&self, cancel: Option<&CancellationToken>) -> Result<Arc<Connection>, String> {
        let never = CancellationToken::new();
        tokio::select! {
            biased;
            () = cancel.unwrap_or(&never).cancelled() => Err("The person stopped the run before this began.".into()),
            connection = async { self.ready(&mut *self.state.lock().await).await } => connection,
        }
    }

    async fn runs(&self) -> bool {
        self.state.lock().await.open.as_ref().is_some_and(|(connection, _)| !connection.is_closed())
    }

    fn no_list(&self, what: &str, limit: Duration, why: NoList) -> String {
        match why {
            NoList::Fault(fault) => self.why(&format!("does not list its {what}"), limit, fault),
            NoList::Other => {
                format!("The server {} answered with something that is no list of {what}.", self.name())
            }
        }
    }

    fn why(&self, what: &str, limit: Duration, fault: Fault) -> String {
        let name = self.name();
        match fault {
            Fault::Said(why) => format!("The server {name} {what}: {why}"),
            Fault::Slow => format!("The server {name} {what}: it did not answer within {} s.", limit.as_secs()),
            Fault::Gone(why) => format!("The server {name} {what}: the connection ended ({why})."),
            Fault::Cancelled if self.ended.is_cancelled() => self.is_over(),
            Fault::Cancelled => "The person stopped the run.".to_owned(),
        }
    }
}
