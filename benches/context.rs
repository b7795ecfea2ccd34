//! What keeping count of a long session costs: `cargo bench --bench context`.
//!
//! Wanted: what a request needs before it is sent (`prepare`) takes 1 ms or less with 5,000 entries, and less than a tenth more
//! with 100 entries more.

use std::sync::Arc;

use cowrite::context::{Budget, Window, of_text};
use cowrite::model::{Assembler, Block, Item, ToolResult};
use cowrite::protocol::Usage;
use cowrite::settings::{CompactionMode, CompactionSettings};
use divan::{Bencher, black_box};

const SIZES: [usize; 2] = [5_000, 5_100];

fn main() {
    divan::main();
}

fn budget() -> Budget {
    Budget::new(50_000_000, &CompactionSettings::default())
}

/// Source-like lines, each of them different.
fn text(lines: usize) -> String {
    (0..lines).map(|number| format!("    let value_{number} = compute(\"ä\", {number});\n")).collect()
}

/// The entry with this number: every eighth is what the person asked, else calls take turns with results. One of ten results is
/// large.
fn entry(number: usize) -> Arc<Item> {
    let call_id = |number: usize| format!("call_{number:024}");
    Arc::new(match number % 8 {
        0 => Item::asked("Mend the test that fails, and say why it did.", None),
        7 => Item::Assistant {
            model: "local/m".into(),
            origin: String::new(),
            blocks: vec![Block::Text { text: "It is mended: the offset was one too large.".into(), raw: None }],
            partial: false,
        },
        odd if odd % 2 == 1 => {
            let arguments = format!("{{\"path\":\"src/file_{number}.rs\"}}");
            let call = Block::Call { id: call_id(number), name: "read".into(), arguments, raw: None };
            let text = Block::Text { text: "I look at the file.".into(), raw: None };
            Item::Assistant { model: "local/m".into(), origin: String::new(), blocks: vec![text, call], partial: false }
        }
        _ => Item::Results {
            results: vec![ToolResult {
                undone: false,
                call_id: call_id(number - 1),
                name: "read".into(),
                ok: true,
                content: text(if number % 20 == 2 { 400 } else { 20 }),
            }],
        },
    })
}

/// A session as it stands between two requests: measured, and with the previews where they belong.
fn window(entries: usize) -> Window {
    let mut window = Window::default();
    window.fix(2_500);
    for number in 0..entries {
        window.push(entry(number));
        if let Some(previews) = window.worth_previewing(&budget()) {
            window.preview(previews, budget().preview);
        }
    }
    let input = Some(window.used(None).used);
    window.measure(&Usage { input, ..Usage::default() });
    window.push(entry(entries));
    window
}

/// Everything that a run does with its history before it sends a request.
#[divan::bench(args = SIZES)]
fn prepare(bencher: Bencher, entries: usize) {
    let (window, budget) = (window(entries), budget());
    bencher.bench(|| {
        let used = window.used(Some(budget.limit));
        let previews = window.worth_previewing(&budget);
        let items: Arc<[Arc<Item>]> = window.shown().into();
        (used, previews, Assembler::after(&items), items)
    });
}

/// Of that, a look at whether anything must be done.
#[divan::bench(args = SIZES)]
fn used_and_worth_previewing(bencher: Bencher, entries: usize) {
    let (window, budget) = (window(entries), budget());
    bencher.bench(|| (window.used(Some(budget.limit)), window.worth_previewing(&budget)));
}

/// Of that, the list of entries that the request owns.
#[divan::bench(args = SIZES)]
fn shown_as_a_list(bencher: Bencher, entries: usize) {
    let window = window(entries);
    bencher.bench(|| Arc::<[Arc<Item>]>::from(window.shown()));
}

/// Of that, the ids that the answer's calls may not have again.
#[divan::bench(args = SIZES)]
fn assembler_after(bencher: Bencher, entries: usize) {
    let window = window(entries);
    bencher.bench(|| Assembler::after(window.shown()));
}

/// Where the history would be cut: once after each turn that stands above the soft mark.
#[divan::bench(args = SIZES)]
fn plan(bencher: Bencher, entries: usize) {
    let (window, budget) = (window(entries), Budget::new(200_000, &CompactionSettings::default()));
    bencher.bench(|| window.plan(&budget, CompactionMode::KeepRecent));
}

/// An entry of 20 lines more, whatever stands before it.
#[divan::bench(args = SIZES)]
fn push(bencher: Bencher, entries: usize) {
    let mut window = window(entries);
    let item = entry(4);
    bencher.bench_local(|| window.push(black_box(item.clone())));
}

#[divan::bench]
fn estimate_of_64_kb(bencher: Bencher) {
    let text = text(1_500);
    bencher.counter(divan::counter::BytesCount::of_str(&text)).bench(|| of_text(black_box(&text)));
}
