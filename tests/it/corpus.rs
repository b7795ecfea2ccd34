//! Real edits, bent in the ways in which models write texts that are not in the file: each is found where it belongs, or said
//! to be ambiguous or missing. Nothing is ever put in a wrong place.
//!
//! In `cargo test` the edits are made from the project's own files; `tests/corpus/run` takes two versions of many packages.

#![allow(clippy::print_stdout, reason = "a table that a person reads")]

mod bends;
mod edits;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use cowrite::edit::patch_form::{Chunk, Line, locate};
use cowrite::edit::{FindError, find};
use cowrite::text::Snapshot;
use fastrand::Rng;

use self::bends::Case;
use self::edits::{Edit, Pair, capped, pairs, places, text};

/// What is expected of a class of cases.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    /// At least 99 of 100 are found.
    Found,
    /// Each is said to be ambiguous.
    Ambiguous,
    /// Each is said to be nowhere.
    Missing,
    /// Each is refused.
    Refused,
}

/// How a class reads lines, for telling whether a block has a place of its own.
type Key = fn(&str) -> String;

struct Class {
    name: &'static str,
    bend: fn(&Edit, &mut Rng) -> Option<Case>,
    key: Key,
    ask: Ask,
}

fn exact(line: &str) -> String {
    line.to_owned()
}

fn end_off(line: &str) -> String {
    line.trim_end().to_owned()
}

fn both_off(line: &str) -> String {
    line.trim().to_owned()
}

/// Typography as [`bends::smart`] makes it, in both.
fn smart(line: &str) -> String {
    let line =
        line.replace('\u{a0}', " ").replace('–', "-").replace(['“', '”'], "\"").replace('’', "'").replace('…', "...");
    line.trim_end().to_owned()
}

const CLASSES: &[Class] = &[
    Class { name: "as it is", bend: |edit, _| Some(Case::plain(edit)), key: exact, ask: Ask::Found },
    Class { name: "line ends of the file: CRLF, CR, mixed", bend: bends::line_ends, key: exact, ask: Ask::Found },
    Class { name: "CRLF by the model", bend: bends::crlf_by_model, key: exact, ask: Ask::Found },
    Class { name: "trailing space by the model", bend: bends::trailing_by_model, key: end_off, ask: Ask::Found },
    Class { name: "trailing space in the file", bend: bends::trailing_in_file, key: end_off, ask: Ask::Found },
    Class { name: "block shifted", bend: bends::shifted, key: both_off, ask: Ask::Found },
    Class { name: "tabs for spaces, spaces for tabs", bend: bends::tabs, key: both_off, ask: Ask::Found },
    Class { name: "smart quotes, dashes, dots by the model", bend: bends::smart_by_model, key: smart, ask: Ask::Found },
    Class { name: "smart quotes, dashes, dots in the file", bend: bends::smart_in_file, key: smart, ask: Ask::Found },
    Class { name: "no-break spaces in the file", bend: bends::hard_spaces, key: smart, ask: Ask::Found },
    Class { name: "escaped as a whole", bend: bends::escaped, key: exact, ask: Ask::Found },
    Class { name: "quotes escaped", bend: bends::escaped_quotes, key: exact, ask: Ask::Found },
    Class { name: "middle left out in both", bend: bends::elided, key: exact, ask: Ask::Found },
    Class { name: "block twice, and a line", bend: bends::doubled_with_line, key: |_| String::new(), ask: Ask::Found },
    Class { name: "block twice", bend: bends::doubled, key: exact, ask: Ask::Ambiguous },
    Class { name: "block twice, trailing space", bend: bends::doubled_and_trailing, key: exact, ask: Ask::Ambiguous },
    Class { name: "block twice, shifted", bend: bends::doubled_and_shifted, key: exact, ask: Ask::Ambiguous },
    Class { name: "block twice, smart", bend: bends::doubled_and_smart, key: exact, ask: Ask::Ambiguous },
    Class { name: "a word is another", bend: bends::other_word, key: exact, ask: Ask::Missing },
    Class { name: "text left out of the new one", bend: bends::left_out, key: exact, ask: Ask::Refused },
];

