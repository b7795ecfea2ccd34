//! What Google's errors mean. Beside a status they hold details of the kinds of `google.rpc`:
//! <https://cloud.google.com/apis/design/errors#error_details>.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::model::fault::{self, Fault, Kind};
use crate::model::wire::garbled;

/// The fault that an answer which is an error stands for.
pub(super) fn from_response(status: u16, headers: &HeaderMap, body: &str) -> Fault {
    let body_read = serde_json::from_str(body).unwrap_or(Value::Null);
    detailed(fault::from_response(status, headers, body), &body_read)
}

/// The fault that an error in a stream stands for, or in an answer under a good status.
pub(super) fn in_stream(body: &str) -> Fault {
    match serde_json::from_str(body) {
        Ok(body) => detailed(fault::from_body(None, &body), &body),
        Err(error) => garbled(&error),
    }
}

fn detailed(fault: Fault, body: &Value) -> Fault {
    let body = body.as_array().and_then(|list| list.first()).unwrap_or(body);
    let details = body.pointer("/error/details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let said = fault.message.to_lowercase();
    let says = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    let reason = |names: &[&str]| {
        details.iter().filter_map(|detail| detail["reason"].as_str()).any(|reason| names.contains(&reason))
    };

    let kind = if reason(&["API_KEY_INVALID"]) || says(&["api key not valid", "api key expired"]) {
        // A wrong key is a 400 here.
        Kind::Authentication
    } else if reason(&["BILLING_DISABLED"]) || says(&["credits are depleted"]) {
        Kind::Quota
    } else if fault.status == Some(429) {
        // "You exceeded your current quota" is said of every limit, of those by the minute as well.
        if daily(details) || says(&["per_day", "per day"]) || nothing_granted(&said) {
            Kind::Quota
        } else {
            Kind::RateLimited
        }
    } else if fault.status == Some(499) {
        // Nobody here cancelled it.
        Kind::Unavailable
    } else {
        fault.kind
    };
    let retry_after = fault.retry_after.or_else(|| asked_for(details)).or_else(|| named(&said));
    Fault { kind, retry_after, ..fault }
}

/// The details of one kind.
fn of_kind<'a>(details: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let is = move |detail: &&Value| {
        detail["@type"].as_str().is_some_and(|name| name.rsplit(['.', '/']).next() == Some(kind))
    };
    details.iter().filter(is)
}

/// Whether a limit was hit that lasts until tomorrow.
fn daily(details: &[Value]) -> bool {
    of_kind(details, "QuotaFailure")
        .filter_map(|detail| detail["violations"].as_array())
        .flatten()
        .filter_map(|violation| violation["quotaId"].as_str())
        .any(|quota| quota.contains("PerDay") || quota.contains("Daily"))
}

/// Whether the limit is none at all: the account's plan does not have this model.
fn nothing_granted(said: &str) -> bool {
    said.split("limit: 0").skip(1).any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn asked_for(details: &[Value]) -> Option<Duration> {
    of_kind(details, "RetryInfo").find_map(|detail| duration(detail["retryDelay"].as_str()?))
}

/// The delay that the words name, where the details do not.
fn named(said: &str) -> Option<Duration> {
    let rest = said.split_once("please retry in ")?.1;
    duration(rest.split_whitespace().next()?.trim_end_matches('.'))
}

/// A `google.protobuf.Duration`, such as "34.5s".
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}
