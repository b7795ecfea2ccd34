//! The doors: what tower-lsp calls. The rooms are the other files.

use std::ops::Deref;

use serde_json::Value;
use tower_lsp::LanguageServer;
use tower_lsp::jsonrpc::Result;
use tower_lsp::ls_types::{
    CodeActionParams, CodeActionResponse, CodeLens, CodeLensParams, DidChangeTextDocumentParams,
    DidChangeWorkspaceFoldersParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams,
    ExecuteCommandParams, InitializeParams, InitializeResult, InitializedParams, WorkDoneProgressCancelParams,
};

use super::progress::run_of;
use super::state::State;
use super::{actions, asking, execute, review};
use crate::protocol::{Position, Range};
use crate::text::ContentChange;

/// The server, as tower-lsp sees it.
pub(super) struct Server(State);

impl Server {
    pub(super) fn new(state: State) -> Self {
        Self(state)
    }

    /// `window/workDoneProgress/cancel`
    pub(super) async fn progress_cancelled(&self, params: WorkDoneProgressCancelParams) {
        if let (Some(run), Ok(workspace)) = (run_of(&params.token), self.workspace()) {
            // A run that has ended meanwhile is no error.
            let _ = workspace.session_of(run).is_some_and(|session| session.cancel(run));
        }
    }
}

impl Deref for Server {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl LanguageServer for Server {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        Ok(self.0.initialize(&params))
    }

    async fn initialized(&self, _: InitializedParams) {
        self.0.initialized();
    }

    async fn shutdown(&self) -> Result<()> {
        self.0.shutdown();
        Ok(())
    }

    async fn did_open(&self, params: DidOpenTextDocumentParams) {
        let document = params.text_document;
        self.documents.open(document.uri.as_str(), &document.language_id, document.version, &document.text);
    }

    async fn did_change(&self, params: DidChangeTextDocumentParams) {
        let changes: Vec<ContentChange> = params
            .content_changes
            .into_iter()
            .map(|change| ContentChange { range: change.range.map(range), text: change.text })
            .collect();
        let document = params.text_document;
        if !self.documents.change(document.uri.as_str(), document.version, &changes) {
            tracing::warn!(uri = document.uri.as_str(), "a change of a document that is not open");
        }
    }

    async fn did_save(&self, params: DidSaveTextDocumentParams) {
        self.documents.touch(params.text_document.uri.as_str());
    }

    async fn did_close(&self, params: DidCloseTextDocumentParams) {
        let uri = params.text_document.uri;
        self.documents.close(uri.as_str());
        self.port.closed(uri.as_str());
    }

    async fn did_change_workspace_folders(&self, params: DidChangeWorkspaceFoldersParams) {
        self.0.change_folders(params.event);
    }

    async fn execute_command(&self, params: ExecuteCommandParams) -> Result<Option<Value>> {
        execute::execute(self, params).await.map(Some)
    }

    async fn code_action(&self, params: CodeActionParams) -> Result<Option<CodeActionResponse>> {
        out_of_the_lane().await;
        let workspace = self.workspace()?;
        let mut all = asking::actions(workspace, &params);
        all.extend(review::actions(workspace, &self.port, &params));
        all.extend(actions::actions(workspace.catalog(), &params));
        Ok(Some(all))
    }

    async fn code_lens(&self, params: CodeLensParams) -> Result<Option<Vec<CodeLens>>> {
        out_of_the_lane().await;
        Ok(Some(review::lenses(self.workspace()?, &self.port, params.text_document.uri.as_str())))
    }
}

/// The transport polls each handler once before it takes the next message, so that documents change in order. What a handler does
/// before its first wait holds up the person's typing; behind this it does not.
async fn out_of_the_lane() {
    tokio::task::yield_now().await;
}

/// A range, in the words of the protocol.
pub(super) fn range(range: tower_lsp::ls_types::Range) -> Range {
    let place =
        |position: tower_lsp::ls_types::Position| Position { line: position.line, character: position.character };
    Range { start: place(range.start), end: place(range.end) }
}
