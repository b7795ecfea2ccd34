use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Mutex;

use async_trait::async_trait;
use ropey::Rope;

use super::*;
use crate::context::recall::Found;
use crate::protocol::Envelope;
use crate::session::{Changes, Select};
use crate::store::{self, Batch, Head, Keep, Report, SessionRow, Standing, StoreError, Stored, StoredRun, Tidied};
use crate::tool::testing::World;

/// A run in a folder, recorded as a session records it.
struct Ran {
    world: World,
    run: RunId,
    changes: Changes,
    kept: Kept,
}

/// Records in memory: what undo asks a store for.
#[derive(Default)]
struct Kept {
    records: Mutex<Vec<Record>>,
    texts: Mutex<HashMap<Hash, Vec<u8>>>,
}

impl Ran {
    fn new(files: &[(&str, &str)]) -> Self {
        Self { world: World::new(files), run: RunId::new(), changes: Changes::default(), kept: Kept::default() }
    }

    /// The run makes a file read so, or makes it.
    async fn writes(&mut self, path: &str, text: &str) {
        let place = self.world.place(path);
        let editor = &self.world.editor;
        let what = match editor.read(&place).await {
            Ok(base) => What::Edit { patch: Patch::between(&base, text), base },
            Err(_) => What::Create { text: text.into() },
        };
        self.does(place, what).await;
    }

    async fn deletes(&mut self, path: &str) {
        let place = self.world.place(path);
        let base = self.world.editor.read(&place).await.expect("there");
        self.does(place, What::Delete { base, or_empty: false }).await;
    }

    async fn moves(&mut self, from: &str, to: &str) {
        let (place, to) = (self.world.place(from), self.world.place(to));
        let base = self.world.editor.read(&place).await.expect("there");
        self.does(place, What::Rename { base, to }).await;
    }

    async fn does(&mut self, place: Place, what: What) {
        let change = Change { place: place.clone(), label: String::new(), what, cancel: CancellationToken::new() };
        let Outcome::Applied(applied) = self.world.editor.apply(change).await else {
            panic!("{place} was not changed")
        };
        let (changed, texts) = self.changes.record(self.run, &place, &applied, &applied.hunks);
        self.kept.push(Record::Changed(Box::new(changed)));
        let mut kept = self.kept.texts.lock().expect("a lock");
        kept.extend(texts.into_iter().map(|text| (Hash::of(&text), text)));
    }

    /// Undoes the run; a line for each document.
    async fn undo(&self) -> Vec<String> {
        self.undo_in(&self.world.context.roots).await
    }

    async fn undo_in(&self, roots: &Roots) -> Vec<String> {
        let editor: &dyn Editor = &*self.world.editor;
        let undoing = undo(editor, roots, &self.kept, SessionId::new(), self.run).await.expect("records");
        // As the session does it.
        self.kept.push(Record::Undone(store::Undone { run: self.run, uris: undoing.undone, named: undoing.named }));
        let told = |file: FileUndone| match file.reason {
            None => format!("{}: {:?}", file.shown, file.outcome),
            Some(reason) => format!("{}: {:?}: {reason}", file.shown, file.outcome),
        };
        undoing.files.into_iter().map(told).collect()
    }

    fn exists(&self, path: &str) -> bool {
        self.world.top.join("ws").join(path).exists()
    }
}

#[tokio::test]
async fn files_and_buffers_are_restored_once_and_what_was_made_goes() {
    let mut ran = Ran::new(&[("a.rs", "one\r\ntwo\r\n"), ("b.rs", "b\n")]);
    ran.world.open("b.rs", "buffer\n");
    ran.writes("a.rs", "one\n2\nthree\n").await;
    ran.writes("b.rs", "BUFFER\n").await;
    ran.writes("new/c.rs", "c\n").await;
    ran.writes("a.rs", "1\n2\nthree\n").await;
    ran.writes("new/c.rs", "c\nd\n").await;
    assert_eq!(ran.undo().await, ["a.rs: Restored", "b.rs: Restored", "new/c.rs: Restored"]);
    assert_eq!(ran.world.disk("a.rs"), "one\r\ntwo\r\n");
    assert_eq!((ran.world.buffer("b.rs").as_str(), ran.world.disk("b.rs").as_str()), ("buffer\n", "b\n"));
    assert!(!ran.exists("new/c.rs") && ran.exists("new"), "no folder goes");
    assert_eq!(ran.undo().await, Vec::<String>::new(), "undone already");
}

