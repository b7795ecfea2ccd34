//! A session as Markdown. Everything that a person, a model or a file brought in stands in a quotation, in a fence or
//! escaped in a line, so that nothing in it can pass for a part of the export.

use super::defuse::defuse;
use super::run::Section;
use crate::protocol::{Envelope, Event, RunId, utc};
use crate::settings::template::fence;
use crate::store::{Record, SessionRow, Stored};
use crate::tool::line;

/// A session as Markdown: its title, where it comes from, and its runs with prompt, answer, tools, edits, status and usage.
#[must_use]
pub fn markdown(row: &SessionRow, records: &[Stored]) -> String {
    let mut blocks = vec![format!("# {}", inline(&row.title)), provenance(row)];
    for section in sections(row, records) {
        blocks.push(section.markdown());
    }
    defuse(blocks.join("\n\n") + "\n")
}

fn provenance(row: &SessionRow) -> String {
    let mut lines = vec![format!("- Session {}", row.id)];
    if let Some(parent) = row.parent {
        lines.push(format!("- Forked from session {} behind its record {}", parent.session, parent.record));
    }
    if !row.folder.is_empty() {
        lines.push(format!("- Workspace {}", inline(&row.folder)));
    }
    lines.push(format!("- Begun {} UTC, last written {} UTC", utc(row.created_at_ms), utc(row.updated_at_ms)));
    lines.join("\n")
}

/// The records by run, in the order in which the runs began. What belongs to no run stands with the run before it.
fn sections(row: &SessionRow, records: &[Stored]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut runs = 0;
    for stored in records {
        let run: Option<RunId> = stored.record.as_ref().and_then(Record::run);
        let known = run.and_then(|run| sections.iter().rposition(|section| section.run == Some(run)));
        let index = match (known, run) {
            (Some(index), _) => index,
            (None, Some(run)) => {
                runs += 1;
                sections.push(Section::of(run, runs, stored.at_ms, &row.folder));
                sections.len() - 1
            }
            (None, None) if sections.is_empty() => {
                sections.push(Section::between(&row.folder));
                0
            }
            (None, None) => sections.len() - 1,
        };
        let section = &mut sections[index];
        match &stored.record {
            None => section.pruned(),
            Some(Record::Event(Envelope { event: Event::SessionForked { parent }, .. })) => {
                section.say(format!("*Here the session was forked from {parent}.*"));
            }
            Some(record) => section.take(record),
        }
    }
    sections
}

/// Text of others as one line of Markdown in which nothing has a meaning.
pub(super) fn inline(text: &str) -> String {
    let mut escaped = String::new();
    for letter in line(text).chars() {
        if letter.is_ascii_punctuation()
            && !matches!(letter, '.' | ',' | '/' | ':' | ';' | '\'' | '"' | '-' | '%' | '?')
        {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// Text of others as a quotation: whatever it opens ends with it.
pub(super) fn quote(text: &str) -> String {
    let lines: Vec<String> = clean(text).lines().map(|line| format!("> {line}").trim_end().to_owned()).collect();
    if lines.is_empty() { ">".to_owned() } else { lines.join("\n") }
}

/// Text of files in a fence that nothing in it closes.
pub(super) fn fenced(text: &str, language: &str) -> String {
    fence(&clean(text), language)
}

/// Without what speaks to a terminal.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}
