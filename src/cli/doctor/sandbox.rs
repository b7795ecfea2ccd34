//! How commands of a run are held here.

use super::Check;

/// What `sandbox` says: whether there is one, or why there is none, which only costs the person more questions.
pub(super) fn check(sandbox: Result<(), String>) -> Check {
    match sandbox {
        Ok(()) => Check::ok("sandbox", "commands of a run are held in it"),
        Err(why) => Check::note("sandbox", format!("there is none, so each command of a run is asked for: {why}")),
    }
}
