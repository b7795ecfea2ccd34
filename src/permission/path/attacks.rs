//! Paths that want out, by kind and by spelling.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::permission::Grant;

/// Where attacks lead: outside the workspace, or to what is protected in it.
const TARGETS: &[&str] = &[
    "../out/secret",
    "../ws-evil/x",
    "../new",
    "..",
    "../../..",
    "../WS/../out/secret",
    "@/out/secret",
    "@/ws-evil/x",
    "@/ws/../out/secret",
    "@/wsx",
    "@",
    "/",
    "/etc/passwd",
    "/proc/self/environ",
    "/proc/self/root@/out/secret",
    "/proc/self/cwd/../out",
    "/dev/null",
    "/dev/fd/0",
    "link/secret",
    "link/new",
    "link",
    "file",
    "missing",
    "chain/secret",
    "up/out/secret",
    "absolute/passwd",
    "src/link/secret",
    "src/deep/../../../out/secret",
    ".git/config",
    ".git",
    ".Git/HOOKS/x",
    ".g\u{200c}it/config",
    "\u{ff0e}git/config",
    ".gi\u{74}\u{200d}/config",
    ".git./config",
    ".git /config",
    ".git::$DATA",
    "GIT~1/config",
    "src/.git/config",
    ".vscode/settings.json",
    ".VSCODE/new",
    "x.code-workspace",
    "deep/x.CODE-WORKSPACE",
    ".envrc",
    ".husky/pre-commit",
    ".hus\u{212a}y/x",
    ".github/workflows/ci.yml",
    ".GitHub/Workflows/ci.yml",
    ".cowrite/config.toml",
    ".cargo/config.toml",
    "AGENTS.md",
    "agents.MD",
    "harmless/config",
    "harmless-file",
    "editor/settings.json",
    "@/state/x",
    "@/state",
];

/// How a target is spelled.
const SPELLINGS: &[&str] =
    &["#", "./#", "src/../#", ".//#", "nowhere/../#", "#/", "#/.", "file:#", "file://#", "file://localhost#", "FILE:%"];

fn world() -> (tempfile::TempDir, PathBuf, Roots) {
    let keep = tempfile::tempdir().expect("a folder");
    let top = keep.path().canonicalize().expect("a real path");
    for folder in ["ws/src/deep", "ws/.git/hooks", "ws/conf", "ws-evil", "out", "state"] {
        fs::create_dir_all(top.join(folder)).expect("a folder");
    }
    for file in ["ws/src/lib.rs", "ws/.git/config", "ws-evil/x", "out/secret", "state/x", "wsx"] {
        fs::write(top.join(file), "x").expect("a file");
    }
    for (link, target) in [
        ("ws/link", "../out"),
        ("ws/file", "../out/secret"),
        ("ws/missing", "../out/new"),
        ("ws/chain", "src/link"),
        ("ws/src/link", "../../out"),
        ("ws/up", ".."),
        ("ws/absolute", "/etc"),
        ("ws/harmless", ".git"),
        ("ws/harmless-file", ".git/config"),
        ("ws/.vscode", "conf"),
        ("ws/editor", ".vscode"),
    ] {
        symlink(target, top.join(link)).expect("a link");
    }
    let roots = Roots::new(&[top.join("ws")]).with_own(&[top.join("state")]);
    (keep, top, roots)
}

