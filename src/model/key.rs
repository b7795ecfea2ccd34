//! Where a key comes from. It is read when a request is made; what a program printed is kept for some minutes.

pub(crate) mod aws;
mod child;
mod command;
mod environment;
mod kept;
mod keyring;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::FutureExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::fault::{Fault, Kind};
use super::redact;
use child::{Inherited, Whose};
pub(crate) use environment::Environment;
use kept::{Given, Kept};

/// How a provider's key is got. Copies keep what a program printed together.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    environment: Environment,
    source: Source,
    /// Variables that hold the keys of other providers.
    others: Vec<String>,
    kept: Arc<Kept>,
}

/// Where from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// No key is sent.
    Nothing,
    /// The first of these variables that is set. Where one is needed and none is set, and where there is none to look at: the
    /// keyring's entry for `table`.
    Variables {
        /// The variables.
        names: Vec<String>,
        /// Whether no request goes out without a key.
        required: bool,
        /// The provider's table in the settings.
        table: String,
    },
    /// What this program prints.
    Command(Vec<String>),
    /// Where AWS's own tools look.
    Aws {
        /// The profile that the settings name.
        profile: Option<String>,
    },
}

impl Key {
    /// A key from there.
    pub(crate) fn new(environment: Environment, source: Source) -> Self {
        Self { environment, source, others: Vec::new(), kept: Arc::default() }
    }

    /// The same, with variables that hold the keys of other providers: a program that is asked for this one does not see them.
    pub(crate) fn hiding(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.others.extend(names);
        self
    }

    /// Asks anew when it is read next: what a program printed was refused.
    pub(crate) fn forget(&self) {
        self.kept.forget();
    }

    /// The variable that the key is in, where it is in one.
    pub(crate) fn variable(&self) -> Option<&str> {
        self.names().iter().map(String::as_str).find(|name| self.environment.value(name).is_some())
    }

    fn names(&self) -> &[String] {
        match &self.source {
            Source::Variables { names, .. } => names,
            Source::Nothing | Source::Command(_) | Source::Aws { .. } => &[],
        }
    }

    /// Whether a key is to be expected without a look into the keyring.
    pub(crate) fn at_hand(&self) -> bool {
        match &self.source {
            Source::Nothing | Source::Command(_) => true,
            Source::Variables { required, .. } => !required || self.variable().is_some(),
            Source::Aws { profile } => aws::missing(&self.environment, profile.as_deref()).is_none(),
        }
    }

    /// What keeps a request from being made, as far as it can be seen beforehand.
    pub(crate) async fn missing(&self) -> Option<String> {
        match &self.source {
            Source::Variables { .. } if !self.at_hand() => self.read().await.err().map(|fault| fault.message),
            Source::Aws { profile } => {
                let (environment, profile) = (self.environment.clone(), profile.clone());
                let missing = move || aws::missing(&environment, profile.as_deref());
                tokio::task::spawn_blocking(missing).await.ok().flatten()
            }
            Source::Variables { .. } | Source::Nothing | Source::Command(_) => None,
        }
    }

    /// What is to be done for a key that is not at hand.
    pub(crate) fn needed(&self) -> String {
        match &self.source {
            Source::Variables { names, table, .. } => empty(names, table),
            Source::Aws { profile } => aws::missing(&self.environment, profile.as_deref()).unwrap_or_default(),
            Source::Nothing | Source::Command(_) => String::new(),
        }
    }

    /// Where the key comes from.
    pub(crate) fn origin(&self) -> String {
        match &self.source {
            Source::Nothing => "none is sent".to_owned(),
            Source::Command(_) => self.cure(),
            Source::Aws { profile } => aws::origin(&self.environment, profile.as_deref()),
            Source::Variables { required, .. } => match self.variable() {
                Some(name) => format!("the environment variable {name}"),
                None if *required => self.cure(),
                None => "none is sent".to_owned(),
            },
        }
    }

    /// What to look at when the key is refused.
    pub(crate) fn cure(&self) -> String {
        match &self.source {
            Source::Nothing => "api_key_env of the provider: no key was sent".to_owned(),
            Source::Command(words) => {
                format!("what api_key_command prints ({})", words.first().map_or("nothing", String::as_str))
            }
            Source::Aws { .. } => "the AWS credentials, their permission for Bedrock, and the region".to_owned(),
            Source::Variables { names, required, table } => {
                let variable = |name: &str| format!("the environment variable {name} of the editor's process");
                if let Some(name) = self.variable() {
                    return variable(name);
                }
                let entry = keyring::entry(table).map(|entry| format!("the keyring's entry for it ({entry})"));
                match (names.first(), entry) {
                    (Some(_), Some(entry)) if *required => entry,
                    (Some(name), _) => variable(name),
                    (None, Some(entry)) => format!("api_key_env or api_key_command of the provider, or {entry}"),
                    (None, None) => "api_key_env or api_key_command of the provider".to_owned(),
                }
            }
        }
    }

