//! Taking back what a run has changed, document by document.

use std::collections::HashMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::edit::Patch;
use crate::editor::{Change, Editor, Outcome, Place, ReadError, What};
use crate::permission::{Access, Denied, Roots};
use crate::protocol::{RunId, SessionId};
use crate::session::{Plan, Trail};
use crate::store::{Base, Changed, Hash, Record, Store};
use crate::text::Snapshot;

/// What undo has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Undoing {
    /// Each document that the run had changed and that was not undone yet.
    pub files: Vec<FileUndone>,
    /// The documents in which nothing of the run is left, as the records of its changes spell them.
    pub undone: Vec<String>,
}

/// What undo has done in one document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileUndone {
    /// As the client spells it now.
    pub uri: String,
    /// How the person and the model name it.
    #[serde(skip)]
    pub shown: String,
    /// What became of it.
    pub outcome: UndoOutcome,
    /// Why nothing was changed, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UndoOutcome {
    /// It is what it was before the run.
    Restored,
    /// The run's changes are gone, and what was typed since is there.
    Merged,
    /// It stays as it is.
    Conflict,
}

/// Takes back what a run has changed and what was not taken back yet: one change for each document, all of it or
/// nothing there.
///
/// # Errors
/// When the records cannot be read. What goes wrong in one document is told with that document.
pub(super) async fn undo(
    editor: &dyn Editor,
    roots: &Roots,
    store: &dyn Store,
    session: SessionId,
    run: RunId,
) -> Result<Undoing, String> {
    let mut undoing = Undoing::default();
    for document in documents(store, session, run).await? {
        let file = document.undo(editor, roots, store).await;
        if file.outcome != UndoOutcome::Conflict {
            undoing.undone.extend(document.spellings());
        }
        undoing.files.push(file);
    }
    Ok(undoing)
}

/// What the model hears of it.
pub(super) fn note(undoing: &Undoing) -> String {
    let undone = |file: &&FileUndone| file.outcome != UndoOutcome::Conflict;
    let files: Vec<&str> = undoing.files.iter().filter(undone).map(|file| file.shown.as_str()).collect();
    format!(
        "The person has taken back what you changed in {}. What stands there now is what they want; read it before you change it again.",
        files.join(", ")
    )
}

/// What a run has done in one document.
struct Document {
    changed: Vec<Changed>,
    /// How many of these were taken back before.
    undone: usize,
}

/// The documents of a run in which something is left to take back, in the order in which they were first changed.
async fn documents(store: &dyn Store, session: SessionId, run: RunId) -> Result<Vec<Document>, String> {
    let records = store.changes(session, run).await;
    let records = records.map_err(|error| format!("What the run had changed could not be read: {error}"))?;
    let mut documents: Vec<Document> = Vec::new();
    for stored in records {
        match stored.record {
            Some(Record::Changed(changed)) if changed.run == run => {
                match documents.iter_mut().find(|document| document.is_of(&changed)) {
                    Some(document) => document.changed.push(*changed),
                    None => documents.push(Document { changed: vec![*changed], undone: 0 }),
                }
            }
            Some(Record::Undone(undone)) if undone.run == run => {
                for document in documents.iter_mut().filter(|document| document.is_named_in(&undone.uris)) {
                    document.undone = document.changed.len();
                }
            }
            _ => {}
        }
    }
    documents.retain(|document| document.undone < document.changed.len());
    Ok(documents)
}

impl Document {
    /// A file is known by its path: a client may spell it otherwise when it is open.
    fn is_of(&self, changed: &Changed) -> bool {
        self.changed.iter().any(|known| match (&known.path, &changed.path) {
            (Some(known), Some(path)) => known == path,
            (None, None) => known.uri == changed.uri,
            _ => false,
        })
    }

    fn is_named_in(&self, uris: &[String]) -> bool {
        self.changed.iter().any(|changed| uris.contains(&changed.uri))
    }

    fn spellings(&self) -> Vec<String> {
        let mut uris: Vec<String> = self.changed.iter().map(|changed| changed.uri.clone()).collect();
        uris.sort();
        uris.dedup();
        uris
    }

