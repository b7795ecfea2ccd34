//! What is protected for what it is used for, whatever it is called: programs that the settings start outside the sandbox, and the
//! folders that a `.git` file names.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Roots;
use super::way::follow;
use crate::permission::{is_protected, real_path};

/// More of a `.git` file is not read.
const LONGEST: u64 = 8 * 1024;

impl Roots {
    /// The same, with what these programs (words, the first of which is started) are made of in the folders, when they are started in
    /// `from`: files that are read by everybody, and changed by nobody unasked.
    #[must_use]
    pub fn with_programs<'a>(self, programs: impl IntoIterator<Item = &'a [String]>, from: &Path) -> Self {
        let path: Vec<PathBuf> =
            std::env::var_os("PATH").iter().flat_map(std::env::split_paths).map(|folder| from.join(folder)).collect();
        let mut started = Vec::new();
        for words in programs {
            for (number, word) in words.iter().enumerate() {
                // A script of one word may name files as well, and so may an option.
                let pieces = word.split(|c: char| c.is_whitespace() || "'\"`;|&()<>=$,".contains(c));
                for piece in std::iter::once(word.as_str()).chain(pieces).filter(|piece| !piece.is_empty()) {
                    let place = from.join(piece);
                    // What is named by its place is not made there unasked either.
                    let named = piece == word && piece.contains('/');
                    if place.is_file() || named && place.symlink_metadata().is_err() {
                        started.extend(self.leading(&place));
                    }
                }
                if number == 0 && !word.contains('/') {
                    started.extend(path.iter().flat_map(|folder| self.leading(&folder.join(word))));
                }
            }
        }
        started.sort();
        started.dedup();
        Self { started: started.into(), ..self }
    }

    /// The paths in the folders by which a file is found: its own, and those of links on the way there.
    fn leading(&self, path: &Path) -> Vec<PathBuf> {
        let Ok(way) = follow(path) else { return Vec::new() };
        let links = way.called.iter().flat_map(|called| called.ancestors().map(Path::to_path_buf));
        let links = links.filter(|path| path.is_symlink()).collect::<Vec<_>>();
        let all = links.into_iter().chain(way.called).chain([way.end]);
        all.filter(|path| self.is_below(path) && !is_protected(path)).collect()
    }

    fn is_below(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| path.starts_with(folder) && path != folder)
    }

    /// Whether a program that the settings start outside the sandbox is made of this.
    #[must_use]
    pub fn starts(&self, path: &Path) -> bool {
        self.started.binary_search_by(|one| one.as_path().cmp(path)).is_ok()
    }

    /// The same, with the folders that the `.git` files name which lie in the folders or in a folder of theirs.
    #[must_use]
    pub fn with_git_folders(self) -> Self {
        let below = |folder: &PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders = self.folders.iter().cloned().chain(self.folders.iter().flat_map(below));
        let named: Vec<PathBuf> = folders.flat_map(|folder| named_by(&folder.join(".git"))).collect();
        self.with_git(named)
    }

    /// The same, with these, as far as they lie in the folders.
    #[must_use]
    pub fn with_git(self, named: Vec<PathBuf>) -> Self {
        let holds = |path: &PathBuf| self.folders.iter().any(|folder| folder.starts_with(path));
        let mut git: Vec<PathBuf> =
            named.into_iter().filter(|path| self.is_below(path) && !is_protected(path) && !holds(path)).collect();
        git.extend(self.git.iter().cloned());
        git.sort();
        git.dedup();
        Self { git: git.into(), ..self }
    }

    /// Folders of git in the folders, by whatever name, as far as they are known.
    #[must_use]
    pub fn git(&self) -> &[PathBuf] {
        &self.git
    }

    /// Whether a path is protected for what it is used for, and not for its name.
    #[must_use]
    pub fn is_used(&self, path: &Path) -> bool {
        self.starts(path) || self.git.iter().any(|git| git == path)
    }

    pub(super) fn is_of_git(&self, path: &Path) -> bool {
        self.git.iter().any(|git| path.starts_with(git))
    }
}

/// Where git keeps what belongs to a `.git` file, if it is one: the folder that it names, and the one that that shares with others.
#[must_use]
pub fn named_by(git: &Path) -> Vec<PathBuf> {
    if !git.is_file() {
        return Vec::new();
    }
    let text = |path: &Path| {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        read.ok().map(|_| text.trim_end_matches(['\r', '\n']).to_owned())
    };
    let Some(named) = text(git).and_then(|text| Some(text.strip_prefix("gitdir:")?.trim_start().to_owned())) else {
        return Vec::new();
    };
    let folder = real_path(&git.parent().unwrap_or(Path::new("/")).join(named));
    let common = text(&folder.join("commondir")).map(|common| real_path(&folder.join(common)));
    std::iter::once(folder).chain(common).collect()
}
