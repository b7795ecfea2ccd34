//! What documents and edits cost: `cargo bench --bench text`.

use cowrite::edit::{Hunk, Patch, Replacement, find};
use cowrite::protocol::{Position, Range};
use cowrite::text::{ContentChange, Delta, Document, Encoding, Snapshot};
use divan::{Bencher, black_box};

const KB: usize = 1024;
const MB: usize = 1024 * KB;

fn main() {
    divan::main();
}

/// Source-like lines, each of them different.
fn text(bytes: usize) -> String {
    let mut out = String::with_capacity(bytes + 64);
    for number in 0.. {
        out += &format!("    let value_{number} = compute(\"ä😀\", {number});\n");
        if out.len() >= bytes {
            break;
        }
    }
    out
}

fn at(line: u32, character: u32) -> Position {
    Position { line, character }
}

/// One character typed and taken back, so that the text stays as large as it is.
#[divan::bench(args = [10 * KB, 1700 * KB, 10 * MB])]
fn single_character_change(bencher: Bencher, bytes: usize) {
    let mut document = Document::open("rust", 0, &text(bytes));
    let middle = u32::try_from(document.snapshot().rope().len_lines() / 2).unwrap_or_default();
    let typed = ContentChange { range: Some(Range { start: at(middle, 9), end: at(middle, 9) }), text: "x".into() };
    let erased =
        ContentChange { range: Some(Range { start: at(middle, 9), end: at(middle, 10) }), text: String::new() };
    let mut turn = [[typed], [erased]].into_iter().cycle();
    bencher.bench_local(|| {
        if let Some(change) = turn.next() {
            document.change(1, &change, Encoding::Utf16, |delta, _| _ = black_box(delta));
        }
    });
}

#[divan::bench]
fn whole_text_change_of_10_mb(bencher: Bencher) {
    let texts = [text(10 * MB), text(10 * MB).replacen("value_9", "thing_9", 1)];
    let mut document = Document::open("rust", 0, &texts[0]);
    let mut turn = texts.map(|text| [ContentChange { range: None, text }]).into_iter().rev().cycle();
    bencher.with_inputs(|| turn.next()).bench_local_values(|change| {
        if let Some(change) = change {
            document.change(1, &change, Encoding::Utf16, |delta, _| _ = black_box(delta));
        }
    });
}

#[divan::bench(args = [10 * KB, 10 * MB])]
fn position_to_offset_and_back(bencher: Bencher, bytes: usize) {
    let snapshot = Snapshot::detached(&text(bytes), "rust");
    let line = u32::try_from(snapshot.rope().len_lines() / 2).unwrap_or_default();
    bencher.bench(|| {
        let offset = Encoding::Utf16.offset(snapshot.rope(), black_box(at(line, 40)));
        Encoding::Utf16.position(snapshot.rope(), offset)
    });
}

#[divan::bench]
fn snapshot_of_10_mb(bencher: Bencher) {
    let document = Document::open("rust", 0, &text(10 * MB));
    bencher.bench(|| document.snapshot().clone());
}

/// An edit of 200 lines over 1,000 characters typed on another line of 10 MB.
#[divan::bench]
fn rebase_over_1000_deltas(bencher: Bencher) {
    let mut document = Document::open("rust", 0, &text(10 * MB));
    let base = document.snapshot().clone();
    let first = base.rope().len_lines() / 2;
    let starts = (first..first + 200).map(|line| base.rope().line_to_byte(line) + 8);
    let patch = Patch::new(starts.map(|start| Hunk { range: start..start + 5, new: "thing".into() }).collect());
    for character in 0..1000 {
        let place = at(7, character);
        let typed = ContentChange { range: Some(Range { start: place, end: place }), text: "x".into() };
        document.change(1, &[typed], Encoding::Utf16, |_, _| {});
    }
    let deltas: Vec<Delta> = document.deltas_since(base.revision()).unwrap_or_default();
    bencher.bench(|| patch.rebase(base.rope(), &deltas, document.snapshot().rope()));
}

/// 200 old lines found among 10 MB, and the smallest patch that renames something in each.
#[divan::bench]
fn find_and_patch_200_lines_in_10_mb(bencher: Bencher) {
    let text = text(10 * MB);
    let base = Snapshot::detached(&text, "rust");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let old = lines[lines.len() / 2..lines.len() / 2 + 200].concat();
    let replacements = [Replacement { new: old.replace("value", "thing"), old, ..Replacement::default() }];
    bencher.bench(|| find(black_box(&base), &replacements));
}
