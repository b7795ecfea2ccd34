use std::fs;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tower_lsp::jsonrpc::{Request, Response, Result};
use tower_lsp::ls_types::{InitializeParams, InitializeResult};
use tower_lsp::{ClientSocket, LanguageServer, LspService};

use super::*;
use crate::edit::Patch;
use crate::editor::Applied;
use crate::lsp::capabilities::Caps;
use crate::protocol::Range;
use crate::text::ContentChange;

/// A port with an editor at the other end that does what a test says.
struct World {
    _folder: tempfile::TempDir,
    top: PathBuf,
    port: Arc<EditorPort>,
    documents: Arc<Documents>,
    socket: ClientSocket,
    _service: LspService<Nobody>,
}

/// A server that only has to be initialized, for requests to go out.
struct Nobody;

impl LanguageServer for Nobody {
    async fn initialize(&self, _: InitializeParams) -> Result<InitializeResult> {
        Ok(InitializeResult::default())
    }

    async fn shutdown(&self) -> Result<()> {
        Ok(())
    }
}

impl World {
    async fn new(caps: Caps) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().canonicalize().expect("a real path");
        let mut found = None;
        let (mut service, socket) = LspService::new(|client| {
            found = Some(client);
            Nobody
        });
        let hello = Request::build("initialize").params(json!({"capabilities": {}})).id(1).finish();
        service.call(hello).await.expect("initialized");
        let client = Client::new(found.expect("a client"));
        client.set_caps(Caps { apply_edit: true, document_changes: true, ..caps });
        let documents = Arc::new(Documents::default());
        documents.set_encoding(client.caps().encoding);
        let roots = Arc::new(RwLock::new(Roots::new(std::slice::from_ref(&top))));
        let port = Arc::new(EditorPort::new(client, documents.clone(), roots));
        Self { _folder: folder, top, port, documents, socket, _service: service }
    }

    /// A file, open with this text.
    fn open(&self, name: &str, text: &str) -> Place {
        let place = self.file(name, text);
        self.documents.open(&self.port.uri(&place), "text", 1, text);
        place
    }

    fn file(&self, name: &str, text: &str) -> Place {
        let path = self.top.join(name);
        fs::write(&path, text).expect("written");
        Place::File { path, shown: name.into() }
    }

    /// Begins a change.
    fn send(&self, place: &Place, what: What) -> tokio::task::JoinHandle<Outcome> {
        let (port, place) = (self.port.clone(), place.clone());
        let change = Change { place, label: "test".into(), what, cancel: CancellationToken::new() };
        tokio::spawn(async move { port.apply(change).await })
    }

    fn edit(&self, place: &Place, wanted: &str) -> tokio::task::JoinHandle<Outcome> {
        let base = self.port.buffer(place).expect("an open document");
        let patch = Patch::between(&base, wanted);
        self.send(place, What::Edit { base, patch })
    }

    /// The next request, and the editor's yes once `done` has happened.
    async fn answer(&mut self, done: impl FnOnce(&Self, Value)) {
        let request = self.socket.next().await.expect("a request");
        assert_eq!(request.method(), "workspace/applyEdit");
        let (_, id, params) = request.into_parts();
        done(self, params.expect("parameters")["edit"].clone());
        let yes = Response::from_ok(id.expect("an id"), json!({"applied": true}));
        self.socket.send(yes).await.expect("sent");
    }

    /// Begins an edit of a file that is not open.
    async fn edits_unopened(&self, place: &Place, wanted: &str) -> tokio::task::JoinHandle<Outcome> {
        let base = self.port.read(place).await.expect("text");
        let patch = Patch::between(&base, wanted);
        self.send(place, What::Edit { base, patch })
    }

    /// The next request, which is to save: the editor tidies the text, and writes it.
    async fn save(&mut self, place: &Place, tidy: impl FnOnce(String) -> String) {
        self.save_with(place, |world, text| {
            let tidied = tidy(text.clone());
            if tidied != text {
                world.report(place, &[ContentChange { range: None, text: tidied.clone() }]);
            }
            fs::write(place.path().expect("a file"), tidied).expect("written");
            true
        })
        .await;
    }

    /// The next request, which is to save, and whether it is done.
    async fn save_with(&mut self, place: &Place, done: impl FnOnce(&Self, String) -> bool) {
        let request = tokio::time::timeout(std::time::Duration::from_secs(5), self.socket.next());
        let request = request.await.expect("in time").expect("a request");
        assert_eq!(request.method(), "cowrite/save");
        let (_, id, params) = request.into_parts();
        let uris = params.expect("parameters")["uris"].clone();
        let saved = if done(self, self.text(place)) { uris } else { json!([]) };
        let answer = Response::from_ok(id.expect("an id"), json!({ "saved": saved }));
        self.socket.send(answer).await.expect("sent");
    }

    /// The editor reports these changes in one notification.
    fn report(&self, place: &Place, changes: &[ContentChange]) {
        assert!(self.documents.change(&self.port.uri(place), 2, changes));
    }

    fn text(&self, place: &Place) -> String {
        self.port.buffer(place).expect("an open document").rope().to_string()
    }
}

