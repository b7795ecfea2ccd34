//! Keeps what an editor shows true to what waits: lenses are asked for anew, markers published. One task, beside the document
//! lane and never in it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::sleep;
use tower_lsp::ls_types::notification::PublishDiagnostics;
use tower_lsp::ls_types::{Diagnostic, PublishDiagnosticsParams};

use super::markers;
use crate::lsp::client::Client;
use crate::lsp::documents::Documents;
use crate::lsp::port::EditorPort;
use crate::workspace::Workspace;

/// At most ten times in any second.
const SPACING: Duration = Duration::from_millis(110);

/// What the task looks at.
pub(in crate::lsp) struct Following {
    pub(in crate::lsp) client: Client,
    pub(in crate::lsp) documents: Arc<Documents>,
    pub(in crate::lsp) port: Arc<EditorPort>,
    pub(in crate::lsp) workspace: Arc<OnceLock<Workspace>>,
}

/// What was published for a document, with the version of the text that it belongs to.
type Published = (Option<i32>, Vec<Diagnostic>);

impl Following {
    /// Goes on until the process ends.
    pub(in crate::lsp) async fn run(self) {
        let Some(workspace) = self.workspace.get() else { return };
        let mut moved = workspace.reviews_moved();
        // Sessions with something waiting may have been opened before this.
        if *moved.borrow() > 0 {
            moved.mark_changed();
        }
        let caps = self.client.caps();
        let mut published = BTreeMap::new();
        loop {
            tokio::select! {
                moved = moved.changed() => if moved.is_err() { return },
                () = self.documents.changed(), if !caps.code_lens => {}
            }
            if !caps.code_lens {
                moved.mark_unchanged();
                self.publish(workspace, &mut published).await;
            } else if caps.refreshes_lenses
                && let Err(error) = self.client.refresh_lenses().await
            {
                tracing::debug!(%error, "the lenses were not asked for anew");
            }
            sleep(SPACING).await;
        }
    }

    async fn publish(&self, workspace: &Workspace, published: &mut BTreeMap<String, Published>) {
        let mut now: BTreeMap<String, Published> = BTreeMap::new();
        let before = self.documents.versions();
        for (uri, markers) in markers::by_document(&workspace.reviews(), &self.port) {
            now.insert(uri.clone(), (before.get(&uri).copied(), markers));
        }
        // Something was typed just then: nobody knows which text these ranges are of. The typing has woken this task again.
        if self.documents.versions() != before {
            return;
        }
        for uri in published.keys().filter(|uri| !now.contains_key(*uri)) {
            // True of every version.
            self.send(uri, None, Vec::new()).await;
        }
        for (uri, (version, markers)) in &now {
            // An editor drops what is for another version than it has, so each version gets its own.
            if published.get(uri) != Some(&(*version, markers.clone())) {
                self.send(uri, *version, markers.clone()).await;
            }
        }
        *published = now;
    }

    async fn send(&self, uri: &str, version: Option<i32>, markers: Vec<Diagnostic>) {
        let Ok(uri) = uri.parse() else { return };
        self.client.notify::<PublishDiagnostics>(PublishDiagnosticsParams::new(uri, markers, version)).await;
    }
}
