//! `edit`: replaces exact text.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::landing::Landing;
use super::{Answer, Context, Failure, Tool, read};
use crate::edit::{FindError, Patch, Replacement, find};
use crate::editor::Place;
use crate::permission::Access;
use crate::text::Snapshot;

pub(super) struct Edit;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// The file, relative to the workspace.
    path: String,
    /// The replacements. All of them are made, or none.
    #[schemars(length(min = 1))]
    edits: Vec<Wanted>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The text to replace, exactly as in the file, without line numbers. It must be there once; add lines around it
    /// until it is.
    old: String,
    /// What shall stand there instead.
    new: String,
    /// Replace every occurrence. Default: false.
    all: Option<bool>,
}

#[async_trait]
impl Tool for Edit {
    type Input = Input;
    const NAME: &'static str = "edit";
    const DESCRIPTION: &'static str = "Changes an existing file by replacing exact text; several replacements in one call are found in the same text and made \
         together or not at all. The file must have been read before. What the person types meanwhile is kept.";
    const ACCESS: Access = Access::Write;

    fn title(&self, input: &Input) -> String {
        format!("Edit {}", input.path)
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let title = self.title(&input);
        let place = context.roots.resolve(&input.path, Access::Write)?;
        let wanted: Vec<Replacement> = input.edits.into_iter().map(Wanted::into_replacement).collect();
        if wanted.is_empty() {
            return Err(Failure("\"edits\" is empty, so there is nothing to change".to_owned()));
        }
        let present = context.editor.read(&place).await.map_err(|error| match error {
            crate::editor::ReadError::Missing(_) => Failure(format!("{error}; write makes a new file")),
            error => read::hint(error),
        })?;
        let Some(seen) = context.reads.last(&place) else {
            return Err(Failure(format!("{place} has not been read in this session; read it, then edit what it says")));
        };
        let (base, patch) = locate(&place, seen, present, &wanted)?;
        Landing { context, place, title }.edit(base, patch).await
    }
}

impl Wanted {
    fn into_replacement(self) -> Replacement {
        Replacement { old: lf(self.old), new: lf(self.new), all: self.all.unwrap_or(false) }
    }
}

/// Where the replacements belong. The text that the model has seen comes first: what it calls unique is unique there, and the
/// editor's side moves the change over what was typed since. Only what is not in that text at all (a formatter wrote it,
/// say, and a search showed it) is looked for in the present one.
fn locate(
    place: &Place,
    seen: Snapshot,
    present: Snapshot,
    wanted: &[Replacement],
) -> Result<(Snapshot, Patch), Failure> {
    let missing = match find(&seen, wanted) {
        Ok(patch) => return Ok((seen, patch)),
        Err(error @ FindError::Missing { .. }) => error,
        Err(error) => return Err(Failure(format!("{place} was not changed: {error}"))),
    };
    if seen.rope() == present.rope() {
        return Err(Failure(format!("{place} was not changed: {missing}")));
    }
    match find(&present, wanted) {
        Ok(patch) => Ok((present, patch)),
        Err(error) => Err(Failure(format!(
            "{place} was not changed: {error}. The file was changed since you read it; read it again"
        ))),
    }
}

/// As the model sees texts.
pub(super) fn lf(text: String) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

#[cfg(test)]
mod tests;
