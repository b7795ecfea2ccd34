//! `find`: files by name.

use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use ignore::WalkState;
use schemars::JsonSchema;
use serde::Deserialize;

use super::glob::Pattern;
use super::walk::{self, Open, Walked};
use super::{Answer, Context, Failure, Tool, lines};
use crate::editor::Place;
use crate::permission::{Access, Want};

/// The most files of one answer.
const MOST: usize = 1000;

/// The most files that are collected before they are sorted.
const HELD: usize = 200_000;

pub(super) struct Find;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A glob such as `*.rs` (a file name anywhere) or `src/**/*.{ts,tsx}` (a path relative to the workspace).
    pattern: String,
}

#[async_trait]
impl Tool for Find {
    type Input = Input;
    const NAME: &'static str = "find";
    const DESCRIPTION: &'static str = "Finds files by a glob pattern, sorted by path. A pattern without a slash is held against file names at any depth, one with \
         a slash against the path relative to the workspace. Files ignored by git are left out; unsaved new files are \
         found too. Use search to look into files.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        format!("Find {}", input.pattern)
    }

    fn wants(&self, _: &Input) -> Vec<Want> {
        Vec::new()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let pattern = Pattern::new(&input.pattern, &context.roots)?;
        let open = Open::of(context);
        let (roots, cancel) = (context.roots.clone(), context.cancel.clone());
        let (mut found, walked) = walk::blocking(move || {
            let unsaved = open.unsaved(&roots).map(|(place, _)| place).filter(|place| pattern.matches(place, &roots));
            let found: Mutex<Vec<Place>> = Mutex::new(unsaved.cloned().collect());
            let each = |path: &Path| {
                let place = roots.found(path).filter(|place| pattern.matches(place, &roots));
                let Some(place) = place else { return WalkState::Continue };
                let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                found.push(place);
                if found.len() < HELD { WalkState::Continue } else { WalkState::Quit }
            };
            let walked = walk::files(&roots, roots.folders(), &cancel, || each)?;
            Ok((found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), walked))
        })
        .await?;
        found.sort_by(|a, b| a.path().cmp(&b.path()));
        found.dedup();
        let total = found.len();
        let mut content: String = found.iter().take(MOST).map(|place| format!("{place}\n")).collect();
        if total == 0 {
            content = format!(
                "No file matches {}. A pattern with a slash counts from the workspace folder.\n",
                input.pattern
            );
        } else if total > MOST || walked == Walked::Part {
            let at_least = if walked == Walked::Part { "at least " } else { "" };
            let shown = total.min(MOST);
            content.push_str(&format!("[{shown} of {at_least}{total} files; a narrower pattern shows the others]\n"));
        }
        Ok(Answer { undone: false, ok: true, content, summary: lines::counted(total, "file") })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::permission::Roots;
    use crate::tool::testing::World;

    fn world() -> World {
        let world = World::new(&[
            (".gitignore", "target/\n"),
            ("target/debug/x.rs", ""),
            ("src/lib.rs", ""),
            ("src/bin/main.rs", ""),
            ("tests/a.test.ts", ""),
            (".git/x.rs", ""),
            ("README.md", ""),
        ]);
        std::fs::create_dir(world.top.join("out")).expect("a folder");
        std::fs::write(world.top.join("out/secret.rs"), "").expect("written");
        world.link("out", "../out");
        world.link("link.rs", "src/lib.rs");
        world
    }

    #[tokio::test]
    async fn files_are_found_by_name_or_path() {
        let world = world();
        let found = async |pattern: &str| world.ok("find", json!({ "pattern": pattern })).await;
        assert_eq!(found("*.rs").await, "src/bin/main.rs\nsrc/lib.rs\n");
        assert_eq!(found("**/*.rs").await, "src/bin/main.rs\nsrc/lib.rs\n");
        assert_eq!(found("src/*.rs").await, "src/lib.rs\n");
        assert_eq!(found("./src/").await, "src/bin/main.rs\nsrc/lib.rs\n");
        assert_eq!(found("*.{md,ts}").await, "README.md\ntests/a.test.ts\n");
        assert_eq!(found(&format!("{}/ws/src/*.rs", world.top.display())).await, "src/lib.rs\n");
        assert!(found("*.py").await.starts_with("No file matches *.py"));
        assert!(found("../**").await.starts_with("No file matches"), "nothing outside is walked");
        let said = world.fails("find", json!({"pattern": "[a"})).await;
        assert!(said.starts_with("\"[a\" is not a glob pattern"), "{said}");
    }

    #[tokio::test]
    async fn an_unsaved_file_is_found_and_an_open_one_only_once() {
        let world = world();
        world.open("src/new.rs", "");
        world.open("src/lib.rs", "");
        assert_eq!(world.ok("find", json!({"pattern": "src/*.rs"})).await, "src/lib.rs\nsrc/new.rs\n");
    }

    #[tokio::test]
    async fn several_folders_are_walked_each_once() {
        let mut world = world();
        world.context.roots = Roots::new(&[world.top.join("ws"), world.top.join("out"), world.top.join("ws/src")]);
        assert_eq!(world.ok("find", json!({"pattern": "*.rs"})).await, "out/secret.rs\nsrc/bin/main.rs\nsrc/lib.rs\n");
        assert_eq!(world.ok("find", json!({"pattern": "out/*"})).await, "out/secret.rs\n");
    }

    #[tokio::test]
    async fn t1_many_files_are_cut_and_counted() {
        let world = World::new(&[]);
        for number in 0..1100 {
            world.write(&format!("{number:04}.rs"), "");
        }
        let content = world.ok("find", json!({"pattern": "*.rs"})).await;
        assert!(content.starts_with("0000.rs\n0001.rs\n"));
        assert!(content.ends_with("[1000 of 1100 files; a narrower pattern shows the others]\n"));
    }

    #[tokio::test]
    async fn what_git_ignores_is_left_out_before_there_is_a_repository() {
        let world = World::new(&[(".gitignore", "target/\n"), ("target/x.rs", ""), ("a.rs", "")]);
        assert_eq!(world.ok("find", json!({"pattern": "*.rs"})).await, "a.rs\n");
    }

    #[tokio::test]
    async fn a_cancelled_walk_ends() {
        let world = world();
        world.context.cancel.cancel();
        assert_eq!(world.fails("find", json!({"pattern": "*"})).await, "stopped by the person");
    }
}
