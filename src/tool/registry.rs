//! The tools on offer, and the door that every call goes through.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use serde_json::Value;

use super::{
    Answer, Context, Tool, ask, cap, delete, diagnostics, edit, fetch, find, line, list, r#move, patch, plan, read,
    recall, run, schema, search, write,
};
use crate::model::ToolSpec;
use crate::permission::{Access, Want};
use crate::protocol::Mode;
use crate::settings::EditFormat;

/// The tools of a run.
#[derive(Clone, Default)]
pub struct Registry {
    tools: Arc<[Arc<dyn Door>]>,
}

impl Registry {
    /// Every tool there is.
    #[must_use]
    pub fn all() -> Self {
        Self::of(vec![
            door(ask::Ask),
            door(delete::Delete),
            door(diagnostics::Diagnostics),
            door(edit::Edit),
            door(fetch::Fetch::default()),
            door(find::Find),
            door(list::List),
            door(r#move::Move),
            door(patch::Patch),
            door(plan::Plan),
            door(read::Read),
            door(recall::Recall),
            door(run::Run),
            door(search::Search),
            door(write::Write),
        ])
    }

    /// Those of one form of edits: `edit` or `patch`, not both.
    #[must_use]
    pub fn in_form(&self, form: EditFormat) -> Self {
        let other = match form {
            EditFormat::StrReplace => patch::Patch::NAME,
            EditFormat::Patch => edit::Edit::NAME,
        };
        self.filter(|tool| tool.spec().name != other)
    }

    /// Only these, by name. Who names one form of edits means the other too: which one is on offer is the model's affair.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        const FORMS: [&str; 2] = [edit::Edit::NAME, patch::Patch::NAME];
        let either = names.iter().any(|name| FORMS.contains(&name.as_str()));
        self.filter(|tool| {
            let own = tool.spec().name.as_str();
            names.iter().any(|name| name == own) || either && FORMS.contains(&own)
        })
    }

    /// Only those that change nothing.
    #[must_use]
    pub fn reading(&self) -> Self {
        self.filter(|tool| tool.access() == Access::Read)
    }

    /// These beside them.
    #[must_use]
    pub fn with(&self, more: Vec<Arc<dyn Door>>) -> Self {
        Self::of(self.tools.iter().cloned().chain(more).collect())
    }

    /// What a call would touch; nothing for a name that nobody knows, which `call` answers.
    #[must_use]
    pub fn wants(&self, name: &str, arguments: &str) -> Vec<Want> {
        self.get(name).map(|tool| tool.wants(arguments)).unwrap_or_default()
    }

    /// As the model is told of them, sorted by name.
    #[must_use]
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        self.tools.iter().map(|tool| tool.spec().clone()).collect()
    }

    /// Whether a call changes anything; `Read` for a name that nobody knows, which `call` answers.
    #[must_use]
    pub fn access(&self, name: &str) -> Access {
        self.get(name).map_or(Access::Read, Door::access)
    }

    /// What a person reads while the call works; the tool's name when its arguments do not parse.
    #[must_use]
    pub fn title(&self, name: &str, arguments: &str) -> String {
        line(&self.get(name).and_then(|tool| tool.title(arguments)).unwrap_or_else(|| name.to_owned()))
    }

    /// Runs a call and always has an answer: an unknown name, arguments that do not parse or do not fit the schema (with the
    /// part of the schema that they miss), a failure, and a panic are answers too. The content is capped.
    pub async fn call(&self, name: &str, arguments: &str, context: &Context) -> Answer {
        let answer = match self.get(name) {
            None => failure(format!("There is no tool {}. There are: {}", line(name), self.names())),
            Some(tool) if tool.access() != Access::Read && context.mode == Mode::Plan => failure(format!(
                "{name} may change something, and in plan mode nothing is changed. Say what you would change."
            )),
            Some(tool) => match AssertUnwindSafe(tool.call(arguments, context)).catch_unwind().await {
                Ok(answer) => answer,
                // What the panic said is not passed on: it may hold anything. The log has it.
                Err(_) => {
                    tracing::error!(tool = name, "a tool panicked");
                    failure(format!("{name} failed by a fault of its own. Try another way."))
                }
            },
        };
        Answer {
            content: cap(answer.content, context.limits.tool_output_bytes),
            summary: line(&answer.summary),
            ..answer
        }
    }

    fn of(mut tools: Vec<Arc<dyn Door>>) -> Self {
        tools.sort_by(|a, b| a.spec().name.cmp(&b.spec().name));
        Self { tools: tools.into() }
    }

    fn filter(&self, keep: impl Fn(&dyn Door) -> bool) -> Self {
        Self { tools: self.tools.iter().filter(|tool| keep(tool.as_ref())).cloned().collect() }
    }

    fn get(&self, name: &str) -> Option<&dyn Door> {
        self.tools.iter().map(Arc::as_ref).find(|tool| tool.spec().name == name)
    }

    fn names(&self) -> String {
        self.tools.iter().map(|tool| tool.spec().name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A tool whose argument type is hidden, so that tools fit into one list. Those of other servers are doors of their own.
#[async_trait]
pub trait Door: Send + Sync {
    /// As the model is told of it.
    fn spec(&self) -> &ToolSpec;
    /// Whether it changes anything.
    fn access(&self) -> Access;
    /// What a person reads while it works; `None` when the arguments do not parse.
    fn title(&self, arguments: &str) -> Option<String>;
    /// What a call would touch; nothing when the arguments do not parse: such a call is not made.
    fn wants(&self, arguments: &str) -> Vec<Want>;
    /// Does it; an answer whatever the arguments are.
    async fn call(&self, arguments: &str, context: &Context) -> Answer;
}

struct Adapter<T> {
    tool: T,
    spec: ToolSpec,
}

fn door<T: Tool>(tool: T) -> Arc<dyn Door> {
    let schema = Arc::new(schema::of::<T::Input>());
    Arc::new(Adapter { tool, spec: ToolSpec { name: T::NAME.into(), description: T::DESCRIPTION.into(), schema } })
}

impl<T: Tool> Adapter<T> {
    fn parse(&self, arguments: &str) -> Result<T::Input, String> {
        let schema: &Value = &self.spec.schema;
        schema::parse(T::NAME, schema, arguments)
    }
}

#[async_trait]
impl<T: Tool> Door for Adapter<T> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn access(&self) -> Access {
        T::ACCESS
    }

    fn title(&self, arguments: &str) -> Option<String> {
        self.parse(arguments).ok().map(|input| self.tool.title(&input))
    }

    fn wants(&self, arguments: &str) -> Vec<Want> {
        self.parse(arguments).map(|input| self.tool.wants(&input)).unwrap_or_default()
    }

    async fn call(&self, arguments: &str, context: &Context) -> Answer {
        match self.parse(arguments) {
            Ok(input) => self.tool.call(input, context).await.unwrap_or_else(|error| failure(error.0)),
            Err(error) => failure(error),
        }
    }
}

fn failure(content: String) -> Answer {
    Answer { undone: true, ok: false, summary: content.lines().next().unwrap_or_default().to_owned(), content }
}

#[cfg(test)]
mod tests;
