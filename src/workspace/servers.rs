//! The servers of the folders that runs work in, and the tools that they bring to a run.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::commands;
use super::trust::InForce;
use crate::mcp::Servers;

/// Servers by folder: what a folder's own settings name is nobody else's.
#[derive(Default)]
pub(super) struct Serving {
    // A std mutex: held for a look-up, never across an await.
    folders: Mutex<HashMap<String, Arc<Servers>>>,
}

impl Serving {
    /// The servers of a folder, as the settings in force there name them now.
    pub(super) fn of(&self, folder: &str, force: &InForce) -> Arc<Servers> {
        let servers = self.lock().entry(folder.to_owned()).or_default().clone();
        let secrets = commands::secret_values(&force.settings);
        servers.set(&force.settings.mcp, Some(force.start.clone()), &secrets);
        servers
    }

    /// Ends them all.
    pub(super) async fn close(&self) {
        let all: Vec<Arc<Servers>> = self.lock().drain().map(|(_, servers)| servers).collect();
        futures::future::join_all(all.iter().map(|servers| servers.close())).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Servers>>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
