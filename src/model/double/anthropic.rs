//! Anthropic Messages, as <https://docs.anthropic.com/en/api/messages> has it.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::neutral::{Figures, seal, sse};
use super::rules::{
    absent, boolean, fields, filled, header, list, name, number, once, optional_list, path, posted, schema, string,
    whole_number, wrong,
};
use super::{Answer, Asked, CANARY, Checked, Dialect, Event, Part, Reply, Stop, Style, Transcript, Trouble};

pub(super) struct Messages;

const OPTIONAL: &[&str] = &[
    "system",
    "stream",
    "tools",
    "tool_choice",
    "temperature",
    "thinking",
    "output_config",
    "stop_sequences",
    "cache_control",
    "metadata",
];

impl Dialect for Messages {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/v1/messages")
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        header(asked, "x-api-key", CANARY, 401)?;
        absent(asked, &["authorization", "api-key", "x-goog-api-key"])?;
        header(asked, "anthropic-version", "2023-06-01", 400)?;
        posted(asked)?;
        path(asked, "/v1/messages", None)?;
        let body = asked.body;
        fields(body, &["model", "max_tokens", "messages"], OPTIONAL)?;
        filled(&body["model"], "model")?;
        if body["max_tokens"].is_null() {
            return wrong("max_tokens is null");
        }
        whole_number(&body["max_tokens"], "max_tokens", 1)?;
        number(&body["temperature"], "temperature", 0.0, 1.0)?;
        boolean(&body["stream"], "stream")?;
        for part in optional_list(&body["system"], "system")? {
            text(part)?;
        }
        let tools = optional_list(&body["tools"], "tools")?;
        for tool in tools {
            fields(tool, &["name", "input_schema"], &["description", "cache_control", "strict", "type"])?;
            name(&tool["name"], "tools.name", "_-", 128)?;
            schema(&tool["input_schema"])?;
        }
        once(tools.iter().map(|tool| &tool["name"]))?;
        let marks = count_marks(body);
        if marks > 4 {
            return wrong(format!("A maximum of 4 blocks with cache_control may be provided. Found {marks}."));
        }
        messages(list(&body["messages"], "messages")?)
    }

    fn styles(&self) -> Vec<Style> {
        let plain = Style::default();
        vec![
            plain,
            Style { whole_calls: true, ..plain },
            Style { pings: true, ..plain },
            Style { new_fields: true, ..plain },
            Style { spaced: true, ..plain },
            Style { other: true, ..plain },
        ]
    }

    fn stream(&self, answer: &Answer, style: Style) -> Transcript {
        let mut events = Vec::new();
        let mut push = |value: Value| {
            events.push(Event::new(value["type"].as_str().unwrap(), &value));
            if style.pings {
                events.push(Event::new("ping", &json!({"type": "ping"})));
            }
        };
        let mut start = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "stop_sequence": null});
        let mut usage = usage(answer);
        usage["output_tokens"] = json!(1);
        figures(&mut start, usage, style);
        push(json!({"type": "message_start", "message": start}));
        for (index, part) in answer.parts.iter().enumerate() {
            let (block, deltas) = pieces(part, style);
            push(json!({"type": "content_block_start", "index": index, "content_block": block}));
            for delta in deltas {
                push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
            }
            // At the output limit the last block stays open.
            if answer.stop != Stop::Limit || index + 1 < answer.parts.len() {
                push(json!({"type": "content_block_stop", "index": index}));
            }
        }
        let mut delta = stopped(answer.stop);
        delta["stop_sequence"] = Value::Null;
        let mut end = json!({"type": "message_delta", "delta": delta});
        figures(&mut end, json!({"output_tokens": answer.usage.output}), style);
        push(end);
        events.push(Event::new("message_stop", &json!({"type": "message_stop"})));
        Transcript::new(sse, events, style)
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        let block = |part: &Part| match part {
            Part::Text(pieces) => json!({"type": "text", "text": pieces.concat()}),
            Part::Reasoning { text, opaque: true } => {
                json!({"type": "redacted_thinking", "data": seal(&text.concat())})
            }
            Part::Reasoning { text, .. } => {
                json!({"type": "thinking", "thinking": text.concat(), "signature": seal(&text.concat())})
            }
            Part::Call { id, name, arguments } => {
                let input: Value = serde_json::from_str(&arguments.concat()).unwrap_or(json!({}));
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        };
        let content: Vec<Value> = answer.parts.iter().map(block).collect();
        let mut message =
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content});
        let Value::Object(stop) = stopped(answer.stop) else { unreachable!() };
        message.as_object_mut().unwrap().extend(stop);
        figures(&mut message, usage(answer), style);
        message
    }

    fn limit(&self) -> Option<u64> {
        Some(200_000)
    }

    fn marks(&self) -> bool {
        true
    }

    fn error(&self, trouble: Trouble) -> Reply {
        let (status, kind, message) = match trouble {
            Trouble::Overflow => {
                (400, "invalid_request_error", "prompt is too long: 213462 tokens > 200000 maximum".to_owned())
            }
            Trouble::RateLimit(_) => {
                (429, "rate_limit_error", "This request would exceed your organization's rate limit of 40,000 input tokens per minute".to_owned())
            }
            Trouble::Quota => (
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.".to_owned(),
            ),
            Trouble::Authentication => (401, "authentication_error", format!("invalid x-api-key: {CANARY}")),
            Trouble::NotFound => (404, "not_found_error", "model: claude-of-yesterday".to_owned()),
            Trouble::BadRequest => (400, "invalid_request_error", "tools.0.custom.input_schema: Field required".to_owned()),
            Trouble::Overloaded => (529, "overloaded_error", "Overloaded".to_owned()),
            Trouble::Server => (500, "api_error", "Internal server error".to_owned()),
            Trouble::Filter => {
                let refused = Answer::of(Vec::new()).stopped(Stop::Refusal);
                return Reply::stream(&String::from_utf8(self.stream(&refused, Style::default()).bytes()).unwrap());
            }
            Trouble::Reasoning => (
                400,
                "invalid_request_error",
                "messages.1.content.0: Invalid `signature` in `thinking` block".to_owned(),
            ),
        };
        let reply = Reply::error(status, error(kind, &message)).header("request-id", "req_1");
        match trouble {
            Trouble::RateLimit(seconds) => reply.header("retry-after", &seconds.to_string()),
            _ => reply,
        }
    }

    fn reported(&self, trouble: Trouble) -> Option<Event> {
        let (kind, message) = match trouble {
            Trouble::Overloaded => ("overloaded_error", "Overloaded"),
            Trouble::Server => ("api_error", "Internal server error"),
            Trouble::RateLimit(_) => ("rate_limit_error", "Number of requests has exceeded your rate limit"),
            _ => return None,
        };
        Some(Event::new("error", &error(kind, message)))
    }

    fn unknown(&self) -> Event {
        Event::new(
            "content_block_sparkle",
            &json!({"type": "content_block_sparkle", "index": 99, "delta": {"type": "x"}}),
        )
    }

    fn refused(&self, status: u16, message: &str) -> Reply {
        Reply::error(status, error("invalid_request_error", message))
    }
}

fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "input_tokens": usage.input, "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read, "output_tokens": usage.output
    })
}

fn figures(of: &mut Value, usage: Value, style: Style) {
    match style.usage {
        Figures::There => of["usage"] = usage,
        Figures::Missing => {}
        Figures::Null => of["usage"] = Value::Null,
    }
}

fn stopped(stop: Stop) -> Value {
    match stop {
        Stop::End => json!({"stop_reason": "end_turn"}),
        Stop::Calls => json!({"stop_reason": "tool_use"}),
        Stop::Limit => json!({"stop_reason": "max_tokens"}),
        Stop::Pause => json!({"stop_reason": "pause_turn"}),
        Stop::Refusal => json!({
            "stop_reason": "refusal",
            "stop_details": {"type": "refusal", "category": "cyber", "explanation": "This is against the usage policy."}
        }),
    }
}

/// How a block begins, and what follows.
fn pieces(part: &Part, style: Style) -> (Value, Vec<Value>) {
    match part {
        Part::Text(pieces) => {
            let deltas = pieces.iter().map(|text| json!({"type": "text_delta", "text": text}));
            (json!({"type": "text", "text": ""}), deltas.collect())
        }
        Part::Reasoning { text, opaque: true } => {
            (json!({"type": "redacted_thinking", "data": seal(&text.concat())}), Vec::new())
        }
        Part::Reasoning { text, .. } => {
            let deltas = text.iter().map(|text| json!({"type": "thinking_delta", "thinking": text}));
            let signature = json!({"type": "signature_delta", "signature": seal(&text.concat())});
            (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas.chain([signature]).collect())
        }
        Part::Call { id, name, arguments } => {
            let whole = arguments.concat();
            if let (true, Ok(input)) = (style.other, serde_json::from_str::<Value>(&whole)) {
                return (json!({"type": "tool_use", "id": id, "name": name, "input": input}), Vec::new());
            }
            let pieces = if style.whole_calls { vec![whole] } else { arguments.clone() };
            // The first piece is empty.
            let pieces = [String::new()].into_iter().chain(pieces);
            let deltas = pieces.map(|json| json!({"type": "input_json_delta", "partial_json": json}));
            (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), deltas.collect())
        }
    }
}

