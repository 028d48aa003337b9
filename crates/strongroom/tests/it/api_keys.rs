//! Keys that customers make for their own programs: made with a fresh factor, shown once, gone at once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Person, Server, stories};

const KEYS: &str = "/api/v1/api-keys";

stories!(
    a_customer_makes_a_key_that_is_shown_once_and_gone_at_once,
    making_a_key_needs_a_fresh_factor_and_a_customer,
    a_key_neither_makes_nor_replaces_nor_lists_keys,
    somebody_elses_key_looks_like_no_key,
    a_replaced_key_ends_with_its_overlap,
    what_is_wrong_with_a_wish_for_a_key_is_named,
);

/// A session of the person's that may change settings.
async fn proved(person: &Person) -> Client {
    let body = json!({"method": "password", "code": person.password});
    let set = person.client.post("/api/v1/auth/step-up", body).await.expect(200);
    person.client.with_token(&set.text("access_token"))
}

fn reading() -> Value {
    json!({"name": "Bookkeeping", "scopes": ["accounts:read"]})
}

async fn with_key(server: &Server, made: &Answer, method: Method, path: &str) -> Answer {
    let client = server.client();
    let request = client.request(method, path).header("X-API-Key", made.text("key"));
    client.send(request).await
}

async fn delete(client: &Client, id: &str) -> Answer {
    client
        .send(client.request(Method::DELETE, &format!("{KEYS}/{id}")))
        .await
}

async fn a_customer_makes_a_key_that_is_shown_once_and_gone_at_once(server: Server) {
    let alice = server.customer("alice").await;
    let account = alice.account("Household").await;
    let client = proved(&alice).await;
    let made = client.post(KEYS, reading()).await.expect(201);
    assert!(made.text("key").starts_with("sr_test_"), "{made:?}");
    let listed = client.get(KEYS).await.expect(200);
    assert_eq!(listed.body["data"][0]["id"], made.body["id"]);
    assert_eq!(listed.body["data"][0]["last_used_at"], Value::Null);
    let text = listed.body.to_string();
    for secret in [made.text("key"), made.text("signing_secret")] {
        assert!(!text.contains(&secret), "{text}");
    }
    let accounts = with_key(&server, &made, Method::GET, "/api/v1/accounts")
        .await
        .expect(200);
    assert_eq!(accounts.body["data"][0]["id"], account["id"]);
    let listed = client.get(KEYS).await.expect(200);
    assert!(listed.body["data"][0]["last_used_at"].is_string(), "{listed:?}");
    with_key(&server, &made, Method::GET, "/api/v1/transfers?idempotency_key=x")
        .await
        .refused(403, "forbidden");
    server
        .mail_with(&alice.email, "a program can act in your name")
        .await;
    delete(&client, &made.text("id")).await.expect(204);
    with_key(&server, &made, Method::GET, "/api/v1/accounts")
        .await
        .refused(401, "token_invalid");
    assert_eq!(client.get(KEYS).await.expect(200).body["data"], json!([]));
    delete(&client, &made.text("id")).await.refused(404, "not_found");
}

async fn making_a_key_needs_a_fresh_factor_and_a_customer(server: Server) {
    let alice = server.customer("alice").await;
    let refused = alice.client.post(KEYS, reading()).await;
    assert_eq!(
        refused.refused(401, "step_up_required").body["challenge"],
        Value::Null
    );
    assert_eq!(alice.client.get(KEYS).await.expect(200).body["data"], json!([]));
    for role in ["teller", "admin"] {
        let operator = server.operator(role).await;
        operator
            .client
            .post(KEYS, reading())
            .await
            .refused(403, "forbidden");
        operator.client.get(KEYS).await.refused(403, "forbidden");
    }
    server
        .client()
        .post(KEYS, reading())
        .await
        .refused(401, "unauthenticated");
}

async fn a_key_neither_makes_nor_replaces_nor_lists_keys(server: Server) {
    let alice = server.customer("alice").await;
    let client = proved(&alice).await;
    let scopes = json!([
        "accounts:read",
        "accounts:write",
        "transfers:read",
        "transfers:write",
        "deposits:write",
        "payments:write",
        "cards:authorize",
        "webhooks:manage",
        "statements:read"
    ]);
    let made = client
        .post(KEYS, json!({"name": "Everything", "scopes": scopes}))
        .await
        .expect(201);
    with_key(&server, &made, Method::GET, "/api/v1/accounts")
        .await
        .expect(200);
    let (one, other) = (
        format!("{KEYS}/{}", made.text("id")),
        format!("{KEYS}/{}/rotate", made.text("id")),
    );
    for (method, path) in [
        (Method::POST, KEYS),
        (Method::GET, KEYS),
        (Method::DELETE, one.as_str()),
        (Method::POST, other.as_str()),
    ] {
        let bare = server.client();
        let request = bare
            .request(method.clone(), path)
            .header("X-API-Key", made.text("key"));
        let request = if path == KEYS && method == Method::POST {
            request.json(&reading())
        } else {
            request
        };
        bare.send(request).await.refused(403, "forbidden");
    }
    with_key(&server, &made, Method::GET, "/api/v1/accounts")
        .await
        .expect(200);
}

