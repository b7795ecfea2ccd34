//! Questions that runs of a session wait for. They live in memory alone: whoever restarts has answered none of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::journal::kept;
use super::mailbox::{Entry, Mailbox};
use crate::permission::{Kind, Question, Reply};
use crate::protocol::{Event, RunId};

/// How long a question stands; nobody's answer is a no.
const STANDS: Duration = Duration::from_secs(10 * 60);

/// A question that waits for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// What `cowrite.approve` and `cowrite.deny` take. Ids sort by the time at which they were asked.
    pub id: String,
    /// Whose run waits.
    pub run: RunId,
    /// What is asked.
    pub question: Question,
}

/// What the person says to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Approve {
        /// For the rest of the session, where it may be remembered.
        session: bool,
        /// In words, to a question of the model's.
        words: Option<String>,
    },
    /// No.
    Deny,
}

/// The open questions of a session.
pub(super) struct Approvals {
    // A std mutex: held for a list operation, never across an await.
    open: Mutex<Vec<Open>>,
    mailbox: Arc<Mailbox>,
    /// Told when the list has changed.
    moved: watch::Sender<u64>,
}

struct Open {
    approval: Approval,
    reply: oneshot::Sender<Reply>,
}

impl Approvals {
    pub(super) fn new(mailbox: Arc<Mailbox>, moved: watch::Sender<u64>) -> Self {
        Self { open: Mutex::default(), mailbox, moved }
    }

    /// The open questions, oldest first.
    pub(super) fn list(&self) -> Vec<Approval> {
        self.lock().iter().map(|open| open.approval.clone()).collect()
    }

    /// Asks, and waits for the answer. Dropping this withdraws the question.
    pub(super) async fn ask(&self, run: RunId, question: Question) -> Reply {
        let id = Uuid::now_v7().to_string();
        let (reply, answered) = oneshot::channel();
        let asked = Event::ApprovalRequested {
            approval_id: id.clone(),
            title: question.title.clone(),
            detail: question.detail.clone(),
        };
        // Told to be over whatever happens from here on.
        let mut waiting = Waiting { approvals: self, run, id: id.clone(), over: false };
        // Recorded before it can be answered: a restart must know what it denies.
        if kept(&self.mailbox, |kept| Entry::Intent { run, started: asked, kept }).await.is_err() {
            return Reply::Cancelled;
        }
        self.lock().push(Open { approval: Approval { id, run, question }, reply });
        self.has_moved();
        let reply = match tokio::time::timeout(STANDS, answered).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Reply::Cancelled,
            Err(_) => Reply::Expired,
        };
        waiting.end(&reply);
        reply
    }

    /// Answers a question; `None` when it is not open here.
    pub(super) fn answer(&self, id: &str, answer: &Answer) -> Option<Result<(), String>> {
        let mut open = self.lock();
        let at = open.iter().position(|open| open.approval.id == id)?;
        let reply = match (answer, &open[at].approval.question.kind) {
            (Answer::Deny, _) => Reply::Denied,
            (Answer::Approve { session, words: None }, Kind::May { rememberable }) => {
                // What must be asked for each time is allowed this once.
                if *session && *rememberable { Reply::Session } else { Reply::Once }
            }
            (Answer::Approve { words: Some(words), .. }, Kind::Answer { .. }) => Reply::Answered(words.clone()),
            (Answer::Approve { words: None, .. }, Kind::Answer { options }) => {
                let expected = if options.is_empty() { "your own words".to_owned() } else { options.join(", ") };
                return Some(Err(format!(
                    "the model asks for an answer, not for a permission: give `answer` ({expected}), or deny"
                )));
            }
            (Answer::Approve { words: Some(_), .. }, Kind::May { .. }) => {
                return Some(Err(
                    "the question is whether something may be done: approve without `answer`, or deny".into()
                ));
            }
        };
        let asked = open.remove(at);
        drop(open);
        // A run that was stopped at this very moment has withdrawn it.
        Some(asked.reply.send(reply).map_err(|_| "the run that asked has been stopped".into()))
    }

    fn has_moved(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what came of a question, whatever becomes of whoever waits for it.
struct Waiting<'a> {
    approvals: &'a Approvals,
    run: RunId,
    id: String,
    over: bool,
}

