//! The ways in which what a model writes, or the file, differs from what was there.

use cowrite::edit::Replacement;
use fastrand::Rng;

use super::edits::{Edit, text};

/// A file and what a model asks of it.
pub(super) struct Case {
    pub(super) file: String,
    pub(super) asked: Replacement,
    /// What the file should then read, line by line; the second says whether the model had no hand in the line, so that every
    /// byte of it counts.
    pub(super) expected: Vec<(String, bool)>,
}

impl Case {
    /// The edit as it is.
    pub(super) fn plain(edit: &Edit) -> Self {
        Self::with(edit, &edit.file, &edit.old, &edit.new)
    }

    /// A file and a model's texts, which may be other than the edit's but line for line the same.
    fn with(edit: &Edit, file: &[String], old: &[String], new: &[String]) -> Self {
        let behind = edit.at + edit.old.len();
        let untouched = |line: &String| (line.clone(), true);
        let block = edit.kept.iter().zip(&edit.new).map(|(kept, new)| match kept {
            Some(line) => untouched(&file[edit.at + line]),
            None => (new.clone(), false),
        });
        let expected =
            file[..edit.at].iter().map(untouched).chain(block).chain(file[behind..].iter().map(untouched)).collect();
        let asked = Replacement { old: text(old), new: text(new), ..Replacement::default() };
        Self { file: text(file), asked, expected }
    }

    /// The model writes each line otherwise.
    fn model(edit: &Edit, bend: impl Fn(&str) -> String) -> Option<Self> {
        let bent = |lines: &[String]| -> Vec<String> { lines.iter().map(|line| bend(line)).collect() };
        let (old, new) = (bent(&edit.old), bent(&edit.new));
        // A text that is in the file as it is, is meant.
        let is_there = old == edit.old || text(&edit.file).contains(&text(&old));
        (!is_there).then(|| Self::with(edit, &edit.file, &old, &new))
    }

    /// The file has each line of the block otherwise.
    fn file(edit: &Edit, mut bend: impl FnMut(&str) -> String) -> Option<Self> {
        let mut file = edit.file.clone();
        let block = edit.at..edit.at + edit.old.len();
        file[block.clone()].iter_mut().for_each(|line| *line = bend(line));
        (file[block] != edit.old).then(|| Self::with(edit, &file, &edit.old, &edit.new))
    }
}

/// The model adds white space at some line ends.
pub(super) fn trailing_by_model(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let seed = rng.u64(..);
    // The same line is written in the same way in the old text and in the new one.
    Case::model(edit, |line| {
        let mut rng = Rng::with_seed(seed ^ line.len() as u64);
        if rng.bool() { format!("{line}{}", rng.choice([" ", "  ", "\t"]).unwrap_or(" ")) } else { line.to_owned() }
    })
}

/// The file has white space at some line ends.
pub(super) fn trailing_in_file(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    Case::file(edit, |line| if rng.bool() { format!("{line}  ") } else { line.to_owned() })
}

/// The model writes the block without its common indentation, or with more.
pub(super) fn shifted(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let filled = || edit.old.iter().chain(&edit.new).filter(|line| !line.trim().is_empty());
    let common = filled().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let more = rng.choice(["    ", "  ", "\t"]).unwrap_or("  ");
    let less = common > 0 && rng.bool();
    Case::model(edit, |line| match line {
        line if line.trim().is_empty() => line.to_owned(),
        line if less => line[common..].to_owned(),
        line => format!("{more}{line}"),
    })
}

/// The model writes tabs for spaces, or spaces for tabs.
pub(super) fn tabs(edit: &Edit, _: &mut Rng) -> Option<Case> {
    let indents = || edit.old.iter().chain(&edit.new).map(|line| &line[..line.len() - line.trim_start().len()]);
    if indents().all(|indent| !indent.contains('\t')) {
        let step = indents().map(str::len).filter(|len| *len > 0).min().filter(|len| [2, 4].contains(len))?;
        return Case::model(edit, |line| {
            let spaces = line.len() - line.trim_start().len();
            format!("{}{}{}", "\t".repeat(spaces / step), " ".repeat(spaces % step), line.trim_start())
        });
    }
    Case::model(edit, |line| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        indent.replace('\t', "    ") + rest
    })
}

/// The file ends its lines otherwise than the model.
pub(super) fn line_ends(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let mut case = Case::plain(edit);
    let ends = [&["\r\n"][..], &["\r"], &["\n", "\r\n", "\r"]][rng.usize(..3)];
    let mut file = String::new();
    for line in case.file.lines() {
        let end = rng.choice(ends).unwrap_or(&"\n");
        // A CR and an LF with nothing between would be one break.
        let end = if line.is_empty() && file.ends_with('\r') && *end == "\n" { "\r\n" } else { end };
        file.push_str(line);
        file.push_str(end);
    }
    case.file = file;
    Some(case)
}

/// The model writes CRLF.
pub(super) fn crlf_by_model(edit: &Edit, _: &mut Rng) -> Option<Case> {
    let mut case = Case::plain(edit);
    case.asked.old = case.asked.old.replace('\n', "\r\n");
    case.asked.new = case.asked.new.replace('\n', "\r\n");
    Some(case)
}

/// Quotes, dashes, dots and spaces as a text program writes them.
pub(super) fn smart(line: &str) -> String {
    let mut open = true;
    let line = line.replace("...", "…").replace(" - ", " – ");
    let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
    let rest: String = rest
        .chars()
        .map(|c| match c {
            '"' => {
                open = !open;
                if open { '”' } else { '“' }
            }
            '\'' => '’',
            c => c,
        })
        .collect();
    indent.to_owned() + &rest
}

