use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use super::*;
use crate::permission::{Access, Roots};

struct World {
    _keep: tempfile::TempDir,
    top: PathBuf,
    roots: Roots,
}

impl World {
    fn new() -> Self {
        Self::at(tempfile::tempdir().expect("a folder"))
    }

    /// Where nothing waits for a disk, if there is such a place.
    fn fast() -> Self {
        Self::at(fast())
    }

    fn at(keep: tempfile::TempDir) -> Self {
        let top = keep.path().canonicalize().expect("a real path");
        let roots = Roots::new(std::slice::from_ref(&top));
        Self { _keep: keep, top, roots }
    }

    fn place(&self, path: &str) -> Place {
        self.roots.resolve(path, Access::Write).expect("a place inside")
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Place {
        fs::write(self.top.join(path), bytes).expect("written");
        self.place(path)
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.top.join(path)).expect("readable")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.top).expect("listable");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn fast() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

#[test]
fn a_file_is_read_with_its_mark_taken_off() {
    let world = World::new();
    let place = world.write("a.txt", "\u{feff}one\r\ntwo".as_bytes());
    let read = read(&place).expect("text");
    assert!(read.bom());
    assert_eq!(read.rope().to_string(), "one\r\ntwo");
}

#[test]
fn a3_07_what_is_no_text_file_is_refused_in_words() {
    let world = World::new();
    fs::create_dir(world.top.join("folder")).expect("a folder");
    world.write("bytes", b"\x7fELF\xff\x00");
    let large = fs::File::create(world.top.join("large")).expect("a file");
    large.set_len(LIMIT + 1).expect("a sparse file");
    rustix::fs::mknodat(rustix::fs::CWD, world.top.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    let _socket = std::os::unix::net::UnixListener::bind(world.top.join("socket")).expect("a socket");
    let said = |path: &str| read(&world.place(path)).expect_err("refused").to_string();
    assert_eq!(said("folder"), "folder is not a regular file");
    assert_eq!(said("pipe"), "pipe is not a regular file");
    assert_eq!(said("socket"), "socket is not a regular file");
    assert_eq!(said("bytes"), "bytes is not a text file that can be read: it holds bytes that no text holds");
    assert_eq!(said("large"), "large has 10485761 bytes; files of up to 10485760 are read");
    assert_eq!(said("missing"), "missing does not exist");
    assert_eq!(said("bytes/below"), "bytes/below does not exist");
}

#[test]
fn a_file_of_the_largest_size_is_read() {
    let world = World::new();
    let place = world.write("a.txt", &vec![b'x'; usize::try_from(LIMIT).expect("fits")]);
    assert_eq!(read(&place).expect("text").rope().len_bytes() as u64, LIMIT);
}

#[test]
fn a_new_file_gets_its_folders_and_never_replaces_anything() {
    let world = World::new();
    let place = world.place("new/er/a.txt");
    create(&place, "hello\n").expect("created");
    assert_eq!(world.bytes("new/er/a.txt"), b"hello\n");
    let mode = fs::metadata(world.top.join("new/er/a.txt")).expect("there").permissions().mode();
    assert_eq!(mode & 0o111, 0);
    assert!(matches!(create(&place, "other"), Err(WriteError::Exists(_))));
    assert_eq!(world.bytes("new/er/a.txt"), b"hello\n");
    assert_eq!(world.names(), ["new"], "no draft is left behind");

    let link = world.place("dangling");
    symlink("/nowhere/at/all", world.top.join("dangling")).expect("a link");
    assert!(matches!(create(&link, "x"), Err(WriteError::Exists(_))));
    let below = world.place("new/er/a.txt/below");
    assert!(matches!(create(&below, "x"), Err(WriteError::Refused { .. })));
}

#[test]
fn of_several_who_create_the_same_file_one_wins() {
    let world = World::new();
    let place = world.place("a.txt");
    let wins = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..8)
            .map(|n| {
                let place = &place;
                scope.spawn(move || create(place, &n.to_string()).is_ok())
            })
            .collect();
        tries.into_iter().map(|attempt| attempt.join().expect("no panic")).filter(|won| *won).count()
    });
    assert_eq!(wins, 1);
    assert_eq!(world.names(), ["a.txt"]);
}

#[test]
fn a_replaced_file_keeps_its_mark_and_its_mode() {
    let world = World::new();
    let place = world.write("a.sh", "\u{feff}one\r\n".as_bytes());
    fs::set_permissions(world.top.join("a.sh"), fs::Permissions::from_mode(0o751)).expect("a mode");
    let expected = read(&place).expect("text");
    replace(&place, &expected, &Rope::from_str("two\r\n")).expect("replaced");
    assert_eq!(world.bytes("a.sh"), "\u{feff}two\r\n".as_bytes());
    let mode = fs::metadata(world.top.join("a.sh")).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o751);
    assert_eq!(world.names(), ["a.sh"]);
}

