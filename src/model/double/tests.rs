//! The double refuses what it says it refuses.

use axum::http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};

use super::neutral::seal;
use super::*;

struct Case {
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Value,
}

const BEARER: (&str, &str) = ("authorization", "Bearer sk-canary-0123456789");

/// A request with everything in it, as the provider wants it.
fn good(name: &str) -> Case {
    let schema = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    let chat = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 10, "temperature": 0.5,
        "tools": [{"type": "function", "function": {"name": "read", "description": "Reads.", "parameters": schema}}],
        "messages": [
            {"role": "system", "content": "Edit."}, {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "read", "arguments": "{\"path\":\"x\"}"}},
                {"id": "b", "type": "function", "function": {"name": "read", "arguments": "{}"}}
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "x"}, {"role": "tool", "tool_call_id": "b", "content": ""}
        ]
    });
    let responses = json!({
        "model": "m", "stream": true, "store": false, "include": ["reasoning.encrypted_content"], "instructions": "Edit.",
        "tools": [{"type": "function", "name": "read", "description": "Reads.", "parameters": schema, "strict": false}],
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal("rs_1 []")},
            {"type": "function_call", "id": "fc_1_after_rs_1", "call_id": "a", "name": "read", "arguments": "{}", "status": "completed"},
            {"type": "function_call_output", "call_id": "a", "output": "x"}
        ]
    });
    let thinking = |text: &str| json!({"type": "thinking", "thinking": text, "signature": seal(text)});
    let (path, headers, body) = match name {
        "anthropic" => (
            "/v1/messages",
            vec![("x-api-key", CANARY), ("anthropic-version", "2023-06-01")],
            json!({
                "model": "m", "max_tokens": 10, "stream": true, "temperature": 0.5,
                "system": [{"type": "text", "text": "Edit.", "cache_control": {"type": "ephemeral"}}],
                "tools": [{"name": "read", "description": "Reads.", "input_schema": schema}],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Hi."}]},
                    {"role": "assistant", "content": [
                        thinking("Hm."),
                        {"type": "tool_use", "id": "a", "name": "read", "input": {"path": "x"}},
                        {"type": "tool_use", "id": "b", "name": "read", "input": {}}
                    ]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "a", "content": "x"},
                        {"type": "tool_result", "tool_use_id": "b", "content": "no", "is_error": true},
                        {"type": "text", "text": "Hurry."}
                    ]}
                ]
            }),
        ),
        "openai-chat" => ("/v1/chat/completions", vec![BEARER], chat),
        "openai" => ("/v1/responses", vec![BEARER], responses),
        "azure" => ("/openai/v1/responses", vec![("api-key", CANARY)], responses),
        "azure-dated" => {
            ("/openai/deployments/m/chat/completions?api-version=2024-10-21", vec![("api-key", CANARY)], chat)
        }
        "gemini" => {
            let call = json!({"id": "a", "name": "read", "args": {"path": "x"}});
            let signature = seal(&format!("{} {}", call["name"], call["args"]));
            (
                "/v1beta/models/m:streamGenerateContent?alt=sse",
                vec![("x-goog-api-key", CANARY)],
                json!({
                    "systemInstruction": {"parts": [{"text": "Edit."}]},
                    "tools": [{"functionDeclarations": [{"name": "read", "description": "Reads.", "parametersJsonSchema": schema}]}],
                    "generationConfig": {"maxOutputTokens": 10, "temperature": 0.5},
                    "contents": [
                        {"role": "user", "parts": [{"text": "Hi."}]},
                        {"role": "model", "parts": [{"functionCall": call, "thoughtSignature": signature}, {"functionCall": {"name": "read", "args": {}}}]},
                        {"role": "user", "parts": [
                            {"functionResponse": {"id": "a", "name": "read", "response": {"output": "x"}}},
                            {"functionResponse": {"name": "read", "response": {"error": "x"}}}
                        ]}
                    ]
                }),
            )
        }
        "cohere" => ("/v2/chat", vec![BEARER], {
            let mut body = chat;
            body.as_object_mut().unwrap().remove("stream_options");
            body["messages"][2].as_object_mut().unwrap().remove("content");
            body["messages"][2]["tool_plan"] = json!("I read.");
            body
        }),
        _ => (
            "/model/eu.m%3A0/converse-stream",
            vec![BEARER],
            json!({
                "system": [{"text": "Edit."}, {"cachePoint": {"type": "default"}}],
                "toolConfig": {"tools": [{"toolSpec": {"name": "read", "description": "Reads.", "inputSchema": {"json": schema}}}]},
                "inferenceConfig": {"maxTokens": 10, "temperature": 0.5},
                "messages": [
                    {"role": "user", "content": [{"text": "Hi."}]},
                    {"role": "assistant", "content": [
                        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": seal("Hm.")}}},
                        {"toolUse": {"toolUseId": "a", "name": "read", "input": {}}}
                    ]},
                    {"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"text": "x"}], "status": "success"}}]}
                ]
            }),
        ),
    };
    let headers = [vec![("content-type", "application/json")], headers].concat();
    Case { path, headers, body }
}

