//! `write`: whole files.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::edit::lf;
use super::landing::Landing;
use super::{Answer, Context, Failure, Tool, read};
use crate::disk;
use crate::edit::Patch;
use crate::editor::ReadError;
use crate::permission::{Access, Want};

pub(super) struct Write;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The file, relative to the workspace.
    path: String,
    /// All of its text.
    content: String,
}

#[async_trait]
impl Tool for Write {
    type Input = Input;
    const NAME: &'static str = "write";
    const DESCRIPTION: &'static str = "Makes a new file, folders included, or replaces the whole text of a file that has been read whole before. A part of a file is \
         better changed by the tool for that.";
    const ACCESS: Access = Access::Write;

    fn title(&self, input: &Input) -> String {
        format!("Write {}", input.path)
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        vec![Want::write(&input.path)]
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let title = self.title(&input);
        let place = context.roots.resolve(&input.path, Access::Write)?;
        let content = lf(input.content);
        if content.len() as u64 > disk::LIMIT {
            return Err(Failure(format!("{place} was not written: it would have over {} bytes", disk::LIMIT)));
        }
        let present = match context.editor.read(&place).await {
            Err(ReadError::Missing(_)) => return Landing { context, place, title }.create(content).await,
            present => present.map_err(read::hint)?,
        };
        if present.lf() == content {
            context.reads.note(&place, &present);
            return Ok(Answer {
                undone: false,
                ok: true,
                content: format!("{place} reads exactly so already; nothing was changed"),
                summary: "nothing to change".to_owned(),
            });
        }
        // Nothing can be lost in an empty file, so nobody has to have read it.
        let empty = present.rope().len_bytes() == 0;
        if empty {
            context.reads.note(&place, &present);
        }
        let base = match context.reads.last_whole(&place) {
            Some(seen) => seen,
            None => {
                let so_far = if context.reads.last(&place).is_some() { "only in part" } else { "not" };
                return Err(Failure(format!(
                    "{place} exists and has {so_far} been read in this session; read all of it first, or change \
                     only a part"
                )));
            }
        };
        let patch = Patch::between(&base, &content);
        if patch.is_empty() {
            return Err(Failure(format!(
                "{place} was not changed: this is the text that you have read, but the file has been changed since; read it again"
            )));
        }
        Landing { context, place, title }.edit(base, patch).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::editor::{Outcome, Place};
    use crate::permission::Roots;
    use crate::text::Snapshot;
    use crate::tool::testing::World;

    fn write(content: &str) -> Value {
        json!({"path": "new/a.txt", "content": content})
    }

    #[tokio::test]
    async fn a_new_file_is_made_and_may_be_edited_at_once() {
        let world = World::new(&[]);
        assert_eq!(world.ok("write", write("one\r\ntwo\n")).await, "Made new/a.txt (2 lines).");
        assert_eq!(world.disk("new/a.txt"), "one\ntwo\n");
        world.ok("edit", json!({"path": "new/a.txt", "edits": [{"old": "two", "new": "2"}]})).await;
        world.ok("write", write("one\n2\nthree\n")).await;
        assert_eq!(world.disk("new/a.txt"), "one\n2\nthree\n");
        assert_eq!(world.heard(), ["applied 0 in a.txt", "applied 1 in a.txt", "applied 1 in a.txt"]);
    }

    #[tokio::test]
    async fn t3_an_existing_file_is_replaced_only_by_who_has_read_all_of_it() {
        let mut world = World::new(&[("new/a.txt", "one\r\ntwo\r\n")]);
        let said = world.fails("write", write("one\n")).await;
        assert!(said.starts_with("new/a.txt exists and has not been read in this session"), "{said}");
        world.ok("read", json!({"path": "new/a.txt", "end_line": 1})).await;
        assert!(world.fails("write", write("one\n")).await.contains("only in part"));
        world.ok("read", json!({"path": "new/a.txt"})).await;
        world.ok("write", write("one\n2\n")).await;
        assert_eq!(world.disk("new/a.txt"), "one\r\n2\r\n");
        let said = world.ok("write", write("one\n2\n")).await;
        assert_eq!(said, "new/a.txt reads exactly so already; nothing was changed");
        world.context.limits.tool_output_bytes = 1 << 30;
        world.fails("write", write(&"x".repeat(11 << 20))).await;
    }

    #[tokio::test]
    async fn an_empty_file_and_an_empty_buffer_are_free_to_be_filled() {
        let mut world = World::new(&[("new/a.txt", "")]);
        world.ok("write", write("one\n")).await;
        assert_eq!(world.disk("new/a.txt"), "one\n");
        world.ok("edit", json!({"path": "new/a.txt", "edits": [{"old": "one", "new": "1"}]})).await;
        let buffer = Place::Buffer { uri: "untitled:1".into() };
        world.context.roots = Roots::new(&[]).with_buffers(vec![buffer.clone()]);
        world.open_place(buffer, "");
        world.ok("write", json!({"path": "untitled:1", "content": "two\n"})).await;
        assert_eq!(world.buffer("untitled:1"), "two\n");
    }

    #[tokio::test]
    async fn what_the_person_typed_since_the_reading_is_kept() {
        let world = World::new(&[]);
        world.open("new/a.txt", "one\ntwo\nthree\nfour\nfive\n");
        world.ok("read", json!({"path": "new/a.txt"})).await;
        world.types("new/a.txt", "one by hand\ntwo\nthree\nfour\nfive\n");
        world.ok("write", write("one\ntwo\nthree\nfour\n5\n")).await;
        assert_eq!(world.buffer("new/a.txt"), "one by hand\ntwo\nthree\nfour\n5\n");
    }

    #[tokio::test]
    async fn a_file_that_appeared_meanwhile_is_not_replaced() {
        let world = World::new(&[]);
        world.next(Outcome::Refused { reason: "new/a.txt exists already".into() });
        assert!(world.fails("write", write("one\n")).await.contains("exists already"));
        world.next(Outcome::Conflict { reason: "it exists".into(), now: Snapshot::detached("x", "") });
        assert!(world.fails("write", write("one\n")).await.ends_with("Read it again first."));
        assert_eq!(world.heard().len(), 2);
    }
}
