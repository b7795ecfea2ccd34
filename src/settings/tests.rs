use super::*;
use crate::protocol::{Mode, Usage};

fn toml(text: &str) -> Loaded {
    merge(&[Layer::toml(LayerName::User, Path::new("/c/config.toml"), text)])
}

/// What a person reads of a file's faults.
fn told(text: &str) -> Vec<String> {
    toml(text).faults.iter().map(|fault| fault.to_string().replace("/c/config.toml:", "")).collect()
}

/// Wrong files, each with the one thing that is said of it.
const WRONG: &[(&str, &str)] = &[
    ("modle = \"a/b\"", "1:1: modle: unknown key; did you mean `model`?"),
    (
        "\n\nxyzzy = 1",
        "3:1: xyzzy: unknown key; known here: model, mode, log_file, providers, models, limits, commands, compaction, permissions, verify, hooks, mcp",
    ),
    ("Mode = \"edit\"", "1:1: Mode: unknown key; did you mean `mode`?"),
    ("model = 3", "1:9: model: expected text in quotes, found a whole number"),
    ("model = \"\"", "1:9: model: expected text, found an empty one"),
    (
        "model = \"gpt-5\"",
        "1:9: model: expected PROVIDER/MODEL, such as \"anthropic/claude-sonnet-5-5\", found \"gpt-5\"",
    ),
    (
        "model = \"/gpt-5\"",
        "1:9: model: expected PROVIDER/MODEL, such as \"anthropic/claude-sonnet-5-5\", found \"/gpt-5\"",
    ),
    (
        "model = \"lokal/qwen\"\n[providers.local]\nkind = \"ollama\"",
        "1:9: model: there is no provider \"lokal\": expected a table [providers.lokal]",
    ),
    (
        "mode = \"palan\"",
        "1:8: mode: expected one of plan, ask, edit, auto, found \"palan\"; did you mean \"plan\"? (until it is mended the mode is `plan`, which changes nothing)",
    ),
    (
        "mode = true",
        "1:8: mode: expected one of plan, ask, edit, auto, found true or false (until it is mended the mode is `plan`, which changes nothing)",
    ),
    ("log_file = \"\"", "1:12: log_file: expected text, found an empty one"),
    ("log_file = [\"a\"]", "1:12: log_file: expected text in quotes, found a list"),
    ("[limits]\nmax_turns = 0", "2:13: limits.max_turns: expected a whole number of at least 1, found 0"),
    ("[limits]\nmax_turns = -5", "2:13: limits.max_turns: expected a whole number of at least 1, found -5"),
    ("[limits]\nmax_turns = \"100\"", "2:13: limits.max_turns: expected a whole number of at least 1, found text"),
    ("[limits]\nmax_turns = 1.5", "2:13: limits.max_turns: expected a whole number of at least 1, found a number"),
    (
        "[limits]\nmax_turns = 4294967296",
        "2:13: limits.max_turns: expected a whole number of at least 1, found one that is too large",
    ),
    (
        "[limits]\nmax_runs = 99999999999999999999999",
        "2:12: limits.max_runs: expected a whole number of at least 1, found one that is too large",
    ),
    ("[limits]\n  max_turn = 7", "2:3: limits.max_turn: unknown key; did you mean `max_turns`?"),
    (
        "[limits]\nidle_seconds = 1979-05-27",
        "2:16: limits.idle_seconds: expected a whole number of at least 1, found a date",
    ),
    ("limits = 5", "1:10: limits: expected a table, found a whole number"),
    (
        "limits.tool_output_bytes = false",
        "1:28: limits.tool_output_bytes: expected a whole number of at least 1, found true or false",
    ),
    (
        "[providers.claude]\nbase_url = \"https://api.anthropic.com\"",
        "1:12: providers.claude: `kind` is missing: expected one of anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama, script (the provider \"claude\" is not used until this is mended)",
    ),
    (
        "[providers.local]",
        "1:12: providers.local: `kind` is missing: expected one of anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama, script (the provider \"local\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nkind = \"antropic\"",
        "2:8: providers.anthropic.kind: expected one of anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama, script, found \"antropic\"; did you mean \"anthropic\"? (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.bedrock]\nregion = \"eu.evil.example/\"",
        "2:10: providers.bedrock.region: expected a name of letters, digits and `-` (the provider \"bedrock\" is not used until this is mended)",
    ),
    (
        "[providers.azure]\nresource = \"evil.example/r\"",
        "2:12: providers.azure.resource: expected a name of letters, digits and `-` (the provider \"azure\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nbase_ulr = \"https://example.com\"",
        "2:1: providers.anthropic.base_ulr: unknown key; did you mean `base_url`? (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nbase_url = \"example\"",
        "2:12: providers.anthropic.base_url: expected a URL such as \"https://api.example.com/v1\": relative URL without a base (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nbase_url = \"ftp://example.com\"",
        "2:12: providers.anthropic.base_url: expected a URL such as \"https://api.example.com/v1\", found the scheme \"ftp\" (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nbase_url = \"https://me:hunter2@example.com\"",
        "2:12: providers.anthropic.base_url: expected a URL without a name or password in it: keys come from environment variables (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nbase_url = \"https://example.com/?key=hunter2\"",
        "2:12: providers.anthropic.base_url: expected a URL without `?` and `#`: request paths are added to its end (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nbase_url = \"http://example.com\"",
        "2:12: providers.anthropic.base_url: plain http goes to this machine only: expected https, or `insecure = true` beside it (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nbase_url = \"http://127.0.0.1.example.com\"",
        "2:12: providers.anthropic.base_url: plain http goes to this machine only: expected https, or `insecure = true` beside it (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\nkind = \"anthropic\"\napi_key = \"hunter2\"",
        "3:1: providers.anthropic.api_key: settings hold no keys: put it into an environment variable and name that in `api_key_env` (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\napi_key_env = \"sk-ant-hunter2\"",
        "2:15: providers.anthropic.api_key_env: expected the name of an environment variable, such as ANTHROPIC_API_KEY; the key itself does not belong here (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\napi_key_env = [\"hunter2\"]",
        "2:15: providers.anthropic.api_key_env: expected text in quotes, found a list (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.anthropic]\napi_key_command = \"pass hunter2\"",
        "2:19: providers.anthropic.api_key_command: expected a program and its arguments, such as [\"pass\", \"show\", \"anthropic\"], found text (the provider \"anthropic\" is not used until this is mended)",
    ),
    (
        "[providers.ollama]\ninsecure = \"yes\"",
        "2:12: providers.ollama.insecure: expected true or false, found text (the provider \"ollama\" is not used until this is mended)",
    ),
    (
        "[providers.\"a/b\"]\nkind = \"ollama\"",
        "1:12: providers.\"a/b\": expected a name without `/`, because a model is named NAME/MODEL (the provider \"a/b\" is not used until this is mended)",
    ),
    (
        "[providers]\nollama = \"http://127.0.0.1\"",
        "2:10: providers.ollama: expected a table, found text (the provider \"ollama\" is not used until this is mended)",
    ),
    ("[[providers]]\nkind = \"ollama\"", "1:1: providers: expected a table, found a list"),
    ("[models.qwen]\ncontext = 5", "1:9: models.qwen: expected a name of the form \"PROVIDER/MODEL\", in quotes"),
    ("[models.\"a/b\"]\ncontext = 0", "2:11: models.\"a/b\".context: expected a whole number of at least 1, found 0"),
    (
        "[models.\"a/b\"]\ncontext = 4096\nmax_output = 4096",
        "3:14: models.\"a/b\".max_output: expected less than the 4096 tokens of `context`, found 4096",
    ),
    ("[models.\"a/b\"]\ntemperature = 3", "2:15: models.\"a/b\".temperature: expected a number from 0 to 2, found 3"),
    (
        "[models.\"a/b\"]\ntemperature = nan",
        "2:15: models.\"a/b\".temperature: expected a number from 0 to 2, found NaN",
    ),
    (
        "[models.\"a/b\"]\nedit_format = \"diff\"",
        "2:15: models.\"a/b\".edit_format: expected one of str_replace, patch, found \"diff\"",
    ),
    (
        "[commands.tidy]\ntitle = \"Tidy\"",
        "1:11: commands.tidy: `prompt` is missing: expected the template of the prompt (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.Tidy]\nprompt = \"Tidy\"",
        "1:11: commands.Tidy: expected a command name of a-z, 0-9 and `-` (the command \"Tidy\" is not used until this is mended)",
    ),
    (
        "[commands.cancel]\nprompt = \"Tidy\"",
        "1:11: commands.cancel: `cowrite.cancel` is a command of the server: expected another name (the command \"cancel\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy {{ selection\"",
        "2:10: commands.tidy.prompt: syntax error: unexpected end of input, expected end of variable block (line 1 of the template) (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"\"\"\none\n{% if %}\n\"\"\"",
        "2:10: commands.tidy.prompt: syntax error: unexpected end of block (line 2 of the template) (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy {{ selecton }}\"",
        "2:10: commands.tidy.prompt: unknown variable `selecton`; did you mean `selection`? (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"{{ os.environ }}\"",
        "2:10: commands.tidy.prompt: unknown variable `os`; templates know file, content, selection, language, line, prompt, diagnostics, open_files, git_diff, workspace, end_line, context, unsaved_diff (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy {{ file|tidied }}\"",
        "2:10: commands.tidy.prompt: unknown filter: filter tidied is unknown (line 1 of the template) (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy\"\nneeds = \"selektion\"",
        "3:9: commands.tidy.needs: expected one of nothing, file, selection, diagnostics, found \"selektion\"; did you mean \"selection\"? (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy\"\nkind = \"refactor\"",
        "3:8: commands.tidy.kind: expected one of quickfix, refactor.rewrite, source, found \"refactor\" (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy\"\nmode = \"yolo\"",
        "3:8: commands.tidy.mode: expected one of plan, ask, edit, auto, found \"yolo\" (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy\"\ntools = [\"raed\"]",
        "3:9: commands.tidy.tools: there is no tool \"raed\"; did you mean \"read\"? (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy\"\ntools = \"read\"",
        "3:9: commands.tidy.tools: expected a list of text, found text (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy\"\ntools = [1]",
        "3:9: commands.tidy.tools: expected a list of text, found a whole number in it (the command \"tidy\" is not used until this is mended)",
    ),
    (
        "[commands.tidy]\nprompt = \"Tidy\"\ntool = [\"read\"]",
        "3:1: commands.tidy.tool: unknown key; did you mean `tools`? (the command \"tidy\" is not used until this is mended)",
    ),
    ("[models.\"a/b\"]\nprice = 3", "2:9: models.\"a/b\".price: expected a table, found a whole number"),
    (
        "[models.\"a/b\"]\nprice = {input = 3, output = -15}",
        "2:30: models.\"a/b\".price.output: expected a number of at least 0, found -15",
    ),
    (
        "[models.\"a/b\".price]\ncache_read = inf",
        "2:14: models.\"a/b\".price.cache_read: expected a number of at least 0, found inf",
    ),
    (
        "[models.\"a/b\"]\nprice = {cache = 0.3}",
        "2:10: models.\"a/b\".price.cache: unknown key; known here: input, output, cache_read, cache_write",
    ),
    ("[compaction]\nenabled = \"no\"", "2:11: compaction.enabled: expected true or false, found text"),
    ("[compaction]\nsoft = 0", "2:8: compaction.soft: expected a number above 0 and up to 1, found 0"),
    ("[compaction]\nsoft = nan", "2:8: compaction.soft: expected a number above 0 and up to 1, found NaN"),
    ("[compaction]\nhard = 85", "2:8: compaction.hard: expected a number above 0 and up to 1, found 85"),
    ("[compaction]\nhard = \"85%\"", "2:8: compaction.hard: expected a number above 0 and up to 1, found text"),
    (
        "[compaction]\nsoft = 0.9",
        "2:8: compaction.soft: expected less than the 0.85 of `hard`, found 0.9 (until this is mended `soft` is 0.6 and `hard` is 0.85)",
    ),
    (
        "[compaction]\nhard = 0.6",
        "2:8: compaction.hard: expected more than the 0.6 of `soft`, found 0.6 (until this is mended `soft` is 0.6 and `hard` is 0.85)",
    ),
    (
        "[compaction]\nhard = 0.4\nsoft = 0.5",
        "3:8: compaction.soft: expected less than the 0.4 of `hard`, found 0.5 (until this is mended `soft` is 0.6 and `hard` is 0.85)",
    ),
    (
        "[compaction]\nmode = \"keep-recent\"",
        "2:8: compaction.mode: expected one of keep_recent, safe_frontier, found \"keep-recent\"; did you mean \"keep_recent\"?",
    ),
    (
        "[compaction]\nkeep_recent_tokens = 0",
        "2:22: compaction.keep_recent_tokens: expected a whole number of at least 1, found 0",
    ),
    (
        "[compaction]\nmin_gain_tokens = 0.5",
        "2:19: compaction.min_gain_tokens: expected a whole number of at least 1, found a number",
    ),
    (
        "[compaction]\ntool_result_preview_tokens = -1",
        "2:30: compaction.tool_result_preview_tokens: expected a whole number of at least 1, found -1",
    ),
    (
        "[compaction]\nmodel = \"haiku\"",
        "2:9: compaction.model: expected PROVIDER/MODEL, such as \"anthropic/claude-sonnet-5-5\", found \"haiku\" (the session's own model summarises until this is mended)",
    ),
    (
        "[compaction]\nmodel = \"lokal/qwen\"",
        "2:9: compaction.model: there is no provider \"lokal\": expected a table [providers.lokal] (the session's own model summarises until this is mended)",
    ),
    (
        "[compaction]\nmodel = 3",
        "2:9: compaction.model: expected text in quotes, found a whole number (the session's own model summarises until this is mended)",
    ),
    (
        "[compaction]\ncooldown_seconds = -1",
        "2:20: compaction.cooldown_seconds: expected a whole number of at least 0, found -1",
    ),
    (
        "[compaction]\ncooldown_seconds = \"60 s\"",
        "2:20: compaction.cooldown_seconds: expected a whole number of at least 0, found text",
    ),
    (
        "[compaction]\ntimeout_seconds = 0",
        "2:19: compaction.timeout_seconds: expected a whole number of at least 1, found 0",
    ),
    ("[compaction]\nmax_attempts = 0", "2:16: compaction.max_attempts: expected a whole number of at least 1, found 0"),
    ("[compaction]\nsfot = 0.5", "2:1: compaction.sfot: unknown key; did you mean `soft`?"),
    ("[permissions]\nallow = \"run(ls)\"", "2:9: permissions.allow: expected a list of rules, found text"),
    ("[permissions]\nnetwork = \"no\"", "2:11: permissions.network: expected true or false, found text"),
    (
        "[permissions]\ndeny = [3]",
        "2:9: permissions.deny: expected text in quotes, found a whole number (everything of its kind is denied until this is mended)",
    ),
    (
        "[permissions]\nenv = [\"A-B\"]",
        "2:7: permissions.env: expected names of variables, found one with other characters than letters, digits and `_`",
    ),
    ("[verify]\ncommands = [\" \"]", "2:12: verify.commands: expected command lines, found an empty one"),
    ("[hooks]\nbefore_tol = []", "2:1: hooks.before_tol: unknown key; did you mean `before_tool`?"),
    (
        "[hooks]\nbefore_tool = [\"./check.sh\"]",
        "2:15: hooks.before_tool: expected a program with its arguments, as a list of text, found text",
    ),
    (
        "[mcp.docs]\nenv = []",
        "1:6: mcp.docs: expected `command` or `url`, and not both (the server \"docs\" is not used until this is mended)",
    ),
    (
        "[mcp.a__b]\ncommand = [\"x\"]",
        "1:6: mcp.a__b: expected a name of letters, digits, `-` and single `_`: its tools are called NAME__TOOL (the server \"a__b\" is not used until this is mended)",
    ),
    ("mode = edit", "1:8: this is not TOML: string values must be quoted, expected literal string"),
    ("mode = \"edit\"\nmode = \"auto\"", "2:1: this is not TOML: duplicate key"),
    ("[limits\nmax_turns = 5", "1:8: this is not TOML: unclosed table, expected `]`"),
    ("model = \"a/b", "1:13: this is not TOML: invalid basic string, expected `\"`"),
];

