//! Where the sessions are kept: opened with the first command that needs it, and again after it failed.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::settings::Places;
use crate::store::{Sqlite, Store};

/// A store for one look.
pub(super) struct Glance {
    pub(super) store: Arc<dyn Store>,
    passing: bool,
}

impl Glance {
    /// The look is over.
    pub(super) async fn over(self) {
        if self.passing {
            self.store.close().await;
        }
    }
}

/// The store, once it is open.
pub(super) struct Keeping {
    places: Places,
    // Held while the database is opened, so that it is opened once. Document changes never come here.
    open: Mutex<Option<Arc<dyn Store>>>,
}

impl Keeping {
    pub(super) fn new(places: Places) -> Self {
        Self { places, open: Mutex::default() }
    }

    /// The store, and a sentence for the person when opening it brought something to light.
    ///
    /// # Errors
    /// A sentence that names the file and the next step. It is tried again with the next call.
    pub(super) async fn store(&self) -> Result<(Arc<dyn Store>, Option<String>), String> {
        let mut open = self.open.lock().await;
        if let Some(store) = open.as_ref() {
            return Ok((store.clone(), None));
        }
        let folder = self.places.make_state_dir().map_err(|error| unkept(&error.to_string()))?;
        let (store, notice) = Sqlite::open(&folder).await.map_err(|error| unkept(&error.to_string()))?;
        let store: Arc<dyn Store> = Arc::new(store);
        *open = Some(store.clone());
        Ok((store, notice))
    }

    /// The store for one look at what is in it, to be closed after that; the open one where there is one. Keeping it open
    /// costs an idle server memory. A damaged file is left to the first command that needs the store.
    ///
    /// # Errors
    /// A sentence, when there is something that cannot be opened.
    pub(super) async fn glance(&self) -> Result<Glance, String> {
        let open = self.open.lock().await;
        match (open.as_ref(), &self.places.state) {
            (Some(store), _) => Ok(Glance { store: store.clone(), passing: false }),
            (None, Some(folder)) => {
                let store = Sqlite::open_as_it_is(folder).await.map_err(|error| error.to_string())?;
                Ok(Glance { store: Arc::new(store), passing: true })
            }
            (None, None) => Err("there is no state folder".to_owned()),
        }
    }

    /// The store, when it is open already.
    pub(super) async fn opened(&self) -> Option<Arc<dyn Store>> {
        self.open.lock().await.clone()
    }

    /// Goes on in memory: the person has been told that nothing can be kept, and wants it so.
    ///
    /// # Errors
    /// When a store is open, and when there is no memory for one.
    pub(super) async fn go_on_unkept(&self) -> Result<(), String> {
        let mut open = self.open.lock().await;
        if open.is_some() {
            return Err("the sessions are kept already; there is nothing to go on without".into());
        }
        *open = Some(Arc::new(Sqlite::in_memory().await.map_err(|error| error.to_string())?));
        Ok(())
    }

    /// The database file, when there is one: a session may be waiting in it.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.places.state.as_ref().map(|state| state.join("sessions.db")).filter(|file| file.exists())
    }
}

fn unkept(why: &str) -> String {
    format!(
        "Sessions cannot be kept: {why}. Mend that and try again, or go on without keeping anything (cowrite.session.unkept)."
    )
}
