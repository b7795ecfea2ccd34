//! Bedrock Converse, as <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html> has it,
//! with the signatures of <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html> and
//! the frames of <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html>, all of it by hand.

pub(super) mod frame;
pub(super) mod signature;

use std::collections::HashSet;

use serde_json::{Value, json};

use super::neutral::{Figures, seal};
use super::rules::{
    absent, bearer, fields, filled, list, name, number, once, optional_list, posted, schema, string, whole_number,
    wrong,
};
use super::{Answer, Asked, Checked, Dialect, Event, Part, Reply, Stop, Style, Transcript, Trouble};

pub(super) struct Bedrock;

impl Dialect for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/model/")
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        absent(asked, &["x-api-key", "api-key", "x-goog-api-key"])?;
        let proof = asked.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if proof.starts_with("AWS4-HMAC-SHA256 ") {
            signature::check(asked, proof)?
        } else {
            bearer(asked)?
        }
        posted(asked)?;
        let mut segments = asked.uri.path().trim_start_matches('/').split('/');
        let segments = [segments.next(), segments.next(), segments.next(), segments.next()];
        let [Some("model"), Some(model), Some("converse" | "converse-stream"), None] = segments else {
            return Err((404, format!("no such path {}", asked.uri)));
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
        if model.is_empty() || !model.bytes().all(plain) || asked.uri.query().is_some() {
            return wrong(format!("The provided model identifier is invalid: {}", asked.uri));
        }
        check(asked.body)
    }

    fn streaming(&self, asked: &Asked<'_>) -> bool {
        asked.uri.path().ends_with("/converse-stream")
    }

    fn content_type(&self) -> &'static str {
        "application/vnd.amazon.eventstream"
    }

    fn styles(&self) -> Vec<Style> {
        let plain = Style::default();
        vec![
            plain,
            Style { whole_calls: true, ..plain },
            Style { new_fields: true, ..plain },
            Style { spaced: true, ..plain },
            Style { other: true, ..plain },
        ]
    }

    fn stream(&self, answer: &Answer, style: Style) -> Transcript {
        let mut events = Vec::new();
        let mut push = |name: &str, mut value: Value| {
            // Padding, so that nobody learns from lengths.
            value["p"] = json!("abcdefghijk");
            events.push(Event::new(name, &value));
        };
        push("messageStart", json!({"role": "assistant"}));
        for (index, part) in answer.parts.iter().enumerate() {
            let deltas: Vec<Value> = match part {
                Part::Text(pieces) => pieces.iter().map(|text| json!({"text": text})).collect(),
                Part::Reasoning { text, opaque: true } => {
                    vec![json!({"reasoningContent": {"redactedContent": seal(&text.concat())}})]
                }
                Part::Reasoning { text, .. } => {
                    let signature = json!({"reasoningContent": {"signature": seal(&text.concat())}});
                    let texts = text.iter().map(|text| json!({"reasoningContent": {"text": text}}));
                    texts.chain([signature]).collect()
                }
                Part::Call { id, name, arguments } => {
                    let start = json!({"toolUse": {"toolUseId": id, "name": name}});
                    push("contentBlockStart", json!({"contentBlockIndex": index, "start": start}));
                    let pieces = if style.whole_calls { vec![arguments.concat()] } else { arguments.clone() };
                    pieces.iter().map(|input| json!({"toolUse": {"input": input}})).collect()
                }
            };
            if style.other && matches!(part, Part::Text(_)) {
                push("contentBlockStart", json!({"contentBlockIndex": index, "start": {}}));
            }
            for delta in deltas {
                push("contentBlockDelta", json!({"contentBlockIndex": index, "delta": delta}));
            }
            if answer.stop != Stop::Limit || index + 1 < answer.parts.len() {
                push("contentBlockStop", json!({"contentBlockIndex": index}));
            }
        }
        push("messageStop", json!({"stopReason": stop(answer.stop)}));
        let mut metadata = json!({"metrics": {"latencyMs": 900}});
        figures(&mut metadata, answer, style);
        push("metadata", metadata);
        Transcript::ending_at(events.len() - 2, frame::encode, events, style)
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        let block = |part: &Part| match part {
            Part::Text(pieces) => json!({"text": pieces.concat()}),
            Part::Reasoning { text, opaque: true } => {
                json!({"reasoningContent": {"redactedContent": seal(&text.concat())}})
            }
            Part::Reasoning { text, .. } => {
                let text = text.concat();
                json!({"reasoningContent": {"reasoningText": {"text": text, "signature": seal(&text)}}})
            }
            Part::Call { id, name, arguments } => {
                let input: Value = serde_json::from_str(&arguments.concat()).unwrap_or(json!({}));
                json!({"toolUse": {"toolUseId": id, "name": name, "input": input}})
            }
        };
        let content: Vec<Value> = answer.parts.iter().map(block).collect();
        let message = json!({"role": "assistant", "content": content});
        let mut body =
            json!({"output": {"message": message}, "stopReason": stop(answer.stop), "metrics": {"latencyMs": 900}});
        figures(&mut body, answer, style);
        body
    }

    fn marks(&self) -> bool {
        true
    }

    fn error(&self, trouble: Trouble) -> Reply {
        let (status, kind, message) = match trouble {
            Trouble::Overflow => (400, "ValidationException", "Input is too long for requested model."),
            // The words are like those of an overflow.
            Trouble::RateLimit(_) => (429, "ThrottlingException", "Too many tokens, please wait before trying again."),
            Trouble::Quota => (
                403,
                "AccessDeniedException",
                "Model access is denied due to INVALID_PAYMENT_INSTRUMENT: A valid payment instrument must be provided.",
            ),
            Trouble::Authentication => {
                (403, "UnrecognizedClientException", "The security token included in the request is invalid.")
            }
            Trouble::NotFound => (
                404,
                "ResourceNotFoundException",
                "Could not resolve the foundation model from the provided model identifier.",
            ),
            Trouble::BadRequest => (
                400,
                "ValidationException",
                "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            ),
            Trouble::Overloaded => (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
            Trouble::Server => (
                500,
                "InternalServerException",
                "The system encountered an unexpected error during processing. Try your request again.",
            ),
            Trouble::Filter => {
                let blocked = "Sorry, the model cannot answer this question.";
                let answer = Answer::of(vec![Part::text(blocked)]).stopped(Stop::Refusal);
                let bytes = self.stream(&answer, Style::default()).bytes();
                return Reply::typed(self.content_type(), vec![super::Piece::Bytes(bytes)]);
            }
            Trouble::Reasoning => (
                400,
                "ValidationException",
                "The model returned the following errors: messages.1.content.0: Invalid `signature` in `thinking` block",
            ),
        };
        let reply = Reply::error(status, json!({"message": message})).header("x-amzn-requestid", "r1");
        // The type is followed by an address where older gateways answer.
        let reply =
            reply.header("x-amzn-errortype", &format!("{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"));
        match trouble {
            Trouble::RateLimit(seconds) => reply.header("retry-after", &seconds.to_string()),
            _ => reply,
        }
    }

    fn reported(&self, trouble: Trouble) -> Option<Event> {
        let (name, message) = match trouble {
            Trouble::Overloaded => ("!serviceUnavailableException", "Bedrock is unable to process your request."),
            Trouble::Server => ("!internalServerException", "The system encountered an unexpected error."),
            Trouble::RateLimit(_) => ("!throttlingException", "Too many tokens, please wait before trying again."),
            Trouble::Overflow => ("!validationException", "Input is too long for requested model."),
            _ => return None,
        };
        Some(Event::new(name, &json!({"message": message})))
    }

    fn unknown(&self) -> Event {
        Event::new("contentBlockSparkle", &json!({"contentBlockIndex": 99, "sparkle": {"text": "x"}}))
    }

    fn refused(&self, status: u16, message: &str) -> Reply {
        Reply::error(status, json!({"message": message})).header("x-amzn-errortype", "ValidationException")
    }
}

fn stop(stop: Stop) -> &'static str {
    match stop {
        Stop::Calls => "tool_use",
        Stop::Limit => "max_tokens",
        Stop::Refusal => "guardrail_intervened",
        _ => "end_turn",
    }
}

