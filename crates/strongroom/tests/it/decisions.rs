//! What was decided, kept: found, decided again with the same answer, and compared with a draft.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Person, Server, people::new_key, stories};

const DECISIONS: &str = "/api/v1/admin/decisions";
const POLICIES: &str = "/api/v1/admin/policies";
/// Longest wait until a decision is written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);
/// New administrators decide at once.
const SETTINGS: &[(&str, &str)] = &[("STRONGROOM_APPROVALS__BOOTSTRAP", "true")];

stories!(
    with SETTINGS;
    why_it_was_refused_is_told_by_the_policies_of_that_day,
    a_draft_is_compared_with_what_was_decided,
    decisions_of_a_process_that_ends_are_written,
);

/// The newest decision that this filter takes, once it is written.
async fn found(auditor: &Person, filter: &str) -> Value {
    let look = async {
        loop {
            let page = auditor
                .client
                .get(&format!("{DECISIONS}?limit=1&{filter}"))
                .await
                .expect(200);
            match &page.body["data"][0] {
                Value::Null => tokio::time::sleep(Duration::from_millis(50)).await,
                first => return first.clone(),
            }
        }
    };
    tokio::time::timeout(WRITTEN_WITHIN, look)
        .await
        .expect("a decision in time")
}

async fn id_of(person: &Person) -> String {
    person.client.get("/api/v1/me").await.expect(200).text("id")
}

async fn again(auditor: &Person, decision: &Value) -> Answer {
    let path = format!("{DECISIONS}/{}/evaluate", decision["id"].as_str().unwrap());
    let request = auditor.client.request(reqwest::Method::POST, &path);
    auditor.client.send(request).await.expect(200)
}

async fn in_force(maker: &Person, checker: &Person, text: &str) -> (String, Value) {
    let draft = json!({"name": new_key(), "text": text});
    let id = maker.client.post(POLICIES, draft).await.expect(201).text("id");
    let asked = maker
        .client
        .post(&format!("{POLICIES}/{id}/activate"), json!({}))
        .await;
    let approval = asked.expect(202).text("approval_id");
    let listed = checker
        .client
        .get("/api/v1/admin/approvals?state=open")
        .await
        .expect(200);
    let request = listed.body["data"][0]["request"].clone();
    let approve = format!("/api/v1/admin/approvals/{approval}/approve");
    checker.client.post(&approve, json!({})).await.expect(200);
    (id, request)
}

async fn freeze(teller: &Person, account: &Value) -> Answer {
    let path = format!(
        "/api/v1/admin/accounts/{}/freeze",
        account["id"].as_str().unwrap()
    );
    teller.client.post(&path, json!({"scope": "all"})).await
}