/// What an edit asks for, in the order in which it can be done.
fn asked(edit: &Value) -> Vec<ContentChange> {
    let edits = edit["documentChanges"][0]["edits"].as_array().expect("edits");
    let change = |edit: &Value| ContentChange {
        range: Some(serde_json::from_value::<Range>(edit["range"].clone()).expect("a range")),
        text: edit["newText"].as_str().expect("a text").to_owned(),
    };
    edits.iter().rev().map(change).collect()
}

/// Types at the beginning of a line.
fn typed(line: u32, text: &str) -> ContentChange {
    let at = crate::protocol::Position { line, character: 0 };
    ContentChange { range: Some(Range { start: at, end: at }), text: text.into() }
}

/// The text in which an edit was seen, the text without it, and what was told of its hunks.
fn back(applied: &Applied) -> (String, String, Vec<(&str, &str)>) {
    let (seen, back) = &applied.back;
    let told = applied.hunks.iter().map(|hunk| (hunk.old_text.as_str(), hunk.new_text.as_str())).collect();
    assert_eq!(back.hunks().len(), applied.hunks.len(), "a way back for each hunk");
    (seen.rope().to_string(), back.apply(seen.rope()).to_string(), told)
}

#[tokio::test]
async fn the_way_back_leaves_what_was_typed_around_the_edit() {
    let mut world = World::new(Caps::default()).await;
    let place = world.open("a.txt", "one\r\ntwo\r\nthree\r\n");
    let outcome = world.edit(&place, "1\ntwo\n3\n");
    world.documents.change(&world.port.uri(&place), 2, &[typed(1, "zero\r\n")]);
    world
        .answer(|world, _| {
            // Made where it belongs, between two things that the person types, all told at once.
            let line = |line: u32, end: u32, text: &str| {
                let [start, end] = [0, end].map(|character| crate::protocol::Position { line, character });
                ContentChange { range: Some(Range { start, end }), text: text.into() }
            };
            world.report(&place, &[line(3, 5, "3"), line(0, 3, "1"), typed(2, "more ")]);
        })
        .await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!(applied.now.rope().to_string(), "1\r\nzero\r\nmore two\r\n3\r\n");
    let (seen, without, told) = back(&applied);
    assert_eq!(seen, "1\r\nzero\r\ntwo\r\n3\r\n");
    assert_eq!(without, "one\r\nzero\r\ntwo\r\nthree\r\n");
    assert_eq!(told, [("one", "1"), ("three", "3")]);
}

#[tokio::test]
async fn the_way_back_of_a_mended_edit_is_that_of_the_edit() {
    let mut world = World::new(Caps::default()).await;
    let place = world.open("a.txt", "one\ntwo\nthree\n");
    let outcome = world.edit(&place, "one\n2\nthree\n");
    // An editor that does not look at versions puts it on the line that is the second one now.
    world
        .answer(|world, edit| {
            world.report(&place, &[typed(0, "zero\n")]);
            world.report(&place, &asked(&edit));
        })
        .await;
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    let (seen, without, told) = back(&applied);
    assert_eq!((seen.as_str(), without.as_str()), ("zero\none\n2\nthree\n", "zero\none\ntwo\nthree\n"));
    assert_eq!(told, [("two", "2")]);
}

