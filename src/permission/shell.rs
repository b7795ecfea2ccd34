//! Reading a command line for `sh -c`: the simple commands in it, and how much of it was understood.
//!
//! Nobody can say what a script does without running it, so nothing here calls one harmless. What is read says which commands rules
//! are held against; whatever is not understood makes the script one that is asked for. The grammar is bash's, and `sh` may be another
//! shell: what the two read differently counts as not understood.

mod effort;
mod word;

use std::panic::{AssertUnwindSafe, catch_unwind};

use brush_parser::ast::{
    AndOr, AndOrList, Assignment, AssignmentName, AssignmentValue, Command, CommandPrefixOrSuffixItem, CompoundCommand,
    CompoundList, IoFileRedirectKind, IoFileRedirectTarget, IoRedirect, Pipeline, Program, SeparatorOperator,
    SimpleCommand, Word as Raw,
};
use brush_parser::{ParserOptions, Token, TokenizerOptions, parse_tokens, uncached_tokenize_str};

pub(super) use effort::Effort;
pub(super) use word::Word;

/// The longest script that is read.
const LENGTH: usize = 16 * 1024;

/// The most opening brackets, quotes of commands and words that open a block, in a script: the parser goes down one call for each.
const OPENINGS: usize = 64;

/// The deepest script in a script.
const DEPTH: usize = 8;

/// The most simple commands of a script, with all in it.
const COMMANDS: usize = 200;

/// A script as it was read.
#[derive(Debug)]
pub(super) struct Script {
    /// Its simple commands, those of scripts in it included: words, without assignments before and redirects.
    pub(super) commands: Vec<Vec<Word>>,
    /// What is assigned to variables, before commands and as their arguments, as far as it is known: name and value.
    pub(super) assigned: Vec<(String, String)>,
    /// Texts that commands are given to read: here-documents and here-strings.
    pub(super) texts: Vec<String>,
    /// Whether all that it may run is among `commands`, however its words come out.
    pub(super) whole: bool,
    /// Whether it is made of nothing but commands, one after another or in pipes, that write to no file.
    pub(super) plain: bool,
    /// Whether a command reads what another one or the script itself says.
    pub(super) fed: bool,
    /// Whether it is over a limit, so that it was not read to its end.
    pub(super) beyond: bool,
}

/// Reads a script, with what is left of the effort that a judgement is worth.
pub(super) fn read(script: &str, effort: &mut Effort) -> Script {
    let mut reader = Reader {
        effort,
        script: Script {
            commands: Vec::new(),
            assigned: Vec::new(),
            texts: Vec::new(),
            whole: true,
            plain: true,
            fed: false,
            beyond: false,
        },
        depth: 0,
    };
    reader.script(script);
    reader.script
}

struct Reader<'e> {
    effort: &'e mut Effort,
    script: Script,
    depth: usize,
}

