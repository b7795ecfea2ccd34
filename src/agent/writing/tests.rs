use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::text::cases::campaign;

/// The texts of a call, pushed in pieces of some characters each.
fn texts(arguments: &str, step: usize) -> (Option<String>, Vec<String>) {
    let mut writing = Writing::default();
    let mut texts: Vec<String> = Vec::new();
    let chars: Vec<char> = arguments.chars().collect();
    for part in chars.chunks(step) {
        for piece in writing.push(&part.iter().collect::<String>()) {
            let at = piece.number as usize;
            texts.resize(texts.len().max(at), String::new());
            texts[at - 1].push_str(&piece.text);
        }
    }
    (writing.path, texts)
}

#[test]
fn what_an_edit_puts_into_a_file_is_told_while_it_comes() {
    let mut writing = Writing::default();
    assert_eq!(writing.push(r#"{"path":"a.rs","edits":[{"old":"one","n"#), []);
    let piece = |number, text: &str| Piece { path: Some("a.rs".into()), number, text: text.into() };
    assert_eq!(writing.push(r#"ew":"t\"#), [piece(1, "t")]);
    assert_eq!(writing.push(r#"nwo"},{"new":"x"#), [piece(1, "\nwo"), piece(2, "x")]);
    assert_eq!(writing.push(r#"","old":"new","all":true}]}"#), []);
}

#[test]
fn what_is_no_json_harms_nobody() {
    for odd in ["", "]]}}", "\"", "{\"new\":\"\\u12", "{\"new\":\"\\ud83d\"}", "{\"new\":}", "nonsense \\ \u{0}"] {
        let _ = texts(odd, 1);
    }
    assert_eq!(texts(r#"{"new":"\ud83dx"}"#, 1).1, ["\u{fffd}x"]);
}

proptest! {
    #![proptest_config(campaign(5_000))]

    #[test]
    fn every_text_comes_whole_however_it_is_cut(
        path in "[a-z/é\\\\\"]{1,8}",
        new in prop::collection::vec("[a\"\\\\\n\t\u{1}é😀{}\\[\\]:,]{0,12}", 0..4),
        step in 1..9_usize,
        escaped: bool,
    ) {
        let edits: Vec<_> = new.iter().map(|new| json!({ "old": "\"new\":\"", "new": new })).collect();
        let mut arguments = json!({ "path": path, "edits": edits, "content": "last" }).to_string();
        if escaped {
            let units = |char: char| char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            arguments = arguments.chars().map(|char| if char.is_ascii() { char.to_string() } else { units(char) }).collect();
        }
        let (read, mut texts) = texts(&arguments, step);
        prop_assert_eq!(read, Some(path));
        texts.sort();
        let mut expected: Vec<String> = new.into_iter().chain(["last".to_owned()]).collect();
        expected.sort();
        // One that is empty says nothing.
        prop_assert_eq!(texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>(), expected.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>());
    }
}