#[tokio::test(start_paused = true)]
async fn a_late_edit_says_how_it_is_taken_back() {
    let mut world = World::new(Caps::default()).await;
    let place = world.open("a.txt", "one\ntwo\n");
    let outcome = world.edit(&place, "one\n2\n");
    let mut sent = Value::Null;
    world.answer(|_, edit| sent = edit).await;
    let Outcome::NotConfirmed { late: Some(late), .. } = outcome.await.expect("no panic") else { panic!("not seen") };
    world.report(&place, &asked(&sent));
    let applied = late.await.expect("seen late");
    assert_eq!(back(&applied), ("one\n2\n".into(), "one\ntwo\n".into(), vec![("two", "2")]));
}

/// Of two edits on their way, the one could be taken for the other, or stand on top of it.
#[tokio::test(start_paused = true)]
async fn while_an_edit_is_not_answered_nothing_else_is_sent_to_its_document() {
    let mut world = World::new(Caps::default()).await;
    let (place, other) = (world.open("a.rs", "one\n"), world.open("b.rs", "one\n"));
    let edit = world.edit(&place, "1\n");
    let request = world.socket.next().await.expect("a request");
    let Outcome::NotConfirmed { late, .. } = edit.await.expect("an outcome") else { panic!("it is not answered") };
    let Outcome::Refused { reason } = world.edit(&place, "uno\n").await.expect("an outcome") else { panic!("sent") };
    assert!(reason.contains("has not answered an earlier edit") && reason.ends_with("in 60 s"), "{reason}");
    let elsewhere = world.edit(&other, "1\n");
    world.answer(|world, edit| world.report(&other, &asked(&edit))).await;
    assert!(matches!(elsewhere.await.expect("an outcome"), Outcome::Applied(_)));
    // The first one comes after all.
    let (_, id, params) = request.into_parts();
    world.report(&place, &asked(&params.expect("parameters")["edit"]));
    assert_eq!(late.expect("looked for").await.expect("seen").hunks.len(), 1);
    let yes = Response::from_ok(id.expect("an id"), json!({"applied": true}));
    world.socket.send(yes).await.expect("sent");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let edit = world.edit(&place, "eins\n");
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    assert!(matches!(edit.await.expect("an outcome"), Outcome::Applied(_)));
}

#[tokio::test]
async fn a_file_on_disk_is_changed_made_and_deleted_with_a_way_back() {
    let world = World::new(Caps::default()).await;
    let place = world.file("a.txt", "one\r\ntwo\r\n");
    let base = world.port.read(&place).await.expect("text");
    let patch = Patch::between(&base, "one\n2\n");
    let outcome = world.send(&place, What::Edit { base: base.clone(), patch }).await.expect("no panic");
    let Outcome::Applied(applied) = outcome else { panic!("applied") };
    assert_eq!(back(&applied).1, "one\r\ntwo\r\n");
    assert!(!applied.created);

    let new = Place::File { path: world.top.join("new.txt"), shown: "new.txt".into() };
    let outcome = world.send(&new, What::Create { text: "new\n".into() }).await.expect("no panic");
    let Outcome::Applied(applied) = outcome else { panic!("applied") };
    assert!(applied.created && back(&applied).1.is_empty());

    match world.send(&place, What::Delete { base, or_empty: true }).await.expect("no panic") {
        Outcome::Conflict { reason, now } => {
            assert_eq!(
                (reason.as_str(), now.rope().to_string().as_str()),
                ("a.txt was changed on disk meanwhile", "one\r\n2\r\n")
            );
        }
        other => panic!("{other:?}"),
    }
    let base = world.port.read(&new).await.expect("text");
    let outcome = world.send(&new, What::Delete { base, or_empty: true }).await.expect("no panic");
    let Outcome::Applied(applied) = outcome else { panic!("applied") };
    assert_eq!(back(&applied), (String::new(), "new\n".into(), vec![("new\n", "")]));
    assert!(!world.top.join("new.txt").exists() && world.top.join("a.txt").exists());
}