#[test]
fn each_wrong_file_is_told_by_line_key_and_what_was_expected() {
    for (file, expected) in WRONG {
        assert_eq!(told(file), [*expected], "\n{file}\n");
    }
}

#[test]
fn a_good_line_after_each_wrong_file_still_counts() {
    for (file, _) in WRONG.iter().filter(|(_, told)| !told.contains("not TOML")) {
        // The first lines of a file belong to no table, so the good one goes there.
        let loaded = toml(&format!("log_file = \"/tmp/log\"\n{}", file.replace("log_file", "logs")));
        assert_eq!(loaded.settings.log_file.as_deref(), Some(Path::new("/tmp/log")), "\n{file}\n");
        assert!(!loaded.faults.is_empty());
    }
}

#[test]
fn no_fault_repeats_what_may_be_a_secret() {
    for (file, _) in WRONG {
        assert!(!told(file).concat().contains("hunter2"), "\n{file}\n");
    }
}

#[test]
fn the_file_of_the_protocol_page_has_no_fault_beyond_what_comes_later() {
    let loaded = toml(
        r#"
        model = "anthropic/claude-sonnet-5-5"
        mode = "auto"
        log_file = "log/cowrite.log"
        [providers.anthropic]
        base_url = "https://api.anthropic.com"
        api_key_env = "MY_KEY"
        [providers.local]
        kind = "openai-chat"
        base_url = "http://127.0.0.1:8080/v1"
        [providers.lan]
        kind = "ollama"
        base_url = "http://192.168.1.2:11434/v1"
        insecure = true
        [providers.scripted]
        kind = "script"
        path = "conversation.json"
        [models."local/my-model"]
        context = 32_768
        max_output = 4096
        temperature = 1
        price = { input = 3, output = 15.0, cache_read = 0.3, cache_write = 3.75 }
        [limits]
        max_turns = 0x10
        [compaction]
        enabled = false
        soft = 0.5
        hard = 1
        mode = "safe_frontier"
        keep_recent_tokens = 8000
        min_gain_tokens = 500
        tool_result_preview_tokens = 1000
        model = "local/small"
        cooldown_seconds = 0
        timeout_seconds = 30
        max_attempts = 7
        [commands.tidy]
        title = "Tidy this function"
        prompt = "Simplify {{ selection }} in {{ file }} without changing what it does."
        kind = "refactor.rewrite"
        needs = "selection"
        mode = "edit"
        tools = ["read", "search", "edit", "docs__look_up"]
        "#,
    );
    assert_eq!(loaded.faults, []);
    let settings = loaded.settings;
    assert_eq!(settings.providers["anthropic"].kind, Some(ProviderKind::Anthropic), "from the table's name");
    assert_eq!(settings.providers["scripted"].path.as_deref(), Some(Path::new("/c/conversation.json")));
    assert_eq!(settings.log_file.as_deref(), Some(Path::new("/c/log/cowrite.log")));
    assert_eq!(settings.models["local/my-model"].temperature, Some(1.0));
    assert_eq!((settings.limits.max_turns, settings.limits.max_runs), (16, 200));
    assert_eq!(settings.commands["tidy"].needs, Needs::Selection);
    let price = Price { input: Some(3.0), output: Some(15.0), cache_read: Some(0.3), cache_write: Some(3.75) };
    assert_eq!(settings.models["local/my-model"].price, Some(price));
    let compaction = CompactionSettings {
        enabled: false,
        soft: 0.5,
        hard: 1.0,
        mode: CompactionMode::SafeFrontier,
        keep_recent_tokens: 8000,
        min_gain_tokens: 500,
        tool_result_preview_tokens: 1000,
        model: Some("local/small".to_owned()),
        cooldown_seconds: 0,
        timeout_seconds: 30,
        max_attempts: 7,
    };
    assert_eq!(settings.compaction, compaction);
    assert_eq!(loaded.origins["limits.max_turns"].at.as_ref().map(|at| at.line), Some(24));
}

