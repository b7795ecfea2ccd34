//! A workspace to test tools in: a real folder, and an editor over it that keeps open buffers in memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Answer, Context, Reads, Registry, Told};
use crate::context::recall::NoRecall;
use crate::disk::{self, WriteError};
use crate::edit::{Hunk, Patch, deltas_between};
use crate::editor::{Applied, Change, Editor, Outcome, Place, ReadError, What};
use crate::permission::{Access, Roots};
use crate::protocol::{HunkView, Mode, Range};
use crate::settings::Limits;
use crate::text::{ContentChange, Document, Encoding, Snapshot};

/// The folder, the editor, and what was told.
pub(crate) struct World {
    _keep: tempfile::TempDir,
    pub(crate) top: PathBuf,
    pub(crate) editor: Arc<FolderEditor>,
    pub(crate) context: Context,
    pub(crate) told: Arc<Heard>,
}

/// An editor whose files are real and whose buffers are in memory.
#[derive(Default)]
pub(crate) struct FolderEditor {
    buffers: Mutex<Vec<(Place, Document)>>,
    /// What the next change comes to instead of being made.
    next: Mutex<Option<Outcome>>,
    /// What the person types just before the next change is made.
    typing: Mutex<Option<(Place, String)>>,
}

/// What was told, a line each.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<String>>);

impl World {
    /// A workspace `ws` with these files; what lies beside it is outside.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let keep = tempfile::tempdir().expect("a folder");
        let top = keep.path().canonicalize().expect("a real path");
        fs::create_dir(top.join("ws")).expect("a folder");
        let (editor, told) = (Arc::new(FolderEditor::default()), Arc::new(Heard::default()));
        let context = Context {
            editor: editor.clone(),
            roots: Roots::new(&[top.join("ws")]),
            reads: Arc::new(Reads::default()),
            limits: Limits::default(),
            mode: Mode::Edit,
            cancel: CancellationToken::new(),
            told: told.clone(),
            recall: Arc::new(NoRecall),
        };
        let world = Self { _keep: keep, top, editor, context, told };
        for (path, text) in files {
            world.write(path, text);
        }
        world
    }

    /// A file on disk, relative to `ws`.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.top.join("ws").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        symlink(target, self.top.join("ws").join(path)).expect("a link");
    }

    /// What is on disk.
    pub(crate) fn disk(&self, path: &str) -> String {
        fs::read_to_string(self.top.join("ws").join(path)).expect("readable")
    }

    pub(crate) fn place(&self, path: &str) -> Place {
        self.context.roots.resolve(path, Access::Read).expect("a place inside")
    }

    /// Opens a document with a text that need not be on disk.
    pub(crate) fn open(&self, path: &str, text: &str) {
        self.open_place(self.place(path), text);
    }

    pub(crate) fn open_place(&self, place: Place, text: &str) {
        self.editor.buffers.lock().expect("a lock").insert(0, (place, Document::open("", 1, text)));
    }

    /// The person makes an open document read so.
    pub(crate) fn types(&self, path: &str, text: &str) {
        self.editor.set(&self.place(path), text);
    }

    /// The same, between the tool's look and the editor's change.
    pub(crate) fn types_before_the_change(&self, path: &str, text: &str) {
        *self.editor.typing.lock().expect("a lock") = Some((self.place(path), text.to_owned()));
    }

    /// What the editor makes of the next change, instead of making it.
    pub(crate) fn next(&self, outcome: Outcome) {
        *self.editor.next.lock().expect("a lock") = Some(outcome);
    }

    /// What an open document holds.
    pub(crate) fn buffer(&self, path: &str) -> String {
        self.editor.buffer(&self.place(path)).expect("an open document").rope().to_string()
    }

    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Answer {
        Registry::all().call(tool, &arguments.to_string(), &self.context).await
    }

    /// The content of a call that must succeed.
    pub(crate) async fn ok(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments).await;
        assert!(answer.ok, "{tool} failed: {}", answer.content);
        answer.content
    }

    /// The content of a call that must fail.
    pub(crate) async fn fails(&self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments).await;
        assert!(!answer.ok, "{tool} must fail: {}", answer.content);
        answer.content
    }

    /// What was told so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.0.lock().expect("a lock"))
    }
}

impl FolderEditor {
    fn set(&self, place: &Place, text: &str) {
        let mut buffers = self.buffers.lock().expect("a lock");
        let (_, document) = buffers.iter_mut().find(|(open, _)| open == place).expect("an open document");
        let version = document.snapshot().version() + 1;
        let change = ContentChange { range: None, text: text.to_owned() };
        document.change(version, &[change], Encoding::Utf16, |_, _| {});
    }

