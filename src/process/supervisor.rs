//! The supervisor: a process between the server and a program. It leads a session of its own without a terminal, starts the program
//! and waits. When the program has ended, or its own standard input has, everything that the program started is ended too; then it
//! tells what came of it.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, WaitOptions};

#[cfg(target_os = "linux")]
use super::hold;
use super::order::{Order, Report};
use super::relay;

/// All that this process does when it is called as a supervisor.
#[must_use]
pub fn supervise() -> ExitCode {
    // A group and a session of its own: nothing that is sent to the editor's reaches it, and there is no terminal to ask on.
    let _ = rustix::process::setsid();
    #[cfg(target_os = "linux")]
    {
        hold::keep_to_itself();
        if std::env::args_os().nth(2).is_some_and(|word| word == hold::INSIDE) {
            return hold::inside();
        }
    }
    let Ok((order, input)) = Order::read(&mut io::stdin().lock()) else {
        // The server was gone before it had said what to do.
        return ExitCode::FAILURE;
    };
    if order.apart {
        super::apart::watch(&order, input);
        return ExitCode::SUCCESS;
    }
    let report = match &order.held {
        None => free(&order, input),
        #[cfg(target_os = "linux")]
        Some(held) => hold::outside(&order, held, &input),
        #[cfg(not(target_os = "linux"))]
        Some(_) => Report::Fault("commands can be held in a sandbox on Linux only".into()),
    };
    report.tell();
    ExitCode::SUCCESS
}

/// Runs a program that is held to nothing.
fn free(order: &Order, input: Vec<u8>) -> Report {
    if let Err(fault) = watch_over_all() {
        return fault;
    }
    if order.relay {
        return match begin(order, Stdio::piped(), Stdio::null()) {
            Ok((program, child)) => {
                relay::pass_on(child.stdin, move || end_all(program));
                let report = wait_for(program);
                end_all(program);
                report
            }
            Err(why) => Report::Fault(why),
        };
    }
    match start(order, input) {
        Ok(program) => over(program),
        Err(why) => Report::Fault(why),
    }
}

/// Sees to it that what programs leave behind comes to this process. Before any is started.
pub(super) fn watch_over_all() -> Result<(), Report> {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        return Err(Report::Fault(format!("what a command leaves behind could not be watched over: {error}")));
    }
    Ok(())
}

/// Waits for a program and ends all that it started; ends everything when the server does not want it any longer.
pub(super) fn over(program: Pid) -> Report {
    at_end_of_input(move || end_all(program));
    let report = wait_for(program);
    end_all(program);
    report
}

/// Starts the program of an order; what it prints goes where this process's standard error goes.
pub(super) fn start(order: &Order, input: Vec<u8>) -> Result<Pid, String> {
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let (program, mut child) = begin(order, stdin, Stdio::inherit())?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may never read it.
        thread::spawn(move || stdin.write_all(&input));
    }
    Ok(program)
}

pub(super) fn begin(order: &Order, stdin: Stdio, stderr: Stdio) -> Result<(Pid, Child), String> {
    let (name, arguments) = order.program.split_first().ok_or("there is no program to start")?;
    let failed = |what: &str, error: io::Error| {
        let folder = std::path::Path::new(&order.folder);
        format!("{} could not be started in {}: {what}{error}", name.to_string_lossy(), folder.display())
    };
    let printed = io::stderr().as_fd().try_clone_to_owned().map_err(|error| failed("", error))?;
    let mut command = Command::new(name);
    command.args(arguments).env_clear().envs(order.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&order.folder).stdin(stdin).stdout(printed).stderr(stderr);
    // `kill 0` in a script shall not reach this process.
    command.process_group(0);
    let child = command.spawn().map_err(|error| failed("", error))?;
    let program = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("a program has an odd number")?;
    Ok((program, child))
}

/// Does something once nobody holds the other end of standard input any more.
pub(super) fn at_end_of_input(then: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        let mut more = [0; 64];
        let mut input = io::stdin().lock();
        while !matches!(input.read(&mut more), Ok(0) | Err(_)) {}
        then();
    });
}

/// Waits for a program, and takes in whatever else ends meanwhile.
pub(super) fn wait_for(program: Pid) -> Report {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => {
                let status = ExitStatus::from_raw(status.as_raw());
                return match (status.code(), status.signal()) {
                    (Some(code), _) => Report::Status(code),
                    (None, Some(signal)) => Report::Signal(signal),
                    (None, None) => continue,
                };
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Report::Stopped,
        }
    }
}

/// Ends everything that descends from this process.
#[cfg(target_os = "linux")]
fn end_all(_program: Pid) {
    super::hold::reap::end_all();
}

/// Ends the program's group; the system has no means to find what has left it.
#[cfg(not(target_os = "linux"))]
fn end_all(program: Pid) {
    let _ = rustix::process::kill_process_group(program, rustix::process::Signal::KILL);
}