#[tokio::test]
async fn what_the_person_typed_stays_and_a_conflict_changes_nothing_in_its_file() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\nthree\n"), ("b.rs", "one\ntwo\nthree\n")]);
    ran.writes("a.rs", "one\n2\nthree\n").await;
    ran.writes("b.rs", "1\ntwo\n3\n").await;
    ran.writes("made.rs", "made\n").await;
    ran.world.write("a.rs", "zero\none\n2\nthree\n");
    ran.world.write("b.rs", "1\ntwo\n3, typed\n");
    ran.world.write("made.rs", "made\nmine\n");
    let conflicts = [
        "b.rs: Conflict: line 3 was changed after the run had changed something there, so nothing in b.rs was undone",
        "made.rs: Conflict: line 2 was changed since the run had made made.rs, so it was not deleted",
    ];
    assert_eq!(ran.undo().await, [&["a.rs: Merged"], &conflicts[..]].concat());
    assert_eq!(ran.world.disk("a.rs"), "zero\none\ntwo\nthree\n");
    assert_eq!(ran.world.disk("b.rs"), "1\ntwo\n3, typed\n");
    assert_eq!(ran.world.disk("made.rs"), "made\nmine\n");
    // What conflicts can be undone later.
    assert_eq!(ran.undo().await, conflicts);
    ran.world.write("b.rs", "1\ntwo\n3\n");
    assert_eq!(ran.undo().await, ["b.rs: Restored", conflicts[1]]);
    assert_eq!(ran.world.disk("b.rs"), "one\ntwo\nthree\n");
}

#[tokio::test]
async fn what_comes_after_an_undo_is_undone_alone() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\n")]);
    ran.writes("a.rs", "1\ntwo\n").await;
    assert_eq!(ran.undo().await, ["a.rs: Restored"]);
    ran.writes("a.rs", "one\n2\n").await;
    ran.world.write("a.rs", "one!\n2\n");
    assert_eq!(ran.undo().await, ["a.rs: Merged"]);
    assert_eq!(ran.world.disk("a.rs"), "one!\ntwo\n");
}

#[tokio::test]
async fn an_open_file_that_the_run_made_loses_its_text_where_the_editor_cannot_delete() {
    let mut ran = Ran::new(&[]);
    ran.writes("made.rs", "made\n").await;
    ran.world.open("made.rs", "made\n");
    ran.world.editor.keeps_files.store(true, std::sync::atomic::Ordering::Relaxed);
    let left = "its text was taken out in the editor, which cannot delete an open file: on disk it is as it was before the undo; \
                close it and delete the file, or save it empty";
    assert_eq!(ran.undo().await, [format!("made.rs: Restored: {left}")]);
    assert_eq!((ran.world.buffer("made.rs").as_str(), ran.world.disk("made.rs").as_str()), ("", "made\n"));
}

#[tokio::test]
async fn what_is_gone_or_outside_or_a_link_now_is_told() {
    let mut ran = Ran::new(&[("gone.rs", "a\n"), ("link.rs", "a\n"), ("other.rs", "b\n"), ("undone.rs", "a\n")]);
    for path in ["gone.rs", "link.rs", "undone.rs", "made.rs"] {
        ran.writes(path, "b\n").await;
    }
    for path in ["gone.rs", "link.rs", "made.rs"] {
        fs::remove_file(ran.world.top.join("ws").join(path)).expect("removed");
    }
    ran.world.link("link.rs", "other.rs");
    ran.world.write("undone.rs", "a\n");
    fs::create_dir(ran.world.top.join("elsewhere")).expect("a folder");
    let elsewhere = Roots::new(&[ran.world.top.join("elsewhere")]);
    let outside = "gone.rs: Conflict: gone.rs is not in the folders that are open now; open its folder and try again";
    assert_eq!(ran.undo_in(&elsewhere).await[0], outside);
    let leads = ran.world.top.join("ws/other.rs");
    let link = format!(
        "link.rs: Conflict: link.rs is a link now and leads to {}; only what the run itself meant is changed",
        leads.display()
    );
    assert_eq!(
        ran.undo().await,
        [
            "gone.rs: Conflict: gone.rs is not there any more, so there is nothing to take the changes out of",
            &link,
            "undone.rs: Restored",
            "made.rs: Restored",
        ]
    );
    assert_eq!(ran.world.disk("other.rs"), "b\n");
}

