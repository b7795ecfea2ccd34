//! Allow and deny rules: `tool(pattern)`. Deny wins, and what cannot be read or judged is never allowed.

mod commands;
mod places;
mod rule;

use std::path::{Path, PathBuf};

use super::Access;
use crate::editor::Place;
use commands::Weighed;
use rule::{Kind, Pattern, Rule};

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    allow: Vec<Rule>,
    deny: Vec<Rule>,
}

/// What the rules say of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// A deny rule holds for it: that rule.
    Denied(String),
    /// An allow rule holds for all of it.
    Allowed,
    /// Neither.
    Silent,
}

impl Rules {
    /// These rules. One of `deny` that cannot be read denies everything of its kind, one of `allow` allows nothing.
    #[must_use]
    pub fn new(allow: &[String], deny: &[String]) -> Self {
        Self {
            allow: allow.iter().filter_map(|text| Rule::read(text, false).ok()).collect(),
            deny: deny.iter().map(|text| Rule::read(text, true).unwrap_or_else(|_| Rule::unread(text))).collect(),
        }
    }

    /// What is wrong with a rule.
    ///
    /// # Errors
    /// What was expected.
    pub fn check(rule: &str) -> Result<(), String> {
        Rule::read(rule, true).and(Rule::read(rule, false)).map(drop)
    }

    /// What they say of a place: `read` rules bind every access, `edit` rules those that change.
    #[must_use]
    pub fn place(&self, place: &Place, access: Access) -> Ruling {
        let shown = place.to_string();
        let names = [Path::new(&shown)];
        self.path(&names, place.path(), access)
    }

    /// What they say of a script, each simple command of it held against them; and whether a deny rule may hold for something in it that
    /// cannot be seen before it runs, so that a person must look at it even where commands go ahead.
    #[must_use]
    pub fn script(&self, script: &str) -> (Ruling, bool) {
        let weighed = commands::weigh(
            script,
            self.deny.iter().filter(|rule| rule.binds(Kind::Run)),
            self.allow.iter().filter(|rule| rule.binds(Kind::Run)),
        );
        match weighed {
            Weighed { denied: Some(rule), .. } => (Ruling::Denied(rule), true),
            Weighed { allowed: true, hidden: false, .. } => (Ruling::Allowed, false),
            Weighed { hidden, .. } => (Ruling::Silent, hidden),
        }
    }

    /// What they say of a host.
    #[must_use]
    pub fn host(&self, host: &str) -> Ruling {
        let host = rule::host(host);
        self.rule(Kind::Fetch, |pattern, denies| match (pattern, &host) {
            (Pattern::All, _) => true,
            (Pattern::Host(pattern), Ok(host)) => pattern.holds(host),
            // What is no host is what a rule forbids.
            (_, Err(_)) => denies,
            _ => false,
        })
    }

    /// What they say of a tool of another server, by its name `server__tool`. A deny rule holds for it as the server spells it too: the
    /// model may know it by a changed name.
    #[must_use]
    pub fn foreign(&self, name: &str, own: &str) -> Ruling {
        self.rule(Kind::Foreign, |pattern, denies| match pattern {
            Pattern::All => true,
            Pattern::Name(glob) => glob.holds(name, denies) || denies && glob.holds(own, denies),
            _ => false,
        })
    }

    /// What they say of a path by its names relative to the workspace folders, and its own.
    pub(super) fn path(&self, names: &[&Path], real: Option<&Path>, access: Access) -> Ruling {
        let holds = |pattern: &Pattern, denies: bool| match pattern {
            Pattern::All => true,
            Pattern::Places(glob) => glob.holds(names, real, denies),
            _ => false,
        };
        match access {
            Access::Read => match self.rule(Kind::Read, holds) {
                // What may be changed may be looked at.
                Ruling::Silent if self.allows(Kind::Edit, holds) => Ruling::Allowed,
                ruling => ruling,
            },
            Access::Write | Access::Run => match self.denies(Kind::Read, holds) {
                Some(rule) => Ruling::Denied(rule),
                None => self.rule(Kind::Edit, holds),
            },
        }
    }

    /// Whether any rule could deny looking at a place.
    pub(super) fn hides(&self) -> bool {
        self.deny.iter().any(|rule| rule.binds(Kind::Read))
    }

    /// What no rule lets anybody look at, as it is named from the root of the file system.
    ///
    /// # Errors
    /// Why that cannot be said of a rule.
    pub(super) fn denied_outside(&self) -> Result<Vec<PathBuf>, String> {
        let mut named = Vec::new();
        for rule in self.deny.iter().filter(|rule| rule.binds(Kind::Read)) {
            if let Pattern::Places(places) = &rule.pattern {
                let wrong = |why| format!("what the rule {} denies cannot be kept from a command: {why}", rule.text);
                named.extend(places.named().map_err(wrong)?);
            }
        }
        Ok(named)
    }

    fn rule(&self, kind: Kind, holds: impl Fn(&Pattern, bool) -> bool + Copy) -> Ruling {
        match self.denies(kind, holds) {
            Some(rule) => Ruling::Denied(rule),
            None if self.allows(kind, holds) => Ruling::Allowed,
            None => Ruling::Silent,
        }
    }

    fn denies(&self, kind: Kind, holds: impl Fn(&Pattern, bool) -> bool) -> Option<String> {
        self.deny.iter().find(|rule| rule.binds(kind) && holds(&rule.pattern, true)).map(|rule| rule.text.clone())
    }

    fn allows(&self, kind: Kind, holds: impl Fn(&Pattern, bool) -> bool) -> bool {
        self.allow.iter().any(|rule| rule.binds(kind) && holds(&rule.pattern, false))
    }
}

#[cfg(test)]
mod tests;
