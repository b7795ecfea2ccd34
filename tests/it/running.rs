//! Programs under a supervisor: what they may do in a sandbox, and that nothing of them is left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cowrite::process::{self, Confine, Done, End, Job};
use tokio_util::sync::CancellationToken;

use crate::client::rounds;

/// What a command may print here.
const MOST: usize = 64 * 1024;

fn ready() {
    process::supervisor_at(env!("CARGO_BIN_EXE_cowrite").into());
}

/// Whether a machine without a sandbox fails what is to be tested in one: where nobody reads what a test says.
pub(crate) fn must_have_sandbox() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1")
}

/// Whether there is a sandbox on this machine. Where there is none, that is said and the other tier is checked: the reason is given,
/// and a command that should be held does not run.
async fn has_sandbox(test: &str) -> bool {
    ready();
    let Err(why) = process::sandbox() else { return true };
    eprintln!("{test}: no sandbox on this machine, because {why}");
    assert!(!must_have_sandbox(), "{test}: there must be a sandbox where CI is set: {why}");
    let folder = tempfile::tempdir().expect("a folder");
    let mark = folder.path().join("mark");
    let line = format!("touch {}", mark.display());
    let job = job(&line, folder.path(), Some(Confine { writable: vec![folder.path().into()], ..Confine::default() }));
    let refused = process::run(job, MOST, &CancellationToken::new(), |_| {}).await;
    assert!(refused.is_err() && !mark.exists(), "without a sandbox a command ran that was to be held in one");
    false
}

fn env() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    process::environment(std::env::vars_os(), &[], &[])
}

fn job(line: &str, folder: &Path, confine: Option<Confine>) -> Job {
    Job {
        program: ["sh", "-c", line].map(Into::into).into(),
        folder: folder.into(),
        env: env(),
        input: Vec::new(),
        confine,
        limit: Duration::from_secs(60),
    }
}

async fn ran(job: Job) -> Done {
    ready();
    process::run(job, MOST, &CancellationToken::new(), |_| {}).await.expect("it starts")
}

/// Runs a line and gives how it ended with what it printed.
async fn said(line: &str, folder: &Path, confine: Option<Confine>) -> (End, String) {
    let done = ran(job(line, folder, confine)).await;
    (done.end, done.output)
}

fn real(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().canonicalize().expect("a folder")
}

fn within(folder: &Path) -> Confine {
    Confine { writable: vec![folder.into()], ..Confine::default() }
}

#[tokio::test]
async fn a_program_is_heard_and_its_status_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = "pwd; echo to standard error >&2; exit 3";
    let (end, output) = said(line, &real(&folder), None).await;
    assert_eq!(end, End::Status(3));
    assert_eq!(output, format!("{}\nto standard error\n", real(&folder).display()));
    assert_eq!(said("kill -9 $$", &real(&folder), None).await.0, End::Signal(9));
    if has_sandbox("a_program_is_heard_and_its_status_told").await {
        let (end, output) = said(line, &real(&folder), Some(within(&real(&folder)))).await;
        assert_eq!(end, End::Status(3), "{output}");
        assert_eq!(output, format!("{}\nto standard error\n", real(&folder).display()));
        assert_eq!(said("kill -9 $$", &real(&folder), Some(Confine::default())).await.0, End::Signal(9));
    }
}

