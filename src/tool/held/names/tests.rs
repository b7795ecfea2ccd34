//! Both sides of a command, with what it may have done between them.

use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::super::sweep::Swept;
use super::*;

struct World {
    _folder: TempDir,
    ws: PathBuf,
    state: PathBuf,
    roots: Roots,
}

fn world(files: &[&str]) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let top = folder.path().canonicalize().expect("real");
    let (ws, state) = (top.join("ws"), top.join("state"));
    fs::create_dir(&ws).expect("a folder");
    fs::create_dir(&state).expect("a folder");
    let roots = Roots::new(std::slice::from_ref(&ws)).with_own(std::slice::from_ref(&state));
    let world = World { _folder: folder, ws, state, roots };
    files.iter().for_each(|file| world.make(file));
    world
}

impl World {
    fn make(&self, file: &str) {
        let path = self.ws.join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, file).expect("a file");
    }

    fn link(&self, path: &str, target: &str) {
        symlink(target, self.ws.join(path)).expect("a link");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.ws.join(from), self.ws.join(to)).expect("moved");
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.ws.join(path), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    fn is(&self, path: &str) -> bool {
        self.ws.join(path).symlink_metadata().is_ok()
    }

    fn names(&self) -> Names {
        Names::found(&self.roots).expect("it can be looked at")
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.ws).expect("inside").display().to_string()
    }

    fn taken(&self, swept: &Swept) -> Vec<String> {
        assert!(swept.left.is_empty(), "{swept:?}");
        swept.taken.iter().map(|taken| self.relative(&taken.from)).collect()
    }

    fn swept(&self, before: Names) -> Vec<String> {
        self.taken(&before.swept(&self.roots))
    }
}

