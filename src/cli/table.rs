//! Columns, and the words in them.

use crate::protocol::SessionId;
use crate::tool::line;

/// As many characters of an id as say nearly always which is meant: its time to the millisecond.
const SHORT: usize = 13;

/// The most characters of a title or a prompt.
const WORDS: usize = 60;

/// Rows in columns that stand below one another, two spaces apart. Nothing is filled up behind the last column.
pub(super) fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The first words of what others wrote, in a line that a terminal can be shown.
pub(super) fn words(text: &str) -> String {
    let line = line(text);
    match line.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The beginnings of ids: short, and long enough that each means one of them.
pub(super) fn short_ids(ids: impl Iterator<Item = SessionId>) -> Vec<String> {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let shared = |pair: &[&str]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    let length = sorted.windows(2).map(|pair| shared(pair) + 1).max().unwrap_or(0).max(SHORT);
    ids.iter().map(|id| id.chars().take(length).collect()).collect()
}