#[test]
fn the_editor_wins_over_the_file_value_by_value() {
    let file = Layer::toml(
        LayerName::User,
        Path::new("/c/config.toml"),
        "mode = \"plan\"\n[providers.local]\nkind = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n[limits]\nmax_turns = 7",
    );
    let editor = serde_json::json!({
        "mode": "edit", "model": null, "log_file": null,
        "providers": {"local": {"base_url": "http://localhost:2/v1"}},
        "limits": {"max_runs": 3.0}, "models": [], "commands": {},
    });
    let loaded = merge(&[file, Layer::json(LayerName::InitializationOptions, &editor)]);
    assert_eq!(loaded.faults, []);
    let settings = loaded.settings;
    assert_eq!(settings.mode, Mode::Edit);
    assert_eq!(settings.providers["local"].kind, Some(ProviderKind::OpenaiChat));
    assert_eq!(settings.providers["local"].base_url.as_deref(), Some("http://localhost:2/v1"));
    assert_eq!((settings.limits.max_turns, settings.limits.max_runs), (7, 3));
    assert_eq!(loaded.origins["mode"].source.layer, LayerName::InitializationOptions);
    assert_eq!(loaded.origins["limits.max_turns"].source.layer, LayerName::User);
}

#[test]
fn a_fault_from_an_editor_names_initialization_options_and_the_key() {
    let options = serde_json::json!({"cowrite": {"limits": {"max_turns": 0}, "providers": {"local": {"kind": 1}}}});
    let told: Vec<_> = merge(&[Layer::json(LayerName::InitializationOptions, &options)])
        .faults
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "initializationOptions: limits.max_turns: expected a whole number of at least 1, found 0",
            "initializationOptions: providers.local.kind: expected one of anthropic, openai, openai-chat, azure, gemini, cohere, bedrock, ollama, script, found a \
             whole number (the provider \"local\" is not used until this is mended)",
        ]
    );
    let strange = merge(&[Layer::json(LayerName::InitializationOptions, &serde_json::json!("fast"))]);
    assert_eq!(strange.faults[0].to_string(), "initializationOptions: expected a table, found text");
}

