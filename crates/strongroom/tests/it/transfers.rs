//! Money moves between two customers.

use serde_json::json;

use crate::harness::{
    BUSY, Server,
    people::{new_key, transfer_body},
    stories,
};

stories! {
    with BUSY;
    a_transfer_reaches_the_payee_once_however_often_it_is_sent,
    refusals_have_their_codes_and_change_nothing,
    somebody_elses_account_looks_like_no_account,
    a_hundred_of_two_hundred_parallel_transfers_fit,
    a_dry_run_decides_and_books_nothing,
    history_pages_are_stable_and_filters_find_their_lines,
    balances_can_be_read_as_they_were,
    a_frozen_account_sends_nothing_and_the_owner_cannot_lift_the_banks_freeze,
}

async fn a_transfer_reaches_the_payee_once_however_often_it_is_sent(server: Server) {
    let (alice, bob, teller) = (
        server.customer("alice").await,
        server.customer("bob").await,
        server.operator("teller").await,
    );
    let (from, to) = (alice.account("Household").await, bob.account("Savings").await);
    teller.deposit(&from, 10_000).await.expect(201);

    let key = new_key();
    let first = alice.transfer(&key, &from, &to, 2_500).await.expect(201);
    assert_eq!(
        first.header("location"),
        Some(format!("/api/v1/transfers/{}", first.text("id")).as_str())
    );
    assert_eq!(first.header("idempotent-replayed"), None);
    for _ in 0..3 {
        let again = alice.transfer(&key, &from, &to, 2_500).await.expect(201);
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.body, first.body);
    }
    assert_eq!((alice.posted(&from).await, bob.posted(&to).await), (7_500, 2_500));

    // The same key with another amount is refused and names the field; another person's same key is another key.
    let other = alice
        .transfer(&key, &from, &to, 2_501)
        .await
        .refused(422, "idempotency_key_reused");
    assert_eq!(other.body["errors"][0]["pointer"], "/amount/amount");
    bob.transfer(&key, &to, &from, 500).await.expect(201);
    assert_eq!((alice.posted(&from).await, bob.posted(&to).await), (8_000, 2_000));

    // Both sides can read it, and find it by its key.
    let id = first.text("id");
    assert_eq!(
        bob.client
            .get(&format!("/api/v1/transfers/{id}"))
            .await
            .expect(200)
            .body,
        first.body
    );
    let found = alice
        .client
        .get(&format!("/api/v1/transfers?idempotency_key={key}"))
        .await
        .expect(200);
    assert_eq!(found.body, first.body);
}

async fn refusals_have_their_codes_and_change_nothing(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("One").await, alice.account("Two").await);
    let dollars = alice.account_in("Dollars", "USD").await;
    teller.deposit(&from, 1_000).await.expect(201);
    let send = async |body| {
        alice
            .client
            .post_once("/api/v1/transfers", &new_key(), body)
            .await
    };

    send(transfer_body(&from, &to, 1_001))
        .await
        .refused(422, "insufficient_funds");
    send(transfer_body(&from, &from, 1))
        .await
        .refused(422, "same_account");
    send(transfer_body(&from, &dollars, 1))
        .await
        .refused(422, "payee_unavailable");
    let mut wrong = transfer_body(&from, &to, 1);
    wrong["amount"]["currency"] = json!("USD");
    send(wrong).await.refused(422, "currency_mismatch");
    for (minor, pointer) in [
        (0, "/amount/amount"),
        (-5, "/amount/amount"),
        (1_000_000_000_000_001, "/amount/amount"),
    ] {
        let refused = send(transfer_body(&from, &to, minor))
            .await
            .refused(400, "validation_failed");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    let mut wrong = transfer_body(&from, &to, 1);
    wrong["amount"] = json!({"amount": 1.5, "currency": "EURO"});
    wrong["extra"] = json!(true);
    send(wrong).await.refused(400, "validation_failed");
    let missing = alice
        .client
        .post("/api/v1/transfers", transfer_body(&from, &to, 1))
        .await;
    missing.refused(400, "idempotency_key_missing");
    assert_eq!((alice.posted(&from).await, alice.posted(&to).await), (1_000, 0));
    // Exactly what is there may go.
    send(transfer_body(&from, &to, 1_000)).await.expect(201);
}

