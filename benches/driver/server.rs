//! A server process, driven as an editor would.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use cowrite::framing::frame;
use serde_json::Value;

/// A server process with nobody's settings.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) input: ChildStdin,
    output: BufReader<ChildStdout>,
    #[allow(dead_code, reason = "not every bench looks into it")]
    pub(crate) home: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config.toml");
        std::fs::write(&config, "").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cowrite"))
            .env("COWRITE_CONFIG", config)
            .env("COWRITE_STATE_DIR", home.path().join("state"))
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output, home }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.input.write_all(&frame(message.to_string().as_bytes())).unwrap();
    }

    pub(crate) fn next(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the server ended");
            match line.trim() {
                "" => break,
                header => length = header.strip_prefix("Content-Length: ").unwrap().parse().unwrap(),
            }
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only what was started here, by its own handle.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
