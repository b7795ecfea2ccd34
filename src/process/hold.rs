//! Linux: a program in namespaces of its own, where it sees and changes only what it may.
//!
//! Two processes stand above it. The outer one makes the namespaces, and waits. The inner one is the first in a namespace of processes,
//! so that the kernel ends all others with it, however they were started; it arranges what can be seen, gives up what it may do, and
//! then starts the program.

mod files;
mod mounts;
pub(super) mod reap;
mod syscalls;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ChildStdout, Command, ExitCode, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sched::CloneFlags;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{DumpableBehavior, Pid, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use tempfile::TempDir;

use super::order::{Held, Order, Report};
use super::{SUPERVISE, supervisor};

/// What the inner process is called with.
pub(super) const INSIDE: &str = "inside";
/// The program's folder for temporary files, in the one that is made for it.
const TEMP: &str = "tmp";
/// Processes and threads that a program may have at once. Counted for its namespace alone, and not for root.
const PROCESSES: u64 = 4096;
/// What the inner process needs to arrange the mounts and to give up the rest.
const NEEDED: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::SETPCAP];

/// Passes on nothing that somebody left open: an editor may have started the server with more than three files.
pub(super) fn keep_to_itself() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()));
    for number in numbers.filter(|number: &i32| *number > 2).collect::<Vec<_>>() {
        // Closed already is well too.
        let _ = fcntl(number, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    }
}

/// The outer process: runs an order and waits until nothing of it is left.
pub(super) fn outside(order: &Order, held: &Held, input: &[u8]) -> Report {
    let own = match folder(order) {
        Ok(own) => own,
        Err(error) => {
            let place = Path::new(&order.temp).display();
            return Report::Fault(format!("a folder for temporary files could not be made in {place}: {error}"));
        }
    };
    let report = go_inside(order, held, input, &own).unwrap_or_else(Report::Fault);
    remove(own);
    report
}

/// Removes the folder, whatever modes a program has given to what is in it. Nothing of that program is left by now.
fn remove(own: TempDir) {
    let path = own.path().to_owned();
    if own.close().is_err() {
        open_up(&path);
        // It lies among the temporary files, where others clear away as well.
        let _ = fs::remove_dir_all(&path);
    }
}

fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // A link is none.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn folder(order: &Order) -> io::Result<TempDir> {
    let own = tempfile::Builder::new().prefix("cowrite-").tempdir_in(&order.temp)?;
    fs::create_dir(own.path().join(TEMP))?;
    fs::create_dir(own.path().join(mounts::VOID))?;
    fs::File::create_new(own.path().join(mounts::EMPTY))?;
    Ok(own)
}

fn go_inside(order: &Order, held: &Held, input: &[u8], own: &TempDir) -> Result<Report, String> {
    let mut order = order.clone();
    let temp = own.path().join(TEMP);
    for name in ["TMPDIR", "TMP", "TEMP"] {
        order.env.retain(|(other, _)| other != name);
        order.env.push((name.into(), temp.clone().into()));
    }
    if !order.env.iter().any(|(name, _)| name == "GOCACHE") {
        // Its compiler does nothing without one that it can write.
        order.env.push(("GOCACHE".into(), temp.join("go-build").into()));
    }
    order.held = Some(Held { own: own.path().into(), ..held.clone() });
    let failed = |error: io::Error| format!("the inner process of the sandbox could not be started: {error}");

    namespaces(held.network)?;
    let mut command = Command::new("/proc/self/exe");
    command.args([SUPERVISE, INSIDE]).env_clear().current_dir("/");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a process has an odd number")?;
    let control = child.stdin.take().map(|mut control| {
        // When it does not take it, it has said why.
        let _ = order.bytes(input).map(|bytes| control.write_all(&bytes));
        control
    });
    let report = child.stdout.take().ok_or("the inner process of the sandbox has no pipe")?;
    let (said, stopped) = report_of(pid, report).map_err(failed)?;
    // The first process of a namespace is waited for only when all others in it are gone.
    let status = child.wait().map_err(failed)?;
    drop(control);
    match serde_json::from_slice(&said) {
        Ok(report) => Ok(report),
        Err(_) if stopped => Ok(Report::Stopped),
        Err(_) => Err(format!("the sandbox ended before the command did ({status})")),
    }
}

