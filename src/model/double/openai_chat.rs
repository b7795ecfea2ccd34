//! OpenAI Chat Completions, as <https://platform.openai.com/docs/api-reference/chat/create> has it, with what compatible
//! servers do otherwise as styles.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::neutral::{Figures, in_turns, sse};
use super::rules::{
    absent, bearer, boolean, fields, filled, list, name, number, once, optional_list, path, posted, schema, string,
    whole_number, wrong,
};
use super::{Answer, Asked, CANARY, Checked, Dialect, Event, Part, Reply, Stop, Style, Transcript, Trouble};

pub(super) struct Chat;

pub(super) const OPTIONAL: &[&str] = &[
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "reasoning_effort",
    "stream",
    "stream_options",
    "store",
    "stop",
    "prompt_cache_key",
];

impl Dialect for Chat {
    fn name(&self) -> &'static str {
        "openai-chat"
    }

    fn owns(&self, path: &str) -> bool {
        path == "/v1/chat/completions"
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        bearer(asked)?;
        absent(asked, &["x-api-key", "api-key", "x-goog-api-key"])?;
        posted(asked)?;
        path(asked, "/v1/chat/completions", None)?;
        fields(asked.body, &["model", "messages"], OPTIONAL)?;
        filled(&asked.body["model"], "model")?;
        check(asked.body)
    }

    fn shape(&self, answer: Answer) -> Answer {
        answer.in_three()
    }

    fn styles(&self) -> Vec<Style> {
        let plain = Style::default();
        vec![
            plain,
            Style { interleaved: true, ..plain },
            Style { whole_calls: true, ..plain },
            Style { whole_calls: true, no_index: true, ..plain },
            Style { whole_calls: true, no_index: true, no_ids: true, ..plain },
            Style { no_ids: true, ..plain },
            Style { whole_calls: true, object_arguments: true, ..plain },
            Style { new_fields: true, ..plain },
            Style { spaced: true, ..plain },
            Style { other: true, ..plain },
        ]
    }

    fn stream(&self, answer: &Answer, style: Style) -> Transcript {
        stream(answer, style, &|_| {})
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        whole(answer, style)
    }

    fn limit(&self) -> Option<u64> {
        Some(128_000)
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

pub(super) fn unknown() -> Event {
    Event::new("", &json!({"id": "c1", "object": "chat.completion.sparkle", "sparkle": {"choices": 3}}))
}

pub(super) fn reported(trouble: Trouble) -> Option<Event> {
    let (kind, code, message) = match trouble {
        Trouble::Overloaded => ("server_error", Value::Null, "The server is currently overloaded with other requests."),
        Trouble::Server => ("server_error", Value::Null, "The server had an error while processing your request."),
        Trouble::RateLimit(_) => ("tokens", json!("rate_limit_exceeded"), "Rate limit reached for m"),
        _ => return None,
    };
    Some(Event::new("", &json!({"error": {"message": message, "type": kind, "param": null, "code": code}})))
}

/// The errors of OpenAI, whichever the endpoint.
pub(super) fn error(trouble: Trouble) -> Reply {
    let (status, kind, code, message) = match trouble {
        Trouble::Overflow => (
            400,
            "invalid_request_error",
            "context_length_exceeded",
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130012 tokens. Please reduce the length of the messages.".to_owned(),
        ),
        Trouble::RateLimit(seconds) => (
            429,
            "tokens",
            "rate_limit_exceeded",
            format!("Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 29000. Please try again in {seconds}s."),
        ),
        Trouble::Quota => (
            429,
            "insufficient_quota",
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.".to_owned(),
        ),
        Trouble::Authentication => {
            (401, "invalid_request_error", "invalid_api_key", format!("Incorrect API key provided: {CANARY}."))
        }
        Trouble::NotFound => (
            404,
            "invalid_request_error",
            "model_not_found",
            "The model `m` does not exist or you do not have access to it.".to_owned(),
        ),
        Trouble::BadRequest => (
            400,
            "invalid_request_error",
            "invalid_function_parameters",
            "Invalid schema for function 'read': schema must be a JSON Schema of 'type: \"object\"'.".to_owned(),
        ),
        Trouble::Overloaded => {
            (503, "server_error", "", "The engine is currently overloaded, please try again later".to_owned())
        }
        Trouble::Server => {
            (500, "server_error", "", "The server had an error while processing your request.".to_owned())
        }
        Trouble::Filter => (
            400,
            "invalid_request_error",
            "invalid_prompt",
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.".to_owned(),
        ),
        Trouble::Reasoning => (
            400,
            "invalid_request_error",
            "invalid_encrypted_content",
            "The encrypted content for item rs_0 could not be verified.".to_owned(),
        ),
    };
    let code = if code.is_empty() { Value::Null } else { json!(code) };
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    let reply = Reply::error(status, body).header("x-request-id", "req_1");
    match trouble {
        Trouble::RateLimit(seconds) => reply.header("retry-after-ms", &(seconds * 1000).to_string()),
        _ => reply,
    }
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    let cached = usage.cache_read.unwrap_or(0) + usage.cache_write.unwrap_or(0);
    let (prompt, output) = (usage.input.unwrap_or(0) + cached, usage.output.unwrap_or(0));
    json!({
        "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0}
    })
}

fn finish(answer: &Answer, style: Style) -> &'static str {
    match answer.stop {
        Stop::Calls if !style.other => "tool_calls",
        Stop::Limit => "length",
        Stop::Refusal => "content_filter",
        _ => "stop",
    }
}

