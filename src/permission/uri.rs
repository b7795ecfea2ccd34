//! `file:` URIs, read with suspicion.

/// The path of a `file:` URI, percent-decoded once; `None` when the text is no `file:` URI.
///
/// # Errors
/// What is wrong with it: another host, an encoded separator or NUL, bytes that are not UTF-8, a query.
pub(super) fn file_path(given: &str) -> Option<Result<String, &'static str>> {
    let (scheme, rest) = given.split_once(':')?;
    scheme.eq_ignore_ascii_case("file").then(|| path_of(rest))
}

/// Whether it is the URI of something else than a file.
pub(super) fn is_foreign(given: &str) -> bool {
    given.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

fn path_of(rest: &str) -> Result<String, &'static str> {
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err("it names another host");
            }
            path
        }
        None => rest,
    };
    if !path.starts_with('/') {
        return Err("a file URI has an absolute path");
    }
    if path.contains(['?', '#']) {
        return Err("a file URI has no query and no fragment; write ? and # as %3F and %23");
    }
    decode(path)
}

/// Percent-decodes once. What decodes to a separator or to NUL is refused: one side would read it as a name, the other
/// as a way.
pub(super) fn decode(text: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err("a % must be followed by two hexadecimal digits");
        };
        match u8::try_from(high * 16 + low).unwrap_or_default() {
            b'/' | b'\\' => return Err("a separator may not be percent-encoded"),
            0 => return Err("it holds a NUL"),
            decoded => bytes.push(decoded),
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_uris_are_decoded_once_or_refused() {
        let good = [
            ("file:///a/b", "/a/b"),
            ("FILE:///a/b", "/a/b"),
            ("file:/a/b", "/a/b"),
            ("file://localhost/a", "/a"),
            ("file:///a%20b/%C3%A9", "/a b/é"),
            ("file:///a/%252e%252e/b", "/a/%2e%2e/b"),
            ("file:///a/%2e%2e/b", "/a/../b"),
        ];
        for (uri, path) in good {
            assert_eq!(file_path(uri), Some(Ok(path.to_owned())), "{uri}");
        }
        for bad in [
            "file://evil.example/a",
            "file:///a%2fb",
            "file:///a%2Fb",
            "file:///a%5cb",
            "file:///a%00",
            "file:///%ff",
            "file:///a%2",
            "file:///a%zz",
            "file:///a?b",
            "file:///a#b",
            "file:a",
            "file:",
            "file://",
            "file://.",
            "file:///a%+1",
        ] {
            assert!(matches!(file_path(bad), Some(Err(_))), "{bad} must be refused");
        }
        assert_eq!(file_path("src/lib.rs"), None);
        assert!(is_foreign("https://example.com/x") && is_foreign("vscode-remote://ssh/x"));
        assert!(!is_foreign("src/lib.rs") && !is_foreign("a:b"));
    }
}
