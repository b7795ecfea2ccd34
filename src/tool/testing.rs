//! A workspace to test tools in: a real folder, and an editor over it that keeps open buffers in memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Answer, Context, Reads, Registry, Told};
use crate::context::recall::NoRecall;
use crate::disk::{self, WriteError};
use crate::edit::{Hunk, Patch};
use crate::editor::{Applied, Change, Editor, Fate, Outcome, Place, ReadError, What};
use crate::permission::{Access, Kind, Question, Reply, Roots};
use crate::protocol::{HunkView, Mode, PlanStep, Range};
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
    /// What changes come to instead of being made, by how many come before.
    next: Mutex<Vec<(usize, Outcome)>>,
    /// What happens before a change, by how many come before.
    before: Mutex<Option<(usize, Happens)>>,
    /// Whether the file of an open document cannot be taken away.
    pub(crate) keeps_files: AtomicBool,
    /// What there is to know of a change besides, by how many come before.
    note: Mutex<Option<(usize, String)>>,
    /// What the person types just before the next change is made.
    typing: Mutex<Option<(Place, String)>>,
}

type Happens = Box<dyn FnOnce(&FolderEditor) + Send>;

/// What was told, a line each.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<String>>, Mutex<Vec<Reply>>);

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
            call: "call".into(),
            commands: Arc::default(),
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
        self.after(0, outcome);
    }

    /// What the editor makes of a change, instead of making it, when so many have come before it.
    pub(crate) fn after(&self, changes: usize, outcome: Outcome) {
        self.editor.next.lock().expect("a lock").push((changes, outcome));
    }

    /// What the person says to the next question; no without this.
    pub(crate) fn replies(&self, reply: Reply) {
        self.told.1.lock().expect("a lock").insert(0, reply);
    }

    /// What there is to know of the next change besides.
    pub(crate) fn notes_the_next(&self, note: &str) {
        self.notes_after(0, note);
    }

    /// What there is to know of a change besides, when so many have come before it.
    pub(crate) fn notes_after(&self, changes: usize, note: &str) {
        *self.editor.note.lock().expect("a lock") = Some((changes, note.to_owned()));
    }

    /// Something that happens just before a change, when so many have come before it.
    pub(crate) fn before(&self, changes: usize, happens: impl FnOnce(&FolderEditor) + Send + 'static) {
        *self.editor.before.lock().expect("a lock") = Some((changes, Box::new(happens)));
    }

    /// Everything that there is: files with their texts and modes, and open documents.
    pub(crate) fn state(&self) -> Vec<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut state = Vec::new();
        let mut folders = vec![self.top.join("ws")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("listable").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let (bytes, mode) =
                    (fs::read(&path).expect("readable"), entry.metadata().expect("there").permissions().mode());
                let name = path.strip_prefix(&self.top).expect("inside").display();
                state.push(format!("{name} {:o} {}", mode & 0o777, bytes.escape_ascii()));
            }
        }
        let open = self.editor.open().into_iter().map(|(place, snapshot)| format!("open {place}: {}", snapshot.rope()));
        state.extend(open);
        state.sort();
        state
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
    pub(crate) fn set(&self, place: &Place, text: &str) {
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
        let moved = match patch.onto(base.rope(), None, now.rope()) {
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
            rebased: now.rope() != base.rope(),
            now: self.now(place).expect("it was there a moment ago"),
            created: false,
            fate: Fate::Stays,
            note: None,
            back: (now.with_rope(after), moved.inverse(now.rope())),
        })
    }

    /// Takes a file away, and closes its document; of one that was never saved only its text.
    fn delete(&self, place: &Place, base: &Snapshot, or_empty: bool) -> Outcome {
        let conflict = |now| Outcome::Conflict { reason: format!("{place} was changed meanwhile"), now };
        if let Some(now) = self.buffer(place) {
            if now.rope() != base.rope() {
                return conflict(now);
            }
            if !place.path().is_some_and(std::path::Path::exists) || self.keeps_files.load(Ordering::Relaxed) {
                if !or_empty {
                    return Outcome::Refused { reason: "this editor cannot delete an open file".into() };
                }
                let all = Hunk { range: 0..now.rope().len_bytes(), new: String::new() };
                return self.edit(place, &now, &Patch::joined([all]));
            }
        }
        let open = self.buffer(place).is_some();
        let held = if open { disk::read(place).expect("readable") } else { base.clone() };
        let mode = match disk::remove(place, &held) {
            Ok((mode, _)) => mode,
            Err(WriteError::Changed { now, .. }) => return conflict(now),
            Err(error) => return Outcome::Refused { reason: error.to_string() },
        };
        self.buffers.lock().expect("a lock").retain(|(open, _)| open != place);
        let now = base.with_rope(ropey::Rope::new());
        Outcome::Applied(Applied {
            uri: self.uri(place),
            hunks: Vec::new(),
            rebased: false,
            created: false,
            fate: Fate::Deleted { mode: Some(mode) },
            note: None,
            back: (now.clone(), Patch::exact(now.rope(), base.rope())),
            now,
        })
    }

    /// Gives a file another name; its open document goes with it.
    fn rename(&self, place: &Place, base: &Snapshot, to: &Place) -> Outcome {
        let refused = |reason: String| Outcome::Refused { reason };
        let now = match self.now(place) {
            Ok(now) => now,
            Err(error) => return refused(error.to_string()),
        };
        if now.rope() != base.rope() {
            return Outcome::Conflict { reason: format!("{place} was changed meanwhile"), now };
        }
        let held = disk::read(place).expect("readable");
        if let Err(error) = disk::rename(place, to, &held) {
            return refused(error.to_string());
        }
        for (open, _) in self.buffers.lock().expect("a lock").iter_mut().filter(|(open, _)| open == place) {
            *open = to.clone();
        }
        Outcome::Applied(Applied {
            uri: self.uri(place),
            hunks: Vec::new(),
            rebased: false,
            created: false,
            fate: Fate::Moved { to: to.clone(), uri: self.uri(to) },
            note: None,
            back: (now.clone(), Patch::default()),
            now,
        })
    }

    /// What a file that was made comes to.
    fn made(&self, place: &Place, now: Snapshot) -> Outcome {
        let whole = Hunk { range: 0..now.rope().len_bytes(), new: String::new() };
        Outcome::Applied(Applied {
            uri: self.uri(place),
            hunks: Vec::new(),
            rebased: false,
            created: true,
            fate: Fate::Stays,
            note: None,
            back: (now.clone(), Patch::joined([whole])),
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
        let happens = {
            let mut before = self.before.lock().expect("a lock");
            let now = before.take_if(|(left, _)| *left == 0);
            before.iter_mut().for_each(|(left, _)| *left -= 1);
            now
        };
        if let Some((_, happens)) = happens {
            happens(self);
        }
        if change.cancel.is_cancelled() {
            return Outcome::Refused { reason: "the person stopped the run before the change was made".into() };
        }
        {
            let mut next = self.next.lock().expect("a lock");
            if let Some(at) = next.iter().position(|(before, _)| *before == 0) {
                return next.remove(at).1;
            }
            next.iter_mut().for_each(|(before, _)| *before -= 1);
        }
        let typing = self.typing.lock().expect("a lock").take();
        if let Some((place, text)) = typing {
            self.set(&place, &text);
        }
        let note = {
            let mut note = self.note.lock().expect("a lock");
            let now = note.take_if(|(left, _)| *left == 0);
            note.iter_mut().for_each(|(left, _)| *left -= 1);
            now.map(|(_, note)| note)
        };
        let outcome = match change.what {
            What::Edit { base, patch } => self.edit(&change.place, &base, &patch),
            What::Create { text } => match disk::create(&change.place, &text) {
                Err(error) => Outcome::Refused { reason: error.to_string() },
                Ok(_) => self.made(&change.place, Snapshot::detached(&text, "")),
            },
            What::Restore { base, mode } => match disk::restore(&change.place, &base, mode) {
                Err(error) => Outcome::Refused { reason: error.to_string() },
                Ok(_) => self.made(&change.place, base),
            },
            What::Delete { base, or_empty } => self.delete(&change.place, &base, or_empty),
            What::Rename { base, to } => self.rename(&change.place, &base, &to),
        };
        match outcome {
            Outcome::Applied(applied) => Outcome::Applied(Applied { note: note.or(applied.note), ..applied }),
            other => other,
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
        let fate = match &applied.fate {
            Fate::Stays => String::new(),
            Fate::Deleted { .. } => ", deleted".into(),
            Fate::Moved { uri, .. } => format!(", moved to {}", name(uri)),
        };
        self.add(format!("applied {} in {}{fate}", applied.hunks.len(), name(&applied.uri)));
    }

    async fn rejected(&self, uri: String, hunks: Vec<HunkView>, reason: String) {
        self.add(format!("rejected {} in {}: {reason}", hunks.len(), name(&uri)));
    }

    fn maybe_late(&self, place: Place, _late: oneshot::Receiver<Applied>) {
        self.add(format!("maybe late in {place}"));
    }

    fn output(&self, call: &str, text: String) {
        self.add(format!("{call} prints {text}"));
    }

    fn planned(&self, steps: Vec<PlanStep>) {
        let step = |step: &PlanStep| format!("{}{}", step.title, if step.done { " (done)" } else { "" });
        self.add(format!("planned {}", steps.iter().map(step).collect::<Vec<_>>().join(", ")));
    }

    async fn ask(&self, question: Question) -> Reply {
        let options = match question.kind {
            Kind::May { .. } => String::new(),
            Kind::Answer { options } => format!(" [{}]", options.join(", ")),
        };
        self.add(format!("asked {}{options}", question.title));
        self.1.lock().expect("a lock").pop().unwrap_or(Reply::Denied)
    }

    fn say(&self, sentence: String) {
        self.add(format!("said {sentence}"));
    }

    fn note(&self, note: String) {
        self.add(format!("noted {note}"));
    }
}

impl Heard {
    fn add(&self, line: String) {
        self.0.lock().expect("a lock").push(line);
    }
}

fn name(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or(uri)
}