#[tokio::test]
async fn an_open_file_is_deleted_through_the_editor() {
    let mut world = World::new(Caps { delete_files: true, ..Caps::default() }).await;
    let place = world.open("a.txt", "one\n");
    let base = world.port.buffer(&place).expect("open");
    let outcome = world.send(&place, What::Delete { base: base.clone(), or_empty: true });
    let uri = world.port.uri(&place);
    world
        .answer(|world, edit| {
            let options = json!({"recursive": false, "ignoreIfNotExists": true});
            let wanted = json!({"documentChanges": [
                {"textDocument": {"uri": uri, "version": 1}, "edits": []},
                {"kind": "delete", "uri": uri, "options": options},
            ]});
            assert_eq!(edit, wanted);
            fs::remove_file(world.top.join("a.txt")).expect("removed");
            world.documents.close(&uri);
        })
        .await;
    assert!(matches!(outcome.await.expect("no panic"), Outcome::Applied(_)));

    let place = world.open("b.txt", "typed\n");
    match world.send(&place, What::Delete { base, or_empty: true }).await.expect("no panic") {
        Outcome::Conflict { reason, .. } => assert_eq!(reason, "b.txt was changed in the editor meanwhile"),
        other => panic!("{other:?}"),
    }
    assert!(world.top.join("b.txt").exists());
}

/// Deletes an open file through an editor that does `first` before it, and puts it back; what was told, and the bytes then.
async fn deleted_and_restored(
    bytes: &[u8],
    open: &str,
    first: impl FnOnce(&World, &Place),
) -> (Option<String>, Vec<u8>) {
    let mut world = World::new(Caps { delete_files: true, ..Caps::default() }).await;
    let place = world.file("a.txt", "");
    let (path, uri) = (world.top.join("a.txt"), world.port.uri(&place));
    fs::write(&path, bytes).expect("written");
    world.documents.open(&uri, "text", 1, open);
    let base = world.port.buffer(&place).expect("open");
    let outcome = world.send(&place, What::Delete { base, or_empty: false });
    world
        .answer(|world, _| {
            first(world, &place);
            fs::remove_file(&path).expect("removed");
            world.documents.close(&uri);
        })
        .await;
    let outcome = outcome.await.expect("no panic");
    let Outcome::Applied(gone) = outcome else { panic!("{outcome:?}") };
    let crate::editor::Fate::Deleted { mode } = gone.fate else { panic!("{:?}", gone.fate) };
    // As undo does it: the mark and the encoding, and the text by itself.
    let (after, back) = &gone.back;
    let base = after.with_rope(back.apply(after.rope()));
    let outcome = world.send(&place, What::Restore { base, mode }).await.expect("no panic");
    assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
    (gone.note, fs::read(&path).expect("there"))
}

#[tokio::test]
async fn an_open_file_is_put_back_in_its_encoding_or_else_in_utf_8() {
    let kept = deleted_and_restored(b"d\xe9j\xe0 vu\n", "d\u{e9}j\u{e0} lu\n", |_, _| {}).await;
    assert_eq!(kept, (None, b"d\xe9j\xe0 lu\n".to_vec()));
    let arrow = deleted_and_restored(b"d\xe9j\xe0 vu\n", "d\u{e9}j\u{e0} \u{2192} vu\n", |_, _| {}).await;
    assert_eq!(arrow, (None, "d\u{e9}j\u{e0} \u{2192} vu\n".as_bytes().to_vec()));
}

#[tokio::test]
async fn a_byte_order_mark_that_the_client_sends_is_put_back_once() {
    let marked = b"\xef\xbb\xbfone\n";
    assert_eq!(deleted_and_restored(marked, "\u{feff}one\n", |_, _| {}).await, (None, marked.to_vec()));
    assert_eq!(deleted_and_restored(marked, "one\n", |_, _| {}).await, (None, marked.to_vec()));
}

