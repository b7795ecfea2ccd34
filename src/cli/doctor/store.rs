//! The state folder and the sessions in it.

use super::Check;
use crate::cli::sessions::Folder;
use crate::settings::Places;
use crate::store::{Sqlite, Store as _};

/// Whether sessions can be kept. Makes the folder and the database when they are not there, as the server does.
pub(super) async fn check(places: &Places, folder: &Folder) -> Check {
    match look(places, folder).await {
        Ok(found) => Check::ok("store", found),
        Err(problem) => Check::fault("store", problem),
    }
}

async fn look(places: &Places, folder: &Folder) -> Result<String, String> {
    let dir = places.make_state_dir().map_err(|error| error.to_string())?;
    let store = Sqlite::open_as_it_is(&dir).await.map_err(|error| error.to_string())?;
    let sessions = store.sessions(Some(folder.key())).await;
    let file = store.file().unwrap_or(dir);
    store.close().await;
    let sessions = sessions.map_err(|error| error.to_string())?.len();
    let here = if folder.key().is_empty() { String::new() } else { format!("; sessions of {folder}: {sessions}") };
    Ok(format!("{}{here}", file.display()))
}
