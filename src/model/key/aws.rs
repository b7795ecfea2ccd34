//! What requests to AWS are signed with, found where AWS's own tools find it:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>.
//!
//! In this order: a token for Bedrock alone, a profile that the settings name, the keys in the environment, the profile that
//! the environment names, the profile `default`. A profile holds keys, or a program that prints some, or it signs in (through
//! single sign-on, or by taking a role): AWS's command line does that. It does it too for the role of a container, where there is
//! nothing else.

mod process;
mod profile;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures::TryFutureExt;
use tracing::subscriber::NoSubscriber;

use super::child::Inherited;
use super::kept::Kept;
use super::{Credential, Environment};
use crate::model::fault::{Fault, Kind};
use process::Program;
use profile::Profile;

/// The token or the keys, for one request: out of `kept`, where a program would have to be asked.
///
/// # Errors
/// What is missing, or why a program gave none.
pub(super) async fn read(
    environment: &Environment,
    profile: Option<&str>,
    kept: &Kept,
    inherited: Inherited,
) -> Result<Arc<Credential>, Fault> {
    let fault = |message| Fault::new(Kind::NotConfigured, message);
    let (environment, profile) = (environment.clone(), profile.map(str::to_owned));
    // Files are read, and a home may lie on another machine.
    let found = tokio::task::spawn_blocking(move || find(&environment, profile.as_deref())).await;
    match found.map_err(|_| fault("the AWS profiles could not be read".to_owned()))?.map_err(fault)? {
        Found::Here(credential) => Ok(Arc::new(credential)),
        Found::Asked(program) => kept.get(program.run(inherited).map_err(fault)).await,
    }
}

/// The region that the environment or the profile names.
pub(crate) fn region(environment: &Environment, profile: Option<&str>) -> Option<String> {
    let named = ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| environment.value(name));
    named.or_else(|| Profile::load(environment, profile).ok()?.get("region").map(str::to_owned))
}

/// What keeps a request from being signed, as far as it can be seen. No program is asked yet.
pub(crate) fn missing(environment: &Environment, profile: Option<&str>) -> Option<String> {
    find(environment, profile).err().map(|error| format!("it needs credentials: {error}"))
}

/// Where the credentials are looked for.
pub(crate) fn origin(environment: &Environment, profile: Option<&str>) -> String {
    let set = |name: &str| environment.value(name).is_some();
    if set("AWS_BEARER_TOKEN_BEDROCK") {
        return "the environment variable AWS_BEARER_TOKEN_BEDROCK".to_owned();
    }
    if profile.is_none() && (set("AWS_ACCESS_KEY_ID") || set("AWS_SECRET_ACCESS_KEY")) {
        return "the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned();
    }
    let named = profile.map(str::to_owned).or_else(|| environment.value("AWS_PROFILE"));
    format!("the AWS profile {}", named.as_deref().unwrap_or("default"))
}

/// Runs a part that must leave no trace in the log, whatever level it is set to.
pub(crate) fn unlogged<T>(part: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(NoSubscriber::default(), part)
}

/// What tells a container, or a pod, that it may take a role.
const ROLES: [&str; 3] =
    ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"];

/// Where the credentials are.
enum Found {
    Here(Credential),
    /// A program has to be asked.
    Asked(Box<Program>),
}

fn find(environment: &Environment, profile: Option<&str>) -> Result<Found, String> {
    if let Some(token) = environment.secret("AWS_BEARER_TOKEN_BEDROCK") {
        return Ok(Found::Here(Credential::Key(token)));
    }
    if profile.is_none() {
        let (id, secret) = (environment.secret("AWS_ACCESS_KEY_ID"), environment.secret("AWS_SECRET_ACCESS_KEY"));
        match (id, secret) {
            (Some(access_key_id), Some(secret)) => {
                let session_token = environment.secret("AWS_SESSION_TOKEN");
                return Ok(Found::Here(Credential::Aws { access_key_id, secret, session_token }));
            }
            (Some(_), None) => return Err("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both".into()),
            (None, Some(_)) => return Err("AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not; set both".into()),
            (None, None) => {}
        }
    }
    let role = ROLES.into_iter().find(|name| environment.value(name).is_some());
    Profile::load(environment, profile)?.found(role)
}
