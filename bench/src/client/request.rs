//! Requests: encoded once as far as they are always the same.

use std::fmt::Write as _;

/// A request's head, complete except for the key and the length.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    head: String,
}

impl Request {
    /// `token` as bearer, where there is one.
    pub(crate) fn new(method: &str, path: &str, token: Option<&str>) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n");
        if let Some(token) = token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        Self { head }
    }

    /// Without a body.
    pub(crate) fn empty(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// With a JSON body, and an idempotency key where there is one.
    pub(crate) fn json(&self, key: Option<&str>, body: &str, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(b"Content-Type: application/json\r\n");
        if let Some(key) = key {
            out.extend_from_slice(b"Idempotency-Key: ");
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        let mut length = String::with_capacity(32);
        let _ = write!(length, "Content-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(length.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_body_tells_its_length() {
        let mut out = Vec::new();
        Request::new("POST", "/x", Some("t")).json(Some("k"), "{\"a\":1}", &mut out);
        let text = String::from_utf8(out).expect("it is text");
        assert!(text.starts_with("POST /x HTTP/1.1\r\nHost: localhost\r\n"));
        assert!(text.contains("Authorization: Bearer t\r\n") && text.contains("Idempotency-Key: k\r\n"));
        assert!(text.ends_with("Content-Length: 7\r\n\r\n{\"a\":1}"));
    }
}
