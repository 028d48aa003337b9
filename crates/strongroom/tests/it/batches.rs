//! Many transfers in one request: each on its own, or all or none, and once.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, BUSY, Engine, Person, Server,
    people::{code_of, new_key, next_code_of, transfer_body},
    stories,
};

stories! {
    with BUSY;
    each_item_of_an_independent_batch_has_its_own_answer,
    an_atomic_batch_is_all_or_none,
    a_thousand_transfers_fit_and_one_more_does_not,
    a_batch_is_answered_once_however_often_it_is_sent,
    bad_items_are_named_all_at_once_and_nothing_is_booked,
    one_batch_ten_times_at_once_is_booked_once,
    many_small_transfers_need_the_factor_that_one_large_one_needs,
}

const BATCH: &str = "/api/v1/transfers/batch";

fn batch(mode: &str, transfers: &[Value]) -> Value {
    json!({"mode": mode, "transfers": transfers})
}

async fn send(person: &Person, mode: &str, transfers: &[Value]) -> Answer {
    person
        .client
        .post_once(BATCH, &new_key(), batch(mode, transfers))
        .await
}

/// The code of each result, `posted` for those that were.
pub(crate) fn codes(answer: &Answer) -> Vec<String> {
    let results = answer.body["results"].as_array().unwrap();
    let code = |result: &Value| match result["status"].as_str().unwrap() {
        "posted" => "posted".to_owned(),
        _ => result["problem"]["code"].as_str().unwrap().to_owned(),
    };
    results.iter().map(code).collect()
}

mod shipped {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_item_of_a_batch_is_counted() {
        let server = Server::start(Engine::Sqlite).await.unwrap();
        let (alice, from, bob, to) = town(&server, 1_000).await;
        let items = |count| vec![transfer_body(&from, &to, 1); count];
        // A hundred changes an hour, of which some were needed to come this far.
        send(&alice, "independent", &items(60)).await.expect(200);
        let refused = send(&alice, "independent", &items(60))
            .await
            .refused(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
        send(&alice, "independent", &items(10)).await.expect(200);
        assert_eq!(bob.posted(&to).await, 70);
    }
}

/// Alice with so much, Bob with nothing.
async fn town(server: &Server, minor: i64) -> (Person, Value, Person, Value) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Wages").await);
    teller.deposit(&from, minor).await.expect(201);
    (alice, from, bob, to)
}

async fn each_item_of_an_independent_batch_has_its_own_answer(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let pay = |minor| transfer_body(&from, &to, minor);
    let foreign = transfer_body(&to, &from, 1);
    let answer = send(
        &alice,
        "independent",
        &[
            pay(600),
            pay(600),
            foreign,
            pay(400),
            transfer_body(&from, &from, 1),
        ],
    )
    .await
    .expect(200);
    assert_eq!(
        codes(&answer),
        [
            "posted",
            "insufficient_funds",
            "account_not_found",
            "posted",
            "same_account"
        ]
    );
    let refused = &answer.body["results"][1]["problem"];
    assert_eq!(
        (&refused["status"], &refused["request_id"]),
        (&json!(422), &json!(answer.header("x-request-id")))
    );
    assert_eq!((alice.posted(&from).await, bob.posted(&to).await), (0, 1_000));
    // Each posted one is a transfer like any other, with a receipt.
    let id = answer.body["results"][0]["transfer"]["id"].as_str().unwrap();
    let read = bob
        .client
        .get(&format!("/api/v1/transfers/{id}"))
        .await
        .expect(200);
    assert_eq!(read.body, answer.body["results"][0]["transfer"]);
}

async fn an_atomic_batch_is_all_or_none(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let pay = |minor| transfer_body(&from, &to, minor);
    let answer = send(&alice, "atomic", &[pay(600), pay(401), pay(1)])
        .await
        .expect(200);
    assert_eq!(
        codes(&answer),
        ["batch_refused", "insufficient_funds", "batch_refused"]
    );
    assert_eq!((alice.posted(&from).await, bob.posted(&to).await), (1_000, 0));
    let answer = send(&alice, "atomic", &[pay(600), pay(400)]).await.expect(200);
    assert_eq!(codes(&answer), ["posted", "posted"]);
    assert_eq!((alice.posted(&from).await, bob.posted(&to).await), (0, 1_000));
    let (clean, said, error) = server.cli(&["audit", "verify", "--json"]);
    assert!(clean, "{said}{error}");
}

async fn a_thousand_transfers_fit_and_one_more_does_not(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let mut items = vec![transfer_body(&from, &to, 1); 1_000];
    let answer = send(&alice, "atomic", &items).await.expect(200);
    assert!(codes(&answer).iter().all(|code| code == "posted"));
    assert_eq!(bob.posted(&to).await, 1_000);
    items.push(transfer_body(&from, &to, 1));
    let refused = send(&alice, "atomic", &items)
        .await
        .refused(400, "validation_failed");
    assert_eq!(refused.body["errors"][0]["pointer"], "/transfers");
    let long = "x".repeat(500);
    for item in &mut items {
        item["description"] = json!(long);
    }
    send(&alice, "atomic", &items)
        .await
        .refused(413, "body_too_large");
}

