//! What a command says: on standard output when it has an answer, on standard error when it has none.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// What it answers.
    pub(super) text: String,
    /// Whether all is well.
    pub(super) good: bool,
}

impl From<String> for Said {
    fn from(text: String) -> Self {
        Self { text, good: true }
    }
}

/// Says it. The status is 0 when it went well, 1 otherwise.
pub(super) fn say(command: &str, said: Result<Said, String>) -> ExitCode {
    match said {
        Ok(Said { text, good }) => {
            // A reader that has gone away is no reason to fail.
            let _ = io::stdout().write_all(text.as_bytes());
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            complain(command, &error);
            ExitCode::FAILURE
        }
    }
}

/// Says something beside the answer.
pub(super) fn complain(command: &str, what: &str) {
    let _ = writeln!(io::stderr(), "cowrite {command}: {what}");
}

/// JSON for programs, in lines that a terminal can be shown too.
pub(super) fn pretty(value: &impl Serialize) -> Result<String, String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| format!("the answer is no JSON: {error}"))?;
    // JSON lets some characters stand that a terminal obeys. They are in strings, where they can be written as numbers.
    let plain = text.chars().fold(String::with_capacity(text.len() + 1), |mut plain, c| {
        match c.is_control() && c != '\n' {
            true => plain.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => plain.push(c),
        }
        plain
    });
    Ok(plain + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_nothing_that_a_terminal_obeys_and_means_the_same() {
        let text = "a\u{1b}[31m\u{9b}31m\u{7f}\n\té";
        let said = pretty(&[text]).unwrap();
        assert!(said.chars().all(|c| !c.is_control() || c == '\n'), "{said:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&said).unwrap(), [text]);
        assert!(said.contains('é'));
    }
}
