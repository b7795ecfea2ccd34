//! From a command and a place to the prompt that the model reads.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, Value};
use minijinja::{Error, ErrorKind};

use super::{Command, Lazy, Lines, TemplateContext};
use crate::settings::template::{self, fence};

/// The most of one variable that goes into a prompt, in bytes. What is cut off can be read with tools.
const LARGEST: usize = 256 * 1024;

/// Why a template gave no prompt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It uses what is not there.
    #[error("the template of `{command}` uses `{variable}`, which is not there: {cure}")]
    Absent {
        /// The command.
        command: String,
        /// The variable.
        variable: String,
        /// What would bring it.
        cure: &'static str,
    },
    /// It cannot be rendered.
    #[error("the template of `{command}` could not be rendered: {reason}")]
    Broken {
        /// The command.
        command: String,
        /// What the engine says.
        reason: String,
    },
}

/// The prompt of a command. What the person gave and the template leaves out (the typed prompt, the place, the selection, the
/// diagnostics) stands after it.
///
/// # Errors
/// When the template uses something that is not there, or goes wrong.
pub fn render(command: &Command, context: TemplateContext) -> Result<String, TemplateError> {
    let scope = Arc::new(Scope::new(context));
    let engine = template::engine();
    let mut text = engine
        .template_from_str(&command.source)
        .and_then(|template| template.render(Value::from_dyn_object(scope.clone())))
        .map_err(|error| scope.explain(command, &error))?
        .trim()
        .to_owned();
    text.push_str(&rest(&scope.context, |name| command.uses(name)));
    Ok(text)
}

/// What the person gave and the text of a command does not use, to stand after it.
pub(super) fn rest(context: &TemplateContext, uses: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    if let Some(prompt) = context.prompt.as_deref().filter(|_| !uses("prompt")) {
        let _ = write!(text, "\n\n{prompt}");
    }
    if let Some(frame) = frame(context, &Parts::left_out(uses, context)) {
        let _ = write!(text, "\n\n{frame}");
    }
    text
}

/// Which parts of a frame are wanted.
struct Parts {
    place: bool,
    selection: bool,
    problems: bool,
}

impl Parts {
    const ALL: Self = Self { place: true, selection: true, problems: true };

    /// What the template does not say itself.
    fn left_out(uses: impl Fn(&str) -> bool, context: &TemplateContext) -> Self {
        if uses("context") {
            return Self { place: false, selection: false, problems: false };
        }
        let line_is_said = context.lines.is_none() || uses("line");
        Self {
            place: !(uses("file") && line_is_said),
            selection: !uses("selection") && !uses("content"),
            problems: !uses("diagnostics"),
        }
    }
}

/// The place that a run is about: the file, its lines, the selected text and what is wrong there. `None` without a file, and
/// when nothing of it is wanted.
fn frame(context: &TemplateContext, parts: &Parts) -> Option<String> {
    let file = context.file.as_deref()?;
    let selection = context.selection.as_deref().filter(|_| parts.selection);
    let problems = Some(&context.diagnostics).filter(|problems| parts.problems && !problems.is_empty());
    if !parts.place && selection.is_none() && problems.is_none() {
        return None;
    }
    let mut text = format!("File: `{file}`");
    if let Some(language) = context.language.as_deref().filter(|language| !language.is_empty()) {
        let _ = write!(text, " ({language})");
    }
    match context.lines {
        Some(Lines { first, last }) if context.selection.is_none() && first == last => {
            let _ = write!(text, "\nCursor: line {first}");
        }
        Some(Lines { first, last }) if first == last => {
            let _ = write!(text, "\nSelection: line {first}");
        }
        Some(Lines { first, last }) => {
            let _ = write!(text, "\nSelection: lines {first} to {last}");
        }
        None => {}
    }
    if let Some(selection) = selection {
        let language = context.language.as_deref().unwrap_or_default();
        let _ = write!(text, "\n\n{}", fence(&shortened(selection), language));
    }
    if let Some(problems) = problems {
        text.push_str("\n\nReported there:");
        for problem in problems {
            let _ = write!(text, "\n- {problem}");
        }
    }
    Some(text)
}

/// The variables of one rendering. The engine asks for what the template uses, so nothing else is ever made.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) context: TemplateContext,
    /// The last variable that was asked for and is not there: the one that an error about an undefined value means. A std mutex:
    /// held for an assignment.
    last_absent: Mutex<Option<String>>,
}

impl Scope {
    pub(super) fn new(context: TemplateContext) -> Self {
        Self { context, last_absent: Mutex::new(None) }
    }

    pub(super) fn value(&self, name: &str) -> Option<Value> {
        let context = &self.context;
        let text = |text: Option<&str>| text.map(|text| Value::from(shortened(text)));
        let made = |lazy: &Option<Lazy>| text(lazy.as_ref().and_then(|lazy| lazy.as_deref()));
        match name {
            "file" => text(context.file.as_deref()),
            "language" => text(context.language.as_deref()),
            "content" => made(&context.content),
            "selection" => text(context.selection.as_deref()),
            "line" => context.lines.map(|lines| Value::from(lines.first)),
            "end_line" => context.lines.map(|lines| Value::from(lines.last)),
            "prompt" => text(context.prompt.as_deref()),
            "diagnostics" if context.diagnostics.is_empty() => None,
            "diagnostics" => {
                let lines: Vec<_> = context.diagnostics.iter().map(|problem| format!("- {problem}")).collect();
                Some(Value::from(lines.join("\n")))
            }
            "open_files" => Some(Value::from(context.open_files.clone())),
            "git_diff" => made(&context.git_diff),
            "unsaved_diff" => made(&context.unsaved_diff),
            "workspace" => text(context.workspace.as_deref()),
            "context" => frame(context, &Parts::ALL).map(Value::from),
            _ => None,
        }
    }

    fn explain(&self, command: &Command, error: &Error) -> TemplateError {
        let absent = self.last_absent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // An undefined part of something that is there is an error of the same kind, but not on a line with that name.
        let line = error.line().and_then(|line| command.source.lines().nth(line.checked_sub(1)?)).unwrap_or_default();
        let meant = absent.filter(|name| error.kind() == ErrorKind::UndefinedError && line.contains(name.as_str()));
        let command = command.name.clone();
        match meant {
            Some(variable) => TemplateError::Absent { command, cure: cure(&variable), variable },
            None => TemplateError::Broken { command, reason: template::describe(error) },
        }
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let value = self.value(name);
        if value.is_none() {
            *self.last_absent.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
        }
        value
    }
}

fn cure(variable: &str) -> &'static str {
    match variable {
        "file" | "content" | "language" | "context" => "run it in an open file",
        "selection" => "select something first",
        "line" | "end_line" => "run it at a place in a file",
        "prompt" => "type what it is to do",
        "diagnostics" => "run it where something is reported",
        "git_diff" => "this version does not run git; use `unsaved_diff`",
        "workspace" => "open a folder",
        _ => "ask with `is defined` before it is used",
    }
}

fn shortened(text: &str) -> String {
    if text.len() <= LARGEST {
        return text.to_owned();
    }
    let boundary = (0..=LARGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (head, rest) = text.split_at(boundary);
    format!("{head}\n[… {} more bytes are not shown here]", rest.len())
}

#[cfg(test)]
mod tests;