#[test]
fn a_wrong_mode_changes_nothing_unasked_until_it_is_mended() {
    assert_eq!(toml("mode = \"palan\"").settings.mode, Mode::Plan);
}

#[test]
fn a_provider_with_a_fault_is_not_half_used() {
    let loaded = toml("[providers.local]\nkind = \"openai-chat\"\nbase_ulr = \"http://127.0.0.1:8080/v1\"");
    assert!(loaded.settings.providers.is_empty(), "it would have gone to another endpoint");
    let loaded = toml("[commands.tidy]\nprompt = \"Tidy\"\ntools = [\"raed\"]");
    assert!(loaded.settings.commands.is_empty(), "it would have had every tool");
}

#[test]
fn marks_that_cross_are_both_left_out_and_the_later_one_is_told() {
    let file = Layer::toml(LayerName::User, Path::new("/c/config.toml"), "[compaction]\nsoft = 0.7\nhard = 0.8");
    let editor = serde_json::json!({"compaction": {"hard": 0.65, "cooldown_seconds": 0, "model": null}});
    let loaded = merge(&[file, Layer::json(LayerName::InitializationOptions, &editor)]);
    let told: Vec<_> = loaded.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "initializationOptions: compaction.hard: expected more than the 0.7 of `soft`, found 0.65 (until this is mended `soft` is 0.6 and `hard` is 0.85)"
        ]
    );
    let usual = CompactionSettings::default();
    assert_eq!(loaded.settings.compaction, CompactionSettings { cooldown_seconds: 0, ..usual });
    assert_eq!(toml("[compaction]\nmodel = \"haiku\"").settings.compaction.model, None);
    // A table at fault is told where it stands, and nobody else is asked in its place.
    let loaded = toml("[providers.local]\nkind = \"olama\"\n[compaction]\nmodel = \"local/small\"");
    assert_eq!((loaded.faults.len(), loaded.settings.compaction.model.as_deref()), (1, Some("local/small")));
}

