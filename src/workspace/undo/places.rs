//! Single places of what a run has changed: those that a decision is about, and how they are taken back.

use std::path::Path;

use super::{Document, documents, read};
use crate::editor::{Editor, Place};
use crate::permission::Roots;
use crate::protocol::{HunkView, Range, RunId, SessionId};
use crate::session::{Plan, Select};
use crate::store::Store;
use crate::text::Snapshot;

/// The hunks of one document that a decision is about.
#[derive(Clone)]
pub(in crate::workspace) struct Places {
    document: Document,
    /// As the records of the changes spell it.
    pub(in crate::workspace) uri: String,
    pub(in crate::workspace) shown: String,
    /// Their ids, in the order in which they were made.
    pub(in crate::workspace) ids: Vec<String>,
}

/// What came of a selection among what a run has changed.
pub(in crate::workspace) struct Selected {
    pub(in crate::workspace) places: Vec<Places>,
    /// Why there are none, where that can be said.
    pub(in crate::workspace) why: Option<String>,
}

/// The hunks of a run that were applied and are selected. Without one by name those that nothing was decided on yet.
pub(in crate::workspace) async fn select(
    store: &dyn Store,
    session: SessionId,
    run: RunId,
    select: &Select,
    editor: &dyn Editor,
    taking: bool,
) -> Result<Selected, String> {
    let mut selected = Selected { places: Vec::new(), why: None };
    for document in documents(store, session, run).await? {
        let Some(newest) = document.changed.last() else { continue };
        let at = document.at(newest);
        let (uri, shown, path) = (newest.uri.clone(), at.shown.to_owned(), at.path.map(Path::to_path_buf));
        let place = path.clone().map(|path| Place::File { path, shown: shown.clone() });
        let now = place.map(|place| editor.uri(&place)).unwrap_or_default();
        if !select.means(path.as_deref(), &[&uri, &now]) {
            continue;
        }
        let mut ids: Vec<String> = Vec::new();
        for (number, changed) in document.changed.iter().enumerate() {
            let meant = changed.change.iter().map(|piece| &piece.hunk).filter(|id| select.means_hunk(id));
            for id in meant.filter(|id| !id.is_empty()) {
                let why = if number < document.undone || document.taken.contains(id) {
                    Some("was taken back already")
                } else if document.kept.contains(id) && !(taking && select.hunk.is_some()) {
                    Some("was accepted already")
                } else {
                    None
                };
                match why {
                    Some(why) => selected.why = Some(format!("{id} in {shown} {why}")),
                    None if ids.contains(id) => {}
                    None => ids.push(id.clone()),
                }
            }
        }
        if !ids.is_empty() {
            selected.places.push(Places { document, uri, shown, ids });
        }
    }
    Ok(selected)
}

/// Why nothing was changed.
#[derive(Debug)]
pub(in crate::workspace) enum Stuck {
    /// What was typed since stands in the way of some of it.
    Typed(String),
    /// Something that stands in the way of each.
    All(String),
}

impl From<String> for Stuck {
    fn from(why: String) -> Self {
        Self::All(why)
    }
}

impl Places {
    /// Each of the hunks by itself.
    pub(in crate::workspace) fn one_by_one(&self) -> impl Iterator<Item = Self> {
        self.ids.iter().map(|id| Self { ids: vec![id.clone()], ..self.clone() })
    }

    /// Takes exactly these hunks back: one change, which leaves what was typed since. Gives them as they were made, and what is not as
    /// it should be all the same.
    ///
    /// # Errors
    /// Why nothing was changed: which lines.
    pub(in crate::workspace) async fn take_back(
        &self,
        editor: &dyn Editor,
        roots: &Roots,
        store: &dyn Store,
    ) -> Result<(Vec<HunkView>, Option<String>), Stuck> {
        let newest = self.document.changed.last().ok_or_else(String::new)?;
        let place = self.document.at(newest).place(roots)?;
        let trail = self.document.trail(store).await?.only(|id| self.ids.iter().any(|wanted| wanted == id));
        let now = read(editor, &place).await?;
        let plan = trail.plan_places(now.as_ref().map(Snapshot::rope));
        if let Plan::Conflict { reason } = plan {
            return Err(Stuck::Typed(reason));
        }
        let (_, note) = self.document.follow(plan, now, place, editor).await?;
        let view = |(id, old_text, new_text): (&str, String, &str)| HunkView {
            id: id.to_owned(),
            range: Range::default(),
            old_text,
            new_text: new_text.to_owned(),
        };
        Ok((trail.wanted().map(view).collect(), note))
    }
}
