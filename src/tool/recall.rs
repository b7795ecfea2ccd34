//! `recall`: what was said and done earlier in the session.

use std::fmt::Write as _;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Context, Failure, Tool, lines, plain};
use crate::context::recall::{Found, Query, TOOL};
use crate::permission::{Access, Want};
use crate::protocol::utc;

/// The most places of one answer.
const MOST: usize = 20;

/// The most bytes of one answer: a look back must not fill the context that it is to spare.
const ROOM: usize = 16 * 1024;

pub(super) struct Recall;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The words to look for: all of them must occur in an entry, in any order and case, also within longer words. "Words in
    /// quotation marks" must stand together.
    query: String,
}

#[async_trait]
impl Tool for Recall {
    type Input = Input;
    const NAME: &'static str = TOOL;
    const DESCRIPTION: &'static str = "Searches everything that was said and done earlier in this session, also what was summarised or shortened since: \
         the person's messages, your answers, your tool calls with their arguments, and what the tools answered. Use it \
         when a summary or a shortened result leaves out what you need (an exact wording, a name, an id, an error, a decision, \
         the output of a call), before you ask the person or do it again. Gives the newest places first, each with the text around \
         it. What it finds is how things were then: read a file to see how it is now.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        format!("Look back for {}", input.query)
    }

    fn wants(&self, _: &Input) -> Vec<Want> {
        Vec::new()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        if Query::new(&input.query).is_empty() {
            return Err(Failure(
                "The query is empty, so nothing was looked for: give one or more words that stood in what you look for.".into(),
            ));
        }
        let found = context.recall.search(&input.query, MOST).await.map_err(Failure)?;
        let content = if found.is_empty() {
            format!(
                "Nothing in this session holds all of: {}\nAll words must occur in one entry. Try fewer words, a part of a word or a \
                 name, or another spelling.",
                plain(&input.query)
            )
        } else {
            told(&found, ROOM.min(context.limits.tool_output_bytes))
        };
        Ok(Answer { undone: false, ok: true, content, summary: lines::counted(found.len(), "place") })
    }
}

/// The places, as many as there is room for.
fn told(found: &[Found], room: usize) -> String {
    let mut text = match found.len() {
        MOST => format!("The newest {MOST} places, newest first; there may be older ones: more words find fewer.\n"),
        count => format!("{}, newest first.\n", lines::counted(count, "place")),
    };
    for (index, place) in found.iter().enumerate() {
        let one = one(place);
        // The first is told in any case: it is never long.
        if index > 0 && text.len() + one.len() > room.saturating_sub(128) {
            let left = found.len() - index;
            let _ = writeln!(text, "\n[{} more, older; more words find fewer]", lines::counted(left, "place"));
            break;
        }
        text.push_str(&one);
    }
    text
}

fn one(place: &Found) -> String {
    let Found { record, at_ms, who, title, excerpt } = place;
    let time: String = utc(*at_ms).chars().take(16).collect();
    let who = match who.as_str() {
        "person" => "the person",
        "program" => "a note of the program",
        "assistant" => "you",
        "call" => "your call",
        "result" => "the result of",
        other => other,
    };
    let mut text = format!("\n{time} UTC, record {record}, {}\n", plain(&format!("{who} {title}")));
    for line in excerpt.lines() {
        let _ = writeln!(text, "> {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;
    use serde_json::json;

    use crate::context::recall::{Found, Recall};
    use crate::tool::testing::World;

    /// What a session would have found.
    struct Finds(Result<Vec<Found>, String>);

    #[async_trait::async_trait]
    impl Recall for Finds {
        async fn search(&self, _query: &str, most: usize) -> Result<Vec<Found>, String> {
            self.0.clone().map(|found| found.into_iter().take(most).collect())
        }
    }

    fn world(found: Result<Vec<Found>, String>) -> World {
        let mut world = World::new(&[]);
        world.context.recall = Arc::new(Finds(found));
        world
    }

    fn found(record: u64, who: &str, title: &str, excerpt: &str) -> Found {
        let (at_ms, who, title) = (1_795_244_742_000, who.into(), title.into());
        Found { record, at_ms, who, title, excerpt: excerpt.into() }
    }

    #[tokio::test]
    async fn c19_the_model_is_told_who_said_what_and_when() {
        let world = world(Ok(vec![
            found(40, "result", "read src/lib.rs", "1\tfn main() {\n2\t}"),
            found(12, "call", "edit src/lib.rs", "edit\npath: src/lib.rs"),
            found(3, "assistant", "", "I look."),
            found(2, "program", "", "Rules."),
            found(1, "person", "", "Fix main."),
        ]));
        assert_snapshot!(world.ok("recall", json!({"query": "main"})).await, @r"
        5 places, newest first.

        2026-11-21 07:05 UTC, record 40, the result of read src/lib.rs
        > 1	fn main() {
        > 2	}

        2026-11-21 07:05 UTC, record 12, your call edit src/lib.rs
        > edit
        > path: src/lib.rs

        2026-11-21 07:05 UTC, record 3, you
        > I look.

        2026-11-21 07:05 UTC, record 2, a note of the program
        > Rules.

        2026-11-21 07:05 UTC, record 1, the person
        > Fix main.
        ");
    }

    #[tokio::test]
    async fn c19_nothing_found_an_empty_query_and_a_failure_are_answers() {
        let said = world(Ok(Vec::new())).ok("recall", json!({"query": "blue\u{7} moon"})).await;
        assert!(
            said.starts_with("Nothing in this session holds all of: blue moon\n") && said.contains("Try fewer words")
        );
        let said = world(Ok(Vec::new())).fails("recall", json!({"query": " \"\" "})).await;
        assert!(said.starts_with("The query is empty"), "{said}");
        let said = world(Err("could not search: the disk is on fire; call somebody".into()))
            .fails("recall", json!({"query": "x"}))
            .await;
        assert_eq!(said, "could not search: the disk is on fire; call somebody");
    }

    #[tokio::test]
    async fn t1_many_places_are_cut_and_counted() {
        let many = |excerpt: &str| (1..=30).rev().map(|n| found(n, "assistant", "", excerpt)).collect();
        let said = world(Ok(many("short"))).ok("recall", json!({"query": "x"})).await;
        assert!(said.starts_with("The newest 20 places") && said.matches("> short").count() == 20, "{said}");
        let said = world(Ok(many(&"界".repeat(1000)))).ok("recall", json!({"query": "x"})).await;
        assert!(
            said.len() < super::ROOM && said.ends_with("[15 places more, older; more words find fewer]\n"),
            "{said}"
        );
    }
}