#[test]
fn a_file_that_was_changed_meanwhile_is_left_alone_and_shown() {
    let world = World::new();
    let place = world.write("a.txt", b"one\n");
    let expected = read(&place).expect("text");
    world.write("a.txt", b"someone else's\n");
    let Err(WriteError::Changed { now, .. }) = replace(&place, &expected, &Rope::from_str("two\n")) else {
        panic!("a changed file must be a conflict");
    };
    assert_eq!(now.rope().to_string(), "someone else's\n");
    assert_eq!(world.bytes("a.txt"), b"someone else's\n");
    world.write("a.txt", "\u{feff}one\n".as_bytes());
    assert!(matches!(replace(&place, &expected, &Rope::new()), Err(WriteError::Changed { .. })), "the mark counts");
    fs::remove_file(world.top.join("a.txt")).expect("removed");
    assert!(matches!(replace(&place, &expected, &Rope::new()), Err(WriteError::Unreadable(ReadError::Missing(_)))));
    assert!(world.names().is_empty());
}

#[test]
fn a_link_inside_stays_a_link_and_its_target_changes() {
    let world = World::new();
    world.write("target.txt", b"one\n");
    symlink("target.txt", world.top.join("link.txt")).expect("a link");
    let place = world.place("link.txt");
    let expected = read(&place).expect("text");
    replace(&place, &expected, &Rope::from_str("two\n")).expect("replaced");
    assert!(world.top.join("link.txt").is_symlink());
    assert_eq!(world.bytes("target.txt"), b"two\n");
}

#[test]
fn other_names_and_read_only_files_are_refused_in_words() {
    let world = World::new();
    let place = world.write("a.txt", b"one\n");
    let expected = read(&place).expect("text");
    fs::hard_link(world.top.join("a.txt"), world.top.join("b.txt")).expect("a second name");
    let said = |place| replace(place, &expected, &Rope::new()).expect_err("refused").to_string();
    assert_eq!(
        said(&place),
        "could not write a.txt: the file has other names (hard links), which a write would cut off or change unseen"
    );
    fs::remove_file(world.top.join("b.txt")).expect("removed");
    fs::set_permissions(world.top.join("a.txt"), fs::Permissions::from_mode(0o444)).expect("a mode");
    assert_eq!(said(&place), "could not write a.txt: the file is read-only; the person can change its permissions");
    assert_eq!(world.bytes("a.txt"), b"one\n");
}

#[test]
fn a_link_that_came_after_the_look_is_not_followed() {
    let world = World::new();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("a.txt"), "secret\n").expect("written");
    fs::create_dir(world.top.join("dir")).expect("a folder");
    let (file, fresh) = (world.write("dir/a.txt", b"one\n"), world.place("dir/new.txt"));
    let expected = read(&file).expect("text");
    fs::rename(world.top.join("dir"), world.top.join("moved")).expect("moved");
    symlink(outside.path(), world.top.join("dir")).expect("a link");
    assert!(read(&file).is_err());
    assert!(replace(&file, &Snapshot::detached("secret\n", ""), &Rope::new()).is_err());
    assert!(create(&fresh, "x").is_err());
    assert!(!outside.path().join("new.txt").exists());

    fs::remove_file(world.top.join("dir")).expect("removed");
    fs::rename(world.top.join("moved"), world.top.join("dir")).expect("moved back");
    fs::remove_file(world.top.join("dir/a.txt")).expect("removed");
    symlink(outside.path().join("a.txt"), world.top.join("dir/a.txt")).expect("a link");
    assert_eq!(read(&file).expect_err("refused").to_string(), "could not read dir/a.txt: a link has taken its place");
    assert!(replace(&file, &expected, &Rope::new()).is_err());
    assert_eq!(fs::read_to_string(outside.path().join("a.txt")).expect("readable"), "secret\n");
}

