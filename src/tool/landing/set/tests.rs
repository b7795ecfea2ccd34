use std::sync::atomic::Ordering;

use serde_json::json;

use crate::editor::Outcome;
use crate::text::Snapshot;
use crate::tool::testing::World;

/// What a section of a patch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Edit,
    EditOpen,
    Create,
    Delete,
    DeleteOpen,
    Move,
    MoveOpen,
    /// Edited and moved: two changes.
    Both,
}

const KINDS: [Kind; 8] =
    [Kind::Edit, Kind::EditOpen, Kind::Create, Kind::Delete, Kind::DeleteOpen, Kind::Move, Kind::MoveOpen, Kind::Both];

/// What an editor can make of a change that it does not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Conflict,
    Refused,
    NotConfirmed,
    Stopped,
}

const FAILING: [Failing; 4] = [Failing::Conflict, Failing::Refused, Failing::NotConfirmed, Failing::Stopped];

impl Failing {
    fn outcome(self) -> Outcome {
        match self {
            Self::Conflict => {
                Outcome::Conflict { reason: "line 1 was changed".into(), now: Snapshot::detached("other\n", "") }
            }
            Self::Refused | Self::Stopped => Outcome::Refused { reason: "it would not".into() },
            Self::NotConfirmed => Outcome::NotConfirmed { reason: "nothing was seen".into(), late: None },
        }
    }
}

fn name(at: usize) -> String {
    format!("f{at}.rs")
}

/// A workspace in which a patch of these sections can be made, the patch, and whose change each of its changes is.
async fn scene(kinds: &[Kind]) -> (World, String, Vec<usize>) {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(&[("untouched.rs", "stays\n")]);
    let (mut patch, mut changes) = (String::from("*** Begin Patch\n"), Vec::new());
    for (at, kind) in kinds.iter().enumerate() {
        let (name, text) = (name(at), format!("one {at}\ntwo {at}\nthree {at}\n"));
        if *kind != Kind::Create {
            world.write(&name, &text);
            let mode = std::fs::Permissions::from_mode(0o740);
            std::fs::set_permissions(world.top.join("ws").join(&name), mode).expect("a mode");
        }
        if matches!(kind, Kind::EditOpen | Kind::DeleteOpen | Kind::MoveOpen) {
            world.open(&name, &text);
        }
        if *kind != Kind::Create {
            world.ok("read", json!({"path": name})).await;
        }
        let edit = format!("@@\n one {at}\n-two {at}\n+zwei {at}\n three {at}\n");
        let moved = format!("*** Move to: moved/{name}\n");
        patch += &match kind {
            Kind::Edit | Kind::EditOpen => format!("*** Update File: {name}\n{edit}"),
            Kind::Create => format!("*** Add File: {name}\n+new {at}\n"),
            Kind::Delete | Kind::DeleteOpen => format!("*** Delete File: {name}\n"),
            Kind::Move | Kind::MoveOpen => format!("*** Update File: {name}\n{moved}"),
            Kind::Both => format!("*** Update File: {name}\n{moved}{edit}"),
        };
        changes.extend([at].repeat(if *kind == Kind::Both { 2 } else { 1 }));
    }
    patch += "*** End Patch\n";
    (world, patch, changes)
}

/// Sections of every length and beginning.
fn sets() -> impl Iterator<Item = Vec<Kind>> {
    (2..=6).flat_map(|length| {
        (0..KINDS.len()).map(move |first| (0..length).map(|at| KINDS[(first + at * 3) % 8]).collect())
    })
}

/// What is there, one document after the other; a document that was closed with its file is not there again.
fn there(world: &World, kinds: &[Kind]) -> Vec<String> {
    let closed: Vec<String> = kinds
        .iter()
        .enumerate()
        .filter(|(_, kind)| **kind == Kind::DeleteOpen)
        .map(|(at, _)| format!("open {}:", name(at)))
        .collect();
    world.state().into_iter().filter(|line| !closed.iter().any(|closed| line.starts_with(closed))).collect()
}

#[tokio::test]
async fn t2_a_set_is_made_whole() {
    for kinds in sets() {
        let (world, patch, changes) = scene(&kinds).await;
        world.heard();
        let said = world.ok("patch", json!({"patch": patch})).await;
        for (at, kind) in kinds.iter().enumerate() {
            let (disk, name) = (world.top.join("ws"), name(at));
            let read = |path: String| std::fs::read_to_string(disk.join(path)).ok();
            let text = format!("one {at}\nzwei {at}\nthree {at}\n");
            let edited = Some(text.clone());
            let untouched = Some(format!("one {at}\ntwo {at}\nthree {at}\n"));
            let (here, moved) = (read(name.clone()), read(format!("moved/{name}")));
            let expected = match kind {
                Kind::Edit => (edited, None),
                Kind::EditOpen => {
                    assert_eq!(world.buffer(&name), text, "{kinds:?}");
                    (untouched, None)
                }
                Kind::Create => (Some(format!("new {at}\n")), None),
                Kind::Delete | Kind::DeleteOpen => (None, None),
                Kind::Move | Kind::MoveOpen => (None, untouched),
                Kind::Both => (None, edited),
            };
            assert_eq!((here, moved), expected, "{kinds:?} {at}");
            assert!(said.contains(&name), "{said}");
        }
        assert_eq!(world.heard().len(), changes.len(), "each change is told: {kinds:?}");
    }
}

