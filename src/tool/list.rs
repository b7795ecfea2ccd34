//! `list`: what is in a folder.

use std::collections::BTreeSet;
use std::path::Path;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::walk::{self, Open};
use super::{Answer, Context, Failure, Tool};
use crate::editor::Place;
use crate::permission::{Access, Roots, Want};

/// The most entries of one answer.
const MOST: usize = 1000;

pub(super) struct List;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The folder, relative to the workspace. Default: the workspace itself.
    path: Option<String>,
}

#[async_trait]
impl Tool for List {
    type Input = Input;
    const NAME: &'static str = "list";
    const DESCRIPTION: &'static str = "Lists the files and folders directly in a folder, one a line, folders with a slash at the end. Files that are open in \
         the editor but not saved yet are listed too; files ignored by git and protected ones are not. Use find to look \
         through a whole tree.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        format!("List {}", input.path.as_deref().unwrap_or("the workspace"))
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        input.path.iter().map(Want::read).collect()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let open = Open::of(context);
        let (shown, entries) = match input.path.filter(|path| !path.is_empty()) {
            None if context.roots.folders().len() != 1 => ("the workspace".to_owned(), top(&context.roots, &open)),
            path => {
                let place = context.roots.resolve(path.as_deref().unwrap_or("."), Access::Read)?;
                let (roots, folder) = (context.roots.clone(), place.clone());
                (place.to_string(), walk::blocking(move || entries(&roots, &folder, &open)).await?)
            }
        };
        let total = entries.len();
        let mut content: String = entries.into_iter().take(MOST).map(|entry| entry + "\n").collect();
        if total > MOST {
            content.push_str(&format!("[{MOST} of {total}; find with a pattern shows the others]\n"));
        }
        if total == 0 {
            content = format!("{shown} has nothing to list (what git ignores and what is protected is left out)\n");
        }
        let summary = if total == 1 { "1 entry".to_owned() } else { format!("{total} entries") };
        Ok(Answer { undone: false, ok: true, content, summary })
    }
}

/// Where there are several folders, or none.
fn top(roots: &Roots, open: &Open) -> BTreeSet<String> {
    let folders = roots.folders().iter().filter_map(|folder| roots.found(folder)).map(|place| format!("{place}/"));
    let others = open.unsaved(roots).filter(|(place, _)| place.path().is_none_or(|path| roots.found(path).is_none()));
    folders.chain(others.map(|(place, _)| place.to_string())).collect()
}

fn entries(roots: &Roots, place: &Place, open: &Open) -> Result<BTreeSet<String>, Failure> {
    let Some(folder) = place.path() else { return Err(Failure(format!("{place} is a file; read shows it"))) };
    let unsaved: BTreeSet<String> = open.unsaved(roots).filter_map(|(place, _)| below(folder, place.path()?)).collect();
    match folder.metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(Failure(format!("{place} is a file; read shows it"))),
        // A folder that only an unsaved file is in.
        Err(_) if !unsaved.is_empty() => return Ok(unsaved),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure(format!("{place} does not exist; list without a path shows what does")));
        }
        Err(error) => return Err(Failure(format!("could not list {place}: {error}"))),
    }
    let walk = walk::builder(roots, &[folder.to_owned()]).map(|mut builder| builder.max_depth(Some(1)).build());
    let mut names = unsaved;
    for entry in walk.into_iter().flatten() {
        let entry = entry.map_err(|error| Failure(format!("could not list {place}: {error}")))?;
        if entry.depth() == 0 {
            continue;
        }
        let name = entry.file_name().to_string_lossy();
        let is_folder = if entry.path_is_symlink() {
            // A link is listed as what it leads to, when that may be seen.
            let target = entry.path().to_str().and_then(|path| roots.resolve(path, Access::Read).ok());
            let Some(target) = target else { continue };
            target.path().is_some_and(Path::is_dir)
        } else {
            entry.file_type().is_some_and(|kind| kind.is_dir())
        };
        names.insert(if is_folder { format!("{name}/") } else { name.into_owned() });
    }
    if *folder == *roots.folders().first().map_or(Path::new(""), |first| first) {
        names.extend(open.buffers.iter().map(|(place, _)| place.to_string()));
    }
    Ok(names)
}

