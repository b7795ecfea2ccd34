//! Patterns of `run` rules, and what they say of a script.

use super::rule::{Glob, Pattern, Rule};
use crate::permission::shell::{self, Effort, Word};

/// The most words of a pattern.
const WORDS: usize = 32;

/// The most words of a command that are held against deny rules.
const ARGUMENTS: usize = 1000;

/// The most scripts in the words of a script that are looked into.
const SCRIPTS: usize = 50;

/// Commands that run what their arguments say, or what they are given to read.
const RUNNERS: &[&str] = &[
    ".",
    "at",
    "batch",
    "builtin",
    "bwrap",
    "caffeinate",
    "chroot",
    "chrt",
    "command",
    "doas",
    "entr",
    "env",
    "eval",
    "exec",
    "expect",
    "faketime",
    "fakeroot",
    "fd",
    "fdfind",
    "find",
    "firejail",
    "flatpak-spawn",
    "flock",
    "gdb",
    "ionice",
    "ltrace",
    "nice",
    "nocache",
    "nohup",
    "nsenter",
    "parallel",
    "pkexec",
    "prlimit",
    "proot",
    "rlwrap",
    "run-parts",
    "runuser",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "source",
    "ssh",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "tmux",
    "trap",
    "unbuffer",
    "unshare",
    "valgrind",
    "watch",
    "watchexec",
    "xargs",
    "xvfb-run",
];

/// Shells.
const SHELLS: &[&str] = &[
    "ash", "bash", "busybox", "csh", "dash", "elvish", "fish", "ksh", "mksh", "nu", "pwsh", "rbash", "sh", "tcsh",
    "toybox", "yash", "zsh",
];

/// What adds words of its own to a command, or makes one word stand for others.
const CHANGERS: &[&str] = &["alias", "parallel", "xargs"];

/// The words of a command, as a rule writes them: `*` within a word stands for any part of it, alone at the end for the rest.
#[derive(Clone, Debug)]
pub(super) struct Words {
    words: Vec<Glob>,
    rest: bool,
}

/// What the rules say of a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Weighed {
    /// The deny rule that holds for a command in it.
    pub(super) denied: Option<String>,
    /// Whether a deny rule may hold for something in it that cannot be seen.
    pub(super) hidden: bool,
    /// Whether allow rules hold for all of it.
    pub(super) allowed: bool,
}

/// Holds a script against rules.
pub(super) fn weigh<'r>(
    script: &str,
    deny: impl Iterator<Item = &'r Rule>,
    allow: impl Iterator<Item = &'r Rule>,
) -> Weighed {
    let mut weighing =
        Weighing { deny: deny.collect(), weighed: Weighed::default(), scripts: 0, effort: Effort::default() };
    if let Some(rule) = weighing.deny.iter().find(|rule| matches!(rule.pattern, Pattern::All)) {
        weighing.weighed.denied = Some(rule.text.clone());
        return weighing.weighed;
    }
    let read = shell::read(script, &mut weighing.effort);
    let allow: Vec<&Words> = allow.filter_map(words).collect();
    weighing.weighed.allowed = read.plain
        && read.whole
        && !read.commands.is_empty()
        && read.commands.iter().all(|command| allow.iter().any(|words| words.allow(command)));
    weighing.script(&read);
    weighing.weighed
}

fn words(rule: &Rule) -> Option<&Words> {
    match &rule.pattern {
        Pattern::Words(words) => Some(words),
        _ => None,
    }
}

struct Weighing<'r> {
    deny: Vec<&'r Rule>,
    weighed: Weighed,
    scripts: usize,
    /// One for them all: many scripts of little work are much work.
    effort: Effort,
}

