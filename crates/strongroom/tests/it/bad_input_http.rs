//! Everything around the body: keys, addresses, queries, methods.

use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

use crate::harness::{
    Answer, BUSY, Person, Server,
    people::{new_key, transfer_body},
    problem::{CANARY, Reference},
    stories,
};

stories! {
    with BUSY;
    a_key_that_is_missing_or_wrong_moves_no_money,
    wrong_queries_are_named_and_wrong_addresses_name_nothing,
    a_method_that_is_not_there_is_405_and_says_which_are,
}

async fn post(who: &Person, path: &str, keys: &[HeaderValue], body: &Value) -> Answer {
    let mut request = who.client.request(Method::POST, path).json(body);
    for key in keys {
        request = request.header("Idempotency-Key", key);
    }
    who.client.send(request).await
}

async fn a_key_that_is_missing_or_wrong_moves_no_money(server: Server) {
    let reference = Reference::read();
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    let cash = json!({"account_id": from["id"], "amount": {"amount": 100, "currency": "EUR"}});
    let transfer = transfer_body(&from, &to, 100);
    let account = json!({"kind": "checking", "currency": "EUR", "name": "One more"});
    let key = |text: &str| HeaderValue::from_str(text).unwrap();
    let raw = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    let money = [
        (&alice, "/api/v1/transfers", &transfer),
        (&teller, "/api/v1/deposits", &cash),
        (&teller, "/api/v1/withdrawals", &cash),
    ];
    for (who, path, body) in money {
        // With keys at both ends of what is allowed it is accepted.
        for good in [
            new_key(),
            "k".repeat(200) + &new_key(),
            format!("a b~!\"{}", new_key()),
        ] {
            post(who, path, &[key(&good)], body).await.expect(201);
        }
        post(who, path, &[key(&format!("{:x<255}", new_key()))], body)
            .await
            .expect(201);
    }
    let before = (alice.posted(&from).await, alice.posted(&to).await);
    let wrong = [
        vec![],
        vec![key("")],
        vec![key(&"x".repeat(256))],
        vec![key(&format!("{CANARY}{}", "x".repeat(4_000)))],
        vec![key("one"), key("two")],
        vec![key("same"), key("same")],
        vec![key("tab\there")],
        vec![raw("schlüssel".as_bytes())],
        vec![raw(b"\xff\xfe")],
    ];
    for (who, path, body) in money.into_iter().chain([(&alice, "/api/v1/accounts", &account)]) {
        for keys in &wrong {
            // An account may be opened without a key, but not with a wrong one.
            if keys.is_empty() && path == "/api/v1/accounts" {
                continue;
            }
            let answer = post(who, path, keys, body).await;
            reference.refused(
                &answer,
                400,
                "idempotency_key_missing",
                &format!("{path} {keys:?}"),
            );
        }
    }
    let answer = post(&alice, "/api/v1/transfers?dry_run=true", &[key("dry")], &transfer).await;
    reference.field(
        &answer,
        "Idempotency-Key:",
        &["not_allowed"],
        "a dry run with a key",
    );
    assert_eq!((alice.posted(&from).await, alice.posted(&to).await), before);
    let accounts = alice.client.get("/api/v1/accounts").await.expect(200);
    assert_eq!(accounts.body["data"].as_array().unwrap().len(), 2);
}

