//! OpenAI Responses, as <https://platform.openai.com/docs/api-reference/responses/create> has it.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::neutral::{Figures, in_turns, seal, sse};
use super::rules::{
    absent, bearer, boolean, fields, filled, list, name, number, once, optional_list, path, posted, schema, string,
    whole_number, wrong,
};
use super::{Answer, Asked, Checked, Dialect, Event, Part, Reply, Stop, Style, Transcript, Trouble, openai_chat};

pub(super) struct Responses;

const OPTIONAL: &[&str] = &[
    "instructions",
    "stream",
    "stream_options",
    "store",
    "include",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "reasoning",
    "text",
    "truncation",
    "prompt_cache_key",
    "prompt_cache_options",
    "context_management",
];

impl Dialect for Responses {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn owns(&self, path: &str) -> bool {
        path == "/v1/responses"
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        bearer(asked)?;
        absent(asked, &["x-api-key", "api-key", "x-goog-api-key"])?;
        posted(asked)?;
        path(asked, "/v1/responses", None)?;
        check(asked.body)
    }

    fn styles(&self) -> Vec<Style> {
        styles()
    }

    fn stream(&self, answer: &Answer, style: Style) -> Transcript {
        stream(answer, style, &|_| {})
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        whole(answer, style)
    }

    fn error(&self, trouble: Trouble) -> Reply {
        error(trouble)
    }

    fn reported(&self, trouble: Trouble) -> Option<Event> {
        reported(trouble)
    }

    fn unknown(&self) -> Event {
        unknown()
    }
}

pub(super) fn styles() -> Vec<Style> {
    let plain = Style::default();
    vec![
        plain,
        Style { interleaved: true, ..plain },
        Style { whole_calls: true, ..plain },
        Style { new_fields: true, ..plain },
        Style { spaced: true, ..plain },
        Style { other: true, ..plain },
    ]
}

pub(super) fn unknown() -> Event {
    let data = json!({"type": "response.sparkle.delta", "sequence_number": 99, "output_index": 77, "delta": "x"});
    Event::new("response.sparkle.delta", &data)
}

/// Errors in the midst of a stream are flat, or the response failed.
pub(super) fn reported(trouble: Trouble) -> Option<Event> {
    let (code, message) = match trouble {
        Trouble::Overflow => (
            "context_length_exceeded",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        ),
        Trouble::RateLimit(_) => ("rate_limit_exceeded", "Rate limit reached for m"),
        Trouble::Server => ("server_error", "The server had an error while processing your request."),
        Trouble::Overloaded => {
            let error = json!({"code": "server_error", "message": "The engine is currently overloaded."});
            let response = json!({"id": "resp_1", "object": "response", "status": "failed", "error": error, "output": [], "usage": null});
            let data = json!({"type": "response.failed", "sequence_number": 9, "response": response});
            return Some(Event::new("response.failed", &data));
        }
        _ => return None,
    };
    let data = json!({"type": "error", "sequence_number": 9, "code": code, "message": message, "param": null});
    Some(Event::new("error", &data))
}

pub(super) fn error(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Overflow => Reply::error(
            400,
            json!({"error": {
                "message": "Your input exceeds the context window of this model. Please adjust your input and try again.",
                "type": "invalid_request_error", "param": "input", "code": "context_length_exceeded"
            }}),
        ),
        other => openai_chat::error(other),
    }
}

/// The items of an answer as they are when they are done. The ids of two answers differ.
fn items(answer: &Answer) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for (at, part) in answer.parts.iter().enumerate() {
        let last_open = answer.stop == Stop::Limit && at + 1 == answer.parts.len();
        let status = if last_open { "incomplete" } else { "completed" };
        // An item that follows reasoning may not be sent back without it.
        let bound = all.last().filter(|before| before["type"] == "reasoning");
        let bound = bound.map_or_else(String::new, |before| format!("_after_{}", before["id"].as_str().unwrap()));
        let id = format!("{}{bound}", &seal(&format!("{at} {answer:?}"))[4..]);
        all.push(match part {
            Part::Reasoning { text, opaque } => {
                let id = format!("rs_{}", &id[..16]);
                let text = text.concat();
                let summary =
                    if *opaque { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
                let encrypted = seal(&format!("{id} {summary}"));
                json!({"id": id, "type": "reasoning", "summary": summary, "encrypted_content": encrypted})
            }
            Part::Text(pieces) => {
                let last = !answer.parts[at + 1..].iter().any(|part| matches!(part, Part::Text(_)));
                let phase = if last && answer.stop != Stop::Calls { "final_answer" } else { "commentary" };
                let content = json!([{"type": "output_text", "text": pieces.concat(), "annotations": [], "logprobs": []}]);
                json!({"id": format!("msg_{id}"), "type": "message", "role": "assistant", "status": status, "phase": phase, "content": content})
            }
            Part::Call { id: call, name, arguments } => {
                json!({"id": format!("fc_{id}"), "type": "function_call", "call_id": call, "name": name, "arguments": arguments.concat(), "status": status})
            }
        });
    }
    if answer.stop == Stop::Refusal {
        let content = json!([{"type": "refusal", "refusal": "I cannot help with that."}]);
        let id = format!("msg_{}", &seal(&format!("refusal {answer:?}"))[4..]);
        all.push(json!({"id": id, "type": "message", "role": "assistant", "status": "completed", "content": content}));
    }
    all
}

