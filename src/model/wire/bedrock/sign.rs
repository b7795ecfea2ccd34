//! AWS Signature Version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>. The arithmetic is `aws-sigv4`'s.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::model::fault::{Fault, Kind, with_causes};
use crate::model::key::aws::unlogged;

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'a> {
    pub(super) access_key_id: &'a SecretString,
    pub(super) secret: &'a SecretString,
    pub(super) session_token: Option<&'a SecretString>,
}

/// What is signed. The host is taken from the address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// As it is sent, with everything encoded that has to be.
    pub(super) url: &'a str,
    /// Those that nobody changes on the way.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// What the signature is good for.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) now: SystemTime,
    /// How the service wants it; the default is for all of them but storage: the path is normalised and encoded once more.
    pub(super) settings: SigningSettings,
}

/// The headers that prove who asks: the date, the signature, and the token of a session.
///
/// # Errors
/// An address or a credential that no header can carry.
pub(super) fn sign(signer: Signer<'_>, signed: Signed<'_>, scope: Scope<'_>) -> Result<HeaderMap, Fault> {
    // Tracing of its own would show the key's id and the whole request.
    unlogged(|| headers(signer, signed, scope))
}

fn headers(signer: Signer<'_>, signed: Signed<'_>, scope: Scope<'_>) -> Result<HeaderMap, Fault> {
    let unsigned = |what: String| Fault::new(Kind::NotConfigured, format!("the request cannot be signed: {what}"));
    let token = signer.session_token.map(|token| token.expose_secret().to_owned());
    let (id, secret) = (signer.access_key_id.expose_secret(), signer.secret.expose_secret());
    if token.as_deref().is_some_and(|token| HeaderValue::from_str(token).is_err()) {
        return Err(unsigned("the session token holds characters that no header can carry".to_owned()));
    }
    let identity = Credentials::new(id, secret, token, None, "cowrite").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.now)
        .settings(scope.settings)
        .build()
        .map_err(|error| unsigned(with_causes(&error)))?
        .into();
    let Signed { method, url, headers, body } = signed;
    let request = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body))
        .map_err(|error| unsigned(with_causes(&error)))?;
    let signing = http_request::sign(request, &params).map_err(|error| unsigned(with_causes(&error)))?;
    let mut all = HeaderMap::new();
    for (name, value) in signing.output().headers() {
        let carry = |_| unsigned(format!("{name} holds characters that no header can carry"));
        let name = HeaderName::try_from(name).map_err(|error| unsigned(with_causes(&error)))?;
        let mut value = HeaderValue::from_str(value).map_err(carry)?;
        value.set_sensitive(true);
        all.insert(name, value);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
