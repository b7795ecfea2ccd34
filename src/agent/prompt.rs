//! The system prompt.

use minijinja::{Environment, UndefinedBehavior, context};

/// What the prompt says of where the run works.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The workspace folders, as a person names them.
    pub folders: Vec<String>,
    /// The names of the tools on offer.
    pub tools: Vec<String>,
    /// Whether the run may change anything.
    pub may_edit: bool,
}

/// The system prompt of a session, rendered.
///
/// # Errors
/// What the template lacks: the run must not start without a system prompt.
pub fn system_prompt(scope: &Scope) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut tools = scope.tools.clone();
    tools.sort();
    environment
        .render_str(
            include_str!("system.md.j2"),
            context! { folders => &scope.folders, tools => tools, may_edit => scope.may_edit },
        )
        .map_err(|error| format!("The system prompt could not be rendered: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_names_the_folders_and_the_sorted_tools() {
        let scope = Scope { folders: vec!["app".into()], tools: vec!["search".into(), "read".into()], may_edit: true };
        let prompt = system_prompt(&scope).expect("it renders");
        assert!(prompt.contains("app"), "{prompt}");
        assert!(prompt.contains("read, search"), "{prompt}");
        assert!(prompt.contains("Edit"), "{prompt}");
    }

    #[test]
    fn a_run_that_may_not_edit_is_told_so() {
        let prompt = system_prompt(&Scope::default()).expect("it renders");
        assert!(prompt.contains("You cannot change files in this run"), "{prompt}");
    }
}