#[tokio::test]
async fn what_the_editor_will_not_do_is_a_conflict_with_its_reason() {
    let mut ran = Ran::new(&[("a.rs", "a\n")]);
    ran.writes("a.rs", "b\n").await;
    ran.world.next(Outcome::Refused { reason: "the editor says no".into() });
    assert_eq!(ran.undo().await, ["a.rs: Conflict: the editor says no"]);
    ran.world.next(Outcome::NotConfirmed { reason: "the editor did not answer within 10 s".into(), late: None });
    assert_eq!(
        ran.undo().await,
        ["a.rs: Conflict: it is not confirmed that it was undone: the editor did not answer within 10 s"]
    );
    assert_eq!(ran.undo().await, ["a.rs: Restored"]);
}

#[tokio::test]
async fn an_undo_that_could_not_be_saved_is_told() {
    let mut ran = Ran::new(&[("a.rs", "a\n")]);
    ran.writes("a.rs", "b\n").await;
    ran.world.notes_the_next("The file on disk is as before.");
    assert_eq!(ran.undo().await, ["a.rs: Restored: The file on disk is as before."]);
}

#[tokio::test]
async fn a_place_that_was_taken_back_and_could_not_be_saved_is_told() {
    let mut ran = Ran::new(&[("a.rs", "a\n")]);
    let place = ran.world.place("a.rs");
    let base = ran.world.editor.read(&place).await.expect("there");
    let patch = Patch::between(&base, "b\n");
    let change = Change {
        place: place.clone(),
        label: String::new(),
        what: What::Edit { base, patch },
        cancel: CancellationToken::new(),
    };
    let Outcome::Applied(mut applied) = ran.world.editor.apply(change).await else { panic!("applied") };
    applied.hunks[0].id = "h1".into();
    let (changed, texts) = ran.changes.record(ran.run, &place, &applied, &applied.hunks);
    ran.kept.push(Record::Changed(Box::new(changed)));
    ran.kept.texts.lock().expect("a lock").extend(texts.into_iter().map(|text| (Hash::of(&text), text)));
    let (editor, select_all): (&dyn Editor, _) =
        (&*ran.world.editor, Select { run: Some(ran.run), ..Select::default() });
    let selected = select(&ran.kept, SessionId::new(), ran.run, &select_all, editor, true).await.expect("records");
    ran.world.notes_the_next("The file on disk is as before.");
    let taken = selected.places[0].take_back(editor, &ran.world.context.roots, &ran.kept).await.expect("taken back");
    assert_eq!((taken.0.len(), taken.1.as_deref()), (1, Some("The file on disk is as before.")));
    assert_eq!(ran.world.disk("a.rs"), "a\n");
}

#[tokio::test]
async fn typing_at_the_moment_of_the_undo_is_kept() {
    let mut ran = Ran::new(&[("a.rs", "")]);
    ran.world.open("a.rs", "one\ntwo\nthree\n");
    ran.writes("a.rs", "one\ntwo\n3\n").await;
    ran.world.types_before_the_change("a.rs", "one!\ntwo\n3\n");
    assert_eq!(ran.undo().await, ["a.rs: Merged"]);
    assert_eq!(ran.world.buffer("a.rs"), "one!\ntwo\nthree\n");
}

