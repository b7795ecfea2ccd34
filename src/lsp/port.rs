//! The editor port: how the agent's trait meets a real editor.

mod create;
mod delete;
mod rename;
mod reports;
mod through;
mod unopened;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use tower_lsp::ls_types::Uri;

use super::apply::Applier;
use super::client::Client;
use super::documents::Documents;
use super::uri;
use crate::crash;
use crate::disk;
use crate::editor::{Change, Diagnosis, Editor, Outcome, Place, ReadError, What};
use crate::permission::Roots;
use crate::text::{Encoding, Snapshot};

/// The most documents that reports are taken of.
const MOST_REPORTED: usize = 1000;

/// The editor at the other end.
pub(super) struct EditorPort {
    client: Client,
    documents: Arc<Documents>,
    applier: Applier,
    roots: Arc<RwLock<Roots>>,
    /// Real paths of open documents, by URI: looked up once, and not in the document lane.
    real: Mutex<HashMap<String, PathBuf>>,
    /// Files that the editor has opened and saved for a run, as far as it may still have them open.
    opened: Mutex<HashSet<PathBuf>>,
}

impl EditorPort {
    pub(super) fn new(client: Client, documents: Arc<Documents>, roots: Arc<RwLock<Roots>>) -> Self {
        let applier = Applier::new(client.clone(), documents.clone());
        Self { client, documents, applier, roots, real: Mutex::default(), opened: Mutex::default() }
    }

    /// Forgets where a closed document's file lies.
    pub(super) fn closed(&self, uri: &str) {
        if let Some(path) = self.path(uri) {
            self.opened().remove(&path);
        }
        self.real().remove(uri);
    }

    /// The place of a document, whether a run may touch it or not.
    pub(super) fn place(&self, uri: &str) -> Place {
        let Some(path) = self.path(uri) else { return Place::Buffer { uri: uri.to_owned() } };
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        roots.found(&path).unwrap_or_else(|| {
            let shown = path.display().to_string();
            Place::File { path, shown }
        })
    }

    /// The real path of a document; none for a buffer without a file.
    fn path(&self, uri: &str) -> Option<PathBuf> {
        if let Some(real) = self.real().get(uri) {
            return Some(real.clone());
        }
        let path = uri::to_path(&uri.parse().ok()?)?;
        let real = crate::permission::real_path(&path);
        // A file that does not exist yet may become a link before it is looked at again.
        if path.exists() {
            self.real().insert(uri.to_owned(), real.clone());
        }
        Some(real)
    }

    /// The URI of the open document at a place.
    fn open_uri(&self, place: &Place) -> Option<String> {
        match place {
            Place::Buffer { uri } => self.documents.snapshot(uri).map(|_| uri.clone()),
            Place::File { path, .. } => {
                // Mostly the client's spelling is the plain one.
                if let Some(plain) =
                    uri::from_path(path).filter(|plain| self.documents.snapshot(plain.as_str()).is_some())
                    && self.path(plain.as_str()).as_ref() == Some(path)
                {
                    return Some(plain.to_string());
                }
                let mut open = self.documents.all().into_iter();
                open.find(|(uri, _)| self.path(uri).as_ref() == Some(path)).map(|(uri, _)| uri)
            }
        }
    }

    // A std mutex: held for a look, never across an await.
    fn opened(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // A std mutex: held for a map operation, never across an await.
    fn real(&self) -> std::sync::MutexGuard<'_, HashMap<String, PathBuf>> {
        self.real.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Editor for EditorPort {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        self.documents.all().into_iter().map(|(uri, snapshot)| (self.place(&uri), snapshot)).collect()
    }

    fn buffer(&self, place: &Place) -> Option<Snapshot> {
        self.open_uri(place).and_then(|uri| self.documents.snapshot(&uri))
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        if let Some(snapshot) = self.buffer(place) {
            return Ok(snapshot);
        }
        let (at, shown) = (place.clone(), place.to_string());
        let read = tokio::task::spawn_blocking(move || disk::read(&at)).await;
        read.unwrap_or_else(|error| Err(ReadError::Io { place: shown, reason: crash::why(&error).to_owned() }))
    }

    async fn apply(&self, change: Change) -> Outcome {
        let Change { place, label, what, cancel } = change;
        if cancel.is_cancelled() {
            return Outcome::Refused { reason: "the person stopped the run before the change was made".into() };
        }
        let open = self.open_uri(&place).and_then(|uri| uri.parse::<Uri>().ok());
        match (what, open) {
            (What::Edit { base, patch }, Some(uri)) => {
                let saved = self.is_kept_saved(&place).await;
                let outcome = self.applier.apply(&uri, &base, &patch, &label, &cancel).await;
                if saved { self.saved_again(&place, uri, outcome).await } else { outcome }
            }
            (What::Edit { base, patch }, None) => self.edit_unopened(place, base, patch, label, &cancel).await,
            (What::Create { text }, Some(uri)) => self.fill_open(&place, &uri, text, &label, &cancel).await,
            (What::Create { text }, None) => self.create(place, text, label).await,
            (What::Delete { base, or_empty }, Some(uri)) => {
                self.delete_open(&place, &uri, base, or_empty, label, &cancel).await
            }
            (What::Delete { base, .. }, None) => self.delete_on_disk(place, base).await,
            (What::Rename { base, to }, open) => self.rename(place, open, base, to, label).await,
            (What::Restore { base, mode }, _) => self.restore(place, base, mode).await,
        }
    }

    async fn save(&self, places: &[Place]) -> Vec<Place> {
        if !self.client.caps().save {
            return Vec::new();
        }
        let open = places.iter().filter_map(|place| Some((place, self.open_uri(place)?.parse::<Uri>().ok()?)));
        let (open, uris): (Vec<&Place>, Vec<Uri>) = open.unzip();
        match self.client.save_all(uris).await {
            Ok(saved) => {
                open.into_iter().zip(saved).filter(|(_, saved)| *saved).map(|(place, _)| place.clone()).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "the editor did not save");
                Vec::new()
            }
        }
    }

    async fn diagnostics(&self, places: &[Place]) -> Option<Vec<(Place, Vec<Diagnosis>)>> {
        if !self.client.caps().diagnostics {
            return None;
        }
        let uris: Vec<Uri> = places.iter().filter_map(|place| self.uri(place).parse().ok()).collect();
        if uris.len() < places.len() {
            return None;
        }
        match self.client.diagnostics(uris).await {
            Ok(all) => Some(all.into_iter().take(MOST_REPORTED).map(|one| self.reported(one)).collect()),
            Err(error) => {
                tracing::warn!(%error, "the editor did not say what is reported");
                None
            }
        }
    }

    fn uri(&self, place: &Place) -> String {
        self.open_uri(place).unwrap_or_else(|| match place {
            Place::Buffer { uri } => uri.clone(),
            Place::File { path, .. } => uri::from_path(path).map_or_else(String::new, |uri| uri.to_string()),
        })
    }

    fn encoding(&self) -> Encoding {
        self.client.caps().encoding
    }
}

#[cfg(test)]
mod tests;
