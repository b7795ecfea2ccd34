//! `plan`: the step list of a run, shown to the person.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Context, Failure, Tool, lines};
use crate::permission::{Access, Want};
use crate::protocol::PlanStep;

pub(super) struct Plan;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// All steps, in order: those that are done too.
    #[schemars(length(min = 1, max = 50))]
    steps: Vec<Step>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Step {
    /// What is to be done, in a few words.
    title: String,
    /// Whether it is done. Default: not yet.
    #[serde(default)]
    done: bool,
}

#[async_trait]
impl Tool for Plan {
    type Input = Input;
    const NAME: &'static str = "plan";
    const DESCRIPTION: &'static str = "Shows the person the steps of a task that takes several, and which are done. Give the whole list each time: when it is \
         made, and when a step is done. Not for a task of one or two steps.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        match input.steps.iter().find(|step| !step.done) {
            Some(next) => format!("Plan: {}", next.title),
            None => "Plan: all done".to_owned(),
        }
    }

    fn wants(&self, _: &Input) -> Vec<Want> {
        Vec::new()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        if let Some(at) = input.steps.iter().position(|step| step.title.trim().is_empty()) {
            return Err(Failure(format!("Step {} has no title; say in a few words what is to be done", at + 1)));
        }
        let done = input.steps.iter().filter(|step| step.done).count();
        let summary = format!("{done} of {} done", lines::counted(input.steps.len(), "step"));
        let steps = input.steps.into_iter().map(|Step { title, done }| PlanStep { title, done }).collect();
        context.told.planned(steps);
        Ok(Answer { ok: true, undone: false, content: format!("The person sees it: {summary}."), summary })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tool::testing::World;

    #[tokio::test]
    async fn the_person_sees_the_steps_and_what_is_done() {
        let world = World::new(&[]);
        let steps = json!({ "steps": [{ "title": "look", "done": true }, { "title": "mend" }] });
        let answer = world.call("plan", steps).await;
        assert_eq!((answer.ok, answer.summary.as_str()), (true, "1 of 2 steps done"));
        assert_eq!(world.heard(), ["planned look (done), mend"]);
        assert_eq!(crate::tool::Registry::all().title("plan", r#"{"steps":[{"title":"mend"}]}"#), "Plan: mend");
    }

    #[tokio::test]
    async fn a_step_that_says_nothing_is_refused() {
        let world = World::new(&[]);
        let answer = world.call("plan", json!({ "steps": [{ "title": "a" }, { "title": " " }] })).await;
        assert!(!answer.ok && answer.content.starts_with("Step 2 has no title"), "{}", answer.content);
        assert!(world.heard().is_empty());
    }
}
