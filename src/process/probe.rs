//! Whether there is a sandbox here: found out by using it once.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::order::{Order, Report};
use super::{Confine, Job, SUPERVISE, start};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Why a command cannot be held in a sandbox here; `Ok` where it can. Found out once, by a program that does nothing: it takes some
/// milliseconds then.
///
/// # Errors
/// What this system lacks, in a sentence.
pub fn sandbox() -> Result<(), String> {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    if !cfg!(target_os = "linux") {
        return Err("commands can be held in a sandbox on Linux only".into());
    }
    FOUND.get_or_init(in_time).clone()
}

/// A mount of a machine that is gone may hold the probe up for ever; then nothing else shall wait for it.
fn in_time() -> Result<(), String> {
    let (said, answer) = std::sync::mpsc::channel();
    // Ends with the process that it starts, which ends with this one at the latest. Nobody listens any more when it is late.
    std::thread::spawn(move || said.send(probe()));
    let late = |_| format!("the sandbox was tried and gave no answer within {} s", LIMIT.as_secs());
    answer.recv_timeout(LIMIT).unwrap_or_else(|error| Err(late(error)))
}

fn probe() -> Result<(), String> {
    let job = Job {
        program: vec!["/bin/sh".into(), "-c".into(), ":".into()],
        folder: "/".into(),
        env: Vec::new(),
        input: Vec::new(),
        confine: Some(Confine::default()),
        limit: Duration::ZERO,
    };
    let order = Order::of(&job).bytes(&[])?;
    let failed = |error| format!("a supervisor could not be tried: {error}");
    let mut command = Command::new(start::supervisor()?);
    command.arg(SUPERVISE).env_clear().current_dir("/");
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = piped.map_err(failed)?;
    let mut said = Vec::new();
    let control = child.stdin.take().map(|mut control| control.write_all(&order).map(|()| control));
    if let Some(mut report) = child.stdout.take() {
        report.read_to_end(&mut said).map_err(failed)?;
    }
    drop(control);
    child.wait().map_err(failed)?;
    match serde_json::from_slice(&said) {
        Ok(Report::Status(0)) => Ok(()),
        Ok(Report::Fault(why)) => Err(why),
        _ => Err("the sandbox was tried and a command in it did not end well".into()),
    }
}
