//! Money is reserved, then paid or given back, by whom it concerns and once.

use std::{sync::Arc, time::UNIX_EPOCH};

use serde_json::{Value, json};
use strongroom_domain::time::Timestamp;
use tokio::{sync::Barrier, task::JoinSet};

use crate::harness::{
    Answer, BUSY, Person, Server,
    people::{code_of, new_key},
    stories,
};

stories! {
    with BUSY;
    a_hold_is_placed_captured_in_parts_and_its_rest_given_back,
    what_is_held_cannot_be_spent_and_is_free_when_the_hold_is_voided,
    the_payee_captures_and_strangers_see_no_hold,
    a_hold_reserves_nothing_from_the_moment_of_its_end,
    every_request_about_a_hold_is_answered_once,
    bad_requests_about_holds_have_their_codes_and_change_nothing,
    of_all_verbs_at_once_the_money_moves_once,
    a_hundred_parallel_holds_never_reserve_more_than_there_is,
    a_large_hold_needs_a_factor_as_a_transfer_does,
}

pub(crate) fn euros(minor: i64) -> Value {
    json!({"amount": minor, "currency": "EUR"})
}

pub(crate) fn body(from: &Value, to: &Value, minor: i64) -> Value {
    json!({"account_id": from["id"], "to_account_id": to["id"], "amount": euros(minor)})
}

pub(crate) async fn place(person: &Person, from: &Value, to: &Value, minor: i64) -> Answer {
    person
        .client
        .post_once("/api/v1/holds", &new_key(), body(from, to, minor))
        .await
}

pub(crate) async fn act(person: &Person, hold: &str, verb: &str, body: Value) -> Answer {
    person
        .client
        .post_once(&format!("/api/v1/holds/{hold}/{verb}"), &new_key(), body)
        .await
}

/// What the owner's account shows: posted, held, available.
pub(crate) async fn balance(person: &Person, account: &Value) -> (i64, i64, i64) {
    let id = account["id"].as_str().unwrap();
    let path = format!("/api/v1/accounts/{id}/balance");
    let found = person.client.get(&path).await.expect(200).body;
    let amount = |name: &str| found[name].as_i64().unwrap();
    (amount("posted"), amount("held"), amount("available"))
}

/// Alice with so much, Bob with nothing.
pub(crate) async fn town(server: &Server, minor: i64) -> (Person, Value, Person, Value) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, minor).await.expect(201);
    (alice, from, bob, to)
}

