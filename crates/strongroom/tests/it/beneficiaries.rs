//! Whom customers pay by a name of their own: added with a fresh factor, paid little at first, there at once or
//! pending.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use strongroom_domain::iban::Iban;
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    factors::{approve, bind},
    harness::{Answer, BUSY, Client, Person, Server, people::new_key, stories},
    payments::{euros, is_clean},
};

pub(crate) const BENEFICIARIES: &str = "/api/v1/beneficiaries";
const PAYMENTS: &str = "/api/v1/payments";

stories! {
    with BUSY;
    somebody_here_is_added_with_a_fresh_proof_paid_at_once_and_taken_off,
    a_factor_approves_one_name_and_number_once,
    one_approval_and_sixteen_requests_at_once_add_one,
    who_is_new_is_paid_little_however_many_pay_at_once,
    whoever_is_taken_off_and_added_again_is_not_new_twice,
    a_payment_elsewhere_is_pending_and_comes_back_once,
    a_payment_like_one_of_a_moment_ago_is_asked_about,
    fifty_payments_alike_to_somebody_elsewhere_at_once_are_one,
    bad_requests_about_beneficiaries_have_their_codes_and_change_nothing,
    a_name_is_compared_and_never_told,
    after_a_reset_password_nobody_new_is_paid,
    whoever_leaves_takes_the_list_along,
}

/// A number of an account at another bank.
pub(crate) fn elsewhere(number: u64) -> String {
    Iban::compose("FR", "2004101005", &format!("{number:013}"))
        .unwrap()
        .as_str()
        .to_owned()
}

/// The same person with the password shown again just now.
pub(crate) async fn fresh(server: &Server, person: &Person) -> Person {
    let again = server.login(&person.email, &person.password).await;
    let body = json!({"method": "password", "code": person.password});
    let stepped = again.client.post("/api/v1/auth/step-up", body).await.expect(200);
    Person {
        client: server.visitor().with_token(&stepped.text("access_token")),
        ..again
    }
}

pub(crate) fn entry(name: &str, number: &str) -> Value {
    json!({"name": name, "account_number": number, "currency": "EUR"})
}

pub(crate) async fn pay(client: &Client, from: &Value, beneficiary: &str, minor: i64) -> Answer {
    let body = json!({"from_account_id": from["id"], "beneficiary_id": beneficiary, "amount": euros(minor),
        "reference": "rent"});
    client.post_once(PAYMENTS, &new_key(), body).await
}

/// Alice with money and a fresh proof, and an account of Bob's.
async fn town(server: &Server, minor: i64) -> (Person, Value, Person, Value) {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, to) = (alice.account("Household").await, bob.account("Flat").await);
    teller.deposit(&from, minor).await.expect(201);
    (fresh(server, &alice).await, from, bob, to)
}

async fn delete(client: &Client, path: &str) -> Answer {
    client.send(client.request(Method::DELETE, path)).await
}

async fn cancel(client: &Client, payment: &str, key: &str) -> Answer {
    let path = format!("{PAYMENTS}/{payment}/cancel");
    let request = client.request(Method::POST, &path).header("Idempotency-Key", key);
    client.send(request).await
}

