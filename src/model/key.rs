//! Where a key comes from. It is read when a request is made, and not kept.

use std::fmt;
use std::sync::Arc;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::fault::{Fault, Kind};

/// Looks up environment variables. An empty one counts as absent.
#[derive(Clone)]
pub(crate) struct Environment(Arc<Lookup>);

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Environment {
    /// The process's own.
    pub(crate) fn process() -> Self {
        Self(Arc::new(|name| std::env::var(name).ok()))
    }

    /// One made of these variables.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables: std::collections::HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self(Arc::new(move |name| variables.get(name).cloned()))
    }

    /// The value, as a secret.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| SecretString::from(value))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// Which variable holds a provider's key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    environment: Environment,
    variable: Option<String>,
    required: bool,
}

impl Key {
    /// A key from a variable, or none. One that is required and not there is a fault before anything is sent.
    pub(crate) fn new(environment: Environment, variable: Option<String>, required: bool) -> Self {
        Self { environment, variable, required }
    }

    /// Whether a request can be made.
    pub(crate) fn present(&self) -> bool {
        !self.required || self.variable.as_deref().is_some_and(|name| self.environment.secret(name).is_some())
    }

    /// What to look at when the key is refused.
    pub(crate) fn cure(&self) -> String {
        match &self.variable {
            Some(variable) => format!("the environment variable {variable} of the editor's process"),
            None => "api_key_env of the provider: no key was sent".to_owned(),
        }
    }

    /// The key, for one request.
    pub(crate) fn read(&self) -> Result<Option<SecretString>, Fault> {
        let Some(variable) = &self.variable else { return Ok(None) };
        match self.environment.secret(variable) {
            None if self.required => Err(Fault::new(
                Kind::NotConfigured,
                format!("the environment variable {variable} is empty; put the provider's key into it"),
            )),
            key => Ok(key),
        }
    }
}

/// The key as a header's value, marked so that nothing prints it.
pub(crate) fn header(prefix: &str, key: &SecretString) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::try_from(format!("{prefix}{}", key.expose_secret())).map_err(|_| {
        Fault::new(Kind::NotConfigured, "the key holds characters that no header can carry; set it again")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_when_needed_and_never_printed() {
        let environment = Environment::of(&[("KEY", " sk-canary \n"), ("EMPTY", "  ")]);
        let key = Key::new(environment.clone(), Some("KEY".to_owned()), true);
        let read = key.read().unwrap().unwrap();
        assert_eq!(read.expose_secret(), "sk-canary");
        assert_eq!(header("Bearer ", &read).unwrap().to_str().unwrap(), "Bearer sk-canary");
        let printed = format!("{key:?} {environment:?} {read:?} {:?}", header("", &read));
        assert!(!printed.contains("canary"), "{printed}");

        let empty = Key::new(environment, Some("EMPTY".to_owned()), true);
        assert!(!empty.present());
        assert_eq!(
            empty.read().unwrap_err().message,
            "the environment variable EMPTY is empty; put the provider's key into it"
        );
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_not_shown() {
        let fault = header("", &SecretString::from("sk-\u{1}canary")).unwrap_err();
        assert!(!format!("{fault:?}").contains("canary"));
    }
}
