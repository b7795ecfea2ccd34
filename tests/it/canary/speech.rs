//! What a provider says on each wire: answers in pieces, and errors.

use serde_json::{Value, json};

/// A wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Anthropic,
    Openai,
    OpenaiChat,
    Azure,
    AzureDated,
    Gemini,
    Cohere,
    Bedrock,
}

impl Wire {
    pub(super) const ALL: [Self; 8] = [
        Self::Anthropic,
        Self::Openai,
        Self::OpenaiChat,
        Self::Azure,
        Self::AzureDated,
        Self::Gemini,
        Self::Cohere,
        Self::Bedrock,
    ];

    /// The type of an answer in pieces.
    pub(super) fn content_type(self) -> &'static str {
        if self == Self::Bedrock { "application/vnd.amazon.eventstream" } else { "text/event-stream" }
    }

    /// A list of models with these names.
    pub(super) fn list(self, names: &[&str]) -> Value {
        let models: Vec<Value> = names.iter().map(|name| json!({"id": name, "name": name})).collect();
        json!({"data": models, "models": models})
    }

    /// The body of an error.
    pub(super) fn error(self, status: u16, message: &str) -> Value {
        match self {
            Self::Anthropic => json!({"type": "error", "error": {"type": "api_error", "message": message}}),
            Self::Gemini => json!({"error": {"code": status, "message": message, "status": "UNKNOWN"}}),
            Self::Cohere | Self::Bedrock => json!({"message": message}),
            _ => json!({"error": {"message": message, "type": "server_error", "code": null}}),
        }
    }
}

/// One thing of an answer.
pub(super) enum Part<'a> {
    Reasoning(&'a str),
    Text(&'a str),
    /// Name, id and arguments of a call.
    Call(&'a str, &'a str, &'a Value),
}

/// How an answer ends.
pub(super) enum End<'a> {
    WithTheTurn,
    /// With an error in its midst.
    Error(&'a str),
}

/// An answer, its texts in small pieces: event by event.
pub(super) fn answer(wire: Wire, parts: &[Part<'_>], end: &End<'_>) -> Vec<Vec<u8>> {
    let events = match wire {
        Wire::Anthropic => messages(parts, end),
        Wire::Openai | Wire::Azure => responses(parts, end),
        Wire::OpenaiChat | Wire::AzureDated => chat(parts, end),
        Wire::Gemini => gemini(parts, end),
        Wire::Cohere => cohere(parts, end),
        Wire::Bedrock => return bedrock(parts, end),
    };
    let named = |event: &Value| event["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
    events.iter().map(|event| format!("{}data: {event}\n\n", named(event)).into_bytes()).collect()
}

/// No piece holds a key, and none of its halves.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.len().min(7));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn called(parts: &[Part<'_>]) -> bool {
    parts.iter().any(|part| matches!(part, Part::Call(..)))
}

fn messages(parts: &[Part<'_>], end: &End<'_>) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}}),
    ];
    for (index, part) in parts.iter().enumerate() {
        let (block, deltas): (Value, Vec<Value>) = match part {
            Part::Reasoning(text) => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                pieces(text)
                    .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
                    .chain([json!({"type": "signature_delta", "signature": text})])
                    .collect(),
            ),
            Part::Text(text) => (
                json!({"type": "text", "text": ""}),
                pieces(text).map(|piece| json!({"type": "text_delta", "text": piece})).collect(),
            ),
            Part::Call(name, id, arguments) => (
                json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
                pieces(&arguments.to_string())
                    .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                    .collect(),
            ),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events
            .extend(deltas.iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    match end {
        End::Error(message) => {
            events.push(json!({"type": "error", "error": {"type": "overloaded_error", "message": message}}));
        }
        End::WithTheTurn => {
            let reason = if called(parts) { "tool_use" } else { "end_turn" };
            events.push(
                json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}),
            );
            events.push(json!({"type": "message_stop"}));
        }
    }
    events
}

fn responses(parts: &[Part<'_>], end: &End<'_>) -> Vec<Value> {
    let mut events = vec![json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})];
    let mut output = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let id = format!("item_{at}");
        let delta = |kind: &str, piece: &str| json!({"type": kind, "item_id": id, "output_index": at, "content_index": 0, "summary_index": 0, "delta": piece});
        let (item, begun, kind, text) = match part {
            Part::Reasoning(text) => (
                json!({"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": text}], "encrypted_content": text}),
                json!({"id": id, "type": "reasoning", "summary": []}),
                "response.reasoning_summary_text.delta",
                (*text).to_owned(),
            ),
            Part::Text(text) => (
                json!({"id": id, "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]}),
                json!({"id": id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}),
                "response.output_text.delta",
                (*text).to_owned(),
            ),
            Part::Call(name, call, arguments) => (
                json!({"id": id, "type": "function_call", "call_id": call, "name": name, "arguments": arguments.to_string(), "status": "completed"}),
                json!({"id": id, "type": "function_call", "call_id": call, "name": name, "arguments": "", "status": "in_progress"}),
                "response.function_call_arguments.delta",
                arguments.to_string(),
            ),
        };
        events.push(json!({"type": "response.output_item.added", "output_index": at, "item": begun}));
        events.extend(pieces(&text).map(|piece| delta(kind, piece)));
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
        output.push(item);
    }
    events.push(match end {
        End::Error(message) => json!({"type": "error", "code": "server_error", "message": message, "param": null}),
        End::WithTheTurn => {
            let usage = json!({"input_tokens": 9, "output_tokens": 5});
            json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": output, "usage": usage}})
        }
    });
    events
}

