//! What becomes of the calls of a message before any of them begins: each is let through, denied, or asked for. All that must be
//! asked for is one question, which shows all of it.

use super::Agent;
use super::calls::interrupted;
use super::turn::Call;
use crate::editor::Place;
use crate::permission::{Access, Ask, Called, Grant, Judgement, Kind, Question, Reply, Want};
use crate::text::Snapshot;
use crate::tool::{Answer, line};

/// What a call may do.
pub(super) enum Pass {
    /// It goes ahead.
    Free(Grant),
    /// The person allowed exactly this, on texts that read so.
    Asked { grant: Grant, texts: Vec<Seen> },
    /// It does not.
    Refused(Answer),
}

/// A document that a call would change, as it was when the person was asked; nothing where there was none.
type Seen = (Place, Option<Snapshot>);

impl Agent {
    /// Decides on the calls of a message, in their order.
    pub(super) async fn let_through(&self, calls: &[Call]) -> Vec<Pass> {
        let judged: Vec<Judgement> = calls.iter().map(|call| self.judge(call)).collect();
        let asked: Vec<(&Call, &Ask)> = calls
            .iter()
            .zip(&judged)
            .filter_map(|(call, judgement)| match judgement {
                Judgement::Ask(ask) => Some((call, ask)),
                Judgement::Go(_) | Judgement::Denied(_) => None,
            })
            .collect();
        let mut texts = Vec::new();
        for (call, ask) in &asked {
            texts.push(self.would_change(call, &ask.grant).await);
        }
        let reply = if asked.is_empty() { Reply::Once } else { self.ask(&asked).await };
        if reply == Reply::Session {
            let keys = asked.iter().filter_map(|(_, ask)| ask.remember.clone()).flatten().collect();
            self.setup.gate.remembered.remember(keys);
        }
        let mut texts = texts.into_iter();
        let pass = |judgement| match judgement {
            Judgement::Go(grant) => Pass::Free(grant),
            Judgement::Denied(why) => Pass::Refused(refused(why)),
            Judgement::Ask(Ask { grant, .. }) => {
                let texts = texts.next().unwrap_or_default();
                match &reply {
                    Reply::Once | Reply::Session | Reply::Answered(_) => Pass::Asked { grant, texts },
                    Reply::Denied => Pass::Refused(refused(
                        "The person was asked and said no; nothing was done. Go on without it, or ask what they want instead.".into(),
                    )),
                    Reply::Expired => Pass::Refused(refused(
                        "The person was asked and did not answer within 10 minutes, which is a no; nothing was done. Go on without it."
                            .into(),
                    )),
                    Reply::Cancelled => {
                        Pass::Refused(interrupted("The person stopped the run before this call began. Nothing was done."))
                    }
                }
            }
        };
        judged.into_iter().map(pass).collect()
    }

    /// The grant of a call that may begin now; an answer when it may not, also because what the person allowed has changed since.
    pub(super) async fn still_as_asked(&self, call: &Call, pass: &Pass) -> Result<Grant, Answer> {
        match pass {
            Pass::Free(grant) => Ok(grant.clone()),
            Pass::Refused(answer) => Err(answer.clone()),
            Pass::Asked { grant, texts } => {
                let now = self.would_change(call, grant).await;
                match texts.iter().zip(&now).find(|(before, now)| !same(before, now)) {
                    None if texts.len() == now.len() => Ok(grant.clone()),
                    changed => {
                        let place = changed.map_or_else(|| "a file".to_owned(), |((place, _), _)| place.to_string());
                        Err(refused(format!(
                            "Nothing was done: {place} has changed since the person was asked, and the answer holds for what they saw. \
                             Read it, and make the call again."
                        )))
                    }
                }
            }
        }
    }

    /// A name that nobody knows and arguments that do not fit are let through: the answer to them does nothing.
    fn judge(&self, call: &Call) -> Judgement {
        let wants = self.setup.tools.wants(&call.name, &call.arguments);
        let called = Called { tool: &call.name, arguments: &call.arguments, wants: &wants };
        self.setup.gate.judge(&self.setup.roots, called)
    }

    async fn ask(&self, asked: &[(&Call, &Ask)]) -> Reply {
        let title = |call: &Call| self.setup.tools.title(&call.name, &call.arguments);
        let (question, detail) = match asked {
            [(call, ask)] => (title(call), ask.detail.clone()),
            _ => {
                let all: Vec<String> = asked.iter().map(|(call, _)| title(call)).collect();
                let details = asked
                    .iter()
                    .zip(1..)
                    .map(|((call, ask), number)| format!("{number}. {}\n{}", title(call), ask.detail));
                (format!("{} calls: {}", asked.len(), all.join("; ")), details.collect::<Vec<_>>().join("\n"))
            }
        };
        // The person's own keys are in no question either: it is recorded, and shown by others.
        let redacted = |text| self.setup.summariser.redacted(self.setup.provider.redacted(text));
        let rememberable = asked.iter().any(|(_, ask)| ask.remember.is_some());
        let question =
            Question { title: redacted(line(&question)), detail: redacted(detail), kind: Kind::May { rememberable } };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Reply::Cancelled,
            reply = self.journal.ask(question) => reply,
        }
    }

    /// The documents that a call would change, as they are.
    async fn would_change(&self, call: &Call, grant: &Grant) -> Vec<Seen> {
        let roots = self.setup.roots.clone().with_grant(grant.clone());
        let mut seen = Vec::new();
        for want in self.setup.tools.wants(&call.name, &call.arguments) {
            if let Want::Path { given, access: Access::Write } = want
                && let Ok(place) = roots.resolve(&given, Access::Write)
            {
                let text = self.setup.editor.read(&place).await.ok();
                seen.push((place, text));
            }
        }
        seen
    }
}

fn same((before_at, before): &Seen, (now_at, now): &Seen) -> bool {
    let texts = match (before, now) {
        (Some(before), Some(now)) => before.rope() == now.rope(),
        (None, None) => true,
        _ => false,
    };
    before_at == now_at && texts
}

fn refused(content: String) -> Answer {
    Answer { undone: true, ok: false, summary: line(content.lines().next().unwrap_or_default()), content }
}
