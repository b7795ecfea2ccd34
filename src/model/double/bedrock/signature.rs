//! The signature of a request, by hand.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::model::double::{AWS_ID, AWS_REGION, AWS_SECRET, Asked, Checked};

/// Computes the signature once more.
pub(in crate::model::double) fn check(asked: &Asked<'_>, proof: &str) -> Checked {
    let denied = |text: String| Err((403, text));
    let mut parts = std::collections::HashMap::new();
    for part in proof.trim_start_matches("AWS4-HMAC-SHA256 ").split(',') {
        let Some((name, value)) = part.trim().split_once('=') else { return denied(format!("the part {part}")) };
        parts.insert(name, value);
    }
    let part = |name: &str| parts.get(name).copied().unwrap_or_default();
    let header = |name: &str| {
        let values: Vec<_> = asked.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        values.join(",").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let scope: Vec<&str> = part("Credential").split('/').collect();
    let [id, date, region, "bedrock", "aws4_request"] = scope[..] else {
        return denied(format!("Credential should be scoped to a valid service: {scope:?}"));
    };
    let time = header("x-amz-date");
    if id != AWS_ID || region != AWS_REGION || !time.starts_with(&format!("{date}T")) || !time.ends_with('Z') {
        return denied(format!("the scope {scope:?} at {time}"));
    }
    if !recent(&time) {
        return denied(format!("Signature expired: {time}"));
    }
    let hash = hex(&Sha256::digest(asked.bytes));
    if !["", &*hash].contains(&&*header("x-amz-content-sha256")) {
        return denied("The provided 'x-amz-content-sha256' header does not match what was computed.".to_owned());
    }
    let names: Vec<&str> = part("SignedHeaders").split(';').collect();
    let sorted = names.windows(2).all(|pair| pair[0] < pair[1]);
    let amazons = asked.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("x-amz-"));
    let needed: Vec<&str> = amazons.chain(["host"]).collect();
    if !sorted
        || !needed.iter().all(|name| names.contains(name))
        || !names.iter().all(|name| asked.headers.contains_key(*name))
    {
        return denied(format!("the signed headers {names:?}; needed are {needed:?}"));
    }
    // The path is encoded as it was sent, and then once more.
    let path: String = asked.uri.path().bytes().map(encoded).collect();
    let query = asked.uri.query().unwrap_or_default();
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", header(name))).collect();
    let canonical = format!("{}\n{path}\n{query}\n{headers}\n{}\n{hash}", asked.method, names.join(";"));
    let scope = scope[1..].join("/");
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let start = format!("AWS4{AWS_SECRET}").into_bytes();
    let key = [date, region, "bedrock", "aws4_request"].iter().fold(start, |key, part| hmac(&key, part.as_bytes()));
    if part("Signature") == hex(&hmac(&key, to_sign.as_bytes())) {
        return Ok(());
    }
    denied("The request signature we calculated does not match the signature you provided.".to_owned())
}

fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

pub(in crate::model::double) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(in crate::model::double) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// Whether a time like `20261101T120000Z` is within five minutes of now.
fn recent(time: &str) -> bool {
    let digits = |from: usize, to: usize| time.get(from..to).and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0);
    let (year, month, day) = (digits(0, 4), digits(4, 6), digits(6, 8));
    if time.len() != 16 || month == 0 || year < 1970 {
        return false;
    }
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days: u64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum::<u64>()
        + months.iter().take(usize::try_from(month).unwrap() - 1).sum::<u64>()
        + day
        - 1;
    let seconds = ((days * 24 + digits(9, 11)) * 60 + digits(11, 13)) * 60 + digits(13, 15);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    now.abs_diff(seconds) < 300
}
