//! File name patterns, as the tools take them.

use globset::{GlobBuilder, GlobMatcher};

use super::Failure;
use crate::editor::Place;
use crate::permission::Roots;

/// A glob. Without a slash it is held against file names, with one against paths relative to the workspace.
pub(super) struct Pattern {
    matcher: GlobMatcher,
    names: bool,
}

impl Pattern {
    pub(super) fn new(given: &str, roots: &Roots) -> Result<Self, Failure> {
        let mut pattern = given.trim_start_matches("./");
        for folder in roots.folders() {
            let inside = folder.to_str().and_then(|folder| pattern.strip_prefix(folder)?.strip_prefix('/'));
            pattern = inside.unwrap_or(pattern);
        }
        let below = if pattern.ends_with('/') { format!("{pattern}**") } else { pattern.to_owned() };
        let glob = GlobBuilder::new(&below).literal_separator(true).build();
        let wrong = |error: globset::Error| {
            let reason = error.kind();
            Failure(format!("{given:?} is not a glob pattern: {reason}. Examples: *.rs, src/**/*.{{ts,tsx}}, [!a]*"))
        };
        Ok(Self { matcher: glob.map_err(wrong)?.compile_matcher(), names: !below.contains('/') })
    }

    pub(super) fn matches(&self, place: &Place, roots: &Roots) -> bool {
        let Place::File { path, shown } = place else { return false };
        if self.names {
            return path.file_name().is_some_and(|name| self.matcher.is_match(name));
        }
        let below =
            |folder: &std::path::PathBuf| path.strip_prefix(folder).is_ok_and(|rest| self.matcher.is_match(rest));
        self.matcher.is_match(shown) || (roots.folders().len() > 1 && roots.folders().iter().any(below))
    }
}