/// All that the inner process says, and whether it was ended because the server wants an end. A process with namespaces for its children
/// can have no second thread.
fn report_of(inner: Pid, mut report: ChildStdout) -> io::Result<(Vec<u8>, bool)> {
    let (mut said, mut stopped) = (Vec::new(), false);
    let (mut piece, stdin) = ([0; 4096], io::stdin());
    loop {
        let mut ready = [PollFd::new(&report, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        let asked = if stopped { &mut ready[..1] } else { &mut ready[..] };
        match rustix::event::poll(asked, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let (told, over) = (!ready[0].revents().is_empty(), !stopped && !ready[1].revents().is_empty());
        if over {
            // It says nothing after its order, so this is the end of it.
            stopped = true;
            let _ = rustix::process::kill_process(inner, Signal::KILL);
        }
        if told {
            match report.read(&mut piece)? {
                0 => return Ok((said, stopped)),
                more => said.extend_from_slice(&piece[..more]),
            }
        }
    }
}

/// New namespaces for what this process starts. It is in the one of users itself, as who it was.
fn namespaces(network: bool) -> Result<(), String> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    let made = if network {
        nix::sched::unshare(flags)
    } else {
        // Without one there is still no socket to be had.
        nix::sched::unshare(flags | CloneFlags::CLONE_NEWNET).or_else(|_| nix::sched::unshare(flags))
    };
    made.map_err(|error| {
        format!("this system gives no user namespaces to programs ({error}); its administrator can allow them")
    })?;
    let mapped = say("/proc/self/setgroups", "deny")
        .and_then(|()| say("/proc/self/uid_map", &format!("{user} {user} 1")))
        .and_then(|()| say("/proc/self/gid_map", &format!("{group} {group} 1")));
    mapped.map_err(|error| format!("a user namespace could not be set up: {error}"))?;
    // The inner process shall have these too, whoever it is.
    let ambient = || -> rustix::io::Result<()> {
        let sets = rustix::thread::capabilities(None)?;
        let needed = NEEDED.into_iter().fold(CapabilitySet::empty(), CapabilitySet::union);
        rustix::thread::set_capabilities(None, CapabilitySets { inheritable: needed, ..sets })?;
        NEEDED.into_iter().try_for_each(|one| rustix::thread::configure_capability_in_ambient_set(one, true))
    };
    ambient().map_err(|error| format!("this system gives user namespaces that can do nothing ({error})"))
}

fn say(file: &str, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// The inner process, the first in its namespace: whatever it ends with, all others end with it.
pub(super) fn inside() -> ExitCode {
    let Ok((order, input)) = Order::read(&mut io::stdin().lock()) else { return ExitCode::FAILURE };
    let begun = confine(&order).and_then(|()| {
        supervisor::at_end_of_input(|| std::process::exit(1));
        supervisor::start(&order, input)
    });
    match begun {
        Ok(program) => supervisor::wait_for(program).tell(),
        Err(why) => Report::Fault(why).tell(),
    }
    ExitCode::SUCCESS
}

/// From here on this process can do no more than the program that it starts.
fn confine(order: &Order) -> Result<(), String> {
    let held = order.held.as_ref().ok_or("there is nothing to be held to")?;
    let temp = Path::new(&held.own).join(TEMP);
    let failed = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
    // The outer one may be killed before it can do anything.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("no signal at its end"))?;
    let writable = mounts::arrange(held, &temp)?;
    give_up().map_err(failed("the rights over the namespace could not be given up"))?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none).map_err(failed("no limit of dumps"))?;
    let most = rustix::process::getrlimit(Resource::Nproc).maximum.unwrap_or(PROCESSES).min(PROCESSES);
    let most = Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::setrlimit(Resource::Nproc, most).map_err(failed("no limit of processes"))?;
    files::hold(&writable, held.network)?;
    // Nothing in here is looked into by the program, which is the same user.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("it can be looked into"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("no signal at its end"))?;
    syscalls::hold(held.network)
}

fn give_up() -> rustix::io::Result<()> {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if rustix::thread::remove_capability_from_bounding_set(one).is_err() {
            // The kernel knows no more of them.
            break;
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    // Root would get everything back with the next program otherwise.
    rustix::thread::set_no_new_privs(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_for_temporary_files_goes_whatever_its_modes_are() {
        let own = tempfile::tempdir().expect("a folder");
        let outside = tempfile::tempdir().expect("a folder");
        let path = own.path().to_owned();
        fs::create_dir_all(path.join("tmp/a/b")).expect("folders");
        fs::write(path.join("tmp/a/b/file"), "x").expect("a file");
        std::os::unix::fs::symlink(outside.path(), path.join("tmp/link")).expect("a link");
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o500)).expect("a mode");
        for (folder, mode) in [("tmp/a/b", 0o000), ("tmp/a", 0o500)] {
            fs::set_permissions(path.join(folder), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        // Root is held to no modes, so that the way past them is taken here whatever the first try comes to.
        open_up(&path);
        assert!(
            ["tmp/a", "tmp/a/b"]
                .iter()
                .all(|folder| { path.join(folder).metadata().expect("there").permissions().mode() & 0o777 == 0o700 })
        );
        assert_eq!(outside.path().metadata().expect("there").permissions().mode() & 0o777, 0o500);
        remove(own);
        assert!(!path.exists());
    }
}
