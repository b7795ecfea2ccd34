//! The environment of programs that are started for a model: made from nothing.

use std::ffi::{OsStr, OsString};

/// What is passed on as it is.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "CARGO_HOME",
    "GOPATH",
    "GOROOT",
    "JAVA_HOME",
    "NVM_DIR",
    "PYENV_ROOT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PKG_CONFIG_PATH",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_PATH",
    "NIX_PROFILES",
    "SYSTEMROOT",
];

/// What a variable that holds a secret has in its name.
const SECRET: &[&str] = &["KEY", "SECRET", "TOKEN", "PASS", "AUTH", "CRED"];

/// Shorter values are no secrets, and stand in many others.
const SHORTEST: usize = 8;

/// What is always set: no terminal, no pager, no editor, nobody to ask.
const SET: &[(&str, &str)] = &[
    ("TERM", "dumb"),
    ("PAGER", "cat"),
    ("EDITOR", "true"),
    ("VISUAL", "true"),
    ("GIT_PAGER", "cat"),
    ("GIT_EDITOR", "true"),
    ("GIT_SEQUENCE_EDITOR", "true"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
];

/// What git is told over whatever a repository's own configuration says, so that the commonest ways in are shut. A configuration can
/// name more programs, in ways that cannot be shut (`diff.external`, `filter.*`, `diff.*.textconv`, `merge.*.driver`): those run, held like
/// any command where there is a sandbox.
const GIT: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.pager", "cat"),
    ("core.sshCommand", "ssh"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("gpg.program", "gpg"),
];

/// The environment of a program: a short list of names out of `all`, and those that the person `allowed` by name. No name that says
/// that it is a secret passes, and no value that holds one of `secrets`, unless it is allowed.
#[must_use]
pub fn environment(
    all: impl IntoIterator<Item = (OsString, OsString)>,
    allowed: &[String],
    secrets: &[String],
) -> Vec<(OsString, OsString)> {
    let is_allowed = |name: &OsStr| allowed.iter().any(|allowed| name == allowed.as_str());
    let mut env: Vec<(OsString, OsString)> = all
        .into_iter()
        .filter(|(name, value)| is_allowed(name) || passes(name) && !is_secret(name, value, secrets))
        .collect();
    // What the person allows by name they may also have set otherwise.
    let set = SET.iter().filter(|(name, _)| !is_allowed(OsStr::new(name)));
    let set: Vec<(OsString, OsString)> = set.map(|(name, value)| (name.into(), value.into())).collect();
    env.retain(|(name, _)| set.iter().all(|(other, _)| name != other));
    env.extend(set);
    env.retain(|(name, _)| !name.to_string_lossy().starts_with("GIT_CONFIG_KEY_"));
    for (number, (key, value)) in GIT.iter().enumerate() {
        env.push((format!("GIT_CONFIG_KEY_{number}").into(), key.into()));
        env.push((format!("GIT_CONFIG_VALUE_{number}").into(), value.into()));
    }
    env.push(("GIT_CONFIG_COUNT".into(), GIT.len().to_string().into()));
    env
}

fn passes(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| PASSED.contains(&name) || name.starts_with("LC_"))
}

fn is_secret(name: &OsStr, value: &OsStr, secrets: &[String]) -> bool {
    let (name, value) = (name.to_string_lossy().to_ascii_uppercase(), value.to_string_lossy());
    SECRET.iter().any(|word| name.contains(word))
        || secrets.iter().any(|secret| {
            let secret = secret.trim();
            value.trim() == secret && !secret.is_empty() || secret.len() >= SHORTEST && value.contains(secret)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(all: &[(&str, &str)], allowed: &[&str], secrets: &[&str]) -> Vec<String> {
        let all = all.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let strings = |strings: &[&str]| strings.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        environment(all, &strings(allowed), &strings(secrets))
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
            .filter(|pair| {
                !pair.contains("GIT_") && !SET.iter().any(|(name, value)| *pair == format!("{name}={value}"))
            })
            .collect()
    }

    #[test]
    fn a3_18_only_a_short_list_passes_and_no_secret_in_it() {
        let all = [
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
            ("LC_TOKEN", "x"),
            ("TERM", "xterm"),
            ("OPENAI_API_KEY", "sk-canary"),
            ("SSH_AUTH_SOCK", "/run/ssh"),
            ("LD_PRELOAD", "/evil.so"),
            ("BASH_ENV", "/evil"),
            ("GIT_SSH_COMMAND", "evil"),
            ("GIT_CONFIG_KEY_0", "core.pager"),
            ("JAVA_HOME", "canary-value"),
            ("GOPATH", "/a:canary-value"),
            ("LANG", "k"),
            ("MINE", "m"),
        ];
        assert_eq!(made(&all, &[], &["canary-value", "k"]), ["PATH=/bin", "LC_ALL=C"]);
        let named = made(&all, &["OPENAI_API_KEY", "JAVA_HOME", "MINE"], &["canary-value"]);
        assert_eq!(
            named,
            ["PATH=/bin", "LC_ALL=C", "OPENAI_API_KEY=sk-canary", "JAVA_HOME=canary-value", "LANG=k", "MINE=m"]
        );
        assert!(!made(&all, &[], &[]).contains(&"TERM=xterm".to_owned()));
    }

    #[test]
    fn a3_17_git_is_told_what_to_run_over_what_a_repository_says() {
        let env = environment([], &[], &[]);
        let value = |name: &str| env.iter().find(|(own, _)| own == name).map(|(_, value)| value.to_string_lossy());
        assert_eq!(value("GIT_CONFIG_COUNT").as_deref(), Some("7"));
        assert_eq!(value("GIT_CONFIG_KEY_1").as_deref(), Some("core.hooksPath"));
        assert_eq!(value("GIT_CONFIG_VALUE_1").as_deref(), Some("/dev/null"));
        assert_eq!(value("GIT_CONFIG_NOSYSTEM").as_deref(), Some("1"));
    }

    /// Where a repository's own configuration names programs, git itself runs none of those that it is told otherwise.
    #[test]
    fn a3_17_a_repository_brings_no_program_of_its_own_for_what_can_be_said_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("ran");
        let git = |env: &[(OsString, OsString)], args: &[&str]| {
            let mut git = std::process::Command::new("git");
            git.args(args).current_dir(folder.path()).env_clear().envs(env.iter().cloned());
            git.output().expect("git")
        };
        let env = environment(std::env::vars_os(), &[], &[]);
        assert!(git(&env, &["init", "-q", "."]).status.success());
        std::fs::write(folder.path().join("a"), "one\n").expect("a file");
        assert!(git(&env, &["add", "a"]).status.success());
        std::fs::write(folder.path().join("a"), "two\n").expect("a file");
        let program = format!("touch {}; false", mark.display());
        for key in ["core.sshCommand", "core.fsmonitor"] {
            assert!(git(&env, &["config", key, &program]).status.success());
        }
        let plain = [("PATH".into(), std::env::var_os("PATH").unwrap_or_default())];
        git(&plain, &["ls-remote", "ssh://127.0.0.1:1/x"]);
        assert!(mark.exists(), "it would have run");
        std::fs::remove_file(&mark).expect("removed");
        let diff = git(&env, &["diff"]);
        assert!(String::from_utf8_lossy(&diff.stdout).contains("+two"), "{diff:?}");
        git(&env, &["ls-remote", "ssh://127.0.0.1:1/x"]);
        assert!(!mark.exists(), "a program of the repository ran");
    }
}
