//! Landlock: files are written in the folders for it, and nowhere else.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The first version that can keep a file from being cut short.
const NEEDED: ABI = ABI::V3;
/// The newest whose means are used where they are.
const KNOWN: ABI = ABI::V6;

/// What every program writes to, and that keeps nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Holds this process and what it starts.
pub(super) fn hold(writable: &[PathBuf], network: bool) -> Result<(), String> {
    let status = restricted(writable, network).map_err(|error| {
        format!("this kernel has no Landlock that can hold a program (Linux 6.2 or newer, and switched on): {error}")
    })?;
    match status {
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock (Linux 6.2 or newer, and switched on)".into()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn restricted(writable: &[PathBuf], network: bool) -> Result<RulesetStatus, RulesetError> {
    let writing = AccessFs::from_write(KNOWN);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_write(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)?
        .scope(BitFlags::<Scope>::from_flag(Scope::AbstractUnixSocket) | Scope::Signal)?;
    if !network {
        rules = rules.handle_access(AccessNet::from_all(KNOWN))?;
    }
    let mut rules = rules.create()?;
    for folder in writable {
        // What is not there cannot be written to.
        if let Ok(folder) = PathFd::new(folder) {
            rules = rules.add_rule(PathBeneath::new(folder, writing))?;
        }
    }
    for device in DEVICES {
        if let Ok(device) = PathFd::new(device) {
            rules = rules.add_rule(PathBeneath::new(device, writing & AccessFs::from_file(KNOWN)))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset)
}