fn chat(parts: &[Part<'_>], end: &End<'_>) -> Vec<Value> {
    let chunk = |delta: Value, finish: Option<&str>| json!({"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
    for part in parts {
        match part {
            Part::Reasoning(text) => {
                events.extend(pieces(text).map(|piece| chunk(json!({"reasoning_content": piece}), None)));
            }
            Part::Text(text) => events.extend(pieces(text).map(|piece| chunk(json!({"content": piece}), None))),
            Part::Call(name, id, arguments) => {
                let begun =
                    json!({"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
                events.push(chunk(json!({"tool_calls": [begun]}), None));
                let call = |piece: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
                events.extend(pieces(&arguments.to_string()).map(|piece| chunk(call(piece), None)));
            }
        }
    }
    events.push(match end {
        End::Error(message) => json!({"error": {"message": message, "type": "server_error", "code": null}}),
        End::WithTheTurn => chunk(json!({}), Some(if called(parts) { "tool_calls" } else { "stop" })),
    });
    events
}

fn gemini(parts: &[Part<'_>], end: &End<'_>) -> Vec<Value> {
    let chunk = |part: Value| json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]});
    let mut events = Vec::new();
    for part in parts {
        match part {
            Part::Reasoning(text) => {
                events.extend(pieces(text).map(|piece| chunk(json!({"text": piece, "thought": true}))));
            }
            Part::Text(text) => events.extend(pieces(text).map(|piece| chunk(json!({"text": piece})))),
            Part::Call(name, id, arguments) => {
                let call = json!({"id": id, "name": name, "args": arguments});
                events.push(chunk(json!({"functionCall": call, "thoughtSignature": "c2lnbmVk"})));
            }
        }
    }
    events.push(match end {
        End::Error(message) => json!({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}}),
        End::WithTheTurn => {
            json!({"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}]})
        }
    });
    events
}

fn cohere(parts: &[Part<'_>], end: &End<'_>) -> Vec<Value> {
    let of =
        |kind: &str, index: usize, message: Value| json!({"type": kind, "index": index, "delta": {"message": message}});
    let mut events = vec![of("message-start", 0, json!({"role": "assistant", "content": [], "tool_calls": []}))];
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Reasoning(text) | Part::Text(text) => {
                let kind = if matches!(part, Part::Text(_)) { "text" } else { "thinking" };
                events.push(of("content-start", index, json!({"content": {"type": kind, kind: ""}})));
                events.extend(pieces(text).map(|piece| of("content-delta", index, json!({"content": {kind: piece}}))));
                events.push(json!({"type": "content-end", "index": index}));
            }
            Part::Call(name, id, arguments) => {
                let begun = json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}});
                events.push(of("tool-call-start", index, json!({"tool_calls": begun})));
                let call = |piece: &str| json!({"tool_calls": {"function": {"arguments": piece}}});
                events.extend(pieces(&arguments.to_string()).map(|piece| of("tool-call-delta", index, call(piece))));
                events.push(json!({"type": "tool-call-end", "index": index}));
            }
        }
    }
    let end = match end {
        End::Error(message) => json!({"finish_reason": "ERROR", "error": message}),
        End::WithTheTurn => json!({"finish_reason": if called(parts) { "TOOL_CALL" } else { "COMPLETE" }}),
    };
    events.push(json!({"type": "message-end", "delta": end}));
    events
}

fn bedrock(parts: &[Part<'_>], end: &End<'_>) -> Vec<Vec<u8>> {
    let mut events = vec![frame("event", "messageStart", &json!({"role": "assistant"}))];
    for (index, part) in parts.iter().enumerate() {
        let deltas: Vec<Value> = match part {
            Part::Reasoning(text) => pieces(text)
                .map(|piece| json!({"reasoningContent": {"text": piece}}))
                .chain([json!({"reasoningContent": {"signature": text}})])
                .collect(),
            Part::Text(text) => pieces(text).map(|piece| json!({"text": piece})).collect(),
            Part::Call(name, id, arguments) => {
                let start = json!({"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": id, "name": name}}});
                events.push(frame("event", "contentBlockStart", &start));
                pieces(&arguments.to_string()).map(|piece| json!({"toolUse": {"input": piece}})).collect()
            }
        };
        for delta in deltas {
            let delta = json!({"contentBlockIndex": index, "delta": delta});
            events.push(frame("event", "contentBlockDelta", &delta));
        }
        events.push(frame("event", "contentBlockStop", &json!({"contentBlockIndex": index})));
    }
    match end {
        End::Error(message) => {
            events.push(frame("exception", "internalServerException", &json!({"message": message})));
        }
        End::WithTheTurn => {
            let reason = if called(parts) { "tool_use" } else { "end_turn" };
            events.push(frame("event", "messageStop", &json!({"stopReason": reason})));
            events.push(frame("event", "metadata", &json!({"usage": {"inputTokens": 9, "outputTokens": 5}})));
        }
    }
    events
}

/// A message of an event stream, as AWS documents it.
fn frame(kind: &str, name: &str, payload: &Value) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).expect("a short message").to_be_bytes();
    let (mut headers, payload) = (Vec::new(), payload.to_string());
    let typed = format!(":{kind}-type");
    for (header, value) in [(typed.as_str(), name), (":content-type", "application/json"), (":message-type", kind)] {
        headers.push(u8::try_from(header.len()).expect("a short name"));
        headers.extend(header.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).expect("a short value").to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let mut bytes = length(headers.len() + payload.len() + 16).to_vec();
    bytes.extend(length(headers.len()));
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend(headers);
    bytes.extend(payload.as_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}