#[tokio::test]
async fn a_text_that_is_not_kept_any_more_is_told() {
    let mut ran = Ran::new(&[("a.rs", "a\n")]);
    ran.writes("a.rs", "b\n").await;
    ran.kept.texts.lock().expect("a lock").clear();
    assert_eq!(ran.undo().await, ["a.rs: Conflict: the text of a.rs before the change: it is gone"]);
    assert_eq!(ran.world.disk("a.rs"), "b\n");
}

impl Kept {
    fn push(&self, record: Record) {
        // As a file keeps it.
        let json = serde_json::to_string(&record).expect("JSON");
        self.records.lock().expect("a lock").push(serde_json::from_str(&json).expect("a record"));
    }
}

const NOT_ASKED: &str = "undo does not ask for it";

#[async_trait]
impl Store for Kept {
    async fn changes(&self, _: SessionId, run: RunId) -> Result<Vec<Stored>, StoreError> {
        let records = self.records.lock().expect("a lock");
        let of_run = records.iter().filter(|record| record.run() == Some(run));
        let stored =
            |record: &Record| Stored { number: 0, at_ms: 0, hash: Hash::default(), record: Some(record.clone()) };
        Ok(of_run.map(stored).collect())
    }

    async fn content(&self, hash: Hash) -> Result<Vec<u8>, StoreError> {
        let texts = self.texts.lock().expect("a lock");
        texts.get(&hash).cloned().ok_or_else(|| StoreError::Failed("it is gone".into()))
    }

    async fn append(&self, _: Batch) -> Result<Head, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn session(&self, _: SessionId) -> Result<Option<Standing>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn sessions(&self, _: Option<&str>) -> Result<Vec<SessionRow>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn active(&self, _: &str) -> Result<Option<SessionId>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn set_active(&self, _: SessionId) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn rename(&self, _: SessionId, _: &str) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn delete(&self, _: SessionId) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn resume(&self, _: SessionId) -> Result<(Standing, Vec<Stored>), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn records(&self, _: SessionId, _: RangeInclusive<u64>) -> Result<Vec<Stored>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn runs(&self, _: SessionId, _: usize) -> Result<Vec<StoredRun>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn run(&self, _: RunId) -> Result<Option<StoredRun>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn events(&self, _: SessionId, _: Option<RunId>, _: u64) -> Result<Vec<Envelope>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn search(&self, _: SessionId, _: &str, _: usize) -> Result<Vec<Found>, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn retain(&self, _: SessionId, _: Keep) -> Result<(), StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn verify(&self) -> Result<Report, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn tidy(&self) -> Result<Tidied, StoreError> {
        unreachable!("{NOT_ASKED}")
    }

    async fn close(&self) {}

    fn durable(&self) -> bool {
        false
    }

    fn file(&self) -> Option<PathBuf> {
        None
    }
}

#[tokio::test]
async fn a_moved_file_gets_its_old_name_and_its_old_text_back() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\nthree\n"), ("b.rs", "b\n"), ("open.rs", "on disk\n")]);
    ran.world.open("open.rs", "typed\n");
    let before = ran.world.state();
    ran.writes("a.rs", "one\n2\nthree\n").await;
    ran.moves("a.rs", "src/a.rs").await;
    ran.writes("src/a.rs", "one\n2\n3\n").await;
    ran.moves("src/a.rs", "src/c.rs").await;
    ran.moves("b.rs", "d.rs").await;
    // The old name is given to another one meanwhile.
    ran.writes("b.rs", "made anew\n").await;
    ran.moves("open.rs", "opened.rs").await;
    assert_eq!(ran.undo().await, ["a.rs: Restored", "b.rs: Restored", "b.rs: Restored", "open.rs: Restored"]);
    assert_eq!(ran.world.state(), before);
    assert_eq!(ran.undo().await, Vec::<String>::new(), "undone already");
}