#[test]
fn a_file_goes_only_while_it_holds_what_is_expected() {
    let world = World::new();
    let place = world.write("a.txt", b"one\n");
    world.write("b.txt", b"other\n");
    let one = read(&place).expect("text");
    world.write("a.txt", b"one!\n");
    match remove(&place, &one) {
        Err(WriteError::Changed { now, .. }) => assert_eq!(now.rope().to_string(), "one!\n"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.bytes("a.txt"), b"one!\n");
    remove(&place, &read(&place).expect("text")).expect("removed");
    assert_eq!(world.names(), ["b.txt"]);
    let gone = remove(&place, &one).expect_err("nothing there");
    assert_eq!(gone.to_string(), "a.txt does not exist");
}

#[test]
fn a_folder_a_link_and_a_read_only_file_stay() {
    let world = World::new();
    let empty = Snapshot::detached("", "");
    fs::create_dir(world.top.join("folder")).expect("a folder");
    assert!(remove(&world.place("folder"), &empty).is_err());
    let place = world.write("target", b"");
    let linked = Place::File { path: world.top.join("link"), shown: "link".into() };
    symlink("target", world.top.join("link")).expect("a link");
    assert!(remove(&linked, &empty).is_err());
    fs::set_permissions(world.top.join("target"), fs::Permissions::from_mode(0o444)).expect("a mode");
    let told = remove(&place, &empty).expect_err("read-only").to_string();
    assert_eq!(told, "could not write target: the file is read-only; the person can change its permissions");
    assert_eq!(world.names(), ["folder", "link", "target"]);
}

#[test]
fn what_comes_between_the_look_and_the_removal_is_put_back() {
    let world = World::new();
    world.write("a.txt", b"new\n");
    let (parent, name) = Folder::of(&world.place("a.txt")).expect("a folder");
    drop(parent.aside(&name).expect("aside"));
    assert_eq!(world.names(), ["a.txt"]);
    // Something has taken the name: both stay.
    let aside = parent.aside(&name).expect("aside");
    world.write("a.txt", b"newer\n");
    let hidden = aside.name().to_string_lossy().into_owned();
    drop(aside);
    assert_eq!(world.names(), [hidden.as_str(), "a.txt"]);
    assert_eq!((world.bytes("a.txt"), world.bytes(&hidden)), (b"newer\n".to_vec(), b"new\n".to_vec()));
}

#[test]
fn a_file_keeps_its_encoding_its_mark_and_its_line_ends() {
    let check = |before: &[u8], text: &str, new: &str, after: &[u8]| {
        let world = World::new();
        let place = world.write("a.txt", before);
        let expected = read(&place).expect("text");
        assert_eq!(expected.rope().to_string(), text);
        replace(&place, &expected, &Rope::from_str(new)).expect("replaced");
        assert_eq!(world.bytes("a.txt"), after, "{text:?}");
        // And so it does after it was taken away.
        let held = read(&place).expect("text");
        let (mode, _) = remove(&place, &held).expect("removed");
        restore(&place, &held, Some(mode)).expect("put back");
        assert_eq!(world.bytes("a.txt"), after, "{text:?}");
    };
    check(
        b"d\xe9j\xe0 vu\r\n",
        "d\u{e9}j\u{e0} vu\r\n",
        "d\u{e9}j\u{e0} vu, no\u{eb}l\r\nx",
        b"d\xe9j\xe0 vu, no\xebl\r\nx",
    );
    check(b"\xff\xfea\0\r\0\n\0", "a\r\n", "a\r\n\u{2192}", b"\xff\xfea\0\r\0\n\0\x92\x21");
    check(b"\xfe\xff\0a\0\n", "a\n", "b\n", b"\xfe\xff\0b\0\n");
    check(b"\xef\xbb\xbfa\r\nb", "a\r\nb", "a\r\n\u{e9}", b"\xef\xbb\xbfa\r\n\xc3\xa9");
    check("no mark, no break at the end".as_bytes(), "no mark, no break at the end", "x", b"x");
}

#[test]
fn a_character_that_the_encoding_lacks_is_refused_and_the_file_stays() {
    let world = World::new();
    let place = world.write("a.txt", b"d\xe9j\xe0 vu\n");
    let expected = read(&place).expect("text");
    let error = replace(&place, &expected, &Rope::from_str("d\u{e9}j\u{e0} \u{2192}\n")).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "could not write a.txt: windows-1252, which the file is in, has no character \u{201c}\u{2192}\u{201d} (U+2192)"
    );
    assert_eq!(world.bytes("a.txt"), b"d\xe9j\xe0 vu\n");
    assert_eq!(world.names(), ["a.txt"], "no draft is left behind");
    // In other bytes it is another file, whatever it says.
    world.write("a.txt", "d\u{e9}j\u{e0} vu\n".as_bytes());
    assert!(matches!(replace(&place, &expected, &Rope::new()), Err(WriteError::Changed { .. })));
}

