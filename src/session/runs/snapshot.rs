//! How a run's snapshot moves with its events.

use crate::protocol::{EditCount, Event, RunSnapshot, RunStatus};

impl RunSnapshot {
    /// Moves with an event; `None` when the run's state does not allow it.
    pub(super) fn follow(&mut self, event: &Event) -> Option<()> {
        match event {
            Event::RunStarted { .. } => self.status = self.status.to(RunStatus::Executing)?,
            Event::Planning { steps } => {
                let next = if steps.iter().all(|step| step.done) { RunStatus::Executing } else { RunStatus::Planning };
                if self.status != next {
                    self.status = self.status.to(next)?;
                }
            }
            Event::Verifying { .. } if self.status != RunStatus::Verifying => {
                self.status = self.status.to(RunStatus::Verifying)?;
                // What was found before the model mended it is over.
                self.verification = None;
            }
            Event::Verified { command, summary, .. } => {
                let all = self.verification.get_or_insert_default();
                if !all.is_empty() {
                    all.push('\n');
                }
                all.push_str(&format!("{command}: {summary}"));
            }
            Event::TurnStarted { .. } if self.status == RunStatus::Verifying => {
                self.status = self.status.to(RunStatus::Executing)?;
            }
            Event::Usage { usage, .. } => self.usage.add(usage),
            Event::EditApplied { uri, hunks, .. } => self.count_edit(uri, hunks.len()),
            Event::RunFinished { status, result_text, error } => {
                self.status = self.status.to(*status)?;
                self.result_text.clone_from(result_text);
                self.error.clone_from(error);
            }
            _ => {}
        }
        Some(())
    }

    pub(super) fn count_edit(&mut self, uri: &str, hunks: usize) {
        let hunks = u32::try_from(hunks).unwrap_or(u32::MAX);
        match self.edits.iter_mut().find(|edit| edit.uri == uri) {
            Some(edit) => edit.hunks += hunks,
            None => self.edits.push(EditCount { uri: uri.to_owned(), hunks }),
        }
    }
}
