//! The gate that every call goes through: it may go ahead, the person is asked, or it is denied.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use super::visible::{visible, visible_line};
use super::{Access, Denied, Grant, Look, Roots, Rules, Ruling, Want};
use crate::protocol::Mode;

/// What decides for a run.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// How much the run may do unasked.
    pub mode: Mode,
    /// Whether commands run in a sandbox here.
    pub sandboxed: bool,
    /// What the person allowed for the session.
    pub remembered: Arc<Remembered>,
}

/// A call that was made.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// The tool.
    pub tool: &'a str,
    /// The arguments, as the model gave them.
    pub arguments: &'a str,
    /// What it would touch.
    pub wants: &'a [Want],
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It goes ahead.
    Go(Grant),
    /// The person decides.
    Ask(Ask),
    /// It does not; the sentence is for the model.
    Denied(String),
}

/// What the person is asked about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What exactly would be done and why it is asked, in lines.
    pub detail: String,
    /// What a yes lets through.
    pub grant: Grant,
    /// What is remembered when the yes is for the session; `None` where it must be asked for each time.
    pub remember: Option<Vec<String>>,
}

/// What was allowed for the rest of a session. Never written anywhere: a restart asks again.
#[derive(Debug, Default)]
pub struct Remembered {
    // Held for a look or an insert, never across an await.
    keys: Mutex<HashSet<String>>,
}

impl Remembered {
    /// From now on this is not asked for.
    pub fn remember(&self, keys: Vec<String>) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }

    /// Whether this was allowed for the rest of the session.
    #[must_use]
    pub fn holds(&self, key: &str) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

/// What becomes of one thing that a call wants.
enum One {
    Go(Grant),
    Ask {
        detail: String,
        grant: Grant,
        /// `None` where it must be asked for each time.
        key: Option<String>,
    },
    Denied(String),
}

impl Gate {
    /// Looks at a call: everything that it wants, together. One thing that is denied denies it; what must be asked for is one question.
    #[must_use]
    pub fn judge(&self, roots: &Roots, called: Called<'_>) -> Judgement {
        // Commands that would go ahead on their own.
        let mut free = Vec::new();
        let (mut granted, mut details, mut keys) = (Grant::default(), Vec::new(), Some(Vec::new()));
        for want in called.wants {
            let (detail, grant, key) = match self.one(roots, called, want) {
                One::Denied(why) => return Judgement::Denied(why),
                One::Go(grant) => {
                    if let Want::Run { command } = want {
                        free.push(command);
                    }
                    (None, grant, None)
                }
                One::Ask { detail, grant, key } => (Some(detail), grant, key),
            };
            granted.paths.extend(grant.paths);
            granted.hosts.extend(grant.hosts);
            if let Some(detail) = detail {
                details.push(detail);
                keys = keys.zip(key).map(|(mut keys, key): (Vec<String>, String)| {
                    keys.push(key);
                    keys
                });
            }
        }
        if details.is_empty() {
            return Judgement::Go(granted);
        }
        // A yes to the folder alone is a yes to what runs there.
        details.extend(free.into_iter().map(|command| format!("To run with sh -c:\n{}", visible(command))));
        Judgement::Ask(Ask { detail: details.join("\n"), grant: granted, remember: keys })
    }

    fn one(&self, roots: &Roots, called: Called<'_>, want: &Want) -> One {
        match want {
            Want::Path { access: Access::Write | Access::Run, .. } | Want::Run { .. } | Want::Foreign { .. }
                if self.mode == Mode::Plan =>
            {
                One::Denied(format!(
                    "{} may change something, and in plan mode nothing is changed, asked or not. Say what you would change.",
                    called.tool
                ))
            }
            Want::Path { given, access } => self.path(roots, called, given, *access),
            Want::Run { command } => self.run(called, command),
            Want::Fetch { url } => self.fetch(url),
            Want::Foreign { name, own } => self.foreign(called, name, own),
        }
    }

    fn path(&self, roots: &Roots, called: Called<'_>, given: &str, access: Access) -> One {
        let look = match roots.look(given) {
            Ok(look) => look,
            Err(denied) => return One::Denied(denied.to_string()),
        };
        if let Ruling::Denied(rule) = roots.ruling(&self.rules, &look, access) {
            return One::Denied(Denied::Rule { given: given.to_owned(), rule }.to_string());
        }
        if !look.is_guarded(access) {
            return One::Go(Grant::default());
        }
        let detail = about_path(called, given, &look, access);
        // Whatever is allowed and whatever was said before: each time anew.
        One::Ask { detail, grant: Grant { paths: vec![(look.real(), access)], hosts: Vec::new() }, key: None }
    }

