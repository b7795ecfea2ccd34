//! What an entry of the history says, and where a query finds it.

use std::borrow::Cow;

use serde_json::Value;

use super::TOOL;
use super::excerpt::excerpt;
use super::query::{Query, fold};
use crate::model::{Block, Item, Said};

/// The most characters of a title.
const TITLE: usize = 120;

/// Arguments that say most of what a call is about, the most telling first.
const TELLING: [&str; 12] =
    ["path", "command", "pattern", "query", "url", "from", "title", "name", "file", "question", "prompt", "id"];

/// Where a query finds an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Who said it: `person`, `program`, `assistant`, `call`, `result`.
    pub who: &'static str,
    /// What it is, in a line; of a result only the tool's name, for the arguments stand with its call.
    pub title: String,
    /// The call that it is the result of.
    pub call: Option<String>,
    /// The place in its surroundings.
    pub excerpt: String,
}

/// Looks for all words of a query in an entry. They may stand in different parts of it; told is the part that holds most of them.
#[must_use]
pub fn find(query: &Query, item: &Item) -> Option<Hit> {
    let words = query.words();
    let mut missing: Vec<&String> = words.iter().collect();
    let mut best: Option<(usize, Part<'_>, String, usize, usize)> = None;
    for part in parts(item) {
        let folded = fold(&part.text);
        let places: Vec<(usize, &String)> = words
            .iter()
            .filter_map(|word| memchr::memmem::find(folded.as_bytes(), word.as_bytes()).map(|at| (at, word)))
            .collect();
        missing.retain(|word| !places.iter().any(|(_, held)| held == word));
        let first = places.iter().min_by_key(|(at, _)| *at);
        if let Some((at, word)) = first
            && best.as_ref().is_none_or(|(most, ..)| places.len() > *most)
        {
            best = Some((places.len(), part, folded, *at, word.chars().count()));
        }
    }
    let (_, part, folded, at, length) = best.filter(|_| missing.is_empty())?;
    // Folding keeps the number of characters and not that of bytes.
    let characters = folded[..at].chars().count();
    let place = |nth: usize| part.text.char_indices().nth(nth).map_or(part.text.len(), |(at, _)| at);
    let excerpt = excerpt(&part.text, place(characters)..place(characters + length));
    Some(Hit { who: part.who, title: part.title.into_owned(), call: part.call.map(str::to_owned), excerpt })
}

/// All that an entry says, folded: what an index is filled with.
#[must_use]
pub fn words_of(item: &Item) -> String {
    let texts: Vec<String> = parts(item).iter().map(|part| fold(&part.text)).collect();
    texts.join(" ")
}

/// A call's title, when the entry holds that call.
#[must_use]
pub fn title_of(item: &Item, call: &str) -> Option<String> {
    let Item::Assistant { blocks, .. } = item else { return None };
    blocks.iter().find_map(|block| match block {
        Block::Call { id, name, arguments, .. } if id == call => Some(title(name, arguments)),
        _ => None,
    })
}

/// A part of an entry that stands by itself.
struct Part<'a> {
    who: &'static str,
    title: Cow<'a, str>,
    text: Cow<'a, str>,
    call: Option<&'a str>,
}

fn parts(item: &Item) -> Vec<Part<'_>> {
    let prose = |who, text| Part { who, title: "".into(), text: Cow::Borrowed(text), call: None };
    match item {
        Item::User { text, said: Said::Person { .. } } => vec![prose("person", text)],
        Item::User { text, .. } => vec![prose("program", text)],
        Item::Assistant { blocks, .. } => blocks
            .iter()
            .filter_map(|block| match block {
                Block::Text { text, .. } => Some(prose("assistant", text)),
                Block::Call { name, arguments, .. } if name != TOOL => Some(Part {
                    who: "call",
                    title: title(name, arguments).into(),
                    text: readable(name, arguments).into(),
                    call: None,
                }),
                // Reasoning is nobody's word: what came of it stands in the text and the calls.
                Block::Call { .. } | Block::Reasoning { .. } => None,
            })
            .collect(),
        Item::Results { results } => results
            .iter()
            .filter(|result| result.name != TOOL)
            .map(|result| Part {
                who: "result",
                title: result.name.as_str().into(),
                text: result.content.as_str().into(),
                call: Some(&result.call_id),
            })
            .collect(),
    }
}

/// A call as a text: its arguments a line each, strings as they are and not as JSON spells them, so that what was written
/// into a file is found as it stands there.
fn readable(name: &str, arguments: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(arguments) else { return format!("{name}\n{arguments}") };
    let mut text = name.to_owned();
    leaves(None, &value, &mut text);
    text
}