    async fn undo(&self, editor: &dyn Editor, roots: &Roots, store: &dyn Store) -> FileUndone {
        let newest = self.changed.last();
        let shown = newest.map(|changed| changed.shown.clone()).unwrap_or_default();
        let place = newest.ok_or_else(String::new).and_then(|changed| place(roots, changed));
        let uri = match (&place, newest) {
            (Ok(place), _) => editor.uri(place),
            (Err(_), newest) => newest.map(|changed| changed.uri.clone()).unwrap_or_default(),
        };
        let done = match place {
            Ok(place) => self.undo_at(place, editor, store).await,
            Err(reason) => Err(reason),
        };
        match done {
            Ok(outcome) => FileUndone { uri, shown, outcome, reason: None },
            Err(reason) => FileUndone { uri, shown, outcome: UndoOutcome::Conflict, reason: Some(reason) },
        }
    }

    async fn undo_at(&self, place: Place, editor: &dyn Editor, store: &dyn Store) -> Result<UndoOutcome, String> {
        let trail = self.trail(store).await?;
        let now = match editor.read(&place).await {
            Ok(now) => Some(now),
            Err(ReadError::Missing(_)) => None,
            Err(error) => return Err(error.to_string()),
        };
        match (trail.plan(self.undone, now.as_ref().map(Snapshot::rope)), now) {
            (Plan::Conflict { reason }, _) => Err(reason),
            (Plan::Restored(patch), Some(base)) => change(editor, place, base, patch, UndoOutcome::Restored).await,
            (Plan::Merged(patch), Some(base)) => change(editor, place, base, patch, UndoOutcome::Merged).await,
            (Plan::Delete, Some(base)) => {
                apply(editor, place, What::Delete { base }).await.map(|_| UndoOutcome::Restored)
            }
            (Plan::Nothing, _) | (_, None) => Ok(UndoOutcome::Restored),
        }
    }

    async fn trail(&self, store: &dyn Store) -> Result<Trail, String> {
        let mut texts: HashMap<Hash, Vec<u8>> = HashMap::new();
        for changed in &self.changed {
            if let Base::Whole(hash) = changed.base {
                let text = store.content(hash).await;
                let text = text.map_err(|error| format!("the text of {} before the change: {error}", changed.shown))?;
                texts.insert(hash, text);
            }
        }
        let changed: Vec<&Changed> = self.changed.iter().collect();
        Trail::replay(&changed, |hash| texts.remove(&hash))
    }
}

/// Where the document is now, if a run may still touch it.
fn place(roots: &Roots, changed: &Changed) -> Result<Place, String> {
    let shown = &changed.shown;
    let given = match &changed.path {
        Some(path) => path.to_str().ok_or_else(|| format!("the path of {shown} is not UTF-8"))?,
        None => changed.uri.as_str(),
    };
    let place = roots.resolve(given, Access::Write).map_err(|denied| match (denied, &changed.path) {
        (Denied::Protected(_), _) => format!("{shown} is protected now, so nothing there is changed"),
        (_, Some(_)) => format!("{shown} is not in the folders that are open now; open its folder and undo again"),
        (_, None) => format!("{shown} has no file and is not open any more"),
    })?;
    if place.path() != changed.path.as_deref() {
        let leads = place.path().map(Path::display).map(|path| format!(" and leads to {path}")).unwrap_or_default();
        return Err(format!("{shown} is a link now{leads}; undo changes only what the run had changed"));
    }
    Ok(place)
}

async fn change(
    editor: &dyn Editor,
    place: Place,
    base: Snapshot,
    patch: Patch,
    planned: UndoOutcome,
) -> Result<UndoOutcome, String> {
    if patch.is_empty() {
        return Ok(planned);
    }
    let rebased = apply(editor, place, What::Edit { base, patch }).await?;
    // Typed this very moment: then it is not what it was before the run.
    Ok(if rebased { UndoOutcome::Merged } else { planned })
}

/// Whether it had to be moved over something typed meanwhile.
async fn apply(editor: &dyn Editor, place: Place, what: What) -> Result<bool, String> {
    let label = format!("Undo: the changes of a run in {place}");
    match editor.apply(Change { place, label, what, cancel: CancellationToken::new() }).await {
        Outcome::Applied(applied) => Ok(applied.rebased),
        Outcome::Conflict { reason, .. } | Outcome::Refused { reason } => Err(reason),
        Outcome::NotConfirmed { reason, .. } => Err(format!("it is not confirmed that it was undone: {reason}")),
    }
}

#[cfg(test)]
mod tests;
