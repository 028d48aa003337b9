//! Customers pay merchants; merchants give back, at most what they were paid.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Answer, BUSY, Person, Server, people::new_key, stories};

stories! {
    with BUSY;
    a_merchant_is_paid_and_gives_back_in_parts_but_never_more,
    a_payment_like_one_of_a_moment_ago_is_asked_about,
    fifty_payments_alike_at_once_are_one,
    of_many_refunds_at_once_no_more_comes_back_than_was_paid,
    every_request_about_a_payment_is_answered_once,
    a_payment_is_its_two_sides_affair_and_a_merchant_the_banks,
    bad_requests_about_payments_have_their_codes_and_change_nothing,
    payments_are_listed_once_each_while_more_come_in,
}

pub(crate) fn euros(minor: i64) -> Value {
    json!({"amount": minor, "currency": "EUR"})
}

/// Alice with money, and Bob's shop.
pub(crate) struct Town {
    pub(crate) alice: Person,
    pub(crate) from: Value,
    pub(crate) bob: Person,
    pub(crate) shop: Value,
    pub(crate) teller: Person,
    pub(crate) merchant: String,
}

pub(crate) async fn town(server: &Server, minor: i64) -> Town {
    let (alice, bob) = (server.customer("alice").await, server.customer("bob").await);
    let teller = server.operator("teller").await;
    let (from, shop) = (alice.account("Household").await, bob.account("Shop").await);
    teller.deposit(&from, minor).await.expect(201);
    let body = json!({"account_id": shop["id"], "name": "Bob's Bakery"});
    let made = teller.client.post("/api/v1/admin/merchants", body).await;
    let merchant = made.expect(201).text("id");
    Town {
        alice,
        from,
        bob,
        shop,
        teller,
        merchant,
    }
}

impl Town {
    pub(crate) fn body(&self, minor: i64) -> Value {
        json!({"from_account_id": self.from["id"], "merchant_id": self.merchant, "amount": euros(minor),
            "reference": "order 17"})
    }

    pub(crate) async fn pay(&self, minor: i64) -> Answer {
        let body = self.body(minor);
        self.alice
            .client
            .post_once("/api/v1/payments", &new_key(), body)
            .await
    }

    /// Pays again although it looks like a mistake.
    async fn confirm(&self, minor: i64, confirmation: &str) -> Answer {
        let client = &self.alice.client;
        let request = client
            .request(reqwest::Method::POST, "/api/v1/payments")
            .header("Idempotency-Key", new_key())
            .header("X-Confirm-Duplicate", confirmation)
            .json(&self.body(minor));
        client.send(request).await
    }

    pub(crate) async fn refund(&self, payment: &str, body: Value) -> Answer {
        let path = format!("/api/v1/payments/{payment}/refund");
        self.bob.client.post_once(&path, &new_key(), body).await
    }

    pub(crate) async fn balances(&self) -> (i64, i64) {
        (
            self.alice.posted(&self.from).await,
            self.bob.posted(&self.shop).await,
        )
    }
}

pub(crate) fn is_clean(server: &Server) {
    let (clean, said, error) = server.cli(&["audit", "verify", "--json"]);
    assert!(clean, "{said}{error}");
}