#[tokio::test]
async fn what_is_typed_as_a_file_is_deleted_is_in_the_undo() {
    let (note, bytes) =
        deleted_and_restored(b"one\n", "one\n", |world, place| world.report(place, &[typed(0, "typed ")])).await;
    assert_eq!(String::from_utf8_lossy(&bytes), "typed one\n");
    let told = "Text was typed in a.txt as it was deleted. It is not lost: undoing the deletion brings it back.";
    assert_eq!(note.as_deref(), Some(told));
    let empties = |world: &World, place: &Place| {
        world.report(place, &[ContentChange { range: None, text: String::new() }]);
    };
    let (note, bytes) = deleted_and_restored(b"one\n", "one\n", empties).await;
    assert_eq!((note, bytes.as_slice()), (None, &b"one\n"[..]), "an editor may empty what it closes");
}

#[tokio::test]
async fn an_open_file_that_could_not_be_put_back_is_not_deleted() {
    let world = World::new(Caps { delete_files: true, ..Caps::default() }).await;
    let place = world.open("a.txt", "one\n");
    fs::write(world.top.join("a.txt"), b"one\xff\0\n").expect("written");
    let base = world.port.buffer(&place).expect("open");
    let outcome = world.send(&place, What::Delete { base, or_empty: false });
    let reason = refusal(outcome.await.expect("no panic"));
    assert!(reason.ends_with("deleted, it could not be put back, so it stays; the person can delete it"), "{reason}");
    assert!(world.top.join("a.txt").exists());
}

#[tokio::test]
async fn an_editor_that_cannot_delete_is_asked_to_take_the_text_out() {
    let mut world = World::new(Caps::default()).await;
    let place = world.open("a.txt", "one\ntwo");
    let base = world.port.buffer(&place).expect("open");
    let outcome = world.send(&place, What::Delete { base, or_empty: true });
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!(world.text(&place), "");
    assert_eq!(back(&applied).1, "one\ntwo");
    assert!(world.top.join("a.txt").exists(), "never behind the editor's back");
}