async fn somebody_here_is_added_with_a_fresh_proof_paid_at_once_and_taken_off(server: Server) {
    let (alice, from, bob, to) = town(&server, 50_000).await;
    let number = to["number"].as_str().unwrap();
    let stale = server.login(&alice.email, &alice.password).await;
    let asked = stale.client.post(BENEFICIARIES, entry("Bob", number)).await;
    asked.refused(401, "step_up_required");
    let added = alice
        .client
        .post(BENEFICIARIES, entry("Bob", number))
        .await
        .expect(201);
    let id = added.text("id");
    let path = format!("{BENEFICIARIES}/{id}");
    assert_eq!(added.header("location"), Some(path.as_str()));
    assert_eq!(added.body["available"], euros(10_000));
    assert_eq!(
        (&added.body["bank"], &added.body["name"]),
        (&json!("this"), &json!("Bob"))
    );
    server.mail_with(&alice.email, "put on your list of payees").await;

    let spaced = number
        .to_lowercase()
        .chars()
        .flat_map(|c| [c, ' '])
        .collect::<String>();
    let again = alice.client.post(BENEFICIARIES, entry("Bobby", &spaced)).await;
    again.refused(409, "beneficiary_exists");
    let listed = alice.client.get(BENEFICIARIES).await.expect(200);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["data"][0]["account_number"], number);
    let read = alice.client.get(&path).await.expect(200);
    assert!(read.body["new_until"].is_string());

    // Nobody else has it, sees it or pays by it.
    bob.client.get(&path).await.refused(404, "beneficiary_not_found");
    delete(&bob.client, &path)
        .await
        .refused(404, "beneficiary_not_found");
    pay(&bob.client, &to, &id, 1)
        .await
        .refused(404, "beneficiary_not_found");

    let key = new_key();
    let body = json!({"from_account_id": from["id"], "beneficiary_id": id, "amount": euros(7_000), "reference": "rent"});
    let paid = alice
        .client
        .post_once(PAYMENTS, &key, body.clone())
        .await
        .expect(201);
    assert_eq!(
        (&paid.body["state"], &paid.body["beneficiary_name"]),
        (&json!("settled"), &json!("Bob"))
    );
    let replayed = alice.client.post_once(PAYMENTS, &key, body).await.expect(201);
    assert_eq!(replayed.body["id"], paid.body["id"]);
    assert_eq!(
        (alice.posted(&from).await, bob.posted(&to).await),
        (43_000, 7_000)
    );
    let path_of_payment = format!("{PAYMENTS}/{}", paid.text("id"));
    let seen = alice.client.get(&path_of_payment).await.expect(200);
    assert_eq!(
        (&seen.body["reference"], &seen.body["beneficiary_id"]),
        (&json!("rent"), &json!(id))
    );
    bob.client
        .get(&path_of_payment)
        .await
        .refused(404, "payment_not_found");
    let all = alice.client.get(PAYMENTS).await.expect(200);
    assert_eq!(all.body["data"][0]["id"], paid.body["id"]);
    // What is there is not taken back.
    cancel(&alice.client, &paid.text("id"), &new_key())
        .await
        .refused(404, "payment_not_found");

    delete(&alice.client, &path).await.expect(204);
    delete(&alice.client, &path)
        .await
        .refused(404, "beneficiary_not_found");
    pay(&alice.client, &from, &id, 1)
        .await
        .refused(404, "beneficiary_not_found");
    // What was paid keeps its name.
    let seen = alice.client.get(&path_of_payment).await.expect(200);
    assert_eq!(seen.body["beneficiary_name"], "Bob");
    is_clean(&server);
}

async fn a_factor_approves_one_name_and_number_once(server: Server) {
    let alice = server.customer("alice").await;
    let (uri, _) = bind(&alice.client).await;
    let asked = entry("Carla", &elsewhere(1));
    let refused = alice.client.post(BENEFICIARIES, asked.clone()).await;
    let refused = refused.refused(401, "step_up_required");
    approve(&alice.client, &uri, &refused).await.expect(204);
    for other in [entry("Karla", &elsewhere(1)), entry("Carla", &elsewhere(2))] {
        let told = alice.client.post(BENEFICIARIES, other).await;
        told.refused(401, "step_up_required");
    }
    alice.client.post(BENEFICIARIES, asked.clone()).await.expect(201);
    let told = alice.client.post(BENEFICIARIES, asked).await;
    told.refused(401, "step_up_required");
    let listed = alice.client.get(BENEFICIARIES).await.expect(200);
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1);
}