async fn a_merchant_is_paid_and_gives_back_in_parts_but_never_more(server: Server) {
    let town = town(&server, 10_000).await;
    let paid = town.pay(4_500).await.expect(201);
    let payment = paid.text("id");
    let path = format!("/api/v1/payments/{payment}");
    assert_eq!(paid.header("location"), Some(path.as_str()));
    assert_eq!(
        (&paid.body["state"], &paid.body["reference"]),
        (&json!("paid"), &json!("order 17"))
    );
    assert_eq!(town.balances().await, (5_500, 4_500));

    let part = town
        .refund(&payment, json!({"amount": euros(1_500)}))
        .await
        .expect(201);
    assert_eq!(
        (&part.body["refunded"], &part.body["remaining"]),
        (&euros(1_500), &euros(3_000))
    );
    assert_eq!(part.body["payment_state"], "partially_refunded");
    town.refund(&payment, json!({"amount": euros(3_001)}))
        .await
        .refused(422, "exceeds_payment");
    let rest = town.refund(&payment, json!({})).await.expect(201);
    assert_eq!(
        (&rest.body["amount"], &rest.body["payment_state"]),
        (&euros(3_000), &json!("refunded"))
    );
    for body in [json!({}), json!({"amount": euros(1)})] {
        town.refund(&payment, body).await.refused(409, "payment_closed");
    }
    assert_eq!(town.balances().await, (10_000, 0));

    // Both sides see both, in order and in their histories, with receipts.
    for reader in [&town.alice, &town.bob] {
        let seen = reader.client.get(&path).await.expect(200);
        assert_eq!(
            (&seen.body["state"], &seen.body["reference"]),
            (&json!("refunded"), &json!("order 17"))
        );
        let list = reader
            .client
            .get(&format!("{path}/refunds?limit=1"))
            .await
            .expect(200);
        assert_eq!(list.body["data"][0]["amount"], euros(1_500));
        let cursor = list.text("next_cursor");
        let next = format!("{path}/refunds?limit=1&cursor={cursor}");
        let next = reader.client.get(&next).await.expect(200);
        assert_eq!(next.body["data"][0]["id"], rest.body["id"]);
        assert_eq!(next.body["next_cursor"], Value::Null);
    }
    let id = town.shop["id"].as_str().unwrap();
    for (kind, amounts) in [("payment", vec![4_500]), ("refund", vec![-3_000, -1_500])] {
        let history = format!("/api/v1/accounts/{id}/transactions?kind={kind}");
        let lines = town.bob.client.get(&history).await.expect(200).body;
        let found: Vec<_> = lines["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line["amount"]["amount"].as_i64().unwrap())
            .collect();
        assert_eq!(found, amounts, "{kind}");
        let transaction = lines["data"][0]["transaction_id"].as_str().unwrap();
        let receipt = format!("/api/v1/receipts/{transaction}");
        town.alice.client.get(&receipt).await.expect(200);
    }
    is_clean(&server);
}

async fn a_payment_like_one_of_a_moment_ago_is_asked_about(server: Server) {
    let town = town(&server, 10_000).await;
    let first = town.pay(700).await.expect(201).text("id");
    // Another amount is another payment, and so is another payee.
    town.pay(701).await.expect(201);
    let asked = town.pay(700).await.refused(409, "duplicate_suspected");
    assert_eq!(asked.body["resource"], first.as_str());
    let word = asked.text("confirmation");
    for wrong in ["yes", "pay_1"] {
        town.confirm(700, wrong).await.refused(400, "validation_failed");
    }
    assert_eq!(town.balances().await.0, 8_599);
    let second = town.confirm(700, &word).await.expect(201).text("id");
    assert_ne!(first, second);
    // The word stands for the one payment that was asked about.
    let again = town.confirm(700, &word).await.refused(409, "duplicate_suspected");
    assert_eq!(again.body["resource"], second.as_str());
    // What was given back in whole was not paid.
    town.refund(&second, json!({})).await.expect(201);
    let third = town.pay(700).await.refused(409, "duplicate_suspected");
    assert_eq!(third.body["resource"], first.as_str());
    town.refund(&first, json!({})).await.expect(201);
    town.pay(700).await.expect(201);
    assert_eq!(town.balances().await, (8_599, 1_401));
    is_clean(&server);
}

async fn fifty_payments_alike_at_once_are_one(server: Server) {
    let town = town(&server, 100_000).await;
    let mut tries = JoinSet::new();
    for _ in 0..50 {
        let (client, body) = (town.alice.client.clone(), town.body(900));
        tries.spawn(async move { client.post_once("/api/v1/payments", &new_key(), body).await });
    }
    let answers = tries.join_all().await;
    let paid = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(paid, 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "duplicate_suspected");
    }
    assert_eq!(town.balances().await, (99_100, 900));
}

