//! Names that are never touched unasked: what an editor, a shell, git or a build runs or obeys by itself.
//!
//! Names are protected, not files: a file that does not exist yet is as good to an attacker as one that does.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

/// A file or a folder of one of these names, at any depth, with all that is in it.
const NAMES: &[&str] = &[
    ".git",
    ".cowrite",
    ".vscode",
    ".idea",
    ".helix",
    ".zed",
    ".husky",
    ".devcontainer",
    ".exrc",
    ".nvim.lua",
    ".envrc",
    ".gitlab-ci.yml",
    ".npmrc",
    "agents.md",
];

/// The same for two names, one in the other.
const PAIRS: &[(&str, &str)] = &[(".github", "workflows")];

/// What NTFS calls `.git` where short names are on.
const SHORT_GIT: &str = "git~1";

/// Whether a path has a protected name anywhere in it. The whole path counts, so that a workspace folder which is
/// itself `~/.cargo` or lies below a `.git` gets no more than one that holds it.
#[must_use]
pub fn is_protected(path: &Path) -> bool {
    let mut above: Cow<'_, str> = Cow::Borrowed("");
    path.components().any(|component| {
        let Component::Normal(name) = component else { return false };
        let name = fold(name.to_string_lossy());
        let hit = is_protected_name(&above, &name);
        above = name;
        hit
    })
}

/// The protected paths at the top of a folder, as their owners spell them: what a link may stand for under another name.
pub(super) fn well_known(folder: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    let names = NAMES.iter().map(move |name| folder.join(name));
    let pairs = PAIRS.iter().map(move |(outer, inner)| folder.join(outer).join(inner));
    let others = ["AGENTS.md", ".cargo/config.toml", ".cargo/config"].into_iter().map(move |name| folder.join(name));
    names.chain(pairs).chain(others)
}

fn is_protected_name(above: &str, name: &str) -> bool {
    NAMES.contains(&name)
        || name == SHORT_GIT
        || name.ends_with(".code-workspace")
        || PAIRS.contains(&(above, name))
        || (above == ".cargo" && name.starts_with("config"))
}

/// A name as the most forgiving file system would see it: HFS+ leaves some characters out, NTFS cuts what follows a
/// colon and trailing dots and spaces, most fold case. Wrong here only means asking once too often.
pub(super) fn fold(name: Cow<'_, str>) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii() && !c.is_ascii_uppercase();
    if name.chars().all(plain) && !name.contains(':') && !name.ends_with(['.', ' ']) {
        return name;
    }
    let folded: String = name.chars().filter(|&c| !is_ignorable(c)).map(narrow).flat_map(char::to_lowercase).collect();
    let stream = folded.split(':').next().unwrap_or_default();
    Cow::Owned(stream.trim_end_matches(['.', ' ']).to_owned())
}

/// What HFS+ leaves out of names, and other characters that nobody sees.
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The ASCII character that a compatibility character stands for.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{17f}' => 's',
        '\u{131}' | '\u{130}' => 'i',
        '\u{2024}' | '\u{fe52}' => '.',
        '\u{a0}' | '\u{3000}' => ' ',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_names_are_found_at_any_depth_and_in_any_spelling() {
        let protected = [
            ".git",
            ".git/config",
            "a/b/.git/hooks/pre-commit",
            ".GIT/config",
            ".Git",
            ".git.",
            ".git ",
            ".git. .",
            ".git::$INDEX_ALLOCATION",
            ".git:x",
            "GIT~1/config",
            ".g\u{200c}it/config",
            "\u{feff}.git",
            ".ｇｉｔ",
            ".gıt/config",
            ".cowrite/config.toml",
            ".vscode/settings.json",
            ".VSCODE",
            ".v\u{17f}code/tasks.json",
            ".idea/x",
            ".helix/languages.toml",
            ".zed/settings.json",
            ".exrc",
            "sub/.exrc",
            ".nvim.lua",
            ".NVIM.lua",
            "x.code-workspace",
            "a/B.Code-Workspace",
            ".code-workspace",
            ".envrc",
            "deep/er/.envrc",
            ".github/workflows",
            ".github/workflows/ci.yml",
            ".GitHub/WorkFlows/x",
            "sub/.github/workflows/x.yml",
            ".gitlab-ci.yml",
            ".hu\u{17f}ky/pre-commit",
            ".hus\u{212a}y",
            ".husky",
            ".devcontainer/devcontainer.json",
            ".npmrc",
            "pkg/.npmrc",
            ".cargo/config",
            ".cargo/config.toml",
            ".cargo/CONFIG.toml",
            "x/.cargo/config.d",
            "AGENTS.md",
            "agents.md",
            "docs/Agents.MD",
            "AGENTS.md/x",
        ];
        for path in protected {
            assert!(is_protected(Path::new(path)), "{path} must be protected");
        }
    }

    #[test]
    fn names_that_only_look_alike_are_free() {
        let free = [
            "src/lib.rs",
            ".gitignore",
            ".gitattributes",
            ".github/dependabot.yml",
            "workflows/ci.yml",
            ".cargo/audit.toml",
            "cargo/config.toml",
            "config.toml",
            "git",
            "vscode/settings.json",
            "AGENTS.txt",
            "MY_AGENTS.md",
            "a.code-workspace.md",
            ".env",
            "npmrc",
            ".github",
            ".cargo",
            "x/workflows/.github",
        ];
        for path in free {
            assert!(!is_protected(Path::new(path)), "{path} must be free");
        }
    }
}