#[test]
fn a_renamed_file_keeps_everything_and_replaces_nothing() {
    let world = World::new();
    let place = world.write("a.sh", b"one\n");
    fs::set_permissions(world.top.join("a.sh"), fs::Permissions::from_mode(0o551)).expect("a mode");
    fs::hard_link(world.top.join("a.sh"), world.top.join("other")).expect("a second name");
    let held = read(&place).expect("text");
    let to = world.place("new/er/b.sh");
    rename(&place, &to, &held).expect("renamed");
    assert_eq!(world.bytes("new/er/b.sh"), b"one\n");
    let file = fs::metadata(world.top.join("new/er/b.sh")).expect("there");
    assert_eq!((file.permissions().mode() & 0o7777, file.nlink()), (0o551, 2));
    assert_eq!(world.names(), ["new", "other"]);

    let taken = world.write("taken", b"mine\n");
    assert_eq!(rename(&to, &taken, &held).expect_err("refused").to_string(), "taken exists already");
    symlink("/nowhere", world.top.join("dangling")).expect("a link");
    let dangling = Place::File { path: world.top.join("dangling"), shown: "dangling".into() };
    assert!(matches!(rename(&to, &dangling, &held), Err(WriteError::Exists(_))));
    assert!(matches!(
        rename(&to, &world.place("x"), &Snapshot::detached("two\n", "")),
        Err(WriteError::Changed { .. })
    ));
    assert!(matches!(rename(&place, &to, &held), Err(WriteError::Unreadable(ReadError::Missing(_)))));
    let below = world.place("taken/below");
    assert!(matches!(rename(&to, &below, &held), Err(WriteError::Refused { .. })));
    assert_eq!((world.bytes("new/er/b.sh"), world.bytes("taken")), (b"one\n".to_vec(), b"mine\n".to_vec()));
}

#[test]
fn what_a_write_would_come_to_can_be_asked_before() {
    let world = World::new();
    let place = world.write("a.txt", b"one\n");
    let held = read(&place).expect("text");
    may_replace(&place, &held, &Rope::from_str("two\n")).expect("it may");
    may_remove(&place, &held).expect("it may");
    assert!(matches!(may_replace(&place, &Snapshot::detached("x", ""), &Rope::new()), Err(WriteError::Changed { .. })));
    fs::set_permissions(world.top.join("a.txt"), fs::Permissions::from_mode(0o444)).expect("a mode");
    assert!(may_replace(&place, &held, &Rope::new()).expect_err("refused").to_string().contains("read-only"));
    assert!(may_remove(&place, &held).expect_err("refused").to_string().contains("read-only"));
    assert_eq!(world.bytes("a.txt"), b"one\n");
}

#[test]
fn what_took_place_is_told_though_it_may_not_outlast_a_power_cut() {
    let world = World::new();
    let (place, to) = (world.write("a.txt", b"one\n"), world.place("b.txt"));
    let held = read(&place).expect("text");
    folder::FAILING.set(true);
    let renamed = rename(&place, &to, &held);
    let replaced = replace(&to, &held, &Rope::from_str("two\n"));
    let made = create(&world.place("made.txt"), "made\n");
    let removed = remove(&to, &read(&to).expect("text"));
    folder::FAILING.set(false);
    let told = "a.txt is b.txt now, but after a power cut it may be a.txt again (Input/output error (os error 5)).";
    assert_eq!(renamed.expect("renamed").as_deref(), Some(told));
    let told = |what: &str| Some(format!("{what} (Input/output error (os error 5))."));
    assert_eq!(replaced.expect("replaced"), told("b.txt is written, but after a power cut it may read as before"));
    assert_eq!(made.expect("made"), told("made.txt is made, but after a power cut it may be gone again"));
    assert_eq!(removed.expect("removed").1, told("b.txt is deleted, but after a power cut it may be there again"));
    assert_eq!(world.names(), ["made.txt"]);
}

/// Notes when a thread ends by a panic.
struct Failing<'a>(&'a std::sync::atomic::AtomicUsize);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
}

