//! What a prompt template may be: the one engine that checks it when settings are read and renders it when it is used.

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

/// The variables of templates. The last three are Cowrite's own extension.
pub const VARIABLES: [&str; 13] = [
    "file",
    "content",
    "selection",
    "language",
    "line",
    "prompt",
    "diagnostics",
    "open_files",
    "git_diff",
    "workspace",
    "end_line",
    "context",
    "unsaved_diff",
];

/// The engine. Printing, looping over or joining an absent value is an error; asking whether it is there is not.
#[must_use]
pub fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    // Prompts are not HTML.
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    // A template renders while an editor waits for the answer to its command; two nested loops must not hold that up.
    engine.set_fuel(Some(1_000_000));
    engine.add_filter("fenced", |text: &Value, language: Option<&str>| {
        if text.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        Ok(fence(&text.to_string(), language.unwrap_or_default()))
    });
    engine
}

/// Text in a Markdown fence that nothing in it can close.
#[must_use]
pub fn fence(text: &str, language: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}")
}

/// The variables that a template looks up.
///
/// # Errors
/// A sentence that says what is wrong with the template: its syntax, or a variable that does not exist.
pub fn check(source: &str) -> Result<Vec<String>, String> {
    let engine = engine();
    let template = engine.template_from_str(source).map_err(|error| describe(&error))?;
    let mut names: Vec<String> = template
        .undeclared_variables(false)
        .into_iter()
        .filter(|name| engine.globals().all(|(global, _)| global != name))
        .collect();
    names.sort();
    match names.iter().find(|name| !VARIABLES.contains(&name.as_str())) {
        Some(unknown) => Err(match super::read::nearest(unknown, &VARIABLES) {
            Some(near) => format!("unknown variable `{unknown}`; did you mean `{near}`?"),
            None => format!("unknown variable `{unknown}`; templates know {}", VARIABLES.join(", ")),
        }),
        None => try_out(&template).map(|()| names),
    }
}

/// Filters, tests and functions are looked up only when a template is rendered, so it is, with every variable there and
/// with none. What the values themselves would lead to is no concern here.
fn try_out(template: &minijinja::Template<'_, '_>) -> Result<(), String> {
    let value = |name: &str| match name {
        "line" | "end_line" => Value::from(1),
        "open_files" => Value::from(vec!["a"]),
        _ => Value::from("a"),
    };
    let all: Value = VARIABLES.iter().map(|name| (*name, value(name))).collect();
    for given in [all, minijinja::context!()] {
        match template.render(given) {
            Err(error) if is_unknown_name(error.kind()) => return Err(describe(&error)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

fn is_unknown_name(kind: ErrorKind) -> bool {
    use ErrorKind::{InvalidDelimiter, SyntaxError, UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    matches!(kind, InvalidDelimiter | SyntaxError | UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest)
}

/// An engine's error in one line.
#[must_use]
pub fn describe(error: &Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "the template takes too long: it loops too often".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line} of the template)"),
        None => what,
    }
}