/// A stream; `more` may add to each of its choices.
pub(super) fn stream(answer: &Answer, style: Style, more: &dyn Fn(&mut Value)) -> Transcript {
    let chunk = |delta: Value, finish: Option<&str>| {
        let mut choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        more(&mut choice);
        let mut chunk =
            json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
        if style.usage != Figures::Missing {
            chunk["usage"] = Value::Null;
        }
        Event::new("", &chunk)
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    let mut calls = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Reasoning { text, .. } => {
                events.extend(text.iter().map(|text| chunk(json!({"reasoning_content": text}), None)));
            }
            Part::Text(pieces) => events.extend(pieces.iter().map(|text| chunk(json!({"content": text}), None))),
            Part::Call { id, name, arguments } => {
                calls.push(call(calls.len(), id, name, arguments, style));
            }
        }
    }
    let deltas: Vec<Value> = if style.interleaved { in_turns(calls) } else { calls.concat() };
    events.extend(deltas.into_iter().map(|delta| chunk(json!({"tool_calls": [delta]}), None)));
    events.push(chunk(json!({}), Some(finish(answer, style))));
    let terminal = events.len() - 1;
    let last = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage(answer)});
    match style.usage {
        Figures::There => events.push(Event::new("", &last)),
        Figures::Missing | Figures::Null => {}
    }
    events.push(Event { name: String::new(), data: "[DONE]".to_owned() });
    Transcript::ending_at(terminal, sse, events, style)
}

/// The deltas of a call. Its id and its name come once, with the first.
fn call(index: usize, id: &str, name: &str, arguments: &[String], style: Style) -> Vec<Value> {
    let whole = arguments.concat();
    let mut first = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let mut deltas = Vec::new();
    if style.whole_calls {
        first["function"]["arguments"] = match serde_json::from_str::<Value>(&whole) {
            Ok(object) if style.object_arguments => object,
            _ => json!(whole),
        };
    } else {
        let more = arguments.iter().map(|piece| json!({"index": index, "function": {"arguments": piece}}));
        deltas.extend(more);
    }
    deltas.insert(0, first);
    for delta in deltas.iter_mut().filter_map(Value::as_object_mut) {
        if style.no_index {
            delta.remove("index");
        }
        if style.no_ids {
            delta.remove("id");
        }
    }
    deltas
}

pub(super) fn whole(answer: &Answer, style: Style) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let mut calls = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Reasoning { text, .. } => message["reasoning_content"] = json!(text.concat()),
            Part::Text(pieces) => message["content"] = json!(pieces.concat()),
            Part::Call { id, name, arguments } => {
                let arguments = arguments.concat();
                let arguments = match serde_json::from_str::<Value>(&arguments) {
                    Ok(object) if style.object_arguments => object,
                    _ => json!(arguments),
                };
                let mut call =
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
                if style.no_ids {
                    call.as_object_mut().unwrap().remove("id");
                }
                calls.push(call);
            }
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish(answer, style)});
    let mut body = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]});
    match style.usage {
        Figures::There => body["usage"] = usage(answer),
        Figures::Missing => {}
        Figures::Null => body["usage"] = Value::Null,
    }
    body
}

