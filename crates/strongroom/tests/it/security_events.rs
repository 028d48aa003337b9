//! What failed, as operators read it over HTTPS.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{BUSY, Server, stories};

const EVENTS: &str = "/api/v1/admin/security-events";

stories!(
    with BUSY;
    what_failed_is_counted_and_listed_for_operators,
    pages_of_events_are_walked_by_their_cursor,
);

async fn what_failed_is_counted_and_listed_for_operators(server: Server) {
    let alice = server.customer("alice").await;
    let auditor = server.operator("auditor").await;
    let nobody = server.client();
    alice.client.get("/api/v1/me").await.expect(200);
    let failures = format!("{EVENTS}?kind=login_failed");
    assert!(
        auditor.client.get(&failures).await.expect(200).body["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let wrong = json!({"email": alice.email, "password": "wrong"});
    nobody.post("/api/v1/auth/login", wrong).await.expect(401);
    let garbage = || nobody.send(nobody.request(Method::GET, "/api/v1/me").bearer_auth("garbage"));
    join_all((0..200).map(|_| garbage())).await;
    let key = nobody
        .request(Method::GET, "/api/v1/me")
        .header("X-API-Key", "sr_test_no");
    nobody.send(key).await.expect(401);
    let proof = json!({"token": "none", "password": "quilt-harbour-lantern-58"});
    nobody.post("/api/v1/auth/verify-email", proof).await;
    // Nothing was shown, so nothing failed.
    nobody.get("/api/v1/me").await.expect(401);

    let found = auditor.client.get(EVENTS).await.expect(200);
    let count = |kind: &str| -> u64 {
        let of_kind = found.body["data"].as_array().unwrap().iter();
        of_kind
            .filter(|event| event["kind"] == kind && event["address"] == "127.0.0.1")
            .map(|event| event["count"].as_u64().unwrap())
            .sum()
    };
    assert_eq!(count("login_failed"), 1, "{found:?}");
    assert_eq!(count("token_refused"), 200, "{found:?}");
    assert_eq!(count("api_key_refused"), 1, "{found:?}");
    let all = found.body["data"].as_array().unwrap().iter();
    // What the people of the story did is beside them.
    let failures_of = |event: &&Value| {
        let kind = event["kind"].as_str().unwrap();
        kind.ends_with("_failed") || kind.ends_with("_refused")
    };
    let rows = all.filter(failures_of).count();
    assert!(rows <= 6, "{rows} rows for two hundred failures");
    let filtered = |filter: &str| auditor.client.request(Method::GET, &format!("{EVENTS}?{filter}"));
    let of_alice = filtered("kind=login_failed&email=alice%40example.com&address=127.0.0.1");
    let of_alice = auditor.client.send(of_alice).await.expect(200);
    assert_eq!(of_alice.body["data"][0]["count"], 1, "{of_alice:?}");
    let elsewhere = auditor
        .client
        .send(filtered("address=192.0.2.1"))
        .await
        .expect(200);
    assert_eq!(elsewhere.body["data"], json!([]));
    for wrong in [
        "kind=none",
        "address=localhost",
        "email=x",
        "limit=0",
        "cursor=1",
        "other=1",
    ] {
        let refused = auditor.client.send(filtered(wrong)).await;
        refused.refused(400, "validation_failed");
    }
    alice.client.get(EVENTS).await.refused(403, "forbidden");
    nobody.get(EVENTS).await.refused(401, "unauthenticated");
}

async fn pages_of_events_are_walked_by_their_cursor(server: Server) {
    let auditor = server.operator("auditor").await;
    let nobody = server.client();
    for number in 0..5 {
        let wrong = json!({"email": format!("nobody-{number}@example.com"), "password": "wrong"});
        nobody.post("/api/v1/auth/login", wrong).await.expect(401);
    }
    let mut seen = Vec::new();
    let mut next = format!("{EVENTS}?kind=login_failed&limit=2");
    loop {
        let page = auditor.client.get(&next).await.expect(200);
        let events = page.body["data"].as_array().unwrap().clone();
        assert!(events.len() <= 2);
        seen.extend(
            events
                .iter()
                .map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        match page.body["next_cursor"].as_str() {
            Some(cursor) => next = format!("{EVENTS}?kind=login_failed&limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(
        seen.is_sorted_by(|one, other| one > other),
        "newest first, none twice"
    );
}
