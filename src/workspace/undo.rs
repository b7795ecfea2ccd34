//! Taking back what a run has changed, document by document.

mod at;
mod places;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::edit::Patch;
use crate::editor::{Applied, Change, Editor, Fate, Outcome, Place, ReadError, What};
use crate::permission::Roots;
use crate::protocol::{RunId, SessionId};
use crate::session::{Plan, Trail};
use crate::store::{Base, Changed, Gone, Hash, Record, Store, Verdict};
use crate::text::{Charset, Snapshot};
pub(super) use at::still_there;
use at::{At, now_at};
pub(super) use places::{Stuck as PlacesStuck, select};

/// What undo has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Undoing {
    /// Each document that the run had changed and that was not undone yet.
    pub files: Vec<FileUndone>,
    /// The documents in which nothing of the run is left, as the records of its changes spell them.
    pub undone: Vec<String>,
    /// Those that have their old name again and nothing else as it was, spelled in the same way.
    pub named: Vec<String>,
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
    /// Why nothing was changed, or what is not as before all the same, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The name that it had until now, where it has its old one again and nothing else was undone.
    #[serde(skip)]
    pub was: Option<String>,
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
    // The newest first: what came later may stand where something older goes back to.
    let documents = documents(store, session, run).await?.into_iter().filter(Document::is_left);
    let mut documents: Vec<(usize, Document)> = documents.enumerate().collect();
    documents.sort_by_key(|(_, document)| std::cmp::Reverse(document.newest));
    let mut files = Vec::new();
    for (number, document) in documents {
        let file = document.undo(editor, roots, store).await;
        let spelled = document.spelled().map(str::to_owned);
        if file.outcome != UndoOutcome::Conflict {
            undoing.undone.extend(spelled);
        } else if file.was.is_some() {
            undoing.named.extend(spelled);
        }
        files.push((number, file));
    }
    files.sort_by_key(|(number, _)| *number);
    undoing.files = files.into_iter().map(|(_, file)| file).collect();
    Ok(undoing)
}

/// What the model hears of it.
pub(super) fn note(undoing: &Undoing) -> String {
    let undone = |file: &&FileUndone| file.outcome != UndoOutcome::Conflict;
    let files: Vec<&str> = undoing.files.iter().filter(undone).map(|file| file.shown.as_str()).collect();
    let mut said = Vec::new();
    if !files.is_empty() {
        said.push(format!(
            "The person has taken back what you changed in {}. What stands there now is what they want; read it before you change it again.",
            files.join(", ")
        ));
    }
    for file in &undoing.files {
        said.extend(file.was.as_ref().map(|was| {
            format!(
                "They wanted what you changed in {was} taken back: it is {} again, but its text is still as you left it.",
                file.shown
            )
        }));
    }
    said.join(" ")
}

/// What became of a document, and what is not as before all the same.
type Done = (UndoOutcome, Option<String>);

/// Why a document was not undone.
struct Stuck {
    reason: String,
    /// Whether it has its old name again all the same.
    named: bool,
}

impl From<String> for Stuck {
    fn from(reason: String) -> Self {
        Self { reason, named: false }
    }
}

/// What a run has done in one document.
#[derive(Clone)]
struct Document {
    changed: Vec<Changed>,
    /// Which of the run's changes the last of them is.
    newest: usize,
    /// How many of these were taken back before.
    undone: usize,
    /// Whether it has had its old name again since.
    named: bool,
    /// The hunks that the person took back one by one.
    taken: HashSet<String>,
    /// Those that they said may stay.
    kept: HashSet<String>,
}

