//! Every wire, as a process of its own, against a provider that repeats the key in whatever it says.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::speech::{End, Part, Wire, answer};
use super::{everything, holds_no_key};
use crate::client::{Client, Personality, Setup, Surroundings};

/// JSON escapes it, and addresses do.
const KEY: &str = "sk-canary-31\"41\\59/26+53=58%2F97&end-3846264";
const AWS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIA-canary-31-3846264"),
    ("AWS_SECRET_ACCESS_KEY", "wJalr-canary-31/41+59\"26\\53=end-3846264"),
    ("AWS_SESSION_TOKEN", "FwoG-canary-31/41+59\"26\\53=end-3846264"),
];

impl Wire {
    fn kind(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::OpenaiChat => "openai-chat",
            Self::Azure | Self::AzureDated => "azure",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Bedrock => "bedrock",
        }
    }

    fn settings(self, base: &str) -> Value {
        let mut provider = json!({"kind": self.kind(), "base_url": base});
        match self {
            Self::Bedrock => provider["region"] = json!("eu-north-1"),
            _ => provider["api_key_env"] = json!("KEY_OF_THE_TEST"),
        }
        if self == Self::AzureDated {
            provider["api_version"] = json!("2024-10-21");
        }
        provider
    }

    fn secrets(self) -> Vec<(&'static str, &'static str)> {
        if self == Self::Bedrock { AWS.to_vec() } else { vec![("KEY_OF_THE_TEST", KEY)] }
    }

    /// Whether the key is where it belongs, and nowhere else.
    fn proven(self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (name, fits) = match self {
            Self::Anthropic => ("x-api-key", text("x-api-key") == KEY),
            Self::Openai | Self::OpenaiChat | Self::Cohere => {
                ("authorization", text("authorization").strip_prefix("Bearer ") == Some(KEY))
            }
            Self::Azure | Self::AzureDated => ("api-key", text("api-key") == KEY),
            Self::Gemini => ("x-goog-api-key", text("x-goog-api-key") == KEY),
            Self::Bedrock => {
                let signed = text("authorization").contains(&format!("Credential={}/", AWS[0].1));
                ("authorization", signed && text("x-amz-security-token") == AWS[2].1)
            }
        };
        let elsewhere = headers.iter().filter(|(other, value)| {
            let token = self == Self::Bedrock && *other == "x-amz-security-token";
            *other != name && !token && String::from_utf8_lossy(value.as_bytes()).contains("canary")
        });
        fits && elsewhere.count() == 0
    }
}

/// One answer to one request.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn of(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json", body.to_string())
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// What is answered next, to prompts and to whoever asks for models, and what was wrong with the requests.
#[derive(Default)]
struct Said {
    prompts: VecDeque<Reply>,
    lists: VecDeque<Reply>,
    wrong: Vec<String>,
}

async fn provider(wire: Wire, said: Arc<Mutex<Said>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let reply = async move |method: Method, headers: HeaderMap, body: String| {
        let mut said = said.lock().expect("sound");
        if !wire.proven(&headers) {
            said.wrong.push(format!("the key is not where it belongs: {headers:?}"));
        }
        if body.contains("canary-31") || body.contains("3846264") {
            said.wrong.push(format!("the key is sent to the model: {body}"));
        }
        let next = if method == Method::GET { said.lists.pop_front() } else { said.prompts.pop_front() };
        let next = next.unwrap_or_else(|| {
            said.wrong.push(format!("nobody awaits this: {method} {body}"));
            Reply::json(418, &json!({}))
        });
        let mut response = Response::builder().status(StatusCode::from_u16(next.status).expect("a status"));
        for (name, value) in next.headers {
            response = response.header(name, value);
        }
        response.body(Body::from(next.body)).expect("a response")
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(reply)).await.expect("it serves") });
    base
}

/// One run: what the provider says, and how it ends.
struct Run {
    replies: Vec<Reply>,
    status: &'static str,
    /// What the last event holds in the place of the key.
    told: &'static str,
}