async fn somebody_elses_account_looks_like_no_account(server: Server) {
    let (alice, mallory) = (server.customer("alice").await, server.customer("mallory").await);
    let (hers, his) = (alice.account("Hers").await, mallory.account("His").await);
    let absent = json!({"id": "acct_01h455vb4pex5vsknk084sn02q", "currency": "EUR"});
    for (foreign, path) in [
        (&hers, ""),
        (&hers, "/balance"),
        (&hers, "/transactions"),
        (&absent, ""),
        (&absent, "/balance"),
    ] {
        let id = foreign["id"].as_str().unwrap();
        mallory
            .client
            .get(&format!("/api/v1/accounts/{id}{path}"))
            .await
            .refused(404, "account_not_found");
    }
    for foreign in [&hers, &absent] {
        mallory
            .transfer(&new_key(), foreign, &his, 1)
            .await
            .refused(404, "account_not_found");
        let id = foreign["id"].as_str().unwrap();
        for verb in ["freeze", "unfreeze", "close"] {
            let path = format!("/api/v1/accounts/{id}/{verb}");
            mallory
                .client
                .send(mallory.client.request(reqwest::Method::POST, &path))
                .await
                .refused(404, "account_not_found");
        }
    }
    // A customer mints no money and sees no counter.
    mallory.deposit(&his, 1_000).await.refused(403, "forbidden");
    server
        .client()
        .get("/api/v1/accounts")
        .await
        .refused(401, "unauthenticated");
    assert_eq!(
        alice.client.get("/api/v1/accounts").await.expect(200).body["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn a_hundred_of_two_hundred_parallel_transfers_fit(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 1_000).await.expect(201);
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (alice, from, to) = (alice.clone(), from.clone(), to.clone());
            tokio::spawn(async move { alice.transfer(&new_key(), &from, &to, 10).await })
        })
        .collect();
    let mut counts = std::collections::BTreeMap::new();
    for task in tasks {
        let answer = task.await.unwrap();
        *counts
            .entry((answer.status, answer.code().to_owned()))
            .or_insert(0) += 1;
    }
    let expected = [
        ((201, String::new()), 100),
        ((422, "insufficient_funds".to_owned()), 100),
    ];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!((alice.posted(&from).await, alice.posted(&to).await), (0, 1_000));
}

async fn a_dry_run_decides_and_books_nothing(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 1_000).await.expect(201);
    let dry = alice
        .client
        .post("/api/v1/transfers?dry_run=true", transfer_body(&from, &to, 400))
        .await
        .expect(200);
    assert_eq!(dry.body["dry_run"], true);
    let refused = alice
        .client
        .post("/api/v1/transfers?dry_run=true", transfer_body(&from, &to, 4_000))
        .await;
    refused.refused(422, "insufficient_funds");
    alice
        .client
        .get(&format!("/api/v1/transfers/{}", dry.text("id")))
        .await
        .refused(404, "not_found");
    assert_eq!((alice.posted(&from).await, alice.posted(&to).await), (1_000, 0));
}