impl Weighing<'_> {
    fn script(&mut self, read: &shell::Script) {
        self.scripts += 1;
        let Some(first) = self.deny.first().map(|rule| rule.text.clone()) else { return };
        if read.beyond || self.scripts > SCRIPTS {
            // A rule that a long enough script gets past is no rule.
            self.weighed.denied.get_or_insert_with(|| format!("{first} (too long or too deep to be held against it)"));
            return;
        }
        self.weighed.hidden |= !read.whole;
        for command in &read.commands {
            self.command(command, read.fed);
        }
        self.assigned(read);
        for text in &read.texts {
            self.mentioned(text);
        }
    }

    /// A script in the words of a command.
    fn inner(&mut self, script: &str) {
        let read = shell::read(script, &mut self.effort);
        self.script(&read);
    }

    fn command(&mut self, command: &[Word], fed: bool) {
        let Some(name) = command.first() else { return };
        if command.len() > ARGUMENTS {
            self.weighed.hidden = true;
            return;
        }
        self.hold(command, 0);
        // Its own name too: what `git` is told may be a name for `push`.
        let said: Vec<&str> = command.iter().filter_map(Word::literal).collect();
        self.mentioned(&said.join(" "));
        self.weighed.hidden |= configures_git(&said);
        // Any file may be what it names.
        let Some(name) = name.literal().map(base) else {
            self.weighed.hidden = true;
            return;
        };
        let (runs, is_shell) = (RUNNERS.contains(&name.as_str()), SHELLS.contains(&name.as_str()));
        self.weighed.hidden |= CHANGERS.contains(&name.as_str()) || is_shell && fed;
        if !runs && !is_shell {
            return;
        }
        // Where its own options end nobody knows, so each word may be where the command begins that it runs, and each may be a script.
        self.weighed.hidden |= command.iter().any(|word| word.literal().is_none());
        self.hold(command, 1);
        for word in command.iter().skip(1) {
            let Some(word) = word.literal() else { continue };
            let name = base(word);
            self.weighed.hidden |= CHANGERS.contains(&name.as_str()) || fed && SHELLS.contains(&name.as_str());
            if is_script(word, is_shell) {
                self.inner(word);
            }
        }
        self.attached(command);
        if name == "eval" {
            self.inner(&said[1..].join(" "));
        }
    }

    /// What variables are set to may be run by the commands that see them, and make one word of theirs another.
    fn assigned(&mut self, read: &shell::Script) {
        if read.assigned.is_empty() {
            return;
        }
        let opaque = |name: &str| name.starts_with("GIT_CONFIG") || name == "GIT_EXEC_PATH";
        self.weighed.hidden |= read.assigned.iter().any(|(name, _)| opaque(name));
        let values: Vec<&str> = read.assigned.iter().map(|(_, value)| value.as_str()).collect();
        let values = values.join(" ");
        self.mentioned(&values);
        for command in &read.commands {
            let said: Vec<&str> = command.iter().filter_map(Word::literal).chain([values.as_str()]).collect();
            self.mentioned(&said.join(" "));
        }
    }

    /// A command may stand in one word with the option that it belongs to: `env -Srm`, `su -c'rm x'`, `ssh -oProxyCommand=rm`.
    fn attached(&mut self, command: &[Word]) {
        // `env` takes such a word apart in its own way, also when it stands alone.
        let said = || command.iter().filter_map(Word::literal);
        let splits = |word: &str| word.starts_with("--s") || word.starts_with('-') && word.contains('S');
        let odd = said().any(|word| word.contains(['\\', '$']));
        self.weighed.hidden |= odd && said().any(|word| base(word) == "env") && said().any(splits);
        let mut looked = 0;
        for (at, word) in command.iter().enumerate().skip(1) {
            let Some(word) = word.literal() else { continue };
            for rest in values(word) {
                looked += 1;
                if looked > SCRIPTS {
                    self.weighed.hidden = true;
                    return;
                }
                let own = rest.split_whitespace().map(|word| Word::Literal(word.to_owned()));
                let whole: Vec<Word> = own.chain(command[at + 1..].iter().cloned()).collect();
                self.hold(&whole, 0);
                if is_script(rest, true) {
                    self.inner(rest);
                }
            }
        }
    }

    /// Holds a command against the deny rules; one that begins at its start, or anywhere from a word on.
    fn hold(&mut self, command: &[Word], from: usize) {
        for rule in &self.deny {
            let fit = words(rule).map_or(Fit::Whole, |words| {
                let fits = words.deny(command);
                let begins = if from == 0 { &fits[..1] } else { &fits[from.min(fits.len())..] };
                begins.iter().copied().max().unwrap_or(Fit::None)
            });
            match fit {
                Fit::Whole => drop(self.weighed.denied.get_or_insert_with(|| rule.text.clone())),
                Fit::Maybe => self.weighed.hidden = true,
                Fit::None => {}
            }
        }
    }

    /// A command that is only spoken of may still be run by whoever is told: `make`, an interpreter, a shell at the other end of a pipe.
    fn mentioned(&mut self, text: &str) {
        let own = |c: char| !(c.is_alphanumeric() || "_.-".contains(c));
        // `-Irm` is an option and its value.
        let value = |word: &str| word.strip_prefix('-').and_then(|rest| rest.get(1..)).map(str::to_owned);
        let plain = text.split(own).filter(|word| !word.is_empty()).map(str::to_lowercase);
        let spoken: Vec<String> = plain.flat_map(|word| [value(&word), Some(word)]).flatten().collect();
        for words in self.deny.iter().filter_map(|rule| words(rule)) {
            let mut spoken = spoken.iter();
            let mut sought = words.words.iter().filter(|word| !word.text().trim_matches('*').is_empty());
            let all = sought.all(|word| {
                let name = word.text().rsplit('/').next().unwrap_or_default();
                let glob = Glob::new(name);
                spoken.any(|spoken| glob.holds(spoken, true))
            });
            // A rule for everything is held against what runs, not against what is said.
            self.weighed.hidden |= all && words.words.iter().any(|word| !word.text().trim_matches('*').is_empty());
        }
    }
}