#[tokio::test]
async fn t2_a_failure_at_any_place_leaves_everything_as_it_was() {
    for kinds in sets() {
        let count = scene(&kinds).await.2.len();
        for (at, failing) in (0..count).flat_map(|at| FAILING.map(|failing| (at, failing))) {
            let (world, patch, changes) = scene(&kinds).await;
            let before = there(&world, &kinds);
            if failing == Failing::Stopped {
                let stop = world.context.cancel.clone();
                world.before(at, move |_| stop.cancel());
            } else {
                world.after(at, failing.outcome());
            }
            let said = world.fails("patch", json!({"patch": patch})).await;
            assert_eq!(there(&world, &kinds), before, "{kinds:?} {at} {failing:?}: {said}");
            assert!(!said.contains("NOT"), "{said}");
            assert!(said.contains(&name(changes[at])), "the one that failed is named: {said}");
            // What is said of the others is what became of them.
            let (back, rest) = (&changes[..at], &changes[at + 1..]);
            let part = |from: &str| said.split(from).nth(1).and_then(|rest| rest.split(':').nth(1)).map(str::to_owned);
            let listed = |part: Option<String>| -> Vec<usize> {
                let part = part.unwrap_or_default();
                let part = part.split(". ").next().unwrap_or_default();
                (0..kinds.len()).filter(|at| part.contains(&name(*at))).collect()
            };
            let deduped = |changes: &[usize]| {
                let mut changes = changes.to_vec();
                changes.dedup();
                changes
            };
            assert_eq!(listed(part("was taken back")), deduped(back), "{said}");
            assert_eq!(listed(part("Not begun")), deduped(rest), "{said}");
        }
    }
}

#[tokio::test]
async fn t2_what_cannot_be_taken_back_is_named_and_nothing_else_is_left() {
    for kinds in sets() {
        let count = scene(&kinds).await.2.len();
        for (at, kept) in (1..count).flat_map(|at| (0..at).map(move |kept| (at, kept))) {
            let (world, patch, changes) = scene(&kinds).await;
            let before = there(&world, &kinds);
            world.after(at, Failing::Refused.outcome());
            // Taken back newest first; this one is not.
            world.after(at + (at - 1 - kept), Failing::Conflict.outcome());
            let said = world.fails("patch", json!({"patch": patch})).await;
            let (_, left) =
                said.split_once("NOT taken back").unwrap_or_else(|| panic!("{kinds:?} {at} {kept}: {said}"));
            let stuck = name(changes[kept]);
            assert!(left.contains(&format!("{stuck} (")) && left.contains("line 1 was changed"), "{said}");
            let others = |state: Vec<String>| -> Vec<String> {
                state.into_iter().filter(|line| !line.contains(&stuck)).collect()
            };
            assert_eq!(others(there(&world, &kinds)), others(before), "{kinds:?} {at} {kept}: {said}");
        }
    }
}

#[tokio::test]
async fn what_the_person_types_while_a_set_is_made_stays_when_it_is_taken_back() {
    let (world, patch, _) = scene(&[Kind::EditOpen, Kind::Edit]).await;
    let place = world.place("f0.rs");
    world.before(1, move |editor| editor.set(&place, "typed\none 0\nzwei 0\nthree 0\n"));
    world.after(1, Failing::Refused.outcome());
    let said = world.fails("patch", json!({"patch": patch.clone()})).await;
    assert_eq!(
        said,
        "f1.rs was not changed: it would not. What had been done before was taken back, so these are as they were: f0.rs."
    );
    assert_eq!(world.buffer("f0.rs"), "typed\none 0\ntwo 0\nthree 0\n");
    assert_eq!(world.heard()[0], "applied 1 in f0.rs");
    // Typed into the very line: it stays, and is named.
    let place = world.place("f0.rs");
    world.before(1, move |editor| editor.set(&place, "typed\none 0\nzwei, typed 0\nthree 0\n"));
    world.after(1, Failing::Refused.outcome());
    let said = world.fails("patch", json!({"patch": patch})).await;
    assert!(said.contains("NOT taken back, and still as this call made it: f0.rs (line 3"), "{said}");
    assert_eq!(world.buffer("f0.rs"), "typed\none 0\nzwei, typed 0\nthree 0\n");
}