/// Every way in which the provider repeats the secrets.
fn runs(wire: Wire, secrets: &str, notes: &Path) -> Vec<Run> {
    let stream =
        |parts: &[Part<'_>], end: &End<'_>| Reply::of(200, wire.content_type(), answer(wire, parts, end).concat());
    let says = format!("{secrets} is wrong");
    let error = |status: u16| Reply::json(status, &wire.error(status, &says));
    // Bedrock's errors have one shape.
    let dumped = if wire == Wire::Bedrock { "says nothing more" } else { "[key]" };
    let one = |reply: Reply, told| Run { replies: vec![reply], status: "failed", told };
    let text = format!("It is {secrets}.");
    // It breaks off when the key has begun.
    let half = {
        let events = answer(wire, &[Part::Text(&text)], &End::WithTheTurn);
        let begun = |event: &Vec<u8>| event.windows(3).any(|bytes| bytes == b"-31");
        let at = events.iter().position(begun).expect("the key");
        Reply::of(200, wire.content_type(), events[..=at].concat())
    };
    let path = json!({ "path": notes });
    let odd = json!({ "path": secrets, secrets: secrets });
    // Words that the limit of a message would cut a key in two at.
    let long = format!("{}{secrets}", "x".repeat(490));
    vec![
        one(error(401), "[key] is wrong"),
        one(error(400), "[key] is wrong"),
        one(Reply::json(400, &json!({"error": {"details": [{"asked": secrets}]}})), dumped),
        one(Reply::of(400, "text/plain", says.clone()), "[key] is wrong"),
        one(Reply::of(400, "text/plain", long), "xxx[key]"),
        one(
            Reply::of(302, "text/plain", "").header("location", &format!("http://elsewhere/?{KEY_IN_AN_ADDRESS}")),
            "elsewhere",
        ),
        Run {
            replies: (0..6).map(|_| error(500).header("retry-after-ms", "1")).collect(),
            status: "failed",
            told: "[key] is wrong",
        },
        // Half an answer, a whole one that has a file read, and one after that.
        Run {
            replies: vec![
                stream(&[Part::Text(&text)], &End::Error(&says)),
                stream(
                    &[Part::Reasoning(&text), Part::Text(&text), Part::Call("read", "call_1", &path)],
                    &End::WithTheTurn,
                ),
                stream(&[Part::Text(&text)], &End::WithTheTurn),
            ],
            status: "completed",
            told: "It is [key withheld by Cowrite]",
        },
        Run { replies: vec![half, error(401)], status: "failed", told: "[key] is wrong" },
        // A call that is made of nothing else.
        Run {
            replies: vec![
                stream(&[Part::Call(secrets, secrets, &odd)], &End::WithTheTurn),
                stream(&[Part::Call("read", secrets, &odd)], &End::WithTheTurn),
                error(403),
            ],
            status: "failed",
            told: "[key] is wrong",
        },
    ]
}

const KEY_IN_AN_ADDRESS: &str = "sk-canary-31%2241%5C59%2F26%2B53%3D58%252F97%26end-3846264";

/// What a process of Cowrite finds around itself: the key, a log that tells everything, and nothing of this machine.
fn variables(wire: Wire, home: &Path) -> Vec<(String, String)> {
    let own = [("HOME", home.to_str().expect("UTF-8")), ("COWRITE_LOG", "trace"), ("PATH", "/usr/bin:/bin")];
    own.iter().chain(&wire.secrets()).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn repeats(wire: Wire) {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let [folder, state, home] = folders.each_ref().map(|folder| folder.path());
    let secrets: Vec<&str> = wire.secrets().iter().map(|(_, secret)| *secret).collect();
    let secrets = secrets.join(" ");
    let notes = folder.join("notes.txt");
    std::fs::write(&notes, format!("KEY={secrets}\n")).expect("written");
    let said = Arc::new(Mutex::new(Said::default()));
    let base = provider(wire, said.clone()).await;
    let standard_error = home.join("standard-error");
    let providers = json!({"tested": wire.settings(&base)});
    let mut setup = Setup::scripted(Personality::VsCode, folder, &[]);
    setup.process = true;
    setup.state = Some(state.to_owned());
    setup.surroundings = Some(Surroundings {
        variables: variables(wire, home),
        standard_error: File::create(&standard_error).expect("a file"),
    });
    setup.settings =
        json!({"model": "tested/m", "log_file": state.join("cowrite.log"), "providers": providers.clone()});
    let client = Client::start(setup).await;
    let mut answers = Vec::new();
    for (at, Run { replies, status, told }) in runs(wire, &secrets, &notes).into_iter().enumerate() {
        said.lock().expect("sound").prompts.extend(replies);
        let run = client.run("cowrite.ask", json!({ "prompt": format!("What is key {at}?") })).await;
        let finished = client.finished(&run).await;
        let text = format!("{}{}", finished["error"], finished["resultText"]);
        // Where there are several secrets, each of them is taken out.
        let text = text.replace("[key] [key] [key]", "[key]");
        let text = text.replace(&["[key withheld by Cowrite]"; 3].join(" "), "[key withheld by Cowrite]");
        assert!(finished["status"] == status && text.contains(told), "{wire:?} {at}: {finished:#}");
        assert_eq!(said.lock().expect("sound").prompts.len(), 0, "{wire:?} {at}: all is said: {finished:#}");
        answers.push(client.execute("cowrite.status", json!({ "runId": run })).await.unwrap_or_else(|error| error));
    }
    let export = client.execute("cowrite.session.export", json!({ "format": "json" })).await.expect("an export");
    for at in 0..10 {
        assert!(export.to_string().contains(&format!("What is key {at}?")), "{wire:?}: {at} is not in the export");
    }
    let sent = client.sent();
    assert!(sent.contains("trying again") || sent.contains("retrying"), "{wire:?}: retries are told");
    let _ = client.stop().await;
    // The lists: one in which a model is called like the key, and two refusals, as `doctor` too asks for one.
    {
        let mut said = said.lock().expect("sound");
        let error = |status: u16| Reply::json(status, &wire.error(status, &format!("{secrets} is wrong")));
        said.lists.extend([Reply::json(200, &wire.list(&["m", &secrets])), error(401), error(500)]);
    }
    let settings = toml::to_string(&json!({"model": "tested/m", "providers": providers})).expect("TOML");
    std::fs::write(home.join("config.toml"), settings).expect("written");
    let mut seen = vec![("what is sent".to_owned(), sent), ("the answers".to_owned(), format!("{answers:?} {export}"))];
    for line in ["models --json", "models", "doctor", "sessions list", "sessions show"] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cowrite"));
        command.args(line.split(' ')).env_clear().envs(variables(wire, home)).current_dir(folder);
        command.env("COWRITE_CONFIG", home.join("config.toml")).env("COWRITE_STATE_DIR", state);
        let ended = command.output().await.expect("it starts");
        seen.push((line.to_owned(), format!("{ended:?}")));
    }
    assert_eq!(said.lock().expect("sound").wrong, [""; 0], "{wire:?}");
    let files = everything(state).into_iter().chain(everything(home));
    let files = files.filter(|(name, _)| !name.ends_with("config.toml"));
    seen.extend(files.map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned())));
    for file in ["sessions.db", "cowrite.log", "standard-error"] {
        assert!(seen.iter().any(|(name, text)| name.ends_with(file) && !text.is_empty()), "{wire:?}: {file}");
    }
    for (name, text) in seen {
        holds_no_key(&format!("{wire:?}: {name}"), &text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_on_every_wire_a_key_that_the_provider_repeats_is_nowhere() {
    let all: Vec<_> = Wire::ALL.into_iter().map(|wire| tokio::spawn(repeats(wire))).collect();
    for one in all {
        one.await.expect("no key");
    }
}
