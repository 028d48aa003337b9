//! What each role sees of the same thing, and what it may set.

use serde_json::{Value, json};

use crate::{
    harness::{Answer, BUSY, Person, Server, people::new_key, stories},
    policies::Desk,
};

/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_APPROVALS__BOOTSTRAP", "true"),
];

stories!(
    with SETTINGS;
    everybody_sees_of_a_thing_what_the_role_needs,
    a_field_beyond_the_role_is_refused_whatever_a_policy_permits,
);

async fn read(reader: &Person, path: &str) -> Value {
    reader.client.get(path).await.expect(200).body
}

async fn everybody_sees_of_a_thing_what_the_role_needs(server: Server) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    let teller = server.operator("teller").await;
    teller.deposit(&from, 10_000).await.expect(201);
    let body = json!({"from_account_id": from["id"], "to_account_id": to["id"],
        "amount": {"amount": 100, "currency": "EUR"}, "description": "for the surgery"});
    let sent = alice
        .client
        .post_once("/api/v1/transfers", &new_key(), body)
        .await;
    let transfer = format!("/api/v1/transfers/{}", sent.expect(201).text("id"));
    let account = format!("/api/v1/accounts/{}", from["id"].as_str().unwrap());
    let history = format!("{account}/transactions");
    let users = format!("/api/v1/admin/users?email={}", alice.email);
    let support = server.operator("support").await;
    let (auditor, admin) = (server.operator("auditor").await, server.operator("admin").await);

    let own = read(&alice, &account).await;
    assert_eq!(own["name"], "Household");
    assert!(own.get("customer_id").is_none(), "{own}");
    assert_eq!(read(&alice, "/api/v1/me").await["email"], alice.email.as_str());

    for (reader, person, label, memo) in [
        (&support, true, true, true),
        (&teller, true, true, false),
        (&admin, true, false, false),
        (&auditor, false, false, false),
    ] {
        let who = &reader.email;
        let found = read(reader, &users).await;
        let found = &found["data"][0];
        assert_eq!(found["id"], read(&alice, "/api/v1/me").await["id"], "{who}");
        for field in ["email", "full_name"] {
            assert_eq!(found.get(field).is_some(), person, "{who}: {found}");
        }
        let seen = read(reader, &account).await;
        assert_eq!(seen.get("name").is_some(), label, "{who}: {seen}");
        assert!(seen["customer_id"].is_string(), "{who}: {seen}");
        let seen = read(reader, &transfer).await;
        assert_eq!(seen.get("description").is_some(), memo, "{who}: {seen}");
        let lines = read(reader, &history).await;
        assert_eq!(
            lines["data"][0].get("description").is_some(),
            memo,
            "{who}: {lines}"
        );
        // Of oneself everybody sees everything.
        let me = read(reader, "/api/v1/me").await;
        assert_eq!(me["email"], reader.email.as_str());
    }
}

async fn open_for(operator: &Person, customer: &str, overdraft: bool) -> Answer {
    let mut body = json!({"customer_id": customer, "kind": "checking", "currency": "EUR", "name": "Main"});
    if overdraft {
        body["overdraft"] = json!({"amount": 50_000, "currency": "EUR"});
    }
    operator
        .client
        .post_once("/api/v1/admin/accounts", &new_key(), body)
        .await
}

async fn a_field_beyond_the_role_is_refused_whatever_a_policy_permits(server: Server) {
    let alice = server.customer("alice").await;
    let me = alice.client.get("/api/v1/me").await.expect(200).text("id");
    let (teller, support) = (server.operator("teller").await, server.operator("support").await);
    open_for(&teller, &me, true).await.expect(201);
    open_for(&support, &me, false).await.refused(403, "forbidden");
    let permit = r#"permit (principal in Role::"support", action == Action::"account.open_for", resource)
        when { context.assurance >= 2 };"#;
    Desk::of(&server).await.put_in_force(permit).await;
    open_for(&support, &me, false).await.expect(201);
    let before = alice.client.get("/api/v1/accounts").await.expect(200).body;
    let refused = open_for(&support, &me, true)
        .await
        .refused(400, "validation_failed");
    let wrong = &refused.body["errors"][0];
    assert_eq!(
        (&wrong["pointer"], &wrong["code"]),
        (&json!("/overdraft"), &json!("not_yours"))
    );
    let after = alice.client.get("/api/v1/accounts").await.expect(200).body;
    assert_eq!(before, after);
}
