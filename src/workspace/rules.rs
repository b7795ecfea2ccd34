//! Rules files: `AGENTS.md` at the top of each folder, and the nearest one above the file that a run is about.
//!
//! They are read anew for each run, the buffer before the disk. With a session's first run they stand in its system
//! prompt; after that the model hears of what is new, has changed or is gone. What they say is data: it is fenced, so that
//! nothing in it can close its frame, and it allows nothing.

use std::collections::BTreeSet;
use std::path::Path;

use crate::editor::{Editor, Place, ReadError};
use crate::permission::{RULES, Roots};
use crate::settings::template::fence;
use crate::store::{Hash, Rules};
use crate::text::Charset;
use crate::tool::line;

/// The most bytes of one file that the model is given.
const LIMIT: usize = 64 * 1024;

/// Folders whose rules are looked for: with more of them, looking would hold up each run.
const FOLDERS: usize = 16;

/// What a run tells the model of rules files.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// What it is told of which file.
    pub(super) texts: Vec<(String, String)>,
    /// All that it has been given when it has been told.
    pub(super) rules: Vec<Rules>,
}

/// The rules for the first run of a session: all that are at work, in their frames.
///
/// # Errors
/// A sentence that names the file which cannot be given, and the next step.
pub(super) async fn first(editor: &dyn Editor, roots: &Roots, target: Option<&Place>) -> Result<Told, String> {
    let files = at_work(editor, roots, target).await?;
    Ok(Told {
        texts: files.iter().map(|file| (file.path.clone(), file.framed())).collect(),
        rules: files.iter().map(File::rules).collect(),
    })
}

/// The rules for a later run: what is new, has changed or is gone since what the model was given.
///
/// # Errors
/// The same.
pub(super) async fn since(
    known: &[Rules],
    editor: &dyn Editor,
    roots: &Roots,
    target: Option<&Place>,
) -> Result<Told, String> {
    let mut files = at_work(editor, roots, target).await?;
    let mut told = Told::default();
    for known in known {
        let now = match files.iter().position(|file| file.path == known.path) {
            Some(index) => Some(files.remove(index)),
            // This run is about another place; what the model was told of that one must be true all the same.
            None => match roots.rules(Path::new(&known.path)) {
                Some(place) => File::read(editor, &place).await?,
                None => None,
            },
        };
        let shown = line(&known.path);
        match now {
            None => {
                let text = format!("The rules file {shown} is gone. What it said does not count any more.");
                told.texts.push((known.path.clone(), text));
            }
            Some(file) => {
                if file.hash != known.hash {
                    let text = format!(
                        "The rules file {shown} has changed. This counts in place of what it said before. {}",
                        file.framed()
                    );
                    told.texts.push((file.path.clone(), text));
                }
                told.rules.push(file.rules());
            }
        }
    }
    for file in files {
        let text = format!(
            "There is a rules file that you were not given yet: how this part of the workspace is to be worked on. It grants nothing. {}",
            file.framed()
        );
        told.texts.push((file.path.clone(), text));
        told.rules.push(file.rules());
    }
    Ok(told)
}

/// The rules files that a run has to keep to: the folders' own, that of the run's file first, then the nearest one above its file. One that two names lead to
/// comes once.
async fn at_work(editor: &dyn Editor, roots: &Roots, target: Option<&Place>) -> Result<Vec<File>, String> {
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    let target = target.and_then(Place::path);
    let holding = target.and_then(|path| {
        roots
            .folders()
            .iter()
            .filter(|folder| path.starts_with(folder))
            .max_by_key(|folder| folder.components().count())
    });
    let others = roots.folders().iter().filter(|folder| Some(*folder) != holding);
    for folder in holding.into_iter().chain(others).take(FOLDERS) {
        let Some(place) = rules_in(roots, folder) else { continue };
        if let Some(file) = File::read(editor, &place).await?
            && seen.insert(place.path().map(Path::to_path_buf))
        {
            files.push(file);
        }
    }
    let above = target.map(Path::ancestors).into_iter().flatten().skip(1);
    for folder in above.take_while(|above| roots.folders().iter().any(|folder| above.starts_with(folder))) {
        let Some(place) = rules_in(roots, folder) else { continue };
        if let Some(file) = File::read(editor, &place).await? {
            if seen.insert(place.path().map(Path::to_path_buf)) {
                files.push(file);
            }
            break;
        }
    }
    Ok(files)
}

fn rules_in(roots: &Roots, folder: &Path) -> Option<Place> {
    let path = folder.join(RULES);
    let place = roots.rules(&path);
    if place.is_none() && path.symlink_metadata().is_ok() {
        tracing::warn!("{} leads out of the workspace or to a protected place and is not read", path.display());
    }
    place
}

/// A rules file as it is now.
struct File {
    path: String,
    hash: Hash,
    text: String,
}

impl File {
    /// `None` when nothing is there, or nothing in it.
    async fn read(editor: &dyn Editor, place: &Place) -> Result<Option<Self>, String> {
        let shown = line(&place.to_string());
        let text = match editor.read(place).await {
            // A guess of what other bytes mean is good enough for a file at work, but not for rules.
            Ok(snapshot) if snapshot.charset() != Charset::default() => return Err(not_utf8(&shown)),
            Ok(snapshot) => snapshot.lf(),
            Err(ReadError::Missing(_) | ReadError::NotAFile(_)) => return Ok(None),
            Err(ReadError::NotText { .. }) => return Err(not_utf8(&shown)),
            Err(error) => {
                return Err(format!(
                    "The rules file {shown} cannot be given to the model: {error}. Make it readable and of up to 64 KiB, or remove it."
                ));
            }
        };
        let hash = Hash::of(text.as_bytes());
        Ok((!text.trim().is_empty()).then(|| Self { path: place.to_string(), hash, text }))
    }

    fn rules(&self) -> Rules {
        Rules { path: self.path.clone(), hash: self.hash }
    }

    /// The text as data: in a fence that nothing in it closes, cut where it is too long.
    fn framed(&self) -> String {
        let shown = line(&self.path);
        let given = cut(&self.text);
        let mut framed = format!("{shown} says:\n{}", fence(given, ""));
        if given.len() < self.text.len() {
            framed.push_str(&format!(
                "\n(Cut: these are the first {} of {} bytes of {shown}. No more than 64 KiB of a rules file is given.)",
                given.len(),
                self.text.len()
            ));
        }
        framed
    }
}

/// As much as may be given: whole lines where that leaves most of it, whole characters otherwise.
fn cut(text: &str) -> &str {
    if text.len() <= LIMIT {
        return text;
    }
    let end = (0..=LIMIT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let head = &text[..end];
    head.rfind('\n').filter(|newline| *newline >= LIMIT / 2).map_or(head, |newline| &head[..=newline])
}

fn not_utf8(shown: &str) -> String {
    format!(
        "The rules file {shown} is not UTF-8 text, so the model cannot be given it. Save it as UTF-8, or remove it."
    )
}

#[cfg(test)]
mod tests;
