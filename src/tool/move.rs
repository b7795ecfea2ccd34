//! `move`: gives files another name.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::landing::Landing;
use super::{Answer, Context, Failure, Tool, read};
use crate::permission::{Access, Want};

pub(super) struct Move;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The file, relative to the workspace.
    from: String,
    /// Its new path, file name included. Nothing may be there.
    to: String,
}

#[async_trait]
impl Tool for Move {
    type Input = Input;
    const NAME: &'static str = "move";
    const DESCRIPTION: &'static str = "Moves or renames a file; folders on the way are made, and nothing is ever replaced. What names the file elsewhere is \
         not changed by it.";
    const ACCESS: Access = Access::Write;

    fn title(&self, input: &Input) -> String {
        format!("Move {} to {}", input.from, input.to)
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        vec![Want::write(&input.from), Want::write(&input.to)]
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let title = self.title(&input);
        let place = context.roots.resolve(&input.from, Access::Write)?;
        let to = context.roots.resolve(&input.to, Access::Write)?;
        if place == to {
            return Err(Failure(format!("{place} is there already")));
        }
        let base = context.editor.read(&place).await.map_err(read::hint)?;
        Landing { context, place, title }.land_rename(base, &to).await.map(|landed| landed.answer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tool::testing::World;

    #[tokio::test]
    async fn a_file_moves_with_its_buffer_and_what_was_read_of_it() {
        let world = World::new(&[("a.rs", "one\n"), ("b.rs", "two\n")]);
        world.open("a.rs", "typed\n");
        world.ok("read", json!({"path": "a.rs"})).await;
        let moved = world.ok("move", json!({"from": "a.rs", "to": "src/new/a.rs"})).await;
        assert_eq!(moved, "Moved a.rs to src/new/a.rs.");
        let state = ["open src/new/a.rs: typed\n", "ws/b.rs 644 two\\n", "ws/src/new/a.rs 644 one\\n"];
        assert_eq!(world.state(), state);
        assert_eq!(world.heard(), ["applied 0 in a.rs, moved to a.rs"]);
        world.ok("edit", json!({"path": "src/new/a.rs", "edits": [{"old": "typed", "new": "edited"}]})).await;
        assert_eq!(world.buffer("src/new/a.rs"), "edited\n");
    }

    #[tokio::test]
    async fn nothing_is_replaced_and_nothing_leaves_the_workspace() {
        let world = World::new(&[("a.rs", "one\n"), ("b.rs", "two\n"), (".git/config", "")]);
        let before = world.state();
        let said = async |from: &str, to: &str| world.fails("move", json!({"from": from, "to": to})).await;
        assert_eq!(said("a.rs", "b.rs").await, "a.rs was not changed: b.rs exists already");
        assert_eq!(said("a.rs", "./a.rs").await, "a.rs is there already");
        assert!(said("c.rs", "d.rs").await.starts_with("c.rs does not exist"));
        assert!(said("a.rs", "../a.rs").await.contains("outside the workspace"));
        assert!(said("a.rs", ".git/hooks/a").await.contains("protected"));
        assert!(said(".git/config", "c").await.contains("protected"));
        assert_eq!(world.state(), before);
    }
}