async fn of_many_refunds_at_once_no_more_comes_back_than_was_paid(server: Server) {
    let town = town(&server, 10_000).await;
    // Money of others that a refund too many would take.
    town.teller.deposit(&town.shop, 50_000).await.expect(201);
    let payment = town.pay(1_000).await.expect(201).text("id");
    let mut tries = JoinSet::new();
    for number in 0..40 {
        let client = town.bob.client.clone();
        let path = format!("/api/v1/payments/{payment}/refund");
        let body = match number % 4 {
            0 => json!({}),
            _ => json!({"amount": euros(90)}),
        };
        tries.spawn(async move { client.post_once(&path, &new_key(), body).await });
    }
    let answers = tries.join_all().await;
    let back: i64 = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.body["amount"]["amount"].as_i64().unwrap())
        .sum();
    assert_eq!(
        back, 1_000,
        "whole refunds are among them, so all of it came back"
    );
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let code = answer.text("code");
        assert!(
            ["payment_closed", "exceeds_payment"].contains(&code.as_str()),
            "{answer:?}"
        );
    }
    assert_eq!(town.balances().await, (10_000, 50_000));
    is_clean(&server);
}

async fn every_request_about_a_payment_is_answered_once(server: Server) {
    let town = town(&server, 10_000).await;
    let (paying, giving) = (new_key(), new_key());
    let pay = async || {
        let body = town.body(800);
        town.alice
            .client
            .post_once("/api/v1/payments", &paying, body)
            .await
    };
    let paid = pay().await.expect(201);
    let path = format!("/api/v1/payments/{}/refund", paid.text("id"));
    let give = async || {
        let body = json!({"amount": euros(300)});
        town.bob.client.post_once(&path, &giving, body).await
    };
    let given = give().await.expect(201);
    town.refund(&paid.text("id"), json!({})).await.expect(201);
    // Whatever has become of the payment; and a repetition is not taken for a second payment.
    for (again, before) in [(pay().await, &paid), (give().await, &given)] {
        assert_eq!((again.status, &again.body), (before.status, &before.body));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(town.balances().await, (10_000, 0));
    let other = json!({"amount": euros(301)});
    let refused = town.bob.client.post_once(&path, &giving, other).await;
    let refused = refused.refused(422, "idempotency_key_reused");
    assert_eq!(refused.body["errors"][0]["pointer"], "/amount/amount");
}

async fn a_payment_is_its_two_sides_affair_and_a_merchant_the_banks(server: Server) {
    let town = town(&server, 5_000).await;
    let eve = server.customer("eve").await;
    let support = server.operator("support").await;
    let payment = town.pay(500).await.expect(201).text("id");
    let path = format!("/api/v1/payments/{payment}");
    for reader in [&town.alice, &town.bob, &support] {
        reader.client.get(&path).await.expect(200);
    }
    for path in [path.clone(), format!("{path}/refunds")] {
        eve.client.get(&path).await.refused(404, "payment_not_found");
    }
    // Who paid gives nothing back, and nobody else does.
    for other in [&town.alice, &eve, &support] {
        let refund = format!("{path}/refund");
        other
            .client
            .post_once(&refund, &new_key(), json!({}))
            .await
            .refused(404, "payment_not_found");
    }
    let body = town.body(500);
    eve.client
        .post_once("/api/v1/payments", &new_key(), body)
        .await
        .refused(404, "account_not_found");
    let list = format!("/api/v1/payments?merchant_id={}", town.merchant);
    assert_eq!(
        town.bob.client.get(&list).await.expect(200).body["data"][0]["id"],
        payment.as_str()
    );
    for other in [&town.alice, &eve] {
        other.client.get(&list).await.refused(404, "not_found");
    }
    assert_eq!(
        eve.client.get("/api/v1/payments").await.expect(200).body["data"],
        json!([])
    );

    let merchant = format!("/api/v1/merchants/{}", town.merchant);
    let seen = eve.client.get(&merchant).await.expect(200).body;
    assert_eq!(
        (&seen["name"], &seen["account_id"]),
        (&json!("Bob's Bakery"), &Value::Null)
    );
    let own = json!({"account_id": eve.account("Shop").await["id"], "name": "Bob's Bakery"});
    for other in [&eve, &town.bob, &support] {
        other
            .client
            .post("/api/v1/admin/merchants", own.clone())
            .await
            .refused(403, "forbidden");
    }
    let twice = json!({"account_id": town.shop["id"], "name": "Bob again"});
    town.teller
        .client
        .post("/api/v1/admin/merchants", twice)
        .await
        .refused(409, "merchant_exists");
    let all = town
        .teller
        .client
        .get("/api/v1/admin/merchants")
        .await
        .expect(200);
    assert_eq!(all.body["data"][0]["account_id"], town.shop["id"]);
    assert_eq!(all.body["data"].as_array().unwrap().len(), 1);
}

async fn bad_requests_about_payments_have_their_codes_and_change_nothing(server: Server) {
    let town = town(&server, 1_000).await;
    let with = |name: &str, value: Value| {
        let mut body = town.body(10);
        body[name] = value;
        body
    };
    let wrong = [
        ("/from_account_id", with("from_account_id", json!("acct_1"))),
        ("/merchant_id", with("merchant_id", json!("mrch_1"))),
        ("/amount/amount", with("amount", euros(0))),
        (
            "/amount/amount",
            with("amount", json!({"amount": "nan", "currency": "EUR"})),
        ),
        (
            "/amount/amount",
            with("amount", json!({"amount": true, "currency": "EUR"})),
        ),
        (
            "/amount/currency",
            with("amount", json!({"amount": 1, "currency": "XXX"})),
        ),
        ("/reference", with("reference", json!("a\u{202e}b"))),
        ("/payer", with("payer", json!("alice"))),
    ];
    for (pointer, body) in wrong {
        let refused = town
            .alice
            .client
            .post_once("/api/v1/payments", &new_key(), body)
            .await
            .refused(400, "validation_failed");
        assert_eq!(
            refused.body["errors"][0]["pointer"], pointer,
            "{:?}",
            refused.body
        );
    }
    let send = async |body: Value| {
        town.alice
            .client
            .post_once("/api/v1/payments", &new_key(), body)
            .await
    };
    town.alice
        .client
        .post("/api/v1/payments", town.body(10))
        .await
        .refused(400, "idempotency_key_missing");
    let nobody = with("merchant_id", json!("mrch_01jd3vw4ezfkx8y0q4sfcmj2t9"));
    send(nobody).await.refused(422, "payee_unavailable");
    let dollars = with("amount", json!({"amount": 10, "currency": "USD"}));
    send(dollars).await.refused(422, "currency_mismatch");
    send(town.body(1_001)).await.refused(422, "insufficient_funds");
    let payment = town.pay(600).await.expect(201).text("id");
    town.refund(&payment, json!({"amount": {"amount": 1, "currency": "USD"}}))
        .await
        .refused(422, "currency_mismatch");
    town.refund("pay_1", json!({}))
        .await
        .refused(404, "payment_not_found");
    // A merchant without the money gives nothing back, and one who is frozen is not paid.
    let elsewhere = town.bob.account("Elsewhere").await;
    town.bob
        .transfer(&new_key(), &town.shop, &elsewhere, 600)
        .await
        .expect(201);
    town.refund(&payment, json!({}))
        .await
        .refused(422, "insufficient_funds");
    let id = town.shop["id"].as_str().unwrap();
    let freeze = format!("/api/v1/admin/accounts/{id}/freeze");
    town.teller
        .client
        .post(&freeze, json!({"scope": "all"}))
        .await
        .expect(200);
    town.pay(1).await.refused(422, "payee_unavailable");
    town.refund(&payment, json!({}))
        .await
        .refused(422, "account_frozen");
    assert_eq!(town.alice.posted(&town.from).await, 400);
    is_clean(&server);
}

async fn payments_are_listed_once_each_while_more_come_in(server: Server) {
    let town = town(&server, 1_000_000).await;
    let mut made = Vec::new();
    for minor in 1..=30 {
        made.push(town.pay(minor).await.expect(201).text("id"));
    }
    made.reverse();
    for base in [
        "/api/v1/payments?limit=7".to_owned(),
        format!("/api/v1/payments?merchant_id={}&limit=7", town.merchant),
    ] {
        let reader = if base.contains("merchant") {
            &town.bob
        } else {
            &town.alice
        };
        let (mut seen, mut path) = (Vec::new(), base.clone());
        loop {
            let page = reader.client.get(&path).await.expect(200);
            let data = page.body["data"].as_array().unwrap();
            seen.extend(data.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
            match page.body["next_cursor"].as_str() {
                Some(cursor) => path = format!("{base}&cursor={cursor}"),
                None => break,
            }
            // What comes in between is newer than every page that follows.
            town.pay(1_000 + i64::try_from(seen.len()).unwrap() + i64::from(reader.email == town.bob.email))
                .await
                .expect(201);
        }
        seen.retain(|id| made.contains(id));
        assert_eq!(seen, made, "{base}");
    }
}
