//! What a browser, a rebound domain and another site's page meet.

use reqwest::Method;
use strongroom_domain::time::Timestamp;

use crate::harness::{Answer, Server, signed::now, stories};

const APP: &str = "https://app.example";

stories! {
    with &[("STRONGROOM_SERVER__CORS_ORIGINS", APP)];
    foreign_names_are_not_answered_to_and_foreign_pages_read_nothing,
}

mod disclosure {
    use super::*;

    const NAMED: &[(&str, &str)] = &[
        ("STRONGROOM_SECURITY_TXT__CONTACT", "reports@bank.example"),
        (
            "STRONGROOM_SECURITY_TXT__CONTACT_URL",
            "https://bank.example/report",
        ),
        ("STRONGROOM_LIMITS__DOCUMENT", "3/1m"),
        ("STRONGROOM_LIMITS__ANONYMOUS", "1/1h"),
    ];

    stories! {
        with NAMED;
        whoever_finds_a_weakness_is_told_whom_to_tell,
    }

    async fn whoever_finds_a_weakness_is_told_whom_to_tell(server: Server) {
        let client = server.client();
        let path = "/.well-known/security.txt";
        let answer = client.get(path).await.expect(200);
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let text = String::from_utf8(answer.bytes).unwrap();
        let fields: Vec<(&str, &str)> = text
            .split_terminator("\r\n")
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let values = |name: &str| -> Vec<String> {
            let named = fields.iter().filter(|(known, _)| *known == name);
            named.map(|(_, value)| (*value).to_owned()).collect()
        };
        let contacts = ["https://bank.example/report", "mailto:reports@bank.example"];
        assert_eq!(values("Contact"), contacts);
        let canonical = values("Canonical").concat();
        assert!(
            canonical.starts_with("https://localhost") && canonical.ends_with(path),
            "{canonical}"
        );
        let expires = values("Expires");
        assert_eq!(expires.len(), 1, "{text}");
        let expires = &expires[0];
        let days = Timestamp::parse(expires).unwrap().seconds() / 86_400 - now() / 86_400;
        assert!((179..=180).contains(&days), "{expires}");
        // Counted with documents, so that it is there for whoever used up what strangers may ask.
        client.get("/nothing").await.refused(404, "not_found");
        client.get("/nothing").await.refused(429, "rate_limited");
        client.get(path).await.expect(200);
        client.get(path).await.expect(200);
        client.get(path).await.refused(429, "rate_limited");
        let sent = client.request(Method::POST, path);
        assert_ne!(client.send(sent).await.status, 200);
    }
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
