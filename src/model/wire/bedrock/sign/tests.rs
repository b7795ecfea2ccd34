use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sigv4::http_request::{PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, UriPathNormalizationMode};
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vector {
    name: String,
    context: Context,
    request: String,
    signed: String,
}

#[derive(Deserialize)]
struct Context {
    credentials: Keys,
    normalize: bool,
    region: String,
    service: String,
    sign_body: bool,
    timestamp: String,
    #[serde(default)]
    omit_session_token: bool,
}

#[derive(Deserialize)]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
}

/// A request as the vectors write it: the first line, headers (a value may go on in the next line), the body.
struct Written {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

fn parse(text: &str) -> Written {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap_or(rest);
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => headers.push((name.to_lowercase(), value.to_owned())),
            _ => headers.last_mut().unwrap().1.push_str(line),
        }
    }
    Written { method: method.to_owned(), target: target.to_owned(), headers, body: body.to_owned() }
}

fn value<'a>(written: &'a Written, name: &str) -> Option<&'a str> {
    written.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

#[test]
fn the_published_vectors_are_signed_as_published() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/v4.json")).unwrap();
    assert_eq!(vectors.len(), 39);
    let mut wrong = BTreeMap::new();
    for Vector { name, context, request, signed } in vectors {
        let (request, expected) = (parse(&request), parse(&signed));
        let host = value(&request, "host").unwrap();
        let mut settings = SigningSettings::default();
        let mut target = request.target.clone();
        if name.starts_with("get-space-") {
            // These two mean a path that is encoded once in all; an address holds no spaces, so it is so already.
            target = target.replace(' ', "%20");
            settings.percent_encoding_mode = PercentEncodingMode::Single;
        }
        let url = format!("https://{host}{target}");
        let headers: Vec<(&str, &str)> = request
            .headers
            .iter()
            .filter(|(name, _)| name != "host")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        if !context.normalize {
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if context.sign_body {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        if context.omit_session_token {
            settings.session_token_mode = SessionTokenMode::Exclude;
        }
        let (service, region) = (context.service.as_str(), context.region.as_str());
        let now = when(&context.timestamp);
        let Keys { access_key_id, secret_access_key, token } = context.credentials;
        let (id, secret, token) = (access_key_id.into(), secret_access_key.into(), token.map(SecretString::from));
        let signer = Signer { access_key_id: &id, secret: &secret, session_token: token.as_ref() };
        let signed = Signed { method: &request.method, url: &url, headers: &headers, body: request.body.as_bytes() };
        let made = match sign(signer, signed, Scope { service, region, now, settings }) {
            Ok(made) => made,
            Err(fault) => {
                wrong.insert(name, fault.message);
                continue;
            }
        };
        for header in ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"] {
            let (made, expected) = (made.get(header).map(|value| value.to_str().unwrap()), value(&expected, header));
            if made != expected {
                wrong.insert(format!("{name} {header}"), format!("{made:?} and not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn when(timestamp: &str) -> SystemTime {
    let (day, time) = timestamp.trim_end_matches('Z').split_once('T').unwrap();
    assert_eq!((day, time), ("2015-08-30", "12:36:00"), "the vectors are all of one moment");
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_440_938_160)
}

#[test]
fn another_body_path_region_service_or_second_is_another_signature() {
    let (id, secret) = (SecretString::from("AKIDEXAMPLE"), SecretString::from("secret"));
    let signature = |url: &str, body: &str, region: &str, service: &str, second: u64| {
        let signer = Signer { access_key_id: &id, secret: &secret, session_token: None };
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        let scope = Scope { service, region, now, settings: SigningSettings::default() };
        let signed = Signed { method: "POST", url, headers: &[], body: body.as_bytes() };
        sign(signer, signed, scope).unwrap()["authorization"].to_str().unwrap().to_owned()
    };
    let all = [
        signature("https://a.b/x", "{}", "us-east-1", "bedrock", 1),
        signature("https://a.c/x", "{}", "us-east-1", "bedrock", 1),
        signature("https://a.b/y", "{}", "us-east-1", "bedrock", 1),
        signature("https://a.b/x", "[]", "us-east-1", "bedrock", 1),
        signature("https://a.b/x", "{}", "us-west-2", "bedrock", 1),
        signature("https://a.b/x", "{}", "us-east-1", "other", 1),
        signature("https://a.b/x", "{}", "us-east-1", "bedrock", 2),
    ];
    assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
}

#[test]
fn what_cannot_be_carried_is_a_fault_that_shows_nothing() {
    let (id, secret, token) = ("AKID".into(), "s".into(), SecretString::from("canary\u{1}\n"));
    let signer = Signer { access_key_id: &id, secret: &secret, session_token: Some(&token) };
    let now = SystemTime::now();
    let scope = Scope { service: "bedrock", region: "us-east-1", now, settings: SigningSettings::default() };
    let signed = Signed { method: "POST", url: "https://a.b/", headers: &[], body: b"" };
    let fault = sign(signer, signed, scope).unwrap_err();
    assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn signing_leaves_no_trace_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let (id, secret, token) = ("AKCANARY".into(), "canary".into(), "canary".into());
        let signer = Signer { access_key_id: &id, secret: &secret, session_token: Some(&token) };
        let now = SystemTime::now();
        let scope = Scope { service: "bedrock", region: "us-east-1", now, settings: SigningSettings::default() };
        let signed = Signed { method: "POST", url: "https://a.b/", headers: &[], body: b"canary" };
        sign(signer, signed, scope).unwrap();
        tracing::trace!("signed");
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("signed") && !log.to_lowercase().contains("canary"), "{log}");
}