/// What the sandbox must keep from happening, as lines: each prints `got` when it gets through.
#[tokio::test]
async fn a3_14_a_command_in_the_sandbox_gets_at_nothing_but_the_workspace() {
    if !has_sandbox("a3_14").await {
        return;
    }
    let (ours, theirs) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (ws, outside) = (real(&ours), real(&theirs));
    for folder in [".git/hooks", "sub/.vscode", ".secret"] {
        std::fs::create_dir_all(ws.join(folder)).expect("a folder");
    }
    for (file, text) in
        [(".git/config", "[core]\n"), ("sub/.vscode/tasks.json", "{}"), (".npmrc", "canary"), (".secret/key", "canary")]
    {
        std::fs::write(ws.join(file), text).expect("a file");
    }
    std::fs::write(outside.join("theirs"), "theirs\n").expect("a file");
    std::fs::write(outside.join("key"), "canary").expect("a file");
    let shared = tempfile::tempdir_in("/dev/shm").expect("a folder");
    std::fs::write(shared.path().join("key"), "canary").expect("a file");
    std::os::unix::fs::symlink(outside.join("theirs"), ws.join("link")).expect("a link");
    std::os::unix::fs::symlink(&outside, ws.join("way")).expect("a link");
    let confine = Confine {
        writable: vec![ws.clone()],
        protected: vec![ws.join(".git"), ws.join("sub/.vscode")],
        hidden: vec![
            ws.join(".npmrc"),
            ws.join(".secret"),
            outside.join("key"),
            shared.path().into(),
            shared.path().join("key"),
        ],
        network: false,
    };
    let there = outside.display();
    let server = std::process::id();
    let lines = [
        format!("echo x > {there}/new && echo got"),
        format!("echo x >> {there}/theirs && echo got"),
        format!(": > {there}/theirs && echo got"),
        format!("rm -f {there}/theirs && echo got"),
        format!("mv {there}/theirs . && echo got"),
        format!("ln {there}/theirs mine && echo x > mine && echo got"),
        format!("chmod 777 {there}/theirs && echo got"),
        format!("touch -d 1999-01-01 {there}/theirs && echo got"),
        "echo x > link && echo got".into(),
        "echo x > way/new && echo got".into(),
        "ln -s /etc/passwd in && echo x >> in && echo got".into(),
        "echo x > /tmp/cowrite-outside-of-all && echo got".into(),
        "echo x > .git/config && echo got".into(),
        "echo x > .git/hooks/pre-commit && echo got".into(),
        "rm -rf .git && echo got".into(),
        "mv .git other && echo got".into(),
        "chmod 777 .git/config && echo got".into(),
        "echo x > sub/.vscode/tasks.json && echo got".into(),
        "mv sub/.vscode x && echo got".into(),
        "rm .npmrc && echo got".into(),
        "mv .npmrc y && echo got".into(),
        "echo x > .npmrc && echo got".into(),
        "grep -q canary .npmrc && echo got".into(),
        "grep -rq canary .secret && echo got".into(),
        format!("grep -q canary {there}/key && echo got"),
        format!("grep -q canary {}/key && echo got", shared.path().display()),
        format!("cat /proc/{server}/environ >/dev/null && echo got"),
        format!("kill -0 {server} && echo got"),
        "grep -q canary /proc/1/root/$PWD/.npmrc && echo got".into(),
        "cat /proc/1/environ >/dev/null && echo got".into(),
        // No mount is in the way there.
        "echo x > /proc/self/comm && echo got".into(),
        "umount .npmrc && echo got".into(),
        "unshare -Ur true && echo got".into(),
        "mount -t tmpfs x sub && echo got".into(),
        "python3 -c 'import socket; socket.socket(); print(\"got\")'".into(),
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX); print(\"got\")'".into(),
        "python3 -c 'import socket; socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); print(\"got\")'".into(),
        "python3 -c 'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); print(\"got\")'".into(),
        "exec 2>&1; (echo x > /dev/tty) && echo got".into(),
        "for t in /dev/pts/[0-9]*; do [ -e $t ] && echo got; done".into(),
        "test $(ls /proc | grep -c '^[0-9]') -gt 6 && echo got".into(),
    ];
    // Numbers of calls, and what each must fail with; anything else is a way in.
    let call = |number: libc::c_long, arguments: &str, errno: i32| {
        format!(
            "python3 -c 'import ctypes as c; l = c.CDLL(None, use_errno=True); r = l.syscall({number}, {arguments}); \
             print(\"no\" if r == -1 and c.get_errno() == {errno} else \"got\")' || echo got"
        )
    };
    let calls = [
        call(libc::SYS_io_uring_setup, "1, 0", libc::EPERM),
        call(libc::SYS_keyctl, "0, -3, 0", libc::EPERM),
        call(libc::SYS_add_key, "b\"user\", b\"x\", b\"y\", 1, -1", libc::EPERM),
        call(libc::SYS_request_key, "b\"user\", b\"x\", 0, 0", libc::EPERM),
        call(libc::SYS_bpf, "0, 0, 0", libc::EPERM),
        call(libc::SYS_open_by_handle_at, "-1, 0, 0", libc::EPERM),
        call(libc::SYS_clone3, "0, 0", libc::ENOSYS),
        call(libc::SYS_ioctl, &format!("0, {}, b\"x\"", libc::TIOCSTI), libc::EPERM),
    ];
    for line in lines.into_iter().chain(calls) {
        let (end, output) = said(&line, &ws, Some(confine.clone())).await;
        assert!(!output.contains("got"), "{line}: {end:?}: {output}");
    }
    assert_eq!(std::fs::read_to_string(outside.join("theirs")).expect("a file"), "theirs\n");
    assert_eq!(std::fs::read_to_string(ws.join(".git/config")).expect("a file"), "[core]\n");
    assert!(!outside.join("new").exists() && !Path::new("/tmp/cowrite-outside-of-all").exists());
    // What it is for goes on as ever.
    for line in [
        "echo x > new && mkdir -p a/b && mv new a/b && ln a/b/new c && rm -r a && cat c && echo got",
        "echo x > $TMPDIR/t && cat $TMPDIR/t && echo got",
        "cat .git/config link > /dev/null && echo got",
        "python3 -c 'import socket; socket.socketpair(); print(\"got\")'",
        "python3 -c 'import multiprocessing as m; m.Lock(); print(\"got\")'",
        "sleep 0.01 & wait; echo got",
    ] {
        let (end, output) = said(line, &ws, Some(confine.clone())).await;
        assert!(output.contains("got"), "{line}: {end:?}: {output}");
    }
    let in_shared = within(&shared.path().canonicalize().expect("real"));
    assert!(said("echo x > new && echo got", shared.path(), Some(in_shared)).await.1.contains("got"));
    // Each of these must be possible without a sandbox, or the test proves nothing.
    for line in
        ["echo x > way/new && echo got", "grep -q canary .npmrc && echo got", "echo x > .git/config && echo got"]
    {
        assert!(said(line, &ws, None).await.1.contains("got"), "{line}");
    }
}