async fn one_approval_and_sixteen_requests_at_once_add_one(server: Server) {
    let alice = server.customer("alice").await;
    let (uri, _) = bind(&alice.client).await;
    let asked = entry("Carla", &elsewhere(1));
    let refused = alice.client.post(BENEFICIARIES, asked.clone()).await;
    let refused = refused.refused(401, "step_up_required");
    approve(&alice.client, &uri, &refused).await.expect(204);
    let start = Arc::new(Barrier::new(16));
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (start, client, asked) = (start.clone(), alice.client.clone(), asked.clone());
        tasks.spawn(async move {
            start.wait().await;
            client.post(BENEFICIARIES, asked).await.status
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(
        answers.iter().filter(|status| **status == 201).count(),
        1,
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|status| [201, 401].contains(status)),
        "{answers:?}"
    );
}

async fn who_is_new_is_paid_little_however_many_pay_at_once(server: Server) {
    let (alice, from, _, _) = town(&server, 1_000_000).await;
    let added = alice
        .client
        .post(BENEFICIARIES, entry("Carla", &elsewhere(1)))
        .await;
    let id = added.expect(201).text("id");
    pay(&alice.client, &from, &id, 10_001)
        .await
        .refused(422, "limit_exceeded");
    let start = Arc::new(Barrier::new(40));
    let mut tasks = JoinSet::new();
    for at in 0..40 {
        let (start, client, from, id) = (start.clone(), alice.client.clone(), from.clone(), id.clone());
        tasks.spawn(async move {
            start.wait().await;
            let answer = pay(&client, &from, &id, 900 + at).await;
            match answer.status {
                201 => 900 + at,
                422 => 0,
                _ => panic!("{answer:?}"),
            }
        });
    }
    let paid: i64 = tasks.join_all().await.into_iter().sum();
    assert!((9_100..=10_000).contains(&paid), "{paid}");
    assert_eq!(alice.posted(&from).await, 1_000_000 - paid);
    let read = alice
        .client
        .get(&format!("{BENEFICIARIES}/{id}"))
        .await
        .expect(200);
    assert_eq!(read.body["available"], euros(10_000 - paid));
    is_clean(&server);
}

async fn whoever_is_taken_off_and_added_again_is_not_new_twice(server: Server) {
    let (alice, from, _, _) = town(&server, 100_000).await;
    let asked = entry("Carla", &elsewhere(1));
    let first = alice
        .client
        .post(BENEFICIARIES, asked.clone())
        .await
        .expect(201)
        .text("id");
    pay(&alice.client, &from, &first, 9_000).await.expect(201);
    delete(&alice.client, &format!("{BENEFICIARIES}/{first}"))
        .await
        .expect(204);
    let second = alice.client.post(BENEFICIARIES, asked).await.expect(201);
    assert_ne!(second.text("id"), first);
    assert_eq!(second.body["available"], euros(1_000));
    pay(&alice.client, &from, &second.text("id"), 1_001)
        .await
        .refused(422, "limit_exceeded");
    pay(&alice.client, &from, &second.text("id"), 1_000)
        .await
        .expect(201);
}

async fn a_payment_elsewhere_is_pending_and_comes_back_once(server: Server) {
    let (alice, from, bob, _) = town(&server, 10_000).await;
    let added = alice
        .client
        .post(BENEFICIARIES, entry("Carla", &elsewhere(1)))
        .await
        .expect(201);
    assert_eq!(added.body["bank"], "other");
    let paid = pay(&alice.client, &from, &added.text("id"), 4_000)
        .await
        .expect(201);
    assert_eq!(paid.body["state"], "pending");
    let payment = paid.text("id");
    assert_eq!(alice.posted(&from).await, 6_000);
    cancel(&bob.client, &payment, &new_key())
        .await
        .refused(404, "payment_not_found");
    let start = Arc::new(Barrier::new(12));
    let mut tasks = JoinSet::new();
    for _ in 0..12 {
        let (start, client, payment) = (start.clone(), alice.client.clone(), payment.clone());
        tasks.spawn(async move {
            start.wait().await;
            let key = new_key();
            (cancel(&client, &payment, &key).await.status, key)
        });
    }
    let answers = tasks.join_all().await;
    let done: Vec<_> = answers.iter().filter(|(status, _)| *status == 200).collect();
    assert_eq!(done.len(), 1, "{answers:?}");
    assert!(
        answers.iter().all(|(status, _)| [200, 409].contains(status)),
        "{answers:?}"
    );
    assert_eq!(alice.posted(&from).await, 10_000);
    let again = cancel(&alice.client, &payment, &done[0].1).await.expect(200);
    assert_eq!(again.body["state"], "cancelled");
    cancel(&alice.client, &payment, &new_key())
        .await
        .refused(409, "payment_left");
    let limits = alice.client.get("/api/v1/limits").await.expect(200);
    assert_eq!(limits.body["spent_today"], euros(0));
    is_clean(&server);
}

async fn a_payment_like_one_of_a_moment_ago_is_asked_about(server: Server) {
    let (alice, from, _, _) = town(&server, 10_000).await;
    let added = alice
        .client
        .post(BENEFICIARIES, entry("Carla", &elsewhere(1)))
        .await;
    let id = added.expect(201).text("id");
    let first = pay(&alice.client, &from, &id, 700).await.expect(201).text("id");
    let asked = pay(&alice.client, &from, &id, 700)
        .await
        .refused(409, "duplicate_suspected");
    assert_eq!(asked.body["resource"], first.as_str());
    pay(&alice.client, &from, &id, 701).await.expect(201);
    // Another one in between hides nothing.
    for minor in [700, 701] {
        pay(&alice.client, &from, &id, minor)
            .await
            .refused(409, "duplicate_suspected");
    }
    let body = json!({"from_account_id": from["id"], "beneficiary_id": id, "amount": euros(700)});
    let asked = alice.client.post_once(PAYMENTS, &new_key(), body.clone()).await;
    let word = asked.refused(409, "duplicate_suspected").text("confirmation");
    let request = alice.client.request(Method::POST, PAYMENTS);
    let request = request
        .header("Idempotency-Key", new_key())
        .header("X-Confirm-Duplicate", word)
        .json(&body);
    alice.client.send(request).await.expect(201);
    assert_eq!(alice.posted(&from).await, 10_000 - 2_101);
}

async fn fifty_payments_alike_to_somebody_elsewhere_at_once_are_one(server: Server) {
    let (alice, from, _, to) = town(&server, 10_000).await;
    let number = to["number"].as_str().unwrap().to_owned();
    let mut left = 10_000;
    for (name, number) in [("Carla", elsewhere(1)), ("Bob", number)] {
        let added = alice.client.post(BENEFICIARIES, entry(name, &number)).await;
        let id = added.expect(201).text("id");
        let start = Arc::new(Barrier::new(50));
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let (start, alice, from, id) = (start.clone(), alice.clone(), from.clone(), id.clone());
            tasks.spawn(async move {
                start.wait().await;
                pay(&alice.client, &from, &id, 700).await
            });
        }
        let answers = tasks.join_all().await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1, "{name}");
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            answer.refused(409, "duplicate_suspected");
        }
        left -= 700;
        assert_eq!(alice.posted(&from).await, left);
    }
    is_clean(&server);
}

