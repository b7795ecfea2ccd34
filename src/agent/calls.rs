//! Running the calls of one message: reads side by side, changes one after another, results together.

use std::time::Duration;

use futures::future::join_all;
use tokio::task::JoinHandle;

use super::Agent;
use super::passing::Pass;
use super::turn::{Call, Stop};
use crate::context::of_text;
use crate::crash;
use crate::model::{Item, ToolResult, WITHHELD};
use crate::permission::{Access, Grant};
use crate::protocol::Event;
use crate::tool::{self, Answer, cap};

/// How long a change that is under way may take to end by itself after a cancel, so that what was applied is reported as applied.
pub(super) const GRACE: Duration = Duration::from_millis(100);

impl Agent {
    /// Runs the calls of a message and keeps their results: one for each, in their order, whatever happens.
    pub(super) async fn run_calls(&mut self, calls: Vec<Call>) -> Result<(), Stop> {
        let mut answers: Vec<Answer> = Vec::with_capacity(calls.len());
        let passes = self.let_through(&calls).await;
        let through: Vec<(&Call, Pass)> = calls.iter().zip(passes).collect();
        let mut rest = through.as_slice();
        while let Some((first, _)) = rest.first() {
            let access = self.setup.tools.access(&first.name);
            let length = match access {
                Access::Write | Access::Run => 1,
                Access::Read => {
                    rest.iter().take_while(|(call, _)| self.setup.tools.access(&call.name) == Access::Read).count()
                }
            };
            let (group, later) = rest.split_at(length);
            answers.extend(join_all(group.iter().map(|(call, pass)| self.run_call(call, access, pass))).await);
            rest = later;
        }
        self.keep_results(&calls, answers).await?;
        if self.cancel.is_cancelled() { Err(Stop::Cancelled) } else { Ok(()) }
    }

    async fn keep_results(&mut self, calls: &[Call], answers: Vec<Answer>) -> Result<(), Stop> {
        // What one message brings together has a cap of its own, shared evenly by those that are too long.
        let total: usize = answers.iter().map(|answer| answer.content.len()).sum();
        let all = self.setup.limits.tool_output_bytes.saturating_mul(4).min(self.fitting(&answers, total));
        let each = if total > all { all / answers.len().max(1) } else { usize::MAX };
        let results = calls
            .iter()
            .zip(answers)
            .map(|(call, answer)| ToolResult {
                call_id: call.id.clone(),
                name: call.name.clone(),
                ok: answer.ok,
                content: cap(answer.content, each),
                undone: answer.undone,
            })
            .collect();
        self.keep(Item::Results { results }).await
    }

    /// So many bytes of these answers make what the model can take in of one message; texts differ in how many make a token.
    fn fitting(&self, answers: &[Answer], bytes: usize) -> usize {
        let Some(budget) = self.budget() else { return usize::MAX };
        let tokens: u64 = answers.iter().map(|answer| of_text(&answer.content)).sum();
        if tokens <= budget.results {
            return usize::MAX;
        }
        let share = |bytes: u64| bytes.saturating_mul(budget.results) / tokens;
        usize::try_from(share(bytes as u64)).unwrap_or(usize::MAX)
    }