fn check(name: &str, case: &Case) -> Checked {
    let mut headers = HeaderMap::new();
    for (name, value) in &case.headers {
        headers.append(*name, value.parse().unwrap());
    }
    let uri: Uri = case.path.parse().unwrap();
    assert!(dialect(name).owns(uri.path()), "{uri}");
    let bytes = case.body.to_string().into_bytes();
    let asked = Asked { method: &Method::POST, uri: &uri, headers: &headers, bytes: &bytes, body: &case.body };
    dialect(name).check(&asked)
}

/// Sets what a pointer names (null takes it out), and wants the refusal to say this.
fn refused(name: &str, pointer: &str, value: Value, expected: &str) {
    let mut case = good(name);
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match case.body.pointer_mut(parent).unwrap() {
        Value::Object(object) if value.is_null() => drop(object.remove(field)),
        Value::Object(object) => drop(object.insert(field.to_owned(), value)),
        Value::Array(list) if value.is_null() => drop(list.remove(field.parse().unwrap())),
        Value::Array(list) => list.insert(field.parse().unwrap(), value),
        other => panic!("{pointer} is in {other}"),
    }
    let (_, message) = check(name, &case).expect_err(&format!("{name} takes {pointer}"));
    assert!(message.contains(expected), "{name} {pointer}: {message}");
}

#[test]
fn what_is_right_is_accepted_and_nobody_without_the_key() {
    for dialect in DIALECTS {
        let name = dialect.name();
        check(name, &good(name)).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        for at in 0..good(name).headers.len() {
            let mut case = good(name);
            let (header, _) = case.headers.remove(at);
            assert!(check(name, &case).is_err(), "{name} without {header}");
            case.headers.insert(at, (header, "other"));
            assert!(check(name, &case).is_err(), "{name} with another {header}");
        }
        refused(name, "/sparkle", json!(1), "unknown field sparkle");
    }
}

#[test]
fn what_is_wrong_is_refused() {
    for name in ["openai-chat", "azure-dated", "cohere"] {
        refused(name, "/messages/4", Value::Null, "nothing to answer");
        refused(name, "/messages/3", Value::Null, "nothing to answer");
        refused(name, "/messages/4", json!({"role": "tool", "tool_call_id": "a", "content": "again"}), "tool");
        refused(name, "/messages/3", json!({"role": "user", "content": "Hurry."}), "");
        refused(name, "/messages/2/tool_calls/0/function/arguments", json!("{\"path\":"), "arguments that");
        refused(name, "/messages/2/tool_calls/0/function/name", json!("rea d"), "pattern");
        refused(name, "/tools/0/function/parameters/type", json!("array"), "type object");
        refused(name, "/max_tokens", json!(0), "max_tokens");
        refused(name, "/temperature", json!(3), "temperature");
    }
    refused("cohere", "/messages/1/content", json!(" "), "blank");
    refused("cohere", "/tools/0/function/name", json!("1read"), "digit");
    refused("openai-chat", "/stream", json!(false), "stream_options");
    refused("openai-chat", "/tools/1", good("openai-chat").body["tools"][0].clone(), "twice");
    for name in ["openai", "azure"] {
        refused(name, "/input/3", Value::Null, "No tool output found");
        refused(name, "/input/2", Value::Null, "required following item");
        refused(name, "/input/1", Value::Null, "without its required 'reasoning' item");
        refused(name, "/input/1/encrypted_content", json!("Seal0"), "could not be verified");
        refused(name, "/input/1/summary/0", json!({"type": "summary_text", "text": "x"}), "could not be verified");
        refused(name, "/input/3/call_id", json!("c"), "No tool call found");
        refused(name, "/input/0/content/0/type", json!("output_text"), "Supported values");
        refused(name, "/input/2/id", json!("msg_1"), "begins with 'fc'");
        refused(name, "/max_output_tokens", json!(8), "max_output_tokens");
    }
    refused("anthropic", "/messages/2/content/0", Value::Null, "followed by the tool_result blocks");
    refused("anthropic", "/messages/2/content/0", json!({"type": "text", "text": "x"}), "followed by");
    refused("anthropic", "/messages/1/content/0/signature", json!("Seal0"), "Invalid `signature`");
    refused("anthropic", "/messages/1/content/0/thinking", json!("Hm!"), "Invalid `signature`");
    refused("anthropic", "/messages/1/content/1/id", json!("a:b"), "pattern");
    refused("anthropic", "/messages/1", Value::Null, "alternate");
    refused("anthropic", "/messages/0/content/0/text", json!(" \n"), "non-whitespace");
    refused("anthropic", "/max_tokens", Value::Null, "no max_tokens");
    refused("anthropic", "/temperature", json!(1.5), "temperature");
    refused("gemini", "/contents/2/parts/1", Value::Null, "equal to the number");
    refused("gemini", "/contents/1/parts/0/thoughtSignature", Value::Null, "missing a thought_signature");
    refused("gemini", "/contents/1/parts/0/thoughtSignature", json!("Seal0"), "not valid");
    refused("gemini", "/contents/1/parts/0/functionCall/args/path", json!("y"), "not valid");
    refused("gemini", "/contents/2/parts/0/functionResponse/name", json!("list"), "the response");
    refused("gemini", "/contents/2/parts/0/functionResponse/response", json!("x"), "the response");
    refused("gemini", "/contents/1", Value::Null, "alternate");
    refused("gemini", "/tools/0/functionDeclarations/0/name", json!("1read"), "letter");
    refused("bedrock", "/messages/2/content/0/toolResult/toolUseId", json!("b"), "Expected toolResult");
    refused("bedrock", "/messages/1/content/0/reasoningContent/reasoningText/text", json!("x"), "Invalid `signature`");
    refused("bedrock", "/messages/1/content/1", Value::Null, "thinking");
    refused("bedrock", "/messages/0/content/0/text", json!(""), "blank");
    refused("bedrock", "/toolConfig", Value::Null, "toolConfig field must be defined");
    refused("bedrock", "/messages/2/content/0", json!({"text": "x"}), "out of place");
}