#[tokio::test]
async fn an_editor_that_cannot_delete_keeps_an_open_file_that_only_a_deletion_may_touch() {
    let world = World::new(Caps::default()).await;
    let place = world.open("a.txt", "one\n");
    let base = world.port.buffer(&place).expect("open");
    match world.send(&place, What::Delete { base, or_empty: false }).await.expect("no panic") {
        Outcome::Refused { reason } => assert!(reason.contains("cannot delete an open file"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.text(&place), "one\n");
}

fn refusal(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused { reason } => reason,
        other => panic!("{other:?}"),
    }
}

fn renames() -> Caps {
    Caps { rename_files: true, buffers_follow: true, ..Caps::default() }
}

#[tokio::test]
async fn an_open_file_is_renamed_through_the_editor_and_its_buffer_goes_with_it() {
    let mut world = World::new(renames()).await;
    let place = world.open("a.txt", "on disk\n");
    let to = Place::File { path: world.top.join("new/b.txt"), shown: "new/b.txt".into() };
    let (old, new) = (world.port.uri(&place), world.port.uri(&to));
    world.report(&place, &[typed(0, "typed and ")]);
    let base = world.port.buffer(&place).expect("open");
    let outcome = world.send(&place, What::Rename { base, to: to.clone() });
    world
        .answer(|world, edit| {
            let wanted = json!({"documentChanges": [
                {"textDocument": {"uri": old, "version": 2}, "edits": []},
                {"kind": "rename", "oldUri": old, "newUri": new, "options": {"ignoreIfExists": true}},
            ]});
            assert_eq!(edit, wanted);
            fs::rename(world.top.join("a.txt"), world.top.join("new/b.txt")).expect("its folder is there");
            world.documents.close(&old);
            world.documents.open(&new, "text", 1, "typed and on disk\n");
        })
        .await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!((applied.uri.as_str(), applied.hunks.len()), (old.as_str(), 0));
    assert_eq!(applied.fate, crate::editor::Fate::Moved { to: to.clone(), uri: new });
    assert_eq!(applied.now.rope().to_string(), "typed and on disk\n");
    assert_eq!(world.text(&to), "typed and on disk\n");
}

#[tokio::test]
async fn a_rename_that_only_the_reply_tells_of_is_not_confirmed() {
    let mut world = World::new(renames()).await;
    let place = world.open("a.txt", "one\n");
    let to = Place::File { path: world.top.join("b.txt"), shown: "b.txt".into() };
    let base = world.port.buffer(&place).expect("open");
    let outcome = world.send(&place, What::Rename { base: base.clone(), to: to.clone() });
    world.answer(|_, _| {}).await;
    let Outcome::NotConfirmed { reason, .. } = outcome.await.expect("no panic") else { panic!("not confirmed") };
    assert_eq!(reason, "the editor says that a.txt is renamed, but nothing shows it");
    // The file alone: its buffer would write the old one again.
    let outcome = world.send(&place, What::Rename { base, to });
    world.answer(|world, _| fs::rename(world.top.join("a.txt"), world.top.join("b.txt")).expect("renamed")).await;
    let Outcome::NotConfirmed { reason, .. } = outcome.await.expect("no panic") else { panic!("not confirmed") };
    assert_eq!(reason, "the file is b.txt now, but the editor still shows it as a.txt");
}

#[tokio::test]
async fn what_cannot_be_renamed_stays_and_the_reason_is_told() {
    let world = World::new(Caps { buffers_follow: true, ..Caps::default() }).await;
    let (open, closed) = (world.open("a.txt", "one\n"), world.file("b.txt", "two\n"));
    let to = Place::File { path: world.top.join("new/c.txt"), shown: "new/c.txt".into() };
    let rename = async |place: &Place, base: &str, to: &Place| {
        let what = What::Rename { base: Snapshot::detached(base, ""), to: to.clone() };
        world.send(place, what).await.expect("no panic")
    };
    assert!(refusal(rename(&open, "one\n", &to).await).contains("this editor cannot rename an open file"));
    assert_eq!(refusal(rename(&closed, "two\n", &open).await), "a.txt exists already");
    assert!(matches!(rename(&open, "other\n", &to).await, Outcome::Conflict { .. }));
    assert!(matches!(rename(&closed, "other\n", &to).await, Outcome::Conflict { .. }));
    let unsaved = Place::File { path: world.top.join("unsaved.txt"), shown: "unsaved.txt".into() };
    world.documents.open(&world.port.uri(&unsaved), "text", 1, "x\n");
    assert!(refusal(rename(&unsaved, "x\n", &to).await).contains("was never saved"));
    // One that is not open is renamed on disk.
    let Outcome::Applied(_) = rename(&closed, "two\n", &to).await else { panic!("applied") };
    assert_eq!(fs::read_to_string(world.top.join("new/c.txt")).expect("there"), "two\n");
    assert!(!world.top.join("b.txt").exists() && world.top.join("a.txt").exists());
}

#[tokio::test]
async fn a_deleted_file_is_put_back_with_its_mark_its_encoding_and_its_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(Caps::default()).await;
    for bytes in [&b"\xff\xfeh\0i\0\r\0\n\0"[..], b"d\xe9j\xe0 vu\n", b"\xef\xbb\xbfx"] {
        let path = world.top.join("a.txt");
        let place = world.file("a.txt", "");
        fs::write(&path, bytes).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).expect("a mode");
        let base = world.port.read(&place).await.expect("text");
        let outcome = world.send(&place, What::Delete { base, or_empty: false }).await.expect("no panic");
        let Outcome::Applied(gone) = outcome else { panic!("{outcome:?}") };
        assert!(!path.exists());
        let crate::editor::Fate::Deleted { mode } = gone.fate else { panic!("{:?}", gone.fate) };
        let (after, back) = &gone.back;
        let base = after.with_rope(back.apply(after.rope()));
        let outcome = world.send(&place, What::Restore { base, mode }).await.expect("no panic");
        assert!(matches!(outcome, Outcome::Applied(Applied { created: false, .. })), "{outcome:?}");
        assert_eq!(fs::read(&path).expect("there"), bytes);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o750);
        fs::remove_file(&path).expect("removed");
    }
}

