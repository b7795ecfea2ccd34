//! The platform's keyring, asked through the platform's own tool: whoever has put a key there has it. A library for the Secret
//! Service alone would bring more code than all wires together. Windows has a keyring, and no tool that shows what is in it.

use secrecy::SecretString;

use super::child::Inherited;

/// The entry in which the key of a provider's table is kept, as a person calls it. None where there is no keyring.
pub(super) fn entry(table: &str) -> Option<String> {
    cfg!(not(windows)).then(|| format!("service {SERVICE}, user {table}"))
}

/// The service under which keys are kept; the user is the provider's table in the settings.
const SERVICE: &str = "cowrite";

/// The key that is kept for a provider; none where there is no keyring, as on a machine without a desktop.
///
/// # Errors
/// What the keyring's tool came to.
#[cfg(not(windows))]
pub(super) async fn find(table: String, inherited: Inherited) -> Result<Option<SecretString>, String> {
    use super::child::{self, Failure, LOOK};
    use secrecy::ExposeSecret;

    let words = lookup(&table);
    let mut command = tokio::process::Command::new(words[0]);
    command.args(&words[1..]);
    let says = |failure: Failure| format!("{} {failure}; {LOOK}", words.join(" "));
    let ended = match child::run(command, inherited).await {
        Ok(ended) => ended,
        Err(Failure::NotStarted(_)) => return Ok(None),
        Err(failure) => return Err(says(failure)),
    };
    // That there is no such entry, one tool says without a word, and the other with a number of its own.
    match (ended.status.code(), ended.complained) {
        (Some(1), false) | (Some(44), _) => Ok(None),
        _ => {
            let printed = ended.well().map_err(says)?;
            let key = printed.expose_secret().trim();
            Ok((!key.is_empty()).then(|| SecretString::from(key)))
        }
    }
}

/// None: nothing is asked.
///
/// # Errors
/// None.
#[cfg(windows)]
pub(super) async fn find(_table: String, _inherited: Inherited) -> Result<Option<SecretString>, String> {
    Ok(None)
}

/// `secret-tool store --label Cowrite service cowrite username TABLE` puts a key there.
#[cfg(not(any(target_os = "macos", windows)))]
fn lookup(table: &str) -> [&str; 6] {
    ["secret-tool", "lookup", "service", SERVICE, "username", table]
}

/// `security add-generic-password -s cowrite -a TABLE -w` puts a key there.
#[cfg(target_os = "macos")]
fn lookup(table: &str) -> [&str; 7] {
    ["security", "find-generic-password", "-s", SERVICE, "-a", table, "-w"]
}
