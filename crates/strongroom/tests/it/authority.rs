//! Who may do what, where one answer of a table does not tell the story.

use serde_json::{Value, json};

use crate::harness::{Server, people::new_key, stories};

stories! {
    a_customer_agrees_to_no_overdraft_of_its_own,
    who_may_read_no_transfer_learns_of_none,
}

async fn me(person: &crate::harness::Person) -> String {
    person.client.get("/api/v1/me").await.expect(200).text("id")
}

async fn a_customer_agrees_to_no_overdraft_of_its_own(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let open = |customer: String| {
        json!({"customer_id": customer, "kind": "checking", "currency": "EUR", "name": "Credit",
        "overdraft": {"amount": 1_000_000, "currency": "EUR"}})
    };
    let path = "/api/v1/admin/accounts";
    let hers = open(me(&alice).await);
    let agreed = teller
        .client
        .post_once(path, &new_key(), hers.clone())
        .await
        .expect(201);
    assert_eq!(agreed.body["balance"]["available"], 1_000_000);
    alice
        .client
        .post_once(path, &new_key(), hers)
        .await
        .refused(403, "forbidden");
    // Nor does a teller for the teller.
    let own = open(me(&teller).await);
    teller
        .client
        .post_once(path, &new_key(), own)
        .await
        .refused(403, "forbidden");
    let listed = alice.client.get("/api/v1/accounts").await.expect(200);
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1));
}

async fn who_may_read_no_transfer_learns_of_none(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 1_000).await.expect(201);
    let sent = alice
        .transfer(&new_key(), &from, &to, 5)
        .await
        .expect(201)
        .text("id");
    let key = |scope: &str| {
        let (ok, out, err) = server.cli(&["api-key", "add", "--name", "reader", "--scopes", scope, "--json"]);
        assert!(ok, "{out}{err}");
        let made: Value = serde_json::from_str(&out).unwrap();
        made["key"].as_str().unwrap().to_owned()
    };
    let (reader, other) = (key("transfers:read"), key("webhooks:manage"));
    for (id, known) in [(sent.as_str(), 200), ("tfr_01h455vb4pex5vsknk084sn02q", 404)] {
        let get = |key: &str| {
            let client = server.client();
            let path = format!("/api/v1/transfers/{id}");
            let request = client
                .request(reqwest::Method::GET, &path)
                .header("X-API-Key", key);
            async move { client.send(request).await }
        };
        get(&reader).await.expect(known);
        get(&other).await.refused(403, "forbidden");
    }
}
