//! `search`: lines by regular expression, with ripgrep's own libraries.

mod hits;
mod reader;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use ignore::WalkState;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::glob::Pattern;
use super::walk::{self, Open, Walked};
use super::{Answer, Context, Failure, Tool, lines};
use crate::editor::Place;
use crate::permission::{Access, Roots, Want};
use hits::{Hits, Lines};
use reader::Reader;

/// The most bytes of matches that are held before they are sorted.
const HELD: usize = 4 * 1024 * 1024;

/// The most memory that a compiled pattern may take.
const COMPILED: usize = 10 * 1024 * 1024;

pub(super) struct Search;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A regular expression, held against each line. Begin with (?i) to ignore case.
    pattern: String,
    /// The folder or file to search, relative to the workspace. Default: everything.
    path: Option<String>,
    /// Only files that this glob matches, such as `*.rs` or `src/**/*.ts`.
    glob: Option<String>,
}

#[async_trait]
impl Tool for Search {
    type Input = Input;
    const NAME: &'static str = "search";
    const DESCRIPTION: &'static str = "Searches the lines of files with a regular expression (the syntax of ripgrep: no look-around, no back-references) and gives \
         the matching lines with their numbers, grouped by file. Open files are searched as the editor has them. Files \
         ignored by git and binary files are left out. Before you edit a file that it names, read it.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        let place = input.path.as_deref().or(input.glob.as_deref());
        place.map_or_else(
            || format!("Search for {}", input.pattern),
            |at| format!("Search for {} in {at}", input.pattern),
        )
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        input.path.iter().map(Want::read).collect()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let matcher = matcher(&input.pattern)?;
        let glob = input.glob.as_deref().filter(|glob| !glob.is_empty());
        let glob = glob.map(|glob| Pattern::new(glob, &context.roots)).transpose()?;
        let within = input.path.as_deref().filter(|path| !path.is_empty());
        let within = within.map(|path| context.roots.resolve(path, Access::Read)).transpose()?;
        let scope = Scope {
            roots: context.roots.clone(),
            open: Open::of(context),
            within,
            glob,
            ascii: input.pattern.is_ascii(),
        };
        if let Some(missing) = scope.missing() {
            return Err(Failure(format!("{missing} does not exist; find and list show what is there")));
        }
        let cancel = context.cancel.clone();
        let (hits, walked) = walk::blocking(move || search(&scope, &matcher, &cancel)).await?;
        let room = context.limits.tool_output_bytes.saturating_sub(512);
        let summary = format!("{} in {}", lines::counted(hits.count(), "match"), lines::counted(hits.files(), "file"));
        Ok(Answer {
            undone: false,
            ok: true,
            content: hits.show(&input.pattern, room, walked == Walked::Part),
            summary,
        })
    }
}

/// Where to look.
struct Scope {
    roots: Roots,
    open: Open,
    within: Option<Place>,
    glob: Option<Pattern>,
    /// Whether the pattern reads the same in all encodings that are read.
    ascii: bool,
}

impl Scope {
    fn starts(&self) -> Vec<PathBuf> {
        match &self.within {
            None => self.roots.folders().to_vec(),
            Some(Place::File { path, .. }) if path.exists() && self.roots.found(path).is_some() => vec![path.clone()],
            Some(_) => Vec::new(),
        }
    }

    fn holds(&self, place: &Place) -> bool {
        let within = match (&self.within, place.path()) {
            (None, _) => true,
            (Some(within), Some(path)) => within.path().is_some_and(|within| path.starts_with(within)),
            (Some(within), None) => within == place,
        };
        within && self.glob.as_ref().is_none_or(|glob| glob.matches(place, &self.roots))
    }

    /// What was named but is neither on disk nor open.
    fn missing(&self) -> Option<&Place> {
        let within = self.within.as_ref()?;
        let path = within.path()?;
        let open = || self.open.files.keys().any(|open| open.starts_with(path));
        (!path.exists() && !open()).then_some(within)
    }
}

fn search(scope: &Scope, matcher: &RegexMatcher, cancel: &CancellationToken) -> Result<(Hits, Walked), Failure> {
    let mut hits = Hits::default();
    let mut reader = Reader::new(matcher);
    for (place, snapshot) in scope.open.unsaved(&scope.roots).filter(|(place, _)| scope.holds(place)) {
        let mut lines = Lines::new(cancel);
        reader.text(snapshot, &mut lines);
        hits.add(place.clone(), lines);
    }
    let (found, held) = (&Mutex::new(hits), &AtomicUsize::new(0));
    let worker = || {
        let mut reader = Reader::new(matcher);
        move |path: &Path| {
            if scope.glob.is_some() && !scope.roots.found(path).is_some_and(|place| scope.holds(&place)) {
                return WalkState::Continue;
            }
            let mut lines = Lines::new(cancel);
            match scope.open.files.get(path) {
                Some((_, snapshot)) => reader.text(snapshot, &mut lines),
                None => {
                    let searched = reader.file(path, &mut lines);
                    let is_other = lines.is_garbled() || lines.is_empty() && !scope.ascii && !reader.has_read_utf8();
                    if let Some(place) = (searched.is_ok() && is_other).then(|| scope.roots.found(path)).flatten() {
                        reader.decoded(&place, &mut lines, cancel);
                    }
                }
            }
            // A file that cannot be read has no lines to show; the next one may.
            let Some(place) = (!lines.is_empty()).then(|| scope.roots.found(path)).flatten() else {
                return WalkState::Continue;
            };
            let held = held.fetch_add(lines.bytes(), Ordering::Relaxed) + lines.bytes();
            found.lock().unwrap_or_else(PoisonError::into_inner).add(place, lines);
            if held < HELD { WalkState::Continue } else { WalkState::Quit }
        }
    };
    let walked = walk::files(&scope.roots, &scope.starts(), cancel, worker)?;
    let hits = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((hits, walked))
}

fn matcher(pattern: &str) -> Result<RegexMatcher, Failure> {
    let built = RegexMatcherBuilder::new().crlf(true).size_limit(COMPILED).dfa_size_limit(COMPILED).build(pattern);
    built.map_err(|error| {
        Failure(format!(
            "{pattern:?} cannot be searched for: {error}\nEach line is searched by itself. To search for the text itself, \
             escape it: {}",
            escaped(pattern)
        ))
    })
}

/// The pattern that finds a text as it is.
fn escaped(text: &str) -> String {
    let special = |c| "\\.+*?()|[]{}^$#&-~".contains(c);
    text.lines().next().unwrap_or_default().chars().fold(String::new(), |mut pattern, c| {
        pattern.extend(special(c).then_some('\\'));
        pattern.push(c);
        pattern
    })
}

#[cfg(test)]
mod tests;
