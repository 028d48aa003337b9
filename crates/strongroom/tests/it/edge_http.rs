//! What a browser, a rebound domain and another site's page meet.

use reqwest::Method;

use crate::harness::{Answer, Server, stories};

const APP: &str = "https://app.example";

stories! {
    with &[("STRONGROOM_SERVER__CORS_ORIGINS", APP)];
    foreign_names_are_not_answered_to_and_foreign_pages_read_nothing,
}

async fn with_header(server: &Server, path: &str, name: &str, value: &str) -> Answer {
    let client = server.client();
    client
        .send(client.request(Method::GET, path).header(name, value))
        .await
}

async fn foreign_names_are_not_answered_to_and_foreign_pages_read_nothing(server: Server) {
    let answer = server.client().get("/.well-known/jwks.json").await.expect(200);
    for (name, value) in [
        ("strict-transport-security", "max-age=63072000; includeSubDomains"),
        ("x-frame-options", "DENY"),
        ("x-xss-protection", "0"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.header("permissions-policy").unwrap().contains("camera=()"));
    for name in ["server", "x-powered-by", "access-control-allow-origin"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let keys = "/.well-known/jwks.json";
    with_header(&server, keys, "Host", "evil.example")
        .await
        .refused(421, "misdirected");
    with_header(&server, keys, "X-Forwarded-Host", "evil.example")
        .await
        .expect(200);
    let listed = with_header(&server, keys, "Origin", APP).await.expect(200);
    assert_eq!(listed.header("access-control-allow-origin"), Some(APP));
    assert_eq!(listed.header("access-control-allow-credentials"), None);
    for origin in ["https://evil.example", "null", "https://app.example.evil.example"] {
        let answer = with_header(&server, keys, "Origin", origin).await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
}