impl Waiting<'_> {
    fn end(&mut self, reply: &Reply) {
        self.over = true;
        self.approvals.lock().retain(|open| open.approval.id != self.id);
        let decision = match reply {
            Reply::Once | Reply::Session | Reply::Answered(_) => "approved",
            Reply::Denied => "denied",
            Reply::Expired => "expired",
            Reply::Cancelled => "cancelled",
        };
        let event = Event::ApprovalResolved { approval_id: self.id.clone(), decision: decision.into() };
        self.approvals.mailbox.push(Entry::Event { run: self.run, event });
        self.approvals.has_moved();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.end(&Reply::Cancelled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(title: &str, rememberable: bool) -> Question {
        Question { title: title.into(), detail: "rm -r x".into(), kind: Kind::May { rememberable } }
    }

    struct Told(Arc<Mailbox>, tokio::task::JoinHandle<Vec<String>>);

    impl Told {
        async fn all(self) -> Vec<String> {
            self.0.push(Entry::Close);
            self.1.await.expect("no panic")
        }
    }

    fn approvals() -> (Arc<Approvals>, Told) {
        let mailbox = Arc::<Mailbox>::default();
        let approvals = Approvals::new(mailbox.clone(), watch::Sender::default());
        (Arc::new(approvals), Told(mailbox.clone(), recorder(mailbox)))
    }

    /// Keeps everything, and tells it when the mailbox is closed.
    fn recorder(mailbox: Arc<Mailbox>) -> tokio::task::JoinHandle<Vec<String>> {
        tokio::spawn(async move {
            let mut told = Vec::new();
            loop {
                for entry in mailbox.drain(true) {
                    match entry {
                        Entry::Intent { started: Event::ApprovalRequested { title, .. }, kept, .. } => {
                            told.push(format!("asked {title}"));
                            kept.send(Ok(())).expect("somebody waits");
                        }
                        Entry::Event { event: Event::ApprovalResolved { decision, .. }, .. } => told.push(decision),
                        Entry::Close => return told,
                        _ => told.push("other".into()),
                    }
                }
                mailbox.filled().await;
            }
        })
    }

    fn asked(approvals: &Arc<Approvals>, question: Question) -> tokio::task::JoinHandle<Reply> {
        let approvals = approvals.clone();
        tokio::spawn(async move { approvals.ask(RunId::new(), question).await })
    }

    async fn open(approvals: &Approvals, count: usize) -> Vec<String> {
        loop {
            let open = approvals.list();
            if open.len() == count {
                return open.into_iter().map(|approval| approval.id).collect();
            }
            tokio::task::yield_now().await;
        }
    }

    const YES: Answer = Answer::Approve { session: false, words: None };
    const FOR_SESSION: Answer = Answer::Approve { session: true, words: None };

    #[tokio::test]
    async fn five_questions_are_answered_out_of_order_each_by_its_own_answer() {
        let (approvals, _told) = approvals();
        let mut waiting = Vec::new();
        for number in 0..5 {
            waiting.push(asked(&approvals, may(&number.to_string(), true)));
            open(&approvals, number + 1).await;
        }
        let ids = open(&approvals, 5).await;
        for (at, answer) in [(3, Answer::Deny), (0, YES), (4, FOR_SESSION), (2, Answer::Deny), (1, YES)] {
            assert_eq!(approvals.answer(&ids[at], &answer), Some(Ok(())));
            assert_eq!(approvals.answer(&ids[at], &answer), None, "an answer counts once");
        }
        let mut replies = Vec::new();
        for task in waiting {
            replies.push(task.await.expect("no panic"));
        }
        assert_eq!(replies, [Reply::Once, Reply::Once, Reply::Denied, Reply::Denied, Reply::Session]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobodys_answer_is_a_no_after_ten_minutes() {
        let (approvals, told) = approvals();
        let begun = tokio::time::Instant::now();
        assert_eq!(approvals.ask(RunId::new(), may("x", true)).await, Reply::Expired);
        assert_eq!(begun.elapsed(), Duration::from_secs(600));
        assert_eq!(told.all().await, ["asked x", "expired"]);
        assert!(approvals.list().is_empty());
    }

    #[tokio::test]
    async fn a_run_that_is_stopped_withdraws_its_question() {
        let (approvals, told) = approvals();
        let task = asked(&approvals, may("x", true));
        let ids = open(&approvals, 1).await;
        task.abort();
        assert!(task.await.is_err());
        assert_eq!(approvals.answer(&ids[0], &YES), None);
        assert_eq!(told.all().await, ["asked x", "cancelled"]);
    }

    #[tokio::test]
    async fn what_is_asked_each_time_is_never_allowed_for_the_session() {
        let (approvals, _told) = approvals();
        let task = asked(&approvals, may("x", false));
        let ids = open(&approvals, 1).await;
        assert_eq!(approvals.answer(&ids[0], &FOR_SESSION), Some(Ok(())));
        assert_eq!(task.await.expect("no panic"), Reply::Once);
    }

    #[tokio::test]
    async fn a_question_of_the_model_takes_words_and_stays_open_without_them() {
        let (approvals, _told) = approvals();
        let kind = Kind::Answer { options: vec!["red".into(), "blue".into()] };
        let task = asked(&approvals, Question { title: "Which?".into(), detail: String::new(), kind });
        let ids = open(&approvals, 1).await;
        let why = approvals.answer(&ids[0], &YES).expect("open").expect_err("no words");
        assert_eq!(why, "the model asks for an answer, not for a permission: give `answer` (red, blue), or deny");
        let words = Answer::Approve { session: false, words: Some("blue".into()) };
        assert_eq!(approvals.answer(&ids[0], &words), Some(Ok(())));
        assert_eq!(task.await.expect("no panic"), Reply::Answered("blue".into()));
    }
}