#[derive(Default)]
struct Score {
    cases: usize,
    right: usize,
    /// Not told from another place by this class's reading, and said so.
    not_unique: usize,
    wrong: Vec<String>,
    other: Vec<String>,
}

#[test]
fn campaign_corpus_edits_are_found_where_they_belong() {
    let full = std::env::var_os("COWRITE_CAMPAIGN").is_some_and(|value| value == "full");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let packages = if full { fetched(&root) } else { vec![own(&root)] };
    let edits: Vec<Edit> = packages.iter().flat_map(|pairs| capped(pairs)).collect();
    let least = if full { 2_000 } else { 50 };
    println!("{} edits from {} pairs of versions", edits.len(), packages.len());
    assert!(edits.len() >= least, "{} edits are too few", edits.len());

    let mut faults = Vec::new();
    println!(
        "\n| class | cases | as expected | not unique so | missed | wrong place |\n| --- | --: | --: | --: | --: | --: |"
    );
    // Side by side; each class with chances of its own, so that they are the same in every run.
    let scores: Vec<Score> = std::thread::scope(|scope| {
        let threads: Vec<_> = CLASSES.iter().map(|class| scope.spawn(|| class.score(&edits))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a score")).collect()
    });
    for (class, score) in CLASSES.iter().zip(scores) {
        score.close(class.name, class.ask, &mut faults);
    }
    let pairs: Vec<&Pair> = packages.iter().flatten().collect();
    patches(&pairs).close("whole files as patches", Ask::Found, &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

impl Class {
    fn score(&self, edits: &[Edit]) -> Score {
        let mut rng = Rng::with_seed(6);
        let mut score = Score::default();
        for edit in edits {
            if let Some(case) = (self.bend)(edit, &mut rng) {
                score.count(self, edit, &case);
            }
        }
        score
    }
}

impl Score {
    fn count(&mut self, class: &Class, edit: &Edit, case: &Case) {
        self.cases += 1;
        let base = Snapshot::detached(&case.file, "text");
        let said = match find(&base, std::slice::from_ref(&case.asked)) {
            Ok(patch) => {
                let after = patch.apply(base.rope()).to_string();
                match differs(&case.file, &after, &case.expected) {
                    None if class.ask == Ask::Found => return self.right += 1,
                    None => "it was applied".to_owned(),
                    Some(how) => return self.wrong.push(format!("{}: {how}", edit.from)),
                }
            }
            Err(error) => {
                let right = match class.ask {
                    Ask::Found => false,
                    Ask::Ambiguous => matches!(error, FindError::Ambiguous { .. }),
                    Ask::Missing => matches!(error, FindError::Missing { .. }),
                    Ask::Refused => matches!(error, FindError::Omission { .. }),
                };
                let others = || places(&edit.file, &edit.old, class.key) > 1;
                if right {
                    return self.right += 1;
                } else if matches!(error, FindError::Ambiguous { .. }) && class.ask == Ask::Found && others() {
                    return self.not_unique += 1;
                }
                error.to_string()
            }
        };
        self.other.push(format!("{}: {said}", edit.from));
    }

    fn close(self, name: &str, ask: Ask, faults: &mut Vec<String>) {
        let Self { cases, right, not_unique, wrong, other } = self;
        println!("| {name} | {cases} | {right} | {not_unique} | {} | {} |", other.len(), wrong.len());
        let asked = cases - not_unique;
        let bound = if ask == Ask::Found { (99 * asked).div_ceil(100) } else { asked };
        let examples = |list: &[String]| list.iter().take(8).cloned().collect::<Vec<_>>().join("\n");
        if !wrong.is_empty() {
            faults.push(format!("{name}: {} in a wrong place:\n{}", wrong.len(), examples(&wrong)));
        }
        if ask == Ask::Found && !other.is_empty() {
            println!("{}", examples(&other));
        }
        if right < bound {
            faults.push(format!("{name}: {right} of {asked} are fewer than {bound}:\n{}", examples(&other)));
        }
    }
}

/// How a text differs from what is expected: lines that the model had no hand in by any byte, their ends included; the others
/// not by white space at the end and not by typography.
fn differs(before: &str, after: &str, expected: &[(String, bool)]) -> Option<String> {
    let after = ended(after);
    let before: HashSet<(&str, &str)> = ended(before).into_iter().collect();
    if after.len() != expected.len() {
        return Some(format!("{} lines, not {}", after.len(), expected.len()));
    }
    let differs = |((line, end), (wanted, untouched)): &(&(&str, &str), &(String, bool))| {
        if *untouched { line != wanted || !before.contains(&(*line, *end)) } else { smart(line) != smart(wanted) }
    };
    let (at, ((line, _), (wanted, _))) = after.iter().zip(expected).enumerate().find(|(_, pair)| differs(pair))?;
    Some(format!("line {} reads {line:?}, not {wanted:?}", at + 1))
}

/// The lines of a text, each with its break beside it.
fn ended(text: &str) -> Vec<(&str, &str)> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let length = if rest[end..].starts_with("\r\n") { 2 } else { usize::from(end < rest.len()) };
        lines.push((&rest[..end], &rest[end..end + length]));
        rest = &rest[end + length..];
    }
    lines
}

/// Each file's whole change as the chunks of one patch.
fn patches(pairs: &[&Pair]) -> Score {
    let mut score = Score::default();
    for pair in pairs {
        let chunks: Vec<Chunk> = pair.groups(3).iter().map(|ops| chunk(&pair.edit(ops))).collect();
        if chunks.iter().any(|chunk| chunk.old_text().is_empty()) {
            continue;
        }
        score.cases += 1;
        let base = Snapshot::detached(&text(&pair.old), "text");
        match locate(&base, &chunks) {
            Ok(found) if found.patch.apply(base.rope()) == text(&pair.new) => score.right += 1,
            Ok(_) => score.wrong.push(format!("{}: another text", pair.from)),
            Err(FindError::Ambiguous { .. }) => score.not_unique += 1,
            Err(error) => score.other.push(format!("{}: {error}", pair.from)),
        }
    }
    score
}

fn chunk(edit: &Edit) -> Chunk {
    let mut lines = Vec::new();
    let mut next = 0;
    let mut remove = |lines: &mut Vec<Line>, until: usize| {
        lines.extend(edit.old[next..until].iter().cloned().map(Line::Remove));
        next = until + 1;
    };
    for (kept, new) in edit.kept.iter().zip(&edit.new) {
        match kept {
            Some(line) => {
                remove(&mut lines, *line);
                lines.push(Line::Keep(new.clone()));
            }
            None => lines.push(Line::Add(new.clone())),
        }
    }
    remove(&mut lines, edit.old.len());
    Chunk { lines, ..Chunk::default() }
}

fn fetched(root: &Path) -> Vec<Vec<Pair>> {
    let list = std::fs::read_to_string(root.join("tests/corpus/packages.txt")).expect("the list of packages");
    pairs(&root.join("target/corpus/sources"), &list)
}

/// Edits of the project's own files: here and there a line is changed, one comes, or some go.
fn own(root: &Path) -> Vec<Pair> {
    let mut rng = Rng::with_seed(1);
    let files = [
        "src/edit.rs",
        "src/edit/lines.rs",
        "src/edit/diff.rs",
        "src/tool/read.rs",
        "src/lsp/apply.rs",
        "docs/protocol.md",
    ];
    let mut pairs = Vec::new();
    for file in files {
        let old = std::fs::read_to_string(root.join(file)).expect("a file of the project");
        let mut new = Vec::new();
        for line in old.lines() {
            match rng.usize(..40) {
                0 => new.push(line.replace('e', "oe")),
                1 => new.extend([line.to_owned(), format!("{line} // and \"more\"")]),
                2 => {}
                _ => new.push(line.to_owned()),
            }
        }
        pairs.extend(Pair::of(file.to_owned(), &old, &text(&new)));
    }
    pairs
}
