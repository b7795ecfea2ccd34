//! Real edits: what changed from one version of a file to the next, cut as a model would write it.

use std::path::{Path, PathBuf};

use similar::{Algorithm, DiffOp, TextDiff, capture_diff_slices};

/// Larger files are not looked at, nor texts without line breaks (bundles).
const LARGEST: u64 = 100 * 1024;
const LONGEST_LINE: usize = 400;
/// Of one pair of versions; so that no large package is most of the corpus.
const MOST_OF_A_PAIR: usize = 120;
const KINDS: [&str; 14] =
    ["rs", "js", "mjs", "cjs", "ts", "md", "toml", "json", "css", "html", "yml", "yaml", "txt", "py"];

/// A change of one block of a file. Lines have no breaks.
pub(super) struct Edit {
    /// Where it is from: for messages.
    pub(super) from: String,
    pub(super) file: Vec<String>,
    /// The first line of the old block, from 0.
    pub(super) at: usize,
    pub(super) old: Vec<String>,
    pub(super) new: Vec<String>,
    /// Which lines of the new block are old ones: the line of the old block, or nothing for one that comes.
    pub(super) kept: Vec<Option<usize>>,
}

/// The text of lines.
pub(super) fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A file in two versions.
pub(super) struct Pair {
    pub(super) from: String,
    pub(super) old: Vec<String>,
    pub(super) new: Vec<String>,
}

impl Pair {
    pub(super) fn of(from: String, old: &str, new: &str) -> Option<Self> {
        let usable = |text: &str| {
            !text.contains('\r') && text.ends_with('\n') && text.lines().all(|line| line.len() <= LONGEST_LINE)
        };
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        (old != new && usable(old) && usable(new)).then(|| Self { from, old: lines(old), new: lines(new) })
    }

    /// The changes, with some lines around them.
    pub(super) fn groups(&self, around: usize) -> Vec<Vec<DiffOp>> {
        let (old, new): (Vec<&str>, Vec<&str>) =
            (self.old.iter().map(String::as_str).collect(), self.new.iter().map(String::as_str).collect());
        TextDiff::from_slices(&old, &new).grouped_ops(around)
    }

    /// Every change that has a place of its own, with as many lines around it as it needs for that, three at least.
    pub(super) fn edits(&self) -> Vec<Edit> {
        let file = text(&self.old);
        let mut edits = Vec::new();
        for around in [3, 6, 12] {
            for ops in self.groups(around) {
                let edit = self.edit(&ops);
                let known = edits
                    .iter()
                    .any(|known: &Edit| known.at < edit.at + edit.old.len() && edit.at < known.at + known.old.len());
                let blank = edit.old.iter().all(|line| line.trim().is_empty());
                if !known && !blank && edit.old.len() <= 80 && file.matches(&text(&edit.old)).count() == 1 {
                    edits.push(edit);
                }
            }
        }
        edits
    }

    pub(super) fn edit(&self, ops: &[DiffOp]) -> Edit {
        let (first, last) = (&ops[0], &ops[ops.len() - 1]);
        let old = first.old_range().start..last.old_range().end;
        let new = first.new_range().start..last.new_range().end;
        let mut kept = Vec::new();
        for op in capture_diff_slices(Algorithm::Myers, &self.old[old.clone()], &self.new[new.clone()]) {
            match op {
                DiffOp::Equal { .. } => kept.extend(op.old_range().map(Some)),
                _ => kept.extend(op.new_range().map(|_| None)),
            }
        }
        Edit {
            from: format!("{}:{}", self.from, old.start + 1),
            file: self.old.clone(),
            at: old.start,
            old: self.old[old].to_vec(),
            new: self.new[new].to_vec(),
            kept,
        }
    }
}

/// In how many places lines read as others, as `key` reads them.
pub(super) fn places<'a, K: PartialEq>(file: &'a [String], block: &'a [String], key: impl Fn(&'a str) -> K) -> usize {
    let file: Vec<K> = file.iter().map(|line| key(line)).collect();
    let block: Vec<K> = block.iter().map(|line| key(line)).collect();
    if block.is_empty() { 0 } else { file.windows(block.len()).filter(|window| *window == block).count() }
}

/// The files that two versions of each package have in common and that differ, from a folder of `KIND-NAME-VERSION` folders.
pub(super) fn pairs(sources: &Path, packages: &str) -> Vec<Vec<Pair>> {
    let listed: Vec<[&str; 3]> = packages
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let mut words = line.split(' ');
            std::array::from_fn(|_| words.next().expect("kind, name and version"))
        })
        .collect();
    let mut all = Vec::new();
    for versions in listed.chunk_by(|a, b| a[..2] == b[..2]) {
        for pair in versions.windows(2) {
            let folder = |[kind, name, version]: &[&str; 3]| sources.join(format!("{kind}-{name}-{version}"));
            all.push(between(&folder(&pair[0]), &folder(&pair[1]), pair[0][1]));
        }
    }
    all
}

fn between(old: &Path, new: &Path, name: &str) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for inside in files(old) {
        let read = |folder: &Path| std::fs::read_to_string(folder.join(&inside)).ok();
        let (Some(old), Some(new)) = (read(old), read(new)) else { continue };
        pairs.extend(Pair::of(format!("{name}/{}", inside.display()), &old, &new));
    }
    pairs
}

/// The paths of the files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        let entries = std::fs::read_dir(&at)
            .unwrap_or_else(|error| panic!("{}: {error}; tests/corpus/run --fetch", at.display()));
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().and_then(|end| end.to_str()).is_some_and(|end| KINDS.contains(&end))
                && entry.metadata().is_ok_and(|metadata| metadata.len() <= LARGEST)
            {
                files.push(path.strip_prefix(folder).expect("below").to_owned());
            }
        }
    }
    files.sort();
    files
}

/// Of each package's edits as many as count.
pub(super) fn capped(pairs: &[Pair]) -> Vec<Edit> {
    pairs.iter().flat_map(Pair::edits).take(MOST_OF_A_PAIR).collect()
}
