//! What customers may pay: to the cent, in parallel, lowered at once and raised slowly.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    batches::codes,
    factors::{bind, half_login, second_half},
    harness::{
        Answer, BUSY, Client, Person, Server, decide,
        people::{new_key, next_code_of},
        stories,
    },
};

const LIMITS: &str = "/api/v1/limits";

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

stories! {
    with SETTINGS;
    what_the_limit_is_is_paid_and_a_cent_more_is_not,
    twenty_transfers_at_once_never_pass_the_daily_limit,
    what_is_reserved_counts_and_counts_no_more_once_it_is_given_back,
    between_ones_own_accounts_nothing_is_counted,
    lower_is_lower_at_once_and_higher_waits_for_a_factor_and_a_day,
    bad_limits_have_their_codes_and_change_nothing,
    a_batch_is_counted_item_by_item,
    whoever_resets_a_password_pays_little_for_three_days,
    another_address_and_a_recovery_leave_little_to_pay_for_three_days,
    operators_allow_less_at_once_and_more_by_two_people,
}

fn euros(minor: i64) -> Value {
    json!({"amount": minor, "currency": "EUR"})
}

async fn town(server: &Server, minor: i64) -> (Person, Value, Value) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, minor).await.expect(201);
    (alice, from, to)
}

async fn set(person: &Person, body: Value) -> Answer {
    let request = person.client.request(Method::PUT, LIMITS).json(&body);
    person.client.send(request).await
}

async fn spent_today(person: &Person) -> i64 {
    let answer = person.client.get(LIMITS).await.expect(200);
    answer.body["spent_today"]["amount"].as_i64().unwrap()
}

async fn what_the_limit_is_is_paid_and_a_cent_more_is_not(server: Server) {
    let (alice, from, to) = town(&server, 100_000).await;
    let caps = json!({"per_transfer": euros(5_000), "daily": euros(8_000), "monthly": euros(9_000)});
    let told = set(&alice, caps).await.expect(200);
    assert_eq!(told.body["daily"], euros(8_000));
    let refused = alice.transfer(&new_key(), &from, &to, 5_001).await;
    let refused = refused.refused(422, "limit_exceeded");
    assert_eq!(
        refused.text("detail"),
        "This is more than the limit of one movement."
    );
    alice.transfer(&new_key(), &from, &to, 5_000).await.expect(201);
    let refused = alice.transfer(&new_key(), &from, &to, 3_001).await;
    let refused = refused.refused(422, "limit_exceeded");
    assert_eq!(
        refused.text("detail"),
        "This is more than is left of today's limit."
    );
    alice.transfer(&new_key(), &from, &to, 3_000).await.expect(201);
    assert_eq!(spent_today(&alice).await, 8_000);
    set(
        &alice,
        json!({"per_transfer": euros(5_000), "daily": euros(8_000), "monthly": euros(8_000)}),
    )
    .await
    .expect(200);
    let refused = alice.transfer(&new_key(), &from, &to, 1).await;
    refused.refused(422, "limit_exceeded");
    // Whoever may not pay is not told whether there is a payee.
    let nobody = json!({"id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9", "currency": "EUR"});
    let refused = alice.transfer(&new_key(), &from, &nobody, 1).await;
    refused.refused(422, "limit_exceeded");
}

