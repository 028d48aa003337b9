//! Bodies that are wrong in every way.

use crate::support::{Answer, Running};

const GOOD: &str = r#"{"to":"alice","amount":{"amount":1250,"currency":"EUR"}}"#;

#[track_caller]
fn refused_as(answer: &Answer, status: u16, code: &str, field: Option<(&str, &str)>) {
    let (found_status, found_code, found_field) = answer.refusal();
    let found_field = found_field
        .as_ref()
        .map(|(pointer, code)| (pointer.as_str(), code.as_str()));
    assert_eq!(
        (found_status, found_code.as_str(), found_field),
        (status, code, field)
    );
}

#[tokio::test]
async fn every_wrong_body_has_its_code_and_place() {
    let server = Running::start().await;
    assert_eq!(
        server.post("/payments", GOOD).await.status,
        200,
        "the unmodified body is accepted"
    );
    let deep = format!(r#"{{"memo":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", "", "body_empty"),
        (b"  ", "", "body_empty"),
        (b"{", "", "json_syntax"),
        (b"<xml/>", "", "json_syntax"),
        (b"null", "", "wrong_type"),
        (b"[]", "", "wrong_type"),
        (
            br#"["alice",{"amount":1,"currency":"EUR"},null]"#,
            "",
            "wrong_type",
        ),
        (br#"{"to":"alice"}"#, "/amount", "required"),
        (
            br#"{"to":"alice","amount":{"amount":1}}"#,
            "/amount/currency",
            "required",
        ),
        (
            br#"{"to":"alice","amount":{"amount":1,"currency":"EUR"},"admin":true}"#,
            "/admin",
            "unknown_field",
        ),
        (
            br#"{"to":"alice","amount":{"amount":1,"currency":"EUR","x":1}}"#,
            "/amount/x",
            "unknown_field",
        ),
        (
            br#"{"to":"alice","to":"bob","amount":{"amount":1,"currency":"EUR"}}"#,
            "/to",
            "duplicate_field",
        ),
        (
            br#"{"to":"alice","amount":{"amount":"1","currency":"EUR"}}"#,
            "/amount/amount",
            "wrong_type",
        ),
        (
            br#"{"to":"alice","amount":{"amount":1.0,"currency":"EUR"}}"#,
            "/amount/amount",
            "wrong_type",
        ),
        (
            br#"{"to":"alice","amount":{"amount":9223372036854775808,"currency":"EUR"}}"#,
            "/amount/amount",
            "invalid_value",
        ),
        (b"{\"to\":\"\xc3\x28\"}", "", "invalid_utf8"),
        (deep.as_bytes(), "", "json_depth"),
    ];
    for (body, pointer, code) in cases {
        let answer = server.post("/payments", body).await;
        refused_as(&answer, 400, "validation_failed", Some((*pointer, *code)));
    }
}

#[tokio::test]
async fn the_rejected_value_is_in_no_answer() {
    let server = Running::start().await;
    for body in [
        r#"{"to":"canary"}"#,
        r#"{"to":"x","amount":"canary"}"#,
        r#"{"to":{"canary":"canary"}}"#,
        r#"{"canary of mine":"canary"}"#,
        "canary",
    ] {
        let answer = server.post("/payments", body).await;
        assert_eq!(answer.status, 400);
        assert!(
            !answer.says("canary") && !answer.head.contains("canary"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn only_json_that_says_so_is_read() {
    let server = Running::start().await;
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data; boundary=x\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json\r\nContent-Type: application/json\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        let answer = server.post_as("/payments", headers, GOOD).await;
        refused_as(&answer, 415, "unsupported_media_type", None);
    }
    for headers in [
        "Content-Type: application/json; charset=UTF-8\r\n",
        "content-type: APPLICATION/JSON\r\nContent-Encoding: identity\r\n",
    ] {
        assert_eq!(
            server.post_as("/payments", headers, GOOD).await.status,
            200,
            "{headers}"
        );
    }
}

#[tokio::test]
async fn a_body_is_refused_at_the_byte_where_its_route_ends() {
    let server = Running::start().await;
    let list = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4));
    assert_eq!(server.post("/small", list(64 * 1024)).await.status, 200);
    refused_as(
        &server.post("/small", list(64 * 1024 + 1)).await,
        413,
        "body_too_large",
        None,
    );
    let one = format!("{GOOD},");
    let batch = |count: usize| format!("[{}]", one.repeat(count).trim_end_matches(','));
    assert_eq!(
        server.post("/batches", batch(9000)).await.status,
        200,
        "512 KiB where the route says so"
    );
    refused_as(
        &server.post("/batches", batch(10_000)).await,
        413,
        "body_too_large",
        None,
    );
}

#[tokio::test]
async fn a_large_body_is_refused_by_its_length_before_it_is_sent() {
    let server = Running::start().await;
    let head = "POST /small HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n";
    refused_as(&server.raw(head).await, 413, "body_too_large", None);
}

#[tokio::test]
async fn a_large_body_without_a_length_is_refused_while_it_comes() {
    let server = Running::start().await;
    let mut bytes = b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..100 {
        bytes.extend_from_slice(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes());
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    refused_as(&server.raw(bytes).await, 413, "body_too_large", None);
}

#[tokio::test]
async fn a_body_in_many_pieces_is_put_together() {
    let server = Running::start().await;
    let mut bytes = b"POST /payments HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in GOOD.as_bytes().chunks(3) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let answer = server.raw(bytes).await;
    assert_eq!(answer.status, 200);
    assert!(answer.says("1250"));
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_reads_still_sees_the_refusal() {
    let server = Running::start().await;
    let body = format!("[\"{}\"]", "x".repeat(3 * 1024 * 1024));
    refused_as(&server.post("/small", body).await, 413, "body_too_large", None);
}
