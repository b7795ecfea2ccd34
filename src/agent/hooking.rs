//! Where the person's hooks hear of a run, and what becomes of what they say.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Agent;
use super::turn::{Call, Stop};
use crate::context::{BeforeSummary, Reason};
use crate::hooks::{Hooks, Moment, Said, of_run};
use crate::model::{Item, Provider};
use crate::tool::{Answer, line};

impl Agent {
    /// Tells hooks of something; gives way to a cancel.
    async fn hear(&self, moment: Moment, what: Value) -> Result<Said, Stop> {
        let hooks = &self.setup.hooks;
        if hooks.is_silent(moment) {
            return Ok(Said::default());
        }
        let what = of_run(&self.run.to_string(), &self.setup.conversation, what);
        let mut said = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            said = hooks.tell(moment, what) => said,
        };
        // A hook may print anything, keys too.
        let redacted = |text| self.setup.summariser.redacted(self.setup.provider.redacted(text));
        said.blocked = said.blocked.map(redacted);
        said.text = said.text.map(redacted);
        Ok(said)
    }

    /// Before the prompt enters the conversation: what the model shall hear beside it.
    pub(super) async fn before_prompt(&self, prompt: &str) -> Result<Option<String>, Stop> {
        let said = self.hear(Moment::PromptSubmit, json!({ "prompt": prompt })).await?;
        match said.blocked {
            Some(why) => Err(Stop::Failed(format!("A hook did not let the prompt through: {why}"))),
            None => Ok(said.text.map(|text| marked(&text))),
        }
    }

    /// Before each request.
    pub(super) async fn before_request(&mut self, turn: u32) -> Result<(), Stop> {
        let what = json!({ "turn": turn, "model": self.setup.provider.name() });
        let said = self.hear(Moment::BeforeRequest, what).await?;
        if let Some(why) = said.blocked {
            return Err(Stop::Failed(format!("A hook did not let the request to the model through: {why}")));
        }
        match said.text {
            Some(text) => self.keep(Item::told(marked(&text))).await,
            None => Ok(()),
        }
    }

    /// Before a call: words for its result, or the answer in its place.
    pub(super) async fn before_call(&self, call: &Call) -> Result<Option<String>, Answer> {
        let said = self.hear(Moment::BeforeTool, of_call(call)).await.map_err(|_| {
            super::calls::interrupted("The person stopped the run before this call began. Nothing was done.")
        })?;
        match said.blocked {
            Some(why) => {
                let content = format!("Nothing was done: a hook of the person's did not let the call through: {why}");
                Err(Answer { undone: true, ok: false, summary: line(&format!("a hook said no: {why}")), content })
            }
            None => Ok(said.text),
        }
    }

    /// After a call: its result with what hooks say of it.
    pub(super) async fn after_call(&self, call: &Call, before: Option<String>, mut answer: Answer) -> Answer {
        let mut what = of_call(call);
        if let Some(fields) = what.as_object_mut() {
            fields.insert("ok".into(), answer.ok.into());
            fields.insert("result".into(), answer.content.clone().into());
        }
        let said = self.hear(Moment::AfterTool, what).await.unwrap_or_default();
        for text in before.into_iter().chain(said.text).chain(said.blocked) {
            answer.content = format!("{}\n\n{}", answer.content, marked(&text));
        }
        answer
    }

    /// After an answer and its calls. What hooks say the model hears with its next turn, in whichever run that is.
    pub(super) async fn turn_ended(&self, turn: u32, said: Option<&str>) -> Result<(), Stop> {
        let heard = self.hear(Moment::TurnEnd, json!({ "turn": turn, "text": said })).await?;
        for text in heard.text.into_iter().chain(heard.blocked) {
            self.journal.note(marked(&text));
        }
        Ok(())
    }

    /// When the person stopped the run. Nothing waits for these hooks: they have their time and no say.
    pub(super) fn was_cancelled(&self) {
        let hooks = self.setup.hooks.clone();
        if hooks.is_silent(Moment::Cancelled) {
            return;
        }
        let what = of_run(&self.run.to_string(), &self.setup.conversation, json!({}));
        // Ends by itself within the time of each hook.
        tokio::spawn(async move { hooks.tell(Moment::Cancelled, what).await });
    }

    /// Who is asked before a summary is made.
    pub(super) fn before_summary(&self) -> Option<Arc<dyn BeforeSummary>> {
        let run = Some(self.run.to_string());
        before_summary(&self.setup.hooks, run, &self.setup.conversation, &self.setup.provider)
    }
}

/// Who is asked before the history of a session is summarised; `None` where nobody is.
#[must_use]
pub fn before_summary(
    hooks: &Arc<Hooks>,
    run: Option<String>,
    session: &str,
    provider: &Arc<dyn Provider>,
) -> Option<Arc<dyn BeforeSummary>> {
    if hooks.is_silent(Moment::BeforeCompaction) {
        return None;
    }
    let (hooks, session, provider) = (hooks.clone(), session.to_owned(), provider.clone());
    Some(Arc::new(Asks { hooks, run: run.unwrap_or_default(), session, provider }))
}

struct Asks {
    hooks: Arc<Hooks>,
    run: String,
    session: String,
    provider: Arc<dyn Provider>,
}

#[async_trait]
impl BeforeSummary for Asks {
    async fn ask(&self, reason: Reason, used: u64, focus: Option<&str>) -> Result<Option<String>, String> {
        let what = json!({ "reason": reason.word(), "used": used, "focus": focus });
        let said = self.hooks.tell(Moment::BeforeCompaction, of_run(&self.run, &self.session, what)).await;
        match said.blocked {
            Some(why) => Err(self.provider.redacted(format!("a hook stopped it: {why}"))),
            None => Ok(said.text.map(|text| self.provider.redacted(text))),
        }
    }
}

fn of_call(call: &Call) -> Value {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| call.arguments.clone().into());
    json!({ "tool": call.name, "arguments": arguments, "callId": call.id })
}

/// A hook's words, as the model is given them.
fn marked(text: &str) -> String {
    format!("(A hook of the person's says:) {text}")
}
