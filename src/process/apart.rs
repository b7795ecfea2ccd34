//! A short program whose standard output and standard error are heard apart. The first comes as it is printed; the beginning of the
//! second comes with the report.

use std::io::{Read, Write as _};
use std::process::{ChildStderr, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::order::{Order, Report};
use super::start::{end_orphans, supervisor};
use super::supervisor::{begin, over, watch_over_all};
use super::{End, Job, SUPERVISE};

/// What is kept of each.
const MOST: usize = 64 * 1024;
/// How long the end of everything may take once it has begun.
const ENDING: Duration = Duration::from_secs(3);

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// How it ended.
    pub end: End,
    /// The beginning of its standard output.
    pub output: String,
    /// The beginning of its standard error.
    pub errors: String,
}

/// Runs a program to its end. Nothing that it started is left when this returns, or a moment after it is dropped.
///
/// # Errors
/// It did not start: why.
pub async fn hear(job: Job) -> Result<Heard, String> {
    let order = Order { apart: true, ..Order::of(&job) }.bytes(&job.input)?;
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
    let (pid, mut control) = (child.id(), Some(control));
    let (mut heard, mut said) = (Vec::new(), Vec::new());
    let talk = async {
        if let Some(control) = control.as_mut() {
            // It may end before it has read all.
            let _ = control.write_all(&order).await;
        }
        listen(pid, &mut output, &mut report, &mut heard, &mut said).await;
    };
    let in_time = timeout(job.limit, talk).await.is_ok();
    drop(control);
    if !in_time {
        let _ = timeout(ENDING, listen(pid, &mut output, &mut report, &mut heard, &mut said)).await;
    }
    let _ = timeout(ENDING, child.wait()).await;
    let (end, errors) = match reported(&said) {
        Ok((Report::Fault(why), _)) => return Err(why),
        Ok((Report::Status(status), errors)) => (End::Status(status), errors),
        Ok((Report::Signal(signal), errors)) if in_time => (End::Signal(signal), errors),
        Ok((_, errors)) => (End::TooLong, errors),
        Err(_) if !in_time => (End::TooLong, String::new()),
        Err(_) => return Err("its supervisor ended without a word, and it with that".into()),
    };
    Ok(Heard { end, output: String::from_utf8_lossy(&heard).into_owned(), errors })
}

/// Takes in both pipes until they end, however much comes. What a supervisor leaves that ended without a word holds the other pipe open.
async fn listen(
    supervisor: Option<u32>,
    output: &mut (impl AsyncReadExt + Unpin),
    report: &mut (impl AsyncReadExt + Unpin),
    heard: &mut Vec<u8>,
    said: &mut Vec<u8>,
) {
    let end = async {
        take_in(report, said, 8 * MOST).await;
        if reported(said).is_err() {
            end_orphans(supervisor).await;
        }
    };
    tokio::join!(take_in(output, heard, MOST), end);
}

/// What a supervisor has said of the end, with the beginning of the standard error.
fn reported(said: &[u8]) -> serde_json::Result<(Report, String)> {
    serde_json::from_slice(said)
}

async fn take_in(from: &mut (impl AsyncReadExt + Unpin), kept: &mut Vec<u8>, most: usize) {
    let mut piece = vec![0; 16 * 1024];
    while let Ok(more) = from.read(&mut piece).await
        && more > 0
    {
        kept.extend_from_slice(&piece[..more.min(most - kept.len().min(most))]);
    }
}

/// The supervisor's side: runs the program and tells what came of it with what it said on its standard error.
pub(super) fn watch(order: &Order, input: Vec<u8>) {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let begun = watch_over_all().and_then(|()| begin(order, stdin, Stdio::piped()).map_err(Report::Fault));
    let (report, errors) = match begun {
        Err(fault) => (fault, String::new()),
        Ok((program, mut child)) => {
            if let Some(mut stdin) = child.stdin.take() {
                // It may never read it.
                thread::spawn(move || stdin.write_all(&input));
            }
            let errors = child.stderr.take().map(beginning);
            let report = over(program);
            // Everything has ended, so the pipe has an end as well.
            (report, errors.and_then(|errors| errors.recv_timeout(ENDING).ok()).unwrap_or_default())
        }
    };
    let mut out = std::io::stdout().lock();
    // Nobody listens any more when this fails.
    let _ = serde_json::to_writer(&mut out, &(report, errors));
    let _ = out.flush();
}

fn beginning(mut from: ChildStderr) -> mpsc::Receiver<String> {
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        let (mut kept, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
        while let Ok(more) = from.read(&mut piece)
            && more > 0
        {
            kept.extend_from_slice(&piece[..more.min(MOST - kept.len().min(MOST))]);
        }
        let _ = told.send(String::from_utf8_lossy(&kept).into_owned());
    });
    heard
}
