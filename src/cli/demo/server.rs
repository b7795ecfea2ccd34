//! The server as a process of its own, spoken to over pipes.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Failure, Sample};
use crate::framing::{FrameReader, frame};

/// How long the server may take to end after it was told to.
const FAREWELL: Duration = Duration::from_secs(3);

pub(super) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    frames: FrameReader,
    log: std::path::PathBuf,
}

impl Server {
    pub(super) fn start(sample: &Sample) -> Result<Self, Failure> {
        let failed = |error| Failure::because("could not start the server", error);
        let program = std::env::current_exe().map_err(failed)?;
        let log = std::fs::File::create(&sample.log).map_err(failed)?;
        let mut child = Command::new(program)
            .args(["lsp", "--stdio"])
            .current_dir(&sample.root)
            .env("COWRITE_CONFIG", &sample.config)
            .env("COWRITE_STATE_DIR", &sample.state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure("could not start the server: it has no pipes".into()));
        };
        Ok(Self { child, input: Some(input), output, frames: FrameReader::default(), log: sample.log.clone() })
    }

    pub(super) async fn send(&mut self, mut message: Value) -> Result<(), Failure> {
        message["jsonrpc"] = json!("2.0");
        let failed = |error| Failure::because("could not write to the server", error);
        let Some(input) = &mut self.input else { return Err(Failure("the server was told to end".into())) };
        input.write_all(&frame(message.to_string().as_bytes())).await.map_err(failed)?;
        input.flush().await.map_err(failed)
    }

    pub(super) async fn receive(&mut self) -> Result<Value, Failure> {
        let mut bytes = vec![0; 16 * 1024];
        loop {
            if let Some(body) = self.frames.next() {
                let body = body.map_err(|error| Failure::because("the server wrote what is no message", error))?;
                return serde_json::from_slice(&body)
                    .map_err(|error| Failure::because("the server wrote what is no JSON", error));
            }
            let count = self.output.read(&mut bytes).await;
            match count.map_err(|error| Failure::because("could not read from the server", error))? {
                0 => return Err(Failure("the server ended in the midst of the conversation".into())),
                count => self.frames.push(bytes.get(..count).unwrap_or_default()),
            }
        }
    }

    /// The last lines that the server has logged, when there are any.
    pub(super) fn log(&self) -> Option<String> {
        let text = std::fs::read_to_string(&self.log).ok()?;
        let lines: Vec<_> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(20)..)?.join("\n");
        (!last.is_empty()).then_some(last)
    }

    /// Waits for the end of the process, after `exit` was sent.
    pub(super) async fn wait(&mut self) -> Result<(), Failure> {
        self.input = None;
        match tokio::time::timeout(FAREWELL, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Failure(format!("the server ended with {status}"))),
            Ok(Err(error)) => Err(Failure::because("could not wait for the server", error)),
            Err(_) => Err(Failure(format!("the server was still there {} seconds after `exit`", FAREWELL.as_secs()))),
        }
    }
}