/// What a folder lists for a file somewhere below it.
fn below(folder: &Path, path: &Path) -> Option<String> {
    let mut rest = path.strip_prefix(folder).ok()?.components();
    let name = rest.next()?.as_os_str().to_string_lossy().into_owned();
    Some(if rest.next().is_some() { name + "/" } else { name })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::editor::Place;
    use crate::permission::Roots;
    use crate::tool::testing::World;

    #[tokio::test]
    async fn a_folder_is_listed_with_what_is_open_and_without_what_is_ignored_or_protected() {
        let world = World::new(&[
            (".gitignore", "target\n*.log\n"),
            ("target/x", ""),
            ("a.log", ""),
            ("src/lib.rs", ""),
            (".git/config", ""),
            (".vscode/settings.json", ""),
            (".github/workflows/ci.yml", ""),
            ("AGENTS.md", ""),
            ("README.md", ""),
        ]);
        std::fs::write(world.top.join("secret"), "").expect("written");
        for (link, target) in
            [("out", "../secret"), ("up", ".."), ("dir", "src"), ("file", "README.md"), ("git", ".git")]
        {
            world.link(link, target);
        }
        world.open("new.rs", "");
        world.open("fresh/deep/new.rs", "");
        assert_eq!(
            world.ok("list", json!({})).await,
            ".github/\n.gitignore\nREADME.md\ndir/\nfile\nfresh/\nnew.rs\nsrc/\n"
        );
        assert_eq!(world.ok("list", json!({"path": "src/"})).await, "lib.rs\n");
        assert_eq!(world.ok("list", json!({"path": "fresh"})).await, "deep/\n");
        assert_eq!(world.ok("list", json!({"path": "target"})).await, "x\n", "what is named is listed");
        assert_eq!(
            world.ok("list", json!({"path": ".github"})).await,
            ".github has nothing to list (what git ignores and what is protected is left out)\n"
        );
        assert!(world.fails("list", json!({"path": "README.md"})).await.contains("is a file; read shows it"));
        assert!(world.fails("list", json!({"path": "nowhere"})).await.contains("does not exist"));
        assert!(world.fails("list", json!({"path": ".."})).await.contains("is outside the workspace"));
        assert!(world.fails("list", json!({"path": ".git"})).await.contains("is protected"));
    }

    #[tokio::test]
    async fn t1_a_huge_folder_is_cut_and_counted() {
        let world = World::new(&[]);
        for number in 0..1100 {
            world.write(&format!("{number:04}"), "");
        }
        let content = world.ok("list", json!({})).await;
        assert_eq!(content.lines().count(), 1001);
        assert!(content.ends_with("[1000 of 1100; find with a pattern shows the others]\n"));
    }

    #[tokio::test]
    async fn several_folders_are_listed_by_name_and_none_by_open_buffers() {
        let mut world = World::new(&[("a.rs", "")]);
        std::fs::create_dir(world.top.join("other")).expect("a folder");
        world.context.roots = Roots::new(&[world.top.join("ws"), world.top.join("other")]);
        assert_eq!(world.ok("list", json!({})).await, "other/\nws/\n");
        assert_eq!(world.ok("list", json!({"path": "ws"})).await, "a.rs\n");

        let buffer = Place::Buffer { uri: "untitled:Untitled-1".into() };
        world.context.roots = Roots::new(&[]).with_buffers(vec![buffer.clone()]);
        world.open_place(buffer, "text");
        world.open_place(Place::Buffer { uri: "untitled:elsewhere".into() }, "text");
        assert_eq!(world.ok("list", json!({})).await, "untitled:Untitled-1\n");
    }
}
