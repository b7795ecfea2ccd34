//! Cohere Chat, the second version, as <https://docs.cohere.com/reference/chat> has it.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::neutral::{Figures, sse};
use super::rules::{
    absent, bearer, boolean, fields, filled, list, name, number, once, optional_list, path, posted, schema, string,
    whole_number, wrong,
};
use super::{Answer, Asked, CANARY, Checked, Dialect, Event, Part, Reply, Stop, Style, Transcript, Trouble};

pub(super) struct Cohere;

const OPTIONAL: &[&str] = &[
    "stream",
    "tools",
    "tool_choice",
    "strict_tools",
    "thinking",
    "max_tokens",
    "temperature",
    "stop_sequences",
    "k",
    "p",
    "seed",
    "safety_mode",
    "citation_options",
];

impl Dialect for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/v2/")
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        bearer(asked)?;
        absent(asked, &["x-api-key", "api-key", "x-goog-api-key"])?;
        posted(asked)?;
        path(asked, "/v2/chat", None)?;
        let body = asked.body;
        fields(body, &["model", "messages"], OPTIONAL)?;
        filled(&body["model"], "model")?;
        whole_number(&body["max_tokens"], "max_tokens", 1)?;
        number(&body["temperature"], "temperature", 0.0, 1.0)?;
        boolean(&body["stream"], "stream")?;
        boolean(&body["strict_tools"], "strict_tools")?;
        if !body["tool_choice"].is_null()
            && !["REQUIRED", "NONE"].contains(&string(&body["tool_choice"], "tool_choice")?)
        {
            return wrong("tool_choice is REQUIRED or NONE");
        }
        if !body["thinking"].is_null() {
            fields(&body["thinking"], &["type"], &["token_budget"])?;
        }
        let tools = optional_list(&body["tools"], "tools")?;
        for tool in tools {
            fields(tool, &["type", "function"], &[])?;
            fields(&tool["function"], &["name", "parameters"], &["description"])?;
            tool_name(&tool["function"]["name"])?;
            schema(&tool["function"]["parameters"])?;
        }
        once(tools.iter().map(|tool| &tool["function"]["name"]))?;
        messages(list(&body["messages"], "messages")?)
    }

    fn shape(&self, answer: Answer) -> Answer {
        let mut answer = answer.in_three();
        answer.usage.cache_write = None;
        answer
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
        let mut push = |value: Value| events.push(Event::new(value["type"].as_str().unwrap(), &value));
        let start = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
        push(json!({"type": "message-start", "id": "m1", "delta": {"message": start}}));
        let planned = planned(answer, style);
        let (mut contents, mut calls) = (0, 0);
        for (at, part) in answer.parts.iter().enumerate() {
            let open = answer.stop == Stop::Limit && at + 1 == answer.parts.len();
            match part {
                Part::Text(pieces) if planned => {
                    for piece in pieces {
                        push(json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}));
                    }
                }
                Part::Text(pieces) | Part::Reasoning { text: pieces, .. } => {
                    let kind = if matches!(part, Part::Text(_)) { "text" } else { "thinking" };
                    let start = json!({"content": {"type": kind, kind: ""}});
                    push(json!({"type": "content-start", "index": contents, "delta": {"message": start}}));
                    for piece in pieces {
                        let message = json!({"content": {kind: piece}});
                        push(json!({"type": "content-delta", "index": contents, "delta": {"message": message}}));
                    }
                    if style.pings && kind == "text" {
                        let citation = json!({"start": 0, "end": 1, "text": "R", "sources": []});
                        push(
                            json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations": citation}}}),
                        );
                        push(json!({"type": "citation-end", "index": 0}));
                    }
                    if !open {
                        push(json!({"type": "content-end", "index": contents}));
                    }
                    contents += 1;
                }
                Part::Call { id, name, arguments } => {
                    let whole = arguments.concat();
                    let (first, rest) = match style.whole_calls {
                        true => (whole.as_str(), &[][..]),
                        false => ("", &arguments[..]),
                    };
                    let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": first}});
                    push(
                        json!({"type": "tool-call-start", "index": calls, "delta": {"message": {"tool_calls": call}}}),
                    );
                    for piece in rest {
                        let call = json!({"function": {"arguments": piece}});
                        push(
                            json!({"type": "tool-call-delta", "index": calls, "delta": {"message": {"tool_calls": call}}}),
                        );
                    }
                    if !open {
                        push(json!({"type": "tool-call-end", "index": calls}));
                    }
                    calls += 1;
                }
            }
        }
        let mut delta = json!({"finish_reason": finish(answer.stop)});
        figures(&mut delta, answer, style);
        push(json!({"type": "message-end", "id": "m1", "delta": delta}));
        let terminal = events.len() - 1;
        if style.other {
            events.push(Event { name: String::new(), data: "[DONE]".to_owned() });
        }
        Transcript::ending_at(terminal, sse, events, style)
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        let planned = planned(answer, style);
        let (mut content, mut calls) = (Vec::new(), Vec::new());
        let mut message = json!({"role": "assistant"});
        for part in &answer.parts {
            match part {
                Part::Text(pieces) if planned => message["tool_plan"] = json!(pieces.concat()),
                Part::Text(pieces) => content.push(json!({"type": "text", "text": pieces.concat()})),
                Part::Reasoning { text, .. } => content.push(json!({"type": "thinking", "thinking": text.concat()})),
                Part::Call { id, name, arguments } => {
                    let function = json!({"name": name, "arguments": arguments.concat()});
                    calls.push(json!({"id": id, "type": "function", "function": function}));
                }
            }
        }
        if !content.is_empty() {
            message["content"] = json!(content);
        }
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        let mut body = json!({"id": "m1", "finish_reason": finish(answer.stop), "message": message});
        figures(&mut body, answer, style);
        body
    }

    fn limit(&self) -> Option<u64> {
        Some(128_000)
    }

    fn error(&self, trouble: Trouble) -> Reply {
        let (status, message) = match trouble {
            Trouble::Overflow => (
                400,
                "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 130012. Try using a shorter prompt, or enable prompt truncating.".to_owned(),
            ),
            Trouble::RateLimit(_) => (
                429,
                "You are using a Trial key, which is limited to 20 API calls / minute. You can continue to use the Trial key for free or upgrade to a Production key with higher rate limits.".to_owned(),
            ),
            Trouble::Quota => (402, "Please add or update your payment method at https://dashboard.cohere.com/billing".to_owned()),
            Trouble::Authentication => (401, format!("invalid api token: {CANARY}")),
            Trouble::NotFound => (404, "model 'm' not found, make sure the correct model ID was used and that you have access to the model.".to_owned()),
            Trouble::BadRequest | Trouble::Reasoning => (422, "invalid request: tool parameters must be a valid JSON schema".to_owned()),
            Trouble::Overloaded => (503, "service unavailable".to_owned()),
            Trouble::Server => (500, "internal server error, this has been reported to our developers.".to_owned()),
            Trouble::Filter => (400, "invalid request: the prompt is blocked by our usage policy".to_owned()),
        };
        let reply = Reply::error(status, json!({"id": "e1", "message": message}));
        match trouble {
            Trouble::RateLimit(seconds) => reply.header("retry-after", &seconds.to_string()),
            _ => reply,
        }
    }

    fn reported(&self, trouble: Trouble) -> Option<Event> {
        let (reason, error) = match trouble {
            Trouble::Server => ("ERROR", "internal server error"),
            Trouble::Overloaded => ("TIMEOUT", "the model is overloaded"),
            _ => return None,
        };
        let delta = json!({"finish_reason": reason, "error": error});
        Some(Event::new("message-end", &json!({"type": "message-end", "id": "m1", "delta": delta})))
    }

    fn unknown(&self) -> Event {
        Event::new(
            "sparkle-delta",
            &json!({"type": "sparkle-delta", "index": 7, "delta": {"message": {"sparkle": "x"}}}),
        )
    }

    fn refused(&self, status: u16, message: &str) -> Reply {
        Reply::error(status, json!({"message": message}))
    }
}

