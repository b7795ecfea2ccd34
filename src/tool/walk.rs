//! Walking the workspace as ripgrep does: `.gitignore` respected, links not followed, nothing protected.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ignore::{WalkBuilder, WalkState};
use tokio_util::sync::CancellationToken;

use super::{Context, Failure};
use crate::disk;
use crate::editor::Place;
use crate::permission::Roots;
use crate::text::Snapshot;

/// The longest walk. A tree that takes longer is answered in part.
const TIME: Duration = Duration::from_secs(30);

/// Whether a walk saw everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    All,
    /// It took too long, or `each` had enough.
    Part,
}

/// Calls `each`, from several threads, for every regular file that is found below `starts`, until it says stop.
///
/// # Errors
/// When the run is cancelled.
pub(super) fn files(
    roots: &Roots,
    starts: &[PathBuf],
    cancel: &CancellationToken,
    each: impl Fn(Place) -> WalkState + Sync,
) -> Result<Walked, Failure> {
    let Some(mut builder) = builder(roots, starts) else { return Ok(Walked::All) };
    let until = Instant::now() + TIME;
    let part = AtomicBool::new(false);
    builder.max_filesize(Some(disk::LIMIT)).threads(0);
    builder.build_parallel().run(|| {
        Box::new(|entry| {
            if cancel.is_cancelled() {
                return WalkState::Quit;
            }
            // A folder that cannot be read hides nothing that the person could see.
            let Ok(entry) = entry else { return WalkState::Continue };
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                return WalkState::Continue;
            }
            let state = match roots.found(entry.path()) {
                Some(_) if Instant::now() > until => WalkState::Quit,
                Some(place) => each(place),
                None => WalkState::Continue,
            };
            part.fetch_or(state == WalkState::Quit, Ordering::Relaxed);
            state
        })
    });
    if cancel.is_cancelled() {
        return Err(Failure("stopped by the person".to_owned()));
    }
    Ok(if part.into_inner() { Walked::Part } else { Walked::All })
}

/// What all walks have in common; `None` when there is nowhere to walk.
pub(super) fn builder(roots: &Roots, starts: &[PathBuf]) -> Option<WalkBuilder> {
    let mut apart: Vec<&PathBuf> = Vec::new();
    for start in starts {
        // A folder inside another is walked with that one.
        if !starts.iter().any(|other| other != start && start.starts_with(other)) {
            apart.push(start);
        }
    }
    let mut builder = WalkBuilder::from_iter(apart);
    let allowed = roots.clone();
    // Dot files are part of a project; what is protected among them never comes.
    builder.hidden(false).require_git(false).filter_entry(move |entry| allowed.found(entry.path()).is_some());
    (!starts.is_empty()).then_some(builder)
}

/// The open documents inside the workspace.
pub(super) struct Open {
    pub(super) files: HashMap<PathBuf, (Place, Snapshot)>,
    pub(super) buffers: Vec<(Place, Snapshot)>,
}

impl Open {
    pub(super) fn of(context: &Context) -> Self {
        let mut open = Self { files: HashMap::new(), buffers: Vec::new() };
        for (place, snapshot) in context.editor.open() {
            if !context.roots.admits(&place) {
                continue;
            }
            match place.path().map(Path::to_owned) {
                Some(path) => drop(open.files.insert(path, (place, snapshot))),
                None => open.buffers.push((place, snapshot)),
            }
        }
        open
    }

    /// The ones that no walk can find: without a file, or not saved yet, or outside all folders.
    pub(super) fn unsaved(&self, roots: &Roots) -> impl Iterator<Item = &(Place, Snapshot)> {
        let hidden = |path: &Path| roots.found(path).is_none() || !path.exists();
        let files = self.files.iter().filter(move |(path, _)| hidden(path)).map(|(_, open)| open);
        files.chain(&self.buffers)
    }
}

/// Runs what blocks on a thread for it. A panic goes on to the caller.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Failure("stopped: the program is shutting down".to_owned())),
    }
}
