//! An editor, as far as the protocol goes: it opens a buffer, runs a command, answers what the server asks, and shows what comes.

use serde_json::{Value, json};

use super::Failure;
use super::buffer::Buffer;
use super::sample::{OPEN_FILE, Sample};
use super::screen::Screen;
use super::server::Server;
use crate::protocol::{Envelope, Event, Range, RunId, RunStatus, SessionId};
use crate::text::Encoding;

/// How a run ended.
pub(super) struct Finished {
    pub(super) session: SessionId,
    pub(super) run: RunId,
    pub(super) status: RunStatus,
    pub(super) error: Option<String>,
}

pub(super) struct Editor<'a> {
    server: Server,
    screen: &'a mut Screen,
    root_uri: String,
    uri: String,
    encoding: Encoding,
    buffer: Buffer,
    next_id: u64,
    /// What is typed as soon as the run has looked at the buffer: above which line, and what.
    to_type: Option<(&'static str, &'static str)>,
    finished: Option<Finished>,
    progress_open: bool,
}

impl<'a> Editor<'a> {
    pub(super) fn new(server: Server, screen: &'a mut Screen, sample: &Sample) -> Self {
        let uri = |path: &std::path::Path| url::Url::from_file_path(path).map(String::from).unwrap_or_default();
        let file = uri(&sample.root.join(OPEN_FILE));
        Self {
            server,
            screen,
            root_uri: uri(&sample.root),
            buffer: Buffer::new(file.clone(), "", Encoding::Utf16),
            uri: file,
            encoding: Encoding::Utf16,
            next_id: 0,
            to_type: None,
            finished: None,
            progress_open: false,
        }
    }

    pub(super) fn screen(&mut self) -> &mut Screen {
        self.screen
    }

    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    pub(super) fn text(&self) -> String {
        self.buffer.text()
    }

    pub(super) fn server_log(&self) -> Option<String> {
        self.server.log()
    }

    pub(super) fn range_from(&self, first: &str, last: &str) -> Option<Range> {
        self.buffer.range(first, last)
    }

    /// From now on: when the run has looked at the buffer, the person types these lines above that one.
    pub(super) fn type_during_run(&mut self, above: &'static str, lines: &'static str) {
        self.to_type = Some((above, lines));
    }

    /// Begins the conversation. Gives the server's name and version.
    pub(super) async fn initialize(&mut self) -> Result<String, Failure> {
        let params = json!({
            "processId": std::process::id(),
            "clientInfo": {"name": "cowrite-demo", "version": env!("CARGO_PKG_VERSION")},
            "rootUri": self.root_uri,
            "workspaceFolders": [{"uri": self.root_uri, "name": "howlong"}],
            "capabilities": {
                "general": {"positionEncodings": ["utf-8", "utf-16"]},
                "workspace": {
                    "applyEdit": true, "workspaceEdit": {"documentChanges": true}, "workspaceFolders": true,
                },
                "textDocument": {"synchronization": {"didSave": true}},
                "window": {"workDoneProgress": true, "showMessage": {}},
                "experimental": {"cowrite": {"events": true}},
            },
        });
        let answer = self.request("initialize", params).await?;
        self.encoding = match answer["capabilities"]["positionEncoding"].as_str() {
            Some("utf-8") => Encoding::Utf8,
            Some("utf-32") => Encoding::Utf32,
            _ => Encoding::Utf16,
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let server = &answer["serverInfo"];
        self.notify("initialized", json!({})).await?;
        Ok(format!("{} {}", text(&server["name"]), text(&server["version"])))
    }

    /// Opens the file with a text that is not the one on the disk.
    pub(super) async fn open(&mut self, text: &str) -> Result<(), Failure> {
        self.buffer = Buffer::new(self.uri.clone(), text, self.encoding);
        self.screen.fact("open", &format!("{OPEN_FILE}, with a line that is not saved"));
        let document = json!({"uri": self.uri, "languageId": "rust", "version": 1, "text": text});
        self.notify("textDocument/didOpen", json!({"textDocument": document})).await
    }

    /// The answer to a command.
    pub(super) async fn execute(&mut self, command: &str, argument: Value) -> Result<Value, Failure> {
        self.request("workspace/executeCommand", json!({"command": command, "arguments": [argument]})).await
    }

    /// Starts a run, and stays until it has ended.
    pub(super) async fn run(&mut self, command: &str, argument: Value) -> Result<Finished, Failure> {
        self.execute(command, argument).await?;
        loop {
            if !self.progress_open
                && let Some(finished) = self.finished.take()
            {
                return Ok(finished);
            }
            let message = self.server.receive().await?;
            self.handle(message).await?;
        }
    }

    /// `shutdown`, `exit`, and the end of the process.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        self.request("shutdown", Value::Null).await?;
        self.notify("exit", Value::Null).await?;
        self.server.wait().await
    }

