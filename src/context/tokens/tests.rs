use std::sync::Arc;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::model::ToolResult;

#[test]
fn pieces_of_each_kind_count_by_themselves() {
    let texts = [
        "the",
        "The quick brown fox jumps over the lazy dog.",
        "snake_case_name",
        "HttpServerConfig",
        "HTTP",
        "2026-11-21",
        "===========================================",
        "\n\n        .",
        "敏捷的棕色狐狸",
        "быстрая лиса",
        "ünïcode",
        "🎉",
    ];
    let counted: Vec<String> = texts.iter().map(|text| format!("{} {}", of_text(text), text.escape_debug())).collect();
    insta::assert_snapshot!(counted.join("\n"), @r"
    1 the
    11 The quick brown fox jumps over the lazy dog.
    5 snake_case_name
    4 HttpServerConfig
    2 HTTP
    9 2026-11-21
    9 ===========================================
    3 \n\n        .
    8 敏捷的棕色狐狸
    6 быстрая лиса
    7 ünïcode
    3 🎉
    ");
}

#[test]
fn c2_reasoning_counts_as_it_is_billed() {
    let raw: Arc<RawValue> = RawValue::from_string(format!("\"{}\"", "A".repeat(998))).unwrap().into();
    let reasoning = |text: &str, raw: Option<&Arc<RawValue>>| {
        let blocks = vec![Block::Reasoning { text: text.to_owned(), raw: raw.cloned() }];
        of_item(&Item::Assistant { model: String::new(), origin: String::new(), blocks, partial: false }) - MESSAGE
    };
    assert_eq!(reasoning("word word word", Some(&raw)), 3, "by its text, not by its signature");
    assert_eq!(reasoning("", Some(&raw)), 200, "sealed: by its length");
    assert_eq!(reasoning("word word word", None), 0, "without the provider's own form it is not sent");
}

#[test]
fn c2_calls_results_and_tools_count_with_their_frames() {
    let call = |id: &str| Block::Call { id: id.into(), name: "read".into(), arguments: "{}".into(), raw: None };
    let blocks = vec![call("a"), call("b")];
    let calls = Item::Assistant { model: String::new(), origin: String::new(), blocks, partial: false };
    assert_eq!(of_item(&calls), MESSAGE + 2 * (CALL + 1 + of_text("{}")));
    let result =
        ToolResult { undone: false, call_id: "a".into(), name: "read".into(), ok: true, content: "word word".into() };
    let sizes = Sizes::of(&Item::Results { results: vec![result.clone(), result] });
    assert_eq!((sizes.total, &*sizes.results), (2 * (RESULT + 2), [2, 2].as_slice()));
    let tool = ToolSpec { name: "read".into(), description: "word word".into(), schema: Arc::new("word".into()) };
    assert_eq!(of_fixed("word", &[]), MESSAGE + 1);
    assert_eq!(of_fixed("word", &[tool]), MESSAGE + 1 + TOOLS + TOOL + 1 + 2 + of_text("\"word\""));
}

proptest! {
    #[test]
    fn c2_a_mixed_text_is_counted_piece_by_piece(pieces in prop::collection::vec("[a-z]{1,9}\n|[0-9]{1,6}\n|[ -~]{0,30}\n|[一-龥]{1,9}\n|\\PC{0,9}\n", 0..30)) {
        let apart: u64 = pieces.iter().map(|piece| of_text(piece)).sum();
        let together = of_text(&pieces.concat());
        // A line break and the indentation behind it are one gap, which may weigh more than both, and each text apart is rounded up.
        let pieces = pieces.len() as u64;
        prop_assert!(together <= apart + pieces, "{together} of {apart}");
        prop_assert!(apart <= together + 3 * pieces, "{together} of {apart}");
    }
}