/// What stands at a place; none when nothing does.
async fn read(editor: &dyn Editor, place: &Place) -> Result<Option<Snapshot>, String> {
    match editor.read(place).await {
        Ok(now) => Ok(Some(now)),
        Err(ReadError::Missing(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The documents that a run has changed, in the order in which they were first changed.
async fn documents(store: &dyn Store, session: SessionId, run: RunId) -> Result<Vec<Document>, String> {
    let records = store.changes(session, run).await;
    let records = records.map_err(|error| format!("What the run had changed could not be read: {error}"))?;
    let mut documents: Vec<Document> = Vec::new();
    let (mut taken, mut kept) = (HashSet::new(), HashSet::new());
    for (number, stored) in records.into_iter().enumerate() {
        match stored.record {
            Some(Record::Changed(changed)) if changed.run == run => {
                // Where one was taken away and another has its name by now, it is the other.
                let mut of: Vec<&mut Document> = documents.iter_mut().filter(|one| one.is_of(&changed)).collect();
                of.sort_by_key(|document| (document.gone().is_none(), document.newest));
                match of.pop() {
                    Some(document) => {
                        document.changed.push(*changed);
                        document.newest = number;
                        document.named = false;
                    }
                    None => documents.push(Document::of(*changed, number)),
                }
            }
            Some(Record::Undone(undone)) if undone.run == run => {
                for document in documents.iter_mut().filter(|document| document.is_named_in(&undone.uris)) {
                    document.undone = document.changed.len();
                    document.named = false;
                }
                for document in documents.iter_mut().filter(|document| document.is_named_in(&undone.named)) {
                    document.named = true;
                }
            }
            Some(Record::Decided(decided)) if decided.run == run => match decided.verdict {
                Verdict::TakenBack => taken.extend(decided.hunks),
                Verdict::Kept | Verdict::Accepted => kept.extend(decided.hunks),
                Verdict::Refused | Verdict::Void => {}
            },
            _ => {}
        }
    }
    // Ids are unique in the run.
    for document in &mut documents {
        (document.taken, document.kept) = (taken.clone(), kept.clone());
    }
    Ok(documents)
}

impl Document {
    fn of(first: Changed, newest: usize) -> Self {
        Self { changed: vec![first], newest, undone: 0, named: false, taken: HashSet::new(), kept: HashSet::new() }
    }

    /// Whether something is left to take back.
    fn is_left(&self) -> bool {
        self.undone < self.changed.len()
    }

    /// A file is known by its path, where it is by then: a client may spell it otherwise when it is open.
    fn is_of(&self, changed: &Changed) -> bool {
        self.changed.last().is_some_and(|known| match (self.at(known).path, &changed.path) {
            (Some(known), Some(path)) => known == path,
            (None, None) => self.changed.iter().any(|known| known.uri == changed.uri),
            _ => false,
        })
    }

    fn is_named_in(&self, uris: &[String]) -> bool {
        self.spelled().is_some_and(|uri| uris.iter().any(|named| named == uri))
    }

    /// As it is spelled where it is by now. Its older names may be those of other documents.
    fn spelled(&self) -> Option<&str> {
        self.changed.last().map(|changed| self.at(changed).uri)
    }

    /// Where it is after its newest change, and after what was undone of it.
    fn at<'a>(&'a self, newest: &'a Changed) -> At<'a> {
        let origin = self.changed.get(self.undone).filter(|_| self.named);
        origin.map_or_else(|| now_at(newest), At::of)
    }

    async fn undo(&self, editor: &dyn Editor, roots: &Roots, store: &dyn Store) -> FileUndone {
        let Some((first, newest)) = self.changed.get(self.undone).zip(self.changed.last()) else {
            return FileUndone {
                uri: String::new(),
                shown: String::new(),
                outcome: UndoOutcome::Restored,
                reason: None,
                was: None,
            };
        };
        let (origin, now) = (At::of(first), self.at(newest));
        let (place, to) = (now.place(roots), origin.place(roots));
        let uri = |place: &Result<Place, String>, at: &At<'_>| {
            place.as_ref().map_or_else(|_| at.uri.to_owned(), |place| editor.uri(place))
        };
        let was = uri(&place, &now);
        let done = match (place, &to) {
            (Ok(place), _) if now.path == origin.path => self.undo_at(place, editor, store).await.map_err(Stuck::from),
            (Ok(place), Ok(to)) if self.is_back(&place, to, editor, store).await => {
                self.undo_at(to.clone(), editor, store).await.map_err(Stuck::from)
            }
            (Ok(place), Ok(to)) => self.undo_moved(place, to, editor, store).await,
            (Err(reason), _) => Err(reason.into()),
            (_, Err(reason)) => Err(reason.clone().into()),
        };
        let is_named = done.as_ref().map_or_else(|stuck| stuck.named, |_| true);
        let (uri, shown) = if is_named { (uri(&to, &origin), origin.shown) } else { (was, now.shown) };
        let shown = shown.to_owned();
        match done {
            Ok((outcome, reason)) => FileUndone { uri, shown, outcome, reason, was: None },
            Err(Stuck { reason, named: false }) => {
                FileUndone { uri, shown, outcome: UndoOutcome::Conflict, reason: Some(reason), was: None }
            }
            Err(Stuck { reason, named: true }) => {
                let was = now.shown;
                let reason = format!(
                    "it has its old name again (it was {was}), and its text is as the run left it: {reason}; undo again to take that back too"
                );
                FileUndone {
                    uri,
                    shown,
                    outcome: UndoOutcome::Conflict,
                    reason: Some(reason),
                    was: Some(was.to_owned()),
                }
            }
        }
    }

    /// Whether a file that has another name by the records has its old one all the same: the editor was slow to say so, or the person
    /// has given it back. Only the text of the run tells it from another one.
    async fn is_back(&self, place: &Place, to: &Place, editor: &dyn Editor, store: &dyn Store) -> bool {
        if self.gone().is_some() || !matches!(editor.read(place).await, Err(ReadError::Missing(_))) {
            return false;
        }
        let (Ok(now), Ok(trail)) = (editor.read(to).await, self.trail(store).await) else { return false };
        trail.texts().last().is_some_and(|(_, after)| after == now.rope())
    }

    async fn undo_at(&self, place: Place, editor: &dyn Editor, store: &dyn Store) -> Result<Done, String> {
        let (plan, now) = self.plan(&place, editor, store).await?;
        self.follow(plan, now, place, editor).await
    }

    /// The same for a file that has another name now: it gets the old one back first, for that can be refused.
    async fn undo_moved(
        &self,
        place: Place,
        to: &Place,
        editor: &dyn Editor,
        store: &dyn Store,
    ) -> Result<Done, Stuck> {
        let (plan, now) = self.plan(&place, editor, store).await?;
        let base = match (&plan, now) {
            (Plan::Conflict { .. } | Plan::Delete, now) => return Ok(self.follow(plan, now, place, editor).await?),
            // It is gone, so its name is too.
            (_, None) => return Ok(self.follow(plan, None, to.clone(), editor).await?),
            (_, Some(now)) => now,
        };
        let renamed = apply(editor, place, What::Rename { base: base.clone(), to: to.clone() }).await?;
        let named = |reason| Stuck { reason, named: true };
        let (outcome, note) = self.follow(plan, Some(base), to.clone(), editor).await.map_err(named)?;
        Ok((outcome, both(renamed.note, note)))
    }

    async fn plan(
        &self,
        place: &Place,
        editor: &dyn Editor,
        store: &dyn Store,
    ) -> Result<(Plan, Option<Snapshot>), String> {
        let trail = self.trail(store).await?.only(|id| !self.taken.contains(id));
        let now = match editor.read(place).await {
            // A buffer that is left of a file which the run took away.
            Ok(_) if self.gone().is_some() && place.path().is_some_and(|path| !path.exists()) => None,
            Ok(now) => Some(now),
            Err(ReadError::Missing(_)) => None,
            Err(error) => return Err(error.to_string()),
        };
        Ok((trail.plan(self.undone, now.as_ref().map(Snapshot::rope)), now))
    }

    async fn follow(
        &self,
        plan: Plan,
        now: Option<Snapshot>,
        place: Place,
        editor: &dyn Editor,
    ) -> Result<Done, String> {
        match (plan, now) {
            (Plan::Conflict { reason }, _) => Err(reason),
            (Plan::Restored(patch), Some(base)) => change(editor, place, base, patch, UndoOutcome::Restored).await,
            (Plan::Merged(patch), Some(base)) => change(editor, place, base, patch, UndoOutcome::Merged).await,
            (Plan::Delete, Some(base)) => {
                let applied = apply(editor, place.clone(), What::Delete { base, or_empty: true }).await?;
                let left = (!matches!(applied.fate, Fate::Deleted { .. })).then(|| {
                    if place.path().is_some_and(Path::exists) {
                        "its text was taken out in the editor, which cannot delete an open file: on disk it is as it was before the \
                         undo; close it and delete the file, or save it empty"
                            .to_owned()
                    } else {
                        "its text was taken out, and the empty document is still open".to_owned()
                    }
                });
                Ok((UndoOutcome::Restored, both(left, applied.note)))
            }
            (Plan::Restore { text, merged }, _) => {
                let gone = self.gone().cloned().unwrap_or_default();
                let mark = if gone.bom { "\u{feff}" } else { "" };
                let charset = gone.charset.as_deref().and_then(Charset::named).unwrap_or_default();
                let base = Snapshot::detached(mark, "").kept_in(charset).with_rope(text);
                let applied = apply(editor, place, What::Restore { base, mode: gone.mode }).await?;
                Ok((if merged { UndoOutcome::Merged } else { UndoOutcome::Restored }, applied.note))
            }
            (Plan::Nothing, _) | (_, None) => Ok((UndoOutcome::Restored, None)),
        }
    }

    /// What it takes to put the file back, when the run took it away in the end.
    fn gone(&self) -> Option<&Gone> {
        self.changed.last().and_then(|changed| changed.gone.as_ref())
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

/// Two things that there may be to know of a document, as one.
fn both(first: Option<String>, second: Option<String>) -> Option<String> {
    let all: Vec<String> = first.into_iter().chain(second).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

async fn change(
    editor: &dyn Editor,
    place: Place,
    base: Snapshot,
    patch: Patch,
    planned: UndoOutcome,
) -> Result<Done, String> {
    if patch.is_empty() {
        return Ok((planned, None));
    }
    let applied = apply(editor, place, What::Edit { base, patch }).await?;
    // Typed this very moment: then it is not what it was before the run.
    Ok((if applied.rebased { UndoOutcome::Merged } else { planned }, applied.note))
}

/// Makes a change of the undo, or says why it is not made.
async fn apply(editor: &dyn Editor, place: Place, what: What) -> Result<Applied, String> {
    let label = format!("Undo: the changes of a run in {place}");
    match editor.apply(Change { place, label, what, cancel: CancellationToken::new() }).await {
        Outcome::Applied(applied) => Ok(applied),
        Outcome::Conflict { reason, .. } | Outcome::Refused { reason } => Err(reason),
        Outcome::NotConfirmed { reason, .. } => Err(format!("it is not confirmed that it was undone: {reason}")),
        Outcome::Proposed(_) => Err("the change was only proposed".to_owned()),
    }
}

#[cfg(test)]
mod tests;
