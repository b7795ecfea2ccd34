//! One rule, as it is written.

use globset::{GlobBuilder, GlobMatcher};
use url::Host;

use super::commands::Words;
use super::places::Places;

/// What a rule binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What shows contents.
    Read,
    /// What changes a file.
    Edit,
    /// Commands.
    Run,
    /// Hosts.
    Fetch,
    /// Tools of other servers.
    Foreign,
}

/// A rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// As it is written.
    pub(super) text: String,
    /// `None` binds everything.
    kind: Option<Kind>,
    pub(super) pattern: Pattern,
}

/// What a rule holds for.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// All of its kind.
    All,
    Places(Places),
    Words(Words),
    Host(Hosts),
    Name(Glob),
}

impl Rule {
    /// A rule; `denies` reads its pattern as the side that must not miss anything.
    ///
    /// # Errors
    /// What was expected.
    pub(super) fn read(text: &str, denies: bool) -> Result<Self, String> {
        const FORM: &str = "expected a rule such as `read(**/.env)`, `edit(src/**)`, `run(cargo test *)`, `fetch(*.example.com)` or \
                            `server__tool`";
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(format!("{FORM}, found one with control characters"));
        }
        let (tool, pattern) = match text.split_once('(') {
            Some((tool, rest)) => match rest.strip_suffix(')') {
                Some(pattern) => (tool.trim(), Some(pattern.trim())),
                None => return Err(format!("{FORM}, found no `)` at its end")),
            },
            None => (text, None),
        };
        let kind = kind(tool).ok_or_else(|| format!("{FORM}; {tool:?} is no tool that rules bind"))?;
        let given = pattern.filter(|pattern| !pattern.is_empty());
        let need = |what: &str| given.ok_or_else(|| format!("expected {what} in brackets, as in {FORM}"));
        let pattern = match kind {
            Kind::Read | Kind::Edit => Pattern::Places(Places::new(need("a glob")?, denies)?),
            Kind::Run => Pattern::Words(Words::new(need("a command")?)?),
            Kind::Fetch => match need("a host")? {
                "*" => Pattern::All,
                host => Pattern::Host(Hosts::new(host)?),
            },
            Kind::Foreign => match given {
                None | Some("*") => Pattern::Name(Glob::new(tool)),
                Some(_) => {
                    return Err(format!(
                        "expected {tool} or {tool}(*): its arguments cannot be held against a pattern"
                    ));
                }
            },
        };
        Ok(Self { text: text.to_owned(), kind: Some(kind), pattern })
    }

    /// What a deny rule that cannot be read stands for: everything of its kind, or everything where that is not known either.
    pub(super) fn unread(text: &str) -> Self {
        let kind = kind(text.split('(').next().unwrap_or_default().trim());
        Self { text: format!("{} (which cannot be read)", text.trim()), kind, pattern: Pattern::All }
    }

    /// Whether it is about this at all.
    pub(super) fn binds(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|own| own == kind)
    }
}

fn kind(tool: &str) -> Option<Kind> {
    Some(match tool {
        "read" | "list" | "find" | "search" | "diagnostics" => Kind::Read,
        "edit" | "patch" | "write" | "move" | "delete" => Kind::Edit,
        "run" => Kind::Run,
        "fetch" => Kind::Fetch,
        _ => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.*".contains(c);
            let (server, own) = tool.split_once("__")?;
            if server.is_empty() || own.is_empty() || !tool.chars().all(plain) {
                return None;
            }
            Kind::Foreign
        }
    })
}

/// A word with `*` for any part of it.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    text: String,
    exact: Option<GlobMatcher>,
    folded: Option<GlobMatcher>,
}

impl Glob {
    pub(super) fn new(text: &str) -> Self {
        let parts: Vec<String> = text.split('*').map(globset::escape).collect();
        let build = |fold| {
            let glob = GlobBuilder::new(&parts.join("*")).literal_separator(false).case_insensitive(fold).build();
            glob.ok().map(|glob| glob.compile_matcher())
        };
        Self { text: text.to_owned(), exact: build(false), folded: build(true) }
    }

    /// As it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has a `*`.
    pub(super) fn is_open(&self) -> bool {
        self.text.contains('*')
    }

    /// Whether it holds for a word; one that denies does not look at case.
    pub(super) fn holds(&self, word: &str, denies: bool) -> bool {
        match if denies { &self.folded } else { &self.exact } {
            Some(glob) => glob.is_match(word),
            None => denies,
        }
    }
}

/// A host, or all below a domain.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    host: Host,
    below: bool,
}

impl Hosts {
    fn new(text: &str) -> Result<Self, String> {
        let (domain, below) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        let host = host(domain).map_err(|_| {
            format!("expected a host, `*.` and a domain, or `*`, without scheme, port and path; found {text:?}")
        })?;
        if below && !matches!(host, Host::Domain(_)) {
            return Err(format!("expected a domain after `*.`, found an address in {text:?}"));
        }
        Ok(Self { host, below })
    }

    /// Compares whole labels: `evil-example.com` is not below `example.com`.
    pub(super) fn holds(&self, host: &Host) -> bool {
        match (&self.host, host) {
            (Host::Domain(domain), Host::Domain(host)) if self.below => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (own, host) => own == host,
        }
    }
}

/// A host in the one spelling that all its spellings have in common.
pub(super) fn host(text: &str) -> Result<Host, String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    Host::parse(text).map_err(|error| error.to_string())
}
