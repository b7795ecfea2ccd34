//! Answers made up at random, the same ones in every run.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::model::double::{Answer, Part, Stop};
use crate::protocol::Usage;

const WORDS: &[&str] = &[
    "Reading ",
    "the file",
    "\n\n",
    "data: x",
    "```rust\nfn a() {}\n```",
    " Привет",
    "🦀",
    "\u{2028}",
    "é",
    "\"quoted\"",
    "\\n",
    "\t",
    "{\"a\":1}",
    "[DONE]",
    "event: error",
    " ",
    "0",
    "\u{feff}",
    "</div>",
    "\r\n",
];

/// The answer of that number.
pub(super) fn answer(seed: u64) -> Answer {
    let mut rng = Rng::with_seed(seed);
    let mut parts = Vec::new();
    for _ in 0..rng.usize(0..2) {
        parts.push(Part::Reasoning { text: prose(&mut rng), opaque: rng.u8(0..4) == 0 });
    }
    for _ in 0..rng.usize(0..3) {
        parts.push(Part::Text(prose(&mut rng)));
    }
    let calls = rng.usize(0..4);
    for at in 0..calls {
        let name = ["read", "list", "write_file"][rng.usize(0..3)].to_owned();
        let id = format!("toolu_{seed}_{at}");
        let whole = arguments(&mut rng);
        parts.push(Part::Call { id, name, arguments: pieces(&mut rng, &whole) });
    }
    if parts.is_empty() || parts.iter().all(|part| matches!(part, Part::Reasoning { .. })) {
        parts.push(Part::text("Done."));
    }
    let stop = match (calls, rng.u8(0..6)) {
        (1.., _) => Stop::Calls,
        (0, 0) => Stop::Limit,
        _ => Stop::End,
    };
    let mut figure = |most| Some(rng.u64(1..most));
    let usage = Usage {
        input: figure(1_000_000),
        output: figure(100_000),
        cache_read: figure(1_000_000),
        cache_write: figure(10_000),
    };
    Answer { parts, stop, usage }
}

fn prose(rng: &mut Rng) -> Vec<String> {
    let mut text = "It is ".to_owned();
    for _ in 0..rng.usize(1..8) {
        text.push_str(WORDS[rng.usize(0..WORDS.len())]);
    }
    // No wire promises to keep white space at an end.
    text.push('.');
    pieces(rng, &text)
}

fn arguments(rng: &mut Rng) -> String {
    let mut object = serde_json::Map::new();
    for at in 0..rng.usize(0..4) {
        let value = match rng.u8(0..5) {
            0 => json!(rng.i64(..)),
            1 => json!([true, null, {"deep": [WORDS[rng.usize(0..WORDS.len())]]}]),
            2 => json!(0.5),
            _ => Value::String((0..rng.usize(0..5)).map(|_| WORDS[rng.usize(0..WORDS.len())]).collect()),
        };
        object.insert(format!("{}{at}", ["path", "inhalt_ß", "n"][rng.usize(0..3)]), value);
    }
    Value::Object(object).to_string()
}

/// The text in pieces, none of them empty.
fn pieces(rng: &mut Rng, text: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in text.chars() {
        if rng.u8(0..6) == 0 && pieces.last().is_some_and(|piece| !piece.is_empty()) {
            pieces.push(String::new());
        }
        if let Some(last) = pieces.last_mut() {
            last.push(c);
        }
    }
    pieces
}
