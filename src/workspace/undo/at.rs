//! Where a document was, and whether it may be touched there.

use std::path::Path;

use crate::editor::Place;
use crate::permission::Roots;
use crate::store::Changed;

/// Whether a document is where it was, so that the person can have a change there made.
pub(in crate::workspace) fn still_there(roots: &Roots, place: &Place) -> Result<(), String> {
    let shown = place.to_string();
    let at = match place {
        Place::File { path, .. } => At { uri: "", path: Some(path), shown: &shown },
        Place::Buffer { uri } => At { uri, path: None, shown: &shown },
    };
    at.place(roots).map(drop)
}

/// Where a document was at some time.
pub(super) struct At<'a> {
    pub(super) uri: &'a str,
    pub(super) path: Option<&'a Path>,
    pub(super) shown: &'a str,
}

/// Where a document is after a change.
pub(super) fn now_at(changed: &Changed) -> At<'_> {
    match &changed.moved {
        Some(moved) => At { uri: &moved.uri, path: Some(&moved.path), shown: &moved.shown },
        None => At::of(changed),
    }
}

impl<'a> At<'a> {
    /// Where it was before a change.
    pub(super) fn of(changed: &'a Changed) -> Self {
        Self { uri: &changed.uri, path: changed.path.as_deref(), shown: &changed.shown }
    }

    /// The place there. What the person decides on is theirs, protected or denied to runs or not: they were asked when the change was
    /// made, and look at it now. But a folder that they have closed since is left alone.
    pub(super) fn place(&self, roots: &Roots) -> Result<Place, String> {
        let shown = self.shown;
        let given = match self.path {
            Some(path) => path.to_str().ok_or_else(|| format!("the path of {shown} is not UTF-8"))?,
            None => self.uri,
        };
        // What was outside when it was changed was shown by its whole path.
        let was_outside = Path::new(shown).is_absolute();
        let look = roots.look(given).ok().filter(|look| !look.outside || was_outside);
        let place = look.map(|look| look.place).ok_or_else(|| match self.path {
            Some(_) => format!("{shown} is not in the folders that are open now; open its folder and try again"),
            None => format!("{shown} has no file and is not open any more"),
        })?;
        if place.path() != self.path {
            let leads = place.path().map(Path::display).map(|path| format!(" and leads to {path}")).unwrap_or_default();
            return Err(format!("{shown} is a link now{leads}; only what the run itself meant is changed"));
        }
        Ok(place)
    }
}
