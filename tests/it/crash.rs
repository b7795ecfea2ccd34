//! Panics of a real process: this one, started once more with a key in its environment.

use std::process::Command;
use std::time::Duration;

use cowrite::model::wire;
use cowrite::settings::Settings;

/// JSON and dumps of it escape this one.
const CANARY: &str = "sk-canary-31\"41\\59/26+53-end-3846264";
/// Where the child writes its log; nobody else has it.
const LOG: &str = "COWRITE_TEST_CRASH_LOG";

#[test]
fn p9_a_key_is_in_no_crash_message_on_standard_error_or_in_the_log_file() {
    let folder = tempfile::tempdir().expect("a folder");
    for filter in ["warn", "off", "cowrite::lsp=trace"] {
        let file = folder.path().join(filter);
        let ended = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "crash::a_process_that_panics", "--ignored", "--nocapture"])
            .env_clear()
            .env("HOME", folder.path())
            .env("AZURE_OPENAI_API_KEY", CANARY)
            .env("COWRITE_LOG", filter)
            .env(LOG, &file)
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{filter}: {said}\n{}", String::from_utf8_lossy(&ended.stdout));
        let logged = std::fs::read_to_string(&file).expect("a log");
        for (place, text) in [("standard error", said), ("the log file", logged)] {
            let lines = |part: &str| text.lines().filter(|line| line.contains(part)).count();
            // Each panic once, those too that a task keeps to itself.
            assert_eq!(lines("Cowrite met a fault of its own at tests/it/crash.rs:"), 4, "{filter}, {place}: {text}");
            assert_eq!(lines("Please report it with this log."), 4, "{filter}, {place}: {text}");
            for part in [
                "(thread scribe). It says: the key [key] is odd",
                "It says: the answer was \"{\\\"key\\\":\\\"[key]\\\"}\"",
                "It says: asked https://x/?key=[key]",
                "It says: [key] and [key]",
            ] {
                assert_eq!(lines(part), 1, "{filter}, {place}: {part} is missing in {text}");
            }
            for part in ["canary", "3846264"] {
                assert!(!text.contains(part), "{filter}, {place} holds the key: {text}");
            }
        }
    }
}

/// The child of the test above; by itself it does nothing.
#[test]
#[ignore = "it is started by another test, in a process of its own"]
fn a_process_that_panics() {
    let Some(file) = std::env::var_os(LOG) else { return };
    cowrite::log::init();
    cowrite::log::also_to(file.as_ref()).expect("a log file");
    cowrite::crash::install();
    // Azure lists no models, so that its key is read and nothing is sent.
    let settings: Settings =
        toml::from_str("[providers.azure]\nresource = \"r\"\ndeployment = \"d\"\n").expect("settings");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let surveyed = runtime.block_on(wire::survey(&settings, None));
    assert!(surveyed.iter().any(|one| one.table == "azure" && one.problem.is_none()), "{surveyed:?}");

    let named = std::thread::Builder::new().name("scribe".to_owned());
    assert!(named.spawn(|| panic!("the key {CANARY} is odd")).expect("a thread").join().is_err());
    let encoded = CANARY.replace('"', "%22").replace('\\', "%5C").replace('/', "%2F").replace('+', "%2b");
    let ended = runtime.block_on(async {
        let body = serde_json::json!({ "key": CANARY }).to_string();
        let task = tokio::spawn(async move { panic!("the answer was {body:?}") });
        let blocking = tokio::task::spawn_blocking(move || panic!("asked https://x/?key={encoded}"));
        let twice = tokio::spawn(async { std::panic::panic_any(format!("{CANARY} and\n{CANARY}")) });
        [task.await.is_err(), blocking.await.is_err(), twice.await.is_err()]
    });
    assert_eq!(ended, [true; 3]);
    runtime.shutdown_timeout(Duration::from_secs(1));
}
