//! The server's side of a program that is talked with for as long as it is needed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::order::{Order, Report};
use super::start::supervisor;
use super::{Job, SUPERVISE};

/// How long the end of everything may take once it has begun.
const ENDING: Duration = Duration::from_secs(3);
/// The longest report that is read.
const REPORT: u64 = 64 * 1024;

/// A program that is talked with.
#[derive(Debug)]
pub struct Served {
    /// Its standard input. When this is dropped, or this process ends, the program and all that it started are ended.
    pub input: ChildStdin,
    /// Its standard output.
    pub output: ChildStderr,
    /// What its end is learnt from.
    pub ending: Ending,
}

/// The end of a program that was talked with.
#[derive(Debug)]
pub struct Ending {
    supervisor: Child,
    report: ChildStdout,
}

/// Starts a program under a supervisor, to be talked with. What it prints on its standard error is dropped.
///
/// # Errors
/// The supervisor did not start. That the program did not is said by [`Ending::said`].
pub async fn serve(program: Vec<OsString>, folder: PathBuf, env: Vec<(OsString, OsString)>) -> Result<Served, String> {
    let job = Job { program, folder, env, input: Vec::new(), confine: None, limit: Duration::MAX };
    let order = Order { relay: true, ..Order::of(&job) }.bytes(&[])?;
    let mut command = Command::new(supervisor()?);
    command.arg(SUPERVISE).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Not killed when this is dropped: it sees the end of its pipe, and ends the others before itself.
    let mut child = command.spawn().map_err(|error| format!("a supervisor could not be started: {error}"))?;
    let (Some(mut input), Some(report), Some(output)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("a supervisor was started without its pipes".into());
    };
    input.write_all(&order).await.map_err(|error| format!("a supervisor did not take its order: {error}"))?;
    Ok(Served { input, output, ending: Ending { supervisor: child, report } })
}

impl Ending {
    /// How it ended, or why it did not begin; waits a short time for it. `None` when it was ended, or has not ended.
    pub async fn said(mut self) -> Option<String> {
        let mut said = Vec::new();
        let _ = timeout(ENDING, self.report.take(REPORT).read_to_end(&mut said)).await.ok()?;
        let _ = timeout(ENDING, self.supervisor.wait()).await;
        match serde_json::from_slice(&said).ok()? {
            Report::Fault(why) => Some(why),
            Report::Status(status) => Some(format!("it ended with status {status}")),
            Report::Signal(signal) => Some(format!("it was ended by signal {signal}")),
            Report::Stopped => None,
        }
    }
}