async fn bad_requests_about_beneficiaries_have_their_codes_and_change_nothing(server: Server) {
    let (alice, from, _, to) = town(&server, 10_000).await;
    let number = to["number"].as_str().unwrap().to_owned();
    for (body, pointer) in [
        (entry("", &number), "/name"),
        (entry("Bob\u{202e}", &number), "/name"),
        (entry("Bob", "DE00100000000000000000"), "/account_number"),
        (
            json!({"name": "Bob", "account_number": number, "currency": "eur"}),
            "/currency",
        ),
    ] {
        let told = alice
            .client
            .post(BENEFICIARIES, body)
            .await
            .refused(400, "validation_failed");
        assert_eq!(told.body["errors"][0]["pointer"], pointer);
    }
    // A number of this bank that is nobody's, or in another currency: whatever it is, it cannot be paid.
    let nobodys = Iban::compose("DE", "10000000", "9999999999").unwrap();
    let dollars = json!({"name": "Bob", "account_number": number, "currency": "USD"});
    for body in [entry("Bob", nobodys.as_str()), dollars] {
        alice
            .client
            .post(BENEFICIARIES, body)
            .await
            .refused(422, "payee_unavailable");
    }
    let id = alice
        .client
        .post(BENEFICIARIES, entry("Bob", &number))
        .await
        .expect(201)
        .text("id");
    let body = |extra: Value| {
        let mut body = json!({"from_account_id": from["id"], "amount": euros(1)});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body
    };
    for (extra, pointer) in [
        (json!({}), "/merchant_id"),
        (json!({"beneficiary_id": "bnf_1"}), "/beneficiary_id"),
        (
            json!({"beneficiary_id": id, "merchant_id": "mrch_01jd3vw4ezfkx8y0q4sfcmj2t9"}),
            "/beneficiary_id",
        ),
    ] {
        let told = alice.client.post_once(PAYMENTS, &new_key(), body(extra)).await;
        let told = told.refused(400, "validation_failed");
        assert_eq!(told.body["errors"][0]["pointer"], pointer);
    }
    let wrong_money = json!({"from_account_id": from["id"], "beneficiary_id": id, "amount": {"amount": 1, "currency": "USD"}});
    let told = alice.client.post_once(PAYMENTS, &new_key(), wrong_money).await;
    told.refused(422, "currency_mismatch");
    assert_eq!(alice.posted(&from).await, 10_000);
}

