use super::*;

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

/// What a person is told of the choice.
fn chosen(toml: &str, variables: &[(&str, &str)]) -> String {
    let (settings, environment) = (settings(toml), Environment::of(variables));
    let choice = choose_in(&settings, &environment).and_then(|choice| {
        connect_in(&settings, &environment).map(|provider| {
            assert_eq!(provider.name(), choice.name);
            format!("{} because {}", choice.name, choice.why)
        })
    });
    choice.unwrap_or_else(|error| error.to_string())
}

const ANTHROPIC: (&str, &str) = ("ANTHROPIC_API_KEY", "sk-canary");
const OPENAI: (&str, &str) = ("OPENAI_API_KEY", "sk-canary");

#[test]
fn the_first_key_that_is_there_decides() {
    assert_eq!(chosen("", &[ANTHROPIC, OPENAI]), "anthropic/claude-sonnet-5-5 because ANTHROPIC_API_KEY is set");
    assert_eq!(chosen("", &[OPENAI]), "openai/gpt-4.1 because OPENAI_API_KEY is set");
    let both = r#"
        [providers.a]
        kind = "openai-chat"
        base_url = "https://a.example/v1"
        api_key_env = "A_KEY"
        [models."a/big"]
        context = 1000
    "#;
    assert_eq!(chosen(both, &[("A_KEY", "k"), ANTHROPIC]), "a/big because A_KEY is set");
    assert_eq!(
        chosen(both, &[("A_KEY", " "), ANTHROPIC]),
        "anthropic/claude-sonnet-5-5 because ANTHROPIC_API_KEY is set"
    );
    assert_eq!(
        chosen("[providers.local]\nkind = \"ollama\"\n[models.\"local/qwen\"]", &[]),
        "local/qwen because providers.local is in the settings"
    );
    let script = "[providers.a-script]\nkind = \"script\"";
    assert_eq!(chosen(script, &[OPENAI]), "openai/gpt-4.1 because OPENAI_API_KEY is set");
    assert_eq!(chosen(script, &[]), "a-script/demo because providers.a-script is in the settings");
}

#[test]
fn a_model_that_is_named_needs_no_table_where_its_kind_is_known() {
    for name in
        ["anthropic/claude-x", "openai/org/gpt", "openai-chat/gpt", "ollama/qwen3:4b", "scripted/demo", "script/x"]
    {
        let said = chosen(&format!("model = \"{name}\""), &[ANTHROPIC, OPENAI]);
        assert_eq!(said, format!("{name} because the setting model names it"));
    }
}

#[test]
fn what_is_missing_is_named() {
    insta::assert_snapshot!(chosen("", &[]), @r#"No model is set up: set ANTHROPIC_API_KEY or OPENAI_API_KEY in the environment that the editor starts from, or name a local server in config.toml ([providers.local] with kind = "openai-chat" and base_url = "http://127.0.0.1:8080/v1", then model = "local/NAME"). To look around without a model, set model = "scripted/demo"."#);
    insta::assert_snapshot!(chosen("[providers.local]\nkind = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"", &[("ANTHROPIC_API_KEY", "")]), @r#"No model is set up: set ANTHROPIC_API_KEY or OPENAI_API_KEY in the environment that the editor starts from, or name a local server in config.toml ([providers.local] with kind = "openai-chat" and base_url = "http://127.0.0.1:8080/v1", then model = "local/NAME"). To look around without a model, set model = "scripted/demo". Of the provider local no model is known: name one with model = "local/NAME"."#);
    insta::assert_snapshot!(chosen("model = \"gpt-4.1\"", &[]), @r#"The setting model is "gpt-4.1", and should be TABLE/MODEL, for instance anthropic/claude-sonnet-5-5."#);
    insta::assert_snapshot!(chosen("model = \"mine/gpt\"", &[]), @"The settings have no provider mine; write a table [providers.mine] with its kind.");
    insta::assert_snapshot!(chosen("model = \"mine/gpt\"\n[providers.mine]\nbase_url = \"http://x\"\napi_key_env = \"MINE\"", &[]), @"The provider mine cannot be used: it needs kind (anthropic, openai-chat, ollama or script); also, base_url would send the key and the code to x unencrypted; use https, or set insecure = true; also, the environment variable MINE is empty; set it where the editor starts from.");
    insta::assert_snapshot!(chosen("model = \"anthropic/x\"", &[]), @"The provider anthropic cannot be used: the environment variable ANTHROPIC_API_KEY is empty; set it where the editor starts from.");
    insta::assert_snapshot!(
        chosen("model = \"mine/x\"\n[providers.mine]\nkind = \"openai-chat\"\nbase_url = \"http://far.example/v1\"\napi_key_env = \"MINE\"", &[]),
        @"The provider mine cannot be used: base_url would send the key and the code to far.example unencrypted; use https, or set insecure = true; also, the environment variable MINE is empty; set it where the editor starts from."
    );
    insta::assert_snapshot!(chosen("model = \"s/x\"\n[providers.s]\nkind = \"script\"\npath = \"/nowhere.json\"", &[]), @"the script /nowhere.json cannot be read (No such file or directory (os error 2)); mend its path");
}

#[test]
fn openais_key_goes_to_openai_only() {
    let variable = |toml: &str| Plan::of(&settings(toml), &Environment::of(&[]), "x").unwrap().key_variable();
    let table = "[providers.x]\nkind = \"openai-chat\"\n";
    assert_eq!(variable(table).as_deref(), Some("OPENAI_API_KEY"));
    assert_eq!(
        variable(&format!("{table}base_url = \"https://api.openai.com/v1/\"")).as_deref(),
        Some("OPENAI_API_KEY")
    );
    for base in ["https://openrouter.ai/api/v1", "http://127.0.0.1:8080/v1", "https://api.openai.com.evil.example/v1"] {
        assert_eq!(variable(&format!("{table}base_url = \"{base}\"")), None, "{base}");
    }
    assert_eq!(variable("[providers.x]\nkind = \"ollama\""), None);
    assert_eq!(variable("[providers.x]\nkind = \"anthropic\"\napi_key_env = \"OTHER\"").as_deref(), Some("OTHER"),);
}

#[test]
fn what_is_known_of_a_model_is_used() {
    let settings = settings("model = \"scripted/demo\"\n[models.\"scripted/demo\"]\ncontext = 4096");
    assert_eq!(connect_in(&settings, &Environment::of(&[])).unwrap().context(), Some(4096));
}