/// What every server of this wire checks, whatever the path.
pub(super) fn check(body: &Value) -> Checked {
    whole_number(&body["max_tokens"], "max_tokens", 1)?;
    whole_number(&body["max_completion_tokens"], "max_completion_tokens", 1)?;
    if !body["max_tokens"].is_null() && !body["max_completion_tokens"].is_null() {
        return wrong("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.");
    }
    number(&body["temperature"], "temperature", 0.0, 2.0)?;
    for field in ["stream", "store", "parallel_tool_calls"] {
        boolean(&body[field], field)?;
    }
    if !body["stream_options"].is_null() {
        if body["stream"] != true {
            return wrong("The 'stream_options' parameter is only allowed when 'stream' is enabled.");
        }
        fields(&body["stream_options"], &[], &["include_usage", "include_obfuscation"])?;
        boolean(&body["stream_options"]["include_usage"], "include_usage")?;
    }
    let tools = optional_list(&body["tools"], "tools")?;
    for tool in tools {
        fields(tool, &["type", "function"], &[])?;
        fields(&tool["function"], &["name"], &["description", "parameters", "strict"])?;
        name(&tool["function"]["name"], "tools.function.name", "_-", 64)?;
        schema(&tool["function"]["parameters"])?;
    }
    once(tools.iter().map(|tool| &tool["function"]["name"]))?;
    if tools.is_empty() && !body["tool_choice"].is_null() {
        return wrong("tool_choice is only allowed when tools are specified.");
    }
    messages(list(&body["messages"], "messages")?)
}

fn messages(messages: &[Value]) -> Checked {
    let (mut open, mut role) = (HashSet::new(), "system");
    for message in messages {
        let next = string(&message["role"], "role")?;
        if next != "tool" && !open.is_empty() {
            return wrong(format!(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'; missing: {open:?}"
            ));
        }
        match next {
            "system" | "developer" if role == "system" => {
                fields(message, &["role", "content"], &[])?;
                content(&message["content"])?;
            }
            // The templates of many compatible servers want the roles to alternate.
            "user" if role != "user" => {
                fields(message, &["role", "content"], &[])?;
                content(&message["content"])?;
            }
            "assistant" if role != "assistant" && role != "system" => {
                fields(message, &["role"], &["content", "tool_calls"])?;
                for call in optional_list(&message["tool_calls"], "tool_calls")? {
                    fields(call, &["id", "type", "function"], &[])?;
                    fields(&call["function"], &["name", "arguments"], &[])?;
                    name(&call["function"]["name"], "tool_calls.function.name", "_-", 64)?;
                    let arguments = string(&call["function"]["arguments"], "arguments")?;
                    if !serde_json::from_str(arguments).is_ok_and(|value: Value| value.is_object()) {
                        // So llama.cpp.
                        return Err((500, format!("arguments that do not parse: {arguments}")));
                    }
                    let id = filled(&call["id"], "tool_calls.id")?;
                    if !open.insert(id) {
                        return wrong(format!("Duplicate value for 'tool_call_id' of '{id}'"));
                    }
                }
                match &message["content"] {
                    Value::Null if open.is_empty() => return wrong("an assistant message with nothing in it"),
                    Value::Null => {}
                    value => content(value)?,
                }
            }
            "tool" => {
                fields(message, &["role", "content", "tool_call_id"], &[])?;
                content(&message["content"])?;
                if !open.remove(string(&message["tool_call_id"], "tool_call_id")?) {
                    return wrong(format!(
                        "messages with role 'tool' must be a response to a preceding message with 'tool_calls': {message}"
                    ));
                }
            }
            other => return wrong(format!("the role {other} after {role}")),
        }
        role = if next == "developer" { "system" } else { next };
    }
    if ["user", "tool"].contains(&role) && open.is_empty() { Ok(()) } else { wrong("nothing to answer") }
}

fn content(value: &Value) -> Checked {
    match value {
        Value::String(_) => Ok(()),
        Value::Array(parts) => parts.iter().try_for_each(|part| {
            fields(part, &["type", "text"], &["prompt_cache_breakpoint"])?;
            if part["type"] == "text" {
                string(&part["text"], "text").map(|_| ())
            } else {
                wrong("a part that is no text")
            }
        }),
        _ => wrong(format!("Invalid type for 'content': {value}")),
    }
}
