//! Numbered lines: how every tool shows a text.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::output::floor;

/// Lines of a text, each as its number, a tab and the line.
pub(super) struct Numbered {
    pub(super) text: String,
    /// The last line that is shown; the one before the first when none is.
    pub(super) last: usize,
    /// Whether a line was too long to be shown whole.
    pub(super) cut: bool,
}

impl Numbered {
    /// As many of these lines (from 1) as fit into `room` bytes, but at least a part of the first.
    pub(super) fn of(text: &str, lines: RangeInclusive<usize>, room: usize) -> Self {
        let first = *lines.start();
        let mut shown = Self { text: String::new(), last: first.saturating_sub(1), cut: false };
        let wanted = lines.clone().count();
        for (line, number) in text.split_terminator('\n').skip(first.saturating_sub(1)).take(wanted).zip(lines) {
            let before = shown.text.len();
            let _ = writeln!(shown.text, "{number}\t{line}");
            if shown.text.len() > room {
                shown.text.truncate(before);
                if before > 0 {
                    break;
                }
                shown.cut = true;
                shown.text = cut(number, line, room);
            }
            shown.last = number;
        }
        shown
    }
}

/// How many lines a text has; a line break at the end ends the last one.
pub(super) fn count(text: &str) -> usize {
    text.split_terminator('\n').count()
}

/// "1 line", "2 lines".
pub(super) fn counted(count: usize, thing: &str) -> String {
    let plural = match (count, thing) {
        (1, _) => "",
        (_, "match") => "es",
        _ => "s",
    };
    format!("{count} {thing}{plural}")
}

/// The beginning of a line, and how much of it is missing.
pub(super) fn shortened(line: &str, most: usize) -> String {
    if line.len() <= most {
        return line.to_owned();
    }
    let shown = &line[..floor(line, most)];
    format!("{shown} [... {} bytes more]", line.len() - shown.len())
}

fn cut(number: usize, line: &str, room: usize) -> String {
    format!("{number}\t{}\n", shortened(line, room.saturating_sub(64)))
}