    async fn run_call(&self, call: &Call, access: Access, pass: &Pass) -> Answer {
        if self.cancel.is_cancelled() {
            return interrupted("The person stopped the run before this call began. Nothing was done.");
        }
        let title = self.setup.tools.title(&call.name, &call.arguments);
        let started = Event::ToolStarted {
            call_id: call.id.clone(),
            name: call.name.clone(),
            title: title.clone(),
            input: serde_json::from_str(&call.arguments)
                .unwrap_or_else(|_| serde_json::Value::String(call.arguments.clone())),
        };
        if let Err(error) = self.journal.intent(started).await {
            return Answer { undone: true, ok: false, content: error.clone(), summary: error };
        }
        let mut answer = match access {
            // What the model was not shown it cannot write either: the key in the person's file would be lost.
            Access::Write | Access::Run if call.arguments.contains(WITHHELD) => Answer {
                undone: true,
                ok: false,
                content: format!(
                    "Nothing was done: the text holds {WITHHELD}, which stands for a key that is kept out of this conversation. \
                     Change only the lines around it."
                ),
                summary: "would have overwritten a key".into(),
            },
            _ => self.passed(call, access, pass).await.unwrap_or_else(|refused| refused),
        };
        // A file that was read may hold the key that the model is asked with.
        let redacted = |text| self.setup.summariser.redacted(self.setup.provider.redacted(text));
        answer.content = redacted(answer.content);
        answer.summary = redacted(answer.summary);
        self.journal.event(Event::ToolFinished {
            call_id: call.id.clone(),
            ok: answer.ok,
            title,
            summary: answer.summary.clone(),
        });
        answer
    }

    /// A call with everything that stands before and behind it, where nothing stops it.
    async fn passed(&self, call: &Call, access: Access, pass: &Pass) -> Result<Answer, Answer> {
        if let Pass::Refused(answer) = pass {
            return Err(answer.clone());
        }
        let words = self.before_call(call).await?;
        let before = self.problems_before(call, access, pass).await;
        // The last look before it begins: a hook, and the person, may have changed what was allowed.
        let grant = self.still_as_asked(call, pass).await?;
        let answer = self.answer(call, access, grant, matches!(pass, Pass::Asked { .. })).await;
        let mut answer = self.with_problems(before, answer).await;
        // A file that was read may hold a key that no hook shall have.
        answer.content = self.redacted(answer.content);
        Ok(self.after_call(call, words, answer).await)
    }

    async fn answer(&self, call: &Call, access: Access, grant: Grant, approved: bool) -> Answer {
        let tools = self.setup.tools.clone();
        // A yes to the call is a yes to what it changes: nothing of that is proposed once more.
        let editor = approved.then(|| self.tools.editor.for_approved()).flatten();
        let context = tool::Context {
            call: call.id.clone(),
            editor: editor.unwrap_or_else(|| self.tools.editor.clone()),
            roots: self.tools.roots.clone().with_grant(grant),
            ..self.tools.as_ref().clone()
        };
        let (name, arguments) = (call.name.clone(), call.arguments.clone());
        // A task of its own: a change that is under way when the person stops the run is not dropped half way, and a
        // panic stays in it.
        let task = self.setup.tasks.spawn(async move { tools.call(&name, &arguments, &context).await });
        let mut owned = Owned { task, released: false };
        let done = tokio::select! {
            biased;
            done = &mut owned.task => done,
            () = self.cancel.cancelled() => match access {
                Access::Read => return interrupted("The person stopped the run during this call."),
                Access::Write | Access::Run => match tokio::time::timeout(GRACE, &mut owned.task).await {
                    Ok(done) => done,
                    Err(_) => {
                        // What it still does is bounded in time by the editor port, and is told as it comes.
                        owned.released = true;
                        return interrupted(match access {
                            Access::Run => {
                                "The person stopped the run during this call, and what it had started is ended. What it had done by then is not known: \
                                 look before you go on."
                            }
                            Access::Read | Access::Write => {
                                "The person stopped the run during this call. Whether the change was made is not known: read the file before you \
                                 change it again."
                            }
                        });
                    }
                },
            },
        };
        done.unwrap_or_else(|error| Answer {
            undone: true,
            ok: false,
            content: format!(
                "The tool {} failed inside: {}. Nothing more is known; look before you try again.",
                call.name,
                crash::why(&error)
            ),
            summary: "failed inside".into(),
        })
    }
}

pub(super) fn interrupted(content: &str) -> Answer {
    Answer { undone: true, ok: false, content: content.into(), summary: "interrupted".into() }
}

/// A task that ends with its owner, unless it is released.
pub(super) struct Owned<T> {
    pub(super) task: JoinHandle<T>,
    pub(super) released: bool,
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if !self.released {
            self.task.abort();
        }
    }
}