async fn a_name_is_compared_and_never_told(server: Server) {
    let (alice, _, _, to) = town(&server, 1).await;
    let number = to["number"].as_str().unwrap();
    let nobodys = Iban::compose("DE", "10000000", "9999999999").unwrap();
    let check = async |name: &str, number: &str| {
        let body = json!({"name": name, "account_number": number});
        let path = format!("{BENEFICIARIES}/name-check");
        alice.client.post(&path, body).await
    };
    let far = elsewhere(1);
    for (name, number, result) in [
        ("Example, BOB", number, "match"),
        ("B. Example", number, "close_match"),
        ("Carla Landlord", number, "no_match"),
        ("bob Example", nobodys.as_str(), "no_match"),
        ("alice Example", nobodys.as_str(), "no_match"),
        ("bob Example", far.as_str(), "not_possible"),
    ] {
        let told = check(name, number).await.expect(200);
        assert_eq!(told.body, json!({"result": result}), "{name}");
    }
    for _ in 6..10 {
        check("Dora", number).await.expect(200);
    }
    check("Dora", number).await.refused(429, "rate_limited");
}

async fn after_a_reset_password_nobody_new_is_paid(server: Server) {
    let (alice, from, _, _) = town(&server, 10_000).await;
    let added = alice
        .client
        .post(BENEFICIARIES, entry("Carla", &elsewhere(1)))
        .await;
    let id = added.expect(201).text("id");
    pay(&alice.client, &from, &id, 100).await.expect(201);
    let forgot = json!({"email": alice.email});
    server
        .client()
        .post("/api/v1/auth/password/forgot", forgot)
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
    pay(&again.client, &from, &id, 101)
        .await
        .refused(422, "beneficiary_too_new");
    let person = fresh(
        &server,
        &Person {
            password: new.to_owned(),
            ..again
        },
    )
    .await;
    let added = person
        .client
        .post(BENEFICIARIES, entry("Dora", &elsewhere(2)))
        .await;
    let newer = added.expect(201).text("id");
    pay(&person.client, &from, &newer, 1)
        .await
        .refused(422, "beneficiary_too_new");
}

async fn whoever_leaves_takes_the_list_along(server: Server) {
    let (alice, from, bob, to) = town(&server, 100).await;
    let added = alice
        .client
        .post(BENEFICIARIES, entry("Carla", &elsewhere(1)))
        .await;
    let id = added.expect(201).text("id");
    let copy = alice
        .client
        .post("/api/v1/me/export", Value::Null)
        .await
        .expect(200);
    assert_eq!(copy.body["beneficiaries"][0]["name"], "Carla");
    let payment = pay(&alice.client, &from, &id, 100).await.expect(201).text("id");
    let close = format!("/api/v1/accounts/{}/close", from["id"].as_str().unwrap());
    // What is on its way may come back, and needs a name and a number.
    alice
        .client
        .post(&close, Value::Null)
        .await
        .refused(409, "payments_waiting");
    cancel(&alice.client, &payment, &new_key()).await.expect(200);
    alice
        .client
        .post(&close, Value::Null)
        .await
        .refused(409, "account_not_empty");
    // Whoever owes nothing and waits for nothing leaves.
    let id = to["id"].as_str().unwrap();
    bob.client
        .post(&format!("/api/v1/accounts/{id}/close"), Value::Null)
        .await
        .expect(200);
    let bob = fresh(&server, &bob).await;
    bob.client
        .post(BENEFICIARIES, entry("Carla", &elsewhere(1)))
        .await
        .expect(201);
    delete(&bob.client, "/api/v1/me").await.expect(204);
    is_clean(&server);
}
