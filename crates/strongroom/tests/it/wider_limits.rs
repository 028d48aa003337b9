//! Limits of single accounts, and of all customers together.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, BUSY, Client, Engine, Person, Server,
        people::{new_key, transfer_body},
        stories,
    },
    payments::{euros, is_clean},
};

/// All customers together pay a hundred euros a day.
const SETTINGS: &[(&str, &str)] = &[
    BUSY[0],
    BUSY[1],
    BUSY[2],
    BUSY[3],
    BUSY[4],
    BUSY[5],
    ("STRONGROOM_CUSTOMER_LIMITS__BANK_DAY", "-/100/-"),
];

stories! {
    with SETTINGS;
    an_account_has_limits_of_its_own_lower_at_once_and_higher_a_day_later,
    all_customers_together_pay_what_the_bank_allows_a_day_and_no_more,
}

struct Town {
    alice: Person,
    bob: Person,
    from: Value,
    to: Value,
}

async fn town(server: &Server) -> Town {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    for account in [&from, &to] {
        teller.deposit(account, 50_000).await.expect(201);
    }
    Town { alice, bob, from, to }
}

fn path_of(account: &Value) -> String {
    format!("/api/v1/accounts/{}/limits", account["id"].as_str().unwrap())
}

async fn set(client: &Client, account: &Value, body: Value) -> Answer {
    let request = client.request(Method::PUT, &path_of(account)).json(&body);
    client.send(request).await
}

async fn an_account_has_limits_of_its_own_lower_at_once_and_higher_a_day_later(server: Server) {
    let Town { alice, bob, from, to } = town(&server).await;
    let pay = async |from: &Value, minor| alice.transfer(&new_key(), from, &to, minor).await;
    pay(&from, 300).await.expect(201);
    let none = alice.client.get(&path_of(&from)).await.expect(200);
    assert_eq!(
        (&none.body["daily"], &none.body["spent_today"]),
        (&Value::Null, &Value::Null)
    );
    let little = json!({"per_transfer": euros(600), "daily": euros(1_000)});
    set(&bob.client, &from, little.clone())
        .await
        .refused(404, "account_not_found");
    let teller = server.operator("teller").await;
    set(&teller.client, &from, little.clone())
        .await
        .refused(403, "forbidden");
    let dollars = json!({"daily": {"amount": 1, "currency": "USD"}});
    set(&alice.client, &from, dollars)
        .await
        .refused(400, "validation_failed");
    let told = set(&alice.client, &from, little).await.expect(200);
    // What she paid before is taken to have left this account.
    assert_eq!(
        (&told.body["daily"], &told.body["spent_today"]),
        (&euros(1_000), &euros(300))
    );
    pay(&from, 601).await.refused(422, "limit_exceeded");
    pay(&from, 600).await.expect(201);
    pay(&from, 101).await.refused(422, "limit_exceeded");
    // What is reserved counts, and counts no more once it is given back.
    let hold = json!({"account_id": from["id"], "to_account_id": to["id"], "amount": euros(100)});
    let held = alice
        .client
        .post_once("/api/v1/holds", &new_key(), hold)
        .await
        .expect(201);
    pay(&from, 1).await.refused(422, "limit_exceeded");
    let void = format!("/api/v1/holds/{}/void", held.text("id"));
    alice
        .client
        .post_once(&void, &new_key(), json!({}))
        .await
        .expect(200);
    pay(&from, 100).await.expect(201);
    // Another account of hers, and money between her own, are not bounded.
    let savings = alice.account("Savings").await;
    pay_own(&alice, &from, &savings, 5_000).await.expect(201);
    pay(&savings, 2_000).await.expect(201);
    let more = json!({"per_transfer": euros(600), "daily": euros(2_000)});
    set(&alice.client, &from, more.clone())
        .await
        .refused(401, "step_up_required");
    let proof = json!({"method": "password", "code": alice.password});
    let fresh = alice.client.post("/api/v1/auth/step-up", proof).await.expect(200);
    let fresh = server.client().with_token(&fresh.text("access_token"));
    let told = set(&fresh, &from, more).await.expect(200);
    assert_eq!(
        (&told.body["daily"], &told.body["pending"]["daily"]),
        (&euros(1_000), &euros(2_000))
    );
    let body = transfer_body(&from, &to, 1);
    fresh
        .post_once("/api/v1/transfers", &new_key(), body)
        .await
        .refused(422, "limit_exceeded");
    is_clean(&server);
}

async fn pay_own(person: &Person, from: &Value, to: &Value, minor: i64) -> Answer {
    person.transfer(&new_key(), from, to, minor).await
}

async fn all_customers_together_pay_what_the_bank_allows_a_day_and_no_more(server: Server) {
    let Town { alice, bob, from, to } = town(&server).await;
    alice.transfer(&new_key(), &from, &to, 6_000).await.expect(201);
    let refused = bob.transfer(&new_key(), &to, &from, 4_001).await;
    let refused = refused.refused(422, "bank_limit_exceeded");
    assert_eq!(
        refused.text("detail"),
        "The bank moves no more of this currency today."
    );
    // Forty of a euro are left, and fifty are asked for at once, by both.
    let hers = join_all((0..25).map(|_| pay_a_euro(&alice, &from, &to)));
    let his = join_all((0..25).map(|_| pay_a_euro(&bob, &to, &from)));
    let (hers, his) = tokio::join!(hers, his);
    let answers = hers.into_iter().chain(his);
    assert_eq!(answers.filter(|answer| answer.status == 201).count(), 40);
    // Cash and money between one's own accounts are no payments.
    let savings = alice.account("Savings").await;
    pay_own(&alice, &from, &savings, 500).await.expect(201);
    is_clean(&server);
}

async fn pay_a_euro(person: &Person, from: &Value, to: &Value) -> Answer {
    person.transfer(&new_key(), from, to, 100).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_together_pay_what_the_bank_allows_a_day_and_no_more() {
    let Some(first) = Server::start_with(Engine::Postgres, SETTINGS).await else {
        return;
    };
    let second = first.start_beside().await;
    let Town { alice, bob, from, to } = town(&first).await;
    let there = second.login(&bob.email, &bob.password).await;
    let here = join_all((0..80).map(|_| pay_a_euro(&alice, &from, &to)));
    let beside = join_all((0..80).map(|_| pay_a_euro(&there, &to, &from)));
    let (here, beside) = tokio::join!(here, beside);
    let done = |answers: &[Answer]| answers.iter().filter(|answer| answer.status == 201).count();
    let (here, beside) = (done(&here), done(&beside));
    // A slice is a euro and a half: of each node less than a payment may be left over.
    assert!((98..=100).contains(&(here + beside)), "{here} and {beside}");
    is_clean(&first);
}
