//! The profiles of AWS's two files: <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>. The reading of the
//! format is `aws-runtime`'s.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::section::{self, EnvConfigSections};
use aws_runtime::env_config::source;
use aws_types::os_shim_internal::{Env, Fs};
use futures::FutureExt;
use secrecy::SecretString;

use super::process::Program;
use super::{Found, unlogged};
use crate::model::fault;
use crate::model::key::{Credential, Environment};

/// What makes a profile one that signs in.
const SIGNS_IN: &[&str] =
    &["role_arn", "web_identity_token_file", "sso_session", "sso_start_url", "sso_account_id", "login_session"];

/// One profile.
pub(super) struct Profile {
    name: String,
    /// What the files say of it, where they do.
    section: Option<section::Profile>,
    /// Whether somebody named it.
    named: bool,
    /// Where it was looked for.
    files: [Place; 2],
}

/// Where one of the two files is.
struct Place {
    /// What a person calls it.
    shown: PathBuf,
    /// What is read. Without a home there is no usual place: a folder called `~` in the working directory, which may be a
    /// stranger's repository, is none.
    path: Option<PathBuf>,
}

impl Profile {
    /// The profile of this name, else the one that the environment names, else `default`.
    pub(super) fn load(environment: &Environment, name: Option<&str>) -> Result<Self, String> {
        let named = name.map(str::to_owned).or_else(|| environment.value("AWS_PROFILE"));
        let (named, name) = (named.is_some(), named.unwrap_or_else(|| "default".to_owned()));
        let files = [
            Place::of(environment, "AWS_CONFIG_FILE", ".aws/config"),
            Place::of(environment, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
        ];
        let section = unlogged(|| sections(&files))?.get_profile(&name).cloned();
        Ok(Self { name, section, named, files })
    }

    /// What the profile says, where that is more than nothing.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let value = self.section.as_ref()?.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// Where its credentials are. `role` is the variable that offers a role to whoever has nothing else.
    pub(super) fn found(&self, role: Option<&str>) -> Result<Found, String> {
        let Self { name, named, files: [config, credentials], .. } = self;
        let (config, credentials) = (config.shown.display(), credentials.shown.display());
        if self.section.is_none() && *named {
            return Err(format!("the AWS profile {name} is neither in {config} nor in {credentials}"));
        }
        if SIGNS_IN.iter().any(|key| self.get(key).is_some()) {
            return Ok(Found::Asked(Program::sign_in(name).into()));
        }
        let secret = |key: &str| self.get(key).map(SecretString::from);
        match (secret("aws_access_key_id"), secret("aws_secret_access_key")) {
            (Some(access_key_id), Some(secret_key)) => {
                let session_token = secret("aws_session_token");
                return Ok(Found::Here(Credential::Aws { access_key_id, secret: secret_key, session_token }));
            }
            (None, None) => {}
            _ => {
                return Err(format!(
                    "the AWS profile {name} needs both aws_access_key_id and aws_secret_access_key, and has one of them"
                ));
            }
        }
        if let Some(command) = self.get("credential_process") {
            return Ok(Found::Asked(Program::shell(command, name).into()));
        }
        if *named {
            return Err(format!(
                "the AWS profile {name} holds none; it needs aws_access_key_id and aws_secret_access_key, \
                 credential_process, sso_session or role_arn, in {config} or {credentials}"
            ));
        }
        if let Some(variable) = role {
            return Ok(Found::Asked(Program::role(variable).into()));
        }
        Err(format!(
            "set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE where the \
             editor starts from; the profile default holds none either, in {config} and {credentials}"
        ))
    }
}

/// All that the two files say. One that is not there says nothing.
fn sections(files: &[Place; 2]) -> Result<EnvConfigSections, String> {
    let kinds = [EnvConfigFileKind::Config, EnvConfigFileKind::Credentials];
    let (mut wanted, mut contents) = (EnvConfigFiles::builder(), std::collections::HashMap::new());
    for (place, kind) in files.iter().zip(kinds) {
        let Some(path) = &place.path else { continue };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                contents.insert(path.clone().into_os_string(), text.into_bytes());
                wanted = wanted.with_file(kind, path);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        }
    }
    if contents.is_empty() {
        return Ok(EnvConfigSections::default());
    }
    // It has what it reads already, so there is nothing to wait for.
    let source = source::load(&Env::from_slice(&[]), &Fs::from_raw_map(contents), &wanted.build()).now_or_never();
    let source = source.ok_or("the AWS profiles cannot be read at once")?.map_err(|error| error.to_string())?;
    EnvConfigSections::parse(source).map_err(|error| fault::plain(&error.to_string()))
}

impl Place {
    /// The file that a variable names, else its usual place.
    fn of(environment: &Environment, variable: &str, usual: &str) -> Self {
        let home = ["HOME", "USERPROFILE"].iter().find_map(|name| environment.value(name)).map(PathBuf::from);
        let home = home.filter(|home| home.is_absolute());
        let below = |path: &str| Self {
            shown: home.as_deref().unwrap_or(Path::new("~")).join(path),
            path: home.as_deref().map(|home| home.join(path)),
        };
        match environment.value(variable) {
            Some(path) => match path.strip_prefix("~/") {
                Some(path) => below(path),
                None => Self { shown: PathBuf::from(&path), path: Some(PathBuf::from(path)) },
            },
            None => below(usual),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> [Option<PathBuf>; 2] {
        let files = Profile::load(&Environment::of(variables), None).unwrap().files;
        files.map(|place| place.path)
    }

    /// The working directory is a repository that anybody may have written.
    #[test]
    fn nothing_is_read_below_the_working_directory_when_there_is_no_home() {
        let hostile: &[&[(&str, &str)]] = &[
            &[],
            &[("HOME", " ")],
            &[("HOME", "~")],
            &[("HOME", "src")],
            &[("USERPROFILE", "src")],
            &[("AWS_CONFIG_FILE", "~/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/credentials")],
        ];
        for variables in hostile {
            assert_eq!(read(variables), [None, None], "{variables:?}");
        }
        let said = Profile::load(&Environment::of(&[]), None).unwrap().found(None).err().unwrap();
        assert!(said.ends_with("in ~/.aws/config and ~/.aws/credentials"), "{said}");
    }
}