    fn run(&self, called: Called<'_>, command: &str) -> One {
        let (ruling, hidden) = self.rules.script(command);
        if let Ruling::Denied(rule) = &ruling {
            return One::Denied(format!("The rule {rule} denies this command, or a part of it. Go on without it."));
        }
        let cwd = cwd(called.arguments);
        let key = key("run", &[cwd.as_deref().unwrap_or_default(), command]);
        if self.remembered.holds(&key) {
            return One::Go(Grant::default());
        }
        let free = match self.mode {
            Mode::Plan | Mode::Ask => false,
            Mode::Edit => ruling == Ruling::Allowed,
            Mode::Auto => ruling == Ruling::Allowed || self.sandboxed && !hidden,
        };
        if free {
            return One::Go(Grant::default());
        }
        let at = cwd.map(|cwd| format!("\nin {}", visible_line(&cwd))).unwrap_or_default();
        let why = match self.mode {
            _ if hidden => "a deny rule may hold for a part of it that is not known before it runs",
            Mode::Auto => "there is no sandbox here that would hold it",
            Mode::Ask => "in ask mode every command is asked for",
            Mode::Plan | Mode::Edit => "no rule allows all of it",
        };
        let detail = format!("Run with sh -c{at}:\n{}\nAsked because {why}.", visible(command));
        One::Ask { detail, grant: Grant::default(), key: Some(key) }
    }

    fn fetch(&self, url: &str) -> One {
        let parsed = Url::parse(url).ok();
        let web = parsed.as_ref().filter(|parsed| matches!(parsed.scheme(), "http" | "https"));
        let Some((parsed, host)) = web.and_then(|parsed| Some((parsed, parsed.host_str()?.to_ascii_lowercase())))
        else {
            let shown = visible_line(url);
            return One::Denied(format!(
                "{shown} is no address that can be fetched; give one with http or https and a host"
            ));
        };
        let ruling = self.rules.host(&host);
        if let Ruling::Denied(rule) = ruling {
            return One::Denied(format!("The rule {rule} denies the host {host}. Go on without it."));
        }
        let grant = Grant { paths: Vec::new(), hosts: vec![host.clone()] };
        let key = key("fetch", &[&host]);
        if ruling == Ruling::Allowed || self.remembered.holds(&key) {
            return One::Go(grant);
        }
        // As it is parsed: what the host is cannot be read otherwise.
        let detail = format!(
            "Fetch from the host {}:\n{}\nAsked because no rule allows this host.",
            visible_line(&host),
            visible(parsed.as_str())
        );
        One::Ask { detail, grant, key: Some(key) }
    }

    fn foreign(&self, called: Called<'_>, name: &str, own: &str) -> One {
        let ruling = self.rules.foreign(name, own);
        if let Ruling::Denied(rule) = ruling {
            return One::Denied(format!("The rule {rule} denies the tool {name}. Go on without it."));
        }
        // Exactly this call: what a tool does with other arguments, nobody has looked at.
        let key = key("tool", &[name, called.arguments]);
        if ruling == Ruling::Allowed || self.remembered.holds(&key) {
            return One::Go(Grant::default());
        }
        let detail = format!(
            "Call {} with:\n{}\nAsked because it belongs to another server, and no rule allows it.",
            visible_line(name),
            visible(called.arguments)
        );
        One::Ask { detail, grant: Grant::default(), key: Some(key) }
    }
}

/// What is asked about a path: what it is called, where it leads, and why it is asked.
fn about_path(called: Called<'_>, given: &str, look: &Look, access: Access) -> String {
    let verb = match access {
        Access::Read => "look at",
        Access::Write => "change",
        Access::Run => "run",
    };
    let real = visible_line(&look.real().to_string_lossy());
    let leads = if look.is_linked() || Path::new(given) != look.real() {
        format!("\n{} {real}", if look.is_linked() { "which leads by a link to" } else { "which is" })
    } else {
        String::new()
    };
    let why = match (look.outside, look.protected) {
        (true, true) => "it is outside the workspace and protected",
        (true, false) => "it is outside the workspace",
        (false, false) => "a hook or a server of the settings is started from it, outside the sandbox",
        _ => "it is protected: editors, shells, git or this program itself obey what stands there",
    };
    let mut detail = format!("{}: {verb} {}{leads}\nAsked because {why}.", called.tool, visible_line(given));
    if access != Access::Read {
        detail.push_str(&format!("\nWith:\n{}", visible(called.arguments)));
    }
    detail
}

/// The folder that a command would run in, when the call names one.
fn cwd(arguments: &str) -> Option<String> {
    let arguments: serde_json::Value = serde_json::from_str(arguments).ok()?;
    arguments.get("cwd")?.as_str().map(str::to_owned)
}

/// No text within a part can pass for two parts.
fn key(kind: &str, parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| format!("{}:{part}", part.len())).collect();
    format!("{kind} {}", parts.join(" "))
}

#[cfg(test)]
mod tests;
