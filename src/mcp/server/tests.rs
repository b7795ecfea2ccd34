use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

mod http;

/// A server on this machine that says hello, and nothing when it is asked for its tools.
async fn unlisted() -> McpSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut piece) = (Vec::new(), [0; 4096]);
                loop {
                    let text = String::from_utf8_lossy(&read).into_owned();
                    let whole = text.split_once("\r\n\r\n").filter(|(head, body)| {
                        let head = head.to_lowercase();
                        let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
                        let length = length.map_or(0, |length| length.trim().parse().expect("a length"));
                        body.len() >= length
                    });
                    let Some((_, body)) = whole else {
                        match stream.read(&mut piece).await {
                            Ok(count) if count > 0 => read.extend_from_slice(&piece[..count]),
                            _ => return,
                        }
                        continue;
                    };
                    let asked: Value = serde_json::from_str(body).unwrap_or_default();
                    let answer = match asked["method"].as_str() {
                        Some("initialize") => {
                            let hello = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": {
                                "protocolVersion": asked["params"]["protocolVersion"], "capabilities": { "tools": {} },
                                "serverInfo": { "name": "slow", "version": "1" } } })
                            .to_string();
                            let length = hello.len();
                            format!(
                                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{hello}"
                            )
                        }
                        Some("tools/list") => std::future::pending().await,
                        Some(_) => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned(),
                        None => "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    };
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    read.clear();
                }
            });
        }
    });
    McpSettings { url: Some(url), ..McpSettings::default() }
}

#[tokio::test]
async fn a_server_that_never_lists_its_tools_is_waited_for_once() {
    let server = Server::new("slow".into(), unlisted().await, None, Vec::new());
    let why = server.tools().await.expect_err("no list comes");
    assert_eq!(why, "The server slow was ended: it did not list its tools within 10 s.");
    let began = Instant::now();
    let why = server.tools().await.expect_err("no list comes");
    assert!(began.elapsed() < Duration::from_secs(1), "the next run waited {:?}", began.elapsed());
    assert!(why.contains("it did not list its tools within 10 s"), "{why}");
    assert!(why.contains("started again in"), "{why}");
}
