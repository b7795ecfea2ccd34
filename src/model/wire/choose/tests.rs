use std::path::Path;

use serde_json::json;

use super::*;
use crate::model::wire::testing::block_on;
use crate::settings::{Layer, LayerName, Places, load, merge};

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

/// What a person is told of the choice.
fn chosen(toml: &str, variables: &[(&str, &str)]) -> String {
    told(&settings(toml), variables)
}

fn told(settings: &Settings, variables: &[(&str, &str)]) -> String {
    let environment = Environment::of(variables);
    let connected = block_on(connect_with(Arc::new(settings.clone()), environment, None, &[]));
    let told = connected.map(|Connected { provider, choice, .. }| {
        assert_eq!(provider.name(), choice.name);
        format!("{} because {}", choice.name, choice.why)
    });
    told.unwrap_or_else(|error| error.to_string())
}

/// The same where the text is read as a settings file is, and the editor says what it has to say.
fn from_file(toml: &str, editor: &serde_json::Value) -> String {
    let file = Layer::toml(LayerName::User, Path::new("/c/config.toml"), toml);
    let editor = Layer::json(LayerName::InitializationOptions, editor);
    told(&merge(&[file, editor]).settings, &[ANTHROPIC, OPENAI])
}

const ANTHROPIC: (&str, &str) = ("ANTHROPIC_API_KEY", "sk-canary");
const OPENAI: (&str, &str) = ("OPENAI_API_KEY", "sk-canary");

