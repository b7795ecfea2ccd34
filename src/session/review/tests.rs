use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::edit::{Hunk, Patch};
use crate::editor::{Applied, Change, Outcome, ReadError, What};
use crate::store;
use crate::text::Snapshot;
use crate::tool::testing::World;

/// An editor that takes its time to read, as with a file that is not open, and so long to change something.
struct Slow {
    real: Arc<dyn Editor>,
    takes: StdMutex<Duration>,
    changes: AtomicU32,
}

#[async_trait::async_trait]
impl Editor for Slow {
    fn open(&self) -> Vec<(Place, Snapshot)> {
        self.real.open()
    }

    fn buffer(&self, place: &Place) -> Option<Snapshot> {
        self.real.buffer(place)
    }

    async fn read(&self, place: &Place) -> Result<Snapshot, ReadError> {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.real.read(place).await
    }

    async fn apply(&self, change: Change) -> Outcome {
        self.changes.fetch_add(1, Ordering::Relaxed);
        let takes = std::mem::take(&mut *self.takes.lock().expect("a lock"));
        tokio::time::sleep(takes).await;
        self.real.apply(change).await
    }

    fn uri(&self, place: &Place) -> String {
        self.real.uri(place)
    }

    fn encoding(&self) -> crate::text::Encoding {
        self.real.encoding()
    }
}

