//! Walking the workspace as ripgrep does: `.gitignore` respected, links not followed, nothing protected and nothing that a rule denies.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ignore::{WalkBuilder, WalkState};
use tokio_util::sync::CancellationToken;

use super::{Context, Failure};
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

/// Calls `each`, from several threads, for every regular file that is found below `starts`, until it says stop. Every thread
/// has one that `worker` makes. They are given paths that [`Roots::found`] gives places for: most are not worth one.
///
/// # Errors
/// When the run is cancelled.
pub(super) fn files<'a, F>(
    roots: &'a Roots,
    starts: &[PathBuf],
    cancel: &'a CancellationToken,
    worker: impl Fn() -> F,
) -> Result<Walked, Failure>
where
    F: FnMut(&Path) -> WalkState + Send + 'a,
{
    let Some(mut builder) = builder(roots, starts) else { return Ok(Walked::All) };
    let until = Instant::now() + TIME;
    let part = &AtomicBool::new(false);
    builder.threads(0).build_parallel().run(|| {
        let mut each = worker();
        Box::new(move |entry| {
            if cancel.is_cancelled() {
                return WalkState::Quit;
            }
            // A folder that cannot be read hides nothing that the person could see.
            let Ok(entry) = entry else { return WalkState::Continue };
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                return WalkState::Continue;
            }
            // Everything below a start has been through the filter.
            if entry.depth() == 0 && !roots.shows(entry.path()) {
                return WalkState::Continue;
            }
            let state = if Instant::now() > until { WalkState::Quit } else { each(entry.path()) };
            part.fetch_or(state == WalkState::Quit, Ordering::Relaxed);
            state
        })
    });
    if cancel.is_cancelled() {
        return Err(Failure("stopped by the person".to_owned()));
    }
    Ok(if part.load(Ordering::Relaxed) { Walked::Part } else { Walked::All })
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
    builder.hidden(false).require_git(false).filter_entry(move |entry| allowed.shows(entry.path()));
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
        let hidden = |path: &Path| !roots.shows(path) || !path.exists();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use crate::permission::{Access, Grant, Rules};
    use crate::tool::testing::World;

    #[tokio::test]
    async fn what_a_rule_denies_is_not_walked_opened_or_listed() {
        let files = [
            (".env", "KEY=word"),
            ("sub/.env", "word"),
            ("secret/a.txt", "word"),
            ("src/a.txt", "word"),
            ("gen/a.txt", "word"),
        ];
        let mut world = World::new(&files);
        world.link("plain", ".env");
        world.open("secret/open.txt", "word");
        let rules = Rules::new(
            &["read(**)".into()],
            &["read(**/.env)".into(), "read(secret/**)".into(), "edit(gen/**)".into()],
        );
        world.context.roots = world.context.roots.clone().with_rules(Arc::new(rules));
        assert_eq!(world.ok("find", json!({"pattern": "**"})).await, "gen/a.txt\nsrc/a.txt\n");
        assert_eq!(
            world.ok("search", json!({"pattern": "word"})).await,
            "gen/a.txt\n1\tword\n\nsrc/a.txt\n1\tword\n\n[2 matches in 2 files]\n"
        );
        assert_eq!(world.ok("list", json!({})).await, "gen/\nsecret/\nsrc/\nsub/\n");
        for path in [".env", "plain", "sub/.env", "secret/a.txt", "secret/open.txt", "secret/new"] {
            for (tool, arguments) in [
                ("read", json!({ "path": path })),
                ("search", json!({ "path": path, "pattern": "word" })),
                ("list", json!({ "path": path })),
                ("write", json!({ "path": path, "content": "x" })),
                ("delete", json!({ "path": path })),
                ("move", json!({ "from": path, "to": "x" })),
                ("move", json!({ "from": "src/a.txt", "to": path })),
                ("edit", json!({ "path": path, "edits": [{ "old": "word", "new": "x" }] })),
            ] {
                let said = world.fails(tool, arguments).await;
                assert!(said.contains("is denied by the rule read("), "{tool} {path}: {said}");
            }
        }
        world.ok("read", json!({"path": "gen/a.txt"})).await;
        let said = world.fails("write", json!({"path": "gen/a.txt", "content": "x"})).await;
        assert!(said.starts_with("gen/a.txt is denied by the rule edit(gen/**)"), "{said}");
        assert_eq!((world.disk(".env"), world.disk("gen/a.txt")), ("KEY=word".to_owned(), "word".to_owned()));
    }

    #[tokio::test]
    async fn what_the_person_let_through_is_walked_for_that_call() {
        let mut world = World::new(&[(".github/workflows/ci.yml", "word"), (".git/config", "word")]);
        std::fs::create_dir_all(world.top.join("out/.git")).expect("folders");
        for file in ["out/a.txt", "out/.git/config"] {
            std::fs::write(world.top.join(file), "word").expect("written");
        }
        let roots = world.context.roots.clone();
        let mut allow = |path: &str| {
            let paths = vec![(world.top.join(path), Access::Read)];
            world.context.roots = roots.clone().with_grant(Grant { paths, hosts: Vec::new() });
        };
        allow("out");
        let out = world.top.join("out").to_str().expect("UTF-8").to_owned();
        assert_eq!(world.ok("list", json!({ "path": out })).await, "a.txt\n");
        assert_eq!(
            world.ok("search", json!({ "path": out, "pattern": "word" })).await,
            format!("{out}/a.txt\n1\tword\n\n[1 match in 1 file]\n")
        );
        assert!(world.fails("list", json!({"path": ".git"})).await.contains("is protected"));
    }
}