/// One mount for each hidden file; looking each up among all others took minutes.
#[tokio::test]
async fn a3_14_a_command_begins_soon_however_many_files_are_hidden() {
    if !has_sandbox("a3_14_a_command_begins").await {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    let hidden: Vec<PathBuf> = (0..20_000).map(|number| ws.join(format!("{number}.key"))).collect();
    for file in &hidden {
        std::fs::write(file, "canary").expect("a file");
    }
    let confine = Confine { hidden, ..within(&ws) };
    let begun = Instant::now();
    let (end, output) = said("cat 0.key 777.key 19999.key; echo x > new && echo got", &ws, Some(confine)).await;
    assert_eq!((end, output.as_str()), (End::Status(0), "got\n"));
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a3_14_git_and_cargo_work_in_the_sandbox() {
    if !has_sandbox("a3_14_git_and_cargo").await {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    std::fs::create_dir(ws.join("src")).expect("a folder");
    std::fs::write(
        ws.join("Cargo.toml"),
        "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    )
    .expect("a file");
    std::fs::write(ws.join("src/lib.rs"), "#[test]\nfn it_works() {\n    assert_eq!(1 + 1, 2);\n}\n").expect("a file");
    let prepare = "git init -q . && echo target > .gitignore && git add . && git -c user.name=n -c user.email=e@e commit -qm first \
                   && echo '// more' >> src/lib.rs && printf '#!/bin/sh\\necho got > $PWD/hooked\\n' > .git/hooks/post-checkout \
                   && chmod +x .git/hooks/post-checkout && git config core.fsmonitor 'touch hooked; false'";
    let (end, output) = said(prepare, &ws, None).await;
    assert_eq!(end, End::Status(0), "{output}");
    let confine = Confine { writable: vec![ws.clone()], protected: vec![ws.join(".git")], ..Confine::default() };
    for (line, holds) in [
        ("git status --short", " M src/lib.rs"),
        ("git diff", "+// more"),
        ("git log --oneline", "first"),
        ("git show HEAD:src/lib.rs", "it_works"),
        ("git ls-files", "Cargo.toml"),
        ("cargo test --offline 2>&1", "test it_works ... ok"),
        ("cargo build --offline --release 2>&1", "Finished"),
    ] {
        let (end, output) = said(line, &ws, Some(confine.clone())).await;
        assert!(end == End::Status(0) && output.contains(holds), "{line}: {end:?}: {output}");
    }
    assert!(!ws.join("hooked").exists(), "a3_17: something of the repository's own configuration ran");
    let (end, output) = said("git -c user.name=n -c user.email=e@e commit -qam second", &ws, Some(confine)).await;
    assert!(end != End::Status(0) && output.contains("Read-only file system"), "{end:?}: {output}");
}

#[tokio::test]
async fn a3_20_the_network_is_there_where_it_is_allowed() {
    if !has_sandbox("a3_20").await {
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || while listener.accept().is_ok() {});
    let folder = tempfile::tempdir().expect("a folder");
    let line = format!(
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 5); print(\"got\")'; \
         python3 -c 'import socket; socket.socket(socket.AF_UNIX); print(\"local\")'"
    );
    let with = |network| Some(Confine { network, ..within(&real(&folder)) });
    let output = said(&line, &real(&folder), with(true)).await.1;
    assert!(output.contains("got") && !output.contains("local"), "{output}");
    assert!(!said(&line, &real(&folder), with(false)).await.1.contains("got"));
}

/// Every way that a process leaves its group, its session or its parent behind. Each has the mark in its arguments. Where the test fails,
/// what gets away must not go on for ever.
fn escapes(mark: &str) -> String {
    format!(
        "sleep 600.{mark} & setsid sleep 601.{mark} & (setsid sh -c 'sleep 602.{mark} & sleep 603.{mark}' &) ; \
         nohup sleep 604.{mark} >/dev/null 2>&1 & (trap '' TERM HUP INT; sleep 605.{mark} &) ; \
         setsid -f sh -c 'trap \"\" TERM; for n in $(seq 500); do sleep 606.{mark} & sleep 0.01; done' ; "
    )
}

/// Processes that have the mark in their arguments, and supervisors that were seen above them.
fn alive(mark: &str) -> Vec<String> {
    marked(mark).into_iter().chain(supervisors(mark)).collect()
}

pub(crate) fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let lines = processes.filter_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(mark).then(|| format!("{:?} {line}", entry.file_name()))
    });
    lines.collect()
}

/// Supervisors that were seen above a command with the mark, which is no part of their own command line, and that live still.
fn supervisors(mark: &str) -> Vec<String> {
    let known = SUPERVISORS.lock().expect("a lock");
    let mine = known.iter().filter(|(other, _)| other == mark).map(|(_, pid)| *pid);
    mine.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // One that has ended and that nobody has waited for yet has no command line.
        !stat.is_empty() && String::from_utf8_lossy(&line).contains("supervise")
    })
    .map(|pid| format!("supervisor {pid}"))
    .collect()
}

