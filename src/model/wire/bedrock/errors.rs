//! What Bedrock reports: in place of an answer, or in the midst of one.

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use crate::model::fault::{self, Fault, Kind};

/// What the provider says. It spells the names in more than one way.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(rename = "__type", alias = "code")]
    kind: Option<String>,
    #[serde(alias = "Message", alias = "errorMessage")]
    message: Option<String>,
    /// What the model itself said, behind the service.
    #[serde(rename = "originalMessage")]
    original: Option<String>,
    #[serde(rename = "originalStatusCode")]
    status: Option<u16>,
}

/// The fault that an HTTP status with its headers and its body stands for.
pub(super) fn of_response(status: u16, headers: &HeaderMap, body: &str) -> Fault {
    let Ok(said) = serde_json::from_str::<Said>(body) else { return fault::from_response(status, headers, body) };
    let named = headers.get("x-amzn-errortype").and_then(|name| name.to_str().ok());
    let name = named.or(said.kind.as_deref()).unwrap_or_default().to_owned();
    let fault = of(&name, Some(status), said);
    // The rest (how long to wait, whether to try again) is in the headers, wherever the words are.
    let rest = fault::from_response(status, headers, "{}");
    Fault { status: Some(status), retry_after: rest.retry_after, should_retry: rest.should_retry, ..fault }
}

/// The fault that an exception in the midst of a stream stands for.
pub(super) fn of_exception(name: &str, body: &str) -> Fault {
    of(name, None, serde_json::from_str(body).unwrap_or_default())
}

fn of(name: &str, status: Option<u16>, said: Said) -> Fault {
    let name = plain(name);
    let status = status.or_else(|| status_of(&name));
    let message = said.original.filter(|text| !text.is_empty()).or(said.message).filter(|text| !text.trim().is_empty());
    let message = message.unwrap_or_else(|| if name.is_empty() { String::new() } else { name.clone() });
    let fault = fault::from_body(status, &json!({"message": message}));
    let daily = fault.message.to_lowercase().contains("per day");
    let kind = match name.as_str() {
        // What is gone for today does not come back within a minute.
        "throttling" | "toomanyrequests" | "servicequotaexceeded" if daily => Kind::Quota,
        "throttling" | "toomanyrequests" | "servicequotaexceeded" => Kind::RateLimited,
        "modelnotready" | "internalserver" | "internalfailure" | "serviceunavailable" | "modeltimeout" => {
            Kind::Unavailable
        }
        "modelerror" | "modelstreamerror" => match (fault.kind, said.status) {
            (Kind::Overflow(limit), _) => Kind::Overflow(limit),
            (_, Some(429)) => Kind::RateLimited,
            (_, Some(400..500)) => Kind::Rejected,
            // The model had trouble, not the request.
            _ => Kind::Unavailable,
        },
        "accessdenied"
        | "unrecognizedclient"
        | "expiredtoken"
        | "invalidsignature"
        | "incompletesignature"
        | "missingauthenticationtoken"
        | "invalidclienttokenid"
        | "unauthorized" => Kind::Authentication,
        _ => fault.kind,
    };
    Fault { kind, ..fault }
}

/// An error's name without what stands around it: `com.amazon.coral#ThrottlingException:http://…` is `throttling`.
fn plain(name: &str) -> String {
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim().to_lowercase();
    name.strip_suffix("exception").unwrap_or(&name).to_owned()
}

/// The status that an exception in the midst of a stream would have had.
fn status_of(name: &str) -> Option<u16> {
    const STATUSES: &[(&str, u16)] = &[
        ("validation", 400),
        ("accessdenied", 403),
        ("resourcenotfound", 404),
        ("modeltimeout", 408),
        ("modelerror", 424),
        ("modelstreamerror", 424),
        ("throttling", 429),
        ("modelnotready", 429),
        ("internalserver", 500),
        ("serviceunavailable", 503),
    ];
    STATUSES.iter().find(|(known, _)| *known == name).map(|(_, status)| *status)
}
