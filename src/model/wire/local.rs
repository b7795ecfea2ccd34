//! Model servers on this machine, found at the ports that they usually listen on.

use std::time::Duration;

use futures::future::join_all;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::choose::Choice;
use crate::model::http::{Answer, Http};

/// The ports, by the tables that stand for them, in the order in which they are preferred.
pub(super) const PORTS: [(&str, u16); 4] = [("ollama", 11434), ("llamacpp", 8080), ("lmstudio", 1234), ("vllm", 8000)];

/// How long all of them have: a server that runs answers at once.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct List {
    /// `list`, in all of them: other programs listen on these ports too.
    object: String,
    data: Vec<Offered>,
}

#[derive(Deserialize)]
struct Offered {
    id: String,
}

/// The first model of the first server that answers.
pub(super) async fn find(ports: &[(&'static str, u16)]) -> Option<Choice> {
    let answers = join_all(ports.iter().map(|(_, port)| tokio::time::timeout(PATIENCE, first_model(*port)))).await;
    ports.iter().zip(answers).find_map(|((table, port), answer)| {
        let model = answer.ok().flatten()?;
        Some(Choice { name: format!("{table}/{model}"), why: format!("a server answers at 127.0.0.1:{port}") })
    })
}

async fn first_model(port: u16) -> Option<String> {
    let http = Http::new(&format!("http://127.0.0.1:{port}/v1"), false, PATIENCE).ok()?;
    let Ok(Answer::Whole(body)) = http.get(http.url("/models"), HeaderMap::new()).await else { return None };
    let list: List = serde_json::from_str(&body).ok()?;
    if list.object != "list" {
        return None;
    }
    let speaks = |model: &Offered| !model.id.is_empty() && !model.id.to_lowercase().contains("embed");
    list.data.into_iter().find(speaks).map(|model| model.id)
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::get};
    use serde_json::{Value, json};

    use super::*;

    /// The port of a server that offers these models.
    async fn offering(models: Value) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().route("/v1/models", get(async move || Json(json!({"object": "list", "data": models}))));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        port
    }

    #[tokio::test]
    async fn the_first_server_that_has_a_model_is_taken() {
        let nothing = offering(json!([])).await;
        let some = offering(json!([{"id": "nomic-embed-text"}, {"id": "qwen3:4b"}, {"id": "other"}])).await;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let found = find(&[("ollama", closed), ("llamacpp", nothing), ("lmstudio", some)]).await.unwrap();
        assert_eq!(found.name, "lmstudio/qwen3:4b");
        assert_eq!(found.why, format!("a server answers at 127.0.0.1:{some}"));
        assert_eq!(find(&[("ollama", closed)]).await, None);
    }
}
