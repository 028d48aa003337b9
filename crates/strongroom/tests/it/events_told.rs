//! What people change, and what goes wrong, is a security event once it is committed; what was refused is none.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    BUSY, Client, Person, Server, awaited,
    people::{new_key, transfer_body},
    stories,
};

const FEED: &str = "/api/v1/admin/security/events";

stories! {
    with BUSY;
    what_people_change_is_an_event_with_who_where_and_to_what,
    refusals_name_the_policies_and_one_token_is_one_digest,
}

async fn events(reader: &Person, filter: &str) -> Vec<Value> {
    let page = reader.client.get(&format!("{FEED}?limit=100&{filter}")).await;
    page.expect(200).body["data"].as_array().unwrap().clone()
}

/// The one event of a kind by somebody.
async fn one(reader: &Person, kind: &str, by: &str) -> Value {
    let filter = format!("kind={kind}&principal={by}");
    let found = awaited(kind, async || {
        let found = events(reader, &filter).await;
        (!found.is_empty()).then_some(found)
    })
    .await;
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn post(client: &Client, path: &str, body: Value) -> reqwest::RequestBuilder {
    client.request(Method::POST, path).json(&body)
}

async fn what_people_change_is_an_event_with_who_where_and_to_what(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (auditor, teller) = (server.operator("auditor").await, server.operator("teller").await);
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    let (me, account) = (alice.id().await, from["id"].as_str().unwrap().to_owned());
    teller.deposit(&from, 100_000).await.expect(201);

    // An account, by its owner; lifting what nobody set is refused, and no event.
    let path = |verb: &str| format!("/api/v1/accounts/{account}/{verb}");
    let refused = alice
        .client
        .send(alice.client.request(Method::POST, &path("unfreeze")))
        .await;
    assert!(refused.status >= 400, "{refused:?}");
    alice
        .client
        .post(&path("freeze"), json!({"scope": "all"}))
        .await
        .expect(200);
    let frozen = one(&auditor, "account_frozen", &me).await;
    for (field, value) in [
        ("class", "money"),
        ("outcome", "done"),
        ("reason", "owner"),
        ("principal", &me),
        ("object", &account),
        ("address", "127.0.0.1"),
        ("session_id", alice.tokens["session_id"].as_str().unwrap()),
    ] {
        assert_eq!(frozen[field], value, "{frozen}");
    }
    let lift = alice.client.request(Method::POST, &path("unfreeze"));
    alice.client.send(lift).await.expect(200);
    let lifted = one(&auditor, "account_unfrozen", &me).await;
    assert_eq!(lifted["object"], account.as_str());

    // Limits: one's own, and a movement beyond them.
    let caps = json!({"per_transfer": {"amount": 5_000, "currency": "EUR"}});
    let lower = alice.client.request(Method::PUT, "/api/v1/limits").json(&caps);
    alice.client.send(lower).await.expect(200);
    one(&auditor, "limit_changed", &me).await;
    let key = new_key();
    let pay = || {
        let request = post(
            &alice.client,
            "/api/v1/transfers",
            transfer_body(&from, &to, 5_001),
        );
        alice.client.send(request.header("Idempotency-Key", &key))
    };
    pay().await.refused(422, "limit_exceeded");
    // The same answer again is no other refusal.
    pay().await.refused(422, "limit_exceeded");
    let exceeded = one(&auditor, "limit_exceeded", &me).await;
    assert_eq!(exceeded["outcome"], "refused", "{exceeded}");
    assert_eq!(exceeded["reason"], "limit_exceeded", "{exceeded}");
    assert_eq!(exceeded["principal"], me.as_str(), "{exceeded}");

    // A password, and a session that ends.
    let bobs = bob.id().await;
    let secret = "harbour-lantern-quilt-4711";
    let change = |current: &str| {
        let body = json!({"current_password": current, "new_password": secret});
        let client = bob.client.clone();
        async move { client.post("/api/v1/auth/password/change", body).await }
    };
    change("not-the-password-77").await.expect(401);
    let done = change(&bob.password).await;
    assert!((200..300).contains(&done.status), "{done:?}");
    let changed = one(&auditor, "password_changed", &bobs).await;
    assert_eq!(changed["object"], bobs.as_str(), "{changed}");
    let stranger = server.client();
    let logout = json!({"refresh_token": alice.tokens["refresh_token"]});
    stranger.post("/api/v1/auth/logout", logout).await.expect(204);
    let ended = one(&auditor, "session_ended", &me).await;
    assert_eq!(ended["object"], alice.tokens["session_id"], "{ended}");

    // No secret in any of it.
    let told = json!(events(&auditor, "").await).to_string() + &server.logged();
    for canary in [
        secret,
        &bob.password,
        &alice.password,
        &alice.email,
        alice.client.token(),
    ] {
        assert!(!told.contains(canary), "{canary}");
    }
}

async fn refusals_name_the_policies_and_one_token_is_one_digest(server: Server) {
    let (alice, auditor) = (server.customer("alice").await, server.operator("auditor").await);
    let me = alice.id().await;
    alice
        .client
        .get("/api/v1/admin/alerts")
        .await
        .refused(403, "forbidden");
    let denied = one(&auditor, "access_denied", &me).await;
    assert!(
        denied["policy"].as_str().unwrap().starts_with("set 1"),
        "{denied}"
    );
    let stranger = server.client();
    let logout = json!({"refresh_token": alice.tokens["refresh_token"]});
    stranger.post("/api/v1/auth/logout", logout).await.expect(204);
    for _ in 0..2 {
        alice.client.get("/api/v1/me").await.expect(401);
    }
    stranger.with_token("x.y.z").get("/api/v1/me").await.expect(401);
    let refused = awaited("the refusals", async || {
        let found = events(&auditor, "kind=token_refused").await;
        (found.len() == 3).then_some(found)
    })
    .await;
    let digests: Vec<Option<&str>> = refused.iter().map(|event| event["token"].as_str()).collect();
    assert_eq!(digests[0].map(str::len), Some(32), "{refused:?}");
    assert_eq!(digests[0], digests[1], "one token, however often it comes");
    assert_eq!(digests[2], None, "what is no token has no id");
}