fn leaves(key: Option<&str>, value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| leaves(Some(key), value, text)),
        Value::Array(entries) => entries.iter().for_each(|entry| leaves(key, entry, text)),
        leaf => {
            text.push('\n');
            if let Some(key) = key {
                text.push_str(key);
                text.push_str(": ");
            }
            match leaf {
                Value::String(string) => text.push_str(string),
                other => text.push_str(&other.to_string()),
            }
        }
    }
}

/// A tool's name with its most telling argument.
fn title(name: &str, arguments: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(arguments) else { return in_a_line(name) };
    let telling = TELLING.iter().find_map(|key| fields.get(*key).and_then(Value::as_str));
    match telling.or_else(|| fields.values().find_map(Value::as_str)) {
        Some(argument) => in_a_line(&format!("{name} {argument}")),
        None => in_a_line(name),
    }
}

fn in_a_line(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(TITLE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ToolResult;

    fn call(id: &str, name: &str, arguments: &str) -> Block {
        Block::Call { id: id.into(), name: name.into(), arguments: arguments.into(), raw: None }
    }

    fn text(text: &str) -> Block {
        Block::Text { text: text.into(), raw: None }
    }

    fn assistant(blocks: Vec<Block>) -> Item {
        Item::Assistant { model: "a/b".into(), origin: String::new(), blocks, partial: false }
    }

    fn result(name: &str, content: &str) -> ToolResult {
        ToolResult { undone: false, call_id: format!("{name}-1"), name: name.into(), ok: true, content: content.into() }
    }

    /// Who, title and excerpt in a line; `-` when nothing is found.
    fn check(query: &str, item: &Item) -> String {
        let hit = find(&Query::new(query), item);
        hit.map_or("-".into(), |hit| format!("{} [{}] {}", hit.who, hit.title, hit.excerpt.replace('\n', "/")))
    }

    #[test]
    fn every_kind_of_entry_is_found_with_who_said_it() {
        assert_eq!(check("tabs", &Item::asked("Use Tabs.", None)), "person [] Use Tabs.");
        assert_eq!(check("tabs", &Item::standing("rules AGENTS.md", "Use tabs.")), "program [] Use tabs.");
        let said = assistant(vec![
            text("I look."),
            call("1", "read", r#"{"start_line":3,"path":"src/lib.rs"}"#),
            Block::Reasoning { text: "secretly".into(), raw: None },
        ]);
        assert_eq!(check("LOOK", &said), "assistant [] I look.");
        assert_eq!(check("lib.rs", &said), "call [read src/lib.rs] read/path: src/lib.rs/start_line: 3");
        assert_eq!(check("secretly", &said), "-", "reasoning is not searched");
        let results = Item::Results { results: vec![result("read", "fn a() {}"), result("search", "fn b() {}")] };
        assert_eq!(check("b()", &results), "result [search] fn b() {}");
        assert_eq!(title_of(&said, "1").as_deref(), Some("read src/lib.rs"));
        assert_eq!(title_of(&said, "2"), None);
    }

    #[test]
    fn all_words_must_occur_in_any_case_and_script() {
        let item = Item::told("Die Straße zum Überlauf;\nΟΔΟΣ 上下文压缩的摘要");
        for query in
            ["straSSE".replace("SS", "ß").as_str(), "ÜBERLAUF die", "οδος", "οδοσ", "压缩", "压", "\"überlauf; οδος\""]
        {
            assert_ne!(check(query, &item), "-", "{query}");
        }
        for query in ["Überlauf Unterlauf", "压缩要", "\"die zum\""] {
            assert_eq!(check(query, &item), "-", "{query}");
        }
    }

    #[test]
    fn words_may_stand_in_different_parts_and_the_one_with_most_is_told() {
        let item = assistant(vec![
            text("alpha"),
            call("1", "edit", r#"{"path":"beta gamma","edits":[{"old":"say \"hi\"\n","new":"\u754c\u9762"}]}"#),
        ]);
        assert!(check("alpha beta gamma", &item).starts_with("call [edit beta gamma]"));
        assert!(check("\"say \" 界面", &item).contains("old: say \"hi\""), "{}", check("\"say \" 界面", &item));
        assert_eq!(check("\"alpha edit\"", &item), "-", "a phrase does not reach over parts");
    }

    #[test]
    fn a_search_never_finds_itself() {
        let item = assistant(vec![call("1", TOOL, r#"{"query":"needle"}"#)]);
        assert_eq!(check("needle", &item), "-");
        assert_eq!(check("needle", &Item::Results { results: vec![result(TOOL, "a needle")] }), "-");
    }

    #[test]
    fn arguments_that_do_not_parse_are_found_as_they_are() {
        let item = assistant(vec![call("1", "write", r#"{"path": "a.rs"#)]);
        assert_eq!(check("a.rs", &item), r#"call [write] write/{"path": "a.rs"#);
    }
}