/// What may be the value of an option that stands in one word with it.
fn values(word: &str) -> Vec<&str> {
    let long = word
        .split_once('=')
        .map(|(_, value)| value)
        .filter(|_| word.starts_with('-') || word.to_ascii_lowercase().starts_with("proxycommand"));
    // The letters that a command follows: `-S` of env, `-c` of the others; before them others may stand.
    let short = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')).unwrap_or_default();
    let letters = short.char_indices().take_while(|(_, c)| c.is_ascii_alphabetic()).take(5);
    let after = letters.filter(|(_, c)| matches!(c, 'S' | 'c')).map(|(at, _)| &short[at + 1..]);
    after.chain(long).filter(|value| !value.trim().is_empty()).collect()
}

/// Whether git is told to take its settings or its programs from where nobody sees them.
fn configures_git(said: &[&str]) -> bool {
    let hides = |word: &&str| {
        let word = word.to_lowercase();
        word.starts_with("--config-env")
            || word.starts_with("--exec-path=")
            || word.contains("include.path")
            || word.contains("includeif.")
    };
    said.iter().any(|word| base(word) == "git") && said.iter().any(hides)
}

/// Whether a word that a command is given may be a script of more than the words around it.
fn is_script(word: &str, of_shell: bool) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c) || !of_shell && "*?[]{}".contains(c);
    !matches!(word, "(" | ")" | "!" | ";" | "\\;" | "{}") && !word.chars().all(plain)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    None,
    Maybe,
    Whole,
}

impl Words {
    /// # Errors
    /// What was expected.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut words: Vec<Glob> = text.split_whitespace().map(Glob::new).collect();
        if words.len() > WORDS {
            return Err(format!("expected a command of up to {WORDS} words, found {}", words.len()));
        }
        if let Some(word) =
            words.iter().find(|word| word.text().contains(['$', '`', ';', '|', '&', '<', '>', '\'', '"', '\\', '(']))
        {
            return Err(format!(
                "expected the words of one command, with `*` for a part of a word or for the rest; found {:?}",
                word.text()
            ));
        }
        let rest = words.last().is_some_and(|word| word.text() == "*");
        if rest {
            words.pop();
        }
        Ok(Self { words, rest })
    }

    /// Whether it holds for all of a command, whatever its words come to.
    fn allow(&self, command: &[Word]) -> bool {
        let Some((Word::Literal(_), _)) = command.split_first() else { return false };
        if command.len() < self.words.len() || !self.rest && command.len() > self.words.len() {
            return false;
        }
        let (own, rest) = command.split_at(self.words.len());
        let up = |text: &str| text.split('/').any(|part| part == "..");
        let holds = |(glob, word): (&Glob, &Word)| match word {
            // `src/*` is not meant to be a way out of src.
            Word::Literal(text) => glob.holds(text, false) && !(glob.is_open() && up(text) && !up(glob.text())),
            Word::Names | Word::Unknown => false,
        };
        self.words.iter().zip(own).all(holds) && rest.iter().all(|word| *word != Word::Unknown)
    }

    /// Whether it holds, or may, for the command that begins at each word. Options before a word of the pattern, and a value of theirs, hide
    /// nothing.
    fn deny(&self, command: &[Word]) -> Vec<Fit> {
        // `fits[at]`: how the words of the pattern that have been looked at so far, from its end, fit the command from there on.
        let end = command.len();
        let known = command.iter().rposition(|word| word.literal().is_some()).map_or(0, |at| at + 1);
        let mut fits: Vec<Fit> = (0..=end)
            .map(|at| match () {
                () if self.rest || at == end => Fit::Whole,
                () if at >= known => Fit::Maybe,
                () => Fit::None,
            })
            .collect();
        for (index, glob) in self.words.iter().enumerate().rev() {
            let mut before = vec![Fit::None; end + 1];
            for at in (0..end).rev() {
                before[at] = match &command[at] {
                    Word::Names | Word::Unknown => Fit::Maybe,
                    Word::Literal(word) => {
                        let holds = match index {
                            0 if !glob.text().contains('/') => glob.holds(&base(word), true),
                            _ => glob.holds(word, true),
                        };
                        let here = if holds { fits[at + 1] } else { Fit::None };
                        let skipped = match index {
                            0 => Fit::None,
                            _ if word.starts_with(['-', '+']) => {
                                before[at + 1].max(before.get(at + 2).copied().unwrap_or(Fit::None))
                            }
                            _ => Fit::None,
                        };
                        here.max(skipped)
                    }
                };
            }
            fits = before;
        }
        fits
    }
}

/// The name of a program without its folders, as the most forgiving file system sees it.
fn base(word: &str) -> String {
    let name = word.rsplit('/').next().unwrap_or_default().to_lowercase();
    name.strip_suffix(".exe").map(str::to_owned).unwrap_or(name)
}
