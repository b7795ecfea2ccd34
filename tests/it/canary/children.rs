//! Programs that are asked for a key see no other one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::{Json, Router};
use serde_json::json;

use super::{everything, holds_no_key};

fn program(path: &Path, prints: &str, heard: &Path) {
    let heard = heard.display();
    // What it was started with is what the system shows of it; `$$` is the shell itself.
    let lines =
        format!("#!/bin/sh\ncat /proc/$$/environ /proc/$$/cmdline > {heard}\ncat > {heard}.input\necho '{prints}'\n");
    std::fs::write(path, lines).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("made a program");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p9_no_program_that_is_asked_for_a_key_sees_another_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    for name in ["bin", "heard", ".aws"] {
        std::fs::create_dir(home.join(name)).expect("a folder");
    }
    let heard = home.join("heard");
    program(&home.join("bin/printer"), "sk-canary-31-of-the-command-3846264", &heard.join("command"));
    program(&home.join("bin/secret-tool"), "sk-canary-31-of-the-keyring-3846264", &heard.join("keyring"));
    let printed = r#"{"Version": 1, "AccessKeyId": "AKIA-canary-31", "SecretAccessKey": "canary-31-3846264"}"#;
    program(&home.join("bin/process"), printed, &heard.join("process"));
    let profile = format!("[profile work]\nregion = eu-north-1\ncredential_process = {}/bin/process\n", home.display());
    std::fs::write(home.join(".aws/config"), profile).expect("written");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let list = async || Json(json!({"data": [{"id": "m"}]}));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(list)).await.expect("it serves") });
    let settings = format!(
        r#"
        model = "printed/m"
        [providers.printed]
        kind = "anthropic"
        base_url = "{base}"
        api_key_command = ["{home}/bin/printer", "show"]
        [providers.kept]
        kind = "gemini"
        base_url = "{base}"
        api_key_env = "NO_SUCH_VARIABLE"
        [providers.bedrock]
        profile = "work"
        base_url = "{base}"
        [providers.another]
        kind = "openai-chat"
        base_url = "{base}"
        api_key_env = "OUR_GATEWAY"
        "#,
        home = home.display()
    );
    std::fs::write(home.join("config.toml"), settings).expect("written");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cowrite"));
    command.args(["models", "--json"]).env_clear().current_dir(home);
    command.env("PATH", format!("{}/bin:/usr/bin:/bin", home.display())).env("HOME", home).env("COWRITE_LOG", "trace");
    command.env("COWRITE_CONFIG", home.join("config.toml")).env("COWRITE_STATE_DIR", home.join("state"));
    for name in
        ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "GEMINI_API_KEY", "CO_API_KEY", "OUR_GATEWAY"]
    {
        command.env(name, format!("sk-canary-31-{name}-3846264"));
    }
    command.env("AWS_BEARER_TOKEN_BEDROCK_OF_OLD", "harmless").env("SAFE_TOKEN", "which a safe may need");
    let ended = command.output().await.expect("it starts");
    holds_no_key("the command", &format!("{ended:?}"));
    for name in ["command", "keyring", "process"] {
        let environ = std::fs::read(heard.join(name)).unwrap_or_else(|error| panic!("{name}: {error}: {ended:?}"));
        assert!(String::from_utf8_lossy(&environ).contains("SAFE_TOKEN=which a safe may need"), "{name}");
        assert_eq!(
            std::fs::read(heard.join(format!("{name}.input"))).expect("read"),
            b"",
            "{name} has nothing to read"
        );
    }
    for (name, bytes) in everything(&heard).into_iter().chain(everything(&home.join("state"))) {
        holds_no_key(&name, &String::from_utf8_lossy(&bytes));
    }
}
