//! What a prompt of another server takes, filled in from the place where it is asked for.

use std::collections::BTreeMap;

use super::TemplateContext;
use super::render::{Scope, rest};
use crate::settings::template::VARIABLES;

/// What a prompt takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether there is no prompt without it.
    pub required: bool,
}

/// What it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// By name.
    pub values: BTreeMap<String, String>,
    /// What the person gave and no argument holds: it stands after the prompt.
    pub rest: String,
    /// Whether the selection is in that.
    pub shows_selection: bool,
}

/// What cannot be filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prompt `{command}` needs {}, which nothing here can fill in: {cure}", .names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))]
pub struct ArgumentsMissing {
    /// The command.
    pub command: String,
    /// The arguments.
    pub names: Vec<String>,
    /// What would.
    pub cure: String,
}

/// Fills in what a prompt takes: by its name, where that is a variable of templates; the one that must be there and is not yet, by what the
/// person typed.
///
/// # Errors
/// When something that must be there is not.
pub fn fill(command: &str, wanted: &[Parameter], context: TemplateContext) -> Result<Filled, ArgumentsMissing> {
    let scope = Scope::new(context);
    let known = |name: &str| {
        let value = scope.value(name).filter(|_| VARIABLES.contains(&name))?;
        // A list has a line for each.
        let lines = value.try_iter().ok().filter(|_| value.as_str().is_none());
        Some(lines.map_or_else(
            || value.to_string(),
            |lines| lines.map(|line| line.to_string()).collect::<Vec<_>>().join("\n"),
        ))
    };
    let mut values: BTreeMap<String, String> =
        wanted.iter().filter_map(|one| Some((one.name.clone(), known(&one.name)?))).collect();
    let missing: Vec<String> = wanted
        .iter()
        .filter(|one| one.required && !values.contains_key(&one.name))
        .map(|one| one.name.clone())
        .collect();
    let typed = known("prompt").filter(|_| !values.contains_key("prompt"));
    let takes_typed = match (missing.as_slice(), typed) {
        ([], _) => values.contains_key("prompt"),
        ([one], Some(typed)) => {
            values.insert(one.clone(), typed);
            true
        }
        (several, typed) => {
            let cure = match (several, typed) {
                ([name], None) if VARIABLES.contains(&name.as_str()) && name != "prompt" => {
                    "run it in a file, at such a place, or type it as the prompt".to_owned()
                }
                ([_], _) => "type it as the prompt".to_owned(),
                _ => format!("what is typed fills in one; by their names, {} are filled in", VARIABLES.join(", ")),
            };
            return Err(ArgumentsMissing { command: command.to_owned(), names: missing, cure });
        }
    };
    let uses = |name: &str| if name == "prompt" { takes_typed } else { values.contains_key(name) };
    let rest = rest(&scope.context, uses);
    let shows_selection =
        scope.context.selection.is_some() && !uses("selection") && !uses("content") && !uses("context");
    Ok(Filled { values, rest, shows_selection })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Lines, lazy};

    fn place() -> TemplateContext {
        TemplateContext {
            file: Some("src/a.rs".into()),
            language: Some("rust".into()),
            content: Some(lazy(|| Some("fn a() {}\n".into()))),
            selection: Some("a()".into()),
            lines: Some(Lines { first: 1, last: 1 }),
            open_files: vec!["src/a.rs".into(), "b.rs".into()],
            ..TemplateContext::default()
        }
    }

    /// Required arguments by name; optional ones end in `?`.
    fn check(wanted: &str, typed: Option<&str>, context: TemplateContext, expected: &str) {
        let parameter =
            |word: &str| Parameter { name: word.trim_end_matches('?').into(), required: !word.ends_with('?') };
        let wanted: Vec<Parameter> = wanted.split_whitespace().map(parameter).collect();
        let context = TemplateContext { prompt: typed.map(str::to_owned), ..context };
        let got = match fill("docs__x", &wanted, context) {
            Ok(filled) => format!("{:?} +{:?}", filled.values, filled.rest),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{wanted:?} {typed:?}");
    }

    #[test]
    fn arguments_are_filled_in_by_name_and_one_by_what_is_typed() {
        let none = TemplateContext::default;
        check("", None, none(), r#"{} +"""#);
        check("", Some("more"), none(), r#"{} +"\n\nmore""#);
        check("topic", Some("wombats"), none(), r#"{"topic": "wombats"} +"""#);
        check("prompt", Some("wombats"), none(), r#"{"prompt": "wombats"} +"""#);
        check("topic style?", Some("wombats"), none(), r#"{"topic": "wombats"} +"""#);
        check("style?", Some("wombats"), none(), r#"{} +"\n\nwombats""#);
        check("selection", Some("some code"), none(), r#"{"selection": "some code"} +"""#);
        check(
            "file line content selection language open_files topic",
            Some("t"),
            place(),
            r#"{"content": "fn a() {}\n", "file": "src/a.rs", "language": "rust", "line": "1", "open_files": "src/a.rs\nb.rs", "selection": "a()", "topic": "t"} +"""#,
        );
        check(
            "topic",
            Some("t"),
            place(),
            r#"{"topic": "t"} +"\n\nFile: `src/a.rs` (rust)\nSelection: line 1\n\n```rust\na()\n```""#,
        );
    }

    #[test]
    fn what_cannot_be_filled_in_is_named() {
        let none = TemplateContext::default;
        check(
            "topic",
            None,
            none(),
            "the prompt `docs__x` needs `topic`, which nothing here can fill in: type it as the prompt",
        );
        check(
            "selection",
            None,
            none(),
            "the prompt `docs__x` needs `selection`, which nothing here can fill in: run it in a file, at such a place, or type it as the prompt",
        );
        check(
            "topic style file",
            Some("t"),
            place(),
            "the prompt `docs__x` needs `topic`, `style`, which nothing here can fill in: what is typed fills in one; by their names, file, \
             content, selection, language, line, prompt, diagnostics, open_files, git_diff, workspace, end_line, context, unsaved_diff are filled in",
        );
    }
}