    /// What proves who asks, for one request. A variable and a file are read each time; what a program printed is kept for some
    /// minutes, until it ends, or until it is forgotten.
    ///
    /// # Errors
    /// A sentence that says where the key should be.
    pub(crate) async fn read(&self) -> Result<Arc<Credential>, Fault> {
        let credential = self.found().await?;
        redact::remember(&credential);
        Ok(credential)
    }

    async fn found(&self) -> Result<Arc<Credential>, Fault> {
        match &self.source {
            Source::Nothing => Ok(Arc::new(Credential::None)),
            Source::Aws { profile } => {
                aws::read(&self.environment, profile.as_deref(), &self.kept, self.inherited(Whose::Aws)).await
            }
            Source::Command(words) => {
                let whose = words.first().map_or(Whose::Anothers, |program| Whose::of(program));
                let ask = command::output(words, self.inherited(whose));
                self.kept.get(ask.map(|key| Ok((Credential::Key(key.map_err(not_there)?), None)))).await
            }
            Source::Variables { names, required, table } => {
                match names.iter().find_map(|name| self.environment.secret(name)) {
                    Some(key) => Ok(Arc::new(Credential::Key(key))),
                    // It is expected without one, and has a variable for those who want one.
                    None if !required && !names.is_empty() => Ok(Arc::new(Credential::None)),
                    None => self.kept.get(self.in_keyring(names, *required, table)).await,
                }
            }
        }
    }

    async fn in_keyring(&self, names: &[String], required: bool, table: &str) -> Result<Given, Fault> {
        match self.environment.in_keyring(table, self.inherited(Whose::Anothers)).await {
            Ok(Some(key)) => Ok((Credential::Key(key), None)),
            // Where it may go without one, a keyring that does not work is no reason to stop.
            Ok(None) | Err(_) if !required => Ok((Credential::None, None)),
            Ok(None) => Err(not_there(empty(names, table))),
            Err(problem) => Err(not_there(format!("{}; the keyring gave none: {problem}", empty(names, table)))),
        }
    }

    /// What a program sees that is asked for the key.
    fn inherited(&self, whose: Whose) -> Inherited {
        self.environment.inherited(&[self.names(), &self.others].concat(), whose)
    }
}

fn not_there(why: String) -> Fault {
    Fault::new(Kind::NotConfigured, why)
}

/// That no key is there, and where it can be put.
fn empty(names: &[String], table: &str) -> String {
    let (there, set) = match names {
        [] => ("no key is there".to_owned(), "name a variable in api_key_env"),
        [one] => (format!("the environment variable {one} is not set"), "set it where the editor starts from"),
        several => (
            format!("the environment variables {} are not set", several.join(" and ")),
            "set one where the editor starts from",
        ),
    };
    match keyring::entry(table) {
        Some(entry) => {
            format!("{there}; {set}, name a program in api_key_command, or keep the key in the keyring ({entry})")
        }
        None => format!("{there}; {set}, or name a program in api_key_command"),
    }
}

/// What a request proves itself with.
#[derive(Debug)]
pub(crate) enum Credential {
    /// Nothing: a server on this machine.
    None,
    /// A key, or a token.
    Key(SecretString),
    /// What requests to AWS are signed with.
    Aws {
        /// Which key it is.
        access_key_id: SecretString,
        /// The key itself.
        secret: SecretString,
        /// The token of a session, where the key lives no longer than one.
        session_token: Option<SecretString>,
    },
}

impl Credential {
    /// The key, where it is one.
    pub(crate) fn key(&self) -> Option<&SecretString> {
        match self {
            Self::Key(key) => Some(key),
            Self::None | Self::Aws { .. } => None,
        }
    }

    /// What tells one account from another: the key itself, for a digest. The keys of AWS do not: they change with each
    /// session.
    pub(crate) fn account(&self) -> Option<&str> {
        self.key().map(ExposeSecret::expose_secret)
    }

    /// Everything in it that nobody may see.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        let (key, aws, token) = match self {
            Self::None => (None, None, None),
            Self::Key(key) => (Some(key), None, None),
            Self::Aws { access_key_id, secret, session_token } => {
                (Some(secret), Some(access_key_id), session_token.as_ref())
            }
        };
        [key, aws, token].into_iter().flatten()
    }
}

/// The header of a bearer token.
pub(crate) fn bearer(credential: &Credential) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    if let Some(key) = credential.key() {
        headers.insert(AUTHORIZATION, header("Bearer ", key)?);
    }
    Ok(headers)
}

/// The key as a header's value, marked so that nothing prints it.
pub(crate) fn header(prefix: &str, key: &SecretString) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::try_from(format!("{prefix}{}", key.expose_secret())).map_err(|_| {
        Fault::new(Kind::NotConfigured, "the key holds characters that no header can carry; set it again")
    })?;
    value.set_sensitive(true);
    Ok(value)
}