/// Every target in every spelling that it has.
fn attacks(top: &Path) -> BTreeSet<String> {
    let mut attacks = BTreeSet::new();
    for target in TARGETS {
        let target = target.replace('@', top.to_str().expect("UTF-8"));
        for spelling in SPELLINGS {
            let relative = !target.starts_with('/');
            let uri = spelling.to_ascii_lowercase().starts_with("file:");
            let absolute = if relative { format!("{}/ws/{target}", top.display()) } else { target.clone() };
            // In URIs each character may be spelled as a number.
            let encoded = || {
                absolute
                    .bytes()
                    .map(|byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02x}") })
                    .collect::<String>()
            };
            attacks.insert(match (uri, spelling.starts_with('#')) {
                (true, _) if spelling.contains('%') => spelling.replace('%', &encoded()),
                (true, _) => {
                    spelling.replace('#', &absolute.replace('%', "%25").replace('#', "%23").replace('?', "%3f"))
                }
                (false, true) => spelling.replace('#', &target),
                (false, false) if relative => spelling.replace('#', &target),
                (false, false) => continue,
            });
        }
    }
    for more in [
        "file:///etc%2fpasswd",
        "file:///ws%2f..%2fout",
        "file://evil.example/etc/passwd",
        "file:////etc/passwd/%00",
        "file:///%2e%2e/etc/passwd",
        "a\0b",
        "\0",
        "",
        "file:",
        "file://",
        "http://x/../etc/passwd",
        "vscode-remote://x/etc/passwd",
        "untitled:x/../../etc/passwd://",
    ] {
        attacks.insert(more.to_owned());
    }
    attacks
}

#[test]
fn a3_01_to_05_no_spelling_of_a_path_leads_out_or_to_what_is_protected() {
    let (_keep, top, roots) = world();
    let attacks = attacks(&top);
    assert!(attacks.len() >= 300, "{}", attacks.len());
    let mut escapes = Vec::new();
    for given in &attacks {
        for access in [Access::Read, Access::Write] {
            if let Ok(place) = roots.resolve(given, access) {
                escapes.push(format!("{given:?} is {place:?}"));
            }
        }
        if let Ok(look) = roots.look(given)
            && !look.outside
            && !look.protected
        {
            escapes.push(format!("{given:?} looks free: {look:?}"));
        }
        if roots
            .found(&top.join("ws").join(given))
            .is_some_and(|place| !place.path().is_some_and(|path| path.starts_with(top.join("ws"))))
        {
            escapes.push(format!("{given:?} is found"));
        }
    }
    assert!(escapes.is_empty(), "{} escape: {escapes:#?}", escapes.len());
}

#[test]
fn a3_01_to_05_a_yes_for_one_place_is_a_yes_for_no_other() {
    let (_keep, top, roots) = world();
    // One spelling of each place is enough here.
    let looks: BTreeMap<PathBuf, (String, Look)> = attacks(&top)
        .into_iter()
        .filter_map(|given| Some((given.clone(), roots.look(&given).ok()?)))
        .map(|(given, look)| (look.real(), (given, look)))
        .collect();
    for (given, look) in looks.values() {
        let granted = Grant { paths: vec![(look.real(), Access::Read)], hosts: Vec::new() };
        let roots = roots.clone().with_grant(granted);
        assert!(roots.resolve(given, Access::Read).is_ok(), "{given:?} was allowed");
        assert!(roots.resolve(given, Access::Write).is_err(), "{given:?} was allowed to be read");
        for (other, elsewhere) in looks.values() {
            let let_through = roots.resolve(other, Access::Read).is_ok();
            assert!(!let_through || elsewhere.real().starts_with(look.real()), "{given:?} lets {other:?} through");
        }
    }
}

#[test]
fn a3_05_names_of_other_systems_are_plain_names_inside_or_protected() {
    let (_keep, top, roots) = world();
    for given in [
        "C:\\Windows\\x",
        "\\\\server\\share",
        "\\\\?\\C:\\x",
        "CON",
        "a:stream",
        "..\\..\\etc\\passwd",
        "C:/x",
        "PROGRA~1/x",
    ] {
        let place = roots.resolve(given, Access::Write).expect("a name like another");
        assert!(place.path().is_some_and(|path| path.starts_with(top.join("ws"))), "{given}");
    }
    for given in [".git:stream", "GIT~1", ".git\\x::$DATA".split('\\').next().expect("a part"), "x.code-workspace:x"] {
        assert!(matches!(roots.resolve(given, Access::Write), Err(Denied::Protected(_))), "{given}");
    }
}
