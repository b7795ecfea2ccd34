//! `run`: a command line in the workspace.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::output::screened;
use super::{Answer, Context, Failure, Tool, held};
use crate::model::without_keys;
use crate::permission::{Access, Want};
use crate::process::{Done, End};

/// How long a command may take unless more is asked for, and the most that can be asked for, in seconds.
const USUAL: u64 = 120;
const MOST: u64 = 600;
/// A line that has no end is told in pieces of so many bytes.
const LINE: usize = 4096;

pub(super) struct Run;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The command line, for `sh -c`.
    command: String,
    /// The folder to run it in, relative to the workspace. Default: the workspace itself.
    cwd: Option<String>,
    /// Seconds that it may take, 600 at most. Default: 120.
    timeout_seconds: Option<u64>,
}

#[async_trait]
impl Tool for Run {
    type Input = Input;
    const NAME: &'static str = "run";
    const DESCRIPTION: &'static str = "Runs a command line with `sh -c` in the workspace: builds, tests, git and the like. There is no terminal and nothing to \
         read, so what asks questions fails: give such programs the flags that answer for them. Everything that it started is \
         ended when the command ends, so nothing can be left running. Where there is a sandbox it writes only in the workspace and \
         in $TMPDIR, reaches no network unless the person allows it, and does not change .git. Use the other tools to read, search and \
         edit files: they see what is not saved yet.";
    const ACCESS: Access = Access::Run;

    fn title(&self, input: &Input) -> String {
        format!("Run {}", input.command)
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        let run = Want::Run { command: input.command.clone() };
        std::iter::once(run).chain(input.cwd.as_ref().map(Want::read)).collect()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        if input.command.trim().is_empty() {
            return Err(Failure("there is no command in it".into()));
        }
        if input.command.contains('\0') {
            return Err(Failure("a command line cannot hold a NUL".into()));
        }
        let seconds = input.timeout_seconds.unwrap_or(USUAL).clamp(1, MOST);
        let folder = match &input.cwd {
            None => context.roots.folders().first().cloned().ok_or_else(|| {
                Failure("no folder is open in the editor, so there is none to run a command in".into())
            })?,
            Some(cwd) => {
                let place = context.roots.resolve(cwd, Access::Read)?;
                let path = place.path().filter(|path| path.is_dir());
                path.ok_or_else(|| Failure(format!("{place} is not a folder to run a command in")))?.to_owned()
            }
        };
        let mut telling = Telling { context, line: String::new(), left: context.limits.tool_output_bytes };
        let limit = Duration::from_secs(seconds);
        let ran = held::hold(&input.command, &folder, limit, context, |piece| telling.hear(&piece)).await;
        telling.end();
        ran.map(|held| answer(held, seconds)).map_err(Failure)
    }
}

fn answer(held: held::Held, seconds: u64) -> Answer {
    let Done { end, output, printed } = held.done;
    let (ended, summary) = match end {
        End::Status(0) => ("The command succeeded.".to_owned(), "succeeded".to_owned()),
        End::Status(status) => (format!("The command ended with status {status}."), format!("status {status}")),
        End::Signal(signal) => (format!("The command was ended by signal {signal}."), format!("signal {signal}")),
        End::TooLong => (
            format!("The command took longer than {seconds} s, so it was ended with all that it had started."),
            format!("ended after {seconds} s"),
        ),
        End::Cancelled => (
            "The person stopped the run, so the command was ended with all that it had started. What it had done by then stays done."
                .to_owned(),
            "stopped".to_owned(),
        ),
    };
    let printed = if printed == 0 { "It printed nothing.".to_owned() } else { format!("It printed:\n{output}") };
    let content = std::iter::once(ended).chain(held.notes).chain([printed]).collect::<Vec<_>>().join("\n");
    Answer { ok: end == End::Status(0), content, summary, undone: end == End::Cancelled }
}

/// Tells what is printed by whole lines, so that nothing secret is told in two halves, and only so much of it: all of the rest is in
/// nobody's interest, and the result has its end.
struct Telling<'a> {
    context: &'a Context,
    line: String,
    left: usize,
}

impl Telling<'_> {
    fn hear(&mut self, piece: &str) {
        if self.left == 0 {
            return;
        }
        self.line.push_str(piece);
        if let Some(end) = memchr::memrchr(b'\n', self.line.as_bytes()) {
            let rest = self.line.split_off(end + 1);
            let lines = std::mem::replace(&mut self.line, rest);
            self.tell(lines);
        }
        if self.line.len() > LINE {
            let line = std::mem::take(&mut self.line);
            self.tell(line);
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.tell(line);
    }

    fn tell(&mut self, mut text: String) {
        if text.is_empty() || self.left == 0 {
            return;
        }
        if text.len() >= self.left {
            text.truncate(text.floor_char_boundary(self.left));
            text.push_str("\n[... it goes on; the result has its end ...]\n");
            self.left = 0;
            self.line = String::new();
        } else {
            self.left -= text.len();
        }
        // Where it is not sure that there is no key in it, it is not told.
        if let Some(text) = without_keys(screened(&text)) {
            self.context.told.output(&self.context.call, text);
        }
    }
}