async fn twenty_transfers_at_once_never_pass_the_daily_limit(server: Server) {
    let (alice, from, to) = town(&server, 100_000).await;
    set(&alice, json!({"daily": euros(1_000)})).await.expect(200);
    let start = Arc::new(Barrier::new(20));
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (start, alice, from, to) = (start.clone(), alice.clone(), from.clone(), to.clone());
        tasks.spawn(async move {
            start.wait().await;
            alice.transfer(&new_key(), &from, &to, 150).await.status
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(
        answers.iter().filter(|status| **status == 201).count(),
        6,
        "{answers:?}"
    );
    assert_eq!(
        answers.iter().filter(|status| **status == 422).count(),
        14,
        "{answers:?}"
    );
    assert_eq!(spent_today(&alice).await, 900);
}

async fn what_is_reserved_counts_and_counts_no_more_once_it_is_given_back(server: Server) {
    let (alice, from, to) = town(&server, 100_000).await;
    set(&alice, json!({"daily": euros(1_000)})).await.expect(200);
    let body = json!({"account_id": from["id"], "to_account_id": to["id"], "amount": euros(900)});
    let hold = alice.client.post_once("/api/v1/holds", &new_key(), body).await;
    let hold = hold.expect(201).text("id");
    assert_eq!(spent_today(&alice).await, 900);
    alice
        .transfer(&new_key(), &from, &to, 101)
        .await
        .refused(422, "limit_exceeded");
    // A part is paid and the rest given back.
    let path = format!("/api/v1/holds/{hold}/capture");
    let capture = json!({"amount": euros(400), "final": true});
    alice
        .client
        .post_once(&path, &new_key(), capture)
        .await
        .expect(200);
    assert_eq!(spent_today(&alice).await, 400);
    alice.transfer(&new_key(), &from, &to, 600).await.expect(201);
}

async fn between_ones_own_accounts_nothing_is_counted(server: Server) {
    let (alice, from, _) = town(&server, 100_000).await;
    set(&alice, json!({"per_transfer": euros(1), "daily": euros(1)}))
        .await
        .expect(200);
    let savings = alice.account("Savings").await;
    alice
        .transfer(&new_key(), &from, &savings, 90_000)
        .await
        .expect(201);
    assert_eq!(spent_today(&alice).await, 0);
}

async fn lower_is_lower_at_once_and_higher_waits_for_a_factor_and_a_day(server: Server) {
    let (alice, from, to) = town(&server, 100_000).await;
    set(&alice, json!({"daily": euros(1_000)})).await.expect(200);
    // The login is a few moments old, which is no factor proved anew.
    let raise = json!({"daily": euros(2_000)});
    set(&alice, raise.clone()).await.refused(401, "step_up_required");
    let told = alice.client.get(LIMITS).await.expect(200);
    assert_eq!(
        (&told.body["own"]["daily"], &told.body["pending"]),
        (&euros(1_000), &Value::Null)
    );
    let proof = json!({"method": "password", "code": alice.password});
    let stepped = alice.client.post("/api/v1/auth/step-up", proof).await.expect(200);
    let fresh = Person {
        client: server.client().with_token(&stepped.text("access_token")),
        ..alice.clone()
    };
    let told = set(&fresh, raise).await.expect(200);
    assert_eq!(told.body["daily"], euros(1_000), "not yet");
    assert_eq!(told.body["pending"]["daily"], euros(2_000));
    fresh
        .transfer(&new_key(), &from, &to, 1_001)
        .await
        .refused(422, "limit_exceeded");
    // Lowering takes the raise that waits away.
    let told = set(&fresh, json!({"daily": euros(900)})).await.expect(200);
    assert_eq!(
        (&told.body["daily"], &told.body["pending"]),
        (&euros(900), &Value::Null)
    );
}

async fn bad_limits_have_their_codes_and_change_nothing(server: Server) {
    let alice = server.customer("alice").await;
    set(&alice, json!({"daily": euros(1)}))
        .await
        .refused(404, "account_not_found");
    alice.account("Household").await;
    for (body, pointer, code) in [
        (json!({}), "/currency", "required"),
        (json!({"daily": euros(-1)}), "/daily/amount", "out_of_range"),
        (
            json!({"daily": {"amount": 1, "currency": "usd"}}),
            "/daily/currency",
            "invalid_value",
        ),
        (
            json!({"monthly": {"amount": 1, "currency": "usd"}, "currency": "usd"}),
            "/currency",
            "invalid_value",
        ),
        (
            json!({"daily": euros(1), "monthly": {"amount": 1, "currency": "USD"}}),
            "/monthly/currency",
            "currency_mismatch",
        ),
    ] {
        let refused = set(&alice, body).await.refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
        assert_eq!(refused.body["errors"][0]["code"], code);
    }
    let told = alice.client.get(LIMITS).await.expect(200);
    assert_eq!(
        told.body["own"],
        json!({"per_transfer": null, "daily": null, "monthly": null})
    );
    assert_eq!(told.body["per_transfer"], euros(5_000_000), "the bank's own");
    let dollars = json!({"kind": "checking", "currency": "USD", "name": "Dollars"});
    let opened = alice
        .client
        .post_once("/api/v1/accounts", &new_key(), dollars)
        .await;
    opened.expect(201);
    alice.client.get(LIMITS).await.refused(400, "validation_failed");
    let told = alice.client.get("/api/v1/limits?currency=USD").await.expect(200);
    assert_eq!(told.text("currency"), "USD");
}

async fn a_batch_is_counted_item_by_item(server: Server) {
    let (alice, from, to) = town(&server, 100_000).await;
    set(&alice, json!({"daily": euros(1_000)})).await.expect(200);
    let item = |minor: i64| json!({"from_account_id": from["id"], "to_account_id": to["id"], "amount": euros(minor)});
    let all = json!({"mode": "atomic", "transfers": [item(600), item(401)]});
    let told = alice
        .client
        .post_once("/api/v1/transfers/batch", &new_key(), all)
        .await;
    let told = told.expect(200);
    assert_eq!(codes(&told), ["batch_refused", "limit_exceeded"]);
    assert_eq!(spent_today(&alice).await, 0, "all or none");
    let each = json!({"mode": "independent", "transfers": [item(600), item(401), item(400)]});
    let told = alice
        .client
        .post_once("/api/v1/transfers/batch", &new_key(), each)
        .await;
    assert_eq!(codes(&told.expect(200)), ["posted", "limit_exceeded", "posted"]);
    assert_eq!(spent_today(&alice).await, 1_000);
}

async fn whoever_resets_a_password_pays_little_for_three_days(server: Server) {
    let (alice, from, to) = town(&server, 200_000).await;
    alice.transfer(&new_key(), &from, &to, 60_000).await.expect(201);
    server
        .client()
        .post("/api/v1/auth/password/forgot", json!({"email": alice.email}))
        .await
        .expect(202);
    server.mail_with(&alice.email, "Reset your password").await;
    let token = server.mailed_token(&alice.email).await;
    let new = "another long and fair enough phrase";
    let body = json!({"token": token, "new_password": new});
    server
        .client()
        .post("/api/v1/auth/password/reset", body)
        .await
        .expect(204);
    let again = server.login(&alice.email, new).await;
    let told = again.client.get(LIMITS).await.expect(200);
    assert_eq!(told.body["per_transfer"], euros(50_000));
    assert!(told.body["lowered_until"].is_string());
    again
        .transfer(&new_key(), &from, &to, 50_001)
        .await
        .refused(422, "limit_exceeded");
    again.transfer(&new_key(), &from, &to, 40_000).await.expect(201);
    again
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(422, "limit_exceeded");
    // An account in a currency that is new to the customer is no way around it.
    let body = json!({"kind": "checking", "currency": "USD", "name": "Dollars"});
    let opened = again.client.post_once("/api/v1/accounts", &new_key(), body).await;
    opened.expect(201);
    let dollars = again
        .client
        .get(&format!("{LIMITS}?currency=USD"))
        .await
        .expect(200);
    let told = &dollars.body;
    assert!(told["lowered_until"].is_string(), "{told}");
}

/// Whether whoever is logged in is held to the floor.
async fn is_low(client: &Client) -> bool {
    let told = client.get(LIMITS).await.expect(200);
    let low = told.body["per_transfer"] == euros(50_000);
    assert_eq!(low, told.body["lowered_until"].is_string(), "{told:?}");
    low
}

async fn another_address_and_a_recovery_leave_little_to_pay_for_three_days(server: Server) {
    let (alice, from, to) = town(&server, 200_000).await;
    let proof = json!({"method": "password", "code": alice.password});
    let stepped = alice.client.post("/api/v1/auth/step-up", proof).await.expect(200);
    let client = server.client().with_token(&stepped.text("access_token"));
    let wish = json!({"new_email": "alice@new.example"});
    client.post("/api/v1/me/email", wish).await.expect(202);
    for address in [alice.email.as_str(), "alice@new.example"] {
        assert!(!is_low(&client).await, "not before both agree");
        server.mail_with(address, "/email-change#token=").await;
        let body = json!({"token": server.mailed_token(address).await});
        server
            .client()
            .post("/api/v1/auth/email/confirm", body)
            .await
            .expect(200);
    }
    let again = server.login("alice@new.example", &alice.password).await;
    assert!(is_low(&again.client).await);
    again
        .transfer(&new_key(), &from, &to, 50_001)
        .await
        .refused(422, "limit_exceeded");
    again.transfer(&new_key(), &from, &to, 50_000).await.expect(201);

    // A factor of the first day is no sign; a recovery is one.
    let carol = server.customer("carol").await;
    carol.account("Household").await;
    let (_, codes) = bind(&carol.client).await;
    assert!(!is_low(&carol.client).await);
    let first = half_login(&server, &carol).await;
    let rebind = second_half(&server, &first, "recovery_code", &codes[0])
        .await
        .expect(200);
    let (uri, _) = bind(&server.client().with_token(&rebind.text("rebind_token"))).await;
    let first = half_login(&server, &carol).await;
    let tokens = second_half(&server, &first, "totp", &next_code_of(&uri))
        .await
        .expect(200);
    assert!(is_low(&server.client().with_token(&tokens.text("access_token"))).await);
}

async fn operators_allow_less_at_once_and_more_by_two_people(server: Server) {
    let (alice, from, to) = town(&server, 100_000).await;
    let (teller, admin) = (server.operator("teller").await, server.operator("admin").await);
    let path = format!("/api/v1/admin/accounts/{}/limits", from["id"].as_str().unwrap());
    let allowance = format!(
        "/api/v1/admin/accounts/{}/allowance",
        from["id"].as_str().unwrap()
    );
    let allow = async |who: &Person, body: Value| {
        let request = who.client.request(Method::PUT, &allowance).json(&body);
        who.client.send(request).await
    };
    let pays = async |minor| alice.transfer(&new_key(), &from, &to, minor).await;
    let little = json!({"daily": euros(5_000), "reason": "looks like a mule"});
    for nobody in [
        &alice,
        &server.operator("support").await,
        &server.operator("auditor").await,
    ] {
        allow(nobody, little.clone()).await.refused(403, "forbidden");
    }
    pays(1_000).await.expect(201);
    let told = allow(&teller, little.clone()).await.expect(200);
    assert_eq!(
        (&told.body["daily"], &told.body["allowed"]["daily"]),
        (&euros(5_000), &euros(5_000))
    );
    pays(4_001).await.refused(422, "limit_exceeded");
    pays(3_000).await.expect(201);
    // The customer sees what counts and does not get past it.
    let seen = alice.client.get(LIMITS).await.expect(200);
    assert_eq!(
        (&seen.body["daily"], &seen.body["allowed"]),
        (&euros(5_000), &Value::Null)
    );
    set(&alice, json!({"daily": euros(50_000)})).await;
    pays(1_001).await.refused(422, "limit_exceeded");

    // More is for two.
    let more = json!({"daily": euros(9_000), "reason": "it was no mule"});
    let asked = allow(&teller, more).await.expect(202).text("approval_id");
    pays(1_001).await.refused(422, "limit_exceeded");
    decide(&teller, &asked, "approve").await.refused(403, "forbidden");
    decide(&admin, &asked, "approve").await.expect(200);
    decide(&admin, &asked, "approve")
        .await
        .refused(409, "approval_closed");
    pays(5_000).await.expect(201);
    pays(1).await.refused(422, "limit_exceeded");
    let found = teller.client.get(&path).await.expect(200);
    assert_eq!(
        (&found.body["allowed"]["daily"], &found.body["spent_today"]),
        (&euros(9_000), &euros(9_000))
    );
    // What everybody may is the end of it, and other currencies and nobody's accounts are refused.
    let own = allow(&admin, json!({"reason": "as everybody"})).await.expect(202);
    let own = own.text("approval_id");
    decide(&admin, &own, "approve")
        .await
        .refused(403, "maker_is_checker");
    // What changed meanwhile is not overwritten.
    allow(&teller, little).await.expect(200);
    let other = server.operator("admin").await;
    decide(&other, &own, "approve")
        .await
        .refused(409, "approval_stale");
    let dollars = json!({"daily": {"amount": 1, "currency": "USD"}, "reason": "x"});
    allow(&teller, dollars).await.refused(400, "validation_failed");
    crate::payments::is_clean(&server);
}