fn figures(of: &mut Value, answer: &Answer, style: Style) {
    let usage = answer.usage;
    let input = usage.input.unwrap_or(0) + usage.cache_read.unwrap_or(0) + usage.cache_write.unwrap_or(0);
    let output = usage.output.unwrap_or(0);
    match style.usage {
        Figures::There => {
            of["usage"] = json!({
                "input_tokens": input,
                "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
                "output_tokens": output, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output
            });
        }
        Figures::Missing => {}
        Figures::Null => of["usage"] = Value::Null,
    }
}

pub(super) fn whole(answer: &Answer, style: Style) -> Value {
    let mut response = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": null,
        "incomplete_details": null, "output": items(answer), "parallel_tool_calls": true, "store": false
    });
    if answer.stop == Stop::Limit {
        response["status"] = json!("incomplete");
        response["incomplete_details"] = json!({"reason": "max_output_tokens"});
    }
    figures(&mut response, answer, style);
    response
}

/// A stream; `more` may add to the response at its end.
pub(super) fn stream(answer: &Answer, style: Style, more: &dyn Fn(&mut Value)) -> Transcript {
    let begun = json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "in_progress", "error": null, "output": [], "usage": null});
    let mut bodies = vec![
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.in_progress", "response": begun}),
    ];
    let items = items(answer);
    let open = answer.stop == Stop::Limit;
    let mut pending: Vec<Vec<Value>> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let pieces = match answer.parts.get(at) {
            Some(Part::Call { arguments, .. }) if style.whole_calls => vec![arguments.concat()],
            Some(Part::Text(pieces) | Part::Call { arguments: pieces, .. }) => pieces.clone(),
            Some(Part::Reasoning { text, .. }) => text.clone(),
            None => vec!["I cannot ".to_owned(), "help with that.".to_owned()],
        };
        let events = item_events(at, item, &pieces, open && at + 1 == items.len() && !style.other);
        if item["type"] == "function_call" && style.interleaved {
            pending.push(events);
        } else {
            bodies.extend(in_turns(std::mem::take(&mut pending)));
            bodies.extend(events);
        }
    }
    bodies.extend(in_turns(pending));
    let mut response = whole(answer, style);
    more(&mut response);
    let kind = if open { "response.incomplete" } else { "response.completed" };
    bodies.push(json!({"type": kind, "response": response}));
    let number = |(at, mut body): (usize, Value)| {
        body["sequence_number"] = json!(at);
        let name = body["type"].as_str().unwrap().to_owned();
        Event::new(&name, &body)
    };
    let mut events: Vec<Event> = bodies.into_iter().enumerate().map(number).collect();
    let terminal = events.len() - 1;
    if style.other {
        events.push(Event { name: String::new(), data: "[DONE]".to_owned() });
    }
    Transcript::ending_at(terminal, sse, events, style)
}