#[tokio::test]
async fn what_was_read_of_a_file_counts_again_once_it_is_taken_back() {
    let (world, patch, _) = scene(&[Kind::Delete, Kind::Edit, Kind::Edit]).await;
    world.after(2, Failing::Refused.outcome());
    world.fails("patch", json!({"patch": patch})).await;
    let said = world.fails("edit", json!({"path": "f1.rs", "edits": [{"old": "zwei 1", "new": "2"}]})).await;
    assert!(said.contains("the old text is not in the file"), "{said}");
    world.ok("edit", json!({"path": "f0.rs", "edits": [{"old": "two 0", "new": "2"}]})).await;
    assert_eq!(world.disk("f0.rs"), "one 0\n2\nthree 0\n");
}

#[tokio::test]
async fn what_is_taken_back_in_the_editor_alone_is_not_as_it_was() {
    let (world, patch, _) = scene(&[Kind::EditOpen, Kind::Edit]).await;
    world.after(1, Failing::Refused.outcome());
    world.notes_after(1, "The file on disk is as before.");
    let said = world.fails("patch", json!({"patch": patch})).await;
    assert_eq!(
        said,
        "f1.rs was not changed: it would not. NOT taken back, and still as this call made it: f0.rs (The file on disk is as before). \
         Read before you go on."
    );
}

#[tokio::test]
async fn what_can_be_known_beforehand_sends_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let check = async |spoil: &dyn Fn(&World), section: &str, expected: &str| {
        let world = World::new(&[("a.rs", "one\n"), ("b.rs", "two\n"), ("c.rs", "three\n"), (".git/config", "x\n")]);
        world.write("latin", b"d\xe9j\xe0 vu\n");
        for path in ["a.rs", "b.rs", "c.rs", "latin"] {
            world.ok("read", json!({"path": path})).await;
        }
        world.open("a.rs", "one\n");
        spoil(&world);
        let before = world.state();
        let patch = format!("*** Begin Patch\n*** Update File: a.rs\n@@\n-one\n+eins\n{section}*** End Patch\n");
        let said = world.fails("patch", json!({"patch": patch})).await;
        assert!(said.contains(expected), "{said}");
        assert_eq!(world.state(), before, "{said}");
        assert!(world.heard().iter().all(|line| line.starts_with("rejected")), "{said}");
    };
    let nothing = |_: &World| {};
    let set_mode = |mode: u32| {
        move |world: &World| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(world.top.join("ws/b.rs"), permissions).expect("a mode");
        }
    };
    let edit_b = "*** Update File: b.rs\n@@\n-two\n+zwei\n";
    check(&set_mode(0o444), edit_b, "the file is read-only").await;
    check(&set_mode(0o444), "*** Delete File: b.rs\n", "the file is read-only").await;
    let linked = |world: &World| {
        std::fs::hard_link(world.top.join("ws/b.rs"), world.top.join("ws/d.rs")).expect("a link");
    };
    check(&linked, edit_b, "hard links").await;
    check(&|world| world.write("b.rs", "2\n"), edit_b, "was changed since you read it").await;
    check(&|world| world.write("b.rs", "2\n"), "*** Delete File: b.rs\n", "was changed since you read it").await;
    check(&nothing, "*** Add File: b.rs\n+x\n", "b.rs exists already").await;
    check(&nothing, "*** Update File: b.rs\n*** Move to: c.rs\n", "c.rs exists already").await;
    check(&nothing, "*** Delete File: d.rs\n", "d.rs does not exist").await;
    check(&nothing, "*** Delete File: .git/config\n", "protected").await;
    check(&nothing, "*** Add File: ../out.rs\n+x\n", "outside the workspace").await;
    check(&nothing, "*** Update File: latin\n@@\n-d\u{e9}j\u{e0} vu\n+\u{2192}\n", "has no character").await;
    check(&nothing, "*** Update File: b.rs\n*** Move to: a.rs\n", "a.rs").await;
    check(&nothing, "*** Delete File: a.rs\n", "is named twice").await;
    check(&nothing, "*** Update File: b.rs\n@@\n-three\n+x\n", "b.rs was not changed").await;
    check(&nothing, "*** Update File: b.rs\nno form\n", "The patch cannot be read").await;
}

#[tokio::test]
async fn an_editor_that_keeps_open_files_makes_the_whole_set_fail() {
    let (world, patch, _) = scene(&[Kind::Edit, Kind::Create, Kind::DeleteOpen]).await;
    world.editor.keeps_files.store(true, Ordering::Relaxed);
    let before = world.state();
    let said = world.fails("patch", json!({"patch": patch})).await;
    assert!(said.contains("cannot delete an open file") && said.contains("as they were: f0.rs, f1.rs"), "{said}");
    assert_eq!(world.state(), before);
}