#[test]
fn a_cost_is_known_when_every_figure_and_every_price_that_it_takes_is() {
    let price = Price { input: Some(3.0), output: Some(15.0), cache_read: Some(0.3), cache_write: None };
    let usage = |input, output, cache_read, cache_write| Usage { input, output, cache_read, cache_write };
    for (usage, cost) in [
        (usage(Some(1_000_000), Some(100_000), Some(2_000_000), Some(0)), Some(3.0 + 1.5 + 0.6)),
        (usage(Some(1_000_000), Some(0), None, None), Some(3.0)),
        (usage(Some(0), Some(0), None, None), Some(0.0)),
        (usage(Some(1_000_000), Some(0), None, Some(1)), None),
        (usage(None, Some(100_000), None, None), None),
        (usage(Some(1_000_000), None, None, None), None),
        (Usage::default(), None),
    ] {
        let found = price.of(&usage);
        assert!(found.zip(cost).is_none_or(|(found, cost)| (found - cost).abs() < 1e-9), "{found:?} for {usage:?}");
        assert_eq!(found.is_some(), cost.is_some(), "{found:?} for {usage:?}");
    }
    let free = Price { input: Some(0.0), output: Some(0.0), ..Price::default() };
    assert_eq!(free.of(&usage(Some(5), Some(5), None, None)), Some(0.0));
    assert_eq!(Price::default().of(&usage(Some(5), Some(0), None, None)), None);
}