async fn somebody_elses_key_looks_like_no_key(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (hers, his) = (proved(&alice).await, proved(&bob).await);
    let made = hers.post(KEYS, reading()).await.expect(201);
    for id in [
        made.text("id"),
        "key_01jd3vw4ezfkx8y0q4sfcmj2t9".to_owned(),
        "nonsense".to_owned(),
    ] {
        delete(&his, &id).await.refused(404, "not_found");
        his.send(his.request(Method::POST, &format!("{KEYS}/{id}/rotate")))
            .await
            .refused(404, "not_found");
    }
    assert_eq!(his.get(KEYS).await.expect(200).body["data"], json!([]));
    with_key(&server, &made, Method::GET, "/api/v1/accounts")
        .await
        .expect(200);
    delete(&hers, &made.text("id")).await.expect(204);
}

async fn a_replaced_key_ends_with_its_overlap(server: Server) {
    let alice = server.customer("alice").await;
    let client = proved(&alice).await;
    let old = client.post(KEYS, reading()).await.expect(201);
    let rotate = format!("{KEYS}/{}/rotate", old.text("id"));
    alice.client.get("/api/v1/me").await.refused(401, "token_invalid");
    let new = client.post(&rotate, json!({})).await.expect(201);
    assert_ne!(new.body["id"], old.body["id"]);
    for key in [&old, &new] {
        with_key(&server, key, Method::GET, "/api/v1/accounts")
            .await
            .expect(200);
    }
    client
        .post(&rotate, json!({}))
        .await
        .refused(409, "api_key_replaced");
    let newer = client
        .post(
            &format!("{KEYS}/{}/rotate", new.text("id")),
            json!({"overlap_secs": 0}),
        )
        .await
        .expect(201);
    with_key(&server, &new, Method::GET, "/api/v1/accounts")
        .await
        .refused(401, "token_invalid");
    with_key(&server, &newer, Method::GET, "/api/v1/accounts")
        .await
        .expect(200);
    let listed = client.get(KEYS).await.expect(200);
    let replaced: Vec<_> = listed.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["replaced_by"])
        .collect();
    assert_eq!(replaced, [&Value::Null, &newer.body["id"], &new.body["id"]]);
    let wrong = client
        .post(
            &format!("{KEYS}/{}/rotate", newer.text("id")),
            json!({"overlap_secs": 604_801}),
        )
        .await
        .refused(400, "validation_failed");
    assert_eq!(wrong.body["errors"][0]["pointer"], "/overlap_secs");
}

async fn what_is_wrong_with_a_wish_for_a_key_is_named(server: Server) {
    let alice = server.customer("alice").await;
    let client = proved(&alice).await;
    let with = |name: &str, value: Value| {
        let mut body = reading();
        body[name] = value;
        body
    };
    let money = |minor: i64| json!({"amount": minor, "currency": "EUR"});
    for (body, pointer) in [
        (with("name", json!("")), "/name"),
        (with("scopes", json!([])), "/scopes"),
        (with("scopes", json!(["everything"])), "/scopes/0"),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), "/expires_at"),
        (with("expires_at", json!("tomorrow")), "/expires_at"),
        (
            with("allowed_ips", json!(["10.0.0.0/8", "10.0.0.0/33"])),
            "/allowed_ips/1",
        ),
        (with("public_key", json!("AAAA")), "/public_key"),
        (
            with("certificate_thumbprint", json!("AAAA")),
            "/certificate_thumbprint",
        ),
        (with("signature_schemes", json!([])), "/signature_schemes"),
        (
            with("signature_schemes", json!(["plain", "md5"])),
            "/signature_schemes/1",
        ),
        (
            with("caveats", json!({"max_amount": money(0)})),
            "/caveats/max_amount/amount",
        ),
        (
            with("caveats", json!({"allowed_beneficiaries": []})),
            "/caveats/allowed_beneficiaries",
        ),
        (
            with("caveats", json!({"allowed_beneficiaries": ["x"]})),
            "/caveats/allowed_beneficiaries/0",
        ),
        (
            with(
                "caveats",
                json!({"budget": {"amount": money(1), "window_secs": 59}}),
            ),
            "/caveats/budget/window_secs",
        ),
        (
            with("caveats", json!({"everything": true})),
            "/caveats/everything",
        ),
    ] {
        let refused = client
            .post(KEYS, body.clone())
            .await
            .refused(400, "validation_failed");
        assert_eq!(
            refused.body["errors"][0]["pointer"], pointer,
            "{body} {refused:?}"
        );
    }
    assert_eq!(client.get(KEYS).await.expect(200).body["data"], json!([]));
    let caveats = json!({"max_amount": money(500), "allowed_beneficiaries": ["acct_01jd3vw4ezfkx8y0q4sfcmj2t9"],
        "budget": {"amount": money(900), "window_secs": 60}});
    client
        .post(KEYS, with("caveats", caveats.clone()))
        .await
        .expect(201);
    let listed = client.get(KEYS).await.expect(200);
    assert_eq!(listed.body["data"][0]["caveats"], caveats);
}