fn saves() -> Caps {
    Caps { save: true, rename_files: true, buffers_follow: true, ..Caps::default() }
}

/// A file that the editor has opened, changed and saved for a run.
async fn opened_for_a_run(world: &mut World, before: &str, wanted: &str) -> Place {
    let place = world.file("a.txt", before);
    let outcome = world.edits_unopened(&place, wanted).await;
    world
        .answer(|world, edit| {
            world.documents.open(&world.port.uri(&place), "text", 1, before);
            world.report(&place, &asked(&edit));
        })
        .await;
    world.save(&place, |text| text).await;
    assert!(matches!(outcome.await.expect("no panic"), Outcome::Applied(Applied { note: None, .. })));
    place
}

#[tokio::test]
async fn a_file_that_is_kept_saved_stays_so_under_its_new_name() {
    let mut world = World::new(saves()).await;
    let place = opened_for_a_run(&mut world, "one\ntwo\n", "one\n2\n").await;
    let to = Place::File { path: world.top.join("b.txt"), shown: "b.txt".into() };
    let base = world.port.buffer(&place).expect("open");
    let outcome = world.send(&place, What::Rename { base, to: to.clone() });
    let (old, new) = (world.port.uri(&place), world.port.uri(&to));
    world
        .answer(|world, _| {
            fs::rename(world.top.join("a.txt"), world.top.join("b.txt")).expect("renamed");
            world.port.closed(&old);
            world.documents.close(&old);
            world.documents.open(&new, "text", 1, "one\n2\n");
        })
        .await;
    assert!(matches!(outcome.await.expect("no panic"), Outcome::Applied(_)));
    let outcome = world.edit(&to, "1\n2\n");
    world.answer(|world, edit| world.report(&to, &asked(&edit))).await;
    world.save(&to, |text| text).await;
    assert!(matches!(outcome.await.expect("no panic"), Outcome::Applied(Applied { note: None, .. })));
    assert_eq!(fs::read_to_string(world.top.join("b.txt")).expect("there"), "1\n2\n");
}

#[tokio::test]
async fn what_an_editor_tidies_as_it_saves_is_told_and_taken_back_with_the_edit() {
    let before = "fn a() {\n    b();\n}\n\nlet  c;\n";
    let mut world = World::new(saves()).await;
    let place = world.file("a.txt", before);
    let outcome = world.edits_unopened(&place, "fn a() {\n  d(1,2);\n}\n\nlet  c;\n").await;
    world
        .answer(|world, edit| {
            world.documents.open(&world.port.uri(&place), "text", 1, before);
            world.report(&place, &asked(&edit));
        })
        .await;
    let tidied = "fn a() {\n    d(1, 2);\n}\n\nlet c;\n";
    world.save(&place, |_| tidied.to_owned()).await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!(applied.now.rope().to_string(), tidied);
    let note = "a.txt is saved; the editor changed it on save: lines 2 and 5.";
    assert_eq!(applied.note.as_deref(), Some(note));
    let (seen, without, _) = back(&applied);
    // What it did elsewhere is not the run's.
    assert_eq!((seen.as_str(), without.as_str()), ("fn a() {\n    d(1, 2);\n}\n\nlet  c;\n", before));

    // And so it is in a document that stays saved.
    let outcome = world.edit(&place, "fn a() {\n    d(1, 2);\n}\n\nlet c=1;\n");
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    world.save(&place, |text| text.replace("c=1", "c = 1")).await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!(applied.note.as_deref(), Some("a.txt is saved; the editor changed it on save: line 5."));
    let (seen, without, told) = back(&applied);
    assert_eq!((seen, without), (tidied.replace("c;", "c = 1;"), tidied.to_owned()));
    assert_eq!(told, [("", " = 1")]);
}

