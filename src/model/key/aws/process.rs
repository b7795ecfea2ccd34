//! Programs that print credentials: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>.

use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::process::Command;

use crate::model::key::Credential;
use crate::model::key::child::{self, Inherited, LOOK};
use crate::model::key::kept::Given;

/// A program that prints credentials. What it is called with may hold secrets, and what it prints does: neither is shown.
pub(super) struct Program {
    command: Command,
    /// What a person calls it.
    what: String,
    /// What a person does when it fails.
    cure: String,
}

/// What is printed.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

impl Printed {
    fn usable(&self) -> bool {
        self.version == 1 && !self.access_key_id.is_empty() && !self.secret_access_key.is_empty()
    }
}

impl Program {
    /// The `credential_process` of a profile.
    pub(super) fn shell(line: &str, profile: &str) -> Self {
        #[cfg(windows)]
        let command = {
            let mut command = Command::new("cmd");
            // The outer quotes are taken off by cmd; those of the line itself stay.
            command.arg("/C").raw_arg(format!("\"{line}\""));
            command
        };
        #[cfg(not(windows))]
        let command = {
            let mut command = Command::new("sh");
            command.args(["-c", line]);
            command
        };
        let what = format!("the credential_process of the AWS profile {profile}");
        Self { command, what, cure: LOOK.to_owned() }
    }

    /// AWS's command line, which signs in for a profile.
    pub(super) fn sign_in(profile: &str) -> Self {
        let mut command = Command::new("aws");
        command.args(["configure", "export-credentials", "--profile", profile, "--format", "process"]);
        let what = format!("aws configure export-credentials --profile {profile}");
        let cure = format!(
            "the AWS profile {profile} signs in, which AWS's command line does (version 2 of it): run aws sso login \
             --profile {profile} where single sign-on is used"
        );
        Self { command, what, cure }
    }

    /// AWS's command line, which takes the role that a variable offers.
    pub(super) fn role(variable: &str) -> Self {
        let mut command = Command::new("aws");
        command.args(["configure", "export-credentials", "--format", "process"]);
        let cure = format!(
            "{variable} offers a role, which AWS's command line takes: install version 2 of it where the editor runs, \
             or {LOOK}"
        );
        Self { command, what: "aws configure export-credentials".to_owned(), cure }
    }

    /// Runs it.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub(super) async fn run(self, inherited: Inherited) -> Result<Given, String> {
        let Self { command, what, cure } = self;
        let printed = child::run(command, inherited).await.and_then(child::Ended::well);
        let printed = printed.map_err(|failure| format!("{what} {failure}; {cure}"))?;
        // The reader's own words might quote what was printed.
        let printed = serde_json::from_str::<Printed>(printed.expose_secret()).ok().filter(Printed::usable);
        let Some(printed) = printed else {
            return Err(format!(
                "{what} printed no credentials (JSON with Version 1, AccessKeyId and SecretAccessKey); {cure}"
            ));
        };
        let ends = printed.expiration.as_deref().and_then(time);
        if ends.is_some_and(|ends| ends <= SystemTime::now()) {
            return Err(format!("{what} printed credentials that have expired; {cure}"));
        }
        let Printed { access_key_id, secret_access_key, session_token, .. } = printed;
        let session_token = session_token.filter(|token| !token.is_empty()).map(SecretString::from);
        let (access_key_id, secret) = (access_key_id.into(), secret_access_key.into());
        Ok((Credential::Aws { access_key_id, secret, session_token }, ends))
    }

    #[cfg(test)]
    pub(super) fn line(&self) -> String {
        let command = self.command.as_std();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

fn time(text: &str) -> Option<SystemTime> {
    SystemTime::try_from(DateTime::from_str(text, Format::DateTimeWithOffset).ok()?).ok()
}