pub(super) fn smart_by_model(edit: &Edit, _: &mut Rng) -> Option<Case> {
    Case::model(edit, smart)
}

pub(super) fn smart_in_file(edit: &Edit, _: &mut Rng) -> Option<Case> {
    Case::file(edit, smart)
}

/// Spaces that do not break, between words.
pub(super) fn hard_spaces(edit: &Edit, _: &mut Rng) -> Option<Case> {
    Case::file(edit, |line| {
        let (indent, rest) = line.split_at(line.len() - line.trim_start().len());
        format!("{indent}{}", rest.replacen(' ', "\u{a0}", 1))
    })
}

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

/// The model escapes the whole text once too often.
pub(super) fn escaped(edit: &Edit, _: &mut Rng) -> Option<Case> {
    let mut case = Case::plain(edit);
    let control = |text: &str| text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t'));
    if control(&case.asked.old) || control(&case.asked.new) {
        return None;
    }
    case.asked.old = json(&case.asked.old);
    case.asked.new = json(&case.asked.new);
    Some(case)
}

/// The model escapes the quotes.
pub(super) fn escaped_quotes(edit: &Edit, _: &mut Rng) -> Option<Case> {
    // Where quotes are escaped already nobody could tell.
    let told = |lines: &[String]| lines.iter().all(|line| !line.contains("\\\"") && !line.contains("\\'"));
    if !told(&edit.old) || !told(&edit.new) {
        return None;
    }
    Case::model(edit, |line| line.replace('"', "\\\""))
}

/// The model leaves out a run of lines that stay.
pub(super) fn elided(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    // A run of kept lines with something before and behind it.
    let runs: Vec<usize> = (1..edit.new.len().saturating_sub(3))
        .filter(|&at| {
            let kept = &edit.kept[at..at + 3];
            kept[0].is_some_and(|line| {
                line > 0 && line + 3 < edit.old.len() && kept[1] == Some(line + 1) && kept[2] == Some(line + 2)
            })
        })
        .collect();
    let at = *rng.choice(&runs)?;
    let there = edit.kept[at]?;
    let cut = |lines: &[String], at: usize| -> Vec<String> {
        let mark = "    // ... existing code ...".to_owned();
        lines[..at].iter().cloned().chain([mark]).chain(lines[at + 3..].iter().cloned()).collect()
    };
    let parts = [&edit.old[..there], &edit.old[there + 3..]];
    let unique = |part: &[String]| {
        text(&edit.file).matches(&text(part)).count() == 1 && part.iter().any(|line| !line.trim().is_empty())
    };
    if !parts.iter().all(|part| unique(part)) {
        return None;
    }
    let mut case = Case::plain(edit);
    case.asked.old = text(&cut(&edit.old, there));
    case.asked.new = text(&cut(&edit.new, at));
    Some(case)
}

/// The block stands somewhere else too.
pub(super) fn doubled(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let mut case = Case::plain(edit);
    let (before, behind) = (edit.at, edit.file.len() - edit.at - edit.old.len());
    let place = if behind > before { edit.file.len() - rng.usize(..=behind) } else { rng.usize(..=before) };
    let mut file = edit.file.clone();
    file.splice(place..place, edit.old.iter().cloned());
    case.file = text(&file);
    Some(case)
}

pub(super) fn doubled_and_trailing(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let asked = trailing_by_model(edit, rng)?.asked;
    doubled(edit, rng).map(|case| Case { asked, ..case })
}

pub(super) fn doubled_and_shifted(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let asked = shifted(edit, rng)?.asked;
    doubled(edit, rng).map(|case| Case { asked, ..case })
}

pub(super) fn doubled_and_smart(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let asked = smart_by_model(edit, rng)?.asked;
    doubled(edit, rng).map(|case| Case { asked, ..case })
}

/// The block stands behind the file's end too, and the model says which one it means.
pub(super) fn doubled_with_line(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let case = trailing_by_model(edit, rng).unwrap_or_else(|| Case::plain(edit));
    let mut expected = case.expected;
    expected.extend(edit.old.iter().map(|line| (line.clone(), true)));
    let near = edit.at + 1 + rng.usize(..edit.old.len().min(3));
    let asked = Replacement { line: Some(near), ..case.asked };
    Some(Case { file: case.file + &text(&edit.old), asked, expected })
}

/// A word of a line that is there is another.
pub(super) fn other_word(edit: &Edit, rng: &mut Rng) -> Option<Case> {
    let long = |line: &&String| line.split(|c: char| !c.is_alphanumeric()).any(|word| word.len() > 3);
    let lines: Vec<&String> = edit.old.iter().filter(long).collect();
    let line = (*rng.choice(&lines)?).clone();
    let word = line.split(|c: char| !c.is_alphanumeric()).find(|word| word.len() > 3)?.to_owned();
    Case::model(edit, |other| if *other == line { other.replacen(&word, "zyxwvu", 1) } else { other.to_owned() })
}

/// The new text leaves out what the old one has.
pub(super) fn left_out(edit: &Edit, _: &mut Rng) -> Option<Case> {
    let mut case = Case::plain(edit);
    case.asked.new = format!("{}// ... rest of the code ...\n", text(&edit.new[..edit.new.len().min(1)]));
    Some(case)
}