/// Whether the text before calls is said as the plan.
fn planned(answer: &Answer, style: Style) -> bool {
    style.other && answer.parts.iter().any(|part| matches!(part, Part::Call { .. }))
}

fn finish(stop: Stop) -> &'static str {
    match stop {
        Stop::Calls => "TOOL_CALL",
        Stop::Limit => "MAX_TOKENS",
        _ => "COMPLETE",
    }
}

fn figures(of: &mut Value, answer: &Answer, style: Style) {
    let usage = answer.usage;
    let input = usage.input.unwrap_or(0) + usage.cache_read.unwrap_or(0);
    match style.usage {
        Figures::There => {
            of["usage"] = json!({
                "billed_units": {"input_tokens": 1, "output_tokens": 1},
                "tokens": {"input_tokens": input, "output_tokens": usage.output}, "cached_tokens": usage.cache_read
            });
        }
        Figures::Missing => {}
        Figures::Null => of["usage"] = Value::Null,
    }
}

/// Letters, digits and underscores, and no digit first.
fn tool_name(value: &Value) -> Checked {
    name(value, "tools.function.name", "_", 64)?;
    if value.as_str().is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit())) {
        return wrong(format!("the tool name {value} begins with a digit"));
    }
    Ok(())
}

fn messages(messages: &[Value]) -> Checked {
    let (mut open, mut role) = (HashSet::new(), "system");
    for message in messages {
        let next = string(&message["role"], "role")?;
        if next != "tool" && !open.is_empty() {
            return wrong(format!("invalid request: tool calls {open:?} have no corresponding tool results"));
        }
        match next {
            "system" if role == "system" => {
                fields(message, &["role", "content"], &[])?;
                content(&message["content"], &["text"])?;
            }
            "user" => {
                fields(message, &["role", "content"], &[])?;
                content(&message["content"], &["text"])?;
            }
            "assistant" if role == "user" || role == "tool" => {
                fields(message, &["role"], &["content", "tool_plan", "tool_calls"])?;
                for call in optional_list(&message["tool_calls"], "tool_calls")? {
                    fields(call, &["id", "type", "function"], &[])?;
                    fields(&call["function"], &["name", "arguments"], &[])?;
                    tool_name(&call["function"]["name"])?;
                    let arguments = string(&call["function"]["arguments"], "arguments")?;
                    if !serde_json::from_str(arguments).is_ok_and(|value: Value| value.is_object()) {
                        return wrong(format!("invalid request: arguments that are no JSON object: {arguments}"));
                    }
                    if !open.insert(filled(&call["id"], "tool_calls.id")?) {
                        return wrong(format!("the call {} is there twice", call["id"]));
                    }
                }
                let said = !message["content"].is_null();
                if said {
                    content(&message["content"], &["text", "thinking"])?;
                }
                if !message["tool_plan"].is_null() {
                    string(&message["tool_plan"], "tool_plan")?;
                    if open.is_empty() {
                        return wrong("a tool_plan without tool_calls");
                    }
                }
                if !said && open.is_empty() {
                    return wrong("invalid request: an assistant message must have content or tool_calls");
                }
            }
            "tool" => {
                fields(message, &["role", "content", "tool_call_id"], &[])?;
                match &message["content"] {
                    Value::String(_) => {}
                    parts => content(parts, &["text", "document"])?,
                }
                if !open.remove(string(&message["tool_call_id"], "tool_call_id")?) {
                    return wrong(format!("invalid request: a tool result without its call: {message}"));
                }
            }
            other => return wrong(format!("invalid request: the role {other} after {role}")),
        }
        role = next;
    }
    if ["user", "tool"].contains(&role) && open.is_empty() { Ok(()) } else { wrong("nothing to answer") }
}

fn content(value: &Value, kinds: &[&str]) -> Checked {
    if value.is_string() {
        return filled(value, "content").map(|_| ());
    }
    for part in list(value, "content")? {
        let kind = string(&part["type"], "content.type")?;
        if !kinds.contains(&kind) {
            return wrong(format!("invalid request: a part {kind}"));
        }
        fields(part, &["type", kind], &[])?;
        match kind {
            "document" => fields(&part["document"], &["data"], &["id"])?,
            _ => filled(&part[kind], kind).map(|_| ())?,
        }
    }
    Ok(())
}
