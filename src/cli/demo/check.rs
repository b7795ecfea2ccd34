//! The sample's own tests, run by cargo where there is one and time for it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// What the tests said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) passed: bool,
    pub(super) summary: String,
}

/// Runs the tests of the project. `None` where there is no cargo, or no time, or it did not come to running tests.
pub(super) async fn cargo_test(root: PathBuf, limit: Duration) -> Option<Outcome> {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--offline", "--lib", "--target-dir"])
        .arg(root.join("target"))
        .current_dir(&root)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    // A group of its own, so that what cargo started goes with it.
    #[cfg(unix)]
    command.process_group(0);
    let child = command.spawn().ok()?;
    let mut group = Group(child.id());
    let output = tokio::time::timeout(limit, child.wait_with_output()).await.ok()?.ok()?;
    // It has ended by itself; its number may soon be another's.
    group.0 = None;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("test result: "))?;
    let figures = result.split(';').take(2).map(str::trim).collect::<Vec<_>>().join(", ");
    let failed = text.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let summary = match failed {
        Some(failed) => format!("{figures} ({failed})"),
        None => figures,
    };
    Some(Outcome { passed: output.status.success(), summary })
}

/// Ends a process group when it goes out of sight before its time.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
            // Gone already is what is wanted.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