/// Only the editor's own tidying is the run's: what was typed is never taken back with it.
#[tokio::test]
async fn what_is_typed_during_a_save_is_not_taken_for_tidying() {
    let mut world = World::new(saves()).await;
    let place = opened_for_a_run(&mut world, "one\ntwo\n", "one\n2\n").await;
    let outcome = world.edit(&place, "f(1,2)\n2\n");
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    world
        .save_with(&place, |world, text| {
            world.report(&place, &[typed(0, "(")]);
            let tidied = text.replace("f(1,2)", "(f(1, 2)");
            world.report(&place, &[ContentChange { range: None, text: tidied.clone() }]);
            fs::write(world.top.join("a.txt"), tidied).expect("written");
            true
        })
        .await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    let (seen, without, _) = back(&applied);
    assert_eq!((seen.as_str(), without.as_str()), ("f(1,2)\n2\n", "one\n2\n"), "the parenthesis is the person's");
}

#[tokio::test]
async fn what_is_undone_during_a_save_does_not_stand() {
    let mut world = World::new(saves()).await;
    let place = world.file("a.txt", "one\n");
    let outcome = world.edits_unopened(&place, "1\n").await;
    world
        .answer(|world, edit| {
            world.documents.open(&world.port.uri(&place), "text", 1, "one\n");
            world.report(&place, &asked(&edit));
        })
        .await;
    world.save(&place, |_| "one\n".to_owned()).await;
    let Outcome::NotConfirmed { reason, .. } = outcome.await.expect("no panic") else { panic!("it does not stand") };
    assert!(reason.ends_with("the file does not hold the change; read it again"), "{reason}");
}

/// Some editors open a file that they make without a report.
#[tokio::test]
async fn an_empty_file_that_only_the_disk_shows_is_made_in_one_place() {
    let mut world = World::new(Caps { create_files: true, ..saves() }).await;
    let place = Place::File { path: world.top.join("a.txt"), shown: "a.txt".into() };
    let outcome = world.send(&place, What::Create { text: String::new() });
    world.answer(|world, _| fs::write(world.top.join("a.txt"), "").expect("written")).await;
    let request = world.socket.next().await.expect("a request");
    let (_, id, params) = request.into_parts();
    let saved = json!({ "saved": params.expect("parameters")["uris"] });
    world.socket.send(Response::from_ok(id.expect("an id"), saved)).await.expect("sent");
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!((applied.hunks.len(), applied.back.1.hunks().len(), applied.created), (1, 1, true));
}

#[tokio::test]
async fn what_is_typed_behind_a_save_makes_nothing_false_of_it() {
    let mut world = World::new(saves()).await;
    let place = opened_for_a_run(&mut world, "one\ntwo\n", "one\n2\n").await;
    let outcome = world.edit(&place, "1\n2\n");
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    world
        .save_with(&place, |world, text| {
            fs::write(world.top.join("a.txt"), &text).expect("written");
            world.report(&place, &[typed(0, "typed ")]);
            true
        })
        .await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!(applied.note, None, "the file holds the change");
    // One that was not asked to save has saved it all the same.
    fs::write(world.top.join("a.txt"), world.text(&place)).expect("written");
    let outcome = world.edit(&place, "typed 1\nII\n");
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    world
        .save_with(&place, |world, text| {
            fs::write(world.top.join("a.txt"), &text).expect("written");
            false
        })
        .await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    assert_eq!(applied.note, None, "the file holds the change");
    // And what it did not save is told.
    let outcome = world.edit(&place, "typed 1\n2\n");
    world.answer(|world, edit| world.report(&place, &asked(&edit))).await;
    world.save_with(&place, |_, _| false).await;
    let Outcome::Applied(applied) = outcome.await.expect("no panic") else { panic!("applied") };
    let note = "The editor has the change of a.txt in a buffer and did not save it. The file on disk is as before.";
    assert_eq!(applied.note.as_deref(), Some(note));
}
