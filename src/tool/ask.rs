//! `ask`: a question of the model's to the person.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Context, Failure, Tool, line, plain};
use crate::permission::{Access, Kind, Question, Reply, Want};

pub(super) struct Ask;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The question, in a sentence or two.
    question: String,
    /// Answers to choose from, each a few words. Without them the person writes one.
    #[serde(default)]
    #[schemars(length(max = 6))]
    options: Vec<String>,
}

#[async_trait]
impl Tool for Ask {
    type Input = Input;
    const NAME: &'static str = "ask";
    const DESCRIPTION: &'static str = "Asks the person, and waits for the answer. Only for what neither the files nor the conversation say and where a wrong \
         guess would cost much; never for a permission: what needs one is asked for by itself.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        format!("Ask: {}", input.question)
    }

    fn wants(&self, _: &Input) -> Vec<Want> {
        Vec::new()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let asked = plain(&input.question);
        if asked.trim().is_empty() {
            return Err(Failure("The question is empty".to_owned()));
        }
        let options: Vec<String> =
            input.options.iter().map(|option| line(option)).filter(|option| !option.is_empty()).collect();
        // What a model asks must never look like a question of the program's own.
        let title = format!("The model asks: {}", line(&asked));
        let question = Question { title, detail: asked, kind: Kind::Answer { options } };
        let (content, summary) = match context.told.ask(question).await {
            Reply::Answered(words) => (format!("The person answered: {words}"), line(&words)),
            Reply::Once | Reply::Session | Reply::Denied => {
                let says = "The person does not want to answer. Go on as you think best, and say what you assumed.";
                (says.to_owned(), "not answered".to_owned())
            }
            Reply::Expired => {
                let says = "Nobody answered within 10 minutes. Go on as you think best, and say what you assumed.";
                (says.to_owned(), "nobody answered".to_owned())
            }
            Reply::Cancelled => return Err(Failure("The person stopped the run before answering".to_owned())),
        };
        Ok(Answer { ok: true, undone: false, content, summary })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::permission::Reply;
    use crate::tool::testing::World;

    #[tokio::test]
    async fn the_model_hears_what_the_person_says_and_that_they_do_not() {
        let world = World::new(&[]);
        world.replies(Reply::Answered("blue".into()));
        let answer = world.call("ask", json!({ "question": "Which\u{1b}[31m?", "options": ["red", "blue"] })).await;
        assert_eq!((answer.ok, answer.content.as_str()), (true, "The person answered: blue"));
        world.replies(Reply::Denied);
        let answer = world.call("ask", json!({ "question": "Really?" })).await;
        assert!(answer.content.starts_with("The person does not want to answer."), "{}", answer.content);
        assert_eq!(world.heard(), ["asked The model asks: Which[31m? [red, blue]", "asked The model asks: Really? []"]);
    }
}