/// The marks that are set, wherever they are: what a tool is called with does not count.
fn count_marks(body: &Value) -> usize {
    let parts = |value: &Value| {
        value.as_array().map_or(0, |list| list.iter().filter(|part| part.get("cache_control").is_some()).count())
    };
    let messages = body["messages"].as_array().into_iter().flatten();
    parts(&body["system"]) + parts(&body["tools"]) + messages.map(|message| parts(&message["content"])).sum::<usize>()
}

fn mark(part: &Value) -> Checked {
    match part.get("cache_control") {
        None => Ok(()),
        Some(mark) => {
            fields(mark, &["type"], &["ttl"])?;
            if mark["type"] == "ephemeral" { Ok(()) } else { wrong(format!("the cache mark {mark}")) }
        }
    }
}

fn text(part: &Value) -> Checked {
    fields(part, &["type", "text"], &["cache_control"])?;
    mark(part)?;
    if part["type"] != "text" {
        return wrong(format!("not a text: {part}"));
    }
    match filled(&part["text"], "text") {
        Ok(_) => Ok(()),
        Err(_) => wrong("text content blocks must contain non-whitespace text"),
    }
}

fn messages(messages: &[Value]) -> Checked {
    let (mut open, mut used, mut role) = (Vec::new(), HashSet::new(), "assistant");
    for message in messages {
        fields(message, &["role", "content"], &[])?;
        let next = string(&message["role"], "role")?;
        if next == role || !["user", "assistant"].contains(&next) {
            return wrong(format!("messages: roles must alternate between user and assistant; {next} follows {role}"));
        }
        role = next;
        let parts = list(&message["content"], "content")?;
        let results: Vec<&str> = parts.iter().map_while(|part| part["tool_use_id"].as_str()).collect();
        let (mut wanted, mut given) = (open.clone(), results.clone());
        wanted.sort_unstable();
        given.sort_unstable();
        if wanted != given {
            return wrong(format!("tool_use {open:?} is followed by the tool_result blocks {results:?}"));
        }
        open.clear();
        for part in &parts[..results.len()] {
            result(part)?;
        }
        if parts.last().is_some_and(|part| part["type"].as_str().is_some_and(|kind| kind.ends_with("thinking"))) {
            return wrong("The final block in an assistant message cannot be `thinking`.");
        }
        for part in &parts[results.len()..] {
            match (part["type"].as_str().unwrap_or_default(), role) {
                ("text", _) => text(part)?,
                ("thinking", "assistant") => {
                    fields(part, &["type", "thinking", "signature"], &[])?;
                    if part["signature"] != seal(string(&part["thinking"], "thinking")?) {
                        return wrong("Invalid `signature` in `thinking` block");
                    }
                }
                ("redacted_thinking", "assistant") => {
                    fields(part, &["type", "data"], &[])?;
                    if !string(&part["data"], "data")?.starts_with("Seal") {
                        return wrong("Invalid `data` in `redacted_thinking` block");
                    }
                }
                ("tool_use", "assistant") => {
                    fields(part, &["type", "id", "name", "input"], &["cache_control"])?;
                    mark(part)?;
                    name(&part["id"], "tool_use.id", "_-", 256)?;
                    name(&part["name"], "tool_use.name", "_-", 200)?;
                    let id = string(&part["id"], "id")?;
                    if !used.insert(id) {
                        return wrong("`tool_use` ids must be unique");
                    }
                    if !part["input"].is_object() {
                        return wrong("tool_use.input: Input should be a valid dictionary");
                    }
                    open.push(id);
                }
                (other, role) => return wrong(format!("a block {other} of the {role}")),
            }
        }
    }
    if role == "user" && open.is_empty() { Ok(()) } else { wrong("nothing to answer") }
}

fn result(part: &Value) -> Checked {
    fields(part, &["type", "tool_use_id"], &["content", "is_error", "cache_control"])?;
    mark(part)?;
    boolean(&part["is_error"], "is_error")?;
    match &part["content"] {
        _ if part["type"] != "tool_result" => wrong(format!("not a result: {part}")),
        Value::Null | Value::String(_) => Ok(()),
        content => list(content, "tool_result.content")?.iter().try_for_each(text),
    }
}