/// Runs a test again as a user who is held to modes, when it runs as root. Whether it has to go on here.
fn as_user(name: &str) -> bool {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    let own = std::env::current_exe().expect("a test");
    // The program may lie where only root gets in.
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let copy = folder.path().join("test");
    fs::copy(own, &copy).expect("a copy");
    let module = module_path!().split_once("::").expect("a module").1;
    let mut command = std::process::Command::new(copy);
    command.args(["--exact", &format!("{module}::{name}"), "--nocapture"]).current_dir("/").env("TMPDIR", "/tmp");
    let done = command.uid(65534).gid(65534).output().expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[test]
fn protected_names_are_found_at_any_depth() {
    let world = world(&[
        ".git/config",
        ".git/secret.pem",
        "a/b/.envrc",
        "a/.cargo/config.toml",
        ".github/workflows/ci.yml",
        ".github/x.yml",
        "a/AGENTS.md",
        "src/lib.rs",
        ".npmrc",
        ".devcontainer/.npmrc",
    ]);
    let roots = world.roots.clone().with_rules(std::sync::Arc::new(crate::permission::Rules::new(
        &[],
        &["read(**/secret.pem)".into(), "read(/cowrite-notes/**)".into(), "read(/cowrite/*.key)".into()],
    )));
    let names = Names::found(&roots).expect("it can be looked at");
    let found: Vec<String> = names.protected.keys().map(|path| world.relative(path)).collect();
    assert_eq!(
        found,
        [".devcontainer", ".git", ".github/workflows", ".npmrc", "a/.cargo/config.toml", "a/AGENTS.md", "a/b/.envrc"]
    );
    let mut hidden: Vec<String> =
        names.hidden.iter().map(|path| path.strip_prefix(&world.ws).unwrap_or(path).display().to_string()).collect();
    hidden.sort();
    assert_eq!(hidden, [".devcontainer/.npmrc", ".git/secret.pem", ".npmrc", "/cowrite-notes", "a/b/.envrc"]);
}

#[test]
fn what_a_deny_rule_names_by_a_pattern_elsewhere_is_hidden() {
    let world = world(&["a.rs"]);
    let keys = world.ws.with_file_name("keys");
    for file in ["one/secret.pem", "one/other", "two/Secret.PEM", "two/deep/secret.pem", "three.key"] {
        let file = keys.join(file);
        fs::create_dir_all(file.parent().expect("a parent")).expect("folders");
        fs::write(file, "canary").expect("a file");
    }
    let hidden = |rules: &[&str]| {
        let rules: Vec<String> = rules.iter().map(|rule| format!("read({}/{rule})", keys.display())).collect();
        let rules = std::sync::Arc::new(crate::permission::Rules::new(&[], &rules));
        let names = Names::found(&world.roots.clone().with_rules(rules)).expect("it can be looked at");
        let mut hidden: Vec<String> =
            names.hidden.iter().map(|path| path.strip_prefix(&keys).expect("in it").display().to_string()).collect();
        hidden.sort();
        hidden
    };
    assert_eq!(hidden(&["*/secret.pem"]), ["one/secret.pem", "two/Secret.PEM"]);
    assert_eq!(hidden(&["{one,two/deep}/secret.pem"]), ["one/secret.pem", "two/deep/secret.pem"]);
    assert_eq!(hidden(&["t*/**", "*.key"]), ["three.key", "two/Secret.PEM", "two/deep"]);
    assert_eq!(hidden(&["one/**/secret.pem"]), [""; 0], "that it is not hidden is documented");
}

#[test]
fn a3_08_names_that_were_made_are_taken_out_and_the_rest_stays() {
    let world = world(&["sub/AGENTS.md", "a.rs"]);
    let before = world.names();
    for file in [".envrc", ".vscode/tasks.json", "deep/er/AGENTS.md", ".GitHub/Workflows/x.yml", "b.rs"] {
        world.make(file);
    }
    world.rename("sub", "moved");
    assert_eq!(world.swept(before), [".GitHub/Workflows", ".envrc", ".vscode", "deep/er/AGENTS.md"]);
    let left: Vec<String> = world.names().protected.keys().map(|path| world.relative(path)).collect();
    assert_eq!(left, ["moved/AGENTS.md"]);
    assert!(world.is("b.rs") && world.is("deep/er"));
}

#[test]
fn a3_08_what_is_not_writable_is_taken_out_too() {
    if !as_user("a3_08_what_is_not_writable_is_taken_out_too") {
        return;
    }
    // The state may lie on another file system.
    let other = tempfile::tempdir_in("/dev/shm").ok();
    for state in [None, other.as_ref()] {
        let mut world = world(&["sub/a.rs"]);
        if let Some(state) = state {
            world.roots = world.roots.with_own(&[state.path().to_owned()]);
        }
        let before = world.names();
        world.make(".vscode/tasks.json");
        world.make("sub/.vscode/tasks.json");
        world.make("zed/AGENTS.md");
        for folder in [".vscode", "sub/.vscode", "sub", "zed"] {
            world.mode(folder, 0o555);
        }
        assert_eq!(world.swept(before), [".vscode", "sub/.vscode", "zed/AGENTS.md"]);
        assert!(!world.is(".vscode") && !world.is("sub/.vscode") && !world.is("zed/AGENTS.md"));
    }
}

#[test]
fn a3_08_what_cannot_be_looked_at_runs_nothing_and_is_opened_afterwards() {
    if !as_user("a3_08_what_cannot_be_looked_at_runs_nothing_and_is_opened_afterwards") {
        return;
    }
    for mode in [0o311, 0o000, 0o444] {
        let world = world(&["sub/a.rs", "a.rs"]);
        let before = world.names();
        world.make("sub/.vscode/tasks.json");
        world.make("sub/deep/AGENTS.md");
        world.mode("sub/deep", mode);
        world.mode("sub", mode);
        let why = Names::found(&world.roots).expect_err("it cannot be looked at");
        assert!(why.contains("sub cannot be looked at") && why.contains("chmod u+rwx"), "{why}");
        assert_eq!(world.swept(before), ["sub/.vscode", "sub/deep/AGENTS.md"], "{mode:o}");
        // The workspace itself as well.
        let before = world.names();
        world.make(".envrc");
        world.mode(".", mode);
        assert!(Names::found(&world.roots).is_err(), "{mode:o}");
        assert_eq!(world.swept(before), [".envrc"], "{mode:o}");
    }
}

#[test]
fn a3_08_links_and_moves_bring_no_configuration_in() {
    let world = world(&["fixtures/.cargo/config.toml", "gh/workflows/ci.yml", "proj/.cargo/config.toml"]);
    world.link(".github", "gh");
    let before = world.names();
    let found: Vec<String> = before.protected.keys().map(|path| world.relative(path)).collect();
    assert_eq!(found, [".github", "fixtures/.cargo/config.toml", "proj/.cargo/config.toml"]);
    world.make("c/config.toml");
    world.link("sub", "c");
    fs::create_dir(world.ws.join("deep")).expect("a folder");
    world.link("deep/.cargo", "../c");
    world.rename("fixtures/.cargo", ".cargo");
    world.rename("proj", "project");
    assert_eq!(world.swept(before), [".cargo/config.toml", "deep/.cargo"]);
    assert!(world.is("project/.cargo/config.toml") && world.is("sub"));
}

#[test]
fn a3_08_a_folder_that_takes_the_place_of_another_brings_nothing_in() {
    let world = world(&["src/lib.rs", "src/AGENTS.md", "vendor/odd/.cargo/config.toml", "vendor/odd/in/AGENTS.md"]);
    let before = world.names();
    world.rename("src", "old");
    world.rename("vendor/odd", "src");
    assert_eq!(world.swept(before), ["src/.cargo/config.toml", "src/in/AGENTS.md"]);
    assert!(world.is("old/AGENTS.md"), "what the person had there went with its folder");
    // Once it is there it is what the person has.
    let before = world.names();
    assert!(world.swept(before).is_empty());
}

#[test]
fn a_protected_link_that_was_replaced_is_put_back_and_what_is_kept_takes_its_place() {
    let world = world(&["conf/tasks.json"]);
    world.link(".vscode", "conf");
    let before = world.names();
    fs::remove_file(world.ws.join(".vscode")).expect("gone");
    world.make(".vscode/tasks.json");
    let swept = before.swept(&world.roots);
    assert_eq!(world.taken(&swept), [".vscode"]);
    assert_eq!(world.ws.join(".vscode").read_link().expect("a link"), Path::new("conf"));
    swept.taken.into_iter().for_each(|taken| taken.put_back().expect("back"));
    assert_eq!(fs::read_to_string(world.ws.join(".vscode/tasks.json")).expect("a file"), ".vscode/tasks.json");
    assert!(!world.ws.join(".vscode").is_symlink());
}

#[test]
fn a3_08_what_a_protected_link_leads_to_is_held() {
    let world = world(&["conf/vscode/tasks.json", "sub/target"]);
    world.link(".envrc", "local/env");
    world.link(".vscode", "conf/vscode");
    world.link("sub/.exrc", "target");
    let before = world.names();
    world.make("local/env");
    world.rename("conf", "x");
    world.make("conf/vscode/tasks.json");
    world.rename("sub", "moved");
    let swept = before.swept(&world.roots);
    assert_eq!(world.taken(&swept), ["conf/vscode", "local/env"]);
    assert!(!world.is("local/env") && !world.is("conf/vscode") && world.is("x/vscode/tasks.json"));
    assert!(world.is("moved/.exrc") && world.is(".envrc") && world.is(".vscode"));
    swept.taken.into_iter().for_each(|taken| taken.put_back().expect("back"));
    assert_eq!(fs::read_to_string(world.ws.join(".envrc")).expect("a file"), "local/env");
}

#[test]
fn what_is_taken_out_is_never_lost_and_goes_back_where_it_was() {
    let world = world(&[]);
    let before = world.names();
    world.make(".vscode/tasks.json");
    let swept = before.swept(&world.roots);
    assert!(!world.is(".vscode") && swept.kept.starts_with(world.state.join("taken-out")));
    assert_eq!(swept.kept.metadata().expect("a folder").permissions().mode() & 0o777, 0o700);
    let kept = swept.taken[0].at.join("tasks.json");
    let Swept { taken, .. } = swept;
    assert!(kept.exists());
    taken.into_iter().for_each(|taken| taken.put_back().expect("back"));
    assert_eq!(fs::read_to_string(world.ws.join(".vscode/tasks.json")).expect("a file"), ".vscode/tasks.json");
}

#[test]
fn what_the_person_saved_anew_with_the_same_in_it_stays() {
    let world = world(&["AGENTS.md", "a/AGENTS.md"]);
    let before = world.names();
    for (file, text) in [("AGENTS.md", "AGENTS.md"), ("a/AGENTS.md", "evil")] {
        fs::write(world.ws.join("draft"), text).expect("a file");
        world.rename("draft", file);
    }
    assert_eq!(world.swept(before), ["a/AGENTS.md"]);
    assert!(world.is("AGENTS.md"));
}

#[test]
fn a3_08_however_much_a_command_makes_it_is_looked_through() {
    let world = world(&["a.rs", "b.rs"]);
    assert!(Names::look(&world.roots, Shut::Leave, 1).is_none());
    assert!(Names::look(&world.roots, Shut::Leave, 2).is_some());
}

#[test]
fn a3_08_what_programs_are_made_of_is_kept_from_commands_and_seen_by_them() {
    let mut world = world(&["hooks/check.sh", "hooks/other", "x"]);
    world.link("tools", "hooks");
    let words = ["tools/check.sh".to_owned()];
    world.roots = world.roots.clone().with_programs([words.as_slice()], &world.ws);
    let before = world.names();
    let held: Vec<String> = before.protected.keys().map(|path| world.relative(path)).collect();
    assert_eq!(held, ["hooks/check.sh", "tools"]);
    assert_eq!(before.hidden, Vec::<PathBuf>::new());
    // The file itself is bound; what is above it is not.
    world.rename("hooks", "old");
    world.make("hooks/check.sh");
    fs::write(world.ws.join("hooks/check.sh"), "evil").expect("a file");
    world.rename("tools", "was");
    world.make("tools/check.sh");
    assert_eq!(world.swept(before), ["hooks/check.sh", "tools"]);
    assert!(world.is("tools") && !world.is("hooks/check.sh"));
}

#[test]
fn a3_08_what_a_git_file_names_is_kept_from_commands() {
    let world = world(&[".bare/config", "deep/er/x", "a/b/c/.git"]);
    fs::write(world.ws.join("a/b/c/.git"), "gitdir: ../../../.bare").expect("a file");
    let before = world.names();
    let held: Vec<String> = before.protected.keys().map(|path| world.relative(path)).collect();
    assert_eq!(held, [".bare", "a/b/c/.git"]);
    assert_eq!(world.swept(before), Vec::<String>::new());
    let before = world.names();
    // A file that a command makes takes nothing with it.
    fs::write(world.ws.join("deep/.git"), "gitdir: er").expect("a file");
    world.rename(".bare", "old");
    world.make(".bare/config");
    assert_eq!(world.swept(before), [".bare", "deep/.git"]);
    assert!(world.is("deep/er/x"));
}

#[test]
fn a3_08_a_folder_that_is_turned_into_a_link_meanwhile_leads_nothing_anywhere() {
    let world = world(&["sub/x"]);
    let elsewhere = world.ws.parent().expect("a folder").join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    let turn = || {
        fs::rename(world.ws.join("sub"), world.ws.join("was")).expect("moved");
        symlink(&elsewhere, world.ws.join("sub")).expect("a link");
    };
    let before = world.names();
    world.make("sub/AGENTS.md");
    let mut swept = before.swept(&world.roots);
    assert_eq!(world.taken(&swept), ["sub/AGENTS.md"]);
    // Another command does so while the question stands.
    turn();
    let taken = swept.taken.pop().expect("one");
    let at = taken.at.clone();
    let why = taken.put_back().expect_err("it goes nowhere");
    assert!(why.contains("sub/AGENTS.md"), "{why}");
    assert!(!elsewhere.join("AGENTS.md").exists() && at.exists());
    // What is to be taken out, opened or linked is not what lies behind a link either.
    fs::write(elsewhere.join("AGENTS.md"), "theirs").expect("a file");
    assert!(At::of(&world.ws.join("sub/AGENTS.md")).is_err());
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o500)).expect("a mode");
    At::of(&world.ws.join("sub")).expect("it is there").opened().expect("nothing to do");
    assert_eq!(elsewhere.metadata().expect("there").permissions().mode() & 0o777, 0o500);
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700)).expect("a mode");
}

#[test]
fn a_folder_of_which_nothing_may_be_read_is_hidden_as_one() {
    let world =
        world(&["secrets/a/1", "secrets/2", "keys/x.key", "keys/y.key", "vault/x", "some/.env", "some/in", "b/.envrc"]);
    let hidden = |deny: &[&str]| {
        let deny: Vec<String> = deny.iter().map(|&rule| rule.into()).collect();
        let roots = world.roots.clone().with_rules(std::sync::Arc::new(crate::permission::Rules::new(&[], &deny)));
        let names = Names::found(&roots).expect("it can be looked at");
        let mut hidden: Vec<String> = names.hidden.iter().map(|path| world.relative(path)).collect();
        hidden.sort();
        hidden.join(" ")
    };
    assert_eq!(hidden(&["read(secrets/**)", "read(vault)"]), "b/.envrc secrets vault");
    assert_eq!(hidden(&["read(**/*.key)", "read(**/.env)"]), "b/.envrc keys/x.key keys/y.key some/.env");
    assert_eq!(hidden(&["read(**)"]), "b keys secrets some vault", "never the workspace itself");
}