#[test]
fn several_faults_come_in_the_order_of_their_lines() {
    let lines: Vec<_> =
        toml("zzz = 1\nmode = 1\n[providers.anthropic]\nbase_url = \"http://example.com\"\n[limits]\na = 1")
            .faults
            .iter()
            .map(|fault| fault.at.as_ref().map(|at| (at.line, at.column)))
            .collect();
    assert_eq!(lines, [Some((1, 1)), Some((2, 8)), Some((4, 12)), Some((6, 1))]);
}

#[test]
fn columns_count_characters_and_bytes_are_those_of_the_value() {
    let text = "log_file = \"/tmp/ä\"\n[models.\"ä/ö\"]\ntemperature = \"ü\"";
    let fault = &toml(text).faults[0];
    let at = fault.at.as_ref().unwrap();
    assert_eq!((at.line, at.column, &text[at.bytes.clone()]), (3, 15, "\"ü\""));
    assert_eq!(fault.key, "models.\"ä/ö\".temperature");
}

fn from_disk(text: Option<&[u8]>, named: bool) -> Vec<String> {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("config.toml");
    if let Some(text) = text {
        std::fs::write(&file, text).unwrap();
    }
    let shown = file.display().to_string();
    let places = Places { config: Some(file), config_is_named: named, state: None };
    load(&places, None).faults.iter().map(|fault| fault.to_string().replace(&shown, "FILE")).collect()
}