/// Supervisors that were seen above a command, by its mark.
static SUPERVISORS: std::sync::Mutex<Vec<(String, u32)>> = std::sync::Mutex::new(Vec::new());

/// Notes the supervisors above every process with the mark, as long as the guard lives.
pub(crate) fn watched(mark: &str) -> Watch {
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (mark, until) = (mark.to_owned(), over.clone());
    let watch = std::thread::spawn(move || {
        while !until.load(std::sync::atomic::Ordering::Relaxed) {
            note_supervisors(&mark);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    Watch { over, watch: Some(watch) }
}

pub(crate) struct Watch {
    over: std::sync::Arc<std::sync::atomic::AtomicBool>,
    watch: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, std::sync::atomic::Ordering::Relaxed);
        let _ = self.watch.take().map(std::thread::JoinHandle::join);
    }
}

fn note_supervisors(mark: &str) {
    let line = |pid: u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let Some(mut pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if !String::from_utf8_lossy(&line(pid)).contains(mark) {
            continue;
        }
        while let Some(above) = parent(pid).filter(|above| *above > 1 && *above != std::process::id()) {
            let mut known = SUPERVISORS.lock().expect("a lock");
            if String::from_utf8_lossy(&line(above)).contains("supervise") && !known.contains(&(mark.to_owned(), above))
            {
                known.push((mark.to_owned(), above));
            }
            pid = above;
        }
    }
}

pub(crate) fn noted(mark: &str) -> Vec<u32> {
    let known = SUPERVISORS.lock().expect("a lock");
    known.iter().filter(|(other, _)| other == mark).map(|(_, pid)| *pid).collect()
}

pub(crate) async fn none_left(mark: &str, what: &str) {
    let begun = Instant::now();
    loop {
        let left = alive(mark);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{what}: {left:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn mark() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1000);
    format!("{}{}", std::process::id(), NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

async fn tiers(test: &str) -> Vec<bool> {
    if has_sandbox(test).await { vec![false, true] } else { vec![false] }
}

#[tokio::test]
async fn a3_19_nothing_is_left_when_a_command_ends_takes_too_long_or_is_dropped() {
    for held in tiers("a3_19").await {
        let folder = tempfile::tempdir().expect("a folder");
        let confine = held.then(|| within(&real(&folder)));
        let ended = mark();
        let watch = watched(&ended);
        let (end, output) = said(&(escapes(&ended) + "sleep 0.1; echo over"), &real(&folder), confine.clone()).await;
        assert_eq!((end, output.as_str()), (End::Status(0), "over\n"), "held {held}");
        assert!(!noted(&ended).is_empty(), "held {held}: the test sees supervisors");
        drop(watch);
        assert_eq!(marked(&ended), Vec::<String>::new(), "held {held}: at its end");
        none_left(&ended, "at its end").await;

        let late = mark();
        let watch = watched(&late);
        let long = Job {
            limit: Duration::from_millis(300),
            ..job(&(escapes(&late) + "sleep 607"), &real(&folder), confine.clone())
        };
        assert_eq!(ran(long).await.end, End::TooLong);
        drop(watch);
        assert_eq!(marked(&late), Vec::<String>::new(), "held {held}: too long");
        none_left(&late, "too long").await;

        let dropped = mark();
        let _watch = watched(&dropped);
        let job = job(&(escapes(&dropped) + "sleep 608"), &real(&folder), confine);
        assert!(tokio::time::timeout(Duration::from_millis(300), ran(job)).await.is_err());
        none_left(&dropped, "dropped").await;
    }
}

/// Without a sandbox a command can end its supervisor, and nothing watches over it any longer.
#[tokio::test]
async fn a3_19_what_kills_its_own_supervisor_is_ended_all_the_same() {
    ready();
    let folder = tempfile::tempdir().expect("a folder");
    for by_hooks_way in [false, true] {
        let mark = mark();
        let line = format!("sleep 620.{mark} & (sleep 621.{mark} &); echo begun; kill -9 $PPID; sleep 622.{mark}");
        let job = job(&line, &real(&folder), None);
        let begun = Instant::now();
        let why = if by_hooks_way {
            process::hear(job).await.map(|_| ()).expect_err("nobody has said how it ended")
        } else {
            process::run(job, MOST, &CancellationToken::new(), |_| {}).await.map(|_| ()).expect_err("the same")
        };
        assert!(why.contains("ended without a word"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(marked(&mark), Vec::<String>::new());
    }
}

/// A name that holds keys may lead to a device: that is no reason to take the device away from every program.
#[tokio::test]
async fn what_is_hidden_takes_no_device_away() {
    if !has_sandbox("what_is_hidden_takes_no_device_away").await {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ws = real(&folder);
    std::os::unix::fs::symlink("/dev/null", ws.join(".envrc")).expect("a link");
    let confine = Confine { hidden: vec![ws.join(".envrc")], protected: vec![ws.join(".envrc")], ..within(&ws) };
    let (end, output) = said("echo x > /dev/null && test -c /dev/null && echo got", &ws, Some(confine)).await;
    assert_eq!((end, output.as_str()), (End::Status(0), "got\n"));
}

/// 200 commands cancelled at random moments in a campaign: after 2 s nothing of them is left.
#[tokio::test]
async fn campaign_cancelled_commands() {
    let tiers = tiers("campaign_cancelled_commands").await;
    for round in 0..rounds(200) {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = mark();
        let watch = watched(&mark);
        let confine = tiers[round % tiers.len()].then(|| within(&real(&folder)));
        let job = job(&(escapes(&mark) + "sleep 609"), &real(&folder), confine);
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let when = Duration::from_millis(fastrand::u64(0..150));
        tokio::spawn(async move {
            tokio::time::sleep(when).await;
            stop.cancel();
        });
        let begun = Instant::now();
        let done = process::run(job, MOST, &cancel, |_| {}).await.expect("it starts");
        assert_eq!(done.end, End::Cancelled, "after {when:?}");
        assert!(begun.elapsed() < when + Duration::from_secs(2), "after {when:?} it took {:?}", begun.elapsed());
        assert!(marked(&mark).is_empty(), "after {when:?}: {:?}", marked(&mark));
        drop(watch);
        none_left(&mark, "cancelled").await;
    }
}

#[tokio::test]
async fn a3_19_nothing_is_inherited_and_there_is_no_terminal() {
    ready();
    for held in tiers("a3_19_inherited").await {
        let folder = tempfile::tempdir().expect("a folder");
        let line = "for f in /proc/self/fd/*; do echo $(readlink $f); done | sort -u; test -t 0 || echo none; \
                    (: < /dev/tty) 2>/dev/null || echo no terminal; read x || echo nothing to read";
        let output = said(line, &real(&folder), held.then(|| within(&real(&folder)))).await.1;
        // Beside the three, what the shell has open to list them.
        let odd: Vec<&str> = output
            .lines()
            .filter(|line| {
                !line.starts_with("pipe:") && !line.starts_with("/proc/") && *line != "/dev/null" && !line.is_empty()
            })
            .collect();
        assert_eq!(odd, ["none", "no terminal", "nothing to read"], "{output}");
        assert_eq!(said("kill -9 0", &real(&folder), held.then(Confine::default)).await.0, End::Signal(9));
        let input =
            Job { input: b"what there is to read".to_vec(), ..job("cat", &real(&folder), held.then(Confine::default)) };
        assert_eq!(ran(input).await.output, "what there is to read");
        let unread = Job { input: vec![b'x'; 1 << 20], ..job("echo no", &real(&folder), held.then(Confine::default)) };
        assert_eq!(ran(unread).await.output, "no\n");
    }
}

/// An editor may leave files open in the server that it starts. The order is what the server sends to its supervisor.
#[test]
fn a3_19_what_somebody_left_open_is_not_passed_on() {
    let text = |text: &str| serde_json::json!({ "Unix": text.as_bytes() });
    let line = "for f in 7 8 9; do test -e /proc/self/fd/$f && echo open $f; done; echo over";
    let program = ["/bin/sh", "-c", line].map(text);
    let order = serde_json::json!({
        "program": program, "folder": text("/"), "env": [], "input": 0, "temp": text("/tmp"), "held": null,
    });
    let mut supervisor = std::process::Command::new("sh")
        .args(["-c", "exec 9</dev/null; exec \"$0\" supervise", env!("CARGO_BIN_EXE_cowrite")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut control = supervisor.stdin.take().expect("piped");
    std::io::Write::write_all(&mut control, format!("{order}\n").as_bytes()).expect("it reads");
    let done = supervisor.wait_with_output().expect("it ends");
    drop(control);
    assert_eq!(String::from_utf8_lossy(&done.stdout), r#"{"Status":0}"#);
    assert_eq!(String::from_utf8_lossy(&done.stderr), "over\n");
}

#[tokio::test]
async fn what_cannot_be_started_is_said() {
    ready();
    let folder = tempfile::tempdir().expect("a folder");
    for held in tiers("what_cannot_be_started").await {
        let job = Job {
            program: vec!["cowrite-no-such-program".into()],
            ..job("", &real(&folder), held.then(Confine::default))
        };
        let why = process::run(job, MOST, &CancellationToken::new(), |_| {}).await.expect_err("there is none");
        assert!(why.contains("cowrite-no-such-program could not be started in"), "{why}");
    }
}
