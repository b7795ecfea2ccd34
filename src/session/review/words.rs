//! What the model hears of decisions.

use super::pending::{Gone, Kind, Pending};
use crate::protocol::{HunkView, Range};

/// The most bytes of a refused text that the model is shown: it wrote it itself.
const SHOWN: usize = 160;
/// The most places whose texts are shown.
const PLACES: usize = 4;

/// What earlier runs proposed still waits.
pub(super) fn undecided(files: &[String]) -> String {
    format!(
        "What you proposed earlier in {} still waits for the person to decide and is not in the text yet.",
        files.join(", ")
    )
}

/// Some of what was proposed was taken.
pub(super) fn taken(pending: &Pending, hunks: &[HunkView]) -> String {
    let shown = &pending.place;
    match &pending.kind {
        Kind::Edit | Kind::Rename { .. } => {
            format!("The person took your proposed change of {shown} at {}. It is in the text now.", lines(hunks))
        }
        Kind::Create => format!("The person took the new file {shown} that you had proposed. It is there now."),
        Kind::Delete => format!("The person took your proposal to delete {shown}. It is gone."),
    }
}

/// A file got the name that was proposed.
pub(super) fn renamed(from: &str, to: &str) -> String {
    format!("The person took your proposal to rename {from}. It is {to} now.")
}

/// What was refused has come into the text all the same: the editor took long.
pub(super) fn landed_late(shown: &str) -> String {
    format!(
        "A change that you had proposed in {shown} has come into the text late, after the person had decided otherwise. Leave it to them, and \
         read the text before you change something there."
    )
}

/// Some of what was proposed was refused.
pub(super) fn refused(pending: &Pending, hunks: &[HunkView]) -> String {
    let shown = &pending.place;
    match &pending.kind {
        Kind::Create => format!("The person refused the new file {shown} that you had proposed. It is not there."),
        Kind::Delete => format!("The person refused your proposal to delete {shown}. It is still there."),
        Kind::Rename { id, .. } if hunks.iter().all(|hunk| hunk.id == *id) => {
            format!("The person refused your proposal to rename {shown}. It has its old name.")
        }
        Kind::Edit | Kind::Rename { .. } => {
            let what = format!("The person refused your proposed change of {shown} at {}", lines(hunks));
            format!(
                "{what}: the text reads there as it did before. Read it again before you change something there, and do not propose the \
                 same again unasked.{}",
                texts(hunks.iter().map(|hunk| hunk.new_text.as_str()), "Refused")
            )
        }
    }
}

/// Hunks that were applied were taken back.
#[must_use]
pub fn taken_back(shown: &str, hunks: &[HunkView]) -> String {
    format!(
        "The person took back a part of what you had changed in {shown}. What stands there now is what they want; read it before you \
         change it again.{}",
        texts(hunks.iter().map(|hunk| hunk.new_text.as_str()), "Taken back")
    )
}

/// Some of what was proposed has no place any more.
pub(super) fn void(shown: &str, gone: &[Gone]) -> String {
    let by_hand = gone.iter().filter(|gone| gone.by_hand).count();
    let mut said = Vec::new();
    if by_hand > 0 {
        let some = if by_hand == gone.len() { "" } else { " a part of" };
        said.push(format!("The person has made{some} what you had proposed in {shown} by hand."));
    }
    for gone in gone.iter().filter(|gone| !gone.by_hand).take(PLACES) {
        let text = texts([gone.hunk.hunk.new.as_str()], "It was");
        said.push(format!(
            "A change that you had proposed in {shown} was dropped ({}). Read the text again before you propose it anew.{text}",
            gone.reason
        ));
    }
    said.join(" ")
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>, word: &str) -> String {
    let mut said = String::new();
    for text in texts.into_iter().filter(|text| !text.trim().is_empty()).take(PLACES) {
        let mut end = text.len().min(SHOWN);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let more = if end < text.len() { " [cut]" } else { "" };
        said.push_str(&format!("\n{word}: {:?}{more}", &text[..end]));
    }
    said
}

/// "line 3", "lines 3 to 5 and line 9".
fn lines(hunks: &[HunkView]) -> String {
    let of = |hunk: &HunkView| {
        let Range { start, end } = hunk.range;
        let first = start.line + 1;
        let last = if end.character == 0 && end.line > start.line { end.line } else { end.line + 1 };
        if last > first { format!("lines {first} to {last}") } else { format!("line {first}") }
    };
    let named: Vec<String> = hunks.iter().take(PLACES).map(of).collect();
    let more = hunks.len() - named.len();
    let rest = if more > 0 { format!(" and {more} more places") } else { String::new() };
    format!("{}{rest}", named.join(", "))
}