async fn wrong_queries_are_named_and_wrong_addresses_name_nothing(server: Server) {
    let reference = Reference::read();
    let (alice, admin) = (server.customer("alice").await, server.operator("admin").await);
    let account = alice.account("Mine").await;
    let id = account["id"].as_str().unwrap();
    let lists = [
        (&alice, "accounts".to_owned()),
        (&alice, format!("accounts/{id}/transactions")),
        (&admin, "admin/accounts".to_owned()),
    ];
    for (who, list) in &lists {
        who.client
            .get(&format!("/api/v1/{list}?limit=100"))
            .await
            .expect(200);
        for (query, pointer, codes) in [
            ("limit=0", "?limit", ["out_of_range"].as_slice()),
            ("limit=101", "?limit", &["out_of_range"]),
            ("limit=-1", "?limit", &["wrong_type"]),
            ("limit=%2B1", "?limit", &["wrong_type"]),
            ("limit=1.5", "?limit", &["wrong_type"]),
            ("limit=4294967296", "?limit", &["wrong_type"]),
            ("limit=", "?limit", &["wrong_type"]),
            ("limit=1&limit=1", "?limit", &["duplicate_field"]),
            ("cursor=", "?cursor", &["invalid_value"]),
            (
                "cursor=canary-4711-must-not-be-repeated",
                "?cursor",
                &["invalid_value"],
            ),
            (
                "cursor=user_91h455vb4pex5vsknk084sn02q",
                "?cursor",
                &["invalid_value"],
            ),
            ("cursor=seq_18446744073709551616", "?cursor", &["invalid_value"]),
            ("cursor=%ff", "?cursor", &["invalid_utf8"]),
            ("cursor=%4", "?cursor", &["invalid_utf8"]),
            ("zz=canary-4711-must-not-be-repeated", "?zz", &["unknown_field"]),
            ("canary-4711-must-not-be-repeated%20=1", "?", &["unknown_field"]),
        ] {
            let answer = who.client.get(&format!("/api/v1/{list}?{query}")).await;
            reference.field(&answer, pointer, codes, &format!("{list}?{query}"));
        }
        let long = format!("/api/v1/{list}?cursor={}", "x".repeat(5_000));
        reference.refused(
            &who.client.get(&long).await,
            400,
            "validation_failed",
            "a long query",
        );
    }
    for (path, pointer, code) in [
        (
            format!("accounts/{id}/balance?at={CANARY}"),
            "?at",
            "invalid_value",
        ),
        (
            format!("accounts/{id}/balance?at=2999-01-01T00:00:00Z"),
            "?at",
            "in_the_future",
        ),
        (
            format!("accounts/{id}/transactions?from={CANARY}"),
            "?from",
            "invalid_value",
        ),
        (
            format!("accounts/{id}/transactions?min_amount=1e400"),
            "?min_amount",
            "wrong_type",
        ),
        (
            format!("accounts/{id}/transactions?max_amount=9223372036854775808"),
            "?max_amount",
            "wrong_type",
        ),
        (
            format!("accounts/{id}/transactions?min_amount=-1"),
            "?min_amount",
            "out_of_range",
        ),
        (
            format!("accounts/{id}/transactions?kind={CANARY}"),
            "?kind",
            "invalid_value",
        ),
        (
            format!("accounts/{id}/transactions?q=a%E2%80%AEb"),
            "?q",
            "deceptive_text",
        ),
        ("transfers".to_owned(), "?idempotency_key", "required"),
    ] {
        let answer = alice.client.get(&format!("/api/v1/{path}")).await;
        reference.field(&answer, pointer, &[code], &path);
    }
    let answer = admin
        .client
        .get(&format!("/api/v1/admin/accounts?customer_id={CANARY}"))
        .await;
    reference.field(&answer, "?customer_id", &["invalid_value"], "customer_id");
    let body = transfer_body(&account, &account, 1);
    let answer = post(&alice, "/api/v1/transfers?dry_run=perhaps", &[], &body).await;
    reference.field(&answer, "?dry_run", &["wrong_type"], "dry_run");

    for wrong in [
        CANARY,
        "acct_",
        "user_01h455vb4pex5vsknk084sn02q",
        "acct_01h455vb4pex5vsknk084sn02",
        "acct_91h455vb4pex5vsknk084sn02q",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        "%ff",
    ] {
        for path in ["", "/balance", "/transactions"] {
            let answer = alice.client.get(&format!("/api/v1/accounts/{wrong}{path}")).await;
            assert_eq!(answer.status / 100, 4, "{wrong}{path}: {answer:?}");
            reference.check(&answer, wrong);
        }
        for verb in ["freeze", "unfreeze", "close"] {
            let path = format!("/api/v1/accounts/{wrong}/{verb}");
            let answer = alice.client.send(alice.client.request(Method::POST, &path)).await;
            assert_eq!(answer.status / 100, 4, "{path}: {answer:?}");
            reference.check(&answer, &path);
        }
        let answer = alice.client.get(&format!("/api/v1/transfers/{wrong}")).await;
        assert_eq!(answer.status / 100, 4, "{wrong}: {answer:?}");
        reference.check(&answer, wrong);
    }
    for path in [
        "/api/v1/nothing",
        "/api/v1/accounts/",
        "/api/v2/accounts",
        "/api/v1//accounts",
        "/API/v1/accounts",
        "/canary-4711-must-not-be-repeated",
        "/.env",
    ] {
        let answer = alice.client.get(path).await;
        reference.refused(&answer, 404, "not_found", path);
    }
    assert!(!server.logged().contains(CANARY), "a refused value is in the log");
}

async fn a_method_that_is_not_there_is_405_and_says_which_are(server: Server) {
    let reference = Reference::read();
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let account = alice.account("Mine").await;
    teller.deposit(&account, 500).await.expect(201);
    let id = account["id"].as_str().unwrap();
    let resources = [
        ("accounts".to_owned(), vec!["GET", "POST"]),
        (format!("accounts/{id}"), vec!["GET", "PATCH"]),
        (format!("accounts/{id}/balance"), vec!["GET"]),
        (format!("accounts/{id}/transactions"), vec!["GET"]),
        (format!("accounts/{id}/freeze"), vec!["POST"]),
        (format!("accounts/{id}/unfreeze"), vec!["POST"]),
        (format!("accounts/{id}/close"), vec!["POST"]),
        ("transfers".to_owned(), vec!["GET", "POST"]),
        ("deposits".to_owned(), vec!["POST"]),
        ("withdrawals".to_owned(), vec!["POST"]),
        ("admin/accounts".to_owned(), vec!["GET", "POST"]),
    ];
    for (path, known) in resources {
        let path = format!("/api/v1/{path}");
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CANARY",
        ] {
            if known.contains(&method) {
                continue;
            }
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = alice
                .client
                .send(alice.client.request(method.clone(), &path))
                .await;
            let what = format!("{method} {path}");
            reference.refused(&answer, 405, "method_not_allowed", &what);
            let allow = answer.header("allow").unwrap_or_default().to_owned();
            for known in &known {
                assert!(
                    allow.split(',').any(|one| one.trim() == *known),
                    "{what}: {allow}"
                );
            }
            assert!(!allow.contains("DELETE"), "{what}: {allow}");
        }
        let head = alice.client.send(alice.client.request(Method::HEAD, &path)).await;
        assert_eq!(head.body, Value::Null, "HEAD {path}");
        if known.contains(&"GET") {
            let get = alice.client.get(&path).await;
            assert_eq!(head.status, get.status, "HEAD {path}");
        } else {
            assert_eq!(head.status, 405, "HEAD {path}");
            assert!(
                head.header("allow").is_some_and(|allow| allow.contains("POST")),
                "{head:?}"
            );
        }
    }
    assert_eq!(alice.posted(&account).await, 500);
    let seen = alice
        .client
        .get(&format!("/api/v1/accounts/{id}"))
        .await
        .expect(200);
    assert_eq!(seen.body["state"], "active");
}
