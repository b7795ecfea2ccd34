//! What runs ask the person: the open questions of all sessions, and the answers on their way back.

use tokio::sync::watch;

use super::{SessionError, Workspace};
use crate::session::{Answer, Approval};

impl Workspace {
    /// The questions that runs wait for, oldest first. Never waits.
    #[must_use]
    pub fn approvals(&self) -> Vec<Approval> {
        let mut open: Vec<Approval> = self.sessions.all().into_iter().flat_map(|session| session.approvals()).collect();
        open.sort_by(|a, b| a.id.cmp(&b.id));
        open
    }

    /// Told whenever that list has changed.
    #[must_use]
    pub fn approvals_moved(&self) -> watch::Receiver<u64> {
        self.sessions.approvals_moved()
    }

    /// Answers a question, the oldest one without an id; gives its id.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn answer(&self, id: Option<String>, answer: &Answer) -> Result<String, SessionError> {
        let nothing = || SessionError::Other("nothing waits for an answer; cowrite.status lists what does".into());
        let id = match id {
            Some(id) => id,
            None => self.approvals().into_iter().next().ok_or_else(nothing)?.id,
        };
        let answered = self.sessions.all().iter().find_map(|session| session.answer(&id, answer));
        let gone = || {
            let why = format!(
                "there is no open question {id}: it was answered, has expired after 10 minutes, or its run or the server has \
                 ended, which denies it; cowrite.status lists what is open"
            );
            SessionError::Other(why)
        };
        answered.ok_or_else(gone)??;
        Ok(id)
    }
}