/// A second thread turns a folder and a file into links that lead out, and back, as fast as it can, while files are read, looked through,
/// made, replaced, renamed and taken away: nothing of that may reach what lies outside.
#[test]
fn campaign_symlink_swaps_a3_02() {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    let swaps = crate::text::cases::campaign(100_000).cases;
    let world = World::fast();
    let outside = fast();
    let out = outside.path().canonicalize().expect("a real path");
    let names = ["a.txt", "b.txt", "c.txt"];
    fs::create_dir(out.join("sub")).expect("a folder");
    for name in names {
        fs::write(out.join(name), "secret\n").expect("written");
        fs::write(out.join("sub").join(name), "secret\n").expect("written");
    }
    let dir = world.top.join("dir");
    fs::create_dir_all(dir.join("sub")).expect("a folder");
    let (done, looks, changes) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = AtomicUsize::new(0);
    let least = swaps as usize / 50;
    let paths = ["dir/a.txt", "dir/b.txt", "dir/sub/c.txt", "dir/c.txt", "dir/new/er/d.txt"];
    // Let through once, and used long after.
    let place = |path: &&str| Place::File { path: world.top.join(path), shown: (*path).to_owned() };
    let old: Vec<Place> = paths.iter().map(place).collect();
    let each = |index: usize| -> Vec<Place> {
        let fresh = world.roots.resolve(paths[index % paths.len()], Access::Write).ok();
        fresh.into_iter().chain([old[index % old.len()].clone()]).collect()
    };
    // Kept until the end: a thread that panics would be waited for.
    let escapes = std::sync::Mutex::new(Vec::new());
    let escape = |what: &str, place: &Place, text: &str| {
        if text.contains("secret") {
            escapes.lock().expect("no panic").push(format!("{what} of {place} reached outside"));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let moved = world.top.join("moved");
            let mut swap = 0;
            let enough = || looks.load(Ordering::SeqCst) >= least && changes.load(Ordering::SeqCst) >= least;
            // A thread that fails never does enough, and is not waited for: its failure is what the test says.
            while swap < swaps || !enough() && failed.load(Ordering::SeqCst) == 0 {
                let file = dir.join(names[swap as usize % names.len()]);
                let _ = fs::remove_file(&file);
                let _ = symlink(out.join("a.txt"), &file);
                if fs::rename(&dir, &moved).is_ok() {
                    // Somebody who makes folders may have been faster.
                    while symlink(&out, &dir).is_err() {
                        let _ = fs::remove_dir_all(&dir);
                    }
                    if swap % 16 == 0 {
                        std::thread::yield_now();
                    }
                    let _ = fs::remove_file(&dir);
                    while fs::rename(&moved, &dir).is_err() {
                        let _ = fs::remove_dir_all(&dir);
                    }
                }
                let file = dir.join(names[swap as usize % names.len()]);
                let _ = fs::remove_file(&file);
                // Never through a link that somebody has moved there meanwhile.
                let _ = fs::File::create_new(&file).and_then(|mut file| file.write_all(b"one\n"));
                swap += 1;
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            let _failing = Failing(&failed);
            while !done.load(Ordering::SeqCst) {
                let index = looks.fetch_add(1, Ordering::SeqCst);
                // Both ways of opening, in turn.
                folder::LONG_WAY.set(index / paths.len() % 2 == 1);
                for place in each(index) {
                    if let Ok(text) = read(&place) {
                        escape("reading", &place, &text.lf());
                    }
                    let path = place.path().expect("a file");
                    if let Ok(Some((mut file, _))) = peek(path) {
                        let mut text = String::new();
                        let _ = file.read_to_string(&mut text);
                        escape("a look", &place, &text);
                    }
                }
            }
        });
        scope.spawn(|| {
            let _failing = Failing(&failed);
            while !done.load(Ordering::SeqCst) {
                let index = changes.fetch_add(1, Ordering::SeqCst);
                folder::LONG_WAY.set(index / (4 * paths.len()) % 2 == 1);
                for place in each(index) {
                    match (read(&place), index % 4) {
                        (Ok(held), 0 | 1) => {
                            escape("reading", &place, &held.lf());
                            let _ = replace(&place, &held, &Rope::from_str("escaped\n"));
                        }
                        (Ok(held), 2) => drop(remove(&place, &held)),
                        (Ok(held), _) => drop(rename(&place, &old[(index + 1) % old.len()], &held)),
                        (Err(_), _) => drop(create(&place, "escaped\n")),
                    }
                }
                // What is outside by its content is what a write would be made against.
                let _ =
                    replace(&old[index % old.len()], &Snapshot::detached("secret\n", ""), &Rope::from_str("escaped\n"));
                let _ = remove(&old[index % old.len()], &Snapshot::detached("secret\n", ""));
            }
        });
    });
    let escapes = escapes.into_inner().expect("no panic");
    assert!(escapes.is_empty(), "{} escapes, such as {:?}", escapes.len(), escapes.first());
    let listed = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).expect("listable").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(listed(&out), ["a.txt", "b.txt", "c.txt", "sub"]);
    assert_eq!(listed(&out.join("sub")), names);
    for name in names {
        assert_eq!(fs::read_to_string(out.join(name)).expect("there"), "secret\n");
        assert_eq!(fs::read_to_string(out.join("sub").join(name)).expect("there"), "secret\n");
    }
}