#[tokio::test]
async fn a_file_that_got_its_name_back_and_no_more_is_told_and_finished_later() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\n")]);
    ran.writes("a.rs", "one\n2\n").await;
    ran.moves("a.rs", "b.rs").await;
    // The edit behind the rename.
    ran.world.after(1, Outcome::Refused { reason: "the editor says no".into() });
    let told = "a.rs: Conflict: it has its old name again (it was b.rs), and its text is as the run left it: the editor says no; \
                undo again to take that back too";
    assert_eq!(ran.undo().await, [told]);
    assert!(ran.exists("a.rs") && !ran.exists("b.rs"));
    // Whatever the person types until then.
    ran.world.write("a.rs", "zero\none\n2\n");
    assert_eq!(ran.undo().await, ["a.rs: Merged"]);
    assert_eq!(ran.world.disk("a.rs"), "zero\none\ntwo\n");
    assert_eq!(ran.undo().await, Vec::<String>::new(), "undone already");
}

#[tokio::test]
async fn a_name_that_came_back_late_or_by_hand_is_no_obstacle() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\n")]);
    ran.writes("a.rs", "one\n2\n").await;
    ran.moves("a.rs", "b.rs").await;
    let at = |path: &str| ran.world.top.join("ws").join(path);
    fs::rename(at("b.rs"), at("a.rs")).expect("renamed");
    assert_eq!(ran.undo().await, ["a.rs: Restored"]);
    assert_eq!(ran.world.disk("a.rs"), "one\ntwo\n");
}

#[tokio::test]
async fn another_file_under_the_old_name_is_left_alone() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\n")]);
    ran.writes("a.rs", "one\n2\n").await;
    ran.moves("a.rs", "b.rs").await;
    let top = ran.world.top.join("ws");
    fs::remove_file(top.join("b.rs")).expect("removed");
    ran.world.write("a.rs", "the person's\none\n2\n");
    let gone = "b.rs: Conflict: b.rs is not there any more, so there is nothing to take the changes out of";
    assert_eq!(ran.undo().await, [gone]);
    assert_eq!(ran.world.disk("a.rs"), "the person's\none\n2\n");
}

#[tokio::test]
async fn what_was_typed_in_a_moved_file_stays_and_a_taken_name_is_a_conflict() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\nthree\n"), ("b.rs", "b\n")]);
    ran.writes("a.rs", "one\ntwo\n3\n").await;
    ran.moves("a.rs", "c.rs").await;
    ran.moves("b.rs", "d.rs").await;
    ran.world.write("c.rs", "zero\none\ntwo\n3\n");
    ran.world.write("b.rs", "the person's\n");
    assert_eq!(ran.undo().await, ["a.rs: Merged", "d.rs: Conflict: b.rs exists already"]);
    assert_eq!(ran.world.disk("a.rs"), "zero\none\ntwo\nthree\n");
    assert_eq!((ran.world.disk("b.rs").as_str(), ran.world.disk("d.rs").as_str()), ("the person's\n", "b\n"));
    assert!(!ran.exists("c.rs"));
    fs::remove_file(ran.world.top.join("ws/b.rs")).expect("removed");
    assert_eq!(ran.undo().await, ["b.rs: Restored"]);
    assert_eq!(ran.world.disk("b.rs"), "b\n");
}

#[tokio::test]
async fn a_deleted_file_comes_back_as_it_was() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut ran = Ran::new(&[("a.rs", "one\r\ntwo\r\n"), ("again.rs", "mine\n")]);
    ran.world.write("latin", b"d\xe9j\xe0 vu\n");
    ran.world.write("open.rs", "one\n");
    ran.world.open("open.rs", "one\n");
    let mode = fs::Permissions::from_mode(0o751);
    fs::set_permissions(ran.world.top.join("ws/a.rs"), mode).expect("a mode");
    let before: Vec<String> = ran.world.state().into_iter().filter(|line| !line.starts_with("open ")).collect();
    ran.writes("a.rs", "one\n2\n").await;
    ran.writes("made.rs", "made\n").await;
    for path in ["a.rs", "latin", "open.rs", "made.rs"] {
        ran.deletes(path).await;
    }
    // What it deletes and makes again is a changed file.
    ran.deletes("again.rs").await;
    ran.writes("again.rs", "the run's\n").await;
    let restored =
        ["a.rs: Restored", "made.rs: Restored", "latin: Restored", "open.rs: Restored", "again.rs: Restored"];
    assert_eq!(ran.undo().await, restored);
    assert_eq!(ran.world.state(), before);
    assert_eq!(ran.undo().await, Vec::<String>::new(), "undone already");

    ran.deletes("a.rs").await;
    ran.world.write("a.rs", "by hand\n");
    assert_eq!(ran.undo().await, ["a.rs: Conflict: a.rs was made anew after the run had deleted it, so it stays"]);
    assert_eq!(ran.world.disk("a.rs"), "by hand\n");
}

