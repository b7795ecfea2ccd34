//! How many random cases a campaign runs.

use proptest::test_runner::Config;

/// A twentieth of a campaign's figure, or with `COWRITE_CAMPAIGN=full` all of it.
pub(crate) fn campaign(full: u32) -> Config {
    let whole = std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full");
    let cases = if whole { full } else { full / 20 };
    Config { cases, max_global_rejects: 5 * cases, failure_persistence: None, ..Config::default() }
}
