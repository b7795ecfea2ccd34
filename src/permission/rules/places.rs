//! Patterns of `read` and `edit` rules.

use std::fs;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use unicode_normalization::UnicodeNormalization as _;

use crate::permission::protected;

/// A glob over paths: relative to the workspace folders, or from the root of the file system.
#[derive(Clone, Debug)]
pub(super) struct Places {
    glob: GlobMatcher,
    absolute: bool,
    /// What it names without any pattern, from the root of the file system: a file, or a folder with all that is in it.
    whole: Option<PathBuf>,
    /// The folder that all lies in that it names otherwise, and how deep at most.
    within: Option<(PathBuf, usize)>,
}

/// More entries are not looked at in search of what a pattern names.
const MOST: usize = 100_000;

impl Places {
    /// # Errors
    /// What was expected.
    pub(super) fn new(text: &str, denies: bool) -> Result<Self, String> {
        let expected = |found: String| {
            format!("expected a glob relative to the workspace, or one that begins with / or ~/; found {found}")
        };
        let home = match text.strip_prefix("~/") {
            None => None,
            Some(rest) => {
                let home =
                    dirs::home_dir().and_then(|home| super::super::real_path(&home).to_str().map(globset::escape));
                let home = home.ok_or_else(|| expected(format!("{text:?}, and no home folder")))?;
                Some(format!("{home}/{rest}"))
            }
        };
        let text = home.as_deref().unwrap_or(text);
        let mut pattern = text;
        while let Some(rest) = pattern.strip_prefix("./") {
            pattern = rest;
        }
        if Path::new(pattern).components().any(|part| part == Component::ParentDir) {
            return Err(expected(format!("`..` in {text:?}")));
        }
        let below = if pattern.ends_with('/') { format!("{pattern}**") } else { pattern.to_owned() };
        let below = if denies { fold(&below) } else { below };
        let glob = GlobBuilder::new(&below)
            .literal_separator(true)
            .case_insensitive(denies)
            .build()
            .map_err(|error| expected(format!("{text:?}: {}", error.kind())))?;
        let plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\']);
        let stem = ["/**", "/**/*", "/"].iter().find_map(|end| pattern.strip_suffix(end)).unwrap_or(pattern);
        let rooted = Some(stem).filter(|stem| stem.starts_with('/'));
        let whole = rooted.filter(|stem| plain(stem)).map(PathBuf::from);
        let within = rooted.filter(|stem| !plain(stem) && !stem.contains("**")).map(|stem| {
            let above: Vec<&str> = stem.split('/').take_while(|part| plain(part)).collect();
            let depth = stem.split('/').count() - above.len() + usize::from(stem.len() < pattern.len());
            (PathBuf::from(format!("{}/", above.join("/"))), depth)
        });
        Ok(Self { glob: glob.compile_matcher(), absolute: below.starts_with('/'), whole, within })
    }

    /// What it names from the root of the file system: as it says it, or what there is of it now. Nothing where it has a `**` before
    /// its end.
    ///
    /// # Errors
    /// There is too much to look through.
    pub(super) fn named(&self) -> Result<Vec<PathBuf>, String> {
        if let Some(whole) = &self.whole {
            return Ok(vec![whole.clone()]);
        }
        let (mut found, mut count) = (Vec::new(), 0);
        let mut ahead: Vec<(PathBuf, usize)> = self.within.iter().cloned().collect();
        while let Some((folder, depth)) = ahead.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                count += 1;
                if count > MOST {
                    return Err(format!("more than {MOST} files and folders would have to be looked at"));
                }
                let path = entry.path();
                if self.holds(&[], Some(&path), true) {
                    found.push(path);
                } else if depth > 1 && path.is_dir() {
                    ahead.push((path, depth - 1));
                }
            }
        }
        Ok(found)
    }

    /// Whether it holds for a path by one of its names. One that denies looks at no case, at the names as the most forgiving file system
    /// would see them, and at the folders above, whose contents it denies too.
    pub(super) fn holds(&self, names: &[&Path], real: Option<&Path>, denies: bool) -> bool {
        let names = names.iter().copied().filter(|_| !self.absolute).chain(real.filter(|_| self.absolute));
        for name in names {
            if !denies {
                if self.glob.is_match(name) {
                    return true;
                }
                continue;
            }
            let folded = fold_path(name);
            let above = |path: &Path| path.ancestors().any(|above| self.glob.is_match(above));
            if above(name) || above(Path::new(&folded)) {
                return true;
            }
        }
        false
    }
}

fn fold(text: &str) -> String {
    text.nfc().collect()
}

fn fold_path(path: &Path) -> String {
    let folded = path.components().map(|component| match component {
        Component::Normal(name) => fold(&protected::fold(name.to_string_lossy())),
        other => other.as_os_str().to_string_lossy().into_owned(),
    });
    let joined = folded.collect::<Vec<_>>().join("/");
    joined.strip_prefix('/').map(|rest| format!("/{}", rest.trim_start_matches('/'))).unwrap_or(joined)
}