#[test]
fn a_missing_file_is_told_only_when_it_was_named() {
    assert_eq!(from_disk(None, false), [""; 0]);
    assert_eq!(
        from_disk(None, true),
        ["FILE: there is no such file; COWRITE_CONFIG names it: expected a settings file"]
    );
}

#[test]
fn what_is_no_text_or_no_file_or_huge_is_told_and_starts_all_the_same() {
    let told = |why: &str| {
        let until = "it may hold deny rules, so everything is denied until this is mended";
        [format!("FILE: could not read the settings file: {why} ({until})")]
    };
    assert_eq!(from_disk(Some(b"mode = \"\xff\""), false), told("it is not UTF-8 text"));
    let huge = vec![b'#'; 2 << 20];
    assert_eq!(from_disk(Some(&huge), false), told("it is larger than 1 MiB"));
    assert_eq!(from_disk(Some("\u{feff}mode = \"edit\"".as_bytes()), false), [""; 0]);
    let folder = Places { config: Some(std::env::temp_dir()), config_is_named: true, state: None };
    assert!(load(&folder, None).faults[0].message.contains("it is not a regular file"));
}

#[test]
fn deeply_nested_and_strange_files_end_in_a_fault_and_not_in_a_crash() {
    for text in ["a=".to_owned() + &"[".repeat(100_000), "[a.".to_owned() + &"b.".repeat(50_000) + "c]", "\0".into()] {
        assert!(!toml(&text).faults.is_empty());
    }
}

proptest::proptest! {
    #[test]
    fn no_text_crashes_the_reader(text in "(\\[|\\]|\\{|\\}|=|\\.|\"|\n|model|mode|limits|providers|commands|tidy|prompt|1|é| ){0,40}") {
        let _ = toml(&text);
    }
}