fn figures(of: &mut Value, answer: &Answer, style: Style) {
    let usage = answer.usage;
    match style.usage {
        Figures::There => {
            of["usage"] = json!({
                "inputTokens": usage.input, "outputTokens": usage.output, "totalTokens": 0,
                "cacheReadInputTokens": usage.cache_read, "cacheWriteInputTokens": usage.cache_write
            });
        }
        Figures::Missing => {}
        Figures::Null => of["usage"] = Value::Null,
    }
}

fn check(body: &Value) -> Checked {
    fields(
        body,
        &["messages"],
        &["system", "toolConfig", "inferenceConfig", "additionalModelRequestFields", "requestMetadata"],
    )?;
    let mut points = 0;
    for part in optional_list(&body["system"], "system")? {
        match part.get("cachePoint") {
            Some(point) => cache_point(point, &mut points)?,
            None => text(part)?,
        }
    }
    if !body["toolConfig"].is_null() {
        fields(&body["toolConfig"], &["tools"], &["toolChoice"])?;
        let tools = list(&body["toolConfig"]["tools"], "toolConfig.tools")?;
        for tool in tools {
            if let Some(point) = tool.get("cachePoint") {
                cache_point(point, &mut points)?;
                continue;
            }
            fields(tool, &["toolSpec"], &[])?;
            fields(&tool["toolSpec"], &["name", "inputSchema"], &["description", "strict"])?;
            name(&tool["toolSpec"]["name"], "toolSpec.name", "_-", 64)?;
            if !tool["toolSpec"]["description"].is_null() {
                filled(&tool["toolSpec"]["description"], "toolSpec.description")?;
            }
            fields(&tool["toolSpec"]["inputSchema"], &["json"], &[])?;
            schema(&tool["toolSpec"]["inputSchema"]["json"])?;
        }
        once(tools.iter().filter_map(|tool| tool.get("toolSpec")).map(|tool| &tool["name"]))?;
    }
    let config = &body["inferenceConfig"];
    if !config.is_null() {
        fields(config, &[], &["maxTokens", "temperature", "topP", "stopSequences"])?;
        whole_number(&config["maxTokens"], "maxTokens", 1)?;
        number(&config["temperature"], "temperature", 0.0, 1.0)?;
    }
    messages(list(&body["messages"], "messages")?, !body["toolConfig"].is_null(), &mut points)?;
    if points > 4 { wrong(format!("{points} cache points, and four are allowed")) } else { Ok(()) }
}

