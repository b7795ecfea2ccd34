//! `diagnostics`: what the language servers of the editor report.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Answer, Context, Failure, Tool, plain};
use crate::editor::{Diagnosis, Place, Severity};
use crate::permission::{Access, Want};

/// The most that are shown.
const SHOWN: usize = 100;
/// The longest message.
const MESSAGE: usize = 500;

/// See the module.
pub(super) struct Diagnostics;

/// Its arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A file; without one, all that the editor knows of in the workspace.
    path: Option<String>,
}

#[async_trait]
impl Tool for Diagnostics {
    type Input = Input;
    const NAME: &'static str = "diagnostics";
    const DESCRIPTION: &'static str = "Shows the errors and warnings that the language servers of the person's editor report now, for a \
        file or for all. They may lag behind a change by some seconds. Not every editor can say; a command that builds or checks the \
        project can.";
    const ACCESS: Access = Access::Read;

    fn title(&self, input: &Input) -> String {
        match &input.path {
            Some(path) => format!("Diagnostics of {path}"),
            None => "Diagnostics".into(),
        }
    }

    fn wants(&self, input: &Input) -> Vec<Want> {
        input.path.iter().map(Want::read).collect()
    }

    async fn call(&self, input: Input, context: &Context) -> Result<Answer, Failure> {
        let places: Vec<Place> = match &input.path {
            Some(path) => vec![context.roots.resolve(path, Access::Read)?],
            None => Vec::new(),
        };
        let said = context.editor.diagnostics(&places).await;
        let said = said.ok_or_else(|| {
            Failure(
                "This editor does not tell what its language servers report. Run a command that checks the project instead.".into(),
            )
        })?;
        // Of what lies outside the workspace nothing is shown, nor of another file than the one that was let through.
        let may = |place: &Place| if places.is_empty() { context.roots.admits(place) } else { places.contains(place) };
        let said: Vec<_> = said.into_iter().filter(|(place, _)| may(place)).collect();
        let mut lines = Vec::new();
        for (place, found) in &said {
            let mut found: Vec<&Diagnosis> = found.iter().collect();
            found.sort_by_key(|one| (one.range.start.line, one.severity));
            lines.extend(found.into_iter().map(|one| shown(place, one)));
        }
        let count = lines.len();
        let errors = said.iter().flat_map(|(_, found)| found).filter(|one| one.severity == Severity::Error).count();
        if count == 0 {
            let content = "Nothing is reported.".to_owned();
            return Ok(Answer { ok: true, summary: "nothing reported".into(), content, undone: false });
        }
        let more = count.saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        if more > 0 {
            lines.push(format!("({more} more)"));
        }
        let summary = format!("{count} reported, {errors} of them errors");
        Ok(Answer { ok: true, content: lines.join("\n"), summary, undone: false })
    }
}

/// One, in a line.
pub(super) fn shown(place: &Place, one: &Diagnosis) -> String {
    let kind = match one.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information => "information",
        Severity::Hint => "hint",
    };
    let by = match (&one.source, &one.code) {
        (Some(source), Some(code)) => format!(" ({source} {code})"),
        (Some(by), None) | (None, Some(by)) => format!(" ({by})"),
        (None, None) => String::new(),
    };
    let start = one.range.start;
    let message: String = one.message.chars().take(MESSAGE).collect();
    plain(&format!("{place}:{}:{}: {kind}: {message}{by}", start.line + 1, start.character + 1))
}

/// Problems that are reported now and were not before, for the model: errors and warnings alone. A line may have moved by an edit, so
/// what is said counts and not where.
#[must_use]
pub fn new_problems(before: &[(Place, Vec<Diagnosis>)], now: &[(Place, Vec<Diagnosis>)]) -> Option<String> {
    const MOST: usize = 20;
    let mut lines = Vec::new();
    for (place, found) in now {
        let mut known: Vec<&Diagnosis> =
            before.iter().filter(|(other, _)| other == place).flat_map(|(_, all)| all).collect();
        for one in found.iter().filter(|one| one.severity <= Severity::Warning) {
            let same = |old: &&Diagnosis| {
                (old.severity, &old.message, &old.code, &old.source)
                    == (one.severity, &one.message, &one.code, &one.source)
            };
            match known.iter().position(same) {
                Some(at) => drop(known.swap_remove(at)),
                None => lines.push(shown(place, one)),
            }
        }
    }
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("({more} more)"));
    }
    (!lines.is_empty()).then(|| format!("New problems reported by the editor:\n{}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Position, Range};
    use crate::tool::testing::World;

    fn one(line: u32, severity: Severity, message: &str) -> Diagnosis {
        let at = Position { line, character: 4 };
        let range = Range { start: at, end: at };
        Diagnosis { range, severity, source: Some("rustc".into()), code: Some("E1".into()), message: message.into() }
    }

    #[test]
    fn only_what_was_not_reported_before_is_new() {
        let world = World::new(&[("a.rs", "")]);
        let a = world.place("a.rs");
        let before = vec![(a.clone(), vec![one(1, Severity::Error, "old"), one(2, Severity::Warning, "gone")])];
        let now = vec![(
            a,
            vec![
                one(9, Severity::Error, "old"),
                one(9, Severity::Error, "old"),
                one(3, Severity::Error, "new\nin two lines\u{1b}"),
                one(4, Severity::Hint, "nicer"),
            ],
        )];
        assert_eq!(
            new_problems(&before, &now).unwrap(),
            "New problems reported by the editor:\na.rs:10:5: error: old (rustc E1)\na.rs:4:5: error: new in two lines (rustc E1)"
        );
        assert_eq!(new_problems(&now, &now), None);
    }

    #[tokio::test]
    async fn an_editor_that_cannot_say_is_told_as_one() {
        let world = World::new(&[("a.rs", "")]);
        let failed = Diagnostics.call(Input { path: None }, &world.context).await.unwrap_err();
        assert!(failed.0.contains("does not tell"), "{failed}");
    }
}
