use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Json, Router};
use serde_json::json;

use super::*;

/// A server that lists models for whoever sends the right key.
async fn listing() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let answer = async |uri: Uri, headers: HeaderMap| {
        let key = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        if ![key("x-api-key"), key("x-goog-api-key"), key("authorization")].iter().any(|key| key.ends_with("sk-canary"))
        {
            let error = json!({"error": {"type": "authentication_error", "message": "invalid key sk-wrong"}});
            return (StatusCode::UNAUTHORIZED, Json(error));
        }
        match uri.path() {
            "/v1/models" => (StatusCode::OK, Json(json!({"data": [{"id": "big", "max_input_tokens": 1000}]}))),
            "/v1beta/models" => {
                (StatusCode::OK, Json(json!({"models": [{"name": "models/g", "inputTokenLimit": 7000}]})))
            }
            _ => (StatusCode::NOT_FOUND, Json(json!({"error": {"message": "nothing here"}}))),
        }
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    base
}

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

fn told(surveyed: &[Surveyed]) -> Vec<String> {
    let line = |one: &Surveyed| {
        let models: Vec<String> = one.models.iter().map(|model| format!("{}={:?}", model.id, model.context)).collect();
        format!("{}: {} {}", one.table, models.join(","), one.problem.as_deref().unwrap_or("fine"))
    };
    surveyed.iter().map(line).collect()
}

#[tokio::test]
async fn providers_list_their_models_and_the_list_outlives_the_connection() {
    let base = listing().await;
    let state = tempfile::tempdir().unwrap();
    let toml = |base: &str| {
        format!(
            "[providers.a]\nkind = \"anthropic\"\nbase_url = \"{base}\"\napi_key_env = \"KEY\"\n\
             [providers.g]\nkind = \"gemini\"\nbase_url = \"{base}\"\napi_key_env = \"KEY\"\n\
             [models.\"a/mine\"]\ncontext = 5"
        )
    };
    let environment = Environment::of(&[("KEY", "sk-canary")]);
    let both = survey_in(&settings(&toml(&base)), &environment, Some(state.path())).await;
    assert_eq!(told(&both)[..2], ["a: mine=Some(5),big=Some(1000) fine", "g: g=Some(7000) fine"]);
    assert!(both[0].at_ms.is_some_and(|at| at > 0));

    let catalog = Catalog::load(Some(state.path()));
    assert_eq!(catalog.context(&format!("anthropic {base}"), "big", None), Some(1000), "limits come from the list");

    let wrong = Environment::of(&[("KEY", "sk-wrong")]);
    let again = survey_in(&settings(&toml(&base)), &wrong, Some(state.path())).await;
    assert_eq!(
        told(&again)[0],
        "a: mine=Some(5),big=Some(1000) 127.0.0.1 refuses the key (HTTP 401: invalid key [key]); check the environment variable KEY of the editor's process"
    );
}

#[tokio::test]
async fn a_provider_that_lacks_something_says_so_and_others_are_not_mentioned() {
    let settings = settings("[providers.azure]\ndeployment = \"d\"\n[providers.s]\nkind = \"script\"");
    let surveyed = survey_in(&settings, &Environment::of(&[]), None).await;
    let told: Vec<_> =
        told(&surveyed).into_iter().filter(|line| !line.starts_with("llamacpp") && !line.starts_with("vllm")).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("azure:  The provider azure cannot be used: it needs resource or base_url"),
        "{told:?}"
    );
    assert_eq!(told[1], "s: demo=None fine");
}

#[tokio::test]
async fn a_provider_that_the_model_names_or_a_fault_hides_is_looked_at_too() {
    use crate::settings::{Layer, LayerName, merge};
    let text = "model = \"anthropic/x\"\n[providers.local]\nkind = \"nonsense\"\n\
                [providers.azure]\nresource = \"r\"\napi_key_env = \"KEY\"\n\
                [providers.command]\nkind = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1\"\napi_key_command = [\"false\"]";
    let loaded = merge(&[Layer::toml(LayerName::User, Path::new("/c/config.toml"), text)]);
    let environment = Environment::of(&[("KEY", "sk-canary"), ("OPENAI_API_KEY", " ")]);
    let surveyed = survey_in(&loaded.settings, &environment, None).await;
    let of = |table: &str| surveyed.iter().find(|one| one.table == table);
    let wrong = |table: &str| of(table).and_then(|one| Some((one.problem_with?, one.problem.clone()?)));

    let (with, problem) = wrong("anthropic").unwrap();
    assert_eq!(with, Part::Key);
    assert!(problem.starts_with("the environment variable ANTHROPIC_API_KEY is not set"), "{problem}");
    let (with, problem) = wrong("local").unwrap();
    assert_eq!(with, Part::Settings);
    assert!(problem.starts_with("The provider local is not used because of a fault in the settings"), "{problem}");
    let (with, problem) = wrong("command").unwrap();
    assert_eq!(with, Part::Key);
    assert!(problem.starts_with("api_key_command (false) failed"), "{problem}");
    let azure = of("azure").unwrap();
    assert_eq!((azure.kind, azure.lists, azure.at_ms, wrong("azure")), (Some("azure"), false, None, None));
    assert_eq!(azure.key.as_deref(), Some("the environment variable KEY"));
    assert_eq!(of("openai"), None);
}

#[tokio::test]
async fn a_gateway_without_a_list_has_no_problem() {
    let base = format!("{}/elsewhere", listing().await);
    let toml = format!("[providers.a]\nkind = \"anthropic\"\nbase_url = \"{base}\"\napi_key_env = \"KEY\"");
    let surveyed = survey_in(&settings(&toml), &Environment::of(&[("KEY", "sk-canary")]), None).await;
    assert_eq!(told(&surveyed)[0], "a:  fine");
    assert!(!surveyed[0].lists);
}
