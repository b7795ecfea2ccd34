//! The way to the client. Every request has a time limit.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tower_lsp::jsonrpc;
use tower_lsp::ls_types::notification::Notification;
use tower_lsp::ls_types::request::{
    ApplyWorkspaceEdit, CodeLensRefresh, Request, ShowDocument, ShowMessageRequest, WorkDoneProgressCreate,
};
use tower_lsp::ls_types::{
    ApplyWorkspaceEditParams, ApplyWorkspaceEditResponse, Diagnostic, MessageActionItem, MessageType, ProgressToken,
    ShowDocumentParams, ShowMessageRequestParams, Uri, WorkDoneProgressCreateParams, WorkspaceEdit,
};

use super::capabilities::Caps;
use super::uri;
use crate::protocol::Envelope;

/// How long a client may take to make a progress token.
const PROGRESS: Duration = Duration::from_secs(2);
/// How long it may take to say that it will ask for lenses anew.
const LENSES: Duration = Duration::from_secs(2);
/// How long a person may take to answer: longer than a question stands.
const PERSON: Duration = Duration::from_secs(11 * 60);
/// How long it may take to open or save a document.
const DOCUMENT: Duration = Duration::from_secs(10);

/// How long it may take to say what language servers report: it knows.
const REPORTS: Duration = Duration::from_secs(3);

/// The client and what it can do. Cloning shares it.
#[derive(Clone)]
pub(super) struct Client {
    inner: tower_lsp::Client,
    caps: Arc<OnceLock<Caps>>,
}

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("the editor did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the editor does not know the request")]
    Unknown,
    #[error("the editor answered with an error: {0}")]
    Error(String),
}

/// `cowrite/event`.
pub(super) enum CowriteEvent {}

impl Notification for CowriteEvent {
    type Params = Envelope;
    const METHOD: &'static str = "cowrite/event";
}

/// `cowrite/save`.
enum CowriteSave {}

#[derive(Serialize, Deserialize)]
struct SaveParams {
    uris: Vec<Uri>,
}

#[derive(Serialize, Deserialize)]
struct SaveResult {
    saved: Vec<Uri>,
}

impl Request for CowriteSave {
    type Params = SaveParams;
    type Result = SaveResult;
    const METHOD: &'static str = "cowrite/save";
}

/// `cowrite/diagnostics`.
enum CowriteDiagnostics {}

#[derive(Serialize, Deserialize)]
struct DiagnosticsResult {
    items: Vec<Reported>,
}

/// What language servers report of a document.
#[derive(Serialize, Deserialize)]
pub(super) struct Reported {
    pub(super) uri: Uri,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Request for CowriteDiagnostics {
    type Params = SaveParams;
    type Result = DiagnosticsResult;
    const METHOD: &'static str = "cowrite/diagnostics";
}

impl Client {
    pub(super) fn new(inner: tower_lsp::Client) -> Self {
        Self { inner, caps: Arc::default() }
    }

    /// Says what the client can do; once, at `initialize`.
    pub(super) fn set_caps(&self, caps: Caps) {
        // A second `initialize` never gets here: the service refuses it.
        let _ = self.caps.set(caps);
    }

    pub(super) fn caps(&self) -> &Caps {
        static NONE: OnceLock<Caps> = OnceLock::new();
        self.caps.get().unwrap_or_else(|| NONE.get_or_init(Caps::default))
    }

    /// Asks for an edit. The caller waits as long as its own rules say.
    pub(super) async fn apply_edit(
        &self,
        label: String,
        edit: WorkspaceEdit,
    ) -> Result<ApplyWorkspaceEditResponse, Unanswered> {
        let params = ApplyWorkspaceEditParams { label: Some(label), edit };
        self.inner.send_request::<ApplyWorkspaceEdit>(params).await.map_err(|error| unanswered(&error))
    }

    pub(super) async fn create_progress(&self, token: ProgressToken) -> Result<(), Unanswered> {
        self.ask::<WorkDoneProgressCreate>(WorkDoneProgressCreateParams { token }, PROGRESS).await
    }

    pub(super) async fn show_document(&self, uri: Uri, take_focus: bool) -> Result<bool, Unanswered> {
        let params = ShowDocumentParams { uri, external: None, take_focus: Some(take_focus), selection: None };
        self.ask::<ShowDocument>(params, DOCUMENT).await.map(|result| result.success)
    }

    /// Has the client ask for its lenses anew.
    pub(super) async fn refresh_lenses(&self) -> Result<(), Unanswered> {
        self.ask::<CodeLensRefresh>((), LENSES).await
    }

    /// Whether the client says that it has saved the document.
    pub(super) async fn save(&self, uri: Uri) -> Result<bool, Unanswered> {
        Ok(self.save_all(vec![uri]).await?.contains(&true))
    }

    /// The same of several, which are asked for at once.
    pub(super) async fn save_all(&self, uris: Vec<Uri>) -> Result<Vec<bool>, Unanswered> {
        let result = self.ask::<CowriteSave>(SaveParams { uris: uris.clone() }, DOCUMENT).await?;
        // The editor may spell them otherwise.
        let is_saved = |uri: &Uri| {
            let path = uri::to_path(uri);
            result.saved.iter().any(|saved| saved == uri || path.is_some() && uri::to_path(saved) == path)
        };
        Ok(uris.iter().map(is_saved).collect())
    }

    /// What all language servers report of these documents; of all, when there is none.
    pub(super) async fn diagnostics(&self, uris: Vec<Uri>) -> Result<Vec<Reported>, Unanswered> {
        self.ask::<CowriteDiagnostics>(SaveParams { uris }, REPORTS).await.map(|result| result.items)
    }

    /// Puts a question to the person; what they chose, nothing when they sent it away. There is no hurry: the question itself expires.
    pub(super) async fn ask_person(
        &self,
        message: String,
        actions: &[String],
    ) -> Result<Option<MessageActionItem>, Unanswered> {
        let item = |title: &String| MessageActionItem { title: title.clone(), properties: HashMap::default() };
        let actions = Some(actions.iter().map(item).collect());
        self.ask::<ShowMessageRequest>(ShowMessageRequestParams { typ: MessageType::WARNING, message, actions }, PERSON)
            .await
    }

    pub(super) async fn message(&self, kind: MessageType, text: &str) {
        self.inner.show_message(kind, text).await;
    }

    pub(super) async fn notify<N: Notification>(&self, params: N::Params) {
        self.inner.send_notification::<N>(params).await;
    }

    async fn ask<R: Request>(&self, params: R::Params, limit: Duration) -> Result<R::Result, Unanswered> {
        match timeout(limit, self.inner.send_request::<R>(params)).await {
            Ok(result) => result.map_err(|error| unanswered(&error)),
            Err(_) => Err(Unanswered::TimedOut(limit)),
        }
    }
}

fn unanswered(error: &jsonrpc::Error) -> Unanswered {
    match error.code {
        jsonrpc::ErrorCode::MethodNotFound => Unanswered::Unknown,
        code => Unanswered::Error(format!("{} ({})", error.message, code.code())),
    }
}