#[test]
fn the_first_key_that_is_there_decides() {
    assert_eq!(chosen("", &[ANTHROPIC, OPENAI]), "anthropic/claude-sonnet-5-5 because ANTHROPIC_API_KEY is set");
    assert_eq!(chosen("", &[OPENAI]), "openai/gpt-6-sol because OPENAI_API_KEY is set");
    assert_eq!(chosen("", &[("GOOGLE_API_KEY", "k")]), "gemini/gemini-4-argon because GOOGLE_API_KEY is set");
    assert_eq!(chosen("", &[("CO_API_KEY", "k")]), "cohere/command-a-03-2025 because CO_API_KEY is set");
    let both = r#"
        [providers.a]
        kind = "openai-chat"
        base_url = "https://a.example/v1"
        api_key_env = "A_KEY"
        [models."a/big"]
        context = 1000
    "#;
    assert_eq!(chosen(both, &[("A_KEY", "k"), ANTHROPIC]), "a/big because A_KEY is set");
    let passed = chosen(both, &[("A_KEY", " "), ANTHROPIC]);
    let why = "anthropic/claude-sonnet-5-5 because ANTHROPIC_API_KEY is set; passed over: The provider a cannot be used: the environment variable A_KEY is not set";
    assert!(passed.starts_with(why), "{passed}");
    assert_eq!(
        chosen("[providers.local]\nkind = \"ollama\"\n[models.\"local/qwen\"]", &[]),
        "local/qwen because providers.local is in the settings"
    );
    let script = "[providers.a-script]\nkind = \"script\"";
    assert_eq!(chosen(script, &[OPENAI]), "openai/gpt-6-sol because OPENAI_API_KEY is set");
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
    insta::assert_snapshot!(chosen("", &[]), @r#"No model is set up: set ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or COHERE_API_KEY in the environment that the editor starts from, or start a local server (Ollama, llama.cpp, LM Studio or vLLM, on its usual port), or describe a provider in config.toml ([providers.local] with kind = "openai-chat" and base_url = "http://127.0.0.1:8080/v1", then model = "local/NAME"). To look around without a model, set model = "scripted/demo"."#);
    insta::assert_snapshot!(chosen("[providers.local]\nkind = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"", &[("ANTHROPIC_API_KEY", "")]), @r#"No model is set up: set ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or COHERE_API_KEY in the environment that the editor starts from, or start a local server (Ollama, llama.cpp, LM Studio or vLLM, on its usual port), or describe a provider in config.toml ([providers.local] with kind = "openai-chat" and base_url = "http://127.0.0.1:8080/v1", then model = "local/NAME"). To look around without a model, set model = "scripted/demo". Of the provider local no model is known: name one with model = "local/NAME"."#);
    insta::assert_snapshot!(chosen("model = \"gpt-4.1\"", &[]), @r#"The setting model is "gpt-4.1", and should be TABLE/MODEL, for instance anthropic/claude-sonnet-5-5."#);
    insta::assert_snapshot!(chosen("model = \"mine/gpt\"", &[]), @"The settings have no provider mine; write a table [providers.mine] with its kind.");
    insta::assert_snapshot!(chosen("model = \"mine/gpt\"\n[providers.mine]\nbase_url = \"http://x\"\napi_key_env = \"MINE\"", &[]), @"The provider mine cannot be used: it needs kind (anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama or script); also, base_url would send the key and the code to x unencrypted; use https, or set insecure = true; also, the environment variable MINE is not set; set it where the editor starts from.");
    insta::assert_snapshot!(chosen("model = \"anthropic/x\"", &[]), @"The provider anthropic cannot be used: the environment variable ANTHROPIC_API_KEY is not set; set it where the editor starts from, name a program in api_key_command, or keep the key in the keyring (service cowrite, user anthropic).");
    insta::assert_snapshot!(
        chosen("model = \"mine/x\"\n[providers.mine]\nkind = \"openai-chat\"\nbase_url = \"http://far.example/v1\"\napi_key_env = \"MINE\"", &[]),
        @"The provider mine cannot be used: base_url would send the key and the code to far.example unencrypted; use https, or set insecure = true; also, the environment variable MINE is not set; set it where the editor starts from, name a program in api_key_command, or keep the key in the keyring (service cowrite, user mine)."
    );
    insta::assert_snapshot!(chosen("model = \"s/x\"\n[providers.s]\nkind = \"script\"\npath = \"/nowhere.json\"", &[]), @"the script /nowhere.json cannot be read (No such file or directory (os error 2)); mend its path");
}

#[test]
fn openais_key_goes_to_openai_only() {
    let variable = |toml: &str| {
        let (settings, nothing) = (settings(toml), Environment::of(&[]));
        let plan = Plan::of(&settings, &nothing, "x").unwrap();
        let http = plan.reach(&settings, &nothing).unwrap().http;
        plan.usual_variables(Some(&http)).join(" ")
    };
    let table = "[providers.x]\nkind = \"openai-chat\"\n";
    assert_eq!(variable(table), "OPENAI_API_KEY");
    assert_eq!(variable(&format!("{table}base_url = \"https://api.openai.com/v1/\"")), "OPENAI_API_KEY");
    for base in ["https://openrouter.ai/api/v1", "http://127.0.0.1:8080/v1", "https://api.openai.com.evil.example/v1"] {
        assert_eq!(variable(&format!("{table}base_url = \"{base}\"")), "", "{base}");
    }
    assert_eq!(variable("[providers.x]\nkind = \"ollama\""), "");
    assert_eq!(variable("[providers.x]\nkind = \"azure\"\nresource = \"r\""), "AZURE_OPENAI_API_KEY");
    // Nor does any other key go to a host that is not its own, unless it is named for it.
    for kind in ["anthropic", "openai", "gemini", "cohere", "azure"] {
        let table = format!("[providers.x]\nkind = \"{kind}\"\nbase_url = ");
        for base in ["https://gateway.example/v1", "https://api.anthropic.com.evil.example", "https://evil-cohere.com"]
        {
            assert_eq!(variable(&format!("{table}\"{base}\"")), "", "{kind} {base}");
        }
        assert_ne!(variable(&format!("{table}\"http://127.0.0.1:1\"")), "", "{kind}");
    }
    let local = "[providers.lmstudio]\nkind = \"openai-chat\"\nstream = false";
    let plan = Plan::of(&settings(local), &Environment::of(&[OPENAI]), "lmstudio")
        .unwrap()
        .reach(&settings(local), &Environment::of(&[OPENAI]))
        .unwrap();
    assert_eq!((plan.http.address().as_str(), plan.key.variable()), ("http://127.0.0.1:1234/v1", None));
    // A server on this machine that nobody wrote a table for is sent nobody's key.
    for local in ["ollama", "llamacpp", "lmstudio", "vllm"] {
        let plan = Plan::of(&Settings::default(), &Environment::of(&[OPENAI]), local).unwrap();
        let reach = plan.reach(&Settings::default(), &Environment::of(&[OPENAI])).unwrap();
        assert!(reach.http.loopback() && reach.key.variable().is_none(), "{local}");
    }
}

#[test]
fn p2_everything_that_is_missing_is_named_at_once() {
    insta::assert_snapshot!(chosen("model = \"azure/x\"\n[providers.azure]\ndeployment = \"d\"", &[OPENAI]), @"The provider azure cannot be used: it needs resource or base_url in [providers.azure]; also, the environment variable AZURE_OPENAI_API_KEY is not set; set it where the editor starts from, name a program in api_key_command, or keep the key in the keyring (service cowrite, user azure).");
    insta::assert_snapshot!(chosen("model = \"bedrock/x\"", &[OPENAI]), @"The provider bedrock cannot be used: it needs a region: set providers.bedrock.region or AWS_REGION; also, it needs credentials: set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE where the editor starts from; the profile default holds none either, in ~/.aws/config and ~/.aws/credentials.");
}

#[test]
fn what_is_known_of_a_model_is_used() {
    let catalog = Arc::new(Catalog::load(None));
    let settings = settings("model = \"scripted/demo\"\n[models.\"scripted/demo\"]\ncontext = 4096");
    assert_eq!(build(&settings, &Environment::of(&[]), "scripted/demo", catalog).unwrap().context(), Some(4096));
}

const TYPO: &str = "[providers.anthropic]\nbaseurl = \"http://127.0.0.1:1\"\n";
const WRONG: &str = "[providers.openai]\nregion = \"eu/1\"\n";
const SOUND: &str = "[providers.local]\nkind = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1\"\n";

#[test]
fn a_model_of_a_faulty_table_never_goes_to_the_public_host_of_that_name() {
    let named = |model: &str, tables: &str| from_file(&format!("model = {model:?}\n{tables}"), &json!({}));
    insta::assert_snapshot!(named("anthropic/m", TYPO), @"The provider anthropic is not used because of a fault in the settings (/c/config.toml:3:1: providers.anthropic.baseurl: unknown key; did you mean `base_url`?); mend it.");
    insta::assert_snapshot!(named("openai/gpt", WRONG), @"The provider openai is not used because of a fault in the settings (/c/config.toml:3:10: providers.openai.region: expected a name of letters, digits and `-`); mend it.");
    insta::assert_snapshot!(named("foo/m", "[providers.foo]\nkind = \"openai-chat\"\nbase_ulr = \"http://127.0.0.1:1\"\nport = 1"), @"The provider foo is not used because of a fault in the settings (/c/config.toml:4:1: providers.foo.base_ulr: unknown key; did you mean `base_url`?; /c/config.toml:5:1: providers.foo.port: unknown key; known here: kind, base_url, api_key_env, insecure, path, api_key_command, api_key, stream, resource, deployment, api_version, region, profile); mend it.");
    insta::assert_snapshot!(named("far/m", "[providers.far]\nkind = \"ollama\"\nbase_url = \"http://far.example\""), @"The provider far is not used because of a fault in the settings (/c/config.toml:4:12: providers.far.base_url: plain http goes to this machine only: expected https, or `insecure = true` beside it); mend it.");
    // What the editor adds to a faulty table does not say where the faulty line wanted to go.
    let editor = json!({"model": "anthropic/m", "providers": {"anthropic": {"api_key_env": "ANTHROPIC_API_KEY"}}});
    assert_eq!(from_file(TYPO, &editor), named("anthropic/m", TYPO).replace(":3:1", ":2:1"));
}

#[test]
fn a_table_whose_name_is_mistyped_is_missed_where_a_public_provider_would_take_its_place() {
    let named = |tables: &str| from_file(&format!("model = \"anthropic/m\"\n{tables}"), &json!({}));
    insta::assert_snapshot!(named("[providers.Antropic]\nbase_url = \"http://127.0.0.1:1\""), @"The provider anthropic is not used because of a fault in the settings (/c/config.toml:2:12: providers.Antropic: `kind` is missing: expected one of anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama, script); mend it.");
    insta::assert_snapshot!(named("[provider.anthropic]\nbase_url = \"http://127.0.0.1:1\""), @"The provider anthropic is not used because what the settings may say of it could not be read (/c/config.toml:2:2: provider: unknown key; did you mean `providers`?); mend it.");
    insta::assert_snapshot!(named("[[providers]]\nname = \"anthropic\"\nbase_url = \"http://127.0.0.1:1\""), @"The provider anthropic is not used because what the settings may say of it could not be read (/c/config.toml:2:1: providers: expected a table, found a list); mend it.");
}

#[test]
fn a_fault_of_another_table_leaves_a_named_model_alone() {
    for model in ["local/m", "openai/gpt", "ollama/qwen", "scripted/demo"] {
        let said = from_file(&format!("model = {model:?}\n{TYPO}{SOUND}"), &json!({}));
        assert_eq!(said, format!("{model} because the setting model names it"));
    }
    let other = "model = \"anthropic/m\"\n[providers.bedrock]\nregion = 7";
    assert_eq!(from_file(other, &json!({})), "anthropic/m because the setting model names it");
}

#[test]
fn while_a_table_is_faulty_no_public_provider_is_chosen_unasked() {
    insta::assert_snapshot!(from_file(TYPO, &json!({})), @"No model is chosen because of a fault in the settings that may hide which one is meant (/c/config.toml:2:1: providers.anthropic.baseurl: unknown key; did you mean `base_url`?); mend it.");
    insta::assert_snapshot!(from_file(WRONG, &json!({})), @"No model is chosen because of a fault in the settings that may hide which one is meant (/c/config.toml:2:10: providers.openai.region: expected a name of letters, digits and `-`); mend it.");
    insta::assert_snapshot!(from_file("[providers.mine]\nkind = \"olama\"", &json!({})), @r#"No model is chosen because of a fault in the settings that may hide which one is meant (/c/config.toml:2:8: providers.mine.kind: expected one of anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama, script, found "olama"; did you mean "ollama"?); mend it."#);
    insta::assert_snapshot!(from_file("providers = []", &json!({})), @"No model is chosen because of a fault in the settings that may hide which one is meant (/c/config.toml:1:13: providers: expected a table, found a list); mend it.");
    // Nor is a key the cure where there is none.
    let file = Layer::toml(LayerName::User, Path::new("/c/config.toml"), WRONG);
    let without_keys = told(&merge(&[file]).settings, &[]);
    assert_eq!(without_keys, from_file(WRONG, &json!({})));
    // A table that is sound is the person's own word.
    let sound = format!("{TYPO}{SOUND}[models.\"local/qwen\"]");
    assert_eq!(from_file(&sound, &json!({})), "local/qwen because providers.local is in the settings");
}

#[test]
fn a_model_that_was_named_wrongly_is_not_replaced_by_another() {
    let tables = format!("{SOUND}[models.\"local/qwen\"]");
    insta::assert_snapshot!(from_file(&format!("model = [\"local/qwen\"]\n{tables}"), &json!({})), @"No model is chosen because of a fault in the settings that may hide which one is meant (/c/config.toml:1:9: model: expected text in quotes, found a list); mend it.");
    insta::assert_snapshot!(from_file(&format!("modle = \"local/qwen\"\n{tables}"), &json!({})), @"No model is chosen because of a fault in the settings that may hide which one is meant (/c/config.toml:1:1: modle: unknown key; did you mean `model`?); mend it.");
    insta::assert_snapshot!(from_file("model = \"anthropic/m\"", &json!({"model": ["local/qwen"]})), @"No model is chosen because of a fault in the settings that may hide which one is meant (initializationOptions: model: expected text in quotes, found a list); mend it.");
    assert_eq!(
        from_file("model = 3", &json!({"model": "scripted/demo"})),
        "scripted/demo because the setting model names it"
    );
}

#[test]
fn other_faults_of_the_file_do_not_matter_for_the_choice() {
    for file in
        ["[limits]\nmax_turn = 3", "mode = 3", "[hooks]", "[models.x]\n", "[commands.a]\ntitle = \"A\"", "zzz = 1"]
    {
        let said = from_file(file, &json!({}));
        assert_eq!(said, "anthropic/claude-sonnet-5-5 because ANTHROPIC_API_KEY is set", "{file}");
    }
}

#[test]
fn a_settings_file_that_cannot_be_read_sends_nothing_to_a_public_provider() {
    let broken = "[providers.local\n";
    insta::assert_snapshot!(from_file(broken, &json!({})), @"No model is chosen because of a fault in the settings that may hide which one is meant (/c/config.toml:1:17: this is not TOML: unclosed table, expected `]`); mend it.");
    insta::assert_snapshot!(from_file(broken, &json!({"model": "anthropic/m"})), @"The provider anthropic is not used because what the settings may say of it could not be read (/c/config.toml:1:17: this is not TOML: unclosed table, expected `]`); mend it.");
    insta::assert_snapshot!(from_file(broken, &json!({"model": "local/m"})), @"The provider local is not used because what the settings may say of it could not be read (/c/config.toml:1:17: this is not TOML: unclosed table, expected `]`); mend it.");
    // What the editor says in full needs no file.
    let local = json!({"kind": "openai-chat", "base_url": "http://127.0.0.1:1"});
    for (model, tables) in
        [("local/m", json!({"local": local})), ("anthropic/m", json!({"anthropic": {}})), ("scripted/demo", json!({}))]
    {
        let said = from_file(broken, &json!({"model": model, "providers": tables}));
        assert_eq!(said, format!("{model} because the setting model names it"));
    }
    insta::assert_snapshot!(from_file("", &json!("fast")), @"No model is chosen because of a fault in the settings that may hide which one is meant (initializationOptions: expected a table, found text); mend it.");

    let folder = tempfile::tempdir().unwrap();
    let from_disk = |config: &Path, config_is_named| {
        let places = Places { config: Some(config.to_owned()), config_is_named, state: None };
        told(&load(&places, None).settings, &[ANTHROPIC, OPENAI]).replace(&config.display().to_string(), "FILE")
    };
    insta::assert_snapshot!(from_disk(folder.path(), false), @"No model is chosen because of a fault in the settings that may hide which one is meant (FILE: could not read the settings file: it is not a regular file (it may hold deny rules, so everything is denied until this is mended)); mend it.");
    let missing = folder.path().join("missing.toml");
    insta::assert_snapshot!(from_disk(&missing, true), @"No model is chosen because of a fault in the settings that may hide which one is meant (FILE: there is no such file; COWRITE_CONFIG names it: expected a settings file); mend it.");
    assert_eq!(from_disk(&missing, false), "anthropic/claude-sonnet-5-5 because ANTHROPIC_API_KEY is set");
}

#[test]
fn the_settings_and_the_choice_accept_the_same_tables_that_nobody_wrote() {
    let names = ["anthropic", "openai", "openai-chat", "ollama", "script", "scripted", "gemini", "llamacpp", "mine"];
    for table in names {
        let file = Layer::toml(LayerName::User, Path::new("/c/config.toml"), &format!("model = \"{table}/demo\""));
        let loaded = merge(&[file]);
        let connected = Plan::of(&loaded.settings, &Environment::of(&[]), table).is_ok();
        assert_eq!(loaded.faults.is_empty(), connected, "{table}: {:?}", loaded.faults);
    }
}
