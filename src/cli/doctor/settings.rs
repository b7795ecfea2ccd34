//! The settings file.

use super::Check;
use crate::settings::{Fault, Places, Severity};

const NAME: &str = "settings";

/// Where the file is, and a line for each fault.
pub(super) fn checks(places: &Places, faults: &[Fault]) -> Vec<Check> {
    let fault = |fault: &Fault| match fault.severity {
        Severity::Error => Check::fault(NAME, fault.to_string()),
        Severity::NotSupported => Check::note(NAME, fault.to_string()),
    };
    let told = faults.iter().map(fault);
    if faults.iter().any(|fault| fault.severity == Severity::Error) {
        return told.collect();
    }
    let file = match &places.config {
        None => Check::note(NAME, "there is no folder for a settings file; name a file in COWRITE_CONFIG"),
        Some(file) if file.exists() => Check::ok(NAME, file.display().to_string()),
        Some(file) => Check::ok(NAME, format!("{} is not there, and need not be", file.display())),
    };
    std::iter::once(file).chain(told).collect()
}
