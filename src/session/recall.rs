//! Looking back: a search over what a session has recorded.

use std::sync::Arc;

use async_trait::async_trait;

use super::runs::Runs;
use crate::context::recall::{Found, Recall};
use crate::store::{Store, StoreError};

/// Searches the records of one session, under whatever id it goes on.
#[derive(Clone)]
pub struct SessionRecall {
    pub(super) store: Arc<dyn Store>,
    pub(super) runs: Arc<Runs>,
}

#[async_trait]
impl Recall for SessionRecall {
    async fn search(&self, query: &str, most: usize) -> Result<Vec<Found>, String> {
        match self.store.search(self.runs.session(), query, most).await {
            Ok(found) => Ok(found),
            // Nothing is written of it yet.
            Err(StoreError::NoSession(_)) if !self.runs.is_written() => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }
}