async fn a_batch_is_answered_once_however_often_it_is_sent(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let pay = |minor| transfer_body(&from, &to, minor);
    let key = new_key();
    let items = [pay(600), pay(600), pay(10)];
    let first = alice
        .client
        .post_once(BATCH, &key, batch("independent", &items))
        .await
        .expect(200);
    for _ in 0..3 {
        let again = alice
            .client
            .post_once(BATCH, &key, batch("independent", &items))
            .await
            .expect(200);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(codes(&again), codes(&first));
        assert_eq!(again.body["results"][0], first.body["results"][0]);
    }
    assert_eq!(bob.posted(&to).await, 610);
    // Another mode, another length, another item: another request.
    for (other, pointer) in [
        (batch("atomic", &items), "/mode"),
        (batch("independent", &items[..2]), "/transfers"),
        (
            batch("independent", &[pay(601), pay(600), pay(10)]),
            "/amount/amount",
        ),
        (
            batch("independent", &[pay(600), pay(600), pay(11)]),
            "/amount/amount",
        ),
    ] {
        let refused = alice.client.post_once(BATCH, &key, other).await;
        let refused = refused.refused(422, "idempotency_key_reused");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    alice
        .client
        .post_once("/api/v1/transfers", &key, pay(600))
        .await
        .refused(422, "idempotency_key_reused");
    assert_eq!(bob.posted(&to).await, 610);
}

async fn bad_items_are_named_all_at_once_and_nothing_is_booked(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let mut wrong = transfer_body(&from, &to, 0);
    wrong["to_account_id"] = json!("acct_1");
    let items = [transfer_body(&from, &to, 1), wrong, transfer_body(&from, &to, -5)];
    let refused = send(&alice, "independent", &items)
        .await
        .refused(400, "validation_failed");
    let pointers: Vec<_> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(
        pointers,
        [
            "/transfers/1/to_account_id",
            "/transfers/1/amount/amount",
            "/transfers/2/amount/amount"
        ]
    );
    for body in [
        batch("independent", &[]),
        json!({"mode": "some", "transfers": [transfer_body(&from, &to, 1)]}),
        json!({"transfers": [transfer_body(&from, &to, 1)]}),
    ] {
        alice
            .client
            .post_once(BATCH, &new_key(), body)
            .await
            .refused(400, "validation_failed");
    }
    alice
        .client
        .post(BATCH, batch("atomic", &[transfer_body(&from, &to, 1)]))
        .await
        .refused(400, "idempotency_key_missing");
    assert_eq!(bob.posted(&to).await, 0);
}

async fn one_batch_ten_times_at_once_is_booked_once(server: Server) {
    let (alice, from, bob, to) = town(&server, 100_000).await;
    for round in 1..=5 {
        let key = new_key();
        let start = Arc::new(Barrier::new(10));
        let mut tasks = JoinSet::new();
        for _ in 0..10 {
            let (start, alice, key) = (start.clone(), alice.clone(), key.clone());
            let items = vec![transfer_body(&from, &to, 10); 20];
            tasks.spawn(async move {
                start.wait().await;
                alice.client.post_once(BATCH, &key, batch("atomic", &items)).await
            });
        }
        let answers: Vec<_> = tasks
            .join_all()
            .await
            .into_iter()
            .map(|answer| answer.expect(200))
            .collect();
        assert!(answers.iter().all(|answer| answer.body == answers[0].body));
        let fresh = answers
            .iter()
            .filter(|answer| answer.header("idempotent-replayed").is_none());
        assert_eq!(fresh.count(), 1);
        assert_eq!(bob.posted(&to).await, 200 * round);
    }
}

async fn many_small_transfers_need_the_factor_that_one_large_one_needs(server: Server) {
    let (alice, from, bob, to) = town(&server, 50_000_000).await;
    let offered = alice
        .client
        .post("/api/v1/me/mfa/totp", Value::Null)
        .await
        .expect(200);
    let uri = offered.text("otpauth_uri");
    let code = json!({"code": code_of(&uri)});
    alice
        .client
        .post("/api/v1/me/mfa/totp/confirm", code)
        .await
        .expect(200);
    let items = vec![transfer_body(&from, &to, 600_000); 3];
    let (key, body) = (new_key(), batch("atomic", &items));
    let asked = alice.client.post_once(BATCH, &key, body.clone()).await;
    let asked = asked.refused(401, "step_up_required");
    let proof = json!({"method": "totp", "code": next_code_of(&uri), "challenge": asked.text("challenge")});
    alice.client.post("/api/v1/auth/step-up", proof).await.expect(204);
    let done = alice.client.post_once(BATCH, &key, body).await.expect(200);
    assert_eq!(codes(&done), ["posted"; 3]);
    // It is spent: the same again is another request.
    send(&alice, "atomic", &items)
        .await
        .refused(401, "step_up_required");
    assert_eq!(bob.posted(&to).await, 1_800_000);
}