async fn a_hold_is_placed_captured_in_parts_and_its_rest_given_back(server: Server) {
    let (alice, from, bob, to) = town(&server, 10_000).await;
    let placed = place(&alice, &from, &to, 6_000).await.expect(201);
    let hold = placed.text("id");
    let path = format!("/api/v1/holds/{hold}");
    assert_eq!(placed.header("location"), Some(path.as_str()));
    assert_eq!(placed.body["state"], "held");
    assert_eq!(
        (&placed.body["captured"], &placed.body["remaining"]),
        (&euros(0), &euros(6_000))
    );
    assert_eq!(balance(&alice, &from).await, (10_000, 6_000, 4_000));

    let part = act(&bob, &hold, "capture", json!({"amount": euros(2_500)}))
        .await
        .expect(200);
    assert_eq!(part.body["state"], "partially_captured");
    assert_eq!(part.body["remaining"], euros(3_500));
    let last = act(
        &alice,
        &hold,
        "capture",
        json!({"amount": euros(500), "final": true}),
    )
    .await
    .expect(200);
    assert_eq!(
        (&last.body["state"], &last.body["captured"]),
        (&json!("captured"), &euros(3_000))
    );
    assert_eq!(balance(&alice, &from).await, (7_000, 0, 7_000));
    assert_eq!(bob.posted(&to).await, 3_000);
    assert_eq!(alice.client.get(&path).await.expect(200).body, last.body);

    // Captures are in both histories, and have receipts as transfers have.
    let id = from["id"].as_str().unwrap();
    let history = format!("/api/v1/accounts/{id}/transactions?kind=capture");
    let lines = alice.client.get(&history).await.expect(200).body;
    let amounts: Vec<_> = lines["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["amount"]["amount"].as_i64().unwrap())
        .collect();
    assert_eq!(amounts, [-500, -2_500]);
    let transaction = lines["data"][0]["transaction_id"].as_str().unwrap();
    let receipt = format!("/api/v1/receipts/{transaction}");
    bob.client.get(&receipt).await.expect(200);
    let (clean, said, error) = server.cli(&["audit", "verify", "--json"]);
    assert!(clean, "{said}{error}");
}

async fn what_is_held_cannot_be_spent_and_is_free_when_the_hold_is_voided(server: Server) {
    let (alice, from, _bob, to) = town(&server, 5_000).await;
    for _ in 0..5 {
        place(&alice, &from, &to, 1_000).await.expect(201);
    }
    place(&alice, &from, &to, 1_000)
        .await
        .refused(422, "insufficient_funds");
    alice
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(422, "insufficient_funds");
    let id = from["id"].as_str().unwrap();
    let list = alice
        .client
        .get(&format!("/api/v1/holds?account_id={id}&limit=2"))
        .await
        .expect(200)
        .body;
    let newest = list["data"][0]["id"].as_str().unwrap().to_owned();
    let cursor = list["next_cursor"].as_str().unwrap();
    let next = format!("/api/v1/holds?account_id={id}&limit=100&cursor={cursor}");
    let rest = alice.client.get(&next).await.expect(200).body;
    assert_eq!(rest["data"].as_array().unwrap().len(), 3);

    let voided = act(&alice, &newest, "void", json!({})).await.expect(200);
    assert_eq!(
        (&voided.body["state"], &voided.body["remaining"]),
        (&json!("voided"), &euros(0))
    );
    assert_eq!(balance(&alice, &from).await, (5_000, 4_000, 1_000));
    for verb in ["capture", "void"] {
        act(&alice, &newest, verb, json!({}))
            .await
            .refused(409, "hold_not_open");
    }
    alice.transfer(&new_key(), &from, &to, 1_000).await.expect(201);
    // An account with holds is not closed, and its books say why the money is not there.
    alice
        .client
        .post(&format!("/api/v1/accounts/{id}/close"), Value::Null)
        .await
        .refused(409, "account_not_empty");
    let (clean, said, error) = server.cli(&["audit", "verify", "--json"]);
    assert!(clean, "{said}{error}");
}

async fn the_payee_captures_and_strangers_see_no_hold(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let eve = server.customer("eve").await;
    let support = server.operator("support").await;
    let hold = place(&alice, &from, &to, 400).await.expect(201).text("id");
    let path = format!("/api/v1/holds/{hold}");
    for reader in [&alice, &bob, &support] {
        assert_eq!(reader.client.get(&path).await.expect(200).text("id"), hold);
    }
    eve.client.get(&path).await.refused(404, "hold_not_found");
    for verb in ["capture", "void"] {
        act(&eve, &hold, verb, json!({}))
            .await
            .refused(404, "hold_not_found");
        act(&support, &hold, verb, json!({}))
            .await
            .refused(404, "hold_not_found");
    }
    // Nobody reserves what is another's, and nobody lists it.
    place(&eve, &from, &to, 1).await.refused(404, "account_not_found");
    let id = from["id"].as_str().unwrap();
    eve.client
        .get(&format!("/api/v1/holds?account_id={id}"))
        .await
        .refused(404, "account_not_found");
    act(&bob, &hold, "capture", json!({})).await.expect(200);
    assert_eq!((alice.posted(&from).await, bob.posted(&to).await), (600, 400));
}

async fn a_hold_reserves_nothing_from_the_moment_of_its_end(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let now = || i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let end = Timestamp::from_micros(now() + 1_500_000);
    let mut short = body(&from, &to, 1_000);
    short["expires_at"] = json!(end.to_string());
    let placed = alice
        .client
        .post_once("/api/v1/holds", &new_key(), short)
        .await
        .expect(201);
    let hold = placed.text("id");
    let path = format!("/api/v1/holds/{hold}");
    alice
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(422, "insufficient_funds");
    let mut shown = alice.client.get(&path).await.expect(200);
    while shown.body["state"] == "held" {
        assert!(now() < end.micros() + 30_000_000, "it never ends");
        shown = alice.client.get(&path).await.expect(200);
    }
    assert!(now() >= end.micros());
    assert_eq!(shown.body["state"], "expired");
    assert_eq!(balance(&alice, &from).await, (1_000, 0, 1_000));
    act(&bob, &hold, "capture", json!({}))
        .await
        .refused(409, "hold_not_open");
    alice.transfer(&new_key(), &from, &to, 1_000).await.expect(201);
    let (clean, said, error) = server.cli(&["audit", "verify", "--json"]);
    assert!(clean, "{said}{error}");
}

async fn every_request_about_a_hold_is_answered_once(server: Server) {
    let (alice, from, bob, to) = town(&server, 1_000).await;
    let (placing, first, second, ending) = (new_key(), new_key(), new_key(), new_key());
    let place = async || {
        let body = body(&from, &to, 900);
        alice.client.post_once("/api/v1/holds", &placing, body).await
    };
    let placed = place().await.expect(201);
    let hold = placed.text("id");
    let capture = format!("/api/v1/holds/{hold}/capture");
    let some = |minor| json!({"amount": euros(minor)});
    let one = bob
        .client
        .post_once(&capture, &first, some(100))
        .await
        .expect(200);
    let two = bob
        .client
        .post_once(&capture, &second, some(200))
        .await
        .expect(200);
    let void = format!("/api/v1/holds/{hold}/void");
    let end = alice
        .client
        .post_once(&void, &ending, Value::Null)
        .await
        .expect(200);
    assert_eq!(end.body["captured"], euros(300));

    // Late repetitions are told what the first ones were told, whatever has become of the hold.
    for (again, before) in [
        (place().await, &placed),
        (bob.client.post_once(&capture, &first, some(100)).await, &one),
        (bob.client.post_once(&capture, &second, some(200)).await, &two),
        (alice.client.post_once(&void, &ending, Value::Null).await, &end),
    ] {
        assert_eq!((again.status, &again.body), (before.status, &before.body));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!((alice.posted(&from).await, bob.posted(&to).await), (700, 300));
    let other = bob
        .client
        .post_once(&capture, &first, some(101))
        .await
        .refused(422, "idempotency_key_reused");
    assert_eq!(other.body["errors"][0]["pointer"], "/amount/amount");
}

async fn bad_requests_about_holds_have_their_codes_and_change_nothing(server: Server) {
    let (alice, from, _bob, to) = town(&server, 1_000).await;
    let hold = place(&alice, &from, &to, 100).await.expect(201).text("id");
    let with = |name: &str, value: Value| {
        let mut body = body(&from, &to, 10);
        body[name] = value;
        body
    };
    let wrong = [
        ("/account_id", with("account_id", json!("acct_1"))),
        ("/to_account_id", with("to_account_id", Value::Null)),
        (
            "/to_account_number",
            with("to_account_number", json!("DE02100100100006820101")),
        ),
        ("/amount/amount", with("amount", euros(0))),
        (
            "/amount/currency",
            with("amount", json!({"amount": 1, "currency": "XXX"})),
        ),
        ("/expires_at", with("expires_at", json!("tomorrow"))),
        ("/expires_at", with("expires_at", json!("2020-01-01T00:00:00Z"))),
        ("/expires_at", with("expires_at", json!("2999-01-01T00:00:00Z"))),
        ("/owner", with("owner", json!("alice"))),
    ];
    for (pointer, body) in wrong {
        let refused = alice.client.post_once("/api/v1/holds", &new_key(), body).await;
        let refused = refused.refused(400, "validation_failed");
        assert_eq!(
            refused.body["errors"][0]["pointer"], pointer,
            "{:?}",
            refused.body
        );
    }
    alice
        .client
        .post("/api/v1/holds", body(&from, &to, 1))
        .await
        .refused(400, "idempotency_key_missing");
    place(&alice, &from, &from, 1).await.refused(422, "same_account");
    let nowhere = json!({"id": "acct_01jd3vw4ezfkx8y0q4sfcmj2t9"});
    place(&alice, &from, &nowhere, 1)
        .await
        .refused(422, "payee_unavailable");
    act(&alice, &hold, "capture", json!({"amount": euros(101)}))
        .await
        .refused(422, "exceeds_hold");
    let dollars = json!({"amount": {"amount": 1, "currency": "USD"}});
    act(&alice, &hold, "capture", dollars)
        .await
        .refused(422, "currency_mismatch");
    act(&alice, "hold_1", "void", json!({}))
        .await
        .refused(404, "hold_not_found");
    assert_eq!(balance(&alice, &from).await, (1_000, 100, 900));
}

async fn of_all_verbs_at_once_the_money_moves_once(server: Server) {
    let (alice, from, bob, to) = town(&server, 100_000).await;
    let (mut captured, mut voided) = (0, 0);
    for round in 0..60 {
        let hold = place(&alice, &from, &to, 100).await.expect(201).text("id");
        let start = Arc::new(Barrier::new(6));
        let mut tasks = JoinSet::new();
        for number in 0..6 {
            let (start, hold) = (start.clone(), hold.clone());
            let person = if number % 2 == 0 {
                alice.clone()
            } else {
                bob.clone()
            };
            tasks.spawn(async move {
                start.wait().await;
                let verb = if number < 3 { "capture" } else { "void" };
                (verb, act(&person, &hold, verb, json!({})).await)
            });
        }
        let mut winners = Vec::new();
        for (verb, answer) in tasks.join_all().await {
            match answer.status {
                200 => winners.push(verb),
                _ => drop(answer.refused(409, "hold_not_open")),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        match winners[0] {
            "capture" => captured += 1,
            _ => voided += 1,
        }
        assert_eq!(bob.posted(&to).await, 100 * captured);
        assert_eq!(balance(&alice, &from).await.1, 0);
        if captured > 0 && voided > 0 && round >= 8 {
            return;
        }
    }
    panic!("only one order was seen: {captured} captured, {voided} voided");
}

async fn a_hundred_parallel_holds_never_reserve_more_than_there_is(server: Server) {
    let (alice, from, _bob, to) = town(&server, 1_000).await;
    let start = Arc::new(Barrier::new(100));
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let (start, alice) = (start.clone(), alice.clone());
        let (from, to) = (from.clone(), to.clone());
        tasks.spawn(async move {
            start.wait().await;
            if number % 2 == 0 {
                place(&alice, &from, &to, 30).await.status
            } else {
                alice.transfer(&new_key(), &from, &to, 30).await.status
            }
        });
    }
    let answers = tasks.join_all().await;
    let done = answers.iter().filter(|status| **status == 201).count();
    assert_eq!(done, 33, "{answers:?}");
    assert!(
        answers.iter().all(|status| [201, 422].contains(status)),
        "{answers:?}"
    );
    let (posted, held, available) = balance(&alice, &from).await;
    assert_eq!((posted - held, available), (10, 10));
}

async fn a_large_hold_needs_a_factor_as_a_transfer_does(server: Server) {
    let (alice, from, _bob, to) = town(&server, 9_000_000).await;
    // Without a factor of her own nothing asks her for one; once there is one, its size does.
    place(&alice, &from, &to, 2_000_000).await.expect(201);
    let client = &alice.client;
    let offered = client.post("/api/v1/me/mfa/totp", json!({})).await.expect(200);
    let code = json!({"code": code_of(&offered.text("otpauth_uri"))});
    client.post("/api/v1/me/mfa/totp/confirm", code).await.expect(200);
    client
        .post_once("/api/v1/holds", &new_key(), body(&from, &to, 2_000_000))
        .await
        .refused(401, "step_up_required");
    client
        .post_once("/api/v1/holds", &new_key(), body(&from, &to, 100))
        .await
        .expect(201);
}
