//! Gemini, as <https://ai.google.dev/api/generate-content> and <https://ai.google.dev/gemini-api/docs/thought-signatures>
//! have it.

use serde_json::{Value, json};

use super::neutral::{Figures, seal, sse};
use super::rules::{
    absent, bearer, boolean, fields, filled, header, list, name, number, once, optional_list, posted, schema, string,
    whole_number, wrong,
};
use super::{Answer, Asked, CANARY, Checked, Dialect, Event, Part, Reply, Stop, Style, Transcript, Trouble};

pub(super) struct Gemini;

/// What may stand in for the signature of a call that somebody else made.
const NONE_OF_YOURS: &str = "skip_thought_signature_validator";

const OPTIONAL: &[&str] =
    &["systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent"];

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn owns(&self, path: &str) -> bool {
        path.starts_with("/v1beta/") || path.starts_with("/v1/projects/")
    }

    fn check(&self, asked: &Asked<'_>) -> Checked {
        let path = asked.uri.path();
        absent(asked, &["x-api-key", "api-key"])?;
        let model = if path.starts_with("/v1/projects/") {
            bearer(asked)?;
            absent(asked, &["x-goog-api-key"])?;
            path.split_once("/publishers/google/models/").map(|(_, model)| model)
        } else {
            absent(asked, &["authorization"])?;
            header(asked, "x-goog-api-key", CANARY, 403)?;
            path.strip_prefix("/v1beta/models/")
        };
        posted(asked)?;
        match (model.and_then(|model| model.split_once(':')), asked.uri.query()) {
            (Some((model, "streamGenerateContent")), Some("alt=sse")) if !model.is_empty() => {}
            (Some((model, "generateContent")), None) if !model.is_empty() => {}
            _ => return Err((404, format!("no such path {}", asked.uri))),
        }
        let body = asked.body;
        fields(body, &["contents"], OPTIONAL)?;
        if !body["systemInstruction"].is_null() {
            fields(&body["systemInstruction"], &["parts"], &["role"])?;
            for part in list(&body["systemInstruction"]["parts"], "systemInstruction.parts")? {
                fields(part, &["text"], &[])?;
                filled(&part["text"], "systemInstruction.parts.text")?;
            }
        }
        let mut names = Vec::new();
        for tool in optional_list(&body["tools"], "tools")? {
            fields(tool, &["functionDeclarations"], &[])?;
            for function in list(&tool["functionDeclarations"], "functionDeclarations")? {
                declaration(function)?;
                names.push(&function["name"]);
            }
        }
        once(names)?;
        config(&body["generationConfig"])?;
        contents(list(&body["contents"], "contents")?)
    }

    fn streaming(&self, asked: &Asked<'_>) -> bool {
        asked.uri.path().ends_with(":streamGenerateContent")
    }

    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn shape(&self, answer: Answer) -> Answer {
        let mut answer = answer.merged();
        answer.usage.cache_write = None;
        // Nothing is named that was not used.
        answer.usage.cache_read = answer.usage.cache_read.filter(|cached| *cached > 0);
        answer
    }

    fn styles(&self) -> Vec<Style> {
        let plain = Style::default();
        vec![
            plain,
            Style { whole_calls: true, ..plain },
            Style { no_ids: true, ..plain },
            Style { no_ids: true, whole_calls: true, ..plain },
            Style { new_fields: true, ..plain },
            Style { spaced: true, ..plain },
            Style { other: true, ..plain },
        ]
    }

    fn stream(&self, answer: &Answer, style: Style) -> Transcript {
        let mut groups: Vec<Vec<Value>> = Vec::new();
        let mut calls = 0;
        for (at, part) in answer.parts.iter().enumerate() {
            let open = answer.stop == Stop::Limit && at + 1 == answer.parts.len();
            match part {
                Part::Text(pieces) => groups.extend(pieces.iter().map(|text| vec![json!({"text": text})])),
                Part::Reasoning { text, .. } => {
                    groups.extend(text.iter().map(|text| vec![json!({"text": text, "thought": true})]));
                }
                // A call that does not come to its end does not come at all.
                Part::Call { .. } if open => {}
                Part::Call { .. } => {
                    let call = call(part, calls == 0, style);
                    match groups.last_mut() {
                        Some(last)
                            if calls > 0
                                && style.whole_calls
                                && last.last().is_some_and(|p| p.get("functionCall").is_some()) =>
                        {
                            last.push(call)
                        }
                        _ => groups.push(vec![call]),
                    }
                    calls += 1;
                }
            }
        }
        if style.other && calls == 0 {
            groups.push(vec![json!({"text": "", "thoughtSignature": seal("the end")})]);
        }
        let last = groups.len().saturating_sub(1);
        if groups.is_empty() {
            groups.push(Vec::new());
        }
        let chunk = |(at, parts): (usize, Vec<Value>)| {
            let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
            if at == last {
                candidate["finishReason"] = json!(finish(answer.stop));
            }
            let mut chunk = json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r1"});
            figures(&mut chunk, answer, style, at == last);
            Event::new("", &chunk)
        };
        let events = groups.into_iter().enumerate().map(chunk).collect();
        Transcript::new(sse, events, style)
    }

    fn whole(&self, answer: &Answer, style: Style) -> Value {
        let (mut parts, mut calls) = (Vec::new(), 0);
        for part in &answer.parts {
            parts.push(match part {
                Part::Text(pieces) => json!({"text": pieces.concat()}),
                Part::Reasoning { text, .. } => json!({"text": text.concat(), "thought": true}),
                Part::Call { .. } => {
                    calls += 1;
                    call(part, calls == 1, style)
                }
            });
        }
        if style.other && calls == 0 {
            parts.push(json!({"text": "", "thoughtSignature": seal("the end")}));
        }
        let candidate =
            json!({"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": finish(answer.stop)});
        let mut body = json!({"candidates": [candidate], "modelVersion": "m", "responseId": "r1"});
        figures(&mut body, answer, style, true);
        body
    }

    fn limit(&self) -> Option<u64> {
        Some(1_048_576)
    }

    fn error(&self, trouble: Trouble) -> Reply {
        let (code, status, message) = match trouble {
            Trouble::Overflow => (
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).".to_owned(),
            ),
            // The words are those of a quota; only the details tell a minute's from a day's.
            Trouble::RateLimit(seconds) => (
                429,
                "RESOURCE_EXHAUSTED",
                format!(
                    "You exceeded your current quota, please check your plan and billing details. Please retry in {seconds}.0s."
                ),
            ),
            Trouble::Quota => (
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.".to_owned(),
            ),
            Trouble::Authentication => {
                (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.".to_owned())
            }
            Trouble::NotFound => (
                404,
                "NOT_FOUND",
                "models/m is not found for API version v1beta, or is not supported for generateContent.".to_owned(),
            ),
            Trouble::BadRequest => (
                400,
                "INVALID_ARGUMENT",
                "Invalid JSON payload received. Unknown name \"sparkle\": Cannot find field.".to_owned(),
            ),
            Trouble::Overloaded => (503, "UNAVAILABLE", "The model is overloaded. Please try again later.".to_owned()),
            Trouble::Server => (500, "INTERNAL", "An internal error has occurred.".to_owned()),
            Trouble::Filter => {
                let feedback = json!({"blockReason": "PROHIBITED_CONTENT"});
                let body =
                    json!({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9}});
                return Reply::stream(&format!("data: {body}\n\n"));
            }
            Trouble::Reasoning => (400, "INVALID_ARGUMENT", "Thought signature is not valid.".to_owned()),
        };
        let mut error = json!({"code": code, "message": message, "status": status});
        match trouble {
            Trouble::RateLimit(seconds) => {
                error["details"] = json!([
                    quota("GenerateRequestsPerMinutePerProjectPerModel"),
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}
                ]);
            }
            Trouble::Quota => error["details"] = json!([quota("GenerateRequestsPerDayPerProjectPerModel")]),
            Trouble::Authentication => {
                error["details"] = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]);
            }
            _ => {}
        }
        let body = json!({"error": error});
        // Both forms occur.
        Reply::error(code, if trouble == Trouble::Server { json!([body]) } else { body })
    }

    fn reported(&self, trouble: Trouble) -> Option<Event> {
        let (code, status, message) = match trouble {
            Trouble::Overloaded => (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
            Trouble::Server => (500, "INTERNAL", "An internal error has occurred."),
            Trouble::RateLimit(_) => (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted."),
            _ => return None,
        };
        Some(Event::new("", &json!({"error": {"code": code, "message": message, "status": status}})))
    }

    fn unknown(&self) -> Event {
        Event::new("", &json!({"sparkle": {"parts": [{"text": "x"}]}, "modelVersion": "m"}))
    }

    fn refused(&self, status: u16, message: &str) -> Reply {
        Reply::error(status, json!({"error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}}))
    }
}

fn quota(id: &str) -> Value {
    let violation = json!({"quotaMetric": "generativelanguage.googleapis.com/generate_requests", "quotaId": id});
    json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
}

fn finish(stop: Stop) -> &'static str {
    match stop {
        Stop::Limit => "MAX_TOKENS",
        Stop::Refusal => "SAFETY",
        _ => "STOP",
    }
}

/// The signature of a call belongs to what it was given with.
fn sealed(call: &Value) -> String {
    seal(&format!("{} {}", call["name"], call["args"]))
}

fn call(part: &Part, signed: bool, style: Style) -> Value {
    let Part::Call { id, name, arguments } = part else { unreachable!() };
    let args: Value = serde_json::from_str(&arguments.concat()).unwrap_or(json!({}));
    let mut call = json!({"name": name, "args": args});
    let seal = sealed(&call);
    if !style.no_ids {
        call["id"] = json!(id);
    }
    let mut part = json!({"functionCall": call});
    if signed {
        part["thoughtSignature"] = json!(seal);
    }
    part
}

/// The figures are in every chunk; those of the answer grow.
fn figures(of: &mut Value, answer: &Answer, style: Style, last: bool) {
    let usage = answer.usage;
    let prompt = usage.input.unwrap_or(0) + usage.cache_read.unwrap_or(0);
    match style.usage {
        Figures::There => {
            let mut figures = json!({"promptTokenCount": prompt, "totalTokenCount": prompt});
            if let Some(cached) = usage.cache_read {
                figures["cachedContentTokenCount"] = json!(cached);
            }
            if let (true, Some(output)) = (last, usage.output) {
                let thoughts = output / 2;
                figures["candidatesTokenCount"] = json!(output - thoughts);
                figures["thoughtsTokenCount"] = json!(thoughts);
                figures["totalTokenCount"] = json!(prompt + output);
            }
            of["usageMetadata"] = figures;
        }
        Figures::Missing => {}
        Figures::Null => of["usageMetadata"] = Value::Null,
    }
}

fn tool_name(value: &Value) -> Checked {
    name(value, "name", "_.:-", 64)?;
    match value.as_str().and_then(|name| name.chars().next()) {
        Some(first) if first.is_ascii_alphabetic() || first == '_' => Ok(()),
        _ => wrong(format!("Invalid function name {value}. Must start with a letter or an underscore.")),
    }
}

fn declaration(function: &Value) -> Checked {
    fields(function, &["name", "description"], &["parametersJsonSchema", "parameters"])?;
    tool_name(&function["name"])?;
    string(&function["description"], "description")?;
    match (&function["parametersJsonSchema"], &function["parameters"]) {
        (Value::Null, Value::Null) => Ok(()),
        (given, Value::Null) => schema(given),
        _ => wrong("parameters are not JSON Schema here"),
    }
}

fn config(config: &Value) -> Checked {
    if config.is_null() {
        return Ok(());
    }
    fields(config, &[], &["maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "thinkingConfig"])?;
    whole_number(&config["maxOutputTokens"], "maxOutputTokens", 1)?;
    number(&config["temperature"], "temperature", 0.0, 2.0)?;
    let thinking = &config["thinkingConfig"];
    if thinking.is_null() {
        return Ok(());
    }
    fields(thinking, &[], &["thinkingLevel", "thinkingBudget", "includeThoughts"])?;
    boolean(&thinking["includeThoughts"], "includeThoughts")?;
    if !thinking["thinkingLevel"].is_null() && !thinking["thinkingBudget"].is_null() {
        return wrong("You can only set only one of thinking budget and thinking level.");
    }
    Ok(())
}

fn contents(contents: &[Value]) -> Checked {
    // The turn of today begins with the last thing that a person said.
    let spoken = |content: &Value| {
        content["role"] == "user"
            && content["parts"].as_array().is_some_and(|parts| parts.iter().any(|part| part.get("text").is_some()))
    };
    let today = contents.iter().rposition(spoken).unwrap_or(0);
    let (mut open, mut role): (Vec<&Value>, _) = (Vec::new(), "model");
    for (at, content) in contents.iter().enumerate() {
        fields(content, &["role", "parts"], &[])?;
        let next = string(&content["role"], "role")?;
        if next == role || !["user", "model"].contains(&next) {
            return wrong(format!(
                "Please ensure that multiturn requests alternate between user and model; {next} follows {role}."
            ));
        }
        role = next;
        let parts = list(&content["parts"], "contents.parts")?;
        let answered: Vec<&Value> = parts.iter().filter_map(|part| part.get("functionResponse")).collect();
        if answered.len() != open.len() {
            return wrong(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
            );
        }
        for (call, response) in open.drain(..).zip(answered) {
            fields(response, &["name", "response"], &["id"])?;
            if call["name"] != response["name"]
                || !response["response"].is_object()
                || call.get("id") != response.get("id")
            {
                return wrong(format!("the response {response} to the call {call}"));
            }
        }
        let mut first = true;
        for part in parts {
            let signature = part.get("thoughtSignature");
            let valid = |expected: Option<String>| match signature.and_then(Value::as_str) {
                None if signature.is_none() => Ok(()),
                Some(NONE_OF_YOURS) => Ok(()),
                Some(given) if expected.as_deref().map_or(given.starts_with("Seal"), |expected| expected == given) => {
                    Ok(())
                }
                _ => wrong("Thought signature is not valid."),
            };
            if let Some(call) = part.get("functionCall").filter(|_| role == "model") {
                fields(part, &["functionCall"], &["thoughtSignature"])?;
                fields(call, &["name", "args"], &["id"])?;
                tool_name(&call["name"])?;
                if !call["args"].is_object() {
                    return wrong(format!("the arguments of {call}"));
                }
                valid(Some(sealed(call)))?;
                if first && at > today && signature.is_none() {
                    return wrong(format!(
                        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly. Function call `{}`, position {at}.",
                        call["name"]
                    ));
                }
                first = false;
                open.push(call);
            } else if part.get("functionResponse").is_some() && role == "user" {
                fields(part, &["functionResponse"], &[])?;
            } else {
                let optional: &[&str] = if role == "model" { &["thought", "thoughtSignature"] } else { &[] };
                fields(part, &["text"], optional)?;
                valid(None)?;
                if signature.is_none() && string(&part["text"], "text")?.is_empty() {
                    return wrong("Unable to submit request because it must have a text parameter.");
                }
            }
        }
    }
    if role == "user" { Ok(()) } else { wrong("nothing to answer") }
}