fn cache_point(point: &Value, points: &mut usize) -> Checked {
    *points += 1;
    fields(point, &["type"], &["ttl"])?;
    if point["type"] == "default" { Ok(()) } else { wrong(format!("the cache point {point}")) }
}

fn text(part: &Value) -> Checked {
    fields(part, &["text"], &[])?;
    match filled(&part["text"], "text") {
        Ok(_) => Ok(()),
        Err(_) => {
            wrong("The text field in the ContentBlock object is blank. Add text to the text field, and try again.")
        }
    }
}

fn messages(messages: &[Value], tools: bool, points: &mut usize) -> Checked {
    let (mut open, mut used, mut role) = (HashSet::new(), HashSet::new(), "assistant");
    for message in messages {
        fields(message, &["role", "content"], &[])?;
        let next = string(&message["role"], "role")?;
        if next == role || !["user", "assistant"].contains(&next) {
            return wrong(format!(
                "A conversation must alternate between user and assistant roles, beginning with user; {next} follows {role}."
            ));
        }
        role = next;
        let parts = list(&message["content"], "content")?;
        let (mut results, mut others) = (HashSet::new(), false);
        for part in parts {
            let Some((kind, value)) = part.as_object().filter(|one| one.len() == 1).and_then(|one| one.iter().next())
            else {
                return wrong(format!("a block is of one kind: {part}"));
            };
            match (kind.as_str(), role) {
                ("cachePoint", _) => cache_point(value, points)?,
                ("text", _) => {
                    text(part)?;
                    others = true;
                }
                ("toolResult", "user") => {
                    fields(value, &["toolUseId", "content"], &["status"])?;
                    let id = string(&value["toolUseId"], "toolUseId")?;
                    if others || !results.insert(id) {
                        return wrong(format!("a result out of place: {value}"));
                    }
                    result(value)?;
                }
                ("toolUse", "assistant") => {
                    fields(value, &["toolUseId", "name", "input"], &[])?;
                    name(&value["toolUseId"], "toolUseId", "_-", 64)?;
                    name(&value["name"], "toolUse.name", "_-", 64)?;
                    let id = string(&value["toolUseId"], "toolUseId")?;
                    if !value["input"].is_object() {
                        return wrong(format!(
                            "The format of the value at toolUse.input is invalid. Provide a json object: {value}"
                        ));
                    }
                    if !used.insert(id) {
                        return wrong(format!("toolUse ids must be unique: {id}"));
                    }
                }
                ("reasoningContent", "assistant") => reasoning(value)?,
                (other, role) => return wrong(format!("a block {other} of the {role}")),
            }
        }
        if results != open {
            return wrong(format!("Expected toolResult blocks for the following Ids: {open:?}, but found {results:?}"));
        }
        open = parts.iter().filter_map(|part| part["toolUse"]["toolUseId"].as_str()).collect();
        let about_tools = !open.is_empty() || !results.is_empty();
        if about_tools && !tools {
            return wrong("The toolConfig field must be defined when using toolUse and toolResult content blocks.");
        }
        let last = parts.iter().rfind(|part| part.get("cachePoint").is_none());
        if last.is_none_or(|part| part.get("reasoningContent").is_some()) {
            return wrong("The final block in an assistant message cannot be `thinking`.");
        }
    }
    if role == "user" { Ok(()) } else { wrong("nothing to answer") }
}

fn result(value: &Value) -> Checked {
    if !value["status"].is_null() && !["success", "error"].contains(&string(&value["status"], "status")?) {
        return wrong(format!("the status {}", value["status"]));
    }
    for part in list(&value["content"], "toolResult.content")? {
        match part.get("json") {
            Some(json) if json.is_object() => fields(part, &["json"], &[])?,
            Some(json) => return wrong(format!("toolResult.content.json is no object: {json}")),
            None => text(part)?,
        }
    }
    Ok(())
}

fn reasoning(value: &Value) -> Checked {
    if let Some(redacted) = value.get("redactedContent") {
        fields(value, &["redactedContent"], &[])?;
        let given = redacted.as_str().is_some_and(|redacted| redacted.starts_with("Seal"));
        return if given { Ok(()) } else { wrong("redactedContent that was not given") };
    }
    fields(value, &["reasoningText"], &[])?;
    fields(&value["reasoningText"], &["text", "signature"], &[])?;
    if value["reasoningText"]["signature"] != seal(string(&value["reasoningText"]["text"], "text")?) {
        return wrong("Invalid `signature` in `thinking` block");
    }
    Ok(())
}