#[test]
fn history_of_earlier_turns_needs_no_thought_signature() {
    let mut case = good("gemini");
    case.body["contents"][1]["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
    let more =
        [json!({"role": "model", "parts": [{"text": "Done."}]}), json!({"role": "user", "parts": [{"text": "And?"}]})];
    case.body["contents"].as_array_mut().unwrap().extend(more);
    check("gemini", &case).unwrap();
    case.body["contents"][1]["parts"][0]["thoughtSignature"] = json!("skip_thought_signature_validator");
    case.body["contents"].as_array_mut().unwrap().truncate(3);
    check("gemini", &case).unwrap();
}

/// From the check values of the CRC catalogue, RFC 4231 and AWS's own example of a signing key.
#[test]
fn checksums_and_hashes_are_the_published_ones() {
    assert_eq!(bedrock::frame::crc32(b"123456789"), 0xcbf4_3926);
    let key = [0x0b; 20];
    assert_eq!(
        bedrock::signature::hex(&bedrock::signature::hmac(&key, b"Hi There")),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    );
    let key = ["20150830", "us-east-1", "iam", "aws4_request"]
        .iter()
        .fold(b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec(), |key, part| {
            bedrock::signature::hmac(&key, part.as_bytes())
        });
    assert_eq!(bedrock::signature::hex(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
}

#[test]
fn a_signature_is_computed_anew() {
    let case = good("bedrock");
    let body = case.body.to_string();
    let hash = |bytes: &[u8]| {
        use sha2::Digest;
        bedrock::signature::hex(&sha2::Sha256::digest(bytes))
    };
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    let words: Vec<&str> = now.split([' ', ',', ':']).filter(|word| !word.is_empty()).collect();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|month| *month == words[2]).unwrap() + 1;
    let date = format!("{}{month:02}{}", words[3], words[1]);
    let time = format!("{date}T{}{}{}Z", words[4], words[5], words[6]);
    let signed = |path: &str| {
        let canonical = format!(
            "POST\n{path}\n\ncontent-type:application/json\nhost:h:1\nx-amz-date:{time}\n\ncontent-type;host;x-amz-date\n{}",
            hash(body.as_bytes())
        );
        let scope = format!("{date}/{AWS_REGION}/bedrock/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(canonical.as_bytes()));
        let key = scope.split('/').fold(format!("AWS4{AWS_SECRET}").into_bytes(), |key, part| {
            bedrock::signature::hmac(&key, part.as_bytes())
        });
        let signature = bedrock::signature::hex(&bedrock::signature::hmac(&key, text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={AWS_ID}/{scope}, SignedHeaders=content-type;host;x-amz-date, Signature={signature}"
        )
    };
    let check = |proof: &str| {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("content-type", "application/json"), ("host", "h:1"), ("x-amz-date", &time), ("authorization", proof)]
        {
            headers.insert(name, value.parse().unwrap());
        }
        let uri: Uri = case.path.parse().unwrap();
        let asked =
            Asked { method: &Method::POST, uri: &uri, headers: &headers, bytes: body.as_bytes(), body: &case.body };
        dialect("bedrock").check(&asked)
    };
    let right = signed("/model/eu.m%253A0/converse-stream");
    check(&right).unwrap();
    assert_eq!(check(&signed("/model/eu.m%3A0/converse-stream")).unwrap_err().0, 403, "the path is encoded twice");
    assert_eq!(check(&right.replace(AWS_REGION, "us-east-1")).unwrap_err().0, 403);
    assert_eq!(check(&right.replace("host;", "")).unwrap_err().0, 403);
}
