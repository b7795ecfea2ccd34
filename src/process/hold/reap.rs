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

fn send(to: &[i32], signal: Signal) {
    for pid in to.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // Gone already is what is wanted.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Everything alive below this process.
fn descendants() -> Vec<i32> {
    let mut children: HashMap<i32, Vec<(i32, bool)>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        if let Some((parent, alive)) = parsed(&stat) {
            children.entry(parent).or_default().push((pid, alive));
        }
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

/// The parent of a process, and whether it is alive. Its name stands in brackets and may hold anything.
fn parsed(stat: &[u8]) -> Option<(i32, bool)> {
    let after = memchr::memrchr(b')', stat)? + 1;
    let mut fields = std::str::from_utf8(&stat[after..]).ok()?.split_whitespace();
    let state = fields.next()?;
    Some((fields.next()?.parse().ok()?, !matches!(state, "Z" | "X" | "x")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        assert_eq!(parsed(b"12 (a) R 7 (b)) S 34 12 12 0"), Some((34, true)));
        assert_eq!(parsed(b"12 (sh) Z 34 12"), Some((34, false)));
        assert_eq!(parsed(b""), None);
    }
}