impl Reader<'_> {
    fn script(&mut self, text: &str) {
        if text.len() > LENGTH || openings(text) > OPENINGS || self.depth > DEPTH {
            self.script.beyond = true;
            return self.lost();
        }
        // Shells differ in what ends a word, and a parser may differ from all of them.
        if text.chars().any(|c| c != '\n' && c != '\t' && (c.is_control() || c != ' ' && c.is_whitespace())) {
            self.lost();
        }
        // Joins lines in every shell; a script that does without is easier to be sure of.
        self.script.plain &= !text.contains("\\\n");
        let Some(tokens) = tokens(text) else { return self.lost() };
        let deep = |token: &&Token| matches!(token.to_str(), "coproc" | "!");
        if !self.effort.tokens(&tokens) || tokens.iter().filter(deep).count() > OPENINGS {
            self.script.beyond = true;
            return self.lost();
        }
        match parse(&tokens) {
            Some(program) => program.complete_commands.iter().for_each(|list| self.list(list)),
            None => self.lost(),
        }
    }

    /// There is something in it that is not understood.
    fn lost(&mut self) {
        self.script.whole = false;
        self.script.plain = false;
    }

    /// There is something in it that is understood, but that no allow rule covers.
    fn special(&mut self) {
        self.script.plain = false;
    }

    fn list(&mut self, list: &CompoundList) {
        for item in &list.0 {
            if matches!(item.1, SeparatorOperator::Async) {
                self.special();
            }
            self.and_or(&item.0);
        }
    }

    fn and_or(&mut self, list: &AndOrList) {
        self.pipeline(&list.first);
        for next in &list.additional {
            let (AndOr::And(pipeline) | AndOr::Or(pipeline)) = next;
            self.pipeline(pipeline);
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        if pipeline.timed.is_some() {
            self.special();
        }
        self.script.fed |= pipeline.seq.len() > 1;
        pipeline.seq.iter().for_each(|command| self.command(command));
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Compound(compound, redirects) => {
                self.compound(compound);
                redirects.iter().flat_map(|list| &list.0).for_each(|redirect| self.redirect(redirect));
            }
            Command::Function(function) => {
                // Its name may be that of an allowed command.
                self.special();
                self.compound(&function.body.0);
                function.body.1.iter().flat_map(|list| &list.0).for_each(|redirect| self.redirect(redirect));
            }
            // `[[ a && b ]]` is one test to some shells and two commands to others.
            Command::ExtendedTest(..) => self.lost(),
        }
    }

    fn compound(&mut self, compound: &CompoundCommand) {
        if !matches!(compound, CompoundCommand::BraceGroup(_) | CompoundCommand::Subshell(_)) {
            self.special();
        }
        match compound {
            CompoundCommand::BraceGroup(group) => self.list(&group.list),
            CompoundCommand::Subshell(shell) => self.list(&shell.list),
            CompoundCommand::ForClause(clause) => {
                clause.values.iter().flatten().for_each(|value| drop(self.word(value)));
                self.list(&clause.body.list);
            }
            CompoundCommand::CaseClause(clause) => {
                self.word(&clause.value);
                for case in &clause.cases {
                    case.patterns.iter().for_each(|pattern| drop(self.word(pattern)));
                    case.cmd.iter().for_each(|list| self.list(list));
                }
            }
            CompoundCommand::IfClause(clause) => {
                self.list(&clause.condition);
                self.list(&clause.then);
                for other in clause.elses.iter().flatten() {
                    other.condition.iter().for_each(|list| self.list(list));
                    self.list(&other.body);
                }
            }
            CompoundCommand::WhileClause(clause) | CompoundCommand::UntilClause(clause) => {
                self.list(&clause.0);
                self.list(&clause.1.list);
            }
            // `((a b))` is sums to some shells and commands to others; `coproc` is a command to some.
            CompoundCommand::Arithmetic(_)
            | CompoundCommand::ArithmeticForClause(_)
            | CompoundCommand::Coprocess(_) => self.lost(),
        }
    }

    fn simple(&mut self, simple: &SimpleCommand) {
        if self.script.commands.len() >= COMMANDS {
            self.script.beyond = true;
            return self.lost();
        }
        for item in simple.prefix.iter().flat_map(|prefix| &prefix.0) {
            match item {
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect),
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => {
                    // A variable can make any command another one.
                    self.special();
                    self.assignment(assignment);
                }
                CommandPrefixOrSuffixItem::Word(_) | CommandPrefixOrSuffixItem::ProcessSubstitution(..) => self.lost(),
            }
        }
        let mut words: Vec<Word> = simple.word_or_name.iter().map(|word| self.word(word)).collect();
        for item in simple.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::IoRedirect(redirect) => self.redirect(redirect),
                CommandPrefixOrSuffixItem::Word(word) => words.push(self.word(word)),
                CommandPrefixOrSuffixItem::AssignmentWord(assignment, word) => {
                    if matches!(assignment.value, AssignmentValue::Array(_)) {
                        self.lost();
                    }
                    let word = self.word(word);
                    let value = word.literal().and_then(|text| text.split_once('=')).map(|(_, value)| value.to_owned());
                    self.assigned(assignment, Word::Literal(value.unwrap_or_default()));
                    words.push(word);
                }
                CommandPrefixOrSuffixItem::ProcessSubstitution(_, shell) => {
                    self.lost();
                    self.list(&shell.list);
                    words.push(Word::Unknown);
                }
            }
        }
        if words.is_empty() {
            self.special();
        } else {
            self.script.commands.push(words);
        }
    }

    fn assignment(&mut self, assignment: &Assignment) {
        match &assignment.value {
            AssignmentValue::Scalar(word) => {
                let value = self.word(word);
                self.assigned(assignment, value);
            }
            AssignmentValue::Array(_) => self.lost(),
        }
    }

    fn assigned(&mut self, assignment: &Assignment, value: Word) {
        if let AssignmentName::VariableName(name) = &assignment.name {
            self.script.assigned.push((name.clone(), value.literal().unwrap_or_default().to_owned()));
        }
    }

    fn redirect(&mut self, redirect: &IoRedirect) {
        match redirect {
            IoRedirect::File(_, kind, target) => {
                let input = matches!(kind, IoFileRedirectKind::Read | IoFileRedirectKind::ReadAndWrite);
                self.script.fed |= input;
                let harmless = match target {
                    IoFileRedirectTarget::Filename(word) => self.word(word) == Word::Literal("/dev/null".to_owned()),
                    IoFileRedirectTarget::Fd(_) => true,
                    IoFileRedirectTarget::Duplicate(word) => match self.word(word) {
                        Word::Literal(number) => {
                            number == "-" || !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                        }
                        _ => false,
                    },
                    IoFileRedirectTarget::ProcessSubstitution(_, shell) => {
                        self.lost();
                        self.list(&shell.list);
                        false
                    }
                };
                self.script.plain &= harmless;
            }
            IoRedirect::HereDocument(_, document) => {
                self.special();
                self.script.fed = true;
                // Shells agree on where a plain delimiter ends it.
                let end = document.here_end.value.trim_matches(['\'', '"', '\\']);
                if end.is_empty() || !end.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    self.lost();
                }
                if document.requires_expansion {
                    self.expanded(&document.doc.value);
                }
                self.script.texts.push(document.doc.value.clone());
            }
            IoRedirect::HereString(_, word) => {
                // No word of POSIX.
                self.lost();
                self.script.fed = true;
                self.script.texts.push(word.value.clone());
                self.word(word);
            }
            // One redirect to some shells; to others the end of a command in the background.
            IoRedirect::OutputAndError(word, _) => {
                self.lost();
                self.word(word);
            }
        }
    }

    /// What a word comes to; what runs in it is read too.
    fn word(&mut self, raw: &Raw) -> Word {
        if !self.effort.word(&raw.value) {
            return self.too_much();
        }
        let read = word::read(&raw.value);
        self.within(read)
    }

    /// The same for a text with expansions and without quotes.
    fn expanded(&mut self, text: &str) {
        if !self.effort.word(text) {
            drop(self.too_much());
            return;
        }
        let read = word::read_text(text);
        self.within(read);
    }

    /// A word that nobody takes apart.
    fn too_much(&mut self) -> Word {
        self.script.beyond = true;
        self.lost();
        Word::Unknown
    }

    fn within(&mut self, read: word::Read) -> Word {
        if !read.whole {
            self.lost();
        }
        for script in read.scripts {
            self.special();
            self.depth += 1;
            self.script(&script);
            self.depth -= 1;
        }
        read.word
    }
}

/// A fault of the parser is a script that it cannot read.
fn guarded<T>(read: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok().flatten()
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    guarded(|| uncached_tokenize_str(text, &TokenizerOptions::default()).ok())
}

fn parse(tokens: &[Token]) -> Option<Program> {
    guarded(|| parse_tokens(tokens, &ParserOptions::default()).ok())
}

/// How deep a script could go at most.
fn openings(text: &str) -> usize {
    let brackets = text.chars().filter(|c| matches!(c, '(' | '{' | '`' | '[')).count();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    brackets + words.filter(|word| matches!(*word, "if" | "case" | "for" | "while" | "until" | "select")).count()
}

#[cfg(test)]
mod tests;