async fn why_it_was_refused_is_told_by_the_policies_of_that_day(server: Server) {
    let (maker, checker) = (server.operator("admin").await, server.operator("admin").await);
    let (auditor, teller) = (server.operator("auditor").await, server.operator("teller").await);
    let alice = server.customer("alice").await;
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 10_000).await.expect(201);
    alice.transfer(&new_key(), &from, &to, 700).await.expect(201);
    let (id, request) = in_force(
        &maker,
        &checker,
        r#"@id("much") forbid (principal, action == Action::"transfer.create", resource) when {
            context has amount && context.amount > 500 && context has address
                && context.address.isInRange(ip("127.0.0.0/8")) };"#,
    )
    .await;
    assert!(request["examined"].as_u64().unwrap() > 0, "{request}");
    let refused = alice.transfer(&new_key(), &from, &to, 700).await;
    let refused = refused.refused(403, "forbidden");
    let filter = format!(
        "principal={}&action=transfer.create&decision=deny",
        id_of(&alice).await
    );
    let denied = found(&auditor, &filter).await;
    assert_eq!(denied["request_id"], refused.header("x-request-id").unwrap());
    assert_eq!(denied["policy_version"], 2);
    let asked = maker
        .client
        .send(
            maker
                .client
                .request(reqwest::Method::POST, &format!("{POLICIES}/{id}/deactivate")),
        )
        .await
        .expect(202);
    let approve = format!("/api/v1/admin/approvals/{}/approve", asked.text("approval_id"));
    checker.client.post(&approve, json!({})).await.expect(200);
    alice.transfer(&new_key(), &from, &to, 700).await.expect(201);
    // Today it is allowed; of that day's decision the answer is the same as then, and so are its reasons.
    let told = again(&auditor, &denied).await;
    assert_eq!(
        (&told.body["decision"], &told.body["same"]),
        (&json!("deny"), &json!(true)),
        "{told:?}"
    );
    let reasons = told.body["reasons"].as_array().unwrap();
    assert!(reasons[0].as_str().unwrap().ends_with("/much"), "{told:?}");
    assert_eq!(told.body["facts"]["amount"], 700);
    assert_eq!(told.body["facts"]["address"], "127.0.0.1");
    assert_eq!(told.body["complete"], true);
    let filter = filter.replace("deny", "allow");
    for _ in 0..2 {
        let told = again(&auditor, &found(&auditor, &filter).await).await;
        assert_eq!(
            (&told.body["decision"], &told.body["same"]),
            (&json!("allow"), &json!(true))
        );
    }
    // What an operator read is there, too, and nobody else's to read.
    let id = from["id"].as_str().unwrap();
    teller
        .client
        .get(&format!("/api/v1/accounts/{id}"))
        .await
        .expect(200);
    found(
        &auditor,
        &format!("principal={}&action=account.read", id_of(&teller).await),
    )
    .await;
    teller.client.get(DECISIONS).await.refused(403, "forbidden");
    alice.client.get(DECISIONS).await.refused(403, "forbidden");
}

async fn a_draft_is_compared_with_what_was_decided(server: Server) {
    let (maker, auditor) = (server.operator("admin").await, server.operator("auditor").await);
    let (teller, alice) = (server.operator("teller").await, server.customer("alice").await);
    let account = alice.account("Main").await;
    let path = format!("{POLICIES}/diff");
    freeze(&teller, &account).await.expect(200);
    let frozen = found(&auditor, "action=account.freeze&decision=allow").await;
    let compare = |text: &str| {
        let (client, draft, path) = (
            maker.client.clone(),
            json!({"name": "draft", "text": text}),
            path.clone(),
        );
        async move { client.post(&path, draft).await }
    };
    let harmless = r#"forbid (principal in Role::"support", action == Action::"key.manage", resource);"#;
    let same = compare(harmless).await.expect(200);
    assert_eq!(same.body["changed"], json!([]));
    assert!(same.body["examined"].as_u64().unwrap() > 0);
    let other =
        compare(r#"forbid (principal in Role::"teller", action == Action::"account.freeze", resource);"#)
            .await
            .expect(200);
    let changed = json!([{"decision_id": frozen["id"], "before": "allow", "after": "deny"}]);
    assert_eq!(other.body["changed"], changed);
    compare("permit").await.refused(400, "validation_failed");
    // Nothing was kept, and the teller still may.
    freeze(&teller, &account).await.expect(200);
    let body = json!({"name": "draft", "text": harmless});
    teller.client.post(&path, body).await.refused(403, "forbidden");
}

async fn decisions_of_a_process_that_ends_are_written(mut server: Server) {
    let (auditor, teller) = (server.operator("auditor").await, server.operator("teller").await);
    let me = id_of(&teller).await;
    for round in 0..3 {
        let refused = teller.client.get(POLICIES).await.refused(403, "forbidden");
        assert_eq!(server.stop().await, Some(0));
        server.resume().await;
        let filter = format!("principal={me}&action=policy.read&decision=deny");
        let denied = found(&auditor, &filter).await;
        assert_eq!(
            denied["request_id"],
            refused.header("x-request-id").unwrap(),
            "round {round}"
        );
    }
}
