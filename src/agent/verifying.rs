//! Checking what a run has edited with the commands of the settings; what fails goes back to the model.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Agent;
use super::calls::{GRACE, Owned};
use super::turn::Stop;
use crate::crash;
use crate::permission::{Kind, Question, Reply, visible};
use crate::process::{Done, End};
use crate::protocol::{Event, Mode};
use crate::tool::{cap, hold};

/// How often the model hears of failures in a run.
const ROUNDS: u32 = 3;
/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What has been checked in a run.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// How often the model has heard of failures.
    rounds: u32,
    /// Edits that had landed when it was done last.
    edits: u32,
    /// What was found then: the command, and what came of it.
    found: Vec<(String, String)>,
}

impl Checked {
    /// For the person; nothing where nothing was checked.
    pub(super) fn summary(&self) -> Option<String> {
        let lines: Vec<String> = self.found.iter().map(|(command, what)| format!("- `{command}`: {what}")).collect();
        (!lines.is_empty()).then(|| format!("Checked:\n{}", lines.join("\n")))
    }
}

impl Agent {
    /// Runs the commands where something was edited since they ran last; what the model shall mend. They come from the person's own
    /// settings, so nobody is asked where they are held.
    ///
    /// # Errors
    /// When the person stops the run.
    pub(super) async fn verify(&self, checked: &mut Checked) -> Result<Option<String>, Stop> {
        let edits = self.edits.load(Ordering::Relaxed);
        // What is only proposed is in no file.
        let nothing = matches!(self.setup.mode, Mode::Plan | Mode::Ask) || self.setup.verify.is_empty();
        if nothing || edits == checked.edits {
            return Ok(None);
        }
        checked.edits = edits;
        checked.found.clear();
        if !self.may_check().await? {
            let not = "not run: nothing holds commands here, and the person did not allow it";
            checked.found = self.setup.verify.iter().map(|command| (command.clone(), not.to_owned())).collect();
            return Ok(None);
        }
        let mut failures = Vec::new();
        for command in &self.setup.verify {
            self.journal.event(Event::Verifying { command: command.clone() });
            let (ok, summary, output) = self.checked(command).await?;
            let summary = self.redacted(summary);
            self.journal.event(Event::Verified { command: command.clone(), ok, summary: summary.clone() });
            checked.found.push((command.clone(), summary.clone()));
            if !ok {
                failures.push(format!("`{command}`: {summary}\n\n{}", self.redacted(output)));
            }
        }
        if failures.is_empty() || checked.rounds == ROUNDS {
            return Ok(None);
        }
        checked.rounds += 1;
        let most = self.setup.limits.tool_output_bytes;
        let text = format!(
            "After your edits these checks of the person's own settings failed. Mend what your edits broke; if it is not of your \
             making, say so and leave it.\n\n{}",
            failures.join("\n\n")
        );
        Ok(Some(cap(text, most)))
    }

    /// Whether the commands may run. The words are the person's own, but what they start is what was just edited: where nothing
    /// holds it, the person is asked, as for every command.
    async fn may_check(&self) -> Result<bool, Stop> {
        let key = format!("verify {:?}", self.setup.verify);
        if self.setup.gate.sandboxed || self.setup.gate.remembered.holds(&key) {
            return Ok(true);
        }
        let question = Question {
            title: "Check the edits with the commands of the settings".into(),
            detail: format!(
                "Run with sh -c:\n{}\nAsked because there is no sandbox here that would hold what they start.",
                self.setup.verify.iter().map(|command| visible(command)).collect::<Vec<_>>().join("\n")
            ),
            kind: Kind::May { rememberable: true },
        };
        let reply = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            reply = self.journal.ask(question) => reply,
        };
        if reply == Reply::Session {
            self.setup.gate.remembered.remember(vec![key]);
        }
        Ok(matches!(reply, Reply::Once | Reply::Session))
    }

    /// Whether a command is content, that in a line, and what it printed.
    async fn checked(&self, command: &str) -> Result<(bool, String, String), Stop> {
        let Some(folder) = self.setup.roots.folders().first() else {
            return Ok((false, "there is no workspace folder to run it in".into(), String::new()));
        };
        let (line, folder, tools) = (command.to_owned(), folder.clone(), self.tools.clone());
        // As calls are: what it leaves in the workspace is looked through to the end, and nobody waits for that.
        let task = self.setup.tasks.spawn(async move { hold(&line, &folder, LIMIT, &tools, |_| {}).await });
        let mut owned = Owned { task, released: false };
        let held = tokio::select! {
            biased;
            held = &mut owned.task => held,
            () = self.cancel.cancelled() => {
                owned.released = tokio::time::timeout(GRACE, &mut owned.task).await.is_err();
                return Err(Stop::Cancelled);
            }
        };
        let held = held.unwrap_or_else(|error| Err(crash::why(&error).to_owned()));
        if self.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        Ok(match held {
            Err(why) => (false, why, String::new()),
            Ok(held) => {
                let Done { end, output, .. } = held.done;
                let notes = held.notes.join("\n");
                let output = if notes.is_empty() { output } else { format!("{notes}\n\n{output}") };
                match end {
                    End::Cancelled => return Err(Stop::Cancelled),
                    End::Status(0) => (true, "passed".into(), output),
                    End::Status(status) => (false, format!("failed with status {status}"), output),
                    End::Signal(signal) => (false, format!("was ended by signal {signal}"), output),
                    End::TooLong => (false, format!("was ended after {} s", LIMIT.as_secs()), output),
                }
            }
        })
    }

    pub(super) fn redacted(&self, text: String) -> String {
        self.setup.summariser.redacted(self.setup.provider.redacted(text))
    }
}
