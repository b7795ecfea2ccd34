//! Ending what descends from this process where there is no namespace that does it: what leaves its parent behind becomes this
//! process's child, so that nothing gets away.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How long something is tried that this process may not do: some programs belong to somebody else.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they are looked for before they are ended, while there are ever new ones.
const LOOKS: usize = 50;

/// Ends all descendants, those that begin meanwhile too.
pub(in crate::process) fn end_all() {
    let begun = Instant::now();
    let mut still = HashSet::new();
    let mut looks = 0;
    loop {
        let alive = descendants();
        if alive.is_empty() || begun.elapsed() > PATIENCE {
            break;
        }
        // What stands still makes no new ones while the others are ended.
        let moving: Vec<i32> = alive.iter().copied().filter(|pid| still.insert(*pid)).collect();
        looks += 1;
        if moving.is_empty() || looks > LOOKS {
            send(&alive, Signal::KILL);
            sleep(Duration::from_millis(1));
        } else {
            send(&moving, Signal::STOP);
        }
    }
}

/// Ends what is left of the session that a supervisor led, itself aside: it was killed, so that nothing came to it. What has left the
/// session as well is not found.
pub(in crate::process) fn end_session(leader: i32) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let left: Vec<i32> = processes()
            .filter(|(pid, process)| process.session == leader && process.alive && *pid != leader)
            .map(|(pid, _)| pid)
            .collect();
        if left.is_empty() {
            break;
        }
        send(&left, Signal::KILL);
        sleep(Duration::from_millis(1));
    }
}

fn send(to: &[i32], signal: Signal) {
    for pid in to.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // Gone already is what is wanted.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Everything alive below this process.
fn descendants() -> Vec<i32> {
    let mut children: HashMap<i32, Vec<(i32, bool)>> = HashMap::new();
    for (pid, process) in processes() {
        children.entry(process.parent).or_default().push((pid, process.alive));
    }
    let mut found = Vec::new();
    let mut next = vec![rustix::process::getpid().as_raw_nonzero().get()];
    while let Some(parent) = next.pop() {
        for (pid, alive) in children.remove(&parent).unwrap_or_default() {
            next.push(pid);
            found.extend(alive.then_some(pid));
        }
    }
    found
}

/// A process.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    parent: i32,
    session: i32,
    alive: bool,
}

/// All that there are.
fn processes() -> impl Iterator<Item = (i32, Process)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok())?;
        Some((pid, parsed(&fs::read(entry.path().join("stat")).ok()?)?))
    })
}

/// What the system says of a process. Its name stands in brackets and may hold anything.
fn parsed(stat: &[u8]) -> Option<Process> {
    let after = memchr::memrchr(b')', stat)? + 1;
    let mut fields = std::str::from_utf8(&stat[after..]).ok()?.split_whitespace();
    let alive = !matches!(fields.next()?, "Z" | "X" | "x");
    let parent = fields.next()?.parse().ok()?;
    // Its group stands between.
    let session = fields.nth(1)?.parse().ok()?;
    Some(Process { parent, session, alive })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let process = |parent, session, alive| Some(Process { parent, session, alive });
        assert_eq!(parsed(b"12 (a) R 7 (b)) S 34 12 13 0"), process(34, 13, true));
        assert_eq!(parsed(b"12 (sh) Z 34 12 13"), process(34, 13, false));
        assert_eq!(parsed(b""), None);
    }
}
