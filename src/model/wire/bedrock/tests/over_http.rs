//! The wire over real HTTP.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sigv4::http_request::SigningSettings;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};

use super::*;
use crate::model::catalog::Catalog;
use crate::model::http::{Answer, Http};
use crate::model::key::{Environment, Key, Source};
use crate::model::remote::{Endpoint, Remote};
use crate::model::{Assembler, Provider};

/// What a server was sent.
struct Received {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

#[derive(Default)]
struct Server {
    answers: Mutex<VecDeque<Vec<u8>>>,
    received: Mutex<Vec<Received>>,
}

impl Server {
    /// A server that gives these streams, one after the other, and its address.
    async fn start(answers: Vec<Vec<u8>>) -> (Arc<Self>, String) {
        let server = Arc::new(Self { answers: Mutex::new(answers.into()), ..Self::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, base)
    }
}

async fn answer(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    server.received.lock().unwrap().push(Received { path: uri.path().to_owned(), headers, body });
    let answer = server.answers.lock().unwrap().pop_front().unwrap();
    ([("content-type", "application/vnd.amazon.eventstream")], answer).into_response()
}

#[tokio::test]
async fn a_damaged_answer_is_asked_for_again() {
    let good = transcript(READING);
    let mut damaged = good.clone();
    damaged[good.len() / 2] ^= 1;
    let (server, base) = Server::start(vec![damaged, good]).await;

    let environment = Environment::of(&[("TOKEN", "canary")]);
    let source = Source::Variables { names: vec!["TOKEN".to_owned()], required: true, table: String::new() };
    let endpoint = Endpoint {
        kind: "bedrock",
        model: CLAUDE.to_owned(),
        http: Http::new(&base, false, Duration::from_secs(5)).unwrap(),
        key: Key::new(environment, source),
        streaming: true,
        max_output: None,
        catalog: Arc::new(Catalog::load(None)),
    };
    let remote = Remote::new("bedrock/claude".to_owned(), None, Box::new(wire()), endpoint);
    let mut events = remote.stream(request(vec![user("hi")])).await.unwrap();
    let (mut assembler, mut reasons) = (Assembler::default(), Vec::new());
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        if let StreamEvent::Retrying { reason, discarded, .. } = &event {
            reasons.push(format!("{discarded} {reason}"));
        }
        assembler.push(&event);
    }
    let turn = assembler.finish().unwrap();
    assert_eq!(listed(&turn), ["text Reading 🦀.", r#"call t1 read {"path":"a.rs"}"#]);
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].starts_with("true the answer broke off (a message of the stream came damaged ("), "{reasons:?}");

    let received = server.received.lock().unwrap();
    assert_eq!(received.len(), 2);
    let Received { path, headers, .. } = &received[0];
    assert_eq!(path, "/model/us.anthropic.claude-sonnet-5-5-20261101-v1%3A0/converse-stream");
    let text = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(text("accept"), ["application/vnd.amazon.eventstream, application/json"]);
    assert_eq!(text("content-type"), ["application/json"]);
    assert_eq!(text("authorization"), ["Bearer canary"]);
}

#[tokio::test]
async fn what_arrives_is_what_was_signed() {
    let (server, base) = Server::start(vec![transcript(READING)]).await;
    let http = Http::new(&base, false, Duration::from_secs(5)).unwrap();
    let (wire, now) = (wire(), SystemTime::now());
    let (id, secret, token) = (SecretString::from("AKID"), SecretString::from("s"), SecretString::from("t"));
    let credential =
        Credential::Aws { access_key_id: id.clone(), secret: secret.clone(), session_token: Some(token.clone()) };
    let (url, body) = (http.url(&wire.path(true)), wire.body(&request(vec![user("hi")]), true).unwrap());
    let headers = wire.headers(&credential, &Sent { url: &url, body: &body, now }).unwrap();
    let Ok(Answer::Stream(_)) = http.post(url, headers, Bytes::from(body), true).await else {
        panic!("a stream was given")
    };

    // Whoever checks a signature makes it anew of what arrived.
    let received = server.received.lock().unwrap();
    let Received { path, headers, body } = &received[0];
    let url = format!("http://{}{path}", headers["host"].to_str().unwrap());
    let signer = Signer { access_key_id: &id, secret: &secret, session_token: Some(&token) };
    let signed = Signed { method: "POST", url: &url, headers: &[], body };
    let scope = Scope { service: "bedrock", region: "us-east-1", now, settings: SigningSettings::default() };
    for (name, value) in sign::sign(signer, signed, scope).unwrap() {
        let name = name.unwrap();
        assert_eq!(headers[&name], value, "{name}");
    }
}