/// A run of mode `ask` in a folder, and a session that keeps what it is given.
struct Desk {
    world: World,
    /// The same editor, as the person's decisions meet it.
    slow: Arc<Slow>,
    reviews: Arc<Reviews>,
    run: RunId,
    editor: Arc<Reviewing>,
    kept: Arc<StdMutex<Vec<Record>>>,
    told: Arc<StdMutex<Vec<String>>>,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let world = World::new(files);
        let mailbox: Arc<Mailbox> = Arc::default();
        let kept: Arc<StdMutex<Vec<Record>>> = Arc::default();
        let told: Arc<StdMutex<Vec<String>>> = Arc::default();
        let (records, lines, inbox) = (kept.clone(), told.clone(), mailbox.clone());
        tokio::spawn(async move {
            loop {
                for entry in inbox.drain(true) {
                    let Entry::Reviewed { reviewed, kept } = entry else { panic!("something else") };
                    records.lock().expect("a lock").extend(reviewed.records);
                    let mut lines = lines.lock().expect("a lock");
                    lines.extend(reviewed.events.iter().map(line));
                    lines.extend(reviewed.note.map(|note| format!("note: {}", note.replace('\n', " "))));
                    let _ = kept.send(Ok(()));
                }
                inbox.filled().await;
            }
        });
        let reviews = Arc::new(Reviews::new(SessionId::new(), mailbox, Shared::default(), Vec::new()));
        let run = RunId::new();
        let editor = Arc::new(Reviewing::new(run, world.editor.clone(), reviews.clone()));
        let (takes, changes) = (StdMutex::default(), AtomicU32::new(0));
        let slow = Arc::new(Slow { real: world.editor.clone(), takes, changes });
        Self { world, slow, reviews, run, editor, kept, told }
    }

    fn change(&self, path: &str, what: What) -> Change {
        Change { place: self.world.place(path), label: String::new(), what, cancel: CancellationToken::new() }
    }

    async fn shown(&self, path: &str) -> Result<Snapshot, ReadError> {
        self.editor.read(&self.world.place(path)).await
    }

    async fn reads(&self, path: &str) -> String {
        self.shown(path).await.map_or_else(|error| error.to_string(), |shown| shown.rope().to_string())
    }

    /// The run makes a file read so.
    async fn edits(&self, path: &str, text: &str) -> Outcome {
        let base = self.shown(path).await.expect("there");
        self.edits_from(path, base, text).await
    }

    async fn edits_from(&self, path: &str, base: Snapshot, text: &str) -> Outcome {
        let patch = Patch::between(&base, text);
        self.editor.apply(self.change(path, What::Edit { base, patch })).await
    }

    async fn creates(&self, path: &str, text: &str) -> Outcome {
        self.editor.apply(self.change(path, What::Create { text: text.into() })).await
    }

    async fn deletes(&self, path: &str) -> Outcome {
        let base = self.shown(path).await.expect("there");
        self.editor.apply(self.change(path, What::Delete { base, or_empty: false })).await
    }

    async fn renames(&self, path: &str, to: &str) -> Outcome {
        let base = self.shown(path).await.expect("there");
        self.editor.apply(self.change(path, What::Rename { base, to: self.world.place(to) })).await
    }

    /// Whether the run takes back what it has just proposed.
    async fn withdraws(&self, path: &str, outcome: Outcome) -> bool {
        let Outcome::Proposed(proposed) = outcome else { panic!("{outcome:?}") };
        self.editor.withdraw(&self.world.place(path), &proposed).await
    }

    async fn accept(&self, hunk: Option<&str>) -> Decisions {
        let editor: Arc<dyn Editor> = self.slow.clone();
        self.reviews.accept(&editor, &self.select(hunk), &|_| Ok(()), &[]).await
    }

    async fn reject(&self, hunk: Option<&str>) -> Decisions {
        self.reviews.reject(self.world.editor.as_ref(), &self.select(hunk), &[]).await.expect("kept")
    }

    /// The next change takes so many seconds and is not confirmed; it lands when this is sent.
    async fn is_not_confirmed_after(&self, seconds: u64) -> oneshot::Sender<Applied> {
        let (tx, late) = oneshot::channel();
        let reason = "nothing was seen".into();
        self.world.next(Outcome::NotConfirmed { reason, late: Some(late) });
        *self.slow.takes.lock().expect("a lock") = Duration::from_secs(seconds);
        tx
    }

    /// The editor makes a file read so.
    async fn makes(&self, path: &str, text: &str) -> Applied {
        let base = self.world.editor.read(&self.world.place(path)).await.expect("there");
        let patch = Patch::between(&base, text);
        match self.world.editor.apply(self.change(path, What::Edit { base, patch })).await {
            Outcome::Applied(applied) => applied,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn select(&self, hunk: Option<&str>) -> Select {
        Select { run: Some(self.run), uri: None, hunk: hunk.map(str::to_owned) }
    }

    /// What waits, a line each.
    fn waits(&self) -> Vec<String> {
        let files = self.reviews.list(self.world.editor.as_ref(), SessionId::new());
        let lines = files.iter().flat_map(|file| {
            let operation = match &file.operation {
                Operation::Rename { to } => format!("rename to {to}"),
                other => format!("{other:?}").to_lowercase(),
            };
            file.hunks.iter().map(move |hunk| {
                let at = hunk.range.start.line + 1;
                format!("{operation} {} {} at {at}: {:?} -> {:?}", file.place, hunk.id, hunk.old_text, hunk.new_text)
            })
        });
        lines.collect()
    }

    /// What a restart would give back, a line for each document.
    fn recorded(&self) -> Vec<String> {
        let mut state = crate::session::state::State::default();
        self.kept.lock().expect("a lock").iter().for_each(|record| state.apply(record, 1));
        let line = |proposed: &store::Proposed| {
            let ids: Vec<&str> = proposed.hunks.iter().map(|piece| piece.hunk.as_str()).collect();
            format!("{} {}", proposed.shown, ids.join(" "))
        };
        state.proposed().iter().map(line).collect()
    }

    /// What was told since the last call.
    async fn told(&self) -> Vec<String> {
        // Whoever does not wait for it has handed it over by now.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        std::mem::take(&mut *self.told.lock().expect("a lock"))
    }
}

fn line(event: &Event) -> String {
    let event = json!(event);
    let hunks = event["hunks"].as_array().into_iter().flatten();
    let ids: Vec<&str> = hunks.filter_map(|hunk| hunk["id"].as_str()).collect();
    let mut line = format!("{} {}", event["type"].as_str().expect("a type"), ids.join(" "));
    for field in ["operation", "replaces", "reason"] {
        if let Some(value) = event.get(field) {
            line += &format!(" {field} {value}");
        }
    }
    line
}

#[tokio::test]
async fn a_new_file_is_one_place_which_the_run_reads_changes_and_gives_up() {
    let desk = Desk::new(&[]);
    assert!(matches!(desk.creates("new.rs", "one\n").await, Outcome::Proposed(_)));
    assert_eq!(desk.reads("new.rs").await, "one\n");
    assert!(matches!(desk.creates("new.rs", "two\n").await, Outcome::Refused { .. }), "it is there already");
    desk.edits("new.rs", "one\ntwo\n").await;
    assert_eq!(desk.waits(), [r#"create new.rs p2 at 1: "" -> "one\ntwo\n""#]);
    assert!(desk.editor.open().iter().any(|(place, _)| place.to_string() == "new.rs"), "searches look into it");
    desk.deletes("new.rs").await;
    assert_eq!((desk.waits(), desk.reads("new.rs").await), (vec![], "new.rs does not exist".to_owned()));
    let said = ["editProposed p1 operation \"create\"", "editProposed p2 operation \"create\" replaces [\"p1\"]"];
    assert_eq!(desk.told().await, [&said[..], &["editProposed  operation \"create\" replaces [\"p2\"]"]].concat());
}

#[tokio::test]
async fn a_file_that_is_to_go_can_be_made_anew_and_is_gone_once_that_is_taken() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\n")]);
    desk.edits("a.rs", "1\ntwo\nthree\n").await;
    desk.deletes("a.rs").await;
    assert_eq!(desk.waits(), [r#"delete a.rs p2 at 1: "one\ntwo\nthree\n" -> """#]);
    assert_eq!(desk.reads("a.rs").await, "a.rs does not exist");
    desk.creates("a.rs", "one\ntwo\n3\n").await;
    assert_eq!(desk.waits(), [r#"edit a.rs p3 at 3: "three" -> "3""#], "what it comes to is a change");
    desk.deletes("a.rs").await;
    assert_eq!(desk.accept(None).await, Decisions { hunks: vec!["p4".into()], problems: vec![] });
    assert!(matches!(desk.world.editor.read(&desk.world.place("a.rs")).await, Err(ReadError::Missing(_))));
}

#[tokio::test]
async fn a_file_that_was_changed_is_not_deleted_and_one_that_came_is_not_replaced() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.deletes("a.rs").await;
    desk.creates("b.rs", "mine\n").await;
    desk.told().await;
    desk.world.write("a.rs", "one, typed\n");
    desk.world.write("b.rs", "theirs\n");
    let decisions = desk.accept(None).await;
    assert!(decisions.hunks.is_empty(), "{decisions:?}");
    let said = ["a.rs was not changed: a.rs was changed meanwhile", "b.rs was not changed: b.rs is there by now"];
    assert_eq!(decisions.problems, said);
    assert_eq!((desk.world.disk("a.rs"), desk.world.disk("b.rs")), ("one, typed\n".into(), "theirs\n".into()));
    assert_eq!(desk.waits(), Vec::<String>::new());
    assert!(desk.told().await.iter().any(|line| line.starts_with("editRejected p1 reason \"a.rs was changed")));
}

/// Of a set of changes that cannot all be proposed, none is.
#[tokio::test]
async fn what_was_proposed_last_can_be_withdrawn_and_what_was_before_waits_on() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\n"), ("b.rs", "b\n")]);
    desk.edits("a.rs", "1\ntwo\nthree\n").await;
    let first = desk.waits();
    assert!(desk.withdraws("a.rs", desk.edits("a.rs", "1\ntwo\n3\n").await).await);
    assert_eq!(desk.waits(), first);
    assert!(desk.withdraws("a.rs", desk.edits("a.rs", "1!\ntwo\nthree\n").await).await, "on the same line");
    assert_eq!(desk.reads("a.rs").await, "1\ntwo\nthree\n");
    assert!(desk.withdraws("a.rs", desk.renames("a.rs", "c.rs").await).await);
    assert_eq!(desk.reads("a.rs").await, "1\ntwo\nthree\n");
    assert!(desk.withdraws("a.rs", desk.deletes("a.rs").await).await);
    assert_eq!(desk.reads("a.rs").await, "1\ntwo\nthree\n");
    assert!(desk.withdraws("b.rs", desk.deletes("b.rs").await).await);
    assert!(desk.withdraws("new.rs", desk.creates("new.rs", "new\n").await).await);
    let waits = desk.waits();
    assert!(waits.len() == 1 && waits[0].ends_with(r#"at 1: "one" -> "1""#), "{waits:?}");
    let proposed = desk.edits("b.rs", "B\n").await;
    desk.accept(None).await;
    assert!(!desk.withdraws("b.rs", proposed).await, "it is decided");
}

#[tokio::test]
async fn a_rename_that_is_accepted_is_made() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.renames("a.rs", "b.rs").await;
    desk.edits("b.rs", "1\n").await;
    assert_eq!(desk.accept(None).await.problems, Vec::<String>::new());
    assert_eq!(desk.world.disk("b.rs"), "1\n");
    assert_eq!((desk.waits(), desk.reads("a.rs").await), (vec![], "a.rs does not exist".to_owned()));
}

#[tokio::test]
async fn a_renamed_file_is_read_and_changed_under_its_new_name() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\n")]);
    desk.edits("a.rs", "1\ntwo\nthree\n").await;
    desk.renames("a.rs", "b.rs").await;
    assert_eq!(
        (desk.reads("a.rs").await, desk.reads("b.rs").await),
        ("a.rs does not exist".into(), "1\ntwo\nthree\n".into())
    );
    desk.edits("b.rs", "1\ntwo\n3\n").await;
    assert!(matches!(desk.creates("a.rs", "x\n").await, Outcome::Refused { .. }));
    let rename = r#"rename to b.rs a.rs p2 at 1: "" -> """#;
    let edits = [r#"a.rs p1 at 1: "one" -> "1""#, r#"a.rs p3 at 3: "three" -> "3""#];
    assert_eq!(
        desk.waits(),
        [rename.to_owned(), format!("rename to b.rs {}", edits[0]), format!("rename to b.rs {}", edits[1])]
    );
    desk.accept(Some("p1")).await;
    assert_eq!(desk.world.disk("a.rs"), "1\ntwo\nthree\n", "its text is changed where it is");
    desk.reject(Some("p2")).await;
    assert_eq!(desk.waits(), [format!("edit {}", edits[1])]);
    assert_eq!(desk.reads("a.rs").await, "1\ntwo\n3\n");
    desk.renames("a.rs", "b.rs").await;
    desk.renames("b.rs", "a.rs").await;
    assert_eq!(desk.waits(), [format!("edit {}", edits[1])], "back where it was");
}

#[tokio::test]
async fn a_file_that_is_to_have_another_name_is_among_the_open_ones_under_that() {
    let at = Desk::new(&[("a.rs", "one\n"), ("shut.rs", "shut\n")]);
    at.world.open("a.rs", "typed\n");
    at.renames("a.rs", "b.rs").await;
    let open = || -> Vec<String> {
        let open = at.editor.open().into_iter();
        open.map(|(place, now)| format!("{place}: {}", now.rope().to_string().trim_end())).collect()
    };
    assert_eq!(open(), ["b.rs: typed"]);
    at.edits("b.rs", "changed\n").await;
    assert_eq!(open(), ["b.rs: changed"]);
    // What is changed in a file that is not open is nowhere else to be seen.
    at.renames("shut.rs", "gone.rs").await;
    at.edits("gone.rs", "SHUT\n").await;
    assert_eq!(open(), ["b.rs: changed", "gone.rs: SHUT"]);
}

#[tokio::test]
async fn what_the_run_did_not_see_is_a_conflict_for_its_next_change() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\n")]);
    let seen = desk.shown("a.rs").await.expect("there");
    desk.edits("a.rs", "one\n2\nthree\n").await;
    let believed = desk.shown("a.rs").await.expect("there");
    desk.reject(None).await;
    let outcome = desk.edits_from("a.rs", believed.clone(), "one\n2!\nthree\n").await;
    let Outcome::Conflict { reason, now } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (reason.as_str(), now.rope().to_string().as_str()),
        ("line 2 was changed meanwhile", "one\ntwo\nthree\n")
    );
    // Elsewhere there is nothing in the way, and what was refused does not come back with it.
    assert!(matches!(desk.edits_from("a.rs", believed, "1\n2\nthree\n").await, Outcome::Proposed(_)));
    assert_eq!(desk.reads("a.rs").await, "1\ntwo\nthree\n");
    desk.world.write("a.rs", "typed\none\ntwo\nthree\n");
    assert_eq!(desk.reads("a.rs").await, "typed\n1\ntwo\nthree\n", "it follows the text");
    assert!(matches!(desk.edits_from("a.rs", seen, "one\ntwo\n3\n").await, Outcome::Proposed(_)));
    assert_eq!(desk.accept(None).await.hunks, ["p2", "p3"]);
    assert_eq!(desk.world.disk("a.rs"), "typed\n1\ntwo\n3\n");
}

#[tokio::test]
async fn what_the_person_does_by_hand_is_done_and_what_stands_in_the_way_is_named() {
    let desk = Desk::new(&[]);
    desk.world.open("a.rs", "one\ntwo\nthree\nfour\nfive\n");
    desk.edits("a.rs", "1\ntwo\n3\nfour\n5\n").await;
    desk.told().await;
    desk.world.types("a.rs", "1\ntwo\nthree, mine\nfour\nfive\n");
    assert_eq!(desk.waits(), [r#"edit a.rs p3 at 5: "five" -> "5""#]);
    assert_eq!(desk.accept(Some("p3")).await.hunks, ["p3"]);
    let told = desk.told().await;
    assert_eq!(told[0], r#"editRejected p1 reason "the text reads so already""#);
    assert_eq!(told[1], r#"editRejected p2 reason "there is no place for it any more: line 3 was changed meanwhile""#);
    assert!(told[2].contains("has made a part of what you had proposed in a.rs by hand"), "{}", told[2]);
    assert!(told[2].contains("It was: \"3\""), "{}", told[2]);
    assert_eq!(told[3], "editApplied p3");
    assert_eq!(told[4], "note: The person took your proposed change of a.rs at line 5. It is in the text now.");
}

#[tokio::test]
async fn typing_at_the_moment_of_a_yes_stays_and_the_rest_goes_on_waiting() {
    let desk = Desk::new(&[]);
    desk.world.open("a.rs", "one\ntwo\nthree\nfour\nfive\n");
    desk.edits("a.rs", "1\ntwo\n3\nfour\n5\n").await;
    desk.world.types_before_the_change("a.rs", "typed\none\ntwo\nthree\nfour\nfive\n");
    assert_eq!(desk.accept(Some("p2")).await.hunks, ["p2"]);
    assert_eq!(desk.world.buffer("a.rs"), "typed\none\ntwo\n3\nfour\nfive\n");
    assert_eq!(desk.waits().len(), 2);
    desk.world.types_before_the_change("a.rs", "typed\none, mine\ntwo\n3\nfour\nfive\n");
    let decisions = desk.accept(Some("p1")).await;
    assert!(decisions.problems[0].contains("line 2 was changed meanwhile"), "{decisions:?}");
    assert_eq!(desk.world.buffer("a.rs"), "typed\none, mine\ntwo\n3\nfour\nfive\n");
    assert_eq!(desk.waits(), [r#"edit a.rs p3 at 6: "five" -> "5""#], "what has no place any more is gone");
}

#[tokio::test]
async fn one_that_is_confirmed_late_counts_as_taken() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.edits("a.rs", "1\n").await;
    let (tx, late) = oneshot::channel();
    let base = desk.world.editor.read(&desk.world.place("a.rs")).await.expect("there");
    desk.world.next(Outcome::NotConfirmed { reason: "nothing was seen".into(), late: Some(late) });
    let decisions = desk.accept(None).await;
    assert!(decisions.problems[0].contains("not confirmed"), "{decisions:?}");
    assert_eq!(desk.waits().len(), 1, "it waits on");
    let patch = Patch::between(&base, "1\n");
    let Outcome::Applied(applied) = desk.world.editor.apply(desk.change("a.rs", What::Edit { base, patch })).await
    else {
        panic!("applied")
    };
    let mut moved = desk.reviews.shared.moved();
    tx.send(applied).expect("somebody waits");
    moved.changed().await.expect("the list moves");
    assert_eq!(desk.waits(), Vec::<String>::new());
    assert!(desk.told().await.iter().any(|line| line == "editApplied p1"));
}

#[tokio::test]
async fn what_is_recorded_is_restored_and_what_is_decided_is_not() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\n"), ("c.rs", "c\n"), ("d.rs", "d\n")]);
    desk.edits("a.rs", "1\ntwo\n3\n").await;
    desk.creates("b.rs", "b\n").await;
    desk.deletes("c.rs").await;
    desk.renames("d.rs", "e.rs").await;
    desk.reject(Some("p1")).await;
    let waits = desk.waits();
    assert_eq!(waits.len(), 4, "{waits:?}");
    let records = std::mem::take(&mut *desk.kept.lock().expect("a lock"));
    // As a store gives them back.
    let json = serde_json::to_string(&records).expect("records are JSON");
    let records: Vec<Record> = serde_json::from_str(&json).expect("and back");
    let mut state = crate::session::state::State::default();
    records.iter().for_each(|record| state.apply(record, 1));
    // A checkpoint spares a restore what stands before it, but not this.
    let checkpoint = store::Checkpoint { proposed: state.proposed().to_vec(), ..store::Checkpoint::default() };
    let named = Record::Checkpoint(Box::new(checkpoint));
    assert_eq!(named.contents().count(), 4);
    let mut state = crate::session::state::State::default();
    state.apply(&named, 1);
    let texts = ["one\ntwo\nthree\n", "", "c\n", "d\n"].map(|text| (store::Hash::of(text.as_bytes()), text));
    let restored = state.proposed().iter().map(|proposed| {
        let (_, text) = texts.iter().find(|(hash, _)| *hash == proposed.base).expect("a text that was kept");
        Pending::restored(proposed, text.as_bytes()).expect("it fits")
    });
    *desk.reviews.lock() = restored.collect();
    assert_eq!(desk.waits(), waits);
    state.apply(&Record::Checkpoint(Box::default()), 1);
    assert!(state.proposed().is_empty(), "a cleared session waits for nothing");
}

#[tokio::test]
async fn what_landed_is_said_although_the_rename_behind_it_failed() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.renames("a.rs", "b.rs").await;
    desk.edits("b.rs", "1\n").await;
    desk.world.after(1, Outcome::Refused { reason: "no".into() });
    let decisions = desk.accept(None).await;
    assert_eq!((decisions.hunks, decisions.problems.len()), (vec!["p2".to_owned()], 1));
    assert_eq!((desk.world.disk("a.rs").as_str(), desk.waits().len()), ("1\n", 1));
}

#[tokio::test]
async fn a_new_file_that_was_moved_is_restored_once() {
    let desk = Desk::new(&[]);
    desk.creates("a.rs", "one\n").await;
    desk.renames("a.rs", "b.rs").await;
    assert_eq!(desk.recorded(), ["b.rs p2"]);
}

/// The person would lose what earlier calls have proposed.
#[tokio::test]
async fn withdrawing_a_failed_set_leaves_what_was_proposed_before_it() {
    let desk = Desk::new(&[("a.rs", "one\n"), ("d.rs", "one\ntwo\n")]);
    desk.creates("new.rs", "one\n").await;
    desk.renames("a.rs", "b.rs").await;
    desk.deletes("d.rs").await;
    let waits = desk.waits();
    assert!(desk.withdraws("new.rs", desk.edits("new.rs", "one\ntwo\n").await).await);
    assert!(desk.withdraws("new.rs", desk.renames("new.rs", "old.rs").await).await);
    assert!(desk.withdraws("new.rs", desk.deletes("new.rs").await).await);
    assert!(desk.withdraws("b.rs", desk.edits("b.rs", "1\n").await).await);
    assert!(desk.withdraws("b.rs", desk.renames("b.rs", "c.rs").await).await);
    assert!(desk.withdraws("d.rs", desk.creates("d.rs", "three\n").await).await);
    let mut after = desk.waits();
    after.sort();
    let mut before = waits.clone();
    before.sort();
    assert_eq!(after, before);
    let mut kept = desk.recorded();
    kept.sort();
    assert_eq!(kept, ["a.rs ", "d.rs p3", "new.rs p1"], "and after a restart");
}

#[tokio::test]
async fn what_was_decided_meanwhile_does_not_come_back_with_what_is_withdrawn() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\nfour\nfive\n")]);
    desk.edits("a.rs", "1\ntwo\n3\nfour\nfive\n").await;
    let proposed = desk.edits("a.rs", "1\ntwo\n3\nfour\n5\n").await;
    desk.reject(Some("p1")).await;
    desk.world.write("a.rs", "typed\none\ntwo\nthree\nfour\nfive\n");
    assert!(desk.withdraws("a.rs", proposed).await);
    assert_eq!(desk.waits(), [r#"edit a.rs p2 at 4: "three" -> "3""#]);
    let proposed = desk.edits("a.rs", "typed\none\ntwo\n3!\nfour\nfive\n").await;
    desk.edits("a.rs", "typed\none\ntwo\n3!\nfour\n5\n").await;
    let waits = desk.waits();
    assert!(!desk.withdraws("a.rs", proposed).await, "something was built upon it");
    assert_eq!(desk.waits(), waits);
}

#[tokio::test]
async fn a_rename_onto_something_is_not_proposed() {
    let desk = Desk::new(&[("a.rs", "one\n"), ("b.rs", "b\n"), ("c.rs", "c\n")]);
    desk.creates("new.rs", "new\n").await;
    desk.renames("c.rs", "d.rs").await;
    let waits = desk.waits();
    for (from, to) in [("a.rs", "b.rs"), ("a.rs", "new.rs"), ("a.rs", "d.rs"), ("a.rs", "c.rs"), ("new.rs", "b.rs")] {
        let outcome = desk.renames(from, to).await;
        assert!(matches!(outcome, Outcome::Refused { .. }), "{from} to {to}: {outcome:?}");
    }
    assert_eq!(desk.waits(), waits);
}

#[tokio::test]
async fn what_waits_on_in_a_renamed_file_is_restored_where_that_is() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.renames("a.rs", "b.rs").await;
    desk.edits("b.rs", "1\n").await;
    assert_eq!(desk.accept(Some("p1")).await.hunks, ["p1"]);
    assert_eq!(desk.recorded(), ["b.rs p2"]);
    assert_eq!(desk.waits(), [r#"edit b.rs p2 at 1: "one" -> "1""#]);
}

#[tokio::test]
async fn a_rename_that_was_taken_in_a_fork_moves_what_waits_here_too() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.renames("a.rs", "b.rs").await;
    desk.edits("b.rs", "1\n").await;
    desk.told().await;
    drop(desk.reviews.decided_elsewhere(desk.world.editor.as_ref(), desk.run, &["p1".into()], Verdict::Accepted));
    desk.told().await;
    assert_eq!(desk.recorded(), ["b.rs p2"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_still_land_is_not_decided_again_for_as_long_as_an_editor_may_take() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.edits("a.rs", "1\n").await;
    let late = desk.is_not_confirmed_after(3).await;
    let decisions = desk.accept(None).await;
    assert!(decisions.problems[0].ends_with("and can be decided again in 2 s"), "{decisions:?}");
    for decisions in [desk.accept(None).await, desk.reject(None).await] {
        assert!(decisions.hunks.is_empty(), "{decisions:?}");
        assert!(decisions.problems[0].contains("being changed at this moment"), "{decisions:?}");
        assert!(decisions.problems[0].ends_with("try it again in 2 s"), "{decisions:?}");
    }
    assert!(matches!(desk.creates("b.rs", "b\n").await, Outcome::Proposed(_)), "elsewhere it goes on");
    assert!(matches!(desk.edits("a.rs", "2\n").await, Outcome::Refused { .. }));
    assert_eq!(desk.world.disk("a.rs"), "one\n");
    tokio::time::advance(Duration::from_secs(2)).await;
    // Nobody is told twice of one that comes after that.
    assert_eq!(desk.accept(None).await.hunks, ["p1", "p2"]);
    desk.told().await;
    assert!(late.is_closed(), "who takes it anew has done away with it");
}

/// What was sent as one is recorded as one, however the person decides while it is on its way.
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_with_others_is_not_decided_without_them_and_lands_whole() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\nfour\nfive\n")]);
    desk.edits("a.rs", "1\ntwo\n3\nfour\n5\n").await;
    let late = desk.is_not_confirmed_after(0).await;
    desk.accept(None).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    for decisions in [desk.accept(Some("p1")).await, desk.reject(Some("p1")).await] {
        assert!(decisions.hunks.is_empty(), "{decisions:?}");
        assert!(decisions.problems[0].contains("p1, p2, p3 were sent to the editor as one change"), "{decisions:?}");
        assert!(decisions.problems[0].ends_with("try it again in 59 s"), "{decisions:?}");
    }
    late.send(desk.makes("a.rs", "1\ntwo\n3\nfour\n5\n").await).expect("somebody waits");
    assert!(desk.told().await.contains(&"editApplied p1 p2 p3".to_owned()));
    assert_eq!((desk.waits().len(), desk.recorded().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_made_anew_in_vain_is_still_recorded_when_it_comes_late() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.edits("a.rs", "1\n").await;
    let late = desk.is_not_confirmed_after(0).await;
    desk.accept(None).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    desk.world.next(Outcome::Refused { reason: "not now".into() });
    assert!(desk.accept(None).await.problems[0].contains("not now"));
    let later = desk.is_not_confirmed_after(0).await;
    desk.accept(None).await;
    desk.told().await;
    late.send(desk.makes("a.rs", "1\n").await).expect("it is still looked for");
    assert_eq!(desk.told().await[0], "editApplied p1");
    assert!(later.is_closed(), "it is told once");
    assert_eq!(desk.waits(), Vec::<String>::new());
}

/// Without an answer an editor may take longer.
#[tokio::test(start_paused = true)]
async fn what_was_refused_and_lands_all_the_same_is_told_and_can_be_taken_back() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.edits("a.rs", "1\n").await;
    let late = desk.is_not_confirmed_after(10).await;
    assert!(desk.accept(None).await.problems[0].ends_with("and can be decided again in 10 s"));
    tokio::time::advance(Duration::from_millis(9_500)).await;
    assert!(desk.reject(None).await.problems[0].ends_with("try it again in 1 s"));
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(desk.reject(None).await.hunks, ["p1"]);
    desk.told().await;
    late.send(desk.makes("a.rs", "1\n").await).expect("it is still looked for");
    let told = desk.told().await;
    assert_eq!(told[0], "editApplied p1");
    assert!(told[1].contains("has come into the text late, after the person had decided otherwise"), "{told:?}");
    desk.world.open("a.rs", "1\n");
    let standing = desk.reviews.standing();
    let here = standing.here(desk.world.editor.as_ref(), || desk.world.place("a.rs"), |_| true).expect("offered");
    assert_eq!((here.file.run, here.file.hunks[0].id.as_str()), (desk.run, "p1"), "to be taken back");
    let kept = desk.kept.lock().expect("a lock");
    let verdicts = kept.iter().filter_map(|record| match record {
        Record::Decided(decided) => Some(decided.verdict),
        _ => None,
    });
    assert_eq!(verdicts.collect::<Vec<_>>(), [Verdict::Refused], "nobody has accepted it");
    assert!(kept.iter().any(|record| matches!(record, Record::Changed(_))), "undo knows of it");
}

#[tokio::test]
async fn what_a_fork_takes_elsewhere_does_not_end_the_wait_for_what_comes_late() {
    let files = [("a.rs", "one\n"), ("b.rs", "one\n")];
    let desk = Desk::new(&files);
    desk.edits("a.rs", "1\n").await;
    desk.edits("b.rs", "1\n").await;
    let fork = Desk::new(&[]);
    *fork.reviews.lock() = desk.reviews.lock().clone();
    let late = desk.is_not_confirmed_after(0).await;
    assert_eq!(desk.accept(Some("p1")).await.hunks.len(), 0);
    let editor: Arc<dyn Editor> = desk.world.editor.clone();
    let others = [desk.reviews.clone()];
    let accepted = fork.reviews.accept(&editor, &desk.select(Some("p2")), &|_| Ok(()), &others).await;
    assert_eq!(accepted.hunks, ["p2"]);
    assert_eq!(desk.waits().len(), 1, "taken here too");
    let decisions = desk.reject(Some("p1")).await;
    assert!(decisions.hunks.is_empty(), "{decisions:?}");
    // The fork does not make it a second time either, nor refuse what may come.
    let select = desk.select(Some("p1"));
    let accepted = fork.reviews.accept(&editor, &select, &|_| Ok(()), &others).await;
    let rejected = fork.reviews.reject(editor.as_ref(), &select, &others).await.expect("kept");
    for decisions in [accepted, rejected] {
        assert!(decisions.hunks.is_empty() && decisions.problems[0].contains("try it again in 2 s"), "{decisions:?}");
    }
    late.send(desk.makes("a.rs", "1\n").await).expect("somebody waits");
    desk.told().await;
    assert_eq!(desk.waits(), Vec::<String>::new());
}

/// Of what a fork has sent and not seen yet, the session that it comes from knows nothing either.
#[tokio::test]
async fn what_lands_late_in_a_fork_is_decided_in_both() {
    let (desk, fork) = (Desk::new(&[]), Desk::new(&[]));
    desk.world.open("a.rs", "one\n");
    desk.edits("a.rs", "1\n").await;
    *fork.reviews.lock() = desk.reviews.lock().clone();
    desk.told().await;
    let late = desk.is_not_confirmed_after(0).await;
    let editor: Arc<dyn Editor> = desk.world.editor.clone();
    fork.reviews.accept(&editor, &desk.select(None), &|_| Ok(()), std::slice::from_ref(&desk.reviews)).await;
    assert!(desk.reject(None).await.hunks.is_empty(), "it may still come");
    let applied = desk.makes("a.rs", "1\n").await;
    assert_eq!(desk.waits().len(), 0, "a look before it is told");
    late.send(applied).expect("somebody waits");
    assert_eq!(fork.told().await[0], "editApplied p1");
    assert_eq!(desk.told().await, ["note: The person took what you had proposed in a.rs."], "told by the fork");
}

#[tokio::test]
async fn what_was_taken_is_remembered_only_where_something_waits_on() {
    let desk = Desk::new(&[("a.rs", "one\ntwo\nthree\n"), ("b.rs", "b\n"), ("c.rs", "c\n")]);
    desk.edits("a.rs", "1\ntwo\n3\n").await;
    desk.edits("b.rs", "B\n").await;
    desk.renames("c.rs", "d.rs").await;
    desk.edits("d.rs", "C\n").await;
    let remembered = || desk.reviews.changes.lock().expect("a lock").len();
    desk.accept(Some("p1")).await;
    assert_eq!(remembered(), 1, "a change there is recorded by what was typed in between");
    desk.reject(Some("p2")).await;
    assert_eq!(remembered(), 0);
    // A rename takes along what is known.
    desk.accept(Some("p4")).await;
    assert_eq!(remembered(), 1);
    assert_eq!(desk.accept(None).await.problems, Vec::<String>::new());
    assert_eq!((desk.waits().len(), remembered()), (0, 0));
}

#[tokio::test]
async fn of_two_who_accept_at_once_one_makes_it() {
    let desk = Desk::new(&[("a.rs", "one\n")]);
    desk.edits("a.rs", "one\ntwo\n").await;
    let (one, other) = tokio::join!(desk.accept(None), desk.accept(None));
    assert_eq!(one.hunks, ["p1"]);
    assert_eq!(other, Decisions::default(), "nothing is left for it");
    assert_eq!(desk.slow.changes.load(Ordering::Relaxed), 1);
    assert_eq!(desk.world.disk("a.rs"), "one\ntwo\n");
}

#[tokio::test]
async fn each_piece_that_landed_has_the_name_that_it_was_proposed_by() {
    const TEXT: &str = "one\ntwo\nthree\nfour\nfive\nsix\n";
    let hunk = |range, new: &str| Hunk { range, new: new.into() };
    let apart = vec![hunk(0..3, "1"), hunk(4..7, "2"), hunk(19..23, "5")];
    let joined = vec![hunk(0..23, "1\n2\nthree\nfour\n5")];
    for (pieces, names) in [(apart, "p1 p1 p2"), (joined, "p1 p2")] {
        let (desk, other) = (Desk::new(&[]), Desk::new(&[]));
        for desk in [&desk, &other] {
            desk.world.open("a.rs", TEXT);
        }
        desk.edits("a.rs", "1\n2\nthree\nfour\n5\nsix\n").await;
        assert_eq!(desk.waits().len(), 2);
        // The editor makes other pieces of it.
        let base = other.world.editor.read(&other.world.place("a.rs")).await.expect("there");
        let patch = Patch::joined(pieces);
        desk.world.next(other.world.editor.apply(other.change("a.rs", What::Edit { base, patch })).await);
        let place = desk.world.place("a.rs");
        desk.world.before(0, move |editor| editor.set(&place, "1\n2\nthree\nfour\n5\nsix\n"));
        assert_eq!(desk.accept(None).await.hunks, ["p1", "p2"]);
        assert!(desk.told().await.contains(&format!("editApplied {names}")));
        let kept = desk.kept.lock().expect("a lock");
        let changed = kept.iter().find_map(|record| match record {
            Record::Changed(changed) => {
                Some(changed.change.iter().map(|piece| piece.hunk.as_str()).collect::<Vec<_>>())
            }
            _ => None,
        });
        assert_eq!(changed.expect("a record").join(" "), names);
    }
}