    async fn request(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        self.next_id += 1;
        let id = self.next_id;
        self.server.send(message(json!({"id": id, "method": method}), params)).await?;
        loop {
            let message = self.server.receive().await?;
            if message["id"] != id || message.get("method").is_some() {
                self.handle(message).await?;
            } else if let Some(error) = message.get("error") {
                return Err(Failure(format!("the server refused `{method}`: {}", error["message"])));
            } else {
                return Ok(message["result"].clone());
            }
        }
    }

    async fn notify(&mut self, method: &str, params: Value) -> Result<(), Failure> {
        self.server.send(message(json!({"method": method}), params)).await
    }

    /// What the server sends on its own.
    async fn handle(&mut self, message: Value) -> Result<(), Failure> {
        let params = &message["params"];
        match (message["method"].as_str().unwrap_or_default(), message.get("id")) {
            ("workspace/applyEdit", Some(id)) => {
                let result = match self.buffer.apply(&params["edit"]) {
                    Ok(change) => {
                        self.notify("textDocument/didChange", change).await?;
                        json!({"applied": true})
                    }
                    Err(reason) => json!({"applied": false, "failureReason": reason}),
                };
                self.server.send(json!({"id": id, "result": result})).await
            }
            (
                "window/workDoneProgress/create" | "client/registerCapability" | "window/showMessageRequest",
                Some(id),
            ) => self.server.send(json!({"id": id, "result": null})).await,
            (method, Some(id)) => {
                let error = json!({"code": -32601, "message": format!("the demo does not know {method}")});
                self.server.send(json!({"id": id, "error": error})).await
            }
            ("cowrite/event", None) => {
                let event: Envelope = serde_json::from_value(params.clone())
                    .map_err(|error| Failure::because("the server sent an event that cannot be read", error))?;
                self.event(event).await
            }
            ("$/progress", None) => {
                self.progress(&params["value"]);
                Ok(())
            }
            ("window/showMessage", None) => {
                self.screen.note(params["message"].as_str().unwrap_or_default());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn progress(&mut self, value: &Value) {
        match value["kind"].as_str() {
            Some("begin") => {
                self.progress_open = true;
                self.screen.note(&format!("progress begins: {}", value["title"].as_str().unwrap_or_default()));
            }
            Some("end") => {
                self.progress_open = false;
                self.screen.note("progress ends");
            }
            _ => {}
        }
    }

    async fn event(&mut self, envelope: Envelope) -> Result<(), Failure> {
        let Envelope { run_id, session_id: session, event, .. } = envelope;
        let looked = matches!(event, Event::ToolFinished { .. });
        self.screen.event(&event);
        if let (Event::RunFinished { status, error, .. }, Some(run)) = (event, run_id) {
            self.finished = Some(Finished { session, run, status, error });
        }
        if looked
            && let Some((above, lines)) = self.to_type.take()
            && let Some(change) = self.buffer.type_above(above, lines)
        {
            self.notify("textDocument/didChange", change).await?;
            self.screen.typed(lines);
        }
        Ok(())
    }
}

/// A message with its parameters, where there are any.
fn message(mut message: Value, params: Value) -> Value {
    if !params.is_null() {
        message["params"] = params;
    }
    message
}