async fn history_pages_are_stable_and_filters_find_their_lines(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 100_000).await.expect(201);
    for minor in 1..=60 {
        alice.transfer(&new_key(), &from, &to, minor).await.expect(201);
    }
    let base = format!("/api/v1/accounts/{}/transactions", from["id"].as_str().unwrap());
    let (mut cursor, mut sequences, mut pages) = (None::<String>, Vec::new(), 0);
    loop {
        let query = cursor
            .as_ref()
            .map(|cursor| format!("&cursor={cursor}"))
            .unwrap_or_default();
        let page = alice
            .client
            .get(&format!("{base}?limit=7{query}"))
            .await
            .expect(200);
        for line in page.body["data"].as_array().unwrap() {
            sequences.push(line["sequence"].as_u64().unwrap());
        }
        pages += 1;
        // Somebody keeps inserting while we walk: no line moves to another page.
        alice.transfer(&new_key(), &from, &to, 1).await.expect(201);
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(sequences, (1..=61).rev().collect::<Vec<_>>());
    assert_eq!(pages, 9);
    let count = async |query: &str| {
        let page = alice
            .client
            .get(&format!("{base}?limit=100&{query}"))
            .await
            .expect(200);
        page.body["data"].as_array().unwrap().len()
    };
    assert_eq!(count("min_amount=55&max_amount=60").await, 6);
    assert_eq!(count("kind=deposit").await, 1);
    assert_eq!(count("q=OPENING").await, 1);
    assert_eq!(count("q=nowhere").await, 0);
    // Between two moments: from the first on, and before the second.
    let page = alice.client.get(&format!("{base}?limit=100")).await.expect(200);
    let lines = page.body["data"].as_array().unwrap();
    let at = |number: usize| lines[number]["booked_at"].as_str().unwrap();
    let booked: Vec<&str> = (0..lines.len()).map(at).collect();
    let (late, early) = (at(20), at(40));
    let between = booked.iter().filter(|time| (early..late).contains(*time)).count();
    assert!(
        (1..booked.len()).contains(&between),
        "{between} of {}",
        booked.len()
    );
    assert_eq!(count(&format!("from={early}&to={late}")).await, between);
    let since = booked.iter().filter(|time| **time >= late).count();
    assert_eq!(count(&format!("from={late}")).await, since);
    assert_eq!(count(&format!("from={late}&to={late}")).await, 0);
    assert_eq!(count("to=2020-01-01T00:00:00Z").await, 0);
    for wrong in [
        "limit=0",
        "limit=101",
        "cursor=x",
        "kind=loan",
        "min_amount=-1",
        "from=today",
        "unknown=1",
    ] {
        alice
            .client
            .get(&format!("{base}?{wrong}"))
            .await
            .refused(400, "validation_failed");
    }
}

async fn balances_can_be_read_as_they_were(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    let mut moments = vec![(
        teller.deposit(&from, 1_000).await.expect(201).text("created_at"),
        1_000,
    )];
    for minor in [100, 200, 300] {
        let sent = alice.transfer(&new_key(), &from, &to, minor).await.expect(201);
        moments.push((sent.text("created_at"), moments.last().unwrap().1 - minor));
    }
    let path = format!("/api/v1/accounts/{}/balance", from["id"].as_str().unwrap());
    for (at, expected) in &moments {
        let then = alice.client.get(&format!("{path}?at={at}")).await.expect(200);
        assert_eq!(then.body["posted"], *expected, "{at}");
    }
    assert_eq!(
        alice
            .client
            .get(&format!("{path}?at=2020-01-01T00:00:00Z"))
            .await
            .expect(200)
            .body["posted"],
        0
    );
    alice
        .client
        .get(&format!("{path}?at=2999-01-01T00:00:00Z"))
        .await
        .refused(400, "validation_failed");
}

async fn a_frozen_account_sends_nothing_and_the_owner_cannot_lift_the_banks_freeze(server: Server) {
    let (alice, teller) = (server.customer("alice").await, server.operator("teller").await);
    let (from, to) = (alice.account("From").await, alice.account("To").await);
    teller.deposit(&from, 1_000).await.expect(201);
    let id = from["id"].as_str().unwrap();
    let admin = teller
        .client
        .post(
            &format!("/api/v1/admin/accounts/{id}/freeze"),
            json!({"scope": "debits"}),
        )
        .await;
    assert_eq!(admin.expect(200).body["state"], "frozen");
    alice
        .transfer(&new_key(), &from, &to, 1)
        .await
        .refused(422, "account_frozen");
    // Deposits still arrive: only debits are stopped.
    teller.deposit(&from, 1).await.expect(201);
    let unfreeze = format!("/api/v1/accounts/{id}/unfreeze");
    alice
        .client
        .send(alice.client.request(reqwest::Method::POST, &unfreeze))
        .await
        .refused(409, "not_frozen_by_you");
    let lifted = format!("/api/v1/admin/accounts/{id}/unfreeze");
    teller
        .client
        .send(teller.client.request(reqwest::Method::POST, &lifted))
        .await
        .expect(200);
    alice.transfer(&new_key(), &from, &to, 1_001).await.expect(201);
    let close = format!("/api/v1/accounts/{id}/close");
    assert_eq!(
        alice
            .client
            .send(alice.client.request(reqwest::Method::POST, &close))
            .await
            .expect(200)
            .body["state"],
        "closed"
    );
    alice
        .transfer(&new_key(), &to, &from, 1)
        .await
        .refused(422, "payee_unavailable");
    alice
        .client
        .send(alice.client.request(reqwest::Method::POST, &close))
        .await
        .refused(422, "account_closed");
}
