//! A program that prints a key, such as `pass show anthropic`.

use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;

use super::child::{self, Failure, Inherited, LOOK};

/// What the program of `api_key_command` prints, without the white space around it.
///
/// # Errors
/// A sentence that names the program. Nothing that it printed is in it.
pub(super) async fn output(words: &[String], inherited: Inherited) -> Result<SecretString, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("api_key_command names no program; write the program and its arguments".to_owned());
    };
    let says = |what: &str, cure: &str| format!("api_key_command ({program}) {what}; {cure}");
    let should = "it should print the key and end";
    let mut command = Command::new(program);
    command.args(arguments);
    let printed = child::run(command, inherited).await.and_then(child::Ended::well);
    let printed = printed.map_err(|failure| {
        let cure = if matches!(failure, Failure::TooMuch) { should } else { LOOK };
        says(&failure.to_string(), cure)
    })?;
    match printed.expose_secret().trim() {
        "" => Err(says("printed nothing", should)),
        key => Ok(SecretString::from(key)),
    }
}
