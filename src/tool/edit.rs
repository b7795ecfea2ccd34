//! `edit`: replaces text.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::landing::Landing;
use super::{Answer, Context, Failure, Tool, read};
use crate::edit::{FindError, Found, Replacement, found};
use crate::editor::Place;
use crate::permission::{Access, Want};
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
    /// Near which line it stands, to choose among equal places.
    line: Option<usize>,
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

    fn wants(&self, input: &Input) -> Vec<Want> {
        vec![Want::write(&input.path)]
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
        let (base, found) = locate(&place, seen, present, |base| found(base, &wanted))?;
        let note = found.note();
        let mut answer = Landing { context, place, title }.edit(base, found.patch).await?;
        if let Some(note) = note {
            answer.content = with_note(&answer.content, &note);
        }
        Ok(answer)
    }
}

impl Wanted {
    fn into_replacement(self) -> Replacement {
        Replacement { old: lf(self.old), new: lf(self.new), all: self.all.unwrap_or(false), line: self.line }
    }
}

/// Where the replacements belong. The text that the model has seen comes first: what it calls unique is unique there, and the
/// editor's side moves the change over what was typed since. Only what is not exactly in that text (a formatter wrote it,
/// say, and a search showed it) is looked for in the present one.
pub(super) fn locate(
    place: &Place,
    seen: Snapshot,
    present: Snapshot,
    find: impl Fn(&Snapshot) -> Result<Found, FindError>,
) -> Result<(Snapshot, Found), Failure> {
    let in_seen = match find(&seen) {
        Ok(found) if found.lax.is_empty() => return Ok((seen, found)),
        Err(error) if !matches!(error, FindError::Missing { .. }) => {
            return Err(Failure(format!("{place} was not changed: {error}")));
        }
        other => other,
    };
    if seen.rope() == present.rope() {
        return match in_seen {
            Ok(found) => Ok((seen, found)),
            Err(missing) => Err(Failure(format!("{place} was not changed: {missing}"))),
        };
    }
    match (in_seen, find(&present)) {
        // What is exactly there now is what is meant, rather than what was seen and is only similar.
        (Ok(_), Ok(found)) if found.lax.is_empty() => Ok((present, found)),
        (Ok(found), _) => Ok((seen, found)),
        (Err(_), Ok(found)) => Ok((present, found)),
        (Err(_), Err(error)) => Err(Failure(format!(
            "{place} was not changed: {error}. The file was changed since you read it; read it again"
        ))),
    }
}

/// An answer whose first line also says how the texts were matched.
fn with_note(content: &str, note: &str) -> String {
    match content.split_once('\n') {
        Some((first, rest)) => format!("({note}) {first}\n{rest}"),
        None => format!("{content} ({note})"),
    }
}

/// As the model sees texts.
pub(super) fn lf(text: String) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

#[cfg(test)]
mod tests;
