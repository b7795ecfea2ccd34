//! `delete`: takes files away.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::landing::Landing;
use super::{Answer, Context, Failure, Tool, read};
use crate::editor::Place;
use crate::permission::{Access, Want};
use crate::text::Snapshot;

pub(super) struct Delete;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The file, relative to the workspace.
    path: String,
}

#[async_trait]
impl Tool for Delete {
    type Input = Input;
    const NAME: &'static str = "delete";
    const DESCRIPTION: &'static str =
        "Deletes a file that has been read before. The person can have it back. Folders are left alone.";
    const ACCESS: Access = Access::Write;

    fn title(&self, input: &Input) -> String {
        format!("Delete {}", input.path)
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        vec![Want::write(&input.path)]
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let title = self.title(&input);
        let place = context.roots.resolve(&input.path, Access::Write)?;
        let base = known(context, &place).await?;
        Landing { context, place, title }.land_delete(base).await.map(|landed| landed.answer)
    }
}

/// What a file holds, when that is what the model has seen of it: nobody's work goes unseen.
pub(super) async fn known(context: &Context, place: &Place) -> Result<Snapshot, Failure> {
    let present = context.editor.read(place).await.map_err(read::hint)?;
    match context.reads.last(place) {
        None => Err(Failure(format!("{place} was not deleted: it has not been read in this session; read it first"))),
        Some(seen) if seen.rope() != present.rope() => {
            Err(Failure(format!("{place} was not deleted: it was changed since you read it; read it again")))
        }
        Some(_) => Ok(present),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tool::testing::World;

    #[tokio::test]
    async fn a_file_that_was_read_goes_and_any_other_stays() {
        let world = World::new(&[("a.rs", "one\n"), ("b.rs", "two\n"), ("src/c.rs", "")]);
        let delete = |path: &str| json!({"path": path});
        let said = world.fails("delete", delete("a.rs")).await;
        assert_eq!(said, "a.rs was not deleted: it has not been read in this session; read it first");
        world.ok("read", delete("a.rs")).await;
        world.ok("read", delete("b.rs")).await;
        world.write("b.rs", "two, and more\n");
        assert_eq!(world.ok("delete", delete("a.rs")).await, "Deleted a.rs (1 line).");
        let said = world.fails("delete", delete("b.rs")).await;
        assert_eq!(said, "b.rs was not deleted: it was changed since you read it; read it again");
        assert_eq!(world.state(), ["ws/b.rs 644 two, and more\\n", "ws/src/c.rs 644 "]);
        assert!(world.fails("delete", delete("src")).await.starts_with("src is not a regular file"));
        assert!(world.fails("delete", delete("a.rs")).await.starts_with("a.rs does not exist"));
        assert!(world.fails("delete", delete(".git/config")).await.contains("protected"));
        assert!(world.fails("delete", delete("../ws2/a")).await.contains("outside the workspace"));
        assert_eq!(world.heard(), ["applied 0 in a.rs, deleted"]);
    }

    #[tokio::test]
    async fn an_open_file_stays_where_the_editor_cannot_delete_it() {
        let world = World::new(&[("a.rs", "one\n")]);
        world.open("a.rs", "typed\n");
        world.ok("read", json!({"path": "a.rs"})).await;
        world.editor.keeps_files.store(true, std::sync::atomic::Ordering::Relaxed);
        let before = world.state();
        let said = world.fails("delete", json!({"path": "a.rs"})).await;
        assert_eq!(said, "a.rs was not changed: this editor cannot delete an open file");
        assert_eq!(world.state(), before);
    }
}