    fn edit(&self, place: &Place, base: &Snapshot, patch: &Patch) -> Outcome {
        let refused = |reason: String| Outcome::Refused { reason };
        let now = match self.now(place) {
            Ok(now) => now,
            Err(error) => return refused(error.to_string()),
        };
        let deltas = deltas_between(base.rope(), now.rope());
        let moved = match patch.rebase(base.rope(), &deltas, now.rope()) {
            Ok(moved) => moved,
            Err(clash) => return Outcome::Conflict { reason: clash.to_string(), now },
        };
        let after = moved.apply(now.rope());
        if self.buffer(place).is_some() {
            self.set(place, &after.to_string());
        } else if let Err(error) = disk::replace(place, &now, &after) {
            return refused(error.to_string());
        }
        let hunks = moved.hunks().iter().zip(moved.new_ranges()).map(|(hunk, range)| HunkView {
            id: String::new(),
            range: Range {
                start: Encoding::Utf16.position(&after, range.start),
                end: Encoding::Utf16.position(&after, range.end),
            },
            old_text: now.rope().byte_slice(hunk.range.clone()).to_string(),
            new_text: hunk.new.clone(),
        });
        Outcome::Applied(Applied {
            uri: self.uri(place),
            hunks: hunks.collect(),
            rebased: !deltas.is_empty(),
            now: self.now(place).expect("it was there a moment ago"),
            created: false,
            back: (now.with_rope(after), moved.inverse(now.rope())),
        })
    }

    /// Takes a file away; of an open document only its text, for this editor has no files of its own.
    fn delete(&self, place: &Place, base: &Snapshot) -> Outcome {
        let conflict = |now| Outcome::Conflict { reason: format!("{place} was changed meanwhile"), now };
        if let Some(now) = self.buffer(place) {
            if now.rope() != base.rope() {
                return conflict(now);
            }
            let all = Hunk { range: 0..now.rope().len_bytes(), new: String::new() };
            return self.edit(place, &now, &Patch::joined([all]));
        }
        match disk::remove(place, base) {
            Ok(()) => {}
            Err(WriteError::Changed { now, .. }) => return conflict(now),
            Err(error) => return Outcome::Refused { reason: error.to_string() },
        }
        let now = base.with_rope(ropey::Rope::new());
        Outcome::Applied(Applied {
            uri: self.uri(place),
            hunks: Vec::new(),
            rebased: false,
            created: false,
            back: (now.clone(), Patch::exact(now.rope(), base.rope())),
            now,
        })
    }

    fn now(&self, place: &Place) -> Result<Snapshot, ReadError> {
        self.buffer(place).map_or_else(|| disk::read(place), Ok)
    }
}

#[async_trait]
impl Editor for FolderEditor {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        let buffers = self.buffers.lock().expect("a lock");
        buffers.iter().map(|(place, document)| (place.clone(), document.snapshot().clone())).collect()
    }

    fn buffer(&self, place: &Place) -> Option<Snapshot> {
        self.open().into_iter().find(|(open, _)| open == place).map(|(_, snapshot)| snapshot)
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        self.now(place)
    }

    async fn apply(&self, change: Change) -> Outcome {
        if let Some(outcome) = self.next.lock().expect("a lock").take() {
            return outcome;
        }
        let typing = self.typing.lock().expect("a lock").take();
        if let Some((place, text)) = typing {
            self.set(&place, &text);
        }
        match change.what {
            What::Edit { base, patch } => self.edit(&change.place, &base, &patch),
            What::Create { text } => match disk::create(&change.place, &text) {
                Err(error) => Outcome::Refused { reason: error.to_string() },
                Ok(()) => {
                    let now = Snapshot::detached(&text, "");
                    let whole = Hunk { range: 0..text.len(), new: String::new() };
                    Outcome::Applied(Applied {
                        uri: self.uri(&change.place),
                        hunks: Vec::new(),
                        rebased: false,
                        created: true,
                        back: (now.clone(), Patch::new(vec![whole])),
                        now,
                    })
                }
            },
            What::Delete { base } => self.delete(&change.place, &base),
        }
    }

    fn uri(&self, place: &Place) -> String {
        place.path().map_or_else(|| place.to_string(), |path| format!("file://{}", path.display()))
    }

    fn encoding(&self) -> Encoding {
        Encoding::Utf16
    }
}

#[async_trait]
impl Told for Heard {
    async fn applied(&self, _place: &Place, applied: &Applied, late: bool) {
        assert!(!late, "no tool waits for a late edit");
        self.say(format!("applied {} in {}", applied.hunks.len(), name(&applied.uri)));
    }

    async fn rejected(&self, uri: String, hunks: Vec<HunkView>, reason: String) {
        self.say(format!("rejected {} in {}: {reason}", hunks.len(), name(&uri)));
    }

    fn maybe_late(&self, place: Place, _late: oneshot::Receiver<Applied>) {
        self.say(format!("maybe late in {place}"));
    }
}

impl Heard {
    fn say(&self, line: String) {
        self.0.lock().expect("a lock").push(line);
    }
}

fn name(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or(uri)
}
