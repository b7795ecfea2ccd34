//! The place that resembles a text most: shown to the model, never edited.

use std::collections::HashMap;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::fold;
use crate::edit::lines::split;

/// Larger texts are not searched.
const MOST_BYTES: usize = 1024 * 1024;
/// Of a longer old text only the first lines are looked for.
const MOST_WANTED: usize = 200;
/// A line that is there more often says little about the place, and following each would cost much.
const MOST_PLACES: usize = 50;
/// How many lines are shown, and how much of each.
const SHOWN_LINES: usize = 8;
const SHOWN_CHARS: usize = 160;
/// How much two lines must have in common to count as similar.
const ALIKE: f64 = 0.5;

/// "; the nearest place …" with the lines that differ, or nothing when nothing is similar.
pub(super) fn describe(text: &str, old: &str) -> String {
    if text.len() > MOST_BYTES {
        return String::new();
    }
    let lines: Vec<&str> = split(text).map(content).collect();
    let wanted: Vec<&str> = split(old).map(content).take(MOST_WANTED).collect();
    match place(&lines, &wanted) {
        Some(start) => show(&lines, &wanted, start),
        None => String::new(),
    }
}

fn content(line: &str) -> &str {
    line.trim_end_matches('\n')
}

/// The line at which the wanted lines would begin: where most of their letters are, white space aside.
fn place(lines: &[&str], wanted: &[&str]) -> Option<usize> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        let places = places.entry(line.trim()).or_default();
        if places.len() <= MOST_PLACES {
            places.push(at);
        }
    }
    let mut weights: HashMap<usize, usize> = HashMap::new();
    for (offset, line) in wanted.iter().enumerate() {
        let line = line.trim();
        let there = places.get(line).filter(|there| !line.is_empty() && there.len() <= MOST_PLACES);
        for start in there.into_iter().flatten().filter_map(|at| at.checked_sub(offset)) {
            *weights.entry(start).or_default() += line.len();
        }
    }
    let letters: usize = wanted.iter().map(|line| line.trim().len()).sum();
    let best = weights.into_iter().max_by_key(|&(start, weight)| (weight, std::cmp::Reverse(start)));
    match best {
        // A shared brace alone is no resemblance.
        Some((start, weight)) if 5 * weight >= letters => Some(start),
        _ => by_one_line(lines, wanted),
    }
}

/// The place of the line that resembles the longest wanted line most.
fn by_one_line(lines: &[&str], wanted: &[&str]) -> Option<usize> {
    let (offset, line) =
        wanted.iter().enumerate().max_by_key(|(at, line)| (line.trim().len(), std::cmp::Reverse(*at)))?;
    let pairs = pairs(line);
    let similar = |text: &str| likeness(&pairs, text);
    let (at, score) = lines
        .iter()
        .map(|line| similar(line))
        .enumerate()
        .fold((0, 0.0), |best, next| if next.1 > best.1 { next } else { best });
    (score >= ALIKE).then(|| at.saturating_sub(offset))
}

/// How often each two neighbouring bytes stand in a line, white space aside.
fn pairs(line: &str) -> HashMap<[u8; 2], i32> {
    let mut counts = HashMap::new();
    for pair in neighbours(line) {
        *counts.entry(pair).or_default() += 1;
    }
    counts
}

fn neighbours(line: &str) -> impl Iterator<Item = [u8; 2]> {
    let bytes = || line.bytes().filter(|byte| !byte.is_ascii_whitespace());
    bytes().zip(bytes().skip(1)).map(|(a, b)| [a, b])
}

/// The share of neighbours that two lines have in common (Dice's coefficient), from 0 to 1.
fn likeness(wanted: &HashMap<[u8; 2], i32>, line: &str) -> f64 {
    let mut left = wanted.clone();
    let total: i32 = wanted.values().sum();
    let (mut common, mut count) = (0, 0);
    for pair in neighbours(line) {
        count += 1;
        if let Some(times) = left.get_mut(&pair).filter(|times| **times > 0) {
            *times -= 1;
            common += 1;
        }
    }
    if total + count == 0 { 0.0 } else { f64::from(2 * common) / f64::from(total + count) }
}

/// The lines of the file with their numbers, and under those that differ what the old text has instead.
fn show(lines: &[&str], wanted: &[&str], start: usize) -> String {
    let end = (start + wanted.len()).min(lines.len());
    let there = &lines[start..end];
    let mut rows: Vec<(bool, String)> = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, there, wanted) {
        let same = matches!(op, DiffOp::Equal { .. });
        let numbered = op.old_range().map(|at| (!same, format!("{:>5} | {}", start + at + 1, short(there[at]))));
        rows.extend(numbered);
        if !same {
            rows.extend(op.new_range().map(|at| (true, format!("  old | {}", short(wanted[at])))));
        }
    }
    let first = rows.iter().position(|(differs, _)| *differs).unwrap_or(0);
    let from = first.saturating_sub(1);
    let more = rows.len().saturating_sub(from + SHOWN_LINES);
    let shown: Vec<String> = rows.into_iter().skip(from).take(SHOWN_LINES).map(|(_, row)| row).collect();

    let what = match (start + 1, end) {
        (first, last) if first >= last => format!("line {first}"),
        (first, last) => format!("lines {first} to {last}"),
    };
    let class = class(there, wanted);
    let rest = if more > 0 { "\n  …" } else { "" };
    format!("; the nearest place, {what}, differs{class}:\n{}{rest}", shown.join("\n"))
}

/// In what alone two blocks differ, if they differ in one thing only.
fn class(there: &[&str], wanted: &[&str]) -> &'static str {
    let same = |part: fn(&str) -> String| {
        let all = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| part(line)).collect() };
        all(there) == all(wanted)
    };
    let bare = |lines: &[&str]| -> String { lines.iter().flat_map(|line| line.split_whitespace()).collect() };
    let (there_bare, wanted_bare) = (bare(there), bare(wanted));
    if same(|line| line.trim().to_owned()) {
        " only in indentation"
    } else if there_bare == wanted_bare {
        " only in white space"
    } else if fold::same(&there_bare, &wanted_bare) {
        " only in white space, quotes or dashes"
    } else if there_bare.to_lowercase() == wanted_bare.to_lowercase() {
        " only in upper and lower case"
    } else {
        ""
    }
}

/// A line as it is shown: tabs can be told from spaces, and a long line is cut.
fn short(line: &str) -> String {
    let line = line.replace('\t', "→");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}