/// The events of one item. The item that is added is not yet what it will be: its encrypted contents least of all.
fn item_events(at: usize, item: &Value, pieces: &[String], cut: bool) -> Vec<Value> {
    let id = &item["id"];
    let mut added = item.clone();
    let mut events = Vec::new();
    let delta = |kind: &str, index: &str, piece: &str| json!({"type": kind, "item_id": id, "output_index": at, index: 0, "delta": piece});
    match item["type"].as_str().unwrap() {
        "reasoning" => {
            added["summary"] = json!([]);
            added["encrypted_content"] = json!("Seal-that-is-not-yet-whole");
            if let Some(part) = item["summary"].get(0) {
                let place = |kind: &str, name: &str, value: &Value| json!({"type": kind, "item_id": id, "output_index": at, "summary_index": 0, name: value});
                let empty = json!({"type": "summary_text", "text": ""});
                events.push(place("response.reasoning_summary_part.added", "part", &empty));
                events.extend(
                    pieces.iter().map(|piece| delta("response.reasoning_summary_text.delta", "summary_index", piece)),
                );
                events.push(place("response.reasoning_summary_text.done", "text", &part["text"]));
                events.push(place("response.reasoning_summary_part.done", "part", part));
            }
        }
        "message" => {
            added["content"] = json!([]);
            added["status"] = json!("in_progress");
            added.as_object_mut().unwrap().remove("phase");
            let part = &item["content"][0];
            let (kind, field) = if part["type"] == "refusal" {
                ("response.refusal", "refusal")
            } else {
                ("response.output_text", "text")
            };
            let mut empty = part.clone();
            empty[field] = json!("");
            let place = |kind: &str, name: &str, value: &Value| json!({"type": kind, "item_id": id, "output_index": at, "content_index": 0, name: value});
            events.push(place("response.content_part.added", "part", &empty));
            events.extend(pieces.iter().map(|piece| delta(&format!("{kind}.delta"), "content_index", piece)));
            if !cut {
                events.push(place(&format!("{kind}.done"), field, &part[field]));
                events.push(place("response.content_part.done", "part", part));
            }
        }
        _ => {
            added["arguments"] = json!("");
            added["status"] = json!("in_progress");
            let kind = "response.function_call_arguments";
            events.extend(pieces.iter().map(
                |piece| json!({"type": format!("{kind}.delta"), "item_id": id, "output_index": at, "delta": piece}),
            ));
            if !cut {
                events.push(json!({"type": format!("{kind}.done"), "item_id": id, "output_index": at, "name": item["name"], "arguments": item["arguments"]}));
            }
        }
    }
    events.insert(0, json!({"type": "response.output_item.added", "output_index": at, "item": added}));
    if !cut {
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    events
}

/// What every server of this wire checks, whatever the path.
pub(super) fn check(body: &Value) -> Checked {
    fields(body, &["model", "input"], OPTIONAL)?;
    filled(&body["model"], "model")?;
    whole_number(&body["max_output_tokens"], "max_output_tokens", 16)?;
    number(&body["temperature"], "temperature", 0.0, 2.0)?;
    for field in ["stream", "store", "parallel_tool_calls"] {
        boolean(&body[field], field)?;
    }
    if !body["instructions"].is_null() {
        string(&body["instructions"], "instructions")?;
    }
    for include in optional_list(&body["include"], "include")? {
        if include != "reasoning.encrypted_content" {
            return wrong(format!("Invalid value: '{include}' for include"));
        }
    }
    if !body["reasoning"].is_null() {
        fields(&body["reasoning"], &[], &["effort", "summary"])?;
    }
    if !body["truncation"].is_null() && !["auto", "disabled"].contains(&string(&body["truncation"], "truncation")?) {
        return wrong("truncation is auto or disabled");
    }
    if !body["stream_options"].is_null() {
        if body["stream"] != true {
            return wrong("The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        }
        fields(&body["stream_options"], &[], &["include_obfuscation"])?;
    }
    let tools = optional_list(&body["tools"], "tools")?;
    for tool in tools {
        fields(tool, &["type", "name", "parameters"], &["description", "strict"])?;
        if tool["type"] != "function" {
            return wrong(format!("Invalid value for tools.type: {}", tool["type"]));
        }
        name(&tool["name"], "tools.name", "_-", 64)?;
        schema(&tool["parameters"])?;
        boolean(&tool["strict"], "strict")?;
        if tool["strict"] == true && tool["parameters"]["additionalProperties"] != false {
            return wrong(
                "Invalid schema for function: 'additionalProperties' is required to be supplied and to be false.",
            );
        }
    }
    once(tools.iter().map(|tool| &tool["name"]))?;
    input(list(&body["input"], "input")?)
}

fn input(items: &[Value]) -> Checked {
    let (mut open, mut called, mut ids) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut reasoning: Option<&str> = None;
    let mut asked = false;
    for item in items {
        let kind = if item["type"].is_null() { "message" } else { string(&item["type"], "input.type")? };
        if let Some(id) = item["id"].as_str() {
            if !ids.insert(id) {
                return wrong(format!(
                    "Duplicate item found with id {id}. Remove duplicate items from your input and try again."
                ));
            }
            if let Some((_, before)) = id.split_once("_after_")
                && reasoning != Some(before)
            {
                return wrong(format!(
                    "Item '{id}' of type '{kind}' was provided without its required 'reasoning' item: '{before}'."
                ));
            }
        }
        let assistants =
            kind == "reasoning" || kind == "function_call" || (kind == "message" && item["role"] == "assistant");
        if let (Some(before), false) = (reasoning, assistants) {
            return wrong(format!(
                "Item '{before}' of type 'reasoning' was provided without its required following item."
            ));
        }
        reasoning = None;
        match kind {
            "message" => {
                message(item)?;
                if !open.is_empty() {
                    return wrong(format!("No tool output found for function call {open:?}."));
                }
                asked = item["role"] == "user";
            }
            "reasoning" => {
                fields(item, &["type", "id", "summary", "encrypted_content"], &["content", "status"])?;
                let id = prefixed(item, "rs")?;
                if item["encrypted_content"] != seal(&format!("{id} {}", item["summary"])) {
                    return wrong(format!(
                        "The encrypted content for item {id} could not be verified. Reason: Encrypted content could not be decrypted or parsed."
                    ));
                }
                reasoning = Some(id);
                asked = false;
            }
            "function_call" => {
                fields(item, &["type", "call_id", "name", "arguments"], &["id", "status"])?;
                if !item["id"].is_null() {
                    prefixed(item, "fc")?;
                }
                name(&item["name"], "input.name", "_-", 64)?;
                string(&item["arguments"], "arguments")?;
                let id = filled(&item["call_id"], "call_id")?;
                if id.len() > 64 {
                    return wrong("Invalid 'input.call_id': string too long. Expected a string with maximum length 64");
                }
                if !called.insert(id) {
                    return wrong(format!("the call {id} is there twice"));
                }
                open.insert(id);
                asked = false;
            }
            "function_call_output" => {
                fields(item, &["type", "call_id", "output"], &["id", "status"])?;
                output(&item["output"])?;
                if !open.remove(string(&item["call_id"], "call_id")?) {
                    return wrong(format!(
                        "No tool call found for function call output with call_id {}.",
                        item["call_id"]
                    ));
                }
                asked = true;
            }
            other => return wrong(format!("Invalid value: '{other}' for input.type")),
        }
    }
    if let Some(before) = reasoning {
        return wrong(format!("Item '{before}' of type 'reasoning' was provided without its required following item."));
    }
    if !open.is_empty() {
        return wrong(format!("No tool output found for function call {open:?}."));
    }
    if asked { Ok(()) } else { wrong("nothing to answer") }
}

fn prefixed<'a>(item: &'a Value, prefix: &str) -> Result<&'a str, (u16, String)> {
    let id = string(&item["id"], "id")?;
    if id.starts_with(&format!("{prefix}_")) {
        return Ok(id);
    }
    Err((400, format!("Invalid 'input.id': '{id}'. Expected an ID that begins with '{prefix}'.")))
}

fn message(item: &Value) -> Checked {
    fields(item, &["role", "content"], &["type", "id", "status", "phase"])?;
    if !item["id"].is_null() {
        prefixed(item, "msg")?;
    }
    let role = string(&item["role"], "role")?;
    let kinds: &[&str] = match role {
        "assistant" => &["output_text", "refusal"],
        "user" | "system" | "developer" => &["input_text"],
        other => return wrong(format!("Invalid value: '{other}' for role")),
    };
    if !item["phase"].is_null()
        && (role != "assistant" || !["commentary", "final_answer"].contains(&string(&item["phase"], "phase")?))
    {
        return wrong("a wrong phase");
    }
    let parts = match &item["content"] {
        Value::String(_) => return Ok(()),
        parts => list(parts, "input.content")?,
    };
    for part in parts {
        let kind = string(&part["type"], "content.type")?;
        if !kinds.contains(&kind) {
            return wrong(format!("Invalid value: '{kind}'. Supported values are: {kinds:?}"));
        }
        if kind == "refusal" {
            fields(part, &["type", "refusal"], &[])?;
        } else {
            fields(part, &["type", "text"], &["annotations", "logprobs", "prompt_cache_breakpoint"])?;
            string(&part["text"], "text")?;
        }
    }
    Ok(())
}

fn output(value: &Value) -> Checked {
    match value {
        Value::String(_) => Ok(()),
        parts => list(parts, "output")?.iter().try_for_each(|part| {
            fields(part, &["type", "text"], &[])?;
            if part["type"] == "input_text" { Ok(()) } else { wrong("an output part that is no input_text") }
        }),
    }
}
