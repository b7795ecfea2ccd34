//! The server's side: starts a supervisor, hears what the program prints, and ends it in time.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::capture::Capture;
use super::order::{Order, Report};
use super::{Done, End, Job, SUPERVISE};

/// How long a supervisor may take to end what it watches over. It takes some milliseconds.
const ENDING: Duration = Duration::from_secs(10);
/// How long the last output may take to come once everything has ended.
const LAST: Duration = Duration::from_secs(1);
/// What is read at once.
const PIECE: usize = 64 * 1024;

static SUPERVISOR: OnceLock<PathBuf> = OnceLock::new();

/// Names the binary that supervisors are made of, where it is not the running one: in tests, say. The first name counts.
pub fn supervisor_at(path: PathBuf) {
    let _ = SUPERVISOR.set(path);
}

/// The binary that supervisors are made of.
pub(super) fn supervisor() -> Result<PathBuf, String> {
    if let Some(path) = SUPERVISOR.get() {
        return Ok(path.clone());
    }
    if cfg!(test) {
        return Err("the unit tests have no supervisor: what starts programs is tested in tests/it".into());
    }
    if cfg!(target_os = "linux") {
        // The very binary that runs, also when another has taken its place since.
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().map_err(|error| format!("the program does not know where it lies: {error}"))
}

/// Runs a program to its end and tells what it prints as it comes, keeping `most` bytes of it. Nothing that it started is left when
/// this returns, or 2 s after `cancel` or after this is dropped.
///
/// # Errors
/// It did not start: why, on what, and what to do.
pub async fn run(
    job: Job,
    most: usize,
    cancel: &CancellationToken,
    mut heard: impl FnMut(String) + Send,
) -> Result<Done, String> {
    if cancel.is_cancelled() {
        return Ok(Done { end: End::Cancelled, output: String::new(), printed: 0 });
    }
    let order = Order::of(&job).bytes(&job.input)?;
    let mut command = Command::new(supervisor()?);
    command.arg(SUPERVISE).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Not killed when this is dropped: it sees the end of its pipe, and ends the others before itself.
    let mut child = command.spawn().map_err(|error| format!("a supervisor could not be started: {error}"))?;
    let (Some(control), Some(mut report), Some(mut output)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("a supervisor was started without its pipes".into());
    };
    let mut control = Some(control);
    let mut capture = Capture::new(most);
    let mut piece = vec![0; PIECE];
    let mut said = Vec::new();
    let (mut stopped, mut reading) = (None, true);
    let mut last = Instant::now() + job.limit;
    if let Some(control) = control.as_mut()
        && let Err(error) = control.write_all(&order).await
    {
        tracing::debug!(%error, "a supervisor did not take its order");
    }
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled(), if stopped.is_none() => {
                stopped = Some(End::Cancelled);
                control = None;
                last = Instant::now() + ENDING;
            }
            () = sleep_until(last) => {
                if stopped.is_some() {
                    // Its own end is what is left to wait for; the kernel takes what is in its namespace with it.
                    let _ = child.start_kill();
                    break;
                }
                stopped = Some(End::TooLong);
                control = None;
                last = Instant::now() + ENDING;
            }
            read = report.read_buf(&mut said) => {
                if !matches!(read, Ok(more) if more > 0) {
                    break;
                }
            }
            read = output.read(&mut piece), if reading => match read {
                Ok(more) if more > 0 => tell(capture.take(&piece[..more]), &mut heard),
                _ => reading = false,
            },
        }
    }
    drop(control);
    // Everything has ended, so the pipe has an end as well.
    let rest = async {
        while let Ok(more) = output.read(&mut piece).await
            && more > 0
        {
            tell(capture.take(&piece[..more]), &mut heard);
        }
    };
    let _ = timeout(LAST, rest).await;
    tell(capture.end(), &mut heard);
    let report = serde_json::from_slice(&said);
    if report.is_err() {
        end_orphans(child.id()).await;
    }
    if let Err(error) = child.wait().await {
        tracing::debug!(%error, "a supervisor could not be waited for");
    }
    let (output, printed) = capture.kept();
    let end = match (stopped, report) {
        (_, Ok(Report::Fault(why))) => return Err(why),
        // What ended by itself in the last moment did so all the same.
        (_, Ok(Report::Status(status))) => End::Status(status),
        (None, Ok(Report::Signal(signal))) => End::Signal(signal),
        (Some(end), _) => end,
        (None, Ok(Report::Stopped) | Err(_)) => {
            return Err(format!(
                "the supervisor of the command ended without a word, and the command with it {output}"
            )
            .trim()
            .to_owned());
        }
    };
    Ok(Done { end, output, printed })
}

/// Ends what a supervisor has left that ended without a word: a program may have killed it. While it has not been waited for, nobody
/// else has its number.
pub(super) async fn end_orphans(supervisor: Option<u32>) {
    #[cfg(target_os = "linux")]
    if let Some(leader) = supervisor.and_then(|pid| i32::try_from(pid).ok()) {
        let _ = tokio::task::spawn_blocking(move || super::hold::reap::end_session(leader)).await;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = supervisor;
}

fn tell(text: String, heard: &mut impl FnMut(String)) {
    if !text.is_empty() {
        heard(text);
    }
}