#[test]
fn the_schema_lists_every_section_and_refuses_a_cap_of_zero() {
    let schema = schema();
    for section in ["model", "providers", "limits", "commands", "compaction", "permissions", "verify", "hooks", "mcp"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    assert_eq!(schema["$defs"]["Limits"]["properties"]["max_turns"]["minimum"], 1);
    let soft = &schema["$defs"]["CompactionSettings"]["properties"]["soft"];
    assert_eq!((&soft["exclusiveMinimum"], &soft["maximum"]), (&serde_json::json!(0), &serde_json::json!(1.0)));
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_form_of_edits_is_the_one_that_the_family_is_trained_on() {
    let patch = |model: &str| EditFormat::of_family(model) == EditFormat::Patch;
    for model in [
        "openai/gpt-6-sol",
        "openai-chat/gpt-4.1",
        "openai/o3",
        "openai/o4-mini",
        "openai/codex-mini-latest",
        "router/openai/gpt-5-codex",
        "router/openai/GPT-5",
        "bedrock/openai.gpt-oss-120b-1:0",
        "azure/gpt-5",
    ] {
        assert!(patch(model), "{model}");
    }
    for model in [
        "anthropic/claude-sonnet-5-5",
        "gemini/gemini-4-argon",
        "cohere/command-a-03-2025",
        "ollama/olmo-2",
        "ollama/qwen3-coder",
        "scripted/test",
        "gpt-tables/llama-4",
        "azure/my-deployment",
        "ollama/o1x",
        "",
    ] {
        assert!(!patch(model), "{model}");
    }
}

fn with_workspace(own: &str, workspace: &str) -> Loaded {
    let own = Layer::toml(LayerName::User, Path::new("/c/config.toml"), own);
    merge(&[own, Layer::toml(LayerName::Workspace, Path::new("/w/.cowrite/config.toml"), workspace)])
}

#[test]
fn a_workspace_never_hands_on_keys() {
    let own = "[providers.odd]\nkind = \"openai-chat\"\nbase_url = \"https://x.y\"\napi_key_env = \"MINE\"\n[permissions]\nenv = [\"OWN\", \"MY_TOKEN\"]\n\
               [mcp.docs]\nurl = \"https://docs.x\"\ntoken_env = \"DOCS_TOKEN\"";
    for (wrong, expected) in [
        (
            "[mcp.x]\nurl = \"https://evil.x\"\ntoken_env = \"ANTHROPIC_API_KEY\"",
            "mcp.x.token_env: is never read from a workspace's file; set it in your own (the server \"x\" is not used until this is mended)",
        ),
        (
            "[mcp.docs]\nurl = \"https://evil.x\"\ntoken_env = \"PLAIN\"",
            "mcp.docs.token_env: is never read from a workspace's file",
        ),
        ("[mcp.x]\ncommand = [\"a\"]\nenv = [\"HOME\", \"MINE\"]", "mcp.x.env: MINE holds the key of a provider"),
        ("[mcp.x]\ncommand = [\"a\"]\nenv = [\"mine\"]", "mcp.x.env: mine holds the key of a provider"),
        ("[permissions]\nenv = [\"HOME\", \"MINE\"]", "permissions.env: MINE holds the key of a provider"),
        ("[permissions]\nenv = [\"Github_Token\"]", "permissions.env: Github_Token looks like a secret"),
    ] {
        let loaded = with_workspace(own, wrong);
        let told: Vec<String> = loaded.faults.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{wrong}: {told:?}");
        assert!(told[0].starts_with("/w/.cowrite/config.toml:") && told[0].contains(expected), "{wrong}: {told:?}");
        assert!(!loaded.settings.mcp.contains_key("x"), "{wrong}");
        assert!(loaded.settings.mcp.get("docs").is_none_or(|docs| docs.url.as_deref() == Some("https://docs.x")));
        assert!(
            loaded.settings.permissions.env.iter().all(|name| ["OWN", "MY_TOKEN", "HOME"].contains(&name.as_str()))
        );
    }
    for name in
        ["X_KEY", "client_secret", "GH_TOKEN", "PGPASSWORD", "NPM_AUTH", "GOOGLE_APPLICATION_CREDENTIALS", "GH_PAT"]
    {
        let list = format!("[mcp.x]\ncommand = [\"a\"]\nenv = [\"{name}\"]");
        assert!(with_workspace("", &list).settings.mcp.is_empty(), "{name}");
        assert_eq!(toml(&list).faults, [], "{name} may be in one's own file");
    }
    let plain = with_workspace(
        own,
        "[mcp.x]\ncommand = [\"a\"]\nenv = [\"RUST_LOG\", \"PATH\"]\n[permissions]\nenv = [\"CI\"]",
    );
    assert_eq!(plain.faults, []);
    assert_eq!(plain.settings.permissions.env, ["CI"]);
    assert_eq!(plain.settings.mcp["x"].env, ["RUST_LOG", "PATH"]);
    assert_eq!(plain.settings.mcp["docs"].token_env.as_deref(), Some("DOCS_TOKEN"));
}

#[test]
fn a_workspace_replaces_what_is_allowed_and_adds_to_what_is_denied() {
    let own = "[permissions]\nallow = [\"run(ls *)\"]\ndeny = [\"run(rm *)\"]";
    let both =
        with_workspace(own, "[permissions]\nallow = [\"run(cat *)\"]\ndeny = [\"read(x)\"]").settings.permissions;
    assert_eq!(both.allow, ["run(cat *)"]);
    assert_eq!(both.deny, ["run(rm *)", "read(x)"]);
    // Neither an empty list nor a faulty one takes a rule away.
    for none in ["deny = []", "deny = 3", "deny = [\"run(\"]"] {
        let denied = with_workspace(own, &format!("[permissions]\n{none}")).settings.permissions;
        assert_eq!(denied.allow, ["run(ls *)"], "{none}");
        assert_eq!(denied.deny[0], "run(rm *)", "{none}");
    }
}

#[test]
fn deny_rules_that_cannot_be_found_deny_everything() {
    for lost in [
        "[permissions]\ndeny = [\"read(x)\"]\ndeny = [\"read(y)\"]",
        "permissions = \"deny\"",
        "[permissions]\ndenny = [\"read(x)\"]",
        "[permissions]\nDeny = [\"read(x)\"]",
    ] {
        let loaded = toml(lost);
        assert_eq!(loaded.settings.permissions.deny, [""], "{lost}");
        assert!(
            loaded.faults[0].message.ends_with("so everything is denied until this is mended)"),
            "{lost}: {}",
            loaded.faults[0]
        );
        let rules = crate::permission::Rules::new(&[], &loaded.settings.permissions.deny);
        assert!(matches!(rules.script("ls").0, crate::permission::Ruling::Denied(_)), "{lost}");
    }
    // Nothing else that is wrong does.
    for other in
        ["model = 3", "[permissions]\nnetwok = true", "[permissions]\nallow = 3", "[limits", "[mcp.deny-all]\nurl = 3"]
    {
        assert_eq!(toml(other).settings.permissions.deny, Vec::<String>::new(), "{other}");
    }
}
