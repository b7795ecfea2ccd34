//! Whose a run is: the processes that write, and how one is known to be gone.

use std::collections::HashMap;
use std::fs;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::row::{Read, int};
use crate::protocol::now_ms;
use crate::store::Owner;

/// How long the silence of a process lasts that cannot be asked for, until it counts as gone.
const SILENCE_MS: u64 = 60_000;

/// A process that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// A new one for each opening of the database.
    pub(super) id: String,
    pub(super) pid: u64,
    /// When it was started, as the system counts; 0 where that cannot be known. A process id alone is used again.
    pub(super) started: u64,
    /// Which boot of which machine, and which namespace of process ids; empty where that cannot be known.
    pub(super) boot: String,
    pub(super) heartbeat_ms: u64,
}

impl Process {
    /// This process.
    pub(super) fn this() -> Self {
        let pid = u64::from(std::process::id());
        Self {
            id: uuid::Uuid::now_v7().to_string(),
            pid,
            started: started(pid).unwrap_or(0),
            boot: boot(),
            heartbeat_ms: now_ms(),
        }
    }

    fn read(row: &SqliteRow, first: usize) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.text(first)?,
            pid: row.number(first + 1)?,
            started: row.number(first + 2)?,
            boot: row.text(first + 3)?,
            heartbeat_ms: row.number(first + 4)?,
        })
    }

    /// Whether it is gone, as far as `me` can tell.
    fn is_gone(&self, me: &Self) -> bool {
        let silent = now_ms().saturating_sub(self.heartbeat_ms) > SILENCE_MS;
        if self.boot != me.boot {
            return silent;
        }
        if self.boot.is_empty() {
            return silent || !is_there(self.pid);
        }
        started(self.pid) != Some(self.started)
    }
}

/// When a process was started; none when there is no such process, or only what is left of one.
fn started(pid: u64) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name stands in brackets and may hold anything, so counting begins behind it, at field 3.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if boot.is_empty() {
        return String::new();
    }
    let names = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), names.display())
}

fn is_there(pid: u64) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Not being allowed to signal it means that it is there.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// Everyone who writes, asked for as often as needed and looked at once.
pub(super) struct Owners<'a> {
    me: &'a Process,
    known: HashMap<String, Owner>,
}

impl<'a> Owners<'a> {
    pub(super) async fn read(connection: &mut SqliteConnection, me: &'a Process) -> Result<Self, sqlx::Error> {
        let rows = sqlx::query("SELECT id, pid, started, boot, heartbeat_ms FROM owners").fetch_all(connection).await?;
        let mut known = HashMap::new();
        for row in rows {
            let process = Process::read(&row, 0)?;
            let owner = if process.is_gone(me) { Owner::Gone } else { Owner::Other };
            known.insert(process.id, owner);
        }
        Ok(Self { me, known })
    }

    /// Who that is. One of whom nothing is known has ended in order.
    pub(super) fn of(&self, id: &str) -> Owner {
        if id == self.me.id { Owner::Ours } else { self.known.get(id).copied().unwrap_or(Owner::Gone) }
    }

    pub(super) fn gone(&self) -> impl Iterator<Item = &str> {
        self.known.iter().filter(|(id, owner)| **owner == Owner::Gone && **id != self.me.id).map(|(id, _)| id.as_str())
    }
}

/// Writes down that a process is there, and when it was last seen.
pub(super) async fn register(connection: &mut SqliteConnection, me: &Process) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO owners (id, pid, started, boot, heartbeat_ms) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET heartbeat_ms = excluded.heartbeat_ms",
    )
    .bind(&me.id)
    .bind(int(me.pid))
    .bind(int(me.started))
    .bind(&me.boot)
    .bind(int(now_ms()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes a process out; its runs then belong to nobody.
pub(super) async fn forget(connection: &mut SqliteConnection, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM owners WHERE id = $1").bind(id).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_when_its_id_is_free_or_taken_by_another() {
        let me = Process::this();
        assert!(!me.is_gone(&me), "this one lives");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = u64::from(child.id());
        let other = Process { id: "other".to_owned(), pid, started: started(pid).unwrap(), ..me.clone() };
        let reused = Process { started: other.started - 1, ..other.clone() };
        assert!(!other.is_gone(&me));
        assert!(reused.is_gone(&me), "the same number, another process");
        child.kill().unwrap();
        while !other.is_gone(&me) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(other.is_gone(&me));
    }

    #[test]
    fn a_process_of_another_machine_is_gone_after_a_minute_of_silence() {
        let me = Process::this();
        let elsewhere = Process { boot: "another".to_owned(), pid: u64::MAX, ..me.clone() };
        assert!(!elsewhere.is_gone(&me));
        let silent = Process { heartbeat_ms: now_ms() - SILENCE_MS - 1, ..elsewhere };
        assert!(silent.is_gone(&me));
    }

    #[test]
    fn where_the_system_tells_little_the_process_id_and_the_heartbeat_decide() {
        let me = Process { boot: String::new(), ..Process::this() };
        assert!(!me.is_gone(&me));
        assert!(Process { pid: 4_194_305, ..me.clone() }.is_gone(&me), "beyond the highest process id");
        assert!(Process { heartbeat_ms: now_ms() - SILENCE_MS - 1, ..me.clone() }.is_gone(&me));
    }
}