#[tokio::test]
async fn what_was_taken_back_already_leaves_nothing_to_undo() {
    let mut ran = Ran::new(&[("a.rs", "one\n"), ("b.rs", "two\n")]);
    let before = ran.world.state();
    ran.moves("a.rs", "c.rs").await;
    ran.moves("c.rs", "a.rs").await;
    ran.deletes("b.rs").await;
    let place = ran.world.place("b.rs");
    let base = Snapshot::detached("two\n", "");
    ran.does(place, What::Restore { base, mode: None }).await;
    assert_eq!(ran.undo().await, ["a.rs: Restored", "b.rs: Restored"]);
    assert_eq!(ran.world.state(), before);
}

#[tokio::test]
async fn a_name_that_went_from_hand_to_hand_is_given_back() {
    let mut ran = Ran::new(&[("a.rs", "a\n"), ("b.rs", "b\nof b\n")]);
    let before = ran.world.state();
    ran.writes("b.rs", "B\nof b\n").await;
    ran.deletes("a.rs").await;
    ran.moves("b.rs", "a.rs").await;
    ran.writes("a.rs", "B\nof a\n").await;
    assert_eq!(ran.undo().await, ["b.rs: Restored", "a.rs: Restored"]);
    assert_eq!(ran.world.state(), before);
}

#[tokio::test]
async fn a_conflict_in_a_moved_file_can_be_undone_later_though_its_old_name_was_used_again() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\n")]);
    ran.writes("a.rs", "1\ntwo\n").await;
    ran.moves("a.rs", "b.rs").await;
    ran.writes("a.rs", "anew\n").await;
    ran.world.write("b.rs", "1, typed\ntwo\n");
    let undone = ran.undo().await;
    assert!(undone[0].starts_with("b.rs: Conflict") && undone[1] == "a.rs: Restored", "{undone:?}");
    ran.world.write("b.rs", "1\ntwo\n");
    assert_eq!(ran.undo().await, ["a.rs: Restored"]);
    assert_eq!(ran.world.disk("a.rs"), "one\ntwo\n");
}

#[tokio::test]
async fn a_deleted_file_comes_back_with_what_was_typed_where_the_run_had_changed_it() {
    let mut ran = Ran::new(&[("a.rs", "one\ntwo\n")]);
    ran.writes("a.rs", "1\ntwo\n").await;
    ran.world.write("a.rs", "1, typed\ntwo\n");
    ran.deletes("a.rs").await;
    assert_eq!(ran.undo().await, ["a.rs: Merged"]);
    assert_eq!(ran.world.disk("a.rs"), "1, typed\ntwo\n");
}

/// A file that was put back, or made anew, was the person's before.
#[tokio::test]
async fn taking_back_the_place_that_made_a_file_anew_brings_the_old_one_back() {
    let mut ran = Ran::new(&[("a.rs", "mine\n")]);
    ran.deletes("a.rs").await;
    ran.writes("a.rs", "the run's\n").await;
    let document = documents(&ran.kept, SessionId::new(), ran.run).await.expect("records").pop().expect("one");
    let trail = document.trail(&ran.kept).await.expect("texts").only(|_| true);
    let now = Rope::from_str("the run's\n");
    match trail.plan_places(Some(&now)) {
        Plan::Restored(back) | Plan::Merged(back) => assert_eq!(back.apply(&now), "mine\n"),
        other => panic!("{other:?}"),
    }
}
