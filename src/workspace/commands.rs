//! What the commands of a run are held to, as the settings and this machine say it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::model::without_keys;
use crate::process;
use crate::settings::Settings;
use crate::tool::Commands;

/// What in a home folder opens doors elsewhere.
const KEYS: &[&str] = &[
    ".ssh",
    ".aws",
    ".azure",
    ".gnupg",
    ".kube",
    ".netrc",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".password-store",
    ".envrc",
    ".bash_history",
    ".zsh_history",
    ".docker/config.json",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".terraform.d/credentials.tfrc.json",
    ".config/cowrite",
    ".config/gh",
    ".config/git/credentials",
    ".config/gcloud",
    ".config/hub",
    ".config/op",
    ".config/rclone",
    ".config/age",
    ".config/sops",
    ".local/state/cowrite",
    ".local/share/cowrite",
    ".local/share/keyrings",
    ".mozilla",
    ".config/google-chrome",
    ".config/chromium",
    "Library/Keychains",
    ".claude/.credentials.json",
    ".codex/auth.json",
    ".config/github-copilot",
    ".config/containers/auth.json",
    ".cache/huggingface/token",
    ".vault-token",
];

/// Variables that move such things elsewhere, and what of it is meant; all, where that is empty.
const MOVED: &[(&str, &[&str])] = &[
    ("CARGO_HOME", &["credentials", "credentials.toml"]),
    ("XDG_CONFIG_HOME", &["cowrite", "gh", "git/credentials", "gcloud", "hub", "op", "rclone", "age", "sops"]),
    ("GH_CONFIG_DIR", &[]),
    ("GNUPGHOME", &[]),
    ("DOCKER_CONFIG", &["config.json"]),
    ("KUBECONFIG", &[]),
    ("AWS_SHARED_CREDENTIALS_FILE", &[]),
    ("AWS_CONFIG_FILE", &[]),
    ("CLOUDSDK_CONFIG", &[]),
    ("NPM_CONFIG_USERCONFIG", &[]),
    ("PGPASSFILE", &[]),
    ("NETRC", &[]),
];

/// Where programs of this machine listen that do as they are told.
const SOCKETS: &[&str] = &["/run/docker.sock", "/var/run/docker.sock", "/run/podman", "/run/containerd"];

/// What commands get of this process's environment, and what they do not see.
pub(super) fn commands(settings: &Settings) -> Commands {
    let all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let secrets = secrets(settings, &all);
    let home = dirs::home_dir();
    let hidden = home.iter().flat_map(|home| KEYS.iter().map(|key| home.join(key)));
    let hidden: Vec<PathBuf> = hidden.chain(moved(&all)).chain(SOCKETS.iter().map(PathBuf::from)).collect();
    Commands {
        network: settings.permissions.network,
        env: process::environment(all, &settings.permissions.env, &secrets),
        hidden,
    }
}

/// What is started outside the sandbox, each with its words.
pub(super) fn started(settings: &Settings) -> impl Iterator<Item = &[String]> {
    let hooks = &settings.hooks;
    let hooks = [
        &hooks.prompt_submit,
        &hooks.before_request,
        &hooks.before_tool,
        &hooks.after_tool,
        &hooks.turn_end,
        &hooks.cancelled,
        &hooks.before_compaction,
    ];
    let servers = settings.mcp.values().filter_map(|server| server.command.as_deref());
    hooks.into_iter().flatten().map(Vec::as_slice).chain(servers)
}

/// Keys that variables say are elsewhere than in the home folder.
fn moved(all: &[(OsString, OsString)]) -> impl Iterator<Item = PathBuf> {
    let found = MOVED.iter().filter_map(|(variable, parts)| {
        let (_, value) = all.iter().find(|(name, _)| name == variable)?;
        // KUBECONFIG may be a list.
        let places: Vec<PathBuf> = std::env::split_paths(value).filter(|place| place.is_absolute()).collect();
        let below = |place: PathBuf| match parts {
            [] => vec![place],
            parts => parts.iter().map(|part| place.join(part)).collect(),
        };
        Some(places.into_iter().flat_map(below).collect::<Vec<_>>())
    });
    found.flatten().collect::<Vec<_>>().into_iter()
}

/// What of this process's environment is nobody's secret.
pub(super) fn harmless(settings: &Settings) -> Vec<(OsString, OsString)> {
    let all: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let secrets = secrets(settings, &all);
    process::environment(all, &[], &secrets)
}

/// What of this process's environment no program may see that was not meant for it, whatever it is called.
pub(super) fn secret_values(settings: &Settings) -> Vec<String> {
    secrets(settings, &std::env::vars_os().collect::<Vec<_>>())
}

/// Values of variables that hold a key or a server's token, whatever they are called.
fn secrets(settings: &Settings, all: &[(OsString, OsString)]) -> Vec<String> {
    let named = |name: &OsStr| {
        let keys = settings.providers.values().filter_map(|provider| provider.api_key_env.as_deref());
        let own = keys.chain(settings.mcp.values().filter_map(|server| server.token_env.as_deref()));
        name.to_string_lossy().to_ascii_uppercase().ends_with("_API_KEY") || own.into_iter().any(|own| name == own)
    };
    let held = |value: &str| without_keys(value.to_owned()).is_none_or(|without| without != value);
    let values = all.iter().map(|(name, value)| (name, value.to_string_lossy()));
    let secret = values.filter(|(name, value)| !value.is_empty() && (named(name) || held(value)));
    secret.map(|(_, value)| value.into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_where_variables_say_that_they_are() {
        let all: Vec<(OsString, OsString)> = [
            ("CARGO_HOME", "/opt/cargo"),
            ("KUBECONFIG", "/k/one:/k/two"),
            ("GNUPGHOME", "relative"),
            ("PATH", "/bin"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let found: Vec<String> = moved(&all).map(|place| place.display().to_string()).collect();
        assert_eq!(found, ["/opt/cargo/credentials", "/opt/cargo/credentials.toml", "/k/one", "/k/two"]);
    }
}
