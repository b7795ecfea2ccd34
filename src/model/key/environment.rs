//! Where keys are looked up: the environment's variables, and the platform's keyring.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use secrecy::SecretString;

use super::child::{Inherited, Whose};
use super::keyring;

/// Looks up environment variables, and keys in the platform's keyring. An empty variable counts as absent.
#[derive(Clone)]
pub(crate) struct Environment {
    variables: Arc<Lookup>,
    all: Arc<All>,
    keyring: Arc<Ring>,
}

type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;
type All = dyn Fn() -> Vec<(OsString, OsString)> + Send + Sync;
type Ring = dyn Fn(String, Inherited) -> BoxFuture<'static, Result<Option<SecretString>, String>> + Send + Sync;

impl Environment {
    /// The process's own.
    pub(crate) fn process() -> Self {
        Self {
            variables: Arc::new(|name| std::env::var(name).ok()),
            all: Arc::new(|| std::env::vars_os().collect()),
            keyring: Arc::new(|table, inherited| keyring::find(table, inherited).boxed()),
        }
    }

    /// One made of these variables, without a keyring. Programs inherit the process's own besides.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables: std::collections::HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let known = variables.clone();
        let all = move || {
            let own =
                std::env::vars_os().filter(|(name, _)| name.to_str().is_none_or(|name| !known.contains_key(name)));
            own.chain(known.iter().map(|(name, value)| (name.into(), value.into()))).collect()
        };
        Self {
            variables: Arc::new(move |name| variables.get(name).cloned()),
            all: Arc::new(all),
            keyring: Arc::new(|_, _| std::future::ready(Ok(None)).boxed()),
        }
    }

    /// The same with a keyring.
    #[cfg(test)]
    pub(crate) fn with_keyring(
        self,
        keyring: impl Fn(&str) -> Result<Option<SecretString>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { keyring: Arc::new(move |table, _| std::future::ready(keyring(&table)).boxed()), ..self }
    }

    /// The value of a variable.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let value = (self.variables)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The value, as a secret.
    pub(crate) fn secret(&self, name: &str) -> Option<SecretString> {
        self.value(name).map(SecretString::from)
    }

    /// What a program sees of it that is started for a key: no key, neither what the variables of these names hold.
    pub(super) fn inherited(&self, names: &[String], whose: Whose) -> Inherited {
        let keys: Vec<String> = names.iter().filter_map(|name| self.value(name)).collect();
        Inherited::new((self.all)(), names, &keys, whose)
    }

    /// The keyring's entry for a provider's table.
    pub(super) async fn in_keyring(&self, table: &str, inherited: Inherited) -> Result<Option<SecretString>, String> {
        (self.keyring)(table.to_owned(), inherited).await
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}
