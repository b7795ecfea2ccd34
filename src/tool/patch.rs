//! `patch`: one text that adds, changes, moves and deletes files, as some models are trained to write it.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::landing::{Set, Step};
use super::{Answer, Context, Failure, Tool, delete, edit, read};
use crate::disk;
use crate::edit::patch_form::{FileChange, locate, parse};
use crate::editor::ReadError;
use crate::permission::{Access, Want};

/// The most paths that a title names.
const NAMED: usize = 3;

pub(super) struct Patch;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The whole patch, from `*** Begin Patch` to `*** End Patch`.
    patch: String,
}

#[async_trait]
impl Tool for Patch {
    type Input = Input;
    const NAME: &'static str = "patch";
    const DESCRIPTION: &'static str = "Changes files with a patch; all of it is made or nothing. Files that it updates or deletes must have been read before. What the \
         person types meanwhile is kept. The form:\n\
         *** Begin Patch\n\
         *** Update File: path\n\
         *** Move to: new path (only to rename it)\n\
         @@ a line above the change that says where it is, such as a function's head\n\
         \x20a line that stays, three above and below a change\n\
         -a line that goes\n\
         +a line that comes\n\
         *** Add File: path\n\
         +each of its lines\n\
         *** Delete File: path\n\
         *** End Patch";
    const ACCESS: Access = Access::Write;

    fn title(&self, input: &Input) -> String {
        let changes = parse(&input.patch).unwrap_or_default();
        let paths: Vec<&str> = changes
            .iter()
            .map(|change| match change {
                FileChange::Add { path, .. } | FileChange::Update { path, .. } | FileChange::Delete { path } => {
                    path.as_str()
                }
            })
            .collect();
        match paths.len() {
            0 => "Patch".to_owned(),
            count if count > NAMED => format!("Patch {} and {} more", paths[..NAMED].join(", "), count - NAMED),
            _ => format!("Patch {}", paths.join(", ")),
        }
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        // One that cannot be read touches nothing.
        let changes = parse(&input.patch).unwrap_or_default();
        let paths = changes.into_iter().flat_map(|change| match change {
            FileChange::Add { path, .. } | FileChange::Delete { path } => vec![path],
            FileChange::Update { path, to, .. } => std::iter::once(path).chain(to).collect(),
        });
        paths.map(Want::write).collect()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let title = self.title(&input);
        let changes = parse(&input.patch)
            .map_err(|error| Failure(format!("The patch cannot be read, so nothing was done: {error}")))?;
        if changes.is_empty() {
            return Err(Failure("The patch names no file, so there is nothing to do".to_owned()));
        }
        let (mut steps, mut notes) = (Vec::new(), Vec::new());
        for change in changes {
            steps_of(change, context, &mut steps, &mut notes).await?;
        }
        let mut answer = Set { context, title }.land(steps).await?;
        for note in notes {
            answer.content = format!("{}\n{note}", answer.content.trim_end());
        }
        Ok(answer)
    }
}

/// The changes of one section, and what the model should hear of how its texts were found.
async fn steps_of(
    change: FileChange,
    context: &Context,
    steps: &mut Vec<Step>,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let nothing = |Failure(why)| Failure(format!("Nothing was done: {why}"));
    let resolve = |path: &str| context.roots.resolve(path, Access::Write).map_err(|denied| nothing(denied.into()));
    match change {
        FileChange::Add { path, content } => {
            let place = resolve(&path)?;
            if content.len() as u64 > disk::LIMIT {
                return Err(nothing(Failure(format!("{place} would have over {} bytes", disk::LIMIT))));
            }
            match context.editor.read(&place).await {
                Err(ReadError::Missing(_)) => steps.push(Step::Create { place, text: content }),
                Ok(_) => {
                    return Err(nothing(Failure(format!("{place} exists already; update it, or delete it before"))));
                }
                Err(error) => return Err(nothing(read::hint(error))),
            }
        }
        FileChange::Delete { path } => {
            let place = resolve(&path)?;
            let base = delete::known(context, &place).await.map_err(nothing)?;
            steps.push(Step::Delete { place, base });
        }
        FileChange::Update { path, to, chunks } => {
            let place = resolve(&path)?;
            let to = to.as_deref().map(resolve).transpose()?.filter(|to| *to != place);
            let present = context.editor.read(&place).await.map_err(|error| nothing(read::hint(error)))?;
            if !chunks.is_empty() {
                let seen = context.reads.last(&place).ok_or_else(|| {
                    nothing(Failure(format!(
                        "{place} has not been read in this session; read it, then patch what it says"
                    )))
                })?;
                let (base, found) =
                    edit::locate(&place, seen, present.clone(), |base| locate(base, &chunks)).map_err(nothing)?;
                notes.extend(found.note().map(|note| format!("In {place}: {note}")));
                steps.push(Step::Edit { place: place.clone(), base, patch: found.patch });
            }
            if let Some(to) = to {
                steps.push(Step::Rename { place, base: present, to });
            }
        }
    }
    Ok(())
}
